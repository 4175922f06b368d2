/* SPDX-License-Identifier: Apache-2.0
 * Whom a long connection rides on: a live session and perhaps a device, looked up again whenever
 * something was taken away.
 *
 * Story: core says at log-in in which slot the session lives; sp_rider_find() fills in who that is
 * now. A core that was restarted fills the table anew: the session is found by its id then.
 *
 * OWNS nothing. PROCESS gate workers. TRUST the live table is core's. SPEC lib/proto/live.h.
 */
#ifndef SP_GATE_RIDER_H
#define SP_GATE_RIDER_H

#include "infra/gate/office.h"
#include "lib/base/sha256.h"

/* Core knows of the log-in itself; of what comes after it, in whole seconds. */
enum { SP_RIDER_SEEN_FIRST_US = 2000000, SP_RIDER_SEEN_EVERY_US = 30000000 };

typedef struct {
    /* set by whoever owns it */
    uint32_t slot;
    uint64_t id;          /* 0 = nobody yet */
    bool has_fingerprint; /* a device showed itself */
    sp_hash fingerprint;  /* sp_live_find_cert() */
    /* found */
    const void *table; /* in which it was found last */
    sp_subject who;    /* its peer is the owner's to set */
    uint64_t device_id;
    uint64_t expires_unix_s;
    uint64_t next_seen_us; /* core is told of what is done then or later; 0 = not known yet */
    char person_name[SP_LIVE_NAME_BYTES];
    char device_name[SP_LIVE_NAME_BYTES];
} sp_rider;

/* Who it is now; false with the reason when it is nobody any more. A device that was shown must be
 * active and this person's, whatever the policy would let an unknown one do. */
bool sp_rider_find(const sp_office *office, sp_rider *rider, sp_reason *ret_reason);

/* He did something at that time of the loop's clock (0 = never): core is told, so that a session in
 * use does not end as idle; twice a minute at most. */
void sp_rider_seen(sp_office *office, sp_rider *rider, uint64_t active_us);

#endif

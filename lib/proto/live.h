/* SPDX-License-Identifier: Apache-2.0
 * The live table: sessions, their cookies, devices and their certificates, in shared memory that
 * only core writes and every gate maps read-only.
 *
 * Story: core signs a person in and puts a session into a slot; for each host the person visits it
 * puts a token (the SHA-256 of a cookie, bound to that host). A gate hashes the cookie it got,
 * finds the token, and copies the session out. Ending a session flips one word in its slot and
 * moves `epoch` on: every gate then looks again at what it holds open. Certificates lead to
 * devices in the same way. What is cut (lib/policy/cuts.h) stands in the head.
 *
 * A slot has a sequence word, odd while core writes it; a reader copies and looks again. A reader
 * that cannot get a quiet copy is told "not found", which denies.
 *
 * OWNS nothing: views into a mapping. PROCESS core writes; gates read. TRUST gates trust core;
 * the header is checked once at open. SPEC docs/ARCHITECTURE.md "Live table".
 */
#ifndef SP_PROTO_LIVE_H
#define SP_PROTO_LIVE_H

#include "lib/base/sha256.h"
#include "lib/policy/cuts.h"

typedef enum {
    SP_SESSION_FREE,
    SP_SESSION_LIVE,
    SP_SESSION_ENDED,
    SP_SESSION_COUNT
} sp_session_state;

typedef enum {
    SP_DEVICE_FREE,
    SP_DEVICE_PENDING,
    SP_DEVICE_ACTIVE,
    SP_DEVICE_QUARANTINED,
    SP_DEVICE_REVOKED,
    SP_DEVICE_COUNT
} sp_device_state;

enum { SP_LIVE_NAME_BYTES = 64 };

typedef struct {
    uint64_t id; /* random, never reused */
    uint64_t roles[SP_ROLE_WORDS];
    uint64_t started_unix_s;
    uint64_t auth_unix_s; /* when the person last proved himself */
    uint64_t expires_unix_s;
    uint32_t person;
    uint32_t device;                      /* slot of the device it is bound to, SP_NONE = none */
    uint8_t state;                        /* sp_session_state */
    uint8_t strength;                     /* sp_strength */
    char person_name[SP_LIVE_NAME_BYTES]; /* NUL-terminated */
} sp_live_session;

typedef struct {
    uint64_t id; /* core's number */
    uint32_t person;
    uint8_t state;   /* sp_device_state */
    uint8_t owner;   /* sp_owner */
    uint8_t posture; /* sp_posture */
    char name[SP_LIVE_NAME_BYTES];
} sp_live_device;

typedef struct {
    uint32_t sessions; /* slots */
    uint32_t tokens;   /* power of two, at least twice the expected */
    uint32_t devices;
    uint32_t certs; /* power of two */
} sp_live_caps;

typedef struct sp_live_head sp_live_head;
typedef struct {
    sp_live_head *head;
    sp_live_caps caps; /* checked once */
} sp_live;

/* Bytes of a table with these capacities; SP_ELIMIT. */
SP_MUST sp_err sp_live_size(const sp_live_caps *caps, size_t *ret_size_bytes);

/* ---- core ---- */
SP_MUST sp_err sp_live_format(void *memory, size_t size_bytes, const sp_live_caps *caps,
                              sp_live *ret_live);
/* SP_ELIMIT for a slot out of range. */
SP_MUST sp_err sp_live_session_put(sp_live *live, uint32_t slot, const sp_live_session *session);
void sp_live_session_end(sp_live *live, uint32_t slot);
/* audience: sp_live_audience() of the host name. SP_ELIMIT when the table is full. */
SP_MUST sp_err sp_live_token_put(sp_live *live, const sp_hash *token, uint64_t audience,
                                 uint32_t session_slot, uint64_t session_id);
void sp_live_token_remove(sp_live *live, const sp_hash *token);
SP_MUST sp_err sp_live_device_put(sp_live *live, uint32_t slot, const sp_live_device *device);
SP_MUST sp_err sp_live_cert_put(sp_live *live, const sp_hash *fingerprint, uint32_t device_slot);
void sp_live_cert_remove(sp_live *live, const sp_hash *fingerprint);
/* After any change that takes something away: gates look again. Returns the new epoch. */
uint64_t sp_live_bump(sp_live *live);
void sp_live_beat(sp_live *live, uint64_t now_steady_us);
/* What is cut; for sp_question.cuts, and for core to change. */
sp_cuts *sp_live_cuts(const sp_live *live);

/* ---- gates ---- */
SP_MUST sp_err sp_live_open(const void *memory, size_t size_bytes, sp_live *ret_live);
uint64_t sp_live_epoch(const sp_live *live);
uint64_t sp_live_audience(sp_span host);
/* The session of a token, whatever its state. *ret_slot and the id find it again later.
 * SP_ENOTFOUND: no such token for this audience, or its slot went to another session. */
SP_MUST sp_err sp_live_find_token(const sp_live *live, const sp_hash *token, uint64_t audience,
                                  sp_live_session *ret_session, uint32_t *ret_slot);
/* The session in a slot, if it is still the one of that id. */
SP_MUST sp_err sp_live_session_get(const sp_live *live, uint32_t slot, uint64_t id,
                                   sp_live_session *ret_session);
/* The id in a slot, whatever its state; 0 = none. To find sessions again in a table that a
 * restarted core has filled anew. */
uint64_t sp_live_session_id(const sp_live *live, uint32_t slot);
SP_MUST sp_err sp_live_find_cert(const sp_live *live, const sp_hash *fingerprint,
                                 sp_live_device *ret_device, uint32_t *ret_slot);
SP_MUST sp_err sp_live_device_get(const sp_live *live, uint32_t slot, sp_live_device *ret_device);

#endif

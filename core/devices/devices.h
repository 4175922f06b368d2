/* SPDX-License-Identifier: Apache-2.0
 * Devices: enrolment, approval, certificates, quarantine; and their half of the live table.
 *
 * Story: a signed-in person gets a one-time code. The agent on his device makes a key, hands in a
 * certificate request with the code, and gets a ticket; the device is `pending`. A security
 * administrator, who is somebody else, approves it and says who owns it. With the ticket the agent
 * fetches the first certificate; it renews over mTLS at half time. A replaced certificate stays
 * good for a minute; a renewal from it later, by another request than the one that replaced it,
 * means that two copies of the key exist: the device is quarantined as cloned and can only be
 * revoked. Quarantine and revocation take effect at once and are told to the ledger after; all
 * else is in the ledger before.
 *
 * OWNS device slots and certificates of the live table. PROCESS core. TRUST requests of devices are
 * hostile. SPEC docs/ARCHITECTURE.md "Devices".
 */
#ifndef SP_CORE_DEVICES_DEVICES_H
#define SP_CORE_DEVICES_DEVICES_H

#include "core/devices/rows.h"
#include "core/http/router.h"
#include "core/state/state.h"

enum {
    SP_DEVICE_CERT_LIFE_S = 24 * 3600,
    SP_DEVICE_GRACE_S = 60,                /* a replaced certificate */
    SP_DEVICE_POSTURE_STALE_S = 24 * 3600, /* then it is unknown */
    SP_DEVICES_OF_PERSON_MAX = 20,
    SP_ENROL_CODE_LIFE_S = 15 * 60
};

SP_MUST sp_err sp_devices_start(sp_core *core, sp_devices **ret_devices);
void sp_devices_stop(sp_devices *devices);

/* ---- the live table ---- */
/* A free slot; SP_ELIMIT. It is taken by sp_devices_show(). */
SP_MUST sp_err sp_devices_slot(const sp_devices *devices, uint32_t *ret_slot);
/* Writes the row into its slot. */
void sp_devices_show(sp_core *core, const sp_device *device);
void sp_devices_show_cert(sp_core *core, const sp_device *device, const sp_device_cert *cert);
/* The replaced certificate leaves the table after the grace. */
void sp_devices_retire(sp_core *core, const sp_hash *fingerprint);

/* ---- changes that take away ---- */
typedef struct {
    sp_span word; /* "quarantine", "revoke", "clone" */
    uint8_t state;
    bool cloned;
    uint32_t by; /* person, 0 = nobody */
    sp_span by_name;
    sp_span why;
} sp_device_fall;
/* At once: state, live table, sessions on it end, gates look again; then the ledger. */
SP_MUST sp_err sp_devices_fall(sp_core *core, sp_device *device, const sp_device_fall *fall);
/* Out of quarantine; the caller has it on the ledger. SP_ECONFLICT: it is in none, or it is cloned.
 */
SP_MUST sp_err sp_devices_release(sp_core *core, uint64_t id, sp_span by_name, sp_span why);

/* ---- for the API ---- */
/* The object Device of docs/api/openapi.yaml. current: fingerprint of this connection, or NULL. */
json_t *sp_device_json(sp_core *core, const sp_device *device, const sp_hash *current);
/* All visible to whom the filter says; 0 / empty = all. */
typedef struct {
    uint32_t person;
    uint8_t state; /* SP_DEVICE_FREE = any */
    sp_span name;  /* part of the name */
} sp_device_filter;
/* A page: limit and cursor are the request's. */
void sp_devices_answer(sp_request *req, const sp_device_filter *filter);
/* All of a person. */
void sp_devices_answer_own(sp_request *req, uint32_t person);
/* Tells open consoles, and the person's own pages. */
void sp_devices_publish(sp_core *core, const sp_device *device);
/* How many in each state, for the overview. */
void sp_devices_count(sp_core *core, size_t ret_counts[SP_DEVICE_COUNT]);

/* Routes of the agent (agent.c), of people and administrators (manage.c). */
SP_MUST sp_err sp_devices_agent_routes(sp_core *core);
SP_MUST sp_err sp_devices_manage_routes(sp_core *core);

#endif

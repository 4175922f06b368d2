/* SPDX-License-Identifier: Apache-2.0
 * Devices, their certificates and enrolment codes in the store.
 * OWNS nothing: rows. PROCESS core. TRUST texts come from devices and are bounded before they are
 * bound. SPEC docs/ARCHITECTURE.md "Devices".
 */
#ifndef SP_CORE_DEVICES_ROWS_H
#define SP_CORE_DEVICES_ROWS_H

#include "core/core.h"
#include "lib/base/arena.h"

enum {
    SP_DEVICE_WHY_MAX_BYTES = 500,
    SP_DEVICE_PLATFORM_MAX_BYTES = 1024,
    SP_DEVICE_CHECKS_MAX_BYTES = 16 * 1024,
    SP_DEVICE_CSR_MAX_BYTES = 4096
};

/* Spans live in the arena they were read into. */
typedef struct {
    uint64_t id;   /* from 1 */
    uint32_t slot; /* of the live table; SP_NONE once it is long revoked */
    uint32_t person;
    uint8_t state;   /* sp_device_state */
    uint8_t owner;   /* sp_owner: what the administrator decided */
    uint8_t posture; /* sp_posture */
    bool cloned;
    uint64_t posture_unix_s; /* 0 = never reported */
    uint64_t created_unix_s;
    uint64_t changed_unix_s; /* of the state */
    uint64_t seen_unix_s;    /* last call of its agent, 0 = none */
    sp_span name;
    sp_span why;
    sp_span decided_by;
    sp_span platform;    /* JSON object */
    sp_span checks;      /* JSON array */
    sp_span key_storage; /* "file", "tpm" */
    sp_span key_hash;    /* SHA-256 of the SubjectPublicKeyInfo */
    sp_span csr;         /* DER of the last request */
    sp_span ticket;      /* SHA-256 of the agent's next ticket */
} sp_device;

typedef struct {
    sp_hash fingerprint;
    uint64_t device;
    uint64_t not_before_unix_s;
    uint64_t not_after_unix_s;
    uint64_t replaced_unix_s; /* 0 = the current one */
    bool seen;                /* it has come back on a connection: its answer has arrived */
    sp_hash csr_hash;         /* of the request that it answered */
    sp_span der;
} sp_device_cert;

SP_MUST sp_err sp_device_rows_migrate(sp_store *store);
/* Inside a transaction, all that write. add gives the id. */
SP_MUST sp_err sp_device_add(sp_store *store, sp_device *device);
SP_MUST sp_err sp_device_update(sp_store *store, const sp_device *device); /* not its ticket */
SP_MUST sp_err sp_device_get(sp_store *store, uint64_t id, sp_arena *arena, sp_device *ret_device);
SP_MUST sp_err sp_device_by_key(sp_store *store, sp_span key_hash, sp_arena *arena,
                                sp_device *ret_device);
SP_MUST sp_err sp_device_by_ticket(sp_store *store, sp_span ticket_hash, sp_arena *arena,
                                   sp_device *ret_device);
/* Pending first, then by name. Spans are valid during the visit. */
SP_MUST sp_err sp_device_each(sp_store *store, void (*visit)(void *self, const sp_device *device),
                              void *self);

/* A place in that order, for pages: behind one device. All zero = the beginning. */
typedef struct {
    uint8_t rank; /* 0 = among the pending, 1 = behind them */
    sp_span name;
    uint64_t id;
} sp_device_place;
/* Those behind the place; visit returns false to stop. */
SP_MUST sp_err sp_device_after(sp_store *store, const sp_device_place *place,
                               bool (*visit)(void *self, const sp_device *device), void *self);
/* Those of a person. */
SP_MUST sp_err sp_device_each_of(sp_store *store, uint32_t person,
                                 bool (*visit)(void *self, const sp_device *device), void *self);
SP_MUST sp_err sp_device_count(sp_store *store, size_t ret_counts[SP_DEVICE_COUNT]);

SP_MUST sp_err sp_cert_add(sp_store *store, const sp_device_cert *cert);
SP_MUST sp_err sp_cert_get(sp_store *store, const sp_hash *fingerprint, sp_arena *arena,
                           sp_device_cert *ret_cert);
/* The one not replaced; SP_ENOTFOUND. */
SP_MUST sp_err sp_cert_current(sp_store *store, uint64_t device, sp_arena *arena,
                               sp_device_cert *ret_cert);
SP_MUST sp_err sp_cert_replace(sp_store *store, const sp_hash *fingerprint, uint64_t now_unix_s);
SP_MUST sp_err sp_cert_seen(sp_store *store, const sp_hash *fingerprint);
/* Forgets those that ended before then. */
SP_MUST sp_err sp_cert_forget(sp_store *store, uint64_t before_unix_s);
/* device 0 = of all. */
SP_MUST sp_err sp_cert_each(sp_store *store, uint64_t device,
                            void (*visit)(void *self, const sp_device_cert *cert), void *self);

/* ---- tickets: each serves once, and its answer brings the next ---- */
/* The device's ticket from now on. cert: what the one before was spent for; NULL: for an answer
 * that is given again. */
SP_MUST sp_err sp_ticket_renew(sp_store *store, const sp_device *device, const sp_hash *cert,
                               const sp_hash *ticket, uint64_t now_unix_s);
/* Whose it was, and for which certificate (all zero: none). SP_ENOTFOUND: never one of ours, or
 * long ago. */
SP_MUST sp_err sp_ticket_spent(sp_store *store, const sp_hash *ticket, uint64_t *ret_device,
                               sp_hash *ret_cert);
SP_MUST sp_err sp_tickets_forget(sp_store *store, uint64_t before_unix_s);

SP_MUST sp_err sp_code_add(sp_store *store, const sp_hash *code, uint32_t person,
                           uint64_t expires_unix_s);
/* Whose it is; expired ones are not found. */
SP_MUST sp_err sp_code_find(sp_store *store, const sp_hash *code, uint64_t now_unix_s,
                            uint32_t *ret_person);
/* SP_ENOTFOUND when somebody else was faster. */
SP_MUST sp_err sp_code_use(sp_store *store, const sp_hash *code);
SP_MUST sp_err sp_code_forget(sp_store *store, uint64_t now_unix_s);

#endif

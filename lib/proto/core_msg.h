/* SPDX-License-Identifier: Apache-2.0
 * What gates and core say to each other over core.sock.
 *
 * Story: a gate worker connects and says HELLO. The reply brings the snapshot (fd 0, sealed), the
 * live table (fd 1, published: only core writes) and the facts of the office. From then on core
 * pushes SNAPSHOT when a new policy version takes effect and AGAIN when something was taken away:
 * the worker maps the new snapshot first, then decides again about everything it holds open. The
 * worker asks for a TOKEN when an upstream wants a signed identity, and says SEEN from time to
 * time, so that idle sessions can end. When the connection breaks the worker goes on with what it
 * has, connects again and says HELLO: a restarted core has a new live table.
 *
 * OWNS nothing: spans point into the body. PROCESS core serves; gates ask. TRUST bodies are
 * hostile (a gate may be taken over): every field is bounded. SPEC docs/ARCHITECTURE.md "Messages".
 */
#ifndef SP_PROTO_CORE_MSG_H
#define SP_PROTO_CORE_MSG_H

#include "lib/proto/event.h"
#include "lib/proto/msg.h"

typedef enum {
    SP_CORE_HELLO = 1, /* gate -> core, replied: sp_core_hello / sp_core_office + 2 fds */
    SP_CORE_TOKEN,     /* gate -> core, replied: sp_core_token_ask / sp_core_token */
    SP_CORE_SEEN,      /* gate -> core, id 0, no reply: sp_core_seen */
    SP_CORE_SNAPSHOT,  /* core -> gate, push: sp_core_snapshot + 1 fd */
    SP_CORE_AGAIN,     /* core -> gate, push: sp_core_again */
    SP_CORE_STATUS,    /* core -> launcher of the web gate, push: lib/proto/status_msg.h */
    SP_CORE_KIND_COUNT
} sp_core_kind;

enum {
    SP_CORE_FD_SNAPSHOT = 0, /* places of the fds in the reply to HELLO */
    SP_CORE_FD_LIVE = 1,
    SP_CORE_HOST_MAX_BYTES = 253,
    SP_CORE_JWT_MAX_BYTES = 4096,
    SP_CORE_SEEN_MAX = 4096, /* sessions in one SEEN */
    SP_CORE_SNAPSHOT_MAX_BYTES = 512 * 1024 * 1024
};

typedef struct {
    uint8_t gate; /* sp_gate; SP_GATE_NONE is refused */
    uint8_t part; /* sp_core_part */
} sp_core_hello;

typedef enum {
    SP_CORE_LAUNCHER, /* writes the gate's configuration, decides nothing */
    SP_CORE_WORKER,   /* decides */
    SP_CORE_PART_COUNT
} sp_core_part;

typedef struct {
    uint64_t gate_id; /* of this connection, never reused */
    uint64_t policy_version;
    uint64_t epoch;
    uint16_t public_port; /* in URLs */
    sp_span office;       /* name shown to people */
    sp_span domain;       /* applications are <host>.<domain> */
    sp_span portal;       /* the portal is <portal>.<domain> */
} sp_core_office;

typedef struct {
    uint32_t session_slot;
    uint64_t session_id;
    sp_span resource; /* name; becomes the audience */
} sp_core_token_ask;

/* Fails with SP_ENOTFOUND (no such session or resource), SP_EDENIED (the resource gets none). */
typedef struct {
    sp_span jwt; /* compact serialisation, ES256 */
    uint64_t expires_unix_s;
} sp_core_token;

typedef struct {
    uint32_t session_slot;
    uint64_t session_id;
} sp_core_seen_one;

/* A view of the list: sp_core_seen_at(&seen, 0 .. count-1). */
typedef struct {
    uint32_t count;
    sp_span items;
} sp_core_seen;

typedef struct {
    uint64_t policy_version;
} sp_core_snapshot;

typedef struct {
    uint64_t epoch;
} sp_core_again;

/* Writers append a body; a failure stays in the buffer. Readers need the whole body:
 * SP_ESHORT, SP_ELIMIT, SP_EINVALID. */
void sp_core_hello_write(const sp_core_hello *hello, sp_buf *out);
SP_MUST sp_err sp_core_hello_read(sp_span body, sp_core_hello *ret_hello);
void sp_core_office_write(const sp_core_office *office, sp_buf *out);
SP_MUST sp_err sp_core_office_read(sp_span body, sp_core_office *ret_office);
void sp_core_token_ask_write(const sp_core_token_ask *ask, sp_buf *out);
SP_MUST sp_err sp_core_token_ask_read(sp_span body, sp_core_token_ask *ret_ask);
void sp_core_token_write(const sp_core_token *token, sp_buf *out);
SP_MUST sp_err sp_core_token_read(sp_span body, sp_core_token *ret_token);
/* More than SP_CORE_SEEN_MAX fails the buffer with SP_ELIMIT. */
void sp_core_seen_write(const sp_core_seen_one *items, size_t count, sp_buf *out);
SP_MUST sp_err sp_core_seen_read(sp_span body, sp_core_seen *ret_seen);
sp_core_seen_one sp_core_seen_at(const sp_core_seen *seen, uint32_t at);
void sp_core_snapshot_write(const sp_core_snapshot *snapshot, sp_buf *out);
SP_MUST sp_err sp_core_snapshot_read(sp_span body, sp_core_snapshot *ret_snapshot);
void sp_core_again_write(const sp_core_again *again, sp_buf *out);
SP_MUST sp_err sp_core_again_read(sp_span body, sp_core_again *ret_again);

#endif

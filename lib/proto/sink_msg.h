/* SPDX-License-Identifier: Apache-2.0
 * What core and the courier say about sinks over courier.sock.
 *
 * Story: core says SINKS, all that there are, each with the entry it is at (or none yet), after
 * HELLO and when documents change. The courier follows the ledger for each, sends what comes, and
 * pushes SINK_TOLD: once a second, and when a batch was taken. Before it sends the next one it
 * waits for SINK_KEPT, so at most one batch is in doubt when anything ends: it is sent again then,
 * its events under the same names.
 *
 * OWNS nothing: spans point into the body. PROCESS core, courier. TRUST core may be taken over:
 * every field is bounded. SPEC docs/SINKS.md.
 */
#ifndef SP_PROTO_SINK_MSG_H
#define SP_PROTO_SINK_MSG_H

#include "lib/proto/msg.h"

typedef enum {
    SP_COURIER_SINKS = 0x0780, /* core -> courier: sinks -> - */
    SP_COURIER_SINK_TOLD,      /* courier -> core, push */
    SP_COURIER_SINK_KEPT,      /* core -> courier: kept -> - */
    SP_COURIER_SINK_KIND_END
} sp_courier_sink_kind;

enum {
    SP_SINK_TASKS_MAX = 8,
    SP_SINK_NAME_MAX_BYTES = 127,
    SP_SINK_ADDRESS_MAX_BYTES = 1024,
    SP_SINK_TOPIC_MAX_BYTES = 249,
    SP_SINK_WHY_MAX_BYTES = 300,
    SP_SINK_MESSAGE_LEAST_BYTES = 2048,
    SP_SINK_VIA_COUNT = 3 /* sp_sink_kind of lib/policy/duties.h: syslog, http, kafka */
};
typedef enum { SP_SINK_VIA_SYSLOG, SP_SINK_VIA_HTTP, SP_SINK_VIA_KAFKA } sp_sink_via;

typedef struct {
    uint8_t via;        /* sp_sink_via */
    uint8_t token;      /* 1: the vault has "<name>/token" */
    uint8_t is_signed;  /* 1: the vault has "<name>/secret" */
    uint8_t severity;   /* the least */
    uint8_t from_start; /* where it begins without a position */
    uint8_t has_next;
    uint32_t kinds; /* bits of sp_event_kind; 0 = all */
    uint32_t batch;
    uint32_t message; /* syslog: bytes of one message at most */
    uint16_t timeout_s;
    uint64_t next; /* entry */
    sp_span name;
    sp_span address;
    sp_span topic;
    sp_span ca;
    sp_span host; /* what a syslog message says it is from */
} sp_sink_task;

typedef struct {
    size_t count;
    sp_sink_task tasks[SP_SINK_TASKS_MAX];
} sp_sink_tasks;

typedef struct {
    uint8_t keep; /* 1: waits until next is kept */
    uint8_t failing;
    uint64_t next;
    uint64_t size;   /* entries of the ledger, as last heard */
    uint64_t events; /* since the courier began */
    uint64_t bytes;
    uint64_t last_unix_us; /* of the last event that was taken; 0 = none */
    sp_span name;
    sp_span why; /* while it fails */
} sp_sink_told;

typedef struct {
    uint64_t next;
    sp_span name;
} sp_sink_kept;

void sp_sink_tasks_write(const sp_sink_tasks *tasks, sp_buf *out);
/* SP_ESHORT, SP_ELIMIT, SP_EINVALID, as all of them. */
SP_MUST sp_err sp_sink_tasks_read(sp_span body, sp_sink_tasks *ret_tasks);
void sp_sink_told_write(const sp_sink_told *told, sp_buf *out);
SP_MUST sp_err sp_sink_told_read(sp_span body, sp_sink_told *ret_told);
void sp_sink_kept_write(const sp_sink_kept *kept, sp_buf *out);
SP_MUST sp_err sp_sink_kept_read(sp_span body, sp_sink_kept *ret_kept);

#endif

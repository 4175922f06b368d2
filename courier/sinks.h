/* SPDX-License-Identifier: Apache-2.0
 * Sinks as the files of the courier see them.
 *
 * Story: for each sink the ledger is followed from where it is; what comes becomes one batch, which
 * is sent and, when it was taken, told to core; only when core has kept that does the next go out.
 * What a sink does not take is sent again, ever more slowly, and everything behind it waits on the
 * ledger's disk. A sink holds one batch and one answer of the ledger in memory, never more.
 *
 * OWNS see each. PROCESS courier. TRUST the other side is hostile: TLS is verified, answers are
 * bounded. SPEC docs/SINKS.md, lib/proto/sink_msg.h.
 */
#ifndef SP_COURIER_SINKS_H
#define SP_COURIER_SINKS_H

#include "courier/courier.h"
#include "infra/ipc/line.h"
#include "lib/proto/sink_msg.h"

typedef enum {
    SINK_NEW,     /* has no position yet */
    SINK_IDLE,    /* may ask, or has entries left */
    SINK_ASKED,   /* the ledger's answer is to come */
    SINK_SENDING, /* the batch is under way */
    SINK_KEEPING, /* core has to keep the position */
    SINK_RESTING  /* failed: again later */
} sink_state;

typedef struct sink_syslog sink_syslog;

typedef struct sink {
    struct sink *next_sink;
    courier *of;
    bool dead; /* freed when its last answer has come */
    sink_state state;
    sp_buf doc; /* its task as it came; the task's spans point into it */
    sp_sink_task task;
    uint64_t next;       /* first entry that was not taken */
    uint64_t batch_next; /* behind the batch */
    uint64_t batch_us;   /* time of its last event */
    uint64_t size;       /* entries there are */
    uint64_t last_us;    /* of the last event taken */
    uint64_t events;
    uint64_t bytes;
    size_t batch_events;
    sp_buf batch;
    sp_buf reply; /* of the ledger */
    sp_span rest; /* in it: entries that are in no batch yet */
    uint64_t again_us;
    uint64_t pause_us;
    char why[SP_SINK_WHY_MAX_BYTES + 1]; /* empty: it does not fail */
    sp_secret token;
    sp_secret secret;
    uint64_t secrets_until_us; /* 0 = none are held */
    bool secrets_asked;
    sink_syslog *syslog; /* its connection */
    bool under_way;
} sink;

/* ---- sinks.c ---- */
SP_MUST sp_err courier_sinks_new(courier *of, courier_sinks **ret_sinks);
void courier_sinks_free(courier_sinks *sinks);
/* The batch is over; a failure is tried again. */
void sink_over(sink *s, bool taken, const char *why);
void sink_gone(sink *s);

/* ---- sink_events.c ---- */
/* Adds the events of an entry that the sink wants to its batch, all of them or none. SP_EAGAIN:
 * they do not fit behind what is in it. Another error: it could not be converted, and a placeholder
 * that says so was added, whatever the sink wants. */
SP_MUST sp_err sink_add_entry(sink *s, uint64_t entry, sp_span json);
/* Before the first, and behind the last. */
void sink_begin_batch(sink *s);
void sink_end_batch(sink *s);

/* ---- sink_wire.c ---- */
/* Calls sink_over once, perhaps at once. */
void sink_send(sink *s);
/* Whatever is under way ends without a word. */
void sink_abort(sink *s);

#endif

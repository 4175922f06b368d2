/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the engine share.
 * OWNS nothing of its own. PROCESS ledger. TRUST as ledger/engine.h. SPEC ledger/engine.h.
 */
#ifndef SP_LEDGER_ENGINE_PARTS_H
#define SP_LEDGER_ENGINE_PARTS_H

#include "ledger/engine.h"

enum { SP_ENGINE_NAME_BYTES = SP_NAME_MAX_BYTES + 1 };

struct sp_source {
    sp_source *next;
    uint64_t id;
    char name[SP_ENGINE_NAME_BYTES];
    uint8_t gate;
    sp_shm shm; /* empty: brings its events by message */
    sp_ring ring;
    uint64_t seq;        /* highest taken */
    uint64_t lost;       /* losses written down */
    uint64_t beaten_seq; /* seq of the last heartbeat entry */
    bool silent;
    bool leaving; /* drain, then forget */
    bool clean;
    bool drained;  /* since it is leaving */
    bool poisoned; /* the ring holds nonsense: nothing more is read */
    unsigned pins; /* batches that hold its events */
    uint64_t used_steady_us;
    sp_engine_done done; /* of the detach */
    void *done_self;
};

typedef struct waiter {
    struct waiter *next;
    sp_engine_done done;
    void *self;
    uint32_t item; /* of the batch, SP_BATCH_NONE = none of its own */
} waiter;

typedef struct {
    sp_source *source;
    sp_ring ring; /* as it was when the batch ended: what becomes durable with it */
    bool has_ring;
} ring_mark;

/* An event of the ledger's own, or a message, that came while no batch could take it. */
typedef struct deferred {
    struct deferred *next;
    sp_engine_done done;
    void *self;
    const char *name; /* of the sender; NULL = the ledger's own event */
    uint64_t source;
    uint64_t first_seq;
    uint16_t count;
    bool open;
    size_t len;
    uint8_t bytes[];
} deferred;

/* A batch on its way to the disk. */
typedef struct {
    sp_batch batch;
    sp_group group;
    sp_buf new_keys;
    uint64_t new_keys_at;
    ring_mark marks[SP_ENGINE_SOURCES_MAX];
    size_t marks_count;
    waiter *waiters;
    bool built;
    bool hot; /* there was a lot: the next drain follows at once */
} shipment;

typedef enum { JOB_NONE, JOB_WRITE, JOB_SETTLE } job_kind;

struct sp_engine {
    uv_loop_t *loop;
    sp_journal *store;
    sp_keys *keys;
    sp_engine_calls calls;
    uv_timer_t commit; /* when the next drain is due */
    uv_timer_t beat;
    uv_work_t work;
    job_kind job;
    sp_err job_err;
    shipment ships[2];
    unsigned filling; /* which takes events; the other is in flight when job is JOB_WRITE */
    sp_source *sources;
    unsigned sources_count;
    sp_source *own;  /* the ledger's own events */
    waiter *pending; /* flushes that wait for their rings to be drained */
    waiter *settlers;
    deferred *deferred_first;
    deferred *deferred_last;
    unsigned deferred_count;
    bool settle_wanted;
    bool blocked;
    uint64_t blocked_since_us;
    uint64_t events;
    uint64_t lost;
    bool closing;
    unsigned holds; /* open libuv handles and a running job: freed with the last */
};

/* engine.c */
/* The next drain after so many milliseconds. */
void sp_engine_arm(sp_engine *engine, unsigned delay_ms);
/* done may be NULL: nobody waits. */
void sp_engine_wait(waiter **list, sp_engine_done done, void *self, uint32_t item);
/* intake.c: what had to wait, into the batch being filled. */
void sp_engine_undefer(sp_engine *engine);

/* sources.c */
SP_MUST sp_err sp_source_new(sp_engine *engine, uint64_t id, sp_span name, uint8_t gate,
                             sp_source **ret_source);
sp_source *sp_source_find(sp_engine *engine, uint64_t id);
void sp_source_free(sp_engine *engine, sp_source *source);
/* Takes all rings into the batch; true = drained, false = the batch is full. */
bool sp_sources_drain(sp_engine *engine, shipment *ship);
/* Forgets sources that have left and whose events are on disk; idle: also senders of messages that
 * have not been heard of for long. */
void sp_sources_sweep(sp_engine *engine, bool idle);
/* Puts rings to sleep; false = something has come in. */
bool sp_sources_sleep(sp_engine *engine);
void sp_sources_beat(sp_engine *engine);
/* Adds an event of the ledger's own to the batch being filled. */
void sp_engine_own_event(sp_engine *engine, sp_event_kind kind, sp_severity severity,
                         const sp_source *about, uint64_t count, const char *what);

#endif

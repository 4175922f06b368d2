/* SPDX-License-Identifier: Apache-2.0
 * The engine: from rings and messages to the disk, by group commit.
 *
 * Story: sources bring events, in a ring (gates) or in messages (core, vault, porter). While there
 * is work the engine drains all rings every few milliseconds into a batch, renders and seals it
 * into a group, and a worker thread makes the group durable; meanwhile the next batch fills. When a
 * group is on disk the rings are freed up to where it ended and the waiters of that group are
 * called: that, and nothing else, is an acknowledgement. When there is no work all rings are put to
 * sleep and the engine does nothing but beat once a second.
 *
 * What goes wrong is written down too: jumps in a source's numbers, a source that falls silent or
 * dies without good-bye, events it had to drop (LOSS), a ring that holds nonsense. When the disk
 * fails, nothing is acknowledged, rings are left alone and no longer beaten, so that gates refuse
 * what must be recorded; the same group is tried again every second until it goes.
 *
 * OWNS its sources, batches and groups; not store and keys. PROCESS ledger, on its loop.
 * TRUST rings and events are hostile. SPEC docs/ARCHITECTURE.md "Events".
 */
#ifndef SP_LEDGER_ENGINE_H
#define SP_LEDGER_ENGINE_H

#include "infra/ipc/shm.h"
#include "ledger/batch.h"
#include "lib/proto/ledger_msg.h"
#include "lib/proto/ring.h"

#include <uv.h>

typedef struct sp_engine sp_engine;
typedef struct sp_source sp_source;

enum {
    SP_ENGINE_RINGS_MAX = 80, /* of one gate: its workers, and such as are going */
    SP_ENGINE_SENDERS = 48, /* places that no gate can take: core, vault, porter, root's commands */
    SP_ENGINE_SOURCES_MAX = 3 * SP_ENGINE_RINGS_MAX + SP_ENGINE_SENDERS,
    SP_ENGINE_COMMIT_MS = 100
};

typedef struct {
    /* A group is on disk and can be read: its items, and the index of its first record. */
    void (*on_committed)(void *self, const sp_batch *batch, uint64_t first_entry);
    /* Recording stopped (why says so) or goes on. */
    void (*on_state)(void *self, bool recording, const char *why);
    void *self;
} sp_engine_calls;

/* Called once: ok = on disk. entry: of the last event waited for, UINT64_MAX = was there before. */
typedef void (*sp_engine_done)(void *self, sp_code code, uint64_t entry);

SP_MUST sp_err sp_engine_new(uv_loop_t *loop, sp_journal *store, sp_keys *keys,
                             const sp_engine_calls *calls, sp_engine **ret_engine);
/* Flush and settle first: what is not on disk yet is not waited for. The loop must run on until
 * its handles are closed; waiters are called with SP_ECLOSED. */
void sp_engine_free(sp_engine *engine);

/* Takes the mapping of a ring. SP_ECORRUPT: no ring; SP_EEXISTS: that source is attached;
 * SP_ELIMIT: this gate has SP_ENGINE_RINGS_MAX. Who attaches must have been looked at: the ring's
 * events are believed to be of attach->gate, and poison the ring when they are another's. */
SP_MUST sp_err sp_engine_attach(sp_engine *engine, const sp_ledger_attach *attach, sp_shm *shm,
                                sp_source **ret_source, uint64_t *ret_durable_seq);
/* The producer has put something in after the ring was put to sleep. */
void sp_engine_wake(sp_engine *engine);
/* Everything committed to rings until now, on disk. */
void sp_engine_flush(sp_engine *engine, sp_engine_done done, void *self);
/* The producer is leaving: drains, then forgets the source. clean: it said so. done may be NULL. */
void sp_engine_detach(sp_engine *engine, sp_source *source, bool clean, sp_engine_done done,
                      void *self);
/* Events by message. name: who sends ("core"). done is called later, or at once with an error:
 * SP_EIO not recording, SP_EAGAIN too much at once, SP_EINVALID an event is malformed (then none
 * is taken). */
void sp_engine_append(sp_engine *engine, const sp_ledger_append *append, const char *name,
                      sp_engine_done done, void *self);
/* An event of the ledger's own. open: nothing personal in it, not sealed. */
void sp_engine_note(sp_engine *engine, sp_event *event, bool open, sp_engine_done done, void *self);
/* Makes hashes and state durable when there is news; done: then a checkpoint can be signed. */
void sp_engine_settle(sp_engine *engine, sp_engine_done done, void *self);

bool sp_engine_is_recording(const sp_engine *engine);
uint64_t sp_engine_events(const sp_engine *engine);
uint64_t sp_engine_lost(const sp_engine *engine);
unsigned sp_engine_sources(const sp_engine *engine);
/* Heartbeat entries: last number and losses of each source that had news. */
void sp_engine_heartbeat(sp_engine *engine);
/* One record an event, as if no two belonged together: for measuring. */
void sp_engine_set_record_events_max(sp_engine *engine, size_t max);

#endif

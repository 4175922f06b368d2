/* SPDX-License-Identifier: Apache-2.0
 * The ledger process as its parts see it.
 * OWNS nothing of its own. PROCESS ledger. TRUST as each part says. SPEC ledger/README.md.
 */
#ifndef SP_LEDGER_LEDGER_H
#define SP_LEDGER_LEDGER_H

#include "infra/ipc/server.h"
#include "infra/proc/config.h"
#include "infra/proc/slow_clock.h"
#include "ledger/counts.h"
#include "ledger/engine.h"
#include "ledger/keeper.h"
#include "ledger/lookup.h"
#include "ledger/readings.h"
#include "ledger/recent.h"

enum { SP_LEDGER_TAILS_MAX = 64, SP_LEDGER_FOLLOWERS_MAX = 16, SP_LEDGER_PEERS_MAX = 512 };

/* What a peer follows; its texts are copies. */
typedef struct {
    sp_peer *peer;
    sp_ledger_search search;
    char resource[SP_NAME_MAX_BYTES + 1];
    char text[SP_LEDGER_TEXT_MAX_BYTES + 1];
    unsigned left;     /* events that it may still get of this commit */
    bool has_left_out; /* not told yet */
} sp_tail;

/* A question for entries that are not there yet. */
typedef struct {
    sp_peer *peer;
    sp_msg to;
    sp_ledger_follow ask;
    uint64_t asked_us; /* steady */
} sp_follower;

typedef struct {
    uint8_t state; /* sp_ledger_verify_state */
    uint64_t at;
    uint64_t size;
    uint64_t unix_us;
} sp_verify_run;

typedef struct sp_wish sp_wish;

typedef struct {
    const sp_config *config;
    uv_loop_t loop;
    sp_journal *store;
    sp_keys *keys;
    sp_index *index;
    sp_engine *engine;
    sp_keeper *keeper;
    sp_server *server;
    uv_timer_t soon;  /* checkpoint, and what the index still lacks */
    uv_timer_t chore; /* watchdog, heartbeats, retention */
    uv_timer_t work;  /* slices of indexing and verifying */
    uv_signal_t term;
    sp_tail tails[SP_LEDGER_TAILS_MAX];
    size_t tails_count;
    sp_follower followers[SP_LEDGER_FOLLOWERS_MAX];
    size_t followers_count;
    uint64_t followed_us; /* steady, of the last question; 0 = there was none */
    sp_recent recent;     /* while somebody follows */
    sp_verify_run verify;
    sp_counts counts;
    char *counts_path;
    sp_ledger_meters meters;
    sp_readings readings;
    const sp_peer *entry_peer; /* who read an entry last, and which: only compared */
    uint32_t entry_reader;
    uint64_t entry_read;
    char *retention_path;
    char *clock_path;
    sp_slow_clock clock;     /* of what expires and may be erased */
    char *redacting_path;    /* what is being taken out, until it is gone (retention.c) */
    uint32_t retention_days; /* 0 = for ever */
    unsigned chores;         /* how often the chore timer has run */
    sp_wish *wishes_now;     /* of the checkpoint being made */
    sp_wish *wishes_next;
    bool signing;
    bool retiring;
    bool stopping;
} sp_ledger;

static inline sp_lookup sp_ledger_lookup(const sp_ledger *ledger)
{
    return (sp_lookup){ledger->store, ledger->keys, ledger->index};
}

/* serve.c */
void sp_ledger_on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds);
void sp_ledger_on_gone(void *self, sp_peer *peer);
void sp_ledger_push_state(sp_ledger *ledger, bool recording, const char *why);
/* tail.c: those who follow live get what matches. */
void sp_ledger_tail(sp_ledger *ledger, uint64_t first_entry, uint64_t count);
void sp_ledger_tail_add(sp_ledger *ledger, sp_peer *peer, const sp_ledger_search *search);
void sp_ledger_tail_drop(sp_ledger *ledger, const sp_peer *peer);
/* follow.c */
void sp_ledger_follow_ask(sp_ledger *ledger, sp_peer *peer, const sp_msg *msg, sp_fds *fds);
/* Answers who waits; old ones with nothing when there is nothing. */
void sp_ledger_follow_commit(sp_ledger *ledger, const sp_batch *batch, uint64_t first,
                             uint64_t count);
void sp_ledger_follow_wake(sp_ledger *ledger);
void sp_ledger_follow_drop(sp_ledger *ledger, const sp_peer *peer);
/* role.c */
void sp_ledger_checkpoint_soon(sp_ledger *ledger);
/* Settles and signs now; done is called when that is over, whether it worked or not. */
void sp_ledger_checkpoint_now(sp_ledger *ledger, sp_engine_done done, void *self);
void sp_ledger_work_soon(sp_ledger *ledger);
/* Entries that the index lacks, read back, until then. True = there are more. */
bool sp_ledger_index_slice(sp_ledger *ledger, uint64_t deadline_us);
/* retention.c */
SP_MUST sp_err sp_ledger_retention_load(sp_ledger *ledger);
/* Finishes what a crash left between a redaction's entry and what it names; at the start, before
 * anything is served. */
SP_MUST sp_err sp_ledger_redaction_resume(sp_ledger *ledger);
SP_MUST sp_err sp_ledger_retain_set(sp_ledger *ledger, const sp_ledger_retain *retain);
void sp_ledger_expire(sp_ledger *ledger);
typedef void (*sp_ledger_erase_done)(void *self, sp_code code, const sp_ledger_erased *erased);
void sp_ledger_erase_now(sp_ledger *ledger, const sp_ledger_erase *erase, sp_ledger_erase_done done,
                         void *self);

#endif

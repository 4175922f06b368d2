/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/approvals share.
 * OWNS see each struct. PROCESS core. TRUST see approvals.h. SPEC core/approvals/README.md.
 */
#ifndef SP_CORE_APPROVALS_INSIDE_H
#define SP_CORE_APPROVALS_INSIDE_H

#include "core/approvals/again.h"
#include "core/approvals/approvals.h"
#include "core/approvals/rest.h"
#include "core/http/router.h"
#include "core/identity/people.h"
#include "core/ledger_client.h"
#include "core/state/state.h"
#include "infra/proc/slow_clock.h"

enum { SP_ASK_ARENA_BYTES = 512 * 1024, SP_ASKS_LISTED_MAX = 500, SP_KEEPER_BUSY_MAX = 12 };

typedef struct sp_keeper_client sp_keeper_client;

/* A role for a while that has ended and whose row does not say so yet (disk full). */
enum { SP_UNSTORED_MAX = 64 };
typedef struct {
    uint64_t grant; /* 0 = free */
    char by[SP_NAME_MAX_BYTES + 1];
} sp_unstored;

struct sp_approvals {
    sp_core *core;
    sp_keeper_client *keeper; /* NULL: this office keeps nothing */
    uv_timer_t timer;
    uint64_t second_unix_s; /* that was worked last */
    char *clock_path;
    sp_slow_clock clock;        /* of what cannot be taken back */
    uint64_t grants_due_unix_s; /* the next one ends then */
    unsigned ticks;             /* seconds */
    /* asks and keeps that the keeper works on, also those that were begun by another core; 0 = free
     */
    uint64_t busy[SP_KEEPER_BUSY_MAX + SP_ASKS_LISTED_MAX];
    sp_rest tries;  /* dry runs, of undo and of rows beside */
    sp_again again; /* what could not be carried out yet */
    sp_unstored unstored[SP_UNSTORED_MAX];
};

/* ---- rows.c: the store ---- */
SP_MUST sp_err sp_approval_rows_start(sp_store *store);
/* Each of the changes is a transaction of its own. */
SP_MUST sp_err sp_ask_row_add(sp_store *store, const sp_ask *ask);
/* SP_ECONFLICT: it is not in state `from` any more. */
SP_MUST sp_err sp_ask_row_state(sp_store *store, uint64_t id, sp_ask_state from, sp_ask_state to,
                                sp_span by, uint64_t now_unix_s);
/* Decided before that, and nothing is kept for it any more. */
SP_MUST sp_err sp_ask_rows_prune(sp_store *store, uint64_t before_unix_s);
/* What undoing it would cost. */
SP_MUST sp_err sp_ask_row_estimate(sp_store *store, uint64_t id, uint64_t bytes, uint64_t ms,
                                   sp_span dependants);
/* Whether the store takes anything now, by an approved one; SP_ECONFLICT: it is not approved any
 * more. */
SP_MUST sp_err sp_ask_row_try(sp_store *store, uint64_t id);
/* Approved, now used, in a transaction of the caller. SP_ECONFLICT: it is not approved any more. */
SP_MUST sp_err sp_ask_row_use(sp_store *store, uint64_t id, uint64_t now_unix_s);
/* Used, now approved again as it was when it was loaded, in a transaction of the caller.
 * SP_ECONFLICT: it is not used. */
SP_MUST sp_err sp_ask_row_unuse(sp_store *store, const sp_ask *ask);
/* Adds a vote and, in the same step, what it decides: refused, or approved when enough agree (then
 * it can be used for as long again). SP_EEXISTS: he has voted; SP_ECONFLICT: not waiting. */
SP_MUST sp_err sp_ask_row_vote(sp_store *store, const sp_ask *ask, const sp_vote *vote,
                               bool *ret_decided);
/* Newest first. state: SP_ASK_STATE_COUNT = all; asker 0 = all. Stops when visit says false. */
typedef bool (*sp_ask_visit)(void *self, uint64_t id);
SP_MUST sp_err sp_asks_each(sp_store *store, sp_ask_state state, uint32_t asker, sp_ask_visit visit,
                            void *self);
/* The same of all people, those that end first first. */
SP_MUST sp_err sp_asks_ending(sp_store *store, sp_ask_state state, sp_ask_visit visit, void *self);
/* How many this person has asked since then, whatever became of them. */
uint64_t sp_asks_since(sp_store *store, uint32_t asker, uint64_t since_unix_s);
/* The same of one kind in the day up to now; all there may be where the store cannot say. */
uint64_t sp_asks_of_day(sp_store *store, uint32_t asker, sp_ask_kind kind, uint64_t now_unix_s);
SP_MUST sp_err sp_votes_each(sp_store *store, uint64_t id,
                             void (*visit)(void *self, const sp_vote *vote), void *self);
bool sp_vote_given(sp_store *store, uint64_t id, uint32_t person);
/* How many people who agreed and still work here are in one of these sets (bits); to be shown: 0
 * where the store cannot say. */
uint32_t sp_votes_count(sp_store *store, uint64_t id, uint32_t sets);
enum { SP_SETS_ALL = (1 << SP_ASKS_MAX) - 1 };
/* SP_EDENIED: a set has not its number. Any other error: the store cannot say. */
SP_MUST sp_err sp_ask_is_met(sp_store *store, const sp_ask *ask);

/* What waits, is agreed to, or was given for a while ends by so much earlier or later.
 * In a transaction of the caller. */
SP_MUST sp_err sp_approval_rows_move(sp_store *store, int64_t by_s);

/* ---- sets.c: the approvers of an ask together ---- */
void sp_ask_sets_write(const sp_ask *ask, sp_buf *out);
SP_MUST sp_err sp_ask_sets_read(sp_span bytes, sp_ask *ask);
/* The greatest number that one of them wants. */
uint8_t sp_ask_needed(const sp_ask *ask);
/* The shortest time that one of them gives. */
uint32_t sp_ask_expires_s(const sp_ask *ask);

/* ---- asks.c ---- */
static inline sp_approvals *sp_approvals_of(const sp_core *core)
{
    return core->approvals;
}
/* "7F3K-9Q2M-XA4T" and back. */
bool sp_ask_id_of(sp_span text, uint64_t *ret_id);
/* An event about an ask: kind, severity, target, detail (in room). who did it is the caller's. */
void sp_ask_event(const sp_ask *ask, const char *method, uint32_t approvals, sp_span reason,
                  sp_buf *room, sp_event *event);
/* What was approved begins: once the ledger has that, in the asker's name, on_recorded is called.
 */
void sp_ask_record_use(sp_core *core, const sp_ask *ask, sp_on_recorded on_recorded, void *self);
/* Everybody who looks at approvals looks again. */
void sp_approvals_changed(sp_core *core, const sp_ask *ask);
/* It was approved, or nothing comes of it any more: what follows, by kind. That is on the ledger
 * and in the store. */
void sp_ask_decided(sp_core *core, uint64_t id);
/* The keeper does one thing at a time about an ask or a keep, and not too many at once. False: not
 * now. */
bool sp_approvals_begin(sp_approvals *approvals, uint64_t id);
/* It has begun already, for another core: however many there are. False: it is busy. */
bool sp_approvals_resume(sp_approvals *approvals, uint64_t id);
void sp_approvals_end(sp_approvals *approvals, uint64_t id);
bool sp_approvals_is_busy(const sp_approvals *approvals, uint64_t id);
/* An approved one that core itself carries out (a role, an undo): used. SP_ECONFLICT: it is not
 * approved any more. */
SP_MUST sp_err sp_ask_carried_out(sp_core *core, uint64_t id);

/* It is not tried for a minute. False: it had been put off before, or core stops, and the next one
 * tries it. */
bool sp_ask_put_off(sp_core *core, uint64_t id);
/* It cannot be carried out: on the ledger, where it was not told before or (has_begun) an entry
 * says that it began. For good (sp_again_is_for_good), and it has expired; else it stays approved
 * and is tried again each minute, and when core has started. */
void sp_ask_give_up(sp_core *core, const sp_ask *ask, const char *method, bool has_begun,
                    sp_err err);

/* ---- votes.c: who may, and the API of asks ---- */
/* Whether the asker of this request may approve, and for which of the ask's approvers (bits); else
 * a code and a sentence. */
typedef struct {
    uint32_t sets; /* 0: he may not */
    const char *code;
    const char *why;
} sp_vote_right;
sp_vote_right sp_vote_right_of(sp_request *req, const sp_ask *ask);
/* He may see it: asker, whoever could approve, security and audit administrators. */
bool sp_ask_visible(const sp_request *req, const sp_ask *ask);
/* The answer to who asked for it by the API, with what sp_approvals_ask() told. */
void sp_ask_answer(sp_request *req, const sp_ask *asked, sp_err err, uint64_t id);
SP_MUST sp_err sp_votes_routes(sp_core *core);

/* ---- json.c ---- */
/* The schema Approval. with_content: statement and plan too. */
json_t *sp_ask_json(sp_request *req, const sp_ask *ask, bool with_content);
json_t *sp_ref_json(uint64_t id);

/* ---- gate.c: pushes ---- */
void sp_ask_push_done(sp_core *core, const sp_ask *ask);

/* ---- grants.c: roles for a while, emergency access; grants_api.c: their API ---- */
SP_MUST sp_err sp_grants_routes(sp_core *core);
/* Opens it when who agreed and who asked still may, or gives the ask up. */
void sp_grant_open(sp_core *core, const sp_ask *ask);
/* Ends what is over; when the next one is. */
uint64_t sp_grants_tick(sp_core *core, uint64_t now_unix_s);
/* Roles of a person that he holds for a while because this voter agreed to it. */
SP_MUST sp_err sp_grants_agreed_by(sp_store *store, uint32_t person, uint32_t voter,
                                   uint64_t ret_roles[SP_ROLE_WORDS]);
/* Whether the role is held for a while only. */
bool sp_grant_is_open(sp_store *store, uint32_t person, uint32_t role);

/* ---- reviews.c: standing grants come round ---- */
SP_MUST sp_err sp_reviews_routes(sp_core *core);
void sp_reviews_tick(sp_core *core, uint64_t now_unix_s);

/* ---- keeps.c: what is kept; keeps.h has more ---- */
SP_MUST sp_err sp_keeps_start(sp_approvals *approvals);
void sp_keeps_stop(sp_approvals *approvals);
/* Asks the keeper what keeping would cost; the answer is written to the ask. */
void sp_keeps_estimate(sp_core *core, const sp_ask *ask);
SP_MUST sp_err sp_keeps_on_message(sp_core *core, sp_peer *peer, const sp_msg *msg);
void sp_keeps_tick(sp_core *core, uint64_t now_unix_s);

/* ---- keeps_api.c: the API of what is kept ---- */
SP_MUST sp_err sp_keeps_routes(sp_core *core);

/* ---- undo.c: undo, and rows beside ---- */
/* Carries either out, once the keeper has a place for it; until then it stays approved and is tried
 * again each second. */
void sp_keeps_undo(sp_core *core, const sp_ask *ask);
/* Who ran what this ask would undo, or put beside, and so has no vote on it; 0 = it is of no keep,
 * or nobody. */
SP_MUST sp_err sp_undo_destroyer(sp_store *store, const sp_ask *ask, uint32_t *ret_person);

/* ---- erase.c: taking entries out of the ledger ---- */
SP_MUST sp_err sp_erase_routes(sp_core *core);
/* Whether it takes out what is written of that person. */
bool sp_erase_is_about(const sp_ask *ask, uint32_t person);
/* Carries it out when who agreed and who asked still may, or gives the ask up. again: it may have
 * been carried out before. */
void sp_erasure_go(sp_core *core, const sp_ask *ask, bool again);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Approvals: what somebody may do only when others agree to exactly that. All gates share them, and
 * so do roles for a while, emergency access and undo.
 *
 * Story: a gate (or a person, by the API) asks. What is asked has an asker, a target, the exact
 * bytes and their SHA-256, and who may agree: the policy's word on the rule that asks, kept with
 * it. N distinct other people approve, each with a fresh second factor, from a device that the rule
 * allows; one refusal ends it, and so does time. Where several rules ask for one thing, each must
 * have its N; who is among the people of several counts for each. An approval is used once. Each
 * step is in the ledger before it takes effect, and all of it is in the store: core may die at any
 * point.
 *
 *     waiting --N approvals--> approved --used--> used
 *        |                        |
 *        +--refused, withdrawn, dropped, expired
 *
 * OWNS rows of the store, timers. PROCESS core. TRUST gates may be taken over: they can ask, and
 * use what others approved, nothing more. SPEC docs/ARCHITECTURE.md "Approvals".
 */
#ifndef SP_CORE_APPROVALS_APPROVALS_H
#define SP_CORE_APPROVALS_APPROVALS_H

#include "core/core.h"
#include "infra/ipc/server.h"
#include "lib/base/arena.h"
#include "lib/policy/approvers.h"
#include "lib/proto/event.h"

typedef enum {
    SP_ASK_STATEMENT,   /* of a database */
    SP_ASK_COMMAND,     /* of a shell */
    SP_ASK_GRANT,       /* a role for a while */
    SP_ASK_BREAK_GLASS, /* a sealed role */
    SP_ASK_UNDO,        /* put back what a statement destroyed */
    SP_ASK_ERASURE,     /* take entries out of the ledger */
    SP_ASK_BESIDE,      /* put the rows that were kept of it beside, as plain tables */
    SP_ASK_KIND_COUNT
} sp_ask_kind;
const char *sp_ask_kind_word(sp_ask_kind kind);
/* What is asked is of a keep: ask->keep. */
static inline bool sp_ask_is_of_keep(uint8_t kind)
{
    return kind == SP_ASK_UNDO || kind == SP_ASK_BESIDE;
}

typedef enum {
    SP_ASK_WAITING,
    SP_ASK_APPROVED,
    SP_ASK_REFUSED,
    SP_ASK_EXPIRED,
    SP_ASK_DROPPED, /* the asker withdrew it, or went away */
    SP_ASK_USED,
    SP_ASK_STATE_COUNT
} sp_ask_state;
const char *sp_ask_state_word(sp_ask_state state);

enum {
    SP_ASK_CONTENT_MAX_BYTES = 96 * 1024,
    SP_ASK_JSON_MAX_BYTES = 32 * 1024,
    SP_ASK_REASON_MAX_BYTES = 500,
    SP_ASKS_WAITING_MAX = 20, /* of one person */
    SP_ASKS_DAY_MAX = 200     /* of one person and kind, whatever became of them */
};

/* One thing that is asked. Spans live in the arena it was loaded with, or in the caller. */
typedef struct {
    uint64_t id; /* 60 random bits; people see sp_reference_text() */
    uint8_t kind;
    uint8_t state;
    uint8_t action;
    uint8_t class_level;
    uint32_t asker;
    uint64_t session; /* that it rides on; 0 = none */
    uint64_t reference;
    uint64_t rows;       /* estimated */
    uint64_t keep_bytes; /* about what undo would keep; 0 = not known or nothing */
    uint64_t keep_ms;
    uint64_t keep;       /* UNDO, BESIDE: which; ERASURE: whose entries, by number */
    uint64_t duration_s; /* roles for a while */
    uint64_t created_unix_s;
    uint64_t expires_unix_s;
    uint64_t ended_unix_s;
    sp_hash sha256;
    sp_policy_approvers approvers[SP_ASKS_MAX]; /* of each rule that asks; all must have agreed */
    uint8_t approvers_count;
    sp_span asker_name;
    sp_span resource;
    sp_span database;
    sp_span class_name;
    sp_span rule;  /* the first that asks */
    sp_span rules; /* where several do, JSON array of their names in the order of `approvers` */
    sp_span role;
    sp_span content; /* what would run, for people; secrets are redacted */
    sp_span objects; /* JSON array */
    sp_span plan;    /* JSON, or empty */
    sp_span verbs;   /* of a new STATEMENT (sp_db_ask); not stored */
    sp_span dependants;
    sp_span reason;
    sp_span ticket;
    sp_span ended_by;
} sp_ask;

/* One person's answer; distinct by person. */
typedef struct {
    uint32_t person;
    bool yes;
    uint32_t sets; /* bits: which of the ask's approvers he was one of */
    uint64_t when_unix_s;
    sp_span name;
    sp_span reason;
} sp_vote;

SP_MUST sp_err sp_approvals_start(sp_core *core, sp_approvals **ret_approvals);
void sp_approvals_stop(sp_approvals *approvals);
/* Seconds since 1970 for ending what cannot be taken back: a clock that jumped ahead is not
 * believed for a day. */
uint64_t sp_approvals_careful_now_s(sp_core *core);
/* The wall clock was set (core/clock.h): what was agreed to, and roles for a while, end no later
 * than they would have; a clock set ahead ends them early. In a transaction of the caller. */
SP_MUST sp_err sp_approvals_clock_rows(sp_core *core, int64_t back_s);

/* Asks. fresh: id, state, times are set here; what it points to may go after the call. The ledger
 * first: then(err, id) exactly once. SP_EDENIED: nobody else could approve it; SP_ELIMIT: the
 * asker waits for too many, or has asked for too many in a day; SP_EAGAIN: the ledger cannot
 * record. */
typedef void (*sp_on_asked)(void *self, sp_err err, uint64_t id);
void sp_approvals_ask(sp_core *core, const sp_ask *fresh, sp_on_asked then, void *self);

/* Takes an approval, once, for the asker's session and exactly those bytes. SP_EDENIED. */
typedef void (*sp_on_used)(void *self, sp_err err);
void sp_approvals_use(sp_core *core, uint64_t id, uint64_t session, const sp_hash *sha256,
                      sp_on_used then, void *self);
/* The asker does not want it any more. */
void sp_approvals_drop(sp_core *core, uint64_t id, uint64_t session);
/* SP_ENOTFOUND. Spans live in the arena. */
SP_MUST sp_err sp_ask_load(sp_store *store, sp_arena *arena, uint64_t id, sp_ask *ret_ask);
/* Bits: which of the ask's approvers somebody with these roles is one of; the asker never is. */
uint32_t sp_ask_sets_of(const sp_ask *ask, uint32_t person, const uint64_t roles[SP_ROLE_WORDS]);
/* Whether this person has said yes to it. */
bool sp_ask_approved_by(sp_store *store, uint64_t id, uint32_t person);
/* Messages of lib/proto/db_msg.h about asking and keeping, from a worker of that gate (databases:
 * statements; SSH: commands and shells). An error is for malformed bodies. */
SP_MUST sp_err sp_approvals_on_message(sp_core *core, sp_gate gate, sp_peer *peer,
                                       const sp_msg *msg);
/* A gate said HELLO: it hears what was decided while it or core was away. */
void sp_approvals_tell_gate(sp_core *core, sp_gate gate, sp_peer *peer);
/* The gate where what is asked would run; SP_GATE_NONE: core does it itself. */
sp_gate sp_ask_gate(sp_ask_kind kind);

#endif

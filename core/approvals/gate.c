/* SPDX-License-Identifier: Apache-2.0
 * What the gates of databases and SSH ask about approvals, and what they are told.
 * OWNS what waits for an answer. PROCESS core. TRUST the gate may be taken over: a session must be
 * living, who may approve comes from the policy, never from the message.
 * SPEC lib/proto/db_msg.h.
 */
#include "core/approvals/inside.h"
#include "core/documents/documents.h"
#include "core/sessions/sessions.h"
#include "core/state/gates.h"
#include "infra/proc/clock.h"
#include "lib/proto/db_msg.h"

enum { TOLD_AGAIN_S = 3600, RULES_MAX_BYTES = SP_ASKS_MAX * (6 * SP_NAME_MAX_BYTES + 4) };

typedef struct {
    sp_core *core;
    sp_peer *peer;
    sp_msg to; /* kind and id only */
} waiting;

static sp_err waiting_new(sp_core *core, sp_peer *peer, const sp_msg *msg, waiting **ret_wait)
{
    waiting *wait = NULL;
    TRY(sp_alloc(1, sizeof(*wait), &wait));
    *wait = (waiting){core, sp_peer_ref(peer), {.kind = msg->kind, .id = msg->id}};
    *ret_wait = wait;
    return sp_ok();
}

static void waiting_free(waiting *wait)
{
    sp_peer_unref(wait->peer);
    sp_free(wait);
}

static void reply(waiting *wait, sp_err err, sp_span body)
{
    sp_peer_reply(wait->peer, &wait->to, err.code, body, NULL, 0);
    waiting_free(wait);
}

/* ---- ASK ---- */

static void on_asked(void *self, sp_err err, uint64_t id)
{
    auto_buf sp_buf body = sp_buf_make(64);
    const sp_db_ask_id made = {id};
    sp_db_ask_id_write(&made, &body);
    reply(self, err, sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(&body));
}

sp_gate sp_ask_gate(sp_ask_kind kind)
{
    return kind == SP_ASK_STATEMENT ? SP_GATE_DB
           : kind == SP_ASK_COMMAND ? SP_GATE_SSH
                                    : SP_GATE_NONE;
}

/* Each rule that asks has to be met by its own people, in its own number. rules: room for their
 * names. */
static sp_err take_rules(const sp_policy_set *set, const sp_db_ask *from, sp_buf *rules,
                         sp_ask *ask)
{
    for (uint8_t i = 0; i < from->rules_count; i++) {
        TRY(sp_policy_set_rule_approvers(set, from->rules[i], &ask->approvers[i]));
        sp_buf_text(rules, i == 0 ? "[" : ",");
        sp_buf_json(rules, from->rules[i]);
    }
    sp_buf_text(rules, "]");
    TRY(sp_buf_error(rules));
    ask->approvers_count = from->rules_count;
    ask->rules = from->rules_count > 1 ? sp_buf_borrow(rules) : SP_SPAN_EMPTY;
    if (from->needed > ask->approvers[0].needed) { /* a Never wants more */
        ask->approvers[0].needed = from->needed;
    }
    return sp_ok();
}

static sp_err read_ask(const sp_core *core, sp_gate gate, const sp_db_ask *from,
                       const sp_live_session *session, sp_buf *rules, sp_ask *ret_ask)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    if (set == NULL) {
        return sp_fail(SP_EAGAIN);
    }
    sp_ask ask = {.kind = gate == SP_GATE_SSH ? SP_ASK_COMMAND : SP_ASK_STATEMENT,
                  .action = from->action,
                  .class_level = from->class_level,
                  .asker = session->person,
                  .session = session->id,
                  .reference = from->reference,
                  .rows = from->estimated_rows <= INT64_MAX ? from->estimated_rows : INT64_MAX,
                  .keep_bytes = from->keep_bytes <= INT64_MAX ? from->keep_bytes : INT64_MAX,
                  .asker_name = sp_span_cstr(session->person_name),
                  .resource = from->resource,
                  .database = from->database,
                  .class_name = sp_policy_class_name(sp_policy_set_view(set), from->class_level),
                  .rule = from->rules[0],
                  .content = from->statement,
                  .objects = from->objects,
                  .plan = from->plan,
                  .verbs = from->verbs};
    sp_copy(ask.sha256.bytes, from->sha256, SP_SHA256_BYTES);
    TRY(take_rules(set, from, rules, &ask));
    *ret_ask = ask;
    return sp_ok();
}

static sp_err on_ask(sp_core *core, sp_gate gate, sp_peer *peer, const sp_msg *msg)
{
    sp_db_ask from;
    TRY(sp_db_ask_read(msg->body, &from));
    sp_live_session session;
    sp_ask ask;
    waiting *wait = NULL;
    auto_buf sp_buf rules = sp_buf_make(RULES_MAX_BYTES);
    sp_err err = sp_sessions_live(core, from.session.slot, from.session.id, &session);
    if (!sp_failed(err)) {
        err = read_ask(core, gate, &from, &session, &rules, &ask);
    }
    if (!sp_failed(err)) {
        err = waiting_new(core, peer, msg, &wait);
    }
    if (sp_failed(err)) {
        sp_code code = err.code == SP_ENOTFOUND ? SP_EDENIED : err.code;
        sp_peer_reply(peer, msg, code, SP_SPAN_EMPTY, NULL, 0);
        return sp_ok();
    }
    sp_approvals_ask(core, &ask, on_asked, wait);
    return sp_ok();
}

/* ---- ASK_USE, ASK_DROP ---- */

static void on_used(void *self, sp_err err)
{
    reply(self, err, SP_SPAN_EMPTY);
}

/* What was approved for one gate is no approval at another. */
static bool is_of_gate(sp_core *core, uint64_t id, sp_gate gate)
{
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_ask ask;
    return !sp_failed(sp_ask_load(core->store, &arena, id, &ask)) && sp_ask_gate(ask.kind) == gate;
}

static sp_err on_use(sp_core *core, sp_gate gate, sp_peer *peer, const sp_msg *msg)
{
    sp_db_ask_use use;
    TRY(sp_db_ask_use_read(msg->body, &use));
    sp_live_session session;
    waiting *wait = NULL;
    sp_err err = sp_sessions_live(core, use.session.slot, use.session.id, &session);
    if (!sp_failed(err)) {
        err = is_of_gate(core, use.ask, gate) ? sp_ok() : sp_fail(SP_EDENIED);
    }
    if (!sp_failed(err)) {
        err = waiting_new(core, peer, msg, &wait);
    }
    if (sp_failed(err)) {
        sp_code code = err.code == SP_ENOTFOUND ? SP_EDENIED : err.code;
        sp_peer_reply(peer, msg, code, SP_SPAN_EMPTY, NULL, 0);
        return sp_ok();
    }
    sp_hash hash;
    sp_copy(hash.bytes, use.sha256, SP_SHA256_BYTES);
    sp_approvals_use(core, use.ask, use.session.id, &hash, on_used, wait);
    return sp_ok();
}

/* Ids are random: a gate that knows one was told it. */
static sp_err on_drop(sp_core *core, sp_gate gate, const sp_msg *msg)
{
    sp_db_ask_id drop;
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_ask ask;
    TRY(sp_db_ask_id_read(msg->body, &drop));
    if (!sp_failed(sp_ask_load(core->store, &arena, drop.ask, &ask)) &&
        sp_ask_gate(ask.kind) == gate) {
        sp_approvals_drop(core, ask.id, ask.session);
    }
    return sp_ok();
}

sp_err sp_approvals_on_message(sp_core *core, sp_gate gate, sp_peer *peer, const sp_msg *msg)
{
    switch (msg->kind) {
    case SP_CORE_DB_ASK:
        return on_ask(core, gate, peer, msg);
    case SP_CORE_DB_ASK_USE:
        return on_use(core, gate, peer, msg);
    case SP_CORE_DB_ASK_DROP:
        return on_drop(core, gate, msg);
    case SP_CORE_DB_KEEP:
        return sp_keeps_on_message(core, peer, msg);
    default:
        return sp_fail(SP_EUNSUPPORTED);
    }
}

/* ---- ASK_DONE ---- */

typedef struct {
    sp_buf by;
    sp_span reason;
    sp_arena *arena;
    bool yes;
} names;

static void add_name(void *self, const sp_vote *vote)
{
    names *n = self;
    if (vote->yes == n->yes) {
        sp_buf_text(&n->by, n->by.len > 0 ? ", " : "");
        sp_buf_span(&n->by, vote->name);
        SP_IGNORE(sp_arena_copy(n->arena, vote->reason, &n->reason)); /* only a word for people */
    }
}

static void write_done(const sp_core *core, const sp_ask *ask, sp_buf *body)
{
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    bool yes = ask->state == SP_ASK_APPROVED;
    names n = {sp_buf_make(SP_DB_BY_MAX_BYTES), SP_SPAN_EMPTY, &arena, yes};
    SP_IGNORE(sp_votes_each(core->store, ask->id, add_name, &n)); /* only names for people */
    sp_span reason = sp_span_slice(n.reason, 0, SP_DB_REASON_MAX_BYTES);
    if (!sp_span_is_utf8(reason)) { /* cut within a letter */
        reason = SP_SPAN_EMPTY;
    }
    if (ask->state == SP_ASK_EXPIRED) {
        reason = SP_SPAN_LIT("nobody approved it in time");
    } else if (ask->state == SP_ASK_DROPPED) {
        reason = SP_SPAN_LIT("it was withdrawn");
    }
    const sp_db_ask_done done = {.ask = ask->id,
                                 .verdict = yes ? SP_VERDICT_ALLOW : SP_VERDICT_DENY,
                                 .by = sp_failed(sp_buf_error(&n.by)) ? SP_SPAN_EMPTY
                                                                      : sp_buf_borrow(&n.by),
                                 .reason = yes ? SP_SPAN_EMPTY : reason};
    sp_db_ask_done_write(&done, body);
    sp_buf_done(&n.by);
}

void sp_ask_push_done(sp_core *core, const sp_ask *ask)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    write_done(core, ask, &body);
    if (core->state->gates != NULL) {
        sp_gates_push(core->state->gates, sp_ask_gate(ask->kind), SP_CORE_DB_ASK_DONE,
                      sp_buf_borrow(&body));
    }
}

typedef struct {
    sp_core *core;
    sp_gate gate;
    sp_peer *peer;
    uint64_t since_unix_s; /* decided then or later */
    unsigned left;
} telling;

static bool tell_one(void *self, uint64_t id)
{
    telling *t = self;
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ask ask;
    if (!sp_failed(sp_ask_load(t->core->store, &arena, id, &ask)) &&
        sp_ask_gate(ask.kind) == t->gate && ask.ended_unix_s >= t->since_unix_s) {
        write_done(t->core, &ask, &body);
        sp_peer_push(t->peer, SP_CORE_DB_ASK_DONE, sp_buf_borrow(&body), NULL, 0);
    }
    return --t->left > 0;
}

void sp_approvals_tell_gate(sp_core *core, sp_gate gate, sp_peer *peer)
{
    static const sp_ask_state ended[] = {SP_ASK_REFUSED, SP_ASK_EXPIRED, SP_ASK_DROPPED};
    telling t = {core, gate, peer, 0, SP_ASKS_LISTED_MAX};
    if (core->approvals == NULL) {
        return;
    }
    SP_IGNORE(sp_asks_each(core->store, SP_ASK_APPROVED, 0, tell_one, &t)); /* it will ask */
    t.since_unix_s = sp_now_unix_us() / 1000000 - TOLD_AGAIN_S;
    for (size_t i = 0; i < SP_COUNT(ended); i++) { /* else whoever waits would wait for ever */
        t.left = SP_ASKS_LISTED_MAX;
        SP_IGNORE(sp_asks_each(core->store, ended[i], 0, tell_one, &t)); /* only news */
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Other people agree: what they are shown, the question to core, its answer, and the use of their
 * word, once and for these very bytes. OWNS nothing. PROCESS db gate workers. TRUST core's answers
 * are checked. SPEC lib/proto/db_msg.h.
 */
#include "gates/db/judging.h"
#include "lib/proto/db_msg.h"
#include "lib/sql/redact.h"

#include <stdio.h>

enum { SHOWN_MAX_BYTES = SP_DB_STATEMENT_MAX_BYTES };

static sp_db_session live_of(const db_session *session)
{
    return (sp_db_session){session->live_slot, session->live_id};
}

bool db_use_place(const db_session *session, const db_ruling *ruling, uint32_t actions,
                  const sp_sql_use *use, sp_span *ret_schema, sp_span *ret_name)
{
    const sp_sql_catalogue *now = db_session_judge(session)->catalogue->now;
    bool becomes = (use->flags & SP_SQL_USE_BECOMES) != 0;
    *ret_schema = use->schema;
    *ret_name = use->name;
    if (becomes && use->relation != SP_NONE) {
        *ret_schema = sp_sql_catalogue_at(now, use->relation)->schema; /* what is renamed */
        *ret_name = sp_sql_catalogue_at(now, use->relation)->name;
    }
    /* what policy may have asked for as more than it says (ruling.c) */
    bool may_grow = (use->flags & (SP_SQL_USE_BECOMES | SP_SQL_USE_BROAD)) != 0;
    uint32_t grown = may_grow ? ruling->actions & 1U << SP_ACTION_DESTROY : 0;
    return ((1U << use->action | grown) & actions) != 0;
}

bool db_asks_relations(const db_session *session, const db_run_ask *run, uint32_t actions,
                       bool with_kind, sp_buf *out)
{
    /* TRUNCATE ... CASCADE follows foreign keys, and the keeper does the same */
    bool follows = sp_sql_verbs(run->judgement) == (SP_SQL_VERB_TRUNCATE | SP_SQL_VERB_CASCADE);
    bool any = false;
    bool whole = false;
    sp_buf_text(out, "[");
    for (uint32_t i = 0; i < run->judgement->use_count; i++) {
        const sp_sql_use *use = &run->judgement->uses[i];
        sp_span schema;
        sp_span name;
        if (!db_use_place(session, run->ruling, actions, use, &schema, &name)) {
            continue;
        }
        if (use->kind != SP_SQL_RELATION || schema.len == 0) {
            whole = whole || !follows || (use->flags & SP_SQL_USE_IMPLIED) == 0;
            continue;
        }
        sp_buf_text(out, any ? ",{" : "{");
        sp_buf_text(out, with_kind ? "\"kind\":\"relation\"," : "");
        sp_buf_text(out, "\"schema\":");
        sp_buf_json(out, schema);
        sp_buf_text(out, ",\"name\":");
        sp_buf_json(out, name);
        sp_buf_text(out, "}");
        any = true;
    }
    sp_buf_text(out, "]");
    return !whole && any && !sp_failed(sp_buf_error(out));
}

db_verdict db_asks_not(const char *message, const char *hint, db_refusal *refusal)
{
    db_refuse(refusal, "42501", SP_REASON_APPROVAL, "%s", message);
    snprintf(refusal->hint, sizeof(refusal->hint), "%s", hint);
    return DB_REFUSE;
}

static void on_asked(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    db_pending *pending = &db_session_judge(session)->pending;
    sp_db_ask_id id = {0};
    (void)fds;
    pending->call = 0;
    if (msg == NULL || (!sp_failed(err) && sp_failed(sp_db_ask_id_read(msg->body, &id)))) {
        db_pending_fail(session, "57P03", SP_REASON_UNAVAILABLE,
                        "nobody could be asked: core does not answer", "");
    } else if (sp_failed(err)) {
        db_pending_fail(session, "42501", SP_REASON_APPROVAL,
                        err.code == SP_ELIMIT
                            ? "too many statements of yours wait for others, or did within a day"
                            : "nobody could approve this statement",
                        "Ask the security people of the office.");
    } else {
        pending->ask = id.ask;
        pending->state = DB_PENDING_PUSH;
        char text[160];
        char reference[SP_REFERENCE_TEXT_BYTES];
        sp_reference_text(pending->reference, reference);
        snprintf(text, sizeof(text), "this statement waits until %u other %s%s (reference %s)",
                 (unsigned)pending->needed, pending->needed == 1 ? "person agrees" : "people agree",
                 pending->rules > 1 ? ", and those of other rules" : "", reference);
        db_session_notice(session, SP_SPAN_LIT("01000"), sp_span_cstr(text),
                          pending->hint == NULL ? SP_SPAN_EMPTY : sp_span_cstr(pending->hint));
    }
}

/* What others agree to is what they see: all of it, under no other name, as its own session reads
 * it. */
static bool show(const db_session *session, const db_run_ask *run, sp_buf *shown)
{
    db_pending *pending = &db_session_judge(session)->pending;
    auto_buf sp_buf settings = sp_buf_make((size_t)DB_SETTINGS * (DB_SETTING_BYTES * 2 + 64));
    bool is_secret = (run->judgement->flags & SP_SQL_IS_SECRET) != 0;
    auto_buf sp_buf all = sp_buf_make(SHOWN_MAX_BYTES * 2);
    db_run_write(run, &all);
    pending->shown = pending->hash;
    if (db_estimate_settings_write(session, &settings)) {
        const sp_span parts[] = {{pending->hash.bytes, SP_SHA256_BYTES}, sp_buf_borrow(&settings)};
        pending->shown = sp_sha256_parts(parts, SP_COUNT(parts));
        sp_buf_span(&all, sp_buf_borrow(&settings));
    }
    return !sp_failed(sp_buf_error(&all)) && !sp_failed(sp_buf_error(&settings)) &&
           sp_sql_show(sp_buf_borrow(&all), is_secret, all.len > run->text.len, SHOWN_MAX_BYTES,
                       shown);
}

/* The asker hears what the approvers see. */
static void say_estimate(db_pending *pending, const db_estimated *found)
{
    static const char cancel[] = "It can be cancelled meanwhile.";
    char hint[360];
    if (found->why_not[0] != '\0') {
        snprintf(hint, sizeof(hint),
                 "About %llu rows; they are told that there is no whole plan: %s. %s",
                 (unsigned long long)found->rows, found->why_not, cancel);
    } else {
        snprintf(hint, sizeof(hint), "They see about %llu rows. %s",
                 (unsigned long long)found->rows, cancel);
    }
    sp_free(pending->hint);
    pending->hint = NULL;
    SP_IGNORE(sp_strdup(sp_span_cstr(hint), &pending->hint)); /* it is only for his information */
}

/* However long they think, the server does not count it. */
static db_verdict stop_clocks(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    if (session->is_unsynced && !db_hold_may_follow(run)) {
        db_refuse(refusal, "0A000", SP_REASON_APPROVAL,
                  "in a pipeline others cannot be asked about a statement of this kind");
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Send it as a simple query (psql; JDBC: preferQueryMode=simple).");
        return DB_REFUSE;
    }
    pending->state = DB_PENDING_CLOCKS;
    if (sp_failed(db_hold_clocks(session))) {
        db_refuse(refusal, "53200", SP_REASON_UNAVAILABLE, "the gate has no memory left");
        return DB_CUT;
    }
    return DB_WAIT;
}

db_verdict db_asks_begin(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    const sp_decision *decision = &run->ruling->decision;
    auto_buf sp_buf shown = sp_buf_make(SHOWN_MAX_BYTES);
    if ((run->judgement->flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH)) != 0) {
        return db_asks_not("others cannot agree to what is run by a name",
                           "Send the statement itself instead of EXECUTE or FETCH.", refusal);
    }
    if (!db_values_are_plain(run)) {
        return db_asks_not("others cannot agree to values of types that may make others of them",
                           "Leave the types of parameters to the server, or to the statement: "
                           "$1::int.",
                           refusal);
    }
    if (decision->asks_apart) {
        return db_asks_not("more rules ask others for parts of this than can be asked for at once",
                           "Send them apart, so that each waits for those whose word it needs.",
                           refusal);
    }
    if ((pending->done & DB_DONE_CLOCKS) == 0) {
        return stop_clocks(session, run, refusal);
    }
    const db_estimated *found = db_estimate_ask(session, run, &pending->hash);
    if (found == NULL) {
        return DB_WAIT;
    }
    if (!show(session, run, &shown)) {
        return db_asks_not(
            "others cannot agree to a statement that cannot be shown to them whole",
            "It is too long, or its literals cannot be told apart: send it in parts.", refusal);
    }
    say_estimate(pending, found);
    auto_buf sp_buf plan = sp_buf_make(SP_DB_PLAN_MAX_BYTES);
    db_estimate_write(session, &plan);
    db_pending_drop_ask(pending); /* an earlier one, to which too few or others agreed by now */
    pending->done = 0;
    auto_buf sp_buf objects = sp_buf_make(SP_DB_OBJECTS_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    bool named = db_asks_relations(session, run, run->ruling->asked, true, &objects);
    auto_buf sp_buf verbs = sp_buf_make(SP_DB_VERBS_MAX_BYTES);
    sp_sql_verbs_write(sp_sql_verbs(run->judgement), &verbs);
    pending->reference = sp_recorder_reference();
    pending->needed = decision->approvals;
    pending->rules = decision->asks_count;
    pending->asked = sp_decision_agreed(&session->snapshot->policy, decision);
    db_refusal asked = {.reason = SP_REASON_APPROVAL, .reference = pending->reference};
    db_judge_refused(session, run->ruling, run->tag, run->shown, &asked);
    sp_db_ask ask = {.connection = session->connection,
                     .session = live_of(session),
                     .reference = pending->reference,
                     .action = (uint8_t)run->ruling->action,
                     .class_level = decision->class_level,
                     .needed = decision->approvals,
                     .resource = sp_span_cstr(session->resource_name),
                     .database = sp_span_cstr(session->database),
                     .statement = sp_buf_borrow(&shown),
                     .estimated_rows = found->rows,
                     .plan = sp_failed(sp_buf_error(&plan)) ? SP_SPAN_EMPTY : sp_buf_borrow(&plan),
                     .rules_count = decision->asks_count,
                     .objects = named ? sp_buf_borrow(&objects) : SP_SPAN_LIT("[]"),
                     .verbs = sp_buf_borrow(&verbs)};
    for (uint8_t i = 0; i < decision->asks_count; i++) {
        ask.rules[i] = sp_policy_rule_name(&session->snapshot->policy, decision->asks[i]);
    }
    sp_copy(ask.sha256, pending->shown.bytes, SP_SHA256_BYTES);
    sp_db_ask_write(&ask, &body);
    return db_pending_call(session, SP_CORE_DB_ASK, &body, on_asked, refusal);
}

static void on_used(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    db_pending *pending = &db_session_judge(session)->pending;
    (void)fds;
    pending->call = 0;
    if (msg == NULL) {
        db_pending_fail(
            session, "57P03", SP_REASON_UNAVAILABLE,
            "whether the approval may be used cannot be found out: core does not answer",
            "It may have been used: others have to agree again.");
        return;
    }
    if (sp_failed(err)) {
        db_pending_fail(session, "42501", SP_REASON_APPROVAL, "the approval could not be used",
                        "It may have been used or have expired.");
        return;
    }
    pending->done |= DB_DONE_APPROVED;
    pending->ask = 0;
    db_pending_go_on(session);
}

static db_session *session_of_ask(uint64_t ask)
{
    for (uint32_t i = 0; ask != 0 && i < db_here.session_cap; i++) {
        db_session *session = db_here.sessions[i];
        if (session != NULL && session->judge != NULL && session->judge->pending.ask == ask &&
            session->judge->pending.state == DB_PENDING_PUSH) {
            return session;
        }
    }
    return NULL;
}

static void on_ask_done(const sp_db_ask_done *done)
{
    db_session *session = session_of_ask(done->ask);
    if (session == NULL) {
        return;
    }
    db_pending *pending = &session->judge->pending;
    char text[240];
    if (done->verdict != SP_VERDICT_ALLOW) {
        pending->ask = 0;
        snprintf(text, sizeof(text), "others did not agree to this statement: %.*s",
                 (int)(done->reason.len < 180 ? done->reason.len : 180),
                 done->reason.len > 0 ? (const char *)done->reason.ptr : "");
        db_pending_fail(session, "42501", SP_REASON_APPROVAL, text, "");
        return;
    }
    snprintf(text, sizeof(text), "approved by %.*s", (int)(done->by.len < 180 ? done->by.len : 180),
             done->by.len > 0 ? (const char *)done->by.ptr : "");
    db_session_notice(session, SP_SPAN_LIT("01000"), sp_span_cstr(text), SP_SPAN_EMPTY);
    pending->done |= DB_DONE_AGREED;
    db_estimate_forget(session); /* what they saw is as old as their answer */
    db_pending_go_on(session);
}

db_verdict db_asks_use(db_session *session, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    auto_buf sp_buf body = sp_buf_make(256);
    sp_db_ask_use use = {.ask = pending->ask, .session = live_of(session)};
    sp_copy(use.sha256, pending->shown.bytes, SP_SHA256_BYTES);
    sp_db_ask_use_write(&use, &body);
    return db_pending_call(session, SP_CORE_DB_ASK_USE, &body, on_used, refusal);
}

void db_pending_push(const sp_msg *msg)
{
    sp_db_ask_done done;
    if (msg->kind == SP_CORE_DB_ASK_DONE && !sp_failed(sp_db_ask_done_read(msg->body, &done))) {
        on_ask_done(&done);
    }
}

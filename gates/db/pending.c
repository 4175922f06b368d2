/* SPDX-License-Identifier: Apache-2.0
 * What has to happen before a statement runs: other people agree, what it would destroy is kept,
 * the disk has the record (budgets: spend.c). The client's message waits meanwhile, and is judged
 * again after each step; a step that was done for these very bytes is not done twice. OWNS the
 * pending part of a judge. PROCESS db gate workers. TRUST core's answers are checked. SPEC
 * lib/proto/db_msg.h, gates/db/judge.h.
 */
#include "gates/db/judging.h"
#include "lib/policy/database.h"
#include "lib/proto/db_msg.h"
#include "lib/sql/redact.h"

#include <stdio.h>

enum { SHOWN_MAX_BYTES = SP_DB_STATEMENT_MAX_BYTES };
#define KEEP_MAX_MS ((uint64_t)6 * 3600 * 1000) /* the client can cancel at any time */

/* ---- states ---- */

static void drop_ask(db_pending *pending)
{
    if (pending->ask == 0) {
        return;
    }
    auto_buf sp_buf body = sp_buf_make(64);
    sp_db_ask_id_write(&(sp_db_ask_id){pending->ask}, &body);
    (void)sp_link_tell(&db_here.office.link, SP_CORE_DB_ASK_DROP, sp_buf_borrow(&body));
    pending->ask = 0;
}

/* Most statements have nothing to wait for: then nothing was begun, and there is nothing to end. */
static void begin(db_pending *pending, const sp_hash *hash)
{
    pending->begun = true;
    pending->hash = *hash;
}

void db_pending_reset(db_pending *pending)
{
    if (!pending->begun) {
        return;
    }
    drop_ask(pending);
    if (pending->call != 0) {
        sp_link_forget(&db_here.office.link, pending->call);
    }
    if (pending->state == DB_PENDING_DISK) {
        sp_recorder_forget(&pending->wait);
    }
    *pending = (db_pending){.state = DB_PENDING_NONE};
}

static void go_on(db_session *session)
{
    db_session_judge(session)->pending.state = DB_PENDING_NONE;
    db_session_resume(session);
}

static void fail_with(db_session *session, const char *sqlstate, sp_reason reason,
                      const char *message, const char *hint, sp_span detail)
{
    db_pending *pending = &db_session_judge(session)->pending;
    db_refuse(&pending->refusal, sqlstate, reason, "%s", message);
    snprintf(pending->refusal.hint, sizeof(pending->refusal.hint), "%s", hint);
    SP_IGNORE(sp_fit(pending->refusal.detail, sizeof(pending->refusal.detail),
                     detail)); /* SP_DB_WHY_MAX_BYTES */
    pending->state = DB_PENDING_REFUSED;
    db_session_resume(session);
}

static void fail(db_session *session, const char *sqlstate, sp_reason reason, const char *message,
                 const char *hint)
{
    fail_with(session, sqlstate, reason, message, hint, SP_SPAN_EMPTY);
}

static db_verdict call(db_session *session, uint16_t kind, sp_buf *body, sp_link_reply on_reply,
                       db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    pending->call = sp_failed(sp_buf_error(body))
                        ? 0
                        : sp_link_call(&db_here.office.link, kind, sp_buf_borrow(body), NULL, 0,
                                       on_reply, session);
    if (pending->call == 0) {
        db_refuse(refusal, "57P03", SP_REASON_UNAVAILABLE,
                  "core cannot be asked now whether this may run");
        return DB_REFUSE;
    }
    pending->state = DB_PENDING_CALL;
    return DB_WAIT;
}

static sp_db_session live_of(const db_session *session)
{
    return (sp_db_session){session->live_slot, session->live_id};
}

/* ---- other people agree ---- */

static void on_asked(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    db_pending *pending = &db_session_judge(session)->pending;
    sp_db_ask_id id = {0};
    (void)fds;
    pending->call = 0;
    if (msg == NULL || (!sp_failed(err) && sp_failed(sp_db_ask_id_read(msg->body, &id)))) {
        fail(session, "57P03", SP_REASON_UNAVAILABLE, "nobody could be asked: core does not answer",
             "");
    } else if (sp_failed(err)) {
        fail(session, "42501", SP_REASON_APPROVAL,
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
                          sp_span_cstr(pending->hint));
    }
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

/* The relations of these actions (those that others are asked for, those that are destroyed), as
 * JSON; false: not all of them can be named, it is about the whole database. */
static bool write_relations(const db_session *session, const db_run_ask *run, uint32_t actions,
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

static db_verdict no_ask(const char *message, const char *hint, db_refusal *refusal)
{
    db_refuse(refusal, "42501", SP_REASON_APPROVAL, "%s", message);
    snprintf(refusal->hint, sizeof(refusal->hint), "%s", hint);
    return DB_REFUSE;
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
           sp_sql_show(sp_buf_borrow(&all), is_secret, SHOWN_MAX_BYTES, shown);
}

/* The asker hears what the approvers see. */
static void say_estimate(db_pending *pending, const db_estimated *found)
{
    static const char cancel[] = "It can be cancelled meanwhile.";
    if (found->why_not[0] != '\0') {
        snprintf(pending->hint, sizeof(pending->hint),
                 "About %llu rows; they are told that there is no whole plan: %s. %s",
                 (unsigned long long)found->rows, found->why_not, cancel);
    } else {
        snprintf(pending->hint, sizeof(pending->hint), "They see about %llu rows. %s",
                 (unsigned long long)found->rows, cancel);
    }
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

static db_verdict ask_others(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    const sp_decision *decision = &run->ruling->decision;
    auto_buf sp_buf shown = sp_buf_make(SHOWN_MAX_BYTES);
    if ((run->judgement->flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH)) != 0) {
        return no_ask("others cannot agree to what is run by a name",
                      "Send the statement itself instead of EXECUTE or FETCH.", refusal);
    }
    if (decision->asks_apart) {
        return no_ask("more rules ask others for parts of this than can be asked for at once",
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
        return no_ask("others cannot agree to a statement that cannot be shown to them whole",
                      "It is too long, or its literals cannot be told apart: send it in parts.",
                      refusal);
    }
    say_estimate(pending, found);
    auto_buf sp_buf plan = sp_buf_make(SP_DB_PLAN_MAX_BYTES);
    db_estimate_write(session, &plan);
    drop_ask(pending); /* an earlier one, to which too few or others agreed by now */
    pending->done = 0;
    auto_buf sp_buf objects = sp_buf_make(SP_DB_OBJECTS_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    bool named = write_relations(session, run, run->ruling->asked, true, &objects);
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
    return call(session, SP_CORE_DB_ASK, &body, on_asked, refusal);
}

static void on_used(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    db_pending *pending = &db_session_judge(session)->pending;
    (void)fds;
    pending->call = 0;
    if (msg == NULL) {
        fail(session, "57P03", SP_REASON_UNAVAILABLE,
             "whether the approval may be used cannot be found out: core does not answer",
             "It may have been used: others have to agree again.");
        return;
    }
    if (sp_failed(err)) {
        fail(session, "42501", SP_REASON_APPROVAL, "the approval could not be used",
             "It may have been used or have expired.");
        return;
    }
    pending->done |= DB_DONE_APPROVED;
    pending->ask = 0;
    go_on(session);
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
        fail(session, "42501", SP_REASON_APPROVAL, text, "");
        return;
    }
    snprintf(text, sizeof(text), "approved by %.*s", (int)(done->by.len < 180 ? done->by.len : 180),
             done->by.len > 0 ? (const char *)done->by.ptr : "");
    db_session_notice(session, SP_SPAN_LIT("01000"), sp_span_cstr(text), SP_SPAN_EMPTY);
    pending->done |= DB_DONE_AGREED;
    db_estimate_forget(session); /* what they saw is as old as their answer */
    go_on(session);
}

static db_verdict use_word(db_session *session, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    auto_buf sp_buf body = sp_buf_make(256);
    sp_db_ask_use use = {.ask = pending->ask, .session = live_of(session)};
    sp_copy(use.sha256, pending->shown.bytes, SP_SHA256_BYTES);
    sp_db_ask_use_write(&use, &body);
    return call(session, SP_CORE_DB_ASK_USE, &body, on_used, refusal);
}

/* ---- it is still what they were asked about ---- */

static db_verdict has_changed(db_session *session, db_refusal *refusal)
{
    db_pending_reset(&db_session_judge(session)->pending);
    return no_ask("what this statement meets is not what others agreed to: the database has "
                  "changed meanwhile",
                  "Send it again to ask them again.", refusal);
}

/* The catalogue may be seconds old: what it says now is waited for. */
static db_verdict look_first(db_session *session, db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    db_pending *pending = &judge->pending;
    if (pending->look_us != 0) { /* it has been looked for, in vain */
        db_pending_reset(pending);
        db_refuse(refusal, "57P03", SP_REASON_UNAVAILABLE,
                  "the gate cannot see now what this database holds");
        return DB_REFUSE;
    }
    pending->look_us = sp_loop_now_us(db_here.loop);
    pending->state = DB_PENDING_LOOK;
    db_judge_attend(session);
    db_catalogue_look(judge->catalogue);
    return DB_WAIT;
}

void db_pending_looked(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    db_pending *pending = &judge->pending;
    if (pending->state != DB_PENDING_LOOK) {
        return;
    }
    bool seen = judge->catalogue->seen_us >= pending->look_us;
    if (seen) {
        pending->done |= DB_DONE_LOOKED;
    }
    if (seen || judge->catalogue->back == NULL) {
        go_on(session);
    }
}

/* ---- what would be destroyed is held and kept ---- */

void db_pending_held(db_session *session, bool good)
{
    db_pending *pending = &db_session_judge(session)->pending;
    bool is_clocks = pending->state == DB_PENDING_CLOCKS;
    if (pending->state != DB_PENDING_HOLD && !is_clocks) {
        return;
    }
    if (pending->is_cancelled) {
        fail(session, "57014", SP_REASON_APPROVAL, "canceling statement due to user request", "");
    } else if (!good && is_clocks) {
        fail(session, session->hold_state, SP_REASON_UNAVAILABLE, session->hold_why,
             "Nobody was asked.");
    } else if (!good) {
        char text[240];
        snprintf(text, sizeof(text),
                 "what this statement destroys could not be held while it is kept: %s",
                 session->hold_why);
        fail(session, session->hold_state, SP_REASON_UNAVAILABLE, text,
             "Others may be changing it: try again when they have ended.");
    } else {
        pending->done |= is_clocks ? DB_DONE_CLOCKS : DB_DONE_HELD;
        go_on(session);
    }
}

/* A transaction of ours that holds would be another one than the client's. */
static bool cannot_begin(const db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    if (run->is_portal || !db_hold_is_blind(session) || session->transaction == 'E' ||
        db_hold_cannot(session, run) != NULL) {
        return false;
    }
    db_refuse(refusal, "0A000", SP_REASON_UNAVAILABLE,
              "what has to be held, behind the beginning or end of a transaction that was not "
              "synced, is not let through");
    snprintf(refusal->hint, sizeof(refusal->hint), "Send a Sync between.");
    return true;
}

static db_verdict hold_first(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    const char *why = db_hold_cannot(session, run);
    if (why != NULL || session->transaction == 'E') {
        db_session_notice(session, SP_SPAN_LIT("01000"),
                          SP_SPAN_LIT("others may change what is kept before this runs"),
                          sp_span_cstr(why == NULL ? "" : why));
        pending->done |= DB_DONE_HELD;
        return db_pending_step(session, run, refusal);
    }
    if (cannot_begin(session, run, refusal)) {
        return DB_REFUSE;
    }
    pending->state = DB_PENDING_HOLD;
    if (sp_failed(db_hold_begin(session, run))) {
        db_refuse(refusal, "53200", SP_REASON_UNAVAILABLE,
                  "what this statement destroys could not be held while it is kept");
        return DB_CUT;
    }
    pending->holder = session->back->pid;
    return DB_WAIT;
}

/* Nothing else of this client is under way. */
static db_verdict wrap_first(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_verdict needs = db_whole_needs(session, run, refusal);
    if (needs != DB_CUT) {
        return needs;
    }
    db_session_judge(session)->pending.state = DB_PENDING_HOLD;
    if (sp_failed(db_hold_wrap(session))) {
        db_refuse(refusal, "53200", SP_REASON_UNAVAILABLE, "the gate has no memory left");
        return DB_CUT;
    }
    return DB_WAIT;
}

static void on_kept(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    db_pending *pending = &db_session_judge(session)->pending;
    sp_db_kept kept = {.why = SP_SPAN_EMPTY};
    (void)fds;
    pending->call = 0;
    bool is_told = msg != NULL && !sp_failed(sp_db_kept_read(msg->body, &kept));
    if (sp_failed(err) || !is_told) {
        fail_with(session, "58000", SP_REASON_UNAVAILABLE,
                  "what this statement destroys could not be kept, so it does not run", "",
                  kept.why);
        return;
    }
    char text[160];
    snprintf(text, sizeof(text), "kept %llu bytes in %llu ms before it runs",
             (unsigned long long)kept.bytes, (unsigned long long)kept.duration_ms);
    db_session_notice(session, SP_SPAN_LIT("01000"), sp_span_cstr(text),
                      SP_SPAN_LIT("sallyport db undo brings it back."));
    pending->done |= DB_DONE_KEPT;
    go_on(session);
}

static db_verdict keep_first(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    auto_buf sp_buf relations = sp_buf_make(SP_DB_RELATIONS_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_DB_RELATIONS_MAX_BYTES + 1024);
    auto_buf sp_buf verbs = sp_buf_make(SP_DB_VERBS_MAX_BYTES);
    bool named = write_relations(session, run, 1U << SP_ACTION_DESTROY, false, &relations);
    sp_sql_verbs_write(sp_sql_verbs(run->judgement), &verbs);
    const sp_db_keep keep = {.ask = pending->ask,
                             .whole_database = named ? 0 : 1,
                             .holder = pending->holder,
                             .resource = sp_span_cstr(session->resource_name),
                             .database = sp_span_cstr(session->database),
                             .relations = named ? sp_buf_borrow(&relations) : SP_SPAN_EMPTY,
                             .verbs = sp_buf_borrow(&verbs)};
    sp_db_keep_write(&keep, &body);
    db_verdict verdict = call(session, SP_CORE_DB_KEEP, &body, on_kept, refusal);
    sp_link_allow(&db_here.office.link, pending->call,
                  KEEP_MAX_MS); /* a dump takes what it takes */
    return verdict;
}

/* ---- on disk before it runs ---- */

static void on_disk(sp_recorder_wait *wait, bool durable)
{
    db_pending *pending = (db_pending *)(void *)((uint8_t *)wait - offsetof(db_pending, wait));
    db_session *session = pending->session;
    if (!durable) {
        fail(session, "53400", SP_REASON_UNRECORDED,
             "this statement must be written down first and cannot be", "");
        return;
    }
    pending->done |= DB_DONE_RECORDED;
    go_on(session);
}

/* Who is to be warned of the gravest hears of it before it has happened. */
static bool must_record_first(const db_ruling *ruling)
{
    const uint32_t reads = 1U << SP_ACTION_READ | 1U << SP_ACTION_CONNECT;
    const uint32_t grave = 1U << SP_ACTION_DESTROY | 1U << SP_ACTION_ADMINISTER;
    bool must = (ruling->decision.must & SP_MUST_RECORD) != 0;
    return (ruling->actions & (must ? ~reads : grave)) != 0;
}

db_verdict db_pending_record(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    if ((pending->done & DB_DONE_RECORDED) != 0 || !must_record_first(run->ruling)) {
        return DB_PASS;
    }
    pending->recorded = sp_recorder_reference();
    uint64_t seq = db_judge_before(session, run, pending->recorded);
    if (seq == 0) {
        db_refuse(refusal, "53400", SP_REASON_UNRECORDED,
                  "this statement must be written down first and cannot be");
        return DB_REFUSE;
    }
    pending->session = session;
    pending->state = DB_PENDING_DISK;
    pending->wait = (sp_recorder_wait){.on_end = on_disk};
    sp_recorder_await(&db_here.recorder, &pending->wait, seq);
    return DB_WAIT;
}

/* ---- step by step ---- */

bool db_must_keep(const db_session *session, const db_run_ask *run)
{
    sp_database_resource to;
    return (run->ruling->actions & 1U << SP_ACTION_DESTROY) != 0 &&
           sp_policy_database_resource(&session->snapshot->policy, session->resource, &to) &&
           to.keep_as.len > 0;
}

/* What the gate would refuse behind their word, whatever it is, nobody is asked about. DB_PASS,
 * DB_WAIT, DB_REFUSE. */
static db_verdict may_be_asked(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_verdict needs = db_whole_needs(session, run, refusal);
    if (needs == DB_REFUSE || needs == DB_WAIT) {
        return needs;
    }
    return db_must_keep(session, run) && cannot_begin(session, run, refusal) ? DB_REFUSE : DB_PASS;
}

/* By the people whom the policy of now asks, and as many of them. */
static bool is_agreed(const db_session *session, const sp_decision *decision)
{
    const db_pending *pending = &session->judge->pending;
    return (pending->done & DB_DONE_AGREED) != 0 &&
           sp_agreed_covers(&pending->asked, &session->snapshot->policy, decision);
}

db_verdict db_pending_step(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    bool asks = run->ruling->decision.verdict == SP_VERDICT_ASK;
    if (!pending->begun && !asks && !must_record_first(run->ruling) &&
        !db_spend_is_needed(session, run->ruling)) {
        db_verdict needs = db_whole_needs(session, run, refusal);
        if (needs != DB_CUT) {
            return needs;
        }
    }
    sp_hash hash = db_run_hash(run);
    if (!sp_hash_eq(&hash, &pending->hash)) {
        db_pending_reset(pending);
        begin(pending, &hash);
    }
    if (pending->state == DB_PENDING_REFUSED) {
        *refusal = pending->refusal;
        db_pending_reset(pending);
        return DB_REFUSE;
    }
    if (pending->state != DB_PENDING_NONE) {
        return DB_WAIT;
    }
    pending->asks = asks;
    if (asks) {
        bool is_first = (pending->done & ~(unsigned)DB_DONE_RECORDED) == 0; /* policy asks by now */
        if (is_first && db_session_drain(session)) {
            return DB_WAIT; /* then it is certain what its name stands for */
        }
        sp_hash met = db_met_hash(session->judge->catalogue, run->judgement, UINT16_MAX);
        if (!is_agreed(session, &run->ruling->decision)) {
            if (session->hold == DB_HOLD_HELD) {
                return has_changed(session, refusal); /* nothing is held while people think */
            }
            db_verdict may = may_be_asked(session, run, refusal);
            if (may != DB_PASS) {
                return may;
            }
            pending->met = met;
            return ask_others(session, run, refusal);
        }
        if (!sp_hash_eq(&met, &pending->met)) {
            return has_changed(session, refusal);
        }
        if (db_spend_counts_rows(session, run->ruling) &&
            db_estimate_ask(session, run, &pending->hash) == NULL) {
            return DB_WAIT; /* before what is held is in the way of planning */
        }
        if ((pending->done & DB_DONE_HELD) == 0 && db_must_keep(session, run)) {
            return hold_first(session, run, refusal);
        }
        if ((pending->done & DB_DONE_KEPT) == 0 && db_must_keep(session, run)) {
            return keep_first(session, run, refusal);
        }
        if ((pending->done & DB_DONE_LOOKED) == 0) {
            return look_first(session, refusal);
        }
        if ((pending->done & DB_DONE_APPROVED) == 0) {
            return use_word(session, refusal);
        }
    }
    return session->hold == DB_HOLD_HELD ? DB_PASS : wrap_first(session, run, refusal);
}

uint64_t db_pending_take(db_session *session, sp_agreed *ret_agreed)
{
    db_pending *pending = &db_session_judge(session)->pending;
    uint64_t recorded = pending->recorded;
    *ret_agreed =
        (pending->done & DB_DONE_APPROVED) != 0 ? pending->asked : (sp_agreed){.count = 0};
    db_pending_reset(pending);
    return recorded;
}

void db_pending_cancelled(db_session *session)
{
    db_pending *pending = &db_session_judge(session)->pending;
    bool idle = pending->state == DB_PENDING_NONE || pending->state == DB_PENDING_REFUSED;
    if (idle && !db_estimate_waits(session) && !db_spend_waits(session)) {
        return;
    }
    if (pending->state == DB_PENDING_HOLD || pending->state == DB_PENDING_CLOCKS) {
        pending->is_cancelled = true; /* the server is told too, and answers first */
        return;
    }
    bool asks_nobody = idle || pending->state == DB_PENDING_DISK;
    db_estimate_forget(session);
    db_spend_gone(session);
    sp_hash hash = pending->hash;
    db_pending_reset(pending);
    begin(pending, &hash);
    fail(session, "57014", asks_nobody ? SP_REASON_UNAVAILABLE : SP_REASON_APPROVAL,
         "canceling statement due to user request", "");
}

/* ---- pushes of core ---- */

void db_pending_push(const sp_msg *msg)
{
    sp_db_ask_done done;
    if (msg->kind == SP_CORE_DB_ASK_DONE && !sp_failed(sp_db_ask_done_read(msg->body, &done))) {
        on_ask_done(&done);
    }
}

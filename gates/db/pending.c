/* SPDX-License-Identifier: Apache-2.0
 * What has to happen before a statement runs: other people agree, what it meets is held and looked
 * at, what it would destroy is kept, the disk has the record (budgets: spend.c). The client's
 * message waits meanwhile, and is judged again after each step; a step that was done for these very
 * bytes is not done twice. OWNS the pending part of a judge. PROCESS db gate workers. TRUST core's
 * answers are checked. SPEC lib/proto/db_msg.h, gates/db/judge.h.
 */
#include "gates/db/judging.h"
#include "lib/policy/database.h"
#include "lib/proto/db_msg.h"

#include <stdio.h>

#define KEEP_MAX_MS ((uint64_t)6 * 3600 * 1000) /* the client can cancel at any time */

enum { LOCKS_MAX_BYTES = 128 * 1024 }; /* the statement that locks */

/* ---- states ---- */

void db_pending_drop_ask(db_pending *pending)
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
    db_pending_drop_ask(pending);
    if (pending->call != 0) {
        sp_link_forget(&db_here.office.link, pending->call);
    }
    if (pending->state == DB_PENDING_DISK) {
        sp_recorder_forget(&pending->wait);
    }
    sp_free(pending->hint);
    sp_free(pending->refusal);
    *pending = (db_pending){.state = DB_PENDING_NONE};
}

void db_pending_over(db_session *session)
{
    db_pending *pending = &db_session_judge(session)->pending;
    if (pending->recorded != 0) {
        db_entry_not_run(session, pending);
    }
    db_pending_reset(pending);
}

void db_pending_go_on(db_session *session)
{
    db_session_judge(session)->pending.state = DB_PENDING_NONE;
    db_session_resume(session);
}

static void fail_with(db_session *session, const char *sqlstate, sp_reason reason,
                      const char *message, const char *hint, sp_span detail)
{
    db_pending *pending = &db_session_judge(session)->pending;
    db_refusal *refusal = pending->refusal;
    pending->begun = true;
    pending->state = DB_PENDING_REFUSED;
    if (refusal != NULL || !sp_failed(sp_alloc(1, sizeof(*refusal), &refusal))) {
        db_refuse(refusal, sqlstate, reason, "%s", message);
        snprintf(refusal->hint, sizeof(refusal->hint), "%s", hint);
        SP_IGNORE(
            sp_fit(refusal->detail, sizeof(refusal->detail), detail)); /* SP_DB_WHY_MAX_BYTES */
        pending->refusal = refusal;
    }
    db_session_resume(session);
}

void db_pending_fail(db_session *session, const char *sqlstate, sp_reason reason,
                     const char *message, const char *hint)
{
    fail_with(session, sqlstate, reason, message, hint, SP_SPAN_EMPTY);
}

db_verdict db_pending_call(db_session *session, uint16_t kind, sp_buf *body, sp_link_reply on_reply,
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

/* ---- it is still what they were asked about ---- */

static const char changed[] = "what this statement meets is not what others agreed to: the "
                              "database has changed meanwhile";
static const char again[] = "Send it again to ask them again.";

static db_verdict has_changed(db_session *session, db_refusal *refusal)
{
    db_pending_reset(&db_session_judge(session)->pending);
    return db_asks_not(changed, again, refusal);
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
        db_pending_go_on(session);
    }
}

/* ---- what it meets is held, and what would be destroyed is kept ---- */

static void fail_held(db_session *session)
{
    const db_pending *pending = &db_session_judge(session)->pending;
    static const char *const gone[] = {"3F000", "42P01"};
    char text[240];
    if (sp_span_which(sp_span_cstr(session->hold_state), gone, SP_COUNT(gone)) < SP_COUNT(gone)) {
        db_pending_fail(session, "42501", SP_REASON_APPROVAL, changed, again);
        return;
    }
    snprintf(text, sizeof(text), "what this statement %s: %s",
             pending->keeps ? "destroys could not be held while it is kept"
                            : "meets could not be held before it runs",
             db_hold_why(session));
    db_pending_fail(session, session->hold_state, SP_REASON_UNAVAILABLE, text,
                    "Others may be changing it: try again when they have ended.");
}

void db_pending_held(db_session *session, bool good)
{
    db_pending *pending = &db_session_judge(session)->pending;
    bool is_clocks = pending->state == DB_PENDING_CLOCKS;
    if (pending->state != DB_PENDING_HOLD && !is_clocks) {
        return;
    }
    if (pending->is_cancelled) {
        db_pending_fail(session, "57014", SP_REASON_APPROVAL,
                        "canceling statement due to user request", "");
    } else if (!good && is_clocks) {
        db_pending_fail(session, session->hold_state, SP_REASON_UNAVAILABLE, db_hold_why(session),
                        "Nobody was asked.");
    } else if (!good) {
        fail_held(session);
    } else {
        pending->done |= is_clocks ? DB_DONE_CLOCKS : DB_DONE_HELD;
        db_pending_go_on(session);
    }
}

/* A transaction of ours that holds would be another one than the client's. */
static bool cannot_begin(const db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    if (run->is_portal || !db_hold_is_blind(session) || session->transaction == 'E' ||
        !db_locks_has(session, run)) {
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
    auto_buf sp_buf locks = sp_buf_make(LOCKS_MAX_BYTES);
    bool keeps = false;
    bool any = session->transaction != 'E' && db_locks_write(session, run, &locks, &keeps);
    const char *why = db_hold_cannot(session, run);
    if (why != NULL || session->transaction == 'E') {
        db_session_notice(session, SP_SPAN_LIT("01000"),
                          db_must_keep(session, run)
                              ? SP_SPAN_LIT("others may change what is kept before this runs")
                              : SP_SPAN_LIT("others may change what this meets before it runs"),
                          sp_span_cstr(why == NULL ? "" : why));
    }
    if (!any) {
        pending->done |= DB_DONE_HELD;
        return db_pending_step(session, run, refusal);
    }
    if (cannot_begin(session, run, refusal)) {
        return DB_REFUSE;
    }
    pending->state = DB_PENDING_HOLD;
    pending->keeps = keeps;
    if (sp_failed(sp_buf_error(&locks)) ||
        sp_failed(db_hold_begin(session, run, sp_buf_borrow(&locks)))) {
        db_refuse(refusal, "53200", SP_REASON_UNAVAILABLE,
                  "what this statement meets could not be held: the gate has no memory left");
        return DB_CUT;
    }
    pending->holder = keeps ? session->back->pid : 0;
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
    db_pending_go_on(session);
}

static db_verdict keep_first(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    db_pending *pending = &db_session_judge(session)->pending;
    auto_buf sp_buf relations = sp_buf_make(SP_DB_RELATIONS_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_DB_RELATIONS_MAX_BYTES + 1024);
    auto_buf sp_buf verbs = sp_buf_make(SP_DB_VERBS_MAX_BYTES);
    bool named = db_asks_relations(session, run, 1U << SP_ACTION_DESTROY, false, &relations);
    bool named_words = false;
    sp_sql_verbs_write(sp_sql_verbs(run->judgement), &verbs);
    if (!named) { /* so that undo tells what fell with it from what others dropped */
        sp_buf_reset(&relations);
        named_words = sp_sql_words_write(run->text, &relations);
    }
    const sp_db_keep keep = {.ask = pending->ask,
                             .whole_database = named ? 0 : 1,
                             .holder = pending->holder,
                             .resource = sp_span_cstr(session->resource_name),
                             .database = sp_span_cstr(session->database),
                             .relations =
                                 named || named_words ? sp_buf_borrow(&relations) : SP_SPAN_EMPTY,
                             .verbs = sp_buf_borrow(&verbs)};
    sp_db_keep_write(&keep, &body);
    db_verdict verdict = db_pending_call(session, SP_CORE_DB_KEEP, &body, on_kept, refusal);
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
        db_pending_fail(session, "53400", SP_REASON_UNRECORDED,
                        "this statement must be written down first and cannot be", "");
        return;
    }
    pending->done |= DB_DONE_RECORDED;
    db_pending_go_on(session);
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
    pending->tag = run->tag;
    pending->action = run->ruling->action;
    uint64_t seq = db_judge_before(session, run, pending->recorded);
    if (seq == 0) {
        pending->recorded = 0;
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
    return cannot_begin(session, run, refusal) ? DB_REFUSE : DB_PASS;
}

/* By the people whom the policy of now asks, and as many of them. */
static bool is_agreed(const db_session *session, const sp_decision *decision)
{
    const db_pending *pending = &session->judge->pending;
    return (pending->done & DB_DONE_AGREED) != 0 &&
           sp_agreed_covers(&pending->asked, &session->snapshot->policy, decision);
}

static db_verdict refused(db_pending *pending, db_refusal *refusal)
{
    if (pending->refusal != NULL) {
        *refusal = *pending->refusal;
    } else {
        db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left");
    }
    db_pending_reset(pending);
    return DB_REFUSE;
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
        return refused(pending, refusal);
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
        sp_hash met = db_met_hash(session->judge->catalogue, run->judgement, true);
        if (!is_agreed(session, &run->ruling->decision)) {
            if (session->hold == DB_HOLD_HELD) {
                return has_changed(session, refusal); /* nothing is held while people think */
            }
            db_verdict may = may_be_asked(session, run, refusal);
            if (may != DB_PASS) {
                return may;
            }
            pending->met = met;
            return db_asks_begin(session, run, refusal);
        }
        if (!sp_hash_eq(&met, &pending->met)) {
            return has_changed(session, refusal);
        }
        if (db_spend_counts_rows(session, run->ruling) &&
            db_estimate_ask(session, run, &pending->hash) == NULL) {
            return DB_WAIT; /* before what is held is in the way of planning */
        }
        if ((pending->done & DB_DONE_HELD) == 0) {
            return hold_first(session, run, refusal);
        }
        if ((pending->done & DB_DONE_KEPT) == 0 && db_must_keep(session, run)) {
            return keep_first(session, run, refusal);
        }
        if ((pending->done & DB_DONE_LOOKED) == 0) {
            return look_first(session, refusal);
        }
        if ((pending->done & DB_DONE_APPROVED) == 0) {
            return db_asks_use(session, refusal);
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
    db_pending_over(session);
    begin(pending, &hash);
    db_pending_fail(session, "57014", asks_nobody ? SP_REASON_UNAVAILABLE : SP_REASON_APPROVAL,
                    "canceling statement due to user request", "");
}

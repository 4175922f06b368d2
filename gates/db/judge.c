/* SPDX-License-Identifier: Apache-2.0
 * The judge: what may connect, what may run, what is written down about it.
 *
 * A text is judged when it comes (Query, Parse) and again whenever it is about to run (Execute),
 * since policy, the session and the database move. Names stand for texts (names.c). What ran
 * becomes one event at its end; what was refused becomes one at once.
 *
 * OWNS its part of a session. PROCESS db gate workers. TRUST messages are hostile.
 * SPEC gates/db/judge.h.
 */
#include "gates/db/judge.h"

#include "gates/db/judging.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/policy/database.h"

#include <stdio.h>

sp_sql_judge *db_sql;
sp_sql_cache *db_known;
uint8_t db_mask_key[SP_MASK_KEY_BYTES];

sp_err db_judge_start(void)
{
    sp_err err = sp_sql_judge_new(&db_sql);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the SQL parser is not the one this was built with");
        return err;
    }
    return sp_sql_cache_new(sp_random_u64(), &db_known);
}

void db_judge_stop(void)
{
    db_attempts_tell();
}

void db_judge_attend(db_session *session)
{
    db_place_enter(&db_here.attended, &session->attended, session);
}

void db_judge_tick(void)
{
    db_catalogue_tick();
    db_spend_tick();
    db_place *next = NULL;
    for (db_place *place = db_here.attended; place != NULL; place = next) {
        const db_judge *judge = db_session_judge(place->session);
        next = place->next;
        bool keeps = db_estimate_tick(place->session);
        if (judge->look_us != 0 || judge->lock_us != 0) {
            db_session_resume(place->session); /* it has waited long enough, or waits again */
        } else if (!keeps && judge->pending.state != DB_PENDING_LOOK) {
            db_place_leave(place);
        }
    }
}

void db_judge_policy_changed(void)
{
    /* sessions take the new snapshot, and their catalogue is bound to it, in db_judge_again() */
}

/* ---- connecting ---- */

static sp_decision ask_connect(db_session *session)
{
    const sp_question question = {.who = &session->who,
                                  .resource = session->resource,
                                  .part = SP_NONE,
                                  .action = SP_ACTION_CONNECT,
                                  .now_unix_s = sp_now_unix_us() / 1000000,
                                  .cuts = sp_live_cuts(&db_here.office.live),
                                  .face = SP_FACE_DATABASE};
    return sp_policy_decide(&session->snapshot->policy, &question);
}

static void refuse_connect(const sp_decision *decision, const db_session *session,
                           db_refusal *refusal)
{
    const db_ruling ruling = {.decision = *decision, .action = SP_ACTION_CONNECT};
    db_ruling_refuse(&ruling, session, refusal);
}

bool db_judge_account(const db_session *session, sp_span *ret_account, db_refusal *refusal)
{
    const sp_policy *policy = &session->snapshot->policy;
    sp_span account = sp_policy_database_account(policy, session->resource, &session->who);
    if (account.len > 0) {
        *ret_account = account;
        return true;
    }
    sp_reason reason = sp_policy_database_account_missing(policy, session->resource, &session->who);
    db_refuse(refusal, "42501", reason, "%s",
              reason == SP_REASON_DEFAULT
                  ? "none of your roles has an account in this database"
                  : "your roles have no account in this database on this device");
    snprintf(refusal->detail, sizeof(refusal->detail), "Reason: %s.", sp_reason_word(reason));
    snprintf(refusal->hint, sizeof(refusal->hint), "%s", db_ruling_hint(reason));
    return false;
}

/* What it works as is still what policy gives to this person on his device. */
static bool keeps_account(const db_session *session, db_refusal *refusal)
{
    sp_span account = SP_SPAN_EMPTY;
    if (!db_judge_account(session, &account, refusal)) {
        return false;
    }
    bool is_same = sp_span_eq(account, sp_span_cstr(session->account));
    if (!is_same) {
        db_refuse(refusal, "42501", SP_REASON_DEFAULT,
                  "by the policy you now work in this database as another account: connect again");
    }
    return is_same;
}

static db_verdict connect_catalogue(db_session *session, db_judge *judge, db_refusal *refusal)
{
    if (judge->catalogue == NULL) {
        if (sp_failed(db_catalogue_get(session, &judge->catalogue))) {
            db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left");
            return DB_REFUSE;
        }
        if (judge->catalogue->refs == 1 && judge->catalogue->now != NULL) {
            judge->look_us = sp_loop_now_us(db_here.loop); /* nobody looked while nobody was here */
            db_judge_attend(session);
            db_catalogue_look(judge->catalogue);
        }
    }
    bool is_waiting = judge->look_us != 0 && judge->catalogue->seen_us < judge->look_us &&
                      judge->catalogue->back != NULL;
    if (judge->catalogue->now != NULL && !is_waiting) {
        judge->look_us = 0;
        return DB_PASS;
    }
    if (judge->catalogue->failure[0] == '\0' || judge->catalogue->back != NULL) {
        return DB_WAIT; /* it is asked anew, and how that ends is told */
    }
    db_refuse(refusal, "08001", SP_REASON_UNAVAILABLE,
              "the gate cannot read what this database holds: %s", judge->catalogue->failure);
    return DB_REFUSE;
}

static bool is_dangerous(const db_session *session, const db_catalogue *catalogue,
                         db_refusal *refusal)
{
    const char *danger = db_dangers_of(&catalogue->dangers, session->account);
    if (danger != NULL) {
        db_refuse(refusal, "42501", SP_REASON_DENY_RULE,
                  "the database account of this resource can do more than the gate would see "
                  "(%s): the gate works with none such",
                  danger);
    }
    return danger != NULL;
}

db_verdict db_judge_connect(db_session *session, db_refusal *refusal)
{
    sp_decision decision = ask_connect(session);
    bool allowed = decision.verdict == SP_VERDICT_ALLOW;
    if (!allowed) {
        refuse_connect(&decision, session, refusal);
        return DB_REFUSE;
    }
    db_judge *judge = db_session_judge(session);
    if (judge == NULL) {
        if (sp_failed(db_share_join(session)) || sp_failed(sp_alloc(1, sizeof(*judge), &judge))) {
            db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left");
            return DB_REFUSE;
        }
        judge->session = session;
        judge->names.session = session;
        db_session_set_judge(session, judge);
    }
    db_verdict verdict = connect_catalogue(session, judge, refusal);
    if (verdict == DB_PASS && is_dangerous(session, judge->catalogue, refusal)) {
        return DB_REFUSE;
    }
    if (verdict == DB_PASS) {
        sp_event event = db_event_of(session, SP_EVENT_DECISION);
        db_entry_decision(&session->snapshot->policy, &decision, SP_ACTION_CONNECT, &event);
        (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
    }
    return verdict;
}

/* What its statements are judged and masked by would be another server's. */
static bool keeps_place(const db_session *session, db_refusal *refusal)
{
    bool is_same =
        session->place == 0 ||
        session->place == db_catalogue_place(&session->snapshot->policy, session->resource);
    if (!is_same) {
        db_refuse(refusal, "42501", SP_REASON_DEFAULT,
                  "by the policy this database has another server or search path now: connect "
                  "again");
    }
    return is_same;
}

db_verdict db_judge_ready(db_session *session, db_refusal *refusal)
{
    if (is_dangerous(session, db_session_judge(session)->catalogue, refusal)) {
        return DB_CUT; /* it was read again meanwhile */
    }
    if (!keeps_place(session, refusal)) {
        return DB_CUT;
    }
    db_catalogue_bind(db_session_judge(session)->catalogue, session->snapshot);
    db_export_bind(session);
    sp_copy(db_session_judge(session)->roles, session->who.roles, sizeof(session->who.roles));
    db_session_judge(session)->server_is_utf8 = sp_span_eq(
        db_session_server_status(session, SP_SPAN_LIT("server_encoding")), SP_SPAN_LIT("UTF8"));
    for (size_t i = 0; i < DB_REPORTED; i++) {
        sp_span name = sp_span_cstr(db_settings_reported[i]);
        if (!db_judge_status(session, name, db_session_server_status(session, name))) {
            db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left");
            return DB_CUT;
        }
    }
    sp_span version = db_session_server_status(session, SP_SPAN_LIT("server_version"));
    uint64_t major = 0;
    sp_span digits = sp_span_slice(version, 0, sp_span_index(version, '.'));
    if (!sp_failed(sp_span_to_u64(digits, 1000, &major)) && major > 15) {
        db_session_judge(session)->server_is_newer = true;
        sp_log(SP_LOG_INFO, "%s runs PostgreSQL %u: syntax newer than 15 is refused",
               session->resource_name, (unsigned)major);
    }
    return DB_PASS;
}

bool db_judge_status(db_session *session, sp_span name, sp_span value)
{
    return !sp_failed(db_settings_report(&db_session_judge(session)->reported, name, value));
}

void db_judge_greet(const db_session *session, sp_buf *out)
{
    const sp_pg_error notice = {
        .severity = SP_SPAN_LIT("NOTICE"),
        .sqlstate = SP_SPAN_LIT("01000"),
        .message = SP_SPAN_LIT("this server is newer than the SQL that the gate reads"),
        .detail = SP_SPAN_LIT("The gate reads PostgreSQL 15 and runs nothing that it cannot read."),
    };
    if (db_session_judge(session)->server_is_newer) {
        sp_pg_error_write(out, 'N', &notice);
    }
}

/* The resource by its name in the policy of now. */
static bool bind_again(db_session *session)
{
    if (session->snapshot != db_here.office.snapshot) {
        sp_gate_snapshot_unref(session->snapshot);
        session->snapshot = sp_gate_snapshot_ref(db_here.office.snapshot);
        session->resource = sp_policy_resource_find(&session->snapshot->policy,
                                                    sp_span_cstr(session->resource_name));
        db_export_bind(session);
    }
    sp_database_resource to;
    return session->resource != SP_NONE &&
           sp_policy_database_resource(&session->snapshot->policy, session->resource, &to);
}

/* A role has ended since the last look. */
static bool has_lost_role(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    bool lost = false;
    for (size_t i = 0; judge != NULL && i < SP_ROLE_WORDS; i++) {
        lost |= (judge->roles[i] & ~session->who.roles[i]) != 0;
        judge->roles[i] = session->who.roles[i];
    }
    return lost;
}

/* What runs may be about graver things than the database as a whole: a cut class ends it too, and
 * so does the end of a role without which it is not allowed. */
static bool may_run_on(db_session *session, sp_decision *decision)
{
    bool has_lost = has_lost_role(session);
    const sp_question question = {.who = &session->who,
                                  .resource = session->resource,
                                  .part = SP_NONE,
                                  .now_unix_s = sp_now_unix_us() / 1000000,
                                  .cuts = sp_live_cuts(&db_here.office.live)};
    for (uint32_t i = 0; i < session->flights.count; i++) {
        const db_note *note = db_flights_at(session, i)->note;
        if (note == NULL || !note->runs) {
            continue;
        }
        if (has_lost && !db_note_stands(session, note, decision)) {
            return false;
        }
        sp_reason reason = sp_cuts_say(question.cuts, &session->snapshot->policy, &question,
                                       note->ruling.decision.class_level);
        if (reason == SP_REASON_CUT) {
            *decision = note->ruling.decision;
            decision->verdict = SP_VERDICT_DENY;
            decision->reason = (uint8_t)reason;
            decision->rule = SP_NONE;
            return false;
        }
    }
    return true;
}

static db_verdict cut(db_refusal *refusal)
{
    SP_IGNORE(sp_fit(refusal->sqlstate, sizeof(refusal->sqlstate), SP_SPAN_LIT("57P01")));
    return DB_CUT;
}

db_verdict db_judge_again(db_session *session, db_refusal *refusal)
{
    const db_judge *judge = db_session_judge(session);
    sp_decision decision = {.reason = SP_REASON_DEFAULT, .rule = SP_NONE};
    if (bind_again(session)) {
        decision = ask_connect(session);
    }
    if (judge != NULL && judge->catalogue != NULL) {
        if (session->resource != SP_NONE) { /* of nothing it would be done for each session anew */
            db_catalogue_bind(judge->catalogue, session->snapshot);
        }
        if (is_dangerous(session, judge->catalogue, refusal)) {
            return cut(refusal);
        }
    }
    if (decision.verdict == SP_VERDICT_ALLOW &&
        (!keeps_account(session, refusal) || !keeps_place(session, refusal))) {
        return cut(refusal);
    }
    if (decision.verdict == SP_VERDICT_ALLOW && may_run_on(session, &decision)) {
        return DB_PASS;
    }
    refuse_connect(&decision, session, refusal);
    return cut(refusal);
}

/* ---- messages ---- */

static db_verdict judge_message(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                                sp_buf *out, db_refusal *refusal)
{
    switch (msg->type) {
    case 'Q':
        return db_texts_query(session, msg, flight, out, refusal);
    case 'P':
        return db_texts_parse(session, msg, flight, out, refusal);
    case 'B':
        return db_texts_bind(session, msg, flight, refusal);
    case 'D':
        return db_texts_describe(session, msg, flight, refusal);
    case 'E':
        return db_texts_execute(session, msg, flight, refusal);
    case 'C':
        return db_texts_close(session, msg, flight, refusal);
    case 'F':
        db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
                  "function calls without SQL are not served");
        return DB_REFUSE;
    default:
        return DB_PASS;
    }
}

/* What stands there runs, or nothing. */
static db_verdict judge_instead(db_session *session, sp_buf *out, db_flight *flight,
                                db_refusal *refusal)
{
    sp_span whole = sp_buf_borrow(out);
    sp_span body = sp_span_slice(whole, SP_PG_HEAD_BYTES, whole.len);
    if (sp_failed(sp_buf_error(out))) {
        db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left");
        return DB_REFUSE;
    }
    const sp_pg_msg msg = {
        .type = whole.ptr[0], .whole = true, .body_len = (uint32_t)body.len, .body = body};
    db_verdict verdict = judge_message(session, &msg, flight, NULL, refusal);
    return verdict == DB_PASS ? DB_REPLACE : verdict;
}

static uint32_t next_name(const db_judge *judge)
{
    return (uint32_t)(judge->names.numbers + 1);
}

/* What was asked, looked for, kept, expected and granted was so for this message, and for no other.
 */
static void end_message(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    judge->look_us = judge->lock_us = 0;
    judge->look_is_over = false;
    judge->asked = DB_ASKED_NOT;
    db_spend_gone(session);
    db_estimate_forget(session);
    db_pending_over(session);
}

db_verdict db_judge_front(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                          db_refusal *refusal)
{
    /* core's push may be on its way, or core died before it: the word in memory counts */
    if (sp_live_epoch(&db_here.office.live) != db_here.epoch &&
        !db_session_may_go_on(session, refusal)) {
        return DB_CUT;
    }
    if (flight != NULL) {
        flight->word = next_name(db_session_judge(session));
    }
    db_verdict verdict = judge_message(session, msg, flight, out, refusal);
    if (verdict == DB_REPLACE) {
        verdict = judge_instead(session, out, flight, refusal);
    }
    if (verdict != DB_WAIT) {
        db_ends_sent(db_session_judge(session), msg->type, flight == NULL ? NULL : flight->note);
    }
    if (verdict == DB_REFUSE && refusal->reference != 0 &&
        refusal->reference != db_session_judge(session)->refused) {
        db_judge_unjudged(session, refusal); /* who is shown a reference finds it in the ledger */
    }
    if (verdict != DB_WAIT) {
        end_message(session);
    }
    return verdict;
}

/* ---- ends ---- */

/* A portal has counted one part more; with an export the day has counted all of it (export.c). */
static void count_part(const db_note *note, const db_end *end)
{
    const sp_decision *decision = &note->ruling.decision;
    db_count *count = db_count_root(note->count);
    uint64_t rows = note->rows > end->rows ? note->rows : end->rows;
    uint64_t bytes = note->bytes > end->bytes_out ? note->bytes : end->bytes_out;
    count->rows += rows;
    count->bytes += bytes;
    if ((decision->day_rows | decision->day_bytes) != 0) {
        count->day_rows = note->is_export ? count->rows : count->day_rows + rows;
        count->day_bytes = note->is_export ? count->bytes : count->day_bytes + bytes;
    }
}

uint32_t db_judge_ours(db_session *session, uint8_t type)
{
    db_judge *judge = db_session_judge(session);
    db_ends_sent(judge, type, NULL);
    return next_name(judge);
}

bool db_judge_stray(db_session *session)
{
    const db_flight flight = {.type = 'H'};
    const db_end end = {.how = DB_END_FAILED};
    session->skipping = session->is_unsynced;
    db_ends_follow(session, &flight, NULL, &end);
    return session->is_unsynced;
}

void db_judge_ours_end(db_session *session, const db_flight *flight, const db_end *end)
{
    db_ends_follow(session, flight, NULL, end);
}

void db_judge_end(db_session *session, db_flight *flight, const db_end *end)
{
    db_judge *judge = db_session_judge(session);
    db_note *note = flight->note;
    if (note != NULL && note->runs && (note->flags & SP_SQL_IS_DDL) != 0) {
        judge->defining--;
    }
    if (note != NULL && note->runs && note->masking != SP_SQL_MASKING_CLEAN &&
        end->how != DB_END_SKIPPED) {
        db_rows_late(session, true);
    }
    if (flight->type == 'Q' || flight->type == 'S') {
        db_made_end(session);
        if (judge->is_late && session->transaction == 'I') {
            db_rows_late(session, false);
        }
    }
    db_ends_follow(session, flight, note, end);
    if (note == NULL) {
        return;
    }
    if (note->runs) {
        db_export_over(session);
        db_spend_after(session, note, end);
    }
    if (note->runs && end->how != DB_END_SKIPPED) {
        db_entry_ran(session, note, end);
        if (note->discards && end->how == DB_END_DONE) {
            db_made_discarded(session, flight);
        }
    }
    flight->note = NULL;
    if (note->count != NULL) {
        note->count->has_stopped |= end->how == DB_END_SUSPENDED;
        count_part(note, end);
        db_count_unref(note->count);
    }
    db_rows_unwatch(session, note);
    db_text_unref(note->text);
    db_names_drop(&judge->names, note->names);
    sp_copy_mask_free(note->copy);
    sp_gate_snapshot_unref(note->ruling.snapshot);
    sp_free(note->fields);
    sp_free(note);
}

void db_judge_cancelled(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    if (judge != NULL && judge->asked == DB_ASKED_ASKS) {
        judge->asked = DB_ASKED_CANCELLED; /* the server is told too, and answers first */
        return;
    }
    if (judge != NULL && (judge->look_us != 0 || judge->lock_us != 0)) {
        judge->look_is_over = true;
        db_session_resume(session);
        return;
    }
    db_pending_cancelled(session);
}

bool db_judge_asks(const db_session *session)
{
    return session->judge != NULL && session->judge->pending.asks;
}

void db_judge_left(db_session *session)
{
    end_message(session);
}

void db_judge_push(const sp_msg *msg)
{
    db_pending_push(msg);
}

void db_judge_hello(void)
{
    db_spend_tell_again();
}

void db_judge_gone(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    if (judge == NULL) {
        return;
    }
    sp_event event = db_event_of(session, SP_EVENT_CLOSE);
    event.action = SP_ACTION_CONNECT;
    event.verdict = SP_VERDICT_ALLOW;
    event.reason = SP_REASON_RULE;
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
    if (judge->is_defining) {
        db_catalogue_moved(judge->catalogue); /* whether it was committed nobody told us */
    }
    db_spend_gone(session);
    db_export_over(session);
    db_estimate_gone(session);
    db_pending_over(session);
    db_names_done(&judge->names);
    db_reported_done(&judge->reported);
    db_ends_done(judge);
    db_catalogue_unref(judge->catalogue);
    sp_free(judge->temps);
    sp_free(judge->codes);
    sp_free(judge->others);
    sp_free(judge->mades);
    sp_free(judge);
    db_session_set_judge(session, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Holding what others agreed to until it runs: between the look at it and the statement nobody may
 * make it another thing, and between the keep and the statement nobody may change what is kept, or
 * undo would bring back less than was there.
 *
 * The connection of the asker itself takes locks (locks.c) before the look and the keep, and has
 * them until its transaction ends:
 *     in a transaction      the locks, and then nothing more: the client ends it
 *     in a pipeline         the same, in the transaction that the server holds until Sync
 *     a Query by itself     BEGIN and the locks; the statement; COMMIT, or ROLLBACK when it failed.
 *                           The client sees his statement and nothing of what is around it;
 *                           where the end itself fails (a timeout met it), ROLLBACK again; and
 *                           ROLLBACK for who was cut, or went, before its answer came
 *
 * While people think no clock of the server's runs, or what they agreed to would find its time used
 * up, or its session ended as idle. statement_timeout counts from the first message of a pipeline
 * until an Execute is complete: that of SHOW ALL, which people need (settings.c), is put before the
 * waiting. The timeouts of idle sessions count from ReadyForQuery until the next message: a Close
 * of a portal that nobody has is that message, behind SHOW ALL and behind the locks.
 *
 * What else has to be known before a statement runs is asked in front of it on the same connection
 * (temps.c): nothing lies between the answer and the statement.
 *
 * A statement by itself whose answer may be refused for its size gets such a transaction too
 * (whole.c), without locks. What the server answers to us is swallowed (DB_FLIGHT_OURS). A
 * statement that cannot run in a transaction is not held, and approvers are told so, as they are of
 * what has no name that could be.
 *
 * OWNS db_session.hold. PROCESS db gate workers. TRUST none. SPEC gates/db/judging.h; PostgreSQL 15
 * manual, 13.3 "Locks".
 */
#include "gates/db/judging.h"

enum { WHY_MAX_BYTES = 150 };

static const char lock_name[] = "sallyport hold";

/* ---- asking ---- */

static db_flight our_query(db_session *session)
{
    return (db_flight){.type = 'Q', .flags = DB_FLIGHT_OURS, .word = db_judge_ours(session, 'Q')};
}

/* Of what an earlier hold of this connection left. */
static void close_write(sp_buf *out, uint8_t kind)
{
    size_t begun = sp_pg_begin(out, 'C');
    sp_buf_u8(out, kind);
    sp_buf_text(out, lock_name);
    sp_buf_u8(out, 0);
    sp_pg_end(out, begun);
}

sp_err db_hold_guard(db_session *session, sp_buf *out)
{
    const db_flight flight = {.type = 'C', .flags = DB_FLIGHT_GUARD};
    if (!session->is_unsynced) {
        return sp_ok();
    }
    close_write(out, 'P');
    TRY(sp_buf_error(out));
    return db_flights_add(session, &flight);
}

bool db_hold_guard_answer(db_session *session, const sp_pg_msg *msg, bool *ret_fits)
{
    if (msg->type == 'E' && session->hold != DB_HOLD_ASKED) {
        return false; /* it is the client's */
    }
    *ret_fits = msg->type == 'E' || msg->type == '3';
    if (*ret_fits) {
        *ret_fits = db_hold_answer(session, msg);
    }
    return true;
}

static sp_err send_query(db_session *session, const char *text)
{
    auto_buf sp_buf out = sp_buf_make(256);
    const db_flight flight = our_query(session);
    TRY(db_hold_guard(session, &out));
    sp_pg_query_write(&out, sp_span_cstr(text));
    TRY(sp_buf_error(&out));
    TRY(db_flights_add(session, &flight));
    return db_stream_send(&session->back->stream, sp_buf_borrow(&out));
}

static sp_err send_pipelined(db_session *session, sp_span text, sp_buf *out)
{
    static const uint8_t types[] = {'C', 'C', 'P', 'B', 'E'};
    sp_span name = sp_span_cstr(lock_name);
    const sp_pg_bind bind = {.portal = name, .statement = name};
    close_write(out, 'P');
    close_write(out, 'S');
    sp_pg_parse_write(out, bind.portal, text);
    sp_pg_bind_write(out, &bind);
    sp_pg_execute_write(out, bind.portal);
    sp_pg_empty_write(out, 'H');
    for (size_t i = 0; i < SP_COUNT(types); i++) {
        const db_flight flight = {.type = types[i], .flags = DB_FLIGHT_OURS};
        TRY(db_flights_add(session, &flight));
    }
    return sp_ok();
}

static sp_err add_sync(db_session *session, sp_buf *out)
{
    const db_flight sync = {
        .type = 'S', .flags = DB_FLIGHT_OURS, .word = db_judge_ours(session, 'S')};
    sp_pg_empty_write(out, 'S');
    return db_flights_add(session, &sync);
}

/* A message, after which the session is not idle before another ReadyForQuery. */
static sp_err close_alone(db_session *session, sp_buf *out)
{
    const db_flight flight = {.type = 'C', .flags = DB_FLIGHT_OURS | DB_FLIGHT_ALONE};
    close_write(out, 'P');
    sp_pg_empty_write(out, 'H');
    return db_flights_add(session, &flight);
}

/* By a statement with a name, and no Query: what the client has without a name stays. */
sp_err db_hold_ask(db_session *session, sp_span text)
{
    auto_buf sp_buf out = sp_buf_make(text.len + 1024);
    session->hold_wraps = false;
    session->hold_state[0] = '\0';
    TRY(send_pipelined(session, text, &out));
    if (!session->is_unsynced) {
        TRY(add_sync(session, &out));
    }
    TRY(sp_buf_error(&out));
    session->hold = DB_HOLD_ASKED;
    return db_stream_send(&session->back->stream, sp_buf_borrow(&out));
}

sp_err db_hold_clocks(db_session *session)
{
    sp_span show_all = SP_SPAN_LIT("SHOW ALL");
    auto_buf sp_buf out = sp_buf_make(1024);
    session->hold_wraps = false;
    session->hold_state[0] = '\0';
    db_estimate_settings_begin(session);
    if (session->is_unsynced) {
        TRY(send_pipelined(session, show_all, &out));
    } else {
        const db_flight flight = our_query(session);
        sp_pg_query_write(&out, show_all);
        TRY(db_flights_add(session, &flight));
        TRY(close_alone(session, &out));
    }
    TRY(sp_buf_error(&out));
    session->hold = DB_HOLD_ASKED;
    return db_stream_send(&session->back->stream, sp_buf_borrow(&out));
}

sp_err db_hold_begin(db_session *session, const db_run_ask *run, sp_span locks)
{
    auto_buf sp_buf text = sp_buf_make(locks.len + 64);
    auto_buf sp_buf out = sp_buf_make(locks.len + 4096);
    session->hold_wraps = !run->is_portal && session->transaction == 'I';
    session->hold_state[0] = '\0';
    sp_buf_text(&text, session->hold_wraps ? "BEGIN; " : "");
    sp_buf_span(&text, locks);
    TRY(sp_buf_error(&text));
    if (run->is_portal) {
        session->is_unsynced = true;
        TRY(send_pipelined(session, sp_buf_borrow(&text), &out));
    } else {
        const db_flight flight = our_query(session);
        TRY(db_hold_guard(session, &out));
        sp_pg_query_write(&out, sp_buf_borrow(&text));
        TRY(db_flights_add(session, &flight));
        TRY(close_alone(session, &out));
    }
    TRY(sp_buf_error(&out));
    session->hold = DB_HOLD_ASKED;
    return db_stream_send(&session->back->stream, sp_buf_borrow(&out));
}

/* ---- answers to us ---- */

void db_hold_say(db_session *session, sp_span sqlstate, sp_span why)
{
    SP_IGNORE(sp_fit(session->hold_state, sizeof(session->hold_state),
                     sqlstate.len == 5 ? sqlstate : SP_SPAN_LIT("58000")));
    sp_free(session->hold_why);
    session->hold_why = NULL;
    SP_IGNORE(sp_strdup(sp_span_slice(why, 0, WHY_MAX_BYTES), &session->hold_why)); /* or nothing */
}

const char *db_hold_why(const db_session *session)
{
    return session->hold_why == NULL ? "" : session->hold_why;
}

static void note_error(db_session *session, sp_span body)
{
    sp_pg_error error = {.message = SP_SPAN_EMPTY};
    SP_IGNORE(sp_pg_error_read(body, &error)); /* then it is empty */
    db_hold_say(session, error.sqlstate, error.message);
}

static void end_asked(db_session *session, bool good, db_hold then)
{
    session->hold = then;
    db_pending_held(session, good);
    db_temps_told(session, good);
}

/* All that was asked is answered. */
static bool is_over(db_session *session)
{
    bool failed = session->hold_state[0] != '\0';
    if (failed && session->hold_wraps) {
        session->hold = DB_HOLD_UNDOING;
        return !sp_failed(send_query(session, "ROLLBACK"));
    }
    end_asked(session, !failed, session->hold_wraps ? DB_HOLD_HELD : DB_HOLD_NONE);
    return true;
}

static bool on_ready(db_session *session, sp_span body)
{
    uint8_t status = 0;
    if (sp_failed(sp_pg_ready_read(body, &status))) {
        return false;
    }
    db_flights_pop(session, DB_END_DONE);
    if (!session->hold_wraps) {
        session->transaction = status;
    }
    if (session->hold == DB_HOLD_UNDOING && status != 'I') {
        return !sp_failed(send_query(session, "ROLLBACK")); /* it failed: a timeout met it */
    }
    if (session->hold == DB_HOLD_UNDOING) {
        end_asked(session, false, DB_HOLD_NONE);
        return true;
    }
    return session->flights.count > 0 || is_over(session);
}

/* The server skips to Sync: to ours, or to the client's, who gets the error from us. */
static bool on_error(db_session *session, bool is_alone)
{
    auto_buf sp_buf out = sp_buf_make(16);
    db_flights_fail(session);
    if (session->flights.count > 0) {
        return true; /* ours is on its way */
    }
    if (!is_alone) {
        end_asked(session, false, DB_HOLD_FAILED);
        return true;
    }
    session->skipping = false;
    return !sp_failed(add_sync(session, &out)) && !sp_failed(sp_buf_error(&out)) &&
           !sp_failed(db_stream_send(&session->back->stream, sp_buf_borrow(&out)));
}

bool db_hold_answer(db_session *session, const sp_pg_msg *msg)
{
    const db_flight *head = db_flights_head(session);
    bool is_alone = (head->flags & DB_FLIGHT_ALONE) != 0;
    uint8_t waits_for = head->type == 'C'   ? '3'
                        : head->type == 'P' ? '1'
                        : head->type == 'B' ? '2'
                                            : 'C';
    switch (msg->type) {
    case 'Z':
        return (head->type == 'Q' || head->type == 'S') && on_ready(session, msg->body);
    case 'E':
        if (session->hold != DB_HOLD_UNDOING) { /* why it is undone is known */
            note_error(session, msg->body);
        }
        return head->type == 'Q' || on_error(session, is_alone);
    case '1':
    case '2':
    case '3':
    case 'C':
        if (head->type == 'Q') {
            return msg->type == 'C';
        }
        if (msg->type != waits_for) {
            return false;
        }
        db_flights_pop(session, DB_END_DONE);
        return session->hold != DB_HOLD_ASKED || session->flights.count > 0 || is_over(session);
    case 'T':
        return true;
    case 'D':
        if (!db_temps_tell(session, msg->body)) {
            db_estimate_setting(session, msg->body); /* of SHOW ALL */
        }
        return true;
    default:
        return false; /* what we send answers nothing else */
    }
}

/* ---- the end of it ---- */

sp_err db_hold_wrap(db_session *session)
{
    session->hold_wraps = true;
    session->hold_state[0] = '\0';
    session->hold = DB_HOLD_ASKED;
    return send_query(session, "BEGIN");
}

bool db_hold_can_wrap(const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        if ((judgement->statements[i].flags & (SP_SQL_IS_BEGIN | SP_SQL_IS_END)) != 0) {
            return false;
        }
    }
    return true;
}

/* Its answers belong to the client's own message. */
static bool end_ours(db_session *session, bool stays)
{
    auto_buf sp_buf out = sp_buf_make(64);
    sp_pg_query_write(&out, stays ? SP_SPAN_LIT("COMMIT") : SP_SPAN_LIT("ROLLBACK"));
    session->hold = DB_HOLD_ENDING;
    return !sp_failed(db_stream_send(&session->back->stream, sp_buf_borrow(&out)));
}

/* Who may not go on by the word of now, or has been cut or gone before the answer came: nothing is
 * committed for him by us. */
static bool may_stay(db_session *session)
{
    static db_refusal refusal;
    if (!session->left && !session->is_revoked &&
        sp_live_epoch(&db_here.office.live) != db_here.epoch &&
        !db_session_may_go_on(session, &refusal)) {
        db_session_tell_failure(session, &refusal);
        db_session_cut(session);
    }
    return !session->is_revoked && !session->given_up;
}

bool db_hold_end(db_session *session, const sp_pg_msg *msg)
{
    uint8_t status = 0;
    bool fits = !sp_failed(sp_pg_ready_read(msg->body, &status));
    if (session->hold == DB_HOLD_ENDING) {
        return fits && status != 'I' && end_ours(session, false); /* a timeout met its end */
    }
    if (!fits || status == 'I') {
        session->hold = DB_HOLD_NONE;
        return false;
    }
    bool stays = status == 'T' && !session->back_mutes;
    if (stays && !may_stay(session)) {
        stays = false;
        SP_IGNORE(sp_fit(session->sqlstate, sizeof(session->sqlstate),
                         SP_SPAN_LIT("57014"))); /* it fits: its end is that of what is cancelled */
    }
    return end_ours(session, stays);
}

bool db_hold_is_blind(const db_session *session)
{
    return session->is_unsynced && (session->has_begun || session->has_ended);
}

void db_hold_undo(db_session *session, db_run *run)
{
    auto_buf sp_buf out = sp_buf_make(64);
    const db_flight flight = our_query(session);
    session->hold = DB_HOLD_UNDOING;
    sp_pg_query_write(&out, SP_SPAN_LIT("ROLLBACK"));
    if (sp_failed(db_flights_add(session, &flight))) {
        db_session_drop(session); /* the server undoes it */
        return;
    }
    db_run_put(run, sp_buf_borrow(&out));
}

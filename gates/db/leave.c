/* SPDX-License-Identifier: Apache-2.0
 * How a session ends while its server runs: a client that is gone, one that may not go on or made
 * an error, a server that failed. What runs is cancelled, or has a while, and is read to its end:
 * it counts, whoever ended the session and by what. Only a server whose answers cannot be followed
 * is left at once. OWNS nothing. PROCESS db gate workers. TRUST none. SPEC docs/DATABASE.md "When a
 * client is gone".
 */
#include "gates/db/db.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

enum {
    LINGER_US = 60000000,   /* what runs for one who said goodbye behind it */
    CANCELLED_US = 10000000 /* then the server has said how it ended, or does not say it */
};

/* Closing it then throws away what has not been read on either side. */
static void reset_at_end(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* What the kernel still holds for a client that may not go on is thrown away with the connection.
 */
static void cut_off(int fd)
{
    int waits = 0;
    if (ioctl(fd, SIOCOUTQ, &waits) != 0 || waits > 0) {
        reset_at_end(fd);
    }
}

void db_session_close_front(db_session *session)
{
    if (db_stream_is_open(&session->front)) {
        db_stream_goodbye(&session->front);
        if (session->is_revoked) {
            cut_off(session->front.watch.fd);
        }
        db_stream_close(&session->front);
    }
}

static void record_failure(const db_session *session, const db_refusal *refusal)
{
    sp_event event = db_event_of(session, SP_EVENT_DECISION);
    event.reference = refusal->reference;
    event.action = SP_ACTION_CONNECT;
    event.verdict = SP_VERDICT_DENY;
    event.reason = (uint8_t)refusal->reason;
    event.severity = SP_SEVERITY_LOW;
    event.object = sp_span_cstr(refusal->message);
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
}

/* The client hears why it ends. */
void db_session_tell_failure(db_session *session, const db_refusal *refusal)
{
    uint64_t reference = refusal->reference;
    if (session->live_id != 0 || db_stranger_refused(session, refusal->reason, &reference)) {
        record_failure(session, refusal);
    }
    if (db_stream_is_open(&session->front) && !session->mid_message && !session->left) {
        auto_buf sp_buf out = sp_buf_make(4096);
        db_refusal said = *refusal;
        said.reference = reference;
        const db_flight *head = db_flights_head(session);
        bool is_next = head == NULL || (head->flags & (DB_FLIGHT_OURS | DB_FLIGHT_GUARD)) != 0;
        if (session->at == DB_AT_OPEN && session->waits && is_next) {
            /* the answer to what waits: libpq shows nobody a FATAL that comes instead of one; what
             * was sent before it may have run */
            db_refusal_write(&said, "ERROR", &out);
            sp_pg_ready_write(&out, 'I');
        }
        db_refusal_write(&said, "FATAL", &out);
        SP_IGNORE(db_stream_send(&session->front, sp_buf_borrow(&out))); /* it ends anyway */
    }
}

/* What is cancelled is all that is cancelled: the server takes up what it has behind it. No change
 * is among that (texts.c), and of the rest it loses what it has not read.
 */
void db_session_leave_server(db_session *session)
{
    if (session->back != NULL && session->flights.count > 0) {
        db_back_cancel(session->back);
        reset_at_end(session->back->stream.watch.fd);
    }
    db_back_close(session->back);
    session->back = NULL;
    db_session_end(session);
}

/* ---- the client is gone, or cut ---- */

/* What the server has to say of all that it was sent comes now: behind no message that asks for it,
 * it would be lost with the connection. A COPY gets no more data. */
static sp_err ask_for_the_end(db_session *session)
{
    auto_buf sp_buf out = sp_buf_make(64);
    if (session->copy_in && !session->copy_fails) {
        sp_pg_copy_fail_write(&out, "the client is gone");
        session->copy_fails = true;
    }
    if (session->is_unsynced) {
        sp_pg_empty_write(&out, 'H');
    }
    TRY(sp_buf_error(&out));
    return out.len == 0 ? sp_ok() : db_stream_send(&session->back->stream, sp_buf_borrow(&out));
}

/* A goodbye behind what runs lets it run for a while, as a server does. Without one it is
 * cancelled, unless it ends its transaction: that is all but done. */
static bool lets_it_run(const db_session *session)
{
    bool ends = session->hold == DB_HOLD_ENDING || session->hold == DB_HOLD_UNDOING;
    return session->said_bye || session->has_ended || ends;
}

static void leave_by(db_session *session, uint64_t time_us)
{
    session->leave_by_us = sp_loop_now_us(db_here.loop) + time_us;
}

static void give_up(db_session *session)
{
    session->given_up = true;
    session->cancelled_count = session->flights.count;
    leave_by(session, CANCELLED_US);
    db_back_cancel(session->back);
}

/* What it did counts, whoever is there to hear of it: we read on until all is answered. */
static void read_on(db_session *session)
{
    session->left = true;
    session->waits = false;
    db_judge_left(session);
    bool is_torn = session->front_left > 0 && !session->front_drops;
    if (!is_torn && sp_failed(ask_for_the_end(session))) {
        session->back->stream.readable = true; /* its last words say why */
    }
}

void db_session_leave(db_session *session)
{
    if (session->left || session->at != DB_AT_OPEN) {
        return;
    }
    if (session->flights.count == 0) {
        db_session_drop(session);
        return;
    }
    read_on(session);
    db_session_close_front(session);
    if (!lets_it_run(session)) {
        give_up(session);
    } else if (session->leave_by_us == 0) {
        leave_by(session, LINGER_US);
    }
    sp_loop_defer(db_here.loop, &session->again); /* what waited for the client is there already */
}

/* Its client has heard why it ends. What runs is cancelled; what had been done by then counts. */
void db_session_cut(db_session *session)
{
    uint64_t time_us = session->is_revoked ? DB_REVOKED_US : DB_LAST_WORDS_US;
    if (session->at != DB_AT_OPEN || session->back_gone || session->flights.count == 0) {
        db_session_leave_server(session);
        return;
    }
    if (!session->left) {
        read_on(session);
        if (sp_failed(sp_timer_set(db_here.loop, &session->timer, time_us))) {
            db_session_close_front(session);
        }
    }
    if (!session->given_up) {
        give_up(session);
    }
    sp_loop_defer(db_here.loop, &session->again); /* what waited for the client is there already */
}

void db_session_fail(db_session *session, const db_refusal *refusal)
{
    if (session->at == DB_AT_ENDING) {
        return;
    }
    db_session_tell_failure(session, refusal);
    if (session->left) {
        db_session_leave_server(session); /* it cannot be read on */
    } else {
        db_session_cut(session);
    }
}

void db_session_break(db_session *session, const db_refusal *refusal)
{
    if (session->at != DB_AT_ENDING) {
        db_session_tell_failure(session, refusal);
        db_session_leave_server(session);
    }
}

/* The server takes up what it has behind what was cancelled: that is for nobody either. In the
 * middle of a message nothing else can be said than that it has no end. */
void db_session_go_on_leaving(db_session *session)
{
    bool is_torn = session->front_left > 0 && !session->front_drops;
    if (session->flights.count == 0) {
        db_session_leave_server(session);
        return;
    }
    if (!session->is_revoked && !db_stream_is_stuck(&session->front)) {
        db_session_close_front(session); /* it had its last words */
    }
    if (is_torn && !session->is_finished && !db_stream_is_stuck(&session->back->stream)) {
        session->is_finished = true;
        db_stream_finish(&session->back->stream);
    }
    if (session->given_up && session->flights.count < session->cancelled_count &&
        session->back->cancel == NULL) {
        session->cancelled_count = session->flights.count;
        db_back_cancel(session->back);
    }
}

static void out_of_time(db_session *session)
{
    if (session->given_up) {
        db_session_leave_server(session);
        return;
    }
    session->said_bye = session->has_ended = false;
    if (session->left) {
        give_up(session);
    } else {
        session->front_ended = true;
        db_session_leave(session);
    }
}

void db_session_hear_the_end(db_session *session)
{
    switch (db_pump_front_rest(session)) {
    case DB_REST_GONE:
        session->front_ended = true;
        break;
    case DB_REST_BYE: /* others are not asked for nobody */
        session->front_ended = session->waits && !session->drains && db_judge_asks(session);
        break;
    case DB_REST_OPEN:
        break;
    }
    if (session->leave_by_us == 0) {
        leave_by(session, LINGER_US);
    }
}

void db_session_tick(void)
{
    uint64_t now_us = sp_loop_now_us(db_here.loop);
    db_place *next = NULL;
    for (db_place *place = db_here.busy; place != NULL; place = next) {
        db_session *session = place->session;
        next = place->next;
        if (session->leave_by_us == 0) {
            db_subject_active(session, now_us); /* it runs long, or copies */
        } else if (session->at == DB_AT_OPEN && now_us >= session->leave_by_us) {
            out_of_time(session);
        } else if (session->at == DB_AT_OPEN && session->given_up) {
            db_back_cancel(session->back); /* the last one may have come before what it was for */
        }
    }
}

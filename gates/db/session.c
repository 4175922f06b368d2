/* SPDX-License-Identifier: Apache-2.0
 * A session from its first byte to its last: who it is, its end, and what the judge may do with it.
 * OWNS sessions. PROCESS db gate workers. TRUST none. SPEC gates/db/db.h, gates/db/judge.h.
 */
#include "gates/db/db.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/core_msg.h"
#include "lib/proto/db_msg.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SESSION_OF(pointer, member)                                                                \
    ((db_session *)(void *)((char *)(pointer)-offsetof(db_session, member)))

enum {
    LAST_WORDS_US = 2000000,
    REVOKED_US = 50000,      /* for the last words of one that may not go on */
    LINGER_US = 60000000,    /* what runs for one who said goodbye behind it */
    CANCELLED_US = 10000000, /* then the server has said how it ended, or does not say it */
    IN_MAX_BYTES = 16 * 1024,
    SLOTS_MAX = 1 << 20
};

/* ---- making ---- */

static void peer_of(const struct sockaddr *address, uint8_t ret_peer[16])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        sp_copy(ret_peer, mapped, sizeof(mapped));
        sp_copy(ret_peer + sizeof(mapped), &v4->sin_addr, sizeof(v4->sin_addr));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        sp_copy(ret_peer, &v6->sin6_addr, 16);
    }
}

static sp_err take_slot(db_session *session)
{
    db_worker *w = &db_here;
    if (w->free_count == 0) {
        uint32_t cap = w->session_cap == 0 ? 64 : w->session_cap * 2;
        if (cap > SLOTS_MAX) {
            return sp_fail(SP_ELIMIT);
        }
        TRY(sp_resize(&w->sessions, cap, sizeof(db_session *)));
        TRY(sp_resize(&w->free_slots, cap, sizeof(uint32_t)));
        for (uint32_t i = cap; i-- > w->session_cap;) {
            w->sessions[i] = NULL;
            w->free_slots[w->free_count++] = i;
        }
        w->session_cap = cap;
    }
    session->slot = w->free_slots[--w->free_count];
    w->sessions[session->slot] = session;
    sp_give_count(&w->give, ++w->session_count);
    return sp_ok();
}

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

static void close_front(db_session *session)
{
    if (db_stream_is_open(&session->front)) {
        db_stream_goodbye(&session->front);
        if (session->is_revoked) {
            cut_off(session->front.watch.fd);
        }
        db_stream_close(&session->front);
    }
}

static void on_time(sp_timer *timer)
{
    db_session *session = SESSION_OF(timer, timer);
    if (session->at < DB_AT_OPEN && session->at > DB_AT_TLS) {
        db_refusal refusal;
        db_refuse(&refusal, "57014", SP_REASON_LIMIT, "the log-in took too long");
        db_session_fail(session, &refusal);
    } else if (session->at == DB_AT_OPEN && session->left) {
        close_front(session); /* it had its last words */
    } else if (session->at == DB_AT_OPEN) {
        db_pump(session); /* it waited for room to be written down */
    } else {
        db_session_drop(session);
    }
}

static void on_again(sp_deferred *deferred)
{
    db_session *session = SESSION_OF(deferred, again);
    if (session->at == DB_AT_JUDGE) {
        db_open_go_on(session);
    } else if (session->at == DB_AT_OPEN) {
        db_pump(session);
    }
}

static void join_unknown(db_session *session)
{
    db_worker *w = &db_here;
    session->next = NULL;
    session->back_link = w->unknown_end;
    *w->unknown_end = session;
    w->unknown_end = &session->next;
    if (++w->unknown_count > DB_UNKNOWN_MAX) {
        db_session_drop(w->unknown); /* a flood pushes out its own */
    }
}

void db_session_known(db_session *session)
{
    db_worker *w = &db_here;
    if (session->back_link == NULL) {
        return;
    }
    *session->back_link = session->next;
    if (session->next != NULL) {
        session->next->back_link = session->back_link;
    } else {
        w->unknown_end = session->back_link;
    }
    session->back_link = NULL;
    w->unknown_count--;
}

static sp_err make_login(db_session *session)
{
    TRY(sp_alloc(1, sizeof(*session->login), &session->login));
    session->login->in = sp_buf_make(IN_MAX_BYTES);
    session->login->parameters = sp_buf_make(SP_PG_FIRST_MAX_BYTES);
    return sp_timer_set(db_here.loop, &session->timer, DB_LOGIN_US);
}

void db_session_new(int fd, const struct sockaddr *address)
{
    const int on = 1;
    db_session *session = NULL;
    if (db_here.unknown_end == NULL) {
        db_here.unknown_end = &db_here.unknown;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (sp_failed(sp_alloc(1, sizeof(*session), &session))) {
        close(fd);
        return;
    }
    session->timer.on_time = on_time;
    session->again.call = on_again;
    session->resource = SP_NONE;
    session->opened_unix_us = sp_now_unix_us();
    session->connection = sp_recorder_reference();
    session->key_len = DB_KEY_BYTES;
    sp_random(session->key, sizeof(session->key));
    peer_of(address, session->who.peer);
    sp_err err = db_stream_open(&session->front, fd, db_front_on_ready);
    if (sp_failed(err) || sp_failed(take_slot(session))) {
        db_stream_close(&session->front);
        sp_free(session);
        return;
    }
    if (sp_failed(make_login(session))) {
        db_session_drop(session);
        return;
    }
    join_unknown(session);
}

/* ---- core's list of connections ---- */

static void write_conn(const db_session *session, sp_db_conn_state state, sp_buf *body)
{
    sp_db_conn conn = {.connection = session->connection,
                       .state = (uint8_t)state,
                       .session = {.slot = session->live_slot, .id = session->live_id},
                       .resource = sp_span_cstr(session->resource_name),
                       .database = sp_span_cstr(session->database),
                       .account = sp_span_cstr(session->account),
                       .application = sp_span_cstr(session->application)};
    sp_copy(conn.peer, session->who.peer, sizeof(conn.peer));
    if (session->has_certificate) {
        sp_copy(conn.fingerprint.bytes, session->fingerprint.bytes, SP_SHA256_BYTES);
    }
    sp_db_conn_write(&conn, body);
}

static void tell_core(const db_session *session, sp_db_conn_state state)
{
    auto_buf sp_buf body = sp_buf_make(1024);
    write_conn(session, state, &body);
    if (!sp_failed(sp_buf_error(&body))) {
        /* core that is away hears of all that are open when it is back */
        (void)sp_link_tell(&db_here.office.link, SP_CORE_DB_CONN, sp_buf_borrow(&body));
    }
}

uint32_t db_session_ask_place(db_session *session, sp_link_reply on_reply)
{
    auto_buf sp_buf body = sp_buf_make(1024);
    write_conn(session, SP_DB_CONN_OPEN, &body);
    uint32_t call = sp_failed(sp_buf_error(&body))
                        ? 0
                        : sp_link_call(&db_here.office.link, SP_CORE_DB_CONN, sp_buf_borrow(&body),
                                       NULL, 0, on_reply, session);
    session->has_place = call != 0; /* it may be taken before the answer is here */
    return call;
}

void db_session_tell_all(void)
{
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        if (db_here.sessions[i] != NULL && db_here.sessions[i]->has_place) {
            tell_core(db_here.sessions[i], SP_DB_CONN_OPEN);
        }
    }
}

/* ---- ending ---- */

static void free_login(db_session *session)
{
    db_login *login = session->login;
    if (login != NULL) {
        sp_link_forget(&db_here.office.link, login->call);
        sp_buf_done(&login->in);
        sp_buf_done(&login->parameters);
        sp_free(login);
        session->login = NULL;
    }
}

static void free_now(sp_deferred *deferred)
{
    db_session *session = SESSION_OF(deferred, free);
    free_login(session);
    sp_buf_done(&session->front_carry);
    sp_buf_done(&session->back_carry);
    sp_gate_snapshot_unref(session->snapshot);
    sp_free(session);
}

void db_session_drop(db_session *session)
{
    if (session->free.queued) {
        return;
    }
    session->at = DB_AT_ENDING;
    db_session_known(session);
    db_login_give_up(session);
    sp_timer_clear(db_here.loop, &session->timer);
    sp_loop_undefer(db_here.loop, &session->again);
    db_turn_leave(session);
    db_share_leave(session);
    db_flights_done(session);
    db_judge_gone(session);
    db_place_leave(&session->attended);
    if (session->login != NULL) {
        sp_link_forget(&db_here.office.link, session->login->call);
        session->login->call = 0;
    }
    if (session->has_place) {
        tell_core(session, SP_DB_CONN_CLOSED);
    }
    close_front(session);
    db_back_close(session->back);
    session->back = NULL;
    db_here.sessions[session->slot] = NULL;
    db_here.free_slots[db_here.free_count++] = session->slot;
    sp_give_count(&db_here.give, --db_here.session_count);
    session->free.call = free_now;
    sp_loop_defer(db_here.loop, &session->free);
}

void db_session_end(db_session *session)
{
    if (session->at == DB_AT_ENDING) {
        return;
    }
    session->at = DB_AT_ENDING;
    bool waits = db_stream_is_open(&session->front) && !session->front.broken &&
                 (db_stream_is_stuck(&session->front) || session->is_revoked);
    uint64_t time_us = session->is_revoked ? REVOKED_US : LAST_WORDS_US;
    if (!waits || sp_failed(sp_timer_set(db_here.loop, &session->timer, time_us))) {
        db_session_drop(session);
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
static void tell_failure(db_session *session, const db_refusal *refusal)
{
    uint64_t reference = refusal->reference;
    if (session->live_id != 0 || db_stranger_refused(session, refusal->reason, &reference)) {
        record_failure(session, refusal);
    }
    if (db_stream_is_open(&session->front) && !session->mid_message) {
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
static void leave_server(db_session *session)
{
    if (session->back != NULL && session->flights.count > 0) {
        db_back_cancel(session->back);
        reset_at_end(session->back->stream.watch.fd);
    }
    db_back_close(session->back);
    session->back = NULL;
    db_session_end(session);
}

/* ---- the client is gone ---- */

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
static bool read_on(db_session *session)
{
    session->left = true;
    session->waits = false;
    db_judge_left(session);
    bool is_torn = session->front_left > 0 && !session->front_drops;
    return is_torn || !sp_failed(ask_for_the_end(session));
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
    bool reads_on = read_on(session);
    close_front(session);
    if (!reads_on) {
        db_session_drop(session);
        return;
    }
    if (!lets_it_run(session)) {
        give_up(session);
    } else if (session->leave_by_us == 0) {
        leave_by(session, LINGER_US);
    }
    sp_loop_defer(db_here.loop, &session->again); /* what waited for the client is there already */
}

/* Its client may not go on, and has heard why. What runs is cancelled; what had been done by then
 * counts. */
static void cut(db_session *session)
{
    if (session->at != DB_AT_OPEN || session->back_gone || session->flights.count == 0) {
        leave_server(session);
        return;
    }
    if (!session->left &&
        (!read_on(session) || sp_failed(sp_timer_set(db_here.loop, &session->timer, REVOKED_US)))) {
        leave_server(session);
        return;
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
    bool is_cut = session->is_revoked && session->left;
    if (!is_cut) {
        tell_failure(session, refusal);
    }
    if (session->is_revoked && !is_cut) {
        cut(session);
    } else {
        leave_server(session);
    }
}

/* The server takes up what it has behind what was cancelled: that is for nobody either. In the
 * middle of a message nothing else can be said than that it has no end. */
static void go_on_leaving(db_session *session)
{
    bool is_torn = session->front_left > 0 && !session->front_drops;
    if (session->flights.count == 0) {
        leave_server(session);
        return;
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
        leave_server(session);
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

/* Nothing of the client is read now: what he has said already tells whether he is there. */
static void hear_the_end(db_session *session)
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

/* ---- looking again ---- */

bool db_session_may_go_on(db_session *session, db_refusal *refusal)
{
    sp_reason reason = SP_REASON_NONE;
    if (!db_subject_find(session, &reason)) {
        db_refuse(refusal, "57P01", reason, "this connection may not go on: %s",
                  sp_reason_word(reason));
        session->is_revoked = true;
    } else if (session->at == DB_AT_OPEN && db_judge_again(session, refusal) != DB_PASS) {
        session->is_revoked = true;
    }
    return !session->is_revoked;
}

static void look_again(db_session *session)
{
    static db_refusal refusal;
    if (session->live_id != 0 && session->at != DB_AT_ENDING && !session->is_revoked &&
        !db_session_may_go_on(session, &refusal)) {
        tell_failure(session, &refusal);
        session->is_told = true;
    }
}

/* First everybody is cut, then servers are left: a thousand of them that end at once would stand
 * in the way of those who are not cut yet. */
void db_session_look_again(void)
{
    db_here.epoch = db_here.office.has_live ? sp_live_epoch(&db_here.office.live) : 0;
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        if (db_here.sessions[i] != NULL) {
            look_again(db_here.sessions[i]);
        }
    }
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        db_session *session = db_here.sessions[i];
        if (session != NULL && session->is_told && session->at != DB_AT_ENDING) {
            session->is_told = false;
            cut(session);
        }
    }
}

void db_place_enter(db_place **list, db_place *place, db_session *session)
{
    if (place->link != NULL) {
        return;
    }
    *place = (db_place){.next = *list, .link = list, .session = session};
    if (place->next != NULL) {
        place->next->link = &place->next;
    }
    *list = place;
}

void db_place_leave(db_place *place)
{
    if (place->link == NULL) {
        return;
    }
    *place->link = place->next;
    if (place->next != NULL) {
        place->next->link = place->link;
    }
    place->link = NULL;
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
        }
    }
}

db_session *db_session_of(uint64_t connection)
{
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        db_session *session = db_here.sessions[i];
        if (session != NULL && session->connection == connection && session->at < DB_AT_ENDING) {
            return session;
        }
    }
    return NULL;
}

void db_session_kill(uint64_t connection, sp_span reason)
{
    static db_refusal refusal;
    db_session *session = db_session_of(connection);
    if (session != NULL && !session->is_revoked) {
        db_refuse(&refusal, "57P01", SP_REASON_SESSION_ENDED, "this connection was ended: %.*s",
                  SP_SPAN_ARG(reason));
        session->is_revoked = true;
        tell_failure(session, &refusal);
        cut(session);
    }
}

/* ---- the pump ---- */

static void pump(db_session *session)
{
    if (db_stream_is_open(&session->front) && sp_failed(db_stream_flush(&session->front))) {
        session->front_ended = true;
    }
    SP_IGNORE(db_stream_flush(&session->back->stream)); /* a broken one is read to its end below */
    db_pump_back(session);
    if (session->at == DB_AT_OPEN && session->left) {
        go_on_leaving(session);
        return;
    }
    if (session->at == DB_AT_OPEN) {
        db_pump_front(session);
    }
    if (session->at != DB_AT_OPEN || session->left) {
        return;
    }
    if (session->front.hung && !session->front_ended) {
        hear_the_end(session);
    }
    if (session->front_ended) {
        db_session_leave(session);
    }
}

void db_pump(db_session *session)
{
    if (session->at == DB_AT_OPEN) {
        pump(session);
        db_share_count(session);
    }
}

/* ---- what the judge may ask and do ---- */

db_judge *db_session_judge(const db_session *session)
{
    return session->judge;
}

void db_session_set_judge(db_session *session, db_judge *judge)
{
    session->judge = judge;
}

uint32_t db_session_watch(const db_session *session)
{
    return session->watch;
}

void db_session_set_watch(db_session *session, uint32_t bits)
{
    session->watch = bits;
}

void db_session_set_large(db_session *session, uint64_t rows, uint64_t bytes)
{
    session->large_rows = rows;
    session->large_bytes = bytes;
}

sp_span db_session_server_status(const db_session *session, sp_span name)
{
    return session->back == NULL ? SP_SPAN_EMPTY : db_back_status(session->back, name);
}

void db_session_resume(db_session *session)
{
    if (session->at == DB_AT_ENDING) {
        return;
    }
    session->resumed = session->waits;
    sp_loop_defer(db_here.loop, &session->again);
}

void db_session_resume_answer(db_session *session)
{
    if (session->at != DB_AT_ENDING) {
        session->back_resumed = session->back_waits;
        session->back_waits = false;
        sp_loop_defer(db_here.loop, &session->again);
    }
}

bool db_session_drain(db_session *session)
{
    session->drains = session->flights.count > 0;
    return session->drains;
}

void db_session_notice(db_session *session, sp_span sqlstate, sp_span message, sp_span hint)
{
    if (session->at != DB_AT_OPEN || session->mid_message || session->left) {
        return;
    }
    auto_buf sp_buf out = sp_buf_make(4096);
    const sp_pg_error notice = {
        .severity = SP_SPAN_LIT("NOTICE"), .sqlstate = sqlstate, .message = message, .hint = hint};
    sp_pg_error_write(&out, 'N', &notice);
    if (!sp_failed(sp_buf_error(&out))) {
        SP_IGNORE(db_stream_send(&session->front, sp_buf_borrow(&out))); /* told by the next one */
    }
}

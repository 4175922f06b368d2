/* SPDX-License-Identifier: Apache-2.0
 * A session from its first byte to its last: who it is, its end, and what the judge may do with it.
 * OWNS sessions. PROCESS db gate workers. TRUST none. SPEC gates/db/db.h, gates/db/judge.h.
 */
#include "gates/db/db.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "lib/proto/core_msg.h"
#include "lib/proto/db_msg.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <unistd.h>

#define SESSION_OF(pointer, member)                                                                \
    ((db_session *)(void *)((char *)(pointer)-offsetof(db_session, member)))

enum { IN_MAX_BYTES = 16 * 1024, SLOTS_MAX = 1 << 20 };

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

static void on_time(sp_timer *timer)
{
    db_session *session = SESSION_OF(timer, timer);
    if (session->at < DB_AT_OPEN && session->at > DB_AT_TLS) {
        db_refusal refusal;
        db_refuse(&refusal, "57014", SP_REASON_LIMIT, "the log-in took too long");
        db_session_fail(session, &refusal);
    } else if (session->at == DB_AT_OPEN && session->left) {
        db_session_close_front(session); /* it had its last words */
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
    sp_free(session->hold_why);
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
    db_session_close_front(session);
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
    uint64_t time_us = session->is_revoked ? DB_REVOKED_US : DB_LAST_WORDS_US;
    if (!waits || sp_failed(sp_timer_set(db_here.loop, &session->timer, time_us))) {
        db_session_drop(session);
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
        db_session_tell_failure(session, &refusal);
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
            db_session_cut(session);
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
        db_session_tell_failure(session, &refusal);
        db_session_cut(session);
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
        db_session_go_on_leaving(session);
        return;
    }
    if (session->at == DB_AT_OPEN) {
        db_pump_front(session);
    }
    if (session->at != DB_AT_OPEN || session->left) {
        return;
    }
    if (session->front.hung && !session->front_ended) {
        db_session_hear_the_end(session);
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

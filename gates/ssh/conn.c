/* SPDX-License-Identifier: Apache-2.0
 * A connection from its first byte to its last.
 * OWNS connections. PROCESS ssh gate workers. TRUST none. SPEC gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"
#include "infra/proc/clock.h"
#include "infra/proc/jumps.h"
#include "infra/proc/log.h"
#include "lib/base/address.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define CONN_OF(pointer, member) ((sg_conn *)(void *)((char *)(pointer)-offsetof(sg_conn, member)))

enum { LAST_WORDS_US = 500000, MENU_IDLE_S = 600, SLOTS_MAX = 1 << 20 };

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

uint32_t sg_conn_load(void)
{
    return sg_here.bind == NULL ? UINT32_MAX : sg_here.conn_count;
}

void sg_conn_count(void)
{
    sp_give_count(&sg_here.give, sg_conn_load());
}

static sp_err take_slot(sg_conn *conn)
{
    sg_worker *w = &sg_here;
    if (w->free_count == 0) {
        uint32_t cap = w->conn_cap == 0 ? 64 : w->conn_cap * 2;
        if (cap > SLOTS_MAX) {
            return sp_fail(SP_ELIMIT);
        }
        TRY(sp_resize(&w->conns, cap, sizeof(sg_conn *)));
        TRY(sp_resize(&w->free_slots, cap, sizeof(uint32_t)));
        for (uint32_t i = cap; i-- > w->conn_cap;) {
            w->conns[i] = NULL;
            w->free_slots[w->free_count++] = i;
        }
        w->conn_cap = cap;
    }
    conn->slot = w->free_slots[--w->free_count];
    w->conns[conn->slot] = conn;
    w->conn_count++;
    sg_conn_count();
    return sp_ok();
}

static bool is_same_place(const sg_conn *one, const sg_conn *other)
{
    return sp_address_same_place(one->rider.who.peer, other->rider.who.peer);
}

/* Room for one more that nobody knows: a flood pushes out its own. Of an address with many, the
 * oldest goes; then the oldest of all. Who is typing a password goes last, while those are fewer
 * than half: more only say so, and go first. */
static void make_room(const sg_conn *conn)
{
    const sg_worker *w = &sg_here;
    sg_conn *of_address = NULL;
    sg_conn *of_all = NULL;
    unsigned count_of_address = 0;
    unsigned typing = 0;
    unsigned typing_here = 0;
    for (const sg_conn *one = w->unknown; one != NULL; one = one->next) {
        typing += one->login.converses ? 1 : 0;
        typing_here += one->login.converses && is_same_place(conn, one) ? 1 : 0;
    }
    bool goes = typing > SG_UNKNOWN_MAX / 2;
    bool goes_here = typing_here > SG_UNKNOWN_OF_ADDRESS_MAX / 2;
    for (sg_conn *one = w->unknown; one != NULL; one = one->next) {
        bool same = is_same_place(conn, one);
        count_of_address += same ? 1 : 0;
        if (same && (of_address == NULL || (of_address->login.converses != goes_here &&
                                            one->login.converses == goes_here))) {
            of_address = one;
        }
        if (of_all == NULL || (of_all->login.converses != goes && one->login.converses == goes)) {
            of_all = one;
        }
    }
    if (count_of_address >= SG_UNKNOWN_OF_ADDRESS_MAX) {
        sg_conn_drop(of_address);
    } else if (w->unknown_count >= SG_UNKNOWN_MAX) {
        sg_conn_drop(of_all);
    }
}

static void join_unknown(sg_conn *conn)
{
    sg_worker *w = &sg_here;
    make_room(conn);
    if (w->unknown_end == NULL) {
        w->unknown_end = &w->unknown;
    }
    conn->next = NULL;
    conn->back_link = w->unknown_end;
    *w->unknown_end = conn;
    w->unknown_end = &conn->next;
    w->unknown_count++;
}

void sg_conn_known(sg_conn *conn)
{
    sg_worker *w = &sg_here;
    if (conn->back_link == NULL) {
        return;
    }
    *conn->back_link = conn->next;
    if (conn->next != NULL) {
        conn->next->back_link = conn->back_link;
    } else {
        w->unknown_end = conn->back_link;
    }
    conn->back_link = NULL;
    w->unknown_count--;
}

static void on_time(sp_timer *timer)
{
    sg_conn *conn = CONN_OF(timer, timer);
    if (conn->at == SG_AT_AUTH) {
        sg_refusal refusal;
        sg_refusal_make(&refusal, SP_REASON_LIMIT, "the log-in took too long");
        sg_conn_fail(conn, &refusal);
    } else {
        sg_conn_drop(conn); /* its last words have had their time */
    }
}

static ssh_session make_session(sg_side *side, int fd)
{
    ssh_session ssh = ssh_new();
    if (ssh == NULL) {
        return NULL;
    }
    ssh_set_blocking(ssh, 0);
    int lent = sg_side_lend(side, fd);
    if (lent < 0 || sg_here.bind == NULL || ssh_bind_accept_fd(sg_here.bind, ssh, lent) != SSH_OK) {
        bool taken = ssh_get_fd(ssh) >= 0;
        ssh_free(ssh);
        sg_ahead_end(side, lent);
        if (lent >= 0 && !taken) {
            close(lent);
        }
        return NULL;
    }
    ssh_set_blocking(ssh, 0);
    if (ssh_options_set(ssh, SSH_OPTIONS_COMPRESSION, "no") != 0) {
        ssh_free(ssh);
        sg_ahead_end(side, lent);
        return NULL;
    }
    ssh_set_auth_methods(ssh, SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_INTERACTIVE);
    return ssh;
}

void sg_conn_new(int fd, const struct sockaddr *address)
{
    const int on = 1;
    sg_conn *conn = NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (sp_failed(sp_alloc(1, sizeof(*conn), &conn))) {
        close(fd);
        return;
    }
    conn->timer.on_time = on_time;
    conn->resource = SP_NONE;
    conn->opened_us = sp_loop_now_us(sg_here.loop);
    conn->reached_us = conn->opened_us;
    conn->connection = sp_recorder_reference();
    conn->front.is_front = true;
    peer_of(address, conn->rider.who.peer);
    if (!sg_door_opens(conn, fd)) {
        sp_free(conn);
        return;
    }
    if (sp_failed(take_slot(conn))) {
        close(fd);
        sp_free(conn);
        return;
    }
    ssh_session ssh = make_session(&conn->front, fd);
    if (ssh == NULL) {
        close(fd);
        sg_conn_drop(conn);
        return;
    }
    if (sp_failed(sg_side_start(&conn->front, conn, ssh, fd)) ||
        sp_failed(sp_timer_set(sg_here.loop, &conn->timer, SG_KEX_US))) {
        sg_conn_drop(conn);
        return;
    }
    join_unknown(conn);
    if (conn->at == SG_AT_KEX) {
        sg_side_turn(&conn->front);
    }
}

/* ---- stepping ---- */

static void step_kex(sg_conn *conn)
{
    sg_side *side = &conn->front;
    int rc = ssh_handle_key_exchange(side->ssh);
    if (rc == SSH_ERROR || side->broken) {
        sg_conn_drop(conn);
        return;
    }
    if (!side->has_event) {
        side->has_event = ssh_event_add_session(side->event, side->ssh) == SSH_OK;
        if (!side->has_event) {
            sg_conn_drop(conn);
            return;
        }
        sg_side_again(side);
    }
    if (rc == SSH_OK) {
        conn->at = SG_AT_AUTH;
        SP_IGNORE(sp_timer_set(sg_here.loop, &conn->timer, SG_LOGIN_US)); /* it is set already */
        sg_side_again(side);
    }
}

static void step_broken(sg_conn *conn, const sg_side *side)
{
    if (side->choked && conn->rider.id != 0) {
        sg_refusal refusal;
        sg_refusal_make(&refusal, SP_REASON_LIMIT, "%s sends and sends, and reads no answer",
                        side->is_front ? "the client" : "the target");
        sg_conn_fail(conn, &refusal);
    } else if (side->is_front) {
        sg_conn_drop(conn);
    } else if (conn->at == SG_AT_OPEN) {
        sg_refusal refusal;
        sg_channels_step(conn); /* what it said last */
        sg_refusal_make(&refusal, SP_REASON_UNAVAILABLE, "the target closed the connection");
        sg_conn_fail(conn, &refusal);
    } else {
        sg_back_step(conn);
    }
}

void sg_conn_step(sg_side *side)
{
    sg_conn *conn = side->conn;
    if (conn->asks_too_much && conn->at < SG_AT_ENDING) {
        sg_refusal refusal;
        sg_refusal_make(&refusal, SP_REASON_LIMIT,
                        "more than %d things that are refused were asked for within a minute",
                        SG_REFUSALS_A_MINUTE);
        sg_conn_fail(conn, &refusal);
    } else if (conn->at == SG_AT_KEX) {
        step_kex(conn);
    } else if (side->broken) {
        step_broken(conn, side);
    } else if (conn->at <= SG_AT_BACK && !side->is_front) {
        sg_back_step(conn);
    } else if (conn->at > SG_AT_AUTH && conn->at < SG_AT_ENDING) {
        sg_channels_step(conn);
    }
}

/* ---- ending ---- */

static void free_now(sp_deferred *deferred)
{
    sg_conn *conn = CONN_OF(deferred, free);
    while (conn->channels != NULL) {
        sg_channel *channel = conn->channels;
        conn->channels = channel->next;
        sp_loop_undefer(sg_here.loop, &channel->free);
        if (channel->front != NULL) {
            ssh_remove_channel_callbacks(channel->front, &channel->front_calls);
        }
        if (channel->back != NULL) {
            ssh_remove_channel_callbacks(channel->back, &channel->back_calls);
        }
        sg_channel_forget(channel);
    }
    sg_side_stop(&conn->back);
    sg_side_stop(&conn->front);
    sp_gate_snapshot_unref(conn->snapshot);
    sp_free(conn->force_command);
    sp_free(conn);
}

void sg_conn_drop(sg_conn *conn)
{
    if (conn->free.queued) {
        return;
    }
    for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
        sg_channel_over(channel);
    }
    sg_conn_known(conn);
    sp_timer_clear(sg_here.loop, &conn->timer);
    sp_timer_clear(sg_here.loop, &conn->pacing);
    sg_login_done(conn);
    sg_back_done(conn);
    if (conn->rider.id != 0) {
        sg_record_end(conn);
    }
    if (conn->told || conn->login.proves) {
        sg_conn_tell_core(conn, false);
    }
    conn->at = SG_AT_ENDING;
    sg_here.conns[conn->slot] = NULL;
    sg_here.free_slots[sg_here.free_count++] = conn->slot;
    sg_here.conn_count--;
    sg_conn_count();
    conn->free.call = free_now;
    sp_loop_defer(sg_here.loop, &conn->free);
}

/* The client hears why it ends. */
static void tell_failure(sg_conn *conn, const sg_refusal *refusal)
{
    auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 5);
    sg_refusal_line(refusal, false, &line);
    bool said = false;
    for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
        if (channel->state < SG_CH_ENDED && channel->front != NULL) {
            bool fits = ssh_channel_window_size(channel->front) >= line.len + 1;
            sg_channel_say_over(channel, refusal);
            said = said || fits;
        }
    }
    /* also when what runs has filled the windows: a disconnect needs none; but it ends OpenSSH's
     * client at once, which would not show any more what it was told on a channel */
    if (!said && !sp_failed(sp_buf_error(&line)) && conn->front.ssh != NULL) {
        char text[SG_TEXT_BYTES * 2];
        if (!sp_failed(sp_fit(text, sizeof(text), sp_span_trim(sp_buf_borrow(&line))))) {
            ssh_session_set_disconnect_message(conn->front.ssh, text);
            conn->front.says = true;
        }
    }
}

/* What is left of it ends, on the ledger, at core and at the machine. */
static void write_failure(sg_conn *conn, const sg_refusal *refusal)
{
    sg_record_refusal(conn, refusal);
    for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
        sg_channel_end(channel);
    }
    sg_conn_drop(conn);
}

void sg_conn_fail(sg_conn *conn, const sg_refusal *refusal)
{
    if (conn->at != SG_AT_ENDING) {
        tell_failure(conn, refusal);
        write_failure(conn, refusal);
    }
}

void sg_conn_refuse(sg_conn *conn, const sg_refusal *refusal)
{
    if (conn->at == SG_AT_ENDING || conn->at == SG_AT_REFUSED) {
        return;
    }
    sg_record_refusal(conn, refusal);
    conn->refusal = *refusal;
    conn->at = SG_AT_REFUSED;
    sg_back_done(conn);
    sg_side_stop(&conn->back);
    if (sp_failed(sp_timer_set(sg_here.loop, &conn->timer, SG_LOGIN_US))) {
        sg_conn_drop(conn);
        return;
    }
    sg_side_again(&conn->front);
}

/* ---- looking again ---- */

static void cut(sg_conn *conn, const sg_refusal *refusal)
{
    conn->cut = true;
    conn->refusal = *refusal;
    sg_side_gather(&conn->front);
    tell_failure(conn, refusal);
}

/* Messages of a side do not outlive it. */
static void let_go_of_front(sg_conn *conn)
{
    sg_login_done(conn);
    for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
        if (channel->held != NULL) {
            ssh_message_free(channel->held);
            channel->held = NULL;
        }
        if (channel->front != NULL) {
            ssh_remove_channel_callbacks(channel->front, &channel->front_calls);
            channel->front = NULL;
        }
    }
}

/* Who can only be told by a goodbye (what runs has filled the windows) is told as the side ends. */
static void hang_up(sg_conn *conn)
{
    if (conn->front.says) {
        let_go_of_front(conn);
        sg_side_stop(&conn->front);
    } else {
        sg_side_hang_up(&conn->front);
    }
}

static void each_cut(void (*call)(sg_conn *conn))
{
    for (uint32_t i = 0; i < sg_here.conn_cap; i++) {
        if (sg_here.conns[i] != NULL && sg_here.conns[i]->cut) {
            call(sg_here.conns[i]);
        }
    }
}

static void end_cut(sg_conn *conn)
{
    write_failure(conn, &conn->refusal);
}

static uint64_t looked_epoch; /* of the live table, when all were looked at last */

uint64_t sg_conn_epoch(void)
{
    return looked_epoch;
}

static void look_again(sg_conn *conn)
{
    sg_refusal refusal;
    sp_reason reason = SP_REASON_NONE;
    if (conn->rider.id == 0 || conn->at >= SG_AT_REFUSED) {
        return;
    }
    if (!sp_rider_find(&sg_here.office, &conn->rider, &reason)) {
        sg_refusal_make(&refusal, reason, "this connection may not go on: %s",
                        sp_reason_word(reason));
        cut(conn, &refusal);
        return;
    }
    if (conn->at < SG_AT_BACK) {
        return;
    }
    if (!sg_decide_place(conn, &refusal)) {
        cut(conn, &refusal);
        return;
    }
    sp_decision decision = sg_decide(conn, SP_ACTION_CONNECT);
    if (decision.verdict != SP_VERDICT_ALLOW) {
        sg_decide_refuse(conn, &decision, "this connection may not go on", &refusal);
        cut(conn, &refusal);
        return;
    }
    for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
        if (channel->state >= SG_CH_OPENING && channel->state <= SG_CH_RUNS &&
            !sg_start_again(channel, &refusal)) {
            (void)sg_record_channel(channel, &channel->terms.decision, channel->terms.action,
                                    &refusal);
            sg_channel_refuse(channel, &refusal);
        }
    }
}

/* Nothing passes any more of whoever may not go on, then all of them hear it, in one packet each
 * that is also the last; only then comes what takes its time, and wakes others who want our core:
 * recordings, events, core, machines. */
void sg_conn_look_again(void)
{
    looked_epoch = sg_here.office.has_live ? sp_live_epoch(&sg_here.office.live) : 0;
    for (uint32_t i = 0; i < sg_here.conn_cap; i++) {
        if (sg_here.conns[i] != NULL) {
            look_again(sg_here.conns[i]);
        }
    }
    each_cut(hang_up);
    each_cut(end_cut);
}

static void tick_channels(sg_conn *conn, bool office_is_up)
{
    for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
        sg_consent_count(channel, false);
        sg_channel_tick(channel);
        if (!office_is_up) {
            sg_start_office(channel, false);
        }
    }
}

/* True when its time is over; refusal says why. */
static bool is_over(const sg_conn *conn, sg_refusal *refusal)
{
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    uint64_t now_us = sp_loop_now_us(sg_here.loop);
    uint64_t since_us = conn->active_us > conn->reached_us ? conn->active_us : conn->reached_us;
    uint64_t idle_s = (now_us - since_us) / 1000000;
    uint64_t idle_max_s = conn->at < SG_AT_BACK ? MENU_IDLE_S : conn->ssh.idle_s;
    if ((conn->expires_unix_s != 0 && conn->expires_unix_s <= now_unix_s) ||
        conn->rider.expires_unix_s <= now_unix_s) {
        sg_refusal_make(refusal, SP_REASON_SESSION_ENDED,
                        "what this connection was signed in with has expired");
    } else if (idle_s > idle_max_s) {
        sg_refusal_make(refusal, SP_REASON_LIMIT,
                        "nothing has passed for %u minutes, but what a terminal shows",
                        (unsigned)(idle_max_s / 60));
    } else if (conn->ssh.longest_s != 0 &&
               (now_us - conn->opened_us) / 1000000 >= conn->ssh.longest_s) {
        sg_refusal_make(refusal, SP_REASON_LIMIT, "a connection to this machine lasts %u minutes",
                        (unsigned)(conn->ssh.longest_s / 60));
    } else {
        return false;
    }
    return true;
}

/* The wall clock was set: back, and what ends by it ends as soon as it would have; ahead, and it
 * ends early, as sessions do. */
static void follow_clock(void)
{
    static sp_jumps jumps;
    int64_t by_s = sp_jumps_look(&jumps, sp_now_unix_us(), sp_now_steady_us()) / 1000000;
    for (uint32_t i = 0; by_s < 0 && i < sg_here.conn_cap; i++) {
        sg_conn *conn = sg_here.conns[i];
        uint64_t back_s = (uint64_t)-by_s;
        if (conn != NULL && conn->expires_unix_s != 0) {
            conn->expires_unix_s =
                conn->expires_unix_s > back_s ? conn->expires_unix_s - back_s : 1;
        }
    }
}

void sg_conn_tick(void)
{
    bool office_is_up = sp_link_is_up(&sg_here.office.link);
    follow_clock();
    for (uint32_t i = 0; i < sg_here.conn_cap; i++) {
        sg_conn *conn = sg_here.conns[i];
        sg_refusal refusal;
        if (conn == NULL || conn->rider.id == 0 || conn->at >= SG_AT_REFUSED) {
            continue;
        }
        sg_alarm_tell(conn, false);
        sp_rider_seen(&sg_here.office, &conn->rider, conn->active_us);
        tick_channels(conn, office_is_up);
        if (is_over(conn, &refusal)) {
            sg_conn_fail(conn, &refusal);
        }
    }
}

/* ---- core's list ---- */

sg_conn *sg_conn_of(uint64_t connection)
{
    for (uint32_t i = 0; i < sg_here.conn_cap; i++) {
        sg_conn *conn = sg_here.conns[i];
        if (conn != NULL && conn->connection == connection && conn->at < SG_AT_ENDING) {
            return conn;
        }
    }
    return NULL;
}

void sg_conn_put_client(const sg_conn *conn, sp_buf *out)
{
    const char *version = conn->front.ssh == NULL ? NULL : ssh_get_clientbanner(conn->front.ssh);
    sg_text_clean(sp_span_cstr(version), SP_SSH_CLIENT_MAX_BYTES - 8, out);
}

void sg_conn_tell_core(sg_conn *conn, bool open)
{
    auto_buf sp_buf body = sp_buf_make(2048);
    auto_buf sp_buf client = sp_buf_make(1024);
    sg_conn_put_client(conn, &client);
    sp_ssh_conn told = {.connection = conn->connection,
                        .state = open ? SP_SSH_OPEN : SP_SSH_CLOSED,
                        .session = {.slot = conn->rider.slot, .id = conn->rider.id},
                        .resource = sp_span_cstr(conn->resource_name),
                        .account = sp_span_cstr(conn->account),
                        .client = sp_buf_borrow(&client),
                        .frozen = conn->frozen,
                        .frozen_by = sp_span_cstr(conn->frozen_by)};
    sp_copy(told.peer, conn->rider.who.peer, sizeof(told.peer));
    if (conn->rider.has_fingerprint) {
        sp_copy(told.fingerprint.bytes, conn->rider.fingerprint.bytes, SP_SHA256_BYTES);
    }
    sp_ssh_conn_write(&told, &body);
    conn->told = open;
    if (!sp_failed(sp_buf_error(&body))) {
        /* core that is away hears of all that are open when it is back */
        (void)sp_link_tell(&sg_here.office.link, SP_CORE_SSH_CONN, sp_buf_borrow(&body));
    }
}

static void tell_channel(const sg_channel *channel, bool open)
{
    auto_buf sp_buf body = sp_buf_make(SP_SSH_OBJECT_MAX_BYTES + 256);
    sp_ssh_channel told = {.connection = channel->conn->connection,
                           .channel = channel->number,
                           .kind = channel->kind,
                           .state = open ? SP_SSH_OPEN : SP_SSH_CLOSED,
                           .object = sp_span_cstr(channel->object)};
    sp_ssh_channel_write(&told, &body);
    if (!sp_failed(sp_buf_error(&body))) {
        (void)sp_link_tell(&sg_here.office.link, SP_CORE_SSH_CHANNEL, sp_buf_borrow(&body));
    }
}

void sg_channel_tell_core(sg_channel *channel, bool open)
{
    if (channel->told != open) {
        channel->told = open;
        tell_channel(channel, open);
    }
}

void sg_conn_tell_all(void)
{
    for (uint32_t i = 0; i < sg_here.conn_cap; i++) {
        sg_conn *conn = sg_here.conns[i];
        if (conn == NULL || conn->at != SG_AT_OPEN) {
            continue;
        }
        sg_conn_tell_core(conn, true);
        for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
            if (channel->told) {
                tell_channel(channel, true);
            }
            sg_start_office(channel, true);
        }
        sg_alarm_tell(conn, true);
    }
}

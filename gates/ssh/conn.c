/* SPDX-License-Identifier: Apache-2.0
 * A connection from its first byte to its last.
 * OWNS connections. PROCESS ssh gate workers. TRUST none. SPEC gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/base/address.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define CONN_OF(pointer, member) ((sg_conn *)(void *)((char *)(pointer)-offsetof(sg_conn, member)))

enum { SLOTS_MAX = 1 << 20 };

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
void sg_conn_tell_failure(sg_conn *conn, const sg_refusal *refusal)
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
void sg_conn_write_failure(sg_conn *conn, const sg_refusal *refusal)
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
        sg_conn_tell_failure(conn, refusal);
        sg_conn_write_failure(conn, refusal);
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

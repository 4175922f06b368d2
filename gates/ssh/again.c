/* SPDX-License-Identifier: Apache-2.0
 * Connections that are looked at again: policy, person or clock have moved.
 * OWNS nothing. PROCESS ssh gate workers. TRUST none. SPEC gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"
#include "infra/proc/clock.h"
#include "infra/proc/jumps.h"

enum { MENU_IDLE_S = 600 };

static void cut(sg_conn *conn, const sg_refusal *refusal)
{
    conn->cut = true;
    conn->refusal = *refusal;
    sg_side_gather(&conn->front);
    sg_conn_tell_failure(conn, refusal);
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
    sg_conn_write_failure(conn, &conn->refusal);
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

/* SPDX-License-Identifier: Apache-2.0
 * Channels: their making, the target's end, what holds them back, their ends.
 *
 * A shell, an exec or a subsystem is confirmed to the client at once and then judged: what is
 * refused is told on the channel itself, where a person reads it, and ends with status 254.
 *
 * OWNS channels. PROCESS ssh gate workers. TRUST requests are hostile: bounded, and none passes on
 * as it is. SPEC RFC 4254.
 */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* libssh: no other way to answer later \
                                                            */
#include "gates/ssh/gate.h"

#include <stddef.h>
#include <string.h>

enum { REFUSED_STATUS = 254, OPENING_US = 20000000, BESIDE_MAX = 8 };

/* ---- making, freeing ---- */

static void free_one(sp_deferred *deferred)
{
    sg_channel *channel = (sg_channel *)(void *)((char *)deferred - offsetof(sg_channel, free));
    sg_channel **at = &channel->conn->channels;
    while (*at != NULL && *at != channel) {
        at = &(*at)->next;
    }
    if (*at == channel) {
        *at = channel->next;
        channel->conn->channel_count--;
    }
    if (channel->front != NULL) {
        ssh_remove_channel_callbacks(channel->front, &channel->front_calls);
        ssh_channel_free(channel->front);
    }
    if (channel->back != NULL) {
        ssh_remove_channel_callbacks(channel->back, &channel->back_calls);
        ssh_channel_free(channel->back);
    }
    sg_channel_forget(channel);
}

void sg_channel_forget(sg_channel *channel)
{
    sg_recording_end(channel);
    sg_sftp_end(channel);
    sg_scp_end(channel);
    sg_scp_forget(channel);
    sg_alarm_end(channel);
    sg_start_forget(channel);
    sg_consent_forget(channel);
    sg_menu_done(channel);
    if (channel->held != NULL) {
        ssh_message_free(channel->held);
    }
    for (uint32_t i = 0; i < channel->environment_count; i++) {
        sp_free(channel->environment[i].name);
        sp_free(channel->environment[i].value);
    }
    for (size_t i = 0; i < SG_STREAM_COUNT; i++) {
        sp_buf_done(&channel->flows[i].pending);
        sp_buf_done(&channel->flows[i].taken);
    }
    sp_free(channel->command);
    sp_free(channel->object);
    sp_free(channel->asked);
    sp_free(channel->subsystem);
    sp_free(channel->host);
    sp_free(channel->transfer_path);
    sp_free(channel);
}

sg_channel *sg_channel_new(sg_conn *conn)
{
    sg_channel *channel = NULL;
    if (conn->channel_count >= SG_CHANNELS_MAX ||
        sp_failed(sp_alloc(1, sizeof(*channel), &channel))) {
        return NULL;
    }
    channel->conn = conn;
    channel->number = ++conn->channel_numbers;
    channel->free.call = free_one;
    channel->opened_us = sp_loop_now_us(sg_here.loop);
    channel->terms.decision.rule = SP_NONE;
    channel->next = conn->channels;
    conn->channels = channel;
    conn->channel_count++;
    return channel;
}

void sg_channel_over(sg_channel *channel)
{
    if (channel->state == SG_CH_ENDED) {
        return;
    }
    if (channel->state >= SG_CH_OPENING && channel->state <= SG_CH_RUNS) {
        sg_record_channel_end(channel);
    }
    sg_consent_count(channel, true);
    channel->state = SG_CH_ENDED;
    sg_relay_forget(channel);
    sg_recording_end(channel);
    sg_sftp_end(channel);
    sg_scp_end(channel);
    sg_start_cancel(channel);
}

void sg_channel_end(sg_channel *channel)
{
    if (channel->state == SG_CH_ENDED) {
        return;
    }
    sg_channel_over(channel);
    sg_channel_tell_core(channel, false);
    if (channel->held != NULL) {
        ssh_message_reply_default(channel->held);
        ssh_message_free(channel->held);
        channel->held = NULL;
    }
    if (channel->front != NULL) {
        (void)ssh_channel_close(channel->front);
    }
    if (channel->back != NULL) {
        (void)ssh_channel_close(channel->back);
    }
    sp_loop_defer(sg_here.loop, &channel->free);
}

void sg_channel_say_over(sg_channel *channel, const sg_refusal *refusal)
{
    if (channel->state != SG_CH_ENDED && channel->front != NULL) {
        auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 5);
        sg_refusal_line(refusal, channel->has_pty, &line);
        sg_relay_say(channel, sp_buf_borrow(&line), true);
        (void)ssh_channel_request_send_exit_status(channel->front, REFUSED_STATUS);
        (void)ssh_channel_close(channel->front);
    }
}

/* What has no channel of its own to be told on: libssh leaves the text of a refused channel empty,
 * so it is said beside a session of the same connection, and to who runs his client with -v: the
 * first few, the rest is in the ledger and counted in the statement. */
void sg_channel_say_beside(sg_conn *conn, const sg_refusal *refusal)
{
    if (conn->beside == BESIDE_MAX) {
        return;
    }
    conn->beside++;
    auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 5);
    auto_buf sp_buf copy = sp_buf_make(SG_TEXT_BYTES * 5);
    auto_free char *text = NULL;
    for (sg_channel *one = conn->channels; one != NULL; one = one->next) {
        bool session = one->kind == SP_SSH_CHANNEL_SHELL || one->kind == SP_SSH_CHANNEL_EXEC;
        if (session && one->state == SG_CH_RUNS && one->front != NULL && line.len == 0) {
            sg_refusal_line(refusal, one->has_pty, &line);
            sg_relay_say(one, sp_buf_borrow(&line), true);
        }
    }
    sg_refusal_line(refusal, false, &copy);
    if (conn->front.ssh != NULL && !sp_failed(sp_buf_take_cstr(&copy, &text))) {
        (void)ssh_send_debug(conn->front.ssh, text, 1);
    }
}

void sg_channel_refuse(sg_channel *channel, const sg_refusal *refusal)
{
    if (channel->kind == SP_SSH_CHANNEL_FORWARD && channel->front == NULL) {
        sg_channel_say_beside(channel->conn, refusal);
    }
    sg_channel_say_over(channel, refusal);
    sg_channel_end(channel);
}

void sg_channel_deny(sg_channel *channel, sp_reason reason, const char *text)
{
    sg_refusal refusal;
    sg_refusal_make(&refusal, reason, "%s", text);
    (void)sg_record_channel(channel, &channel->terms.decision, channel->terms.action, &refusal);
    sg_channel_refuse(channel, &refusal);
}

/* ---- the target's end ---- */

static void fail(sg_channel *channel, const char *text)
{
    sg_channel_deny(channel, SP_REASON_UNAVAILABLE, text);
}

static int open_back(sg_channel *channel)
{
    if (channel->back == NULL) {
        channel->back = ssh_channel_new(channel->conn->back.ssh);
        if (channel->back == NULL) {
            return SSH_ERROR;
        }
        sg_relay_attach(channel); /* a target may speak, and close, with its first packet */
    }
    return channel->kind == SP_SSH_CHANNEL_FORWARD
               ? ssh_channel_open_forward(channel->back, channel->host, channel->port, "127.0.0.1",
                                          0)
               : ssh_channel_open_session(channel->back);
}

static int step_opening(sg_channel *channel)
{
    int rc = open_back(channel);
    if (rc != SSH_OK) {
        return rc;
    }
    if (sg_hidden_packet_bytes(channel->back) < SG_PACKET_MIN_BYTES) {
        fail(channel, "the target takes packets that are too small");
        return SSH_AGAIN;
    }
    if (channel->kind != SP_SSH_CHANNEL_FORWARD) {
        channel->state = channel->has_pty ? SG_CH_PTY : SG_CH_ENV;
        return SSH_OK;
    }
    ssh_message held = channel->held;
    channel->held = NULL;
    if (sg_channel_accept(channel, held)) {
        channel->state = SG_CH_RUNS;
    } else {
        sg_channel_end(channel);
    }
    ssh_message_free(held);
    return SSH_OK;
}

static int step_environment(sg_channel *channel)
{
    const sg_conn *conn = channel->conn;
    while (channel->environment_at < channel->environment_count) {
        uint32_t at = channel->environment_at;
        const char *name = channel->environment[at].name;
        const char *value = channel->environment[at].value;
        if (value != NULL && sp_policy_ssh_environment(&conn->snapshot->policy, conn->resource,
                                                       sp_span_cstr(name))) {
            int rc = ssh_channel_request_env(channel->back, name, value);
            if (rc == SSH_AGAIN) {
                return rc; /* a target that does not take it runs without */
            }
        }
        channel->environment_at++;
    }
    channel->state = SG_CH_START;
    return SSH_OK;
}

/* Somebody has to look first. */
static bool is_held(const sg_channel *channel)
{
    return channel->conn->frozen || channel->paused;
}

/* True: it can be recorded, and nothing holds it back. */
static bool prepare(sg_channel *channel)
{
    bool first = !channel->prepared;
    channel->prepared = true;
    if (first && channel->conn->frozen && /* before it: its own alarm says so itself */
        !sg_start_tell_frozen(channel)) {
        return false;
    }
    if (first && (!sg_recording_begin(channel) || !sg_alarm_begin(channel) ||
                  (channel->subsystem != NULL && sp_failed(sg_sftp_begin(channel))) ||
                  (channel->kind == SP_SSH_CHANNEL_SCP && sp_failed(sg_scp_begin(channel))))) {
        sg_refusal refusal;
        sg_refusal_make(&refusal, SP_REASON_UNRECORDED, "this cannot be recorded now");
        sg_channel_refuse(channel, &refusal);
        return false;
    }
    return !is_held(channel);
}

static int step_start(sg_channel *channel)
{
    if (!prepare(channel)) {
        return SSH_AGAIN;
    }
    int rc = channel->subsystem != NULL
                 ? ssh_channel_request_subsystem(channel->back, channel->subsystem)
             : channel->command != NULL ? ssh_channel_request_exec(channel->back, channel->command)
                                        : ssh_channel_request_shell(channel->back);
    channel->state = rc == SSH_OK ? SG_CH_RUNS : channel->state;
    if (rc == SSH_OK && channel->resized) {
        (void)ssh_channel_change_pty_size(channel->back, channel->columns, channel->rows);
    }
    if (rc == SSH_OK && channel->has_pty) {
        sg_ahead_terminal(&channel->conn->front);
        sg_ahead_terminal(&channel->conn->back);
    }
    return rc;
}

static int step_back(sg_channel *channel)
{
    int rc = SSH_OK;
    switch (channel->state) {
    case SG_CH_OPENING:
        return step_opening(channel);
    case SG_CH_PTY:
        rc = ssh_channel_request_pty_size(channel->back, channel->term, channel->columns,
                                          channel->rows);
        channel->state = rc == SSH_OK ? SG_CH_ENV : SG_CH_PTY;
        return rc;
    case SG_CH_ENV:
        return step_environment(channel);
    case SG_CH_START:
        return step_start(channel);
    case SG_CH_NEW:
    case SG_CH_WAITS:
    case SG_CH_RUNS:
    case SG_CH_MENU:
    case SG_CH_ENDED:
    case SG_CH_STATE_COUNT:
        break;
    }
    return SSH_AGAIN;
}

static void step_waiting(sg_channel *channel)
{
    sg_conn *conn = channel->conn;
    if (channel->front_closed) {
        sg_channel_end(channel);
    } else if (conn->at == SG_AT_REFUSED) {
        sg_channel_refuse(channel, &conn->refusal);
    } else if (conn->at == SG_AT_OPEN) {
        sg_start(channel);
    } else if (conn->at == SG_AT_KNOWN) {
        sg_menu_begin(channel);
    }
}

void sg_channel_step(sg_channel *channel)
{
    if (channel->state == SG_CH_WAITS) {
        step_waiting(channel);
    }
    if (channel->state == SG_CH_WAITS && channel->kind != SP_SSH_CHANNEL_FORWARD &&
        sg_start_is_written(channel)) {
        (void)open_back(channel); /* nothing runs in it yet; how it went is seen when it may */
    }
    while (channel->state >= SG_CH_OPENING && channel->state < SG_CH_RUNS) {
        int rc = step_back(channel);
        if (rc == SSH_ERROR) {
            fail(channel, channel->kind == SP_SSH_CHANNEL_FORWARD
                              ? "the target does not connect there"
                              : "the target does not start this");
        }
        if (rc != SSH_OK) {
            break;
        }
    }
    if (channel->state == SG_CH_RUNS) {
        sg_relay_pump(channel);
    } else if ((channel->state == SG_CH_NEW || channel->state == SG_CH_MENU) &&
               channel->front_closed) {
        sg_channel_end(channel);
    }
    sg_side_flush(&channel->conn->front);
    sg_side_flush(&channel->conn->back);
}

void sg_channel_tick(sg_channel *channel)
{
    bool waits = channel->state >= SG_CH_OPENING && channel->state < SG_CH_RUNS;
    if (is_held(channel)) { /* by us: the target is not slow */
        channel->opening_us = sp_loop_now_us(sg_here.loop);
    }
    sg_record_carried_tick(channel);
    if (channel->recording == NULL && !sp_recorder_works(&sg_here.recorder)) {
        sg_record_failed(channel); /* files and forwards: nobody else waits for the ledger */
        return;
    }
    if (waits && sp_loop_now_us(sg_here.loop) > channel->opening_us + OPENING_US) {
        fail(channel, "the target does not answer");
    }
}

void sg_channels_step(sg_conn *conn)
{
    sg_channel *next = NULL;
    for (sg_channel *channel = conn->channels; channel != NULL && conn->at < SG_AT_ENDING;
         channel = next) {
        next = channel->next; /* freed at the end of the turn only, but new ones come in front */
        sg_channel_step(channel);
    }
}

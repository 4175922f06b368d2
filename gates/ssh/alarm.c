/* SPDX-License-Identifier: Apache-2.0
 * Alarms on shells: what looks destructive, or hides what it is, becomes an event, a mark in the
 * recording and a page; where policy says so a grave one freezes the connection until a security
 * administrator has looked, and what raised it waits. An alarm, never a wall.
 *
 * OWNS a terminal's line; one scratch a worker. PROCESS ssh gate workers. TRUST what is typed and
 * printed is hostile and bounded there; alarms come as fast as somebody pastes, so the same one
 * again is only counted, and core is told once a second. SPEC lib/alarm/alarm.h.
 */
#include "lib/alarm/alarm.h"

#include "gates/ssh/gate.h"

#include <stdio.h>

enum { WIDTH = 80, DETAIL_BYTES = 256, SAME_US = 1000000, TELL_US = 1000000, LET_GO_US = 3000000 };

static sp_alarm_judge *judge;

/* ---- core ---- */

void sg_alarm_tell(sg_conn *conn, bool again)
{
    sg_alarms *alarms = &conn->alarms;
    uint64_t now_us = sp_loop_now_us(sg_here.loop);
    if (alarms->text == NULL || (!alarms->due && !again) ||
        (!again && now_us < alarms->told_us + TELL_US)) {
        return;
    }
    auto_buf sp_buf body = sp_buf_make(512);
    const sp_ssh_alarm alarm = {.connection = conn->connection,
                                .channel = alarms->channel,
                                .count = alarms->count,
                                .confidence = alarms->confidence,
                                .frozen = conn->frozen && conn->frozen_by[0] == '\0',
                                .text = sp_span_cstr(alarms->text)};
    sp_ssh_alarm_write(&alarm, &body);
    if (!sp_failed(sp_buf_error(&body)) &&
        sp_link_tell(&sg_here.office.link, SP_CORE_SSH_ALARM, sp_buf_borrow(&body))) {
        alarms->due = false;
        alarms->told_us = now_us;
    }
}

static void page(sg_channel *channel, sp_alarm alarm)
{
    sg_alarms *alarms = &channel->conn->alarms;
    if (!alarms->due || alarm.confidence >= alarms->confidence) {
        alarms->channel = channel->number;
        alarms->confidence = alarm.confidence;
        alarms->text = alarm.reason;
    }
    alarms->due = true;
}

/* ---- the ledger, the recording ---- */

static void write_down(sg_channel *channel, sp_alarm alarm, bool freezes)
{
    char room[DETAIL_BYTES];
    char connection[SP_REFERENCE_TEXT_BYTES];
    sg_alarms *alarms = &channel->conn->alarms;
    uint64_t now_us = sp_loop_now_us(sg_here.loop);
    bool same = alarms->last == alarm.reason && now_us < alarms->last_us + SAME_US;
    if (same && !freezes) {
        return;
    }
    alarms->last = alarm.reason;
    alarms->last_us = now_us;
    sp_reference_text(channel->conn->connection, connection);
    int len = snprintf(room, sizeof(room), "{\"connection\":\"%s\",\"channel\":%u,\"alarm\":%u%s}",
                       connection, channel->number, (unsigned)alarm.confidence,
                       freezes ? ",\"frozen\":true" : "");
    sp_event event = sg_event_of(channel->conn, SP_EVENT_DECISION);
    event.reference = channel->reference;
    event.action = (uint8_t)channel->terms.action;
    event.verdict = SP_VERDICT_ALLOW;
    event.reason = SP_REASON_RULE;
    event.severity = alarm.confidence >= SP_ALARM_PAGE ? SP_SEVERITY_HIGH : SP_SEVERITY_MEDIUM;
    event.method = SP_SPAN_LIT("alarm");
    event.object = sp_span_cstr(alarm.reason);
    event.detail = sp_span_of(room, (size_t)len);
    (void)sp_recorder_put(&sg_here.recorder, &event); /* no room is counted as a loss */
    sg_recording_mark(channel, sp_span_cstr(alarm.reason));
}

static void freeze(sg_channel *channel)
{
    sg_conn *conn = channel->conn;
    conn->frozen = true;
    conn->frozen_by[0] = '\0';
    (void)sg_start_tell(channel,
                        "frozen by an alarm: it waits until a security administrator has looked");
}

/* A line that was let go is echoed then: that is the same alarm once more. */
static bool is_echo(const sg_alarms *alarms, sp_alarm alarm)
{
    return alarms->let_go_us != 0 && alarms->last == alarm.reason &&
           sp_loop_now_us(sg_here.loop) < alarms->let_go_us + LET_GO_US;
}

static void raise_alarm(sg_channel *channel, sp_alarm alarm, bool is_printed)
{
    sg_conn *conn = channel->conn;
    if (alarm.confidence < SP_ALARM_NOTE || alarm.reason == NULL ||
        (is_printed && is_echo(&conn->alarms, alarm))) {
        return;
    }
    bool is_held = conn->frozen && conn->frozen_by[0] == '\0'; /* by an alarm */
    bool freezes =
        conn->ssh.alarm == SP_SSH_ALARM_FREEZE && !is_held && alarm.confidence >= SP_ALARM_FREEZE;
    conn->alarms.count++;
    write_down(channel, alarm, freezes);
    if (freezes) {
        freeze(channel);
    }
    if (conn->ssh.alarm != SP_SSH_ALARM_RECORD && alarm.confidence >= SP_ALARM_PAGE) {
        page(channel, alarm);
        sg_alarm_tell(conn, freezes);
    }
}

/* ---- a channel's ---- */

/* A shell, or anything on a terminal; not a command that commands are sent to. */
static bool is_screen(const sg_channel *channel)
{
    return channel->has_pty || channel->kind == SP_SSH_CHANNEL_SHELL;
}

bool sg_alarm_begin(sg_channel *channel)
{
    if (judge == NULL && sp_failed(sp_alarm_judge_new(&judge))) {
        return false;
    }
    if (channel->command != NULL) {
        raise_alarm(channel, sp_alarm_line(judge, NULL, sp_span_cstr(channel->command)), false);
    }
    bool takes = channel->kind == SP_SSH_CHANNEL_EXEC && channel->takes_commands;
    if (!is_screen(channel) && !takes) {
        return true;
    }
    sp_alarm_term *term = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*term), &term))) {
        return false;
    }
    sp_alarm_term_init(term, (uint16_t)(channel->columns > 0 ? channel->columns : WIDTH));
    channel->alarm = term;
    return true;
}

/* Of what is sent to a command no more is looked at than is recorded. That there is more is told to
 * somebody, once a channel: commands may stand behind whatever filled it. */
static void tell_unlooked(sg_channel *channel)
{
    if (!channel->unlooked) {
        channel->unlooked = true;
        raise_alarm(channel,
                    (sp_alarm){.confidence = SP_ALARM_PAGE,
                               .reason = "more was sent to a command than the alarms look at"},
                    false);
    }
}

/* Bytes may be offered again, when the machine took none: each is judged once. */
bool sg_alarm_typed(sg_channel *channel, sp_span bytes)
{
    uint64_t passed = channel->flows[SG_IN].passed;
    if (channel->alarm == NULL) {
        return true;
    }
    if (!is_screen(channel) && passed >= SG_COMMANDS_MAX_BYTES) {
        tell_unlooked(channel);
        return true;
    }
    size_t seen = channel->judged > passed ? (size_t)(channel->judged - passed) : 0;
    if (seen < bytes.len) {
        channel->judged = passed + bytes.len;
        raise_alarm(channel,
                    sp_alarm_typed(channel->alarm, judge, sp_span_slice(bytes, seen, bytes.len)),
                    false);
    }
    return !channel->conn->frozen;
}

void sg_alarm_printed(sg_channel *channel, sp_span bytes)
{
    if (channel->alarm != NULL && is_screen(channel)) {
        raise_alarm(channel, sp_alarm_printed(channel->alarm, judge, bytes), true);
    }
}

void sg_alarm_resized(sg_channel *channel)
{
    if (channel->alarm != NULL && channel->columns > 0) {
        sp_alarm_size(channel->alarm, (uint16_t)channel->columns);
    }
}

void sg_alarm_end(sg_channel *channel)
{
    sp_free(channel->alarm);
    channel->alarm = NULL;
}

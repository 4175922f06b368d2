/* SPDX-License-Identifier: Apache-2.0
 * Alarms on shells: what looks destructive, or hides what it is, becomes an event and a mark in the
 * recording. An alarm, never a wall: nothing is stopped by it.
 *
 * OWNS a terminal's line; one scratch a worker. PROCESS ssh gate workers. TRUST what is typed and
 * printed is hostile and bounded there. SPEC lib/alarm/alarm.h.
 */
#include "lib/alarm/alarm.h"

#include "gates/ssh/gate.h"

#include <stdio.h>

enum { WIDTH = 80, DETAIL_BYTES = 256 };

static sp_alarm_judge *judge;

static void raise_alarm(sg_channel *channel, sp_alarm alarm)
{
    char room[DETAIL_BYTES];
    char connection[SP_REFERENCE_TEXT_BYTES];
    if (alarm.confidence < SP_ALARM_NOTE || alarm.reason == NULL) {
        return;
    }
    sp_reference_text(channel->conn->connection, connection);
    int len = snprintf(room, sizeof(room), "{\"connection\":\"%s\",\"channel\":%u,\"alarm\":%u}",
                       connection, channel->number, (unsigned)alarm.confidence);
    sp_event event = sg_event_of(channel->conn, SP_EVENT_DECISION);
    event.reference = channel->reference;
    event.action = (uint8_t)channel->action;
    event.verdict = SP_VERDICT_ALLOW;
    event.reason = SP_REASON_RULE;
    event.severity = alarm.confidence >= SP_ALARM_PAGE ? SP_SEVERITY_HIGH : SP_SEVERITY_MEDIUM;
    event.method = SP_SPAN_LIT("alarm");
    event.object = sp_span_cstr(alarm.reason);
    event.detail = sp_span_of(room, (size_t)len);
    (void)sp_recorder_put(&sg_here.recorder, &event); /* no room is counted as a loss */
    sg_recording_mark(channel, sp_span_cstr(alarm.reason));
}

bool sg_alarm_begin(sg_channel *channel)
{
    if (judge == NULL && sp_failed(sp_alarm_judge_new(&judge))) {
        return false;
    }
    if (channel->command != NULL) {
        raise_alarm(channel, sp_alarm_line(judge, NULL, sp_span_cstr(channel->command)));
    }
    if (!channel->has_pty) {
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

void sg_alarm_passed(sg_channel *channel, sg_stream stream, sp_span bytes)
{
    sp_alarm_term *term = channel->alarm;
    if (term != NULL) {
        raise_alarm(channel, stream == SG_IN ? sp_alarm_typed(term, judge, bytes)
                                             : sp_alarm_printed(term, judge, bytes));
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

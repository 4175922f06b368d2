/* SPDX-License-Identifier: Apache-2.0
 * Events of the SSH gate.
 * OWNS nothing: spans point into the connection and its snapshot. PROCESS ssh gate workers.
 * TRUST none. SPEC lib/proto/event.h.
 */
#include "gates/ssh/gate.h"
#include "infra/proc/clock.h"
#include "lib/proto/json.h"

#include <stdio.h>

enum { CARRIED_EVERY_US = 60000000 };
enum { DETAIL_BYTES = 512, COMMAND_MAX_BYTES = 8 * 1024 };

sp_event sg_event_of(const sg_conn *conn, sp_event_kind kind)
{
    sp_event event = {
        .when_unix_us = sp_now_unix_us(),
        .reference = conn->connection,
        .session = conn->rider.id,
        .device = conn->rider.device_id,
        .person = conn->rider.who.person,
        .kind = (uint8_t)kind,
        .severity = SP_SEVERITY_INFO,
        .gate = SP_GATE_SSH,
        .owner = conn->rider.who.owner,
        .posture = conn->rider.who.posture,
        .strength = conn->rider.who.strength,
        .person_name = sp_span_cstr(conn->rider.person_name),
        .device_name = sp_span_cstr(conn->rider.device_name),
        .resource = sp_span_cstr(conn->resource_name),
        .method = SP_SPAN_LIT("connect"),
        .action = SP_ACTION_CONNECT,
    };
    sp_copy(event.peer, conn->rider.who.peer, sizeof(event.peer));
    sp_copy(event.roles, conn->rider.who.roles, sizeof(event.roles));
    if (conn->snapshot != NULL) {
        event.policy_version = sp_policy_version(&conn->snapshot->policy);
    }
    return event;
}

static void name_decision(const sg_conn *conn, const sp_decision *decision, sp_action action,
                          sp_event *event)
{
    event->action = (uint8_t)action;
    event->verdict = decision->verdict;
    event->reason = decision->reason;
    if (conn->snapshot != NULL) {
        const sp_policy *policy = &conn->snapshot->policy;
        event->class_level = decision->class_level;
        event->class_name = sp_policy_class_name(policy, decision->class_level);
        event->rule = sp_policy_rule_name(policy, decision->rule);
    }
}

static uint8_t severity_of(sp_action action, uint8_t verdict)
{
    bool grave = action == SP_ACTION_DESTROY || action == SP_ACTION_ADMINISTER;
    if (verdict == SP_VERDICT_ALLOW) {
        return grave ? SP_SEVERITY_MEDIUM : SP_SEVERITY_INFO;
    }
    return grave ? SP_SEVERITY_HIGH : SP_SEVERITY_LOW;
}

const char *sg_method_of(const sg_channel *channel)
{
    return sp_ssh_channel_word((sp_ssh_channel_kind)channel->kind);
}

void sg_record_connect(sg_conn *conn, const sp_decision *decision)
{
    sp_event event = sg_event_of(conn, SP_EVENT_DECISION);
    name_decision(conn, decision, SP_ACTION_CONNECT, &event);
    event.object = sp_span_cstr(conn->account);
    (void)sp_recorder_put(&sg_here.recorder, &event); /* no room is counted as a loss */
}

/* "connection":"7F3K-...","channel":2,"account":"ops" */
static void put_channel(const sg_channel *channel, sp_buf *out)
{
    char connection[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(channel->conn->connection, connection);
    sp_buf_fmt(out, "\"connection\":\"%s\",\"channel\":%u,\"kind\":\"%s\",\"account\":\"%.63s\"%s",
               connection, channel->number, sg_method_of(channel), channel->conn->account,
               channel->has_pty ? ",\"pty\":true" : "");
}

/* A command that is longer than an entry's object: whole, or its sum when the recording begins with
 * it (recording.c). */
static void put_command(const sg_channel *channel, sp_buf *out)
{
    sp_span command = sp_span_cstr(channel->command);
    auto_buf sp_buf text = sp_buf_make(COMMAND_MAX_BYTES);
    if (channel->asked != NULL) { /* a certificate's command ran instead */
        auto_buf sp_buf asked = sp_buf_make(2 * DETAIL_BYTES);
        sg_text_clean(sp_span_cstr(channel->asked), DETAIL_BYTES, &asked);
        sp_buf_text(out, ",\"asked\":");
        sp_buf_json(out, sp_buf_borrow(&asked));
    }
    if (!sg_record_is_cut(channel)) {
        return;
    }
    sp_hash hash = sp_sha256(command);
    sp_buf_fmt(out, ",\"command_bytes\":%zu,\"command_sha256\":\"", command.len);
    sp_buf_hex(out, sp_hash_borrow(&hash));
    sp_buf_byte(out, '"');
    sp_buf_json(&text, command);
    if (!sp_failed(sp_buf_error(&text))) {
        sp_buf_text(out, ",\"command\":");
        sp_buf_span(out, sp_buf_borrow(&text));
    }
}

bool sg_record_is_cut(const sg_channel *channel)
{
    return channel->command != NULL &&
           sp_span_cstr(channel->object).len >= SP_SSH_OBJECT_MAX_BYTES - 8;
}

uint64_t sg_record_channel(sg_channel *channel, const sp_decision *decision, sp_action action,
                           const sg_refusal *refusal)
{
    auto_buf sp_buf detail = sp_buf_make(COMMAND_MAX_BYTES + 4 * DETAIL_BYTES);
    sp_event event = sg_event_of(channel->conn, SP_EVENT_DECISION);
    name_decision(channel->conn, decision, action, &event);
    event.reference = refusal != NULL ? refusal->reference : channel->reference;
    if (refusal != NULL) {
        event.verdict = decision->verdict == SP_VERDICT_ASK ? SP_VERDICT_ASK : SP_VERDICT_DENY;
        event.reason = (uint8_t)refusal->reason;
        sg_record_count_refused(channel->conn);
    }
    event.severity = severity_of(action, event.verdict);
    event.method = sp_span_cstr(sg_method_of(channel));
    event.object = sp_span_cstr(channel->object);
    sp_buf_byte(&detail, '{');
    put_channel(channel, &detail);
    put_command(channel, &detail);
    sp_buf_byte(&detail, '}');
    event.detail = sp_buf_borrow(&detail);
    return sp_recorder_put(&sg_here.recorder, &event);
}

/* ---- what is carried off by commands: packaging/detections adds it up ---- */

static const char EXPORT_NOT_ALLOWED[] = ",\"export\":\"not allowed\"";

/* All of it is told in the entry of its end. */
static bool is_carried_whole(const sg_channel *channel)
{
    return channel->terms.no_output && channel->carried == 0;
}

void sg_record_carried(sg_channel *channel)
{
    uint64_t bytes = sg_relay_printed(channel) - channel->carried;
    channel->carried_us = sp_loop_now_us(sg_here.loop);
    if (!channel->terms.no_output || bytes == 0) {
        return;
    }
    auto_buf sp_buf detail = sp_buf_make(2 * DETAIL_BYTES);
    sp_event event = sg_event_of(channel->conn, SP_EVENT_CLOSE);
    name_decision(channel->conn, &channel->terms.decision, channel->terms.action, &event);
    sp_buf_byte(&detail, '{');
    put_channel(channel, &detail);
    sp_buf_text(&detail, EXPORT_NOT_ALLOWED);
    sp_buf_byte(&detail, '}');
    event.reference = channel->reference;
    event.method = SP_SPAN_LIT("printed");
    event.object = sp_span_cstr(channel->object);
    event.bytes_out = bytes;
    event.detail = sp_buf_borrow(&detail);
    channel->carried += bytes;
    (void)sp_recorder_put(&sg_here.recorder, &event); /* no room is counted as a loss */
}

void sg_record_carried_tick(sg_channel *channel)
{
    if (sp_loop_now_us(sg_here.loop) > channel->carried_us + CARRIED_EVERY_US) {
        sg_record_carried(channel);
    }
}

void sg_record_channel_end(sg_channel *channel)
{
    auto_buf sp_buf detail = sp_buf_make(2 * DETAIL_BYTES);
    sp_event event = sg_event_of(channel->conn, SP_EVENT_CLOSE);
    sp_buf_byte(&detail, '{');
    put_channel(channel, &detail);
    name_decision(channel->conn, &channel->terms.decision, channel->terms.action, &event);
    event.reference = channel->reference;
    event.method = sp_span_cstr(sg_method_of(channel));
    event.object = sp_span_cstr(channel->object);
    event.bytes_in = channel->flows[SG_IN].passed;
    event.bytes_out = sg_relay_printed(channel);
    uint64_t took_us = sp_loop_now_us(sg_here.loop) - channel->opened_us;
    event.duration_us = took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)took_us;
    if (channel->has_signal) {
        sp_buf_text(&detail, ",\"signal\":");
        sp_buf_json(&detail, sp_span_cstr(channel->signal));
    } else if (channel->has_status) {
        event.status = (uint16_t)channel->status;
        sp_buf_fmt(&detail, ",\"status\":%d", channel->status);
    }
    if (is_carried_whole(channel) && event.bytes_out > 0) {
        sp_buf_text(&detail, EXPORT_NOT_ALLOWED);
    } else {
        sg_record_carried(channel);
    }
    sp_buf_byte(&detail, '}');
    event.detail = sp_buf_borrow(&detail);
    (void)sp_recorder_put(&sg_here.recorder, &event); /* no room is counted as a loss */
    channel->conn->bytes_in += event.bytes_in;
    channel->conn->bytes_out += event.bytes_out;
}

void sg_record_file(sg_channel *channel, const sg_file_note *note)
{
    char connection[SP_REFERENCE_TEXT_BYTES];
    uint8_t digest[EVP_MAX_MD_SIZE];
    auto_buf sp_buf object = sp_buf_make(SP_SSH_OBJECT_MAX_BYTES + 8);
    auto_buf sp_buf detail = sp_buf_make(4 * DETAIL_BYTES);
    sg_text_clean(note->path, SP_SSH_OBJECT_MAX_BYTES - 8, &object);
    sp_reference_text(channel->conn->connection, connection);
    sp_buf_fmt(&detail, "{\"connection\":\"%s\",\"channel\":%u", connection, channel->number);
    if (note->name != NULL) {
        auto_buf sp_buf name = sp_buf_make(2 * DETAIL_BYTES);
        sg_text_clean(sp_span_cstr(note->name), DETAIL_BYTES, &name);
        sp_buf_text(&detail, ",\"name\":");
        sp_buf_json(&detail, sp_buf_borrow(&name));
    }
    if (note->reads) {
        sp_buf_fmt(&detail, ",\"to_end\":%s", note->to_end ? "true" : "false");
    }
    if (note->hash != NULL && EVP_DigestFinal_ex(note->hash, digest, NULL) == 1) {
        sp_buf_text(&detail, ",\"sha256\":\"");
        sp_buf_hex(&detail, sp_span_of(digest, SP_SHA256_BYTES));
        sp_buf_text(&detail, "\"}");
    } else {
        sp_buf_text(&detail, ",\"partial\":\"not all of it passed in order\"}");
    }
    sp_event event = sg_event_of(channel->conn, SP_EVENT_CLOSE);
    event.reference = channel->reference;
    event.verdict = SP_VERDICT_ALLOW;
    event.reason = SP_REASON_RULE;
    event.action = note->comes ? SP_ACTION_IMPORT : SP_ACTION_EXPORT;
    event.method = sp_span_cstr(note->method);
    event.object = sp_buf_borrow(&object);
    event.bytes_in = note->comes ? note->bytes : 0;
    event.bytes_out = note->comes ? 0 : note->bytes;
    uint64_t took_us = sp_loop_now_us(sg_here.loop) - note->since_us;
    event.duration_us = took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)took_us;
    event.detail = sp_buf_borrow(&detail);
    channel->conn->files++;
    if (sp_recorder_put(&sg_here.recorder, &event) == 0) { /* no room is counted as a loss */
        sg_record_failed(channel);
    }
}

void sg_record_failed(sg_channel *channel)
{
    sg_refusal refusal;
    if (channel->state == SG_CH_RUNS && (channel->terms.decision.must & SP_MUST_RECORD) != 0) {
        sg_refusal_make(&refusal, SP_REASON_UNRECORDED,
                        "what passes cannot be recorded any more, so this connection ends");
        sg_conn_fail(channel->conn, &refusal);
    }
}

void sg_record_count_refused(sg_conn *conn)
{
    conn->refused++;
    conn->asks_too_much =
        !sp_rate_take(&conn->refusals, SG_REFUSALS_A_MINUTE, sp_loop_now_us(sg_here.loop)) ||
        conn->asks_too_much;
}

void sg_record_refusal(sg_conn *conn, const sg_refusal *refusal)
{
    sp_event event = sg_event_of(conn, SP_EVENT_DECISION);
    event.reference = refusal->reference;
    event.verdict = SP_VERDICT_DENY;
    event.reason = (uint8_t)refusal->reason;
    event.severity = SP_SEVERITY_LOW;
    event.object = sp_span_cstr(refusal->text);
    sg_record_count_refused(conn);
    (void)sp_recorder_put(&sg_here.recorder, &event); /* no room is counted as a loss */
}

/* What of it was recorded, what passed without being looked into, what was refused. */
void sg_record_end(sg_conn *conn)
{
    char room[DETAIL_BYTES];
    sp_event event = sg_event_of(conn, SP_EVENT_CLOSE);
    event.verdict = SP_VERDICT_ALLOW;
    event.reason = SP_REASON_RULE;
    event.object = sp_span_cstr(conn->account);
    event.bytes_in = conn->bytes_in;
    event.bytes_out = conn->bytes_out;
    uint64_t took_us = sp_loop_now_us(sg_here.loop) - conn->opened_us;
    event.duration_us = took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)took_us;
    int len = snprintf(room, sizeof(room),
                       "{\"channels\":%u,\"recorded\":%llu,\"files\":%llu,\"opaque\":%llu,"
                       "\"cut\":%llu,\"unseen\":%llu,\"hidden\":%llu,\"refused\":%llu}",
                       conn->channel_numbers, (unsigned long long)conn->recorded,
                       (unsigned long long)conn->files, (unsigned long long)conn->opaque,
                       (unsigned long long)conn->shortened, (unsigned long long)conn->unseen,
                       (unsigned long long)conn->hidden, (unsigned long long)conn->refused);
    event.detail = sp_span_of(room, (size_t)len);
    (void)sp_recorder_put(&sg_here.recorder, &event); /* no room is counted as a loss */
}

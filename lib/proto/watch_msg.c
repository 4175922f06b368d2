/* SPDX-License-Identifier: Apache-2.0
 * Bodies between the watch and core.
 * OWNS nothing. PROCESS core, watch. TRUST bodies are hostile. SPEC lib/proto/watch_msg.h.
 */
#include "lib/proto/watch_msg.h"

enum { PEER_BYTES = 16 };

void sp_alarm_write(const sp_alarm *alarm, sp_buf *out)
{
    sp_buf_span(out, sp_hash_borrow(&alarm->id));
    const uint64_t numbers[] = {alarm->first_unix_us, alarm->last_unix_us, alarm->count,
                                alarm->session, alarm->device};
    for (size_t i = 0; i < SP_COUNT(numbers); i++) {
        sp_buf_u64(out, numbers[i]);
    }
    sp_buf_u32(out, alarm->person);
    sp_buf_u8(out, alarm->severity);
    sp_buf_u8(out, alarm->mode);
    sp_buf_u8(out, alarm->gate);
    sp_buf_u8(out, alarm->class_level);
    sp_buf_span(out, sp_span_of(alarm->peer, PEER_BYTES));
    const sp_span texts[] = {alarm->detection,   alarm->title,    alarm->person_name,
                             alarm->device_name, alarm->resource, alarm->class_name,
                             alarm->keys,        alarm->plan};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_buf_bytes(out, texts[i]);
    }
    sp_buf_u8(out, alarm->evidence_count);
    for (size_t i = 0; i < alarm->evidence_count && i < SP_ALARM_EVIDENCE_MAX; i++) {
        sp_buf_u64(out, alarm->evidence[i].entry);
        sp_buf_u64(out, alarm->evidence[i].reference);
        sp_buf_u16(out, alarm->evidence[i].at);
    }
}

sp_err sp_alarm_read(sp_span body, sp_alarm *ret_alarm)
{
    sp_reader in = sp_reader_of(body);
    sp_alarm alarm = {0};
    sp_span id = sp_read_span(&in, SP_SHA256_BYTES);
    sp_copy(alarm.id.bytes, id.ptr, id.len);
    alarm.first_unix_us = sp_read_u64(&in);
    alarm.last_unix_us = sp_read_u64(&in);
    alarm.count = sp_read_u64(&in);
    alarm.session = sp_read_u64(&in);
    alarm.device = sp_read_u64(&in);
    alarm.person = sp_read_u32(&in);
    alarm.severity = sp_read_enum(&in, SP_SEVERITY_COUNT);
    alarm.mode = sp_read_enum(&in, SP_ALARM_MODE_COUNT);
    alarm.gate = sp_read_enum(&in, SP_GATE_COUNT);
    alarm.class_level = sp_read_enum(&in, SP_CLASSES_MAX);
    sp_span peer = sp_read_span(&in, PEER_BYTES);
    sp_copy(alarm.peer, peer.ptr, peer.len);
    alarm.detection = sp_read_text(&in, SP_NAME_MAX_BYTES);
    alarm.title = sp_read_text(&in, SP_ALARM_TITLE_MAX_BYTES);
    alarm.person_name = sp_read_text(&in, SP_NAME_MAX_BYTES);
    alarm.device_name = sp_read_text(&in, SP_NAME_MAX_BYTES);
    alarm.resource = sp_read_text(&in, SP_NAME_MAX_BYTES);
    alarm.class_name = sp_read_text(&in, SP_NAME_MAX_BYTES);
    alarm.keys = sp_read_text(&in, SP_ALARM_KEYS_MAX_BYTES);
    alarm.plan = sp_read_text(&in, SP_NAME_MAX_BYTES);
    alarm.evidence_count = sp_read_enum(&in, SP_ALARM_EVIDENCE_MAX + 1);
    for (size_t i = 0; i < alarm.evidence_count; i++) {
        alarm.evidence[i].entry = sp_read_u64(&in);
        alarm.evidence[i].reference = sp_read_u64(&in);
        alarm.evidence[i].at = sp_read_u16(&in);
    }
    if (alarm.detection.len == 0) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_alarm = alarm;
    return sp_ok();
}

void sp_detections_write(const sp_detections *detections, sp_buf *out)
{
    sp_buf_u64(out, detections->policy_version);
    sp_buf_u64(out, detections->bytes);
}

sp_err sp_detections_read(sp_span body, sp_detections *ret_detections)
{
    sp_reader in = sp_reader_of(body);
    sp_detections detections = {.policy_version = sp_read_u64(&in), .bytes = sp_read_u64(&in)};
    if (detections.bytes > SP_DETECTIONS_MAX_BYTES) {
        sp_reader_fail(&in, SP_ELIMIT);
    }
    TRY(sp_reader_finish(&in));
    *ret_detections = detections;
    return sp_ok();
}

void sp_detections_piece_write(const sp_detections_piece *piece, sp_buf *out)
{
    sp_buf_u64(out, piece->policy_version);
    sp_buf_u64(out, piece->from);
}

sp_err sp_detections_piece_read(sp_span body, sp_detections_piece *ret_piece)
{
    sp_reader in = sp_reader_of(body);
    sp_detections_piece piece = {.policy_version = sp_read_u64(&in), .from = sp_read_u64(&in)};
    TRY(sp_reader_finish(&in));
    *ret_piece = piece;
    return sp_ok();
}

void sp_watch_status_write(const sp_watch_status *status, sp_buf *out)
{
    const uint64_t numbers[] = {status->next_entry,  status->events, status->alarms,
                                status->lag_ms,      status->late,   status->evicted,
                                status->memory_bytes};
    for (size_t i = 0; i < SP_COUNT(numbers); i++) {
        sp_buf_u64(out, numbers[i]);
    }
    sp_buf_u32(out, status->detections);
    sp_buf_u8(out, status->degraded);
    sp_buf_u8(out, status->forgets);
    sp_buf_bytes(out, status->trouble);
}

sp_err sp_watch_status_read(sp_span body, sp_watch_status *ret_status)
{
    sp_reader in = sp_reader_of(body);
    sp_watch_status status = {0};
    status.next_entry = sp_read_u64(&in);
    status.events = sp_read_u64(&in);
    status.alarms = sp_read_u64(&in);
    status.lag_ms = sp_read_u64(&in);
    status.late = sp_read_u64(&in);
    status.evicted = sp_read_u64(&in);
    status.memory_bytes = sp_read_u64(&in);
    status.detections = sp_read_u32(&in);
    status.degraded = sp_read_enum(&in, 2) != 0;
    status.forgets = sp_read_enum(&in, 2) != 0;
    status.trouble = sp_read_text(&in, SP_WATCH_TEXT_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_status = status;
    return sp_ok();
}

const char *sp_alarm_mode_word(sp_alarm_mode mode)
{
    static const char *const words[] = {"live", "drill", "test"};
    _Static_assert(SP_COUNT(words) == SP_ALARM_MODE_COUNT, "a word for each mode");
    return mode < SP_ALARM_MODE_COUNT ? words[mode] : "?";
}

uint64_t sp_alarm_reference(const sp_hash *id)
{
    sp_reader in = sp_reader_of(sp_hash_borrow(id));
    return (sp_read_u64(&in) & ((UINT64_C(1) << 60) - 1)) | 1; /* 0 = none */
}

void sp_alarm_event(const sp_alarm *alarm, sp_buf *ret_detail, sp_event *ret_event)
{
    size_t from = ret_detail->len;
    sp_buf_text(ret_detail, "{\"id\":\"");
    sp_buf_hex(ret_detail, sp_hash_borrow(&alarm->id));
    sp_buf_text(ret_detail, "\",\"title\":");
    sp_buf_json(ret_detail, alarm->title);
    sp_buf_fmt(ret_detail, ",\"mode\":\"%s\",\"first\":\"",
               sp_alarm_mode_word((sp_alarm_mode)alarm->mode));
    sp_buf_time(ret_detail, alarm->first_unix_us);
    sp_buf_text(ret_detail, "\",\"last\":\"");
    sp_buf_time(ret_detail, alarm->last_unix_us);
    sp_buf_byte(ret_detail, '"');
    if (alarm->plan.len > 0) {
        sp_buf_text(ret_detail, ",\"plan\":");
        sp_buf_json(ret_detail, alarm->plan);
    }
    sp_buf_text(ret_detail, ",\"evidence\":[");
    for (size_t i = 0; i < alarm->evidence_count && i < SP_ALARM_EVIDENCE_MAX; i++) {
        const sp_alarm_evidence *one = &alarm->evidence[i];
        sp_buf_fmt(ret_detail, "%s{\"entry\":%llu,\"at\":%u", i == 0 ? "" : ",",
                   (unsigned long long)one->entry, one->at);
        if (one->reference != 0) {
            char text[SP_REFERENCE_TEXT_BYTES];
            sp_reference_text(one->reference, text);
            sp_buf_fmt(ret_detail, ",\"reference\":\"%s\"", text);
        }
        sp_buf_byte(ret_detail, '}');
    }
    sp_buf_text(ret_detail, "]}");
    *ret_event = (sp_event){.when_unix_us = alarm->last_unix_us,
                            .reference = sp_alarm_reference(&alarm->id),
                            .session = alarm->session,
                            .device = alarm->device,
                            .person = alarm->person,
                            .count = alarm->count,
                            .kind = SP_EVENT_ALARM,
                            .severity = alarm->severity,
                            .gate = alarm->gate,
                            .class_level = alarm->class_level,
                            .person_name = alarm->person_name,
                            .device_name = alarm->device_name,
                            .resource = alarm->resource,
                            .class_name = alarm->class_name,
                            .rule = alarm->detection,
                            .method = SP_SPAN_LIT("raise"),
                            .object = alarm->keys,
                            .detail = sp_span_slice(sp_buf_borrow(ret_detail), from, SIZE_MAX)};
    sp_copy(ret_event->peer, alarm->peer, PEER_BYTES);
}

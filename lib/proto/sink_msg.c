/* SPDX-License-Identifier: Apache-2.0
 * Bodies about sinks.
 * OWNS nothing. PROCESS core, courier. TRUST bodies are bounded. SPEC lib/proto/sink_msg.h.
 */
#include "lib/proto/sink_msg.h"

static void task_write(const sp_sink_task *t, sp_buf *out)
{
    const uint8_t small[] = {t->via,      t->token,      t->is_signed,
                             t->severity, t->from_start, t->has_next};
    for (size_t i = 0; i < SP_COUNT(small); i++) {
        sp_buf_u8(out, small[i]);
    }
    sp_buf_u32(out, t->kinds);
    sp_buf_u32(out, t->batch);
    sp_buf_u32(out, t->message);
    sp_buf_u16(out, t->timeout_s);
    sp_buf_u64(out, t->next);
    const sp_span texts[] = {t->name, t->address, t->topic, t->ca, t->host};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_buf_bytes(out, texts[i]);
    }
}

static sp_sink_task task_read(sp_reader *in)
{
    enum { SEVERITIES = 5, BATCH_MAX = 1000, MESSAGE_MAX = 65536, TIME_MAX = 600 };
    sp_sink_task t = {.via = sp_read_enum(in, SP_SINK_VIA_COUNT)};
    t.token = sp_read_enum(in, 2);
    t.is_signed = sp_read_enum(in, 2);
    t.severity = sp_read_enum(in, SEVERITIES);
    t.from_start = sp_read_enum(in, 2);
    t.has_next = sp_read_enum(in, 2);
    t.kinds = sp_read_u32(in);
    t.batch = sp_read_u32(in);
    t.message = sp_read_u32(in);
    t.timeout_s = sp_read_u16(in);
    t.next = sp_read_u64(in);
    t.name = sp_read_line(in, SP_SINK_NAME_MAX_BYTES);
    t.address = sp_read_line(in, SP_SINK_ADDRESS_MAX_BYTES);
    t.topic = sp_read_line(in, SP_SINK_TOPIC_MAX_BYTES);
    t.ca = sp_read_line(in, SP_SINK_ADDRESS_MAX_BYTES);
    t.host = sp_read_line(in, SP_SINK_NAME_MAX_BYTES * 2);
    bool bad = t.batch == 0 || t.batch > BATCH_MAX || t.message < SP_SINK_MESSAGE_LEAST_BYTES ||
               t.message > MESSAGE_MAX || t.timeout_s == 0 || t.timeout_s > TIME_MAX ||
               t.name.len == 0;
    if (bad) {
        sp_reader_fail(in, SP_EINVALID);
    }
    return t;
}

void sp_sink_tasks_write(const sp_sink_tasks *tasks, sp_buf *out)
{
    sp_buf_u8(out, (uint8_t)tasks->count);
    for (size_t i = 0; i < tasks->count; i++) {
        task_write(&tasks->tasks[i], out);
    }
}

sp_err sp_sink_tasks_read(sp_span body, sp_sink_tasks *ret_tasks)
{
    sp_reader in = sp_reader_of(body);
    size_t count = sp_read_u8(&in);
    if (count > SP_SINK_TASKS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    for (size_t i = 0; i < count; i++) {
        ret_tasks->tasks[i] = task_read(&in);
    }
    ret_tasks->count = count;
    return sp_reader_finish(&in);
}

void sp_sink_told_write(const sp_sink_told *told, sp_buf *out)
{
    sp_buf_u8(out, told->keep);
    sp_buf_u8(out, told->failing);
    sp_buf_u64(out, told->next);
    sp_buf_u64(out, told->size);
    sp_buf_u64(out, told->events);
    sp_buf_u64(out, told->bytes);
    sp_buf_u64(out, told->last_unix_us);
    sp_buf_bytes(out, told->name);
    sp_buf_bytes(out, told->why);
}

sp_err sp_sink_told_read(sp_span body, sp_sink_told *ret_told)
{
    sp_reader in = sp_reader_of(body);
    sp_sink_told told = {.keep = sp_read_enum(&in, 2)};
    told.failing = sp_read_enum(&in, 2);
    told.next = sp_read_u64(&in);
    told.size = sp_read_u64(&in);
    told.events = sp_read_u64(&in);
    told.bytes = sp_read_u64(&in);
    told.last_unix_us = sp_read_u64(&in);
    told.name = sp_read_line(&in, SP_SINK_NAME_MAX_BYTES);
    told.why = sp_read_line(&in, SP_SINK_WHY_MAX_BYTES);
    *ret_told = told;
    return sp_reader_finish(&in);
}

void sp_sink_kept_write(const sp_sink_kept *kept, sp_buf *out)
{
    sp_buf_u64(out, kept->next);
    sp_buf_bytes(out, kept->name);
}

sp_err sp_sink_kept_read(sp_span body, sp_sink_kept *ret_kept)
{
    sp_reader in = sp_reader_of(body);
    ret_kept->next = sp_read_u64(&in);
    ret_kept->name = sp_read_line(&in, SP_SINK_NAME_MAX_BYTES);
    return sp_reader_finish(&in);
}

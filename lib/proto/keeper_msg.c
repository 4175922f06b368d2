/* SPDX-License-Identifier: Apache-2.0
 * Bodies of keeper.sock.
 * OWNS nothing. PROCESS core, keeper. TRUST bodies are hostile. SPEC lib/proto/keeper_msg.h.
 */
#include "lib/proto/keeper_msg.h"

#include "lib/policy/database.h"

/* UTF-8 without NUL. */
static sp_span get_text(sp_reader *in, size_t max_bytes)
{
    sp_span text = sp_read_bytes(in, max_bytes);
    if (!sp_span_is_utf8(text) || sp_span_index(text, 0) != text.len) {
        sp_reader_fail(in, SP_EINVALID);
    }
    return text;
}

static uint8_t get_flag(sp_reader *in)
{
    return sp_read_enum(in, 2);
}

void sp_keeper_job_write(const sp_keeper_job *job, sp_buf *out)
{
    sp_buf_u64(out, job->job);
    sp_buf_u64(out, job->keep);
    sp_buf_u64(out, job->ask);
    sp_buf_u16(out, job->port);
    sp_buf_u8(out, job->kind);
    sp_buf_u8(out, job->tls);
    sp_buf_u8(out, job->whole);
    sp_buf_u8(out, job->cascades);
    sp_buf_u8(out, job->partly);
    sp_buf_u32(out, job->holder);
    const sp_span texts[] = {job->host,     job->ca,      job->account, job->credential,
                             job->database, job->objects, job->verb,    job->snapshot};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_buf_bytes(out, texts[i]);
    }
}

sp_err sp_keeper_job_read(sp_span body, sp_keeper_job *ret_job)
{
    sp_reader in = sp_reader_of(body);
    sp_keeper_job job = {.job = sp_read_u64(&in), .keep = sp_read_u64(&in)};
    job.ask = sp_read_u64(&in);
    job.port = sp_read_u16(&in);
    job.kind = sp_read_enum(&in, SP_KEEPER_JOB_COUNT);
    job.tls = sp_read_enum(&in, SP_DATABASE_TLS_COUNT);
    job.whole = get_flag(&in);
    job.cascades = get_flag(&in);
    job.partly = get_flag(&in);
    job.holder = sp_read_u32(&in);
    job.host = get_text(&in, SP_KEEPER_HOST_MAX_BYTES);
    job.ca = get_text(&in, SP_KEEPER_PATH_MAX_BYTES);
    job.account = get_text(&in, SP_KEEPER_NAME_MAX_BYTES);
    job.credential = get_text(&in, SP_KEEPER_NAME_MAX_BYTES);
    job.database = get_text(&in, SP_KEEPER_NAME_MAX_BYTES);
    job.objects = get_text(&in, SP_KEEPER_OBJECTS_MAX_BYTES);
    job.verb = get_text(&in, SP_KEEPER_VERB_MAX_BYTES);
    job.snapshot = get_text(&in, SP_KEEPER_NAME_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_job = job;
    return sp_ok();
}

void sp_keeper_done_write(const sp_keeper_done *done, sp_buf *out)
{
    sp_buf_u64(out, done->job);
    sp_buf_u8(out, done->code);
    sp_buf_u64(out, done->bytes);
    sp_buf_u64(out, done->duration_ms);
    sp_buf_bytes(out, done->report);
    sp_buf_bytes(out, done->why);
}

sp_err sp_keeper_done_read(sp_span body, sp_keeper_done *ret_done)
{
    sp_reader in = sp_reader_of(body);
    sp_keeper_done done = {.job = sp_read_u64(&in), .code = sp_read_enum(&in, SP_CODE_COUNT)};
    done.bytes = sp_read_u64(&in);
    done.duration_ms = sp_read_u64(&in);
    done.report = get_text(&in, SP_KEEPER_REPORT_MAX_BYTES);
    done.why = get_text(&in, SP_KEEPER_WHY_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_done = done;
    return sp_ok();
}

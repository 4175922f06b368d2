/* SPDX-License-Identifier: Apache-2.0
 * Bodies of courier.sock.
 * OWNS nothing. PROCESS core, courier. TRUST bodies are hostile. SPEC lib/proto/courier_msg.h.
 */
#include "lib/proto/courier_msg.h"

void sp_courier_job_write(const sp_courier_job *job, sp_buf *out)
{
    sp_buf_u64(out, job->job);
    sp_buf_u64(out, job->when_unix_s);
    sp_buf_u8(out, job->kind);
    sp_buf_u8(out, job->tls);
    sp_buf_u8(out, job->has_token);
    sp_buf_u8(out, job->has_secret);
    sp_buf_u16(out, job->timeout_s);
    const sp_span texts[] = {job->channel, job->address, job->ca,         job->user,
                             job->from,    job->to,      job->message_id, job->mentions,
                             job->title,   job->text,    job->html,       job->data};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_buf_bytes(out, texts[i]);
    }
}

sp_err sp_courier_job_read(sp_span body, sp_courier_job *ret_job)
{
    sp_reader in = sp_reader_of(body);
    sp_courier_job job = {.job = sp_read_u64(&in), .when_unix_s = sp_read_u64(&in)};
    job.kind = sp_read_enum(&in, SP_CHANNEL_COUNT);
    job.tls = sp_read_enum(&in, SP_COURIER_TLS_COUNT);
    job.has_token = sp_read_enum(&in, 2);
    job.has_secret = sp_read_enum(&in, 2);
    job.timeout_s = sp_read_u16(&in);
    if (job.timeout_s == 0 || job.timeout_s > SP_COURIER_TIMEOUT_MAX_S) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    job.channel = sp_read_line(&in, SP_COURIER_NAME_MAX_BYTES);
    job.address = sp_read_line(&in, SP_CHANNEL_ADDRESS_MAX_BYTES);
    job.ca = sp_read_line(&in, SP_COURIER_PATH_MAX_BYTES);
    job.user = sp_read_line(&in, SP_COURIER_ADDRESS_MAX_BYTES);
    job.from = sp_read_line(&in, SP_COURIER_ADDRESS_MAX_BYTES);
    job.to = sp_read_line(&in, SP_COURIER_ADDRESS_MAX_BYTES);
    job.message_id = sp_read_line(&in, SP_COURIER_ADDRESS_MAX_BYTES);
    job.mentions = sp_read_text(&in, SP_COURIER_MENTIONS_MAX_BYTES);
    job.title = sp_read_line(&in, SP_COURIER_TITLE_MAX_BYTES);
    job.text = sp_read_text(&in, SP_COURIER_TEXT_MAX_BYTES);
    job.html = sp_read_text(&in, SP_COURIER_TEXT_MAX_BYTES);
    job.data = sp_read_text(&in, SP_COURIER_TEXT_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_job = job;
    return sp_ok();
}

void sp_courier_done_write(const sp_courier_done *done, sp_buf *out)
{
    sp_buf_u64(out, done->job);
    sp_buf_u8(out, done->outcome);
    sp_buf_u16(out, done->status);
    sp_buf_u32(out, done->retry_after_s);
    sp_buf_bytes(out, done->why);
}

sp_err sp_courier_done_read(sp_span body, sp_courier_done *ret_done)
{
    sp_reader in = sp_reader_of(body);
    sp_courier_done done = {.job = sp_read_u64(&in)};
    done.outcome = sp_read_enum(&in, SP_COURIER_OUTCOME_COUNT);
    done.status = sp_read_u16(&in);
    done.retry_after_s = sp_read_u32(&in);
    done.why = sp_read_line(&in, SP_COURIER_WHY_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_done = done;
    return sp_ok();
}

void sp_courier_jobs_write(const sp_courier_jobs *jobs, sp_buf *out)
{
    sp_buf_u16(out, (uint16_t)jobs->count);
    for (size_t i = 0; i < jobs->count; i++) {
        sp_buf_u64(out, jobs->jobs[i]);
    }
}

sp_err sp_courier_jobs_read(sp_span body, sp_courier_jobs *ret_jobs)
{
    sp_reader in = sp_reader_of(body);
    ret_jobs->count = sp_read_u16(&in);
    if (ret_jobs->count > SP_COURIER_JOBS_MAX) {
        ret_jobs->count = 0;
        return sp_fail(SP_ELIMIT);
    }
    for (size_t i = 0; i < ret_jobs->count; i++) {
        ret_jobs->jobs[i] = sp_read_u64(&in);
    }
    return sp_reader_finish(&in);
}

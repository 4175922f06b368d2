/* SPDX-License-Identifier: Apache-2.0
 * Bodies of runner.sock.
 * OWNS nothing. PROCESS core, runner. TRUST bodies are hostile. SPEC lib/proto/runner_msg.h.
 */
#include "lib/proto/runner_msg.h"

void sp_runner_job_write(const sp_runner_job *job, sp_buf *out)
{
    sp_buf_u64(out, job->job);
    sp_buf_u16(out, job->timeout_s);
    sp_buf_bytes(out, job->command);
    sp_buf_u8(out, (uint8_t)job->words_count);
    for (size_t i = 0; i < job->words_count; i++) {
        sp_buf_bytes(out, job->words[i]);
    }
    sp_buf_bytes(out, job->input);
}

sp_err sp_runner_job_read(sp_span body, sp_runner_job *ret_job)
{
    sp_reader in = sp_reader_of(body);
    sp_runner_job job = {.job = sp_read_u64(&in), .timeout_s = sp_read_u16(&in)};
    if (job.timeout_s == 0 || job.timeout_s > SP_RUNNER_TIMEOUT_MAX_S) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    job.command = sp_read_line(&in, SP_RUNNER_NAME_MAX_BYTES);
    job.words_count = sp_read_enum(&in, SP_RUNNER_WORDS_MAX + 1);
    for (size_t i = 0; i < job.words_count; i++) {
        job.words[i] = sp_read_line(&in, SP_RUNNER_WORD_MAX_BYTES);
    }
    job.input = sp_read_text(&in, SP_RUNNER_INPUT_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_job = job;
    return sp_ok();
}

void sp_runner_done_write(const sp_runner_done *done, sp_buf *out)
{
    sp_buf_u64(out, done->job);
    sp_buf_u8(out, done->outcome);
    sp_buf_u8(out, done->status);
    sp_buf_u32(out, done->duration_ms);
    sp_buf_u64(out, done->output_bytes);
    sp_buf_bytes(out, done->output);
    sp_buf_bytes(out, done->why);
}

sp_err sp_runner_done_read(sp_span body, sp_runner_done *ret_done)
{
    sp_reader in = sp_reader_of(body);
    sp_runner_done done = {.job = sp_read_u64(&in)};
    done.outcome = sp_read_enum(&in, SP_RUNNER_OUTCOME_COUNT);
    done.status = sp_read_u8(&in);
    done.duration_ms = sp_read_u32(&in);
    done.output_bytes = sp_read_u64(&in);
    done.output = sp_read_bytes(&in, SP_RUNNER_OUTPUT_MAX_BYTES);
    done.why = sp_read_line(&in, SP_RUNNER_WHY_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_done = done;
    return sp_ok();
}

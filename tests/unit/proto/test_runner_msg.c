/* SPDX-License-Identifier: Apache-2.0
 * Bodies of runner.sock come back as they went, and nothing shorter, longer or odd is read.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/runner_msg.h.
 */
#include "lib/proto/runner_msg.h"
#include "tests/unit/cm.h"

static sp_runner_job a_job(void)
{
    return (sp_runner_job){.job = 7,
                           .timeout_s = 30,
                           .command = SP_SPAN_LIT("block-mail"),
                           .words = {SP_SPAN_LIT("--user=ann"), SP_SPAN_LIT("12")},
                           .words_count = 2,
                           .input = SP_SPAN_LIT("{\"incident\":\"12\"}")};
}

static void jobs_come_back(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_runner_job job = a_job();
    sp_runner_job_write(&job, &out);
    sp_runner_job back;
    assert_ok(sp_runner_job_read(sp_buf_borrow(&out), &back));
    assert_int_equal(back.timeout_s, 30);
    assert_int_equal(back.words_count, 2);
    assert_true(sp_span_eq(back.words[0], job.words[0]) && sp_span_eq(back.input, job.input));
    for (size_t cut = 0; cut < out.len; cut++) {
        assert_true(
            sp_failed(sp_runner_job_read(sp_span_slice(sp_buf_borrow(&out), 0, cut), &back)));
    }
    sp_buf_byte(&out, 0);
    assert_fails(sp_runner_job_read(sp_buf_borrow(&out), &back), SP_EINVALID);
}

static void refused(const sp_runner_job *job, sp_code want)
{
    auto_buf sp_buf out = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_runner_job back;
    sp_runner_job_write(job, &out);
    assert_fails(sp_runner_job_read(sp_buf_borrow(&out), &back), want);
}

static void what_no_program_may_get_is_refused(void **state)
{
    (void)state;
    sp_runner_job job = a_job();
    job.timeout_s = 0;
    refused(&job, SP_EINVALID);
    job.timeout_s = SP_RUNNER_TIMEOUT_MAX_S + 1;
    refused(&job, SP_EINVALID);
    job = a_job();
    job.words[1] = SP_SPAN_LIT("a\nb");
    refused(&job, SP_EINVALID);
    job.words[1] = sp_span_of("a\0b", 3);
    refused(&job, SP_EINVALID);
    job.words[1] = SP_SPAN_LIT("\xff");
    refused(&job, SP_EINVALID);
    static uint8_t many[SP_RUNNER_INPUT_MAX_BYTES + 1];
    sp_set(many, 'x', sizeof(many));
    job = a_job();
    job.words[0] = sp_span_of(many, SP_RUNNER_WORD_MAX_BYTES + 1);
    refused(&job, SP_ELIMIT);
    job = a_job();
    job.input = sp_span_of(many, sizeof(many));
    refused(&job, SP_ELIMIT);
    job = a_job();
    job.command = sp_span_of(many, SP_RUNNER_NAME_MAX_BYTES + 1);
    refused(&job, SP_ELIMIT);
}

static void results_come_back(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(SP_MSG_MAX_BYTES);
    const sp_runner_done done = {.job = 7,
                                 .outcome = SP_RUNNER_EXITED,
                                 .status = 3,
                                 .duration_ms = 12,
                                 .output_bytes = 1 << 30,
                                 .output = sp_span_of("\xff\0x", 3),
                                 .why = SP_SPAN_LIT("why")};
    sp_runner_done back;
    sp_runner_done_write(&done, &out);
    assert_ok(sp_runner_done_read(sp_buf_borrow(&out), &back));
    assert_true(back.status == 3 && back.output_bytes == 1 << 30 && back.output.len == 3);
    for (size_t cut = 0; cut < out.len; cut++) {
        assert_true(
            sp_failed(sp_runner_done_read(sp_span_slice(sp_buf_borrow(&out), 0, cut), &back)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_back),
        cmocka_unit_test(what_no_program_may_get_is_refused),
        cmocka_unit_test(results_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

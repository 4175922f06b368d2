/* SPDX-License-Identifier: Apache-2.0
 * Bodies of courier.sock come back as they went, and nothing shorter, longer or odd is read.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/courier_msg.h.
 */
#include "lib/proto/courier_msg.h"
#include "tests/unit/cm.h"

static sp_courier_job a_job(void)
{
    return (sp_courier_job){.job = 7,
                            .when_unix_s = 1700000000,
                            .kind = SP_CHANNEL_EMAIL,
                            .tls = SP_COURIER_TLS_IMPLICIT,
                            .has_secret = 1,
                            .timeout_s = 30,
                            .channel = SP_SPAN_LIT("post"),
                            .address = SP_SPAN_LIT("mail.internal:465"),
                            .from = SP_SPAN_LIT("Gate <gate@office.example>"),
                            .to = SP_SPAN_LIT("ann@office.example"),
                            .message_id = SP_SPAN_LIT("7.1@office.example"),
                            .title = SP_SPAN_LIT("出事了"),
                            .text = SP_SPAN_LIT("a\nb"),
                            .html = SP_SPAN_LIT("<p>a</p>"),
                            .data = SP_SPAN_LIT("{\"a\":1}")};
}

static void a_job_comes_back(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(4096);
    auto_buf sp_buf again = sp_buf_make(4096);
    sp_courier_job job = a_job();
    sp_courier_job_write(&job, &out);
    assert_ok(sp_courier_job_read(sp_buf_borrow(&out), &job));
    assert_int_equal(job.tls, SP_COURIER_TLS_IMPLICIT);
    assert_span_text(job.title, "出事了");
    sp_courier_job_write(&job, &again);
    assert_true(sp_span_eq(sp_buf_borrow(&out), sp_buf_borrow(&again)));
    for (size_t cut = 0; cut < out.len; cut++) {
        assert_true(
            sp_failed(sp_courier_job_read(sp_span_slice(sp_buf_borrow(&out), 0, cut), &job)));
    }
    sp_buf_u8(&out, 0);
    assert_fails(sp_courier_job_read(sp_buf_borrow(&out), &job), SP_EINVALID);
}

static void refused(const sp_courier_job *job, sp_code want)
{
    auto_buf sp_buf out = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_courier_job read;
    sp_courier_job_write(job, &out);
    assert_ok(sp_buf_error(&out));
    assert_fails(sp_courier_job_read(sp_buf_borrow(&out), &read), want);
}

static void odd_jobs_are_refused(void **state)
{
    (void)state;
    static uint8_t big[SP_COURIER_TEXT_MAX_BYTES + 1];
    sp_courier_job job = a_job();
    job.to = SP_SPAN_LIT("ann@office.example\r\nBcc: all@office.example");
    refused(&job, SP_EINVALID);
    job = a_job();
    job.title = SP_SPAN_LIT("a\nb");
    refused(&job, SP_EINVALID);
    job = a_job();
    job.text = SP_SPAN_LIT("\xff");
    refused(&job, SP_EINVALID);
    job = a_job();
    job.kind = SP_CHANNEL_COUNT;
    refused(&job, SP_EINVALID);
    job = a_job();
    job.timeout_s = 0;
    refused(&job, SP_EINVALID);
    job = a_job();
    sp_set(big, 'a', sizeof(big));
    job.text = sp_span_of(big, sizeof(big));
    refused(&job, SP_ELIMIT);
}

static void results_come_back(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(4096);
    sp_courier_done done = {7, SP_COURIER_THROTTLED, 429, 30, SP_SPAN_LIT("too fast")};
    sp_courier_jobs jobs = {.jobs = {1, 1ULL << 63}, .count = 2};
    sp_courier_done_write(&done, &out);
    assert_ok(sp_courier_done_read(sp_buf_borrow(&out), &done));
    assert_int_equal(done.retry_after_s, 30);
    for (size_t cut = 0; cut < out.len; cut++) {
        assert_true(
            sp_failed(sp_courier_done_read(sp_span_slice(sp_buf_borrow(&out), 0, cut), &done)));
    }
    sp_buf_reset(&out);
    sp_courier_jobs_write(&jobs, &out);
    jobs.count = 0;
    assert_ok(sp_courier_jobs_read(sp_buf_borrow(&out), &jobs));
    assert_true(jobs.count == 2 && jobs.jobs[1] == 1ULL << 63);
    out.ptr[0] = 0x7f;
    assert_fails(sp_courier_jobs_read(sp_buf_borrow(&out), &jobs), SP_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_comes_back),
        cmocka_unit_test(odd_jobs_are_refused),
        cmocka_unit_test(results_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Tests of the bodies about sinks: each comes back as it went, no prefix of it is one, what is out
 * of bounds is refused.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/sink_msg.h.
 */
#include "lib/proto/sink_msg.h"
#include "tests/unit/cm.h"

static sp_sink_tasks some_tasks(void)
{
    sp_sink_tasks tasks = {.count = 2};
    tasks.tasks[0] = (sp_sink_task){.via = SP_SINK_VIA_SYSLOG,
                                    .has_next = 1,
                                    .batch = 200,
                                    .message = 8192,
                                    .timeout_s = 15,
                                    .next = 77,
                                    .name = SP_SPAN_LIT("log-host"),
                                    .address = SP_SPAN_LIT("logs.internal:6514"),
                                    .host = SP_SPAN_LIT("portal.office.example")};
    tasks.tasks[1] = tasks.tasks[0];
    tasks.tasks[1].via = SP_SINK_VIA_KAFKA;
    tasks.tasks[1].name = SP_SPAN_LIT("stream");
    tasks.tasks[1].topic = SP_SPAN_LIT("events");
    return tasks;
}

static void tasks_come_back(void **state)
{
    (void)state;
    auto_buf sp_buf one = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf two = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_sink_tasks tasks = some_tasks();
    sp_sink_tasks read;
    sp_sink_tasks_write(&tasks, &one);
    sp_span body = sp_buf_borrow(&one);
    assert_ok(sp_sink_tasks_read(body, &read));
    sp_sink_tasks_write(&read, &two);
    assert_true(sp_span_eq(body, sp_buf_borrow(&two)));
    for (size_t cut = 0; cut < body.len; cut++) {
        assert_true(sp_failed(sp_sink_tasks_read(sp_span_slice(body, 0, cut), &read)));
    }
}

static sp_code code_of(const sp_sink_tasks *tasks)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_sink_tasks read;
    sp_sink_tasks_write(tasks, &body);
    return sp_sink_tasks_read(sp_buf_borrow(&body), &read).code;
}

static void what_is_out_of_bounds_is_refused(void **state)
{
    (void)state;
    sp_sink_tasks tasks = some_tasks();
    tasks.tasks[0].address = SP_SPAN_LIT("a.b:1\r\nX: y");
    assert_int_equal(code_of(&tasks), SP_EINVALID);
    tasks = some_tasks();
    tasks.tasks[1].timeout_s = 0;
    assert_int_equal(code_of(&tasks), SP_EINVALID);
    tasks = some_tasks();
    tasks.tasks[1].batch = 1001;
    assert_int_equal(code_of(&tasks), SP_EINVALID);
    tasks = some_tasks();
    tasks.tasks[0].via = SP_SINK_VIA_COUNT;
    assert_true(code_of(&tasks) != SP_OK);
}

static void what_is_told_comes_back(void **state)
{
    (void)state;
    auto_buf sp_buf body = sp_buf_make(4096);
    const sp_sink_told told = {.keep = 1,
                               .next = 5,
                               .size = 9,
                               .events = 3,
                               .name = SP_SPAN_LIT("siem"),
                               .why = SP_SPAN_LIT("it answered 503")};
    sp_sink_told read;
    sp_sink_told_write(&told, &body);
    assert_ok(sp_sink_told_read(sp_buf_borrow(&body), &read));
    assert_true(read.keep == 1 && read.next == 5 && read.size == 9 && read.events == 3);
    assert_true(sp_span_eq(read.why, told.why));
    sp_buf_reset(&body);
    const sp_sink_kept kept = {8, SP_SPAN_LIT("siem")};
    sp_sink_kept again;
    sp_sink_kept_write(&kept, &body);
    assert_ok(sp_sink_kept_read(sp_buf_borrow(&body), &again));
    assert_int_equal(again.next, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_come_back),
        cmocka_unit_test(what_is_out_of_bounds_is_refused),
        cmocka_unit_test(what_is_told_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

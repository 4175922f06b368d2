/* SPDX-License-Identifier: Apache-2.0
 * How long core waits for the keeper: an hour, for undo a day, and then for what became of it.
 * OWNS a line of its own making. PROCESS tests. TRUST none. SPEC core/approvals/keeper_client.h.
 */
#include "core/approvals/keeper_client.h"
#include "infra/ipc/line.h"
#include "infra/proc/clock.h"
#include "tests/unit/cm.h"

#define HOUR ((uint64_t)3600 * 1000 * 1000)

/* ---- a line whose other end is the test ---- */

struct sp_line {
    sp_line_calls calls;
    uint64_t job; /* of the last call */
    uint64_t keep;
    uint64_t ask;
    uint8_t kind;
    bool is_slow;    /* the call is answered later, if at all */
    sp_code to_hear; /* what HEAR is answered */
    unsigned count_heard;
    sp_line_reply on_reply;
    void *self;
};
static sp_line the_line;

sp_err sp_line_new(uv_loop_t *loop, const char *path, const sp_line_calls *calls,
                   sp_line **ret_line)
{
    (void)loop;
    (void)path;
    the_line.calls = *calls;
    *ret_line = &the_line;
    return sp_ok();
}

bool sp_line_is_up(const sp_line *line)
{
    return line->calls.self != NULL;
}

void sp_line_free(sp_line *line)
{
    sp_line_hang_up(line);
}

static void answer(sp_err err)
{
    sp_line_reply on_reply = the_line.on_reply;
    the_line.on_reply = NULL;
    on_reply(the_line.self, err, SP_SPAN_EMPTY);
}

void sp_line_hang_up(sp_line *line)
{
    if (line->on_reply != NULL) {
        answer(sp_fail(SP_ECLOSED));
    }
}

void sp_line_call(sp_line *line, uint16_t kind, sp_span body, sp_line_reply on_reply, void *self)
{
    sp_keeper_job job;
    assert_int_equal(kind, SP_KEEPER_JOB);
    assert_ok(sp_keeper_job_read(body, &job));
    line->job = job.job;
    line->keep = job.keep;
    line->ask = job.ask;
    line->kind = job.kind;
    line->count_heard += job.kind == SP_KEEPER_HEAR ? 1 : 0;
    line->on_reply = on_reply;
    line->self = self;
    if (!line->is_slow) {
        answer(job.kind == SP_KEEPER_HEAR ? sp_fail(line->to_hear) : sp_ok());
    }
}

static void push(uint64_t job, sp_code code)
{
    auto_buf sp_buf body = sp_buf_make(1024);
    const sp_keeper_done done = {.job = job, .code = (uint8_t)code, .duration_ms = 5};
    sp_keeper_done_write(&done, &body);
    the_line.calls.on_push(the_line.calls.self, SP_KEEPER_DONE, sp_buf_borrow(&body));
}

/* ---- who waits ---- */

enum { STOPPED = 255 };

typedef struct {
    unsigned count;
    uint8_t code; /* the last */
} heard;

static void on_done(void *self, const sp_keeper_done *done)
{
    heard *h = self;
    h->count++;
    h->code = done == NULL ? STOPPED : done->code;
}

static sp_keeper_client *client;

static uint64_t ask(sp_keeper_job_kind kind, heard *h)
{
    sp_keeper_job job = {.kind = (uint8_t)kind};
    sp_keeper_client_job(client, &job, on_done, h);
    return the_line.job;
}

static int start(void **state)
{
    (void)state;
    the_line = (sp_line){.job = 0};
    static const sp_config config = {.run_dir = "/nowhere"};
    static sp_core core = {.config = &config};
    return sp_failed(sp_keeper_client_new(&core, &client)) ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    sp_keeper_client_free(client);
    return 0;
}

static void a_keep_has_an_hour_and_undo_a_day(void **state)
{
    (void)state;
    heard keep = {0};
    heard try = {0};
    heard undo = {0};
    ask(SP_KEEPER_KEEP, &keep);
    ask(SP_KEEPER_TRY_UNDO, &try);
    uint64_t job = ask(SP_KEEPER_UNDO, &undo);
    uint64_t now = sp_now_steady_us();
    sp_keeper_client_tick(client, now + 2 * HOUR);
    assert_true(keep.count == 1 && keep.code == SP_ETIMEOUT);
    assert_true(try.count == 0 && undo.count == 0);
    push(job, SP_OK);
    assert_true(undo.count == 1 && undo.code == SP_OK);
    sp_keeper_client_tick(client, now + 25 * HOUR);
    assert_true(try.count == 1 && try.code == SP_ETIMEOUT);
    push(job - 1, SP_OK); /* of the dry run: nobody waits */
    assert_true(try.count == 1 && undo.count == 1);
}

static void what_became_of_a_late_undo_is_heard(void **state)
{
    (void)state;
    heard undo = {0};
    heard lost = {0};
    uint64_t job = ask(SP_KEEPER_UNDO, &undo);
    ask(SP_KEEPER_UNDO, &lost);
    uint64_t now = sp_now_steady_us();
    sp_keeper_client_tick(client, now + 25 * HOUR);
    sp_keeper_client_tick(client, now + 26 * HOUR);
    assert_true(undo.count == 1 && undo.code == SP_ETIMEOUT && lost.count == 1);
    push(job, SP_OK);
    assert_true(undo.count == 2 && undo.code == SP_OK);
    push(job, SP_OK);
    assert_int_equal(undo.count, 2);
    the_line.to_hear = SP_ENOTFOUND; /* the keeper is another one */
    the_line.calls.on_up(the_line.calls.self);
    assert_true(lost.count == 2 && lost.code == SP_ECLOSED);
}

static void the_keeper_does_not_say_that_it_is_late(void **state)
{
    (void)state;
    heard undo = {0};
    heard other = {0};
    push(ask(SP_KEEPER_UNDO, &other), SP_EAGAIN); /* nor that it has not begun */
    assert_true(other.count == 1 && other.code == SP_EIO);
    push(ask(SP_KEEPER_UNDO, &undo), SP_ETIMEOUT);
    assert_true(undo.count == 1 && undo.code == SP_EIO);
}

static void what_is_done_before_it_was_taken_is_done_once(void **state)
{
    (void)state;
    heard keep = {0};
    static heard other; /* stop() tells it */
    the_line.is_slow = true;
    push(ask(SP_KEEPER_KEEP, &keep), SP_OK);
    assert_true(keep.count == 1 && keep.code == SP_OK);
    answer(sp_fail(SP_EIO)); /* a keeper that does not do as it says */
    assert_int_equal(keep.count, 1);
    ask(SP_KEEPER_KEEP, &other); /* and one whose answer core does not wait for: stop() */
}

static void an_undo_outlives_the_line(void **state)
{
    (void)state;
    heard undo = {0};
    heard keep = {0};
    sp_keeper_job job = {.kind = SP_KEEPER_UNDO, .keep = 77, .ask = 78};
    ask(SP_KEEPER_KEEP, &keep);
    the_line.is_slow = true;
    sp_keeper_client_job(client, &job, on_done, &undo);
    sp_line_hang_up(&the_line); /* it broke before the keeper had said that it took it */
    assert_int_equal(undo.count, 0);
    the_line.is_slow = false;
    the_line.to_hear = SP_EAGAIN;
    the_line.calls.on_up(the_line.calls.self);
    assert_true(keep.count == 1 && keep.code == SP_ECLOSED && undo.count == 0);
    assert_true(the_line.kind == SP_KEEPER_HEAR && the_line.keep == 77 && the_line.job == job.job);
    assert_int_equal(the_line.ask, 78);
    the_line.to_hear = SP_OK;
    sp_keeper_client_tick(client, sp_now_steady_us()); /* it could not be asked: again */
    sp_keeper_client_tick(client, sp_now_steady_us());
    assert_int_equal(the_line.count_heard, 2);
    push(job.job, SP_OK);
    assert_true(undo.count == 1 && undo.code == SP_OK);
}

static void who_stops_says_nothing_of_an_undo(void **state)
{
    (void)state;
    static heard undo;
    static heard after_start;
    static heard keep;
    undo = after_start = keep = (heard){0};
    ask(SP_KEEPER_UNDO, &undo);
    the_line.to_hear = SP_EAGAIN;
    ask(SP_KEEPER_HEAR, &after_start);
    ask(SP_KEEPER_KEEP, &keep);
    sp_keeper_client_free(client);
    client = NULL;
    assert_true(undo.count == 1 && undo.code == STOPPED);
    assert_true(after_start.count == 1 && after_start.code == STOPPED);
    assert_true(keep.count == 1 && keep.code == SP_ECLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_keep_has_an_hour_and_undo_a_day, start, stop),
        cmocka_unit_test_setup_teardown(what_became_of_a_late_undo_is_heard, start, stop),
        cmocka_unit_test_setup_teardown(the_keeper_does_not_say_that_it_is_late, start, stop),
        cmocka_unit_test_setup_teardown(what_is_done_before_it_was_taken_is_done_once, start, stop),
        cmocka_unit_test_setup_teardown(an_undo_outlives_the_line, start, stop),
        cmocka_unit_test_setup_teardown(who_stops_says_nothing_of_an_undo, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

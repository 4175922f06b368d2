/* SPDX-License-Identifier: Apache-2.0
 * What core tells the ledger while it cannot write: it waits, what has no room is counted, and the
 * count is written as soon as something can be.
 * OWNS a line of its own making. PROCESS tests. TRUST none. SPEC core/ledger_client.h.
 */
#include "core/ledger_client.h"
#include "infra/ipc/line.h"
#include "lib/proto/ledger_msg.h"
#include "tests/unit/cm.h"

/* ---- a line whose other end is the test ---- */

enum { SENT_MAX = 4096 };

struct sp_line {
    sp_line_calls calls;
    size_t count;
    struct {
        sp_line_reply on_reply;
        void *self;
        sp_event_kind kind;
        uint64_t said; /* its count */
    } sent[SENT_MAX];
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
    (void)line;
    return true;
}

void sp_line_hang_up(sp_line *line)
{
    (void)line;
}

void sp_line_free(sp_line *line)
{
    (void)line;
}

void sp_line_call(sp_line *line, uint16_t kind, sp_span body, sp_line_reply on_reply, void *self)
{
    sp_ledger_append append;
    sp_span bytes;
    sp_event event;
    assert_int_equal(kind, SP_LEDGER_APPEND);
    assert_ok(sp_ledger_append_read(body, &append));
    assert_true(sp_ledger_append_next(&append.events, &bytes));
    assert_ok(sp_event_decode(bytes, &event));
    assert_true(line->count < SENT_MAX);
    line->sent[line->count].on_reply = on_reply;
    line->sent[line->count].self = self;
    line->sent[line->count].kind = event.kind;
    line->sent[line->count++].said = event.count;
}

/* What was sent up to now is answered. */
static void answer_all(sp_code code)
{
    static sp_line before;
    before = the_line;
    the_line.count = 0;
    for (size_t i = 0; i < before.count; i++) {
        before.sent[i].on_reply(before.sent[i].self, code == SP_OK ? sp_ok() : sp_fail(code),
                                SP_SPAN_EMPTY);
    }
}

static void push_recording(void)
{
    auto_buf sp_buf body = sp_buf_make(1024);
    const sp_ledger_state state = {.recording = true};
    sp_ledger_state_write(&state, &body);
    the_line.calls.on_push(the_line.calls.self, SP_LEDGER_STATE, sp_buf_borrow(&body));
}

/* ---- tests ---- */

static sp_ledger_client *client;

static int start(void **state)
{
    (void)state;
    the_line = (sp_line){.count = 0};
    static const sp_config config = {.run_dir = "/nowhere"};
    static sp_core core = {.config = &config};
    if (sp_failed(sp_ledger_client_new(&core, &client))) {
        return -1;
    }
    the_line.calls.on_up(the_line.calls.self);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    answer_all(SP_ECLOSED);
    sp_ledger_client_free(client);
    return 0;
}

enum { TOLD = 800 }; /* of 2 KiB each: more than a MiB */

static void tell_much(void)
{
    static char text[2000];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = 'x';
    }
    const sp_event event = {
        .when_unix_us = 1, .kind = SP_EVENT_IDENTITY, .object = sp_span_of(text, sizeof(text))};
    for (int i = 0; i < TOLD; i++) {
        sp_ledger_client_tell(client, &event);
    }
}

static void what_had_no_room_is_counted_when_it_writes_again(void **state)
{
    (void)state;
    uint64_t said = 0;
    uint64_t others = 0;
    tell_much();
    answer_all(SP_EIO); /* its disk is full: some wait, the others have no room */
    assert_int_equal(the_line.count, 0);
    push_recording();
    for (int full = 0; full < 2; full++) { /* no: full again, and nothing of it was written */
        assert_true(the_line.count > 400 && the_line.count < TOLD);
        answer_all(SP_EIO);
        push_recording();
    }
    while (the_line.count > 0) {
        for (size_t i = 0; i < the_line.count; i++) {
            bool is_gap = the_line.sent[i].kind == SP_EVENT_GAP;
            said += is_gap ? the_line.sent[i].said : 0;
            others += is_gap ? 0 : 1;
        }
        answer_all(SP_OK);
    }
    assert_int_equal(said + others, TOLD);
    assert_true(said > 100);
    push_recording();
    assert_int_equal(the_line.count, 0); /* once */
}

static void what_is_not_taken_is_counted_too(void **state)
{
    (void)state;
    const sp_event event = {.when_unix_us = 1, .kind = SP_EVENT_IDENTITY};
    sp_ledger_client_tell(client, &event);
    answer_all(SP_EINVALID);
    assert_int_equal(the_line.count, 0);
    sp_ledger_client_tell(client, &event);
    answer_all(SP_OK); /* it writes: so the count is sent */
    assert_int_equal(the_line.count, 1);
    assert_int_equal(the_line.sent[0].kind, SP_EVENT_GAP);
    assert_int_equal(the_line.sent[0].said, 1);
    answer_all(SP_OK);
    assert_int_equal(the_line.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_had_no_room_is_counted_when_it_writes_again, start,
                                        stop),
        cmocka_unit_test_setup_teardown(what_is_not_taken_is_counted_too, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

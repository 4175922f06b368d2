/* SPDX-License-Identifier: Apache-2.0
 * What a sink gets of entries: all of one or a placeholder, what it asked for, and no syslog
 * message above its size. OWNS nothing. PROCESS tests. TRUST none. SPEC docs/SINKS.md,
 * courier/sinks.h.
 */
#include "../cm.h"
#include "courier/sinks.h"
#include "lib/proto/event.h"

#include <jansson.h>
#include <string.h>

enum { ROOM_BYTES = 64 * 1024, SMALLEST_BYTES = SP_SINK_MESSAGE_LEAST_BYTES };

static const char GOOD[] =
    "{\"metadata\":{\"version\":\"1.5.0\"},\"unmapped\":{\"gate\":\"web\"},\"events\":["
    "{\"class_uid\":3002,\"severity_id\":4,\"time\":1795996800123,\"unmapped\":{\"kind\":\"alarm\"}"
    "},"
    "{\"class_uid\":6003,\"severity_id\":3,\"time\":1795996800456,\"unmapped\":{\"kind\":"
    "\"decision\"}}]}";

static sink made(sp_sink_via via)
{
    sink s = {.task = {.via = (uint8_t)via, .message = 8192, .batch = 100}};
    s.batch = sp_buf_make(ROOM_BYTES);
    s.task.host = SP_SPAN_LIT("gate.office.example");
    sink_begin_batch(&s);
    return s;
}

static json_t *ended(sink *s)
{
    sink_end_batch(s);
    assert_ok(sp_buf_error(&s->batch));
    sp_span text = sp_buf_borrow(&s->batch);
    json_t *json = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    assert_non_null(json);
    sp_buf_done(&s->batch);
    return json;
}

static const char *place_of(const json_t *event)
{
    return json_string_value(json_object_get(json_object_get(event, "unmapped"), "ledger_entry"));
}

static void
an_entry_that_cannot_be_converted_is_a_placeholder_and_nothing_of_it_is_there(void **state)
{
    (void)state;
    static const char *const bad[] = {"no JSON", "{}", "{\"events\":{}}", "[1]",
                                      "{\"events\":[{\"severity_id\":5,\"time\":1},7]}"};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        sink s = made(SP_SINK_VIA_HTTP);
        s.task.severity = SP_SEVERITY_CRITICAL; /* of which the good ones have none */
        assert_ok(sink_add_entry(&s, 6, sp_span_cstr(GOOD)));
        assert_int_equal(s.batch_events, 0);
        s.task.severity = SP_SEVERITY_INFO;
        assert_ok(sink_add_entry(&s, 7, sp_span_cstr(GOOD)));
        s.task.severity = SP_SEVERITY_CRITICAL;
        s.task.kinds = 1U << SP_EVENT_ALARM;
        assert_true(sp_failed(sink_add_entry(&s, 8, sp_span_cstr(bad[i]))));
        assert_int_equal(s.batch_events, 3);
        assert_ok(sink_add_entry(&s, 9, SP_SPAN_EMPTY)); /* erased */
        json_t *json = ended(&s);
        assert_int_equal(json_array_size(json), 3);
        assert_string_equal(place_of(json_array_get(json, 1)), "7/1");
        assert_string_equal(place_of(json_array_get(json, 2)), "8/-");
        json_decref(json);
    }
}

static void a_placeholder_is_as_the_sink_takes_it(void **state)
{
    (void)state;
    sink s = made(SP_SINK_VIA_KAFKA);
    assert_ok(sink_add_entry(&s, 7, sp_span_cstr(GOOD)));
    assert_true(sp_failed(sink_add_entry(&s, 8, SP_SPAN_LIT("{"))));
    json_t *json = ended(&s);
    const json_t *record = json_array_get(json_object_get(json, "records"), 2);
    assert_string_equal(json_string_value(json_object_get(record, "key")), "8/-");
    assert_string_equal(place_of(json_object_get(record, "value")), "8/-");
    json_decref(json);

    s = made(SP_SINK_VIA_SYSLOG);
    assert_true(sp_failed(sink_add_entry(&s, 8, SP_SPAN_LIT("{"))));
    sp_span text = sp_buf_borrow(&s.batch);
    uint64_t counted = 0;
    size_t blank = sp_span_index(text, ' ');
    assert_ok(sp_span_to_u64(sp_span_slice(text, 0, blank), ROOM_BYTES, &counted));
    assert_int_equal(counted, text.len - blank - 1);
    assert_true(
        sp_span_find(text, SP_SPAN_LIT(" <108>1 - gate.office.example sallyport - - "
                                       "[sallyport@32473 entry=\"8/-\"] {\"class_uid\":0")) <
        text.len);
    sp_buf_done(&s.batch);
}

static void what_is_less_grave_is_not_sent(void **state)
{
    (void)state;
    sink s = made(SP_SINK_VIA_HTTP);
    s.task.severity = SP_SEVERITY_HIGH;
    assert_ok(sink_add_entry(&s, 7, sp_span_cstr(GOOD)));
    json_t *json = ended(&s);
    assert_int_equal(json_array_size(json), 1);
    assert_string_equal(place_of(json_array_get(json, 0)), "7/0");
    json_decref(json);
    s = made(SP_SINK_VIA_HTTP);
    s.task.kinds = 1U << SP_EVENT_DECISION;
    assert_ok(sink_add_entry(&s, 7, sp_span_cstr(GOOD)));
    json = ended(&s);
    assert_int_equal(json_array_size(json), 1);
    assert_string_equal(place_of(json_array_get(json, 0)), "7/1");
    json_decref(json);
}

/* Each message of a batch, by its counted length; the longest. */
static size_t longest(sp_span text)
{
    size_t most = 0;
    while (text.len > 0) {
        uint64_t len = 0;
        size_t blank = sp_span_index(text, ' ');
        assert_ok(sp_span_to_u64(sp_span_slice(text, 0, blank), ROOM_BYTES, &len));
        assert_true(blank + 1 + len <= text.len);
        most = len > most ? (size_t)len : most;
        text = sp_span_slice(text, blank + 1 + (size_t)len, text.len);
    }
    return most;
}

static void no_message_is_above_the_smallest_size_that_may_be_asked(void **state)
{
    (void)state;
    char *long_one = NULL;
    auto_buf sp_buf text = sp_buf_make(ROOM_BYTES);
    sp_buf_text(&text, "{\"events\":[{\"class_uid\":6003,\"severity_id\":6,\"time\":1795996800123,"
                       "\"unmapped\":{\"kind\":\"recertification\",\"object\":\"");
    for (unsigned i = 0; i < 3000; i++) {
        sp_buf_byte(&text, 'x');
    }
    sp_buf_text(&text, "\"}}]}");
    assert_ok(sp_buf_take_cstr(&text, &long_one));
    for (unsigned i = 0; i < 2; i++) {
        sink s = made(SP_SINK_VIA_SYSLOG);
        s.task.message = i == 0 ? SMALLEST_BYTES : 8192;
        s.task.host =
            SP_SPAN_LIT("a-gate-with-a-name-as-long-as-names-of-hosts-may-be.office.example");
        assert_ok(sink_add_entry(&s, UINT64_C(999999999999), sp_span_cstr(long_one)));
        size_t most = longest(sp_buf_borrow(&s.batch));
        assert_true(most <= s.task.message);
        sp_span sent = sp_buf_borrow(&s.batch);
        assert_int_equal(sp_span_find(sent, SP_SPAN_LIT("left_out")) < sent.len, i == 0);
        assert_true(i == 0 || most > 3000);
        sp_buf_done(&s.batch);
    }
    sp_free(long_one);
}

static void what_does_not_fit_begins_the_next_batch(void **state)
{
    (void)state;
    sink s = made(SP_SINK_VIA_HTTP);
    sp_err err = sp_ok();
    uint64_t entry = 0;
    while (!sp_failed(err)) {
        err = sink_add_entry(&s, ++entry, sp_span_cstr(GOOD));
    }
    assert_int_equal(err.code, SP_EAGAIN);
    json_t *json = ended(&s);
    assert_int_equal(json_array_size(json), 2 * (entry - 1));
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            an_entry_that_cannot_be_converted_is_a_placeholder_and_nothing_of_it_is_there),
        cmocka_unit_test(a_placeholder_is_as_the_sink_takes_it),
        cmocka_unit_test(what_is_less_grave_is_not_sent),
        cmocka_unit_test(no_message_is_above_the_smallest_size_that_may_be_asked),
        cmocka_unit_test(what_does_not_fit_begins_the_next_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

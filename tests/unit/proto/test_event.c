/* SPDX-License-Identifier: Apache-2.0
 * Tests of the event's compact form, of references, and of the message frame.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/{event,msg}.h.
 */
#include "lib/proto/event.h"
#include "lib/proto/msg.h"
#include "tests/unit/cm.h"

static sp_event sample(void)
{
    return (sp_event){
        .when_unix_us = 1582455360000000,
        .reference = UINT64_C(0x0ABCDEF012345678),
        .session = UINT64_MAX,
        .device = 3,
        .policy_version = 12,
        .bytes_in = 100,
        .bytes_out = UINT64_C(5) << 33,
        .roles = {2, 0, 0, UINT64_C(1) << 63},
        .person = 42,
        .duration_us = 1500,
        .status = 403,
        .kind = SP_EVENT_DECISION,
        .severity = SP_SEVERITY_MEDIUM,
        .gate = SP_GATE_WEB,
        .action = SP_ACTION_EXPORT,
        .class_level = 2,
        .verdict = SP_VERDICT_DENY,
        .reason = SP_REASON_DEVICE_OWNER,
        .owner = SP_OWNER_PERSONAL,
        .posture = SP_POSTURE_HEALTHY,
        .strength = SP_STRENGTH_PASSKEY,
        .peer = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
        .person_name = SP_SPAN_LIT("he"),
        .device_name = SP_SPAN_LIT("laptop-7"),
        .resource = SP_SPAN_LIT("wiki"),
        .class_name = SP_SPAN_LIT("sensitive"),
        .rule = SP_SPAN_LIT("no export to personal devices"),
        .method = SP_SPAN_LIT("GET"),
        .object = SP_SPAN_LIT("/hr/people.csv"),
        .detail = SP_SPAN_LIT("{}"),
    };
}

static void comes_back_whole(void **state)
{
    (void)state;
    sp_event event = sample();
    auto_buf sp_buf buf = sp_buf_make(SP_EVENT_MAX_BYTES);
    assert_ok(sp_event_encode(&event, &buf));
    assert_int_equal(sp_buf_borrow(&buf).len, sp_event_size(&event));
    assert_true(sp_event_most(&event) >= sp_event_size(&event));
    sp_event back;
    assert_ok(sp_event_decode(sp_buf_borrow(&buf), &back));
    assert_true(back.when_unix_us == event.when_unix_us && back.session == event.session);
    assert_true(back.reference == event.reference && back.bytes_out == event.bytes_out);
    assert_int_equal(back.person, 42);
    assert_memory_equal(back.roles, event.roles, sizeof(event.roles));
    assert_int_equal(back.status, 403);
    assert_int_equal(back.action, SP_ACTION_EXPORT);
    assert_int_equal(back.reason, SP_REASON_DEVICE_OWNER);
    assert_memory_equal(back.peer, event.peer, sizeof(event.peer));
    assert_span_text(back.object, "/hr/people.csv");
    assert_span_text(back.detail, "{}");
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    sp_event event = sample();
    auto_buf sp_buf buf = sp_buf_make(SP_EVENT_MAX_BYTES);
    assert_ok(sp_event_encode(&event, &buf));
    sp_span whole = sp_buf_borrow(&buf);
    for (size_t len = 0; len < whole.len; len++) {
        sp_event back;
        assert_true(sp_failed(sp_event_decode(sp_span_slice(whole, 0, len), &back)));
    }
    sp_buf_byte(&buf, 0);
    sp_event back;
    assert_fails(sp_event_decode(sp_buf_borrow(&buf), &back), SP_EINVALID);
}

static void limits_hold(void **state)
{
    (void)state;
    static uint8_t long_text[SP_EVENT_OBJECT_MAX_BYTES + 100];
    sp_set(long_text, 'a', sizeof(long_text));
    sp_event event = sample();
    event.object = sp_span_of(long_text, sizeof(long_text));
    auto_buf sp_buf buf = sp_buf_make(SP_EVENT_MAX_BYTES);
    assert_ok(sp_event_encode(&event, &buf));
    sp_event back;
    assert_ok(sp_event_decode(sp_buf_borrow(&buf), &back));
    assert_int_equal(back.object.len, SP_EVENT_OBJECT_MAX_BYTES);
    event.person_name = sp_span_of(long_text, SP_NAME_MAX_BYTES + 1);
    sp_buf_reset(&buf);
    assert_fails(sp_event_encode(&event, &buf), SP_ELIMIT);
    event = sample();
    event.kind = SP_EVENT_KIND_COUNT;
    sp_buf_reset(&buf);
    assert_ok(sp_event_encode(&event, &buf));
    assert_fails(sp_event_decode(sp_buf_borrow(&buf), &back), SP_EINVALID);
}

/* Every field as long as it may be: the room that is reserved in the ring holds it, and a record
 * of the ring holds the room. */
static void the_longest_fits(void **state)
{
    (void)state;
    static uint8_t text[SP_EVENT_DETAIL_MAX_BYTES];
    sp_set(text, 'a', sizeof(text));
    const sp_span name = {text, SP_NAME_MAX_BYTES};
    sp_event event = sample();
    event.when_unix_us = event.reference = event.device = event.policy_version = UINT64_MAX;
    event.bytes_in = event.bytes_out = event.count = UINT64_MAX;
    sp_set(event.roles, 0xFF, sizeof(event.roles));
    event.person = event.duration_us = UINT32_MAX;
    event.status = UINT16_MAX;
    event.person_name = event.device_name = event.resource = name;
    event.class_name = event.rule = event.method = name;
    event.object = event.detail = (sp_span){text, sizeof(text)};
    assert_true(sp_event_size(&event) <= sp_event_most(&event));
    assert_true(sp_event_most(&event) <= SP_EVENT_MAX_BYTES);
    static uint8_t room[SP_EVENT_MAX_BYTES];
    size_t len = sp_event_write(&event, room);
    assert_int_equal(len, sp_event_size(&event));
    sp_event back;
    assert_ok(sp_event_decode(sp_span_of(room, len), &back));
    assert_true(back.bytes_out == UINT64_MAX && back.roles[3] == UINT64_MAX);
    assert_int_equal(back.object.len, SP_EVENT_OBJECT_MAX_BYTES);
    assert_int_equal(back.detail.len, SP_EVENT_DETAIL_MAX_BYTES);
}

static void references_are_readable(void **state)
{
    (void)state;
    char text[SP_REFERENCE_TEXT_BYTES];
    uint64_t reference = UINT64_C(0x0ABCDEF012345678);
    uint64_t back = 0;
    sp_reference_text(reference, text);
    assert_ok(sp_reference_of(sp_span_cstr(text), &back));
    assert_true(back == reference);
    assert_ok(sp_reference_of(SP_SPAN_LIT("oil0-0000-000l"), &back));
    assert_true(back == ((UINT64_C(1) << 50) | (UINT64_C(1) << 45) | 1));
    assert_fails(sp_reference_of(SP_SPAN_LIT("0000-0000-000"), &back), SP_EINVALID);
    assert_fails(sp_reference_of(SP_SPAN_LIT("0000-0000-0000-0"), &back), SP_EINVALID);
    assert_fails(sp_reference_of(SP_SPAN_LIT("0000-0000-000U"), &back), SP_EINVALID);
}

static void frames_are_checked(void **state)
{
    (void)state;
    auto_buf sp_buf buf = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_msg_begin(&buf, 7, 99, SP_EDENIED);
    sp_buf_text(&buf, "body");
    sp_msg msg;
    assert_ok(sp_msg_open(sp_buf_borrow(&buf), &msg));
    assert_int_equal(msg.kind, 7);
    assert_int_equal(msg.id, 99);
    assert_int_equal(msg.status, SP_EDENIED);
    assert_span_text(msg.body, "body");
    buf.ptr[0] = SP_MSG_VERSION + 1;
    assert_fails(sp_msg_open(sp_buf_borrow(&buf), &msg), SP_EUNSUPPORTED);
    assert_fails(sp_msg_open(SP_SPAN_LIT("\x01\x00"), &msg), SP_ESHORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_whole),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(the_longest_fits),
        cmocka_unit_test(references_are_readable),
        cmocka_unit_test(frames_are_checked),
    };
    return cmocka_run_group_tests_name("proto event", tests, NULL, NULL);
}

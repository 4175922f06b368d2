/* SPDX-License-Identifier: Apache-2.0
 * Tests of the bodies between the watch and core: each comes back as it went, no shorter and no
 * longer body is one, what is out of bounds is refused; an alarm's event says what the alarm says.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/watch_msg.h.
 */
#include "lib/proto/watch_msg.h"
#include "tests/unit/cm.h"

#define LIT(text) SP_SPAN_LIT(text)

/* Reads the body, writes it again and compares; then no prefix of it and nothing longer is one. */
#define CHECK(name, value)                                                                         \
    do {                                                                                           \
        auto_buf sp_buf one_ = sp_buf_make(SP_MSG_MAX_BYTES);                                      \
        auto_buf sp_buf two_ = sp_buf_make(SP_MSG_MAX_BYTES);                                      \
        sp_##name read_;                                                                           \
        sp_##name##_write((value), &one_);                                                         \
        sp_span body_ = sp_buf_borrow(&one_);                                                      \
        assert_true(body_.len > 0);                                                                \
        assert_ok(sp_##name##_read(body_, &read_));                                                \
        sp_##name##_write(&read_, &two_);                                                          \
        assert_true(sp_span_eq(body_, sp_buf_borrow(&two_)));                                      \
        for (size_t cut_ = 0; cut_ < body_.len; cut_++) {                                          \
            assert_true(sp_failed(sp_##name##_read(sp_span_slice(body_, 0, cut_), &read_)));       \
        }                                                                                          \
        sp_buf_u8(&one_, 0);                                                                       \
        assert_fails(sp_##name##_read(sp_buf_borrow(&one_), &read_), SP_EINVALID);                 \
    } while (0)

#define REFUSED(name, value, code)                                                                 \
    do {                                                                                           \
        auto_buf sp_buf one_ = sp_buf_make(SP_MSG_MAX_BYTES);                                      \
        sp_##name read_;                                                                           \
        sp_##name##_write((value), &one_);                                                         \
        assert_fails(sp_##name##_read(sp_buf_borrow(&one_), &read_), code);                        \
    } while (0)

static sp_alarm an_alarm(void)
{
    sp_alarm alarm = {.id = {{1, 2, 3}},
                      .first_unix_us = UINT64_C(1582455300000000),
                      .last_unix_us = UINT64_C(1582455360123456),
                      .count = 12,
                      .session = UINT64_C(0xABCDEF),
                      .device = 3,
                      .person = 7,
                      .severity = SP_SEVERITY_HIGH,
                      .mode = SP_ALARM_LIVE,
                      .gate = SP_GATE_WEB,
                      .class_level = 2,
                      .evidence_count = 2,
                      .peer = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 7},
                      .detection = LIT("password-spray"),
                      .title = LIT("Many names, one address"),
                      .person_name = LIT("zhao.min"),
                      .device_name = LIT("laptop"),
                      .resource = LIT("wiki"),
                      .class_name = LIT("core"),
                      .keys = LIT("peer=192.0.2.7"),
                      .plan = LIT("stolen-credentials")};
    alarm.evidence[0] = (sp_alarm_evidence){.entry = 40, .reference = 77, .at = 3};
    alarm.evidence[1] = (sp_alarm_evidence){.entry = 41};
    return alarm;
}

static void bodies_come_back(void **state)
{
    (void)state;
    sp_alarm alarm = an_alarm();
    CHECK(alarm, &alarm);
    alarm.evidence_count = SP_ALARM_EVIDENCE_MAX;
    CHECK(alarm, &alarm);
    sp_detections detections = {9, SP_DETECTIONS_MAX_BYTES};
    CHECK(detections, &detections);
    sp_detections_piece piece = {9, 4};
    CHECK(detections_piece, &piece);
    sp_watch_status status = {
        1, 2, 3, 4, 5, 6, 7, 8, true, true, LIT("the ledger does not answer")};
    CHECK(watch_status, &status);
}

static void out_of_bounds_is_refused(void **state)
{
    (void)state;
    static uint8_t long_text[SP_ALARM_KEYS_MAX_BYTES + 1];
    sp_set(long_text, 'a', sizeof(long_text));
    sp_alarm alarm = an_alarm();
    alarm.severity = SP_SEVERITY_COUNT;
    REFUSED(alarm, &alarm, SP_EINVALID);
    alarm = an_alarm();
    alarm.keys = sp_span_of(long_text, sizeof(long_text));
    REFUSED(alarm, &alarm, SP_ELIMIT);
    alarm = an_alarm();
    alarm.title = LIT("\xFF");
    REFUSED(alarm, &alarm, SP_EINVALID);
    alarm = an_alarm();
    alarm.detection = SP_SPAN_EMPTY;
    REFUSED(alarm, &alarm, SP_EINVALID);
    alarm = an_alarm();
    alarm.evidence_count = SP_ALARM_EVIDENCE_MAX + 1;
    REFUSED(alarm, &alarm, SP_EINVALID);
    sp_detections detections = {9, SP_DETECTIONS_MAX_BYTES + 1};
    REFUSED(detections, &detections, SP_ELIMIT);
}

static void an_event_says_what_the_alarm_says(void **state)
{
    (void)state;
    sp_alarm alarm = an_alarm();
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_event event;
    sp_alarm_event(&alarm, &detail, &event);
    assert_ok(sp_buf_error(&detail));
    assert_int_equal(event.kind, SP_EVENT_ALARM);
    assert_int_equal(event.severity, SP_SEVERITY_HIGH);
    assert_int_equal(event.person, 7);
    assert_int_equal(event.count, 12);
    assert_int_equal(event.peer[15], 7);
    assert_true(sp_span_eq(event.rule, LIT("password-spray")));
    assert_true(sp_span_eq(event.object, LIT("peer=192.0.2.7")));
    sp_span tail = LIT("\"mode\":\"live\",\"first\":\"2020-02-23T10:55:00.000000Z\","
                       "\"last\":\"2020-02-23T10:56:00.123456Z\",\"plan\":\"stolen-credentials\","
                       "\"evidence\":[{\"entry\":40,\"at\":3,\"reference\":\"0000-0000-002D\"},"
                       "{\"entry\":41,\"at\":0}]}");
    assert_true(sp_span_ends(event.detail, tail));
    auto_buf sp_buf bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
    assert_ok(sp_event_encode(&event, &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_come_back),
        cmocka_unit_test(out_of_bounds_is_refused),
        cmocka_unit_test(an_event_says_what_the_alarm_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

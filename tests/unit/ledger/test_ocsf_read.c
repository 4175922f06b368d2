/* SPDX-License-Identifier: Apache-2.0
 * Events through OCSF and back: what was written is read, over every kind, gate and member, alone
 * and several in one entry; what is no entry of ours is refused.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/ocsf_read.h.
 */
#include "lib/proto/ocsf.h"
#include "lib/proto/ocsf_read.h"
#include "tests/unit/cm.h"

enum { ROUNDS = 20000, TOGETHER = 4, ROOM_BYTES = 256 * 1024 };

static uint64_t random_state = 1;

static uint32_t roll(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static uint64_t number(void)
{
    return ((uint64_t)roll(UINT32_MAX) << 31 | roll(UINT32_MAX)) >> roll(63);
}

/* Texts with everything that JSON escapes, as well as none. */
static sp_span any_text(void)
{
    static const char *const texts[] = {"",
                                        "wiki",
                                        "a \"b\" \\c\\",
                                        "\xE6\xB5\x8B\xE8\xAF\x95",
                                        "tab\there\nline\x01\x7F",
                                        "\xF0\x9F\x9A\xAA/../%00",
                                        "</script>'",
                                        "SELECT 1",
                                        "{\"a\":[1]}"};
    return sp_span_cstr(texts[roll(SP_COUNT(texts))]);
}

/* As lib/proto/ocsf_read.h says that it comes back. */
static sp_event canonical(sp_event e)
{
    assert_true(sp_ocsf_is_exact(&e));
    sp_ocsf_as_read(&e);
    return e;
}

static sp_event any_event(void)
{
    static const char *const details[] = {"", "{}", "{\"why\":\"code\",\"x\":[{\"events\":[1]}]}",
                                          "{ \"a\" : \"}\\\"{\" }"};
    sp_event e = {.when_unix_us = UINT64_C(1582455360000000) + number() % 1000000000,
                  .reference = number() & ((UINT64_C(1) << 60) - 1),
                  .session = roll(2) == 0 ? 0 : number(),
                  .device = roll(2) == 0 ? 0 : number(),
                  .policy_version = roll(3) == 0 ? 0 : number(),
                  .bytes_in = roll(2) == 0 ? 0 : number(),
                  .bytes_out = roll(2) == 0 ? 0 : number(),
                  .count = roll(2) == 0 ? 0 : number(),
                  .roles = {roll(2) == 0 ? 0 : number(), 0, 0, roll(4) == 0 ? number() : 0},
                  .person = roll(3) == 0 ? 0 : roll(UINT32_MAX),
                  .duration_us = roll(2) == 0 ? 0 : roll(UINT32_MAX),
                  .status = roll(2) == 0 ? 0 : (uint16_t)roll(UINT16_MAX),
                  .kind = (uint8_t)roll(SP_EVENT_KIND_COUNT),
                  .severity = (uint8_t)roll(SP_SEVERITY_COUNT),
                  .gate = (uint8_t)roll(SP_GATE_COUNT),
                  .action = (uint8_t)roll(SP_ACTION_COUNT),
                  .class_level = (uint8_t)roll(SP_CLASSES_MAX),
                  .verdict = (uint8_t)roll(SP_VERDICT_COUNT),
                  .reason = (uint8_t)roll(SP_REASON_COUNT),
                  .owner = (uint8_t)roll(SP_OWNER_COUNT),
                  .posture = (uint8_t)roll(SP_POSTURE_COUNT),
                  .strength = (uint8_t)roll(SP_STRENGTH_COUNT),
                  .person_name = any_text(),
                  .device_name = any_text(),
                  .resource = any_text(),
                  .class_name = any_text(),
                  .rule = any_text(),
                  .method = any_text(),
                  .object = any_text(),
                  .detail = sp_span_cstr(details[roll(SP_COUNT(details))])};
    if (roll(3) > 0) {
        e.peer[0] = 0x20;
        e.peer[15] = (uint8_t)roll(256);
        if (roll(2) == 0) {
            sp_copy(e.peer, (const uint8_t[12]){0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 12);
        }
    }
    return canonical(e);
}

typedef struct {
    const sp_event *want;
    size_t count;
    size_t seen;
} comparing;

#define SAME(member) assert_int_equal(got->member, want->member)
#define SAME_TEXT(member) assert_true(sp_span_eq(got->member, want->member))

static void compare(void *self, const sp_event *got, uint16_t at)
{
    comparing *c = self;
    assert_true(at == c->seen && at < c->count);
    const sp_event *want = &c->want[c->seen++];
    SAME(when_unix_us);
    SAME(reference);
    SAME(session);
    SAME(device);
    SAME(policy_version);
    SAME(bytes_in);
    SAME(bytes_out);
    SAME(count);
    assert_memory_equal(got->roles, want->roles, sizeof(want->roles));
    SAME(person);
    SAME(duration_us);
    SAME(status);
    SAME(kind);
    SAME(severity);
    SAME(gate);
    SAME(action);
    SAME(class_level);
    SAME(verdict);
    SAME(reason);
    SAME(owner);
    SAME(posture);
    SAME(strength);
    assert_memory_equal(got->peer, want->peer, sizeof(want->peer));
    SAME_TEXT(person_name);
    SAME_TEXT(device_name);
    SAME_TEXT(resource);
    SAME_TEXT(class_name);
    SAME_TEXT(rule);
    SAME_TEXT(method);
    SAME_TEXT(object);
    SAME_TEXT(detail);
}

static void write_entry(const sp_event *events, size_t count, sp_buf *out)
{
    sp_buf_reset(out);
    sp_buf_byte(out, '{');
    sp_ocsf_common(&events[0], SP_SPAN_LIT("web \"1\""), out);
    sp_buf_text(out, ",\"events\":[");
    for (size_t i = 0; i < count; i++) {
        sp_buf_text(out, i == 0 ? "{" : ",{");
        sp_ocsf_event(&events[i], &events[0], 40 + i, out);
        sp_buf_byte(out, '}');
    }
    sp_buf_text(out, "]}");
    assert_ok(sp_buf_error(out));
}

/* Another event that can stand in the same entry. */
static sp_event another(const sp_event *first)
{
    for (;;) {
        sp_event e = any_event();
        const sp_event shared = *first;
        e.kind = shared.kind;
        e.gate = shared.gate;
        e.session = shared.session;
        e.person = shared.person;
        e.device = shared.device;
        e.policy_version = shared.policy_version;
        e.owner = shared.owner;
        e.posture = shared.posture;
        e.strength = shared.strength;
        e.person_name = shared.person_name;
        e.device_name = shared.device_name;
        sp_copy(e.roles, shared.roles, sizeof(e.roles));
        sp_copy(e.peer, shared.peer, sizeof(e.peer));
        e = canonical(e);
        if (sp_ocsf_same_common(first, &e)) {
            return e;
        }
    }
}

/* What JSON would change is told. */
static void the_inexact_is_told(void **state)
{
    (void)state;
    const sp_event plain = {.object = SP_SPAN_LIT("a"), .detail = SP_SPAN_LIT("{\"b\":1}")};
    sp_event e = plain;
    assert_true(sp_ocsf_is_exact(&e));
    e.object = SP_SPAN_LIT("\xFF");
    assert_false(sp_ocsf_is_exact(&e));
    e = plain;
    e.detail = SP_SPAN_LIT("{\"b\":1");
    assert_false(sp_ocsf_is_exact(&e));
    e = plain;
    e.reference = UINT64_C(1) << 60;
    assert_false(sp_ocsf_is_exact(&e));
    e = plain;
    e.count = UINT64_MAX;
    assert_false(sp_ocsf_is_exact(&e));
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    auto_buf sp_buf json = sp_buf_make(ROOM_BYTES);
    auto_buf sp_buf room = sp_buf_make(ROOM_BYTES);
    for (unsigned round = 0; round < ROUNDS; round++) {
        sp_event events[TOGETHER] = {any_event()};
        size_t count = 1 + roll(TOGETHER);
        for (size_t i = 1; i < count; i++) {
            events[i] = another(&events[0]);
        }
        comparing c = {events, count, 0};
        write_entry(events, count, &json);
        assert_ok(sp_ocsf_read(sp_buf_borrow(&json), &room, compare, &c));
        assert_int_equal(c.seen, count);
    }
}

static void ignore(void *self, const sp_event *event, uint16_t at)
{
    (void)self;
    (void)event;
    (void)at;
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    auto_buf sp_buf json = sp_buf_make(ROOM_BYTES);
    auto_buf sp_buf room = sp_buf_make(ROOM_BYTES);
    sp_event events[2] = {any_event()};
    events[1] = another(&events[0]);
    write_entry(events, 2, &json);
    for (size_t cut = 0; cut < json.len; cut++) {
        sp_span part = sp_span_slice(sp_buf_borrow(&json), 0, cut);
        assert_fails(sp_ocsf_read(part, &room, ignore, NULL), SP_ECORRUPT);
    }
    static const char *const bad[] = {"[]",
                                      "{\"time\":-1}",
                                      "{\"time\":1}x",
                                      "{\"unmapped\":{\"kind\":\"nonsense\"}}",
                                      "{\"unmapped\":{\"roles\":[256]}}",
                                      "{\"message\":\"\\ud800\"}",
                                      "{\"message\":\"\\x\"}",
                                      "{\"actor\":{\"session\":{\"uid\":\"zz\"}}}",
                                      "{\"src_endpoint\":{\"ip\":\"1.2.3\"}}",
                                      "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
                                      "\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
                                      "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
                                      "\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
                                      "1}}}}}}}}}}}}}}}}}}}}}}}}}}"};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_fails(sp_ocsf_read(sp_span_cstr(bad[i]), &room, ignore, NULL), SP_ECORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(the_inexact_is_told),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

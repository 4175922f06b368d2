/* SPDX-License-Identifier: Apache-2.0
 * Events as OCSF: parsed back by jansson, classes and types as the schema has them, hostile strings
 * and details kept harmless.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/ocsf.h.
 */
#include "lib/base/mem.h"
#include "lib/proto/json.h"
#include "lib/proto/ocsf.h"

#include <jansson.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static sp_event sample(void)
{
    sp_event e = {.when_unix_us = UINT64_C(1582455360123456),
                  .reference = 77,
                  .session = 0xABCDEF,
                  .device = 3,
                  .policy_version = 12,
                  .bytes_out = 5120,
                  .person = 7,
                  .status = 200,
                  .kind = SP_EVENT_DECISION,
                  .gate = SP_GATE_WEB,
                  .action = SP_ACTION_EXPORT,
                  .verdict = SP_VERDICT_DENY,
                  .reason = SP_REASON_DEVICE_OWNER,
                  .owner = SP_OWNER_PERSONAL,
                  .posture = SP_POSTURE_HEALTHY,
                  .strength = SP_STRENGTH_PASSKEY,
                  .peer = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 7},
                  .person_name = SP_SPAN_LIT("he"),
                  .device_name = SP_SPAN_LIT("laptop"),
                  .resource = SP_SPAN_LIT("wiki"),
                  .class_name = SP_SPAN_LIT("core"),
                  .rule = SP_SPAN_LIT("no exports"),
                  .method = SP_SPAN_LIT("GET"),
                  .object = SP_SPAN_LIT("/files/a.zip")};
    return e;
}

/* The entry {COMMON of first,"events":[EVENT]}. */
static json_t *render_behind(const sp_event *first, const sp_event *event)
{
    auto_buf sp_buf out = sp_buf_make(128 * 1024);
    sp_buf_byte(&out, '{');
    sp_ocsf_common(first, SP_SPAN_LIT("web \"1\""), &out);
    sp_buf_text(&out, ",\"events\":[{");
    sp_ocsf_event(event, first, 41, &out);
    sp_buf_text(&out, "}]}");
    assert_false(sp_failed(sp_buf_error(&out)));
    assert_true(out.len < SP_OCSF_COMMON_MAX_BYTES + SP_OCSF_EVENT_MAX_BYTES);
    json_error_t why;
    json_t *root =
        json_loadb((const char *)out.ptr, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (root == NULL) {
        print_message("%s at %d: %.*s\n", why.text, why.position, (int)out.len, out.ptr);
    }
    assert_non_null(root);
    return root;
}

/* The complete event, as readers lay it together. */
static json_t *whole(json_t *root)
{
    json_t *event = json_incref(json_array_get(json_object_get(root, "events"), 0));
    json_object_del(root, "events");
    assert_int_equal(json_object_update_recursive(root, event), 0);
    json_decref(event);
    return root;
}

static json_t *render(const sp_event *event)
{
    return whole(render_behind(event, event));
}

static json_t *at(const json_t *object, const char *a, const char *b)
{
    return json_object_get(json_object_get(object, a), b);
}

static void test_decision(void **state)
{
    (void)state;
    sp_event e = sample();
    json_t *root = render(&e);
    const json_t *event = root;
    assert_int_equal(json_integer_value(json_object_get(root, "class_uid")), 6001);
    assert_int_equal(json_integer_value(json_object_get(root, "category_uid")), 6);
    assert_int_equal(json_integer_value(json_object_get(event, "type_uid")), 600107);
    assert_int_equal(json_integer_value(json_object_get(event, "time")), 1582455360123);
    assert_int_equal(json_integer_value(json_object_get(event, "action_id")), 2);
    assert_int_equal(json_integer_value(json_object_get(event, "status_id")), 2);
    assert_int_equal(json_integer_value(at(event, "metadata", "sequence")), 41);
    assert_string_equal(json_string_value(at(root, "metadata", "log_name")), "web \"1\"");
    assert_string_equal(json_string_value(at(root, "src_endpoint", "ip")), "192.0.2.7");
    assert_string_equal(json_string_value(json_object_get(at(root, "actor", "user"), "name")),
                        "he");
    assert_string_equal(json_string_value(json_object_get(at(root, "actor", "session"), "uid")),
                        "0000000000abcdef");
    assert_string_equal(json_string_value(at(event, "unmapped", "reason")),
                        sp_reason_word(e.reason));
    assert_string_equal(json_string_value(at(event, "policy", "name")), "no exports");
    char text[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(77, text);
    assert_string_equal(json_string_value(at(event, "metadata", "uid")), text);
    json_decref(root);
}

static void test_every_kind_and_gate(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
        for (unsigned gate = 0; gate < SP_GATE_COUNT; gate++) {
            sp_event e = sample();
            e.kind = (uint8_t)kind;
            e.gate = (uint8_t)gate;
            e.count = UINT64_MAX;
            e.duration_us = UINT32_MAX;
            sp_ocsf_type type = sp_ocsf_type_of(&e);
            json_t *root = render(&e);
            assert_int_equal(type.class_uid / 1000, type.category_uid);
            assert_int_equal(json_integer_value(json_object_get(root, "type_uid")),
                             type.class_uid * 100 + type.activity_id);
            assert_string_equal(json_string_value(at(root, "unmapped", "kind")),
                                sp_event_kind_word((sp_event_kind)kind));
            json_decref(root);
        }
    }
}

static void test_verbs(void **state)
{
    (void)state;
    sp_event e = sample();
    e.kind = SP_EVENT_DEVICE;
    e.method = SP_SPAN_LIT("quarantine");
    assert_int_equal(sp_ocsf_type_of(&e).activity_id, 12);
    e.kind = SP_EVENT_IDENTITY;
    e.method = SP_SPAN_LIT("create");
    assert_int_equal(sp_ocsf_type_of(&e).activity_id, 1);
    e.method = SP_SPAN_LIT("never heard of");
    assert_int_equal(sp_ocsf_type_of(&e).activity_id, 99);
    json_t *root = render(&e);
    assert_string_equal(json_string_value(json_object_get(root, "activity_name")),
                        "never heard of");
    json_decref(root);
}

static void test_hostile_strings(void **state)
{
    (void)state;
    static uint8_t object[SP_EVENT_OBJECT_MAX_BYTES];
    static uint8_t detail[SP_EVENT_DETAIL_MAX_BYTES];
    for (unsigned fill = 0; fill < 256; fill++) {
        sp_set(object, (uint8_t)fill, sizeof(object));
        sp_set(detail, (uint8_t)fill, sizeof(detail));
        sp_event e = sample();
        e.object = (sp_span){object, sizeof(object)};
        e.detail = (sp_span){detail, sizeof(detail)};
        e.person_name = e.device_name = e.resource = e.class_name = e.rule = e.method =
            (sp_span){object, SP_NAME_MAX_BYTES};
        json_decref(render(&e));
    }
    sp_event e = sample();
    e.object = SP_SPAN_LIT("a\"},\"x\":{\"b\xC3\x28\xE2\x82\xAC\\\n");
    json_t *root = render(&e);
    const char *path = json_string_value(json_object_get(at(root, "http_request", "url"), "path"));
    assert_string_equal(path, "a\"},\"x\":{\"b\xEF\xBF\xBD(\xE2\x82\xAC\\\n");
    json_decref(root);
}

static void test_detail(void **state)
{
    (void)state;
    sp_event e = sample();
    e.detail = SP_SPAN_LIT("{\"a\":[1,{\"b\":null}]}");
    json_t *root = render(&e);
    assert_true(json_is_object(at(root, "unmapped", "detail")));
    json_decref(root);
    e.detail = SP_SPAN_LIT("{\"a\":1},\"kind\":\"heartbeat\"");
    root = render(&e);
    assert_true(json_is_string(at(root, "unmapped", "detail")));
    json_decref(root);
}

static void test_is_object(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        " { } ",
        "{\"a\":1}",
        "{\"a\":-0.5e+7,\"b\":[],\"c\":[[],{}],\"d\":\"\\u00e9\\n\"}",
        "{\"a\":true,\"b\":false,\"c\":null}",
        "{\"a\":[1,2,{\"x\":[]}]}"};
    static const char *const bad[] = {"",
                                      "[]",
                                      "1",
                                      "{",
                                      "}",
                                      "{]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{\"a\":01}",
                                      "{\"a\":1}{",
                                      "{\"a\":1} x",
                                      "{\"a\":\"\x01\"}",
                                      "{\"a\":\"\\x\"}",
                                      "{\"a\":\"\\u12g4\"}",
                                      "{\"a\":[1,]}",
                                      "{\"a\":[,1]}",
                                      "{\"a\":[1 2]}",
                                      "{a:1}",
                                      "{\"a\":tru}",
                                      "{\"a\":+1}",
                                      "{\"a\":1.}",
                                      "{\"a\":.5}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":\"b}",
                                      "{\"a\":nul}",
                                      "{\"a\":-}",
                                      "{\"a\":1e999}",
                                      "{\"a\":12345678901234567890}",
                                      "{\"a\":\"\\uD83D\\uDE00\"}",
                                      "{\"\\u0000\":1}"};
    for (size_t i = 0; i < SP_COUNT(good); i++) {
        assert_true(sp_json_is_object(sp_span_cstr(good[i])));
    }
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_false(sp_json_is_object(sp_span_cstr(bad[i])));
    }
    auto_buf sp_buf deep = sp_buf_make(4096);
    sp_buf_text(&deep, "{\"a\":");
    for (int i = 0; i < 1000; i++) {
        sp_buf_byte(&deep, '[');
    }
    assert_false(sp_json_is_object(sp_buf_borrow(&deep)));
}

/* Whatever differs from the first event of an entry is said: laid together, it is as if alone. */
static void test_shared_outcome(void **state)
{
    (void)state;
    sp_event first = sample();
    first.status = 200;
    sp_event others[10];
    for (size_t i = 0; i < SP_COUNT(others); i++) {
        others[i] = first;
        others[i].reference = 100 + i;
        others[i].object = SP_SPAN_LIT("/other");
    }
    others[1].verdict = SP_VERDICT_ALLOW;
    others[2].reason = SP_REASON_LIMIT;
    others[3].action = SP_ACTION_READ;
    others[4].status = 304;
    others[5].method = SP_SPAN_LIT("POST");
    others[6].rule = SP_SPAN_LIT("another");
    others[7].resource = SP_SPAN_LIT("git");
    others[8].class_name = SP_SPAN_LIT("open");
    others[9].severity = SP_SEVERITY_HIGH;
    for (size_t i = 0; i < SP_COUNT(others); i++) {
        assert_true(sp_ocsf_same_common(&first, &others[i]));
        json_t *shared = render_behind(&first, &others[i]);
        const json_t *event = json_array_get(json_object_get(shared, "events"), 0);
        assert_int_equal(json_object_get(event, "type_uid") != NULL, i > 0);
        json_t *alone = render(&others[i]);
        assert_true(json_equal(whole(shared), alone));
        json_decref(shared);
        json_decref(alone);
    }
}

/* What COMMON has, an event cannot unsay. */
static void test_lacking_members(void **state)
{
    (void)state;
    sp_event full = sample();
    full.status = 200;
    sp_event lacking[4] = {full, full, full, full};
    lacking[0].status = 0;
    lacking[1].rule = SP_SPAN_EMPTY;
    lacking[2].class_name = SP_SPAN_EMPTY;
    lacking[3].kind = SP_EVENT_CLOSE;
    for (size_t i = 0; i < SP_COUNT(lacking); i++) {
        assert_false(sp_ocsf_same_common(&full, &lacking[i]));
    }
}

static void test_same_common(void **state)
{
    (void)state;
    sp_event a = sample();
    sp_event b = sample();
    b.reference = 5;
    b.object = SP_SPAN_LIT("/other");
    b.verdict = SP_VERDICT_ALLOW;
    b.action = SP_ACTION_READ;
    assert_true(sp_ocsf_same_common(&a, &b));
    b.session++;
    assert_false(sp_ocsf_same_common(&a, &b));
    b = sample();
    b.peer[15]++;
    assert_false(sp_ocsf_same_common(&a, &b));
    b = sample();
    b.kind = SP_EVENT_SIGN_IN;
    assert_false(sp_ocsf_same_common(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decision),        cmocka_unit_test(test_every_kind_and_gate),
        cmocka_unit_test(test_verbs),           cmocka_unit_test(test_hostile_strings),
        cmocka_unit_test(test_detail),          cmocka_unit_test(test_is_object),
        cmocka_unit_test(test_same_common),     cmocka_unit_test(test_shared_outcome),
        cmocka_unit_test(test_lacking_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

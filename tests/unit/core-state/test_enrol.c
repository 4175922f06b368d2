/* SPDX-License-Identifier: Apache-2.0
 * Enrolment codes, certificate requests in PEM, posture out of checks.
 * OWNS nothing. PROCESS test. TRUST none. SPEC core/devices/enrol.h.
 */
#include "core/devices/enrol.h"
#include "tests/unit/cm.h"

static void test_codes(void **state)
{
    (void)state;
    const uint8_t zero[10] = {0};
    const uint8_t ones[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    char text[SP_ENROL_CODE_BYTES];
    sp_enrol_code_text(zero, text);
    assert_string_equal(text, "0000-0000-0000-0000");
    sp_enrol_code_text(ones, text);
    assert_string_equal(text, "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
    const uint8_t some[10] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23};
    sp_enrol_code_text(some, text);
    sp_hash one;
    sp_hash other;
    assert_ok(sp_enrol_code_hash(sp_span_cstr(text), &one));
    assert_ok(sp_enrol_code_hash(SP_SPAN_LIT("o4HM-ASW9 NF6Y Y093"), &other));
    assert_string_equal(text, "04HM-ASW9-NF6Y-Y093");
    assert_true(sp_hash_eq(&one, &other)); /* o for 0, lower case, blanks */
    static const char *const bad[] = {"", "0000-0000-0000-000", "0000-0000-0000-00000",
                                      "U000-0000-0000-0000", "0000_0000_0000_0000"};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_fails(sp_enrol_code_hash(sp_span_cstr(bad[i]), &one), SP_EINVALID);
    }
}

static void test_pem(void **state)
{
    (void)state;
    auto_buf sp_buf der = sp_buf_make(64);
    assert_ok(sp_enrol_csr_der(SP_SPAN_LIT("\n-----BEGIN CERTIFICATE REQUEST-----\nAAEC\r\nAwQF\n"
                                           "-----END CERTIFICATE REQUEST-----\n"),
                               &der));
    assert_int_equal(der.len, 6);
    assert_int_equal(der.ptr[5], 5);
    static const char *const bad[] = {
        "",
        "AAEC",
        "-----BEGIN CERTIFICATE REQUEST-----",
        "-----BEGIN CERTIFICATE REQUEST----------END CERTIFICATE REQUEST-----",
        "-----BEGIN CERTIFICATE REQUEST-----\n!!!!\n-----END CERTIFICATE REQUEST-----",
        "-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----",
    };
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        sp_buf_reset(&der);
        assert_true(sp_failed(sp_enrol_csr_der(sp_span_cstr(bad[i]), &der)));
    }
}

static sp_err posture_of(const char *text, sp_posture *ret_posture)
{
    const char *expected = NULL;
    json_t *checks = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(checks);
    sp_err err = sp_enrol_posture(checks, ret_posture, &expected);
    json_decref(checks);
    return err;
}

static void test_posture(void **state)
{
    (void)state;
    static const struct {
        const char *checks;
        sp_posture posture;
    } good[] = {
        {"[]", SP_POSTURE_UNKNOWN},
        {"[{\"name\":\"a\",\"result\":\"unknown\"}]", SP_POSTURE_UNKNOWN},
        {"[{\"name\":\"a\",\"result\":\"pass\"},{\"name\":\"b\",\"result\":\"unknown\"}]",
         SP_POSTURE_HEALTHY},
        {"[{\"name\":\"a\",\"result\":\"pass\"},{\"name\":\"b\",\"ok\":false}]",
         SP_POSTURE_UNHEALTHY},
    };
    for (size_t i = 0; i < SP_COUNT(good); i++) {
        sp_posture posture = SP_POSTURE_COUNT;
        assert_ok(posture_of(good[i].checks, &posture));
        assert_int_equal(posture, good[i].posture);
    }
    static const char *const bad[] = {"{}",
                                      "1",
                                      "[1]",
                                      "[{\"name\":\"a\"}]",
                                      "[{\"ok\":true}]",
                                      "[{\"name\":\"a\",\"result\":\"maybe\"}]",
                                      "[{\"name\":\"a\",\"ok\":true,\"detail\":7}]"};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        sp_posture untouched = SP_POSTURE_COUNT;
        assert_fails(posture_of(bad[i], &untouched), SP_EINVALID);
        assert_int_equal(untouched, SP_POSTURE_COUNT);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_true(sp_enrol_name_ok(SP_SPAN_LIT("Leo's laptop")));
    assert_true(sp_enrol_name_ok(SP_SPAN_LIT("\xe7\xac\x94\xe8\xae\xb0\xe6\x9c\xac")));
    assert_false(sp_enrol_name_ok(SP_SPAN_EMPTY));
    assert_false(sp_enrol_name_ok(SP_SPAN_LIT("a\nb")));
    assert_false(sp_enrol_name_ok(SP_SPAN_LIT("\033[2J")));
    assert_false(sp_enrol_name_ok(SP_SPAN_LIT("\xff\xfe")));
    uint8_t many[64] = {0};
    sp_set(many, 'a', sizeof(many));
    assert_false(sp_enrol_name_ok(sp_span_of(many, 64)));
    assert_true(sp_enrol_name_ok(sp_span_of(many, 63)));
}

static void test_platform(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {{"{\"os\":\"linux\"}", true},
                 {"{\"os\":\"linux\",\"arch\":\"x86_64\",\"hostname\":\"h\"}", true},
                 {"{}", false},
                 {"{\"arch\":\"x\"}", false},
                 {"{\"os\":1}", false},
                 {"{\"os\":\"linux\",\"more\":\"x\"}", false},
                 {"[]", false}};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        json_t *platform = json_loads(cases[i].text, JSON_DECODE_ANY, NULL);
        assert_int_equal(sp_enrol_platform_ok(platform), cases[i].ok);
        json_decref(platform);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),    cmocka_unit_test(test_pem),
        cmocka_unit_test(test_posture),  cmocka_unit_test(test_names),
        cmocka_unit_test(test_platform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Refusals: every reason has its words in both languages, and hostile names stay text.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/web/refusal.h.
 */
#include "lib/web/refusal.h"

#include "lib/base/sha256.h"
#include "lib/proto/event.h"
#include "lib/web/refusal_text.h"
#include "tests/unit/cm.h"

static bool has(const sp_buf *buf, const char *text)
{
    sp_span bytes = sp_buf_borrow(buf);
    return sp_span_find(bytes, sp_span_cstr(text)) < bytes.len;
}

static sp_web_refusal example(void)
{
    return (sp_web_refusal){
        .office = SP_SPAN_LIT("Lantern <Trading>"),
        .resource = SP_SPAN_LIT("\"><script>alert(1)</script>"),
        .portal_url = SP_SPAN_LIT("https://portal.office.localhost:8443"),
        .person = SP_SPAN_LIT("mei"),
        .reference = 0x123456789ABCDEF,
        .when_unix_us = 1582484160000000,
        .status = 403,
        .action = SP_ACTION_EXPORT,
        .reason = SP_REASON_DEVICE_OWNER,
    };
}

static void every_reason_has_words(void **state)
{
    (void)state;
    for (int reason = SP_REASON_DEFAULT; reason < SP_REASON_COUNT; reason++) {
        sp_refusal_says en = sp_refusal_say((sp_reason)reason, 403, false);
        sp_refusal_says zh = sp_refusal_say((sp_reason)reason, 403, true);
        assert_non_null(en.title);
        assert_non_null(zh.title);
        assert_string_not_equal(en.title, zh.title);
        assert_string_not_equal(en.title, sp_refusal_say(SP_REASON_NONE, 999, false).title);
        assert_true(sp_web_refusal_status((sp_reason)reason) >= 400);
    }
}

static void hostile_names_stay_text(void **state)
{
    (void)state;
    sp_web_refusal refusal = example();
    auto_buf sp_buf page = sp_buf_make(SP_WEB_REFUSAL_MAX_BYTES);
    sp_web_refusal_html(&refusal, &page);
    assert_ok(sp_buf_error(&page));
    assert_false(has(&page, "<script>alert"));
    assert_true(has(&page, "Lantern &lt;Trading&gt;"));
    assert_true(has(&page, "personal device"));
    char reference[32];
    sp_reference_text(refusal.reference, reference);
    assert_true(has(&page, reference));
    auto_buf sp_buf json = sp_buf_make(SP_WEB_REFUSAL_MAX_BYTES);
    sp_web_refusal_json(&refusal, &json);
    assert_ok(sp_buf_error(&json));
    assert_true(has(&json, "\"reason\":\"device-owner\""));
    assert_true(has(&json, "\"action\":\"export\""));
    assert_true(has(&json, "\\\"><script>"));
    assert_true(has(&json, reference));
}

static void chinese(void **state)
{
    (void)state;
    sp_web_refusal refusal = example();
    refusal.chinese = true;
    auto_buf sp_buf page = sp_buf_make(SP_WEB_REFUSAL_MAX_BYTES);
    sp_web_refusal_html(&refusal, &page);
    assert_ok(sp_buf_error(&page));
    assert_true(has(&page, "lang=\"zh-CN\""));
    assert_true(has(&page, "需要使用公司设备"));
}

static void the_policy_names_the_style_of_the_page(void **state)
{
    (void)state;
    sp_web_refusal refusal = example();
    auto_buf sp_buf page = sp_buf_make(SP_WEB_REFUSAL_MAX_BYTES);
    sp_web_refusal_html(&refusal, &page);
    sp_span bytes = sp_buf_borrow(&page);
    size_t from = sp_span_find(bytes, SP_SPAN_LIT("<style>")) + 7;
    size_t to = sp_span_find(bytes, SP_SPAN_LIT("</style>"));
    sp_hash hash = sp_sha256(sp_span_slice(bytes, from, to));
    auto_buf sp_buf want = sp_buf_make(256);
    sp_buf_text(&want, "'sha256-");
    sp_buf_base64(&want, sp_hash_borrow(&hash));
    sp_buf_byte(&want, '\0');
    auto_buf sp_buf csp = sp_buf_make(512);
    sp_web_refusal_csp(&csp);
    assert_true(has(&csp, (const char *)sp_buf_borrow(&want).ptr));
    assert_false(has(&csp, "unsafe"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_words),
        cmocka_unit_test(hostile_names_stay_text),
        cmocka_unit_test(chinese),
        cmocka_unit_test(the_policy_names_the_style_of_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

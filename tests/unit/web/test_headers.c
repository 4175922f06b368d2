/* SPDX-License-Identifier: Apache-2.0
 * Header readings.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/web/headers.h.
 */
#include "lib/web/headers.h"
#include "tests/unit/cm.h"

static void forged_headers_are_ours(void **state)
{
    (void)state;
    const char *const forged[] = {
        "X-Sallyport-Identity",
        "x_sallyport_identity",
        "X-Sallyport-",
        "Remote-User",
        "REMOTE_USER",
        "X-Remote-User",
        "X-Forwarded-For",
        "X-Forwarded-User",
        "Forwarded",
        "X-Real-IP",
        "X-Auth-Request-Email",
        "X-HTTP-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Accel-Redirect",
        "Proxy",
        "X-Forwarded",
        "Via",
    };
    for (size_t i = 0; i < SP_COUNT(forged); i++) {
        assert_true(sp_web_header_is_ours(sp_span_cstr(forged[i])));
    }
    const char *const kept[] = {"Host",   "Cookie",        "Content-Type",     "X-Requested-With",
                                "Range",  "Authorization", "X-CSRF-Token",     "Referer",
                                "Accept", "Cache-Control", "X-Sallyport",      "",
                                "x",      "Traceparent",   "Sec-WebSocket-Key"};
    for (size_t i = 0; i < SP_COUNT(kept); i++) {
        assert_false(sp_web_header_is_ours(sp_span_cstr(kept[i])));
    }
}

static bool navigates(const char *method, const char *accept, const char *with, const char *mode)
{
    return sp_web_is_navigation(sp_span_cstr(method), sp_span_cstr(accept), sp_span_cstr(with),
                                sp_span_cstr(mode));
}

static void people_are_told_from_programs(void **state)
{
    (void)state;
    assert_true(navigates("GET", "text/html,application/xhtml+xml;q=0.9,*/*", "", "navigate"));
    assert_true(navigates("GET", "application/xml, Text/HTML;q=0.8", "", ""));
    assert_false(navigates("GET", "text/html", "XMLHttpRequest", ""));
    assert_false(navigates("GET", "text/html", "", "cors"));
    assert_false(navigates("POST", "text/html", "", "navigate"));
    assert_false(navigates("GET", "*/*", "", ""));
    assert_false(navigates("GET", "application/json", "", ""));
}

static void language(void **state)
{
    (void)state;
    assert_true(sp_web_wants_chinese(SP_SPAN_LIT("zh-CN,zh;q=0.9,en;q=0.8")));
    assert_true(sp_web_wants_chinese(SP_SPAN_LIT("de, ZH")));
    assert_false(sp_web_wants_chinese(SP_SPAN_LIT("en-GB,zh")));
    assert_false(sp_web_wants_chinese(SP_SPAN_LIT("")));
    assert_false(sp_web_wants_chinese(SP_SPAN_LIT("zhx")));
}

static void ranges(void **state)
{
    (void)state;
    assert_int_equal(sp_web_content_range_total(SP_SPAN_LIT("bytes 0-99/1234")), 1234);
    assert_true(sp_web_content_range_total(SP_SPAN_LIT("bytes 0-99/*")) == UINT64_MAX);
    assert_true(sp_web_content_range_total(SP_SPAN_LIT("bytes 0-99")) == UINT64_MAX);
    assert_true(sp_web_content_range_total(SP_SPAN_LIT("")) == UINT64_MAX);
    assert_true(sp_web_content_range_total(SP_SPAN_LIT("/99999999999999999999999")) == UINT64_MAX);
    assert_false(sp_web_range_is_multiple(SP_SPAN_LIT("bytes=0-1")));
    assert_false(sp_web_range_is_multiple(SP_SPAN_LIT(" bytes=5- ")));
    assert_true(sp_web_range_is_multiple(SP_SPAN_LIT("bytes=0-1,5-9")));
    assert_true(sp_web_range_is_multiple(SP_SPAN_LIT("lines=0-1")));
}

static void lists(void **state)
{
    (void)state;
    assert_true(sp_web_list_has(SP_SPAN_LIT("keep-alive, Upgrade"), SP_SPAN_LIT("upgrade")));
    assert_true(sp_web_list_has(SP_SPAN_LIT("upgrade;q=1"), SP_SPAN_LIT("upgrade")));
    assert_false(sp_web_list_has(SP_SPAN_LIT("upgraded"), SP_SPAN_LIT("upgrade")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forged_headers_are_ours),
        cmocka_unit_test(people_are_told_from_programs),
        cmocka_unit_test(language),
        cmocka_unit_test(ranges),
        cmocka_unit_test(lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

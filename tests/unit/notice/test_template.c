/* SPDX-License-Identifier: Apache-2.0
 * Variables and escaping: what somebody wrote stays text in every form.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/notice/template.h.
 */
#include "lib/notice/template.h"
#include "tests/unit/cm.h"

static void is(const char *text, const char *value, sp_value_kind kind, sp_form form,
               const char *want)
{
    auto_buf sp_buf out = sp_buf_make(8192);
    const sp_notice_value values[] = {{SP_SPAN_LIT("who"), sp_span_cstr(value), (uint8_t)kind}};
    sp_template_render(sp_span_cstr(text), values, 1, form, &out);
    assert_ok(sp_buf_error(&out));
    assert_span_text(sp_buf_borrow(&out), want);
}

static void values_are_put_in(void **state)
{
    (void)state;
    is("Hello {{who}}, {{who}}!", "Ann", SP_VALUE_NAME, SP_FORM_PLAIN, "Hello Ann, Ann!");
    is("{{who}}", "安", SP_VALUE_NAME, SP_FORM_PLAIN, "安");
    is("{{other}} {{ who }} {{Who}} {x} {{", "x", SP_VALUE_NAME, SP_FORM_PLAIN,
       "(other) {{ who }} {{Who}} {x} {{");
    is("{{who}}", "{{who}}", SP_VALUE_NAME, SP_FORM_PLAIN, "{{who}}"); /* not again */
    is("a\n\nb {{who}}", "c\nd\r\ne", SP_VALUE_TEXT, SP_FORM_PLAIN, "a\n\nb c d  e");
    is("a\nb {{who}}", "c\nd", SP_VALUE_TEXT, SP_FORM_LINE, "a b c d");
}

static void markup_stays_text(void **state)
{
    (void)state;
    is("{{who}}", "<script>alert('1')</script>&", SP_VALUE_TEXT, SP_FORM_HTML,
       "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;");
    is("a\n<b>", "", SP_VALUE_TEXT, SP_FORM_HTML, "a<br>\n&lt;b&gt;");
    is("{{who}}", "<!channel> *b* _i_ `c` ~s~ &amp;", SP_VALUE_TEXT, SP_FORM_SLACK,
       "&lt;！channel&gt; ＊b＊ ＿i＿ ｀c｀ ～s～ &amp;amp;");
    is("{{who}}", "[x](http://evil.example) <@all> @all **b** # h", SP_VALUE_TEXT, SP_FORM_CHAT,
       "［x］(http：//evil．example) ＜＠all＞ ＠all ＊＊b＊＊ ＃ h");
    is("{{who}}", "http://evil.example", SP_VALUE_TEXT, SP_FORM_SLACK, "http：//evil．example");
    is("{{who}}", "https:\xe2\x80\x8b//evil.example/x", SP_VALUE_TEXT, SP_FORM_PLAIN,
       "https：//evil．example/x");
    is("{{who}}", "www\xc2\xad.evil.example 10.0.0.1 v1.2", SP_VALUE_TEXT, SP_FORM_HTML,
       "www．evil．example 10.0.0.1 v1.2");
}

static void hidden_and_control_characters_go(void **state)
{
    (void)state;
    is("{{who}}",
       "a\xe2\x80\xae"
       "b\xe2\x80\x8b"
       "c\xef\xbb\xbf"
       "d",
       SP_VALUE_TEXT, SP_FORM_PLAIN, "abcd");
    is("{{who}}", "a\x1b[31mb\x7f\xc2\x9b", SP_VALUE_TEXT, SP_FORM_PLAIN, "a [31mb  ");
    is("{{who}}", "x\r\nBcc: all@office.example", SP_VALUE_TEXT, SP_FORM_LINE,
       "x  Bcc: all@office.example");
    is("{{who}}", "\xff\xc3", SP_VALUE_TEXT, SP_FORM_PLAIN, "\xef\xbf\xbd\xef\xbf\xbd");
}

static void links_are_links_only_as_urls(void **state)
{
    (void)state;
    is("{{who}}", "https://p.example/a?b=1#c", SP_VALUE_URL, SP_FORM_HTML,
       "<a href=\"https://p.example/a?b=1#c\">https://p.example/a?b=1#c</a>");
    is("{{who}}", "https://p.example/a", SP_VALUE_URL, SP_FORM_SLACK, "<https://p.example/a>");
    is("{{who}}", "https://p.example/a_b", SP_VALUE_URL, SP_FORM_CHAT,
       "[https://p.example/a＿b](https://p.example/a_b)");
    is("{{who}}", "javascript:alert(1)", SP_VALUE_URL, SP_FORM_HTML, "javascript:alert(1)");
    is("{{who}}", "https://x/\"onclick=\"", SP_VALUE_URL, SP_FORM_HTML,
       "https：//x/&quot;onclick=&quot;");
    is("{{who}}", "https://x/|y>", SP_VALUE_URL, SP_FORM_SLACK, "https：//x/｜y&gt;");
}

static void kinds_are_checked(void **state)
{
    (void)state;
    assert_null(sp_value_fault(SP_VALUE_NUMBER, SP_SPAN_LIT("12")));
    assert_non_null(sp_value_fault(SP_VALUE_NUMBER, SP_SPAN_LIT("-1")));
    assert_non_null(sp_value_fault(SP_VALUE_NUMBER, SP_SPAN_LIT("")));
    assert_null(sp_value_fault(SP_VALUE_TIME, SP_SPAN_LIT("2026-03-01T08:00:00Z")));
    assert_non_null(sp_value_fault(SP_VALUE_TIME, SP_SPAN_LIT("tomorrow")));
    assert_non_null(sp_value_fault(SP_VALUE_URL, SP_SPAN_LIT("http://x")));
    assert_non_null(sp_value_fault(SP_VALUE_TEXT, SP_SPAN_LIT("\xff")));
}

static void long_values_are_cut_between_characters(void **state)
{
    (void)state;
    static char text[3 * 400 + 1];
    auto_buf sp_buf out = sp_buf_make(8192);
    for (size_t i = 0; i < 400; i++) {
        sp_copy(text + 3 * i, "长", 3);
    }
    sp_form_value(sp_span_cstr(text), SP_VALUE_TEXT, SP_FORM_PLAIN, &out);
    assert_int_equal(out.len, 999 + 3);
    assert_true(sp_span_is_utf8(sp_buf_borrow(&out)));
    assert_span_text(sp_text_cut(SP_SPAN_LIT("a长"), 3), "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_put_in),
        cmocka_unit_test(markup_stays_text),
        cmocka_unit_test(hidden_and_control_characters_go),
        cmocka_unit_test(links_are_links_only_as_urls),
        cmocka_unit_test(kinds_are_checked),
        cmocka_unit_test(long_values_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

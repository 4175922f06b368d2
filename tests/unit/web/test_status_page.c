/* SPDX-License-Identifier: Apache-2.0
 * Tests of the status page: its message comes back, no prefix of it is one, and what a person wrote
 * is text in every form.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/web/status_page.h.
 */
#include "lib/web/status_page.h"
#include "tests/unit/cm.h"

#include <string.h>

static sp_status_page a_page(void)
{
    sp_status_page page = {.told_unix_s = 1772352000, .count = 2};
    page.items[0] = (sp_status_item){.state = SP_STATUS_DOWN,
                                     .since_unix_s = 1772352000,
                                     .until_unix_s = 1772359200,
                                     .name_en = SP_SPAN_LIT("<script>alert(1)</script>"),
                                     .name_zh = SP_SPAN_LIT("维基"),
                                     .text_en = SP_SPAN_LIT("\"quoted\" & 'so'"),
                                     .text_zh = SP_SPAN_LIT("磁盘")};
    page.items[1] = (sp_status_item){.state = SP_STATUS_SLOW, .name_en = SP_SPAN_LIT("Chat")};
    return page;
}

static void the_message_comes_back(void **state)
{
    (void)state;
    auto_buf sp_buf one = sp_buf_make(4096);
    auto_buf sp_buf two = sp_buf_make(4096);
    sp_status_page page = a_page();
    sp_status_page read;
    sp_status_page_write(&page, &one);
    sp_span body = sp_buf_borrow(&one);
    assert_ok(sp_status_page_read(body, &read));
    sp_status_page_write(&read, &two);
    assert_true(sp_span_eq(body, sp_buf_borrow(&two)));
    for (size_t cut = 0; cut < body.len; cut++) {
        assert_true(sp_failed(sp_status_page_read(sp_span_slice(body, 0, cut), &read)));
    }
    sp_buf_byte(&one, 0);
    assert_fails(sp_status_page_read(sp_buf_borrow(&one), &read), SP_EINVALID);
}

static void texts_are_text(void **state)
{
    (void)state;
    auto_buf sp_buf html = sp_buf_make(SP_STATUS_PAGE_MAX_BYTES);
    auto_buf sp_buf json = sp_buf_make(SP_STATUS_PAGE_MAX_BYTES);
    sp_status_page page = a_page();
    const sp_web_status status = {.page = &page, .office = SP_SPAN_LIT("A & B")};
    sp_web_status_html(&status, &html);
    sp_web_status_json(&status, &json);
    sp_buf_byte(&html, 0);
    sp_buf_byte(&json, 0);
    const char *text = (const char *)sp_buf_borrow(&html).ptr;
    assert_null(strstr(text, "<script"));
    assert_non_null(strstr(text, "&lt;script&gt;"));
    assert_non_null(strstr(text, "A &amp; B"));
    assert_non_null(strstr(text, "2026-03-01 10:00 UTC"));
    assert_null(strstr(text, "cannot reach the core"));
    assert_non_null(strstr((const char *)sp_buf_borrow(&json).ptr, "\\\"quoted\\\""));
}

static void a_core_that_is_away_is_said_in_both_languages(void **state)
{
    (void)state;
    sp_status_page none = {.count = 0};
    for (unsigned chinese = 0; chinese < 2; chinese++) {
        auto_buf sp_buf html = sp_buf_make(SP_STATUS_PAGE_MAX_BYTES);
        const sp_web_status status = {.page = &none,
                                      .office = SP_SPAN_LIT("Office"),
                                      .away_since_unix_s = 1772352000,
                                      .chinese = chinese == 1};
        sp_web_status_html(&status, &html);
        sp_buf_byte(&html, 0);
        assert_non_null(strstr((const char *)sp_buf_borrow(&html).ptr,
                               chinese == 1 ? "无法连接核心服务" : "cannot reach the core"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_message_comes_back),
        cmocka_unit_test(texts_are_text),
        cmocka_unit_test(a_core_that_is_away_is_said_in_both_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

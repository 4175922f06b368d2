/* SPDX-License-Identifier: Apache-2.0
 * Tests of the buffer: its maximum, its sticky error, and every text form.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/base/buf.h.
 */
#include "tests/unit/cm.h"

static void has_a_maximum(void **state)
{
    (void)state;
    auto_buf sp_buf buf = sp_buf_make(8);
    sp_buf_text(&buf, "12345678");
    assert_ok(sp_buf_error(&buf));
    sp_buf_byte(&buf, '9');
    assert_fails(sp_buf_error(&buf), SP_ELIMIT);
    assert_int_equal(sp_buf_borrow(&buf).len, 0); /* a failed buffer yields nothing */
    sp_buf_text(&buf, "x");
    assert_fails(sp_buf_error(&buf), SP_ELIMIT);
    sp_buf_reset(&buf);
    sp_buf_text(&buf, "ok");
    assert_span_text(sp_buf_borrow(&buf), "ok");
    sp_buf_drop(&buf, 1);
    assert_span_text(sp_buf_borrow(&buf), "k");
}

static void gives_memory_back(void **state)
{
    (void)state;
    enum { LARGE = 4 << 20 };
    auto_buf sp_buf buf = sp_buf_make(LARGE);
    for (size_t i = 0; i < LARGE / 16; i++) {
        sp_buf_text(&buf, "0123456789abcdef");
    }
    assert_ok(sp_buf_error(&buf));
    sp_buf_shed(&buf, LARGE / 2);
    assert_int_equal(buf.len, LARGE / 2);
    assert_int_equal(buf.cap, LARGE);
    sp_buf_shed(&buf, LARGE / 2 - 3);
    assert_span_text(sp_buf_borrow(&buf), "def");
    assert_true(buf.cap <= LARGE / 4);
    sp_buf_text(&buf, "0");
    assert_span_text(sp_buf_borrow(&buf), "def0");
    sp_buf_shed(&buf, 4);
    assert_null(buf.ptr);
    assert_int_equal(buf.cap, 0);
    sp_buf_text(&buf, "again");
    assert_span_text(sp_buf_borrow(&buf), "again");
}

static void writes_numbers(void **state)
{
    (void)state;
    auto_buf sp_buf buf = sp_buf_make(200);
    sp_buf_u64_text(&buf, 0);
    sp_buf_byte(&buf, ' ');
    sp_buf_u64_text(&buf, UINT64_MAX);
    sp_buf_byte(&buf, ' ');
    sp_buf_i64_text(&buf, INT64_MIN);
    sp_buf_fmt(&buf, " %d %s", 42, "x");
    assert_span_text(sp_buf_borrow(&buf), "0 18446744073709551615 -9223372036854775808 42 x");
    sp_buf_reset(&buf);
    sp_buf_u8(&buf, 1);
    sp_buf_u16(&buf, 0x0203);
    sp_buf_u32(&buf, 0x04050607);
    sp_buf_u64(&buf, 0x08090a0b0c0d0e0f);
    sp_buf_bytes(&buf, SP_SPAN_LIT("z"));
    auto_buf sp_buf hex = sp_buf_make(200);
    sp_buf_hex(&hex, sp_buf_borrow(&buf));
    assert_span_text(sp_buf_borrow(&hex), "0102030405060708090a0b0c0d0e0f000000017a");
}

static void base64_vectors(void **state)
{
    (void)state;
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"}; /* RFC 4648, 10 */
    for (size_t i = 0; i < SP_COUNT(plain); i++) {
        auto_buf sp_buf out = sp_buf_make(100);
        sp_buf_base64(&out, sp_span_cstr(plain[i]));
        assert_span_text(sp_buf_borrow(&out), coded[i]);
        auto_buf sp_buf back = sp_buf_make(100);
        assert_ok(sp_buf_unbase64(&back, sp_buf_borrow(&out)));
        assert_span_text(sp_buf_borrow(&back), plain[i]);
    }
    auto_buf sp_buf url = sp_buf_make(100);
    sp_buf_base64url(&url, SP_SPAN_LIT("\xfb\xff"));
    assert_span_text(sp_buf_borrow(&url), "-_8");
}

static void refuses_bad_codings(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z", "Zg=", "Zh==", "Zg==Zg==", "Zm9v!A==", "===="};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        auto_buf sp_buf out = sp_buf_make(100);
        assert_fails(sp_buf_unbase64(&out, sp_span_cstr(bad[i])), SP_EINVALID);
    }
    auto_buf sp_buf out = sp_buf_make(100);
    assert_fails(sp_buf_unbase64url(&out, SP_SPAN_LIT("Zg==")), SP_EINVALID);
    sp_buf_reset(&out);
    assert_fails(sp_buf_unhex(&out, SP_SPAN_LIT("abc")), SP_EINVALID);
    sp_buf_reset(&out);
    assert_fails(sp_buf_unhex(&out, SP_SPAN_LIT("zz")), SP_EINVALID);
    sp_buf_reset(&out);
    assert_ok(sp_buf_unhex(&out, SP_SPAN_LIT("4A6b")));
    assert_span_text(sp_buf_borrow(&out), "Jk");
}

static void json_is_always_well_formed(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(400);
    sp_buf_json(&out, SP_SPAN_LIT("a\"b\\c\n\r\t\x01\x7f\xC3\xA9\xff\xE4\xB8z"));
    assert_span_text(sp_buf_borrow(&out), "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\xC3\xA9"
                                          "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\"");
    sp_buf_reset(&out);
    sp_buf_html(&out, SP_SPAN_LIT("<a href='x'>\"&"));
    assert_span_text(sp_buf_borrow(&out), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    sp_buf_reset(&out);
    sp_buf_percent(&out, SP_SPAN_LIT("aZ9-_.~ /?&%\xC3\x01+"));
    assert_span_text(sp_buf_borrow(&out), "aZ9-_.~%20%2F%3F%26%25%C3%01%2B");
}

static void tells_time(void **state)
{
    (void)state;
    static const struct {
        uint64_t when_unix_us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {951782399999999, "2000-02-28T23:59:59.999999Z"},
        {951868800000000, "2000-03-01T00:00:00.000000Z"},
        {1582455360000000, "2020-02-23T10:56:00.000000Z"},
        {4107542399000001, "2100-02-28T23:59:59.000001Z"},
    };
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        auto_buf sp_buf out = sp_buf_make(60);
        sp_buf_time(&out, rows[i].when_unix_us);
        assert_span_text(sp_buf_borrow(&out), rows[i].text);
    }
}

static void what_people_decide_about_is_seen(void **state)
{
    (void)state;
    const struct {
        sp_span text;
        const char *seen;
    } CASES[] = {
        {SP_SPAN_LIT("a\n\tb \\x0a"), "a\n\tb \\x0a"},
        {SP_SPAN_LIT("\x01\r\x7f"), "<U+0001><U+000D><U+007F>"},
        {SP_SPAN_LIT("\xe2\x80\xae\xc2\x85\xe6\x96\x87"), "<U+202E><U+0085>\xe6\x96\x87"},
        {SP_SPAN_LIT("a\xc2\xa0z\xe3\x80\x80\xef\xbc\x9d"), "a<U+00A0>z<U+3000>\xef\xbc\x9d"},
        {SP_SPAN_LIT("\xff"
                     "a\xe2\x80"),
         "<0xFF>a<0xE2><0x80>"},
        {SP_SPAN_LIT(""), ""},
    };
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        auto_buf sp_buf out = sp_buf_make(256);
        sp_buf_seen(&out, CASES[i].text);
        assert_true(sp_span_eq(sp_buf_borrow(&out), sp_span_cstr(CASES[i].seen)));
    }
    auto_buf sp_buf bare = sp_buf_make(256);
    sp_buf_seen_bare(&bare, SP_SPAN_LIT("\xe6\x96\x87 \xef\xbc\x9d\xc3\xa4\xea\x9e\x8a"));
    assert_span_text(sp_buf_borrow(&bare), "\xe6\x96\x87 <U+FF1D>\xc3\xa4<U+A78A>");
    auto_buf sp_buf small = sp_buf_make(8);
    sp_buf_seen(&small, SP_SPAN_LIT("123456\x01"));
    assert_true(sp_failed(sp_buf_error(&small)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_a_maximum),
        cmocka_unit_test(gives_memory_back),
        cmocka_unit_test(writes_numbers),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(refuses_bad_codings),
        cmocka_unit_test(json_is_always_well_formed),
        cmocka_unit_test(what_people_decide_about_is_seen),
        cmocka_unit_test(tells_time),
    };
    return cmocka_run_group_tests_name("base buf", tests, NULL, NULL);
}

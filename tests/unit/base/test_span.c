/* SPDX-License-Identifier: Apache-2.0
 * Tests of spans: comparing, cutting, numbers, UTF-8.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/base/span.h.
 */
#include "tests/unit/cm.h"

#include <ctype.h>

static void compares(void **state)
{
    (void)state;
    assert_true(sp_span_eq(SP_SPAN_LIT("abc"), SP_SPAN_LIT("abc")));
    assert_false(sp_span_eq(SP_SPAN_LIT("abc"), SP_SPAN_LIT("abd")));
    assert_false(sp_span_eq(SP_SPAN_LIT("abc"), SP_SPAN_LIT("ab")));
    assert_true(sp_span_eq(SP_SPAN_EMPTY, SP_SPAN_LIT("")));
    assert_true(sp_span_eq_nocase(SP_SPAN_LIT("aBc-1"), SP_SPAN_LIT("AbC-1")));
    assert_false(sp_span_eq_nocase(SP_SPAN_LIT("a["), SP_SPAN_LIT("a{")));
    assert_true(sp_span_eq_secret(SP_SPAN_LIT("k1"), SP_SPAN_LIT("k1")));
    assert_false(sp_span_eq_secret(SP_SPAN_LIT("k1"), SP_SPAN_LIT("k2")));
    assert_true(sp_span_compare(SP_SPAN_LIT("a"), SP_SPAN_LIT("ab")) < 0);
    assert_true(sp_span_compare(SP_SPAN_LIT("b"), SP_SPAN_LIT("ab")) > 0);
}

static void cuts(void **state)
{
    (void)state;
    sp_span text = SP_SPAN_LIT("alpha,beta,,gamma");
    sp_span piece = SP_SPAN_EMPTY;
    const char *const want[] = {"alpha", "beta", "", "gamma"};
    for (size_t i = 0; i < SP_COUNT(want); i++) {
        assert_true(sp_span_split(&text, ',', &piece));
        assert_span_text(piece, want[i]);
    }
    assert_false(sp_span_split(&text, ',', &piece));
    assert_span_text(sp_span_slice(SP_SPAN_LIT("abcdef"), 2, 4), "cd");
    assert_span_text(sp_span_slice(SP_SPAN_LIT("abc"), 2, 99), "c");
    assert_span_text(sp_span_slice(SP_SPAN_LIT("abc"), 5, 9), "");
    assert_span_text(sp_span_trim(SP_SPAN_LIT(" \t a b \r\n")), "a b");
    assert_true(sp_span_starts(SP_SPAN_LIT("abc"), SP_SPAN_LIT("ab")));
    assert_false(sp_span_starts(SP_SPAN_LIT("ab"), SP_SPAN_LIT("abc")));
    assert_true(sp_span_ends(SP_SPAN_LIT("abc"), SP_SPAN_LIT("bc")));
    assert_int_equal(sp_span_find(SP_SPAN_LIT("hello"), SP_SPAN_LIT("ll")), 2);
    assert_int_equal(sp_span_find(SP_SPAN_LIT("hello"), SP_SPAN_LIT("lx")), 5);
}

static void reads_numbers(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_ok(sp_span_to_u64(SP_SPAN_LIT("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_fails(sp_span_to_u64(SP_SPAN_LIT("18446744073709551616"), UINT64_MAX, &value),
                 SP_ELIMIT);
    assert_fails(sp_span_to_u64(SP_SPAN_LIT("101"), 100, &value), SP_ELIMIT);
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1e3"};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_fails(sp_span_to_u64(sp_span_cstr(bad[i]), UINT64_MAX, &value), SP_EINVALID);
    }
    assert_true(value == UINT64_MAX); /* set only on success */
}

static void knows_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "plain",
                                       "\xC3\xA9",
                                       "\xE4\xB8\xAD\xE6\x96\x87",
                                       "\xF0\x9F\x9A\xAA",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\xAF",
                                      "\xC1\xBF",
                                      "\xE0\x80\xAF",
                                      "\xED\xA0\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xE4\xB8",
                                      "\xF0\x80\x80\x80"};
    for (size_t i = 0; i < SP_COUNT(good); i++) {
        assert_true(sp_span_is_utf8(sp_span_cstr(good[i])));
    }
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_false(sp_span_is_utf8(sp_span_cstr(bad[i])));
    }
    static const struct {
        const char *text;
        size_t max;
        size_t left;
    } cuts[] = {{"plain", 9, 5},
                {"plain", 2, 2},
                {"a\xE4\xB8\xAD"
                 "b",
                 3, 1},
                {"a\xE4\xB8\xAD"
                 "b",
                 4, 4},
                {"a\xE4\xB8", 9, 1},
                {"\x80", 1, 0},
                {"", 0, 0}};
    for (size_t i = 0; i < SP_COUNT(cuts); i++) {
        assert_int_equal(sp_span_cut(sp_span_cstr(cuts[i].text), cuts[i].max).len, cuts[i].left);
    }
    for (size_t at = 0; at < 24; at++) { /* wherever it stands in a long text */
        char text[] = "twenty four bytes, ASCII";
        assert_true(sp_span_is_utf8(sp_span_cstr(text)));
        text[at] = (char)0x80;
        assert_false(sp_span_is_utf8(sp_span_cstr(text)));
    }
}

static void knows_labels(void **state)
{
    (void)state;
    char longest[] = "0123456789012345678901234567890123456789012345678901234567890123"; /* 64 */
    assert_true(sp_span_is_label(SP_SPAN_LIT("a")));
    assert_true(sp_span_is_label(SP_SPAN_LIT("wiki-2")));
    assert_true(sp_span_is_label(sp_span_of(longest, 63)));
    assert_false(sp_span_is_label(sp_span_of(longest, 64)));
    static const char *const bad[] = {"", "-a", "a-", "A", "a.b", "a_b", "a b", "\xC3\xA9", "a/"};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_false(sp_span_is_label(sp_span_cstr(bad[i])));
    }
    for (unsigned c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        assert_int_equal(sp_is_alnum(byte), c < 128 && isalnum((int)c) != 0);
        assert_int_equal(sp_is_lower_alnum(byte), sp_is_alnum(byte) && !(c >= 'A' && c <= 'Z'));
    }
}

/* Each byte at each place of a text that is longer than two words, and of its end. */
static void plain_text_ends_where_it_must(void **state)
{
    (void)state;
    uint8_t text[21];
    for (unsigned byte = 0; byte < 256; byte++) {
        bool plain = byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
        for (size_t at = 0; at < sizeof(text); at++) {
            sp_set(text, at % 2 == 0 ? '~' : ' ', sizeof(text));
            text[at] = (uint8_t)byte;
            size_t want = plain ? sizeof(text) : at;
            assert_int_equal(sp_span_plain(sp_span_of(text, sizeof(text))), want);
            assert_int_equal(sp_span_plain(sp_span_of(text, at)), at);
            if (at + 1 < sizeof(text)) {
                text[at + 1] = (uint8_t)(byte ^ 0xFF); /* whatever stands behind it */
                assert_true(plain || sp_span_plain(sp_span_of(text, sizeof(text))) == at);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),      cmocka_unit_test(cuts),
        cmocka_unit_test(reads_numbers), cmocka_unit_test(knows_utf8),
        cmocka_unit_test(knows_labels),  cmocka_unit_test(plain_text_ends_where_it_must),
    };
    return cmocka_run_group_tests_name("base span", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Tests of showing a machine's output on somebody else's terminal: what passes, what does not, and
 * that it makes no difference where the output is cut.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/term/safe.h.
 */
#include "lib/term/safe.h"

#include "lib/base/mem.h"
#include "tests/unit/cm.h"

enum { OUT_BYTES = 4096 };
typedef void (*feeder)(sp_term_safe *safe, sp_span bytes, sp_buf *out);

static void feed_in_two(feeder feed, const char *in, size_t cut, sp_buf *out)
{
    sp_term_safe safe = {0};
    sp_span all = sp_span_cstr(in);
    feed(&safe, sp_span_slice(all, 0, cut), out);
    feed(&safe, sp_span_slice(all, cut, all.len), out);
}

static void check(feeder feed, const char *in, const char *wanted)
{
    for (size_t cut = 0; cut <= strlen(in); cut++) {
        auto_buf sp_buf out = sp_buf_make(OUT_BYTES);
        feed_in_two(feed, in, cut, &out);
        sp_buf_byte(&out, 0);
        assert_string_equal((const char *)out.ptr, wanted);
    }
}

static void text_colours_and_moves_pass(void **state)
{
    (void)state;
    static const char *const same[] = {"plain\ttext\r\n",
                                       "h\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80",
                                       "\033[1;31mred\033[0m",
                                       "\033[38;5;208morange\033[38:2::1:2:3m",
                                       "\033[2J\033[H\033[10;5Hx\033[K",
                                       "\033[?1049h\033[?25l\033[?25h\033[?1049l",
                                       "\033(0lqk\033(B",
                                       "a\bb\0337\0338\033[3A\033[r"};
    for (size_t i = 0; i < SP_COUNT(same); i++) {
        check(sp_term_safe_feed, same[i], same[i]);
    }
}

static void what_acts_does_not_pass(void **state)
{
    (void)state;
    static const char *const gone[] = {
        "\033]0;title\007",
        "\033]2;title\033\\",
        "\033]52;c;ZXZpbA==\007",
        "\033]8;;https://evil.example\007",
        "\033]1337;File=name:AAAA\007",
        "\033P+q544e\033\\",
        "\033_Gi=1\033\\",
        "\033^pm\033\\",
        "\033Xsos\033\\",
        "\033[c\033[>c\033[6n\033[5n\033[x\033[?1;2$p\033[!p",
        "\033[21t\033[8;50;200t",
        "\033[?2004h\033[?1000h\033[?1006h\033[?1h\033[20h\033[4h\033[5i",
        "\033[>4;1m\033[?5h\033[200~",
        "\033=\033>\033c\033#8\033%G\033(A\033N\033Z",
        "\xc2\x9d"
        "0;title\xc2\x9c",
        "\xc2\x9b"
        "6n",
        "\007\x7f\x0e\x0f\x05",
        "\033[1;\001;31m",
        "\033]0;never ended"};
    for (size_t i = 0; i < SP_COUNT(gone); i++) {
        check(sp_term_safe_feed, gone[i], "");
    }
    check(sp_term_safe_feed, "a\033]0;t\007b\033[6nc\033[31md\030e", "abc\033[31mde");
    check(sp_term_safe_feed, "\033]0;x\033[31mred", "\033[31mred"); /* ESC ends a string */
}

static void what_is_too_long_or_no_text_does_not_pass(void **state)
{
    (void)state;
    char longest[200] = "\033[";
    for (size_t i = 2; i < sizeof(longest) - 3; i++) {
        longest[i] = '1';
    }
    longest[sizeof(longest) - 3] = 'm';
    longest[sizeof(longest) - 2] = '!';
    check(sp_term_safe_feed, longest, "!");
    check(sp_term_safe_feed, "\xff\xfe\xc3(\xe4\xb8x\xed\xa0\x80\xf4\x90\x80\x80.",
          "??"
          "?(?x??.");
}

static void plain_text_has_no_sequence(void **state)
{
    (void)state;
    check(sp_term_plain_feed, "\033[1mbold\033[0m \033(0q\033(B a\bb\r\n\tc\033]0;t\007d",
          "bold q ab\n\tcd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(text_colours_and_moves_pass),
                                       cmocka_unit_test(what_acts_does_not_pass),
                                       cmocka_unit_test(what_is_too_long_or_no_text_does_not_pass),
                                       cmocka_unit_test(plain_text_has_no_sequence)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

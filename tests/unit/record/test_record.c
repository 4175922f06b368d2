/* SPDX-License-Identifier: Apache-2.0
 * Tests of recordings: whatever bytes pass come back exactly, however they are cut; chunks stand
 * alone and fit events; what acts on a terminal does not pass the filter; passwords are left out.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/record/{cast,chunk,safe,echo,hidden}.h.
 */
#include "lib/record/chunk.h"
#include "lib/record/echo.h"
#include "lib/record/hidden.h"
#include "lib/record/safe.h"

#include "lib/base/mem.h"
#include "tests/unit/cm.h"

#include <stdio.h>

enum { BIG = 4 << 20 };

typedef struct {
    sp_buf text; /* of all chunks, in order */
    uint32_t next;
    bool ended;
    size_t largest;
} tape;

static sp_err take_chunk(void *ctx, const sp_chunk *chunk, sp_span detail)
{
    tape *t = ctx;
    sp_chunk read;
    assert_false(t->ended);
    assert_true(detail.len <= SP_CHUNK_DETAIL_MAX_BYTES);
    assert_ok(sp_chunk_read(detail, &read));
    assert_int_equal(read.number, t->next++);
    assert_true(read.number == chunk->number && read.t0_us <= read.t1_us);
    assert_ok(sp_chunk_text(&read, &t->text)); /* each alone */
    t->ended = read.end;
    t->largest = detail.len > t->largest ? detail.len : t->largest;
    return sp_ok();
}

static void cut_into(sp_cast *cast, sp_packer *packer, bool end, tape *t)
{
    sp_cast_lines lines;
    bool any = false;
    uint32_t count = 0;
    assert_ok(sp_cast_cut(cast, end, &lines, &any));
    if (any) {
        assert_ok(sp_packer_pack(packer, &lines, take_chunk, t, &count));
        sp_cast_numbered(cast, count);
    }
}

/* All bytes of one code, as they passed. */
static void replay(const tape *t, char code, sp_buf *out)
{
    sp_span rest = sp_buf_borrow(&t->text);
    sp_span line;
    auto_buf sp_buf room = sp_buf_make(BIG);
    uint64_t last_us = 0;
    for (size_t i = 0; sp_span_split(&rest, '\n', &line); i++) {
        sp_cast_told told;
        sp_cast_event event;
        if (i == 0) {
            assert_ok(sp_cast_read_header(line, &told));
            assert_true(told.width == 132 && told.height == 43 && told.when_unix_s == 1770000000);
            continue;
        }
        assert_true(sp_span_is_utf8(line));
        assert_ok(sp_cast_read_event(line, &room, &event));
        assert_true(event.at_us >= last_us);
        last_us = event.at_us;
        if (event.code == code) {
            sp_buf_span(out, event.data);
        }
    }
    assert_ok(sp_buf_error(out));
}

static const sp_cast_header HEADER = {.width = 132,
                                      .height = 43,
                                      .when_unix_s = 1770000000,
                                      .title = {(const uint8_t *)"a\"\x1b]0;x\x07", 8}};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

static void every_byte_comes_back(void **state)
{
    (void)state;
    static uint8_t bytes[300000];
    sp_packer *packer = NULL;
    assert_ok(sp_packer_new(&packer));
    for (uint32_t seed = 1; seed <= 4; seed++) {
        uint32_t random = seed;
        for (size_t i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (uint8_t)next_random(&random);
        }
        if (seed ==
            2) { /* characters of three bytes, cut everywhere; and those that stand for bytes */
            for (size_t i = 0; i + 7 <= sizeof(bytes); i += 7) {
                sp_copy(bytes + i, "\xe7\xbb\xb4\xf4\x8f\xbe\xa0", 7);
            }
        }
        sp_cast cast = sp_cast_make();
        tape t = {.text = sp_buf_make(BIG)};
        uint64_t now = 1000;
        assert_ok(sp_cast_begin(&cast, &HEADER, now));
        for (size_t at = 0; at < sizeof(bytes);) {
            size_t len = 1 + next_random(&random) % (seed == 3 ? 5000 : 700);
            len = len < sizeof(bytes) - at ? len : sizeof(bytes) - at;
            assert_ok(sp_cast_output(&cast, sp_span_of(bytes + at, len), now));
            at += len;
            now += next_random(&random) % 30000;
            if (sp_cast_due(&cast, now)) {
                cut_into(&cast, packer, false, &t);
            }
        }
        cut_into(&cast, packer, true, &t);
        assert_true(t.ended);
        auto_buf sp_buf got = sp_buf_make(BIG);
        replay(&t, 'o', &got);
        assert_int_equal(got.len, sizeof(bytes));
        assert_memory_equal(got.ptr, bytes, sizeof(bytes));
        sp_buf_done(&t.text);
        sp_cast_done(&cast);
    }
    sp_packer_free(packer);
}

static void what_passes_at_once_fits_behind_what_waits(void **state)
{
    (void)state;
    enum { AT_ONCE = 128 * 1024 };
    static const uint8_t zeros[AT_ONCE];
    sp_cast cast = sp_cast_make();
    assert_ok(sp_cast_begin(&cast, &HEADER, 1));
    while (!sp_cast_due(&cast, 1)) {
        assert_ok(sp_cast_output(&cast, SP_SPAN_LIT("almost"), 1));
    }
    assert_ok(sp_cast_output(&cast, sp_span_of(zeros, AT_ONCE), 1));
    assert_ok(sp_cast_input(&cast, sp_span_of(zeros, AT_ONCE / 2), 1));
    sp_cast_done(&cast);
}

static void lines_are_as_the_format_says(void **state)
{
    (void)state;
    sp_cast cast = sp_cast_make();
    sp_cast_lines lines;
    bool any = false;
    assert_fails(sp_cast_output(&cast, SP_SPAN_LIT("x"), 0), SP_ECLOSED);
    assert_ok(sp_cast_begin(&cast, &(sp_cast_header){.width = 80, .height = 24, .when_unix_s = 7},
                            5000000));
    assert_false(sp_cast_due(&cast, 5999999));
    assert_true(sp_cast_due(&cast, 6000000) && sp_cast_due_us(&cast) == 6000000);
    cast.first_us += SP_CAST_STEP_US - 1; /* the last moment that is cut with these */
    assert_true(sp_cast_due_us(&cast) == 6000000);
    cast.first_us++;
    assert_true(sp_cast_due_us(&cast) == 6000000 + SP_CAST_STEP_US);
    cast.first_us = 5000000;
    assert_ok(sp_cast_output(&cast, SP_SPAN_LIT("a\"\\\r\n\t\x1b[0m\x7f\xff\xe7"), 5250000));
    assert_ok(sp_cast_output(&cast, SP_SPAN_LIT("\xbb\xb4"), 5500000));
    assert_ok(sp_cast_input(&cast, SP_SPAN_LIT("ls\r"), 5400000)); /* the clock does not go back */
    assert_ok(sp_cast_resize(&cast, 132, 43, 6000001));
    assert_ok(sp_cast_mark(&cast, SP_SPAN_LIT("frozen"), 6000002));
    assert_ok(sp_cast_cut(&cast, true, &lines, &any));
    assert_true(any && lines.end && lines.number == 0 && lines.t0_us == 0);
    assert_int_equal(lines.t1_us, 1000002);
    assert_span_text(lines.text,
                     "{\"version\":2,\"width\":80,\"height\":24,\"timestamp\":7}\n"
                     "[0.250000,\"o\",\"a\\\"\\\\\\r\\n\\t\\u001b[0m\\u007f\xf4\x8f\xbf\xbf\"]\n"
                     "[0.500000,\"o\",\"\xe7\xbb\xb4\"]\n"
                     "[0.500000,\"i\",\"ls\\r\"]\n"
                     "[1.000001,\"r\",\"132x43\"]\n"
                     "[1.000002,\"m\",\"frozen\"]\n");
    assert_fails(sp_cast_output(&cast, SP_SPAN_LIT("x"), 7000000), SP_ECLOSED);
    sp_cast_done(&cast);
}

static void lines_that_nobody_takes_end_it(void **state)
{
    (void)state;
    static const uint8_t BYTES[4096] = {0};
    sp_cast cast = sp_cast_make();
    sp_err err = sp_cast_begin(&cast, &HEADER, 0);
    for (int i = 0; i < 1000 && !sp_failed(err); i++) {
        err = sp_cast_output(&cast, sp_span_of(BYTES, sizeof(BYTES)), 0);
    }
    assert_int_equal(err.code, SP_ELIMIT);
    assert_fails(sp_cast_output(&cast, SP_SPAN_LIT("x"), 1), SP_ECLOSED);
    sp_cast_done(&cast);
}

static void details_that_are_wrong_are_refused(void **state)
{
    (void)state;
    static const char *const WRONG[] = {
        "",
        "{}",
        "{\"n\":0}",
        "{\"n\":0,\"t0\":2,\"t1\":1,\"raw\":0,\"zstd\":\"\"}",
        "{\"n\":0,\"raw\":65537,\"zstd\":\"\"}",
        "{\"n\":-1,\"raw\":1,\"zstd\":\"\"}",
        "{\"n\":4294967296,\"raw\":1,\"zstd\":\"\"}",
        "{\"n\":0,\"raw\":1,\"zstd\":\"\"} ",
        "{\"n\":0,\"raw\":1,\"zstd\":\"\",\"x\":1}",
        "{\"n\":0,\"raw\":1,\"zstd\":\"\\u0041\"}",
        "{\"n\":0,\"raw\":1,\"zstd\":\"\",}",
        "{\"n\":0,\"raw\":1,\"end\":1,\"zstd\":\"\"}",
    };
    sp_chunk chunk;
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        if (i != 7 && !sp_failed(sp_chunk_read(sp_span_cstr(WRONG[i]), &chunk))) {
            fail_msg("taken: %s", WRONG[i]);
        }
    }
    auto_buf sp_buf out = sp_buf_make(BIG);
    chunk = (sp_chunk){.raw_bytes = 10, .zstd = SP_SPAN_LIT("AAAA")};
    assert_fails(sp_chunk_text(&chunk, &out), SP_ECORRUPT);
    chunk.zstd = SP_SPAN_LIT("A");
    assert_fails(sp_chunk_text(&chunk, &out), SP_ECORRUPT);
    chunk.raw_bytes = SP_CHUNK_TEXT_MAX_BYTES + 1;
    assert_fails(sp_chunk_text(&chunk, &out), SP_ELIMIT);
    static const char *const LINES[] = {
        "[1.5,\"o\",\"\\ud800\"]", "[1.,\"o\",\"\"]",   "[1.5,\"oo\",\"\"]", "[1.5,\"o\",\"a\nb\"]",
        "[1.5,\"o\",\"\"",         "[1.5,\"o\",\"\"]x", "[-1,\"o\",\"\"]",   "[1,\"o\"]",
        "[1,\"o\",\"\xff\"]",      "[1,\"o\",\"\\x\"]"};
    sp_cast_event event;
    for (size_t i = 0; i < SP_COUNT(LINES); i++) {
        if (!sp_failed(sp_cast_read_event(sp_span_cstr(LINES[i]), &out, &event))) {
            fail_msg("taken: %s", LINES[i]);
        }
    }
    assert_ok(sp_cast_read_event(SP_SPAN_LIT("[ 1.2345678 , \"o\", \"\\ud83d\\ude00\\/\" ]"), &out,
                                 &event));
    assert_true(event.at_us == 1234567 && event.code == 'o');
    assert_span_text(event.data, "\xf0\x9f\x98\x80/");
    sp_cast_told told;
    assert_ok(sp_cast_read_header(
        SP_SPAN_LIT("{\"env\":{\"A\":[1,{\"b\":\"}\"}]},\"version\":2,\"height\":5,\"width\":6}"),
        &told));
    assert_true(told.width == 6 && told.height == 5);
    assert_true(sp_failed(
        sp_cast_read_header(SP_SPAN_LIT("{\"version\":1,\"width\":1,\"height\":1}"), &told)));
}

static void shown(const char *in, const char *want)
{
    for (size_t cut = 0; cut <= strlen(in); cut++) {
        sp_safe safe = {0};
        auto_buf sp_buf out = sp_buf_make(1000);
        sp_safe_output(&safe, sp_span_of(in, cut), &out);
        sp_safe_output(&safe, sp_span_cstr(in + cut), &out);
        if (!sp_span_eq(sp_buf_borrow(&out), sp_span_cstr(want))) {
            fail_msg("cut at %zu: %.*s", cut, SP_SPAN_ARG(sp_buf_borrow(&out)));
        }
    }
}

static void what_acts_does_not_pass(void **state)
{
    (void)state;
    shown("a\x1b[1;31mb\x1b[0m\r\n\tc\b", "a\x1b[1;31mb\x1b[0m\r\n\tc\b");
    shown("\x1b[2J\x1b[H\x1b[?25l\x1b[?1049h", "\x1b[2J\x1b[H\x1b[?25l\x1b[?1049h");
    shown("a\x1b]0;title\x07"
          "b\x1b]52;c;ZWNobw==\x1b\\c",
          "abc");
    shown("a\x1bP+q544e\x1b\\b\x1b_x\x1b\\c\x1b^y\x1b\\d\x1bXz\x1b\\e", "abcde");
    shown("a\x1b[6nb\x1b[cc\x1b[>cd\x1b[5ne\x1b[21tf\x1b[=cg", "abcdefg");
    shown("a\x1b[?1000hb\x1b[?2004hc\x1b[?1hd\x1b[4ie\x1b[!pf\x1b cg", "abcdefg");
    shown("a\x1b"
          "cb\x05\x07\x0e\x7f",
          "ab");
    shown("\x1b(0q\x1b(B\x1b(Kx", "\x1b(0q\x1b(Bx");
    shown("\xe7\xbb\xb4\xc2\x9b"
          "6n\xff",
          "\xe7\xbb\xb4\xef\xbf\xbd"
          "6n\xef\xbf\xbd");
    shown("a\x1b[1\x1b[31mb", "a\x1b[31mb");
    shown("a\x1b]0;never ended", "a");
    auto_buf sp_buf out = sp_buf_make(100);
    sp_safe_name(SP_SPAN_LIT("a\x1b[2Jb\n\xe2\x80\xae"
                             "c\xff"),
                 &out);
    assert_span_text(sp_buf_borrow(&out), "a\xef\xbf\xbd[2Jb\xef\xbf\xbd\xef\xbf\xbd"
                                          "c\xef\xbf\xbd");
}

static void what_is_not_echoed_is_left_out(void **state)
{
    (void)state;
    sp_echo echo = {0};
    auto_buf sp_buf out = sp_buf_make(1000);
    sp_echo_printed(&echo, SP_SPAN_LIT("ann@host:~$ "), &out);
    sp_echo_typed(&echo, SP_SPAN_LIT("sudo id\r"), &out);
    assert_int_equal(out.len, 0);
    sp_echo_printed(&echo, SP_SPAN_LIT("\x1b[1msudo id\x1b[0m\r\n[sudo] password for ann: "), &out);
    sp_echo_typed(&echo, SP_SPAN_LIT("s3cret p"), &out);
    sp_echo_typed(&echo, SP_SPAN_LIT("ass\r"), &out);
    sp_echo_printed(&echo, SP_SPAN_LIT("\r\nuid=0(root)\r\nann@host:~$ "), &out);
    sp_echo_typed(&echo, SP_SPAN_LIT("ls\r"), &out);
    sp_echo_printed(&echo, SP_SPAN_LIT("ls\r\n"), &out);
    sp_echo_typed(&echo, SP_SPAN_LIT("hidden"), &out);
    sp_echo_end(&echo, &out);
    assert_span_text(sp_buf_borrow(&out), "sudo id\r\x1a\rls\r\x1a");
    /* a storm of keys without any echo is bounded, and nothing of it comes out */
    static uint8_t keys[5000];
    sp_set(keys, 's', sizeof(keys));
    sp_buf_reset(&out);
    sp_echo_typed(&echo, sp_span_of(keys, sizeof(keys)), &out);
    sp_echo_end(&echo, &out);
    assert_true(sp_span_find(sp_buf_borrow(&out), SP_SPAN_LIT("s")) == out.len && out.len < 20);
}

enum { SECOND = SP_HIDDEN_ECHO_US };

typedef struct {
    sp_hidden hidden;
    uint64_t now_us;
    uint32_t count;
} blind;

/* A second later than what was before. */
static void says(blind *b, const char *typed, const char *printed)
{
    b->now_us += SECOND;
    b->count += sp_hidden_typed(&b->hidden, sp_span_cstr(typed), b->now_us);
    b->count += sp_hidden_printed(&b->hidden, sp_span_cstr(printed), b->now_us);
}

static void lines_that_are_shown_are_not_counted(void **state)
{
    (void)state;
    blind b = {.now_us = 1};
    says(&b, "", "\x1b]0;ann@host\a\x1b[1mann@host\x1b[0m:~$ ");
    says(&b, "l", "l");
    says(&b, "s\r", "s\r\na b c\r\nann@host:~$ ");
    says(&b, "touch x; mv x y\r", "touch x; mv x y\r\nann@host:~$ ");
    /* pasted ahead: each is printed, later */
    says(&b, "echo one\recho two\recho three\r", "echo one\r\nec");
    b.count +=
        sp_hidden_printed(&b.hidden, SP_SPAN_LIT("ho two\r\none\r\necho three\r\n"), b.now_us);
    /* an editor answers keys with another picture; what is typed into it is printed */
    says(&b, "dd", "\x1b[3;1H\x1b[M");
    says(&b, "i", "\x1b[24;1H-- INSERT --");
    says(&b, "hello world\r", "\x1b[2;1Hhello world\x1b[3;1H");
    says(&b, "\x1b:wq\r", "\x1b[24;1H:wq\r\nann@host:~$ ");
    says(&b, "\x1b[A\r", "touch x; mv x y\r\n$ ");
    says(&b, "\r", "\r\n$ ");
    /* secrets that were asked for, and stars for them */
    says(&b, "sudo id\r", "sudo id\r\n[sudo] password for ann: ");
    says(&b, "s3cret pass\r", "\r\nuid=0(root)\r\n$ ");
    says(&b, "passwd\r", "passwd\r\nCurrent password: ");
    says(&b, "s3cret pass\r", "\r\nNew password: ");
    says(&b, "other pass\r", "\r\n\xE5\xAF\x86\xE7\xA0\x81\xEF\xBC\x9A");
    says(&b, "other pass\r", "\r\ndone\r\n$ ");
    says(&b, "su\r", "su\r\nPassword: ");
    says(&b, "s3cret", "******");
    says(&b, "\r", "\r\n# ");
    b.count += sp_hidden_end(&b.hidden);
    assert_int_equal(b.count, 0);
}

static void lines_that_are_not_shown_are_counted(void **state)
{
    (void)state;
    blind b = {.now_us = 1};
    says(&b, "stty -echo\r", "stty -echo\r\nann@host:~$ ");
    says(&b, "touch x; mv x y\r", "\r\nann@host:~$ ");
    assert_int_equal(b.count, 0); /* it has a second */
    says(&b, "", "");
    assert_int_equal(b.count, 1);
    for (const char *ch = "rm y"; *ch != '\0'; ch++) {
        const char one[] = {*ch, '\0'};
        says(&b, one, "");
    }
    says(&b, "\r", "$ ");
    says(&b, "stty echo\r", "$ ");
    says(&b, "ls", "l");
    says(&b, "", "s");
    says(&b, "\r", "\r\nx\r\n$ ");
    assert_int_equal(b.count, 3);
    /* a prompt that always asks for a password */
    for (unsigned i = 0; i < 5; i++) {
        says(&b, "touch z\r", "\r\nPassword: ");
    }
    says(&b, "", "");
    assert_int_equal(b.count, 3 + 2); /* the first was at a plain one, then three */
    b.count += sp_hidden_end(&b.hidden);
    assert_int_equal(b.count, 5);
    /* without a line's end, and what nobody answered before the end */
    says(&b, "", "\r\n$ ");
    for (unsigned i = 0; i < 130; i++) {
        b.count += sp_hidden_typed(&b.hidden, SP_SPAN_LIT("k"), b.now_us);
    }
    b.count += sp_hidden_typed(&b.hidden, SP_SPAN_LIT("\rexit\r"), b.now_us);
    b.count += sp_hidden_end(&b.hidden);
    assert_int_equal(b.count, 5 + 4);
    /* more at once than are kept */
    for (unsigned i = 0; i < 100; i++) {
        b.count += sp_hidden_typed(&b.hidden, SP_SPAN_LIT("touch w\r"), b.now_us);
    }
    b.count += sp_hidden_end(&b.hidden);
    assert_int_equal(b.count, 9 + 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(what_passes_at_once_fits_behind_what_waits),
        cmocka_unit_test(lines_are_as_the_format_says),
        cmocka_unit_test(lines_that_nobody_takes_end_it),
        cmocka_unit_test(details_that_are_wrong_are_refused),
        cmocka_unit_test(what_acts_does_not_pass),
        cmocka_unit_test(what_is_not_echoed_is_left_out),
        cmocka_unit_test(lines_that_are_shown_are_not_counted),
        cmocka_unit_test(lines_that_are_not_shown_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

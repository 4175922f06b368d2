/* SPDX-License-Identifier: Apache-2.0
 * COPY's formats, masked as they come: however the bytes are cut, the clear columns are as they
 * were and of the others nothing is left.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/mask/copy.h.
 */
#include "tests/unit/cm.h"

#include "lib/base/mem.h"
#include "lib/mask/copy.h"

enum { TEXT = 25, INT4 = 23 };

static const uint8_t key[SP_MASK_KEY_BYTES] = {1, 2, 3};

/* Three columns; the one in the middle is a mobile number. */
static sp_copy_plan plan_of(sp_copy_format format)
{
    sp_copy_plan plan = {.format = (uint8_t)format,
                         .delimiter = format == SP_COPY_CSV ? ',' : '\t',
                         .quote = '"',
                         .escape = '"',
                         .column_count = 3};
    if (format == SP_COPY_TEXT) {
        plan.null_len = 2;
        plan.null[0] = '\\';
        plan.null[1] = 'N';
    }
    for (int i = 0; i < 3; i++) {
        plan.columns[i].type_oid = TEXT;
    }
    plan.columns[1].mask = SP_MASK_MOBILE + 1;
    return plan;
}

/* In pieces of so many bytes. */
static sp_err run(const sp_copy_plan *plan, sp_span in, size_t piece, sp_buf *out)
{
    sp_copy_mask *mask = NULL;
    TRY(sp_copy_mask_new(plan, key, &mask));
    sp_err err = sp_ok();
    for (size_t at = 0; at < in.len && !sp_failed(err); at += piece) {
        err = sp_copy_mask_data(mask, sp_span_slice(in, at, at + piece), out);
    }
    if (!sp_failed(err)) {
        err = sp_copy_mask_end(mask);
    }
    sp_copy_mask_free(mask);
    return err;
}

static void becomes(const sp_copy_plan *plan, sp_span in, sp_span want)
{
    for (size_t piece = 1; piece < 20; piece++) {
        auto_buf sp_buf out = sp_buf_make(1 << 20);
        assert_ok(run(plan, in, piece, &out));
        sp_span got = sp_buf_borrow(&out);
        if (!sp_span_eq(got, want)) {
            print_error("pieces of %zu\n got:  %.*s\n want: %.*s\n", piece, (int)got.len,
                        (const char *)got.ptr, (int)want.len, (const char *)want.ptr);
            fail();
        }
    }
}

static void is_refused(const sp_copy_plan *plan, const char *in)
{
    auto_buf sp_buf out = sp_buf_make(1 << 20);
    assert_int_equal(run(plan, sp_span_cstr(in), 3, &out).code, SP_EINVALID);
}

static void test_text(void **state)
{
    (void)state;
    sp_copy_plan plan = plan_of(SP_COPY_TEXT);
    becomes(&plan,
            SP_SPAN_LIT("1\t13800138000\tann\n2\t\\N\t\\N\n3\t\t\n4\t13800\\t138000\ta\\tb\\\\\n"),
            SP_SPAN_LIT("1\t138****8000\tann\n2\t\\N\t\\N\n3\t***\t\n4\t***\ta\\tb\\\\\n"));
    becomes(&plan, SP_SPAN_EMPTY, SP_SPAN_EMPTY);
    plan.delimiter = '|';
    plan.columns[1].mask = SP_MASK_EMAIL + 1;
    becomes(&plan, SP_SPAN_LIT("1|a\\|b@x\\\\y.cn\\n|c\\|d\n"),
            SP_SPAN_LIT("1|a***@x\\\\y.cn\\n|c\\|d\n"));
    plan.columns[1].mask = SP_MASK_NAME + 1;
    becomes(&plan, SP_SPAN_LIT("1|\\|b|c\n"), SP_SPAN_LIT("1|\\|**|c\n"));
    plan.columns[1].mask = SP_MASK_NULL + 1;
    becomes(&plan, SP_SPAN_LIT("1|x|c\n"), SP_SPAN_LIT("1|\\N|c\n"));
    plan.columns[1] = (sp_copy_column){INT4, SP_MASK_FULL + 1};
    becomes(&plan, SP_SPAN_LIT("1|77|c\n"), SP_SPAN_LIT("1|\\N|c\n"));
    plan.has_header = true;
    becomes(&plan, SP_SPAN_LIT("id|mob\\|ile|n\n1|77|c\n"),
            SP_SPAN_LIT("id|mob\\|ile|n\n1|\\N|c\n"));
}

static void test_csv(void **state)
{
    (void)state;
    sp_copy_plan plan = plan_of(SP_COPY_CSV);
    becomes(
        &plan,
        SP_SPAN_LIT("1,13800138000,ann\n2,,\n3,\"\",\"\"\n4,\"138\n001,38\"\"\",\"a\nb\"\"c,\"\n"),
        SP_SPAN_LIT("1,138****8000,ann\n2,,\n3,***,\"\"\n4,***,\"a\nb\"\"c,\"\n"));
    plan.columns[1].mask = SP_MASK_NAME + 1;
    becomes(&plan, SP_SPAN_LIT("1,\",b\",c\n2,\"\"\"b\",c\n3,\"\nx\",c\n"),
            SP_SPAN_LIT("1,\",**\",c\n2,\"\"\"**\",c\n3,\"\n**\",c\n"));
    plan.columns[1].mask = SP_MASK_MOBILE + 1;
    plan.quotes_text = true;
    becomes(&plan, SP_SPAN_LIT("\"1\",\"13800138000\",\"ann\"\n\"2\",,\n"),
            SP_SPAN_LIT("\"1\",\"138****8000\",\"ann\"\n\"2\",,\n"));
    /* a NULL that looks like a value is not quoted, a value that looks like it is */
    plan.quotes_text = false;
    plan.null_len = 3;
    sp_copy(plan.null, "***", 3);
    becomes(&plan, SP_SPAN_LIT("1,***,a\n2,\"***\",a\n3,x,***\n"),
            SP_SPAN_LIT("1,***,a\n2,\"***\",a\n3,\"***\",***\n"));
    /* other quotes, another escape, a header of two lines */
    plan = plan_of(SP_COPY_CSV);
    plan.delimiter = ';';
    plan.quote = '\'';
    plan.escape = '\\';
    plan.has_header = true;
    plan.columns[1].mask = SP_MASK_NAME + 1;
    becomes(&plan, SP_SPAN_LIT("id;'mo;b\nile';n\n1;'\\'x;\\\\';'a\\'\nb;\\\\'\n2;\\;\\\n"),
            SP_SPAN_LIT("id;'mo;b\nile';n\n1;'\\'**';'a\\'\nb;\\\\'\n2;\\**;\\\n"));
}

static void test_binary(void **state)
{
    (void)state;
    sp_copy_plan plan = plan_of(SP_COPY_BINARY);
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\3ext";
    static const char rows[] = "\0\3\0\0\0\4\0\0\0\1\0\0\0\x0B"
                               "13800138000\0\0\0\0"
                               "\0\3\377\377\377\377\377\377\377\377\0\0\0\1\t"
                               "\0\3\0\0\0\0\0\0\0\0\0\0\0\0\377\377";
    static const char want[] = "\0\3\0\0\0\4\0\0\0\1\0\0\0\x0B"
                               "138****8000\0\0\0\0"
                               "\0\3\377\377\377\377\377\377\377\377\0\0\0\1\t"
                               "\0\3\0\0\0\0\0\0\0\3***\0\0\0\0\377\377";
    auto_buf sp_buf in = sp_buf_make(1024);
    auto_buf sp_buf out = sp_buf_make(1024);
    sp_buf_span(&in, sp_span_of(head, sizeof(head) - 1));
    sp_buf_span(&in, sp_span_of(rows, sizeof(rows) - 1));
    sp_buf_span(&out, sp_span_of(head, sizeof(head) - 1));
    sp_buf_span(&out, sp_span_of(want, sizeof(want) - 1));
    becomes(&plan, sp_buf_borrow(&in), sp_buf_borrow(&out));
    for (size_t cut = 0; cut < in.len; cut++) {
        auto_buf sp_buf none = sp_buf_make(1024);
        assert_true(sp_failed(run(&plan, sp_span_slice(sp_buf_borrow(&in), 0, cut), 7, &none)));
    }
    plan.column_count = 2;
    sp_buf_reset(&out);
    assert_int_equal(run(&plan, sp_buf_borrow(&in), 100, &out).code, SP_EINVALID);
}

static void test_long(void **state)
{
    (void)state;
    sp_copy_plan plan = plan_of(SP_COPY_TEXT);
    plan.columns[1].mask = SP_MASK_HASH + 1;
    auto_buf sp_buf in = sp_buf_make(1 << 24);
    auto_buf sp_buf out = sp_buf_make(1 << 24);
    auto_buf sp_buf want = sp_buf_make(1 << 24);
    for (int turn = 0; turn < 2; turn++) {
        sp_buf_text(&in, "1\t");
        for (int i = 0; i < 3000000; i++) {
            sp_buf_byte(&in, 'x');
        }
        sp_buf_text(&in, "\tclear\n");
        sp_buf_text(&want, "1\t***\tclear\n");
    }
    assert_ok(run(&plan, sp_buf_borrow(&in), 8192, &out));
    assert_true(sp_span_eq(sp_buf_borrow(&out), sp_buf_borrow(&want)));
}

static void test_refused(void **state)
{
    (void)state;
    sp_copy_plan plan = plan_of(SP_COPY_TEXT);
    is_refused(&plan, "1\t2\n");
    is_refused(&plan, "1\t2\t3\t4\n");
    is_refused(&plan, "1\t2\t3");
    is_refused(&plan, "1\t2\t3\n4");
    /* what a value may look like */
    plan.null[1] = 'M';
    is_refused(&plan, "");
    plan.null_len = 0;
    is_refused(&plan, "");
    plan = plan_of(SP_COPY_CSV);
    is_refused(&plan, "1,2\n");
    is_refused(&plan, "1,a\"b,3\n");
    is_refused(&plan, "1,\"a\"b,3\n");
    is_refused(&plan, "1,\"a,3\n");
    plan = plan_of(SP_COPY_BINARY);
    is_refused(&plan, "PGCOPZ-1234567890123");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text), cmocka_unit_test(test_csv),     cmocka_unit_test(test_binary),
        cmocka_unit_test(test_long), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

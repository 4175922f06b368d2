/* SPDX-License-Identifier: Apache-2.0
 * What pg_restore and psql print, bodies of keeper.sock.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC keeper/said.h, keeper/toc.h,
 * lib/proto/keeper_msg.h.
 */
#include "keeper/pieces.h"
#include "keeper/plain.h"
#include "keeper/said.h"
#include "keeper/toc.h"
#include "lib/proto/keeper_msg.h"
#include "tests/unit/cm.h"

static void entries_are_read(void **state)
{
    (void)state;
    sp_span text = SP_SPAN_LIT(";\n; Archive created at x\n;\n"
                               "215; 1259 16391 TABLE public or ders postgres\n"
                               "3367; 0 16391 TABLE DATA public or ders postgres\n"
                               "not; one\n99999999999; 1 2 TABLE\n3; x 1 TABLE\n4;1 1 TABLE\n"
                               "3400; 0 0 ACL public TABLE orders postgres\n"
                               ";\tdepends on: 215 3367 x 7\n;\tdepends on: 8");
    keep_toc_entry e;
    uint32_t id = 0;
    assert_true(keep_toc_next(&text, &e));
    assert_true(e.catalog == 1259 && e.oid == 16391 && !keep_toc_is_data(&e));
    assert_true(e.id == 215 && !keep_toc_next_id(&e.depends, &id));
    assert_span_text(e.rest, "TABLE public or ders postgres");
    assert_true(keep_toc_next(&text, &e));
    assert_true(e.catalog == 0 && e.oid == 16391 && keep_toc_is_data(&e));
    assert_true(keep_toc_next(&text, &e));
    assert_span_text(e.line, "3400; 0 0 ACL public TABLE orders postgres");
    assert_true(e.id == 3400 && keep_toc_next_id(&e.depends, &id) && id == 215);
    assert_true(keep_toc_next_id(&e.depends, &id) && id == 3367);
    assert_false(keep_toc_next_id(&e.depends, &id));
    assert_false(keep_toc_next(&text, &e));
}

static sp_err note_piece(void *self, uint32_t id, sp_span text)
{
    sp_buf_fmt(self, "[%u|%.*s]", id, SP_SPAN_ARG(text));
    return sp_ok();
}

/* A name or a body may hold such a line; what a piece sets for all that follow stands by itself. */
static void a_script_is_read_entry_by_entry(void **state)
{
    (void)state;
    static const char script[] = "--\n\\restrict x\nSET a = 1;\n-- TOC entry 7 (class 1 OID 2)\n"
                                 "CREATE \"a\n-- TOC entry 8 (\nSET default_x;\n\\! b\n\";\n"
                                 "SET default_table = c;\n\n-- TOC entry 9 (class 1 OID 3)\n"
                                 "AS $b$\n-- TOC entry 5 (\n$b$;\n\\unrestrict x\n-- end";
    static const char wanted[] = "[0|--\nSET a = 1;\n][7|CREATE \"a\n-- TOC entry 8 (\n"
                                 "SET default_x;\n\\! b\n\";\n][0|SET default_table = c;\n\n]"
                                 "[9|AS $b$\n-- TOC entry 5 (\n$b$;\n-- end]";
    for (size_t step = 1; step <= sizeof(script); step++) {
        auto_buf sp_buf out = sp_buf_make(4096);
        keep_pieces p = keep_pieces_make(note_piece, &out, 256);
        for (size_t at = 0; at < sizeof(script) - 1; at += step) {
            assert_ok(keep_pieces_feed(&p, sp_span_slice(sp_span_cstr(script), at, at + step)));
        }
        assert_ok(keep_pieces_end(&p));
        assert_span_text(sp_buf_borrow(&out), wanted);
        keep_pieces_done(&p);
    }
    auto_buf sp_buf out = sp_buf_make(4096);
    keep_pieces p = keep_pieces_make(note_piece, &out, 8);
    assert_int_equal(keep_pieces_feed(&p, SP_SPAN_LIT("more than that\n")).code, SP_ELIMIT);
    keep_pieces_done(&p);
}

static sp_span target(void *self, sp_span table)
{
    (void)self;
    if (sp_span_eq(table, SP_SPAN_LIT("public.orders"))) {
        return SP_SPAN_LIT("pg_temp.a (id, note)");
    }
    return sp_span_eq(table, SP_SPAN_LIT("public.\"odd (name\""))
               ? SP_SPAN_LIT("pg_temp.b (\"a b\")")
               : SP_SPAN_EMPTY;
}

static const char SCRIPT[] = "--\nSET x = 1;\nSELECT set_config('search_path', '', false);\n"
                             "COPY public.orders (id, note) FROM stdin;\n"
                             "1\tCOPY public.orders (id) FROM stdin;\n2\t\\\\.\n\\.\n\n"
                             "COPY public.secret (id) FROM stdin;\n7\n\\.\n"
                             "COPY public.\"odd (name\" (\"a b\") FROM stdin;\nx\n\\.\n"
                             "SELECT pg_catalog.setval('public.s', 3, true);\n";
static const char WANTED[] = "COPY pg_temp.a (id, note) FROM stdin;\n"
                             "1\tCOPY public.orders (id) FROM stdin;\n2\t\\\\.\n\\.\n"
                             "COPY pg_temp.b (\"a b\") FROM stdin;\nx\n\\.\n";

static void blocks_get_other_targets(void **state)
{
    (void)state;
    sp_span script = sp_span_cstr(SCRIPT);
    for (size_t step = 1; step < script.len; step++) {
        keep_copy copy = keep_copy_make(target, NULL);
        auto_buf sp_buf out = sp_buf_make(4096);
        for (size_t at = 0; at < script.len; at += step) {
            assert_ok(keep_copy_feed(&copy, sp_span_slice(script, at, at + step), &out));
        }
        assert_span_text(sp_buf_borrow(&out), WANTED);
        keep_copy_done(&copy);
    }
}

static void long_lines_flow(void **state)
{
    (void)state;
    keep_copy copy = keep_copy_make(target, NULL);
    auto_buf sp_buf out = sp_buf_make(1 << 20);
    auto_buf sp_buf line = sp_buf_make(1 << 20);
    for (size_t i = 0; i < 200000; i++) {
        sp_buf_byte(&line, i % 2 == 0 ? '\\' : '.');
    }
    assert_ok(keep_copy_feed(&copy, SP_SPAN_LIT("COPY public.orders (id) FROM stdin;\n"), &out));
    assert_ok(keep_copy_feed(&copy, sp_buf_borrow(&line), &out));
    assert_ok(keep_copy_feed(&copy, SP_SPAN_LIT("\n\\.\nCOPY public.x (id) FROM stdin;\n"), &out));
    assert_int_equal(out.len, sizeof("COPY pg_temp.a (id, note) FROM stdin;\n") - 1 + 200000 + 4);
    assert_ok(keep_copy_feed(&copy, SP_SPAN_LIT("\\.\n"), &out));
    assert_fails(keep_copy_feed(&copy, sp_buf_borrow(&line), &out), SP_ELIMIT);
    keep_copy_done(&copy);
}

/* A name may hold the end of a line; then what follows is still the head, and no data is a head. */
static void heads_may_take_several_lines(void **state)
{
    (void)state;
    static const char script[] =
        "COPY public.orders (\"a\nb\", \" FROM stdin;\nCOPY public.\"\"x (y)"
        " FROM stdin;\n\") FROM stdin;\n"
        "COPY public.orders TO STDOUT; DROP TABLE x; --  FROM stdin;\n\\.\n"
        "COPY public.\"odd\nname\" (n) FROM stdin;\n"
        "COPY public.orders (id) FROM stdin;\n\\.\n";
    static const char wanted[] =
        "COPY pg_temp.a (id, note) FROM stdin;\n"
        "COPY public.orders TO STDOUT; DROP TABLE x; --  FROM stdin;\n\\.\n";
    sp_span text = sp_span_cstr(script);
    for (size_t step = 1; step < text.len; step++) {
        keep_copy copy = keep_copy_make(target, NULL);
        auto_buf sp_buf out = sp_buf_make(4096);
        for (size_t at = 0; at < text.len; at += step) {
            assert_ok(keep_copy_feed(&copy, sp_span_slice(text, at, at + step), &out));
        }
        assert_span_text(sp_buf_borrow(&out), wanted);
        keep_copy_done(&copy);
    }
    keep_copy copy = keep_copy_make(target, NULL);
    auto_buf sp_buf out = sp_buf_make(4096);
    assert_fails(keep_copy_feed(&copy, SP_SPAN_LIT("COPY public.orders TO stdout;\n"), &out),
                 SP_EINVALID);
    keep_copy_done(&copy);
}

static void bodies_come_back(void **state)
{
    (void)state;
    const sp_keeper_job job = {.job = 1,
                               .keep = 2,
                               .ask = 3,
                               .port = 5432,
                               .kind = SP_KEEPER_TRY_UNDO,
                               .tls = 3,
                               .whole = 1,
                               .partly = 1,
                               .holder = 4,
                               .host = SP_SPAN_LIT("127.0.0.1"),
                               .account = SP_SPAN_LIT("op_keep"),
                               .credential = SP_SPAN_LIT("orders-db/op_keep"),
                               .database = SP_SPAN_LIT("订单"),
                               .objects = SP_SPAN_LIT("[]"),
                               .verb = SP_SPAN_LIT("DROP")};
    const sp_keeper_done done = {.job = 1, .code = SP_ECONFLICT, .why = SP_SPAN_LIT("no")};
    auto_buf sp_buf one = sp_buf_make(4096);
    auto_buf sp_buf two = sp_buf_make(4096);
    sp_keeper_job job_read;
    sp_keeper_done done_read;
    sp_keeper_job_write(&job, &one);
    assert_ok(sp_keeper_job_read(sp_buf_borrow(&one), &job_read));
    assert_true(job_read.kind == SP_KEEPER_TRY_UNDO && job_read.whole == 1);
    assert_int_equal(job_read.ask, 3);
    assert_int_equal(job_read.holder, 4);
    assert_true(job_read.partly == 1 && job_read.cascades == 0);
    assert_span_text(job_read.database, "订单");
    sp_keeper_done_write(&done, &two);
    assert_ok(sp_keeper_done_read(sp_buf_borrow(&two), &done_read));
    assert_span_text(done_read.why, "no");
    for (size_t cut = 0; cut < one.len; cut++) {
        assert_true(
            sp_failed(sp_keeper_job_read(sp_span_slice(sp_buf_borrow(&one), 0, cut), &job_read)));
    }
    for (size_t cut = 0; cut < two.len; cut++) {
        assert_true(
            sp_failed(sp_keeper_done_read(sp_span_slice(sp_buf_borrow(&two), 0, cut), &done_read)));
    }
    one.ptr[26] = SP_KEEPER_JOB_COUNT; /* kind */
    assert_fails(sp_keeper_job_read(sp_buf_borrow(&one), &job_read), SP_EINVALID);
}

static void names_are_the_same_in_quotes(void **state)
{
    (void)state;
    static const char *const same[][2] = {{"public.json_scalar", "public.\"json_scalar\""},
                                          {"\"a.b\".\"c\"\"d\"", "\"a.b\".\"c\"\"d\""}};
    static const char *const others[][2] = {{"public.a", "public.a_"},      {"a.b", "\"a.b\""},
                                            {"a.\"b\"\"\"", "a.b"},         {"a.b", "a.\"B\""},
                                            {"\"a\".\"b\"\"\".c", "a.b.c"}, {"", "a"}};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_true(keep_toc_same_name(sp_span_cstr(same[i][0]), sp_span_cstr(same[i][1])));
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(keep_toc_same_name(sp_span_cstr(others[i][0]), sp_span_cstr(others[i][1])));
    }
}

static void words_have_no_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"NOTICE:  00000: x\nLOCATION:  f, a.c:1\nERROR:  23514: check \"c\" is violated by some "
         "row\nDETAIL:  Failing row contains (7, \nERROR:  XX000: 1380000).\nHINT:  1380000\n"
         "LOCATION:  ATRewriteTable, tablecmds.c:6052\n",
         "check \"c\" is violated by some row"},
        {"错误:  53200: out of shared memory\nHINT:  raise it\nLOCATION:  x\n",
         "out of shared memory\nHINT:  raise it"},
        {"ERROR:  " KEEP_SAID_OURS ": a\nb: f of owner\nCONTEXT:  PL/pgSQL\n", "a\nb: f of owner"},
        {"ERROR:  22P02: invalid input syntax for type bigint: \"x\nERROR:  XX000: 1380000\"\n",
         "a value stands in the way (SQLSTATE 22P02): what the server says of it may show values, "
         "and is left out"},
        {"ERROR:  P0001: 1380000\n",
         "a value stands in the way (SQLSTATE P0001): what the server says of it may show values, "
         "and is left out"},
        {"psql: error: connection to server failed\n", ""},
        {"ERROR:  2351: x\nERROR:  42601 x\nERROR: 42601: x\nERROR", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        auto_buf sp_buf out = sp_buf_make(4096);
        keep_said(sp_span_cstr(cases[i].text), &out);
        assert_span_text(sp_buf_borrow(&out), cases[i].said);
    }
}

static void lone_colons_are_no_variables(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        const char *plain;
    } cases[] = {
        {"a[1:\"ERROR\"], b[:x], c[1:2]", "a[1: \"ERROR\"], b[: x], c[1: 2]"},
        {"a[x::int:\"b\"] a::text b:=1", "a[x::int: \"b\"] a::text b:=1"},
        {"':a' \":b\" ':''c' $$:d$$ $x$:$$:$y$:x$:$x$:e",
         "':a' \":b\" ':''c' $$:d$$ $x$:$$:$y$:x$:$x$: e"},
        {"E'\\':a' 'b\\':c e'd''\\':e'f: g", "E'\\':a' 'b\\': c e'd''\\':e'f:  g"},
        {"-- :a'\n:b /* :c /* :d */ ' */:e", "-- :a'\n: b /* :c /* :d */ ' */: e"},
        {"a$x$:b $1:c $1x$:d e'x':f", "a$x$: b $1: c $1x$: d e'x': f"},
        {"name'\\':a", "name'\\': a"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t step = 1; step < 9; step++) {
            auto_buf sp_buf out = sp_buf_make(4096);
            keep_plain plain = {.inside = 0};
            sp_span sql = sp_span_cstr(cases[i].sql);
            for (size_t at = 0; at < sql.len; at += step) {
                keep_plain_feed(&plain, sp_span_slice(sql, at, at + step), &out);
            }
            assert_span_text(sp_buf_borrow(&out), cases[i].plain);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_read),
        cmocka_unit_test(a_script_is_read_entry_by_entry),
        cmocka_unit_test(blocks_get_other_targets),
        cmocka_unit_test(heads_may_take_several_lines),
        cmocka_unit_test(long_lines_flow),
        cmocka_unit_test(bodies_come_back),
        cmocka_unit_test(names_are_the_same_in_quotes),
        cmocka_unit_test(words_have_no_values),
        cmocka_unit_test(lone_colons_are_no_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

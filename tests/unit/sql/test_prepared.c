/* SPDX-License-Identifier: Apache-2.0
 * Where the query of a PREPARE or DECLARE begins; what becomes of DROP TABLE IF EXISTS.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/prepared.c, lib/sql/absent.c.
 */
#include "tests/unit/cm.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/sql/judge.h"

/* The query that a name stands for, cut out of its text. */
static void test_queries_of_names(void **state)
{
    (void)state;
    auto_sql_judge sp_sql_judge *judge = NULL;
    assert_ok(sp_sql_judge_new(&judge));
    const sp_sql_context context = {.is_utf8 = true};
    static const struct {
        const char *text;
        const char *query; /* of the last statement; NULL: it is not let through */
        bool is_typed;
    } cases[] = {
        {"PREPARE p AS SELECT 1", "SELECT 1", false},
        {"SELECT 'as'; PREPARE p AS DELETE FROM orders WHERE id = 1 ; ",
         "DELETE FROM orders WHERE id = 1 ", false},
        {"PREPARE p (int, numeric(10, 2)) aS\nSELECT $1 AS a -- as", "SELECT $1 AS a -- as", true},
        {"/* AS SELECT 2 */ PREPARE -- AS SELECT 3\n \" AS SELECT 4 \" AS SELECT 1", "SELECT 1",
         false},
        {"PREPARE /* /* as */ AS SELECT 5 -- */ p AS SELECT 1", "SELECT 1", false},
        {"PREPARE p -- x\rAS SELECT 1", "SELECT 1", false},
        {"PREPARE p (\"as\", t.as_, x(a AS b, 'AS')) AS SELECT 1", NULL, false},
        {"PREPARE p (x(CAST(1 AS int), ' AS ')) AS SELECT 1", "SELECT 1", true},
        {"PREPARE p (x(1 AS int)) AS SELECT 1", NULL, false},
        {"PREPARE U&\"d!0061t\" UESCAPE '!' AS SELECT 1", "SELECT 1", false},
        {"PREPARE p$as AS (SELECT 1)", "(SELECT 1)", false},
        {"DECLARE c CURSOR FOR SELECT 1 FOR UPDATE", "SELECT 1 FOR UPDATE", false},
        {"DECLARE \"for\" BINARY NO SCROLL CURSOR WITH HOLD for/**/VALUES (1)", "/**/VALUES (1)",
         false},
        {"PREPARE a AS SELECT 2; DECLARE c CURSOR FOR SELECT 1", "SELECT 1", false},
        {"PREPARE a AS SELECT '\\'; DECLARE c CURSOR FOR SELECT 1 -- '", NULL, false},
        {"PREPARE a AS SELECT E'\\'', ''; DECLARE c CURSOR FOR SELECT E'\\x31'", "SELECT E'\\x31'",
         false},
        {"EXPLAIN DECLARE c CURSOR FOR SELECT 1", "", false},
        {"SELECT 1 AS a", "", false},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        sp_span text = sp_span_cstr(cases[i].text);
        const sp_sql_judgement *got = sp_sql_judge_text(judge, &context, text);
        if (cases[i].query == NULL) {
            assert_int_not_equal(got->fault, SP_SQL_FINE);
            continue;
        }
        assert_int_equal(got->fault, SP_SQL_FINE);
        const sp_sql_statement *last = &got->statements[got->statement_count - 1];
        assert_span_text(sp_sql_query_of(text, last), cases[i].query);
        assert_int_equal(last->is_typed, cases[i].is_typed);
        sp_span words = sp_sql_words_before(text, last);
        assert_int_equal(words.len, last->query);
    }
}

/* The trees that are compared are no deeper than the walk goes. */
static void test_deep(void **state)
{
    (void)state;
    enum { TERMS = 270000 };
    auto_sql_judge sp_sql_judge *judge = NULL;
    assert_ok(sp_sql_judge_new(&judge));
    const sp_sql_context context = {.is_utf8 = true};
    auto_buf sp_buf text = sp_buf_make(1 << 20);
    static const char *const heads[] = {"PREPARE p AS SELECT 1", "DECLARE c CURSOR FOR SELECT 1"};
    for (size_t i = 0; i < SP_COUNT(heads); i++) {
        sp_buf_reset(&text);
        sp_buf_text(&text, heads[i]);
        for (int term = 0; term < TERMS; term++) {
            sp_buf_text(&text, "+1");
        }
        assert_int_not_equal(sp_sql_judge_text(judge, &context, sp_buf_borrow(&text))->fault,
                             SP_SQL_FINE);
    }
}

static bool has_own(const void *session, sp_span name)
{
    (void)session;
    return sp_span_eq(name, SP_SPAN_LIT("own"));
}

/* Nothing is known but the temporary table "own". */
static void test_drops_of_what_is_not_there(void **state)
{
    (void)state;
    auto_sql_judge sp_sql_judge *judge = NULL;
    assert_ok(sp_sql_judge_new(&judge));
    const sp_sql_context context = {.is_temporary = has_own, .is_utf8 = true};
    auto_buf sp_buf written = sp_buf_make(1024);
    static const struct {
        const char *text;
        const char *written; /* NULL: as it is */
    } cases[] = {
        {"DROP TABLE IF EXISTS a", "DROP TABLE IF EXISTS pg_temp.\"a\""},
        {"/* x */ drop table if exists A -- b", "DROP TABLE IF EXISTS pg_temp.\"a\""},
        {"DROP TABLE IF EXISTS \"a\"\"; DROP TABLE orders\" cascade ;",
         "DROP TABLE IF EXISTS pg_temp.\"a\"\"; DROP TABLE orders\" CASCADE;"},
        {"DROP TABLE IF EXISTS U&\"\\00e9\" RESTRICT", "DROP TABLE IF EXISTS pg_temp.\"\xc3\xa9\""},
        {"DROP TABLE IF EXISTS a;\n DROP TABLE IF EXISTS b; CREATE TEMP TABLE a (x int)",
         "DROP TABLE IF EXISTS pg_temp.\"a\"; DROP TABLE IF EXISTS pg_temp.\"b\"; CREATE TEMP "
         "TABLE a "
         "(x int)"},
        {"BEGIN; DROP TABLE IF EXISTS a; COMMIT",
         "BEGIN; DROP TABLE IF EXISTS pg_temp.\"a\"; COMMIT"},
        {"DROP TABLE IF EXISTS a; SELECT 1; DROP TABLE IF EXISTS b",
         "DROP TABLE IF EXISTS pg_temp.\"a\"; SELECT 1; DROP TABLE IF EXISTS b"},
        {"SELECT 1; DROP TABLE IF EXISTS a", NULL},
        {"CREATE TABLE a (x int); DROP TABLE IF EXISTS a", NULL},
        {"DROP TABLE a", NULL},
        {"DROP TABLE IF EXISTS a, b", NULL},
        {"DROP TABLE IF EXISTS public.a", NULL},
        {"DROP TABLE IF EXISTS pg_temp.a", NULL},
        {"DROP TABLE IF EXISTS own", NULL},
        {"DROP VIEW IF EXISTS a", NULL},
        {"DROP SEQUENCE IF EXISTS a", NULL},
        {"DROP INDEX IF EXISTS a", NULL},
        {"BEGIN; SELECT 1", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        sp_span text = sp_span_cstr(cases[i].text);
        const sp_sql_judgement *got = sp_sql_judge_text(judge, &context, text);
        assert_int_equal(got->fault, SP_SQL_FINE);
        sp_buf_reset(&written);
        assert_int_equal(sp_sql_write_absent(text, got, &written), cases[i].written != NULL);
        if (cases[i].written != NULL) {
            assert_span_text(sp_buf_borrow(&written), cases[i].written);
            auto_free sp_sql_judgement *copy = NULL;
            assert_ok(sp_sql_judgement_copy(got, &copy));
            sp_buf_reset(&written);
            assert_true(sp_sql_write_absent(text, copy, &written));
            assert_span_text(sp_buf_borrow(&written), cases[i].written);
        }
    }
}

/* Whatever anybody has: who may only connect may. */
static void test_drops_of_the_sessions_own(void **state)
{
    (void)state;
    auto_sql_judge sp_sql_judge *judge = NULL;
    assert_ok(sp_sql_judge_new(&judge));
    const sp_sql_context context = {.is_temporary = has_own, .is_utf8 = true};
    static const struct {
        const char *text;
        bool is_free;
    } cases[] = {
        {"DROP TABLE pg_temp.a", true},
        {"DROP TABLE IF EXISTS pg_temp.a, pg_temp.b CASCADE", true},
        {"DROP SEQUENCE IF EXISTS pg_temp.a", true},
        {"DROP TABLE own", true},
        {"DROP TABLE IF EXISTS pg_temp.a, b", false},
        {"DROP TABLE \"PG_TEMP\".a", false},
        {"DROP TABLE pg_temp_3.a", false},
        {"DROP TABLE a", false},
        {"DROP VIEW pg_temp.a", false},
        {"DROP MATERIALIZED VIEW pg_temp.a", false},
        {"DROP FOREIGN TABLE pg_temp.a", false},
        {"TRUNCATE pg_temp.a", false},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        const sp_sql_judgement *got =
            sp_sql_judge_text(judge, &context, sp_span_cstr(cases[i].text));
        assert_int_equal(got->fault, SP_SQL_FINE);
        assert_int_equal(got->use_count == 0, cases[i].is_free);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drops_of_what_is_not_there),
        cmocka_unit_test(test_drops_of_the_sessions_own),
        cmocka_unit_test(test_queries_of_names),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

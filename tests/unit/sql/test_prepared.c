/* SPDX-License-Identifier: Apache-2.0
 * Where the query of a PREPARE or DECLARE begins.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/prepared.c.
 */
#include "tests/unit/cm.h"

#include "lib/base/buf.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries_of_names),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

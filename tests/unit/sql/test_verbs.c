/* SPDX-License-Identifier: Apache-2.0
 * What undo is told about a text: each kind of change, and ANY for what nobody knows; and what is
 * told to nobody.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/statement.h, keeper/README.md.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include <string.h>

static void verbs_of_texts(void **state)
{
    static const struct {
        const char *text;
        const char *verbs;
    } cases[] = {
        {"DELETE FROM orders WHERE id = 1", "DELETE"},
        {"INSERT INTO orders VALUES (1)", "INSERT"},
        {"UPDATE orders SET note = 'x' WHERE id = 1", "UPDATE"},
        {"MERGE INTO orders o USING customers c ON o.id = c.id WHEN MATCHED THEN DELETE", "MERGE"},
        {"TRUNCATE orders", "TRUNCATE"},
        {"TRUNCATE customers CASCADE", "TRUNCATE CASCADE"},
        {"DROP TABLE orders", "DROP"},
        {"DROP TABLE customers CASCADE", "DROP CASCADE"},
        {"DROP SCHEMA audit CASCADE", "DROP CASCADE"},
        {"DROP DATABASE orders", "DROP CASCADE"},
        {"DROP OWNED BY a", "DROP CASCADE OWNED"},
        {"ALTER TABLE orders DROP COLUMN note", "ALTER"},
        {"ALTER TABLE orders ADD a int, DROP COLUMN note CASCADE", "ALTER CASCADE"},
        {"ALTER TABLE orders RENAME TO gone", "ALTER"},
        {"ALTER TABLE orders SET SCHEMA audit", "ALTER"},
        {"ALTER TYPE mood RENAME VALUE 'a' TO 'b'", "ALTER"},
        {"ALTER DOMAIN d DROP NOT NULL", "ALTER"},
        /* of all that a text holds, in one order */
        {"UPDATE orders SET note = 'x'; DROP TABLE logs; DELETE FROM customers",
         "DELETE DROP UPDATE"},
        {"WITH gone AS (DELETE FROM orders RETURNING *) INSERT INTO logs SELECT 1 FROM gone",
         "DELETE INSERT"},
        {"EXPLAIN ANALYZE DELETE FROM orders", "DELETE"},
        {"PREPARE p AS UPDATE orders SET note = 'x'", "UPDATE"},
        /* nobody knows: the whole database is kept */
        {"DO $$BEGIN DELETE FROM orders; END$$", "ANY"},
        {"SELECT unknown_function()", "ANY"},
        {"CALL something()", "ANY"},
        {"DELETE FROM orders WHERE unknown_function(id)", "DELETE ANY"},
        {"SELECT 1", "ANY"}, /* it changes nothing that is known: never asked of undo */
    };
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    unsigned bad = 0;
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        auto_buf sp_buf out = sp_buf_make(100);
        const sp_sql_judgement *got =
            sp_sql_judge_text(it->judge, &context, sp_span_cstr(cases[i].text));
        sp_sql_verbs_write(sp_sql_verbs(got), &out);
        sp_span verbs = sp_buf_borrow(&out);
        if (got->fault != SP_SQL_FINE || !sp_span_eq(verbs, sp_span_cstr(cases[i].verbs))) {
            print_error("%s: %.*s, expected %s (%s)\n", cases[i].text, SP_SPAN_ARG(verbs),
                        cases[i].verbs, got->reason);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

/* The words are a list of their own in what is asked of the keeper: nothing is put in front. */
static void words_are_appended(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(100);
    sp_buf_text(&out, "before:");
    sp_sql_verbs_write(SP_SQL_VERB_ALTER | SP_SQL_VERB_ANY, &out);
    assert_span_text(sp_buf_borrow(&out), "before:ALTER ANY");
    sp_buf_reset(&out);
    sp_sql_verbs_write(0, &out);
    assert_int_equal(out.len, 0);
}

/* What a statement of a whole database names is among its words, or nothing is said. */
static void words_of_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words; /* NULL = that cannot be told */
    } cases[] = {
        {"DROP TABLE Orders CASCADE", "drop|table|orders|cascade"},
        {"DROP VIEW a.\"B c\",\"\\\"", "drop|view|a|B c|\\"},
        {"drop schema \xc3\x84x", "drop|schema|\xc3\x84x"},
        {"ALTER TABLE t DROP c1, ALTER b TYPE varchar(3);DROP TYPE\ty",
         "alter|table|t|drop|c1|alter|b|type|varchar|3|drop|type|y"},
        {"DROP TABLE \"a\"\"b\"", NULL},
        {"DROP TABLE U&\"d\\0061t\"", NULL},
        {"DROP TABLE t -- x", NULL},
        {"DROP TABLE/* x */t", NULL},
        {"DELETE FROM t WHERE a = 'DROP'", NULL},
        {"DO $$BEGIN DROP TABLE t; END$$", NULL},
        {"EXECUTE p", NULL},
        {"EXPLAIN ANALYZE execute p", NULL},
        {"DROP TABLE \"t", NULL},
        {"DROP TABLE a123456789b123456789c123456789d123456789e123456789f123456789g123", NULL},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        auto_buf sp_buf out = sp_buf_make(1000);
        auto_buf sp_buf wanted = sp_buf_make(1000);
        sp_span rest = sp_span_cstr(cases[i].words == NULL ? "" : cases[i].words);
        sp_span word;
        while (sp_span_split(&rest, '|', &word)) {
            sp_buf_text(&wanted, wanted.len == 0 ? "[{\"name\":" : ",{\"name\":");
            sp_buf_json(&wanted, word);
            sp_buf_text(&wanted, "}");
        }
        sp_buf_text(&wanted, "]");
        bool known = sp_sql_words_write(sp_span_cstr(cases[i].text), &out);
        assert_int_equal(known, cases[i].words != NULL);
        assert_true(!known || sp_span_eq(sp_buf_borrow(&out), sp_buf_borrow(&wanted)));
    }
}

/* EXPLAIN EXECUTE runs what its parameters call. */
static void parameters_that_compute(void **state)
{
    static const struct {
        const char *text;
        bool computes;
    } cases[] = {{"EXECUTE p", false},
                 {"EXECUTE p(1, 'x', NULL, -2, '2026-01-01'::date, $1)", false},
                 {"EXECUTE p(1, lo_unlink(901))", true},
                 {"EXECUTE p((SELECT 1))", true},
                 {"EXECUTE p(pg_advisory_lock(1)::text)", true},
                 {"EXPLAIN EXECUTE p(1 + 1)", true}};
    static const char two_ways[] = "EXECUTE k('\\', lo_unlink(4242), '/*', '*/)--')";
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        const sp_sql_judgement *got =
            sp_sql_judge_text(it->judge, &context, sp_span_cstr(cases[i].text));
        assert_int_equal(got->statement_count, 1);
        assert_int_equal(got->statements[0].computes, cases[i].computes);
    }
    assert_int_equal(sp_sql_judge_text(it->judge, &context, sp_span_cstr(two_ways))->fault,
                     SP_SQL_AMBIGUOUS);
}

/* What these set may be a password: its literals are not written down. */
static void test_secrets(void **state)
{
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    static const struct {
        const char *text;
        bool is_secret;
    } cases[] = {
        {"SET app.key = 'x'", true},
        {"SET LOCAL app.key TO 'x'", true},
        {"SELECT set_config('app.key', 'x', false)", true},
        {"ALTER ROLE a SET app.key = 'x'", true},
        {"ALTER DATABASE d SET app.key = 'x'", true},
        {"ALTER SYSTEM SET primary_conninfo = 'x'", true},
        {"ALTER ROLE a PASSWORD 'x'", true},
        {"CREATE USER MAPPING FOR a SERVER s OPTIONS (password 'x')", true},
        {"CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", true},
        {"CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'x')", true},
        {"IMPORT FOREIGN SCHEMA f FROM SERVER s INTO t OPTIONS (a 'x')", true},
        {"ALTER FUNCTION f(int) SET app.key = 'x'", true},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET app.key = 'x' AS 'SELECT 1'", true},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = 'x' AS 'SELECT 1'", false},
        {"ALTER FUNCTION f(int) SET work_mem = '1MB'", false},
        {"SET DateStyle = 'ISO'", false},
        {"SELECT set_config('search_path', '', false)", false},
        {"SELECT note FROM orders WHERE note = 'x'", false},
        {"ALTER DATABASE d CONNECTION LIMIT 3", false},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        const sp_sql_judgement *got =
            sp_sql_judge_text(it->judge, &context, sp_span_cstr(cases[i].text));
        bool is_secret = (got->flags & SP_SQL_IS_SECRET) != 0;
        if (got->fault == SP_SQL_FINE && is_secret != cases[i].is_secret) {
            fail_msg("%s: %s", cases[i].text, is_secret ? "secret" : "no secret");
        }
        if (got->fault != SP_SQL_FINE && !cases[i].is_secret &&
            strstr(cases[i].text, "set_config") == NULL) {
            fail_msg("%s: %s", cases[i].text, got->reason);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_of_texts), cmocka_unit_test(parameters_that_compute),
        cmocka_unit_test(test_secrets), cmocka_unit_test(words_are_appended),
        cmocka_unit_test(words_of_texts)};
    return cmocka_run_group_tests(tests, office_set_up, office_tear_down);
}

/* SPDX-License-Identifier: Apache-2.0
 * No text takes a worker longer than some tens of milliseconds to judge; long ones that people and
 * programs send are judged as short ones are.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/statement.h, SP_SQL_WORK_MAX.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/sql/masking.h"

#include <string.h>
#include <time.h>

/* "%d" is the number, from 1. */
static void repeat(sp_buf *out, const char *piece, const char *between, int times)
{
    for (int i = 1; i <= times; i++) {
        sp_buf_text(out, i > 1 ? between : "");
        for (const char *c = piece; *c != '\0'; c++) {
            if (*c == '#') {
                sp_buf_fmt(out, "%d", i);
            } else {
                sp_buf_byte(out, (uint8_t)*c);
            }
        }
    }
}

/* A beginning, and pieces over and over; "#" is the number of one. */
typedef struct {
    const char *head, *piece, *between;
    int times;
    const char *middle, *other;
    int others;
    const char *tail;
} long_text;

static sp_sql_fault judge(void **state, const long_text *one, const char *what)
{
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
    sp_buf_text(&text, one->head);
    repeat(&text, one->piece, one->between, one->times);
    sp_buf_text(&text, one->middle);
    repeat(&text, one->other, ", ", one->others);
    sp_buf_text(&text, one->tail);
    assert_ok(sp_buf_error(&text));
    clock_t begun = clock();
    const sp_sql_judgement *got = sp_sql_judge_text(it->judge, &context, sp_buf_borrow(&text));
    double took = (double)(clock() - begun) / CLOCKS_PER_SEC;
    print_message("%s, %zu bytes: %.0f ms %s\n", what, text.len, took * 1000, got->reason);
    assert_true(took < 2); /* also where it is sanitized */
    return got->fault;
}

static void test_hostile(void **state)
{
    static const long_text texts[] = {
        {"SELECT ", "a.id#", ", ", 20000, " FROM ", "customers a", 2000, ""},
        {"WITH ", "a# AS (SELECT 1)", ", ", 5000, " SELECT 1 FROM ", "zz", 50000, ""},
        {"SELECT ", "a.id#", ", ", 50000, " FROM ", "(SELECT * FROM orders) a", 1000, ""},
        {"LOCK TABLE ", "t#", ", ", 900, "; SELECT 1 FROM ", "zz", 150000, ""},
        {"SELECT 1 FROM (SELECT ", "1 a#", ", ", 20000, ", 2 x) s WHERE (", "s.x#", 100000,
         ") IS NULL"},
        {"SELECT 1 FROM (SELECT 1) s(", "a#", ", ", 20000, ", x) WHERE (", "s.x#", 100000,
         ") IS NULL"},
        {"SELECT 1 FROM f() s(", "a# int", ", ", 20000, ", x int) WHERE (", "s.x#", 100000,
         ") IS NULL"},
        {"WITH s(", "a#", ", ", 20000, ", x) AS (SELECT 1) SELECT 1 FROM s WHERE (", "s.x#", 100000,
         ") IS NULL"},
    };
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        assert_int_equal(judge(state, &texts[i], "hostile"), SP_SQL_TOO_COMPLEX);
    }
}

#define FIFTY_EIGHT "__________________________________________________________"

/* A session that made as many temporary tables as it is told of, with names that differ at last. */
static bool is_one_of_many(const void *session, sp_span name)
{
    const uint8_t *names = session;
    for (size_t i = 0; i < 256; i++) {
        if (name.len < 64 && names[i * 64 + name.len] == 0 &&
            sp_span_eq((sp_span){&names[i * 64], name.len}, name)) {
            return true;
        }
    }
    return false;
}

static bool is_one_with_schema(const void *session, sp_span schema, sp_span name)
{
    return is_one_of_many(session, schema) && is_one_of_many(session, name);
}

static void test_many_names_of_the_session(void **state)
{
    static uint8_t names[256][64];
    for (int i = 0; i < 256; i++) {
        sp_copy(names[i], FIFTY_EIGHT, 58);
        names[i][58] = (uint8_t)('A' + i % 16);
        names[i][59] = (uint8_t)('A' + i / 16);
    }
    static const struct {
        const char *head, *piece, *tail;
        int times;
        sp_sql_fault fault;
    } cases[] = {{"CREATE VIEW v AS SELECT ", "NULL::" FIFTY_EIGHT "x", " FROM orders", 15000,
                  SP_SQL_TOO_COMPLEX},
                 {"SELECT 1 FROM ", "a", "", 400000, SP_SQL_TOO_COMPLEX},
                 {"SELECT 1 FROM ", "orders", "", 20000, SP_SQL_FINE},
                 {"SELECT ", "a.id", " FROM orders a", 300000, SP_SQL_TOO_COMPLEX},
                 {"DELETE FROM t1 WHERE id IN (", "(TABLE a)", ")", 100000, SP_SQL_TOO_COMPLEX}};
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office,
                                    .was_temporary = is_one_of_many,
                                    .is_other = is_one_of_many,
                                    .is_made = is_one_of_many,
                                    .is_own = is_one_with_schema,
                                    .session = names};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
        sp_buf_text(&text, cases[i].head);
        repeat(&text, cases[i].piece, ",", cases[i].times);
        sp_buf_text(&text, cases[i].tail);
        clock_t begun = clock();
        const sp_sql_judgement *got = sp_sql_judge_text(it->judge, &context, sp_buf_borrow(&text));
        double took = (double)(clock() - begun) / CLOCKS_PER_SEC;
        print_message("many names, %zu bytes: %.0f ms %s\n", text.len, took * 1000, got->reason);
        assert_int_equal(got->fault, cases[i].fault);
        assert_true(took < 2);
    }
}

/* Each WHEN is folded, and what is beyond the text's share spares no row. */
static void test_folding(void **state)
{
    static const char head[] = "WITH a0 AS (SELECT * FROM orders), "
#define NEXT(n, of)                                                                                \
    "a" #n " AS (SELECT * FROM a" #of " WHERE id IN (SELECT id FROM a" #of                         \
    ") OR id IN (SELECT id FROM a" #of ") OR id IN (SELECT id FROM a" #of "))"
        NEXT(1, 0) ", " NEXT(2, 1) ", " NEXT(3, 2) ", " NEXT(4, 3) ", " NEXT(5, 4) ", " NEXT(
            6, 5) ", " NEXT(7,
                            6) ", " NEXT(8,
                                         7) ", " NEXT(9,
                                                      8) ", " NEXT(10,
                                                                   9) ", " NEXT(11,
                                                                                10) " MERGE INTO "
                                                                                    "orders USING "
                                                                                    "wares ON "
                                                                                    "orders.id = "
                                                                                    "wares.id ";
    const long_text text = {head, "WHEN MATCHED AND orders.id IN (SELECT id FROM a11) THEN DELETE",
                            " ",  2000,
                            "",   "",
                            0,    ""};
    assert_int_equal(judge(state, &text, "folding"), SP_SQL_TOO_COMPLEX);
}

static sp_sql_fault judge_whole(void **state, sp_buf *text, const char *what)
{
    sp_buf_byte(text, 0);
    const long_text whole = {(const char *)sp_buf_borrow(text).ptr, "", "", 0, "", "", 0, ""};
    return judge(state, &whole, what);
}

/* WITH queries that each are eight of the one before. */
static sp_sql_fault judge_deep(void **state, int others)
{
    auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
    sp_buf_text(&text, "WITH ");
    repeat(&text, "z# AS (SELECT 1), ", "", others);
    sp_buf_text(&text, "a0 AS (SELECT 1)");
    for (int i = 0; i < 5; i++) {
        sp_buf_fmt(&text, ", a%d AS (SELECT 1 FROM a%d, a%d, a%d, a%d, a%d, a%d, a%d, a%d)", i + 1,
                   i, i, i, i, i, i, i, i);
    }
    sp_buf_text(&text, " DELETE FROM orders WHERE id IN (SELECT 1 FROM a5");
    repeat(&text, ", a5", "", 7);
    sp_buf_byte(&text, ')');
    return judge_whole(state, &text, "deep");
}

static sp_sql_fault judge_wide(void **state, int conditions)
{
    auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
    sp_buf_text(&text, "WITH ");
    repeat(&text, "a# AS (SELECT 1)", ", ", 1000);
    sp_buf_text(&text, " DELETE FROM nosuch WHERE ");
    for (int i = 0; i < conditions; i++) {
        sp_buf_text(&text, i > 0 ? " AND id IN (SELECT 1 FROM " : "id IN (SELECT 1 FROM ");
        repeat(&text, "a97#", ", ", 9);
        repeat(&text, ", a98#", "", 9);
        repeat(&text, ", a99#", "", 9);
        sp_buf_byte(&text, ')');
    }
    return judge_whole(state, &text, "wide");
}

/* Wherever within a condition the work is spent, what a name was found to be stays so. */
static void test_spent_within(void **state)
{
    for (int others = 10; others <= 30; others++) {
        sp_sql_fault fault = judge_deep(state, others);
        assert_true(fault == SP_SQL_TOO_COMPLEX || (fault == SP_SQL_FINE && others < 25));
    }
    for (int conditions = 1; conditions <= 80; conditions++) {
        sp_sql_fault fault = judge_wide(state, conditions);
        assert_true(fault == SP_SQL_TOO_COMPLEX || (fault == SP_SQL_FINE && conditions < 75));
    }
}

static void test_honest(void **state)
{
    static const long_text texts[] = {
        {"SELECT ", "t7.note", ", ", 1600, " FROM ", "orders t#", 40, ""},
        {"WITH ", "a# AS (SELECT id FROM orders WHERE id = #)", ", ", 100, " SELECT 1 FROM ",
         "a7 x#", 300, ""},
        {"", "UPDATE orders SET note = 'x' WHERE id = # AND customer_id = 7", "; ", 1000, "", "", 0,
         ""},
        {"LOCK TABLE ", "t#", ", ", 900, "", "", 0, " IN ACCESS SHARE MODE"},
        {"INSERT INTO orders VALUES ", "(#, 7, 'x', 'y', NULL, 3.5, true)", ", ", 20000, "", "", 0,
         ""},
        {"DELETE FROM orders WHERE ", "id = #", " OR ", 900, "", "", 0, ""},
        {"SELECT 1 FROM (SELECT ", "1 a#", ", ", 1600, ", 2 x) s WHERE (", "s.x", 1600,
         ") IS NULL"},
        {"SELECT * FROM orders WHERE id IN (", "#", ", ", 60000, ")", "", 0, ""},
        {"DELETE FROM orders WHERE id IN (", "#", ", ", 60000, ")", "", 0, ""},
    };
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        assert_int_equal(judge(state, &texts[i], "honest"), SP_SQL_FINE);
    }
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    const sp_sql_judgement *got =
        sp_sql_judge_text(it->judge, &context, SP_SPAN_LIT("DELETE FROM orders WHERE id = 1"));
    assert_int_equal(got->uses[0].action, SP_ACTION_WRITE); /* each text begins anew */
}

static sp_sql_masking_mode mask(void **state, const sp_buf *text)
{
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    assert_ok(sp_buf_error(text));
    clock_t begun = clock();
    sp_sql_masking got =
        sp_sql_masking_text(it->judge, &context, sp_buf_borrow(text), OFFICE_PERSONAL);
    double took = (double)(clock() - begun) / CLOCKS_PER_SEC;
    print_message("%zu bytes, masked: %.0f ms\n", text->len, took * 1000);
    assert_true(took < 2); /* sanitized, and beside others */
    return got.mode;
}

/* WITH queries that each add to the one before, as programs write them. */
static void test_chain(void **state)
{
    auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
    sp_buf_text(&text, "WITH q0 AS (SELECT * FROM orders)");
    for (int i = 1; i <= 160; i++) {
        sp_buf_fmt(&text, ", q%d AS (SELECT q.*", i);
        for (int j = 0; j < 40; j++) {
            sp_buf_fmt(&text, ", q.id + %d AS a%d_%d", j, i, j);
        }
        sp_buf_fmt(&text, " FROM q%d q LEFT JOIN wares w ON w.id = q.id)", i - 1);
    }
    sp_buf_text(&text, " SELECT * FROM q160");
    assert_int_equal(judge_whole(state, &text, "chain"), SP_SQL_FINE);
}

/* Rows that are named one by one, by keys of two columns. */
static void test_long_or(void **state)
{
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
    sp_buf_text(&text, "DELETE FROM orders WHERE ");
    repeat(&text, "(id = # AND customer_id = #)", " OR ", 10000);
    const sp_sql_judgement *got = sp_sql_judge_text(it->judge, &context, sp_buf_borrow(&text));
    assert_int_equal(got->fault, SP_SQL_FINE);
    assert_true(got->uses[0].action == SP_ACTION_WRITE && got->uses[0].flags == 0);
}

/* Parts without masked columns, beside a table that has some. */
static void test_long_clean_set(void **state)
{
    auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
    for (int i = 0; i < 400; i++) {
        sp_buf_text(&text, i > 0 ? " UNION ALL SELECT " : "SELECT ");
        repeat(&text, "o.note AS c#", ", ", 20);
        sp_buf_text(&text, " FROM orders o JOIN customers c ON c.id = o.customer_id");
    }
    assert_int_equal(mask(state, &text), SP_SQL_MASKING_BY_ORIGIN);
}

/* Tables of many columns, over and over. */
static void test_wide_tables(void **state)
{
    static const struct {
        const char *relation, *beside;
        int times;
        sp_sql_masking_mode mode;
    } cases[] = {{"wide", "", 500, SP_SQL_MASKING_CLEAN},
                 {"wide", "", 300000, SP_SQL_MASKING_CLEAN},
                 {"wide", ", customers", 500, SP_SQL_MASKING_BY_ORIGIN},
                 {"wide w#", "", 100, SP_SQL_MASKING_CLEAN}};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
        sp_buf_text(&text, "SELECT 1 FROM ");
        repeat(&text, cases[i].relation, ",", cases[i].times);
        sp_buf_text(&text, cases[i].beside);
        assert_int_equal(mask(state, &text), cases[i].mode);
    }
}

/* Each place is looked for among all that is shown; each column of a COPY among all tables. */
static void test_places_and_copies(void **state)
{
    auto_buf sp_buf places = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
    sp_buf_text(&places, "SELECT ");
    repeat(&places, "1", ",", 250000);
    sp_buf_text(&places, " FROM customers ORDER BY ");
    repeat(&places, "1", ",", 250000);
    assert_int_equal(mask(state, &places), SP_SQL_MASKING_REFUSED);
    static const struct {
        int columns, tables;
        bool is_sure;
    } cases[] = {{1600, 200000, false}, {300, 20, true}};
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
        auto_free sp_copy_plan *plan = NULL;
        const char *why = NULL;
        sp_buf_text(&text, "COPY (SELECT phone");
        repeat(&text, ",what", "", cases[i].columns);
        sp_buf_text(&text, " FROM customers, audit.entries");
        repeat(&text, ",wares", "", cases[i].tables);
        sp_buf_text(&text, ") TO STDOUT");
        assert_int_equal(mask(state, &text), SP_SQL_MASKING_BY_ORIGIN);
        clock_t begun = clock();
        sp_err err = sp_sql_masking_copy(it->judge, &context, sp_buf_borrow(&text), OFFICE_PERSONAL,
                                         &plan, &why);
        double took = (double)(clock() - begun) / CLOCKS_PER_SEC;
        print_message("%zu bytes, copied: %.0f ms\n", text.len, took * 1000);
        assert_int_equal(err.code, cases[i].is_sure ? SP_OK : SP_EUNSUPPORTED);
        assert_true(took < 2);
    }
}

/* Long ones end before they cost more than some tens of milliseconds; each is refused, or fine. */
static void test_long_sets(void **state)
{
    static const struct {
        int arms, columns;
        sp_sql_masking_mode mode;
    } cases[] = {{20, 20, SP_SQL_MASKING_STRICT},
                 {200, 100, SP_SQL_MASKING_STRICT},
                 {400, 100, SP_SQL_MASKING_STRICT},
                 {900, 120, SP_SQL_MASKING_REFUSED}};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        auto_buf sp_buf text = sp_buf_make(SP_SQL_TEXT_MAX_BYTES);
        for (int arm = 0; arm < cases[i].arms; arm++) {
            sp_buf_text(&text, arm > 0 ? " UNION ALL SELECT " : "SELECT ");
            for (int column = 1; column < cases[i].columns; column++) {
                sp_buf_text(&text, arm > 0 ? "id," : "id AS x,");
            }
            sp_buf_text(&text, "phone FROM customers");
        }
        print_message("%d parts of %d columns\n", cases[i].arms, cases[i].columns);
        assert_int_equal(mask(state, &text), cases[i].mode);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_folding),
                                       cmocka_unit_test(test_spent_within),
                                       cmocka_unit_test(test_honest),
                                       cmocka_unit_test(test_long_sets),
                                       cmocka_unit_test(test_wide_tables),
                                       cmocka_unit_test(test_places_and_copies),
                                       cmocka_unit_test(test_chain),
                                       cmocka_unit_test(test_long_or),
                                       cmocka_unit_test(test_long_clean_set),
                                       cmocka_unit_test(test_many_names_of_the_session)};
    return cmocka_run_group_tests(tests, office_set_up_masked, office_tear_down);
}

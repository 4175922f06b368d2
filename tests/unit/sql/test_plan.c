/* SPDX-License-Identifier: Apache-2.0
 * The rows of a plan, as PostgreSQL 15 writes plans.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/plan.h.
 */
#include "tests/unit/cm.h"

#include "lib/base/mem.h"
#include "lib/sql/plan.h"

#include <stdio.h>
#include <string.h>

static uint64_t rows_of(const char *json)
{
    sp_sql_plan plan = {.rows = UINT64_MAX};
    assert_int_equal(sp_sql_plan_read(sp_span_cstr(json), &plan).code, SP_OK);
    return plan.rows;
}

static sp_code code_of(const char *json)
{
    sp_sql_plan plan;
    return sp_sql_plan_read(sp_span_cstr(json), &plan).code;
}

static void test_reads(void **state)
{
    (void)state;
    assert_int_equal(rows_of("[{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Plan Rows\": 200}}]"),
                     200);
    assert_int_equal(rows_of("[{\"Plan\": {\"Node Type\": \"Limit\", \"Plan Rows\": 5, \"Plans\": ["
                             "{\"Node Type\": \"Seq Scan\", \"Parent Relationship\": \"Outer\","
                             "\"Plan Rows\": 9000}]}}]"),
                     5);
}

static void test_changes(void **state)
{
    (void)state;
    assert_int_equal(
        rows_of("[{\"Plan\": {\"Node Type\": \"ModifyTable\", \"Operation\": \"Delete\","
                "\"Plan Rows\": 0, \"Plans\": [{\"Node Type\": \"Seq Scan\","
                "\"Parent Relationship\": \"Outer\", \"Plan Rows\": 40000, \"Filter\": "
                "\"(note = '\\\"Plan Rows\\\": 1'::text)\"}, {\"Node Type\": \"Result\","
                "\"Parent Relationship\": \"InitPlan\", \"Plan Rows\": 7}]}}]"),
        40000);
    /* WITH gone AS (DELETE ... RETURNING *) SELECT count(*) FROM gone */
    assert_int_equal(
        rows_of("[{\"Plan\": {\"Node Type\": \"Aggregate\", \"Plan Rows\": 1, \"Plans\": ["
                "{\"Node Type\": \"ModifyTable\", \"Parent Relationship\": \"InitPlan\","
                "\"Plan Rows\": 300, \"Plans\": [{\"Node Type\": \"Seq Scan\","
                "\"Parent Relationship\": \"Outer\", \"Plan Rows\": 300}]},"
                "{\"Node Type\": \"CTE Scan\", \"Parent Relationship\": \"Outer\","
                "\"Plan Rows\": 300}]}}]"),
        300);
}

static bool adds(const char *operation)
{
    char json[160];
    sp_sql_plan plan;
    snprintf(json, sizeof(json),
             "[{\"Plan\": {\"Node Type\": \"ModifyTable\", \"Operation\": \"%s\","
             "\"Plan Rows\": 0}}]",
             operation);
    assert_int_equal(sp_sql_plan_read(sp_span_cstr(json), &plan).code, SP_OK);
    return plan.adds;
}

static void test_what_makes_rows(void **state)
{
    (void)state;
    assert_false(adds("Delete") || adds("Update"));
    assert_true(adds("Insert") && adds("Merge") && adds(""));
}

/* One change beneath another node, or beside another change, is not what the tag counts. */
static void test_what_is_told(void **state)
{
    (void)state;
    static const char top[] = "[{\"Plan\": {\"Node Type\": \"%s\", \"Operation\": \"%s\","
                              "\"Plan Rows\": 0, \"Plans\": [{\"Node Type\": \"%s\","
                              "\"Operation\": \"%s\", \"Plan Rows\": 5,"
                              "\"Conflict Resolution\": \"%s\"}]}}]";
    static const struct {
        const char *words[5];
        bool is_told;
        bool hides;
    } cases[] = {
        {{"Aggregate", "", "Seq Scan", "", ""}, true, false},
        {{"ModifyTable", "Delete", "Seq Scan", "", ""}, true, false},
        {{"ModifyTable", "Update", "ModifyTable", "Delete", ""}, false, true},
        {{"ModifyTable", "Insert", "ModifyTable", "Insert", "NOTHING"}, false, false},
        {{"ModifyTable", "Insert", "ModifyTable", "Insert", "UPDATE"}, false, true},
        {{"Aggregate", "", "ModifyTable", "Delete", ""}, false, true},
        {{"Aggregate", "", "ModifyTable", "Merge", ""}, false, true},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        char json[400];
        sp_sql_plan plan;
        const char *const *w = cases[i].words;
        snprintf(json, sizeof(json), top, w[0], w[1], w[2], w[3], w[4]);
        assert_int_equal(sp_sql_plan_read(sp_span_cstr(json), &plan).code, SP_OK);
        assert_int_equal(plan.is_told, cases[i].is_told);
        assert_int_equal(plan.hides, cases[i].hides);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   "[]",          "{",        "[}",
                                      "{]", "\"",          "\"a\\",    "[{\"Plan\": 3}]",
                                      "]",  "[{\"a\":@}]", "Plan Rows"};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_int_equal(code_of(bad[i]), SP_EINVALID);
    }
    char deep[SP_SQL_PLAN_DEPTH_MAX + 8];
    sp_set(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_int_equal(code_of(deep), SP_ELIMIT);
    assert_int_equal(rows_of("{\"Plan Rows\": 99999999999999999999999}"), INT64_MAX);
    assert_int_equal(rows_of("{\"Plan Rows\": -5}"), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reads), cmocka_unit_test(test_changes),
                                       cmocka_unit_test(test_what_makes_rows),
                                       cmocka_unit_test(test_what_is_told),
                                       cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

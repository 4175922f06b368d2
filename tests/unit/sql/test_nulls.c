/* SPDX-License-Identifier: Apache-2.0
 * Conditions that ask for NULL, and those that say a thing and its opposite.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/folding.h.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include "lib/base/mem.h"

#include <stdio.h>

static void all_are(void **state, const char *const *conditions, size_t count, const char *judged)
{
    const sp_sql_context context = {.is_early = false};
    char texts[64][200];
    office_judged cases[64];
    assert_in_range(count, 1, SP_COUNT(cases));
    for (size_t i = 0; i < count; i++) {
        snprintf(texts[i], sizeof(texts[i]), "DELETE FROM orders WHERE %s", conditions[i]);
        cases[i] = (office_judged){texts[i], judged};
    }
    office_check(state, context, cases, count);
}

/* it is so of every row */
static void test_what_spares_no_row(void **state)
{
    static const char *const conditions[] = {
        "id IS DISTINCT FROM NULL",
        "NULL IS DISTINCT FROM id",
        "(id = 1) IS DISTINCT FROM NULL",
        "(id = 1) IS DISTINCT FROM NULL::bool",
        "(id = 1) IS NOT NULL",
        "(id = 1) IS NOT UNKNOWN",
        "(id = $1) IS NOT NULL",
        "(id + 1 > 7 AND id IN (1, 2)) IS NOT NULL",
        "(id BETWEEN 1 AND 2) IS NOT UNKNOWN",
        "(note IS NULL) IS NOT NULL",
        "(note IS DISTINCT FROM 'x') IS NOT NULL",
        "ROW(note, 1) IS DISTINCT FROM NULL",
        "ROW(id, 1) IS NOT NULL",
        "ARRAY[note] IS NOT NULL",
        "coalesce(note, 'x') IS NOT NULL",
        "greatest(total, id) IS NOT NULL",
        "CASE WHEN total = 1 THEN 1 ELSE id END IS NOT NULL",
        "EXISTS (SELECT orders.note) IS NOT NULL",
        "NOT (id IS NULL)",
        "NOT ((id = 1) IS NULL)",
        "NOT ((id = 1) IS NOT DISTINCT FROM NULL)",
        "total IS TRUE OR total IS NOT TRUE",
        "(id = 1) IS UNKNOWN OR (id = 1) IS NOT UNKNOWN",
        "(id = 1) IS NOT TRUE OR (id = 1) IS NOT FALSE",
        "note IS DISTINCT FROM 'x' OR note IS NOT DISTINCT FROM 'x'",
        "total BETWEEN 3 AND 7 OR total NOT BETWEEN 3 AND 7",
        "note !~ 'x' OR note ~ 'x'",
    };
    all_are(state, conditions, SP_COUNT(conditions), "destroy! orders; destroy!~ order_lines");
}

/* some rows may have none */
static void test_what_may_spare_some(void **state)
{
    static const char *const conditions[] = {
        "note IS DISTINCT FROM NULL",
        "(note = 'x') IS NOT NULL",
        "(id = 1 AND note = 'x') IS NOT UNKNOWN",
        "coalesce(note, total::text) IS NOT NULL",
        "CASE WHEN id = 1 THEN note ELSE 'x' END IS NOT NULL",
        "CASE WHEN id = 1 THEN 1 END IS NOT NULL",
        "nullif(id, 1) IS NOT NULL",
        "(note -> 'x') IS NOT NULL",
        "NOT (note IS NULL)",
        "note IS TRUE OR total IS NOT TRUE",
        "note IS TRUE OR note IS UNKNOWN",
    };
    all_are(state, conditions, SP_COUNT(conditions), "write+ orders; write~+ order_lines");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_spares_no_row),
        cmocka_unit_test(test_what_may_spare_some),
    };
    return cmocka_run_group_tests(tests, office_set_up, office_tear_down);
}

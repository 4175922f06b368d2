/* SPDX-License-Identifier: Apache-2.0
 * How far what policy says of a column reaches in a catalogue.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/catalogue.h.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include "lib/base/mem.h"

#include <stdio.h>

/* A generated column is what it is computed of, masked in full; others of its table are clear. */
static void test_generated(void **state)
{
    sp_sql_catalogue *catalogue = NULL;
    uint32_t table = SP_NONE;
    (void)state;
    assert_ok(sp_sql_catalogue_new(1 << 16, &catalogue));
    assert_ok(sp_sql_catalogue_relation(catalogue, SP_SPAN_LIT("public"), SP_SPAN_LIT("t"), 16384,
                                        'r', 0, &table));
    static const char *const names[] = {"id", "phone", "upper", "twice"};
    for (int16_t i = 0; i < 4; i++) {
        assert_ok(sp_sql_catalogue_column(catalogue, sp_span_cstr(names[i]), (int16_t)(i + 1), 25,
                                          false));
    }
    assert_ok(sp_sql_catalogue_generated(catalogue, table, 3, 2));
    assert_ok(sp_sql_catalogue_generated(catalogue, table, 4, 1));
    assert_ok(sp_sql_catalogue_generated(catalogue, table, 9, 2)); /* no such column */
    assert_ok(sp_sql_catalogue_finish(catalogue));
    const sp_sql_bound bound = {.part = SP_NONE, .tags = OFFICE_PERSONAL, .mask = SP_MASK_MOBILE};
    sp_sql_catalogue_bind_column(
        catalogue, sp_sql_catalogue_find_column(catalogue, table, SP_SPAN_LIT("phone")), &bound);
    sp_sql_catalogue_bind_finish(catalogue);
    const sp_sql_column *got = sp_sql_catalogue_columns(catalogue, table);
    assert_int_equal(got[2].bound.tags, OFFICE_PERSONAL);
    assert_int_equal(got[2].bound.mask, SP_MASK_FULL);
    assert_int_equal(got[0].bound.tags | got[3].bound.tags, 0);
    sp_sql_catalogue_free(catalogue);
}

/* A child with a tag and a mask of its own shows no more than its parent would. */
static void test_two_masks(void **state)
{
    auto_catalogue sp_sql_catalogue *catalogue = NULL;
    (void)state;
    assert_ok(sp_sql_catalogue_new(1 << 16, &catalogue));
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t table = 0;
        assert_ok(sp_sql_catalogue_relation(catalogue, SP_SPAN_LIT("public"),
                                            sp_span_cstr(i == 0 ? "t" : "t1"), 16384 + i, 'r', 0,
                                            &table));
        assert_ok(sp_sql_catalogue_column(catalogue, SP_SPAN_LIT("phone"), 1, 25, false));
    }
    assert_ok(sp_sql_catalogue_edge(catalogue, SP_SQL_EDGE_CHILD, 0, 1));
    assert_ok(sp_sql_catalogue_finish(catalogue));
    const sp_sql_bound of_parent = {
        .part = SP_NONE, .tags = OFFICE_PERSONAL, .mask = SP_MASK_MOBILE};
    const sp_sql_bound of_child = {.part = SP_NONE, .tags = 2, .mask = SP_MASK_NAME};
    sp_sql_catalogue_bind_column(catalogue, 0, &of_parent);
    sp_sql_catalogue_bind_column(catalogue, 1, &of_child);
    sp_sql_catalogue_bind_finish(catalogue);
    const sp_sql_column *got = sp_sql_catalogue_columns(catalogue, 1);
    assert_true(got->bound.tags == (OFFICE_PERSONAL | 2) && got->bound.mask == SP_MASK_FULL);
}

/* However many views are between, and in whatever order they were made. */
static void test_deep_views(void **state)
{
    enum { VIEWS = 200 };
    auto_catalogue sp_sql_catalogue *catalogue = NULL;
    (void)state;
    assert_ok(sp_sql_catalogue_new(1 << 16, &catalogue));
    for (uint32_t i = 0; i <= VIEWS; i++) {
        char name[16];
        uint32_t at = 0;
        snprintf(name, sizeof(name), "v%u", i);
        assert_ok(sp_sql_catalogue_relation(catalogue, SP_SPAN_LIT("public"), sp_span_cstr(name),
                                            16384 + i, i == VIEWS ? 'r' : 'v', 0, &at));
        assert_ok(sp_sql_catalogue_column(catalogue, SP_SPAN_LIT("phone"), 1, 25, false));
        assert_ok(sp_sql_catalogue_column(catalogue, SP_SPAN_LIT("twice"), 2, 25, false));
    }
    for (uint32_t i = 0; i < VIEWS; i++) {
        assert_ok(sp_sql_catalogue_edge(
            catalogue, i % 50 == 7 ? SP_SQL_EDGE_CHILD : SP_SQL_EDGE_READS, i, i + 1));
    }
    assert_ok(sp_sql_catalogue_generated(catalogue, VIEWS, 2, 1));
    assert_ok(sp_sql_catalogue_finish(catalogue));
    const sp_sql_bound bound = {.part = SP_NONE, .tags = OFFICE_PERSONAL, .mask = SP_MASK_MOBILE};
    for (int turn = 0; turn < 2; turn++) {
        sp_sql_catalogue_bind_clear(catalogue);
        sp_sql_catalogue_bind_column(catalogue, VIEWS * 2, &bound);
        sp_sql_catalogue_bind_finish(catalogue);
        for (uint32_t i = 0; i < VIEWS; i++) {
            const sp_sql_column *got = sp_sql_catalogue_columns(catalogue, i);
            assert_true(got[0].bound.tags == OFFICE_PERSONAL && got[1].bound.tags != 0);
            assert_true((sp_sql_catalogue_at(catalogue, i)->flags & SP_SQL_REL_NEAR) != 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generated),
        cmocka_unit_test(test_two_masks),
        cmocka_unit_test(test_deep_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

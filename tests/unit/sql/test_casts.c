/* SPDX-License-Identifier: Apache-2.0
 * Casts that users made run functions of theirs wherever a value of their types may be.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/catalogue.h, lib/sql/README.md.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include <stdlib.h>

enum { OID_BOX = 20000, OID_TEXT = 25 };

static void must(sp_err err)
{
    if (sp_failed(err)) {
        abort();
    }
}

/* "CREATE CAST (box AS text) WITH FUNCTION of_box": boxes(id, c box), m_boxes likewise, unbox(box);
 * with_always: one of two types of the server besides, by a function that policy lists. */
static sp_sql_catalogue *make_catalogue(bool with_always)
{
    const sp_span home = SP_SPAN_LIT("public");
    const sp_span of_box = SP_SPAN_LIT("of_box");
    static const char *const names[] = {"boxes", "m_boxes", "people"};
    static const char kinds[] = {'r', 'm', 'r'};
    sp_sql_catalogue *made = NULL;
    must(sp_sql_catalogue_new(1 << 20, &made));
    must(sp_sql_catalogue_path(made, home));
    for (uint32_t i = 0; i < SP_COUNT(names); i++) {
        uint32_t index = SP_NONE;
        must(sp_sql_catalogue_relation(made, home, sp_span_cstr(names[i]), 16384 + i, kinds[i], 0,
                                       &index));
        must(sp_sql_catalogue_column(made, SP_SPAN_LIT("id"), 1, OID_TEXT, true));
        must(sp_sql_catalogue_column(made, SP_SPAN_LIT("c"), 2, i < 2 ? OID_BOX : OID_TEXT, false));
        if (i < 2) {
            must(sp_sql_catalogue_cast_rows(made, index, home, of_box));
        }
    }
    must(sp_sql_catalogue_function(made, home, of_box, false));
    must(sp_sql_catalogue_cast(made, SP_SQL_CAST_TYPE, OID_BOX, SP_SPAN_LIT("box2"), home, of_box));
    must(sp_sql_catalogue_cast(made, SP_SQL_CAST_TYPE, OID_BOX + 1, SP_SPAN_LIT("_box2"), home,
                               of_box));
    must(sp_sql_catalogue_cast(made, SP_SQL_CAST_CALLED, 0, SP_SPAN_LIT("listed"), home, of_box));
    must(sp_sql_catalogue_cast(made, SP_SQL_CAST_CALLED, 0, SP_SPAN_LIT("@@"), home, of_box));
    must(sp_sql_catalogue_cast(made, SP_SQL_CAST_ANY, 0, SP_SPAN_EMPTY, home, of_box));
    if (with_always) {
        must(sp_sql_catalogue_cast(made, SP_SQL_CAST_ALWAYS, 0, SP_SPAN_EMPTY, home,
                                   SP_SPAN_LIT("to_small")));
    }
    assert_fails(sp_sql_catalogue_cast(made, SP_SQL_CAST_TYPE, 1, SP_SPAN_EMPTY, home, of_box),
                 SP_EINVALID);
    assert_fails(sp_sql_catalogue_cast(made, SP_SQL_CAST_ANY, 0, of_box, home, of_box),
                 SP_EINVALID);
    must(sp_sql_catalogue_finish(made));
    return made;
}

static bool is_temporary(const void *session, sp_span name)
{
    return session == NULL && sp_span_eq(name, SP_SPAN_LIT("scratch"));
}

static void check(bool with_always, const office_judged *cases, size_t count)
{
    office_room it = {.office = make_catalogue(with_always)};
    void *room = &it;
    const sp_sql_context context = {.function_action = office_is_listed,
                                    .is_temporary = is_temporary};
    must(sp_sql_judge_new(&it.judge));
    office_check(&room, context, cases, count);
    sp_sql_judge_free(it.judge);
    sp_sql_catalogue_free(it.office);
}

#define OF_BOX "destroy? database; execute? function of_box"

static void test_where_a_value_may_be(void **state)
{
    (void)state;
    static const office_judged cases[] = {
        {"SELECT lower(c) FROM boxes", OF_BOX "; read boxes"},
        {"SELECT id FROM m_boxes", OF_BOX "; read m_boxes"},
        {"INSERT INTO people SELECT 1, c FROM boxes", OF_BOX "; write people; read boxes"},
        {"INSERT INTO boxes VALUES (1, 'x'::text)", OF_BOX "; write boxes"},
        {"UPDATE boxes SET c = NULL WHERE id = 1", OF_BOX "; write boxes"},
        {"ALTER TABLE boxes ALTER c TYPE text", "destroy boxes; " OF_BOX},
        {"ALTER TABLE boxes ALTER id TYPE text",
         "destroy? database; alter boxes; execute? function of_box"},
        {"DELETE FROM boxes WHERE c::text = 'x'",
         "destroy? database; execute? function of_box; write+ boxes"},
        {"DELETE FROM boxes WHERE id::text = 'x'", OF_BOX "; write boxes"},
        {"GRANT SELECT ON boxes TO bob", "administer boxes"},
        {"SELECT lower('x'::box2)", OF_BOX},
        {"SELECT CAST('x' AS public.box2[])", OF_BOX},
        {"SELECT * FROM json_to_record('{}') AS t(x _box2)", OF_BOX},
        {"SELECT listed('x')", OF_BOX "; read function listed"},
        {"SELECT 1 @@ 2", OF_BOX},
        {"SELECT 1 FROM scratch", OF_BOX},
        {"SELECT (NULL::scratch).x", OF_BOX},
        {"SELECT 1 FROM unheard", OF_BOX "; read unheard"},
        {"PREPARE p (box2) AS SELECT lower($1)", "forbidden"},
        {"PREPARE p (text) AS SELECT lower($1)", ""},
        {"SELECT c::text FROM people WHERE id = 'x'", "read people"},
        {"SELECT lower('x'::text)", ""},
    };
    check(false, cases, SP_COUNT(cases));
}

/* Of two types of the server: any expression may have it. */
static void test_anywhere(void **state)
{
    (void)state;
    static const office_judged cases[] = {
        {"SELECT 1::int2", "destroy? database; execute? function to_small"},
        {"BEGIN", ""},
        {"SET work_mem = '1MB'", ""},
        {"FETCH c", ""},
    };
    check(true, cases, SP_COUNT(cases));
}

static void test_types(void **state)
{
    (void)state;
    sp_sql_catalogue *made = make_catalogue(false);
    assert_true(sp_sql_catalogue_is_cast(made, OID_BOX));
    assert_true(sp_sql_catalogue_is_cast(made, OID_BOX + 1));
    assert_false(sp_sql_catalogue_is_cast(made, OID_TEXT));
    assert_false(sp_sql_catalogue_is_cast(made, 0));
    sp_sql_catalogue_free(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_where_a_value_may_be),
                                       cmocka_unit_test(test_anywhere),
                                       cmocka_unit_test(test_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

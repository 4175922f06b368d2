/* SPDX-License-Identifier: Apache-2.0
 * Names that a session gave to other rows are judged and masked as what they were, and as anything.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/masking.h, lib/sql/judge.h.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include "lib/sql/masking.h"

typedef office_room room;

static bool is_customers(const void *session, sp_span name)
{
    return session == NULL && (sp_span_eq(name, SP_SPAN_LIT("customers")) ||
                               sp_span_eq(name, SP_SPAN_LIT("v_customers")));
}

static bool is_any(const void *session, sp_span name)
{
    return session == NULL && name.len > 0;
}

static bool is_lately(const void *session, sp_span name)
{
    return session == NULL && sp_span_eq(name, SP_SPAN_LIT("lately"));
}

static bool made_lately(const void *session, sp_span schema, sp_span name)
{
    return (schema.len == 0 || sp_span_eq(schema, SP_SPAN_LIT("public"))) &&
           is_lately(session, name);
}

/* A name that the session gave away may still be what it was, or anything else. */
static void names_are_masked_as_both(void **state)
{
    static const char *const refused[] = {
        "SELECT c.id FROM public.customers c JOIN orders w ON w.note = substr(c.phone, 5, 1)",
        "SELECT id FROM customers WHERE phone LIKE '138%'",
        "SELECT id FROM v_customers WHERE tel LIKE '138%'",
        "SELECT id FROM public.customers ORDER BY phone",
        "SELECT id FROM lately ORDER BY phone",
        "SELECT upper(whatever) FROM lately",
        "CREATE TABLE copy AS SELECT phone FROM public.customers",
        "INSERT INTO orders (note) SELECT whatever FROM lately",
        "INSERT INTO orders (note) SELECT phone FROM customers",
        "DELETE FROM lately WHERE phone = 'x'",
        "ALTER TABLE sometime RENAME TO another; SELECT a FROM another WHERE b = 1",
        "CREATE TABLE IF NOT EXISTS another (b int); SELECT b FROM another WHERE b = 1",
    };
    static const char *const strict[] = {
        "SELECT phone FROM customers",
        "SELECT * FROM lately",
        "CREATE TABLE another (b int); SELECT b FROM another WHERE b = 1",
    };
    room *it = *state;
    sp_sql_context context = {.catalogue = it->office, .is_other = is_customers};
    for (size_t i = 0; i < SP_COUNT(refused) + SP_COUNT(strict); i++) {
        bool is_refused = i < SP_COUNT(refused);
        const char *text = is_refused ? refused[i] : strict[i - SP_COUNT(refused)];
        if (sp_sql_masking_text(it->judge, &context, sp_span_cstr(text), OFFICE_PERSONAL).mode !=
            (is_refused ? SP_SQL_MASKING_REFUSED : SP_SQL_MASKING_STRICT)) {
            fail_msg("%s", text);
        }
    }
    const sp_span own = SP_SPAN_LIT("SELECT a FROM lately WHERE b = 1");
    context = (sp_sql_context){.catalogue = it->office, .is_own = made_lately};
    assert_int_equal(sp_sql_masking_text(it->judge, &context, own, OFFICE_PERSONAL).mode,
                     SP_SQL_MASKING_STRICT);
    context.is_other = is_lately;
    assert_int_equal(sp_sql_masking_text(it->judge, &context, own, OFFICE_PERSONAL).mode,
                     SP_SQL_MASKING_REFUSED);
    context = (sp_sql_context){.catalogue = it->office, .is_temporary = is_lately};
    const sp_sql_judgement *got = sp_sql_judge_text(
        it->judge, &context, SP_SPAN_LIT("ALTER TABLE lately RENAME TO customers"));
    assert_int_equal(got->flags & SP_SQL_IS_OTHER, 0);
    assert_int_not_equal(got->flags & SP_SQL_IS_CREATE_TEMP, 0);
}

/* What is done to it is done to what it was, with all that stands behind that, and to anything. */
static void names_are_judged_as_both(void **state)
{
    static const office_judged cases[] = {
        {"DELETE FROM orders WHERE id = 1", "write orders; write orders; write~ order_lines"},
        {"DELETE FROM orders WHERE id IS NOT NULL",
         "destroy! orders; destroy! orders; destroy!~ order_lines"},
        {"UPDATE v_names SET name = 'x' WHERE id = 1 RETURNING id",
         "write v_names; write v_names; write~ v_customers; write~ customers; write~ orders; "
         "read v_names; read v_names; read~ v_customers; read~ customers"},
        {"DROP TABLE logs", "destroy! logs; destroy! logs; destroy!~ logs_2024"},
        {"ALTER TABLE audit.entries ADD x int", "alter audit.entries; alter audit.entries"},
        {"SELECT * FROM v_names", "read v_names; read v_names; read~ v_customers; read~ customers"},
        {"ALTER TABLE logs ATTACH PARTITION logs_2024 DEFAULT",
         "alter logs; alter logs_2024; alter?>> logs; alter logs; "
         "alter logs_2024; alter>> logs"},
        {"ALTER TABLE orders RENAME TO x", "alter orders; alter?> x; alter orders; alter>> x"},
        {"ALTER TABLE customers RENAME TO x",
         "administer customers; alter customers; alter?> x; alter>> x"},
        {"CREATE VIEW v AS SELECT * FROM v_names",
         "alter schema v; alter?> v; alter> v; alter> v; alter> v; read v_names; read v_names; "
         "read~ v_customers; read~ customers"},
        {"CREATE TABLE x () INHERITS (orders)",
         "alter schema x; alter orders; alter orders; alter> x"},
        {"SELECT 1", ""},
    };
    office_check(state, (sp_sql_context){.is_other = is_any}, cases, SP_COUNT(cases));
}

/* Which names are the same is the server's to say, by its locale. */
static void names_are_ascii_where_the_server_is_not_utf8(void **state)
{
    static const struct {
        const char *text;
        bool is_utf8;
        sp_sql_masking_mode mode;
    } cases[] = {
        {"SELECT id FROM (SELECT id, phone AS \"\xc3\xa9\" FROM customers) c WHERE \xc3\x89 LIKE "
         "'1'",
         false, SP_SQL_MASKING_REFUSED},
        {"SELECT \xc3\xa9.id FROM customers \xc3\xa9", false, SP_SQL_MASKING_REFUSED},
        {"SELECT \xc3\xa9.id FROM customers \xc3\xa9", true, SP_SQL_MASKING_BY_ORIGIN},
        {"SELECT id FROM customers WHERE name = '\xc3\xa9'", false, SP_SQL_MASKING_BY_ORIGIN},
        {"SELECT \xc3\xa9.id FROM orders \xc3\xa9", false, SP_SQL_MASKING_CLEAN},
    };
    room *it = *state;
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        const sp_sql_context context = {.catalogue = it->office, .is_utf8 = cases[i].is_utf8};
        sp_sql_masking got =
            sp_sql_masking_text(it->judge, &context, sp_span_cstr(cases[i].text), OFFICE_PERSONAL);
        assert_int_equal(got.mode, cases[i].mode);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_masked_as_both), cmocka_unit_test(names_are_judged_as_both),
        cmocka_unit_test(names_are_ascii_where_the_server_is_not_utf8)};
    return cmocka_run_group_tests(tests, office_set_up_masked, office_tear_down);
}

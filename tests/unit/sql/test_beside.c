/* SPDX-License-Identifier: Apache-2.0
 * What a definition does beside the rows that are there: to those to come, and to those of others.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/README.md.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

/* What others have put there, or will, goes, changes or is seen with something else. */
static void test_beside_its_rows(void **state)
{
    const sp_sql_context context = {.function_action = office_is_listed};
    static const office_judged cases[] = {
        {"ALTER TABLE parted ATTACH PARTITION wares DEFAULT",
         "alter parted; alter wares; alter>> parted"},
        {"ALTER TABLE parted ATTACH PARTITION guarded DEFAULT",
         "administer guarded; alter parted; alter guarded; alter>> parted"},
        {"ALTER TABLE parted ATTACH PARTITION items DEFAULT",
         "administer items; alter parted; alter items; alter>> parted"},
        {"ALTER TABLE parted ATTACH PARTITION new_one DEFAULT",
         "alter parted; alter new_one; alter>> parted"},
        {"CREATE TABLE part PARTITION OF parted FOR VALUES IN (1)",
         "alter schema part; alter parted; alter> part"},
        {"CREATE TABLE part PARTITION OF parted (FOREIGN KEY (id) REFERENCES wares ON DELETE "
         "CASCADE) FOR VALUES IN (1)",
         "destroy parted; alter schema part; alter parted; alter> part; read wares"},
        {"CREATE TABLE part PARTITION OF parted (id REFERENCES wares ON DELETE SET NULL) DEFAULT",
         "destroy parted; alter schema part; alter parted; alter> part; read wares"},
        {"CREATE TABLE part PARTITION OF parted (id REFERENCES wares ON UPDATE CASCADE) DEFAULT",
         "alter schema part; alter parted; alter> part; write+ parted; read wares"},
        {"CREATE UNLOGGED TABLE part PARTITION OF parted DEFAULT",
         "destroy parted; alter schema part; alter parted; alter> part"},
        {"CREATE UNLOGGED TABLE part (id int)", "alter schema part"},
        {"ALTER TABLE held DROP COLUMN note", "destroy held; destroy!~ database"},
        {"ALTER TABLE wares DROP COLUMN sold", "destroy wares"},
        {"DELETE FROM chain_a WHERE id = 1", "write chain_a; write~ chain_b; write~ audit.chain_c"},
        {"ALTER TABLE foreign_t ADD COLUMN x int", "administer foreign_t"},
        {"ALTER FOREIGN TABLE nowhere ADD COLUMN x int", "administer nowhere"},
        {"ALTER TABLE nowhere ADD COLUMN x int OPTIONS (column_name 'phone')",
         "administer nowhere"},
        {"ALTER TABLE wares ADD COLUMN x int", "alter wares"},
        {"CREATE TYPE power AS RANGE (SUBTYPE = int4)",
         "destroy? database; administer database; alter schema power; execute? function power"},
        {"ALTER COLLATION c REFRESH VERSION", "administer database; alter schema c"},
        {"CREATE FUNCTION f(wares) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "destroy? database; alter schema f; execute? function f"},
        {"CREATE FUNCTION f(a anyelement, b int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "destroy? database; alter schema f; execute? function f"},
        {"CREATE FUNCTION f(a wares, OUT b int) LANGUAGE sql AS 'SELECT 1'",
         "destroy? database; alter schema f; execute? function f"},
        {"CREATE FUNCTION f(VARIADIC a wares[]) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "destroy? database; alter schema f; execute? function f"},
        {"CREATE FUNCTION f(wares.sold%TYPE) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "destroy? database; alter schema f; execute? function f"},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "alter schema f"},
        {"CREATE PROCEDURE f(a int) LANGUAGE sql AS 'SELECT 1'", "alter schema f"},
        {"CREATE DOMAIN public.md5 AS text",
         "destroy? database; alter schema md5; execute? function md5"},
        {"CREATE TYPE lower AS ENUM ('a')",
         "destroy? database; alter schema lower; execute? function lower"},
        {"CREATE DOMAIN phone_t AS text", "alter schema phone_t"},
        {"CREATE FUNCTION f(a wares, b int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "alter schema f"},
        {"CREATE FUNCTION f(a int) RETURNS wares LANGUAGE sql AS 'SELECT 1'",
         "destroy? database; alter schema f; execute? function f"},
    };
    office_check(state, context, cases, SP_COUNT(cases));
}

/* What watches others' changes goes, or what is there goes with something else later. */
static void test_watchers(void **state)
{
    const sp_sql_context context = {.function_action = office_is_listed};
    static const office_judged cases[] = {
        {"ALTER TABLE orders DISABLE TRIGGER USER", "administer orders"},
        {"ALTER TABLE orders DISABLE TRIGGER t", "administer orders"},
        {"ALTER TABLE orders ENABLE REPLICA TRIGGER t", "administer orders"},
        {"ALTER TABLE orders ENABLE TRIGGER t", "administer orders"},
        {"ALTER TABLE orders ENABLE TRIGGER USER", "administer orders"},
        {"ALTER TABLE orders ENABLE TRIGGER ALL", "administer orders"},
        {"ALTER TABLE orders ENABLE ALWAYS TRIGGER t", "administer orders"},
        /* a rule of replicas alone does nothing here; one that was off does it again */
        {"ALTER TABLE orders DISABLE RULE r", "administer orders"},
        {"ALTER TABLE orders ENABLE REPLICA RULE r", "administer orders"},
        {"ALTER TABLE orders ENABLE ALWAYS RULE r", "administer orders"},
        {"ALTER TABLE orders ENABLE RULE r", "administer orders"},
        /* row triggers of the parent go from it; no others have gone */
        {"ALTER TABLE parted DETACH PARTITION watched",
         "administer watched; alter parted; alter watched; alter> watched"},
        {"ALTER TABLE parted DETACH PARTITION watched FINALIZE",
         "administer watched; alter parted; alter watched; alter> watched"},
        {"ALTER TABLE parted DETACH PARTITION guarded CONCURRENTLY",
         "alter parted; alter guarded; alter> guarded"},
        /* an operator that runs unseen */
        {"CREATE TABLE x (a int, EXCLUDE USING gist (a WITH OPERATOR(audit.=)))",
         "destroy? database; alter schema x; execute? function audit.="},
        {"ALTER TABLE orders ADD EXCLUDE USING gist (id WITH =, note WITH &&)", "alter orders"},
        /* as whose, past whose policies, and with which rows a view is used */
        {"ALTER VIEW v_names SET (security_invoker = false)", "administer v_names"},
        {"ALTER TABLE v_names RESET (security_barrier)", "administer v_names"},
        {"ALTER VIEW v_names RESET (check_option)", "administer v_names"},
        {"ALTER TABLE orders SET (fillfactor = 70, autovacuum_enabled = off)", "alter orders"},
        {"ALTER FUNCTION order_total() STRICT",
         "destroy? database; alter schema order_total; execute? function order_total"},
        {"ALTER MATERIALIZED VIEW m_totals DEPENDS ON EXTENSION x", "administer m_totals"},
        {"ALTER MATERIALIZED VIEW m_totals NO DEPENDS ON EXTENSION x", "alter m_totals"},
    };
    office_check(state, context, cases, SP_COUNT(cases));
}

/* What it loses depends on what stands there now. */
static void test_types_of_now(void **state)
{
    office_room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    const sp_sql_judgement *got = sp_sql_judge_text(
        it->judge, &context, SP_SPAN_LIT("ALTER TABLE parcels ALTER year TYPE bigint"));
    assert_int_equal(got->use_count, 1);
    assert_true((got->flags & SP_SQL_IS_UNSURE) != 0);
    got = sp_sql_judge_text(it->judge, &context,
                            SP_SPAN_LIT("ALTER TABLE parcels ALTER year SET NOT NULL"));
    assert_false((got->flags & SP_SQL_IS_UNSURE) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_beside_its_rows),
                                       cmocka_unit_test(test_watchers),
                                       cmocka_unit_test(test_types_of_now)};
    return cmocka_run_group_tests(tests, office_set_up, office_tear_down);
}

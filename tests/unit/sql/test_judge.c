/* SPDX-License-Identifier: Apache-2.0
 * What statements do, in policy's words; every way around a gate that is known.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/judge.h.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>

typedef office_judged judged;
typedef office_room room;

static bool has_temp(const void *session, sp_span name)
{
    (void)session;
    return sp_span_eq(name, SP_SPAN_LIT("scratch")) || sp_span_eq(name, SP_SPAN_LIT("orders"));
}

static void check(void **state, const judged *cases, size_t count)
{
    const sp_sql_context context = {.is_temporary = has_temp, .function_action = office_is_listed};
    office_check(state, context, cases, count);
}

static void test_reads(void **state)
{
    static const judged cases[] = {
        {"", ""},
        {"-- nothing", ""},
        {"SELECT 1", ""},
        {"SELECT * FROM customers", "read customers"},
        {"SELECT * FROM public.customers c JOIN audit.entries e ON e.id = c.id",
         "read customers; read audit.entries"},
        {"TABLE customers", "read customers"},
        {"SELECT relname FROM pg_class", ""},
        {"SELECT * FROM pg_catalog.pg_class", ""},
        {"SELECT most_common_vals FROM pg_stats", "read* pg_catalog.pg_stats"},
        {"SELECT * FROM v_names", "read v_names; read~ v_customers; read~ customers"},
        {"SELECT (SELECT max(total) FROM orders)", "read orders"},
        {"SELECT 1 WHERE EXISTS (SELECT FROM orders)", "read orders"},
        {"VALUES ((SELECT 1 FROM orders))", "read orders"},
        {"SELECT * FROM orders UNION ALL SELECT * FROM customers LIMIT (SELECT 1 FROM items)",
         "read items; read orders; read customers"},
        {"WITH customers AS (SELECT * FROM customers) SELECT * FROM customers", "read customers"},
        {"WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a, b", "read b"},
        {"WITH RECURSIVE a AS (SELECT 1 UNION SELECT * FROM a) SELECT * FROM a", ""},
        {"SELECT * FROM (WITH orders AS (SELECT 1) SELECT * FROM orders) x, orders", "read orders"},
        {"SELECT * FROM nowhere", "read nowhere"},
        {"SELECT * FROM scratch", ""},
        {"SELECT * FROM pg_temp.scratch", ""},
        {"SELECT * FROM pg_temp.nowhere", "read pg_temp.nowhere"},
        {"SELECT * FROM orders FOR UPDATE", "write orders; read orders"},
        {"SELECT * FROM orders TABLESAMPLE bernoulli (10)", "read orders"},
        {"SELECT * FROM ONLY orders", "read orders"},
        {"EXPLAIN DELETE FROM orders", "read orders"},
        {"EXPLAIN (ANALYZE false) DELETE FROM orders", "read orders"},
        {"LOCK TABLE orders IN ACCESS SHARE MODE", "read orders"},
        {"DECLARE c CURSOR FOR SELECT * FROM orders", "read orders"},
        {"SELECT count(*), lower(name), pg_catalog.upper(name) FROM customers", "read customers"},
        {"SELECT similarity(name, 'x'), listed() FROM customers",
         "read customers; read function listed"},
        {"SHOW all; BEGIN; COMMIT; SAVEPOINT s; ROLLBACK TO s; FETCH ALL FROM c", ""},
        {"LISTEN x", "export database"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_changes(void **state)
{
    static const judged cases[] = {
        {"INSERT INTO orders VALUES (1)", "write orders"},
        {"INSERT INTO orders SELECT * FROM customers RETURNING *",
         "write orders; read orders; read customers"},
        {"INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x'", "write orders"},
        {"UPDATE orders SET note = 'x' WHERE id = 1", "write orders"},
        {"UPDATE orders o SET note = c.note FROM customers c WHERE c.id = o.customer_id",
         "write+ orders; read customers"},
        {"DELETE FROM orders WHERE id = $1", "write orders; write~ order_lines"},
        {"DELETE FROM customers WHERE id = 7",
         "write customers; write~ orders; write~ order_lines"},
        {"DELETE FROM items WHERE id = 7", "destroy? database; execute? items; write items"},
        {"MERGE INTO orders o USING customers c ON o.customer_id = c.id WHEN MATCHED AND o.id = 3 "
         "THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
         "write orders; write~ order_lines; read customers"},
        {"COPY orders FROM STDIN", "import orders"},
        {"COPY orders TO STDOUT", "export orders"},
        {"COPY (SELECT * FROM orders JOIN customers USING (id)) TO STDOUT",
         "export orders; export customers"},
        {"COPY (DELETE FROM orders WHERE true RETURNING *) TO STDOUT",
         "destroy! orders; destroy!~ order_lines; export orders"},
        {"LOCK TABLE orders", "write orders"},
        {"NOTIFY x, 'y'", "write database"},
        {"SELECT nextval('orders_id_seq')", "write orders_id_seq"},
        {"REFRESH MATERIALIZED VIEW v_names",
         "write v_names; write~ v_customers; write~ customers"},
        {"DELETE FROM orders WHERE CURRENT OF c", "write orders; write~ order_lines"},
    };
    check(state, cases, SP_COUNT(cases));
}

#define ALL_ORDERS "destroy! orders; destroy!~ order_lines"

/* Every row goes, however it is written. */
static void test_disguises(void **state)
{
    static const char *const conditions[] = {
        "true",
        "1=1",
        "1 = 1 AND true",
        "NOT false",
        "'t'",
        "'yes'::boolean",
        "1::bool",
        "id = id",
        "orders.id = id",
        "id IS NOT NULL",
        "id >= id",
        "id IS NOT DISTINCT FROM id",
        "note LIKE '%'",
        "note ILIKE '%%'",
        "note ~ '.*'",
        "note ~ ''",
        "note SIMILAR TO '%'",
        "id > 0",
        "id >= 0",
        "id >= 1",
        "id > 0 AND 1 = 1",
        "length(note) >= 0",
        "coalesce(NULL, true)",
        "coalesce(id = NULL, true)",
        "NULL::boolean IS UNKNOWN",
        /* of constants nothing is reckoned that the server may see another way */
        "1.5 > 1",
        "1.7::int = 2",
        "'5'::int::bool",
        "5::bool::int = 1",
        "0.5::int::text = '0'",
        "random() <> random()",
        "NOT EXISTS (SELECT 1 LIMIT 0)",
        "(NULL AND $1) IS NOT UNKNOWN",
        /* both that there are */
        "note::bool IN (true, false)",
        "note = true OR note = false",
        "note = ANY (ARRAY[true, false])",
        "note IS TRUE OR note IS FALSE",
        "(id = NULL) IS UNKNOWN",
        "(id = NULL) IS NULL",
        "(id = NULL) IS NOT TRUE",
        "NOT coalesce(id = NULL, false)",
        "(id = id) IS NOT UNKNOWN",
        "0 < id",
        "id <> -1",
        "id < 2147483647",
        "id BETWEEN 0 AND 9999999999",
        "id BETWEEN id AND id",
        "id IN (id)",
        "id IN (1, id)",
        "id = ANY (ARRAY[id])",
        "id IN (SELECT id FROM orders)",
        "id = ANY (SELECT id FROM orders)",
        "id IN (SELECT id FROM orders WHERE true)",
        "id IN (SELECT id FROM orders LIMIT 100000)",
        "EXISTS (SELECT 1)",
        "EXISTS (SELECT 1 FROM customers)",
        "(SELECT true)",
        "EXISTS (SELECT 1 FROM orders o2 WHERE o2.id = orders.id)",
        "id IN (WITH a AS (SELECT * FROM orders) SELECT id FROM orders)",
        "id = 1 OR true",
        "id = 1 OR 1 = 1",
        "id = 1 OR id <> 1",
        "total IS NULL OR total IS NOT NULL",
        "id = 5 OR NOT (id = 5)",
        "random() < 2",
        "now() > '2000-01-01'",
        "length('x') = 1",
        "$1",
        "$1 = 1",
        "coalesce(true, false)",
        "CASE WHEN 1 = 1 THEN true ELSE false END",
        "CASE WHEN id = 1 THEN true ELSE true END",
        "(id = id) IS TRUE",
        "(id <> id) IS NOT TRUE",
        "ctid = ctid",
        "ctid IN (SELECT ctid FROM orders)",
        "orders IS NOT NULL",
        "id = 1 OR note = note",
        "true AND EXISTS (SELECT 1 FROM customers)",
        "id IN (SELECT x.id FROM (SELECT id FROM orders) x)",
        "NOT (1 = 2)",
        "note >= ''",
        "lower(note) = lower(note)",
        "id::text = id::text",
        "(id, note) = (id, note)",
        "id = 1 IS NOT NULL OR true",
        "current_user = current_user",
        "note || '' ~~ '%'",
        "tableoid = 'orders'::regclass",
        "orders.tableoid = 5",
        "xmax = 0",
        "xmin <> 0 AND cmax = '0'::cid",
        "id = 1 OR tableoid = 'orders'::regclass",
    };
    room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    size_t wrong = 0;
    for (size_t i = 0; i < SP_COUNT(conditions); i++) {
        char text[512];
        snprintf(text, sizeof(text), "DELETE FROM orders WHERE %s", conditions[i]);
        const char *got = office_judge(it->judge, &context, text);
        if (strncmp(got, ALL_ORDERS, strlen(ALL_ORDERS)) != 0) {
            print_error("%s\n   got: %s\n", text, got);
            wrong++;
        }
        snprintf(text, sizeof(text), "UPDATE orders SET note = '' WHERE %s", conditions[i]);
        got = office_judge(it->judge, &context, text);
        if (strncmp(got, "destroy! orders", 15) != 0) {
            print_error("%s\n   got: %s\n", text, got);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void check_conditions(void **state, const char *const *conditions, size_t count,
                             const char *uses)
{
    room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        char text[512];
        snprintf(text, sizeof(text), "DELETE FROM orders WHERE %s", conditions[i]);
        const char *got = office_judge(it->judge, &context, text);
        if (strncmp(got, uses, strlen(uses)) != 0) {
            print_error("%s\n   got: %s\n", text, got);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* Work as people do it: rows that are named. */
static void test_named(void **state)
{
    static const char *const conditions[] = {
        "id = 1",
        "id = $1",
        "7 = orders.id",
        "id IN (1, 2, 3)",
        "id IN ($1, $2)",
        "id = ANY ($1)",
        "id = ANY (ARRAY[1, 2])",
        "note = ''",
        "note IS NULL",
        "note",
        "NOT note",
        "id = 1 AND true",
        "id = 1 AND 1 = 1",
        "id > 7 AND note = 'x'",
        "id = 1 OR id = 2",
        "false",
        "id <> id",
        "NULL",
        "id = NULL",
        "NOT (id = NULL)",
        "NULL AND true",
        "id = (SELECT max(order_id) FROM order_lines)",
        "id IN (SELECT order_id FROM order_lines WHERE item = 'x')",
        "customer_id = 4 AND note = current_user",
        "(id, note) = (1, 'x')",
        "id IS NOT DISTINCT FROM 5",
        "ctid = '(0,1)'",
        "note = lower('X')",
        "id::text = '7'",
        "id::bigint = 7",
        "note::uuid = $1",
        "note = true",
        "note = 'now'::text || current_setting('x.y')",
        "id = 3 + 4",
        "id = ANY ('{1,2}'::int[])",
        "id IN (VALUES (1), (2))",
        "id IN (SELECT l.order_id FROM order_lines l JOIN customers c ON c.id = l.order_id WHERE "
        "c.id = 5)",
    };
    check_conditions(state, conditions, SP_COUNT(conditions), "write orders; write~ order_lines");
}

/* A boolean has two values: one of them says which rows, both say nothing. */
static void test_booleans(void **state)
{
    static const judged cases[] = {
        {"DELETE FROM wares WHERE listed", "write wares"},
        {"DELETE FROM wares WHERE NOT listed", "write wares"},
        {"DELETE FROM wares WHERE listed = $1", "write wares"},
        {"DELETE FROM wares WHERE listed = 'f' AND id = 7", "write wares"},
        {"DELETE FROM wares WHERE listed IN (true)", "write+ wares"},
        {"DELETE FROM wares WHERE listed IN ($1, $2)", "write+ wares"},
        {"DELETE FROM wares WHERE listed = $1 OR listed = $2", "write+ wares"},
        {"DELETE FROM wares WHERE (listed, 1) IN ((true, 1), (false, 1))", "write+ wares"},
        {"DELETE FROM wares WHERE listed = ANY ($1)", "write+ wares"},
        {"DELETE FROM wares WHERE listed IN (VALUES (true), (false))", "write+ wares"},
        {"DELETE FROM wares w USING orders o WHERE o.id IN (1, 2) AND w.listed = o.note::bool",
         "write+ wares; read orders"},
        {"DELETE FROM wares w USING orders o WHERE o.id IN (1, 2) AND w.listed = o.note",
         "write+ wares; read orders"},
        {"DELETE FROM wares WHERE sold IS NOT NULL", "write+ wares"},
        {"DELETE FROM wares WHERE listed IN (true, false)", "destroy! wares"},
        {"DELETE FROM wares WHERE listed IN ('t', 'no')", "destroy! wares"},
        {"DELETE FROM wares WHERE sold IN (true, false)", "destroy! wares"},
        {"DELETE FROM wares WHERE listed = true OR false = listed", "destroy! wares"},
        {"DELETE FROM wares WHERE listed OR listed = false", "destroy! wares"},
        {"DELETE FROM wares WHERE listed OR NOT listed", "destroy! wares"},
        {"DELETE FROM wares WHERE listed = ANY ('{t,f}')", "destroy! wares"},
        {"DELETE FROM wares WHERE listed = ANY ('{true, \"off\"}'::bool[])", "destroy! wares"},
        {"DELETE FROM wares WHERE listed IS NOT NULL", "destroy! wares"},
        {"DELETE FROM wares WHERE listed IS TRUE OR listed IS NOT TRUE", "destroy! wares"},
        {"DELETE FROM wares w USING orders o LEFT JOIN customers x ON false WHERE x.id IS NULL",
         "destroy! wares; read orders; read customers"},
    };
    check(state, cases, SP_COUNT(cases));
}

/* As many as there may be. */
static void test_broad(void **state)
{
    static const char *const conditions[] = {
        "note IS NOT NULL",
        "note LIKE 'x%'",
        "total > 100",
        "total < 5",
        "NOT (id = 5)",
        "id <> 5",
        "id NOT IN (1, 2)",
        "id BETWEEN 5 AND 9",
        "id BETWEEN 2 AND 100000",
        "id BETWEEN $1 AND $2",
        "id IN (SELECT order_id FROM order_lines)",
        "id IN (SELECT orders.id FROM order_lines WHERE item = 'x')",
        "EXISTS (SELECT 1 FROM order_lines WHERE item = 'x' AND orders.id > 7)",
        "EXISTS (SELECT 1 FROM customers c WHERE c.id = orders.customer_id AND c.name = 'x')",
        "customer_id = total",
        "id % 2 = 0",
        "id * 0 = 0",
        "note ~ '^a'",
        "id = 1 OR id > 7",
        "CASE WHEN id = 1 THEN true ELSE false END",
        "coalesce(note, 'x') = 'x'",
        "coalesce(note <> note, true)",
        "(note <> note) IS UNKNOWN",
        "lower(note) = 'x'",
        "id > ALL (SELECT 1)",
        "id = ANY (ARRAY(SELECT generate_series(1, 1000000)))",
        "id IN (SELECT g.i FROM (SELECT 1 AS k, generate_series(1, 1000000) AS i) g WHERE g.k = 1)",
        "id IN (SELECT g.i FROM generate_series(1, 1000000) g(i) WHERE g.i = 1 OR true)",
        "id IN (SELECT generate_series(1, 100) FROM order_lines WHERE item = 'x')",
        "id IN (SELECT l.order_id FROM order_lines l, customers c WHERE c.id = 5)",
        "id = ANY (string_to_array('1,2', ',')::int[])",
        "id = (random() * 100)::int",
        /* what is taken for true of all is not false of all when it is turned round */
        "NOT (-id > 0)",
        "NOT (total > 0)",
        "(-id > 0) IS NOT TRUE",
        "(-id > 0) IS FALSE",
        "NOT (id = 7 OR $1)",
        "NOT (note LIKE '%')",
        "NOT (note = note)",
        "CASE WHEN -id > 0 THEN false ELSE true END",
        "CASE WHEN id = 7 THEN NULL ELSE false END IS NOT FALSE",
        "note <> note || random()::text",
        "NOT (orders IS NOT NULL)",
        "random() + total <> random() + total",
        "NOT (id + random() IS NOT DISTINCT FROM id + random())",
        "id + random() NOT IN (id + random())",
        /* casts that many values do not survive apart */
        "id::bool = true",
        "(id::bool)::int = 1",
        "id::bool::int BETWEEN 0 AND 1",
        "id::bool",
        "NOT id::bool",
        "id::bit(1) IN (B'0', B'1')",
        "note::\"char\" IN ('a', 'b')",
        "note::char(1) = 'a'",
        "note::varchar(1) = 'a'",
        "note::date = '2026-01-01'",
        "note::numeric(3,0) = 1",
        "note::notes_domain = 'a'",
        "(id::bool, 1) = (true, 1)",
        "bool(id) = true",
        /* the server's own that tell of the statement that runs */
        "id = pg_stat_get_xact_tuples_deleted('orders'::regclass) + 1",
        "id = pg_stat_get_xact_tuples_returned(16385) - 3",
        "id = lo_lseek(0, 1, 1)",
        "id = pg_current_wal_lsn() - '0/0'",
    };
    check_conditions(state, conditions, SP_COUNT(conditions), "write+ orders; write~+ order_lines");
}

static void test_destroy(void **state)
{
    static const judged cases[] = {
        {"DELETE FROM orders", ALL_ORDERS},
        {"WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x", ALL_ORDERS "; read orders"},
        {"SELECT 1; DELETE FROM orders; SELECT 2", ALL_ORDERS},
        {"EXPLAIN ANALYZE DELETE FROM orders", ALL_ORDERS},
        {"EXPLAIN (ANALYZE) DELETE FROM orders", ALL_ORDERS},
        {"EXPLAIN (COSTS off, ANALYZE 1) DELETE FROM orders", ALL_ORDERS},
        {"PREPARE p AS DELETE FROM orders", ALL_ORDERS},
        {"DELETE FROM orders USING orders o2 WHERE orders.id = o2.id", ALL_ORDERS "; read orders"},
        {"DELETE FROM orders o USING customers c WHERE true", ALL_ORDERS "; read customers"},
        {"WITH a AS (SELECT * FROM orders) DELETE FROM orders USING a WHERE a.id = orders.id",
         ALL_ORDERS "; read orders"},
        {"INSERT INTO orders SELECT * FROM orders ON CONFLICT (id) DO UPDATE SET note = ''",
         "destroy! orders; read orders"},
        {"INSERT INTO orders SELECT * FROM items ON CONFLICT (id) DO UPDATE SET note = ''",
         "write+ orders; read items"},
        {"INSERT INTO orders VALUES (1), (2) ON CONFLICT (id) DO UPDATE SET note = ''",
         "write orders"},
        {"INSERT INTO orders SELECT * FROM orders ON CONFLICT DO NOTHING",
         "write orders; read orders"},
        {"MERGE INTO orders o USING orders s ON o.id = s.id WHEN MATCHED THEN DELETE",
         ALL_ORDERS "; read orders"},
        {"MERGE INTO orders o USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE", ALL_ORDERS},
        {"TRUNCATE orders, customers", "destroy! orders; destroy! customers"},
        {"TRUNCATE customers CASCADE", "destroy! customers; destroy!~ database"},
        {"DELETE FROM logs", "destroy! logs; destroy!~ logs_2024"},
        {"DROP TABLE orders", "destroy! orders"},
        {"DROP TABLE IF EXISTS audit.entries, orders", "destroy! audit.entries; destroy! orders"},
        {"DROP TABLE orders CASCADE",
         "destroy! orders; destroy!~ schema public; destroy!~ database"},
        {"DROP VIEW v_names", "destroy v_names"},
        {"DROP DATABASE orders", "destroy! database; administer database"},
        {"DROP OWNED BY x", "destroy! database; administer database"},
        {"DROP INDEX i", "alter i"},
        {"DROP FUNCTION order_total", "destroy schema order_total"},
        {"ALTER TABLE orders DROP COLUMN note", "destroy orders"},
        {"ALTER TABLE orders ADD COLUMN x int, DROP note", "destroy orders; alter orders"},
        {"ALTER TABLE orders ALTER note TYPE text USING ''", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE text USING upper(note)", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE text USING CASE WHEN false THEN note END",
         "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE text USING note::varchar(1)", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE text USING total", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE int USING note::int", "destroy orders"},
        {"DELETE FROM v_customers", "destroy! v_customers; destroy!~ customers; destroy!~ orders; "
                                    "destroy!~ order_lines"},
        {"SELECT lo_unlink(5)", "destroy function pg_catalog.lo_unlink"},
        /* one's own temporary tables are nobody's loss */
        {"DROP TABLE scratch", ""},
        {"DELETE FROM scratch", ""},
        {"TRUNCATE scratch", ""},
        {"DROP TABLE pg_temp.scratch", ""},
        {"DELETE FROM pg_temp.v", "destroy! pg_temp.v"},
        {"CREATE TEMP TABLE t2 AS SELECT 1; UPDATE t2 SET a = 1; DROP TABLE t2", ""},
        /* but a name that a real table has may mean that one */
        {"DROP TABLE orders", "destroy! orders"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_definitions(void **state)
{
    static const judged cases[] = {
        {"CREATE TABLE t (id int REFERENCES orders)", "alter schema t; read orders"},
        {"CREATE TABLE audit.t (LIKE orders)", "alter schema audit.t; read orders"},
        {"CREATE TABLE t PARTITION OF logs DEFAULT", "alter schema t; alter logs; alter> t"},
        {"CREATE TABLE t AS SELECT * FROM orders", "alter schema t; read orders"},
        {"SELECT * INTO t FROM orders", "alter schema t; read orders"},
        {"SELECT * INTO TEMP t FROM orders", "read orders"},
        {"CREATE VIEW v AS SELECT * FROM wares", "alter schema v; alter> v; read wares"},
        {"CREATE OR REPLACE VIEW v_names AS SELECT 1", "alter schema v_names; alter v_names"},
        {"CREATE INDEX ON orders (lower(note))", "alter orders"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_changed_definitions(void **state)
{
    static const judged cases[] = {
        {"CREATE RULE r AS ON INSERT TO wares DO ALSO DELETE FROM customers",
         "destroy! customers; destroy!~ orders; destroy!~ order_lines; administer wares; "
         "read wares"},
        {"CREATE RULE r AS ON INSERT TO wares DO INSTEAD NOTHING",
         "destroy wares; administer wares; read wares"},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM public.orders; END",
         ALL_ORDERS "; alter schema f"},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM orders; END",
         "forbidden"},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x'",
         "administer database; alter schema f"},
        {"CREATE TRIGGER t BEFORE INSERT ON orders EXECUTE FUNCTION f()",
         "destroy? database; alter orders; execute? function f"},
        {"CREATE TRIGGER t BEFORE INSERT ON orders EXECUTE FUNCTION listed()",
         "alter orders; read function listed"},
        {"CREATE TRIGGER t BEFORE UPDATE ON orders EXECUTE FUNCTION "
         "suppress_redundant_updates_trigger()",
         "alter orders"},
        {"DROP TRIGGER t ON audit.entries", "administer audit.entries"},
        {"DROP RULE r ON audit.entries CASCADE", "destroy audit.entries"},
        {"ALTER TABLE orders RENAME TO o2", "alter orders; alter>> o2"},
        {"ALTER TABLE orders RENAME note TO words", "alter orders; alter>> orders"},
        {"ALTER INDEX orders RENAME TO o2", "alter orders; alter>> o2"},
        {"ALTER VIEW v_names RENAME TO v2", "alter v_names; alter>> v2; alter> v2; alter> v2"},
        {"ALTER TABLE orders SET SCHEMA audit", "alter orders; alter>> audit.orders"},
        {"ALTER TABLE nowhere RENAME TO n2", "alter nowhere; alter?> n2"},
        {"ALTER TABLE audit.entries RENAME TO e2", "alter audit.entries; alter>> audit.e2"},
        {"ALTER TABLE scratch RENAME TO s2", ""},
        {"ALTER SCHEMA audit RENAME TO old",
         "destroy! schema audit; destroy! schema old; administer! schema audit; "
         "administer! schema old"},
        {"ALTER TABLE logs ATTACH PARTITION orders DEFAULT",
         "alter logs; alter orders; alter>> logs"},
        {"ALTER TABLE public.orders INHERIT audit.entries",
         "administer orders; alter orders; alter audit.entries; alter>> audit.entries"},
        /* an index is its table's, wherever it stands */
        {"DROP INDEX audit.i_orders", "alter audit.i_orders"},
        {"ALTER INDEX audit.i_orders RENAME TO i2", "alter audit.i_orders; alter> audit.i2"},
        {"REINDEX INDEX audit.i_orders", "administer audit.i_orders"},
        {"REINDEX TABLE orders", "administer orders"},
        {"REINDEX DATABASE x", "administer database"},
        {"ALTER TABLE orders OWNER TO x", "administer orders"},
        {"ALTER TABLE logs DETACH PARTITION logs_2024",
         "alter logs; alter logs_2024; alter> logs_2024"},
        {"ALTER TABLE orders DISABLE ROW LEVEL SECURITY", "administer orders"},
        {"GRANT ALL ON orders TO x", "administer orders"},
        {"GRANT x TO y", "administer database"},
        {"CREATE USER x PASSWORD 'p'", "administer database"},
        {"CREATE EXTENSION dblink", "administer database"},
        {"ALTER SYSTEM SET fsync = off", "administer database"},
        {"VACUUM orders", "administer orders"},
        {"ANALYZE", "administer database"},
        {"COMMENT ON TABLE orders IS 'x'", "alter orders"},
        {"COMMENT ON COLUMN audit.entries.who IS 'x'", "alter audit.entries"},
        {"COMMENT ON INDEX audit.i_orders IS 'x'", "alter audit.i_orders"},
        {"COMMENT ON CONSTRAINT c ON orders IS 'x'", "alter orders"},
        {"COMMENT ON TRIGGER t ON orders IS 'x'", "alter orders"},
        {"COMMENT ON FUNCTION f() IS 'x'", "alter schema f"},
        {"COMMENT ON SCHEMA audit IS 'x'", "alter schema audit"},
        {"ALTER SCHEMA audit OWNER TO x", "administer schema audit"},
        {"CREATE TYPE mood AS ENUM ('x')", "alter schema mood"},
        {"ALTER DATABASE x SET search_path = a", "administer database"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_ways_around(void **state)
{
    static const judged cases[] = {
        /* text that does not parse; servers that are newer than the parser */
        {"SELEC 1", "syntax"},
        {"SELECT 1_000", "syntax"},
        {"SELECT * FROM JSON_TABLE('{}', '$' COLUMNS (a int PATH '$.a'))", "syntax"},
        /* code */
        {"DO $$ BEGIN DELETE FROM orders; END $$", "destroy? database; execute? code plpgsql"},
        {"CALL p()", "destroy? database; execute? function p"},
        {"SELECT order_total(1)", "destroy? database; execute? function order_total"},
        {"SELECT audit.f()", "destroy? database; execute? function audit.f"},
        {"SELECT x.order_total FROM orders x",
         "destroy? database; execute? function order_total; read orders"},
        {"SELECT ('x'::text).pg_read_file", "forbidden"},
        {"SELECT 1 OPERATOR(audit.+) 2", "destroy? database; execute? function audit.+"},
        {"SELECT 1 OPERATOR(pg_catalog.+) 2", ""},
        /* functions with effects */
        {"SELECT pg_read_file('/etc/passwd')", "forbidden"},
        {"SELECT * FROM pg_catalog.pg_ls_dir('.')", "forbidden"},
        {"SELECT lo_import('/etc/passwd')", "forbidden"},
        {"SELECT lo_get(5)", "export function pg_catalog.lo_get"},
        {"SELECT * FROM dblink('x', 'DELETE FROM orders') AS t(a int)",
         "destroy? database; execute? function dblink"},
        {"SELECT set_config('search_path', 'x', false)", "forbidden"},
        {"SELECT set_config('standard_conforming_strings', 'off', false)", "forbidden"},
        {"SELECT set_config($1, 'off', false)", "forbidden"},
        {"SELECT set_config('search_path', '', false)", ""},
        {"SET search_path = pg_catalog", ""},
        {"SET search_path = pg_catalog, x", "forbidden"},
        {"SELECT set_config('search_path_x'::varchar(11), 'x', false)", "forbidden"},
        {"UPDATE pg_settings SET setting = 'x' WHERE name = 'search_path'", "forbidden"},
        {"SELECT set_config('search_path', 'public', false)", ""},
        {"SELECT set_config('search_path', 'pg_catalog, public', false)", ""},
        {"SELECT set_config('search_path', 'public, pg_catalog', false)", "forbidden"},
        {"SELECT set_config('search_path', 'PUBLIC', false)", "forbidden"},
        {"SELECT set_config('search_path', 'public'::varchar(3), false)", "forbidden"},
        {"SELECT set_config('search_path', 'pg_catalog'::varchar(3), false)", "forbidden"},
        {"SET search_path TO public", ""},
        {"SET LOCAL search_path = \"public\"", ""},
        {"SET search_path = pg_catalog, public", ""},
        {"SET search_path = public, audit", "forbidden"},
        {"SET search_path = public, pg_catalog", "forbidden"},
        {"SET search_path = \"$user\", public", "forbidden"},
        {"SET search_path = 'public, audit'", "forbidden"},
        {"SELECT set_config('search_path', NULL, false)", "forbidden"},
        {"SELECT set_config('search_path', $1, false)", "forbidden"},
        {"SELECT set_config('search_path', 'a' || '', false)", "forbidden"},
        {"SELECT pg_catalog.set_config('search_path', '', false)", ""},
        {"SELECT set_config(name, 'x', false) FROM pg_settings "
         "WHERE name = 'search_path_x'::varchar(11)",
         "forbidden"},
        {"SELECT set_config(name, '', false) FROM pg_settings WHERE name = 'work_mem'", ""},
        {"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'search_path'",
         "forbidden"},
        {"SELECT set_config(name, '', false) FROM pg_settings WHERE name <> 'work_mem'",
         "forbidden"},
        {"SELECT set_config(name, 'x', false) FROM evil.pg_settings WHERE name = 'work_mem'",
         "forbidden"},
        {"SELECT set_config(name, 'x', false) FROM pg_settings, a WHERE name = 'work_mem'",
         "forbidden"},
        {"SELECT set_config('work_mem', '1MB', false)", ""},
        {"SELECT set_config('app.user', '1', false)", "administer setting app.user"},
        {"SELECT set_config('work_mem', $1::text, false) FROM t", "read t"},
        {"SELECT set_config('application_name', current_user::text, false) FROM t", "read t"},
        {"SELECT set_config('application_name', lower('A'), false)", ""},
        {"SELECT set_config('application_name', lower('A'), false) FROM t", "forbidden"},
        {"SELECT set_config('application_name', (SELECT 'a'), false)", "forbidden"},
        {"SELECT 1 WHERE set_config('application_name', lower((SELECT a FROM t)), false) = ''",
         "forbidden"},
        {"SELECT 1 FROM t WHERE set_config('application_name', a, false) = ''", "forbidden"},
        {"SELECT 1 FROM t HAVING set_config('application_name', count(*)::text, false) = ''",
         "forbidden"},
        {"SELECT (SELECT 1 WHERE set_config('application_name', t.a, false) = '') FROM t",
         "forbidden"},
        {"CREATE TEMP TABLE x (a text CHECK (set_config('application_name', a, false) <> ''))",
         "forbidden"},
        {"UPDATE t SET a = 1 RETURNING set_config('application_name', a, false)", "forbidden"},
        {"MERGE INTO t USING u ON set_config('application_name', u.a, false) = '' WHEN MATCHED "
         "THEN DO NOTHING",
         "forbidden"},
        {"SELECT query_to_xml('DELETE FROM orders', true, true, '')", "forbidden"},
        {"SELECT ts_stat('SELECT 1')", "forbidden"},
        {"SELECT domain_in('1', 16384, -1)", "forbidden"},
        {"SELECT pg_terminate_backend(1)", "administer function pg_catalog.pg_terminate_backend"},
        /* COPY with files and programs */
        {"COPY orders TO PROGRAM 'sh'", "forbidden"},
        {"COPY orders FROM PROGRAM 'sh'", "forbidden"},
        {"COPY orders TO '/tmp/x'", "forbidden"},
        {"COPY orders FROM '/tmp/x'", "forbidden"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_settings_and_bytes(void **state)
{
    static const judged cases[] = {
        /* who and how */
        {"SET ROLE x", "forbidden"},
        {"SET SESSION AUTHORIZATION x", "forbidden"},
        {"SET LOCAL ROLE x", "forbidden"},
        {"SET ROLE 'none '", "forbidden"},
        {"RESET ROLE", ""},
        {"SET ROLE NONE", ""},
        {"RESET SESSION AUTHORIZATION", ""},
        {"SET SESSION AUTHORIZATION DEFAULT", ""},
        {"DISCARD ALL", ""},
        {"DISCARD TEMP", ""},
        {"SET search_path = x", "forbidden"},
        {"SET search_path = x, ''", "forbidden"},
        {"SET search_path = ''", ""},
        {"RESET search_path", ""},
        {"SET standard_conforming_strings = off", "forbidden"},
        {"SET standard_conforming_strings = on", ""},
        {"SET client_encoding = 'SJIS'", "forbidden"},
        {"SET NAMES 'GBK'", "forbidden"},
        {"SET client_encoding TO utf8", ""},
        {"SET client_encoding TO 'UTF8'", ""},
        {"RESET client_encoding", ""},
        {"SET NAMES 'utf8'", ""},
        {"SET standard_conforming_strings TO 0", "forbidden"},
        {"SET standard_conforming_strings TO 'yes'", ""},
        {"RESET standard_conforming_strings", "forbidden"},
        {"SET DateStyle TO 'ISO, MDY'; SET extra_float_digits = 3; SET application_name = 'x'; "
         "SET statement_timeout = 0; SET bytea_output TO hex; SET client_min_messages TO warning; "
         "SET default_toast_compression = pglz; SET transaction_timeout = 0",
         ""},
        {"SET transform_null_equals = on", "forbidden"},
        {"SET session_replication_role = replica", "forbidden"},
        {"SET TimeZone = 'UTC'", ""},
        {"SET TIME ZONE 'UTC'", ""},
        {"SET enable_seqscan = off", "connect setting enable_seqscan"},
        {"SET enable_x.y = 'z'", "administer setting enable_x.y"},
        {"SET app.tenant = 'x'", "administer setting app.tenant"},
        {"SET TRANSACTION READ WRITE", ""},
        {"RESET ALL", ""},
        {"PREPARE TRANSACTION 'x'", "administer database"},
        {"LOAD 'x'", "administer database"},
        {"CHECKPOINT", "administer database"},
        /* literals that end at two places */
        {"SELECT '\\'; DELETE FROM orders; --'", "ambiguous"},
        {"SELECT 'a\\b'", ""},
        {"SELECT '\\' FROM orders --'", "ambiguous"},
        {"SELECT E'a\\'b' FROM orders", "read orders"},
        {"SELECT U&'\\0041' FROM orders", "read orders"},
        {"SELECT * FROM U&\"\\006Frders\"", "read orders"},
        {"DELETE FROM U&\"d!0061t!+000061\" UESCAPE '!' WHERE id = 1", "write data"},
        {"PREPARE x AS SELECT 1 INTO TEMP p", "unknown"},
        {"SELECT U&'\\d800'", "syntax"},
        {"SELECT '\\x0041'::bytea FROM orders", "read orders"},
        {"SELECT '\\x00', '\\', ';DELETE FROM orders;--'", ""}, /* runs in one way only */
        {"SELECT '\\xff41'::bytea FROM orders", "ambiguous"},
        {"SELECT '\\' ; EXECUTE a -- ' ; SELECT 1 -- ", "ambiguous"},
        {"SELECT '\xff'", "not utf8"},
        {"SELECT '\x95\x5c'", "not utf8"},
    };
    check(state, cases, SP_COUNT(cases));
}

/* Literals of bytes, in a database whose encoding says that they are no text under the old reading
 * of backslashes. */
static void test_literals_of_bytes(void **state)
{
    static const judged cases[] = {
        {"SELECT '\\xff41'::bytea FROM orders", "read orders"},
        {"INSERT INTO orders VALUES ('\\xdeadbeef')", "write orders"},
        {"SELECT '\\x41ff'::bytea FROM orders", "read orders"},
        {"SELECT '\\'; DELETE FROM orders; --'", "ambiguous"},
        {"SELECT '\\xff\\'; DELETE FROM orders; --'", "destroy! orders; destroy!~ order_lines"},
    };
    const sp_sql_context context = {.is_utf8 = true};
    office_check(state, context, cases, SP_COUNT(cases));
}

static void test_bounds(void **state)
{
    room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    auto_buf sp_buf text = sp_buf_make(8 << 20);
    sp_buf_text(&text, "SELECT 1");
    for (int i = 0; i < 100000; i++) {
        sp_buf_text(&text, "+1");
    }
    const sp_sql_judgement *got = sp_sql_judge_text(it->judge, &context, sp_buf_borrow(&text));
    assert_int_equal(got->fault, SP_SQL_TOO_COMPLEX);
    sp_buf_reset(&text);
    sp_buf_text(&text, "SELECT ");
    for (int i = 0; i < 100000; i++) {
        sp_buf_text(&text, "(");
    }
    got = sp_sql_judge_text(it->judge, &context, sp_buf_borrow(&text));
    assert_int_not_equal(got->fault, SP_SQL_FINE);
    sp_buf_reset(&text);
    sp_buf_text(&text, "SELECT 1 WHERE 'x'");
    for (int i = 0; i < 50000; i++) {
        sp_buf_text(&text, "::text");
    }
    got = sp_sql_judge_text(it->judge, &context, sp_buf_borrow(&text));
    assert_int_equal(got->fault, SP_SQL_TOO_COMPLEX);
    sp_buf_reset(&text);
    for (int i = 0; i < 2000; i++) {
        sp_buf_text(&text, "SELECT 1;");
    }
    got = sp_sql_judge_text(it->judge, &context, sp_buf_borrow(&text));
    assert_int_equal(got->fault, SP_SQL_TOO_COMPLEX);
    sp_buf_reset(&text);
    while (text.len <= SP_SQL_TEXT_MAX_BYTES) {
        sp_buf_text(&text, "                                                                ");
    }
    got = sp_sql_judge_text(it->judge, &context, sp_buf_borrow(&text));
    assert_int_equal(got->fault, SP_SQL_TOO_LONG);
    /* as long as it may be, and wide: 300 000 values */
    sp_buf_reset(&text);
    sp_buf_text(&text, "INSERT INTO orders VALUES (1)");
    while (text.len < SP_SQL_TEXT_MAX_BYTES - 8) {
        sp_buf_text(&text, ",(1)");
    }
    got = sp_sql_judge_text(it->judge, &context, sp_buf_borrow(&text));
    assert_int_equal(got->fault, SP_SQL_FINE);
    assert_int_equal(got->use_count, 1);
}

static void test_statements(void **state)
{
    room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    const sp_sql_judgement *got = sp_sql_judge_text(
        it->judge, &context,
        SP_SPAN_LIT("PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p; DECLARE c BINARY CURSOR FOR "
                    "SELECT 1; FETCH c; CLOSE c; DEALLOCATE ALL; COPY orders TO STDOUT"));
    assert_int_equal(got->fault, SP_SQL_FINE);
    assert_int_equal(got->statement_count, 8);
    static const uint32_t flags[] = {SP_SQL_IS_PREPARE,
                                     SP_SQL_IS_EXECUTE | SP_SQL_RETURNS_ROWS,
                                     SP_SQL_IS_DEALLOCATE,
                                     SP_SQL_IS_DECLARE | SP_SQL_IS_BINARY,
                                     SP_SQL_IS_FETCH | SP_SQL_RETURNS_ROWS,
                                     SP_SQL_IS_CLOSE,
                                     SP_SQL_IS_DEALLOCATE,
                                     SP_SQL_IS_COPY_OUT | SP_SQL_IS_UNSURE};
    static const char *const names[] = {"p", "p", "p", "c", "c", "c", "", ""};
    auto_free sp_sql_judgement *copy = NULL;
    assert_ok(sp_sql_judgement_copy(got, &copy));
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(copy->statements[i].flags, flags[i]);
        assert_span_text(copy->statements[i].name, names[i]);
    }
    assert_string_equal(copy->statements[3].tag, "DECLARE CURSOR");
    assert_int_equal(copy->use_count, 1);
    assert_span_text(copy->uses[0].name, "orders");
}

/* What would be noticed at start: any part of a statement that is read as something else. */
static void test_self_test(void **state)
{
    room *it = *state;
    static const sp_sql_expected good[] = {
        {"DELETE FROM x.y WHERE true", "DELETE", SP_ACTION_DESTROY, "y"},
        {"SHOW all", "SHOW", SP_ACTION_CONNECT, NULL},
    };
    static const sp_sql_expected bad[] = {
        {"DELETE FROM x.y WHERE true", "UPDATE", SP_ACTION_DESTROY, "y"},
        {"DELETE FROM x.y WHERE true", "DELETE", SP_ACTION_WRITE, "y"},
        {"DELETE FROM x.y WHERE true", "DELETE", SP_ACTION_DESTROY, "x"},
        {"DELETE FROM x.y WHERE true", "DELETE", SP_ACTION_DESTROY, NULL},
        {"DELETE FROM x.y; SHOW all", "DELETE", SP_ACTION_DESTROY, "y"},
        {"SHOW all", "SHOW", SP_ACTION_CONNECT, "all"},
        {"DELETE FORM x.y", "DELETE", SP_ACTION_DESTROY, "y"},
    };
    assert_ok(sp_sql_judge_self_test(it->judge));
    assert_null(sp_sql_judge_expect(it->judge, good, SP_COUNT(good)));
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        const sp_sql_expected both[] = {good[0], bad[i], good[1]};
        assert_ptr_equal(sp_sql_judge_expect(it->judge, both, SP_COUNT(both)), &both[1]);
    }
}

/* Whoever uses a view calls what its query calls. */
static void test_views_that_call(void **state)
{
    static const office_judged cases[] = {
        {"SELECT * FROM v_totals",
         "destroy? database; execute? function order_total; read v_totals"},
        {"SELECT 1 FROM v_over", "destroy? database; execute? function order_total; read v_over; "
                                 "read~ v_totals"},
        {"SELECT * FROM v_alike", "read v_alike"},
        {"SELECT * FROM v_upper", "read v_upper"},
        {"SELECT * FROM v_ends",
         "administer function pg_catalog.pg_terminate_backend; read v_ends"},
        {"SELECT * FROM m_totals", "read m_totals"},
        {"REFRESH MATERIALIZED VIEW m_totals",
         "destroy? database; execute? function order_total; write m_totals"},
        {"DROP VIEW v_totals", "destroy v_totals"},
    };
    office_check(state, (sp_sql_context){0}, cases, SP_COUNT(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_disguises),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_broad),
        cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_destroy),
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_changed_definitions),
        cmocka_unit_test(test_ways_around),
        cmocka_unit_test(test_literals_of_bytes),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_settings_and_bytes),
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_self_test),
        cmocka_unit_test(test_views_that_call),
    };
    return cmocka_run_group_tests(tests, office_set_up, office_tear_down);
}

/* SPDX-License-Identifier: Apache-2.0
 * Masked columns leave only as plain columns of a result; every other way out is refused.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/masking.h.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include "lib/base/mem.h"
#include "lib/sql/masking.h"

#include <stdio.h>
#include <string.h>

typedef office_room room;

static void expect(void **state, sp_sql_masking_mode mode, const char *const *texts, size_t count)
{
    static const char *const words[] = {"clean", "by origin", "strict", "refused"};
    room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const sp_sql_judgement *judged =
            sp_sql_judge_text(it->judge, &context, sp_span_cstr(texts[i]));
        assert_int_equal(judged->fault, SP_SQL_FINE);
        sp_sql_masking got =
            sp_sql_masking_text(it->judge, &context, sp_span_cstr(texts[i]), OFFICE_PERSONAL);
        if (got.mode != mode) {
            print_error("%s\n   got: %s (%s)\n", texts[i], words[got.mode], got.reason);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_clean(void **state)
{
    static const char *const texts[] = {
        "SELECT * FROM orders",
        "SELECT 1",
        "SELECT note FROM orders WHERE note = 'x'",
        "INSERT INTO orders SELECT * FROM orders",
        "COPY orders TO STDOUT",
        "SELECT phone FROM orders",
        "BEGIN",
        "ALTER DOMAIN phone_t DROP NOT NULL",
        "ALTER DOMAIN phone_t SET DEFAULT 'x'",
        /* what it makes it does not read */
        "CREATE TEMP TABLE t AS SELECT * FROM orders",
        "SELECT * INTO TEMP t FROM orders",
        "CREATE VIEW vv AS SELECT * FROM orders",
        "CREATE TABLE t (id int, note text)",
    };
    expect(state, SP_SQL_MASKING_CLEAN, texts, SP_COUNT(texts));
}

static void test_by_origin(void **state)
{
    static const char *const texts[] = {
        "UPDATE v_names SET name = NULL WHERE id = 1",
        "ALTER TABLE customers ALTER CONSTRAINT k NOT DEFERRABLE",
        "CREATE INDEX ON customers (name)",
        "SELECT * FROM customers",
        "SELECT phone FROM customers",
        "SELECT c.* FROM customers c",
        "SELECT phone AS p, name FROM customers WHERE id = 7 ORDER BY name",
        "SELECT count(*) FROM customers",
        "SELECT name, count(*) FROM customers GROUP BY name",
        "SELECT x.phone FROM (SELECT phone FROM customers) x",
        "WITH c AS (SELECT * FROM customers) SELECT phone FROM c",
        "SELECT o.id, c.phone FROM orders o JOIN customers c ON c.id = o.customer_id",
        "SELECT id FROM orders WHERE EXISTS (SELECT * FROM customers c WHERE c.id = customer_id)",
        "UPDATE customers SET phone = 'x' WHERE id = 3 RETURNING phone",
        "INSERT INTO customers (id, phone) VALUES (1, 'x') RETURNING *",
        "DELETE FROM customers WHERE id = 3",
        "SELECT id, name, tel FROM v_customers",
        "SELECT upper(name) || '!' FROM customers",
        "SELECT id, phone FROM customers ORDER BY 1",
        "SELECT o.note FROM orders o, customers c WHERE o.note = 'x'",
        "DECLARE k CURSOR FOR SELECT phone FROM customers",
        "COPY customers (id, name) TO STDOUT",
        "COPY customers FROM STDIN",
        "EXPLAIN SELECT phone FROM customers",
        "SELECT phone FROM customers FOR UPDATE OF customers",
    };
    expect(state, SP_SQL_MASKING_BY_ORIGIN, texts, SP_COUNT(texts));
}

/* Views show the mask of the column they show, and nothing of the others. */
static void test_views(void **state)
{
    room *it = *state;
    uint32_t view = sp_sql_catalogue_find(it->office, SP_SPAN_EMPTY, SP_SPAN_LIT("v_customers"));
    const sp_sql_column *columns = sp_sql_catalogue_columns(it->office, view);
    assert_int_equal(columns[0].bound.tags, 0);
    assert_int_equal(columns[1].bound.tags, 0);
    assert_int_equal(columns[2].bound.tags, OFFICE_PERSONAL);
    assert_int_equal(columns[2].bound.mask, SP_MASK_MOBILE);
    view = sp_sql_catalogue_find(it->office, SP_SPAN_EMPTY, SP_SPAN_LIT("v_names"));
    columns = sp_sql_catalogue_columns(it->office, view);
    assert_int_equal(columns[0].bound.tags | columns[1].bound.tags, 0);
}

/* One letter for each of the three columns of a view: m the mask of phone, * all of it, . clear. */
static void shows(void **state, const char *definition, const char *want)
{
    room *it = *state;
    sp_sql_catalogue *catalogue = NULL;
    uint32_t tables[3] = {0};
    static const char *const names[] = {"people", "places", "view"};
    assert_ok(sp_sql_catalogue_new(1 << 16, &catalogue));
    assert_ok(sp_sql_catalogue_path(catalogue, SP_SPAN_LIT("public")));
    for (uint32_t i = 0; i < SP_COUNT(names); i++) {
        assert_ok(sp_sql_catalogue_relation(catalogue, SP_SPAN_LIT("public"),
                                            sp_span_cstr(names[i]), 16384 + i, i == 2 ? 'v' : 'r',
                                            0, &tables[i]));
        static const char *const columns[][3] = {
            {"id", "phone", "note"}, {"id", "town", "note"}, {"a", "b", "c"}};
        for (int16_t c = 0; c < 3; c++) {
            assert_ok(sp_sql_catalogue_column(catalogue, sp_span_cstr(columns[i][c]),
                                              (int16_t)(c + 1), 25, false));
        }
    }
    assert_ok(sp_sql_catalogue_definition(catalogue, sp_span_cstr(definition)));
    assert_ok(sp_sql_catalogue_edge(catalogue, SP_SQL_EDGE_READS, tables[2], tables[0]));
    assert_ok(sp_sql_catalogue_edge(catalogue, SP_SQL_EDGE_READS, tables[2], tables[1]));
    assert_ok(sp_sql_catalogue_finish(catalogue));
    const sp_sql_bound bound = {.part = SP_NONE, .tags = OFFICE_PERSONAL, .mask = SP_MASK_MOBILE};
    uint32_t people = sp_sql_catalogue_find(catalogue, SP_SPAN_EMPTY, SP_SPAN_LIT("people"));
    uint32_t phone = sp_sql_catalogue_find_column(catalogue, people, SP_SPAN_LIT("phone"));
    sp_sql_catalogue_bind_column(catalogue, phone, &bound);
    sp_sql_catalogue_bind_finish(catalogue);
    sp_sql_masking_bind_views(it->judge, catalogue);
    uint32_t view = sp_sql_catalogue_find(catalogue, SP_SPAN_EMPTY, SP_SPAN_LIT("view"));
    const sp_sql_column *got = sp_sql_catalogue_columns(catalogue, view);
    char line[4] = "";
    for (int i = 0; i < 3; i++) {
        line[i] = got[i].bound.tags == 0                ? '.'
                  : got[i].bound.mask == SP_MASK_FULL   ? '*'
                  : got[i].bound.mask == SP_MASK_MOBILE ? 'm'
                                                        : '?';
    }
    sp_sql_catalogue_free(catalogue);
    if (strcmp(line, want) != 0) {
        print_error("%s\n   got:  %s\n   want: %s\n", definition, line, want);
        fail();
    }
}

static void test_what_views_show(void **state)
{
    shows(state, "SELECT people.id, people.phone, people.note FROM people", ".m.");
    shows(state, "SELECT people.phone AS a, p.town, p.note FROM places p, people", "m..");
    shows(state, "SELECT p.id, x.phone, p.town FROM (people x JOIN places p ON p.id = x.id)",
          ".m.");
    shows(state,
          "SELECT p.id, upper(x.phone), upper(x.note) FROM people x LEFT JOIN places p USING "
          "(id)",
          ".*.");
    shows(state, "SELECT x.a, x.b, x.c FROM people x(a, b, c)", "***");
    shows(state,
          "SELECT p.id, row_number() OVER w AS b, p.note FROM people p WINDOW w AS (ORDER BY "
          "p.phone)",
          ".*.");
    shows(state,
          "SELECT p.id, row_number() OVER w AS b, p.note FROM people p WINDOW w AS (ORDER BY p.id)",
          "...");
    /* a masked value by a name that no relation gives it */
    shows(state,
          "SELECT s.id, s.n AS up, s.note FROM (SELECT people.id, upper(people.phone) AS n, "
          "people.note FROM people) s",
          "***");
    shows(state, "SELECT p.id, x.x, p.note FROM people p, LATERAL unnest(ARRAY[p.phone]) x(x)",
          "***");
    shows(state,
          "WITH q AS (SELECT people.id, lower(people.phone) AS e, people.note FROM people) "
          "SELECT q.id, q.e, q.note FROM q",
          "***");
    shows(state, "SELECT 1 AS a, s.m, s.m AS n FROM (SELECT max(people.phone) AS m FROM people) s",
          "***");
    shows(state,
          "SELECT p.id, s.m, s.m AS n FROM places p JOIN (SELECT max(people.phone) AS m FROM "
          "people) s ON true",
          "***");
}

static void test_strict(void **state)
{
    static const char *const texts[] = {
        "SELECT * FROM made_a_moment_ago",
        "UPDATE customers SET note = 'x' WHERE id = 1 RETURNING old.phone",
        "DELETE FROM customers WHERE id = 1 RETURNING id, old.*",
        "WITH a AS (SELECT 1) SELECT * FROM a, b",
        "SELECT c FROM customers c",
        "SELECT customers FROM customers",
        "SELECT (SELECT phone FROM customers LIMIT 1)",
        "SELECT phone FROM customers UNION ALL SELECT name FROM customers",
        "SELECT name FROM customers UNION ALL SELECT phone FROM customers",
        ("WITH RECURSIVE r AS (SELECT phone FROM customers UNION ALL SELECT 'x' FROM orders) "
         "SELECT * FROM r"),
    };
    expect(state, SP_SQL_MASKING_STRICT, texts, SP_COUNT(texts));
}

/* What the server holds against all rows, or puts into their order. */
static void test_refused_definitions(void **state)
{
    static const char *const texts[] = {
        "CREATE INDEX ON customers (phone)",
        "CREATE INDEX ON customers (id, phone DESC) INCLUDE (name)",
        "ALTER DOMAIN phone_t ADD CHECK (VALUE < '139')",
        "ALTER DOMAIN phone_t ADD CONSTRAINT c CHECK (VALUE < '139') NOT VALID",
        "ALTER DOMAIN phone_t VALIDATE CONSTRAINT c",
        "ALTER DOMAIN public.phone_t SET NOT NULL",
        /* under another name nobody would know it */
        "ALTER TABLE customers RENAME COLUMN phone TO x",
        "ALTER TABLE customers ALTER COLUMN phone DROP EXPRESSION",
        "ALTER TABLE customers CLUSTER ON i_phone",
        "ALTER TABLE customers ALTER note TYPE varchar(9), ALTER phone DROP EXPRESSION IF EXISTS",
        "ALTER TABLE customers RENAME phone TO x; SELECT x || '' FROM customers",
        "ALTER VIEW v_customers RENAME COLUMN tel TO y",
        "ALTER TYPE person RENAME ATTRIBUTE phone TO x CASCADE; SELECT 1 FROM customers",
        "ALTER TYPE person RENAME ATTRIBUTE a TO b",
        /* rows are held against a bound, or put into the order of values */
        "ALTER TABLE p ATTACH PARTITION customers FOR VALUES FROM ('1380') TO ('1381')",
        "ALTER TABLE orders ATTACH PARTITION customers DEFAULT",
        "CLUSTER customers USING i",
        "SET enable_seqscan = off",
        "SET LOCAL Random_Page_Cost = 0",
        "SELECT set_config('enable_sort', 'off', false)",
        "SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'enable_sort'",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
}

/* Places count in ORDER BY, GROUP BY and DISTINCT ON alike. */
static void test_refused_places(void **state)
{
    static const char *const texts[] = {
        "SELECT phone, count(*) FROM customers GROUP BY ROLLUP (1)",
        "SELECT id, phone, count(*) FROM customers GROUP BY GROUPING SETS ((1), (1, 2))",
        "SELECT phone, id FROM customers GROUP BY (1, 2)",
        "SELECT phone, id FROM customers GROUP BY id, CUBE (2, (1))",
        "SELECT DISTINCT ON (2) id, phone FROM customers",
        "SELECT DISTINCT ON (id, 2) id, phone FROM customers",
        "SELECT s.p FROM (SELECT DISTINCT ON (1) p, n FROM (SELECT phone AS p, 1 AS n FROM "
        "customers UNION ALL SELECT '1385', 2) s LIMIT 1) t, orders s(p)",
        "SELECT o.*, c.phone FROM orders o JOIN customers c ON c.id = o.id ORDER BY 5",
        "SELECT o.*, c.phone FROM orders o JOIN customers c ON c.id = o.id GROUP BY 2",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "SELECT id FROM customers WHERE phone = '138'",
        "COPY (SELECT c FROM customers c) TO STDOUT",
        "COPY made_a_moment_ago (phone) TO STDOUT",
        "COPY made_a_moment_ago TO STDOUT",
        "SELECT count(*) FROM pg_stats",
        "SELECT vals FROM deep_39",
        "SELECT vals FROM deep_0",
        "COPY (SELECT (SELECT phone FROM customers LIMIT 1)) TO STDOUT",
        "COPY (SELECT phone FROM customers UNION ALL SELECT 'x') TO STDOUT",
        "COPY (SELECT phone, o.* FROM customers, made_a_moment_ago o) TO STDOUT",
        "COPY (SELECT id FROM customers ORDER BY phone) TO STDOUT",
        "SELECT id FROM customers WHERE phone > '1'",
        "SELECT id FROM customers WHERE customers.phone LIKE '138%'",
        "SELECT id FROM customers ORDER BY phone",
        "SELECT phone FROM customers ORDER BY 1",
        "SELECT * FROM customers ORDER BY 3",
        "SELECT phone, count(*) FROM customers GROUP BY phone",
        "SELECT phone, count(*) FROM customers GROUP BY 1",
        "SELECT name FROM customers GROUP BY name HAVING max(phone) > '2'",
        "SELECT substr(phone, 1, 3) FROM customers",
        "SELECT phone::text FROM customers",
        "SELECT phone::int FROM customers",
        "SELECT phone COLLATE \"C\" FROM customers",
        "SELECT phone || '' FROM customers",
        "SELECT (phone) IS NULL FROM customers",
        "SELECT CASE WHEN phone = 'x' THEN 1 END FROM customers",
        "SELECT max(phone) FROM customers",
        "SELECT string_agg(phone, ',') FROM customers",
        "SELECT row_to_json(c) FROM customers c",
        "SELECT c.row_to_json FROM customers c",
        "SELECT to_jsonb(customers) FROM customers",
        "SELECT (c).phone FROM customers c",
        "SELECT phone(c) FROM customers c",
        "SELECT row(c.*) FROM customers c",
        "SELECT c::text FROM customers c",
        "SELECT count(c) FROM customers c",
        "SELECT DISTINCT phone FROM customers",
        "SELECT DISTINCT * FROM customers",
        "SELECT DISTINCT ON (phone) id FROM customers",
        "SELECT phone FROM customers UNION SELECT 'x'",
        "SELECT 'x' INTERSECT SELECT phone FROM customers",
        "SELECT 'x' EXCEPT SELECT phone FROM customers",
        "SELECT id FROM orders WHERE note IN (SELECT phone FROM customers)",
        "SELECT id FROM orders WHERE note = (SELECT phone FROM customers LIMIT 1)",
        "SELECT length((SELECT phone FROM customers LIMIT 1))",
        "SELECT ARRAY(SELECT phone FROM customers)",
        "SELECT q.p FROM (SELECT phone AS p FROM customers) q WHERE q.p = 'x'",
        "SELECT 1 FROM (SELECT phone AS a FROM customers) q, LATERAL (SELECT a AS b) r WHERE b = "
        "'x'",
        "SELECT z FROM (SELECT phone FROM customers) q(z) WHERE z = 'x'",
        "SELECT d FROM customers c(a, b, d, e) WHERE d = 'x'",
        "WITH q(z) AS (SELECT phone FROM customers) SELECT 1 FROM q WHERE z = 'x'",
        "SELECT n FROM (SELECT name AS n FROM customers UNION ALL SELECT phone FROM customers) u "
        "WHERE n = 'x'",
        "SELECT 1 FROM (SELECT (SELECT phone FROM customers LIMIT 1) AS s) q WHERE s = 'x'",
        "SELECT 1 FROM customers a JOIN customers b USING (phone)",
        "SELECT 1 FROM customers a NATURAL JOIN orders b",
        "SELECT 1 FROM customers a JOIN orders b ON a.phone = b.note",
        "SELECT rank() OVER (ORDER BY phone) FROM customers",
        "SELECT first_value(name) OVER w FROM customers WINDOW w AS (PARTITION BY phone)",
        "INSERT INTO orders (note) SELECT phone FROM customers",
        "INSERT INTO orders (note) VALUES ((SELECT phone FROM customers LIMIT 1))",
        "CREATE TABLE t AS SELECT * FROM customers",
        "CREATE TEMP TABLE t AS SELECT phone FROM customers",
        "SELECT phone INTO t FROM customers",
        "CREATE TABLE t (LIKE orders); INSERT INTO t SELECT * FROM customers",
        "CREATE VIEW v AS SELECT phone FROM customers",
        "UPDATE customers SET note = phone WHERE id = 1",
        "UPDATE customers SET name = 'x' WHERE phone = 'y'",
        "DELETE FROM customers WHERE phone = 'x'",
        "UPDATE orders SET note = c.phone FROM customers c WHERE c.id = orders.customer_id",
        "SELECT tel FROM v_customers WHERE tel = 'x'",
        "SELECT * FROM pg_stats, customers",
        "SELECT most_common_vals FROM pg_stats",
        "SELECT query FROM pg_catalog.pg_stat_get_activity(NULL)",
        "SELECT pg_stat_get_backend_activity(b) FROM pg_stat_get_backend_idset() b",
        "SELECT lo_get(16400)",
        "SELECT loread(lo_open(16400, 262144), 100)",
        "CREATE TABLE t (x text REFERENCES customers)",
        "CREATE TABLE t (x text, FOREIGN KEY (x) REFERENCES public.customers)",
        "ALTER TABLE orders ADD FOREIGN KEY (note) REFERENCES customers",
        "CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION "
        "suppress_redundant_updates_trigger()",
        "CREATE OR REPLACE FUNCTION order_total() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
        "NEW.note := OLD.phone; RETURN NEW; END'",
        "MERGE INTO orders o USING customers c ON o.note = c.phone WHEN MATCHED THEN DELETE",
        "CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION "
        "tsvector_update_trigger(tsv, 'pg_catalog.simple', phone)",
        "CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION "
        "tsvector_update_trigger(tsv, 'pg_catalog.simple', U&'ph\\006Fne')",
        "SELECT * FROM generate_series(1, 2) g, customers WHERE phone = 'x'",
        "SELECT id FROM customers LIMIT (SELECT length(phone) FROM customers LIMIT 1)",
        "SELECT xmlforest(phone) FROM customers",
        "SELECT coalesce(phone, 'x') FROM customers",
        "SELECT ARRAY[phone] FROM customers",
        "SELECT greatest(phone, 'x') FROM customers",
        "PREPARE p AS SELECT id FROM customers WHERE phone = $1",
        "EXPLAIN ANALYZE SELECT id FROM customers WHERE phone = 'x'",
        "SELECT id FROM customers WHERE 'a\\b' = phone",
        /* rows that went through a subquery */
        "SELECT count(*) FROM (SELECT c FROM customers c) x WHERE (x.c).phone LIKE '1%'",
        "SELECT x.id FROM (SELECT c, id FROM customers c) x ORDER BY x.c",
        /* what others would read later, or tell */
        "CREATE RULE r AS ON INSERT TO orders DO ALSO SELECT phone FROM customers",
        "LISTEN x",
        /* whether it works tells */
        "ALTER TABLE customers ALTER phone SET NOT NULL",
        "ALTER TABLE customers ALTER phone TYPE int",
        "ALTER TABLE customers ADD UNIQUE (phone)",
        "ALTER TABLE customers ADD EXCLUDE (phone WITH =)",
        "CREATE UNIQUE INDEX ON customers (phone)",
        "CREATE TABLE t (p text REFERENCES customers (phone))",
        "INSERT INTO customers (id) VALUES (1) ON CONFLICT (phone) DO NOTHING",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
}

/* The same ways out through other forms of FROM, of rows and of queries. */
static void test_other_forms(void **state)
{
    static const char *const texts[] = {
        "SELECT 1 FROM customers c CROSS JOIN LATERAL upper(c.phone) u",
        "SELECT 1 FROM customers c, LATERAL (VALUES (c.phone)) v(x) WHERE x = 'a'",
        "SELECT x FROM (VALUES ((SELECT phone FROM customers LIMIT 1))) v(x)",
        "SELECT 1 FROM ROWS FROM (upper((SELECT phone FROM customers LIMIT 1)), generate_series(1, "
        "2)) AS r(a, b) WHERE a = 'x'",
        "SELECT name, phone FROM customers GROUP BY GROUPING SETS ((name), (phone))",
        "SELECT name FROM customers GROUP BY ROLLUP (name, phone)",
        "SELECT count(*) OVER (PARTITION BY phone) FROM customers",
        "SELECT count(*) OVER w FROM customers WINDOW w AS (ORDER BY phone)",
        "SELECT id FROM customers WHERE (id, phone) = (7, 'x')",
        "SELECT id FROM customers c WHERE c = ROW(7, 'a', 'x', 'n')",
        "SELECT id FROM customers c WHERE c.* = ROW(7, 'a', 'x', 'n')",
        "SELECT id FROM customers c WHERE c IN (SELECT c FROM customers c)",
        "SELECT (SELECT c FROM customers c LIMIT 1).phone",
        "SELECT to_json((SELECT c FROM customers c LIMIT 1))",
        "SELECT ((SELECT c FROM customers c LIMIT 1)).phone",
        "SELECT 1 FROM (TABLE customers) t WHERE t::text LIKE 'x'",
        "SELECT 1 FROM (TABLE customers) t(a, b, d, e) WHERE d = 'x'",
        "WITH t AS (TABLE customers) SELECT to_json(t) FROM t",
        "WITH t AS (TABLE customers) SELECT to_json(u) FROM t u",
        "WITH a AS (SELECT phone AS x FROM customers), b AS (SELECT x AS y FROM a), c AS (SELECT y "
        "AS z FROM b) SELECT 1 FROM c WHERE z = 'q'",
        "WITH RECURSIVE r(n, p) AS (SELECT 1, phone FROM customers UNION ALL SELECT n + 1, p FROM "
        "r WHERE p > 'x') SELECT n FROM r",
        "WITH d AS (DELETE FROM customers WHERE id = 1 RETURNING phone AS gone) SELECT 1 FROM d "
        "WHERE gone = 'x'",
        "WITH d AS (DELETE FROM customers WHERE id = 1 RETURNING *) INSERT INTO orders (note) "
        "SELECT phone FROM d",
        "SELECT 1 FROM customers AS c TABLESAMPLE bernoulli (100) WHERE c::text = 'x'",
        "SELECT 1 FROM customers AS c(a, b, d) TABLESAMPLE bernoulli (100) REPEATABLE (1) WHERE d "
        "= "
        "'x'",
        "SELECT json_agg(x) FROM (SELECT * FROM customers) x",
        "SELECT x.* FROM customers c, jsonb_populate_record(c, '{}') x",
        "SELECT x FROM customers c, jsonb_to_record(to_jsonb(c)) AS x(phone text)",
        "SELECT 1 FROM customers c JOIN LATERAL (SELECT c.phone AS q) z ON z.q = 'x'",
        "SELECT 1 FROM (customers c JOIN orders o ON c.id = o.id) j(a, b, d) WHERE d = 'x'",
        "SELECT name FROM customers ORDER BY (SELECT phone)",
        "SELECT name FROM customers LIMIT length((SELECT phone FROM customers LIMIT 1))",
        "SELECT array_agg(phone ORDER BY id) FROM customers",
        "SELECT count(*) FILTER (WHERE phone = 'x') FROM customers",
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY phone) FROM customers",
        "INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = "
        "customers.phone",
        "INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE "
        "customers.phone = 'y'",
        "UPDATE orders SET (note, total) = (SELECT phone, 1 FROM customers WHERE id = 1) WHERE id "
        "= 1",
        "SELECT 1 FROM xmltable('/x' PASSING (SELECT xmlelement(name a, phone) FROM customers) "
        "COLUMNS y text) t",
        "SELECT phone IN ('x') FROM customers",
        "SELECT NOT (phone IS NULL) FROM customers",
        "SELECT EXISTS (SELECT 1 FROM customers WHERE phone = 'x')",
        "SELECT (ARRAY(SELECT phone FROM customers))[1]",
        "SELECT nullif(phone, 'x') FROM customers",
        "SELECT 1 FROM ((SELECT '' AS a UNION ALL SELECT phone FROM customers) UNION ALL SELECT "
        "'') s WHERE a = 'x'",
        "SELECT 1 FROM (SELECT '' AS b UNION ALL (SELECT '' AS a UNION ALL SELECT phone FROM "
        "customers)) s WHERE b = 'x'",
        "WITH s AS (SELECT 1 AS i, '' AS b UNION ALL SELECT id, phone FROM customers) SELECT 1 "
        "FROM s t(u, v) WHERE v = 'x'",
        "SELECT public.customers.row_to_json FROM customers",
        "SELECT (customers).row_to_json FROM customers",
        "SELECT 1 FROM customers c, LATERAL (SELECT c) d(e) WHERE (d.e).phone = 'x'",
        "SELECT 1 FROM customers c, LATERAL (SELECT c) d(e) WHERE e::text = 'x'",
        "SELECT q.concat FROM (WITH z AS (SELECT 1) SELECT * FROM customers) q, orders o",
        "MERGE INTO customers c USING orders o ON c.id = o.id WHEN MATCHED AND c.phone = 'x' THEN "
        "DELETE",
        "SELECT 1 FROM customers c WHERE ROW(c.*) = ROW(1, 'a', 'b', 'c')",
        "SELECT 1 FROM customers c WHERE (SELECT c.phone) = 'x'",
        "WITH customers AS (SELECT c.phone AS name FROM customers c) SELECT upper(name) FROM "
        "customers",
        "WITH x AS (WITH orders AS (SELECT phone AS p FROM customers) SELECT * FROM orders) SELECT "
        "upper(p) FROM x",
        "SELECT (SELECT upper(o.p) FROM orders o) FROM (WITH orders AS (SELECT phone AS p FROM "
        "customers) SELECT 1 FROM orders) z",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
}

/* WITH queries that are called like a table without masked columns. */
static void test_named_like_clean(void **state)
{
    static const char *const texts[] = {
#define AS_ORDERS "WITH orders AS (SELECT phone AS p FROM customers) "
        AS_ORDERS "SELECT upper(o.p) FROM orders AS o",
        AS_ORDERS "SELECT upper(orders.p) FROM orders",
        AS_ORDERS "SELECT 1 FROM orders AS o WHERE o.p LIKE '+49%'",
        "COPY (" AS_ORDERS "SELECT upper(o.p) FROM orders o) TO STDOUT",
        "CREATE TEMP TABLE mine AS " AS_ORDERS "SELECT o.p FROM orders o",
        "WITH orders AS (SELECT phone FROM customers) SELECT upper(z) FROM orders AS o(z)",
        "WITH a AS (" AS_ORDERS "SELECT o.p FROM orders o) SELECT upper(x.p) FROM a x",
        "SELECT 1 FROM (" AS_ORDERS "SELECT o.p FROM orders o) q WHERE q.p = 'x'",
        "INSERT INTO order_lines (item) " AS_ORDERS "SELECT o.p FROM orders o",
        AS_ORDERS "UPDATE order_lines SET item = o.p FROM orders o WHERE order_id = 1",
        AS_ORDERS "DELETE FROM order_lines USING orders o WHERE o.p = item",
        AS_ORDERS
        "MERGE INTO order_lines l USING orders o ON o.p = l.item WHEN MATCHED THEN DELETE",
        AS_ORDERS "SELECT row_to_json(o) FROM orders o",
        AS_ORDERS "SELECT o.row_to_json FROM orders o",
        AS_ORDERS
        "SELECT 1 FROM order_lines l, LATERAL (SELECT o.p FROM orders o) q WHERE q.p > ''",
        "WITH RECURSIVE a AS (SELECT o.p FROM orders o), orders AS (SELECT phone AS p FROM "
        "customers) SELECT 1 FROM a WHERE a.p = 'x'",
        /* an alias that means something clean elsewhere */
        "WITH q AS (SELECT phone FROM customers) SELECT upper(z) FROM q AS o(z), (SELECT 1 FROM "
        "orders o) x",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
}

/* Rows that are not those of one FROM item. */
static void test_rows_by_other_names(void **state)
{
    static const char *const texts[] = {
        "SELECT row_to_json(j) FROM (customers c CROSS JOIN orders o) AS j",
        "SELECT j.row_to_json FROM (customers c CROSS JOIN orders o) AS j",
        /* a masked column that is called like the function */
        "SELECT c.row_to_json, phone AS row_to_json FROM customers c",
        "SELECT q.row_to_json FROM (WITH z AS (SELECT 1) SELECT * FROM customers) q, (SELECT phone "
        "AS row_to_json FROM customers) s",
        "SELECT upper(j.phone) FROM (customers c CROSS JOIN orders AS j) AS j",
        "SELECT upper(z) FROM (customers c CROSS JOIN orders AS j) AS j(a, b, z)",
        "SELECT 1 FROM (customers c CROSS JOIN orders o) AS j WHERE j::text LIKE '%+49%'",
        "SELECT row_to_json(j) FROM customers c JOIN customers o USING (id) AS j",
        "CREATE RULE r AS ON DELETE TO customers DO ALSO INSERT INTO orders (note) VALUES "
        "(row_to_json(old))",
        "CREATE RULE r AS ON UPDATE TO customers WHERE old::text LIKE 'x' DO ALSO NOTHING",
        "CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW WHEN (old::text LIKE 'x') "
        "EXECUTE FUNCTION order_total()",
        "UPDATE customers SET name = 'x' WHERE id = 1 RETURNING row_to_json(old)",
        "DELETE FROM customers WHERE id = 1 RETURNING old::text",
        "INSERT INTO customers (id) VALUES (1) RETURNING row_to_json(new)",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
    static const char *const whole[] = {
        "SELECT j FROM (customers c CROSS JOIN (SELECT 1) s) AS j",
        "UPDATE customers SET name = 'x' WHERE id = 1 RETURNING old",
    };
    expect(state, SP_SQL_MASKING_STRICT, whole, SP_COUNT(whole));
    /* something else that is masked has the row's name: an alias, a column of another query */
    static const char *const alike[] = {
        "SELECT c AS c FROM (SELECT * FROM customers) c",
        "SELECT phone FROM (SELECT id, phone AS p FROM customers) phone",
        "SELECT z AS z FROM (orders CROSS JOIN customers AS name) AS z",
        "DELETE FROM orders USING (SELECT id, phone AS p FROM customers) phone WHERE orders.id = 1 "
        "RETURNING phone",
        "DECLARE k CURSOR FOR SELECT x AS x FROM (SELECT phone FROM customers) AS x",
    };
    expect(state, SP_SQL_MASKING_STRICT, alike, SP_COUNT(alike));
}

/* A set operation's columns are called like those of its first part. */
static void test_names_of_sets(void **state)
{
#define AND_PHONE " UNION ALL SELECT phone FROM customers) s "
    static const char *const texts[] = {
        "SELECT name FROM customers WHERE EXISTS (SELECT FROM (VALUES (0, '') UNION ALL SELECT id, "
        "phone FROM customers) s WHERE s.column1 = customers.id AND s.column2 LIKE '+49%')",
        "CREATE TEMP TABLE mine AS SELECT column1 FROM (VALUES ('')" AND_PHONE,
        "SELECT 1 FROM (SELECT NULL::text" AND_PHONE "WHERE text LIKE '+49%'",
        "SELECT 1 FROM (SELECT 'x'::varchar COLLATE \"C\"" AND_PHONE "WHERE varchar > ''",
        "SELECT 1 FROM (SELECT note::text FROM orders" AND_PHONE "WHERE note > ''",
        "SELECT 1 FROM (SELECT lower('x')::text" AND_PHONE "WHERE lower > ''",
        "SELECT 1 FROM (SELECT nullif('x', 'x')" AND_PHONE "WHERE nullif > ''",
        "SELECT 1 FROM (SELECT coalesce('x', 'y')" AND_PHONE "WHERE s.coalesce > ''",
        "SELECT 1 FROM (SELECT CASE WHEN true THEN 'x' END" AND_PHONE "WHERE s.case > ''",
        "SELECT 1 FROM (SELECT (SELECT 'x' AS z)" AND_PHONE "WHERE z > ''",
        "SELECT 1 FROM (SELECT (o).note FROM orders o" AND_PHONE "WHERE note > ''",
        "SELECT 1 FROM (SELECT current_user" AND_PHONE "WHERE s.current_user > ''",
        "WITH s AS (VALUES ('') UNION ALL SELECT phone FROM customers) SELECT column1 FROM s",
        "SELECT 1 FROM (SELECT 'x' || 'y'" AND_PHONE "WHERE \"?column?\" > ''",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
    static const char *const fine[] = {
        "SELECT 'x', name FROM customers UNION ALL SELECT 'y', phone FROM customers",
        "SELECT true, NULL::text, name UNION ALL SELECT false, phone, name FROM customers",
        "SELECT q.x FROM (SELECT CASE WHEN true THEN 'x' END AS x UNION ALL SELECT phone FROM "
        "customers) q",
    };
    expect(state, SP_SQL_MASKING_STRICT, fine, SP_COUNT(fine));
    static const char *const clean[] = {
        "SELECT c.phone FROM customers c, (VALUES (1) UNION ALL SELECT id FROM orders) s",
        "WITH orders AS (SELECT id, note FROM orders) SELECT upper(o.note), c.phone FROM orders o "
        "JOIN customers c ON c.id = o.id WHERE o.note = 'x'",
    };
    expect(state, SP_SQL_MASKING_BY_ORIGIN, clean, SP_COUNT(clean));
}

/* What the server tells of values it tells through any view. */
static void test_views_that_tell(void **state)
{
    static const char *const texts[] = {
        "SELECT vals FROM v_common WHERE tablename = 'customers'",
        "SELECT * FROM m_common",
        "SELECT id FROM v_asks",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
    static const char *const clean[] = {"SELECT id FROM v_upper"};
    expect(state, SP_SQL_MASKING_CLEAN, clean, SP_COUNT(clean));
}

/* INTO stands at the first part, and takes the rows of all. */
static void test_sets_into_tables(void **state)
{
    static const char *const texts[] = {
        "SELECT '' AS x INTO TEMP t UNION ALL SELECT phone FROM customers",
        "SELECT NULL::customers AS x INTO TEMP t UNION ALL SELECT c FROM customers c",
        "SELECT ''::text AS x INTO t UNION ALL SELECT name FROM customers UNION ALL SELECT phone "
        "FROM customers",
        "EXPLAIN ANALYZE SELECT '' AS x INTO TEMP t UNION ALL SELECT phone FROM customers",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
}

/* Only the places that hold masked values in some part carry them. */
static void test_places_of_sets(void **state)
{
    static const char *const fine[] = {
        "SELECT id, phone FROM customers WHERE id = 7 UNION ALL SELECT id, note FROM orders WHERE "
        "id = 7",
        "SELECT u.id FROM (SELECT id, phone FROM customers UNION ALL SELECT id, note FROM orders) "
        "u "
        "WHERE u.id > 7 ORDER BY u.id",
        "WITH u AS (SELECT id, phone AS p FROM customers UNION ALL SELECT id, note FROM orders) "
        "SELECT count(*) FROM u WHERE id > 7",
        "SELECT upper(u.n) FROM (SELECT note AS n, 'x' AS p FROM orders UNION ALL (SELECT name, "
        "phone "
        "FROM customers UNION ALL SELECT name, note FROM customers)) u",
    };
    expect(state, SP_SQL_MASKING_STRICT, fine, SP_COUNT(fine));
    static const char *const texts[] = {
        "SELECT upper(u.p) FROM (SELECT note AS n, 'x' AS p FROM orders UNION ALL (SELECT name, "
        "phone "
        "FROM customers UNION ALL SELECT name, note FROM customers)) u",
        "SELECT 1 FROM (SELECT id, note FROM orders UNION ALL SELECT c.id, c.phone FROM customers "
        "c) u "
        "WHERE u.note > ''",
        "SELECT 1 FROM (SELECT id, customer_id, total, note FROM orders UNION ALL SELECT * FROM "
        "customers) u WHERE u.total > ''",
        "SELECT 1 FROM (SELECT 1 AS a, 'x' AS b UNION ALL SELECT o.id, (SELECT phone FROM "
        "customers c "
        "WHERE c.id = o.id) FROM orders o) u WHERE b > ''",
        "SELECT 1 FROM (SELECT o.*, 'x' AS b FROM orders o UNION ALL SELECT o.*, c.phone FROM "
        "orders "
        "o, customers c) u WHERE b > ''",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
}

/* What the statement brings itself may take the place of what is stored. */
static void test_upsert(void **state)
{
#define UPSERT "INSERT INTO customers (id, phone) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET "
    static const char *const fine[] = {
        UPSERT "phone = excluded.phone",
        UPSERT "phone = excluded.phone, name = excluded.name RETURNING id, phone",
        UPSERT "phone = 'y' WHERE customers.id = 1",
        "INSERT INTO customers AS c (id, phone) SELECT id, note FROM orders ON CONFLICT (id) DO "
        "UPDATE SET phone = excluded.phone",
        "INSERT INTO customers (id, phone) VALUES (1, 'x') ON CONFLICT DO NOTHING",
    };
    expect(state, SP_SQL_MASKING_BY_ORIGIN, fine, SP_COUNT(fine));
    static const char *const texts[] = {
        UPSERT "note = customers.phone",
        UPSERT "note = excluded.phone",
        UPSERT "note = phone",
        UPSERT "phone = excluded.phone WHERE customers.phone = excluded.phone",
        UPSERT "phone = coalesce(excluded.phone, customers.phone)",
        UPSERT "note = (SELECT excluded.phone FROM customers excluded WHERE excluded.id = 7)",
        UPSERT "note = (SELECT phone FROM customers c WHERE c.id = 7)",
        "INSERT INTO customers (id, phone) SELECT 1, phone FROM customers ON CONFLICT (id) DO "
        "UPDATE "
        "SET phone = excluded.phone",
        "INSERT INTO customers (id, phone) VALUES (1, 'x') ON CONFLICT (phone) DO NOTHING",
        "INSERT INTO customers AS excluded (id, phone) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE "
        "SET "
        "phone = excluded.phone",
    };
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
}

#define OF_SCHEMA                                                                                  \
    "SELECT (SELECT public.customers.concat FROM shapes AS customers) FROM public.customers"
#define BESIDE "SELECT (SELECT q.c FROM shapes AS p, (SELECT p.concat AS c) q) FROM customers p"
#define IN_JOIN                                                                                    \
    "SELECT (SELECT p.concat FROM (shapes AS p JOIN orders s ON true) AS j LIMIT 1) FROM "         \
    "customers p"

/* "t.f" where another t has a column f: the masks know it without the judgement. */
static void test_rows_that_share_a_name(void **state)
{
    static const char *const texts[] = {OF_SCHEMA, BESIDE, IN_JOIN,
                                        "SELECT c.concat FROM customers c, shapes"};
    expect(state, SP_SQL_MASKING_REFUSED, texts, SP_COUNT(texts));
    static const char *const fine[] = {
        "SELECT s.concat, c.phone FROM customers c JOIN shapes s ON s.id = c.id",
        "SELECT q.concat, c.phone FROM customers c, (SELECT s.concat FROM shapes s) q",
        "WITH q AS (SELECT * FROM shapes) SELECT q.concat, c.phone FROM customers c, q",
    };
    expect(state, SP_SQL_MASKING_BY_ORIGIN, fine, SP_COUNT(fine));
}

/* "t.f" where t has, has not, or may have a column f: the judgement says when it may be a call. */
static void test_rows_that_are_called(void **state)
{
    static const struct {
        const char *text;
        bool may_call;
    } cases[] = {
        {"SELECT c.name FROM customers c", false},
        {"SELECT q.name FROM (SELECT name FROM customers) q", false},
        {"SELECT q.name FROM (SELECT * FROM customers) q", false},
        {"SELECT v.column1 FROM (VALUES (1)) v", false},
        {"SELECT q.count FROM (WITH z AS (SELECT 1) SELECT count(*) FROM z) q", false},
        {"WITH q AS (WITH z AS (SELECT 1) SELECT 2 AS date) SELECT q.date FROM q", false},
        {"SELECT v.row_to_json FROM (VALUES (1)) v", true},
        {"SELECT v.text FROM (VALUES (1), (2)) v", true},
        {"SELECT c.row_to_json FROM customers c, (SELECT 1 AS row_to_json) x", true},
        {"SELECT q.row_to_json FROM (WITH z AS (SELECT 1) SELECT * FROM customers) q, (SELECT 1 AS "
         "row_to_json) x",
         true},
        {"SELECT (c).row_to_json FROM customers c, (SELECT 1 AS row_to_json) x", true},
        {"SELECT ((SELECT c FROM customers c)).row_to_json FROM (SELECT 1 AS row_to_json) x", true},
        {"SELECT c.order_total FROM customers c", true},
        {"SELECT q.row_to_json FROM (SELECT 1 AS a) q", true},
        /* a column of what is called t, but is not the t that the server means */
        {OF_SCHEMA, true},
        {BESIDE, true},
        {IN_JOIN, true},
        {"SELECT (SELECT 1 FROM shapes AS p, (orders o JOIN orders q ON p.concat = 'x')) FROM "
         "customers p",
         true},
        {"SELECT (SELECT q.c FROM LATERAL (SELECT p.concat AS c) q, shapes AS p) FROM customers p",
         true},
        {"SELECT q.concat FROM (SELECT p.* FROM customers p, shapes) q", true},
        {"WITH q AS (SELECT * FROM customers), customers AS (SELECT 1 AS concat) SELECT q.concat "
         "FROM q",
         true},
        {"SELECT (SELECT upper.concat FROM upper('x')) FROM shapes AS upper", true},
        {"SELECT (SELECT x.concat FROM orders JOIN customers USING (id) AS x) FROM shapes x", true},
        {"UPDATE shapes SET id = 1 FROM customers excluded WHERE excluded.concat = 'x'", true},
        {"SELECT public.shapes.concat FROM public.shapes, customers", false},
        {"SELECT t.concat FROM (SELECT t.concat FROM shapes t) t", false},
        {"SELECT (SELECT s.concat FROM shapes s WHERE s.id = c.id) FROM customers c", false},
        {"SELECT (SELECT c.concat FROM shapes c LIMIT 1) FROM customers c", false},
        {"SELECT q.concat FROM customers c, shapes s, LATERAL (SELECT s.concat) q", false},
        {"SELECT j.concat FROM (shapes s JOIN customers c ON s.concat = c.name) AS j", false},
        {"SELECT x.concat FROM shapes a JOIN shapes b USING (concat) AS x", false},
        {"SELECT q.concat FROM (SELECT s.* FROM shapes s, customers) q", false},
        {"WITH a AS (SELECT * FROM shapes), b AS (SELECT * FROM a) SELECT b.concat FROM b", false},
    };
    room *it = *state;
    size_t wrong = 0;
    const sp_sql_context context = {.catalogue = it->office};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        const sp_sql_judgement *judged =
            sp_sql_judge_text(it->judge, &context, sp_span_cstr(cases[i].text));
        assert_int_equal(judged->fault, SP_SQL_FINE);
        if (((judged->flags & SP_SQL_IS_ROW_CALL) != 0) != cases[i].may_call) {
            print_error("%s\n", cases[i].text);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* Column by column: 0 clear, otherwise the mask and one. */
static void plans(void **state, const char *text, const char *want)
{
    room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    sp_span span = sp_span_cstr(text);
    sp_sql_masking got = sp_sql_masking_text(it->judge, &context, span, OFFICE_PERSONAL);
    assert_int_equal(got.mode, SP_SQL_MASKING_BY_ORIGIN);
    assert_true(got.copies);
    auto_free sp_copy_plan *plan = NULL;
    const char *why = NULL;
    char line[64] = "refused";
    if (!sp_failed(sp_sql_masking_copy(it->judge, &context, span, OFFICE_PERSONAL, &plan, &why))) {
        snprintf(line, sizeof(line), "%d:", plan->format);
        for (uint16_t i = 0; i < plan->column_count; i++) {
            size_t len = sp_span_cstr(line).len;
            line[len] = plan->columns[i].mask == 0                    ? '.'
                        : plan->columns[i].mask == SP_MASK_MOBILE + 1 ? 'm'
                                                                      : '?';
            line[len + 1] = '\0';
        }
    } else {
        assert_non_null(why);
    }
    if (strcmp(line, want) != 0) {
        print_error("%s\n   got:  %s (%s)\n   want: %s\n", text, line, why, want);
        fail();
    }
}

static void test_copy(void **state)
{
    plans(state, "COPY customers TO STDOUT", "0:..m.");
    plans(state, "COPY public.customers (phone, id) TO STDOUT (FORMAT csv, HEADER)", "1:m.");
    plans(state, "COPY customers (phone) TO STDOUT WITH BINARY", "2:m");
    plans(state, "COPY customers TO STDOUT CSV DELIMITER ';' QUOTE '''' NULL 'x'", "1:..m.");
    plans(state, "COPY (SELECT phone FROM customers) TO STDOUT", "0:m");
    plans(state, "COPY (SELECT * FROM customers WHERE id = 3) TO STDOUT", "0:..m.");
    plans(state,
          "COPY (SELECT 1, o.*, c.phone AS x, upper(c.name) FROM orders o JOIN customers c ON "
          "c.id = o.customer_id ORDER BY o.id LIMIT 3) TO STDOUT",
          "0:.....m.");
    plans(state, "COPY (SELECT tel, id FROM v_customers) TO STDOUT", "0:m.");
    plans(state, "COPY (SELECT public.customers.phone FROM public.customers) TO STDOUT", "0:m");
    plans(state, "COPY customers TO STDOUT NULL E'\\\\N'", "0:..m.");
    /* how it is written is not certain */
    plans(state, "COPY customers TO STDOUT NULL '\\N'", "refused");
    plans(state, "COPY customers TO STDOUT NULL '138'", "refused");
    plans(state, "COPY customers TO STDOUT NULL ''", "refused");
    plans(state, "COPY customers TO STDOUT DELIMITER 'ab'", "refused");
    plans(state, "COPY customers TO STDOUT (ENCODING 'GBK')", "refused");
    plans(state, "COPY customers TO STDOUT (FORMAT xml)", "refused");
    plans(state, "COPY customers TO STDOUT (HEADER maybe)", "refused");
    plans(state, "COPY customers TO STDOUT; SELECT 1", "refused");
    /* that has the name of something clean beside it */
    plans(state, "SELECT 1 FROM orders customers; COPY customers TO STDOUT", "refused");
    plans(state, "EXPLAIN SELECT 1 FROM orders customers; COPY public.customers TO STDOUT",
          "refused");
    plans(state, "COPY (SELECT 1 FROM orders customers) TO STDOUT; COPY customers TO STDOUT",
          "refused");
    /* or which column is which */
    plans(state, "COPY customers (id, nothing, phone) TO STDOUT", "refused");
    plans(state, "COPY customers (id, nothing) TO STDOUT", "refused");
    plans(state, "COPY (SELECT x.phone FROM (SELECT phone FROM customers) x) TO STDOUT", "refused");
    plans(state, "COPY (WITH c AS (SELECT * FROM customers) SELECT phone FROM c) TO STDOUT",
          "refused");
    plans(state, "COPY (SELECT z FROM customers c(a, b, z, d)) TO STDOUT", "refused");
    plans(state, "COPY (SELECT * FROM customers a JOIN orders b USING (id)) TO STDOUT", "refused");
    plans(state, "COPY (SELECT note, phone FROM customers, orders) TO STDOUT", "refused");
    plans(state, "COPY (SELECT o.id, o.note, c.* FROM orders o, customers c) TO STDOUT",
          "0:....m.");
    plans(state, "COPY (SELECT o.*, c.* FROM orders o, customers c) TO STDOUT", "refused");
    plans(state, "COPY (SELECT * FROM orders o, customers c) TO STDOUT", "refused");
    plans(state, "COPY (SELECT c.*, c.* FROM customers c) TO STDOUT", "refused");
    plans(state, "COPY (SELECT ctid, phone FROM customers) TO STDOUT", "refused");
    plans(state, "COPY (UPDATE customers SET name = 'x' WHERE id = 1 RETURNING *) TO STDOUT",
          "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clean),
                                       cmocka_unit_test(test_by_origin),
                                       cmocka_unit_test(test_strict),
                                       cmocka_unit_test(test_views),
                                       cmocka_unit_test(test_what_views_show),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_refused_definitions),
                                       cmocka_unit_test(test_refused_places),
                                       cmocka_unit_test(test_copy),
                                       cmocka_unit_test(test_other_forms),
                                       cmocka_unit_test(test_named_like_clean),
                                       cmocka_unit_test(test_rows_by_other_names),
                                       cmocka_unit_test(test_names_of_sets),
                                       cmocka_unit_test(test_sets_into_tables),

                                       cmocka_unit_test(test_views_that_tell),
                                       cmocka_unit_test(test_places_of_sets),
                                       cmocka_unit_test(test_upsert),
                                       cmocka_unit_test(test_rows_that_share_a_name),
                                       cmocka_unit_test(test_rows_that_are_called)};
    return cmocka_run_group_tests(tests, office_set_up_masked, office_tear_down);
}

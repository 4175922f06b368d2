/* SPDX-License-Identifier: Apache-2.0
 * Statements that once did more than their judgement said.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/judge.h.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include "lib/base/mem.h"

#include <string.h>

typedef office_judged judged;
typedef office_room room;

#define ALL_ORDERS "destroy! orders; destroy!~ order_lines"

static bool has_temp(const void *session, sp_span name)
{
    (void)session;
    return sp_span_eq(name, SP_SPAN_LIT("scratch"));
}

static bool was_made(const void *session, sp_span name)
{
    (void)session;
    return sp_span_eq(name, SP_SPAN_LIT("made_before"));
}

static void check(void **state, const judged *cases, size_t count)
{
    const sp_sql_context context = {
        .is_temporary = has_temp, .is_made = was_made, .function_action = office_is_listed};
    office_check(state, context, cases, count);
}

static void test_temporary(void **state)
{
    static const judged cases[] = {
        /* a view of one's own stands for tables of others */
        {"CREATE TEMP VIEW v AS SELECT * FROM customers", "forbidden"},
        {"CREATE VIEW pg_temp.v AS SELECT * FROM customers", "forbidden"},
        /* a trigger of one's own runs code of others */
        {"CREATE TRIGGER t AFTER INSERT ON scratch EXECUTE FUNCTION order_total()",
         "destroy? database; execute? function order_total"},
        /* nor does a rule make a view of it, or more of what is done to it */
        {"CREATE RULE \"_RETURN\" AS ON SELECT TO scratch DO INSTEAD SELECT * FROM orders",
         "forbidden"},
        {"CREATE RULE \"_RETURN\" AS ON SELECT TO orders DO INSTEAD SELECT * FROM customers",
         "forbidden"},
        {"CREATE RULE r AS ON DELETE TO orders DO ALSO INSERT INTO scratch VALUES (old.id)",
         "forbidden"},
        {"CREATE RULE r AS ON DELETE TO scratch DO INSTEAD DELETE FROM orders WHERE id = old.id",
         "forbidden"},
        {"CREATE RULE r AS ON INSERT TO pg_temp.other DO ALSO DELETE FROM orders WHERE id = 1",
         "forbidden"},
        {"CREATE RULE r AS ON INSERT TO pg_temp_3.other DO ALSO DELETE FROM orders WHERE id = 1",
         "forbidden"},
        {"CREATE TEMP TABLE orders (id int); CREATE RULE r AS ON INSERT TO orders DO ALSO NOTHING",
         "forbidden"},
        /* the server makes it temporary when it reads what is */
        {"CREATE VIEW v AS SELECT * FROM customers WHERE EXISTS (SELECT FROM scratch)",
         "forbidden"},
        {"CREATE VIEW v AS SELECT * FROM customers WHERE EXISTS (SELECT FROM pg_temp_3.x)",
         "forbidden"},
        {"CREATE TEMP TABLE orders (id int); CREATE VIEW v AS SELECT c.* FROM customers c, orders",
         "forbidden"},
        {"CREATE VIEW pg_temp_3.v AS SELECT * FROM customers", "forbidden"},
        {"SELECT 1 AS x INTO TEMP t; CREATE VIEW v AS SELECT * FROM customers, t", "forbidden"},
        {"SELECT 1 AS x INTO pg_temp_3.t; CREATE VIEW v AS SELECT * FROM customers, t",
         "forbidden"},
        {"CREATE TABLE pg_temp_3.t (x int); CREATE VIEW v AS SELECT * FROM customers, t",
         "forbidden"},
        {"ALTER TABLE scratch RENAME TO t; CREATE VIEW v AS SELECT * FROM customers, t",
         "forbidden"},
        {"ALTER TABLE pg_temp.x RENAME TO t; CREATE VIEW v AS SELECT * FROM customers, t",
         "forbidden"},
        {"ALTER TABLE scratch RENAME TO t; CREATE VIEW v AS SELECT * FROM public.customers",
         "alter schema v; alter> v; read customers"},
        /* a SET in disguise */
        {"CREATE VIEW v AS SELECT * FROM pg_settings", "forbidden"},
        {"CREATE RULE r AS ON INSERT TO items DO INSTEAD SELECT * FROM pg_settings", "forbidden"},
        /* what was gathered is exported: what that was the session knows, but of the text itself */
        {"COPY scratch TO STDOUT", ""},
        {"COPY (SELECT * FROM scratch) TO STDOUT", ""},
        {"SELECT 1; COPY scratch TO STDOUT", "export database"},
        {"INSERT INTO scratch SELECT id FROM customers; COPY (SELECT * FROM scratch) TO STDOUT",
         "export database; read customers"},
    };
    check(state, cases, SP_COUNT(cases));
}

/* A plan makes no table: a name that it does not make is no temporary one. */
static void test_plans_make_nothing(void **state)
{
    static const judged cases[] = {
        {"EXPLAIN SELECT 1 INTO TEMP zz; DELETE FROM zz", "destroy! zz"},
        {"EXPLAIN SELECT 1 AS id INTO TEMP orders; DELETE FROM orders", ALL_ORDERS},
        {"EXPLAIN SELECT id INTO TABLE t FROM orders", "read orders"},
        {"EXPLAIN (ANALYZE false) SELECT id INTO t FROM orders", "read orders"},
        {"EXPLAIN ANALYZE SELECT 1 INTO TEMP zz; DELETE FROM zz", ""},
        {"PREPARE x AS SELECT 1 INTO TEMP p UNION ALL SELECT 2", "unknown"},
        {"EXPLAIN ANALYZE SELECT id INTO t FROM orders", "alter schema t; read orders"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_returning(void **state)
{
    static const judged cases[] = {
        {"WITH customers AS (SELECT 1) INSERT INTO customers SELECT * FROM customers RETURNING *",
         "write customers; read customers"},
        {"WITH customers AS (SELECT 1) DELETE FROM customers WHERE id = 1 RETURNING phone",
         "write customers; write~ orders; write~ order_lines; read customers"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_keys(void **state)
{
    static const judged cases[] = {
        {"UPDATE customers SET name = 'x' WHERE id = 1", "write customers"},
        {"UPDATE customers SET id = 2 WHERE id = 1", "write customers; write~ orders"},
        {"UPDATE customers SET id = id + 1000", "destroy! customers; destroy!~ orders"},
        {"UPDATE customers SET name = 'x'", "destroy! customers"},
        {"UPDATE customers SET id = id + 1000 WHERE id > 5", "write+ customers; write~+ orders"},
        {"INSERT INTO customers VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 7",
         "write customers; write~ orders"},
        {"MERGE INTO customers c USING scratch s ON c.id = s.id WHEN MATCHED AND c.id = 5 THEN "
         "UPDATE SET id = 7",
         "write customers; write~ orders"},
        {"DELETE FROM v_customers WHERE id = 1",
         "write v_customers; write~ customers; write~ orders; write~ order_lines"},
        /* also when the rows of orders were on the list before */
        {"UPDATE orders SET total = 1 WHERE id = 1; DELETE FROM customers WHERE id = 1",
         "write orders; write customers; write~ orders; write~ order_lines"},
    };
    check(state, cases, SP_COUNT(cases));
}

/* Keys and row triggers come with a parent; a key that follows changes changes rows. */
static void test_parents(void **state)
{
    static const judged cases[] = {
        {"ALTER TABLE logs ATTACH PARTITION orders DEFAULT",
         "alter logs; alter orders; alter>> logs"},
        {"ALTER TABLE nobody_knows ATTACH PARTITION audit.entries DEFAULT",
         "alter nobody_knows; alter audit.entries; alter>> nobody_knows"},
        {"ALTER TABLE nobody_knows DETACH PARTITION audit.entries",
         "alter nobody_knows; alter audit.entries; alter> audit.entries"},
        {"ALTER INDEX audit.i_orders ATTACH PARTITION audit.i_orders",
         "alter audit.i_orders; alter> audit.i_orders"},
        /* which it may have got a moment ago */
        {"ALTER TABLE logs ADD FOREIGN KEY (at) REFERENCES wares ON DELETE CASCADE; "
         "ALTER TABLE logs ATTACH PARTITION audit.entries DEFAULT",
         "destroy logs; destroy~ logs_2024; alter logs; alter audit.entries; alter>> logs; alter "
         "logs; read wares"},
        {"CREATE TRIGGER t BEFORE INSERT ON logs FOR EACH ROW EXECUTE FUNCTION listed(); "
         "ALTER TABLE logs ATTACH PARTITION audit.entries DEFAULT",
         "alter logs; alter logs; alter audit.entries; alter>> logs; read function listed"},
        {"ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES wares ON UPDATE CASCADE",
         "alter orders; write+ orders; read wares"},
        {"ALTER TABLE orders ADD COLUMN x int REFERENCES wares ON UPDATE CASCADE",
         "alter orders; write+ orders; read wares"},
        {"ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES wares ON UPDATE SET NULL",
         "destroy orders; read wares"},
        {"ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES wares ON UPDATE RESTRICT",
         "alter orders; read wares"},
    };
    check(state, cases, SP_COUNT(cases));
}

/* A sequence is what its name is; an enumeration's values stand in rows. */
static void test_sequences(void **state)
{
    static const judged cases[] = {
        {"SELECT setval('audit.entries_id_seq', 1)", "write audit.entries_id_seq"},
        {"SELECT pg_catalog.setval('audit.entries'::regclass, 1)", "write audit.entries"},
        {"SELECT nextval(' Office . \"audit\".ENTRIES ')", "write audit.entries"},
        {"SELECT nextval('\"Odd \"\"one\"\"\"')", "write Odd \"one\""},
        {"SELECT setval(pg_get_serial_sequence('audit.entries', 'id'), 1)", "write audit.entries"},
        {"SELECT setval('audit.entry_no', 1)", "write audit.entry_no"},
        {"SELECT nextval('scratch')", ""},
        {"EXPLAIN SELECT nextval('audit.entries')", "read audit.entries"},
        {"CREATE TABLE v (id int DEFAULT nextval('audit.entries'))",
         "alter schema v; write audit.entries"},
        /* of whatever */
        {"SELECT setval('16400', 1)", "write* function pg_catalog.setval"},
        {"SELECT setval(16400, 1)", "write* function pg_catalog.setval"},
        {"SELECT setval($1, 1)", "write* function pg_catalog.setval"},
        {"SELECT setval(('audit.' || 'entries')::regclass, 1)",
         "write* function pg_catalog.setval"},
        {"SELECT setval('a.b.c.d', 1)", "write* function pg_catalog.setval"},
        {"SELECT setval('\"a', 1)", "write* function pg_catalog.setval"},
        {"SELECT setval('audit.entries x', 1)", "write* function pg_catalog.setval"},
        {"SELECT gin_clean_pending_list('audit.i_orders')",
         "write* function pg_catalog.gin_clean_pending_list"},
        {"SELECT lo_put(1, 0, 'x')", "write* function pg_catalog.lo_put"},
        {"SELECT lo_put($1, 0, 'x'), lowrite(lo_open('5'::oid, 131072), 'x')",
         "write* function pg_catalog.lo_put; write* function pg_catalog.lowrite"},
        {"SELECT lo_put(oid, 0, '') FROM pg_largeobject_metadata",
         "write*+ function pg_catalog.lo_put; read pg_largeobject_metadata"},
        {"SELECT lowrite(lo_open(id::oid, 131072), '') FROM orders",
         "write*+ function pg_catalog.lowrite; read orders"},
        {"SELECT pg_notify('c', 'x')", "write* function pg_catalog.pg_notify"},
        {"ALTER TYPE mood RENAME VALUE 'paid' TO 'void'", "administer database; alter schema mood"},
        {"ALTER TYPE mood ADD VALUE 'paid'", "alter schema mood"},
        /* what writes to rows later, and what goes with something else */
        {"CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION "
         "tsvector_update_trigger(note, 'pg_catalog.simple', total)",
         "alter orders; write+ orders"},
        {"CREATE OR REPLACE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION "
         "suppress_redundant_updates_trigger()",
         "administer orders"},
        {"CREATE RULE r AS ON INSERT TO wares WHERE EXISTS (TABLE customers) DO ALSO NOTHING",
         "administer wares; read wares; read customers"},
        /* what changes its rows now may do anything */
        {"CREATE RULE r AS ON INSERT TO wares DO ALSO NOTHING; INSERT INTO wares VALUES (1)",
         "administer wares; write wares; write wares; read wares"},
        {"CREATE OR REPLACE RULE r AS ON DELETE TO orders DO ALSO NOTHING",
         "administer orders; read orders"},
        {"CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION "
         "suppress_redundant_updates_trigger()",
         "alter orders"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_code(void **state)
{
    static const judged cases[] = {
        {"CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'select 1'", "alter schema mine"},
        /* names that are trusted */
        {"CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'select 1'",
         "destroy? database; alter schema lower; execute? function lower"},
        {"CREATE OR REPLACE FUNCTION listed() RETURNS int LANGUAGE sql AS 'select 1'",
         "destroy? database; alter schema listed; execute? function listed"},
        {"ALTER FUNCTION mine() RENAME TO upper",
         "destroy schema mine; destroy? database; alter schema upper; execute? function upper"},
        {"ALTER FUNCTION audit.lower(int) SET SCHEMA public",
         "destroy schema audit.lower; destroy? database; alter schema lower; execute? function "
         "lower"},
        /* names that others call already: triggers, defaults, checks, views, bodies */
        {"CREATE OR REPLACE FUNCTION order_total() RETURNS trigger LANGUAGE plpgsql AS 'begin end'",
         "destroy? database; alter schema order_total; execute? function order_total"},
        {"CREATE FUNCTION audit.order_total(int) RETURNS int LANGUAGE sql AS 'select 1'",
         "destroy? database; alter schema audit.order_total; execute? function audit.order_total"},
        {"CREATE FUNCTION similarity(int) RETURNS int LANGUAGE sql AS 'select 1'",
         "destroy? database; alter schema similarity; execute? function similarity"},
        {"CREATE AGGREGATE order_total(text) (SFUNC = mine, STYPE = text)",
         "destroy? database; administer database; alter schema order_total; execute? function "
         "order_total; execute? function mine"},
        {"ALTER FUNCTION order_total() RENAME TO mine",
         "destroy schema order_total; destroy? database; alter schema mine; execute? function "
         "order_total"},
        {"ALTER FUNCTION mine() RENAME TO order_total",
         "destroy schema mine; destroy? database; alter schema order_total; execute? function "
         "order_total"},
        {"ALTER PROCEDURE order_total() SET SCHEMA audit",
         "destroy schema order_total; destroy? database; alter schema audit.order_total; execute? "
         "function order_total; execute? function audit.order_total"},
        {"ALTER FUNCTION order_total() SECURITY DEFINER",
         "destroy? database; alter schema order_total; execute? function order_total"},
        {"CREATE AGGREGATE sum(text) (SFUNC = mine, STYPE = text)",
         "destroy? database; administer database; alter schema sum; execute? function sum; "
         "execute? function mine"},
        /* a name that is called as a column is */
        {"CREATE FUNCTION mine(orders) RETURNS int LANGUAGE sql AS 'select 1'; "
         "SELECT o.mine, (o).mine FROM orders o",
         "destroy? database; alter schema mine; execute? function mine; execute? function mine; "
         "read orders"},
        {"SELECT o.made_before FROM orders o",
         "destroy? database; execute? function made_before; read orders"},
        /* code behind a symbol */
        {"CREATE OPERATOR === (FUNCTION = mine, LEFTARG = int, RIGHTARG = int)",
         "destroy? database; administer database; alter schema ===; execute? function mine"},
        {"CREATE OPERATOR CLASS c FOR TYPE int4 USING btree AS FUNCTION 1 mine(int, int)",
         "destroy? database; administer database; alter schema c; execute? function mine"},
        {"CREATE CAST (text AS pair) WITH FUNCTION mine(text) AS ASSIGNMENT",
         "destroy? database; administer database; execute? function mine"},
        {"CREATE CAST (text AS pair) WITHOUT FUNCTION", "administer database"},
        /* the server asks for the same right on both */
        {"CREATE CONSTRAINT TRIGGER t AFTER DELETE ON orders FROM audit.entries FOR EACH ROW "
         "EXECUTE "
         "FUNCTION order_total()",
         "destroy? database; alter orders; alter audit.entries; execute? function order_total"},
        {"CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION mine()",
         "destroy? database; administer database; execute? function mine"},
        {"ALTER FUNCTION listed() SET search_path = x",
         "destroy? database; alter schema listed; execute? function listed"},
        {"ALTER FUNCTION mine() SET search_path = x", "alter schema mine"},
        {"ALTER FUNCTION listed() STABLE", "alter schema listed"},
        {"CREATE TYPE r AS RANGE (SUBTYPE = int4, SUBTYPE_DIFF = mine)",
         "destroy? database; administer database; alter schema r; execute? function mine"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_settings(void **state)
{
    static const judged cases[] = {
        {"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'work_mem'", ""},
        {"SET LOCAL random_page_cost = 0", "connect setting random_page_cost"},
        {"RESET enable_seqscan", ""},
        {"SET jit = off", ""},
        {"SELECT set_config('plan_cache_mode', 'auto', true)", "connect setting plan_cache_mode"},
        {"SET enable_anything.you_like = 'x'", "administer setting enable_anything.you_like"},
        /* a name that comes from elsewhere */
        {"SELECT (SELECT set_config(x.name, 'x', false) FROM pg_settings WHERE name = 'work_mem') "
         "FROM (SELECT 'search_path' AS name) x",
         "forbidden"},
        {"SELECT (SELECT set_config(name, 'x', false) FROM pg_settings WHERE x.name = 'work_mem') "
         "FROM (SELECT 'work_mem' AS name) x",
         "forbidden"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_aliases(void **state)
{
    room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    static const char *const texts[] = {"CREATE VIEW v AS SELECT * FROM orders",
                                        "ALTER TABLE orders RENAME TO o2",
                                        "ALTER TABLE orders SET SCHEMA audit"};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        const sp_sql_judgement *got =
            sp_sql_judge_text(it->judge, &context, sp_span_cstr(texts[i]));
        assert_true((got->flags & SP_SQL_IS_ALIAS) != 0);
    }
    static const char *const families[] = {"ALTER TABLE items ATTACH PARTITION orders DEFAULT",
                                           "ALTER TABLE items DETACH PARTITION orders",
                                           "ALTER TABLE orders INHERIT items",
                                           "ALTER TABLE orders NO INHERIT items"};
    for (size_t i = 0; i < SP_COUNT(families); i++) {
        const sp_sql_judgement *got =
            sp_sql_judge_text(it->judge, &context, sp_span_cstr(families[i]));
        assert_true((got->flags & SP_SQL_IS_FAMILY) != 0);
    }
    static const judged cases[] = {
        {"SELECT * FROM pg_toast.pg_toast_16384", "forbidden"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_conditions(void **state)
{
    static const judged cases[] = {
        {"DELETE FROM orders WHERE id = 5 OR $1", ALL_ORDERS},
        {"DELETE FROM orders WHERE id = 5 OR length('a') = 1", ALL_ORDERS},
        {"DELETE FROM orders WHERE id = 5 OR EXISTS (SELECT 1 FROM items)",
         ALL_ORDERS "; read items"},
        {"DELETE FROM orders WHERE $1::int IS NULL OR id = $1", ALL_ORDERS},
        {"DELETE FROM orders WHERE id = coalesce($1, id)", ALL_ORDERS},
        {"DELETE FROM orders WHERE (id = 5 OR $1) AND total = 7",
         "write orders; write~ order_lines"},
        {"DELETE FROM orders WHERE id = 5 OR id = $1", "write orders; write~ order_lines"},
        {"DELETE FROM orders WHERE id = coalesce($1, 5)", "write orders; write~ order_lines"},
    };
    check(state, cases, SP_COUNT(cases));
}

#define OVERWRITES(values)                                                                         \
    "INSERT INTO orders " values " ON CONFLICT (id) DO UPDATE SET note = 'gone'"

/* VALUES are as many rows as are written out, unless a function makes many of the one. */
static void test_values(void **state)
{
    static const judged cases[] = {
        {OVERWRITES("VALUES (unnest((SELECT array_agg(id) FROM orders)), 'gone')"),
         "destroy! orders; read orders"},
        {OVERWRITES("VALUES (unnest(ARRAY(SELECT o.id FROM orders o)), 'gone')"),
         "destroy! orders; read orders"},
        {OVERWRITES("VALUES (unnest((SELECT x.a FROM (SELECT ARRAY(TABLE orders) AS a) x)))"),
         "destroy! orders; read orders"},
        {OVERWRITES("VALUES (unnest((SELECT array_agg(id) FROM orders WHERE id > 7)), 'gone')"),
         "write+ orders; read orders"},
        {OVERWRITES("VALUES (unnest((SELECT array_agg(id) FROM customers)), 'gone')"),
         "write+ orders; read customers"},
        {OVERWRITES("VALUES (generate_series(1, 100), 'gone')"), "write+ orders"},
        {OVERWRITES("VALUES (1 + abs(-pg_catalog.generate_series(1, 100))::int, 'gone')"),
         "write+ orders"},
        {OVERWRITES("VALUES (CASE WHEN true THEN coalesce($1, generate_series(1, 9)) END, 'gone')"),
         "write+ orders"},
        {OVERWRITES("VALUES ((ARRAY[generate_series(1, 9)])[1], 'gone')"), "write+ orders"},
        {OVERWRITES("VALUES (generate_series(1, 9) IN (SELECT 1))"), "write+ orders"},
        {OVERWRITES("VALUES (listed(1))"), "write+ orders; read function listed"},
        {OVERWRITES("VALUES ((ROW(1)::pair).a)"), "write+ orders"},
        {OVERWRITES("VALUES (1, 'a'), (2, 'b')"), "write orders"},
        {OVERWRITES("VALUES (1, now(), lower('X'), $1, DEFAULT, random(), ($2::int[])[1])"),
         "write orders"},
        {OVERWRITES("VALUES (nextval('s'), jsonb_build_object('a', 1), gen_random_uuid())"),
         "write orders; write s"},
        {OVERWRITES("VALUES ((SELECT max(id) FROM orders), (SELECT unnest(ARRAY[1]) LIMIT 1))"),
         "write orders; read orders"},
        {OVERWRITES("DEFAULT VALUES"), "write orders"},
        {"INSERT INTO orders VALUES (generate_series(1, 100)) ON CONFLICT DO NOTHING",
         "write orders"},
    };
    check(state, cases, SP_COUNT(cases));
}

static bool is_parcels(const void *session, sp_span name)
{
    (void)session;
    return sp_span_eq(name, SP_SPAN_LIT("parcels"));
}

/* All rows may have a year in a range; of a key each number is one row. */
static void test_ranges(void **state)
{
    static const judged cases[] = {
        {"DELETE FROM parcels WHERE id BETWEEN 5 AND 9", "write parcels"},
        {"DELETE FROM parcels p WHERE p.id BETWEEN -5 AND 994", "write parcels"},
        {"UPDATE parcels SET year = 1 WHERE id BETWEEN 5 AND 9 OR id = 7", "write parcels"},
        {"DELETE FROM orders o USING parcels p WHERE p.id BETWEEN 5 AND 9 AND o.total = p.year",
         "write+ orders; write~+ order_lines; read parcels"},
        {"DELETE FROM parcels p USING orders o WHERE p.id BETWEEN 5 AND 9 AND o.total = p.year",
         "write parcels; read orders"},
        {"DELETE FROM orders WHERE total IN (SELECT year FROM parcels WHERE id BETWEEN 5 AND 9)",
         "write+ orders; write~+ order_lines; read parcels"},
        {"DELETE FROM parcels WHERE id BETWEEN 1 AND 1001", "write+ parcels"},
        {"DELETE FROM parcels WHERE id BETWEEN 1 AND 500 OR id BETWEEN 501 AND 1000",
         "write parcels"},
        {"DELETE FROM parcels WHERE id BETWEEN 1 AND 500 OR id BETWEEN 501 AND 1001",
         "write+ parcels"},
        {"DELETE FROM parcels WHERE id BETWEEN 9 AND 5 OR id BETWEEN 1 AND 1000", "write parcels"},
        {"BEGIN; DELETE FROM parcels WHERE id BETWEEN 601 AND 1000; COMMIT", "write parcels"},
        {"UPDATE parcels SET year = 1 WHERE id BETWEEN 1 AND 600; "
         "DELETE FROM parcels WHERE id BETWEEN 601 AND 1000",
         "write parcels; write+ parcels"},
        {"SELECT pg_sleep(60); DELETE FROM parcels WHERE id BETWEEN 1 AND 5", "write+ parcels"},
        {"DELETE FROM parcels WHERE year BETWEEN 1 AND 5", "write+ parcels"},
        {"DELETE FROM parcels WHERE year BETWEEN 1 AND 1", "write+ parcels"},
        {"DELETE FROM parcels WHERE code BETWEEN 1 AND 5", "write+ parcels"},
        {"DELETE FROM parcels WHERE weight BETWEEN 1 AND 5", "write+ parcels"},
        {"DELETE FROM parcels WHERE id::bigint BETWEEN 1 AND 5", "write+ parcels"},
        {"DELETE FROM parcels WHERE id % 2 BETWEEN 0 AND 1", "write+ parcels"},
        {"DELETE FROM parcels WHERE id NOT BETWEEN 1 AND 5", "write+ parcels"},
        {"DELETE FROM parcels WHERE id BETWEEN SYMMETRIC 1 AND 5", "write+ parcels"},
        {"DELETE FROM parcels WHERE id BETWEEN 1 AND $1", "write+ parcels"},
        {"DELETE FROM parcels WHERE id BETWEEN 1 AND 5 OR year BETWEEN 1 AND 5", "write+ parcels"},
        {"DELETE FROM wares WHERE id BETWEEN 1 AND 5", "write+ wares"},
        {"DELETE FROM orders o USING parcels p WHERE p.year BETWEEN 5 AND 9 AND o.total = p.year",
         "write+ orders; write~+ order_lines; read parcels"},
        {"DELETE FROM orders o USING parcels p WHERE id BETWEEN 5 AND 9 AND o.total = p.year",
         "write+ orders; write~+ order_lines; read parcels"},
        {"DELETE FROM unknown WHERE id BETWEEN 1 AND 5", "write+ unknown"},
        /* what the message itself defines may be the end of the key */
        {"ALTER TABLE parcels DROP CONSTRAINT k; DELETE FROM parcels WHERE id BETWEEN 1 AND 5",
         "alter parcels; write+ parcels"},
        {"CREATE TEMP TABLE parcels (id int); DELETE FROM parcels WHERE id BETWEEN 1 AND 5",
         "write+ parcels"},
    };
    check(state, cases, SP_COUNT(cases));
}

/* What an alias calls otherwise is no column that is known by that name. */
static void test_renamed(void **state)
{
    static const judged cases[] = {
        {"DELETE FROM orders USING parcels AS k WHERE k.id = 7 AND orders.total = k.id",
         "write orders; write~ order_lines; read parcels"},
        {"DELETE FROM orders USING parcels AS k(x, y, id) "
         "WHERE k.id = 7 AND orders.total = k.id",
         "write+ orders; write~+ order_lines; read parcels"},
        {"DELETE FROM orders WHERE id IN (SELECT id FROM parcels AS k(x, y, id) "
         "WHERE id = 7)",
         "write+ orders; write~+ order_lines; read parcels"},
        {"DELETE FROM orders USING wares AS k(i, d) WHERE k.d IN ($1, $2) AND k.i = orders.id",
         "write+ orders; write~+ order_lines; read wares"},
        {"DELETE FROM orders USING wares AS k(i, d) "
         "WHERE k.d::text IN ('true', 'false') AND k.i = orders.id",
         "write+ orders; write~+ order_lines; read wares"},
        {"DELETE FROM wares USING wares AS k(d, id) WHERE k.id <> wares.id",
         "write+ wares; read wares"},
        {"DELETE FROM wares USING wares AS k WHERE k.id <> wares.id", "write+ wares; read wares"},
        {"DELETE FROM orders USING (VALUES (7), (8)) AS k(i) WHERE k.i = orders.id",
         "write orders; write~ order_lines"},
    };
    check(state, cases, SP_COUNT(cases));
}

/* What is said by a key is said to be, and a session that defined things has none. */
static void test_keys_of_now(void **state)
{
    static const char *const texts[] = {"DELETE FROM parcels WHERE id BETWEEN 1 AND 5",
                                        "DELETE FROM parcels WHERE year BETWEEN 1 AND 5",
                                        "DELETE FROM parcels WHERE id IN (1, 2)",
                                        "SELECT * FROM parcels WHERE id BETWEEN 1 AND 5"};
    room *it = *state;
    sp_sql_context context = {.catalogue = it->office};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        const sp_sql_judgement *got =
            sp_sql_judge_text(it->judge, &context, sp_span_cstr(texts[i]));
        assert_int_equal(got->statements[0].by_key, i == 0);
    }
    context.is_early = true;
    const sp_sql_judgement *got = sp_sql_judge_text(it->judge, &context, sp_span_cstr(texts[0]));
    assert_false(got->statements[0].by_key);
    assert_string_equal(office_judge(it->judge, &context, texts[0]), "write+ parcels");
    context = (sp_sql_context){.catalogue = it->office, .is_other = is_parcels};
    assert_string_equal(office_judge(it->judge, &context, texts[0]),
                        "write+ parcels; write+ parcels");
    context = (sp_sql_context){.catalogue = it->office, .is_temporary = is_parcels};
    assert_string_equal(office_judge(it->judge, &context, texts[0]), "write+ parcels");
}

/* A type that holds less empties the column, without a word of USING. */
static void test_types(void **state)
{
    static const judged cases[] = {
        {"ALTER TABLE orders ALTER note TYPE \"char\"", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE pg_catalog.\"char\" USING note::\"char\"",
         "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE text USING note::\"char\"", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE name", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE date USING note::date", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE numeric(3, 0) USING note::numeric", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE mine", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE varchar(3) USING note", "destroy orders"},
        {"ALTER TABLE nowhere ALTER note TYPE int", "destroy nowhere"},
        {"ALTER TABLE orders ALTER note TYPE varchar(300)", "alter orders"},
        {"ALTER TABLE orders ALTER note TYPE bpchar", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE char(300)", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE text", "alter orders"},
        {"ALTER TABLE orders ALTER note TYPE jsonb USING note::jsonb", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE bigint USING note::bigint", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE uuid USING note::uuid", "destroy orders"},
        {"ALTER TABLE orders ALTER note TYPE bool USING note::bool", "destroy orders"},
        {"ALTER TABLE parcels ALTER year TYPE char(9)", "alter parcels"},
        {"ALTER TABLE orders ALTER note TYPE json USING note::json", "alter orders"},
        {"ALTER TABLE parcels ALTER year TYPE bigint", "alter parcels"},
        {"ALTER TABLE parcels ALTER year TYPE text", "alter parcels"},
        {"ALTER TABLE wares ALTER listed TYPE text", "alter wares"},
        {"ALTER TABLE kinds ALTER f TYPE text", "destroy kinds"},
        {"ALTER TABLE kinds ALTER f TYPE float8", "alter kinds"},
        {"ALTER TABLE kinds ALTER at TYPE timestamptz", "destroy kinds"},
        {"ALTER TABLE kinds ALTER at TYPE text", "alter kinds"},
        {"ALTER TABLE kinds ALTER tz TYPE timestamp", "destroy kinds"},
        {"ALTER TABLE kinds ALTER tz TYPE text", "alter kinds"},
        {"ALTER TABLE kinds ALTER d TYPE timestamp", "alter kinds"},
        {"ALTER TABLE kinds ALTER d TYPE timestamptz", "destroy kinds"},
        {"ALTER TABLE kinds ALTER j TYPE jsonb", "destroy kinds"},
        {"ALTER TABLE kinds ALTER mood TYPE text", "destroy kinds"},
        {"ALTER TABLE nowhere ALTER note TYPE text", "destroy nowhere"},
        {"ALTER TYPE pair ALTER ATTRIBUTE a TYPE int", "alter pair"},
        {"ALTER TABLE orders SET UNLOGGED", "destroy orders"},
        /* with "DELETE FROM items WHERE id = 1" all orders go */
        {"ALTER TABLE orders ADD k int DEFAULT 1 REFERENCES items (id) ON DELETE CASCADE",
         "destroy orders; read items"},
        {"ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES items ON DELETE CASCADE",
         "destroy orders; read items"},
        {"ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES items ON UPDATE CASCADE",
         "alter orders; write+ orders; read items"},
        {"ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES items ON UPDATE SET NULL",
         "destroy orders; read items"},
        {"ALTER TABLE orders ADD k int REFERENCES items (id) ON DELETE SET DEFAULT",
         "destroy orders; read items"},
        {"REFRESH MATERIALIZED VIEW orders WITH NO DATA", "destroy! orders"},
        {"ALTER FOREIGN TABLE orders ALTER note OPTIONS (SET column_name 'phone')",
         "administer orders"},
        {"ALTER FOREIGN TABLE orders OPTIONS (SET table_name 'payroll')", "administer orders"},
        {"SELECT lo_truncate(lo_open(1, 131072), 0)", "destroy function pg_catalog.lo_truncate"},
    };
    check(state, cases, SP_COUNT(cases));
}

/* Operators that nobody writes down, and set_config(), may be ones of users. */
static void test_operators_unseen(void **state)
{
    office_room *it = *state;
    static const struct {
        const char *text;
        const char *call;
    } cases[] = {
        {"SELECT a FROM t WHERE a BETWEEN 1 AND 2", ">="},
        {"SELECT a FROM t WHERE a NOT BETWEEN SYMMETRIC 1 AND 2", "<"},
        {"SELECT CASE a WHEN 1 THEN 'a' END FROM t", "="},
        {"SELECT a FROM t WHERE a IN (SELECT 1)", "="},
        {"SELECT 1 FROM t JOIN t u USING (a)", "="},
        {"SELECT 1 FROM t NATURAL JOIN t u", "="},
        {"SELECT set_config('work_mem', 'x')", "set_config"},
        {"SELECT a FROM t WHERE a BETWEEN 1 AND 2", NULL},
        {"SELECT CASE WHEN a THEN 'a' END, EXISTS (SELECT 1), (SELECT 1) FROM t u JOIN t ON true",
         "="},
        {"SELECT pg_catalog.set_config('work_mem', '1MB', false)", "set_config"},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        sp_sql_catalogue *catalogue = NULL;
        uint32_t table = SP_NONE;
        assert_ok(sp_sql_catalogue_new(1 << 16, &catalogue));
        assert_ok(sp_sql_catalogue_path(catalogue, SP_SPAN_LIT("public")));
        assert_ok(sp_sql_catalogue_relation(catalogue, SP_SPAN_LIT("public"), SP_SPAN_LIT("t"),
                                            16384, 'r', 0, &table));
        if (cases[i].call != NULL) {
            assert_ok(sp_sql_catalogue_function(catalogue, SP_SPAN_LIT("public"),
                                                sp_span_cstr(cases[i].call), false));
        }
        assert_ok(sp_sql_catalogue_finish(catalogue));
        const sp_sql_context context = {.catalogue = catalogue};
        const char *got = office_judge(it->judge, &context, cases[i].text);
        bool is_opaque = strstr(got, "destroy? database") != NULL;
        if (is_opaque != (i < 7)) {
            print_error("%s\n   got: %s\n", cases[i].text, got);
            fail();
        }
        sp_sql_catalogue_free(catalogue);
    }
}

/* A boolean has two values, whatever they are called. */
static void test_booleans_as_text(void **state)
{
    static const judged cases[] = {
        {"DELETE FROM wares WHERE listed::text IN ('true', 'false')", "destroy! wares"},
        {"DELETE FROM wares WHERE listed::text = 'true' OR listed::varchar = 'false'",
         "destroy! wares"},
        {"UPDATE wares SET id = 1 WHERE listed::text = ANY ('{true,false}')", "destroy! wares"},
        {"DELETE FROM wares WHERE listed::int = ANY ('{0,1}')", "destroy! wares"},
        {"DELETE FROM wares WHERE listed::text IN ($1, $2)", "write+ wares"},
        {"DELETE FROM wares WHERE listed::text COLLATE \"C\" IN ('true', 'false')",
         "destroy! wares"},
        {"DELETE FROM wares WHERE listed::text = 'true'", "write wares"},
        {"DELETE FROM wares WHERE listed::text = $1", "write wares"},
    };
    check(state, cases, SP_COUNT(cases));
}

static void test_columns(void **state)
{
    static const judged cases[] = {
        {"DROP TYPE pair", "destroy schema pair"},
        {"DROP TYPE pair CASCADE", "destroy schema pair; destroy!~ database"},
        {"DROP DOMAIN short CASCADE", "destroy schema short; destroy!~ database"},
        {"DROP FUNCTION f(int) CASCADE", "destroy schema f; destroy!~ database"},
        {"ALTER TYPE pair DROP ATTRIBUTE a CASCADE", "destroy pair; destroy!~ database"},
        {"ALTER TYPE pair DROP ATTRIBUTE a", "destroy pair; destroy!~ database"},
        {"ALTER TYPE pair RENAME ATTRIBUTE a TO b CASCADE",
         "administer database; alter pair; alter?> pair"},
        {"ALTER TABLE orders DROP CONSTRAINT orders_pkey", "alter orders"},
        /* what stands on it may be of any schema */
        {"ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE",
         "destroy orders; destroy!~ database"},
        {"ALTER TABLE orders DROP COLUMN note CASCADE", "destroy orders; destroy!~ database"},
        {"ALTER TABLE orders DROP COLUMN note", "destroy orders"},
        {"DROP SCHEMA audit CASCADE", "destroy! schema audit; destroy!~ database"},
        {"DROP VIEW v_names CASCADE",
         "destroy v_names; destroy!~ schema public; destroy!~ database"},
    };
    check(state, cases, SP_COUNT(cases));
}

static sp_sql_bound tag(void)
{
    return (sp_sql_bound){.part = 3, .class_level = 1, .mask = SP_MASK_FULL, .tags = 1};
}

#define CALLS(name) "destroy?% database " name "; execute?% function " name "; "

/* A function that somebody made a moment ago is called as a column is. */
static void test_calls_that_look_like_columns(void **state)
{
    static const judged cases[] = {
        {"SELECT o.peek FROM orders o", CALLS("peek") "read orders"},
        {"SELECT (o).peek FROM orders o", CALLS("peek") "read orders"},
        {"SELECT orders.peek FROM orders", CALLS("peek") "read orders"},
        {"SELECT public.orders.peek FROM public.orders", CALLS("peek") "read orders"},
        {"SELECT o.phone FROM orders o, customers c", CALLS("phone") "read orders; read customers"},
        {"SELECT (SELECT q.phone FROM orders q) FROM customers q",
         CALLS("phone") "read customers; read orders"},
        {"SELECT x.peek FROM (SELECT id, note FROM orders) x", CALLS("peek") "read orders"},
        {"WITH x AS (SELECT * FROM orders) SELECT x.peek FROM x", CALLS("peek") "read orders"},
        {"WITH orders AS (SELECT 1 AS peek) UPDATE orders SET note = orders.peek WHERE id = 1",
         CALLS("peek") "write orders"},
        {"UPDATE orders SET note = orders.peek WHERE id = 1", CALLS("peek") "write orders"},
        {"DELETE FROM orders o WHERE o.id = 1 AND o.peek", CALLS("peek") "write orders; "
                                                                         "write~ order_lines"},
        {"INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET note = excluded.peek",
         CALLS("peek") "write orders"},
        {"SELECT c.peek FROM pg_class c", "destroy?% database peek; execute?% function peek"},
        /* columns */
        {"SELECT o.note, (o).total, orders.id, o.ctid FROM orders o, orders", "read orders"},
        {"SELECT (SELECT q.note FROM orders q WHERE r.phone = q.note) FROM customers r",
         "read customers; read orders"},
        {"SELECT x.n, x.note, x.sum, x.total FROM (SELECT o.note, o.id AS n, sum(1), o.* FROM "
         "orders o GROUP BY o.id) x",
         "read orders"},
        {"WITH x AS (SELECT * FROM orders) SELECT x.note FROM x", "read orders"},
        {"SELECT x.note FROM (SELECT * FROM orders JOIN customers USING (id)) x",
         "read orders; read customers"},
        {"SELECT z.a, g.g FROM orders z(a, b, c, d), generate_series(1, 2) g", "read orders"},
        {"INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET note = excluded.note, "
         "total = orders.total",
         "write orders"},
        {"DELETE FROM orders USING customers c WHERE c.id = 7 AND orders.note <> 'zzz'",
         "write+ orders; write~+ order_lines; read customers"},
        {"DELETE FROM orders o USING customers c WHERE c.id = 7 AND o.customer_id = c.id",
         "write orders; write~ order_lines; read customers"},
        {"DELETE FROM orders o USING customers a, customers c WHERE (o.customer_id, a.id) = (c.id, "
         "1) "
         "AND a.id = 1",
         "write+ orders; write~+ order_lines; read customers"},
        {"DELETE FROM orders o USING (SELECT max(1) AS n, c.id AS k FROM customers c GROUP BY "
         "c.id) q "
         "WHERE (q.n = 1 AND o.customer_id = q.k) OR (q.n = 1 AND o.customer_id = q.k)",
         "write+ orders; write~+ order_lines; read customers"},
        {"DELETE FROM orders o WHERE o.customer_id IN (WITH q AS (SELECT c.id AS k, 1 AS one FROM "
         "customers c) SELECT q.k FROM q WHERE q.one = 1)",
         "write+ orders; write~+ order_lines; read customers"},
        {"DELETE FROM orders o WHERE o.id IN (SELECT generate_subscripts(array_fill(0, "
         "ARRAY[1000000]), 1))",
         "write+ orders; write~+ order_lines"},
        {"DELETE FROM orders o USING generate_series(1, 1000) g(i) WHERE o.id = (SELECT g.i)",
         "write+ orders; write~+ order_lines"},
        {"DELETE FROM orders o USING (SELECT 1 AS k, generate_series(1, 9) AS i) g WHERE g.k = 1 "
         "AND "
         "o.id = g.i",
         "write+ orders; write~+ order_lines"},
        {"MERGE INTO orders o USING customers c ON o.customer_id = c.id WHEN MATCHED AND o.id = 3 "
         "THEN UPDATE SET note = c.name",
         "write orders; read customers"},
        {"SELECT c.relname FROM pg_class c", ""},
    };
    check(state, cases, SP_COUNT(cases));
    room *it = *state;
    const sp_sql_context context = {.catalogue = it->office};
    static const char *const unsure[] = {
        "SELECT o.peek FROM orders o", "SELECT t.a FROM made_just_now t", "SELECT (f(1)).a",
        "SELECT e.value FROM jsonb_each('{}') e", "COPY orders TO STDOUT"};
    static const char *const sure[] = {"SELECT o.note FROM orders o", "SELECT note FROM orders",
                                       "COPY orders (id) TO STDOUT"};
    for (size_t i = 0; i < SP_COUNT(unsure) + SP_COUNT(sure); i++) {
        bool is_unsure = i < SP_COUNT(unsure);
        const char *text = is_unsure ? unsure[i] : sure[i - SP_COUNT(unsure)];
        const sp_sql_judgement *got = sp_sql_judge_text(it->judge, &context, sp_span_cstr(text));
        assert_int_equal((got->flags & SP_SQL_IS_UNSURE) != 0, is_unsure);
    }
    const sp_sql_context own = {.catalogue = it->office, .is_temporary = has_temp};
    static const char *const own_columns[] = {
        "SELECT s.a FROM scratch s", "SELECT x.a FROM (SELECT * FROM scratch) x",
        "SELECT s.a FROM scratch s JOIN orders o ON o.id = s.id"};
    for (size_t i = 0; i < SP_COUNT(own_columns); i++) {
        const sp_sql_judgement *got =
            sp_sql_judge_text(it->judge, &own, sp_span_cstr(own_columns[i]));
        assert_int_equal(got->flags & (SP_SQL_IS_UNSURE | SP_SQL_IS_MAYBE_CALL),
                         SP_SQL_IS_MAYBE_CALL);
    }
}

static void test_tags(void **state)
{
    room *it = *state;
    const sp_sql_bound bound = tag();
    uint32_t child = sp_sql_catalogue_find(it->office, SP_SPAN_EMPTY, SP_SPAN_LIT("logs_2024"));
    uint32_t parent = sp_sql_catalogue_find(it->office, SP_SPAN_EMPTY, SP_SPAN_LIT("logs"));
    uint32_t line = sp_sql_catalogue_find_column(it->office, child, SP_SPAN_LIT("line"));
    sp_sql_catalogue_bind_clear(it->office);
    sp_sql_catalogue_bind_column(it->office, line, &bound);
    sp_sql_catalogue_bind_finish(it->office);
    line = sp_sql_catalogue_find_column(it->office, parent, SP_SPAN_LIT("line"));
    assert_int_equal(sp_sql_catalogue_column_at(it->office, line)->bound.tags, 1);
    uint32_t at = sp_sql_catalogue_find_column(it->office, parent, SP_SPAN_LIT("at"));
    assert_int_equal(sp_sql_catalogue_column_at(it->office, at)->bound.tags, 0);
    static const judged cases[] = {
        /* another name would be out of policy's sight */
        {"ALTER TABLE logs RENAME line TO text", "administer logs; alter>> logs"},
        {"ALTER TYPE logs RENAME ATTRIBUTE line TO text", "administer logs; alter>> logs"},
        {"ALTER TABLE logs ALTER line DROP EXPRESSION", "administer logs"},
        {"ALTER TABLE logs_2024 RENAME TO x", "administer logs_2024; alter>> x"},
        {"ALTER TABLE logs_2024 SET SCHEMA audit", "administer logs_2024; alter>> audit.logs_2024"},
        {"ALTER TABLE logs_2024 INHERIT orders",
         "administer logs_2024; alter logs_2024; alter orders; alter>> orders"},
        {"ALTER TABLE logs ATTACH PARTITION logs_2024 DEFAULT",
         "administer logs_2024; alter logs; alter>> logs"},
        {"ALTER TABLE orders RENAME note TO text", "alter orders; alter>> orders"},
    };
    check(state, cases, SP_COUNT(cases));
}

static bool calls_it_otherwise(const void *session, sp_span name)
{
    (void)session;
    return sp_span_eq(name, SP_SPAN_LIT("orders")) || sp_span_eq(name, SP_SPAN_LIT("scratch"));
}

enum { KNOWN = 1, OTHER = 2, BOTH = KNOWN | OTHER };

/* Of which rows of that name it is said that they are written: those that the catalogue knows,
 * others. */
static int writes(room *it, const sp_sql_context *context, const char *text, const char *name)
{
    const sp_sql_judgement *got = sp_sql_judge_text(it->judge, context, sp_span_cstr(text));
    assert_int_equal(got->fault, SP_SQL_FINE);
    int found = 0;
    for (uint32_t i = 0; i < got->use_count; i++) {
        const sp_sql_use *use = &got->uses[i];
        if (use->kind == SP_SQL_RELATION && use->action == SP_ACTION_WRITE &&
            sp_span_eq(use->name, sp_span_cstr(name))) {
            found |= use->relation != SP_NONE ? KNOWN : OTHER;
        }
    }
    return found;
}

/* A name that was given to other rows is those, and what the catalogue says of it. */
static void test_other_rows(void **state)
{
    room *it = *state;
    const sp_sql_context context = {.catalogue = it->office, .is_temporary = has_temp};
    static const struct {
        const char *text;
        const char *name;
        int written;
    } cases[] = {
        {"DROP TABLE orders; CREATE VIEW orders AS SELECT * FROM audit.entries; "
         "DELETE FROM orders WHERE id = 1",
         "orders", BOTH},
        {"CREATE OR REPLACE VIEW v_names AS SELECT * FROM audit.entries; "
         "DELETE FROM v_names WHERE id = 1",
         "v_names", BOTH},
        {"CREATE VIEW v AS SELECT * FROM audit.entries; ALTER VIEW v RENAME TO orders; "
         "DELETE FROM public.orders WHERE id = 1",
         "orders", BOTH},
        {"ALTER TABLE audit.entries SET SCHEMA public; DELETE FROM entries WHERE id = 1", "entries",
         OTHER},
        {"ALTER SCHEMA audit RENAME TO other; DELETE FROM orders WHERE id = 1", "orders", BOTH},
        {"DROP SCHEMA audit; DELETE FROM orders WHERE id = 1", "orders", BOTH},
        {"DROP TABLE items CASCADE; DELETE FROM orders WHERE id = 1", "orders", BOTH},
        {"DROP FUNCTION f CASCADE; DELETE FROM orders WHERE id = 1", "orders", BOTH},
        {"DROP TABLE items; DELETE FROM orders WHERE id = 1", "orders", KNOWN},
        {"DROP TABLE scratch; CREATE VIEW scratch AS SELECT * FROM audit.entries; "
         "DELETE FROM scratch WHERE id = 1",
         "scratch", OTHER},
        {"DELETE FROM orders WHERE id = 1; CREATE VIEW v AS SELECT 1", "orders", KNOWN},
        {"ALTER TABLE orders RENAME note TO text; DELETE FROM orders WHERE id = 1", "orders",
         KNOWN},
    };
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        if (writes(it, &context, cases[i].text, cases[i].name) != cases[i].written) {
            fail_msg("%s", cases[i].text);
        }
    }
    const sp_sql_context session = {
        .catalogue = it->office, .is_temporary = has_temp, .is_other = calls_it_otherwise};
    assert_int_equal(writes(it, &session, "DELETE FROM orders WHERE id = 1", "orders"), BOTH);
    assert_int_equal(writes(it, &session, "DELETE FROM scratch WHERE id = 1", "scratch"), OTHER);
    assert_int_equal(writes(it, &session, "DELETE FROM customers WHERE id = 1", "customers"),
                     KNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_temporary),
        cmocka_unit_test(test_returning),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_parents),
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_code),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_booleans_as_text),
        cmocka_unit_test(test_operators_unseen),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_other_rows),
        cmocka_unit_test(test_calls_that_look_like_columns),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_plans_make_nothing),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_renamed),
        cmocka_unit_test(test_keys_of_now),
    };
    return cmocka_run_group_tests(tests, office_set_up, office_tear_down);
}

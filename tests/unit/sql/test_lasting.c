/* SPDX-License-Identifier: Apache-2.0
 * What lasts does not stand on what goes with its session.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/lasting.c.
 */
#include "tests/unit/cm.h"
#include "tests/unit/sql/office.h"

#include "lib/base/mem.h"

#include <stdio.h>

/* 63 bytes, as its array type's name, which begins with one more underscore and is cut. */
#define LONG_NAME "a23456789b23456789c23456789d23456789e23456789f23456789g23456789"
static bool has_temp(const void *session, sp_span name)
{
    (void)session;
    return sp_span_eq(name, SP_SPAN_LIT("scratch")) || sp_span_eq(name, SP_SPAN_LIT("_text")) ||
           sp_span_eq(name, SP_SPAN_LIT(LONG_NAME));
}

static void all_are_in(void **state, const sp_sql_context *context, const char *judged,
                       const char *const *texts, size_t count)
{
    office_judged cases[64];
    assert_in_range(count, 1, SP_COUNT(cases));
    for (size_t i = 0; i < count; i++) {
        cases[i] = (office_judged){texts[i], judged};
    }
    office_check(state, *context, cases, count);
}

static void all_are(void **state, const char *judged, const char *const *texts, size_t count,
                    bool is_renamed)
{
    const sp_sql_context context = {.is_temporary = has_temp, .is_temp_renamed = is_renamed};
    all_are_in(state, &context, judged, texts, count);
}

static void nothing_is_made_in_pg_temp(void **state)
{
    static const char *const texts[] = {
        "CREATE TYPE pg_temp.ct AS (id int)",
        "CREATE TYPE pg_temp_3.ct AS (id int)",
        "CREATE DOMAIN pg_temp.text AS pg_catalog.text",
        "ALTER DOMAIN pg_temp.d ADD CHECK (true)",
        "CREATE TYPE pg_temp.e AS ENUM ('a')",
        "CREATE TYPE pg_temp.r AS RANGE (SUBTYPE = int4)",
        "CREATE TYPE pg_temp.shell",
        "CREATE OPERATOR pg_temp.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)",
        "CREATE COLLATION pg_temp.cc FROM \"C\"",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE PROCEDURE pg_temp.f() LANGUAGE sql AS 'SELECT 1'",
        "CREATE AGGREGATE pg_temp.a(int) (SFUNC = int4pl, STYPE = int)",
        "CREATE TEXT SEARCH CONFIGURATION pg_temp.t (COPY = simple)",
        "CREATE TEXT SEARCH DICTIONARY pg_temp.t (TEMPLATE = simple)",
        "CREATE CONVERSION pg_temp.c FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1",
        "CREATE OPERATOR CLASS pg_temp.c FOR TYPE int4 USING btree AS STORAGE int4",
        "CREATE OPERATOR FAMILY pg_temp.c USING btree",
        "CREATE STATISTICS pg_temp.s ON id, note FROM orders",
        "CREATE EXTENSION citext SCHEMA pg_temp",
        "ALTER EXTENSION citext SET SCHEMA pg_temp",
        "CREATE FOREIGN TABLE pg_temp.f (id int) SERVER s",
        /* nor what is called like a type of the server */
        "CREATE TEMP TABLE text (id int)",
        "CREATE TABLE pg_temp.bool (id int)",
        "SELECT 1 AS id INTO TEMP date",
        "ALTER TABLE scratch RENAME TO xml",
        "ALTER TABLE orders RENAME TO bool",
    };
    all_are(state, "forbidden", texts, SP_COUNT(texts), false);
}

static void nothing_stands_on_what_goes(void **state)
{
    static const char *const texts[] = {
        "ALTER TABLE orders OF pg_temp.ct",
        "ALTER TABLE orders ADD COLUMN x scratch",
        "ALTER TABLE orders ADD COLUMN x scratch[]",
        "ALTER TABLE orders ADD COLUMN x _scratch",
        "ALTER TABLE orders ADD COLUMN x __scratch",
        "ALTER TABLE orders ADD COLUMN x _text",
        "ALTER TABLE orders ADD COLUMN x _" LONG_NAME,
        "ALTER TABLE orders ADD COLUMN x pg_temp.text",
        "ALTER TABLE orders ADD COLUMN x pg_temp_3._scratch",
        "ALTER TABLE orders ALTER COLUMN note TYPE scratch USING note::scratch",
        "ALTER TABLE orders ALTER COLUMN note TYPE text USING note::pg_temp.text",
        "ALTER TABLE orders ADD CHECK (note <> (NULL::scratch)::text)",
        "ALTER TABLE orders ALTER COLUMN note SET DEFAULT (NULL::scratch)::text",
        "CREATE TABLE made (x scratch)",
        "CREATE TABLE made AS SELECT NULL::scratch AS x",
        "SELECT NULL::scratch AS x INTO made",
        "CREATE TABLE made OF pg_temp.ct",
        "CREATE INDEX ON orders ((note = (NULL::scratch)::text))",
        "CREATE OR REPLACE VIEW v_names AS SELECT id FROM customers WHERE NULL::scratch IS NULL",
        "CREATE MATERIALIZED VIEW m AS SELECT NULL::scratch",
        "CREATE FUNCTION f(scratch) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS SETOF scratch LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(scratch.id%TYPE) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT id FROM scratch; END",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT id FROM pg_temp.scratch; END",
        "CREATE FUNCTION f() RETURNS int RETURN (SELECT max(id) FROM scratch)",
        "CREATE AGGREGATE a(scratch) (SFUNC = int4pl, STYPE = int)",
        "CREATE AGGREGATE a(int) (SFUNC = int4pl, STYPE = scratch)",
        "CREATE DOMAIN d AS scratch",
        "CREATE TYPE c AS (a scratch)",
        "CREATE TYPE r AS RANGE (SUBTYPE = scratch)",
        "CREATE CAST (scratch AS text) WITH INOUT",
        "CREATE SCHEMA s CREATE TABLE t (a scratch)",
        "CREATE RULE r AS ON DELETE TO items DO ALSO SELECT NULL::scratch",
        "CREATE POLICY p ON orders USING (NULL::scratch IS NULL)",
        "CREATE OR REPLACE VIEW v_names AS SELECT id FROM customers WHERE 'scratch'::regclass IS "
        "NULL",
        "CREATE OR REPLACE VIEW v_names AS SELECT id, nextval('SCRATCH ') FROM customers",
        "CREATE OR REPLACE VIEW v_names AS SELECT '\"Odd \"\"one\"\"\"'::regclass",
        "CREATE OR REPLACE VIEW v_names AS SELECT 'scratch[]'::regtype",
        "CREATE OR REPLACE VIEW v_names AS SELECT 'pg_temp.other'::regclass",
        "CREATE OR REPLACE VIEW v_names AS SELECT 'pg_temp_3'::regnamespace",
        "CREATE OR REPLACE VIEW v_names AS SELECT regclass ' 16400'",
    };
    all_are(state, "forbidden", texts, SP_COUNT(texts), false);
}

/* a constant is what it names, in whatever stays */
static void no_constant_that_is_stored_names_it(void **state)
{
    static const char *const texts[] = {
        "CREATE DOMAIN d AS text DEFAULT ('scratch'::regclass)::text",
        "CREATE DOMAIN d AS text CHECK (VALUE <> 'scratch')",
        "ALTER DOMAIN d SET DEFAULT ('scratch'::regclass)::text",
        "ALTER DOMAIN d SET DEFAULT (regclass '16400')::text",
        "ALTER DOMAIN d ADD CHECK (VALUE <> ('scratch'::regclass)::text)",
        "CREATE FUNCTION f() RETURNS text BEGIN ATOMIC SELECT 'scratch'::regclass::text; END",
        "CREATE FUNCTION f() RETURNS text RETURN 'scratch'::regclass::text",
        "CREATE FUNCTION f(a regclass DEFAULT 'scratch') RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE made (a text GENERATED ALWAYS AS (('scratch'::regclass)::text) STORED)",
        "ALTER TABLE orders ADD COLUMN x text GENERATED ALWAYS AS ('scratch') STORED",
        "CREATE TABLE made (a regclass) PARTITION BY LIST (coalesce(a, 'scratch'))",
        "CREATE INDEX ON orders ((note = 'scratch'))",
        "CREATE INDEX ON orders (id) WHERE note <> 'scratch'",
        "ALTER TABLE orders ADD EXCLUDE (id WITH =) WHERE (note <> 'scratch')",
        "CREATE STATISTICS s ON (note || 'scratch'), id FROM orders",
        "CREATE RULE r AS ON DELETE TO items DO ALSO SELECT 'scratch'::regclass",
        "CREATE POLICY p ON orders USING (note <> 'scratch')",
        "ALTER POLICY p ON orders WITH CHECK (note <> 'scratch')",
        "CREATE PUBLICATION p FOR TABLE orders WHERE (note <> 'scratch')",
        "ALTER PUBLICATION p ADD TABLE orders WHERE (note <> 'scratch')",
        "CREATE TRIGGER t AFTER INSERT ON orders FOR EACH ROW WHEN (NEW.note = 'scratch') "
        "EXECUTE FUNCTION f()",
        "CREATE SCHEMA s CREATE VIEW v AS SELECT 'scratch'::regclass",
    };
    all_are(state, "forbidden", texts, SP_COUNT(texts), false);
}

#define VIEW "CREATE VIEW v AS SELECT id FROM orders WHERE "
#define VIEW_IS "alter schema v; alter> v; read orders"

/* the server decides what it is: the parameter of a function, a column beside it */
static void a_constant_without_a_type_may_name_anything(void **state)
{
    static const char *const texts[] = {
        VIEW "pg_relation_size('16500') > 0",
        VIEW "pg_relation_size('other') > 0",
        VIEW "note = 'one or two, or (three)'",
        VIEW "note = '.'",
        VIEW "'unlike'::unknown IS NULL",
        VIEW "'unlike'::\"any\" IS NULL",
        VIEW "'unlike'::mood IS NULL",
        VIEW "'unlike'::public.text IS NULL",
        VIEW "'unlike'::regtype IS NULL",
        VIEW "'unlike' COLLATE \"C\" IS NULL",
        VIEW "coalesce(note, 'unlike') IS NULL",
        VIEW "ARRAY['unlike']::text[] IS NULL",
        VIEW "(SELECT 'unlike')::text IS NULL",
        VIEW "text('unlike') IS NULL",
        VIEW "substring(nextval('unlike')::text from 1) = note",
        "CREATE TEMP TABLE more (a int); " VIEW "note = 'unlike'",
        "EXPLAIN ANALYZE CREATE MATERIALIZED VIEW m AS SELECT 'unlike' AS a",
        "ALTER DOMAIN d SET DEFAULT 'unlike'",
        "CREATE DOMAIN d AS text DEFAULT 'unlike'",
    };
    static const char *const fine[] = {
        VIEW "note = 'scratch'::text",
        VIEW "note = '16500'::text",
        VIEW "note = CAST('pg_temp.x' AS varchar(20))",
        VIEW "note = ('scratch'::pg_catalog.bpchar)::text",
        VIEW "note IN ('a'::text, 'b'::name)",
        VIEW "note = ANY ('{a,b}'::text[])",
        VIEW "id > interval '1 day' * 2",
        VIEW "to_tsvector('english'::regconfig, note) IS NULL",
        VIEW "extract(year FROM id) = 1",
        VIEW "id AT TIME ZONE 'UTC' IS NULL",
        VIEW "trim('x' FROM note) = trim('' FROM note)",
        VIEW "note || ' ' = '' AND id = 16500",
    };
    const sp_sql_context context = {.is_temporary = has_temp};
    const sp_sql_context renamed = {.is_temp_renamed = true};
    all_are(state, "forbidden", texts, SP_COUNT(texts), false);
    all_are_in(state, &renamed, "forbidden", texts, SP_COUNT(texts));
    all_are_in(state, &context, VIEW_IS, fine, SP_COUNT(fine));
}

/* what another session of the same person holds has a number, and a schema */
static void without_temporary_tables_a_constant_names_none_by_its_name(void **state)
{
    static const char *const texts[] = {
        VIEW "pg_relation_size('16384') > 0",
        VIEW "pg_relation_size(' 0016500 ') > 0",
        VIEW "pg_relation_size('99999999999999999999999') > 0",
        VIEW "'16500'::regclass IS NULL",
        VIEW "pg_relation_size('pg_temp_3.scratch') > 0",
        VIEW "'office.PG_TEMP_3.scratch'::regclass IS NULL",
        VIEW "'\"pg_temp_3\"'::regnamespace IS NULL",
        VIEW "'int, pg_temp_3.scratch'::regtype IS NULL",
        VIEW "'f(pg_temp_3.scratch)'::regprocedure IS NULL",
        VIEW "'U&\"\\0070g_temp_3\".scratch'::regtype IS NULL",
        VIEW "'public.u&\"scratch\"'::regtype IS NULL",
        "CREATE FUNCTION f(a regclass DEFAULT '16500') RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE made (a regclass) PARTITION BY LIST (coalesce(a, '16500'))",
    };
    static const char *const fine[] = {
        VIEW "note = 'scratch'",
        VIEW "note = 'pg_tem'",
        VIEW "note = '16383'",
        VIEW "note = '00'",
        VIEW "note = '16500'::text",
        VIEW "note = '16500x'",
        VIEW "'scratch'::regclass IS NULL",
    };
    const sp_sql_context context = {.is_temporary = NULL};
    all_are_in(state, &context, "forbidden", texts, SP_COUNT(texts));
    all_are_in(state, &context, VIEW_IS, fine, SP_COUNT(fine));
}

/* a query gives a table columns of whatever type */
static void no_table_is_made_of_rows_as_values(void **state)
{
    static const char *const texts[] = {
        "CREATE TABLE made AS SELECT scratch FROM scratch",
        "CREATE TABLE made AS SELECT scratch FROM pg_temp.scratch",
        "CREATE TABLE made AS SELECT s AS x FROM scratch s",
        "CREATE TABLE made AS SELECT array_agg(s) AS x FROM scratch s",
        "CREATE TABLE made AS SELECT max(id), array_agg(s.*) AS x FROM scratch s",
        "CREATE TABLE made AS SELECT max(pg_temp.scratch.*) AS x FROM pg_temp.scratch",
        "CREATE TABLE made AS SELECT x FROM (SELECT coalesce(NULL, s) AS x FROM scratch s) q",
        "CREATE TABLE made AS SELECT x FROM scratch s, LATERAL (SELECT s AS x) q",
        "CREATE TABLE made AS WITH q AS (SELECT s AS x FROM scratch s) SELECT x FROM q",
        "CREATE TABLE made AS WITH q AS (INSERT INTO scratch VALUES (1) RETURNING scratch) "
        "SELECT * FROM q",
        "CREATE TABLE made AS SELECT NULL AS x UNION ALL SELECT s FROM scratch s",
        "CREATE TABLE made AS SELECT lag(s) OVER () FROM orders o JOIN scratch s USING (id)",
        "CREATE TEMP TABLE other AS SELECT s AS x FROM scratch s",
        "CREATE TEMP TABLE orders (a int); CREATE TABLE made AS SELECT orders FROM orders",
        "SELECT s AS x INTO made FROM scratch s",
        "SELECT s AS x INTO TEMP other FROM scratch s",
        "SELECT NULL AS x INTO made UNION ALL SELECT s FROM scratch s",
        "SELECT NULL AS x INTO made UNION ALL SELECT NULL::scratch",
        "WITH q AS (SELECT s AS x FROM scratch s) SELECT NULL AS x INTO made UNION SELECT x FROM q",
        "EXPLAIN ANALYZE CREATE TABLE made AS SELECT s AS x FROM scratch s",
        "EXPLAIN ANALYZE SELECT s AS x INTO made FROM scratch s",
        /* nor do temporary ones have columns that are */
        "CREATE TEMP TABLE other (x scratch)",
        "CREATE TEMP TABLE other AS SELECT NULL::scratch AS x",
        "SELECT NULL::scratch AS x INTO TEMP other",
        "ALTER TABLE scratch ADD COLUMN x scratch[]",
        "ALTER TABLE scratch ALTER COLUMN id TYPE scratch USING NULL",
        /* which the columns of another one are computed by */
        "CREATE TABLE made (LIKE scratch INCLUDING GENERATED)",
        "CREATE TABLE made (id int, LIKE pg_temp.scratch INCLUDING ALL)",
    };
    static const char *const renamed[] = {
        "CREATE TABLE made AS SELECT mood FROM mood",
        "CREATE TABLE made (LIKE mood INCLUDING ALL)",
    };
    all_are(state, "forbidden", texts, SP_COUNT(texts), false);
    all_are(state, "forbidden", renamed, SP_COUNT(renamed), true);
}

static void any_name_may_be_temporary_once_one_was_renamed(void **state)
{
    static const char *const texts[] = {"ALTER TABLE orders ADD COLUMN x mood"};
    static const char *const known[] = {
        "ALTER TABLE orders ADD COLUMN x public.mood", "ALTER TABLE orders ADD COLUMN x text",
        "ALTER TABLE orders ADD COLUMN x int", "ALTER TABLE orders ADD COLUMN x varchar(20)"};
    all_are(state, "forbidden", texts, SP_COUNT(texts), true);
    all_are(state, "alter orders", known, SP_COUNT(known), true);
}

static void a_lasting_table_has_no_rows_of_a_session(void **state)
{
    static const char *const texts[] = {
        "CREATE TEMP TABLE t () INHERITS (orders)",
        "CREATE TABLE pg_temp.t (x int) INHERITS (scratch, orders)",
        "CREATE TEMP TABLE t (x int) INHERITS (nobodys)",
        "ALTER TABLE scratch INHERIT orders",
        "ALTER TABLE pg_temp.x INHERIT public.orders",
        "ALTER TABLE scratch RENAME TO t; ALTER TABLE t INHERIT orders"};
    all_are(state, "forbidden", texts, SP_COUNT(texts), false);
}

static void what_goes_with_it_may(void **state)
{
    static const office_judged cases[] = {
        {"CREATE TEMP TABLE p (x int); CREATE TEMP TABLE t () INHERITS (p, pg_temp.p)", ""},
        {"ALTER TABLE scratch INHERIT pg_temp.scratch", ""},
        {"CREATE TEMP TABLE other (x mood, y text DEFAULT 'scratch')", ""},
        {"CREATE TEMP TABLE other AS SELECT 'scratch' AS x, s.*, s.x FROM scratch s", ""},
        {"CREATE TABLE made AS SELECT *, s.id FROM scratch s, orders o",
         "alter schema made; read orders"},
        {"CREATE TABLE made AS SELECT o FROM orders o", "alter schema made; read orders"},
        {"CREATE TABLE made AS WITH q AS (INSERT INTO scratch VALUES (1) RETURNING id) SELECT id "
         "FROM q",
         "alter schema made"},
        {"SELECT s.id, t.* INTO made FROM scratch s, scratch t", "alter schema made"},
        {"SELECT s, row_to_json(s.*) FROM scratch s", ""},
        {"CREATE TABLE made (LIKE scratch)", "alter schema made"},
        {"CREATE TEMP TABLE other (LIKE scratch INCLUDING ALL)", ""},
        {"CREATE TABLE made (LIKE orders INCLUDING ALL)", "alter schema made; read orders"},
        {"CREATE INDEX ON scratch ((NULL::scratch IS NULL))", ""},
        {"SELECT NULL::scratch", ""},
        {"CREATE TEMP SEQUENCE numbers", ""},
        {"ALTER TABLE orders ADD COLUMN x mood", "alter orders"},
        {"ALTER TABLE orders ADD COLUMN x _text[]", "forbidden"},
        {"ALTER TABLE orders ADD COLUMN x pg_catalog._text", "alter orders"},
        {"ALTER TABLE orders ALTER COLUMN note SET DEFAULT 'scratch'", "alter orders"},
        /* what falls alone, and what is not stored */
        {"ALTER TABLE orders ALTER COLUMN note SET DEFAULT ('scratch'::regclass)::text",
         "alter orders"},
        {"ALTER TABLE orders ADD COLUMN x text DEFAULT 'scratch' CHECK (x <> 'scratch')",
         "alter orders"},
        {"ALTER TABLE orders ADD CHECK (note <> 'scratch')", "alter orders"},
        {"CREATE TABLE made (x text DEFAULT 'scratch' CHECK (x <> 'scratch'))",
         "alter schema made"},
        {"CREATE TABLE made AS SELECT id FROM orders WHERE note = 'scratch'",
         "alter schema made; read orders"},
        {"CREATE TABLE made (x text) PARTITION BY LIST (x)", "alter schema made"},
        {"CREATE TABLE made (at date) PARTITION BY RANGE ((extract(year FROM at)))",
         "alter schema made"},
        {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT id FROM public.scratch; END",
         "alter schema f; read scratch"},
        {"ALTER DOMAIN d SET DEFAULT 'scratch'::text", "alter schema d"},
        {"ALTER DOMAIN d SET DEFAULT E' \t\n'", "alter schema d"},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "alter schema f"},
        /* it falls with the type */
        {"ALTER TABLE orders OF ct", "administer orders"},
        {"CREATE TABLE made OF ct", "administer schema made; alter schema made"},
        {"ALTER TABLE orders NOT OF", "alter orders"},
    };
    const sp_sql_context context = {.is_temporary = has_temp};
    office_check(state, context, cases, SP_COUNT(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_made_in_pg_temp),
        cmocka_unit_test(nothing_stands_on_what_goes),
        cmocka_unit_test(no_constant_that_is_stored_names_it),
        cmocka_unit_test(a_constant_without_a_type_may_name_anything),
        cmocka_unit_test(without_temporary_tables_a_constant_names_none_by_its_name),
        cmocka_unit_test(no_table_is_made_of_rows_as_values),
        cmocka_unit_test(any_name_may_be_temporary_once_one_was_renamed),
        cmocka_unit_test(a_lasting_table_has_no_rows_of_a_session),
        cmocka_unit_test(what_goes_with_it_may),
    };
    return cmocka_run_group_tests(tests, office_set_up, office_tear_down);
}

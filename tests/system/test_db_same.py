# SPDX-License-Identifier: Apache-2.0
"""With a policy that permits all, the gate is not to be noticed: a body of SQL run directly and through it gives the
same rows, types, tags, errors and notices.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate".
"""
import psycopg2
import pytest

from dbgatelib import DBA_DOES_ALL, SCHEMA, DatabaseOffice, orders_documents

pytestmark = pytest.mark.shipped

DOCUMENTS = orders_documents(
    ["dba"],
    DBA_DOES_ALL,
)

BODY = """
SELECT 1; SELECT NULL::int, 'x'::text, 1.5::numeric, true, now() IS NOT NULL, '{1,2}'::int[], '{"a":1}'::jsonb
SELECT count(*), sum(total), avg(total)::numeric(10,2), max(note) FROM orders
SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id LIMIT 5
SELECT * FROM v_customers ORDER BY id LIMIT 3
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n
SELECT id, rank() OVER (PARTITION BY customer_id ORDER BY total DESC) FROM orders ORDER BY id LIMIT 4
SELECT customer_id, count(*) FROM orders GROUP BY ROLLUP (customer_id) ORDER BY 1 NULLS LAST LIMIT 3
SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS g(a, b)
SELECT array_agg(id ORDER BY id DESC) FILTER (WHERE id < 4) FROM orders
SELECT CASE WHEN id < 3 THEN 'low' ELSE 'high' END, coalesce(note, '-') FROM orders ORDER BY id LIMIT 4
SELECT json_build_object('id', id, 'note', note) FROM orders ORDER BY id LIMIT 2
VALUES (1, 'a'), (2, 'b')
TABLE logs ORDER BY at LIMIT 2
SELECT 1/0
SELECT * FROM nowhere
SELECT nothing FROM orders
SELECT 'x'::int
SELECT nofunction(1)
SELECT 1 + 'x'
INSERT INTO orders VALUES (1, 1, 1, 'again')
INSERT INTO orders VALUES (1000, 99999, 1, 'no such customer')
INSERT INTO orders (id, customer_id, total, note) VALUES (1001, 1, 5, 'new') RETURNING id, note
INSERT INTO orders (id, customer_id, total, note) VALUES (1001, 1, 5, 'x') ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING *
UPDATE orders SET total = total + 1 WHERE id = 1001 RETURNING total
MERGE INTO orders o USING (VALUES (1001, 7), (1002, 8)) v(id, t) ON o.id = v.id WHEN MATCHED THEN UPDATE SET total = v.t WHEN NOT MATCHED THEN INSERT (id, customer_id, total) VALUES (v.id, 1, v.t)
DELETE FROM orders WHERE id >= 1001 RETURNING id
CREATE TABLE scrap (id serial PRIMARY KEY, v text DEFAULT 'd' CHECK (v <> 'bad'), at date)
CREATE TABLE scrap (id int)
CREATE TABLE IF NOT EXISTS scrap (id int)
INSERT INTO scrap (v) VALUES ('bad')
INSERT INTO scrap (v) SELECT 'v' || n FROM generate_series(1, 10) n
ALTER TABLE scrap ADD COLUMN extra int NOT NULL DEFAULT 7
ALTER TABLE scrap ALTER COLUMN extra TYPE bigint USING extra * 2
ALTER TABLE scrap RENAME COLUMN extra TO more
CREATE INDEX scrap_v ON scrap (lower(v))
CREATE VIEW scrap_view AS SELECT id, v FROM scrap WHERE more > 1
DROP TABLE scrap
COMMENT ON TABLE scrap IS 'for tests'
SELECT obj_description('scrap'::regclass)
EXPLAIN (COSTS off) SELECT * FROM scrap WHERE id = 1
DO $$ BEGIN RAISE NOTICE 'from a block %', 7; RAISE WARNING 'and a warning'; END $$
DO $$ BEGIN RAISE EXCEPTION 'own error' USING ERRCODE = 'P0042', DETAIL = 'd', HINT = 'h'; END $$
CREATE FUNCTION add_up(a int, b int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN a + b; END $$
SELECT add_up(2, 3), twice(4)
SELECT wipe() LIMIT 0
DROP FUNCTION add_up
DROP FUNCTION add_up
DROP TABLE IF EXISTS never_was
CREATE TYPE mood AS ENUM ('sad', 'glad'); SELECT 'glad'::mood, enum_range(NULL::mood); DROP TYPE mood
CREATE TEMP TABLE t1 AS SELECT * FROM orders WHERE id < 4; SELECT count(*) FROM t1; DROP TABLE t1
PREPARE p (int) AS SELECT id FROM orders WHERE id < $1 ORDER BY id; EXECUTE p(3); DEALLOCATE p
EXECUTE p(3)
BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id; FETCH 2 FROM c; MOVE 2 FROM c; FETCH 1 FROM c; CLOSE c; COMMIT
BEGIN; SAVEPOINT s; INSERT INTO scrap (v) VALUES ('sp'); ROLLBACK TO s; RELEASE s; COMMIT
COMMIT
ROLLBACK
SET work_mem = '8MB'; SHOW work_mem; RESET work_mem
SET TimeZone = 'UTC'; SELECT '2026-01-01 00:00+08'::timestamptz; RESET TimeZone
SET no_such_setting_here = 1
SHOW no_such_setting
SET statement_timeout = 20; SELECT pg_sleep(2); RESET statement_timeout
LISTEN channel; NOTIFY channel, 'hello'; UNLISTEN *
LOCK TABLE orders IN ACCESS SHARE MODE
BEGIN; LOCK TABLE orders IN ROW EXCLUSIVE MODE; COMMIT
TRUNCATE audit.entries; SELECT count(*) FROM audit.entries
ANALYZE orders
VACUUM orders
GRANT SELECT ON orders TO PUBLIC; REVOKE SELECT ON orders FROM PUBLIC
SELECT relname, relkind FROM pg_class WHERE relname IN ('orders', 'customers') ORDER BY 1
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position
SELECT current_setting('server_version_num')::int > 150000, current_schema, current_user
SELECT nextval('scrap_id_seq') > 0, currval('scrap_id_seq') > 0
DROP VIEW scrap_view; DROP TABLE scrap
DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE id > 190)
WITH gone AS (DELETE FROM orders WHERE id > 185 RETURNING id) SELECT count(*) FROM gone
SELECT repeat('x', 100000), length(repeat('中', 30000))
SELECT E'tab\\tnew\\nline', $tag$dollar$tag$, B'101', X'1F'
DELETE FROM logs; SELECT count(*) FROM logs
"""


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS)
    try:
        one.sql("CREATE DATABASE twin OWNER op_all", database="postgres")
        one.sql("ALTER SCHEMA public OWNER TO op_all", database="twin")
        with one.direct("op_all", "twin") as plain, plain.cursor() as c:
            c.execute(SCHEMA)
        one.person("dora", "dba")
        yield one
    finally:
        one.close()


def run(connection, text):
    """Everything that a client sees of one message."""
    del connection.notices[:]
    with connection.cursor() as c:
        try:
            c.execute(text)
            # types of one's own have other numbers in another database
            columns = [(d.name, min(d.type_code, 16384)) for d in c.description or ()]
            got = ("ok", c.statusmessage, columns, c.fetchall() if c.description else None)
        except psycopg2.Error as error:
            d = error.diag
            got = ("error", error.pgcode, d.severity, d.message_primary, d.message_detail, d.message_hint,
                   d.statement_position, d.context, d.schema_name, d.table_name, d.column_name, d.constraint_name)
    connection.rollback()
    return got, list(connection.notices)


def test_the_same_directly_and_through_the_gate(gate):
    plain, through = gate.direct("op_all", "twin"), gate.connect("dora")
    plain.autocommit = through.autocommit = True
    differences = []
    count = 0
    for line in BODY.strip().splitlines():
        for text in [line] if line.startswith(("DO ", "CREATE FUNCTION")) else [line, *line.split("; ")][:1 + 4]:
            count += 1
            a, b = run(plain, text), run(through, text)
            if str(a).replace("twin", "orders") != str(b).replace("twin", "orders"):
                differences.append((text, a, b))
    plain.close()
    through.close()
    assert count > 90 and not differences, "\n".join(f"{t}\n  direct: {a}\n  gate:   {b}" for t, a, b in differences)

# SPDX-License-Identifier: Apache-2.0
"""With a policy that permits all, what the gate passes on is what the server sent, byte for byte: two servers that were
made alike down to the numbers of their tables, one spoken to directly, one through the gate.

OWNS an office, two servers. PROCESS tests. TRUST none. SPEC PostgreSQL 15 manual, chapter 55.
"""
import struct

import pytest

from dbgatelib import DBA_DOES_ALL, SCHEMA, DatabaseOffice, furnish, orders_documents
from pglib import Postgres
from pgraw import FLUSH, SYNC, Raw, bind, closes, describe, execute, message, parse, query

pytestmark = pytest.mark.shipped

# Each as text, and by the extended protocol with text and with binary values.
READS = r"""
SELECT 1
SELECT NULL::int, 'x'::text, 1.5::numeric, true, '{1,2}'::int[], '{"a":1}'::jsonb, B'101', X'1F', '(1,2)'::point
SELECT '1999-12-31'::date, '12:00:00.123456'::time, '2026-01-01 00:00+08'::timestamptz, interval '1 year 2 days 3 s', 'P1D'::interval
SELECT 1::int2, 2::int4, 3::int8, 1.25::float4, 'NaN'::float8, 'Infinity'::float8, '-12345678901234567890.0987654321'::numeric
SELECT '\x00ff10'::bytea, 'a'::"char", 'n'::name, 'b'::char(5), 'v'::varchar(3), '192.168.0.1/24'::inet, '08:00:2b:01:02:03'::macaddr
SELECT 'd0b1c2d3-0000-4000-8000-000000000001'::uuid, '[1,5)'::int4range, '{[1,2),[5,6)}'::int4multirange, 'a & b'::tsquery, 'a b'::tsvector
SELECT ROW(1, 'a', NULL), ARRAY[[1,2],[3,4]], ARRAY[ROW(1,'x')], 'orders'::regclass, 'int4'::regtype, 16::oid, '$1.50'::money
SELECT '\xdeadbeef'::bytea, '\xff'::bytea, '\x'::bytea, length('\x41ff'::bytea)
SELECT '{"b":1, "a":[1,2,null]}'::json, '<a>x</a>'::text, E'tab\tnew\nline', $tag$dollar$tag$, '中文', U&'\0441'
SELECT
SELECT count(*), sum(total), avg(total)::numeric(10,2), max(note) FROM orders
SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id LIMIT 5
SELECT c FROM customers c ORDER BY id LIMIT 2
SELECT * FROM v_customers ORDER BY id LIMIT 3
SELECT v.tel AS other, v.* FROM v_customers v ORDER BY 1 LIMIT 2
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n
SELECT id, rank() OVER (PARTITION BY customer_id ORDER BY total DESC) FROM orders ORDER BY id LIMIT 4
SELECT customer_id, count(*) FROM orders GROUP BY ROLLUP (customer_id) ORDER BY 1 NULLS LAST LIMIT 3
SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS g(a, b)
SELECT array_agg(id ORDER BY id DESC) FILTER (WHERE id < 4) FROM orders
SELECT CASE WHEN id < 3 THEN 'low' ELSE 'high' END, coalesce(note, '-') FROM orders ORDER BY id LIMIT 4
SELECT json_build_object('id', id, 'note', note) FROM orders ORDER BY id LIMIT 2
SELECT phone AS "Telephone number", phone FROM customers WHERE id = 7
SELECT DISTINCT customer_id % 3 FROM orders ORDER BY 1
SELECT id FROM orders WHERE false
SELECT at, line FROM logs WHERE at BETWEEN 3 AND 5 ORDER BY at
SELECT tableoid::regclass, ctid, at FROM logs ORDER BY at LIMIT 2
VALUES (1, 'a'), (2, NULL)
TABLE logs ORDER BY at LIMIT 2
SELECT repeat('x', 100000), length(repeat('中', 30000))
SELECT repeat('long row ', 200000)
SELECT n, repeat('r', n % 97) FROM generate_series(1, 3000) n
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position
SELECT relname, relkind, oid FROM pg_class WHERE relname IN ('orders', 'customers', 'v_names') ORDER BY 1
SELECT current_schema, current_user, current_database(), current_setting('server_version_num')
EXPLAIN (COSTS off) SELECT * FROM orders WHERE id = 1
EXPLAIN (COSTS off, FORMAT json) SELECT count(*) FROM orders
SHOW server_version
SHOW search_path
SELECT twice(4)
SELECT 1/0
SELECT * FROM nowhere
SELECT nothing FROM orders
SELECT o.nothing FROM orders o
SELECT 'x'::int
SELECT nofunction(1)
SELECT 1 + 'x'
SELECT 1 +
SELEC 1
SELECT id FROM orders GROUP BY note
SELECT 99999999999::int
SELECT '2026-13-45'::date
SELECT 'a' ~ '('
SELECT (SELECT id FROM orders)
SELECT ARRAY[1, 'x']
SELECT * FROM orders WHERE id = 'not a number'
SELECT n, 10 / (n - 500) FROM generate_series(1, 1000) n
"""
# Once each, in this order.
ONCE = r"""
INSERT INTO orders VALUES (1, 1, 1, 'again')
INSERT INTO orders VALUES (1000, 99999, 1, 'no such customer')
INSERT INTO customers (id) VALUES (500)
INSERT INTO orders (id, customer_id, total, note) VALUES (1001, 1, 5, 'new') RETURNING id, note
INSERT INTO orders (id, customer_id, total, note) VALUES (1001, 1, 5, 'x') ON CONFLICT (id) DO UPDATE SET note = excluded.note RETURNING *
UPDATE orders SET total = total + 1 WHERE id = 1001 RETURNING total
MERGE INTO orders o USING (VALUES (1001, 7), (1002, 8)) v(id, t) ON o.id = v.id WHEN MATCHED THEN UPDATE SET total = v.t WHEN NOT MATCHED THEN INSERT (id, customer_id, total) VALUES (v.id, 1, v.t)
DELETE FROM orders WHERE id >= 1001 RETURNING id
INSERT INTO logs VALUES (1000, 'no partition')
CREATE TABLE scrap (id serial PRIMARY KEY, v text DEFAULT 'd' CHECK (v <> 'bad'), at date)
CREATE TABLE scrap (id int)
CREATE TABLE IF NOT EXISTS scrap (id int)
INSERT INTO scrap (v) VALUES ('bad')
INSERT INTO scrap (v) SELECT 'v' || n FROM generate_series(1, 10) n
SELECT * FROM scrap ORDER BY id LIMIT 2
ALTER TABLE scrap ADD COLUMN extra int NOT NULL DEFAULT 7
ALTER TABLE scrap ALTER COLUMN extra TYPE bigint USING extra * 2
ALTER TABLE scrap RENAME COLUMN extra TO more
CREATE INDEX scrap_v ON scrap (lower(v))
CREATE VIEW scrap_view AS SELECT id, v FROM scrap WHERE more > 1
SELECT * FROM scrap_view ORDER BY id LIMIT 2
DROP TABLE scrap
COMMENT ON TABLE scrap IS 'for tests'
SELECT obj_description('scrap'::regclass)
SELECT nextval('scrap_id_seq'), currval('scrap_id_seq')
DROP TABLE scrap CASCADE
DROP TABLE IF EXISTS never_was
CREATE DOMAIN small AS int CHECK (VALUE < 10)
SELECT 11::small
DROP DOMAIN small
CREATE TYPE mood AS ENUM ('sad', 'glad')
SELECT 'glad'::mood, enum_range(NULL::mood)
SELECT 'angry'::mood
DROP TYPE mood
DO $$ BEGIN RAISE NOTICE 'from a block %', 7; RAISE WARNING 'and a warning'; RAISE INFO 'told'; END $$
DO $$ BEGIN RAISE EXCEPTION 'own error' USING ERRCODE = 'P0042', DETAIL = 'd', HINT = 'h', COLUMN = 'c', TABLE = 't', SCHEMA = 's', CONSTRAINT = 'k', DATATYPE = 'y'; END $$
DO $$ BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught %', SQLSTATE; END $$
CREATE FUNCTION add_up(a int, b int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'adds'; RETURN a / b; END $$
SELECT add_up(6, 3), twice(4)
SELECT add_up(6, 0)
CREATE FUNCTION broken() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETRUN 1; END $$
DROP FUNCTION add_up
DROP FUNCTION add_up
CREATE TEMP TABLE t1 AS SELECT * FROM orders WHERE id < 4; SELECT id, note FROM t1 ORDER BY id; DROP TABLE t1
PREPARE p (int) AS SELECT id FROM orders WHERE id < $1 ORDER BY id; EXECUTE p(3); DEALLOCATE p
EXECUTE p(3)
BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id; FETCH 2 FROM c; MOVE 2 FROM c; FETCH 1 FROM c; CLOSE c; COMMIT
BEGIN; DECLARE b BINARY CURSOR FOR SELECT id, note FROM orders ORDER BY id; FETCH 2 FROM b; COMMIT
DECLARE c CURSOR FOR SELECT 1
FETCH 1 FROM c
BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT id FROM customers ORDER BY id; COMMIT; FETCH 3 FROM h; FETCH BACKWARD 1 FROM h; CLOSE h
BEGIN
SAVEPOINT s
SELECT 1/0
SELECT 1
ROLLBACK TO s
SELECT 2
RELEASE s
BEGIN
COMMIT
COMMIT
ROLLBACK
START TRANSACTION READ ONLY
INSERT INTO orders VALUES (2000)
ROLLBACK
BEGIN ISOLATION LEVEL SERIALIZABLE; SHOW transaction_isolation; COMMIT AND CHAIN; ROLLBACK
SELECT 1; SELECT 2; SELECT 3
SELECT 1; SELECT 1/0; SELECT 3
INSERT INTO audit.entries VALUES (50, 'lost'); SELECT 1/0
SELECT count(*) FROM audit.entries
SELECT 1;; ;
;
-- nothing but a comment
/* nothing */
SET work_mem = '8MB'; SHOW work_mem; RESET work_mem
SET TimeZone = 'Asia/Shanghai'
SELECT '2026-01-01 00:00+00'::timestamptz
RESET TimeZone
SET DateStyle = 'German, DMY'; SELECT '2026-02-01'::date; RESET DateStyle
SET IntervalStyle = 'iso_8601'; SELECT interval '1 day 2 hours'; RESET IntervalStyle
SET extra_float_digits = 0; SELECT 0.1::float8 + 0.2; RESET extra_float_digits
SET application_name = 'another'; RESET application_name
SET bytea_output = 'escape'; SELECT '\x0001ff'::bytea; RESET bytea_output
SET client_min_messages = error; DO $$BEGIN RAISE WARNING 'unheard'; END$$; RESET client_min_messages
SET client_min_messages = debug1; DROP TABLE IF EXISTS never_was; RESET client_min_messages
SET no_such_setting_here = 1
SHOW no_such_setting
SET work_mem = 'much'
SET statement_timeout = 20; SELECT pg_sleep(2)
RESET statement_timeout
LISTEN channel
NOTIFY channel, 'hello'
NOTIFY channel, 'a'; NOTIFY channel; NOTIFY channel, 'a'; SELECT 1
BEGIN; NOTIFY channel, 'rolled back'; ROLLBACK
UNLISTEN *
NOTIFY channel, 'unheard'
LOCK TABLE orders IN ACCESS SHARE MODE
BEGIN; LOCK TABLE orders IN ROW EXCLUSIVE MODE; COMMIT
TRUNCATE audit.entries; SELECT count(*) FROM audit.entries
ANALYZE orders
VACUUM orders
BEGIN; VACUUM orders
ROLLBACK
GRANT SELECT ON orders TO PUBLIC; REVOKE SELECT ON orders FROM PUBLIC
GRANT SELECT ON orders TO nobody_there
COPY customers TO STDOUT
COPY (SELECT id, name FROM customers ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)
COPY customers TO STDOUT (FORMAT binary)
COPY nowhere TO STDOUT
COPY (SELECT 1/(3 - id) FROM customers ORDER BY id) TO STDOUT
COPY (SELECT n, repeat('z', 500) FROM generate_series(1, 4000) n) TO STDOUT
COPY orders TO STDOUT; SELECT 1
CALL wipe_all()
SELECT wipe()
DELETE FROM logs; SELECT count(*) FROM logs
"""
ROWS = message("d", b"1\tone\n2\ttwo\n") + message("d", b"3\tthr") + message("d", b"ee\n")
DONE, BAD, FAIL = message("c"), message("d", b"no number\tx\n"), message("f", b"had enough\0")
PARSED = parse("SELECT id, note FROM orders WHERE id >= $1 ORDER BY id", "s")
# Whole exchanges and how many times the server is ready.
EXCHANGES = [
    (query("CREATE TEMP TABLE e (a int, b text)"), 1), (query("COPY e FROM STDIN") + ROWS + DONE, 1),
    (query("COPY e FROM STDIN") + BAD + DONE, 1), (query("COPY e FROM STDIN") + FAIL, 1),
    (query("COPY e (a) FROM STDIN WITH (FORMAT csv)") + message("d", b'"7"\n8\n') + DONE, 1),
    (query("COPY e FROM STDIN; SELECT count(*) FROM e") + ROWS + DONE, 1),
    (query("COPY e FROM STDIN") + message("d", b"1\tx\n\\.\n") + DONE, 1), (query("COPY e (nothing) FROM STDIN"), 1),
    (parse("COPY e FROM STDIN") + bind() + execute() + ROWS + DONE + SYNC, 1), (query("SELECT a, b FROM e ORDER BY a, b"), 1),
    (parse("COPY e FROM STDIN") + bind() + execute() + BAD + DONE + SYNC, 1),
    (parse("COPY e TO STDOUT") + bind() + describe() + execute() + SYNC, 1),
    (PARSED + describe("s", "S") + SYNC, 1), (bind("", "s", ["190"]) + describe() + execute() + SYNC, 1),
    (bind("", "s", ["195"], binary=True) + execute() + SYNC, 1), (bind("", "s", [None]) + execute() + SYNC, 1),
    (bind("", "s", ["x"]) + execute() + SYNC, 1), (bind("", "s", []) + execute() + SYNC, 1), (PARSED + SYNC, 1),
    (bind("", "none") + execute() + SYNC, 1), (execute("none") + SYNC, 1), (describe("none", "S") + SYNC, 1),
    (describe("none") + SYNC, 1), (message("C", b"Ss\0") + SYNC, 1), (message("C", b"Snone\0") + SYNC, 1),
    (parse("SELECT id FROM orders ORDER BY id") + bind("p") + execute("p", 3) + execute("p", 2) + execute("p") + SYNC, 1),
    (query("BEGIN") + parse("SELECT id FROM orders ORDER BY id") + bind("q") + describe("q") + execute("q", 3) + SYNC, 2),
    (execute("q", 4) + SYNC + query("FETCH 2 FROM q"), 2), (message("C", b"Pq\0") + execute("q") + SYNC, 1), (query("COMMIT"), 1),
    (b"".join(parse(f"SELECT {i}") + bind() + describe() + execute() for i in range(20)) + SYNC, 1),
    (b"".join(parse(f"SELECT {i}") + bind() + describe() + execute() + SYNC for i in range(20)), 20),
    (parse("SELECT 1") + bind() + execute() + parse("SELECT 1/0") + bind() + execute() + parse("SELECT 3") + bind() + execute() + SYNC
     + query("SELECT 4"), 2),
    (parse("INSERT INTO e VALUES (100, 'gone')") + bind() + execute() + parse("SELECT 1/0") + bind() + execute() + SYNC, 1),
    (query("SELECT count(*) FROM e WHERE a = 100"), 1), (SYNC + SYNC, 2), (FLUSH + SYNC, 1),
    (parse("") + bind() + describe() + execute() + SYNC, 1), (parse("SELECT 1; SELECT 2") + SYNC, 1),
    (parse("SELECT $1::int + $2") + describe("", "S") + bind("", "", ["40", "2"]) + execute() + SYNC, 1),
    (parse("SELECT $1") + describe("", "S") + SYNC, 1), (parse("SELECT $2::text") + describe("", "S") + SYNC, 1),
    (parse("SELECT pg_typeof($1)") + bind("", "", ["x"]) + execute() + SYNC, 1),
    (parse("INSERT INTO e VALUES ($1, $2) RETURNING *") + bind("", "", ["9", "名"], binary=True) + describe() + execute() + SYNC, 1),
    (parse("BEGIN") + bind() + execute() + parse("SELECT 1/0") + bind() + execute() + SYNC + query("SELECT 1") + query("ROLLBACK"), 3),
    (query("SELECT 1") * 30, 30), (query("SELECT repeat('w', 3000000)") + query("SELECT 1"), 2),
    (parse("SELECT n, repeat('y', 50) FROM generate_series(1, 5000) n") + bind("", "", [], binary=True) + execute("", 4000)
     + execute("", 2000) + SYNC, 1),
    # of a COPY that is not there
    (ROWS + query("SELECT 1"), 1), (DONE + query("SELECT 1"), 1), (FAIL + query("SELECT 1"), 1), (message("f", b"no end") + SYNC, 1),
    (ROWS + DONE + FAIL + SYNC, 1), (parse("SELECT 1") + ROWS + bind() + DONE + execute() + FAIL + SYNC, 1),
    (parse("SELECT 1/0") + bind() + execute() + ROWS + DONE + FAIL + parse("SELECT 2") + bind() + execute() + SYNC, 1),
    (query("BEGIN") + ROWS + query("SELECT 1/0") + DONE + query("SELECT 1") + FAIL + query("ROLLBACK"), 4),
    (DONE + FAIL + query("COPY e FROM STDIN") + ROWS + DONE, 1), (query("COPY e FROM STDIN") + ROWS + DONE + DONE + ROWS + FAIL + SYNC, 2),
    (query("COPY e FROM STDIN") + FAIL + ROWS + DONE + query("SELECT count(*) FROM e"), 2),
    (parse("COPY e FROM STDIN") + bind() + execute() + ROWS + DONE + ROWS + DONE + FAIL + SYNC + query("SELECT count(*) FROM e"), 2),
    (query("COPY e TO STDOUT") + ROWS + DONE + query("SELECT 1"), 2), (query("DROP TABLE e"), 1),
]


def lines(text):
    return [line for line in text.strip().splitlines()]


def extended(text, binary):
    return parse(text) + describe("", "S") + bind(binary=binary) + describe() + execute() + SYNC


STEPS = [step for text in lines(READS) for step in
         [(query(text), 1), (extended(text, False), 1), (extended(text, True), 1)]]
STEPS += [(query(text), 1) for text in lines(ONCE)] + EXCHANGES


class Line:
    """A connection, and all that the server said."""

    def __init__(self, port, user, database, password, **more):
        self.raw = Raw(port, tls=None, timeout=30)
        found = self.raw.log_in(user, database, password, **more)
        assert found[-1][0] == "Z", found
        self.start = [message(kind, body) for kind, body in found if kind not in "RK"]

    def run(self, data, ends):
        self.raw.send(data)
        found = []
        for _ in range(ends):
            found += self.raw.until("Z")
        return b"".join(message(kind, bytes(4) + body[4:] if kind == "A" else body) for kind, body in found)


@pytest.fixture(scope="module")
def pair():
    other, gate = Postgres(), None
    try:
        furnish(other, ("op_all",), SCHEMA)
        gate = DatabaseOffice(orders_documents(["dba"], DBA_DOES_ALL))
        gate.person("dora", "dba")
        for pg in (gate.pg, other):  # what is counted in the background is counted at another time
            pg.sql("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
        plain = Line(other.port, "op_all", "orders", "op_all", application_name="dora", search_path='"public"')
        through = Line(gate.port, "dora", "orders-db", gate.password("dora"))
        yield plain, through
        plain.raw.close()
        through.raw.close()
    finally:
        other.close()
        if gate is not None:
            gate.close()


def test_what_is_told_at_the_start(pair):
    plain, through = pair
    assert through.start == plain.start and len(plain.start) > 10


# What the gate answers itself, with the server's words but without the place in its source.
OWN = {b"SELECT 1 +", b"SELEC 1", b"none", query("FETCH 1 FROM c"), query("EXECUTE p(3)"), closes("P", "q") + execute("q"), parse("SELECT 1; SELECT 2")}


def without_place(data):
    """Errors without their place in the source of the server, or the number they have in the ledger."""
    kept, at = b"", 0
    while at < len(data):
        size = struct.unpack(">I", data[at + 1:at + 5])[0]
        body = data[at + 5:at + 1 + size]
        if data[at:at + 1] == b"E":
            body = b"\0".join(piece for piece in body.split(b"\0") if piece[:1] not in (b"F", b"L", b"R") and not piece.startswith(b"DReference "))
        kept += data[at:at + 1] + body
        at += 1 + size
    return kept


def is_own(data, a, b):
    return any(text in data for text in OWN) and without_place(a) == without_place(b)


def first_difference(a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"at byte {at} of {len(a)} and {len(b)}\n    direct: {a[max(0, at - 60):at + 120]!r}\n    gate:   {b[max(0, at - 60):at + 120]!r}"


def test_byte_for_byte(pair):
    plain, through = pair
    different, bytes_, kinds, own = [], 0, set(), 0
    for data, ends in STEPS:
        a, b = plain.run(data, ends), through.run(data, ends)
        bytes_ += len(a)
        if a != b and is_own(data, a, b):
            own += 1
        elif a != b:
            different.append(f"{data[:200]!r}\n  {first_difference(a, b)}")
        at = 0
        while at < len(a):
            kinds.add(chr(a[at]))
            at += 1 + struct.unpack(">I", a[at + 1:at + 5])[0]
    print(f"{len(STEPS)} exchanges, {bytes_} bytes, {own} answered by the gate itself, messages {''.join(sorted(kinds))}")
    assert not different, f"{len(different)} of {len(STEPS)}\n" + "\n".join(different[:30])
    assert len(STEPS) > 250 and own == 14 and kinds == set("123ACDEGHINSTZcdnst")


def test_the_comparison_finds_a_byte(pair):
    plain, through = pair
    assert plain.run(query("SELECT 'one'"), 1) != through.run(query("SELECT 'oNe'"), 1)
    assert plain.run(query("SELECT 1"), 1) == through.run(query("SELECT 1"), 1)

# SPDX-License-Identifier: Apache-2.0
"""Definitions by which rows or columns of others go later, by something that nobody is asked about: a key that comes with a
parent, a type that goes with the session. Whoever may change tables and lose nothing must not lose them.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md; lib/sql/alter.c, lib/sql/define.c.
"""
import contextlib

import psycopg2
import pytest

from dbgatelib import DBA_DOES_ALL, SCHEMA, DatabaseOffice, orders_documents

DOCUMENTS = orders_documents(["dba", "mover"], DBA_DOES_ALL + """\
kind: Rule
name: movers change and lose nothing
who: { roles: [mover] }
to: { resources: [orders-db] }
may: [connect, read, write, alter]
""")
MORE = """
CREATE TYPE mood AS ENUM ('paid');
CREATE TABLE kinds (zip text, doc json, share float8, at timestamp, seen timestamptz, day date, n int, yes bool, j jsonb, u uuid);
INSERT INTO kinds VALUES ('00123', '{"a":1,"a":2}', 0.123456789, '2026-01-01 00:00', '2026-01-01 00:00+00', '2026-01-01', 7, true, '[1]',
    '00000000-0000-0000-0000-000000000001');
CREATE TABLE bare (LIKE orders) PARTITION BY LIST (id);
CREATE TABLE calm (LIKE orders);
CREATE TABLE keyed (LIKE orders, FOREIGN KEY (id) REFERENCES customers ON DELETE SET NULL) PARTITION BY LIST (id);
CREATE TABLE run (LIKE orders) PARTITION BY LIST (id);
CREATE FUNCTION halves() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.total := NEW.total / 2; RETURN NEW; END';
CREATE TRIGGER halving BEFORE UPDATE ON run FOR EACH ROW EXECUTE FUNCTION halves();
"""


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS, schema=SCHEMA + MORE)
    try:
        one.person("dora", "dba")
        one.person("mo", "mover")
        yield one
    finally:
        one.close()


def refused(cursor, text, word=None, state="42501"):
    with pytest.raises(psycopg2.Error) as what:
        cursor.execute(text)
    assert what.value.pgcode == state, (text, what.value)
    assert word is None or word in str(what.value), (text, what.value)


MINE = ["CREATE TABLE mine (id int PRIMARY KEY)", "INSERT INTO mine SELECT generate_series(1, 200)"]


@pytest.mark.parametrize("steps", [
    ["CREATE TABLE par (LIKE orders, FOREIGN KEY (id) REFERENCES mine ON DELETE CASCADE) PARTITION BY LIST (id)",
     "ALTER TABLE par ATTACH PARTITION orders DEFAULT"],
    ["CREATE TABLE par (LIKE orders) PARTITION BY LIST (id)",
     "ALTER TABLE par ADD FOREIGN KEY (id) REFERENCES mine ON UPDATE CASCADE; ALTER TABLE par ATTACH PARTITION orders DEFAULT"],
    ["ALTER TABLE keyed ATTACH PARTITION orders DEFAULT"],
    ["ALTER TABLE run ATTACH PARTITION orders DEFAULT"],
    ["ALTER TABLE bare ADD FOREIGN KEY (id) REFERENCES mine ON UPDATE CASCADE", "ALTER TABLE bare ATTACH PARTITION orders DEFAULT"],
    ["ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES mine ON UPDATE SET NULL"],
])
def test_a_key_that_comes_with_a_parent(gate, steps):
    with gate.connect("mo") as mo, mo.cursor() as c:
        for text in MINE + steps[:-1]:
            c.execute(text)
        refused(c, steps[-1], "destroy")
        mo.rollback()


def test_a_parent_that_brings_nothing(gate):
    with gate.connect("mo") as mo, mo.cursor() as c:
        for one in ("calm", "orders"):  # what is judged by the parent's name reaches it from then on
            refused(c, f"ALTER TABLE bare ATTACH PARTITION {one} DEFAULT", "destroy on the table")
            mo.rollback()
        c.execute("CREATE TABLE part PARTITION OF bare DEFAULT")
        mo.rollback()
        c.execute("ALTER TABLE logs DETACH PARTITION logs_1")
        mo.rollback()
    with gate.connect("dora") as dora, dora.cursor() as c:
        c.execute("ALTER TABLE run ATTACH PARTITION orders DEFAULT")
        dora.rollback()


# ---- what goes with the session ----

FALLING = [
    ["CREATE TYPE pg_temp.ct AS (id int, customer_id int, total int, note text)", "ALTER TABLE loose OF pg_temp.ct"],
    ["CREATE DOMAIN pg_temp.text AS pg_catalog.text", "ALTER TABLE loose ALTER COLUMN note TYPE text"],
    ["CREATE TEMP TABLE tt (x int)", "ALTER TABLE loose ADD COLUMN more tt"],
    ["CREATE TEMP TABLE tt (x int)", "ALTER TABLE loose ADD COLUMN more _tt"],
    ["CREATE TEMP TABLE tt (x int)", "ALTER TABLE tt RENAME TO uu", "ALTER TABLE loose ADD COLUMN more uu[]"],
    ["CREATE TEMP TABLE tt (x int)", "CREATE TYPE pair AS (a tt)", "ALTER TABLE loose ADD COLUMN more pair"],
    ["CREATE TEMP TABLE text (x int)", "ALTER TABLE loose ADD COLUMN more text"],
    ["CREATE COLLATION pg_temp.cc FROM \"C\"", "ALTER TABLE loose ALTER COLUMN note TYPE pg_catalog.text COLLATE pg_temp.cc"],
    ["CREATE DOMAIN pg_temp.d AS int", "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE 1::pg_temp.d = 1"],
    ["CREATE TEMP TABLE tt (x int)", "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE 'tt'::regclass IS NOT NULL"],
    ["CREATE TEMP TABLE tt (x int)", "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE NULL::tt IS NULL"],
    ["CREATE TEMP SEQUENCE ss", "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE pg_relation_size('ss') >= 0"],
    # a domain goes with its default, and takes all columns of it
    ["CREATE TEMP TABLE tt (x int)", "CREATE DOMAIN dd AS text", "ALTER TABLE loose ADD COLUMN more dd",
     "ALTER DOMAIN dd SET DEFAULT ('tt'::regclass)::text"],
    ["CREATE TEMP TABLE tt (x int)", "CREATE DOMAIN dd AS text DEFAULT ('tt'::regclass)::text", "ALTER TABLE loose ADD COLUMN more dd"],
    ["CREATE TEMP TABLE tt (x int)", "CREATE FUNCTION named() RETURNS text BEGIN ATOMIC SELECT 'tt'::regclass::text; END",
     "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE named() IS NOT NULL"],
    ["CREATE TEMP TABLE tt (x int)", "CREATE FUNCTION named() RETURNS text BEGIN ATOMIC SELECT max(x)::text FROM tt; END",
     "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE named() IS NULL"],
    ["CREATE TEMP TABLE tt (x int)", "ALTER TABLE tt RENAME TO uu",
     "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE 'uu'::regclass IS NOT NULL"],
    ["CREATE TEMP TABLE tt (x int)", "CREATE FUNCTION named(of regclass DEFAULT 'tt') RETURNS int LANGUAGE sql AS 'SELECT 1'",
     "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE named('loose') = 1"],
    ["CREATE TEMP TABLE tt (x int)",
     "ALTER TABLE loose ADD COLUMN more int GENERATED ALWAYS AS (CASE WHEN 'tt'::regclass::oid > 0 THEN id END) STORED"],
    # a parent goes with what its key names, and its partitions with it
    ["CREATE TEMP TABLE tt (x int)", "CREATE TABLE par (LIKE loose) PARTITION BY LIST ((CASE WHEN id > 0 THEN 'tt'::regclass END))",
     "ALTER TABLE par ATTACH PARTITION loose DEFAULT"],
    ["CREATE TEMP TABLE tt (x int)", "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE 'DATABASE.pg_temp.tt'::regclass IS NOT NULL"],
    ["CREATE TEMP TABLE tt (x text)", "CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE '/**/ tt'::regtype IS NOT NULL"],
    [f"CREATE TEMP TABLE {'a' * 62} (x int)",
     f"CREATE OR REPLACE VIEW seen AS SELECT id FROM loose WHERE '{'a' * 62}\u00e9'::regclass IS NOT NULL"],
    ["CREATE TEMP TABLE tt (x int)", "ALTER TABLE loose ADD COLUMN more tt", "DROP TABLE tt CASCADE"],
]
LOOSE = ("CREATE TABLE loose AS SELECT * FROM orders", "CREATE VIEW seen AS SELECT id FROM loose",
         "CREATE MATERIALIZED VIEW kept AS SELECT id FROM seen")


def state(gate):
    return gate.sql("SELECT c.relname, a.attname, a.atttypid::regtype::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
                    "WHERE c.relname IN ('loose', 'seen', 'kept', 'pair') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum")


CLEAN = ("DROP TABLE IF EXISTS loose, par CASCADE", "DROP TYPE IF EXISTS pair", "DROP DOMAIN IF EXISTS dd CASCADE",
         "DROP FUNCTION IF EXISTS named(), named(regclass) CASCADE")


@pytest.fixture
def loose(gate):
    gate.sql(*CLEAN, *LOOSE,
             *(f"ALTER {kind} {name} OWNER TO op_all" for kind, name in (("TABLE", "loose"), ("VIEW", "seen"), ("TABLE", "kept"))))
    yield gate
    gate.sql(*CLEAN)


def goes(connection, gate, steps):
    """Whether something that was there after the steps is gone when the session has ended."""
    connection.autocommit = True
    with connection.cursor() as c:
        for text in steps:
            c.execute("SELECT current_database()")
            text = text.replace("DATABASE", c.fetchone()[0])
            try:
                c.execute(text)
            except psycopg2.Error as error:
                assert error.pgcode in ("42501", "42704", "42883", "42P01", "3F000"), (text, error)  # or what it made is not there
        before = state(gate)
        c.execute("DISCARD ALL")
    return not set(before) <= set(state(gate))


@pytest.mark.parametrize("steps", FALLING)
def test_nothing_goes_with_the_session(loose, steps):
    with contextlib.closing(loose.connect("mo")) as mo:
        assert not goes(mo, loose, steps)
    assert {name for name, _, _ in state(loose)} == {"loose", "seen", "kept"}


def test_without_the_gate_they_go(loose):
    for steps in FALLING[:-1]:
        with contextlib.closing(loose.direct("op_all")) as plain:
            assert goes(plain, loose, steps), steps
        loose.sql(*CLEAN, *LOOSE,
                  *(f"ALTER {kind} {name} OWNER TO op_all" for kind, name in (("TABLE", "loose"), ("VIEW", "seen"), ("TABLE", "kept"))))


def test_temporary_work_as_usual(loose):
    with loose.connect("mo") as mo, mo.cursor() as c:
        c.execute("CREATE TEMP TABLE tt (x int)")
        c.execute("CREATE INDEX ON tt (x); CREATE TEMP SEQUENCE ss; SELECT nextval('ss'), NULL::tt")
        c.execute("ALTER TABLE loose ADD COLUMN more text; ALTER TABLE loose ADD COLUMN moods int[]")
        mo.rollback()
        c.execute("CREATE VIEW also_seen AS SELECT id FROM loose WHERE note <> '16400'::text")
        mo.rollback()
        c.execute("CREATE TEMP TABLE tt (x int); ALTER TABLE loose ALTER COLUMN note SET DEFAULT 'tt', ADD CHECK (note <> 'tt')")
        c.execute("CREATE TABLE par AS SELECT id FROM loose WHERE note = 'tt'")
        mo.rollback()
        refused(c, "CREATE TYPE pg_temp.ct AS (id int)", "pg_temp")
        mo.rollback()
        refused(c, "CREATE TEMP TABLE date (id int)", "a type of the server")
        mo.rollback()


# ---- types that lose what stands there ----

def values(gate):
    return gate.sql("SELECT row_to_json(k)::text FROM kinds k")[0][0]


@pytest.mark.parametrize("steps", [
    ["ALTER TABLE kinds ALTER COLUMN zip TYPE bigint USING zip::bigint"],
    ["ALTER TABLE kinds ALTER COLUMN doc TYPE jsonb USING doc::jsonb"],
    ["SET extra_float_digits = -15", "ALTER TABLE kinds ALTER COLUMN share TYPE text"],
    ["SET timezone = 'UTC'; ALTER TABLE kinds ALTER COLUMN seen TYPE timestamp"],
    ["SET timezone = 'America/Los_Angeles'; ALTER TABLE kinds ALTER COLUMN at TYPE timestamptz"],
    ["ALTER TABLE kinds ALTER COLUMN day TYPE timestamptz"],
    ["ALTER TYPE mood ADD VALUE 'lost'", "ALTER TYPE mood RENAME VALUE 'paid' TO 'void'"],
])
def test_a_type_in_which_values_are_lost(gate, steps):
    with gate.connect("mo") as mo, mo.cursor() as c:
        for text in steps[:-1]:
            c.execute(text)
        refused(c, steps[-1], "administer" if "VALUE" in steps[-1] else "destroy")
        mo.rollback()


@pytest.mark.parametrize("column, old, new", [
    ("n", "int", "bigint"), ("n", "int", "text"), ("n", "int", "numeric"), ("yes", "bool", "text"), ("at", "timestamp", "text"),
    ("seen", "timestamptz", "text"), ("day", "date", "timestamp"), ("j", "jsonb", "text"), ("u", "uuid", "varchar"),
    ("zip", "text", "varchar(9)"), ("doc", "json", "text")])
def test_a_type_in_which_values_stay(gate, column, old, new):
    before = values(gate)
    with gate.connect("mo") as mo, mo.cursor() as c:
        c.execute("SET DateStyle = 'SQL, DMY'")
        c.execute(f"ALTER TABLE kinds ALTER COLUMN {column} TYPE {new}")
        mo.commit()
        with gate.connect("dora") as dora, dora.cursor() as d:
            d.execute("SET DateStyle = 'SQL, DMY'")
            d.execute(f"ALTER TABLE kinds ALTER COLUMN {column} TYPE {old} USING {column}::{old}")
    assert values(gate) == before

# SPDX-License-Identifier: Apache-2.0
"""What guards rows, taken off by a definition that loses none: triggers, rules, the rights that a view reads with, the
expression by which a column is known to be masked, operators. Who may change tables and lose nothing must not.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md; lib/sql/kinds.c, lib/sql/alter.c.
"""
import psycopg2
import pytest

from dbgatelib import BUILDERS_BUILD, DBA_DOES_ALL, SCHEMA, DatabaseOffice, orders_documents

DOCUMENTS = orders_documents(["dba", "mover", "seer", "builder"], DBA_DOES_ALL + BUILDERS_BUILD + """\
kind: Rule
name: movers change and lose nothing
who: { roles: [mover] }
to: { resources: [orders-db] }
may: [connect, read, write, alter]
---
kind: Rule
name: seers do so, and see masks
who: { roles: [seer] }
to: { resources: [orders-db] }
may: [connect, read, write, alter]
with: { mask: [personal-info] }
""", postgres="""\
  search_path: [public, audit]
  broad: destroy
  parts:
    - { schema: audit, class: core }
    - table: public.people
      columns: [{ name: phone, mask: mobile, tags: [personal-info] }]
""")
MORE = """
CREATE TABLE people (id int PRIMARY KEY, phone text, tail text GENERATED ALWAYS AS (right(phone, 4)) STORED);
INSERT INTO people VALUES (1, '13800130001');
CREATE TABLE journal (what text);
CREATE FUNCTION journalled() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO journal VALUES (TG_TABLE_NAME || '' '' || OLD.id); RETURN NEW; END';
CREATE TABLE stock (id int, n int) PARTITION BY LIST (id);
CREATE TABLE stock_1 PARTITION OF stock FOR VALUES IN (1);
INSERT INTO stock VALUES (1, 10);
CREATE TRIGGER journalling AFTER UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION journalled();
CREATE TABLE kept (id int PRIMARY KEY);
INSERT INTO kept VALUES (1);
CREATE RULE keeping AS ON DELETE TO kept DO INSTEAD NOTHING;
CREATE VIEW mine WITH (security_invoker = true, security_barrier = true) AS SELECT * FROM kept WITH CHECK OPTION;
CREATE TYPE mood AS ENUM ('paid', 'open');
CREATE DOMAIN short AS varchar(200);
CREATE DOMAIN audit.words AS text;
CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);
CREATE COLLATION plain FROM "C";
CREATE TEXT SEARCH CONFIGURATION words (COPY = pg_catalog.simple);
CREATE STATISTICS counted ON id, n FROM stock;
CREATE INDEX stock_n ON stock (n);
"""


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS, schema=SCHEMA + MORE)
    try:
        one.person("dora", "dba")
        one.person("mo", "mover")
        one.person("sia", "seer")
        one.person("bea", "builder")
        yield one
    finally:
        one.close()


def refused(gate, name, text, word, state="42501"):
    with gate.connect(name) as it, it.cursor() as c:
        with pytest.raises(psycopg2.Error) as what:
            c.execute(text)
        assert what.value.pgcode == state and word in str(what.value), (text, what.value)


@pytest.mark.parametrize("text", [
    "ALTER TABLE kept ENABLE REPLICA RULE keeping",
    "ALTER TABLE kept ENABLE RULE keeping",
    "ALTER RULE keeping ON kept RENAME TO zz",
    "ALTER TABLE stock_1 ENABLE TRIGGER ALL",
    "ALTER TRIGGER journalling ON stock RENAME TO zz",
    "ALTER TABLE stock DETACH PARTITION stock_1",
    "ALTER VIEW mine SET (security_invoker = false)",
    "ALTER VIEW mine RESET (security_barrier)",
    "ALTER TABLE mine SET (check_option = local)",
    "ALTER OPERATOR === (int, int) SET SCHEMA audit",
    "DROP OPERATOR === (int, int)",
    "ALTER COLLATION plain RENAME TO plainer",
    "ALTER TEXT SEARCH CONFIGURATION words RENAME TO no_words",
    "ALTER TABLE people ALTER tail DROP EXPRESSION",
])
def test_what_guards_stays(gate, text):
    refused(gate, "mo", text, "is not allowed")
    with gate.connect("dora") as dora, dora.cursor() as c:
        c.execute(text)
        dora.rollback()


@pytest.mark.parametrize("text", [
    "ALTER TYPE mood RENAME TO moods", "ALTER DOMAIN short SET SCHEMA audit", "ALTER FUNCTION twice(int) RENAME TO thrice"])
def test_a_name_is_taken_as_by_drop(gate, text):
    refused(gate, "mo", text, "destroy on")
    with gate.connect("dora") as dora, dora.cursor() as c:
        c.execute(text)
        dora.rollback()


def test_no_type_comes_in_front_of_another(gate):
    for text in ("CREATE DOMAIN words AS varchar(1)", "CREATE TYPE words AS ENUM ('a')", "CREATE TYPE words AS (a text)"):
        refused(gate, "mo", text, "destroy on the object audit.words")
    with gate.connect("mo") as mo, mo.cursor() as c:
        c.execute("CREATE DOMAIN short_words AS varchar(1)")
        mo.rollback()
    with gate.connect("dora") as dora, dora.cursor() as c:
        c.execute("CREATE DOMAIN words AS varchar(1)")
        dora.rollback()


def test_large_objects_are_overwritten_by_their_number(gate):
    with gate.connect("mo") as mo, mo.cursor() as c:
        c.execute("SELECT lo_from_bytea(424242, 'kept')")
        mo.commit()
        c.execute("SELECT lo_put(424242, 0, 'k'), lowrite(lo_open(424242, 131072), 'k')")
        mo.rollback()
    for text in ("SELECT lo_put(oid, 0, 'lost') FROM pg_largeobject_metadata",
                 "SELECT lowrite(lo_open(oid, 131072), 'lost') FROM pg_largeobject_metadata"):
        refused(gate, "mo", text, "destroy on")
    assert bytes(gate.sql("SELECT lo_get(424242)")[0][0]) == b"kept"


def test_who_may_drop_a_type_may_rename_it(gate):
    with gate.connect("bea") as bea, bea.cursor() as c:
        for text in ("ALTER TYPE public.mood RENAME TO mood_old", "CREATE TYPE mood AS ENUM ('paid', 'open', 'void')",
                     "ALTER TABLE orders ADD COLUMN state mood_old DEFAULT 'paid'", "ALTER TABLE orders ALTER state DROP DEFAULT",
                     "ALTER TABLE orders ALTER state TYPE mood USING state::text::mood", "DROP TYPE public.mood_old"):
            c.execute(text)
        bea.rollback()
    refused(gate, "bea", "ALTER TYPE mood SET SCHEMA audit", "is not allowed")


@pytest.mark.parametrize("text", [
    "ALTER TYPE mood ADD VALUE 'void'", "ALTER DOMAIN short ADD CHECK (VALUE <> '')", "ALTER STATISTICS counted RENAME TO counted_2",
    "DROP STATISTICS counted", "DROP INDEX stock_n", "ALTER INDEX stock_n RENAME TO stock_m", "ALTER TABLE stock_1 SET (autovacuum_enabled = off)",
    "ALTER TABLE kept RENAME CONSTRAINT kept_pkey TO kept_key", "COMMENT ON TYPE mood IS 'of an order'"])
def test_what_developers_do_is_as_it_was(gate, text):
    with gate.connect("mo") as mo, mo.cursor() as c:
        c.execute(text)
        mo.rollback()


def test_what_is_computed_of_a_masked_column_stays_so(gate):
    with gate.connect("sia") as sia, sia.cursor() as c:
        c.execute("SELECT phone, tail FROM people")
        assert c.fetchall() == [("138****0001", "***")]
    refused(gate, "sia", "ALTER TABLE people ALTER tail DROP EXPRESSION", "", "42501")
    with gate.connect("sia") as sia, sia.cursor() as c:
        c.execute("SELECT phone, tail FROM people")
        assert c.fetchall() == [("138****0001", "***")]

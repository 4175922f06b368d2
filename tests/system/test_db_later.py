# SPDX-License-Identifier: Apache-2.0
"""Definitions by which rows or columns of others go later, by something that nobody is asked about: a key that comes with a
parent, a type that goes with the session. Whoever may change tables and lose nothing must not lose them.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md; lib/sql/alter.c, lib/sql/define.c.
"""
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
CREATE TABLE bare (LIKE orders) PARTITION BY LIST (id);
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
        c.execute("ALTER TABLE bare ATTACH PARTITION orders DEFAULT")
        mo.rollback()
        c.execute("ALTER TABLE logs DETACH PARTITION logs_1")
        mo.rollback()
    with gate.connect("dora") as dora, dora.cursor() as c:
        c.execute("ALTER TABLE run ATTACH PARTITION orders DEFAULT")
        dora.rollback()

# SPDX-License-Identifier: Apache-2.0
"""Rows of a part that may be read under a limit go into no table of another part, where nobody would count them, but by who may
export them.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md, gates/db/ruling.c.
"""
import contextlib

import psycopg2
import pytest

from dbgatelib import SCHEMA, office_of, orders_documents

DOCUMENTS = orders_documents(["clerk", "carrier"], """\
kind: Rule
name: a few of them
who: { roles: [clerk, carrier] }
to: { resources: [orders-db], classes: [core] }
may: [read]
with: { limit: { rows: 5, per: day } }
---
kind: Rule
name: works
who: { roles: [clerk, carrier] }
to: { resources: [orders-db], classes: [internal] }
may: [connect, read, write, alter]
---
kind: Rule
name: carries
who: { roles: [carrier] }
to: { resources: [orders-db] }
may: [export]
""", postgres="""\
  parts:
    - { table: public.customers, class: core }
    - { table: public.again, class: core }
""")
MORE = "CREATE TABLE taken (id int, name text); ALTER TABLE taken OWNER TO op_all; CREATE SEQUENCE numbers; ALTER SEQUENCE numbers OWNER TO op_all;"

gate = office_of(DOCUMENTS, (("lia", "clerk"), ("carl", "carrier")), schema=SCHEMA + MORE)

CARRIED = ["CREATE TABLE kept AS SELECT * FROM customers", "CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM customers", "SELECT * INTO kept FROM customers",
           "INSERT INTO taken SELECT id, name FROM customers", "UPDATE taken t SET name = c.name FROM customers c WHERE c.id = t.id AND t.id = 1",
           "CREATE MATERIALIZED VIEW kept AS SELECT id FROM customers",
           "WITH w AS (INSERT INTO taken SELECT id, name FROM customers RETURNING 1) SELECT count(*) FROM w"]


def state_of(connection, *texts):
    try:
        for text in texts:
            connection.cursor().execute(text)
    except psycopg2.Error as error:
        return error.pgcode, str(error)
    finally:
        connection.rollback()
    return None, ""


@pytest.mark.parametrize("text", CARRIED)
def test_rows_under_a_limit_are_carried_off_by_who_may_export_them(gate, text):
    with contextlib.closing(gate.connect("lia")) as lia, contextlib.closing(gate.connect("carl")) as carl:
        code, words = state_of(lia, text)
        assert code == "42501" and "export on the table public.customers" in words
        assert state_of(carl, text) == (None, "")


def test_nor_by_a_temporary_table_between(gate):
    with contextlib.closing(gate.connect("lia")) as lia:
        code, words = state_of(lia, "CREATE TEMP TABLE few AS SELECT id, name FROM customers WHERE id < 3", "INSERT INTO taken SELECT * FROM few")
        assert code == "42501" and "export" in words


@pytest.mark.parametrize("texts", [
    ["CREATE TABLE mine (id int, name text)", "CREATE TEMP TABLE few AS SELECT id, name FROM customers", "ALTER TABLE few INHERIT mine", "SELECT * FROM mine"],
    ["CREATE TEMP TABLE few () INHERITS (taken)", "INSERT INTO pg_temp.few SELECT id, name FROM customers", "SELECT * FROM taken"]])
def test_nor_by_the_name_of_a_table_that_a_temporary_one_inherits_from(gate, texts):
    with contextlib.closing(gate.connect("lia")) as lia:
        code, words = state_of(lia, *texts)
        assert code == "42501" and "inherits" in words


def test_what_stays_goes_on(gate):
    """In its own part, what is of no limit, and numbers of a sequence."""
    with contextlib.closing(gate.connect("lia")) as lia:
        for texts in (["CREATE TEMP TABLE few AS SELECT id, name FROM customers WHERE id < 3"],
                      ["INSERT INTO taken SELECT id, note FROM orders"], ["CREATE TABLE kept AS SELECT * FROM orders"],
                      ["SELECT nextval('public.numbers'), id FROM customers WHERE id = 1"]):
            assert state_of(lia, *texts) == (None, ""), texts

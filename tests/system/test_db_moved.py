# SPDX-License-Identifier: Apache-2.0
"""The catalogue by which statements are judged is that of the server they go to: a resource that gets another address or search
path, and a table that somebody keeps locked.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate", gates/db/catalogue.c.
"""
import contextlib
import time

import psycopg2
import pytest

from dbgatelib import DBA_DOES_ALL, SCHEMA, furnish, office_of, orders_documents
from officelib import wait_for
from pglib import Postgres

DOCUMENTS = orders_documents(
    ["dba", "analyst"],
    DBA_DOES_ALL + """\
kind: Rule
name: analysts see masked people
who: { roles: [analyst] }
to: { resources: [orders-db] }
may: [connect, read, write]
with: { mask: [personal-info] }
""",
    postgres="""\
  search_path: [public]
  parts:
    - table: public.customers
      class: sensitive
      columns:
        - { name: phone, mask: full, tags: [personal-info] }
""",
)


gate = office_of(DOCUMENTS, (("dora", "dba"), ("anna", "analyst")))


def change(gate, old, new):
    """Another word in the documents."""
    sam = gate.sam
    sam.fresh()
    files = sam.get("/admin/policy/documents")["files"]
    assert any(old in file["text"] for file in files), old
    moved = [{**file, "text": file["text"].replace(old, new)} for file in files]
    sam.post("/admin/policy/apply", {"files": moved, "comment": "it moves"})


def one_of(line, text):
    with line.cursor() as c:
        c.execute(text)
        return c.fetchone()[0]


def is_cut(line):
    try:
        one_of(line, "SELECT 1")
        return False
    except psycopg2.Error as error:
        return "another server or search path" in str(error) or line.closed != 0


def test_a_locked_table_hides_its_views_only(gate):
    """Somebody locks a table that a view reads; while the catalogue has to be read anew, all else goes on."""
    with contextlib.closing(gate.connect("dora")) as dora, contextlib.closing(gate.connect("dora")) as other, \
            contextlib.closing(gate.connect("anna")) as anna:
        other.autocommit = anna.autocommit = True
        assert one_of(anna, "SELECT count(*) FROM orders") == 200
        dora.cursor().execute("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
        other.cursor().execute("CREATE VIEW of_others AS SELECT 1 AS one")
        for _ in range(2):
            began = time.monotonic()
            assert one_of(other, "SELECT one FROM of_others") == 1
            assert one_of(anna, "SELECT count(*) FROM orders") == 200
            assert time.monotonic() - began < 4
            time.sleep(6)  # a look that is due finds it locked again
        dora.rollback()
        assert one_of(anna, "SELECT name FROM v_customers") == "***", "nobody knows what the view shows"
        wait_for("the view is read as it is", 15, lambda: one_of(anna, "SELECT name FROM v_customers") != "***", 0.2)
        assert one_of(anna, "SELECT tel FROM v_customers WHERE id = 1") == "***"
        other.cursor().execute("DROP VIEW of_others")


def test_a_view_too_long_to_be_taken_apart_holds_nobody_up(gate):
    """Tens of megabytes of a query's tree: nobody knows what such a view reads, so whoever may not do everything may not use it."""
    ones = ",".join("1" for _ in range(480000))
    with contextlib.closing(gate.connect("dora")) as dora, contextlib.closing(gate.connect("anna")) as anna:
        dora.autocommit = anna.autocommit = True
        for n in range(3):
            dora.cursor().execute(f"CREATE VIEW heavy{n} AS SELECT id FROM orders WHERE id IN ({ones})")
            began = time.monotonic()
            assert one_of(anna, "SELECT count(*) FROM orders") == 200
            assert time.monotonic() - began < 4
        dora.cursor().execute("CREATE VIEW above AS SELECT id FROM heavy0")
        for name in ("heavy0", "above"):
            with pytest.raises(psycopg2.Error) as what:
                one_of(anna, f"SELECT count(*) FROM {name}")
            assert what.value.pgcode == "42501"
            assert one_of(dora, f"SELECT count(*) FROM {name}") == 1
        dora.cursor().execute("DROP VIEW heavy0, heavy1, heavy2, above")
        assert one_of(anna, "SELECT count(*) FROM orders") == 200


def test_another_search_path_is_another_database(gate):
    with contextlib.closing(gate.connect("dora")) as dora:
        assert one_of(dora, "SHOW search_path") == '"public"'
        change(gate, "search_path: [public]", "search_path: [public, audit]")
        wait_for("who is there is cut", 10, lambda: is_cut(dora), 0.2)
    with contextlib.closing(gate.connect("dora")) as dora:
        assert one_of(dora, "SELECT count(*) FROM entries") == 10


def test_another_address_is_another_database(gate):
    """Where customers are, another table has the number that they have at the first server."""
    there = Postgres()
    try:
        furnish(there, ["op_all"], "CREATE TABLE first_of_all (a int); CREATE TABLE second (a int);" + SCHEMA)
        with contextlib.closing(gate.connect("anna")) as anna:
            anna.autocommit = True
            assert one_of(anna, "SELECT phone FROM customers WHERE id = 1") == "***"
            change(gate, f"127.0.0.1:{gate.pg.port}", f"127.0.0.1:{there.port}")
            wait_for("who is there is cut", 10, lambda: is_cut(anna), 0.2)
        with contextlib.closing(gate.connect("anna")) as anna:
            assert one_of(anna, "SELECT count(*) FROM second") == 0, "the new server"
            anna.rollback()
            assert one_of(anna, "SELECT phone FROM customers WHERE id = 1") == "***"
        with contextlib.closing(gate.connect("dora")) as dora:  # the other server's tables are unknown here
            dora.cursor().execute("SELECT * FROM first_of_all")
    finally:
        there.close()

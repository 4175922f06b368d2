# SPDX-License-Identifier: Apache-2.0
"""A statement runs on the rows that it was judged for: the server looks its names up when its turn comes, behind a lock or another
statement of its text, and meanwhile nobody can give them to rows of which policy says something else.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md, lib/sql/given.c, gates/db/claims.c.
"""
import contextlib
import threading
import time

import psycopg2
import pytest

import dbgatelib
from dbgatelib import DBA_DOES_ALL, SCHEMA, DatabaseOffice, orders_documents
from officelib import wait_for

DOCUMENTS = orders_documents(
    ["dba", "builder"],
    DBA_DOES_ALL + """\
kind: Rule
name: builders build
who: { roles: [builder] }
to: { resources: [orders-db], classes: [internal] }
may: [connect, read, write, alter, destroy]
---
kind: Rule
name: builders may look
who: { roles: [builder] }
to: { resources: [orders-db], classes: [core] }
may: [read]
""",
    postgres="""\
  search_path: [scr, public]
  parts:
    - { schema: audit, class: core }
    - { table: public.cust, class: core }
""",
)
MORE = """
CREATE SCHEMA scr;
CREATE TABLE public.cust (id int, what text);
INSERT INTO cust SELECT 1, 'core' FROM generate_series(1, 3);
"""
HELD = "SELECT pg_sleep(2); DELETE FROM {} WHERE id = 1"


@pytest.fixture(scope="module", params=[1, 2])
def gate(request):
    usual = dbgatelib.Office
    dbgatelib.Office = lambda extra, **more: usual(extra=extra.replace("db_workers: 1", f"db_workers: {request.param}"), **more)
    try:
        one = DatabaseOffice(DOCUMENTS, schema=SCHEMA + MORE)
    finally:
        dbgatelib.Office = usual
    try:
        one.person("dora", "dba")
        one.person("bea", "builder")
        yield one
    finally:
        one.close()


@pytest.fixture
def things(gate):
    """plain and scr.cust are hers, known to all workers, and stand before rows that are not."""
    gate.sql("CREATE TABLE public.plain (id int, what text)", "INSERT INTO plain VALUES (1, 'x')", "ALTER TABLE plain OWNER TO op_all",
             "CREATE TABLE scr.cust (id int, what text)", "INSERT INTO scr.cust VALUES (1, 'x')", "ALTER TABLE scr.cust OWNER TO op_all",
             "CREATE VIEW public.seen AS SELECT * FROM plain", "ALTER VIEW seen OWNER TO op_all", "ALTER SCHEMA scr OWNER TO op_all")
    yield
    gate.sql("DROP SCHEMA scr CASCADE", "CREATE SCHEMA scr", *[
        f"DO $$ BEGIN DROP {kind} IF EXISTS public.{name} CASCADE; EXCEPTION WHEN OTHERS THEN NULL; END $$"
        for name in ("seen", "plain", "fresh", "mine", "made", "once", "under_way", "old_plain") for kind in ("VIEW", "TABLE")])


def guarded(gate):
    return [gate.sql(f"SELECT count(*) FROM {table} WHERE what <> 'x'")[0][0] for table in ("audit.entries", "public.cust")]


def two(gate, name="bea"):
    """Two connections of hers, on two workers where there are two."""
    lines = [gate.connect(name) for _ in range(2)]
    for line in lines:
        line.autocommit = True
    return lines


def known(*lines):
    for line in lines:
        for name in ("plain", "scr.cust", "seen"):
            wait_for(f"{name} is known", 15, lambda name=name, line=line: fine(line, f"DELETE FROM {name} WHERE id = 7"), 0.1)


def fine(line, text):
    try:
        line.cursor().execute(text)
        return True
    except psycopg2.Error:
        return False


def state_of(line, text):
    try:
        with line.cursor() as c:
            c.execute(text)
        return None
    except psycopg2.Error as error:
        return error.pgcode


def aside(line, text):
    """Runs it while the test goes on; the thread, and where its SQLSTATE will be."""
    found = []
    thread = threading.Thread(target=lambda: found.append(state_of(line, text)))
    thread.start()
    time.sleep(0.7)
    return thread, found


GIVEN = [  # by whoever may destroy `internal`, and only read `core`; what the other session's statement then is about
    ("plain", ["DROP VIEW seen", "DROP TABLE plain", "CREATE VIEW public.plain AS SELECT * FROM audit.entries"]),
    ("plain", ["DROP VIEW seen", "DROP TABLE plain", "CREATE VIEW mine AS SELECT * FROM audit.entries", "ALTER VIEW mine RENAME TO plain"]),
    ("plain", ["DROP VIEW seen", "DROP TABLE plain", "CREATE VIEW scr.plain AS SELECT * FROM audit.entries"]),
    ("plain", ["CREATE VIEW scr.plain AS SELECT * FROM audit.entries"]),
    ("plain", ["CREATE VIEW scr.mine AS SELECT * FROM audit.entries", "ALTER TABLE scr.mine RENAME TO plain"]),
    ("seen", ["CREATE OR REPLACE VIEW public.seen AS SELECT * FROM audit.entries"]),
    ("seen", ["DROP VIEW seen; CREATE VIEW public.seen AS SELECT * FROM audit.entries"]),
    ("cust", ["DROP TABLE scr.cust"]),
    ("cust", ["ALTER TABLE scr.cust RENAME TO other"]),
    ("cust", ["ALTER TABLE scr.cust SET SCHEMA public"]),
    ("cust", ["DROP SCHEMA scr CASCADE"]),
]


@pytest.mark.parametrize("name,steps", GIVEN, ids=range(len(GIVEN)))
@pytest.mark.parametrize("how", ["lock", "text"])
def test_nobody_gives_it_to_other_rows(gate, things, name, steps, how):
    """Behind a lock of the transaction that gives it; within a text that sleeps, while it is given by autocommit."""
    before = guarded(gate)
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        a.autocommit = how == "text"
        states, thread = [], None
        if how == "text":
            thread, found = aside(b, HELD.format(name))
        elif name == "cust":
            a.cursor().execute("LOCK TABLE scr.cust")
        else:
            a.cursor().execute("LOCK TABLE plain")
        if thread is None:
            thread, found = aside(b, f"DELETE FROM {name} WHERE id = 1")
        for step in steps:
            states.append(state_of(a, step))
        if how == "lock":
            (a.commit if states[-1] is None else a.rollback)()
        thread.join()
    assert guarded(gate) == before
    assert states[-1] == "42501", states




def test_a_new_name_may_show_what_one_may_read(gate, things):
    """Once; then it is a name that somebody knows."""
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        assert state_of(a, "CREATE VIEW public.once AS SELECT * FROM audit.nowhere") == "42P01"
        assert state_of(a, "CREATE VIEW public.once AS SELECT * FROM audit.entries WHERE nothing") == "42703"
        assert state_of(a, "CREATE VIEW public.once AS SELECT * FROM audit.entries") is None, "what failed has made nothing"
        wait_for("it is known", 10, lambda: fine(b, "SELECT * FROM once"), 0.1)
        assert state_of(b, "DELETE FROM once WHERE id = 1") == "42501"
        wait_for("the claim to be let go", 10, lambda: state_of(
            b, "CREATE OR REPLACE VIEW public.once AS SELECT * FROM audit.entries WHERE id = 2") == "42501", 0.1)
        assert state_of(a, "CREATE OR REPLACE VIEW public.once AS SELECT 1 AS id, 'y'::text AS what") is None
        assert state_of(a, "DROP VIEW once") is None
        assert state_of(b, "CREATE VIEW public.once AS SELECT * FROM audit.entries") == "42501"
    with contextlib.closing(gate.connect("dora")) as dora:
        assert state_of(dora, "CREATE VIEW public.once AS SELECT * FROM audit.entries") is None


@pytest.mark.parametrize("sleeps", ["CREATE TABLE public.made (id int); SELECT pg_sleep(2); DROP TABLE made; DELETE FROM made WHERE id = 1",
                                    "CREATE TEMP TABLE made (id int); SELECT pg_sleep(2); DROP TABLE made; DELETE FROM made WHERE id = 1",
                                    "SELECT pg_sleep(2); DELETE FROM made", "SELECT pg_sleep(2); DELETE FROM made WHERE id > 0"])
def test_a_name_that_somebody_makes_himself(gate, things, sleeps):
    """Who is let through by a name because it is his own is not found on a view that comes under it meanwhile."""
    before = guarded(gate)
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        assert state_of(b, "CREATE TABLE public.fresh (id int)") is None, "a session that has made things"
        thread, _ = aside(b, sleeps)
        state_of(a, "CREATE VIEW public.made AS SELECT * FROM audit.entries")
        thread.join()
    assert guarded(gate) == before


def test_a_name_that_was_claimed_is_taken_by_a_table(gate, things):
    """Who began to make a view and then makes a table of its name is judged by it: it is no new name for others."""
    before = guarded(gate)
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        a.autocommit = False
        for step in ["SAVEPOINT s", "CREATE VIEW public.claimed AS SELECT * FROM audit.entries", "ROLLBACK TO s",
                     "CREATE TEMP TABLE claimed (id int)"]:
            assert state_of(a, step) is None, step
        a.commit()
        giving = "CREATE VIEW public.claimed AS SELECT * FROM audit.entries"
        found = []
        wait_for("his claim is let go", 10, lambda: found.append(state_of(b, giving)) or found[-1] != "55P03", 0.1)
        assert found[-1] == "42501"
    assert guarded(gate) == before


def test_what_is_there_is_not_his_own(gate, things):
    """A table that is made if there is none is not taken for the session's own, when names have changed besides."""
    gate.sql("CREATE VIEW public.mine AS SELECT * FROM audit.entries", "ALTER VIEW mine OWNER TO op_all", "GRANT ALL ON audit.entries TO op_all")
    before = guarded(gate)
    with contextlib.closing(gate.connect("bea")) as a:
        a.autocommit = True
        known(a)
        wait_for("the view is known", 15, lambda: fine(a, "SELECT * FROM public.mine"), 0.1)
        text = "CREATE TABLE IF NOT EXISTS public.mine (id int); DROP SCHEMA IF EXISTS nonesuch; DELETE FROM public.mine WHERE id = 1"
        assert state_of(a, text) == "42P01", "the gate does not say of what else"
    assert guarded(gate) == before


def test_who_gives_it_is_not_overtaken(gate, things):
    """A view under a new name is under way: nobody makes anything of that name before it is over."""
    before = guarded(gate)
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        thread, found = aside(a, "SELECT pg_sleep(2); CREATE VIEW public.under_way AS SELECT * FROM audit.entries")
        assert state_of(b, "CREATE TABLE public.under_way (id int)") == "55P03"
        assert state_of(b, "CREATE TEMP TABLE under_way (id int)") == "55P03"
        assert state_of(b, "ALTER TABLE plain RENAME TO under_way") == "55P03"
        thread.join()
        assert found == [None]
        assert state_of(b, "DELETE FROM under_way WHERE id = 1") == "42501"
        wait_for("it is over", 10, lambda: state_of(b, "CREATE TABLE public.under_way (id int)") == "42P07", 0.1)
    assert guarded(gate) == before


def test_a_swap_of_tables_goes_on(gate, things):
    """As migrations do it, between names of which policy says the same."""
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        a.autocommit = False
        for step in ["CREATE TABLE public.made (id int, what text)", "INSERT INTO made SELECT * FROM plain", "DROP VIEW seen",
                     "ALTER TABLE plain RENAME TO old_plain", "ALTER TABLE made RENAME TO plain"]:
            assert state_of(a, step) is None, step
        a.commit()
        assert state_of(b, "DELETE FROM plain WHERE id = 1") is None
        assert state_of(a, "DROP TABLE old_plain; CREATE VIEW public.seen AS SELECT * FROM plain") is None
        a.commit()
        assert state_of(b, "SELECT * FROM seen") is None

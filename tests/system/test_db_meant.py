# SPDX-License-Identifier: Apache-2.0
"""A statement runs on the rows that it was judged for: the server looks its names up when its turn comes, behind a lock or another
statement of its text, and meanwhile nobody can give them to rows of which policy says something else.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md, lib/sql/given.c.
"""
import contextlib
import threading
import time

import psycopg2
import pytest

import dbgatelib
from dbgatelib import BUILDERS_BUILD, DBA_DOES_ALL, SCHEMA, DatabaseOffice, orders_documents
from officelib import wait_for

DOCUMENTS = orders_documents(
    ["dba", "builder", "warden"],
    DBA_DOES_ALL + BUILDERS_BUILD + """\
kind: Rule
name: wardens come in
who: { roles: [warden] }
to: { resources: [orders-db], classes: [internal] }
may: [connect, alter]
---
kind: Rule
name: wardens arrange what is guarded
who: { roles: [warden] }
to: { resources: [orders-db], classes: [core] }
may: [read, write, alter]
""",
    postgres="""\
  search_path: [scr, public]
  parts:
    - { schema: audit, class: core }
    - { table: public.cust, class: core }
    - { table: public.behind, class: core }
""",
)
MORE = """
CREATE SCHEMA scr;
CREATE TABLE public.cust (id int, what text);
INSERT INTO cust SELECT 1, 'core' FROM generate_series(1, 3);
CREATE TABLE public.behind AS SELECT * FROM cust;
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
        one.person("wes", "warden")
        yield one
    finally:
        one.close()


@pytest.fixture
def things(gate):
    """plain and scr.cust are hers, known to all workers, and stand before rows that are not."""
    gate.sql("CREATE TABLE public.plain (id int, what text)", "INSERT INTO plain VALUES (1, 'x')", "ALTER TABLE plain OWNER TO op_all",
             "CREATE TABLE scr.cust (id int, what text)", "INSERT INTO scr.cust VALUES (1, 'x')", "ALTER TABLE scr.cust OWNER TO op_all",
             "CREATE VIEW public.seen AS SELECT * FROM plain", "ALTER VIEW seen OWNER TO op_all", "ALTER SCHEMA scr OWNER TO op_all",
             "CREATE VIEW public.mine AS SELECT * FROM audit.entries", "ALTER VIEW mine OWNER TO op_all",
             "CREATE VIEW scr.mine AS SELECT * FROM audit.entries", "ALTER VIEW scr.mine OWNER TO op_all")
    yield
    gate.sql("DROP SCHEMA scr CASCADE", "CREATE SCHEMA scr", *[
        f"DO $$ BEGIN DROP {kind} IF EXISTS public.{name} CASCADE; EXCEPTION WHEN OTHERS THEN NULL; END $$"
        for name in ("seen", "plain", "mine", "made", "once", "old_plain", "own") for kind in ("VIEW", "TABLE", "MATERIALIZED VIEW")])


def guarded(gate):
    return [gate.sql(f"SELECT count(*) FROM {table} WHERE what <> 'x'")[0][0] for table in ("audit.entries", "public.cust", "public.behind")]


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
    ("plain", ["DROP VIEW seen", "DROP TABLE plain", "ALTER VIEW public.mine RENAME TO plain"]),
    ("plain", ["DROP VIEW seen", "DROP TABLE plain", "CREATE VIEW scr.plain AS SELECT * FROM audit.entries"]),
    ("plain", ["CREATE VIEW scr.plain AS SELECT * FROM audit.entries"]),
    ("plain", ["ALTER TABLE scr.mine RENAME TO plain"]),
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



GUARDED_VIEW = "CREATE VIEW public.once AS SELECT * FROM audit.entries"


def test_a_view_of_what_policy_names_otherwise(gate, things):
    """Asks for the right to destroy under both, whatever its name; rows of its own do not."""
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="destroy on the table public.once is not allowed") as found:
            a.cursor().execute(GUARDED_VIEW)
        assert "A table or materialized view that is made has rows of its own." in found.value.diag.message_hint
        for other in ("CREATE OR REPLACE VIEW public.once AS SELECT * FROM audit.entries", "CREATE VIEW once AS SELECT * FROM public.mine",
                      "CREATE VIEW once AS SELECT 1 WHERE EXISTS (SELECT FROM scr.mine)", "CREATE SCHEMA more " + GUARDED_VIEW,
                      "CREATE TABLE once () INHERITS (audit.entries)"):
            assert state_of(a, other) == "42501", other
        for fine_one in ("CREATE TABLE once AS SELECT * FROM audit.entries", "DROP TABLE once",
                         "CREATE MATERIALIZED VIEW once AS SELECT * FROM audit.entries", "DROP MATERIALIZED VIEW once",
                         "CREATE VIEW once AS SELECT * FROM plain", "DROP VIEW once", "SELECT * INTO once FROM audit.entries"):
            assert state_of(a, fine_one) is None, fine_one
    with contextlib.closing(gate.connect("dora")) as dora:
        assert state_of(dora, "DROP TABLE once; " + GUARDED_VIEW) is None


def test_a_view_of_what_the_transaction_made(gate, things):
    """Is named as policy names that, though the catalogue does not have it: where both are the same it is as any change."""
    with contextlib.closing(gate.connect("wes")) as wes:
        for text in ("CREATE TABLE audit.own (id int)", "INSERT INTO audit.own VALUES (1)", "CREATE VIEW audit.own_seen AS SELECT * FROM audit.own"):
            assert state_of(wes, text) is None, text
        wes.rollback()
        for view in ("public.own_seen AS SELECT * FROM audit.own", "audit.own_seen AS SELECT * FROM audit.own, own"):
            assert state_of(wes, f"CREATE TABLE audit.own (id int); CREATE TABLE public.own (id int); CREATE VIEW {view}") == "42501", view
            wes.rollback()


BEHIND_A_NAME = [  # what one session runs late by a name that another one then gives to rows that policy names otherwise
    ([], "CREATE TABLE public.once (id int); SELECT pg_sleep(2); DROP TABLE once; DELETE FROM once WHERE id = 1", []),
    ([], "CREATE TEMP TABLE once (id int); SELECT pg_sleep(2); DROP TABLE once; DELETE FROM once WHERE id = 1", []),
    ([], "SELECT pg_sleep(2); DELETE FROM once", []),
    ([], "SELECT pg_sleep(2); DELETE FROM once WHERE id > 0", []),
    # tried before, and rolled back; a name of the session's that is gone
    (["BEGIN", "SAVEPOINT s", GUARDED_VIEW, "ROLLBACK TO s", "CREATE TEMP TABLE once (id int)", "DROP TABLE once", "COMMIT"],
     "SELECT pg_sleep(2); DELETE FROM once WHERE id = 1", []),
    # an index, and what a table makes with itself
    (["CREATE INDEX once ON plain (id)"], "SELECT pg_sleep(2); DELETE FROM public.once WHERE id = 1", ["DROP INDEX once"]),
    (["ALTER TABLE plain ADD CONSTRAINT once UNIQUE (id)"], "SELECT pg_sleep(2); DELETE FROM public.once WHERE id = 1",
     ["ALTER TABLE plain DROP CONSTRAINT once"]),
    (["CREATE SEQUENCE public.once OWNED BY plain.id"], "SELECT pg_sleep(2); DELETE FROM public.once WHERE id = 1", ["DROP SEQUENCE public.once"]),
]


@pytest.mark.parametrize("before,late,then", BEHIND_A_NAME, ids=range(len(BEHIND_A_NAME)))
def test_a_name_that_was_something_else(gate, things, before, late, then):
    guarded_before = guarded(gate)
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        for step in before:
            assert state_of(b, step) == ("42501" if step == GUARDED_VIEW else None), step
        thread, _ = aside(b, late)
        for step in then:
            assert state_of(a, step) is None, step
        assert state_of(a, GUARDED_VIEW) == "42501"
        thread.join()
    assert guarded(gate) == guarded_before


WITH_ITS_TABLE = [  # what stands in front of a table of another part goes with what nobody asks about
    (["CREATE TABLE scr.p (id int, what text) PARTITION BY LIST (id)", "CREATE TABLE scr.behind PARTITION OF scr.p DEFAULT"],
     "DROP TABLE scr.p", "42501"),
    (["CREATE TABLE scr.p (id int CONSTRAINT behind UNIQUE)"], "ALTER TABLE scr.p DROP CONSTRAINT behind", None),
    (["CREATE TABLE scr.p (id int)", "CREATE INDEX behind ON scr.p (id)"], "ALTER TABLE scr.p DROP COLUMN id", None),
    (["CREATE TABLE scr.p (id int)", "CREATE SEQUENCE scr.behind OWNED BY scr.p.id"], "DROP TABLE scr.p", None),
]


@pytest.mark.parametrize("before,goes,answer", WITH_ITS_TABLE, ids=range(len(WITH_ITS_TABLE)))
def test_what_comes_to_light_with_a_table(gate, things, before, goes, answer):
    guarded_before = guarded(gate)
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        gate.sql(*before, "ALTER TABLE scr.p OWNER TO op_all", *["ALTER TABLE scr.behind OWNER TO op_all"] * ("PARTITION" in before[-1]))
        for line in (a, b):
            wait_for("it is known", 15, lambda line=line: fine(line, "DELETE FROM scr.p WHERE id = 7"), 0.1)
        thread, _ = aside(b, HELD.format("behind"))
        assert state_of(a, goes) == answer
        thread.join()
    assert guarded(gate) == guarded_before


GIVEN_AWAY = [  # somebody, the name that he gives to other rows, what he then does to those that it had
    ("bea", "DROP SCHEMA IF EXISTS nonesuch", "ALTER TABLE public.leaf ADD CHECK (id < 7) NOT VALID"),
    ("bea", "DROP SCHEMA IF EXISTS nonesuch", "DELETE FROM public.cust WHERE id = 1"),
    ("wes", "CREATE TABLE child (LIKE audit.entries)", "ALTER TABLE child INHERIT audit.entries"),
]


@pytest.mark.parametrize("name,gives,does", GIVEN_AWAY, ids=range(len(GIVEN_AWAY)))
def test_a_name_that_was_given_away_is_also_what_it_was(gate, things, name, gives, does):
    """What the catalogue has there is asked about: a partition is what its parent is, whatever its name."""
    gate.sql("CREATE TABLE audit.tree (id int) PARTITION BY LIST (id)", "CREATE TABLE public.leaf PARTITION OF audit.tree DEFAULT",
             "ALTER TABLE audit.tree OWNER TO op_all", "ALTER TABLE leaf OWNER TO op_all")
    before = guarded(gate)
    try:
        with contextlib.closing(gate.connect(name)) as a, contextlib.closing(gate.connect("bea")) as b:
            b.autocommit = True
            wait_for("it is known", 15, lambda: state_of(b, "ALTER TABLE public.leaf ADD CHECK (id < 7) NOT VALID") == "42501", 0.1)
            assert state_of(a, gives) is None
            assert state_of(a, does) in ("42501", "42P01")
            a.rollback()
            assert state_of(a, f"{gives}; {does}") in ("42501", "42P01")
    finally:
        gate.sql("DROP TABLE audit.tree")
    assert guarded(gate) == before


def test_what_is_there_is_not_his_own(gate, things):
    """A table that is made if there is none is not taken for the session's own, when names have changed besides."""
    before = guarded(gate)
    with contextlib.closing(gate.connect("bea")) as a:
        a.autocommit = True
        known(a)
        wait_for("the view is known", 15, lambda: fine(a, "SELECT * FROM public.mine"), 0.1)
        text = "CREATE TABLE IF NOT EXISTS public.mine (id int); DROP SCHEMA IF EXISTS nonesuch; DELETE FROM public.mine WHERE id = 1"
        assert state_of(a, text) == "42P01", "the gate does not say of what else"
    assert guarded(gate) == before


MOVES = ["ALTER TABLE audit.entries RENAME TO older", "ALTER TABLE audit.entries RENAME COLUMN what TO that",
         "ALTER TABLE audit.entries SET SCHEMA audit", "ALTER TABLE public.cust RENAME what TO that",
         "ALTER TABLE public.behind INHERIT public.cust", "CREATE OR REPLACE VIEW audit.over AS SELECT id, what FROM public.behind"]


@pytest.mark.parametrize("text", MOVES)
def test_who_may_alter_gives_a_name_to_no_other_rows_of_its_part(gate, things, text):
    """What others were judged by it for rests on its columns, types and keys as well, not on policy alone."""
    gate.sql("DROP VIEW IF EXISTS audit.over", "CREATE VIEW audit.over AS SELECT id, what FROM audit.entries",
             "ALTER VIEW audit.over OWNER TO op_all")
    try:
        with contextlib.closing(gate.connect("wes")) as a:
            a.autocommit = True
            wait_for("the view is known", 15, lambda: fine(a, "SELECT 1 FROM audit.over WHERE false"), 0.1)
            assert state_of(a, text) == "42501"
            assert state_of(a, "CREATE OR REPLACE VIEW audit.over AS SELECT id, what FROM audit.entries WHERE id > 1") == "42501", "other rows"
    finally:
        gate.sql("DROP VIEW audit.over")


def test_a_swap_of_tables_goes_on(gate, things):
    """As migrations do it, between names of which policy says the same."""
    a, b = two(gate)
    with contextlib.closing(a), contextlib.closing(b):
        known(a, b)
        a.autocommit = False
        for step in ["CREATE TABLE public.made (id int, what text)", "INSERT INTO made SELECT * FROM plain", "DROP VIEW seen",
                     "ALTER TABLE plain RENAME TO old_plain", "ALTER TABLE public.made RENAME TO plain"]:
            assert state_of(a, step) is None, step
        a.commit()
        assert state_of(b, "DELETE FROM plain WHERE id = 1") is None
        assert state_of(a, "DROP TABLE old_plain; CREATE VIEW public.seen AS SELECT * FROM plain") is None
        a.commit()
        assert state_of(b, "SELECT * FROM seen") is None

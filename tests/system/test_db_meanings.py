# SPDX-License-Identifier: Apache-2.0
"""What a name stands for when it runs: the gate must not think of another cursor, prepared statement or temporary table than
the server has. Who reads more than his limit under a name has found one.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md; gates/db/names.c, gates/db/made.c.
"""
import contextlib

import pytest

from dbgatelib import SCHEMA, DatabaseOffice, orders_documents
from pgraw import SYNC, Raw, bind, execute, fields, parse

LIMIT = 20
DOCUMENTS = orders_documents(["few"], f"""\
kind: Rule
name: a few rows
who: {{ roles: [few] }}
to: {{ resources: [orders-db] }}
may: [connect, read, export, write, execute]
with: {{ limit: {{ rows: {LIMIT} }} }}
""", postgres="  functions: [{ name: public.look_around, action: read }]\n")
OPENS = """
CREATE FUNCTION look_around() RETURNS refcursor LANGUAGE plpgsql AS
$$ DECLARE c refcursor := 'c'; BEGIN OPEN c FOR SELECT * FROM orders; RETURN c; END $$;
"""


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS, schema=SCHEMA + OPENS)
    try:
        one.person("fay", "few")
        yield one
    finally:
        one.close()


@pytest.fixture
def raw(gate):
    one = Raw(gate.port, tls=None)
    assert one.log_in("fay", "orders-db", gate.password("fay"))[-1] == ("Z", b"I")
    with contextlib.closing(one):
        yield one


def rows_of(found):
    return sum(kind == "D" for kind, _ in found)


def codes_of(found):
    return [fields(body)["C"] for kind, body in found if kind == "E"]


def says(raw, *texts):
    """What each of them brought: rows, or the code of its error."""
    return [(codes_of(found) or [rows_of(found)])[-1] for found in map(raw.ask, texts)]


ALL = "SELECT * FROM orders"
OVER = "53400"  # stopped after as many rows as the limit has


def test_what_is_explained_opens_and_makes_nothing(raw):
    for plan in ("EXPLAIN DECLARE c CURSOR FOR SELECT 1", "EXPLAIN ANALYZE DECLARE c CURSOR FOR SELECT 1"):
        assert says(raw, "BEGIN", f"DECLARE c CURSOR FOR {ALL}", plan, "FETCH ALL FROM c", "ROLLBACK")[3] == OVER
    assert says(raw, "BEGIN", "EXPLAIN DECLARE n CURSOR FOR SELECT 1", "FETCH ALL FROM n", "ROLLBACK")[2] == "34000"
    assert says(raw, "EXPLAIN CREATE TEMP TABLE x AS SELECT 1", "SELECT * FROM x")[1] == "42P01"
    assert says(raw, "EXPLAIN (ANALYZE) CREATE TEMP TABLE x AS SELECT 1 AS a", "SELECT * FROM x")[1] == 1


def test_execute_runs_queries_only(raw):
    """The protocol prepares also what ends cursors and transactions, and makes and forgets names."""
    raw.send(parse("CLOSE c", "k"), parse(f"DECLARE c CURSOR FOR {ALL}", "d"), parse("COMMIT", "e"), parse("LISTEN a", "l"),
             parse("CREATE TEMP TABLE t (a int)", "t"), parse("DEALLOCATE p", "f"), parse(f"PREPARE q AS {ALL}", "p"),
             parse("EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", "x"), parse("SELECT 1 AS a", "one"), parse("EXECUTE one", "two"), SYNC)
    assert codes_of(raw.until("Z")) == []
    for name in "kdeltfpx":
        assert says(raw, "BEGIN", "DECLARE c CURSOR FOR SELECT 1", f"EXECUTE {name}", "ROLLBACK") == [0, 0, "0A000", 0], name
        raw.send(parse(f"EXECUTE {name}"), bind(), execute(), SYNC)
        assert codes_of(raw.until("Z")) == ["0A000"], name
    assert says(raw, "EXECUTE one", "EXECUTE two") == [1, 1]
    assert says(raw, "BEGIN", "DECLARE c CURSOR FOR SELECT 1", "EXECUTE k", "ROLLBACK", "BEGIN", f"DECLARE c CURSOR FOR {ALL}",
                "FETCH ALL FROM c", "ROLLBACK")[6] == OVER
    raw.send(bind("", "k"), execute(), SYNC)  # by the protocol it runs
    assert codes_of(raw.until("Z")) == ["34000"]


def test_discard_temp_leaves_what_cursors_hold(raw):
    assert says(raw, f"DISCARD TEMP; CREATE TEMP TABLE x AS {ALL}", "CREATE TEMP TABLE IF NOT EXISTS x (a int)", "SELECT * FROM x")[2] == OVER
    assert says(raw, "DISCARD ALL", f"CREATE TEMP TABLE t AS {ALL}", "BEGIN", "DECLARE h CURSOR WITH HOLD FOR SELECT * FROM t", "COMMIT",
                "DISCARD TEMP", "CREATE TEMP TABLE t (a int)", "FETCH ALL FROM h")[7] == OVER
    assert says(raw, "DISCARD ALL", "CREATE TEMP TABLE t AS SELECT generate_series(1, 50)", "SELECT * FROM t", "FETCH ALL FROM h") == [
        0, 0, 50, "34000"]


def test_prepare_stays_when_its_transaction_fails_behind_it(raw):
    assert says(raw, "CREATE TEMP TABLE d (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)", "SELECT 1/0; PREPARE p AS SELECT 1 AS a") == [0, "22012"]
    raw.send(parse("INSERT INTO d VALUES (1), (1)"), bind(), execute())
    assert says(raw, f"PREPARE p AS {ALL}", "EXECUTE p") == ["23505", OVER]


def test_a_cursor_ends_with_its_transaction(raw):
    """A function may open another one of that name, which the gate does not know."""
    opens = ["BEGIN", "SELECT look_around()", "FETCH ALL FROM c", "ROLLBACK"]
    assert says(raw, *opens) == [0, 1, "34000", 0]
    for first in (["BEGIN", "DECLARE c CURSOR FOR SELECT 1", "COMMIT"], ["BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT"],
                  ["BEGIN", "DECLARE c CURSOR FOR SELECT 1", "ROLLBACK"]):
        assert says(raw, *first, *opens)[-2] == "34000", first
    assert says(raw, "BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1 AS a", "COMMIT", "FETCH ALL FROM c", "CLOSE c") == [0, 0, 0, 1, 0]

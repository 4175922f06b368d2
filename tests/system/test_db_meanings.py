# SPDX-License-Identifier: Apache-2.0
"""What a name stands for when it runs: the gate must not think of another cursor, prepared statement or temporary table than
the server has. Who reads more than his limit under a name has found one.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md; gates/db/names.c, gates/db/made.c.
"""
import contextlib

import pytest

from dbgatelib import SCHEMA, DatabaseOffice, orders_documents
from pgraw import SYNC, Raw, bind, execute, fields, parse, query

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


@pytest.mark.parametrize("before, code", [
    ("INSERT INTO d VALUES (1), (1)", "23505"),
    ("DECLARE h CURSOR WITH HOLD FOR SELECT 1 / (g - 5) FROM generate_series(1, 9) g", "22012")])
def test_prepare_stays_when_its_transaction_fails_behind_it(raw, before, code):
    """What the server may have is not known: it is neither run nor taken for another one of that name."""
    assert says(raw, "CREATE TEMP TABLE d (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)", "SELECT 1/0; PREPARE p AS SELECT 1 AS a") == [0, "22012"]
    raw.send(parse(before), bind(), execute())
    assert says(raw, f"PREPARE p AS {ALL}", "EXECUTE p", "PREPARE p AS SELECT 1 AS a; SELECT 1 AS a", "EXECUTE p") == [code, "26000", "42P05", "26000"]
    assert says(raw, "DEALLOCATE p", "PREPARE p AS SELECT 1 AS a", "EXECUTE p") == [0, 0, 1]


def test_a_prepare_that_is_there_already_leaves_the_first(raw):
    assert says(raw, f"PREPARE p AS {ALL}", "PREPARE p AS SELECT 1 AS a", "EXECUTE p") == [0, "42P05", OVER]
    assert says(raw, "PREPARE p AS SELECT 1 AS a; SELECT 1", "EXECUTE p", "DEALLOCATE p; PREPARE p AS SELECT 1 AS a; SELECT 1/0", "EXECUTE p",
                "DEALLOCATE p", "PREPARE p AS SELECT 1 AS a; PREPARE q AS SELECT 2 AS a", "EXECUTE p", "EXECUTE q", "DEALLOCATE p; SELECT 1",
                "EXECUTE p") == ["42P05", "26000", "22012", "26000", 0, 0, 1, 1, 1, "26000"]
    raw.send(query(f"PREPARE r AS {ALL}"), query("PREPARE r AS SELECT 1 AS a"), query("EXECUTE r"))  # in one breath
    assert [(codes_of(found) or [rows_of(found)])[-1] for found in (raw.until("Z"), raw.until("Z"), raw.until("Z"))] == [0, "42P05", OVER]


def test_a_cursor_ends_with_its_transaction(raw):
    """A function may open another one of that name, which the gate does not know."""
    opens = ["BEGIN", "SELECT look_around()", "FETCH ALL FROM c", "ROLLBACK"]
    assert says(raw, *opens) == [0, 1, "34000", 0]
    one = "DECLARE c CURSOR FOR SELECT 1"
    held = "DECLARE c CURSOR WITH HOLD FOR SELECT 1 AS a"
    for first in (["BEGIN", one, "COMMIT"], [f"BEGIN; {one}; COMMIT"], ["BEGIN", one, "ROLLBACK"], ["BEGIN", held, "ROLLBACK"],
                  ["BEGIN", held, "SELECT 1/0", "COMMIT"], ["BEGIN", f"{held}; SELECT 1/0", "ROLLBACK"]):
        assert says(raw, *first, *opens)[-2] == "34000", first
    for first in ([one, "CLOSE c; SELECT 1"], [one, "SELECT 1; CLOSE ALL"], [f"{one}; CLOSE c"], ["SAVEPOINT s", one, "ROLLBACK TO s"],
                  ["SAVEPOINT s", held, "SELECT 1/0", "ROLLBACK TO s"], [f"SAVEPOINT s; {one}; ROLLBACK TO s"],
                  ["SAVEPOINT s", one, "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s"], ["SAVEPOINT s", one, "SAVEPOINT s; RELEASE s; SELECT 1/0", "ROLLBACK TO s"],
                  [one, "COMMIT AND CHAIN"], [one, "ROLLBACK AND CHAIN"], [one, "COMMIT; BEGIN"]):
        assert says(raw, "BEGIN", *first, *opens[1:])[-2] == "34000", first
    raw.send(parse(held), bind(), execute(), parse("COMMIT"), bind(), execute(), parse("SELECT 1/0"), bind(), execute(), SYNC)
    assert codes_of(raw.until("Z")) == ["22012"]
    assert says(raw, *opens)[-2] == "34000", "a COMMIT without BEGIN commits nothing yet"


def test_a_cursor_that_is_there_can_be_read(raw):
    held = "DECLARE c CURSOR WITH HOLD FOR SELECT 1 AS a"
    for texts in (["BEGIN", held, "COMMIT", "FETCH ALL FROM c"], [held, "FETCH ALL FROM c"], [held, "BEGIN", "ROLLBACK", "FETCH ALL FROM c"],
                  ["BEGIN", "SAVEPOINT s", held, "SAVEPOINT t", "SELECT 1/0", "ROLLBACK TO t", "RELEASE s", "FETCH ALL FROM c", "COMMIT", "MOVE ABSOLUTE 0 IN c",
                   "FETCH ALL FROM c"],
                  ["BEGIN", "DECLARE c CURSOR FOR SELECT 1 AS a", "SAVEPOINT s", "CLOSE x", "ROLLBACK TO s", "FETCH ALL FROM c", "ROLLBACK"],
                  ["BEGIN", "CLOSE ALL; DECLARE c CURSOR FOR SELECT 1 AS a", "FETCH ALL FROM c", "ROLLBACK"]):
        found = says(raw, *texts)
        assert found[texts.index("FETCH ALL FROM c")] == 1 and "34000" not in found[:2] + found[-1:], (texts, found)
        says(raw, "ROLLBACK", "CLOSE c")
    for begins, texts in ((["BEGIN"], [held, "COMMIT"]), ([], [held])):
        says(raw, *begins)
        raw.send(*(piece for text in texts for piece in (parse(text), bind(), execute())), SYNC)
        assert codes_of(raw.until("Z")) == []
        assert says(raw, "FETCH ALL FROM c", "CLOSE c") == [1, 0]
    assert says(raw, "BEGIN", *(f"SAVEPOINT s{i}" for i in range(1100))) == [0] * 1101
    assert says(raw, "DECLARE c CURSOR FOR SELECT 1", "ROLLBACK TO s1099", "FETCH ALL FROM c", "ROLLBACK") == [0, 0, "34000", 0]


def test_fetch_looks_and_changes_nothing(raw):
    """A portal of the protocol that changes rows does all of it, however few are fetched."""
    for text, seen in (("SELECT id FROM orders LIMIT 3", 1), ("UPDATE orders SET note = note WHERE id < 100 RETURNING id", "0A000")):
        for move in ("FETCH 1 FROM portal", "MOVE 0 IN portal"):
            assert says(raw, "BEGIN") == [0]
            raw.send(parse(text), bind("portal"), SYNC)
            assert codes_of(raw.until("Z")) == []
            assert says(raw, move, "ROLLBACK")[0] == (0 if "MOVE" in move and seen == 1 else seen), (text, move)

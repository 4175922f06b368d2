# SPDX-License-Identifier: Apache-2.0
"""What a name stands for when it runs: the gate must not think of another cursor, prepared statement or temporary table than
the server has. Who reads more than his limit under a name has found one.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md; gates/db/names.c, gates/db/made.c.
"""
import contextlib
import time

import pytest

from dbgatelib import SCHEMA, DatabaseOffice, orders_documents
from pgraw import FLUSH, SYNC, Raw, bind, closes, describe, execute, fields, message, parse, query

LIMIT = 20
PROCEDURES = """
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE PROCEDURE rolls_back() LANGUAGE plpgsql AS $$ BEGIN ROLLBACK; END $$;
CREATE PROCEDURE nothing() LANGUAGE plpgsql AS $$ BEGIN END $$;
"""
DOCUMENTS = orders_documents(["few", "lead"], f"""\
kind: Rule
name: a few rows
who: {{ roles: [few] }}
to: {{ resources: [orders-db] }}
may: [connect, read, export, write, execute]
with: {{ limit: {{ rows: {LIMIT} }} }}
---
kind: Rule
name: others agree, of whom there are none
who: {{ roles: [few] }}
to: {{ resources: [orders-db] }}
may: [destroy]
ask: {{ approved_by: 1, by: {{ roles: [lead] }}, expires: 10m }}
with: {{ limit: {{ rows: {LIMIT} }} }}
""", postgres="  functions: [{ name: public.look_around, action: read }, { name: public.commits, action: execute }, { name: public.rolls_back, action: execute }, { name: public.nothing, action: execute }]\n").replace("databases: [orders]", "databases: [orders, latin]")
OPENS = """
CREATE FUNCTION look_around() RETURNS refcursor LANGUAGE plpgsql AS
$$ DECLARE c refcursor := 'c'; BEGIN OPEN c FOR SELECT * FROM orders; RETURN c; END $$;
"""


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS, schema=SCHEMA + OPENS + PROCEDURES)
    try:
        one.sql("CREATE DATABASE latin OWNER op_all ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
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


def in_one_write(raw, *messages):
    """What each Query and Sync of them brought together: the codes of its errors, or its rows."""
    raw.send(*messages)
    ends = sum(one[:1] in b"QS" for one in messages)
    return [codes_of(found) or rows_of(found) for found in (raw.until("Z") for _ in range(ends))]


def run(text):
    return parse(text), bind(), execute()


FORGETS_P = ("SELECT 1/0; DEALLOCATE p", "DEALLOCATE nothing; DEALLOCATE p", "SELECT 1/0; DISCARD PLANS; DEALLOCATE ALL")
ONE = "SELECT 1 AS a"


@pytest.mark.parametrize("forgets", FORGETS_P)
def test_what_the_gate_forgot_does_not_run_as_what_is_made_behind_it(raw, forgets):
    """The server has still the first one: the second fails, and may not be believed in before that is known."""
    makers = {"text": (query(f"PREPARE p AS {ONE}"),), "portal": (*run(f"PREPARE p AS {ONE}"), SYNC), "message": (parse(ONE, "p"), SYNC)}
    users = {"text": (query("EXECUTE p"),), "portal": (*run("EXECUTE p"), SYNC), "message": (bind("", "p"), execute(), SYNC),
             "explained": (query("EXPLAIN ANALYZE EXECUTE p"),)}
    for made, make in makers.items():
        for used, use in users.items():
            assert says(raw, "DEALLOCATE ALL", f"PREPARE p AS {ALL}", forgets)[:2] == [0, 0]
            assert in_one_write(raw, *make, *use) == [["42P05"], ["26000"]], (made, used)
            assert in_one_write(raw, *make, parse("EXECUTE p", ""), bind(), execute(), SYNC) == [["42P05"], ["26000"]], (made, used)
            assert in_one_write(raw, parse("EXECUTE p", f"n{made}{used}"), SYNC, query(f"EXECUTE n{made}{used}")) == [0, ["26000"]]
    assert in_one_write(raw, query("DEALLOCATE p"), query(f"PREPARE p AS {ONE}"), query("EXECUTE p"), query("EXECUTE p")) == [0, 0, 1, 1]


def test_a_cursor_that_was_forgotten_is_not_the_one_declared_behind_it(raw):
    held = f"DECLARE h CURSOR WITH HOLD FOR {ALL}"
    for make in ((query(f"DECLARE h CURSOR WITH HOLD FOR {ONE}"),), (*run(f"DECLARE h CURSOR WITH HOLD FOR {ONE}"), SYNC),
                 (query("BEGIN"), parse(ONE), bind("h"), SYNC)):
        assert says(raw, "ROLLBACK", "CLOSE ALL", held, "SELECT 1/0; CLOSE h")[2:] == [0, "22012"]
        use = (query("FETCH ALL FROM h"),) if len(make) == 1 else (*run("FETCH ALL FROM h"), SYNC)
        assert [20 < got for got in in_one_write(raw, *make, *use) if isinstance(got, int)].count(True) == 0
        assert in_one_write(raw, query("ROLLBACK"), *use)[1] == ["34000"]
    assert says(raw, "ROLLBACK", "CLOSE ALL", f"DECLARE h CURSOR WITH HOLD FOR {ONE}", "FETCH ALL FROM h") == [0, 0, 0, 1]


def test_prepare_makes_no_cursor_and_declare_no_statement(raw):
    assert says(raw, f"PREPARE p AS {ALL}", "SELECT 1/0; DEALLOCATE p", f"BEGIN; DECLARE p CURSOR FOR {ONE}; EXECUTE p", "ROLLBACK")[2] == "26000"
    assert says(raw, "BEGIN", "SELECT look_around()", f"PREPARE c AS {ONE}; FETCH ALL FROM c", "ROLLBACK")[2] == "34000"


def test_what_ends_a_name_in_its_own_text_is_seen(raw):
    cursor = f"DECLARE c CURSOR FOR {ONE}"
    for ends in ("CLOSE c", "CLOSE ALL", "COMMIT; BEGIN", "ROLLBACK; BEGIN", "ROLLBACK AND CHAIN", "ROLLBACK TO s", "DISCARD PLANS; CLOSE c"):
        for texts in (["BEGIN", "SAVEPOINT s", cursor, f"{ends}; SELECT look_around(); FETCH ALL FROM c"],
                      ["BEGIN", "SAVEPOINT s", f"{cursor}; {ends}; SELECT look_around(); FETCH ALL FROM c"]):
            assert says(raw, *texts)[-1] == "0A000", texts
            assert says(raw, "ROLLBACK") == [0]
    assert says(raw, f"PREPARE p AS {ONE}", "DEALLOCATE p; EXECUTE p", "DEALLOCATE q; EXECUTE p") == [0, "0A000", "26000"]
    assert says(raw, f"BEGIN; {cursor}; FETCH c; CLOSE c; {cursor}; FETCH c; SAVEPOINT t; FETCH c; RELEASE t; CLOSE x", "ROLLBACK")[0] == "34000"
    held = f"DECLARE h CURSOR WITH HOLD FOR {ONE}"
    assert says(raw, f"BEGIN; {held}; COMMIT; FETCH h; CLOSE h", f"BEGIN; {cursor}; COMMIT; FETCH c", f"BEGIN; {held}; ROLLBACK; FETCH h",
                f"BEGIN; {held}; COMMIT; CLOSE h; FETCH h", "COMMIT; FETCH h", "COMMIT; SELECT 1 AS a") == [1, "0A000", "0A000", "0A000", "0A000", 1]
    assert says(raw, f"DEALLOCATE ALL; PREPARE p AS {ONE}; EXECUTE p", "EXECUTE p", f"BEGIN; CLOSE ALL; {cursor}; FETCH c; COMMIT") == [1, 1, 1]


def test_what_ends_a_name_is_waited_for(raw):
    """Its end is under way: behind it a function may have opened another one."""
    cursor = f"DECLARE c CURSOR FOR {ONE}"
    look = "SELECT look_around()"
    fetch = "FETCH ALL FROM c"
    for ends in ("CLOSE c", "CLOSE ALL", "COMMIT; BEGIN", "ROLLBACK AND CHAIN", "ROLLBACK TO s"):
        assert says(raw, "BEGIN", "SAVEPOINT s", cursor) == [0, 0, 0]
        assert in_one_write(raw, query(ends), query(look), query(fetch)) == [0, 1, ["34000"]], ends
        assert says(raw, "ROLLBACK") == [0]
    for ends in (run("CLOSE c"), run("COMMIT AND CHAIN"), run("ROLLBACK TO s"), (closes("P", "c"),)):
        for made in ((), run(cursor)):
            assert says(raw, "BEGIN", *([] if made else ["SAVEPOINT s", cursor]), *(["SAVEPOINT s"] if made else []))[0] == 0
            assert in_one_write(raw, *made, *ends, *run(look), *run(fetch), SYNC) == [["34000"]], (ends, made)
            assert says(raw, "ROLLBACK") == [0]
    raw.send(parse(ONE), bind("c"), FLUSH)  # a portal ends with the transaction of its Sync
    assert [kind for kind, _ in raw.until("2")] == ["1", "2"]
    assert in_one_write(raw, SYNC, query("BEGIN"), query(look), query(fetch), query("ROLLBACK")) == [0, 0, 1, ["34000"], 0]
    assert in_one_write(raw, query("BEGIN"), query(cursor), query(fetch), query("COMMIT")) == [0, 0, 1, 0]
    assert in_one_write(raw, query("BEGIN"), *run(cursor), *run(fetch), SYNC, query(fetch), query("COMMIT")) == [0, 1, 0, 0]


def test_a_pipeline_that_was_refused_holds_nothing(raw):
    """The gate's own error ends its transaction as any other does."""
    refused = "SELECT pg_read_file('x')"
    held = f"DECLARE c CURSOR WITH HOLD FOR {ONE}"
    for messages in ((*run(held), query(refused)), (*run(held), parse(refused), SYNC), (*run(held), *run(ALL), SYNC)):
        assert all(isinstance(got, list) for got in in_one_write(raw, *messages)[:1])
        assert in_one_write(raw, query("BEGIN"), query("SELECT look_around()"), query("FETCH ALL FROM c"), query("ROLLBACK")) == [0, 1, ["34000"], 0]
    raw.send(parse(ONE), bind("c"), query(refused))  # a portal, too
    assert len(codes_of(raw.until("Z"))) == 1
    assert in_one_write(raw, query("BEGIN"), query("SELECT look_around()"), query("FETCH ALL FROM c"), query("ROLLBACK")) == [0, 1, ["34000"], 0]
    assert in_one_write(raw, parse(ONE), bind("c"), query(refused), query("BEGIN"), query("SELECT look_around()"), query("FETCH ALL FROM c"),
                        query("ROLLBACK"))[-2] == ["34000"]


def test_names_are_as_long_as_the_server_keeps_them(raw):
    """It takes the first 63 bytes of a longer one."""
    long = "n" * 63
    assert in_one_write(raw, parse(ONE, long), SYNC, parse(ONE, long + "n"), SYNC, closes("S", long + "n"), SYNC, bind("", long), execute(), SYNC,
                        bind(long + "n", long), SYNC, closes("P", long + "n"), SYNC) == [0, ["42622"], ["42622"], 1, ["42622"], ["42622"]]
    assert says(raw, f"EXECUTE {long}n", f"DEALLOCATE {long}nn", f"EXECUTE {long}") == [1, 0, "26000"]


def test_names_are_ascii_where_the_server_is_not_utf8(gate):
    """It folds and cuts other letters: what are two names here may be one there, and the other way round."""
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        assert raw.log_in("fay", "orders-db/latin", gate.password("fay"))[-1] == ("Z", b"I")
        name = "\u00e9"
        assert says(raw, f"PREPARE {name} AS {ONE}", f"BEGIN; DECLARE {name} CURSOR FOR {ONE}", "BEGIN", f"SAVEPOINT {name}", "ROLLBACK", f"EXECUTE {name}") == [
            "42622", "42622", 0, "42622", 0, "42622"]
        assert in_one_write(raw, parse(f"DEALLOCATE {name}"), SYNC, parse(ONE, name), SYNC, parse(ONE), bind(name), SYNC, closes("S", name), SYNC) == [["42622"]] * 4
        assert says(raw, f"PREPARE p AS SELECT '{name}' AS a", "EXECUTE p", f"PREPARE {'n' * 70} AS {ONE}", f"EXECUTE {'n' * 63}") == [0, 1, 0, 1]
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        assert raw.log_in("fay", "orders-db", gate.password("fay"))[-1] == ("Z", b"I")
        assert says(raw, f"PREPARE {name} AS {ONE}", f"EXECUTE {name}") == [0, 1]


def test_a_query_ends_what_has_no_name(raw):
    """A Query that fails in a transaction leaves its own portal behind, and PostgreSQL 15 dies of whoever runs or describes that."""
    bound = (parse(ONE), bind(), SYNC)
    for again in (execute(), describe(), describe("", "S"), bind(), (parse(ONE, "k"), SYNC, execute())):
        again = again if isinstance(again, tuple) else (again,)
        for awaited in (True, False):
            first = (query("BEGIN"), *bound[:2], query("ROLLBACK TO nothing"))
            if awaited:
                assert in_one_write(raw, *first) == [0, ["3B001"]]
                found = in_one_write(raw, *again, SYNC)[-1]
            else:
                found = in_one_write(raw, *first, *again, SYNC)[-1]
            assert found in (["34000"], ["26000"]), (again, awaited)
            assert says(raw, "ROLLBACK", "SELECT 1 AS a") == [0, 1]
    for text in (ONE, "", "SELECT 1/0"):
        raw.send(parse(ONE), SYNC)
        raw.until("Z")
        raw.ask(text)
        assert in_one_write(raw, bind(), execute(), SYNC) == [["26000"]], text
    assert in_one_write(raw, query(ONE), parse(ONE), bind(), execute(), SYNC, parse(ONE, "q"), bind("", "q"), execute(), SYNC) == [1, 1, 1]


TWO = "SELECT 2 AS a"


@pytest.mark.parametrize("texts, again, runs, use", [
    ([f"PREPARE p AS {ONE}", "BEGIN", (bind("x", "p"), SYNC)], ["DEALLOCATE p", f"PREPARE p AS {ALL}"], (execute("x"), SYNC), "EXECUTE p"),
    ([f"PREPARE q AS {TWO}; PREPARE p AS {ONE}"], ["DEALLOCATE p", f"PREPARE p AS {ALL}"], (bind("", "q"), execute(), SYNC), "EXECUTE p"),
    (["BEGIN", f"PREPARE p AS {ONE}; DECLARE a CURSOR FOR {ONE}"], ["DEALLOCATE p", f"PREPARE p AS {ALL}"], (execute("a"), SYNC), "EXECUTE p"),
    (["BEGIN", f"DECLARE a CURSOR FOR {ONE}; DECLARE b CURSOR FOR {TWO}"], ["CLOSE b", f"DECLARE b CURSOR FOR {ALL}"], (execute("a"), SYNC), "FETCH ALL FROM b"),
    (["BEGIN", f"PREPARE q AS {TWO}; DECLARE b CURSOR FOR {TWO}"], ["CLOSE b", f"DECLARE b CURSOR FOR {ALL}"], (bind("", "q"), execute(), SYNC), "FETCH ALL FROM b"),
    ([f"PREPARE q AS {TWO}; DEALLOCATE q; PREPARE q AS {ONE}", "BEGIN", f"DECLARE b CURSOR FOR {ALL}"], [], (bind("", "q"), execute(), SYNC), "FETCH ALL FROM b")])
def test_what_sql_prepared_runs_by_the_protocol_as_its_query_alone(raw, texts, again, runs, use):
    """Nothing else of the text that made the name runs with it: it makes and ends no names."""
    for text in [*texts, *again]:
        raw.send(*(text if isinstance(text, tuple) else (query(text),)))
        assert codes_of(raw.until("Z")) == [], text
    raw.send(*runs)
    assert rows_of(raw.until("Z")) == 1
    assert says(raw, use) == [OVER]
    says(raw, "ROLLBACK", "DEALLOCATE ALL")


def test_transactions_and_savepoints_of_a_text_are_not_of_its_query(raw):
    """They ended when the text ran, not when what it prepared runs."""
    for other, gone in (("COMMIT; BEGIN", "COMMIT"), ("ROLLBACK TO s", "ROLLBACK"), ("SAVEPOINT s", "ROLLBACK"), ("RELEASE s", "ROLLBACK"), ("CLOSE ALL", "ROLLBACK")):
        assert says(raw, "BEGIN", "SAVEPOINT s", f"{other}; PREPARE q AS {TWO}", "SAVEPOINT t", f"DECLARE b CURSOR FOR {ONE}") == [0] * 5, other
        assert in_one_write(raw, bind("", "q"), execute(), SYNC, query("FETCH ALL FROM b")) == [1, 1], other
        assert says(raw, "ROLLBACK TO t", "FETCH ALL FROM b", gone, "DEALLOCATE ALL")[1] == "34000", other
    assert says(raw, f"BEGIN; PREPARE q AS {TWO}; COMMIT") == [0]
    assert in_one_write(raw, bind("", "q"), execute(), query("UPDATE orders SET note = note WHERE id < 9 RETURNING id")) == [1 + 8], "it ended nothing now"


def test_a_cursor_is_read_in_parts_by_both_ways(raw):
    assert says(raw, "BEGIN", "DECLARE c SCROLL CURSOR FOR SELECT generate_series(1, 9) AS a") == [0, 0]
    for part in ((execute("c", 2), SYNC), (query("FETCH 2 FROM c"),), (execute("c", 2), SYNC)):
        assert in_one_write(raw, *part) == [2]
    assert says(raw, "FETCH ALL FROM c", "MOVE ABSOLUTE 0 IN c", "FETCH ALL FROM c", "COMMIT", "FETCH c") == [3, 0, 9, 0, "34000"]
    assert says(raw, "BEGIN", f"DECLARE c CURSOR FOR {ALL}") == [0, 0]
    assert in_one_write(raw, execute("c", 15), SYNC, execute("c", 15), SYNC)[1] == [OVER]
    says(raw, "ROLLBACK")


def test_what_a_prepared_statement_reads_stands_in_the_text_that_made_it(raw):
    """A temporary table that its own message made, and one that is gone since."""
    assert says(raw, f"CREATE TEMP TABLE own AS {ALL}; PREPARE p AS SELECT * FROM own", "EXECUTE p") == [0, OVER]
    raw.send(bind("", "p"), execute(), SYNC)
    assert codes_of(raw.until("Z")) == [OVER]
    assert says(raw, "DISCARD ALL", f"PREPARE p (int, numeric(3, 1)) AS {ALL} WHERE id < $1", "EXECUTE p(3, 1)", "EXECUTE p(300, 1)") == [0, 0, 2, OVER]
    raw.send(bind("", "p", ("3", "1")), execute(), bind("", "p", ("300", "1")), execute(), SYNC)
    found = raw.until("Z")
    assert rows_of(found) == 2 + LIMIT and codes_of(found) == [OVER]


def test_a_second_reading_hides_nothing(raw):
    assert says(raw, f"PREPARE p AS {ALL}", "SELECT '\\' ; EXECUTE p -- ' ; SELECT 1 -- ", "SELECT 'C:\\temp' AS a") == [0, "0A000", 1]


def test_what_failed_behind_its_commit_has_made_what_it_made(raw):
    """The older one of that name is not believed in any more."""
    held = "DECLARE c CURSOR WITH HOLD FOR"
    assert says(raw, f"{held} {ONE}; CLOSE c", f"{held} {ONE}", "SELECT 1/0; CLOSE c", f"{held} {ALL}; COMMIT; DEALLOCATE nothing", "FETCH ALL FROM c")[3:] == ["42P03", "34000"]
    assert says(raw, "CLOSE c", f"{held} {ONE}", f"CLOSE c; {held} {ALL}; COMMIT; DEALLOCATE nothing", "FETCH ALL FROM c")[2:] == ["26000", "34000"]
    assert says(raw, "CLOSE c", f"PREPARE p AS {ONE}", f"DEALLOCATE p; PREPARE p AS {ALL}; SELECT 1/0", "EXECUTE p")[2:] == ["22012", "26000"]


def test_our_own_begin_commits_no_cursor(raw):
    """A statement whose answer has a limit runs in a transaction of the gate's, which is the pipeline's where one has begun."""
    raw.send(*run(f"DECLARE c CURSOR WITH HOLD FOR {ONE}"), query("UPDATE orders SET note = (1 / (id - id))::text WHERE id = 7 RETURNING id"))
    assert codes_of(raw.until("Z")) == ["22012"]
    assert says(raw, "BEGIN", "SELECT look_around()", "FETCH ALL FROM c", "ROLLBACK") == [0, 1, "34000", 0]


def test_what_commits_on_its_way_ends_portals(raw):
    """A procedure may; so does what says CONCURRENTLY. Within a block that the client began it cannot."""
    look, fetch = run("SELECT look_around()"), run("FETCH ALL FROM c")
    raw.send(parse(ONE, "one"), bind("c", "one"), *run("CALL commits()"), *look, execute("c"), SYNC)
    assert codes_of(raw.until("Z")) == ["34000"]
    raw.send(*run(f"DECLARE c CURSOR WITH HOLD FOR {ONE}"), *run("CALL rolls_back()"), *look, *fetch, SYNC)
    assert codes_of(raw.until("Z")) == ["34000"]
    raw.send(*run(f"DECLARE c CURSOR WITH HOLD FOR {ONE}"), query("CALL rolls_back()"))
    assert codes_of(raw.until("Z")) == ["2D000"], "under a limit it runs in a transaction of the gate's"
    assert says(raw, "BEGIN", "SELECT look_around()", "FETCH ALL FROM c", "ROLLBACK") == [0, 1, "34000", 0]
    assert says(raw, "DEALLOCATE one", "BEGIN", f"DECLARE c CURSOR FOR {ONE}", "CALL nothing()", "FETCH ALL FROM c", "COMMIT") == [0, 0, 0, 0, 1, 0]


def test_names_that_are_the_gate_s_own(raw):
    assert in_one_write(raw, parse(ONE, "sallyport hold"), SYNC, query('DECLARE "sallyport hold" CURSOR WITH HOLD FOR SELECT 1'),
                        parse(f"{ONE}; SELECT 2", "two"), SYNC) == [["42939"], ["42939"], ["42601"]]


def test_texts_under_way_count(raw):
    """Of a client that sends and takes nothing, the gate keeps only so much."""
    text = "DEALLOCATE p /* " + "x" * (1 << 20 - 1) + " */"
    found = in_one_write(raw, query(f"PREPARE p AS {ONE}"), *[parse(text), bind(), execute()] * 80, SYNC)
    assert found[0] == 0 and found[1] in (["26000"], ["53200"])


def test_a_statement_has_one_name(raw):
    """PREPARE x AS SELECT ... INTO TEMP p is not about p."""
    for into in ("INTO TEMP p", "INTO pg_temp.p", "INTO TEMPORARY TABLE p", "INTO p"):
        assert says(raw, "DEALLOCATE ALL", f"PREPARE p AS {ALL}", f"PREPARE x AS SELECT 1 AS a {into}", "EXECUTE p") == [0, 0, "0A000", OVER]
    assert says(raw, f"PREPARE q AS {ONE}", "CREATE TABLE t AS EXECUTE q", "EXPLAIN ANALYZE CREATE TABLE t AS EXECUTE q") == [0, "0A000", "0A000"]


def tags_of(found):
    return [body for kind, body in found if kind == "D"] + [fields(body)["C"] for kind, body in found if kind == "E"]


def test_an_error_of_no_message_moves_no_answer(raw):
    """A statement_timeout runs on while a pipeline is not synced, and is told at the next message, whatever that is. Each answer stays
    that of its own Query: else what is judged as one row comes as another's two hundred."""
    for stray in ((message("d", b"x"),), (message("c"),), (message("f", b"x\0"),), (FLUSH,), (message("d", b"x"), FLUSH)):
        for behind in ((query(ALL),), (query(ONE), query(ALL)), (SYNC, query(ALL)), (query(ONE), SYNC, query(ALL), query(ONE)),
                       (query(ONE), query(ONE), SYNC, query(ALL))):
            says(raw, "SET statement_timeout = '150ms'")
            raw.send(parse(ONE), bind(), FLUSH)
            raw.until("2")
            time.sleep(0.3)
            raw.send(*stray, *behind, SYNC, query("SET statement_timeout = 0"), query("SELECT 'end'"))
            met = []
            while b"end" not in str(met).encode():
                found = raw.until("Z")
                assert rows_of(found) <= LIMIT, (stray, behind)
                met.append(tags_of(found))
            assert "57014" in str(met)
            assert says(raw, ONE, ALL) == [1, OVER]


def test_what_waits_in_a_pipeline_and_times_out_is_skipped_up_to_sync(raw):
    says(raw, "SET statement_timeout = '150ms'")
    raw.send(*run(f"DECLARE c CURSOR WITH HOLD FOR {ONE}"), parse(ONE), bind(), FLUSH)
    raw.until("C")
    raw.until("2")
    time.sleep(0.3)
    raw.send(FLUSH)
    assert codes_of(raw.until("E")) == ["57014"]
    raw.send(query(ONE), query(ALL), SYNC)
    assert [kind for kind, _ in raw.until("Z")] == ["Z"]
    assert says(raw, "SET statement_timeout = 0", "BEGIN", "SELECT look_around()", "FETCH ALL FROM c", "ROLLBACK") == [0, 0, 1, "34000", 0]


def test_a_time_that_is_over_when_a_query_ends_is_told_at_the_next_message(raw):
    """Also behind its ReadyForQuery: then a Flush would have no answer of its own to take it."""
    says(raw, "SET statement_timeout = '1ms'")
    blanks = query(" " * (1024 * 1024 - 100))
    for first in ((blanks, FLUSH), (blanks, FLUSH, FLUSH), (blanks, SYNC, FLUSH), (query(ONE + " " * 1000000), FLUSH)):
        for behind in ((query(ONE), query(ONE), SYNC, query(ALL)), (query(ONE), SYNC, query(ALL)), (SYNC, query(ONE), query(ALL))):
            raw.send(*first, *behind, query("SELECT 'end'"), query("SELECT 'end'"), query("SELECT 'end'"))
            sent = sum(one[:1] in b"QS" for one in (*first, *behind)) + 3
            met = [raw.until("Z") for _ in range(sent)]
            assert all(rows_of(found) <= LIMIT for found in met), (first[1:], behind)
            assert any("end" in str(tags_of(found)) for found in met)
    assert says(raw, "SET statement_timeout = 0", ONE)[1] == 1


def test_a_block_that_began_or_ended_without_a_sync(gate, raw):
    """A transaction of ours around a statement would not be what takes its changes back."""
    text = "DELETE FROM orders WHERE id BETWEEN 1 AND 100 RETURNING id"
    for first, last in (("BEGIN", "COMMIT"), (None, "BEGIN")):
        if first is not None:
            assert says(raw, first) == [0]
        raw.send(*run(last), FLUSH)
        raw.until("C")
        assert in_one_write(raw, query(text), SYNC)[0] == ["0A000"]
        says(raw, "ROLLBACK")
    assert says(raw, text)[0] in (OVER, "53400")
    raw.send(query("BEGIN"), query(text), SYNC)  # its end is under way when it is refused
    found = [codes_of(raw.until("Z")) for _ in range(3)]
    assert found[1] and says(raw, "COMMIT", "SELECT count(*) FROM orders")[1] == 1
    assert gate.sql("SELECT count(*) FROM orders")[0][0] == 200


def test_nobody_is_asked_about_what_is_refused_anyway(raw):
    text = "DELETE FROM orders RETURNING id"
    assert says(raw, text, f"{text}; COMMIT") == ["42501", "0A000"]
    raw.send(*run("BEGIN"), FLUSH)
    raw.until("C")
    assert in_one_write(raw, query(text), SYNC)[0] == ["0A000"]
    says(raw, "ROLLBACK")


def test_a_refused_query_takes_back_what_stands_before_it_in_its_pipeline(gate, raw):
    """As an error of its own does; where it is not refused, its end commits both."""
    for text, stays in (("SELECT 1/0", False), (ALL, False), (f"SELECT 1; {ALL}", False), ("SELECT * FROM orders WHERE id < 9", True), ("COPY orders TO STDOUT", False)):
        for awaited in (True, False):
            raw.send(*run("UPDATE orders SET note = 'behind' WHERE id = 1"), *([FLUSH] if awaited else []))
            if awaited:
                raw.until("C")
            found = in_one_write(raw, query(text))[0]
            assert isinstance(found, int) == stays, (text, awaited, found)
            assert gate.sql("SELECT count(*) FROM orders WHERE note = 'behind'") == [(int(stays),)], (text, awaited)
            assert says(raw, "UPDATE orders SET note = 'x' WHERE id = 1") == [0]
    raw.send(*run("UPDATE orders SET note = 'behind' WHERE id = 1"))
    assert in_one_write(raw, query(f"{ALL}; COMMIT")) == [["0A000"]]
    assert gate.sql("SELECT count(*) FROM orders WHERE note = 'behind'") == [(0,)]


def test_a_flush_before_a_transaction_of_the_gate_s(raw):
    """In one breath with it, behind what was answered."""
    text = "UPDATE orders SET note = note WHERE id < 9 RETURNING id"
    for flushes in ((FLUSH,), (FLUSH, FLUSH)):
        raw.send(parse(ONE), bind(), execute(), FLUSH)
        raw.until("C")
        assert in_one_write(raw, *flushes, query(text)) == [8]
        assert says(raw, text, text.replace("id < 9", "id < 99"), ONE) == [8, OVER, 1]

# SPDX-License-Identifier: Apache-2.0
"""Masked columns and hostile orders of messages: whatever comes before what, an answer is judged as that of its statement.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate"; PostgreSQL 15 manual, 55.2.
"""
import contextlib
import os
import signal
import socket
import time

import pytest

from dbgatelib import DatabaseOffice
from officelib import wait_for
from pgraw import SYNC, Closed, Raw, bind, codes, describe, execute, fields, message, parse, query
from test_db_masking import DOCUMENTS, told

PHONES = "SELECT phone FROM customers"
DONE = message("c")


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS.replace("export, alter]", "export, import, alter]"))
    try:
        one.person("anna", "analyst")
        yield one
    finally:
        one.close()


@pytest.fixture
def raw(gate):
    with contextlib.closing(Raw(gate.port, tls=None)) as one:
        assert one.log_in("anna", "orders-db", gate.password("anna"))[-1] == ("Z", b"I")
        one.ask("CREATE TEMP TABLE e (a int)")
        yield one


def heard(raw, ends):
    """All that comes, up to the end of that many answers or of the connection."""
    found = []
    with contextlib.suppress(Closed):
        while sum(kind == "Z" for kind, _ in found) < ends:
            found.append(raw.receive())
    return found


# ---- COPY FROM STDIN in the middle of other messages

COPY_IN = parse("COPY e FROM STDIN") + bind() + execute()
LAST = query("SELECT pg_sleep(0.3)") + query("SELECT 1")


@pytest.mark.parametrize("copy", [
    COPY_IN + DONE + SYNC, COPY_IN + SYNC + DONE + SYNC, COPY_IN + SYNC + SYNC + DONE + SYNC + SYNC,
    query("COPY e FROM STDIN") + SYNC + DONE + query("SELECT 1/0")])
def test_nothing_of_a_copy_shifts_answers(raw, copy):
    raw.send(copy, query(PHONES), LAST)
    found = heard(raw, 5 if b"1/0" in copy or copy.count(SYNC) == 4 else 4)
    assert not told(found)
    assert sum(kind == "D" for kind, _ in found) == 22, codes(found)


def messages_of(data):
    """Each message by itself."""
    while data:
        size = 1 + int.from_bytes(data[1:5], "big")
        yield data[:size]
        data = data[size:]


@pytest.mark.parametrize("copy", [COPY_IN + SYNC + message("d", b"1\n") + DONE + SYNC, COPY_IN + message("d", b"1\n") + DONE + SYNC],
                         ids=["as libpq sends it", "without the first Sync"])
def test_each_message_may_come_by_itself(raw, copy):
    """Nobody waits for what stands in another segment, and the answers stay whose they are."""
    raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in messages_of(copy + parse(PHONES) + bind() + describe() + execute() + SYNC):
        raw.send(piece)
        time.sleep(0.02)
    found = heard(raw, 2)
    assert not told(found) and codes(found) == "12GCZ12T" + "D" * 20 + "CZ"


@pytest.mark.parametrize("bad", [message("d", b"no number\n") + SYNC, message("d", b"no number\n") + DONE + SYNC,
                                 message("f", b"no more\0") + SYNC])
@pytest.mark.parametrize("pause", [0, 0.1])
def test_a_sync_behind_data_that_failed_is_answered(raw, bad, pause):
    """Whether the error or the Sync came first at the gate."""
    raw.send(COPY_IN)
    assert codes(raw.until("G")) == "12G"
    for piece in messages_of(bad) if pause else [bad]:
        raw.send(piece)
        time.sleep(pause)
    assert codes(raw.until("Z")) == "EZ"
    raw.send(parse(PHONES), bind(), describe(), execute(), SYNC)
    found = heard(raw, 1)
    assert not told(found) and codes(found) == "12T" + "D" * 20 + "CZ"


GOOD, BAD = message("d", b"1\n"), message("d", b"no number\n")


@pytest.mark.parametrize("pieces, kinds", [
    ([COPY_IN, SYNC, GOOD + DONE + SYNC], "12GCZ"), ([COPY_IN + SYNC, BAD, DONE + SYNC], "12GEZ"), ([COPY_IN + GOOD + DONE, SYNC], "12GCZ"),
    ([COPY_IN + BAD + SYNC], "12GEZ"), ([parse("COPY nothing FROM STDIN") + bind() + execute(), SYNC], "12EZ"),
    ([COPY_IN + GOOD + SYNC], "12GEZ"), ([query("COPY e FROM STDIN"), BAD], "GEZ"),
    ([query("COPY e FROM STDIN") + GOOD], "GEZ"), ([COPY_IN + BAD + DONE + SYNC + parse("SELECT 1") + bind() + execute(), SYNC], "12GEZ12DCZ")],
    ids=["good", "bad", "no first Sync", "no end", "no table", "good and no end",
         "simple, bad", "simple, no end", "more behind it"])
def test_a_server_that_reads_late(gate, raw, pieces, kinds):
    """It is stopped while the gate has all that the client sends, and goes on afterwards."""
    pid = int(next(body for kind, body in raw.ask("SELECT pg_backend_pid()") if kind == "D")[6:])
    os.kill(pid, signal.SIGSTOP)
    try:
        for piece in pieces:
            raw.send(piece)
            time.sleep(0.05)
        raw.send(parse(PHONES), bind(), describe(), execute(), SYNC)
        time.sleep(0.05)
    finally:
        os.kill(pid, signal.SIGCONT)
    found = heard(raw, kinds.count("Z") + 1)
    assert not told(found) and codes(found) == kinds + "12T" + "D" * 20 + "CZ"


def test_a_copy_that_failed_shifts_no_answers(raw):
    """The server skips to the next Sync: what is skipped gives its place to nothing."""
    raw.send(COPY_IN, SYNC)
    assert codes(raw.until("G")) == "12G"
    raw.send(message("d", b"no number\n"))
    raw.until("E")
    clean = parse("SELECT name FROM orders o JOIN customers c ON c.id = o.id") + bind() + execute() + SYNC
    raw.send(clean)
    assert codes(raw.until("Z")) == "Z"
    raw.send(parse(PHONES), bind(), describe(), execute(), SYNC)
    found = heard(raw, 1)
    assert not told(found) and codes(found) == "12T" + "D" * 20 + "CZ"


def test_two_copies_in_one_message(raw):
    raw.send(query("COPY e FROM STDIN; COPY e FROM STDIN"), message("d", b"1\n"), DONE, SYNC, message("d", b"2\n"), DONE,
             query(PHONES), query("SELECT sum(a) FROM e"))
    found = heard(raw, 3)
    assert not told(found)
    assert codes(found)[:5] == "GCGCZ" and found[-3][1].endswith(b"3"), codes(found)


def test_data_may_come_before_the_server_asks_for_it(raw):
    """As one driver of Go sends it."""
    raw.send(query("COPY e FROM STDIN"), message("d", b"1\n2\n"), DONE, query("SELECT sum(a) FROM e"))
    found = raw.until("Z") + raw.until("Z")
    assert codes(found) == "GCZTDCZ" and found[4][1].endswith(b"3")
    raw.send(query("COPY nothing FROM STDIN"), message("d", b"1\n2\n"), DONE, query("SELECT sum(a) FROM e"))
    assert codes(raw.until("Z") + raw.until("Z")) == "EZTDCZ"
    raw.send(COPY_IN, message("d", b"4\n"), DONE, SYNC, query("SELECT sum(a) FROM e"))
    found = raw.until("Z") + raw.until("Z")
    assert codes(found) == "12GCZTDCZ" and found[-3][1].endswith(b"7")


# ---- names that the server has, and those that it never made

def names(raw, *pieces):
    raw.send(*pieces, SYNC)
    return raw.until("Z")


def test_a_bind_that_failed_leaves_nothing_of_its_portal(raw):
    raw.ask("BEGIN")
    names(raw, parse(PHONES, "s1"), bind("p", "s1"))
    raw.ask("SAVEPOINT x")
    names(raw, parse("SELECT id FROM customers"))
    found = names(raw, parse("SELECT name FROM customers"), describe("", "S"), bind("p"))
    assert "E" in codes(found), "42P03"
    raw.ask("ROLLBACK TO x")
    assert not told(names(raw, execute("p")))
    raw.ask("ROLLBACK")


@pytest.mark.parametrize("make, again", [
    (parse(PHONES, "s"), "PREPARE s AS SELECT name FROM customers"),
    (query("BEGIN") + parse(PHONES, "s") + bind("p", "s"), "DECLARE p CURSOR FOR SELECT name FROM customers")])
def test_a_statement_that_made_no_name_leaves_none(raw, make, again):
    raw.send(make, SYNC)
    heard(raw, make.count(b"BEGIN") + 1)
    raw.ask("SAVEPOINT x")
    assert "E" in codes(raw.ask(again))
    raw.ask("ROLLBACK TO x")
    run = describe("p") + execute("p") if b"BEGIN" in make else bind("", "s") + describe() + execute()
    found = names(raw, run)
    assert not told(found) and codes(found).count("D") == 20, codes(found)


def test_what_a_name_stands_for_is_certain_or_nothing_runs(raw):
    """Of several statements one failed: what was prepared before it stays, and which it is the gate cannot know:
    so to the gate there is none."""
    names(raw, parse("SELECT 1", "s"))
    raw.ask("DEALLOCATE s; PREPARE s AS SELECT 2; SELECT 1/0")
    found = names(raw, bind("", "s"), execute())
    assert fields(found[0][1])["C"] == "26000"
    raw.ask("DEALLOCATE s")
    assert codes(names(raw, parse("SELECT 3", "s"), bind("", "s"), execute())) == "12DCZ"


def test_pipelines_need_not_wait_for_their_names(raw):
    raw.send(*[parse(f"SELECT {i}") + bind() + describe() + execute() + (SYNC if i % 2 else b"") for i in range(10)])
    assert codes(heard(raw, 5)) == ("12TDC" * 2 + "Z") * 5


def test_a_parse_that_was_skipped_replaces_nothing(raw):
    raw.send(parse(PHONES), SYNC, parse("SELEC"), parse("SELECT 2"), describe("", "S"), SYNC, bind(), describe(), execute(), SYNC)
    found = heard(raw, 3)
    assert codes(found) == "1ZEZ2T" + "D" * 20 + "CZ" and not told(found)


# ---- words that come late

@pytest.mark.parametrize("late", ["COMMIT", "SET CONSTRAINTS ALL IMMEDIATE", None])
def test_words_of_deferred_constraints(gate, raw, late):
    gate.sql("CREATE TABLE calls (phone text)", "GRANT ALL ON calls TO op_all",
             "ALTER TABLE customers ADD CONSTRAINT one_phone UNIQUE (phone)",
             "ALTER TABLE calls ADD CONSTRAINT known FOREIGN KEY (phone) REFERENCES customers (phone) DEFERRABLE INITIALLY DEFERRED",
             "INSERT INTO calls VALUES ('13800130007')")
    try:
        if late is None:
            raw.send(parse("DELETE FROM customers WHERE id = 7"), bind(), execute(), SYNC)
            found = raw.until("Z")
        else:
            raw.send(query("SELECT 1"), query("BEGIN"), query("DELETE FROM customers WHERE id = 7"), query(late))
            found = heard(raw, 4)
        error = fields(next(body for kind, body in found if kind == "E"))
        assert error["C"] == "23503" and not told(found), error
        assert "withheld" in error["D"]
        raw.ask("ROLLBACK")
        assert b"division by zero" in next(body for kind, body in raw.ask("SELECT 1/0") if kind == "E")
    finally:
        raw.ask("ROLLBACK")
        gate.sql("DROP TABLE calls", "ALTER TABLE customers DROP CONSTRAINT one_phone")


# ---- what the gate knows changes while an answer is under way

JOINED = "SELECT c.phone FROM customers c JOIN orders o ON o.id = c.id"


def waits_for_lock(gate):
    return gate.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'op_all'")


def was_read_since(gate, then):
    """Whether the gate's own connection has read the database anew, whole, and rests."""
    return gate.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'sallyport catalogue' AND state = 'idle'"
                    f" AND query LIKE 'BEGIN ISOLATION%' AND query_start > '{then}'")


@pytest.mark.parametrize("pieces, kinds", [
    (query(JOINED), "T" + "D" * 20 + "CZ"),
    (parse(JOINED) + bind() + describe() + execute() + SYNC, "12T" + "D" * 20 + "CZ"),
    (parse(JOINED) + describe("", "S") + bind() + execute() + SYNC, "1tT2" + "D" * 20 + "CZ")],
    ids=["simple", "portal", "prepared"])
def test_an_answer_is_masked_though_the_database_is_read_anew_meanwhile(gate, raw, pieces, kinds):
    with contextlib.closing(gate.direct("op_all")) as other, contextlib.closing(Raw(gate.port, tls=None)) as second:
        assert second.log_in("anna", "orders-db", gate.password("anna"))[-1] == ("Z", b"I")
        other.cursor().execute("LOCK TABLE orders")
        raw.send(pieces)
        wait_for("a lock that is waited for", 20, lambda: waits_for_lock(gate))
        then = gate.sql("SELECT clock_timestamp()::text")[0][0]
        assert "E" not in codes(second.ask("CREATE TABLE made_meanwhile (a int)"))
        wait_for("a new reading", 20, lambda: was_read_since(gate, then))
        other.rollback()
        found = heard(raw, 1)
        gate.sql("DROP TABLE made_meanwhile")
    assert not told(found) and codes(found) == kinds, found


CLEAN = "SELECT p.word FROM orders o JOIN plain p ON p.id = o.id"


@pytest.mark.parametrize("pieces, kinds", [
    (query(CLEAN), "T" + "D" * 20 + "CZ"),
    (parse(CLEAN) + bind() + describe() + execute() + SYNC, "12T" + "D" * 20 + "CZ"),
    (parse(CLEAN) + describe("", "S") + bind() + execute() + SYNC, "1tT2" + "D" * 20 + "CZ")],
    ids=["simple", "portal", "prepared"])
def test_masked_columns_where_none_was_in_reach(gate, raw, pieces, kinds):
    """The tables change places between the judgement and the run: the origin of a field counts, whatever was judged."""
    gate.sql("CREATE TABLE plain (id int, word text)", "INSERT INTO plain SELECT id, name FROM customers",
             "GRANT ALL ON plain TO op_all")
    try:
        wait_for("the table at the gate", 20, lambda: codes(raw.ask("SELECT word FROM plain")).startswith("TD"))
        with contextlib.closing(gate.direct("op_all")) as other:
            other.cursor().execute("LOCK TABLE orders")
            raw.send(pieces)
            wait_for("a lock that is waited for", 20, lambda: waits_for_lock(gate))
            gate.sql("BEGIN", "ALTER TABLE plain RENAME TO plain_before", "ALTER TABLE customers RENAME TO plain",
                     "ALTER TABLE plain RENAME phone TO word", "COMMIT")
            other.rollback()
        found = heard(raw, 1)
        assert not told(found) and codes(found) == kinds, found
    finally:
        gate.sql("ALTER TABLE plain RENAME word TO phone", "ALTER TABLE plain RENAME TO customers", "DROP TABLE plain_before")

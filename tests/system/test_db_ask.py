# SPDX-License-Identifier: Apache-2.0
"""Statements that wait for other people, and budgets, through the database gate.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate".
"""
import contextlib
import hashlib
import select
import socket
import struct
import threading
import time

import psycopg2
import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from officelib import wait_for
from pgraw import SYNC, Raw, bind, execute, fields, message, parse, query
from portal import Refused

DOCUMENTS = orders_documents(
    ["dba", "lead", "hasty", "sparing"],
    """\
kind: Rule
name: usual work
who: { roles: [dba, lead, hasty, sparing] }
to: { resources: [orders-db] }
may: [connect, read, write]
---
kind: Rule
name: a lead agrees before rows go
who: { roles: [dba, sparing] }
to: { resources: [orders-db], classes: [internal] }
may: [destroy, import]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
---
kind: Rule
name: two leads agree before rows of the core go
who: { roles: [dba] }
to: { resources: [orders-db], classes: [core] }
may: [destroy]
ask: { approved_by: 2, by: { roles: [lead] }, expires: 10m }
---
kind: Rule
name: the hasty agree before a table is changed
who: { roles: [dba] }
to: { resources: [orders-db] }
may: [alter]
ask: { approved_by: 1, by: { roles: [hasty] }, expires: 10m }
---
kind: Rule
name: the hasty may, within a budget
who: { roles: [hasty] }
to: { resources: [orders-db] }
may: [destroy, alter]
---
kind: Budget
name: three in ten minutes
who: { roles: [hasty] }
actions: [destroy]
per: 10m
statements: 3
then: lock
---
kind: Budget
name: one in a moment
who: { roles: [sparing] }
actions: [destroy]
per: 12s
statements: 1
then: deny
""",
    postgres="  parts: [{ table: public.dear, class: core }]\n"
             "  functions: [{ name: public.wipe, action: destroy }, { name: public.tidy, action: destroy }]\n",
)
MORE = """
CREATE TABLE cheap (id int PRIMARY KEY);
CREATE TABLE dear (id int REFERENCES cheap ON DELETE CASCADE);
INSERT INTO cheap SELECT generate_series(1, 5);
INSERT INTO dear SELECT generate_series(1, 5);
CREATE FUNCTION tidy() RETURNS int LANGUAGE sql AS 'DELETE FROM audit.entries WHERE id = 555 RETURNING 1';
"""


gate = office_of(DOCUMENTS, (("dora", "dba"), ("lena", "lead"), ("leo", "lead"), ("harry", "hasty"), ("sue", "sparing")),
                 schema=SCHEMA + MORE)


@pytest.fixture
def dora(gate):
    """Her connection; closing it also ends what still waits."""
    connection = gate.connect("dora")
    connection.autocommit = True
    yield connection
    connection.cancel()
    connection.close()
    nothing_waits(gate)


class Waiting(threading.Thread):
    """Runs a statement that waits for others."""

    def __init__(self, connection, text):
        super().__init__(daemon=True)
        self.connection, self.text, self.error, self.count = connection, text, None, None
        self.start()

    def run(self):
        try:
            with self.connection.cursor() as c:
                c.execute(self.text)
                self.count = c.rowcount
        except psycopg2.Error as error:
            self.error = error


def waiting(gate, who="lena"):
    return gate.people[who].get("/approvals?state=waiting")["items"]


def nothing_waits(gate, seconds=10):
    """What a test leaves behind is withdrawn a moment after its connection ends."""
    wait_for("the withdrawal", seconds, lambda: not waiting(gate))


def asked(gate):
    """The one question that waits: tests leave none behind."""
    return wait_for("the question", 10, lambda: len(found := waiting(gate)) == 1 and found)[0]


def answer(gate, item, verdict, who="lena", **body):
    return gate.people[who].post(f"/approvals/{item['id']}/{verdict}", {"sha256": item["sha256"], **body})


def cancel(gate, found):
    """As a client does: on a connection of its own, with the key of its log-in."""
    key = next(body for kind, body in found if kind == "K")
    with contextlib.closing(socket.create_connection(("127.0.0.1", gate.port), timeout=10)) as line:
        line.sendall(struct.pack(">II", 8 + len(key), 80877102) + key)
        assert line.recv(1) == b""


def test_waits_and_runs(gate, dora):
    run = Waiting(dora, "DELETE FROM audit.entries")
    item = asked(gate)
    assert gate.people["lena"].get(f"/approvals/{item['id']}")["statement"] == "DELETE FROM audit.entries"
    assert str(gate.sql("SELECT count(*) FROM audit.entries")) in ("10", "[(10,)]")
    answer(gate, item, "approve")
    run.join(20)
    assert run.error is None and run.count == 10
    assert any("waits until" in notice for notice in dora.notices) and any("approved" in n for n in dora.notices)
    again = Waiting(dora, "DELETE FROM audit.entries")  # an approval is for once
    answer(gate, asked(gate), "refuse", reason="enough")
    again.join(20)
    assert again.error.pgcode == "42501" and "enough" in str(again.error)
    votes = [gate.people["lena"].get(f"/approvals/{one['id']}")["votes"]
             for one in gate.people["lena"].get("/approvals")["items"][:2]]
    assert sorted((v["verdict"], v["rules"]) for (v,) in votes) == [
        ("approve", ["a lead agrees before rows go"]), ("refuse", [])]


def test_what_is_withdrawn_is_told_at_once(gate, dora):
    """By its asker in the portal, while it waits at the gate."""
    run = Waiting(dora, "DELETE FROM audit.entries WHERE true")
    item = asked(gate)
    gate.people["dora"].post(f"/approvals/{item['id']}/withdraw", {})
    run.join(3)
    assert not run.is_alive(), "it waits for ever"
    assert run.error.pgcode == "42501" and "it was withdrawn" in str(run.error), run.error
    with dora.cursor() as c:
        c.execute("SELECT 1")
        assert c.fetchone() == (1,)


def test_what_nobody_approves_in_time_does_not_run(gate, dora):
    """The client is told as soon as its time is over, and nobody can agree any more."""
    gate.sql("INSERT INTO audit.entries VALUES (1236, 'dear')")
    run = Waiting(dora, "DELETE FROM audit.entries WHERE true")
    item = asked(gate)
    gate.office.store("UPDATE ask SET expires = 1 WHERE state = 0")
    run.join(5)
    assert not run.is_alive(), "it waits for ever"
    assert run.error.pgcode == "42501" and "nobody approved it in time" in str(run.error), run.error
    assert gate.people["lena"].get(f"/approvals/{item['id']}")["state"] == "expired"
    with pytest.raises(Refused) as late:
        answer(gate, item, "approve")
    assert late.value.code == "not_waiting"
    assert gate.sql("SELECT what FROM audit.entries WHERE id = 1236") == [("dear",)]
    with dora.cursor() as c:
        c.execute("DELETE FROM audit.entries WHERE id = 1236")
        assert c.rowcount == 1, "the connection goes on"
    told = wait_for("the entry", 10, lambda: [
        e["method"] for e in gate.audrey.items("/admin/ledger/events?kind=approval&limit=50") if e["detail"]["ask"] == item["id"]])
    assert sorted(told) == ["asked", "expired"], told


def test_cancelled_while_it_waits(gate, dora):
    run = Waiting(dora, "TRUNCATE orders CASCADE")
    asked(gate)
    dora.cancel()
    run.join(20)
    assert run.error.pgcode == "57014"
    nothing_waits(gate, 5)
    with dora.cursor() as c:
        c.execute("SELECT count(*) FROM orders")
        assert c.fetchone() == (200,)


def test_all_of_a_statement_is_shown(gate, dora):
    """What others agree to is what runs: its end, its lines, and what a screen would turn around."""
    ids = ", ".join(str(n) for n in range(100000, 101000))
    text = f"DELETE FROM audit.entries WHERE true OR id IN ({ids}) -- tidy up\n OR what = 'a\u202eb\x1b[2K' OR what = 'the end'"
    run = Waiting(dora, text)
    shown = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")["statement"]
    assert shown == text.replace("\u202e", "<U+202E>").replace("\x1b", "<U+001B>")
    answer(gate, asked(gate), "refuse", reason="seen")
    run.join(20)
    run = Waiting(dora, "DELETE FROM audit.entries WHERE true OR what = '" + "x" * 100000 + "'")
    run.join(20)
    assert run.error.pgcode == "42501" and "whole" in str(run.error)


@pytest.mark.parametrize("blank, told", [("\u00a0", "<U+00A0>"), ("\u3000", "<U+3000>"), ("\u2002", "<U+2002>"), ("\u3164", "<U+3164>")])
def test_an_alias_that_looks_like_a_condition_is_none(gate, dora, blank, told):
    """The server takes every letter beyond ASCII into a name, a blank as well."""
    run = Waiting(dora, f"DELETE FROM orders o{blank}WHERE{blank}id\ua78a7")
    item = asked(gate)
    shown = gate.people["lena"].get(f"/approvals/{item['id']}")["statement"]
    answer(gate, item, "refuse")
    run.join(10)
    assert shown == f"DELETE FROM orders o{told}WHERE{told}id<U+A78A>7"


def test_all_statements_of_a_message_are_shown(gate, dora):
    """All that would run, what a screen hides too; the hash is of the bytes."""
    text = "  DELETE FROM audit.entries WHERE true;\r\n\tSELECT '\u6e05\u7406'; -- and then\n/* ; */ DELETE FROM orders WHERE true ;"
    run = Waiting(dora, text)
    item = asked(gate)
    assert gate.people["lena"].get(f"/approvals/{item['id']}")["statement"] == text.replace("\r", "<U+000D>")
    assert item["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    answer(gate, item, "refuse", reason="seen")
    run.join(20)
    assert run.error.pgcode == "42501" and gate.sql("SELECT count(*) FROM orders") == [(200,)]


@pytest.mark.parametrize("leaves", [False, True])
def test_a_copy_that_waits_is_given_up(gate, leaves):
    """Its data came behind it and is not read before others have agreed: the end of the connection is noticed all the same."""
    one = Raw(gate.port, tls=None)
    assert one.log_in("dora", "orders-db", gate.password("dora"))[-1] == ("Z", b"I")
    one.send(query("COPY audit.entries FROM STDIN"), message("d", b"901\tx\n" * 1000), message("c"))
    asked(gate)
    if leaves:
        one.close()
    else:
        one.socket.shutdown(socket.SHUT_WR)
    nothing_waits(gate)
    one.close()
    assert gate.sql("SELECT count(*) FROM audit.entries WHERE id = 901") == [(0,)]


def test_a_copy_that_waits_is_cancelled(gate):
    """What was sent behind it is thrown away, and the connection goes on."""
    with contextlib.closing(Raw(gate.port, tls=None)) as one:
        found = one.log_in("dora", "orders-db", gate.password("dora"))
        one.send(query("COPY audit.entries FROM STDIN"))
        asked(gate)
        cancel(gate, found)
        answers = one.until()
        assert [fields(body)["C"] for kind, body in answers if kind == "E"] == ["57014"], answers
        assert "G" not in [kind for kind, _ in answers] and answers[-1] == ("Z", b"I")
        nothing_waits(gate)
        # as who does not wait for CopyInResponse: by drivers that pipeline
        one.send(query("COPY audit.entries FROM STDIN"), message("d", b"902\tx\n" * 1000), message("c"))
        asked(gate)
        cancel(gate, found)
        answers = one.until()
        assert [fields(body)["C"] for kind, body in answers if kind == "E"] == ["57014"], answers
        assert one.ask("SELECT count(*) FROM audit.entries WHERE id = 902")[1] == ("D", b"\0\1\0\0\0\1" + b"0")


def test_a_copy_is_cancelled_while_its_data_flow(gate):
    with contextlib.closing(Raw(gate.port, tls=None)) as one:
        found = one.log_in("dora", "orders-db", gate.password("dora"))
        one.send(query("COPY audit.entries FROM STDIN"))
        answer(gate, asked(gate), "approve")
        one.until("G")
        one.send(*[message("d", b"%d\tx\n" % n) for n in range(903, 1903)])
        cancel(gate, found)
        more = 1903
        while not select.select([one.socket], [], [], 0.05)[0] and more < 2103:  # the server looks when it gets a row
            one.send(message("d", b"%d\tx\n" % more))
            more += 1
        answers = one.until()
        assert [fields(body)["C"] for kind, body in answers if kind == "E"] == ["57014"], answers
        one.send(message("d", b"1\tx\n"), message("c"))  # what was under way: thrown away
        assert one.ask("SELECT count(*) FROM audit.entries WHERE id > 902")[1] == ("D", b"\0\1\0\0\0\1" + b"0")
    wait_for("the entry", 10, lambda: [
        e for e in gate.audrey.items("/admin/ledger/events?gate=db&person=dora&action=import&verdict=allow&limit=50")
        if e["object"].startswith("COPY audit.entries")])


def test_nothing_is_approved_under_another_name(gate, dora):
    with dora.cursor() as c:
        c.execute("PREPARE tidy AS DELETE FROM audit.entries")
        with pytest.raises(psycopg2.Error, match="by a name") as refused:
            c.execute("EXECUTE tidy")
    assert refused.value.pgcode == "42501"
    assert not waiting(gate)


def of_orders(gate):
    return gate.sql("SELECT count(*) FROM orders")[0][0]


@pytest.mark.parametrize("within", [False, True])
def test_a_cursor_that_is_held_waits_before_it_is_declared(gate, dora, within):
    """The server runs its query to the end when the transaction commits, whoever fetches."""
    if within:
        dora.cursor().execute("BEGIN")
    run = Waiting(dora, "DECLARE h CURSOR WITH HOLD FOR SELECT wipe()")
    item = asked(gate)
    assert gate.people["lena"].get(f"/approvals/{item['id']}")["statement"] == run.text
    answer(gate, item, "refuse", reason="no")
    run.join(20)
    assert run.error.pgcode == "42501", run.error
    if within:
        dora.cursor().execute("COMMIT")
    assert of_orders(gate) == 200


def test_a_cursor_that_is_held_runs_when_others_agree(gate, dora):
    gate.sql("INSERT INTO audit.entries VALUES (555, 'old')")
    run = Waiting(dora, "DECLARE h CURSOR WITH HOLD FOR SELECT tidy()")
    answer(gate, asked(gate), "approve")
    run.join(20)
    assert run.error is None and gate.sql("SELECT count(*) FROM audit.entries WHERE id = 555") == [(0,)]


def test_a_cursor_of_code_waits_too(gate, dora):
    """One that is not held runs when it is fetched from, but the server plans it at once; and others cannot agree to a
    fetch."""
    dora.cursor().execute("BEGIN")
    run = Waiting(dora, "DECLARE f CURSOR FOR SELECT wipe()")
    answer(gate, asked(gate), "approve")
    run.join(20)
    assert run.error is None
    with pytest.raises(psycopg2.Error, match="by a name"):
        dora.cursor().execute("FETCH ALL FROM f")
    dora.cursor().execute("ROLLBACK")
    assert of_orders(gate) == 200


def test_nothing_runs_under_a_name_of_a_name(gate):
    """A prepared EXECUTE of a prepared EXECUTE, and so on, until nobody follows."""
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        assert raw.log_in("dora", "orders-db", gate.password("dora"))[-1][0] == "Z"
        raw.send(query("INSERT INTO audit.entries VALUES (77, 'dear')"))
        raw.until()
        raw.send(query("PREPARE n0 AS DELETE FROM audit.entries"))
        raw.until()
        for i in range(1, 8):
            raw.send(parse(f"EXECUTE n{i - 1}", f"n{i}"), SYNC)
            raw.until()
        for i in range(1, 8):
            for way in ((query(f"EXECUTE n{i}"),), (bind("", f"n{i}"), execute(), SYNC)):
                raw.send(*way)
                got = raw.until()
                assert [fields(body)["C"] for kind, body in got if kind == "E"] not in ([], ["XX000"]), (i, got)
    assert int(gate.sql("SELECT count(*) FROM audit.entries WHERE id = 77")[0][0]) == 1


@pytest.mark.parametrize("change, back", (
    ("ALTER TABLE audit.entries RENAME TO others; CREATE VIEW audit.entries AS SELECT * FROM orders",
     "DROP VIEW audit.entries; ALTER TABLE audit.others RENAME TO entries"),
    ("ALTER TABLE audit.entries RENAME TO others; CREATE TABLE audit.entries (LIKE audit.others);"
     "INSERT INTO audit.entries VALUES (1, 'dear')",
     "DROP TABLE audit.entries; ALTER TABLE audit.others RENAME TO entries"),
    ("CREATE TABLE audit.part (CHECK (id > 1000)) INHERITS (audit.entries)", "DROP TABLE audit.part")))
def test_a_name_that_means_something_else_by_now(gate, dora, change, back):
    """Between the question and the run the ground is changed, past the gate: others agreed to something else."""
    before = gate.sql("SELECT count(*) FROM audit.entries")
    run = Waiting(dora, "DELETE FROM audit.entries")
    item = asked(gate)
    gate.sql(*change.split(";"))
    try:
        answer(gate, item, "approve")
        run.join(20)
        assert run.error.pgcode == "42501" and "changed meanwhile" in str(run.error)
        assert gate.sql("SELECT count(*) FROM orders") == [(200,)]
    finally:
        gate.sql(*back.split(";"))
    assert gate.sql("SELECT count(*) FROM audit.entries") == before
    time.sleep(6)  # until the catalogue is that of before again


def test_a_budget_locks_the_person(gate):
    harry = gate.connect("harry")
    harry.autocommit = True
    with harry.cursor() as c:
        for n in range(3):
            c.execute(f"CREATE TABLE t{n} (a int)")
        for n in range(3):
            c.execute(f"DROP TABLE t{n}")
        c.execute("CREATE TABLE t3 (a int)")
        with pytest.raises(psycopg2.Error):
            c.execute("DROP TABLE t3")  # refused, or the person is locked before that is said
    assert "t3" in str(gate.sql("SELECT relname FROM pg_class WHERE relname = 't3'"))

    def ended():
        try:
            with harry.cursor() as c:
                c.execute("SELECT 1")
        except psycopg2.Error:
            return True
        return False
    wait_for("the end of the connection", 5, ended)


def test_what_others_agreed_to_and_did_not_run_is_asked_anew(gate):
    """Their word was used, and the budget had no room: later, when it has, the ground may be another."""
    with contextlib.closing(gate.connect("sue")) as sue:
        sue.autocommit = True
        runs = [Waiting(sue, "DELETE FROM logs")]
        answer(gate, asked(gate), "approve")
        runs[0].join(20)
        began = time.monotonic()
        runs.append(Waiting(sue, "DELETE FROM audit.entries"))
        answer(gate, asked(gate), "approve")
        runs[1].join(20)
        assert [run.error and run.error.pgcode for run in runs] == [None, "53400"]
        gate.sql("INSERT INTO audit.entries VALUES (1235, 'dear')")
        time.sleep(max(0, began + 14 - time.monotonic()))
        runs.append(Waiting(sue, "DELETE FROM audit.entries"))
        answer(gate, asked(gate), "refuse", reason="not now")
        runs[2].join(20)
        assert runs[2].error.pgcode == "42501" and "not now" in str(runs[2].error)
        assert gate.sql("SELECT what FROM audit.entries WHERE id = 1235") == [("dear",)]


@pytest.mark.parametrize("text", ["TRUNCATE cheap CASCADE", "DELETE FROM dear; DELETE FROM cheap"])
def test_rules_of_the_same_people_are_asked_as_one(gate, dora, text):
    """Where one wants more of them, so many: one lead would do for what is cheap, not for what hangs on it."""
    run = Waiting(dora, text)
    item = asked(gate)
    assert item["needed"] == 2 and item["class"] == "core", item
    answer(gate, item, "approve")
    assert asked(gate)["id"] == item["id"] and gate.sql("SELECT count(*) FROM dear") == [(5,)]
    answer(gate, item, "approve", who="leo")
    run.join(20)
    assert run.error is None, run.error
    assert gate.sql("SELECT count(*) FROM dear") == gate.sql("SELECT count(*) FROM cheap") == [(0,)]
    gate.sql("INSERT INTO cheap SELECT generate_series(1, 5)", "INSERT INTO dear SELECT generate_series(1, 5)")

# SPDX-License-Identifier: Apache-2.0
"""A client that is gone: what runs for nobody is cancelled at the server, at once; what stands behind a goodbye runs, as at a
server. The ledger says what became of it.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "When a client is gone".
"""
import contextlib
import os
import signal
import socket
import struct
import subprocess
import time

import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from officelib import wait_for
from pgraw import FLUSH, SYNC, Raw, bind, error_of, execute, message, parse, query
from portal import Refused
from test_db_ask import answer, asked, cancel, nothing_waits

DOCUMENTS = orders_documents(
    ["dba", "lead", "reader", "sweeper"],
    """\
kind: Rule
name: usual work
who: { roles: [dba, lead] }
to: { resources: [orders-db] }
may: [connect, read, write, import, export, execute]
---
kind: Rule
name: readers read a little
who: { roles: [reader] }
to: { resources: [orders-db] }
may: [connect, read, write]
with: { limit: { rows: 50 } }
---
kind: Rule
name: sweepers sweep
who: { roles: [sweeper] }
to: { resources: [orders-db] }
may: [connect, read, destroy]
---
kind: Rule
name: a lead agrees before rows go
who: { roles: [dba] }
to: { resources: [orders-db] }
may: [destroy]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
""",
    postgres="  keep_as: op_keep\n")
MORE = SCHEMA + """
CREATE TABLE counted (id int PRIMARY KEY, n int);
INSERT INTO counted VALUES (1, 0);
CREATE TABLE slow (id int);
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly();
"""
gate = office_of(DOCUMENTS, (("dora", "dba"), ("lena", "lead"), ("rita", "reader"), ("susi", "sweeper")), accounts=("op_all", "op_keep"), schema=MORE,
                 sql=["GRANT pg_read_all_data TO op_keep", "GRANT op_all TO op_keep", "ANALYZE"])
SLEEP = "SELECT pg_sleep(600)"
CHANGE = "UPDATE counted SET n = n + 1 WHERE id = 1"
LONG = "UPDATE counted SET n = n + 1 WHERE id = 1 AND pg_sleep(600) IS NOT NULL"


def running(gate):
    return gate.sql("SELECT query FROM pg_stat_activity WHERE usename = 'op_all' AND application_name IN ('dora', 'rita')")


def asleep(gate):
    return gate.sql("SELECT 1 FROM pg_stat_activity WHERE usename = 'op_all' AND wait_event IN ('PgSleep', 'Lock', 'transactionid')")


def counted(gate):
    return gate.sql("SELECT n FROM counted")[0][0]


def last_run(gate, method):
    items = gate.audrey.get("/admin/ledger/events?gate=db&person=dora&verdict=allow&limit=50")["items"]  # the newest
    return next((e for e in items if e.get("method") == method and "sqlstate" in (e.get("detail") or {})), None)


def goes(raw, how):
    """closed, half closed (it still reads), or reset."""
    if how == "half":
        raw.socket.shutdown(socket.SHUT_WR)
        return
    if how == "reset":
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


RUNS = {
    "a Query": [query(LONG)],
    "an Execute": [parse(LONG), bind(), execute(), SYNC],
    "without Sync": [parse(LONG), bind(), execute(), FLUSH],
    "without Flush": [parse(LONG), bind(), execute()],
    "in a transaction": [query("BEGIN"), query(LONG)],
    "a change behind it": [query(SLEEP), query(CHANGE)],
    "more to read behind it": [query(SLEEP)] * 5,
    "much behind it": [query(SLEEP), *[query("SELECT 1")] * 2200],
    "a long text behind it": [query(SLEEP), query(f"SELECT '{'x' * 900000}'"), query(f"SELECT '{'x' * 900000}'")],
    "a message without its end": [query(SLEEP), query(CHANGE)[:-3]],
    "a Bind without its end": [query(SLEEP), parse("SELECT $1::text"), b"B" + struct.pack(">I", 300000) + bytes(200000)],
    "COPY to it": [query("COPY (SELECT pg_sleep(600)) TO STDOUT")],
}


@pytest.mark.parametrize("how", ["closed", "half", "reset"])
@pytest.mark.parametrize("what", RUNS)
def test_what_runs_for_nobody_is_cancelled(gate, what, how):
    before = counted(gate)
    with contextlib.closing(gate.raw("dora")) as raw:
        raw.send(*RUNS[what])
        wait_for("the sleep", 10, lambda: asleep(gate))
        time.sleep(0.1)
        goes(raw, how)
        wait_for("its end", 5, lambda: not running(gate))
    assert counted(gate) == before


def test_psql_is_killed_in_the_middle(gate):
    env = {"PGPASSWORD": gate.password("dora"), "PATH": "/usr/bin:/bin", "PGSSLMODE": "require"}
    with subprocess.Popen(["psql", "-X", "-h", "127.0.0.1", "-p", str(gate.port), "-U", "dora", "-d", "orders-db", "-c", LONG],
                          env=env, stderr=subprocess.DEVNULL) as psql:
        wait_for("the sleep", 10, lambda: asleep(gate))
        psql.send_signal(signal.SIGKILL)
    wait_for("its end", 5, lambda: not running(gate))
    entry = wait_for("its entry", 20, lambda: last_run(gate, "UPDATE"))
    assert entry["verdict"] == "allow" and entry["detail"]["sqlstate"] == "57014" and not entry.get("count"), entry


def test_a_pipeline_with_its_goodbye_runs(gate):
    """All that stands in front of Terminate, however long it takes and whatever waits for what: a server does the same."""
    before = counted(gate)
    for bye in (lambda raw: raw.close(), lambda raw: raw.socket.shutdown(socket.SHUT_WR)):
        with contextlib.closing(gate.raw("dora")) as raw:
            raw.send(query(f"{CHANGE} AND pg_sleep(1) IS NOT NULL"), message("X"))
            bye(raw)
            wait_for("its end", 10, lambda: not running(gate))
    assert counted(gate) == before + 2
    with contextlib.closing(gate.raw("dora")) as raw:
        change = [parse(CHANGE), bind(), execute()]
        raw.send(query("SELECT pg_sleep(1)"), query(CHANGE), *change, *change, SYNC, query(CHANGE), message("X"))
        raw.socket.shutdown(socket.SHUT_WR)
        wait_for("its end", 10, lambda: not running(gate))
    assert counted(gate) == before + 6
    with contextlib.closing(gate.raw("rita")) as raw:
        raw.send(query(f"{CHANGE} AND pg_sleep(1) IS NOT NULL RETURNING id"), query(CHANGE), message("X"))
        raw.socket.shutdown(socket.SHUT_WR)
        wait_for("its end", 10, lambda: not running(gate))
    assert counted(gate) == before + 8, "also behind an answer that has a limit"


@pytest.mark.parametrize("text", ["COMMIT", "BEGIN; INSERT INTO slow VALUES (2); COMMIT"])
def test_an_end_under_way_comes_to_its_end(gate, text):
    """It is all but done, and nobody would know what became of it."""
    before = gate.sql("SELECT count(*) FROM slow")[0][0]
    with contextlib.closing(gate.raw("dora")) as raw:
        if text == "COMMIT":
            raw.ask("BEGIN")
            raw.ask("INSERT INTO slow VALUES (1)")
        raw.send(query(text))
        wait_for("the sleep", 10, lambda: asleep(gate))
    wait_for("its end", 10, lambda: not running(gate))
    assert gate.sql("SELECT count(*) FROM slow")[0][0] == before + 1


@pytest.mark.parametrize("torn", [b"", message("d", b"2\t2\n")[:-2], message("d", b"2\t2\n")[:-5], message("c")])
def test_a_copy_that_nobody_ends(gate, torn):
    """Its data came, and maybe its end: then it is done when that is read, or cancelled before."""
    with contextlib.closing(gate.raw("dora")) as raw:
        raw.send(query("COPY counted FROM STDIN"))
        raw.until("G")
        raw.send(message("d", b"2\t2\n"), torn)
        time.sleep(0.2)
    wait_for("its end", 5, lambda: not running(gate))
    assert gate.sql("SELECT count(*) FROM counted")[0][0] == (2 if torn == message("c") else 1)
    gate.sql("DELETE FROM counted WHERE id = 2")


@pytest.mark.parametrize("pieces", [[query("DELETE FROM counted WHERE pg_sleep(600) IS NOT NULL")],
                                    [parse("DELETE FROM counted WHERE pg_sleep(600) IS NOT NULL"), bind(), execute(), SYNC]],
                         ids=["simple", "extended"])
def test_what_others_approved_and_was_kept_is_rolled_back(gate, pieces):
    """His word is used; that it did not come to its end is told, and the keep was for nothing."""
    with contextlib.closing(gate.raw("dora")) as raw:
        raw.send(*pieces)
        answer(gate, asked(gate), "approve")
        wait_for("the sleep", 20, lambda: asleep(gate))
    wait_for("its end", 5, lambda: not running(gate))
    nothing_waits(gate)
    assert gate.sql("SELECT count(*) FROM counted") == [(1,)]
    entry = wait_for("its entry", 20, lambda: last_run(gate, "DELETE"))
    assert entry["verdict"] == "allow" and entry["detail"]["sqlstate"] == "57014", entry
    keep = gate.people["dora"].get("/keeps")["items"][0]
    with pytest.raises(Refused) as what:
        gate.people["dora"].post(f"/keeps/{keep['id']}/undo", {"reason": "back"})
    assert "was rolled back" in str(what.value)


@pytest.mark.parametrize("how", ["reset", "cancelled"])
def test_what_was_written_down_and_did_not_run_has_its_end(gate, how):
    """It stands in the ledger before it runs; whoever reads it there reads on."""
    with contextlib.closing(Raw(gate.port, tls=None, timeout=30)) as raw:
        found = raw.log_in("susi", "orders-db", gate.password("susi"))
        assert found[-1] == ("Z", b"I")
        ledger = gate.office.kill("ledger", signal.SIGSTOP)
        try:
            raw.send(query("DELETE FROM slow"))
            time.sleep(1)
            if how == "reset":
                goes(raw, how)
            else:
                cancel(gate, found)
            time.sleep(0.3)
        finally:
            os.kill(ledger, signal.SIGCONT)
        if how == "cancelled":
            assert error_of(raw.until("Z"))["C"] == "57014"

    def ends():
        items = gate.audrey.items("/admin/ledger/events?gate=db&person=susi&verdict=allow&limit=50")
        return [e["detail"].get("result") for e in items if e.get("method") == "DELETE" and "result" in (e.get("detail") or {})]

    wait_for("its end", 20, lambda: ends() == ["did not run"] * (1 if how == "reset" else 2))

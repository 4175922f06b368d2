# SPDX-License-Identifier: Apache-2.0
"""What must be on the ledger before it happens: with a ledger that stands still nothing of it reaches the server, the
session is told, and it goes on when the ledger does.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "record", docs/ARCHITECTURE.md "Events".
"""

import os
import signal
import threading
import time
from contextlib import closing

import psycopg2
import pytest

from dbgatelib import office_of
from officelib import descendants, wait_for

DOCUMENTS = """\
kind: Role
name: clerk
---
kind: Role
name: scribe
---
kind: Class
name: internal
---
kind: Class
name: weighty
above: internal
record: true
---
kind: Resource
name: orders-db
operator: company
class: internal
postgres:
  address: 127.0.0.1:{port}
  tls: loopback
  databases: [orders]
  accounts: [{ roles: [clerk, scribe], as: op_all }]
  parts:
    - { table: audit.entries, class: weighty }
---
kind: Rule
name: clerks work
who: { roles: [clerk, scribe] }
to: { resources: [orders-db] }
may: [connect, read, write, destroy]
---
kind: Budget
name: scribes write twice
who: { roles: [scribe] }
actions: [write]
per: 1h
statements: 2
then: deny
"""


gate = office_of(DOCUMENTS, [("cora", "clerk")])


class Still:
    """The ledger does not run meanwhile."""

    def __init__(self, office):
        pid = office.pid("ledger")
        self.pids = [pid, *descendants(pid)]

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)
        return self

    def __exit__(self, *_):
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)


def seen_by_server(gate):
    return gate.sql("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'UPDATE audit.entries' AND pid <> "
                    "pg_backend_pid()")[0][0]


def test_what_must_be_recorded_waits_and_then_does_not_run(gate):
    cora = gate.connect("cora")
    cora.autocommit = True
    with cora.cursor() as c:
        c.execute("UPDATE audit.entries SET what = 'before' WHERE id = 1")
        c.execute("SELECT 1")  # the server's last statement of this session
        with Still(gate.office):
            began = time.monotonic()
            with pytest.raises(psycopg2.Error) as what:
                c.execute("UPDATE audit.entries SET what = 'unrecorded' WHERE id = 1")
            took = time.monotonic() - began
            assert what.value.pgcode == "53400" and "written down" in str(what.value), what.value
            assert took < 6 and seen_by_server(gate) == 0
            with pytest.raises(psycopg2.Error):  # and from now on at once
                c.execute("DELETE FROM audit.entries")
        assert gate.sql("SELECT what FROM audit.entries WHERE id = 1") == [("before",)]
        assert gate.sql("SELECT count(*) FROM audit.entries") == [(10,)]
        end = time.monotonic() + 15
        while True:
            try:
                c.execute("UPDATE audit.entries SET what = 'after' WHERE id = 1")
                break
            except psycopg2.Error as error:
                assert error.pgcode == "53400" and time.monotonic() < end
                time.sleep(0.2)
    cora.close()
    assert gate.sql("SELECT what FROM audit.entries WHERE id = 1") == [("after",)]


def test_what_waits_for_the_disk_runs_when_it_is_there(gate):
    cora = gate.connect("cora")
    cora.autocommit = True
    errors = []

    def write():
        try:
            cora.cursor().execute("UPDATE audit.entries SET what = 'waited' WHERE id = 2")
        except psycopg2.Error as error:
            errors.append(error)

    with Still(gate.office):
        run = threading.Thread(target=write, daemon=True)
        run.start()
        time.sleep(1)
        assert run.is_alive() and seen_by_server(gate) == 0
        assert gate.sql("SELECT what FROM audit.entries WHERE id = 2") == [("entry 2",)]
    run.join(10)
    assert not errors and gate.sql("SELECT what FROM audit.entries WHERE id = 2") == [("waited",)]
    cora.close()


def test_what_could_not_be_recorded_is_not_paid(gate):
    """Neither what was cancelled while it waited for the disk, nor what was refused at the end of the wait."""
    gate.person("dora", "scribe")
    dora = gate.connect("dora")
    dora.autocommit = True

    def write():
        try:
            with dora.cursor() as c:
                c.execute("UPDATE audit.entries SET what = 'scribbled' WHERE id = 3")
        except psycopg2.Error as error:
            return error.pgcode, "written down" in str(error)
        return None

    assert write() is None
    with Still(gate.office):
        threading.Timer(0.5, dora.cancel).start()
        assert write() == ("57014", False)
        assert write() == ("53400", True)
    wait_for("the second to be written down", 15, lambda: write() != ("53400", True))
    spent = [s["statements"] for b in gate.office.people["sam"].get("/admin/databases/budgets")["budgets"] for s in b["spent"]]
    assert spent == [2], "the first and the second"
    assert write() == ("53400", False)
    dora.close()


def listed(gate, text):
    return [e for e in gate.audrey.items("/admin/ledger/events?limit=200") if text in e.get("object", "")]


def test_what_destroys_is_on_the_ledger_before_it_has_happened(gate):
    """Whatever the class says of recording: who is to be warned hears of it while it still waits at the server."""
    gate.sql("SET ROLE op_all", "CREATE TABLE doomed (id int)")
    holder = gate.direct("op_all")
    holder.cursor().execute("LOCK TABLE doomed IN ACCESS SHARE MODE")
    cora = gate.connect("cora")
    cora.autocommit = True
    run = threading.Thread(target=lambda: cora.cursor().execute("DROP TABLE doomed"), daemon=True)
    run.start()
    told = wait_for("the event", 10, lambda: listed(gate, "DROP TABLE doomed"))
    assert [(e["kind"], e["action"], e["verdict"]) for e in told] == [("decision", "destroy", "allow")]
    assert run.is_alive() and gate.sql("SELECT to_regclass('public.doomed') IS NOT NULL") == [(True,)]
    holder.rollback()
    run.join(10)
    ended = wait_for("its end", 10, lambda: [e for e in listed(gate, "DROP TABLE doomed") if e["kind"] == "close"])
    assert ended[0]["reference"] == told[0]["reference"]
    with Still(gate.office):
        with pytest.raises(psycopg2.Error) as what:
            cora.cursor().execute("DELETE FROM orders")
        assert what.value.pgcode == "53400" and gate.sql("SELECT count(*) FROM orders") == [(200,)]
    holder.close()
    cora.close()


def test_a_session_in_use_at_the_database_does_not_go_idle(gate):
    def seen():
        items = gate.sam.get("/admin/sessions?limit=100")["items"]
        return [one["seen_at"] for one in items if one["person"]["name"] == "cora"]

    with closing(gate.connect("cora")) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        before = max(seen())
        deadline = time.monotonic() + 45  # core is told twice a minute at most
        while max(seen()) <= before and time.monotonic() < deadline:
            cursor.execute("SELECT 1")
            time.sleep(0.5)
        assert max(seen()) > before

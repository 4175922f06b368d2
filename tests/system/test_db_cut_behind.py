# SPDX-License-Identifier: Apache-2.0
"""A cut cancels what the server runs. What stands behind it does not run then, however late the server sees the end of
the connection: nothing that changes anything is sent behind a Query or a Sync that has not been answered.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Looking again".
"""
import contextlib
import socket
import time

import psycopg2
import pytest

from dblib import DOCUMENTS, DatabaseOffice
from officelib import wait_for
from pgraw import SYNC, Raw, bind, execute, message, parse, query
from relay import Relay

LATE_S = 1.0
SLEEP = "SELECT pg_sleep(86400)"


@pytest.fixture(scope="module")
def db():
    relay = Relay(0)
    relay.passed = []
    relay.asked = lambda kind, body, line: relay.passed.append(kind)
    one = DatabaseOffice(documents=DOCUMENTS.replace("%(port)d", str(relay.port)), tls="loopback", workers=1)
    relay.to, relay.late_s, one.relay = one.server.port, LATE_S, relay
    try:
        one.server.sql("CREATE TABLE counted AS SELECT 1 AS id, 0 AS n", "ALTER TABLE counted OWNER TO op_dba",
                       database="orders")
        yield one
    finally:
        one.close()
        relay.close()


def running(db):
    return db.server.sql(f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{SLEEP}%' AND state = 'active'")


CHANGE = "UPDATE counted SET n = n + 1 WHERE id = 1"
BEHIND = {
    "simple": [query(SLEEP), query(CHANGE)],
    "whole": [query(SLEEP), query(f"BEGIN; {CHANGE}; COMMIT")],
    "extended": [query(SLEEP), parse(CHANGE), bind(), execute(), SYNC],
    "behind a Sync": [parse(SLEEP), bind(), execute(), SYNC, parse(CHANGE), bind(), execute(), SYNC],
    "far behind": [query(SLEEP), *[query("SELECT 1")] * 20, query(CHANGE)],
    "a commit": [query("BEGIN"), query(CHANGE), query("SAVEPOINT s"), query(SLEEP), query("ROLLBACK TO s"), query("COMMIT")],
}


@pytest.mark.parametrize("how", BEHIND)
def test_what_stands_behind_it_does_not_run(db, how):
    name = "behind" + str(list(BEHIND).index(how))
    db.person(name, ["dba"])
    with contextlib.closing(Raw(db.port)) as raw:
        assert raw.log_in(name, "orders-db", db.password(name))[-1] == ("Z", b"I")
        raw.send(*BEHIND[how])
        wait_for("the sleep", 5, lambda: running(db))
        time.sleep(0.2)
        db.people[name].sign_out()
        assert raw.ended()
    wait_for("its end", 10, lambda: not running(db))
    time.sleep(LATE_S + 0.5)
    assert db.server.sql("SELECT n FROM counted", database="orders") == [(0,)]


def test_all_of_it_runs_in_its_turn(db):
    """Also when the client has said goodbye behind it and says no more."""
    db.person("quick", ["dba"])
    with contextlib.closing(Raw(db.port)) as raw:
        assert raw.log_in("quick", "orders-db", db.password("quick"))[-1] == ("Z", b"I")
        change = [parse(CHANGE), bind(), execute()]
        raw.send(query("SELECT pg_sleep(0.5)"), query(CHANGE), *change, *change, SYNC, query("SELECT 1"), query(CHANGE))
        assert [raw.until("Z")[-2][1] for _ in range(5)] == [b"SELECT 1\0", b"UPDATE 1\0", b"UPDATE 1\0", b"SELECT 1\0", b"UPDATE 1\0"]
        raw.send(query("SELECT pg_sleep(0.5)"), query(CHANGE), *change, SYNC, message("X"))
        raw.socket.shutdown(socket.SHUT_WR)
        wait_for("the last", 10, lambda: db.server.sql("SELECT n FROM counted", database="orders") == [(6,)])


def test_changes_of_one_pipeline_go_together(db):
    """They wait for no answer among themselves: a cancel would skip the rest of them."""
    db.person("batch", ["dba"])
    with contextlib.closing(Raw(db.port)) as raw, contextlib.closing(psycopg2.connect(**db.server.dsn("orders"))) as other:
        assert raw.log_in("batch", "orders-db", db.password("batch"))[-1] == ("Z", b"I")
        other.cursor().execute("SELECT 1 FROM counted FOR UPDATE")
        del db.relay.passed[:]
        change = [parse(CHANGE), bind(), execute()]
        raw.send(*change * 10, SYNC)
        wait_for("all of them", 5, lambda: db.relay.passed.count("E") >= 10)
        other.rollback()
        assert [body for kind, body in raw.until("Z") if kind == "C"] == [b"UPDATE 1\0"] * 10

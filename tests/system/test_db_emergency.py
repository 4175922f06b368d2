# SPDX-License-Identifier: Apache-2.0
"""Emergency access to a database: opened by two, seen by all security people while it lasts, each statement on the ledger,
and over by itself: the connection is cut in the middle of what runs.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/POLICY.md "Role"; core/approvals/grants.c.
"""
import contextlib
import os
import sqlite3
import time

import psycopg2

from dbgatelib import office_of, orders_documents
from officelib import wait_for
from pgraw import Raw, fields, query

DOCUMENTS = orders_documents(["clerk", "lead"], """\
kind: Role
name: emergency
request:
  who: { roles: [clerk] }
  sealed: true
  longest: 10m
  ask: { approved_by: 2, by: { roles: [lead, security-admin] } }
---
kind: Rule
name: clerks connect
who: { roles: [clerk, lead] }
to: { resources: [orders-db] }
may: [connect]
---
kind: Rule
name: emergency access does what has to be done
who: { roles: [emergency] }
to: { resources: [orders-db] }
may: [connect, read, write]
with: { record: true }
""")


gate = office_of(DOCUMENTS, (("ann", "clerk"), ("lee", "lead"), ("sue", "security-admin")))


def approve(person, item):
    person.post(f"/approvals/{item['id']}/approve", {"sha256": item["sha256"]})


def events(gate, **words):
    return gate.audrey.items("/admin/ledger/events?limit=200&" + "&".join(f"{k}={v}" for k, v in words.items()))


def alarms(person):
    return [(a["name"], a["role"], a["ended_at"] is None, a["note_due"]) for a in person.get("/admin/alarms")["items"]]


def reads(connection):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM audit.entries")
            return cursor.fetchone() == (10,)
    except psycopg2.errors.InsufficientPrivilege:
        return False


def test_it_ends_by_itself_and_all_of_it_is_known(gate):
    ann, security = gate.people["ann"], [gate.sam, gate.people["sue"]]
    with contextlib.closing(gate.connect("ann")) as plain:
        plain.autocommit = True
        assert not reads(plain) and [alarms(one) for one in security] == [[], []]
        asked = ann.post("/grants", {"role": "emergency", "reason": "the orders are stuck", "ticket": "T-1", "duration_s": 60})
        approve(gate.people["lee"], asked)
        assert not reads(plain), "one is not enough"
        approve(gate.sam, asked)
        wait_for("emergency access", 5, lambda: reads(plain))
    assert [alarms(one) for one in security] == [[("ann", "emergency", True, False)]] * 2, "whoever opened it, and whoever did not"
    opened = events(gate, method="emergency%20access%20opened")
    opened = [e for e in opened if e.get("method") == "emergency access opened"]
    assert len(opened) == 1 and opened[0]["severity"] == "critical"

    with contextlib.closing(Raw(gate.port, tls=None, timeout=30)) as raw:
        assert raw.log_in("ann", "orders-db", gate.password("ann"))[-1] == ("Z", b"I")
        texts = [f"SELECT what FROM audit.entries WHERE id = {n}" for n in range(1, 6)]
        texts += ["UPDATE audit.entries SET what = 'mended' WHERE id = 3"]
        for text in texts:
            assert "E" not in [kind for kind, _ in raw.ask(text)], text
        raw.send(query("SELECT pg_sleep(5), what FROM audit.entries"))
        store = sqlite3.connect(os.path.join(gate.office.state, "core", "core.db"), timeout=10)
        with store:  # the hour is over
            assert store.execute("UPDATE role_grant SET until = ? WHERE ended = 0", (int(time.time()) + 1,)).rowcount == 1
        store.close()
        began = time.monotonic()
        error = fields(raw.until("E")[-1][1])
        assert error["C"] in ("57P01", "42501") and time.monotonic() - began < 10, error
    wait_for("the end", 5, lambda: "emergency" not in ann.get("/me")["person"]["roles"])
    with contextlib.closing(gate.connect("ann")) as plain:
        assert not reads(plain)

    def on_ledger():
        found = [e for e in events(gate, person="ann", verdict="allow") if e.get("object") in texts]
        return found if {e["object"] for e in found} == set(texts) else None
    found = wait_for("each statement", 10, on_ledger)
    assert {e["rule"] for e in found} == {"emergency access does what has to be done"}
    ended = [e for e in events(gate) if e.get("method") == "emergency access ended"]
    assert len(ended) == 1
    # the note about it is due before there can be another
    assert [alarms(one) for one in security] == [[("ann", "emergency", False, True)]] * 2
    grant = ann.get("/grants")["items"][0]
    assert grant["ended_by"] == "time"
    ann.post(f"/grants/{grant['id']}/note", {"note": "An entry was wrong; I mended it."})
    assert [alarms(one) for one in security] == [[], []]

# SPDX-License-Identifier: Apache-2.0
"""Who sees to it that nobody hears how many rows he changed: the connection or session is cut, or the role ends, behind a commit;
or he ends it himself, by whatever no client sends. What was done counts, and nothing else does.

The server stands behind a relay that holds its answer to a change back.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "Budget".
"""
import contextlib
import os
import socket
import struct
import time

import pytest

from dbgatelib import DatabaseOffice, orders_documents
from officelib import wait_for
from pgraw import FLUSH, SYNC, Raw, bind, error_of, execute, message, parse, query
from relay import Relay

LATE_S = 1.5
RULES = """\
kind: Rule
name: they write
who: { roles: [writer, lent, teller] }
to: { resources: [orders-db] }
may: [connect, read, write]
---
kind: Rule
name: he may connect
who: { roles: [guest] }
to: { resources: [orders-db] }
may: [connect]
---
kind: Budget
name: fifty rows
who: { roles: [writer, lent] }
actions: [write]
per: 10m
rows: 50
then: lock
---
kind: Budget
name: many rows
who: { roles: [teller] }
actions: [write]
per: 10m
rows: 100000
then: deny
"""
# planned as one row, and two hundred go
ALL = "UPDATE orders SET note = '{}' WHERE id % 1 = 0"


@pytest.fixture(scope="module")
def gate():
    relay = Relay(0)
    relay.is_late = False

    def answer(kind, body):
        if relay.is_late and kind == "C" and body.startswith(b"UPDATE"):
            time.sleep(LATE_S)

    relay.answer = answer
    documents = orders_documents(["writer", "lent", "teller", "guest"], RULES).replace("{port}", str(relay.port))
    try:
        with contextlib.closing(DatabaseOffice(documents)) as one:
            relay.to, one.relay = one.pg.port, relay
            yield one
    finally:
        relay.close()


def connected(gate, name, tls=None):
    raw = Raw(gate.port, tls=tls)
    assert raw.log_in(name, "orders-db", gate.password(name))[-1] == ("Z", b"I")
    return raw


def changed(gate, mark):
    return gate.sql(f"SELECT count(*) FROM orders WHERE note = '{mark}'")[0][0]


def spent(gate, name):
    budgets = gate.sam.get("/admin/databases/budgets")["budgets"]
    return sum(one["rows"] for budget in budgets for one in budget["spent"] if one["person"]["name"] == name)


def state_of(gate, name):
    gate.sam.fresh()
    return next(p["state"] for p in gate.sam.items("/admin/people") if p["name"] == name)


def end_connection(gate, name):
    me = gate.people[name]
    me.post(f"/me/databases/connections/{me.items('/me/databases/connections')[0]['id']}/end", {})


def sign_out(gate, name):
    gate.people[name].sign_out()


@pytest.mark.parametrize("name,ends", [("connie", end_connection), ("sonny", sign_out)])
def test_what_was_committed_before_the_cut_is_spent(gate, name, ends):
    gate.person(name, "writer")
    with contextlib.closing(connected(gate, name)) as raw:
        raw.ask("SELECT 1")
        gate.relay.is_late = True
        raw.send(query(ALL.format(name)))
        wait_for("its commit", 5, lambda: changed(gate, name) == 200)
        began = time.monotonic()
        ends(gate, name)
        assert raw.ended() and time.monotonic() - began < LATE_S / 2, "it is cut at once"
    gate.relay.is_late = False
    if ends is end_connection:
        wait_for("the lock", LATE_S + 5, lambda: state_of(gate, name) == "disabled")
    else:
        wait_for("what went", LATE_S + 5, lambda: spent(gate, name) >= 200)


def set_roles(gate, name, roles):
    gate.sam.fresh()
    number = next(p["id"] for p in gate.sam.items("/admin/people") if p["name"] == name)
    gate.sam.put(f"/admin/people/{number}/roles", {"roles": roles})


@pytest.mark.parametrize("name,behind", [("rolf", "; COMMIT; SELECT pg_sleep(20)"), ("rita", "; COMMIT")])
def test_the_budget_of_a_role_that_ended_meanwhile_is_settled(gate, name, behind):
    """By the budgets that were spent when it ran."""
    gate.person(name, "guest")
    set_roles(gate, name, ["guest", "lent"])
    gate.relay.is_late = "sleep" not in behind
    with contextlib.closing(connected(gate, name)) as raw:
        raw.send(query("BEGIN; " + ALL.format(name) + behind))
        wait_for("its commit", 5, lambda: changed(gate, name) == 200)
        set_roles(gate, name, ["guest"])
        assert raw.ended()
    wait_for("the lock", LATE_S + 5, lambda: state_of(gate, name) == "disabled")
    gate.relay.is_late = False


def reset(raw):
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


# What a person can do to his own connection. The gate says why it ends it, where it can.
ERRORS = {
    "a message of no kind": lambda raw: raw.send(b"v\0\0\0\4"),
    "a password": lambda raw: raw.send(message("p", b"x\0")),
    "an impossible length": lambda raw: raw.send(b"Q\0\0\0\1"),
    "a body too long": lambda raw: raw.send(b"D" + struct.pack(">I", 70000)),
    "a body where none is": lambda raw: raw.send(message("S", b"x")),
}
ENDS = ERRORS | {
    "TLS that does not read": lambda raw: os.write(raw.socket.fileno(), b"\x17\3\3\0\x20" + bytes(32)),
    "its half closed": lambda raw: raw.socket.shutdown(socket.SHUT_WR),
    "Terminate": lambda raw: raw.send(message("X")),
    "a reset": reset,
}


def last_run(gate, name):
    items = gate.audrey.items(f"/admin/ledger/events?gate=db&person={name}&verdict=allow&limit=50")
    return next((e for e in items if e.get("method") == "UPDATE" and e.get("detail")), None)


def asleep(gate, name):
    return gate.sql(f"SELECT 1 FROM pg_stat_activity WHERE application_name = '{name}' AND wait_event = 'PgSleep'")


@pytest.mark.parametrize("how", ENDS)
def test_what_was_committed_before_his_own_error_is_spent(gate, how):
    """As many rows as went, not all that there might have been."""
    name = "own-" + str(list(ENDS).index(how))
    gate.person(name, "teller")
    with contextlib.closing(connected(gate, name, "asked" if "TLS" in how else None)) as raw:
        raw.ask("SELECT 1")
        gate.relay.is_late = True
        raw.send(query(ALL.format(name)))
        wait_for("its commit", 5, lambda: changed(gate, name) == 200)
        began = time.monotonic()
        ENDS[how](raw)
        if how in ERRORS:
            assert error_of(raw.until("E"))["S"] == "FATAL"
            assert raw.ended() and time.monotonic() - began < LATE_S / 2, "it hears of it at once"
    gate.relay.is_late = False
    entry = wait_for("its entry", 20, lambda: last_run(gate, name))
    assert entry["detail"].get("result") == "UPDATE 200", entry
    assert spent(gate, name) == 200


RUNS = {
    "a Query": lambda text: [query(text)],
    "an Execute": lambda text: [parse(text), bind(), execute(), SYNC],
    "without Sync": lambda text: [parse(text), bind(), execute(), FLUSH],
    "without Flush": lambda text: [parse(text), bind(), execute()],
}


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("what", RUNS)
@pytest.mark.parametrize("how", ["a message of no kind", "a body too long"])
def test_what_runs_when_he_makes_an_error_is_cancelled(gate, how, what, at_once):
    """And has changed nothing, and spends nothing. at_once: the error comes with it."""
    name = f"runs-{list(ENDS).index(how)}{list(RUNS).index(what)}{int(at_once)}"
    gate.person(name, "teller")
    text = ALL.format(name) + " AND pg_sleep(0.1) IS NOT NULL"
    with contextlib.closing(connected(gate, name)) as raw:
        raw.ask("SELECT 1")
        if at_once:
            raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        raw.send(*RUNS[what](text))
        if not at_once:
            wait_for("the sleep", 5, lambda: asleep(gate, name))
        ENDS[how](raw)
        if at_once:
            raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        assert error_of(raw.until("E"))["S"] == "FATAL" and raw.ended()
        wait_for("its end", 5, lambda: not asleep(gate, name))
    entry = wait_for("its entry", 20, lambda: last_run(gate, name))
    assert entry["detail"].get("sqlstate") == "57014", entry
    assert changed(gate, name) == 0 and spent(gate, name) == 0 and state_of(gate, name) == "active"

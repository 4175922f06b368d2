# SPDX-License-Identifier: Apache-2.0
"""Who sees to it that nobody hears how many rows he changed: the connection or session is cut, or the role ends, behind a commit.

The server stands behind a relay that holds its answer to a change back.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "Budget".
"""
import contextlib
import time

import pytest

from dbgatelib import DatabaseOffice, orders_documents
from officelib import wait_for
from pgraw import Raw, query
from relay import Relay

LATE_S = 1.5
RULES = """\
kind: Rule
name: they write
who: { roles: [writer, lent] }
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
    documents = orders_documents(["writer", "lent", "guest"], RULES).replace("{port}", str(relay.port))
    try:
        with contextlib.closing(DatabaseOffice(documents)) as one:
            relay.to, one.relay = one.pg.port, relay
            yield one
    finally:
        relay.close()


def connected(gate, name):
    raw = Raw(gate.port, tls=None)
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

# SPDX-License-Identifier: Apache-2.0
"""Refused attempts count in the budgets of their person, also when he signs out behind them (what others try meanwhile:
tests/unit/gate/test_db_attempts.c).

OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/attempts.c, docs/DATABASE.md.
"""
import contextlib

from dbgatelib import office_of, orders_documents
from officelib import wait_for
from pgraw import query

DOCUMENTS = orders_documents(["guest"], """\
kind: Rule
name: guests look at the door
who: { roles: [guest] }
to: { resources: [orders-db] }
may: [connect]
---
kind: Budget
name: nobody tries to destroy often
who: { any: true }
actions: [destroy]
per: 10m
statements: 3
then: lock
---
kind: Budget
name: nobody carries off or writes much
who: { any: true }
actions: [write, export]
per: 10m
rows: 5000
then: lock
""")
gate = office_of(DOCUMENTS, [("gwen", "guest")])


def state_of(gate, name):
    return next(p["state"] for p in gate.sam.items("/admin/people") if p["name"] == name)


def test_who_signs_out_right_behind_them_has_made_them(gate):
    with contextlib.closing(gate.raw("gwen")) as gwen:
        gwen.send(*[query("DROP TABLE orders")] * 20)
        gate.people["gwen"].sign_out()
        wait_for("the lock", 5, lambda: state_of(gate, "gwen") == "disabled")

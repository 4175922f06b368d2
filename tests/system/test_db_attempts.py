# SPDX-License-Identifier: Apache-2.0
"""Refused attempts count in the budgets of their person: whatever others try meanwhile, and when he signs out behind them.

OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/attempts.c, docs/DATABASE.md.
"""
import contextlib
import itertools

from dbgatelib import office_of, orders_documents
from officelib import wait_for
from pgraw import Raw, query

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
gate = office_of(DOCUMENTS, (("gina", "guest"), ("greg", "guest"), ("gabi", "guest"), ("gwen", "guest"), ("glen", "guest")))
PIECES = ["INSERT INTO orders VALUES (1)", "SELECT 1 FROM orders", "COPY orders TO STDOUT", "COPY orders FROM STDIN",
          "CREATE INDEX ON orders (id)"]
KINDS = ["; ".join(("GRANT SELECT ON orders TO op_all",) + kinds) for n in range(1, 6) for kinds in itertools.combinations(PIECES, n)]


@contextlib.contextmanager
def connected(gate, name):
    with contextlib.closing(Raw(gate.port, tls=None, timeout=30)) as raw:
        assert raw.log_in(name, "orders-db", gate.password(name))[-1] == ("Z", b"I")
        yield raw


def state_of(gate, name):
    return next(p["state"] for p in gate.sam.items("/admin/people") if p["name"] == name)


def test_others_who_try_all_sorts_of_things_hide_nobody(gate):
    with connected(gate, "gina") as gina, connected(gate, "greg") as greg, connected(gate, "gabi") as gabi, \
            connected(gate, "glen") as glen, connected(gate, "gwen") as gwen:
        for raw in (gina, greg, glen, gwen):
            raw.send(*(query(text) for text in KINDS))
        gabi.send(*[query("DROP TABLE orders")] * 20)
        wait_for("the lock", 5, lambda: state_of(gate, "gabi") == "disabled")
    assert all(state_of(gate, name) == "active" for name in ("gina", "greg", "glen", "gwen"))


def test_who_signs_out_right_behind_them_has_made_them(gate):
    with connected(gate, "gwen") as gwen:
        gwen.send(*[query("DROP TABLE orders")] * 20)
        gate.people["gwen"].sign_out()
        wait_for("the lock", 5, lambda: state_of(gate, "gwen") == "disabled")

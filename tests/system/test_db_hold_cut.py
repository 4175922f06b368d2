# SPDX-License-Identifier: Apache-2.0
"""A statement around which the gate put a transaction of its own, of somebody who is cut, or gone, before its answer came: the
gate commits nothing for him. The ledger says that it was cancelled, the approval is used up, and budgets have spent no change.

The server stands behind a relay that holds its answer to a change back.

OWNS an office, a server, a relay. PROCESS tests. TRUST none. SPEC gates/db/hold.c, docs/DATABASE.md "When a client is gone".
"""
import contextlib
import time

import pytest

from dbgatelib import SCHEMA, DatabaseOffice, orders_documents
from officelib import wait_for
from pgraw import message, query
from portal import Refused
from relay import Relay
from test_db_ask import answer, asked, nothing_waits
from test_db_budget_cut import end_connection, reset, set_roles, sign_out, spent

LATE_S = 1.5
DOCUMENTS = orders_documents(["dba", "lead", "lent", "reader"], """\
kind: Rule
name: usual work
who: { roles: [dba, lead] }
to: { resources: [orders-db] }
may: [connect, read]
---
kind: Rule
name: a lead agrees before rows go
who: { roles: [lent] }
to: { resources: [orders-db] }
may: [destroy]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
---
kind: Rule
name: readers change a little
who: { roles: [reader] }
to: { resources: [orders-db] }
may: [connect, read, write]
with: { limit: { rows: 500 } }
---
kind: Budget
name: rows that go
who: { roles: [lent, reader] }
actions: [destroy, write]
per: 10m
rows: 100000
then: deny
""", postgres="  keep_as: op_keep\n")


@pytest.fixture(scope="module")
def gate():
    relay = Relay(0)
    relay.is_late = False

    def hold_back(kind, body):
        if relay.is_late and kind == "C" and body.split(b" ")[0] in (b"DELETE", b"UPDATE"):
            relay.is_late = False
            relay.held = True
            time.sleep(LATE_S)

    relay.answer = hold_back
    try:
        with contextlib.closing(DatabaseOffice(DOCUMENTS.replace("{port}", str(relay.port)), accounts=("op_all", "op_keep"),
                                               schema=SCHEMA + "CREATE TABLE small AS SELECT n FROM generate_series(1, 9) n;")) as one:
            one.sql("GRANT pg_read_all_data TO op_keep", "GRANT op_all TO op_keep", "ANALYZE")
            relay.to, one.relay = one.pg.port, relay
            one.person("lena", "lead")
            yield one
    finally:
        relay.close()


def end_role(gate, name):
    set_roles(gate, name, ["dba"])


def disable(gate, name):
    gate.sam.fresh()
    number = next(p["id"] for p in gate.sam.items("/admin/people") if p["name"] == name)
    gate.sam.post(f"/admin/people/{number}/disable", {"why": "a test"})


def kill(gate, name):
    one = next(c for c in gate.sam.get("/admin/databases/connections")["items"] if c["person"]["name"] == name)
    gate.sam.post(f"/admin/databases/connections/{one['id']}/end", {})


CUTS = {"his connection": end_connection, "an administrator": kill, "signed out": sign_out, "his role": end_role, "locked": disable}


def last_run(gate, name, method):
    items = gate.audrey.items(f"/admin/ledger/events?gate=db&person={name}&verdict=allow&limit=50")
    return next((e for e in items if e.get("method") == method and {"sqlstate", "result"} & set(e.get("detail") or {})), None)


def idle(gate, name):
    return not gate.sql(f"SELECT 1 FROM pg_stat_activity WHERE application_name = '{name}'")


@contextlib.contextmanager
def under_way(gate, name, text):
    """Its statement has run, and its answer is on the way."""
    gate.relay.held = False
    with contextlib.closing(gate.raw(name)) as raw:
        gate.relay.is_late = True
        raw.send(query(text))
        if text.startswith("DELETE"):
            item = asked(gate)
            answer(gate, item, "approve")
        wait_for("the server's answer", 20, lambda: gate.relay.held)
        yield raw
        wait_for("its end", LATE_S + 5, lambda: idle(gate, name))
    if text.startswith("DELETE"):
        nothing_waits(gate)
        assert gate.people["lena"].get(f"/approvals/{item['id']}")["state"] == "used"


@pytest.mark.parametrize("how", [*CUTS, "a reset"])
def test_nothing_is_committed_for_who_was_cut_before_the_answer(gate, how):
    name = "dora-" + str([*CUTS, "a reset"].index(how))
    person = gate.person(name, "dba")
    set_roles(gate, name, ["dba", "lent"])
    with under_way(gate, name, "DELETE FROM small") as raw:
        if how == "a reset":
            reset(raw)
        else:
            CUTS[how](gate, name)
            assert raw.ended()
    assert gate.sql("SELECT count(*) FROM small") == [(9,)]
    entry = wait_for("its entry", 20, lambda: last_run(gate, name, "DELETE"))
    assert entry["detail"].get("sqlstate") == "57014" and not entry.get("count"), entry
    assert spent(gate, name) == 0
    if how in ("an administrator", "a reset", "his role"):
        keep = person.get("/keeps")["items"][0]
        with pytest.raises(Refused) as what:
            person.post(f"/keeps/{keep['id']}/undo", {"reason": "back"})
        assert "was rolled back" in str(what.value)


@pytest.mark.parametrize("how", ["his connection", "a reset", "Terminate"])
def test_so_it_is_with_an_answer_under_a_limit(gate, how):
    """But what stands in front of a goodbye is done."""
    name = "rita-" + str(["his connection", "a reset", "Terminate"].index(how))
    gate.person(name, "reader")
    with under_way(gate, name, f"UPDATE orders SET note = '{name}' WHERE id <= 30 RETURNING id") as raw:
        if how == "Terminate":
            raw.send(message("X"))
        elif how == "a reset":
            reset(raw)
        else:
            CUTS[how](gate, name)
    stays = 30 if how == "Terminate" else 0
    assert gate.sql(f"SELECT count(*) FROM orders WHERE note = '{name}'") == [(stays,)]
    entry = wait_for("its entry", 20, lambda: last_run(gate, name, "UPDATE"))
    assert entry["detail"].get("sqlstate" if stays == 0 else "result") == ("57014" if stays == 0 else "UPDATE 30"), entry
    assert spent(gate, name) == 30, "rows that he was shown"

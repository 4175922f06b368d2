# SPDX-License-Identifier: Apache-2.0
"""One statement for which several rules ask: the people of each of them have to agree.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "How statements are judged".
"""
from datetime import datetime

import psycopg2
import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from officelib import wait_for
from test_core_cli import Shell
from test_db_ask import Waiting

LEADS, GUARDS = "two leads agree before rows go", "a guard agrees before what is dear goes"
MENDS = "a lead agrees to what a mender does"
DOCUMENTS = orders_documents(
    ["dba", "lead", "guard"],
    f"""\
kind: Rule
name: usual work
who: {{ roles: [dba] }}
to: {{ resources: [orders-db] }}
may: [connect, read, write, alter, execute, administer]
---
kind: Rule
name: {MENDS}
who: {{ roles: [mender] }}
to: {{ resources: [orders-db], classes: [sensitive] }}
may: [destroy]
ask: {{ approved_by: 1, by: {{ roles: [lead] }}, expires: 10m }}
---
kind: Rule
name: {LEADS}
who: {{ roles: [dba] }}
to: {{ resources: [orders-db], classes: [internal] }}
may: [destroy]
ask: {{ approved_by: 2, by: {{ roles: [lead] }}, expires: 10m }}
---
kind: Rule
name: {GUARDS}
who: {{ roles: [dba] }}
to: {{ resources: [orders-db], classes: [core, sensitive] }}
may: [destroy]
ask: {{ approved_by: 1, by: {{ roles: [guard] }}, expires: 5m }}
---
kind: Role
name: mender
request: {{ who: {{ roles: [dba] }}, ask: {{ approved_by: 1, by: {{ roles: [lead] }} }}, longest: 1h }}
---
kind: Role
name: fixer
request: {{ who: {{ roles: [dba] }}, ask: {{ approved_by: 1, by: {{ roles: [lead] }} }}, longest: 1h }}
---
kind: Role
name: guest
request: {{ who: {{ roles: [dba] }}, ask: {{ approved_by: 1, by: {{ roles: [lead] }} }}, longest: 1h }}
---
kind: Rule
name: one lead agrees to what a fixer does
who: {{ roles: [fixer] }}
to: {{ resources: [orders-db], classes: [internal] }}
may: [destroy]
ask: {{ approved_by: 1, by: {{ roles: [lead] }}, expires: 10m }}
""",
    postgres="  parts: [{ table: public.dear, class: core }, { table: public.odd, class: sensitive }]\n",
)
MORE = """
CREATE TABLE cheap (id int);
CREATE TABLE dear (id int);
CREATE TABLE odd (id int);
INSERT INTO odd SELECT generate_series(1, 5);
INSERT INTO cheap SELECT generate_series(1, 5);
INSERT INTO dear SELECT generate_series(1, 5);
"""
BOTH = "DELETE FROM cheap; DELETE FROM dear"


gate = office_of(DOCUMENTS, (("dora", "dba"), ("lena", "lead"), ("leo", "lead"), ("gus", "guard"), ("gil", "guard")), schema=SCHEMA + MORE)


@pytest.fixture
def dora(gate):
    connection = gate.connect("dora")
    connection.autocommit = True
    yield connection
    connection.cancel()
    connection.close()


def waiting(gate, who="lena"):
    return wait_for("the question", 10, lambda: gate.people[who].get("/approvals?state=waiting")["items"])[0]


def approve(gate, item, who):
    return gate.people[who].post(f"/approvals/{item['id']}/approve", {"sha256": item["sha256"]})


def agreed(item):
    return {one["rule"]: (one["agreed"], one["needed"]) for one in item["rules"]}


@pytest.mark.parametrize("text", [
    BOTH,
    "DROP SCHEMA public CASCADE",
    "DROP OWNED BY CURRENT_USER",
    "DO $$ BEGIN DELETE FROM dear; END $$",
    "ALTER TABLE dear RENAME TO trinket",
    "ALTER TABLE cheap RENAME TO dear",
])
def test_the_people_of_each_rule_are_asked(gate, dora, text):
    run = Waiting(dora, text)
    item = waiting(gate)
    assert agreed(item) == {LEADS: (0, 2), GUARDS: (0, 1)}, item
    assert waiting(gate, "gus")["id"] == item["id"] and item["needed"] == 2
    asked, until = (datetime.fromisoformat(item[key].rstrip("Z")) for key in ("created_at", "expires_at"))
    assert (until - asked).total_seconds() == 300  # the shorter of both
    approve(gate, item, "lena")
    approve(gate, item, "leo")  # as many as either rule wants, and nobody of the other one
    assert agreed(waiting(gate)) == {LEADS: (2, 2), GUARDS: (0, 1)}
    dora.cancel()
    run.join(20)
    assert run.error.pgcode == "57014"
    assert gate.sql("SELECT count(*) FROM dear") == gate.sql("SELECT count(*) FROM cheap") == [(5,)]


def test_it_runs_when_each_rule_has_its_number(gate, dora):
    run = Waiting(dora, BOTH)
    item = waiting(gate)
    approve(gate, item, "gus")
    approve(gate, item, "gil")  # two have agreed, and no lead
    assert agreed(approve(gate, item, "lena")) == {LEADS: (1, 2), GUARDS: (2, 1)}
    assert run.is_alive() and gate.sql("SELECT count(*) FROM dear") == [(5,)]
    assert approve(gate, item, "leo")["state"] in ("approved", "used")
    run.join(20)
    assert run.error is None, run.error
    assert any("those of other rules" in notice for notice in dora.notices), dora.notices
    assert gate.sql("SELECT count(*) FROM dear") == gate.sql("SELECT count(*) FROM cheap") == [(0,)]
    gate.sql("INSERT INTO cheap SELECT generate_series(1, 5)", "INSERT INTO dear SELECT generate_series(1, 5)")
    used = [e for e in gate.audrey.items("/admin/ledger/events?kind=approval&limit=50") if e["method"] == "used"]
    assert LEADS in str(used[0]) and GUARDS in str(used[0]), used[0]


def test_one_person_counts_for_each_rule_he_is_among(gate, dora, tmp_path):
    gate.people["lou"] = gate.office.employee("lou", ["lead", "guard"])
    run = Waiting(dora, BOTH)
    item = waiting(gate)
    assert agreed(approve(gate, item, "lou")) == {LEADS: (1, 2), GUARDS: (1, 1)}
    voted = {v["name"]: v["rules"] for v in approve(gate, item, "lena")["votes"]}
    assert voted == {"lou": [LEADS, GUARDS], "lena": [LEADS]}
    told = Shell(gate.office, gate.people["lena"], tmp_path).run("approvals", "show", item["id"])
    assert f"approve: lou, for {LEADS} and {GUARDS}\n" in told and f"approve: lena, for {LEADS}\n" in told, told
    run.join(20)
    assert run.error is None, run.error
    gate.sql("INSERT INTO cheap SELECT generate_series(1, 5)", "INSERT INTO dear SELECT generate_series(1, 5)")


def test_one_refusal_ends_it(gate, dora, tmp_path):
    run = Waiting(dora, BOTH)
    item = waiting(gate)
    told = Shell(gate.office, gate.people["lena"], tmp_path).run("approvals", "show", item["id"])
    assert f"0 of 2 for {LEADS}" in told and f"0 of 1 for {GUARDS}" in told, told
    gate.people["gus"].post(f"/approvals/{item['id']}/refuse", {"sha256": item["sha256"], "reason": "not the dear"})
    run.join(20)
    assert isinstance(run.error, psycopg2.Error) and "not the dear" in str(run.error)


def given(gate, role):
    """To dora, for a while."""
    asked = gate.people["dora"].post("/grants", {"role": role, "reason": "to mend orders", "duration_s": 600})
    approve(gate, asked, "lena")
    wait_for("the role", 5, lambda: role in gate.people["dora"].get("/me")["person"]["roles"])
    return next(g for g in gate.people["dora"].get("/grants")["items"] if g["ended_at"] is None)


@pytest.mark.parametrize("role, people, goes_on", [("fixer", ["lena"], False), ("guest", ["lena", "leo"], True)])
def test_the_end_of_a_role_ends_what_too_few_agreed_to(gate, role, people, goes_on):
    """What runs goes on where the rules that are left ask no more than was agreed to."""
    grant = given(gate, role)
    dora = gate.connect("dora")
    dora.autocommit = True
    run = Waiting(dora, "DELETE FROM cheap; SELECT pg_sleep(4)")
    item = waiting(gate)
    assert item["needed"] == len(people)
    for who in people:
        approve(gate, item, who)
    wait_for("the sleep", 5, lambda: gate.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'DELETE FROM cheap%'"
                                              " AND wait_event = 'PgSleep'"))
    gate.people["dora"].post(f"/grants/{grant['id']}/end", {})
    run.join(20)
    assert (run.error is None) == goes_on, run.error
    assert gate.sql("SELECT count(*) FROM cheap") == [(0 if goes_on else 5,)]
    dora.close()


def publish(gate, was, now):
    files = gate.sam.get("/admin/policy/documents")["files"]
    assert any(was in one["text"] for one in files)
    gate.sam.post("/admin/policy/apply", {"files": [{**one, "text": one["text"].replace(was, now)} for one in files]})


RESOURCE = "kind: Resource\nname: orders-db\n"
MORE_DOCUMENTS = """\
kind: Role
name: apprentice
---
kind: Rule
name: apprentices look
who: { roles: [apprentice] }
to: { resources: [orders-db] }
may: [connect]
---
"""
OF_LEADS = f"name: {LEADS}\nwho: {{ roles: [dba] }}"


@pytest.mark.parametrize("was, now, goes_on", [
    (RESOURCE, MORE_DOCUMENTS + RESOURCE, True),
    (OF_LEADS, OF_LEADS.replace("dba", "guard"), False),
    ("approved_by: 2, by: { roles: [lead] }", "approved_by: 2, by: { roles: [lead, guard] }", False)],
    ids=["of something else", "denied", "others are asked"])
def test_what_was_agreed_to_is_held_against_the_documents_of_now(gate, was, now, goes_on):
    """A role ends while it runs, so all of it is asked again; the documents are others than those that asked."""
    grant = given(gate, "guest")
    dora = gate.connect("dora")
    dora.autocommit = True
    run = Waiting(dora, "DELETE FROM cheap; SELECT pg_sleep(6)")
    item = waiting(gate)
    for who in ("lena", "leo"):
        approve(gate, item, who)
    wait_for("the sleep", 5, lambda: gate.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'DELETE FROM cheap%'"
                                              " AND wait_event = 'PgSleep'"))
    publish(gate, was, now)
    try:
        gate.people["dora"].post(f"/grants/{grant['id']}/end", {})
        run.join(20)
        assert (run.error is None) == goes_on, run.error
    finally:
        publish(gate, now, was)
        dora.close()
    assert gate.sql("SELECT count(*) FROM cheap") == [(0 if goes_on else 5,)]
    gate.sql("DELETE FROM cheap", "INSERT INTO cheap SELECT generate_series(1, 5)")


def test_others_are_asked_when_the_policy_names_others_meanwhile(gate, dora):
    by_leads, by_guards = "approved_by: 2, by: { roles: [lead] }", "approved_by: 2, by: { roles: [guard] }"
    run = Waiting(dora, "DELETE FROM cheap WHERE true")
    item = waiting(gate)
    publish(gate, by_leads, by_guards)
    try:
        approve(gate, item, "lena")
        approve(gate, item, "leo")
        again = waiting(gate, "gus")
        assert again["id"] != item["id"] and run.is_alive()
        approve(gate, again, "gus")
        approve(gate, again, "gil")
        run.join(20)
        assert run.error is None, run.error
    finally:
        publish(gate, by_guards, by_leads)


def test_who_is_asked_by_another_rule_meanwhile_has_to_agree_as_well(gate):
    """As many people agreed as are needed, and they are not those whom the rule asks that is left."""
    grant = given(gate, "mender")
    dora = gate.connect("dora")
    dora.autocommit = True
    run = Waiting(dora, "DELETE FROM odd")
    item = waiting(gate)
    assert agreed(item) == {MENDS: (0, 1)}, item
    gate.people["dora"].post(f"/grants/{grant['id']}/end", {})
    approve(gate, item, "lena")
    again = waiting(gate, "gus")
    assert agreed(again) == {GUARDS: (0, 1)}, again
    assert run.is_alive() and gate.sql("SELECT count(*) FROM odd") == [(5,)]
    approve(gate, again, "gus")
    run.join(20)
    assert run.error is None, run.error
    assert gate.sql("SELECT count(*) FROM odd") == [(0,)]
    dora.close()


def test_the_number_of_each_rule_is_that_of_now(gate, dora):
    """Two had been asked by the one rule: that says nothing of the other one, which wants two by now."""
    one = "ask: { approved_by: 1, by: { roles: [guard] }, expires: 5m }"
    two = one.replace("approved_by: 1", "approved_by: 2")
    run = Waiting(dora, BOTH)
    item = waiting(gate)
    publish(gate, one, two)
    try:
        for who in ("lena", "leo", "gus"):
            approve(gate, item, who)
        again = waiting(gate, "gil")
        assert agreed(again) == {LEADS: (0, 2), GUARDS: (0, 2)}, again
        assert run.is_alive() and gate.sql("SELECT count(*) FROM dear") == [(5,)]
        for who in ("lena", "leo", "gus"):
            approve(gate, again, who)
        publish(gate, "title: { en: Orders, zh: 订单 }", "title: { en: Orders now, zh: 订单 }")  # another one asks the same
        approve(gate, again, "gil")
        run.join(20)
        assert run.error is None, run.error
        assert gate.sql("SELECT count(*) FROM dear") == gate.sql("SELECT count(*) FROM cheap") == [(0,)]
    finally:
        publish(gate, two, one)
        gate.sql("INSERT INTO cheap SELECT generate_series(1, 5)", "INSERT INTO dear SELECT generate_series(1, 5)")

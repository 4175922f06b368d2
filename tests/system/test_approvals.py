# SPDX-License-Identifier: Apache-2.0
"""Roles for a while, emergency access, recertification: asked for, approved by other people, ended."""

import concurrent.futures
import os
import signal
import sqlite3
import time

import pytest

from officelib import wait_for
from portal import Refused
from test_core_meanwhile import in_order

DOCUMENTS = {"office.yaml": """\
kind: Role
name: staff
---
kind: Role
name: lead
---
kind: Role
name: dba
includes: [staff]
request: { who: { roles: [staff] }, ask: { approved_by: 2, by: { roles: [lead] } }, longest: 1h, ticket: true }
---
kind: Role
name: stand-in
request: { who: { roles: [staff] }, ask: { approved_by: 1, by: { roles: [lead] } }, longest: 1h }
---
kind: Role
name: treasurer
request: { who: { roles: [lead] }, ask: { approved_by: 1, by: { roles: [lead, stand-in] } }, longest: 1h }
---
kind: Role
name: emergency
request:
  who: { roles: [staff] }
  sealed: true
  longest: 10m
  ask: { approved_by: 2, by: { roles: [lead, security-admin] } }
---
kind: Recertification
name: leads each month
roles: [lead]
by: { roles: [security-admin] }
every: 30d
warn: 5d
---
kind: Resource
name: wiki
operator: company
class: internal
---
kind: Rule
name: emergency access reads everything
who: { roles: [emergency] }
to: { any: true }
may: [connect, read]
"""}


@pytest.fixture(scope="module")
def office():
    from officelib import Office
    one = Office(documents=DOCUMENTS)
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def people(office):
    """ann (staff) asks; lee and max (lead) approve; pat (staff) may not."""
    office.set_up_administrators()
    made = {name: office.employee(name, [role]) for name, role in
            (("ann", "staff"), ("pat", "staff"), ("lee", "lead"), ("max", "lead"))}
    made["sam"], made["audrey"] = office.people["sam"], office.people["audrey"]
    return made


def ask(person, role="dba", **more):
    return person.post("/grants", {"role": role, "reason": "a slow query in production", "ticket": "T-17",
                                   "duration_s": 600, **more})


def answer(person, asked, verdict="approve", **more):
    return person.post(f"/approvals/{asked['id']}/{verdict}", {"sha256": asked["sha256"], **more})


def roles_of(office, person):
    return person.get("/me")["person"]["roles"]


def refused(code, call, *args, **kwargs):
    with pytest.raises(Refused) as what:
        call(*args, **kwargs)
    assert what.value.code == code, what.value
    return what.value


def events(audrey, **want):
    found = audrey.items("/admin/ledger/events?limit=200")
    return [e for e in found if all(e.get(k) == v for k, v in want.items())]


def test_a_role_for_a_while_needs_two_other_people(office, people):
    ann, lee, max_ = people["ann"], people["lee"], people["max"]
    asked = ask(ann)
    assert asked["state"] == "waiting" and asked["needed"] == 2 and asked["kind"] == "grant"
    assert refused("own_request", answer, ann, asked).status == 409
    refused("not_found", answer, people["pat"], asked)      # he does not even see it
    refused("not_approver", answer, people["sam"], asked)   # he sees it, the policy names others
    refused("other_bytes", answer, lee, {**asked, "sha256": "0" * 64})
    once = answer(lee, asked, reason="I know of it")
    assert once["state"] == "waiting" and [(v["name"], v["rules"]) for v in once["votes"]] == [("lee", [])]
    refused("voted", answer, lee, asked)
    assert "dba" not in roles_of(office, ann)
    assert answer(max_, asked)["state"] in ("approved", "used")
    wait_for("the role", 5, lambda: "dba" in roles_of(office, ann))
    mine = [g for g in ann.get("/grants")["items"] if g["role"] == "dba"]
    assert len(mine) == 1 and mine[0]["ended_at"] is None and not mine[0]["sealed"]
    refused("held", ask, ann)
    ended = people["sam"].post(f"/grants/{mine[0]['id']}/end", {"reason": "enough"})
    assert ended["ended_by"] == "sam"
    assert "dba" not in roles_of(office, ann)
    refused("ended", people["sam"].post, f"/grants/{mine[0]['id']}/end", {})
    refused("not_waiting", answer, lee, asked)
    said = [e["method"] for e in events(people["audrey"], kind="approval")]
    assert {"asked", "approved"} <= set(said)


def test_an_accomplice_with_a_borrowed_role_is_no_other_person(office, people):
    """Whoever approves by a role that the asker agreed to give him for a while approves nothing of the asker."""
    lee, max_, pat = people["lee"], people["max"], people["pat"]
    asked = pat.post("/grants", {"role": "stand-in", "reason": "lee is on leave", "duration_s": 600})
    answer(max_, asked)
    wait_for("the role", 5, lambda: "stand-in" in roles_of(office, pat))
    own = max_.post("/grants", {"role": "treasurer", "reason": "the till of today", "duration_s": 600})
    assert refused("asker_agreed", answer, pat, own).status == 409
    assert answer(lee, own)["state"] in ("approved", "used")
    others = lee.post("/grants", {"role": "treasurer", "reason": "the till of today", "duration_s": 600})
    assert answer(pat, others)["state"] in ("approved", "used")  # lee did not give him the role


def test_a_vote_is_no_vote_when_the_role_was_taken_while_the_ledger_wrote(office, people):
    lou, kit = office.employee("lou", ["lead"]), office.employee("kit", ["staff"])
    asked = ask(kit, role="stand-in")
    done = in_order(office, (people["sam"].put, f"/admin/people/{int(lou.id)}/roles", {"roles": []}),
                    (lou.post, f"/approvals/{asked['id']}/approve", {"sha256": asked["sha256"]}))
    assert done[0][0] == 200 and done[1] == (409, "not_approver")
    kit.post(f"/approvals/{asked['id']}/withdraw")


def test_one_refusal_ends_it_and_one_withdraws_ones_own(office, people):
    ann, lee, max_ = people["ann"], people["lee"], people["max"]
    asked = ask(ann)
    assert answer(lee, asked, "refuse", reason="not during the audit")["state"] == "refused"
    refused("not_waiting", answer, max_, asked)
    asked = ask(ann)
    refused("not_waiting", lee.post, f"/approvals/{asked['id']}/withdraw", {})
    assert ann.post(f"/approvals/{asked['id']}/withdraw", {})["state"] == "withdrawn"
    assert "dba" not in roles_of(office, ann)


def test_who_may_agree_is_told_and_not_flooded(office, people):
    def told(name):
        return [n for n in people[name].items("/me/notices") if n["name"] == "approvals-waiting" and n["sender"] == "pat"]

    for _ in range(8):
        asked = ask(people["pat"])
        people["pat"].post(f"/approvals/{asked['id']}/withdraw", {})
    wait_for("the notices", 10, lambda: len(told("lee")) == 5 and told("lee"))
    assert "pat: grant dba" in told("lee")[0]["texts"]["en"]["title"]
    assert "pat：临时角色 dba" in told("lee")[0]["texts"]["zh"]["title"] and len(told("max")) == 5
    time.sleep(0.5)
    assert len(told("lee")) == 5 and not told("pat") and not told("ann"), "not the asker, nor who may not agree"


def code_of(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Refused as why:
        return why.code
    return "asked"


def test_what_is_asked_for_at_once_is_bounded_as_well(office, people):
    ina = office.employee("ina", ["staff"])
    ledger = office.kill("ledger", signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(26) as pool:
            calls = [pool.submit(code_of, ask, ina) for _ in range(26)]
            time.sleep(1.5)
            os.kill(ledger, signal.SIGCONT)
            said = [call.result() for call in calls]
    finally:
        os.kill(ledger, signal.SIGCONT)
    assert sorted(said) == ["asked"] * 20 + ["too_many_asks"] * 6
    assert len(ina.get("/approvals?state=waiting&mine=1")["items"]) == 20
    wait_for("the word on the others", 5, lambda: len(events(people["audrey"], method="not taken")) == 6)


def test_nobody_asks_without_end(office, people):
    """200 within a day, of each kind; that he has is an entry, once."""
    ned = office.employee("ned", ["staff"])
    first = ask(ned)
    ned.post(f"/approvals/{first['id']}/withdraw")
    columns = [row[1] for row in office.store("PRAGMA table_info(ask)")][1:]
    office.store("WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < 198)"
                 f" INSERT INTO ask (id, {', '.join(columns)}) SELECT id - n, {', '.join(columns)} FROM ask, more"
                 " WHERE asker = ?", int(ned.id))
    told = len(events(people["audrey"], method="asked as often as one may"))
    last = ask(ned)
    for _ in range(2):
        refused("asks_of_day", ask, ned)
    assert len(events(people["audrey"], method="asked as often as one may")) == told + 1
    ned.post(f"/approvals/{last['id']}/withdraw")
    refused("asks_of_day", ask, ned)
    other = ask(ned, role="emergency")  # is another kind
    ned.post(f"/approvals/{other['id']}/withdraw")
    office.store("UPDATE ask SET created = created - 86400 WHERE asker = ?", int(ned.id))
    ask(ned)


def test_what_cannot_be_asked_for(office, people):
    ann = people["ann"]
    refused("not_found", ask, ann, role="staff")
    refused("not_found", ask, ann, role="security-admin")
    refused("forbidden", ask, people["lee"])
    refused("invalid", ask, ann, duration_s=3601)
    refused("invalid", ask, ann, ticket="")
    refused("invalid", ask, ann, reason="")
    assert [r["role"] for r in ann.get("/grants/roles")["items"]] == ["dba", "stand-in", "emergency"]
    assert [r["role"] for r in people["lee"].get("/grants/roles")["items"]] == ["treasurer"]


def test_approving_takes_a_fresh_second_factor(office, people):
    asked = ask(people["ann"])
    stale = office.person("lee")
    token = stale.cookies[f"portal.{office.domain}"]
    assert token
    office.stop()  # a sign-in of an hour ago, as the store has it
    db = sqlite3.connect(os.path.join(office.state, "core", "core.db"))
    with db:
        db.execute("UPDATE session SET auth = auth - 3600 WHERE name = 'lee'")
    db.close()
    office.start()
    got = refused("step_up_required", answer, stale, asked)
    assert got.status == 403
    # and the ask survived the restart
    assert people["max"].get(f"/approvals/{asked['id']}")["state"] == "waiting"
    stale.step_up()
    assert answer(stale, asked)["state"] == "waiting"
    people["lee"] = stale
    people["ann"].post(f"/approvals/{asked['id']}/withdraw", {})


def test_a_role_ends_by_itself(office, people):
    ann = people["ann"]
    asked = ask(ann, duration_s=60)
    answer(people["lee"], asked)
    answer(people["max"], asked)
    wait_for("the role", 5, lambda: "dba" in roles_of(office, ann))
    db = sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=10)
    with db:
        db.execute("UPDATE role_grant SET until = ? WHERE ended = 0", (int(time.time()) + 1,))
    db.close()
    wait_for("its end", 10, lambda: "dba" not in roles_of(office, ann))
    assert [g["ended_by"] for g in ann.get("/grants")["items"]][0] == "time"


def test_what_the_store_does_not_take_is_told_once(office, people):
    """As on a full disk: it is tried each second, and the ledger hears of what has come of it."""
    asked, kept = ask(people["ann"], ticket="T-18"), ask(people["ann"])

    def said(method):
        return [e["detail"]["ask"] for e in events(people["audrey"], method=method)]

    office.store("CREATE TRIGGER full BEFORE UPDATE OF state ON ask BEGIN SELECT RAISE(ABORT, 'full'); END")
    try:
        assert people["ann"].post(f"/approvals/{kept['id']}/withdraw")["state"] == "waiting"
        office.store("UPDATE ask SET expires = 1 WHERE ticket = 'T-18'")
        wait_for("a try", 10, lambda: "an ask that has expired cannot be stored" in office.log())
        time.sleep(2)
        assert asked["id"] not in said("expired") and kept["id"] not in said("withdrawn")
    finally:
        office.store("DROP TRIGGER full")
    wait_for("its end", 10, lambda: asked["id"] in said("expired"))
    assert people["ann"].post(f"/approvals/{kept['id']}/withdraw")["state"] == "withdrawn"
    wait_for("its end", 10, lambda: kept["id"] in said("withdrawn"))
    time.sleep(1)
    assert said("expired").count(asked["id"]) == 1 and said("withdrawn").count(kept["id"]) == 1


def test_a_long_reason_takes_nothing_else_off_the_ledger(office, people):
    """Six bytes of JSON for each of its own."""
    reason, ticket = "\x01" * 500, "\x02" * 100
    asked = ask(people["ann"], reason=reason, ticket=ticket)
    told = next(e["detail"] for e in events(people["audrey"], method="asked") if asked["id"] in str(e["detail"]))
    assert (told["ask"], told["sha256"], told["ticket"], told["reason"]) == (asked["id"], asked["sha256"], ticket, reason)
    answer(people["lee"], asked, "refuse", reason="\x03" * 500)
    assert [e for e in events(people["audrey"], method="refused") if e["detail"].get("ask") == asked["id"]]


def test_emergency_access(office, people):
    ann, lee, sam, audrey = people["ann"], people["lee"], people["sam"], people["audrey"]
    asked = ask(ann, role="emergency")
    assert asked["kind"] == "break-glass"
    second = ask(ann, role="emergency", reason="asked for before the first was explained")
    answer(lee, asked)
    assert "emergency" not in roles_of(office, ann)
    answer(sam, asked)
    wait_for("emergency access", 5, lambda: "emergency" in roles_of(office, ann))
    alarms = sam.get("/admin/alarms")["items"]
    assert [(a["name"], a["role"], a["ended_at"]) for a in alarms] == [("ann", "emergency", None)]
    refused("forbidden", ann.get, "/admin/alarms")
    opened = events(audrey, method="emergency access opened")
    assert opened and opened[0]["severity"] == "critical"
    ann.post(f"/grants/{alarms[0]['id']}/end", {})
    assert "emergency" not in roles_of(office, ann)
    assert sam.get("/admin/alarms")["items"][0]["note_due"]
    refused("note_due", ask, ann, role="emergency")
    answer(lee, second)
    answer(sam, second)
    wait_for("its end", 5, lambda: [e for e in events(audrey, method="role not given") if e["detail"].get("ask") == second["id"]])
    assert "emergency" not in roles_of(office, ann) and len(events(audrey, method="emergency access opened")) == len(opened)
    refused("not_found", lee.post, f"/grants/{alarms[0]['id']}/note", {"note": "not mine to write"})
    path = f"/grants/{alarms[0]['id']}/note"
    done = in_order(office, (ann.post, path, {"note": "The database was full; I removed old logs."}),
                    (ann.post, path, {"note": "Nothing of that kind."}))
    assert done[0][0] == 200 and done[1] == (409, "no_note_due")  # it is written once
    assert done[0][1]["note"] == sam.items("/grants?all=1")[0]["note"]
    assert sam.get("/admin/alarms")["items"] == []
    assert events(audrey, method="emergency access noted")


def test_whoever_agreed_and_was_locked_opens_nothing_at_the_next_start(office, people):
    """As when the last vote came and the ledger was away: the ask is approved, the role not open yet."""
    lee, audrey = people["lee"], people["audrey"]
    olga = office.person("olga")
    olga.fresh()
    bad = office.employee("eve", ["staff"])
    asked = ask(people["pat"], role="emergency")
    answer(lee, asked)
    number = office.store("SELECT id FROM ask WHERE state = 0 AND role = 'emergency'")[0][0]
    office.store("INSERT INTO vote (ask, person, yes, given, name, reason, sets) VALUES (?, ?, 1, 1, 'eve', '', 1)",
                 number, int(bad.id))
    office.store("UPDATE ask SET state = 1 WHERE id = ?", number)
    olga.post(f"/admin/people/{bad.id}/disable")
    office.wait_role("core", office.kill("core"))
    wait_for("its end", 20, lambda: lee.get(f"/approvals/{asked['id']}")["state"] == "expired")
    assert "emergency" not in roles_of(office, people["pat"])
    wait_for("its entry", 20, lambda: [e for e in events(audrey, method="role not given") if e["detail"]["ask"] == asked["id"]])


def approved_behind_its_back(office, person, role):
    """As when core died before it had carried it out: the id in the store."""
    asked = ask(person, role=role)
    number = office.store("SELECT id FROM ask WHERE state = 0 AND asker = ?", int(person.id))[0][0]
    office.store("INSERT INTO vote (ask, person, yes, given, name, reason, sets)"
                 " SELECT ?, id, 1, 1, name, '', 1 FROM person WHERE name IN ('lee', 'max')", number)
    office.store("UPDATE ask SET state = 1 WHERE id = ?", number)
    return asked["id"]


def test_what_the_store_does_not_take_is_not_told_as_opened(office, people):
    """The ledger hears of an opening before it holds: where it is tried again, not each time."""
    deb = office.employee("deb", ["staff"])
    asked = approved_behind_its_back(office, deb, "emergency")

    def told():
        return [e["method"] for e in events(people["audrey"]) if e.get("detail", {}).get("ask") == asked and e["method"] != "asked"]

    office.store("CREATE TRIGGER full BEFORE UPDATE ON ask BEGIN INSERT INTO nowhere VALUES (1); END")
    said = len(office.log())
    office.wait_role("core", office.kill("core"))
    wait_for("a try", 20, lambda: [word for word in ("what was approved waits", "(role not given)") if word in office.log()[said:]])
    assert told() == []
    office.store("DROP TRIGGER full")
    office.wait_role("core", office.kill("core"))
    wait_for("emergency access", 20, lambda: "emergency" in roles_of(office, deb))
    assert told() == ["emergency access opened"]


def test_core_stops_in_order_while_a_role_waits_for_the_ledger(office, people):
    """Its entry is on its way when core is told to stop: the next core opens it."""
    kim = office.employee("kim", ["staff"])
    approved_behind_its_back(office, kim, "dba")
    core = office.wait_role("core", office.kill("core"))
    ledger = office.kill("ledger", signal.SIGSTOP)
    said = len(office.log())
    try:
        time.sleep(5)  # what is left over is carried out three seconds after the start
        os.kill(core, signal.SIGTERM)
        how = wait_for("its end", 20, lambda: [line for line in office.log()[said:].splitlines()
                                                if "core ended" in line or "core was ended" in line])
    finally:
        os.kill(ledger, signal.SIGCONT)
    assert "was ended by signal" not in how[0], how
    office.wait_role("core", core)
    assert "role not given" in office.log()[said:]  # that it had waited
    wait_for("the role", 20, lambda: "dba" in roles_of(office, kim))


def test_what_happened_while_the_ledger_was_away_is_written_later(office, people):
    """It was sent, and the ledger ended before it had read it."""
    asked = ask(people["ann"])
    ledger = office.kill("ledger", signal.SIGSTOP)
    assert people["ann"].post(f"/approvals/{asked['id']}/withdraw")["state"] == "withdrawn"
    os.kill(ledger, signal.SIGKILL)
    office.wait_role("ledger", other_than=ledger)
    wait_for("its entry", 20, lambda: [e for e in events(people["audrey"], method="withdrawn") if e["detail"]["ask"] == asked["id"]])


def test_standing_grants_come_round(office, people):
    sam, lee = people["sam"], people["lee"]
    sue = office.employee("sue", ["security-admin"])
    done = in_order(office, (sam.put, f"/admin/people/{int(sue.id)}/roles", {"roles": []}),
                    (sue.post, "/reviews", {"name": "max", "role": "lead", "keep": False}))
    assert done[0][0] == 200 and done[1] == (404, "not_found")  # her role is gone when the ledger has it
    due = {r["name"]: r for r in sam.get("/reviews")["items"]}
    assert set(due) == {"lee", "max"} and all(r["can_review"] and not r["soon"] for r in due.values())
    assert [r["can_review"] for r in lee.get("/reviews")["items"]] == [False]  # his own, to know
    refused("not_found", lee.post, "/reviews", {"name": "max", "role": "lead", "keep": True})
    now = int(time.time())
    db = sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=10)
    with db:
        db.execute("UPDATE review SET due = ?", (now + 4 * 86400,))
    db.close()
    assert all(r["soon"] for r in sam.get("/reviews")["items"])
    wait_for("the word to both", 15, lambda: len(events(people["audrey"], method="review due")) == 2)
    sam.post("/reviews", {"name": "lee", "role": "lead", "keep": True})
    db = sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=10)
    with db:
        db.execute("UPDATE review SET due = ? WHERE reviewed = 0", (now - 1,))
    db.close()
    assert [r["name"] for r in sam.get("/reviews")["items"]] == ["lee"]
    assert "lead" in roles_of(office, lee)
    assert "lead" not in roles_of(office, people["max"])
    sam.post("/reviews", {"name": "lee", "role": "lead", "keep": False})
    assert "lead" not in roles_of(office, lee)


def test_standing_grants_of_all_people_come_round(office, people):
    """Whatever their names, in an office of thousands."""
    office.store("WITH RECURSIVE n(i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 14200) INSERT INTO person "
                 "(id, name, display, state, created) SELECT i, 'many' || i, 'Many', 1, 1 FROM n")
    office.store("INSERT INTO person_role (person, role) SELECT p.id, r.number FROM person p, role r "
                 "WHERE p.name IN ('many10000', 'many14100') AND r.name = 'lead'")
    try:
        due = {r["name"] for r in people["sam"].get("/reviews")["items"]}
        assert {"many10000", "many14100"} <= due, due
        people["sam"].post("/reviews", {"name": "many14100", "role": "lead", "keep": False})
        assert office.store("SELECT COUNT(*) FROM person_role WHERE person = 14100") == [(0,)]
    finally:
        office.store("DELETE FROM person_role WHERE person >= 10000")
        office.store("DELETE FROM review WHERE person >= 10000")
        office.store("DELETE FROM person WHERE id >= 10000")


def test_nobody_can_ask_when_nobody_can_approve(office, people):
    refused("nobody_approves", ask, people["ann"])

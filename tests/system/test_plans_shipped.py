# SPDX-License-Identifier: Apache-2.0
"""Each plan that comes with the program (packaging/plans/plans.yaml) on a real office: drilled, run with real people at
work, given back; and what sets off those that no test of detections does: targets that are away, a surge, what staff
tell.

OWNS the office and what is behind it. PROCESS tests. TRUST none. SPEC docs/INCIDENTS.md.
"""
import json
import os
import shutil
import sqlite3
import tempfile
import time

import pytest
import yaml
from devicelib import Device
from officelib import ROOT, free_port, wait_for
from portal import Refused
from wholelib import Ends, WholeOffice

MORE = """---
kind: Role
name: lead
---
kind: Rota
name: duty
commander: [lea, sam]
scribe: [olga]
liaison: [audrey]
---
kind: Resource
name: gone
operator: company
class: internal
web: {{ host: gone, upstream: "http://127.0.0.1:{dead}" }}
---
kind: Resource
name: gone-db
operator: company
class: internal
postgres:
  address: 127.0.0.1:{dead}
  tls: loopback
  databases: [orders]
  accounts: [{{ any: true, as: op }}]
---
kind: Detection
name: surge
severity: medium
over: {{ kinds: decision, gates: web }}
by: resource
rate: {{ times: 3, at_least: 8, within: 1s }}
quiet: 2h
plan: surge
"""
with open(f"{ROOT}/packaging/plans/plans.yaml", encoding="utf-8") as file:
    SHIPPED = {plan["name"]: plan for plan in yaml.safe_load_all(file)}
CUTS = {"cut", "deny", "lock_person", "quarantine_device", "require_step_up"}


@pytest.fixture(scope="module")
def whole():
    one = WholeOffice(more=MORE.format(dead=free_port()))
    one.folder = tempfile.mkdtemp(prefix="sp-plans-", dir="/tmp")
    try:
        one.person("lea", ["lead"])
        one.person("ann")
        one.fresh()
        one.sam.put("/admin/databases/credentials/gone-db/op", {"password": "op"})
        yield one
    finally:
        one.close()
        shutil.rmtree(one.folder)


def test_each_task_has_a_clock():
    tasks = {(name, step["name"]): step["with"] for name, plan in SHIPPED.items() for step in plan["steps"] if step["do"] == "task"}
    assert len(tasks) > 15 and [at for at, what in tasks.items() if "for" not in what or "role" not in what] == []


def cuts(whole):
    return whole.sam.get("/cuts")["items"]


def run_of(whole, number):
    return whole.sam.get(f"/plan-runs/{number}")


def confirm_all(whole, run):
    """Whatever waits for a person, or for a while, is confirmed."""
    while run["state"] == "running":
        waiting = [s for s in run["steps"] if s["state"] == "waiting"]
        assert waiting, run
        run = whole.sam.post(f"/plan-runs/{run['id']}/confirm", {"step": waiting[0]["number"]})
    return run


def at_work(whole, name):
    """Somebody with an approved device and a stream through the web gate; and what a plan may be told of it."""
    whole.fresh()
    person = whole.person(name)
    device = Device(person, whole.folder, name).approved(whole.sam)
    stream = whole.web(name)
    return Ends([stream]), {"person": name, "session": person.get("/me")["session"]["id"], "device": device.id,
                            "resource": "notes"}


@pytest.fixture(scope="module")
def worker(whole):
    return at_work(whole, "wil")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_drill_cuts_nothing(whole, worker, name):
    ends, facts = worker
    whole.fresh()
    began = whole.sam.post(f"/plans/{name}/run", {"drill": True, **facts})
    run = confirm_all(whole, began)
    assert run["state"] == "done" and run["drill"], run
    assert {s["name"]: s["state"] for s in run["steps"]} == {s["name"]: "done" for s in SHIPPED[name]["steps"]}, run
    assert all(s["note"].startswith("would ") and s["cut"] is None for s in run["steps"] if s["do"] in CUTS), run
    assert not cuts(whole) and ends.left == 1
    incident = whole.sam.get(f"/incidents/{run['incident']}")
    assert incident["drill"] and set(incident["roles"].values()) <= {"lea", "olga", "audrey", None}
    assert next(p for p in whole.sam.get("/plans")["items"] if p["name"] == name)["last_drilled_at"]


@pytest.mark.parametrize("name", SHIPPED)
def test_it_runs_and_is_given_back(whole, name):
    steps = SHIPPED[name]["steps"]
    what = {s["do"] for s in steps}
    victim = f"v-{name}"
    ends, facts = at_work(whole, victim) if what & CUTS else (None, {"person": "ann", "resource": "notes"})
    run = whole.sam.post(f"/plans/{name}/run", {"reason": "to see", **facts})
    run = confirm_all(whole, run)
    assert run["state"] == "done", run
    assert {s["name"]: s["state"] for s in run["steps"]} == {s["name"]: "done" for s in steps}, run
    incident = whole.sam.get(f"/incidents/{run['incident']}")
    assert not incident["drill"] and incident["roles"]["commander"] == "lea"
    assert {t["text"] for t in incident["tasks"]} >= {s["with"]["text"] for s in steps if s["do"] == "task"}
    if not what & CUTS:
        return
    if what & {"cut", "lock_person", "quarantine_device"}:
        assert wait_for("the end of the stream", 5, lambda: ends.left == 0, step=0.05) or ends.left == 0
    made = {(c["kind"], c["effect"]) for c in cuts(whole) if c["incident"] == run["incident"]}
    wanted = {"lock_person": ("person", "deny"), "quarantine_device": ("device", "deny"),
              "require_step_up": ("person", "step-up"), "deny": ("resource", "deny")}
    assert made == {wanted[do] for do in what if do in wanted}, made
    if "quarantine_device" in what:
        assert device_state(whole, facts["device"]) == "quarantined"
    if "lock_person" in what:
        with pytest.raises((Refused, OSError)):
            whole.person(victim).get("/me")
    whole.sam.post(f"/plan-runs/{run['id']}/stop", {"reason": "all clear", "undo": True})
    assert not cuts(whole)
    assert device_state(whole, facts["device"]) == "active"
    person = next(p for p in whole.olga.items("/admin/people") if p["name"] == victim)
    assert person["state"] == "active"


def device_state(whole, number):
    return next(d["state"] for d in whole.sam.items("/admin/devices") if d["id"] == str(number))


# ---- what sets them off


def set_off(whole, detection, words):
    """The run of the plan that the alarm set off by itself."""
    alarm = wait_for(f"an alarm of {detection}", 15,
                     lambda: [a for a in whole.sam.items("/alarms") if a["detection"] == detection and words in a["keys"]
                              and a["incident"]], step=0.1)[0]
    runs = wait_for("its plan", 10, lambda: whole.sam.get(f"/incidents/{alarm['incident']}")["runs"])
    return alarm, run_of(whole, runs[0]["id"])


def test_an_application_that_is_away(whole):
    person = whole.person("ann")
    person.follow("gone", "/", headers={"Accept": "text/html"})
    for _ in range(20):
        assert person.request("GET", "gone", "/", headers={"Accept": "application/json"}).status == 502
    alarm, run = set_off(whole, "application-unavailable", "resource=gone")
    assert run["plan"] == "resource-outage" and run["state"] == "running" and run["about"]["resource"] == "gone", run
    assert not alarm["person"], "who looked last is not whom it is about"
    assert whole.sam.get(f"/incidents/{run['incident']}")["roles"]["commander"] == "lea"


def test_a_database_that_is_away(whole):
    password = whole.person("ann").post("/me/databases/gone-db/tokens")["password"]
    for _ in range(8):
        with pytest.raises((AssertionError, OSError)):
            whole.sql_to("ann", "gone-db", password)
    _, run = set_off(whole, "target-unavailable", "resource=gone-db")
    assert run["plan"] == "resource-outage" and run["about"]["resource"] == "gone-db", run


def test_a_surge(whole):
    def visit(times):
        for _ in range(times):
            assert whole.web_status("ann").status == 200

    for _ in range(7):  # what is usual: a second with a visit
        visit(1)
        time.sleep(1.01 - time.time() % 1)
    visit(60)
    _, run = set_off(whole, "surge", "resource=notes")
    assert run["plan"] == "surge" and run["state"] == "running", run


def test_an_office_that_names_no_officer_is_told_after_a_day(whole):
    with sqlite3.connect(os.path.join(whole.office.state, "core", "core.db"), timeout=20) as store:
        rows = dict((name, told) for name, told in store.execute("SELECT name, told FROM gap"))
        assert rows["officer:*"] == 0 and not [name for name in rows if name.startswith("rota:")], rows
        store.execute("UPDATE gap SET since = since - 86400 WHERE name = 'officer:*'")
    wait_for("the notice", 10, lambda: [n for n in whole.olga.get("/me/notices")["items"]
                                       if n["name"] == "officer-vacant" and "no Officer" in json.dumps(n)])


def told(person, kind, text="", **more):
    return person.post("/me/reports", {"kind": kind, "text": text, **more})


def proposed(whole, incident):
    return [r for r in whole.sam.get(f"/incidents/{incident}")["runs"] if r["state"] == "waiting"]


def test_somebody_tells_that_he_was_phished(whole):
    whole.fresh()
    pam = whole.person("pam")
    got = told(pam, "phishing", "I gave my password to <b>a page</b> like ours")
    incident = whole.sam.get(f"/incidents/{got['incident']}")
    assert (incident["opened_by"], incident["about"], incident["roles"]["commander"]) == ("pam", "pam", "lea")
    assert incident["title"] == "pam: may have been phished" and not incident["drill"]
    assert [n["text"] for n in incident["timeline"] if n["kind"] == "told"] == ["I gave my password to <b>a page</b> like ours"]
    assert [r["plan"] for r in proposed(whole, got["incident"])] == ["phished-employee"]
    lea = whole.person("lea")
    wait_for("the page of who is on duty", 10, lambda: [n for n in lea.get("/me/notices")["items"]
                                                       if n["name"] == "duty" and "pam: may" in json.dumps(n)])
    assert told(pam, "phishing", "and my code")["incident"] == got["incident"], "the same, said again"
    assert len(proposed(whole, got["incident"])) == 1 and pam.get("/me")["person"]["name"] == "pam", "nothing is cut yet"
    assert [(r["kind"], r["state"]) for r in pam.get("/me/reports")["items"]] == [("phishing", "open")] * 2
    with pytest.raises(Refused) as refused:
        pam.get(f"/incidents/{got['incident']}")
    assert refused.value.status == 404, "it is about herself"
    run = proposed(whole, got["incident"])[0]
    assert whole.sam.post(f"/plan-runs/{run['id']}/confirm", {})["state"] == "done"
    with pytest.raises((Refused, OSError)):
        pam.get("/me")
    whole.sam.post(f"/plan-runs/{run['id']}/stop", {"reason": "all clear", "undo": True})
    assert not cuts(whole)


def test_somebody_tells_that_a_device_is_gone(whole):
    whole.fresh()
    _, facts = at_work(whole, "gil")
    gil = whole.person("gil")
    with pytest.raises(Refused) as refused:
        told(whole.person("ann"), "lost-device", device=facts["device"])
    assert refused.value.status == 422, "not hers"
    got = told(gil, "lost-device", "in the train", device=facts["device"])
    run = proposed(whole, got["incident"])[0]
    assert run["plan"] == "lost-device" and run["about"]["device"] == facts["device"]
    assert whole.sam.post(f"/plan-runs/{run['id']}/confirm", {})["state"] == "done"
    assert device_state(whole, facts["device"]) == "quarantined"
    whole.sam.post(f"/plan-runs/{run['id']}/stop", {"reason": "found", "undo": True})
    assert device_state(whole, facts["device"]) == "active" and not cuts(whole)
    assert [r["plan"] for r in proposed(whole, told(gil, "malware", "it beeps", device=facts["device"])["incident"])] == \
        ["malware-on-a-device"], "automatic for an alarm, proposed for what is told"
    assert not cuts(whole)


def test_what_staff_tell_has_bounds(whole):
    whole.fresh()
    tom = whole.person("tom")
    for kind, text in (("fire", "x"), ("other", ""), ("leak", ""), ("other", "x" * 2001)):
        with pytest.raises(Refused) as refused:
            told(tom, kind, text)
        assert refused.value.status in (400, 422), kind
    got = told(tom, "leak", "a list of customers on a public page")
    incident = whole.sam.get(f"/incidents/{got['incident']}")
    assert incident["about"] is None and incident["severity"] == "high" and not incident["runs"]
    for n in range(9):
        told(tom, "other", f"odd thing {n}")
    with pytest.raises(Refused) as refused:
        told(tom, "other", "one more")
    assert refused.value.status == 429
    told(whole.person("ann"), "other", "another may")
    whole.sam.post(f"/incidents/{got['incident']}/close", {"review": "it was ours"})
    assert tom.get("/me/reports")["items"][-1]["state"] == "closed"

# SPDX-License-Identifier: Apache-2.0
"""Incidents and plans on a real office: run, confirmed, drilled, stopped, over a restart of core."""

import json
import os
import signal
import threading
import time

import pytest
from officelib import wait_for
from portal import Refused
from wholelib import Ends, WholeOffice

PLANS = """---
kind: Role
name: lead
---
kind: Plan
name: stolen
title: { en: Stolen credentials, zh: 凭证被盗 }
mode: confirm
confirm_by: [lead]
steps:
  - { name: incident, do: open_incident }
  - { name: lock, do: lock_person }
  - { name: tell, do: notify, with: { notice: incident-opened } }
  - { name: command, do: assign, with: { role: commander } }
  - { name: call, do: task, with: { text: call the person, role: commander } }
---
kind: Plan
name: branches
mode: manual
steps:
  - { name: close, do: deny, with: { kind: resource, name: orders-db, for: 1h } }
  - { name: agree, do: deny, with: { kind: resource, name: notes }, confirm_by: [lead], after: [] }
  - { name: pause, do: wait, with: { for: 2s }, after: [] }
  - { name: last, do: task, with: { text: look }, after: [close, agree, pause] }
---
kind: Plan
name: goes-back
mode: manual
steps:
  - { name: close, do: deny, with: { kind: resource, name: orders-db } }
  - { name: whom, do: lock_person, on_failure: undo }
  - { name: never, do: task, with: { text: not reached } }
---
kind: Plan
name: for-a-while
mode: manual
steps:
  - { name: close, do: deny, with: { kind: resource, name: orders-db, for: 2s } }
  - { name: prove, do: require_step_up, with: { kind: person, for: 2s } }
---
kind: Plan
name: waits
mode: manual
steps:
  - { name: agree, do: deny, with: { kind: resource, name: notes }, confirm_by: [lead] }
  - { name: pause, do: wait, with: { for: 1h }, after: [] }
---
kind: Plan
name: word
mode: manual
steps:
  - { name: pause, do: wait, with: { for: 1s }, confirm_by: [lead] }
  - { name: last, do: task, with: { text: look } }
---
kind: Plan
name: in-time
mode: manual
steps:
  - { name: agree, do: deny, with: { kind: resource, name: notes }, confirm_by: [lead], timeout: 2s, on_failure: stop }
  - { name: last, do: task, with: { text: look } }
---
kind: Detection
name: told-odd-things
severity: high
over: { kinds: incident, methods: told, objects: [other, leak] }
by: object
count: { at_least: 1, within: 1m }
plan: seldom
---
kind: Plan
name: seldom
mode: automatic
guard: { at_most: 1, within: 1h }
steps:
  - { name: look, do: task, with: { text: look } }
---
kind: Plan
name: due
mode: manual
steps:
  - { name: call, do: task, with: { text: call at once, role: commander, for: 3s } }
  - { name: look, do: task, with: { text: look round, role: commander, for: 1h } }
---
kind: Plan
name: gather
mode: manual
steps:
  - { name: all, do: collect_evidence }
"""


@pytest.fixture(scope="module")
def whole():
    one = WholeOffice(more=PLANS)
    try:
        one.person("ann")
        one.person("lea", ["lead"])
        one.person("lea").step_up()
        yield one
    finally:
        one.close()


def root(whole, *words, check=True):
    done = whole.office.cli(*words, "--json", "-c", whole.office.config, check=check)
    return json.loads(done.stdout) if done.stdout.strip() else None


def steps(run):
    return {s["name"]: s["state"] for s in run["steps"]}


def did(whole):
    """(kind, what) of the newest events; an incident's word stands in its detail."""
    def what(event):
        detail = event.get("detail") or {}
        detail = json.loads(detail) if isinstance(detail, str) else detail
        return detail.get("did") if event.get("kind") == "incident" else event.get("method")

    return {(e.get("kind"), what(e)) for e in whole.audrey.get("/admin/ledger/events?limit=200")["items"]}


def cuts(whole):
    return whole.sam.get("/cuts")["items"]


def test_a_dry_run_and_a_drill_cut_nothing_and_say_what_they_would(whole):
    stream = whole.web("ann")
    ends = Ends([stream])
    dry = root(whole, "plan", "run", "stolen", "--person", "ann", "--dry-run")
    assert "sessions of 1 people" in next(s["would"] for s in dry["steps"] if s["name"] == "lock")
    assert root(whole, "plan", "runs", "--all") == []
    run = root(whole, "plan", "drill", "stolen", "--person", "ann")
    assert run["drill"] and run["state"] == "done"
    lock = next(s for s in run["steps"] if s["name"] == "lock")
    assert lock["note"].startswith("would cut person ann") and lock["cut"] is None
    assert run["first_cut_us"] and run["first_cut_us"] < 1_000_000
    time.sleep(0.3)
    assert ends.left == 1 and not cuts(whole) and whole.web_status("ann").status == 200
    stream.close()
    incident = whole.sam.get(f"/incidents/{run['incident']}")
    assert incident["drill"] and incident["title"].startswith("Drill: ")
    assert all("[drill]" in n["text"] for n in incident["timeline"] if n["kind"] == "plan")
    plan = next(p for p in whole.sam.get("/plans")["items"] if p["name"] == "stolen")
    assert plan["last_drilled_at"] and plan["last_run_at"] is None


def test_a_run_cuts_and_leaves_its_trace(whole):
    whole.person("max")
    stream = whole.web("max")
    ends = Ends([stream])
    began = time.monotonic()
    run = root(whole, "plan", "run", "stolen", "--person", "max", "--reason", "he called")
    ends.join(5)
    assert ends.left == 0 and ends.at[0] - began < 3
    assert run["state"] == "done" and not run["drill"]
    lock = next(s for s in run["steps"] if s["name"] == "lock")
    assert steps(run)["command"] == "failed", "there is no Rota: nobody could be found, and the rest went on"
    told = next(s for s in run["steps"] if s["name"] == "tell")
    assert told["state"] == "done" and "incident-opened" in told["note"]
    assert wait_for("the notice", 10, lambda: [n for n in whole.sam.get("/me/notices")["items"] if "stolen" in json.dumps(n)])
    print(f"started to cut: {run['first_cut_us'] / 1000:.1f} ms")
    assert run["first_cut_us"] < 1_000_000
    cut = next(c for c in cuts(whole) if c["id"] == lock["cut"])
    assert (cut["kind"], cut["name"], cut["by"], cut["incident"]) == ("person", "max", "plan stolen", run["incident"])
    incident = whole.sam.get(f"/incidents/{run['incident']}")
    assert [t["text"] for t in incident["tasks"]] == ["call the person"] and incident["runs"][0]["id"] == run["id"]
    kinds = did(whole)
    assert {("plan", "started"), ("plan", "step"), ("plan", "done"), ("incident", "opened"),
            ("incident", "role unfilled"), ("admin", "cut")} <= kinds
    back = root(whole, "plan", "stop", run["id"], "--undo", "--reason", "a mistake")
    assert back["state"] == "done" and not [c for c in cuts(whole) if c["name"] == "max"]
    assert whole.office.person("max").get("/me")["person"]["name"] == "max"


def test_branches_wait_for_people_and_time_and_go_on_after_a_restart(whole):
    whole.fresh()
    run = whole.sam.post("/plans/branches/run", {"reason": "to see"})
    assert steps(run) == {"close": "done", "agree": "waiting", "pause": "waiting", "last": "pending"}
    with pytest.raises(Refused) as refused:
        whole.sam.post(f"/plan-runs/{run['id']}/confirm", {"step": 1})
    assert refused.value.status == 403, "a step that names roles is theirs alone"
    before = whole.office.kill("core")
    whole.office.wait_role("core", other_than=before)
    wait_for("the pause", 10, lambda: steps(run_of(whole, run["id"]))["pause"] == "done")
    now = run_of(whole, run["id"])
    assert steps(now) == {"close": "done", "agree": "waiting", "pause": "done", "last": "pending"}
    assert len(cuts(whole)) == 1, "no step twice"
    done = whole.person("lea").post(f"/plan-runs/{run['id']}/confirm", {"step": 1})
    assert done["state"] == "done" and set(steps(done).values()) == {"done"}
    assert next(s for s in done["steps"] if s["name"] == "agree")["by"] == "lea"
    assert len(cuts(whole)) == 2
    whole.sam.post(f"/plan-runs/{run['id']}/stop", {"reason": "over", "undo": True})
    assert not cuts(whole)


def run_of(whole, number):
    try:
        return whole.sam.get(f"/plan-runs/{number}")
    except (OSError, Refused):
        return {"steps": [{"name": "pause", "state": "?"}]}


def test_a_step_that_fails_gives_back_what_was_cut(whole):
    whole.fresh()
    run = whole.sam.post("/plans/goes-back/run", {"reason": "nobody is named"})
    assert run["state"] == "failed"
    assert steps(run) == {"close": "done", "whom": "failed", "never": "skipped"}
    assert "nothing says which person" in next(s["note"] for s in run["steps"] if s["name"] == "whom")
    assert not cuts(whole)


def test_what_is_for_a_while_says_until_when_and_ends_then(whole):
    dry = root(whole, "plan", "run", "for-a-while", "--person", "ann", "--dry-run")
    assert all(", until 20" in s["would"] for s in dry["steps"]), dry
    run = root(whole, "plan", "run", "for-a-while", "--person", "ann", "--reason", "a moment")
    assert all(", until 20" in s["note"] for s in run["steps"]), run
    assert {(c["kind"], bool(c["until_at"])) for c in cuts(whole)} == {("resource", True), ("person", True)}
    wait_for("their end", 10, lambda: not cuts(whole), step=0.1)
    incident = whole.sam.get(f"/incidents/{run['incident']}")
    ends = {n["text"] for n in incident["timeline"] if n["kind"] == "cut" and n["by"] == "time"}
    assert ends == {"resource orders-db: its time is over", "person ann: its time is over"}
    assert ("admin", "cut ended") in did(whole)


def test_a_run_gives_back_only_what_it_cut_itself(whole):
    whole.fresh()
    mine = whole.sam.post("/cuts", {"kind": "resource", "name": "orders-db", "reason": "until we know"})
    run = whole.sam.post("/plans/goes-back/run", {"reason": "nobody is named"})
    assert run["state"] == "failed"
    close = next(s for s in run["steps"] if s["name"] == "close")
    assert close["state"] == "done" and close["cut"] is None and "already" in close["note"]
    assert [c["id"] for c in cuts(whole)] == [mine["id"]]
    whole.sam.post(f"/cuts/{mine['id']}/undo", {"reason": "over"})


def test_undo_lets_nobody_in_whom_somebody_else_locked_meanwhile(whole):
    whole.fresh()
    for name, disabled in (("una", True), ("ule", False)):
        whole.person(name)
        run = root(whole, "plan", "run", "stolen", "--person", name, "--reason", "to see")
        if disabled:
            whole.olga.post(f"/admin/people/{person_of(whole, name)['id']}/disable", {"why": "he has left"})
        root(whole, "plan", "stop", run["id"], "--undo", "--reason", "a mistake")
        assert person_of(whole, name)["state"] == ("disabled" if disabled else "active"), name


def person_of(whole, name):
    return next(p for p in whole.olga.items("/admin/people") if p["name"] == name)


def test_many_that_wait_cost_nothing(whole):
    """Runs that wait for a person or for an hour: core's own time beside an idle one's."""
    def cpu(seconds=2):
        def now():
            with open(f"/proc/{whole.office.pid('core')}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        began = now()
        time.sleep(seconds)
        return (now() - began) / seconds

    whole.fresh()
    idle = cpu()
    runs = [whole.sam.post("/plans/waits/run", {"reason": "to see"}) for _ in range(40)]
    assert all(steps(run) == {"agree": "waiting", "pause": "waiting"} for run in runs)
    busy = cpu()
    for run in runs:
        whole.sam.post(f"/plan-runs/{run['id']}/stop", {"reason": "over"})
    print(f"idle {idle:.3f}, with 40 that wait {busy:.3f} of a core")
    assert busy < idle + 0.04, (idle, busy)


def test_who_may_not_and_what_is_not_there(whole):
    whole.fresh()
    for person in (whole.person("ann"), whole.olga, whole.person("lea")):
        with pytest.raises(Refused) as refused:
            person.post("/plans/stolen/run", {"drill": True})
        assert refused.value.status == 403
    for path, body, status in (("/plans/nothing/run", {"drill": True}, 404), ("/plans/stolen/run", {}, 422),
                               ("/plans/stolen/run", {"person": "nobody", "reason": "x"}, 422),
                               ("/plan-runs/99/stop", {"reason": "x"}, 404), ("/plan-runs/1/stop", {"reason": "x"}, 409),
                               ("/plan-runs/1/confirm", {}, 409), ("/incidents/99/comment", {"text": "x"}, 404),
                               ("/incidents", {"title": "xxx", "severity": "awful"}, 422)):
        with pytest.raises(Refused) as refused:
            whole.sam.post(path, body)
        assert refused.value.status == status, path


def test_the_life_of_an_incident(whole):
    whole.fresh()
    sam, lea = whole.sam, whole.person("lea")
    one = sam.post("/incidents", {"title": "Odd mail <b>", "severity": "low"})
    two = sam.post("/incidents", {"title": "Odd mail again", "severity": "high"})
    with pytest.raises(Refused) as refused:
        lea.get(f"/incidents/{one['id']}")
    assert refused.value.status == 404, "it is nobody's but its own people's"
    sam.post(f"/incidents/{one['id']}/role", {"role": "commander", "person": "lea"})
    assert one["id"] in [i["id"] for i in lea.get("/incidents")["items"]]
    lea.post(f"/incidents/{one['id']}/comment", {"text": "looking"})
    with pytest.raises(Refused) as refused:
        sam.post(f"/incidents/{one['id']}/task", {"text": "ask ann", "whose": "nobody-here"})
    assert refused.value.status == 422
    task = sam.post(f"/incidents/{one['id']}/task", {"text": "ask ann", "whose": "lea", "within_s": 3600})["tasks"][0]
    assert task["whose"] == "lea" and task["due_at"] > time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 3000))
    wait_for("she is told", 10, lambda: [n for n in inbox(lea, "task") if "ask ann" in n["texts"]["en"]["text"]])
    lea.post(f"/incidents/{one['id']}/severity", {"severity": "high"})
    lea.post(f"/incidents/{one['id']}/evidence", {"entry": 3, "text": "her sign-in"})
    now = lea.post(f"/incidents/{one['id']}/tasks/1/done", {})
    assert now["tasks"][0]["done_by"] == "lea" and now["severity"] == "high"
    with pytest.raises(Refused) as refused:
        lea.post(f"/incidents/{one['id']}/tasks/1/done", {})
    assert refused.value.status == 404
    kinds = [n["kind"] for n in now["timeline"]]
    assert kinds[0] == "opened" and {"role", "comment", "task", "severity", "evidence", "done"} <= set(kinds)
    assert next(n for n in now["timeline"] if n["kind"] == "evidence")["entry"] == "3"
    merged = sam.post(f"/incidents/{two['id']}/merge", {"into": int(one["id"])})
    assert "Odd mail again" in [n["text"] for n in merged["timeline"] if n["kind"] == "merged"]
    assert sam.get(f"/incidents/{two['id']}")["merged_into"] == one["id"]
    with pytest.raises(Refused) as refused:
        sam.post(f"/incidents/{two['id']}/comment", {"text": "late"})
    assert refused.value.status == 409
    closed = lea.post(f"/incidents/{one['id']}/close", {"review": "spam; a filter was set"})
    assert closed["state"] == "closed" and closed["review"].startswith("spam")
    assert "Odd mail <b>" in whole.office.cli("incident", "show", one["id"], "-c", whole.office.config).stdout
    methods = {what for kind, what in did(whole) if kind == "incident"}
    assert {"open", "opened", "role", "comment", "task", "done", "severity", "evidence", "merge", "close"} <= methods


def test_a_role_in_one_incident_opens_no_other(whole):
    whole.fresh()
    sam, lea = whole.sam, whole.person("lea")
    hers = sam.post("/incidents", {"title": "A lost badge", "severity": "low"})
    secret = sam.post("/incidents", {"title": "About somebody above", "severity": "high"})
    sam.post(f"/incidents/{hers['id']}/role", {"role": "commander", "person": "lea"})
    with pytest.raises(Refused) as refused:
        lea.post(f"/incidents/{hers['id']}/merge", {"into": int(secret["id"])})
    assert refused.value.status == 422
    assert "merged" not in [n["kind"] for n in sam.get(f"/incidents/{secret['id']}")["timeline"]]


def test_a_change_that_waits_for_the_ledger_does_not_take_back_another(whole):
    whole.fresh()
    sam, lea = whole.sam, whole.person("lea")
    one = sam.post("/incidents", {"title": "Two at a time", "severity": "low"})
    sam.post(f"/incidents/{one['id']}/role", {"role": "commander", "person": "lea"})
    said = {}

    def post(who, what, body):
        try:
            said[what] = who.post(f"/incidents/{one['id']}/{what}", body)
        except Refused as refused:
            said[what] = refused.status

    ledger = whole.office.pid("ledger")
    both = [threading.Thread(target=post, args=(sam, "close", {"review": "nothing"})),
            threading.Thread(target=post, args=(lea, "severity", {"severity": "high"}))]
    os.kill(ledger, signal.SIGSTOP)
    try:
        for thread in both:
            thread.start()
            time.sleep(0.3)
    finally:
        os.kill(ledger, signal.SIGCONT)
    for thread in both:
        thread.join(20)
    now = sam.get(f"/incidents/{one['id']}")
    assert now["state"] == "closed" and now["review"] == "nothing"
    assert said["severity"] == 409 or now["severity"] == "high", "whichever came first"


def test_a_wait_that_a_person_confirms_does_not_end_by_time(whole):
    whole.fresh()
    run = whole.sam.post("/plans/word/run", {"reason": "to see"})
    time.sleep(2.5)
    assert steps(whole.sam.get(f"/plan-runs/{run['id']}")) == {"pause": "waiting", "last": "pending"}
    whole.person("lea").post(f"/plan-runs/{run['id']}/confirm", {"step": 0})
    assert steps(whole.sam.get(f"/plan-runs/{run['id']}")) == {"pause": "done", "last": "done"}


def test_a_step_that_nobody_confirms_in_time_has_failed(whole):
    whole.fresh()
    run = whole.sam.post("/plans/in-time/run", {"reason": "to see"})
    assert steps(run) == {"agree": "waiting", "last": "pending"}
    over = wait_for("its end", 10, lambda: (r := whole.sam.get(f"/plan-runs/{run['id']}"))["state"] != "running" and r)
    assert over["state"] == "failed" and steps(over) == {"agree": "failed", "last": "skipped"}
    assert over["steps"][0]["note"] == "nobody confirmed it in time" and over["steps"][0]["took_us"] >= 2_000_000
    with pytest.raises(Refused) as refused:
        whole.person("lea").post(f"/plan-runs/{run['id']}/confirm", {"step": 0})
    assert refused.value.status == 409 and not cuts(whole)


def test_a_proposal_that_nobody_confirms_ends_after_a_day(whole):
    whole.fresh()
    report = whole.person("ann").post("/me/reports", {"kind": "phishing"})["incident"]
    run = wait_for("the proposal", 10, lambda: whole.sam.get(f"/incidents/{report}")["runs"])[0]
    assert run["state"] == "waiting"
    whole.office.store("UPDATE plan_run SET started = started - 86300 * 1000000 WHERE id = ?", int(run["id"]))
    time.sleep(1)
    assert whole.sam.get(f"/plan-runs/{run['id']}")["state"] == "waiting"
    whole.office.store("UPDATE plan_run SET started = started - 101 * 1000000 WHERE id = ?", int(run["id"]))
    over = wait_for("its end", 5, lambda: (r := whole.sam.get(f"/plan-runs/{run['id']}"))["state"] != "waiting" and r)
    assert (over["state"], over["why"]) == ("stopped", "nobody confirmed it in a day")
    assert set(steps(over).values()) == {"skipped"} and not cuts(whole)
    with pytest.raises(Refused) as refused:
        whole.sam.post(f"/plan-runs/{run['id']}/confirm", {})
    assert refused.value.status == 409


def test_what_runs_by_itself_too_often_waits_and_pages(whole):
    """Two alarms of one plan that may run by itself once an hour."""
    whole.fresh()

    def pages(run):
        return [n for n in inbox(whole.sam, "plan-waits")
                if f'"seldom" of incident {run["incident"]} wants' in str(n["texts"]["en"])]

    def runs():
        return {r["id"] for r in root(whole, "plan", "runs", "--all") if r["plan"] == "seldom" and r["state"] != "running"}

    person = whole.person("tom")
    for kind in ("other", "leak"):
        before = runs()
        person.post("/me/reports", {"kind": kind, "text": "look"})
        fresh = wait_for(f"the run after {kind}", 10, lambda known=before: runs() - known)
        run = whole.sam.get(f"/plan-runs/{fresh.pop()}")
        if kind == "other":
            assert run["state"] == "done" and run["by"] == "alarm" and not pages(run)
    assert run["state"] == "waiting" and "often" in run["why"], run
    wait_for("the page", 10, lambda: pages(run))
    assert steps(run) == {"look": "pending"}
    whole.sam.post(f"/plan-runs/{run['id']}/confirm", {})
    assert whole.sam.get(f"/plan-runs/{run['id']}")["state"] == "done"


def test_nobody_answers_for_what_is_about_himself(whole):
    whole.fresh()
    run = root(whole, "plan", "run", "branches", "--person", "lea", "--reason", "she is looked at")
    with pytest.raises(Refused) as refused:
        whole.person("lea").post(f"/plan-runs/{run['id']}/confirm", {"step": 1})
    assert refused.value.status == 409
    whole.sam.post(f"/plan-runs/{run['id']}/stop", {"reason": "over", "undo": True})
    run = root(whole, "plan", "run", "branches", "--person", "sam", "--reason", "he is looked at")
    with pytest.raises(Refused) as refused:
        whole.sam.post(f"/plan-runs/{run['id']}/stop", {"reason": "it is nothing", "undo": True})
    assert refused.value.status == 409
    root(whole, "plan", "stop", run["id"], "--undo", "--reason", "it was nothing")
    assert not cuts(whole)


def inbox(person, notice):
    return [n for n in person.get("/me/notices")["items"] if n["name"] == notice]


def title(notice):
    return notice["texts"]["en"]["title"]


def test_who_has_to_act_is_told(whole):
    whole.fresh()
    lea = whole.person("lea")
    one = whole.sam.post("/incidents", {"title": "A key was lost", "severity": "high"})
    wait_for("the page", 10, lambda: [n for n in inbox(whole.sam, "incident-opened") if "A key was lost" in title(n)])
    whole.sam.post(f"/incidents/{one['id']}/role", {"role": "scribe", "person": "lea"})
    wait_for("the duty", 10, lambda: [n for n in inbox(lea, "duty") if f"scribe of incident {one['id']}" in title(n)])
    assert not inbox(whole.sam, "duty"), "hers alone"
    run = whole.sam.post("/plans/branches/run", {"reason": "to see", "incident": int(one["id"])})
    wait_for("the wait", 10, lambda: [n for n in inbox(whole.sam, "plan-waits") if "branches" in title(n)])
    whole.sam.post(f"/plan-runs/{run['id']}/stop", {"reason": "over", "undo": True})


def test_a_task_that_is_late_is_told_once_also_after_a_restart(whole):
    whole.fresh()
    sam, ann, lea = whole.sam, whole.person("ann"), whole.person("lea")
    one, closed = (sam.post("/incidents", {"title": title, "severity": "high"})["id"] for title in ("It burns", "It smoked"))
    sam.post(f"/incidents/{one}/role", {"role": "commander", "person": "lea"})
    dry = sam.post("/plans/due/run", {"dry_run": True, "reason": "x"})
    assert dry["steps"][0]["would"].startswith("call at once, due 20"), dry
    run = sam.post("/plans/due/run", {"reason": "to see", "incident": int(one)})
    assert run["steps"][0]["note"].startswith("call at once, due 20")
    sam.post(f"/incidents/{one}/task", {"text": "ask ann", "whose": "ann", "within_s": 3})
    sam.post(f"/incidents/{one}/task", {"text": "done in time", "whose": "ann", "within_s": 3})
    tasks = sam.get(f"/incidents/{one}")["tasks"]
    assert [(t["text"], t["whose"]) for t in tasks[:2]] == [("call at once", "lea"), ("look round", "lea")]
    assert all(t["due_at"] for t in tasks)
    sam.post(f"/incidents/{one}/tasks/4/done", {})
    sam.post(f"/incidents/{closed}/task", {"text": "of a closed one", "whose": "ann", "within_s": 2})
    sam.post(f"/incidents/{closed}/close", {"review": "nothing"})
    before = whole.office.kill("core")
    whole.office.wait_role("core", other_than=before)

    def told(person):
        found = [n["texts"]["en"]["text"].strip().splitlines()[0] for n in inbox(person, "task-overdue")]
        return sorted(found)

    wait_for("the late ones", 15, lambda: told(lea) == ["ask ann", "call at once"] and told(ann) == ["ask ann"])
    time.sleep(2.5)
    assert told(lea) == ["ask ann", "call at once"] and told(ann) == ["ask ann"], "once, and only what is late"
    notes = [n["text"] for n in sam.get(f"/incidents/{one}")["timeline"] if n["kind"] == "overdue"]
    assert sorted(notes) == ["ask ann (ann)", "call at once (lea)"]
    assert ("incident", "task overdue") in did(whole)
    assert all(n["must_acknowledge"] for n in inbox(lea, "task-overdue"))


def test_an_end_is_told_although_not_all_could_be_given_back(whole):
    whole.fresh()
    whole.office.store("CREATE TRIGGER refused BEFORE UPDATE ON cut BEGIN SELECT abs(-9223372036854775807 - 1); END")
    try:
        run = whole.sam.post("/plans/goes-back/run", {"reason": "nobody is named"})
    finally:
        whole.office.store("DROP TRIGGER refused")
    assert run["state"] == "failed" and cuts(whole)
    ends = [n["text"] for n in whole.sam.get(f"/incidents/{run['incident']}")["timeline"] if n["text"].startswith("failed")]
    assert len(ends) == 1 and ends[0].startswith("failed: could not be given back: close ("), ends
    assert ends[0].endswith("; step whom failed")
    whole.sam.post(f"/plan-runs/{run['id']}/stop", {"reason": "again", "undo": True})
    assert not cuts(whole)


def test_a_drill_stays_out_of_what_is_real(whole):
    whole.fresh()
    with pytest.raises(Refused) as refused:
        whole.sam.post("/plans/branches/run", {"drill": True, "device": "no-such-laptop"})
    assert refused.value.status == 422
    real = whole.sam.post("/incidents", {"title": "It is real", "severity": "low"})
    for body in ({"drill": True, "incident": int(real["id"])}, {"reason": "x", "incident": 4711}):
        with pytest.raises(Refused) as refused:
            whole.sam.post("/plans/branches/run", body)
        assert refused.value.status == 422


def test_evidence_is_collected_or_the_step_says_that_there_is_none(whole):
    whole.fresh()
    whole.person("ann").get("/me")
    run = root(whole, "plan", "run", "gather", "--person", "ann", "--reason", "to see")
    step = run["steps"][0]
    assert step["state"] == "done" and "sessions more" in step["note"]
    notes = whole.sam.get(f"/incidents/{run['incident']}")["timeline"]
    assert [n for n in notes if n["kind"] == "evidence" and n["session"]]
    run = root(whole, "plan", "run", "gather", "--reason", "about nobody")
    assert run["steps"][0]["state"] == "failed" and "nothing is known" in run["steps"][0]["note"]


def test_documents_that_cannot_be_are_refused_with_their_place(whole):
    path = os.path.join(whole.office.dir, "circle.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("kind: Plan\nname: circle\nmode: manual\nsteps:\n  - { name: a, do: collect_evidence, after: [b] }\n"
                   "  - { name: b, do: collect_evidence, after: [a] }\n")
    done = whole.office.cli("policy", "check", path, check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "circle.yaml:5:" in said and "circle.yaml:6:" in said and "can never begin" in said

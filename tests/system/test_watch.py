# SPDX-License-Identifier: Apache-2.0
"""The watch on a real office: what somebody does becomes an alarm on the ledger, once, whatever dies meanwhile.

OWNS nothing. PROCESS tests. TRUST none. SPEC watch/README.md, docs/DETECTIONS.md.
"""
import json
import os
import shutil
import signal
import sqlite3
import time
import types

import pytest
from officelib import Office, wait_for
from portal import Refused

pytestmark = pytest.mark.shipped

DETECTIONS = """\
kind: Detection
name: wrong-passwords
title: { en: Wrong passwords, zh: 密码错误 }
severity: high
over: { kinds: sign-in, verdicts: deny, known: true }
by: person
count: { at_least: 2, within: 1h }
quiet: 1h
plan: stolen-credentials
---
kind: Detection
name: one-wrong
severity: low
over: { kinds: sign-in, verdicts: deny, known: true, objects: wil }
count: { at_least: 1, within: 1h }
quiet: 1h
---
kind: Detection
name: two-wrong
title: { en: Nobody has a plan for this, zh: 没有预案 }
severity: high
over: { kinds: sign-in, verdicts: deny, known: true, objects: wil }
count: { at_least: 2, within: 1h }
quiet: 1h
"""


@pytest.fixture(scope="module")
def office():
    one = Office(extra="")
    with open(os.path.join(one.documents, "watch.yaml"), "w", encoding="utf-8") as file:
        file.write(DETECTIONS)
    os.chmod(os.path.join(one.documents, "watch.yaml"), 0o644)
    try:
        one.start()
        one.set_up_administrators()
        yield one
    finally:
        one.close()


def alarms(office, name=None):
    items = office.people["sam"].get("/alarms")["items"]
    return [a for a in items if name in (None, a["detection"])]


def on_ledger(office, name):
    found = office.people["audrey"].get("/admin/ledger/events?kind=alarm&limit=100")["items"]
    return [e for e in found if name in json.dumps(e)]


def fail_to_sign_in(office, name, times):
    for _ in range(times):
        with pytest.raises(Refused):
            one = office.people[name].again()
            one.password = "wrong horse battery"
            one.sign_in()


def test_wrong_passwords_are_one_alarm(office):
    fail_to_sign_in(office, "olga", 1)
    assert not alarms(office, "wrong-passwords")
    began = time.monotonic()
    fail_to_sign_in(office, "olga", 1)
    alarm = wait_for("an alarm", 10, lambda: alarms(office, "wrong-passwords"), step=0.05)[0]
    print(f"event to alarm: {time.monotonic() - began:.3f} s")
    assert alarm["person"] == "olga" and alarm["severity"] == "high" and alarm["count"] == "2"
    assert alarm["keys"] == "person=olga" and alarm["plan"] == "stolen-credentials" and alarm["mode"] == "live"
    assert len(alarm["evidence"]) == 2
    time.sleep(1.5)  # told again each second, were it not taken
    assert len(alarms(office, "wrong-passwords")) == 1
    assert len(on_ledger(office, "wrong-passwords")) == 1


def notices(office, name):
    return [n for n in office.people["sam"].get("/me/notices")["items"] if n["name"] == name]


def test_a_plan_that_may_not_run_by_itself_pages_people(office):
    """olga is an administrator, whom its guard excepts."""
    wait_for("the page", 10, lambda: notices(office, "plan-waits"))
    alarm = alarms(office, "wrong-passwords")[0]
    incident = office.people["sam"].get(f"/incidents/{alarm['incident']}")
    assert incident["about"] == "olga" and [r["state"] for r in incident["runs"]] == ["waiting"]
    assert notices(office, "alarm")[0]["texts"]["en"]["title"] == "Alarm: Wrong passwords"


def test_an_alarm_knows_its_incident_and_who_has_looked(office):
    sam, audrey = office.people["sam"], office.people["audrey"]
    alarm = alarms(office, "wrong-passwords")[0]
    incident = sam.get(f"/incidents/{alarm['incident']}")
    assert "alarm" in [n["kind"] for n in incident["timeline"]] and not alarm["seen_at"]
    with pytest.raises(Refused):
        audrey.post(f"/alarms/{alarm['id']}/seen", {})
    whose = office.store("SELECT person_name FROM watch_alarm WHERE number = ?", alarm["id"])
    office.store("UPDATE watch_alarm SET person_name = 'sam' WHERE number = ?", alarm["id"])
    with pytest.raises(Refused) as refused:
        sam.post(f"/alarms/{alarm['id']}/seen", {"why": "it is about me"})
    assert refused.value.status == 409, "nobody silences what is about himself"
    office.store("UPDATE watch_alarm SET person_name = ? WHERE number = ?", whose[0][0], alarm["id"])
    sam.post(f"/alarms/{alarm['id']}/seen", {"why": "olga mistyped"})
    seen = next(a for a in alarms(office) if a["id"] == alarm["id"])
    assert seen["seen_by"] == "sam" and seen["seen_at"]
    assert alarm["id"] not in [a["id"] for a in sam.get("/alarms?new=1")["items"]]
    with pytest.raises(Refused):
        sam.post(f"/alarms/{alarm['id']}/seen", {})
    found = audrey.get("/admin/ledger/events?q=mistyped")["items"]
    assert [e["method"] for e in found if e["kind"] == "admin"] == ["alarm seen"]


def test_what_is_looked_for_is_told(office):
    told = office.people["sam"].get("/detections")
    assert {"wrong-passwords", "password-spraying", "ledger-gap"} <= {d["name"] for d in told["detections"]}
    assert told["watch"]["up"] and not told["watch"]["degraded"], told["watch"]
    assert told["watch"]["detections"] == len(told["detections"])


def test_the_command_line_lists_what_is_looked_for(office):
    said = office.cli("detect", "list", "-c", office.config).stdout
    assert "wrong-passwords" in said and "password-spraying" in said and "ms behind" in said, said
    one = json.loads(office.cli("detect", "show", "wrong-passwords", "-c", office.config).stdout)
    assert one["severity"] == "high" and one["plan"] == "stolen-credentials"
    missing = office.cli("detect", "show", "nothing", "-c", office.config, check=False)
    assert missing.returncode == 1 and "no detection" in missing.stderr


def test_detections_are_tried_over_the_past(office):
    past = office.cli("ledger", "search", "--limit", "1000", "-c", office.config).stdout
    only = ("--detection", "wrong-passwords")
    told = json.loads(office.cli("detect", "test", office.documents, *only, "--json", input_text=past).stdout)
    [one] = told["detections"]
    assert one["name"] == "wrong-passwords" and one["alarms"] == len(told["alarms"]) >= 1 and told["unread"] == 0
    assert "person=olga" in [a["keys"] for a in told["alarms"]] and told["events"] > 10
    table = office.cli("detect", "test", office.documents, input_text=past)
    assert "password-spraying" in table.stdout and "events of" in table.stderr
    wrong = office.cli("detect", "test", office.documents, "--detection", "nothing", input_text=past, check=False)
    assert wrong.returncode == 1 and "no detection" in wrong.stderr
    broken = office.cli("detect", "test", office.documents, input_text='{"a":\n[]\n', check=False)
    assert "2 lines not read" in broken.stderr


def test_a_restart_counts_on_and_tells_nothing_twice(office):
    before = len(alarms(office))
    fail_to_sign_in(office, "sam", 1)
    pid = office.kill("watch")
    office.wait_role("watch", other_than=pid)
    fail_to_sign_in(office, "sam", 1)
    wait_for("the alarm over a restart", 15,
             lambda: [a for a in alarms(office, "wrong-passwords") if a["person"] == "sam"])
    pid = office.kill("watch")
    office.wait_role("watch", other_than=pid)
    pid = office.kill("core")
    office.wait_role("core", other_than=pid)
    wait_for("the watch", 15, lambda: office.people["sam"].again() and status(office).get("up"))
    time.sleep(2)
    assert len(alarms(office)) == before + 1, alarms(office)
    assert len(on_ledger(office, "wrong-passwords")) == 2


def test_an_alarm_whose_row_was_not_marked_is_told_again_and_written_once(office):
    """As when core ends between the event and the row's mark: both the row and the watch know nothing of it."""
    state = os.path.join(office.state, "watch", "state")
    store = os.path.join(office.state, "core", "core.db")
    shutil.copy2(state, state + ".before")
    number = alarms(office)[0]["id"]
    fail_to_sign_in(office, "audrey", 2)
    one = wait_for("the alarm", 15, lambda: [a for a in alarms(office) if a["person"] == "audrey"])[0]
    written = len(on_ledger(office, "wrong-passwords"))
    core, watch = office.kill("core"), office.kill("watch")
    with open(state + ".before", "rb") as old, open(state, "r+b") as now:
        now.truncate(0)
        now.write(old.read())
    with sqlite3.connect(store, timeout=20) as db:
        assert db.execute("UPDATE watch_alarm SET written = 0 WHERE number = ?", (int(one["id"]),)).rowcount == 1
    office.wait_role("core", other_than=core)
    office.wait_role("watch", other_than=watch)

    def marked():
        with sqlite3.connect(store, timeout=20) as db:
            return db.execute("SELECT written FROM watch_alarm WHERE number = ?", (int(one["id"]),)).fetchone()[0]

    wait_for("its mark", 20, marked)
    assert int(one["id"]) == int(number) + 1 and len(on_ledger(office, "wrong-passwords")) == written


def test_wrong_codes_count_only_with_the_right_password(office):
    """So nobody without it can set off what ends a victim's session."""
    for _ in range(2):
        with pytest.raises(Refused):
            one = office.people["olga"].again()
            one.password = "wrong horse battery"
            one.totp = types.SimpleNamespace(code=lambda: "000000")
            one.sign_in()
    found = office.people["audrey"].get("/admin/ledger/events?kind=sign-in&limit=50")["items"]
    why = [json.dumps(e) for e in found if "olga" in json.dumps(e) and "deny" in json.dumps(e)]
    assert why and not any('why\\": \\"code' in w or '"why": "code"' in w or 'why\\":\\"code' in w for w in why), why


def status(office):
    try:
        return office.people["sam"].get("/detections")["watch"]
    except (Refused, OSError):
        return {}


def test_an_alarm_whose_plan_could_not_be_kept_runs_it_later_and_once(office):
    """The store fails between the taking of an alarm and the first step, as when core ends there."""
    sam = office.people["sam"]
    office.employee("nina", [])  # nobody has been told about her
    store = sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=20)
    store.execute("CREATE TRIGGER no_runs BEFORE INSERT ON plan_run BEGIN SELECT RAISE(ABORT, 'a test'); END")
    store.commit()

    def runs():
        return [r for r in sam.get("/plan-runs?all=1")["items"] if r["about"]["person"] == "nina"]

    try:
        fail_to_sign_in(office, "nina", 2)
        wait_for("the alarm", 10, lambda: [a for a in alarms(office, "wrong-passwords") if a["person"] == "nina"])
        time.sleep(1.5)
        assert not runs()
    finally:
        store.execute("DROP TRIGGER no_runs")
        store.commit()
        store.close()
    wait_for("the plan", 10, runs)
    time.sleep(1.5)
    assert len(runs()) == 1
    did = {s["name"]: s["state"] for s in sam.get(f"/plan-runs/{runs()[0]['id']}")["steps"]}
    assert did["session"] == "failed" and did["prove"] == "done", "what it does not know fails, and the rest goes on"
    alarm = next(a for a in alarms(office, "wrong-passwords") if a["person"] == "nina")
    notes = [n for n in sam.get(f"/incidents/{alarm['incident']}")["timeline"] if n["kind"] == "alarm"]
    assert len(notes) == 1 and len([e for e in on_ledger(office, "wrong-passwords") if "nina" in json.dumps(e)]) == 1


def test_who_has_no_business_is_refused(office):
    with pytest.raises(Refused):
        office.people["olga"].get("/alarms")


@pytest.mark.slow
def test_a_watch_that_stands_still_is_told_by_core(office):
    """It cannot say so itself. What would start it again stands still as well."""
    assert not notices(office, "part-away")
    still = [office.process.pid, office.pid("watch")]
    for pid in still:
        os.kill(pid, signal.SIGSTOP)
    try:
        told = wait_for("the notice", 60, lambda: notices(office, "part-away"), step=0.5)
    finally:
        for pid in still:
            os.kill(pid, signal.SIGCONT)
    assert "the watch" in told[0]["texts"]["en"]["title"] and told[0]["severity"] == "critical"
    assert [e for e in office.people["audrey"].get("/admin/ledger/events?kind=role&limit=100")["items"] if e.get("method") == "away"]


def test_an_alarm_without_a_plan_goes_to_all_administrators_when_nobody_takes_it(office):
    office.employee("wil", [])
    fail_to_sign_in(office, "wil", 2)
    alarm = wait_for("the alarm", 10, lambda: [a for a in alarms(office, "two-wrong") if a["incident"]])[0]
    assert alarm["plan"] in (None, "")

    def pages(words):
        return [n for n in notices(office, "alarm") if words in n["texts"]["en"]["title"]]

    assert wait_for("the page", 10, lambda: pages("Nobody has a plan"))[0]["must_acknowledge"]
    low = wait_for("the other page", 10, lambda: pages("one-wrong"))[0]
    assert not low["must_acknowledge"], "what is not grave waits for whoever looks"
    office.store("UPDATE notice SET created = created - 601 WHERE name = 'alarm'")  # ten minutes later

    def escalated(words):
        return [n for n in office.people["olga"].get("/me/notices")["items"]
                if "Nobody has acknowledged" in n["texts"]["en"]["title"] and words in json.dumps(n["texts"]["en"])]

    wait_for("the escalation", 10, lambda: escalated("Nobody has a plan"))
    assert not escalated("one-wrong")

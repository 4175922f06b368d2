# SPDX-License-Identifier: Apache-2.0
"""Reports to authorities on a real office: a grave incident opens one, its clocks survive what happens, a person signs.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/REPORTS.md, core/reports/README.md.
"""
import datetime
import hashlib
import json
import os
import signal
import sqlite3
import threading
import time

import pytest
from noticelib import Local
from officelib import ROOT, Office, wait_for
from portal import Refused

OFFICERS = """\
kind: Officer
name: leader
duty: security_leader
person: sam
contact: "+86 10 5555 0101"
basis: A21-1
---
kind: Officer
name: privacy
duty: data_protection
person: nobody-yet
---
kind: Officer
name: speaker
duty: incident_reporting
person: rita
---
kind: Rota
name: duty
commander: [nobody-yet, nina]
scribe: [olga]
liaison: [rita]
---
kind: Plan
name: tried
mode: manual
drill_every: 8s
steps:
  - { name: look, do: task, with: { text: look } }
"""


@pytest.fixture(scope="module")
def office():
    one = Office()
    os.unlink(os.path.join(one.documents, "people.yaml"))  # the demo office's own officers
    with open(os.path.join(one.documents, "officers.yaml"), "w", encoding="utf-8") as file:
        file.write(OFFICERS)
    os.chmod(os.path.join(one.documents, "officers.yaml"), 0o644)
    try:
        one.start()
        one.set_up_administrators()
        one.employee("nina", [])
        one.root = Local(one.run_dir)
        yield one
    finally:
        one.close()


def opened(office, title="Orders were copied", severity="high", drill=False):
    return office.root.post("/incidents", {"title": title, "severity": severity, "drill": drill})["id"]


def report_of(office, incident):
    return wait_for(f"a report of {incident}", 8,
                    lambda: next((r["id"] for r in office.root.get("/reports")["items"] if r["incident"] == incident), None))


def tell(office, report, fact, value):
    return office.root.post(f"/reports/{report}/facts", {"fact": fact, "value": value})


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def clocks(report):
    return {c["duty"]: c for c in report["clocks"]}


def events(office, method):
    found = office.people["audrey"].get("/admin/ledger/events?kind=incident&limit=200")["items"]
    return [e for e in found if f'"{method}"' in json.dumps(e) or e.get("method") == method]


def test_a_grave_incident_opens_a_report_and_a_drill_does_not(office):
    low, drill = opened(office, "A printer", "low"), opened(office, "An exercise", "critical", True)
    report = report_of(office, opened(office))
    assert not [r for r in office.root.get("/reports")["items"] if r["incident"] in (low, drill)]
    said = office.root.get(f"/reports/{report}")
    assert said["pack"] == "cn" and said["dated"] == "2026-11-01" and said["level"] is None
    assert said["might"]["name"] == "particularly-major" and said["person_decides"]
    assert clocks(said)["authority-cii"]["applies"] == "open" and 3500 < clocks(said)["authority-cii"]["left_s"] <= 3600
    assert clocks(said)["closing"]["due_at"] is None
    assert "system" in said["missing"] and "[MISSING]" in said["draft"]["en"] and "【待补充】" in said["draft"]["zh"]
    assert "Lantern Trading" in said["draft"]["en"] and "空缺" in said["draft"]["zh"] and "5555 0101" in said["draft"]["zh"]


def test_a_token_of_another_system_starts_clocks_only_when_it_is_critical(office):
    token = office.root.post("/admin/api-tokens", {"name": "siem"})["token"]
    told = {}
    for severity in ("high", "critical"):
        answer = office.browser().request("POST", "portal", "/api/v1/hooks/incidents",
                                          body=json.dumps({"title": f"A {severity} one", "severity": severity}).encode(),
                                          headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        assert answer.status == 201, answer.body
        told[severity] = answer.json()["incident"]
    report_of(office, told["critical"])
    assert told["high"] not in [r["incident"] for r in office.root.get("/reports")["items"]]


def test_facts_settle_it(office):
    report = report_of(office, opened(office, "A leak"))
    for fact in ("loss_yuan", "outage_minutes", "affected_persons", "important_data", "core_data", "public_interest", "crime",
                 "cii", "central_organ", "defect"):
        tell(office, report, fact, 0)
    assert tell(office, report, "persons", 999999)["level"]["name"] == "ordinary"
    said = tell(office, report, "persons", 1000000)
    assert said["level"]["name"] == "relatively-major" and said["open_facts"] == [] and said["person_decides"]
    assert {d: c["applies"] for d, c in clocks(said).items()} == {"authority": "yes", "personal-data": "yes", "closing": "yes"}
    said = tell(office, report, "judgement", 0)
    assert not said["person_decides"] and said["might"]["name"] == "relatively-major"
    said = office.root.post(f"/reports/{report}/facts", {"fact": "persons", "unknown": True})
    assert said["level"] is None and "persons" in said["open_facts"]
    for wrong in ({"fact": "person", "value": 1}, {"fact": "crime", "value": 2}, {"fact": "judgement", "value": 9}):
        assert office.root.call("POST", f"/reports/{report}/facts", wrong)[0] == 422


def test_a_person_signs_and_root_does_not(office):
    report = report_of(office, opened(office, "To be signed"))
    sam, audrey = office.people["sam"], office.people["audrey"]
    assert office.root.call("POST", f"/reports/{report}/sign", {"phase": "first", "draft_sha256": "0" * 64})[0] == 403
    sam.fresh()
    with pytest.raises(Refused) as missing:
        sam.post(f"/reports/{report}/sign", {"phase": "first", "draft_sha256": "0" * 64})
    assert missing.value.status == 409 and "system" in str(missing.value)
    for item, text in (("system", "orders-db"), ("place", "Beijing"), ("kind", "data leak <b>")):
        sam.post(f"/reports/{report}/items", {"item": item, "text": text})
    tell(office, report, "persons", 5)
    read = sam.get(f"/reports/{report}")["draft"]["sha256"]
    audrey_reads = audrey.get(f"/reports/{report}")["draft"]
    assert read == hashlib.sha256((audrey_reads["en"] + "\n" + audrey_reads["zh"]).encode()).hexdigest()
    office.root.post(f"/reports/{report}/items", {"item": "place", "text": "Beijing, second office"})
    with pytest.raises(Refused) as changed:
        sam.post(f"/reports/{report}/sign", {"phase": "first", "draft_sha256": read, "incomplete": True})
    assert changed.value.status == 409 and "read it again" in str(changed.value).lower(), "nobody signs what he has not seen"
    read = sam.get(f"/reports/{report}")["draft"]["sha256"]
    sam.post(f"/reports/{report}/sign", {"phase": "first", "draft_sha256": read, "incomplete": True})
    paper = audrey.get(f"/reports/{report}/papers/1")
    assert paper["signed_by"] == "sam" and "data leak <b>" in paper["en"] and "orders-db" in paper["zh"]
    want = hashlib.sha256((paper["en"] + "\n" + paper["zh"]).encode()).hexdigest()
    assert paper["sha256"] == want and events(office, want)
    exported = office.cli("report", "export", report, "1", "-c", office.config).stdout
    assert hashlib.sha256(exported.encode()).hexdigest() == want
    sam.post(f"/reports/{report}/items", {"item": "place", "text": "Shanghai"})
    assert "Shanghai" not in audrey.get(f"/reports/{report}/papers/1")["en"]  # what is signed stays
    sam.post(f"/reports/{report}/filed", {"duty": "personal-data", "receipt": "No. 77"})
    assert clocks(audrey.get(f"/reports/{report}"))["personal-data"]["receipt"] == "No. 77"
    with pytest.raises(Refused):
        sam.post(f"/reports/{report}/filed", {"duty": "personal-data", "receipt": "again"})
    with pytest.raises(Refused):
        audrey.post(f"/reports/{report}/filed", {"duty": "police", "receipt": "x"})
    with pytest.raises(Refused):
        office.people["nina"].get(f"/reports/{report}")


def test_merging_loses_nothing_that_hangs_on_an_incident(office):
    sam, began = office.people["sam"], int(time.time()) - 1000
    early, grave, twin = opened(office, "Odd mail", "low"), opened(office, "Odd exports", "critical"), opened(office, "Copies")
    office.store("UPDATE incident SET opened = ? WHERE id = ?", began, int(early))
    report, other = report_of(office, grave), report_of(office, twin)
    tell(office, report, "persons", 7)
    tell(office, report, "crime", 0)
    tell(office, other, "persons", 9)
    tell(office, other, "cii", 1)
    sam.post(f"/reports/{other}/filed", {"duty": "authority-cii", "receipt": "No. 5"})
    run = office.root.post("/plans/tried/run", {"reason": "to see", "incident": int(grave)})["id"]
    for number in (grave, twin):
        whole = sam.post(f"/incidents/{number}/merge", {"into": int(early)})
    assert whole["severity"] == "critical" and whole["opened_at"].startswith(time.strftime("%Y-%m-%dT%H:%M", time.gmtime(began)))
    assert run in [r["id"] for r in whole["runs"]]
    assert [r["id"] for r in office.root.get("/reports")["items"] if r["incident"] in (early, grave, twin)] == [report]
    said = office.root.get(f"/reports/{report}")
    assert said["incident"] == early and said["discovered_at"] == whole["opened_at"], "clocks run from the earliest"
    assert said["facts"] == {"persons": 7, "crime": 0, "cii": 1}, "what both knew is as it was in the one that stays"
    assert clocks(said)["authority-cii"]["receipt"] == "No. 5" and clocks(said)["closing"]["due_at"] is None
    assert "Odd exports" in said["draft"]["en"], "how it was noticed"
    sam.post(f"/incidents/{early}/merge", {"into": int(opened(office, "Last", "low"))})
    last = office.root.get(f"/reports/{report}")["incident"]
    assert office.root.get(f"/incidents/{grave}")["merged_into"] == last != early


def test_nobody_reports_what_is_about_himself(office):
    sam, nina = office.people["sam"], office.people["nina"]
    his, hers = (who.post("/me/reports", {"kind": "phishing"})["incident"] for who in (sam, nina))
    assert office.root.call("POST", f"/incidents/{his}/merge", {"into": int(hers)})[0] == 409, "about two people"
    with pytest.raises(Refused) as refused:
        sam.post("/reports", {"incident": int(his)})
    assert refused.value.status == 409
    general = opened(office, "Mail from outside", "low")
    office.store("UPDATE incident SET opened = opened - 172800 WHERE id = ?", int(general))
    office.store("UPDATE incident_note SET at_us = at_us - 172800000000 WHERE incident = ?", int(general))
    merged = office.root.post(f"/incidents/{his}/merge", {"into": int(general)})
    assert merged["about"] == "sam" and "sam" not in merged["roles"].values()
    assert sam.post("/me/reports", {"kind": "phishing"})["incident"] == general, "the next of its kind joins it too"
    assert {r["incident"] for r in sam.get("/me/reports")["items"]} == {general}
    for what, body in (("task", {"text": "look", "whose": "sam"}), ("role", {"role": "scribe", "person": "sam"})):
        assert office.root.call("POST", f"/incidents/{general}/{what}", body)[0] == 422, what
    report = office.root.post("/reports", {"incident": int(general)})["id"]
    for what, body in (("facts", {"fact": "persons", "value": 0}), ("items", {"item": "place", "text": "nowhere"}),
                       ("discovered", {"at_unix_s": 1, "why": "x"}), ("filed", {"duty": "police", "receipt": "No. 0"})):
        with pytest.raises(Refused) as refused:
            sam.post(f"/reports/{report}/{what}", body)
        assert refused.value.status == 409, what
    assert sam.get(f"/reports/{report}")["facts"] == {}


def test_only_root_gives_its_clocks_more_time(office):
    report = report_of(office, opened(office, "Noticed later"))
    time.sleep(1.1)  # the second in which it was opened is over
    with pytest.raises(Refused) as refused:
        office.people["sam"].post(f"/reports/{report}/discovered", {"at_unix_s": int(time.time()), "why": "it was later"})
    assert refused.value.status == 422 and "root" in str(refused.value)
    office.people["sam"].post(f"/reports/{report}/discovered", {"at_unix_s": int(time.time()) - 90, "why": "the log says so"})
    with pytest.raises(Refused):
        office.people["sam"].post(f"/reports/{report}/discovered", {"at_unix_s": int(time.time()) - 60, "why": "a bit later"})
    office.root.post(f"/reports/{report}/discovered", {"at_unix_s": int(time.time()), "why": "the log was wrong"})


def test_of_two_words_on_when_it_was_noticed_the_earlier_stands(office):
    """Both were right when they asked; the ledger keeps the second one waiting."""
    report = report_of(office, opened(office, "Noticed by two"))
    before = office.root.get(f"/reports/{report}")["discovered_at"]
    said = {}

    def say(ago):
        try:
            office.people["sam"].post(f"/reports/{report}/discovered", {"at_unix_s": int(time.time()) - ago, "why": "the log says so"})
            said[ago] = 200
        except Refused as refused:
            said[ago] = refused.status

    ledger = office.pid("ledger")
    both = [threading.Thread(target=say, args=(ago,)) for ago in (7200, 60)]
    os.kill(ledger, signal.SIGSTOP)
    try:
        for thread in both:
            thread.start()
            time.sleep(0.4)
    finally:
        os.kill(ledger, signal.SIGCONT)
    for thread in both:
        thread.join(20)
    assert said == {7200: 200, 60: 409}, said
    now = office.root.get(f"/reports/{report}")["discovered_at"]
    assert now < before and time.time() - seconds(now) > 7000


def test_clocks_survive_a_restart_and_tell_once(office):
    report = report_of(office, opened(office, "Long ago"))
    began = int(time.time()) - 3500
    office.root.post(f"/reports/{report}/discovered", {"at_unix_s": began, "why": "the log says so"})
    due = clocks(office.root.get(f"/reports/{report}"))["authority-cii"]["due_at"]
    pid = office.kill("core")  # the next look is right after a start
    office.wait_role("core", other_than=pid)
    first = wait_for("it is told", 12, lambda: [e for e in events(office, "report due") if "authority-cii" in json.dumps(e)])
    after = clocks(office.root.get(f"/reports/{report}"))["authority-cii"]
    assert after["due_at"] == due and after["stage"] == "quarter" and after["left_s"] <= 100
    notices = [n for n in office.root.get("/admin/notices")["items"] if "report is due" in n["title"]]
    assert notices
    pid = office.kill("core")
    office.wait_role("core", other_than=pid)
    time.sleep(3)
    assert len([e for e in events(office, "report due") if "authority-cii" in json.dumps(e)]) == len(first)
    # a clock that was ahead when this store last looked: what it has seen counts, a clock set back gives no time
    store = sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=20)
    with store:
        store.execute("UPDATE report_clock SET seen = ?", (int(time.time()) + 7200,))
    store.close()
    late = clocks(office.root.get(f"/reports/{report}"))["authority-cii"]
    assert late["stage"] == "over" and late["left_s"] < -7000
    with pytest.raises(Refused) as refused:
        office.people["sam"].post("/reports/clock", {"why": "it was wrong"})
    assert refused.value.status in (403, 404)
    incident = opened(office, "Opened while it was ahead")
    ahead = report_of(office, incident)
    office.root.post(f"/incidents/{incident}/task", {"text": "look", "within_s": 3600})
    office.store("UPDATE incident_note SET at_us = at_us + 7200000000 WHERE incident = ?", int(incident))
    office.store("UPDATE incident_task SET created = created + 7200, due = due + 7200 WHERE incident = ?", int(incident))
    assert clocks(office.root.get(f"/reports/{ahead}"))["authority-cii"]["stage"] == "over"
    said = office.cli("report", "clock-reset", "--why", "it had jumped ahead", "-c", office.config).stdout
    assert said.startswith(time.strftime("it is %Y-%m-%dT%H", time.gmtime()))
    assert clocks(office.root.get(f"/reports/{report}"))["authority-cii"]["left_s"] > 0
    assert clocks(office.root.get(f"/reports/{ahead}"))["authority-cii"]["stage"] == "far"
    wait_for("the entry", 5, lambda: events(office, "report clock reset"))
    said = office.root.get(f"/incidents/{incident}")
    assert max(seconds(n["at"]) for n in said["timeline"]) <= time.time() and abs(seconds(said["tasks"][0]["due_at"]) - time.time() - 3600) < 60


def test_the_clock_of_thirty_days_runs_from_the_closing_over_restarts(office):
    day = 86400
    incident = opened(office, "Closed at last")
    report = report_of(office, incident)

    def closing():
        return clocks(office.root.get(f"/reports/{report}"))["closing"]

    def told(method):
        return [e for e in events(office, method) if e["detail"]["report"] == str(report) and "closing" in e["detail"]["what"]]

    def later(days):
        """So many days later core starts, and looks at once."""
        office.store("UPDATE incident SET closed = closed - ? WHERE id = ?", days * day, int(incident))
        office.wait_role("core", other_than=office.kill("core"))

    assert closing()["due_at"] is None and closing()["stage"] == "waits"
    office.root.post(f"/incidents/{incident}/close", {"review": "nothing was lost"})
    first = closing()
    assert 30 * day - 60 < first["left_s"] <= 30 * day and first["stage"] == "far"
    later(0)
    assert closing()["due_at"] == first["due_at"] and not told("report due")
    later(16)
    wait_for("half of it", 15, lambda: told("report due"))
    assert closing()["stage"] == "half" and 13 * day < closing()["left_s"] < 14 * day
    later(15)
    wait_for("its end", 15, lambda: told("report overdue"))
    assert closing()["stage"] == "over" and closing()["left_s"] < 0
    later(0)
    time.sleep(3)
    assert (len(told("report due")), len(told("report overdue"))) == (1, 1), "each once"


def test_officers_and_vacancies(office):
    officers = {o["name"]: o for o in office.people["audrey"].get("/officers")["items"]}
    assert not officers["leader"]["vacant"] and officers["leader"]["title"]["zh"] == "网络安全负责人"
    assert officers["privacy"]["vacant"] and officers["privacy"]["vacant_since"]
    text = office.cli("metrics", "show", "-c", office.config).stdout
    vacant = sum(o["vacant"] for o in officers.values())
    assert vacant >= 2 and f"sallyport_officers_vacant {vacant}\n" in text
    told = office.people["audrey"].get("/admin/ledger/events?kind=admin&limit=200")["items"]
    assert {"privacy", "speaker"} <= {e.get("object") for e in told if e.get("method") == "officer vacant"} or "officer vacant" in json.dumps(told)
    rows = office.cli("officers", "-c", office.config).stdout
    assert "security_leader" in rows and "privacy" in rows


def test_a_law_pack_under_which_clocks_run_stays(office):
    sam = office.people["sam"]
    with open(os.path.join(ROOT, "packaging", "law", "law.yaml"), encoding="utf-8") as file:
        ours = file.read().replace("\nname: cn\n", "\nname: ours\n")
    files = sam.get("/admin/policy/documents")["files"]
    sam.post("/admin/policy/apply", {"files": files + [{"path": "ours.yaml", "text": ours}], "comment": "our own"})
    sam.post("/admin/policy/apply", {"files": files, "comment": "no report is under it yet"})
    sam.post("/admin/policy/apply", {"files": files + [{"path": "ours.yaml", "text": ours}], "comment": "again"})
    incident = opened(office, "Orders were copied again")
    wait_for("a report under it", 10, lambda: [r for r in office.root.get("/reports")["items"]
                                              if r["incident"] == incident and r["pack"] == "ours"])
    with pytest.raises(Refused) as refused:
        sam.post("/admin/policy/apply", {"files": files, "comment": "ours goes"})
    assert refused.value.status == 422 and "the LawPack 'ours' cannot go" in json.dumps(refused.value.problem)
    assert [r for r in office.root.get("/reports")["items"] if r["pack"] == "ours"]


def inbox(office, notice, words):
    return [n for n in office.people["olga"].get("/me/notices")["items"]
            if n["name"] == notice and words in json.dumps(n["texts"]["en"])]


def aged(office, gap, days):
    """That gap was told (and began) so many days ago."""
    with sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=20) as store:
        changed = store.execute("UPDATE gap SET since = since - ?1, told = told - ?1 WHERE name = ?2 AND told > 0",
                                (days * 86400, gap)).rowcount
        assert changed == 1, gap


def attention(office):
    return {item["code"]: item["count"] for item in office.people["olga"].get("/admin/overview")["attention"]}


def happened(office, method, name):
    kind = "plan" if method.startswith("drill") else "admin"  # reading writes entries too
    events = office.people["audrey"].get(f"/admin/ledger/events?kind={kind}&limit=200")["items"]
    return [e for e in events if e.get("method") == method and e.get("object") == name]


def test_a_place_that_stays_vacant_is_told_again(office):
    wait_for("the notice", 10, step=0.2, condition=lambda: happened(office, "officer vacant", "privacy"))
    before = len(inbox(office, "officer-vacant", "ersonal information"))
    aged(office, "officer:privacy", 6)
    time.sleep(6)
    assert len(happened(office, "officer vacant", "privacy")) == 1, "not before a week has passed"
    aged(office, "officer:privacy", 1)
    wait_for("its entry", 20, lambda: len(happened(office, "officer vacant", "privacy")) == 2, step=0.2)
    wait_for("it to be told again", 20, lambda: len(inbox(office, "officer-vacant", "ersonal information")) > before)
    assert attention(office)["officers_vacant"] >= 2


def test_a_role_that_nobody_of_the_rota_could_take(office):
    assert wait_for("the gap", 10, step=0.2, condition=lambda: happened(office, "rota gap", "liaison"))
    assert not happened(office, "rota gap", "scribe")
    wait_for("a commander", 10, step=0.2, condition=lambda: not inbox(office, "rota-gap", "commander") or happened(office, "rota filled", "commander"))
    gaps = len(happened(office, "rota gap", "commander"))
    cut = office.root.post("/cuts", {"kind": "person", "name": "nina", "reason": "for a test"})
    wait_for("the gap", 10, step=0.2, condition=lambda: len(happened(office, "rota gap", "commander")) == gaps + 1)
    wait_for("the notice", 10, lambda: inbox(office, "rota-gap", "nobody-yet, nina"))
    assert attention(office)["rota_gap"] == 2
    told = len(inbox(office, "rota-gap", "commander"))
    aged(office, "rota:commander", 1)
    wait_for("it to be told again", 10, lambda: len(inbox(office, "rota-gap", "commander")) == told + 1)
    office.root.post(f"/cuts/{cut['id']}/undo", {"reason": "over"})
    wait_for("its end", 10, step=0.2, condition=lambda: attention(office)["rota_gap"] == 1)
    assert happened(office, "rota filled", "commander")


def test_a_plan_that_was_not_drilled_in_its_time(office):
    def plan():
        return next(p for p in office.people["sam"].get("/plans")["items"] if p["name"] == "tried")

    wait_for("the notice", 20, lambda: inbox(office, "drill-due", "tried"))
    assert plan()["drill_due"] and attention(office)["drills_due"] == 1, "the ten others have their time"
    assert [p["name"] for p in office.people["sam"].get("/plans")["items"] if p["drill_due"]] == ["tried"]
    assert "sallyport_drills_due 1" in office.cli("metrics", "show", "-c", office.config).stdout
    office.root.post("/plans/tried/run", {"drill": True})
    assert not plan()["drill_due"]
    wait_for("the end", 10, step=0.2, condition=lambda: happened(office, "drilled", "tried"))
    wait_for("it to be due again", 20, lambda: len(inbox(office, "drill-due", "tried")) == 2)


def test_the_command_line_shows_and_drafts(office):
    report = office.root.get("/reports")["items"][0]["id"]
    shown = office.cli("report", "show", report, "-c", office.config).stdout
    assert "law pack" in shown and "authority" in shown and "missing" in shown
    assert "网络安全事件报告" in office.cli("report", "draft", report, "--language", "zh", "-c", office.config).stdout
    assert report in office.cli("report", "list", "-c", office.config).stdout
    office.cli("report", "fact", report, "crime", "yes", "-c", office.config)
    assert office.root.get(f"/reports/{report}")["facts"]["crime"] == 1


def test_a_draft_in_chinese_tells_the_timeline_in_chinese(office):
    """What core wrote there; a person's words stay as they are."""
    incident = opened(office, "A lost notebook", "low")
    office.root.post("/plans/tried/run", {"reason": "to see", "incident": int(incident)})
    office.root.post(f"/incidents/{incident}/task", {"text": "call her"})
    task = next(t["number"] for t in office.root.get(f"/incidents/{incident}")["tasks"] if t["text"] == "call her")
    office.root.post(f"/incidents/{incident}/tasks/{task}/done", {})
    office.people["sam"].post("/reports", {"incident": int(incident)})
    draft = office.root.get(f"/reports/{report_of(office, incident)}")["draft"]
    assert " step look: look\n" in draft["en"] and f" task {task} is done\n" in draft["en"]
    assert " 步骤 look 完成：look\n" in draft["zh"] and f" 任务 {task} 已完成\n" in draft["zh"], draft["zh"]
    assert " call her\n" in draft["zh"] and "step look" not in draft["zh"]
    drill = office.root.post("/plans/tried/run", {"reason": "an exercise", "drill": True})["incident"]
    office.people["sam"].post("/reports", {"incident": int(drill)})
    draft = office.root.get(f"/reports/{report_of(office, drill)}")["draft"]
    assert f"No. {drill}: Drill: tried\n" in draft["en"] and f"编号 {drill}：演练：tried\n" in draft["zh"]


def gaps(office):
    with sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=20) as store:
        return dict(store.execute("SELECT name, told FROM gap"))


def test_what_no_document_names_is_no_gap_and_no_rota_is_one(office):
    """Last: it takes documents away."""
    sam = office.people["sam"]
    wait_for("the gaps", 20, lambda: {"officer:speaker", "drill:tried"} <= set(gaps(office)), step=0.2)
    vacant = attention(office)["officers_vacant"]
    files = sam.get("/admin/policy/documents")["files"]
    ours = next(f for f in files if f["path"].endswith("officers.yaml"))
    kept = [d for d in ours["text"].split("---\n") if "name: speaker" not in d and "kind: Rota" not in d and "name: tried" not in d]
    ours["text"] = "---\n".join(kept)
    sam.post("/admin/policy/apply", {"files": files, "comment": "no speaker, no Rota, no plan of ours"})
    wait_for("their end", 20, lambda: not {"officer:speaker", "drill:tried"} & set(gaps(office)), step=0.2)
    assert attention(office)["officers_vacant"] == vacant - 1
    assert "drills_due" not in attention(office)
    assert gaps(office)["rota:any"] == 0 and "rota_gap" not in attention(office), "an office that is set up has a day"
    with sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=20) as store:
        store.execute("UPDATE gap SET since = since - 86400 WHERE name = 'rota:any'")
    wait_for("the notice", 10, lambda: inbox(office, "rota-gap", "there is no Rota"))
    assert attention(office)["rota_gap"] == 1
    incident = sam.get(f"/incidents/{opened(office, 'Without a Rota')}")
    assert set(incident["roles"].values()) == {None}
    assert [n["text"] for n in incident["timeline"] if n["kind"] == "role"].count("commander: nobody in the Rota can") == 1

# SPDX-License-Identifier: Apache-2.0
"""The wall clock of a running office is set, an hour ahead and back: docs/OPERATIONS.md "The clock".

A copy of the program needs clock_set.c, so that every role of it goes by a clock that is set here. OWNS the office, the
copy. PROCESS tests. TRUST none. SPEC docs/OPERATIONS.md, docs/DETECTIONS.md "What holds".
"""
import datetime
import json
import os
import struct
import subprocess
import time

import pytest
from officelib import BUILD, PROGRAM, ROOT, SANITIZED, WATCH_OFF, Office, wait_for

HOUR = 3600
DOCUMENTS = WATCH_OFF + """\
kind: Role
name: lead
---
kind: Resource
name: notes
operator: company
class: internal
web: { host: notes, upstream: "http://127.0.0.1:9" }
---
kind: Resource
name: other
operator: company
class: internal
web: { host: other, upstream: "http://127.0.0.1:9" }
---
kind: Plan
name: waits
mode: manual
steps:
  - { name: agree, do: task, with: { text: agree }, confirm_by: [lead], timeout: 30m }
  - { name: pause, do: wait, with: { for: 30m }, after: [] }
---
kind: Plan
name: short
mode: manual
steps:
  - { name: pause, do: wait, with: { for: 3s } }
---
kind: Detection
name: four-reads
severity: low
over: { kinds: read }
count: { at_least: 4, within: 10m }
quiet: 6h
---
kind: Detection
name: no-loss
severity: low
over: { kinds: loss }
absent: { for: 30m }
"""


SEEN = (" core warn the clock was set by", "what detections remember moves with it")


class Clock:
    def __init__(self, folder):
        self.path = os.path.join(folder, "ahead")
        self.set(0)
        os.chmod(self.path, 0o644)

    def set(self, ahead_s):
        if not os.path.exists(self.path):
            with open(self.path, "wb") as file:
                file.write(bytes(8))
        with open(self.path, "r+b") as file:
            file.write(struct.pack("<q", ahead_s))


def clocked(folder):
    """(a clock that is set, a copy of the program that goes by it: to be removed)"""
    if SANITIZED or os.geteuid() != 0:
        pytest.skip("a library before the sanitizer's; uids of the roles")
    for path in (folder, *folder.parents):
        if path.owner() == "root" and str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)
    clock = Clock(str(folder))
    library = str(folder / "clock_set.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", f'-DCLOCK_FILE="{clock.path}"', "-o", library,
                    os.path.join(ROOT, "tests", "system", "clock_set.c")], check=True)
    program = os.path.join(BUILD, "cli", f"sallyport-clock-{os.getpid()}")
    subprocess.run(["patchelf", "--add-needed", library, "--output", program, PROGRAM], check=True)
    return clock, program


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    clock, program = clocked(tmp_path_factory.mktemp("clock"))
    one = Office(documents={"office.yaml": DOCUMENTS}, program=program)
    one.clock = clock
    try:
        one.start()
        one.set_up_administrators()
        yield one
    finally:
        one.close()
        os.unlink(program)


def root(office, *words):
    return json.loads(office.cli(*words, "--json", "-c", office.config).stdout)


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def set_clock(office, ahead_s):
    """Set, and core and the watch have seen it."""
    before = [office.log().count(words) for words in SEEN]
    office.clock.set(ahead_s)
    wait_for("both to see it", 10, lambda: all(office.log().count(w) > n for w, n in zip(SEEN, before)))


def states(office, run):
    return {s["name"]: s["state"] for s in root(office, "plan", "report", run)["steps"]}


def alarms(office, detection):
    return [a for a in office.people["sam"].items("/alarms") if a["detection"] == detection]


def test_what_waits_and_what_is_cut_goes_on_as_long(office):
    run = root(office, "plan", "run", "waits", "--reason", "a test")["id"]
    root(office, "kill", "resource", "notes", "--reason", "a test", "--for", "30m")
    until = seconds(root(office, "kill", "list")[0]["until_at"])
    for ahead in (HOUR, 0, -HOUR, 0):
        set_clock(office, ahead)
        time.sleep(1.2)  # whoever ends something looks once a second
        assert states(office, run) == {"agree": "waiting", "pause": "waiting"}, ahead
        cuts = root(office, "kill", "list")
        assert len(cuts) == 1 and abs(seconds(cuts[0]["until_at"]) - until - ahead) < 5, (ahead, cuts)
    root(office, "kill", "undo", str(cuts[0]["id"]), "--reason", "over")


def test_a_task_is_late_by_the_time_that_passed(office):
    incident = root(office, "incident", "open", "It burns")["id"]
    root(office, "incident", "task", incident, "--text", "put it out", "--within", "1800")
    due = seconds(root(office, "incident", "show", incident)["tasks"][0]["due_at"])
    for ahead in (HOUR, -HOUR, 0):
        set_clock(office, ahead)
        time.sleep(1.2)
        one = root(office, "incident", "show", incident)
        assert abs(seconds(one["tasks"][0]["due_at"]) - due - ahead) < 3, ahead
        assert "overdue" not in [n["kind"] for n in one["timeline"]], ahead


def test_what_has_an_end_ends_although_the_clock_went_back(office):
    run = root(office, "plan", "run", "short", "--reason", "a test")["id"]
    root(office, "kill", "resource", "notes", "--reason", "a test", "--for", "3s")
    began = time.monotonic()
    set_clock(office, -HOUR)
    wait_for("the step", 10, lambda: states(office, run) == {"pause": "done"})
    wait_for("the cut's end", 10, lambda: not root(office, "kill", "list"))
    assert time.monotonic() - began > 2
    set_clock(office, 0)


def test_sessions_never_last_longer(office):
    def times():
        return {s["id"]: [seconds(s[name]) for name in ("started_at", "expires_at")] for s in office.people["sam"].items("/admin/sessions")}

    def went_back(before):
        now = times()
        return now.keys() == before.keys() and all(abs(t + HOUR - was) < 3 for i in now for t, was in zip(now[i], before[i]))

    before = times()
    assert len(before) >= 3
    set_clock(office, -HOUR)
    assert went_back(before), (before, times())
    stored = lambda: sorted(t for t, in office.store("SELECT started FROM session"))
    wait_for("the store", 10, lambda: len(stored()) == len(before) and all(
        abs(t + HOUR - was) < 3 for t, was in zip(stored(), sorted(began for began, _ in before.values()))))
    set_clock(office, 0)  # which is ahead by an hour: nobody was idle, and beginning and end stay where they are
    assert went_back(before), (before, times())


def test_a_detection_neither_misses_nor_tells_twice(office):
    def read(times):
        for _ in range(times):
            office.cli("ledger", "search", "--limit", "1", "-c", office.config)
            time.sleep(0.3)

    assert not alarms(office, "four-reads")
    read(3)
    set_clock(office, HOUR)
    read(1)
    wait_for("the alarm", 10, lambda: len(alarms(office, "four-reads")) == 1)
    set_clock(office, 0)
    read(5)
    set_clock(office, HOUR)
    read(5)
    set_clock(office, 0)
    events = office.cli("ledger", "search", "--kind", "role", "--limit", "200", "-c", office.config).stdout
    assert sum("clock jumped" in line for line in events.splitlines()) == 15
    assert len(alarms(office, "four-reads")) == 1
    assert not alarms(office, "no-loss"), "half an hour has not passed"


def test_a_cut_ends_when_the_store_says_so_not_by_what_the_table_had(office):
    root(office, "kill", "resource", "notes", "--reason", "a test", "--for", "2s")
    office.store("UPDATE cut SET until = until + 3600 WHERE ended = 0")  # moved, and the table has not heard of it
    time.sleep(4)
    cuts = root(office, "kill", "list")
    assert len(cuts) == 1 and seconds(cuts[0]["until_at"]) - time.time() > 3500, "its own time is not over"
    root(office, "kill", "undo", str(cuts[0]["id"]), "--reason", "over")


def test_an_incident_of_a_clock_that_was_ahead_takes_no_alarm_of_now(office):
    token = root(office, "api-token", "make", "probe")["token"]

    def opened():
        answer = office.browser().request("POST", "portal", "/api/v1/hooks/incidents",
                                          body=json.dumps({"title": "It burns", "topic": "fire"}).encode(),
                                          headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        assert answer.status == 201, answer.body
        return answer.json()["incident"]

    set_clock(office, 30 * 24 * HOUR)
    ahead = opened()
    assert opened() == ahead
    set_clock(office, 0)
    now = opened()
    assert now != ahead, "for a month nobody would be paged"
    assert opened() == now


def test_a_reset_of_the_clock_takes_nothing_of_a_task_again(office):
    """What was made while the clock was ahead has moved with it; root's word about reports comes after."""
    incident = root(office, "incident", "open", "It burns again")["id"]
    set_clock(office, 2 * HOUR)
    root(office, "incident", "task", incident, "--text", "put it out", "--within", "1800")
    root(office, "incident", "task", incident, "--text", "is out", "--within", "1800")
    office.store("UPDATE incident_task SET done = created WHERE number = 2 AND incident = (SELECT MAX(id) FROM incident)")
    done = root(office, "incident", "show", incident)["tasks"][1]
    set_clock(office, 0)
    office.cli("report", "clock-reset", "--why", "it had been ahead", "-c", office.config)
    time.sleep(1.2)
    one = root(office, "incident", "show", incident)
    task = one["tasks"][0]
    assert abs(seconds(task["due_at"]) - time.time() - 1800) < 60, task
    assert abs(seconds(task["created_at"]) - time.time()) < 60, task
    assert "overdue" not in [n["kind"] for n in one["timeline"]]
    assert one["tasks"][1]["due_at"] == done["due_at"], "it is over"


def test_all_rooms_move_or_none_and_it_is_tried_again(office):
    root(office, "kill", "resource", "notes", "--reason", "a test", "--for", "30m")
    until = seconds(root(office, "kill", "list")[0]["until_at"])
    office.store("CREATE TRIGGER refused BEFORE UPDATE ON cut BEGIN SELECT RAISE(ABORT, 'refused'); END")
    before = office.store("SELECT id, expires FROM session ORDER BY id")
    set_clock(office, -HOUR)
    wait_for("it to be said", 10, lambda: "could not be moved with it yet" in office.log())
    assert office.store("SELECT id, expires FROM session ORDER BY id") == before, "cuts did not move, so nothing did"
    root(office, "kill", "resource", "other", "--reason", "by the clock of now", "--for", "30m")
    office.store("DROP TRIGGER refused")
    first = lambda: next(c for c in root(office, "kill", "list") if c["name"] == "notes")
    wait_for("the cut", 10, lambda: abs(seconds(first()["until_at"]) - until + HOUR) < 5)
    later = next(c for c in root(office, "kill", "list") if c["name"] == "other")
    assert abs(seconds(later["until_at"]) - (time.time() - HOUR + 1800)) < 30, "it was made after the jump"
    root(office, "kill", "undo", str(later["id"]), "--reason", "over")
    moved = office.store("SELECT id, expires FROM session ORDER BY id")
    assert len(moved) == len(before) and all(abs(a[1] - b[1] - HOUR) < 3 for b, a in zip(moved, before))
    time.sleep(1.2)
    assert abs(seconds(root(office, "kill", "list")[0]["until_at"]) - until + HOUR) < 5, "once"
    pid = office.kill("core")
    office.clock.set(0)  # put right while core does not run
    office.wait_role("core", other_than=pid)
    cuts = root(office, "kill", "list")
    assert len(cuts) == 1 and abs(seconds(cuts[0]["until_at"]) - until) < 5, "it ends no earlier"
    root(office, "kill", "undo", str(cuts[0]["id"]), "--reason", "over")


def test_a_jump_that_the_store_has_not_taken_outlives_core(office):
    assert office.person("sam").items("/admin/sessions")
    root(office, "kill", "resource", "notes", "--reason", "a test", "--for", "30m")
    until = seconds(root(office, "kill", "list")[0]["until_at"])
    before = office.store("SELECT id, expires FROM session ORDER BY id")
    office.store("CREATE TRIGGER refused BEFORE UPDATE ON cut BEGIN SELECT RAISE(ABORT, 'refused'); END")
    failed = office.log().count("could not be moved with it yet")
    set_clock(office, -HOUR)
    wait_for("it to be said", 10, lambda: office.log().count("could not be moved with it yet") > failed)
    pid = office.kill("core")
    office.store("DROP TRIGGER refused")
    office.wait_role("core", other_than=pid)
    moved = lambda: abs(seconds(root(office, "kill", "list")[0]["until_at"]) - until + HOUR) < 5
    wait_for("the cut", 10, moved)
    after = office.store("SELECT id, expires FROM session ORDER BY id")
    assert len(after) == len(before) > 0 and all(abs(a[1] - b[1] - HOUR) < 3 for b, a in zip(after, before))
    pid = office.kill("core")
    office.wait_role("core", other_than=pid)
    time.sleep(1.2)
    assert moved(), "once"
    root(office, "kill", "undo", str(root(office, "kill", "list")[0]["id"]), "--reason", "over")
    set_clock(office, 0)


def test_a_clock_at_the_beginning_of_all_time(office):
    sam = office.person("sam")
    assert sam.items("/admin/sessions")
    run = root(office, "plan", "run", "waits", "--reason", "a test")["id"]
    root(office, "kill", "resource", "notes", "--reason", "a test", "--for", "30m")
    time.sleep(3)  # more than what a second is cut to
    set_clock(office, 1 - int(time.time()))
    wait_for("all of it to move", 10, lambda: office.store("SELECT MAX(since) < 100 FROM cut WHERE ended = 0") == [(1,)])
    wait_for("sessions to end", 10, lambda: office.store("SELECT COUNT(*) FROM session") == [(0,)])
    for table, column in (("cut", "since"), ("cut", "until"), ("plan_step", "began"), ("plan_run", "started"),
                          ("notice", "created"), ("notice", "expires"), ("delivery", "next")):
        assert office.store(f"SELECT COUNT(*) FROM {table} WHERE {column} < 0") == [(0,)], (table, column)
    pid = office.kill("core")
    office.wait_role("core", other_than=pid)
    assert states(office, run) == {"agree": "waiting", "pause": "waiting"}
    cuts = root(office, "kill", "list")
    assert len(cuts) == 1, cuts
    set_clock(office, 0)
    assert abs(seconds(root(office, "kill", "list")[0]["until_at"]) - time.time() - 1800) < 60
    root(office, "kill", "undo", str(cuts[0]["id"]), "--reason", "over")
    assert office.person("sam").items("/admin/sessions")

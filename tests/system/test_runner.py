# SPDX-License-Identifier: Apache-2.0
"""Steps of plans that others carry out: the operator's programs in their cage, webhooks at an endpoint that checks the
signature. Real programs, a real HTTP server, a real office.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/INCIDENTS.md "Plans", runner/README.md.
"""
import json
import os
import shutil
import socket
import tempfile
import time

import pytest

from noticelib import Hooks, Local
from officelib import SANITIZED, Office, alive, wait_for
from portal import Refused

pytestmark = [pytest.mark.shipped, pytest.mark.skipif(os.geteuid() != 0, reason="programs must be root's")]

PROGRAMS = {
    "says": "#!/bin/sh\necho \"$# $*\"\ncat\necho; env; pwd; id -u\necho kept >left\n",
    "fails": "#!/bin/sh\necho no >&2\nexit 3\n",
    "hangs": "#!/bin/sh\n(sleep 600)&\necho begun\nsleep 600\n",
    "floods": "#!/usr/bin/python3\nimport sys\nsys.stdout.write('x' * 3_000_000)\n",
    "tries": """#!/usr/bin/python3
import os, socket
def may(what, act):
    try:
        act(); print(what, 'yes')
    except BaseException as error:
        print(what, 'no')
may('inet', lambda: socket.socket())
may('unix', lambda: socket.socket(socket.AF_UNIX))
may('read state', lambda: os.listdir('{state}/core'))
may('read config', lambda: open('{config}').read())
may('read shadow', lambda: open('/etc/shadow').read())
may('write tmp', lambda: open('/tmp/sp-escaped', 'w'))
may('write own', lambda: open('mine', 'w').write('x'))
may('setsid', os.setsid)
may('signal parent', lambda: os.kill(os.getppid(), 0))
may('big memory', lambda: bytearray(2 << 30))
def open_one(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False
print('fds', [fd for fd in range(64) if open_one(fd)])
""",
    "others": "#!/bin/sh\necho never\n",
    "mine": "#!/bin/sh\necho never\n",
}

PLANS = """\
kind: Channel
name: hook
via: webhook
address: "http://127.0.0.1:{port}/webhook/in"
---
kind: Plan
name: all
mode: manual
steps:
  - {{ name: says, do: run, with: {{ command: says, arguments: [block, "--user={{person:word}}", "{{incident:int}}"] }} }}
  - {{ name: fails, do: run, with: {{ command: fails }}, after: [] }}
  - {{ name: tries, do: run, with: {{ command: tries }}, after: [] }}
  - {{ name: floods, do: run, with: {{ command: floods }}, after: [] }}
  - {{ name: late, do: run, with: {{ command: hangs }}, timeout: 1s, after: [] }}
  - {{ name: others, do: run, with: {{ command: others }}, after: [] }}
  - {{ name: mine, do: run, with: {{ command: mine }}, after: [] }}
  - {{ name: unknown, do: run, with: {{ command: unknown }}, after: [] }}
  - {{ name: last, do: task, with: {{ text: look }}, after: [says, fails, tries, floods, late, others, mine, unknown] }}
---
kind: Plan
name: hangs
mode: manual
steps:
  - {{ name: hangs, do: run, with: {{ command: hangs }}, timeout: 10m, on_failure: stop }}
  - {{ name: never, do: task, with: {{ text: not reached }} }}
---
kind: Plan
name: device
mode: manual
steps:
  - {{ name: device, do: run, with: {{ command: says, arguments: ["{{device:int}}"] }} }}
---
kind: Plan
name: calls
mode: manual
steps:
  - {{ name: call, do: webhook, with: {{ channel: hook, text: look at this }}, timeout: 2s, on_failure: stop }}
  - {{ name: then, do: task, with: {{ text: it was told }} }}
---
kind: Plan
name: backs
mode: manual
steps:
  - {{ name: block, do: run, with: {{ command: says, arguments: [block, "{{incident:int}}"], undo: [release, "{{incident:int}}"] }} }}
  - {{ name: desk, do: webhook, with: {{ channel: hook, text: close the door, undo: open it again }} }}
  - {{ name: plain, do: run, with: {{ command: says, arguments: [plain] }} }}
  - {{ name: pause, do: wait, with: {{ for: 1h }} }}
  - {{ name: never, do: run, with: {{ command: says, undo: [never] }} }}
---
kind: Plan
name: backs-badly
mode: manual
steps:
  - {{ name: half, do: run, with: {{ command: fails, undo: [again] }}, on_failure: undo }}
---
kind: Plan
name: hangs-back
mode: manual
steps:
  - {{ name: hangs, do: run, with: {{ command: hangs, undo: [back] }}, timeout: 3s }}
"""


class House:
    def __init__(self):
        self.hooks = Hooks()
        self.programs = tempfile.mkdtemp(prefix="sp-commands-", dir="/tmp")
        os.chmod(self.programs, 0o755)
        os.environ["SALLYPORT_TEST_SECRET"] = "not-for-programs"
        commands = ", ".join(f"{name}: {self.programs}/{name}" for name in PROGRAMS)
        gone = f"unknown: {self.programs}/says"
        self.office = Office(documents={"plans.yaml": PLANS.format(port=self.hooks.port)},
                             extra=f"commands: {{ {commands}, {gone} }}\n")
        for name, text in PROGRAMS.items():
            path = os.path.join(self.programs, name)
            with open(path, "w", encoding="ascii") as file:
                file.write(text.replace("{state}", self.office.state).replace("{config}", self.office.config))
            os.chmod(path, 0o755)
        os.chmod(os.path.join(self.programs, "others"), 0o757)
        os.chown(os.path.join(self.programs, "mine"), self.office.uids["runner"], 0)
        self.office.start()
        self.office.stop()
        self.office.process = None
        self.office.write_config(f"commands: {{ {commands} }}\n")  # a plan in force stays so
        self.office.start()
        self.local = Local(self.office.run_dir)
        self.local.put("/admin/channels/hook/secrets/secret", {"value": Hooks.SECRETS["webhook"]})

    def close(self):
        try:
            self.office.close()
        finally:
            self.hooks.close()
            shutil.rmtree(self.programs)

    def start(self, plan, **more):
        return self.local.post(f"/plans/{plan}/run", {"reason": "to see", **more})

    def ended(self, run, seconds=20):
        return wait_for(f"the end of {run['plan']}", seconds, lambda: self.over(run["id"]))

    def over(self, number):
        run = self.local.get(f"/plan-runs/{number}")
        return run if run["state"] not in ("running", "waiting") else None


@pytest.fixture(scope="module")
def house():
    one = House()
    try:
        yield one
    finally:
        one.close()


def of(run, name):
    return next(s for s in run["steps"] if s["name"] == name)


def outputs(house, run):
    """{step number: detail} of what the commands of a run said, from the ledger."""
    found = {}
    for event in house.office.set_up_administrators()[2].get("/admin/ledger/events?limit=200")["items"]:
        detail = event.get("detail")
        detail = json.loads(detail) if isinstance(detail, str) and detail else detail or {}
        if event.get("kind") == "plan" and "output" in detail and detail["run"] == run["id"]:
            found[detail["step"]] = detail
    return found


def test_a_dry_run_and_a_drill_say_what_would_be_run_and_run_nothing(house):
    dry = house.start("all", dry_run=True)
    would = {s["name"]: s["would"] for s in dry["steps"]}
    assert would["fails"] == "would run fails"
    assert "names no command unknown" in would["unknown"] and "which person" in would["says"]
    drill = house.ended(house.local.post("/plans/calls/run", {"drill": True}))
    assert of(drill, "call")["note"] == "would post to hook" and not house.hooks.of("webhook")


def test_programs_run_with_their_words_and_nothing_else(house):
    sam = house.office.set_up_administrators()[1]
    run = house.ended(house.start("all", person="sam"), 30)
    states = {s["name"]: s["state"] for s in run["steps"]}
    assert states == {"says": "done", "fails": "failed", "tries": "done", "floods": "done", "late": "failed",
                      "others": "failed", "mine": "failed", "unknown": "failed", "last": "done"}, [(s["name"], s["note"]) for s in run["steps"]]
    said = outputs(house, run)
    numbers = {s["name"]: s["number"] for s in run["steps"]}
    lines = said[numbers["says"]]["output"].splitlines()
    assert lines[0] == f"3 block --user=sam {run['incident']}"
    given = json.loads(lines[1])
    assert given["about"]["person"] == "sam" and given["incident"]["id"] == run["incident"] and given["step"] == "says"
    assert {line.split("=")[0] for line in lines[2:] if "=" in line} <= {"PATH", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"}
    folder = os.path.join(house.office.state, "runner", "says")
    assert folder in lines and lines[-1] == str(house.office.uids["runner"])
    with open(os.path.join(folder, "left"), encoding="ascii") as file:
        assert file.read() == "kept\n"
    assert of(run, "fails")["note"].startswith("exit status 3 after ") and of(run, "fails")["note"].endswith(": no")
    assert "can be changed by others" in of(run, "others")["note"] and "not to root" in of(run, "mine")["note"]
    assert "names no command unknown" in of(run, "unknown")["note"]
    assert said[numbers["floods"]]["bytes"] == 3_000_000 and len(said[numbers["floods"]]["output"]) <= 1500
    timeline = sam.get(f"/incidents/{run['incident']}")["timeline"]
    assert any(n["kind"] == "evidence" and "--user=sam" in n["text"] for n in timeline)


def test_the_cage_holds(house):
    run = house.ended(house.start("all"), 30)
    said = outputs(house, run)[2]["output"]
    answers = dict(line.rsplit(" ", 1) for line in said.splitlines() if line.endswith((" yes", " no")))
    assert answers == {"inet": "no", "unix": "no", "read state": "no", "read config": "no", "read shadow": "no",
                       "write tmp": "no", "write own": "yes", "setsid": "no", "signal parent": answers["signal parent"],
                       "big memory": "yes" if SANITIZED else "no"}, said
    assert said.rstrip().endswith("fds [0, 1, 2]"), said
    assert of(run, "says")["state"] == "failed" and "which person" in of(run, "says")["note"]


def processes(house):
    """Numbers of the programs that the runner has below it."""
    parent = house.office.pid("runner")
    children = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                words = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(words[1]) == parent and words[0] != "Z":
            children.append(int(entry))
    return children


def test_time_is_over_for_it_and_all_that_it_started(house):
    began = time.monotonic()
    run = house.ended(house.start("all"), 30)
    late = of(run, "late")
    assert "its time was over" in late["note"] and "begun" in late["note"] and 900_000 < late["took_us"] < 5_000_000
    wait_for("the end of all programs", 3, lambda: not processes(house))
    assert time.monotonic() - began < 20


def test_who_stops_a_run_ends_its_program(house):
    run = house.start("hangs")
    wait_for("the program", 5, lambda: processes(house))
    stopped = house.local.post(f"/plan-runs/{run['id']}/stop", {"reason": "enough"})
    assert stopped["state"] == "stopped"
    wait_for("the end of the program", 3, lambda: not processes(house))


def test_a_runner_that_dies_takes_its_programs_along_and_the_step_has_failed(house):
    run = house.start("hangs")
    wait_for("the program", 5, lambda: processes(house))
    below = processes(house)
    house.office.kill("runner")
    over = house.ended(run)
    assert over["state"] == "failed" and "the runner ended" in of(over, "hangs")["note"]
    wait_for("the program's end", 3, lambda: not any(alive(pid) for pid in below))


def test_a_core_that_dies_does_not_run_it_twice(house):
    run = house.start("hangs")
    wait_for("the program", 5, lambda: processes(house))
    before = house.office.kill("core")
    house.office.wait_role("core", other_than=before)
    over = house.ended(run)
    assert over["state"] == "failed" and "ended while it ran" in of(over, "hangs")["note"]


def test_a_value_of_the_wrong_kind_never_reaches_a_program(house):
    run = house.ended(house.start("device"))
    assert of(run, "device")["state"] == "failed" and "which device" in of(run, "device")["note"]


def test_nobody_but_core_may_ask(house):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.settimeout(5)
        line.connect(os.path.join(house.office.run_dir, "runner.sock"))
        line.send(b"\0" * 24)
        assert line.recv(100) == b""


def undone(house, run, name):
    """The step, when nothing of the run is being taken back any more."""
    def look():
        now = house.local.get(f"/plan-runs/{run['id']}")
        return None if any(s["undo"] in ("owed", "running") for s in now["steps"]) else of(now, name)
    return wait_for(f"{name} to be taken back", 15, look)


def test_what_was_begun_outside_is_taken_back_the_last_first(house):
    before = len(house.hooks.of("webhook"))
    run = house.start("backs")
    wait_for("the pause", 10, lambda: of(house.local.get(f"/plan-runs/{run['id']}"), "pause")["state"] == "waiting")
    assert {s["name"]: s["undo"] for s in house.local.get(f"/plan-runs/{run['id']}")["steps"]} == {
        "block": "owed", "desk": "owed", "plain": "none", "pause": "none", "never": "none"}
    house.local.post(f"/plan-runs/{run['id']}/stop", {"reason": "a mistake", "undo": True})
    block, desk = undone(house, run, "block"), undone(house, run, "desk")
    assert block["undo"] == desk["undo"] == "done", (block, desk)
    assert "; undone: exit status 0" in block["note"] and "; undone: taken" in desk["note"]
    with open(os.path.join(house.office.state, "runner", "says", "left"), encoding="ascii") as file:
        assert file.read() == "kept\n"
    posts = [p["json"] for p in house.hooks.of("webhook")[before:]]
    assert [(p["text"], p["data"]["undo"]) for p in posts] == [("close the door", False), ("open it again", True)]
    assert len({p["id"] for p in posts}) == 2, "not the same post twice"
    incident = house.local.get(f"/incidents/{run['incident']}")
    said = [n["text"] for n in incident["timeline"] if n["kind"] == "evidence"]
    assert any(f"2 release {run['incident']}" in text and '"undo": true' in text.replace('":t', '": t') for text in said), said
    assert not any("never" in text for text in said), "what was never begun is not taken back"
    begun = [n["text"].split(":")[0] for n in incident["timeline"] if n["text"].startswith("undo begun")]
    assert sorted(begun, key=lambda text: "block" in text) == (begun if "desk" in begun[0] else begun[::-1]) and len(begun) == 2
    house.local.post(f"/plan-runs/{run['id']}/stop", {"reason": "once more", "undo": True})
    time.sleep(1)
    assert len(house.hooks.of("webhook")) == before + 2, "once"


def test_what_cannot_be_taken_back_is_told_and_may_be_tried_again(house):
    run = house.ended(house.start("backs-badly"))
    assert run["state"] == "failed"
    half = undone(house, run, "half")
    assert half["undo"] == "failed" and "; could not be undone: exit status 3" in half["note"]
    run = house.start("hangs-back")
    wait_for("the program", 5, lambda: processes(house))
    first = processes(house)
    house.local.post(f"/plan-runs/{run['id']}/stop", {"reason": "a mistake", "undo": True})
    wait_for("the other program", 5, lambda: set(processes(house)) - set(first))
    house.office.kill("runner")
    assert "could not be undone: the runner ended" in undone(house, run, "hangs")["note"]
    again = house.local.post(f"/plan-runs/{run['id']}/stop", {"reason": "again", "undo": True})
    if of(again, "hangs")["undo"] == "failed":  # the runner is not back yet
        time.sleep(3)
        house.local.post(f"/plan-runs/{run['id']}/stop", {"reason": "again", "undo": True})
    assert "its time was over" in undone(house, run, "hangs")["note"]


@pytest.mark.parametrize("answer, note", [
    (None, "taken, HTTP 204"),
    ((200, {}, '{"ok": true}'), "taken, HTTP 200"),
    ((200, {}, '{"id": 1, "ok": false, "error": "no such rule"}'), "it answered 200 and: "),
    ((200, {}, '{"errcode": 40001}'), "it answered 200 and: "),
    ((200, {}, '{"success":false}'), "it answered 200 and: "),
    ((200, {}, "thanks"), "taken, HTTP 200"),
    ((403, {}, "no"), "HTTP 403"),
    ((503, {}, "later"), "HTTP 503"),
    ("hang", "Timeout"),
])
def test_webhooks(house, answer, note):
    house.hooks.scripted["webhook"] = [answer] if answer else []
    before = len(house.hooks.of("webhook"))
    run = house.ended(house.start("calls"), 8)
    assert note.lower() in of(run, "call")["note"].lower().replace("timed out", "timeout"), run
    worked = note.startswith("taken")
    assert run["state"] == ("done" if worked else "failed")
    assert of(run, "then")["state"] == ("done" if worked else "skipped")
    posts = house.hooks.of("webhook")[before:]
    assert len(posts) == 1, "once"
    assert house.hooks._webhook(posts[0])[0] == 204, "signed"
    assert posts[0]["json"]["data"]["run"] == run["id"] and posts[0]["json"]["text"] == "look at this"


def test_a_webhook_that_nobody_serves(house):
    house.hooks.scripted["webhook"] = ["hang"]
    run = house.start("calls")
    wait_for("the post", 5, lambda: house.hooks.scripted["webhook"] == [])
    before = house.office.kill("courier")
    over = house.ended(run, 20)
    assert over["state"] == "failed" and "courier ended" in of(over, "call")["note"]
    house.office.wait_role("courier", other_than=before)


def test_the_doctor_sees_a_program_that_is_not_roots(house):
    findings, _ = house.office.doctor()
    assert any("/others can be changed by others" in json.dumps(f) for f in findings["findings"])


def test_a_plan_that_runs_what_is_not_there_is_not_applied(house):
    """What is in force stays so when the bootstrap file changes; what is new is looked at."""
    _, sam, _ = house.office.set_up_administrators()
    sam.fresh()
    text = PLANS.format(port=house.hooks.port)
    with pytest.raises(Refused) as refused:
        sam.post("/admin/policy/apply", {"files": [{"path": "plans.yaml", "text": text + "---\nkind: Plan\nname: new\n"
                                                   "mode: manual\nsteps:\n  - { name: a, do: run, with: { command: no-such } }\n"}]})
    found = [d for d in refused.value.problem["check"]["diagnostics"] if "no-such" in d["message"]]
    assert len(found) == 1 and found[0]["path"] == "plans.yaml" and found[0]["line"] > 20, refused.value.problem
    assert "bootstrap file" in found[0]["message"]

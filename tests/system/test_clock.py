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


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    if SANITIZED or os.geteuid() != 0:
        pytest.skip("a library before the sanitizer's; uids of the roles")
    folder = tmp_path_factory.mktemp("clock")
    for path in (folder, *folder.parents):
        if path.owner() == "root" and str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)
    clock = Clock(str(folder))
    library = str(folder / "clock_set.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", f'-DCLOCK_FILE="{clock.path}"', "-o", library,
                    os.path.join(ROOT, "tests", "system", "clock_set.c")], check=True)
    program = os.path.join(BUILD, "cli", f"sallyport-clock-{os.getpid()}")
    subprocess.run(["patchelf", "--add-needed", library, "--output", program, PROGRAM], check=True)
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


def jumps(office):
    events = root(office, "ledger", "search", "--limit", "200")
    return [e for e in events if e.get("method") == "clock jumped"]


def set_clock(office, ahead_s):
    """Set, and core has seen it."""
    office.clock.set(ahead_s)
    said = office.log().count("the clock was set by")
    wait_for("core to see it", 5, lambda: "core: the clock" in office.log() or office.log().count("the clock was set by") > said)
    time.sleep(1.5)  # each role looks once a second


def states(office, run):
    return {s["name"]: s["state"] for s in root(office, "plan", "report", run)["steps"]}

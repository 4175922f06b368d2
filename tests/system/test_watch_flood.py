# SPDX-License-Identifier: Apache-2.0
"""A flood of events: the ledger has every one of them, the watch says that it is behind and looks at all of them,
later, and then it is in time again.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DETECTIONS.md "Floods".
"""
import json
import os
import signal
import struct
import subprocess
import threading
import time

import pytest
from noticelib import Local
from officelib import BUILD, Office, wait_for
from portal import Refused
from vault_client import OK, Connection

pytestmark = [pytest.mark.timeout(400),
              pytest.mark.skipif(os.geteuid() != 0, reason="speaks to the ledger as root")]
APPEND, DECISION, WEB, READ, ALLOW = 0x0304, 0, 1, 1, 2  # lib/proto/ledger_msg.h, event.h
EACH, MESSAGES, AT_ONCE = 64, 4700, 32  # 300,800 events
DETECTIONS = """\
kind: Detection
name: wrong-passwords
severity: high
over: { kinds: sign-in, verdicts: deny, known: true }
by: person
count: { at_least: 2, within: 1h }
quiet: 1h
"""


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def rest(person):
    """What all pages that this one reads have alike: before the path, and behind it."""
    numbers = [0, 1 + person, 0, 1, 100, 2000, 0, 90000 + person, 900, 200, 0, 0, 0, 0]
    texts = [b"flood-%d" % person, b"", b"notes", b"internal", b"", b"GET"]
    return b"".join(map(varint, numbers)) + b"".join(varint(len(t)) + t for t in texts)


RESTS = [rest(person) for person in range(512)]
HEAD = bytes([2, DECISION, 0, WEB, READ, 0, ALLOW, 0, 0, 0, 0]) + bytes(16)


def event(number, when):
    """As lib/proto/event.c writes one: somebody reads a page."""
    path = b"/page/%d" % number
    return HEAD + when + RESTS[number % 512] + bytes([len(path)]) + path + b"\0"


def flood(office):
    """Sends all; how many a second were acknowledged, so are on disk."""
    line = Connection(os.path.join(office.run_dir, "ledger.sock"), 0)
    packets = []
    for message in range(MESSAGES):
        first = message * EACH
        when = varint(time.time_ns() // 1000)
        body = b"".join(struct.pack(">I", len(e)) + e for e in (event(n, when) for n in range(first, first + EACH)))
        head = struct.pack(">BHIB", 1, APPEND, message + 1, 0) + struct.pack(">QQH", 4242, first + 1, EACH)
        packets.append(head + body)
    began, sent = time.monotonic(), 0
    for answered in range(MESSAGES):
        while sent < MESSAGES and sent < answered + AT_ONCE:
            line.socket.send(packets[sent])
            sent += 1
        assert line.socket.recv(4096)[7] == OK, answered
    line.socket.close()
    return MESSAGES * EACH / (time.monotonic() - began)


class Slow(threading.Thread):
    """A machine that leaves the watch next to no time: it lives, so the porter has nothing to say."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.over = pid, threading.Event()

    def run(self):
        while not self.over.is_set():
            os.kill(self.pid, signal.SIGSTOP)
            self.over.wait(2)
            os.kill(self.pid, signal.SIGCONT)
            time.sleep(0.1)

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.over.set()
        self.join()


@pytest.fixture(scope="module")
def office():
    one = Office(extra="")
    path = os.path.join(one.documents, "watch.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(DETECTIONS)
    os.chmod(path, 0o644)
    try:
        one.start()
        one.set_up_administrators()
        yield one
    finally:
        one.close()


def wrong_passwords(office, name):
    for _ in range(2):
        one = office.people[name].again()
        one.password = "wrong horse battery"
        with pytest.raises(Refused):
            one.sign_in()


def alarms(office, name):
    return [a for a in office.people["sam"].get("/alarms")["items"]
            if a["detection"] == "wrong-passwords" and a["person"] == name]


def entries(office, words):
    return [e for e in office.people["audrey"].items("/admin/ledger/events?kind=admin&limit=100")
            if words in json.dumps(e)]


def decisions(office):
    """Events of that kind that the ledger has taken, by its own figures."""
    text = office.cli("metrics", "show", "-c", office.config).stdout
    return sum(int(float(line.split()[-1])) for line in text.splitlines()
               if line.startswith('sallyport_events_total{kind="decision"}'))


@pytest.mark.slow
def test_a_flood(office):
    local = Local(office.run_dir)

    def watch():
        return local.get("/detections")["watch"]

    wait_for("the watch", 10, lambda: watch()["up"] and not watch()["degraded"])
    before, seen = decisions(office), int(watch()["events"])
    pid = office.pid("watch")
    wrong_passwords(office, "olga")
    wait_for("the alarm before", 10, lambda: alarms(office, "olga"))
    wrong_passwords(office, "sam")
    with Slow(pid):
        rate = flood(office)
        print(f"{MESSAGES * EACH} events, {rate:.0f} a second on disk")
        wait_for("its word", 40, lambda: entries(office, "watch degraded"), step=1)
    assert "none is left out" in json.dumps(entries(office, "watch degraded")[0])
    wait_for("the alarm of what came before the flood", 30, lambda: alarms(office, "sam"))
    wait_for("the end of it", 60, lambda: entries(office, "watch in time again"))
    assert decisions(office) - before >= MESSAGES * EACH, "nothing is lost from the ledger"
    gaps = office.people["audrey"].get("/admin/ledger/events?kind=gap&limit=20")["items"]
    assert not [g for g in gaps if "missing" in json.dumps(g)], gaps
    now = watch()
    assert int(now["events"]) - seen >= MESSAGES * EACH and not now["degraded"], now
    wrong_passwords(office, "audrey")
    wait_for("an alarm as before", 5, lambda: alarms(office, "audrey"))
    for name in ("olga", "sam", "audrey"):
        assert len(alarms(office, name)) == 1
    wait_for("each refused sign-in once on the ledger", 10, lambda: decisions(office) - before == MESSAGES * EACH + 3 * 2)


@pytest.mark.figures
@pytest.mark.parametrize("stopped", [False, True])
def test_a_gates_worker_with_100k_events_a_second(office, stopped):
    """As a gate writes them, into a ring of its own: nothing is lost. While the ledger stands still for two seconds the
    ring is full: what was taken is on the ledger, what was not is counted there, exactly."""
    before, uid = decisions(office), office.uids["web"]
    stream = subprocess.Popen([os.path.join(BUILD, "bench", "watch", "bench_stream"), os.path.join(office.run_dir, "ledger.sock"),
                               "100000"], user=uid, group=uid, extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    time.sleep(3)
    if stopped:
        ledger = office.pid("ledger")
        os.kill(ledger, signal.SIGSTOP)
        time.sleep(2)
        os.kill(ledger, signal.SIGCONT)
    time.sleep(3)
    said, _ = stream.communicate("", 30)
    assert stream.returncode == 0, "the stream ended early"
    offered, lost, seconds = (float(word) for word in said.split())
    print(f"{offered / seconds:.0f} events a second offered, {lost:.0f} of {offered:.0f} found no room")
    assert offered / seconds > 95_000 and (lost > 0) == stopped
    wait_for("what was taken, on the ledger", 60, lambda: decisions(office) - before >= offered - lost, step=0.5)
    time.sleep(2)
    assert decisions(office) - before == offered - lost, "all that was taken, once"
    told = office.people["audrey"].items("/admin/ledger/events?kind=loss&limit=100")
    assert max((int(one["detail"]["lost"]) for one in told), default=0) == lost, told
    gaps = office.people["audrey"].get("/admin/ledger/events?kind=gap&limit=20")["items"]
    assert not [g for g in gaps if "missing" in json.dumps(g)], gaps
    local = Local(office.run_dir)
    wait_for("the watch in time again", 60, lambda: not local.get("/detections")["watch"]["degraded"], step=0.5)

# SPDX-License-Identifier: Apache-2.0
"""What is taken away ends what runs over SSH: a terminal, a command in full flow, sftp and a forward of somebody whose
account, session, device, role for a while or rule goes, measured from the order to the end of OpenSSH's client.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Looking again".
"""
import os
import struct
import subprocess
import time

import pytest

from devicelib import Device
from officelib import SANITIZED, wait_for
from sshgatelib import SshOffice, machine_at
from wholelib import Ends

BOUND_S = 0.100
STREAM = "while head -c 10000 /dev/zero; do sleep 0.005; done"
LEFT = """\
kind: Rule
name: temps work
who: { roles: [temp] }
to: { resources: [far] }
may: [connect, read, write, execute, import, export, forward]
"""
DOCUMENTS = """\
{ kind: Role, name: staff }
---
{ kind: Role, name: lead }
---
{ kind: Role, name: temp }
---
kind: Role
name: helper
request: { who: { roles: [staff] }, ask: { approved_by: 1, by: { roles: [lead] } }, longest: 1h }
---
kind: Rule
name: these work
who: { roles: [engineer, helper] }
to: { resources: [host, far] }
may: [connect, read, write, execute, import, export, forward]
with: { record: true }
---
kind: Role
name: careful
---
kind: Rule
name: the careful work on healthy devices
who: { roles: [careful] }
to: { resources: [far] }
on: { owner: company, posture: healthy }
may: [connect, read, write, execute, import, export, forward]
---
"""


@pytest.fixture(scope="module")
def office():
    one = SshOffice(lambda sshd: machine_at("far", sshd.port, sshd.host_key, f'  forward: ["127.0.0.1:{sshd.port}"]\n') +
                    DOCUMENTS + LEFT)
    try:
        for name, role in (("sue", "staff"), ("lea", "lead"), ("tim", "temp"), ("bea", "engineer")):
            one.person(name, [role])
        one.key("bea")
        yield one
    finally:
        one.close()


class Work:
    """Everything that somebody can have open, each in use or waiting; argv(*words): a client of his."""

    def __init__(self, argv, to):
        self.clients = []
        try:
            self._start(argv("-tt", "127.0.0.1", "cat"), b"x", b"x")
            self._start(argv("127.0.0.1", STREAM), b"", b"\0")
            self._start(argv("-s", "127.0.0.1", "sftp"), struct.pack(">IBI", 5, 1, 3), b"\0\0")
            self._start(argv("-W", f"127.0.0.1:{to}", "127.0.0.1"), b"", b"SSH-2.0")
        except BaseException:
            self.close()
            raise

    def _start(self, argv, said, expected):
        one = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.clients.append(one)
        one.stdin.write(said)
        got = one.stdout.read(len(expected))
        assert got == expected, (argv, got, one.stderr.read(500))

    def took(self, order, from_its_answer=False):
        """Seconds from the order until each client has ended."""
        ends = Ends([one.stdout for one in self.clients])
        time.sleep(0.2)
        assert ends.left == len(self.clients), "it ended before"
        began = time.monotonic()
        order()
        if from_its_answer:
            began = time.monotonic()
        ends.join(10)
        assert ends.left == 0, "something goes on"
        said = [one.stderr.read().decode() for one in self.clients[1:3]]  # the others say it where they print
        assert all("sallyport: " in text and "reference" in text for text in said), said
        return [ends.at[number] - began for number in range(len(self.clients))]

    def close(self):
        for one in self.clients:
            one.kill()
            one.wait()
            for pipe in (one.stdin, one.stdout, one.stderr):
                pipe.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def work(office, name, argv=None):
    return Work(argv or (lambda *words: office.argv(name, "far", *words)), office.sshd.port)


def assert_soon(what, times):
    print(f"{what}: terminal, command, sftp, forward ended after " + ", ".join(f"{1000 * t:.0f}" for t in times) + " ms")
    busy = SANITIZED or os.getloadavg()[0] > os.cpu_count() * 1.2  # there it counts that it is soon
    assert max(times) <= (10 * BOUND_S if busy else BOUND_S)


@pytest.fixture(autouse=True)
def others(office):
    """Somebody else, to whom nothing happens."""
    with office.terminal("bea", "far") as terminal:
        terminal.type("echo he''re\r")
        terminal.wait("here")
        yield
        terminal.type("echo st''ill\r")
        terminal.wait("still")


def test_a_person(office):
    pia = office.person("pia")
    with work(office, "pia") as one:
        assert_soon("a person was disabled", one.took(
            lambda: office.olga.post(f"/admin/people/{pia.id}/disable", {"why": "leaves"})))
    assert office.ssh("pia", "far", "true").returncode == 255


def test_the_session_in_which_he_came(office):
    with work(office, "ines") as one:
        mine = [s["id"] for s in office.sam.items("/admin/sessions") if s["kind"] == "ssh" and s["person"]["name"] == "ines"]

        def end_them():
            for session in mine:
                office.sam.post(f"/admin/sessions/{session}/end", {"why": "a test"})
        assert_soon("sessions were ended", one.took(end_them))
    assert office.ssh("ines", "far", "echo back").stdout == "back\n"


def test_a_device(office, tmp_path):
    dan = office.person("dan")
    office.sam.fresh()
    laptop = Device(dan, str(tmp_path)).approved(office.sam)
    laptop.mutual().sign_in()

    def argv(*words):
        return ["ssh", *office.options(), "-i", laptop.key, "-o", "User=dan:far", "-p", str(office.port), *words]
    with work(office, "dan", argv) as one:
        assert_soon("a device was revoked", one.took(
            lambda: office.sam.post(f"/admin/devices/{laptop.id}/revoke", {"why": "lost"})))
    told = subprocess.run(argv("127.0.0.1", "true"), capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert told.returncode == 255
    assert office.ssh("dan", "far", "echo by-key").stdout == "by-key\n"  # who has another way in still has it


@pytest.mark.parametrize("falls", ["unhealthy", "quarantined"])
def test_a_device_that_falls(office, tmp_path, falls):
    """By its own agent's report, or by a security administrator's word."""
    name = f"dev-{falls}"
    owner = office.person(name, ["careful"])
    office.sam.fresh()
    laptop = Device(owner, str(tmp_path)).approved(office.sam)
    agent = laptop.mutual()
    agent.sign_in()
    assert agent.post("/device/posture", {"checks": [{"name": "disk", "ok": True}]})["posture"] == "healthy"

    def argv(*words):
        return ["ssh", *office.options(), "-i", laptop.key, "-o", f"User={name}:far", "-p", str(office.port), *words]

    def fall():
        if falls == "unhealthy":
            agent.post("/device/posture", {"checks": [{"name": "disk", "ok": False}]})
        else:
            office.sam.post(f"/admin/devices/{laptop.id}/quarantine", {"why": "left in a taxi"})
    with work(office, name, argv) as one:
        assert_soon(f"a device is {falls}", one.took(fall))
    told = subprocess.run(argv("127.0.0.1", "true"), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert told.returncode == (254 if falls == "unhealthy" else 255), told  # its key is not one of anybody any more
    assert falls != "unhealthy" or "reference" in told.stderr, told


def test_a_role_for_a_while(office):
    sue, lea = office.person("sue"), office.person("lea")
    asked = sue.post("/grants", {"role": "helper", "reason": "to look at orders", "duration_s": 600})
    lea.post(f"/approvals/{asked['id']}/approve", {"sha256": asked["sha256"]})
    wait_for("the role", 5, lambda: "helper" in sue.get("/me")["person"]["roles"])
    grant = next(g for g in sue.get("/grants")["items"] if g["ended_at"] is None)
    with work(office, "sue") as one:
        assert_soon("a role for a while was ended", one.took(lambda: sue.post(f"/grants/{grant['id']}/end", {})))
    told = office.ssh("sue", "far", "true")
    assert told.returncode == 254 and "reference" in told.stderr


def test_a_rule_of_the_documents(office):
    with open(os.path.join(office.office.documents, "office.yaml"), encoding="utf-8") as file:
        text = file.read()
    left_out = text.replace("---\n" + LEFT, "")
    assert left_out != text

    def apply(documents):
        office.sam.post("/admin/policy/apply", {"files": [{"path": "office.yaml", "text": documents}]})
    office.sam.fresh()
    with work(office, "tim") as one:
        assert_soon("a rule went", one.took(lambda: apply(left_out), from_its_answer=True))
    assert office.ssh("tim", "far", "true").returncode == 254
    apply(text)
    assert office.ssh("tim", "far", "echo back").stdout == "back\n"

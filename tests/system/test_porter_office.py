# SPDX-License-Identifier: Apache-2.0
"""Roles of a real office that die under traffic: what can live on does, the rest comes back, and the
ledger tells of it."""

import http.server
import json
import os
import signal
import threading
import time

import pytest
from officelib import ROLES, ROOT, SANITIZED, Office, alive, descendants, free_port, wait_for


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if self.path.startswith("/handbook/slow"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(40):
                self.wfile.write(b"5\r\nslow\n\r\n")
                self.wfile.flush()
                time.sleep(0.1)
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def busy():
    """An office with leo signed in and an application behind it."""
    port = free_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    documents = {}
    source = os.path.join(ROOT, "demo", "office")
    for name in os.listdir(source):
        with open(os.path.join(source, name), encoding="utf-8") as file:
            documents[name] = file.read().replace("127.0.0.1:18403", f"127.0.0.1:{port}")
    office = Office(documents=documents)
    try:
        office.start()
        office.employee("leo", ["staff", "engineer"])
        yield office
    finally:
        office.close()
        server.shutdown()


class Traffic(threading.Thread):
    """Requests of one person, one after another; counts what came of them."""

    def __init__(self, person):
        super().__init__(daemon=True)
        self.person = person
        self.stop = threading.Event()
        self.answers = {}
        self.broken = []

    def run(self):
        while not self.stop.is_set():
            try:
                status = self.person.request("GET", "hr", "/handbook/").status
                self.answers[status] = self.answers.get(status, 0) + 1
            except OSError as error:
                self.broken.append(repr(error))

    def end(self):
        self.stop.set()
        self.join(30)


@pytest.mark.parametrize("role", ["core", "vault", "ledger"])
def test_requests_are_decided_while_a_role_is_away(busy, role):
    leo = busy.people["leo"]
    assert leo.follow("hr", "/handbook/").status == 200
    traffic = Traffic(leo)
    traffic.start()
    wait_for("traffic", 10, lambda: traffic.answers.get(200, 0) > 5)
    first = busy.kill(role)
    busy.wait_role(role, other_than=first)
    time.sleep(1)
    traffic.end()
    assert traffic.broken == [] and set(traffic.answers) == {200}, (traffic.broken, traffic.answers)
    assert leo.get("/me")["person"]["name"] == "leo"  # the session lives on


def test_the_launcher_dies_and_open_responses_go_on(busy):
    leo = busy.people["leo"]
    leo.follow("hr", "/handbook/")
    got = []
    slow = threading.Thread(target=lambda: got.append(leo.request("GET", "hr", "/handbook/slow")))
    slow.start()
    time.sleep(0.5)
    first = busy.kill("web")
    busy.wait_role("web", other_than=first)
    slow.join(30)
    assert got and got[0].status == 200 and got[0].body == b"slow\n" * 40
    assert leo.follow("hr", "/handbook/").status == 200


def test_the_ledger_tells_of_it(busy):
    first = busy.kill("core")
    busy.wait_role("core", other_than=first)

    def told():
        lines = busy.cli("ledger", "search", "-c", busy.config, "--kind", "role").stdout.splitlines()
        events = [json.loads(line) for line in lines]
        mine = [one for one in events if one["app"]["name"] == "core" and "signal 9" in json.dumps(one)]
        return {one["activity_id"] for one in mine} >= {4, 5}  # stopped, started again

    wait_for("the role's death in the ledger", 20, told, step=0.3)


def test_doctor_is_content_afterwards(busy):
    found, status = busy.doctor()
    assert status == 0, [one for one in found["findings"] if one["level"] == "bad"]


def test_every_process_is_locked_in(busy):
    names = []
    for pid in descendants(busy.process.pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            facts = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        names.append(facts["Name"])
        assert (facts["Seccomp"], facts["NoNewPrivs"]) == ("2", "1"), facts["Name"]
        assert facts["CapEff"] == "0000000000000000", facts["Name"]
        if busy.uids:
            assert int(facts["Uid"].split()[0]) in busy.uids.values()
    assert {"sp-core", "sp-vault", "sp-ledger", "sp-web", "nginx"} <= set(names)


def test_secrets_are_for_their_role_only(busy):
    if not busy.uids:
        pytest.skip("one user for all")
    for role in ROLES:
        assert os.stat(os.path.join(busy.state, role)).st_uid == busy.uids[role]
        for where, _, files in os.walk(os.path.join(busy.state, role)):
            for name in files:
                mode = os.lstat(os.path.join(where, name)).st_mode & 0o777
                assert mode & 0o077 == 0, f"{where}/{name} is {mode:o}"


@pytest.mark.slow
def test_all_roles_die_at_once_again_and_again(busy):
    for _ in range(3):
        before = {role: busy.pid(role) for role in ROLES}
        busy.remember()
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        for role in ROLES:
            busy.wait_role(role, other_than=before[role], seconds=60)
    leo = busy.people["leo"]
    wait_for("the gate", 10, lambda: leo.follow("hr", "/handbook/").status == 200, step=0.3)


def test_hup_reloads_documents(busy):
    audrey = busy.people["audrey"]
    before = audrey.get("/admin/policy")["version"]
    path = os.path.join(busy.documents, "policy.yaml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n# reviewed\n")
    busy.process.send_signal(signal.SIGHUP)
    wait_for("the new version", 15, lambda: audrey.get("/admin/policy")["version"] != before, step=0.2)
    with open(path, "w", encoding="utf-8") as file:
        file.write("kind: Rule\nname: [broken\n")
    busy.process.send_signal(signal.SIGHUP)
    wait_for("the refusal", 15, lambda: "policy.yaml:" in busy.log(), step=0.2)
    assert busy.process.poll() is None and alive(busy.pid("core"))

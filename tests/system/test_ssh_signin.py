# SPDX-License-Identifier: Apache-2.0
"""Ways to sign in at the SSH gate with real clients, a terminal that others watch, and its recording read back.
OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "SSH", core/ssh/README.md."""

import os
import re
import shlex
import subprocess
import threading
import time

import pytest

from officelib import PROGRAM, wait_for
from sshgatelib import SshOffice, keygen

DOCUMENTS = """\
kind: Role
name: owner
---
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host] }
may: [connect, read, execute, export]
with: { record: true }
---
kind: Rule
name: owners too
who: { roles: [owner] }
to: { resources: [host] }
may: [connect, read]
---
kind: Rule
name: owners agree with each other
who: { roles: [owner] }
to: { resources: [host] }
may: [execute]
with: { record: true }
ask: { approved_by: 1, by: { roles: [owner] } }
"""


@pytest.fixture(scope="module")
def office():
    one = SshOffice(DOCUMENTS)
    try:
        one.person("ann")
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def device(office, tmp_path_factory):
    """ann's company laptop: certificate and key, as OpenSSH and a browser take them."""
    folder = tmp_path_factory.mktemp("laptop")
    made = office.person("ann").post("/me/devices/enrol-code")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "SALLYPORT_AGENT_DIR": str(folder / "agent")}
    agent = subprocess.Popen([PROGRAM, *shlex.split(made["command"])[1:], "--name", "ann-laptop"], env=env,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    agent.stdin.write(made["code"] + "\n")
    agent.stdin.flush()
    one = wait_for("the enrolment", 20, lambda: [d for d in office.sam.get("/admin/devices")["items"]
                                                 if d["state"] == "pending"])[0]
    office.sam.post(f"/admin/devices/{one['id']}/approve", {"owner": "company"})
    said, _ = agent.communicate(timeout=60)
    assert agent.returncode == 0, said
    key = str(folder / "key.pem")
    subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", str(folder / "agent" / "device.key"), "-out", key],
                   check=True, capture_output=True)
    os.chmod(key, 0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", key], check=True, capture_output=True, text=True).stdout
    with open(key + ".pub", "w", encoding="ascii") as file:
        file.write(public)
    return {"cert": str(folder / "agent" / "device.pem"), "key": key, "line": public, "id": one["id"]}


def loud(office):
    """Options of a client that shows what it is told before it is let in."""
    return [w.replace("LogLevel=ERROR", "LogLevel=INFO") for w in office.options()]


def why(office, said):
    """The one line of a refused log-in leads to what the ledger knows of it; its text without the reference."""
    lines = [line for line in said.splitlines() if line.startswith("sallyport: ")]
    assert len(lines) == 1 and (reference := re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", lines[0])), said
    entry = wait_for("the entry", 5, lambda: office.events(kind="sign-in", reference=reference[0]))[0]
    return lines[0].replace(reference[0], "R"), entry


def run(office, key, *words):
    return subprocess.run(["ssh", *loud(office), "-i", key, *words, "-o", "User=ann:host", "-p", str(office.port),
                           "127.0.0.1", "echo in"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                          check=False)


def test_the_key_of_a_device_and_a_certificate_for_it(office, device):
    assert run(office, device["key"]).returncode == 255  # nobody is signed in on it
    ann = office.person("ann").again(cert=(device["cert"], device["key"]))
    ann.sign_in()
    got = run(office, device["key"])
    assert got.stdout == "in\n", got.stderr
    certificate = device["key"] + "-cert.pub"
    with open(certificate, "w", encoding="ascii") as file:
        file.write(ann.post("/ssh/certificate", {"key": device["line"]})["certificate"] + "\n")
    # only the certificate: the key alone is not offered
    got = run(office, device["key"], "-o",
              "PubkeyAcceptedAlgorithms=ecdsa-sha2-nistp256-cert-v01@openssh.com")
    assert got.stdout == "in\n", got.stderr
    assert office.events(kind="decision", device="ann-laptop", owner="company")
    ann.sign_out()
    got = run(office, device["key"])
    assert got.returncode == 255
    text, entry = why(office, got.stderr)
    assert "your administrators find out why (reference R)" in text and "session has ended" in str(entry["detail"])
    assert run(office, device["key"]).returncode == 255


def test_a_certificate_for_another_key_of_an_unbound_session(office, tmp_path):
    key = str(tmp_path / "id")
    line = keygen(key)
    assert run(office, key).returncode == 255
    with open(key + "-cert.pub", "w", encoding="ascii") as file:
        file.write(office.person("ann").post("/ssh/certificate", {"key": line})["certificate"] + "\n")
    got = run(office, key)
    assert got.stdout == "in\n", got.stderr
    # of an authority that is not the office's
    keygen(str(tmp_path / "ca"))
    os.unlink(key + "-cert.pub")
    subprocess.run(["ssh-keygen", "-q", "-s", str(tmp_path / "ca"), "-I", "x", "-n", "ann", "-V", "+1h", key + ".pub"],
                   check=True)
    assert run(office, key).returncode == 255


def test_a_security_key(office, tmp_path):
    """A key of the kind that FIDO2 tokens hold, by a token in software: as good as any other registered key."""
    provider, key = str(tmp_path / "token.so"), str(tmp_path / "id")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", provider, os.path.join(os.path.dirname(__file__), "sk_provider.c"),
                    "-lcrypto"], check=True)
    line = keygen(key, "ed25519-sk", "-w", provider)
    ann = office.person("ann")
    assert run(office, key, "-o", f"SecurityKeyProvider={provider}").returncode == 255  # nobody's yet
    ann.post("/me/ssh-keys", {"name": "token", "key": line})
    got = run(office, key, "-o", f"SecurityKeyProvider={provider}")
    assert got.stdout == "in\n", got.stderr
    assert ann.get("/me/ssh-keys")["items"][0]["last_used_at"]


def interactive(office, tmp_path, password, code, command="echo in", user="ann:host"):
    """OpenSSH's client, asked for password and code; the process."""
    ask = tmp_path / "askpass"
    ask.write_text("#!/bin/sh\ncase \"$1\" in *Password*) echo '" + password + "';; *) echo '" + code + "';; esac\n")
    ask.chmod(0o700)
    env = {"PATH": os.environ["PATH"], "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "HOME": str(tmp_path)}
    words = [w.replace("BatchMode=yes", "NumberOfPasswordPrompts=1") for w in loud(office)]
    return subprocess.Popen(["ssh", *words, "-o", "PreferredAuthentications=keyboard-interactive", "-o", f"User={user}", "-p",
                             str(office.port), "127.0.0.1", command], env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_password_and_code(office, tmp_path):
    ann = office.person("ann")
    client = interactive(office, tmp_path, ann.password, ann.totp.code())
    out, said = client.communicate(timeout=30)
    assert out == "in\n" and "signing in as ann" in said, said
    texts = set()
    for user in ("ann:host", "nobody:host"):  # who is not there is told the same
        client = interactive(office, tmp_path, "wrong", "123456", user=user)
        out, said = client.communicate(timeout=30)
        assert out == "" and client.returncode == 255
        texts.add(why(office, said)[0])
    assert len(texts) == 1


def test_confirmed_in_a_browser(office, tmp_path):
    ann = office.person("ann")
    ann.step_up()
    client = interactive(office, tmp_path, "", "")
    said = ""
    while not (found := re.search(r"/ssh/([0-9A-Z]{4}-[0-9A-Z]{4})", said)):
        line = client.stderr.readline()
        assert line, said
        said += line
    shown = ann.get(f"/ssh/sign-in/{found[1]}")
    assert shown["user"] == "ann" and shown["resource"] == "host"
    assert shown["client"].startswith("SSH-2.0-OpenSSH") and shown["same_place"]
    assert client.poll() is None
    ann.post(f"/ssh/sign-in/{found[1]}", {"allow": True})
    assert client.communicate(timeout=30)[0] == "in\n"


# ---- terminals ----

class Shell:
    """OpenSSH's client with a terminal."""

    def __init__(self, office, name):
        self.process = subprocess.Popen(office.argv(name, "host", "-tt", "127.0.0.1"), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while piece := os.read(self.process.stdout.fileno(), 65536):
            self.said += piece

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait(self, text, seconds=15):
        wait_for(text, seconds, lambda: text.encode() in self.said)

    def close(self):
        self.process.kill()
        self.process.wait()


def lines_of(person, ref, **query):
    words = "&".join(f"{k}={v}" for k, v in query.items())
    answer = person.request("GET", "portal", f"/api/v1/ssh/recordings/{ref}?{words}",
                            headers={"X-Sallyport-Request": "1"})
    return answer.status, answer.body.decode(), answer.header("x-sallyport-end", "")


def test_a_terminal_is_recorded_frozen_and_ended(office):
    ann = office.person("ann")
    office.key("ann")
    shell = Shell(office, "ann")
    try:
        shell.type("echo one-$((1+1))\n")
        shell.wait("one-2")
        shown = wait_for("the connection", 5, lambda: [c for c in ann.get("/ssh/connections?mine=1")["items"] if c["channels"]])[0]
        assert shown["channels"][0]["kind"] == "shell"
        ref = shown["id"]
        wait_for("the recording", 5, lambda: "one-2" in lines_of(ann, ref)[1])
        office.sam.post(f"/ssh/connections/{ref}/freeze", {"frozen": True})
        time.sleep(0.3)
        shell.type("echo two-$((1+1))\n")
        time.sleep(1)
        assert b"two-2" not in shell.said
        office.sam.post(f"/ssh/connections/{ref}/freeze", {"frozen": False})
        shell.wait("two-2")
        began = time.monotonic()
        office.sam.post(f"/ssh/connections/{ref}/end", {"why": "enough for today"})
        shell.process.wait(5)
        assert time.monotonic() - began < 2
        shell.wait("enough for today", 3)
        wait_for("the end", 5, lambda: lines_of(ann, ref)[2] == "1")
        info = wait_for("the coverage", 5, lambda: (lambda i: i if i["ended_at"] else None)(ann.get(f"/ssh/recordings/{ref}/info")))
        assert info["live"] is False and info["channels"][0]["kind"] == "shell" and info["channels"][0]["bytes"] > 0
        assert ref in [r["id"] for r in office.audrey.get("/ssh/recordings?person=ann")["items"]]
    finally:
        shell.close()


def test_a_terminal_that_is_agreed_to_runs_while_it_is_watched(office):
    dan = office.person("dan", ["owner"])
    eve = office.person("eve", ["owner"])
    office.key("eve")  # a step-up of hers
    office.key("dan")
    shell = Shell(office, "dan")
    try:
        asked = wait_for("the question", 15, lambda: [a for a in eve.get("/approvals?state=waiting")["items"]
                                                      if a["kind"] == "command"])[0]
        eve.post(f"/approvals/{asked['id']}/approve", {"sha256": asked["sha256"]})
        shown = wait_for("that it wants to be watched", 10, lambda: [c for c in eve.get("/ssh/connections")["items"]
                                                                     if c["watch_needed"]])[0]
        shell.type("echo ran-$((1+1))\n")
        time.sleep(1)
        assert b"ran-2" not in shell.said  # nobody watches
        watched = eve.post(f"/ssh/connections/{shown['id']}/watch", {})
        assert watched["watchers"] == ["eve"]
        shell.wait("ran-2", 5)
        wait_for("what she sees", 5, lambda: "ran-2" in lines_of(eve, shown["id"])[1])
        eve.call("DELETE", f"/ssh/connections/{shown['id']}/watch")
        time.sleep(0.3)
        shell.type("echo again-$((1+1))\n")
        time.sleep(1)
        assert b"again-2" not in shell.said
        eve.post(f"/ssh/connections/{shown['id']}/watch", {})
        shell.wait("again-2", 5)
        eve.post(f"/ssh/connections/{shown['id']}/end", {})
        shell.process.wait(5)
    finally:
        shell.close()

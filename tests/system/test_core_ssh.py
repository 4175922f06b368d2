# SPDX-License-Identifier: Apache-2.0
"""Core and SSH: keys, certificates, passwords, browsers, targets, connections, who watches.

The test speaks to core.sock as a worker of the SSH gate does; keys and certificates are ssh-keygen's.
OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/ssh_msg.h, docs/api/openapi.yaml "ssh".
"""
import base64
import hashlib
import itertools
import json
import os
import random
import re
import shlex
import struct
import subprocess
import time
from types import SimpleNamespace

import pytest

from officelib import PROGRAM, Office, free_port, wait_for
from portal import Refused
from test_core_database import Worker
from vault_client import Reader, text

OFFER, KEY, PROMPT, TARGETS, OPEN, SIGN, CONN, CHANNEL, WATCH_WANT, ALARM, KILL, FREEZE, WATCHED = \
    range(0x0400, 0x040d)
HELLO, SSH, DB = 1, 2, 3
ASK, ASK_USE, SPEND, ASK_DONE = 0x0103, 0x0104, 0x0106, 0x0108
OK, ELIMIT, EDENIED, ECONFLICT = 0, 4, 7, 8
LOOPBACK = bytes(10) + b"\xff\xff\x7f\0\0\1"
CLIENT = b"SSH-2.0-PuTTY_Release_0.78"
EXECUTE = 8

DOCUMENTS = """\
kind: Role
name: engineer
---
kind: Role
name: dba
---
kind: Role
name: guest
---
kind: Resource
name: ws-7
title: { en: Workstation, zh: 工作站 }
operator: company
class: core
ssh:
  address: 127.0.0.1:1
  host_keys: ["%(key)s"]
  accounts: [{ roles: [dba], as: ops }, { roles: [engineer, dba], as: dev }]
  commands: [{ name: restart, argv: [systemctl, restart, "{unit:word}"], action: execute }]
---
kind: Resource
name: old-box
operator: company
class: core
ssh:
  address: 127.0.0.1:1
  host_keys: ["%(key)s"]
  accounts: [{ roles: [engineer, guest], as: root }]
  sign_in: password
---
kind: Rule
name: engineers work
who: { roles: [engineer, dba] }
to: { resources: [ws-7, old-box] }
may: [connect, read, export]
---
kind: Rule
name: commands are agreed to
who: { roles: [engineer, dba] }
to: { resources: [ws-7] }
may: [execute]
ask: { approved_by: 1, by: { roles: [dba] } }
"""


def new_key(folder, kind="ed25519", name=None):
    """(line of the .pub file, blob, path)"""
    path = os.path.join(str(folder), name or f"id_{kind}_{random.getrandbits(40):x}")
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "x", "-f", path], check=True)
    with open(path + ".pub", encoding="ascii") as file:
        line = file.read()
    return line, base64.b64decode(line.split()[1]), path


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def office(keys):
    host, _, _ = new_key(keys, name="host")
    one = Office(documents={"office.yaml": DOCUMENTS % {"key": " ".join(host.split()[:2])}},
                 extra=f'ssh: ["127.0.0.1:{free_port()}"]\n')
    try:
        one.start()
        one.set_up_administrators()
        for name in ("ann", "ben"):
            one.employee(name, ["engineer"])
        yield one
    finally:
        one.close()


def line_of(office, gate=SSH, role="ssh"):
    uid = office.uids[role] if office.uids else os.getuid()
    line = Worker(os.path.join(office.run_dir, "core.sock"), uid)
    assert line.call(HELLO, bytes([gate, 1]))[0] == OK
    return line


@pytest.fixture
def line(office):
    made = line_of(office)
    yield made
    made.socket.close()


def who(user, resource="ws-7", account="", peer=LOOPBACK, connection=0):
    return peer + struct.pack(">Q", connection) + text(user.encode()) + text(resource.encode()) + text(account.encode())


class SignedIn:
    def __init__(self, body):
        reader = body if isinstance(body, Reader) else Reader(body)
        self.session = (reader.number("I"), reader.number("Q"))
        self.fingerprint = reader.take(32)
        self.expires, self.strength = reader.number("Q"), reader.number("B")
        self.person, self.force_command = reader.text().decode(), reader.text().decode()


def offer(line, user, blob, **more):
    return line.call(OFFER, who(user, **more) + text(blob))[0]


def show(line, user, blob, algorithm=None, flags=0, counter=0, **more):
    algorithm = algorithm or blob[4:4 + struct.unpack(">I", blob[:4])[0]]
    status, body = line.call(KEY, who(user, **more) + text(blob) + text(algorithm) + struct.pack(">BI", flags, counter))
    return status, SignedIn(body) if status == OK else None


NUMBERS = itertools.count(1)


class Prompt:
    """One keyboard-interactive conversation."""

    def __init__(self, line, user, **more):
        self.line, self.number, self.who = line, next(NUMBERS), who(user, **more)

    def body(self, step, answers=()):
        client = CLIENT if step == 0 else b""
        return struct.pack(">IB", self.number, step) + self.who + text(client) + bytes([len(answers)]) + \
            b"".join(text(a.encode()) for a in answers)

    def call(self, step, answers=()):
        """(status, done, instruction or what came, prompts)"""
        return self.read(*self.line.call(PROMPT, self.body(step, answers)))

    @staticmethod
    def read(status, body):
        if status != OK:
            assert body == b""
            return status, False, None, []
        reader = Reader(body)
        done = reader.number("B") == 1
        signed_in = SignedIn(reader)
        instruction = reader.text().decode()
        prompts = [(reader.number("B"), reader.text().decode()) for _ in range(reader.number("B"))]
        return status, done, signed_in if done else instruction, prompts


def registered(person, keys, kind="ed25519", name="laptop"):
    key = new_key(keys, kind)
    person.post("/me/ssh-keys", {"name": name, "key": key[0]})
    return key


def open_target(line, signed_in, resource="ws-7", account="", connection=None, blob=None, keys=None):
    blob = blob or new_key(keys)[1]
    connection = connection or random.getrandbits(60)
    status, body = line.call(OPEN, struct.pack(">QIQ", connection, *signed_in.session) + signed_in.fingerprint + LOOPBACK +
                             text(resource.encode()) + text(account.encode()) + text(blob))
    if status != OK:
        return status
    reader = Reader(body)
    kind, reason = reader.number("B"), reader.number("B")
    return {"kind": kind, "reason": reason, "account": reader.text().decode(), "credential": reader.text(),
            "why": reader.text().decode()}


def connect(line, signed_in, resource="ws-7", account="dev"):
    """The number and the reference of a connection that the gate tells of."""
    number = random.getrandbits(60)
    tell_conn(line, number, signed_in, resource, account, 0)
    return number, reference(number)


def tell_conn(line, number, signed_in, resource, account, state):
    line.socket.send(struct.pack(">BHIB", 1, CONN, 0, 0) + struct.pack(">QB", number, state) + LOOPBACK +
                     signed_in.fingerprint + struct.pack(">IQ", *signed_in.session) + text(resource.encode()) +
                     text(account.encode()) + text(b"SSH-2.0-Test_1") + b"\0" + text(b""))


def reference(number):
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    digits = "".join(alphabet[(number >> (5 * i)) & 31] for i in range(11, -1, -1))
    return f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"


def pushed(line, kind, timeout=3):
    """The body of the next push of that kind."""
    for at, (got, body) in enumerate(line.pushes):
        if got == kind:
            line.pushes = line.pushes[:at] + line.pushes[at + 1:]
            return body
    line.socket.settimeout(timeout)
    try:
        while True:
            packet = line.socket.recv(256 * 1024)
            assert packet
            got = struct.unpack(">BHIB", packet[:8])[1]
            if got == kind:
                return packet[8:]
            line.pushes += ((got, packet[8:]),)
    finally:
        line.socket.settimeout(10)


def events(office, **wanted):
    found = office.people["audrey"].items("/admin/ledger/events?limit=200")
    return [e for e in found if all(e.get(k) == v for k, v in wanted.items())]


# ---- keys ----

def test_a_registered_key_signs_in_with_a_session_of_its_own(office, line, keys):
    ann = office.people["ann"]
    key_line, blob, path = registered(ann, keys)
    listed = ann.get("/me/ssh-keys")["items"][0]
    print_ = subprocess.run(["ssh-keygen", "-l", "-f", path + ".pub"], capture_output=True, text=True, check=True).stdout
    assert listed["fingerprint"] == print_.split()[1] and listed["algorithm"] == "ssh-ed25519"
    assert listed["presence"] is False and listed["last_used_at"] is None and listed["name"] == "laptop"
    assert offer(line, "ann", blob) == OK
    status, signed_in = show(line, "ann", blob)
    assert status == OK and signed_in.person == "ann" and signed_in.strength == 1
    assert signed_in.fingerprint == bytes(32) and signed_in.force_command == ""
    mine = [s for s in ann.get("/me/sessions")["items"] if s["kind"] == "ssh"]
    assert [int(s["id"], 16) for s in mine] == [signed_in.session[1]]
    assert ann.get("/me/ssh-keys")["items"][0]["last_used_at"]
    # it ends with its connection
    number, _ = connect(line, signed_in)
    tell_conn(line, number, signed_in, "ws-7", "dev", 1)
    wait_for("the session's end", 5, lambda: not [s for s in ann.get("/me/sessions")["items"] if s["kind"] == "ssh"])
    assert events(office, kind="sign-in", gate="ssh", person="ann", strength="password")
    # removed, it opens nothing
    ann.call("DELETE", f"/me/ssh-keys/{listed['id']}")
    assert offer(line, "ann", blob) == EDENIED and show(line, "ann", blob) == (EDENIED, None)


def test_others_and_unknown_keys_are_alike(office, line, keys):
    ben = office.people["ben"]
    _, blob, _ = registered(ben, keys)
    _, unknown, _ = new_key(keys)
    for user, key in (("ann", blob), ("ann", unknown), ("nobody", blob), ("nobody", unknown), ("no body", blob),
                      ("olga", blob), ("ben", b"\0\0\0\x0bssh-ed25519"), ("ben", os.urandom(300))):
        assert offer(line, user, key) == EDENIED, user
        assert show(line, user, key, algorithm=b"ssh-ed25519") == (EDENIED, None), user
    assert show(line, "ben", blob, algorithm=b"ecdsa-sha2-nistp256") == (EDENIED, None)
    assert show(line, "ben", blob)[0] == OK


def test_what_is_taken_as_a_key(office, keys):
    ann = office.people["ann"]
    rsa = new_key(keys, "rsa")[0]
    good = new_key(keys)[0]
    for bad in (rsa, good.replace("ssh-ed25519", "ssh-dss"), "ssh-ed25519 AAAA", "x", good + good,
                'command="x" ' + good, "ssh-ed25519 " + base64.b64encode(os.urandom(51)).decode()):
        with pytest.raises(Refused) as what:
            ann.post("/me/ssh-keys", {"name": "x", "key": bad})
        assert what.value.status == 422, bad
    ann.post("/me/ssh-keys", {"name": "one", "key": good})
    with pytest.raises(Refused) as what:
        ann.post("/me/ssh-keys", {"name": "two", "key": good})
    assert what.value.status == 409
    for kind in ("ecdsa",):
        assert ann.post("/me/ssh-keys", {"name": kind, "key": new_key(keys, kind)[0]})["algorithm"].startswith("ecdsa")
    shown = office.people["olga"].get(f"/admin/people/{ann.get('/me')['person']['id']}/ssh-keys")["items"]
    assert {"one", "ecdsa"} <= {k["name"] for k in shown}
    with pytest.raises(Refused):
        ann.get("/admin/people/1/ssh-keys")


def test_who_removes_a_key_ends_what_was_opened_with_it(office, line, keys):
    ann, sam = office.people["ann"], office.people["sam"]
    where = f"/admin/people/{ann.get('/me')['person']['id']}/ssh-keys"

    def open_ones():
        return {int(s["id"], 16) for s in ann.get("/me/sessions")["items"] if s["kind"] == "ssh"}
    _, kept, _ = registered(ann, keys, name="kept")
    stays = show(line, "ann", kept)[1].session[1]
    for person, path in ((ann, "/me/ssh-keys"), (sam, where)):
        _, blob, _ = registered(ann, keys, name="stolen")
        stolen = show(line, "ann", blob)[1].session[1]
        assert {stays, stolen} <= open_ones()
        key = next(k for k in ann.get("/me/ssh-keys")["items"] if k["name"] == "stolen")
        person.call("DELETE", f"{path}/{key['id']}")
        assert stays in open_ones() and stolen not in open_ones()
        assert offer(line, "ann", blob) == EDENIED
    with pytest.raises(Refused):
        ann.call("DELETE", f"{where}/1")
    with pytest.raises(Refused) as what:
        sam.call("DELETE", f"{where}/999999")
    assert what.value.status == 404


def test_an_address_takes_not_all_the_room_for_conversations(office):
    line = line_of(office)
    far, near = bytes(10) + b"\xff\xff\x0a\0\0\x07", bytes(10) + b"\xff\xff\x0a\0\0\x08"
    assert [Prompt(line, "ben", peer=far).call(0)[0] for _ in range(129)] == [OK] * 128 + [ELIMIT]
    assert Prompt(line, "ben", peer=near).call(0)[0] == OK
    line.socket.close()


def test_who_takes_all_the_room_for_conversations_takes_it_from_himself(office):
    """Eight addresses hold all of it; whoever comes then is asked as well, and their oldest gives way."""
    line = line_of(office)
    places = [bytes(10) + b"\xff\xff\x0a\0\1" + bytes([i]) for i in range(9)]
    patient = Prompt(line, "ben", peer=places[8])
    assert patient.call(0)[0] == OK
    floods = [[Prompt(line, "ben", peer=peer) for _ in range(128)] for peer in places[:8]]
    assert all(one.call(0)[0] == OK for flood in floods for one in flood)
    assert Prompt(line, "ben", peer=places[8]).call(0)[0] == OK
    status, _, text, _ = patient.call(1, ["", ""])
    assert status == OK and "/ssh/" in text  # it was older than all of them
    gone = [(i, k) for i in range(8) for k in range(2) if floods[i][k].call(1, ["", ""])[0] == EDENIED]
    assert gone == [(0, 0), (1, 0)], gone  # two came too many: the oldest of one address, then of another
    line.socket.close()


@pytest.mark.parametrize("waits", [False, True], ids=["address shown", "waiting for it"])
def test_who_has_all_the_room_wait_for_browsers_takes_it_from_himself(office, waits):
    """A flood that left both answers empty gives way as one that was only asked does; who waits is told so."""
    line = line_of(office)
    places = [bytes(10) + b"\xff\xff\x0a\0\3" + bytes([i]) for i in range(9)]
    patient = Prompt(line, "ben", peer=places[8])
    assert patient.call(0)[0] == OK
    held = []
    for place in places[:8]:
        for _ in range(128):
            one = Prompt(line, "ben", peer=place)
            assert one.call(0)[0] == OK
            assert one.call(1, ["", ""])[0] == OK
            if waits:
                line.id += 1
                line.socket.send(struct.pack(">BHIB", 1, PROMPT, line.id, 0) + one.body(1))
            held.append(one)
    later = Prompt(line, "ann", peer=places[8])
    assert later.call(0)[0] == OK
    for one in (patient, later):
        status, _, told, _ = one.call(1, ["", ""])
        assert status == OK and "/ssh/" in told
    # two came too many: the oldest of one address, then of another; those that waited were told no
    assert [body for kind, body in line.pushes if kind == PROMPT] == ([b"", b""] if waits else [])
    assert [held[at].call(1)[0] for at in (0, 128)] == [EDENIED, EDENIED]
    line.socket.close()


def test_an_answer_that_found_its_question_gone_is_no_guess(office):
    """It is written down; the address may go on to sign in."""
    line = line_of(office)
    near = bytes(10) + b"\xff\xff\x0a\0\4\1"
    for _ in range(40):
        assert Prompt(line, "ben", peer=near).call(1, ["a password", "000000"])[0] == EDENIED
    assert Prompt(line, "ben", peer=near).call(0)[0] == OK
    wait_for("the entries", 10, lambda: [
        e for e in office.people["audrey"].items("/admin/ledger/events?kind=sign-in&limit=20")
        if e["peer"].endswith("10.0.4.1") and "came late" in str(e)])
    line.socket.close()


def test_a_guess_whose_connection_has_gone_is_written_down(office):
    line = line_of(office)
    far = bytes(10) + b"\xff\xff\x0a\0\2\1"
    one = Prompt(line, "ben", peer=far)
    assert one.call(0)[0] == OK
    for step, answers in ((1, ["wrong password", "000000"]), (2, [])):  # and given up, before it is checked
        line.id += 1
        line.socket.send(struct.pack(">BHIB", 1, PROMPT, line.id, 0) + one.body(step, answers))
    wait_for("the entry", 10, lambda: [
        e for e in office.people["audrey"].items("/admin/ledger/events?kind=sign-in&limit=20")
        if e["peer"].endswith("10.0.2.1") and e["verdict"] == "deny"])
    line.socket.close()


def test_a_security_key_must_be_touched_and_must_go_on_counting(office, line):
    ann = office.people["ann"]
    blob = text(b"sk-ssh-ed25519@openssh.com") + text(os.urandom(32)) + text(b"ssh:")
    key = ann.post("/me/ssh-keys", {"name": "token", "key": "sk-ssh-ed25519@openssh.com " +
                                    base64.b64encode(blob).decode()})
    assert key["presence"] is True
    assert offer(line, "ann", blob) == OK
    assert show(line, "ann", blob, flags=0, counter=5)[0] == EDENIED
    assert show(line, "ann", blob, flags=1, counter=5)[1].strength == 2  # touched: as password and code
    assert show(line, "ann", blob, flags=5, counter=6)[1].strength == 3  # PIN or finger too: a passkey
    assert show(line, "ann", blob, flags=5, counter=6)[0] == EDENIED  # a copy of it
    assert show(line, "ann", blob, flags=5, counter=0)[0] == EDENIED
    assert show(line, "ann", blob, flags=5, counter=7)[0] == OK


# ---- devices and certificates ----

@pytest.fixture(scope="module")
def device(office, tmp_path_factory):
    folder = tmp_path_factory.mktemp("laptop")
    made = office.people["ann"].post("/me/devices/enrol-code")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "SALLYPORT_AGENT_DIR": str(folder / "agent")}
    agent = subprocess.Popen([PROGRAM, *shlex.split(made["command"])[1:], "--name", "ann-laptop"], env=env,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    agent.stdin.write(made["code"] + "\n")
    agent.stdin.flush()
    sam = office.people["sam"]
    one = wait_for("the enrolment", 20, lambda: [d for d in sam.get("/admin/devices")["items"]
                                                 if d["state"] == "pending"])[0]
    sam.post(f"/admin/devices/{one['id']}/approve", {"owner": "company"})
    said, _ = agent.communicate(timeout=60)
    assert agent.returncode == 0, said
    key = str(folder / "key.pem")
    subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", str(folder / "agent" / "device.key"), "-out", key],
                   check=True, capture_output=True)
    os.chmod(key, 0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", key], check=True, capture_output=True, text=True).stdout
    return {"cert": str(folder / "agent" / "device.pem"), "key": key, "line": public, "id": one["id"],
            "blob": base64.b64decode(public.split()[1])}


def on_device(office, device):
    ann = office.people["ann"].again(cert=(device["cert"], device["key"]))
    ann.sign_in()
    return ann


def certificate(person, line):
    made = person.post("/ssh/certificate", {"key": line})
    return base64.b64decode(made["certificate"].split()[1]), made


def test_the_key_of_a_device_rides_on_the_session_there(office, line, device):
    assert offer(line, "ann", device["blob"]) == EDENIED  # nobody is signed in on it
    ann = on_device(office, device)
    session = int(ann.get("/me")["session"]["id"], 16)
    assert offer(line, "ann", device["blob"]) == OK and offer(line, "ben", device["blob"]) == EDENIED
    status, signed_in = show(line, "ann", device["blob"])
    assert status == OK and signed_in.session[1] == session and signed_in.strength == 2
    spki = subprocess.run(["openssl", "pkey", "-in", device["key"], "-pubout", "-outform", "DER"], check=True,
                          capture_output=True).stdout
    assert signed_in.fingerprint == hashlib.sha256(spki).digest()
    # and is nothing else: in quarantine it signs nobody in, though she has registered it as her own
    key = office.people["ann"].post("/me/ssh-keys", {"name": "the same", "key": device["line"]})
    assert offer(line, "ann", device["blob"]) == OK
    office.people["sam"].post(f"/admin/devices/{device['id']}/quarantine", {"why": "lost"})
    assert offer(line, "ann", device["blob"]) == EDENIED and show(line, "ann", device["blob"])[0] == EDENIED
    office.people["sam"].post(f"/admin/devices/{device['id']}/release", {})
    office.people["ann"].call("DELETE", f"/me/ssh-keys/{key['id']}")
    assert show(line, "ann", device["blob"])[0] == EDENIED  # that ended her session there


def test_a_certificate_stands_for_session_and_device(office, line, device, keys):
    ann = on_device(office, device)
    with pytest.raises(Refused) as what:  # a bound session's certificate is for the device's key only
        certificate(ann, new_key(keys)[0])
    assert what.value.status == 422
    cert, made = certificate(ann, device["line"])
    path = os.path.join(str(keys), "c.pub")
    with open(path, "w", encoding="ascii") as file:
        file.write(made["certificate"])
    said = subprocess.run(["ssh-keygen", "-L", "-f", path], check=True, capture_output=True, text=True).stdout
    assert re.search(r"Principals: \n\s+ann\n", said) and "device@sallyport" in said
    wait_for("the authority's key", 5, lambda: offer(line, "ann", cert) == OK)
    status, signed_in = show(line, "ann", cert)
    assert status == OK and signed_in.session[1] == int(ann.get("/me")["session"]["id"], 16)
    assert signed_in.fingerprint != bytes(32)
    for name in ("ben", "nobody-here"):  # it names ann: told alike, whoever is there
        assert offer(line, name, cert) == ECONFLICT
    assert offer(line, "ann", cert[:-1] + bytes([cert[-1] ^ 1])) == EDENIED  # not of the office: nothing is written
    assert show(line, "ann", cert[:-1] + bytes([cert[-1] ^ 1]))[0] == EDENIED
    ann.sign_out()
    assert offer(line, "ann", cert) == ECONFLICT
    assert show(line, "ann", cert)[0] == EDENIED  # the session has ended
    assert [e for e in events(office, kind="sign-in", gate="ssh", verdict="deny") if "session" in str(e["detail"])]


def test_certificates_without_a_device_and_of_other_authorities(office, line, keys):
    ann = office.people["ann"]
    key_line, _, path = new_key(keys)
    cert, _ = certificate(ann, key_line)
    wait_for("the authority's key", 5, lambda: offer(line, "ann", cert) == OK)
    status, signed_in = show(line, "ann", cert)
    assert status == OK and signed_in.fingerprint == bytes(32)
    _, _, ca = new_key(keys)
    subprocess.run(["ssh-keygen", "-q", "-s", ca, "-I", "ann/1", "-n", "ann", "-V", "+1h", path + ".pub"], check=True)
    with open(path + "-cert.pub", encoding="ascii") as file:
        other = base64.b64decode(file.read().split()[1])
    assert offer(line, "ann", other) == EDENIED and show(line, "ann", other)[0] == EDENIED
    with pytest.raises(Refused):
        certificate(ann, new_key(keys, "rsa")[0])


def test_a_device_enrolled_after_signing_in_counts(office, line, device):
    ann = office.people["ann"]  # her session is bound to no device
    cert, _ = certificate(ann, device["line"])
    wait_for("the authority's key", 5, lambda: offer(line, "ann", cert) == OK)
    status, signed_in = show(line, "ann", cert)
    assert status == OK and signed_in.fingerprint != bytes(32)
    ben = office.people["ben"]  # another person's device is just a key
    other, _ = certificate(ben, device["line"])
    assert show(line, "ben", other)[1].fingerprint == bytes(32)


# ---- password and code, browser ----

def test_password_and_code_sign_in(office, line):
    ann = office.people["ann"]
    prompt = Prompt(line, "ann")
    status, done, said, prompts = prompt.call(0)
    assert (status, done, prompts) == (OK, False, [(0, "Password: "), (1, "One-time code: ")]) and "ann" in said
    status, done, signed_in, _ = prompt.call(1, [ann.password, ann.totp.code()])
    assert status == OK and done and signed_in.person == "ann" and signed_in.strength == 2
    assert prompt.call(1, [ann.password, "000000"])[0] == EDENIED  # it is over
    assert events(office, kind="sign-in", gate="ssh", person="ann", strength="totp")


def test_wrong_answers_are_alike_and_close_the_door(office, line):
    office.employee("cat", ["engineer"])
    peer = bytes(10) + b"\xff\xff\x0a\0\0\x09"
    said = [Prompt(line, name, peer=peer).call(0)[2].replace(name, "X") for name in ("cat", "nobody-here")]
    assert said[0] == said[1]
    for name in ("cat", "nobody-here"):
        for _ in range(6):
            prompt = Prompt(line, name, peer=peer)
            assert prompt.call(0)[0] == OK
            last = prompt.call(1, ["wrong password", "123456"])[0]
        assert last == ELIMIT  # as in the portal
    with pytest.raises(Refused) as what:  # the same door
        office.people["cat"].again().sign_in()
    assert what.value.status == 429
    prompt = Prompt(line, "ann", peer=peer)
    prompt.call(0)
    assert prompt.call(1, ["one answer only"])[0] == EDENIED


def test_a_browser_confirms(office, line):
    ann, ben = office.people["ann"], office.people["ben"]
    prompt = Prompt(line, "ann")
    prompt.call(0)
    status, done, said, prompts = prompt.call(1, ["", ""])
    assert (status, done, prompts) == (OK, False, [])
    code = re.search(r"https://portal\.\S+/ssh/([0-9A-Z]{4}-[0-9A-Z]{4})", said)[1]
    seen = ann.get(f"/ssh/sign-in/{code}")
    assert seen["user"] == "ann" and seen["resource"] == "ws-7" and seen["account"] == ""
    assert seen["peer"] == "127.0.0.1" and seen["client"] == CLIENT.decode() and seen["same_place"]
    with pytest.raises(Refused) as what:
        ben.get(f"/ssh/sign-in/{code}")
    assert what.value.status == 404
    ann.fresh()
    line.id += 1
    line.socket.send(struct.pack(">BHIB", 1, PROMPT, line.id, 0) + prompt.body(1))
    time.sleep(0.2)
    ann.post(f"/ssh/sign-in/{code}", {"allow": True})
    packet = line.socket.recv(65536)
    assert struct.unpack(">BHIB", packet[:8])[1:3] == (PROMPT, line.id)
    status, done, signed_in, _ = Prompt.read(packet[7], packet[8:])
    assert status == OK and done and signed_in.person == "ann" and signed_in.fingerprint == bytes(32)
    # one that comes from elsewhere is said to, and he refuses
    prompt = Prompt(line, "ann", peer=bytes(10) + b"\xff\xff\xc0\0\2\7", account="dev")
    prompt.call(0)
    code = prompt.call(1, ["", ""])[2].split("/ssh/")[1].split()[0]
    seen = ann.get(f"/ssh/sign-in/{code}")
    assert seen["peer"] == "192.0.2.7" and seen["account"] == "dev" and not seen["same_place"]
    ann.post(f"/ssh/sign-in/{code}", {"allow": False})
    assert prompt.call(1)[0] == EDENIED


def test_nobody_says_yes_to_a_connection_that_is_over(office, line):
    """Each such yes would count as a connection of his that nobody ends."""
    ann = office.people["ann"]
    number = 0xC105ED
    prompt = Prompt(line, "ann", connection=number)
    prompt.call(0)
    code = prompt.call(1, ["", ""])[2].split("/ssh/")[1].split()[0]
    assert ann.get(f"/ssh/sign-in/{code}")["user"] == "ann"
    tell_conn(line, number, SimpleNamespace(fingerprint=bytes(32), session=(0, 0)), "ws-7", "", 1)
    assert prompt.call(1)[0] == EDENIED
    with pytest.raises(Refused) as what:
        ann.post(f"/ssh/sign-in/{code}", {"allow": True})
    assert what.value.status == 404


# ---- targets ----

def test_a_target_is_opened_by_a_certificate_for_what_policy_lets(office, line, keys):
    ann, ben = office.people["ann"], office.people["ben"]
    signed_in = show(line, "ann", registered(ann, keys)[1])[1]
    rider = struct.pack(">IQ", *signed_in.session) + signed_in.fingerprint + LOOPBACK
    status, body = line.call(TARGETS, rider)
    reader = Reader(body)
    assert status == OK and reader.number("H") == 2 << 8
    assert [reader.text() for _ in range(4)] == [b"old-box", b"old-box", b"ws-7", b"Workstation"]
    opened = open_target(line, signed_in, connection=77, keys=keys)
    assert opened["kind"] == 1 and opened["account"] == "dev"
    path = os.path.join(str(keys), "t.pub")
    with open(path, "w", encoding="ascii") as file:
        file.write("ssh-ed25519-cert-v01@openssh.com " + base64.b64encode(opened["credential"]).decode())
    said = subprocess.run(["ssh-keygen", "-L", "-f", path], check=True, capture_output=True, text=True).stdout
    assert f'Key ID: "ann/{reference(77)}"' in said and re.search(r"Principals: \n\s+dev\n", said)
    assert "permit-pty" in said and "forwarding" not in said
    for resource, account in (("ws-7", "ops"), ("nowhere", ""), ("ws-7", "root")):
        refused = open_target(line, signed_in, resource, account, keys=keys)
        assert refused["kind"] == 0 and refused["credential"] == b"" and refused["why"], (resource, account)
    guest = show(line, "gus", registered(office.employee("gus", ["guest"]), keys)[1])[1]
    assert open_target(line, guest, "old-box", keys=keys)["kind"] == 0  # an account, but no rule
    assert events(office, kind="decision", gate="ssh", action="connect", person="ann", verdict="allow")
    assert events(office, kind="decision", gate="ssh", action="connect", person="ann", verdict="deny")
    # a session that has ended opens nothing
    ended = show(line, "ben", registered(ben, keys)[1])[1]
    ben.call("DELETE", f"/me/sessions/{ended.session[1]:016x}")
    assert open_target(line, ended, keys=keys) == EDENIED


def test_a_password_of_the_vault_opens_what_takes_no_certificate(office, line, keys):
    ann, sam = office.people["ann"], office.people["sam"]
    signed_in = show(line, "ann", registered(ann, keys)[1])[1]
    assert "no password" in open_target(line, signed_in, "old-box", keys=keys)["why"]
    with pytest.raises(Refused):
        sam.put("/admin/ssh/credentials/nowhere/root", {"password": "x"})
    sam.put("/admin/ssh/credentials/old-box/root", {"password": "tulip-garden"})
    assert [(c["resource"], c["account"]) for c in sam.get("/admin/ssh/credentials")["items"]] == [("old-box", "root")]
    opened = open_target(line, signed_in, "old-box", keys=keys)
    assert (opened["kind"], opened["account"], opened["credential"]) == (2, "root", b"tulip-garden")
    assert "tulip-garden" not in str(events(office))
    assert any("old-box/root" in str(e) and "read for a connection" in str(e) for e in events(office))


def test_my_machines_and_the_host_key(office):
    ann = office.people["ann"]
    mine = ann.get("/me/ssh")
    assert mine["user"] == "ann" and mine["port"] > 0 and [m["name"] for m in mine["items"]] == ["old-box", "ws-7"]
    machine = mine["items"][1]
    assert machine["accounts"] == ["dev"] and machine["title"] == {"en": "Workstation", "zh": "工作站"}
    assert machine["commands"] == [{"name": "restart", "argv": "systemctl restart {unit:word}"}]
    assert mine["host_keys"][0]["algorithm"] == "ecdsa-sha2-nistp256"
    line = ann.again().request("GET", "portal",
                               "/api/v1/ssh/host-key").body.decode()
    ca = ann.again().request("GET", "portal", "/api/v1/ssh/target-ca").body.decode()
    assert ca.startswith("ssh-ed25519 AAAA") and ca.endswith(f" sallyport@{office.domain}\n")
    assert line.strip() == mine["host_keys"][0]["line"] and line.startswith(f"[portal.{office.domain}]:{mine['port']} ")


def test_a_security_administrator_has_the_host_key_replaced(office):
    ann, sam = office.people["ann"], office.people["sam"]
    before = ann.get("/me/ssh")["host_keys"][0]
    for other in (ann, office.people["olga"]):
        with pytest.raises(Refused) as what:
            other.post("/admin/ssh/host-key")
        assert what.value.status == 403
    sam.fresh()
    new = sam.post("/admin/ssh/host-key")
    assert new["fingerprint"] != before["fingerprint"] and ann.get("/me/ssh")["host_keys"] == [new]
    assert events(office, kind="admin", method="SSH host key replaced", person="sam")


# ---- connections ----

def test_connections_are_seen_frozen_and_ended(office, line, keys):
    ann, ben, sam = (office.people[n] for n in ("ann", "ben", "sam"))
    signed_in = show(line, "ann", registered(ann, keys)[1])[1]
    number, ref = connect(line, signed_in)
    line.socket.send(struct.pack(">BHIB", 1, CHANNEL, 0, 0) + struct.pack(">QIBB", number, 3, 1, 0) + text(b"uptime"))
    shown = wait_for("the channel", 5, lambda: [c for c in ann.get("/ssh/connections?mine=1")["items"]
                                                if c["id"] == ref and c["channels"]])[0]
    assert shown["channels"] == [{"number": 3, "kind": "exec", "object": "uptime"}]
    assert shown["account"] == "dev" and shown["client"] == "SSH-2.0-Test_1" and shown["address"] == "127.0.0.1"
    assert shown["can"] == {"end": True, "freeze": False, "watch": False}
    assert ref not in [c["id"] for c in ben.get("/ssh/connections")["items"]]
    assert ref in [c["id"] for c in office.people["olga"].get("/ssh/connections")["items"]]
    for path, body in (("end", {}), ("freeze", {"frozen": True}), ("watch", {})):
        with pytest.raises(Refused) as what:
            ben.post(f"/ssh/connections/{ref}/{path}", body)
        assert what.value.status == 404
    with pytest.raises(Refused) as what:
        ann.post(f"/ssh/connections/{ref}/freeze", {"frozen": True})
    assert what.value.status == 403
    sam.post(f"/ssh/connections/{ref}/freeze", {"frozen": True, "why": "looks odd"})
    reader = Reader(pushed(line, FREEZE))
    assert (reader.number("Q"), reader.number("B"), reader.text()) == (number, 1, b"sam")
    assert sam.get(f"/ssh/connections/{ref}")["frozen"] is True
    sam.post(f"/ssh/connections/{ref}/freeze", {"frozen": False})
    assert pushed(line, FREEZE)[8] == 0
    sam.post(f"/ssh/connections/{ref}/end", {"why": "enough"})
    reader = Reader(pushed(line, KILL))
    assert (reader.number("Q"), reader.text()) == (number, b"enough")
    for method in ("SSH terminal frozen", "SSH terminal let go", "SSH connection ended"):
        assert events(office, method=method, reference=ref), method


def test_nobody_looks_at_an_alarm_about_himself(office, line, keys):
    sam = office.people["sam"]
    signed_in = show(line, "sam", registered(sam, keys)[1])[1]
    number, ref = connect(line, signed_in)
    line.socket.send(struct.pack(">BHIB", 1, ALARM, 0, 0) + struct.pack(">QIIBB", number, 1, 1, 90, 0) + text(b"odd"))
    one = wait_for("the alarm", 5, lambda: [a for a in sam.items("/ssh/alarms") if a["id"] == ref])[0]
    assert one["person"] == "sam"
    with pytest.raises(Refused) as what:
        sam.post(f"/ssh/alarms/{ref}/seen", {"why": "it was me"})
    assert what.value.status == 403
    assert [a for a in sam.items("/ssh/alarms") if a["id"] == ref]


def test_connections_of_a_worker_that_dies_are_told(office, keys):
    line = line_of(office)
    signed_in = show(line, "ann", registered(office.people["ann"], keys)[1])[1]
    _, ref = connect(line, signed_in)
    wait_for("the connection", 5, lambda: ref in [c["id"] for c in office.people["ann"].get("/ssh/connections")["items"]])
    line.socket.close()
    end = wait_for("the end", 5, lambda: events(office, kind="close", gate="ssh", reference=ref))[0]
    assert "lost" in end["detail"]
    assert ref not in [c["id"] for c in office.people["ann"].get("/ssh/connections")["items"]]


def ask_for(line, signed_in, content=b"shell", connection=5):
    body = struct.pack(">QIQQQQBBB", connection, *signed_in.session, 99, 0, 0, EXECUTE, 3, 1) + \
        hashlib.sha256(content).digest() + text(b"ws-7") + text(b"") + text(content) + \
        b"\x01" + text(b"commands are agreed to") + text(b"") + text(b"") + text(b"")
    status, reply = line.call(ASK, body)
    return struct.unpack(">Q", reply)[0] if status == OK else status


def test_budgets_are_of_a_person_whatever_the_gate(office, line, keys):
    signed_in = show(line, "ann", registered(office.people["ann"], keys)[1])[1]

    def spend(nbytes, day_bytes):
        return line.call(SPEND, struct.pack(">IQQBIIQQQQQQQQQBB", *signed_in.session, 7, 3, 1 << 3, 1, 0, nbytes, 0, 0, day_bytes, 0, 0, 0, 0, 0, 0) +
                         text(b"ws-7"))[0]

    assert spend(60, 100) == OK and spend(60, 100) == EDENIED
    wait_for("the refusal", 5, lambda: events(office, kind="decision", gate="ssh", reason="limit", person="ann"))


def test_a_shell_runs_while_who_approved_it_watches(office, line, keys):
    ann, sam = office.people["ann"], office.people["sam"]
    dan, eve = office.employee("dan", ["dba"]), office.employee("eve", ["dba"])
    signed_in = show(line, "ann", registered(ann, keys)[1])[1]
    number, ref = connect(line, signed_in)
    ask = ask_for(line, signed_in, connection=number)
    shown = dan.get("/approvals?state=waiting")["items"][0]
    assert shown["kind"] == "command" and shown["summary"] == "shell" and shown["resource"] == "ws-7"
    dan.step_up()
    dan.post(f"/approvals/{shown['id']}/approve", {"sha256": shown["sha256"]})
    reader = Reader(pushed(line, ASK_DONE))
    assert reader.number("Q") == ask and reader.number("B") == 2
    use = struct.pack(">QIQ", ask, *signed_in.session) + hashlib.sha256(b"shell").digest()



    assert line.call(ASK_USE, use)[0] == OK and line.call(ASK_USE, use)[0] == EDENIED
    line.socket.send(struct.pack(">BHIB", 1, WATCH_WANT, 0, 0) + struct.pack(">QQ", number, ask))
    assert struct.unpack(">QI", pushed(line, WATCHED)[:12]) == (number, 0)
    for stranger in (eve, ann):  # did not approve it; himself
        with pytest.raises(Refused):
            stranger.post(f"/ssh/connections/{ref}/watch", {})
    sam.post(f"/ssh/connections/{ref}/watch", {})  # may look, but answers for nothing
    watched = dan.post(f"/ssh/connections/{ref}/watch", {})
    assert set(watched["watchers"]) == {"sam", "dan"} and watched["watch_needed"]
    reader = Reader(pushed(line, WATCHED))
    assert (reader.number("Q"), reader.number("I"), reader.text()) == (number, 1, b"dan")
    assert dan.get(f"/ssh/connections/{ref}")["can"] == {"end": True, "freeze": True, "watch": True}
    dan.post(f"/ssh/connections/{ref}/watch", {})
    dan.call("DELETE", f"/ssh/connections/{ref}/watch")
    assert struct.unpack(">QI", pushed(line, WATCHED)[:12]) == (number, 0)
    dan.post(f"/ssh/connections/{ref}/watch", {})
    assert struct.unpack(">QI", pushed(line, WATCHED)[:12]) == (number, 1)
    began = time.monotonic()
    assert struct.unpack(">QI", pushed(line, WATCHED, 12)[:12]) == (number, 0)  # nothing was heard for a while
    assert 7 < time.monotonic() - began < 11
    assert len(events(office, method="SSH connection watched", person="dan", reference=ref)) == 3 - 1


# ---- recordings ----

def varint(value):
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7f | 0x80]), value >> 7
    return out + bytes([value])


class Recorder:
    """Puts chunks on the ledger, as the gate does (lib/proto/event.h, lib/record/chunk.h)."""

    def __init__(self, office):
        uid = office.uids["core"] if office.uids else os.getuid()
        self.line = Worker(os.path.join(office.run_dir, "ledger.sock"), uid)
        self.source, self.number = random.getrandbits(60), 0

    def event(self, connection, signed_in, person, kind, method, obj, detail):
        numbers = [int(time.time() * 1e6), connection, signed_in.session[1], 0, 1, 0, 0, 0, person, 0, 0, 0, 0, 0, 0]
        spans = [signed_in.person.encode(), b"", b"ws-7", b"core", b"", method, obj, detail]
        return bytes([2, kind, 0, SSH, EXECUTE, 3, 2, 1, 0, 0, 1]) + LOOPBACK + b"".join(map(varint, numbers)) + \
            b"".join(varint(len(x)) + x for x in spans)

    def put(self, *args):
        event = self.event(*args)
        self.number += 1
        status, _ = self.line.call(0x0304, struct.pack(">QQH", self.source, self.number, 1) + text(event))
        assert status == OK

    def chunk(self, connection, signed_in, person, channel, number, lines, end=False, method=b"shell"):
        packed = subprocess.run(["zstd", "-q", "-c"], input=lines.encode(), capture_output=True, check=True).stdout
        detail = {"n": number, "t0": number * 1000000, "t1": (number + 1) * 1000000, "raw": len(lines.encode()), "end": end,
                  "zstd": base64.b64encode(packed).decode()}
        self.put(connection, signed_in, person, 16, method, str(channel).encode(),
                 json.dumps(detail, separators=(",", ":")).encode())


def lines_of(person, ref, **query):
    words = "&".join(f"{k}={v}" for k, v in query.items())
    answer = person.request("GET", "portal", f"/api/v1/ssh/recordings/{ref}?{words}",
                            headers={"X-Sallyport-Request": "1"})
    return answer.status, answer.body.decode(), int(answer.header("x-sallyport-next", "-1")), \
        answer.header("x-sallyport-end", "")


def test_a_recording_is_read_back_while_it_lives_and_after(office, line, keys):
    ann, ben, sam, audrey = (office.people[n] for n in ("ann", "ben", "sam", "audrey"))
    me = int(ann.get("/me")["person"]["id"])
    signed_in = show(line, "ann", registered(ann, keys)[1])[1]
    number, ref = connect(line, signed_in)
    recorder = Recorder(office)
    header = '{"version":2,"width":80,"height":24}\n'
    recorder.chunk(number, signed_in, me, 2, 0, header + '[0.1,"o","hello "]\n')
    recorder.chunk(number, signed_in, me, 5, 0, header + '[0.1,"o","other"]\n', end=True, method=b"exec")
    for n in range(1, 40):
        recorder.chunk(number, signed_in, me, 2, n, f'[{n}.0,"o","line {n} {os.urandom(2000).hex()}"]\n')
    status, body, following, end = lines_of(ann, ref)
    assert status == 200 and body.startswith(header + '[0.1,"o","hello "]\n[1.0,"o","line 1 ') and (following, end) == (40, "")
    assert [int(l.split(".")[0][1:]) for l in body.splitlines()[2:]] == list(range(1, 40))
    assert lines_of(ann, ref, channel=2, **{"from": 40}) == (200, "", 40, "")  # nothing new yet
    recorder.chunk(number, signed_in, me, 2, 40, '[40.0,"o","bye"]\n', end=True)
    assert lines_of(ann, ref, channel=2, **{"from": 40}) == (200, '[40.0,"o","bye"]\n', 41, "1")
    assert lines_of(ann, ref, channel=5)[1:] == (header + '[0.1,"o","other"]\n', 1, "1")
    shown = ann.get(f"/ssh/recordings/{ref}/info")
    assert shown["live"] and shown["person"] == "ann" and shown["resource"] == "ws-7" and shown["account"] == "dev"
    assert {(c["number"], c["kind"]) for c in shown["channels"]} == {(2, "shell"), (5, "exec")}
    assert sum(c["bytes"] for c in shown["channels"]) > 39 * 4000
    assert [r["id"] for r in ann.get("/ssh/recordings?mine=1")["items"]] == [ref]
    # others
    assert lines_of(ben, ref)[0] == 404 and ben.get("/ssh/recordings")["items"] == []
    with pytest.raises(Refused):
        ben.get(f"/ssh/recordings/{ref}/info")
    assert lines_of(sam, ref)[:2] == lines_of(ann, ref)[:2]
    assert ref in [r["id"] for r in audrey.get("/ssh/recordings?person=ann&resource=ws-7")["items"]]
    before = len(wait_for("the reading's entry", 10, lambda: [
        e for e in events(office, kind="read", person="sam") if "recording" in str(e)]))
    for n in range(3):
        lines_of(sam, ref, channel=2, **{"from": 38 + n})
    assert len([e for e in events(office, kind="read", person="sam") if "recording" in str(e)]) == before  # one reading
    # afterwards
    recorder.put(number, signed_in, me, 1, b"connect", b"dev", b'{"channels":2,"recorded":41,"opaque":0,"refused":0}')
    tell_conn(line, number, signed_in, "ws-7", "dev", 1)
    after = wait_for("the end", 5, lambda: (lambda i: i if not i["live"] else None)(ann.get(f"/ssh/recordings/{ref}/info")))
    assert after["ended_at"] and after["coverage"]["recorded"] == 41 and after["account"] == "dev"
    for n in range(30):  # its end is many pages of ends ago
        recorder.put(number + 1 + n, signed_in, me, 1, b"connect", b"ops", b'{"channels":1}')
    listed = {r["id"]: r for r in ann.get("/ssh/recordings?mine=1&limit=1")["items"]}
    assert (listed[ref]["ended_at"], listed[ref]["account"]) == (after["ended_at"], "dev")
    assert lines_of(ann, "0000-0000-0001")[0] == 404 and lines_of(ann, "x")[0] == 404
    assert lines_of(ann, ref, **{"from": "x"})[0] == 422


def test_other_gates_and_other_users_are_dropped(office):
    if not office.uids:
        pytest.skip("roles have a uid of their own only as root")
    for role, gate in (("web", SSH), ("ssh", DB)):
        with pytest.raises(AssertionError):
            line_of(office, gate, role)

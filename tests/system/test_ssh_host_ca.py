# SPDX-License-Identifier: Apache-2.0
"""Machines that an authority of their own vouches for: sshd with HostCertificate, good and each bad kind, and a key
that is replaced under the same authority. A wire in between counts the gate's connections to the machine.
OWNS nothing. PROCESS tests. TRUST none. SPEC docs/SSH.md 2, gates/ssh/hostkey.c."""

import base64
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading

import pytest

from cutlib import Cutter
from officelib import PROGRAM, wait_for
from relay import end
from sshgatelib import ACCOUNT, SshOffice, Sshd, engineers_work_on, keygen

DOCUMENT = """\
kind: Resource
name: {name}
operator: company
class: internal
ssh:
  address: {host}:{port}
{keys}  accounts: [{{ any: true, as: {account} }}]
---
"""


class Certified(Sshd):
    """A machine whose host key and certificate are made anew."""

    def __init__(self, authorities):
        super().__init__()
        self.authorities = authorities

    def new_key(self, kind="ed25519"):
        for name in ("host_key", "host_key.pub", "host_key-cert.pub"):
            if os.path.exists(f"{self.dir}/{name}"):
                os.remove(f"{self.dir}/{name}")
        self.host_key = keygen(f"{self.dir}/host_key", kind)

    def certify(self, *words, by="good", names="127.0.0.1", host=True):
        subprocess.run(["ssh-keygen", "-q", "-s", f"{self.authorities}/{by}", "-I", "a machine",
                        *(["-h"] if host else []), *(["-n", names] if names else []), *words,
                        f"{self.dir}/host_key.pub"], check=True)

    def shown(self):
        """What a key exchange shows of it."""
        with open(f"{self.dir}/host_key-cert.pub", encoding="ascii") as file:
            return base64.b64decode(file.read().split()[1])

    def serve(self, more=None):
        """With that certificate from now on."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.start(self.ca, f"HostCertificate {self.dir}/host_key-cert.pub\n" if more is None else more)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("authorities"))
    keys = {name: keygen(f"{folder}/{name}") for name in ("good", "other")}
    keys["rsa"] = keygen(f"{folder}/rsa", "rsa", "-b", "2048")
    machine = Certified(folder)
    wires = {name: Cutter(machine.port) for name in ("far", "fresh", "named", "both", "silent")}
    gone = keygen(f"{machine.dir}/gone")
    cas = f'  host_ca: ["{keys["good"]} the company", "{keys["rsa"]}"]\n'
    pins = f'  host_keys: ["{machine.host_key}"]\n'
    lines = {"far": cas, "fresh": cas, "named": cas, "both": pins + cas, "silent": cas}
    text = "".join(DOCUMENT.format(name=name, host="localhost" if name == "named" else "127.0.0.1", account=ACCOUNT,
                                   port=wires[name].port, keys=more + f'  revoked_host_keys: ["{gone}"]\n')
                   for name, more in lines.items())
    one = SshOffice(text + engineers_work_on("host", *lines))
    machine.ca = one._public(1) + "\n"
    one.machine, one.wires = machine, wires
    one.key("ann")
    try:
        yield one
    finally:
        one.close()
        for wire in wires.values():
            wire.close()
        machine.close()


def works(house, name="far"):
    """How many connections the machine saw for it."""
    before = house.wires[name].count
    told = house.ssh("ann", name, "echo in")
    assert (told.stdout, told.returncode) == ("in\n", 0), told.stderr
    return house.wires[name].count - before


def refused(house, words, name="far", severity="high"):
    """Refused with these words and a reference, and written down. Its entry."""
    told = house.ssh("ann", name, "echo in")
    assert told.returncode == 254 and told.stdout == "", told
    assert words in told.stderr and "reference" in told.stderr, told.stderr
    reference = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", told.stderr)[0]
    return wait_for("the entry", 10, lambda: [e for e in house.events(resource=name, severity=severity)
                                              if e["reference"] == reference])[0]


def print_of(path):
    return subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True).stdout.split()[1]


def test_a_pinned_key_needs_no_certificate(house):
    house.machine.serve("")
    assert works(house, "both") == 1


@pytest.mark.parametrize("kind,by", [("ecdsa", "good"), ("rsa", "rsa"), ("ed25519", "good")])
def test_a_key_that_is_certified_is_trusted_and_asked_for_once(house, kind, by):
    """Of each kind, and after another one of the same authority: no document changes."""
    house.machine.new_key(kind)
    house.machine.certify("-V", "-1m:+10m", by=by, names="web,127.0.0.1")
    house.machine.serve()
    assert works(house) in (2, 3)  # its certificate and the connection; before them one that showed another key, or none
    assert works(house) == 1
    assert not house.events(resource="far", severity="high")


def test_a_key_that_is_not_pinned_may_be_certified(house):
    house.machine.new_key()
    house.machine.certify()
    house.machine.serve()
    assert works(house, "both") == 3 and works(house, "both") == 1


def test_names_may_have_wildcards_and_are_the_address(house):
    house.machine.certify(names="local*")
    house.machine.serve()
    assert works(house, "named") == 2
    house.machine.new_key()
    house.machine.certify(names="127.0.0.1")
    house.machine.serve()
    refused(house, "names other hosts", "named")
    house.machine.certify(names="LOCALHOST")
    house.machine.serve()
    assert works(house, "named") == 2  # the bad one does not do any more, so it is asked first


def test_a_machine_with_several_keys_shows_the_certified_one(house):
    """Its ed25519 key comes first when all are asked for, and has no certificate."""
    plain = house.machine.dir + "/plain"
    if not os.path.exists(plain):
        keygen(plain)
    house.machine.new_key("ecdsa")
    house.machine.certify()
    house.machine.serve(f"HostKey {plain}\nHostCertificate {house.machine.dir}/host_key-cert.pub\n")
    works(house)


BAD = {
    "an authority that nobody names": ({"by": "other"}, (), "an authority that policy does not name"),
    "expired": ({}, ("-V", "-2h:-1h"), "has expired"),
    "not yet": ({}, ("-V", "+1h:+2h"), "not valid yet"),
    "other names": ({"names": "127.0.0.2,web"}, (), "names other hosts"),
    "no names": ({"names": None}, (), "names no host"),
    "a critical option": ({}, ("-O", "critical:what@example.com"), "critical option"),
    "signed with SHA-1": ({"by": "rsa"}, ("-t", "ssh-rsa"), "signature"),
}


@pytest.mark.parametrize("name", ["far", "fresh"])  # one that was good before, and one that never was
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_certificate_is_refused(house, bad, name):
    if name == "far":
        house.machine.new_key()
        house.machine.certify()
        house.machine.serve()
        works(house)
    house.machine.new_key()
    more, words, says = BAD[bad]
    house.machine.certify(*words, **more)
    house.machine.serve()
    entry = refused(house, says, name)
    by = f"{house.machine.authorities}/{more.get('by', 'good')}.pub"
    assert says in entry["object"] and entry["verdict"] == "deny"
    assert f'{print_of(house.machine.dir + "/host_key.pub")}, signed by {print_of(by)}' in entry["object"]


class Shows:
    """A machine that shows whatever bytes as its host key, in a key exchange that goes no further."""

    def __init__(self):
        self.blob = b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self):
        end(self.socket)
        self.thread.join(10)
        self.socket.close()

    def _accept(self):
        while True:
            try:
                line, _ = self.socket.accept()
            except OSError:
                return
            lists = ["curve25519-sha256", "ssh-ed25519-cert-v01@openssh.com", *["aes128-ctr"] * 2,
                     *["hmac-sha2-256"] * 2, *["none"] * 2, "", ""]
            kexinit = b"\x14" + bytes(16) + b"".join(text(one.encode()) for one in lists) + bytes(5)
            with line:
                line.sendall(b"SSH-2.0-shows\r\n" + packet(kexinit) +
                             packet(b"\x1f" + text(self.blob) + text(bytes(32)) + text(b"signature")))
                while line.recv(4096):
                    pass


def text(words):
    return struct.pack(">I", len(words)) + words


def packet(payload):
    padding = 4 + -(len(payload) + 9) % 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def test_what_sshd_would_never_show(house):
    """A user's certificate, a plain key, a forged name, and no key at all."""
    machine, wire = Shows(), house.wires["fresh"]
    wire.to = machine.port
    try:
        house.machine.new_key()
        house.machine.certify(host=False)
        machine.blob = house.machine.shown()
        assert "one for users" in refused(house, "one for users", "fresh")["object"]
        house.machine.certify(names="127.0.0.2")
        machine.blob = house.machine.shown().replace(b"127.0.0.2", b"127.0.0.1")
        refused(house, "signature", "fresh")
        machine.blob = base64.b64decode(house.machine.host_key.split()[1])
        refused(house, "shows no host certificate", "fresh")
        machine.blob = text(b"ssh-ed25519-cert-v01@openssh.com") + b"\xff" * 40
        refused(house, "malformed", "fresh")
    finally:
        wire.to = house.machine.port
        machine.close()


def test_no_certificate_at_all(house):
    house.machine.new_key()
    house.machine.serve("")
    entry = refused(house, "has no host certificate")
    assert print_of(house.machine.dir + "/host_key.pub") in entry["object"]
    refused(house, "has no host certificate", "fresh")


def test_a_revoked_key_is_refused_whoever_certified_it(house):
    house.machine.new_key()
    for end_of in ("", ".pub"):
        os.replace(f"{house.machine.dir}/gone{end_of}", f"{house.machine.dir}/host_key{end_of}")
    house.machine.certify()
    house.machine.serve()
    refused(house, "revoked")
    refused(house, "revoked", "fresh")


class Middle(Cutter):
    """Lets who only asks for the certificate through to the true machine, and all others to a false one."""

    def __init__(self, true, false):
        self.true, self.false = true, false
        super().__init__(true)

    def leads_to(self, near):
        return self.true if near.recv(17, socket.MSG_PEEK).startswith(b"SSH-2.0-Sallyport") else self.false


def test_somebody_elses_certificate_is_of_no_use(house):
    """A machine in the middle brings the true certificate, and has not the key."""
    house.machine.new_key()
    house.machine.certify()
    house.machine.serve()
    false = Sshd()
    false.start(house.machine.ca)
    middle = Middle(house.machine.port, false.port)
    try:
        works(house)
        for name in ("far", "fresh"):
            house.wires[name].to = middle.port
            entry = refused(house, "a host key that is not the one of this machine", name)
            assert print_of(f"{false.dir}/host_key.pub") in entry["object"] and "signed by" not in entry["object"]
            assert "Accepted" not in false.log()
    finally:
        for wire in house.wires.values():
            wire.to = house.machine.port
        middle.close()
        false.close()


class Held(Cutter):
    """Lets nothing pass until it is told to."""

    def __init__(self, port):
        self.goes_on = threading.Event()
        super().__init__(port)

    def leads_to(self, near):
        self.goes_on.wait(15)
        return self.to


def test_policy_that_moves_during_the_key_exchange_is_minded(house):
    """The authority is taken away after the certificate was found good and before the machine has shown its key."""
    house.machine.new_key()
    house.machine.certify()
    house.machine.serve()
    works(house)
    with open(os.path.join(house.office.documents, "office.yaml"), encoding="utf-8") as file:
        before = file.read()
    with open(f"{house.machine.authorities}/good.pub", encoding="ascii") as file:
        good = " ".join(file.read().split()[:2])

    def apply(text):
        house.sam.post("/admin/policy/apply", {"files": [{"path": "office.yaml", "text": text}]})
    held = Held(house.machine.port)
    house.wires["far"].to = held.port
    house.sam.fresh()
    client = subprocess.Popen(house.argv("ann", "far", "127.0.0.1", "echo in"), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for("the gate's connection", 10, lambda: held.count)
        apply(before.replace(f'"{good} the company", ', ""))
        refused(house, "authority", "fresh")  # it has come to the worker
        held.goes_on.set()
        out, told = client.communicate(timeout=30)
        assert out == "" and client.returncode == 254 and "authority" in told, (out, told)
    finally:
        held.goes_on.set()
        house.wires["far"].to = house.machine.port
        apply(before)
        held.close()


def test_a_machine_that_says_nothing_is_given_up(house):
    """The connection waits for no more than the fetch may take, and others are served meanwhile."""
    wire = house.wires["silent"].after(how="stall", down=10)
    house.machine.new_key()
    house.machine.certify()
    house.machine.serve()
    waiting = subprocess.Popen(house.argv("ann", "silent", "127.0.0.1", "true"), stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    works(house, "fresh")
    assert "did not show its host certificate in time" in waiting.communicate(timeout=30)[1]
    wire.after(how="close", down=100)
    told = house.ssh("ann", "silent", "true")
    assert told.returncode == 254 and "closed the connection before it showed" in told.stderr, told
    assert not house.events(resource="silent", severity="high")
    wire.after()
    assert works(house, "silent") == 2


def test_many_at_once_ask_the_machine_once(house):
    house.machine.new_key()
    house.machine.certify()
    house.machine.serve()
    wire = house.wires["fresh"]
    before = wire.count
    clients = [subprocess.Popen(house.argv("ann", "fresh", "127.0.0.1", "sleep 3"), stdin=subprocess.DEVNULL)
               for _ in range(8)]
    assert [one.wait(60) for one in clients] == [0] * 8
    assert wire.count - before <= 8 + 8 + 2  # each showed that the key is another one; few asked, not each of them


def test_who_finds_another_key_takes_the_certificate_that_somebody_has_fetched(house):
    """The machine was given a new key while they connected; others have asked it since."""
    house.machine.new_key()
    house.machine.certify()
    house.machine.serve()
    works(house, "fresh")
    house.machine.new_key()
    house.machine.certify()
    house.machine.serve()
    held, wire = Held(house.machine.port), house.wires["fresh"]
    before, wire.to = wire.count, held.port
    try:
        clients = [subprocess.Popen(house.argv("ann", "fresh", "127.0.0.1", "true"), stdin=subprocess.DEVNULL)
                   for _ in range(4)]
        wait_for("their connections", 10, lambda: wire.count - before == 4)
        wire.to = house.machine.port
        assert works(house, "fresh") == 3  # another key, its certificate, and in
        held.goes_on.set()
        assert [one.wait(30) for one in clients] == [0] * 4
        assert wire.count - before == 4 + 3 + 4
    finally:
        wire.to = house.machine.port
        held.goes_on.set()
        held.close()


def test_ssh_check_judges_as_the_gate_does(house):
    def check():
        done = subprocess.run([PROGRAM, "ssh-check", house.office.documents, "--json", "fresh", "both"],
                              capture_output=True, text=True, timeout=60, check=False)
        return {row["resource"]: row for row in json.loads(done.stdout)}
    house.machine.new_key()
    house.machine.certify()
    house.machine.serve()
    assert all(row["well"] for row in check().values())
    house.machine.certify(by="other")
    house.machine.serve()
    rows = check()
    assert "an authority that policy does not name" in rows["fresh"]["why"]
    assert "a host key that the document does not name; " in rows["both"]["why"]
    house.machine.serve("")
    assert "has no host certificate" in check()["fresh"]["why"]

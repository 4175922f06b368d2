# SPDX-License-Identifier: Apache-2.0
"""Where keys are, and where not: people work at machines by certificate, by keys of the vault and by a password of the
vault; then everything that the office holds is searched byte by byte, on disk and in memory.

The vault has them, sealed on its disk. Nobody else does: no file, no process of the gate, no log, no ledger.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/README.md, docs/THREAT-MODEL.md.
"""
import base64
import contextlib
import hashlib
import os
import re
import secrets
import struct
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from memorylib import keys_within, memory, of_ed25519, of_p256, open_files, told_at_start
from officelib import descendants
from sshgatelib import ACCOUNT, HOST_KEY, SshOffice, Sshd, engineers_work_on, keygen, machine_at
from test_ssh_signin import interactive

pytestmark = [pytest.mark.slow,  # of the build as it is shipped: sanitizers keep what was freed
              pytest.mark.skipif(os.geteuid() != 0, reason="reads other processes' memory")]
NO_CA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg\n"
PASSWORD = "amber-" + secrets.token_hex(12)
HOLDER = """
import sys
kept = [bytes.fromhex(sys.stdin.readline()) for _ in range(3)]
print("has them", flush=True)
sys.stdin.read()
"""
MACHINES = {"by-rsa": "key", "by-ed25519": "key", "by-password": "password"}


def spellings(secret):
    """As bytes, as OpenSSL keeps numbers, as text."""
    return {secret, secret[::-1], base64.b64encode(secret).rstrip(b"="), secret.hex().encode(), secret.hex().upper().encode()}


def secrets_of(path):
    """What must be nowhere of a private key: its numbers, and the lines of its file."""
    with open(path, "rb") as file:
        text = file.read()
    numbers = serialization.load_ssh_private_key(text, None)
    if hasattr(numbers, "private_numbers"):
        own = numbers.private_numbers()
        parts = [n.to_bytes((n.bit_length() + 7) // 8, "big") for n in (own.p, own.q, own.d)]
    else:
        parts = [numbers.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
                                       serialization.NoEncryption())]
    private_lines = text.splitlines()[3:-2] or text.splitlines()[2:-1]
    return {one for part in parts for one in spellings(part)} | set(private_lines)


def fingerprint(seed):
    """Of the public half, as sshd writes it down."""
    public = of_ed25519(seed)
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", public))
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


class House:
    """An office, its three kinds of machines, and what must be found nowhere."""

    def __init__(self, folder):
        self.locked, self.keyed = Sshd(password=PASSWORD), Sshd()
        self.office = None
        self.secrets = {f"the password of {ACCOUNT}": spellings(PASSWORD.encode())}
        try:
            documents = "".join(machine_at(name, (self.locked if how == "password" else self.keyed).port,
                                           (self.locked if how == "password" else self.keyed).host_key,
                                           f"  sign_in: {how}\n") for name, how in MACHINES.items())
            self.office = SshOffice(documents + engineers_work_on("host", *MACHINES))
            # libssh 0.10 forgets the list of names of an agent that is asked twice (ssh_agent_get_ident_count)
            self.office.office.forgiven = ("ERROR: LeakSanitizer",)
            self.office.key("ann")
            self._give(folder)
        except BaseException:
            self.close()
            raise

    def _give(self, folder):
        lines = []
        for kind, words in (("rsa", ("-b", "2048")), ("ed25519", ())):
            path = os.path.join(folder, kind)
            keygen(path, kind, *words)
            with open(path, encoding="ascii") as file:
                lines.append(self.office.sam.put(f"/admin/ssh/keys/by-{kind}/{ACCOUNT}", {"key": file.read()})["public"])
            self.secrets[f"the {kind} key of {ACCOUNT}"] = secrets_of(path)
        self.office.sam.put(f"/admin/ssh/credentials/by-password/{ACCOUNT}", {"password": PASSWORD})
        self.locked.start(NO_CA)
        self.keyed.start(NO_CA)
        with open(os.path.join(self.keyed.dir, "direct.pub"), "w", encoding="ascii") as file:
            file.write("".join(line + "\n" for line in lines))

    def sign_in_by_password(self, folder):
        """Somebody types his at the gate."""
        ben = self.office.person("ben")
        self.secrets["what ben typed"] = spellings(ben.password.encode())
        client = interactive(self.office, folder, ben.password, ben.totp.code(), user="ben:host")
        assert client.communicate(timeout=40)[0] == "in\n"

    def close(self):
        if self.office is not None:
            self.office.close()
        self.locked.close()
        self.keyed.close()

    def processes(self):
        """{role: all its processes}"""
        return {role["role"]: [role["pid"], *descendants(role["pid"])] for role in self.office.office.status()["roles"]}

    def found(self, data):
        """Names of those secrets that are in there."""
        return [name for name, forms in self.secrets.items() if any(form in data for form in forms)]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    one = House(str(folder))
    try:
        with contextlib.ExitStack() as open_now:
            for machine in ("host", *MACHINES):
                assert one.office.ssh("ann", machine, "echo in").stdout == "in\n", machine
                terminal = open_now.enter_context(one.office.terminal("ann", machine))
                terminal.type("echo he''re\r")
                terminal.wait("here")
            one.sign_in_by_password(folder)
            yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def holder():
    """A process that has what must be nowhere: what is looked for is found when it is there."""
    point, number = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    secret = point.private_numbers().private_value.to_bytes(32, "big")
    seed = number.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdin.write(b"\n".join(one.hex().encode() for one in (secret, seed, PASSWORD.encode())) + b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"has them\n"
        yield child.pid, of_p256(secret), fingerprint(seed)
        child.stdin.close()


def test_what_is_there_is_found(house, holder):
    pid, point, seed = holder
    data = b"".join(data for _, data in memory(pid))
    assert house.found(data) == [f"the password of {ACCOUNT}"]
    assert keys_within(data, {point}, of_p256, backwards=True) == {point}
    assert keys_within(data, {seed}, fingerprint) == {seed}


def test_no_file_of_the_office_has_a_key_or_a_password(house):
    """The vault's own neither: they are sealed."""
    looked = 0
    for where, _, names in os.walk(house.office.office.dir):
        for name in names:
            path = os.path.join(where, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    data = file.read()
                looked += 1
                assert not house.found(data), path
                assert b"PRIVATE KEY-----" not in data and b"openssh-key-v1" not in data, path
    assert looked > 10
    assert not house.found(str(house.office.events()).encode())


def test_nobody_was_told_a_secret_when_he_was_started(house):
    for role, pids in house.processes().items():
        for pid in pids:
            assert not house.found(told_at_start(pid)), role


def test_the_gate_remembers_no_key_and_no_password(house):
    """Of machines, of accounts, of people who typed theirs: while the connections that they opened live on."""
    assert len([c for c in house.office.sam.items("/ssh/connections")]) >= 1 + len(MACHINES)
    for pid in house.processes()["ssh"]:
        for name, data in memory(pid):
            assert not house.found(data), (pid, name)


def test_the_gate_has_neither_its_host_key_nor_those_that_it_made(house):
    """Each 32 bytes in its memory are tried: none is the private half of the host key, or of a key that was certified."""
    point = base64.b64decode(house.office._public(HOST_KEY).split()[1])[-64:]
    certified = set(re.findall(r"Accepted publickey for \S+ .* ED25519-CERT (SHA256:\S+) ", house.office.sshd.log()))
    assert len(certified) >= 2
    for pid in house.processes()["ssh"]:
        for name, data in memory(pid):
            assert not keys_within(data, {point}, of_p256, backwards=True), name
            assert not keys_within(data, certified, fingerprint), name


def test_no_file_of_the_vault_is_open_in_the_gate(house):
    """Nothing but sockets, what the kernel keeps, the log, and memory that is shared with core and ledger."""
    allowed = re.compile(r"(socket|pipe|anon_inode):|/dev/null$|/memfd:|" + re.escape(house.office.office.log_path) + "$")
    for pid in house.processes()["ssh"]:
        strange = [one for one in open_files(pid) if not allowed.match(one)]
        assert not strange, (pid, strange)

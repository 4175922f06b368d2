# SPDX-License-Identifier: Apache-2.0
"""What the gate takes from a machine: modern algorithms only, and a strict key exchange.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/back.c, OpenSSH PROTOCOL 1.9 (strict key exchange)."""

import socket
import threading

import paramiko
import pytest

from officelib import wait_for
from relay import end
from sshgatelib import SshOffice, Sshd, engineers_work_on, keygen, machine_at

WEAK = {  # what such a machine has and nothing besides, and the words of a machine that is as old but does
    "kex": ("KexAlgorithms diffie-hellman-group14-sha1", "KexAlgorithms diffie-hellman-group16-sha512"),
    "cipher": ("Ciphers aes128-cbc", "Ciphers aes256-ctr"),
    "mac": ("Ciphers aes128-ctr\nMACs hmac-sha1", "Ciphers aes128-ctr\nMACs hmac-sha2-256"),
    "host-key": ("HostKeyAlgorithms ssh-rsa", "HostKeyAlgorithms rsa-sha2-256"),
}


class Old(Sshd):
    def _answers(self):  # to nobody, as far as ssh-keyscan can tell
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
                return line.recv(4) == b"SSH-"
        except OSError:
            return False


class Terrapin(paramiko.Transport):
    """Says that it knows strict key exchanges, and puts a packet that does nothing into one."""
    _preferred_kex = (*paramiko.Transport._preferred_kex, "kex-strict-s-v00@openssh.com")
    _kex_info = {**paramiko.Transport._kex_info, "kex-strict-s-v00@openssh.com": None}  # never agreed on

    def _send_kex_init(self):
        super()._send_kex_init()
        message = paramiko.Message()
        message.add_byte(b"\x02")
        message.add_string(b"nothing")
        self._send_message(message)


class Machine(paramiko.ServerInterface):
    """Lets the gate in, and says that it did."""

    def __init__(self):
        self.kind, self.key, self.let_in, self.transports = Terrapin, None, False, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self):
        end(self.socket)
        self.thread.join(10)
        self.socket.close()
        for one in self.transports:
            one.close()

    def _accept(self):
        while True:
            try:
                line, _ = self.socket.accept()
            except OSError:
                return
            one = self.kind(line)
            one.add_server_key(self.key)
            self.transports.append(one)
            one.start_server(event=threading.Event(), server=self)

    def get_allowed_auths(self, _):
        return "publickey"

    def check_auth_publickey(self, *_):
        self.let_in = True
        return paramiko.AUTH_SUCCESSFUL


@pytest.fixture(scope="module")
def office():
    strict, machines, documents = Machine(), {}, ""
    for name in WEAK:
        for strength in ("weak", "well"):
            machines[f"{name}-{strength}"] = one = Old()
            key = one.host_key
            if name == "host-key":
                key = keygen(f"{one.dir}/rsa", "rsa", "-b", "2048")
                one.more = f"HostKey {one.dir}/rsa\n"
            documents += machine_at(f"{name}-{strength}", one.port, key)

    def all_of_them(sshd):
        strict.key = paramiko.Ed25519Key.from_private_key_file(f"{sshd.dir}/host_key")
        return documents + machine_at("strict", strict.port, sshd.host_key) + engineers_work_on("strict", *machines)
    one = SshOffice(all_of_them)
    one.strict = strict
    try:
        for name, machine in machines.items():
            words = WEAK[name.rsplit("-", 1)[0]][name.endswith("-well")]
            machine.start(one._public(1) + "\n", getattr(machine, "more", "") + words + "\n")
        yield one
    finally:
        one.close()
        strict.close()
        for machine in machines.values():
            machine.close()


@pytest.mark.parametrize("what", WEAK)
def test_a_machine_with_weak_algorithms_only_is_refused(office, what):
    told = office.ssh("ann", f"{what}-weak", "echo in")
    assert told.returncode == 254 and not told.stdout, told
    assert "does not complete the key exchange" in told.stderr and "reference" in told.stderr, told
    wait_for("the entry", 5, lambda: office.events(resource=f"{what}-weak", verdict="deny"), 0.2)
    assert office.ssh("ann", f"{what}-well", "echo in").stdout == "in\n"


def test_the_key_exchange_with_a_machine_is_strict(office):
    """A packet between its beginning and its end (where the Terrapin attack puts one) ends it; one that is not strict
    goes on."""
    told = office.ssh("ann", "strict", "echo in")
    assert told.returncode == 254 and "strict KEX" in told.stderr and "reference" in told.stderr, told
    assert not office.strict.let_in
    office.strict.kind = paramiko.Transport
    office.ssh("ann", "strict", "echo in")
    assert office.strict.let_in

# SPDX-License-Identifier: Apache-2.0
"""Machines behind the SSH gate that break the protocol's rules, or are not who they should be: the person is told, and
nobody else notices.
OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 4254, gates/ssh/back.c."""

import json
import socket
import subprocess
import threading
import time

import paramiko
import pytest

from officelib import PROGRAM, wait_for
from relay import end
from sshgatelib import SshOffice, Terminal, engineers_work_on, machine_at


class Machine(paramiko.ServerInterface):
    """Lets the gate in and does what does() says when a command is asked for."""

    def __init__(self):
        self.does = lambda transport, channel: None
        self.ways, self.answers = "publickey", lambda: paramiko.AUTH_SUCCESSFUL
        self.key, self.packet, self.opens_s = None, 1 << 15, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.transports = []
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
            one = paramiko.Transport(line, default_max_packet_size=self.packet)
            one._sanitize_packet_size = lambda size: size
            one.add_server_key(self.key)
            self.transports.append(one)
            one.start_server(event=threading.Event(), server=self)

    def get_allowed_auths(self, _):
        return self.ways

    def check_auth_none(self, _):
        return paramiko.AUTH_FAILED

    def check_auth_publickey(self, *_):
        return self.answers()

    def check_channel_request(self, *_):
        time.sleep(self.opens_s)
        return paramiko.OPEN_SUCCEEDED

    def check_channel_pty_request(self, *_):
        return True

    def check_channel_exec_request(self, channel, _):
        threading.Thread(target=self.does, args=(self.transports[-1], channel), daemon=True).start()
        return True


WATCHED = """\
---
{ kind: Role, name: watched, title: Who is watched }
---
kind: Rule
name: who is watched
who: { roles: [watched] }
to: { resources: [bad] }
may: [connect, execute, import, export]
with: { watch: true }
"""


@pytest.fixture(scope="module")
def office():
    machine = Machine()

    def documents(sshd):
        machine.key = paramiko.Ed25519Key.from_private_key_file(f"{sshd.dir}/host_key")
        machine.other = paramiko.Ed25519Key.from_private_key_file(f"{sshd.dir}/direct")
        return machine_at("bad", machine.port, sshd.host_key) + engineers_work_on("host", "bad", record=False) + WATCHED
    one = SshOffice(documents)
    one.machine = machine
    try:
        yield one
    finally:
        machine.close()
        one.close()


@pytest.fixture(autouse=True)
def others(office):
    with office.paramiko("ann") as client:
        yield
        _, out, _ = client.exec_command("echo still here")
        assert out.read() == b"still here\n"


def finish(channel, status=0):
    channel.send_exit_status(status)
    channel.close()


def test_a_machine_that_does_as_it_should(office):
    office.machine.does = lambda transport, channel: (channel.sendall(b"hello\n"), finish(channel, 7))
    told = office.ssh("ann", "bad", "x")
    assert (told.stdout, told.returncode) == ("hello\n", 7), told


def test_another_host_key_is_a_high_event_and_no_connection(office):
    key, office.machine.key = office.machine.key, office.machine.other
    try:
        told = office.ssh("ann", "bad", "x")
    finally:
        office.machine.key = key
    assert told.returncode == 254 and "reference" in told.stderr and "key" in told.stderr, told
    wait_for("the event", 10, lambda: office.events(severity="high"))


def test_nothing_starts_while_nobody_watches_any_more(office):
    """Who watches leaves while the machine still opens its channel."""
    machine, ran = office.machine, threading.Event()
    office.people(wes="watched")
    machine.opens_s = 3
    machine.does = lambda transport, channel: (ran.set(), channel.sendall(b"it runs\n"), finish(channel))
    try:
        with Terminal(office.argv("wes", "bad", "-tt", "127.0.0.1", "make drop")) as terminal:
            terminal.wait("this begins when somebody watches")
            one = office.connection("wes", "bad")
            office.sam.post(f"/ssh/connections/{one['id']}/watch", {})
            terminal.wait("watched by")
            office.sam.call("DELETE", f"/ssh/connections/{one['id']}/watch")
            terminal.wait("nobody watches any more")
            assert not ran.wait(6)
            office.sam.post(f"/ssh/connections/{one['id']}/watch", {})
            terminal.wait("it runs")
    finally:
        machine.opens_s = 0


def ssh_check(office):
    done = subprocess.run([PROGRAM, "ssh-check", office.office.documents, "--json"], capture_output=True, text=True,
                          timeout=60, check=False)
    rows = {row["resource"]: row for row in json.loads(done.stdout)}
    assert rows["host"]["well"] and done.returncode == (0 if rows["bad"]["well"] else 1), done
    return rows["bad"]


def test_ssh_check_tells_of_a_machine_that_lets_anybody_in(office):
    row = ssh_check(office)
    assert not row["well"] and "lets anybody in" in row["why"]


def test_ssh_check_says_good_of_nothing_that_it_has_not_seen(office):
    machine = office.machine

    def closes():
        machine.transports[-1].close()
        return paramiko.AUTH_FAILED
    try:
        machine.answers = lambda: paramiko.AUTH_FAILED
        assert ssh_check(office)["well"]
        machine.ways = "publickey,password"
        row = ssh_check(office)
        assert row["well"] and [w for w in row["warnings"] if "passwords" in w]
        machine.answers = lambda: paramiko.AUTH_PARTIALLY_SUCCESSFUL
        row = ssh_check(office)
        assert not row["well"] and "one of several proofs" in row["why"]
        machine.answers = closes
        row = ssh_check(office)
        assert not row["well"] and "could not be tried" in row["why"]
        machine.ways = "password"
        row = ssh_check(office)
        assert not row["well"] and "takes no keys" in row["why"]
    finally:
        machine.ways, machine.answers = "publickey", lambda: paramiko.AUTH_SUCCESSFUL


@pytest.mark.parametrize("packet", [pytest.param(0, marks=pytest.mark.slow), 10, 100])  # 0: libssh never answers it
def test_a_machine_that_takes_no_packets(office, packet):
    office.machine.packet = packet
    office.machine.does = lambda transport, channel: finish(channel)
    try:
        told = office.ssh("ann", "bad", "x", input="words\n" * 1000)
    finally:
        office.machine.packet = 1 << 15
    assert told.returncode == 254 and "reference" in told.stderr, told


def message(kind, *words):
    one = paramiko.Message()
    one.add_byte(bytes([kind]))
    for word in words:
        (one.add_int if isinstance(word, int) else one.add_string)(word)
    return one


@pytest.mark.parametrize("messages", [
    [message(94, 0, b"x" * 30000)] * 200, [message(94, 99, b"x")], [message(93, 0, 0xffffffff)] * 3, [message(97, 0)] * 3,
    [message(98, 0, "exit-signal", b"\0")], [message(98, 0, b"\x1b[2J" * 50)], [message(90, "session", 9, 1000, 1000)],
    [message(90, "forwarded-tcpip", 9, 1000, 1000, "a", 1, "b", 2)], [message(90, "x11", 9, 1000, 1000, "a", 1)],
    [message(90, "auth-agent@openssh.com", 9, 1000, 1000)], [message(80, "hostkeys-00@openssh.com")], [message(6, "x")],
    [message(91, 0, 0, 5, 5)], [message(92, 0, 1, "no", "")], [message(52)], [message(51, "x")], [message(250)]],
    ids=lambda m: m[0].asbytes()[:12].hex())
def test_messages_that_no_machine_sends(office, messages):
    def does(transport, channel):
        for one in messages:
            transport._send_message(one)
        try:
            finish(channel)
        except (OSError, EOFError, paramiko.SSHException):
            pass
    office.machine.does = does
    told = office.ssh("ann", "bad", "x", timeout=30)
    assert told.returncode in (0, 254, 255) and "\x1b" not in told.stdout + told.stderr, told

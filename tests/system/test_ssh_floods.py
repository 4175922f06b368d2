#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of the SSH gate that send without end, beyond windows and without reading: they harm nobody but themselves.
OWNS an office. PROCESS pytest. TRUST none."""

import socket
import subprocess
import threading
import time

import paramiko
import pytest
from officelib import wait_for
from sshgatelib import SshOffice, engineers_work_on

pytestmark = pytest.mark.slow  # what a process holds is told of the build as it is shipped

MIB = 1 << 20


@pytest.fixture(scope="module")
def office():
    one = SshOffice(engineers_work_on("host"))
    try:
        yield one
    finally:
        one.close()


def message(kind, *words):
    one = paramiko.Message()
    one.add_byte(bytes([kind]))
    for word in words:
        if isinstance(word, bool):
            one.add_boolean(word)
        elif isinstance(word, int):
            one.add_int(word)
        else:
            one.add_string(word)
    return one


def kib(pid):
    with open(f"/proc/{int(pid)}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


def connected(office):
    """A client whose kernel holds little of what it does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", office.port))
    transport = paramiko.Transport(sock)
    transport.start_client(timeout=20)
    return transport


class Blast:
    """So many messages, made before, sent as fast as they go; nothing is read."""

    def __init__(self, transport, count, one, seconds=20):
        self.sock, self.bytes = transport.sock, bytearray()
        transport.packetizer.read_message = lambda: time.sleep(600)
        time.sleep(0.3)  # the thread that reads is in there now
        transport.packetizer.write_all = self.bytes.extend
        for _ in range(count):
            transport._send_message(one())
        self.sock.settimeout(seconds)
        self.thread = threading.Thread(target=self._send)
        self.thread.start()

    def _send(self):
        try:
            self.sock.sendall(self.bytes)
        except OSError:
            pass  # it was cut off, or nobody takes it

    def end(self):
        self.sock.close()
        self.thread.join()


def others_work(office, worker, seconds=6):
    """Another log-in takes no longer than it may, at the same worker."""
    began = time.monotonic()
    told = office.ssh("ann", "host", "echo in", timeout=30)
    assert told.stdout == "in\n", told.stderr
    assert time.monotonic() - began < seconds
    assert office.worker() == worker


def test_asking_without_end_before_the_log_in(office):
    office.key("ann")
    worker = office.worker()
    transport = connected(office)
    transport._send_message(message(5, "ssh-userauth"))
    blast = Blast(transport, 60000, lambda: message(50, "ann:host", "ssh-connection", "none"))
    others_work(office, worker)
    blast.thread.join(5)
    assert not blast.thread.is_alive()  # it was cut off
    blast.end()


def test_asking_without_end_after_the_log_in(office):
    worker = office.worker()
    client = connected(office)
    client.auth_publickey("ann:host", paramiko.Ed25519Key.from_private_key_file(office.key("ann")))
    blast = Blast(client, 60000, lambda: message(80, "keepalive@openssh.com", True))
    others_work(office, worker)
    blast.end()


def test_asking_without_reading(office):
    worker = office.worker()
    client = connected(office)
    client.auth_publickey("ann:host", paramiko.Ed25519Key.from_private_key_file(office.key("ann")))
    channel = client.open_session(window_size=1 << 30)
    channel.exec_command("cat /dev/zero")
    before = kib(worker)
    blast = Blast(client, 10000, lambda: message(80, "k" * 2000, True))
    wait_for("it to be cut off", 20, lambda: not blast.thread.is_alive())
    assert kib(worker) - before < 16 * 1024
    blast.end()
    assert wait_for("the entry", 10, lambda: [e for e in office.events(person="ann")
                                              if "reads no answer" in (e.get("object") or "")])


def test_a_slow_reader_costs_a_window(office):
    worker = office.worker()
    before = most = kib(worker)
    argv = office.argv("ann", "host", "127.0.0.1", "head -c 60000000 /dev/zero")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as slow:
        got = 0
        while part := slow.stdout.read(1 << 18):
            got += len(part)
            time.sleep(0.01)
            most = max(most, kib(worker))
    assert got == 60000000 and most - before < 16 * 1024


@pytest.mark.parametrize("runs", ["sleep 60", None])
def test_sending_beyond_the_window(office, runs):
    worker = office.worker()
    with office.paramiko("ann") as client:
        transport = client.get_transport()
        channel = transport.open_session()
        if runs:
            channel.exec_command(runs)
            wait_for("it runs", 10, lambda: [c for c in office.sam.items("/ssh/connections") if c["channels"]])
        before = kib(worker)
        with pytest.raises((OSError, EOFError, paramiko.SSHException)):
            for _ in range(64 * MIB // 32000):
                transport._send_message(message(94, channel.remote_chanid, bytes(32000)))
                if not transport.is_active():
                    raise EOFError
        assert kib(worker) - before < 16 * 1024
    assert wait_for("the entry", 10, lambda: [e for e in office.events(person="ann")
                                              if "window" in (e.get("object") or "")])
    assert office.worker() == worker


def test_who_types_slowly_is_not_pushed_out(office):
    """By many who connect from the same address and say nothing."""
    crowd, stop = [], threading.Event()
    office.person("ann")

    def flood():
        while not stop.is_set() and len(crowd) < 1200:
            crowd.append(socket.create_connection(("127.0.0.1", office.port)))

    thread = threading.Thread(target=flood)
    transport = connected(office)
    asked = []

    def answer(_title, _instructions, prompts):
        asked.append(prompts)
        if len(asked) == 1:
            thread.start()
            wait_for("the crowd", 20, lambda: len(crowd) > 900)
        return ["wrong"] * len(prompts)

    try:
        with pytest.raises(paramiko.AuthenticationException) as refused:
            transport.auth_interactive("ann:host", answer)
        assert "Authentication failed" in str(refused.value) and transport.is_active()  # he may try again
        assert asked
    finally:
        stop.set()
        thread.join()
        for one in crowd:
            one.close()
        transport.close()

# SPDX-License-Identifier: Apache-2.0
"""The door of the SSH gate, before anybody is known: what it speaks, whose key signs, floods, dead processes.
OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 4253, gates/ssh/README.md."""

import os
import signal
import socket
import subprocess

import paramiko
import pytest

from memorylib import assert_caged
from officelib import Office, descendants, free_port, wait_for

DOCUMENTS = {"office.yaml": "kind: Office\nname: Lantern Trading\ntime_zone: Asia/Shanghai\n"}


@pytest.fixture(scope="module")
def door():
    port = free_port()
    office = Office(documents=DOCUMENTS, extra=f'ssh: ["127.0.0.1:{port}"]\nssh_workers: 1\n')
    try:
        office.start()
        yield office, port
    finally:
        office.close()


def knock(port, *words, timeout=20):
    return subprocess.run(["ssh", "-v", "-F", "none", "-o", "StrictHostKeyChecking=no",
                           "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-p", str(port), *words,
                           "ann:host@127.0.0.1", "true"], capture_output=True, text=True, timeout=timeout, check=False)


def test_key_exchange_is_modern_and_strict(door):
    said = knock(door[1], "-vvv").stderr
    assert "kex: algorithm: curve25519-sha256" in said
    assert "kex: host key algorithm: ecdsa-sha2-nistp256" in said
    assert "chacha20-poly1305@openssh.com" in said
    assert "will use strict KEX ordering" in said
    assert "Permission denied (publickey,keyboard-interactive)" in said


@pytest.mark.parametrize("words", [
    ["-oKexAlgorithms=diffie-hellman-group14-sha1"], ["-oCiphers=aes128-cbc"], ["-oMACs=hmac-sha1", "-oCiphers=aes128-ctr"],
    ["-oHostKeyAlgorithms=ssh-rsa"]])
def test_what_is_weak_is_not_spoken(door, words):
    told = knock(door[1], *words)
    assert told.returncode == 255 and "no matching" in told.stderr


def test_passwords_are_not_taken_in_clear(door):
    assert "password" not in knock(door[1]).stderr.split("can continue: ")[1].splitlines()[0]


def test_scanners_and_silent_clients_do_no_harm(door):
    silent = [socket.create_connection(("127.0.0.1", door[1])) for _ in range(40)]
    for junk in (b"GET / HTTP/1.0\r\n\r\n", b"SSH-1.5-old\r\n", b"\0" * 4096, b"SSH-2.0-x\r\n" + b"\xff" * 2000):
        with socket.create_connection(("127.0.0.1", door[1])) as one:
            one.sendall(junk)
    assert "Permission denied" in knock(door[1]).stderr
    for one in silent:
        one.close()


def test_connections_one_after_another_all_come_through(door):
    """One that ends as the next comes: the next may have its number, not its fate."""
    for n in range(100):
        client = paramiko.Transport(socket.create_connection(("127.0.0.1", door[1])))
        try:
            client.start_client(timeout=15)
            assert client.is_active() and client.remote_version == "SSH-2.0-Sallyport", n
            assert client.initial_kex_done, n
        finally:
            client.close()


def test_a_dead_worker_is_started_again(door):
    office, port = door
    os.kill(descendants(office.pid("ssh"))[0], signal.SIGKILL)
    wait_for("a new worker", 10, lambda: "Permission denied" in knock(port).stderr)


def test_processes_are_caged(door):
    office, _ = door
    for pid in (office.pid("ssh"), *descendants(office.pid("ssh"))):
        assert_caged(pid, (office.uids or {}).get("ssh"))


def test_the_host_key_is_the_vaults(door):
    office, port = door
    assert "Permission denied" in knock(port).stderr
    assert "made the key ssh-host" in office.log()

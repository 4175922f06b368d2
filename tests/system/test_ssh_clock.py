# SPDX-License-Identifier: Apache-2.0
"""The wall clock is set, an hour ahead and back, while a terminal and an sftp are open: docs/SSH.md 7, "Clocks".
OWNS the office, the copy of the program. PROCESS tests. TRUST none. SPEC docs/SSH.md 7."""

import os
import subprocess
import time

import pytest

from officelib import wait_for
from sshgatelib import SshOffice, engineers_work_on, keygen
from test_clock import HOUR, clocked, set_clock
from test_ssh_hostile import people_certificate


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    clock, program = clocked(tmp_path_factory.mktemp("clock"))
    one = SshOffice(engineers_work_on("host"), more="  idle: 30m\n  longest: 45m\n", program=program)
    one.office.clock = clock
    one.key("ann")
    try:
        yield one
    finally:
        one.close()
        os.unlink(program)


@pytest.fixture(autouse=True)
def right_again(office):
    yield
    if getattr(office, "ahead", 0):
        ahead(office, 0)


def ahead(office, seconds):
    office.ahead = seconds
    set_clock(office.office, seconds)
    time.sleep(1.5)  # the gate looks once a second


def certified(office, folder, life):
    """Words of a client that signs in with a certificate which ends so soon, by the clock of now."""
    key = str(folder / "id")
    line = keygen(key)
    with open(key + "-cert.pub", "w", encoding="ascii") as file:
        file.write(people_certificate(office, line, "ann", life=life))
    return ["ssh", *office.options(), "-i", key, "-o", "User=ann:host", "-p", str(office.port), "127.0.0.1",
            "echo in; sleep 600"]


def begin(argv):
    one = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert one.stdout.readline() == "in\n", one.communicate(timeout=10)
    return one


def test_what_is_open_goes_on(office, tmp_path):
    """Neither idle for an hour nor an hour long, whatever the clock says, and each further file is as good as before."""
    (tmp_path / "file").write_bytes(b"x" * 100000)
    with office.terminal("ann", "host") as terminal, office.paramiko("ann") as client, client.open_sftp() as files:
        terminal.type("echo re''ady\r")
        terminal.wait("ready")
        for number, by in enumerate((HOUR, 0, -HOUR, 0)):
            ahead(office, by)
            terminal.type(f"echo go''es-on-{number}\r")
            terminal.wait(f"goes-on-{number}")
            files.get(str(tmp_path / "file"), str(tmp_path / f"got-{number}"))
            assert (tmp_path / f"got-{number}").stat().st_size == 100000
            told = office.ssh("ann", "host", "echo new")  # to a machine whose clock is another one
            assert (told.stdout == "new\n") == (by == 0), told


def test_ahead_ends_what_has_expired_by_then(office, tmp_path):
    one = begin(certified(office, tmp_path, 1200))
    try:
        ahead(office, HOUR)
        _, said = one.communicate(timeout=10)
        assert "has expired" in said and "reference" in said
    finally:
        one.kill()
        one.wait()


def test_back_lets_nothing_last_longer(office, tmp_path):
    one = begin(certified(office, tmp_path, 12))
    began = time.monotonic()
    try:
        ahead(office, -HOUR)
        assert one.poll() is None
        _, said = one.communicate(timeout=30)
        assert "has expired" in said and time.monotonic() - began < 20
    finally:
        one.kill()
        one.wait()
    wait_for("the end in the ledger", 10, lambda: office.events(person="ann", reason="session-ended"), 0.2)

# SPDX-License-Identifier: Apache-2.0
"""Wires that break at every step of the protocol, before and behind the SSH gate: who is left is told, and nothing is
left over.
OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 4253, RFC 4254, gates/ssh/README.md."""

import concurrent.futures
import os
import subprocess

import pytest

from cutlib import Cutter
from officelib import descendants, wait_for
from sshgatelib import SshOffice, engineers_work_on, machine_at

COMMAND = "cat >/dev/null; head -c 30000 /dev/zero; echo end >&2; exit 3"
STEPS = 24


@pytest.fixture(scope="module")
def office():
    wires = []

    def documents(sshd):
        wires.append(Cutter(sshd.port))
        return machine_at("far", wires[0].port, sshd.host_key) + engineers_work_on("host", "far")
    one = SshOffice(documents)
    one.wire = wires[0]
    try:
        one.ssh("ann", "host", "true")
        yield one
    finally:
        one.wire.close()
        one.close()


def files_of(pid):
    return len(os.listdir(f"/proc/{int(pid)}/fd"))


def left_over(office):
    """Connections that core still lists, and sessions at the machine."""
    return office.sam.items("/ssh/connections") + descendants(office.sshd.process.pid)


def through(office, wire, machine="host", timeout=40):
    argv = ["ssh", *office.options("ann"), "-o", f"User=ann:{machine}", "-o", f"HostKeyAlias=[127.0.0.1]:{office.port}",
            "-p", str(wire.port), "127.0.0.1", COMMAND]
    return subprocess.run(argv, input=bytes(20000), capture_output=True, timeout=timeout, check=False)


def is_whole(told):
    return told.returncode == 3 and told.stdout == bytes(30000) and told.stderr == b"end\n"


def test_a_client_that_is_cut_off_at_any_step_leaves_nothing(office):
    wait_for("nothing", 20, lambda: not left_over(office))
    process = office.worker()
    before = files_of(process)
    whole = Cutter(office.port)
    assert is_whole(through(office, whole))
    lengths, wires = dict(whole.passed), [whole]
    for way in ("up", "down"):
        for n in range(STEPS):
            wires.append(Cutter(office.port).after(how=("reset", "close")[n % 2],
                                                   **{way: lengths[way] * (2 * n + 1) // (2 * STEPS)}))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda wire: through(office, wire), wires[1:]))
    assert {one.returncode for one in told} <= {255, 3}, told
    wait_for("the ends", 20, lambda: not left_over(office))
    assert office.worker() == process
    wait_for("its files", 20, lambda: files_of(process) == before)
    for wire in wires:
        wire.close()


def test_a_machine_that_dies_at_any_step_is_told(office):
    wait_for("nothing", 20, lambda: not left_over(office))
    process = office.worker()
    before = files_of(process)
    assert is_whole(through(office, Cutter(office.port), "far"))
    length, near = office.wire.passed["down"], Cutter(office.port)
    try:
        for n in range(STEPS):
            office.wire.after(how=("reset", "close")[n % 2], down=length * (2 * n + 1) // (2 * STEPS))
            told = through(office, near, "far")
            said = told.stderr.decode()
            assert told.returncode in (254, 255) and "sallyport: " in said and "reference" in said, (n, told)
    finally:
        office.wire.after()
        near.close()
    assert is_whole(through(office, Cutter(office.port), "far"))
    wait_for("the ends", 20, lambda: not left_over(office))
    assert office.worker() == process
    wait_for("its files", 20, lambda: files_of(process) == before)


@pytest.mark.slow
def test_a_machine_that_falls_silent_is_given_up(office):
    near = Cutter(office.port)
    try:
        office.wire.after(how="stall", down=600)
        told = through(office, near, "far")
        assert told.returncode == 254 and b"in time" in told.stderr and b"reference" in told.stderr, told
    finally:
        office.wire.after()
        near.close()

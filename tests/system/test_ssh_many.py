# SPDX-License-Identifier: Apache-2.0
"""Five hundred people at once through the SSH gate, each with a command that waits for a word, then 250 who type on a
terminal of their own, and nothing left over.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/README.md."""

import concurrent.futures
import os
import subprocess

import pytest

from officelib import descendants, wait_for
from sshgatelib import SshOffice

DOCUMENTS = """\
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host] }
may: [connect, read, execute, import, export]
with: { record: true }
"""
MANY, TERMINALS = 500, 250

pytestmark = pytest.mark.figures  # alone: it takes all of a small machine for a minute


@pytest.fixture
def office():
    one = SshOffice(DOCUMENTS, extra="ssh_connections_each: 1000\nssh_log_ins_each: 20000\n")
    try:
        yield one
    finally:
        one.close()


def test_five_hundred_at_once(office):
    assert office.ssh("ann", "host", "echo ok").stdout == "ok\n"
    worker = office.worker()
    before = open_files(worker)

    def begin(n):
        one = subprocess.Popen(office.argv("ann", "host", "127.0.0.1", f"echo {n}; read w; echo $w; exit {n % 200}"),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert one.stdout.readline() == f"{n}\n".encode()
        return one

    def end(n, one):
        said, _ = one.communicate(f"word-{n}\n".encode(), timeout=60)
        assert (said, one.returncode) == (f"word-{n}\n".encode(), n % 200)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        all_of_them = list(pool.map(begin, range(MANY)))
        assert len(office.sam.items("/ssh/connections")) == MANY
        list(pool.map(end, range(MANY), all_of_them))
    nothing_is_left(office, worker, before)


def open_files(worker):
    return len(os.listdir(f"/proc/{int(worker)}/fd"))


def nothing_is_left(office, worker, before):
    wait_for("the ends", 30, lambda: not office.sam.items("/ssh/connections"))
    wait_for("the machine's sessions", 30, lambda: not descendants(office.sshd.process.pid))
    assert office.worker() == worker
    wait_for("its files", 20, lambda: open_files(worker) == before)


def test_two_hundred_and_fifty_terminals_at_once(office):
    """Each is typed at while all of the others are there, and shows its own words and nobody else's."""
    assert office.ssh("ann", "host", "echo ok").stdout == "ok\n"
    worker = office.worker()
    before = open_files(worker)
    terminals = []

    def begin(n):
        one = office.terminal("ann", "host")
        terminals.append(one)
        one.type(f"echo here-''{n}.\r")
        one.wait(f"here-{n}.", 60)
        return one

    def use(n, one):
        one.type(f"echo again-''{n}.; exit {n % 200}\r")
        one.wait(f"again-{n}.", 60)
        assert one.process.wait(60) == n % 200
        assert not [other for other in range(TERMINALS) if other != n and f"again-{other}." in one.text]
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            all_of_them = list(pool.map(begin, range(TERMINALS)))
            assert len(office.sam.items("/ssh/connections")) == TERMINALS
            list(pool.map(use, range(TERMINALS), all_of_them))
    finally:
        for one in terminals:
            one.close()
    nothing_is_left(office, worker, before)

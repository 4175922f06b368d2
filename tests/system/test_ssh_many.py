# SPDX-License-Identifier: Apache-2.0
"""Five hundred people at once through the SSH gate, each with a command that waits for a word, and nothing left over.
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
MANY = 500

pytestmark = pytest.mark.figures  # alone: it takes all of a small machine for a minute


@pytest.fixture
def office():
    one = SshOffice(DOCUMENTS, extra="ssh_connections_each: 1000\n")
    try:
        yield one
    finally:
        one.close()


def test_five_hundred_at_once(office):
    assert office.ssh("ann", "host", "echo ok").stdout == "ok\n"
    worker = office.worker()

    def files():
        return len(os.listdir(f"/proc/{int(worker)}/fd"))
    before = files()

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
    wait_for("the ends", 30, lambda: not office.sam.items("/ssh/connections"))
    wait_for("the machine's sessions", 30, lambda: not descendants(office.sshd.process.pid))
    assert office.worker() == worker
    wait_for("its files", 20, lambda: files() == before)

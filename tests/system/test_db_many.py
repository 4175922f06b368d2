# SPDX-License-Identifier: Apache-2.0
"""A thousand idle connections (`SP_IDLE=5000` the whole number) beside busy ones: nobody notices them, each is still there and
takes little, and what ends their session ends all of them.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC gates/db/README.md, bench/db.
"""
import contextlib
import os
import resource
import select
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dblib import DatabaseOffice
from memorylib import assert_caged
from pgraw import Raw

pytestmark = pytest.mark.slow

IDLE = int(os.environ.get("SP_IDLE", "1000"))
BUSY = 8
SEVEN = ("D", b"\0\1\0\0\0\0017")


@pytest.fixture(scope="module")
def db():
    need = IDLE + 500  # one descriptor each here; the gate has two each, in two workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < need:
        pytest.skip(f"{need} open files are needed, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))
    one = None
    try:
        one = DatabaseOffice(tls="loopback", extra=f"postgres_tls: optional\ndb_connections_each: {IDLE + 50}\n",
                             settings={"max_connections": IDLE + 100, "shared_buffers": "32MB"})
        one.person("ida", ["dba"])
        yield one
    finally:
        if one is not None:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_one(db, name, password):
    raw = Raw(db.port, tls=None, timeout=60)
    found = raw.log_in(name, "orders-db", password)
    assert found[-1] == ("Z", b"I"), found
    assert SEVEN in raw.ask("SELECT 7")
    return raw


def work(raw, until):
    """Seconds that each statement took."""
    times = []
    while time.monotonic() < until:
        began = time.monotonic()
        assert SEVEN in raw.ask("SELECT 7")
        times.append(time.monotonic() - began)
    return times


def at_work(busy, seconds=2):
    with ThreadPoolExecutor(len(busy)) as pool:
        until = time.monotonic() + seconds
        times = [one for found in pool.map(lambda raw: work(raw, until), busy) for one in found]
    return len(times) / seconds, max(times)


def test_idle_ones_beside_busy_ones(db):
    password = db.password("ida")
    busy = [open_one(db, "lin", db.password("lin")) for _ in range(BUSY)]
    idle = []
    try:
        alone, _ = at_work(busy)
        with ThreadPoolExecutor(BUSY) as pool:  # the first make what all share
            idle += pool.map(lambda _: open_one(db, "ida", password), range(100))
            before, began = db.worker_rss(), time.monotonic()
            idle += pool.map(lambda _: open_one(db, "ida", password), range(IDLE - 100))
        opened = time.monotonic() - began
        each = (db.worker_rss() - before) / (IDLE - 100)
        beside, slowest = at_work(busy)
        print(f"{IDLE} log-ins in {opened:.1f} s, {each / 1024:.1f} KiB each; {alone:.0f} statements a second alone, {beside:.0f} "
              f"beside them, the slowest {slowest * 1000:.0f} ms")
        assert each < 44 * 1024 and slowest < 2 and beside > alone / 3
        assert all(SEVEN in raw.ask("SELECT 7") for raw in idle), "they are all there"
        for pid in db.workers():
            assert_caged(pid, (db.office.uids or {}).get("db"))
        began = time.monotonic()
        db.people["ida"].sign_out()
        left = {raw.socket.fileno(): raw for raw in idle}
        poll = select.poll()
        for number in left:
            poll.register(number, select.POLLIN)
        while left and time.monotonic() < began + 30:
            for number, _ in poll.poll(1000):
                with contextlib.suppress(BlockingIOError):
                    if not left[number].socket.recv(4096):
                        poll.unregister(number)
                        del left[number]
        took = time.monotonic() - began
        print(f"all of them had ended {took * 1000:.0f} ms after their session")
        assert not left and took < 5
        assert SEVEN in busy[0].ask("SELECT 7"), "and nobody else"
    finally:
        for raw in busy + idle:
            raw.close()

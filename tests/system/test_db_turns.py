# SPDX-License-Identifier: Apache-2.0
"""Who sends much that is costly to judge waits for it himself: others of the same worker have their turns between.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate".
"""
import contextlib
import threading
import time

import pytest

from dblib import DatabaseOffice
from pgraw import Raw, query

COUNT = 200


def costly(n):
    """Half a kilobyte, and names within names within names."""
    queries = [f"z{i} AS (SELECT 1)" for i in range(10)]
    queries.append("a0 AS (SELECT 1 FROM z0, z1, z2, z3, z4, z5, z6, z7)")
    queries += [f"a{i} AS (SELECT 1 FROM {', '.join([f'a{i - 1}'] * 8)})" for i in range(1, 6)]
    queries.append(f"b{n} AS (SELECT 1)")
    return f"WITH {', '.join(queries)} DELETE FROM orders WHERE id IN (SELECT 1 FROM {', '.join(['a5'] * 8)})"


@pytest.fixture(scope="module")
def db():
    with contextlib.closing(DatabaseOffice(tls="loopback", workers=1, extra="postgres_tls: optional\n")) as one:
        one.server.sql("CREATE TABLE orders (id int)", "ALTER TABLE orders OWNER TO op_dba", database="orders")
        yield one


def connected(db, name):
    raw = Raw(db.port, tls=None, timeout=60)
    assert raw.log_in(name, "orders-db", db.password(name))[-1] == ("Z", b"I")
    return raw


def test_others_have_their_turn_between(db):
    with contextlib.closing(connected(db, "mia")) as mia, contextlib.closing(connected(db, "lin")) as lin:
        lin.ask("SELECT 1")
        took, ended = [], threading.Event()

        def flood():
            began = time.monotonic()
            mia.send(*(query(costly(n)) for n in range(COUNT)))
            for _ in range(COUNT):
                assert mia.until("Z")[0][0] == "E"
            took.append(time.monotonic() - began)
            ended.set()

        thread = threading.Thread(target=flood)
        thread.start()
        slowest = 0
        while not ended.is_set():
            began = time.monotonic()
            lin.ask("SELECT 1")
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.005)
        thread.join()
        assert took[0] > 0.5, "it is costly"
        assert slowest < took[0] / 4, (slowest, took[0])

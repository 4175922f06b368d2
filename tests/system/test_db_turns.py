# SPDX-License-Identifier: Apache-2.0
"""Who sends much that is costly to judge waits for it himself: others of the same worker have their turns between.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate".
"""
import contextlib
import os
import select
import signal
import threading
import time

import pytest

from dblib import DatabaseOffice
from pgraw import Raw, query

COUNT = 200
CONNECTIONS = 40
# judged twice, because the viewer may not do what it does, in a tenth of a second
LONG = query("DROP TABLE orders; SELECT '\\a'" + ",1" * 50000)


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


def test_many_connections_of_one_person_have_his_turns(db):
    """All of them send a long text at the same moment, which comes in one piece."""
    with contextlib.ExitStack() as stack:
        lin = stack.enter_context(contextlib.closing(connected(db, "lin")))
        all_of_mia = [stack.enter_context(contextlib.closing(connected(db, "mia"))) for _ in range(CONNECTIONS)]
        ended = []

        def flood(mia):
            mia.send(LONG, LONG)
            for _ in range(2):
                assert mia.until("Z")[0][0] == "E"
            ended.append(mia)

        began = time.monotonic()
        threads = [threading.Thread(target=flood, args=(mia,)) for mia in all_of_mia]
        for thread in threads:
            thread.start()
        slowest = 0
        while len(ended) < CONNECTIONS and any(thread.is_alive() for thread in threads):
            asked = time.monotonic()
            lin.ask("SELECT 1")
            slowest = max(slowest, time.monotonic() - asked)
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        assert len(ended) == CONNECTIONS and took > 1, "it is costly"
        assert slowest < max(1, took / 8), (slowest, took)


def test_a_long_text_has_its_turn_too(db):
    """However much others have to be judged all the time."""
    with contextlib.ExitStack() as stack:
        lin = stack.enter_context(contextlib.closing(connected(db, "lin")))
        all_of_mia = [stack.enter_context(contextlib.closing(connected(db, "mia"))) for _ in range(8)]
        over = threading.Event()

        def flood(mia, n):
            mia.send(*(query(costly(n * 10000 + i)) for i in range(4)))
            for i in range(4, 10000):
                assert mia.until("Z")[0][0] == "E"
                if over.is_set():
                    return
                mia.send(query(costly(n * 10000 + i)))

        threads = [threading.Thread(target=flood, args=(mia, n)) for n, mia in enumerate(all_of_mia)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.5)
            lin.socket.settimeout(20)
            for _ in range(3):
                assert lin.ask(f"SELECT 1 /*{'x' * 300000}*/")[-1] == ("Z", b"I")
                assert lin.ask("SELECT 1")[-1] == ("Z", b"I")
            assert all(thread.is_alive() for thread in threads)
        finally:
            over.set()
            for thread in threads:
                thread.join()


def answered(raws):
    """In which order their first answers come; of those that come at once, the last one of the list is the last."""
    order = []
    while len(order) < len(raws):
        ready = select.select([one.socket for one in raws if one not in order], [], [], 60)[0]
        assert ready, "no answer"
        order += [one for one in raws if one.socket in ready]
    return order


def test_long_texts_of_many_are_judged_one_a_round(db):
    """All are whole at the same moment, because the worker stands until they are; who asks for little then comes between."""
    text = query("SELECT '\\a'" + ",1" * 400000)
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(contextlib.closing(connected(db, "mia"))) for _ in range(12)]
        lin = stack.enter_context(contextlib.closing(connected(db, "lin")))
        lin.ask("SELECT 1")
        for one in crowd:
            one.send(text[:-1])
        time.sleep(0.5)
        (worker,) = db.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            for one in crowd:
                one.send(text[-1:])
            lin.send(query("SELECT 1"))
        finally:
            os.kill(worker, signal.SIGCONT)
        place = answered([*crowd, lin]).index(lin)
        for one in [*crowd, lin]:
            one.until("Z")
    assert place < 6, place

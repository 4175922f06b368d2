# SPDX-License-Identifier: Apache-2.0
"""A session's time is over while core is away: what rides on it at a database ends all the same, idle and at work.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Looking again".
"""
import contextlib
import os
import signal
import time

import pytest

from dbgatelib import DBA_DOES_ALL, OFFICE, DatabaseOffice, orders_documents
from pgraw import Raw, fields, query

LIFE_S = 60
LOOKS_S = 10  # the gate looks so often


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(orders_documents(["dba"], DBA_DOES_ALL))
    try:
        yield one
    finally:
        one.close()


@pytest.mark.timeout(240)
def test_a_session_ends_by_its_time_without_core(gate):
    path = os.path.join(gate.office.documents, "office.yaml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    shorter = text.replace(OFFICE, OFFICE.replace("---\n", f"session: {{ max: {LIFE_S}s }}\n---\n"))
    assert shorter != text
    gate.office.person("sam").post("/admin/policy/apply", {"files": [{"path": "office.yaml", "text": shorter}], "comment": "shorter"})
    gate.person("tina", "dba")
    began = time.monotonic()
    idle, works = (Raw(gate.port, tls=None) for _ in range(2))
    with contextlib.closing(idle), contextlib.closing(works):
        for raw in (idle, works):
            assert raw.log_in("tina", "orders-db", gate.password("tina"))[-1] == ("Z", b"I")
        works.send(query("SELECT pg_sleep(86400)"))
        os.kill(gate.office.process.pid, signal.SIGSTOP)  # it starts no other
        gate.office.kill("core")
        try:
            for raw in (idle, works):
                raw.socket.settimeout(LIFE_S + LOOKS_S + 5 - (time.monotonic() - began))
                kind, body = raw.until("E")[-1]
                assert fields(body)["C"] == "57P01", fields(body)
                assert time.monotonic() - began > LIFE_S - 5
        finally:
            os.kill(gate.office.process.pid, signal.SIGCONT)

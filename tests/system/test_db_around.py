# SPDX-License-Identifier: Apache-2.0
"""The transaction of the gate around a statement ends, whatever meets its COMMIT or ROLLBACK: the client, who began none, is
never left in one. A relay makes those fail as a timeout does that was over just then.

OWNS an office, a server, a relay. PROCESS tests. TRUST none. SPEC gates/db/hold.c.
"""

import pytest

from dbgatelib import DatabaseOffice, orders_documents
from pgraw import fields, message, query
from relay import Relay
from test_db_ask import nothing_waits

DOCUMENTS = orders_documents(["clerk", "lead"], """\
kind: Rule
name: clerks read and write a little
who: { roles: [clerk] }
to: { resources: [orders-db] }
may: [connect, read, write]
with: { limit: { rows: 20 } }
---
kind: Rule
name: a lead agrees before rows go
who: { roles: [clerk] }
to: { resources: [orders-db] }
may: [destroy]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
---
kind: Budget
name: five in ten minutes
who: { roles: [clerk] }
actions: [write]
per: 10m
statements: 5
then: deny
""")


class Spoils(Relay):
    """Of the next messages of the gate that say one of the words the server gets what it cannot read; a message of the server's
    of a kind is, once, an error instead."""

    def __init__(self):
        super().__init__(0)
        self.words, self.times, self.kind = (), 0, None

    def _read(self, line, size):
        body = super()._read(line, size)
        if self.times > 0 and body[:-1].decode(errors="replace") in self.words:
            self.times -= 1
            return b"?" * (len(body) - 1) + b"\0"
        return body

    def passes(self, kind, body, line):
        if kind == self.kind:
            self.kind = None
            kind, body = "E", b"SERROR\0C57014\0Mcanceling statement due to statement timeout\0\0"
        line.sendall(message(kind, body))

    def spoil(self, times, *words):
        self.words, self.times = words, times


@pytest.fixture(scope="module")
def gate():
    relay = Spoils()
    one = None
    try:
        one = DatabaseOffice(DOCUMENTS.replace("{port}", str(relay.port), 1))
        relay.to = one.pg.port
        one.relay = relay
        one.person("cleo", "clerk")
        one.person("lena", "lead")
        yield one
    finally:
        if one is not None:
            one.close()
        relay.close()


@pytest.fixture
def raw(gate):
    one = gate.raw("cleo")
    yield one
    gate.relay.spoil(0)
    one.close()
    nothing_waits(gate)


def told(raw, text):
    """SQLSTATEs, and the state of the transaction."""
    raw.send(query(text))
    found = raw.until("Z")
    return [fields(body)["C"] for kind, body in found if kind == "E"], found[-1][1]


UPDATE = "UPDATE orders SET total = -1 WHERE id = 1 RETURNING id"


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_meets_its_commit(gate, raw, times):
    """He hears once why his change did not stay."""
    gate.relay.spoil(times, "COMMIT", "ROLLBACK")
    assert told(raw, UPDATE) == (["42601"], b"I")
    assert gate.relay.times == 0 and told(raw, "SELECT 1") == ([], b"I")
    assert gate.sql("SELECT total FROM orders WHERE id = 1") == [(10,)]


@pytest.mark.parametrize("times", [1, 2])
def test_what_meets_its_rollback(gate, raw, times):
    """He hears why his statement failed, and of nothing else."""
    gate.relay.spoil(times, "ROLLBACK")
    assert told(raw, UPDATE + ", 1 / (id - 1)") == (["22012"], b"I")
    assert gate.relay.times == 0 and told(raw, "SELECT 1") == ([], b"I")


@pytest.mark.parametrize("times", [1, 2])
def test_what_meets_the_rollback_of_what_does_not_run(gate, raw, times):
    """The transaction has begun when the budget turns out to have no room."""
    while told(raw, UPDATE) == ([], b"I"):
        pass
    gate.relay.spoil(times, "ROLLBACK")
    assert told(raw, UPDATE) == (["53400"], b"I")
    assert told(raw, "SELECT 1") == ([], b"I")
    assert gate.relay.times == 0


def test_an_error_of_no_message_before_others_are_asked(gate, raw):
    """The server skips up to a Sync then, which is the gate's."""
    gate.relay.kind = "3"
    assert told(raw, "DELETE FROM orders") == (["57014"], b"I")
    assert told(raw, "SELECT 1") == ([], b"I")

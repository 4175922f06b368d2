# SPDX-License-Identifier: Apache-2.0
"""What one person's connections hold of a worker's memory has a bound, whatever they hold it with; others notice nothing.

OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/share.h.
"""
import contextlib
import time

import pytest

from dbgatelib import office_of, orders_documents
from memorylib import anonymous_bytes
from officelib import SANITIZED, descendants, wait_for
from pgraw import SYNC, Closed, bind, closes, describe, error_of, execute, parse, query
from test_db_ask import answer, waiting
from test_db_ask_values import INT4, bound, typed

# A row under a limit is looked at, and so has to be there as a whole.
DOCUMENTS = orders_documents(["greedy", "other", "careful"], """\
kind: Rule
name: others agree to what the careful read
who: { roles: [careful] }
to: { resources: [orders-db] }
may: [read]
ask: { approved_by: 1, by: { roles: [other] }, expires: 10m }
---
kind: Rule
name: they come in
who: { roles: [careful] }
to: { resources: [orders-db] }
may: [connect]
---
kind: Rule
name: all read
who: { roles: [greedy, other] }
to: { resources: [orders-db] }
may: [connect, read, export]
with: { limit: { rows: 1000, bytes: 4 GiB } }
""")
gate = office_of(DOCUMENTS, (("gina", "greedy"), ("otto", "other"), ("carl", "careful")))
MIB = 1 << 20
MAY_HOLD = 256 * MIB  # who is alone
BESIDE = 4 * 64 * MIB  # the one row that is worked with
ROW = 48 * MIB
LARGE = f"SELECT repeat('x', {ROW}) FROM orders WHERE id = 1"
SEVEN = ("D", b"\0\1\0\0\0\0017")

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer holds what was given back")


def held(gate):
    return sum(anonymous_bytes(pid) for pid in descendants(gate.office.pid("db")))


@contextlib.contextmanager
def connected(gate, name, count):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(gate.raw(name, timeout=60))) for _ in range(count)]


def others_notice_nothing(gate):
    with connected(gate, "otto", 1) as (otto,):
        began = time.monotonic()
        assert SEVEN in otto.ask("SELECT 7")
        otto.send(parse(f"SELECT '{'y' * 200000}'::text", "long"), bind("", "long"), execute(), SYNC)
        assert [kind for kind, _ in otto.until("Z")] == ["1", "2", "D", "C", "Z"]
        assert time.monotonic() - began < 2


def refused(gate):
    return [e for e in gate.audrey.items("/admin/ledger/events?gate=db&person=gina&verdict=deny&limit=100")
            if "one person's may" in e.get("object", "")]


def fills(raw, count):
    """So many messages of which none asks for an answer, and their Sync a moment later."""
    raw.send(*[describe("seven", "S")] * count)
    time.sleep(0.5)
    raw.send(SYNC)
    assert [kind for kind, _ in raw.until("Z")].count("T") == count


def settled(number):
    """When it has stayed the same for a while."""
    before, now = None, number()
    while now != before:
        time.sleep(1)
        before, now = now, number()
    return now


def test_rows_that_are_not_taken(gate):
    before, known = held(gate), len(refused(gate))
    with connected(gate, "gina", 16) as raws, connected(gate, "gina", 1) as (one,):
        one.send(parse("SELECT 7", "seven"), SYNC)
        one.until("Z")
        for raw in raws:
            raw.send(query(LARGE))
        wait_for("the server's last word", 60, lambda: gate.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gina' AND state = 'active'") == [(0,)])
        left = settled(lambda: gate.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gina'")[0][0])  # and the one
        assert 1 <= left - 1 < 8, left
        assert held(gate) - before < MAY_HOLD + BESIDE
        others_notice_nothing(gate)
        one.send(*[query("SELECT 7")] * 500)  # they wait for each other, and all are answered
        assert sum(SEVEN in one.until("Z") for _ in range(500)) == 500
        for count in (63, 64, 65):  # about as many as a connection may always have under way
            fills(one, count)
        text = query(f"SELECT '{'y' * 900000}'")
        one.send(text[:200000])
        time.sleep(0.2)
        one.send(text[200000:])
        assert error_of(one.until("Z"))["C"] == "53200"
        assert SEVEN in one.ask("SELECT 7")
        left -= 1  # of the others
        ends = []
        for raw in raws:
            with contextlib.suppress(Closed):
                ends += [(kind, body) for kind, body in raw.until("ZE") if kind in "ZE"]
        assert [kind for kind, _ in ends].count("Z") == left and len(ends) == len(raws)
        assert {error_of([one])["C"] for one in ends if one[0] == "E"} == {"53200"}
        wait_for("what was refused, on the ledger", 15, lambda: len(refused(gate)) == known + len(raws) - left + 1)
        assert SEVEN in next(raw for raw, (kind, _) in zip(raws, ends) if kind == "Z").ask("SELECT 7")
    wait_for("what was held", 10, lambda: held(gate) - before < 64 * MIB)


def test_prepared_statements_of_many_connections(gate):
    before = held(gate)
    with connected(gate, "gina", 12) as raws:
        codes = []
        for raw in raws:
            for n in range(40):
                raw.send(parse(f"SELECT '{'y' * 1000000}', {n}", f"s{n}"), SYNC)
                found = raw.until("Z")
                if found[0][0] == "E":
                    codes.append(error_of(found)["C"])
                    break
        assert codes.count("53400") >= 6 and codes.count("53200") >= 3 and len(codes) == 12, codes
        assert held(gate) - before < MAY_HOLD + BESIDE
        others_notice_nothing(gate)
        text = f"SELECT 7, '{'y' * 1000000}'"
        raws[-1].send(parse(text), SYNC)
        assert error_of(raws[-1].until("Z"))["C"] == "53200"
        raws[0].send(*(closes("S", f"s{n}") for n in range(4)), SYNC)  # of another connection, but hers
        raws[0].until("Z")
        raws[-1].send(parse(text), bind(), execute(), SYNC)
        assert [kind for kind, _ in raws[-1].until("Z")] == ["1", "2", "D", "C", "Z"]


def test_what_is_counted_is_taken_back_as_it_was(gate):
    """Values of a cursor, with their types, are kept as long as it: were more taken back than counted, nobody would have room."""
    with connected(gate, "carl", 1) as (carl,):
        for _ in range(3):
            carl.ask("BEGIN")
            carl.send(typed("DECLARE c CURSOR FOR SELECT note FROM orders WHERE id = $1", INT4), bound(b"1"), execute(), SYNC)
            answer(gate, wait_for("the question", 10, lambda: waiting(gate, "otto"))[0], "approve", who="otto")
            assert [kind for kind, _ in carl.until("Z") if kind != "N"] == ["1", "2", "C", "Z"]
            assert carl.ask("COMMIT")[0] == ("C", b"COMMIT\0")
            carl.send(closes("P"), closes("S"), SYNC)
            assert [kind for kind, _ in carl.until("Z")] == ["3", "3", "Z"]
            carl.send(parse("SELECT 7", "s"), bind("", "s"), execute(), closes("S", "s"), SYNC)
            assert [kind for kind, _ in carl.until("Z")] == ["1", "2", "D", "C", "3", "Z"]
        others_notice_nothing(gate)


def test_of_words_without_an_end_the_beginning_comes(gate):
    """An error quotes all that it is about; so much of it nobody reads."""
    with connected(gate, "gina", 4) as found:
        before = held(gate)
        for raw in found:
            raw.send(query("SELECT repeat('x', 60000000)::int"))
        ran = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT repeat(%' AND state = 'idle'"
        wait_for("their ends", 20, lambda: gate.sql(ran) == [(4,)])
        time.sleep(0.5)
        assert held(gate) - before < 16 * MIB
        for raw in found:
            error = error_of(raw.until("Z"))
            assert error["C"] == "22P02" and error["S"] == "ERROR" and 4000 < len(error["M"]) <= 4096, (error["C"], len(error["M"]))
            assert SEVEN in raw.ask("SELECT 7")

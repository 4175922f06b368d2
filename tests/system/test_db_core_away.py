# SPDX-License-Identifier: Apache-2.0
"""Core stands still, or is gone: what asks others or spends is refused, in words and on the ledger; nothing of it reaches
the server; what is decided from memory goes on, and so does every connection.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Without core".
"""
import contextlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dbgatelib import office_of, orders_documents
from insidelib import Dying
from officelib import descendants, wait_for
from portal import Refused
from pgraw import SYNC, bind, execute, fields, parse, query
from test_db_ask import Waiting, answer

DOCUMENTS = orders_documents(["asker", "spender", "reader", "looker", "lead"], """\
kind: Rule
name: usual work
who: { roles: [asker, spender, lead] }
to: { resources: [orders-db] }
may: [connect, read, write]
---
kind: Rule
name: a lead agrees before rows go
who: { roles: [asker] }
to: { resources: [orders-db] }
may: [destroy]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
---
kind: Budget
name: a thousand rows a while
who: { roles: [spender] }
actions: [write]
per: 10m
rows: 1000
then: deny
---
kind: Budget
name: five thousand attempts a while
who: { roles: [spender] }
actions: [destroy]
per: 10m
statements: 5000
then: deny
---
kind: Rule
name: lookers look
who: { roles: [looker] }
to: { resources: [orders-db] }
may: [connect, read]
---
kind: Budget
name: five thousand rows to look at
who: { roles: [looker] }
actions: [read]
per: 10m
rows: 5000
then: deny
---
kind: Rule
name: so much a day
who: { roles: [reader] }
to: { resources: [orders-db] }
may: [connect, read]
with: { limit: { rows: 1000, per: day } }
""")
# who, what, with which SQLSTATE it is refused
DUTIES = [("dora", "DELETE FROM orders", "57P03"), ("carl", "UPDATE orders SET total = 0 WHERE id = 1", "53400"),
          ("rita", "SELECT note FROM orders", "53400")]
CALL_S = 10  # a question to core is given up then


gate = office_of(DOCUMENTS, (("dora", "asker"), ("carl", "spender"), ("rita", "reader"), ("lula", "looker"), ("lena", "lead")),
                 sql=["ALTER SYSTEM SET log_statement = 'all'", "ALTER SYSTEM SET log_min_messages = 'log'", "SELECT pg_reload_conf()"])


@contextlib.contextmanager
def stopped(gate):
    pid = gate.office.pid("core")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def killed(gate):
    """And not started again, because the porter stands still."""
    porter = gate.office.process.pid
    os.kill(porter, signal.SIGSTOP)
    core = gate.office.kill("core")
    try:
        yield
    finally:
        os.kill(porter, signal.SIGCONT)
        gate.office.wait_role("core", other_than=core)


def refusal(raw, text, extended):
    """Its error, and how long it took."""
    began = time.monotonic()
    raw.send(*((parse(text), bind(), execute(), SYNC) if extended else (query(text),)))
    found = raw.until("Z")
    assert not [kind for kind, _ in found if kind in "DC"], found
    assert found[-1] == ("Z", b"I"), found
    return fields(next(body for kind, body in found if kind == "E")), time.monotonic() - began


def told(gate):
    return [line for line in gate.pg.log().splitlines() if any(text in line for _, text, _ in DUTIES)]


@pytest.mark.parametrize("away", [stopped, killed])
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_what_has_duties_is_refused_and_the_rest_goes_on(gate, away, extended):
    before = gate.sql("SELECT count(*), sum(total) FROM orders")
    lines = [gate.raw(name) for name, _, _ in DUTIES]
    open_beside = gate.raw("lena")
    try:
        # what EXPLAIN says is asked of the server while core is away, too; the statement itself never gets there
        with away(gate), ThreadPoolExecutor(len(lines)) as pool:
            ends = [pool.submit(refusal, raw, text, extended) for raw, (_, text, _) in zip(lines, DUTIES)]
            with contextlib.closing(open_beside) as beside:
                for _ in range(20):
                    assert ("D", b"\0\1\0\0\0\0017") in beside.ask("SELECT 7"), "decided from memory"
            errors = [one.result(CALL_S + 10) for one in ends]
            for raw in lines:
                assert ("D", b"\0\1\0\0\0\0017") in raw.ask("SELECT 7")
        for (error, took), (_, text, code) in zip(errors, DUTIES):
            assert error["C"] == code and "Reference" in error["D"], (text, error)
            assert took < CALL_S + 8, (text, took)
        for raw in lines:  # and with core they are whole
            assert ("D", b"\0\1\0\0\0\0018") in raw.ask("SELECT 8")
    finally:
        for raw in lines:
            raw.close()
    assert "SELECT 7" in gate.pg.log() and [line for line in told(gate) if "EXPLAIN" not in line] == [], "it reached the server"
    assert gate.sql("SELECT count(*), sum(total) FROM orders") == before
    references = {error["D"].split("Reference ")[1].rstrip(".") for error, _ in errors}
    assert len(references) == len(DUTIES)
    wait_for("the refusals on the ledger", 15, lambda: references <= {
        e.get("reference") for e in gate.audrey.items("/admin/ledger/events?limit=200&gate=db")})


def question(gate, run):
    return wait_for("the question", 10, lambda: [  # others may wait that were asked when core stood still
        one for one in gate.people["lena"].get("/approvals?state=waiting")["items"]
        if gate.people["lena"].get(f"/approvals/{one['id']}")["statement"] == run.text])[0]


def test_what_was_withdrawn_meanwhile_waits_no_more(gate):
    """Core died between keeping that and telling the gate: the gate hears it from the next one."""
    dora = gate.connect("dora")
    dora.autocommit = True
    run = Waiting(dora, "DELETE FROM audit.entries WHERE true")
    item = question(gate, run)
    with killed(gate):
        gate.office.store("UPDATE ask SET state = 4, ended = ? WHERE sha256 = ?", int(time.time()), bytes.fromhex(item["sha256"]))
    run.join(15)
    assert not run.is_alive(), "it waits for ever"
    assert run.error.pgcode == "42501" and "it was withdrawn" in str(run.error), run.error
    dora.close()


def test_who_waits_for_others_when_core_dies_goes_on_with_the_next(gate):
    dora = gate.connect("dora")
    dora.autocommit = True
    run = Waiting(dora, "DELETE FROM audit.entries")
    item = question(gate, run)
    before = gate.office.kill("core")
    gate.office.wait_role("core", other_than=before)

    def agree():
        with contextlib.suppress(Refused, OSError):
            return answer(gate, item, "approve")

    wait_for("core's ear", 15, agree, step=0.3)
    run.join(20)
    assert not run.is_alive() and run.error is None and run.count == 10, run.error
    assert gate.sql("SELECT count(*) FROM audit.entries") == [(0,)]
    dora.close()


def spent(gate, name, budget):
    """(statements, rows)"""
    budgets = gate.sam.get("/admin/databases/budgets")["budgets"]
    return next(((s["statements"], s["rows"]) for b in budgets if b["name"] == budget for s in b["spent"]
                 if s["person"]["name"] == name), (0, 0))


def test_what_core_did_for_nobody_is_taken_back(gate):
    """The question that timed out, and that of a client who hung up: core answers both when it goes on."""
    dora, gone, carl = (gate.raw(name) for name in ("dora", "dora", "carl"))
    before = spent(gate, "carl", "a thousand rows a while")
    with contextlib.closing(dora), contextlib.closing(carl):
        with stopped(gate), ThreadPoolExecutor(2) as pool:
            gone.send(query("DELETE FROM customers"))
            ends = [pool.submit(refusal, raw, text, False) for raw, (_, text, _) in zip((dora, carl), DUTIES)]
            time.sleep(2)  # the plan was told, and core was asked
            gone.close()
            assert [end.result(CALL_S + 10)[0]["C"] for end in ends] == ["57P03", "53400"]
        time.sleep(2)
        assert gate.people["lena"].get("/approvals?state=waiting")["items"] == []
        assert spent(gate, "carl", "a thousand rows a while") == before


def test_what_ended_while_core_stood_still_is_told(gate):
    """More than the socket holds, in whatever order: attempts that were refused, answers with portions of a day."""
    gate.person("ruth", "reader")
    readers = [gate.raw("ruth") for _ in range(15)]
    carl = gate.raw("carl")
    before = spent(gate, "carl", "five thousand attempts a while")[0]
    with contextlib.ExitStack() as stack:
        for raw in [*readers, carl]:
            stack.enter_context(contextlib.closing(raw))
        with contextlib.closing(gate.direct("op_all")) as other:
            other.cursor().execute("LOCK TABLE orders")
            for raw in readers:
                raw.send(query("SELECT note FROM orders WHERE id = 7"))
            wait_for("the readers", 10, lambda: gate.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == [(15,)])
            with stopped(gate):
                for _ in range(1500):
                    assert fields(next(body for kind, body in carl.ask("DELETE FROM orders") if kind == "E"))["C"] == "42501"
                other.rollback()
                for raw in readers:
                    assert len([kind for kind, _ in raw.until("Z") if kind == "D"]) == 1
        wait_for("the attempts", 40, lambda: spent(gate, "carl", "five thousand attempts a while")[0] == before + 1500)
        wait_for("the portions", 10, lambda: [s["rows"] for s in gate.sam.get("/admin/databases/budgets")["today"]
                                              if s["person"]["name"] == "ruth"] == [15])


def test_attempts_that_stood_in_the_socket_count_when_they_were_made(gate):
    asked = "SELECT at_unix_s, statements FROM budget_spent WHERE budget = 'five thousand attempts a while' ORDER BY at_unix_s"
    before = gate.office.store(asked)
    with contextlib.closing(gate.raw("carl")) as carl:
        with stopped(gate):
            began = int(time.time())
            for _ in range(3):
                carl.ask("DELETE FROM orders")
                time.sleep(0.2)  # one telling stands in the socket, others wait for its answer
            time.sleep(5)
        late = wait_for("the attempts", 20, lambda: sum(n for _, n in gate.office.store(asked)) ==
                        sum(n for _, n in before) + 3 and gate.office.store(asked)[len(before):])
    assert all(began <= at <= began + 2 for at, _ in late), (began, late)


def test_a_flood_of_attempts_is_told_to_core_in_few_words(gate):
    """Core has one thread: each telling is a transaction of its store. All of them count all the same."""
    asked = "SELECT count(*), COALESCE(SUM(statements), 0) FROM budget_spent WHERE budget = 'five thousand attempts a while'"
    words, attempts = gate.office.store(asked)[0]
    with contextlib.closing(gate.raw("carl")) as carl:
        began = time.monotonic()
        for _ in range(5):
            carl.send(*[query("DELETE FROM orders")] * 200)
            for _ in range(200):
                assert fields(next(body for kind, body in carl.until("Z") if kind == "E"))["C"] == "42501"
        took = time.monotonic() - began
        wait_for("all of them", 5, lambda: gate.office.store(asked)[0][1] == attempts + 1000)
    assert gate.office.store(asked)[0][0] - words <= took * 10 + 3


def test_what_ended_while_core_stood_still_and_died_is_told_to_the_next(gate):
    """It stood in the socket, or waited for it: nobody had read it."""
    gate.sql("INSERT INTO customers (id, name) SELECT i, 'fresh' FROM generate_series(900001, 900300) i")
    before = spent(gate, "carl", "a thousand rows a while")[1]
    with contextlib.closing(gate.raw("carl")) as carl, contextlib.closing(gate.direct("op_all")) as other:
        other.cursor().execute("SELECT FROM customers WHERE id = 900001 FOR UPDATE")
        carl.send(query("UPDATE customers SET name = 'stale' WHERE name = 'fresh'"))
        wait_for("the change", 10, lambda: gate.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == [(1,)])
        expected = spent(gate, "carl", "a thousand rows a while")[1] - before
        assert expected < 100, expected
        core = gate.office.kill("core", signal.SIGSTOP)
        other.rollback()
        assert ("C", b"UPDATE 300\0") in carl.until("Z")
        time.sleep(0.5)
        os.kill(core, signal.SIGKILL)
        gate.office.wait_role("core", other_than=core)
        wait_for("what it was", 20, lambda: spent(gate, "carl", "a thousand rows a while")[1] - before == 300)


def test_what_core_could_not_keep_is_told_again(gate):
    """Its store took nothing when it was told (a full disk, another process): it said so."""
    gate.sql("INSERT INTO customers (id, name) SELECT i, 'unkept' FROM generate_series(920001, 920300) i")
    before = spent(gate, "carl", "a thousand rows a while")[1]
    with contextlib.closing(gate.raw("carl")) as carl, contextlib.closing(gate.direct("op_all")) as other:
        other.cursor().execute("SELECT FROM customers WHERE id = 920001 FOR UPDATE")
        carl.send(query("UPDATE customers SET name = 'kept' WHERE name = 'unkept'"))
        wait_for("the change", 10, lambda: gate.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == [(1,)])
        assert spent(gate, "carl", "a thousand rows a while")[1] - before < 100
        with gate.office.locked_store():
            other.rollback()
            assert ("C", b"UPDATE 300\0") in carl.until("Z")
            time.sleep(6)  # core waits for five
        wait_for("what it was", 20, lambda: spent(gate, "carl", "a thousand rows a while")[1] - before == 300)


def kept(gate, budget):
    return gate.office.store("SELECT COALESCE(SUM(rows), 0) FROM budget_spent WHERE budget = ?", budget)[0][0]


@contextlib.contextmanager
def dies_unsaid(gate, raw, budget, text, hold):
    """200 rows are counted, and core is killed before it says that it has that; hold keeps the statement until all is ready."""
    before = kept(gate, budget)
    gate.sql("INSERT INTO customers (id, name) SELECT i, 'new' FROM generate_series(910001, 910200) i ON CONFLICT DO NOTHING")
    with contextlib.closing(gate.direct("op_all")) as other:
        other.cursor().execute(hold)
        raw.send(query(text.format(910200)))
        wait_for("the statement", 30, lambda: gate.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == [(1,)])
        core = gate.office.pid("core")
        with Dying(core) as dying:
            other.rollback()
            assert raw.until("C")[-1][1].endswith(b" 200\0") and raw.until("Z")
            dying.until(lambda: kept(gate, budget) == before + 200)
            yield
    gate.office.wait_role("core", other_than=core)


LOOK = ("five thousand rows to look at", "SELECT id FROM customers WHERE id BETWEEN 910001 AND {}", "LOCK TABLE customers")


@pytest.mark.parametrize("name,budget,text,hold", [
    ("carl", "a thousand rows a while", "UPDATE customers SET name = 'told' WHERE id BETWEEN 910001 AND {}",
     "SELECT FROM customers WHERE id = 910001 FOR UPDATE"),
    ("lula", *LOOK)], ids=["settled", "added"])
def test_what_core_kept_and_died_before_it_said_so_counts_once(gate, name, budget, text, hold):
    before = kept(gate, budget)
    with contextlib.closing(gate.raw(name)) as raw:
        with dies_unsaid(gate, raw, budget, text, hold):
            pass
        # what is told again comes before what is asked next
        assert [body[-3:] for kind, body in raw.ask(text.format(910001)) if kind == "C"] == [b" 1\0"]
        wait_for("what both were", 20, lambda: kept(gate, budget) == before + 201)


def test_what_is_told_again_of_a_session_that_ended_counts_once(gate):
    budget, text, hold = LOOK
    before = kept(gate, budget)
    first = gate.people["lula"]
    with contextlib.closing(gate.raw("lula")) as beside:
        second = gate.people["lula"] = first.again()
        second.sign_in()
        raw = gate.raw("lula")
        gate.people["lula"] = first
        workers = descendants(gate.office.pid("db"))
        with contextlib.closing(raw):
            with dies_unsaid(gate, raw, budget, text, hold):
                for pid in workers:  # it tells again when the session has ended
                    os.kill(pid, signal.SIGSTOP)
            try:
                second.sign_out()
            finally:
                for pid in workers:
                    os.kill(pid, signal.SIGCONT)
            assert raw.ended()
        assert [body[-3:] for kind, body in beside.ask(text.format(910001)) if kind == "C"] == [b" 1\0"]
        wait_for("what both were", 20, lambda: kept(gate, budget) == before + 201)

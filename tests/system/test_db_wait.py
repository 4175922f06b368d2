# SPDX-License-Identifier: Apache-2.0
"""While people think no clock of the server's runs, and who hears that the server has ended the session meanwhile hears that
his statement did not run.

OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/hold.c; PostgreSQL 15 manual, 20.11.1 "Statement Behavior".
"""

import contextlib
import time

import pytest

from dbgatelib import DatabaseOffice
from officelib import wait_for
from pgraw import FLUSH, SYNC, Raw, bind, closes, execute, fields, parse, query
from test_db_ask import answer, asked, nothing_waits, waiting
from test_db_ask_values import Answer
from test_db_keep import KEPT, MORE

WAIT_S = 1.2
CLOCK = "'400ms'"  # of the server's, and less than others think; what runs needs less
TEXTS = {  # what is kept, and what is not
    "DELETE FROM small": "lena",
    "COMMENT ON TABLE small IS 'waited for'": "harry",
}


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(KEPT, accounts=("op_all", "op_keep"), schema=MORE)
    try:
        one.sql("GRANT pg_read_all_data TO op_keep", "GRANT op_all TO op_keep", "ANALYZE")
        for name, role in (("dora", "dba"), ("lena", "lead"), ("harry", "hasty")):
            one.person(name, role)
        yield one
    finally:
        one.close()


@contextlib.contextmanager
def connected(gate):
    one = Raw(gate.port, tls=None, timeout=30)
    try:
        assert one.log_in("dora", "orders-db", gate.password("dora"))[-1] == ("Z", b"I")
        yield one
    finally:
        one.close()
        nothing_waits(gate)


@pytest.fixture
def raw(gate):
    with connected(gate) as one:
        yield one


@pytest.fixture
def of_the_role(gate):
    """Settings of the account, for who connects from now on."""
    def put(name):
        gate.sql(f"ALTER ROLE op_all SET {name} = {CLOCK}")
    yield put
    gate.sql("ALTER ROLE op_all RESET ALL")


def approved_late(gate, who):
    """Its one question, when the server's clock would have run down."""
    item = wait_for("the question", 10, lambda: waiting(gate, who))[0]
    time.sleep(WAIT_S)
    answer(gate, item, "approve", who=who)
    return item


def state_of(gate, item, who="lena"):
    return gate.people[who].get(f"/approvals/{item['id']}")["state"]


def runs(gate, raw, text):
    """Sent already: it runs, however late others agree."""
    found = Answer(raw)
    item = approved_late(gate, TEXTS[text])
    assert "E" not in found.kinds(), [fields(body) for kind, body in found.found if kind == "E"]
    assert state_of(gate, item, TEXTS[text]) == "used"
    return found


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("how", ["session", "role", "local", "query behind"])
def test_statement_timeout_does_not_count_while_others_think(gate, of_the_role, how, text):
    if how == "role":
        of_the_role("statement_timeout")
    with connected(gate) as raw:
        if how == "local":
            raw.ask("BEGIN")
        if how != "role":
            raw.ask(f"SET {'LOCAL ' if how == 'local' else ''}statement_timeout = {CLOCK}")
        if how == "query behind":
            raw.send(parse("SELECT 1"), bind(), FLUSH, query(text))
        else:
            raw.send(parse(text), bind(), execute(), SYNC)
        found = runs(gate, raw, text)
        assert found.found[-1] == ("Z", b"T" if how == "local" else b"I")
        if how == "local":
            assert raw.ask("ROLLBACK")[-1] == ("Z", b"I")


def test_it_counts_when_it_runs(gate, raw):
    """All of it, from then on."""
    raw.ask(f"SET statement_timeout = {CLOCK}")
    raw.send(parse("DELETE FROM small RETURNING pg_sleep(20)"), bind(), execute(), SYNC)
    gate.sql("INSERT INTO small VALUES (8)")
    found = Answer(raw)
    approved_late(gate, "lena")
    assert found.error()["C"] == "57014" and "statement timeout" in found.error()["M"]


def test_when_it_is_over_already_nobody_is_asked(gate, raw):
    raw.ask(f"SET statement_timeout = {CLOCK}")
    raw.send(parse("DELETE FROM small"), bind(), FLUSH)
    raw.until("2")
    time.sleep(WAIT_S)
    raw.send(execute(), SYNC)
    error = Answer(raw).error()
    assert (error["C"], error["H"]) == ("57014", "Nobody was asked.") and "statement timeout" in error["M"], error
    assert raw.ask("SELECT 1")[-1] == ("Z", b"I")


@pytest.mark.parametrize("text", ["CREATE INDEX held ON small (id)", "CREATE INDEX CONCURRENTLY held ON small (id)"])
def test_what_cannot_be_in_a_pipeline_waits_by_itself_only(gate, raw, text):
    """A server takes it behind no other statement, and its clock is stopped by one."""
    raw.send(parse(text), bind(), execute(), SYNC)
    found = Answer(raw)
    if "CONCURRENTLY" in text:
        assert found.error()["C"] == "0A000" and "simple" in found.error()["H"], found.error()
        assert not waiting(gate, "harry")
        raw.send(query(text))
        found = Answer(raw)
    approved_late(gate, "harry")
    assert found.kinds()[-2:] == "CZ", found.found
    gate.sql("DROP INDEX held")


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_a_session_is_not_idle_while_others_think(gate, text, within):
    with connected(gate) as raw:
        raw.ask(f"SET {'idle_in_transaction_session_timeout' if within else 'idle_session_timeout'} = {CLOCK}")
        raw.send(*([query("BEGIN")] if within else []), query(text))
        if within:
            raw.until("Z")
        found = runs(gate, raw, text)
        assert found.found[-1] == ("Z", b"T" if within else b"I")
        time.sleep(WAIT_S)
        ended = raw.until("E")
        assert fields(ended[-1][1])["C"] == ("25P03" if within else "57P05"), "and is from then on"


@pytest.mark.parametrize("within", [False, True])
def test_a_session_is_not_idle_while_it_is_kept(gate, within):
    """pg_dump takes longer than the server has patience."""
    with connected(gate) as raw:
        raw.ask("SET idle_in_transaction_session_timeout = '20ms'")
        raw.send(*([query("BEGIN")] if within else []), query("DELETE FROM ballast"))
        if within:
            raw.until("Z")
        found = Answer(raw)
        answer(gate, asked(gate), "approve")
        assert found.kinds() == "CZ", found.found


@pytest.mark.parametrize("how", ["simple", "extended", "transaction"])
def test_who_waits_hears_that_the_server_ended_the_session(gate, raw, how):
    """As the answer to what waits; it did not run, and the approval is for nobody."""
    if how == "transaction":
        raw.ask("BEGIN")
    raw.send(*([parse("DELETE FROM small"), bind(), execute(), SYNC] if how == "extended" else [query("DELETE FROM small")]))
    item = asked(gate)
    gate.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'op_all' AND "
             "application_name = 'dora' AND backend_type = 'client backend'")
    found = [(kind, fields(body)) for kind, body in raw.until("Z") if kind == "E"]
    assert [(f["S"], f["C"]) for _, f in found] == [("ERROR", "57P01")], found
    assert "ended this connection while the statement waited" in found[0][1]["M"]
    assert fields(raw.until("E")[-1][1])["S"] == "FATAL"
    nothing_waits(gate)
    assert state_of(gate, item) == "withdrawn"


@pytest.mark.parametrize("before", ["failed block", "time is over"])
def test_a_query_behind_a_pipeline_that_fails_before_others_are_asked_is_answered_to_its_end(raw, before):
    """The server skips to a Sync, and behind a Query comes none of the client's."""
    raw.ask("BEGIN")
    if before == "failed block":
        raw.ask("ROLLBACK TO nowhere")
        raw.send(closes("P", "x"), query("DELETE FROM small"))
    else:
        raw.ask("SET LOCAL statement_timeout = '1ms'")
        raw.send(parse("SELECT 1"), bind(), FLUSH)
        time.sleep(0.1)
        raw.send(query("DELETE FROM small"))
    found = raw.until("Z")
    assert [kind for kind, _ in found][-2:] == ["E", "Z"] and found[-1][1] == b"E", found
    assert fields(next(body for kind, body in found if kind == "E"))["C"] == ("25P02" if before == "failed block" else "57014")
    assert raw.ask("ROLLBACK")[-1] == ("Z", b"I")
    assert [kind for kind, _ in raw.ask("SELECT 1")] == ["T", "D", "C", "Z"]

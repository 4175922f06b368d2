# SPDX-License-Identifier: Apache-2.0
"""What an approved statement destroys is kept through the gate, held against writers until it is gone, and brought
back with what they wrote.

OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/hold.c, docs/DATABASE.md "Undo".
"""

import contextlib
import os
import threading
import time

import psycopg2
import pytest

from dbgatelib import SCHEMA, office_of
from officelib import PATIENT_S, wait_for
from portal import Refused
from pgraw import SYNC, Raw, bind, execute, parse, query
from test_db_ask import DOCUMENTS, Waiting, answer, asked
from test_db_ask_values import Answer

KEPT = DOCUMENTS.replace("as: op_all }]", "as: op_all }]\n  keep_as: op_keep").replace("may: [destroy, alter]", "may: [destroy]") + """\
---
kind: Rule
name: a lead agrees before the hasty change a table
who: { roles: [hasty] }
to: { resources: [orders-db] }
may: [alter]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
"""
MORE = SCHEMA + "CREATE TABLE ballast AS SELECT g AS id, repeat('x', 400) AS what FROM generate_series(1, 30000) g;" \
    "CREATE TABLE small AS SELECT 1 AS id; CREATE TABLE doomed AS SELECT * FROM ballast;"


gate = office_of(KEPT, (("dora", "dba"), ("lena", "lead"), ("leo", "lead"), ("harry", "hasty")),
                 sql=["GRANT pg_read_all_data TO op_keep",
                      "GRANT op_all TO op_keep",
                      "ANALYZE",
                      "ALTER TABLE ballast ADD PRIMARY KEY (id)",
                      "ALTER TABLE doomed ADD PRIMARY KEY (id)"], accounts=("op_all", "op_keep"), schema=MORE)


@pytest.fixture
def dora(gate):
    connection = gate.connect("dora")
    connection.autocommit = True
    yield connection
    connection.cancel()
    connection.close()


class Writer(threading.Thread):
    """An application that writes all the time, past the gate; what it committed must be somewhere in the end."""

    def __init__(self, gate, table="ballast"):
        super().__init__(daemon=True)
        self.gate, self.table, self.stopped, self.committed, self.slowest = gate, table, False, set(), 0.0
        self.start()

    def run(self):
        connection = self.gate.direct("op_all")
        connection.autocommit = True
        number = 1000000
        while not self.stopped:
            began = time.monotonic()
            try:
                connection.cursor().execute(f"INSERT INTO {self.table} VALUES ({number}, 'new')")
                self.committed.add(number)
            except psycopg2.errors.UndefinedTable:
                self.stopped = True
            self.slowest = max(self.slowest, time.monotonic() - began)
            number += 1
        connection.close()

    def stop(self):
        self.stopped = True
        self.join(30)
        return self.committed


def ids(gate, table="ballast"):
    return {row[0] for row in gate.sql(f"SELECT id FROM {table}")}


def undo(gate, name="dora"):
    """The newest keep, put back with the approval that it needs."""
    keep = gate.people[name].get("/keeps")["items"][0]
    wanted = gate.people[name].post(f"/keeps/{keep['id']}/undo", {"reason": "back"})
    answer(gate, wanted, "approve")
    wait_for("the undo", 30, lambda: gate.people[name].get(f"/keeps/{keep['id']}")["state"] == "undone")


@pytest.mark.parametrize("table,text", [
    ("ballast", "DELETE FROM ballast"), ("ballast", "TRUNCATE ballast"), ("doomed", "DROP TABLE doomed"),
    ("ballast", "DELETE FROM ballast; DELETE FROM audit.entries"),
])
def test_what_others_write_meanwhile_comes_back_too(gate, dora, table, text):
    before = ids(gate, table)
    run = Waiting(dora, text)
    item = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")
    assert item["plan"]["unheld"] is None
    writer = Writer(gate, table)
    try:
        wait_for("writes", 5, lambda: len(writer.committed) > 20)
        answer(gate, item, "approve")
        run.join(60)
        time.sleep(0.2)
    finally:
        committed = writer.stop()
    assert run.error is None
    assert any("kept" in notice for notice in dora.notices) and not any("may change" in n for n in dora.notices)
    assert writer.slowest > 0.05, "the writer never waited: nothing was held"
    undo(gate)
    assert ids(gate, table) == before | committed
    gate.sql(f"DELETE FROM {table} WHERE id >= 1000000")


def test_what_is_destroyed_beside_what_is_asked_for_is_kept(gate):
    """harry may destroy without a word, and asks because of the comment."""
    before = ids(gate)
    connection = gate.connect("harry")
    connection.autocommit = True
    run = Waiting(connection, "DELETE FROM ballast; COMMENT ON TABLE small IS 'of harry'")
    answer(gate, asked(gate), "approve")
    run.join(60)
    assert run.error is None and any("kept" in notice for notice in connection.notices), connection.notices
    connection.close()
    assert not ids(gate)
    undo(gate, "harry")
    assert ids(gate) == before


@pytest.mark.parametrize("how", ["transaction", "pipeline"])
def test_in_a_transaction_and_in_a_pipeline(gate, how):
    before = ids(gate)
    raw = Raw(gate.port, tls=None)
    raw.log_in("dora", "orders-db", gate.password("dora"))
    if how == "transaction":
        raw.ask("BEGIN")
        raw.send(query("DELETE FROM ballast"))
    else:
        raw.send(parse("DELETE FROM ballast"), bind(), execute(), SYNC)
    run = Answer(raw)
    item = asked(gate)
    writer = Writer(gate)
    answer(gate, item, "approve")
    run.join(60)
    time.sleep(0.2)
    committed = writer.stop() if how == "pipeline" else None
    assert run.kinds() == ("CZ" if how == "transaction" else "12CZ")
    assert run.found[-1][1] == (b"T" if how == "transaction" else b"I")
    if how == "transaction":
        assert [kind for kind, _ in raw.ask("COMMIT")] == ["C", "Z"]
    raw.close()
    committed = committed or writer.stop()
    assert writer.slowest > 0.05
    undo(gate)
    assert ids(gate) == before | committed
    gate.sql("DELETE FROM ballast WHERE id >= 1000000")


@pytest.mark.parametrize("how", ["apart", "one transaction"])
def test_a_connection_holds_more_than_once(gate, how):
    raw = Raw(gate.port, tls=None)
    raw.log_in("dora", "orders-db", gate.password("dora"))
    if how == "one transaction":
        raw.ask("BEGIN")
    for _ in range(3):
        raw.send(parse("DELETE FROM small"), bind(), execute(), SYNC)
        run = Answer(raw)
        answer(gate, asked(gate), "approve")
        assert run.kinds() == "12CZ", run.found
    raw.close()


def test_messages_behind_it_run_after_it(gate):
    raw = Raw(gate.port, tls=None)
    raw.log_in("dora", "orders-db", gate.password("dora"))
    raw.send(query("DELETE FROM small"), query("SELECT count(*) FROM small"), query("SELECT txid_current_if_assigned()"))
    run = Answer(raw)
    answer(gate, asked(gate), "approve")
    assert run.kinds() == "CZ" and run.found[-1] == ("Z", b"I")
    assert [body for kind, body in raw.until("Z") if kind == "D"] == [b"\0\1\0\0\0\x010"]
    assert [body for kind, body in raw.until("Z") if kind == "D"] == [b"\0\1\xff\xff\xff\xff"]
    # what fails is rolled back, and the session goes on as if nothing had been around it
    raw.send(query("INSERT INTO small VALUES (3); DELETE FROM small; SELECT 1/0"))
    run = Answer(raw)
    answer(gate, asked(gate), "approve")
    assert run.error()["C"] == "22012" and run.found[-1] == ("Z", b"I")
    assert gate.sql("SELECT count(*) FROM small")[0][0] == 0
    assert [kind for kind, _ in raw.ask("SELECT 1")] == ["T", "D", "C", "Z"]
    raw.close()


@pytest.mark.parametrize("how", ["alone", "transaction", "pipeline"])
def test_what_cannot_be_held_does_not_run(gate, how):
    raw = Raw(gate.port, tls=None, timeout=60)
    raw.log_in("dora", "orders-db", gate.password("dora"))
    with gate.direct("op_all") as other:
        if how == "transaction":
            raw.ask("BEGIN")
        if how == "pipeline":
            raw.send(parse("DELETE FROM ballast"), bind(), execute(), parse("SELECT 1"), bind(), execute(), SYNC)
        else:
            raw.send(query("DELETE FROM ballast"))
        run = Answer(raw)
        item = asked(gate)
        other.cursor().execute("INSERT INTO ballast VALUES (0, 'not committed')")
        answer(gate, item, "approve")
        run.join(50)
        other.rollback()
    error = run.error()
    assert error["C"] == "55P03" and "could not be held" in error["M"] and "lock timeout" in error["M"]
    assert run.kinds()[-2:] == "EZ" and run.found[-1][1] == (b"E" if how == "transaction" else b"I")
    assert raw.ask("ROLLBACK")[-1] == ("Z", b"I")
    assert [kind for kind, _ in raw.ask("SELECT 1")] == ["T", "D", "C", "Z"]
    assert len(ids(gate)) == 30000
    raw.close()


def test_cancelled_while_it_waits_to_hold(gate, dora):
    with gate.direct("op_all") as other:
        run = Waiting(dora, "DELETE FROM ballast")
        item = asked(gate)
        other.cursor().execute("INSERT INTO ballast VALUES (0, 'not committed')")
        answer(gate, item, "approve")
        wait_for("the lock to be waited for", 10, lambda: gate.sql(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'")[0][0] == 1)
        dora.cancel()
        run.join(10)
        other.rollback()
    assert run.error.pgcode == "57014"
    with dora.cursor() as c:
        c.execute("SELECT count(*) FROM ballast")
        assert c.fetchone() == (30000,)


@pytest.mark.parametrize("text", ["DROP TABLE odd.sort CASCADE", "DROP SCHEMA odd CASCADE"])
def test_what_loses_values_by_cascade_is_held_too(gate, dora, text):
    """A column elsewhere whose type goes: what is written there meanwhile would be in no keep."""
    gate.sql("SET ROLE op_all", "CREATE SCHEMA odd", "CREATE TABLE odd.sort (id int)", "CREATE DOMAIN sorts AS odd.sort[]",
             "CREATE TABLE marked (id int, s sorts)")
    run = None
    try:
        with gate.direct("op_all") as other:
            run = Waiting(dora, text)
            item = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")
            assert item["plan"]["unheld"] is None
            other.cursor().execute("INSERT INTO marked VALUES (0, NULL)")
            answer(gate, item, "approve")
            answer(gate, item, "approve", "leo")
            wait_for("the lock to be waited for", 10, lambda: gate.sql(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock' AND relation = 'marked'::regclass"
            )[0][0] == 1)
            dora.cancel()
            run.join(10)
            other.rollback()
        assert run.error.pgcode == "57014"
    finally:
        gate.sql("DROP SCHEMA odd CASCADE", "DROP TABLE marked")


def test_what_cannot_hold_says_so(gate, dora):
    run = Waiting(dora, "DELETE FROM small; BEGIN; COMMIT")
    item = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")
    assert "cannot hold tables" in item["plan"]["unheld"]
    answer(gate, item, "approve")
    run.join(60)
    assert run.error is None and any("may change what is kept" in notice for notice in dora.notices)


@contextlib.contextmanager
def full(gate):
    """The store takes no change of what is kept."""
    gate.office.store("CREATE TRIGGER full BEFORE UPDATE OF state ON kept BEGIN INSERT INTO nowhere VALUES (1); END")
    try:
        yield
    finally:
        gate.office.store("DROP TRIGGER full")


def kept_small(gate, dora):
    """The keep of a row of `small` that went."""
    gate.sql("DELETE FROM small", "INSERT INTO small VALUES (7)")
    run = Waiting(dora, "DELETE FROM small")
    answer(gate, asked(gate), "approve")
    run.join(PATIENT_S)
    assert run.error is None and gate.sql("SELECT id FROM small") == []
    return gate.people["dora"].get("/keeps")["items"][0]


def said(gate, method):
    return [e["detail"]["keep"] for e in gate.audrey.items("/admin/ledger/events?limit=200&kind=approval") if e["method"] == method]


def test_an_undo_that_the_store_does_not_take_has_not_begun(gate, dora):
    """The ledger has that it is used; nothing is put back before the store has that it began, and then it is, once."""
    keep = kept_small(gate, dora)
    wanted = gate.people["dora"].post(f"/keeps/{keep['id']}/undo", {"reason": "back"})
    failed = gate.office.log().count("(undo not begun)")
    with full(gate):
        answer(gate, wanted, "approve")
        wait_for("the try", PATIENT_S, lambda: gate.office.log().count("(undo not begun)") > failed)
        assert gate.people["dora"].get(f"/keeps/{keep['id']}")["state"] == "kept"
        assert gate.people["dora"].get(f"/approvals/{wanted['id']}")["state"] == "approved"
        assert gate.sql("SELECT id FROM small") == []
    gate.office.wait_role("core", gate.office.kill("core"))  # it tries again when it starts, and each minute
    wait_for("the undo", PATIENT_S,
             lambda: gate.people["dora"].get(f"/keeps/{keep['id']}")["state"] == "undone", step=0.5)
    assert gate.people["dora"].get(f"/approvals/{wanted['id']}")["state"] == "used"
    assert gate.sql("SELECT id FROM small") == [(7,)]


def test_a_keep_that_the_store_cannot_forget_is_there_until_it_can(gate, dora):
    """Its file goes after the store has said so; the ledger hears of it once."""
    keep = kept_small(gate, dora)
    (number,), = gate.office.store("SELECT id FROM kept ORDER BY created DESC, rowid DESC LIMIT 1")
    path = os.path.join(gate.office.state, "keeper", "keeps", f"{number % (1 << 64):016x}.keep")
    assert os.path.exists(path)
    with full(gate):
        gate.office.store("UPDATE kept SET expires = 1 WHERE id = ?", number)
        time.sleep(3)  # core looks each second
        assert os.path.exists(path) and keep["id"] not in said(gate, "keep expired")
    wait_for("its end", PATIENT_S, lambda: keep["id"] in said(gate, "keep expired") and not os.path.exists(path))
    time.sleep(2)
    assert said(gate, "keep expired").count(keep["id"]) == 1


def test_a_statement_whose_keep_fails_lets_go(gate, dora):
    gate.sql("REVOKE pg_read_all_data FROM op_keep", "REVOKE op_all FROM op_keep")
    try:
        run = Waiting(dora, "DELETE FROM ballast")
        answer(gate, asked(gate), "approve")
        run.join(60)
        assert run.error.pgcode == "58000"
        why = run.error.diag.message_detail
        assert "permission denied" in why, why
    finally:
        gate.sql("GRANT pg_read_all_data TO op_keep", "GRANT op_all TO op_keep")
    wait_for("the locks gone", 5, lambda: gate.sql(
        "SELECT count(*) FROM pg_locks WHERE mode = 'ShareRowExclusiveLock'")[0][0] == 0)
    assert len(ids(gate)) == 30000
    told = [e for e in gate.office.people["audrey"].items("/admin/ledger/events?limit=50&kind=approval") if e["method"] == "not kept"]
    assert "permission denied" in told[0]["detail"]["report"]["why"], told


# ---- whose work it is ----

def refused_undo(gate, keep):
    with pytest.raises(Refused) as no:
        gate.people["dora"].post(f"/keeps/{keep['id']}/undo", {"reason": "back"})
    assert no.value.status == 409
    return no.value.problem["detail"]


def test_what_was_rolled_back_is_not_undone(gate, dora):
    """What is missing since is the work of others, who did it rightly."""
    gate.sql("DELETE FROM small", "INSERT INTO small VALUES (7)")
    dora.autocommit = False
    run = Waiting(dora, "DELETE FROM small")
    answer(gate, asked(gate), "approve")
    run.join(PATIENT_S)
    keep = gate.people["dora"].get("/keeps")["items"][0]
    assert "has not ended yet" in refused_undo(gate, keep)
    dora.rollback()
    assert gate.sql("SELECT id FROM small") == [(7,)]
    gate.sql("DELETE FROM small")
    assert "rolled back" in refused_undo(gate, keep)


def test_behind_a_savepoint_only_the_statements_own_rows_are_taken_back(gate, dora):
    """Others change more of them later: these are conflicts, and not taken for its work."""
    dora.autocommit = False
    dora.cursor().execute("SAVEPOINT one")
    run = Waiting(dora, "UPDATE ballast SET what = 'gone'")
    answer(gate, asked(gate), "approve")
    run.join(PATIENT_S)
    assert run.error is None
    dora.cursor().execute("RELEASE SAVEPOINT one")
    dora.commit()
    gate.sql("UPDATE ballast SET what = 'of others' WHERE id <= 20000")
    keep = gate.people["dora"].get("/keeps")["items"][0]
    wanted = gate.people["dora"].post(f"/keeps/{keep['id']}/undo", {"reason": "back"})
    answer(gate, wanted, "approve")
    wait_for("the undo", 30, lambda: gate.people["dora"].get(f"/keeps/{keep['id']}")["state"] not in ("kept", "undoing"))
    try:
        assert gate.sql("SELECT count(*) FROM ballast WHERE what = 'of others'") == [(20000,)]
        assert gate.sql("SELECT count(*) FROM ballast WHERE what = repeat('x', 400)") == [(10000,)]
    finally:
        gate.sql("UPDATE ballast SET what = repeat('x', 400)")


def test_what_never_ran_is_not_undone(gate):
    """Who asked goes while it is kept: the approval is not used, and others' deletes are not given back as hers."""
    gate.sql("DELETE FROM small", "INSERT INTO small VALUES (7)")
    count = len(gate.people["dora"].get("/keeps")["items"])
    raw = Raw(gate.port, tls=None, timeout=60)
    raw.log_in("dora", "orders-db", gate.password("dora"))
    with gate.direct("op_all") as other:
        other.cursor().execute("LOCK TABLE small IN ACCESS EXCLUSIVE MODE")
        raw.send(query("DELETE FROM small; BEGIN; COMMIT"))
        item = asked(gate)
        answer(gate, item, "approve")
        wait_for("the keeper, twice: what keeping costs, and the keep", 20, lambda: gate.sql(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock' AND relation = 'small'::regclass")[0][0] == 2)
        raw.close()
        time.sleep(1)  # the gate sees it while the keeper waits
        other.rollback()
    keep = wait_for("the keep", 20, lambda: gate.people["dora"].get("/keeps")["items"][:-count or None])[0]
    assert gate.people["dora"].get(f"/approvals/{item['id']}")["state"] == "withdrawn"
    gate.sql("DELETE FROM small")
    assert "has not run" in refused_undo(gate, keep)

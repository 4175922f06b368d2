# SPDX-License-Identifier: Apache-2.0
"""What others agreed to is what runs, whatever somebody's open transaction does to a name meanwhile: it is locked, looked
at, and then run.

OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/locks.c, docs/DATABASE.md "What approvers see".
"""

import contextlib
import os
import time

import psycopg2
import pytest

from dbgatelib import SCHEMA, DatabaseOffice, orders_documents
from officelib import PATIENT_S, wait_for
from pgraw import SYNC, bind, error_of, execute, message, parse, query
from test_db_ask import Waiting, answer, asked, nothing_waits
from test_db_ask_values import Answer

DOCUMENTS = orders_documents(
    ["dba", "lead", "looker"],
    """\
kind: Rule
name: usual work
who: { roles: [dba, lead] }
to: { resources: [orders-db] }
may: [connect, read, write]
---
kind: Rule
name: a lead agrees before anything else
who: { roles: [dba] }
to: { resources: [orders-db] }
may: [destroy, import, alter, administer]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
---
kind: Rule
name: a look
who: { roles: [looker] }
to: { resources: [orders-db] }
may: [connect]
---
kind: Rule
name: a lead agrees before it is read
who: { roles: [looker] }
to: { resources: [orders-db] }
may: [read]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
""", postgres="  broad: destroy\n  functions: [{ name: public.twice, action: read }]\n")
MORE = SCHEMA + """
CREATE SCHEMA aside;
CREATE TABLE doomed AS SELECT g AS id, 'old' AS what FROM generate_series(1, 10) g;
CREATE TABLE decoy AS SELECT g AS id, 'dear' AS what FROM generate_series(1, 7) g;
CREATE VIEW seen AS SELECT id, what FROM doomed WHERE id > 5;
CREATE MATERIALIZED VIEW copied AS SELECT id FROM doomed;
CREATE MATERIALIZED VIEW other AS SELECT 1000 AS id;
CREATE TABLE logs_2 (LIKE logs);
INSERT INTO logs_2 VALUES (150, 'dear');
ALTER TABLE doomed ADD PRIMARY KEY (id);
ALTER TABLE decoy ADD PRIMARY KEY (id);
"""
CATALOGUE = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "postgres", "sallyport-catalogue.sql")
PEOPLE = (("dora", "dba"), ("dan", "dba"), ("lena", "lead"), ("rita", "looker"))
OLD = [(n, "old") for n in range(1, 11)]
DEAR = [(n, "dear") for n in range(1, 8)]


@pytest.fixture(scope="module", params=["kept", "plain"])
def gate(request):
    documents = DOCUMENTS
    if request.param == "kept":
        documents = documents.replace("as: op_all }]", "as: op_all }]\n  keep_as: op_keep")
    with contextlib.closing(DatabaseOffice(documents, accounts=("op_all", "op_keep"), schema=MORE)) as one:
        one.sql("GRANT pg_read_all_data TO op_keep", "GRANT op_all TO op_keep", "ANALYZE")
        with open(CATALOGUE, encoding="utf-8") as file:
            one.sql(file.read())  # the gate hears at once of what is defined past it
        for name, role in PEOPLE:
            one.person(name, role)
        one.keeps = request.param == "kept"
        one.asking = []
        yield one


@pytest.fixture
def other(gate):
    """Somebody past the gate, in a transaction of his own."""
    one = gate.direct("op_all")
    yield one
    one.rollback()
    one.close()
    while gate.asking:
        gate.asking.pop().close()  # of a test that failed
    nothing_waits(gate)
    gate.sql("SET ROLE op_all", "DROP TABLE IF EXISTS doomed, decoy, doomed_old, aside.doomed, aside.decoy CASCADE",
             "CREATE TABLE doomed AS SELECT g AS id, 'old' AS what FROM generate_series(1, 10) g",
             "CREATE TABLE decoy AS SELECT g AS id, 'dear' AS what FROM generate_series(1, 7) g",
             "ALTER TABLE doomed ADD PRIMARY KEY (id)", "ALTER TABLE decoy ADD PRIMARY KEY (id)",
             "CREATE VIEW seen AS SELECT id, what FROM doomed WHERE id > 5",
             "CREATE MATERIALIZED VIEW copied AS SELECT id FROM doomed")
    time.sleep(1)  # until the gate has seen that


def locked(gate):
    """Somebody waits for a lock."""
    wait_for("the lock that is waited for", 10,
             lambda: gate.sql("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'")[0][0] > 0)


def ask_by(gate, how, text, name="dora"):
    """The statement as a client sends it; what comes back, and its connection."""
    raw = gate.raw(name, timeout=60)
    gate.asking.append(raw)
    if "transaction" in how:
        raw.ask("BEGIN")
    raw.send(*([query(text)] if "simple" in how else [parse(text), bind(), execute(), SYNC]))
    return Answer(raw), raw


SWAPS = {
    "renamed": ["ALTER TABLE doomed RENAME TO doomed_old", "ALTER TABLE decoy RENAME TO doomed"],
    "moved": ["ALTER TABLE doomed SET SCHEMA aside", "ALTER TABLE decoy RENAME TO doomed"],
    "made again": ["DROP TABLE doomed CASCADE", "CREATE TABLE doomed AS SELECT * FROM decoy"],
}
HOWS = ["simple", "extended", "simple, in a transaction", "extended, in a transaction"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("swap", list(SWAPS))
def test_a_name_that_somebody_gives_away_meanwhile(gate, other, swap, how):
    """They agreed to a table; the one that has its name when the lock is let go is another."""
    run, raw = ask_by(gate, how, "TRUNCATE doomed")
    item = asked(gate)
    for text in SWAPS[swap]:
        other.cursor().execute(text)
    answer(gate, item, "approve")
    locked(gate)
    other.commit()
    run.join(PATIENT_S)
    error = error_of(run.found)
    assert error["C"] == "42501" and "changed meanwhile" in error["M"], error
    assert gate.sql("SELECT * FROM doomed ORDER BY id") == DEAR
    assert run.found[-1] == ("Z", b"E" if "transaction" in how else b"I")
    assert raw.ask("ROLLBACK")[-1] == ("Z", b"I")
    assert [kind for kind, _ in raw.ask("SELECT 1")] == ["T", "D", "C", "Z"]
    raw.close()


@pytest.mark.parametrize("how", HOWS)
def test_what_somebody_takes_back_runs(gate, other, how):
    run, raw = ask_by(gate, how, "TRUNCATE doomed")
    item = asked(gate)
    for text in SWAPS["renamed"]:
        other.cursor().execute(text)
    answer(gate, item, "approve")
    locked(gate)
    other.rollback()
    run.join(PATIENT_S)
    assert run.kinds()[-2:] == "CZ", run.found
    if "transaction" in how:
        assert raw.ask("COMMIT")[-1] == ("Z", b"I")
    assert gate.sql("SELECT * FROM doomed") == [] and gate.sql("SELECT * FROM decoy ORDER BY id") == DEAR
    assert held(gate) == 0
    raw.close()


def held(gate):
    """Locks of clients on tables."""
    return gate.sql("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'op_all' AND"
                    " a.application_name !~ 'sallyport' AND l.locktype = 'relation' AND l.relation >= 16384")[0][0]


@pytest.mark.parametrize("text", ["DELETE FROM doomed", "UPDATE doomed SET what = 'gone'", "DROP TABLE doomed",
                                  "ALTER TABLE doomed DROP COLUMN what", "DELETE FROM doomed; SELECT 1",
                                  "CREATE INDEX ON doomed (what)", "COMMENT ON TABLE doomed IS 'gone'"])
def test_whatever_is_done_to_it(gate, other, text):
    run, raw = ask_by(gate, "simple", text)
    item = asked(gate)
    for one in SWAPS["renamed"]:
        other.cursor().execute(one)
    answer(gate, item, "approve")
    locked(gate)
    other.commit()
    run.join(PATIENT_S)
    assert error_of(run.found)["C"] == "42501" and "changed meanwhile" in error_of(run.found)["M"], run.found
    assert gate.sql("SELECT * FROM doomed ORDER BY id") == DEAR
    assert gate.sql("SELECT count(*) FROM pg_index WHERE indrelid = 'doomed'::regclass") == [(1,)]
    raw.close()


@pytest.mark.parametrize("view", ["SELECT id, what FROM decoy", "SELECT id, what FROM doomed WHERE id > 0"])
def test_a_view_that_says_something_else(gate, other, view):
    """Of another table, or more of the same."""
    run, raw = ask_by(gate, "simple", "DELETE FROM seen")
    item = asked(gate)
    other.cursor().execute(f"CREATE OR REPLACE VIEW seen AS {view}")
    answer(gate, item, "approve")
    locked(gate)
    other.commit()
    run.join(PATIENT_S)
    assert error_of(run.found)["C"] == "42501" and "changed meanwhile" in error_of(run.found)["M"], run.found
    assert gate.sql("SELECT * FROM doomed ORDER BY id") == OLD and gate.sql("SELECT * FROM decoy ORDER BY id") == DEAR
    raw.close()


def test_columns_that_change_their_names(gate, other):
    gate.sql("ALTER TABLE decoy ADD COLUMN spare text", "UPDATE decoy SET spare = 'old'")
    time.sleep(1)
    run, raw = ask_by(gate, "simple", "DELETE FROM decoy WHERE spare > 'old'")
    item = asked(gate)
    for one in ("what TO was", "spare TO what", "was TO spare"):
        other.cursor().execute(f"ALTER TABLE decoy RENAME COLUMN {one}")
    answer(gate, item, "approve")
    locked(gate)
    other.commit()
    run.join(PATIENT_S)
    assert error_of(run.found)["C"] == "42501" and "changed meanwhile" in error_of(run.found)["M"], run.found
    assert gate.sql("SELECT count(*) FROM decoy") == [(7,)]
    raw.close()


def test_a_partition_that_comes_meanwhile(gate, other):
    run, raw = ask_by(gate, "simple", "TRUNCATE logs")
    item = asked(gate)
    other.cursor().execute("ALTER TABLE logs ATTACH PARTITION logs_2 FOR VALUES FROM (100) TO (200)")
    try:
        answer(gate, item, "approve")
        locked(gate)
        other.commit()
        run.join(PATIENT_S)
        assert error_of(run.found)["C"] == "42501" and "changed meanwhile" in error_of(run.found)["M"], run.found
        assert gate.sql("SELECT line FROM logs_2") == [("dear",)]
    finally:
        raw.close()
        gate.sql("ALTER TABLE logs DETACH PARTITION logs_2")


@pytest.mark.parametrize("text", ["SELECT count(*) FROM doomed", "SELECT count(*) FROM copied", "SELECT count(*) FROM seen"])
def test_what_is_read_in_a_read_only_transaction(gate, other, text):
    raw = gate.raw("rita", timeout=60)
    gate.asking.append(raw)
    raw.ask("BEGIN READ ONLY")
    raw.send(query(text))
    run = Answer(raw)
    item = asked(gate)
    name, view = text.split()[-1], "doomed" not in text
    kind = {"copied": "MATERIALIZED VIEW", "seen": "VIEW"}.get(name, "TABLE")
    other.cursor().execute(f"ALTER {kind} {name} RENAME TO given")
    other.cursor().execute(f"CREATE {'VIEW' if view else 'TABLE'} {name} AS SELECT 1 AS id")
    try:
        answer(gate, item, "approve")
        locked(gate)
        other.commit()
        run.join(PATIENT_S)
        assert error_of(run.found)["C"] == "42501" and "changed meanwhile" in error_of(run.found)["M"], run.found
    finally:
        raw.close()
        gate.sql(f"DROP {'VIEW' if view else 'TABLE'} IF EXISTS {name}", f"DROP {kind} IF EXISTS given CASCADE")


def test_what_is_read_is_let_go_with_its_transaction(gate):
    raw = gate.raw("rita")
    raw.ask("BEGIN READ ONLY")
    raw.send(query("SELECT count(*) FROM doomed"))
    run = Answer(raw)
    answer(gate, asked(gate), "approve")
    run.join(PATIENT_S)
    assert run.kinds() == "TDCZ" and run.found[-1] == ("Z", b"T"), run.found
    assert held(gate) > 0 and raw.ask("COMMIT")[-1] == ("Z", b"I") and held(gate) == 0
    raw.close()


def test_what_is_gone_by_then(gate, other):
    run, raw = ask_by(gate, "simple", "DELETE FROM doomed")
    item = asked(gate)
    other.cursor().execute("DROP TABLE doomed CASCADE")
    answer(gate, item, "approve")
    locked(gate)
    other.commit()
    run.join(PATIENT_S)
    assert error_of(run.found)["C"] == "42501" and "changed meanwhile" in error_of(run.found)["M"], run.found
    raw.close()


def test_nothing_is_held_while_people_think(gate, other):
    run, raw = ask_by(gate, "simple, in a transaction", "DELETE FROM doomed")
    item = asked(gate)
    assert held(gate) == 0
    other.cursor().execute("LOCK TABLE doomed IN ACCESS EXCLUSIVE MODE NOWAIT")
    other.rollback()
    answer(gate, item, "approve")
    run.join(PATIENT_S)
    assert run.kinds() == "CZ" and held(gate) > 0
    raw.ask("ROLLBACK")
    assert held(gate) == 0
    raw.close()


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("patience", ["", "700ms"])
def test_who_does_not_get_the_locks_is_told(gate, other, how, patience):
    """After ten seconds, or when his own patience is over; nothing has run, and his settings are as they were."""
    raw = gate.raw("dora", timeout=60)
    gate.asking.append(raw)
    if patience:
        raw.ask(f"SET lock_timeout = '{patience}'")
    if "transaction" in how:
        raw.ask("BEGIN")
    raw.send(*([query("TRUNCATE doomed")] if "simple" in how else [parse("TRUNCATE doomed"), bind(), execute(), SYNC]))
    run = Answer(raw)
    item = asked(gate)
    other.cursor().execute("ALTER TABLE doomed RENAME TO doomed_old")
    began = time.monotonic()
    answer(gate, item, "approve")
    run.join(PATIENT_S)
    took = time.monotonic() - began
    error = error_of(run.found)
    assert error["C"] == "55P03" and "could not be held" in error["M"] and "lock timeout" in error["M"], error
    assert took < 6 if patience else 9 < took < 20, took
    raw.ask("ROLLBACK")
    assert raw.ask("SHOW lock_timeout")[1][1].endswith((patience or "0").encode())
    other.rollback()
    assert gate.sql("SELECT count(*) FROM doomed") == [(10,)]
    raw.close()


def test_several_tables_are_waited_for_together(gate, other):
    """Not ten seconds for each of them."""
    run, raw = ask_by(gate, "simple", "DELETE FROM doomed; DELETE FROM decoy")
    item = asked(gate)
    other.cursor().execute("LOCK TABLE doomed IN ACCESS EXCLUSIVE MODE")
    with gate.direct("op_all") as third:
        third.cursor().execute("LOCK TABLE decoy IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        answer(gate, item, "approve")
        locked(gate)
        time.sleep(6)
        other.rollback()
        run.join(PATIENT_S)
        assert error_of(run.found)["C"] == "55P03" and time.monotonic() - began < 14
        third.rollback()
    raw.close()


def test_cancelled_while_it_waits(gate, other):
    with contextlib.closing(gate.connect("dora")) as dora:
        dora.autocommit = True
        run = Waiting(dora, "TRUNCATE doomed")
        item = asked(gate)
        other.cursor().execute("ALTER TABLE doomed RENAME TO doomed_old")
        answer(gate, item, "approve")
        locked(gate)
        dora.cancel()
        run.join(10)
        assert run.error.pgcode == "57014"
        with dora.cursor() as c:
            c.execute("SELECT 1")
            assert c.fetchone() == (1,)


def test_two_that_want_each_others_tables(gate, other):
    """Both are agreed to while somebody reads the tables; when he ends, both run, one after the other."""
    runs = []
    for name, text in (("dora", "TRUNCATE doomed; TRUNCATE decoy"), ("dan", "TRUNCATE decoy; TRUNCATE doomed")):
        runs.append(ask_by(gate, "simple", text, name))
        item = asked(gate)
        other.cursor().execute("LOCK TABLE doomed, decoy IN ROW EXCLUSIVE MODE")
        answer(gate, item, "approve")
        wait_for("its lock", 10, lambda: gate.sql(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'")[0][0] >= len(runs))
    other.commit()
    for run, raw in runs:
        run.join(PATIENT_S)
        assert run.kinds() in ("CCZ", "CZ") and "E" not in run.kinds(), run.found
        raw.close()
    assert gate.sql("SELECT count(*) FROM doomed") == [(0,)]


@pytest.mark.parametrize("within", [False, True])
def test_a_copy_into_it(gate, other, within):
    """Its data come when the server asks for them, in a transaction of the gate's or of the client's."""
    raw = gate.raw("dora", timeout=60)
    gate.asking.append(raw)
    if within:
        raw.ask("BEGIN")
    raw.send(query("COPY doomed FROM STDIN"))
    answer(gate, asked(gate), "approve")
    raw.until("G")
    raw.send(message("d", b"901\tnew\n"), message("c"))
    assert raw.until("Z")[-1] == ("Z", b"T" if within else b"I")
    if within:
        raw.ask("COMMIT")
    assert gate.sql("SELECT what FROM doomed WHERE id = 901") == [("new",)]
    raw.send(query("COPY doomed FROM STDIN"))  # fails at its end: that key is there
    answer(gate, asked(gate), "approve")
    raw.until("G")
    raw.send(message("d", b"902\tnew\n901\tnew\n"), message("c"))
    assert error_of(raw.until("Z"))["C"] == "23505"
    assert gate.sql("SELECT count(*) FROM doomed WHERE id = 902") == [(0,)] and held(gate) == 0
    raw.send(query("COPY doomed FROM STDIN"))
    item = asked(gate)
    for text in SWAPS["renamed"]:
        other.cursor().execute(text)
    answer(gate, item, "approve")
    locked(gate)
    other.commit()
    assert error_of(raw.until("Z"))["C"] == "42501"
    assert gate.sql("SELECT count(*) FROM doomed") == [(7,)]
    raw.close()


def test_a_cursor_that_is_held(gate, other):
    raw = gate.raw("rita")
    raw.send(query("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM doomed ORDER BY id"))
    run = Answer(raw)
    answer(gate, asked(gate), "approve")
    run.join(PATIENT_S)
    assert run.kinds() == "CZ", run.found
    assert held(gate) == 0
    raw.close()


def test_the_client_sees_his_statement_only(gate):
    """No answers, notices or settings of what is around it, and messages behind it run after it."""
    raw = gate.raw("dora")
    raw.send(query("DELETE FROM decoy WHERE id > 1000"), query("SELECT 7"), query("SHOW lock_timeout"))
    run = Answer(raw)
    answer(gate, asked(gate), "approve")
    run.join(PATIENT_S)
    kept = [body for kind, body in run.found if kind == "N" and b"kept" in body]
    assert run.kinds() == "CZ" and ("C", b"DELETE 0\0") in run.found, run.found
    assert len([1 for kind, _ in run.found if kind == "N"]) == 2 + len(kept), run.found
    assert [body for kind, body in raw.until("Z") if kind == "D"] == [b"\0\1\0\0\0\x017"]
    assert [body for kind, body in raw.until("Z") if kind == "D"] == [b"\0\1\0\0\0\x010"]
    raw.ask("BEGIN")
    raw.ask("SET LOCAL lock_timeout = '3s'")
    raw.send(query("DELETE FROM decoy WHERE id > 1000"))
    run = Answer(raw)
    answer(gate, asked(gate), "approve")
    run.join(PATIENT_S)
    assert raw.ask("SHOW lock_timeout")[1][1].endswith(b"3s")
    raw.ask("COMMIT")
    assert raw.ask("SHOW lock_timeout")[1][1].endswith(b"0")
    raw.close()


@pytest.mark.parametrize("text,why", [("VACUUM doomed", "cannot hold tables"), ("CREATE INDEX CONCURRENTLY ON doomed (what)", "CONCURRENTLY"),
                                      ("DELETE FROM doomed WHERE twice(id) > 3000", "named and held"),
                                      ("DELETE FROM doomed WHERE id > 3000; BEGIN; COMMIT", "cannot hold tables"),
                                      ("DELETE FROM doomed WHERE id > 3000", None), ("GRANT SELECT ON doomed TO PUBLIC", None),
                                      ("CREATE TABLE fresh (id int)", None)])
def test_what_cannot_be_held_is_told(gate, other, text, why):
    """To approvers and to the asker; it runs when they have agreed."""
    gate.sql("DROP TABLE IF EXISTS fresh")
    if gate.keeps and "twice" in text:
        why = None  # what is kept is told of alone
    run, raw = ask_by(gate, "simple", text)
    item = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")
    unheld = item["plan"]["unheld"]
    assert unheld is None if why is None else why in unheld, unheld
    answer(gate, item, "approve")
    run.join(PATIENT_S)
    assert "E" not in run.kinds(), run.found
    told = [body for kind, body in run.found if kind == "N" and b"others may change what" in body]
    assert len(told) == (0 if why is None else 1), run.found
    raw.close()


def test_a_part_of_it_has_no_name(gate, other):
    """What has one is held."""
    run, raw = ask_by(gate, "simple", "DELETE FROM doomed WHERE twice(id) > 0")
    item = asked(gate)
    for text in SWAPS["renamed"]:
        other.cursor().execute(text)
    answer(gate, item, "approve")
    locked(gate)
    other.commit()
    run.join(PATIENT_S)
    assert error_of(run.found)["C"] == "42501" and "changed meanwhile" in error_of(run.found)["M"], run.found
    assert gate.sql("SELECT * FROM doomed ORDER BY id") == DEAR
    raw.close()


def test_rights_of_columns_only(gate, other):
    """Who may not lock a table reads no row of it, which locks it as well."""
    gate.sql("ALTER TABLE doomed OWNER TO CURRENT_USER", "GRANT SELECT (id), UPDATE (what) ON doomed TO op_all")
    try:
        time.sleep(1)
        run, raw = ask_by(gate, "simple", "UPDATE doomed SET what = 'gone' WHERE true")
        item = asked(gate)
        mine = psycopg2.connect(**gate.pg.dsn("orders"))
        mine.cursor().execute("ALTER TABLE doomed RENAME TO doomed_old")
        mine.cursor().execute("CREATE TABLE doomed AS SELECT * FROM decoy")
        mine.cursor().execute("GRANT SELECT, UPDATE ON doomed TO op_all")
        answer(gate, item, "approve")
        locked(gate)
        mine.commit()
        mine.close()
        run.join(PATIENT_S)
        assert error_of(run.found)["C"] == "42501" and "changed meanwhile" in error_of(run.found)["M"], run.found
        assert gate.sql("SELECT * FROM doomed ORDER BY id") == DEAR
        raw.close()
    finally:
        gate.sql("DROP TABLE IF EXISTS doomed, doomed_old CASCADE")

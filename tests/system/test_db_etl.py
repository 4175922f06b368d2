# SPDX-License-Identifier: Apache-2.0
"""Loads by way of temporary tables, as people and their tools write them, go on: where the gate is not certain that a bare name is
still the session's own it asks the server, in front of the statement; and what it then lets through meets nobody else's table,
whatever is made meanwhile.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "Temporary tables"; gates/db/temps.c.
"""
import contextlib
import threading
import time

import psycopg2
import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from officelib import wait_for
from pgraw import FLUSH, SYNC, Raw, bind, describe, execute, fields, parse, query

DOCUMENTS = orders_documents(["loads", "only", "builder", "ships", "looks", "veiled"], """\
kind: Rule
name: loads
who: { roles: [loads] }
to: { resources: [orders-db] }
may: [connect, read, write, import]
---
kind: Rule
name: connects only
who: { roles: [only] }
to: { resources: [orders-db] }
may: [connect]
---
kind: Rule
name: builds
who: { roles: [builder] }
to: { resources: [orders-db] }
may: [connect, read, alter, write]
---
kind: Rule
name: ships what is internal
who: { roles: [ships] }
to: { resources: [orders-db], classes: [internal] }
may: [export]
---
kind: Rule
name: looks
who: { roles: [looks, ships] }
to: { resources: [orders-db] }
may: [connect, read]
---
kind: Rule
name: masked
who: { roles: [veiled] }
to: { resources: [orders-db] }
may: [connect, read, export]
with: { mask: [personal-info] }
---
kind: Rule
name: code that is listed
who: { roles: [loads, only, ships, looks, veiled] }
to: { resources: [orders-db] }
may: [execute]
""", postgres="""\
  functions: [{ name: public.does_nothing, action: execute }, { name: public.sweeps, action: execute }]
  parts:
    - { schema: audit, class: core }
    - table: public.customers
      class: internal
      columns: [{ name: phone, mask: mobile, tags: [personal-info] }]
""")
MORE = """
CREATE TABLE touched (id int, note text, at timestamptz);
CREATE FUNCTION touches() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := now(); RETURN NEW; END $$;
CREATE TRIGGER touches BEFORE INSERT OR UPDATE ON touched FOR EACH ROW EXECUTE FUNCTION touches();
CREATE FUNCTION does_nothing() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
CREATE FUNCTION sweeps() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DROP TABLE IF EXISTS pg_temp.stage; RETURN 1; END $$;
CREATE TYPE kind AS (id int, note text);
GRANT ALL ON TYPE kind TO PUBLIC;
"""

gate = office_of(DOCUMENTS, (("eva", "loads"), ("atta", "only"), ("liam", "builder"), ("shin", "ships"), ("luis", "looks"), ("mona", "veiled")), schema=SCHEMA + MORE)

MAKES = "CREATE TEMP TABLE stage (id int, note text)"
AGAIN = "CREATE TEMP TABLE IF NOT EXISTS stage (id int, note text)"
FILLS = "INSERT INTO stage SELECT id, note FROM orders"
LOADS = "INSERT INTO touched SELECT id, note FROM stage"
READS = "SELECT count(*) FROM stage"


def log_in(gate, who):
    one = Raw(gate.port, tls=None)
    assert one.log_in(who, "orders-db", gate.password(who))[-1] == ("Z", b"I")
    return one


@pytest.fixture
def eva(gate):
    with contextlib.closing(log_in(gate, "eva")) as one:
        yield one
    gate.sql("DROP TABLE IF EXISTS public.stage")


@pytest.fixture
def atta(gate):
    with contextlib.closing(log_in(gate, "atta")) as one:
        yield one
    gate.sql("DROP TABLE IF EXISTS public.stage")


def says(found):
    return [fields(body)["C"] for kind, body in found if kind == "E"]


def rows(found):
    return [body[6:].decode() for kind, body in found if kind == "D"]


def made_by_another(gate):
    gate.sql("CREATE TABLE public.stage AS SELECT * FROM orders", "GRANT ALL ON public.stage TO op_all")


def has_another(gate):
    return gate.sql("SELECT count(*) FROM public.stage") == [(200,)]


WORK = {
    "behind a trigger": [MAKES, FILLS, LOADS, READS, "TRUNCATE stage", "DROP TABLE stage"],
    "behind a trigger, in a transaction": ["BEGIN", MAKES, FILLS, LOADS, READS, "TRUNCATE stage", "COMMIT", READS, "DROP TABLE stage"],
    "behind a trigger, ON COMMIT DROP": ["BEGIN", f"{MAKES} ON COMMIT DROP", FILLS, LOADS, READS, "COMMIT", MAKES, FILLS],
    "behind code": [MAKES, "SELECT does_nothing()", FILLS, READS, "UPDATE stage SET note = ''", "DELETE FROM stage WHERE id = 1",
                    "SELECT does_nothing()", "CREATE INDEX ON stage (id)", "SELECT does_nothing()", "ANALYZE stage", "SELECT does_nothing()",
                    "ALTER TABLE stage ADD COLUMN more int", "SELECT does_nothing()", "ALTER TABLE stage RENAME TO staged", "SELECT id FROM staged",
                    "SELECT does_nothing()", "DROP TABLE staged"],
    "two of them": [MAKES, "CREATE TEMP TABLE b AS SELECT 1 AS id", LOADS, "INSERT INTO stage SELECT id FROM b", "DROP TABLE b, stage"],
    "dropped if there": ["DROP TABLE IF EXISTS stage", MAKES, FILLS, LOADS, "DROP TABLE IF EXISTS stage", MAKES, FILLS, LOADS],
    "dropped if there, with what stands on it": ["DROP TABLE IF EXISTS stage CASCADE", MAKES, FILLS, LOADS, "DROP TABLE IF EXISTS stage CASCADE"],
    "dropped if there, in one": [f"DROP TABLE IF EXISTS stage; {MAKES}; {FILLS}; {LOADS}", f"DROP TABLE IF EXISTS stage; {MAKES}; {FILLS}; {LOADS}"],
    "dropped if there, in a transaction of one": [f"BEGIN; DROP TABLE IF EXISTS stage; DROP TABLE IF EXISTS b; {MAKES}; {FILLS}; COMMIT", LOADS, READS],
    "dropped if there, of its schema": ["DROP TABLE IF EXISTS pg_temp.stage", "DROP SEQUENCE IF EXISTS pg_temp.q", f"DROP TABLE IF EXISTS pg_temp.stage; {MAKES}",
                                        FILLS, "DROP TABLE pg_temp.stage"],
    "oddly called": ['DROP TABLE IF EXISTS "a ""b"', 'CREATE TEMP TABLE "a ""b" (x int)', "SELECT does_nothing()", 'SELECT * FROM "a ""b"',
                     'DROP TABLE IF EXISTS "a ""b"'],
    "if it was not there": [AGAIN, FILLS, READS, AGAIN, LOADS, READS, "DROP TABLE stage"],
    "if it was not there, in a transaction": ["BEGIN", AGAIN, FILLS, LOADS, READS, "COMMIT", READS, "BEGIN", AGAIN, FILLS, "ROLLBACK", READS],
    "made by a query if it was not there": ["CREATE TEMP TABLE IF NOT EXISTS stage AS SELECT id, note FROM orders", LOADS, READS],
    "sequences": ["CREATE TEMP SEQUENCE q", "SELECT does_nothing()", "SELECT nextval('q')", "SELECT last_value FROM q", "SELECT does_nothing()", "DROP SEQUENCE q"],
    "partitioned": ["CREATE TEMP TABLE stage (id int, note text) PARTITION BY LIST (id)", "CREATE TEMP TABLE stage_d PARTITION OF pg_temp.stage DEFAULT", FILLS, READS],
    "behind what failed": [MAKES, "DROP TABLE stage, nothing", FILLS, "DROP TABLE stage; SELECT 1/0", FILLS, "BEGIN", "SELECT does_nothing(), 1/0", "ROLLBACK", READS],
    "behind savepoints": ["BEGIN", "SAVEPOINT s", MAKES, FILLS, LOADS, "SAVEPOINT t", "DROP TABLE stage", "ROLLBACK TO t", READS, "RELEASE s", READS, "COMMIT", READS],
    "cursors": ["BEGIN", MAKES, FILLS, "DECLARE c CURSOR FOR SELECT * FROM stage", "FETCH 2 FROM c", "INSERT INTO touched VALUES (1)", "FETCH 2 FROM c",
                "SELECT does_nothing()", "MOVE 1 IN c", "COMMIT"],
    "plans": [MAKES, FILLS, "PREPARE p AS SELECT count(*) FROM stage", LOADS, "EXECUTE p", LOADS, "EXECUTE p", "EXPLAIN EXECUTE p"],
    "SET CONSTRAINTS": ["BEGIN", MAKES, "SET CONSTRAINTS ALL IMMEDIATE", FILLS, "COMMIT"],
}


@pytest.mark.parametrize("steps", WORK.values(), ids=WORK)
def test_loads_go_on(eva, steps):
    for text in steps:
        assert set(says(eva.ask(text))) <= {"22012", "42883"} or "nothing" in text, text


ENDED = {
    "by code": [MAKES, "SELECT sweeps()"],
    "by code, and never made again": [MAKES, "BEGIN", "SELECT sweeps()", MAKES, "ROLLBACK", "SELECT sweeps()"],
    "an index": ["CREATE TEMP TABLE own (x int); CREATE INDEX stage ON own (x)", AGAIN],
    "an index that went": ["CREATE TEMP TABLE own (x int); CREATE INDEX stage ON own (x)", AGAIN, "DROP TABLE own"],
    "a sequence of a table": ["CREATE TEMP TABLE own (x int); CREATE TEMP SEQUENCE stage OWNED BY own.x", "SELECT last_value FROM pg_temp.stage", "DROP TABLE own"],
    "a key": ["CREATE TEMP TABLE own (x int CONSTRAINT stage PRIMARY KEY)", "CREATE TEMP SEQUENCE IF NOT EXISTS stage"],
    "on commit": ["BEGIN", f"{MAKES} ON COMMIT DROP", FILLS, "SELECT does_nothing()", FILLS, "COMMIT"],
    "rolled back": ["BEGIN", AGAIN, FILLS, "ROLLBACK"],
    "rolled back to a savepoint": ["BEGIN", "SAVEPOINT s", AGAIN, FILLS, "ROLLBACK TO s"],
    "rolled back to an older savepoint": ["BEGIN", "SAVEPOINT s", AGAIN, "SAVEPOINT t", FILLS, "RELEASE t", FILLS, "ROLLBACK TO s"],
    "discarded": [AGAIN, FILLS, "DISCARD TEMP"],
    "dropped behind its finding": [AGAIN, FILLS, "DROP TABLE stage"],
    "renamed behind its finding": [AGAIN, FILLS, "ALTER TABLE stage RENAME TO other"],
    "swept behind its finding": [AGAIN, FILLS, "SELECT sweeps()"],
}


@pytest.mark.parametrize("steps", ENDED.values(), ids=ENDED)
def test_what_is_not_there_is_another_ones(gate, eva, steps):
    for text in steps:
        assert says(eva.ask(text)) == [], text
    made_by_another(gate)
    for text in ("TRUNCATE stage", "DROP TABLE stage", "DROP TABLE IF EXISTS stage", "DELETE FROM stage", "SELECT pg_sleep(0); TRUNCATE stage",
                 "DROP TABLE IF EXISTS stage; SELECT 1", "ALTER TABLE stage RENAME TO mine"):
        eva.ask(text)
        assert has_another(gate), text
    eva.send(parse("TRUNCATE stage"), bind(), execute(), SYNC)
    assert says(eva.until("Z")) and has_another(gate)


def test_what_falls_with_a_type_is_not_certain(gate, atta):
    """Somebody may drop the type while it is said to be there."""
    assert says(atta.ask("CREATE TEMP TABLE stage OF kind")) == [] and says(atta.ask("SELECT id FROM pg_temp.stage")) == []
    assert says(atta.ask("SELECT id FROM stage")) == ["42P01"]


def test_nothing_of_another_is_dropped_that_was_made_behind_the_look(gate, atta):
    """It is judged when there is no such table, and runs when there is one."""
    atta.send(query("SELECT pg_sleep(3)"), query("DROP TABLE IF EXISTS stage"))
    time.sleep(1.5)
    made_by_another(gate)
    assert [says(atta.until("Z")), says(atta.until("Z"))] == [[], []] and has_another(gate)
    gate.sql("DROP TABLE public.stage")
    wait_for("the gate's look", 10, lambda: says(atta.ask("TABLE stage")) == ["42P01"])
    atta.send(parse("SELECT pg_sleep(3)"), bind(), execute(), parse("DROP TABLE IF EXISTS stage CASCADE"), bind(), execute(), SYNC)
    time.sleep(1.5)
    made_by_another(gate)
    assert says(atta.until("Z")) == [] and has_another(gate)
    gate.sql("DROP TABLE public.stage")
    wait_for("the gate's look", 10, lambda: says(atta.ask("TABLE stage")) == ["42P01"])
    atta.send(parse("DROP TABLE IF EXISTS stage", "d"), SYNC)
    assert says(atta.until("Z")) == []
    made_by_another(gate)
    for _ in range(2):
        atta.send(bind("", "d"), execute(), SYNC)
        assert says(atta.until("Z")) == [] and has_another(gate)
    wait_for("the gate's look", 10, lambda: says(atta.ask("TABLE stage")) == ["42501"])
    assert says(atta.ask("DROP TABLE IF EXISTS stage")) == ["42501"] and has_another(gate)


@pytest.mark.parametrize("text", ["SELECT 1; DROP TABLE IF EXISTS stage", "DROP TABLE IF EXISTS stage, b", "DROP TABLE IF EXISTS public.stage",
                                  "DROP TABLE stage", "DROP VIEW IF EXISTS stage", "DROP VIEW IF EXISTS pg_temp.stage", "DROP TABLE IF EXISTS pg_temp_3.stage",
                                  "DROP MATERIALIZED VIEW IF EXISTS pg_temp.stage", "DROP TABLE IF EXISTS pg_temp.stage, stage", "DROP TABLE IF EXISTS orders"])
def test_what_may_be_anybodys_is_not_dropped(atta, text):
    assert says(atta.ask(text)) == ["42501"]


@pytest.mark.parametrize("text", ["DROP TABLE IF EXISTS stage; SELECT * FROM nothing", f"DROP TABLE IF EXISTS stage; {MAKES}; INSERT INTO stage SELECT id FROM nothing",
                                  "BEGIN; DROP TABLE IF EXISTS stage CASCADE; DROP VIEW nothing"])
def test_what_stands_behind_it_is_looked_for_once(gate, text):
    """And answered, though the text is judged twice: as it came, and as it runs."""
    with contextlib.closing(log_in(gate, "eva")) as one:
        one.socket.settimeout(8)
        assert says(one.ask(text))[0] in ("42P01", "42501")


def test_portals_that_are_fetched_in_parts(gate, eva):
    """JDBC's setFetchSize, with the loading between."""
    for text in ("BEGIN", MAKES, FILLS):
        assert says(eva.ask(text)) == []
    eva.send(parse("SELECT * FROM stage", "S_1"), bind("C_1", "S_1"), describe("C_1"), execute("C_1", 2), SYNC)
    assert len(rows(eva.until("Z"))) == 2
    for _ in range(2):
        eva.send(parse("INSERT INTO touched VALUES (1)"), bind(), execute(), SYNC, execute("C_1", 2), SYNC)
        assert says(eva.until("Z")) == []
        found = eva.until("Z")
        assert says(found) == [] and len(rows(found)) == 2
    eva.send(parse("SELECT does_nothing()"), bind(), execute(), execute("C_1", 2), parse("TRUNCATE stage", "T"), SYNC)
    assert says(eva.until("Z")) == [] and says(eva.ask("COMMIT")) == [] and says(eva.ask(READS)) == []


def piped(*texts):
    return [piece for text in texts for piece in (parse(text), bind(), describe(), execute())]


def test_pipelines(gate, eva):
    assert says(eva.ask(MAKES)) == []
    eva.send(*piped(FILLS, LOADS, READS, "TRUNCATE stage", FILLS), SYNC)
    assert says(eva.until("Z")) == []
    for _ in range(2):
        eva.send(*piped("BEGIN", READS, LOADS, READS, "SELECT does_nothing()", "UPDATE stage SET note = 'x'"), SYNC, *piped("TRUNCATE stage", "COMMIT", READS), SYNC)
        assert says(eva.until("Z")) == [] and says(eva.until("Z")) == []
    eva.send(*piped(LOADS), FLUSH, *piped("DROP TABLE stage", MAKES), SYNC, query(READS))
    assert says(eva.until("Z")) == [] and says(eva.until("Z")) == []
    eva.send(*piped("SELECT sweeps()", READS), SYNC)
    assert says(eva.until("Z")) == ["42P01"]


def test_what_the_client_has_without_a_name_stays(eva):
    assert says(eva.ask(MAKES)) == []
    eva.send(parse(READS), SYNC, parse("SELECT does_nothing()", "n"), bind("x", "n"), execute("x"), SYNC, bind(), execute(), SYNC)
    found = [eva.until("Z") for _ in range(3)]
    assert [says(one) for one in found] == [[], [], []] and rows(found[2]) == ["0"]


def test_a_transaction_that_has_failed_is_asked_nothing(eva):
    for text in ("BEGIN", MAKES, "SELECT does_nothing()", "SELECT 1/0"):
        eva.ask(text)
    assert says(eva.ask("DROP TABLE stage"))[0] in ("42501", "25P02") and says(eva.ask("ROLLBACK")) == []
    assert says(eva.ask("SELECT count(*) FROM stage"))[0] == "42P01" and says(eva.ask("SELECT 1")) == []


OWN = "CREATE TEMP TABLE stage AS SELECT 1 AS id, 'x' AS note"
TAKEN = "CREATE TEMP TABLE stage AS SELECT id, name FROM customers"
COPIES = ["COPY stage TO STDOUT", "COPY pg_temp.stage (id) TO STDOUT (FORMAT csv)", "COPY (SELECT * FROM stage) TO STDOUT"]
COPIED = {
    "what is his own": ("luis", [OWN], []),
    "what is his own, where little may be exported": ("shin", [OWN], []),
    "what he may read alone": ("luis", [TAKEN], ["42501"]),
    "what he may export": ("shin", [TAKEN], []),
    "what he may export, and nobody can tell": ("shin", [TAKEN, "INSERT INTO stage SELECT does_nothing(), ''"], ["42501"]),
    "what he took before with a name": ("luis", [OWN, "PREPARE p AS INSERT INTO stage SELECT id, name FROM customers", "EXECUTE p"], ["42501"]),
    "what is not masked": ("mona", [TAKEN], []),
    "what is not masked, behind code": ("mona", [TAKEN, "SELECT does_nothing()"], []),
    "what is not there": ("mona", ["CREATE TEMP TABLE stage AS SELECT 1 AS id", "SELECT sweeps()"], ["42501"]),
}


@pytest.mark.parametrize(("who", "steps", "told"), COPIED.values(), ids=COPIED)
def test_a_copy_of_an_own_table_is_an_export_of_what_was_put_into_it(gate, who, steps, told):
    for copy in COPIES:
        with contextlib.closing(log_in(gate, who)) as one:
            for text in steps:
                assert says(one.ask(text)) == [], text
            found = one.ask(copy)
            assert says(found) == told or (told and "pg_temp" in copy), copy
            assert any(kind == "d" for kind, _ in found) == (not told), copy


@pytest.mark.parametrize("text", [f"{TAKEN}; COPY stage TO STDOUT", "EXECUTE p; COPY stage TO STDOUT", "INSERT INTO stage SELECT id, name FROM customers; COPY stage TO STDOUT",
                                  "COPY (WITH x AS (INSERT INTO stage SELECT id, name FROM customers RETURNING *) SELECT * FROM x, stage) TO STDOUT"])
def test_what_is_taken_and_copied_at_once_is_an_export(gate, text):
    with contextlib.closing(log_in(gate, "luis")) as one:
        for before in [] if "CREATE" in text else [OWN, "PREPARE p AS INSERT INTO stage SELECT id, name FROM customers"]:
            assert says(one.ask(before)) == []
        found = one.ask(text)
        assert says(found) and says(found)[0] in ("42501", "42P01") and not any(kind == "d" for kind, _ in found)


@contextlib.contextmanager
def locked(gate):
    """Nobody can look up what there is."""
    with contextlib.closing(psycopg2.connect(**gate.pg.dsn("orders"))) as one:
        one.cursor().execute("SET lock_timeout = '5s'; LOCK TABLE pg_depend IN ACCESS EXCLUSIVE MODE")
        yield
        one.rollback()


def waits(gate):
    return gate.sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '%%json_array_elements_text%%' AND wait_event_type = 'Lock' AND state = 'active'")


@pytest.mark.parametrize("before", [[], ["BEGIN"]], ids=["by itself", "in a transaction"])
def test_it_can_be_cancelled_while_the_server_is_asked(gate, before):
    with contextlib.closing(gate.connect("eva")) as one, one.cursor() as cursor:
        one.autocommit = True
        for text in (MAKES, *before, "SELECT does_nothing()"):
            cursor.execute(text)
        told = []

        def run():
            try:
                cursor.execute(READS)
            except psycopg2.Error as error:
                told.append(error.pgcode)

        with locked(gate):
            thread = threading.Thread(target=run)
            thread.start()
            wait_for("the asking", 10, lambda: waits(gate))
            one.cancel()
            thread.join(10)
        assert told == ["57014"]
        if before:
            with pytest.raises(psycopg2.Error, match="aborted"):
                cursor.execute("SELECT 1")
            cursor.execute("ROLLBACK")
        cursor.execute(READS)
        assert cursor.fetchall() == [(0,)]


def test_who_hangs_up_while_the_server_is_asked(gate):
    one = log_in(gate, "eva")
    assert says(one.ask(MAKES)) == [] and says(one.ask("SELECT does_nothing()")) == []
    with locked(gate):
        one.send(query(READS))
        wait_for("the asking", 10, lambda: waits(gate))
        one.socket.close()
        wait_for("its end", 10, lambda: not waits(gate))
    assert "was ended by" not in gate.office.log(), "a worker"


def test_the_server_goes_while_it_is_asked(gate, eva):
    assert says(eva.ask(MAKES)) == [] and says(eva.ask("SELECT does_nothing()")) == []
    with locked(gate):
        eva.send(query(READS))
        (pid,), = wait_for("the asking", 10, lambda: waits(gate))
        gate.sql(f"SELECT pg_terminate_backend({pid})")
        assert fields(eva.until("E")[-1][1])["C"] == "57P01"


def test_a_session_that_has_nothing_temporary_is_asked_nothing(gate, eva):
    for text in ("SELECT * FROM stage", "SELECT does_nothing()", "DROP TABLE IF EXISTS stage", "SELECT count(*) FROM orders"):
        eva.ask(text)
    assert gate.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%json_array_elements_text%%' AND pid <> pg_backend_pid()") == [(0,)]

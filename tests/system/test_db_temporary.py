# SPDX-License-Identifier: Apache-2.0
"""A bare name is a temporary relation's only as long as the server has one of that name in the session: by the next statement
anybody may have given it to rows. Who may only connect tries all the ways in which it ends, and works with those that are there.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "Temporary tables"; gates/db/temps.c,
lib/sql/temporary.c.
"""
import contextlib
import time

import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from pgraw import FLUSH, SYNC, Raw, bind, execute, fields, parse, query

DOCUMENTS = orders_documents(["only", "builder"], """\
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
may: [connect, read, alter]
---
kind: Rule
name: code that is listed
who: { roles: [only] }
to: { resources: [orders-db] }
may: [execute]
""", postgres="  functions: [{ name: public.sweeps, action: execute }, { name: public.rolls_back, action: execute }, { name: public.drops, action: execute }, { name: public.aborts, action: execute }]\n")
MORE = """
CREATE TYPE kind AS (phone text);
CREATE FUNCTION sweeps() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DROP TABLE IF EXISTS pg_temp.soon; RETURN 1; END $$;
CREATE PROCEDURE drops() LANGUAGE plpgsql AS $$ BEGIN DROP TABLE soon; COMMIT; PERFORM 1/0; END $$;
CREATE PROCEDURE aborts() LANGUAGE plpgsql AS $$ BEGIN DROP TABLE soon; COMMIT; RAISE EXCEPTION 'x' USING ERRCODE = '25P02'; END $$;
CREATE PROCEDURE rolls_back() LANGUAGE plpgsql AS $$ BEGIN ROLLBACK; END $$;
"""

gate = office_of(DOCUMENTS, (("atta", "only"), ("liam", "builder")), schema=SCHEMA + MORE)


@pytest.fixture
def raw(gate):
    one = Raw(gate.port, tls=None)
    assert one.log_in("atta", "orders-db", gate.password("atta"))[-1] == ("Z", b"I")
    with contextlib.closing(one):
        yield one
    gate.sql("DROP TABLE IF EXISTS public.soon")


def says(found):
    return [fields(body)["C"] for kind, body in found if kind == "E"]


def rows(found):
    return [body[6:].decode() for kind, body in found if kind == "D"]


MAKES = "CREATE TEMP TABLE soon (phone text)"
HOLDS = f"{MAKES} ON COMMIT DROP"
AGAIN = "CREATE TEMP TABLE IF NOT EXISTS soon (phone text)"
INDEX = "CREATE TEMP TABLE own (x int); CREATE INDEX soon ON own (x)"
LOST = {
    "dropped before it failed": [f"{MAKES}", "BEGIN; DROP TABLE soon; COMMIT; SELECT 1/0"],
    "dropped by code that failed behind its COMMIT": [MAKES, "CALL drops()"],
    "dropped by code that says that it failed before": [MAKES, "CALL aborts()"],
    "dropped before a savepoint of its text": [MAKES, "BEGIN", "DROP TABLE soon; SAVEPOINT s; SELECT 1/0", "ROLLBACK TO s", "COMMIT"],
    "dropped before a savepoint, all in one": [MAKES, "BEGIN; DROP TABLE soon; SAVEPOINT s; SELECT 1/0", "ROLLBACK TO s", "COMMIT"],
    "by code before a savepoint": ["PREPARE c AS SELECT sweeps()", MAKES, "BEGIN", "EXECUTE c; SAVEPOINT s; SELECT 1/0", "ROLLBACK TO s", "COMMIT"],
    "never a table": [INDEX, AGAIN, "DROP TABLE own"],
    "never a table, in its text": [f"{INDEX}; {AGAIN}; DROP TABLE own"],
    "never a sequence": ["CREATE TEMP TABLE own (x int CONSTRAINT soon PRIMARY KEY)", "CREATE TEMP SEQUENCE IF NOT EXISTS soon", "DROP TABLE own"],
    "never made by its query": [INDEX, "CREATE TEMP TABLE IF NOT EXISTS soon AS SELECT '1' AS phone", "DROP TABLE own"],
    "failed": ["CREATE TEMP TABLE soon (phone text, phone text)"],
    "failed with its text": [f"{MAKES}; SELECT 1/0"],
    "failed with its transaction": ["BEGIN", MAKES, "SELECT 1/0", "COMMIT"],
    "rolled back": ["BEGIN", MAKES, "ROLLBACK"],
    "rolled back in its text": [f"BEGIN; {MAKES}; ROLLBACK"],
    "rolled back to a savepoint": ["BEGIN", "SAVEPOINT s", MAKES, "ROLLBACK TO s"],
    "rolled back to a savepoint, all in one": [f"BEGIN; SAVEPOINT s; {MAKES}; ROLLBACK TO s; COMMIT"],
    "rolled back by chain": ["BEGIN", MAKES, "ROLLBACK AND CHAIN"],
    "dropped": [MAKES, "DROP TABLE soon"],
    "dropped by its schema": [MAKES, "DROP TABLE pg_temp.soon"],
    "dropped in its text": [f"{MAKES}; DROP TABLE soon"],
    "dropped with another": [MAKES, "CREATE TEMP TABLE b (x int)", "DROP TABLE pg_temp.b, pg_temp.soon"],
    "dropped and not made again": [MAKES, "BEGIN", "DROP TABLE soon", MAKES, "ROLLBACK", "DROP TABLE pg_temp.soon"],
    "on commit": ["BEGIN", HOLDS, "COMMIT"],
    "on commit of its own": [HOLDS],
    "on commit in its text": [f"{HOLDS}; COMMIT"],
    "on commit, as if it was new": ["BEGIN", HOLDS, AGAIN, "COMMIT"],
    "on commit, as if it was new in its text": [f"BEGIN; {HOLDS}; {AGAIN}; COMMIT"],
    "on commit, when it came back": ["BEGIN", HOLDS, "SAVEPOINT s", "DROP TABLE soon", "ROLLBACK TO s", AGAIN, "COMMIT"],
    "on commit of a sequence's neighbour": ["BEGIN", "SELECT 1 AS phone INTO TEMP soon", "DROP TABLE soon", "COMMIT"],
    "discarded": [MAKES, "DISCARD TEMP"],
    "discarded with all": [MAKES, "DISCARD ALL"],
    "renamed": [MAKES, "ALTER TABLE soon RENAME TO later"],
    "with its owner": ["CREATE TEMP TABLE own (x int)", "CREATE TEMP SEQUENCE soon OWNED BY own.x", "DROP TABLE own"],
    "with its column": ["CREATE TEMP TABLE own (x int)", "CREATE TEMP SEQUENCE soon", "ALTER SEQUENCE pg_temp.soon OWNED BY own.x",
                        "DROP TABLE pg_temp.own"],
    "with its parent": ["CREATE TEMP TABLE own (phone text) PARTITION BY LIST (phone)", "CREATE TEMP TABLE soon PARTITION OF pg_temp.own DEFAULT",
                        "DROP TABLE pg_temp.own"],
    "with its type": ["CREATE TEMP TABLE soon OF kind"],
    "by code": [MAKES, "SELECT sweeps()"],
    "by code of a prepared statement": [MAKES, "PREPARE c AS SELECT sweeps()", "EXECUTE c"],
    "by code of a cursor": [MAKES, "BEGIN", "DECLARE c CURSOR FOR SELECT sweeps()", "FETCH c", "COMMIT"],
    "by code of its text": [f"{MAKES}; SELECT sweeps()"],
}


@pytest.mark.parametrize("steps", LOST.values(), ids=LOST)
def test_who_lost_it_is_judged_by_what_its_name_means(gate, raw, steps):
    gate.sql("DROP TYPE IF EXISTS kind CASCADE", "CREATE TYPE kind AS (phone text)", "GRANT ALL ON TYPE kind TO PUBLIC")
    for text in steps:
        assert set(says(raw.ask(text))) <= {"22012", "42701", "25P02"}, text
    gate.sql("DROP TYPE kind CASCADE")
    prepared = says(raw.ask("PREPARE p AS SELECT phone FROM soon"))
    slept = raw.ask("SELECT pg_sleep(0.3); SELECT phone FROM soon")
    assert prepared and says(slept)[0] in ("42P01", "42501", "25P02"), "before anybody made one"
    gate.sql("CREATE TABLE public.soon AS SELECT * FROM customers", "GRANT ALL ON public.soon TO op_all")
    for text in ("SELECT phone FROM soon", "SELECT pg_sleep(0); SELECT phone FROM soon", "DELETE FROM soon WHERE id = 1", "TRUNCATE soon",
                 "DROP TABLE soon", "TABLE soon", "COPY soon TO STDOUT", "EXPLAIN ANALYZE DELETE FROM soon"):
        found = raw.ask(text)
        assert says(found) and says(found)[0] in ("42P01", "42501", "25P02") and not rows(found), text
    raw.send(parse("SELECT phone FROM soon"), bind(), execute(), SYNC)
    assert says(raw.until("Z"))
    assert gate.sql("SELECT count(*) FROM public.soon") == [(20,)]


@pytest.mark.parametrize("text", [
    f"{MAKES}; DROP TABLE soon; SELECT phone FROM soon", f"{MAKES}; ROLLBACK; SELECT phone FROM soon",
    f"BEGIN; SAVEPOINT s; {MAKES}; ROLLBACK TO s; SELECT phone FROM soon", f"{HOLDS}; COMMIT; SELECT phone FROM soon",
    f"{MAKES}; DISCARD TEMP; SELECT phone FROM soon", f"{MAKES}; ALTER TABLE soon RENAME TO later; SELECT phone FROM soon",
    f"{MAKES}; SELECT sweeps(); SELECT phone FROM soon", "SELECT (SELECT max(phone) FROM soon) AS x INTO TEMP soon",
    "CREATE TEMP TABLE soon (LIKE soon)", "EXPLAIN " + MAKES + " AS SELECT 1; SELECT phone FROM soon",
    f"{HOLDS}; {AGAIN}; COMMIT; SELECT phone FROM soon", f"{INDEX}; {AGAIN}; DROP TABLE own; SELECT phone FROM soon", f"{MAKES}; EXECUTE c; SELECT phone FROM soon",
])
def test_what_a_text_ends_is_not_read_in_it(gate, raw, text):
    assert says(raw.ask("PREPARE c AS SELECT sweeps()")) == []
    gate.sql("CREATE TABLE public.soon AS SELECT * FROM customers", "GRANT ALL ON public.soon TO op_all")
    found = raw.ask(text)
    assert says(found) and not rows(found)


def test_the_rows_of_another_person_who_made_it_meanwhile(gate, raw):
    """All of it through the gate: the text was judged long before it comes to the name."""
    assert says(raw.ask("CREATE TEMP TABLE soon (x int, x int)")) == ["42701"]
    raw.send(query("SELECT pg_sleep(4); SELECT id FROM soon; TRUNCATE soon; DROP TABLE soon"))
    time.sleep(0.5)
    with contextlib.closing(gate.connect("liam")) as liam:
        liam.autocommit = True
        liam.cursor().execute("CREATE TABLE soon AS SELECT * FROM orders")
    found = raw.until("Z")
    assert says(found) and not rows(found)
    assert gate.sql("SELECT count(*) FROM public.soon") == [(200,)]


def test_a_prepared_statement_is_judged_by_what_its_name_means_now(gate, raw):
    assert says(raw.ask(MAKES)) == []
    raw.send(parse("SELECT phone FROM soon", "x"), SYNC)
    assert says(raw.until("Z")) == [] and says(raw.ask("PREPARE p AS SELECT phone FROM soon")) == []
    assert says(raw.ask("EXECUTE p")) == []
    raw.send(bind("", "x"), execute(), SYNC)
    assert says(raw.until("Z")) == []
    assert says(raw.ask("DROP TABLE soon")) == []
    gate.sql("CREATE TABLE public.soon AS SELECT phone FROM customers", "GRANT ALL ON public.soon TO op_all")
    assert says(raw.ask("EXECUTE p"))
    raw.send(bind("", "x"), execute(), SYNC)
    assert says(raw.until("Z"))


def test_what_was_sent_and_not_answered_decides_nothing(gate, raw):
    """Queries in one write: the second is judged when the first was answered."""
    for ends in ("DROP TABLE soon", "DISCARD TEMP", "BEGIN; DROP TABLE pg_temp.soon; COMMIT"):
        assert says(raw.ask(MAKES)) == []
        raw.send(query(ends), query("SELECT phone FROM soon"))
        assert says(raw.until("Z")) == [] and says(raw.until("Z"))[0] == "42P01"
    for ends in ("ROLLBACK", "SELECT 1/0; COMMIT"):
        assert says(raw.ask("BEGIN")) == [] and says(raw.ask(MAKES)) == []
        raw.send(query(ends), query("ROLLBACK"), query("SELECT phone FROM soon"))
        raw.until("Z")
        raw.until("Z")
        assert says(raw.until("Z"))[0] == "42P01"
    raw.send(query("CREATE TEMP TABLE soon (x int, x int)"), query("SELECT x FROM soon"))
    assert says(raw.until("Z")) == ["42701"] and says(raw.until("Z")) == ["42P01"]
    raw.send(parse(MAKES), bind(), execute(), parse("SELECT 1/0"), bind(), execute(), SYNC, query("SELECT phone FROM soon"))
    assert says(raw.until("Z")) == ["22012"] and says(raw.until("Z")) == ["42P01"]
    raw.send(parse(MAKES), bind(), execute(), FLUSH, parse("CALL rolls_back()"), bind(), execute(), parse("SELECT phone FROM soon"), bind(),
             execute(), SYNC)
    assert "42P01" in says(raw.until("Z"))


def test_who_is_refused_hears_how_to_name_it(raw):
    """Where nothing can be asked: what its own text may have ended."""
    assert says(raw.ask(MAKES)) == [] and says(raw.ask("SELECT phone FROM pg_temp.soon")) == []
    for text in (f"{MAKES}; SELECT sweeps(); SELECT phone FROM soon", "SELECT sweeps() WHERE false; SELECT phone FROM soon",
                 f"DROP TABLE soon; {AGAIN}; SELECT phone FROM soon"):
        refusal = next(fields(body) for kind, body in raw.ask(text) if kind == "E")
        assert refusal["C"] == "42P01" and "temporary" in refusal["M"] and "pg_temp.soon" in refusal["H"], text
    assert says(raw.ask(f"DROP TABLE pg_temp.soon; {AGAIN}; INSERT INTO pg_temp.soon VALUES ('1'); SELECT phone FROM pg_temp.soon")) == []


USES = ["INSERT INTO soon VALUES ('1')", "SELECT phone FROM soon"]
WORK = {
    "each by itself": [MAKES, *USES, "UPDATE soon SET phone = '2'", "DELETE FROM soon", "TRUNCATE soon", "DROP TABLE soon"],
    "in one": ["; ".join([MAKES, *USES, "DROP TABLE soon"])],
    "in a transaction": ["BEGIN", MAKES, *USES, "COMMIT", *USES, "DROP TABLE soon"],
    "in a transaction of one text": ["; ".join(["BEGIN", MAKES, *USES, "COMMIT", *USES[:1]][:4]), *USES],
    "in a transaction and one text, committed": [f"BEGIN; {MAKES}; COMMIT; SELECT phone FROM soon"],
    "on commit": ["BEGIN", HOLDS, *USES, "COMMIT", "BEGIN", HOLDS, *USES, "COMMIT"],
    "on commit, in one": ["; ".join(["BEGIN", HOLDS, *USES, "COMMIT"])],
    "after a savepoint": ["BEGIN", "SAVEPOINT s", MAKES, *USES, "ROLLBACK TO s", MAKES, *USES, "RELEASE s", *USES, "COMMIT", *USES],
    "before a savepoint": ["BEGIN", MAKES, "SAVEPOINT s", "SELECT 1/0", "ROLLBACK TO s", *USES, "COMMIT", *USES],
    "behind errors": [MAKES, "SELECT 1/0", *USES, "BEGIN", "SELECT 1/0", "ROLLBACK", *USES],
    "twice": [MAKES, MAKES, *USES],
    "behind what failed": [MAKES, "COPY nothing FROM STDIN", *USES, "SELECT * FROM nothing", *USES, "SELECT sweeps(), 1/0", *USES,
                           "DROP TABLE soon; SELECT 1/0", *USES, "BEGIN", "DROP TABLE soon, nothing", "ROLLBACK", *USES],
    "behind a rollback": [MAKES, "BEGIN", *USES, "ROLLBACK", *USES, "DROP TABLE soon", MAKES, *USES],
    "if it was not there": [MAKES, AGAIN, *USES, "BEGIN", AGAIN, "COMMIT", *USES, "BEGIN", "SAVEPOINT s", AGAIN, "ROLLBACK TO s", *USES, "COMMIT",
                            *USES, "; ".join(["DROP TABLE IF EXISTS soon", MAKES, AGAIN, *USES]), *USES],
    "select into": ["SELECT '1' AS phone INTO TEMP soon", *USES, "DROP TABLE soon", "CREATE TABLE pg_temp.soon AS SELECT '1' AS phone", *USES],
    "two of them": [MAKES, "CREATE TEMP TABLE a (x int)", "DROP TABLE a", *USES, "CREATE TEMP TABLE a (x int)",
                    "INSERT INTO a SELECT 1 FROM soon", *USES, "ALTER TABLE a RENAME x TO y", "SELECT y FROM a JOIN soon ON true"],
    "what is done to tables": [MAKES, "CREATE INDEX ON soon (phone)", "ANALYZE soon", "ALTER TABLE soon ADD COLUMN y int",
                               "COMMENT ON TABLE soon IS 'x'", "VACUUM soon", *USES, "CREATE TEMP SEQUENCE q", "SELECT last_value FROM q"],
    "cursors and plans": [MAKES, "PREPARE p AS SELECT * FROM soon", "EXECUTE p", "BEGIN", "DECLARE c CURSOR FOR SELECT * FROM soon",
                          "FETCH ALL FROM c", "COMMIT", *USES, "DISCARD PLANS", *USES, "EXECUTE p", "SET work_mem = '8MB'", *USES],
    "explained": [f"EXPLAIN ANALYZE {MAKES.split('(', maxsplit=1)[0]} AS SELECT '1' AS phone", *USES],
    "serial": ["CREATE TEMP TABLE soon (id serial, phone text)", "INSERT INTO soon (phone) VALUES ('1') RETURNING id", "SELECT soon FROM soon",
               "DROP TABLE soon"],
}


@pytest.mark.parametrize("steps", WORK.values(), ids=WORK)
def test_ordinary_work_goes_on(raw, steps):
    for text in steps:
        assert set(says(raw.ask(text))) <= {"22012", "42P07"} or "nothing" in text, text


def test_pipelines_go_on(raw):
    def piped(*texts):
        return [piece for text in texts for piece in (parse(text), bind(), execute())]

    raw.send(*piped(MAKES, *USES, "CREATE TEMP TABLE b (x int)", "INSERT INTO b VALUES (1)", *USES, "DROP TABLE b", *USES), SYNC)
    assert says(raw.until("Z")) == []
    raw.send(*piped(*USES), SYNC, *piped("DROP TABLE soon", MAKES, *USES), SYNC, query("; ".join(USES)), query("DROP TABLE soon"))
    assert [says(raw.until("Z")) for _ in range(4)] == [[]] * 4
    raw.send(*piped("BEGIN", HOLDS, *USES), FLUSH, *piped(*USES, "COMMIT", "BEGIN", HOLDS, *USES, "COMMIT"), SYNC)
    assert says(raw.until("Z")) == []
    raw.send(query("BEGIN"), query(MAKES), query(USES[0]), query(USES[1]), query("COMMIT"), query(USES[1]), query(USES[1]))
    assert [says(raw.until("Z")) for _ in range(7)] == [[]] * 7


def test_drivers_go_on(gate):
    with contextlib.closing(gate.connect("atta")) as one, one.cursor() as cursor:
        cursor.execute(MAKES)
        cursor.executemany("INSERT INTO soon VALUES (%s)", [("1",), ("2",)])
        one.commit()
        cursor.execute("SELECT count(*) FROM soon")
        assert cursor.fetchall() == [(2,)]
        one.commit()
        cursor.execute("DROP TABLE soon")
        one.rollback()
        cursor.execute("SELECT count(*) FROM soon")
        assert cursor.fetchall() == [(2,)]
    done = gate.psql("atta", f"{MAKES};\n\\copy soon from stdin\n1\n2\n\\.\nSELECT count(*) FROM soon;\nDROP TABLE soon;\n", "-v", "ON_ERROR_STOP=1")
    assert (done.returncode, done.stdout.splitlines()[-2:]) == (0, ["2", "DROP TABLE"]), done.stderr

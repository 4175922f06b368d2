# SPDX-License-Identifier: Apache-2.0
"""Budgets of rows count what a statement reaches: schemas, partitions, foreign keys; what cannot be counted is refused and
locks nobody; of several budgets that are over, the one that locks holds.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "Budget", docs/DATABASE.md.
"""

import contextlib

import psycopg2
import pytest

from dbgatelib import office_of, orders_documents
from officelib import wait_for
from pgraw import SYNC, Raw, bind, execute, fields, message, parse, query
from test_db_ask import Waiting, answer, asked

DOCUMENTS = orders_documents(["clerk", "careful", "lead"], """\
kind: Rule
name: clerks do all
who: { roles: [clerk] }
to: { resources: [orders-db] }
may: [connect, read, write, execute, export, import, alter, destroy, administer]
---
kind: Rule
name: usual work
who: { roles: [careful, lead] }
to: { resources: [orders-db] }
may: [connect, read, write]
---
kind: Rule
name: a lead agrees before rows go
who: { roles: [careful] }
to: { resources: [orders-db] }
may: [destroy]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
---
kind: Budget
name: a hundred rows a while
who: { any: true }
actions: [destroy, write]
per: 10m
rows: 100
then: deny
---
kind: Budget
name: a thousand rows a while
who: { any: true }
actions: [destroy, write]
per: 10m
rows: 1000
then: lock
""")
TABLES = """
CREATE TABLE few AS SELECT g AS id FROM generate_series(1, 2) g;
CREATE TABLE big AS SELECT g AS id FROM generate_series(1, 500) g;
CREATE TABLE kinds (id int PRIMARY KEY, kind text) WITH (autovacuum_enabled = off);
INSERT INTO kinds SELECT g, CASE WHEN g > 5000 THEN 'card' ELSE 'book' END FROM generate_series(1, 5010) g;
CREATE TABLE notes (id int);
CREATE TABLE whole (id int) PARTITION BY RANGE (id);
CREATE TABLE base (id int);
CREATE SCHEMA store;
CREATE TABLE store.boxes AS SELECT g AS id FROM generate_series(1, 500) g;
CREATE SCHEMA shelf;
CREATE TABLE shelf.one AS SELECT g AS id FROM generate_series(1, 3) g;
CREATE TABLE shelf.two AS SELECT g AS id FROM generate_series(1, 4) g;
CREATE TABLE regions (id int PRIMARY KEY);
CREATE TABLE shops (id int PRIMARY KEY, region int REFERENCES regions ON DELETE CASCADE);
CREATE TABLE sales (id int, shop int REFERENCES shops ON DELETE SET NULL);
INSERT INTO regions VALUES (1), (2);
INSERT INTO shops VALUES (1, 1), (2, 1);
INSERT INTO sales SELECT g, 1 FROM generate_series(1, 500) g;
CREATE TABLE pets (id int PRIMARY KEY);
CREATE TABLE toys (id int, pet int REFERENCES pets ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO pets SELECT generate_series(1, 5);
INSERT INTO toys SELECT g, 1 FROM generate_series(1, 30) g;
CREATE TABLE months (at int NOT NULL) PARTITION BY RANGE (at);
DO $$ BEGIN FOR n IN 1..600 LOOP EXECUTE format(
  'CREATE TABLE months_with_a_name_that_is_as_long_as_names_may_be_%s PARTITION OF months FOR VALUES FROM (%s) TO (%s)', n, n, n + 1);
END LOOP; END $$;
INSERT INTO months SELECT generate_series(1, 600);
CREATE SCHEMA odd;
CREATE TABLE odd.sort (id int);
CREATE TYPE odd.state AS ENUM ('new', 'old');
CREATE DOMAIN states AS odd.state[];
CREATE TYPE coupled AS (a odd.sort, b int);
CREATE TABLE marked AS SELECT g AS id, NULL::coupled AS b FROM generate_series(1, 500) g;
CREATE TABLE judged AS SELECT g AS id, '{new}'::states AS s FROM generate_series(1, 600) g;
CREATE FUNCTION unused() RETURNS int LANGUAGE sql AS 'SELECT 1';
ANALYZE;
UPDATE kinds SET kind = 'card' WHERE id <= 5000;
"""
COUNTED = ["few", "big", "kinds WHERE kind = 'card'", "store.boxes", "regions", "shops", "sales", "months", "judged WHERE s IS NOT NULL"]


gate = office_of(DOCUMENTS, (("dora", "careful"), ("lena", "lead")), schema=TABLES)


@contextlib.contextmanager
def clerk(gate, name):
    gate.person(name, "clerk")
    with contextlib.closing(gate.connect(name)) as one:
        one.autocommit = True
        yield one


def run(connection, text):
    with connection.cursor() as cursor:
        cursor.execute(text)


def counts(gate):
    return [int(gate.sql(f"SELECT count(*) FROM {table}")[0][0]) for table in [*COUNTED, "sales WHERE shop = 1"]]


def state_of(gate, name):
    return next(p["state"] for p in gate.sam.items("/admin/people") if p["name"] == name)


def spent(gate, name, budget="a thousand rows a while"):
    budgets = gate.sam.get("/admin/databases/budgets")["budgets"]
    return sum(s["rows"] for b in budgets if b["name"] == budget for s in b["spent"] if s["person"]["name"] == name)


@contextlib.contextmanager
def locked(gate, table):
    """By somebody who may only write."""
    with contextlib.closing(gate.direct("op_all")) as other:
        other.cursor().execute(f"LOCK TABLE {table}")
        yield
        other.rollback()


@pytest.mark.parametrize("number,texts", enumerate([
    ["DROP SCHEMA store CASCADE"],
    ["DROP TABLE odd.sort CASCADE"],  # no row of its own, and values of others
    ["DROP SCHEMA odd CASCADE"],
    ["TRUNCATE regions CASCADE"],
    ["TRUNCATE shops CASCADE; DROP FUNCTION unused()"],
    ["DROP OWNED BY op_all"],
    ["TRUNCATE months"],
    ["UPDATE months SET at = at WHERE at > 0"],
    ["DELETE FROM few; DO $$ BEGIN DELETE FROM big; END $$"],
    ["BEGIN", "ALTER TABLE big RENAME TO other", "DROP TABLE other"],
    ["ALTER TABLE big RENAME TO other; TRUNCATE other, few"],
    ["ALTER TABLE whole ATTACH PARTITION big DEFAULT"],
    ["ALTER TABLE big INHERIT base"],  # as grave as to destroy it
    ["ALTER TABLE big INHERIT base; DELETE FROM base"],
    ["DELETE FROM regions WHERE id = 1"],
    ["DELETE FROM shops WHERE id = 1"],
    ["MERGE INTO regions r USING few f ON r.id = f.id AND r.id = 1 WHEN MATCHED THEN DELETE"],
    ["WITH d AS (DELETE FROM kinds WHERE id IN (1, 2, 3) RETURNING id) SELECT count(*) FROM d"],
    ["WITH d AS (UPDATE kinds SET kind = '' WHERE id = 1 RETURNING id) UPDATE few SET id = id WHERE id = 1"],
    ["EXPLAIN ANALYZE UPDATE kinds SET kind = '' WHERE id > 0"],
    ["PREPARE p AS UPDATE kinds SET kind = '' WHERE id > 0", "EXPLAIN ANALYZE EXECUTE p"],
    ["COPY (UPDATE kinds SET kind = '' WHERE id > 0 RETURNING id) TO STDOUT"],
    ["CREATE TABLE beside AS WITH d AS (UPDATE kinds SET kind = '' WHERE id > 0 RETURNING id) SELECT id FROM d"],
    ["PREPARE p AS INSERT INTO notes SELECT generate_series(1, 5000)", "EXPLAIN ANALYZE EXECUTE p"],
    ["EXPLAIN ANALYZE INSERT INTO notes SELECT generate_series(1, 5000)"],
    ["PREPARE p (int) AS INSERT INTO notes SELECT generate_series(1, $1)", "EXECUTE p(5000 * 1)"],
]))
def test_what_it_reaches_is_more_than_the_budget_has(gate, number, texts):
    before = counts(gate)
    name = f"clerk{number}"
    with clerk(gate, name) as one:
        for text in texts[:-1]:
            run(one, text)
        with pytest.raises(psycopg2.Error) as what:
            run(one, texts[-1])
        assert what.value.pgcode == "53400" and "Reference" in str(what.value), what.value
        run(one, "ROLLBACK" if len(texts) > 1 else "SELECT 1")
    assert counts(gate) == before and state_of(gate, name) == "active"


@pytest.mark.parametrize("number, text, values", [(number, *one) for number, one in enumerate([
    ("PREPARE p AS UPDATE kinds SET kind = '' WHERE id > 0", ()), ("PREPARE p AS UPDATE kinds SET kind = '' WHERE id > $1", ("0",)),
    ("PREPARE p (int) AS UPDATE kinds SET kind = '' WHERE id > $1", ("0",)), ("SELECT 1; PREPARE p AS INSERT INTO notes SELECT generate_series(1, 5000)", ()),
    ("PREPARE p (int) AS INSERT INTO notes SELECT generate_series(1, $1)", ("5000",)), ("PREPARE p AS DELETE FROM kinds WHERE id > 0; PREPARE q AS SELECT 1", ())])])
def test_what_sql_prepared_and_the_protocol_runs_is_asked_before_too(gate, number, text, values):
    before, name = counts(gate), f"petra{number}"
    gate.person(name, "clerk")
    with contextlib.closing(Raw(gate.port, tls=None)) as one:
        assert one.log_in(name, "orders-db", gate.password(name))[-1] == ("Z", b"I")
        assert "E" not in [kind for kind, _ in one.ask(text)]
        one.send(bind("", "p", values), execute(), SYNC)
        assert fields(one.until("E")[-1][1])["C"] in ("53400", "57P01")  # and locked, where the plan says how many they are
    assert counts(gate) == before


def test_who_locks_a_table_hides_no_rows(gate):
    with clerk(gate, "lola") as one:
        run(one, "SET lock_timeout = '3s'")
        with locked(gate, "big"):
            with pytest.raises(psycopg2.Error) as what:
                run(one, "TRUNCATE big")
        assert what.value.pgcode == "53400" and "lock timeout" in str(what.value)
        assert counts(gate)[1] == 500 and state_of(gate, "lola") == "active"


def test_what_is_within_the_budget_goes_on(gate):
    with clerk(gate, "wanda") as one:
        for text, rows in (("DROP TABLE IF EXISTS not_there", 0), ("DROP FUNCTION unused()", 0),
                           ("WITH d AS (DELETE FROM shelf.one WHERE id = 1 RETURNING id) SELECT count(*) FROM d", 3),
                           ("DROP SCHEMA shelf CASCADE", 10), ("BEGIN; CREATE TABLE own (id int); DROP TABLE own; COMMIT", 10),
                           ("WITH n AS (INSERT INTO notes VALUES (3) RETURNING id) INSERT INTO notes SELECT id FROM n", 12),
                           ("EXPLAIN UPDATE big SET id = id WHERE id > 0", 12),
                           ("DELETE FROM pets WHERE id = 1", 43), ("DELETE FROM pets WHERE id = 7", 74)):
            run(one, text)
            # what foreign keys took nobody told: the toys, as the statistics have them, stay counted
            wait_for(f"what was spent for {text}", 5, lambda rows=rows: spent(gate, "wanda") == rows)


@pytest.mark.parametrize("what,fits", [("texts", 1000), ("values", 560)])
def test_what_a_connection_has_the_gate_remember_has_an_end(gate, what, fits):
    """The text is short: what it was judged to be names 600 partitions; and values are kept where somebody may have to see them."""
    gate.person("nina", "clerk")
    with contextlib.closing(Raw(gate.port, tls=None, timeout=30)) as raw:
        assert raw.log_in("nina", "orders-db", gate.password("nina"))[-1] == ("Z", b"I")
        raw.send(parse("UPDATE few SET id = length($1)", "update"), SYNC)
        assert [kind for kind, _ in raw.until("Z")] == ["1", "Z"]
        raw.ask("BEGIN")
        made = 0
        while made < 1500:
            names = [f"n{made + i}" for i in range(10)]
            pieces = [parse(f"UPDATE months SET at = at -- {name}", name) if what == "texts" else bind(name, "update", ["x" * 60000]) for name in names]
            found = raw.exchange(b"".join([*pieces, SYNC]))
            if found[0][0] == "E" or found[-2][0] == "E":
                assert fields(found[-2][1])["C"] == "53400" and "hold too much" in fields(found[-2][1])["M"]
                break
            made += 10
        assert made < fits, "they were counted as nothing"
        raw.ask("ROLLBACK")
        assert raw.ask("DEALLOCATE ALL")[-1] == ("Z", b"I")
        for turn in range(2):
            raw.send(parse("SELECT at FROM months", f"again{turn}"), SYNC)
            assert [kind for kind, _ in raw.until("Z")] == ["1", "Z"], "there is room again"


def test_what_others_agreed_to_is_estimated_again(gate):
    """What could not be counted when they were asked can be when it runs."""
    with contextlib.closing(gate.connect("dora")) as dora:
        dora.autocommit = True
        with locked(gate, "few"):
            waits = Waiting(dora, "DELETE FROM few")
            item = asked(gate)
            assert "lock timeout" in gate.people["lena"].get(f"/approvals/{item['id']}")["plan"]["why_not"]
        answer(gate, item, "approve")
        waits.join(20)
        assert waits.error is None and waits.count == 2


def test_what_the_database_only_guessed_is_counted_in_full_afterwards(gate):
    gate.sql("CREATE TABLE guessed AS SELECT g AS id FROM generate_series(1, 5000) g; ALTER TABLE guessed OWNER TO op_all; ANALYZE guessed")
    with clerk(gate, "gus") as one:
        with contextlib.suppress(psycopg2.Error):  # the connection may be cut before the answer is there
            run(one, "DELETE FROM guessed WHERE id % 1 = 0")  # 25 are expected
        wait_for("the lock", 5, lambda: state_of(gate, "gus") != "active")
        with pytest.raises(psycopg2.Error):
            run(one, "SELECT 1")
    assert gate.sql("SELECT count(*) FROM guessed") == [(0,)]


GUESSED = "id % 1 = 0 AND id % 2 < 2"  # true of all rows; one is expected


@contextlib.contextmanager
def guessed_tables(gate, name):
    tables = [f"{name}_{i}" for i in range(4)]
    gate.sql(*[f"CREATE TABLE {t} AS SELECT g AS id FROM generate_series(1, 200) g" for t in tables],
             *[f"ALTER TABLE {t} OWNER TO op_all" for t in tables], "ANALYZE " + ", ".join(tables))
    yield tables, lambda: sum(gate.sql(f"SELECT count(*) FROM {t}") == [(0,)] for t in tables)
    gate.sql(*[f"DROP TABLE {t}" for t in tables])


def in_one_sync(tables):
    return [b"".join(parse(f"DELETE FROM {t} WHERE {GUESSED}") + bind() + execute() for t in tables) + SYNC]


def by_name(tables):
    return [b"".join(parse(f"DELETE FROM {t} WHERE {GUESSED}", name=t) for t in tables)
            + b"".join(bind(name=t, portal=t) + execute(t) for t in tables) + SYNC]


def query_by_query(tables):
    return [b"".join(query(f"DELETE FROM {t} WHERE {GUESSED}") for t in tables)]


def at_once(tables):
    return [query(f"DELETE FROM {t} WHERE {GUESSED}") for t in tables]


@pytest.mark.parametrize("way", [in_one_sync, by_name, query_by_query, at_once])
def test_what_is_guessed_goes_beyond_a_budget_once(gate, way):
    """However many changes are under way, the second is asked about when the first is counted."""
    with guessed_tables(gate, way.__name__) as (tables, gone), contextlib.ExitStack() as stack:
        gate.person(name := way.__name__.replace("_", ""), "clerk")
        pieces = way(tables)
        lines = [stack.enter_context(contextlib.closing(gate.raw(name))) for _ in pieces]
        for line, piece in zip(lines, pieces):
            line.send(piece)
        found = [line.until("Z") for line in lines]
        if way is query_by_query:
            found += [lines[0].until("Z") for _ in tables[1:]]
        assert any(kind == "E" and fields(body)["C"] == "53400" for answer in found for kind, body in answer)
        assert gone() <= 1, found


def test_guesses_of_one_message_count_as_all_rows(gate):
    with guessed_tables(gate, "together") as (tables, gone), clerk(gate, "tom") as one:
        with pytest.raises(psycopg2.Error) as refused:
            run(one, "; ".join(f"DELETE FROM {t} WHERE {GUESSED}" for t in tables))
        assert refused.value.pgcode == "53400" and "Send the changes apart" in refused.value.diag.message_hint
        assert gone() == 0 and spent(gate, "tom", "a hundred rows a while") == 0
        run(one, f"UPDATE {tables[0]} SET id = 0 WHERE id = 7; UPDATE {tables[1]} SET id = 0 WHERE id = 7")


def test_a_guess_that_ended_holds_nothing_up(gate):
    """Done, failed, cancelled, of a connection that is gone, in a transaction that goes on: the next one begins at once."""
    gate.sql("CREATE TABLE open_one AS SELECT g AS id FROM generate_series(1, 5) g", "ALTER TABLE open_one OWNER TO op_all", "ANALYZE open_one")
    text = "UPDATE open_one SET id = id WHERE id % 1 = 0 AND id % 2 < 2"
    with clerk(gate, "ole") as one, clerk(gate, "ole") as other:
        run(one, text)
        with pytest.raises(psycopg2.Error):
            run(one, text.replace("id = id ", "id = id / 0 "))
        run(one, "BEGIN; ")
        run(one, text)
        line = gate.raw("ole")
        line.send(query(text))  # waits for the lock of the other's rows
        wait_for("the lock", 5, lambda: gate.sql("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0] > 0)
        line.close()
        wait_for("its end", 5, lambda: gate.sql("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0] == 0)
        run(one, text)
        run(one, "COMMIT")
        run(other, text)
    gate.sql("DROP TABLE open_one")


def test_a_budget_that_denies_hides_none_that_locks(gate):
    with clerk(gate, "lars") as one:
        with contextlib.suppress(psycopg2.Error):
            run(one, "UPDATE kinds SET kind = 'none' WHERE kind = 'card'")  # 10 are expected, 5,010 are there
        wait_for("the lock", 5, lambda: state_of(gate, "lars") != "active")
    assert spent(gate, "lars") == 0 and spent(gate, "lars", "a hundred rows a while") > 5000, "the lock settles its own"


def raised(found):
    return [fields(body)["C"] for kind, body in found if kind == "E"]


WHOLE = "UPDATE big SET id = id WHERE id % 1 = 0 RETURNING id"  # 3 are expected, 500 are there


@pytest.mark.parametrize("number,texts", enumerate([[WHOLE], ["PREPARE p AS " + WHOLE, "EXECUTE p"],
                                                    ["INSERT INTO big SELECT g FROM generate_series(1, 5000 / 1000 * 10) g RETURNING id"]]))
@pytest.mark.parametrize("block", [False, True])
def test_no_change_is_fetched_in_parts(gate, number, texts, block):
    """The server has changed all rows when it has told the first, and tells how many with the last: so nothing of it stays."""
    gate.person(name := f"part{number}{block:d}", "clerk")
    before = gate.sql("SELECT count(*), max(xmin::text::bigint) FROM big")
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        assert raw.log_in(name, "orders-db", gate.password(name))[-1][0] == "Z"
        for text in [*texts[:-1], *["BEGIN"] * block]:
            assert raised(raw.ask(text)) == []
        for _ in range(3):
            raw.send(parse(texts[-1]), bind(), execute("", 1), SYNC)
            found = raw.until("Z")
            assert [kind for kind, _ in found] == ["1", "2", "D", "E", "Z"] and raised(found) == ["0A000"]
            assert found[-1] == ("Z", b"E" if block else b"I")
            if block:
                assert raised(raw.ask("ROLLBACK")) == raised(raw.ask("BEGIN")) == []
        assert gate.sql("SELECT count(*), max(xmin::text::bigint) FROM big") == before
    wait_for("what it read", 5, lambda: spent(gate, name, "a hundred rows a while") <= 3)
    assert state_of(gate, name) == "active"


def test_a_change_that_ends_with_its_first_part_is_counted(gate):
    gate.person("petra", "clerk")
    gate.sql("CREATE TABLE sixty AS SELECT g AS id FROM generate_series(1, 60) g; ALTER TABLE sixty OWNER TO op_all; ANALYZE sixty")
    text = "UPDATE sixty SET id = id WHERE id <= 60 RETURNING id"
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        assert raw.log_in("petra", "orders-db", gate.password("petra"))[-1][0] == "Z"
        raw.send(query("BEGIN"), parse(text), bind("p"), execute("p", 200), message("H"))
        assert raw.until("CE")[-1] == ("C", b"BEGIN\0") and raw.until("CE")[-1] == ("C", b"UPDATE 60\0")
        raw.send(SYNC)
        assert raw.until("Z")[-1] == ("Z", b"T")
        wait_for("the whole of it", 5, lambda: spent(gate, "petra", "a hundred rows a while") == 60)
        raw.send(parse(text), bind(), execute("", 200), SYNC)
        assert raised(raw.until("Z")) == ["53400"]
        assert raised(raw.ask("ROLLBACK")) == []
        raw.send(parse("UPDATE sixty SET id = id WHERE id IN (1, 2)"), bind(), execute("", 1), SYNC)  # some drivers always say one
        assert [body for kind, body in raw.until("Z") if kind == "C"] == [b"UPDATE 2\0"]

# SPDX-License-Identifier: Apache-2.0
"""Budgets through the database gate: who destroys too much is locked, in all sessions, before the next one runs.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "Budget".
"""

import contextlib
import time

import psycopg2
import pytest

from dblib import DOCUMENTS, DatabaseOffice
from officelib import wait_for
from pgraw import SYNC, Raw, bind, execute, message, parse, query

BUDGETS = DOCUMENTS.replace("roles: [dba, viewer]", "roles: [dba, viewer, clerk]").replace(
    "  %(ca)s\n", "  %(ca)s\n  functions: [{ name: public.noted, action: execute }]\n") + """
---
kind: Role
name: clerk
---
kind: Rule
name: clerks work
who: { roles: [clerk] }
to: { resources: [orders-db] }
may: [connect, read, write, execute, export, alter]
---
kind: Budget
name: clerks change a hundred rows a while
who: { roles: [clerk] }
actions: [destroy, write]
per: 10m
rows: 100
then: deny
---
kind: Budget
name: clerks export a little
who: { roles: [clerk] }
actions: [export]
per: 10m
statements: 3
then: deny
---
kind: Budget
name: clerks export some rows
who: { roles: [clerk] }
actions: [export]
per: 10m
rows: 150
then: deny
---
kind: Rule
name: clerks ask before they import
who: { roles: [clerk] }
to: { resources: [orders-db] }
may: [import]
ask: { approved_by: 1, by: { roles: [dba] } }
---
kind: Rule
name: viewers read a little each day
who: { roles: [viewer] }
to: { resources: [orders-db] }
may: [read]
with: { limit: { rows: 10, per: day } }
---
kind: Budget
name: nobody destroys fast
who: { any: true }
actions: [destroy]
per: 10m
statements: 3
rows: 1000
then: lock
"""


@pytest.fixture(scope="module")
def db():
    one = DatabaseOffice(documents=BUDGETS)
    try:
        one.server.sql(*(f"CREATE TABLE t{i} AS SELECT g AS id FROM generate_series(1, 8) g" for i in range(12)),
                       "CREATE TABLE large AS SELECT g AS id FROM generate_series(1, 40000) g",
                       *(f"ALTER TABLE t{i} OWNER TO op_dba" for i in range(12)), "ALTER TABLE large OWNER TO op_dba",
                       "CREATE TABLE stock AS SELECT g AS id, 'card'::text AS kind FROM generate_series(1, 5000) g",
                       "CREATE TABLE goods AS SELECT g AS id, 'card'::text AS kind FROM generate_series(1, 3000) g",
                       "ANALYZE goods", "ALTER TABLE goods OWNER TO op_dba",
                       "CREATE UNIQUE INDEX ON stock (id)", "ANALYZE stock", "ALTER TABLE stock OWNER TO op_dba",
                       "CREATE FUNCTION noted(n int) RETURNS int LANGUAGE sql AS 'SELECT n'",
                       database="orders")
        yield one
    finally:
        one.close()


def tables(db):
    return {row[0] for row in db.server.sql("SELECT relname FROM pg_class WHERE relname ~ '^t[0-9]+$'",
                                            database="orders")}


def run(connection, text):
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else None


def state_of(db, name):
    sam = db.office.people["sam"]
    return next(p["state"] for p in sam.items("/admin/people") if p["name"] == name)


def test_the_fourth_does_not_run_and_all_connections_are_cut(db):
    db.person("zhao", ["dba"])
    first, second = db.connect("zhao"), db.connect("zhao")
    run(first, "DROP TABLE t0")
    run(second, "DELETE FROM t1")
    run(first, "SELECT 1")
    run(second, "DROP TABLE t2")
    began = time.monotonic()
    with pytest.raises(psycopg2.Error) as what:
        run(first, "DROP TABLE t3")
    assert what.value.pgcode in ("53400", "57P01"), what.value
    assert "t3" in tables(db) and not {"t0", "t2"} & tables(db)
    for one in (first, second):
        with pytest.raises(psycopg2.Error):
            run(one, "SELECT 1")
    assert time.monotonic() - began < 2
    wait_for("the lock", 5, lambda: state_of(db, "zhao") not in ("active",))


def test_many_in_one_message_count_each(db):
    db.person("qian", ["dba"])
    one = db.connect("qian")
    with pytest.raises(psycopg2.Error):
        run(one, "DROP TABLE t4; DROP TABLE t5; DROP TABLE t6; DROP TABLE t7")
    assert {"t4", "t5", "t6", "t7"} <= tables(db)
    wait_for("the lock", 5, lambda: state_of(db, "qian") != "active")


def count(db, table):
    return int(db.server.sql(f"SELECT count(*) FROM {table}", database="orders")[0][0])


@pytest.mark.parametrize("name,texts", [
    ("sun", ["DELETE FROM large"]),
    ("han", ["BEGIN", "DELETE FROM t8", "TRUNCATE large"]),
    ("feng", ["WITH gone AS (DELETE FROM large RETURNING id) SELECT count(*) FROM gone"]),
    ("shen", ["PREPARE p AS DELETE FROM large", "EXECUTE p"]),
    ("yang", ["SELECT 1; DROP TABLE large"]),
])
def test_a_row_budget_bites_before_it_runs(db, name, texts):
    db.person(name, ["dba"])
    one = db.connect(name)
    for text in texts[:-1]:
        run(one, text)
    with pytest.raises(psycopg2.Error) as what:
        run(one, texts[-1])  # about 40,000 rows, the budget is 1,000: refused, and the person is locked
    assert what.value.pgcode in ("53400", "57P01") and "Reference" in str(what.value), what.value
    wait_for("the lock", 5, lambda: state_of(db, name) != "active")
    with pytest.raises(psycopg2.Error):
        run(one, "DROP TABLE t8")
    one.close()
    assert count(db, "large") == 40000 and "t8" in tables(db)


CLERKS = "clerks change a hundred rows a while"


def spent(db, name, budget="nobody destroys fast"):
    budgets = db.office.people["sam"].get("/admin/databases/budgets")["budgets"]
    return next((s["rows"] for b in budgets if b["name"] == budget for s in b["spent"] if s["person"]["name"] == name), 0)


def ids(first, count):
    return f"id IN ({', '.join(str(n) for n in range(first, first + count))})"


def test_estimates_are_settled(db):
    db.person("zhu", ["dba"])
    one = db.connect("zhu")
    run(one, "DELETE FROM t11")
    wait_for("what it was", 5, lambda: spent(db, "zhu") == 8)
    one.autocommit = False
    with pytest.raises(psycopg2.Error):
        run(one, "DELETE FROM t10; SELECT 1/0")
    wait_for("what failed", 5, lambda: spent(db, "zhu") == 8)
    assert state_of(db, "zhu") == "active"


def test_what_has_no_plan_is_refused_and_locks_nobody(db):
    db.person("qin", ["dba"])
    one = db.connect("qin")
    with psycopg2.connect(**db.server.dsn("orders")) as other:
        other.cursor().execute("LOCK TABLE large")
        with pytest.raises(psycopg2.Error) as what:
            run(one, "DELETE FROM large")
        other.rollback()
    assert what.value.pgcode == "53400" and "lock timeout" in str(what.value)
    assert state_of(db, "qin") == "active" and count(db, "large") == 40000
    assert run(one, "SELECT 1") == [(1,)]


def test_prepared_statements_spend_when_they_run(db):
    db.person("zhou", ["dba"])
    one = db.connect("zhou")
    for i in range(6):
        run(one, f"PREPARE p{i} AS DELETE FROM t9")  # nothing runs, nothing is spent
    for i in range(3):
        run(one, f"EXECUTE p{i}")
    with pytest.raises(psycopg2.Error):
        run(one, "EXECUTE p3")
    wait_for("the lock", 5, lambda: state_of(db, "zhou") != "active")


def test_a_limit_a_day_holds_over_all_connections(db):
    first, second = db.connect("mia"), db.connect("mia")
    assert len(run(first, "SELECT id FROM t10")) == 8
    for one in (second, first, second):  # two were left
        with pytest.raises(psycopg2.Error) as what:
            run(one, "SELECT id FROM t10")
        assert what.value.pgcode == "53400"
    used = db.office.people["sam"].get("/admin/databases/budgets")["today"]
    assert [one["rows"] for one in used if one["person"]["name"] == "mia"] == [10]
    assert state_of(db, "mia") == "active"


@pytest.mark.parametrize("number,text", enumerate([
    "UPDATE stock SET kind = 'gone' WHERE kind IN ('card')",
    "UPDATE stock SET kind = 'gone' WHERE kind IN ('card'); COMMENT ON TABLE stock IS ''",
    "CREATE INDEX beside ON t10 (id); DELETE FROM stock WHERE kind = 'card'",
    "UPDATE stock SET kind = 'gone' WHERE kind = 'card' RETURNING noted(id)",
    "SELECT noted(1); UPDATE stock SET kind = 'gone' WHERE kind = 'card'",
]))
def test_a_graver_statement_beside_it_pays_for_no_write(db, number, text):
    name = f"clerk{number}"
    db.person(name, ["clerk"])
    one = db.connect(name)
    with pytest.raises(psycopg2.Error) as what:
        run(one, text)
    assert what.value.pgcode == "53400", what.value
    assert db.server.sql("SELECT count(*) FROM stock WHERE kind = 'card'", database="orders")[0][0] in (5000, "5000")
    run(one, "UPDATE stock SET kind = 'card' WHERE id IN (1, 2, 3)")
    one.close()


def test_a_write_beside_it_hides_no_export(db):
    db.person("clara", ["clerk"])
    text = "UPDATE stock SET kind = 'card' WHERE id = 1; COPY t10 TO STDOUT"
    assert db.run(["psql", "-X", "-c", text], name="clara").returncode == 0  # two statements of three
    assert "this is more than you may do" in db.run(["psql", "-X", "-c", text], name="clara").stderr


@pytest.mark.parametrize("number,text", enumerate([
    "UPDATE stock SET kind = 'gone' WHERE {}; COMMIT; SELECT 1 / (id * 0) FROM stock LIMIT 1",
    "BEGIN; UPDATE stock SET kind = 'gone' WHERE {}; COMMIT; SELECT 1 / (id * 0) FROM stock LIMIT 1",
]))
def test_what_was_committed_before_an_error_is_spent(db, number, text):
    db.person(name := f"carl{number}", ["clerk"])
    one = db.connect(name)
    codes = []
    for first in (1001, 2001):
        with pytest.raises(psycopg2.Error) as what:
            run(one, text.format(ids(first, 90)))
        codes.append(what.value.pgcode)
        if first == 1001:
            wait_for("what stays", 5, lambda: spent(db, name, CLERKS) >= 90)
            one.close()
            one = db.connect(name)
    assert codes == ["22012", "53400"]
    assert count(db, "stock WHERE kind = 'gone'") == 90
    one.close()
    events = lambda: db.office.people["audrey"].items(f"/admin/ledger/events?gate=db&person={name}&verdict=allow&limit=50")  # noqa: E731
    assert wait_for("the entry", 5, lambda: [e["count"] for e in events() if "UPDATE" in e.get("object", "")]) == [90]
    db.server.sql("UPDATE stock SET kind = 'card'", database="orders")


def test_a_copy_that_ends_badly_took_what_came(db):
    db.person("carol", ["clerk"])
    text = "COPY (SELECT *, 1 / (id - 200) FROM stock WHERE id <= 200 ORDER BY id) TO STDOUT"
    first = db.run(["psql", "-X", "-c", text], name="carol")
    assert first.stdout.count("card") == 199 and "division by zero" in first.stderr, first
    wait_for("what came", 5, lambda: spent(db, "carol", "clerks export some rows") == 199)
    second = db.run(["psql", "-X", "-c", text], name="carol")
    assert second.stdout == "" and "this is more than you may do" in second.stderr, second
    events = lambda: db.office.people["audrey"].items("/admin/ledger/events?gate=db&person=carol&verdict=allow&limit=50")  # noqa: E731
    assert wait_for("the entry", 5, lambda: [e["count"] for e in events() if "COPY" in e.get("object", "")]) == [199]


# planned as ten rows, and all of them go
LOCKED = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE FROM goods%'"
ALL_GOODS = "DELETE FROM goods WHERE ctid = ANY(ARRAY(SELECT ctid FROM goods))"


def hold_up(db, raw, behind):
    """Sends it with something behind it, and holds it up at the server; releases it when the with is over."""
    other = psycopg2.connect(**db.server.dsn("orders"))
    other.cursor().execute("SELECT 1 FROM goods WHERE id = 1 FOR UPDATE")
    raw.send(query(ALL_GOODS), behind)
    return other


@pytest.mark.parametrize("name,bye", [("cleo", message("X")), ("cyra", b"")])
def test_who_hangs_up_while_it_runs_has_spent_what_went(db, name, bye):
    """A message behind it waits for others: it is withdrawn. What runs is counted when it has ended where he said goodbye
    behind it, and is cancelled where he did not."""
    db.person(name, ["clerk"])
    raw = Raw(db.port)
    assert raw.log_in(name, "orders-db", db.password(name))[-1][0] == "Z"
    with contextlib.closing(hold_up(db, raw, query("COPY goods FROM STDIN") + bye)):
        wait_for("the lock", 5, lambda: db.server.sql(LOCKED))
        time.sleep(0.3)
        raw.close()
        if not bye:
            wait_for("its end", 5, lambda: not db.server.sql(LOCKED))
        time.sleep(0.5)
    if not bye:
        wait_for("nothing", 5, lambda: spent(db, name, CLERKS) == 0)
        assert count(db, "goods") == 3000
        return
    wait_for("its end", 5, lambda: count(db, "goods") == 0)
    wait_for("what went", 5, lambda: spent(db, name, CLERKS) == 3000)
    with pytest.raises(psycopg2.Error) as what:
        run(db.connect(name), "UPDATE stock SET kind = 'card' WHERE id = 1")
    assert what.value.pgcode == "53400"
    db.server.sql("INSERT INTO goods SELECT g, 'card' FROM generate_series(1, 3000) g", database="orders")


@pytest.mark.parametrize("name,ends", [("carl", b""), ("cora", message("X")), ("curt", b"B\x3f\xff\xff\xff" + bytes(70000))],
                         ids=["gone", "goodbye", "impossible"])
def test_what_was_committed_before_its_end_was_told_is_spent(db, name, ends):
    """Behind a pipeline without Sync or Flush the server keeps what it has to say, and says nothing of it where it ends there."""
    db.person(name, ["clerk"])
    db.server.sql("TRUNCATE goods", "INSERT INTO goods SELECT g, 'card' FROM generate_series(1, 3000) g", "ANALYZE goods", database="orders")
    raw = Raw(db.port)
    assert raw.log_in(name, "orders-db", db.password(name))[-1][0] == "Z"
    raw.send(*(piece for text in ("BEGIN", ALL_GOODS, "COMMIT") for piece in (parse(text), bind(), execute())))
    wait_for("its end", 5, lambda: count(db, "goods") == 0)
    with contextlib.suppress(OSError):  # what nobody can send may be refused before all of it is there
        raw.send(ends)
    raw.close()
    wait_for("what went", 5, lambda: spent(db, name, CLERKS) >= 3000)


WITHIN = ["BEGIN", ALL_GOODS, "COMMIT", "SELECT pg_sleep(60)"]


@pytest.mark.parametrize("name,pieces", [
    ("cody", [query("; ".join(WITHIN))]),
    ("cole", [piece for text in WITHIN for piece in (parse(text), bind(), execute())] + [SYNC]),
])
def test_who_ends_his_own_session_has_spent_what_may_have_gone(db, name, pieces):
    """It is committed, and the server has not said so yet: that stands in its buffer until what is behind it has run."""
    db.person(name, ["clerk"])
    db.server.sql("TRUNCATE goods", "INSERT INTO goods SELECT g, 'card' FROM generate_series(1, 3000) g", "ANALYZE goods", database="orders")
    with contextlib.closing(Raw(db.port)) as raw:
        assert raw.log_in(name, "orders-db", db.password(name))[-1][0] == "Z"
        raw.send(*pieces)
        wait_for("its end", 5, lambda: count(db, "goods") == 0)
        db.people[name].sign_out()
        assert raw.ended()
    wait_for("all that it can have been", 5, lambda: spent(db, name, CLERKS) >= 3000)


def test_what_a_cut_took_back_is_not_spent(db):
    db.person("cara", ["clerk"])
    db.server.sql("TRUNCATE goods", "INSERT INTO goods SELECT g, 'card' FROM generate_series(1, 3000) g", "ANALYZE goods", database="orders")
    with contextlib.closing(Raw(db.port)) as raw, contextlib.closing(psycopg2.connect(**db.server.dsn("orders"))) as other:
        assert raw.log_in("cara", "orders-db", db.password("cara"))[-1][0] == "Z"
        other.cursor().execute("SELECT 1 FROM goods WHERE id = 1 FOR UPDATE")
        raw.send(parse(ALL_GOODS), bind(), execute(), SYNC)
        wait_for("the lock", 5, lambda: db.server.sql(LOCKED))
        db.people["cara"].sign_out()
        assert raw.ended()
    time.sleep(1)
    assert count(db, "goods") == 3000 and spent(db, "cara", CLERKS) <= 100


def test_who_ends_the_connection_himself_has_spent_what_may_have_gone(db):
    """By a message that no client sends: nobody reads what the server says of the one before."""
    db.person("clay", ["clerk"])
    raw = Raw(db.port)
    assert raw.log_in("clay", "orders-db", db.password("clay"))[-1][0] == "Z"
    with contextlib.closing(hold_up(db, raw, message("B", b"no Bind"))):
        assert raw.until("E")[-1][0] == "E" and raw.ended()
    wait_for("all that it can have been", 5, lambda: spent(db, "clay", CLERKS) >= 3000)

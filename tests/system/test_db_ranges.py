# SPDX-License-Identifier: Apache-2.0
"""A range of whole numbers names rows where each row has a number of its own, and only as long as that is so.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "broad".
"""
import contextlib
import threading
import time

import psycopg2
import pytest

from dbgatelib import DBA_DOES_ALL, office_of, orders_documents
from officelib import wait_for
from pgraw import SYNC, Raw, bind, execute, fields, parse, query

DOCUMENTS = orders_documents(["dba", "clerk", "builder"], DBA_DOES_ALL + """\
kind: Rule
name: clerks work with orders
who: { roles: [clerk] }
to: { resources: [orders-db] }
may: [connect, read, write]
---
kind: Rule
name: builders build and lose nothing
who: { roles: [builder] }
to: { resources: [orders-db] }
may: [connect, read, write, alter]
""", postgres="  search_path: [public]\n  broad: destroy\n")
TEN = "UPDATE orders SET note = 'ten' WHERE id BETWEEN 1 AND 10"
KEY, NO_KEY = "ALTER TABLE orders ADD PRIMARY KEY (id)", "ALTER TABLE orders DROP CONSTRAINT orders_pkey"


gate = office_of(DOCUMENTS, (("dora", "dba"), ("carl", "clerk"), ("bea", "builder")), sql=["ALTER TABLE orders ADD year int DEFAULT 3"])


@pytest.fixture
def carl(gate):
    with contextlib.closing(gate.connect("carl")) as one:
        one.autocommit = True
        yield one


def define(gate, *statements):
    """Past the gate, which is told nothing of it; a look of a tenth of a second ago would still do for it."""
    gate.sql(*statements)
    time.sleep(0.15)


@pytest.fixture(autouse=True)
def key_again(gate):
    """Whatever happens, the next test finds the key."""
    yield
    if not gate.sql("SELECT 1 FROM pg_constraint WHERE conname = 'orders_pkey'"):
        gate.sql(KEY)


def state_of(connection, text):
    """None: it ran."""
    try:
        connection.cursor().execute(text)
    except psycopg2.Error as error:
        return error.pgcode
    return None


def test_ranges(carl):
    with carl.cursor() as cursor:
        cursor.execute(TEN)
        assert cursor.rowcount == 10
    for text in ("UPDATE orders SET note = 'all' WHERE year BETWEEN 1 AND 5", "DELETE FROM orders WHERE total BETWEEN 1 AND 900",
                 "DELETE FROM logs WHERE at BETWEEN 1 AND 50", "DELETE FROM v_customers WHERE id BETWEEN 1 AND 5"):
        assert state_of(carl, text) == "42501", text
    assert state_of(carl, "UPDATE orders SET note = 'as documented' WHERE year = 2") is None


def test_a_key_that_somebody_drops_is_none_from_then_on(gate, carl):
    for _ in range(3):
        wait_for("the key is seen", 10, lambda: state_of(carl, TEN) is None, 0.2)
        define(gate, NO_KEY)
        assert state_of(carl, TEN) == "42501"
        gate.sql(KEY)


def test_an_index_that_holds_nothing_is_no_key(gate, carl):
    """Of it nothing but one word of pg_index changes when it has been made, or is about to go."""
    define(gate, NO_KEY)
    assert state_of(carl, TEN) == "42501"
    gate.sql("CREATE UNIQUE INDEX o_key ON orders (id)")
    try:
        wait_for("the key is seen", 10, lambda: state_of(carl, TEN) is None, 0.2)
        define(gate, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'o_key'::regclass")
        assert state_of(carl, TEN) == "42501"
    finally:
        gate.sql("DROP INDEX o_key", KEY)


def test_a_statement_that_was_prepared(gate):
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        raw.log_in("carl", "orders-db", gate.password("carl"))

        def codes(*messages):
            raw.send(*messages)
            found = raw.until("Z")
            return [fields(body)["C"] for kind, body in found if kind == "E"]

        wait_for("the key is seen", 10, lambda: not codes(query(TEN)), 0.2)
        assert codes(parse(TEN, "ten"), bind(name="ten"), execute(), SYNC) == []
        assert codes(query(f"PREPARE sql_ten AS {TEN}")) == []
        assert codes(query("EXECUTE sql_ten")) == []
        define(gate, NO_KEY)
        assert codes(bind(name="ten"), execute(), SYNC) == ["42501"]
        gate.sql(KEY)
        wait_for("the key is seen", 10, lambda: not codes(bind(name="ten"), execute(), SYNC), 0.2)
        define(gate, NO_KEY)
        assert codes(query("EXECUTE sql_ten")) == ["42501"]
        gate.sql(KEY)
        wait_for("the key is seen", 10, lambda: not codes(query("EXECUTE sql_ten")), 0.2)


def test_who_drops_a_key_has_none(gate):
    """What is not committed yet no look of the gate would see."""
    with contextlib.closing(gate.connect("bea")) as bea:
        wait_for("the key is seen", 10, lambda: (state_of(bea, TEN), bea.rollback())[0] is None, 0.2)
        cursor = bea.cursor()
        cursor.execute(NO_KEY)
        assert state_of(bea, TEN) == "42501"
        bea.rollback()
        wait_for("the key is there again", 10, lambda: (state_of(bea, TEN), bea.rollback())[0] is None, 0.2)
        assert state_of(bea, f"{NO_KEY}; {TEN}") == "42501"
        bea.rollback()


def test_behind_a_lock_that_is_let_go(gate, carl):
    with contextlib.closing(gate.connect("bea")) as bea:
        bea.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        time.sleep(0.15)
        later = threading.Timer(1.5, bea.rollback)
        later.start()
        began = time.monotonic()
        assert state_of(carl, TEN) is None and 1.3 < time.monotonic() - began < 4.5
        later.join()
        bea.cursor().execute("LOCK TABLE orders IN SHARE MODE")
        time.sleep(0.15)
        later = threading.Timer(1, carl.cancel)
        later.start()
        assert state_of(carl, TEN) == "57014"
        later.join()
        assert state_of(carl, "SELECT 1") is None


def test_behind_a_lock(gate, carl):
    """Whose holder may drop the key before he lets it go: what would wait long is not run, but behind one's own."""
    assert state_of(carl, "SET statement_timeout = 3000") is None
    for lock in ("LOCK TABLE orders IN SHARE MODE", "LOCK TABLE orders", NO_KEY):
        wait_for("the key is seen", 10, lambda: state_of(carl, TEN) is None, 0.2)
        with contextlib.closing(gate.connect("bea")) as bea:
            bea.cursor().execute(lock)
            time.sleep(0.15)
            assert state_of(carl, TEN) == "55P03", lock
            assert state_of(carl, "SELECT count(*) FROM customers WHERE id BETWEEN 1 AND 3") is None
            assert state_of(carl, "UPDATE customers SET note = 'x' WHERE id BETWEEN 1 AND 3") is None, "another table"
            if lock != NO_KEY:
                assert state_of(bea, TEN) is None, "it is her own lock"
    wait_for("the lock is gone", 10, lambda: state_of(carl, TEN) is None, 0.2)


def test_temporary_tables_of_others_are_no_lock(gate, carl):
    with contextlib.closing(psycopg2.connect(**gate.pg.dsn("orders"))) as other:
        c = other.cursor()
        for i in range(40):
            c.execute(f"CREATE TEMP TABLE own_{i} (a int PRIMARY KEY)")
        time.sleep(0.3)
        assert state_of(carl, TEN) is None


def test_behind_other_statements(gate, carl):
    """While they run the key may go, without a lock that anybody waits for."""
    wait_for("the key is seen", 10, lambda: state_of(carl, TEN) is None, 0.2)
    assert state_of(carl, f"SELECT pg_sleep(0); {TEN}") == "42501"
    assert state_of(carl, f"{TEN}; SELECT 1") is None
    assert state_of(carl, f"BEGIN; {TEN}; COMMIT") is None
    assert state_of(carl, f"PREPARE ten AS {TEN}") is None
    assert state_of(carl, "EXECUTE ten") is None
    assert state_of(carl, "SELECT pg_sleep(0); EXECUTE ten") == "0A000"
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        raw.log_in("carl", "orders-db", gate.password("carl"))
        for drop in (False, True):
            raw.send(parse("SELECT pg_sleep(2)"), bind(), execute(), parse(TEN), bind(), execute(), SYNC)
            time.sleep(0.7)
            if drop:
                gate.sql(NO_KEY)
            assert [fields(body)["C"] for kind, body in raw.until("Z") if kind == "E"] == (["42501"] if drop else [])
    gate.sql(KEY)


def test_one_s_own_temporary_table(gate, carl):
    assert state_of(carl, "CREATE TEMP TABLE mine AS SELECT * FROM orders") is None
    assert state_of(carl, "DELETE FROM mine WHERE year BETWEEN 1 AND 5") is None

"""Names that come to mean other tables behind the gate's back: masks follow them, or nothing is told."""
import contextlib
import threading
import time

import psycopg2
import pytest

from dbgatelib import DatabaseOffice, orders_documents
from officelib import wait_for

DOCUMENTS = orders_documents(["analyst", "clerk"], """\
kind: Rule
name: analysts see masked people
who: { roles: [analyst] }
to: { resources: [orders-db] }
may: [connect, read]
with: { mask: [personal-info] }
---
kind: Rule
name: clerks write
who: { roles: [clerk] }
to: { resources: [orders-db] }
may: [connect, read, write]
""", postgres="""\
  broad: destroy
  parts:
    - table: public.customers
      class: internal
      columns:
        - { name: phone, mask: mobile, tags: [personal-info] }
""")
PHONE = "SELECT phone FROM customers WHERE id = 7"
SHOWN = "138****0007"


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS)
    try:
        one.sql("CREATE SCHEMA nxt AUTHORIZATION op_all;"
                "CREATE TABLE nxt.customers AS SELECT * FROM public.customers;"
                "ALTER TABLE nxt.customers OWNER TO op_all")
        one.person("anna", "analyst")
        one.person("carl", "clerk")
        yield one
    finally:
        one.close()


def session(gate, who):
    connection = gate.connect(who)
    connection.autocommit = True
    return connection.cursor()


def phone(cursor):
    cursor.execute(PHONE)
    return cursor.fetchone()[0]


def test_schemas_that_change_names(gate):
    """The usual switch of releases, at the server itself: seen with the next look, seconds later."""
    anna = session(gate, "anna")
    assert phone(anna) == SHOWN
    gate.sql("ALTER SCHEMA public RENAME TO old", "ALTER SCHEMA nxt RENAME TO public")
    try:
        wait_for("the masks of the new table", 15, lambda: phone(anna) == SHOWN, step=0.5)
    finally:
        gate.sql("ALTER SCHEMA public RENAME TO nxt", "ALTER SCHEMA old RENAME TO public")


class Churn(threading.Thread):
    """Views come and go at the server, as fast as it can."""

    def __init__(self, gate, name):
        super().__init__(daemon=True)
        self.gate, self.name, self.stopped, self.rounds = gate, f"churn_{name}", False, 0
        self.start()

    def run(self):
        with contextlib.closing(self.gate.direct("op_all")) as plain:
            plain.autocommit = True
            while not self.stopped:
                plain.cursor().execute(f"CREATE VIEW {self.name} AS SELECT o.*, now() FROM orders o")
                plain.cursor().execute(f"DROP VIEW {self.name}")
                self.rounds += 1


def test_what_is_dropped_while_it_is_read(gate):
    """The server cannot show the definition of a view that went meanwhile: that delays a look, and nobody is refused."""
    carl = session(gate, "carl")
    churns = [Churn(gate, name) for name in "ab"]
    asked, end = 0, time.monotonic() + 3
    try:
        while time.monotonic() < end:
            asked += 1
            with pytest.raises(psycopg2.Error) as what:
                carl.execute(f"SELECT count(*) FROM unheard_of_{asked}")
            assert what.value.pgcode == "42P01", what.value
    finally:
        for one in churns:
            one.stopped = True
            one.join(10)
    print(f"{asked} looks, {sum(one.rounds for one in churns)} views")
    assert asked > 5 and all(one.rounds > 20 for one in churns)
    assert "cannot be read" not in gate.office.log()


@pytest.mark.slow
def test_what_cannot_be_looked_at_is_not_relied_on(gate):
    """The gate's look at the database fails, and goes on failing: no clear values from then on."""
    anna = session(gate, "anna")
    assert phone(anna) == SHOWN
    gate.sql("ALTER ROLE op_all CONNECTION LIMIT 1",
             "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sallyport catalogue'")

    def refused():
        try:
            phone(anna)
        except psycopg2.Error as error:
            return error
        return None

    try:
        time.sleep(2)
        error = wait_for("a refusal", 40, refused, step=1)
        assert error.pgcode == "57P03", error
        anna.execute("SELECT 1")  # it needs no names
    finally:
        gate.sql("ALTER ROLE op_all CONNECTION LIMIT -1")
    wait_for("the look that succeeds", 20, lambda: refused() is None, step=0.5)
    assert phone(anna) == SHOWN


DELETES = [
    "DELETE FROM orders WHERE tableoid = 'orders'::regclass",
    "DELETE FROM orders WHERE xmax = 0",
    "DELETE FROM orders WHERE id = ANY (ARRAY(SELECT generate_series(1, 1000000)))",
    "DELETE FROM orders WHERE id IN (SELECT g.i FROM (SELECT 1 AS k, generate_series(1, 1000000) AS i) g WHERE g.k = 1)",
    "UPDATE orders SET note = NULL WHERE tableoid = 'orders'::regclass",
    "MERGE INTO orders USING (VALUES (1)) v(x) ON orders.tableoid = 'orders'::regclass WHEN MATCHED THEN DELETE",
    "DELETE FROM orders USING customers c WHERE c.id = 7 AND orders.id <> -7 AND orders.id <> -8",
    "DELETE FROM orders WHERE 1.5 > 1",
    "DELETE FROM orders WHERE random() <> random()",
    "DELETE FROM orders WHERE NOT (-id > 0)",
    "DELETE FROM orders WHERE CASE WHEN -id > 0 THEN false ELSE true END",
    "DELETE FROM orders WHERE '5'::int::bool",
    "DELETE FROM orders WHERE id::bool = true",
    "DELETE FROM orders WHERE (id::bool)::int IN (0, 1)",
    "DELETE FROM orders WHERE id::bit(1) IN (B'0', B'1')",
    "DELETE FROM orders o USING customers c WHERE c.id = 7 AND o.id::bool = c.id::bool",
    "DELETE FROM orders WHERE id = pg_stat_get_xact_tuples_deleted('orders'::regclass) + 1",
    "DELETE FROM orders WHERE (id > 0) IN (true, false)",
]


@pytest.mark.parametrize("text", DELETES)
def test_whatever_may_take_all_rows_is_no_write(gate, text):
    carl = session(gate, "carl")
    with pytest.raises(psycopg2.Error) as refused:
        carl.execute(text)
    assert refused.value.pgcode == "42501", refused.value
    carl.execute("DELETE FROM orders o USING customers c WHERE c.id = 100000 AND o.customer_id = c.id")

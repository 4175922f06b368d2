# SPDX-License-Identifier: Apache-2.0
"""What approvers see of a statement before they answer: its plan, its rows, what stands on what it takes away; and
what they are told when the database does not say.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "What approvers see".
"""

import psycopg2
import pytest

from dbgatelib import SCHEMA, office_of
from test_core_cli import Shell
from test_db_ask import DOCUMENTS, Waiting, answer, asked, nothing_waits

MORE = SCHEMA + """
CREATE TABLE traces (at timestamptz DEFAULT now());
CREATE FUNCTION trace() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO traces DEFAULT VALUES; RETURN 1; END';
CREATE FUNCTION sly() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN trace(); END';
CREATE FUNCTION of_orders(o orders) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE TRIGGER watch_out AFTER DELETE ON customers FOR EACH ROW EXECUTE FUNCTION noop();
CREATE SEQUENCE order_numbers OWNED BY orders.id;
CREATE SCHEMA staging;
CREATE TYPE staging.state AS ENUM ('new', 'old');
CREATE TYPE staging.pair AS (a int, b int);
CREATE FUNCTION staging.one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE TABLE staging.members (who text, level int);
CREATE TABLE pairs OF staging.pair;
INSERT INTO pairs SELECT g, g FROM generate_series(1, 30) g;
CREATE TABLE docs (id int DEFAULT staging.one(), st staging.state, secret bool, CONSTRAINT above CHECK (id > staging.one() - 2));
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON docs USING (true);
CREATE POLICY only_members ON docs AS RESTRICTIVE USING (NOT secret OR EXISTS (SELECT FROM staging.members m WHERE m.level > 1));
ANALYZE;
"""
VOUCHED = DOCUMENTS.replace("functions: [", "functions: [{ name: public.sly, action: read }, ")


gate = office_of(VOUCHED, (("dora", "dba"), ("lena", "lead"), ("leo", "lead")), schema=MORE)


@pytest.fixture
def dora(gate):
    connection = gate.connect("dora")
    connection.autocommit = True
    yield connection
    connection.cancel()
    connection.close()
    nothing_waits(gate)


def question(gate, connection, text):
    """The statement begins to wait: what its approver sees, and the statement."""
    run = Waiting(connection, text)
    item = asked(gate)
    return gate.people["lena"].get(f"/approvals/{item['id']}"), run


def refuse(gate, item, run):
    answer(gate, item, "refuse", reason="only looked at")
    run.join(20)
    assert run.error is not None and run.error.pgcode == "42501"


def touched(item):
    return {(one["kind"], one["name"]): (one["why"], one["rows"]) for one in item["plan"]["touches"]}


def test_plan_rows_and_dependants(gate, dora, tmp_path):
    item, run = question(gate, dora, "DELETE FROM customers")
    assert item["estimated_rows"] == 20 and item["plan"]["why_not"] is None
    assert item["plan"]["lines"][0].startswith("Delete on customers") and "Seq Scan" in item["plan"]["lines"][1]
    seen = touched(item)
    assert seen["table", "public.customers"] == ("named", 20)
    assert seen["table", "public.orders"] == ("goes with it", 200)
    assert seen["view", "public.v_customers"][0] == "reads it" and seen["view", "public.v_names"][0] == "reads it"
    assert "deletes its rows too" in seen["foreign key", "public.orders.orders_customer_id_fkey"][0]
    assert seen["sequence", "public.order_numbers"] == ("belongs to it", 0)
    assert seen["function", "public.of_orders"] == ("uses it", 0)
    assert seen["trigger", "public.customers.watch_out"] == ("runs with it", 0)
    shown = Shell(gate.office, gate.people["lena"], tmp_path).run("approvals", "show", item["id"])
    assert "Delete on customers" in shown and "public.v_names  reads it" in shown and "about 200 rows" in shown
    refuse(gate, item, run)
    assert any("about 20 rows" in notice for notice in dora.notices)


def test_what_has_no_plan_tells_the_rows_of_its_tables(gate, dora):
    for text, rows, tables in (("TRUNCATE orders; DROP TABLE audit.entries", 210, {"public.orders", "audit.entries"}),
                               ("DROP SCHEMA audit CASCADE", 10, {"audit.entries"}),
                               ("TRUNCATE customers CASCADE", 220, {"public.customers", "public.orders"})):
        item, run = question(gate, dora, text)
        assert item["plan"]["lines"] == [] and item["plan"]["why_not"] is None and item["estimated_rows"] == rows, text
        assert {name for kind, name in touched(item) if kind == "table"} == tables
        refuse(gate, item, run)


def test_what_falls_in_other_schemas_is_shown(gate, dora):
    """Who agrees to losing a column sees that another table is opened by it."""
    policy = ("policy", "only_members on public.docs")
    item, run = question(gate, dora, "ALTER TABLE staging.members DROP COLUMN level CASCADE")
    assert touched(item)[policy] == ("depends on it", 0)
    refuse(gate, item, run)
    item, run = question(gate, dora, "DROP SCHEMA staging CASCADE")
    seen = touched(item)
    assert item["estimated_rows"] == 30 and seen["table", "public.pairs"] == ("goes with it", 30) and item["plan"]["why_not"] is None
    assert {(kind, name) for (kind, name), (why, _) in seen.items() if why == "depends on it"} == {
        policy, ("column", "public.docs.st"), ("default", "for public.docs.id"), ("constraint", "above on public.docs")}
    refuse(gate, item, run)


def test_it_is_said_when_more_may_go_than_is_counted(gate, dora):
    item, run = question(gate, dora, "TRUNCATE orders CASCADE; DROP TABLE audit.entries")
    assert "named and counted" in item["plan"]["why_not"]
    refuse(gate, item, run)
    with gate.direct("op_all") as other:
        other.cursor().execute("LOCK TABLE orders")
        item, run = question(gate, dora, "TRUNCATE orders")
        assert "lock timeout" in item["plan"]["why_not"]
        other.rollback()
        refuse(gate, item, run)


def test_changes_within_with_are_counted(gate, dora):
    item, run = question(gate, dora, "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone")
    assert item["estimated_rows"] == 200 and any("Delete on orders" in line for line in item["plan"]["lines"])
    refuse(gate, item, run)


def test_planning_runs_nothing(gate, dora):
    # declared IMMUTABLE and vouched for by the policy: planning computes it, and the server lets it write nothing
    item, run = question(gate, dora, "DELETE FROM orders; SELECT sly()")
    assert "read-only" in item["plan"]["why_not"]
    refuse(gate, item, run)
    item, run = question(gate, dora, "DELETE FROM orders; EXPLAIN ANALYZE DELETE FROM customers")
    refuse(gate, item, run)
    assert gate.sql("SELECT count(*) FROM traces") in ("0", [(0,)])
    assert gate.sql("SELECT count(*) FROM orders") in ("200", [(200,)])


def test_it_is_said_when_there_is_no_plan(gate, dora):
    with dora.cursor() as c:
        c.execute("CREATE TEMP TABLE chosen (id int)")
    item, run = question(gate, dora, "DELETE FROM orders WHERE true OR id IN (SELECT id FROM chosen)")
    assert 'relation "chosen" does not exist' in item["plan"]["why_not"] and item["plan"]["lines"] == []
    assert item["estimated_rows"] == 200  # all that is there
    refuse(gate, item, run)
    assert any("no whole plan" in notice for notice in dora.notices)
    with gate.direct("op_all") as other:
        other.cursor().execute("LOCK TABLE orders")
        item, run = question(gate, dora, "DELETE FROM orders")
        assert "lock timeout" in item["plan"]["why_not"]
        other.rollback()
        refuse(gate, item, run)


def test_secrets_stay_out_of_plans(gate, dora):
    item, run = question(gate, dora, "DELETE FROM orders WHERE true OR note = 'password=geheim1'")
    assert "geheim1" not in str(item)
    refuse(gate, item, run)


def test_it_can_be_cancelled_while_the_plan_is_asked_for(gate, dora):
    with gate.direct("op_all") as other:
        other.cursor().execute("LOCK TABLE orders")
        run = Waiting(dora, "DELETE FROM orders")
        while run.is_alive():
            dora.cancel()
            run.join(0.2)
        other.rollback()
    assert isinstance(run.error, psycopg2.Error) and run.error.pgcode == "57014"

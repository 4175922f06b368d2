# SPDX-License-Identifier: Apache-2.0
"""A cursor's rows are of what its names meant when it was declared, a portal's of when it was bound; where they mean anything else
since, nothing is fetched of it, whatever the person may do with what they mean now.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md; gates/db/means.c, gates/db/rows.c.
"""
import contextlib
import time

import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from officelib import PATIENT_S, wait_for
from pgraw import FLUSH, SYNC, Raw, bind, describe, execute, fields, parse, query

LIMIT = 20
DOCUMENTS = orders_documents(["few", "masked"], f"""\
kind: Rule
name: a few rows
who: {{ roles: [few] }}
to: {{ resources: [orders-db] }}
may: [connect, read, alter]
with: {{ limit: {{ rows: {LIMIT} }} }}
---
kind: Rule
name: sees masks
who: {{ roles: [masked] }}
to: {{ resources: [orders-db] }}
may: [connect, read]
with: {{ mask: [personal-info] }}
""", postgres="""\
  parts:
    - { table: public.people, tags: [personal-info], columns: [{ name: phone, mask: full }] }
""")
MAKES = "CREATE TABLE people AS SELECT * FROM customers"

gate = office_of(DOCUMENTS, (("liam", "few"), ("mona", "masked")), schema=SCHEMA)


@pytest.fixture
def people(gate):
    gate.sql("DROP TABLE IF EXISTS people CASCADE", MAKES, "ALTER TABLE people OWNER TO op_all")
    with contextlib.closing(session(gate, "mona")) as raw:
        wait_for("the gate to see it", PATIENT_S, lambda: b"138" not in b"".join(body for _, body in raw.ask("SELECT phone FROM people"))
                 and any(body.endswith(b"20") for kind, body in raw.ask("SELECT max(id) FROM people") if kind == "D"))
    yield gate


def session(gate, name):
    raw = Raw(gate.port, tls=None, timeout=30)
    assert raw.log_in(name, "orders-db", gate.password(name))[-1] == ("Z", b"I")
    return raw


def rows(found):
    return sum(kind == "D" for kind, _ in found)


def says(found):
    return [fields(body)["C"] for kind, body in found if kind == "E"]


def done(raw, *texts):
    for text in texts:
        assert says(raw.ask(text)) == [], text


HELD = "DECLARE h CURSOR WITH HOLD FOR SELECT * FROM own_v"


@pytest.mark.parametrize("view", ["SELECT * FROM orders", "SELECT o.id FROM orders o, generate_series(1, 60) g"])
@pytest.mark.parametrize("hides", ["CREATE TEMP TABLE own_v (id int)", "CREATE TABLE own_v (id int)", "SELECT 1"])
def test_a_limit_holds_for_what_the_cursor_was_declared_of(gate, view, hides):
    with contextlib.closing(session(gate, "liam")) as raw:
        done(raw, f"CREATE VIEW own_v AS {view}", HELD, "MOVE 1 FROM h")
        gate.sql("ALTER VIEW own_v RENAME TO own_w")
        wait_for("the gate to see it", PATIENT_S, lambda: says(raw.ask("SELECT 1 FROM own_w WHERE false")) == [])
        done(raw, hides)
        for fetch in ("FETCH ALL FROM h", "MOVE 3 FROM h", "FETCH 1 FROM h"):
            found = raw.ask(fetch)
            assert (says(found), rows(found)) == (["0A000"], 0)
        raw.send(parse("FETCH ALL FROM h"), bind(), execute(), SYNC)
        assert says(raw.until("Z")) == ["0A000"]
        done(raw, "CLOSE h", "DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders", "FETCH 3 FROM h")
    gate.sql("DROP VIEW IF EXISTS own_v, own_w") if hides == "SELECT 1" else gate.sql("DROP VIEW own_w", "DROP TABLE IF EXISTS own_v")
    gate.audrey.fresh()
    wait_for("the refusal in the ledger", PATIENT_S, lambda: any(
        e.get("verdict") == "deny" and '"h" reads mean something else' in e.get("object", "")
        for e in gate.audrey.items("/admin/ledger/events?limit=50&gate=db")))


def test_a_view_that_is_replaced_is_another_one(gate):
    with contextlib.closing(session(gate, "liam")) as raw:
        done(raw, "CREATE VIEW own_v AS SELECT id FROM orders", HELD, "FETCH 1 FROM h")
        gate.sql("CREATE OR REPLACE VIEW own_v AS SELECT 1 AS id")
        wait_for("the gate to see it", PATIENT_S, lambda: says(raw.ask("FETCH 1 FROM h")) == ["0A000"])
    gate.sql("DROP VIEW own_v")


@pytest.mark.parametrize("hides", ["CREATE TEMP TABLE people (id int)", "SELECT 1"])
def test_masks_hold_for_what_the_cursor_was_declared_of(people, hides):
    with contextlib.closing(session(people, "mona")) as raw:
        done(raw, "DECLARE h CURSOR WITH HOLD FOR SELECT * FROM people")
        first = raw.ask("FETCH 1 FROM h")
        assert rows(first) == 1 and b"138" not in next(body for kind, body in first if kind == "D")
        people.sql("DROP TABLE people")
        wait_for("the gate to see it", PATIENT_S, lambda: says(raw.ask("FETCH 1 FROM h")) == ["0A000"])
        done(raw, hides)
        found = raw.ask("FETCH ALL FROM h")
        assert (says(found), rows(found)) == (["0A000"], 0)


def test_of_another_table_of_that_name(people):
    with contextlib.closing(session(people, "mona")) as raw:
        done(raw, "DECLARE h CURSOR WITH HOLD FOR SELECT * FROM people", "FETCH 1 FROM h")
        people.sql("DROP TABLE people", "CREATE TABLE people (id int)", "ALTER TABLE people OWNER TO op_all")
        wait_for("the gate to see it", PATIENT_S, lambda: says(raw.ask("FETCH 1 FROM h")) == ["0A000"])


def test_what_comes_from_a_table_that_nobody_knows_is_masked(people):
    """A new table has the name of the view by the time the text comes to it; where the gate has read the new table by then, it is tried again."""
    seen = []
    for _ in range(4):
        people.sql("DROP TABLE IF EXISTS shows", "CREATE VIEW shows AS SELECT note AS phone FROM orders",
                   "ALTER VIEW shows OWNER TO op_all")
        with contextlib.closing(session(people, "mona")) as raw:
            wait_for("the gate to see it", PATIENT_S, lambda: rows(raw.ask("SELECT phone FROM shows")) == 200)
            raw.send(query("SELECT pg_sleep(0.5); SELECT phone FROM shows"))
            time.sleep(0.1)
            people.sql("DROP VIEW shows", "CREATE TABLE shows AS SELECT phone FROM customers", "GRANT ALL ON shows TO op_all")
            found = raw.until("Z")
            seen.append((rows(found), b"138" in b"".join(body for _, body in found)))
        if seen[-1] == (21, False):
            break
    people.sql("DROP TABLE shows")
    assert seen[-1] == (21, False), seen


def test_cursors_and_portals_go_on(gate):
    """Also where others make tables meanwhile, and where temporary tables are among what they read."""
    with contextlib.closing(session(gate, "liam")) as raw:
        done(raw, "DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders", "FETCH 1 FROM h", "CREATE TABLE apart (id int)", "FETCH 1 FROM h",
             "BEGIN", "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS id", "DECLARE c CURSOR FOR SELECT o.id FROM orders o JOIN t USING (id)",
             "FETCH 1 FROM c", "CREATE INDEX ON apart (id)", "FETCH 1 FROM c", "COMMIT", "FETCH 1 FROM h",
             "CREATE TEMP TABLE kept AS SELECT 1 AS id", "DECLARE k CURSOR WITH HOLD FOR SELECT id FROM kept", "SELECT 1", "FETCH 1 FROM k",
             "CLOSE h", "DROP TABLE pg_temp.kept")
        gate.sql("DROP TABLE apart")
        done(raw, "BEGIN", "CREATE TEMP TABLE t (id int)")
        raw.send(parse("SELECT id FROM orders", "s"), bind("p", "s"), describe("p"), execute("p", 2), FLUSH)
        assert raw.until("s")[-1][0] == "s"
        raw.send(parse("INSERT INTO t VALUES (1)"), bind(), execute(), FLUSH, execute("p", 2), FLUSH)
        assert raw.until("s")[-1][0] == "s"
        raw.send(parse("SELECT id FROM t", "t"), bind("q", "t"), execute("q"), bind("", "s"), execute("", 1), SYNC)
        found = raw.until("Z")
        assert says(found) == [] and rows(found) == 2
        done(raw, "COMMIT")
        for _ in range(3):
            raw.send(bind("", "t"), describe(""), execute(""), SYNC, bind("", "s"), execute("", 1), SYNC)
            assert [says(raw.until("Z")) for _ in range(2)] == [[], []]

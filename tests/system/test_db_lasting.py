# SPDX-License-Identifier: Apache-2.0
"""When a session ends the server drops what stands on its temporary tables, and asks nobody. Who may only alter gives a view that is
there something temporary to stand on, by all ways in which a name gets into a definition; a view and the rows that were made of it
are there when he has gone.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "Names that nobody knows"; lib/sql/lasting.c.
"""
import contextlib
import struct
import time

import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from pgraw import SYNC, Raw, bind, execute, fields, message

DOCUMENTS = orders_documents(["builder"], """\
kind: Rule
name: builds
who: { roles: [builder] }
to: { resources: [orders-db] }
may: [connect, read, alter]
""")
MORE = """
CREATE VIEW vk AS SELECT id FROM orders;
CREATE MATERIALIZED VIEW mk AS SELECT id FROM vk;
ALTER VIEW vk OWNER TO op_all; ALTER MATERIALIZED VIEW mk OWNER TO op_all;
"""
gate = office_of(DOCUMENTS, (("liam", "builder"),), schema=SCHEMA + MORE)
VIEW = "CREATE OR REPLACE VIEW vk AS SELECT id"


@pytest.fixture
def raw(gate):
    one = Raw(gate.port, tls=None)
    assert one.log_in("liam", "orders-db", gate.password("liam"))[-1] == ("Z", b"I")
    with contextlib.closing(one):
        yield one


def says(found):
    return [fields(body) for kind, body in found if kind == "E"]


def number(raw, text):
    return next(body[6:].decode() for kind, body in raw.ask(text) if kind == "D")


def stays(gate, raw):
    raw.close()
    until = time.monotonic() + 20
    while gate.sql("SELECT count(*) FROM pg_class WHERE relpersistence = 't'") != [(0,)] and time.monotonic() < until:
        time.sleep(0.05)
    assert gate.sql("SELECT count(*) FROM mk") == [(200,)] and gate.sql("SELECT count(*) FROM vk") == [(200,)]


@pytest.mark.parametrize("made", [
    "CREATE TABLE made AS SELECT scratch AS x FROM scratch", "SELECT array_agg(s) AS x INTO made FROM scratch s",
    "CREATE TABLE made AS SELECT NULL AS x UNION ALL SELECT s FROM scratch s",
    "CREATE TEMP TABLE more (x scratch); CREATE TABLE made AS SELECT x FROM more",
    "CREATE TEMP TABLE more (x int GENERATED ALWAYS AS (CASE WHEN 'scratch'::regclass IS NULL THEN 1 ELSE 0 END) STORED); "
    "CREATE TABLE made (LIKE more INCLUDING GENERATED)"])
def test_a_table_made_of_temporary_rows(gate, raw, made):
    assert says(raw.ask("CREATE TEMP TABLE scratch (a int)")) == []
    refused = says(raw.ask(made))
    says(raw.ask(f"{VIEW}, (SELECT count(x) FROM made) AS more FROM orders"))
    stays(gate, raw)
    assert [one["C"] for one in refused] == ["42501"] and "temporary" in refused[0]["M"]


def test_a_column_of_a_type_that_only_the_parameter_tells(gate, raw):
    assert says(raw.ask("CREATE TEMP TABLE scratch (a int)")) == []
    oid = int(number(raw, "SELECT oid FROM pg_type WHERE typname = 'scratch'"))
    text = b"\0CREATE TABLE made AS SELECT $1 AS x\0" + struct.pack(">HI", 1, oid)
    raw.send(message("P", text), bind("", "", (None,)), execute(), SYNC)
    refused = says(raw.until("Z"))
    says(raw.ask(f"{VIEW}, (SELECT count(x) FROM made) AS more FROM orders"))
    stays(gate, raw)
    assert [one["C"] for one in refused] == ["0A000"]


@pytest.mark.parametrize("constant", ["pg_relation_size('{oid}') >= 0", "pg_relation_size('scratch') >= 0", "pg_relation_size('scratch_pkey') >= 0",
                                      "'{oid}'::regclass IS NOT NULL", "coalesce(NULL::regclass, 'scratch') IS NOT NULL"])
def test_a_constant(gate, raw, constant):
    assert says(raw.ask("CREATE TEMP TABLE scratch (a serial PRIMARY KEY)")) == []
    oid = number(raw, "SELECT 'scratch'::regclass::oid")
    refused = says(raw.ask(f"{VIEW} FROM orders WHERE {constant.format(oid=oid)}"))
    stays(gate, raw)
    assert [one["C"] for one in refused] == ["42501"] and "write 'x'::text, or define it in a session without" in refused[0]["M"]


@pytest.mark.parametrize("constant", ["pg_relation_size('{oid}') >= 0", "'{schema}.scratch'::regclass IS NOT NULL"])
def test_what_another_session_has(gate, raw, constant):
    assert says(raw.ask("CREATE TEMP TABLE scratch (a int)")) == []
    oid = number(raw, "SELECT 'scratch'::regclass::oid")
    schema = number(raw, "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'scratch'")
    with contextlib.closing(Raw(gate.port, tls=None)) as other:
        assert other.log_in("liam", "orders-db", gate.password("liam"))[-1] == ("Z", b"I")
        refused = says(other.ask(f"{VIEW} FROM orders WHERE {constant.format(oid=oid, schema=schema)}"))
    stays(gate, raw)
    assert [one["C"] for one in refused] == ["42501"]


def test_honest_definitions(gate, raw):
    assert says(raw.ask("CREATE TEMP TABLE stage AS SELECT 1 AS id, 'open' AS state")) == []
    assert says(raw.ask("CREATE TABLE kept AS SELECT s.*, s.id + 1 AS next FROM stage s")) == []
    assert says(raw.ask("CREATE INDEX ON kept (id) WHERE state = 'open'::text")) == []
    assert says(raw.ask("CREATE VIEW open AS SELECT id FROM kept WHERE state = 'open'::text")) == []
    assert says(raw.ask("DISCARD ALL")) == []
    assert says(raw.ask("CREATE VIEW later AS SELECT id FROM kept WHERE state = 'open'")) == []
    stays(gate, raw)
    assert gate.sql("SELECT * FROM open") == [(1,)] and gate.sql("SELECT * FROM later") == [(1,)]

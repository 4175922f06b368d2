# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: tables that inherit from others, partitions of the same names in several schemas, and what is
told before anybody agrees.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""
import contextlib

import pytest

from keeper_client import ESTIMATE, KEEP, UNDO
from keeperlib import keep, row, server_and_keeper, undo
from vault_client import ECONFLICT, OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""
EVENTS = """
SET ROLE owner; CREATE SCHEMA shop;
CREATE TABLE shop.ev (id int PRIMARY KEY, note text);
CREATE TABLE shop.ev_old (PRIMARY KEY (id)) INHERITS (shop.ev);
CREATE TABLE shop.a_old (PRIMARY KEY (id)) INHERITS (shop.ev);
INSERT INTO shop.ev VALUES (5, 'live five'), (6, 'live six');
INSERT INTO shop.ev_old VALUES (5, 'old five'), (7, 'old seven');
INSERT INTO shop.a_old VALUES (5, 'older five');
"""


server, keeper = server_and_keeper(ROLES)


@pytest.fixture
def shop(server):
    server.sql(EVENTS, "orders")
    yield
    server.sql("DROP SCHEMA shop CASCADE", "orders")


def events(server):
    text = server.sql("SELECT tableoid::regclass, id, note FROM shop.ev ORDER BY 1::text, 2", "orders")
    return text.splitlines()


def test_what_inherits_is_not_written_by_what_was_its_parents(keeper, server, shop):
    keep(keeper, server, 1, "UPDATE", "shop.ev")
    server.sql("UPDATE ONLY shop.ev SET note = 'wrong'", "orders")
    server.sql("UPDATE shop.ev_old SET note = 'new of others' WHERE id = 5", "orders")
    report = undo(keeper, server, 1, "UPDATE")
    assert row(report, "shop.ev")["reverted"] == 2, report
    assert "shop.ev|5|live five" in events(server) and "shop.ev|6|live six" in events(server)
    assert "shop.ev_old|5|new of others" in events(server)


@pytest.mark.parametrize("keyed", [True, False])
def test_a_row_of_a_child_is_not_the_parents(keeper, server, shop, keyed):
    if not keyed:
        server.sql("ALTER TABLE shop.ev DROP CONSTRAINT ev_pkey; UPDATE shop.ev_old SET note = 'live five' WHERE id = 5", "orders")
    before = events(server)
    keep(keeper, server, 2 + keyed, "DELETE", "shop.ev")
    server.sql("DELETE FROM ONLY shop.ev", "orders")
    report = undo(keeper, server, 2 + keyed, "DELETE")
    assert row(report, "shop.ev")["inserted"] == 2, report
    assert events(server) == before


def test_a_column_that_is_inherited_comes_back_everywhere(keeper, server, shop):
    before = events(server)
    keep(keeper, server, 4, "ALTER", "shop.ev")
    server.sql("ALTER TABLE shop.ev DROP COLUMN note", "orders")
    undo(keeper, server, 4, "ALTER")
    assert events(server) == before


MONTHS = """
SET ROLE owner; CREATE SCHEMA {0};
CREATE TABLE {0}.logs (at int PRIMARY KEY, said text) PARTITION BY RANGE (at);
CREATE TABLE {0}.logs_1 PARTITION OF {0}.logs FOR VALUES FROM (0) TO (100);
INSERT INTO {0}.logs VALUES (1, 'of {0}'), (2, 'of {0}');
"""


def test_a_schema_beside_one_with_partitions_of_the_same_names(keeper, server):
    for name in ("first", "second"):
        server.sql(MONTHS.format(name), "orders")
    try:
        keep(keeper, server, 5, "DROP", whole=True)
        server.sql("DROP SCHEMA first CASCADE", "orders")
        undo(keeper, server, 5, "DROP", whole=True)
        for name in ("first", "second"):
            assert server.sql(f"SELECT tableoid::regclass, at, said FROM {name}.logs ORDER BY at", "orders").splitlines() == [
                f"{name}.logs_1|1|of {name}", f"{name}.logs_1|2|of {name}"]
    finally:
        server.sql("DROP SCHEMA IF EXISTS first, second CASCADE", "orders")


# ---- what is told before ----

def limits(keeper, server, verb, *objects, **more):
    code, _, _, report, why = keeper.job(ESTIMATE, port=server.port, verb=verb, objects=objects, **more)
    assert code == OK, why
    return report["limits"]


@pytest.fixture
def far(server):
    server.sql("CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far; GRANT USAGE ON FOREIGN SERVER far TO owner;"
               "CREATE SCHEMA far AUTHORIZATION owner; SET ROLE owner; CREATE FOREIGN TABLE far.ft (id int) SERVER far;"
               "CREATE VIEW far.fv AS TABLE far.ft; CREATE TABLE far.near (id int PRIMARY KEY)", "orders")
    yield
    server.sql("DROP SCHEMA far CASCADE; DROP FOREIGN DATA WRAPPER far CASCADE", "orders")


@pytest.mark.parametrize("verb, names", [("DELETE", ["far.fv", "far.ft"]), ("TRUNCATE", ["far.near", "far.ft"])])
def test_a_foreign_table_that_is_named_does_not_fall_out(keeper, server, far, verb, names):
    assert any("far.ft has its rows on another server: they cannot be kept" in one for one in limits(keeper, server, verb, *names))
    code, _, _, _, why = keeper.job(KEEP, keep=6, port=server.port, verb=verb, objects=names)
    assert code == ECONFLICT and "far.ft has its rows on another server" in why, why


def test_a_foreign_table_that_is_dropped_comes_back(keeper, server, far):
    keep(keeper, server, 7, "DROP", "far.ft")
    server.sql("DROP FOREIGN TABLE far.ft CASCADE", "orders")
    undo(keeper, server, 7, "DROP")
    assert server.sql("SELECT relkind FROM pg_class WHERE oid IN ('far.ft'::regclass, 'far.fv'::regclass) ORDER BY 1", "orders").split() == ["f", "v"]


def test_a_role_that_cannot_load_rows_is_told_before(keeper, server, shop):
    assert limits(keeper, server, "DELETE", "shop.ev") == []
    server.sql("REVOKE ALL ON DATABASE orders FROM PUBLIC, owner; GRANT CONNECT ON DATABASE orders TO op_keep")
    try:
        assert any("may not make temporary tables" in one for one in limits(keeper, server, "DELETE", "shop.ev"))
        server.sql("GRANT TEMPORARY ON DATABASE orders TO op_keep")
        assert limits(keeper, server, "DELETE", "shop.ev") == []
    finally:
        server.sql("GRANT ALL ON DATABASE orders TO owner; GRANT CONNECT, TEMPORARY ON DATABASE orders TO PUBLIC; REVOKE TEMPORARY ON DATABASE orders FROM op_keep")


def test_the_gravest_is_told_first_and_how_many_more(keeper, server, shop):
    """Whoever makes tables in front of it does not hide what is told of another."""
    names = [f"shop.b{n}" for n in range(30)] + ["shop.z"]
    for name in names:
        server.sql(f"SET ROLE owner; CREATE TABLE {name} (id int)", "orders")
    server.sql("REVOKE ALL ON DATABASE orders FROM PUBLIC, owner; GRANT CONNECT ON DATABASE orders TO op_keep")
    try:
        said = limits(keeper, server, "UPDATE", *names)
        assert "may not make temporary tables" in said[0] and said[-1] == "and 12 more such sentences", said
    finally:
        server.sql("GRANT ALL ON DATABASE orders TO owner; GRANT CONNECT, TEMPORARY ON DATABASE orders TO PUBLIC; REVOKE TEMPORARY ON DATABASE orders FROM op_keep")


def test_a_database_comes_back_with_its_provider(keeper, server):
    server.sql("ALTER ROLE op_keep CREATEDB")
    server.sql("DROP DATABASE orders")
    server.sql("CREATE DATABASE orders OWNER owner TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE'")
    kind = "SELECT datlocprovider, daticulocale, datcollate FROM pg_database WHERE datname = 'orders'"
    before = server.sql(kind)
    keep(keeper, server, 8, "DROP", whole=True)
    server.sql("DROP DATABASE orders")
    report = undo(keeper, server, 8, "DROP", whole=True)
    assert server.sql(kind) == before and before.startswith("i|sv-SE|")
    assert any("settings made with ALTER DATABASE" in one for one in report["told"])


# ---- columns that others gave another type ----

@pytest.fixture
def docs(server):
    server.sql("SET ROLE owner; CREATE SCHEMA pp; CREATE TABLE pp.small (id int PRIMARY KEY); INSERT INTO pp.small VALUES (1);"
               "CREATE TABLE pp.docs (id int PRIMARY KEY, note varchar(10), v numeric(10,2)); INSERT INTO pp.docs VALUES (1, 'short', 1.25)", "orders")
    yield
    server.sql("DROP SCHEMA pp CASCADE", "orders")


WIDER = """ALTER TABLE pp.docs ALTER note TYPE text, ALTER v TYPE numeric;
           UPDATE pp.docs SET note = 'a much longer note of others', v = 1.23456"""


@pytest.mark.parametrize("verb", ["DROP", "ANY"])
def test_what_others_widened_is_not_cut_by_the_undo_of_something_else(keeper, server, docs, verb):
    keep(keeper, server, 9, verb, whole=True)
    server.sql("DROP TABLE pp.small CASCADE", "orders")
    server.sql(WIDER, "orders")
    report = undo(keeper, server, 9, verb, whole=True)
    assert server.sql("SELECT note, v FROM pp.docs", "orders") == "a much longer note of others|1.23456"
    assert server.sql("TABLE pp.small", "orders") == "1"
    assert verb == "DROP" or any("a column has another type now" in one for one in report["told"])


def test_what_others_wrote_that_fits_is_only_written_otherwise(keeper, server, docs):
    """A timestamp of a whole day is a date, though it has other letters."""
    server.sql("SET ROLE owner; ALTER TABLE pp.docs ADD COLUMN on_day date DEFAULT '2026-11-27'", "orders")
    keep(keeper, server, 11, "ALTER", "pp.docs")
    server.sql("ALTER TABLE pp.docs ALTER on_day DROP DEFAULT, ALTER on_day TYPE timestamp", "orders")
    server.sql("INSERT INTO pp.docs VALUES (2, 'of others', 1, '2026-11-28')", "orders")
    undo(keeper, server, 11, "ALTER")
    assert server.sql("SELECT on_day FROM pp.docs WHERE id = 2", "orders") == "2026-11-28"


def test_a_type_that_would_cut_what_others_wrote_is_not_put_back(keeper, server, docs):
    with contextlib.closing(server.connect(database="orders")) as holder:
        holder.autocommit = False
        holder.cursor().execute("LOCK TABLE pp.docs IN SHARE ROW EXCLUSIVE MODE; SELECT pg_current_xact_id()")
        keep(keeper, server, 10, "ALTER", "pp.docs", holder=holder.get_backend_pid())
        holder.cursor().execute("ALTER TABLE pp.docs ALTER note TYPE text")
        holder.commit()
    server.sql("UPDATE pp.docs SET note = 'a much longer note of others'", "orders")
    code, _, _, _, why = keeper.job(UNDO, keep=10, port=server.port, verb="ALTER")
    assert code == ECONFLICT and "column note has another type now, and what others wrote into it since does not fit into character varying(10)" in why, why
    server.sql("UPDATE pp.docs SET note = 'short'", "orders")
    undo(keeper, server, 10, "ALTER")
    assert server.sql("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'pp.docs'::regclass AND attname = 'note'",
                      "orders") == "character varying(10)"

# SPDX-License-Identifier: Apache-2.0
"""What nobody looked at would run as the keeper's role: approvers are told before, and what only went along keeps nothing
else from coming back.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import pytest

from keeper_client import ESTIMATE, TRY_UNDO, UNDO
from keeperlib import kept, refused, server_and_keeper, trap, undone  # noqa: F401
from vault_client import OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE mallory NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner, mallory;
GRANT pg_read_all_data TO op_keep;
"""
server, keeper = server_and_keeper(ROLES)

CALLS = {
    "a generated column": "g int GENERATED ALWAYS AS (trap.calm(id)) STORED",
    "a check": "CHECK (trap.spring(id))",
    "a domain": "d trap.odd DEFAULT 1",
    "the server's own": "CHECK (query_to_xml('SELECT trap.spring(1)', true, false, '') IS NOT NULL)",
}
SAID = {"a generated column": "trap.calm(integer)", "a check": "trap.spring(integer)", "a domain": "trap.spring(integer)",
        "the server's own": "query_to_xml"}


@pytest.fixture
def sales(server):
    """Another schema, which nobody's code keeps away."""
    server.sql("CREATE SCHEMA sales AUTHORIZATION owner; SET ROLE owner; CREATE TABLE sales.orders (id int PRIMARY KEY, n int CHECK (n > 0));"
               "INSERT INTO sales.orders SELECT i, i FROM generate_series(1, 5) i", "orders")
    yield
    server.sql("DROP SCHEMA IF EXISTS sales CASCADE", "orders")


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("falls", ["the table", "its schema", "nothing"])
def test_a_table_whose_code_nobody_looked_at_keeps_nothing_else_away(keeper, server, trap, sales, name, falls):
    trap(("CREATE DOMAIN trap.odd AS int CHECK (trap.spring(VALUE));" if name == "a domain" else "") +
         f"CREATE TABLE trap.z (id int PRIMARY KEY, {CALLS[name]}); INSERT INTO trap.z VALUES (1);"
         "CREATE INDEX ON trap.z ((id + 1)); CREATE VIEW trap.v AS SELECT id FROM trap.z; CREATE TABLE trap.hangs (id int REFERENCES trap.z); COMMENT ON TABLE trap.z IS 'z'")
    server.sql("ALTER SEQUENCE trap.sprung OWNER TO owner", "orders")
    report = kept(keeper, server, "DROP", whole=True)
    if name != "the server's own":
        assert any(f"trap.z calls {SAID[name]} of owner" in x and "or, where that falls, too, owner is a superuser" in x for x in report["limits"]), report["limits"]
    server.sql("DROP SCHEMA sales CASCADE", "orders")
    server.sql({"the table": "DROP TABLE trap.z CASCADE", "its schema": "DROP SCHEMA trap CASCADE", "nothing": "SELECT 1"}[falls], "orders")
    try:
        for kind in (TRY_UNDO, UNDO):
            code, report, why = undone(keeper, server, "DROP", kind)
            assert code == OK, why
            assert report["complete"] == (falls == "nothing"), report
            gone = name == "a domain" and falls == "its schema"
            told = [t for t in report["told"] if ("DOMAIN trap odd" if gone else SAID[name]) in t]
            assert (told == []) == (falls == "nothing"), report["told"]
            if falls != "nothing":
                assert any("it stands on what is not put back" in t for t in report["told"])
        assert server.sql("SELECT count(*) FROM sales.orders", "orders") == "5"
        if falls == "its schema":
            assert server.sql("SELECT to_regclass('trap.z') IS NULL, to_regclass('trap.hangs') IS NOT NULL, to_regproc('trap.calm') IS NOT NULL", "orders") == "t|t|t"
    finally:
        server.sql("CREATE SCHEMA IF NOT EXISTS trap AUTHORIZATION owner; CREATE SEQUENCE IF NOT EXISTS trap.sprung", "orders")


def test_the_function_falls_as_well(keeper, server, trap, sales):
    """Its owner is made a superuser while it is undone: somebody looked at it."""
    trap(f"CREATE TABLE trap.z (id int PRIMARY KEY, {CALLS['a generated column']}); INSERT INTO trap.z VALUES (1)")
    kept(keeper, server, "DROP", whole=True)
    server.sql("DROP TABLE trap.z; DROP FUNCTION trap.calm", "orders")
    code, report, why = undone(keeper, server, "DROP", TRY_UNDO)
    assert code == OK and not report["complete"], why
    assert any("trap.calm(integer), a function that it calls, is gone" in t and "unless owner is a superuser by then" in t for t in report["told"]), report["told"]
    server.sql("ALTER ROLE owner SUPERUSER", "orders")
    try:
        code, report, why = undone(keeper, server, "DROP")
        assert code == OK and report["complete"], why or report
        assert server.sql("SELECT id, g FROM trap.z", "orders") == "1|1"
        server.sql("SELECT setval('trap.sprung', 1, false)", "orders")
    finally:
        server.sql("ALTER ROLE owner NOSUPERUSER", "orders")


def test_rows_of_what_went_along(keeper, server, trap):
    """A table that a foreign key took along, with a check of its owner's: the rest comes back."""
    trap("CREATE TABLE trap.p (id int PRIMARY KEY); CREATE TABLE trap.c (id int PRIMARY KEY, p int REFERENCES trap.p ON DELETE CASCADE, CHECK (trap.spring(id)));"
         "INSERT INTO trap.p VALUES (1), (2); INSERT INTO trap.c VALUES (1, 1)")
    report = kept(keeper, server, "DELETE", "trap.p")
    assert report["limits"] == ["trap.c calls trap.spring(integer) of owner, which would run with the keeper's rights: it does not come back unless a "
                                "superuser owns that by then"]
    trap("DELETE FROM trap.p WHERE id = 1")
    code, report, why = undone(keeper, server, "DELETE")
    assert code == OK and not report["complete"], why
    assert any(t.startswith("trap.c: ") and "trap.spring(integer) of owner would run" in t for t in report["told"]), report["told"]
    assert server.sql("SELECT (SELECT count(*) FROM trap.p), (SELECT count(*) FROM trap.c)", "orders") == "2|0"


def test_what_was_named_is_refused(keeper, server, trap):
    trap("CREATE TABLE trap.z (id int PRIMARY KEY, CHECK (trap.spring(id)))")
    kind, report = ESTIMATE, keeper.job(ESTIMATE, port=server.port, verb="DROP", objects=["trap.z"])[3]
    assert kind == ESTIMATE and len(report["limits"]) == 1 and "trap.spring(integer) of owner" in report["limits"][0]
    kept(keeper, server, "DROP", "trap.z")
    trap("DROP TABLE trap.z")
    refused(keeper, server, "DROP", "trap.z: trap.spring(integer) of owner would run with the rights of op_keep")

# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: what comes back with less than it had, and what of others' is left as it is.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""
import pytest

from keeper_client import ESTIMATE
from keeperlib import keep, server_and_keeper, undo
from vault_client import OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE clerk NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""

server, keeper = server_and_keeper(ROLES)


@pytest.fixture
def shop(server):
    server.sql("SET ROLE owner; CREATE SCHEMA shop", "orders")
    yield lambda sql: server.sql("SET ROLE owner;" + sql, "orders")
    server.sql("DROP SCHEMA IF EXISTS shop CASCADE", "orders")


def limits(keeper, server, verb, *objects, **more):
    code, _, _, report, why = keeper.job(ESTIMATE, port=server.port, verb=verb, objects=objects, **more)
    assert code == OK, why
    return report["limits"]


def test_a_column_called_as_a_variable_of_psql(keeper, server, shop):
    """Whoever means to destroy a schema could make such a table first, so that nothing of it comes back."""
    shop("""CREATE TABLE shop.z (arr int[], "DBNAME" int, "ERROR" int, CHECK (arr[1:"DBNAME"] IS NOT NULL), CHECK (arr[:"ERROR"] IS NOT NULL));
            INSERT INTO shop.z VALUES ('{1,2}', 1, 2)""")
    checks = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'shop.z'::regclass ORDER BY 1"
    before = server.sql(checks, "orders")
    keep(keeper, server, 1, "DROP", whole=True)
    shop("DROP SCHEMA shop CASCADE")
    undo(keeper, server, 1, "DROP", whole=True)
    assert server.sql(checks, "orders") == before and server.sql("TABLE shop.z", "orders").strip() == "{1,2}|1|2"

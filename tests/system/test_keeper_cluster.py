# SPDX-License-Identifier: Apache-2.0
"""What was kept of one cluster is not put into another one, in which the same numbers stand for other things.

OWNS two servers with the same history, and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import contextlib

import pytest

from keeper_client import TRY_UNDO, UNDO, Postgres
from keeperlib import keep, running_keeper, undo
from vault_client import ECONFLICT, OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE op_keep LOGIN CREATEDB PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""
TABLE = ("SET ROLE owner; CREATE TABLE {0} (id int PRIMARY KEY, n int); INSERT INTO {0} SELECT i, i FROM generate_series(1, 5) i;"
         "CREATE TABLE {1} (id int PRIMARY KEY, n int)")


class Another(Postgres):
    """The others are copies of one cluster: all of them have its identifier."""

    def _make_data(self, password_file):
        self._init_data(password_file)


def made(kind, first, second):
    one = kind()
    one.sql(ROLES)
    one.sql("CREATE DATABASE orders OWNER owner")
    one.sql(TABLE.format(first, second), "orders")
    return one


@pytest.fixture(scope="module")
def servers():
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(made(*words)))
               for words in ((Postgres, "things", "secrets"), (Another, "secrets", "things"))]


@pytest.fixture(scope="module")
def keeper():
    with running_keeper() as one:
        yield one


def rows(server, table):
    return server.sql(f"SELECT count(*) FROM {table}", "orders")


@pytest.mark.parametrize("verb, text", [("DELETE", "DELETE FROM things"), ("ANY", "DELETE FROM things"),
                                        ("DROP", "DROP TABLE things")])
def test_it_is_refused(keeper, servers, verb, text):
    here, there = servers
    assert len({one.sql("SELECT oid FROM pg_class WHERE relname = '" + name + "'", "orders")
                for one, name in zip(servers, ("things", "secrets"))}) == 1, "the same number, and another table"
    keep(keeper, here, 1, verb, "public.things")
    there.sql("DELETE FROM secrets WHERE id > 3", "orders")
    for kind in (TRY_UNDO, UNDO):
        code, _, _, _, why = keeper.job(kind, keep=1, port=there.port, verb=verb)
        assert code == ECONFLICT and "another database cluster" in why, (code, why)
        for one in servers:
            assert one.sql("SELECT system_identifier FROM pg_control_system()") in why
    assert (rows(there, "secrets"), rows(there, "things")) == ("3", "0")
    here.sql(text, "orders")
    undo(keeper, here, 1, verb)
    assert rows(here, "things") == "5"


def test_who_may_not_ask_is_told_so(keeper, servers):
    here = servers[0]
    keep(keeper, here, 2, "DELETE", "public.things")
    here.sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", "orders")
    try:
        keep(keeper, here, 3, "DELETE", "public.things")
        here.sql("DELETE FROM things", "orders")
        code, _, _, _, why = keeper.job(UNDO, keep=2, port=here.port, verb="DELETE")
        assert code == ECONFLICT and "here it is not told" in why, (code, why)
        undo(keeper, here, 3, "DELETE")
    finally:
        here.sql("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC", "orders")
    here.sql("DELETE FROM things", "orders")
    undo(keeper, here, 2, "DELETE")
    assert rows(here, "things") == "5"


def test_a_database_that_is_gone_is_made_again_wherever_that_is(keeper, servers):
    here, there = servers
    keep(keeper, here, 4, "DROP", whole=True)
    there.sql("DROP DATABASE orders")
    code, _, _, _, why = keeper.job(UNDO, keep=4, port=there.port, verb="DROP", whole=True)
    assert code == OK, why
    assert (rows(there, "things"), rows(there, "secrets")) == ("5", "0")
    code, _, _, _, why = keeper.job(UNDO, keep=4, port=there.port, verb="DROP", whole=True)
    assert code == ECONFLICT and "another database cluster" in why, (code, why)

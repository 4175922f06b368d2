# SPDX-License-Identifier: Apache-2.0
"""A keeper beside a test's server, and what is kept by it, put back and read of its report.

    server, keeper = server_and_keeper(ROLES, TABLES)    # fixtures

    def test_it(keeper, server):
        keep(keeper, server, 1, "DROP", "shop.orders")

OWNS the server, the keeper and its folder. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""
import contextlib
import shutil

import pytest

from keeper_client import KEEP, TRY_UNDO, UNDO, Keeper, Postgres
from officelib import PROGRAM, scratch
from vault_client import ECONFLICT, OK


@contextlib.contextmanager
def running_keeper(password="of op_keep"):
    folder = scratch("sp-keeper-")
    one = Keeper(PROGRAM, folder)
    try:
        one.start()
        one.credential("orders-db/op_keep", password)
        yield one
    finally:
        one.stop()
        shutil.rmtree(folder, ignore_errors=True)


def server_and_keeper(roles, tables="", database="orders", password="of op_keep", settings=None):
    """Two fixtures for all tests of a file: a server with these roles, a database of `owner` (None: none) with these
    tables, and a keeper that knows the password of op_keep.

    server, keeper = server_and_keeper(ROLES, TABLES)"""

    @pytest.fixture(scope="module")
    def server():
        with contextlib.closing(Postgres(settings)) as one:
            one.sql(roles)
            if database is not None:
                one.sql(f"CREATE DATABASE {database} OWNER owner")
                one.sql(tables, database)
            yield one

    @pytest.fixture(scope="module")
    def keeper(server):
        with running_keeper(password) as one:
            yield one

    return server, keeper


def keep(keeper, server, number, verb, *objects, **more):
    code, size, ms, report, why = keeper.job(KEEP, keep=number, port=server.port, verb=verb, objects=objects, **more)
    assert code == OK, why
    assert size > 100 and keeper.kept_file(number).stat().st_mode & 0o777 == 0o600
    print(f"{verb} {' '.join(map(str, objects))}: kept {size} bytes in {ms} ms")
    return report


def undo(keeper, server, number, verb, **more):
    code, _, ms, tried, why = keeper.job(TRY_UNDO, keep=number, port=server.port, verb=verb, **more)
    assert code == OK, why
    assert tried["tried_only"] is True
    code, _, ms, report, why = keeper.job(UNDO, keep=number, port=server.port, verb=verb, **more)
    assert code == OK, why
    print(f"{verb}: undone in {ms} ms: {report}")
    if tried["rows"]:
        assert [r["missing"] for r in tried["rows"]] == [r["missing"] for r in report["rows"]]
    return report


def row(report, name):
    return next(r for r in report["rows"] if r["relation"] == name)


# ---- an owner who is against us ----

TRAP = """
DROP SCHEMA IF EXISTS trap CASCADE;
CREATE SCHEMA trap AUTHORIZATION owner;
CREATE SEQUENCE trap.sprung;
GRANT ALL ON trap.sprung TO PUBLIC;
SET ROLE owner;
CREATE FUNCTION trap.spring(n int) RETURNS boolean LANGUAGE plpgsql AS
  $$BEGIN
    IF session_user <> 'op_keep' THEN RETURN true; END IF;
    BEGIN EXECUTE 'SET ROLE NONE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    IF current_user = 'op_keep' THEN PERFORM nextval('trap.sprung'); END IF;
    RETURN true;
  END$$;
CREATE FUNCTION trap.calm(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN PERFORM trap.spring(n); RETURN n; END$$;
CREATE FUNCTION trap.fires() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM trap.spring(1); RETURN NEW; END$$;
"""


@pytest.fixture
def trap(server):
    """A schema of the owner's; that none of his code ran as op_keep is looked at in the end."""
    server.sql(TRAP, "orders")
    yield lambda text: server.sql("SET ROLE owner;" + text, "orders")
    ran = server.sql("SELECT is_called FROM trap.sprung", "orders")
    server.sql("ALTER DATABASE orders RESET ALL")
    server.sql("DROP SCHEMA trap CASCADE", "orders")
    assert ran == "f", "it ran"


def kept(keeper, server, verb, *objects, **more):
    code, _, _, report, why = keeper.job(KEEP, keep=50, port=server.port, verb=verb, objects=objects, **more)
    assert code == OK, why
    return report


def undone(keeper, server, verb, kind=UNDO):
    code, _, _, report, why = keeper.job(kind, keep=50, port=server.port, verb=verb)
    return code, report, why


def refused(keeper, server, verb, words):
    """A dry run writes the same up to its last word, which is not reached."""
    code, _, why = undone(keeper, server, verb)
    assert code == ECONFLICT and words in why, why

# SPDX-License-Identifier: Apache-2.0
"""A keeper beside a test's server, and what is kept by it, put back and read of its report.

    server, keeper = server_and_keeper(ROLES, TABLES)    # fixtures

    def test_it(keeper, server):
        keep(keeper, server, 1, "DROP", "shop.orders")

OWNS the server, the keeper and its folder. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""
import contextlib
import shutil
import tempfile

import pytest

from keeper_client import KEEP, TRY_UNDO, UNDO, Keeper, Postgres
from officelib import PROGRAM
from vault_client import OK


@contextlib.contextmanager
def running_keeper(password="of op_keep"):
    folder = tempfile.mkdtemp(prefix="sp-keeper-", dir="/tmp")
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
    print(f"{verb} {' '.join(objects)}: kept {size} bytes in {ms} ms")
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

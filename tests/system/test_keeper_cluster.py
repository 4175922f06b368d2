# SPDX-License-Identifier: Apache-2.0
"""What was kept of one cluster is not put into another one, in which the same numbers stand for other things; nor are values taken
back in one that was restored to an earlier time, where the same numbers are those of others' transactions.

OWNS two servers with the same history, and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import contextlib
import os
import shutil
import subprocess

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


# ---- the same cluster, of an earlier time ----

class Restored(Postgres):
    """It can be put back to where it was."""

    @property
    def saved(self):
        return os.path.join(self.dir, "saved")

    def save(self):
        self.stop()
        subprocess.run(["cp", "-a", self.data, self.saved], check=True)
        self.start()

    def restore(self, takes_over):
        """takes_over: as a server does that followed another one, on a timeline of its own."""
        self.stop()
        shutil.rmtree(self.data)
        os.rename(self.saved, self.data)
        if takes_over:
            with open(os.path.join(self.data, "recovery.signal"), "w", encoding="ascii"):
                pass
            with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as file:
                file.write("restore_command = 'false'\n")
        self.start()


@pytest.fixture
def restored():
    with contextlib.closing(Restored()) as one:
        one.sql(ROLES)
        one.sql("CREATE DATABASE orders OWNER owner")
        one.sql(TABLE.format("things", "secrets"), "orders")
        one.save()
        yield one


def held(keeper, server, number, verb, text):
    """As the gate does it: kept while the statement's own transaction, whose number is returned, holds the table; when the server has
    written much since it was saved."""
    server.sql("SELECT pg_switch_wal()", "orders")
    with contextlib.closing(server.connect(database="orders")) as holder:
        holder.autocommit = False
        cursor = holder.cursor()
        cursor.execute("LOCK TABLE things IN SHARE ROW EXCLUSIVE MODE; SELECT pg_current_xact_id()::text")
        xid = cursor.fetchone()[0]
        keep(keeper, server, number, verb, "public.things", holder=holder.get_backend_pid())
        cursor.execute(text)
        holder.commit()
    return xid


def use_numbers_up_to(server, xid):
    while int(server.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())", "orders")) < int(xid):
        server.sql("SELECT pg_current_xact_id()", "orders")


@pytest.mark.parametrize("takes_over", [False, True])
def test_anothers_transaction_of_the_same_number_keeps_its_values(keeper, restored, takes_over):
    xid = held(keeper, restored, 5, "UPDATE", "UPDATE things SET n = 99")
    restored.restore(takes_over)
    use_numbers_up_to(restored, xid)
    restored.sql("UPDATE things SET n = n + 1", "orders")
    assert restored.sql("SELECT DISTINCT xmin FROM things", "orders") == xid
    if takes_over:  # it has written more than the first one had
        for _ in range(2):
            restored.sql("SELECT pg_current_xact_id(), pg_switch_wal()", "orders")
    for kind in (TRY_UNDO, UNDO):
        code, _, _, _, why = keeper.job(kind, keep=5, port=restored.port, verb="UPDATE")
        assert code == ECONFLICT and "was restored to an earlier time since, or took over from another" in why, (code, why)
    assert restored.sql("SELECT sum(n) FROM things", "orders") == "20"


def test_rows_that_are_missing_come_back_there(keeper, restored):
    """That a transaction of that number was rolled back says nothing of the statement."""
    xid = held(keeper, restored, 6, "DELETE", "DELETE FROM things")
    restored.restore(True)
    use_numbers_up_to(restored, xid)
    restored.sql("BEGIN; SELECT pg_current_xact_id(); ROLLBACK", "orders")
    restored.sql("DELETE FROM things WHERE id = 1", "orders")
    report = undo(keeper, restored, 6, "DELETE")
    assert "took over from another" in report["told"][0] and rows(restored, "things") == "5", report


def test_a_table_that_has_its_number_there_is_another(keeper, restored):
    restored.sql("SET ROLE owner; CREATE TABLE newer (id int PRIMARY KEY, n int); INSERT INTO newer VALUES (1, 1)", "orders")
    oid = restored.sql("SELECT 'newer'::regclass::oid, pg_switch_wal()", "orders").split("|")[0]
    keep(keeper, restored, 7, "DELETE", "public.newer")
    restored.restore(False)
    restored.sql("SET ROLE owner; CREATE TABLE secret (id int PRIMARY KEY, n int)", "orders")
    assert restored.sql("SELECT 'secret'::regclass::oid", "orders") == oid
    code, _, _, _, why = keeper.job(UNDO, keep=7, port=restored.port, verb="DELETE")
    assert code == ECONFLICT and "what has its number here is another: public.secret" in why, (code, why)
    assert rows(restored, "secret") == "0"

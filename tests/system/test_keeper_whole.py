# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: databases that are kept whole, with large objects and very many objects, and keeps
that are older than what became of their tables.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from keeper_client import FORGET, UNDO
from keeperlib import keep, server_and_keeper, undo
from officelib import wait_for
from vault_client import ECONFLICT, OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE clerk NOLOGIN;
CREATE ROLE op_keep LOGIN CREATEDB PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""


server, keeper = server_and_keeper(ROLES, settings={"max_locks_per_transaction": 256})


@pytest.fixture(autouse=True)
def shop(server):
    server.sql("SET ROLE owner; CREATE SCHEMA shop; CREATE TABLE shop.things (id int PRIMARY KEY, scan oid);"
               "INSERT INTO shop.things SELECT i, 100000 + i FROM generate_series(1, 5) i", "orders")
    yield
    server.sql("DROP SCHEMA shop CASCADE; DROP OWNED BY clerk", "orders")


@pytest.fixture
def scans(server):
    """What the rows point at: some bytes, many pieces, nothing."""
    server.sql("SET ROLE owner; SELECT lo_from_bytea(100001, '\\x00ff0a27'), lo_from_bytea(100002, convert_to(repeat('a line' || chr(10), 9000),"
               " 'utf8')), lo_create(100003), lo_from_bytea(100004, 'stays');"
               "GRANT SELECT ON LARGE OBJECT 100001 TO clerk; COMMENT ON LARGE OBJECT 100002 IS 'of the second'", "orders")
    yield
    server.sql("SELECT lo_unlink(oid) FROM pg_largeobject_metadata", "orders")


def large(server):
    return server.sql("SELECT oid, lomowner::regrole, lomacl, md5(lo_get(oid)), obj_description(oid, 'pg_largeobject') FROM pg_largeobject_metadata"
                      " ORDER BY oid", "orders")


def test_a_schema_of_a_database_with_large_objects(keeper, server, scans):
    before = server.sql("TABLE shop.things", "orders") + large(server)
    keep(keeper, server, 1, "DROP", whole=True)
    server.sql("DROP SCHEMA shop CASCADE", "orders")
    report = undo(keeper, server, 1, "DROP", whole=True)
    assert not any("BLOB" in one for one in report["restored"]), report
    assert server.sql("TABLE shop.things", "orders") + large(server) == before


def test_large_objects_that_were_removed(keeper, server, scans):
    """With their bytes, owners, grants and comments; those that are there, and what was granted on them since, stay as they are."""
    before = large(server)
    server.sql("GRANT SELECT ON LARGE OBJECT 100004 TO clerk", "orders")
    keep(keeper, server, 2, "ANY", whole=True)
    server.sql("SET ROLE owner; SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid <> 100004; SELECT lo_put(100004, 0, 'other');"
               "REVOKE SELECT ON LARGE OBJECT 100004 FROM clerk", "orders")
    report = undo(keeper, server, 2, "ANY", whole=True)
    assert len([one for one in report["restored"] if one.startswith("BLOB")]) == 3, report
    assert server.sql("SELECT convert_from(lo_get(100004), 'utf8')", "orders") == "other"
    assert server.sql("SELECT lomacl::text LIKE '%clerk%' FROM pg_largeobject_metadata WHERE oid = 100004", "orders") == "f"
    server.sql("SELECT lo_put(100004, 0, 'stays')", "orders")
    assert [line.split("|")[0:2] + line.split("|")[3:] for line in large(server).splitlines()] == \
        [line.split("|")[0:2] + line.split("|")[3:] for line in before.splitlines()]
    assert server.sql("SELECT lomacl::text LIKE '%clerk=r%' FROM pg_largeobject_metadata WHERE oid = 100001", "orders") == "t"


@pytest.mark.slow
def test_more_objects_than_twenty_thousand(keeper, server):
    """All that is missing comes back, or it is said what does not."""
    many = 21000
    server.sql(f"SET ROLE owner; SELECT lo_create(200000 + i) FROM generate_series(1, {many}) i", "orders")
    keep(keeper, server, 3, "DROP", whole=True)
    server.sql("SELECT lo_unlink(oid) FROM pg_largeobject_metadata; DROP SCHEMA shop CASCADE", "orders")
    report = undo(keeper, server, 3, "DROP", whole=True)
    assert report["complete"]
    assert server.sql("SELECT count(*), (SELECT count(*) FROM shop.things) FROM pg_largeobject_metadata", "orders") == f"{many}|5"
    server.sql("SELECT lo_unlink(oid) FROM pg_largeobject_metadata", "orders")


def things(server):
    return server.sql("SELECT id, scan FROM shop.things ORDER BY id", "orders")


def test_an_older_keep_of_a_table_that_was_dropped_and_made_again(keeper, server):
    """DELETE, then DROP of the empty table; the undo of DROP makes a table with another number."""
    before = things(server)
    server.sql("SET ROLE owner; CREATE TABLE shop.parts (id int PRIMARY KEY, thing int REFERENCES shop.things ON DELETE CASCADE);"
               "INSERT INTO shop.parts SELECT i, i FROM generate_series(1, 5) i", "orders")
    keep(keeper, server, 4, "DELETE", "shop.things")
    server.sql("DELETE FROM shop.things", "orders")
    keep(keeper, server, 5, "DROP", "shop.things", "shop.parts")
    server.sql("DROP TABLE shop.things, shop.parts", "orders")
    code, _, _, _, why = keeper.job(UNDO, keep=4, port=server.port, verb="DELETE")
    assert code == ECONFLICT and "dropped since" in why, why
    undo(keeper, server, 5, "DROP")
    report = undo(keeper, server, 4, "DELETE")
    assert {r["relation"]: r["inserted"] for r in report["rows"]} == {"shop.things": 5, "shop.parts": 5}
    assert any("shop.things was dropped since and made again" in told for told in report["told"]), report
    assert things(server) == before and report["complete"]
    code, _, _, _, why = keeper.job(UNDO, keep=4, port=server.port, verb="DELETE")
    assert code == ECONFLICT and "nothing of what was kept is missing" in why, why


def test_of_a_table_made_again_no_changed_row_is_guessed_at(keeper, server):
    """The undo that made it again wrote all its rows, those that others had changed as well."""
    keep(keeper, server, 6, "UPDATE", "shop.things")
    server.sql("UPDATE shop.things SET scan = 0", "orders")
    server.sql("UPDATE shop.things SET scan = 7 WHERE id = 1", "orders")
    keep(keeper, server, 7, "DROP", "shop.things")
    server.sql("DROP TABLE shop.things", "orders")
    undo(keeper, server, 7, "DROP")
    code, _, _, report, why = keeper.job(UNDO, keep=6, port=server.port, verb="UPDATE")
    assert code == ECONFLICT and "dropped since and made again" in why, why
    assert (report["rows"][0]["conflicts"], report["rows"][0]["reverted"], report["complete"]) == (5, 0, False)
    assert things(server) == "1|7\n2|0\n3|0\n4|0\n5|0"


@pytest.mark.parametrize("other", ["ALTER TABLE shop.things OWNER TO clerk", "ALTER TABLE shop.things ADD c int",
                                   "ALTER TABLE shop.things ALTER scan TYPE text"])
def test_another_table_of_that_name_is_not_taken_for_it(keeper, server, other):
    """Somebody else's table would get its rows."""
    keep(keeper, server, 8, "DELETE", "shop.things")
    server.sql("DROP TABLE shop.things; SET ROLE owner; CREATE TABLE shop.things (id int PRIMARY KEY, scan oid); RESET ROLE;" + other, "orders")
    code, _, _, _, why = keeper.job(UNDO, keep=8, port=server.port, verb="DELETE")
    assert code == ECONFLICT and "dropped since" in why, why
    assert server.sql("SELECT count(*) FROM shop.things", "orders") == "0"


def test_a_table_that_a_crash_emptied_since_it_was_unlogged(keeper, server):
    before = things(server)
    keep(keeper, server, 10, "ALTER", "shop.things")
    server.sql("ALTER TABLE shop.things SET UNLOGGED", "orders")
    server.sql("INSERT INTO shop.things VALUES (6, 6)", "orders")
    server.stop(signal.SIGQUIT)
    server.start()
    assert things(server) == ""
    report = undo(keeper, server, 10, "ALTER")
    assert any("logged again" in told for told in report["told"]) and report["complete"]
    assert things(server) == before
    assert server.sql("SELECT relpersistence FROM pg_class WHERE oid = 'shop.things'::regclass", "orders") == "p"


WAITING = """
CREATE FUNCTION shop.waits(n int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN true; END$$;
CREATE SEQUENCE shop.sprung;
GRANT ALL ON shop.sprung TO PUBLIC;
SET ROLE owner;
CREATE FUNCTION shop.spring(n int) RETURNS boolean LANGUAGE plpgsql AS
  $$BEGIN IF session_user = 'op_keep' THEN PERFORM nextval('shop.sprung'); END IF; RETURN true; END$$;
CREATE DOMAIN shop.odd AS int;
CREATE TABLE shop.a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n shop.odd, twice int GENERATED ALWAYS AS (id * 2) STORED, CHECK (shop.waits(id)));
CREATE TABLE shop.b (n shop.odd);
INSERT INTO shop.a (n) SELECT i FROM generate_series(1, 3) i;
"""


@pytest.mark.parametrize("tables", [("shop.a",), ("shop.a", "shop.b")])
def test_a_domain_that_is_altered_while_dropped_rows_come_back(keeper, server, tables):
    """Its new check runs neither for the rows that are being put in, nor for those of the next table, nor for what hangs on it."""
    server.sql(WAITING, "orders")
    keep(keeper, server, 11, "DROP", *tables)
    server.sql("DROP TABLE " + ", ".join(tables), "orders")
    with ThreadPoolExecutor(1) as pool, psycopg2.connect(**server.dsn("orders")) as held:
        held.cursor().execute("SELECT pg_advisory_xact_lock(7)")
        undone = pool.submit(keeper.job, UNDO, keep=11, port=server.port, verb="DROP")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'op_keep' AND wait_event = 'advisory'"
        wait_for("undo at the first row", 20, lambda: undone.done() or server.sql(waiting, "orders") == "1")
        assert not undone.done(), undone.result()
        server.sql("SET ROLE owner; ALTER DOMAIN shop.odd ADD CHECK (shop.spring(VALUE)) NOT VALID", "orders")
        held.rollback()
        code, _, _, _, why = undone.result(60)
    assert server.sql("SELECT is_called FROM shop.sprung", "orders") == "f", "it ran"
    if len(tables) > 1:  # behind the last one nothing is made that could run it
        assert code == ECONFLICT and "would run with the rights of op_keep" in why, why
    else:
        assert code == OK, why


FAR = """
CREATE FOREIGN DATA WRAPPER nothing;
GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO owner;
SET ROLE owner;
CREATE SERVER far FOREIGN DATA WRAPPER nothing;
CREATE SERVER "x SERVER far" FOREIGN DATA WRAPPER nothing;
CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'all of us');
CREATE USER MAPPING FOR clerk SERVER far OPTIONS (password 'his own');
CREATE USER MAPPING FOR clerk SERVER "x SERVER far";
"""


def test_user_mappings_come_back_with_their_server(keeper, server):
    """With the options that the keeper could read; those of a server that is there are left alone."""
    look = "SELECT srvname, usename, umoptions FROM pg_user_mappings ORDER BY 1, 2"
    server.sql(FAR, "orders")
    try:
        before = server.sql(look, "orders")
        keep(keeper, server, 12, "ANY", whole=True)
        server.sql("DROP SERVER far CASCADE", "orders")
        report = undo(keeper, server, 12, "ANY", whole=True)
        assert server.sql(look, "orders") == before.replace("{\"password=his own\"}", "")
        assert any("1 user mappings were made again" in told for told in report["told"]) and not report["complete"], report
        assert "USER MAPPING - USER MAPPING clerk SERVER far owner" in report["restored"]
        keep(keeper, server, 13, "ANY", whole=True)
        server.sql('DROP SERVER "x SERVER far" CASCADE; DROP USER MAPPING FOR PUBLIC SERVER far', "orders")
        undo(keeper, server, 13, "ANY", whole=True)
        assert server.sql(look, "orders") == 'far|clerk|\nx SERVER far|clerk|'
    finally:
        server.sql("DROP FOREIGN DATA WRAPPER nothing CASCADE", "orders")


def test_a_clock_that_jumps_ends_no_keep(keeper, server):
    """Until it is believed: then what is older than its days goes."""
    keep(keeper, server, 9, "DELETE", "shop.things")
    path, clock = keeper.kept_file(9), keeper.state / "clock"
    assert clock.exists()
    days = 86400
    aged = time.time() - 33 * days  # keep_days is 30, and a day
    for believed in (time.time() - 40 * days, time.time()):
        keeper.stop()
        os.utime(path, (aged, aged))
        clock.write_text(f"{int(believed * 1e6)} 0\n")
        os.chown(clock, keeper.uid, -1)
        keeper.start()
        time.sleep(6)  # it looks every five seconds
        assert path.exists() == (believed < time.time() - days)
    assert "keeps do not end by it" in keeper.logged()


# ---- another try ----

AGAIN = [("DROP SCHEMA shop, his CASCADE", "orders"), ("DROP DATABASE orders", "postgres")]


@pytest.mark.parametrize("statement, where", AGAIN)
def test_what_was_left_out_comes_back_by_another_try(keeper, server, statement, where):
    """What the first one made is known by its new numbers, and neither made again nor changed."""
    server.sql("CREATE ROLE third; SET ROLE third; RESET ROLE")
    server.sql("CREATE SCHEMA his AUTHORIZATION third; GRANT ALL ON SCHEMA shop TO third; GRANT REFERENCES ON shop.things TO third; SET ROLE third; CREATE TYPE his.hue AS ENUM ('red');"
               "CREATE TABLE his.t (id int PRIMARY KEY, thing int REFERENCES shop.things, hue his.hue); INSERT INTO his.t VALUES (1, 1, 'red')", "orders")
    server.sql("SET ROLE owner; CREATE TABLE shop.log (id serial PRIMARY KEY, n int CHECK (n > 0)); INSERT INTO shop.log (n) VALUES (1), (2); CREATE INDEX log_n ON shop.log (n);"
               "CREATE VIEW shop.seen AS TABLE shop.log; GRANT SELECT ON shop.log TO third", "orders")
    dump = lambda: "\n".join(one for one in server.run("pg_dump", "orders").splitlines() if "restrict" not in one)  # noqa: E731
    before = dump()
    try:
        keep(keeper, server, 70, "DROP CASCADE", whole=True)
        server.sql(statement, where)
        report = undo(keeper, server, 70, "DROP CASCADE", whole=True)
        assert report["complete"] is False and server.sql("SELECT count(*) FROM shop.log", "orders") == "2", report
        server.sql("DELETE FROM shop.log WHERE id = 1; ALTER TABLE shop.log ADD COLUMN more int", "orders")
        server.sql("GRANT third TO op_keep")
        report = undo(keeper, server, 70, "DROP CASCADE", whole=True, partly=True)
        assert report["complete"] is True and server.sql("SELECT id FROM shop.log", "orders") == "2", report
        assert not [one for one in report["restored"] if " shop " in one and "FK CONSTRAINT" not in one], report
        server.sql("INSERT INTO shop.log (id, n) VALUES (1, 1); ALTER TABLE shop.log DROP COLUMN more", "orders")
        assert sorted(dump().splitlines()) == sorted(before.splitlines())
        assert keeper.job(FORGET, keep=70)[0] == OK and not list(keeper.kept_file(70).parent.glob("*46*"))
    finally:
        server.sql("REVOKE third FROM op_keep")
        server.sql("DROP SCHEMA IF EXISTS his CASCADE; DROP OWNED BY third", "orders")
        server.sql("DROP OWNED BY third; DROP ROLE third")

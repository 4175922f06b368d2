# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: each kind of destruction is kept, done, undone, and compared."""

import contextlib
import os
import socket
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from keeper_client import ESTIMATE, FORGET, HEAR, KEEP, TRY_UNDO, UNDO
from keeperlib import TRAP, keep, row, server_and_keeper, undo
from officelib import wait_for
import vault_client
from vault_client import EAGAIN, ECLOSED, ECONFLICT, ECORRUPT, EEXISTS, ENOTFOUND, OK

ROWS = 6000
PASSWORD = "kept: with \\ and ' in it"
ROLES = f"""
CREATE ROLE owner NOLOGIN;
CREATE ROLE clerk NOLOGIN;
CREATE ROLE op_keep LOGIN CREATEDB PASSWORD '{PASSWORD.replace("'", "''")}' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""
TABLES = f"""
SET ROLE owner;
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id serial PRIMARY KEY, name text NOT NULL, phone text, born date,
  vip boolean DEFAULT false, UNIQUE (phone));
CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer int NOT NULL REFERENCES shop.customers (id) ON DELETE CASCADE, amount numeric(12,2) NOT NULL,
  tax numeric(12,2) GENERATED ALWAYS AS (amount * 0.13) STORED, note jsonb);
CREATE TABLE shop."Odd ""name""; --" ("select" int PRIMARY KEY, "a b" text);
CREATE TABLE shop.log (at timestamptz, line text);
CREATE TABLE shop.events (id int, day date NOT NULL, what text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE shop.events_1 PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE shop.events_2 PARTITION OF shop.events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE shop.audit (n bigserial PRIMARY KEY, what text);
CREATE FUNCTION shop.noted() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO shop.audit (what) VALUES (TG_OP); RETURN NULL; END$$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON shop.customers FOR EACH STATEMENT EXECUTE FUNCTION shop.noted();
CREATE VIEW shop.vips AS SELECT id, name FROM shop.customers WHERE vip;
CREATE INDEX by_name ON shop.customers (name);
CREATE INDEX by_customer ON shop.orders (customer);
GRANT SELECT ON shop.customers TO clerk;
COMMENT ON TABLE shop.customers IS 'who buys; their names';
INSERT INTO shop.customers (name, phone, born, vip) SELECT 'name ' || i || E'\\t\\\\x\\n;', '1380000' || i,
  date '1970-01-01' + i % 10000, i % 7 = 0 FROM generate_series(1, {ROWS}) i;
INSERT INTO shop.orders (customer, amount, note) SELECT 1 + i % {ROWS}, i * 1.5, '{{"b": 1, "a": "\\\\."}}'
  FROM generate_series(1, {ROWS * 2}) i;
INSERT INTO shop."Odd ""name""; --" SELECT i, 'x' || i FROM generate_series(1, 100) i;
INSERT INTO shop.log SELECT now(), 'line ' || i % 10 FROM generate_series(1, 500) i;
INSERT INTO shop.events SELECT i, date '2026-01-01' + i % 59, 'e' FROM generate_series(1, 1000) i;
ANALYZE;
"""
COMPARED = ("customers", "orders", 'Odd "name"; --', "log", "events")


server, keeper = server_and_keeper(ROLES, TABLES, password=PASSWORD)


def image(server, database="orders"):
    """All that can be compared: schema as pg_dump sees it, and each table's rows."""
    schema = server.run("pg_dump", "-s", database)
    schema = "\n".join(line for line in schema.splitlines() if "restrict" not in line)
    rows = {}
    for table in COMPARED:
        name = table.replace('"', '""')
        rows[table] = server.sql(f'SELECT md5(string_agg(t::text, E\'\\n\' ORDER BY t::text)) FROM shop."{name}" t', database)
    return schema, rows


def test_estimate_says_bytes_time_and_what_depends(keeper, server):
    code, size, ms, report, why = keeper.job(ESTIMATE, port=server.port, verb="DROP", objects=["shop.customers"])
    assert code == OK, why
    assert size > 150000 and ms > 0
    assert {(r["name"], r["why"]) for r in report["relations"]} == {
        ("shop.customers", "asked"), ("shop.vips", "view"), ("shop.customers_id_seq", "sequence")}
    assert report["foreign_keys"] == 1


def test_drop_table_with_all_that_hangs_on_it(keeper, server):
    before = image(server)
    keep(keeper, server, 1, "DROP", "shop.customers", cascades=True)
    server.sql("DROP TABLE shop.customers CASCADE", "orders")
    assert image_lost(server)
    report = undo(keeper, server, 1, "DROP")
    assert any("foreign key" in t for t in report["told"])
    assert image(server) == before
    # a second time it is in its own way
    code, _, _, _, why = keeper.job(UNDO, keep=1, port=server.port, verb="DROP")
    assert code == ECONFLICT and "already exists" in why
    assert image(server) == before


def image_lost(server):
    return server.sql("SELECT to_regclass('shop.customers') IS NULL AND to_regclass('shop.vips') IS NULL", "orders") == "t"


def test_delete_with_its_cascade(keeper, server):
    before = image(server)
    summary = keep(keeper, server, 2, "DELETE", "shop.customers")
    assert {(r["name"], r["why"]) for r in summary["relations"]} == {
        ("shop.customers", "asked"), ("shop.orders", "cascade")}
    server.sql("DELETE FROM shop.customers WHERE id <= 4500", "orders")
    # others work on meanwhile: a changed row, a new one, one with a number that was deleted
    server.sql("UPDATE shop.customers SET name = 'changed since' WHERE id = 4800;"
               "INSERT INTO shop.customers (id, name, phone) VALUES (10, 'came since', 'new')", "orders")
    report = undo(keeper, server, 2, "DELETE")
    customers = row(report, "shop.customers")
    assert (customers["missing"], customers["inserted"]) == (4499, 4499)
    assert customers["conflicts"] == 2 and sorted(customers["conflict_keys"]) == [["10"], ["4800"]]
    assert row(report, "shop.orders")["inserted"] == row(report, "shop.orders")["missing"] > 6000
    assert server.sql("SELECT name FROM shop.customers WHERE id IN (10, 4800) ORDER BY id", "orders") == \
        "came since\nchanged since"
    audited = server.sql("SELECT count(*) FROM shop.audit WHERE what = 'INSERT'", "orders")
    assert audited == "2"  # triggers of the table did not fire for what came back
    server.sql("UPDATE shop.customers SET name = (SELECT E'name 4800\\t\\\\x\\n;') WHERE id = 4800;"
               "UPDATE shop.customers SET name = E'name 10\\t\\\\x\\n;', phone = '138000010', born = date '1970-01-01' + 10, vip = false WHERE id = 10",
               "orders")
    assert image(server) == before


def test_truncate_cascade_and_without_a_key(keeper, server):
    before = image(server)
    keep(keeper, server, 3, "TRUNCATE", "shop.customers", "shop.log", "shop.events", cascades=True)
    server.sql("TRUNCATE shop.customers, shop.log, shop.events CASCADE", "orders")
    assert server.sql("SELECT count(*) FROM shop.orders", "orders") == "0"
    report = undo(keeper, server, 3, "TRUNCATE")
    assert row(report, "shop.log")["inserted"] == 500
    assert row(report, "shop.events")["inserted"] == 1000
    assert image(server) == before


def test_update_gets_old_values_back_but_not_over_later_ones(keeper, server):
    before = image(server)
    keep(keeper, server, 4, "UPDATE", "shop.customers")
    server.sql("UPDATE shop.customers SET name = 'x', born = NULL WHERE id > 1500", "orders")
    server.sql("UPDATE shop.customers SET vip = NOT vip WHERE id BETWEEN 1801 AND 1803", "orders")
    report = undo(keeper, server, 4, "UPDATE")
    customers = row(report, "shop.customers")
    assert customers["differing"] == ROWS - 1500 and customers["conflicts"] == 3
    assert customers["reverted"] == ROWS - 1503 and sorted(customers["conflict_keys"]) == [["1801"], ["1802"], ["1803"]]
    assert server.sql("SELECT string_agg(name, ',') FROM shop.customers WHERE id BETWEEN 1801 AND 1803", "orders") == "x,x,x"
    server.sql("UPDATE shop.customers SET name = 'name ' || id || E'\\t\\\\x\\n;', born = date '1970-01-01' + id, vip = NOT vip"
               " WHERE id BETWEEN 1801 AND 1803", "orders")
    assert image(server) == before


HANGING = """
SET ROLE owner;
CREATE TABLE shop.cities (id int PRIMARY KEY, name text);
CREATE TABLE shop.houses (id int PRIMARY KEY, city int REFERENCES shop.cities ON UPDATE CASCADE ON DELETE %s, parts int);
INSERT INTO shop.cities SELECT i, 'city ' || i FROM generate_series(1, 5) i;
INSERT INTO shop.houses SELECT i, i, 1 FROM generate_series(1, 5) i;
"""


@pytest.mark.parametrize("how", ["CASCADE", "SET NULL", "SET DEFAULT"])
@pytest.mark.parametrize("later", ["", "ALTER TABLE shop.houses DROP CONSTRAINT houses_city_fkey;"
                                   "SET ROLE owner; CREATE TABLE shop.new (id int, city int REFERENCES shop.cities ON DELETE CASCADE);"
                                   "INSERT INTO shop.new VALUES (1, 1001);"])
def test_rows_that_hang_on_a_changed_key_are_not_taken_along(keeper, server, how, later):
    """Somebody adds rows to what a changed key moved: the moved row stays, theirs too, and that is told."""
    server.sql(HANGING % how, "orders")
    keep(keeper, server, 31, "UPDATE", "shop.cities")
    server.sql("UPDATE shop.cities SET id = id + 1000", "orders")
    server.sql("INSERT INTO shop.houses VALUES (6, 1001, 2);" + later, "orders")
    if later:
        server.sql("DELETE FROM shop.houses WHERE id = 6", "orders")
    code, _, _, report, why = keeper.job(UNDO, keep=31, port=server.port, verb="UPDATE")
    assert code == OK, why
    cities = row(report, "shop.cities")
    assert (cities["removed"], cities["hung"], cities["inserted"], report["complete"]) == (4, 1, 5, False)
    assert any("rows of others hang on" in told for told in report["told"])
    assert server.sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM shop.cities", "orders") == "1,2,3,4,5,1001"
    if later:
        assert server.sql("SELECT city FROM shop.new", "orders") == "1001"
    else:
        assert server.sql("SELECT string_agg(id || '=' || city, ',' ORDER BY id) FROM shop.houses", "orders") == \
            "1=1,2=2,3=3,4=4,5=5,6=1001"
    server.sql("DROP TABLE IF EXISTS shop.new; DROP TABLE shop.houses, shop.cities", "orders")


TRAPS = {
    "check": "CREATE TABLE trap.trap (id int PRIMARY KEY, n int, CHECK (trap.spring(n)))",
    "generated": "CREATE TABLE trap.trap (id int PRIMARY KEY, n int, g int GENERATED ALWAYS AS (trap.calm(n)) STORED)",
    "index": "CREATE TABLE trap.trap (id int PRIMARY KEY, n int); CREATE INDEX ON trap.trap (trap.calm(n))",
    "index condition": "CREATE TABLE trap.trap (id int PRIMARY KEY, n int); CREATE INDEX ON trap.trap (n) WHERE trap.calm(n) > 0",
    "domain": "CREATE DOMAIN trap.odd AS int CHECK (trap.spring(VALUE)); CREATE TABLE trap.trap (id int PRIMARY KEY, n trap.odd)",
    "domain in a row": "CREATE DOMAIN trap.odd AS int CHECK (trap.spring(VALUE)); CREATE TYPE trap.pair AS (a trap.odd[], b int);"
                       "CREATE TABLE trap.trap (id int PRIMARY KEY, n int, p trap.pair[])",
    "cast": "CREATE TYPE trap.hue AS ENUM ('a'); CREATE FUNCTION trap.text(trap.hue) RETURNS text LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM trap.spring(1); RETURN 'a'; END$$; CREATE CAST (trap.hue AS text) WITH FUNCTION trap.text(trap.hue);"
            "CREATE TABLE trap.trap (id int PRIMARY KEY, n int, h trap.hue DEFAULT 'a')",
    "partition's trigger": "CREATE TABLE trap.trap (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);"
                           "CREATE TABLE trap.trap_1 PARTITION OF trap.trap FOR VALUES FROM (0) TO (1000);"
                           "CREATE TRIGGER t BEFORE INSERT ON trap.trap_1 FOR EACH ROW EXECUTE FUNCTION trap.fires()",
    "partition's check": "CREATE TABLE trap.trap (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);"
                         "CREATE TABLE trap.trap_1 PARTITION OF trap.trap FOR VALUES FROM (0) TO (1000);"
                         "ALTER TABLE trap.trap_1 ADD CHECK (trap.spring(n))",
    "rule": "CREATE TABLE trap.trap (id int PRIMARY KEY, n int);"
            "CREATE RULE r AS ON INSERT TO trap.trap DO ALSO SELECT trap.spring(1)",
    "a column since": "CREATE TABLE trap.trap (id int PRIMARY KEY, n int); --since ALTER TABLE trap.trap ADD g int;"
                      "ALTER TABLE trap.trap ALTER g SET DEFAULT trap.calm(1)",
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("verb", ["DELETE", "DROP"])
def test_nobodys_code_runs_with_the_rights_of_the_keeper(keeper, server, trap, verb):
    """The keeper reads all: whoever owns a table must not get that by what he hangs on it."""
    made, _, since = TRAPS[trap].partition("--since")
    server.sql(TRAP + made, "orders")
    server.sql("INSERT INTO trap.trap (id, n) SELECT i, i FROM generate_series(1, 3) i", "orders")
    keep(keeper, server, 32, verb, "trap.trap", cascades=True)
    server.sql("DELETE FROM trap.trap; SET ROLE owner;" + since if verb == "DELETE" else "DROP TABLE trap.trap CASCADE", "orders")
    # what is made again once the rows are there, or by the server as its owner, is no trap
    refused = trap != "partition's trigger" and \
        (verb, trap) not in {("DROP", one) for one in ("rule", "a column since", "index", "index condition")}
    for kind in (TRY_UNDO, UNDO):
        code, _, _, _, why = keeper.job(kind, keep=32, port=server.port, verb=verb)
        assert (code, "with the rights of op_keep" in why) == ((ECONFLICT, True) if refused else (OK, False)), why
    assert server.sql("SELECT is_called FROM trap.sprung", "orders") == "f", "it ran"
    if refused and trap != "rule":  # somebody looked at it
        server.sql("ALTER FUNCTION trap.calm OWNER TO CURRENT_USER; ALTER FUNCTION trap.spring OWNER TO CURRENT_USER;"
                   + ("ALTER FUNCTION trap.text OWNER TO CURRENT_USER" if trap == "cast" else ""), "orders")
        code, _, _, report, why = keeper.job(UNDO, keep=32, port=server.port, verb=verb)
        assert code == OK, why
    if trap != "rule" or verb == "DROP":
        assert server.sql("SELECT count(*) FROM trap.trap", "orders") == "3"
    server.sql("DROP SCHEMA trap CASCADE", "orders")


def test_a_check_that_waits_to_be_committed_is_seen(keeper, server):
    """The owner adds it in a transaction that he ends when undo waits for the table."""
    server.sql(TRAP + "CREATE TABLE trap.trap (id int PRIMARY KEY, n int);"
               "INSERT INTO trap.trap SELECT i, i FROM generate_series(1, 3) i", "orders")
    keep(keeper, server, 33, "DELETE", "trap.trap", cascades=True)
    server.sql("DELETE FROM trap.trap", "orders")
    with contextlib.closing(psycopg2.connect(**server.dsn("orders"))) as owner, ThreadPoolExecutor(1) as pool:
        owner.cursor().execute("SET ROLE owner; ALTER TABLE trap.trap ADD CHECK (trap.spring(n)) NOT VALID")
        undone = pool.submit(keeper.job, UNDO, keep=33, port=server.port, verb="DELETE")
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'trap.trap'::regclass AND NOT granted"
        wait_for("undo at the table", 20, lambda: undone.done() or server.sql(waiting, "orders") == "1")
        owner.commit()
        code, _, _, _, why = undone.result(60)
    assert code == ECONFLICT and "trap.trap: trap.spring(integer) of owner would run with" in why, why
    assert server.sql("SELECT is_called FROM trap.sprung", "orders") == "f", "it ran"
    server.sql("DROP SCHEMA trap CASCADE", "orders")


# One row was changed, one is gone. Changed values are put back first, and wait for the parent's row.
PAUSED = TRAP + """
CREATE TABLE trap.parent (id int PRIMARY KEY);
CREATE DOMAIN trap.odd AS int;
CREATE TABLE trap.trap (id int, n trap.odd, p int REFERENCES trap.parent, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE trap.trap_1 PARTITION OF trap.trap FOR VALUES FROM (0) TO (10);
CREATE TABLE trap.trap_2 PARTITION OF trap.trap FOR VALUES FROM (10) TO (20);
CREATE TABLE trap.hangs (id int PRIMARY KEY REFERENCES trap.trap ON UPDATE CASCADE);
INSERT INTO trap.parent VALUES (1), (2);
INSERT INTO trap.trap SELECT i, i, 1 FROM generate_series(1, 19) i;
"""
PAUSED_NOW = "UPDATE trap.trap SET p = 2, n = 0 WHERE id = 1; DELETE FROM trap.trap WHERE id = 3"


@contextlib.contextmanager
def paused(keeper, server, number, verb="UPDATE"):
    """Undo in the middle of its work; what it ends with, once the block is left."""
    ended = []
    with contextlib.closing(psycopg2.connect(**server.dsn("orders"))) as parent, ThreadPoolExecutor(1) as pool:
        parent.cursor().execute("SELECT FROM trap.parent WHERE id = 1 FOR UPDATE")
        undone = pool.submit(keeper.job, UNDO, keep=number, port=server.port, verb=verb)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'op_keep' AND wait_event_type = 'Lock'"
        try:
            wait_for("undo at the parent's row", 20, lambda: undone.done() or server.sql(waiting, "orders") == "1")
            assert not undone.done(), undone.result()
            yield ended
        finally:
            parent.rollback()
            ended.append(undone.result(60))


def test_a_domain_that_is_altered_while_undo_works(keeper, server):
    """Nothing locks a domain: it is looked at before each statement that writes."""
    server.sql(PAUSED, "orders")
    keep(keeper, server, 34, "UPDATE", "trap.trap")
    server.sql(PAUSED_NOW, "orders")
    with paused(keeper, server, 34) as ended:
        server.sql("SET ROLE owner; ALTER DOMAIN trap.odd ADD CHECK (trap.spring(VALUE)) NOT VALID", "orders")
    code, _, _, _, why = ended[0]
    assert code == ECONFLICT and "trap.spring(integer) of owner would run with" in why, why
    assert server.sql("SELECT is_called FROM trap.sprung", "orders") == "f", "it ran"
    server.sql("DROP SCHEMA trap CASCADE", "orders")


def test_a_domains_check_does_not_run_while_rows_are_loaded(keeper, server):
    """They are loaded as what the domain is made of: a superuser's check is asked about those that are put in, and then."""
    server.sql("CREATE SCHEMA trap AUTHORIZATION owner; CREATE SEQUENCE trap.asked; GRANT ALL ON trap.asked TO PUBLIC;"
               "CREATE FUNCTION trap.counts(n numeric) RETURNS boolean LANGUAGE sql AS $$SELECT nextval('trap.asked') > 0$$;"
               "CREATE DOMAIN trap.base AS numeric(6, 2); CREATE DOMAIN trap.odd AS trap.base CHECK (trap.counts(VALUE));"
               "CREATE TABLE trap.trap (id int PRIMARY KEY, n trap.odd, s trap.odd[]); INSERT INTO trap.trap SELECT i, i FROM generate_series(1, 3) i;"
               "ALTER TABLE trap.trap OWNER TO owner", "orders")
    keep(keeper, server, 35, "DELETE", "trap.trap")
    server.sql("DELETE FROM trap.trap WHERE id = 2; SELECT setval('trap.asked', 1)", "orders")
    assert row(undo(keeper, server, 35, "DELETE"), "trap.trap")["inserted"] == 1
    assert server.sql("SELECT last_value FROM trap.asked; SELECT n FROM trap.trap WHERE id = 2", "orders") == f"{1 + 2 * 1}\n2.00"
    server.sql("DROP SCHEMA trap CASCADE", "orders")


def another_core(keeper):
    """The one before is gone: its line is."""
    keeper.core.socket.shutdown(socket.SHUT_RDWR)
    keeper.core = vault_client.Connection(keeper.path, vault_client.UIDS["core"])
    keeper.core.socket.settimeout(60)


def test_another_core_hears_what_becomes_of_an_undo(keeper, server):
    assert keeper.job(HEAR, keep=37)[0] == ENOTFOUND
    server.sql(PAUSED, "orders")
    keep(keeper, server, 37, "UPDATE", "trap.trap")
    server.sql(PAUSED_NOW, "orders")
    with contextlib.closing(psycopg2.connect(**server.dsn("orders"))) as parent, ThreadPoolExecutor(2) as pool:
        parent.cursor().execute("SELECT FROM trap.parent WHERE id = 1 FOR UPDATE")
        lost = pool.submit(keeper.job, UNDO, keep=37, ask=5, port=server.port, verb="UPDATE")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'op_keep' AND wait_event_type = 'Lock'"
        wait_for("undo at the parent's row", 20, lambda: lost.done() or server.sql(waiting, "orders") == "1")
        another_core(keeper)
        assert isinstance(lost.exception(10), Exception)
        assert keeper.job(UNDO, keep=37, ask=5, port=server.port, verb="UPDATE")[0] == EEXISTS
        assert keeper.job(UNDO, keep=37, ask=6, port=server.port, verb="UPDATE")[0] == EAGAIN
        assert keeper.job(HEAR, keep=37, ask=6)[0] == ENOTFOUND
        heard = pool.submit(keeper.job, HEAR, keep=37, ask=5)
        time.sleep(0.5)
        assert not heard.done()
        parent.rollback()
        code, _, ms, report, why = heard.result(60)
    assert code == OK and report["rows"] and ms > 0, why
    another_core(keeper)
    assert keeper.job(HEAR, keep=37, ask=5) == (code, 0, ms, report, why)
    assert keeper.job(HEAR, keep=37, ask=6)[0] == ENOTFOUND
    server.sql("DROP SCHEMA trap CASCADE", "orders")


def test_nobody_knows_whether_it_committed(keeper, server):
    """The server goes away when it has the COMMIT; here it has written it already."""
    server.sql("SET ROLE owner; CREATE TABLE shop.lost AS SELECT i, i AS n FROM generate_series(1, 5) i;"
               "ALTER TABLE shop.lost ADD PRIMARY KEY (i)", "orders")
    keep(keeper, server, 38, "DELETE", "shop.lost")
    server.sql("DELETE FROM shop.lost", "orders")
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.sql("ALTER ROLE op_keep SET synchronous_commit = on")
    server.sql("SELECT pg_reload_conf()")
    try:
        with ThreadPoolExecutor(1) as pool:
            undone = pool.submit(keeper.job, UNDO, keep=38, port=server.port, verb="DELETE")
            waiting = "FROM pg_stat_activity WHERE usename = 'op_keep' AND wait_event = 'SyncRep'"
            wait_for("the COMMIT", 20, lambda: undone.done() or server.sql(f"SELECT count(*) {waiting}") == "1")
            server.sql(f"SELECT pg_terminate_backend(pid) {waiting}")
            code, _, _, _, why = undone.result(60)
        assert code == ECLOSED, why
    finally:
        server.sql("ALTER SYSTEM RESET synchronous_standby_names")
        server.sql("ALTER ROLE op_keep RESET synchronous_commit")
        server.sql("SELECT pg_reload_conf()")
    assert server.sql("SELECT count(*) FROM shop.lost", "orders") == "5"
    assert keeper.job(HEAR, keep=38)[0] == ECLOSED
    server.sql("DROP TABLE shop.lost", "orders")


def test_schemas_that_change_places_lead_nowhere(keeper, server):
    """Undo writes by name. While it works no schema of its tables gets another one; before that it is noticed."""
    evil = ("CREATE SCHEMA evil AUTHORIZATION owner; SET ROLE owner; CREATE TABLE evil.trap (id int PRIMARY KEY, n int, p int);"
            "CREATE TRIGGER t BEFORE INSERT ON evil.trap FOR EACH ROW EXECUTE FUNCTION trap.fires()")
    swap = "ALTER SCHEMA trap RENAME TO was; ALTER SCHEMA evil RENAME TO trap"
    server.sql(PAUSED + "RESET ROLE;" + evil, "orders")
    keep(keeper, server, 36, "MERGE", "trap.trap")
    server.sql(PAUSED_NOW, "orders")
    with paused(keeper, server, 36) as ended:
        with pytest.raises(AssertionError, match="statement timeout"):
            server.sql(f"SET statement_timeout = '1s'; {swap}", "orders")
        server.sql("SET statement_timeout = '5s'; SET ROLE owner; CREATE TABLE trap.beside (a int)", "orders")
    code, _, _, report, why = ended[0]
    assert code == OK and (row(report, "trap.trap")["inserted"], row(report, "trap.trap")["reverted"]) == (1, 1), why
    assert server.sql("SELECT count(*), sum(n), sum(p) FROM trap.trap", "orders") == "19|190|19"
    # he is a moment earlier: his renaming waits to be committed when undo begins
    server.sql(PAUSED_NOW, "orders")
    with contextlib.closing(psycopg2.connect(**server.dsn("orders"))) as owner, ThreadPoolExecutor(1) as pool:
        owner.cursor().execute(swap)
        undone = pool.submit(keeper.job, UNDO, keep=36, port=server.port, verb="UPDATE")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'op_keep' AND wait_event_type = 'Lock'"
        wait_for("undo at the schema", 20, lambda: undone.done() or server.sql(waiting, "orders") == "1")
        owner.commit()
        code, _, _, _, why = undone.result(60)
    assert code == ECONFLICT, why
    assert server.sql("SELECT count(*) FROM was.trap; SELECT count(*) FROM trap.trap", "orders") == "18\n0"
    assert server.sql("SELECT is_called FROM was.sprung", "orders") == "f", "it ran"
    server.sql("DROP SCHEMA trap, was CASCADE", "orders")


def test_one_partition_comes_back_while_others_work_in_the_next(keeper, server):
    """Only what is put back is held against writers, not what stands beside it or hangs on it."""
    server.sql(PAUSED, "orders")
    keep(keeper, server, 37, "DELETE", "trap.trap_1")
    server.sql("DELETE FROM trap.trap WHERE id = 3", "orders")
    with paused(keeper, server, 37, "DELETE") as ended:
        server.sql("SET lock_timeout = '2s'; UPDATE trap.trap SET n = 7 WHERE id = 15; INSERT INTO trap.hangs VALUES (16)", "orders")
        for held in ("UPDATE trap.trap_1 SET n = 7", "ALTER TABLE trap.trap ADD CHECK (trap.spring(id))",
                     "CREATE TRIGGER t BEFORE INSERT ON trap.trap FOR EACH ROW EXECUTE FUNCTION trap.fires()"):
            with pytest.raises(AssertionError, match="lock timeout"):
                server.sql(f"SET lock_timeout = '300ms'; {held}", "orders")
    code, _, _, report, why = ended[0]
    assert code == OK and [r["relation"] for r in report["rows"]] == ["trap.trap_1"], why
    assert server.sql("SELECT count(*), sum(n), sum(p) FROM trap.trap", "orders") == f"19|{190 - 15 + 7}|19"
    server.sql("DROP SCHEMA trap CASCADE", "orders")


LEVELS = """
CREATE SCHEMA part AUTHORIZATION owner;
SET ROLE owner;
CREATE TABLE part.root (id int, n int) PARTITION BY RANGE (id);
CREATE TABLE part.mid PARTITION OF part.root FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE part.a_leaf PARTITION OF part.mid FOR VALUES FROM (0) TO (50);
CREATE TABLE part.leaf PARTITION OF part.mid FOR VALUES FROM (50) TO (100);
INSERT INTO part.root SELECT i, 0 FROM generate_series(10, 90, 10) i;
"""


def test_a_middle_partition_has_the_rows_of_those_below_it(keeper, server):
    """Without a key, and rows that the statement wrote as they were: each is put back once, and none goes."""
    server.sql(LEVELS, "orders")
    holder = server.connect(database="orders")
    holder.autocommit = False
    cursor = holder.cursor()
    cursor.execute("LOCK TABLE part.mid IN SHARE ROW EXCLUSIVE MODE; SELECT txid_current()")
    keep(keeper, server, 38, "UPDATE", "part.mid", holder=holder.get_backend_pid())
    cursor.execute("UPDATE part.mid SET n = CASE WHEN id > 70 THEN 7 ELSE n END")
    holder.commit()
    holder.close()
    report = undo(keeper, server, 38, "UPDATE")
    assert [r["relation"] for r in report["rows"]] == ["part.mid"], report
    assert server.sql("SELECT string_agg(id || '=' || n, ',' ORDER BY id) FROM part.root", "orders") == \
        ",".join(f"{i}=0" for i in range(10, 100, 10))
    server.sql("DROP SCHEMA part CASCADE", "orders")


@pytest.mark.parametrize("is_held,after", [(True, "mine=0,theirs=7"), (False, "mine=5,theirs=7")])
def test_what_another_holds_meanwhile_is_not_taken_back(keeper, server, is_held, after):
    """Somebody else's statement waits on a table of ours, and ends after that was kept: who holds it for us is told by name."""
    server.sql("""CREATE SCHEMA two AUTHORIZATION owner; SET ROLE owner; CREATE TABLE two.rows (id text PRIMARY KEY, n int);
                  CREATE TABLE two.more (id int PRIMARY KEY); INSERT INTO two.rows VALUES ('mine', 0), ('theirs', 0)""", "orders")
    held = "LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE; SELECT pg_current_xact_id()"
    with contextlib.closing(server.connect(database="orders")) as mine, contextlib.closing(server.connect(database="orders")) as theirs:
        mine.autocommit = theirs.autocommit = False
        theirs.cursor().execute(held.format("two.rows"))
        if is_held:
            mine.cursor().execute(held.format("two.more"))
        keep(keeper, server, 39, "ANY", "two.rows", "two.more", holder=mine.get_backend_pid() if is_held else 0)
        for connection, who, n in ((theirs, "theirs", 7), (mine, "mine", 5)):
            connection.cursor().execute(f"UPDATE two.rows SET n = {n} WHERE id = '{who}'")
            connection.commit()
    code, _, _, report, why = keeper.job(UNDO, keep=39, port=server.port, verb="ANY")
    rows = server.sql("SELECT string_agg(id || '=' || n, ',' ORDER BY id) FROM two.rows", "orders")
    server.sql("DROP SCHEMA two CASCADE", "orders")
    assert rows == after, report
    assert (code == OK and row(report, "two.rows")["conflicts"] == 1) if is_held else (code == ECONFLICT and "that the statement changed them cannot be told" in why), why


def test_what_was_undone_in_part_is_not_guessed_at_again(keeper, server):
    """Which transaction is meant is guessed once; that the statement said CASCADE has nothing to do with it."""
    before = image(server)
    keep(keeper, server, 30, "UPDATE", "shop.customers", cascades=True)
    server.sql("UPDATE shop.customers SET name = 'x' WHERE id < 100", "orders")
    code, _, _, report, _ = keeper.job(TRY_UNDO, keep=30, port=server.port, verb="UPDATE", partly=True)
    assert code == ECONFLICT and row(report, "shop.customers")["reverted"] == 0
    assert row(undo(keeper, server, 30, "UPDATE", cascades=True), "shop.customers")["reverted"] == 99
    assert image(server) == before


def test_odd_names_and_a_dropped_column(keeper, server):
    before = image(server)
    keep(keeper, server, 5, "ALTER", 'shop.Odd "name"; --')
    server.sql('ALTER TABLE shop."Odd ""name""; --" DROP COLUMN "a b"', "orders")
    report = undo(keeper, server, 5, "ALTER")
    assert any("made again" in t for t in report["told"])
    assert image(server)[1] == before[1]


def test_it_refuses_when_the_target_has_changed(keeper, server):
    keep(keeper, server, 6, "DELETE", "shop.customers")
    server.sql("ALTER TABLE shop.customers ALTER COLUMN phone TYPE varchar(40)", "orders")
    code, _, _, _, why = keeper.job(UNDO, keep=6, port=server.port, verb="DELETE")
    assert code == ECONFLICT and "phone" in why and "character varying(40)" in why
    server.sql("ALTER TABLE shop.customers ALTER COLUMN phone TYPE text", "orders")
    server.sql("ALTER TABLE shop.customers ADD COLUMN need int NOT NULL DEFAULT 1; "
               "ALTER TABLE shop.customers ALTER COLUMN need DROP DEFAULT", "orders")
    code, _, _, _, why = keeper.job(UNDO, keep=6, port=server.port, verb="DELETE")
    assert code == ECONFLICT and "need" in why
    server.sql("ALTER TABLE shop.customers DROP COLUMN need", "orders")
    keep(keeper, server, 7, "DROP", "shop.log")
    server.sql("DROP TABLE shop.log; CREATE TABLE shop.log (other int)", "orders")
    code, _, _, _, why = keeper.job(UNDO, keep=7, port=server.port, verb="DROP")
    assert code == ECONFLICT and "already exists" in why
    assert server.sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'shop.log'::regclass AND attnum > 0", "orders") == "1"
    server.sql("DROP TABLE shop.log", "orders")
    undo(keeper, server, 7, "DROP")


def test_drop_database_and_schema(keeper, server):
    before = image(server)
    keep(keeper, server, 8, "DROP", whole=True)
    server.sql("DROP SCHEMA shop CASCADE", "orders")
    undo(keeper, server, 8, "DROP", whole=True)
    assert image(server) == before
    keep(keeper, server, 9, "DROP", whole=True)
    server.sql("DROP DATABASE orders")
    began = time.monotonic()
    undo(keeper, server, 9, "DROP", whole=True)
    print(f"a dropped database was back in {time.monotonic() - began:.1f} s")
    assert image(server) == before


def test_snapshot_of_the_asking_connection(keeper, server):
    mine = server.connect(database="orders")
    mine.autocommit = False
    mine.set_session(isolation_level="REPEATABLE READ")
    cursor = mine.cursor()
    cursor.execute("SELECT pg_export_snapshot()")
    snapshot = cursor.fetchone()[0]
    server.sql("INSERT INTO shop.log VALUES (now(), 'after the snapshot')", "orders")
    keep(keeper, server, 10, "TRUNCATE", "shop.log", snapshot=snapshot)
    mine.close()
    server.sql("TRUNCATE shop.log", "orders")
    assert row(undo(keeper, server, 10, "TRUNCATE"), "shop.log")["inserted"] == 500


def test_a_keep_is_encrypted_and_tampering_is_seen(keeper, server):
    keep(keeper, server, 11, "DELETE", "shop.customers")
    path = keeper.kept_file(11)
    body = path.read_bytes()
    assert b"customers" not in body and b"1380000" not in body and body.startswith(b"SPKEEP1\n")
    for changed in (body[:-1], body[:300] + bytes([body[300] ^ 1]) + body[301:], body + b"\0", body[:len(body) // 2]):
        path.write_bytes(changed)
        code, _, _, _, why = keeper.job(TRY_UNDO, keep=11, port=server.port, verb="DELETE")
        assert code in (ECORRUPT, ECONFLICT), (code, why)
        assert code == ECORRUPT
    path.write_bytes(body)
    os.chown(path, keeper.uid, -1)
    # another keep's file under this number: its key is bound to its own
    keep(keeper, server, 12, "DELETE", "shop.log")
    path.write_bytes(keeper.kept_file(12).read_bytes())
    assert keeper.job(TRY_UNDO, keep=11, port=server.port, verb="DELETE")[0] == ECORRUPT
    path.write_bytes(body)
    assert keeper.job(FORGET, keep=12)[0] == OK
    assert not keeper.kept_file(12).exists()


def test_no_password_in_argv_or_environment_and_nothing_left(keeper, server):
    assert sorted(os.listdir(keeper.state)) == ["clock", "keeps"]
    code, _, _, _, why = keeper.job(KEEP, keep=20, port=server.port, verb="DROP", objects=["shop.log"],
                                    credential="orders-db/other")
    assert code != OK and "no credential" in why
    code, _, _, _, why = keeper.job(KEEP, keep=20, port=server.port, verb="DROP", objects=["shop.nothing"])
    assert code != OK and "none of the objects" in why
    assert sorted(os.listdir(keeper.state)) == ["clock", "keeps"] and not keeper.kept_file(20).exists()
    seen = subprocess.run(["grep", "-c", PASSWORD, str(keeper.vault.log)], capture_output=True, text=True, check=False)
    assert seen.stdout.strip() == "0"


def test_only_core_may_ask(keeper):
    from vault_client import Connection, UIDS
    if os.geteuid() != 0:
        pytest.skip("uids are told apart as root only")
    stranger = Connection(keeper.path, UIDS["web"])
    with pytest.raises((ConnectionError, struct.error)):  # dropped without an answer
        stranger.call(0x0400, b"")

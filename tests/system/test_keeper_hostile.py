# SPDX-License-Identifier: Apache-2.0
"""A database whose owner is against us: what he puts into names, data and settings does not run as the keeper's role,
neither when something is kept nor when it is put back.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import contextlib
import os
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from keeper_client import ESTIMATE, KEEP, TRY_UNDO, UNDO
from keeperlib import kept, refused, server_and_keeper, trap, undone  # noqa: F401
from officelib import wait_for
from vault_client import ECONFLICT, OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE rival NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""
TABLES = """
SET ROLE owner;
CREATE SCHEMA shop;
CREATE TABLE shop.spared (n int PRIMARY KEY);
INSERT INTO shop.spared SELECT generate_series(1, 10);
CREATE TABLE shop."a
b" ("line
feed" text PRIMARY KEY, n int);
CREATE TABLE shop.log (who text);
"""
# A row that, read as a line of a script, ends the transaction and deletes.
LINE = "COPY shop.spared TO STDOUT; COMMIT; DELETE FROM shop.spared; -- "


server, keeper = server_and_keeper(ROLES, TABLES)


def test_a_line_feed_in_a_name_makes_no_script_of_data(keeper, server):
    server.sql(f"""INSERT INTO shop."a
b" VALUES ('{LINE} FROM stdin;', NULL), ('plain', 2), ('x', 3)""", "orders")
    # the value is the line's beginning, what follows its column has to be its end
    server.sql("""ALTER TABLE shop."a
b" ALTER COLUMN n TYPE text, ALTER COLUMN n SET DEFAULT 'x'""", "orders")
    server.sql(f"""UPDATE shop."a
b" SET "line
feed" = '{LINE}', n = ' FROM stdin;' WHERE n IS NULL""", "orders")
    rows = server.sql("""SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM shop."a
b" t""", "orders")
    for number, objects in ((1, ["shop.a\nb", "shop.spared"]), (2, ["shop.a\nb"])):
        code, _, _, _, why = keeper.job(KEEP, keep=number, port=server.port, verb="DELETE", objects=objects)
        assert code == OK, why
        server.sql("""DELETE FROM shop."a
b" """, "orders")
        code, _, _, report, why = keeper.job(UNDO, keep=number, port=server.port, verb="DELETE")
        assert server.sql("SELECT count(*) FROM shop.spared", "orders") == "10"
        assert code == OK, why
        assert max(r["inserted"] for r in report["rows"]) == 3
        assert rows == server.sql("""SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM shop."a
b" t""", "orders")


@pytest.mark.parametrize("verb,how", [("DELETE", "DELETE FROM {t}"), ("UPDATE", "UPDATE {t} SET {k} = 'k', {n} = 9"), ("DROP", "DROP TABLE {t}"),
                                      ("ALTER", "ALTER TABLE {t} DROP COLUMN {n}")])
def test_a_name_that_reads_like_a_command_of_psql(keeper, server, trap, verb, how):
    names = {"t": 'trap."t\\gset\n\\gexec\n"', "k": '"\\gexec\n"', "n": '"n\\gset\n\\! id\n"'}
    trap("CREATE TABLE {t} ({k} text PRIMARY KEY, {n} int DEFAULT 3, CHECK ({n} > 0)); INSERT INTO {t} VALUES ('1', 1)".format(**names))
    kept(keeper, server, verb, "trap.t\\gset\n\\gexec\n")
    trap(how.format(**names))
    code, _, why = undone(keeper, server, verb)
    assert code == OK, why
    assert server.sql("SELECT {k}, {n} FROM {t}".format(**names), "orders") == "1|1"


VALUES = {
    "a row in DETAIL": ("DELETE", "id int PRIMARY KEY, phone bigint", "DELETE FROM trap.trap; ALTER TABLE trap.trap ADD CONSTRAINT c CHECK (id <> 7)",
                        'new row for relation "trap" violates check constraint "c"'),
    "a value": ("ALTER", "id int PRIMARY KEY, phone bigint", "ALTER TABLE trap.trap ALTER phone TYPE text USING E'a\\nERROR:  XX000: ' || phone",
                "a value stands in the way (SQLSTATE 22P02)"),
}


@pytest.mark.parametrize("name", VALUES)
def test_why_something_cannot_be_undone_shows_no_values(keeper, server, trap, name):
    """Whoever tries an undo may see them masked."""
    verb, columns, how, says = VALUES[name]
    trap(f"CREATE TABLE trap.trap ({columns}); INSERT INTO trap.trap VALUES (7, 1380000)")
    kept(keeper, server, verb, "trap.trap")
    trap(how)
    for kind in (TRY_UNDO, UNDO):
        code, _, why = undone(keeper, server, verb, kind)
        assert code == ECONFLICT and says in why and "1380000" not in why, why


def test_a_dry_run_does_not_list_keys(keeper, server, trap):
    trap("CREATE TABLE trap.trap (phone bigint PRIMARY KEY, n int); INSERT INTO trap.trap VALUES (1380000, 1), (1380001, 1)")
    kept(keeper, server, "DELETE", "trap.trap")
    trap("DELETE FROM trap.trap; INSERT INTO trap.trap VALUES (1380000, 2)")
    for kind, keys in ((TRY_UNDO, None), (UNDO, [["1380000"]])):
        code, report, why = undone(keeper, server, "DELETE", kind)
        assert code == OK, why
        assert report["rows"][0]["conflicts"] == 1 and report["rows"][0]["conflict_keys"] == keys


def test_keys_of_any_length_do_not_hide_what_came_back(keeper, server, trap):
    """What psql tells of a table is bounded: neither its keys nor another's keep it from being read."""
    long = "repeat(E'\\x01', 200000) || i"
    trap("CREATE TABLE trap.first (id text PRIMARY KEY, n int); CREATE TABLE trap.trap (id text PRIMARY KEY, n int);"
         f"INSERT INTO trap.first SELECT {long}, 1 FROM generate_series(1, 20) i; INSERT INTO trap.trap VALUES ('1', 1)")
    kept(keeper, server, "DELETE", "trap.first", "trap.trap")
    trap(f"DELETE FROM trap.first; DELETE FROM trap.trap; INSERT INTO trap.first SELECT {long}, 2 FROM generate_series(1, 19) i")
    code, report, why = undone(keeper, server, "DELETE")
    assert code == OK, why
    found = {r["relation"]: r for r in report["rows"]}
    assert found["trap.first"]["conflicts"] == 19 and found["trap.first"]["inserted"] == found["trap.trap"]["inserted"] == 1
    assert found["trap.first"]["conflict_keys"] == [["\x01" * 100]], "one has 600 letters as JSON"


def test_a_report_that_is_too_long_says_the_most(keeper, server, trap):
    trap("CREATE TABLE trap.z (id int PRIMARY KEY); INSERT INTO trap.z VALUES (1);"
         "DO $$BEGIN FOR i IN 100..249 LOOP EXECUTE format('CREATE TABLE trap.%I (id int PRIMARY KEY REFERENCES trap.z ON DELETE CASCADE)', i || repeat(E'\\x01', 55)); END LOOP; END$$")
    kept(keeper, server, "DELETE", "trap.z")
    trap("DELETE FROM trap.z")
    code, report, why = undone(keeper, server, "DELETE")
    assert code == OK and report["complete"] and report["rows"][0]["relation"] == "trap.z" and 50 < len(report["rows"]) < 151, why
    assert "too long" in report["told"][0]


def test_functions_and_operators_of_others_are_not_ours(keeper, server):
    """Better matches than PostgreSQL's own, on everybody's search_path."""
    server.sql("""
        GRANT CREATE ON SCHEMA public TO owner;
        ALTER ROLE op_keep IN DATABASE orders SET search_path = public, pg_catalog;
        SET ROLE owner;
        CREATE FUNCTION public.trap() RETURNS void LANGUAGE sql AS
            'INSERT INTO shop.log SELECT session_user::text';
        CREATE FUNCTION public.format(text, name, name) RETURNS text LANGUAGE plpgsql AS
            $$BEGIN PERFORM public.trap(); RETURN 'shop.spared'; END$$;
        CREATE FUNCTION public.both(text[], text[]) RETURNS boolean LANGUAGE plpgsql AS
            $$BEGIN PERFORM public.trap(); RETURN true; END$$;
        CREATE FUNCTION public.pg_database_size(name) RETURNS bigint LANGUAGE plpgsql AS
            $$BEGIN PERFORM public.trap(); RETURN 1; END$$;
        CREATE OPERATOR public.&& (LEFTARG = text[], RIGHTARG = text[], FUNCTION = public.both);
        CREATE FUNCTION public.current_database() RETURNS name LANGUAGE plpgsql AS
            $$BEGIN PERFORM public.trap(); RETURN 'orders'; END$$;
    """, "orders")
    try:
        for kind, number in ((ESTIMATE, 0), (KEEP, 3), (UNDO, 3)):
            keeper.job(kind, keep=number, port=server.port, verb="DELETE", objects=["shop.spared"])
            assert server.sql("SELECT count(*) FROM shop.log", "orders") == "0"
        server.sql("DELETE FROM shop.spared WHERE n > 7", "orders")
        code, _, _, report, why = keeper.job(UNDO, keep=3, port=server.port, verb="DELETE")
        assert code == OK, why
        assert server.sql("SELECT (SELECT count(*) FROM shop.log), (SELECT count(*) FROM shop.spared)", "orders") == "0|10"
        assert [r["relation"] for r in report["rows"]] == ["shop.spared"]
    finally:
        server.sql("ALTER ROLE op_keep IN DATABASE orders RESET ALL; DROP OPERATOR public.&& (text[], text[]);"
                   "DROP FUNCTION public.format(text, name, name), public.both, public.pg_database_size(name),"
                   "public.current_database(), public.trap", "orders")


def test_a_setting_of_the_database_does_not_open_quotes(keeper, server):
    """A default that was written with one meaning of backslashes and comes back under the other."""
    server.sql(r"""
        SET ROLE owner;
        CREATE TABLE shop.quoted (n int PRIMARY KEY, c text DEFAULT '\''; COMMIT; DELETE FROM shop.spared; --');
        INSERT INTO shop.quoted VALUES (1);
    """, "orders")
    code, _, _, _, why = keeper.job(KEEP, keep=4, port=server.port, verb="ALTER", objects=["shop.quoted"])
    assert code == OK, why
    server.sql("ALTER TABLE shop.quoted DROP COLUMN c", "orders")
    server.sql("ALTER DATABASE orders SET standard_conforming_strings = off")
    try:
        code, _, _, _, why = keeper.job(UNDO, keep=4, port=server.port, verb="ALTER")
        assert server.sql("SELECT count(*) FROM shop.spared", "orders") == "10"
        assert code == OK, why
    finally:
        server.sql("ALTER DATABASE orders RESET standard_conforming_strings")
    assert server.sql("INSERT INTO shop.quoted (n) VALUES (2) RETURNING c", "orders").startswith("\\'; COMMIT")


def test_types_outside_of_the_catalog_come_back(keeper, server):
    server.sql("""
        SET ROLE owner;
        CREATE TYPE shop.mood AS ENUM ('well', 'ill');
        CREATE TABLE shop.moods (n int PRIMARY KEY, m shop.mood NOT NULL DEFAULT 'ill');
        INSERT INTO shop.moods VALUES (1, 'well');
    """, "orders")
    server.sql("ALTER ROLE op_keep IN DATABASE orders SET search_path = shop")
    code, _, _, _, why = keeper.job(KEEP, keep=5, port=server.port, verb="ALTER", objects=["shop.moods"])
    assert code == OK, why
    server.sql("ALTER ROLE op_keep IN DATABASE orders RESET search_path")
    server.sql("ALTER TABLE shop.moods DROP COLUMN m", "orders")
    code, _, _, _, why = keeper.job(UNDO, keep=5, port=server.port, verb="ALTER")
    assert code == OK, why
    assert server.sql("INSERT INTO shop.moods (n) VALUES (2); SELECT n, m FROM shop.moods ORDER BY n",
                      "orders") == "1|well\n2|ill"


def test_a_table_named_like_words_of_the_archive_does_not_bring_back_grants(keeper, server):
    """Only what belongs to the missing table comes back: not grants that were taken since from another one."""
    server.sql("""
        CREATE ROLE clerk NOLOGIN;
        SET ROLE owner;
        CREATE TABLE shop."TABLE" (n int PRIMARY KEY);
        GRANT SELECT ON shop.spared TO clerk;
        GRANT SELECT ON shop."TABLE" TO clerk;
    """, "orders")
    code, _, _, _, why = keeper.job(KEEP, keep=6, port=server.port, verb="DROP", objects=["shop.TABLE", "shop.spared"])
    assert code == OK, why
    server.sql('REVOKE SELECT ON shop.spared FROM clerk; DROP TABLE shop."TABLE"', "orders")
    code, _, _, _, why = keeper.job(UNDO, keep=6, port=server.port, verb="DROP")
    assert code == OK, why
    assert server.sql("SELECT has_table_privilege('clerk', 'shop.spared', 'SELECT'),"
                      " has_table_privilege('clerk', 'shop.\"TABLE\"', 'SELECT')", "orders") == "f|t"


def test_the_password_never_leaves_in_clear(keeper, server):
    """A server (or somebody in its place) that asks for the password as it is gets none over TLS either."""
    hba = os.path.join(server.data, "pg_hba.conf")
    with open(hba, encoding="ascii") as file:
        before = file.read()
    try:
        with open(hba, "w", encoding="ascii") as file:
            file.write("host all op_keep 127.0.0.1/32 password\n" + before)
        server.sql("SELECT pg_reload_conf()")
        for _ in range(50):
            code, _, _, _, why = keeper.job(KEEP, keep=7, port=server.port, verb="DROP", objects=["shop.spared"],
                                            tls=2)
            if code != OK:
                break
        assert code != OK and "channel binding" in why
    finally:
        with open(hba, "w", encoding="ascii") as file:
            file.write(before)
        server.sql("SELECT pg_reload_conf()")


def test_a_role_that_is_set_for_the_database_makes_nobodys_function_ours(keeper, server, trap):
    """As the role that owns it the function looks like the keeper's own; it takes the keeper's rights back."""
    trap("CREATE TABLE trap.trap (id int PRIMARY KEY, CHECK (trap.spring(id))); INSERT INTO trap.trap VALUES (1)")
    kept(keeper, server, "DELETE", "trap.trap")
    trap("DELETE FROM trap.trap")
    server.sql("ALTER DATABASE orders SET role = owner")
    refused(keeper, server, "DELETE", "trap.spring(integer) of owner would run with the rights of op_keep")


def test_an_older_look_at_the_catalogs_does_not_hide_a_check(keeper, server, trap):
    """What is committed while undo waits for the table would not be seen by one snapshot for the whole transaction."""
    trap("CREATE TABLE trap.trap (id int PRIMARY KEY); INSERT INTO trap.trap VALUES (1)")
    kept(keeper, server, "DELETE", "trap.trap")
    trap("DELETE FROM trap.trap")
    server.sql("ALTER DATABASE orders SET default_transaction_isolation = 'repeatable read'")
    with contextlib.closing(psycopg2.connect(**server.dsn("orders"))) as owner, ThreadPoolExecutor(1) as pool:
        owner.cursor().execute("SET ROLE owner; ALTER TABLE trap.trap ADD CHECK (trap.spring(id)) NOT VALID")
        job = pool.submit(undone, keeper, server, "DELETE")
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'trap.trap'::regclass AND NOT granted"
        wait_for("undo at the table", 20, lambda: job.done() or server.sql(waiting, "orders") == "1")
        owner.commit()
        code, _, why = job.result(60)
    assert code == ECONFLICT and "trap.spring(integer) of owner would run" in why, why


def test_rows_that_a_policy_hides_are_not_taken_for_unchanged(keeper, server, trap):
    trap("CREATE TABLE trap.trap (id int PRIMARY KEY, n int); INSERT INTO trap.trap VALUES (1, 1)")
    kept(keeper, server, "UPDATE", "trap.trap")
    trap("UPDATE trap.trap SET n = 2; CREATE POLICY p ON trap.trap USING (false);"
         "ALTER TABLE trap.trap ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    refused(keeper, server, "UPDATE", "would be affected by row-level security")


@pytest.mark.parametrize("setting,type_,was,now", [("extra_float_digits = -15", "float8", "1.25", "1.3"), ("array_nulls = off", "text[]", "{NULL}", "{1}"),
                                                   ("xmloption = document", "xml", "a<b/>", "c")])
def test_settings_do_not_change_what_values_are(keeper, server, trap, setting, type_, was, now):
    trap(f"CREATE TABLE trap.trap (id int PRIMARY KEY, v {type_}); INSERT INTO trap.trap VALUES (1, '{was}')")
    kept(keeper, server, "UPDATE", "trap.trap")
    trap(f"UPDATE trap.trap SET v = '{now}'")
    server.sql(f"ALTER DATABASE orders SET {setting}")
    code, _, why = undone(keeper, server, "UPDATE")
    assert code == OK, why
    server.sql("ALTER DATABASE orders RESET ALL")
    assert server.sql("SELECT v FROM trap.trap", "orders") == was


# Functions of the server's own, a superuser's by birth, that run what they are given or do more than compute.
OWN = {
    "text that is run": "CHECK (query_to_xml('SELECT trap.spring(1)', true, false, '') IS NOT NULL)",
    "a name that is read": "CHECK (table_to_xml('trap.v', true, false, '') IS NOT NULL)",
    "an operator of it": "CHECK (('a'::tsquery OPERATOR(trap.~~>) 'SELECT ''a''::tsquery, ''b''::tsquery WHERE trap.spring(1)') IS NOT NULL)",
    "a type by its number": "CHECK (domain_in('1'::cstring, {odd}, -1) IS NOT NULL)",
    "a row type by its number": "CHECK (record_in('(1)'::cstring, {pair}, -1) IS NOT NULL)",
    "a domain of it": "CHECK (d IS NULL OR d > 0)",
    "a default since": "CHECK (id > 0) --since ALTER TABLE trap.trap ADD x text; "
                       "ALTER TABLE trap.trap ALTER x SET DEFAULT query_to_xml('SELECT trap.spring(1)', true, false, '')::text",
    "a setting": "CHECK (set_config('search_path', 'trap', true) = 'trap')",
    "large objects": "CHECK (lo_unlink(4711) IS NULL)",
}


@pytest.mark.parametrize("verb", ["DELETE", "DROP"])
@pytest.mark.parametrize("name", OWN)
def test_the_servers_own_functions_only_compute(keeper, server, trap, name, verb):
    trap("CREATE DOMAIN trap.odd AS int CHECK (trap.spring(VALUE)); CREATE TYPE trap.pair AS (a trap.odd); CREATE VIEW trap.v AS SELECT trap.spring(1);"
         "CREATE DOMAIN trap.loose AS int CHECK (query_to_xml('SELECT trap.spring(1)', true, false, '') IS NOT NULL);"
         "CREATE OPERATOR trap.~~> (LEFTARG = tsquery, RIGHTARG = text, FUNCTION = pg_catalog.ts_rewrite)")
    oids = {t: server.sql(f"SELECT 'trap.{t}'::regtype::oid", "orders") for t in ("odd", "pair")}
    check, _, since = OWN[name].partition("--since")
    domain = "trap.loose" if name == "a domain of it" else "int"
    lasting = "" if name != "large objects" else " NOT VALID"
    trap(f"CREATE TABLE trap.trap (id int PRIMARY KEY, d {domain}); INSERT INTO trap.trap VALUES (1, 1);"
         f"ALTER TABLE trap.trap ADD {check.format(**oids)}{lasting}")
    kept(keeper, server, verb, "trap.trap")
    trap("DELETE FROM trap.trap;" + since if verb == "DELETE" else "DROP TABLE trap.trap")
    if verb == "DROP" and (since or lasting):  # it was not there, or is made again when the rows are
        assert undone(keeper, server, verb)[0] == OK
    else:
        refused(keeper, server, verb, "does more than compute a value")


def test_what_the_server_computes_by_itself_is_no_hindrance(keeper, server, trap):
    trap("CREATE TABLE trap.trap (id int PRIMARY KEY, t text CHECK (lower(t) ~ '^[a-z]+$' AND length(t) < 9 AND t <> ALL ('{x,y}')), n numeric(8, 2),"
         "h int GENERATED ALWAYS AS (hashtext(t) % 7) STORED, at timestamptz DEFAULT now()); CREATE INDEX ON trap.trap (upper(t)) WHERE n > 1::float8::numeric;"
         "INSERT INTO trap.trap SELECT i, repeat('a', i), i FROM generate_series(1, 3) i")
    before = server.sql("TABLE trap.trap", "orders")
    for verb, how in (("DELETE", "DELETE FROM trap.trap; ALTER TABLE trap.trap ADD s serial"), ("DROP", "DROP TABLE trap.trap")):
        kept(keeper, server, verb, "trap.trap")
        trap(how)
        code, _, why = undone(keeper, server, verb)
        assert code == OK, why
        trap("ALTER TABLE trap.trap DROP COLUMN IF EXISTS s")
        assert server.sql("TABLE trap.trap", "orders") == before


# The parent's triggers and expressions are its owner's, whose table is not kept: one of its parts is.
ROOT = ("CREATE TABLE trap.root (id int, n int) PARTITION BY RANGE (id{key}); CREATE TABLE trap.leaf PARTITION OF trap.root FOR VALUES FROM (0{low}) TO (10{high});"
        "CREATE TABLE trap.rest PARTITION OF trap.root DEFAULT; INSERT INTO trap.root (id) VALUES (1), (99);")
PLAIN = ROOT.format(key="", low="", high="")
FIRES = "CREATE TRIGGER t {when} ON trap.root FOR EACH ROW EXECUTE FUNCTION trap.fires();"


def ids(server):
    return server.sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM trap.root", "orders")


@pytest.mark.parametrize("when", ["BEFORE INSERT", "AFTER INSERT"])
@pytest.mark.parametrize("verb,how", [("DROP", "DROP TABLE trap.leaf"), ("DELETE", "DELETE FROM trap.leaf")])
def test_triggers_of_a_parent_that_is_not_kept(keeper, server, trap, when, verb, how):
    """The server gives each part a copy of them. What was switched off on one part stays so, what is on is on again."""
    trap("CREATE TABLE trap.first (n int PRIMARY KEY); INSERT INTO trap.first VALUES (1);" + PLAIN + FIRES.format(when=when) +
         "UPDATE trap.root SET n = 1; ALTER TABLE trap.root ADD FOREIGN KEY (n) REFERENCES trap.first DEFERRABLE INITIALLY DEFERRED;"
         "CREATE TABLE trap.off PARTITION OF trap.root FOR VALUES FROM (20) TO (30);"
         "ALTER TABLE trap.off DISABLE TRIGGER t; ALTER TABLE trap.leaf ENABLE ALWAYS TRIGGER t")
    states = "SELECT string_agg(tgrelid::regclass::text || '=' || tgenabled::text, ',' ORDER BY tgrelid::regclass::text) FROM pg_trigger WHERE tgname = 't'"
    before = server.sql(states, "orders")
    for objects in ((verb, "trap.leaf"), (verb, "trap.leaf", "trap.root")):
        kept(keeper, server, *objects)
        trap(how)
        code, _, why = undone(keeper, server, verb)
        assert code == OK, why
        assert ids(server) == "1,99"
        assert server.sql(states, "orders") == before


JOINS = {
    "key": (ROOT.format(key=", trap.calm(n)", low=", MINVALUE", high=", MINVALUE"), ""),
    "key since": (PLAIN, "DROP TABLE trap.root; CREATE TABLE trap.root (id int, n int) PARTITION BY RANGE (id, (id + trap.calm(1)));"
                         "CREATE TABLE trap.rest PARTITION OF trap.root DEFAULT; INSERT INTO trap.root VALUES (99)"),
    "the default's check": (PLAIN + "ALTER TABLE trap.rest ADD CHECK (trap.calm(1) > 0)", ""),
    "its own check": (PLAIN + "ALTER TABLE trap.leaf ADD CHECK (trap.calm(1) > 0)", ""),
}


@pytest.mark.parametrize("name", JOINS)
def test_a_part_that_joins_its_parent_again_runs_nothing_of_it(keeper, server, trap, name):
    """The server computes with the parent's keys, and with constants in checks, when it takes a part in."""
    made, since = JOINS[name]
    trap(made)
    kept(keeper, server, "DROP", "trap.leaf")
    trap("DROP TABLE trap.leaf;" + since)
    refused(keeper, server, "DROP", "of owner would run with the rights of op_keep")


def test_a_table_that_a_changed_key_reaches_and_that_cannot_be_held(keeper, server, trap):
    """What follows a key is written with its owner's rights, but the trigger that sees it has those of the keeper."""
    trap("CREATE TABLE trap.trap (id int PRIMARY KEY, code int UNIQUE); INSERT INTO trap.trap VALUES (1, 1);"
         "GRANT USAGE, CREATE ON SCHEMA trap TO rival; GRANT REFERENCES, SELECT ON trap.trap TO rival")
    kept(keeper, server, "UPDATE", "trap.trap")
    trap("UPDATE trap.trap SET code = 2")
    server.sql("SET ROLE rival; CREATE TABLE trap.hangs (code int REFERENCES trap.trap (code) ON UPDATE CASCADE);"
               "INSERT INTO trap.hangs VALUES (2)", "orders")
    with contextlib.closing(psycopg2.connect(**server.dsn("orders"))) as row, ThreadPoolExecutor(1) as pool:
        row.cursor().execute("SELECT FROM trap.trap FOR UPDATE")
        job = pool.submit(undone, keeper, server, "UPDATE")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'op_keep' AND wait_event_type = 'Lock'"
        wait_for("undo at the row", 20, lambda: job.done() or server.sql(waiting, "orders") == "1")
        server.sql("SET ROLE rival; CREATE TRIGGER t AFTER UPDATE ON trap.hangs FOR EACH ROW EXECUTE FUNCTION trap.fires()", "orders")
        row.rollback()
        code, _, why = job.result(60)
    assert code == ECONFLICT and "trap.hangs: what is put back may change its rows by a foreign key, and op_keep may not hold it" in why, why
    server.sql("DROP TRIGGER t ON trap.hangs; GRANT UPDATE ON trap.hangs TO op_keep", "orders")
    code, _, why = undone(keeper, server, "UPDATE")
    assert code == ECONFLICT and "rows of others refer to these" in why, why
    assert server.sql("SELECT h.code, (SELECT is_called FROM trap.sprung) FROM trap.hangs h", "orders") == "2|f"


@pytest.mark.parametrize("check", ["trap.spring(id)", "id > 0"])
def test_what_is_outside_of_more_tables_than_are_named_one_by_one(keeper, server, trap, check):
    """Then all of the database is in the archive: what else was dropped since stays away, which is told, and the rest is left alone."""
    trap("CREATE TABLE trap.many (id int) PARTITION BY LIST (id);"
         "DO $$BEGIN FOR i IN 1..501 LOOP EXECUTE format('CREATE TABLE trap.m%s PARTITION OF trap.many FOR VALUES IN (%s)', i, i); END LOOP; END$$;"
         f"INSERT INTO trap.many VALUES (7); CREATE TABLE trap.trap (id int PRIMARY KEY, CHECK ({check})); INSERT INTO trap.trap VALUES (1);"
         "CREATE TABLE trap.beside (id int, CHECK (trap.spring(id))); INSERT INTO trap.beside VALUES (1)")
    code, _, _, report, why = keeper.job(KEEP, keep=50, port=server.port, verb="DROP", objects=["trap.many"])
    assert code == OK and report["whole"] and report["relations_total"] == 502, why
    trap("DROP TABLE trap.m7, trap.trap; DELETE FROM trap.beside")
    code, report, why = undone(keeper, server, "DROP")
    assert code == OK and not report["complete"], why
    assert any("TABLE trap trap owner" in t and "others may have dropped it" in t for t in report["told"]), report["told"]
    assert server.sql("SELECT (SELECT count(*) FROM trap.many), to_regclass('trap.trap') IS NULL, (SELECT count(*) FROM trap.beside)", "orders") == "1|t|0"


# What the server computes or reads while it makes a table, before anything can be looked at.
MADE = {
    "a generated column": "CREATE TABLE trap.trap (id int, g int GENERATED ALWAYS AS (id + trap.calm(1)) STORED)",
    "a partition's key": "CREATE TABLE trap.trap (id int) PARTITION BY RANGE ((id + trap.calm(1)))",
    "a value of a domain": "CREATE TABLE trap.trap (id int, t text DEFAULT ('{1}'::trap.odd[])::text)",
    "a view's value": "CREATE VIEW trap.trap AS SELECT '{1}'::trap.odd[] AS a",
    "an index that a new key reads": "CREATE TABLE trap.trap (id int REFERENCES trap.first, n int); CREATE INDEX ON trap.trap (id) WHERE trap.calm(1) > 0",
    "an index of what it refers to": "CREATE TABLE trap.trap (id int REFERENCES trap.first, n int); CREATE INDEX ON trap.first ((id + trap.calm(1)))",
}


@pytest.mark.parametrize("name", MADE)
def test_making_a_table_runs_nobodys_code(keeper, server, trap, name):
    trap("CREATE TABLE trap.first (id int PRIMARY KEY); CREATE DOMAIN trap.odd AS int CHECK (trap.spring(VALUE));" + MADE[name])
    kept(keeper, server, "DROP", "trap.trap")
    trap("DROP VIEW trap.trap" if "VIEW" in MADE[name] else "DROP TABLE trap.trap")
    if "index" in name:  # the key is not asked of rows, so nothing reads it
        code, report, why = undone(keeper, server, "DROP")
        assert code == OK and any("code of others would run if rows were asked" in t for t in report["told"]), why
        assert server.sql("SELECT bool_or(convalidated) FROM pg_constraint WHERE conrelid = 'trap.trap'::regclass AND contype = 'f'", "orders") == "f"
        return
    refused(keeper, server, "DROP", "would run with the rights of op_keep")
    # somebody looked at it
    server.sql("ALTER FUNCTION trap.calm OWNER TO CURRENT_USER; ALTER FUNCTION trap.spring OWNER TO CURRENT_USER", "orders")
    assert server.sql("SELECT is_called FROM trap.sprung", "orders") == "f", "it ran"
    code, _, why = undone(keeper, server, "DROP")
    assert code == OK, why
    server.sql("SELECT setval('trap.sprung', 1, false)", "orders")


def test_a_foreign_key_comes_back_with_what_was_said_about_it(keeper, server, trap):
    trap("CREATE TABLE trap.first (id int PRIMARY KEY); CREATE TABLE trap.trap (id int CONSTRAINT k REFERENCES trap.first);"
         "COMMENT ON CONSTRAINT k ON trap.trap IS 'why'")
    code, _, _, _, why = keeper.job(KEEP, keep=50, port=server.port, verb="DROP", whole=True)
    assert code == OK, why
    trap("DROP TABLE trap.trap")
    code, _, why = undone(keeper, server, "DROP")
    assert code == OK, why
    assert server.sql("SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'k'", "orders") == "why"


@pytest.mark.parametrize("made,gone", [("CREATE FUNCTION trap.next(trap.odd, int) RETURNS trap.odd LANGUAGE sql AS 'SELECT $1';"
                                        "CREATE AGGREGATE trap.made(int) (SFUNC = trap.next, STYPE = trap.odd, INITCOND = '1')", "AGGREGATE trap.made(int)"),
                                       ("CREATE FUNCTION trap.made(a text DEFAULT '{1}'::trap.odd[]::text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                                        "FUNCTION trap.made")])
def test_making_a_function_asks_no_domain(keeper, server, trap, made, gone):
    trap("CREATE DOMAIN trap.odd AS int CHECK (trap.spring(VALUE));" + made)
    code, _, _, _, why = keeper.job(KEEP, keep=50, port=server.port, verb="DROP", whole=True)
    assert code == OK, why
    trap("DROP " + gone)
    refused(keeper, server, "DROP", "trap.spring(integer) of owner would run with the rights of op_keep")
    server.sql("ALTER FUNCTION trap.spring OWNER TO CURRENT_USER", "orders")
    code, _, why = undone(keeper, server, "DROP")
    assert code == OK, why
    server.sql("SELECT setval('trap.sprung', 1, false)", "orders")


# What a check calls may take the table's own row, or the domain's value: pg_dump writes it behind the rows then.
TABLE = ("CREATE TABLE trap.it (id int); CREATE FUNCTION trap.value(trap.it) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN trap.spring(1); END';"
         "ALTER TABLE trap.it ADD CONSTRAINT c CHECK (trap.value(trap.it.*)); INSERT INTO trap.it VALUES (1), (-1); COMMENT ON CONSTRAINT c ON trap.it IS 'c';"
         "ALTER TABLE trap.it ADD CONSTRAINT late CHECK (id > 0) NOT VALID; COMMENT ON CONSTRAINT late ON trap.it IS 'late'")
DOMAIN = ("CREATE DOMAIN trap.it AS int; CREATE FUNCTION trap.value(trap.it) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN trap.spring(1); END';"
          "CREATE TABLE trap.of (n int PRIMARY KEY, i trap.it); INSERT INTO trap.of VALUES (1, 1), (2, 2);"
          "ALTER DOMAIN trap.it ADD CONSTRAINT c CHECK (trap.value(VALUE)); COMMENT ON CONSTRAINT c ON DOMAIN trap.it IS 'c'{late}")
LATE = {
    "of a table that is there": (TABLE, "DROP FUNCTION trap.value CASCADE", "late=late"),
    "of a table": (TABLE, "DROP FUNCTION trap.value CASCADE; DROP TABLE trap.it", "late=late"),
    "of a domain that is there": (DOMAIN.format(late=""), "DROP FUNCTION trap.value CASCADE", ""),
    "of a domain": (DOMAIN.format(late="; ALTER DOMAIN trap.it ADD CONSTRAINT late CHECK (VALUE > 0) NOT VALID;"
                                       "COMMENT ON CONSTRAINT late ON DOMAIN trap.it IS 'late'"), "DROP DOMAIN trap.it CASCADE", "late=late"),
}


@pytest.mark.parametrize("name", LATE)
def test_a_check_that_the_archive_adds_when_rows_are_there(keeper, server, trap, name):
    made, how, checks = LATE[name]
    trap(made)
    code, _, _, _, why = keeper.job(KEEP, keep=50, port=server.port, verb="DROP", whole=True)
    assert code == OK, why
    trap(how)
    for kind in (TRY_UNDO, UNDO):
        code, report, why = undone(keeper, server, "DROP", kind)
        assert server.sql("SELECT is_called FROM trap.sprung", "orders") == "f", "it ran"
        assert code == OK and not report["complete"], why
        assert any(t.startswith("CHECK CONSTRAINT trap it c ") and "is not put back" in t for t in report["told"])
    there = "SELECT string_agg(conname || '=' || obj_description(oid, 'pg_constraint'), ' ') FROM pg_constraint WHERE connamespace = 'trap'::regnamespace AND contype = 'c'"
    assert server.sql(there, "orders") == checks


# ---- a server that answers without an end ----

def endless(rows):
    """Speaks as much of the protocol as a first question takes; how many rows it sent is in the list."""
    listener = socket.create_server(("127.0.0.1", 0))

    def message(kind, body=b""):
        return kind + struct.pack(">I", len(body) + 4) + body

    def serve():
        one, _ = listener.accept()
        with one, contextlib.suppress(OSError):
            one.recv(65536)
            one.sendall(message(b"R", struct.pack(">I", 0)) + message(b"Z", b"I"))
            one.recv(65536)
            one.sendall(message(b"1") + message(b"2") + message(b"T", struct.pack(">H", 1) + b"a\0" + struct.pack(">IHIhih", 0, 0, 25, -1, -1, 0)))
            row = message(b"D", struct.pack(">HI", 1, 1 << 20) + b"x" * (1 << 20))
            while len(rows) < 2000:
                one.sendall(row)
                rows.append(1)

    threading.Thread(target=serve, daemon=True).start()
    return listener


def test_a_server_that_answers_without_an_end(keeper, server):
    rows = []
    with endless(rows) as listener:
        code, _, _, _, why = keeper.job(ESTIMATE, port=listener.getsockname()[1], verb="DROP", objects=["public.things"])
    assert code != OK and "answers more than the keeper reads" in why, why
    assert len(rows) < 300, len(rows)
    assert keeper.job(ESTIMATE, port=server.port, verb="DROP", whole=True)[0] == OK

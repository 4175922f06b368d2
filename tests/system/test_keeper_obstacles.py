# SPDX-License-Identifier: Apache-2.0
"""What somebody, or bad luck, puts in the way of an undo: keeps that would be empty are refused, and what cannot be put
back does not stand in the way of the rest.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import pytest

from keeper_client import ESTIMATE, KEEP, TRY_UNDO, UNDO
from keeperlib import keep, row, server_and_keeper, undo
from vault_client import ECONFLICT, ELIMIT, OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE clerk NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""


server, keeper = server_and_keeper(ROLES, settings={"max_locks_per_transaction": 256})


@pytest.fixture(autouse=True)
def shop(server):
    server.sql("SET ROLE owner; CREATE SCHEMA shop; CREATE TABLE shop.things (id int PRIMARY KEY, n int);"
               "INSERT INTO shop.things SELECT i, i FROM generate_series(1, 5) i", "orders")
    yield
    server.sql("DROP SCHEMA shop CASCADE; DROP OWNED BY clerk", "orders")


def refused(keeper, server, number, verb, *objects, kind=KEEP, **more):
    code, _, _, _, why = keeper.job(kind, keep=number, port=server.port, verb=verb, objects=objects, **more)
    assert code != OK
    if kind == KEEP:
        assert not keeper.kept_file(number).exists()
    return code, why


def limits(keeper, server, verb, *objects, **more):
    code, _, _, report, why = keeper.job(ESTIMATE, port=server.port, verb=verb, objects=objects, **more)
    assert code == OK, why
    return "\n".join(report["limits"])


# ---- keeps that would be empty ----

@pytest.fixture
def extension(server):
    """A trusted one, which its owner may add his tables to."""
    server.sql("SET ROLE owner; CREATE EXTENSION hstore SCHEMA shop; ALTER EXTENSION hstore ADD TABLE shop.things", "orders")
    yield
    server.sql("ALTER EXTENSION hstore DROP TABLE shop.things; DROP EXTENSION hstore", "orders")


@pytest.mark.parametrize("verb", ["DELETE", "TRUNCATE", "UPDATE"])
def test_a_table_that_was_given_to_an_extension_is_not_kept(keeper, server, extension, verb):
    """pg_dump leaves it out, and says nothing."""
    code, why = refused(keeper, server, 1, verb, "shop.things")
    assert code == ECONFLICT and "shop.things belongs to an extension" in why, why
    assert "shop.things belongs to an extension" in limits(keeper, server, verb, "shop.things")


def test_nor_is_a_database_that_has_such_a_table(keeper, server, extension):
    code, why = refused(keeper, server, 2, "ANY", whole=True)
    assert code == ECONFLICT and "shop.things belongs to an extension" in why, why


def test_what_an_extension_made_itself_stands_in_no_ones_way(keeper, server):
    """Its script ran with the rights of a superuser, who owns what it made."""
    server.sql("CREATE TABLE shop.fixed (n int); SET ROLE owner; CREATE EXTENSION hstore SCHEMA shop; RESET ROLE;"
               "ALTER EXTENSION hstore ADD TABLE shop.fixed", "orders")
    keep(keeper, server, 3, "ANY", whole=True)
    server.sql("ALTER EXTENSION hstore DROP TABLE shop.fixed; DROP EXTENSION hstore", "orders")


def test_tables_without_columns_or_logs_are_in_the_archive(keeper, server):
    server.sql("SET ROLE owner; CREATE TABLE shop.bare (); INSERT INTO shop.bare DEFAULT VALUES; CREATE UNLOGGED TABLE shop.quick (n int);"
               "CREATE TABLE shop.parts (id int) PARTITION BY RANGE (id); CREATE TABLE shop.parts_1 PARTITION OF shop.parts DEFAULT;"
               "CREATE TABLE shop.heir () INHERITS (shop.things); CREATE MATERIALIZED VIEW shop.seen AS TABLE shop.things", "orders")
    keep(keeper, server, 4, "ANY", whole=True)
    keep(keeper, server, 5, "TRUNCATE", "shop.bare", "shop.quick", "shop.parts", "shop.things", "shop.seen")


# ---- lists of what is in an archive ----

LONG = "s" * 63
TYPE = "t" * 63


def functions(server, count):
    """Each makes 13,000 bytes of the list."""
    server.sql(f"SET ROLE owner; CREATE SCHEMA {LONG}; CREATE TYPE {LONG}.{TYPE} AS (n int)", "orders")
    args = ", ".join([f"{LONG}.{TYPE}"] * 100)
    server.sql(f"SET ROLE owner; DO $do$BEGIN FOR i IN 1 .. {count} LOOP EXECUTE 'CREATE FUNCTION {LONG}.f' || i || '({args}) RETURNS int "
               "LANGUAGE sql AS $$SELECT 1$$'; END LOOP; END$do$", "orders")


def test_a_long_list_of_what_was_kept_can_be_read_again(keeper, server):
    try:
        functions(server, 800)
        keep(keeper, server, 6, "DROP", whole=True)
        server.sql(f"DROP SCHEMA shop CASCADE; DROP FUNCTION {LONG}.f7", "orders")
        assert undo(keeper, server, 6, "DROP", whole=True)["complete"]
        assert server.sql(f"SELECT count(*), (SELECT count(*) FROM shop.things) FROM pg_proc WHERE pronamespace = '{LONG}'::regnamespace",
                          "orders") == "800|5"
    finally:
        server.sql(f"DROP SCHEMA {LONG} CASCADE", "orders")


@pytest.mark.parametrize("count", [2800, 6000])
def test_what_could_not_be_read_again_is_not_kept(keeper, server, count):
    """Said at once, not on the day that it is needed: also where pg_restore gives up writing it."""
    try:
        functions(server, count)
        code, why = refused(keeper, server, 7, "DROP", whole=True)
        assert code == ELIMIT and "more objects than an undo can read" in why, why
    finally:
        server.sql(f"DROP SCHEMA {LONG} CASCADE", "orders")


# ---- tables without a key ----

def test_a_column_of_a_table_without_a_key_does_not_double_its_rows(keeper, server):
    """Beside the new column, which is empty, each row looks as if it were missing. Who approves is told that."""
    server.sql("SET ROLE owner; CREATE TABLE shop.log (a int, b int); INSERT INTO shop.log SELECT i, i FROM generate_series(1, 3) i", "orders")
    keep(keeper, server, 20, "ALTER", "shop.log")
    keep(keeper, server, 21, "ANY", whole=True)
    server.sql("ALTER TABLE shop.log DROP COLUMN b", "orders")
    code, why = refused(keeper, server, 20, "ALTER", kind=UNDO)
    assert code == ECONFLICT and "it has no key, so values of a column that fell cannot be put back: b" in why, why
    server.sql("DELETE FROM shop.things", "orders")
    report = undo(keeper, server, 21, "ANY", whole=True)  # of a database that table alone is left out
    assert not report["complete"] and any("shop.log: it has no key" in told for told in report["told"])
    assert server.sql("SELECT count(*) FROM shop.things; SELECT string_agg(l::text, ' ') FROM shop.log l", "orders") == "5\n(1) (2) (3)"
    assert "shop.log has no key: a column that falls" in limits(keeper, server, "ALTER", "shop.log")
    assert limits(keeper, server, "ALTER", "shop.things") == ""


# ---- grants and comments of a database ----

WORDS = """
CREATE EXTENSION pgcrypto SCHEMA shop;
GRANT EXECUTE ON FUNCTION shop.digest(text, text) TO clerk;
SET ROLE owner;
GRANT USAGE ON SCHEMA shop TO clerk;
GRANT SELECT ON shop.things TO clerk;
COMMENT ON TABLE shop.things IS 'was';
CREATE TABLE shop."TABLE things" (id int PRIMARY KEY, n int CONSTRAINT odd CHECK (n > 0));
GRANT SELECT ON shop."TABLE things" TO clerk;
GRANT UPDATE (n) ON shop."TABLE things" TO clerk;
COMMENT ON CONSTRAINT odd ON shop."TABLE things" IS 'c';
CREATE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
REVOKE ALL ON FUNCTION shop.twice FROM PUBLIC;
COMMENT ON FUNCTION shop.twice IS 'f';
"""
LOOK = """
SELECT has_schema_privilege('clerk', 'shop', 'USAGE'), has_table_privilege('clerk', 'shop.things', 'SELECT'),
 obj_description('shop.things'::regclass), has_function_privilege('clerk', 'shop.digest(text, text)', 'EXECUTE'), relacl
 FROM pg_class WHERE oid = 'shop.things'::regclass
"""
LOOK_BACK = """
SELECT proacl, obj_description(oid) FROM pg_proc WHERE proname = 'twice';
SELECT relacl, attacl, obj_description(k.oid) FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attname = 'n'
 JOIN pg_constraint k ON conrelid = c.oid AND contype = 'c' WHERE relname = 'TABLE things'
"""


@pytest.mark.parametrize("verb", ["DROP", "ANY"])
def test_of_a_database_only_words_about_what_is_missing_come_back(keeper, server, verb):
    """Rights that were taken since stay taken, and what a superuser said about his extension stands in nobody's way."""
    server.sql(WORDS, "orders")
    back = server.sql(LOOK_BACK, "orders")
    assert back.count("clerk") == 2 and "|f" in back and "|c" in back
    keep(keeper, server, 30, verb, whole=True)
    server.sql("REVOKE USAGE ON SCHEMA shop FROM clerk; REVOKE SELECT ON shop.things FROM clerk; COMMENT ON TABLE shop.things IS 'is';"
               "REVOKE EXECUTE ON FUNCTION shop.digest(text, text) FROM PUBLIC, clerk;"
               'DROP FUNCTION shop.twice; DROP TABLE shop."TABLE things"', "orders")
    now = server.sql(LOOK, "orders")
    assert now.startswith("f|f|is|f|")
    undo(keeper, server, 30, verb, whole=True)
    assert server.sql(LOOK, "orders") == now
    assert server.sql(LOOK_BACK, "orders") == back


def test_an_extension_that_is_made_again_has_its_own_grants(keeper, server):
    server.sql("SET ROLE owner; CREATE EXTENSION hstore SCHEMA shop; RESET ROLE;"
               "REVOKE EXECUTE ON FUNCTION shop.akeys(shop.hstore) FROM PUBLIC; GRANT CREATE ON DATABASE orders TO op_keep", "orders")
    keep(keeper, server, 31, "DROP", whole=True)
    server.sql("DROP EXTENSION hstore", "orders")
    report = undo(keeper, server, 31, "DROP", whole=True)
    assert any(told.startswith("extension hstore was made again: grants") for told in report["told"]), report


def test_rights_that_drop_owned_took_are_told_and_stay_away(keeper, server):
    server.sql("CREATE ROLE leaver; GRANT leaver TO op_keep; CREATE TABLE shop.his (id int); INSERT INTO shop.his VALUES (1);"
               "GRANT CREATE ON SCHEMA shop TO leaver; ALTER TABLE shop.his OWNER TO leaver; GRANT SELECT ON shop.things TO leaver", "orders")
    try:
        assert "on what stays these do not come back" in limits(keeper, server, "DROP CASCADE OWNED", whole=True)
        keep(keeper, server, 32, "DROP CASCADE OWNED", whole=True)
        server.sql("DROP OWNED BY leaver; GRANT CREATE ON SCHEMA shop TO leaver", "orders")
        report = undo(keeper, server, 32, "DROP CASCADE OWNED", whole=True)
        assert any("rights that DROP OWNED took from its roles" in told for told in report["told"]) and not report["complete"], report
        assert server.sql("TABLE shop.his", "orders") == "1"
        assert server.sql("SELECT has_table_privilege('leaver', 'shop.things', 'SELECT')", "orders") == "f"
        keep(keeper, server, 33, "DROP CASCADE OWNED", whole=True)
        code, why = refused(keeper, server, 33, "DROP CASCADE OWNED", kind=UNDO, whole=True)
        assert code == ECONFLICT and "there is nothing to put back (rights that DROP OWNED took" in why, why
    finally:
        server.sql("DROP OWNED BY leaver; DROP ROLE leaver", "orders")


# ---- keys that change others' columns ----

CHAIN = """
SET ROLE owner;
CREATE TABLE shop.child (id int PRIMARY KEY, thing int UNIQUE REFERENCES shop.things ON DELETE SET NULL);
CREATE TABLE shop.grand (id int%s, thing int UNIQUE REFERENCES shop.child (thing) ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE shop.great (id int PRIMARY KEY, thing int REFERENCES shop.grand (thing) ON UPDATE SET DEFAULT);
CREATE TABLE shop.gone (id int PRIMARY KEY REFERENCES shop.things ON DELETE CASCADE);
CREATE TABLE shop.beside (id int REFERENCES shop.gone ON UPDATE CASCADE);
INSERT INTO shop.child SELECT i, i FROM generate_series(1, 5) i;
INSERT INTO shop.grand SELECT i, i FROM generate_series(1, 5) i;
INSERT INTO shop.great SELECT i, i FROM generate_series(1, 5) i;
INSERT INTO shop.gone SELECT generate_series(1, 5);
INSERT INTO shop.beside VALUES (5);
"""
ALL = "SELECT (SELECT string_agg(t::text, '' ORDER BY id) FROM shop.%s t)"
CHAINED = "; ".join(ALL % one for one in ("things", "child", "grand", "great", "gone", "beside"))


def test_a_delete_that_changes_a_key_changes_what_refers_to_it(keeper, server):
    """things -> child: SET NULL; child -> grand: ON UPDATE; grand -> great: ON UPDATE."""
    server.sql(CHAIN % " PRIMARY KEY", "orders")
    before = server.sql(CHAINED, "orders")
    report = keep(keeper, server, 40, "DELETE", "shop.things")
    assert {r["name"] for r in report["relations"]} == {"shop." + one for one in ("things", "child", "grand", "great", "gone")}
    server.sql("DELETE FROM shop.things WHERE id < 4", "orders")
    assert server.sql(ALL % "great", "orders") == "(1,)(2,)(3,)(4,4)(5,5)"
    report = undo(keeper, server, 40, "DELETE")
    assert report["complete"] and row(report, "shop.great")["reverted"] == 3
    assert server.sql(CHAINED, "orders") == before


def test_such_a_table_without_a_key_is_told_before(keeper, server):
    server.sql(CHAIN % "", "orders")
    said = limits(keeper, server, "DELETE", "shop.things")
    assert "shop.grand has no key: rows that are changed" in said and "shop.beside" not in said
    assert limits(keeper, server, "DELETE", "shop.beside") == ""


# ---- tables that went along ----

EVIL = """
SET ROLE owner;
CREATE TABLE shop.evil (id int PRIMARY KEY, thing int REFERENCES shop.things ON DELETE CASCADE);
CREATE TABLE shop.below (id int PRIMARY KEY, evil int REFERENCES shop.evil ON DELETE CASCADE);
CREATE TABLE shop.other (id int PRIMARY KEY, thing int REFERENCES shop.things ON DELETE CASCADE);
INSERT INTO shop.evil SELECT i, i FROM generate_series(1, 5) i;
INSERT INTO shop.below SELECT i, i FROM generate_series(1, 5) i;
INSERT INTO shop.other SELECT i, i FROM generate_series(1, 5) i;
"""


@pytest.mark.parametrize("since,told,below", [
    ("DROP TABLE shop.evil CASCADE", "shop.evil: the table has been dropped since", 5),
    ("ALTER TABLE shop.evil ADD need int NOT NULL", "shop.evil: a column was added since that needs a value: need", 0),
    ("ALTER TABLE shop.evil ALTER thing TYPE bigint", "shop.evil: a column has another type now: thing (bigint)", 0),
    ("ALTER TABLE shop.evil DROP COLUMN thing", "shop.evil: a column that was kept is not there any more: thing", 0)])
def test_a_table_that_went_along_does_not_stand_in_the_way(keeper, server, since, told, below):
    """Whoever made it could keep what was asked for from ever coming back. What hangs on its rows stays away with them."""
    server.sql(EVIL, "orders")
    keep(keeper, server, 50, "DELETE", "shop.things")
    server.sql("DELETE FROM shop.things; " + since, "orders")
    report = undo(keeper, server, 50, "DELETE")
    assert not report["complete"] and any(one.startswith(told) and one.endswith("it is left as it is") for one in report["told"]), report
    assert below or any(one.startswith("shop.below: it refers to a table that is left as it is: shop.evil") for one in report["told"])
    assert server.sql("SELECT count(*), (SELECT count(*) FROM shop.other), (SELECT count(*) FROM shop.below) FROM shop.things",
                      "orders") == f"5|5|{below}"
    code, why = refused(keeper, server, 50, "DELETE", kind=UNDO)
    assert code == ECONFLICT and "nothing of what was kept is missing" in why and told in why


def test_nor_does_one_without_a_key_that_lost_values(keeper, server):
    """It was not held, so it is left out: told to those who approve, and again by undo."""
    server.sql("SET ROLE owner; CREATE TABLE shop.loose (thing int REFERENCES shop.things ON DELETE SET NULL);"
               "INSERT INTO shop.loose SELECT i FROM generate_series(1, 5) i", "orders")
    assert "shop.loose has no key: rows that are changed" in limits(keeper, server, "DELETE", "shop.things")
    keep(keeper, server, 51, "DELETE", "shop.things")
    server.sql("DELETE FROM shop.things", "orders")
    report = undo(keeper, server, 51, "DELETE")
    assert not report["complete"] and any("shop.loose: it has no key" in told for told in report["told"])
    assert server.sql("SELECT count(*) FROM shop.things", "orders") == "5"


BARE = """SET ROLE owner; CREATE TABLE shop.bare (); INSERT INTO shop.bare DEFAULT VALUES; CREATE TABLE shop.empty ();
CREATE TABLE shop.one (g int GENERATED ALWAYS AS (1) STORED PRIMARY KEY); INSERT INTO shop.one DEFAULT VALUES;
CREATE TABLE shop.of_one (id int PRIMARY KEY, g int REFERENCES shop.one); INSERT INTO shop.of_one VALUES (1, 1)"""


def test_nor_does_one_whose_columns_nobody_writes(keeper, server):
    """Nor what refers to it, where its row is gone; one that was empty is told of to nobody."""
    server.sql(BARE, "orders")
    keep(keeper, server, 53, "ANY", whole=True)
    server.sql("DELETE FROM shop.things; DELETE FROM shop.bare; DELETE FROM shop.of_one; DELETE FROM shop.one", "orders")
    report = undo(keeper, server, 53, "ANY", whole=True)
    assert row(report, "shop.things")["inserted"] == 5
    for told in ("shop.bare: it has no column that can be written", "shop.one: it has no column", "shop.of_one: it refers to a table"):
        assert any(told in one for one in report["told"]), report["told"]
    assert not any("shop.empty" in one for one in report["told"]) and not report["complete"]


def test_nor_where_it_was_asked_for_together_with_others(keeper, server):
    server.sql(BARE, "orders")
    keep(keeper, server, 54, "TRUNCATE", "shop.things", "shop.bare")
    server.sql("TRUNCATE shop.things, shop.bare", "orders")
    report = undo(keeper, server, 54, "TRUNCATE")
    assert row(report, "shop.things")["inserted"] == 5 and not report["complete"]
    server.sql("INSERT INTO shop.bare DEFAULT VALUES", "orders")
    keep(keeper, server, 55, "TRUNCATE", "shop.bare")
    assert "no column that can be written" in refused(keeper, server, 55, "TRUNCATE", kind=UNDO)[1]


def test_what_was_asked_for_by_name_still_has_to_fit(keeper, server):
    server.sql(EVIL, "orders")
    keep(keeper, server, 52, "DELETE", "shop.things", "shop.evil")
    server.sql("DELETE FROM shop.things; DROP TABLE shop.evil CASCADE", "orders")
    code, why = refused(keeper, server, 52, "DELETE", kind=UNDO)
    assert code == ECONFLICT and why.startswith("shop.evil: the table has been dropped since"), why


def test_rows_on_another_server_are_not_kept(keeper, server):
    """A partition may be a foreign table: what destroys its rows by name does not run, of a whole database they are told to stay away."""
    server.sql("CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far; CREATE SCHEMA far AUTHORIZATION owner; GRANT USAGE ON FOREIGN SERVER far TO owner;"
               "SET ROLE owner; CREATE TABLE far.parent (id int, n int) PARTITION BY LIST (n); CREATE FOREIGN TABLE far.away PARTITION OF far.parent FOR VALUES IN (1) SERVER far;"
               "CREATE TABLE far.near PARTITION OF far.parent FOR VALUES IN (2); INSERT INTO far.near VALUES (1, 2)", "orders")
    try:
        for verb in ("DELETE", "TRUNCATE", "UPDATE"):
            assert "far.away has its rows on another server: they cannot be kept, so this will not run" in limits(keeper, server, verb, "far.parent")
            code, _, _, _, why = keeper.job(KEEP, keep=61, port=server.port, verb=verb, objects=["far.parent"])
            assert code == ECONFLICT and "far.away has its rows on another server" in why, why
        assert limits(keeper, server, "DROP", "far.parent") == ""
        keep(keeper, server, 61, "DROP", "far.parent")
        server.sql("DROP TABLE far.parent", "orders")
        undo(keeper, server, 61, "DROP")
        assert "far.away has its rows on another server: they are not kept" in limits(keeper, server, "ANY", whole=True)
        keep(keeper, server, 62, "ANY", whole=True)
        server.sql("DELETE FROM far.near; DELETE FROM shop.things", "orders")
        report = undo(keeper, server, 62, "ANY")
        assert not report["complete"] and "far.away has its rows on another server: they were not kept" in report["told"]
        assert any(t.startswith("far.parent: a part of it is a foreign table") for t in report["told"])
        assert server.sql("SELECT (SELECT count(*) FROM far.near), (SELECT count(*) > 0 FROM shop.things)", "orders") == "0|t"
    finally:
        server.sql("DROP SCHEMA far CASCADE; DROP FOREIGN DATA WRAPPER far CASCADE", "orders")


# ---- rights that undo needs ----

def test_whose_rights_undo_lacks_is_told_before(keeper, server):
    """A view that falls along, of somebody whom op_keep is no member of: nothing would come back then."""
    server.sql("GRANT USAGE ON SCHEMA shop TO clerk; GRANT SELECT ON shop.things TO clerk; GRANT CREATE ON SCHEMA shop TO clerk; SET ROLE clerk;"
               "CREATE VIEW shop.seen AS TABLE shop.things; CREATE FUNCTION shop.one() RETURNS int LANGUAGE sql AS 'SELECT 1';"
               "CREATE TYPE shop.hue AS ENUM ('a')", "orders")
    said = limits(keeper, server, "DROP", "shop.things", cascades=True)
    assert "lacks the rights of clerk, who owns shop.seen:" in said
    assert "lacks the rights of clerk, who owns shop.hue and 2 more:" in limits(keeper, server, "DROP", whole=True)
    assert limits(keeper, server, "DELETE", "shop.things") == ""
    keep(keeper, server, 60, "DROP", "shop.things", cascades=True)
    server.sql("DROP TABLE shop.things CASCADE", "orders")
    report = undo(keeper, server, 60, "DROP")
    assert not report["complete"] and "VIEW shop seen clerk: it is not put back" in " ".join(report["told"])
    assert server.sql("SELECT to_regclass('shop.things'), to_regclass('shop.seen') IS NULL", "orders") == "shop.things|t"
    try:
        server.sql("GRANT clerk TO op_keep")
        report = undo(keeper, server, 60, "DROP", partly=True)
        assert report["complete"] and report["restored"] == ["VIEW shop seen clerk"], report
        assert server.sql("SELECT to_regclass('shop.seen')", "orders") == "shop.seen"
        assert limits(keeper, server, "DROP", whole=True) == ""
    finally:
        server.sql("REVOKE clerk FROM op_keep")


def test_so_is_it_of_a_foreign_key_that_falls(keeper, server):
    server.sql("GRANT ALL ON SCHEMA shop TO clerk; GRANT REFERENCES ON shop.things TO clerk; SET ROLE clerk;"
               "CREATE TABLE shop.theirs (thing int REFERENCES shop.things)", "orders")
    assert "rights of clerk, who owns shop.theirs:" in limits(keeper, server, "DROP", "shop.things", cascades=True)
    assert limits(keeper, server, "DELETE", "shop.things") == ""


def test_so_is_it_of_large_objects(keeper, server):
    server.sql("SET ROLE clerk; SELECT lo_create(100001)", "orders")
    try:
        assert "rights of clerk, who owns large object 100001:" in limits(keeper, server, "ANY", whole=True)
    finally:
        server.sql("SELECT lo_unlink(100001)", "orders")


# ---- counters ----

COUNTED = """
SET ROLE owner;
CREATE TABLE shop.counted (id serial PRIMARY KEY, two bigint GENERATED ALWAYS AS IDENTITY, down int, odd int, word text);
CREATE SEQUENCE shop.falls INCREMENT -1 OWNED BY shop.counted.down;
CREATE SEQUENCE shop.small MAXVALUE 10 OWNED BY shop.counted.odd;
CREATE SEQUENCE shop.of_word OWNED BY shop.counted.word;
ALTER TABLE shop.counted ALTER down SET DEFAULT nextval('shop.falls');
INSERT INTO shop.counted (odd, word) SELECT 1000, 'x' FROM generate_series(1, 4);
"""
COUNTERS = """SELECT (SELECT last_value FROM shop.counted_id_seq), (SELECT last_value FROM shop.counted_two_seq),
 (SELECT last_value FROM shop.falls), (SELECT last_value FROM shop.small), (SELECT is_called FROM shop.of_word)"""


def test_counters_go_on_behind_what_came_back(keeper, server):
    """TRUNCATE ... RESTART IDENTITY; a dry run leaves them where they are, and none goes back."""
    server.sql(COUNTED, "orders")
    before = server.sql("TABLE shop.counted", "orders")
    keep(keeper, server, 70, "TRUNCATE", "shop.counted")
    server.sql("TRUNCATE shop.counted RESTART IDENTITY", "orders")
    assert server.sql(COUNTERS, "orders") == "1|1|-1|1|f"
    assert keeper.job(TRY_UNDO, keep=70, port=server.port, verb="TRUNCATE")[0] == OK
    assert server.sql(COUNTERS, "orders") == "1|1|-1|1|f"
    server.sql("SELECT setval('shop.counted_two_seq', 90)", "orders")
    undo(keeper, server, 70, "TRUNCATE")
    assert server.sql("TABLE shop.counted", "orders") == before
    assert server.sql(COUNTERS, "orders") == "4|90|-4|1|f"
    assert server.sql("INSERT INTO shop.counted DEFAULT VALUES RETURNING id, two, down", "orders") == "5|91|-5"


def test_a_counter_that_has_not_counted_yet(keeper, server):
    server.sql("SET ROLE owner; CREATE TABLE shop.counted (id serial PRIMARY KEY); INSERT INTO shop.counted DEFAULT VALUES", "orders")
    keep(keeper, server, 71, "TRUNCATE", "shop.counted")
    server.sql("TRUNCATE shop.counted RESTART IDENTITY", "orders")
    undo(keeper, server, 71, "TRUNCATE")
    assert server.sql("INSERT INTO shop.counted DEFAULT VALUES RETURNING id", "orders") == "2"


def test_nor_does_a_counter_go_back_that_was_set_and_not_used(keeper, server):
    """It says where it stands only by counting."""
    server.sql("SET ROLE owner; CREATE TABLE shop.counted (id serial PRIMARY KEY); INSERT INTO shop.counted SELECT FROM generate_series(1, 3)", "orders")
    keep(keeper, server, 72, "TRUNCATE", "shop.counted")
    server.sql("TRUNCATE shop.counted; ALTER SEQUENCE shop.counted_id_seq RESTART 100", "orders")
    undo(keeper, server, 72, "TRUNCATE")
    assert server.sql("INSERT INTO shop.counted DEFAULT VALUES RETURNING id", "orders") == "101"

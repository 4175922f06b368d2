# SPDX-License-Identifier: Apache-2.0
"""What is written about something that is there goes by the name that it had: another that has the name by then is
neither touched nor run as the keeper's role.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import pytest

from keeper_client import TRY_UNDO, UNDO
from keeperlib import kept, refused, server_and_keeper, trap, undone  # noqa: F401
from vault_client import ECONFLICT, OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""
server, keeper = server_and_keeper(ROLES)

# f looks like a constant to the server; what it does runs as whoever folds it.
SHOP = """
CREATE SCHEMA shop AUTHORIZATION owner;
CREATE SEQUENCE shop.sprung;
GRANT ALL ON shop.sprung TO PUBLIC;
SET ROLE owner;
CREATE FUNCTION shop.g() RETURNS int VOLATILE LANGUAGE plpgsql AS
  $$BEGIN IF session_user = 'op_keep' THEN PERFORM nextval('shop.sprung'); END IF; RETURN 1; END$$;
CREATE FUNCTION shop.f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN shop.g(); END';
"""


@pytest.fixture
def shop(server):
    """A schema of the owner's; that none of his code ran as op_keep is looked at in the end."""
    server.sql(SHOP, "orders")
    yield lambda text: server.sql("SET ROLE owner;" + text, "orders")
    ran = server.sql("SELECT is_called FROM shop.sprung", "orders")
    for schema in ("shop", "old", "ext", "ext2"):
        server.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE", "orders")
    assert ran == "f", "it ran"


def keys(server):
    return server.sql("SELECT conrelid::regclass || ' ' || conname FROM pg_constraint WHERE contype IN ('p', 'u', 'f')"
                      " AND connamespace = 'shop'::regnamespace ORDER BY 1", "orders")


IMPOSTOR = "CREATE TABLE shop.p (id int PRIMARY KEY); INSERT INTO shop.p VALUES (1), (2); CREATE INDEX ON shop.p (id) WHERE shop.f(1) > 0;"


@pytest.mark.parametrize("verb,how", [("DROP", "DROP TABLE shop.c"), ("ALTER", "ALTER TABLE shop.c DROP CONSTRAINT k")])
def test_a_foreign_key_ties_what_it_tied_or_nothing(keeper, server, shop, verb, how):
    shop("CREATE TABLE shop.p (id int PRIMARY KEY); INSERT INTO shop.p VALUES (1), (2);"
         "CREATE TABLE shop.c (id int PRIMARY KEY, p int CONSTRAINT k REFERENCES shop.p); INSERT INTO shop.c VALUES (1, 1);"
         "COMMENT ON CONSTRAINT k ON shop.c IS 'k'")
    kept(keeper, server, verb, "shop.c")
    shop(how + "; ALTER TABLE shop.p RENAME TO p_old;" + IMPOSTOR)
    for kind in (TRY_UNDO, UNDO):
        code, report, why = undone(keeper, server, verb, kind)
        assert server.sql("SELECT is_called FROM shop.sprung", "orders") == "f", "it ran"
        if verb == "ALTER":  # there is nothing else
            assert code == ECONFLICT and "shop.p is called shop.p_old now" in why, why
            continue
        assert code == OK and not report["complete"], why
        assert any("FK CONSTRAINT shop c k " in t and "shop.p is called shop.p_old now" in t for t in report["told"]), report["told"]
    shop("DROP TABLE shop.p; ALTER TABLE shop.p_old RENAME TO p")
    if verb == "ALTER":
        code, report, why = undone(keeper, server, verb)
        assert code == OK and "shop.c k" in keys(server), why


def test_a_foreign_key_of_a_child_that_is_called_otherwise_now(keeper, server, shop):
    shop("CREATE TABLE shop.p (id int PRIMARY KEY); INSERT INTO shop.p VALUES (1), (2);"
         "CREATE TABLE shop.c (id int PRIMARY KEY, p int CONSTRAINT k REFERENCES shop.p); INSERT INTO shop.c VALUES (1, 1)")
    kept(keeper, server, "DROP", "shop.p", cascades=True)
    shop("DROP TABLE shop.p CASCADE; ALTER TABLE shop.c RENAME TO c_old; CREATE TABLE shop.c (id int PRIMARY KEY, p int);"
         "INSERT INTO shop.c VALUES (1, 1); CREATE INDEX ON shop.c (p) WHERE shop.f(1) > 0")
    code, report, why = undone(keeper, server, "DROP")
    assert code == OK and not report["complete"], why
    assert any("k of shop.c" in t and "shop.c is called shop.c_old now" in t for t in report["told"]), report["told"]
    assert " k" not in keys(server)


WRITTEN = {
    "a key": ("", "ALTER TABLE shop.z DROP CONSTRAINT z_pkey", "ALTER"),
    "a policy": ("CREATE POLICY p ON shop.z USING (a > 0)", "DROP POLICY p ON shop.z", "DROP"),
    "an index": ("CREATE INDEX i ON shop.z (a)", "DROP INDEX shop.i", "DROP"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_belongs_to_a_table_does_not_go_to_one_that_has_its_name(keeper, server, shop, name):
    before, how, verb = WRITTEN[name]
    shop("CREATE TABLE shop.z (id int PRIMARY KEY, a int, k int UNIQUE NOT NULL); INSERT INTO shop.z VALUES (1, 1, 1);" + before)
    kept(keeper, server, verb, "shop.z")
    shop(how + "; ALTER TABLE shop.z RENAME TO z_old; CREATE TABLE shop.z (id int, a int, k int); INSERT INTO shop.z VALUES (1, 1, 1);"
               "ALTER TABLE shop.z ADD CHECK (shop.f(1) > 0)")
    refused(keeper, server, verb, "shop.z is called shop.z_old now: call it as it was")
    shop("DROP TABLE shop.z; ALTER TABLE shop.z_old RENAME TO z")
    code, _, why = undone(keeper, server, verb)
    assert code == OK, why


def test_a_table_does_not_come_back_into_a_schema_that_has_the_name(keeper, server, shop):
    server.sql("CREATE SCHEMA old AUTHORIZATION owner", "orders")
    shop("CREATE TABLE old.z (id int PRIMARY KEY); INSERT INTO old.z VALUES (1)")
    kept(keeper, server, "DROP", "old.z")
    shop("DROP TABLE old.z")
    server.sql("ALTER SCHEMA old RENAME TO ext; CREATE SCHEMA old AUTHORIZATION owner", "orders")
    refused(keeper, server, "DROP", "old is called ext now: call it as it was")
    server.sql("DROP SCHEMA old; ALTER SCHEMA ext RENAME TO old", "orders")
    code, _, why = undone(keeper, server, "DROP")
    assert code == OK and server.sql("SELECT id FROM old.z", "orders") == "1", why


def test_a_type_that_is_called_otherwise_now(keeper, server, shop):
    shop("CREATE TYPE shop.mood AS ENUM ('well', 'ill'); CREATE TABLE shop.z (id int PRIMARY KEY, m shop.mood); INSERT INTO shop.z VALUES (1, 'ill')")
    kept(keeper, server, "DROP", "shop.z")
    shop("DROP TABLE shop.z; ALTER TYPE shop.mood RENAME TO temper; CREATE DOMAIN shop.mood AS text CHECK (shop.f(1) > 0)")
    refused(keeper, server, "DROP", "shop.mood is called shop.temper now: call it as it was")


# Functions that the archive's text calls: known by number when they were kept, called by name.
CALLED = {
    "a generated column": "CREATE TABLE shop.z (id int PRIMARY KEY, g real GENERATED ALWAYS AS (ext.similarity('x', 'y')) STORED)",
    "an operator": "CREATE TABLE shop.z (id int PRIMARY KEY, g real GENERATED ALWAYS AS ('x' OPERATOR(ext.<->) 'y') STORED)",
    "a partition's key": "CREATE TABLE shop.z (id int) PARTITION BY RANGE ((id + ext.similarity('x', 'y')))",
}
# The tables by which undo looked could be written by what ran.
TAMPERS = """
CREATE OR REPLACE FUNCTION shop.g() RETURNS int VOLATILE LANGUAGE plpgsql AS $$BEGIN
  IF session_user = 'op_keep' THEN
    PERFORM nextval('shop.sprung');
    BEGIN DELETE FROM pg_temp.sp_kept; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN DELETE FROM pg_temp.sp_early; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN INSERT INTO pg_temp.sp_reading SELECT proname FROM pg_proc; EXCEPTION WHEN OTHERS THEN NULL; END;
  END IF; RETURN 1; END$$;
"""


@pytest.mark.parametrize("how", ["renamed", "beside", "operator"])
@pytest.mark.parametrize("name", CALLED)
def test_a_function_is_looked_at_by_the_name_by_which_it_is_called(keeper, server, shop, name, how):
    server.sql("GRANT CREATE ON DATABASE orders TO owner; CREATE SCHEMA ext AUTHORIZATION owner", "orders")
    server.sql("SET ROLE owner; CREATE EXTENSION pg_trgm SCHEMA ext", "orders")
    shop(CALLED[name])
    kept(keeper, server, "DROP", "shop.z")
    shop("DROP TABLE shop.z;" + TAMPERS)
    own = ("CREATE FUNCTION ext.{f}(text, text) RETURNS real IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN shop.g(); END';"
           "CREATE OPERATOR ext.<-> (LEFTARG = text, RIGHTARG = text, FUNCTION = ext.{f});")
    if how == "renamed":
        shop("ALTER SCHEMA ext RENAME TO ext2; CREATE SCHEMA ext;" + own.format(f="similarity"))
        refused(keeper, server, "DROP", "is called ext2.")
        return
    # one that would be a better match, if an argument were of that type: whatever has the name is looked at
    one = ("CREATE FUNCTION ext.similarity(varchar, text) RETURNS real IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN shop.g(); END';"
           if how == "beside" else
           "CREATE FUNCTION shop.near(varchar, text) RETURNS real IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN shop.g(); END';"
           "CREATE OPERATOR ext.<-> (LEFTARG = varchar, RIGHTARG = text, FUNCTION = shop.near);")
    shop(one)
    if (how == "operator") != (name == "an operator"):
        code, _, why = undone(keeper, server, "DROP")
        assert code == OK, why
        return
    refused(keeper, server, "DROP", "of owner would run with the rights of op_keep")


def test_keys_are_compared_by_the_operator_of_their_index(keeper, server, trap):
    server.sql("CREATE EXTENSION citext SCHEMA public; GRANT CREATE ON SCHEMA public TO owner", "orders")
    try:
        trap("CREATE DOMAIN trap.d AS public.citext; CREATE TABLE trap.z (k trap.d PRIMARY KEY, v int); INSERT INTO trap.z VALUES ('a', 1), ('b', 2);"
             "CREATE TABLE trap.y (k public.citext REFERENCES trap.z ON DELETE CASCADE)")
        kept(keeper, server, "UPDATE", "trap.z")
        trap("CREATE FUNCTION public.eq(trap.d, public.citext) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN trap.spring(1); END';"
             "CREATE OPERATOR public.= (LEFTARG = trap.d, RIGHTARG = public.citext, FUNCTION = public.eq);"
             "UPDATE trap.z SET k = k || 'x', v = 9; INSERT INTO trap.y VALUES ('AX')")
        code, report, why = undone(keeper, server, "UPDATE")
        assert code == OK and [row["hung"] for row in report["rows"]] == [1], why or report
        assert server.sql("SELECT k, v FROM trap.z ORDER BY k", "orders").split() == ["a|1", "ax|9", "b|2"]
    finally:
        server.sql("REVOKE CREATE ON SCHEMA public FROM owner; DROP EXTENSION citext CASCADE; DROP FUNCTION IF EXISTS public.eq CASCADE", "orders")


def test_rows_that_an_index_tells_apart_by_another_collation(keeper, server, trap):
    trap("CREATE COLLATION trap.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
         "CREATE TABLE trap.z (k text COLLATE trap.ci NOT NULL, v text); CREATE UNIQUE INDEX ON trap.z (k COLLATE \"C\");"
         "INSERT INTO trap.z VALUES ('a', 'lower'), ('A', 'UPPER'), ('b', 'b')")
    kept(keeper, server, "DELETE", "trap.z")
    trap("DELETE FROM trap.z WHERE k COLLATE \"C\" = 'a'")
    code, _, why = undone(keeper, server, "DELETE")
    assert code == OK, why
    assert server.sql("SELECT k, v FROM trap.z ORDER BY k COLLATE \"C\"", "orders").split() == ["A|UPPER", "a|lower", "b|b"]


def test_a_key_that_is_not_unique_any_more(keeper, server, trap):
    trap("CREATE TABLE trap.z (id int PRIMARY KEY, a text); INSERT INTO trap.z VALUES (1, 'a1')")
    kept(keeper, server, "UPDATE", "trap.z")
    trap("UPDATE trap.z SET a = ''; ALTER TABLE trap.z DROP CONSTRAINT z_pkey; INSERT INTO trap.z VALUES (1, 'of others')")
    refused(keeper, server, "UPDATE", "its key is not unique any more, so its rows cannot be told apart")
    trap("DELETE FROM trap.z WHERE a = 'of others'; CREATE UNIQUE INDEX ON trap.z (id)")
    code, _, why = undone(keeper, server, "UPDATE")
    assert code == OK and server.sql("SELECT a FROM trap.z", "orders") == "a1", why

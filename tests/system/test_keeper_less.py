# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: what comes back with less than it had, and what of others' is left as it is.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""
import contextlib

import pytest

from keeper_client import ESTIMATE, TRY_UNDO
from keeperlib import keep, row, server_and_keeper, undo
from vault_client import ECONFLICT, OK

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


def test_a_column_that_fell_has_its_collation_identity_and_checks_again(keeper, server, shop):
    server.sql("CREATE COLLATION shop.nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false); GRANT USAGE ON SCHEMA shop TO clerk", "orders")
    shop("""CREATE TABLE shop.people (id int PRIMARY KEY, mail text COLLATE shop.nocase UNIQUE, age int CHECK (age > 0), n int GENERATED ALWAYS AS IDENTITY,
            CONSTRAINT both_ CHECK (age < n + 1000));
            INSERT INTO shop.people (id, mail, age) VALUES (1, 'A@x', 5), (2, 'b@x', 6);
            GRANT SELECT (mail) ON shop.people TO clerk; COMMENT ON COLUMN shop.people.mail IS 'where'""")
    keep(keeper, server, 2, "ALTER", "shop.people")
    shop("ALTER TABLE shop.people DROP COLUMN mail, DROP COLUMN age, DROP COLUMN n")
    report = undo(keeper, server, 2, "ALTER")
    assert server.sql("SELECT id, mail, age, n FROM shop.people ORDER BY 1", "orders").splitlines() == ["1|A@x|5|1", "2|b@x|6|2"]
    for wrong in ("3, 'a@X', 1", "3, 'c', -1"):
        with pytest.raises(Exception, match="people_mail_key|people_age_check"):
            shop(f"INSERT INTO shop.people (id, mail, age) VALUES ({wrong})")
    shop("INSERT INTO shop.people (id, mail, age) VALUES (4, 'd', 7)")
    assert server.sql("SELECT n FROM shop.people WHERE id = 4", "orders").strip() in ("3", "4", "5")
    assert server.sql("SELECT count(*) FROM pg_constraint WHERE conrelid = 'shop.people'::regclass AND contype = 'c'", "orders").strip() == "2"
    assert any("column mail of shop.people: its grants, comment" in one for one in report["told"]) and report["complete"] is False, report


def test_a_key_that_fell_is_told(keeper, server, shop):
    shop("CREATE TABLE shop.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text); INSERT INTO shop.t (note) VALUES ('a'), ('b')")
    keep(keeper, server, 3, "ALTER", "shop.t")
    shop("ALTER TABLE shop.t DROP COLUMN id")
    code, _, _, _, why = keeper.job(TRY_UNDO, keep=3, port=server.port, verb="ALTER")
    assert code == ECONFLICT and "its key fell" in why, why


def test_statistics_and_publications_are_told(keeper, server, shop):
    shop("CREATE TABLE shop.t (id int PRIMARY KEY, a int, b int); INSERT INTO shop.t VALUES (1, 2, 3); CREATE STATISTICS shop.both_ ON a, b FROM shop.t")
    server.sql("CREATE PUBLICATION far FOR TABLE shop.t", "orders")
    try:
        said = ["extended statistics shop.both_ of shop.t", "shop.t in the publication far"]
        assert limits(keeper, server, "DELETE", "shop.t") == []
        assert [one for one in limits(keeper, server, "DROP", "shop.t") if "falls" in one] == [f"{one}: where this falls it does not come back" for one in said]
        keep(keeper, server, 4, "DROP", "shop.t")
        shop("DROP TABLE shop.t")
        report = undo(keeper, server, 4, "DROP")
        assert server.sql("TABLE shop.t", "orders").strip() == "1|2|3"
        assert {f"{one}: this is not put back" for one in said} <= set(report["told"]) and report["complete"] is False
    finally:
        server.sql("DROP PUBLICATION far", "orders")


def test_what_only_others_may_make_is_told_and_the_rest_comes_back(keeper, server, shop):
    """A publication of another role, one for all tables, an event trigger: none of them keeps a schema from coming back."""
    shop("CREATE TABLE shop.t (id int PRIMARY KEY); INSERT INTO shop.t VALUES (1); CREATE TABLE shop.mine (id int PRIMARY KEY)")
    server.sql("CREATE PUBLICATION far FOR TABLE shop.t, shop.mine; CREATE PUBLICATION every_ FOR ALL TABLES; COMMENT ON PUBLICATION every_ IS 'all';"
               "CREATE PUBLICATION near_ FOR TABLE shop.mine; ALTER PUBLICATION near_ OWNER TO owner;"
               "CREATE FUNCTION shop.noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; ALTER FUNCTION shop.noted() OWNER TO owner;"
               "CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION shop.noted(); ALTER EVENT TRIGGER noted DISABLE", "orders")
    try:
        lines = [f"shop.{name} in the publication far: where this falls it does not come back" for name in ("mine", "t")]
        assert [one for one in limits(keeper, server, "DROP", whole=True) if "publication" in one] == lines
        keep(keeper, server, 11, "DROP", whole=True)
        server.sql("DROP SCHEMA shop CASCADE; DROP PUBLICATION every_", "orders")
        report = undo(keeper, server, 11, "DROP", whole=True)
        assert server.sql("TABLE shop.t", "orders") == "1" and report["complete"] is False
        assert server.sql("SELECT pubname, tablename FROM pg_publication_tables", "orders") == "near_|mine"
        said = [one for one in report["told"] if "may not make it" in one or "others may have dropped it" in one]
        assert len(said) == 4 and [len([one for one in said if word in one]) for word in ("far t", "far mine", "every_", "EVENT TRIGGER")] == [1] * 4, report
    finally:
        server.sql("DROP PUBLICATION IF EXISTS far; DROP PUBLICATION IF EXISTS every_; DROP PUBLICATION IF EXISTS near_; DROP EVENT TRIGGER IF EXISTS noted", "orders")


def test_what_others_dropped_since_stays_away(keeper, server, shop):
    """Rights that somebody took rightly do not come with the undo of another statement; what fell with it does."""
    shop("""CREATE TABLE shop.docs (id int PRIMARY KEY, secret bool); ALTER TABLE shop.docs ENABLE ROW LEVEL SECURITY;
            CREATE POLICY all_ ON shop.docs TO clerk USING (true); GRANT SELECT ON shop.docs TO clerk;
            CREATE TABLE shop.levels (id int PRIMARY KEY, level int);
            CREATE POLICY by_level ON shop.docs AS RESTRICTIVE USING ((SELECT max(level) FROM shop.levels) > 0);
            CREATE TABLE shop.gone (id int PRIMARY KEY); CREATE POLICY own ON shop.gone USING (id > 0); INSERT INTO shop.gone VALUES (1);
            ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO clerk""")
    server.sql("CREATE FUNCTION public.nothing() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION public.nothing()", "orders")
    policies = "SELECT polname FROM pg_policy ORDER BY 1"
    try:
        keep(keeper, server, 5, "DROP ALTER", whole=True)
        shop("DROP TABLE shop.gone CASCADE; ALTER TABLE shop.levels DROP COLUMN level CASCADE")
        shop("DROP POLICY all_ ON shop.docs; ALTER DEFAULT PRIVILEGES IN SCHEMA shop REVOKE SELECT ON TABLES FROM clerk")
        server.sql("DROP EVENT TRIGGER noted", "orders")
        report = undo(keeper, server, 5, "DROP ALTER", whole=True)
        assert server.sql(policies, "orders").split() == ["by_level", "own"] and server.sql("TABLE shop.gone", "orders").strip() == "1"
        assert server.sql("SELECT count(*) FROM pg_default_acl", "orders").strip() == "0"
        assert len([one for one in report["told"] if "others may have dropped it" in one]) == 2 and report["complete"] is False, report
        assert [one for one in report["told"] if "may not make it" in one and "EVENT TRIGGER" in one], report
    finally:
        server.sql("DROP EVENT TRIGGER IF EXISTS noted; DROP FUNCTION public.nothing()", "orders")


def test_rights_by_default_come_back_with_their_schema(keeper, server, shop):
    shop("ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO clerk")
    keep(keeper, server, 6, "DROP", whole=True)
    shop("DROP SCHEMA shop CASCADE")
    report = undo(keeper, server, 6, "DROP", whole=True)
    assert server.sql("SELECT count(*) FROM pg_default_acl", "orders").strip() == "1" and report["complete"] is True


def test_a_key_of_an_extensions_type(keeper, server, shop):
    server.sql("CREATE EXTENSION ltree SCHEMA public", "orders")
    shop("CREATE TABLE shop.tree (at public.ltree, n int, v int, PRIMARY KEY (n, at)); INSERT INTO shop.tree VALUES ('a.b', 1, 1), ('a.c', 1, 2)")
    try:
        keep(keeper, server, 7, "DELETE", "shop.tree")
        shop("DELETE FROM shop.tree WHERE v = 1")
        undo(keeper, server, 7, "DELETE")
        keep(keeper, server, 8, "UPDATE", "shop.tree")
        shop("UPDATE shop.tree SET v = 9")
        undo(keeper, server, 8, "UPDATE")
        assert server.sql("SELECT * FROM shop.tree ORDER BY v", "orders").splitlines() == ["a.b|1|1", "a.c|1|2"]
    finally:
        server.sql("DROP EXTENSION ltree CASCADE", "orders")


def test_what_hangs_on_a_new_key_of_an_extensions_type(keeper, server, shop):
    """Rows that hang on it are found by the operator of the foreign key, as the server finds them."""
    server.sql("CREATE EXTENSION ltree SCHEMA public", "orders")
    shop("""CREATE TABLE shop.tree (at public.ltree PRIMARY KEY, v int); INSERT INTO shop.tree VALUES ('a.b', 1), ('a.c', 2);
            CREATE TABLE shop.leaf (id int PRIMARY KEY, at public.ltree REFERENCES shop.tree ON DELETE CASCADE)""")
    try:
        with contextlib.closing(server.connect(database="orders")) as holder:
            holder.autocommit = False
            holder.cursor().execute("LOCK TABLE shop.tree IN SHARE ROW EXCLUSIVE MODE; SELECT pg_current_xact_id()")
            keep(keeper, server, 10, "UPDATE", "shop.tree", holder=holder.get_backend_pid())
            holder.cursor().execute("UPDATE shop.tree SET at = ('z.' || at::text)::public.ltree")
            holder.commit()
        shop("INSERT INTO shop.leaf VALUES (1, 'z.a.b')")
        report = undo(keeper, server, 10, "UPDATE")
        assert row(report, "shop.tree")["hung"] == 1, report
        assert server.sql("SELECT at FROM shop.tree ORDER BY at", "orders").split() == ["a.b", "a.c", "z.a.b"]
        assert server.sql("TABLE shop.leaf", "orders") == "1|z.a.b"
    finally:
        server.sql("DROP EXTENSION ltree CASCADE", "orders")


def test_event_triggers_with_functions_of_others(keeper, server, shop):
    shop("CREATE TABLE shop.t (id int PRIMARY KEY); INSERT INTO shop.t VALUES (1)")
    server.sql("CREATE FUNCTION public.noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER noted ON ddl_command_start EXECUTE FUNCTION public.noted()", "orders")
    try:
        keep(keeper, server, 9, "DELETE", "shop.t")
        shop("DELETE FROM shop.t")
        server.sql("ALTER FUNCTION public.noted() OWNER TO clerk", "orders")
        code, _, _, _, why = keeper.job(TRY_UNDO, keep=9, port=server.port, verb="DELETE")
        assert code == ECONFLICT and "noted() of clerk" in why, why
        server.sql("ALTER FUNCTION public.noted() OWNER TO CURRENT_USER", "orders")
        undo(keeper, server, 9, "DELETE")
    finally:
        server.sql("DROP EVENT TRIGGER noted; DROP FUNCTION public.noted()", "orders")

# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: schema public, which comes with each database, and which pg_dump therefore never makes.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import os

import pytest

from keeperlib import keep, server_and_keeper, undo
from officelib import ROOT

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE clerk NOLOGIN;
CREATE ROLE third NOLOGIN;
CREATE ROLE op_keep LOGIN CREATEDB PASSWORD 'of op_keep' IN ROLE owner, clerk, third;
GRANT pg_read_all_data TO op_keep;
"""


server, keeper = server_and_keeper(ROLES, database=None)  # each test makes its own


@pytest.fixture(autouse=True)
def orders(server):
    server.sql("CREATE DATABASE orders OWNER owner")
    server.sql("SET ROLE owner; CREATE TABLE public.things (id int PRIMARY KEY); INSERT INTO public.things SELECT generate_series(1, 3);"
               "CREATE SCHEMA shop; CREATE TABLE shop.parts (thing int REFERENCES public.things); GRANT CREATE ON SCHEMA shop TO clerk;"
               "CREATE TABLE shop.his (id int); CREATE DOMAIN shop.number AS int; RESET ROLE; ALTER TABLE shop.his OWNER TO clerk;"
               "ALTER DOMAIN shop.number OWNER TO clerk", "orders")
    yield
    server.sql("DROP DATABASE IF EXISTS orders")


def image(server):
    """Schema as pg_dump sees it, and what it says of public only where it differs from a new database."""
    schema = server.run("pg_dump", "-s", "orders")
    public = server.sql("SELECT nspowner::regrole, COALESCE(nspacl, acldefault('n', nspowner)), obj_description(oid) FROM pg_namespace WHERE nspname = 'public'", "orders")
    return "\n".join(line for line in schema.splitlines() if "restrict" not in line), public, server.sql("TABLE public.things", "orders")


OURS = "ALTER SCHEMA public OWNER TO clerk; GRANT CREATE ON SCHEMA public TO owner; REVOKE ALL ON SCHEMA public FROM PUBLIC;"
KINDS = ["", "GRANT ALL ON SCHEMA public TO clerk; COMMENT ON SCHEMA public IS 'ours'", OURS,
         "ALTER SCHEMA public RENAME TO old; CREATE SCHEMA public AUTHORIZATION owner; ALTER TABLE old.things SET SCHEMA public; DROP SCHEMA old"]
DROPS = [("DROP DATABASE orders", "postgres"), ("DROP SCHEMA public CASCADE", "orders")]


@pytest.mark.parametrize("statement,where", DROPS)
@pytest.mark.parametrize("kind", KINDS)
def test_its_owner_grants_and_comment_come_back(keeper, server, kind, statement, where):
    server.sql(kind, "orders")
    before = image(server)
    keep(keeper, server, 1, "DROP", whole=True)
    server.sql(statement, where)
    report = undo(keeper, server, 1, "DROP", whole=True)
    assert image(server) == before
    assert report["complete"], report


@pytest.mark.parametrize("statement,where", DROPS)
def test_an_owner_whose_rights_the_keeper_lacks_is_told_and_left_out(keeper, server, statement, where):
    """As public of a database that came from before PostgreSQL 15."""
    server.sql(f"GRANT CREATE ON SCHEMA public TO owner; ALTER SCHEMA public OWNER TO {server.sql('SELECT current_user')};"
               "GRANT CREATE ON SCHEMA public TO clerk", "orders")
    before = image(server)
    keep(keeper, server, 2, "DROP", whole=True)
    server.sql(statement, where)
    report = undo(keeper, server, 2, "DROP", whole=True)
    assert any("schema public does not come back to its owner" in told for told in report["told"]) and not report["complete"]
    after = image(server)
    assert after[1].startswith("pg_database_owner|") and "clerk=C" in after[1]
    assert after[2] == before[2]


def test_a_second_try_in_the_database_that_the_first_one_made(keeper, server):
    """The first one makes the database, without what its role may not make."""
    server.sql(OURS + "CREATE SCHEMA lager AUTHORIZATION third", "orders")
    before = image(server)
    keep(keeper, server, 3, "DROP", whole=True)
    server.sql("DROP DATABASE orders")
    server.sql("REVOKE third FROM op_keep")
    assert not undo(keeper, server, 3, "DROP", whole=True)["complete"]
    assert server.sql("SELECT to_regclass('public.things'), to_regnamespace('lager')", "orders") == "things|"
    server.sql("GRANT third TO op_keep")
    assert undo(keeper, server, 3, "DROP", whole=True, partly=True)["complete"]
    assert image(server) == before


def test_what_is_still_there_is_left_alone(keeper, server):
    """Nothing else is in the archive: that all of it is missing does not mean that the database was."""
    server.sql("DROP TABLE public.things CASCADE; GRANT CREATE ON SCHEMA public TO clerk", "orders")
    keep(keeper, server, 4, "DROP", whole=True)
    server.sql("DROP SCHEMA shop CASCADE; REVOKE CREATE ON SCHEMA public FROM clerk", "orders")
    undo(keeper, server, 4, "DROP", whole=True)
    assert server.sql("SELECT has_schema_privilege('clerk', 'public', 'CREATE'), count(*) FROM pg_class WHERE relname = 'parts'", "orders") == "f|1"


def test_one_that_was_made_again_is_left_alone_and_told(keeper, server):
    server.sql("GRANT CREATE ON SCHEMA public TO clerk", "orders")
    keep(keeper, server, 5, "DROP", whole=True)
    server.sql("DROP SCHEMA public CASCADE; SET ROLE owner; CREATE SCHEMA public", "orders")
    report = undo(keeper, server, 5, "DROP", whole=True)
    assert any("schema public was dropped since and made again" in told for told in report["told"]) and not report["complete"]
    assert server.sql("SELECT nspowner::regrole, (SELECT count(*) FROM public.things) FROM pg_namespace WHERE nspname = 'public'",
                      "orders") == "owner|3"


def test_who_may_make_things_in_a_schema_gets_his_own_back(keeper, server):
    before = image(server)
    keep(keeper, server, 6, "DROP", whole=True)
    server.sql("DROP SCHEMA shop CASCADE", "orders")
    assert undo(keeper, server, 6, "DROP", whole=True)["complete"]
    assert image(server) == before


# ---- what tells the gate of definitions (packaging/postgres) ----

OLD = """CREATE FUNCTION public.sallyport_catalogue_changed() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN NOTIFY sallyport_catalogue; END $$;
         CREATE EVENT TRIGGER sallyport_catalogue ON ddl_command_end EXECUTE FUNCTION public.sallyport_catalogue_changed()"""
TELLS = "SELECT evtfoid::regproc || ' ' || pg_get_userbyid(nspowner) FROM pg_event_trigger, pg_proc p, pg_namespace n WHERE p.oid = evtfoid AND n.oid = pronamespace"


def install(server):
    server.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "orders", "-f", os.path.join(ROOT, "packaging", "postgres", "sallyport-catalogue.sql"))


def test_what_tells_the_gate_does_not_fall_with_it(keeper, server):
    server.sql("ALTER SCHEMA public OWNER TO owner; CREATE SCHEMA sallyport AUTHORIZATION clerk;" + OLD, "orders")
    install(server)
    install(server)
    assert server.sql(TELLS, "orders") == f"sallyport.catalogue_changed {server.sql('SELECT current_user')}"
    assert server.sql("SELECT count(*) FROM pg_proc WHERE proname = 'sallyport_catalogue_changed'", "orders") == "0"
    keep(keeper, server, 7, "DROP CASCADE", whole=True)
    server.sql("SET ROLE owner; DROP SCHEMA public CASCADE", "orders")
    assert undo(keeper, server, 7, "DROP CASCADE", whole=True)["complete"]
    assert server.sql("SELECT count(*), count(evtname) FROM public.things, pg_event_trigger", "orders") == "3|3"


def test_an_old_one_falls_with_it_and_keeps_nothing_else_away(keeper, server):
    server.sql("ALTER SCHEMA public OWNER TO owner;" + OLD, "orders")
    keep(keeper, server, 8, "DROP CASCADE", whole=True)
    server.sql("SET ROLE owner; DROP SCHEMA public CASCADE", "orders")
    report = undo(keeper, server, 8, "DROP CASCADE", whole=True)
    assert report["complete"] is False and server.sql("SELECT count(*) FROM public.things", "orders") == "3"
    assert sum("it is not put back, because the keeper's role" in one for one in report["told"]) == 2, report
    install(server)
    assert server.sql(TELLS, "orders").startswith("sallyport.catalogue_changed ")

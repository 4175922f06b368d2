# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: schema public, which comes with each database, and which pg_dump therefore never makes.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import pytest

from keeper_client import UNDO
from keeperlib import keep, server_and_keeper, undo
from vault_client import ECONFLICT

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
    """The first one makes the database, and nothing in it."""
    server.sql(OURS + "CREATE SCHEMA lager AUTHORIZATION third", "orders")
    before = image(server)
    keep(keeper, server, 3, "DROP", whole=True)
    server.sql("DROP DATABASE orders")
    server.sql("REVOKE third FROM op_keep")
    assert keeper.job(UNDO, keep=3, port=server.port, verb="DROP", whole=True)[0] == ECONFLICT
    assert server.sql("SELECT to_regclass('public.things')", "orders") == ""
    server.sql("GRANT third TO op_keep")
    assert undo(keeper, server, 3, "DROP", whole=True)["complete"]
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

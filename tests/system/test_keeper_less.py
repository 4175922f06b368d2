# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: what comes back with less than it had, and what of others' is left as it is.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""
import pytest

from keeper_client import ESTIMATE, TRY_UNDO
from keeperlib import keep, server_and_keeper, undo
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

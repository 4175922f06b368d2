# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: rows come back where keys wait for the commit, where tables refer to each other, and
where a trigger of the owner stands beside a key that waits.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md; keeper/undo_keys.c.
"""

import pytest

from keeper_client import TRY_UNDO
from keeperlib import keep, server_and_keeper, undo
from test_keeper_whole import ROLES
from vault_client import ECONFLICT

TABLES = """
SET ROLE owner;
CREATE SCHEMA shop;
CREATE TABLE shop.places (id int PRIMARY KEY, place int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE shop.slots (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&) DEFERRABLE);
CREATE TABLE shop.teams (id int PRIMARY KEY, lead int);
CREATE TABLE shop.people (id int PRIMARY KEY, team int NOT NULL REFERENCES shop.teams ON DELETE CASCADE);
ALTER TABLE shop.teams ADD CONSTRAINT leads FOREIGN KEY (lead) REFERENCES shop.people ON DELETE CASCADE;
CREATE TABLE shop.authors (id int PRIMARY KEY);
CREATE TABLE shop.books (id int PRIMARY KEY, author int REFERENCES shop.authors ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE shop.seen (what text);
CREATE FUNCTION shop.see() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO shop.seen VALUES (TG_OP); RETURN NULL; END$$;
CREATE TRIGGER see AFTER INSERT OR DELETE ON shop.books FOR EACH ROW EXECUTE FUNCTION shop.see();
INSERT INTO shop.places SELECT i, 10 * i FROM generate_series(1, 50) i;
INSERT INTO shop.slots SELECT i, int4range(10 * i, 10 * i + 10) FROM generate_series(1, 50) i;
BEGIN;
INSERT INTO shop.teams SELECT i, NULL FROM generate_series(1, 20) i;
INSERT INTO shop.people SELECT i, 1 + i % 20 FROM generate_series(1, 100) i;
UPDATE shop.teams SET lead = id;
COMMIT;
INSERT INTO shop.authors SELECT generate_series(1, 20);
INSERT INTO shop.books SELECT i, 1 + i % 20 FROM generate_series(1, 100) i;
DELETE FROM shop.seen;
"""


server, keeper = server_and_keeper(ROLES)


@pytest.fixture(autouse=True)
def shop(server):
    for text in TABLES.split("BEGIN;\n"):
        server.sql("SET ROLE owner;" + text, "orders")
    yield
    server.sql("DROP SCHEMA shop CASCADE", "orders")


def rows(server, *tables):
    return [server.sql(f"SELECT * FROM shop.{one} t ORDER BY t::text", "orders") for one in tables]


def constraints(server):
    return server.sql("SELECT conname, condeferrable, condeferred, convalidated FROM pg_constraint WHERE connamespace = 'shop'::regnamespace"
                      " ORDER BY 1", "orders") + \
        server.sql("SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal", "orders")


@pytest.mark.parametrize("number, table, verb, text", [
    (1, "places", "DELETE", "DELETE FROM shop.places WHERE id > 10"),
    (2, "slots", "DELETE", "DELETE FROM shop.slots WHERE id > 10"),
    (3, "places", "UPDATE", "UPDATE shop.places SET place = 510 - place"),
    (4, "places", "TRUNCATE", "TRUNCATE shop.places"),
])
def test_uniqueness_that_is_looked_at_at_the_commit(keeper, server, number, table, verb, text):
    before = rows(server, table)
    keep(keeper, server, number, verb, f"shop.{table}")
    server.sql(text, "orders")
    assert rows(server, table) != before
    undo(keeper, server, number, verb)
    assert rows(server, table) == before


def test_a_value_that_another_row_has_by_now_is_said_before_it_is_agreed_to(keeper, server):
    """What waits for the commit is looked at in the dry run too."""
    keep(keeper, server, 5, "DELETE", "shop.places")
    server.sql("DELETE FROM shop.places WHERE id = 7; INSERT INTO shop.places VALUES (99, 70)", "orders")
    code, _, _, _, why = keeper.job(TRY_UNDO, keep=5, port=server.port, verb="DELETE")
    assert code == ECONFLICT and "places_place_key" in why, (code, why)
    assert server.sql("SELECT id FROM shop.places WHERE place = 70", "orders") == "99"


@pytest.mark.parametrize("number, verb, text", [
    (6, "DELETE", "DELETE FROM shop.teams"), (7, "TRUNCATE", "TRUNCATE shop.teams CASCADE"),
    (8, "DELETE", "DELETE FROM shop.teams WHERE id < 5")])
def test_tables_that_refer_to_each_other(keeper, server, number, verb, text):
    before, how = rows(server, "teams", "people"), constraints(server)
    keep(keeper, server, number, verb, "shop.teams", cascades=True)
    server.sql(text, "orders")
    assert rows(server, "teams", "people") != before
    undo(keeper, server, number, verb, cascades=True)
    assert rows(server, "teams", "people") == before
    assert constraints(server) == how, "the keys are what they were"
    with pytest.raises(AssertionError, match="people_team_fkey"):
        server.sql("INSERT INTO shop.people VALUES (1000, 1000)", "orders")


def test_a_key_that_waits_beside_a_trigger(keeper, server):
    before, how = rows(server, "authors", "books"), constraints(server)
    keep(keeper, server, 9, "DELETE", "shop.authors")
    server.sql("DELETE FROM shop.authors WHERE id < 10; DELETE FROM shop.seen", "orders")
    undo(keeper, server, 9, "DELETE")
    assert rows(server, "authors", "books", "seen") == [*before, ""], "no trigger ran"
    assert constraints(server) == how


# ---- keys of single partitions ----

PARTS = """
SET ROLE owner;
CREATE TABLE shop.a_parts (id int PRIMARY KEY, thing int) PARTITION BY RANGE (id);
CREATE TABLE shop.a_parts_1 PARTITION OF shop.a_parts FOR VALUES FROM (0) TO (1000);
CREATE TABLE shop.a_parts_2 PARTITION OF shop.a_parts FOR VALUES FROM (1000) TO (2000);
CREATE TABLE shop.z_things (id int PRIMARY KEY, part int);
INSERT INTO shop.z_things SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO shop.a_parts SELECT i, i FROM generate_series(1, 20) i;
"""
TO_THINGS = "ALTER TABLE shop.a_parts_1 ADD CONSTRAINT things FOREIGN KEY (thing) REFERENCES shop.z_things ON DELETE CASCADE;"
TO_PARTS = "ALTER TABLE shop.z_things ADD CONSTRAINT parts FOREIGN KEY (part) REFERENCES shop.a_parts ON DELETE CASCADE;"
OF_ONE = ("CREATE TABLE shop.a_first (part int REFERENCES shop.z_parts_1 ON DELETE CASCADE);"
          "INSERT INTO shop.a_first SELECT generate_series(1, 20)")
OF_ALL = OF_ONE.replace("z_parts_1", "z_parts")
RENAMED = "ALTER TABLE shop.a_parts RENAME TO z_parts; ALTER TABLE shop.a_parts_1 RENAME TO z_parts_1;"


@pytest.mark.parametrize("number, more, tables, kept, text", [
    (20, TO_THINGS, ("a_parts", "z_things"), ("a_parts", "z_things"), "TRUNCATE shop.a_parts, shop.z_things"),
    (21, RENAMED + OF_ONE, ("a_first", "z_parts"), ("z_parts",), "DELETE FROM shop.z_parts"),
    (22, RENAMED + OF_ALL, ("a_first", "z_parts_1"), ("z_parts_1",), "DELETE FROM shop.z_parts_1"),
    (23, TO_THINGS + TO_PARTS, ("a_parts", "z_things"), ("z_things",), "DELETE FROM shop.z_things"),
    (24, TO_THINGS + TO_PARTS, ("a_parts", "z_things"), ("a_parts_1",), "DELETE FROM shop.a_parts_1")])
def test_rows_come_back_in_the_order_of_keys_of_single_partitions(keeper, server, number, more, tables, kept, text):
    """The rows of a partition are put into the whole, or a partition was kept by itself; in a circle the key waits."""
    server.sql(PARTS + more, "orders")
    before, how = rows(server, *tables), constraints(server)
    verb = text.split()[0]
    keep(keeper, server, number, verb, *(f"shop.{one}" for one in kept))
    server.sql(text, "orders")
    assert rows(server, *tables) != before
    undo(keeper, server, number, verb)
    assert rows(server, *tables) == before
    assert constraints(server) == how


def test_a_row_of_others_that_hangs_on_a_partition_keeps_its_row(keeper, server):
    """What stands under a new key goes, and the key would take theirs along."""
    server.sql(PARTS, "orders")
    keep(keeper, server, 25, "UPDATE", "shop.a_parts")
    server.sql("UPDATE shop.a_parts SET id = id + 100", "orders")
    server.sql("SET ROLE owner; CREATE TABLE shop.others (part int REFERENCES shop.a_parts_1 ON DELETE CASCADE); INSERT INTO shop.others VALUES (103)",
               "orders")
    report = undo(keeper, server, 25, "UPDATE")
    assert rows(server, "others") == ["103"], "it went along"
    assert report["rows"][0]["hung"] == 1 and not report["complete"], report
    assert server.sql("SELECT min(id), max(id), count(*) FROM shop.a_parts", "orders") == "1|103|21"

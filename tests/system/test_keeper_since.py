# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: what others did between a statement and its undo is left to them, and nothing is called complete,
or impossible, that is not.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""
import contextlib

import pytest

from keeper_client import UNDO
from keeperlib import keep, row, server_and_keeper, undo
from vault_client import EAGAIN, ECONFLICT

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""

server, keeper = server_and_keeper(ROLES)


@pytest.fixture
def shop(server):
    """A table z of five rows."""
    server.sql("SET ROLE owner; CREATE SCHEMA shop; CREATE TABLE shop.z (id int PRIMARY KEY, a text, b text);"
               "INSERT INTO shop.z SELECT i, 'a' || i, 'b' || i FROM generate_series(1, 5) i", "orders")
    yield lambda text: server.sql("SET ROLE owner;" + text, "orders")
    server.sql("DROP SCHEMA IF EXISTS shop CASCADE", "orders")


def held(keeper, server, number, verb, before, text, table="shop.z"):
    """Kept as the gate does it, while the transaction of what is before holds the table."""
    with contextlib.closing(server.connect(database="orders")) as holder:
        holder.autocommit = False
        holder.cursor().execute(f"{before}; LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE; SELECT pg_current_xact_id()")
        keep(keeper, server, number, verb, table, holder=holder.get_backend_pid())
        holder.cursor().execute(text)
        holder.commit()


def refusal(keeper, server, number, verb, **more):
    code, _, _, _, why = keeper.job(UNDO, keep=number, port=server.port, verb=verb, **more)
    assert code == ECONFLICT, (code, why)
    return why


@pytest.mark.parametrize("name", ["ATTACH", "DATA"])
def test_a_schema_called_as_words_of_the_archive(keeper, server, shop, name):
    server.sql(f'SET ROLE owner; CREATE SCHEMA "{name}"; CREATE TABLE "{name}".z (id int); INSERT INTO "{name}".z VALUES (7)', "orders")
    try:
        keep(keeper, server, 1, "DROP", whole=True)
        shop(f'DROP SCHEMA shop CASCADE; DROP TABLE "{name}".z')
        undo(keeper, server, 1, "DROP", whole=True)
        assert server.sql(f'SELECT id, (SELECT count(*) FROM shop.z) FROM "{name}".z', "orders") == "7|5"
    finally:
        server.sql(f'DROP SCHEMA "{name}" CASCADE', "orders")


def test_a_column_that_fell_and_stands_there_again(keeper, server, shop):
    keep(keeper, server, 2, "ALTER", "shop.z")
    shop("ALTER TABLE shop.z DROP COLUMN a, DROP COLUMN b; ALTER TABLE shop.z ADD COLUMN a text")
    assert "another column has the name now of one that fell: a" in refusal(keeper, server, 2, "ALTER")
    shop("ALTER TABLE shop.z DROP COLUMN a")
    report = undo(keeper, server, 2, "ALTER")
    assert report["complete"] and server.sql("SELECT a, b FROM shop.z WHERE id = 3", "orders") == "a3|b3"


def test_a_column_that_others_renamed(keeper, server, shop):
    keep(keeper, server, 3, "ALTER", "shop.z")
    shop("ALTER TABLE shop.z DROP COLUMN b; ALTER TABLE shop.z RENAME a TO name; UPDATE shop.z SET name = 'erased'")
    assert "a column has another name now: a (name)" in refusal(keeper, server, 3, "ALTER")


def test_a_column_that_others_dropped(keeper, server, shop):
    """The undo of another statement does not bring it back; a column that fell with its type comes."""
    shop("CREATE TABLE shop.gone (id int PRIMARY KEY); CREATE TYPE shop.e AS ENUM ('x'); ALTER TABLE shop.z ADD COLUMN e shop.e DEFAULT 'x'")
    keep(keeper, server, 4, "DROP", whole=True)
    shop("DROP TABLE shop.gone CASCADE; ALTER TABLE shop.z DROP COLUMN a")
    report = undo(keeper, server, 4, "DROP", whole=True)
    assert report["complete"] is False and any("column a of shop.z is not put back" in one for one in report["told"]), report
    keep(keeper, server, 5, "DROP", whole=True)
    shop("DROP TYPE shop.e CASCADE")
    report = undo(keeper, server, 5, "DROP", whole=True)
    assert report["complete"] and server.sql("SELECT * FROM shop.z WHERE id = 1", "orders") == "1|b1|x", report


@pytest.mark.parametrize("verb, text", [("TRUNCATE", "TRUNCATE shop.z"), ("DELETE", "DELETE FROM shop.z")])
def test_rows_that_were_put_in_again_do_not_end_it(keeper, server, shop, verb, text):
    keep(keeper, server, 6, verb, "shop.z")
    shop(f"{text}; INSERT INTO shop.z SELECT i, '', '' FROM generate_series(1, 4) i")
    report = undo(keeper, server, 6, verb)
    assert report["complete"] is False and row(report, "shop.z")["conflicts"] == 4, report
    shop("DELETE FROM shop.z WHERE a = ''")
    report = undo(keeper, server, 6, verb, partly=True)
    assert report["complete"] and server.sql("SELECT string_agg(a, '' ORDER BY id) FROM shop.z", "orders") == "a1a2a3a4a5"


@pytest.mark.parametrize("whole", [False, True])
def test_a_generated_column_that_fell_with_another_one(keeper, server, shop, whole):
    shop("ALTER TABLE shop.z ADD COLUMN g text GENERATED ALWAYS AS (a || '!') STORED")
    keep(keeper, server, 7, "ALTER DROP", *([] if whole else ["shop.z"]), whole=whole)
    shop("ALTER TABLE shop.z DROP COLUMN a CASCADE")
    report = undo(keeper, server, 7, "ALTER DROP", whole=whole)
    assert server.sql("SELECT a FROM shop.z WHERE id = 2", "orders") == "a2"
    assert report["complete"] is False and any("column g of shop.z, which is generated, is not put back" in one for one in report["told"])


def test_many_columns(keeper, server, shop):
    """With names that are as long as they may be."""
    names = [f"c{i:04}" + 50 * "x" for i in range(700)]
    shop("CREATE TABLE shop.wide (id int PRIMARY KEY, " + ", ".join(f"{name} int" for name in names) + "); INSERT INTO shop.wide (id) VALUES (1);"
         f"UPDATE shop.wide SET {names[7]} = 7, {names[699]} = 9")
    keep(keeper, server, 8, "ALTER UPDATE", "shop.wide")
    shop("ALTER TABLE shop.wide " + ", ".join(f"DROP COLUMN {name}" for name in names))
    undo(keeper, server, 8, "ALTER UPDATE")
    assert server.sql(f"SELECT {names[7]}, {names[699]} FROM shop.wide", "orders") == "7|9"


def test_a_default_that_reads_like_a_variable_of_psql(keeper, server, shop):
    server.sql('SET ROLE owner; CREATE SCHEMA "ERROR"; CREATE FUNCTION "ERROR".f() RETURNS int LANGUAGE sql AS \'SELECT 1\';'
               'CREATE TABLE shop.y (id int PRIMARY KEY, v int[] DEFAULT (ARRAY[1,2])[1:"ERROR".f()]); INSERT INTO shop.y VALUES (1)', "orders")
    try:
        keep(keeper, server, 9, "ALTER", "shop.y")
        shop("ALTER TABLE shop.y DROP COLUMN v")
        undo(keeper, server, 9, "ALTER")
        assert server.sql("INSERT INTO shop.y (id) VALUES (2); SELECT v FROM shop.y ORDER BY id", "orders").split() == ["{1}", "{1}"]
    finally:
        server.sql('DROP SCHEMA "ERROR" CASCADE', "orders")


def test_rows_that_others_deleted_stay_away_when_values_come_back(keeper, server, shop):
    held(keeper, server, 10, "UPDATE", "SELECT 1", "UPDATE shop.z SET a = '' WHERE id < 3")
    shop("DELETE FROM shop.z WHERE id = 5")
    report = undo(keeper, server, 10, "UPDATE")
    assert server.sql("SELECT string_agg(a, ' ' ORDER BY id) FROM shop.z", "orders") == "a1 a2 a3 a4" and report["complete"], report


def rows(server, what="id || ' ' || a"):
    return server.sql(f"SELECT string_agg({what}, ', ' ORDER BY id) FROM shop.z", "orders")


def test_rows_under_new_keys_beside_one_that_was_added(keeper, server, shop):
    """They are known by their other values, and what the transaction had added before stays."""
    held(keeper, server, 11, "UPDATE", "INSERT INTO shop.z VALUES (9999, 'x', '')", "UPDATE shop.z SET id = id + 100 WHERE id < 9999")
    report = undo(keeper, server, 11, "UPDATE")
    assert rows(server) == "1 a1, 2 a2, 3 a3, 4 a4, 5 a5, 9999 x" and report["complete"], report


def test_rows_under_new_keys_that_cannot_be_told_from_what_was_added(keeper, server, shop):
    held(keeper, server, 18, "UPDATE", "INSERT INTO shop.z VALUES (9999, 'x', '')", "UPDATE shop.z SET id = CASE id WHEN 1 THEN 101 ELSE id END, a = '' WHERE id IN (1, 3)")
    shop("UPDATE shop.z SET a = 'others' WHERE id = 2")
    report = undo(keeper, server, 18, "UPDATE")
    assert rows(server) == "2 others, 3 a3, 4 a4, 5 a5, 101 , 9999 x" and report["complete"] is False, report
    assert [one for one in report["told"] if "1 rows of shop.z are missing, and others stand there that the same transaction wrote" in one], report


def test_a_row_that_the_same_transaction_added_before(keeper, server, shop):
    """It was never kept, as nobody else saw it: it goes for no row that others deleted since."""
    held(keeper, server, 19, "UPDATE", "INSERT INTO shop.z VALUES (9999, 'order of a customer', '')", "UPDATE shop.z SET a = '' WHERE id < 3")
    shop("DELETE FROM shop.z WHERE id = 5")
    report = undo(keeper, server, 19, "UPDATE")
    assert rows(server) == "1 a1, 2 a2, 3 a3, 4 a4, 9999 order of a customer" and report["complete"] is False, report


def test_such_a_row_in_a_table_without_a_key(keeper, server, shop):
    shop("ALTER TABLE shop.z DROP CONSTRAINT z_pkey")
    held(keeper, server, 20, "UPDATE", "INSERT INTO shop.z VALUES (9999, 'order of a customer', '')", "UPDATE shop.z SET a = '' WHERE id < 3")
    assert "the same transaction had written into it before" in refusal(keeper, server, 20, "UPDATE")
    held(keeper, server, 20, "UPDATE", "SELECT 1", "UPDATE shop.z SET b = ''")
    assert undo(keeper, server, 20, "UPDATE")["complete"]


def test_a_table_that_was_written_anew_since(keeper, server, shop):
    """Nothing is taken for the statement's, and that rows differ is said."""
    keep(keeper, server, 12, "UPDATE", "shop.z")
    shop("UPDATE shop.z SET a = ''")
    shop("UPDATE shop.z SET a = 'others' WHERE id > 3")
    shop("ALTER TABLE shop.z ADD COLUMN junk float DEFAULT random()")
    assert "5 rows differ from what was kept" in refusal(keeper, server, 12, "UPDATE")
    assert server.sql("SELECT count(*) FROM shop.z WHERE a = 'others'", "orders") == "2"


def test_rows_of_a_partition_that_was_dropped_since(keeper, server, shop):
    shop("CREATE TABLE shop.l (id int, d int, PRIMARY KEY (id, d)) PARTITION BY LIST (d); CREATE TABLE shop.l1 PARTITION OF shop.l FOR VALUES IN (1);"
         "CREATE TABLE shop.l2 PARTITION OF shop.l FOR VALUES IN (2); INSERT INTO shop.l VALUES (1, 1), (2, 2)")
    keep(keeper, server, 13, "DELETE", "shop.l")
    shop("DELETE FROM shop.l; DROP TABLE shop.l1")
    assert 'no partition of relation "l" found for row' in refusal(keeper, server, 13, "DELETE")
    shop("CREATE TABLE shop.l1 PARTITION OF shop.l FOR VALUES IN (1)")
    undo(keeper, server, 13, "DELETE")
    assert server.sql("SELECT id, d FROM shop.l ORDER BY id", "orders").split() == ["1|1", "2|2"]


def test_a_column_that_needs_a_value_which_rows_of_others_have_not(keeper, server, shop):
    shop("ALTER TABLE shop.z ADD COLUMN e int NOT NULL DEFAULT 5, ADD COLUMN n int GENERATED ALWAYS AS IDENTITY")
    keep(keeper, server, 14, "ALTER", "shop.z")
    shop("ALTER TABLE shop.z DROP COLUMN e, DROP COLUMN n; INSERT INTO shop.z VALUES (6, 'a6', 'b6')")
    report = undo(keeper, server, 14, "ALTER")
    assert server.sql("SELECT string_agg(COALESCE(e::text, '-'), ' ' ORDER BY id) FROM shop.z", "orders") == "5 5 5 5 5 -"
    assert report["complete"] is False and any("column e of shop.z: NOT NULL is not put back" in one for one in report["told"]), report


def test_a_domain_that_falls_with_the_function_of_its_check(keeper, server, shop):
    shop("CREATE FUNCTION shop.ok(n int) RETURNS bool LANGUAGE sql AS 'SELECT n > 0'; CREATE DOMAIN shop.d AS int CHECK (shop.ok(VALUE))")
    keep(keeper, server, 15, "DROP", whole=True)
    shop("DROP SCHEMA shop CASCADE")
    server.sql("ALTER ROLE owner SUPERUSER")  # else its function would be nobody's to call
    try:
        undo(keeper, server, 15, "DROP", whole=True)
    finally:
        server.sql("ALTER ROLE owner NOSUPERUSER")
    assert server.sql("SELECT 3::shop.d, (SELECT count(*) FROM shop.z)", "orders") == "3|5"


def test_a_lock_of_others_does_not_use_it_up(keeper, server, shop):
    """30 s are waited for it; core puts it off then (SP_EAGAIN) and tries again. A dry run only says so."""
    keep(keeper, server, 25, "DELETE", "shop.z")
    shop("DELETE FROM shop.z WHERE id = 1")
    with contextlib.closing(server.connect(database="orders")) as other:
        other.autocommit = False
        other.cursor().execute("INSERT INTO shop.z VALUES (9, '', '')")
        code, _, _, _, why = keeper.job(UNDO, keep=25, port=server.port, verb="DELETE")
        assert code == EAGAIN and "lock timeout" in why, (code, why)
        other.rollback()
    assert undo(keeper, server, 25, "DELETE")["complete"]


def test_times_that_lost_their_zone_count_as_utc_for_whoever_set_another(keeper, server, shop):
    shop("CREATE TABLE shop.t (id int PRIMARY KEY, at timestamptz); INSERT INTO shop.t VALUES (1, '2026-01-01 12:00Z'); SET TimeZone = 'UTC'")
    server.sql("ALTER DATABASE orders SET TimeZone = 'Asia/Tokyo'")
    try:
        keep(keeper, server, 30, "ALTER", "shop.t")
        shop("SET TimeZone = 'UTC'; ALTER TABLE shop.t ALTER at TYPE timestamp; INSERT INTO shop.t VALUES (2, '2026-01-01 13:00')")
        report = undo(keeper, server, 30, "ALTER")
        assert server.sql("SET TimeZone = 'UTC'; SELECT string_agg(at::text, ' ' ORDER BY id) FROM shop.t", "orders") == "2026-01-01 12:00:00+00 2026-01-01 13:00:00+00"
        assert "column at of shop.t has its old type again: what others wrote since is taken for UTC" in report["told"], report
    finally:
        server.sql("ALTER DATABASE orders RESET ALL")


# ---- what others dropped ----

OTHERS = """CREATE VIEW shop.v AS SELECT a FROM shop.z; CREATE VIEW shop.w AS SELECT a FROM shop.v; CREATE TABLE shop.o (id int PRIMARY KEY, z int REFERENCES shop.z);
    CREATE INDEX o_z ON shop.o (z); CREATE VIEW shop.of_o AS SELECT id FROM shop.o; CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE TYPE shop.e AS ENUM ('x'); INSERT INTO shop.o VALUES (1, 1);
    CREATE TABLE shop.p (a int) PARTITION BY LIST (a); CREATE TABLE shop.p1 PARTITION OF shop.p DEFAULT PARTITION BY LIST (a); CREATE TABLE shop.p2 PARTITION OF shop.p1 DEFAULT"""


@pytest.mark.parametrize("said", [True, False])
def test_what_the_statement_did_not_take_stays_away(keeper, server, shop, said):
    """Where its words are known: what it named, and what fell with that, comes back, and nothing else."""
    shop(OTHERS)
    words = [(None, word) for word in "drop table shop z p cascade".split()] if said else []
    keep(keeper, server, 60, "DROP CASCADE", *words, whole=True, cascades=True)
    shop("DROP TABLE shop.z, shop.p CASCADE; INSERT INTO shop.o VALUES (2, 2); DROP VIEW shop.of_o; DROP INDEX shop.o_z; DROP FUNCTION shop.f(); DROP TYPE shop.e")
    report = undo(keeper, server, 60, "DROP CASCADE", whole=True)
    back = [server.sql(f"SELECT to_regclass('shop.{name}') IS NOT NULL", "orders") == "t" for name in ("z", "v", "w", "p2", "of_o", "o_z")]
    assert back == [True, True, True, True, not said, not said], report
    assert server.sql("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'shop.o'::regclass", "orders") == "1"
    for name in ("VIEW shop of_o", "INDEX shop o_z", "FUNCTION shop f()", "TYPE shop e"):
        assert any(name in one and "others may have dropped it" in one for one in report["told"]) == said, report["told"]
    assert report["complete"] != said


@pytest.mark.slow
def test_more_tables_than_are_kept_by_name(keeper, server, shop):
    """All of the database is kept then; what a table of others lost since is theirs."""
    shop("CREATE TABLE shop.p (a int, CONSTRAINT k CHECK (a > 0)) PARTITION BY LIST (a); CREATE TABLE shop.o (id int PRIMARY KEY); CREATE INDEX o_i ON shop.o (id)")
    shop("".join(f"CREATE TABLE shop.p{i} PARTITION OF shop.p FOR VALUES IN ({i});" for i in range(1, 502)) + "INSERT INTO shop.p VALUES (1), (2)")
    assert keep(keeper, server, 61, "DROP", "shop.p")["whole"]
    shop("DROP TABLE shop.p; DROP INDEX shop.o_i")
    report = undo(keeper, server, 61, "DROP")
    assert server.sql("SELECT count(*), to_regclass('shop.o_i') FROM shop.p", "orders") == "2|"
    assert any("INDEX shop o_i" in one and "others may have dropped it" in one for one in report["told"]), report["told"]

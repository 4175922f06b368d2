# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: what cannot come back does not keep the rest away, and is told.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""
import threading
import time

import pytest

from keeper_client import UNDO
from keeperlib import keep, server_and_keeper, undo
from vault_client import OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE mallory NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner, mallory;
GRANT pg_read_all_data TO op_keep;
"""
TABLES = "GRANT CREATE ON DATABASE orders TO mallory"

server, keeper = server_and_keeper(ROLES, TABLES)
NUMBERS = iter(range(1, 1000))


@pytest.fixture
def shop(server):
    """As the owner, in his schema."""
    server.sql("SET ROLE owner; CREATE SCHEMA shop", "orders")
    yield lambda sql: server.sql("SET ROLE owner;" + sql, "orders")
    server.sql("DROP SCHEMA IF EXISTS shop CASCADE", "orders")


@pytest.fixture
def mine(server):
    """As mallory, in hers."""
    server.sql("SET ROLE mallory; CREATE SCHEMA mine", "orders")
    yield lambda sql: server.sql("SET ROLE mallory;" + sql, "orders")
    server.sql("DROP SCHEMA IF EXISTS mine CASCADE", "orders")


def told(report):
    return "\n".join(report["told"])


def beside_shop(keeper, server, shop, mine, made, after):
    """What mallory does meanwhile is no reason that the shop stays away: the report."""
    shop("CREATE TABLE shop.o (id int PRIMARY KEY, a text); INSERT INTO shop.o VALUES (1, 'x')")
    mine(made)
    number = next(NUMBERS)
    keep(keeper, server, number, "DROP CASCADE", whole=True, cascades=True)
    shop("DROP SCHEMA shop CASCADE")
    mine(after)
    report = undo(keeper, server, number, "DROP CASCADE", whole=True)
    assert server.sql("TABLE shop.o", "orders") == "1|x"
    return report


# ---- rows and keys that do not go in again ----

def test_a_check_that_is_false_for_the_keeper(keeper, server, shop, mine):
    report = beside_shop(keeper, server, shop, mine,
                         "CREATE TABLE mine.t (a int CHECK (current_user <> 'op_keep'), CHECK (a < 9)); INSERT INTO mine.t VALUES (1)",
                         "DROP TABLE mine.t")
    assert server.sql("TABLE mine.t", "orders") == "1" and not report["complete"]
    assert "check t_check of mine.t: rows that come back do not pass it: it holds for what is written" in told(report)
    checks = "SELECT string_agg(conname || ' ' || convalidated, ',' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'mine.t'::regclass"
    assert server.sql(checks, "orders") == "t_a_check true,t_check false"


def test_a_check_of_a_time_that_is_over(keeper, server, shop):
    soon = server.sql("SELECT now() + interval '2 seconds'")
    shop(f"CREATE TABLE shop.z (id int, CHECK (now() < '{soon}')); INSERT INTO shop.z VALUES (1)")
    number = next(NUMBERS)
    keep(keeper, server, number, "DROP", "shop.z")
    shop("DROP TABLE shop.z; SELECT pg_sleep(2)")
    report = undo(keeper, server, number, "DROP")
    assert server.sql("TABLE shop.z", "orders") == "1" and not report["complete"]


ORPHAN = """CREATE TABLE {0}.p (id int PRIMARY KEY); CREATE TABLE {0}.c (p int REFERENCES {0}.p ON DELETE CASCADE);
    INSERT INTO {0}.p VALUES (1), (2); INSERT INTO {0}.c VALUES (1), (2);
    CREATE FUNCTION {0}.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER t BEFORE DELETE ON {0}.c FOR EACH ROW EXECUTE FUNCTION {0}.no(); DELETE FROM {0}.p WHERE id = 1"""
KEY = "SELECT convalidated FROM pg_constraint WHERE conname = 'c_p_fkey'"


def test_rows_without_a_parent(keeper, server, shop):
    shop(ORPHAN.format("shop"))
    number = next(NUMBERS)
    keep(keeper, server, number, "DROP", "shop.p", "shop.c")
    shop("DROP TABLE shop.c, shop.p")
    report = undo(keeper, server, number, "DROP")
    assert server.sql("SELECT count(*) FROM shop.c", "orders") == "2" and server.sql(KEY, "orders") == "f"
    assert not report["complete"] and "FK CONSTRAINT shop c c_p_fkey owner: rows that are there have no parent" in told(report)


def test_rows_of_others_without_a_parent(keeper, server, shop, mine):
    report = beside_shop(keeper, server, shop, mine, ORPHAN.format("mine"), "DROP TABLE mine.c, mine.p")
    assert server.sql("SELECT count(*) FROM mine.c", "orders") == "2" and server.sql(KEY, "orders") == "f"
    assert not report["complete"]


# ---- objects that cannot be made again ----

@pytest.mark.parametrize("made, after, words", [
    ("CREATE TABLE mine.t (a int UNIQUE); INSERT INTO mine.t VALUES (1)",
     "ALTER TABLE mine.t DROP CONSTRAINT t_a_key; INSERT INTO mine.t VALUES (1)", "could not create unique index"),
    ("CREATE TABLE mine.t (a int); INSERT INTO mine.t VALUES (1)",
     "DROP TABLE mine.t; CREATE TABLE mine.t (a int); INSERT INTO mine.t VALUES (2); CREATE INDEX i ON mine.t (a)", 'another has its name now'),
])
def test_what_cannot_be_made_is_told(keeper, server, shop, mine, made, after, words):
    report = beside_shop(keeper, server, shop, mine, made, after)
    assert not report["complete"] and words in told(report)
    assert server.sql("SELECT count(*) FROM mine.t WHERE a = 2", "orders") == ("1" if "another" in words else "0")


def test_an_index_that_raises_what_errors_there_are(keeper, server, shop, mine):
    """As its owner it runs code of hers, which could say that the disk is full."""
    report = beside_shop(keeper, server, shop, mine,
                         """CREATE FUNCTION mine.f(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
                              $$BEGIN IF a = 7 THEN RAISE 'no' USING ERRCODE = '53100'; END IF; RETURN a; END$$;
                            CREATE TABLE mine.t (a int); INSERT INTO mine.t VALUES (1); CREATE INDEX i ON mine.t (mine.f(a))""",
                         "DROP INDEX mine.i; INSERT INTO mine.t VALUES (7)")
    assert not report["complete"] and "INDEX mine i mallory: it is not put back" in told(report)


# ---- one partition ----

STATE = """SELECT c.relname, c.relkind, i.indisvalid, c.relispartition, (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = c.oid)
  FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = 'shop'::regnamespace ORDER BY 1"""


@pytest.mark.parametrize("key, extra", [
    ("PRIMARY KEY (a, b)", ""), ("UNIQUE (a, b)", ""), ("CHECK (a > 0)", "CREATE INDEX i ON shop.p (b); CREATE INDEX x ON shop.p ((a + b))"),
    ("PRIMARY KEY (a, b)", "CREATE TABLE shop.q (id int PRIMARY KEY); INSERT INTO shop.q VALUES (1), (2); ALTER TABLE shop.p ADD FOREIGN KEY (b) REFERENCES shop.q"),
])
@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_a_partition_of_a_table_with_a_key(keeper, server, shop, key, extra, tree, whole):
    shop(f"CREATE TABLE shop.p (a int, b int, {key}) PARTITION BY LIST (a); CREATE TABLE shop.p2 PARTITION OF shop.p FOR VALUES IN (2)")
    shop("CREATE TABLE shop.p1 PARTITION OF shop.p FOR VALUES IN (1)" + (" PARTITION BY LIST (b); CREATE TABLE shop.p11 PARTITION OF shop.p1 DEFAULT" if tree else ""))
    shop("INSERT INTO shop.p VALUES (1, 1), (1, 2), (2, 1);" + extra)
    before = server.sql(STATE, "orders")
    number = next(NUMBERS)
    verb = "DROP CASCADE" if whole else "DROP"
    keep(keeper, server, number, verb, *([] if whole else ["shop.p1"]), whole=whole, cascades=whole)
    shop("DROP TABLE shop.p1")
    report = undo(keeper, server, number, verb, whole=whole)
    assert report["complete"], report["told"]
    assert server.sql("SELECT * FROM shop.p ORDER BY 1, 2", "orders").split() == ["1|1", "1|2", "2|1"]
    assert server.sql(STATE, "orders") == before


# ---- keys, values and numbers ----

def by_name(keeper, server, shop, verb, table, made, statement, since="SELECT 1"):
    shop(made)
    number = next(NUMBERS)
    keep(keeper, server, number, verb, table)
    shop(statement)
    shop(since)
    return undo(keeper, server, number, verb)


def test_a_key_that_is_generated_tells_no_rows_apart(keeper, server, shop):
    report = by_name(keeper, server, shop, "DELETE", "shop.z",
                     "CREATE TABLE shop.z (a int, b text, g int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY); INSERT INTO shop.z VALUES (1, 'x'), (2, 'y')",
                     "DELETE FROM shop.z WHERE a = 1")
    assert report["complete"] and server.sql("SELECT * FROM shop.z ORDER BY 1", "orders").split() == ["1|x|2", "2|y|4"]


@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT", "CASCADE", "NO ACTION"])
def test_values_that_rows_of_others_refer_to_stay(keeper, server, shop, action):
    made = f"""CREATE TABLE shop.p (id int PRIMARY KEY, code text UNIQUE); INSERT INTO shop.p VALUES (1, 'a'), (2, 'b'), (3, 'def');
               CREATE TABLE shop.c (id int PRIMARY KEY, code text DEFAULT 'def' REFERENCES shop.p (code) ON UPDATE {action})"""
    report = by_name(keeper, server, shop, "UPDATE", "shop.p", made,
                     "UPDATE shop.p SET code = code || 'x' WHERE id < 3", "INSERT INTO shop.c VALUES (9, 'ax')")
    assert server.sql("TABLE shop.c", "orders") == "9|ax"
    assert server.sql("SELECT * FROM shop.p ORDER BY 1", "orders").split() == ["1|ax", "2|b", "3|def"]
    assert not report["complete"] and "1 rows of shop.p keep the values that the statement gave them" in told(report)


def test_sequences_that_truncate_set_back(keeper, server, shop):
    made = """CREATE SEQUENCE shop.no; CREATE SEQUENCE shop.down INCREMENT -1;
              CREATE TABLE shop.z (id int GENERATED ALWAYS AS IDENTITY, no text DEFAULT 'INV-' || nextval('shop.no'), d text DEFAULT nextval('shop.down'));
              ALTER SEQUENCE shop.no OWNED BY shop.z.no; ALTER SEQUENCE shop.down OWNED BY shop.z.d;
              INSERT INTO shop.z DEFAULT VALUES; INSERT INTO shop.z DEFAULT VALUES;
              INSERT INTO shop.z DEFAULT VALUES; DELETE FROM shop.z WHERE id > 1"""
    report = by_name(keeper, server, shop, "TRUNCATE", "shop.z", made, "TRUNCATE shop.z RESTART IDENTITY")
    assert report["complete"]
    assert server.sql("INSERT INTO shop.z DEFAULT VALUES RETURNING id, no, d", "orders") == "4|INV-4|-4"


@pytest.mark.parametrize("more", ["", "ON DELETE CASCADE"])
def test_a_changed_key_of_a_table_that_refers_to_itself(keeper, server, shop, more):
    report = by_name(keeper, server, shop, "UPDATE", "shop.s",
                     f"CREATE TABLE shop.s (id int PRIMARY KEY, up int REFERENCES shop.s ON UPDATE CASCADE {more}); INSERT INTO shop.s VALUES (1, NULL), (2, 1), (3, 2)",
                     "UPDATE shop.s SET id = 12 WHERE id = 2")
    assert report["complete"] and server.sql("SELECT * FROM shop.s ORDER BY 1", "orders").split() == ["1|", "2|1", "3|2"]


def test_a_column_that_others_refer_to(keeper, server, shop):
    shop("""CREATE TABLE shop.p (id int PRIMARY KEY, code text UNIQUE); CREATE TABLE shop.c (code text REFERENCES shop.p (code));
            INSERT INTO shop.p VALUES (1, 'a'); INSERT INTO shop.c VALUES ('a')""")
    number = next(NUMBERS)
    keep(keeper, server, number, "ALTER CASCADE", whole=True, cascades=True)
    shop("ALTER TABLE shop.p DROP COLUMN code CASCADE")
    undo(keeper, server, number, "ALTER CASCADE", whole=True)
    assert server.sql("TABLE shop.p", "orders") == "1|a"
    assert server.sql("SELECT convalidated FROM pg_constraint WHERE conname = 'c_code_fkey'", "orders") == "t"


def test_two_undos_at_a_time_in_one_schema(keeper, server, shop):
    shop("CREATE TABLE shop.a (id int PRIMARY KEY); INSERT INTO shop.a VALUES (1)")
    number = next(NUMBERS)
    keep(keeper, server, number, "DELETE", "shop.a")
    shop("DELETE FROM shop.a")
    done = []
    other = threading.Thread(target=lambda: done.append(server.sql(
        "BEGIN; GRANT USAGE ON SCHEMA shop TO mallory; SELECT pg_sleep(4); COMMIT", "orders")))
    other.start()
    time.sleep(1)
    code, _, _, report, why = keeper.job(UNDO, keep=number, port=server.port, verb="DELETE")
    other.join()
    assert code == OK, why
    assert report["complete"] and server.sql("TABLE shop.a", "orders") == "1" and done


def test_a_table_with_a_rule_is_told_before(keeper, server, shop):
    shop("CREATE TABLE shop.z (id int PRIMARY KEY); CREATE RULE r AS ON INSERT TO shop.z DO ALSO NOTHING; INSERT INTO shop.z VALUES (1)")
    number = next(NUMBERS)
    assert any("shop.z has rules: nothing comes back" in one for one in keep(keeper, server, number, "DELETE", "shop.z")["limits"])
    shop("DELETE FROM shop.z; DROP RULE r ON shop.z")
    assert undo(keeper, server, number, "DELETE")["complete"] and server.sql("TABLE shop.z", "orders") == "1"


# ---- what chance found ----

def test_rows_whose_parent_went_since(keeper, server, shop):
    report = by_name(keeper, server, shop, "DELETE", "shop.c",
                     """CREATE TABLE shop.p (id int PRIMARY KEY); CREATE TABLE shop.c (id int PRIMARY KEY, p int, CONSTRAINT k FOREIGN KEY (p) REFERENCES shop.p ON DELETE SET NULL);
                        COMMENT ON CONSTRAINT k ON shop.c IS 'of parents'; INSERT INTO shop.p VALUES (1), (2); INSERT INTO shop.c VALUES (1, 1), (2, 2)""",
                     "DELETE FROM shop.c", "DELETE FROM shop.p WHERE id = 1")
    assert not report["complete"] and "foreign key k of shop.c: rows that came back may have no parent" in told(report)
    assert server.sql("SELECT * FROM shop.c ORDER BY 1", "orders").split() == ["1|1", "2|2"]
    assert server.sql("SELECT convalidated, obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'k'", "orders") == "f|of parents"


def test_a_key_that_was_never_valid_keeps_no_row_away(keeper, server, shop):
    report = by_name(keeper, server, shop, "TRUNCATE", "shop.c",
                     """CREATE TABLE shop.p (id int PRIMARY KEY); CREATE TABLE shop.c (id int PRIMARY KEY, p int); INSERT INTO shop.c VALUES (1, 7);
                        ALTER TABLE shop.c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES shop.p NOT VALID""", "TRUNCATE shop.c")
    assert report["complete"] and server.sql("TABLE shop.c", "orders") == "1|7"
    assert server.sql("SELECT convalidated FROM pg_constraint WHERE conname = 'k'", "orders") == "f"


def whole(keeper, server, shop, verb, made, statement):
    shop(made)
    number = next(NUMBERS)
    keep(keeper, server, number, verb, whole=True, cascades=True)
    shop(statement)
    return undo(keeper, server, number, verb, whole=True)


@pytest.mark.parametrize("type_", ["shop.r", "shop.r[]"])
def test_a_column_whose_values_are_rows_of_a_table_that_fell(keeper, server, shop, type_):
    """With what that table stands on, and what stands on the column."""
    value = "ROW(7, 'a')::shop.r" if type_ == "shop.r" else "ARRAY[ROW(7, 'a')::shop.r]"
    report = whole(keeper, server, shop, "DROP CASCADE",
                   f"""CREATE TYPE shop.e AS ENUM ('a'); CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 3'; CREATE TABLE shop.r (n int DEFAULT shop.f(), e shop.e);
                       CREATE TABLE shop.t (id int PRIMARY KEY, r {type_}); INSERT INTO shop.t VALUES (1, {value}); INSERT INTO shop.r VALUES (5, 'a');
                       CREATE VIEW shop.v AS SELECT r FROM shop.t""", "DROP TABLE shop.r CASCADE; DROP FUNCTION shop.f; DROP TYPE shop.e")
    assert report["complete"], report
    assert server.sql("SELECT t.r::text, v.r IS NOT NULL, x.n FROM shop.t t, shop.v v, shop.r x", "orders") in ("(7,a)|t|5", '{"(7,a)"}|t|5')


def test_a_column_that_cannot_be_made_keeps_no_other_table_away(keeper, server, shop):
    report = whole(keeper, server, shop, "DROP CASCADE",
                   """CREATE DOMAIN shop.d AS int CHECK (VALUE > 0); CREATE TABLE shop.r (id int PRIMARY KEY, d shop.d); CREATE TABLE shop.t (id int PRIMARY KEY, r shop.r);
                      CREATE TABLE shop.o (id int PRIMARY KEY, d shop.d); INSERT INTO shop.r VALUES (1, 2); INSERT INTO shop.o VALUES (1, 2)""", "DROP DOMAIN shop.d CASCADE")
    assert not report["complete"] and "shop.r: a column elsewhere has its rows as values" in told(report)
    assert server.sql("TABLE shop.o", "orders") == "1|2" and server.sql("TABLE shop.r", "orders") == "1"


def test_what_is_computed_is_computed_of_rows_that_are_back(keeper, server, shop):
    shop("CREATE TABLE shop.t (id int PRIMARY KEY); INSERT INTO shop.t VALUES (1), (2); CREATE MATERIALIZED VIEW shop.m AS SELECT count(*) FROM shop.t")
    number = next(NUMBERS)
    keep(keeper, server, number, "DROP TRUNCATE", "shop.t", "shop.m")
    shop("TRUNCATE shop.t; DROP MATERIALIZED VIEW shop.m")
    assert undo(keeper, server, number, "DROP TRUNCATE")["complete"] and server.sql("TABLE shop.m", "orders") == "2"


def test_a_partition_that_is_not_logged(keeper, server, shop):
    shop("CREATE TABLE shop.p (a int PRIMARY KEY) PARTITION BY LIST (a); CREATE TABLE shop.p1 PARTITION OF shop.p DEFAULT; INSERT INTO shop.p VALUES (1)")
    number = next(NUMBERS)
    keep(keeper, server, number, "ALTER", "shop.p", "shop.p1")
    shop("ALTER TABLE shop.p1 SET UNLOGGED")
    assert "shop.p1 is logged again" in told(undo(keeper, server, number, "ALTER"))
    assert server.sql("SELECT relpersistence FROM pg_class WHERE oid = 'shop.p1'::regclass", "orders") == "p"


def test_indexes_of_partitions_in_a_schema_with_a_blank(keeper, server, shop):
    server.sql('CREATE SCHEMA "a b" AUTHORIZATION owner', "orders")
    report = whole(keeper, server, shop, "DROP CASCADE",
                   """CREATE TABLE "a b".p (a int CONSTRAINT "c d" PRIMARY KEY, b int) PARTITION BY LIST (a); CREATE TABLE "a b"."p 1" PARTITION OF "a b".p DEFAULT;
                      CREATE INDEX "i j" ON "a b".p (b)""", 'DROP TABLE "a b".p')
    assert report["complete"], report
    assert server.sql("SELECT count(*) FROM pg_index WHERE indexrelid IN (SELECT oid FROM pg_class WHERE relname IN ('c d', 'i j')) AND indisvalid", "orders") == "2"
    server.sql('DROP SCHEMA "a b" CASCADE', "orders")


@pytest.mark.parametrize("named", [False, True])
def test_a_right_that_the_owner_took_from_himself(keeper, server, shop, named):
    """What needs it stays away, and nothing else."""
    shop("CREATE TABLE shop.t (id int PRIMARY KEY, a int); CREATE TABLE shop.o (id int PRIMARY KEY); INSERT INTO shop.t VALUES (1, 1); INSERT INTO shop.o VALUES (1);"
         "REVOKE INSERT ON shop.t FROM owner")
    number = next(NUMBERS)
    keep(keeper, server, number, "DELETE", *(["shop.t"] if named else []), whole=not named)
    server.sql("DELETE FROM shop.t; DELETE FROM shop.o", "orders")
    code, _, _, report, why = keeper.job(UNDO, keep=number, port=server.port, verb="DELETE", whole=not named)
    if named:
        assert code != OK and "shop.t: the keeper's role lacks rights on it: INSERT" in why, why
    else:
        assert code == OK and "shop.t: the keeper's role lacks rights on it: INSERT" in told(report), why
        assert server.sql("TABLE shop.o", "orders") == "1"


@pytest.mark.parametrize("type_", ["shop.y", "shop.y[]"])
def test_an_attribute_that_fell_keeps_only_its_values_away(keeper, server, shop, type_):
    """They are beside; what else the statement took is back."""
    value = "ROW(1, 'a')::shop.y" if type_ == "shop.y" else "ARRAY[ROW(1, 'a')::shop.y]"
    report = whole(keeper, server, shop, "ALTER CASCADE TRUNCATE",
                   f"""CREATE TYPE shop.y AS (a int, b text); CREATE TABLE shop.t (id int PRIMARY KEY, y {type_}); INSERT INTO shop.t VALUES (1, {value});
                       CREATE TABLE shop.o (id int PRIMARY KEY); INSERT INTO shop.o VALUES (1)""", "ALTER TYPE shop.y DROP ATTRIBUTE a CASCADE; TRUNCATE shop.o")
    assert not report["complete"] and "values of an attribute that fell cannot be put back into its column y" in told(report)
    assert server.sql("TABLE shop.o", "orders") == "1"

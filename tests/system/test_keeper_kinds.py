# SPDX-License-Identifier: Apache-2.0
"""Kinds of things that hold an expression: none of them, made again with what an approved statement destroyed, runs its
owner's code as the keeper's role, and none keeps the rest away.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import pytest

from keeper_client import TRY_UNDO, UNDO
from keeperlib import kept, server_and_keeper, undone
from vault_client import OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE mallory NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner, mallory;
GRANT pg_read_all_data TO op_keep;
CREATE ROLE stranger NOLOGIN;
"""
server, keeper = server_and_keeper(ROLES, "GRANT CREATE ON DATABASE orders TO mallory; CREATE FOREIGN DATA WRAPPER w;"
                                   "CREATE SERVER far FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN SERVER far TO owner, mallory")

# f looks like a constant to the server; what it does runs as whoever folds it. ok is asked by whoever reads a value.
MINE = """
CREATE SCHEMA mine AUTHORIZATION mallory;
CREATE SEQUENCE mine.sprung;
GRANT ALL ON mine.sprung TO PUBLIC;
CREATE SCHEMA sales AUTHORIZATION owner;
CREATE TABLE sales.o (id int PRIMARY KEY); INSERT INTO sales.o VALUES (1), (2);
ALTER TABLE sales.o OWNER TO owner;
SET ROLE mallory;
CREATE FUNCTION mine.g() RETURNS int LANGUAGE plpgsql AS
  $$BEGIN IF session_user = 'op_keep' THEN
    BEGIN EXECUTE 'SET ROLE NONE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    IF current_user = 'op_keep' THEN PERFORM nextval('mine.sprung'); END IF;
  END IF; RETURN 1; END$$;
CREATE FUNCTION mine.f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN mine.g(); END';
CREATE FUNCTION mine.ok(int) RETURNS boolean LANGUAGE sql AS 'SELECT mine.g() > 0';
CREATE FUNCTION mine.fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE mine.t (a int, b int);
CREATE DOMAIN mine.e AS int;
"""


@pytest.fixture
def mine(server):
    """A schema of mallory's beside that of sales; that none of her code ran as op_keep is looked at in the end."""
    server.sql(MINE, "orders")
    yield lambda text: server.sql("SET ROLE mallory;" + text, "orders")
    ran = server.sql("SELECT is_called FROM mine.sprung", "orders")
    server.sql("DROP SCHEMA mine CASCADE; DROP SCHEMA IF EXISTS sales CASCADE", "orders")
    assert ran == "f", "it ran"


READS = "ANY ('{7}'::mine.e[]::int[])"
# how mallory makes it, how she takes it away since; then the domain whose value stands in it gets a check
EXPRESSIONS = {
    "statistics": (f"CREATE STATISTICS mine.s ON (a = {READS}), b FROM mine.t", "DROP STATISTICS mine.s"),
    "a check of a domain": (f"CREATE DOMAIN mine.d AS int; ALTER DOMAIN mine.d ADD CONSTRAINT c CHECK (VALUE <> {READS}) NOT VALID",
                            "ALTER DOMAIN mine.d DROP CONSTRAINT c"),
    "a domain": (f"CREATE DOMAIN mine.d AS int CHECK (VALUE <> {READS})", "DROP DOMAIN mine.d"),
    "a domain's default": ("CREATE DOMAIN mine.d AS int DEFAULT ('{7}'::mine.e[]::int[])[1]", "DROP DOMAIN mine.d"),
    "a function": ("CREATE FUNCTION mine.x(a int[] DEFAULT '{7}'::mine.e[]::int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                   "DROP FUNCTION mine.x"),
    "a body": ("CREATE FUNCTION mine.x() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT ('{7}'::mine.e[]::int[])[1]; END",
               "DROP FUNCTION mine.x"),
    "an aggregate": ("CREATE FUNCTION mine.add(mine.e[], int) RETURNS mine.e[] LANGUAGE sql AS 'SELECT $1';"
                     "CREATE AGGREGATE mine.x(int) (SFUNC = mine.add, STYPE = mine.e[], INITCOND = '{7}')", "DROP AGGREGATE mine.x(int)"),
    "a trigger of a foreign table": (f"CREATE FOREIGN TABLE mine.ft (a int) SERVER far; CREATE TRIGGER t BEFORE INSERT ON mine.ft"
                                     f" FOR EACH ROW WHEN (NEW.a = {READS}) EXECUTE FUNCTION mine.fires()", "DROP FOREIGN TABLE mine.ft"),
    "a default of a foreign table": (f"CREATE FOREIGN TABLE mine.ft (a int, b bool DEFAULT (1 = {READS})) SERVER far", "DROP FOREIGN TABLE mine.ft"),
    "a policy": (f"CREATE POLICY p ON mine.t USING (a = {READS})", "DROP POLICY p ON mine.t"),
    "a rule": (f"CREATE RULE r AS ON INSERT TO mine.t WHERE NEW.a = {READS} DO ALSO NOTHING", "DROP RULE r ON mine.t"),
    "a view": (f"CREATE VIEW mine.v AS SELECT 1 = {READS} AS b", "DROP VIEW mine.v"),
    "an index": (f"CREATE INDEX i ON mine.t ((a = {READS}))", "DROP INDEX mine.i"),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("verb", ["DROP CASCADE", "ANY"])
def test_a_value_that_stands_in_a_definition_is_read(keeper, server, mine, name, verb):
    make, drop = EXPRESSIONS[name]
    mine(make)
    kept(keeper, server, verb, whole=True, cascades=True)
    server.sql("DROP SCHEMA sales CASCADE", "orders")
    mine(drop + "; ALTER DOMAIN mine.e ADD CHECK (mine.ok(VALUE))")
    for kind in (TRY_UNDO, UNDO):
        code, report, why = undone(keeper, server, verb, kind)
        assert code == OK and not report["complete"], why
        assert any("it is not put back" in t or "it is left as it is" in t for t in report["told"]), report["told"]
    assert server.sql("SELECT count(*) FROM sales.o", "orders") == "2"


@pytest.mark.parametrize("name", [n for n in EXPRESSIONS if n not in ("a check of a domain", "a rule")])
def test_what_runs_nobodys_code_comes_back(keeper, server, mine, name):
    make, drop = EXPRESSIONS[name]
    mine(make)
    kept(keeper, server, "ANY", whole=True)
    mine(drop)
    code, report, why = undone(keeper, server, "ANY")
    assert code == OK, why
    told = [t for t in report["told"] if "on another server" not in t]
    assert report["restored"] and told == [], report


GENERATED = "CREATE FOREIGN TABLE mine.ft (a int, b int GENERATED ALWAYS AS (mine.f(1)) STORED) SERVER far"


@pytest.mark.parametrize("whole", [False, True])
def test_what_a_foreign_table_computes(keeper, server, mine, whole):
    mine(GENERATED)
    report = kept(keeper, server, "DROP", *(() if whole else ("mine.ft",)), whole=whole)
    assert any("mine.ft calls mine.f(integer) of mallory" in x for x in report["limits"]), report["limits"]
    mine("DROP FOREIGN TABLE mine.ft")
    if whole:
        server.sql("DROP SCHEMA sales CASCADE", "orders")
    code, report, why = undone(keeper, server, "DROP")
    if whole:
        assert code == OK and any("FOREIGN TABLE mine ft" in t and "mine.f(integer) of mallory" in t for t in report["told"]), why or report
        assert server.sql("SELECT count(*) FROM sales.o", "orders") == "2"
    else:
        assert code != OK and "mine.f(integer) of mallory would run" in why, why


PARTS = ("CREATE TABLE mine.p (a int) PARTITION BY LIST (a); CREATE TABLE mine.p1 PARTITION OF mine.p FOR VALUES IN (1);"
         "INSERT INTO mine.p VALUES (1); CREATE INDEX px ON mine.p ((mine.f(1) + a));")


@pytest.mark.parametrize("whole", [False, True])
def test_indexes_of_what_is_partitioned_are_compared(keeper, server, mine, whole):
    """Left out alone: the rows come back."""
    mine(PARTS)
    report = kept(keeper, server, "DROP", *(() if whole else ("mine.p",)), whole=whole)
    assert any("index mine.px calls mine.f(integer) of mallory" in x for x in report["limits"]), report["limits"]
    mine("DROP INDEX mine.px" if whole else "DROP TABLE mine.p")
    if whole:
        server.sql("DROP SCHEMA sales CASCADE", "orders")
    for kind in (TRY_UNDO, UNDO):
        code, report, why = undone(keeper, server, "DROP", kind)
        assert code == OK and not report["complete"], why
        assert any("INDEX mine px" in t and "mine.f(integer) of mallory" in t for t in report["told"]), report["told"]
    assert server.sql("SELECT count(*) FROM " + ("sales.o" if whole else "mine.p"), "orders") == ("2" if whole else "1")


def test_indexes_of_what_is_partitioned_come_back(keeper, server, mine):
    mine(PARTS.replace("mine.f(1)", "abs(-1)"))
    kept(keeper, server, "DROP", "mine.p")
    mine("DROP TABLE mine.p")
    code, report, why = undone(keeper, server, "DROP")
    assert code == OK and report["complete"], why or report
    assert server.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'mine.px'::regclass", "orders") == "t"


# what others made anew under its name since
AGAIN = {
    "a view": ("CREATE VIEW mine.v AS SELECT a FROM mine.t", "DROP VIEW mine.v; CREATE VIEW mine.v AS SELECT b FROM mine.t"),
    "a function": ("CREATE FUNCTION mine.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                   "DROP FUNCTION mine.x(); CREATE FUNCTION mine.x() RETURNS text LANGUAGE sql AS $$SELECT 'a'$$"),
    "a table": ("INSERT INTO mine.t VALUES (1, 1); CREATE INDEX i ON mine.t (a)", "DROP TABLE mine.t; CREATE TABLE mine.t (c text)"),
    "an index": ("CREATE INDEX i ON mine.t (a)", "DROP INDEX mine.i; CREATE INDEX i ON mine.t (b)"),
    "a domain": ("CREATE DOMAIN mine.d AS int", "DROP DOMAIN mine.d; CREATE DOMAIN mine.d AS text"),
    "a constraint": ("ALTER TABLE mine.t ADD CONSTRAINT k UNIQUE (a)", "ALTER TABLE mine.t DROP CONSTRAINT k; ALTER TABLE mine.t ADD CONSTRAINT k CHECK (a > 0)"),
    "a key": ("CREATE TABLE mine.c (a int CONSTRAINT k REFERENCES sales.o)", "ALTER TABLE mine.c ADD CONSTRAINT k CHECK (a > 0)"),
}


@pytest.mark.parametrize("name", AGAIN)
def test_what_others_made_anew_stands_in_nobodys_way(keeper, server, mine, name):
    make, again = AGAIN[name]
    server.sql("GRANT USAGE ON SCHEMA sales TO mallory; GRANT REFERENCES ON sales.o TO mallory", "orders")
    mine(make)
    kept(keeper, server, "DROP CASCADE", whole=True, cascades=True)
    server.sql("DROP SCHEMA sales CASCADE", "orders")
    mine(again)
    for kind in (TRY_UNDO, UNDO):
        code, report, why = undone(keeper, server, "DROP CASCADE", kind)
        assert code == OK and not report["complete"], why
        assert any("another has its name now" in t for t in report["told"]), report["told"]
    assert server.sql("SELECT count(*) FROM sales.o", "orders") == "2"


def test_what_a_column_does_not_take_others_dropped(keeper, server, mine):
    """A policy and a trigger that were dropped by themselves; the column comes back."""
    mine("ALTER TABLE mine.t ADD id int PRIMARY KEY, ADD c text; INSERT INTO mine.t VALUES (1, 1, 1, 'c'); CREATE POLICY everybody ON mine.t USING (true);"
         "CREATE TRIGGER fires BEFORE INSERT ON mine.t FOR EACH ROW EXECUTE FUNCTION mine.fires()")
    kept(keeper, server, "ALTER", "mine.t")
    mine("ALTER TABLE mine.t DROP COLUMN c; DROP POLICY everybody ON mine.t; DROP TRIGGER fires ON mine.t")
    code, report, why = undone(keeper, server, "ALTER")
    assert code == OK and not report["complete"], why
    assert len([t for t in report["told"] if "others may have dropped it" in t]) == 2, report["told"]
    assert server.sql("SELECT c, (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) FROM mine.t", "orders") == "c|0|0"


@pytest.mark.parametrize("tied", [False, True])
def test_a_key_that_would_read_what_an_index_calls_asks_no_row(keeper, server, mine, tied):
    mine("CREATE TABLE mine.p (id int PRIMARY KEY); CREATE TABLE mine.z (id int PRIMARY KEY, p int); CREATE INDEX ON mine.z (mine.f(id));" +
         ("ALTER TABLE mine.z ADD FOREIGN KEY (p) REFERENCES mine.p" if tied else ""))
    report = kept(keeper, server, "DROP", "mine.z")
    assert not any("mine.z calls mine.f(integer) of mallory" in x for x in report["limits"]), report["limits"]
    mine("DROP TABLE mine.z")
    code, report, why = undone(keeper, server, "DROP")
    assert code == OK and report["complete"] != tied, why
    assert any("code of others would run if rows were asked" in t for t in report["told"]) == tied, report["told"]
    assert server.sql("SELECT count(*) FROM pg_constraint WHERE conrelid = 'mine.z'::regclass AND contype = 'f' AND NOT convalidated", "orders") == str(int(tied))

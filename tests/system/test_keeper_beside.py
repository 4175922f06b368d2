# SPDX-License-Identifier: Apache-2.0
"""Rows of a keep beside: whatever refuses an undo for good, all of them come as plain tables into a schema of their own,
which nobody but the keeper's role may read, and nobody's code runs.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md "Beside".
"""

import json

import pytest

from keeper_client import BESIDE, TRY_BESIDE, UNDO
from keeperlib import kept, row, server_and_keeper, trap, undone  # noqa: F401
from vault_client import ECONFLICT, ECORRUPT, ENOTFOUND, OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE mallory NOLOGIN;
CREATE ROLE reader LOGIN PASSWORD 'of reader';
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""
server, keeper = server_and_keeper(ROLES)
# Keep 50 of keeperlib, as people say it.
SCHEMA = "sallyport_kept_00000000001j"


def beside(keeper, server, kind=BESIDE, keep=50, **more):
    code, size, _, report, why = keeper.job(kind, keep=keep, port=server.port, **more)
    return code, report, why if code != OK else size


def put(keeper, server, **more):
    """A dry run, which leaves nothing, and then all of it; both say the same."""
    code, tried, why = beside(keeper, server, TRY_BESIDE, **more)
    assert code == OK, why
    database = more.get("database", "orders")
    assert schemas(server, database) == ""
    code, report, why = beside(keeper, server, **more)
    assert code == OK, why
    assert tried["tried_only"] and not report["tried_only"]
    assert [(r["of"], r["kept"]) for r in tried["rows"]] == [(r["of"], r["kept"]) for r in report["rows"]]
    assert report["beside"] == schemas(server, database)
    return report


def schemas(server, database="orders"):
    return server.sql(r"SELECT string_agg(nspname, ' ' ORDER BY 1) FROM pg_namespace WHERE nspname LIKE 'sallyport\_kept\_%'"
                      " AND pg_get_userbyid(nspowner) = 'op_keep'", database)


def rows(server, table, database="orders"):
    return server.sql(f"SELECT whole FROM {table} whole ORDER BY whole::text", database)


@pytest.fixture(autouse=True)
def clean(server):
    server.sql("CREATE SCHEMA IF NOT EXISTS shop AUTHORIZATION owner; GRANT CREATE, TEMPORARY ON DATABASE orders TO op_keep", "orders")
    yield
    drop_all(server)
    server.sql("DROP SCHEMA IF EXISTS shop CASCADE", "orders")


def drop_all(server, database="orders"):
    for name in server.sql(r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'sallyport\_kept\_%'", database).split():
        server.sql(f"DROP SCHEMA {name} CASCADE", database)


def tables_of(server, schema=SCHEMA):
    return server.sql("SELECT string_agg(relname || ':' || relkind::text, ' ' ORDER BY relname) FROM pg_class"
                      f" WHERE relnamespace = '{schema}'::regnamespace", "orders")


ORDERS = "SET ROLE owner; CREATE TABLE shop.orders (id int PRIMARY KEY, n int); INSERT INTO shop.orders SELECT i, i * i FROM generate_series(1, 5) i"
FIVE = "(1,1)\n(2,4)\n(3,9)\n(4,16)\n(5,25)"
# What is made of it: the verb, the statement, what happens since; words of the undo, which is refused whenever it is tried.
FINAL = {
    "its name means another table": ("DROP", "DROP TABLE shop.orders", "CREATE TABLE shop.orders (x text)", "already exists"),
    "it is called otherwise": ("ALTER", "ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey", "ALTER TABLE shop.orders RENAME TO old", "is called"),
    "it was dropped since": ("DELETE", "DELETE FROM shop.orders", "DROP TABLE shop.orders", "has been dropped since"),
    "a new column needs a value": ("DELETE", "DELETE FROM shop.orders", "ALTER TABLE shop.orders ADD COLUMN x int NOT NULL", "needs a value"),
    "its rows were written anew": ("UPDATE", "UPDATE shop.orders SET n = 0", "ALTER TABLE shop.orders ADD COLUMN junk float DEFAULT random()",
                                   "cannot be told"),
    "others have its keys": ("TRUNCATE", "TRUNCATE shop.orders", "INSERT INTO shop.orders SELECT i, 0 FROM generate_series(1, 5) i", "nothing is put back"),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_no_undo_puts_back(keeper, server, name):
    verb, text, since, words = FINAL[name]
    server.sql(ORDERS, "orders")
    kept(keeper, server, verb, "shop.orders")
    server.sql("SET ROLE owner;" + text + ";" + since, "orders")
    code, _, why = undone(keeper, server, verb)
    assert code == ECONFLICT and words in why, why
    report = put(keeper, server)
    assert report["complete"] and report["beside"] == SCHEMA
    assert row(report, f'{SCHEMA}."shop.orders"') | {"of": "shop.orders", "kept": 5} == row(report, f'{SCHEMA}."shop.orders"')
    assert rows(server, f'{SCHEMA}."shop.orders"') == FIVE


def test_once_undone_it_comes_all_the_same_and_a_second_time_is_told(keeper, server):
    server.sql(ORDERS, "orders")
    kept(keeper, server, "DELETE", "shop.orders")
    server.sql("DELETE FROM shop.orders", "orders")
    code, report, why = undone(keeper, server, "DELETE", UNDO)
    assert code == OK and report["complete"], why
    put(keeper, server)
    for kind in (TRY_BESIDE, BESIDE):
        code, _, why = beside(keeper, server, kind)
        assert code == ECONFLICT and f"there already; who wants them anew lets that be dropped first: {SCHEMA}" in why, why
    server.sql(f"DROP SCHEMA {SCHEMA} CASCADE", "orders")
    put(keeper, server)


def test_nothing_but_values(keeper, server):
    """Of what makes a table no table but its owner's: no key, default, check, index, trigger, rule, policy, grant."""
    server.sql("""SET ROLE owner;
        CREATE TYPE shop.mood AS ENUM ('sad', 'glad');
        CREATE TYPE shop.pair AS (a int, b text);
        CREATE TYPE shop.span AS RANGE (subtype = float8);
        CREATE DOMAIN shop.cents AS numeric(10,2) CHECK (VALUE >= 0);
        CREATE DOMAIN shop.dear AS shop.cents CHECK (VALUE > 1);
        CREATE DOMAIN shop.feeling AS shop.mood;
        CREATE SEQUENCE shop.s;
        CREATE TABLE shop.all_kinds (id bigserial PRIMARY KEY, m shop.mood, p shop.pair, r shop.span, c shop.cents, d shop.dear,
            f shop.feeling, ms shop.mood[], cs shop.cents[], v varchar(10) NOT NULL DEFAULT 'x', ch char(5), bits bit(3), b bytea, j jsonb, t timestamptz, i interval,
            a int[], ir int4range, rc regclass, x xml, n numeric(12,3) CHECK (n > 0), u uuid, g numeric GENERATED ALWAYS AS (n * 2) STORED,
            "Odd ""name" text COLLATE "C", mo money, q "char", nm name, ne text);
        INSERT INTO shop.all_kinds VALUES (7, 'glad', (1, 'two'), '[1,2)', 3.5, 4, 'sad', '{sad,glad}', '{1,2}', 'v', 'ab', '101', '\\x00ff', '{"k": [1]}',
            '2026-01-02 03:04:05+08', '1 day 2 hours', '{{1,2},{3,4}}', '[3,5)', 'shop.s', '<a/>', 1.5, '00000000-0000-0000-0000-000000000001', DEFAULT,
            E'tab\\tnew\\nline \\\\. end', 12.5, 'c', 'nm', NULL);
        CREATE INDEX ON shop.all_kinds (v);
        CREATE RULE r AS ON DELETE TO shop.all_kinds DO INSTEAD NOTHING;
        ALTER TABLE shop.all_kinds ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON shop.all_kinds USING (true);
        GRANT ALL ON shop.all_kinds TO PUBLIC;
        CREATE VIEW shop.seen AS SELECT id FROM shop.all_kinds;
        CREATE MATERIALIZED VIEW shop.stale AS SELECT id FROM shop.all_kinds;
        CREATE TABLE shop.none ();
        INSERT INTO shop.none DEFAULT VALUES;
        INSERT INTO shop.none DEFAULT VALUES;
        CREATE TABLE shop.made (g int GENERATED ALWAYS AS (1) STORED);
        INSERT INTO shop.made DEFAULT VALUES;
        CREATE TABLE shop.parts (d int, t text) PARTITION BY LIST (d);
        CREATE TABLE shop.part_1 (t text, d int);
        ALTER TABLE shop.parts ATTACH PARTITION shop.part_1 FOR VALUES IN (1);
        INSERT INTO shop.parts VALUES (1, 'in one')""", "orders")
    was = server.sql("SELECT to_jsonb(whole) - 'g' FROM shop.all_kinds whole", "orders")
    kept(keeper, server, "DROP CASCADE", whole=True)
    server.sql("DROP SCHEMA shop CASCADE", "orders")
    report = put(keeper, server)
    table = f'{SCHEMA}."shop.all_kinds"'
    for sentence in ("values of type shop.mood are text there", "values of type shop.cents[] are text there", "values of type regclass are text there",
                     "column g of shop.all_kinds, which is generated, has no values that were kept"):
        assert sentence in report["told"], report["told"]
    assert any("have no rows here" in t for t in report["told"]), report["told"]
    types = server.sql("SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute"
                       f" WHERE attrelid = '{table}'::regclass AND attnum > 0", "orders")
    # the domains fell as well, so nobody knows what they were made of
    assert types == ('id bigint, m text, p text, r text, c text, d text, f text, ms text, cs text, v character varying, ch bpchar, bits bit, b bytea, '
                     'j jsonb, t timestamp with time zone, i interval, a integer[], ir int4range, rc text, x text, n numeric, u uuid, Odd "name text, '
                     'mo money, q "char", nm name, ne text').replace("bits bit,", 'bits "bit",'), types
    is_now = json.loads(server.sql(f"SELECT to_jsonb(whole) FROM {table} whole", "orders"))
    before = json.loads(was)
    before |= {"p": "(1,two)", "c": "3.50", "d": "4.00", "ms": "{sad,glad}", "cs": "{1.00,2.00}"}
    assert is_now == before
    assert server.sql(f'SELECT count(*) FROM {SCHEMA}."shop.none"', "orders") == "2"
    assert server.sql(f'SELECT count(*) FROM {SCHEMA}."shop.made"', "orders") == "1"
    assert rows(server, f'{SCHEMA}."shop.part_1"') == '("in one",1)'
    assert tables_of(server).split() == ["shop.all_kinds:r", "shop.made:r", "shop.none:r", "shop.part_1:r"]
    bare = server.sql(f"""SELECT count(*) FILTER (WHERE relacl IS NOT NULL OR relhasindex OR relhastriggers OR relhasrules OR relrowsecurity
        OR pg_get_userbyid(relowner) <> 'op_keep') FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind = 'r'""", "orders")
    assert bare == "0"
    assert server.sql(f"""SELECT (SELECT count(*) FROM pg_constraint WHERE connamespace = '{SCHEMA}'::regnamespace) + (SELECT count(*) FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND (atthasdef OR attnotnull) AND attnum > 0)""", "orders") == "0"


def test_a_domain_that_is_there_is_what_it_is_made_of(keeper, server):
    server.sql("""SET ROLE owner; CREATE DOMAIN shop.cents AS numeric(10,2) CHECK (VALUE >= 0); CREATE DOMAIN shop.dear AS shop.cents;
        CREATE TABLE shop.prices (id int, p shop.dear); INSERT INTO shop.prices VALUES (1, 2.5)""", "orders")
    kept(keeper, server, "DROP", "shop.prices")
    server.sql("DROP TABLE shop.prices", "orders")
    put(keeper, server)
    assert server.sql(f'SELECT id, p, pg_typeof(p) FROM {SCHEMA}."shop.prices"', "orders") == "1|2.50|numeric"


def test_names_that_are_too_long_or_the_same(keeper, server):
    long = "é" * 31
    server.sql(f"""SET ROLE owner; CREATE TABLE shop."{long}" (id int); CREATE TABLE shop."{long[:-1]}e" (id int);
        INSERT INTO shop."{long}" VALUES (1); INSERT INTO shop."{long[:-1]}e" VALUES (2)""", "orders")
    server.sql('CREATE SCHEMA "shop.a" AUTHORIZATION owner; SET ROLE owner; CREATE TABLE "shop.a".b (id int); CREATE TABLE shop."a.b" (id int);'
               'INSERT INTO "shop.a".b VALUES (3); INSERT INTO shop."a.b" VALUES (4);'
               'CREATE TABLE shop."\\! touch x\n\\gexec ""; DROP" (":x" int, "a\nb" int); INSERT INTO shop."\\! touch x\n\\gexec ""; DROP" VALUES (5, 6)', "orders")
    kept(keeper, server, "DROP CASCADE", whole=True)
    server.sql('DROP SCHEMA shop CASCADE; DROP SCHEMA "shop.a" CASCADE', "orders")
    report = put(keeper, server)
    assert len(report["rows"]) == 5 and all(r["kept"] == 1 for r in report["rows"])
    got = {r["of"]: rows(server, r["relation"]) for r in report["rows"]}
    assert sorted(got.values()) == ["(1)", "(2)", "(3)", "(4)", "(5,6)"]
    assert got["shop.\"a.b\""] == "(4)" and got['"shop.a".b'] == "(3)"


def test_rows_of_a_database_that_is_gone(keeper, server):
    server.sql("CREATE DATABASE lost OWNER owner")
    server.sql("SET ROLE owner; CREATE DOMAIN public.d AS int; CREATE TABLE public.t (id int, x public.d); INSERT INTO public.t VALUES (1, 2);"
               "SELECT lo_from_bytea(0, 'large')", "lost")
    kept(keeper, server, "DROP", whole=True, database="lost")
    server.sql("DROP DATABASE lost")
    code, _, why = beside(keeper, server, TRY_BESIDE, database="lost")
    assert code == ENOTFOUND and why == "there is no database lost: say into which one of this server the rows are to go", why
    server.sql("CREATE DOMAIN public.d AS text", "orders")  # not the one of the kept rows
    report = put(keeper, server)
    assert not report["complete"] and "large objects are left out" in report["told"], report
    assert server.sql(f'SELECT id, x, pg_typeof(x) FROM {SCHEMA}."public.t"', "orders") == "1|2|text"
    server.sql("DROP DOMAIN public.d", "orders")
    drop_all(server)
    # the maintenance database, where the role needs the right to make schemas
    code, _, why = beside(keeper, server, TRY_BESIDE, database="postgres")
    assert code == ECONFLICT and why == "database: the keeper's role may not make schemas in it: GRANT CREATE ON DATABASE postgres (op_keep)", why
    server.sql("GRANT CREATE ON DATABASE postgres TO op_keep")
    try:
        put(keeper, server, database="postgres")
        assert rows(server, f'{SCHEMA}."public.t"', "postgres") == "(1,2)"
    finally:
        server.sql("REVOKE CREATE ON DATABASE postgres FROM op_keep")
        drop_all(server, "postgres")


def test_what_is_not_there(keeper, server):
    for kind in (TRY_BESIDE, BESIDE):
        code, _, why = beside(keeper, server, kind, keep=987654)
        assert code == ENOTFOUND and why == "what was kept is not there any more", why
    server.sql(ORDERS, "orders")
    kept(keeper, server, "DROP", "shop.orders")
    with open(keeper.kept_file(50), "r+b") as file:
        file.seek(-20, 2)
        file.write(b"changed by hand")
    code, _, why = beside(keeper, server)
    assert code == ECORRUPT and why == "what was kept does not verify: the file is damaged or changed", why
    assert schemas(server) == ""


# ---- people who are against us ----


def test_a_name_that_somebody_took(keeper, server, trap):
    """Whoever may make schemas made it beforehand, with a table of its own: rows go elsewhere, and none into his."""
    server.sql(ORDERS, "orders")
    kept(keeper, server, "DELETE", "shop.orders")
    server.sql("GRANT CREATE ON DATABASE orders TO mallory", "orders")
    server.sql(f'SET ROLE mallory; CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}."shop.orders" (id int, n int); GRANT ALL ON SCHEMA {SCHEMA} TO PUBLIC', "orders")
    report = put(keeper, server)
    assert report["beside"].startswith(SCHEMA + "_") and len(report["beside"]) == len(SCHEMA) + 9
    assert any(f"a schema {SCHEMA} of mallory is there, which the keeper did not make" in t for t in report["told"]), report["told"]
    assert rows(server, f'{SCHEMA}."shop.orders"') == ""
    assert rows(server, f'{report["beside"]}."shop.orders"') == FIVE
    code, _, why = beside(keeper, server)
    assert code == ECONFLICT and report["beside"] in why, why
    server.sql(f"DROP SCHEMA {SCHEMA} CASCADE; REVOKE CREATE ON DATABASE orders FROM mallory", "orders")


def test_nobody_else_may_read(keeper, server):
    server.sql(ORDERS, "orders")
    kept(keeper, server, "DELETE", "shop.orders")
    for what in ("SELECT ON TABLES TO PUBLIC", "ALL ON TABLES TO reader", "USAGE ON SCHEMAS TO PUBLIC", "ALL ON SCHEMAS TO reader", "USAGE ON TYPES TO reader"):
        server.sql(f"ALTER DEFAULT PRIVILEGES FOR ROLE op_keep GRANT {what}", "orders")
    try:
        put(keeper, server)
        for privilege, of in (("USAGE", SCHEMA), ("CREATE", SCHEMA)):
            assert server.sql(f"SELECT has_schema_privilege('reader', '{of}', '{privilege}')", "orders") == "f"
        assert server.sql(f"""SELECT has_table_privilege('reader', '{SCHEMA}."shop.orders"', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')""",
                          "orders") == "f"
        assert server.sql(f"SELECT DISTINCT pg_get_userbyid(a.grantee) FROM pg_class, aclexplode(relacl) a WHERE relnamespace = '{SCHEMA}'::regnamespace",
                          "orders") in ("", "op_keep")
    finally:
        for what in ("ALL ON TABLES FROM PUBLIC, reader", "ALL ON SCHEMAS FROM PUBLIC, reader", "ALL ON TYPES FROM reader"):
            server.sql(f"ALTER DEFAULT PRIVILEGES FOR ROLE op_keep REVOKE {what}", "orders")


HOSTILE = {
    "a domain's check": ("CREATE DOMAIN trap.odd AS int; CREATE TABLE trap.z (id int, x trap.odd); INSERT INTO trap.z VALUES (1, 2)",
                         "ALTER DOMAIN trap.odd ADD CHECK (trap.spring(VALUE))"),
    "a check, a default, a rule, a trigger": (
        "CREATE TABLE trap.z (id int, x int DEFAULT 2 CHECK (trap.spring(x))); INSERT INTO trap.z VALUES (1);"
        "CREATE TRIGGER t BEFORE INSERT ON trap.z FOR EACH ROW EXECUTE FUNCTION trap.fires();"
        "CREATE RULE r AS ON DELETE TO trap.z DO ALSO SELECT trap.spring(1); CREATE INDEX ON trap.z ((trap.calm(x)))", ""),
    "a generated column": ("CREATE TABLE trap.z (id int, x int, g int GENERATED ALWAYS AS (trap.calm(x)) STORED); INSERT INTO trap.z VALUES (1, 2)", ""),
    "operators and casts": (
        "CREATE TYPE trap.pair AS (a int, b int); CREATE TABLE trap.z (id trap.pair, x trap.pair); INSERT INTO trap.z VALUES ((1, 1), (2, 2))",
        "CREATE FUNCTION trap.of(text) RETURNS trap.pair LANGUAGE plpgsql AS $$BEGIN PERFORM trap.spring(1); RETURN (1, 1)::trap.pair; END$$;"
        "CREATE FUNCTION trap.same(trap.pair, trap.pair) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RETURN trap.spring(1); END$$;"
        "CREATE OPERATOR trap.= (LEFTARG = trap.pair, RIGHTARG = trap.pair, FUNCTION = trap.same);"
        "CREATE CAST (text AS trap.pair) WITH FUNCTION trap.of(text) AS IMPLICIT"),
    "functions that shadow": (
        "CREATE TABLE trap.z (id int, x int); INSERT INTO trap.z VALUES (1, 2)",
        "CREATE FUNCTION trap.format(text, VARIADIC name[]) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM trap.spring(1); RETURN ''; END$$;"
        "CREATE FUNCTION trap.count() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN PERFORM trap.spring(1); RETURN 7; END$$"),
    "a row type": ("CREATE TABLE trap.inner (d int); CREATE TABLE trap.z (id int, x trap.inner); INSERT INTO trap.z VALUES (1, ROW(2))",
                   "ALTER TABLE trap.inner ADD CHECK (trap.spring(d))"),
}


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_nobodys_code_runs(keeper, server, trap, name, falls):
    before, since = HOSTILE[name]
    trap(before)
    server.sql("SET search_path = trap; ALTER DATABASE orders SET search_path = trap, public", "orders")
    kept(keeper, server, "DROP", "trap.z")
    trap(since)
    if falls:
        server.sql("DROP TABLE trap.z CASCADE", "orders")
    report = put(keeper, server)
    assert report["complete"] and [r["kept"] for r in report["rows"]] == [1]
    assert server.sql(f'SELECT count(*) FROM {SCHEMA}."trap.z"', "orders") == "1"


def test_an_event_trigger_of_others_is_refused(keeper, server, trap):
    server.sql(ORDERS, "orders")
    kept(keeper, server, "DELETE", "shop.orders")
    trap("CREATE FUNCTION trap.ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM trap.spring(1); END$$")
    server.sql("CREATE EVENT TRIGGER evil ON ddl_command_start EXECUTE FUNCTION trap.ddl()", "orders")
    try:
        for kind in (TRY_BESIDE, BESIDE):
            code, _, why = beside(keeper, server, kind)
            assert code == ECONFLICT and "trap.ddl() of owner" in why, why
    finally:
        server.sql("DROP EVENT TRIGGER evil", "orders")


def test_settings_of_the_database_change_nothing(keeper, server):
    server.sql(ORDERS, "orders")
    kept(keeper, server, "DELETE", "shop.orders")
    for setting in ("default_tablespace = 'nowhere'", "default_table_access_method = 'nowhere'", "role = 'owner'", "DateStyle = 'SQL, DMY'",
                    "default_transaction_isolation = 'serializable'"):
        try:
            server.sql(f"ALTER DATABASE orders SET {setting}")
        except AssertionError:
            continue  # this server does not take it at all
    try:
        put(keeper, server)
    finally:
        server.sql("ALTER DATABASE orders RESET ALL")
    assert rows(server, f'{SCHEMA}."shop.orders"') == FIVE


def test_a_publication_of_all_tables_is_told(keeper, server):
    server.sql(ORDERS, "orders")
    kept(keeper, server, "DELETE", "shop.orders")
    server.sql("CREATE PUBLICATION every FOR ALL TABLES", "orders")
    try:
        report = put(keeper, server)
        assert "new tables are sent to other servers by the publication every: these as well" in report["told"], report["told"]
    finally:
        server.sql("DROP PUBLICATION every", "orders")

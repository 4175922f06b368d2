# SPDX-License-Identifier: Apache-2.0
"""What hangs on tables and domains that stay, and falls with what it calls: it comes back with that, or it is told and the undo
is not complete.

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC keeper/README.md.
"""

import pytest

from keeper_client import ESTIMATE, UNDO
from keeperlib import keep, server_and_keeper, trap, undo  # noqa: F401
from vault_client import OK

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep' IN ROLE owner;
GRANT pg_read_all_data TO op_keep;
"""

server, keeper = server_and_keeper(ROLES)

HANGS = """SELECT conrelid::regclass || ' ' || contypid::regtype || ' ' || conname || ' ' || replace(pg_get_constraintdef(oid), ' NOT VALID', '')
             FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype = 'c'
           UNION ALL SELECT adrelid::regclass || ' ' || attname || ' ' || pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum WHERE adrelid::regclass::text LIKE 'shop.%'
           UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'shop'
           UNION ALL SELECT polname FROM pg_policy
           UNION ALL SELECT tgname FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'shop.%' AND NOT tgisinternal
           UNION ALL SELECT attrelid::regclass || ' ' || attname || ' ' || attnotnull FROM pg_attribute
             WHERE attrelid::regclass::text LIKE 'shop.%' AND attnum > 0 AND NOT attisdropped ORDER BY 1"""


@pytest.fixture
def shop(server):
    server.sql("SET ROLE owner; CREATE SCHEMA shop", "orders")
    yield lambda text: server.sql("SET ROLE owner;" + text, "orders")
    server.sql("DROP SCHEMA IF EXISTS shop CASCADE", "orders")


def limits(keeper, server, verb, *objects, **more):
    code, _, _, report, why = keeper.job(ESTIMATE, port=server.port, verb=verb, objects=objects, **more)
    assert code == OK, why
    return [one for one in report["limits"] if " calls " not in one and "lacks the rights" not in one]


FALLS = {
    "a sequence": ("CREATE SEQUENCE shop.s; CREATE TABLE shop.z (id int PRIMARY KEY DEFAULT nextval('shop.s'), a int)", "DROP SEQUENCE shop.s CASCADE"),
    "a function": ("""CREATE FUNCTION shop.f(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 0'; CREATE FUNCTION shop.d() RETURNS int LANGUAGE sql AS 'SELECT 7';
                      CREATE FUNCTION shop.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
                      CREATE TABLE shop.z (id int PRIMARY KEY, a int CONSTRAINT guards CHECK (shop.f(a)), b int DEFAULT shop.d());
                      COMMENT ON CONSTRAINT guards ON shop.z IS 'money';
                      CREATE INDEX i ON shop.z (shop.f(a)); CREATE POLICY p ON shop.z USING (shop.f(a));
                      CREATE TRIGGER t BEFORE INSERT ON shop.z FOR EACH ROW EXECUTE FUNCTION shop.t();
                      CREATE DOMAIN shop.odd AS int CONSTRAINT is_odd CHECK (shop.f(VALUE)); CREATE VIEW shop.v AS SELECT 1 AS one;
                      ALTER VIEW shop.v ALTER COLUMN one SET DEFAULT shop.d();
                      CREATE TABLE shop.o (id int PRIMARY KEY, o shop.odd)""",
                   "DROP FUNCTION shop.f(int), shop.d(), shop.t() CASCADE"),
    "a type": ("""CREATE TYPE shop.e AS ENUM ('a', 'b');
                  CREATE TABLE shop.z (id int PRIMARY KEY, n int CHECK (n > 0 OR 'a'::shop.e = ANY (ARRAY['b'::shop.e])), e shop.e DEFAULT 'a', t text DEFAULT ('b'::shop.e)::text)""",
               "DROP TYPE shop.e CASCADE"),
    "an operator": ("""CREATE FUNCTION shop.f(int, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > $2';
                       CREATE OPERATOR shop.>>> (LEFTARG = int, RIGHTARG = int, FUNCTION = shop.f);
                       CREATE TABLE shop.z (id int PRIMARY KEY, n int CHECK (n OPERATOR(shop.>>>) 0))""", "DROP OPERATOR shop.>>> (int, int) CASCADE"),
}


@pytest.mark.parametrize("name", FALLS)
def test_it_comes_back_with_what_it_calls(keeper, server, shop, name):
    made, falls = FALLS[name]
    shop(made)
    shop("INSERT INTO shop.z (id) VALUES (1)")
    before = server.sql(HANGS, "orders").splitlines()
    assert limits(keeper, server, "DROP CASCADE", whole=True) == []
    keep(keeper, server, 1, "DROP CASCADE", whole=True)
    shop(falls)
    fell = set(before) - set(server.sql(HANGS, "orders").splitlines())
    assert fell
    report = undo(keeper, server, 1, "DROP CASCADE", whole=True)
    now = server.sql(HANGS, "orders").splitlines()
    assert now == before, (set(before) ^ set(now), report)
    assert report["complete"] is True, report
    if name == "a function":
        assert server.sql("SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'guards'", "orders") == "money"
        with pytest.raises(Exception, match="guards"):
            shop("INSERT INTO shop.z VALUES (2, -1)")
        with pytest.raises(Exception, match="is_odd"):
            shop("INSERT INTO shop.o VALUES (2, -1)")


def test_what_one_alter_took_besides_its_column(keeper, server, shop):
    shop("""CREATE TABLE shop.z (id int PRIMARY KEY, a int, b int DEFAULT 5 NOT NULL, c int NOT NULL, d int NOT NULL, CONSTRAINT chk CHECK (a > 0), CONSTRAINT both_ CHECK (c < a + 1000));
            INSERT INTO shop.z VALUES (1, 1, 1, 1, 1)""")
    before = server.sql(HANGS, "orders").splitlines()
    keep(keeper, server, 2, "ALTER", "shop.z")
    shop("ALTER TABLE shop.z DROP CONSTRAINT chk, ALTER b DROP DEFAULT, ALTER b DROP NOT NULL, ALTER d DROP NOT NULL, DROP COLUMN c")
    shop("INSERT INTO shop.z VALUES (2, 1, 1, NULL)")
    report = undo(keeper, server, 2, "ALTER")
    now = server.sql(HANGS, "orders").splitlines()
    assert set(before) ^ set(now) == {"shop.z c true", "shop.z c false", "shop.z d true", "shop.z d false"}, report
    assert [one for one in report["told"] if "column d of shop.z: NOT NULL is not put back" in one] and report["complete"] is False, report


def test_a_check_alone(keeper, server, shop):
    shop("CREATE TABLE shop.z (id int PRIMARY KEY, a int CONSTRAINT chk CHECK (a > 0), b int NOT NULL)")
    keep(keeper, server, 3, "ALTER", "shop.z")
    shop("ALTER TABLE shop.z DROP CONSTRAINT chk, ALTER b DROP NOT NULL")
    report = undo(keeper, server, 3, "ALTER")
    assert report["complete"] is True and len(report["told"]) == 2, report
    assert server.sql("SELECT attnotnull FROM pg_attribute WHERE attrelid = 'shop.z'::regclass AND attname = 'b'", "orders") == "t"


def test_what_others_took_since_is_told(keeper, server, shop):
    shop("CREATE TABLE shop.z (id int PRIMARY KEY, a int CONSTRAINT chk CHECK (a > 0)); CREATE TABLE shop.gone (id int)")
    keep(keeper, server, 4, "DROP CASCADE", whole=True)
    shop("DROP TABLE shop.gone; ALTER TABLE shop.z DROP CONSTRAINT chk")
    report = undo(keeper, server, 4, "DROP CASCADE", whole=True)
    assert report["told"] == ["check chk of shop.z: it is not put back, because all that it stands on is there: others may have dropped it"] and report["complete"] is False, report


@pytest.mark.parametrize("how", ["another function", "nobody's", "a value of domains"])
def test_what_means_another_by_now_is_told_and_nothing_else_stays_away(keeper, server, trap, how):
    """A default that another role's function has taken the name of would run as whoever inserts."""
    server.sql("CREATE ROLE clerk; CREATE SCHEMA shop; GRANT ALL ON SCHEMA shop TO PUBLIC; CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "orders")
    try:
        trap("CREATE FUNCTION shop.g(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'; CREATE TABLE shop.z (id int PRIMARY KEY, a int DEFAULT shop.f(), b int CHECK (shop.g(b)))")
        if how == "nobody's":
            server.sql("ALTER TABLE shop.z OWNER TO clerk", "orders")
        if how == "a value of domains":
            trap("CREATE DOMAIN trap.odd AS int CHECK (trap.spring(VALUE)); CREATE SEQUENCE shop.s; ALTER TABLE shop.z ALTER a SET DEFAULT nextval('shop.s') + (('{1}'::trap.odd[])[1])")
            assert limits(keeper, server, "DROP CASCADE", whole=True) == ["default of column a of shop.z: where this falls it does not come back"]
        trap("CREATE TABLE trap.gone (id int)")
        keep(keeper, server, 5, "DROP CASCADE", whole=True)
        trap(f"DROP {'SEQUENCE shop.s' if how == 'a value of domains' else 'FUNCTION shop.g(int)'} CASCADE; DROP TABLE trap.gone")
        if how == "another function":
            server.sql("ALTER TABLE shop.z ALTER a DROP DEFAULT; ALTER SCHEMA shop RENAME TO old; CREATE SCHEMA shop AUTHORIZATION owner", "orders")
            trap("CREATE FUNCTION shop.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM trap.spring(1); RETURN 1; END'; CREATE FUNCTION shop.g(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT trap.spring($1)'")
        code, _, _, report, why = keeper.job(UNDO, keep=5, port=server.port, verb="DROP CASCADE", whole=True)
        table = server.sql("SELECT 'shop.z'::regclass::oid" if how != "another function" else "SELECT 'old.z'::regclass::oid", "orders")
        hangs = server.sql(f"SELECT (SELECT count(*) FROM pg_constraint WHERE conrelid = {table} AND contype = 'c'), (SELECT count(*) FROM pg_attrdef WHERE adrelid = {table})", "orders")
        assert code == OK and report["complete"] is False, (report, why)
        assert hangs == {"another function": "0|0", "nobody's": "0|1", "a value of domains": "1|0"}[how], report
        assert [one for one in report["told"] if "it is not put back, because" in one], report
    finally:
        server.sql("DROP SCHEMA IF EXISTS shop CASCADE; DROP SCHEMA IF EXISTS old CASCADE; DROP ROLE clerk", "orders")


def test_a_generated_column_and_an_attribute_of_a_type_are_told(keeper, server, shop):
    shop("""CREATE FUNCTION shop.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE TYPE shop.e AS ENUM ('a');
            CREATE TYPE shop.pair AS (one shop.e, two int); CREATE COLLATION shop.c FROM "C";
            CREATE TABLE shop.z (a int, g int GENERATED ALWAYS AS (shop.f(a)) STORED); INSERT INTO shop.z VALUES (1), (1);
            CREATE TABLE shop.k (id int PRIMARY KEY, t text COLLATE shop.c); INSERT INTO shop.k VALUES (1, 'x')""")
    assert limits(keeper, server, "DROP CASCADE", whole=True) == ["attribute one of type shop.pair: where this falls it does not come back",
                                                                 "column g of shop.z, which is generated: where this falls and its table stays it does not come back"]
    keep(keeper, server, 6, "DROP CASCADE", whole=True)
    shop("DROP FUNCTION shop.f(int) CASCADE; DROP TYPE shop.e CASCADE; DROP COLLATION shop.c CASCADE; DELETE FROM shop.z WHERE ctid = '(0,1)'")
    report = undo(keeper, server, 6, "DROP CASCADE", whole=True)
    assert report["complete"] is False and server.sql("SELECT (SELECT count(*) FROM shop.z), t FROM shop.k", "orders") == "1|x", report
    assert {"column g of shop.z, which is generated, is not put back: let its owner add it",
            "attribute one of type shop.pair: it is not put back, because its values are gone from all that has the type; let its owner add it"} <= set(report["told"]), report

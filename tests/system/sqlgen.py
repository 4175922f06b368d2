# SPDX-License-Identifier: Apache-2.0
"""Statements for the test that holds judgements against a real server: made at random from a grammar over a small
schema, the same ones for the same seed. Most of them run; the rest does no harm."""

import random

SCHEMA = """
CREATE SCHEMA audit;
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, phone text, id_number text, city text, born date,
                        score numeric DEFAULT 1);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers ON DELETE CASCADE ON UPDATE CASCADE,
                     total numeric, note text, at timestamp DEFAULT '2026-01-01');
CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, item text, n int);
CREATE TABLE audit.entries (id serial PRIMARY KEY, who text, what text);
CREATE TABLE logs (at date, line text, customer_id int) PARTITION BY RANGE (at);
CREATE TABLE logs_a PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-06-01');
CREATE TABLE logs_b PARTITION OF logs FOR VALUES FROM ('2026-06-01') TO ('2027-01-01');
CREATE TABLE people (id int, name text);
CREATE TABLE staff (phone text) INHERITS (people);
CREATE TABLE ruled (id int, name text);
CREATE TABLE watched (id int, name text);
CREATE TABLE kept (id int, name text);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE pairs (id int, p pair, tags text[], doc jsonb);
CREATE TYPE box2 AS (a int, b text);
CREATE DOMAIN box3 AS box2;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE FUNCTION of_box(box2) RETURNS text LANGUAGE plpgsql AS $$BEGIN DELETE FROM kept; RETURN 'x'; END$$;
CREATE FUNCTION of_mood(int) RETURNS mood LANGUAGE plpgsql AS $$BEGIN DELETE FROM kept; RETURN 'bad'; END$$;
CREATE FUNCTION of_moods(mood) RETURNS int LANGUAGE plpgsql AS $$BEGIN DELETE FROM kept; RETURN 1; END$$;
CREATE CAST (box2 AS text) WITH FUNCTION of_box(box2) AS IMPLICIT;
CREATE CAST (int AS mood) WITH FUNCTION of_mood(int) AS ASSIGNMENT;
CREATE CAST (mood AS int) WITH FUNCTION of_moods(mood);
CREATE TABLE boxes (id int, c box2, d box3[], m mood);
CREATE VIEW v_boxes AS SELECT id, c AS e, m FROM boxes;
CREATE TABLE boxed (id int, b boxes);
INSERT INTO boxes VALUES (1, ROW(1, 'x'), '{"(1,x)"}', 'good');
INSERT INTO boxed SELECT 1, b FROM boxes b;
CREATE SEQUENCE numbers;
CREATE DOMAIN short AS text CHECK (length(value) < 20);
CREATE VIEW v_customers AS SELECT id, name, phone AS tel, city FROM customers;
CREATE VIEW v_names AS SELECT id, name FROM v_customers WHERE id > 1;
CREATE VIEW v_orders AS SELECT o.id, o.total, c.name FROM orders o JOIN customers c ON c.id = o.customer_id;
CREATE VIEW v_open AS SELECT id, customer_id, note FROM orders;
CREATE MATERIALIZED VIEW m_city AS SELECT city, count(*) AS n FROM customers GROUP BY city;
CREATE RULE r AS ON INSERT TO ruled DO ALSO DELETE FROM kept;
CREATE FUNCTION danger(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN DELETE FROM kept; RETURN 1; END$$;
CREATE FUNCTION danger(people) RETURNS int LANGUAGE plpgsql AS $$BEGIN DELETE FROM kept; RETURN 1; END$$;
CREATE FUNCTION danger_tr() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN DELETE FROM kept; RETURN NEW; END$$;
CREATE PROCEDURE danger_p() LANGUAGE plpgsql AS $$BEGIN DELETE FROM kept; END$$;
CREATE OPERATOR ## (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);
CREATE FUNCTION danger2(int, int) RETURNS bool LANGUAGE plpgsql AS $$BEGIN DELETE FROM kept; RETURN true; END$$;
CREATE OPERATOR =# (LEFTARG = int, RIGHTARG = int, FUNCTION = danger2);
INSERT INTO orders SELECT g, 1 + g % 5, g * 10, 'note ' || g FROM generate_series(1, 12) g;
INSERT INTO lines SELECT g, 1 + g % 12, 'item ' || g % 4, g FROM generate_series(1, 20) g;
INSERT INTO audit.entries (who, what) VALUES ('a', 'x'), ('b', 'y');
INSERT INTO logs SELECT date '2026-01-01' + g * 30, 'line ' || g, 1 + g % 5 FROM generate_series(0, 11) g;
INSERT INTO people VALUES (1, 'p'), (2, 'q');
INSERT INTO ruled VALUES (1, 'r');
INSERT INTO watched VALUES (1, 'w'), (2, 'ww');
INSERT INTO kept VALUES (1, 'k'), (2, 'kk');
INSERT INTO pairs VALUES (1, (1, 'x'), '{a,b}', '{"k": 1}'), (2, (2, 'y'), '{c}', '{"k": [1, 2]}');
REFRESH MATERIALIZED VIEW m_city;
"""

CUSTOMERS = [(1, "Ann", "Ghent", "1970-01-01"), (2, "Bob", "Lyon", "1980-02-02"), (3, "Cho", "Ghent", "1990-03-03"),
             (4, "Dee", "Oslo", None), (5, "Eve", None, "1999-09-09")]
# what may not be seen: (table, column); the rest of both databases is the same
MASKED = [("public", "customers", "phone"), ("public", "customers", "id_number"), ("public", "staff", "phone")]


def fill(secrets):
    """Statements that put the rows with secrets: a function of (table, row) -> (phone, number)."""
    out = ["SET session_replication_role = replica"]
    for one, name, city, born in CUSTOMERS:
        phone, number = secrets(one)
        out.append("INSERT INTO customers VALUES ({}, '{}', {}, {}, {}, {}, {})".format(
            one, name, phone, number, f"'{city}'" if city else "NULL", f"'{born}'" if born else "NULL", one))
    out.append("INSERT INTO staff VALUES (7, 's', {}), (8, 't', {})".format(secrets(7)[0], secrets(8)[0]))
    return out


TABLES = {
    "customers": {"id": "int", "name": "text", "phone": "text", "id_number": "text", "city": "text", "born": "date",
                  "score": "numeric"},
    "orders": {"id": "int", "customer_id": "int", "total": "numeric", "note": "text"},
    "lines": {"id": "int", "order_id": "int", "item": "text", "n": "int"},
    "audit.entries": {"id": "int", "who": "text", "what": "text"},
    "logs": {"at": "date", "line": "text", "customer_id": "int"},
    "logs_a": {"at": "date", "line": "text", "customer_id": "int"},
    "people": {"id": "int", "name": "text"},
    "staff": {"id": "int", "name": "text", "phone": "text"},
    "ruled": {"id": "int", "name": "text"},
    "watched": {"id": "int", "name": "text"},
    "kept": {"id": "int", "name": "text"},
    "pairs": {"id": "int", "p": "pair", "tags": "text[]", "doc": "jsonb"},
    "v_customers": {"id": "int", "name": "text", "tel": "text", "city": "text"},
    "v_names": {"id": "int", "name": "text"},
    "v_orders": {"id": "int", "total": "numeric", "name": "text"},
    "v_open": {"id": "int", "customer_id": "int", "note": "text"},
    "m_city": {"city": "text", "n": "int"},
}
WRITABLE = ["customers", "orders", "lines", "audit.entries", "logs", "logs_a", "people", "staff", "ruled", "watched",
            "kept", "v_customers", "v_names", "v_open"]
EFFECTS = ["danger(1)", "nextval('numbers')", "setval('numbers', 9)", "lo_create(0)", "pg_notify('c', 'x')", "set_config('work_mem', '1MB', true)", 
           "lo_from_bytea(0, 'x')", "pg_catalog.nextval('numbers')", "1 =# 2", "1 OPERATOR(public.=#) 2",
           "query_to_xml('delete from kept', true, true, '')", "pg_export_snapshot()",
           "ts_stat('select to_tsvector(name) from kept')", "currval('numbers')", "pg_sleep(0)",
           "(SELECT p.danger FROM people p LIMIT 1)", "(SELECT danger(p) FROM people p LIMIT 1)",
           "(ROW(1, 'x')::people).danger", "1 ## 2", "pg_stat_reset()"]


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.depth = 0
        self.aliases = 0

    def pick(self, *options):
        return self.r.choice(options)

    def chance(self, p):
        return self.r.random() < p

    # ---- words ----

    def ident(self, name):
        """The same name, oddly written."""
        how = self.r.random()
        if "." in name:
            return ".".join(self.ident(part) for part in name.split("."))
        if how < 0.85:
            return name
        if how < 0.92:
            return f'"{name}"'
        if how < 0.96:
            return name.upper()
        return 'U&"' + "".join(f"\\{ord(c):04x}" if self.chance(0.3) else c for c in name) + '"'

    def string(self, text):
        how = self.r.random()
        if how < 0.7:
            return "'" + text.replace("'", "''") + "'"
        if how < 0.8:
            return "$$" + text + "$$"
        if how < 0.9:
            return "$q1$" + text + "$q1$"
        return "E'" + "".join(f"\\x{ord(c):02x}" if self.chance(0.3) else c for c in text) + "'"

    def space(self):
        return self.pick(" ", " ", " ", "\n", " /* ; DROP */ ", " -- x' \n", "\t", " /* a /* b */ */ ")

    # ---- where rows come from ----

    def source(self):
        """(text, {alias.column: type})"""
        self.aliases += 1
        alias = f"a{self.aliases}" if self.chance(0.8) else self.pick("name", "customers", "phone", "x")
        how = self.r.random()
        if self.depth > 2 or how < 0.7:
            table = self.r.choice(sorted(TABLES))
            only = self.pick("ONLY ", "") if self.chance(0.1) else ""
            columns = TABLES[table]
            if self.chance(0.1):
                renamed = {f"c{i}": kind for i, kind in enumerate(columns.values())}
                return f"{only}{self.ident(table)} AS {alias}({', '.join(renamed)})", self.named(alias, renamed)
            if self.chance(0.2) and "." not in table:
                return only + self.ident(table), self.named(table, columns)
            sample = " TABLESAMPLE bernoulli(100)" if self.chance(0.02) else ""
            return f"{only}{self.ident(table)} AS {alias}{sample}", self.named(alias, columns)
        if how < 0.88:
            query, columns = self.query()
            lateral = "LATERAL " if self.chance(0.2) else ""
            return f"{lateral}({query}) AS {alias}", self.named(alias, columns)
        if how < 0.93:
            return f"(VALUES (1, 'x'), (2, 'y')) AS {alias}(i, t)", self.named(alias, {"i": "int", "t": "text"})
        if how < 0.97:
            return f"generate_series(1, 3) AS {alias}(i)", self.named(alias, {"i": "int"})
        return (f"jsonb_to_recordset('[{{\"i\":1,\"t\":\"x\"}}]') AS {alias}(i int, t text)",
                self.named(alias, {"i": "int", "t": "text"}))

    def named(self, alias, columns):
        return {f"{alias}.{column}": kind for column, kind in columns.items()}

    def sources(self):
        text, columns = self.source()
        for _ in range(self.pick(0, 0, 0, 1, 1, 2)):
            other, more = self.source()
            how = self.r.random()
            both = {**columns, **more}
            if how < 0.3:
                text = f"{text}, {other}"
            elif how < 0.4:
                text = f"{text} CROSS JOIN {other}"
            elif how < 0.45:
                text = f"{text} NATURAL JOIN {other}"
            elif how < 0.55:
                shared = {c.split(".")[-1] for c in columns} & {c.split(".")[-1] for c in more}
                using = self.pick(*sorted(shared)) if shared else "id"
                text = f"{text} {self.pick('', 'LEFT ', 'FULL ')}JOIN {other} USING ({using})"
            else:
                kind = self.pick("", "LEFT ", "RIGHT ", "FULL ")
                text = f"{text} {kind}JOIN {other} ON {self.condition(both)}"
            columns = both
        return text, columns

    # ---- expressions ----

    def column(self, columns, kind):
        fits = sorted(c for c, k in columns.items() if k == kind)
        if not fits:
            return None
        name = self.r.choice(fits)
        return name.split(".")[-1] if self.chance(0.2) else name

    def expression(self, columns, kind):
        self.depth += 1
        try:
            return self.expression_of(columns, kind)
        finally:
            self.depth -= 1

    def expression_of(self, columns, kind):
        if self.chance(0.015):
            return self.r.choice(EFFECTS)
        name = self.column(columns, kind)
        if name and (self.depth > 4 or self.chance(0.55)):
            return name
        e = lambda k: self.expression(columns, k)
        if self.depth > 5 or self.chance(0.2):
            return {"int": self.pick("1", "2", "3", "0"), "numeric": self.pick("1.5", "10"),
                    "text": self.string(self.pick("x", "Ghent", "a;b", "it's", "1")), "date": "date '2026-02-01'",
                    "bool": self.pick("true", "false", "NULL"), "jsonb": "'{\"k\":1}'::jsonb", "text[]": "'{a,b}'::text[]",
                    "pair": "ROW(1, 'x')::pair"}[kind]
        return self.r.choice(self.forms(e, columns)[kind])()

    def forms(self, e, columns):
        scalar = lambda k: f"({self.query(want=[k], limit=True)[0]})"
        whole = lambda: (self.pick(*sorted({c.split(".")[0] for c in columns})) if columns else "1")
        case = lambda k: f"CASE WHEN {e('bool')} THEN {e(k)} ELSE {e(k)} END"
        return {
            "int": [lambda: f"{e('int')} + {e('int')}", lambda: f"length({e('text')})", lambda: f"({e('int')})::int",
                    lambda: scalar("int"), lambda: case("int"), lambda: f"coalesce({e('int')}, {e('int')})",
                    lambda: f"(SELECT count(*)::int FROM {self.source()[0]})", lambda: f"({e('pair')}).a",
                    lambda: f"position({e('text')} in {e('text')})", lambda: f"greatest({e('int')}, {e('int')})",
                    lambda: f"extract(year from {e('date')})::int", lambda: f"({e('text')})::int",
                    lambda: f"ascii({e('text')})", lambda: f"hashtext({e('text')})", lambda: f"- {e('int')}",
                    lambda: f"cardinality({e('text[]')})", lambda: f"(count(*) OVER (ORDER BY {e('text')}))::int"],
            "numeric": [lambda: f"{e('numeric')} * {e('int')}", lambda: f"round({e('numeric')})", lambda: case("numeric"),
                        lambda: scalar("numeric"), lambda: f"{e('int')} / nullif({e('int')}, 0)::numeric"],
            "text": [lambda: f"{e('text')} || {e('text')}", lambda: f"upper({e('text')})", lambda: f"({e('int')})::text",
                     lambda: scalar("text"), lambda: case("text"), lambda: f"substr({e('text')}, 1, 2)",
                     lambda: f"nullif({e('text')}, {e('text')})", lambda: f"{e('text')} COLLATE \"C\"",
                     lambda: f"format('%s', {e('text')})", lambda: f"({e('pair')}).b", lambda: f"to_json({whole()})::text",
                     lambda: f"({whole()})::text", lambda: f"concat({whole()}, '')", lambda: f"md5({e('text')})",
                     lambda: f"({e('jsonb')}->>'k')", lambda: f"({e('text[]')})[1]", lambda: f"({e('text')})::short",
                     lambda: f"first_value({e('text')}) OVER (PARTITION BY {e('int')})", lambda: f"cast({e('text')} as varchar(3))",
                     lambda: f"lag({e('text')}) OVER (ORDER BY {e('int')})", lambda: f"replace({e('text')}, {e('text')}, '')",
                     lambda: f"xmlelement(name x, {e('text')})::text", lambda: f"quote_literal({e('text')})",
                     lambda: f"pg_typeof({e('text')})::text", lambda: f"coalesce({e('text')}, {e('text')})"],
            "date": [lambda: f"{e('date')} + {e('int')}", lambda: scalar("date"), lambda: case("date")],
            "bool": [lambda: f"{e('int')} {self.pick('=', '<', '>=', '<>')} {e('int')}",
                     lambda: f"{e('text')} {self.pick('=', '<', 'LIKE', '~', 'IS DISTINCT FROM')} {e('text')}",
                     lambda: f"{e('int')} IN ({self.query(want=['int'])[0]})", lambda: f"NOT {e('bool')}",
                     lambda: f"EXISTS ({self.query()[0]})", lambda: f"({e('bool')} {self.pick('AND', 'OR')} {e('bool')})",
                     lambda: f"{e('text')} IS {self.pick('', 'NOT ')}NULL", lambda: f"{e('int')} BETWEEN {e('int')} AND {e('int')}",
                     lambda: f"({e('int')}, {e('text')}) = ({e('int')}, {e('text')})", lambda: f"{e('text')} = ANY ({e('text[]')})",
                     lambda: f"{e('int')} = ANY ({self.query(want=['int'])[0]})", lambda: f"{e('text')} SIMILAR TO '%'",
                     lambda: f"{e('jsonb')} ? 'k'", lambda: f"starts_with({e('text')}, {e('text')})"],
            "jsonb": [lambda: f"to_jsonb({whole()})", lambda: f"jsonb_build_object('k', {e('text')})", lambda: f"{e('jsonb')} -> 'k'",
                      lambda: f"(SELECT jsonb_agg({whole()}))"],
            "text[]": [lambda: f"ARRAY[{e('text')}, {e('text')}]", lambda: f"ARRAY({self.query(want=['text'])[0]})",
                       lambda: f"string_to_array({e('text')}, ',')"],
            "pair": [lambda: f"ROW({e('int')}, {e('text')})::pair"],
        }

    def condition(self, columns):
        return self.expression(columns, "bool")

    # ---- queries ----

    def items(self, columns, want):
        kinds = want or [self.pick("int", "text", "text", "numeric", "date") for _ in range(self.pick(1, 1, 2, 3))]
        out, names = [], {}
        for i, kind in enumerate(kinds):
            name = self.column(columns, kind) if self.chance(0.5) else None
            text = name or self.expression(columns, kind)
            alias = self.pick(f"o{i}", f"o{i}", "name", "phone", "id") if self.chance(0.8) else None
            out.append(f"{text} AS {alias}" if alias else text)
            names[alias or (name.split(".")[-1] if name else f"o{i}")] = kind
        return ", ".join(out), names

    def query(self, want=None, limit=False):
        self.depth += 1
        try:
            if self.depth > 4:
                kinds = want or ["int"]
                text = ", ".join(f"{self.expression({}, kind)} AS k{i}" for i, kind in enumerate(kinds))
                return f"SELECT {text}", {f"k{i}": kind for i, kind in enumerate(kinds)}
            return self.query_of(want, limit)
        finally:
            self.depth -= 1

    def query_of(self, want, limit):
        if self.chance(0.08) and not limit:
            kinds = want or ["int", "text"]
            left, names = self.query(want=kinds)
            right, _ = self.query(want=kinds)
            return f"({left}) {self.pick('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT ALL')} ({right})", names
        prefix = ""
        cte = None
        if self.chance(0.12) and self.depth < 4:
            name = self.pick("w1", "customers", "kept", "w2")
            if self.chance(0.3) and self.depth <= 1:
                inner, names = self.change(returning=True), {"id": "int"}
            else:
                inner, names = self.query()
            prefix = f"WITH {self.pick('', 'RECURSIVE ')}{name} AS {self.pick('', 'MATERIALIZED ')}({inner}) "
            cte = (name, self.named(name, names))
        text, columns = cte if cte and self.chance(0.8) else self.sources()
        if want is None and self.chance(0.08):
            star = self.pick("*", *[c.split(".")[0] + ".*" for c in sorted(columns)])
            got = {c.split(".")[-1]: k for c, k in columns.items() if star == "*" or c.startswith(star[:-1])}
            out = f"{prefix}SELECT {star} FROM {text}"
            return (f"{out} WHERE {self.condition(columns)}" if self.chance(0.3) else out), got
        if want is None and self.chance(0.03):
            table = self.r.choice(sorted(TABLES))
            return f"TABLE {table}", TABLES[table]
        if want is None and self.chance(0.1):
            key = self.column(columns, "text") or self.column(columns, "int") or "1"
            kind = self.pick("count(*)", "count(distinct {})", "max({})", "string_agg({}::text, ',' ORDER BY {})", "array_agg({})",
                             "count(*) FILTER (WHERE {} IS NOT NULL)", "mode() WITHIN GROUP (ORDER BY {})",
                             "json_object_agg({}, 1)", "bool_or({} IS NULL)").replace("{}", str(self.column(columns, "text") or "1"))
            group = self.pick("GROUP BY 1", f"GROUP BY {key}", f"GROUP BY GROUPING SETS (({key}), ())", f"GROUP BY ROLLUP ({key})")
            having = " HAVING count(*) > 0" if self.chance(0.3) else ""
            return f"{prefix}SELECT {key} AS k, ({kind})::text AS v FROM {text} {group}{having}", {"k": "text", "v": "text"}
        items, names = self.items(columns, want)
        distinct = self.pick("", "", "", "", "DISTINCT ", f"DISTINCT ON ({self.column(columns, 'text') or '1'}) ")
        out = f"{prefix}SELECT{self.space()}{distinct}{items}{self.space()}FROM {text}"
        if self.chance(0.4):
            out += f" WHERE {self.condition(columns)}"
        if self.chance(0.15) and not limit:
            out += f" ORDER BY {self.pick('1', self.column(columns, 'text') or '1', self.expression(columns, 'text'))}"
        if limit:
            out += " LIMIT 1"
        elif self.chance(0.1):
            out += self.pick(" LIMIT 2", " OFFSET 1", " FETCH FIRST 1 ROWS ONLY", f" LIMIT {self.expression({}, 'int')}")
        if self.chance(0.03) and not distinct and not limit:
            out += self.pick(" FOR UPDATE", " FOR SHARE", " FOR KEY SHARE", " FOR NO KEY UPDATE")
        return out, names

    # ---- changes ----

    def change(self, returning=False):
        table = self.r.choice(WRITABLE)
        columns = TABLES[table]
        scope = self.named(table.split(".")[-1], columns)
        back = " RETURNING id" if returning else self.pick("", "", " RETURNING *", f" RETURNING {self.expression(scope, 'text')}")
        if returning and "id" not in columns:
            back = " RETURNING 1 AS id"
        where = f" WHERE {self.condition(scope)}" if self.chance(0.8) else ""
        how = self.r.random()
        if how < 0.3:
            using = f" USING {self.source()[0]}" if self.chance(0.15) else ""
            return f"DELETE FROM {self.ident(table)}{using}{where}{back}"
        if how < 0.6:
            column = self.r.choice(sorted(columns))
            value = self.expression(scope, columns[column]) if columns[column] != "pair" else "NULL"
            return f"UPDATE {self.ident(table)} SET {column} = {value}{where}{back}"
        if how < 0.7 and table in ("customers", "orders", "kept"):
            kind = self.pick("DELETE", "UPDATE SET id = t.id", "UPDATE SET id = t.id + 100")
            return (f"MERGE INTO {table} t USING {self.pick('people', 'kept', 'lines')} s ON t.id = s.id "
                    f"WHEN MATCHED{self.pick('', ' AND s.id = 1')} THEN {kind}")
        names = ", ".join(columns)
        values = ", ".join("NULL" if k == "pair" else self.expression({}, k) if c != "id" else str(self.r.randint(50, 99))
                           for c, k in columns.items())
        conflict = ""
        if table == "customers" and self.chance(0.4):
            conflict = self.pick(" ON CONFLICT DO NOTHING", " ON CONFLICT (id) DO UPDATE SET id = customers.id + 50")
            values = values.replace(values.split(",")[0], "1", 1)
        return f"INSERT INTO {self.ident(table)} ({names}) VALUES ({values}){conflict}{back}"

    # ---- statements ----

    def statement(self):
        self.depth = 0
        self.aliases = 0
        how = self.r.random()
        query = lambda: self.query()[0]
        if how < 0.55:
            return query()
        if how < 0.8:
            return self.change()
        if how < 0.84:
            return f"EXPLAIN {self.pick('', 'ANALYZE ', '(ANALYZE false) ', '(ANALYZE, COSTS off) ', '(FORMAT json) ')}" + \
                self.pick(query, self.change)()
        if how < 0.87:
            return self.pick(f"PREPARE s AS {query()}; EXECUTE s", f"PREPARE s AS {self.change()}; EXECUTE s",
                             f"DECLARE c CURSOR FOR {query()}; FETCH ALL FROM c", f"DECLARE c BINARY CURSOR FOR {query()}",
                             f"DECLARE c CURSOR FOR SELECT * FROM kept FOR UPDATE; FETCH 1 FROM c; DELETE FROM kept WHERE CURRENT OF c")
        if how < 0.9:
            return self.pick(f"{query()}; {self.change()}", f"SELECT 1; {query()}", f"SAVEPOINT a; {self.change()}; ROLLBACK TO a")
        if how < 0.93:
            return self.pick(f"CREATE TEMP TABLE t1 AS {query()}", f"SELECT * INTO TEMP t1 FROM {self.source()[0]}",
                             f"CREATE TEMP VIEW t1 AS {query()}", f"CREATE TEMP TABLE t1 AS SELECT * FROM kept; DELETE FROM t1",
                             "CREATE TEMP TABLE kept AS SELECT 1 AS id; DELETE FROM kept WHERE id = 1",
                             "CREATE TEMP TABLE t1 (id int); CREATE TRIGGER g AFTER INSERT ON t1 EXECUTE FUNCTION danger_tr(); "
                             "INSERT INTO t1 VALUES (1)",
                             "CREATE TEMP TABLE t1 (id int DEFAULT danger(1)); INSERT INTO t1 VALUES (DEFAULT)",
                             "CREATE TEMP TABLE t1 (id int CHECK (danger(id) = 1)); INSERT INTO t1 VALUES (1)",
                             "CREATE TEMP TABLE t1 (id int); CREATE INDEX ON t1 (danger(id)); INSERT INTO t1 VALUES (1)")
        return self.r.choice(DEFINITIONS)


DEFINITIONS = [
    "ALTER TABLE {t} RENAME TO x", "ALTER TABLE {t} ADD z int", "ALTER TABLE {t} DROP name", "DROP TABLE {t}", "TRUNCATE {t}",
    "TRUNCATE {t} CASCADE", "DROP TABLE {t} CASCADE", "ALTER TABLE kept ALTER name TYPE text USING NULL",
    "ALTER TABLE kept ALTER name TYPE text USING nullif(name, name)", "CREATE TABLE x AS SELECT * FROM {t}",
    "CREATE INDEX ON kept (name)", "DROP VIEW v_customers CASCADE", "REFRESH MATERIALIZED VIEW m_city", "ANALYZE kept",
    "CREATE VIEW x AS SELECT * FROM {t}", "DO $$BEGIN DELETE FROM kept; END$$", "CALL danger_p()", "SELECT danger(id) FROM kept",
    "GRANT SELECT ON {t} TO public", "COMMENT ON TABLE {t} IS 'x'", "LOCK TABLE {t}", "LOCK TABLE {t} IN ACCESS SHARE MODE",
    "CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'DELETE FROM kept RETURNING 1'; SELECT lower(5)", "NOTIFY c, 'x'",
    "LISTEN c", "SET work_mem = '2MB'", "SET LOCAL search_path = audit", "SHOW ALL", "DISCARD PLANS", "SET row_security = off",
    "CREATE RULE x AS ON DELETE TO kept DO INSTEAD NOTHING", "DROP RULE r ON ruled", "DROP SEQUENCE numbers",
    "ALTER SEQUENCE numbers RESTART", "CREATE SEQUENCE x", "CREATE DOMAIN x AS int", "DROP DOMAIN short", "DROP TYPE pair CASCADE",
    "CREATE TYPE x AS ENUM ('a')", "CREATE SCHEMA x CREATE TABLE y (a int)", "DROP SCHEMA audit CASCADE", "REINDEX TABLE kept",
    "CREATE STATISTICS x ON id, name FROM kept", "SECURITY LABEL ON TABLE kept IS 'x'", "CREATE TABLE x (LIKE {t} INCLUDING ALL)",
    "CREATE TABLE x () INHERITS (people)", "ALTER TABLE logs DETACH PARTITION logs_a", "REASSIGN OWNED BY current_user TO current_user",
    "ALTER TABLE kept ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON kept USING (id = 1)", "DROP OWNED BY current_user",
    "CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = danger2); SELECT 1 ### 2", "DISCARD TEMP", "UNLISTEN *",
    "UPDATE pg_settings SET setting = '2MB' WHERE name = 'work_mem'", "SELECT * FROM pg_class", "SELECT * FROM pg_stat_activity",
    "SELECT * FROM information_schema.columns", "SELECT * FROM pg_settings", "SELECT pg_get_viewdef('v_customers'::regclass)",
    "SELECT * FROM pg_toast.pg_toast_1259", "ALTER TABLE customers INHERIT people", "SELECT lo_get(1)", "DEALLOCATE ALL",
    "ALTER TABLE customers ADD phone2 text GENERATED ALWAYS AS (phone) STORED", "CREATE INDEX ON customers (phone)",
    "ALTER TABLE customers ADD CHECK (phone LIKE '1%')", "ALTER TABLE customers ALTER city TYPE text USING phone",
    "CREATE TABLE x AS SELECT phone FROM customers", "INSERT INTO people SELECT id, phone FROM customers RETURNING name",
    "UPDATE customers SET city = phone RETURNING city", "UPDATE customers SET name = coalesce(phone, '') RETURNING name",
    "CREATE UNIQUE INDEX ON customers (substr(phone, 1, 1))", "ALTER TABLE customers ADD UNIQUE (phone)",
    "INSERT INTO customers (id, name, phone) VALUES (77, 'x', NULL) RETURNING *", "CREATE STATISTICS y ON (phone || '') FROM customers",
    "MERGE INTO people p USING customers c ON p.id = c.id WHEN MATCHED THEN UPDATE SET name = c.phone",
    "MERGE INTO people p USING customers c ON c.phone LIKE '1%' WHEN NOT MATCHED THEN INSERT VALUES (9, 'z')",
    "INSERT INTO customers VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET city = customers.phone RETURNING city",
    "INSERT INTO customers VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET city = 'x' WHERE customers.phone LIKE '1%'",
    "DELETE FROM customers WHERE phone LIKE '1%' RETURNING id", "UPDATE orders SET note = c.phone FROM customers c RETURNING note",
    "CREATE POLICY q ON orders USING (EXISTS (SELECT FROM customers WHERE phone LIKE '1%'))",
    "CREATE TABLE x PARTITION OF logs DEFAULT", "COPY kept TO STDOUT",
    'ALTER TABLE kept ALTER name TYPE "char"', "ALTER TABLE kept ALTER name TYPE text USING name::name",
    "ALTER TABLE kept SET UNLOGGED", "ALTER TABLE kept ALTER name TYPE varchar(300)", "ALTER TABLE kept ALTER id TYPE bigint",
]
# casts that users made run functions of theirs
CASTS = [
    "SELECT c::text FROM boxes", "SELECT lower(c) FROM boxes", "SELECT c || '' FROM boxes", "SELECT ROW(1, 'x')::box2::text",
    "SELECT lower('(1,x)'::public.box2)", "SELECT CAST(CAST('(1,x)' AS box3) AS text)", "SELECT lower(e) FROM v_boxes",
    "INSERT INTO people SELECT 1, c FROM boxes", "UPDATE people SET name = c FROM boxes WHERE people.id = 1", "SELECT d::text[] FROM boxes",
    "SELECT lower((b).c) FROM boxed", "SELECT lower((NULL::boxes).c) IS NULL", "INSERT INTO boxes (m) VALUES (1)", "INSERT INTO boxes (m) SELECT 1",
    "UPDATE boxes SET m = 2 WHERE id = 1", "UPDATE v_boxes SET m = 2 WHERE id = 1", "SELECT m::int FROM boxes", "SELECT 'good'::mood::int",
    "SELECT 1::mood", "SELECT ARRAY[1]::mood[]", "SELECT enum_last(NULL::mood)::int", "PREPARE x (box2) AS SELECT lower($1); EXECUTE x (ROW(1, 'x'))",
    "SELECT lower(x.c) FROM jsonb_to_recordset('[{\"c\": {\"a\": 1}}]') AS x (c box2)",
    "SELECT lower((jsonb_populate_record(NULL::boxes, '{\"c\": {\"a\": 1}}')).c)",
    "CREATE TEMP TABLE t1 AS SELECT c FROM boxes; SELECT lower(c) FROM t1", "ALTER TABLE boxes ALTER c TYPE text",
    "CREATE INDEX ON boxes (lower(c))", "CREATE TABLE x (a text DEFAULT ROW(1, 'x')::box2); INSERT INTO x DEFAULT VALUES",
    "SELECT string_agg(c, ',') FROM boxes", "SELECT id FROM boxes ORDER BY lower(c)", "DELETE FROM boxes WHERE lower(c) = 'y'",
    "COPY (SELECT lower(c) FROM boxes) TO STDOUT", "SELECT CASE WHEN true THEN c ELSE 'x'::text END FROM boxes",
    "VALUES ('x'::text), (ROW(1, 'x')::box2)", "SELECT c FROM boxes UNION ALL SELECT 'x'::text",
]
DEFINITIONS = [d.replace("{t}", t) for d in DEFINITIONS for t in (["kept", "customers"] if "{t}" in d else [""])]

# ways in which masked values might come out, or be told apart
FIXED = DEFINITIONS + CASTS + [
    "CREATE OR REPLACE VIEW v_names AS SELECT id, phone AS name FROM customers; SELECT name FROM v_names",
    "CREATE VIEW zz AS SELECT phone FROM customers", "CREATE VIEW zz AS SELECT * FROM customers",
    "CREATE MATERIALIZED VIEW zz AS SELECT * FROM customers",
    "CREATE RULE \"_RETURN\" AS ON SELECT TO kept DO INSTEAD SELECT id, phone AS name FROM customers",
    "CREATE RULE zz AS ON INSERT TO kept DO ALSO SELECT phone FROM customers",
    "CREATE RULE zz AS ON INSERT TO kept DO ALSO INSERT INTO people SELECT id, phone FROM customers",
    "ALTER TABLE customers ADD p2 text GENERATED ALWAYS AS (phone) STORED",
    "ALTER TABLE customers ADD CHECK (phone LIKE '1%')", "ALTER TABLE customers ALTER phone SET NOT NULL",
    "ALTER TABLE customers ADD UNIQUE (phone)", "ALTER TABLE customers ADD PRIMARY KEY (phone)",
    "ALTER TABLE customers ADD EXCLUDE (phone WITH =)",
    "ALTER TABLE orders ADD FOREIGN KEY (note) REFERENCES customers (phone)", "CREATE INDEX ON customers (phone)",
    "CREATE UNIQUE INDEX ON customers (city) WHERE phone LIKE '1%'",
    "ALTER TABLE customers ALTER phone TYPE int USING phone::int", "ALTER TABLE customers ALTER phone TYPE int",
    "ALTER TABLE customers ALTER phone TYPE varchar(3)",
    "CREATE POLICY q ON orders USING (EXISTS (SELECT FROM customers c WHERE c.phone LIKE '1%'))",
    "CREATE STATISTICS y ON (phone || '') FROM customers", "CREATE STATISTICS y ON phone, id_number FROM customers",
    "CREATE TABLE zz PARTITION OF logs (line CHECK (line LIKE (SELECT phone FROM customers))) DEFAULT",
    "CREATE TRIGGER g BEFORE UPDATE ON customers FOR EACH ROW WHEN (OLD.phone LIKE '1%') EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "ALTER TABLE customers ADD ts tsvector; CREATE TRIGGER g BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION "
    "tsvector_update_trigger(ts, 'pg_catalog.simple', phone); UPDATE customers SET city = 'x' WHERE id = 1 RETURNING ts",
    "PREPARE s AS SELECT phone FROM customers; EXECUTE s",
    "DECLARE c CURSOR FOR SELECT phone FROM customers; FETCH c", "SELECT phone::text FROM customers",
    "SELECT count(phone) FROM customers", "SELECT phone FROM customers ORDER BY 1",
    "SELECT DISTINCT phone FROM customers", "SELECT phone FROM customers UNION ALL SELECT name FROM kept",
    "SELECT phone FROM customers GROUP BY phone", "SELECT c FROM customers c", "SELECT c.* FROM customers c",
    "SELECT (c).phone FROM customers c", "SELECT (c).* FROM customers c", "SELECT row(c.*) FROM customers c",
    "SELECT c FROM (SELECT phone FROM customers) c",
    "SELECT * FROM (SELECT phone AS x FROM customers) c WHERE x LIKE '1%'",
    "SELECT * FROM customers c(a,b,d,e,f,g,h) WHERE d LIKE '1%'", "SELECT d FROM customers c(a,b,d,e,f,g,h)",
    "SELECT * FROM customers NATURAL JOIN staff", "SELECT * FROM customers JOIN staff USING (phone)",
    "SELECT 1 FROM customers NATURAL JOIN v_customers", "SELECT 1 FROM customers a NATURAL JOIN customers b",
    "SELECT * FROM people", "SELECT name FROM people", "SELECT * FROM staff", "SELECT people FROM people",
    "SELECT tableoid, * FROM people", "SELECT (SELECT phone FROM customers LIMIT 1)",
    "SELECT ARRAY(SELECT phone FROM customers)", "SELECT CASE WHEN EXISTS (SELECT phone FROM customers) THEN 1 END",
    "SELECT 1 WHERE (SELECT phone FROM customers LIMIT 1) LIKE '1%'",
    "SELECT * FROM (VALUES ((SELECT phone FROM customers LIMIT 1))) v(x)",
    "SELECT * FROM LATERAL (SELECT phone FROM customers) x(y) WHERE y > '1'",
    "WITH x AS (SELECT phone AS y FROM customers) SELECT y FROM x ORDER BY y",
    "WITH RECURSIVE x AS (SELECT phone AS y FROM customers UNION ALL SELECT y FROM x WHERE false) SELECT y FROM x",
    "SELECT first_value(phone) OVER () FROM customers", "SELECT id FROM customers WINDOW w AS (ORDER BY phone)",
    "SELECT id, rank() OVER (ORDER BY phone) FROM customers", "UPDATE customers SET city = phone RETURNING city",
    "UPDATE customers SET phone = 'x' WHERE id = 1 RETURNING phone", "UPDATE customers SET phone = phone || 'x'",
    "INSERT INTO people SELECT id, phone FROM customers",
    "INSERT INTO kept SELECT 1, 'x' FROM customers WHERE phone > ''",
    "INSERT INTO customers VALUES (1,'x') ON CONFLICT (phone) DO NOTHING",
    "INSERT INTO customers (id, name, phone) VALUES (1,'x', '131') ON CONFLICT DO NOTHING",
    "MERGE INTO kept k USING customers c ON k.id = c.id WHEN MATCHED THEN UPDATE SET name = c.phone",
    "MERGE INTO kept k USING (SELECT id, phone AS z FROM customers) c ON k.id = c.id WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.z)",
    "SELECT * FROM jsonb_to_recordset((SELECT jsonb_agg(c) FROM customers c)) AS t(phone text)",
    "SELECT xmlforest(phone) FROM customers",
    "SELECT * FROM XMLTABLE('/a' PASSING (SELECT xmlelement(name a, phone) FROM customers LIMIT 1) COLUMNS x text PATH '.') t",
    "SELECT string_agg(tel, ',') FROM v_customers", "SELECT tel FROM v_customers",
    "SELECT name FROM v_customers WHERE tel = '131'", "SELECT query_to_xml('x',true,true,'')",
    "SELECT * FROM customers TABLESAMPLE bernoulli(50) REPEATABLE (1) WHERE ctid = '(0,1)'",
    "EXPLAIN SELECT * FROM customers WHERE phone = '131'", "EXPLAIN ANALYZE SELECT phone FROM customers",
    "SELECT * FROM customers FETCH FIRST (SELECT length(phone) FROM customers LIMIT 1) ROWS ONLY",
    "SELECT id FROM customers LIMIT (SELECT length(x) FROM (SELECT phone x FROM customers LIMIT 1) y)",
    "SELECT p.phone FROM people p", "SELECT customers.phone FROM customers AS c, staff customers",
    "SELECT to_jsonb(x) FROM (SELECT id, phone FROM customers) x",
    "SELECT x FROM (SELECT id, phone FROM customers) x", "SELECT max(x) FROM (SELECT c FROM customers c) x",
    "SELECT x.c FROM (SELECT c FROM customers c) x", "SELECT (x.c).phone FROM (SELECT c FROM customers c) x",
    "SELECT (x.c).phone || '' FROM (SELECT c FROM customers c) x",
    "SELECT * FROM customers, LATERAL unnest(ARRAY[phone]) u", "SELECT u FROM customers, unnest(ARRAY[customers]) u",
    "SELECT GREATEST(phone, '') FROM customers", "SELECT phone COLLATE \"C\" FROM customers",
    "SELECT 'x' IN (SELECT phone FROM customers)", "SELECT phone IS NULL FROM customers",
    "SELECT customers IS NULL FROM customers", "SELECT id FROM customers WHERE customers IS NOT NULL",
    "SELECT id FROM customers WHERE customers = customers", "SELECT hashtext(customers::text) FROM customers",
    "SELECT count(DISTINCT c) FROM customers c", "SELECT id FROM customers GROUP BY id HAVING max(phone) > '1'",
    "SELECT id FROM customers ORDER BY phone", "SELECT id, phone AS id FROM customers ORDER BY id",
    "SELECT phone AS n FROM customers ORDER BY n",
    "SELECT m.* FROM (SELECT 1) a, LATERAL (SELECT * FROM customers) m ORDER BY 3", "TABLE customers ORDER BY 3",
    "SELECT * FROM customers ORDER BY 3", "(SELECT phone FROM customers) EXCEPT (SELECT '131')",
    "VALUES ((SELECT phone FROM customers LIMIT 1))", "CREATE TABLE zz AS TABLE customers",
    "CREATE TEMP TABLE zz AS SELECT id, phone FROM customers", "SELECT phone INTO TEMP zz FROM customers",
    "ALTER TABLE customers INHERIT people", "CREATE TABLE zz () INHERITS (customers)",
    "CREATE TABLE zz (LIKE customers INCLUDING ALL)",
    "SELECT x.id FROM (SELECT c, id FROM customers c) x WHERE (x.c).phone LIKE '1%'",
    "SELECT count(*) FROM (SELECT c FROM customers c) x WHERE (x.c).phone LIKE '1%'",
    "SELECT count(*) FROM (SELECT c FROM customers c) x WHERE (c).phone LIKE '1%'",
    "SELECT count(*) FROM (SELECT c AS z FROM customers c) x WHERE (z).phone LIKE '1%'",
    "SELECT count(*) FROM (SELECT c AS z FROM customers c) x WHERE x.z IS NOT NULL",
    "SELECT length((x.z).phone) FROM (SELECT c AS z FROM customers c) x",
    "SELECT x.z FROM (SELECT c AS z FROM customers c) x ORDER BY x.z",
    "SELECT 1 FROM (SELECT c AS z, id FROM customers c) x ORDER BY (x.z).phone",
    "SELECT (SELECT x.id WHERE (x.z).phone > '1') FROM (SELECT c AS z, id FROM customers c) x",
    "SELECT * FROM customers WHERE EXISTS (SELECT 1 WHERE customers.phone = '1')",
    "SELECT v.* FROM customers c, LATERAL (SELECT c.*) v",
    "SELECT v.p FROM customers c, LATERAL (SELECT c.phone AS p) v WHERE v.p > ''",
    "SELECT v.column1 FROM customers c, LATERAL (VALUES (c.phone)) v",
    "SELECT a FROM (SELECT * FROM customers) AS q(a,b,c,d,e,f,g) ORDER BY c",
    "SELECT a FROM (customers JOIN orders ON orders.customer_id = customers.id) AS q(a,b,c) WHERE c > ''",
    "SELECT a FROM (customers AS z(a1,b1,c1) JOIN orders ON true) WHERE c1 > ''",
    "SELECT q.phone FROM (customers JOIN orders ON true) AS q",
    "WITH t(a,b) AS (SELECT id, phone FROM customers) SELECT a FROM t WHERE b > ''",
    "WITH t AS (SELECT * FROM customers), u(a,b,c) AS (SELECT id, name, phone FROM t) SELECT c FROM u",
    "WITH t AS (SELECT * FROM customers) SELECT id FROM t AS r(id, n, zz) WHERE zz > '1'",
    "WITH t AS MATERIALIZED (DELETE FROM customers WHERE id = 1 RETURNING phone AS zz) SELECT 1 FROM t WHERE zz > ''",
    "WITH t AS (UPDATE customers SET name = 'x' WHERE id=1 RETURNING *) SELECT id FROM t WHERE t.phone > ''",
    "WITH t AS (UPDATE customers SET name = 'x' WHERE id=1 RETURNING *) INSERT INTO people SELECT id, phone FROM t",
    "SELECT array_agg(t) FROM (TABLE customers) t", "SELECT t::text FROM (TABLE customers) t",
    "SELECT CAST(t AS text) FROM v_customers t", "SELECT t = t FROM customers t",
    "SELECT name || phone AS zz FROM customers", "SELECT COALESCE((SELECT phone FROM customers LIMIT 1), '')",
    "SELECT id FROM customers WHERE id = (SELECT max(id) FROM customers)", "SELECT count(*) FROM customers",
    "SELECT city, count(*) FROM customers GROUP BY city", "SELECT id, name FROM customers WHERE id = 1",
    "SELECT upper(name) FROM customers", "SELECT xmin, ctid FROM customers WHERE id=1",
    "SELECT o.note FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.city = 'Ghent' ORDER BY o.id",
    "SELECT * FROM (SELECT id, phone FROM customers) a JOIN (SELECT id, phone FROM customers) b USING (id)",
    "SELECT id FROM customers FOR UPDATE OF customers",
    "UPDATE orders SET note = (SELECT phone FROM customers LIMIT 1)",
    "UPDATE orders SET (note, total) = (SELECT phone, 1 FROM customers LIMIT 1)",
    "UPDATE orders SET (note, total) = (SELECT c.* FROM (SELECT phone, 1 FROM customers) c LIMIT 1)",
    "INSERT INTO people VALUES (1, (SELECT phone FROM customers LIMIT 1))", "INSERT INTO people TABLE staff",
    "INSERT INTO people SELECT x.id, (x.z).phone FROM (SELECT c AS z, id FROM customers c) x",
    "INSERT INTO pairs (id, doc) SELECT 1, to_jsonb(x) FROM (SELECT c AS z FROM customers c) x",
    "INSERT INTO pairs (id, doc) SELECT 1, to_jsonb(x.z) FROM (SELECT c AS z FROM customers c) x",
    "SELECT set_config('application_name', phone, false) FROM customers",
    "SELECT nextval('numbers') FROM customers WHERE phone > ''",
    "SELECT setval('numbers', length(phone)) FROM customers", "SELECT lo_from_bytea(0, phone::bytea) FROM customers",
    "DO $$BEGIN PERFORM phone FROM customers; END$$",
    "CREATE FUNCTION zz() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT phone FROM customers; END",
    "CREATE TEMP TABLE zz AS SELECT (x.z).phone FROM (SELECT c AS z FROM customers c) x",
    "SELECT json_object_agg(id, z) FROM (SELECT c AS z, id FROM customers c) x",
    "SELECT row_to_json(row(x.id, x.z)) FROM (SELECT c AS z, id FROM customers c) x", "SELECT x FROM v_customers x",
    "SELECT y.x FROM (SELECT x FROM v_customers x) y", "SELECT customers.customers FROM customers",
    "SELECT public.customers FROM customers",
    "SELECT public.customers.phone FROM customers ORDER BY public.customers.phone",
    "SELECT id FROM customers ORDER BY customers.*", "SELECT id FROM customers WHERE customers.* IS NOT NULL",
    "SELECT id FROM customers GROUP BY customers.id ORDER BY (customers.*)",
    "SELECT phone AS \"?column?\" FROM customers",
    "SELECT \"?column?\" || 'x' FROM (SELECT (SELECT phone FROM customers LIMIT 1)) q",
    "SELECT phone || 'x' FROM (SELECT (SELECT phone FROM customers LIMIT 1)) q",
    "SELECT id FROM (SELECT id, (SELECT c.phone) FROM customers c) q WHERE q.phone > ''",
    "SELECT id FROM (SELECT id, (SELECT c.phone AS zz) FROM customers c) q WHERE zz > ''",
    "SELECT \"array\" FROM (SELECT ARRAY(SELECT phone FROM customers)) q",
    "SELECT \"case\" || '' FROM (SELECT CASE WHEN true THEN (SELECT phone FROM customers LIMIT 1) END) q",
    "SELECT row FROM (SELECT ROW((SELECT phone FROM customers LIMIT 1))) q",
    "SELECT id FROM (SELECT id, c FROM customers c) q WHERE q.c::text LIKE '%1%'",
    "SELECT id FROM (SELECT id, c FROM customers c) q WHERE q > ROW(1)",
    "SELECT id FROM customers c WHERE c > ROW(1, NULL, '2')", "SELECT id FROM staff WHERE people IS NOT NULL",
    "SELECT (staff::people).name FROM staff",
    "SELECT * FROM ROWS FROM (jsonb_to_record((SELECT to_jsonb(s) FROM staff s LIMIT 1)) AS (phone text)) AS z",
]


# ---- conditions that try to look as if they named rows ----

WIDE = """
CREATE TABLE wide (id int PRIMARY KEY, big bigint NOT NULL, total numeric NOT NULL, note text NOT NULL, at timestamp NOT NULL,
                   spare text);
INSERT INTO wide SELECT g, g * 1000000007::bigint, g / 7.0, 'n' || md5(g::text), timestamp '2026-01-01 00:00' + g * interval '1 minute',
    CASE WHEN g % 2 = 0 THEN 's' || g END FROM generate_series(1, 200) g;
"""


class Disguises:
    """Conditions over `wide`, in which no value stands in more than one row (NULL in half of `spare`)."""

    COLUMNS = ["id", "big", "total", "note", "at", "spare", "wide.id"]
    TYPES = ["bool", "int", "bigint", "text", "bit(1)", "char(1)", "varchar(1)", '"char"', "varchar", "date", "numeric",
             "numeric(3,0)", "float8", "smallint", "time", "timestamp", "name"]
    VALUES = ["0", "1", "5", "7", "1.5", "0.5", "-1", "'5'", "'n'", "'t'", "true", "false", "NULL", "'2026-01-01'", "B'1'",
              "B'0'", "1e9", "''"]
    CALLS = ["random()", "clock_timestamp()", "length(note)", "abs(id)", "now()", "lower(note)", "pi()", "gen_random_uuid()",
             "pg_stat_get_xact_tuples_returned('wide'::regclass)", "txid_current_if_assigned()", "current_setting('port')::int"]
    OPERATORS = ["=", "=", "=", "<>", "<", ">", "<=", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]

    def __init__(self, seed):
        self.r = random.Random(seed)

    def one(self, options):
        return self.r.choice(options)

    def value(self):
        text = self.one(self.CALLS) if self.r.random() < 0.15 else self.one(self.VALUES)
        for _ in range(self.one([0, 0, 0, 1, 2])):
            text = f"({text})::{self.one(self.TYPES)}"
        return text

    def column(self):
        text = self.one(self.COLUMNS)
        if self.r.random() < 0.1:
            text = self.one([f"-{text}", f"({text} + 0)", f"({text} % 2)", f"coalesce({text}, NULL)", f"nullif({text}, {text})"])
        for _ in range(self.one([0, 0, 1, 1, 2])):
            text = f"({text})::{self.one(self.TYPES)}"
        return text

    def atom(self):
        side = self.one([self.column, self.column, self.column, self.value])()
        how = self.r.random()
        if how < 0.35:
            return f"{side} {self.one(self.OPERATORS)} {self.one([self.value, self.value, self.column])()}"
        if how < 0.5:
            values = ", ".join(self.value() for _ in range(self.one([1, 2, 2, 3])))
            return self.one([f"{side} IN ({values})", f"{side} NOT IN ({values})", f"{side} = ANY (ARRAY[{values}])",
                             f"({side}, 1) IN ((true, 1), (false, 1))", f"{side} IN (VALUES ({self.value()}), ({self.value()}))"])
        if how < 0.6:
            return f"{side} {self.one(['', 'NOT '])}BETWEEN {self.one(['SYMMETRIC ', ''])}{self.value()} AND {self.value()}"
        if how < 0.7:
            return f"{side} IS {self.one(['', 'NOT '])}NULL"
        if how < 0.78:
            return self.one([f"{side} {self.one(['', 'NOT '])}LIKE '%'", f"{side} = {side}", f"{side} <> {side}"])
        if how < 0.88:
            return f"({side})::bool"
        return self.one(["EXISTS (SELECT 1)", "EXISTS (SELECT 1 LIMIT 0)", "true", "false", "NULL", "wide IS NOT NULL",
                         f"{side} = (SELECT 5)", f"{side} IN (SELECT id FROM wide)", f"{side} IN (SELECT 5)"])

    def condition(self, depth=0):
        how = self.r.random()
        if depth > 2 or how < 0.4:
            return self.atom()
        one, other = self.condition(depth + 1), self.condition(depth + 1)
        if how < 0.6:
            return f"NOT ({one})"
        if how < 0.7:
            return f"({one}) {self.one(['AND', 'OR'])} ({other})"
        if how < 0.82:
            return f"({one}) IS {self.one(['', 'NOT '])}{self.one(['TRUE', 'FALSE', 'UNKNOWN', 'NULL'])}"
        if how < 0.92:
            return f"CASE WHEN {one} THEN {self.one(['true', 'false', 'NULL'])} ELSE {self.one(['true', 'false', other])} END"
        return f"coalesce({one}, {other})"

# SPDX-License-Identifier: Apache-2.0
"""Databases as real ones are, one approved statement that destroys some of one, and what honest others do since: made at
random, the same for the same seed. Each name has a word of its own (t3, c14), so that a sentence about it can be told.

    made = Made(seed)
    made.script       # statements of the superuser, each by itself; a few fail, and are left out
    made.destroy()    # a list of Statement, the likeliest first
    made.since()      # statements of others

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "Undo".
"""
import random
import re
from dataclasses import dataclass, field

ROLES = """
CREATE ROLE owner NOLOGIN;
CREATE ROLE second NOLOGIN;
CREATE ROLE clerk NOLOGIN;
CREATE ROLE auditor NOLOGIN;
GRANT second TO owner;
CREATE ROLE op_keep LOGIN CREATEDB PASSWORD 'of op_keep' IN ROLE owner, second;
GRANT pg_read_all_data TO op_keep;
"""
EXTENSIONS = {"citext": "citext", "hstore": "hstore", "ltree": "ltree", "cube": "cube", "seg": "seg", "isn": "isbn13", "btree_gist": None, "pg_trgm": None,
              "intarray": None, "lo": None, "uuid-ossp": None, "pgcrypto": None, "btree_gin": None}
# type: values of row n, and whether it may stand in a key
PLAIN = {
    "integer": ("{n}", True), "bigint": ("{n}::bigint * 1000000007", True), "smallint": ("({n} % 30000)::smallint", True), "text": ("'x' || {n}", True),
    "varchar(12)": ("'v' || {n}", True), "character(5)": ("lpad({n}::text, 5, 'c')", True), "numeric(12,3)": ("{n} * 1.125", True),
    "numeric": ("CASE WHEN {n} % 5 = 0 THEN 'NaN' ELSE {n} / 7.0 END", True), "boolean": ("{n} % 2 = 0", False), "date": ("date '2020-01-01' + {n}", True),
    "timestamp with time zone": ("timestamptz '2020-01-01 00:00:00+00' + {n} * interval '1 hour'", True), "interval": ("{n} * interval '1 minute'", True),
    "timestamp(3) without time zone": ("timestamp '2020-01-01' + {n} * interval '1.5 second'", True), "double precision": ("{n} / 3.0::float8", True),
    "uuid": ("md5({n}::text)::uuid", True), "bytea": ("decode(md5({n}::text), 'hex')", True), "jsonb": ("jsonb_build_object('a', {n}, 'b', ARRAY['x', NULL])", False),
    "json": ("('{{\"n\":' || {n} || '}}')::json", False), "xml": ("('<n>' || {n} || '</n>')::xml", False), "inet": ("('10.0.0.' || {n} % 250)::inet", False),
    "integer[]": ("ARRAY[{n}, NULL, {n} + 1]", True), "text[]": ("ARRAY['a,b', 'q\"' || {n}, NULL]", True), "bit(4)": ("({n} % 16)::bit(4)", False),
    "int4range": ("int4range({n}, {n} + 3)", True), "daterange": ("daterange(date '2020-01-01' + {n}, NULL)", True), "tsvector": ("to_tsvector('simple', 'a b' || {n})", False),
    "int8multirange": ("int8multirange(int8range({n}, {n} + 2))", True), "point": ("point({n}, 1)", False), "money": ("{n}::money", True), "name": ("('n' || {n})::name", True),
    "\"char\"": ("'x'::\"char\"", False), "oid": ("{n}::oid", True), "regclass": ("'pg_class'::regclass", False), "pg_lsn": ("('0/' || {n} % 9)::pg_lsn", False),
}
OF_EXTENSIONS = {"citext": ("('Ci' || {n})::{t}", True), "hstore": ("('k=>' || {n})::{t}", False), "ltree": ("('a.b' || {n})::{t}", True), "cube": ("{t}({n})", True),
                 "seg": ("({n} || '..' || {n} + 1)::{t}", True), "isbn13": ("'978-0-306-40615-7'::{t}", False)}


def q(name):
    return '"' + name.replace('"', '""') + '"'


@dataclass
class Column:
    name: str
    type: str
    value: str
    keys: bool
    made: str = ""          # GENERATED ..., IDENTITY: nothing is inserted
    type_name: str = ""     # of a type that was made here


@dataclass
class Table:
    schema: str
    name: str
    columns: list
    key: list = field(default_factory=list)
    parts: list = field(default_factory=list)
    parent: "Table" = None
    rows: int = 0
    owner: str = "owner"

    def __str__(self):
        return f"{q(self.schema)}.{q(self.name)}"


@dataclass
class Statement:
    verb: str
    text: str
    objects: list = field(default_factory=list)
    whole: bool = False

    @property
    def cascades(self):
        return "CASCADE" in self.verb

    @property
    def said(self):
        """What the gate tells the keeper: the tables, or of a whole database the words."""
        quoted = re.compile(r'"((?:[^"]|"")*)"|(\w+)')
        return [(None, a.replace('""', '"') or b.lower()) for a, b in quoted.findall(self.text)] if self.whole else self.objects


class Made:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.n = 0
        self.script = []
        self.schemas, self.tables, self.types, self.views, self.functions, self.sequences, self.parts = [], [], [], [], [], [], []
        self.constraints, self.triggers, self.indexes, self.extensions = [], [], [], []
        self.make()

    # ---- words ----

    def chance(self, p):
        return self.r.random() < p

    def pick(self, *options):
        return self.r.choice(options)

    def word(self, kind):
        self.n += 1
        token = f"{kind}{self.n}"
        if self.chance(0.75):
            return token
        return self.r.choice(["T {}", "{} \"x", "ä {}", "{}.x", "%{}", ":{}", "{}'", "select {}", "-- {}", "{} Ünïcode", "$1 {}", "{}\\", "\\{}"]).format(token)

    def place(self, kind):
        return self.r.choice(self.schemas), self.word(kind)

    def say(self, text, owner=None):
        self.script.append(f"SET ROLE {owner}; {text}; RESET ROLE" if owner else text)

    # ---- what there is ----

    def make(self):
        for _ in range(self.r.randint(1, 3)):
            name, owner = self.word("s"), self.pick("owner", "owner", "second")
            self.schemas.append(name)
            self.say(f"CREATE SCHEMA {q(name)} AUTHORIZATION {owner}; GRANT ALL ON SCHEMA {q(name)} TO owner, second")
            if self.chance(0.3):
                self.say(f"GRANT USAGE ON SCHEMA {q(name)} TO clerk")
            if self.chance(0.15):
                self.say(f"ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA {q(name)} GRANT SELECT ON TABLES TO auditor")
        self.schemas.append("public")
        self.say("GRANT ALL ON SCHEMA public TO owner, second")
        if self.chance(0.35):
            for name in self.r.sample(sorted(EXTENSIONS), self.r.randint(1, 3)):
                self.extensions.append(name)
                self.say(f'CREATE EXTENSION "{name}" SCHEMA {q(self.r.choice(self.schemas))}')
        for what in self.r.choices([self.enum, self.domain, self.composite, self.range, self.function, self.sequence, self.collation],
                                   [4, 4, 4, 1, 4, 3, 1], k=self.r.randint(2, 7)):
            what()
        for _ in range(self.r.randint(2, 6)):
            self.table()
        for _ in range(self.r.randint(0, 8)):
            self.foreign_key()
        for what in self.r.choices([self.view, self.materialized, self.index, self.trigger, self.policy, self.rule, self.statistics, self.exclusion, self.column_default,
                                    self.composite, self.domain, self.function, self.row_typed, self.publication, self.aggregate, self.operator],
                                   [6, 3, 8, 4, 4, 2, 2, 2, 3, 1, 1, 2, 2, 1, 1, 1], k=self.r.randint(4, 16)):
            what()
        for table in self.tables:
            self.fill(table)
        for _ in range(self.r.randint(2, 8)):
            self.decorate()
        self.say("REFRESH MATERIALIZED VIEW " + "; REFRESH MATERIALIZED VIEW ".join(n for k, n in self.views if k == "MATERIALIZED VIEW")
                 if any(k == "MATERIALIZED VIEW" for k, _ in self.views) else "SELECT 1")

    def enum(self):
        s, n = self.place("e")
        self.say(f"CREATE TYPE {q(s)}.{q(n)} AS ENUM ('red', 'green', 'it''s')", "owner")
        self.types.append(("TYPE", f"{q(s)}.{q(n)}", "(ARRAY['red', 'green', 'it''s'])[1 + {n} % 3]::" + f"{q(s)}.{q(n)}", True))

    def domain(self):
        s, n = self.place("d")
        type_, value, _, base = self.type_of()
        check = self.pick("", " CHECK (VALUE IS NOT NULL OR true)", f" CONSTRAINT {q(self.word('k'))} CHECK (VALUE::text <> '')", " NOT NULL" if self.chance(0.1) else "")
        if self.functions and self.chance(0.2):
            check = f" CHECK ({self.r.choice(self.functions)[1]}(1) > 0)"
        self.say(f"CREATE DOMAIN {q(s)}.{q(n)} AS {type_}{check}", "owner")
        self.types.append(("DOMAIN", f"{q(s)}.{q(n)}", f"({value})::{q(s)}.{q(n)}", not base))

    def composite(self):
        s, n = self.place("y")
        parts = [(self.word("a"), *self.type_of()[:2]) for _ in range(self.r.randint(1, 3))]
        self.say(f"CREATE TYPE {q(s)}.{q(n)} AS (" + ", ".join(f"{q(a)} {t}" for a, t, _ in parts) + ")", "owner")
        self.types.append(("TYPE", f"{q(s)}.{q(n)}", "ROW(" + ", ".join(v for _, _, v in parts) + f")::{q(s)}.{q(n)}", False))
        self.composites = getattr(self, "composites", []) + [(f"{q(s)}.{q(n)}", [q(a) for a, _, _ in parts])]

    def range(self):
        s, n = self.place("n")
        self.say(f"CREATE TYPE {q(s)}.{q(n)} AS RANGE (subtype = float8, subtype_diff = float8mi)", "owner")
        self.types.append(("TYPE", f"{q(s)}.{q(n)}", f"{q(s)}.{q(n)}" + "({n}, {n} + 1)", True))

    def collation(self):
        s, n = self.place("l")
        self.say(f"CREATE COLLATION {q(s)}.{q(n)} (provider = icu, locale = 'de')", "owner")
        self.types.append(("COLLATION", f"{q(s)}.{q(n)}", None, False))

    def function(self):
        s, n = self.place("f")
        owner = self.pick(None, None, None, "owner")
        body = self.pick("LANGUAGE sql AS 'SELECT $1 + 1'", "LANGUAGE sql RETURN a + 1", "LANGUAGE plpgsql AS 'BEGIN RETURN a + 1; END'")
        self.say(f"CREATE FUNCTION {q(s)}.{q(n)}(a int DEFAULT 3) RETURNS int IMMUTABLE {body}", owner)
        self.functions.append((f"{q(s)}.{q(n)}(int)", f"{q(s)}.{q(n)}"))

    def aggregate(self):
        s, n = self.place("u")
        self.say(f"CREATE AGGREGATE {q(s)}.{q(n)}(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')", "owner")

    def operator(self):
        s = self.r.choice(self.schemas)
        self.say(f"CREATE OPERATOR {q(s)}.## (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)", "owner")

    def sequence(self):
        s, n = self.place("q")
        self.say(f"CREATE SEQUENCE {q(s)}.{q(n)} INCREMENT {self.pick(1, 2, -1)}; SELECT nextval($q${q(s)}.{q(n)}$q$)", "owner")
        self.sequences.append(f"{q(s)}.{q(n)}")

    def type_of(self):
        """type, value, whether it may stand in a key, the type's own name when it was made here."""
        made = [t for t in self.types if t[0] != "COLLATION"]
        if made and self.chance(0.3):
            _, name, value, keys = self.r.choice(made)
            if self.chance(0.15):
                return f"{name}[]", f"ARRAY[{value}]", False, name
            return name, value, keys, name
        known = [OF_EXTENSIONS.get(EXTENSIONS[e]) and (EXTENSIONS[e], *OF_EXTENSIONS[EXTENSIONS[e]]) for e in self.extensions if EXTENSIONS[e]]
        if known and self.chance(0.3):
            name, value, keys = self.r.choice(known)
            at = next(line for line in self.script if f'EXTENSION "{next(e for e in self.extensions if EXTENSIONS[e] == name)}"' in line).split(" SCHEMA ")[1]
            full = f"{at}.{name}"
            return full, value.replace("{t}", full), keys, ""
        name = self.r.choice(sorted(PLAIN))
        return name, *PLAIN[name], ""

    def column(self):
        type_, value, keys, made = self.type_of()
        return Column(self.word("c"), type_, value, keys, "", made)

    def table(self):
        s, n = self.place("t")
        owner = self.pick("owner", "owner", "owner", "second")
        columns = [self.column() for _ in range(self.r.randint(0 if self.chance(0.05) else 1, 5))]
        extra = []
        id_ = Column(self.word("c"), "integer", "{n}", True)
        columns.insert(self.r.randint(0, len(columns)), id_)
        if self.chance(0.3):
            id_.made = self.pick("GENERATED ALWAYS AS IDENTITY", "GENERATED BY DEFAULT AS IDENTITY")
        elif self.chance(0.25):
            id_.type, id_.made = "serial", "serial"
        t = Table(s, n, columns, owner=owner)
        if self.chance(0.25):
            call = self.r.choice(self.functions)[1] if self.functions and self.chance(0.4) else ""
            columns.append(Column(self.word("c"), "integer", "", False, f"GENERATED ALWAYS AS ({call}({q(id_.name)} * 2)) STORED"))
        kind = self.r.random()
        if kind < 0.55:
            t.key = [id_.name]
            extra.append(f"CONSTRAINT {q(self.word('k'))} PRIMARY KEY ({q(id_.name)})" if self.chance(0.5) else f"PRIMARY KEY ({q(id_.name)})")
        elif kind < 0.75:
            more = [c.name for c in columns if c.keys and c is not id_][:2]
            t.key = [id_.name] + more
            extra.append("PRIMARY KEY (" + ", ".join(q(c) for c in t.key) + ")")
        elif kind < 0.85:
            t.key = [id_.name]
            extra.append(f"UNIQUE ({q(id_.name)})")
        parted = self.chance(0.25)
        lines = []
        for c in columns:
            line = f"{q(c.name)} {c.type}"
            if c.made and c.made != "serial":
                line += " " + c.made
            collations = [x for x in self.types if x[0] == "COLLATION"]
            if c.type == "text" and collations and self.chance(0.6):
                line += f" COLLATE {self.r.choice(collations)[1]}"
            if not c.made and self.chance(0.2):
                line += " DEFAULT " + c.value.format(n=7)
            if not c.made and self.chance(0.2):
                line += " NOT NULL"
            if c.type == "integer" and not c.made and self.chance(0.2):
                call = self.r.choice(self.functions)[1] if self.functions and self.chance(0.4) else ""
                line += f" CONSTRAINT {q(self.word('k'))} CHECK ({call}({q(c.name)}) > -1)"
            lines.append(line)
        how = ""
        if parted:
            how = f" PARTITION BY {self.pick('RANGE', 'LIST', 'HASH')} ({q(id_.name)})"
            if id_.made:  # a partition counts for itself otherwise
                id_.made, id_.type = "", "integer"
                lines[columns.index(id_)] = f"{q(id_.name)} integer"
        elif self.tables and self.chance(0.12):
            up = self.r.choice([x for x in self.tables if not x.parts] or [None])
            if up is not None and up.parent is None:
                how = f" INHERITS ({up})"
        elif self.chance(0.05):
            how = " WITH (fillfactor = 70)"
        unlogged = "UNLOGGED " if self.chance(0.04) and not parted else ""
        self.say(f"CREATE {unlogged}TABLE {t} (" + ", ".join(lines + extra) + f"){how}", owner)
        self.tables.append(t)
        if parted:
            self.partition(t, how.split(" PARTITION BY ")[1].split(" ")[0], q(id_.name), 0)

    def partition(self, t, by, column, depth):
        bounds = {"RANGE": ["FROM (MINVALUE) TO (4)", "FROM (4) TO (100)", "DEFAULT"], "LIST": ["IN (1, 2, 3)", "IN (4, 5, 6, 7)", "DEFAULT"],
                  "HASH": ["WITH (MODULUS 2, REMAINDER 0)", "WITH (MODULUS 2, REMAINDER 1)"]}[by]
        for bound in bounds:
            s, n = self.place("t")
            part = Table(s, n, t.columns, t.key, parent=t, owner=t.owner)
            deeper = depth == 0 and self.chance(0.3)
            values = bound if bound == "DEFAULT" else f"FOR VALUES {bound}"
            if self.chance(0.2) and not deeper and bound != "DEFAULT" and by != "HASH":  # its columns in another order
                self.say(f"CREATE TABLE {part} (LIKE {t}); ALTER TABLE {t} ATTACH PARTITION {part} {values}", t.owner)
            else:
                self.say(f"CREATE TABLE {part} PARTITION OF {t} {values}" + (f" PARTITION BY LIST ({column})" if deeper else ""), t.owner)
            t.parts.append(part)
            self.parts.append(part)
            if deeper:
                self.partition(part, "LIST", column, 1)

    def row_typed(self):
        """A column whose type is the row of another table."""
        if len(self.tables) > 1:
            a, b = self.r.sample(self.tables, 2)
            c = Column(self.word("c"), str(b), f"(SELECT x FROM {b} x LIMIT 1)", False)
            self.say(f"ALTER TABLE {a} ADD {q(c.name)} {b}", a.owner)
            a.columns.append(c)

    def foreign_key(self):
        child, parent = self.r.choice(self.tables), self.r.choice([t for t in self.tables if t.key] or self.tables)
        if not parent.key:
            return
        actions = ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"]
        columns, k = [], self.word("k")
        for name in parent.key:
            of = next(c for c in parent.columns if c.name == name)
            c = Column(self.word("c"), "integer" if of.type == "serial" else of.type, of.value if self.chance(0.8) else "NULL", False)
            columns.append(c)
            self.say(f"ALTER TABLE {child} ADD {q(c.name)} {c.type}", child.owner)
        child.columns.extend(columns)
        self.say(f"GRANT REFERENCES, SELECT ON {parent} TO owner, second")
        self.constraints.append((child, k, f"ALTER TABLE {child} ADD CONSTRAINT {q(k)} FOREIGN KEY (" + ", ".join(q(c.name) for c in columns) + f") REFERENCES {parent} ("
                                 + ", ".join(q(c) for c in parent.key) + f") ON DELETE {self.r.choice(actions)} ON UPDATE {self.r.choice(actions)}"
                                 + self.pick("", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED", " NOT VALID")))

    def view(self):
        s, n = self.place("v")
        t = self.r.choice(self.tables)
        picked = [q(c.name) for c in t.columns if self.chance(0.6)] or ["1 AS one"]
        source = self.r.choice([str(t)] + [v for k, v in self.views if k == "VIEW"]) if self.chance(0.3) else str(t)
        text = f"SELECT {', '.join(picked) if source == str(t) else '*'} FROM {source}"
        if self.functions and self.chance(0.25):
            text = f"SELECT {self.r.choice(self.functions)[1]}(1) AS x, count(*) FROM {source}"
        if self.chance(0.2) and len(self.tables) > 1:
            text = f"SELECT a.tableoid, b.ctid FROM {t} a CROSS JOIN {self.r.choice(self.tables)} b WHERE a.{q(t.columns[0].name)} IS NOT NULL"
        self.say(f"CREATE VIEW {q(s)}.{q(n)} AS {text}", "owner" if self.chance(0.7) else None)
        self.views.append(("VIEW", f"{q(s)}.{q(n)}"))

    def materialized(self):
        s, n = self.place("m")
        t = self.r.choice(self.tables)
        self.say(f"CREATE MATERIALIZED VIEW {q(s)}.{q(n)} AS SELECT count(*) AS n FROM {t} WHERE {q(t.columns[0].name)} IS NOT NULL", "owner")
        self.say(f"CREATE UNIQUE INDEX {q(self.word('i'))} ON {q(s)}.{q(n)} (n)", "owner")
        self.views.append(("MATERIALIZED VIEW", f"{q(s)}.{q(n)}"))

    def index(self):
        t = self.r.choice(self.tables + self.parts)
        c = self.r.choice(t.columns)
        call = self.r.choice(self.functions)[1] if self.functions and self.chance(0.3) else "abs"
        ints = [x for x in t.columns if x.type in ("integer", "serial")] or [c]
        what = self.pick(f"({q(c.name)})", f"({q(c.name)} DESC NULLS LAST) WHERE {q(ints[0].name)} > 2", f"(({call}({q(ints[0].name)})))", f"({q(ints[0].name)}) INCLUDE ({q(c.name)})",
                         f"(lower({q(c.name)}::text))")
        n = self.word("i")
        self.say(f"CREATE INDEX {q(n)} ON {t} {what}", t.owner)
        self.indexes.append(f"{q(t.schema)}.{q(n)}")

    def exclusion(self):
        t = self.r.choice(self.tables)
        ints = [x for x in t.columns if x.type in ("integer", "serial")]
        if ints:
            self.say(f"ALTER TABLE {t} ADD CONSTRAINT {q(self.word('k'))} EXCLUDE USING gist (int4range({q(ints[0].name)}, {q(ints[0].name)} + 1) WITH &&)", t.owner)

    def column_default(self):
        t = self.r.choice(self.tables)
        ints = [x for x in t.columns if x.type == "integer" and not x.made]
        if ints and self.sequences:
            s = self.r.choice(self.sequences)
            self.say(f"ALTER TABLE {t} ALTER {q(ints[0].name)} SET DEFAULT nextval($q${s}$q$)" + (f"; ALTER SEQUENCE {s} OWNED BY {t}.{q(ints[0].name)}" if self.chance(0.3) else ""), t.owner)

    def trigger(self):
        s, n = self.place("f")
        t = self.r.choice(self.tables)
        g = self.word("g")
        self.say(f"CREATE FUNCTION {q(s)}.{q(n)}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN COALESCE(NEW, OLD); END'", "owner")
        self.say(f"CREATE TRIGGER {q(g)} {self.pick('BEFORE', 'AFTER')} INSERT OR UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {q(s)}.{q(n)}()"
                 + (f"; ALTER TABLE {t} DISABLE TRIGGER {q(g)}" if self.chance(0.2) else ""), t.owner)
        self.functions.append((f"{q(s)}.{q(n)}()", "abs"))
        self.triggers.append((t, g))

    def policy(self):
        t = self.r.choice(self.tables)
        self.say(f"CREATE POLICY {q(self.word('p'))} ON {t} FOR SELECT TO {self.pick('clerk', 'PUBLIC', 'auditor')} USING ({q(self.r.choice(t.columns).name)} IS NOT NULL)"
                 + self.pick("", f"; ALTER TABLE {t} ENABLE ROW LEVEL SECURITY"), t.owner)

    def rule(self):
        if self.chance(0.5):
            t = self.r.choice(self.tables)
            self.say(f"CREATE RULE {q(self.word('r'))} AS ON UPDATE TO {t} DO ALSO NOTHING", t.owner)
        elif self.views:
            k, v = self.r.choice(self.views)
            self.say(f"CREATE RULE {q(self.word('r'))} AS ON INSERT TO {v} DO INSTEAD NOTHING")

    def statistics(self):
        t = self.r.choice(self.tables)
        if len(t.columns) > 1:
            s, n = self.place("x")
            self.say(f"CREATE STATISTICS {q(s)}.{q(n)} ON {q(t.columns[0].name)}, {q(t.columns[1].name)} FROM {t}", t.owner)

    def publication(self):
        n = self.word("b")
        self.say(f"CREATE PUBLICATION {q(n)} FOR TABLE {self.r.choice(self.tables)}; ALTER PUBLICATION {q(n)} OWNER TO owner")

    def fill(self, t):
        t.rows = self.r.choice([0, 3, 9, 9, 15])
        into = [c for c in t.columns if not c.made]
        for n in range(1, t.rows + 1):
            values = [c.value.format(n=n) if self.r.random() > 0.1 or c.name in t.key else "NULL" for c in into]
            if into:
                self.say(f"INSERT INTO {t} (" + ", ".join(q(c.name) for c in into) + ") VALUES (" + ", ".join(values) + ")")
            else:
                self.say(f"INSERT INTO {t} DEFAULT VALUES")

    def decorate(self):
        t = self.r.choice(self.tables + self.parts)
        c = self.r.choice(t.columns)
        some = [f"COMMENT ON TABLE {t} IS 'of {t.name[0]}'", f"COMMENT ON COLUMN {t}.{q(c.name)} IS 'it''s'", f"GRANT SELECT, INSERT ON {t} TO clerk",
                f"GRANT UPDATE ({q(c.name)}) ON {t} TO auditor WITH GRANT OPTION", f"ALTER TABLE {t} ALTER {q(c.name)} SET STATISTICS 55",
                f"ALTER TABLE {t} REPLICA IDENTITY FULL", f"GRANT SELECT ON {t} TO PUBLIC", f"REVOKE DELETE ON {t} FROM {t.owner}", f"ALTER TABLE {t} CLUSTER ON x",
                f"SECURITY LABEL ON TABLE {t} IS 'none'"]
        some += [f"GRANT SELECT ON {v} TO clerk; COMMENT ON {k} {v} IS 'v'" for k, v in self.views[:1]]
        some += [f"GRANT EXECUTE ON FUNCTION {f} TO clerk; COMMENT ON FUNCTION {f} IS 'f'; REVOKE EXECUTE ON FUNCTION {f} FROM PUBLIC; GRANT EXECUTE ON FUNCTION {f} TO owner, second" for f, _ in self.functions[:1]]
        some += [f"COMMENT ON {k} {n} IS 'y'" + (f"; GRANT USAGE ON {k} {n} TO clerk" if k != "COLLATION" else "") for k, n, _, _ in self.types[:2]]
        some += [f"COMMENT ON CONSTRAINT {q(k)} ON {x} IS 'k'" for x, k, _ in self.constraints[:1]]
        some += [f"COMMENT ON TRIGGER {q(g)} ON {x} IS 'g'" for x, g in self.triggers[:1]]
        some += [f"COMMENT ON INDEX {i} IS 'i'" for i in self.indexes[:1]]
        self.say(self.r.choice(some))

    def late(self):
        """Foreign keys, once there are rows."""
        return [f"SET ROLE {t.owner}; {text}; RESET ROLE" for t, _, text in self.constraints]

    # ---- what a DBA says ----

    def where(self, t):
        c = self.r.choice(t.columns)
        ints = [x for x in t.columns if x.type in ("integer", "serial")]
        return self.pick("", "", f" WHERE {q(ints[0].name)} < 4" if ints else "", f" WHERE {q(c.name)} IS NOT NULL")

    def one(self):
        t = self.r.choice(self.tables + self.parts)
        named = [(t.schema, t.name)]
        kind = self.r.choice(["delete", "delete", "update", "update", "truncate", "truncate_cascade", "drop", "drop_cascade", "drop_cascade", "view", "schema", "type", "type",
                              "function", "sequence", "column", "column_cascade", "retype", "constraint", "owned", "merge", "attribute", "any", "two_tables", "sequence_named",
                              "key", "extension", "unlogged"])
        if kind == "delete":
            return Statement("DELETE", f"DELETE FROM {t}{self.where(t)}", named)
        if kind in ("update", "key"):
            c = self.r.choice([x for x in t.columns if not x.made] or t.columns)
            if kind == "key" and t.key:
                c = next(x for x in t.columns if x.name == t.key[0])
            value = f"{q(c.name)} + 1000" if c.type in ("integer", "serial") else self.pick("NULL", c.value.format(n=77))
            return Statement("UPDATE", f"UPDATE {t} SET {q(c.name)} = {value}{self.where(t)}", named)
        if kind == "truncate":
            return Statement("TRUNCATE", f"TRUNCATE {t}" + self.pick("", " RESTART IDENTITY"), named)
        if kind == "truncate_cascade":
            return Statement("TRUNCATE CASCADE", f"TRUNCATE {t} CASCADE", named)
        if kind == "drop":
            return Statement("DROP", f"DROP TABLE {t}", named)
        if kind == "two_tables":
            o = self.r.choice(self.tables)
            return Statement("DROP", f"DROP TABLE {t}, {o}", named + [(o.schema, o.name)])
        if kind == "drop_cascade":
            return Statement("DROP CASCADE", f"DROP TABLE {t} CASCADE", whole=True)
        if kind == "view" and self.views:
            k, v = self.r.choice(self.views)
            s, n = (x.replace('""', '"') for x in v[1:-1].split('"."'))
            return self.pick(Statement("DROP", f"DROP {k} {v}", [(s, n)]), Statement("DROP CASCADE", f"DROP {k} {v} CASCADE", whole=True))
        if kind == "schema":
            return Statement("DROP CASCADE", f"DROP SCHEMA {q(self.r.choice(self.schemas))} CASCADE", whole=True)
        if kind == "type" and self.types:
            k, n, _, _ = self.r.choice(self.types)
            return Statement("DROP CASCADE", f"DROP {k} {n} CASCADE", whole=True)
        if kind == "function" and self.functions:
            return Statement("DROP CASCADE", f"DROP FUNCTION {self.r.choice(self.functions)[0]} CASCADE", whole=True)
        if kind == "sequence" and self.sequences:
            return Statement("DROP CASCADE", f"DROP SEQUENCE {self.r.choice(self.sequences)} CASCADE", whole=True)
        if kind == "sequence_named" and self.sequences:
            s, n = (x.replace('""', '"') for x in self.r.choice(self.sequences)[1:-1].split('"."'))
            return Statement("DROP", f"DROP SEQUENCE {q(s)}.{q(n)}", [(s, n)])
        if kind in ("column", "column_cascade"):
            c = q(self.r.choice(t.columns).name)
            if kind == "column":
                return Statement("ALTER", f"ALTER TABLE {t} DROP COLUMN {c}", named)
            return Statement("ALTER CASCADE", f"ALTER TABLE {t} DROP COLUMN {c} CASCADE", whole=True)
        if kind == "retype":
            c = q(self.r.choice(t.columns).name)
            to = self.pick("text", "varchar(3)", "integer", "boolean")
            using = self.pick("", f" USING NULL::{to}", f" USING {c}::text::{to}")
            return Statement("ALTER", f"ALTER TABLE {t} ALTER COLUMN {c} TYPE {to}{using}", named)
        if kind == "constraint" and self.constraints:
            x, k, _ = self.r.choice(self.constraints)
            return Statement("ALTER", f"ALTER TABLE {x} DROP CONSTRAINT {q(k)}", [(x.schema, x.name)])
        if kind == "owned":
            return Statement("DROP CASCADE OWNED", f"DROP OWNED BY {self.pick('second', 'owner')}" + self.pick("", " CASCADE"), whole=True)
        if kind == "merge":
            ints = [q(x.name) for x in t.columns if x.type in ("integer", "serial") and not x.made.startswith("GENERATED ALWAYS AS (")]
            if ints:
                change = self.pick("DELETE", f"UPDATE SET {ints[-1]} = {ints[-1]} + 500")
                return Statement("MERGE", f"MERGE INTO {t} USING (VALUES (1), (2), (3)) v(n) ON {ints[0]} = v.n WHEN MATCHED THEN {change}", named)
        if kind == "attribute" and getattr(self, "composites", None):
            n, a = self.r.choice(self.composites)
            return Statement("ALTER CASCADE", f"ALTER TYPE {n} DROP ATTRIBUTE {self.r.choice(a)} CASCADE", whole=True)
        if kind == "any":
            of = self.one()
            return Statement("ANY", f"DO $do$BEGIN {of.text}; END$do$", whole=True)
        if kind == "extension" and self.extensions:
            return Statement("DROP CASCADE", f'DROP EXTENSION "{self.r.choice(self.extensions)}" CASCADE', whole=True)
        if kind == "unlogged":
            return Statement("ALTER", f"ALTER TABLE {t} SET UNLOGGED", named)
        return self.one()

    def destroy(self):
        out = []
        for _ in range(12):
            one = self.one()
            if self.chance(0.12) and one.verb != "ANY":
                other = self.one()
                if other.verb != "ANY" and one.text != other.text:
                    verbs = " ".join(sorted(set(one.verb.split()) | set(other.verb.split())))
                    whole = one.whole or other.whole
                    one = Statement(verbs, f"{one.text}; {other.text}", [] if whole else one.objects + [o for o in other.objects if o not in one.objects], whole)
            out.append(one)
        return out

    # ---- what others do since ----

    def since(self):
        out = []
        for _ in range(self.r.randint(1, 4)):
            t = self.r.choice(self.tables)
            c = self.r.choice(t.columns)
            into = [x for x in t.columns if not x.made]
            ints, n = [x for x in t.columns if x.type in ("integer", "serial")], self.r.randint(1, 9)
            out.append(self.r.choice([
                f"INSERT INTO {t} (" + ", ".join(q(x.name) for x in into) + ") VALUES (" + ", ".join(x.value.format(n=40 + len(out)) for x in into) + ")" if into else "SELECT 1",
                f"UPDATE {t} SET {q(c.name)} = {c.value.format(n=50) or 'DEFAULT'} WHERE {q(ints[0].name)} = {n}",
                f"DELETE FROM {t} WHERE {q(ints[0].name)} = {n}",
                f"ALTER TABLE {t} ADD {q(self.word('c'))} int",
                f"CREATE TABLE {q(self.r.choice(self.schemas))}.{q(self.word('t'))} (a int)",
                f"CREATE TABLE {t} (z int)",
                f"GRANT SELECT ON {t} TO auditor",
                f"COMMENT ON TABLE {t} IS 'since'",
                f"CREATE INDEX {q(self.word('i'))} ON {t} ({q(c.name)})",
                f"ALTER TABLE {t} RENAME COLUMN {q(c.name)} TO {q(self.word('c'))}",
                f"ALTER TABLE {t} RENAME TO {q(self.word('t'))}",
                f"DROP INDEX {self.r.choice(self.indexes)}" if self.indexes else "SELECT 1",
                f"DROP {self.views[0][0]} {self.views[0][1]}" if self.views else "SELECT 1",
                f"DROP TRIGGER {q(self.triggers[0][1])} ON {self.triggers[0][0]}" if self.triggers else "SELECT 1",
                f"DROP TABLE {t}",
                f"ALTER TABLE {t} DROP COLUMN {q(c.name)}",
            ]))
        return out

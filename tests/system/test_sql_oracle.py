# SPDX-License-Identifier: Apache-2.0
"""Judgements of SQL held against a real server: statements made at random are judged, then run in a transaction that is
rolled back. What changed must be what the judgement said, and what masks would not hide must not depend on what is
masked. SP_ORACLE_SEEDS=1-50 and SP_ORACLE_COUNT=5000 make a long run of it."""

import json
import os
import re
import subprocess
import zlib

import psycopg2
import pytest
from pglib import Postgres
from sqlgen import FIXED, MASKED, SCHEMA, WIDE, Disguises, Generator, fill

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SALLYPORT_BUILD", os.path.join(ROOT, "build"))
USE_ALL, USE_OPAQUE, USE_IMPLIED, USE_SYSTEM = 1, 2, 4, 8
USE_BROAD = 1 << 5
CLEAN, BY_ORIGIN, STRICT, REFUSED = range(4)
RELATION, DATABASE = 1, 0
CHILDREN = {"logs": ["logs_a", "logs_b"], "people": ["staff"]}
TELLING = {"pg_stats", "pg_stats_ext", "pg_stats_ext_exprs", "pg_statistic", "pg_statistic_ext_data", "pg_stat_activity",
           "pg_authid", "pg_shadow", "pg_user_mapping", "pg_user_mappings", "pg_largeobject", "pg_subscription"}


TIMED_OUT = "57014"


def error_of(seen):
    return seen[0] if isinstance(seen[0], (str, type(None))) else seen[0][0]


def gate_sql():
    """The statements by which the gate reads a catalogue, out of its source."""
    with open(os.path.join(ROOT, "gates", "db", "catalogue_rows.c"), encoding="utf-8") as file:
        source = file.read()

    def text(piece):
        return "".join(json.loads(f'"{one}"') for one in re.findall(r'"((?:[^"\\]|\\.)*)"', piece))

    pieces = re.findall(r"static const char (?:relations|others|calls|marks|casts)_sql\[\] =(.*?);\n", source, re.S)
    assert len(pieces) == 5
    trigger = re.search(r'#define OF_USERS (".*")', source)[1]
    reading = text("".join(pieces).replace("LOCKED", '"(\'{}\'::pg_catalog.oid[])"')  # nobody locks anything
                   .replace("HEAVY", '"(\'{}\'::pg_catalog.oid[])"').replace("VIEW_TREE", '"w.ev_action::pg_catalog.text"')
                   .replace("OF_USERS", trigger))
    return ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"] + [one for one in reading.split(";") if one.strip()]


def word(value):
    text = "" if value is None else ("t" if value is True else "f" if value is False else str(value))
    return text.encode().hex() or "-"


class Judge:
    def __init__(self, connection, masked=tuple(MASKED)):
        self.process = subprocess.Popen([os.path.join(BUILD, "tests", "unit", "sql", "judge_lines")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.tell("path", "public")
        with connection.cursor() as cursor:
            for statement in gate_sql():
                cursor.execute(statement)
                for row in cursor.fetchall() if cursor.description else []:
                    if row[0] == "r":
                        telling = row[6] and row[3] in TELLING
                        self.tell("r", *row[1:12], telling)
                    else:
                        self.tell(row[0], *row[1:])
        self.tell("index")
        for one in masked:
            self.tell("tag", *one)
        self.tell("finish")

    def tell(self, name, *values):
        self.process.stdin.write((" ".join([name, *[word(v) for v in values]]) + "\n").encode())

    def ask(self, text):
        self.tell("q", text)
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def checks_sql(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                       "WHERE c.relkind IN ('r', 'm') AND n.nspname IN ('public', 'audit') ORDER BY 1, 2")
        tables = cursor.fetchall()
    parts = [f"SELECT '{s}.{t}', (SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM ONLY {s}.{t} t)"
             for s, t in tables]
    parts.append("SELECT '*settings', md5(string_agg(name || setting, ',' ORDER BY name)) FROM pg_settings "
                 "WHERE name !~ 'plpgsql' AND name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')")
    parts.append("SELECT '*sequences', string_agg(last_value || ' ' || is_called, ',') FROM "
                 "(SELECT * FROM numbers UNION ALL SELECT * FROM audit.entries_id_seq) s")
    parts.append("SELECT '*large', count(*)::text FROM pg_largeobject_metadata")
    parts.append("SELECT '*catalogue', (SELECT count(*) || ' ' || sum(hashtext(concat_ws(' ', oid, relname, relnamespace, "
                 "relowner, relkind, relnatts, relacl, relrowsecurity))) FROM pg_class c "
                 "WHERE c.oid >= 16384 AND relpersistence <> 't' AND relkind <> 't') || ' ' || (SELECT count(*) FROM pg_proc) || ' ' || "
                 "(SELECT sum(hashtext(a::text)) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
                 "WHERE c.oid >= 16384 AND relpersistence <> 't') || ' ' || "
                 "(SELECT count(*) FROM pg_policy) || ' ' || (SELECT count(*) FROM pg_rewrite WHERE oid >= 16384) || ' ' || "
                 "(SELECT count(*) FROM pg_operator) || ' ' || (SELECT count(*) FROM pg_description) || ' ' || (SELECT count(*) FROM "
                 "pg_namespace WHERE nspname !~ '^pg_') || ' ' || (SELECT count(*) FROM pg_constraint) || ' ' || (SELECT count(*) "
                 "FROM pg_trigger)")
    parts.append("SELECT '*xid', (pg_current_xact_id_if_assigned() IS NOT NULL)::text")
    parts.append("SELECT '*listens', (SELECT count(*)::text FROM pg_listening_channels())")
    return " UNION ALL ".join(parts)


class Server:
    """One database of the three, and what a statement did there."""

    def __init__(self, postgres, database):
        self.connection = postgres.connect(database=database, user="worker", password="w")
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.cursor.execute("SET statement_timeout = '2s'; SET client_min_messages = notice; SET max_parallel_workers_per_gather = 0")
        self.checks = checks_sql(self.connection)

    def state(self):
        self.cursor.execute(self.checks)
        return dict(self.cursor.fetchall())

    def run(self, text, look=True):
        """(sqlstate or None, message, description, rows, state)"""
        self.connection.notices.clear()
        self.cursor.execute("BEGIN")
        error, description, rows, state = None, None, None, None
        try:
            self.cursor.execute(text)
            if self.cursor.description:
                description = [(c.name, c.type_code, c.table_oid, c.table_column) for c in self.cursor.description]
                rows = self.cursor.fetchall()
            if look:
                state = self.state()
        except psycopg2.Error as failed:
            error = (failed.pgcode, str(failed))
        except ValueError as failed:  # a date beyond what Python knows
            error = ("", str(failed))
        notices = list(self.connection.notices)
        self.cursor.execute("ROLLBACK")
        self.cursor.execute("DEALLOCATE ALL; DISCARD TEMP; UNLISTEN *; RESET ALL; SET statement_timeout = '2s'; "
                            "SET max_parallel_workers_per_gather = 0; SELECT pg_advisory_unlock_all()")
        return error, notices, description, rows, state


def secrets(word_of):
    return lambda one: (word_of[0] % one if one != 3 else word_of[2], word_of[1] % one)


@pytest.fixture(scope="module")
def office():
    postgres = Postgres({"autovacuum": "off", "max_locks_per_transaction": 256})
    try:
        postgres.sql("CREATE ROLE worker LOGIN PASSWORD 'w'")
        # a, c: the same secrets; b: others, of other lengths, NULL elsewhere, in another order
        for name, said in (("a", ("'13%s'", "'11010%s'", "NULL")), ("b", ("'99 %s secret'", "'x%s'", "'3'")),
                           ("c", ("'13%s'", "'11010%s'", "NULL"))):
            postgres.sql(f"CREATE DATABASE {name} OWNER worker")
            postgres.sql("SET ROLE worker", *schema(), database=name)
            postgres.sql(*fill(secrets(said)), database=name)
            postgres.sql("REFRESH MATERIALIZED VIEW m_city", "ALTER SCHEMA public OWNER TO worker", database=name)
        yield postgres
    finally:
        postgres.close()


def schema():
    out, rest = [], SCHEMA
    # bodies of functions are the only place with a semicolon that ends nothing
    for piece in re.split(r";\n", rest):
        if piece.strip():
            out.append(piece)
    first = [o for o in out if not o.startswith(("INSERT INTO orders", "INSERT INTO lines"))]
    return ["SET search_path = public"] + first


# ---- did it do more than was said? ----

def said_of(judgement):
    """(opaque or of the whole database, {relation: gravest action})"""
    names, whole = {}, False
    for action, kind, flags, schema_name, name in judgement["uses"]:
        if flags & USE_OPAQUE or (kind == DATABASE and action in ("destroy", "administer")):
            whole = True
        if kind == RELATION:
            names.setdefault(f"{schema_name or 'public'}.{name}", set()).add(action)
            for child in CHILDREN.get(name, []):  # of the same part of the policy as their parent
                names.setdefault(f"public.{child}", set()).add(action)
    return whole, names


def changes_said(judgement):
    return any(u[0] not in ("read", "export", "connect") for u in judgement["uses"])


def excess(judgement, before, after):
    """What changed and was not said; None = nothing."""
    whole, names = said_of(judgement)
    if whole or after is None:
        return None
    changed = {k for k in before if before[k] != after.get(k)}
    gone = [k for k in changed if not k.startswith("*") and k not in after]
    if not changes_said(judgement):
        if judgement["temps"]:
            changed.discard("*xid")
        setting = judgement["flags"] & (1 << 15)
        if setting:
            changed.discard("*settings")
        if any(u[0] == "read" and u[1] == DATABASE for u in judgement["uses"]):
            changed.discard("*listens")
        return sorted(changed) or None
    defines = any(u[0] in ("alter", "administer", "destroy") for u in judgement["uses"])
    if defines:
        changed -= {"*catalogue", "*sequences"}
    if any(u[1] == 3 for u in judgement["uses"]):
        changed -= {"*sequences", "*large"}
    if judgement["flags"] & (1 << 15):
        changed.discard("*settings")
    changed -= {"*xid"}
    if any(u[0] == "write" for u in judgement["uses"]):
        changed -= {"*sequences"}  # serial columns of what is written
    if "write" in names.get("public.m_city", set()):
        changed -= {"*catalogue"}  # REFRESH makes a new file
    changed -= {k for k in changed if names.get(k, set()) & {"write", "destroy", "import", "alter", "administer"}}
    changed -= {k for k in gone if defines and any("destroy" in a or "alter" in a for a in names.values())}
    return sorted(changed) or None


def emptied(judgement, before, after):
    """Tables that lost all rows without anybody having said "destroy"."""
    whole, names = said_of(judgement)
    if whole or after is None:
        return []
    return [k for k in before if not k.startswith("*") and before[k].split()[0] != "0" and k in after and
            after[k].split()[0] == "0" and "destroy" not in names.get(k, set())]


# ---- did it tell what is masked? ----

def mask(server, mode, result, masked):
    """What a client would see of it."""
    error, notices, description, rows, _ = result
    if error is not None:
        return (error if mode == CLEAN else error[0], notices if mode == CLEAN else None)
    if description is None:
        return (None, notices if mode == CLEAN else None)
    hidden = [(d[2], d[3]) in masked or (d[2] and not d[3] and mode != CLEAN) or (mode == STRICT and not d[2])
              for d in description]
    if mode == CLEAN:
        hidden = [False] * len(description)
    # how long it took, in EXPLAIN ANALYZE, is as it comes
    shown = [tuple("*" if h else re.sub(r"([Tt]ime[=:] ?)[0-9.]+(\.\.[0-9.]+)?", r"\1", str(v)) for h, v in zip(hidden, row))
             for row in rows]
    return (None, notices if mode == CLEAN else None, [d[0] for d in description], shown)


def in_order(seen, text):
    """Without ORDER BY the plan decides, and the servers have not run the same."""
    return seen if len(seen) < 4 or "order by" in text.lower() else (*seen[:3], sorted(seen[3]))


def masked_origins(server, judge_views):
    server.cursor.execute("SELECT c.oid, a.attnum, n.nspname, c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON "
                          "c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.attnum > 0")
    wanted = set(MASKED) | set(judge_views)
    return {(oid, number) for oid, number, s, t, c in server.cursor.fetchall() if (s, t, c) in wanted}


def test_judgements(office):
    a, b, c = (Server(office, name) for name in "abc")
    judge = Judge(a.connection)
    views = [("public", "v_customers", "tel"), ("public", "people", "phone")]
    masked = {server: masked_origins(server, views) for server in (a, b, c)}
    first, last = (int(x) for x in (os.environ.get("SP_ORACLE_SEEDS", "1-1") + "-").split("-")[:2])
    count = int(os.environ.get("SP_ORACLE_COUNT", "300"))
    wrong, figures = [], {"made": 0, "refused": 0, "ran": 0, "harmless": 0, "masked": 0, "kept": 0, "emptied": 0}
    before = a.run("SELECT 1")[4]
    for seed in range(first, last + 1):
        generator = Generator(seed)
        for number in range(count + len(FIXED)):
            text = generator.statement() if number < count else FIXED[number - count]
            figures["made"] += 1
            judgement = judge.ask(text)
            if judgement["fault"] != 0:
                figures["refused"] += 1
                continue
            whole, _ = said_of(judgement)
            system = any(u[2] & USE_SYSTEM for u in judgement["uses"])
            result = a.run(text)
            figures["ran"] += result[0] is None
            figures["harmless"] += result[0] is None and not changes_said(judgement)
            more = excess(judgement, before, result[4])
            # what no ROLLBACK takes back
            if result[4] is None or result[4]["*sequences"] != before["*sequences"]:
                before["*sequences"] = a.state()["*sequences"]
            if more:
                wrong.append(("did more", more, text, judgement["uses"]))
            for table in emptied(judgement, before, result[4]):
                figures["emptied"] += 1
                if os.environ.get("SP_ORACLE_EMPTIED"):
                    print("EMPTIED", table, text)
            mode = judgement["masking"]
            if mode == REFUSED or whole or system or "pg_" in text:
                figures["kept"] += mode == REFUSED
                continue
            figures["masked"] += mode != CLEAN
            seen = in_order(mask(a, mode, result, masked[a]), text)
            other = in_order(mask(b, mode, b.run(text, look=False), masked[b]), text)
            late = TIMED_OUT in (error_of(seen), error_of(other))  # the machine is busy
            if not late and seen != other and seen == in_order(mask(c, mode, c.run(text, look=False), masked[c]), text):
                wrong.append(("told", (mode, zlib.crc32(str(seen).encode())), text, (seen, other)))
    judge.close()
    print(figures)
    for kind, what, text, uses in wrong[:int(os.environ.get("SP_ORACLE_SHOW", "20"))]:
        print(kind, what, "\n    ", text, "\n    ", str(uses)[:600])
    assert figures["ran"] > figures["made"] // 4, figures
    assert figures["masked"] > 50 and figures["harmless"] > 100, figures
    assert not wrong, f"{len(wrong)} judgements were wrong"


def test_a_condition_that_names_rows_meets_few(office):
    """What is called a plain write meets no more rows than there are values in it: in `wide` each value stands once."""
    office.sql("CREATE DATABASE w OWNER worker")
    office.sql("SET ROLE worker", *[one for one in WIDE.split(";\n") if one.strip()], database="w")
    office.sql("GRANT CREATE ON SCHEMA public TO worker", database="w")
    connection = office.connect(database="w", user="worker", password="w")
    judge = Judge(connection, ())
    connection.rollback()
    connection.autocommit = True
    disguises = Disguises(int(os.environ.get("SP_ORACLE_SEEDS", "1").split("-")[0]))
    wrong, figures = [], {"made": 0, "ran": 0, "named": 0, "met": 0}
    with connection.cursor() as cursor:
        for _ in range(int(os.environ.get("SP_ORACLE_COUNT", "3000"))):
            condition = disguises.condition()
            figures["made"] += 1
            judgement = judge.ask(f"DELETE FROM wide WHERE {condition}")
            try:
                cursor.execute(f"SELECT count(*) FROM wide WHERE {condition}")
            except psycopg2.Error:
                continue
            rows = cursor.fetchone()[0]
            figures["ran"] += 1
            figures["met"] += rows > 0
            uses = [u for u in judgement["uses"] if u[4] == "wide" and u[0] in ("write", "destroy")]
            if judgement["fault"] == 0 and all(u[0] == "write" and not u[2] & USE_BROAD for u in uses):
                figures["named"] += 1
                if rows > 12 and "spare" not in condition:  # a NULL stands in half of the rows
                    wrong.append((rows, condition))
    judge.close()
    connection.close()
    print(figures)
    for one in wrong[:20]:
        print(*one)
    assert figures["ran"] > figures["made"] // 5 and figures["named"] > 50, figures
    assert not wrong, f"{len(wrong)} conditions met more than they named"

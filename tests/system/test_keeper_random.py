# SPDX-License-Identifier: Apache-2.0
"""The keeper with a real PostgreSQL: databases, approved destructions and others' work at random (undogen.py). What an undo
does not bring back is told, and what it is told of can be read beside.

    SP_UNDO_SEEDS=1000-2000 pytest tests/system/test_keeper_random.py    # more of them, and what was refused, counted

OWNS a server and a keeper. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "Undo".
"""
import collections
import contextlib
import os
import re

import psycopg2
import pytest

import undogen
from keeper_client import BESIDE, FORGET, KEEP, UNDO
from keeperlib import server_and_keeper
from vault_client import ECONFLICT, OK

SEEDS = [1, 2, 3, 5, 7, 20, 21, 30, 44, 51, 60, 86, 98, 100, 120]
if os.environ.get("SP_UNDO_SEEDS"):
    first, _, last = os.environ["SP_UNDO_SEEDS"].partition("-")
    SEEDS = range(int(first), int(last or first) + 1)

server, keeper = server_and_keeper(undogen.ROLES, database=None, settings={"max_locks_per_transaction": 256, "log_min_messages": "error"})
WORD = re.compile(r"(?<![A-Za-z0-9_])[a-z][0-9]+(?![A-Za-z0-9])")
counted = collections.Counter()


@contextlib.contextmanager
def connected(server, database):
    connection = psycopg2.connect(**server.dsn(database))
    connection.autocommit = True
    try:
        yield connection.cursor()
    finally:
        connection.close()


def tries(cursor, text):
    try:
        cursor.execute(text)
        return cursor.rowcount != 0  # a change of nothing is none
    except psycopg2.Error as e:
        tries.said = str(e).strip()
        return False


# ---- what there is ----

HEAD = re.compile(r"^-- Name: (.*); Type: (.*); Schema: (.*); Owner: (.*)$", re.M)
BLANK = re.compile(r"^(SET default_|--|\\|$)")


def objects(server, database):
    """{(type, schema, name): lines, sorted} of pg_dump: the order of columns is of no account."""
    text = server.run("pg_dump", "--schema-only", database)
    pieces = HEAD.split(text)
    found = {}
    for name, kind, schema, owner, body in zip(*[iter(pieces[1:])] * 5):
        lines = [re.sub(r"DEFAULT NULL::.*", "DEFAULT NULL", one.rstrip(",")) for one in body.splitlines() if not BLANK.match(one)]
        found[(kind, schema, name)] = sorted(lines + ["owner " + owner])
    return found


COLUMNS = """SELECT format('%I.%I', n.nspname, c.relname), array_agg(quote_ident(a.attname) ORDER BY a.attname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    AND NOT a.attisdropped AND ({} OR a.attgenerated = '') WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_|sallyport_)' GROUP BY 1"""


def rows(cursor, generated=True):
    """{table: rows as texts, sorted}"""
    found = {}
    cursor.execute(COLUMNS.format(generated))
    for table, columns in cursor.fetchall():
        texts = ", ".join(f"{c}::text" for c in columns if c)
        try:
            cursor.execute(f"SELECT ARRAY[{texts}]::text[]::text FROM ONLY {table}")
            found[table] = sorted(str(r[0]) for r in cursor.fetchall())
        except psycopg2.Error:
            found[table] = ["not to be read"]
    return found


def counters(cursor):
    cursor.execute("SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences")
    return dict(cursor.fetchall())


def wholes(cursor):
    """{partition: words of what it is a part of}"""
    cursor.execute("""SELECT format('%I.%I', n.nspname, c.relname), (SELECT string_agg(p.relname, ' ') FROM pg_partition_ancestors(c.oid) a
        JOIN pg_class p ON p.oid = a.relid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relispartition""")
    return {name: set(WORD.findall(words)) for name, words in cursor.fetchall()}


def state(server, database):
    with connected(server, database) as cursor:
        return objects(server, database), rows(cursor), counters(cursor), wholes(cursor)


# ---- what is told ----

def is_told(told, words):
    """A sentence names one of them."""
    return any(words & set(WORD.findall(one)) for one in told)


def untold(before, after, report, limits, why):
    """What differs and nobody says: sentences."""
    report = report or {"told": [], "rows": []}
    told = [one for one in report["told"] if "was added again" not in one] + [one for one in limits if "does not come back" in one or "rights" in one] + [why]
    for one in report["rows"]:
        if any(one.get(k) for k in ("conflicts", "clashes", "hung", "held", "stay")):
            told.append(one["relation"])
    unknown = any("nobody knows what it does" in one for one in limits)  # all that is missing comes back, whoever dropped it
    owned = any("DROP OWNED" in one or "rights stay as it leaves them" in one for one in told)
    out = []
    for key in sorted(set(before[0]) | set(after[0])):
        was, now = before[0].get(key, []), after[0].get(key, [])
        if was == now or (owned and key[0] == "ACL") or (key[0] == "INDEX ATTACH" and not was) or (unknown and not was):
            continue
        lines = [one for one in was if one not in now] + [one for one in now if one not in was]
        words = set(WORD.findall(key[2])) | set(WORD.findall(key[1]) if key[2] == "" else [])
        words |= {w for one in lines for w in WORD.findall(one)[:3]} if was and now else set()
        words |= next((w for name, w in before[3].items() if key[0] == "TABLE" and set(WORD.findall(key[2])) <= set(WORD.findall(name))), set())
        if not is_told(told, words):
            out.append(f"{key}: " + " | ".join("-" + x for x in was if x not in now) + " | " + " | ".join("+" + x for x in now if x not in was))
    for what, was, now in (("rows", before[1], after[1]), ("counter", before[2], after[2])):
        for name in sorted(set(was) | set(now)):
            went_on = what == "counter" and name in now and abs(now[name] or 0) >= abs(was.get(name) or 0)  # by what was rolled back, too
            if was.get(name) != now.get(name) and not went_on and not (unknown and name not in was) and not is_told(told, set(WORD.findall(name)[-1:]) | before[3].get(name, set())):
                out.append(f"{what} of {name}: {was.get(name)} -> {now.get(name)}")
    return out


# refused as documented: docs/DATABASE.md, "While it is kept" and "What comes back"
REFUSED = ["would run with the rights of op_keep", "there is nothing to put back", "has no key", "its key fell", "that the statement changed them cannot be told",
           "a column that was kept is not there any more", "a column has another name now", "another column has the name now", "a column has another type now",
           "dropped since", "lacks rights on it", "call it as it was", "a column was added since that needs a value", "is called", "its key is not unique any more", "has rules"]


class Run:
    def __init__(self, server, keeper, seed):
        self.server, self.keeper, self.seed, self.name = server, keeper, seed, f"x{seed}"
        self.made, self.since = undogen.Made(seed), []

    def build(self):
        self.server.sql(f"CREATE DATABASE {self.name} OWNER owner")
        failed = 0
        with connected(self.server, self.name) as cursor:
            for one in self.made.script + self.made.late():
                if not tries(cursor, one):
                    failed += 1
                    counted["of the script: " + re.sub(r"[a-z]\d+|\"[^\"]*\"", "_", tries.said.splitlines()[0])[:60]] += 1
            self.statement = None
            for one in self.made.destroy():
                if tries(cursor, f"BEGIN; {one.text}") and tries(cursor, "SET CONSTRAINTS ALL IMMEDIATE"):
                    self.statement = one
                cursor.execute("ROLLBACK")
                if self.statement:
                    break
        assert failed <= len(self.made.script) * 0.6, failed
        self.server.sql(f"CREATE DATABASE {self.name}c OWNER owner TEMPLATE {self.name}")

    def control(self, since):
        """The same without the statement."""
        with connected(self.server, self.name + "c") as cursor:
            cursor.execute("SET ROLE owner")
            for one in since:
                tries(cursor, one)
            cursor.execute("RESET ROLE")
            found = state(self.server, self.name + "c")
            cursor.execute("SELECT format('%I.%I', schemaname, matviewname) FROM pg_matviews WHERE ispopulated")
            self.fresh = {}
            for (name,) in cursor.fetchall():  # what was made again is computed again
                tries(cursor, f"REFRESH MATERIALIZED VIEW {name}")
            self.fresh = {k: v for k, v in rows(cursor).items() if v != found[1][k]}
        return found

    def run(self):
        one, made, job = self.statement, self.made, dict(port=self.server.port, database=self.name)
        held = made.chance(0.6)
        with connected(self.server, self.name) as asker, connected(self.server, self.name) as other:
            plain = rows(other, False)
            holder = 0
            if held:
                asker.execute("BEGIN; SELECT pg_backend_pid()")
                holder = asker.fetchone()[0]
                for name in one.objects:
                    tries(asker, "SAVEPOINT a")
                    if not tries(asker, "LOCK " + ".".join(undogen.q(x) for x in name) + " IN SHARE ROW EXCLUSIVE MODE"):
                        tries(asker, "ROLLBACK TO a")
            code, _, _, kept, why = self.keeper.job(KEEP, keep=self.seed, verb=one.verb, objects=one.said, whole=one.whole, cascades=one.cascades, holder=holder, **job)
            if code != OK:
                counted["not kept: " + why[-60:]] += 1
                assert "cannot be kept" in why or "none of the objects" in why, why
                return
            asker.execute(one.text)
            if held:
                asker.execute("COMMIT")
            since = []
            if made.chance(0.4) and "DROP CONSTRAINT" not in one.text:  # which keys others' work follows
                other.execute("SET ROLE owner")
                since = [x for x in made.since() if tries(other, x)]
                other.execute("RESET ROLE")
        self.since = since
        before = self.control(since)
        code, _, _, report, why = self.keeper.job(UNDO, keep=self.seed, verb=one.verb, whole=one.whole, **job)
        after = state(self.server, self.name)
        before[1].update({k: v for k, v in self.fresh.items() if after[1].get(k) == v})
        counted["undone" if code == OK else "refused: " + re.sub(r"^.*: ", "", why[:70])] += 1
        missed = untold(before, after, report, kept["limits"], why)
        if code != OK:
            tells = code == ECONFLICT and any(x in why for x in REFUSED) and ("there is nothing to put back" not in why or not missed)
            missed = [] if tells or before[:3] == after[:3] else [why] + missed
        elif report["complete"] and before[:3] != after[:3]:
            counted["complete, and differs"] += 1
        if os.environ.get("SP_UNDO_SCRIPT"):
            print("\n".join(made.script + made.late()), report, self.server.log())
        self.beside(plain, kept, code == OK)
        if missed:
            pytest.fail("\n".join(missed), pytrace=False)

    def beside(self, plain, kept, undone):
        if self.seed % 4 and undone:
            return
        code, _, _, report, why = self.keeper.job(BESIDE, keep=self.seed, verb=self.statement.verb, whole=self.statement.whole, port=self.server.port, database=self.name)
        counted["beside" if code == OK else "no beside: " + why[:50]] += 1
        if code != OK:
            assert "no rows" in why or "nothing" in why, why
            return
        with connected(self.server, self.name) as cursor:
            for one in report["rows"]:
                cursor.execute("SELECT array_agg(quote_ident(attname) ORDER BY attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", [one["relation"]])
                columns = cursor.fetchone()[0] or []
                cursor.execute(f"SELECT ARRAY[{', '.join(c + '::text' for c in columns)}]::text[]::text FROM {one['relation']}")
                plain[one["of"]] = sorted(re.sub(r"\b(t|f)(rue|alse)\b", r"\1", x) for x in plain[one["of"]])
                assert sorted(re.sub(r"\b(t|f)(rue|alse)\b", r"\1", str(r[0])) for r in cursor.fetchall()) == plain[one["of"]], one["of"]

    def close(self):
        self.keeper.job(FORGET, keep=self.seed)
        for name in (self.name, self.name + "c"):
            self.server.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="module", autouse=True)
def count():
    yield
    for what, times in counted.most_common():
        print(f"{times:6} {what}")


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_lost_is_told(server, keeper, seed):
    run = Run(server, keeper, seed)
    try:
        run.build()
        if run.statement:
            run.run()
    except BaseException as e:
        print(f"\nseed {seed}: {run.statement}\n  since {run.since}\n  {str(e)[:3000]}")
        raise
    finally:
        run.close()

# SPDX-License-Identifier: Apache-2.0
"""Real client programs, straight against the server and through the gate with a policy that permits everything: what
they see is the same, line by line (tests/clients)."""

import json
import os
import re
import shutil
import subprocess
import tempfile

import pytest
from dblib import ACCOUNT_PASSWORD, DOCUMENTS, DatabaseOffice
from officelib import ROOT

pytestmark = pytest.mark.slow  # the plain build serves applications, the sanitized one attacks
CLIENTS = os.path.join(ROOT, "tests", "clients")
ORDERS = os.path.join(ROOT, "demo", "content", "orders")
JDBC = "/usr/share/java/postgresql.jar"


class Ways:
    """One database, two ways to it."""

    def __init__(self):
        self.db = DatabaseOffice(documents=DOCUMENTS.replace("[orders]", "[orders, copied]"))
        self.dir = self.db.office.dir
        self.db.server.sql("CREATE DATABASE copied OWNER op_dba")
        script = ""
        for name in ("schema.sql", "content.sql"):
            with open(os.path.join(ORDERS, name), encoding="utf-8") as file:
                script += file.read()
        self.db.server.sql("ALTER SCHEMA public OWNER TO op_dba", database="orders")
        self.db.server.sql("ALTER SCHEMA public OWNER TO op_dba", database="copied")
        done = self.run(["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-"], gate=False, text=script)
        assert done.returncode == 0, done.stderr

    def close(self):
        self.db.close()

    def environment(self, gate, database="orders"):
        if gate:
            name = "orders-db" if database == "orders" else f"orders-db/{database}"
            return self.db.environment("lin", database=name)
        return {**self.db.environment("lin", password="-"), "PGPORT": str(self.db.server.port), "PGUSER": "op_dba",
                "PGDATABASE": database, "PGPASSWORD": ACCOUNT_PASSWORD}

    def run(self, words, gate, text=None, database="orders", **more):
        return subprocess.run(words, env={**os.environ, **self.environment(gate, database)}, input=text, text=True,
                              capture_output=True, timeout=150, check=False, cwd=CLIENTS, **more)

    def file(self, gate):
        """How tests/clients are told where to go."""
        env = self.environment(gate)
        path = os.path.join(self.dir, "connection.json")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"host": "127.0.0.1", "port": int(env["PGPORT"]), "user": env["PGUSER"],
                       "database": env["PGDATABASE"], "password": env["PGPASSWORD"], "tls": True}, file)
        return path

    def same(self, words_of):
        """Runs it both ways; the lines of both."""
        lines = []
        for gate in (False, True):
            words, text = words_of(gate)
            done = self.run(words, gate, text)
            assert done.returncode == 0, f"gate={gate}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            # pg_dump's key of this run; the gate's own number of what it refused
            lines.append([line for line in done.stdout.splitlines()
                          if "restrict " not in line and not re.match(r"(DETAIL:|    D) +Reference ", line)])
        assert lines[0] == lines[1]
        return lines[0]


@pytest.fixture(scope="module")
def ways():
    one = Ways()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="session")
def node_modules():
    if not os.path.isdir(os.path.join(CLIENTS, "node_modules", "pg")):
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=CLIENTS, check=True, timeout=120)


def test_jdbc(ways):
    def words(gate):
        env = ways.environment(gate)
        url = f"jdbc:postgresql://127.0.0.1:{env['PGPORT']}/{env['PGDATABASE']}?sslmode=require"
        return ["java", "-cp", JDBC, "Workload.java", url, env["PGUSER"]], env["PGPASSWORD"] + "\n"

    lines = ways.same(words)
    assert "cancel: 57014 in time: true" in lines and "heard: 1 bell ring" in lines


@pytest.mark.usefixtures("node_modules")
def test_node_pg(ways):
    lines = ways.same(lambda gate: (["node", "workload.mjs", ways.file(gate)], None))
    assert "cursor: 500500" in lines


@pytest.mark.parametrize("program", ["orm_sqlalchemy.py", "orm_django.py"])
def test_an_orm(ways, program):
    assert len(ways.same(lambda gate: (["/usr/bin/python3", program, ways.file(gate)], None))) > 8


@pytest.fixture(scope="module")
def libpq():
    folder = tempfile.mkdtemp(prefix="sp-libpq-", dir="/tmp")
    program = os.path.join(folder, "libpq")
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-I/usr/include/postgresql", "-o", program,
                    os.path.join(CLIENTS, "libpq.c"), "-lpq"], check=True, timeout=60)
    yield program
    shutil.rmtree(folder, ignore_errors=True)


def test_libpq_in_c(ways, libpq):
    """Simple and extended, prepared, COPY, row by row, pipelines, cancelling, by TLS and SCRAM with channel binding."""
    lines = ways.same(lambda _: ([libpq], None))
    assert lines[0].startswith("TLS 1 TLSv1.3") and lines.count("cancelled: 57014") == 2
    assert "heard c_bell: rings, of mine: 1" in lines and "200 more" in lines
    assert any(line.startswith("30000 lines, sum ") for line in lines)
    assert any(line.startswith("20000 single rows, sum ") for line in lines)
    assert sum("PGRES_PIPELINE_ABORTED" in line for line in lines) == 1 and len(lines) > 200


PSQL = r"""
\set ON_ERROR_STOP 0
\d
\d+ orders
\d customer_contacts
\df
\dn+
\dt public.*
\sf order_total
\x
SELECT * FROM customers ORDER BY id LIMIT 2;
\x
SELECT 1/0;
SELECT nothing FROM orders;
DO $$ BEGIN RAISE NOTICE 'told % times', 3; RAISE WARNING 'and warned'; END $$;
BEGIN; SELECT count(*) FROM orders; SAVEPOINT a; SELECT 'x'::int; ROLLBACK TO a; SELECT 1; COMMIT;
\copy (SELECT id, name FROM shops ORDER BY id LIMIT 3) TO STDOUT WITH CSV HEADER
CREATE TEMP TABLE t (a int, b text);
\copy t FROM STDIN
1	one
2	two
\.
TABLE t;
SELECT sum(a) FROM t \gset
\echo :sum
\gdesc
SELECT a, b FROM t \gdesc
SELECT * FROM generate_series(1, 3) \crosstabview
DECLARE c CURSOR FOR SELECT 1;
BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT id FROM shops ORDER BY id; FETCH 3 FROM c; MOVE 10 IN c; FETCH BACKWARD 2 FROM c; COMMIT; CLOSE c;
PREPARE p (int) AS SELECT name FROM shops WHERE id = $1; EXECUTE p (7); EXECUTE p (8); DEALLOCATE p; EXECUTE p (7);
EXPLAIN (COSTS off) SELECT * FROM orders WHERE id = 1;
SELECT order_total(1), pg_typeof(order_total(1));
SELECT E'a\tb' AS tab, $q$do'llar$q$ AS q, B'101' AS bits, '{1,2}'::int[] AS list, '(1,2)'::point AS p;
SHOW server_version; SHOW timezone; SET timezone = 'Asia/Shanghai'; SHOW timezone; RESET timezone;
LISTEN bell; UNLISTEN bell;
SELECT length(repeat('x', 5000000));
SELECT repeat('long row ', 100000) AS r \g /dev/null
VACUUM ANALYZE carts;
;
SELECT 1; SELECT 2\; SELECT 3;
"""


def test_psql(ways):
    def words(_):
        return ["bash", "-c", "psql -X -e -v SHOW_CONTEXT=always 2>&1"], PSQL

    lines = ways.same(words)
    assert any("told 3 times" in line for line in lines) and any("division by zero" in line for line in lines)


def test_pg_dump_and_restore(ways):
    plain = ways.same(lambda _: (["pg_dump", "--no-owner"], None))
    assert sum(line.startswith("COPY ") for line in plain) > 30
    archive = os.path.join(ways.dir, "dump")
    done = ways.run(["pg_dump", "-Fc", "-f", archive], gate=True)
    assert done.returncode == 0, done.stderr
    done = ways.run(["pg_restore", "--no-owner", "--exit-on-error", "-d", "orders-db/copied", archive], gate=True)
    assert done.returncode == 0, done.stderr
    again = ways.run(["pg_dump", "--no-owner"], gate=False, database="copied")
    assert [line for line in again.stdout.splitlines() if "restrict " not in line] == plain
    os.unlink(archive)


def test_pgbench(ways):
    done = ways.run(["pgbench", "-i", "-q", "-s", "1", "-I", "dtgvp"], gate=True)
    assert done.returncode == 0, done.stderr
    for mode in ("simple", "extended", "prepared"):
        done = ways.run(["pgbench", "-n", "-M", mode, "-c", "4", "-j", "2", "-t", "200"], gate=True)
        assert done.returncode == 0 and "transactions actually processed: 800/800" in done.stdout, done.stdout + done.stderr

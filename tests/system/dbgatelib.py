# SPDX-License-Identifier: Apache-2.0
"""An office with a database behind its gate: a real PostgreSQL, an office, people with roles, connections by
libpq directly and through the gate.

    gate = DatabaseOffice(documents)
    with gate.connect("ann") as ann: ...       # psycopg2, through the gate, as ann
    with closing(gate.raw("ann")) as raw: ...  # the same, the wire by hand
    with gate.direct("op_all") as plain: ...   # the same account, straight to the server
"""

import contextlib
import subprocess

import psycopg2
import pytest

from officelib import WATCH_OFF, Office, free_port
from pglib import SUPERUSER, Postgres
from pgraw import Raw

SCHEMA = """
CREATE SCHEMA audit;
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, phone text, id_number text, email text, note text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers ON DELETE CASCADE, total int, note text);
CREATE TABLE audit.entries (id int PRIMARY KEY, what text);
CREATE TABLE logs (at int NOT NULL, line text) PARTITION BY RANGE (at);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (100);
CREATE VIEW v_customers AS SELECT id, name, phone AS tel FROM customers;
CREATE VIEW v_names AS SELECT id, name FROM v_customers;
CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM orders RETURNING 1';
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE PROCEDURE wipe_all() LANGUAGE sql AS 'DELETE FROM orders';
INSERT INTO customers SELECT n, 'name ' || n, '1380013' || to_char(n, 'FM0000'), '11010519491231002X',
    'person' || n || '@example.com', 'note ' || n FROM generate_series(1, 20) n;
INSERT INTO orders SELECT n, 1 + n % 20, n * 10, 'order ' || n FROM generate_series(1, 200) n;
INSERT INTO audit.entries SELECT n, 'entry ' || n FROM generate_series(1, 10) n;
INSERT INTO logs SELECT n, 'line ' || n FROM generate_series(1, 50) n;
"""
OFFICE = """\
kind: Office
name: Lantern Trading
time_zone: Asia/Shanghai
---
"""

DBA_DOES_ALL = """\
kind: Rule
name: the dba does all
who: { roles: [dba] }
to: { resources: [orders-db] }
may: [connect, read, write, export, import, alter, destroy, administer, execute]
---
"""

BUILDERS_BUILD = """\
kind: Rule
name: builders build
who: { roles: [builder] }
to: { resources: [orders-db], classes: [internal] }
may: [connect, read, write, alter, destroy]
---
kind: Rule
name: builders may look
who: { roles: [builder] }
to: { resources: [orders-db], classes: [core] }
may: [read]
---
"""


def orders_documents(roles, rules, postgres=""):
    """Documents of roles (names), of the resource orders-db that all of them enter as op_all, and the rules.

    postgres: more lines of its `postgres:`, each with two spaces before it. {port} is left for DatabaseOffice.
    """
    named = "".join(f"kind: Role\nname: {role}\n---\n" for role in roles)
    return f"""\
{named}kind: Resource
name: orders-db
title: {{ en: Orders, zh: 订单 }}
operator: company
class: internal
postgres:
  address: 127.0.0.1:{{port}}
  tls: loopback
  databases: [orders]
  accounts: [{{ roles: [{", ".join(roles)}], as: op_all }}]
{postgres}---
{rules}"""


def furnish(pg, accounts, schema):
    """The same again, number by number of every object, on any server that is new."""
    for account in accounts:
        pg.sql(f"CREATE ROLE {account} LOGIN PASSWORD '{account}'")
    pg.sql(f"CREATE DATABASE orders OWNER {accounts[0]}")
    pg.sql(f"ALTER SCHEMA public OWNER TO {accounts[0]}", database="orders")
    with psycopg2.connect(**pg.dsn("orders", accounts[0], accounts[0], "require")) as first:
        first.cursor().execute(schema)


class DatabaseOffice:
    """documents: YAML below the Office document; {port} is the database's. accounts: database roles. more: for Office."""

    def __init__(self, documents, accounts=("op_all",), schema=SCHEMA, office=OFFICE, **more):
        self.pg = Postgres()
        self.port = free_port()
        self.people = {}
        try:
            furnish(self.pg, accounts, schema)
            text = office + WATCH_OFF + documents.replace("{port}", str(self.pg.port)).replace("{ca}", self.pg.ca_path)
            self.office = Office(documents={"office.yaml": text},
                                 extra=f'postgres: ["127.0.0.1:{self.port}"]\npostgres_tls: optional\n'
                                       "db_workers: 1\n", **more)
            self.office.start()
            _, self.sam, self.audrey = self.office.set_up_administrators()
            self.sam.fresh()
            for account in accounts:
                self.sam.put(f"/admin/databases/credentials/orders-db/{account}", {"password": account})
        except BaseException:
            self.close()
            raise

    def close(self):
        if getattr(self, "office", None) is not None:
            self.office.close()
        self.pg.close()

    def sql(self, *statements, database="orders"):
        """As the server's superuser."""
        return self.pg.sql(*statements, database=database)

    def direct(self, account, database="orders"):
        return psycopg2.connect(host="127.0.0.1", port=self.pg.port, user=account, password=account,
                                dbname=database, sslmode="require")

    def person(self, name, role):
        if name not in self.people:
            self.people[name] = self.office.employee(name, [role])
        return self.people[name]

    def password(self, name):
        return self.people[name].post("/me/databases/orders-db/tokens", {})["password"]

    def settings(self, name):
        return {"host": "127.0.0.1", "port": self.port, "user": name, "dbname": "orders-db",
                "password": self.password(name), "sslmode": "disable"}

    def connect(self, name):
        return psycopg2.connect(**self.settings(name))

    def raw(self, name, timeout=30, **words):
        """A Raw that is logged in; words: start-up parameters."""
        one = Raw(self.port, tls=None, timeout=timeout)
        assert one.log_in(name, "orders-db", self.password(name), **words)[-1] == ("Z", b"I")
        return one

    def psql(self, name, text, *words):
        """psql through the gate; CompletedProcess."""
        env = {"PGPASSWORD": self.password(name), "PATH": "/usr/bin:/bin", "PGSSLMODE": "disable"}
        return subprocess.run(["psql", "-XAt", "-h", "127.0.0.1", "-p", str(self.port), "-U", name, "-d", "orders-db",
                               *words], input=text, env=env, capture_output=True, text=True, timeout=60)


def office_of(documents, people, sql=(), **more):
    """A fixture for all tests of a file: a DatabaseOffice with these people, (name, role), after the superuser ran sql.

    gate = office_of(DOCUMENTS, (("dora", "dba"), ("lena", "lead")), schema=SCHEMA + MORE)"""

    @pytest.fixture(scope="module")
    def gate():
        with contextlib.closing(DatabaseOffice(documents, **more)) as one:
            if sql:
                one.sql(*sql)
            for name, role in people:
                one.person(name, role)
            yield one

    return gate


__all__ = ["DatabaseOffice", "SUPERUSER"]

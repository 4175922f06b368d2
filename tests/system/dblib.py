# SPDX-License-Identifier: Apache-2.0
"""An office with a database gate and a real PostgreSQL behind it.

    db = DatabaseOffice()            # lin: dba, may do everything; mia: viewer, may only connect
    db.connect("lin")                # psycopg2, over TLS, with a fresh password
    db.psql(["-c", "SELECT 1"])
"""

import os
import shutil
import subprocess

import psycopg2
from memorylib import anonymous_bytes
from officelib import WATCH_OFF, Office, descendants, free_port
from pglib import Postgres

DOCUMENTS = """
kind: Role
name: dba
---
kind: Role
name: viewer
---
kind: Resource
name: orders-db
operator: company
class: internal
postgres:
  address: 127.0.0.1:%(port)d
  tls: %(tls)s
  %(ca)s
  databases: [orders]
  accounts: [{ roles: [dba, viewer], as: op_dba }]
---
kind: Rule
name: operators work in the orders
who: { roles: [dba] }
to: { resources: [orders-db] }
may: [connect, read, write, execute, export, import, alter, destroy, administer]
---
kind: Rule
name: viewers may look at the door
who: { roles: [viewer] }
to: { resources: [orders-db] }
may: [connect]
"""
ACCOUNT_PASSWORD = "of op_dba"


class DatabaseOffice:
    def __init__(self, documents=DOCUMENTS, tls="verify-full", workers=2, extra="", settings=None):
        self.server = Postgres(settings=settings)
        self.office = None
        try:
            self.server.sql(f"CREATE ROLE op_dba LOGIN PASSWORD '{ACCOUNT_PASSWORD}'", "CREATE DATABASE orders OWNER op_dba")
            self.port = free_port()
            workers_line = f"db_workers: {workers}\n" if workers else ""
            self.office = Office(documents={}, extra=f'postgres: ["127.0.0.1:{self.port}"]\n' + workers_line + extra)
            ca_path = os.path.join(self.office.documents, "server-ca.pem")
            shutil.copy(self.server.ca_path, ca_path)
            os.chmod(ca_path, 0o644)
            text = documents % {"port": self.server.port, "tls": tls, "ca": "" if tls == "loopback" else f"ca: {ca_path}"}
            path = os.path.join(self.office.documents, "office.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(WATCH_OFF + text)  # applications make and drop more than a person may without being asked
            os.chmod(path, 0o644)
            self.office.start()
            self.people = {}
            self.person("lin", ["dba"])
            self.put_credential("op_dba", ACCOUNT_PASSWORD)
            self.person("mia", ["viewer"])
        except BaseException:
            self.close()
            raise

    def close(self):
        try:
            if self.office is not None:
                self.office.close()
        finally:
            self.server.close()

    def put_credential(self, account, password, resource="orders-db"):
        """Puts the password of a database account into the vault, as a security administrator does."""
        sam = self.office.people["sam"]
        sam.put(f"/admin/databases/credentials/{resource}/{account}", {"password": password})

    def person(self, name, roles):
        if name not in self.people:
            self.people[name] = self.office.employee(name, roles)
        return self.people[name]

    def password(self, name, resource="orders-db"):
        """A fresh one, as `sallyport db token` gives it."""
        return self.people[name].post(f"/me/databases/{resource}/tokens")["password"]

    def connect(self, name, password=None, database="orders-db", **words):
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=name, dbname=database, sslmode="require",
                                      password=password or self.password(name), connect_timeout=10, **words)
        connection.autocommit = True
        return connection

    def environment(self, name, **words):
        env = {"PATH": os.environ["PATH"], "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": name,
               "PGDATABASE": "orders-db", "PGPASSWORD": "", "PGSSLMODE": "require", "PGCONNECT_TIMEOUT": "10",
               "LC_ALL": "C.UTF-8"}
        env.update({"PG" + key.upper(): str(value) for key, value in words.items()})
        if not env["PGPASSWORD"]:
            env["PGPASSWORD"] = self.password(name)
        return env

    def run(self, words, name="lin", input_text=None, **more):
        return subprocess.run(words, capture_output=True, text=True, env=self.environment(name, **more), input=input_text,
                              timeout=120, check=False)

    def psql(self, words, user="lin", **more):
        if user != "lin":
            more["user"] = user
        return self.run(["psql", "-X", *words], **more)

    def workers(self):
        return sorted(descendants(self.office.pid("db")))

    def worker_rss(self):
        """Anonymous memory of all workers, in bytes."""
        return sum(anonymous_bytes(pid) for pid in self.workers())

# SPDX-License-Identifier: Apache-2.0
"""An office with something behind each gate: an application, a real PostgreSQL, a real sshd; and people at work there.

    whole = WholeOffice()                  # staff may use all three
    with whole.web("ann") as stream: ...   # an answer that never ends
    whole.sql("ann"), whole.shell("ann")   # a raw connection; a process of OpenSSH's client that echoes

OWNS what it starts. PROCESS tests, bench. TRUST none. SPEC docs/ARCHITECTURE.md.
"""
import os
import selectors
import socket
import ssl
import subprocess
import threading
import time

from officelib import free_port
from pglib import Postgres
from pgraw import Raw
from sshgatelib import SshOffice
from webgatelib import Upstream

DOCUMENTS = """
kind: Role
name: staff
---
kind: Role
name: guest
---
kind: Resource
name: notes
operator: company
class: internal
web:
  host: notes
  upstream: http://127.0.0.1:{web}
---
kind: Resource
name: orders-db
operator: company
class: internal
postgres:
  address: 127.0.0.1:{db}
  tls: loopback
  databases: [orders]
  accounts: [{{ any: true, as: op }}]
  parts: [{{ table: public.secrets, class: core }}]
---
kind: Rule
name: staff and guests work everywhere
who: {{ roles: [staff, guest] }}
to: {{ any: true }}
may: [connect, read, write, execute{files}]
"""
CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


class WholeOffice:
    def __init__(self, more="", extra="", workers=1, settings=None, upstream=None, files=True):
        """files: whether they may carry any, so that commands without a terminal are pipes."""
        self.upstream = upstream or Upstream()
        self.pg = Postgres(settings=settings)
        self.ssh = None
        try:
            self.pg.sql("CREATE ROLE op LOGIN PASSWORD 'op'", "CREATE DATABASE orders OWNER op")
            self.pg.sql("CREATE TABLE plain AS SELECT 1 AS id", "CREATE TABLE secrets AS SELECT 1 AS id",
                        "GRANT ALL ON plain, secrets TO op", database="orders")
            self.port = free_port()
            text = DOCUMENTS.format(web=self.upstream.server_port, db=self.pg.port, files=", import, export" if files else "")
            self.ssh = SshOffice(text + more, roles=["staff"],
                                 extra=f'postgres: ["127.0.0.1:{self.port}"]\ndb_workers: {workers}\n' + extra)
            self.office = self.ssh.office
            self.olga, self.sam, self.audrey = self.ssh.olga, self.ssh.sam, self.ssh.audrey
            self.fresh()
            self.sam.put("/admin/databases/credentials/orders-db/op", {"password": "op"})
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.ssh is not None:
            self.ssh.close()
        self.pg.close()
        self.upstream.shutdown()

    def fresh(self):
        """sam's second factor is of the last minutes."""
        self.sam.fresh()

    def person(self, name, roles=("staff",)):
        return self.office.employee(name, list(roles))

    # ---- at work

    def _entered(self, name):
        """Somebody who has the application's cookie."""
        person = self.person(name)
        if "notes.office.localhost" not in person.cookies:
            person.follow("notes", "/", headers={"Accept": "text/html"})
        return person

    def web(self, name, path="/stream"):
        """An answer that never ends, over TLS; the head has come."""
        person = self._entered(name)
        stream = CONTEXT.wrap_socket(socket.create_connection(("127.0.0.1", self.office.port), 10),
                                     server_hostname="notes.office.localhost")
        cookie = person.cookies["notes.office.localhost"]["__Host-sallyport"]
        stream.sendall((f"GET {path} HTTP/1.1\r\nHost: notes.office.localhost:{self.office.port}\r\n"
                        f"Cookie: __Host-sallyport={cookie}\r\n\r\n").encode())
        assert b" 200 " in stream.recv(4096)
        return stream

    def web_status(self, name):
        return self._entered(name).request("GET", "notes", "/", headers={"Accept": "application/json"})

    def password(self, name):
        return self.person(name).post("/me/databases/orders-db/tokens")["password"]

    def sql(self, name, password=None):
        return self.sql_to(name, "orders-db", password or self.password(name))

    def sql_to(self, name, resource, password):
        one = Raw(self.port)
        got = one.log_in(name, resource, password)
        assert got[-1] == ("Z", b"I"), got
        return one

    def shell(self, name, *words):
        """A command on the machine that echoes what it is sent; it has echoed once. words: options of ssh."""
        process = subprocess.Popen(self.ssh.argv(name, "host", *words, "127.0.0.1", "cat"), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        process.stdin.write(b"here\n")
        assert process.stdout.read(5) == b"here\n"
        return process


class Ends(threading.Thread):
    """Reads descriptors (sockets, pipes) until each has ended: `at` says when that was, `told` when the last byte came.
    A database gate tells its client why and closes a moment later, so there the last byte is the end of the work."""

    def __init__(self, many):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.at, self.told = {}, {}
        self.left = 0
        for number, one in enumerate(many):
            os.set_blocking(one.fileno(), False)
            self.selector.register(one, selectors.EVENT_READ, number)
            self.left += 1
        self.start()

    def run(self):
        until = time.monotonic() + 60
        while self.left and time.monotonic() < until:
            for key, _ in self.selector.select(1):
                try:
                    one = key.fileobj
                    got = one.recv(1 << 16) if hasattr(one, "recv") else os.read(one.fileno(), 1 << 16)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                except OSError:
                    got = b""
                if got:
                    self.told[key.data] = time.monotonic()
                else:
                    self.at[key.data] = time.monotonic()
                    self.selector.unregister(key.fileobj)
                    self.left -= 1


__all__ = ["Ends", "WholeOffice"]

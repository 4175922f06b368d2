# SPDX-License-Identifier: Apache-2.0
"""A statement that policy marks `ask`, as the database gate brings it: asked, approved, kept by a real
keeper from a real PostgreSQL, used once, undone with the approval of others; by API and command line."""

import hashlib
import json
import os
import sqlite3
import struct
import time

import pytest

from keeper_client import Postgres, kind_of
from officelib import Office, free_port, wait_for
from portal import Refused
from test_core_cli import Shell
from test_core_meanwhile import Later, waits
from vault_client import Connection, EDENIED, OK, Reader, text

HELLO, ASK, ASK_USE, ASK_DROP, KEEP, ASK_DONE = 1, 0x0103, 0x0104, 0x0105, 0x0107, 0x0108
GATE_DB, WORKER, DESTROY = 3, 1, 6
STATEMENT = "DROP TABLE public.orders CASCADE"
OBJECTS = [{"kind": "table", "schema": "public", "name": "orders"}]


def documents(port):
    return {"office.yaml": f"""\
kind: Role
name: dba
---
kind: Role
name: clerk
---
kind: Resource
name: orders-db
operator: company
class: core
postgres:
  address: 127.0.0.1:{port}
  tls: loopback
  databases: [orders]
  accounts: [{{ roles: [dba], as: op_dba }}]
  keep_as: op_keep
---
kind: Rule
name: two colleagues agree before orders go
who: {{ roles: [dba] }}
to: {{ resources: [orders-db] }}
may: [destroy]
ask: {{ approved_by: 2, expires: 10m }}
---
kind: Rule
name: clerks ask the security administrators
who: {{ roles: [clerk] }}
to: {{ resources: [orders-db] }}
may: [alter]
ask: {{ approved_by: 1, by: {{ roles: [security-admin] }}, on: {{ owner: company }} }}
"""}


@pytest.fixture(scope="module")
def server():
    one = Postgres()
    one.sql("CREATE ROLE owner; CREATE ROLE op_keep LOGIN CREATEDB PASSWORD 'kept-word' IN ROLE owner;"
            "GRANT pg_read_all_data TO op_keep")
    one.sql("CREATE DATABASE orders OWNER owner")
    one.sql("SET ROLE owner; CREATE SCHEMA s; CREATE TABLE s.orders (id int PRIMARY KEY, note text);"
            "INSERT INTO s.orders SELECT i, 'order ' || i FROM generate_series(1, 5000) i; ANALYZE s.orders", "orders")
    yield one
    one.close()


@pytest.fixture(scope="module")
def office(server):
    one = Office(documents=documents(server.port), extra=f'postgres: ["127.0.0.1:{free_port()}"]\n')
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def people(office):
    office.set_up_administrators()
    made = {name: office.employee(name, [role]) for name, role in
            (("ann", "dba"), ("bob", "dba"), ("cai", "dba"), ("eve", "clerk"))}
    made["olga"] = office.people["olga"]
    made["sam"], made["audrey"] = office.people["sam"], office.people["audrey"]
    return made


class Gate:
    """A worker of the database gate, on core.sock."""

    def __init__(self, office):
        self.line = Connection(os.path.join(office.run_dir, "core.sock"), office.uids["db"])
        self.pushes = []
        self.line.raw = self.raw
        self.line.socket.settimeout(60)
        self.call(HELLO, bytes([GATE_DB, WORKER]))

    def raw(self, packet):
        kind = struct.unpack(">H", packet[1:3])[0]
        self.line.socket.send(packet)
        while True:
            got = self.line.socket.recv(256 * 1024)
            if struct.unpack(">I", got[3:7])[0] == 0:
                self.pushes.append((struct.unpack(">H", got[1:3])[0], got[8:]))
            elif struct.unpack(">H", got[1:3])[0] == kind:
                return got

    def call(self, kind, body=b""):
        return self.line.call(kind, body)

    def tell(self, kind, body):
        self.line.socket.send(struct.pack(">BHIB", 1, kind, 0, 0) + body)

    def done(self, ask):
        """(verdict, by, reason) of a decided ask."""
        while True:
            for kind, body in self.pushes:
                if kind == ASK_DONE and struct.unpack(">Q", body[:8])[0] == ask:
                    r = Reader(body[8:])
                    return r.number("B"), r.text().decode(), r.text().decode()
            got = self.line.socket.recv(256 * 1024)
            self.pushes.append((struct.unpack(">H", got[1:3])[0], got[8:]))


class Asker:
    """A person's session as the gate knows it."""

    def __init__(self, gate, person):
        self.gate = gate
        self.id = int(person.get("/me/sessions")["items"][0]["id"], 16)
        self.slot = None

    def body(self, slot, statement, rule, action, objects, needed):
        return struct.pack(">QIQQQQBBB", 77, slot, self.id, 4711, 5000, 0, action, 3, needed) + \
            hashlib.sha256(statement.encode()).digest() + text(b"orders-db") + text(b"orders") + \
            text(statement.encode()) + b"\1" + text(rule.encode()) + text(json.dumps(objects).encode()) + \
            text(b'{"Plan":{}}') + text(b"DROP CASCADE")

    def ask(self, statement, rule="two colleagues agree before orders go", action=DESTROY, objects=OBJECTS, needed=2):
        for slot in [self.slot] if self.slot is not None else range(32):
            status, body = self.gate.call(ASK, self.body(slot, statement, rule, action, objects, needed))
            if status == OK:
                self.slot = slot
                return struct.unpack(">Q", body)[0]
        return status

    def use(self, ask, statement):
        body = struct.pack(">QIQ", ask, self.slot, self.id) + hashlib.sha256(statement.encode()).digest()
        return self.gate.call(ASK_USE, body)[0]

    def keep(self, ask, relations, whole=False):
        body = struct.pack(">QBI", ask, whole, 0) + text(b"orders-db") + text(b"orders") + \
            text(json.dumps(relations).encode()) + text(b"") + text(b"DROP CASCADE")
        status, body = self.gate.call(KEEP, body)
        return (status, struct.unpack(">QQQ", body[:24])) if status == OK else (status, None)


def lock(people, name, verb):
    number = next(p["id"] for p in people["sam"].get("/admin/people?limit=200")["items"] if p["name"] == name)
    people["olga"].post(f"/admin/people/{number}/{verb}", {})


def waiting(person):
    return person.get("/approvals?state=waiting")["items"]


def answer(person, asked, verdict="approve"):
    return person.post(f"/approvals/{asked['id']}/{verdict}", {"sha256": asked["sha256"]})


@pytest.fixture(scope="module")
def gate(office, people):
    one = Gate(office)
    one.ann = Asker(one, people["ann"])
    return one


def credential(office, server):
    """The vault gets the keeper's password, as core gives it."""
    line = Connection(os.path.join(office.run_dir, "vault.sock"), office.uids["core"])
    assert line.call(kind_of("DB_CREDENTIAL_PUT"), text(b"orders-db/op_keep") + text(b"kept-word"))[0] == OK


def test_asked_kept_used_once_and_undone(office, people, gate, server):
    credential(office, server)
    statement = "DROP TABLE s.orders CASCADE"
    objects = [{"kind": "table", "schema": "s", "name": "orders"}]
    before = server.sql("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM s.orders t", "orders")
    ask = gate.ann.ask(statement, objects=objects)
    assert ask > 255
    seen = waiting(people["bob"])
    assert [a["asker"]["name"] for a in seen] == ["ann"] and seen[0]["can"]["approve"]
    estimated = wait_for("the estimate", 15, lambda: waiting(people["bob"])[0]["keep"])
    assert estimated["bytes"] > 100000
    full = people["bob"].get(f"/approvals/{seen[0]['id']}")
    assert full["statement"] == statement and full["estimated_rows"] == 5000
    assert full["dependants"]["relations"][0]["name"] == "s.orders"
    assert waiting(people["eve"]) == []
    # nothing is kept or used before others agree
    assert gate.ann.keep(ask, objects)[0] == EDENIED and gate.ann.use(ask, statement) == EDENIED
    answer(people["bob"], seen[0])
    assert gate.ann.use(ask, statement) == EDENIED
    answer(people["cai"], seen[0])
    assert gate.done(ask) == (2, "bob, cai", "")
    status, kept = gate.ann.keep(ask, objects)
    assert status == OK and kept[1] > 1000
    assert gate.ann.use(ask, statement + " ") == EDENIED
    assert gate.ann.use(ask, statement) == OK
    assert gate.ann.use(ask, statement) == EDENIED  # once
    server.sql(statement, "orders")
    listed = people["ann"].get("/keeps")["items"]
    assert len(listed) == 1 and listed[0]["state"] == "kept" and people["eve"].get("/keeps")["items"] == []
    keep = listed[0]["id"]
    tried = people["ann"].post(f"/keeps/{keep}/undo", {"dry_run": True})
    assert any("TABLE s orders" in r for r in tried["report"]["restored"])
    assert server.sql("SELECT to_regclass('s.orders') IS NULL", "orders") == "t"
    with pytest.raises(Refused):
        people["eve"].post(f"/keeps/{keep}/undo", {})
    with waits(office, "keeper"):  # nothing is asked for in the name of who is locked meanwhile
        asking = Later(people["cai"].post, f"/keeps/{keep}/undo", {"reason": "mine"})
        time.sleep(0.5)
        lock(people, "cai", "disable")
    assert asking.said() == (401, "signed_out")
    assert waiting(people["bob"]) == []
    lock(people, "cai", "enable")
    people["cai"].sign_in()
    wanted = people["ann"].post(f"/keeps/{keep}/undo", {"reason": "the wrong table"})
    assert wanted["kind"] == "undo" and wanted["needed"] == 2
    for name in ("bob", "cai"):
        answer(people[name], wanted)
    wait_for("the undo", 20, lambda: people["ann"].get(f"/keeps/{keep}")["state"] == "undone")
    assert server.sql("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM s.orders t", "orders") == before
    methods = [e["method"] for e in people["audrey"].items("/admin/ledger/events?limit=200") if e["kind"] == "approval"]
    assert {"asked", "approved", "kept", "used", "undone"} <= set(methods)


def test_the_keeper_is_caged(office):
    found, _ = office.doctor()
    text = json.dumps(found)
    assert "keeper" in text
    report = office.role("keeper")["sandbox"]
    assert "seccomp=filter" in report and "no_new_privs=yes" in report and "caps=none" in report
    keeper = os.path.join(office.state, "keeper")
    assert os.stat(keeper).st_mode & 0o077 == 0 and os.stat(keeper).st_uid == office.uids["keeper"]
    pid = office.kill("keeper")  # it comes back, and core finds it again (the tests below keep and undo)
    office.wait_role("keeper", other_than=pid)


def test_a_refusal_reaches_the_gate(people, gate):
    ask = gate.ann.ask("TRUNCATE s.orders")
    asked = waiting(people["cai"])[0]
    people["cai"].post(f"/approvals/{asked['id']}/refuse", {"sha256": asked["sha256"], "reason": "not today"})
    assert gate.done(ask) == (0, "cai", "not today")
    assert gate.ann.use(ask, "TRUNCATE s.orders") == EDENIED


def test_a_refusal_reaches_a_gate_that_was_away(office, people, gate):
    """Whoever waits there would wait for ever."""
    ask = gate.ann.ask("TRUNCATE s.orders, s.orders")
    asked = waiting(people["cai"])[0]
    answer(people["cai"], asked, "refuse")
    again = Gate(office)
    again.line.socket.settimeout(5)
    assert again.done(ask)[:2] == (0, "cai")


def test_an_approver_needs_the_device_that_the_rule_names(people, gate):
    eve = Asker(gate, people["eve"])
    ask = eve.ask("ALTER TABLE s.orders ADD x int", "clerks ask the security administrators", 5,
                  needed=1)
    assert ask > 255
    asked = waiting(people["sam"])[0]
    with pytest.raises(Refused) as what:
        answer(people["sam"], asked)
    assert what.value.code == "device"
    gate.tell(ASK_DROP, struct.pack(">Q", ask))
    wait_for("the withdrawal", 5, lambda: waiting(people["sam"]) == [])


def test_what_a_locked_person_agreed_to_does_not_count(people, gate):
    """His account was in other hands: neither the approval that he completed nor his vote beside a new one holds."""
    ask = gate.ann.ask("TRUNCATE s.orders RESTART IDENTITY")
    asked = waiting(people["bob"])[0]
    answer(people["bob"], asked)
    answer(people["cai"], asked)
    assert gate.done(ask)[0] == 2
    lock(people, "cai", "disable")
    assert gate.ann.use(ask, "TRUNCATE s.orders RESTART IDENTITY") == EDENIED
    lock(people, "cai", "enable")
    people["cai"].sign_in()
    assert gate.ann.use(ask, "TRUNCATE s.orders RESTART IDENTITY") == OK


def test_nor_when_he_is_locked_while_the_ledger_writes(office, people, gate):
    ask = gate.ann.ask("TRUNCATE s.orders CASCADE")
    asked = waiting(people["bob"])[0]
    answer(people["bob"], asked)
    answer(people["cai"], asked)
    assert gate.done(ask)[0] == 2
    with waits(office):
        locking = Later(lock, people, "cai", "disable")
        time.sleep(0.5)
        using = Later(gate.ann.use, ask, "TRUNCATE s.orders CASCADE")
    assert locking.said()[0] == 200
    assert using.said() == (200, EDENIED)
    lock(people, "cai", "enable")
    people["cai"].sign_in()
    assert gate.ann.use(ask, "TRUNCATE s.orders CASCADE") == OK


def test_what_a_gate_cannot_ask(people, gate):
    assert gate.ann.ask("DROP TABLE x", "no such rule") == EDENIED
    stranger = Asker(gate, people["bob"])
    stranger.id ^= 1
    assert stranger.ask("DROP TABLE x") == EDENIED


def test_approval_survives_a_restart_of_core(office, people, gate):
    statement = "DELETE FROM s.orders"
    ask = gate.ann.ask(statement)
    asked = waiting(people["bob"])[0]
    answer(people["bob"], asked)
    pid = office.kill("core")
    office.wait_role("core", other_than=pid)
    asked = wait_for("the portal", 10, lambda: waiting_or_none(people["cai"]))
    assert [v["name"] for v in asked["votes"]] == ["bob"]
    answer(people["cai"], asked)
    again = Gate(office)  # hears at HELLO what was decided
    assert again.done(ask)[0] == 2
    ann = Asker(again, people["ann"])
    for ann.slot in range(32):
        if ann.use(ask, statement) == OK:
            return
    raise AssertionError("the approval could not be used")


def waiting_or_none(person):
    try:
        return (waiting(person) or [None])[0]
    except (Refused, OSError):
        return None


def test_time_ends_it(office, people):
    gate = Gate(office)
    ask = Asker(gate, people["ann"]).ask("DELETE FROM s.orders WHERE true")
    assert ask > 255
    db = sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=10)
    with db:
        db.execute("UPDATE ask SET expires = 1 WHERE state = 0")
    db.close()
    assert gate.done(ask) == (0, "", "nobody approved it in time")


def test_command_line(office, people, tmp_path):
    gate = Gate(office)
    ask = Asker(gate, people["ann"]).ask("DROP TABLE s.orders -- \x1b[31m")
    bob, ann = Shell(office, people["bob"], tmp_path), Shell(office, people["ann"], tmp_path)
    listed = bob.run("approvals", "list", "--state", "waiting")
    name = waiting(people["bob"])[0]["id"]
    assert name in listed and "orders-db/orders" in listed and "0 of 2" in listed and "\x1b" not in listed
    assert "DROP TABLE" in bob.run("approvals", "show", name)
    assert "nothing was done" in bob.run("approvals", "approve", name, status=2)
    assert "waiting (1 of 2)" in bob.run("approvals", "approve", name, "--yes", "--reason", "agreed")
    assert name in bob.run("approvals", "watch", "--once")
    assert "withdrawn" in ann.run("approvals", "withdraw", name)
    assert "undone" in ann.run("db", "keeps")
    assert "undone already" in ann.run("db", "undo", people["ann"].get("/keeps")["items"][0]["id"], status=1)
    assert ask

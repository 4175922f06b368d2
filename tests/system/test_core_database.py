# SPDX-License-Identifier: Apache-2.0
"""Core and databases: tokens, SCRAM, limits, live connections, budgets that lock, credentials.

The test speaks to core.sock as a worker of the database gate does.
OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/db_msg.h, RFC 5802, RFC 7677.
"""
import base64
import hashlib
import hmac
import itertools
import os
import re
import struct
import time

import pytest

from officelib import Office, free_port, wait_for
from portal import Refused
from vault_client import Connection, Reader, text

SASL, CERT, CONN, ASK, ASK_USE, ASK_DROP, SPEND, KEEP, ASK_DONE, KILL, CANCEL = range(0x0100, 0x010b)
HELLO, TOKEN, AGAIN = 1, 2, 5
OK, EINVALID, ELIMIT, ENOTFOUND, EDENIED, EAGAIN = 0, 2, 4, 5, 7, 10
DB = 3
READ, EXPORT, IMPORT, DESTROY = 1, 3, 4, 6
LOOPBACK = bytes(10) + b"\xff\xff\x7f\0\0\1"

DOCUMENTS = {"office.yaml": """\
kind: Office
name: Lantern Trading
time_zone: Asia/Shanghai
---
kind: Role
name: analyst
---
kind: Role
name: dba
---
kind: Resource
name: orders-db
title: { en: Orders, zh: 订单 }
operator: company
class: core
postgres:
  address: 127.0.0.1:1
  tls: loopback
  databases: [orders, archive]
  accounts: [{ roles: [dba], as: op_dba }, { roles: [analyst], as: op_read }]
---
kind: Resource
name: other-db
operator: company
class: core
postgres: { address: "127.0.0.1:1", tls: loopback, databases: x, accounts: [{ roles: [dba], as: x }] }
---
kind: Rule
name: all of it
who: { any: true }
to: { any: true }
may: [connect, read, export, destroy]
---
kind: Budget
name: nobody destroys fast
who: { any: true }
actions: [destroy]
per: 10m
statements: 3
rows: 1000
then: lock
---
kind: Budget
name: slow exports
who: { any: true }
actions: [export]
per: 10m
statements: 2
then: deny
---
kind: Budget
name: slow imports
who: { any: true }
actions: [import]
per: 10m
statements: 2
then: deny
---
kind: Budget
name: few rows
who: { any: true }
actions: [import]
per: 10m
rows: 5
then: lock
"""}


@pytest.fixture(scope="module")
def office():
    one = Office(documents=DOCUMENTS, extra=f'postgres: ["127.0.0.1:{free_port()}"]\ndb_connections_each: 4\n')
    try:
        one.start()
        one.set_up_administrators()
        yield one
    finally:
        one.close()


class Worker(Connection):
    """Keeps what is pushed until somebody looks."""

    pushes = ()

    def call(self, kind, body=b""):
        self.id += 1
        self.socket.send(struct.pack(">BHIB", 1, kind, self.id, 0) + body)
        while True:
            packet = self.socket.recv(256 * 1024)
            assert packet, "core dropped the line"
            _, got_kind, got_id, status = struct.unpack(">BHIB", packet[:8])
            if got_id == self.id:
                assert got_kind == kind
                return status, packet[8:]
            self.pushes += ((got_kind, packet[8:]),)


def gate(office):
    """A worker of the database gate that has said HELLO."""
    uid = office.uids["db"] if office.uids else os.getuid()
    line = Worker(os.path.join(office.run_dir, "core.sock"), uid)
    status, _ = line.call(HELLO, bytes([DB, 1]))
    assert status == OK
    return line


NUMBERS = itertools.count(1)


class Scram:
    """The client's side, message by message, so that a test can bend it."""

    def __init__(self, line, user, password, resource="orders-db", number=None, plus=False, end_point=b"",
                 head=None, peer=LOOPBACK):
        self.line, self.user, self.password, self.resource = line, user, password, resource
        self.number, self.plus, self.end_point, self.peer = number or next(NUMBERS), plus, end_point, peer
        self.head = head or (b"p=tls-server-end-point,," if plus else b"n,,")
        self.bare = b"n=,r=" + base64.b64encode(os.urandom(18))

    def send(self, data):
        body = struct.pack(">IBB", self.number, 1 if self.plus else 0, 1) + self.peer + bytes(32) + \
            text(self.end_point) + text(self.user.encode()) + text(self.resource.encode()) + text(b"") + text(data)
        return self.line.call(SASL, body)

    def first(self):
        """(status, salt)"""
        status, body = self.send(self.head + self.bare)
        if status != OK:
            return status, None
        reader = Reader(body)
        assert reader.number("B") == 0 and reader.take(12) == bytes(12)
        self.server_first = reader.text()
        fields = dict(f.split(b"=", 1) for f in self.server_first.split(b","))
        self.nonce, self.salt = fields[b"r"], base64.b64decode(fields[b"s"])
        assert fields[b"i"] == b"4096" and self.nonce.startswith(self.bare[5:]) and len(self.salt) == 16
        return status, self.salt

    def final(self, binding=None, nonce=None):
        """(status, session id)"""
        bind = base64.b64encode(self.head + self.end_point if self.plus else self.head)
        bare = b"c=" + (bind if binding is None else binding) + b",r=" + (nonce or self.nonce)
        message = self.bare + b"," + self.server_first + b"," + bare
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), self.salt, 4096)
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        status, body = self.send(bare + b",p=" + base64.b64encode(proof))
        if status != OK:
            assert body == b""
            return status, None
        reader = Reader(body)
        assert reader.number("B") == 1
        slot, session = reader.number("I"), reader.number("Q")
        server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        assert reader.text() == b"v=" + base64.b64encode(server)
        self.slot = slot
        return status, session

    def run(self):
        status, _ = self.first()
        return (status, None) if status != OK else self.final()


def token(person, resource="orders-db", **body):
    return person.post(f"/me/databases/{resource}/tokens", body)


def session_of(person):
    return int(person.get("/me")["session"]["id"], 16)


def spend(line, who, action, statements=1, rows=0, nbytes=0, day_rows=0, day_bytes=0, estimated=0, reference=7, carried=0, wants=0,
          guesses=0):
    slot, session = who
    return line.call(SPEND, struct.pack(">IQQBIIQQQQQQQQQBB", slot, session, reference, action, 1 << action, statements, rows,
                                        nbytes, estimated, day_rows, day_bytes, carried, 0, 0, 0, wants, guesses) + text(b"orders-db"))[0]


def spend_body(who, reference, day_rows=0, day_bytes=0, statements=0, carried=0, nbytes=0, next_bytes=1, wants=1):
    slot, session = who
    return struct.pack(">IQQBIIQQQQQQQQQBB", slot, session, reference, READ, 1 << READ, statements, 0, nbytes, 0, day_rows,
                       day_bytes, carried, next_bytes, 0, 0, wants, 0) + text(b"orders-db")


def portion(line, who, reference, **words):
    """(rows, bytes) that are granted now; else the status."""
    status, body = line.call(SPEND, spend_body(who, reference, **words))
    return struct.unpack(">QQ", body) if status == OK else status


def over(line, who, reference, **words):
    """A statement has ended: what it carried off and had not told yet."""
    return line.call(SPEND, spend_body(who, reference, wants=0, **words))[0]


def log_in(office, line, person):
    """(slot, id) of the live session of somebody who logged in with a token."""
    scram = Scram(line, person.name, token(person)["password"])
    status, session = scram.run()
    assert status == OK and session == session_of(person)
    return scram.slot, session


def test_a_token_leads_to_the_session_it_was_made_in(office):
    ann = office.employee("ann", ["analyst"])
    mine = ann.get("/me/databases")["items"]
    assert [(d["name"], d["account"], d["databases"]) for d in mine] == \
        [("orders-db", "op_read", ["orders", "archive"])]
    assert mine[0]["title"] == {"en": "Orders", "zh": "订单"} and mine[0]["port"] > 0
    line = gate(office)
    made = token(ann, database="archive")
    assert made["user"] == "ann" and made["database"] == "orders-db/archive" and len(made["password"]) == 32
    status, session = Scram(line, "ann", made["password"]).run()
    assert (status, session) == (OK, session_of(ann))
    assert Scram(line, "ann", token(ann)["password"]).run()[0] == OK  # a second one
    assert Scram(line, "ann", made["password"]).run()[0] == OK        # the first is good still
    for user, password, resource in (("ann", "wrong", "orders-db"), ("ann", made["password"], "other-db"),
                                     ("sam", made["password"], "orders-db")):
        assert Scram(line, user, password, resource).run() == (EDENIED, None)
    for bad, body, status in (("other-db", {}, 404), ("nowhere", {}, 404), ("orders-db", {"database": "x"}, 422)):
        with pytest.raises(Refused) as what:
            token(ann, bad, **body)
        assert what.value.status == status
    events = office.people["audrey"].items("/admin/ledger/events?limit=100")
    said = [e for e in events if e.get("kind") == "sign-in" and e.get("resource") == "orders-db"]
    assert {e["verdict"] for e in said} == {"allow", "deny"}
    assert {e["detail"]["why"] for e in said if e["verdict"] == "deny"} == {"token"}
    assert made["password"] not in str(events) and made["password"] not in office.log()


def test_channel_binding_is_checked(office):
    ann = office.employee("ann", ["analyst"])
    line = gate(office)
    password = token(ann)["password"]
    end_point = hashlib.sha256(b"certificate").digest()
    assert Scram(line, "ann", password, plus=True, end_point=end_point).run()[0] == OK
    bent = Scram(line, "ann", password, plus=True, end_point=end_point)
    assert bent.first()[0] == OK
    other = base64.b64encode(bent.head + hashlib.sha256(b"another").digest())
    assert bent.final(binding=other) == (EDENIED, None)
    assert Scram(line, "ann", password, head=b"y,,", end_point=end_point).first() == (EDENIED, None)
    assert Scram(line, "ann", password, head=b"p=tls-unique,,").first() == (EDENIED, None)
    bent = Scram(line, "ann", password)
    assert bent.first()[0] == OK
    assert bent.final(nonce=bent.nonce + b"x") == (EDENIED, None)
    assert Scram(line, "ann", password).run()[0] == OK


def test_who_is_unknown_cannot_be_told(office):
    line = gate(office)
    office.employee("pat", [])
    far = bytes(10) + b"\xff\xff\x0a\0\0\1"
    for name in ("nobody-here", "pat", "Not A Name!"):
        salts = {Scram(line, name, "x", peer=far).first()[1] for _ in range(2)}
        assert len(salts) == 1 and None not in salts
    tries = {}
    for name in ("nobody-here", "pat"):
        tries[name] = [Scram(line, name, f"wrong {i}", peer=far).run()[0] for i in range(7)]
    assert tries["nobody-here"] == tries["pat"] == [EDENIED] * 5 + [ELIMIT] * 2


def test_the_door_of_an_account_is_that_of_signing_in(office):
    line = gate(office)
    eve = office.employee("eve", ["analyst"])
    password = token(eve)["password"]
    far = bytes(10) + b"\xff\xff\x0a\0\0\2"
    assert [Scram(line, "eve", "wrong", peer=far).run()[0] for _ in range(6)] == [EDENIED] * 5 + [ELIMIT]
    assert Scram(line, "eve", password, peer=far).run() == (ELIMIT, None)
    with pytest.raises(Refused) as what:
        eve.again().sign_in()
    assert what.value.status == 429


def test_a_token_dies_with_its_session(office):
    line = gate(office)
    max_ = office.employee("max", ["analyst"])
    password = token(max_)["password"]
    assert Scram(line, "max", password).run()[0] == OK
    max_.sign_out()
    assert Scram(line, "max", password).run() == (EDENIED, None)


def conn(line, number, who, state=0, application=b"psql", call=False):
    """call: waits for core's word; its status."""
    slot, session = who
    body = struct.pack(">QB", number, state) + LOOPBACK + bytes(32) + struct.pack(">IQ", slot, session) + \
        text(b"orders-db") + text(b"orders") + text(b"op_read") + text(application)
    if call:
        return line.call(CONN, body)[0]
    return line.socket.send(struct.pack(">BHIB", 1, CONN, 0, 0) + body)


def push(line, kind, seconds=5):
    """The body of the next push of that kind."""
    for got, body in line.pushes:
        if got == kind:
            return body
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        packet = line.socket.recv(256 * 1024)
        if struct.unpack(">BHIB", packet[:8])[1] == kind:
            return packet[8:]
    raise AssertionError("no push came")


def test_a_person_has_as_many_connections_as_the_office_allows(office):
    line, other = gate(office), gate(office)
    who, another = (log_in(office, line, office.employee(name, ["analyst"])) for name in ("tom", "moe"))
    assert [conn(one, 0x4000 + n, who, call=True) for n, one in enumerate((line, other, line, other, line))] == \
        [OK, OK, OK, OK, ELIMIT]
    assert conn(line, 0x4100, another, call=True) == OK, "it is a person's limit"
    assert conn(line, 0x4000, who, call=True) == OK, "asked twice, it is the same"
    conn(line, 0x4000, who, state=1)
    assert conn(line, 0x4200, who, call=True) == OK, "one has left"
    conn(other, 0x4300, who)  # told again after core was away
    line.socket.close()
    assert wait_for("the worker's places", 5, lambda: conn(other, 0x4400, who, call=True) == OK)
    other.socket.close()
    wait_for("the end of the workers'", 5, lambda: not office.people["sam"].get("/admin/databases/connections")["items"])


def test_connections_are_seen_and_ended(office):
    sam = office.people["sam"]
    line, other = gate(office), gate(office)
    lee = office.employee("lee", ["analyst"])
    ann = office.employee("ann", ["analyst"])
    who = log_in(office, line, lee)

    def listed(person, path="/admin/databases/connections"):
        return person.get(path)["items"]

    conn(line, 0x123456789abcdef, who)
    one = wait_for("the connection", 5, lambda: listed(sam))[0]
    assert (one["person"]["name"], one["resource"], one["database"], one["account"], one["application"]) == \
        ("lee", "orders-db", "orders", "op_read", "psql")
    assert one["address"] == "127.0.0.1" and one["device"] is None
    assert listed(lee, "/me/databases/connections") == [one] and listed(ann, "/me/databases/connections") == []
    assert lee.get("/me/databases")["items"][0]["connections"] == 1
    for person, path in ((ann, "/me"), (lee, "/admin")):
        with pytest.raises(Refused):
            person.post(f"{path}/databases/connections/{one['id']}/end", {})
    lee.post(f"/me/databases/connections/{one['id']}/cancel", {})
    assert push(line, CANCEL) == struct.pack(">Q", 0x123456789abcdef)
    sam.post(f"/admin/databases/connections/{one['id']}/end", {"why": "it is late"})
    assert push(line, KILL) == struct.pack(">Q", 0x123456789abcdef) + text(b"it is late")
    conn(other, 0x123456789abcdef, who, state=1)  # another worker cannot say that it is closed
    assert listed(sam) == [one]
    conn(line, 0x123456789abcdef, who, state=1)
    wait_for("its end", 5, lambda: not listed(sam))
    conn(line, 0x23, who)
    wait_for("another", 5, lambda: listed(sam))
    line.socket.close()
    wait_for("the end of the worker's", 5, lambda: not listed(sam))


def test_who_goes_over_a_budget_is_locked_in_all_sessions(office):
    line, other = gate(office), gate(office)
    zhao = office.employee("zhao", ["dba"])
    again = office.person("zhao")  # a second session of the same person
    first, second = log_in(office, line, zhao), log_in(office, other, again)
    assert first != second
    assert spend(line, first, DESTROY, rows=10) == OK
    assert spend(other, second, DESTROY, rows=10) == OK
    assert spend(line, first, READ) == OK  # is in no budget
    office.wait_role("core", other_than=office.kill("core"))
    line = gate(office)
    assert spend(line, first, DESTROY) == OK  # the third; what was spent before the restart counts
    assert spend(line, second, DESTROY, statements=0) == EDENIED  # nothing is left; only asked
    assert zhao.get("/me")["person"]["state"] == "active"
    assert spend(line, second, DESTROY, rows=1) == EDENIED
    push(line, AGAIN)
    for person in (zhao, again):
        with pytest.raises(Refused) as what:
            person.get("/me")
        assert what.value.status == 401
    sam = office.people["sam"]
    state = [p["state"] for p in sam.items("/admin/people") if p["name"] == "zhao"]
    assert state == ["locked"] or state == ["disabled"]
    events = office.people["audrey"].items("/admin/ledger/events?limit=50")
    over = [e for e in events if e.get("method") == "budget: locked"]
    assert len(over) == 1 and over[0]["severity"] == "high" and over[0]["resource"] == "orders-db"
    assert spend(line, first, DESTROY) == EDENIED  # his session is over
    # who is let in again begins anew
    [who] = [p for p in office.person("olga").items("/admin/people") if p["name"] == "zhao"]
    office.person("olga").post(f"/admin/people/{who['id']}/enable")
    third = log_in(office, line, office.person("zhao"))
    assert spend(line, third, DESTROY, rows=10) == OK


def test_too_many_rows_at_once(office):
    line = gate(office)
    qian = office.employee("qian", ["dba"])
    who = log_in(office, line, qian)
    assert spend(line, who, DESTROY, rows=1001) == EDENIED
    with pytest.raises(Refused):
        qian.get("/me")


def test_one_guess_of_a_person_is_under_way(office):
    """Another one waits four seconds for its end, over whatever line it comes; what is no guess goes on, and other people's."""
    line, other = gate(office), gate(office)
    guy = log_in(office, line, office.employee("guy", ["dba"]))
    gus = log_in(office, line, office.employee("gus", ["dba"]))
    assert spend(line, guy, DESTROY, estimated=1, reference=31, guesses=1) == OK
    assert spend(other, gus, DESTROY, estimated=1, reference=32, guesses=1) == OK
    assert spend(line, gus, DESTROY, estimated=1, reference=33) == OK
    began = time.monotonic()
    assert spend(other, guy, DESTROY, estimated=1, reference=34, guesses=1) not in (OK, EDENIED) and 3 < time.monotonic() - began < 7
    assert spend(line, guy, DESTROY, statements=0, rows=2, estimated=1, reference=31) == OK
    assert spend(other, guy, DESTROY, estimated=1, reference=35, guesses=1) == OK
    other.socket.close()
    began = time.monotonic()
    assert spend(line, guy, DESTROY, estimated=1, reference=36, guesses=1) == OK, "the other's went with its line"
    assert spend(line, guy, DESTROY, statements=0, wants=2, reference=36) == OK
    assert spend(line, guy, DESTROY, estimated=1, reference=37, guesses=1) == OK and time.monotonic() - began < 3


def test_estimates_count_until_they_are_settled_once(office):
    line = gate(office)
    wu = office.employee("wu", ["dba"])
    who = log_in(office, line, wu)

    def rows():
        budgets = office.people["sam"].get("/admin/databases/budgets")["budgets"]
        return max(s["rows"] for b in budgets for s in b["spent"] if s["person"]["name"] == "wu")

    assert spend(line, who, DESTROY, estimated=900, reference=21) == OK and rows() == 900
    assert spend(line, who, DESTROY, statements=0, rows=100, estimated=900, reference=21) == OK and rows() == 100
    assert spend(line, who, DESTROY, statements=0, rows=0, estimated=900, reference=21) == OK and rows() == 100
    assert spend(line, who, DESTROY, estimated=800, reference=22) == OK and rows() == 900
    assert spend(line, who, DESTROY, statements=0, estimated=800, reference=23) == OK and rows() == 900  # of nobody
    assert spend(line, who, DESTROY, statements=0, estimated=800, reference=22) == OK and rows() == 100
    assert spend(line, who, DESTROY, estimated=1000, reference=24) == EDENIED  # before it ran
    with pytest.raises(Refused):
        wu.get("/me")


def test_attempts_that_were_refused_are_told_together(office):
    """As many as there is room for count; where only rows do, none is kept, however many there are."""
    line = gate(office)
    ada = office.employee("ada", ["dba"])
    who = log_in(office, line, ada)
    rows = lambda budget: office.store("SELECT statements FROM budget_spent WHERE budget = ?", budget)  # noqa: E731
    before = len(rows("few rows")), len(rows("slow imports"))
    for _ in range(3):
        assert spend(line, who, IMPORT, statements=500, reference=0) == EDENIED
    assert rows("slow imports")[before[1]:] == [(2,)] and len(rows("few rows")) == before[0]
    assert spend(line, who, IMPORT, reference=91) == EDENIED
    ada.get("/me")


def test_what_did_not_run_is_given_back_once_and_to_its_own(office):
    line = gate(office)
    mei, ned = (office.employee(name, ["dba"]) for name in ("mei", "ned"))
    who, other = (log_in(office, line, person) for person in (mei, ned))

    def left():
        """Statements and rows of the budget that are spent."""
        budgets = office.people["sam"].get("/admin/databases/budgets")["budgets"]
        return [(s["statements"], s["rows"]) for b in budgets for s in b["spent"] if s["person"]["name"] == "mei"]

    def undo(person, reference, **words):
        return spend(line, person, DESTROY, statements=0, reference=reference, wants=2, **words)

    for reference in (51, 52):
        assert spend(line, who, DESTROY, estimated=100, reference=reference) == OK
    assert undo(other, 51) == OK and left() == [(2, 200)], "of somebody else"
    assert undo(who, 51) == OK and undo(who, 51) == OK and left() == [(1, 100)]
    assert spend(line, who, DESTROY, statements=0, rows=30, estimated=100, reference=52) == OK
    assert undo(who, 52) == OK and left() == [(1, 30)], "what ran has run"
    for reference in (53, 54):
        assert spend(line, who, DESTROY, estimated=100, reference=reference) == OK
    mei.sign_out()
    assert undo(other, 53) == OK and left() == [(3, 230)]
    assert undo(who, 53) == OK and left() == [(2, 130)], "its session has ended meanwhile"
    assert spend(line, who, DESTROY, statements=0, rows=5, estimated=100, reference=54) == EDENIED and left() == [(2, 35)]
    assert spend(line, who, DESTROY, statements=0, rows=5, estimated=100, reference=54) == EDENIED and left() == [(2, 35)]
    line.socket.send(struct.pack(">BHIB", 1, SPEND, 9, 0) + spend_body(who, 52, statements=1, wants=2))
    assert line.socket.recv(1000) == b"", "to run and not to have run"


def test_a_budget_that_denies_and_a_limit_a_day(office):
    line = gate(office)
    sun = office.employee("sun", ["analyst"])
    who = log_in(office, line, sun)
    assert [spend(line, who, EXPORT) for _ in range(3)] == [OK, OK, EDENIED]
    assert sun.get("/me")["person"]["name"] == "sun"  # not locked
    assert spend(line, who, READ, carried=600, day_rows=1000) == OK
    assert spend(line, who, READ, carried=500, day_rows=1000) == EDENIED
    assert spend(line, who, READ, carried=400, day_rows=1000) == OK
    assert spend(line, who, READ, statements=0, day_rows=1000) == EDENIED
    assert spend(line, who, READ, nbytes=10, day_bytes=5) == EDENIED
    used = office.people["sam"].get("/admin/databases/budgets")
    assert [(s["person"]["name"], s["rows"]) for s in used["today"] if s["person"]["name"] == "sun"] == [("sun", 1000)]
    spent = {b["name"]: [s["statements"] for s in b["spent"] if s["person"]["name"] == "sun"] for b in used["budgets"]}
    assert [2] in spent.values(), used
    assert spend(line, who, READ, statements=0, nbytes=9, day_bytes=5) == EDENIED  # it ran: it counts
    assert spend(line, who, READ, nbytes=0, day_bytes=9) == EDENIED
    time.sleep(2.2)  # what a day holds is written once a second
    office.wait_role("core", other_than=office.kill("core"))
    assert spend(gate(office), who, READ, carried=1, day_rows=1000) == EDENIED


def test_a_day_is_granted_in_portions_and_never_twice(office):
    """What is granted counts; what was not used comes back; a worker that dies with a grant has used it."""
    line, other = gate(office), gate(office)
    who, second = (log_in(office, line, office.employee(name, ["analyst"])) for name in ("ian", "ivy"))
    day = {"day_rows": 1600}
    assert [portion(line, who, n, **day) for n in range(1, 17)] == [(100, 0)] * 16
    assert portion(other, second, 1, **day) == (100, 0), "another person's day"

    began = time.monotonic()
    assert portion(line, who, 17, **day) == EAGAIN, "others have all of it"
    assert 3 < time.monotonic() - began < 7
    assert over(other, who, 4, **day) == EDENIED, "the grants of another worker are not its own"
    assert over(line, second, 99, **day) == OK

    line.socket.send(struct.pack(">BHIB", 1, SPEND, 4242, 0) + spend_body(who, 18, **day))
    line.socket.send(struct.pack(">BHIB", 1, SPEND, 4243, 0) + spend_body(who, 2, wants=0, carried=30, **day))
    replies = {struct.unpack(">BHIB", packet[:8])[2]: packet for packet in (line.socket.recv(4096) for _ in range(2))}
    assert replies[4243][7] == OK
    assert (replies[4242][7], struct.unpack(">QQ", replies[4242][8:])) == (OK, (70, 0)), "as soon as one ends"

    assert portion(line, who, 3, carried=100, **day) == EAGAIN, "the next portion"
    over(line, who, 3, **day)
    line.socket.close()
    wait_for("the end of the worker", 5, lambda: portion(other, who, 50, **day) == EDENIED)
    used = office.people["sam"].get("/admin/databases/budgets")["today"]
    assert [s["rows"] for s in used if s["person"]["name"] == "ian"] == [1600]
    assert portion(other, second, 2, day_rows=1600, next_bytes=1 << 40) == (100, 0)
    assert portion(other, second, 3, day_bytes=1 << 20, next_bytes=1 << 21) == EDENIED
    assert portion(other, second, 4, day_bytes=1 << 20, next_bytes=1 << 19) == (0, 1 << 19)


def test_what_was_granted_ends_with_the_session(office):
    line = gate(office)
    jon = office.employee("jon", ["analyst"])
    who = log_in(office, line, jon)
    assert [portion(line, who, n, day_rows=64) for n in (1, 2)] == [(64, 0), EAGAIN]
    jon.sign_out()
    over(line, who, 1, carried=4, day_rows=64)
    used = office.people["sam"].get("/admin/databases/budgets")["today"]
    assert [s["rows"] for s in used if s["person"]["name"] == "jon"] == [4]


def rows_today(office, name):
    used = office.people["sam"].get("/admin/databases/budgets")["today"]
    return [s["rows"] for s in used if s["person"]["name"] == name]


def test_what_has_left_counts_when_the_next_portion_is_refused(office):
    """The session ends between two portions: what is told with the question is counted, whoever may not ask any more."""
    line = gate(office)
    joy = office.employee("joy", ["analyst"])
    who = log_in(office, line, joy)
    assert portion(line, who, 1, day_rows=1600) == (100, 0)
    joy.sign_out()
    assert portion(line, who, 1, carried=90, day_rows=1600) == EDENIED
    assert over(line, who, 1, carried=10, day_rows=1600) == EDENIED
    assert rows_today(office, "joy") == [100]


def move_office(office, zone):
    sam = office.people["sam"]
    files = sam.get("/admin/policy/documents")["files"]
    for file in files:
        file["text"] = re.sub("time_zone: .*", f"time_zone: {zone}", file["text"])
    sam.fresh()
    sam.post("/admin/policy/apply", {"files": files, "comment": "the office moves"})


def test_a_day_that_comes_back_is_as_it_was(office):
    """Where the office moves and moves back, what is granted of a day still is, and nothing is granted twice."""
    line = gate(office)
    who = log_in(office, line, office.employee("kim", ["analyst"]))
    west, east = "Pacific/Pago_Pago", "Pacific/Kiritimati"  # never of one day
    day = {"day_rows": 64}
    try:
        move_office(office, west)
        assert portion(line, who, 1, **day) == (64, 0)
        move_office(office, east)
        assert portion(line, who, 2, day_rows=200) == (64, 0)
        move_office(office, west)
        assert portion(line, who, 3, **day) == EAGAIN, "the first holds all of it"
        over(line, who, 1, carried=4, **day)
        assert rows_today(office, "kim") == [4]
        assert portion(line, who, 4, **day) == (60, 0)
        over(line, who, 4, **day)
        assert portion(line, who, 5, carried=60, **day) == EDENIED, "all of it has left"
    finally:
        move_office(office, "Asia/Shanghai")


def test_credentials_go_in_and_do_not_come_out(office):
    sam = office.people["sam"]
    sam.fresh()
    path = "/admin/databases/credentials"
    made = sam.put(f"{path}/orders-db/op_read", {"password": "tulip-garden"})
    assert made["name"] == "orders-db/op_read" and made["scram"].startswith("SCRAM-SHA-256$4096:")
    generated = sam.put(f"{path}/orders-db/op_dba", {})["scram"]
    assert generated != sam.put(f"{path}/orders-db/op_dba", {})["scram"]
    items = sam.get(path)["items"]
    assert sorted((i["resource"], i["account"]) for i in items) == [("orders-db", "op_dba"), ("orders-db", "op_read")]
    for where, body in ((f"{path}/nowhere/op", {}), (f"{path}/orders-db/op", {"password": "a\tb"})):
        with pytest.raises(Refused):
            sam.put(where, body)
    sam.call("DELETE", f"{path}/orders-db/op_dba")
    with pytest.raises(Refused) as what:
        sam.call("DELETE", f"{path}/orders-db/op_dba")
    assert what.value.status == 404
    for person in (office.people["ann"], office.people["audrey"]):
        with pytest.raises(Refused) as what:
            person.put(f"{path}/orders-db/op_read", {})
        assert what.value.status == 403
    assert "tulip-garden" not in office.log()
    assert "tulip-garden" not in str(office.people["audrey"].items("/admin/ledger/events?limit=100"))


def test_hostile_messages_end_the_line_only(office):
    for kind, body in ((SASL, b""), (SASL, b"\xff" * 100), (CERT, bytes(200)), (SPEND, b"x"), (0x01ff, b""),
                       (CONN, bytes(40))):
        line = gate(office)
        line.socket.send(struct.pack(">BHIB", 1, kind, 9, 0) + body)
        line.socket.settimeout(5)
        assert line.socket.recv(1000) == b""
    assert gate(office)


def test_a_database_gate_gets_no_identity_tokens(office):
    """They are for applications, whose gate it is not: the line is dropped."""
    line = gate(office)
    with pytest.raises((AssertionError, OSError), match="dropped|reset"):
        line.call(TOKEN, struct.pack(">IQ", 0, 1) + text(b"files"))

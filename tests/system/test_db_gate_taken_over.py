# SPDX-License-Identifier: Apache-2.0
"""A worker of the database gate that was taken over: with its uid, everything it can say to the other roles. It approves
nothing, uses nothing that others did not agree to, gets no keep, reads no password, no file and no ledger.

OWNS an office and a server. PROCESS tests. TRUST none. SPEC docs/THREAT-MODEL.md section 4.
"""

import fcntl
import hashlib
import os
import random
import socket
import struct

import pytest

import vault_client as vc
from test_approvals_statement import (ASK_USE, KEEP, STATEMENT, Asker, Gate, answer, credential, documents,  # noqa: F401
                                      gate, office, people, server, waiting)
from vault_client import Connection, EDENIED, EINVALID, ELIMIT, OK, text

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="uids are told apart as root only")
SECRET = b"kept-word"
ATTACH, APPEND = 0x0300, 0x0304  # lib/proto/ledger_msg.h
WEB, DB = 1, 3  # sp_gate
F_ADD_SEALS, F_SEAL_SHRINK = 1033, 2


def say(path, uid, kind, body):
    """The reply's status and body; None: it was dropped."""
    line = Connection(path, uid)
    try:
        return line.call(kind, body)
    except (ConnectionError, struct.error, AssertionError, TimeoutError):
        return None
    finally:
        line.socket.close()


def bodies():
    """What could mean something to somebody: names, numbers, nothing, noise."""
    dice = random.Random(7)
    name = b"orders-db/op_keep"
    yield b""
    yield name
    yield text(name)
    yield text(name) + text(b"x")
    yield bytes(64)
    yield b"\xff" * 64
    yield struct.pack(">Q", 1) + text(name) * 4
    for _ in range(4):
        yield dice.randbytes(dice.randrange(1, 200))


def test_the_vault_gives_it_signatures_and_proofs_only(office, people, server):
    credential(office, server)
    path = os.path.join(office.run_dir, "vault.sock")
    allowed = {vc.PING, vc.CA, vc.TLS_IDENTITY, vc.TLS_KEY, vc.TLS_SIGN, vc.DB_PROOF, vc.DB_CERTIFICATE}
    public = {vc.TOKEN_JWKS}
    for kind in range(0x0200, 0x0240):
        for body in bodies():
            got = say(path, office.uids["db"], kind, body)
            if kind not in allowed | public:
                assert got is None or (got[0] != OK and got[1] == b""), (hex(kind), body, got)
            assert got is None or SECRET not in got[1]


def test_the_keeper_does_not_hear_it(office, people):
    path = os.path.join(office.run_dir, "keeper.sock")
    for kind in range(0x0400, 0x0408):
        for body in bodies():
            try:
                assert say(path, office.uids["db"], kind, body) is None
            except PermissionError:
                pass


def test_the_ledger_takes_its_ring_and_tells_it_nothing(office, people):
    path = os.path.join(office.run_dir, "ledger.sock")
    for kind in set(range(0x0300, 0x0320)) - {ATTACH, 0x0301, 0x0302, 0x0303}:  # WAKE, FLUSH, DETACH
        for body in bodies():
            got = say(path, office.uids["db"], kind, body)
            assert got is None or (got[0] != OK and got[1] == b""), (hex(kind), body, got)
    append = struct.pack(">QQHI", 77, 1, 1, 4) + b"what"
    assert say(path, office.uids["db"], APPEND, append)[0] == EDENIED
    assert say(path, office.uids["core"], APPEND, append)[0] == EINVALID


def attach(office, role, gate, name):
    """(the line, status) of a ring that this role brings"""
    number = random.getrandbits(63) | 1
    ring = os.memfd_create("ring", os.MFD_ALLOW_SEALING)
    os.ftruncate(ring, 4096 + 65536)
    os.pwrite(ring, struct.pack("=QQQ", 0x53505247494E4731, 65536, number), 0)  # sp_ring_head
    fcntl.fcntl(ring, F_ADD_SEALS, F_SEAL_SHRINK)
    line = Connection(os.path.join(office.run_dir, "ledger.sock"), office.uids[role])
    packet = struct.pack(">BHIB", 1, ATTACH, 1, 0) + struct.pack(">QB", number, gate) + text(name)
    socket.send_fds(line.socket, [packet], [ring])
    os.close(ring)
    return line, line.socket.recv(4096)[7]


def test_its_ring_is_called_like_its_gate_and_leaves_room(office, people):
    """Sources of the ledger: who a ring is of is its user's word, not its own, and 80 are enough for a gate."""
    for role, gate, name in (("db", DB, b"vault"), ("db", DB, b"core"), ("db", DB, b"dbx"), ("db", DB, b"web worker 1"),
                             ("db", WEB, b"web worker 1"), ("db", 0, b"db worker 1"), ("core", DB, b"db worker 1"),
                             ("vault", 0, b"vault")):
        line, status = attach(office, role, gate, name)
        line.socket.close()
        assert status == EDENIED, (role, gate, name)
    lines = []
    for number in range(90):
        line, status = attach(office, "db", DB, b"db worker %d" % number)
        lines.append(line)
        if status != OK:
            break
    assert status == ELIMIT and 60 < len(lines) <= 81
    others, status = attach(office, "web", WEB, b"web worker 99")
    assert status == OK
    office.cli("ledger", "verify", "-c", office.config)
    for line in (*lines, others):
        line.socket.close()


def test_roots_own_door_is_shut(office, people):
    line = socket.socket(socket.AF_UNIX)
    os.seteuid(office.uids["db"])
    try:
        with pytest.raises((PermissionError, ConnectionError, AssertionError)):
            line.connect(os.path.join(office.run_dir, "local.sock"))
            line.sendall(b"GET /api/v1/admin/people HTTP/1.1\r\nHost: portal.office.localhost\r\n\r\n")
            answer_ = line.recv(4096)
            assert answer_.startswith(b"HTTP/1.1 200")
    finally:
        os.seteuid(0)
        line.close()


def test_no_file_of_another_role_opens(office, people):
    os.seteuid(office.uids["db"])
    try:
        for role in ("vault", "keeper", "core", "ledger"):
            with pytest.raises(PermissionError):
                os.listdir(os.path.join(office.state, role))
    finally:
        os.seteuid(0)


def test_core_lets_it_ask_and_use_and_no_more(office, people, gate, server):
    """Whatever it says to core: what waits goes on waiting until other people have voted."""
    credential(office, server)
    objects = [{"kind": "table", "schema": "s", "name": "orders"}]
    ask = gate.ann.ask(STATEMENT, objects=objects)
    assert ask > 255
    slot, session, right = gate.ann.slot, gate.ann.id, hashlib.sha256(STATEMENT.encode()).digest()
    hostile = Gate(office)
    dice = random.Random(8)
    for kind in list(range(0, 0x0010)) + list(range(0x0100, 0x0120)):
        for body in [*bodies(), struct.pack(">Q", ask), struct.pack(">QBB", ask, 2, 9) + text(b"bob") + text(b""),
                     struct.pack(">QIQ", ask, slot, session) + dice.randbytes(32)]:
            if kind == 0x0105:  # it may withdraw: that harms the asker only
                continue
            say(os.path.join(office.run_dir, "core.sock"), office.uids["db"], kind, body)
    found = people["bob"].get("/approvals?state=waiting")["items"]
    mine = next(a for a in found if a["asker"]["name"] == "ann")
    assert mine["approvals"] == 0 if "approvals" in mine else not mine["votes"]

    def use(number=ask, at=slot, who=session, sha=right):
        return hostile.call(ASK_USE, struct.pack(">QIQ", number, at, who) + sha)[0]

    def keep(number=ask, resource=b"orders-db", database=b"orders", whole=0, relations=b'[{"schema":"s","name":"orders"}]'):
        body = struct.pack(">QBI", number, whole, 0) + text(resource) + text(database) + text(relations) + text(b"") + text(b"DROP")
        return hostile.call(KEEP, body)

    assert use() == EDENIED and keep()[0] == EDENIED
    answer(people["bob"], mine)
    assert use() == EDENIED and keep()[0] == EDENIED
    answer(people["cai"], mine)
    bob = Asker(hostile, people["bob"])
    for wrong in (use(sha=bytes(32)), use(number=ask ^ 1), use(who=bob.id), use(who=session ^ 1)):
        assert wrong == EDENIED
    for place in ((b"other-db", b"orders"), (b"orders-db", b"postgres"), (b"orders-db", b"")):
        assert keep(resource=place[0], database=place[1])[0] == EDENIED
    kept = [keep() for _ in range(4)]
    assert [status for status, _ in kept] == [OK, OK, EDENIED, EDENIED]  # it does not fill the keeper's room
    assert all(body[24:] == text(b"") for status, body in kept if status == OK)  # a number, a size, a time: no content
    assert use() == OK and use() == EDENIED
    assert keep()[0] == EDENIED


def test_it_cannot_have_anything_undone(office, people):
    """There is no message for it; over HTTP it is a browser without a cookie."""
    keeps = people["ann"].get("/keeps")["items"]
    assert keeps
    line = socket.socket(socket.AF_UNIX)
    os.seteuid(office.uids["db"])
    try:
        line.connect(os.path.join(office.run_dir, "api.sock"))
    except PermissionError:
        return
    finally:
        os.seteuid(0)
    line.sendall(f"POST /api/v1/keeps/{keeps[0]['id']}/undo HTTP/1.1\r\nHost: portal.office.localhost\r\n"
                 "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".encode())
    said = line.recv(4096)
    assert b" 401 " in said or b" 403 " in said or said == b""
    assert people["ann"].get(f"/keeps/{keeps[0]['id']}")["state"] == "kept"

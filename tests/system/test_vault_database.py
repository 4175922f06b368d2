# SPDX-License-Identifier: Apache-2.0
"""The vault logs in at a real PostgreSQL without its password leaving: SCRAM-SHA-256 and md5.

OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/vault_msg.h "DB_PROOF", RFC 7677.
"""
import base64
import os
import socket
import struct

import pytest

import vault_client as vc
from pglib import Postgres
from test_vault_role import as_root, folder, vault  # noqa: F401 (fixtures)
from vault_client import Reader, text

NAME = b"orders-db/op_dba"


def message(sock):
    """(type, body) of one message of the server."""
    head = b""
    while len(head) < 5:
        piece = sock.recv(5 - len(head))
        assert piece, "the server closed the connection"
        head += piece
    left = struct.unpack(">I", head[1:])[0] - 4
    body = b""
    while len(body) < left:
        body += sock.recv(left - len(body))
    return head[:1], body


def send(sock, kind, body):
    sock.sendall(kind + struct.pack(">I", len(body) + 4) + body)


class LogIn:
    """Start-up and the authentication that the server asks for; `error` is its refusal."""

    def __init__(self, port, user, database="postgres"):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.user = user
        self.error = None
        start = struct.pack(">I", 196608) + b"user\0" + user.encode() + b"\0database\0" + \
            database.encode() + b"\0\0"
        self.sock.sendall(struct.pack(">I", len(start) + 4) + start)
        self.kind, self.body = self.auth()

    def auth(self):
        kind, body = message(self.sock)
        if kind == b"E":
            self.error = body
            return None, body
        assert kind == b"R"
        return struct.unpack(">I", body[:4])[0], body[4:]

    def scram(self, prove):
        """prove(salt, iterations, auth_message) -> (proof, server signature that must come)"""
        assert self.kind == 10 and b"SCRAM-SHA-256\0" in self.body
        bare = "n=,r=" + base64.b64encode(os.urandom(18)).decode()
        first = ("n,," + bare).encode()
        send(self.sock, b"p", b"SCRAM-SHA-256\0" + struct.pack(">I", len(first)) + first)
        kind, body = self.auth()
        assert kind == 11
        fields = dict(f.split("=", 1) for f in body.decode().split(","))
        without = f"c=biws,r={fields['r']}"
        proof, server = prove(base64.b64decode(fields["s"]), int(fields["i"]),
                              f"{bare},{body.decode()},{without}")
        send(self.sock, b"p", f"{without},p={base64.b64encode(proof).decode()}".encode())
        kind, body = self.auth()
        if kind is None:
            return False
        assert kind == 12 and body.decode() == "v=" + base64.b64encode(server).decode()
        return self.auth()[0] == 0

    def md5(self, prove):
        """prove(salt) -> "md5..." """
        assert self.kind == 5
        send(self.sock, b"p", prove(self.body) + b"\0")
        return self.auth()[0] == 0


@pytest.fixture(scope="module")
def server():
    made = Postgres()
    yield made
    made.close()


def put(vault, name, password=b""):
    return vault.connect("core").call(vc.DB_CREDENTIAL_PUT, text(name) + text(password))


def proof(connection, name, salt, iterations=4096, auth_message="", method=0):
    status, body = connection.call(vc.DB_PROOF, bytes([method]) + text(name) + text(salt) +
                                   struct.pack(">I", iterations) + text(auth_message.encode()))
    assert status == vc.OK, status
    reader = Reader(body)
    return reader.text(), reader.text()


def test_logs_in_with_a_password_that_nobody_saw(vault, server):
    status, secret = put(vault, NAME)
    assert status == vc.OK and secret.startswith(b"SCRAM-SHA-256$4096:")
    server.sql(f"CREATE ROLE op_dba LOGIN PASSWORD '{secret.decode()}'")
    gate = vault.connect("db")

    def prove(salt, iterations, auth_message):
        return proof(gate, NAME, salt, iterations, auth_message)

    assert LogIn(server.port, "op_dba").scram(prove)
    assert LogIn(server.port, "op_dba").scram(prove)  # by the remembered salted password
    # a new password in the vault alone no longer fits
    assert put(vault, NAME)[0] == vc.OK
    refused = LogIn(server.port, "op_dba")
    assert not refused.scram(prove) and b"28P01" in refused.error


def test_answers_md5(vault, server):
    assert put(vault, b"orders-db/old_md5", b"correct horse")[0] == vc.OK
    server.sql("SET password_encryption = 'md5'", "CREATE ROLE old_md5 LOGIN PASSWORD 'correct horse'")
    gate = vault.connect("db")
    assert LogIn(server.port, "old_md5").md5(
        lambda salt: proof(gate, b"orders-db/old_md5", salt, 0, method=1)[0])


@as_root
def test_each_role_may_do_its_own_part_only(vault):
    vault.start_ledger()
    assert put(vault, NAME, b"tulip-garden")[0] == vc.OK
    assert vault.connect("core").call(vc.DB_KEY_PUT, NAME)[0] == vc.OK
    ask = bytes([0]) + text(NAME) + text(b"salt") + struct.pack(">I", 4096) + text(b"n=,r=a")
    key = b"db-key:" + NAME
    bodies = {vc.DB_CREDENTIAL_PUT: text(NAME) + text(b"x"), vc.DB_CREDENTIAL_LIST: b"",
              vc.DB_CREDENTIAL_REMOVE: NAME, vc.DB_PROOF: ask, vc.DB_PASSWORD: NAME,
              vc.DB_KEY_PUT: NAME, vc.DB_CERTIFICATE: NAME, vc.TLS_KEY: key,
              vc.TLS_SIGN: text(key) + struct.pack(">H", 0x0403) + text(bytes(32))}
    may = {"core": {vc.DB_CREDENTIAL_LIST}, "db": {vc.DB_PROOF, vc.DB_CERTIFICATE, vc.TLS_KEY, vc.TLS_SIGN},
           "keeper": {vc.DB_PASSWORD}}
    for role in ("core", "ledger", "web", "db", "keeper", "courier", "stranger"):
        for kind, body in bodies.items():
            if role == "core" and kind in (vc.DB_CREDENTIAL_PUT, vc.DB_CREDENTIAL_REMOVE, vc.DB_KEY_PUT):
                continue
            status, reply = vault.connect(role).call(kind, body)
            allowed = kind in may.get(role, ())
            assert status == (vc.OK if allowed else vc.EDENIED), (role, hex(kind))
            assert allowed or reply == b""


def test_keeps_lists_and_removes(vault):
    assert put(vault, NAME, b"tulip-garden")[0] == vc.OK
    for name, password in ((b"orders-db", b"x"), (b"a/b/c", b"x"), (b"a/b", b"new\nline"),
                           (b"a/b", "pässword".encode())):
        assert put(vault, name, password)[0] == vc.EINVALID
    vault.stop()
    vault.start()
    status, body = vault.connect("core").call(vc.DB_CREDENTIAL_LIST)
    reader = Reader(body)
    assert status == vc.OK and reader.number("H") == 1 and reader.text() == NAME
    assert b"tulip-garden" not in body
    assert vault.connect("core").call(vc.DB_CREDENTIAL_REMOVE, NAME)[0] == vc.OK
    assert vault.connect("core").call(vc.DB_CREDENTIAL_REMOVE, NAME)[0] == vc.ENOTFOUND
    for bad in (b"", bytes([0]) + text(NAME), bytes([9]) + text(NAME)):
        assert vault.connect("db").call(vc.DB_PROOF, bad)[0] in (vc.EINVALID, 3)
    assert b"tulip-garden" not in vault.log.read_bytes()

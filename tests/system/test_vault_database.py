# SPDX-License-Identifier: Apache-2.0
"""The vault logs in at a real PostgreSQL without its password leaving: SCRAM-SHA-256 and md5.

OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/vault_msg.h "DB_PROOF", RFC 7677.
"""
import os
import pathlib
import struct

import pytest

import vault_client as vc
from postgres import LogIn, Postgres
from test_vault_role import as_root, reachable
from vault_client import Reader, Vault, text

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = ROOT / os.environ.get("SALLYPORT_BUILD", "build") / "cli/sallyport"
NAME = b"orders-db/op_dba"


@pytest.fixture
def vault(tmp_path_factory):
    made = Vault(PROGRAM, reachable(tmp_path_factory))
    yield made.start()
    if made.process is not None:
        made.stop()


@pytest.fixture(scope="module")
def server():
    made = Postgres(hba="host all op_md5 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 scram-sha-256\n")
    yield made
    made.stop()


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
    assert put(vault, b"orders-db/op_md5", b"correct horse")[0] == vc.OK
    server.sql("SET password_encryption = 'md5'; CREATE ROLE op_md5 LOGIN PASSWORD 'correct horse'")
    gate = vault.connect("db")
    assert LogIn(server.port, "op_md5").md5(
        lambda salt: proof(gate, b"orders-db/op_md5", salt, 0, method=1)[0])


@as_root
def test_each_role_may_do_its_own_part_only(vault):
    assert put(vault, NAME, b"tulip-garden")[0] == vc.OK
    ask = bytes([0]) + text(NAME) + text(b"salt") + struct.pack(">I", 4096) + text(b"n=,r=a")
    bodies = {vc.DB_CREDENTIAL_PUT: text(NAME) + text(b"x"), vc.DB_CREDENTIAL_LIST: b"",
              vc.DB_CREDENTIAL_REMOVE: NAME, vc.DB_PROOF: ask, vc.DB_PASSWORD: NAME}
    may = {"core": {vc.DB_CREDENTIAL_LIST}, "db": {vc.DB_PROOF}}
    for role in ("core", "ledger", "web", "db", "stranger"):
        for kind, body in bodies.items():
            if role == "core" and kind in (vc.DB_CREDENTIAL_PUT, vc.DB_CREDENTIAL_REMOVE):
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

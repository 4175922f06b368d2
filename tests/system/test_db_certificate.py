# SPDX-License-Identifier: Apache-2.0
"""Log-in at the server by a certificate of the vault: the key never leaves it, and removing it ends it at once.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "By certificate".
"""
import contextlib
import os

import psycopg2
import pytest

from dblib import DOCUMENTS, DatabaseOffice
from officelib import wait_for
from portal import Refused

CERTIFIED = DOCUMENTS.replace("  databases: [orders]", "  sign_in: certificate\n  databases: [orders]")


@pytest.fixture(scope="module")
def db():
    one = DatabaseOffice(documents=CERTIFIED, workers=1)
    try:
        yield one
    finally:
        one.close()


def put_key(db, account):
    return db.office.people["sam"].put(f"/admin/databases/credentials/orders-db/{account}", {"certificate": True})


def refused(db):
    with pytest.raises(psycopg2.OperationalError) as error:
        db.connect("lin")
    return str(error.value)


def who(db):
    try:
        connection = db.connect("lin")
    except psycopg2.OperationalError:
        return None
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return cursor.fetchone()[0]


def set_hba(db, line):
    path = os.path.join(db.server.data, "pg_hba.conf")
    with open(path, encoding="ascii") as file:
        lines = [one for one in file if not one.startswith("hostssl all op_dba")]
    with open(path, "w", encoding="ascii") as file:
        file.writelines([line + "\n"] * bool(line) + lines)
    db.server.sql("SELECT pg_reload_conf()")


def trust_authority(db, pem):
    """The vault's authority becomes the server's ssl_ca_file, as it is printed."""
    path = os.path.join(db.server.dir, "clients.pem")
    with open(path, "w", encoding="ascii") as file:
        file.write(pem)
    os.chmod(path, 0o644)
    db.server.sql(f"ALTER SYSTEM SET ssl_ca_file = '{path}'", "SELECT pg_reload_conf()")
    wait_for("the server's new authority", 10, lambda: db.server.sql("SHOW ssl_ca_file")[0][0] == path)


def test_by_certificate(db):
    """In order: nothing there, a key that the server does not know, one that it trusts, and none again."""
    assert "no key" in refused(db)
    answer = put_key(db, "op_dba")
    assert answer["name"] == "orders-db/op_dba" and "PRIVATE" not in answer["authority"]
    wait_for("a server that wants the password alone to be left", 20, lambda: "asks for no certificate" in refused(db))

    trust_authority(db, answer["authority"])
    set_hba(db, "hostssl all op_dba 127.0.0.1/32 cert")
    assert wait_for("the log-in", 10, lambda: who(db)) == "op_dba"
    kinds = {(one["account"], one["kind"]) for one in db.office.people["sam"].get("/admin/databases/credentials")["items"]}
    assert kinds == {("op_dba", "password"), ("op_dba", "certificate")}

    set_hba(db, "hostssl all op_dba 127.0.0.1/32 scram-sha-256 clientcert=verify-full")
    assert wait_for("certificate and password", 20, lambda: who(db)) == "op_dba"

    set_hba(db, "hostssl all op_dba 127.0.0.1/32 cert map=nobody")
    wait_for("the server's refusal of another's name", 20, lambda: who(db) is None)
    assert "refuses the gate's log-in" in refused(db)

    set_hba(db, "hostssl all op_dba 127.0.0.1/32 cert")
    assert put_key(db, "op_dba")["authority"] == answer["authority"], "another key, the same authority"
    assert wait_for("the log-in by another key", 20, lambda: who(db)) == "op_dba"
    db.office.people["sam"].call("DELETE", "/admin/databases/credentials/orders-db/op_dba")
    assert "no key" in refused(db)


def test_what_is_asked_for_is_one_thing(db):
    with pytest.raises(Refused) as refusal:
        db.office.people["sam"].put("/admin/databases/credentials/orders-db/op_dba", {"certificate": True, "password": "both"})
    assert refusal.value.status == 422

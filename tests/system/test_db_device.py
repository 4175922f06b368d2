# SPDX-License-Identifier: Apache-2.0
"""Devices at the database gate: a certificate instead of a password, and with one; another's does not serve.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "People".
"""

import os
import shlex
import subprocess

import psycopg2
import pytest

from dblib import DOCUMENTS, DatabaseOffice
from devicelib import Device
from officelib import PROGRAM, wait_for
from test_core_cli import Shell

COMPANY_ONLY = DOCUMENTS.replace("who: { roles: [dba] }\nto:", "who: { roles: [dba] }\non: { owner: company }\nto:")


@pytest.fixture(scope="module")
def db():
    one = DatabaseOffice(documents=COMPANY_ONLY)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def device(db, tmp_path_factory):
    """The agent's folder of lin's company laptop, and certificate and key in PEM."""
    folder = tmp_path_factory.mktemp("laptop")
    made = db.people["lin"].post("/me/devices/enrol-code")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "SALLYPORT_AGENT_DIR": str(folder / "agent")}
    agent = subprocess.Popen([PROGRAM, *shlex.split(made["command"])[1:], "--name", "lin-laptop"], env=env,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    agent.stdin.write(made["code"] + "\n")
    agent.stdin.flush()
    sam = db.office.people["sam"]
    one = wait_for("the enrolment", 20, lambda: [d for d in sam.get("/admin/devices")["items"]
                                                 if d["state"] == "pending"])[0]
    sam.post(f"/admin/devices/{one['id']}/approve", {"owner": "company"})
    said, _ = agent.communicate(timeout=60)
    assert agent.returncode == 0, said
    key = str(folder / "key.pem")
    subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", str(folder / "agent" / "device.key"), "-out", key],
                   check=True, capture_output=True)
    os.chmod(key, 0o600)
    return {"dir": str(folder / "agent"), "cert": str(folder / "agent" / "device.pem"), "key": key, "id": one["id"]}


def connect(db, name, device=None, password=None):
    more = {"sslcert": device["cert"], "sslkey": device["key"]} if device else {"sslcert": "/nonexistent"}
    connection = psycopg2.connect(host="127.0.0.1", port=db.port, user=name, dbname="orders-db", sslmode="require",
                                  password=password or "", connect_timeout=10, **more)
    connection.autocommit = True
    return connection


def ask(connection, text="SELECT 6 * 7"):
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchone()[0]


def test_facts_of_a_device_count_with_its_certificate_only(db, device):
    with pytest.raises(psycopg2.OperationalError) as what:
        connect(db, "lin", password=db.password("lin"))
    assert "device" in str(what.value)
    assert ask(connect(db, "lin", device, db.password("lin"))) == 42


def test_a_signed_in_device_needs_no_password(db, device):
    with pytest.raises(psycopg2.OperationalError):
        connect(db, "lin", device)  # nobody is signed in on it
    bound = db.office.people["lin"].again(cert=(device["cert"], device["key"]))
    bound.sign_in()
    connection = connect(db, "lin", device)
    assert ask(connection) == 42
    with pytest.raises(psycopg2.OperationalError):
        connect(db, "mia", device)  # another person's device
    bound.sign_out()
    with pytest.raises(psycopg2.Error):
        ask(connection)
    with pytest.raises(psycopg2.OperationalError):
        connect(db, "lin", device)


def test_sallyport_psql_shows_the_device(db, device, tmp_path):
    shell = Shell(db.office, db.people["lin"], tmp_path)
    refused = shell.run("psql", "orders-db", "-X", "-Atc", "SELECT 1", status=2)
    assert "device" in refused
    shell.env["SALLYPORT_AGENT_DIR"] = device["dir"]
    assert shell.run("psql", "orders-db", "-X", "-Atc", "SELECT 1") == "1\n"


def laptop(db, name, owner, folder):
    """A person's own key, enrolled and approved as the company's or as personal; he is signed in on it as well."""
    one = Device(db.people[name], str(folder), f"{name}-laptop").approved(db.office.people["sam"], owner)
    os.chmod(one.key, 0o600)
    db.people[name].again(cert=(one.cert, one.key)).sign_in()
    return {"cert": one.cert, "key": one.key, "id": one.id}


def refusals(db, name):
    """Of log-ins, as the ledger has them."""
    return [(e["reason"], e["owner"], e["device"]) for e in db.office.people["audrey"].items(
        f"/admin/ledger/events?gate=db&person={name}&verdict=deny&limit=50") if e["action"] == "connect"]


def test_a_personal_laptop_is_refused_by_certificate_and_by_password(db, tmp_path):
    """For who holds much: the same person on the same laptop, and only whose it is makes the difference. Who may only look
    comes in with his own."""
    sam = db.office.people["sam"]
    sam.fresh()
    db.person("pam", ["dba"])
    own = laptop(db, "pam", "personal", tmp_path)

    def by_certificate():
        return connect(db, "pam", own)

    def by_password():
        return connect(db, "pam", own, db.password("pam"))

    for number, way in enumerate((by_certificate, by_password), 1):
        with pytest.raises(psycopg2.OperationalError) as what:
            way()
        assert "connect on this database is not allowed" in str(what.value) and "device of the company" in str(what.value)
        found = wait_for("the entry", 10, lambda n=number: len(seen := refusals(db, "pam")) == n and seen)
        assert found == [("device-owner", "personal", "pam-laptop")] * number, found
    looker = laptop(db, "mia", "personal", tmp_path)
    assert ask(connect(db, "mia", looker)) == ask(connect(db, "mia", looker, db.password("mia"))) == 42
    sam.put(f"/admin/devices/{own['id']}/owner", {"owner": "company"})
    opened = [way() for way in (by_certificate, by_password)]
    assert [ask(one) for one in opened] == [42, 42]
    sam.put(f"/admin/devices/{own['id']}/owner", {"owner": "personal"})
    for one in opened:
        with pytest.raises(psycopg2.OperationalError):
            ask(one)


def test_a_quarantined_device_is_cut(db, device):
    connection = connect(db, "lin", device, db.password("lin"))
    assert ask(connection) == 42
    db.office.people["sam"].post(f"/admin/devices/{device['id']}/quarantine", {"why": "a test"})
    with pytest.raises(psycopg2.Error):
        ask(connection)
    with pytest.raises(psycopg2.OperationalError):
        connect(db, "lin", device, db.password("lin"))

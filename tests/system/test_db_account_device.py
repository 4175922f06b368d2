# SPDX-License-Identifier: Apache-2.0
"""Accounts that are given on some devices only: the same person works as another role of a real PostgreSQL on another
device, as none on a device that no entry names, and is cut when another one would be chosen: by the device's state
(worse or better), by a policy, also while he logs in.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md 5; docs/POLICY.md `postgres.accounts[].on`.
"""
import os
import threading
from contextlib import closing

import pytest

from dbgatelib import DBA_DOES_ALL, OFFICE, DatabaseOffice
from devicelib import Device
from officelib import WATCH_OFF, wait_for
from pgraw import Raw, fields
from relay import Relay
from test_core_devices import refused

ACCOUNTS = """\
  accounts:
    - { roles: [dba], on: { owner: company, posture: healthy }, as: op_all }
    - { roles: [dba], on: { owner: company, posture: unhealthy }, as: op_read }
    - { roles: [dba], on: { owner: personal }, as: op_read }
    - { roles: [plain], as: op_read }
"""
RESOURCE = """\
kind: Resource
name: %(name)s
operator: company
class: internal
postgres:
  address: 127.0.0.1:%(port)s
  tls: loopback
  databases: [orders]
%(accounts)s---
"""
HEALTHY, ILL = {"checks": [{"name": "disk", "ok": True}]}, {"checks": [{"name": "disk", "ok": False}]}


def documents(relay, accounts=ACCOUNTS):
    return ("{kind: Role, name: dba}\n---\n{kind: Role, name: plain}\n---\n"
            + RESOURCE % {"name": "orders-db", "port": "{port}", "accounts": accounts}
            + RESOURCE % {"name": "slow-db", "port": relay.port, "accounts": accounts}
            + DBA_DOES_ALL.replace("[dba]", "[dba, plain]").replace("[orders-db]", "[orders-db, slow-db]"))


@pytest.fixture(scope="module")
def relay():
    one = Relay(0)
    yield one
    one.close()


@pytest.fixture(scope="module")
def db(relay):
    one = DatabaseOffice(documents(relay), accounts=("op_all", "op_read"))
    try:
        relay.to = one.pg.port
        one.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO op_read")
        for account in ("op_all", "op_read"):
            one.sam.put(f"/admin/databases/credentials/slow-db/{account}", {"password": account})
        one.person("lin", "dba")
        yield one
    finally:
        one.close()


class Said(Exception):
    """An error, by its fields."""


class Laptop:
    """A device of lin's on which she is signed in."""

    def __init__(self, db, folder, owner):
        self.db, self.device = db, Device(db.person("lin", "dba"), str(folder), name=owner)
        self.device.enrol()
        db.sam.fresh()
        db.sam.post(f"/admin/devices/{self.device.id}/approve", {"owner": owner})
        self.device.keep(self.device.fetch())
        os.chmod(self.device.key, 0o600)
        self.agent = self.device.mutual()
        self.agent.sign_in()

    def posture(self, report):
        return self.agent.post("/device/posture", report)["posture"]

    def connect(self, resource="orders-db"):
        one = Raw(self.db.port, timeout=20, cert=(self.device.cert, self.device.key))
        kind, body = one.log_in("lin", resource, "")[-1]
        if kind == "E":
            one.close()
            raise Said(fields(body))
        return closing(one)


@pytest.fixture(scope="module")
def company(db, tmp_path_factory):
    return Laptop(db, tmp_path_factory.mktemp("company"), "company")


@pytest.fixture(scope="module")
def own(db, tmp_path_factory):
    return Laptop(db, tmp_path_factory.mktemp("own"), "personal")


def ask(connection, text):
    """The first value of the answer, as text, or else its tag."""
    answer = dict(reversed(connection.ask(text)))
    if "E" in answer:
        raise Said(fields(answer["E"]))
    return (answer["D"][6:] if "D" in answer else answer["C"].rstrip(b"\0")).decode()


def works_as(connection):
    return ask(connection, "SELECT current_user")


def assert_cut(connection, *words):
    """It hears the end, and why, without asking for anything."""
    kind, body = connection.receive()
    said = fields(body)
    assert kind == "E" and (said["S"], said["C"]) == ("FATAL", "57P01"), said
    assert all(word in said["M"] + said["D"] for word in words), said
    assert connection.ended()


def refusals(db, **words):
    wanted = "&".join(f"{key}={value}" for key, value in words.items())
    return [e for e in db.audrey.items(f"/admin/ledger/events?limit=200&person=lin&verdict=deny&{wanted}")]


def test_another_device_is_another_role_of_the_database(db, company, own):
    assert company.posture(HEALTHY) == "healthy"
    with company.connect() as best, own.connect() as less:
        assert works_as(best) == "op_all" and works_as(less) == "op_read"
        assert ask(best, "UPDATE orders SET total = 1 WHERE id = 1") == "UPDATE 1"
        assert ask(less, "SELECT total FROM orders WHERE id = 1") == "1"
        with pytest.raises(Said, match="permission denied for table orders"):  # PostgreSQL's own word
            ask(less, "UPDATE orders SET total = 2 WHERE id = 1")
    names = lambda who: {one["name"]: one["account"] for one in who.get("/me/databases")["items"]}  # noqa: E731
    assert names(company.agent)["orders-db"] == "op_all" and names(own.agent)["orders-db"] == "op_read"
    db.person("pam", "plain")
    with closing(db.connect("pam")) as pam, pam.cursor() as cursor:  # an entry without `on`, on no device of ours
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("op_read",)


def test_a_device_that_no_entry_names_has_no_account(db, company):
    lin = db.people["lin"]  # a browser without a certificate
    assert lin.get("/me/databases")["items"] == []
    refused(lambda: lin.post("/me/databases/orders-db/tokens", {}), 403, "account_device")
    wait_for("the entry", 5, lambda: [e for e in refusals(db, gate="db", kind="sign-in")
                                      if e["reason"] == "device-unknown" and e["resource"] == "orders-db"])
    assert company.posture({"checks": []}) == "unknown"
    with pytest.raises(Said) as what:
        company.connect()
    said = str(what.value)
    assert "no account in this database on this device" in said and "device-posture" in said and "Reference" in said
    wait_for("the entry", 5, lambda: [e for e in refusals(db, gate="db", kind="decision")
                                      if e["reason"] == "device-posture" and e["reference"] in said])
    refused(lambda: company.agent.post("/me/databases/orders-db/tokens", {}), 403, "account_device")
    assert company.posture(HEALTHY) == "healthy"
    assert len(company.agent.post("/me/databases/orders-db/tokens", {})["password"]) == 32


def test_a_device_in_another_state_is_cut_and_comes_back_as_another(db, company, own):
    assert company.posture(HEALTHY) == "healthy"
    with company.connect() as best, own.connect() as other:
        assert works_as(best) == "op_all"
        assert company.posture(ILL) == "unhealthy"
        assert_cut(best, "as another account", "connect again")
        assert works_as(other) == "op_read"  # the other device is as it was
        with company.connect() as less:
            assert works_as(less) == "op_read"
            assert company.posture(ILL) == "unhealthy"
            assert works_as(less) == "op_read"  # nothing has changed
            assert company.posture(HEALTHY) == "healthy"
            assert_cut(less, "as another account")
        with company.connect() as best_again:
            assert works_as(best_again) == "op_all"
            company.posture({"checks": []})
            assert_cut(best_again, "no account in this database on this device")
    assert company.posture(HEALTHY) == "healthy"


def test_another_policy_cuts_whom_it_would_have_work_as_another(db, company, own, relay):
    def apply(accounts):
        db.sam.fresh()
        text = OFFICE + WATCH_OFF + documents(relay, accounts).replace("{port}", str(db.pg.port))
        db.sam.post("/admin/policy/apply", {"files": [{"path": "office.yaml", "text": text}]})
    assert company.posture(HEALTHY) == "healthy"
    with company.connect() as best, own.connect() as less:
        assert works_as(best) == "op_all" and works_as(less) == "op_read"
        apply(ACCOUNTS.replace("owner: company, posture: healthy", "owner: company, posture: unknown"))
        assert_cut(best, "no account in this database on this device")
        assert works_as(less) == "op_read"
        apply(ACCOUNTS)
    with company.connect() as again:
        assert works_as(again) == "op_all"


def test_a_device_that_falls_while_it_logs_in_does_not_get_in(company, relay):
    """The account was chosen; until the server is ready, the device is in another state."""
    assert company.posture(HEALTHY) == "healthy"
    holds, held, lins = threading.Event(), threading.Event(), []
    plain = relay.passes

    def started(packet, line):
        if b"application_name\0lin\0" in packet:  # not the gate's own, for the catalogue
            lins.append(line)

    def passes(kind, body, line):
        if kind == "Z" and line in lins and holds.is_set():
            held.set()
            wait_for("the posture", 10, lambda: not holds.is_set())
        plain(kind, body, line)
    with company.connect("slow-db") as first:
        assert works_as(first) == "op_all"
    relay.started, relay.passes = started, passes
    holds.set()
    said = []

    def connect():
        try:
            company.connect("slow-db")
        except Said as error:
            said.append(str(error))
    one = threading.Thread(target=connect)
    one.start()
    try:
        assert held.wait(10)
        company.posture(ILL)
    finally:
        holds.clear()
        one.join(20)
    assert said and "as another account" in said[0], said
    assert company.posture(HEALTHY) == "healthy"


def test_administrators_see_who_works_as_whom_on_which_devices(db):
    seen = [(one["account"], one["devices"]) for one in db.audrey.items("/admin/databases/accounts?limit=100")
            if one["person"]["name"] == "lin" and one["resource"] == "orders-db"]
    assert seen == [("op_all", [{"owner": "company", "postures": ["healthy"]}]),
                    ("op_read", [{"owner": "company", "postures": ["unhealthy"]},
                                 {"owner": "personal", "postures": ["healthy", "unhealthy", "unknown"]}])]
    db.person("pam", "plain")
    whole = [one["devices"] for one in db.audrey.items("/admin/databases/accounts?limit=100")
             if one["person"]["name"] == "pam" and one["resource"] == "orders-db"]
    assert [[d["owner"] for d in devices] for devices in whole] == [["company", "personal", "unknown"]]
    assert all(len(d["postures"]) == 3 for d in whole[0])

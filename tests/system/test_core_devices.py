# SPDX-License-Identifier: Apache-2.0
"""A device's life over the real program: code, enrolment, approval, certificate, renewal, posture,
quarantine, revocation, and how a cloned key is found. The agent here is openssl and this file."""

import contextlib
import json
import os
import sqlite3
import subprocess
import time

import pytest

from devicelib import PLATFORM, Device
from officelib import wait_for
from portal import Refused

PASS = [{"name": "disk_encryption", "result": "pass", "detail": ""}]
FAIL = [{"name": "disk_encryption", "result": "fail", "detail": "the root is not on dm-crypt"}]


@pytest.fixture(scope="module")
def people(office):
    olga, sam, audrey = office.set_up_administrators()
    leo = office.employee("leo", ["staff", "engineer"])
    return olga, sam, audrey, leo


@pytest.fixture
def device(people, tmp_path):
    return Device(people[3], str(tmp_path), name=f"laptop-{time.monotonic_ns()}")


@pytest.fixture
def active(device, people):
    return device.approved(people[1])


def refused(call, status, code):
    with pytest.raises(Refused) as told:
        call()
    assert (told.value.status, told.value.code) == (status, code), told.value


def test_from_code_to_certificate(device, people):
    olga, sam, _, leo = people
    pending = device.enrol()
    assert pending["state"] == "pending" and pending["owner"] == "unknown" and pending["person"]["name"] == "leo"
    assert device.fetch()["state"] == "pending"
    assert sam.items("/admin/devices")[0]["id"] == device.id, "pending ones come first"
    refused(lambda: olga.post(f"/admin/devices/{device.id}/approve", {"owner": "company"}), 403, "forbidden")
    approved = sam.post(f"/admin/devices/{device.id}/approve", {"owner": "company"})
    assert approved["state"] == "active" and approved["decided_by"] == "sam"
    refused(lambda: sam.post(f"/admin/devices/{device.id}/approve", {"owner": "company"}), 409, "conflict")
    first = device.fetch()
    assert device.fetch()["certificate"] == first["certificate"], "a lost answer is given again"
    device.keep(first)
    me = device.mutual().get("/device/self")
    assert me["id"] == device.id and me["current"] and me["state"] == "active"
    assert [d["id"] for d in leo.items("/me/devices") if d["name"] == device.name] == [device.id]
    subject = subprocess.run(["openssl", "x509", "-in", device.cert, "-noout", "-subject"], capture_output=True,
                             text=True, check=True).stdout
    assert device.name in subject


def test_codes_and_keys_serve_once(device, office, people):
    leo = people[3]
    code = leo.post("/me/devices/enrol-code")["code"]
    body = {"code": code.lower().replace("-", " "), "csr": device.csr(), "name": "a", "platform": PLATFORM}
    leo.again().post("/device/enrol", body)
    refused(lambda: leo.again().post("/device/enrol", body), 404, "code_invalid")
    again = {**body, "code": leo.post("/me/devices/enrol-code")["code"]}
    refused(lambda: leo.again().post("/device/enrol", again), 409, "exists")
    refused(lambda: leo.again().post("/device/enrol", {**again, "csr": "-----BEGIN CERTIFICATE REQUEST-----"}),
            422, "invalid")
    refused(lambda: leo.again().post("/device/enrol", {**again, "code": "0000-0000-0000-0000"}), 404, "code_invalid")
    refused(lambda: leo.again().post("/device/certificate", {"ticket": "A" * 43}), 404, "ticket_invalid")
    refused(lambda: office.browser() and leo.again().get("/device/self"), 401, "certificate_required")


def test_a_code_outlives_no_account(device, office, people):
    """A code of somebody who was locked since enrols nothing, and says no more than a wrong one."""
    olga, sam = people[0], people[1]
    nia = office.invite(olga, "nia", [], granter=sam)
    code = nia.post("/me/devices/enrol-code")["code"]
    body = {"code": code, "csr": device.csr(), "name": "late", "platform": PLATFORM}
    olga.post(f"/admin/people/{nia.id}/disable")
    refused(lambda: nia.again().post("/device/enrol", body), 404, "code_invalid")
    olga.post(f"/admin/people/{nia.id}/enable")
    assert nia.again().post("/device/enrol", body)["device"]["state"] == "pending"


def test_nobody_approves_his_own(office, people, tmp_path):
    sam = people[1]
    own = Device(sam, str(tmp_path), name="sams-own")
    own.enrol()
    refused(lambda: sam.post(f"/admin/devices/{own.id}/approve", {"owner": "company"}), 409, "own_device")
    sam.post(f"/me/devices/{own.id}/revoke", {"why": "a test"})
    refused(lambda: people[3].post(f"/me/devices/{own.id}/revoke", {}), 404, "not_found")


def test_posture_is_what_the_checks_say(active):
    agent = active.mutual()
    assert agent.post("/device/posture", {"checks": PASS})["posture"] == "healthy"
    assert agent.post("/device/posture", {"checks": PASS + FAIL, "platform": PLATFORM})["posture"] == "unhealthy"
    assert agent.post("/device/posture", {"checks": []})["posture"] == "unknown"
    assert agent.post("/device/posture", {"checks": [{"name": "x", "ok": True}]})["posture"] == "healthy"
    refused(lambda: agent.post("/device/posture", {"checks": [{"name": "x", "result": "maybe"}]}), 422, "invalid")
    refused(lambda: agent.post("/device/posture", {"checks": [PASS[0]] * 33}), 422, "invalid")


def test_renewal_and_a_lost_answer(active):
    request = active.csr()
    second = active.renew(csr=request)
    assert active.renew(csr=request)["certificate"] == second["certificate"], "the same request: the same answer"
    other_key = os.path.join(active.tmp, "other.pem")
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", other_key], check=True)
    new_cert = os.path.join(active.tmp, "second.pem")
    active.keep(second, new_cert)
    refused(lambda: active.renew(new_cert, active.csr(other_key)), 409, "key_changed")
    assert active.mutual(new_cert).get("/device/self")["state"] == "active"


def test_a_cloned_key_is_found(active, people):
    """Owner and thief have the same key and certificate; whoever renews second gives it away."""
    sam, audrey, leo = people[1], people[2], people[3]
    stolen = os.path.join(active.tmp, "stolen.pem")
    with open(active.cert, encoding="ascii") as source, open(stolen, "w", encoding="ascii") as copy:
        copy.write(source.read())
    thief = active.renew(stolen)
    new_cert = os.path.join(active.tmp, "thief.pem")
    active.keep(thief, new_cert)
    refused(active.renew, 403, "device_cloned")
    state = sam.get(f"/admin/devices/{active.id}")
    assert state["state"] == "quarantined" and state["cloned"] and "two copies" in state["why"]
    refused(lambda: active.renew(new_cert), 403, "device_cloned")
    refused(lambda: sam.post(f"/admin/devices/{active.id}/release", {}), 409, "cloned")
    wait_for("the clone in the ledger", 10, lambda: [
        e for e in audrey.items("/admin/ledger/events?kind=device&limit=50")
        if e.get("method") == "clone" and e["severity"] == "critical" and e.get("device") == active.name])
    sam.post(f"/admin/devices/{active.id}/revoke", {"why": "cloned"})
    assert leo.get("/me")["person"]["name"] == "leo", "his session without that device lives on"


def test_a_copied_ticket_gets_nothing(active, people):
    """The thief has all that the agent keeps: key, certificate, ticket. By the ticket he would never renew."""
    active.keep(active.fetch())  # the answer was lost, the certificate not used yet
    active.mutual().get("/device/self")
    refused(active.fetch, 409, "certificate_good")
    assert people[1].get(f"/admin/devices/{active.id}")["state"] == "active"


def test_a_ticket_serves_once(office, active, people):
    """The device slept until its certificate had ended, and the thief is up first."""
    active.mutual().get("/device/self")
    with contextlib.closing(sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=10)) as store:
        ended = store.execute("UPDATE device_cert SET not_after_unix_s = ? WHERE device = ?",
                              (int(time.time()) - 60, int(active.id)))
        assert ended.rowcount == 1
        store.commit()
    copied = active.ticket
    active.keep(active.fetch())  # the thief's
    assert active.ticket != copied
    thief = active.mutual().sign_in()["session"]
    assert thief["device"]["id"] == active.id
    active.ticket = copied  # the owner wakes up
    refused(active.fetch, 403, "device_cloned")
    state = people[1].get(f"/admin/devices/{active.id}")
    assert state["state"] == "quarantined" and state["cloned"] and "ticket" in state["why"]


def test_each_answer_brings_another_ticket(active, people):
    before = active.ticket
    active.mutual().get("/device/self")
    second = active.renew()
    assert second["ticket"] != before
    active.keep(second)
    active.mutual().get("/device/self")
    refused(active.fetch, 403, "device_cloned")  # with the ticket of before


def test_quarantine_release_revoke(active, people):
    sam = people[1]
    bound = active.mutual()
    bound.sign_in()
    assert bound.get("/me")["session"]["device"]["id"] == active.id
    sam.post(f"/admin/devices/{active.id}/quarantine", {"why": "lost in a taxi"})
    with pytest.raises(Refused) as told:
        bound.get("/me")
    assert told.value.status in (401, 403)
    refused(lambda: active.renew(), 403, "device_quarantined")
    sam.post(f"/admin/devices/{active.id}/release", {"why": "found"})
    assert active.mutual().get("/device/self")["state"] == "active"
    sam.post(f"/admin/devices/{active.id}/revoke", {"why": "sold"})
    refused(lambda: active.renew(), 403, "device_revoked")
    refused(active.fetch, 403, "device_revoked")
    refused(lambda: sam.post(f"/admin/devices/{active.id}/release", {}), 409, "conflict")


def test_a_session_is_none_beside_anothers_device(office, active, people):
    """Signed in without a device, then on a connection with somebody else's or one that was cut off."""
    sam, leo = people[1], people[3]
    mia = office.employee("mia", ["staff"])
    for person in (mia, leo):
        plain = person.again()
        plain.sign_in()
        beside = person.again(cert=(active.cert, active.key))
        beside.cookies = plain.cookies
        if person is leo:
            assert beside.get("/me")["person"]["name"] == "leo"  # his own, and good
            sam.post(f"/admin/devices/{active.id}/quarantine", {"why": "a test"})
        refused(lambda at=beside: at.get("/me"), 401, "signed_out")
        assert plain.get("/me")["person"]["name"] == person.name
    refused(mia.again(cert=(active.cert, active.key)).sign_in, 403, "device_refused")


def test_devices_live_through_a_restart_of_core(office, active, people):
    core = office.kill("core")
    office.wait_role("core", other_than=core)
    agent = active.mutual()
    state = wait_for("the device", 20, lambda: _state(agent))
    assert state == "active"
    assert json.dumps(people[3].items("/me/devices")).count(active.name) >= 1


def _state(agent):
    try:
        return agent.get("/device/self")["state"]
    except (Refused, OSError):
        return None

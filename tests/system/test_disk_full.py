# SPDX-License-Identifier: Apache-2.0
"""A full disk: what must be recorded is refused and says so, nothing acknowledged is lost, and it goes on by
itself when there is room. The state lies on a small file system of its own."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time

import pytest

from officelib import wait_for
from portal import Refused

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")


@pytest.fixture
def cramped(make_office):
    office = make_office(start=False)
    os.mkdir(office.state)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0711", "tmpfs", office.state], check=True)
    try:
        office.start()
        yield office
        office.stop()
    finally:
        subprocess.run(["umount", "-l", office.state], check=True)


def fill(folder):
    path = os.path.join(folder, "ballast")
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return path


def fill_store(office):
    """The room that core's store has taken already."""
    for size in (1 << 18, 1 << 12, 1):
        with contextlib.suppress(sqlite3.OperationalError):
            while True:
                office.store("INSERT INTO ballast VALUES (zeroblob(?))", size)


def add(olga, name):
    olga.post("/admin/people", {"name": name, "display_name": name})


def refused(olga):
    try:
        add(olga, f"while-{os.urandom(3).hex()}")
    except Refused as why:
        return (why.status, why.code) in ((503, "unrecordable"), (500, "internal")) and why
    return None  # the ledger had a little room left in its last page


def test_a_full_disk_refuses_says_so_and_goes_on_by_itself(cramped):
    office = cramped
    olga, _, _ = office.set_up_administrators()
    add(olga, "before")
    ballast = fill(office.state)
    assert wait_for("a refusal", 20, lambda: refused(olga), step=0.1).code == "unrecordable"
    findings, status = office.doctor()
    said = str(findings)
    assert status == 1 and "disk" in said, said
    assert office.role("ledger")["status"] != "recording"
    for role in ("core", "vault", "ledger", "web"):
        assert office.role(role)["state"] == "ready", office.log()[-2000:]
    acknowledged = {one["name"] for one in olga.items("/admin/people")}
    os.unlink(ballast)

    def goes_on():
        try:
            add(olga, "after")
        except Refused as why:
            return why.code == "exists"
        return True

    wait_for("the ledger", 20, goes_on, step=0.2)
    alarm = wait_for("the alarm", 10, lambda: [a for a in office.people["sam"].get("/alarms")["items"]
                                               if a["detection"] == "ledger-gap" and a["incident"]], step=0.1)[0]
    assert alarm["severity"] == "critical" and alarm["plan"] == "ledger-failure"
    there = {one["name"] for one in olga.items("/admin/people")}
    assert acknowledged <= there and {"before", "after"} <= there
    wait_for("the ledger's word", 10, lambda: office.role("ledger")["status"] == "recording", step=0.2)
    wait_for("a checkpoint of all", 10, lambda: "GOOD" in office.cli("ledger", "verify", "-c", office.config).stdout)


ROLES = """\
kind: Role
name: staff
---
kind: Role
name: lead
---
kind: Role
name: emergency
request:
  who: { roles: [staff] }
  sealed: true
  longest: 10m
  ask: { approved_by: 2, by: { roles: [lead] } }
"""


@contextlib.contextmanager
def cramped_folder(make_office, role):
    """Only the folder of this role is small."""
    office = make_office(documents={"office.yaml": ROLES})
    office.set_up_administrators()
    office.stop()
    folder, beside = os.path.join(office.state, role), os.path.join(office.dir, "beside")
    shutil.move(folder, beside)
    as_it_was = os.stat(beside)
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=24m,mode=0700,uid={as_it_was.st_uid},gid={as_it_was.st_gid}",
                    "tmpfs", folder], check=True)
    try:
        subprocess.run(["cp", "-a", f"{beside}/.", folder], check=True)
        office.start()
        yield office
        office.stop()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def cramped_ledger(make_office):
    with cramped_folder(make_office, "ledger") as office:
        yield office


@pytest.fixture
def cramped_core(make_office):
    with cramped_folder(make_office, "core") as office:
        yield office


@pytest.mark.slow
def test_emergency_access_outlives_a_full_disk_of_the_ledger(cramped_ledger):
    """It was approved when the ledger could not record: it is opened when it can."""
    office = cramped_ledger
    ann, leads = office.employee("ann", ["staff"]), [office.employee(name, ["lead"]) for name in ("lee", "max")]
    asked = ann.post("/grants", {"role": "emergency", "reason": "production is down", "duration_s": 600})
    number = office.store("SELECT id FROM ask WHERE state = 0")[0][0]
    for lead in leads:
        office.store("INSERT INTO vote (ask, person, yes, given, name, reason, sets) VALUES (?, ?, 1, 1, ?, '', 1)",
                     number, int(lead.id), lead.name)
    office.store("UPDATE ask SET state = 1 WHERE id = ?", number)
    olga = office.person("olga")
    olga.fresh()
    ballast = fill(os.path.join(office.state, "ledger"))
    wait_for("a refusal", 20, lambda: refused(olga), step=0.1)
    office.wait_role("core", office.kill("core"))
    wait_for("a try", 20, lambda: "what was approved is not carried out (role not given)" in office.log())
    assert office.store("SELECT state FROM ask WHERE id = ?", number) == [(1,)], office.log()[-2000:]
    os.unlink(ballast)
    wait_for("emergency access", 90, lambda: "emergency" in ann.get("/me")["person"]["roles"])
    assert ann.get(f"/approvals/{asked['id']}")["state"] == "used"


@pytest.mark.slow
def test_a_role_for_a_while_ends_though_the_disk_is_full(cramped_core):
    """Who held it is signed out, the ledger hears of it once, and the store when there is room."""
    office = cramped_core
    leads = [office.employee(name, ["lead"]) for name in ("lee", "max")]
    holders = {name: office.employee(name, ["staff"]) for name in ("ann", "bob")}
    grants = {}
    for name, person in holders.items():
        asked = person.post("/grants", {"role": "emergency", "reason": "production is down", "duration_s": 600})
        for lead in leads:
            lead.post(f"/approvals/{asked['id']}/approve", {"sha256": asked["sha256"]})
        wait_for("emergency access", 10, lambda: "emergency" in person.get("/me")["person"]["roles"])
        grants[name] = person.items("/grants")[0]["id"]
    olga, sam, audrey = (office.person(name) for name in ("olga", "sam", "audrey"))
    olga.fresh()

    def ends(name):
        return [e for e in audrey.items("/admin/ledger/events?limit=200")
                if e.get("method") == "emergency access ended" and e["detail"]["holder"] == name]

    def signed_out(person):
        try:
            person.get("/me")
        except Refused as why:
            return why.code == "signed_out"
        return False

    office.store("CREATE TABLE ballast (bytes BLOB)")
    office.store("UPDATE role_grant SET until = ? WHERE person = ?", int(time.time()) + 6, int(holders["ann"].id))
    ballast = fill(os.path.join(office.state, "core"))
    fill_store(office)
    with pytest.raises(Refused):
        add(olga, "while")
    with pytest.raises(Refused) as why:
        sam.post(f"/grants/{grants['bob']}/end", {"reason": "not needed any more"})
    assert (why.value.status, why.value.code) == (503, "end_not_stored")
    assert signed_out(holders["bob"])
    wait_for("the end of time", 10, lambda: signed_out(holders["ann"]))
    time.sleep(3)  # it is tried each second
    assert [len(ends(name)) for name in holders] == [1, 1]
    assert office.store("SELECT ended FROM role_grant") == [(0,), (0,)]
    os.unlink(ballast)
    wait_for("the store", 10, lambda: (0,) not in office.store("SELECT ended FROM role_grant"))
    assert set(office.store("SELECT person_name, ended_by FROM role_grant")) == {("ann", "time"), ("bob", "sam")}
    assert [len(ends(name)) for name in holders] == [1, 1]
    for person in holders.values():
        person.sign_in()
        assert "emergency" not in person.get("/me")["person"]["roles"]

# SPDX-License-Identifier: Apache-2.0
"""A full disk: what must be recorded is refused and says so, nothing acknowledged is lost, and it goes on by
itself when there is room. The state lies on a small file system of its own."""

import os
import subprocess

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


def fill(office):
    path = os.path.join(office.state, "ballast")
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return path


def add(olga, name):
    olga.post("/admin/people", {"name": name, "display_name": name})


def test_a_full_disk_refuses_says_so_and_goes_on_by_itself(cramped):
    office = cramped
    olga, _, _ = office.set_up_administrators()
    add(olga, "before")
    ballast = fill(office)

    def refused():
        try:
            add(olga, f"while-{os.urandom(3).hex()}")
        except Refused as why:
            return (why.status, why.code) in ((503, "unrecordable"), (500, "internal")) and why
        return None  # the ledger had a little room left in its last page

    assert wait_for("a refusal", 20, refused, step=0.1).code == "unrecordable"
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

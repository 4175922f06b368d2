# SPDX-License-Identifier: Apache-2.0
"""Accounts on machines that are given on some devices only: on them, not on others, and no longer than they fit.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/SSH.md 3; docs/POLICY.md `ssh.accounts[].on`.
"""
import subprocess
import time

import pytest

from devicelib import Device
from officelib import wait_for
from sshgatelib import ACCOUNT, SshOffice, engineers_work_on, machine_at

HEALTHY, ILL = {"checks": [{"name": "disk", "ok": True}]}, {"checks": [{"name": "disk", "ok": False}]}
ANY = f"{{ any: true, as: {ACCOUNT} }}"
ON = f"{{ any: true, on: {{ owner: company, posture: healthy }}, as: {ACCOUNT} }}"


@pytest.fixture(scope="module")
def office():
    def documents(sshd):
        strict = machine_at("strict", sshd.port, sshd.host_key)
        assert strict.count(ANY) == 1
        return strict.replace(ANY, ON) + engineers_work_on("host", "strict")
    one = SshOffice(documents)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def laptop(office, tmp_path_factory):
    ann = office.person("ann")
    office.sam.fresh()
    one = Device(ann, str(tmp_path_factory.mktemp("laptop"))).approved(office.sam)
    one.browser = one.mutual()
    one.browser.sign_in()
    return one


def posture(laptop, report):
    return laptop.browser.post("/device/posture", report)["posture"]


def argv(office, laptop, to, *words):
    user = f"ann:{to}" if to else "ann"
    return ["ssh", *office.options(), "-i", laptop.key, "-o", f"User={user}", "-p", str(office.port), "127.0.0.1", *words]


def ssh(*words):
    return subprocess.run(argv(*words), capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)


def test_on_the_device_and_on_no_other(office, laptop):
    assert posture(laptop, HEALTHY) == "healthy"
    assert ssh(office, laptop, "strict", "echo in").stdout == "in\n"
    office.key("ann")
    told = office.ssh("ann", "strict", "echo in")  # by her own key, on no device of ours
    assert told.returncode == 254 and "on this device: device-unknown" in told.stderr, told
    assert office.ssh("ann", "host", "echo in").stdout == "in\n"  # an entry without `on`
    named = office.ssh("ann", f"strict:{ACCOUNT}", "echo in")
    assert named.returncode == 254 and "under this name on this device" in named.stderr, named
    wait_for("the entry", 5, lambda: [
        e for e in office.audrey.items("/admin/ledger/events?gate=ssh&person=ann&verdict=deny&limit=50")
        if e["reason"] == "device-unknown" and e["resource"] == "strict"])


def test_what_is_listed_is_what_the_device_has(office, laptop):
    names = lambda who: [one["name"] for one in who.get("/me/ssh")["items"]]  # noqa: E731
    assert posture(laptop, HEALTHY) == "healthy"
    assert names(laptop.browser) == ["host", "strict"]
    assert names(office.person("ann")) == ["host"]
    menu = ssh(office, laptop, "", "true")
    assert "strict" in menu.stdout + menu.stderr, menu
    assert "strict" not in (lambda one: one.stdout + one.stderr)(office.ssh("ann", "", "true"))


def test_a_connection_ends_when_its_account_does_not_fit_any_more(office, laptop):
    assert posture(laptop, HEALTHY) == "healthy"
    with subprocess.Popen(argv(office, laptop, "strict", "echo in; exec sleep 60"), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        assert one.stdout.readline() == "in\n"
        began = time.monotonic()
        assert posture(laptop, ILL) == "unhealthy"
        assert one.wait(10) != 0 and time.monotonic() - began < 5
        assert "on this device: device-posture" in one.stderr.read()
    told = ssh(office, laptop, "strict", "echo in")
    assert told.returncode == 254 and "on this device: device-posture" in told.stderr, told
    assert posture(laptop, HEALTHY) == "healthy"
    assert ssh(office, laptop, "strict", "echo in").stdout == "in\n"

# SPDX-License-Identifier: Apache-2.0
"""What is taken away ends what runs; commands wait for other people; what passed is recorded.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/start.c, gates/ssh/recording.c."""

import subprocess
import time

import pytest

from officelib import wait_for
from sshgatelib import SshOffice, askers_ask, engineers_work_on

DOCUMENTS = engineers_work_on("host") + "---\n" + askers_ask()


@pytest.fixture(scope="module")
def office():
    one = SshOffice(DOCUMENTS)
    one.person("abe", ["asker"])
    try:
        yield one
    finally:
        one.close()


def start(office, name, command):
    return subprocess.Popen(office.argv(name, "host", "127.0.0.1", command), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def connections(office, name):
    office.key(name)
    return [c for c in office.sam.items("/ssh/connections") if c["person"] == name or name in str(c["person"])]


def test_what_a_command_printed_is_recorded(office):
    assert office.ssh("ann", "host", "echo recorded-words").stdout == "recorded-words\n"
    wait_for("a recording", 10, lambda: office.events(kind="recording"))


def test_a_destructive_command_raises_an_alarm_that_stops_nothing(office):
    assert office.ssh("ann", "host", "rm -rf /nowhere/at/all; echo on").stdout == "on\n"
    wait_for("the alarm", 10, lambda: [e for e in office.events() if "alarm" in e.get("detail", {})])


def test_a_connection_is_ended_with_a_reason_that_the_client_reads(office):
    client = start(office, "ann", "echo begun; sleep 60")
    assert client.stdout.readline() == "begun\n"
    one = wait_for("the connection", 10, lambda: connections(office, "ann"))[0]
    office.sam.post(f"/ssh/connections/{one['id']}/end", {"why": "drill"})
    _, said = client.communicate(timeout=10)
    assert client.returncode != 0 and "ended" in said and "reference" in said


def test_who_does_not_read_what_comes_reads_why_it_ended(office):
    client = start(office, "ann", "yes")
    one = wait_for("the connection", 10, lambda: connections(office, "ann"))[0]
    time.sleep(1)  # pipe and window are full
    office.sam.post(f"/ssh/connections/{one['id']}/end", {"why": "drill"})
    said = client.stderr.readline()
    assert "this connection was ended: drill" in said and "reference" in said, said
    client.kill()
    client.communicate()


def test_a_command_waits_for_another_person_and_runs_once(office):
    client = start(office, "abe", "echo agreed")
    line = client.stderr.readline()
    assert "waits until 1 other person agrees" in line
    ann = office.person("ann")
    office.key("ann")
    ask = wait_for("the ask", 10, lambda: [a for a in ann.items("/approvals?state=waiting")
                                           if "echo agreed" in str(a)])[0]
    full = ann.get(f"/approvals/{ask['id']}")
    ann.post(f"/approvals/{ask['id']}/approve", {"sha256": full["sha256"]})
    out, said = client.communicate(timeout=15)
    assert (out, client.returncode) == ("agreed\n", 0), said


def test_signing_out_ends_what_runs_within_a_moment(office):
    client = start(office, "ann", "echo begun; sleep 60")
    assert client.stdout.readline() == "begun\n"
    began = time.monotonic()
    for session in office.sam.items("/admin/sessions"):
        if "ann" in str(session.get("person")):
            office.sam.post(f"/admin/sessions/{session['id']}/end", {"why": "drill"})
    _, said = client.communicate(timeout=10)
    assert client.returncode != 0 and "reference" in said
    assert time.monotonic() - began < 5

# SPDX-License-Identifier: Apache-2.0
"""Terminals through the SSH gate with bash behind: alarms that page and freeze, shells that run only while somebody
watches. OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/alarm.c, gates/ssh/start.c, core/ssh/alarms.c."""

import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

import pytest

from officelib import wait_for
from portal import Refused
from sshgatelib import Pty, SshOffice, Terminal, askers_ask, engineers_work_on

DOCUMENTS = engineers_work_on("host", "cold", "quiet") + "---\n" + askers_ask(watch=True)


@pytest.fixture(scope="module")
def office():
    one = SshOffice(DOCUMENTS, hosts={"cold": "  alarm: freeze\n", "quiet": "  alarm: record\n"},
                    extra="ssh_connections_each: 4\n")
    one.person("abe", ["asker"])
    for name in ("ann", "abe", "dan"):
        one.key(name)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def folder():
    """One whose loss would be felt: not below /tmp."""
    path = tempfile.mkdtemp(prefix="sp-kept-", dir=os.path.expanduser("~"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def alarms(office, person=None):
    return [a for a in office.sam.items("/ssh/alarms") if person in (None, a["person"])]


def recorded(office, reference):
    """The lines of a recording, as a security administrator reads them."""
    return office.audrey.request("GET", "portal", f"/api/v1/ssh/recordings/{reference}?from=0").body.decode()


def test_an_alarm_is_an_entry_a_mark_and_a_page(office, folder):
    with office.terminal("ann", "host") as terminal:
        terminal.type("cd /; PS1='ready> '\r")
        terminal.wait("\nready> ")
        terminal.type(f"rm -rf {folder}/nothing\r")
        terminal.wait("ready> ")
        one = office.connection("ann", "host")
        page = wait_for("the page", 5, lambda: alarms(office, "ann"))[0]
        assert page["id"] == one["id"] and page["live"] and not page["frozen"] and page["confidence"] >= 80
        assert (page["resource"], page["text"]) == ("host", "files are removed with everything below them")
        shown = office.sam.get(f"/ssh/connections/{one['id']}")
        assert shown["alarm"]["text"] == page["text"] and shown["frozen"] is False
        terminal.type("echo goes-on\r")
        terminal.wait("\ngoes-on")  # it stops nothing
        entry = wait_for("the entry", 5, lambda: [e for e in office.events(object=page["text"])
                                                  if e["detail"].get("alarm")])[0]
        assert entry["severity"] == "high" and entry["person"] == "ann"
        assert folder not in str(entry), "what was typed is not in it"
        wait_for("the mark", 5, lambda: '"m", "files are removed' in recorded(office, one["id"]).replace('","', '", "'))
    wait_for("its end", 5, lambda: not alarms(office, "ann")[0]["live"])  # the page outlives it
    with pytest.raises(Refused):
        office.audrey.post(f"/ssh/alarms/{page['id']}/seen", {})
    office.sam.post(f"/ssh/alarms/{page['id']}/seen", {"why": "her own test folder"})
    assert not alarms(office, "ann")
    with pytest.raises(Refused):
        office.sam.post(f"/ssh/alarms/{page['id']}/seen", {})


def test_where_policy_says_record_nobody_is_paged(office):
    with office.terminal("ann", "quiet") as terminal:
        terminal.type("rm -rf /nowhere/at/all; echo do''ne\r")
        terminal.wait("done")
        wait_for("the entry", 5, lambda: [e for e in office.events(resource="quiet") if "alarm" in e.get("detail", {})])
        assert not alarms(office)


def test_a_grave_one_freezes_the_terminal_before_the_line_is_sent(office, folder):
    with office.terminal("ann", "cold") as terminal:
        terminal.type("echo re''ady\r")
        terminal.wait("ready")
        terminal.type(f"rm -rf {folder}\r")
        terminal.wait("frozen by an alarm")
        terminal.type("echo un''heard\r")
        terminal.never("unheard")
        assert os.path.exists(folder), "the line waits"
        one = office.connection("ann", "cold")
        assert one["frozen"] is True and one["frozen_by"] is None and one["alarm"]["confidence"] >= 80
        assert alarms(office, "ann")[0]["frozen"]
        with pytest.raises(Refused):  # not by himself
            office.person("ann").post(f"/ssh/connections/{one['id']}/freeze", {"frozen": False})
        core = office.office.kill("core")  # another core knows that it is frozen
        office.office.wait_role("core", other_than=core)
        one = office.connection("ann", "cold")
        assert one["frozen"] is True and one["frozen_by"] is None and one["alarm"]
        office.sam.post(f"/ssh/connections/{one['id']}/freeze", {"frozen": False, "why": "looked"})
        terminal.wait("released by sam")
        terminal.wait("unheard")
        assert not os.path.exists(folder) and not alarms(office, "ann")


def test_a_freeze_holds_all_that_its_person_has_open_and_opens(office, folder):
    with office.terminal("dan", "quiet") as before, office.terminal("dan", "cold") as terminal, \
            office.terminal("ann", "quiet") as another:
        for one in (before, terminal, another):
            one.type("echo re''ady\r")
            one.wait("ready")
        terminal.type(f"rm -rf {folder}\r")
        terminal.wait("frozen by an alarm")
        before.wait("frozen by an alarm")
        before.type("echo un''heard\r")
        before.never("unheard")
        another.type("echo go''es-on\r")
        another.wait("goes-on")
        with office.terminal("dan", "host") as after:
            after.type("echo un''heard\r")
            after.wait("frozen by an alarm")
            after.never("unheard")
            assert os.path.exists(folder)
            for one in office.sam.items("/ssh/connections?person=dan"):
                assert one["frozen"]
            one = office.connection("dan", "host")
            office.sam.post(f"/ssh/connections/{one['id']}/freeze", {"frozen": False, "why": "looked"})
            for held in (after, before, terminal):
                held.wait("released by sam")
            after.wait("unheard")
            before.wait("unheard")
            wait_for("the line", 5, lambda: not os.path.exists(folder))


def resize(terminal, columns, rows):
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    time.sleep(0.3)


def sizes_recorded(office, reference):
    def ended():
        try:
            return office.recording(reference)
        except Refused:  # its first chunk is not known yet
            return None
    text = wait_for("its recording", 15, ended)
    parts = [json.loads(line) for line in text.splitlines() if line.startswith("[")]
    return [part[2] for part in parts if part[1] == "r"]


def test_sizes_of_a_terminal_reach_machine_and_recording(office):
    terminal = Pty(office.argv("ann", "quiet", "-tt", "127.0.0.1", "cat >/dev/null; stty size; sleep 30"))
    try:
        terminal.type(b"x\n").until(b"x")
        reference = office.connection("ann", "quiet")["id"]
        for size in ((132, 50), (80, 24), (99, 33)):
            resize(terminal, *size)
        terminal.type(b"\x04").until(b"33 99")
    finally:
        os.kill(terminal.pid, signal.SIGKILL)
        terminal.end()
    assert sizes_recorded(office, reference) == ["132x50", "80x24", "99x33"]


def test_a_size_that_changes_before_the_shell_starts_is_not_lost(office):
    """The shell waits, because its person is frozen; meanwhile the window grows."""
    with office.terminal("dan", "quiet") as before:
        before.type("echo re''ady\r")
        before.wait("ready")
        held = office.connection("dan", "quiet")["id"]
        office.sam.post(f"/ssh/connections/{held}/freeze", {"frozen": True, "why": "wait"})
        terminal = Pty(office.argv("dan", "host", "-tt", "127.0.0.1", "stty size; sleep 30"))
        try:
            terminal.until(b"frozen by ")
            reference = office.connection("dan", "host")["id"]
            resize(terminal, 141, 43)
            office.sam.post(f"/ssh/connections/{reference}/freeze", {"frozen": False, "why": "go on"})
            terminal.until(b"43 141")
        finally:
            os.kill(terminal.pid, signal.SIGKILL)
            terminal.end()
    assert sizes_recorded(office, reference) == ["141x43"]


def test_who_was_frozen_and_left_is_frozen_when_he_comes_again(office, folder):
    with office.terminal("dan", "cold") as terminal:
        terminal.type(f"rm -rf {folder}\r")
        terminal.wait("frozen by an alarm")
        first = office.connection("dan", "cold")
    wait_for("its end", 5, lambda: not office.sam.items("/ssh/connections?person=dan"))
    with office.terminal("dan", "quiet") as terminal:
        terminal.type("echo un''heard\r")
        terminal.wait("frozen by an alarm")
        terminal.never("unheard")
    wait_for("its end", 5, lambda: not office.sam.items("/ssh/connections?person=dan"))
    office.sam.post(f"/ssh/alarms/{first['id']}/seen", {"why": "talked to him"})
    with office.terminal("dan", "quiet") as terminal:
        terminal.type("echo he''ard\r")
        terminal.wait("heard")
    assert os.path.exists(folder)


def test_a_command_waits_frozen_too(office, folder):
    client = subprocess.Popen(office.argv("ann", "cold", "127.0.0.1", f"rm -rf {folder}; echo done"), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for("the page", 5, lambda: alarms(office, "ann"))
    one = office.connection("ann", "cold")
    assert one["frozen"] and os.path.exists(folder)
    office.sam.post(f"/ssh/connections/{one['id']}/end", {"why": "no"})
    _, said = client.communicate(timeout=10)
    assert client.returncode != 0 and "ended: no" in said and os.path.exists(folder)
    office.sam.post(f"/ssh/alarms/{one['id']}/seen", {})


def test_a_command_on_a_terminal_that_asks_is_watched_like_a_shell(office):
    """It may be one by another name."""
    ann = office.person("ann")
    with Terminal(office.argv("abe", "host", "-tt", "127.0.0.1", "sh -i")) as terminal:
        terminal.wait("waits until 1 other person agrees")
        ask = wait_for("the ask", 10, lambda: ann.items("/approvals?state=waiting"))[0]
        ann.post(f"/approvals/{ask['id']}/approve", {"sha256": ann.get(f"/approvals/{ask['id']}")["sha256"]})
        terminal.wait("begins when somebody watches")
        terminal.type("echo un''watched\r")
        terminal.never("unwatched")


def test_what_is_sent_to_a_shell_without_a_terminal_is_recorded(office, tmp_path):
    mark = tmp_path / "mark"
    office.ssh("ann", "host", None, "-T", input=f"touch {mark}\n")
    assert mark.exists()
    wait_for("what was sent in a recording", 15, lambda: [
        one for one in office.audrey.get("/ssh/recordings?person=ann")["items"]
        if str(mark) in office.audrey.request("GET", "portal",
                                              f"/api/v1/ssh/recordings/{one['id']}").body.decode()], step=0.5)


def test_a_shell_that_asks_runs_only_while_who_agreed_watches(office):
    ann = office.person("ann")
    with office.terminal("abe", "host") as terminal:
        terminal.wait("waits until 1 other person agrees")
        ask = wait_for("the ask", 10, lambda: ann.items("/approvals?state=waiting"))[0]
        ann.post(f"/approvals/{ask['id']}/approve", {"sha256": ann.get(f"/approvals/{ask['id']}")["sha256"]})
        terminal.wait("begins when somebody watches")
        one = office.connection("abe", "host")
        assert one["watch_needed"] and not one["watchers"]
        office.sam.post(f"/ssh/connections/{one['id']}/watch", {})  # may look, but did not agree to it
        terminal.type("echo her''e\r")
        terminal.never("here")
        ann.post(f"/ssh/connections/{one['id']}/watch", {})
        terminal.wait("watched by ann")
        terminal.wait("\nhere")
        ann.call("DELETE", f"/ssh/connections/{one['id']}/watch")
        terminal.wait("nobody watches any more")
        terminal.type("echo alo''ne\r")
        terminal.never("alone")
        ann.post(f"/ssh/connections/{one['id']}/watch", {})
        terminal.wait("\nalone")
        core = office.office.kill("core")  # who looks is not known then
        office.office.wait_role("core", other_than=core)
        wait_for("the second pause", 10, lambda: terminal.read().count("nobody watches any more") == 2)
        terminal.type("echo bac''k\r")
        terminal.never("back")
        office.connection("abe", "host")
        ann.post(f"/ssh/connections/{one['id']}/watch", {})
        terminal.wait("\nback")
        ann.post(f"/ssh/connections/{one['id']}/end", {"why": "enough"})
        terminal.wait("ended: enough")


def test_one_person_has_so_many_connections_and_no_more(office):
    open_now = [subprocess.Popen(office.argv("dan", "quiet", "127.0.0.1", "echo up; sleep 60"), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    with office.paramiko("dan", ""):  # at the menu: it counts as well
        for one in open_now:
            assert one.stdout.readline() == "up\n"
        argv = [word.replace("=ERROR", "=INFO") for word in office.argv("dan", "quiet", "127.0.0.1", "echo more")]
        told = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
        assert told.returncode == 255 and "as many SSH connections open as one person may have" in told.stderr, told
        reference = told.stderr.split("(reference ")[1].split(")")[0]
        entry = wait_for("the entry", 5, lambda: office.events(reference=reference))[0]
        assert (entry["kind"], entry["verdict"], entry["reason"], entry["person"]) == ("sign-in", "deny", "limit", "dan")
        assert office.ssh("ann", "quiet", "echo mine").stdout == "mine\n", "nobody else's"
    wait_for("room again", 5, lambda: office.ssh("dan", "quiet", "echo in").stdout == "in\n")
    more = office.terminal("dan", "quiet")
    more.type("echo fo''ur\r")
    more.wait("four")
    assert office.ssh("dan", "quiet", "echo more").returncode == 255
    os.kill(int(office.worker()), 9)  # what it had is open no more
    for one in open_now:
        one.communicate(timeout=10)
    more.close()
    wait_for("room again", 15, lambda: office.ssh("dan", "quiet", "echo in").stdout == "in\n")

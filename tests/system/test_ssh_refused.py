# SPDX-License-Identifier: Apache-2.0
"""What the SSH gate refuses outside of policy: log-ins and connections that come too fast, what does not fit, and too much of
it. The client reads why with a reference, and the ledger has that reference.
OWNS nothing. PROCESS tests. TRUST none. SPEC docs/SSH.md 7, gates/ssh/door.c, gates/ssh/login.c."""

import re
import socket
import struct
import subprocess
import time

import paramiko
import pytest

from officelib import wait_for
from sshgatelib import SshOffice, engineers_work_on, run

REFERENCE = re.compile(r"reference ([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})")


@pytest.fixture(scope="module")
def office():
    one = SshOffice(engineers_work_on("host"), extra="ssh_log_ins_each: 6\n")
    try:
        one.people(ann="engineer", ben="engineer")
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def calm():
    one = SshOffice(engineers_work_on("host", record=False) + TAKERS)
    try:
        one.people(ann="engineer", tom="taker")
        yield one
    finally:
        one.close()


TAKERS = """\
---
{ kind: Role, name: taker, title: Takers }
---
kind: Rule
name: takers take files
who: { roles: [taker] }
to: { resources: [host] }
may: [connect, read, export]
"""


def entry(office, text):
    """The entry that this text's reference leads to."""
    reference = REFERENCE.search(text)
    assert reference, text

    def found():
        return [e for e in office.audrey.get("/admin/ledger/events?limit=200")["items"]
                if e.get("reference") == reference[1] and e["verdict"] == "deny"]
    return wait_for("the entry", 10, found)[0]


def log_in(office, name):
    """With what a client shows unless it is told not to."""
    argv = [word.replace("LogLevel=ERROR", "LogLevel=INFO") for word in office.argv(name, "host", "127.0.0.1", "true")]
    return run(*argv, stdin=subprocess.DEVNULL)


# ---- too fast

def test_a_person_logs_in_so_often_and_no_oftener(office):
    told = [log_in(office, "ann") for _ in range(8)]
    assert [one.returncode for one in told[:6]] == [0] * 6, told
    late = next(one for one in told if one.returncode != 0)
    assert "log-ins come faster than one person's may" in late.stderr
    found = entry(office, late.stderr)
    assert found["person"] == "ann" and "faster" in found["detail"]["why"]
    assert office.ssh("ben", "host", "true").returncode == 0  # nobody else waits
    wait_for("the next", 15, lambda: office.ssh("ann", "host", "true").returncode == 0)


def knock(port):
    """What the gate says at once: its version, and why it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(b"SSH-2.0-knocker\r\n")
        said = b""
        while b"\n" not in said:
            said += line.recv(4096)
        version, rest = said.split(b"\r\n", 1)
        while len(rest) < 5 or rest[5:6] == b"\1" and len(rest) < 4 + struct.unpack(">I", rest[:4])[0]:
            rest += line.recv(4096)
        return version, rest


def test_an_address_connects_so_often_and_no_oftener():
    office = SshOffice(engineers_work_on("host"), extra="ssh_log_ins_address: 12\n")
    try:
        office.people(ann="engineer")
        office.ssh("ann", "host", "true")
        for _ in range(20):
            version, packet = knock(office.port)
            if packet[5] == 1:
                break
        length, padding, kind, code, size = struct.unpack(">IBBII", packet[:14])
        assert version == b"SSH-2.0-Sallyport" and (kind, code) == (1, 12)
        assert length + 4 == len(packet) and len(packet) % 8 == 0 and padding >= 4 and length == 1 + 13 + size + padding
        text = packet[14:14 + size].decode()
        assert "too many connections come from your address" in text
        again = log_in(office, "ann")
        assert again.returncode == 255 and text[:60] in again.stderr and REFERENCE.search(again.stderr)[1] in text
        assert entry(office, text)["peer"] == "127.0.0.1"
        assert len(office.events(reference=REFERENCE.search(text)[1])) == 1  # of all of a minute
        wait_for("the next", 15, lambda: office.ssh("ann", "host", "true").returncode == 0)
    finally:
        office.close()


# ---- what does not fit

@pytest.mark.parametrize("ask,words", [
    (["-s", "127.0.0.1", "netconf"], "no subsystem but sftp"),
    (["127.0.0.1", "true " + "x" * 70000], "a command has 64 KiB at most")], ids=["subsystem", "long"])
def test_what_does_not_fit_is_told_on_the_channel(calm, ask, words):
    told = run(*calm.argv("ann", "host", *ask), stdin=subprocess.DEVNULL)
    assert told.returncode == 254 and words in told.stderr, told
    assert entry(calm, told.stderr)["person"] == "ann"


def test_what_sftp_may_not_do_by_a_handle_is_written_down(calm, tmp_path):
    (tmp_path / "file").write_text("words\n")
    with calm.paramiko("tom") as client, client.open_sftp() as sftp, sftp.open(str(tmp_path / "file")) as file:
        assert file.read() == b"words\n"
        with pytest.raises(PermissionError) as told:
            file.chmod(0o777)
        raised = told.value
    found = wait_for("the entry", 10, lambda: calm.events(person="tom", verdict="deny"))
    assert found[0]["object"].endswith("/file") and found[0]["detail"]["request"], (found, raised)
    assert (tmp_path / "file").stat().st_mode & 0o777 != 0o777


def test_a_terminal_of_odd_size_is_told_why_there_is_none(calm):
    with calm.paramiko("ann") as client:
        channel = client.get_transport().open_session()
        said = b""
        channel.settimeout(10)
        with pytest.raises(paramiko.SSHException):
            channel.get_pty(width=5000)
        while b"reference" not in said:
            said += channel.recv_stderr(4096)
        assert entry(calm, said.decode())["reason"]


def test_one_channel_too_many_is_told_beside_the_others(calm):
    with calm.paramiko("ann") as client:
        transport = client.get_transport()
        first = transport.open_session()
        first.settimeout(10)
        first.exec_command("sleep 60")
        time.sleep(1)
        rest = [transport.open_session() for _ in range(31)]
        with pytest.raises(paramiko.ChannelException):
            transport.open_session()
        said = b""
        while b"reference" not in said:
            said += first.recv_stderr(4096)
        assert "32 channels" in said.decode() and entry(calm, said.decode())
        assert len(rest) == 31


def test_what_is_typed_is_said_to_be_recorded_only_where_a_machine_says_so(calm):
    told = {one["name"]: one["on"] for one in calm.person("ann").get("/me/recorded")["items"]}
    assert told["sent"] and told["terminals"] and not told["typed"]


# ---- too much of it

def test_who_asks_and_asks_for_what_is_refused_is_cut_off(calm):
    with calm.paramiko("ann") as client:
        transport = client.get_transport()
        refused = 0
        for _ in range(1500):
            try:
                transport.open_channel("direct-tcpip", ("10.9.9.9", 9), ("127.0.0.1", 1), timeout=20)
            except paramiko.ChannelException:
                refused += 1
            except (paramiko.SSHException, EOFError, OSError):
                break
        assert 500 < refused < 1000, refused
    wait_for("the entry", 10, lambda: [
        e for e in calm.events(person="ann", verdict="deny") if "are refused were asked for" in e.get("object", "")])
    assert calm.ssh("ann", "host", "echo again").stdout == "again\n"

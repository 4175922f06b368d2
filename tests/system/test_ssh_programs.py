# SPDX-License-Identifier: Apache-2.0
"""Programs behind the SSH gate that are not what they are called: transfers by another file, shells by another word,
what is sent to a command that others agreed to, pagers of listed commands.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/rule.c, gates/ssh/start.c, lib/argv/transfer.c."""

import os
import shutil
import subprocess
import tempfile

import pytest

from officelib import wait_for
from sshgatelib import ACCOUNT, SshOffice, Terminal, askers_ask, engineers_work_on

DOCUMENTS = """\
{ kind: Role, name: mover, title: Movers }
---
kind: Rule
name: movers carry files both ways
who: { roles: [mover] }
to: { resources: [host] }
may: [connect, read, write, import, export]
---
kind: Rule
name: askers bring files where a colleague agrees to what they run
who: { roles: [asker] }
to: { resources: [host] }
may: [import, export]
---
""" + engineers_work_on("host") + "---\n" + askers_ask()


@pytest.fixture(scope="module")
def office():
    one = SshOffice(DOCUMENTS)
    for name, role in (("ann", "engineer"), ("mo", "mover"), ("abe", "asker")):
        one.person(name, [role])
        one.key(name)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="sp-programs-", dir="/tmp")
    os.chmod(path, 0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def script(path, mark):
    with open(path, "w", encoding="ascii") as file:
        file.write(f"#!/bin/sh\nid >{mark}\n")
    os.chmod(path, 0o755)


# ---- transfers

def test_a_file_that_is_called_like_a_transfer_is_not_run_as_one(office, folder):
    """Who may carry files and run nothing brings a script of that name."""
    script(f"{folder}/script", f"{folder}/mark")
    for name, words in (("rsync", "--server --sender -e.LsfxCIvu . /"), ("scp", "-f /etc/hosts"),
                        ("git-upload-pack", folder)):
        put = subprocess.run(office.argv("mo", "host", "-b", "-", "127.0.0.1", program="sftp"), text=True, timeout=60,
                             input=f"put -p {folder}/script {folder}/{name}\n", capture_output=True, check=False)
        assert put.returncode == 0 and os.access(f"{folder}/{name}", os.X_OK), put
        for person in ("mo", "ann"):
            told = office.ssh(person, "host", f"{folder}/{name} {words}")
            assert told.returncode == 254 and "none that the gate knows" in told.stderr, told
        told = office.ssh("mo", "host", f"cd {folder}; ./{name} {words}")
        assert told.returncode == 254, told
    assert not os.path.exists(f"{folder}/mark")


def test_a_transfer_runs_the_programs_of_the_system_whatever_the_account_looks_for_first(office, folder):
    for name, words in (("rsync", "--server --sender -e.LsfxCIvu . /etc/hosts"), ("scp", f"-t {folder}"),
                        ("git-upload-pack", folder)):
        own = os.path.join(office.sshd.dir, "bin", name)
        script(own, f"{folder}/mark")
        office.ssh("ann", "host", f"{name} {words}")
        os.unlink(own)
        assert not os.path.exists(f"{folder}/mark"), name


def test_a_transfer_has_no_terminal_and_begins_as_one(office, folder):
    subprocess.run(["git", "init", "-q", "--bare", f"{folder}/r.git"], check=True)
    told = office.ssh("ann", "host", "rsync --server --sender -e.LsfxCIvu . /etc/hosts", "-tt")
    assert told.returncode == 254 and "no terminal" in told.stdout, told
    for command in ("rsync --server --sender -e.LsfxCIvu . /etc/hosts", f"git-receive-pack {folder}/r.git"):
        told = office.ssh("ann", "host", command, input="id\nid\n")
        assert told.returncode == 254 and "does not begin as" in told.stderr, told


# ---- what others agreed to

def agree(office, statement):
    ann = office.person("ann")
    one = wait_for("the ask", 10, lambda: ann.items("/approvals?state=waiting"))[0]
    full = ann.get(f"/approvals/{one['id']}")
    assert full["statement"] == statement
    ann.post(f"/approvals/{full['id']}/approve", {"sha256": full["sha256"]})


@pytest.mark.parametrize("command", [". /dev/stdin", "source /dev/stdin", "{folder}/x", "vi -es", "tee {folder}/mark"])
def test_what_others_agreed_to_is_told_nothing_more(office, folder, command):
    """None of these is known for a shell: it is at the end of its input when it begins."""
    shutil.copy("/bin/bash", f"{folder}/x")
    command = command.format(folder=folder)
    with Terminal(office.argv("abe", "host", "127.0.0.1", command)) as terminal:
        agree(office, f"{ACCOUNT}@host$ {command}")
        terminal.wait("approved by")
        try:
            terminal.type(f"echo >{folder}/mark\nexit\n:q!\n")
        except BrokenPipeError:
            pass
        wait_for("its end", 10, lambda: terminal.process.poll() is not None)
        assert terminal.process.returncode != -9
    assert not os.path.exists(f"{folder}/mark") or os.path.getsize(f"{folder}/mark") == 0


def test_what_is_sent_while_others_think_is_not_left_out_of_what_then_runs(office, folder):
    """`cat >x` without its input would write over x with nothing."""
    with open(f"{folder}/mark", "w", encoding="ascii") as file:
        file.write("old")
    with Terminal(office.argv("abe", "host", "127.0.0.1", f"cat >{folder}/mark")) as terminal:
        terminal.type("new\n")
        agree(office, f"{ACCOUNT}@host$ cat >{folder}/mark")
        terminal.wait("nothing may be sent to it")
    assert open(f"{folder}/mark", encoding="ascii").read() == "old"


# ---- recordings

def test_what_is_told_to_a_command_that_takes_commands_is_recorded(office):
    assert office.ssh("ann", "host", "bash", input=": told-in-silence\n").returncode == 0

    def whole():
        for one in office.audrey.get("/ssh/recordings?person=ann")["items"]:
            info = office.audrey.get(f"/ssh/recordings/{one['id']}/info")
            text = office.audrey.request("GET", "portal", f"/api/v1/ssh/recordings/{one['id']}").body.decode()
            if "told-in-silence" in text and info["ended_at"]:
                return info["coverage"]
        return None
    assert wait_for("the recording", 10, whole)["unseen"] == 0

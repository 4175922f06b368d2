# SPDX-License-Identifier: Apache-2.0
"""Walls of the SSH gate that were walked round once: transfers that write over files, files through plain commands,
what is run that was only brought, shells by another name. Each is refused, asked for, or watched.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/rule.c, gates/ssh/start.c."""

import json
import os
import shlex
import subprocess

import pytest

from officelib import wait_for
from sshgatelib import ACCOUNT, SshOffice, Terminal, askers_ask, keygen, run
from test_ssh_hostile import people_certificate

DOCUMENTS = """\
{ kind: Role, name: putter, title: Putters }
---
{ kind: Role, name: typist, title: Typists }
---
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host, typed] }
may: [connect, read, write, execute, import, export, destroy]
with: { record: true }
---
kind: Rule
name: putters bring files
who: { roles: [putter] }
to: { resources: [host] }
may: [connect, read, write, import]
---
kind: Rule
name: typists type
who: { roles: [typist] }
to: { resources: [host] }
may: [connect, read, execute]
with: { record: true }
---
kind: Rule
name: and no file of theirs comes or goes
who: { roles: [typist] }
to: { resources: [host] }
deny: [write, import, export, destroy, forward]
---
""" + askers_ask()


@pytest.fixture(scope="module")
def office():
    one = SshOffice(DOCUMENTS, hosts={"typed": "  record_input: true\n"})
    try:
        one.people(ann="engineer", pat="putter", ty="typist", abe="asker")
        yield one
    finally:
        one.close()


# ---- what comes without being told file by file

def test_who_may_only_bring_files_writes_over_none_whichever_way(office, tmp_path):
    """scp in its old mode and rsync tell the gate no file before it is there: they need destroy and execute as well."""
    old, empty = tmp_path / "ibdata1", tmp_path / "empty"
    old.write_text("all the orders\n" * 100)
    empty.write_text("")
    far = f"127.0.0.1:{old}"
    for told in (office.scp("pat", "host", "-O", str(empty), far), office.rsync("pat", "host", "-I", str(empty), far),
                 office.rsync("pat", "host", "-I", "--inplace", str(empty), far),
                 office.rsync("pat", "host", "--ignore-existing", str(empty), far)):
        assert told.returncode != 0 and "use sftp" in told.stderr and "reference" in told.stderr, told
    assert old.read_text() == "all the orders\n" * 100
    assert office.sftp("pat", "host", f"put {empty} {old}\n").returncode != 0
    assert office.sftp("pat", "host", f"put {empty} {tmp_path}/new\n").returncode == 0  # a file that was not there
    wait_for("the refusal", 10, lambda: [e for e in office.events(person="pat", action="destroy", verdict="deny")
                                         if e["detail"].get("kind") == "scp"])
    assert office.scp("ann", "host", "-O", str(empty), far).returncode == 0 and old.read_text() == ""


def test_a_push_is_not_let_through_for_who_may_run_nothing(office, tmp_path):
    bare, work = tmp_path / "r.git", tmp_path / "w"
    mark = tmp_path / "ran"
    env = {**os.environ, "GIT_SSH_COMMAND": shlex.join(office.argv("pat", "host")), "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    (bare / "hooks" / "post-receive").write_text(f"#!/bin/sh\nid >{mark}\n")
    os.chmod(bare / "hooks" / "post-receive", 0o755)
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    subprocess.run(["git", "-C", str(work), "-c", "user.name=p", "-c", "user.email=p@x", "commit", "-q", "--allow-empty",
                    "-m", "x"], check=True, env=env)
    told = run("git", "-C", str(work), "push", f"127.0.0.1:{bare}", "HEAD:main", env=env)
    assert told.returncode != 0 and "git (" in told.stderr and not mark.exists(), told


def test_what_is_run_by_itself_is_not_brought_by_who_may_run_nothing(office, tmp_path):
    (tmp_path / "x").write_text("id")
    for place in (".bashrc", "r.git/hooks/post-receive", ".ssh/authorized_keys"):
        far = tmp_path / place
        far.parent.mkdir(parents=True, exist_ok=True)
        told = office.sftp("pat", "host", f"put {tmp_path}/x {far}\n")
        assert told.returncode != 0 and "execute" in told.stderr and not far.exists(), told
        told = office.sftp("pat", "host", f"put {tmp_path}/x {tmp_path}/y\nrename {tmp_path}/y {far}\n")
        assert told.returncode != 0 and "execute" in told.stderr and not far.exists(), told
        (tmp_path / "y").unlink()
        assert office.sftp("ann", "host", f"put {tmp_path}/x {far}\n").returncode == 0 and far.exists()


# ---- files through a command that is none of the known

def test_no_file_comes_or_goes_behind_another_word(office, tmp_path):
    """A device with a shell and no file: neither `env rsync` nor an sftp server that is started as a command."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(os.urandom(300000))
    for told in (office.rsync("ty", "host", "-a", "--rsync-path=env rsync", f"127.0.0.1:{kept}/", f"{tmp_path}/got/"),
                 office.rsync("ty", "host", "-a", "--rsync-path=env rsync", f"{kept}/", f"127.0.0.1:{tmp_path}/put/"),
                 office.sftp("ty", "host", f"get {kept}/file {tmp_path}/one\nput {kept}/file {kept}/two\nrm {kept}/file\n",
                         "-s", "env /usr/lib/openssh/sftp-server")):
        assert told.returncode != 0 and "ssh -t takes a terminal" in told.stderr, told
    for command in (f"env scp -f {kept}/file", f"cd {kept}; scp -t two", f"cat >{kept}/two", "sh"):
        told = office.ssh("ty", "host", command, input="\0" * 10)
        assert told.returncode == 254 and "import" in told.stderr and not told.stdout, (command, told)
    told = office.ssh("ty", "host", None, "-T", input=f"cat >{kept}/two\n")
    assert told.returncode == 254 and "import" in told.stderr
    for folder, _, names in os.walk(tmp_path):  # what a shell makes by itself for `>` is empty
        assert not [n for n in names if n != "file" and os.path.getsize(os.path.join(folder, n))], (folder, names)
    assert (kept / "file").exists()
    wait_for("the refusal", 10, lambda: office.events(person="ty", action="import", verdict="deny"))


def test_what_a_command_prints_there_passes_as_far_as_it_is_recorded(office, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 300000)
    assert office.ssh("ty", "host", "echo short").stdout == "short\n"
    told = office.ssh("ty", "host", f"cat {tmp_path}/file")
    assert told.returncode == 254 and "export" in told.stderr and len(told.stdout) == 64 * 1024
    wait_for("the refusal", 10, lambda: office.events(person="ty", action="export", verdict="deny"))
    with subprocess.Popen(office.argv("ty", "host", "127.0.0.1", "head -c 65536 /dev/zero; sleep 60"),
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as running:
        def told_of():
            return [e for e in office.events(person="ty", kind="close") if e["object"].endswith("sleep 60")]
        carried = wait_for("what it has printed, while it still runs", 10, told_of)
        running.kill()
    assert [(e["bytes_out"], e["detail"]["export"]) for e in carried] == [(65536, "not allowed")]
    ends = wait_for("its end", 10, lambda: [e for e in told_of() if "export" not in e["detail"]])  # told already
    assert len(ends) == 1 and ends[0]["bytes_out"] == 65536 and len(told_of()) == 2
    with office.terminal("ty", "host") as terminal:
        terminal.type("echo on-a-$((40+2)); exit\r")
        terminal.wait("on-a-42")
    assert len(office.ssh("ann", "host", f"cat {tmp_path}/file").stdout) == 300000


def test_people_are_told_what_of_them_is_recorded(office):
    """What is kept whatever policy says, and what only a machine that says so keeps."""
    assert office.ssh("ann", "host", "bash -s", input=": sent-to-a-shell\n").returncode == 0
    assert office.ssh("ann", "host", "cat", input="sent-to-cat\n").stdout == "sent-to-cat\n"
    assert office.ssh("ann", "typed", "cat >/dev/null", input="sent-where-it-says-so\n").returncode == 0

    def kept():
        texts = [office.recording(one["id"]) for one in office.audrey.get("/ssh/recordings?person=ann")["items"]]
        lines = [json.loads(line) for text in texts for line in (text or "").splitlines() if line.startswith("[")]
        typed = "".join(line[2] for line in lines if line[1] == "i")
        return typed if "sent-to-a-shell" in typed and "sent-where-it-says-so" in typed else None
    assert "sent-to-cat" not in wait_for("the recordings", 15, kept)
    told = {one["name"]: one for one in office.person("ann").get("/me/recorded")["items"]}
    assert {"terminals", "sent", "typed", "machines"} <= set(told) and all(told[n]["on"] for n in ("terminals", "sent", "typed"))
    assert not told["statements"]["on"]  # this office has no gate for databases
    assert "first 64 KiB" in told["terminals"]["what"]["en"] and "64 KiB" in told["terminals"]["what"]["zh"]
    assert "without a terminal" in told["sent"]["what"]["en"] and "documents say so" in told["typed"]["what"]["en"]


# ---- shells by another name

def test_a_command_called_shell_is_not_a_shell_to_who_agrees(office):
    program = os.path.join(office.sshd.dir, "bin", "shell")
    with open(program, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexec bash -i\n")
    os.chmod(program, 0o755)
    seen = {}
    for words in ([], ["shell"]):
        with Terminal(office.argv("abe", "host", "-tt", "127.0.0.1", *words)):
            full = office.asked()
            seen[full["statement"]] = full["sha256"]
        wait_for("its end", 10, lambda: not office.person("ann").items("/approvals?state=waiting"))
    assert set(seen) == {f"{ACCOUNT}@host: shell", f"{ACCOUNT}@host, on a terminal$ shell"}
    assert len(set(seen.values())) == 2


@pytest.mark.parametrize("words", [["-tt", "bash"], ["-tt", "shell"], ["-T", "bash -s"]], ids=str)
def test_what_was_agreed_to_and_may_be_a_shell_is_watched_as_one(office, words):
    with Terminal(office.argv("abe", "host", words[0], "127.0.0.1", words[1])) as terminal:
        office.decide("approve")
        terminal.wait("this begins when somebody watches")
        if words[0] == "-tt":
            terminal.type("echo un''watched\r")
            terminal.never("\nunwatched")


def test_what_was_agreed_to_and_is_all_there_is_runs_at_once(office):
    with Terminal(office.argv("abe", "host", "127.0.0.1", "echo all")) as terminal:
        full = office.asked()
        assert full["statement"] == f"{ACCOUNT}@host$ echo all"
        office.decide("approve", full)
        terminal.wait("all")
        terminal.never("watches", 0.3)


# ---- what is recorded

def recorded(office, words):
    """Text and statement of the newest recording, once it has ended and these words stand in it."""
    def whole():
        newest = office.audrey.get("/ssh/recordings?person=ann")["items"][0]["id"]
        text = office.audrey.request("GET", "portal", f"/api/v1/ssh/recordings/{newest}").body.decode()
        info = office.audrey.get(f"/ssh/recordings/{newest}/info")
        return (text, info["coverage"]) if words in text and info["ended_at"] else None
    return wait_for(f"{words!r} in a recording", 15, whole)


def test_what_a_shell_without_a_terminal_is_told_is_recorded_since_nothing_echoes_it(office):
    assert office.ssh("ann", "host", None, "-T", input=": told-and-not-printed\necho last-words\n").returncode == 0
    text, coverage = recorded(office, "last-words")
    assert "told-and-not-printed" in text and coverage["unseen"] == 0


def test_a_shell_that_is_asked_for_as_a_command_is_recorded_beyond_the_first_of_it(office):
    more = "head -c 70000 /dev/zero | tr '\\0' x; echo\n" + (": " + "y" * 100 + "\n") * 700
    told = office.ssh("ann", "typed", "bash -i", input=more + "echo sec''ret-act; : and-silent\n")
    assert "secret-act" in told.stdout
    text, coverage = recorded(office, "secret-act")
    assert "and-silent" in text and coverage["unseen"] == 0


@pytest.mark.parametrize("machine", ["host", "typed"])
def test_lines_that_are_typed_and_not_shown_are_counted_and_marked(office, machine):
    with office.terminal("ann", machine) as terminal:
        terminal.type("PS1='rea''dy> '\r")
        terminal.wait("ready> ")
        terminal.type("read -s -p 'Password: ' word\r")
        terminal.wait("\nPassword: ")
        terminal.type("some secret\r")
        terminal.wait("ready> ")
        terminal.type("stty -echo; echo echo is off\r")
        terminal.wait("\necho is off\n")
        terminal.type("touch /tmp/nothing-at-all; : unseen\r")
        terminal.never("unseen", 1.2)
        terminal.type("stty echo; echo echo-is on\r")
        terminal.wait("echo-is on")
        terminal.type("echo visible-again\r")
        terminal.wait("\nvisible-again")
        terminal.type("exit\r")
        wait_for("its end", 10, lambda: terminal.process.poll() is not None)
    text, coverage = recorded(office, "visible-again")
    assert coverage["hidden"] == 2 and text.count('"m","hidden: a line was typed and not shown"') >= 1
    assert "some secret" not in text and "nothing-at-all" not in text


# ---- what ran

def test_the_ledger_names_the_command_of_the_certificate_which_is_what_ran(office, tmp_path):
    key = str(tmp_path / "id")
    line = keygen(key)
    with open(key + "-cert.pub", "w", encoding="ascii") as file:
        file.write(people_certificate(office, line, "ann", critical=(("force-command", "echo forced ran"),)))
    told = run("ssh", *office.options(), "-i", key, "-o", "User=ann:host", "-p", str(office.port), "127.0.0.1",
               "echo asked-for", stdin=subprocess.DEVNULL)
    assert told.stdout == "forced ran\n", told

    def both():
        found = office.events(person="ann", object="echo forced ran")
        return found if {e["kind"] for e in found} == {"decision", "close"} else None
    [decision] = [e for e in wait_for("both events", 10, both) if e["kind"] == "decision"]
    assert decision["detail"]["asked"] == "echo asked-for"
    assert not office.events(person="ann", object="echo asked-for")

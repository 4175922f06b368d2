# SPDX-License-Identifier: Apache-2.0
"""Programs behind the SSH gate that are not what they are called: transfers by another file, shells by another word,
what is sent to a command that others agreed to, pagers of listed commands.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/rule.c, gates/ssh/start.c, lib/argv/transfer.c."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time

import pytest

from officelib import wait_for
from sshgatelib import ACCOUNT, TARGET_CA, SshOffice, Sshd, Terminal, askers_ask, machine_at

DOCUMENTS = """\
{ kind: Role, name: mover, title: Movers }
---
{ kind: Role, name: counted, title: Counted people }
---
{ kind: Role, name: short, title: Short people }
---
kind: Rule
name: movers carry files both ways
who: { roles: [mover] }
to: { resources: [host] }
may: [connect, read, write, import, export]
---
kind: Rule
name: counted ones may carry off so much a day
who: { roles: [counted] }
to: { resources: [host] }
may: [connect, execute, export]
with: { limit: { bytes: 200 KiB, per: day } }
---
kind: Rule
name: short ones may carry off so much at once
who: { roles: [short] }
to: { resources: [host] }
may: [connect, execute, export]
with: { limit: { bytes: 100 KiB } }
---
kind: Rule
name: askers bring files where a colleague agrees to what they run
who: { roles: [asker] }
to: { resources: [host] }
may: [import, export]
---
kind: Rule
name: engineers work on what is internal
who: { roles: [engineer] }
to: { classes: [internal] }
may: [connect, read, write, execute, import, export, destroy]
with: { record: true }
---
""" + askers_ask()
WATCHED = """\
kind: Rule
name: on one machine somebody looks
who: { roles: [engineer] }
to: { resources: [later] }
may: [connect, execute, import, export]
with: { record: true, watch: true }
"""
HOSTS = {
    "listed": """\
  commands:
    - { name: a pager, argv: [less, "{file:path}"] }
    - { name: a file, argv: [cat, "{file:path}"] }
    - { name: writes, argv: [tee, "{file:path}"] }
    - { name: counts, argv: [wc, -c], input: true }
    - { name: tells, argv: [tty], terminal: true }
""",
    "parted": """\
  commands: [{ name: a file, argv: [cat, "{file:path}"], action: read }, { name: a clock, argv: [uptime], action: read }]
  parts: [{ path: /srv/secret, class: core }]
""",
    "later": "",
}


NARROW = """\
case "$SSH_ORIGINAL_COMMAND" in
rsync*) exec rrsync {dir}/tree ;;
*) exec git-shell -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""


@pytest.fixture(scope="module")
def narrow():
    """A machine where every command goes to rrsync or to git-shell."""
    one = Sshd()
    os.mkdir(os.path.join(one.dir, "tree"))
    with open(os.path.join(one.dir, "narrow"), "w", encoding="ascii") as file:
        file.write(NARROW.format(dir=one.dir))
    yield one
    one.close()


@pytest.fixture(scope="module")
def office(narrow):
    one = SshOffice(machine_at("narrow", narrow.port, narrow.host_key, "  programs: named\n") + DOCUMENTS, hosts=HOSTS)
    narrow.start(one._public(TARGET_CA) + "\n", f"ForceCommand /bin/sh {narrow.dir}/narrow\n")
    for name, role in (("ann", "engineer"), ("mo", "mover"), ("abe", "asker"), ("cal", "counted"),
                       ("sid", "short")):
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


def test_git_servers_and_rrsync_are_told_the_name_alone(office, narrow, folder):
    for name in ("out", "in"):
        os.mkdir(f"{folder}/{name}")
    with open(f"{folder}/out/one", "w", encoding="ascii") as file:
        file.write("1")
    for words in ((f"{folder}/out/one", "127.0.0.1:far"), ("127.0.0.1:far", f"{folder}/in/one")):
        told = office.rsync("ann", "narrow", "-a", *words)
        assert told.returncode == 0, told
    assert os.path.exists(f"{narrow.dir}/tree/far") and os.path.exists(f"{folder}/in/one")
    subprocess.run(["git", "init", "-q", "--bare", f"{narrow.dir}/r.git"], check=True)
    told = subprocess.run(["git", "clone", f"127.0.0.1:{narrow.dir}/r.git", f"{folder}/r"], capture_output=True, text=True,
                          env={**os.environ, "GIT_SSH_COMMAND": shlex.join(office.argv("ann", "narrow")),
                               "GIT_CONFIG_GLOBAL": "/dev/null"}, timeout=60, check=False)
    assert told.returncode == 0, told


# ---- what others agreed to

def agree(office, statement):
    ann = office.person("ann")
    one = wait_for("the ask", 10, lambda: ann.items("/approvals?state=waiting"))[0]
    full = ann.get(f"/approvals/{one['id']}")
    assert full["statement"] == statement
    ann.post(f"/approvals/{full['id']}/approve", {"sha256": full["sha256"]})


@pytest.mark.parametrize("command", ["{folder}/x", "tee {folder}/mark", "dd of={folder}/mark"])
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
        full = office.asked()
        terminal.type("new\n")
        time.sleep(0.5)
        assert full["statement"] == f"{ACCOUNT}@host$ cat >{folder}/mark"
        office.decide("approve", full)
        terminal.wait("nothing may be sent to it")
    assert open(f"{folder}/mark", encoding="ascii").read() == "old"


def test_a_key_that_is_hit_while_others_think_does_no_harm(office, folder):
    with Terminal(office.argv("abe", "host", "127.0.0.1", f"wc -c >{folder}/mark; echo do''ne")) as terminal:
        terminal.type("\n\n")
        agree(office, f"{ACCOUNT}@host$ wc -c >{folder}/mark; echo do''ne")
        terminal.wait("done")
    assert open(f"{folder}/mark", encoding="ascii").read() == "0\n"


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

# ---- commands of a list

def test_a_listed_command_has_no_terminal_and_no_input_unless_its_entry_says_so(office, folder):
    """A pager on a terminal starts a shell, and so does many a program that is told to."""
    told = office.ssh("ann", "listed", "less /etc/hosts", "-tt", input="!id\n")
    assert told.returncode == 254 and "no terminal" in told.stdout, told
    assert office.ssh("ann", "listed", "cat /etc/hosts").stdout == open("/etc/hosts", encoding="utf-8").read()
    told = office.ssh("ann", "listed", f"tee {folder}/mark", input="a file\n")
    assert told.returncode == 254 and "nothing may be sent to this command" in told.stderr, told
    assert not os.path.exists(f"{folder}/mark") or os.path.getsize(f"{folder}/mark") == 0
    assert office.ssh("ann", "listed", "wc -c", input="four").stdout.strip() == "4"
    assert "a terminal" in office.ssh("ann", "listed", "tty", "-tt").stdout.replace("/dev/pts", "a terminal")


def test_a_path_that_is_named_to_a_listed_command_is_judged_as_the_gravest_that_it_may_lead_to(office, folder):
    os.symlink("/srv", f"{folder}/link")
    for path in ("/srv/secret/x", f"{folder}/link/secret/x", "/etc/hosts"):
        told = office.ssh("ann", "parted", f"cat {path}")
        assert told.returncode == 254 and "not allowed" in told.stderr, (path, told)
    assert office.ssh("ann", "parted", "uptime").returncode == 0


# ---- a policy that moves

def publish(office, path, text):
    files = [f for f in office.sam.get("/admin/policy/documents")["files"] if f["path"] != path]
    files[0]["text"] = files[0]["text"].replace("to: { classes: [internal] }\n", "to: { resources: [host] }\n")
    office.sam.post("/admin/policy/apply", {"files": [*files, {"path": path, "text": text}]})


def test_what_has_to_be_watched_from_now_on_stops_until_somebody_does(office):
    with office.terminal("ann", "later") as terminal:
        terminal.type("echo be''fore\r")
        terminal.wait("\nbefore")
        publish(office, "watched.yaml", WATCHED)
        terminal.wait("nobody watches")
        terminal.type("echo af''ter\r")
        terminal.never("\nafter")
        one = office.connection("ann", "later")
        assert one["watch_needed"]
        office.sam.post(f"/ssh/connections/{one['id']}/watch", {})
        terminal.wait("\nafter")


def test_what_waited_under_one_policy_and_runs_under_another_is_written_down_under_both(office):
    publish(office, "watched.yaml", WATCHED)
    with office.terminal("ann", "later") as terminal:
        terminal.wait("this begins when somebody watches")
        publish(office, "more.yaml", "{ kind: Role, name: nobody-yet }\n")
        one = office.connection("ann", "later")
        office.sam.post(f"/ssh/connections/{one['id']}/watch", {})
        terminal.type("echo ru''ns\r")
        terminal.wait("\nruns")

        def entries():
            return [e for e in office.audrey.get("/admin/ledger/events?kind=decision&resource=later&limit=100")["items"]
                    if e.get("detail", {}).get("connection") == one["id"] and e["detail"].get("kind") == "shell"
                    and e["verdict"] == "allow"]
        found = wait_for("both entries", 10, lambda: entries() if len(entries()) > 1 else None)
        assert len({e["policy_version"] for e in found}) == 2 and len({e["reference"] for e in found}) == 1, found


# ---- what is counted, and what the ledger shows

def test_that_more_was_sent_to_a_command_than_the_alarms_look_at_is_an_alarm(office):
    def alarms(words):
        return [e for e in office.audrey.get("/admin/ledger/events?kind=decision&limit=100")["items"]
                if "alarm" in e.get("detail", {}) and words in e["object"]]

    comments = ("#" + "x" * 1023 + "\n") * 1024  # 1 MiB
    assert office.ssh("ann", "host", "bash -s", input=comments * 2 + "false && rm -rf /srv\necho done\n").stdout == "done\n"
    assert wait_for("the alarm of what stands behind", 10, lambda: alarms("files are removed with everything below them"))
    assert not alarms("than the alarms look at")
    assert office.ssh("ann", "host", "bash -s", input=comments * 17 + "echo done\n").stdout == "done\n"
    assert wait_for("the alarm", 10, lambda: alarms("than the alarms look at"))[0]["severity"] == "high"
    assert [a for a in office.sam.items("/ssh/alarms") if "than the alarms look at" in a["text"]]


def test_one_answer_is_what_comes_on_both_ways_out(office):
    told = office.ssh("sid", "host", "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; sleep 5")
    assert told.returncode == 254 and "may be taken at once" in told.stderr


def test_what_a_terminal_shows_counts_in_what_may_leave_in_a_day(office):
    with office.terminal("cal", "host") as terminal:
        terminal.type("head -c 400000 /dev/zero | tr '\\0' x\r")
        terminal.wait("carry off in a day")


def test_the_statement_says_that_output_was_cut_and_names_show_what_no_screen_does(office):
    assert len(office.ssh("ann", "host", "head -c 70000 /dev/zero; : a\u200bb\ufeff").stdout) == 70000
    wait_for("the name", 10, lambda: office.events(person="ann", object="head -c 70000 /dev/zero; : a\\xe2\\x80\\x8bb"
                                                   "\\xef\\xbb\\xbf"))
    wait_for("the statement", 10, lambda: [e for e in office.events(person="ann", kind="close")
                                           if e["detail"].get("cut") == 1])

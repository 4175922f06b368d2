# SPDX-License-Identifier: Apache-2.0
"""sallyport ssh, scp, sftp, ssh-config, ssh-keys and what security administrators do with sessions, as people type
it, against a whole office with a machine behind. OWNS nothing. PROCESS tests. TRUST none.
SPEC docs/man/sallyport-ssh.1, docs/man/sallyport-session.1."""

import json
import os
import signal
import subprocess

import pytest

from officelib import PROGRAM, wait_for
from sshgatelib import SshOffice, keygen
from test_core_cli import Shell

DOCUMENTS = """\
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host, cold] }
may: [connect, read, write, execute, import, export, destroy]
with: { record: true }
"""


@pytest.fixture(scope="module")
def office():
    one = SshOffice(DOCUMENTS, hosts={"cold": "  alarm: freeze\n"})
    try:
        one.person("ann")
        yield one
    finally:
        one.close()


@pytest.fixture
def ann(office, tmp_path):
    return Shell(office.office, office.person("ann"), tmp_path)


@pytest.fixture
def sam(office, tmp_path):
    (tmp_path / "sam").mkdir()
    return Shell(office.office, office.sam, tmp_path / "sam")


def start(shell, *words, stdin=subprocess.DEVNULL):
    return subprocess.Popen([PROGRAM, *words], env=shell.env, stdin=stdin, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def test_commands_and_files_need_nothing_but_a_session(ann, tmp_path):
    assert ann.run("ssh", "host", "echo", "in") == "in\n"
    assert "no machine 'nowhere'" in ann.run("ssh", "nowhere", "true", status=1)
    near, far = tmp_path / "near", tmp_path / "far"
    near.write_text("carried")
    ann.run("scp", str(near), f"host.sallyport:{far}")
    assert far.read_text() == "carried"
    ann.run("scp", f"host.sallyport:{far}", f"{tmp_path}/back")
    assert (tmp_path / "back").read_text() == "carried"
    batch = tmp_path / "batch"
    batch.write_text(f"get {far} {tmp_path}/third\n")
    ann.run("sftp", "-b", str(batch), "host.sallyport")
    assert (tmp_path / "third").read_text() == "carried"
    # what an option could do, it does not
    assert ann.run("ssh", "-oProxyCommand=touch /tmp/x", "true", status=2)


def test_ssh_config_lets_any_program_through(ann, tmp_path):
    config = ann.run("ssh-config")
    assert "Host host.sallyport" in config and "host.sallyport" in config
    (tmp_path / "config").write_text(config)
    told = subprocess.run(["ssh", "-F", str(tmp_path / "config"), "host.sallyport", "echo through"], env=ann.env,
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    assert told.stdout == "through\n", told.stderr


def test_keys_are_added_listed_used_and_removed(office, ann, sam, tmp_path):
    keygen(str(tmp_path / "mine"))
    office.person("ann").step_up()
    ann.run("ssh-keys", "add", "old laptop", str(tmp_path / "mine.pub"))
    listed = ann.json("ssh-keys", "list")
    assert [k["name"] for k in listed] == ["old laptop"]
    told = subprocess.run(["ssh", *office.options(), "-i", str(tmp_path / "mine"), "-o", "User=ann:host", "-p",
                           str(office.port), "127.0.0.1", "echo in"], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)
    assert told.stdout == "in\n", told.stderr
    ann.run("ssh-keys", "remove", listed[0]["id"])
    assert ann.json("ssh-keys", "list") == []
    ann.run("ssh-keys", "add", "spare", str(tmp_path / "mine.pub"))
    [spare] = sam.json("person", "ssh-keys", "ann")
    assert "is removed" in sam.run("person", "remove-ssh-key", "ann", spare["id"])
    assert ann.json("ssh-keys", "list") == []


def test_sessions_are_listed_watched_frozen_and_killed(office, ann, sam):
    client = start(ann, "ssh", "host", "echo begun; for i in 1 2 3; do read -r x; echo got-$x; done", stdin=subprocess.PIPE)
    assert client.stdout.readline() == "begun\n"
    one = wait_for("the connection", 10, lambda: sam.json("session", "connections"))[0]
    assert one["resource"] == "host" and "begun" in sam.run("session", "connections")
    watch = start(sam, "session", "watch", one["id"])
    assert "Watching ann on host" in watch.stderr.readline()
    wait_for("the watcher", 10, lambda: sam.json("session", "connections")[0]["watchers"] == ["sam"])
    assert "is frozen" in sam.run("session", "freeze", one["id"], "--why", "drill")
    assert sam.json("session", "connections")[0]["frozen_by"] == "sam"
    client.stdin.write("one\n")
    client.stdin.flush()
    assert "goes on" in sam.run("session", "thaw", one["id"])
    assert client.stdout.readline() == "got-one\n"
    assert "has ended" in sam.run("session", "kill", one["id"], "--why", "drill")
    _, said = client.communicate(timeout=20)
    assert client.returncode != 0 and "ended: drill" in said
    shown, _ = watch.communicate(timeout=20)
    assert "got-one" in shown
    found = wait_for("the recording with its end", 10, lambda: [
        r for r in ann.json("session", "recordings") if r["id"] == one["id"] and r["ended_at"] and r["account"]])[0]
    assert found["live"] is False and found["resource"] == "host"
    assert "got-one" in ann.run("session", "replay", one["id"], "--text")
    lines = ann.run("session", "replay", one["id"], "--json").splitlines()
    assert json.loads(lines[0])["version"] == 2


def test_what_was_named_and_printed_moves_no_terminal(ann, sam):
    nasty = "\x1b]52;c;ZWNobw==\x07\x1b]0;owned\x07\x1b[6n"
    before = {r["id"] for r in ann.json("session", "recordings")}
    shown = ann.run("ssh", "host", f"printf '%s' '{nasty}'; echo shown")
    assert nasty in shown  # his own terminal: what ssh shows, it shows
    one = wait_for("the recording", 10, lambda: [
        r for r in ann.json("session", "recordings") if r["id"] not in before and r["ended_at"]])[0]
    for words in (["recordings"], ["replay", one["id"], "--text"], ["replay", one["id"], "--speed", "100"]):
        told = sam.run("session", *words)
        assert "\x1b]" not in told and "\x07" not in told and "\x1b[6n" not in told, repr(told)
        assert words[0] == "recordings" or "shown" in told


def test_an_alarm_is_listed_and_let_go(ann, sam):
    home = os.path.expanduser("~")
    client = start(ann, "ssh", "cold", f"rm -rf {home}/sp-nothing-here; echo done")
    one = wait_for("the alarm", 10, lambda: sam.json("session", "alarms"))[0]
    assert one["frozen"] and one["person"] == "ann" and "removed" in sam.run("session", "alarms")
    sam.run("session", "thaw", one["id"], "--why", "looked")
    out, said = client.communicate(timeout=20)
    assert (out, client.returncode) == ("done\n", 0), said
    assert sam.json("session", "alarms") == []


def test_doctor_looks_at_the_gate(office):
    found, status = office.office.doctor()
    assert status in (0, 1), found
    about = [f for f in found["findings"] if "answers with SSH" in json.dumps(f)]
    assert about, found


def test_what_a_worker_did_not_end_is_said_to_end_where_it_does(office, ann):
    """Last in this file: its worker is killed."""
    with office.terminal("ann", "host") as terminal:
        terminal.type("echo last''-words\r")
        terminal.wait("last-words")
        one = office.connection("ann", "host")
        recording = f"/ssh/recordings/{one['id']}"
        wait_for("the words' chunk", 5, lambda: b"last-words" in office.audrey.request("GET", "portal", f"/api/v1{recording}").body)
        assert office.audrey.get(recording + "/info")["complete_to"] is None, "it lives"
        os.kill(int(office.worker()), 9)
        ended = wait_for("its end", 10, lambda: (lambda i: i if i["ended_at"] else None)(office.audrey.get(recording + "/info")))
    assert ended["account"] and "lost" in ended["coverage"] and ended["started_at"] <= ended["complete_to"] <= ended["ended_at"]
    listed = next(r for r in office.audrey.items("/ssh/recordings?person=ann") if r["id"] == one["id"])
    assert listed["ended_at"] == ended["ended_at"]
    entry = next(e for e in office.events(reference=one["id"], kind="close") if "lost" in e["detail"])
    assert entry["severity"] == "medium" and entry["resource"] == "host"
    played = subprocess.run([PROGRAM, "session", "replay", "--text", one["id"]], env=ann.env, capture_output=True, text=True,
                            timeout=30, check=True)
    assert "last-words" in played.stdout and "ended before this connection did" in played.stderr
    assert ended["complete_to"][:16].replace("T", " ") in played.stderr


def test_the_gates_host_key_is_replaced_as_docs_ssh_8_says(office, ann, sam):
    """Last of all: who has the old one in his known_hosts is told that it has changed."""
    assert office.ssh("ann", "host", "echo in").stdout == "in\n"
    before = subprocess.run(["ssh-keygen", "-lf", office.known_hosts], capture_output=True, text=True,
                            check=True).stdout.split()[1]
    made = json.loads(sam.run("ssh-account", "renew-host-key", "--json"))
    wait_for("the vault's entry, with both fingerprints", 10, lambda: [
        e for e in office.audrey.get("/admin/ledger/events?limit=50")["items"]
        if before + " by " + made["fingerprint"] in e.get("object", "")])
    office.office.kill("ssh", signal.SIGTERM)
    wait_for("the new key", 20, lambda: "IDENTIFICATION HAS CHANGED" in office.ssh("ann", "host", "echo in").stderr)
    assert ann.run("ssh", "host", "echo", "in").strip().endswith("in")
    with open(office.known_hosts, "w", encoding="ascii") as file:
        file.write(f"[127.0.0.1]:{office.port} {made['line'].split(' ', 1)[1]}\n")
    assert office.ssh("ann", "host", "echo in").stdout == "in\n"

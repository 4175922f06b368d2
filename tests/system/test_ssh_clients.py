# SPDX-License-Identifier: Apache-2.0
"""What people work with, through the SSH gate as it comes from its maker, bytes compared both ways. The machine wants
new keys after each mebibyte.
OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 4254, gates/ssh/README.md."""

import hashlib
import json
import os
import shlex
import socket
import struct
import subprocess
import threading

import pytest

from officelib import free_port, wait_for
from sshgatelib import Pty, SshOffice

pytestmark = pytest.mark.shipped

DOCUMENTS = """\
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host] }
may: [connect, read, write, execute, import, export, destroy, forward]
with: { record: true }
"""


@pytest.fixture(scope="module")
def office():
    port = free_port()
    one = SshOffice(DOCUMENTS, more=f'  forward: ["127.0.0.1:{port}"]\n', sshd="RekeyLimit 1M\n")
    one.forward = port
    try:
        yield one
    finally:
        one.close()


def blob(mebibytes):
    return b"".join(hashlib.sha256(str(i).encode()).digest() * 32768 for i in range(mebibytes))


def run(argv, timeout=60, **kwargs):
    told = subprocess.run(argv, capture_output=True, timeout=timeout, check=False,
                          **({} if "input" in kwargs else {"stdin": subprocess.DEVNULL}), **kwargs)
    assert told.returncode == 0, told
    return told.stdout


# ---- commands with much to say

def test_dropbear_both_ways(office, tmp_path):
    key = str(tmp_path / "key.db")
    run(["dropbearconvert", "openssh", "dropbear", office.key("ann"), key])
    data = blob(4)
    told = run(["dbclient", "-y", "-y", "-i", key, "-p", str(office.port), "-l", "ann:host", "127.0.0.1", "cat"],
               input=data)
    assert told == data


def test_plink_both_ways(office, tmp_path):
    (tmp_path / "in").write_bytes(blob(4))
    words = office.putty_words("ann", "plink") + ["-l", "ann:host", "127.0.0.1", "cat"]
    with open(tmp_path / "in", "rb") as file:
        told = subprocess.run(words, stdin=file, capture_output=True, timeout=60, check=True)
    assert told.stdout == blob(4)


def test_paramiko_both_ways(office):
    data = blob(4)
    with office.paramiko("ann") as client:
        given, out, _ = client.exec_command("cat")

        def give():
            given.channel.sendall(data)
            given.channel.shutdown_write()
        giver = threading.Thread(target=give)
        giver.start()
        assert out.read() == data
        giver.join()


# ---- files

def test_sftp_and_scp_in_both_of_its_ways_with_new_keys_on_both_sides(office, tmp_path):
    mine, far, back = (str(tmp_path / name) for name in ("mine", "far", "back"))
    (tmp_path / "mine").write_bytes(blob(4))
    rekey = ("-o", "RekeyLimit=1M")

    def is_back():
        whole = (tmp_path / "back").read_bytes() == blob(4)
        os.unlink(far)
        os.unlink(back)
        return whole
    told = office.sftp("ann", "host", f"put {mine} {far}\nget {far} {back}\n", *rekey)
    assert told.returncode == 0 and is_back(), told.stderr
    for way in ((), ("-O",)):
        for one, other in ((mine, f"127.0.0.1:{far}"), (f"127.0.0.1:{far}", back)):
            told = office.scp("ann", "host", *way, *rekey, one, other)
            assert told.returncode == 0, told.stderr
        assert is_back()
    told = office.putty("ann", "psftp", "-l", "ann:host", "127.0.0.1", input=f"put {mine} {far}\nget {far} {back}\nquit\n")
    assert told.returncode == 0 and is_back(), told
    sums = {e["detail"].get("sha256") for e in wait_for("files with their sums", 10, lambda: [
        e for e in office.events() if e["object"] == far and e.get("detail", {}).get("sha256")])}
    assert sums == {hashlib.sha256(blob(4)).hexdigest()}


def test_rsync_both_ways_and_with_deletion(office, tmp_path):
    shell = shlex.join([*office.argv("ann", "host")])
    tree, far, back = tmp_path / "tree", tmp_path / "far", tmp_path / "back"
    tree.mkdir()
    for n in range(30):
        (tree / f"f{n}").write_bytes(hashlib.sha256(bytes([n])).digest() * 500 * n)
    (tree / "a name with 'quotes' and blanks").write_bytes(b"x")
    sync = ["rsync", "-a", "--checksum", "--delete", "-e", shell]
    run([*sync, f"{tree}/", f"127.0.0.1:{far}/"])
    (tree / "f3").unlink()
    with open(tree / "f29", "ab") as file:
        file.write(b"more")
    run([*sync, f"{tree}/", f"127.0.0.1:{far}/"])
    run([*sync, f"127.0.0.1:{far}/", f"{back}/"])
    assert run(["diff", "-r", str(tree), str(back)]) == b"" and not (far / "f3").exists()


def test_git_clones_pushes_and_fetches(office, tmp_path):
    env = {**os.environ, "GIT_SSH_COMMAND": shlex.join([*office.argv("ann", "host")]), "GIT_CONFIG_GLOBAL": "/dev/null",
           "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "a@x", "HOME": str(tmp_path),
           "GIT_COMMITTER_NAME": "ann", "GIT_COMMITTER_EMAIL": "a@x"}
    far, one, two = (str(tmp_path / n) for n in ("far.git", "one", "two"))

    def git(where, *words):
        return run(["git", "-C", where, "-c", "init.defaultBranch=main", *words], env=env)
    git("/", "init", "-q", "--bare", far)
    git("/", "clone", "-q", f"127.0.0.1:{far}", one)
    with open(os.path.join(one, "big"), "wb") as file:
        file.write(os.urandom(3 << 20))
    git(one, "add", "big")
    git(one, "commit", "-qm", "big")
    git(one, "push", "-q", "origin", "HEAD:main")
    git("/", "clone", "-q", f"ssh://127.0.0.1{far}", two)
    assert git(one, "rev-parse", "HEAD") == git(two, "rev-parse", "HEAD")
    git(one, "commit", "-q", "--allow-empty", "-m", "next")
    git(one, "push", "-q", "origin", "HEAD:main")
    git(two, "pull", "-q")
    assert git(one, "rev-parse", "HEAD") == git(two, "rev-parse", "HEAD")
    git(two, "fsck", "--strict")


# ---- ansible

def ansible(office, tmp_path, pipelining, program, *words):
    (tmp_path / "hosts").write_text(f"machine ansible_host=127.0.0.1 ansible_port={office.port} ansible_user=ann:host "
                                    f"ansible_python_interpreter=/usr/bin/python3\n")
    env = {**os.environ, "HOME": str(tmp_path), "ANSIBLE_PIPELINING": pipelining, "ANSIBLE_NOCOLOR": "1",
           "ANSIBLE_SSH_ARGS": shlex.join([*office.options("ann"), "-oControlMaster=auto", "-oControlPersist=20s"]),
           "ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path / "cp")}
    return run([program, "-i", str(tmp_path / "hosts"), *words], env=env, timeout=90).decode()


def test_ansible_with_pipelining_over_connections_that_it_keeps(office, tmp_path):
    (tmp_path / "what").write_bytes(blob(2))
    (tmp_path / "play.yaml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [
        {"ping": None}, {"copy": {"src": str(tmp_path / "what"), "dest": str(tmp_path / "far"), "mode": "0600"}},
        {"command": {"argv": ["sha256sum", str(tmp_path / "far")]}, "register": "sum"},
        {"fetch": {"src": str(tmp_path / "far"), "dest": str(tmp_path / "back"), "flat": True}},
        {"shell": "echo {{ sum.stdout | quote }} > " + str(tmp_path / "sum")}]}]))
    said = ansible(office, tmp_path, "True", "ansible-playbook", str(tmp_path / "play.yaml"))
    assert "failed=0" in said and "unreachable=0" in said, said
    assert (tmp_path / "back").read_bytes() == blob(2)
    assert hashlib.sha256(blob(2)).hexdigest() in (tmp_path / "sum").read_text()


def test_ansible_with_modules_that_it_uploads(office, tmp_path):
    said = ansible(office, tmp_path, "False", "ansible", "all", "-m", "command", "-a", "echo from the machine")
    assert "from the machine" in said, said


# ---- editors and screens

def test_tmux_in_a_shell_is_detached_and_found_again(office, tmp_path):
    socket_path = tmp_path / "tmux"
    first = Pty(office.argv("ann", "host", "-tt", "127.0.0.1", f"TERM=xterm tmux -f /dev/null -S {socket_path} new"))
    try:
        first.type(b"PS1=; echo in''side\n").until(b"inside")
        first.type(b"\x02d").until(b"[detached")
        second = Pty(office.argv("ann", "host", "-tt", "127.0.0.1", f"TERM=xterm tmux -S {socket_path} attach"))
        second.until(b"inside").type(b"echo ag''ain\n").until(b"again").type(b"exit\n").until(b"[exited")
        assert second.end() == 0
    finally:
        subprocess.run(["tmux", "-S", str(socket_path), "kill-server"], capture_output=True, check=False)
        first.end()


SERVER = """\
python3 - <<'END' &
import socket
s = socket.create_server(("127.0.0.1", {port}))
print("listening", flush=True)
while True:
    c, _ = s.accept()
    while d := c.recv(65536):
        c.sendall(d)
    c.close()
END
"""


def socks(port, host, to):
    """A connection through a SOCKS 5 proxy, or None when it says no."""
    one = socket.create_connection(("127.0.0.1", port), timeout=10)
    one.sendall(b"\x05\x01\0")
    assert one.recv(2) == b"\x05\0"
    one.sendall(b"\x05\x01\0\x03" + bytes([len(host)]) + host.encode() + struct.pack(">H", to))
    reply = one.recv(10)
    return one if reply[1:2] == b"\0" else None


def test_an_editor_with_its_server_there(office, tmp_path):
    """As VS Code does it: a script on a shell's input, a proxy in the same connection, more commands beside it."""
    control, proxy = str(tmp_path / "cm"), free_port()
    argv = office.argv("ann", "host", "-T", "-M", "-S", control, "-D", str(proxy), "127.0.0.1", "bash")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as editor:
        try:
            editor.stdin.write(SERVER.format(port=office.forward).encode() + b"echo begun\n")
            editor.stdin.flush()
            lines = {editor.stdout.readline(), editor.stdout.readline()}
            assert lines == {b"begun\n", b"listening\n"}
            near = socks(proxy, "127.0.0.1", office.forward)
            data = blob(3)
            giver = threading.Thread(target=lambda: (near.sendall(data), near.shutdown(socket.SHUT_WR)))
            giver.start()
            got = b""
            while piece := near.recv(1 << 16):
                got += piece
            giver.join()
            assert got == data
            refused = socks(proxy, "127.0.0.1", office.sshd.port)
            assert refused is None or refused.recv(1) == b""
            for n in range(5):
                assert run(["ssh", "-F", "none", "-S", control, "x", f"echo {n}"]) == f"{n}\n".encode()
        finally:
            editor.stdin.write(b"kill %1; exit\n")
            editor.stdin.close()
            editor.wait(20)
    found = wait_for("the forward in the ledger", 10, lambda: office.events(action="forward", verdict="allow"))
    assert any(e["object"] == f"127.0.0.1:{office.forward}" for e in found)

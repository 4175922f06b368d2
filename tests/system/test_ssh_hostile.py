# SPDX-License-Identifier: Apache-2.0
"""Clients of the SSH gate that break the protocol's rules, or use them against it: they harm nobody but themselves.
OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 4254, gates/ssh/README.md."""

import base64
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

import paramiko
import pytest

import vault_client as vc
from officelib import SANITIZED, wait_for
from sshgatelib import SshOffice, keygen

DOCUMENTS = """\
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host, parted], classes: [internal] }
may: [connect, read, write, execute, import, export, destroy]
with: { record: true }
---
kind: Role
name: reader
title: Readers
---
kind: Rule
name: readers take files away
who: { roles: [reader] }
to: { resources: [host], classes: [internal] }
may: [connect, read, export]
"""


@pytest.fixture(scope="module")
def office():
    folder = tempfile.mkdtemp(prefix="sp-parted-", dir="/tmp")
    one = SshOffice(DOCUMENTS, hosts={"parted": f"  parts: [{{ path: {folder}/closed, class: core }}]\n"})
    one.folder = folder
    one.person("rita", ["reader"])
    try:
        yield one
    finally:
        one.close()
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def others(office):
    """Whatever a test does: who was connected before still is, by the same process."""
    with office.paramiko("ann") as client:
        yield client
        _, out, _ = client.exec_command("echo still here")
        assert out.read() == b"still here\n"


def channel(client, window=2 ** 21, packet=2 ** 15, timeout=15):
    """A session of exactly these sizes: paramiko has bounds of its own."""
    transport = client.get_transport()
    transport._sanitize_packet_size = lambda size: size
    transport._sanitize_window_size = lambda size: size
    return transport.open_session(window_size=window, max_packet_size=packet, timeout=timeout)


# ---- sizes of packets and windows

@pytest.mark.parametrize("packet", [0, 9, 10, 255])
def test_who_takes_no_packets_gets_none(office, packet):
    with office.paramiko("ann") as client:
        with pytest.raises((paramiko.SSHException, EOFError, OSError)):
            one = channel(client, packet=packet, timeout=1 if packet == 0 else 15)
            one.exec_command("head -c 100000 /dev/zero")
            one.recv(1)
        if packet > 0:  # libssh itself does not answer those that take nothing at all
            wait_for("its end", 10, lambda: not client.get_transport().is_active())
            wait_for("the refusal", 10, lambda: office.events(
                message=f"the client takes packets of {packet} bytes, and must take at least 256"))


def test_small_packets_and_windows_come_through_whole(office):
    with office.paramiko("ann") as client:
        for window, packet in ((256, 256), (20, 4096), (70000, 300), (2 ** 32 - 1, 2 ** 32 - 1)):
            one = channel(client, window, packet)
            one.exec_command("head -c 30000 /dev/zero; exit 3")
            got = b""
            while piece := one.recv(65536):
                got += piece
            assert got == bytes(30000) and one.recv_exit_status() == 3, (window, packet)


# ---- messages that break the rules

CHANNEL_DATA, WINDOW_ADJUST, CHANNEL_EOF, CHANNEL_CLOSE, CHANNEL_REQUEST, GLOBAL_REQUEST = 94, 93, 96, 97, 98, 80


def message(kind, *words):
    """Numbers as uint32, texts as strings, booleans as bytes."""
    one = paramiko.Message()
    one.add_byte(bytes([kind]))
    for word in words:
        if isinstance(word, bool):
            one.add_boolean(word)
        elif isinstance(word, int):
            one.add_int(word)
        else:
            one.add_string(word)
    return one


def send(client, *messages):
    for one in messages:
        client.get_transport()._send_message(one)


def test_windows_that_overflow_and_data_beyond_them(office):
    with office.paramiko("ann") as client:
        one = channel(client, 1 << 20)
        one.exec_command("head -c 3000000 /dev/zero")
        far = one.remote_chanid
        send(client, *[message(WINDOW_ADJUST, far, 0xffffffff)] * 3)
        send(client, *[message(CHANNEL_DATA, far, bytes(32000))] * 60)  # more than a window of it, and nobody reads
        one.close()
        assert channel(client) is not None
    with office.paramiko("ann") as client:  # a channel that is over, one that never was
        one = channel(client)
        one.exec_command("true")
        one.recv_exit_status()
        for number in (one.remote_chanid, 77, 0xffffffff):
            send(client, message(CHANNEL_DATA, number, b"late"), message(CHANNEL_EOF, number),
                 message(CHANNEL_REQUEST, number, "exec", True, "id"), message(WINDOW_ADJUST, number, 5),
                 message(CHANNEL_CLOSE, number), message(CHANNEL_CLOSE, number))


def test_requests_that_ask_for_too_much(office):
    with office.paramiko("ann") as client:
        for ask in (lambda one: one.exec_command("x" * 70000), lambda one: one.invoke_subsystem("nothing")):
            one = channel(client)
            ask(one)
            assert one.recv_exit_status() == 254 and one.recv(100) == b"" and b"reference" in one.recv_stderr(1000)
        for ask in (lambda one: one.get_pty("t" * 200), lambda one: one.get_pty("xterm", 1 << 31, 1 << 31),
                    lambda one: one.request_x11()):
            with pytest.raises(paramiko.SSHException):
                ask(channel(client))
        one = channel(client)
        for n in range(40):
            one.set_environment_variable(f"LC_{n}", "v" * 1000)
        one.exec_command("echo fine\0; echo hidden")  # what is judged is what runs
        assert one.recv(100) == b"fine\n" and one.recv(100) == b""
        assert client.get_transport().global_request("no-such-thing@x", wait=True) is None
        with pytest.raises(paramiko.SSHException):
            client.get_transport().request_port_forward("127.0.0.1", 0)


def test_more_channels_than_a_connection_has(office):
    with office.paramiko("ann") as client:
        opened = []
        with pytest.raises(paramiko.SSHException):
            for _ in range(64):
                opened.append(channel(client))
        assert len(opened) == 32


@pytest.mark.parametrize("packet", [
    message(CHANNEL_DATA, 0, b"x" * 400000), message(CHANNEL_DATA), message(CHANNEL_REQUEST, 0, "exec", True, b"\xff"),
    message(1), message(2, "ignored"), message(192, "unknown"), message(5, "ssh-userauth"),
    message(50, "ben:host", "ssh-connection", "none"), message(21), message(31, b"x" * 32), message(90, "session"),
    message(90, "session", 0xffffffff, 0, 0), message(90, b"\x1b]0;t\x07" * 100, 0, 1000, 1000),
    message(GLOBAL_REQUEST, b"\0" * 1000, True)], ids=lambda m: m.asbytes()[:12].hex())
def test_packets_that_nobody_sends(office, packet):
    """Whoever sends them may lose his connection, and nobody else notices."""
    with office.paramiko("ann") as client:
        one = channel(client)
        one.exec_command("cat")
        try:
            send(client, packet)
            channel(client, timeout=1)
        except (paramiko.SSHException, EOFError, OSError):
            pass


# ---- sftp

INIT, OPEN, CLOSE, READ, WRITE, OPENDIR, REALPATH = 1, 3, 4, 5, 6, 11, 16


def packet(kind, *words, length=None):
    body = message(kind, *words).asbytes()
    return struct.pack(">I", len(body) if length is None else length) + body


@pytest.mark.parametrize("packets", [
    [b"\xff" * 64], [b"\0\0\0\0"], [struct.pack(">I", 1 << 30)], [packet(INIT)], [packet(OPEN, 1, "/etc/passwd", 1, 0)],
    [packet(INIT, 3), packet(INIT, 3)], [packet(INIT, 3), packet(99, 7)], [packet(INIT, 3), packet(READ, 1, "no", 0, 0, 9)],
    [packet(INIT, 3), packet(WRITE, 1, "no", 0, 0, b"x" * 200000)], [packet(INIT, 3), packet(CLOSE, 1, b"h" * 5000)],
    [packet(INIT, 3), packet(REALPATH, 1, "/x" * 40000)], [packet(INIT, 3), packet(OPEN, 1, b"/tmp/a\0b", 1, 0)],
    [packet(INIT, 3), packet(OPENDIR, 1, b"/\xff\xfe\x1b[2J")], [packet(INIT, 3), packet(OPEN, 1, "", 1, 0)],
    [packet(INIT, 3), packet(200, 1, b"posix-rename@openssh.com", b"/a")], [packet(INIT, 3), packet(REALPATH, 1, "x", length=9)],
    [packet(INIT, 3), packet(WRITE, 1, b"", 0, 0, b"x")], [packet(INIT, 3), packet(READ, 1), packet(REALPATH, 2, ".")], [packet(INIT, 0)], [packet(INIT, 3)[:7]]],
    ids=lambda p: b"".join(p)[:24].hex())
def test_sftp_that_is_none(office, packets):
    with office.paramiko("ann") as client:
        one = channel(client)
        one.settimeout(10)
        one.invoke_subsystem("sftp")
        one.sendall(b"".join(packets))
        one.shutdown_write()
        while one.recv(65536):  # answers, or its end
            pass


def test_paths_that_climb_are_written_down_as_what_they_are(office, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("s")
    os.symlink(tmp_path / "secret", tmp_path / "in" / "link")
    with office.paramiko("ann") as client:
        files = client.open_sftp()
        for path in (f"{tmp_path}/in/../secret", f"{tmp_path}/in/./link", f"{tmp_path}//in///link"):
            with files.open(path) as file:
                assert file.read() == b"s"
    found = wait_for("the files", 10, lambda: len(e := [e for e in office.events() if e.get("detail", {}).get("sha256")
                                                        and e["object"].startswith(str(tmp_path))]) == 3 and e)
    assert {e["object"] for e in found} == {f"{tmp_path}/secret"}


def test_no_path_leads_into_a_part_that_is_closed(office):
    """By name, by dots, by links of files and of folders, by links that are made on the way, by renaming."""
    top = office.folder
    for made in ("closed", "open"):
        os.mkdir(f"{top}/{made}")
    with open(f"{top}/closed/secret", "w", encoding="ascii") as file:
        file.write("secret")
    with open(f"{top}/open/plain", "w", encoding="ascii") as file:
        file.write("plain")
    os.symlink(f"{top}/closed/secret", f"{top}/open/file")
    os.symlink("../closed", f"{top}/open/folder")
    with office.paramiko("ann", "parted") as client:
        files = client.open_sftp()
        with files.open(f"{top}/open/plain") as file:
            assert file.read() == b"plain"
        for path in ("closed/secret", "open/../closed/secret", "open/file", "open/folder/secret", "//closed//secret",
                     "open/folder/../closed/secret", "closed/./secret", "open/folder/new"):
            for how in ("r", "w", "a"):
                with pytest.raises(OSError):
                    files.open(f"{top}/{path}", how)
        for ask in (lambda: files.remove(f"{top}/open/folder/secret"), lambda: files.mkdir(f"{top}/open/folder/d"),
                    lambda: files.rename(f"{top}/open/plain", f"{top}/closed/plain"),
                    lambda: files.rename(f"{top}/closed", f"{top}/away"), lambda: files.rename(top, f"{top}.away"),
                    lambda: files.posix_rename(f"{top}/open/plain", f"{top}/open/folder/plain"),
                    lambda: files.truncate(f"{top}/open/file", 0), lambda: files.chmod(f"{top}/open/file", 0o777),
                    lambda: files.listdir(f"{top}/open/folder"), lambda: files.rmdir(f"{top}/open/folder/")):
            with pytest.raises(OSError):
                ask()
        try:
            files.symlink(f"{top}/closed/secret", f"{top}/open/later")
        except OSError:
            pass
        with pytest.raises(OSError):
            files.open(f"{top}/open/later")
    assert sorted(os.listdir(top)) == ["closed", "open"] and os.listdir(f"{top}/closed") == ["secret"]
    with open(f"{top}/closed/secret", encoding="ascii") as file:
        assert file.read() == "secret"
    for command in (f"scp -f {top}/open/plain", f"rsync --server --sender -e.LsfxCIvu . {top}/open/"):
        told = office.ssh("ann", "parted", command)  # what is not read file by file must be allowed everywhere
        assert told.returncode == 254 and "reference" in told.stderr, told


@pytest.mark.parametrize("command", [
    "scp -f -S {mark} x", "scp -f x; touch {mark}", "scp -f `touch {mark}`", "scp -f $(touch {mark})", "scp -t {mark}",
    "scp -f x\ntouch {mark}", "scp -f -o ProxyCommand=touch\\ {mark} x", "/bin/scp -f x & touch {mark}", "scp -r {mark}",
    "rsync --server --sender -e touch . {mark}", "rsync --server --sender --rsh=touch . {mark}", "rsync --daemon {mark}",
    "rsync --server -logDtpre.iLsf . {mark}", "git-upload-pack --exec=touch {mark}", "git-receive-pack {mark}",
    "git-upload-pack '{mark}' | touch {mark}", "touch {mark}", "internal-sftp", "sh -c 'touch {mark}'"])
def test_who_takes_files_away_runs_nothing_and_leaves_nothing(office, tmp_path, command):
    mark = tmp_path / "mark"
    told = office.ssh("rita", "host", command.format(mark=mark))
    assert told.returncode == 254 and "sallyport: " in told.stderr and "reference" in told.stderr, told
    assert not mark.exists()


# ---- names and words that would move a terminal

NASTY = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u200b\u2066\ufeff\U000e0041"


def test_nothing_in_the_ledger_moves_a_terminal(office, tmp_path):
    nasty = NASTY.replace("/", "")
    told = office.ssh("ann", "host", f"echo '{nasty}'")
    assert told.returncode == 0
    told = office.ssh("ann", f"host{nasty}", "true")
    assert told.returncode in (254, 255) and "\x1b" not in told.stderr
    with office.paramiko("ann") as client:
        files = client.open_sftp()
        with files.open(f"{tmp_path}/{nasty}", "w") as file:
            file.write(b"x")
        files.remove(f"{tmp_path}/{nasty}")
    wait_for("the file", 10, lambda: [e for e in office.events() if "owned" in str(e.get("object"))
                                      and e.get("detail", {}).get("sha256")])

    def texts(value):
        if isinstance(value, dict):
            return [t for v in value.values() for t in texts(v)]
        return [t for v in value for t in texts(v)] if isinstance(value, list) else [str(value)]
    for text in texts(office.events()):
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in NASTY[-5:] for c in text), text


# ---- certificates

def people_certificate(office, line, name, **more):
    """By the office's own authority, as core could have it made."""
    person = office.person(name)
    path = os.path.join(office.office.run_dir, "vault.sock")
    vault = vc.Connection(path, (office.office.uids or {}).get("core", os.geteuid()))
    words = {"ca": 2, "principals": (name,), "key_id": "x/1",
             "extensions": (("session@sallyport", person.get("/me")["session"]["id"]),), **more}
    status, made = vault.call(vc.SSH_CERTIFY, vc.ssh_ask(base64.b64decode(line.split()[1]), **words))
    assert status == vc.OK
    kind = vc.Reader(made).text().decode()
    return f"{kind} {base64.b64encode(made).decode()}\n"


@pytest.mark.parametrize("more, fits", [
    ({}, True), ({"critical": (("source-address", "127.0.0.0/8"),)}, True), ({"critical": (("wall@x", "1"),)}, False),
    ({"critical": (("source-address", "10.0.0.0/8"),)}, False), ({"critical": (("source-address", "all"),)}, False),
    ({"principals": ("ben",)}, False), ({"ca": 1}, False), ({"extensions": ()}, False),
    ({"extensions": (("session@sallyport", "0123456789abcdef"),)}, False), ({"life": 1}, False)], ids=str)
def test_certificates(office, tmp_path, more, fits):
    key = str(tmp_path / "id")
    line = keygen(key)
    with open(key + "-cert.pub", "w", encoding="ascii") as file:
        file.write(people_certificate(office, line, "ann", **more))
    if more.get("life") == 1:
        time.sleep(2.1)
    told = subprocess.run(["ssh", *office.options(), "-i", key, "-o", "User=ann:host", "-p", str(office.port), "127.0.0.1",
                           "echo in"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    assert (told.stdout == "in\n") == fits and (told.returncode == (0 if fits else 255)), told


# ---- floods

def resident(pid):
    with open(f"/proc/{int(pid)}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def test_floods_before_the_log_in_push_out_their_own(office):
    before = resident(office.worker())
    crowd = []
    try:
        for n in range(700):
            one = socket.create_connection(("127.0.0.1", office.port))
            one.sendall((b"SSH-2.0-x\r\n", b"", b"SSH-2.0-x\r\n" + b"\0\0\x08\0" * 300)[n % 3])
            crowd.append(one)
            if n % 100 == 99:
                assert office.ssh("ann", "host", "echo served").stdout == "served\n"
        assert SANITIZED or resident(office.worker()) - before < 64 * 1024
    finally:
        for one in crowd:
            one.close()


def test_who_does_not_read_costs_little(office):
    """Thirty commands that print without end, and as many that take nothing: what is held is bounded."""
    before = resident(office.worker())
    with office.paramiko("ann") as client, office.paramiko("ann") as other:
        readers = [channel(client, 1 << 16) for _ in range(30)]
        for one in readers:
            one.exec_command("cat /dev/zero")
        writers = [channel(other) for _ in range(30)]
        for one in writers:
            one.exec_command("sleep 30")
            one.settimeout(0)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for one in writers:
                try:
                    one.send(bytes(32000))
                except (socket.timeout, BlockingIOError):
                    pass
        assert office.ssh("ann", "host", "echo served").stdout == "served\n"
        grown = resident(office.worker()) - before
        assert SANITIZED or grown < 128 * 1024, grown

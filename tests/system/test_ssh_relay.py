# SPDX-License-Identifier: Apache-2.0
"""Commands, shells and bytes through the SSH gate, with the clients that people have and a real sshd behind.
OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 4254, gates/ssh/README.md."""

import contextlib
import fcntl
import hashlib
import os
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from officelib import descendants, free_port, wait_for
from sshgatelib import Pty, SshOffice

DOCUMENTS = """\
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host] }
may: [connect, read, write, execute, import, export, destroy, forward]
"""


@pytest.fixture(scope="module")
def office():
    port = free_port()
    one = SshOffice(DOCUMENTS, more=f'  forward: ["127.0.0.1:{port}"]\n')
    one.forward = port
    try:
        yield one
    finally:
        one.close()


# ---- commands

def test_output_errors_and_status_come_back(office):
    told = office.ssh("ann", "host", "echo hello; echo err >&2; exit 3")
    assert (told.stdout, told.stderr, told.returncode) == ("hello\n", "err\n", 3)


def test_input_goes_there_and_its_end_too(office):
    assert office.ssh("ann", "host", "wc -c", input="x" * 100000).stdout.strip() == "100000"


def test_a_signal_that_ends_it_is_told(office):
    told = office.ssh("ann", "host", "kill -TERM $$")
    assert told.returncode == 255  # as OpenSSH's client says it of a direct one
    assert told.returncode == office.direct("kill -TERM $$").returncode


def test_environment_passes_by_its_list(office):
    env = {**os.environ, "LC_TEST": "through", "EVIL": "stopped"}
    argv = office.argv("ann", "host", "-o", "SendEnv=LC_TEST EVIL", "127.0.0.1", "echo $LC_TEST/$EVIL")
    assert subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, check=False).stdout == "through/\n"


def test_the_machine_sees_the_person_in_the_certificate(office):
    office.ssh("ann", "host", "true")
    assert 'Accepted certificate ID "ann/' in office.sshd.log()


# ---- terminals

def test_a_shell_with_a_window_that_changes(office):
    terminal = Pty(office.argv("ann", "host", "-tt", "127.0.0.1"))
    terminal.type(b"PS1=; stty -echo; echo r''eady\n").until(b"ready\r\n")
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    terminal.type(b"sleep 0.5; stty size; echo d''one\n").until(b"done\r\n")
    assert b"33 77" in terminal.seen
    terminal.type(b"exit 5\n")
    assert terminal.end() in (5, 255)


def test_no_machine_named_shows_a_menu(office):
    terminal = Pty(office.argv("ann", None, "-tt", "127.0.0.1"))
    terminal.until(b"Machine (number or name): ")
    assert b"1  host" in terminal.seen and b"Build host" in terminal.seen
    terminal.type(b"1\r").type(b"echo in-$((40+2))\n").until(b"in-42")
    terminal.type(b"exit\n")
    terminal.end()


def test_no_machine_named_for_a_command_says_how(office):
    told = office.ssh("ann", None, "true")
    assert told.returncode == 254 and "name the machine" in told.stderr and "host" in told.stderr


# ---- many channels, much data

def test_many_channels_in_a_connection(office, tmp_path):
    path = str(tmp_path / "c")
    master = subprocess.Popen(office.argv("ann", "host", "-M", "-N", "-S", path, "127.0.0.1"), stdin=subprocess.DEVNULL)
    try:
        wait_for("the master", 10, lambda: os.path.exists(path))
        told = []

        def one(n):
            told.append(subprocess.run(["ssh", "-F", "none", "-S", path, "x", f"echo {n}; head -c 300000 /dev/zero | wc -c"],
                                       capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                                       check=False).stdout)
        threads = [threading.Thread(target=one, args=(n,)) for n in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told) == [f"{n}\n300000\n" for n in range(9)]
    finally:
        master.kill()
        master.wait()


def blob(mebibytes):
    return b"".join(hashlib.sha256(str(i).encode()).digest() * 32768 for i in range(mebibytes))


@pytest.mark.parametrize("words", [["-oRekeyLimit=1M", "-oCiphers=chacha20-poly1305@openssh.com"],
                                   ["-oRekeyLimit=1M", "-oCiphers=aes128-gcm@openssh.com"],
                                   ["-oRekeyLimit=1M", "-oCiphers=aes256-ctr"], []])
def test_64_mebibytes_both_ways_with_new_keys_each_mebibyte(office, words):
    data = blob(64)
    told = office.ssh("ann", "host", "cat", *words, input=data,
                      timeout=170, text=False)
    assert told.returncode == 0, told.stderr
    assert hashlib.sha256(told.stdout).hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_reader_that_stalls_stops_the_writer(office):
    argv = office.argv("ann", "host", "127.0.0.1", "head -c 100000000 /dev/zero; echo end >&2")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as slow:
        time.sleep(2)
        assert not select.select([slow.stderr], [], [], 0)[0]
        assert "ok" in office.ssh("ann", "host", "echo ok").stdout  # nobody else waits
        assert len(slow.stdout.read()) == 100000000
        assert slow.stderr.read() == b"end\n"


# ---- forwarding

def test_forwarding_goes_where_policy_says_and_nowhere_else(office):
    server = socket.create_server(("127.0.0.1", office.forward))
    other = socket.create_server(("127.0.0.1", 0))
    ports = [free_port(), free_port()]
    argv = office.argv("ann", "host", "-N", "-L", f"{ports[0]}:127.0.0.1:{office.forward}", "-L",
                       f"{ports[1]}:127.0.0.1:{other.getsockname()[1]}", "127.0.0.1")
    client = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        def reach(port):
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=5)
            except OSError:
                return None
        near = wait_for("the forward", 10, lambda: reach(ports[0]))
        far, _ = server.accept()
        near.sendall(b"ping")
        assert far.recv(4) == b"ping"
        far.sendall(b"pong" * 50000)
        far.close()
        got = b""
        while chunk := near.recv(65536):
            got += chunk
        assert got == b"pong" * 50000
        refused = reach(ports[1])
        assert refused.recv(1) == b""
        other.settimeout(0.3)
        with pytest.raises(TimeoutError):
            other.accept()
    finally:
        client.kill()
        client.wait()


def test_remote_x11_and_agent_forwarding_are_refused(office):
    told = office.ssh("ann", "host", "true", "-o", "ExitOnForwardFailure=yes", "-R", f"{free_port()}:127.0.0.1:1")
    assert told.returncode == 255
    told = subprocess.run(["ssh-agent", *office.argv("ann", "host", "-A", "127.0.0.1", "echo agent=$SSH_AUTH_SOCK")],
                          capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    assert told.stdout == "agent=\n"
    said = {e["object"] for e in wait_for("the entries", 5, lambda: (lambda found: found if len(found) > 1 else None)(
        [e for e in office.events(reason="deny-rule") if e["object"].endswith("is never let through")]))}
    assert said == {"forwarding of ports of the target is never let through", "forwarding of the agent is never let through"}
    told = subprocess.run(office.argv("ann", "host", "-X", "127.0.0.1", "echo display=$DISPLAY"), text=True, timeout=30,
                          capture_output=True, stdin=subprocess.DEVNULL, env={**os.environ, "DISPLAY": ":99"}, check=False)
    assert told.stdout == "display=\n", told
    entry = wait_for("the entry", 5, lambda: office.events(object="X11 forwarding is never let through"))[0]
    assert (entry["person"], entry["verdict"]) == ("ann", "deny")
    with office.paramiko("ann") as client:  # asks with each session; once is enough
        for _ in range(3):
            channel = client.get_transport().open_session()
            channel.request_forward_agent(lambda _: None)
            channel.exec_command("true")
            channel.recv_exit_status()
    wait_for("the statement", 10, lambda: [e for e in office.events(person="ann", kind="close")
                                           if e["detail"].get("channels") == 3 and e["detail"].get("refused") == 1])


def test_a_forward_that_is_refused_says_why_with_a_reference(office):
    with office.terminal("ann", "host") as _:
        pass
    argv = [word.replace("=ERROR", "=DEBUG1") for word in office.argv("ann", "host", "-W", "127.0.0.1:1", "127.0.0.1")]
    told = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    why = [line for line in told.stderr.splitlines() if "sallyport: " in line and "reference" in line]
    assert told.returncode != 0 and why, told.stderr
    reference = why[0].split("(reference ")[1].split(")")[0]
    entry = wait_for("the entry", 5, lambda: office.events(reference=reference))[0]
    assert (entry["verdict"], entry["object"]) == ("deny", "127.0.0.1:1")
    near = free_port()
    client = subprocess.Popen(office.argv("ann", "host", "-L", f"{near}:127.0.0.1:1", "127.0.0.1", "echo up; cat"),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "up\n"
    with socket.create_connection(("127.0.0.1", near)) as one:
        assert one.recv(1) == b""
    _, said = client.communicate("", timeout=10)
    assert "(reference " in said and client.returncode == 0


# ---- other clients

def test_paramiko(office):
    with office.paramiko("ann") as client:
        kept, out, _ = client.exec_command("cat; echo end")
        out.channel.sendall(b"y" * 3000000)
        out.channel.shutdown_write()
        data = out.read()
        assert data == b"y" * 3000000 + b"end\n" and out.channel.recv_exit_status() == 0
        kept.close()


def test_plink(office):
    told = office.putty("ann", "plink", "-ssh", "-l", "ann:host", "127.0.0.1", "echo from plink; exit 4")
    assert (told.stdout, told.returncode) == ("from plink\n", 4), told.stderr


def test_dropbear(office, tmp_path):
    key = str(tmp_path / "key.db")
    subprocess.run(["dropbearconvert", "openssh", "dropbear", office.key("ann"), key], check=True, capture_output=True,
                   timeout=30)
    told = subprocess.run(["dbclient", "-y", "-y", "-i", key, "-p", str(office.port), "-l", "ann:host", "127.0.0.1",
                           "echo from dropbear; exit 6"], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, check=False)
    assert (told.stdout, told.returncode) == ("from dropbear\n", 6), told.stderr


# ---- who may not

def test_strangers_and_wrong_keys_are_turned_away(office, tmp_path):
    office.key("ann")
    for user in ("nobody:host", "ann:host", "ann", ":", "a:b:c:d", "x" * 300):
        told = subprocess.run(["ssh", *office.options(), "-o", "IdentityFile=/dev/null", "-o", f"User={user}", "-p",
                               str(office.port), "127.0.0.1", "true"], capture_output=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL, check=False)
        assert told.returncode == 255, (user, told)


def test_unknown_machines_and_accounts_are_refused_with_a_reference(office):
    for machine in ("nowhere", "host:nobody"):
        told = office.ssh("ann", machine, "true")
        assert told.returncode == 254 and "sallyport: " in told.stderr and "reference" in told.stderr, told


def test_a_client_killed_in_the_middle_leaves_nothing_at_the_machine(office):
    mark = f"31{os.getpid() % 1000:03d}"
    client = subprocess.Popen(office.argv("ann", "host", "-tt", "127.0.0.1", f"sleep {mark}"),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def runs():
        return subprocess.run(["pgrep", "-f", f"^sleep {mark}$"], capture_output=True, check=False).returncode == 0
    wait_for("the command", 10, runs)
    os.kill(client.pid, signal.SIGKILL)
    client.wait()
    wait_for("its end", 10, lambda: not runs())


def test_a_machine_that_reads_nothing_stops_nobody_else(office):
    argv = office.argv("ann", "host", "127.0.0.1", "kill -STOP $PPID; echo stopped")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as stuck:
        data, sent = b"x" * 65536, 0
        os.set_blocking(stuck.stdin.fileno(), False)
        try:
            while select.select([], [stuck.stdin], [], 1)[1] and sent < 64 << 20:  # until nothing takes any more
                sent += os.write(stuck.stdin.fileno(), data)
            assert sent < 64 << 20
            assert office.ssh("ann", "host", "echo ok", timeout=20).stdout == "ok\n"
        finally:
            stuck.kill()
            for pid in descendants(office.sshd.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

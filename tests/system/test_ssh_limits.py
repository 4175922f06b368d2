# SPDX-License-Identifier: Apache-2.0
"""Limits of the SSH gate: how fast, how long, how many; what ends when it cannot be recorded; which machines are trusted,
and as whom it signs in there. OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "SSH", gates/ssh/README.md."""

import os
import shlex
import signal
import socket
import subprocess
import time

import paramiko
import pytest

from officelib import wait_for
from sshgatelib import ACCOUNT, HOST, SshOffice, Sshd, keygen

MIB = 1 << 20
DOCUMENTS = """\
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { classes: [internal] }
may: [connect, read, write, execute, import, export, destroy]
with: { record: true }
---
kind: Role
name: visitor
---
kind: Rule
name: visitors look in soon after they signed in
who: { roles: [visitor] }
to: { resources: [host] }
may: [connect, execute]
when: { auth_age: 15s }
"""


@pytest.fixture(scope="module")
def vaulted():
    one = Sshd(password="tulip garden 7")
    yield one
    one.close()


@pytest.fixture(scope="module")
def office(vaulted, tmp_path_factory):
    other = keygen(str(tmp_path_factory.mktemp("keys") / "other"))
    more = HOST.format(name="vaulted", port=vaulted.port, host_key=vaulted.host_key, account=ACCOUNT,
                       more="  sign_in: password\n")
    more += HOST.format(name="stranger", port=vaulted.port, host_key=other, account=ACCOUNT, more="")
    one = SshOffice(more + DOCUMENTS, hosts={"slow": "  bandwidth: 1 MiB\n", "dozing": "  idle: 4s\n",
                                             "brief": "  longest: 3s\n"})
    vaulted.start("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg\n")
    one.key("ann")
    try:
        yield one
    finally:
        one.close()


def seconds(office, machine, command, **more):
    """(how long it took, what it printed); once more where the disk of a busy machine was too slow for the recording."""
    for _ in range(4):
        began = time.monotonic()
        told = office.ssh("ann", machine, command, text=False, **more)
        took = time.monotonic() - began
        if told.returncode == 0 or b"cannot be recorded" not in told.stderr:
            break
    assert told.returncode == 0, told.stderr
    return took, told.stdout


def test_no_faster_than_policy_says_in_each_direction(office):
    out_s, got = seconds(office, "slow", f"head -c {3 * MIB} /dev/zero")
    in_s, put = seconds(office, "slow", "wc -c", input=b"x" * (2 * MIB))
    assert len(got) == 3 * MIB and put.strip() == b"%d" % (2 * MIB)
    assert out_s > 2.5 and in_s > 1.2, (out_s, in_s)
    # what has no limit is not slowed down; of a busy machine the best of three
    assert min(seconds(office, "host", f"head -c {3 * MIB} /dev/zero")[0] for _ in range(3)) < out_s


def test_an_idle_connection_ends_and_a_used_one_does_not(office):
    with office.terminal("ann", "dozing") as terminal:
        terminal.type("echo re''ady\r")
        terminal.wait("ready")
        until = time.monotonic() + 6
        while time.monotonic() < until:
            terminal.type("echo us''ed\r")
            time.sleep(0.2)
        terminal.type("echo en''ded\r")
        terminal.wait("ended")
        terminal.wait("nothing has passed for", 30)
        assert terminal.process.wait(30) != 0


def test_a_terminal_that_only_shows_something_is_idle(office):
    with office.terminal("ann", "dozing") as terminal:
        terminal.type("while :; do echo sho''wn; sleep 0.3; done\r")
        terminal.wait("shown")
        terminal.wait("nothing has passed for", 30)
        assert terminal.process.wait(30) != 0
    # without a terminal it is work
    done = office.ssh("ann", "dozing", "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.6; done")
    assert done.returncode == 0 and done.stdout.split()[-1] == "10", done.stderr


def test_a_connection_lasts_so_long_and_no_longer(office):
    with office.terminal("ann", "brief") as terminal:
        began = time.monotonic()
        while terminal.process.poll() is None and time.monotonic() < began + 15:
            terminal.type("echo busy\r")
            time.sleep(0.2)
            terminal.read()
        assert "a connection to this machine lasts" in terminal.read() and "reference" in terminal.text


def test_what_policy_lets_for_a_while_ends_when_that_is_over(office):
    office.key("vic", ["visitor"])
    with office.terminal("vic", "host") as terminal:
        terminal.type("echo re''ady\r")
        terminal.wait("ready")
        began = time.monotonic()
        while terminal.process.poll() is None and time.monotonic() < began + 40:
            time.sleep(0.5)
            terminal.read()
        assert "may not go on" in terminal.text, terminal.text


def test_typing_keeps_the_session_alive(office):
    def seen():
        return [s for s in office.sam.items("/admin/sessions") if s["kind"] == "ssh" and s["person"]["name"] == "ann"]
    with office.terminal("ann", "host") as terminal:
        terminal.type("echo re''ady\r")
        terminal.wait("ready")
        wait_for("the session as seen later than it began", 10,
                 lambda: [s for s in seen() if s["seen_at"] > s["started_at"]] or terminal.type(" "), step=0.5)


def test_so_many_channels_and_no_more(office):
    client = office.paramiko("ann")
    try:
        transport = client.get_transport()
        channels = [transport.open_session(timeout=10) for _ in range(32)]
        with pytest.raises(paramiko.SSHException):
            transport.open_session(timeout=10)
        channels.pop().close()
        wait_for("room for another one", 10, lambda: _open(transport))
    finally:
        client.close()


def _open(transport):
    try:
        return transport.open_session(timeout=10)
    except paramiko.SSHException:
        return None


def test_who_tries_key_after_key_is_cut_off(office):
    transport = paramiko.Transport(("127.0.0.1", office.port))
    try:
        transport.start_client(timeout=20)
        key = paramiko.ECDSAKey.generate()
        for tries in range(1, 60):
            try:
                transport.auth_publickey("ann:host", key)
            except paramiko.BadAuthenticationType:
                continue
            except paramiko.AuthenticationException:
                if not transport.is_active():
                    break
            except (paramiko.SSHException, EOFError):
                break
        assert tries < 30
    finally:
        transport.close()


def test_a_flood_before_the_log_in_pushes_out_its_own(office):
    flood = []
    try:
        for _ in range(700):
            one = socket.create_connection(("127.0.0.1", office.port), timeout=10)
            flood.append(one)
        assert office.ssh("ann", "host", "echo in").stdout == "in\n"
        wait_for("the oldest to be dropped", 10, lambda: _ended(flood[0]))
        assert not _ended(flood[-1])
    finally:
        for one in flood:
            one.close()


def _ended(one):
    one.setblocking(False)
    try:
        while True:
            if not one.recv(4096):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_machine_with_another_key_is_not_trusted(office):
    told = office.ssh("ann", "stranger", "true")
    assert told.returncode != 0 and "host key" in told.stderr and "reference" in told.stderr
    entry = wait_for("the entry", 10, lambda: office.events(resource="stranger", severity="high"))[0]
    assert "host key that policy does not name" in entry["object"]


@pytest.mark.skipif(os.geteuid() != 0, reason="the machine needs a shadow file of its own")
def test_a_password_from_the_vault_signs_in_where_certificates_do_not(office, vaulted):
    told = office.ssh("ann", "vaulted", "echo in")
    assert told.returncode != 0 and "no password for this account" in told.stderr
    office.sam.put(f"/admin/ssh/credentials/vaulted/{ACCOUNT}", {"password": "wrong"})
    told = office.ssh("ann", "vaulted", "echo in")
    assert told.returncode != 0 and "does not take the account's password" in told.stderr
    office.sam.put(f"/admin/ssh/credentials/vaulted/{ACCOUNT}", {"password": vaulted.password})
    told = office.ssh("ann", "vaulted", "echo in")
    assert (told.stdout, told.returncode) == ("in\n", 0), told.stderr
    assert vaulted.password not in str(office.events()) and vaulted.password not in office.office.log()


def test_what_cannot_be_recorded_any_more_ends(office):
    """The ledger stands still while a shell prints: told, ended, and nothing passed that is not in the recording."""
    with office.terminal("ann", "host") as terminal:
        terminal.type("PS1=; echo re''ady; while :; do echo line-$((i=i+1)); sleep 0.05; done\r")
        terminal.wait("line-20\n")
        one = office.connection("ann", "host")
        ledger = office.office.pid("ledger")
        os.kill(ledger, signal.SIGSTOP)
        try:
            terminal.wait("cannot be recorded any more", 20)
            assert terminal.process.wait(10) != 0
        finally:
            os.kill(ledger, signal.SIGCONT)
        shown = [line for line in terminal.text.splitlines() if line.startswith("line-")]
        assert office.ssh("ann", "host", "echo again").stdout == "again\n"
    printed = wait_for("the recording's end", 15, lambda: office.printed(one["id"]))
    missing = [line for line in shown[:-1] if f"{line}\r\n" not in printed]
    assert not missing, f"{len(missing)} of {len(shown)} lines were shown and are not recorded: {missing[:3]}"


def ends_without_the_ledger(office, argv, begun, **more):
    """It moves something; the ledger stands still; it ends, and says why."""
    ledger = office.office.pid("ledger")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more) as client:
        wait_for("the first bytes", 20, begun)
        os.kill(ledger, signal.SIGSTOP)
        try:
            said, _ = client.communicate(timeout=25)
        finally:
            os.kill(ledger, signal.SIGCONT)
            client.kill()
    assert client.returncode != 0 and "cannot be recorded any more" in said, said
    wait_for("the ledger again", 20, lambda: office.ssh("ann", "host", "echo seen").stdout == "seen\n")


@pytest.mark.parametrize("program", ["sftp", "scp", "scp -O", "rsync"])
def test_a_transfer_that_cannot_be_recorded_any_more_ends(office, tmp_path, program):
    far, near = str(tmp_path / "far"), str(tmp_path / "near")
    with open(far, "wb") as file:
        file.truncate(1 << 30)

    def begun():
        return any(os.path.getsize(os.path.join(tmp_path, name)) > 0 for name in os.listdir(tmp_path) if name != "far")
    if program == "sftp":
        argv = office.argv("ann", "slow", "-b", "/dev/stdin", "127.0.0.1", program="sftp")
        read, write = os.pipe()
        os.write(write, f"get {far} {near}\n".encode())
        os.close(write)
        ends_without_the_ledger(office, argv, begun, stdin=read)
        os.close(read)
    elif program == "rsync":
        ends_without_the_ledger(office, ["rsync", "--inplace", "-e", shlex.join(office.argv("ann", "slow")),
                                         f"127.0.0.1:{far}", near], begun)
    else:
        argv = office.argv("ann", "slow", *program.split()[1:], f"127.0.0.1:{far}", near, program="scp")
        ends_without_the_ledger(office, argv, begun, stdin=subprocess.DEVNULL)


def test_nothing_starts_that_cannot_be_recorded(office):
    ledger = office.office.pid("ledger")
    os.kill(ledger, signal.SIGSTOP)
    try:
        client = subprocess.Popen(office.argv("ann", "host", "127.0.0.1", "echo unseen"), text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, said = client.communicate(timeout=40)
    finally:
        os.kill(ledger, signal.SIGCONT)
    assert client.returncode != 0 and out == "" and said
    wait_for("the ledger again", 20, lambda: office.ssh("ann", "host", "echo seen").stdout == "seen\n")

# SPDX-License-Identifier: Apache-2.0
"""A machine that runs dropbear instead of OpenSSH's server, as small and old ones do: it knows no certificates, so the
vault signs for the account's key or has its password. Everything that people do there, bytes compared both ways.
OWNS a server. PROCESS tests. TRUST none. SPEC RFC 4254, docs/SSH.md "A machine"."""

import hashlib
import os
import socket
import subprocess
import tempfile
import threading

import pytest

from officelib import alive, free_port, wait_for
from sshgatelib import ACCOUNT, SshOffice, engineers_work_on, machine_at

pytestmark = [pytest.mark.shipped, pytest.mark.skipif(os.geteuid() != 0, reason="gives the server a home of its own")]
PASSWORD = "heather 31"
OWN = ('mount --bind {home} "$HOME" && mount --bind {shadow} /etc/shadow && exec dropbear -F -E -r {key} -p 127.0.0.1:{port} '
       '-P {dir}/pid')


class Dropbear:
    """On loopback, with a home and a shadow file of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sp-dropbear-", dir="/tmp")
        self.port, self.key = free_port(), os.path.join(self.dir, "host_key")
        made = subprocess.run(["dropbearkey", "-t", "ed25519", "-f", self.key], capture_output=True, text=True, check=True)
        self.host_key = next(" ".join(line.split()[:2]) for line in made.stdout.splitlines() if line.startswith("ssh-"))
        self.home, self.shadow = os.path.join(self.dir, "home"), os.path.join(self.dir, "shadow")
        os.makedirs(os.path.join(self.home, ".ssh"), 0o700)
        digest = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, capture_output=True, text=True,
                                check=True).stdout.strip()
        with open(self.shadow, "w", encoding="ascii") as file:
            file.write(f"{ACCOUNT}:{digest}:19000:0:99999:7:::\n")
        self.process = None

    def start(self):
        words = OWN.format(home=self.home, shadow=self.shadow, key=self.key, port=self.port, dir=self.dir)
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(["unshare", "-m", "sh", "-c", words], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**os.environ, "HOME": os.path.expanduser(f"~{ACCOUNT}")})
        wait_for("dropbear", 10, self._answers)

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as one:
                return one.recv(20).startswith(b"SSH-2.0-dropbear")
        except OSError:
            return False

    def trust(self, line):
        with open(os.path.join(self.home, ".ssh", "authorized_keys"), "w", encoding="ascii") as file:
            file.write(line + "\n")

    def close(self):
        if self.process is not None and alive(self.process.pid):
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def office():
    there, forward = Dropbear(), free_port()
    one = None
    try:
        one = SshOffice(machine_at("small", there.port, there.host_key, "  sign_in: key\n"
                                   f'  forward: ["127.0.0.1:{forward}"]\n') +
                        machine_at("locked", there.port, there.host_key, "  sign_in: password\n") +
                        engineers_work_on("host", "small", "locked").replace("destroy]", "destroy, forward]"))
        # libssh 0.10 forgets the list of names of an agent that is asked twice (ssh_agent_get_ident_count)
        one.office.forgiven = ("ERROR: LeakSanitizer",)
        one.key("ann")
        there.start()
        there.trust(one.sam.put(f"/admin/ssh/keys/small/{ACCOUNT}", {})["public"])
        one.sam.put(f"/admin/ssh/credentials/locked/{ACCOUNT}", {"password": PASSWORD})
        one.forward = forward
        yield one
    finally:
        if one is not None:
            one.close()
        there.close()


def blob(mebibytes):
    return b"".join(hashlib.sha256(str(i).encode()).digest() * 32768 for i in range(mebibytes))


@pytest.mark.parametrize("machine", ["small", "locked"])
def test_commands_and_what_they_say(office, machine):
    told = office.ssh("ann", machine, "cat; echo err >&2; exit 9", input="words\n")
    assert (told.stdout, told.stderr, told.returncode) == ("words\n", "err\n", 9)
    told = office.ssh("ann", machine, "kill -TERM $$")
    assert told.returncode != 0


@pytest.mark.parametrize("words", [["-oRekeyLimit=1M"], []], ids=str)
def test_eight_mebibytes_both_ways(office, words):
    told = office.ssh("ann", "small", "cat", *words, input=blob(8), text=False)
    assert told.returncode == 0 and told.stdout == blob(8), told.stderr


def test_a_terminal(office):
    with office.terminal("ann", "small") as terminal:
        terminal.type("PS1=; echo he''re; tty\r")
        terminal.wait("here\n")
        terminal.wait("/dev/pts/")
        terminal.type("exit 5\r")
        assert terminal.process.wait(10) == 5


def test_files_every_way(office, tmp_path):
    (tmp_path / "mine").write_bytes(blob(3))
    batch = f"put {tmp_path}/mine {tmp_path}/far\nget {tmp_path}/far {tmp_path}/back\nrename {tmp_path}/far {tmp_path}/by-name\n"
    told = office.sftp("ann", "small", batch)
    assert told.returncode == 0, told.stderr
    for words in (["-O"], []):  # the old way and over sftp
        for one, other in ((f"{tmp_path}/by-name", f"127.0.0.1:{tmp_path}/up"), (f"127.0.0.1:{tmp_path}/up", f"{tmp_path}/down")):
            told = office.scp("ann", "small", *words, one, other)
            assert told.returncode == 0, told.stderr
        assert (tmp_path / "down").read_bytes() == blob(3)
        (tmp_path / "up").unlink()
    told = office.rsync("ann", "small", "-a", "--checksum", f"{tmp_path}/back", f"127.0.0.1:{tmp_path}/synced")
    assert told.returncode == 0 and (tmp_path / "synced").read_bytes() == blob(3), told.stderr
    digest = hashlib.sha256(blob(3)).hexdigest()
    wait_for("the file with its sum", 10, lambda: [e for e in office.events(resource="small")
                                                   if e.get("detail", {}).get("sha256") == digest])


def test_a_forward_that_answers_when_all_was_said(office):
    def answer():
        one, _ = server.accept()
        with one:
            said = b""
            while piece := one.recv(65536):
                said += piece
            one.sendall(hashlib.sha256(said).digest() + blob(1))
    with socket.create_server(("127.0.0.1", office.forward)) as server:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        told = subprocess.run(office.argv("ann", "small", "-W", f"127.0.0.1:{office.forward}", "127.0.0.1"), input=blob(2),
                              capture_output=True, timeout=30, check=False)
        thread.join(10)
    assert told.stdout == hashlib.sha256(blob(2)).digest() + blob(1), told.stderr


def test_many_commands_in_a_connection(office, tmp_path):
    path = str(tmp_path / "c")
    with subprocess.Popen(office.argv("ann", "small", "-M", "-N", "-S", path, "127.0.0.1"), stdin=subprocess.DEVNULL) as master:
        try:
            wait_for("the master", 10, lambda: os.path.exists(path))
            many = [subprocess.Popen(["ssh", "-F", "none", "-S", path, "x", f"sleep 0.3; echo {n}"], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE) for n in range(6)]
            assert [one.communicate(timeout=30)[0] for one in many] == [f"{n}\n".encode() for n in range(6)]
        finally:
            master.kill()


def test_it_dies_and_that_is_told(office):
    client = subprocess.Popen(office.argv("ann", "small", "127.0.0.1", "echo begun; kill -KILL $PPID; sleep 9"), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = client.communicate(timeout=20)[1]
    assert client.returncode == 254 and "sallyport: " in said and "reference" in said, (client.returncode, said)

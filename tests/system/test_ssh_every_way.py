# SPDX-License-Identifier: Apache-2.0
"""Every way that a client has to a machine, tried by three people: who may, who has no right there (the machine is
core), and who may only when he has signed in more strongly than with a plain key. Each way either does what it is for,
or nothing at all and says why.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/rule.c, docs/POLICY.md "when"."""

import contextlib
import os
import shlex
import socket
import struct
import subprocess
import threading

import pytest

from devicelib import Device
from officelib import free_port, wait_for
from relay import end
from sshgatelib import SshOffice, Terminal, machine_at, run

MARK = "mark-42"
ECHO = "echo mark-$((40+2))"  # what is typed is not what is printed
DOCUMENTS = """\
{ kind: Role, name: nobody-much, title: Others }
---
{ kind: Role, name: plain, title: With a plain key }
---
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { resources: [host, far] }
may: [connect, read, write, execute, import, export, destroy, forward]
---
kind: Rule
name: others work elsewhere
who: { roles: [nobody-much] }
to: { resources: [host] }
may: [connect, read, write, execute, import, export, destroy, forward]
---
kind: Rule
name: all come in
who: { roles: [plain] }
to: { resources: [far] }
may: [connect]
---
kind: Rule
name: and work when they have shown more than a key
who: { roles: [plain] }
to: { resources: [far] }
when: { mfa: totp }
may: [read, write, execute, import, export, destroy, forward]
"""


class Target:
    """Says a word to whoever connects."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.count = 0
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                line, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            with line:
                line.sendall(MARK.encode())

    def close(self):
        end(self.socket)
        self.thread.join(10)
        self.socket.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    target = Target()

    def documents(sshd):
        return machine_at("far", sshd.port, sshd.host_key, f'  forward: ["127.0.0.1:{target.port}"]\n').replace(
            "class: internal", "class: core") + DOCUMENTS
    one = SshOffice(documents)
    one.target = target
    try:
        one.people(ann="engineer", nora="nobody-much", pia="plain")
        one.sam.fresh()
        folder = tmp_path_factory.mktemp("laptop")
        laptop = Device(one.person("pia"), str(folder)).approved(one.sam)
        laptop.mutual().sign_in()
        one.keys["pia with her laptop"] = laptop.key
        yield one
    finally:
        one.close()
        target.close()


class Way:
    """The clients of one person to the machine."""

    def __init__(self, office, who, folder):
        self.office, self.who, self.name, self.folder = office, who, who.split()[0], folder
        self.said = ""
        self.here, self.there = folder / "here", folder / "there"
        for one in (self.here, self.there):
            one.mkdir()
            (one / "file").write_text(MARK)

    def argv(self, *words, program="ssh", machine="far"):
        return [program, *self.office.options(), "-i", self.office.keys[self.who], "-o",
                f"User={self.name}:{machine}" if machine else f"User={self.name}",
                "-p" if program == "ssh" else "-P", str(self.office.port), *words]

    def run(self, argv, input=None, **more):
        more |= {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        told = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, **more)
        self.said += told.stdout + told.stderr
        return told

    # each is true when the way did what it is for

    def shell(self):
        return MARK in self.run(self.argv("-T", "127.0.0.1"), ECHO + "\n").stdout

    def terminal(self):
        return MARK in self.run(self.argv("-tt", "127.0.0.1"), ECHO + "; exit\n").stdout

    def command(self):
        return MARK in self.run(self.argv("127.0.0.1", ECHO)).stdout

    def command_on_a_terminal(self):
        return MARK in self.run(self.argv("-tt", "127.0.0.1", ECHO)).stdout

    def sftp_get(self):
        self.run(self.argv("-b", "-", "127.0.0.1", program="sftp"), f"get {self.there}/file {self.here}/got\n")
        return (self.here / "got").exists()

    def sftp_put(self):
        self.run(self.argv("-b", "-", "127.0.0.1", program="sftp"), f"put {self.here}/file {self.there}/put\n")
        return (self.there / "put").exists()

    def sftp_look(self):
        return MARK in self.run(self.argv("-b", "-", "127.0.0.1", program="sftp"), f"ls {self.there}\n").stdout.replace(
            "file", MARK)

    def _scp(self, *words):
        self.run(self.argv(*words, f"127.0.0.1:{self.there}/file", f"{self.here}/got", program="scp"))
        self.run(self.argv(*words, f"{self.here}/file", f"127.0.0.1:{self.there}/put", program="scp"))
        done = [(self.here / "got").exists(), (self.there / "put").exists()]
        assert done[0] == done[1], (done, self.said)
        return done[0]

    def scp(self):
        return self._scp()

    def scp_of_old(self):
        return self._scp("-O")

    def rsync(self):
        shell = shlex.join(self.argv())
        self.run(["rsync", "-e", shell, f"127.0.0.1:{self.there}/file", f"{self.here}/got"])
        self.run(["rsync", "-e", shell, f"{self.here}/file", f"127.0.0.1:{self.there}/put"])
        done = [(self.here / "got").exists(), (self.there / "put").exists()]
        assert done[0] == done[1], (done, self.said)
        return done[0]

    def git(self):
        run("git", "init", "-q", "--bare", f"{self.there}/r.git")
        env = {**os.environ, "GIT_SSH_COMMAND": shlex.join(self.argv()), "GIT_CONFIG_GLOBAL": "/dev/null"}
        told = self.run(["git", "clone", "-q", f"127.0.0.1:{self.there}/r.git", f"{self.here}/r"], env=env)
        return told.returncode == 0

    def forward_of_a_port(self):
        port = free_port()
        with self._open(self.argv("-N", "-o", "ExitOnForwardFailure=yes", "-L",
                                  f"{port}:127.0.0.1:{self.office.target.port}", "127.0.0.1")) as client:
            return self._reaches(client, port, b"")

    def forward_by_socks(self):
        port = free_port()
        ask = b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + struct.pack(">H", self.office.target.port)
        with self._open(self.argv("-N", "-D", str(port), "127.0.0.1")) as client:
            return self._reaches(client, port, ask)

    def forward_of_its_input(self):
        return MARK in self.run(self.argv("-W", f"127.0.0.1:{self.office.target.port}", "127.0.0.1")).stdout

    @contextlib.contextmanager
    def _open(self, argv):
        client = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            yield client
        finally:
            client.kill()
            self.said += client.communicate(timeout=10)[1].decode()

    def _reaches(self, client, port, ask):
        def connect():
            if client.poll() is not None:
                return "ended"
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=5)
            except ConnectionRefusedError:
                return None
        line = wait_for("the client's port", 15, connect)
        if line == "ended":
            return False
        got = b""
        with line:
            line.sendall(ask)
            with contextlib.suppress(OSError):
                while piece := line.recv(1000):
                    got += piece
        return MARK.encode() in got

    def second_channel(self):
        path = f"/tmp/sp-way-{os.getpid()}-{self.name}-{len(self.who)}"
        with self._open(self.argv("-N", "-M", "-S", path, "-o", "ControlPersist=no", "127.0.0.1")) as client:
            wait_for("the master", 15, lambda: os.path.exists(path) or client.poll() is not None)
            told = [self.run(["ssh", "-F", "none", "-o", "LogLevel=ERROR", "-S", path, "127.0.0.1", ECHO]).stdout
                    for _ in range(2)]
            assert (MARK in told[0]) == (MARK in told[1])
            return MARK in told[1]

    def menu(self):
        with Terminal(self.argv("-tt", "127.0.0.1", machine="")) as terminal:
            try:
                terminal.wait("1 ", 15)
                terminal.type("far\r")
                terminal.type(ECHO + "\r")
                terminal.wait(MARK, 2)
            except (AssertionError, BrokenPipeError):
                self.said += terminal.read()
                return False
            return True


WAYS = [name for name in vars(Way) if not name.startswith("_") and name not in ("argv", "run")]


@pytest.mark.parametrize("way", WAYS)
def test_a_way_is_open_to_who_may_and_closed_to_all_others(office, tmp_path, way):
    for who, may in (("ann", True), ("pia with her laptop", True), ("pia", False), ("nora", False)):
        folder = tmp_path / who.replace(" ", "-")
        folder.mkdir()
        one = Way(office, who, folder)
        reached = office.target.count
        assert getattr(one, way)() == may, (who, one.said)
        if may:
            continue
        assert MARK not in one.said.replace(ECHO, "") and office.target.count == reached
        if way != "menu" and not way.startswith("forward_"):  # SSH has no room for words there
            assert "sallyport: " in one.said and "reference" in one.said, (who, one.said)
        assert not (one.here / "got").exists() and not (one.there / "put").exists()
    if way != "menu":  # it does not name what one may not go to
        for name in ("pia", "nora"):
            wait_for(f"the refusal of {name}", 5, lambda name=name: office.events(person=name, verdict="deny"), 0.2)


def test_a_forward_is_told_as_opaque_with_its_bytes(office, tmp_path):
    assert Way(office, "ann", tmp_path).forward_of_its_input()

    def ends():
        mine = office.events(person="ann", kind="close")
        return ([e for e in mine if e["object"] == f"127.0.0.1:{office.target.port}" and e.get("bytes_out") == len(MARK)]
                and [e for e in mine if e["detail"].get("opaque") == 1 and e.get("bytes_out") == len(MARK)])
    wait_for("the entries of its end", 10, ends, 0.2)

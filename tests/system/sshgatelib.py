# SPDX-License-Identifier: Apache-2.0
"""An office with a machine behind its SSH gate: a real sshd that trusts the office's CA, an office, people with keys.

    office = SshOffice(documents)
    office.ssh("ann", "host", "echo hello")     # OpenSSH's client through the gate, as ann with her key
    office.direct("echo hello")                 # the same account, straight to the machine
"""

import base64
import contextlib
import hashlib
import json
import os
import pty
import pwd
import re
import select
import shlex
import signal
import subprocess
import tempfile
import time

import paramiko

import vault_client as vc
from officelib import PROGRAM, Office, descendants, free_port, wait_for, wait_started

HOST_KEY, TARGET_CA = 0, 1
ACCOUNT = pwd.getpwuid(os.geteuid()).pw_name
OFFICE = """\
kind: Office
name: Lantern Trading
time_zone: Asia/Shanghai
---
kind: Role
name: engineer
title: Engineers
---
"""
HOST = """\
kind: Resource
name: {name}
title: Build host
operator: company
class: internal
ssh:
  address: 127.0.0.1:{port}
  host_keys: ["{host_key}"]
  accounts: [{{ any: true, as: {account} }}]
  environment: [LANG, LC_*, TERM]
{more}---
"""
ENGINEERS = """\
kind: Rule
name: engineers work
who: {{ roles: [engineer] }}
to: {{ resources: [{machines}] }}
may: [connect, read, write, execute, import, export, destroy]
"""
ASKERS = """\
kind: Role
name: asker
title: Askers
---
kind: Rule
name: askers come in
who: { roles: [asker] }
to: { resources: [host] }
may: [connect]
---
kind: Rule
name: a colleague agrees to what askers run
who: { roles: [asker] }
to: { resources: [host] }
may: [execute]
ask: { approved_by: 1, by: { roles: [engineer] }, on: { owner: [unknown, personal, company] }, expires: 15m }
"""
# SHLVL: bash under sshd reads ~/.bashrc before each command unless another shell is around it, and what stands there
# would be timed with it
SSHD = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {dir}/host_key
PidFile none
TrustedUserCAKeys {dir}/ca.pub
AuthorizedPrincipalsFile none
AuthorizedKeysFile {dir}/direct.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin yes
MaxStartups 1000
MaxSessions 100
AcceptEnv LANG LC_* TERM EVIL
SetEnv PATH={dir}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SHLVL=2 BASH_ENV={dir}/bashrc
AllowTcpForwarding yes
PermitTunnel no
Subsystem sftp internal-sftp
StrictModes no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
"""


def machine_at(name, port, host_key, more=""):
    """The document of a machine that people work on as whoever runs the test."""
    return HOST.format(name=name, port=port, host_key=host_key, account=ACCOUNT, more=more)


def engineers_work_on(*machines, record=True):
    """The rule that lets engineers do everything there."""
    return ENGINEERS.format(machines=", ".join(machines)) + ("with: { record: true }\n" if record else "")


def askers_ask(watch=False):
    """The role and rules of people whose commands an engineer agrees to."""
    return ASKERS + ("with: { record: true, watch: true }\n" if watch else "")


def keygen(path, kind="ed25519", *words):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path, *words], check=True)
    with open(path + ".pub", encoding="ascii") as file:
        return " ".join(file.read().split()[:2])


def run(*argv, **more):
    """A client, to its end."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, **more)


class Sshd:
    """A machine: sshd on loopback. password: it takes that and nothing else, from a shadow file of its own (root);
    clock: how far its clock is off ("-5m"), by faketime."""

    def __init__(self, password=None, clock=None):
        self.password = password
        self.clock = clock
        self.dir = tempfile.mkdtemp(prefix="sp-sshd-", dir="/tmp")
        os.mkdir(os.path.join(self.dir, "bin"))  # programs that come before the machine's own
        self.port = free_port()
        self.host_key = keygen(os.path.join(self.dir, "host_key"))
        keygen(os.path.join(self.dir, "direct"))
        self.process = None

    def start(self, ca, more=""):
        os.makedirs("/run/sshd", exist_ok=True)
        with open(os.path.join(self.dir, "ca.pub"), "w", encoding="ascii") as file:
            file.write(ca)
        with open(os.path.join(self.dir, "sshd_config"), "w", encoding="ascii") as file:
            text = SSHD.format(port=self.port, dir=self.dir) + more
            if self.password is not None:
                text = text.replace("PasswordAuthentication no", "PasswordAuthentication yes\nPubkeyAuthentication no")
            file.write(text)
        with open(os.path.join(self.dir, "log"), "ab") as log:
            clock = ["faketime", "-f", self.clock] if self.clock else []
            self.process = subprocess.Popen([*self._as_its_own(), *clock, "/usr/sbin/sshd", "-D", "-e", "-f",
                                             os.path.join(self.dir, "sshd_config")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_started("sshd", self.process, self._answers, self.log)

    def _as_its_own(self):
        """Words before sshd that give it a shadow file of its own."""
        if self.password is None or os.geteuid() != 0:
            return []
        digest = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=self.password, capture_output=True,
                                text=True, check=True).stdout.strip()
        shadow = os.path.join(self.dir, "shadow")
        with open(shadow, "w", encoding="ascii") as file:
            file.write(f"{ACCOUNT}:{digest}:19000:0:99999:7:::\n")
        return ["unshare", "-m", "sh", "-c", f'mount --bind {shadow} /etc/shadow && exec "$@"', "sh"]

    def _answers(self):
        return subprocess.run(["ssh-keyscan", "-p", str(self.port), "127.0.0.1"], capture_output=True,
                              check=False).stdout != b""

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        if self.process is not None:
            for pid in descendants(self.process.pid):  # faketime starts it as another process
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()


class Terminal:
    """What stands on a terminal, and typing on it."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.raw = ""

    @property
    def text(self):
        """Without what moves and colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.raw).replace("\r", "")

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def read(self):
        try:
            self.raw += (self.process.stdout.read() or b"").decode(errors="replace")
        except BlockingIOError:
            pass
        return self.text

    def wait(self, words, seconds=10):
        try:
            wait_for(f"{words!r} on the terminal", seconds, lambda: words in self.read())
        except AssertionError as late:
            raise AssertionError(f"{late}; it shows {self.text[-400:]!r}") from None

    def never(self, words, seconds=0.7):
        """These words do not come for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert words not in self.read()
            time.sleep(0.05)

    def close(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Pty:
    """A program that has a terminal of its own."""

    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.seen = b""

    def until(self, what, seconds=40):
        end = time.monotonic() + seconds
        while what not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    assert what in self.seen, self.seen
        return self

    def type(self, text):
        os.write(self.fd, text)
        return self

    def rest(self, seconds=40):
        """Until it has closed its terminal by itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    return self
        raise AssertionError(self.seen)

    def end(self):
        """Its exit status, once it has ended by itself: a terminal that is closed before may leave it waiting."""
        self.rest()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class SshOffice:
    """documents: YAML below the Office and the host, or what makes it of the Sshd; more: lines of the host's ssh
    block; extra: of the bootstrap;
    hosts: {name: lines of its ssh block} of other resources that are the same machine; sshd: of its sshd_config;
    prepare: called with the office before it starts; workers: of the gate; program: a copy of ours."""

    def __init__(self, documents, more="", extra="", roles=("engineer",), hosts=None, sshd="", prepare=None, workers=1,
                 program=PROGRAM):
        self.sshd = Sshd()
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix="sp-ssh-", dir="/tmp")
        self.keys = {}
        self.roles = list(roles)
        self.known_hosts = os.path.join(self.dir, "known_hosts")
        try:
            text = OFFICE + "".join(machine_at(name, self.sshd.port, self.sshd.host_key, lines)
                                    for name, lines in {"host": more, **(hosts or {})}.items())
            text += documents(self.sshd) if callable(documents) else documents
            self.office = Office(documents={"office.yaml": text},
                                 extra=f'ssh: ["127.0.0.1:{self.port}"]\nssh_workers: {workers}\n' + extra,
                                 program=program)
            if prepare is not None:
                prepare(self.office)
            self.office.start()
            self.olga, self.sam, self.audrey = self.office.set_up_administrators()
            self.sshd.start(self._public(TARGET_CA) + "\n", sshd)
            with open(self.known_hosts, "w", encoding="ascii") as file:
                file.write(f"[127.0.0.1]:{self.port} {self._public(HOST_KEY)}\n")
        except BaseException:
            self.close()
            raise

    def _public(self, which):
        """A public key of the vault, as it gives it to the gate."""
        vault = vc.Connection(os.path.join(self.office.run_dir, "vault.sock"),
                              (self.office.uids or {}).get("ssh", os.geteuid()))
        status, blob = vault.call(vc.SSH_PUBLIC, bytes([which]))
        assert status == vc.OK
        kind = vc.Reader(blob).text().decode()
        return f"{kind} {base64.b64encode(blob).decode()}"

    def close(self):
        if getattr(self, "office", None) is not None:
            self.office.close()
        self.sshd.close()

    # ---- people

    def person(self, name, roles=None):
        return self.office.employee(name, list(roles or self.roles))

    def key(self, name, roles=None):
        """The path of a key that is registered for this person, who is made when he is not there."""
        if name not in self.keys:
            path = os.path.join(self.dir, name)
            line = keygen(path)
            person = self.person(name, roles)
            person.fresh()
            person.post("/me/ssh-keys", {"name": "laptop", "key": line})
            self.keys[name] = path
        return self.keys[name]

    def people(self, **roles):
        """ann="engineer": set up, each with a key."""
        for name, role in roles.items():
            self.person(name, [role])
            self.key(name)

    # ---- what waits for somebody's word

    def asked(self, by="ann"):
        """What waits for this person's word, whole."""
        person = self.person(by)
        one = wait_for("the ask", 10, lambda: person.items("/approvals?state=waiting"))[0]
        return person.get(f"/approvals/{one['id']}")

    def decide(self, verdict, full=None, by="ann"):
        """"approve" or "refuse"; what it was about."""
        full = full or self.asked(by)
        self.person(by).post(f"/approvals/{full['id']}/{verdict}", {"sha256": full["sha256"]})
        return full

    def workers(self):
        """The processes of the gate that have the connections."""
        gate = self.office.pid("ssh")
        return wait_for("the workers", 10, lambda: descendants(gate))

    def worker(self):
        return self.workers()[0]

    # ---- clients

    def options(self, name=None):
        return ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR",
                "-o", f"UserKnownHostsFile={self.known_hosts}", *(["-i", self.key(name)] if name else [])]

    def argv(self, name, machine, *words, program="ssh"):
        user = f"{name}:{machine}" if machine else name
        return [program, *self.options(name), "-o", f"User={user}", "-p" if program == "ssh" else "-P", str(self.port),
                *words]

    def ssh(self, name, machine, command=None, *words, input=None, timeout=60, text=True):
        argv = self.argv(name, machine, *words, "127.0.0.1", *([command] if command is not None else []))
        return subprocess.run(argv, input=input, capture_output=True, text=text, timeout=timeout, check=False,
                              **({} if input is not None else {"stdin": subprocess.DEVNULL}))

    def scp(self, name, machine, *words):
        return run(*self.argv(name, machine, *words, program="scp"))

    def sftp(self, name, machine, batch, *words):
        return run(*self.argv(name, machine, "-b", "-", *words, "127.0.0.1", program="sftp"), input=batch)

    def rsync(self, name, machine, *words):
        return run("rsync", "-e", shlex.join(self.argv(name, machine)), *words)

    def direct(self, command, *words, input=None, timeout=60, text=True):
        return subprocess.run(["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o",
                               "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-i",
                               os.path.join(self.sshd.dir, "direct"), "-p", str(self.sshd.port), *words,
                               f"{ACCOUNT}@127.0.0.1", command], input=input, capture_output=True, text=text,
                              timeout=timeout, check=False)

    def paramiko(self, name, machine="host"):
        """A client of paramiko's that is connected; to be closed."""
        client = paramiko.SSHClient()
        client.load_host_keys(self.known_hosts)
        client.connect("127.0.0.1", self.port, f"{name}:{machine}", key_filename=self.key(name), allow_agent=False,
                       look_for_keys=False, timeout=30)
        return client

    def putty_words(self, name, program):
        """plink, pscp, psftp: with the host key pinned, to the gate's port."""
        key = os.path.join(self.dir, f"{name}.ppk")
        if not os.path.exists(key):
            subprocess.run(["puttygen", self.key(name), "-O", "private", "-o", key], check=True, timeout=30)
        digest = hashlib.sha256(base64.b64decode(self._public(HOST_KEY).split()[1])).digest()
        return [program, "-batch", "-hostkey", "SHA256:" + base64.b64encode(digest).decode().rstrip("="), "-i", key,
                "-P", str(self.port)]

    def putty(self, name, program, *words, input=None, timeout=60):
        return subprocess.run([*self.putty_words(name, program), *words], capture_output=True, text=True,
                              timeout=timeout, check=False, input=input,
                              **({} if input is not None else {"stdin": subprocess.DEVNULL}))

    def terminal(self, name, machine):
        """A shell on a terminal."""
        return Terminal(self.argv(name, machine, "-tt", "127.0.0.1"))

    def recording(self, reference):
        """The text of a recording that has ended; None until then."""
        if self.audrey.get(f"/ssh/recordings/{reference}/info")["live"]:
            return None
        text, at = "", 0
        while True:
            answer = self.audrey.request("GET", "portal", f"/api/v1/ssh/recordings/{reference}?from={at}")
            text += answer.body.decode()
            after = int(answer.header("X-Sallyport-Next"))
            if after == at or answer.header("X-Sallyport-End") not in (None, "0"):
                return text
            at = after

    def printed(self, reference):
        """What an ended recording shows, without times; None until it has ended."""
        text = self.recording(reference)
        return text and "".join(part[2] for line in text.splitlines() if line.startswith("[")
                                for part in [json.loads(line)] if part[1] == "o")

    def connection(self, name, machine):
        """The connection of this person to that machine, as a security administrator sees it."""
        return wait_for(f"the connection of {name} to {machine}", 10, lambda: next(
            (c for c in self.sam.items("/ssh/connections")
             if c["person"]["name"] == name and c["resource"] == machine), None))

    # ---- ledger

    def events(self, **fields):
        """Events of the SSH gate with these fields, newest first."""
        found = [e for e in self.audrey.get("/admin/ledger/events?limit=100")["items"] if e.get("gate") == "ssh"]
        return [e for e in found if all(e.get(k) == v for k, v in fields.items())]


__all__ = ["ACCOUNT", "Pty", "SshOffice", "Sshd", "Terminal", "keygen"]

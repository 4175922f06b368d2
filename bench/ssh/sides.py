# SPDX-License-Identifier: Apache-2.0
"""Two ways to the same machines with OpenSSH's client: through the gate of a whole office, and through a jump sshd
(`ssh -J`). Either leg of both has the same key exchange, cipher and kind of host key.

    bench = Sides()
    bench.gate.argv("chacha", "true")            # ssh through the gate, to the machine that speaks this cipher
    bench.jump.argv("chacha", "true")            # the same through the jump host
    with bench.gate.spent() as spent: ...        # processor seconds of what stands in between: spent.seconds

OWNS the office, the machines, the jump host. PROCESS bench. TRUST none.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from officelib import descendants, free_port, wait_for  # noqa: E402
from sshgatelib import ACCOUNT, SSHD, SshOffice, keygen  # noqa: E402

CIPHERS = {"chacha": "chacha20-poly1305@openssh.com", "gcm": "aes128-gcm@openssh.com"}
KEX = "curve25519-sha256"

DOCUMENTS = """\
kind: Resource
name: {cipher}
operator: company
class: internal
ssh:
  address: 127.0.0.1:{port}
  host_keys: ["{host_key}"]
  accounts: [{{ any: true, as: {account} }}]
---
"""
RULE = """\
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { classes: [internal] }
may: [connect, read, write, execute, import, export, destroy]
with: { record: true }
"""
COMMON = """\
Host *
  BatchMode yes
  IdentitiesOnly yes
  LogLevel ERROR
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  KexAlgorithms {kex}
  HostName 127.0.0.1
"""
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _processor_s(pid):
    """Of a process, its threads, and its children that have ended and were waited for: these alone in ticks, since many
    processes that do little each would be rounded away."""
    try:
        total = 0.0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0]) / 1e9
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return total + sum(int(word) for word in words[13:15]) * TICK_S
    except (OSError, IndexError):
        return 0.0


class Sshd:
    """One more sshd on loopback, with the files of the machine's folder."""

    def __init__(self, machine, name, cipher=None, host_key="host_key"):
        self.port = free_port()
        path = os.path.join(machine.dir, name)
        text = SSHD.format(port=self.port, dir=machine.dir).replace(f"{machine.dir}/host_key", host_key)
        text = text.replace("LogLevel VERBOSE", "LogLevel ERROR") + f"KexAlgorithms {KEX}\n"
        with open(path, "w", encoding="ascii") as file:
            file.write(text + (f"Ciphers {cipher}\n" if cipher else ""))
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", path], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def wait(self):
        wait_for("sshd", 10, lambda: subprocess.run(["ssh-keyscan", "-p", str(self.port), "127.0.0.1"],
                                                    capture_output=True, check=False).stdout != b"")

    def close(self):
        self.process.kill()
        self.process.wait()


class Spent:
    def __init__(self, side):
        self.side, self.seconds = side, 0.0

    def __enter__(self):
        self.before = self.side.processor_s()
        return self

    def __exit__(self, *_):
        self.seconds = self.side.processor_s() - self.before


class Side:
    """One way; roots: the processes that stand in between."""

    def __init__(self, name, config, roots):
        self.name, self.config, self.roots = name, config, roots

    def argv(self, machine, *command, options=(), program="ssh"):
        return [program, "-F", self.config, *options, f"{self.name}-{machine}", *command]

    def processor_s(self):
        pids = set(self.roots())
        for root in self.roots():
            pids.update(descendants(root))
        return sum(_processor_s(pid) for pid in pids)

    def spent(self):
        return Spent(self)


class Sides:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sp-bench-ssh-", dir="/tmp")
        self.machines, self.office, self.jumper = {}, None, None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        ports = {}

        def documents(machine):
            text = ""
            for name, cipher in CIPHERS.items():
                self.machines[name] = Sshd(machine, name, cipher, os.path.join(machine.dir, "host_key"))
                ports[name] = self.machines[name].port
                text += DOCUMENTS.format(cipher=name, port=ports[name], host_key=machine.host_key, account=ACCOUNT)
            return text + RULE

        self.office = SshOffice(documents, extra="ssh_connections_each: 20000\n"
                                "ssh_log_ins_each: 20000\nssh_log_ins_address: 20000\n")
        machine = self.office.sshd
        jump_key = os.path.join(self.dir, "jump_key")
        keygen(jump_key, "ecdsa")
        self.jumper = Sshd(machine, "jumper", None, jump_key)
        for one in (self.jumper, *self.machines.values()):
            one.wait()
        self.gate = Side("gate", self._config("gate", self.office.key("ann"), machine, ports), self._office_pids)
        self.jump = Side("jump", self._config("jump", self.office.key("ann"), machine, ports),
                         lambda: [self.jumper.process.pid])

    def _config(self, name, key, machine, ports):
        text = ""
        for cipher, words in CIPHERS.items():
            if name == "gate":
                text += f"Host gate-{cipher}\n  Port {self.office.port}\n  User ann:{cipher}\n  IdentityFile {key}\n"
                text += f"  Ciphers {words}\n"
            else:
                direct = os.path.join(machine.dir, "direct")
                text += f"Host hop-{cipher}\n  Port {self.jumper.port}\n  User {ACCOUNT}\n  IdentityFile {direct}\n"
                text += f"  Ciphers {words}\n"
                for host, more in (("jump", f"  ProxyJump hop-{cipher}\n"), ("direct", "")):
                    text += f"Host {host}-{cipher}\n  Port {ports[cipher]}\n  User {ACCOUNT}\n  IdentityFile {direct}\n"
                    text += f"  Ciphers {words}\n{more}"
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text + COMMON.format(kex=KEX))
        return path

    def _office_pids(self):
        office = self.office.office
        return [office.pid(role) for role in ("ssh", "core", "vault", "ledger", "watch")]

    def workers(self):
        return descendants(self.office.office.pid("ssh"))

    def worker_bytes(self):
        total = 0
        for pid in self.workers():
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024
        return total

    def close(self):
        try:
            if self.office is not None:
                self.office.close()
        finally:
            for one in (self.jumper, *self.machines.values()):
                if one is not None:
                    one.close()
            shutil.rmtree(self.dir, ignore_errors=True)


def settle(seconds=0.3):
    """Ends that are told later have been told."""
    time.sleep(seconds)

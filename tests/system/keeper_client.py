# SPDX-License-Identifier: Apache-2.0
"""A vault and a keeper by themselves, and lib/proto/keeper_msg.h as core speaks it.

OWNS the processes and their directory. PROCESS tests. TRUST none. SPEC lib/proto/keeper_msg.h.
"""
import json
import os
import re
import signal
import socket
import struct
import subprocess

import pglib
import vault_client
from vault_client import Connection, OK, Vault, text

JOB, DONE = 0x0400, 0x0401
KEEP, ESTIMATE, UNDO, TRY_UNDO, FORGET, HEAR, BESIDE, TRY_BESIDE = range(8)


def kind_of(name):
    """Number of a message of the vault, from its header."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, "lib", "proto", "vault_msg.h"), encoding="utf-8") as file:
        words = re.findall(r"^\s+(SP_VAULT_[A-Z0-9_]+)(?: = (0x[0-9a-f]+))?,", file.read(), re.M)
    at = 0
    for word, number in words:
        at = int(number, 16) if number else at + 1
        if word == "SP_VAULT_" + name:
            return at
    raise AssertionError(name)


class Postgres(pglib.Postgres):
    """Its superuser by Debian's own programs."""

    def run(self, program, *words):
        env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGPASSWORD": pglib.PASSWORD, "PGHOST": "127.0.0.1",
               "PGPORT": str(self.port), "PGUSER": pglib.SUPERUSER, "PGSSLMODE": "disable"}
        done = subprocess.run([os.path.join(pglib.BIN, program), *words], capture_output=True, text=True, env=env,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sql(self, text, database="postgres"):
        """What psql prints, unaligned."""
        return self.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text).strip()


class Keeper:
    def __init__(self, program, folder):
        vault_client.UIDS.setdefault("keeper", 61010 if os.geteuid() == 0 else os.getuid())
        vault_client.UIDS.setdefault("db", 61011 if os.geteuid() == 0 else os.getuid())
        self.vault = Vault(program, folder)
        self.uid = vault_client.UIDS["keeper"]
        self.state = self.vault.dir / "state" / "keeper"
        self.state.mkdir(mode=0o700)
        os.chown(self.state, self.uid, -1)
        self.path = self.vault.dir / "run" / "keeper.sock"
        self.process = None
        self.jobs = 0

    def start(self):
        self.vault.start()
        if self.vault.ledger is None:
            self.vault.start_ledger()  # a password leaves the vault when it is on record
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        self.path.chmod(0o666)
        self.listener.listen(8)
        fd = self.listener.fileno()

        def hand_over():
            os.dup2(fd, 3)
            os.set_inheritable(3, True)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(self.uid)
                os.setuid(self.uid)

        env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "keeper"}
        script = 'LISTEN_PID=$$ exec "$0" role keeper -c "$1"'
        with open(self.vault.log, "ab") as log:
            self.process = subprocess.Popen(["/bin/sh", "-c", script, self.vault.program,
                                             str(self.vault.config)], env=env, stderr=log, stdout=log,
                                            preexec_fn=hand_over, close_fds=False)
        self.core = Connection(self.path, vault_client.UIDS["core"])
        self.core.socket.settimeout(120)
        return self

    def credential(self, name, password):
        status, _ = self.vault.connect("core").call(kind_of("DB_CREDENTIAL_PUT"),
                                                    text(name.encode()) + text(password.encode()))
        assert status == OK

    def job(self, kind, keep=0, port=5432, account="op_keep", database="orders", objects=(), verb="DROP",
            cascades=False, partly=False, whole=False, snapshot="", credential=None, tls=3, ask=0, holder=0):
        """(code, bytes, ms, report, why)"""
        self.jobs += 1
        number, core = self.jobs, self.core
        names = json.dumps([dict(zip(("schema", "name"), o.split(".") if isinstance(o, str) else o)) for o in objects])
        body = struct.pack(">QQQHBBBBBI", number, keep, ask, port, kind, tls, whole, cascades, partly, holder)
        for piece in ("127.0.0.1", "", account, credential or f"orders-db/{account}", database, names, verb,
                      snapshot):
            body += text(piece.encode())
        status, _ = core.call(JOB, body)
        if status != OK:
            return status, 0, 0, None, "not taken"
        reply = core.socket.recv(256 * 1024)
        version, got, _, _ = struct.unpack(">BHIB", reply[:8])
        assert (version, got) == (1, DONE)
        r = vault_client.Reader(reply[8:])
        job, code, size, ms = (r.number(f) for f in "QBQQ")
        report, why = r.text().decode(), r.text().decode()
        assert job == number
        return code, size, ms, json.loads(report) if report else None, why

    def kept_file(self, keep):
        return self.state / "keeps" / f"{keep:016x}.keep"

    def logged(self):
        return self.vault.log.read_text()

    def stop(self, how=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.listener.close()
            self.process = None
        self.vault.stop_ledger()
        self.vault.stop()

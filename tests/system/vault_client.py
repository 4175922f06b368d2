# SPDX-License-Identifier: Apache-2.0
"""Starts a vault by itself, as the porter does, and speaks lib/proto/vault_msg.h to it.

OWNS the process and its directory. PROCESS tests. TRUST none. SPEC lib/proto/vault_msg.h.
"""
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

PING, KEYS, CA, DEVICE_ISSUE, TLS_IDENTITY, TLS_KEY, TLS_SIGN, TOKEN_SIGN, TOKEN_JWKS, \
    TOKEN_ROTATE, CHECKPOINT_SIGN, CHECKPOINT_LAST, WRAP, UNWRAP, EXPORT, \
    DB_CREDENTIAL_PUT, DB_CREDENTIAL_LIST, DB_CREDENTIAL_REMOVE, DB_PROOF, DB_PASSWORD, \
    SSH_PUBLIC, SSH_CERTIFY, SSH_CREDENTIAL_PUT, SSH_CREDENTIAL_LIST, SSH_CREDENTIAL_REMOVE, \
    SSH_PASSWORD, SSH_KEY_PUT, SSH_KEY_PUBLIC, SSH_KEY_SIGN, CHANNEL_PUT, CHANNEL_LIST, CHANNEL_REMOVE, \
    CHANNEL_SECRET, DB_KEY_PUT, DB_CERTIFICATE, SSH_HOST_RENEW = range(0x0200, 0x0224)
OK, EINVALID, ELIMIT, ENOTFOUND, EEXISTS, EDENIED, ECONFLICT, EAGAIN, ECORRUPT, ECLOSED = 0, 2, 4, 5, 6, 7, 8, 10, 13, 14


def text(data):
    return struct.pack(">I", len(data)) + data


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, count):
        assert len(self.data) >= count
        piece, self.data = self.data[:count], self.data[count:]
        return piece

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def text(self):
        return self.take(self.number("I"))


class Connection:
    """A peer's identity is taken by the kernel when it connects: as root, any uid can be tried."""

    def __init__(self, path, uid):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(10)
        before = os.geteuid()
        if before == 0:
            os.seteuid(uid)
        try:
            self.socket.connect(str(path))
        finally:
            if before == 0:
                os.seteuid(before)
        self.id = 0

    def raw(self, packet):
        self.socket.send(packet)
        return self.socket.recv(256 * 1024)

    def call(self, kind, body=b""):
        """(status, body)"""
        self.id += 1
        reply = self.raw(struct.pack(">BHIB", 1, kind, self.id, 0) + body)
        version, got_kind, got_id, status = struct.unpack(">BHIB", reply[:8])
        assert (version, got_kind, got_id) == (1, kind, self.id)
        return status, reply[8:]


def ssh_ask(blob, ca=1, key_id="zhao.min/7F3K-9Q2M-XA4T", principals=("ops",), life=300, after=0,
            critical=(), extensions=(("permit-pty", ""),)):
    """Body of SSH_CERTIFY; ca: 1 = of machines, 2 = of people."""
    def options(pairs):
        return bytes([len(pairs)]) + b"".join(text(n.encode()) + text(d.encode()) for n, d in pairs)
    now = int(time.time())
    return bytes([ca]) + text(blob) + text(key_id.encode()) + \
        struct.pack(">QQ", now + after, now + life) + bytes([len(principals)]) + \
        b"".join(text(p.encode()) for p in principals) + options(critical) + options(extensions)


CONFIG = """\
office: Lantern Trading
domain: office.localhost
portal: portal
listen: ["127.0.0.1:{port}"]
postgres: ["127.0.0.1:5432"]
ssh: ["127.0.0.1:2222"]
state: {dir}/state
run: {dir}/run
tls: {tls}
"""


# As root each role has a uid of its own; otherwise they all share ours.
UIDS = {role: 61001 + i if os.geteuid() == 0 else os.getuid()
        for i, role in enumerate(("core", "vault", "ledger", "web", "db", "keeper", "ssh", "courier", "watch", "stranger"))}


def spawn_role(role, program, config, path, log, uids=UIDS, more_env=None):
    """(process, listening socket) of a role, started as the porter does."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen(64)
    fd = listener.fileno()

    def hand_over():
        os.dup2(fd, 3)
        os.set_inheritable(3, True)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(uids[role])
            os.setuid(uids[role])

    env = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "1", "LISTEN_FDNAMES": role, **(more_env or {})}
    # LISTEN_PID must be the pid of the program itself: a shell that execs has it.
    script = f'LISTEN_PID=$$ exec "$0" role {role} -c "$1"'
    with open(log, "ab") as out:
        process = subprocess.Popen(["/bin/sh", "-c", script, program, str(config)], env=env, stderr=out, stdout=out,
                                   preexec_fn=hand_over, close_fds=False)
    return process, listener


class Vault:
    """A vault in a directory below one that everybody may enter."""

    def __init__(self, program, folder, tls="own"):
        self.program = str(program)
        self.dir = pathlib.Path(folder)
        self.state = self.dir / "state" / "vault"
        self.path = self.dir / "run" / "vault.sock"
        self.config = self.dir / "bootstrap.yaml"
        self.log = self.dir / "log"
        for made in (self.state, self.path.parent):
            made.mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o755)
        self.state.chmod(0o700)
        os.chown(self.state, UIDS["vault"], -1)
        body = CONFIG.format(port=8443, dir=self.dir, tls=tls)
        body += "users: {" + ", ".join(f"{k}: {v}" for k, v in UIDS.items()
                                       if k != "stranger") + "}\n"
        self.config.write_text(body)
        self.process = None
        self.listener = None
        self.ledger = None

    def spawn(self):
        """Starts it without waiting that it serves."""
        self.process, self.listener = spawn_role("vault", self.program, self.config, self.path, self.log)
        return self

    def start_ledger(self):
        """What must be written down first waits for one."""
        state = self.dir / "state" / "ledger"
        state.mkdir(exist_ok=True)
        state.chmod(0o700)
        os.chown(state, UIDS["ledger"], -1)
        self.ledger = spawn_role("ledger", self.program, self.config, self.path.with_name("ledger.sock"),
                                 self.dir / "ledger.log")

    def stop_ledger(self):
        if self.ledger is not None:
            process, listener = self.ledger
            self.ledger = None
            process.terminate()
            process.wait(10)
            listener.close()

    def start(self):
        self.spawn()
        first = self.connect("core")
        first.socket.settimeout(60)  # it writes its keys to a disk that others use, too
        try:
            status, _ = first.call(PING)
        except OSError as error:
            raise AssertionError(f"{error}; it ended with {self.process.poll()}; {self.logged()}") from error
        assert status == OK
        return self

    def connect(self, role):
        return Connection(self.path, 0 if role == "root" else UIDS[role])

    def stop(self, how=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(how)
            code = self.process.wait(10)
            self.process = None
            self.listener.close()
            return code
        return None

    def wait_ended(self):
        code = self.process.wait(10)
        self.process = None
        self.listener.close()
        return code

    def logged(self):
        return self.log.read_text()

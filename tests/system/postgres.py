# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL of its own in a temporary directory, and the client's side of its log-in.

OWNS the server and its directory. PROCESS tests. TRUST none. SPEC PostgreSQL 15, chapter 55.
"""
import base64
import os
import pathlib
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile

BIN = next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Postgres:
    """Listens on a port of its own on loopback; superuser `postgres`, trusted over its Unix socket."""

    def __init__(self, hba="host all all 127.0.0.1/32 scram-sha-256\n", settings=""):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sp-pg-"))
        self.data = self.dir / "data"
        self.port = free_port()
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.dir.chmod(0o755)
        if self.user:
            os.chown(self.dir, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync",
                 "-E", "UTF8", "--locale=C.UTF-8")
        (self.data / "pg_hba.conf").write_text("local all all trust\n" + hba)
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"port={self.port}\nlisten_addresses='127.0.0.1'\nfsync=off\n"
                       f"unix_socket_directories='{self.dir}'\nmax_connections=40\n" + settings)
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.dir / "log"), "-w", "start")

    def run(self, program, *args, **kwargs):
        def become():
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
        done = subprocess.run([str(BIN / program), *args], cwd=self.dir, capture_output=True,
                              text=True, timeout=60, preexec_fn=become if self.user else None,
                              env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, **kwargs)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sql(self, text, database="postgres"):
        return self.run("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.dir),
                        "-p", str(self.port), "-U", "postgres", "-d", database, "-c", text).strip()

    def stop(self):
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.dir, ignore_errors=True)


def message(sock):
    """(type, body) of one message of the server."""
    head = b""
    while len(head) < 5:
        piece = sock.recv(5 - len(head))
        assert piece, "the server closed the connection"
        head += piece
    left = struct.unpack(">I", head[1:])[0] - 4
    body = b""
    while len(body) < left:
        body += sock.recv(left - len(body))
    return head[:1], body


def send(sock, kind, body):
    sock.sendall(kind + struct.pack(">I", len(body) + 4) + body)


class LogIn:
    """Start-up and the authentication that the server asks for; `error` is its refusal."""

    def __init__(self, port, user, database="postgres"):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.user = user
        self.error = None
        start = struct.pack(">I", 196608) + b"user\0" + user.encode() + b"\0database\0" + \
            database.encode() + b"\0\0"
        self.sock.sendall(struct.pack(">I", len(start) + 4) + start)
        self.kind, self.body = self.auth()

    def auth(self):
        kind, body = message(self.sock)
        if kind == b"E":
            self.error = body
            return None, body
        assert kind == b"R"
        return struct.unpack(">I", body[:4])[0], body[4:]

    def scram(self, prove):
        """prove(salt, iterations, auth_message) -> (proof, server signature that must come)"""
        assert self.kind == 10 and b"SCRAM-SHA-256\0" in self.body
        bare = "n=,r=" + base64.b64encode(os.urandom(18)).decode()
        first = ("n,," + bare).encode()
        send(self.sock, b"p", b"SCRAM-SHA-256\0" + struct.pack(">I", len(first)) + first)
        kind, body = self.auth()
        assert kind == 11
        fields = dict(f.split("=", 1) for f in body.decode().split(","))
        without = f"c=biws,r={fields['r']}"
        proof, server = prove(base64.b64decode(fields["s"]), int(fields["i"]),
                              f"{bare},{body.decode()},{without}")
        send(self.sock, b"p", f"{without},p={base64.b64encode(proof).decode()}".encode())
        kind, body = self.auth()
        if kind is None:
            return False
        assert kind == 12 and body.decode() == "v=" + base64.b64encode(server).decode()
        return self.auth()[0] == 0

    def md5(self, prove):
        """prove(salt) -> "md5..." """
        assert self.kind == 5
        send(self.sock, b"p", prove(self.body) + b"\0")
        return self.auth()[0] == 0

# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL wire by hand, for what no driver would send."""

import base64
import contextlib
import hashlib
import hmac
import os
import select
import socket
import ssl
import struct
import time

SSL_REQUEST = struct.pack(">II", 8, 80877103)
GSSENC_REQUEST = struct.pack(">II", 8, 80877104)


def message(kind, body=b""):
    return kind.encode() + struct.pack(">I", len(body) + 4) + body


def query(text):
    return message("Q", text.encode() + b"\0")


def parse(text, name=""):
    return message("P", name.encode() + b"\0" + text.encode() + b"\0\0\0")


def bind(portal="", name="", values=(), binary=False):
    """values: text or None; binary: all of the answer."""
    body = portal.encode() + b"\0" + name.encode() + b"\0\0\0" + struct.pack(">H", len(values))
    for value in values:
        body += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value.encode())) + value.encode()
    return message("B", body + (b"\0\1\0\1" if binary else b"\0\0"))


def describe(name="", kind="P"):
    return message("D", kind.encode() + name.encode() + b"\0")


def execute(portal="", rows=0):
    return message("E", portal.encode() + b"\0" + struct.pack(">I", rows))


def closes(kind, name=""):
    return message("C", kind.encode() + name.encode() + b"\0")


SYNC = message("S")
FLUSH = message("H")

# What no client sends once it is logged in.
MALFORMED = [
    b"Q\0\0\0\3", b"Q\xff\xff\xff\xff", b"\0\0\0\0\4", message("p", b"x\0"), message("v"), message("W"),
    b"D\x10\0\0\0" + b"x" * 100, b"S\x7f\xff\xff\xff" + b"x" * 100, b"B\x3f\xff\xff\xff" + b"x" * 100, message("B", b"no end"),
    message("E", b"\0\0"), message("Q", b"no end"), message("Q", b"two\0ends\0"), message("D", b"Xname\0"),
    message("H", b"x"), message("H", bytes(9000)), message("S", b"x"), message("S", bytes(9000)), message("c", b"x")]


def startup(minor=0, **parameters):
    body = struct.pack(">I", 3 << 16 | minor)
    for name, value in parameters.items():
        body += name.replace("_pq__", "_pq_.").encode() + b"\0" + value.encode() + b"\0"
    body += b"\0"
    return struct.pack(">I", len(body) + 4) + body


def fields(body):
    """Of an ErrorResponse: {"C": "42501", ...}"""
    return {piece[:1].decode(): piece[1:].decode(errors="replace") for piece in body.split(b"\0") if piece}


def codes(found):
    """Of messages [(kind, body)]: their kinds in a row, "TDCZ"."""
    return "".join(kind for kind, _ in found)


def error_of(found):
    """The fields of the first ErrorResponse among messages."""
    return next(fields(body) for kind, body in found if kind == "E")


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Closed(Exception):
    pass


class Raw:
    """One connection. tls: None (plain), "asked" (SSLRequest) or "direct" (ALPN). cert: files of a certificate and its
    key, to be shown."""

    def __init__(self, port, tls="asked", timeout=10, alpn=("postgresql",), cert=None):
        self.cert = cert
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffer = bytearray()
        if tls is not None:
            self.start_tls(tls, alpn)

    def start_tls(self, tls, alpn=("postgresql",)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if tls == "direct" or self.cert else CONTEXT
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.cert:
            context.load_cert_chain(*self.cert)
        if tls == "direct":
            context.set_alpn_protocols(list(alpn))
        else:
            self.socket.sendall(SSL_REQUEST)
            if self.socket.recv(1) != b"S":
                raise Closed("no TLS")
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def send(self, *pieces):
        self.socket.sendall(b"".join(pieces))

    def _need(self, size):
        while len(self.buffer) < size:
            try:
                more = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise Closed(str(error)) from error
            if not more:
                raise Closed("the end")
            self.buffer += more

    def receive(self):
        """(type, body) of the next message."""
        self._need(5)
        size = 1 + struct.unpack(">I", self.buffer[1:5])[0]
        self._need(size)
        kind, body = self.buffer[:1].decode(), bytes(self.buffer[5:size])
        del self.buffer[:size]
        return kind, body

    def until(self, kinds="Z"):
        """All messages up to one of that kind."""
        found = []
        while not found or found[-1][0] not in kinds:
            found.append(self.receive())
        return found

    def exchange(self, data, kinds="Z"):
        """Sends all of it and takes what comes meanwhile, in one thread: a TLS object must not be used by two."""
        timeout = self.socket.gettimeout()
        data = memoryview(data)
        self.socket.setblocking(False)
        end = time.monotonic() + timeout
        while data:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                data = data[self.socket.send(data):]
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                more = self.socket.recv(65536)
                if not more:
                    raise Closed("the end")
                self.buffer += more
                end = time.monotonic() + timeout
            if time.monotonic() > end:
                raise TimeoutError(f"{len(data)} bytes were not taken")
            select.select([self.socket], [self.socket] if data else [], [], 0.05)
        self.socket.settimeout(timeout)
        return self.until(kinds)

    def log_in(self, user, database, password, minor=0, **parameters):
        """Everything up to the first ReadyForQuery, or to an ErrorResponse."""
        self.send(startup(minor, user=user, database=database, **parameters))
        found = []
        while True:
            kind, body = self.receive()
            found.append((kind, body))
            if kind in "ZE":
                return found
            if kind == "R":
                self._answer(struct.unpack(">I", body[:4])[0], body[4:], password)

    def _answer(self, kind, data, password):
        if kind == 10:
            self.nonce = base64.b64encode(os.urandom(18)).decode()
            self.first = f"n=,r={self.nonce}"
            first = ("n,," + self.first).encode()
            self.send(message("p", b"SCRAM-SHA-256\0" + struct.pack(">I", len(first)) + first))
        elif kind == 11:
            server = data.decode()
            parts = dict(piece.split("=", 1) for piece in server.split(","))
            salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
            key = hmac.digest(salted, b"Client Key", "sha256")
            final = f"c=biws,r={parts['r']}"
            text = f"{self.first},{server},{final}".encode()
            signature = hmac.digest(hashlib.sha256(key).digest(), text, "sha256")
            proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
            self.send(message("p", f"{final},p={proof}".encode()))

    def ask(self, text):
        self.send(query(text))
        return self.until("Z")

    def ended(self):
        """Whether the other side has closed, reading what is left."""
        try:
            while True:
                self.receive()
        except (Closed, OSError):
            return True

    def close(self):
        self.socket.close()

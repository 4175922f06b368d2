# SPDX-License-Identifier: Apache-2.0
"""Somebody between the database gate and a real PostgreSQL: passes messages on, and does what he likes with them.

    relay = Relay(server.port)                         # plain
    relay = Relay(server.port, cert=..., key=...)      # ends TLS on both sides
    relay.answer = lambda kind, body: ...              # what of the server's messages goes on: bytes, None = as it is

OWNS its threads and sockets. PROCESS tests. TRUST none. SPEC PostgreSQL 15 manual, chapter 55.
"""
import socket
import ssl
import struct
import threading
import time

from pgraw import SSL_REQUEST, message


def end(line):
    """Wakes the thread that waits for this socket. Closing it would not, and the thread would go on with whatever has
    its number next: os.seteuid() interrupts all threads, and the kernel begins their calls anew."""
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Relay:
    def __init__(self, port, cert=None, key=None):
        self.to = port
        self.tls = None
        self.plain_behind = False  # ends TLS towards the gate, and speaks to the server without
        self.answer = lambda kind, body: None
        self.asked = lambda kind, body, line: None  # each message of the gate; line.sendall() goes to the gate
        self.started = lambda packet, line: None  # the first of the gate
        self.late_s = 0  # how long the server does not hear that the gate has gone
        self.seen = []  # bodies of SASLInitialResponse and the like
        if cert:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(cert, key)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self):
        end(self.socket)
        self.thread.join(10)
        self.socket.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.to))
            if self.tls:
                assert client.recv(8) == SSL_REQUEST
                client.sendall(b"S")
                client = self.tls.wrap_socket(client, server_side=True)
            if self.tls and not self.plain_behind:
                server.sendall(SSL_REQUEST)
                assert server.recv(1) == b"S"
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                server = context.wrap_socket(server)
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()
            self._front(client, server)
        except (OSError, AssertionError, ssl.SSLError, struct.error):
            client.close()

    def _read(self, line, size):
        got = b""
        while len(got) < size:
            more = line.recv(size - len(got))
            if not more:
                raise ConnectionError("the end")
            got += more
        return got

    def _front(self, client, server):
        try:
            first = self._read(client, 4)
            packet = self._read(client, struct.unpack(">I", first)[0] - 4)
            self.started(packet, client)
            server.sendall(first + packet)
            while True:
                head = self._read(client, 5)
                body = self._read(client, struct.unpack(">I", head[1:])[0] - 4)
                kind = chr(head[0])
                if kind == "p":
                    self.seen.append(body)
                self.asked(kind, body, client)
                server.sendall(head + body)
        except (OSError, ConnectionError):
            time.sleep(self.late_s)
            end(server)

    def passes(self, kind, body, line):
        """A message of the server on its way to the gate."""
        instead = self.answer(kind, body)
        line.sendall(message(kind, body) if instead is None else instead)

    def _back(self, server, client):
        try:
            while True:
                head = self._read(server, 5)
                body = self._read(server, struct.unpack(">I", head[1:])[0] - 4)
                self.passes(chr(head[0]), body, client)
        except (OSError, ConnectionError):
            end(client)

# SPDX-License-Identifier: Apache-2.0
"""For tests of the web gate: an upstream that remembers what reached it, and a client that sends what it is told."""

import http.server
import os
import socket
import ssl
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench", "web"))

import gatelib  # noqa: E402,F401

SECRET = b"SECRET-ROW;"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            data = b""
            while True:
                size = int(self.rfile.readline().strip() or b"0", 16)
                data += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except OSError:
                self.server.cut.append(self.path)
                self.close_connection = True

    def serve(self):
        server = self.server
        server.heads.append((self.command, self.path, list(self.headers.items())))
        try:
            body = self.body()
        except (OSError, ValueError):
            self.close_connection = True
            return
        server.bodies.append(len(body))
        path = self.path.split("?")[0]
        if path.endswith("/attachment"):
            self.answer(200, SECRET * 10, Content_Type="text/plain", Content_Disposition="attachment; filename=x")
        elif path.endswith("/download"):
            self.answer(200, SECRET * 130000, Content_Type="text/plain", Content_Disposition="attachment; filename=x")
        elif path.endswith("/zip"):
            self.answer(200, SECRET * 10, Content_Type="application/zip")
        elif path.endswith("/large"):
            self.answer(200, SECRET * 20000, Content_Type="text/plain")
        elif path.endswith("/part"):
            self.answer(206, SECRET * 10, Content_Type="text/plain", Content_Range="bytes 0-109/220000")
        elif path.endswith("/parts"):
            self.answer(206, SECRET * 10, Content_Type="multipart/byteranges; boundary=x")
        elif path.endswith("/squeezed"):
            self.answer(200, SECRET * 10, Content_Type="text/plain", Content_Encoding="gzip")
        elif path.endswith("/set-cookie"):
            self.send_response(200)
            self.send_header("Set-Cookie", "__Host-sallyport=evil; Secure; Path=/")
            self.send_header("Set-Cookie", "app=1")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path.endswith("/wide-cookie"):
            self.answer(200, b"", Set_Cookie="w=1; Domain=office.localhost; Path=/")
        elif path.endswith("/stream"):
            self.stream()
        else:
            self.answer(200, b"fine", Content_Type="text/plain")

    def stream(self):
        """Chunked, without end, 4 KiB at a time."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = (SECRET * 400)[:4096]
        sent = 0
        try:
            while sent < 64 << 20:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                sent += len(chunk)
                time.sleep(0.001)
        except OSError:
            self.server.cut.append(self.path)
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_MOVE = do_COPY = serve

    def log_message(self, *ignored):
        pass


class Upstream(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.heads, self.bodies, self.cut = [], [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def forget(self):
        self.heads.clear()
        self.bodies.clear()
        self.cut.clear()


def connect(gate, app="wiki", device=None, alpn=("http/1.1",), timeout=10, sni=True):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    if device:
        context.load_cert_chain(os.path.join(gate.folder, device + ".pem"), os.path.join(gate.folder, device + ".key"))
    plain = socket.create_connection(("127.0.0.1", gate.port), timeout)
    name = f"{app}.office.localhost" if sni is True else (sni or None)
    return context.wrap_socket(plain, server_hostname=name)


def read_answer(stream, head_only=False):
    """(status, headers with lower-case names, body) of one HTTP/1.1 answer; (0, {}, b"") when none came."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            more = stream.recv(65536)
        except (OSError, ssl.SSLError):
            more = b""
        if not more:
            return 0, {}, data
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for text in lines[1:]:
        name, value = text.split(":", 1)
        headers[name.lower()] = headers.get(name.lower(), "") + value.strip()
    length = int(headers["content-length"]) if "content-length" in headers else None
    while not head_only and (length is None or len(body) < length):
        try:
            more = stream.recv(65536)
        except (OSError, ssl.SSLError):
            break
        if not more:
            break
        body += more
    return int(lines[0].split()[1]), headers, body


def ask(gate, path="/", method="GET", app="wiki", slot=0, device=None, headers=(), body=b"", cookie=None, host=None):
    """One request on a connection of its own."""
    with connect(gate, app, device) as stream:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'{app}.office.localhost:{gate.port}'}"]
        if cookie is None and slot is not None:
            cookie = gate.cookie(slot, app)
        if cookie:
            lines.append("Cookie: " + cookie)
        lines += list(headers)
        if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
            lines.append(f"Content-Length: {len(body)}")
        stream.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return read_answer(stream, head_only=method == "HEAD")


def raw(gate, data, app="wiki", answers=1):
    """Sends bytes as they are; the statuses of the answers until the connection ends or there are enough."""
    with connect(gate, app, timeout=3) as stream:
        try:
            stream.sendall(data)
        except OSError:
            pass
        found = []
        while len(found) < answers:
            status, _, _ = read_answer(stream)
            if status == 0:
                break
            found.append(status)
        return found

# SPDX-License-Identifier: Apache-2.0
"""Live WebSockets through the gate, and how long after a revocation the last byte comes.

The upstream (a process of its own, as on another machine: nice 10) sends a frame to every WebSocket twice a
second. All their sessions are ended at one moment; for each, the time of its last byte or of its end, whichever
is later, is taken by the same steady clock. The client reads the bytes below TLS, so that its own work of
decrypting a thousand streams is not what is measured.
"""

import base64
import hashlib
import multiprocessing
import os
import select
import socket
import ssl
import time

import gatelib

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
EVERY_S = 0.5
FRAME = b"\x82\x04tick"


def answer(head):
    key = [line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")]
    accept = base64.b64encode(hashlib.sha1(key[0] + GUID.encode()).digest())
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")


def serve(listener):
    """Answers handshakes; sends a frame to everyone again and again."""
    os.nice(10)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    clients, upgraded, due = {}, set(), time.monotonic() + EVERY_S
    while True:
        for fd, _ in poll.poll(0.05):
            if fd == listener.fileno():
                client, _ = listener.accept()
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
                continue
            try:
                data = clients[fd].recv(65536)
            except OSError:
                data = b""
            if not data:
                poll.unregister(fd)
                upgraded.discard(fd)
                clients.pop(fd).close()
            elif fd not in upgraded:
                clients[fd].send(answer(data))
                upgraded.add(fd)
        if time.monotonic() >= due:
            due += EVERY_S
            for fd in upgraded:
                try:
                    clients[fd].send(FRAME)
                except OSError:
                    pass  # its end is read above


def open_one(gate, slot, context):
    plain = socket.create_connection(("127.0.0.1", gate.port))
    stream = context.wrap_socket(plain, server_hostname="wiki.office.localhost")
    stream.sendall((f"GET /live HTTP/1.1\r\nHost: wiki.office.localhost:{gate.port}\r\nUpgrade: websocket\r\n"
                    f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
                    f"Cookie: {gate.cookie(slot)}\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = stream.recv(4096)
        if not data:
            break
        head += data
    if b" 101 " not in head.split(b"\r\n")[0]:
        raise RuntimeError("no upgrade: " + head.decode(errors="replace"))
    return stream


def steady_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def wait_for_ends(fds, timeout_s):
    """fd -> when its last byte or its end came; fds that did not end are missing."""
    poll = select.epoll()
    for fd in fds:
        poll.register(fd, select.EPOLLIN | select.EPOLLRDHUP)
    ended, deadline = {}, time.monotonic() + timeout_s
    while len(ended) < len(fds) and time.monotonic() < deadline:
        for fd, _ in poll.poll(0.5):
            try:
                data = os.read(fd, 65536)
            except OSError:
                data = b""
            if not data:
                ended[fd] = steady_us()
                poll.unregister(fd)
    return ended


def revoke_round(count, say="end-all"):
    """Milliseconds from the revocation to the last byte, one a WebSocket."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    upstream = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
    upstream.start()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with gatelib.Gate(listener.getsockname()[1], sessions=count) as gate:
            streams = [open_one(gate, slot, context) for slot in range(count)]
            time.sleep(2 * EVERY_S)
            ended_us = gate.say(say)
            ends = wait_for_ends([stream.fileno() for stream in streams], 30)
            if len(ends) != count:
                raise RuntimeError(f"{count - len(ends)} of {count} WebSockets live on")
            return [max(0, at - ended_us) / 1000 for at in ends.values()]
    finally:
        upstream.terminate()
        upstream.join()
        listener.close()

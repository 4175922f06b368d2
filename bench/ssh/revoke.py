# SPDX-License-Identifier: Apache-2.0
"""How soon SSH connections end when they may not go on: from the order to the last byte of each, seen on the wire
between client and gate, since OpenSSH's clients take a while of their own.
OWNS its processes and sockets. PROCESS bench. TRUST none. SPEC docs/ARCHITECTURE.md "Looking again"."""

import selectors
import socket
import subprocess
import threading
import time

PEOPLE = 10
BATCH = 8
# every third streams about 2 MB a second; the others are terminals that nobody types at
STREAM = "while head -c 10000 /dev/zero; do sleep 0.005; done"


class Wire(threading.Thread):
    """Passes bytes between clients and the gate; when the last of each came from the gate."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.to = port
        self.server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.server.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.server, selectors.EVENT_READ, None)
        self.last, self.ended, self.count = {}, set(), 0
        self.start()

    def _accept(self):
        client, _ = self.server.accept()
        gate = socket.create_connection(("127.0.0.1", self.to))
        number, self.count = self.count, self.count + 1
        for one, other, is_gate in ((client, gate, False), (gate, client, True)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(one, selectors.EVENT_READ, (other, is_gate, number))

    def _pass(self, one, other, is_gate, number):
        try:
            got = one.recv(65536)
        except OSError:
            got = b""
        if is_gate and got:
            self.last[number] = time.monotonic()
        if not got:
            self.selector.unregister(one)
            if is_gate:
                self.ended.add(number)
        try:
            if got:
                other.sendall(got)
            else:
                other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    self._accept()
                else:
                    self._pass(key.fileobj, *key.data)


def _open(office, wire, names, each):
    """Terminals and streams of these people; {name: their numbers on the wire}."""
    clients, numbers = [], {}
    for name in names:
        numbers[name] = []
        for at in range(each):
            words = ["127.0.0.1", STREAM] if at % 3 == 0 else ["-tt", "127.0.0.1", "cat"]
            argv = office.argv(name, "host", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", *words)
            argv[argv.index("-p") + 1] = str(wire.port)
            before = wire.count
            one = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            clients.append(one)
            if at % 3 != 0:
                one.stdin.write(b"x")
                one.stdin.flush()
            if one.stdout.read(1) == b"":
                raise SystemExit("a connection of many was not let in")
            threading.Thread(target=_swallow, args=(one.stdout,), daemon=True).start()
            numbers[name] += list(range(before, wire.count))
    return clients, numbers


def _swallow(file):
    while file.read1(65536):
        pass


def measure(office, count):
    """All are there at once; one person after another signs out. Seconds of each connection."""
    names = [f"leaver{number}" for number in range(PEOPLE)]
    for name in names:
        office.key(name)
    wire = Wire(office.port)
    clients, numbers = _open(office, wire, names, count // PEOPLE)
    took = []
    try:
        time.sleep(1)
        for name in names:
            began = time.monotonic()
            office.olga.post(f"/admin/people/{office.office.people[name].id}/disable", {"why": "leaves"})
            end = time.monotonic() + 10
            while not wire.ended.issuperset(numbers[name]):
                if time.monotonic() > end:
                    raise SystemExit(f"connections of {name} have not ended")
                time.sleep(0.005)
            took += [wire.last[number] - began for number in numbers[name]]
            time.sleep(0.5)
    finally:
        for one in clients:
            one.kill()
            one.wait()
    return took

# SPDX-License-Identifier: Apache-2.0
"""How soon connections at a database end when they may not go on: from the order to the last byte of each.

    took = measure(db)              # {"idle": [seconds, ...], "streaming": [...]}

OWNS nothing. PROCESS tests, bench. TRUST none. SPEC docs/ARCHITECTURE.md "Looking again".
"""
import concurrent.futures
import selectors
import socket
import ssl
import threading
import time

from pgraw import Raw, query

# About 2 MB a second each, without an end: the machine is not what is measured.
STREAM = "SELECT repeat('x', 10000), pg_sleep(0.005) FROM generate_series(1, 1000000)"


def opened(db, name, streaming, password=None):
    one = Raw(db.port)
    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    said = one.log_in(name, "orders-db", password or db.password(name))
    assert said[-1] == ("Z", b"I"), said
    if streaming:
        one.send(query(STREAM))
        one.receive()
    return one


class Readers(threading.Thread):
    """Reads all connections until each has ended; when the last byte of each came."""

    def __init__(self, connections):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.last, self.tails, self.left = {}, {}, len(connections)
        for number, one in enumerate(connections):
            one.socket.setblocking(False)
            self.selector.register(one.socket, selectors.EVENT_READ, number)
            self.tails[number] = b""
        self.start()

    def run(self):
        while self.left:
            for key, _ in self.selector.select(10):
                try:
                    got = key.fileobj.recv(65536)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                except OSError:
                    got = b""
                if got:
                    self.last[key.data] = time.monotonic()
                    self.tails[key.data] = (self.tails[key.data] + got)[-600:]
                else:
                    self.selector.unregister(key.fileobj)
                    self.left -= 1


def percentile(times, part):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * part))]


def measure(db, rounds=10, idle=20, streaming=10):
    """Each round a person of its own signs out, who has that many connections of each kind."""
    took = {"idle": [], "streaming": []}
    for number in range(rounds):
        name = f"leaver{number}"
        db.person(name, ["dba"])
        kinds = ["idle"] * idle + ["streaming"] * streaming
        password = db.password(name)
        with concurrent.futures.ThreadPoolExecutor(4) as openers:
            connections = list(openers.map(lambda kind: opened(db, name, kind == "streaming", password), kinds))
        readers = Readers(connections)
        time.sleep(0.3)
        began = time.monotonic()
        db.people[name].sign_out()
        readers.join(20)
        assert readers.left == 0
        for at, kind in enumerate(kinds):
            took[kind].append(readers.last[at] - began)
            assert kind == "streaming" or b"57P01" in readers.tails[at]
        for one in connections:
            one.close()
    return took

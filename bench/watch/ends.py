# SPDX-License-Identifier: Apache-2.0
"""What the figures of cuts share: an application, SSH clients whose sockets are seen, and the moment when each socket
got its first byte or its end.

OWNS its processes. PROCESS bench. TRUST none. SPEC bench/watch/README.md.
"""
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Upstream:
    """bench/watch/upstream.py, in a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "upstream.py")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.server_port = int(self.process.stdout.readline())

    def shutdown(self):
        self.process.stdin.close()
        self.process.wait()


def drained(stream):
    stream.settimeout(0.05)
    try:
        while stream.recv(1 << 16):
            pass
    except OSError:
        return stream
    return stream


class Taking(threading.Thread):
    """The socket of the next client."""

    def __init__(self, listener):
        super().__init__(daemon=True)
        self.listener, self.socket = listener, None
        self.start()

    def run(self):
        one, _ = self.listener.accept()
        with one:
            _, fds, _, _ = socket.recv_fds(one, 1, 1)
            self.socket = socket.socket(fileno=fds[0])
            one.send(b"s")


class Ends:
    """A process that does nothing but look when each descriptor got its first byte or its end. It goes before all others:
    hundreds of clients and servers end at that moment, and it is the sockets that are measured, not the queue for a
    processor that the measuring stands in."""

    def __init__(self, many, patience_s=90):
        self.count = len(many)
        self.reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self.look([one.fileno() for _, one in many], writer, patience_s))
        os.close(writer)

    @staticmethod
    def look(fds, writer, patience_s):
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except OSError:
            pass
        poll, at = select.epoll(), {}
        for fd in fds:
            poll.register(fd, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT)
        until = time.monotonic() + patience_s
        while len(at) < len(fds) and time.monotonic() < until:
            for fd, _ in poll.poll(1):
                at[fd] = time.monotonic()
        os.write(writer, json.dumps(at).encode())
        return 0

    def join(self):
        with os.fdopen(self.reader, "rb") as told:
            at = {int(fd): when for fd, when in json.loads(told.read()).items()}
        os.waitpid(self.pid, 0)
        return at


def stand_still(shells, awake=False):
    """Clients are other machines: 200 of them that wake, print and end are no part of the gate, and there is no room for
    them on its cores. Their sockets are as alive as before."""
    for one in [] if awake else shells:
        one.send_signal(signal.SIGSTOP)


def percentile(times, part):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * part))]


class Door:
    """Where the sockets of SSH clients come to (fdpass.py)."""

    def __init__(self, whole):
        self.whole, self.path = whole, os.path.join(whole.office.dir, "bench.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)

    def shell(self, name):
        """(a copy of the client's socket, the client)"""
        taking = Taking(self.listener)
        shell = self.whole.shell(name, "-o", "ProxyUseFdpass=yes", "-o",
                                 f"ProxyCommand={sys.executable} {HERE}/fdpass.py %h %p {self.path}")
        taking.join(30)
        return taking.socket, shell

    def close(self):
        self.listener.close()

# SPDX-License-Identifier: Apache-2.0
"""Terminals of OpenSSH's client that are typed at: one whose echo is timed, or many at a human rate.
OWNS their processes. PROCESS bench. TRUST none."""

import os
import random
import select
import selectors
import subprocess
import time

BATCH = 8  # clients that log in at once


def percentile(times, part):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * part))]


class Terminal:
    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.key = self.process.stdin.fileno()
        self.shown = self.process.stdout.fileno()
        self._wait()

    def _wait(self, seconds=120):
        os.write(self.key, b"x")
        if not select.select([self.shown], [], [], seconds)[0] or os.read(self.shown, 64) == b"":
            raise SystemExit(f"a terminal did not come: {' '.join(self.process.args)}")

    def echo_s(self):
        began = time.perf_counter()
        os.write(self.key, b"x")
        os.read(self.shown, 64)
        return time.perf_counter() - began

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Terminals:
    def __init__(self, argvs):
        self.all = []
        try:
            for at in range(0, len(argvs), BATCH):
                many = [Waiting(argv) for argv in argvs[at:at + BATCH]]
                self.all += many
                for one in many:
                    one.come()
        except BaseException:
            self.end()
            raise

    def type_for(self, seconds, keys_a_second):
        """Each is typed at so often, not in step; how many keys that were, each seen again."""
        selector = selectors.DefaultSelector()
        for one in self.all:
            selector.register(one.shown, selectors.EVENT_READ)
        pause = 1 / keys_a_second
        now = time.monotonic()
        due = [(now + random.random() * pause, one) for one in self.all]
        due.sort(key=lambda entry: entry[0])
        end, typed, shown, at = now + seconds, 0, 0, 0
        while at < len(due) or (shown < typed and time.monotonic() < end + 5):
            now = time.monotonic()
            while at < len(due) and due[at][0] <= now:
                os.write(due[at][1].key, b"x")
                typed += 1
                if due[at][0] + pause < end:
                    due.append((due[at][0] + pause, due[at][1]))
                at += 1
            for key, _ in selector.select(0.002):
                shown += len(os.read(key.fd, 65536))
        selector.close()
        if shown < typed:
            raise SystemExit(f"of {typed} keys only {shown} were shown")
        return typed

    def end(self):
        for one in self.all:
            one.process.kill()
        for one in self.all:
            one.end()


class Waiting(Terminal):
    """Begun; there when it has come()."""

    def _wait(self, seconds=120):
        pass

    def come(self):
        super()._wait()

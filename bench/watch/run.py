#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The kill switch over live sessions at all three gates of a whole office: from the order to the end of each.

The end is the first byte (or the end) that the client's socket or pipe gets after the order, taken below TLS: its own
work of a thousand connections is not what is measured. SSH connections are OpenSSH's clients, a process each, so their
figure holds their own end too.

OWNS an office. PROCESS bench. TRUST none. SPEC docs/INCIDENTS.md "The kill switch".
"""
import argparse
import datetime
import json
import os
import select
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

import conftest  # noqa: E402,F401  names under .localhost are this machine
import webgatelib  # noqa: E402
from wholelib import WholeOffice  # noqa: E402

RESULTS = os.path.join(ROOT, "bench", "results", "watch.json")
BOUND_MS = 100
SETTLE_S = 2


def hold(handler):
    """An answer that has begun and does not end: nothing moves until somebody cuts."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/plain")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
    try:
        handler.rfile.read(1)
    except OSError:
        pass
    handler.close_connection = True


def drained(stream):
    stream.settimeout(0.05)
    try:
        while stream.recv(1 << 16):
            pass
    except OSError:
        return stream
    return stream


def at_work(whole, options):
    """[(gate, what has a descriptor)], and the processes."""
    many = [("web", drained(whole.web("ann"))) for _ in range(options.web)]
    for i in range(options.sql):
        if i % 100 == 0:
            password = whole.password("ann")
        many.append(("sql", whole.sql("ann", password).socket))
    shells = [whole.shell("ann") for _ in range(options.ssh)]
    return many + [("ssh", one.stdout) for one in shells], shells


class Ends(threading.Thread):
    def __init__(self, many):
        super().__init__(daemon=True)
        self.poll, self.at, self.left = select.epoll(), {}, len(many)
        for _, one in many:
            self.poll.register(one.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT)
        self.start()

    def run(self):
        until = time.monotonic() + 60
        while len(self.at) < self.left and time.monotonic() < until:
            for fd, _ in self.poll.poll(1):
                self.at[fd] = time.monotonic()


def percentile(times, part):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * part))]


def measure(whole, options):
    many, shells = at_work(whole, options)
    whole.fresh()
    time.sleep(SETTLE_S)
    ends = Ends(many)
    time.sleep(0.2)
    assert not ends.at, f"{len(ends.at)} ended before anybody cut"
    began = time.monotonic()
    cut = whole.sam.post("/cuts", {"kind": "everything", "reason": "measured"})
    answered = time.monotonic() - began
    ends.join(60)
    assert len(ends.at) == len(many), f"{len(many) - len(ends.at)} were not cut"
    whole.sam.post(f"/cuts/{cut['id']}/undo", {"reason": "measured"})
    for one in shells:
        one.kill()
        one.wait()
    took = {"answer": [1000 * answered]}
    for gate, one in many:
        took.setdefault(gate, []).append(1000 * (ends.at[one.fileno()] - began))
        took.setdefault("all", []).append(took[gate][-1])
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--web", type=int, default=400)
    parser.add_argument("--sql", type=int, default=400)
    parser.add_argument("--ssh", type=int, default=200)
    options = parser.parse_args()
    threading.stack_size(256 * 1024)
    webgatelib.Handler.stream = hold
    whole = WholeOffice(settings={"max_connections": options.sql + 40})
    try:
        took = measure(whole, options)
    finally:
        whole.close()
    numbers = {"when": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
               "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    bad = False
    for name, times in took.items():
        p99 = percentile(times, 0.99)
        is_bound = name == "all"
        verdict = "" if not is_bound else ("ok" if p99 <= BOUND_MS else "short")
        bad = bad or verdict == "short"
        print(f"watch.kill_everything_ms.{name}.p99 {p99:.1f} {BOUND_MS if is_bound else '-'} {verdict}".rstrip())
        numbers[name] = {"count": len(times), "median_ms": round(percentile(times, 0.5), 1), "p99_ms": round(p99, 1),
                         "longest_ms": round(max(times), 1)}
    with open(RESULTS, "w", encoding="utf-8") as file:
        json.dump(numbers, file, indent=1)
        file.write("\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

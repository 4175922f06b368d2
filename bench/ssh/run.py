#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-ssh: the SSH gate with every channel judged and recorded, against `ssh -J` through a jump sshd, both in
front of the same machines and with OpenSSH's own client.

Ours is a whole office (sallyport run) under users of its own, a person with a registered key, `record` on: what runs
waits for the disk. The jump host is Debian's sshd, logged in to as root, which is its cheapest. Key exchange, ciphers
and kinds of host keys are the same on both. Rounds are short and interleaved; a figure is the median over the rounds of
the ratio within a round. Beside it stands the processor time of what is in between (all processes of the gate, core,
vault, ledger and watch; all of the jump sshd): it has no bound, but other work on the machine moves it less. Lines: name value
bound ok|short; all numbers go to bench/results/ssh.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from sides import CIPHERS, Sides, settle
from terminals import Terminal, Terminals, percentile
import revoke

RESULTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "results", "ssh.json")
MIB = 1 << 20


class Report:
    def __init__(self):
        self.bad = False
        self.numbers = {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cores": os.cpu_count()}

    def line(self, name, value, bound, good):
        self.bad = self.bad or not good
        print(f"{name} {value} {bound} {'ok' if good else 'short'}", flush=True)

    def keep(self, name, **numbers):
        self.numbers[name] = {key: round(value, 4) for key, value in numbers.items()}

    def say(self, text):
        print("  " + text, flush=True)


def done(argv, **more):
    told = subprocess.run(argv, check=False, stderr=subprocess.PIPE, **more)
    if told.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: {told.returncode} {told.stderr.decode()}")


def one_run(side, argv, **more):
    """(seconds, processor seconds of the side)."""
    settle()
    with side.spent() as spent:
        began = time.monotonic()
        done(argv, **more)
        took = time.monotonic() - began
        settle()
    return took, spent.seconds


def interleaved(sides, rounds, run):
    """{name: [what run(side) gave, ...]}; who is first changes."""
    seen = {side.name: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            seen[side.name].append(run(side))
    return seen


def median_ratio(one, other):
    return statistics.median(a / b for a, b in zip(one, other))


# ---- bulk

def transfer(report, bench, name, bound, mebibytes, rounds, run):
    """run(side) moves so many; its throughput against that of `ssh -J`."""
    seen = interleaved([bench.jump, bench.gate], rounds, run)
    speed = {side: [mebibytes / took for took, _ in runs] for side, runs in seen.items()}
    cost = {side: statistics.median(spent / mebibytes * 1e6 for _, spent in runs) for side, runs in seen.items()}
    ratio = median_ratio(speed["gate"], speed["jump"])
    report.line(f"ssh.{name}.over_jump", f"{ratio:.2f}", f">={bound}", ratio >= bound)
    medians = {side: statistics.median(runs) for side, runs in speed.items()}
    report.say(f"{medians['gate']:.0f} against {medians['jump']:.0f} MiB/s; processor time a MiB "
               f"{cost['gate']:.0f} against {cost['jump']:.0f} us ({cost['gate'] / cost['jump']:.2f})")
    report.keep(name, ratio=ratio, gate_mib_s=medians["gate"], jump_mib_s=medians["jump"], gate_us_a_mib=cost["gate"],
                jump_us_a_mib=cost["jump"])


def measure_bulk(report, bench, options, blob):
    for cipher in CIPHERS:
        def down(side, cipher=cipher):
            return one_run(side, side.argv(cipher, f"cat {blob.path}"), stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)

        def up(side, cipher=cipher):
            with open(blob.path, "rb") as file:
                return one_run(side, side.argv(cipher, "cat >/dev/null"), stdin=file, stdout=subprocess.DEVNULL)

        for direction, run in (("down", down), ("up", up)):
            transfer(report, bench, f"bulk.{cipher}.{direction}", 1.15, options.mebibytes, options.rounds, run)


def measure_sftp(report, bench, options, blob):
    for name, command in (("get", f"get {blob.path} /dev/null\n"), ("put", f"put {blob.path} /dev/null\n")):
        def run(side, command=command):
            return one_run(side, side.argv("chacha", options=["-q", "-b", "-"], program="sftp"), input=command.encode(),
                           stdout=subprocess.DEVNULL)
        transfer(report, bench, f"sftp.{name}", 1.0, options.mebibytes, options.rounds, run)


# ---- set-up

def measure_setup(report, bench, options):
    """Connect, log in, `true`, close."""
    a_round = 4

    def run(side):
        settle(0.1)
        with side.spent() as spent:
            took = []
            for _ in range(a_round):
                began = time.monotonic()
                done(side.argv("chacha", "true"), stdin=subprocess.DEVNULL)
                took.append(time.monotonic() - began)
            settle(0.1)
        return statistics.median(took), spent.seconds / a_round

    seen = interleaved([bench.jump, bench.gate], max(options.rounds * 2, 10), run)
    ratio = median_ratio([t for t, _ in seen["gate"]], [t for t, _ in seen["jump"]])
    took = {side: statistics.median(t for t, _ in runs) * 1000 for side, runs in seen.items()}
    spent = {side: statistics.mean(s for _, s in runs) * 1000 for side, runs in seen.items()}
    report.line("ssh.setup_time_of_jump", f"{ratio:.2f}", "<=0.6", ratio <= 0.6)
    report.say(f"{took['gate']:.0f} against {took['jump']:.0f} ms; processor time a set-up {spent['gate']:.1f} against "
               f"{spent['jump']:.1f} ms ({spent['gate'] / spent['jump']:.2f})")
    report.keep("setup", ratio=ratio, gate_ms=took["gate"], jump_ms=took["jump"], gate_processor_ms=spent["gate"],
                jump_processor_ms=spent["jump"])


# ---- terminals

def measure_keys(report, bench, options):
    """A key and its echo, through the gate against straight to the machine."""
    bench.direct = type(bench.jump)("direct", bench.jump.config, lambda: [])
    ways = {side.name: Terminal(side.argv("chacha", "cat", options=["-tt"])) for side in (bench.gate, bench.direct)}
    took = {name: [] for name in ways}
    try:
        for number in range(options.keys):
            for name in ways if number % 2 == 0 else reversed(ways):
                took[name].append(ways[name].echo_s() * 1000)
                time.sleep(0.005)
    finally:
        for one in ways.values():
            one.end()
    added = {part: percentile(took["gate"], part) - percentile(took["direct"], part) for part in (0.5, 0.99)}
    report.line("ssh.key_added_ms.median", f"{added[0.5]:.2f}", "<=0.3", added[0.5] <= 0.3)
    report.line("ssh.key_added_ms.p99", f"{added[0.99]:.2f}", "<=2", added[0.99] <= 2)
    report.keep("key", median_ms=added[0.5], p99_ms=added[0.99], gate_ms=percentile(took["gate"], 0.5),
                direct_ms=percentile(took["direct"], 0.5))


def measure_crowd(report, bench, options):
    """Many terminals typed at: processor time of what is in between; on the gate's side their memory as well."""
    spent, typed = {}, {}
    for side in (bench.gate, bench.jump):
        before = bench.worker_bytes()
        crowd = Terminals([side.argv("chacha", "cat", options=["-tt"]) for _ in range(options.sessions)])
        try:
            if side is bench.gate:
                settle(2)
                each = (bench.worker_bytes() - before) / options.sessions
                report.line("ssh.idle_session_kib", f"{each / 1024:.1f}", "<=100", each <= 100 * 1024)
                report.keep("idle", sessions=options.sessions, kib_each=each / 1024)
            settle(2)
            with side.spent() as used:
                typed[side.name] = crowd.type_for(options.typing, 2)
            spent[side.name] = used.seconds
            settle(2)
            with side.spent() as used:
                time.sleep(5)
            report.say(f"{side.name}: {options.sessions} terminals that nobody types at: {used.seconds / 5 * 100:.2f} % "
                       "of a core")
        finally:
            crowd.end()
        settle(2)
    per_key = {name: spent[name] / typed[name] * 1e6 for name in spent}
    ratio = per_key["gate"] / per_key["jump"]
    report.line("ssh.typing_processor_of_jump", f"{ratio:.2f}", "<=0.5", ratio <= 0.5)
    report.say(f"{options.sessions} terminals, 2 keys a second each: {per_key['gate']:.0f} against {per_key['jump']:.0f} "
               f"us of processor a key; {spent['gate'] / options.typing * 100:.1f} against "
               f"{spent['jump'] / options.typing * 100:.1f} % of a core")
    report.keep("typing", sessions=options.sessions, ratio=ratio, gate_us_a_key=per_key["gate"],
                jump_us_a_key=per_key["jump"])


# ---- revoking

def measure_revoked(report, bench, options):
    times = revoke.measure(bench.office, options.revoked)
    p99_ms = percentile(times, 0.99) * 1000
    report.keep("revoked", connections=len(times), p99_ms=p99_ms, median_ms=percentile(times, 0.5) * 1000)
    report.line("ssh.revoked_to_last_byte_ms.p99", f"{p99_ms:.0f}", "<=100", p99_ms <= 100)


class Blob:
    """A sparse file in memory."""

    def __init__(self, mebibytes):
        self.path = f"/dev/shm/sp-bench-ssh-{os.getpid()}"
        with open(self.path, "wb") as file:
            file.truncate(mebibytes * MIB)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.unlink(self.path)


PARTS = {"crowd": measure_crowd, "bulk": measure_bulk, "sftp": measure_sftp, "setup": measure_setup, "keys": measure_keys,
         "revoked": measure_revoked}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--typing", type=int, default=20, help="seconds")
    parser.add_argument("--revoked", type=int, default=300)
    parser.add_argument("--only", choices=list(PARTS), action="append")
    options = parser.parse_args()
    report = Report()
    bench = Sides()
    try:
        with Blob(options.mebibytes) as blob:
            for name, measure in PARTS.items():
                if options.only is None or name in options.only:
                    measure(report, bench, options, *([blob] if name in ("bulk", "sftp") else []))
                if options.only is None:  # after each part: a run that is broken off keeps what it has measured
                    with open(RESULTS, "w", encoding="utf-8") as file:
                        json.dump(report.numbers, file, indent=1)
                        file.write("\n")
    finally:
        bench.close()
    sys.exit(1 if report.bad else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The kill switch over live sessions at all three gates of a whole office: from the order to the end of each.

The end is the first byte (or the end) that the client's socket gets after the order, taken below TLS by a process
of its own: neither the clients' work of a thousand connections nor the application's is what is measured. SSH
connections are OpenSSH's clients, whose sockets we hold a copy of; they stand still from before the order on, as
clients on other machines would not be in the gate's way.

OWNS an office. PROCESS bench. TRUST none. SPEC docs/INCIDENTS.md "The kill switch".
"""
import argparse
import datetime
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

import conftest  # noqa: E402,F401  names under .localhost are this machine
from ends import Door, Ends, Upstream, drained, percentile, stand_still  # noqa: E402
from wholelib import WholeOffice  # noqa: E402

RESULTS = os.path.join(ROOT, "bench", "results", "watch.json")
BOUND_MS = 100
SETTLE_S = 2


def at_work(whole, options):
    """[(gate, what has a descriptor)], and the processes."""
    many = [("web", drained(whole.web("ann"))) for _ in range(options.web)]
    for i in range(options.sql):
        if i % 100 == 0:
            password = whole.password("ann")
        many.append(("sql", whole.sql("ann", password).socket))
    door, shells = Door(whole), []
    for _ in range(options.ssh):
        line, shell = door.shell("ann")
        shells.append(shell)
        many.append(("ssh", line))
    door.close()
    return many, shells


def measure(whole, options):
    many, shells = at_work(whole, options)
    whole.fresh()
    time.sleep(SETTLE_S)
    ends = Ends(many)
    stand_still(shells, options.awake)
    time.sleep(0.5)
    began = time.monotonic()
    cut = whole.sam.post("/cuts", {"kind": "everything", "reason": "measured"})
    answered = time.monotonic() - began
    at = ends.join()
    assert len(at) == len(many), f"{len(many) - len(at)} were not cut"
    assert min(at.values()) >= began, "some ended before anybody cut"
    whole.sam.post(f"/cuts/{cut['id']}/undo", {"reason": "measured"})
    for one in shells:  # also those that stand still
        one.kill()
        one.wait()
    took = {"answer": [1000 * answered]}
    for gate, one in many:
        took.setdefault(gate, []).append(1000 * (at[one.fileno()] - began))
        took.setdefault("all", []).append(took[gate][-1])
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--web", type=int, default=400)
    parser.add_argument("--sql", type=int, default=400)
    parser.add_argument("--ssh", type=int, default=200)
    parser.add_argument("--awake", action="store_true", help="SSH's clients share the machine with the gate")
    options = parser.parse_args()
    whole = WholeOffice(settings={"max_connections": options.sql + 40},
                        extra="db_connections_each: 20000\nssh_connections_each: 20000\n"
                              "ssh_log_ins_each: 20000\nssh_log_ins_address: 20000\n",
                        upstream=Upstream())
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

# SPDX-License-Identifier: Apache-2.0
"""From what somebody does to the end of his sessions, with 10,000 other events a second on the ledger.

Somebody tries to destroy a table and is refused; a Detection over refusals there speaks; its Plan, automatic, locks the person; all of
his sessions end. The clock runs from before his statement is sent to the first byte (or the end) at the sockets of his
answer at the application, his other connection at the database, and his connection at the machine, seen as in run.py.
Everything is real: gate, ledger, watch, core, gates. The other events come from bench_stream, which attaches to the
ledger as a gate does.

usage: bench/watch/answer.py [--people N] [--rate EVENTS_A_SECOND]      prints lines `name value bound ok|short`
"""
import argparse
import datetime
import json
import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

import conftest  # noqa: E402,F401  names under .localhost are this machine
from ends import Door, Ends, Upstream, drained, percentile, stand_still  # noqa: E402
from officelib import BUILD, wait_for  # noqa: E402
from pgraw import query  # noqa: E402
from wholelib import WholeOffice  # noqa: E402

RESULTS = os.path.join(ROOT, "bench", "results", "watch-answer.json")
STREAM = os.path.join(BUILD, "bench", "watch", "bench_stream")
BOUND_MS = 1000
PAUSE_S = 0.4
DOCUMENTS = """
---
kind: Detection
name: tries-to-destroy
title: { en: Tries to destroy, zh: 企图破坏 }
severity: critical
over: { kinds: decision, verdicts: deny, gates: db, known: true }
by: person
count: { at_least: 1, within: 1h }
quiet: 1h
plan: out
---
kind: Plan
name: out
mode: automatic
steps:
  - { name: lock, do: lock_person }
  - { name: incident, do: open_incident }
  - { name: evidence, do: collect_evidence }
"""


class Stream:
    """Other people's events, until it is told to end."""

    def __init__(self, office, rate):
        uid = office.uids["web"] if office.uids else None
        self.process = subprocess.Popen([STREAM, os.path.join(office.run_dir, "ledger.sock"), str(rate)], user=uid,
                                        group=uid, extra_groups=[] if uid else None, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def end(self):
        """(events that were written, of these lost, seconds)"""
        said, _ = self.process.communicate("", 30)
        assert self.process.returncode == 0, "the stream ended early"
        written, lost, seconds = said.split()
        return int(written), int(lost), float(seconds)


def person_at_work(whole, door, name):
    """What he has open: {gate: socket}, the connection on which he will ask for too much, his SSH client."""
    password = whole.password(name)
    line, shell = door.shell(name)
    return ({"web": drained(whole.web(name)), "sql": whole.sql(name, password).socket, "ssh": line},
            whole.sql(name, password), shell)


def measure(whole, options):
    door, people = Door(whole), []
    for number in range(options.people):
        people.append(person_at_work(whole, door, f"insider{number}"))
        stand_still([people[-1][2]])
    door.close()
    ends = Ends([(gate, one) for opened, _, _ in people for gate, one in opened.items()], 10 + 2 * options.people)
    stream = Stream(whole.office, options.rate)
    time.sleep(2)
    began = []
    for _, asking, _ in people:
        began.append(time.monotonic())
        asking.send(query("DROP TABLE secrets"))
        time.sleep(PAUSE_S + random.random() * PAUSE_S / 4)
    time.sleep(1)
    watch = whole.sam.get("/detections")["watch"]
    written, lost, seconds = stream.end()
    at = ends.join()
    for _, _, shell in people:
        shell.kill()
        shell.wait()
    took = {}
    for when, (opened, _, _) in zip(began, people):
        for gate, one in opened.items():
            assert one.fileno() in at, f"a session at {gate} was not cut"
            took.setdefault(gate, []).append(1000 * (at[one.fileno()] - when))
            took.setdefault("all", []).append(took[gate][-1])
    assert min(took["all"]) > 0, "a session ended before anybody asked for anything"
    assert lost == 0, f"{lost} events of the stream were lost"
    return took, {"events_a_second": round(written / seconds), "watch_lag_ms": watch["lag_ms"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--rate", type=int, default=10000)
    options = parser.parse_args()
    whole = WholeOffice(more=DOCUMENTS, upstream=Upstream())
    try:
        wait_for("the detection", 10, lambda: "tries-to-destroy" in
                 [one["name"] for one in whole.sam.get("/detections")["detections"]])
        took, numbers = measure(whole, options)
    finally:
        whole.close()
    numbers.update({"when": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "cores": os.cpu_count(), "load": os.getloadavg()[0]})
    bad = False
    print(f"watch.event_to_cut.events_a_second {numbers['events_a_second']} -")
    for name, times in took.items():
        p99 = percentile(times, 0.99)
        verdict = "" if name != "all" else ("ok" if p99 <= BOUND_MS else "short")
        bad = bad or verdict == "short"
        print(f"watch.event_to_cut_ms.{name}.p99 {p99:.1f} {BOUND_MS if verdict else '-'} {verdict}".rstrip())
        numbers[name] = {"count": len(times), "median_ms": round(percentile(times, 0.5), 1), "p99_ms": round(p99, 1),
                         "longest_ms": round(max(times), 1)}
    with open(RESULTS, "w", encoding="utf-8") as file:
        json.dump(numbers, file, indent=1)
        file.write("\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""A notice to 10,000 people by e-mail, handed to a local SMTP server: how long it takes, and whether the list of who
was not reached is exact. Every 100th mailbox is refused, every 500th person has none.

usage: bench/watch/notices.py [PEOPLE]   [--json]   prints a line `name value bound ok|short`, or one JSON object; exit 1 when a bound is missed.
With 10,000 people the result is kept in bench/results/watch-notices.json.
"""
import datetime
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "system"))
from noticelib import Local, add_people  # noqa: E402
from officelib import Office, free_port  # noqa: E402

BOUND_S = 60
RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "results", "watch-notices.json")
SINK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sink.py")
DOCUMENTS = """\
kind: Channel
name: mail
via: email
address: 127.0.0.1:%d
tls: loopback
from: gate@office.example
"""


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    count = next((int(word) for word in sys.argv[1:] if word.isdigit()), 10000)
    names = [f"p{i:05}" for i in range(count)]
    refused = set(names[7::100])
    silent = set(names[3::500])
    port = free_port()
    sink = subprocess.Popen([sys.executable, SINK, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    sink.stdin.write("".join(f"{name}@staff.example\n" for name in refused))
    sink.stdin.close()
    sink.stdout.readline()
    office = Office(documents={"office.yaml": DOCUMENTS % port}).start()
    try:
        local = Local(office.run_dir)
        add_people(office, [name for name in names if name not in silent])
        add_people(office, sorted(silent), mail="")
        roles = {role: office.pid(role) for role in ("core", "courier")}
        before = {role: cpu_s(pid) for role, pid in roles.items()}
        began = time.monotonic()
        number = local.send("phishing-warning", values={"what": "a mail", "signs": "its sender", "contact": "us"})
        done = local.finished(number, 10 * BOUND_S, step=0.5)
        seconds = time.monotonic() - began
        unreached = {one["person"] for one in local.people(number, "not_reached")}
        server_cpu_s = cpu_s(sink.pid)
        sink.terminate()
        to = [box.strip().split("@")[0] for box in sink.stdout]
        exact = unreached == refused | silent and sorted(to) == sorted(set(names) - refused - silent)
        spent = {role: round(cpu_s(pid) - before[role], 2) for role, pid in roles.items()}
        result = {"figure": "notice to 10,000 people by e-mail", "people": count, "seconds": round(seconds, 2),
                  "bound_s": BOUND_S, "unreached": len(unreached), "unreached_exact": exact, "counts": done["counts"],
                  "cpu_s": spent, "server_cpu_s": round(server_cpu_s, 2)}
        good = exact and seconds <= BOUND_S
        result.update({"when": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                       "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)})
        if count == 10000:
            with open(RESULTS, "w", encoding="utf-8") as file:
                json.dump(result, file, indent=1)
                file.write("\n")
        print(json.dumps(result) if "--json" in sys.argv else
              f"notices/mail-{count} {seconds:.1f}s {BOUND_S}s {'ok' if good else 'short'}")
        return 0 if good else 1
    finally:
        sink.kill()
        sink.wait()
        office.close()


if __name__ == "__main__":
    sys.exit(main())

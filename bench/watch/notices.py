# SPDX-License-Identifier: Apache-2.0
"""A notice to 10,000 people by e-mail, handed to a local SMTP server: how long it takes, and whether the list of who
was not reached is exact. Every 100th mailbox is refused, every 500th person has none.

usage: bench/watch/notices.py [PEOPLE]   prints one JSON object; exit 1 when a bound is missed
"""
import json
import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "system"))
from noticelib import Local, MailServer, add_people  # noqa: E402
from officelib import Office  # noqa: E402

BOUND_S = 60
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
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    names = [f"p{i:05}" for i in range(count)]
    refused = set(names[7::100])
    silent = set(names[3::500])
    smtp = MailServer(refuse=lambda address: "550 no such user" if address[:6] in refused else None)
    office = Office(documents={"office.yaml": DOCUMENTS % smtp.port}).start()
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
        to = [mail.to.split("@")[0] for mail in smtp.mails]
        exact = unreached == refused | silent and sorted(to) == sorted(set(names) - refused - silent)
        spent = {role: round(cpu_s(pid) - before[role], 2) for role, pid in roles.items()}
        result = {"figure": "notice to 10,000 people by e-mail", "people": count, "seconds": round(seconds, 2),
                  "bound_s": BOUND_S, "unreached": len(unreached), "unreached_exact": exact, "counts": done["counts"],
                  "cpu_s": spent, "server_cpu_s": round(resource.getrusage(resource.RUSAGE_SELF).ru_utime, 2)}
        print(json.dumps(result))
        return 0 if exact and seconds <= BOUND_S else 1
    finally:
        smtp.close()
        office.close()


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-db: the database gate with every statement judged, decided and in the ledger, against pgbouncer in
session mode, both in front of the same PostgreSQL.

Ours is a whole office (sallyport run), a person signed in with a fresh password; pgbouncer trusts whoever comes.
pgbench -S with 16 clients; client, pooler, server and ledger share this machine's cores. Rounds are short and
interleaved; a figure is the median over the rounds of the ratio within a round. The first seconds of a run do not count
(WARM_S): ours are new connections with new server processes behind them, pgbouncer's server processes are those of the
round before. Beside each throughput stands the processor time a transaction of each side (all processes of the gate with
the ledger and what follows it; pgbouncer): it has no bound, but other work on the machine moves it less. Lines: name
value bound ok|short; all numbers go to bench/results/db.json, each part with its date, machine and commit.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from dblib import ACCOUNT_PASSWORD, DOCUMENTS, DatabaseOffice  # noqa: E402
from officelib import descendants, free_port  # noqa: E402
from pgraw import Raw  # noqa: E402
import results  # noqa: E402
import revoked  # noqa: E402

RESULTS = os.path.join(ROOT, "bench", "results", "db.json")
CLIENTS = 16
WARM_S = 2  # a new server process meets most pages of the tables for the first time

BOUNCER = """[databases]
orders = host=127.0.0.1 port={server} dbname=orders user=op_dba password='{password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = session
max_client_conn = 1000
default_pool_size = 200
{tls}
"""
BOUNCER_TLS = """client_tls_sslmode = require
client_tls_cert_file = {folder}/server.pem
client_tls_key_file = {folder}/server.key
server_tls_sslmode = verify-full
server_tls_ca_file = {folder}/ca.pem
"""


# The same database once more, as a resource in which one column of `people` is masked for whoever reads it.
MASKED = """---
kind: Resource
name: masked-db
operator: company
class: internal
postgres:
  address: 127.0.0.1:%(port)d
  tls: %(tls)s
  %(ca)s
  databases: [orders]
  accounts: [{ roles: [dba], as: op_dba }]
  parts:
    - table: public.people
      columns: [{ name: phone, mask: mobile, tags: [personal-info] }]
---
kind: Rule
name: operators see masked people
who: { roles: [dba] }
to: { resources: [masked-db] }
may: [connect, read]
with: { mask: [personal-info] }
"""
PEOPLE = 10000
PEOPLE_SQL = (f"CREATE TABLE people AS SELECT n AS id, 'name ' || n AS name, '138' || lpad(n::text, 8, '0') AS phone "
              f"FROM generate_series(1, {PEOPLE}) n; ALTER TABLE people ADD PRIMARY KEY (id); ANALYZE people")
PEOPLE_SCRIPT = f"\\set id random(1, {PEOPLE})\nSELECT id, name, phone FROM people WHERE id = :id;\n"


class Bouncer:
    def __init__(self, server, tls):
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix="sp-bouncer-", dir="/tmp")
        for name in ("server.pem", "server.key", "ca.pem"):
            shutil.copy(os.path.join(server.dir, name), self.dir)
        ini = os.path.join(self.dir, "pgbouncer.ini")
        with open(ini, "w", encoding="utf-8") as file:
            file.write(BOUNCER.format(server=server.port, port=self.port, folder=self.dir, password=ACCOUNT_PASSWORD,
                                      tls=BOUNCER_TLS.format(folder=self.dir) if tls else ""))
        with open(os.path.join(self.dir, "users.txt"), "w", encoding="utf-8") as file:
            file.write('"op_dba" ""\n')
        for where in [self.dir] + [os.path.join(self.dir, name) for name in os.listdir(self.dir)]:
            os.chown(where, server.user.pw_uid, server.user.pw_gid)
        become = {"user": server.user.pw_uid, "group": server.user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        self.process = subprocess.Popen(["/usr/sbin/pgbouncer", "-q", ini], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                                        start_new_session=True, **become)

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)


def processor_s(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except OSError:
            continue
    return total / 1e9


class Side:
    """One way to the database."""

    def __init__(self, name, environment, pids):
        self.name, self.environment, self.pids = name, environment, pids

    def pgbench(self, mode, seconds, clients, what, on_second=lambda at_s, tps: None):
        """on_second is called as each second ends, with the time since the start and that second's transactions."""
        child = subprocess.Popen(["pgbench", *what, "-n", "-c", str(clients), "-j", str(min(2, clients)), "-T", str(seconds),
                                  "-P", "1", "-M", mode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=self.environment())
        said = ""
        for line in child.stderr:
            said += line
            found = re.match(r"progress: ([0-9.]+) s, ([0-9.]+) tps", line)
            if found is not None:
                on_second(float(found.group(1)), float(found.group(2)))
        told = child.stdout.read()
        if child.wait() != 0 or "failed transactions: 0 " not in told:
            raise SystemExit(f"{self.name} {mode}: {told}{said}")

    def run(self, mode, seconds, clients=CLIENTS, what=("-S",)):
        """Transactions a second and processor time of the side a transaction in microseconds, both once it is warm;
        transactions a second before that."""
        ends, counts, busy = [], [], []

        def on_second(at_s, tps):
            counts.append(tps * (at_s - (ends[-1] if ends else 0)))
            ends.append(at_s)
            busy.append(processor_s(self.pids()))

        self.pgbench(mode, WARM_S + seconds + 1, clients, what, on_second)  # the last second may not be told
        first, last = WARM_S - 1, WARM_S + seconds - 1
        count = sum(counts[first + 1:last + 1])
        return count / (ends[last] - ends[first]), (busy[last] - busy[first]) / count * 1e6, sum(counts[:WARM_S]) / ends[first]

    def latency_us(self, seconds):
        """Of one client's statement, the median of all that it ran."""
        with tempfile.TemporaryDirectory() as folder:
            self.pgbench("simple", seconds, 1, ("-S", "-l", f"--log-prefix={folder}/statements"))
            times = []
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), encoding="ascii") as file:
                    times += [int(line.split()[2]) for line in file]
        return statistics.median(times)


class Bench:
    def __init__(self, tls, seconds, rounds, settings=None):
        self.seconds, self.rounds = seconds, rounds
        self.tls = tls
        self.db = DatabaseOffice(DOCUMENTS + MASKED, tls="verify-full" if tls else "loopback", workers=0,
                                 extra="db_connections_each: 20000\n" + ("" if tls else "postgres_tls: optional\n"),
                                 settings=settings)
        self.bouncer = Bouncer(self.db.server, tls)
        mode = "require" if tls else "disable"

        def at(port, database, user, password):
            return {"PATH": os.environ["PATH"], "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGDATABASE": database,
                    "PGUSER": user, "PGPASSWORD": password, "PGSSLMODE": mode}

        self.direct = Side("direct", lambda: at(self.db.server.port, "orders", "op_dba", ACCOUNT_PASSWORD), lambda: [])
        self.pooler = Side("pgbouncer", lambda: at(self.bouncer.port, "orders", "op_dba", ""),
                           lambda: [self.bouncer.process.pid])
        gate = self.db.office.pid("db")
        pids = [gate, *descendants(gate), *(self.db.office.pid(role) for role in ("ledger", "watch", "core"))]
        self.gate = Side("gate", lambda: at(self.db.port, "orders-db", "lin", self.db.password("lin")), lambda: pids)
        self.db.put_credential("op_dba", ACCOUNT_PASSWORD, "masked-db")
        self.masked = Side("masked", lambda: at(self.db.port, "masked-db", "lin", self.db.password("lin", "masked-db")),
                           lambda: pids)
        subprocess.run(["pgbench", "-i", "-q", "-s", "5"], env=self.direct.environment(), capture_output=True, check=True)
        subprocess.run(["psql", "-X", "-q", "-c", PEOPLE_SQL], env=self.direct.environment(), check=True)
        time.sleep(1)

    def close(self):
        self.bouncer.close()
        self.db.close()

    def ratio(self, mode, one=None, other=None, what=("-S",)):
        """The median over the rounds of one / other (gate / pgbouncer), and what else was seen."""
        one, other = one or self.gate, other or self.pooler
        rounds = []
        for number in range(self.rounds):
            sides = [other, one] if number % 2 == 0 else [one, other]
            rounds.append({side.name: side.run(mode, self.seconds, what=what) for side in sides})
        seen = {"ratio": statistics.median(r[one.name][0] / r[other.name][0] for r in rounds),
                "cpu_ratio": statistics.median(r[one.name][1] / r[other.name][1] for r in rounds)}
        for side in (one, other):
            seen[f"{side.name}_tps"] = statistics.median(r[side.name][0] for r in rounds)
            seen[f"{side.name}_us"] = statistics.median(r[side.name][1] for r in rounds)
            seen[f"{side.name}_cold_tps"] = statistics.median(r[side.name][2] for r in rounds)
        return seen

    def masking(self, mode):
        """The same statement with one column masked / with none."""
        seen = subprocess.run(["psql", "-X", "-A", "-t", "-c", "SELECT phone FROM people WHERE id = 7"],
                              env=self.masked.environment(), capture_output=True, text=True, check=True).stdout.strip()
        if seen != "138****0007":
            raise SystemExit(f"the column that should be masked reads {seen}")
        with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as script:
            script.write(PEOPLE_SCRIPT)
            script.flush()
            return self.ratio(mode, self.masked, self.gate, ("-f", script.name))

    def added_latency_us(self):
        """Of one client's statement, median over rounds."""
        return statistics.median(self.gate.latency_us(1) - self.direct.latency_us(1) for _ in range(self.rounds))

    def both(self):
        """Throughput of each round through the gate, and straight to the server."""
        rounds = [(self.gate.run("simple", self.seconds)[0], self.direct.run("simple", self.seconds)[0])
                  for _ in range(self.rounds)]
        return list(zip(*rounds))

    def idle(self, count):
        """Opens so many connections that do nothing; (connections, bytes each)."""
        password = self.db.password("lin")
        before = self.db.worker_rss()

        def open_one(_):
            one = Raw(self.db.port, tls="asked" if self.tls else None, timeout=60)
            found = one.log_in("lin", "orders-db", password)[-1]
            if found[0] != "Z":
                raise SystemExit(f"a connection of many was not let in: {found[1]}")
            return one

        with ThreadPoolExecutor(16) as pool:
            many = list(pool.map(open_one, range(count)))
        time.sleep(1)
        return many, (self.db.worker_rss() - before) / count


class Report:
    def __init__(self):
        self.bad = False
        self.numbers = {}

    def line(self, name, value, bound, good):
        self.bad = self.bad or not good
        print(f"{name} {value} {bound} {'ok' if good else 'short'}", flush=True)

    def ratio(self, name, against, seen, one, other, bound):
        self.numbers[name] = {key: round(value, 3) for key, value in seen.items()}
        self.line(f"db.{name}.{against}", f"{seen['ratio']:.2f}", f">={bound}", seen["ratio"] >= bound)
        print(f"  {seen[one + '_tps']:.0f} against {seen[other + '_tps']:.0f} tps; processor time a transaction "
              f"{seen[one + '_us']:.1f} against {seen[other + '_us']:.1f} us ({seen['cpu_ratio']:.2f})", flush=True)

    def throughput(self, bench, name, mode):
        self.ratio(name, "tps_over_pgbouncer", bench.ratio(mode), "gate", "pgbouncer", 1.0)

    def masking(self, bench, name, mode):
        self.ratio(name, "tps_over_clear", bench.masking(mode), "masked", "gate", 0.9)


def measure_plain(report, options):
    bench = Bench(False, options.seconds, options.rounds)
    try:
        report.throughput(bench, "plain.simple", "simple")
        report.throughput(bench, "plain.prepared", "prepared")
        report.masking(bench, "masked.simple", "simple")
        report.masking(bench, "masked.prepared", "prepared")
        added = bench.added_latency_us()
        report.numbers["added_latency_us"] = round(added, 1)
        report.line("db.added_latency_us", f"{added:.0f}", "<=60", added <= 60)
    finally:
        bench.close()


def measure_tls(report, options):
    bench = Bench(True, options.seconds, options.rounds, settings={"max_connections": options.idle + 100})
    try:
        report.throughput(bench, "tls.simple", "simple")
        report.throughput(bench, "tls.prepared", "prepared")
        alone = bench.both()
        many, each = bench.idle(options.idle)
        crowded = bench.both()
        kept, server_kept = (statistics.median(now) / statistics.median(before) for now, before in zip(crowded, alone))
        for one in many:
            one.close()
        report.numbers["idle"] = {"connections": len(many), "bytes_each": round(each), "tps_kept": round(kept, 3),
                                  "server_tps_kept": round(server_kept, 3)}
        report.line("db.idle_connection_kib", f"{each / 1024:.1f}", "<=40", each <= 40 * 1024)
        report.line(f"db.tps_beside_{len(many)}_idle", f"{kept:.2f}", ">=0.95", kept >= 0.95)
        print(f"  straight to the server, which has as many: {server_kept:.2f}", flush=True)
    finally:
        bench.close()


def measure_revoked(report, _options):
    """From signing out to the last byte at each connection of the session, API and core included."""
    db = DatabaseOffice(workers=2)
    try:
        for kind, times in revoked.measure(db).items():
            p99_ms = revoked.percentile(times, 0.99) * 1000
            report.numbers[f"revoked_{kind}"] = {"connections": len(times), "p99_ms": round(p99_ms, 1),
                                                 "median_ms": round(revoked.percentile(times, 0.5) * 1000, 1)}
            report.line(f"db.revoked_to_last_byte_ms.{kind}.p99", f"{p99_ms:.0f}", "<=100", p99_ms <= 100)
    finally:
        db.close()


PARTS = {"plain": measure_plain, "tls": measure_tls, "revoked": measure_revoked}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=4, help="of a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--only", choices=list(PARTS), action="append")
    options = parser.parse_args()
    is_look = any(getattr(options, name) < parser.get_default(name) for name in ("seconds", "rounds", "idle"))
    bad = False
    for name in [name for name in PARTS if options.only is None or name in options.only]:
        report = Report()
        PARTS[name](report, options)
        bad = bad or report.bad
        if not is_look:  # after each part: a run that is broken off keeps what it has measured
            results.keep(RESULTS, name, report.numbers)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

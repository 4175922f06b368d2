#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-web: the web gate with every request decided and in the ledger, against plain nginx writing its
access log and against nginx auth_request writing its access log; then revoke -> last byte over live WebSockets.

Ours is a whole office (sallyport run: core, vault, ledger, nginx), an employee signed in; the ledger's entries are
counted before and after, so that every request is known to be in it. All three proxy, over TLS 1.3 keep-alive, to the same upstream (an nginx that answers 1 KiB) with the same proxy
settings, two workers each, wrk with 64 connections. Rounds are short and interleaved; a figure is the median over the
rounds of the ratio within a round. Beside each throughput stands the ratio of processor time a request (all processes
of a side, upstream and wrk not counted): it has no bound, but other work on the machine moves it less. auth_request is set up as nginx's documentation shows it (a connection to the
auth service a request) and asks a local nginx that answers 204 at once, the least that a real service costs; a
line without a bound tells how it fares when its connection to the auth service is kept alive as well. Lines: name value bound ok|short; all numbers go to bench/results/web.json.
"""

import argparse
import json
import os
import re
import resource
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
for folder in ("tests/system", "demo"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", folder))
import gatelib  # noqa: E402
from officelib import Office, descendants  # noqa: E402
from websockets_live import revoke_round  # noqa: E402

LEDGER_STATS = 0x030D  # SP_LEDGER_STATS, lib/proto/ledger_msg.h
SETTLE_S = 0.3
RESULTS = os.path.join(gatelib.ROOT, "bench", "results", "web.json")

COMMON = """
daemon off; error_log stderr error; pid {folder}/{name}.pid; worker_processes 2; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
server_tokens off; gzip off; tcp_nodelay on; keepalive_requests 100000;
client_body_temp_path {folder}/tmp/a; proxy_temp_path {folder}/tmp/b; fastcgi_temp_path {folder}/tmp/c;
uwsgi_temp_path {folder}/tmp/d; scgi_temp_path {folder}/tmp/e;
"""
UPSTREAM = COMMON + """
access_log off;
server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ default_type text/html; return 200 "{body}"; }}
          location = /auth {{ return 204; }} }}
}}
"""
PLAIN = COMMON + """
access_log {folder}/access-{name}.log;
ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {folder}/tls.pem; ssl_certificate_key {folder}/tls.key;
ssl_session_tickets off; ssl_session_cache shared:x:8m;
proxy_http_version 1.1; proxy_max_temp_file_size 0; proxy_request_buffering off;
upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000; }}
server {{
listen 127.0.0.1:{port} ssl http2; server_name wiki.office.localhost;
location / {{
{auth}
proxy_pass http://app; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Host $host; proxy_set_header Connection "";
}}
location = /auth {{ internal; proxy_pass_request_body off; {ask}
proxy_set_header Content-Length ""; proxy_set_header X-Original-URI $request_uri; }}
}} }}
"""
ASK_AS_DOCUMENTED = "proxy_http_version 1.0; proxy_pass http://127.0.0.1:{upstream}/auth;"
ASK_KEPT_ALIVE = 'proxy_set_header Connection ""; proxy_pass http://app/auth;'


def start_nginx(folder, name, text):
    path = os.path.join(folder, name + ".conf")
    with open(path, "w") as conf:
        conf.write(text)
    return subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-p", folder, "-c", path], stdin=subprocess.DEVNULL)


def wait_for(port):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}")


def cpu_seconds(pid):
    """Processor time so far of a process and of all that live below it, by the scheduler's own nanoseconds."""
    total_ns = 0
    for one in [pid, *descendants(pid)]:
        try:
            for thread in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{thread}/schedstat", encoding="ascii") as times:
                    total_ns += int(times.read().split()[0])
        except OSError:
            continue  # it has just ended
    return total_ns / 1e9


def wrk(port, cookie, seconds):
    """Requests a second, and how many they were."""
    text = subprocess.run(
        ["wrk", "-t2", "-c64", f"-d{seconds}s", "-H", "Host: wiki.office.localhost", "-H", "Cookie: " + cookie,
         f"https://127.0.0.1:{port}/page/of/the/wiki"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError("wrk saw errors:\n" + text)
    asked = int(re.search(r"(\d+) requests in", text).group(1))
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)), asked


OFFICE = """
kind: Role
name: staff
---
kind: Resource
name: wiki
operator: company
class: internal
web:
  host: wiki
  upstream: http://127.0.0.1:%d
  parts:
    - { path: /hr, class: sensitive }
---
kind: Rule
name: staff use the wiki
who: { roles: [staff] }
to: { classes: [internal] }
may: [connect, read, write, export]
"""


class WholeOffice:
    """sallyport run, and somebody signed in."""

    def __init__(self, upstream):
        self.office = Office(documents={"office.yaml": OFFICE % upstream})
        self.office.start()
        self.port = self.office.port
        person = self.office.employee("leo", ["staff"])
        person.follow("wiki", "/", headers={"Accept": "text/html"})
        self.token = "__Host-sallyport=" + person.cookies["wiki.office.localhost"]["__Host-sallyport"]

    def cookie(self):
        return self.token

    def recorded(self):
        """(events on the ledger, events known to be lost)"""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as ledger:
            ledger.connect(os.path.join(self.office.run_dir, "ledger.sock"))
            ledger.send(struct.pack(">BHIB", 1, LEDGER_STATS, 1, 0))
            numbers = struct.unpack_from(">8Q", ledger.recv(65536), 8)
        return numbers[1], numbers[7]

    def close(self):
        self.office.close()


def one_run(side, port, cookie, seconds):
    before_s = cpu_seconds(side)
    rate, asked = wrk(port, cookie, seconds)
    time.sleep(SETTLE_S)  # what is still to be written down is part of the work
    return {"requests_per_s": rate, "requests": asked, "cpu_us": (cpu_seconds(side) - before_s) / asked * 1e6}


def run_rounds(sides, ports, cookie, rounds, seconds):
    """name -> a list of one_run() a round."""
    runs = {name: [] for name in sides}
    for number in range(rounds):
        order = list(runs)[number % len(runs):] + list(runs)[:number % len(runs)]
        for name in order if number // len(runs) % 2 == 0 else reversed(order):
            runs[name].append(one_run(sides[name], ports[name], cookie, seconds))
        print(f"# round {number + 1}: " + ", ".join(
            f"{n} {runs[n][-1]['requests_per_s']:.0f}/s {runs[n][-1]['cpu_us']:.1f}us" for n in runs), flush=True)
    return runs


def compare(rounds, seconds):
    folder = tempfile.mkdtemp(prefix="sp-bench-web-")
    os.makedirs(os.path.join(folder, "tmp"))
    gatelib.make_certificates(folder, devices=1)
    upstream = gatelib.free_port()
    ports = {name: gatelib.free_port() for name in ("plain", "auth", "auth_kept")}
    body = "sallyport " * 102
    started = [
        start_nginx(folder, "upstream", UPSTREAM.format(folder=folder, name="upstream", port=upstream, body=body))]
    sides = {}
    gate = None
    try:
        for name, port in ports.items():
            ask = (ASK_KEPT_ALIVE if name == "auth_kept" else ASK_AS_DOCUMENTED).format(upstream=upstream)
            started.append(start_nginx(folder, name, PLAIN.format(
                folder=folder, name=name, port=port, upstream=upstream, ask=ask,
                auth="" if name == "plain" else "auth_request /auth;")))
            sides[name] = started[-1].pid
        for port in (upstream, *ports.values()):
            wait_for(port)
        gate = WholeOffice(upstream)
        ports["ours"] = gate.port
        sides = {"plain": sides["plain"], "ours": gate.office.process.pid, **sides}
        for name in sides:
            wrk(ports[name], gate.cookie(), 1)
        time.sleep(SETTLE_S)
        before = gate.recorded()
        runs = run_rounds(sides, ports, gate.cookie(), rounds, seconds)
        time.sleep(2)
        after = gate.recorded()
        asked = sum(run["requests"] for run in runs["ours"])
        recorded, lost = after[0] - before[0], after[1] - before[1]
        print(f"# {asked} requests, {recorded} events on the ledger, {lost} lost", flush=True)
        if lost > 0 or recorded < asked:
            raise RuntimeError("not every request is on the ledger")
    finally:
        if gate is not None:
            gate.close()
        for one in started:
            one.terminate()
            one.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
    return runs


def ratio(runs, other, what="requests_per_s"):
    return statistics.median(ours[what] / theirs[what] for ours, theirs in zip(runs["ours"], runs[other]))


def line(name, value, bound, at_least, unit=""):
    good = value >= bound if at_least else value <= bound
    sign = ">=" if at_least else "<="
    print(f"{name} {value:.3f}{unit} {sign}{bound}{unit} {'ok' if good else 'short'}", flush=True)
    return {"name": name, "value": value, "bound": bound, "at_least": at_least, "ok": good}


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--rounds", type=int, default=16)
    ask.add_argument("--seconds", type=int, default=2)
    ask.add_argument("--websockets", type=int, default=1000)
    asked = ask.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines, numbers = [], {}
    if asked.rounds > 0:
        runs = compare(asked.rounds, asked.seconds)
        numbers["runs"] = runs
        lines.append(line("web/plain-nginx", ratio(runs, "plain"), 0.92, True))
        cpu = {name: statistics.median(run["cpu_us"] for run in runs[name]) for name in runs}
        numbers["cpu_us_a_request"] = cpu
        numbers["cpu_ratio_to_plain"] = ratio(runs, "plain", "cpu_us")
        print("# processor time a request: " + ", ".join(f"{name} {cpu[name]:.1f}us" for name in cpu) +
              f"; ours / plain {numbers['cpu_ratio_to_plain']:.3f}")
        lines.append(line("web/auth-request", ratio(runs, "auth"), 1.6, True))
        print(f"# web/auth-request-kept-alive {ratio(runs, 'auth_kept'):.3f}")
    if asked.websockets > 0:
        took_ms = revoke_round(asked.websockets)
        numbers["revoke_ms"] = took_ms
        p99 = sorted(took_ms)[int(len(took_ms) * 0.99) - 1]
        lines.append(line(f"revoke-to-last-byte/{asked.websockets}-websockets-p99", p99, 100, False, "ms"))
    os.makedirs(os.path.dirname(RESULTS), exist_ok=True)
    with open(RESULTS, "w") as out:
        json.dump({"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpus": os.cpu_count(),
                   "lines": lines, "numbers": numbers}, out, indent=1)
        out.write("\n")
    return 0 if all(one["ok"] for one in lines) else 1


if __name__ == "__main__":
    sys.exit(main())

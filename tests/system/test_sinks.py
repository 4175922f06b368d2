# SPDX-License-Identifier: Apache-2.0
"""Sinks on a real office: a real rsyslog over TLS and HTTP servers, one of which hangs; nothing is left out, whatever dies.

OWNS a rsyslogd, HTTP servers. PROCESS tests. TRUST none. SPEC docs/SINKS.md, courier/sinks.h.
"""
import hashlib
import hmac
import http.server
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

import pytest
from noticelib import Local
from officelib import Office, free_port, wait_for

pytestmark = pytest.mark.slow

TOKEN, SECRET = "sink-token-4711", "sink-secret-0815"


class Receiver(http.server.ThreadingHTTPServer):
    """Takes batches; hangs or refuses when it is told to."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", free_port()), Answer)
        self.batches, self.heads, self.mode = [], [], "take"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def places(self):
        return [e["unmapped"]["ledger_entry"] for _, batch in list(self.batches) for e in batch]


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.mode == "hang":
            time.sleep(30)
        said = b"{}"
        records = json.loads(body)
        if self.path.startswith("/topics/"):
            records = [r["value"] for r in records["records"]]
            error = None if self.server.mode == "take" else 50002
            said = json.dumps({"offsets": [{"partition": 0, "offset": n, "error_code": error if n == len(records) - 1 else None,
                                            "error": None} for n in range(len(records))]}).encode()
            if error is None:
                self.server.batches.append((self.headers["X-Sallyport-Batch"], records))
            self.server.heads.append((self.path, self.headers, body))
            self.send_response(200)
        elif self.server.mode == "refuse":
            self.send_response(503)
        else:
            self.server.batches.append((self.headers["X-Sallyport-Batch"], records))
            self.server.heads.append((self.path, self.headers, body))
            self.send_response(202)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args):
        pass


class Rsyslog:
    """Debian's, with TLS by OpenSSL, writing whole messages into a file."""

    def __init__(self, ca_dir):
        self.dir = tempfile.mkdtemp(prefix="sp-rsyslog-", dir="/tmp")
        self.port = free_port()
        self.out = os.path.join(self.dir, "out")
        key, cert = os.path.join(self.dir, "key.pem"), os.path.join(ca_dir, "rsyslog-ca.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-keyout", key, "-out", cert, "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        os.chmod(cert, 0o644)
        self.ca = cert
        with open(os.path.join(self.dir, "conf"), "w", encoding="utf-8") as file:
            file.write(f"""\
global(workDirectory="{self.dir}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="{cert}" defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="all" type="string" string="%syslogfacility-text% %syslogseverity-text% %app-name% %msgid% %structured-data% %msg%\\n")
input(type="imtcp" port="{self.port}" address="127.0.0.1" ruleset="in")
ruleset(name="in") {{ action(type="omfile" file="{self.out}" template="all" flushOnTXEnd="on") }}
""")
        self.process = None

    def start(self):
        log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(["rsyslogd", "-n", "-f", os.path.join(self.dir, "conf"), "-i", os.path.join(self.dir, "pid")],
                                        stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        return self

    def stop(self, kill=False):
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(20)
            self.process = None

    def lines(self):
        try:
            with open(self.out, encoding="utf-8") as file:
                return [line for line in file.read().splitlines() if line]
        except OSError:
            return []

    def places(self):
        return [m.group(1) for line in self.lines() for m in [re.search(r'\[sallyport@32473 entry="([0-9/]+)"\]', line)] if m]


class House:
    pass


@pytest.fixture(scope="module")
def house():
    one = House()
    one.made = 0
    os.makedirs("/etc/sallyport", exist_ok=True)
    ca_dir = tempfile.mkdtemp(prefix="test-sinks-", dir="/etc/sallyport")
    os.chmod(ca_dir, 0o755)
    one.syslog, one.http, one.kafka = Rsyslog(ca_dir).start(), Receiver(), Receiver()
    one.office = Office()
    with open(os.path.join(one.office.documents, "sinks.yaml"), "w", encoding="utf-8") as file:
        file.write(f"""\
kind: Sink
name: log-host
via: syslog
address: 127.0.0.1:{one.syslog.port}
ca: {one.syslog.ca}
from: start
---
kind: Sink
name: siem
via: http
address: {one.http.url}/ocsf
token: true
signed: true
from: start
batch: 20
timeout: 2s
---
kind: Sink
name: stream
via: kafka
address: {one.kafka.url}
topic: sallyport-events
kinds: [sign-in, identity]
from: start
""")
    os.chmod(os.path.join(one.office.documents, "sinks.yaml"), 0o644)
    try:
        one.office.start()
        one.root = Local(one.office.run_dir)
        one.office.cli("sink", "secret", "set", "siem/token", "-c", one.office.config, input_text=TOKEN)
        one.office.cli("sink", "secret", "set", "siem/secret", "-c", one.office.config, input_text=SECRET)
        one.office.set_up_administrators()
        yield one
    finally:
        one.office.close()
        one.syslog.stop()
        shutil.rmtree(ca_dir, ignore_errors=True)
        shutil.rmtree(one.syslog.dir, ignore_errors=True)


def sinks(house):
    return {s["name"]: s for s in house.root.get("/admin/sinks")["items"]}


def caught_up(house, name, seconds=30):
    def there():
        s = sinks(house)[name]
        return s["up"] and not s["failing"] and s["behind"] == "0" and s

    try:
        return wait_for(f"{name} is caught up", seconds, there, step=0.1)
    except AssertionError as late:
        raise AssertionError(f"{late}: {sinks(house)}\n{house.office.log()[-1500:]}") from None


def entries(places):
    return {int(p.split("/")[0]) for p in places}


def act(house, times=3):
    """Somebody gets an account: an event of the kind identity."""
    for _ in range(times):
        house.made += 1
        wait_for("an account", 20, lambda: made(house, f"person{house.made}"), step=0.1)


def made(house, name):
    try:
        return house.root.call("POST", "/admin/people", {"name": name, "display_name": name})[0] in (201, 409)
    except OSError:  # core is not back yet
        return False


def complete(places):
    """No entry between the first and the last is left out, but those that are of no event; and the doubles."""
    seen = entries(places)
    return sorted(set(range(min(seen), max(seen) + 1)) - seen), len(places) - len(set(places))


def test_everything_comes_to_each(house):
    act(house)
    for name in ("log-host", "siem", "stream"):
        caught_up(house, name)
    assert complete(house.http.places()) == ([], 0) and min(entries(house.http.places())) == 0
    wait_for("rsyslog has written", 10, lambda: set(house.syslog.places()) >= set(house.http.places()))
    assert complete(house.syslog.places()) == ([], 0)
    line = wait_for("an account", 15, lambda: next((one for one in house.syslog.lines() if " identity [" in one), None))
    facility, _, app, kind, _ = line.split(" ", 4)
    assert facility in ("audit", "logaudit", "13") and app == "sallyport" and kind == "identity"
    event = json.loads(line[line.index("] {") + 2:])
    assert event["class_uid"] == 3001 and event["metadata"]["version"] == "1.6.0"

    def kinds():
        return {e["unmapped"]["kind"] for _, batch in list(house.kafka.batches) for e in batch}

    wait_for("accounts", 15, lambda: "identity" in kinds())
    assert kinds() <= {"sign-in", "identity"} and house.kafka.heads[0][0] == "/topics/sallyport-events"


def test_token_and_signature(house):
    path, head, body = house.http.heads[-1]
    assert path == "/ocsf" and head["Authorization"] == f"Bearer {TOKEN}"
    when, mac = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", head["X-Sallyport-Signature"]).groups()
    assert hmac.new(SECRET.encode(), f"{when}.".encode() + body, hashlib.sha256).hexdigest() == mac
    assert re.fullmatch(r"siem/\d+-\d+", head["X-Sallyport-Batch"])
    assert TOKEN not in house.office.log() and SECRET not in house.office.log()


def test_secrets_of_what_is_not_there_are_refused(house):
    for where, value, status in (("nowhere/secrets/token", "x", 404), ("siem/secrets/key", "x", 404),
                                 ("siem/secrets/secret", "", 422), ("siem/secrets/secret", "a\tb", 422)):
        assert house.root.call("PUT", f"/admin/sinks/{where}", {"value": value})[0] == status, where
    for where in ("siem/secrets/key", "nowhere/secrets/token"):
        assert house.root.call("DELETE", f"/admin/sinks/{where}")[0] == 404, where


def test_one_that_hangs_holds_nobody_up_and_is_told(house):
    house.http.mode = "hang"
    act(house, 1)
    wait_for("it is told", 15, lambda: sinks(house)["siem"]["failing"] and int(sinks(house)["siem"]["behind"]) > 0, step=0.2)
    began = time.monotonic()
    act(house, 1)
    assert time.monotonic() - began < 5
    caught_up(house, "log-host")
    shown = house.office.cli("sink", "list", "-c", house.office.config).stdout
    assert "siem" in shown and "timed out" in shown.lower()
    text = house.office.cli("metrics", "show", "-c", house.office.config).stdout
    assert 'sallyport_sink_failing{sink="siem"} 1' in text and 'sallyport_sink_failing{sink="log-host"} 0' in text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    house.http.mode = "refuse"
    wait_for("it says why", 20, lambda: "503" in sinks(house)["siem"]["why"], step=0.2)
    house.http.mode = "take"
    caught_up(house, "siem")
    assert complete(house.http.places()) == ([], 0)


def test_a_proxy_that_answers_200_and_took_nothing(house):
    house.kafka.mode = "lie"
    before = len(house.kafka.places())
    act(house, 1)
    wait_for("it is told", 15, lambda: sinks(house)["stream"]["failing"], step=0.2)
    assert len(house.kafka.places()) == before
    house.kafka.mode = "take"
    caught_up(house, "stream")
    assert len(house.kafka.places()) > before and len(set(house.kafka.places())) == len(house.kafka.places())


def test_nothing_is_left_out_when_anything_is_killed(house):
    for role in ("courier", "courier", "ledger", "core", "courier"):
        act(house, 1)
        pid = house.office.kill(role)
        house.office.wait_role(role, other_than=pid)
        time.sleep(0.3)
    house.syslog.stop(kill=True)
    act(house, 1)
    time.sleep(0.5)
    house.syslog.start()
    for name in ("log-host", "siem"):
        caught_up(house, name, 60)
    missing, doubles = complete(house.http.places())
    assert missing == []
    again = [b for b, _ in house.http.batches]
    firsts = [b.split("/")[1].split("-")[0] for b in again]
    assert doubles == 0 or len(set(firsts)) < len(firsts)  # only whole batches come twice, under the same first entry
    wait_for("rsyslog has all", 10, lambda: entries(house.syslog.places()) >= entries(house.http.places()))
    assert complete(house.syslog.places())[0] == []
    print(f"doubles: http {doubles}, syslog {complete(house.syslog.places())[1]}")

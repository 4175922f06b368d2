# SPDX-License-Identifier: Apache-2.0
"""Documents change while people work: what is still allowed goes on without a gap, what no longer is
ends within 100 ms. The same for a session that is ended and a role that is taken away."""

import http.server
import threading
import time

import pytest

from officelib import Office, free_port, wait_for
from portal import _Connection

CHUNK = b"x" * 16384
CUT_S = 0.1

OFFICE = """
kind: Office
name: reload
---
kind: Class
name: internal
---
kind: Role
name: staff
---
kind: Resource
name: slow
operator: company
class: internal
web: {{ host: slow, upstream: "http://127.0.0.1:{port}" }}
"""
RULE = """
kind: Rule
name: staff read
who: { roles: [staff] }
to: { classes: [internal] }
may: [connect, read, write]
"""
OTHER = """
kind: Rule
name: staff import
who: { roles: [staff] }
to: { classes: [internal] }
may: [import]
"""


class Slow(http.server.BaseHTTPRequestHandler):
    """Sixteen KiB each 20 ms, for as long as somebody reads."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while self.path == "/forever":
                self.wfile.write(b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK))
                self.wfile.flush()
                time.sleep(0.02)
            self.wfile.write(b"2\r\nok\r\n0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Download:
    """Reads /forever in a thread and notes when the last byte came."""

    def __init__(self, person):
        connection = _Connection(f"slow.{person.domain}", person.port, person.address, person.tls, 30)
        jar = person.cookies[f"slow.{person.domain}"]
        connection.request("GET", "/forever", headers={
            "Host": f"slow.{person.domain}:{person.port}", "Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())})
        self.response = connection.getresponse()
        assert self.response.status == 200
        self.connection, self.last, self.bytes, self.ended = connection, time.monotonic(), 0, False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while True:
                got = self.response.read1(4096)
                if not got:
                    break
                self.last, self.bytes = time.monotonic(), self.bytes + len(got)
        except OSError:
            pass
        except Exception:  # noqa: BLE001  a chunked body that is cut
            pass
        self.ended = True

    def close(self):
        self.connection.close()
        self.thread.join(5)


@pytest.fixture(scope="module")
def place():
    port = free_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Slow)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield port
    server.shutdown()


@pytest.fixture(scope="module")
def open_office(place):
    office = Office(documents={"office.yaml": OFFICE.format(port=place), "rules.yaml": RULE})
    try:
        office.start()
        yield office
    finally:
        office.close()


@pytest.fixture
def working(open_office, place):
    _, sam, _ = open_office.set_up_administrators()
    leo = open_office.employee("leo", ["staff"])
    apply(sam, place, RULE)
    assert leo.follow("slow", "/").status == 200
    return open_office, sam, leo


def apply(sam, port, *rules):
    files = [{"path": "office.yaml", "text": OFFICE.format(port=port)}]
    files += [{"path": f"rule{n}.yaml", "text": text} for n, text in enumerate(rules)]
    sam.post("/admin/policy/apply", {"files": files})


def test_a_download_lives_as_long_as_it_is_allowed(working, place):
    _, sam, leo = working
    download = Download(leo)
    try:
        for rules in ((RULE, OTHER), (RULE,), (OTHER, RULE)):
            apply(sam, place, *rules)
            before = download.bytes
            wait_for("more of the download", 5, lambda: download.ended or download.bytes > before + 100_000)
            assert not download.ended, "it goes on over a change that allows it"
        apply(sam, place, OTHER)
        answered = time.monotonic()
        time.sleep(0.5)
        assert download.ended, "it ends when it is no longer allowed"
        assert download.last - answered < CUT_S, f"last byte {download.last - answered:.3f} s after the apply"
        assert leo.request("GET", "slow", "/").status == 403
    finally:
        download.close()


def test_core_may_die_without_cutting_a_download(working):
    office, _, leo = working
    download = Download(leo)
    try:
        core = office.kill("core")
        time.sleep(0.3)
        before = download.bytes
        office.wait_role("core", other_than=core)
        time.sleep(1.0)
        assert not download.ended and download.bytes > before
        assert leo.request("GET", "slow", "/").status == 200
    finally:
        download.close()


def test_taking_a_role_or_a_session_cuts(working):
    _, sam, leo = working
    person = [p for p in sam.items("/admin/people") if p["name"] == "leo"][0]
    download = Download(leo)
    sam.put(f"/admin/people/{person['id']}/roles", {"roles": []})
    answered = time.monotonic()
    time.sleep(0.5)
    assert download.ended and download.last - answered < CUT_S
    download.close()
    sam.put(f"/admin/people/{person['id']}/roles", {"roles": ["staff"]})
    assert leo.request("GET", "slow", "/").status == 200
    download = Download(leo)
    session = leo.get("/me")["session"]["id"]
    sam.post(f"/admin/sessions/{session}/end", {"why": "a test"})
    answered = time.monotonic()
    time.sleep(0.5)
    assert download.ended and download.last - answered < CUT_S
    download.close()
    assert leo.request("GET", "slow", "/", headers={"Accept": "application/json"}).status in (302, 303, 401)

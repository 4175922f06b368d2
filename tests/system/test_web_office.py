# SPDX-License-Identifier: Apache-2.0
"""The web gate in a whole office: people sign in at the portal and reach applications; what is taken away is
taken away at once; roles die and come back."""

import json
import os
import signal
import socket
import ssl
import time

import pytest
from officelib import descendants, wait_for
from portal import Refused
from webgatelib import Upstream

pytestmark = pytest.mark.shipped

DOCUMENTS = """
kind: Role
name: staff
---
kind: Resource
name: notes
title: { en: Notes, zh: 笔记 }
operator: company
class: internal
web:
  host: notes
  upstream: http://127.0.0.1:%(port)d
  identity: jwt
  websocket: true
  parts:
    - { path: /books, class: core }
    - { path: /kept, class: sensitive }
---
kind: Rule
name: staff use what is internal
who: { roles: [staff] }
to: { classes: [internal] }
may: [connect, read, write]
---
kind: Rule
name: sensitive data is recorded first
who: { roles: [staff] }
to: { classes: [sensitive] }
may: [read]
with: { record: true }
---
kind: Resource
name: crm
operator: company
class: core
tags: [personal-info]
web: { host: crm, upstream: "http://127.0.0.1:%(port)d" }
---
kind: Rule
name: staff read what is personal masked
who: { roles: [staff] }
to: { tags: [personal-info] }
may: [connect, read]
with: { mask: [personal-info] }
"""


@pytest.fixture(scope="module")
def upstream():
    server = Upstream()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def documents(upstream):
    return {"office.yaml": DOCUMENTS % {"port": upstream.server_port}}


@pytest.fixture(scope="module")
def office(documents):
    from officelib import Office
    one = Office(documents=documents)
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def leo(office):
    return office.employee("leo", ["staff"])


@pytest.fixture(autouse=True)
def clean(upstream):
    upstream.forget()


PAGE = {"Accept": "text/html"}


def test_signed_in_at_the_portal_is_signed_in_at_the_application(office, leo, upstream):
    answer = leo.follow("notes", "/page?x=1", headers=PAGE)
    assert (answer.status, answer.body) == (200, b"fine")
    assert upstream.heads[-1][1] == "/page?x=1"
    jars = leo.cookies
    portal, app = jars["portal.office.localhost"], jars["notes.office.localhost"]
    assert portal["__Host-sallyport"] != app["__Host-sallyport"]


def test_what_a_rule_gives_only_masked_does_not_leave_an_application_in_clear(leo, upstream):
    leo.follow("notes", "/", headers=PAGE)
    upstream.forget()
    answer = leo.follow("crm", "/customers", headers=PAGE)
    assert answer.status == 403 and b"Only masked or counted" in answer.body
    assert not upstream.heads
    assert "crm" not in json.dumps(leo.get("/me/apps"))


def test_the_applications_cookie_does_not_open_the_portal(office, leo):
    leo.follow("notes", "/", headers=PAGE)
    thief = office.browser()
    stolen = leo.cookies["notes.office.localhost"]["__Host-sallyport"]
    answer = thief.request("GET", "portal", "/api/v1/me", headers={"Cookie": "__Host-sallyport=" + stolen})
    assert answer.status == 401
    stolen = leo.cookies["portal.office.localhost"]["__Host-sallyport"]
    answer = thief.request("GET", "notes", "/", headers={"Cookie": "__Host-sallyport=" + stolen})
    assert answer.status == 401


def test_the_identity_token_is_signed_and_says_who(office, leo, upstream):
    leo.follow("notes", "/who", headers=PAGE)
    token = dict((n.lower(), v) for n, v in upstream.heads[-1][2])["x-sallyport-identity"]
    import base64
    head, claims, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert claims["aud"] and claims["exp"] > time.time() and len(signature) > 80
    assert "leo" in json.dumps(claims)
    keys = office.browser().request("GET", "portal", "/.well-known/jwks.json").json()["keys"]
    head = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    assert head["kid"] in [key["kid"] for key in keys]


def test_a_refusal_is_in_the_ledger_under_its_reference(office, leo):
    leo.follow("notes", "/", headers=PAGE)
    answer = leo.request("GET", "notes", "/books/all", headers={"Accept": "application/json"})
    assert answer.status == 403
    reference = answer.json()["reference"]
    _, _, audrey = office.set_up_administrators()

    def found():
        items = audrey.get(f"/admin/ledger/events?reference={reference}").get("items", [])
        return [item for item in items if reference in json.dumps(item)]

    assert wait_for("the refusal in the ledger", 10, found, step=0.2)


def test_what_must_be_recorded_passes_a_living_ledger(office, leo):
    assert leo.follow("notes", "/kept/file", headers=PAGE).status == 200


def open_websocket(office, person):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    stream = context.wrap_socket(socket.create_connection(("127.0.0.1", office.port), 10),
                                 server_hostname="notes.office.localhost")
    cookie = person.cookies["notes.office.localhost"]["__Host-sallyport"]
    stream.sendall((f"GET /stream HTTP/1.1\r\nHost: notes.office.localhost:{office.port}\r\n"
                    f"Cookie: __Host-sallyport={cookie}\r\n\r\n").encode())
    assert b" 200 " in stream.recv(4096)
    return stream


def ends(stream, within_s):
    """Whether the stream ends in time."""
    stream.settimeout(within_s)
    end = time.monotonic() + within_s
    try:
        while time.monotonic() < end:
            if not stream.recv(1 << 20):
                return True
    except (TimeoutError, socket.timeout):
        return False
    except OSError:
        return True
    return False


def test_slow_senders_hold_no_connection_of_core(office, leo):
    """Core has 2048 connections for everybody; a body goes to it when it is here, and a large one from nobody."""
    head = ("POST /api/v1/sign-in/start HTTP/1.1\r\nHost: portal.office.localhost\r\nContent-Type: application/json\r\n"
            "X-Sallyport-Request: 1\r\nContent-Length: %d\r\n\r\n%s")

    def served():
        path = os.path.join(office.run_dir, "api.sock")
        with open("/proc/net/unix") as table:
            return sum(1 for line in table if line.rstrip().endswith(path) and line.split()[5] == "03")

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def ask(text):
        plain = socket.create_connection(("127.0.0.1", office.port), timeout=10)
        line = context.wrap_socket(plain, server_hostname="portal.office.localhost")
        line.sendall(text.encode())
        return line

    slow = [ask(head % (4000, "{")) for _ in range(40)]
    time.sleep(0.5)
    assert served() < 20
    assert b" 200 " in answer_of(ask(head % (14, '{"name":"leo"}')))
    for line in slow:
        line.close()
    large = ask(head % (100_000, "{"))
    assert b" 401 " in answer_of(large)
    with pytest.raises(Refused) as refused:  # by core, which has got it
        leo.post("/step-up/password", {"password": "x" * 100_000})
    assert refused.value.status == 413


def answer_of(line):
    line.settimeout(10)
    data = line.recv(65536)
    line.close()
    return data.split(b"\r\n")[0]


def test_signing_out_ends_what_is_open(office, leo):
    other = office.person("leo")
    other.follow("notes", "/", headers=PAGE)
    with open_websocket(office, other) as stream:
        other.sign_out()
        assert ends(stream, 2)
    assert other.request("GET", "notes", "/", headers={"Accept": "application/json"}).status == 401


def test_the_gate_lives_through_the_death_of_core_and_ledger(office, leo):
    leo.follow("notes", "/", headers=PAGE)
    for role in ("core", "ledger"):
        before = office.kill(role)
        assert leo.request("GET", "notes", "/x", headers={"Accept": "application/json"}).status in (200, 503)
        office.wait_role(role, other_than=before)
        wait_for(f"the gate after {role}", 10,
                 lambda: leo.follow("notes", "/kept/y", headers=PAGE).status == 200, step=0.2)


def test_nginx_and_its_launcher_come_back(office, leo):
    before = office.pid("web")
    masters = [pid for pid in descendants(before)]
    os.kill(masters[0], signal.SIGKILL)
    wait_for("nginx", 15, lambda: reaches(leo), step=0.2)
    before = office.kill("web")
    office.wait_role("web", other_than=before)
    wait_for("the gate", 15, lambda: reaches(leo), step=0.2)


def reaches(person):
    try:
        return person.follow("notes", "/", headers=PAGE).status == 200
    except OSError:
        return False


def plain_http(port, host, path):
    with socket.create_connection(("127.0.0.1", port), 5) as stream:
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        try:
            while more := stream.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
    return answer.decode()


def test_without_tls_there_are_only_redirects_and_acme(make_office, documents):
    from officelib import free_port
    port = free_port()
    office = make_office(documents=documents, extra=f'http: ["127.0.0.1:{port}"]\n')
    answer = plain_http(port, "notes.office.localhost", "/x?y=1")
    assert " 301 " in answer and f"Location: https://notes.office.localhost:{office.port}/x?y=1\r\n" in answer
    assert plain_http(port, "evil.example", "/x") == ""
    webroot = os.path.join(office.state, "web", "acme", ".well-known", "acme-challenge")
    os.makedirs(webroot)
    with open(os.path.join(webroot, "token"), "w", encoding="ascii") as file:
        file.write("proof")
    assert plain_http(port, "portal.office.localhost", "/.well-known/acme-challenge/token").endswith("proof")
    for path in ("../../../nginx.conf", "%2e%2e/%2e%2e/%2e%2e/nginx.conf", ""):
        answer = plain_http(port, "portal.office.localhost", "/.well-known/acme-challenge/" + path)
        assert "ssl_certificate" not in answer and " 200 " not in answer[:20]


def test_nginx_holds_no_private_key_and_runs_as_its_own_user(office):
    conf = os.path.join(office.state, "web", "nginx.conf")
    with open(conf, encoding="utf-8") as text:
        assert 'ssl_certificate_key "engine:sallyport:' in text.read()
    for name in os.listdir(os.path.join(office.state, "web")):
        path = os.path.join(office.state, "web", name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                assert b"PRIVATE KEY" not in file.read(), path
    if office.uids:
        for pid in descendants(office.pid("web")):
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                status = dict(line.split(":", 1) for line in file if ":" in line)
            assert status["Uid"].split() == [str(office.uids["web"])] * 4
            assert status["CapEff"].strip() == "0" * 16 and status["NoNewPrivs"].strip() == "1"
            assert status["Seccomp"].strip() == "2"


def test_a_flood_of_strangers_is_counted_not_written_one_by_one(make_office, documents):
    """Thousands of refusals of nobody: a few events, with their counts; the number on a page is in the ledger."""
    office = make_office(documents=documents)
    audrey = office.set_up_administrators()[2]
    stranger = office.browser()
    size = audrey.get("/admin/ledger/status")["size"]
    many, references = 600, set()
    for i in range(many):
        answer = stranger.request("GET", "notes", f"/guess/{i}", headers={"Accept": "application/json"})
        assert answer.status == 401
        references.add(answer.json()["reference"])
    assert len(references) < 150, "those that are counted carry the number of one that was written"
    for reference in list(references)[:5]:
        assert wait_for("the event", 10,
                        lambda reference=reference: audrey.get(f"/admin/ledger/events?reference={reference}")["items"])
    office.kill("web", signal.SIGTERM)  # at a worker's end what was counted is written

    def all_counted():
        items = audrey.items("/admin/ledger/events?kind=decision&verdict=deny&limit=200")
        return sum(max(1, item.get("count") or 0) for item in items if not item.get("person")) == many

    wait_for("every refusal in a count", 30, all_counted, step=0.5)
    grown = int(audrey.get("/admin/ledger/status")["size"]) - int(size)
    assert grown < 400, f"{many} refusals made {grown} entries"

# SPDX-License-Identifier: Apache-2.0
"""An ordinary nginx, without our module, that asks the gate by auth_request; and what the other way of asking
(forward-auth of Traefik and Caddy) answers."""

import http.client
import json
import os
import subprocess
import urllib.parse

import pytest
from officelib import Office, free_port, wait_for
from portal import Person
from test_core_devices import Device
from test_web_office import DOCUMENTS
from webgatelib import Upstream

DEVICE_RULE = """
---
kind: Resource
name: vaulted
title: { en: Vaulted, zh: 保管 }
operator: company
class: core
web: { host: vaulted, upstream: http://127.0.0.1:%(port)d }
---
kind: Rule
name: core data on company devices
who: { roles: [staff] }
to: { classes: [core] }
may: [read]
on: { owner: company }
"""

STOCK = """
daemon off; error_log %(dir)s/error.log; pid %(dir)s/pid; worker_processes 1;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %(dir)s/a; proxy_temp_path %(dir)s/b; fastcgi_temp_path %(dir)s/c;
  uwsgi_temp_path %(dir)s/d; scgi_temp_path %(dir)s/e;
  server {
    listen 127.0.0.1:%(port)d ssl;
    server_name notes.office.localhost vaulted.office.localhost;
    ssl_certificate %(dir)s/cert.pem; ssl_certificate_key %(dir)s/key.pem;
    ssl_verify_client optional; ssl_client_certificate %(ca)s;

    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Tls-Client-Cert $ssl_client_escaped_cert;
    proxy_set_header X-Sallyport-Identity $sallyport_identity;
    proxy_set_header Forwarded "";
    proxy_set_header Remote-User "";
    proxy_set_header X-Auth-Request-User "";
    proxy_set_header X-Forwarded-User "";

    location / {
      auth_request /sallyport-asks;
      auth_request_set $sallyport_sign_in $upstream_http_location;
      auth_request_set $sallyport_reference $upstream_http_x_sallyport_reference;
      auth_request_set $sallyport_identity $upstream_http_x_sallyport_identity;
      error_page 401 = @sign_in;
      error_page 403 = @refused;
      proxy_pass http://127.0.0.1:%(upstream)d;
    }
    location = /sallyport-asks {
      internal;
      proxy_pass http://127.0.0.1:%(asked)d/auth-request;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Tls-Client-Cert $ssl_client_escaped_cert;
      proxy_set_header X-Forwarded-Method $request_method;
      proxy_set_header X-Forwarded-Uri $request_uri;
      proxy_set_header X-Forwarded-Content-Length $content_length;
    }
    location @sign_in { return 302 $sallyport_sign_in; }
    location @refused { default_type text/plain; return 403 "refused: $sallyport_reference"; }
    location ^~ /.sallyport/ { proxy_pass http://127.0.0.1:%(asked)d; }
  }
}
"""


class Visitor(Person):
    """Applications at the ordinary nginx, the portal at ours."""

    stock_port = 0

    def request(self, method, host, path, body=None, headers=None):
        gate, self.port = self.port, self.port if host == "portal" else self.stock_port
        try:
            return super().request(method, host, path, body, headers)
        finally:
            self.port = gate


@pytest.fixture(scope="module")
def upstream():
    server = Upstream()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def asked():
    return free_port()


@pytest.fixture(scope="module")
def office(upstream, asked):
    one = Office(documents={"office.yaml": (DOCUMENTS + DEVICE_RULE) % {"port": upstream.server_port}},
                 extra=f'forward_auth: ["127.0.0.1:{asked}"]\n')
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def stock(office, upstream, asked, tmp_path_factory):
    """Debian's nginx with the configuration that the documentation shows."""
    place = tmp_path_factory.mktemp("stock")
    port = free_port()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=stock", "-keyout", place / "key.pem", "-out", place / "cert.pem"],
                   check=True, capture_output=True)
    conf = place / "nginx.conf"
    conf.write_text(STOCK % {"dir": place, "port": port, "asked": asked, "upstream": upstream.server_port,
                             "ca": os.path.join(office.state, "web", "device-ca.pem")})
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", str(place), "-e", str(place / "error.log"), "-c", str(conf)])

    def answers():
        assert process.poll() is None, (place / "error.log").read_text()
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
            return True
        except OSError:
            return False

    wait_for("the ordinary nginx", 10, answers)
    yield port
    process.terminate()
    process.wait(10)


def visit(person, stock, cert=None):
    one = Visitor(person.domain, person.port, cert=cert)
    one.stock_port = stock
    one.name, one.password, one.totp = person.name, person.password, person.totp
    one.sign_in()
    return one


@pytest.fixture(scope="module")
def leo(office, stock):
    return visit(office.employee("leo", ["staff"]), stock)


@pytest.fixture(autouse=True)
def clean(upstream):
    upstream.forget()


def event_of(office, reference):
    audrey = office.set_up_administrators()[2]

    def found():
        return audrey.get(f"/admin/ledger/events?reference={reference}")["items"]

    return wait_for("the event in the ledger", 10, found, step=0.2)[0]


def test_a_stranger_is_sent_to_sign_in_and_comes_back(office, stock, leo, upstream):
    stranger = Visitor(office.domain, office.port)
    stranger.stock_port = stock
    answer = stranger.request("GET", "notes", "/page?x=1", headers={"Accept": "text/html"})
    to = urllib.parse.quote(f"https://notes.office.localhost:{office.port}/page?x=1", safe="")
    assert (answer.status, answer.header("Location")) == (302, f"{office.portal_url}/enter?to={to}")
    assert not upstream.heads
    answer = leo.follow("notes", "/page?x=1")
    assert (answer.status, answer.body) == (200, b"fine")
    heads = dict((name.lower(), value) for name, value in upstream.heads[-1][2])
    assert upstream.heads[-1][1] == "/page?x=1" and heads["x-sallyport-identity"].count(".") == 2


def test_a_refusal_has_a_reference_and_stands_in_the_ledger(office, leo, upstream):
    leo.follow("notes", "/")
    upstream.forget()
    answer = leo.request("GET", "notes", "/books/all?a=b")
    assert answer.status == 403 and answer.body.startswith(b"refused: ")
    event = event_of(office, answer.body.decode().removeprefix("refused: "))
    assert (event["person"], event["resource"], event["verdict"]) == ("leo", "notes", "deny")
    assert event["object"] == "/books/all" and event["method"] == "GET"
    assert not upstream.heads


@pytest.mark.parametrize("path", ["/x/../books/all", "/x/%2e%2e/books", "/x%2fbooks", "/books;a/all", "//books/all",
                                  "/%62ooks/all"])
def test_path_tricks_do_not_reach_what_is_refused(leo, upstream, path):
    leo.follow("notes", "/")
    upstream.forget()
    assert leo.request("GET", "notes", path).status in (400, 403)
    assert not upstream.heads


def test_a_visitor_cannot_say_what_the_proxy_says(leo, office, upstream):
    leo.follow("notes", "/")
    upstream.forget()
    forged = {"X-Forwarded-Uri": "/", "X-Forwarded-Method": "GET", "X-Forwarded-Host": "notes.office.localhost",
              "X-Forwarded-For": "10.9.9.9", "X-Sallyport-Identity": "a.b.c"}
    answer = leo.request("GET", "notes", "/books/all", headers=forged)
    assert answer.status == 403 and not upstream.heads
    event = event_of(office, answer.body.decode().removeprefix("refused: "))
    assert event["peer"] == "127.0.0.1"
    assert leo.request("GET", "notes", "/page", headers={**forged, "Remote-User": "root"}).status == 200
    ((_, _, headers, *_),) = upstream.heads
    seen = {name.lower(): value for name, value in headers}
    assert seen["x-forwarded-for"] == "127.0.0.1" and seen["x-forwarded-host"] == seen["host"]
    assert "remote-user" not in seen and seen.get("x-sallyport-identity") != "a.b.c"


def test_writing_where_one_may_only_read(leo, upstream):
    leo.follow("notes", "/kept/x")
    assert leo.request("GET", "notes", "/kept/x").status == 200
    upstream.forget()
    assert leo.request("POST", "notes", "/kept/x", body=b"x").status == 403
    assert leo.request("POST", "notes", "/page", body=b"x").status == 200
    assert [head[:2] for head in upstream.heads] == [("POST", "/page")]


def test_a_device_is_known_by_the_certificate_that_the_proxy_saw(office, stock, leo, tmp_path, upstream):
    assert leo.follow("vaulted", "/").status == 403
    sam = office.set_up_administrators()[1]
    device = Device(office.people["leo"], str(tmp_path), name="bookish")
    device.enrol()
    sam.post(f"/admin/devices/{device.id}/approve", {"owner": "company"})
    device.keep(device.fetch())
    at_work = visit(office.people["leo"], stock, cert=(device.cert, device.key))
    assert at_work.follow("vaulted", "/").status == 200
    stolen = {"Cookie": "; ".join(f"{k}={v}" for k, v in at_work.cookies["vaulted.office.localhost"].items())}
    answer = leo.request("GET", "vaulted", "/", headers=stolen)
    assert answer.status == 403
    assert event_of(office, answer.body.decode().removeprefix("refused: "))["reason"] == "session-on-another-device"
    sam.post(f"/admin/devices/{device.id}/quarantine", {"why": "lost"})
    assert at_work.request("GET", "vaulted", "/").status == 403


def test_signed_out_is_out(office, stock):
    mia = visit(office.employee("mia", ["staff"]), stock)
    assert mia.follow("notes", "/").status == 200
    mia.sign_out()
    assert mia.request("GET", "notes", "/").status == 302


# ---- the questions themselves

def ask(port, path, headers):
    """One question; headers is a list, so that a name can stand there twice."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", path)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


GOOD = [("X-Forwarded-Host", "notes.office.localhost"), ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/page")]


def test_forward_auth_answers_the_browser(office, asked):
    answer, _ = ask(asked, "/forward-auth", GOOD + [("Accept", "text/html")])
    assert answer.status == 302 and answer.getheader("Location").startswith(office.portal_url + "/enter?to=")
    answer, body = ask(asked, "/forward-auth", GOOD + [("Accept", "application/json")])
    assert answer.status == 401 and json.loads(body)["reference"]


def test_forward_auth_lets_through_with_the_token(asked, leo):
    leo.follow("notes", "/")
    cookie = "; ".join(f"{k}={v}" for k, v in leo.cookies["notes.office.localhost"].items())
    answer, body = ask(asked, "/forward-auth", GOOD + [("Cookie", cookie)])
    assert (answer.status, body) == (200, b"")
    assert answer.getheader("X-Sallyport-Identity").count(".") == 2
    assert answer.getheader("X-Sallyport-Export") == "no"


@pytest.mark.parametrize("change", [
    lambda h: h[1:], lambda h: h[:1] + h[2:], lambda h: h[:2] + h[3:], lambda h: h[:3],
    lambda h: h + h[:1], lambda h: h + h[3:], lambda h: h + h[1:2],
    lambda h: [("X-Forwarded-Host", "notes.office.localhost.evil.example")] + h[1:],
    lambda h: [("X-Forwarded-Host", "a.notes.office.localhost")] + h[1:],
    lambda h: [("X-Forwarded-Host", "nothing.office.localhost")] + h[1:],
    lambda h: h[:1] + [("X-Forwarded-For", "somewhere")] + h[2:],
    lambda h: h + [("X-Forwarded-Tls-Client-Cert", "not a certificate")],
    lambda h: h + [("X-Forwarded-Tls-Client-Cert", "aGVsbG8h")]])
def test_a_bad_question_is_refused(asked, leo, change):
    leo.follow("notes", "/")
    cookie = "; ".join(f"{k}={v}" for k, v in leo.cookies["notes.office.localhost"].items())
    answer, _ = ask(asked, "/auth-request", change(GOOD) + [("Cookie", cookie)])
    assert answer.status == 403 and answer.getheader("X-Sallyport-Reference")
    assert answer.getheader("X-Sallyport-Identity") is None


def test_only_loopback_may_ask(office):
    office_file = os.path.join(office.dir, "bad.yaml")
    with open(office.config, encoding="utf-8") as file:
        text = file.read()
    with open(office_file, "w", encoding="utf-8") as file:
        file.write(text.replace("forward_auth: [\"127.0.0.1", "forward_auth: [\"0.0.0.0"))
    done = office.cli("run", "-c", office_file, check=False)
    assert done.returncode != 0 and "must be loopback" in done.stderr + done.stdout

# SPDX-License-Identifier: Apache-2.0
"""The identity token as an application sees it, verified as docs/IDENTITY-TOKEN.md says; and over a rotation.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/IDENTITY-TOKEN.md.
"""
import time

import jwt
import pytest

from officelib import Office
from webgatelib import Upstream

DOCUMENTS = """
kind: Role
name: staff
---
kind: Resource
name: notes
operator: company
class: internal
web: { host: notes, upstream: "http://127.0.0.1:%d", identity: jwt }
---
kind: Resource
name: plain
operator: company
class: internal
web: { host: plain, upstream: "http://127.0.0.1:%d" }
---
kind: Rule
name: staff use what is internal
who: { roles: [staff] }
to: { classes: [internal] }
may: [connect, read, write]
"""


@pytest.fixture(scope="module")
def upstream():
    server = Upstream()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def office(upstream):
    one = Office(documents={"office.yaml": DOCUMENTS % (upstream.server_port, upstream.server_port)})
    try:
        one.start()
        yield one
    finally:
        one.close()


def headers_at(person, upstream, app):
    upstream.forget()
    answer = person.follow(app, "/", headers={"Accept": "text/html"})
    assert answer.status == 200
    return {name.lower(): value for name, value in upstream.heads[-1][2]}


def key_set(office):
    answer = office.browser().request("GET", "portal", "/.well-known/jwks.json")
    assert answer.status == 200
    return jwt.PyJWKSet.from_dict(answer.json())


def opened(office, token, audience):
    kid = jwt.get_unverified_header(token)["kid"]
    key = next(k.key for k in key_set(office).keys if k.key_id == kid)
    return jwt.decode(token, key, algorithms=["ES256"], issuer=office.portal_url, audience=audience, leeway=5,
                      options={"require": ["exp", "iat", "sub"]})


def test_an_application_verifies_who_is_there(office, upstream):
    ann = office.employee("ann", ["staff"])
    token = headers_at(ann, upstream, "notes")["x-sallyport-identity"]
    here = f"https://notes.office.localhost:{office.port}"
    claims = opened(office, token, here)
    assert claims["preferred_username"] == "ann" and claims["roles"] == ["staff"]
    assert claims["exp"] - claims["iat"] <= 300 and claims["exp"] > time.time()
    assert "device" not in claims and claims["amr"]
    with pytest.raises(jwt.InvalidAudienceError):
        opened(office, token, f"https://plain.office.localhost:{office.port}")
    with pytest.raises(jwt.InvalidSignatureError):
        head, body, signature = token.split(".")
        opened(office, ".".join((head, body, signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB"))),
               here)


def test_the_key_that_signs_next_is_published_already(office):
    keys = key_set(office).keys
    assert len(keys) == 2 and len({key.key_id for key in keys}) == 2


def test_an_application_that_did_not_ask_is_told_nothing(office, upstream):
    ann = office.employee("ann", ["staff"])
    assert "x-sallyport-identity" not in headers_at(ann, upstream, "plain")

# SPDX-License-Identifier: Apache-2.0
"""What is taken away while something waits for the ledger, or between two steps of a sign-in."""

import contextlib
import os
import signal
import threading
import time

import pytest

from authenticator import Authenticator
from portal import Person, Refused


@pytest.fixture(scope="module")
def admins(office):
    return office.set_up_administrators()


def stranger(office):
    return Person(office.domain, office.port)


def outcome(call, *args):
    try:
        return 200, call(*args)
    except Refused as why:
        return why.status, why.code


class Later:
    """A call in a thread of its own; said() is what came of it."""

    def __init__(self, call, *args):
        self.result = None
        self.thread = threading.Thread(target=self.run, args=(call, *args), daemon=True)
        self.thread.start()

    def run(self, call, *args):
        self.result = outcome(call, *args)

    def said(self):
        self.thread.join(30)
        return self.result


@contextlib.contextmanager
def waits(office, role="ledger"):
    """It takes what comes, and answers when the block is over."""
    pid = office.kill(role, signal.SIGSTOP)
    try:
        yield
        time.sleep(0.3)  # the last request has reached core
    finally:
        os.kill(pid, signal.SIGCONT)


def in_order(office, *calls):
    """Each reaches core after the one before, and all wait for the ledger; what came of them."""
    with waits(office):
        waiting = []
        for call in calls:
            waiting.append(Later(*call))
            time.sleep(0.3)
            assert waiting[-1].result is None, waiting[-1].result  # it waits for the ledger
    return [one.said() for one in waiting]


def add_passkey(office, person):
    key = Authenticator(office.portal_url)
    options = person.post("/me/credentials/passkeys/options")
    person.post("/me/credentials/passkeys",
                {"flow": options["flow"], "name": "key", "credential": key.create(options["public_key"])})
    return key


def asked(office, key):
    """A browser with the last step of a passkey sign-in in hand."""
    browser = stranger(office)
    options = browser.post("/sign-in/passkey/options", {})
    return browser, {"flow": options["flow"], "credential": key.get(options["public_key"])}


@pytest.fixture
def bob(office, admins):
    """Somebody new with a passkey, signed in: .id, .key."""
    person = office.employee(f"bob{len(office.people)}", [])
    person.key = add_passkey(office, person)
    person.id = person.get("/me")["person"]["id"]
    return person


# ---- a sign-in under way


@pytest.mark.parametrize("what", ["disable", "reset"])
def test_a_sign_in_under_way_does_not_survive(office, admins, bob, what):
    browser, last = asked(office, bob.key)
    done = in_order(office, (admins[0].post, f"/admin/people/{bob.id}/{what}", {"why": "a test"}),
                    (browser.post, "/sign-in/passkey/verify", last))
    assert done[0][0] == 200
    assert done[1] == (401, "sign_in_failed")
    assert outcome(browser.get, "/me") == (401, "signed_out")


def test_a_flow_begun_before_a_sign_out_everywhere_ends_nowhere(office, bob):
    browser, last = asked(office, bob.key)
    bob.post("/sign-out", {"everywhere": True})
    assert outcome(browser.post, "/sign-in/passkey/verify", last) == (401, "sign_in_failed")
    browser, last = asked(office, bob.key)
    browser.post("/sign-in/passkey/verify", last)  # begun afterwards, it is a sign-in like any other


# ---- a set-up under way


def test_who_is_locked_does_not_set_himself_up_again(office, admins, bob):
    olga, sam, _ = admins
    link = olga.post(f"/admin/people/{bob.id}/reset", {"why": "a test"})["link"]
    flow = bob.post("/setup/start", {"token": link.rsplit("#", 1)[1]})["flow"]
    options = bob.post("/setup/passkey/options", {"flow": flow})
    bob.post("/setup/passkey/verify", {"flow": flow, "name": "key",
                                       "credential": Authenticator(office.portal_url).create(options["public_key"])})
    done = in_order(office, (sam.post, f"/admin/people/{bob.id}/disable", {"why": "a test"}),
                    (bob.post, "/setup/finish", {"flow": flow}))
    assert done[0][0] == 200
    assert done[1][0] in (401, 409), done[1]
    locked = olga.get(f"/admin/people/{bob.id}")["state"]
    # nor by the link, when the account is let in again
    olga.post(f"/admin/people/{bob.id}/enable", {})
    assert olga.get(f"/admin/people/{bob.id}")["state"] != locked
    assert outcome(stranger(office).post, "/setup/start", {"token": link.rsplit("#", 1)[1]}) == (404, "link_invalid")


# ---- guesses at once


def test_many_guesses_at_once_are_no_more_than_one_after_the_other(office, admins):
    guesses = []
    for _ in range(12):
        browser = stranger(office)
        flow = browser.post("/sign-in/start", {"name": "nobody-here"})["flow"]
        browser.post("/sign-in/password", {"flow": flow, "password": "a wrong guess"})
        guesses.append((browser, {"flow": flow, "code": "000000"}))
    with waits(office, "core"):  # all are there before the first is answered
        waiting = [Later(browser.post, "/sign-in/totp", body) for browser, body in guesses]
        time.sleep(0.7)
    said = sorted(one.said() for one in waiting)
    assert said == [(401, "sign_in_failed")] * 5 + [(429, "too_many")] * 7


# ---- what a session asked for


def test_what_a_session_asked_for_ends_with_it(office, admins, bob):
    options = bob.post("/me/credentials/passkeys/options")
    body = {"flow": options["flow"], "name": "another",
            "credential": Authenticator(office.portal_url).create(options["public_key"])}
    done = in_order(office, (admins[0].post, f"/admin/people/{bob.id}/disable", {"why": "a test"}),
                    (bob.post, "/me/credentials/passkeys", body))
    assert done[0][0] == 200
    assert done[1] == (401, "signed_out")


def test_what_an_administrator_asked_for_ends_with_his_role(office, admins):
    olga, sam, _ = admins
    other = office.employee("second-sam", ["security-admin"])
    number = other.get("/me")["person"]["id"]
    guest = olga.post("/admin/people", {"name": "guest", "display_name": "Guest"})["id"]
    other.step_up()
    done = in_order(office, (sam.put, f"/admin/people/{number}/roles", {"roles": []}),
                    (other.put, f"/admin/people/{guest}/roles", {"roles": ["audit-admin"]}))
    assert done[0][0] == 200
    assert done[1] == (403, "forbidden")
    assert olga.get(f"/admin/people/{guest}")["roles"] == []


APART = """
kind: Role
name: payer
---
kind: Role
name: checker
excludes: [payer]
---
kind: Role
name: glass
request: { who: { roles: [payer] }, ask: { approved_by: 2, by: { roles: [security-admin] } }, sealed: true }
"""


def test_roles_that_documents_keep_apart_do_not_meet_in_two_grants_at_once(office, admins):
    olga, sam, _ = admins
    other = office.employee("third-sam", ["security-admin"])
    eve = olga.post("/admin/people", {"name": "eve", "display_name": "Eve"})["id"]
    before = sam.get("/admin/policy/documents")
    sam.post("/admin/policy/apply", {"files": before["files"] + [{"path": "apart.yaml", "text": APART}]})
    other.step_up()
    path = f"/admin/people/{eve}/roles"
    done = in_order(office, (sam.put, path, {"roles": ["payer"]}), (other.put, path, {"roles": ["checker"]}))
    assert done[0][0] == 200 and done[1] == (409, "conflict")
    assert olga.get(f"/admin/people/{eve}")["roles"] == ["payer"]
    # what was seen is not what is held: nothing is given back or taken by the way
    assert outcome(sam.put, path, {"roles": ["staff"], "before": []}) == (409, "conflict")
    assert outcome(sam.put, path, {"roles": [], "before": "payer"})[0] == 422
    # a sealed role is opened by emergency access alone
    assert outcome(sam.put, path, {"roles": ["payer", "glass"]}) == (409, "sealed")
    # documents that keep apart what somebody holds together
    free = APART.replace("excludes: [payer]", "title: Checker")
    sam.post("/admin/policy/apply", {"files": before["files"] + [{"path": "apart.yaml", "text": free}]})
    sam.put(path, {"roles": ["payer", "checker"], "before": ["payer"]})
    kept = {"files": before["files"] + [{"path": "apart.yaml", "text": APART}]}
    check = sam.post("/admin/policy/validate", kept)
    assert not check["ok"] and [d["message"] for d in check["diagnostics"] if d["severity"] == "error"] == [
        "eve holds the roles 'payer' and 'checker', which these documents keep apart: take one of them from him first"]
    assert outcome(sam.post, "/admin/policy/apply", kept)[0] == 422
    sam.put(path, {"roles": ["checker"]})
    sam.post("/admin/policy/apply", kept)


# ---- a command line that was allowed


def allowed(office, person):
    line = stranger(office)
    ask = line.post("/cli/login", {"client": "a test"})
    person.post(f"/cli/login/{ask['user_code']}", {"allow": True})
    return line, {"poll_token": ask["poll_token"]}


@pytest.mark.parametrize("how", ["session", "everywhere", "reset"])
def test_a_command_line_ends_with_the_session_that_allowed_it(office, admins, bob, how):
    line, poll = allowed(office, bob)
    if how == "session":
        bob.sign_out()
    elif how == "everywhere":
        browser, last = asked(office, bob.key)
        browser.post("/sign-in/passkey/verify", last)
        browser.post("/sign-out", {"everywhere": True})
    else:
        admins[0].post(f"/admin/people/{bob.id}/reset", {"why": "a test"})
    assert outcome(line.post, "/cli/login/poll", poll) == (401, "sign_in_failed")
    assert outcome(line.get, "/me") == (401, "signed_out")


def test_a_command_line_under_way_ends_with_it_too(office, admins, bob):
    line, poll = allowed(office, bob)
    done = in_order(office, (admins[0].post, f"/admin/people/{bob.id}/reset", {"why": "a test"}),
                    (line.post, "/cli/login/poll", poll))
    assert done[0][0] == 200
    assert done[1] == (401, "sign_in_failed")

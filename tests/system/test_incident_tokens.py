# SPDX-License-Identifier: Apache-2.0
"""Other systems open incidents with a token that does nothing else: docs/INCIDENTS.md "Other systems"."""
import json
import sqlite3
import time

import pytest
from officelib import Office
from portal import Refused


@pytest.fixture(scope="module")
def office():
    one = Office()
    try:
        one.start()
        one.set_up_administrators()
        one.people["sam"].step_up()
        yield one
    finally:
        one.close()


def make(office, name):
    return office.people["sam"].post("/admin/api-tokens", {"name": name})


def open_one(office, token, body, path="/api/v1/hooks/incidents", **headers):
    return office.browser().request("POST", "portal", path, body=json.dumps(body).encode(),
                                    headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers})


def did(office, kind="admin"):
    return office.people["audrey"].get(f"/admin/ledger/events?kind={kind}&limit=200")["items"]


def happened(office, method, name):
    return [e for e in did(office) if (e.get("method"), e.get("object")) == (method, name)]


def test_a_token_opens_an_incident_and_nothing_else(office):
    made = make(office, "backups")
    assert made["scope"] == "incidents:open" and len(made["token"]) == 64
    title = "<b>备份</b> has \u202estopped & \"so\""
    answer = open_one(office, made["token"], {"title": title, "severity": "high", "topic": "backup", "text": "none since Monday"})
    assert answer.status == 201, answer.body
    said = answer.json()
    assert said["news"] is True
    incident = office.people["sam"].get(f"/incidents/{said['incident']}")
    assert incident["title"] == title and incident["opened_by"] == "api:backups" and incident["severity"] == "high"
    assert [n["text"] for n in incident["timeline"] if n["kind"] == "told"] == ["none since Monday"]
    again = open_one(office, made["token"], {"title": "still", "topic": "backup"}).json()
    assert again == {"incident": said["incident"], "news": False}
    mine = [e["detail"] for e in did(office, "incident") if e.get("person") == "api:backups" and e["detail"]["did"] == "open"]
    assert mine == [{"did": "open", "incident": said["incident"]}, {"did": "open"}], "the one that joined names it"
    for method, path in (("GET", "/api/v1/incidents"), ("GET", "/api/v1/me"), ("POST", "/api/v1/cuts"), ("POST", "/api/v1/incidents")):
        refused = office.browser().request(method, "portal", path, headers={"Authorization": f"Bearer {made['token']}"})
        assert refused.status == 401, path
    assert happened(office, "api token made", "backups") and "api:backups" in json.dumps(did(office, "incident"))


def test_it_is_shown_once_and_only_its_hash_is_kept(office):
    made = make(office, "once")
    rows = office.people["audrey"].get("/admin/api-tokens")["items"]
    assert [r["name"] for r in rows].count("once") == 1 and made["token"] not in json.dumps(rows)
    with open(f"{office.state}/core/core.db", "rb") as file:
        assert made["token"].encode() not in file.read()
    assert made["token"] not in office.log() and made["token"] not in json.dumps(did(office))
    with pytest.raises(Refused) as twice:
        make(office, "once")
    assert twice.value.status == 409


def test_one_that_was_taken_back_opens_nothing(office):
    made = make(office, "gone")
    office.people["sam"].call("DELETE", f"/admin/api-tokens/{made['id']}")
    listed = office.cli("api-token", "list", "-c", office.config).stdout
    assert "gone" not in listed and "backups" in listed
    answer = open_one(office, made["token"], {"title": "too late"})
    assert answer.status == 401 and answer.json()["code"] == "token_required"
    assert happened(office, "api token revoked", "gone")
    refused = [e for e in did(office, "incident") if (e.get("person"), e["detail"]["did"]) == ("api:gone", "api token refused")]
    assert len(refused) == 1, "who goes on with it stands in the ledger"


def test_root_makes_one_and_takes_it_back_at_the_command_line(office):
    token = office.cli("api-token", "make", "cron", "-c", office.config).stdout.strip()
    assert open_one(office, token, {"title": "by cron"}).status == 201
    number = next(r["id"] for r in office.people["sam"].get("/admin/api-tokens")["items"] if r["name"] == "cron")
    office.cli("api-token", "revoke", number, "-c", office.config)
    assert open_one(office, token, {"title": "by cron"}).status == 401


def test_who_may_make_one(office):
    for name in ("olga", "audrey"):
        with pytest.raises(Refused) as refused:
            office.people[name].post("/admin/api-tokens", {"name": "mine"})
        assert refused.value.status == 403


def test_what_is_wrong_is_told(office):
    token = make(office, "careless")["token"]
    for body, words in (({}, "title"), ({"title": "ab"}, "title"), ({"title": "x" * 201}, "title"),
                        ({"title": "good", "severity": "huge"}, "severity"), ({"title": "good", "person": "ann"}, "person"),
                        ({"title": "good", "topic": "t" * 121}, "topic")):
        answer = open_one(office, token, body)
        assert answer.status in (400, 422) and words in json.dumps(answer.json()), body
    assert open_one(office, token, {"title": "no type"}, **{"Content-Type": "text/plain"}).status == 415
    for name in ("", "Name", "a b", "x" * 64, "<b>"):
        with pytest.raises(Refused):
            make(office, name)


def test_a_token_is_limited_by_the_hour(office):
    made = make(office, "flood")
    with sqlite3.connect(f"{office.state}/core/core.db", timeout=20) as store:
        store.executemany("INSERT INTO api_token_use (token, at) VALUES (?, ?)", [(int(made["id"]), int(time.time()) - 60)] * 59)
    assert open_one(office, made["token"], {"title": "the sixtieth"}).status == 201
    answer = open_one(office, made["token"], {"title": "one more"})
    assert answer.status == 429 and 3000 < int(dict(answer.headers)["Retry-After"]) <= 3600


def test_a_store_that_does_not_answer_is_nobodys_guess(office):
    token = make(office, "in-bad-days")["token"]
    store = f"{office.state}/core/core.db"
    with sqlite3.connect(store, timeout=20) as db:
        db.execute("ALTER TABLE api_token RENAME TO api_token_away")
    try:
        said = {open_one(office, token, {"title": "it burns"}).status for _ in range(40)}
    finally:
        with sqlite3.connect(store, timeout=20) as db:
            db.execute("ALTER TABLE api_token_away RENAME TO api_token")
    assert said <= {500, 503}, said
    assert open_one(office, token, {"title": "it burns"}).status == 201
    assert open_one(office, "0" * 64, {"title": "guessed"}).status == 401, "no guess was counted"


def test_guessing_slows_its_address_down(office):
    good, gone = make(office, "good"), make(office, "gone-too")
    office.people["sam"].call("DELETE", f"/admin/api-tokens/{gone['id']}")
    for tries in range(1, 200):
        if open_one(office, "0" * 64, {"title": "guessed"}).status == 429:
            break
    assert 1 < tries < 150
    assert open_one(office, gone["token"], {"title": "it goes on"}).status == 429
    assert open_one(office, good["token"], {"title": "not stopped by guesses"}).status == 201
    office.person("sam")  # nobody of that address is kept from signing in


def test_a_token_is_no_mark_beside_a_cookie(office):
    for headers, status in (({"Authorization": "Bearer x"}, 403), ({"X-Sallyport-Request": "1"}, 204)):
        one = office.person("audrey")
        assert one.request("POST", "portal", "/api/v1/sign-out", body=b"{}",
                           headers={"Content-Type": "application/json", **headers}).status == status, headers

# SPDX-License-Identifier: Apache-2.0
"""Erasing from the ledger: two audit administrators, what is old enough, and the proof that stays.

The old entries are real: vault and ledger have run for a moment with their clock 200 days back.
"""

import datetime
import json
import os
import pathlib
import struct
import subprocess
import time

import pytest
from officelib import BUILD, PATIENT_S, PROGRAM, SANITIZED, Office, wait_for
from portal import Refused
from vault_client import Connection, OK, spawn_role

VERIFY = os.path.join(BUILD, "ledger", "verify", "sallyport-verify")
PRELOAD = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
WHY = "a court asked for it"


DAYS_US = 200 * 86400 * 1000000


def write_of(office, person):
    """As core would have: that somebody read a page."""
    varint = lambda n: bytes([n]) if n < 0x80 else bytes([n & 0x7F | 0x80]) + varint(n >> 7)
    numbers = [time.time_ns() // 1000 - DAYS_US, 0, 1, 0, 1, 100, 2000, 0, person, 900, 200, 0, 0, 0, 0]
    texts = [b"somebody", b"", b"notes", b"internal", b"", b"GET", b"/old", b""]
    event = (bytes([2, 0, 0, 1, 1, 0, 2, 0, 0, 0, 0]) + bytes(16) + b"".join(map(varint, numbers))
             + b"".join(varint(len(t)) + t for t in texts))
    line = Connection(os.path.join(office.run_dir, "ledger.sock"), office.uids["core"])
    assert line.call(0x0304, struct.pack(">QQH", 4242 + person, 1, 1) + struct.pack(">I", len(event)) + event)[0] == OK
    line.socket.close()


def long_ago(office):
    """The ledger writes down that root reads it, and of audrey and ada, 200 days ago."""
    env = {"LD_PRELOAD": PRELOAD, "FAKETIME": "-200d"}
    started = []
    for role in ("vault", "ledger"):
        path = pathlib.Path(office.run_dir, f"{role}.sock")
        started.append(spawn_role(role, PROGRAM, office.config, path, os.path.join(office.dir, f"{role}.log"), office.uids, env))
    try:
        for what in (("search", "--limit", "1"), ("entry", "0")):
            said = subprocess.run([PROGRAM, "ledger", *what, "-c", office.config], capture_output=True, text=True, timeout=60,
                                  check=False)
            assert said.returncode == 0, said.stderr
            time.sleep(1)  # two entries, not one of two events
        for name in ("audrey", "ada"):
            write_of(office, office.store("SELECT id FROM person WHERE name = ?", name)[0][0])
    finally:
        for process, listener in reversed(started):
            process.terminate()
            process.wait(20)
            listener.close()
    os.unlink(os.path.join(office.state, "ledger", "clock"))  # else it doubts the present for a day


@pytest.fixture(scope="module")
def office():
    if SANITIZED or not os.path.exists(PRELOAD) or os.geteuid() != 0:
        pytest.skip("needs libfaketime before no sanitizer, and uids of the roles")
    one = Office()
    try:
        one.start()
        one.set_up_administrators()
        olga, sam, _ = one.set_up_administrators()
        sam.step_up()
        one.people["ada"] = one.invite(olga, "ada", ["audit-admin"], granter=sam)
        one.stop()
        long_ago(one)
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def audrey(office):
    one = office.person("audrey")
    one.step_up()
    return one


@pytest.fixture(scope="module")
def sam(office):
    one = office.person("sam")
    one.step_up()
    return one


@pytest.fixture(scope="module")
def ada(office):
    one = office.person("ada")
    one.step_up()
    return one


def half_a_year():
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=190)).strftime("%Y-%m-%dT%H:%M:%SZ")


def old_entry(person):
    found = person.get(f"/admin/ledger/events?to={half_a_year()}&kind=read")["items"]
    assert found, "nothing is old"
    return found[0]["entry"]


def refused(call, status, code):
    with pytest.raises(Refused) as said:
        call()
    assert (said.value.status, said.value.problem["code"]) == (status, code), said.value.problem


def agree(person, ask):
    return person.post(f"/approvals/{ask['id']}/approve", {"sha256": ask["sha256"]})


@pytest.mark.slow
def test_what_is_refused(office, audrey, ada, sam):
    young = audrey.get("/admin/ledger/events?limit=1")["items"][0]["entry"]
    ask = lambda **what: audrey.post("/admin/ledger/erasures", {"reason": WHY, **what})
    refused(lambda: ask(entry=young), 409, "too_young")
    refused(lambda: ask(entry="99999999"), 404, "not_found")
    refused(lambda: ask(person=audrey.get("/me")["person"]["id"]), 409, "own_request")
    refused(lambda: ask(person=ada.get("/me")["person"]["id"]), 409, "too_young")
    for wrong in ({}, {"entry": "x"}, {"entry": "-1"}, {"person": "0"}, {"entry": young, "person": "3"}):
        with pytest.raises(Refused) as said:
            ask(**wrong)
        assert said.value.status == 422, wrong
    with pytest.raises(Refused) as said:
        sam.post("/admin/ledger/erasures", {"entry": old_entry(audrey), "reason": WHY})
    assert said.value.status == 403


def entry_of(audrey, person):
    who = person.get("/me")["person"]["name"]
    return audrey.get(f"/admin/ledger/events?to={half_a_year()}&person={who}")["items"][0]["entry"]


@pytest.mark.slow
def test_nobody_has_a_say_about_an_entry_of_himself(office, audrey, ada):
    for one, other in ((audrey, ada), (ada, audrey)):
        own = entry_of(audrey, one)
        refused(lambda: one.post("/admin/ledger/erasures", {"entry": own, "reason": WHY}), 409, "own_request")
        ask = other.post("/admin/ledger/erasures", {"entry": own, "reason": WHY})
        refused(lambda: agree(one, ask), 409, "own_entries")
        other.post(f"/approvals/{ask['id']}/withdraw")


@pytest.mark.slow
def test_two_take_an_entry_out_and_the_proof_stays(office, audrey, ada, sam, tmp_path):
    entry = old_entry(audrey)
    before = audrey.get(f"/admin/ledger/entries/{entry}")
    assert before["events"] and not before["redacted"]
    ask = audrey.post("/admin/ledger/erasures", {"entry": entry, "reason": WHY})
    assert ask["kind"] == "erasure" and ask["statement"] == f"sallyport ledger erase --entry {entry}"
    assert ask["estimated_rows"] == 1
    refused(lambda: agree(audrey, ask), 409, "own_request")
    refused(lambda: agree(sam, ask), 409, "not_approver")
    assert not audrey.get(f"/admin/ledger/entries/{entry}")["redacted"]
    agree(ada, ask)
    wait_for("the erasure", 20, lambda: audrey.get(f"/approvals/{ask['id']}")["state"] == "used")
    after = audrey.get(f"/admin/ledger/entries/{entry}")
    assert after["redacted"] and after["events"] == [] and after["leaf_hash"] == before["leaf_hash"]
    said = audrey.get("/admin/ledger/events?kind=redaction")["items"][0]
    assert said["detail"]["from"] == int(entry) and said["detail"]["approval"] == ask["id"]
    assert str(said["detail"]["by"]) == audrey.get("/me")["person"]["id"]
    refused(lambda: audrey.post("/admin/ledger/erasures", {"entry": entry, "reason": WHY}), 404, "not_found")

    done = office.cli("ledger", "verify", "-c", office.config)
    assert done.stdout.strip().splitlines()[-1].startswith("GOOD"), done.stdout
    line = next(one for one in done.stdout.splitlines() if one.startswith("erased:"))
    for part in (f"entry {entry} ", datetime.date.today().isoformat()[:7], f"person {audrey.get('/me')['person']['id']}", ask["id"], WHY):
        assert part in line, line

    office.cli("ledger", "export", str(tmp_path / "pack"), "-c", office.config)
    done = subprocess.run([VERIFY, str(tmp_path / "pack")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert WHY in done.stdout and ask["id"] in done.stdout and '"kind":"redaction"' in done.stdout

    # core died before it had heard that: it asks again, and what is not there any more was erased
    office.store("UPDATE ask SET state = 1 WHERE content = ?", f"sallyport ledger erase --entry {entry}".encode())
    office.wait_role("core", office.kill("core"))
    wait_for("used again", 20, lambda: office.person("audrey").get(f"/approvals/{ask['id']}")["state"] == "used")


def left_without_votes(office, entry):
    """One more ask for it, approved as the store has it: the next core gives it up when it looks for what was left."""
    (last,), = office.store("SELECT MAX(id) FROM ask")
    names = [row[1] for row in office.store("PRAGMA table_info(ask)")]
    values = ({"id": str(last + 1), "state": "1"}.get(name, name) for name in names)
    office.store(f"INSERT INTO ask ({', '.join(names)}) SELECT {', '.join(values)} FROM ask WHERE content = ? LIMIT 1",
                 f"sallyport ledger erase --entry {entry}".encode())
    return last + 1


@pytest.mark.slow
def test_whoever_was_locked_meanwhile_erases_nothing(office, audrey, ada):
    entry = old_entry(audrey)
    ask = ada.post("/admin/ledger/erasures", {"entry": entry, "reason": WHY})
    olga = office.person("olga")
    olga.step_up()
    who = ada.get("/me")["person"]["id"]
    olga.post(f"/admin/people/{who}/disable")
    agree(audrey, ask)
    wait_for("the ledger's word", 20, lambda: [one for one in audrey.get("/admin/ledger/events?kind=approval")["items"]
                                               if "erasing failed" in json.dumps(one)])
    assert not audrey.get(f"/admin/ledger/entries/{entry}")["redacted"]
    refused(lambda: audrey.post("/admin/ledger/erasures", {"entry": entry, "reason": WHY}), 409, "nobody_approves")
    assert audrey.get(f"/approvals/{ask['id']}")["state"] == "expired"
    olga.post(f"/admin/people/{who}/enable")
    mark = left_without_votes(office, entry)
    office.wait_role("core", office.kill("core"))
    wait_for("core's look for what was left", PATIENT_S, lambda: office.store("SELECT state FROM ask WHERE id = ?", mark) != [(1,)])
    audrey = office.person("audrey")
    assert not audrey.get(f"/admin/ledger/entries/{entry}")["redacted"]
    assert audrey.get(f"/approvals/{ask['id']}")["state"] == "expired"

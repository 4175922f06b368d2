# SPDX-License-Identifier: Apache-2.0
"""Lists of an office of 20,000 people: page by page, each once, quickly; over the API and the command line."""

import json
import os
import sqlite3
import subprocess
import time

import pytest
from officelib import PROGRAM, SANITIZED, Office
from portal import Refused
from test_core_cli import Shell

pytestmark = pytest.mark.shipped

MANY = 2000 if SANITIZED else 20000
QUICK_S = 5 if SANITIZED else 0.5


def fill(path):
    """Accounts and devices put in beside a core that does not run."""
    store = sqlite3.connect(path)
    now = int(time.time())
    with store:
        store.executemany("INSERT INTO person (id, name, display, state, created) VALUES (?, ?, ?, 1, ?)",
                          ((1000 + i, f"worker{i:05}", f"Worker {i}", now) for i in range(MANY)))
        store.executemany(
            "INSERT INTO device (id, slot, person, state, owner, posture, cloned, posture_unix_s, created_unix_s, "
            "changed_unix_s, seen_unix_s, name, why, decided_by, platform, checks, key_storage, key_hash, csr, ticket) "
            "VALUES (?, NULL, ?, ?, 1, 0, 0, 0, ?, ?, 0, ?, '', '', '{}', '[]', 'file', ?, x'00', NULL)",
            ((1 + i, 1000 + i, 1 if i % 100 == 0 else 4, now, now, "laptop" if i < 500 else f"laptop.{i}",
              i.to_bytes(32, "big")) for i in range(MANY)))
    store.close()


@pytest.fixture(scope="module")
def office():
    one = Office()
    try:
        one.start()
        one.set_up_administrators()
        one.stop()
        fill(os.path.join(one.state, "core", "core.db"))
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def sam(office):
    return office.people["sam"]


def timed(office, call):
    """What it says, and the seconds for which core computed meanwhile, whatever else the machine does."""

    def used():
        with open(f"/proc/{office.pid('core')}/stat", encoding="ascii", errors="replace") as file:
            return sum(int(ticks) for ticks in file.read().rpartition(")")[2].split()[11:13]) / os.sysconf("SC_CLK_TCK")

    before = used()
    said = call()
    return said, used() - before


def pages(office, person, path, limit):
    found, slowest, cursor = [], 0, None
    while True:
        page, took = timed(office, lambda: person.get(f"{path}?limit={limit}" + (f"&cursor={cursor}" if cursor else "")))
        slowest = max(slowest, took)
        assert len(page["items"]) <= limit
        found += page["items"]
        cursor = page["next"]
        if not cursor:
            return found, slowest


@pytest.mark.parametrize("path", ["/admin/people", "/admin/devices"])
def test_everybody_is_listed_once_and_quickly(office, sam, path):
    found, slowest = pages(office, sam, path, 200)
    ids = [one["id"] for one in found]
    assert len(ids) == len(set(ids)) and len(ids) >= MANY
    assert slowest < QUICK_S, f"core computed for {slowest:.3f} s"


def test_pending_devices_come_first(office, sam):
    found, _ = pages(office, sam, "/admin/devices", 200)
    states = [one["state"] for one in found]
    assert states == sorted(states, key=lambda state: state != "pending")
    assert states.count("pending") == MANY // 100


def test_a_page_keeps_its_place_when_things_change(office, sam):
    first = sam.get("/admin/people?limit=5&q=worker")
    assert [one["name"] for one in first["items"]] == [f"worker{i:05}" for i in range(5)]
    second = sam.get(f"/admin/people?limit=5&q=worker&cursor={first['next']}")
    assert [one["name"] for one in second["items"]] == [f"worker{i:05}" for i in range(5, 10)]


def test_filters_and_bad_cursors(sam):
    assert [one["name"] for one in sam.items("/admin/people?q=worker00777")] == ["worker00777"]
    assert [one["name"] for one in sam.items("/admin/people?role=audit-admin")] == ["audrey"]
    assert sam.items("/admin/people?role=nobody-has-it") == []
    assert len(sam.items(f"/admin/devices?person={1000 + 7}")) == 1
    for path in ("/admin/devices?cursor=x", "/admin/devices?cursor=2.1.a", "/admin/sessions?cursor=a",
                 "/admin/people?limit=201", "/admin/devices?limit=0"):
        with pytest.raises(Refused) as refused:
            sam.get(path)
        assert refused.value.status == 422, path


def test_the_overview_counts_quickly(office, sam):
    overview, took = timed(office, lambda: sam.get("/admin/overview"))
    assert took < QUICK_S
    assert overview["people"]["active"] == MANY + 3 and overview["devices"]["pending"] == MANY // 100
    assert not [a for a in overview["attention"] if a["code"].startswith("no_")]


def test_sessions_by_pages(office, sam):
    more = [sam.again() for _ in range(3)]
    # a code serves once: the sessions are those of the three administrators and of one new browser
    more[0].sign_in()
    found, _ = pages(office, sam, "/admin/sessions", 2)
    ids = [one["id"] for one in found]
    assert len(ids) == len(set(ids)) == 4
    assert {one["person"]["name"] for one in sam.items("/admin/sessions?limit=1&q=sam")} == {"sam"}


def test_a_session_id_that_is_none_is_not_one_that_ended(sam):
    for bad, word in (("12", "hexadecimal"), ("zzzzzzzzzzzzzzzz", "hexadecimal"), ("00000000000000ff", "ended already")):
        with pytest.raises(Refused) as refused:
            sam.post(f"/admin/sessions/{bad}/end", {})
        assert refused.value.status == 404 and word in refused.value.problem["detail"]


def test_pages_of_the_command_line(office, sam, tmp_path):
    shell = Shell(office, sam, tmp_path)
    done = subprocess.run([PROGRAM, "person", "list", "--search", "worker", "--page", "3"], capture_output=True,
                          text=True, env=shell.env, timeout=60, check=True)
    assert "worker00002" in done.stdout and "worker00003" not in done.stdout
    assert done.stderr == "more: --after worker00002\n"
    page = shell.json("person", "list", "--search", "worker", "--page", "3", "--after", "worker00002")
    assert [one["name"] for one in page["items"]] == ["worker00003", "worker00004", "worker00005"]
    devices = json.loads(shell.run("device", "list", "--page", "2", "--json"))
    assert devices["next"].startswith("0.") and len(devices["items"]) == 2
    assert len(shell.json("session", "list", "--page", "1")["items"]) == 1
    assert len(shell.json("person", "list")) == MANY + 3

# SPDX-License-Identifier: Apache-2.0
"""The ledger as the audit administrator has it over the API: the pack and its verifier, the counters of the
overview, the health of roles that died."""

import os
import subprocess
import tarfile
import time

import pytest
from officelib import BUILD, Office, wait_for
from portal import Refused
from test_web_office import DOCUMENTS
from webgatelib import Upstream

VERIFY = os.path.join(BUILD, "ledger", "verify", "sallyport-verify")


@pytest.fixture(scope="module")
def office():
    server = Upstream()
    one = Office(documents={"office.yaml": DOCUMENTS % {"port": server.server_port}})
    try:
        one.start()
        yield one
    finally:
        one.close()
        server.shutdown()


@pytest.fixture(scope="module")
def people(office):
    return office.set_up_administrators()


@pytest.fixture(scope="module")
def audrey(people):
    people[2].step_up()
    return people[2]


def fetch(person, path="/admin/ledger/export"):
    return person.request("GET", "portal", "/api/v1" + path, headers={"Accept": "application/x-tar"})


def unpack(answer, where):
    file = where / "pack.tar"
    file.write_bytes(answer.body)
    with tarfile.open(file) as tar:
        names = tar.getnames()
        tar.extractall(where / "pack", filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(where / "pack")
    return where / "pack", names


def verify(pack, *words):
    return subprocess.run([VERIFY, *words, str(pack)], capture_output=True, text=True, timeout=60, check=False)


def test_the_pack_verifies_and_a_changed_one_does_not(office, audrey, tmp_path):
    for i in range(300):  # more than one run of 256 entries
        audrey.get(f"/admin/ledger/events?limit=1&q=nothing{i}")
        audrey.get("/admin/ledger/checkpoint")
    answer = fetch(audrey)
    assert answer.status == 200 and "attachment" in answer.header("Content-Disposition")
    pack, names = unpack(answer, tmp_path)
    assert {"checkpoint", "key", "secrets", "tile/0/000", "tile/entries/000"} <= set(names), names
    done = verify(pack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len((pack / "secrets").read_text().splitlines()) > 250
    size = int((pack / "checkpoint").read_text().splitlines()[1])
    assert sum(len(p.read_bytes()) // 32 for p in (pack / "tile" / "0").rglob("*") if p.is_file()) == size
    bundle = pack / "tile" / "entries" / "000"
    changed = bytearray(bundle.read_bytes())
    changed[len(changed) // 2] ^= 1
    bundle.write_bytes(changed)
    assert verify(pack).returncode != 0


def test_the_pack_is_the_same_as_the_command_lines(office, audrey, tmp_path):
    pack, _ = unpack(fetch(audrey), tmp_path)
    own = tmp_path / "own"
    office.cli("ledger", "export", str(own), "-c", office.config)
    for name in ("key", "tile/0/000", "tile/entries/000"):
        assert (pack / name).read_bytes() == (own / name).read_bytes(), name


def test_a_time_range_opens_only_its_own(office, audrey, tmp_path):
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    time.sleep(2)
    audrey.get("/admin/ledger/events?limit=1&q=late")
    audrey.get("/admin/ledger/checkpoint")
    pack, _ = unpack(fetch(audrey, f"/admin/ledger/export?from={begin}"), tmp_path)
    assert verify(pack).returncode == 0
    assert 0 < len((pack / "secrets").read_text().splitlines()) < 20


def test_only_the_audit_administrator_and_on_record(office, people, audrey):
    olga, sam, _ = people
    for person in (olga, sam):
        assert fetch(person).status == 403
    assert office.browser().request("GET", "portal", "/api/v1/admin/ledger/export").status == 401
    assert fetch(audrey, "/admin/ledger/export?dry_run=true").status == 204
    with pytest.raises(Refused) as refused:
        audrey.get("/admin/ledger/export?from=yesterday")
    assert refused.value.status == 422

    def recorded():
        items = audrey.get("/admin/ledger/events?kind=read&q=ledger%20pack")["items"]
        return [item for item in items if item["person"] == "audrey"]

    assert len(wait_for("the exports in the ledger", 10, recorded)) >= 3


def test_no_page_is_read_without_an_entry(audrey, people):
    """A reading is an entry; its next page is not another, but no other position passes for a next page."""
    sam = people[1]

    def readings(purpose, count):
        def found():
            items = audrey.get(f"/admin/ledger/events?kind=read&limit=200&q={purpose.replace(' ', '%20')}")["items"]
            return [item for item in items if item["object"] == purpose and item["person"] == "sam"][count - 1:]
        assert len(wait_for(f"{count} times {purpose}", 10, found)) == 1

    for path, purpose in (("/admin/databases/statements", "statements at databases"),
                          ("/admin/sessions/00000000000000aa/events", "events of a session")):
        sam.get(path)
        for cursor in ("18446744073709551614.0", "9223372036854775807.0", "5.1", "5.1"):
            sam.get(f"{path}?cursor={cursor}")
        readings(purpose, 5)
    sessions = [one["id"] for one in sam.items("/admin/sessions")]
    pages = [(one, sam.get(f"/admin/sessions/{one}/events?limit=1")) for one in sessions]
    one, page = next((one, page) for one, page in pages if page["next"])
    for _ in range(3):
        page = sam.get(f"/admin/sessions/{one}/events?limit=1&cursor={page['next']}") if page["next"] else page
    readings("events of a session", 5 + len(sessions))
    sam.get(f"/admin/sessions/00000000000000aa/events?cursor={page['next'] or '3.1'}")  # another search
    readings("events of a session", 6 + len(sessions))


# ---- counters

def counts(person):
    decisions = person.get("/admin/overview")["decisions"]
    return decisions["allowed"], decisions["denied"]


def test_decisions_are_counted_and_the_count_outlives_the_ledger(office, audrey):
    leo = office.employee("leo", ["staff"])
    leo.follow("notes", "/")
    time.sleep(1)  # what came before is counted
    before = counts(audrey)
    for _ in range(5):
        assert leo.request("GET", "notes", "/page").status == 200
    for _ in range(3):
        assert leo.request("GET", "notes", "/books/x").status == 403
    wanted = (before[0] + 5, before[1] + 3)
    wait_for("the counts", 10, lambda: counts(audrey) == wanted, step=0.2)
    hours = audrey.get("/admin/overview")["decisions"]["per_hour"]
    assert len(hours) == 24 and sum(h["allowed"] for h in hours) == wanted[0]

    office.wait_role("ledger", other_than=office.kill("ledger"))  # kill -9: no file yet, read back
    wait_for("the counts after a kill", 15, lambda: counts(audrey) == wanted, step=0.2)
    kept = os.path.join(office.state, "ledger", "counts")
    office.wait_role("ledger", other_than=office.kill("ledger", 15))
    assert os.path.exists(kept)
    wait_for("the counts out of the file", 15, lambda: counts(audrey) == wanted, step=0.2)
    with open(kept, "r+b") as file:
        file.write(b"nonsense")
    office.wait_role("ledger", other_than=office.kill("ledger"))
    wait_for("the counts in spite of nonsense", 15, lambda: counts(audrey) == wanted, step=0.2)


def test_health_tells_of_restarts(office, audrey):
    roles = {role["name"]: role for role in audrey.get("/admin/health")["roles"]}
    assert roles["ledger"]["restarts"] >= 3 and "signal" in roles["ledger"]["last_end"]
    assert roles["ledger"]["pid"] == office.pid("ledger") and roles["ledger"]["since"]
    assert roles["vault"]["restarts"] == 0
    assert set(roles) == {role["role"] for role in office.status()["roles"]} and len(roles) > 5
    assert all(role["state"] in ("up", "starting") for role in roles.values()), roles

# SPDX-License-Identifier: Apache-2.0
"""The office's documents over the real program: good and bad ones, who may change what, versions,
rollback, concurrent applies, and that nothing changes unless the ledger has it."""

import os
import signal
import threading
import time

import pytest

from officelib import wait_for
from portal import Refused


def files_of(person):
    return person.get("/admin/policy/documents")["files"]


def with_rule(files, text):
    return files + [{"path": "added.yaml", "text": text}]


RULE = """
kind: Rule
name: interns read public
who: { roles: [staff] }
to: { classes: [public] }
may: [connect, read]
"""


@pytest.fixture(scope="module")
def admins(office):
    return office.set_up_administrators()  # their sign-in is fresh for ten minutes


def test_first_documents_are_version_one(admins):
    _, sam, _ = admins
    first = sam.get("/admin/policy")
    assert first["version"] == "1" and first["by"] == "root" and first["current"]
    assert first["comment"] == "first start"
    assert len(files_of(sam)) >= 3


def test_a_bad_document_changes_nothing(admins):
    _, sam, _ = admins
    before = sam.get("/admin/policy")
    bad = with_rule(files_of(sam), RULE.replace("[public]", "[publik]"))
    check = sam.post("/admin/policy/validate", {"files": bad})
    assert check["ok"] is False
    (error,) = [d for d in check["diagnostics"] if d["severity"] == "error"]
    assert error["path"] == "added.yaml" and error["line"] == 5 and "publik" in error["message"]
    with pytest.raises(Refused) as refused:
        sam.post("/admin/policy/apply", {"files": bad})
    assert refused.value.status == 422 and refused.value.problem["check"]["ok"] is False
    assert sam.get("/admin/policy") == before


def test_apply_history_diff_and_rollback(admins):
    _, sam, _ = admins
    before = sam.get("/admin/policy")
    files = with_rule(files_of(sam), RULE)
    check = sam.post("/admin/policy/validate", {"files": files})
    assert check["ok"] and check["diff"]["documents"] == [
        {"kind": "Rule", "name": "interns read public", "change": "added"}]
    applied = sam.post("/admin/policy/apply", {"files": files, "base_version": before["version"],
                                               "comment": "interns"})
    assert applied["version"] == str(int(before["version"]) + 1)
    assert applied["by"] == "sam" and applied["comment"] == "interns"
    assert any(r["name"] == "interns read public" for r in sam.items("/admin/policy/rules"))
    again = sam.post("/admin/policy/apply", {"files": files})
    assert again["version"] == applied["version"], "the same documents make no new version"
    diff = sam.get(f"/admin/policy/diff?from={before['version']}&to={applied['version']}")
    assert [f["path"] for f in diff["files"]] == ["added.yaml"]
    back = sam.post(f"/admin/policy/versions/{before['version']}/rollback", {"comment": "no interns"})
    assert back["rollback_of"] == before["version"] and back["digest"] == before["digest"]
    assert not any(r["name"] == "interns read public" for r in sam.items("/admin/policy/rules"))
    versions = sam.items("/admin/policy/versions")
    assert [v["version"] for v in versions] == [str(n) for n in range(int(back["version"]), 0, -1)]
    assert [v["current"] for v in versions] == [True] + [False] * (len(versions) - 1)


def test_a_long_comparison_keeps_nobody_waiting(admins):
    """Compared on another thread, one at a time: core answers others meanwhile."""
    _, sam, _ = admins
    files = files_of(sam)
    base = sam.get("/admin/policy")["version"]
    many = "".join(RULE.replace("interns read public", f"interns read public {i}") + "\n---\n" for i in range(4000))
    applied = sam.post("/admin/policy/apply", {"files": files + [{"path": "many.yaml", "text": many[:-5]}]})
    path = f"/admin/policy/diff?from={base}&to={applied['version']}"
    said = []

    def compare():
        begin = time.monotonic()
        said.append((sam.get(path), time.monotonic() - begin))

    thread = threading.Thread(target=compare)
    thread.start()
    time.sleep(0.1)
    waits, busy = [], 0
    while thread.is_alive():
        begin = time.monotonic()
        sam.get("/me")
        waits.append(time.monotonic() - begin)
        try:
            sam.get(path)
        except Refused as refused:
            assert (refused.status, refused.code) == (409, "busy")
            busy += 1
    thread.join()
    diff, took = said[0]
    assert [f["path"] for f in diff["files"]] == ["many.yaml"]
    assert busy > 0 and len(waits) > 2 and max(waits) < took / 2, (busy, max(waits), took)
    sam.post(f"/admin/policy/versions/{base}/rollback", {"comment": "fewer rules"})


def test_an_outdated_base_is_a_conflict(admins):
    _, sam, _ = admins
    files = files_of(sam)
    with pytest.raises(Refused) as refused:
        sam.post("/admin/policy/apply", {"files": with_rule(files, RULE), "base_version": "1"})
    assert refused.value.status == 409 and refused.value.code == "conflict"


def test_concurrent_applies_are_serial(admins):
    _, sam, _ = admins
    files = files_of(sam)
    base = sam.get("/admin/policy")["version"]
    results = []

    def apply(number):
        text = RULE.replace("interns", f"group {number}")
        try:
            results.append(sam.post("/admin/policy/apply", {
                "files": with_rule(files, text), "base_version": base})["version"])
        except Refused as refused:
            results.append(refused.code)

    threads = [threading.Thread(target=apply, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted([str(int(base) + 1)] + ["conflict"] * 4)
    sam.post(f"/admin/policy/versions/{base}/rollback", {"comment": ""})


def test_three_administrators_apart(admins):
    olga, sam, audrey = admins
    files = with_rule(files_of(sam), RULE)
    with pytest.raises(Refused) as refused:
        olga.post("/admin/policy/apply", {"files": files})
    assert refused.value.status == 403
    with pytest.raises(Refused) as refused:
        audrey.post("/admin/policy/apply", {"files": files})
    assert refused.value.code == "not_yours", "an audit administrator changes Retention alone"
    keep = with_rule(files_of(sam), "kind: Retention\nname: a year\nkeep: 365d\n")
    with pytest.raises(Refused) as refused:
        sam.post("/admin/policy/apply", {"files": keep})
    assert refused.value.code == "not_yours", "a security administrator does not change Retention"
    before = audrey.get("/admin/policy")["version"]
    audrey.post("/admin/policy/apply", {"files": keep})
    wait_for("the ledger's retention", 5,
             lambda: audrey.get("/admin/ledger/status")["retention_days"] >= 365)
    audrey.post(f"/admin/policy/versions/{before}/rollback", {"comment": ""})
    me = sam.get("/me")["person"]["id"]
    with pytest.raises(Refused) as refused:
        sam.put(f"/admin/people/{me}/roles", {"roles": ["security-admin", "staff"]})
    assert refused.value.code == "own_roles"
    audrey_id = audrey.get("/me")["person"]["id"]
    with pytest.raises(Refused) as refused:
        sam.put(f"/admin/people/{audrey_id}/roles", {"roles": ["security-admin", "audit-admin"]})
    assert refused.value.code == "roles_apart"
    for path in ("/admin/ledger/events", "/admin/ledger/status"):
        with pytest.raises(Refused) as refused:
            sam.get(path)
        assert refused.value.status == 403
    with pytest.raises(Refused) as refused:
        olga.put(f"/admin/people/{audrey_id}/roles", {"roles": []})
    assert refused.value.status == 403


def test_changes_are_in_the_ledger_with_their_author(admins):
    _, sam, audrey = admins
    found = audrey.items("/admin/ledger/events?kind=policy&limit=50")
    by = {event["person"] for event in found if "person" in event}
    assert "sam" in by and "audrey" in by
    assert any(event["detail"]["comment"] == "interns" for event in found)
    assert sam.get("/me/events?limit=5")["items"]


def test_lists_matrix_and_explain(admins):
    _, sam, _ = admins
    resources = {r["name"]: r for r in sam.items("/admin/resources")}
    orders = resources["orders-db"]
    assert {"name": "table public.customers", "class": "core", "tags": ["personal-info"]} in orders["parts"], orders
    assert orders["address"] == "127.0.0.1:18405" and "address" not in resources["lab"]
    classes = sam.items("/admin/classes")
    assert next(c for c in classes if c["name"] == "core")["resources"] >= len(orders["parts"])
    assert [c["level"] for c in classes] == sorted(c["level"] for c in classes)
    assert all(n["state"] == "proven" and n["yaml"] for n in sam.items("/admin/policy/nevers"))
    examples = sam.items("/admin/policy/examples")
    assert examples and all(e["ok"] and e["got"] == e["expect"] for e in examples)
    rules = sam.items("/admin/policy/rules")
    assert all(f"name: {r['name']}" in r["yaml"] or r["name"] in r["yaml"] for r in rules)
    matrix = sam.get("/admin/policy/matrix?role=staff")
    assert matrix["cells"] and {"class", "action", "owner", "verdict"} <= set(matrix["cells"][0])
    resource = sam.items("/admin/resources")[0]["name"]
    told = sam.post("/admin/policy/explain", {"roles": ["staff"], "resource": resource,
                                              "action": "destroy", "owner": "personal"})
    assert told["verdict"] in ("deny", "ask", "allow") and told["sentence"]["en"]


def test_hostile_bodies(admins):
    _, sam, _ = admins
    before = sam.get("/admin/policy")
    for files in ([{"path": "../x.yaml", "text": ""}], [{"path": "/etc/x.yaml", "text": ""}],
                  [{"path": ".x.yaml", "text": ""}], [{"path": "a.yaml"}], "a", [1],
                  [{"path": "a.yaml", "text": "", "more": 1}], [{"path": "a", "text": "x"}] * 1001,
                  [{"path": "a.yaml", "text": "a: &a [x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n"}],
                  [{"path": "a.yaml", "text": "x" * (4 << 20) + "y"}]):
        with pytest.raises(Refused) as refused:
            sam.post("/admin/policy/apply", {"files": files})
        assert refused.value.status in (400, 413, 422), files if len(str(files)) < 200 else "large"
    assert sam.get("/admin/policy") == before


def test_a_stranger_cannot_fill_memory(office, admins):
    """The large bodies that an administrator may send are nobody else's."""
    body = b'{"files":[{"path":"a.yaml","text":"' + b"x" * (8 << 20) + b'"}]}'
    headers = {"Content-Type": "application/json", "X-Sallyport-Request": "1"}
    answer = office.browser().request("POST", "portal", "/api/v1/admin/policy/apply", body, headers)
    assert answer.status in (401, 413)
    leo = office.employee("leo", ["staff"])
    answer = leo.request("POST", "portal", "/api/v1/admin/policy/apply", body, headers)
    assert answer.status in (403, 413)
    began = time.monotonic()
    answer = leo.request("POST", "portal", "/api/v1/admin/policy/apply", b"", {**headers, "Content-Length": str(8 << 20)})
    assert answer.status in (403, 413) and time.monotonic() - began < 5, "said before the body is there"
    assert admins[1].request("POST", "portal", "/api/v1/admin/policy/validate", body, headers).status == 422


def test_nothing_is_applied_that_the_ledger_does_not_have(make_office):
    office = make_office()
    _, sam, _ = office.set_up_administrators()
    files = with_rule(files_of(sam), RULE)
    ledger = office.pid("ledger")
    os.kill(ledger, signal.SIGSTOP)
    try:
        with pytest.raises(Refused) as refused:
            sam.post("/admin/policy/apply", {"files": files})
        assert refused.value.status == 503 and refused.value.code == "unrecordable"
    finally:
        os.kill(ledger, signal.SIGCONT)
    assert sam.get("/admin/policy")["version"] == "1"
    wait_for("an apply", 20, lambda: _applies(sam, files))
    core = office.kill("core")
    office.wait_role("core", other_than=core)
    wait_for("the portal", 20, lambda: _version(sam) == "2")


def _applies(sam, files):
    try:
        return sam.post("/admin/policy/apply", {"files": files})["version"] == "2"
    except Refused:
        return False


def _version(sam):
    try:
        return sam.get("/admin/policy")["version"]
    except (Refused, OSError):
        return None

# SPDX-License-Identifier: Apache-2.0
"""Files over SSH that others have to agree to, that cost a budget, that lie in a graver part of the machine.
OWNS nothing. PROCESS tests. TRUST none. SPEC gates/ssh/sftp_judge.c, gates/ssh/consent.c."""

import os
import shutil
import subprocess
import tempfile

import pytest

from officelib import wait_for
from sshgatelib import ACCOUNT, SshOffice

MIB = 1 << 20
DOCUMENTS = """\
{ kind: Role, name: asker, title: Askers }
---
{ kind: Role, name: taker, title: Takers }
---
{ kind: Role, name: sipper, title: Sippers }
---
{ kind: Role, name: putter, title: Putters }
---
{ kind: Role, name: digger, title: Diggers }
---
kind: Rule
name: engineers work
who: { roles: [engineer] }
to: { classes: [internal] }
may: [connect, read, write, execute, import, export, destroy]
with: { record: true }
---
kind: Rule
name: engineers change what is vital and take nothing of it
who: { roles: [engineer] }
to: { classes: [core] }
may: [read, write]
---
kind: Rule
name: askers look around
who: { roles: [asker, taker, sipper] }
to: { classes: [internal] }
may: [connect, read]
---
kind: Role
name: helper
request: { who: { roles: [asker] }, ask: { approved_by: 1, by: { roles: [engineer] } }, longest: 1h }
---
kind: Rule
name: a putter agrees to each file that a helper takes
who: { roles: [helper] }
to: { classes: [internal] }
may: [export]
ask: { approved_by: 1, by: { roles: [putter] }, on: { owner: [unknown, personal, company] }, expires: 15m }
---
kind: Rule
name: a colleague agrees to each file
who: { roles: [asker] }
to: { classes: [internal] }
may: [import, export, destroy]
ask: { approved_by: 1, by: { roles: [engineer] }, on: { owner: [unknown, personal, company] }, expires: 15m }
with: { record: true }
---
kind: Rule
name: takers take a little a day
who: { roles: [taker] }
to: { classes: [internal] }
may: [execute, export]
with: { limit: { bytes: 3 MiB, per: day } }
---
kind: Rule
name: sippers take small files
who: { roles: [sipper] }
to: { classes: [internal] }
may: [execute, export]
with: { limit: { bytes: 100 KiB } }
---
kind: Rule
name: putters bring files and take nothing away
who: { roles: [putter] }
to: { classes: [internal] }
may: [connect, read, write, import]
---
kind: Rule
name: diggers look around
who: { roles: [digger] }
to: { classes: [internal] }
may: [connect, read]
---
kind: Rule
name: an engineer agrees to what diggers run
who: { roles: [digger] }
to: { classes: [internal] }
may: [execute, write, import, export, destroy]
ask: { approved_by: 1, by: { roles: [engineer] }, on: { owner: [unknown, personal, company] }, expires: 15m }
---
kind: Rule
name: a putter agrees where it may meet what is vital
who: { roles: [digger] }
to: { classes: [core] }
may: [execute, write, import, export, destroy]
ask: { approved_by: 1, by: { roles: [putter] }, on: { owner: [unknown, personal, company] }, expires: 15m }
---
kind: Budget
name: nobody removes fast
who: { any: true }
actions: [destroy]
per: 10m
statements: 3
then: lock
"""


@pytest.fixture(scope="module")
def far():
    path = tempfile.mkdtemp(prefix="sp-far-")
    os.mkdir(path + "/vital")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def office(far):
    parts = f"  parts: [{{ path: {os.path.realpath(far)}/vital, class: core }}]\n"
    one = SshOffice(DOCUMENTS, more=parts, hosts={"plain": ""})
    try:
        one.people(ann="engineer", abe="asker", tom="taker", sue="sipper", eve="engineer", pat="putter", dig="digger")
        yield one
    finally:
        one.close()


def start(office, name, batch):
    client = subprocess.Popen(office.argv(name, "host", "-b", "-", "127.0.0.1", program="sftp"), text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    client.stdin.write(batch)
    client.stdin.close()
    client.stdin = None
    return client


def sftp(office, name, batch):
    told = office.sftp(name, "host", batch)
    return told.returncode, told.stderr + told.stdout


def decide(office, text, verdict="approve"):
    full = office.asked()
    assert full["statement"].startswith(f"{ACCOUNT}@host: {text}")
    return office.decide(verdict, full)


def test_a_file_waits_for_others_and_then_comes(office, far, tmp_path):
    with open(far + "/list", "wb") as file:
        file.write(b"x" * 300000)
    client = start(office, "abe", f"ls {far}\nget {far}/list {tmp_path}/got\n")
    assert "waits until 1 other person agrees" in client.stderr.readline()
    full = decide(office, f"sftp get {far}/list")
    assert full["action"] == "export" and full["statement"] == f"{ACCOUNT}@host: sftp get {far}/list"
    _, said = client.communicate(timeout=20)
    assert client.returncode == 0 and "approved by ann" in said
    assert (tmp_path / "got").read_bytes() == b"x" * 300000
    client = start(office, "abe", f"get {far}/list {tmp_path}/again\n")  # an approval is for once
    assert "waits until" in client.stderr.readline()
    decide(office, "sftp get", "refuse")
    _, said = client.communicate(timeout=20)
    assert client.returncode != 0 and "did not agree" in said and "reference" in said
    assert not (tmp_path / "again").exists() or (tmp_path / "again").read_bytes() == b""


def test_scp_waits_as_well_and_says_what_is_lost(office, far, tmp_path):
    with open(far + "/there", "w", encoding="ascii") as file:
        file.write("old")
    (tmp_path / "new").write_text("new")
    client = subprocess.Popen(office.argv("abe", "host", str(tmp_path / "new"), f"127.0.0.1:{far}/there", program="scp"),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    full = decide(office, f"sftp put {far}/there over what is there")
    assert full["action"] in ("import", "destroy")
    _, said = client.communicate(timeout=20)
    assert client.returncode == 0, said
    with open(far + "/there", encoding="ascii") as file:
        assert file.read() == "new"


@pytest.mark.parametrize("how", ["command", "folder"])
def test_what_may_meet_several_parts_is_for_the_people_of_each_rule(office, far, how):
    """A command of any kind is about the whole machine; so is the removal of a folder about what lies in it."""
    os.makedirs(far + "/spare", exist_ok=True)
    if how == "command":
        client = subprocess.Popen(office.argv("dig", "host", "127.0.0.1", "echo dug"), text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    else:
        client = start(office, "dig", f"rename {far} {far}.away\n")
    assert "and those of other rules" in client.stderr.readline()
    full = office.asked()
    assert {one["rule"]: (one["agreed"], one["needed"]) for one in full["rules"]} == {
        "an engineer agrees to what diggers run": (0, 1), "a putter agrees where it may meet what is vital": (0, 1)}
    if how == "folder":
        office.decide("refuse", full)
        client.communicate(timeout=20)
        assert client.returncode != 0 and os.path.isdir(far)
        return
    office.decide("approve", full)
    assert office.asked("pat")["id"] == full["id"] and client.poll() is None
    office.decide("approve", full, "pat")
    said, _ = client.communicate(timeout=20)
    assert client.returncode == 0 and said == "dug\n"


def test_who_is_asked_by_another_rule_meanwhile_has_to_agree_as_well(office, far, tmp_path):
    """As many agreed as are needed, and they are not those whom the rule asks that is left."""
    abe, ann, pat = (office.person(name) for name in ("abe", "ann", "pat"))
    with open(far + "/odd", "wb") as file:
        file.write(b"y" * 100)
    wanted = abe.post("/grants", {"role": "helper", "reason": "to look", "duration_s": 600})
    ann.post(f"/approvals/{wanted['id']}/approve", {"sha256": wanted["sha256"]})
    wait_for("the role", 5, lambda: "helper" in abe.get("/me")["person"]["roles"])
    grant = next(g for g in abe.get("/grants")["items"] if g["ended_at"] is None)
    client = start(office, "abe", f"get {far}/odd {tmp_path}/odd\n")
    one = wait_for("the question", 10, lambda: pat.items("/approvals?state=waiting"))[0]
    assert [r["rule"] for r in one["rules"]] == ["a putter agrees to each file that a helper takes"]
    abe.post(f"/grants/{grant['id']}/end", {})
    pat.post(f"/approvals/{one['id']}/approve", {"sha256": pat.get(f"/approvals/{one['id']}")["sha256"]})
    full = decide(office, f"sftp get {far}/odd")
    assert [r["rule"] for r in full["rules"]] == ["a colleague agrees to each file"] and full["id"] != one["id"]
    _, said = client.communicate(timeout=20)
    assert client.returncode == 0 and "approved by pat" in said and "approved by ann" in said
    assert (tmp_path / "odd").read_bytes() == b"y" * 100


def test_what_is_withdrawn_is_told_at_once(office, far):
    with open(far + "/list", "wb") as file:
        file.write(b"x" * 100)
    client = start(office, "abe", f"get {far}/list /dev/null\n")
    one = office.asked()
    office.person("abe").post(f"/approvals/{one['id']}/withdraw", {})
    try:
        _, said = client.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        client.kill()
        raise
    assert client.returncode != 0 and "it was withdrawn" in said, said


def test_who_leaves_waits_no_more(office, far):
    client = start(office, "abe", f"get {far}/list /dev/null\n")
    client.stderr.readline()
    ann = office.person("ann")
    wait_for("the ask", 10, lambda: ann.items("/approvals?state=waiting"))
    client.kill()
    client.communicate()
    wait_for("its end", 10, lambda: not ann.items("/approvals?state=waiting"))


def test_a_path_is_what_it_leads_to(office, far, tmp_path):
    vital = far + "/vital/secret"
    with open(vital, "w", encoding="ascii") as file:
        file.write("secret")
    os.symlink(vital, far + "/innocent")
    os.symlink("vital", far + "/folder")
    os.symlink(far + "/vital/new", far + "/dangling")
    for path in (vital, far + "/innocent", far + "/folder/secret", far + "/folder/../vital/secret"):
        status, said = sftp(office, "ann", f"get {path} {tmp_path}/got\n")
        assert status != 0 and "export" in said and "reference" in said, path
        assert not (tmp_path / "got").exists() or not (tmp_path / "got").read_bytes()
    (tmp_path / "put").write_text("x")
    for path in (far + "/folder/new", far + "/dangling"):
        status, said = sftp(office, "ann", f"put {tmp_path}/put {path}\n")
        assert status != 0 and "import" in said, path
    assert not os.path.exists(far + "/vital/new")
    # nor by giving it another name where it could be taken from
    for batch in (f"rename {vital} {far}/out\n", f"ln {vital} {far}/out\n", f"rename {far}/vital {far}/other\n"):
        status, said = sftp(office, "ann", batch)
        assert status != 0 and os.path.exists(vital) and not os.path.exists(far + "/out"), batch
    status, said = sftp(office, "ann", f"ln -s {vital} {far}/link\n")
    assert status != 0 and "export" in said and not os.path.lexists(far + "/link")
    for name in ("innocent", "folder", "dangling"):
        os.unlink(f"{far}/{name}")
    status, said = sftp(office, "ann", f"chmod 600 {vital}\nrename {vital} {far}/vital/renamed\n")
    assert status == 0, said


def test_writing_over_is_destroying_whichever_way(office, far, tmp_path):
    old, new = far + "/pats", tmp_path / "new"
    new.write_text("new and longer")
    assert sftp(office, "pat", f"put {new} {old}\nchmod 600 {old}\n")[0] == 0
    with open(old, "w", encoding="ascii") as file:
        file.write("old")
    scp = office.scp("pat", "host", str(new), f"127.0.0.1:{old}")
    assert scp.returncode != 0 and "destroy" in scp.stderr
    client = office.paramiko("pat")
    try:
        files = client.open_sftp()
        files.put(str(new), far + "/other")
        with pytest.raises(PermissionError):
            files.posix_rename(far + "/other", old)
        with pytest.raises(PermissionError):
            files.truncate(old, 1)
        with pytest.raises(PermissionError):
            files.open(old, "r+").write(b"x")
        files.posix_rename(far + "/other", far + "/another")
        with files.open(far + "/another", "a") as file:
            file.write(b" and more")
    finally:
        client.close()
    with open(old, encoding="ascii") as file:
        assert file.read() == "old"
    with open(far + "/another", encoding="ascii") as file:
        assert file.read() == "new and longer and more"


def test_what_is_carried_off_in_a_day_has_an_end_over_all_ways(office, far, tmp_path):
    with open(far + "/two", "wb") as file:
        file.write(b"x" * (2 * MIB))
    assert sftp(office, "tom", f"get {far}/two {tmp_path}/one\n")[0] == 0
    got = office.ssh("tom", "plain", f"cat {far}/two {far}/two; sleep 5; echo kept", text=False)
    assert got.returncode != 0 and b"kept" not in got.stdout  # cut off in full flow, it may not have room for the words
    wait_for("the refusal", 10, lambda: [e for e in office.events(resource="plain", verdict="deny", reason="limit")])
    status, said = sftp(office, "tom", f"get {far}/two {tmp_path}/three\n")
    assert status != 0 and "more than you may do in such a while" in said
    got = office.ssh("tom", "plain", "echo no more")
    assert got.returncode != 0 and "more than you may do" in got.stderr


def test_one_answer_has_a_limit_too(office, far, tmp_path):
    with open(far + "/small", "wb") as file:
        file.write(b"x" * 90000)
    assert sftp(office, "sue", f"get {far}/small {tmp_path}/a\nget {far}/small {tmp_path}/b\n")[0] == 0
    status, said = sftp(office, "sue", f"get {far}/two {tmp_path}/c\n")
    assert status != 0 and "more than may be taken at once" in said
    assert (tmp_path / "c").stat().st_size < 300 * 1024
    got = office.ssh("sue", "plain", "head -c 1000000 /dev/zero", text=False)
    assert got.returncode != 0 and len(got.stdout) < 300 * 1024 and b"more than may be taken" in got.stderr


def test_who_removes_too_much_is_locked(office, far):
    for i in range(5):
        with open(f"{far}/old{i}", "w", encoding="ascii"):
            pass
    status, said = sftp(office, "eve", "".join(f"rm {far}/old{i}\n" for i in range(3)))
    assert status == 0, said
    status, said = sftp(office, "eve", f"-rm {far}/old3\nrm {far}/old4\n")
    assert status != 0 and os.path.exists(far + "/old3") and os.path.exists(far + "/old4"), said
    wait_for("the lock", 5, lambda: office.events(person="eve", method="budget: locked") or
             [e for e in office.events(person="eve") if e.get("verdict") == "deny" and "budget" in str(e)])
    assert office.ssh("eve", "host", "true").returncode != 0

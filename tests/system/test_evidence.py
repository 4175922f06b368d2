# SPDX-License-Identifier: Apache-2.0
"""The evidence of an incident: a bare machine verifies it with the small verifier alone; a bit that flips anywhere is refused.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/INCIDENTS.md "Evidence", ledger/verify/README.md.
"""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile

import pytest
from noticelib import Local
from officelib import BUILD, Office, wait_for
from portal import Refused

HOSTILE = "../../etc/passwd\n<script> \x07; rm -rf / $(id)"


@pytest.fixture(scope="module")
def pack():
    """(folder with the pack, the office's key); the office is gone."""
    office = Office()
    place = tempfile.mkdtemp(prefix="sp-evidence-", dir="/tmp")
    try:
        office.start()
        _, sam, audrey = office.set_up_administrators()
        root = Local(office.run_dir)
        incident = root.post("/incidents", {"title": "Orders were copied", "severity": "high"})["id"]
        other = root.post("/incidents", {"title": "SOMETHING ELSE", "severity": "low"})["id"]
        sam.post(f"/incidents/{incident}/comment", {"text": HOSTILE})
        sam.post(f"/incidents/{other}/comment", {"text": "UNRELATED WORDS"})
        page = wait_for("a sign-in", 10, lambda: audrey.get("/admin/ledger/events?kind=sign-in&limit=5")["items"])
        entry = int(str(page[0]["entry"]).split("/")[0])
        sam.post(f"/incidents/{incident}/evidence", {"entry": entry, "text": "he was in then"})
        with pytest.raises(Refused, match="entry.* of an entry that the ledger has, 0 to [0-9]+") as refused:
            sam.post(f"/incidents/{incident}/evidence", {"entry": 10 ** 9})
        assert refused.value.status == 422
        assert "1000000000" not in [n["entry"] for n in sam.get(f"/incidents/{incident}")["timeline"]]
        with pytest.raises(Refused):
            sam.get(f"/incidents/{incident}/evidence")
        twin = root.post("/incidents", {"title": "THE SAME AGAIN", "severity": "low"})["id"]
        sam.post(f"/incidents/{twin}/merge", {"into": int(incident)})
        look_back_in_the_timeline(office, root, other)
        left_out_is_told(office, root, place)
        nothing_is_given_that_cannot_be_written_down(office, root, incident)
        out = os.path.join(place, "evidence.tar")
        office.cli("incident", "evidence", incident, "-o", out, "-c", office.config)
        assert office.cli("incident", "evidence", incident, "-o", out, "-c", office.config, check=False).returncode == 1
        told = [e for e in audrey.get("/admin/ledger/events?kind=incident&limit=50")["items"] if '"evidence"' in json.dumps(e)]
        assert told
        stats = audrey.get("/admin/ledger/status")
        key = next(v for v in stats.values() if isinstance(v, str) and re.match(r"^[^ ]+\+[0-9a-f]{8}\+", v))
    finally:
        office.close()
    yield place, out, key, entry
    shutil.rmtree(place, ignore_errors=True)


def add_notes(office, incident, notes):
    """(number, session) as alarms leave them."""
    with sqlite3.connect(os.path.join(office.state, "core", "core.db"), timeout=20) as db:
        db.executemany("INSERT INTO incident_note (incident, number, at_us, session, reference, has_entry, entry, kind,"
                       " by_name, text) VALUES (?, ?, ?, ?, 0, 0, 0, 'comment', 'sam', ?)",
                       [(int(incident), number, number * 1000, session, f"note {number}") for number, session in notes])


def look_back_in_the_timeline(office, root, incident):
    add_notes(office, incident, [(n, 0) for n in range(1000, 1700)])
    whole = root.get(f"/incidents/{incident}")
    seen, cursor = [n["number"] for n in whole["timeline"]], whole["timeline_before"]
    assert len(seen) == 500 and cursor and 1000 not in seen, "the newest"
    while cursor:
        page = root.get(f"/incidents/{incident}/timeline?limit=90&cursor={cursor}")
        seen, cursor = [n["number"] for n in reversed(page["items"])] + seen, page["next"]
    assert seen[:700] == list(range(1000, 1700)) and len(seen) == len(set(seen)) > 700
    assert root.call("GET", f"/incidents/{incident}/timeline?cursor=nonsense")[0] == 422
    assert "what was before" in office.cli("incident", "show", incident, "-c", office.config).stdout
    assert len(json.loads(office.cli("incident", "timeline", incident, "--json", "-c", office.config).stdout)) == len(seen)


def left_out_is_told(office, root, place):
    incident = root.post("/incidents", {"title": "Many sessions", "severity": "low"})["id"]
    add_notes(office, incident, [(n, n) for n in range(1000, 2030)])
    office.store("INSERT INTO incident (id, state, severity, drill, opened, closed, merged_into, alarms, title, topic, opened_by,"
                 " commander, scribe, liaison, review, about) SELECT incident.id + n.value, 2, 1, 0, opened, opened, incident.id, 1, title, '',"
                 " opened_by, '', '', '', '', '' FROM incident, json_each(?) n WHERE incident.id = ?",
                 json.dumps(list(range(100, 165))), int(incident))
    out = os.path.join(place, "many.tar")
    done = office.cli("incident", "evidence", incident, "-o", out, "-c", office.config)
    assert "left out" in done.stderr
    folder = unpack(out, os.path.join(place, "many"))
    with open(os.path.join(folder, "incident.json"), encoding="utf-8") as file:
        whole = json.load(file)
    assert not whole["pack"]["complete"] and whole["pack"]["left_out"]["sessions"] == 6
    assert whole["pack"]["left_out"]["merged_incidents"] is True, "65 were merged into it"
    assert len(whole["timeline"]) > 1030, "all of it"
    with open(os.path.join(folder, "readme.txt"), encoding="utf-8") as file:
        readme = file.read()
    assert "NOT COMPLETE" in readme and "1024 sessions, 1024 references" in readme, "and the bound"
    done = verify(folder, "--print")
    assert done.returncode == 0, done.stdout + done.stderr


def nothing_is_given_that_cannot_be_written_down(office, root, incident):
    pid = office.kill("ledger")
    status, said = root.call("GET", f"/incidents/{incident}/evidence")
    assert status == 503, said
    office.wait_role("ledger", other_than=pid)
    wait_for("the ledger", 10, lambda: root.call("POST", f"/incidents/{incident}/comment", {"text": "it is back"})[0] == 200)


def unpack(out, to):
    with tarfile.open(out) as tar:
        for one in tar.getmembers():
            assert one.isfile() and not one.name.startswith("/") and ".." not in one.name.split("/"), one.name
            assert re.fullmatch(r"[a-z0-9./-]+", one.name), one.name
        tar.extractall(to, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(to)
    return to


def verify(folder, *words):
    """In a root of its own with nothing but the verifier, its libraries and the pack."""
    bare = tempfile.mkdtemp(prefix="sp-bare-", dir="/tmp")
    program = os.path.join(BUILD, "ledger", "verify", "sallyport-verify")
    try:
        needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for path in {program, *re.findall(r"(/\S+)", needed)}:
            to = bare + ("/verify" if path == program else path)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy(path, to)
        shutil.copytree(folder, bare + "/pack")
        how = ["chroot", bare, "/verify", *words, "/pack"]
        if "libasan" in needed:  # a sanitizer wants /proc
            how = [program, *words, folder]
        return subprocess.run(how, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(bare, ignore_errors=True)


@pytest.mark.slow  # a sanitizer wants /proc
def test_a_bare_machine_verifies_it(pack):
    place, out, key, entry = pack
    folder = unpack(out, os.path.join(place, "one"))
    done = verify(folder, "--key", key, "--print")
    assert done.returncode == 0 and done.stderr.startswith("GOOD"), done.stderr
    opened = {int(line.split(" ", 1)[0]) for line in done.stdout.splitlines()}
    assert entry in opened and "Orders were copied" in done.stdout
    assert "THE SAME AGAIN" in done.stdout, "and what was merged into it"
    assert "UNRELATED WORDS" not in done.stdout  # what belongs to another incident stays sealed
    whole = json.load(open(os.path.join(folder, "incident.json"), encoding="utf-8"))
    assert whole["pack"]["complete"] and whole["pack"]["entries"] >= 5
    assert whole["title"] == "Orders were copied" and any(n["text"] == HOSTILE for n in whole["timeline"])
    timeline = open(os.path.join(folder, "timeline.txt"), encoding="utf-8").read()
    assert f"[{entry}]" in timeline and "\x07" not in timeline and len(timeline.splitlines()) == len(whole["timeline"])
    wrong = verify(folder, "--key", key.replace("+", "+0", 1)[:len(key)])
    assert wrong.returncode == 1


def test_a_bit_that_flips_anywhere_is_refused_and_named(pack):
    place, out, key, _ = pack
    files = []
    folder = unpack(out, os.path.join(place, "two"))
    for where, _, names in os.walk(folder):
        files += [os.path.join(where, name) for name in names]
    assert len(files) >= 8
    for path in files:
        with open(path, "rb") as file:
            good = file.read()
        if os.path.basename(path) == "key":
            continue  # not used: the key comes from outside
        for at in sorted({0, len(good) // 3, len(good) // 2, len(good) - 1}):
            bad = bytearray(good)
            bad[at] ^= 1 << at % 7
            with open(path, "wb") as file:
                file.write(bad)
            program = os.path.join(BUILD, "ledger", "verify", "sallyport-verify")
            done = subprocess.run([program, "--key", key, folder], capture_output=True, text=True, check=False)
            assert done.returncode == 1 and "FAIL: " in done.stderr, (path, at, done.stderr)
        os.remove(path)
        done = subprocess.run([program, "--key", key, folder], capture_output=True, text=True, check=False)
        assert done.returncode == 1, (path, "removed", done.stderr)
        with open(path, "wb") as file:
            file.write(good)


def test_files_from_elsewhere_are_not_taken_for_the_office_s(pack):
    place, out, key, _ = pack
    folder = unpack(out, os.path.join(place, "three"))
    with open(os.path.join(folder, "timeline.txt"), "a", encoding="utf-8") as file:
        file.write("and nothing else happened\n")
    lines = []
    for line in open(os.path.join(folder, "evidence"), encoding="utf-8"):
        name = line.split()[1]
        digest = subprocess.run(["sha256sum", os.path.join(folder, name)], capture_output=True, text=True, check=True).stdout
        lines.append(f"{digest.split()[0]}  {name}\n")
    with open(os.path.join(folder, "evidence"), "w", encoding="utf-8") as file:
        file.writelines(lines)
    done = verify(folder, "--key", key)
    assert done.returncode == 1 and "no opened entry names" in done.stderr
    os.remove(os.path.join(folder, "evidence"))  # what nothing vouches for is not let pass
    done = verify(folder, "--key", key)
    assert done.returncode == 1 and "nothing vouches for: timeline.txt" in done.stderr
    with open(os.path.join(folder, "evidence"), "w", encoding="utf-8") as file:
        file.writelines(lines + ["\n"] * 9000)
    done = verify(folder, "--key", key)
    assert done.returncode == 1 and "evidence is longer" in done.stderr
    with open(os.path.join(folder, "evidence"), "w", encoding="utf-8") as file:
        file.write("0" * 64 + "  ../../etc/passwd\n")
    assert "no place in a pack" in verify(folder, "--key", key).stderr

# SPDX-License-Identifier: Apache-2.0
"""The ledger's files under attack: flip, drop, reorder, truncate, roll back, fork; packs checked offline.

One office writes a few hundred entries; every attack works on a copy of its directory, and each must be
found by `sallyport ledger verify`, by the start of the ledger, or by sallyport-verify.
"""

import json
import os
import shutil
import subprocess
import time

import pytest

from officelib import BUILD, Office, wait_for

pytestmark = pytest.mark.slow  # hundreds of runs of the command line
VERIFY = os.path.join(BUILD, "ledger", "verify", "sallyport-verify")


def ledger(office, *words, check=True):
    return office.cli("ledger", *words, "-c", office.config, check=check)


def grow(office, count):
    """Each search on the host is written down; asking for a checkpoint ends the batch it is in."""
    for i in range(count):
        ledger(office, "search", "--limit", "1", "--text", f"nothing like {i}")
        ledger(office, "proof", "0")


def wait_signed(office):
    def signed():
        done = ledger(office, "verify", check=False)
        words = next((line for line in done.stdout.splitlines() if line.startswith("checkpoint:")), "")
        numbers = [int(word) for word in words.split() if word.isdigit()]
        return len(numbers) == 3 and numbers[0] == numbers[1] and numbers[2] == 0
    wait_for("a checkpoint over everything", 20, signed, step=0.3)


@pytest.fixture(scope="module")
def grown():
    """A running office whose ledger has a whole run of 256 entries and a pack exported from it."""
    office = Office()
    try:
        office.start()
        grow(office, 290)
        pack = os.path.join(office.dir, "pack")
        ledger(office, "export", pack)
        wait_signed(office)
        office.pack = pack
        yield office
    finally:
        office.close()


@pytest.fixture
def copy(grown, tmp_path):
    """Files of which every entry is under the signed checkpoint: the office goes on, and what came after it is not."""
    target = str(tmp_path / "ledger")

    def covered():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(os.path.join(grown.state, "ledger"), target)
        with open(os.path.join(target, "checkpoint"), encoding="utf-8") as file:
            size = int(file.read().split("\n")[1])
        end = places(target)[-1]
        with open(segment(target), "rb") as file:
            whole = file.read()
        return size == len(places(target)) and end + 2 + int.from_bytes(whole[end:end + 2], "big") <= len(whole)

    wait_for("a checkpoint over all of a copy", 30, covered, step=0.5)
    return target


def verify(path):
    done = subprocess.run([os.path.join(BUILD, "cli", "sallyport"), "ledger", "verify", path],
                          capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def patch(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def places(copy):
    with open(os.path.join(copy, "places"), "rb") as file:
        raw = file.read()
    return [int.from_bytes(raw[i:i + 8], "big") & ((1 << 36) - 1) for i in range(0, len(raw), 8)]


def segment(copy):
    return os.path.join(copy, "entries", "00000001")


def record(copy, entry):
    """Place of the bytes behind the length, and the bytes."""
    at = places(copy)[entry]
    with open(segment(copy), "rb") as file:
        file.seek(at)
        size = int.from_bytes(file.read(2), "big")
        return at + 2, file.read(size)


def test_untouched_is_good(grown, copy):
    status, out = verify(copy)
    assert status == 0, out
    assert "GOOD" in out
    live = ledger(grown, "verify")
    assert "GOOD" in live.stdout


@pytest.mark.parametrize("entry", [0, 7, 255, 256, -1])
def test_flipped_bit_in_a_record(copy, entry):
    count = len(places(copy))
    entry %= count
    at, data = record(copy, entry)
    for offset in (0, 60, len(data) // 2, len(data) - 1):
        patch(segment(copy), at + offset, bytes([data[offset] ^ 1]))
        status, out = verify(copy)
        assert status == 1 and "BAD" in out and f"entry {entry}" in out, (offset, out)
        patch(segment(copy), at + offset, bytes([data[offset]]))
    assert verify(copy)[0] == 0


def test_flipped_hash(copy):
    for name, at in (("hash/0", 5 * 32), ("hash/0", 260 * 32 + 31), ("hash/1", 3)):
        path = os.path.join(copy, name)
        with open(path, "rb") as file:
            file.seek(at)
            byte = file.read(1)
        patch(path, at, bytes([byte[0] ^ 0x80]))
        status, out = verify(copy)
        assert status == 1 and "BAD" in out, (name, out)
        patch(path, at, byte)
    assert verify(copy)[0] == 0


def test_record_and_its_hash_rewritten_together(copy):
    """Somebody who recomputes the leaf hash still does not have the root."""
    import hashlib
    at, data = record(copy, 9)
    changed = bytes([data[0]]) + data[1:-1] + bytes([data[-1] ^ 1])
    patch(segment(copy), at, changed)
    patch(os.path.join(copy, "hash", "0"), 9 * 32, hashlib.sha256(b"\0" + changed).digest())
    status, out = verify(copy)
    assert status == 1 and "hash" in out


def test_reordered(copy):
    """Two entries trade places, in places and hashes alike."""
    path = os.path.join(copy, "places")
    with open(path, "rb") as file:
        raw = bytearray(file.read())
    raw[8 * 20:8 * 21], raw[8 * 21:8 * 22] = raw[8 * 21:8 * 22], raw[8 * 20:8 * 21]
    with open(path, "wb") as file:
        file.write(raw)
    assert verify(copy)[0] == 1
    hashes = os.path.join(copy, "hash", "0")
    with open(hashes, "rb") as file:
        raw = bytearray(file.read())
    raw[32 * 20:32 * 21], raw[32 * 21:32 * 22] = raw[32 * 21:32 * 22], raw[32 * 20:32 * 21]
    with open(hashes, "wb") as file:
        file.write(raw)
    status, out = verify(copy)
    assert status == 1 and "hash" in out


def test_dropped_and_erased_without_a_redaction(copy):
    at, data = record(copy, 30)
    patch(segment(copy), at, b"\xff")
    patch(segment(copy), at + 51, b"\0" * (len(data) - 51))
    status, out = verify(copy)
    assert status == 1 and "no redaction says so" in out


def test_truncated(copy):
    with open(segment(copy), "r+b") as file:
        size = file.seek(0, 2)
        file.truncate(size - 100)
    status, out = verify(copy)
    assert status == 1 and "BAD" in out


def test_segment_removed(copy):
    os.unlink(segment(copy))
    assert verify(copy)[0] == 1


def test_checkpoint_changed_or_missing(copy):
    path = os.path.join(copy, "checkpoint")
    with open(path, "rb") as file:
        note = file.read()
    with open(path, "wb") as file:
        file.write(note.replace(b"office.localhost\n", b"office.localhosT\n", 1))
    status, out = verify(copy)
    assert status == 1 and "not signed" in out
    os.unlink(path)
    status, out = verify(copy)
    assert status == 1 and "missing seal" in out


def test_damaged_group_behind_the_settled_state_stops_the_ledger(copy):
    """A damaged group with a good one behind it was acknowledged: it is not cut off in silence."""
    state = os.path.join(copy, "state")
    os.unlink(state)
    os.unlink(os.path.join(copy, "checkpoint"))
    at, data = record(copy, 3)
    patch(segment(copy), at + 120, bytes([data[120] ^ 1]))
    status, out = verify(copy)
    assert status == 1 and "damaged at byte" in out, out


def test_unfinished_last_group_is_no_damage(copy):
    """What one write left unfinished was never acknowledged; the rest is good."""
    with open(segment(copy), "ab") as file:
        file.write(b"SPLGRP01" + b"\0" * 40)
    assert verify(copy)[0] == 0


# ---- packs, checked by the independent program

def check_pack(path, *words):
    return subprocess.run([VERIFY, *words, path], capture_output=True, text=True, timeout=60, check=False)


def test_pack_is_good_and_opens(grown):
    done = check_pack(grown.pack, "--print")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) > 250
    batch = json.loads(lines[0].split(" ", 1)[1])
    assert batch["class_uid"] and batch["type_uid"] // 100 == batch["class_uid"] and batch["events"][0]["time"]


def test_pack_with_another_key(grown):
    other = "office.localhost+a32b5ff4+AWZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZm"
    assert check_pack(grown.pack, "--key", other).returncode == 1


def test_every_file_of_a_pack_matters(grown, tmp_path):
    for where, _, names in os.walk(grown.pack):
        for name in names:
            if name == "key":
                continue
            relative = os.path.relpath(os.path.join(where, name), grown.pack)
            target = str(tmp_path / "pack")
            shutil.copytree(grown.pack, target)
            path = os.path.join(target, relative)
            size = os.path.getsize(path)
            with open(path, "rb") as file:
                data = file.read()
            for at in (0, size // 2, size - 2):
                patch(path, at, bytes([data[at] ^ 1]))
                done = check_pack(target)
                assert done.returncode == 1, (relative, at, done.stderr)
                patch(path, at, bytes([data[at]]))
            with open(path, "r+b") as file:
                file.truncate(size - 1)
            assert check_pack(target).returncode == 1, relative
            shutil.rmtree(target)


def test_pack_of_a_part(grown, tmp_path):
    """Only the records that the filters name can be opened; the tree still gives the signed root."""
    path = str(tmp_path / "part")
    ledger(grown, "export", path, "--from", "2", "--until", "5")
    done = check_pack(path, "--print")
    assert done.returncode == 0, done.stderr
    opened = {int(line.split(" ", 1)[0]) for line in done.stdout.splitlines()}
    assert {2, 3, 4} <= opened
    with open(os.path.join(path, "secrets"), encoding="ascii") as file:
        assert {int(line.split()[0]) for line in file} <= {2, 3, 4}


# ---- the running ledger

def test_witness_cosigns_only_what_grows(grown, tmp_path):
    words = ("witness", "--name", "w.example", "--secret", str(tmp_path / "key"), "--last", str(tmp_path / "last"))
    first = ledger(grown, *words)
    assert first.stdout.count("\N{EM DASH} ") == 2
    grow(grown, 3)
    ledger(grown, *words)
    last = (tmp_path / "last").read_text(encoding="utf-8")
    # the witness remembers another tree of the same size: the ledger has forked
    lines = last.split("\n")
    lines[2] = "A" * 43 + "="
    (tmp_path / "last").write_text("\n".join(lines), encoding="utf-8")
    forked = ledger(grown, *words, check=False)
    assert forked.returncode == 1 and "FORKED" in forked.stderr
    # or a larger one: it was rolled back
    lines[1] = "99999999"
    (tmp_path / "last").write_text("\n".join(lines), encoding="utf-8")
    rolled = ledger(grown, *words, check=False)
    assert rolled.returncode == 1 and "ROLLED BACK" in rolled.stderr


def test_rolled_back_files_stop_the_start(make_office):
    """The files of an hour ago, whole and consistent in themselves: the vault remembers more."""
    office = make_office()
    grow(office, 5)
    wait_signed(office)
    office.stop()
    home = os.path.join(office.state, "ledger")
    old = home + ".old"
    shutil.copytree(home, old)
    owner = os.stat(home)
    office.start()
    grow(office, 5)
    wait_signed(office)
    office.stop()
    shutil.rmtree(home)
    shutil.copytree(old, home)
    for where, dirs, names in os.walk(home):
        for name in [*dirs, *names, "."]:
            os.chown(os.path.join(where, name), owner.st_uid, owner.st_gid)
    office.start(wait=False)
    wait_for("the refusal", 30, lambda: "rolled back or replaced" in office.log())
    office.process.wait(60)


def test_killed_ledger_comes_back_whole(make_office):
    office = make_office()
    for _ in range(4):
        grow(office, 3)
        before = office.kill("ledger")
        office.wait_role("ledger", other_than=before)
    wait_signed(office)
    assert "GOOD" in ledger(office, "verify").stdout


def test_search_by_time_kind_and_text(grown):
    rows = [json.loads(line) for line in ledger(grown, "search", "--kind", "role", "--limit", "200").stdout.splitlines()]
    assert {row["app"]["name"] for row in rows} >= {"ledger"}
    assert all(row["unmapped"]["kind"] == "role" for row in rows)
    times = [row["time"] for row in rows]
    assert all(older <= newer + 1000 for newer, older in zip(times, times[1:]))  # by entry, newest first
    assert ledger(grown, "search", "--since", str(int(time.time()) + 3600)).stdout == ""
    assert ledger(grown, "search", "--text", "no such words anywhere 7351").stdout == ""


def test_tail_follows(grown):
    follower = subprocess.Popen([grown.program, "ledger", "tail", "-f", "--kind", "read", "-c", grown.config],
                                stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(10):
            follower.stdout.readline()
        grow(grown, 1)
        fresh = [json.loads(follower.stdout.readline()) for _ in range(2)]
        assert all(event["unmapped"]["kind"] == "read" for event in fresh)
    finally:
        follower.kill()
        follower.wait()

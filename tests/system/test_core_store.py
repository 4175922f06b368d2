# SPDX-License-Identifier: Apache-2.0
"""The store: nothing acknowledged is lost by kill -9; damage is refused; backups open and restore."""

import os
import signal
import threading
import time

import pytest

from portal import Refused

PASSPHRASE = "seven rusty anchors sing\n"


def backup(office, verb, path, passphrase=PASSPHRASE):
    return office.cli("backup", verb, path, "--passphrase-file", "-", "-c", office.config, check=False,
                      input_text=passphrase)


@pytest.mark.slow
def test_kill_9_loses_no_acknowledged_change(make_office):
    office = make_office()
    olga, _, _ = office.set_up_administrators()
    acknowledged, stop = [], threading.Event()

    def work(lane):
        mine, count = olga.again(), 0
        mine.cookies = {host: dict(jar) for host, jar in olga.cookies.items()}
        while not stop.is_set():
            name = f"p{lane}-{count}"
            count += 1
            try:
                mine.post("/admin/people", {"name": name, "display_name": name})
            except Refused as why:
                if why.code == "exists":  # done, but its answer was cut off
                    acknowledged.append(name)
                    continue
                time.sleep(0.05)
            except OSError:
                time.sleep(0.05)
            else:
                acknowledged.append(name)

    lanes = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for lane in lanes:
        lane.start()
    killed = 0
    for _ in range(6):
        time.sleep(1.0)
        pid = office.kill("core")
        office.wait_role("core", other_than=pid)
        killed += 1
    stop.set()
    for lane in lanes:
        lane.join()
    assert olga.get("/me")["person"]["name"] == "olga"  # the session outlived core
    there = {one["name"] for one in olga.items("/admin/people")}
    missing = [name for name in acknowledged if name not in there]
    print(f"{len(acknowledged)} accounts acknowledged over {killed} kills, {len(missing)} missing")
    assert len(acknowledged) > 50 and not missing


@pytest.mark.slow
def test_without_the_ledger_nothing_changes(make_office):
    office = make_office()
    olga, _, _ = office.set_up_administrators()
    pid = office.pid("ledger")
    os.kill(pid, signal.SIGSTOP)  # it hangs: worse than dead
    try:
        with pytest.raises(Refused) as why:
            olga.post("/admin/people", {"name": "unseen", "display_name": "Unseen"})
        assert (why.value.status, why.value.code) == (503, "unrecordable")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "unseen" not in [one["name"] for one in olga.items("/admin/people")]

    def again():
        try:
            return olga.post("/admin/people", {"name": "seen", "display_name": "Seen"})
        except Refused as refusal:
            assert refusal.code in ("unrecordable", "exists")
            return refusal.code == "exists"

    end = time.monotonic() + 30
    while not again():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_damaged_store_is_refused(make_office):
    office = make_office()
    office.set_up_administrators()
    office.stop()
    path = os.path.join(office.state, "core", "core.db")
    for end in ("-wal", "-shm"):
        if os.path.exists(path + end):
            os.unlink(path + end)
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        for page in range(2, size // 4096, 3):
            file.seek(page * 4096)
            file.write(b"\xa5" * 512)
    office.start(wait=False)
    assert office.process.wait(60) != 0
    assert "is damaged" in office.log() and "backup restore" in office.log()


def test_backup_and_restore(make_office, tmp_path):
    office = make_office()
    olga, _, audrey = office.set_up_administrators()
    first = str(tmp_path / "one.spbackup")
    done = backup(office, "create", first)
    assert done.returncode == 0, done.stderr
    assert "vault" not in done.stderr
    assert backup(office, "create", first).returncode != 0  # never over another file
    assert b"olga" not in open(first, "rb").read()
    good = backup(office, "verify", first)
    assert good.returncode == 0 and "good: 3 accounts" in good.stdout
    assert "does not open" in backup(office, "verify", first, "another passphrase\n").stderr

    whole = open(first, "rb").read()
    # every way to bend it: tests/unit/core-id/test_archive.c
    for name, bent in (("flipped", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]), ("empty", b"")):
        path = tmp_path / name
        path.write_bytes(bent)
        assert backup(office, "verify", str(path)).returncode != 0, name

    olga.post("/admin/people", {"name": "later", "display_name": "Later"})
    running = backup(office, "restore", first)
    assert running.returncode != 0 and "stop it first" in running.stderr
    office.stop()
    done = backup(office, "restore", first)
    assert done.returncode == 0, done.stderr
    office.start()
    fresh = audrey.again()  # olga has used two codes: her next one comes in half a minute
    fresh.sign_in()
    assert "later" not in [one["name"] for one in fresh.items("/admin/people")]

# SPDX-License-Identifier: Apache-2.0
"""The restore drill: an office that is lost whole works again on another machine (another directory
tree, another vault), from a backup and a copy of the ledger; and says so where the ledger is lost."""

import os
import shutil

import pytest

from officelib import wait_for
from test_core_devices import Device
from test_core_store import backup


def searched(office, text):
    return office.cli("ledger", "search", "--text", text, "-c", office.config).stdout


def restore(office, path, *more):
    return office.cli("backup", "restore", path, "--passphrase-file", "-", "-c", office.config, *more,
                      check=False, input_text="seven rusty anchors sing\n")


def here(person, office, cert=None):
    """The same person, before the portal of that office."""
    one = person.again(cert=cert)
    one.port = office.port
    return one


def copy_ledger(old, new):
    """As an operator copies it with any tool: then it is given to the ledger's user."""
    target = os.path.join(new.state, "ledger")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(os.path.join(old.state, "ledger"), target)
    os.chmod(target, 0o700)
    if new.uids:
        for where, _, names in os.walk(target):
            for name in ["."] + names:
                os.chown(os.path.join(where, name), new.uids["ledger"], new.uids["ledger"])


@pytest.fixture
def lost(make_office, tmp_path):
    """An office with people and a device, its backup, and what went on after the backup; stopped."""
    office = make_office()
    office.set_up_administrators()
    leo = office.employee("leo", ["staff", "engineer"])
    device = Device(leo, str(tmp_path))
    device.enrol()
    office.people["sam"].post(f"/admin/devices/{device.id}/approve", {"owner": "company"})
    device.keep(device.fetch())
    office.file = str(tmp_path / "office.spbackup")
    done = backup(office, "create", office.file)
    assert done.returncode == 0, done.stderr
    office.people["olga"].post("/admin/people", {"name": "later", "display_name": "Later"})
    office.stop()
    return office, leo, device


def test_another_machine_goes_on_where_the_office_was(lost, make_office):
    old, leo, device = lost
    new = make_office(start=False)
    assert new.dir != old.dir and not os.path.exists(new.state)

    done = restore(new, old.file)  # the ledger's copy was forgotten: nothing is put in place
    assert done.returncode == 1 and "no ledger with the backup's" in done.stderr
    assert os.listdir(os.path.join(new.state, "vault")) == []
    assert os.listdir(os.path.join(new.state, "core")) == []

    copy_ledger(old, new)
    done = restore(new, old.file)
    assert done.returncode == 0, done.stderr
    assert "restored: 4 accounts" in done.stdout and "the ledger goes on behind entry" in done.stdout
    new.start()
    one = here(leo, new, cert=(device.cert, device.key))
    one.sign_in()  # password and one-time code: the vault opened its secret
    assert "later" not in str(here(leo, new).request("GET", "portal", "/api/v1/me").body)
    device.person = here(leo, new)
    device.keep(device.renew())  # the certificate of before is good, the CA signs on
    assert "was restored" in searched(new, "restored")
    assert "goes on behind entry" in searched(new, "restored")
    verified = new.cli("ledger", "verify", "-c", new.config)
    assert verified.returncode == 0, verified.stderr


def test_a_lost_ledger_begins_anew_and_says_so(lost, make_office):
    old, leo, _ = lost
    new = make_office()  # it ran before: a vault and a ledger of its own are here
    new.stop()
    foreign = sorted(os.listdir(os.path.join(new.state, "ledger")))
    assert restore(new, old.file).returncode == 1
    done = restore(new, old.file, "--new-ledger")
    assert done.returncode == 0, done.stderr
    assert "a new ledger begins" in done.stdout
    new.start()
    here(leo, new).sign_in()
    assert "a new ledger begins" in searched(new, "restored")
    signed = os.path.join(new.state, "ledger", "checkpoint")
    wait_for("a checkpoint", 5, lambda: os.path.exists(signed))
    with open(signed, encoding="utf-8") as file:
        assert file.readline() == "office.localhost/2\n"  # another log, which cannot pass for the first
    new.cli("ledger", "verify", "-c", new.config)
    aside = [name for name in os.listdir(os.path.join(new.state, "ledger")) if name.startswith("before-restore.")]
    assert sorted(os.listdir(os.path.join(new.state, "ledger", aside[0]))) == foreign
    assert os.path.exists(os.path.join(new.state, "vault", "keyring.before-restore"))
    new.stop()
    done = restore(new, old.file)  # once more: the vault is this office's now, its keys and its log stay
    assert done.returncode == 0, done.stderr
    assert "its keys stay" in done.stdout and "goes on behind entry" in done.stdout


def test_the_wrong_office_and_the_wrong_key_are_refused(lost, make_office):
    old, _, _ = lost
    new = make_office(start=False)
    with open(new.config, encoding="utf-8") as file:
        text = file.read()
    with open(new.config, "w", encoding="utf-8") as file:
        file.write(text.replace("domain: office.localhost", "domain: bank.localhost"))
    done = restore(new, old.file, "--new-ledger")
    assert done.returncode == 1 and "is of the office of office.localhost" in done.stderr
    with open(new.config, "w", encoding="utf-8") as file:
        file.write(text)
    new.start()
    new.stop()
    os.unlink(os.path.join(new.state, "vault", "master.key"))
    done = restore(new, old.file, "--new-ledger")
    assert done.returncode == 1 and "has no master key beside it" in done.stderr
    new.process = None

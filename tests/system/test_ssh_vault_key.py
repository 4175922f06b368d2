# SPDX-License-Identifier: Apache-2.0
"""Keys of accounts that stay in the vault: a real sshd that knows nothing but authorized_keys, and what the vault signs.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/SSH.md "A machine", vault/account_key.h, RFC 4252 7.
"""
import base64
import json
import os
import shutil
import struct
import subprocess

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

import vault_client as vc
from officelib import free_port, wait_for
from sshgatelib import ACCOUNT, HOST, SshOffice, Sshd, engineers_work_on, keygen
from test_core_cli import PROGRAM, Shell
from test_vault_role import folder, vault  # noqa: F401 (fixtures)
from vault_client import text

NO_CA = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg\n"


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


# ---- through the gate

@pytest.fixture(scope="module")
def machine():
    one = Sshd()
    one.start(NO_CA)
    yield one
    one.close()


@pytest.fixture(scope="module")
def office(machine):
    one = SshOffice(HOST.format(name="old", port=machine.port, host_key=machine.host_key, account=ACCOUNT,
                                more="  sign_in: key\n") + engineers_work_on("host", "old"))
    # libssh 0.10 forgets the list of names of an agent that is asked twice (ssh_agent_get_ident_count)
    one.office.forgiven = ("ERROR: LeakSanitizer",)
    try:
        one.key("ann")
        yield one
    finally:
        one.close()


def authorize(machine, *lines):
    with open(os.path.join(machine.dir, "direct.pub"), "w", encoding="ascii") as file:
        file.write("".join(line + "\n" for line in lines))


def gives(office, key):
    """The public line of a key that the vault was given, or (None) has made."""
    return office.sam.put(f"/admin/ssh/keys/old/{ACCOUNT}", {} if key is None else {"key": key})["public"]


def test_without_a_key_it_is_told(office):
    told = office.ssh("ann", "old", "true")
    assert told.returncode != 0 and "the vault has no key for this account" in told.stderr


@pytest.mark.parametrize("kind, words, seen", [
    (None, (), "ED25519"), ("ed25519", (), "ED25519"), ("rsa", ("-b", "3072"), "RSA"),
    ("rsa", ("-b", "2048", "-m", "PEM"), "RSA"), ("rsa", ("-b", "4096", "-m", "PKCS8"), "RSA")])
def test_a_key_of_the_vault_opens_a_machine_that_knows_no_certificates(office, machine, tmp_path, kind, words, seen):
    path, public = str(tmp_path / "key"), None
    if kind is not None:
        public = keygen(path, kind, *words)
    line = gives(office, None if kind is None else read(path))
    assert public in (None, line)
    authorize(machine)
    told = office.ssh("ann", "old", "echo in")
    assert told.returncode != 0 and "does not take the vault's key" in told.stderr
    authorize(machine, line)
    told = office.ssh("ann", "old", "echo in")
    assert (told.stdout, told.returncode) == ("in\n", 0), told.stderr
    last = [part for part in machine.log().splitlines() if "Accepted publickey" in part][-1]
    assert f"ssh2: {seen} SHA256:" in last
    with office.terminal("ann", "old") as terminal:  # and what follows is as anywhere
        terminal.type("echo he''re; exit\r")
        terminal.wait("here")
    if kind is not None:
        secret = "".join(read(path).splitlines()[1:4])
        assert secret not in office.office.log() and secret not in str(office.events())


def test_each_use_is_an_entry_and_the_key_is_listed(office, machine):
    authorize(machine, gives(office, None))
    assert office.ssh("ann", "old", "true").returncode == 0
    wait_for("the vault's entry", 10, lambda: [
        e for e in office.audrey.get("/admin/ledger/events?limit=100")["items"]
        if e.get("method") == "SSH_KEY_SIGN" and f"old/{ACCOUNT}" in e["object"]])
    listed = office.sam.get("/admin/ssh/credentials")["items"]
    assert [(c["resource"], c["account"], c["kind"]) for c in listed] == [("old", ACCOUNT, "ed25519")]


def test_what_is_no_key_is_refused_and_says_so(office, tmp_path):
    from portal import Refused
    locked, ecdsa = str(tmp_path / "locked"), str(tmp_path / "ecdsa")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked], check=True)
    keygen(ecdsa, "ecdsa")
    for bad in ("x", read(locked), read(ecdsa), read(locked + ".pub")):
        with pytest.raises(Refused) as told:
            gives(office, bad)
        assert told.value.status == 422 and "without passphrase" in str(told.value.problem)


def test_an_administrator_does_it_by_the_command_line(office, machine, tmp_path):
    one = Shell(office.office, office.sam, tmp_path)
    said = one.run("ssh-account", "key", f"old/{ACCOUNT}", "--generate")
    authorize(machine, next(line.strip() for line in said.splitlines() if "ssh-ed25519" in line))
    assert office.ssh("ann", "old", "echo in").stdout == "in\n"
    assert f"old       {ACCOUNT}" in one.run("ssh-account", "list") and "ed25519" in one.run("ssh-account", "list")
    keygen(str(tmp_path / "mine"))
    done = subprocess.run([PROGRAM, "ssh-account", "key", f"old/{ACCOUNT}"], input=read(tmp_path / "mine"), text=True,
                          env=one.env, capture_output=True, timeout=30, check=False)
    assert read(tmp_path / "mine.pub").split()[1] in done.stdout, done.stderr
    assert "RESOURCE/ACCOUNT is expected" in one.run("ssh-account", "key", "old", "--generate", status=2)
    assert "forgotten" in one.run("ssh-account", "remove", f"old/{ACCOUNT}")


def test_one_that_was_removed_opens_nothing(office, machine):
    authorize(machine, gives(office, None))
    office.sam.call("DELETE", f"/admin/ssh/credentials/old/{ACCOUNT}")
    assert "the vault has no key for this account" in office.ssh("ann", "old", "true").stderr


# ---- looking at machines before anybody connects

def test_ssh_check_says_which_machines_answer_as_the_documents_say(office, machine, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    shutil.copy(os.path.join(office.office.documents, "office.yaml"), folder)
    other, port = keygen(str(tmp_path / "other")), free_port()
    (folder / "more.yaml").write_text(
        HOST.format(name="away", port=port, host_key=machine.host_key, account=ACCOUNT, more="") +
        HOST.format(name="stranger", port=machine.port, host_key=other, account=ACCOUNT, more=""))

    def check(*words):
        done = subprocess.run([PROGRAM, "ssh-check", *words, "--json"], capture_output=True, text=True, timeout=60,
                              check=False)
        return done, {row["resource"]: row for row in json.loads(done.stdout or "[]")}

    done, rows = check(str(folder))
    assert done.returncode == 1 and set(rows) == {"host", "old", "away", "stranger"}, done.stderr
    assert rows["host"]["well"] and rows["old"]["well"] and not rows["away"]["well"] and not rows["stranger"]["well"]
    assert "refused" in rows["away"]["why"] and rows["stranger"]["why"]
    assert [w for w in rows["host"]["warnings"] if "root" in w] if ACCOUNT == "root" else not rows["host"]["warnings"]
    assert not [w for row in rows.values() for w in row["warnings"] if "passwords" in w]
    assert "TrustedUserCAKeys" in rows["host"]["needs"] and "authorized_keys" in rows["old"]["needs"]
    done, rows = check(str(folder), "old")
    assert done.returncode == 0 and set(rows) == {"old"}
    assert check(str(folder), "nobody")[0].returncode == 1
    (folder / "more.yaml").write_text("kind: Nothing\n")
    assert check(str(folder))[0].returncode == 4


# ---- the vault alone

def request(user, blob, algorithm, session=b"s" * 32, service=b"ssh-connection", method=b"publickey", kind=50):
    return text(session) + bytes([kind]) + text(user) + text(service) + text(method) + b"\1" + text(algorithm) + \
        text(blob)


def keep(vault, name=b"old/ops", private=b""):  # noqa: F811
    status, blob = vault.connect("core").call(vc.SSH_KEY_PUT, text(name) + text(private))
    assert status == vc.OK
    return blob


def sign(vault, data, name=b"old/ops"):  # noqa: F811
    return vault.connect("core").call(vc.SSH_KEY_SIGN, text(name) + text(data))


def test_the_vault_signs_log_ins_of_this_account_with_this_key_and_nothing_else(vault):  # noqa: F811
    blob, other = keep(vault), keep(vault, b"old/dev")
    good = request(b"ops", blob, b"ssh-ed25519")
    status, signature = sign(vault, good)
    assert status == vc.OK
    reader = vc.Reader(signature)
    assert reader.text() == b"ssh-ed25519"
    key = serialization.load_ssh_public_key(b"ssh-ed25519 " + base64.b64encode(blob))
    raw = reader.text()
    key.verify(raw, good)
    with pytest.raises(InvalidSignature):
        key.verify(raw, good + b"x")
    for bad in (b"", good[:-1], good + b"\0", request(b"root", blob, b"ssh-ed25519"),
                request(b"ops", other, b"ssh-ed25519"), request(b"ops", blob, b"ssh-rsa"),
                request(b"ops", blob, b"ssh-ed25519", session=b"short"),
                request(b"ops", blob, b"ssh-ed25519", service=b"other"),
                request(b"ops", blob, b"ssh-ed25519", method=b"password"),
                request(b"ops", blob, b"ssh-ed25519", kind=51)):
        assert sign(vault, bad)[0] in (vc.EINVALID, 3), bad
    assert sign(vault, good, b"old/nobody")[0] == vc.ENOTFOUND
    assert sign(vault, good, b"no-account")[0] == vc.EINVALID


def test_rsa_signs_with_sha2_only_and_stays_over_a_restart(vault, folder):  # noqa: F811
    keygen(str(folder / "rsa"), "rsa", "-b", "2048")
    private = (folder / "rsa").read_bytes()
    blob = keep(vault, private=private)
    vault.stop()
    vault.start()
    key = serialization.load_ssh_public_key(b"ssh-rsa " + base64.b64encode(blob))
    for algorithm, digest in ((b"rsa-sha2-256", hashes.SHA256()), (b"rsa-sha2-512", hashes.SHA512())):
        data = request(b"ops", blob, algorithm)
        status, signature = sign(vault, data)
        assert status == vc.OK and signature.startswith(struct.pack(">I", len(algorithm)) + algorithm)
        key.verify(vc.Reader(signature[4 + len(algorithm):]).text(), data, padding.PKCS1v15(), digest)
    assert sign(vault, request(b"ops", blob, b"ssh-rsa"))[0] != vc.OK


def test_key_files_of_every_wrong_kind(vault, folder):  # noqa: F811
    keygen(str(folder / "good"))
    keygen(str(folder / "rsa"), "rsa", "-b", "2048")
    keygen(str(folder / "weak"), "rsa", "-b", "1024")
    good = (folder / "good").read_bytes()
    lines = good.splitlines()
    raw = bytearray(base64.b64decode(b"".join(lines[1:-1])))

    def armour(data):
        return b"\n".join([lines[0], base64.b64encode(bytes(data)), lines[-1], b""])

    assert vault.connect("core").call(vc.SSH_KEY_PUT, text(b"a/b") + text(armour(raw)))[0] == vc.OK
    seed = raw.rindex(b"ssh-ed25519")  # in the secret part
    bad = [good[:-40], armour(raw[:-1]), armour(raw + b"\0"), (folder / "weak").read_bytes(), b"\0" * 100, lines[0]]
    for at in (0, 20, seed + 20, seed + 60, len(raw) - 1):
        broken = bytearray(raw)
        broken[at] ^= 1
        bad.append(armour(broken))
    rsa = (folder / "rsa").read_bytes().splitlines()
    numbers = bytearray(base64.b64decode(b"".join(rsa[1:-1])))
    numbers[-200] ^= 1  # in a prime
    bad.append(b"\n".join([rsa[0], base64.b64encode(bytes(numbers)), rsa[-1], b""]))
    for one in bad:
        assert vault.connect("core").call(vc.SSH_KEY_PUT, text(b"a/b") + text(one))[0] != vc.OK, one[:60]

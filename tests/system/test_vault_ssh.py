# SPDX-License-Identifier: Apache-2.0
"""The vault's SSH keys: certificates that OpenSSH reads and a real sshd takes, and who may have what.

OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/vault_msg.h, OpenSSH PROTOCOL.certkeys.
"""
import base64
import getpass
import os
import re
import struct
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

import vault_client as vc
from officelib import free_port, wait_started
from test_vault_role import as_root, folder, vault  # noqa: F401 (fixtures)
from vault_client import text

HOST, TARGET_CA, USER_CA = 0, 1, 2


def key_pair(folder, kind="ed25519"):
    """(file, blob) of a new key."""
    path = folder / f"id_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    return path, base64.b64decode(path.with_suffix(".pub").read_text().split()[1])


def public(vault, which, role="core"):
    status, blob = vault.connect(role).call(vc.SSH_PUBLIC, bytes([which]))
    assert status == vc.OK
    return blob


def line(blob, comment="x"):
    kind = blob[4:4 + struct.unpack(">I", blob[:4])[0]].decode()
    return f"{kind} {base64.b64encode(blob).decode()} {comment}\n"


def certify(vault, *args, **more):
    return vault.connect("core").call(vc.SSH_CERTIFY, vc.ssh_ask(*args, **more))


def read(folder, certificate):
    """What ssh-keygen -L says of it."""
    path = folder / "cert.pub"
    path.write_text(line(certificate))
    return subprocess.run(["ssh-keygen", "-L", "-f", path], check=True, text=True,
                          capture_output=True).stdout


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_openssh_reads_what_is_issued(vault, folder, kind):  # noqa: F811
    _, blob = key_pair(folder, kind)
    status, certificate = certify(
        vault, blob, ca=USER_CA, principals=("zhao.min", "gate"), life=3600,
        critical=(("force-command", "uptime"), ("source-address", "10.0.0.0/8")),
        extensions=(("device@sallyport", "7"), ("permit-pty", "")))
    assert status == vc.OK
    said = read(folder, certificate)
    ca = folder / "ca.pub"
    ca.write_text(line(public(vault, USER_CA)))
    print_ = subprocess.run(["ssh-keygen", "-l", "-f", ca], check=True, text=True,
                            capture_output=True).stdout.split()[1]
    assert f"Signing CA: ED25519 {print_}" in said
    assert 'Key ID: "zhao.min/7F3K-9Q2M-XA4T"' in said and "user certificate" in said
    assert re.search(r"Principals: \n\s+zhao.min\n\s+gate\n", said)
    assert "force-command uptime" in said and "source-address 10.0.0.0/8" in said
    assert "permit-pty" in said and "device@sallyport" in said
    # another one has another serial and another nonce
    other = certify(vault, blob, ca=USER_CA)[1]
    assert re.search(r"Serial: (\d+)", said)[1] != \
        re.search(r"Serial: (\d+)", read(folder, other))[1]


@pytest.mark.parametrize("more", [
    {"life": 3700}, {"life": 12 * 3600 + 60, "ca": USER_CA}, {"life": 0}, {"life": -1},
    {"after": -400}, {"after": 60}, {"principals": ()}, {"principals": ("",)}, {"key_id": ""},
    {"ca": HOST}, {"extensions": (("permit-pty", ""), ("permit-pty", ""))},
    {"extensions": (("permit-pty", ""), ("permit-X11-forwarding", ""))}, {"extensions": (("", ""),)},
])
def test_bounds_hold_whatever_core_says(vault, folder, more):  # noqa: F811
    _, blob = key_pair(folder)
    status, body = certify(vault, blob, **more)
    assert status == vc.EINVALID and body == b""


def test_certifies_only_keys_that_it_knows(vault, folder):  # noqa: F811
    good = key_pair(folder)[1]
    rsa = key_pair(folder, "rsa")[1]
    certificate = certify(vault, good)[1]
    ca = public(vault, TARGET_CA)
    assert certify(vault, ca)[0] == vc.OK  # any ed25519 key; it is public
    for bad in (b"", good[:-1], good + b"\0", text(b"ssh-ed25519") + text(b"short"),
                text(b"ecdsa-sha2-nistp256") + text(b"nistp384") + text(b"\4" + bytes(64)),
                text(b"ecdsa-sha2-nistp256") + text(b"nistp256") + text(b"\2" + bytes(64))):
        assert certify(vault, bad)[0] in (vc.EINVALID,), bad
    assert certify(vault, rsa)[0] in (vc.EINVALID, vc.ELIMIT)
    assert certify(vault, certificate)[0] in (vc.EINVALID, vc.ELIMIT)


def test_the_host_key_signs_for_the_ssh_gate(vault):  # noqa: F811
    gate = vault.connect("ssh")
    status, der = gate.call(vc.TLS_KEY, b"ssh-host")
    assert status == vc.OK
    key = serialization.load_der_public_key(der)
    blob = public(vault, HOST, "ssh")
    assert blob.endswith(key.public_bytes(serialization.Encoding.X962,
                                          serialization.PublicFormat.UncompressedPoint))
    status, signature = gate.call(vc.TLS_SIGN, text(b"ssh-host") + struct.pack(">H", 0x0403) +
                                  text(b"d" * 32))
    assert status == vc.OK
    key.verify(signature, b"d" * 32, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_a_new_host_key_takes_the_place_of_the_old_one(vault):  # noqa: F811
    core, old, cas = vault.connect("core"), public(vault, HOST), [public(vault, ca) for ca in (1, 2)]
    status, new = core.call(vc.SSH_HOST_RENEW)
    assert status == vc.OK and new != old and public(vault, HOST) == new
    status, der = vault.connect("ssh").call(vc.TLS_KEY, b"ssh-host")
    point = serialization.load_der_public_key(der).public_bytes(serialization.Encoding.X962,
                                                                serialization.PublicFormat.UncompressedPoint)
    assert status == vc.OK and new.endswith(point)
    vault.stop()
    vault.start()
    assert public(vault, HOST) == new and [public(vault, ca) for ca in (1, 2)] == cas


@as_root
def test_each_role_may_do_its_own_part_only(vault, folder):  # noqa: F811
    _, blob = key_pair(folder)
    name = vault.connect("web").call(vc.TLS_IDENTITY)[1][4:]
    tls = name[:name.index(b"\0")] if b"\0" in name else name
    sign = text(b"ssh-host") + struct.pack(">H", 0x0403) + text(b"d" * 32)
    bodies = [(vc.SSH_PUBLIC, bytes([HOST]), {"core", "ssh"}), (vc.SSH_CERTIFY, vc.ssh_ask(blob), {"core"}),
              (vc.TLS_KEY, b"ssh-host", {"ssh"}), (vc.TLS_SIGN, sign, {"ssh"}),
              (vc.SSH_CREDENTIAL_LIST, b"", {"core"}), (vc.SSH_PASSWORD, b"a/b", {"core"}),
              (vc.SSH_CREDENTIAL_PUT, text(b"a/b") + text(b"x"), {"core"}),
              (vc.SSH_CREDENTIAL_REMOVE, b"a/c", {"core"}), (vc.SSH_KEY_PUT, text(b"a/d") + text(b""), {"core"}),
              (vc.SSH_KEY_PUBLIC, b"a/d", {"core"}), (vc.SSH_KEY_SIGN, text(b"a/d") + text(b"x"), {"core"}),
              (vc.DB_CREDENTIAL_LIST, b"", {"core"}), (vc.SSH_HOST_RENEW, b"", {"core"}),
              (vc.CHANNEL_LIST, b"", {"core"}), (vc.CHANNEL_SECRET, b"a/b", {"courier"}),
              (vc.CHANNEL_PUT, text(b"c/token") + text(b"x"), {"core"}), (vc.CHANNEL_REMOVE, b"c/x", {"core"}),
              (vc.DB_PROOF, b"", {"db"})]
    for role in ("core", "ledger", "web", "db", "keeper", "ssh", "courier", "stranger"):
        for kind, body, may in bodies:
            status, reply = vault.connect(role).call(kind, body)
            assert (status == vc.EDENIED) == (role not in may), (role, hex(kind), status)
            assert role in may or reply == b""
    # the SSH gate cannot have the server's handshakes signed
    assert vault.connect("ssh").call(vc.TLS_SIGN, text(tls) + sign[-38:])[0] == vc.EDENIED


def test_keeps_lists_and_hands_out_passwords_of_accounts(vault):  # noqa: F811
    core = vault.connect("core")
    assert core.call(vc.SSH_CREDENTIAL_PUT, text(b"old-box/root") + text(b"tulip-garden")) == (vc.OK, b"")
    assert core.call(vc.SSH_CREDENTIAL_PUT, text(b"old-box/root") + text(b""))[0] == vc.EINVALID
    vault.stop()
    vault.start()
    core = vault.connect("core")
    status, body = core.call(vc.SSH_CREDENTIAL_LIST)
    assert status == vc.OK and b"old-box/root" in body and b"tulip" not in body
    assert b"old-box" not in core.call(vc.DB_CREDENTIAL_LIST)[1]  # not a database's
    core.socket.settimeout(1)
    with pytest.raises(TimeoutError):  # it is on the ledger's disk first, and there is none
        core.call(vc.SSH_PASSWORD, b"old-box/root")
    vault.start_ledger()
    core.socket.settimeout(20)
    assert core.socket.recv(4096)[7:] == bytes([vc.OK]) + b"tulip-garden"  # the reply that waited
    assert core.call(vc.SSH_PASSWORD, b"old-box/root") == (vc.OK, b"tulip-garden")
    assert core.call(vc.SSH_CREDENTIAL_REMOVE, b"old-box/root")[0] == vc.OK
    assert core.call(vc.SSH_PASSWORD, b"old-box/root")[0] == vc.ENOTFOUND
    assert b"tulip-garden" not in vault.log.read_bytes()


def test_keys_stay_over_a_restart(vault):  # noqa: F811
    before = [public(vault, which) for which in (HOST, TARGET_CA, USER_CA)]
    vault.stop()
    vault.start()
    assert [public(vault, which) for which in (HOST, TARGET_CA, USER_CA)] == before


def test_a_real_sshd_takes_the_certificate(vault, folder):  # noqa: F811
    path, blob = key_pair(folder)
    host, _ = key_pair(folder, "ecdsa")
    ca, port, who = folder / "ca.pub", free_port(), getpass.getuser()
    ca.write_text(line(public(vault, TARGET_CA)))
    (folder / "principals").write_text("ops\n")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {host}\nTrustedUserCAKeys {ca}\nUsePAM no\n"
        f"AuthorizedPrincipalsFile {folder}/principals\nPidFile none\nStrictModes no\n"
        "PasswordAuthentication no\nPermitRootLogin yes\nAuthorizedKeysFile none\n")
    os.makedirs("/run/sshd", exist_ok=True)
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"],
                              stderr=subprocess.DEVNULL)

    def log_in():
        return subprocess.run(
            ["ssh", "-F", "none", "-p", str(port), "-i", path, "-o", f"CertificateFile={folder}/c.pub",
             "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known",
             "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", f"{who}@127.0.0.1", "echo in"],
            capture_output=True, text=True, timeout=20)

    def use(**more):
        (folder / "c.pub").write_text(line(certify(vault, blob, **more)[1]))

    try:
        use()
        wait_started("sshd", server, lambda: log_in().returncode != 255)
        assert log_in().stdout == "in\n"
        use(principals=("dev",))
        assert log_in().returncode == 255
        use(ca=USER_CA)  # the gate's own CA opens no target
        assert log_in().returncode == 255
        use(critical=(("force-command", "echo forced"),))
        assert log_in().stdout == "forced\n"
    finally:
        server.terminate()
        server.wait(10)

# SPDX-License-Identifier: Apache-2.0
"""The vault as a process: who may ask what, what survives, what is refused, what it may reach.

OWNS nothing. PROCESS tests. TRUST none. SPEC vault/README.md, lib/proto/vault_msg.h.
"""
import base64
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import tempfile
import time

import nacl.public
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import vault_client as vc
from vault_client import Reader, Vault, text

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = ROOT / os.environ.get("SALLYPORT_BUILD", "build") / "cli/sallyport"
EAGAIN = 10  # lib/base/err.h
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="roles have a uid of their own only as root")


@pytest.fixture
def folder():
    """One that the vault's user may enter; pytest closes its own whenever another run of it begins."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="sp-vault-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def vault(folder):
    made = Vault(PROGRAM, folder)
    yield made.start()
    made.stop_ledger()
    if made.process is not None:
        made.stop()


def csr_der(key, hash_=hashes.SHA256()):
    return (x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CN=evil,O=bank")]))
            .sign(key, hash_).public_bytes(serialization.Encoding.DER))


def issue_body(csr, device=7, name=b"laptop-3", life=86400):
    return struct.pack(">Q", device) + text(name) + struct.pack(">I", life) + text(csr)


# ---- certificates ----

def test_issues_a_device_certificate_that_verifies(vault):
    core = vault.connect("core")
    key = ec.generate_private_key(ec.SECP256R1())
    status, body = core.call(vc.DEVICE_ISSUE, issue_body(csr_der(key)))
    assert status == vc.OK
    reader = Reader(body)
    reader.take(16)
    cert = x509.load_der_x509_certificate(reader.text())
    _, ca_der = core.call(vc.CA, b"\0")
    ca = x509.load_der_x509_certificate(ca_der)
    ca.public_key().verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    assert cert.public_key().public_numbers() == key.public_key().public_numbers()
    names = {a.oid: a.value for a in cert.subject}
    assert names[NameOID.COMMON_NAME] == "laptop-3"  # core's word, not the request's
    assert names[NameOID.SERIAL_NUMBER] == "7"
    usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    life = cert.not_valid_after - cert.not_valid_before
    assert life <= datetime.timedelta(days=1, minutes=6)


@pytest.mark.parametrize("make", [
    lambda: csr_der(rsa.generate_private_key(65537, 2048)),
    lambda: csr_der(ec.generate_private_key(ec.SECP384R1())),
    lambda: csr_der(ec.generate_private_key(ec.SECP256R1()), hashes.SHA1()),
    lambda: csr_der(ec.generate_private_key(ec.SECP256R1()))[:-1] + b"\0",
    lambda: b"",
    lambda: b"\x30\x80" + b"\0" * 100,
])
def test_refuses_requests_that_are_not_sound(vault, make):
    status, body = vault.connect("core").call(vc.DEVICE_ISSUE, issue_body(make()))
    assert status != vc.OK and body == b""


def test_refuses_long_lives(vault):
    csr = csr_der(ec.generate_private_key(ec.SECP256R1()))
    status, _ = vault.connect("core").call(vc.DEVICE_ISSUE, issue_body(csr, life=8 * 86400))
    assert status == vc.EINVALID


def test_server_certificate_is_of_the_office_only(vault):
    status, body = vault.connect("web").call(vc.TLS_IDENTITY)
    assert status == vc.OK
    reader = Reader(body)
    name, not_after, chain = reader.text(), reader.number("Q"), reader.text()
    pems = chain.split(b"-----END CERTIFICATE-----\n")
    leaf, ca = [x509.load_pem_x509_certificate(p + b"-----END CERTIFICATE-----\n")
                for p in pems[:2]]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["*.office.localhost", "office.localhost"]
    limits = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert [n.value for n in limits.value.permitted_subtrees] == ["office.localhost"]
    assert time.time() + 13 * 86400 < not_after < time.time() + 15 * 86400
    digest = b"d" * 32
    status, signature = vault.connect("web").call(
        vc.TLS_SIGN, text(name) + struct.pack(">H", 0x0403) + text(digest))
    assert status == vc.OK
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    leaf.public_key().verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.mark.parametrize("name", [b"device-ca", b"office-ca", b"token.1", b"", b"../x", b"n" * 63])
def test_signs_handshakes_with_handshake_keys_only(vault, name):
    status, body = vault.connect("web").call(
        vc.TLS_SIGN, text(name) + struct.pack(">H", 0x0403) + text(b"d" * 32))
    assert status == vc.ENOTFOUND and body == b""


# ---- tokens ----

def claims(**more):
    now = int(time.time())
    base = {"iss": "https://portal.office.localhost:8443", "aud": "wiki.office.localhost",
            "sub": "li", "jti": "1", "iat": now, "exp": now + 300}
    base.update(more)
    return json.dumps(base).encode()


def b64(part):
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def verify(jwks, token):
    head, body, signature = token.split(b".")
    kid = json.loads(b64(head))["kid"]
    jwk = next(k for k in json.loads(jwks)["keys"] if k["kid"] == kid)
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(b64(jwk["x"].encode()), "big"),
                                            int.from_bytes(b64(jwk["y"].encode()), "big"),
                                            ec.SECP256R1())
    raw = b64(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    numbers.public_key().verify(der, head + b"." + body, ec.ECDSA(hashes.SHA256()))
    return json.loads(b64(body)), kid


def test_tokens_verify_before_and_after_a_rotation(vault):
    core = vault.connect("core")
    _, first_set = core.call(vc.TOKEN_JWKS)
    _, old = core.call(vc.TOKEN_SIGN, claims())
    got, old_kid = verify(first_set, old)
    assert got["aud"] == "wiki.office.localhost"
    status, new_set = core.call(vc.TOKEN_ROTATE)
    assert status == vc.OK
    _, new = core.call(vc.TOKEN_SIGN, claims())
    _, new_kid = verify(new_set, new)
    assert new_kid != old_kid
    verify(first_set, new)  # the next key was known before it signed
    verify(new_set, old)    # the old one is known as long as its tokens live


@pytest.mark.parametrize("bad", [
    {"iss": "https://bank.example"}, {"aud": "bank.example"}, {"exp": 2 ** 40}, {"exp": "soon"}, {"sub": ""}, b"[]", b"{", b"\xff", b"{}" * 3])
def test_signs_no_other_tokens(vault, bad):
    token = claims(**bad) if isinstance(bad, dict) else bad
    status, body = vault.connect("core").call(vc.TOKEN_SIGN, token)
    assert status in (vc.EDENIED, vc.EINVALID) and body == b""


# ---- who may ask what ----

ALLOWED = {
    "core": {vc.PING, vc.KEYS, vc.CA, vc.DEVICE_ISSUE, vc.TLS_IDENTITY, vc.TOKEN_SIGN,
             vc.TOKEN_JWKS, vc.TOKEN_ROTATE, vc.CHECKPOINT_LAST, vc.WRAP, vc.UNWRAP},
    "ledger": {vc.PING, vc.CHECKPOINT_SIGN, vc.CHECKPOINT_LAST, vc.WRAP, vc.UNWRAP},
    "web": {vc.PING, vc.CA, vc.TLS_IDENTITY, vc.TLS_KEY, vc.TLS_SIGN, vc.TOKEN_JWKS},
    "root": {vc.PING, vc.EXPORT},
    "stranger": {vc.PING},
}


@as_root
@pytest.mark.parametrize("role", ALLOWED)
def test_each_role_is_held_to_its_kinds(vault, role):
    peer = vault.connect(role)
    for kind in range(vc.PING, vc.EXPORT + 1):
        status, body = peer.call(kind, b"")
        if kind not in ALLOWED[role]:
            assert status == vc.EDENIED and body == b"", hex(kind)
        else:
            assert status != vc.EDENIED, hex(kind)


@as_root
def test_core_cannot_open_what_the_ledger_wrapped(vault):
    core, ledger = vault.connect("core"), vault.connect("ledger")
    _, wrapped = ledger.call(vc.WRAP, text(b"subject 1") + text(b"secret key"))
    assert b"secret key" not in wrapped
    assert ledger.call(vc.UNWRAP, text(b"subject 1") + text(wrapped)) == (vc.OK, b"secret key")
    assert core.call(vc.UNWRAP, text(b"subject 1") + text(wrapped)) == (vc.ECORRUPT, b"")
    assert ledger.call(vc.UNWRAP, text(b"subject 2") + text(wrapped)) == (vc.ECORRUPT, b"")


@as_root
def test_exports_its_keys_to_root_alone_and_only_sealed(vault):
    public = nacl.public.PrivateKey.generate()
    ask = bytes(public.public_key)
    assert vault.connect("core").call(vc.EXPORT, ask) == (vc.EDENIED, b"")
    root = vault.connect("root")
    for bad in (b"", ask[:-1], ask + b"x", bytes(32)):  # the last is no key: a point of small order
        assert root.call(vc.EXPORT, bad)[0] in (vc.EINVALID, vc.ELIMIT)
    status, body = root.call(vc.EXPORT, ask)
    assert status == vc.OK
    reader = Reader(body)
    assert reader.text() == b"office.localhost" and reader.number("Q") == 0
    reader.take(32)
    sealed = reader.text()
    assert b"device-ca" not in body
    opened = nacl.public.SealedBox(public).decrypt(sealed)
    assert opened.startswith(b"SPKX") and b"device-ca" in opened


def test_survives_hostile_packets(vault):
    for packet in (b"", b"\0", b"\1" * 8, os.urandom(64), b"\1" + os.urandom(60_000),
                   struct.pack(">BHIB", 1, 0xffff, 1, 0), struct.pack(">BHIB", 9, vc.PING, 1, 0)):
        peer = vault.connect("web")
        peer.socket.send(packet)
    peer = vault.connect("core")
    for kind in range(vc.PING, vc.EXPORT + 1):
        for size in (0, 1, 7, 100, 20_000):
            peer.call(kind, os.urandom(size))
    assert vault.connect("core").call(vc.PING)[0] == vc.OK


def test_takes_no_descriptors(vault):
    peer = vault.connect("core")
    before = len(os.listdir(f"/proc/{vault.process.pid}/fd"))
    for _ in range(20):
        peer.id += 1
        socket.send_fds(peer.socket, [struct.pack(">BHIB", 1, vc.PING, peer.id, 0)], [1, 2])
        peer.socket.recv(1024)
    assert len(os.listdir(f"/proc/{vault.process.pid}/fd")) < before + 20  # forty were sent


# ---- checkpoints ----

def leaf(data):
    import hashlib
    return hashlib.sha256(b"\0" + data).digest()


def node(left, right):
    import hashlib
    return hashlib.sha256(b"\1" + left + right).digest()


def test_a_rolled_back_ledger_gets_no_signature(vault):
    ledger = vault.connect("ledger")
    a, b, c = leaf(b"a"), leaf(b"b"), leaf(b"c")

    def ask(old, new, root, proof=()):
        return ledger.call(vc.CHECKPOINT_SIGN, struct.pack(">QQ", old, new) + root +
                           bytes([len(proof)]) + b"".join(proof))
    status, note = ask(0, 1, a)
    assert status == vc.OK
    assert note.decode().startswith(
        f"office.localhost\n1\n{base64.b64encode(a).decode()}\n\n\u2014 office.localhost ")
    assert ask(1, 2, node(a, b), [b])[0] == vc.OK
    vault.stop(signal.SIGKILL)
    vault.start()
    ledger = vault.connect("ledger")
    assert ask(0, 1, a)[0] == vc.ECONFLICT           # begins again
    assert ask(1, 2, node(a, c), [c])[0] == vc.ECONFLICT  # another second entry
    assert ask(2, 3, node(node(a, c), b), [b])[0] == vc.ECONFLICT
    assert ask(2, 3, node(node(a, b), c), [c])[0] == vc.OK


# ---- restarts and files ----

def keys_of(vault):
    reader = Reader(vault.connect("core").call(vc.KEYS)[1])
    return [(reader.text(), reader.text(), reader.text(), reader.number("Q"))
            for _ in range(reader.number("H"))]


def test_keys_survive_kill_and_stop(vault):
    before = keys_of(vault)
    _, wrapped = vault.connect("core").call(vc.WRAP, text(b"x") + text(b"plain"))
    vault.stop(signal.SIGKILL)
    vault.start()
    assert keys_of(vault) == before
    assert vault.stop() == 0
    vault.start()
    assert vault.connect("core").call(vc.UNWRAP, text(b"x") + text(wrapped)) == (vc.OK, b"plain")


def test_files_are_closed_to_others(vault):
    for file in vault.state.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.parametrize("hurt,says", [
    (lambda s: (s / "master.key").unlink(), "no master key"),
    (lambda s: (s / "master.key").write_bytes(os.urandom(32)), "does not open with the master key"),
    (lambda s: (s / "keyring").write_bytes((s / "keyring").read_bytes()[:-1]), "does not open"),
    (lambda s: (s / "master.key").chmod(0o644), "mode 0600"),
])
def test_refuses_to_start_with_other_keys_and_says_why(vault, hurt, says):
    vault.stop()
    hurt(vault.state)
    vault.spawn()
    assert vault.wait_ended() == 1, vault.logged()
    assert says in vault.logged()
    assert (vault.state / "keyring").exists()


def make_files(folder, names=("*.office.localhost",), key=None):
    key = key or rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "files")])
    now = datetime.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=60))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
            .sign(key, hashes.SHA256()))
    (folder / "tls.crt").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    (folder / "tls.key").chmod(0o600)
    os.chown(folder / "tls.key", vc.UIDS["vault"], -1)


def identity(vault):
    reader = Reader(vault.connect("web").call(vc.TLS_IDENTITY)[1])
    return reader.text(), reader.number("Q"), reader.text()


def test_serves_certificate_files_and_their_renewal(folder):
    make_files(folder)
    vault = Vault(PROGRAM, folder,
                  tls=f"{{ certificate: {folder}/tls.crt, key: {folder}/tls.key }}")
    vault.start()
    try:
        name, _, chain = identity(vault)
        assert name.startswith(b"tls.file.") and chain == (folder / "tls.crt").read_bytes()
        make_files(folder)  # as an ACME client would
        vault.process.send_signal(signal.SIGHUP)
        deadline = time.time() + 5
        while identity(vault)[0] == name and time.time() < deadline:
            time.sleep(0.02)
        fresh, _, chain = identity(vault)
        assert fresh != name and chain == (folder / "tls.crt").read_bytes()
        for key in (name, fresh):  # workers of before and after the reload
            status, _ = vault.connect("web").call(
                vc.TLS_SIGN, text(key) + struct.pack(">H", 0x0804) + text(b"d" * 32))
            assert status == vc.OK
        (folder / "tls.crt").write_text("rubbish")
        vault.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert identity(vault)[0] == fresh and "served on" in vault.logged()
    finally:
        vault.stop()


def test_says_when_key_and_certificate_do_not_belong_together(folder):
    make_files(folder)
    key = (folder / "tls.key").read_bytes()
    make_files(folder)
    (folder / "tls.key").write_bytes(key)
    vault = Vault(PROGRAM, folder,
                  tls=f"{{ certificate: {folder}/tls.crt, key: {folder}/tls.key }}")
    vault.spawn()
    assert vault.wait_ended() == 1, vault.logged()
    assert "is not the unencrypted PEM key of the first certificate" in vault.logged()


# ---- the cage ----

def test_is_locked_in(vault):
    status = pathlib.Path(f"/proc/{vault.process.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Seccomp"].strip() == "2"
    assert fields["NoNewPrivs"].strip() == "1"
    assert int(fields["CapEff"], 16) == 0
    if os.geteuid() == 0:
        assert fields["Uid"].split()[0] == str(vc.UIDS["vault"])


def test_no_secret_in_log_or_arguments(vault):
    master = (vault.state / "master.key").read_bytes()
    log = vault.log.read_bytes()
    arguments = pathlib.Path(f"/proc/{vault.process.pid}/cmdline").read_bytes()
    for form in (master, master.hex().encode(), base64.b64encode(master)):
        assert form not in log and form not in arguments


def test_what_finds_no_room_on_record_is_not_done(vault):
    """Without a ledger the vault keeps 256 entries; then it does nothing that would have to be another."""
    core, key = vault.connect("core"), ec.generate_private_key(ec.SECP256R1())
    body = text(b"orders-db/op_dba") + text(b"tulip-garden")
    codes = [core.call(vc.DB_CREDENTIAL_PUT, body)[0] for _ in range(300)]
    assert codes[:200] == [vc.OK] * 200 and codes[-40:] == [EAGAIN] * 40
    assert core.call(vc.DEVICE_ISSUE, issue_body(csr_der(key)))[0] == EAGAIN
    assert core.call(vc.PING)[0] == vc.OK and core.call(vc.DB_CREDENTIAL_LIST)[0] == vc.OK
    vault.start_ledger()
    deadline = time.monotonic() + 20
    while core.call(vc.DEVICE_ISSUE, issue_body(csr_der(key)))[0] != vc.OK:
        assert time.monotonic() < deadline
        time.sleep(0.2)

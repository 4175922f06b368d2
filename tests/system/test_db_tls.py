# SPDX-License-Identifier: Apache-2.0
"""TLS on both sides of the database gate: who the server is, which versions are spoken, and who may ask for it at once.

OWNS an office, a server, its certificates. PROCESS tests. TRUST none. SPEC docs/DATABASE.md, gates/db/tls.h.
"""
import contextlib
import datetime
import ipaddress
import os
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dblib import ACCOUNT_PASSWORD, DatabaseOffice
from officelib import wait_for
from pgraw import SSL_REQUEST, Raw, fields

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # that they are old is the point

MODES = ("verify-full", "verify-ca", "require")
HEAD = """
kind: Role
name: dba
---
kind: Role
name: viewer
---
kind: Rule
name: operators work in all of them
who: { roles: [dba] }
to: { classes: [internal] }
may: [connect, read, write, execute]
"""
RESOURCE = """---
kind: Resource
name: %s
operator: company
class: internal
postgres: { address: "127.0.0.1:%s", tls: %s, ca: CA, databases: [orders], accounts: [{ roles: [dba], as: op_dba }] }
"""


class OldServer:
    """Answers SSLRequest and shakes hands as it is told; remembers how that ended."""

    def __init__(self):
        self.newest, self.ends = ssl.TLSVersion.TLSv1_2, []
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                line, _ = self.socket.accept()
            except OSError:
                return
            line.settimeout(10)
            with contextlib.suppress(OSError):
                assert line.recv(8) == SSL_REQUEST
                line.sendall(b"S")
                context = old(ssl.PROTOCOL_TLS_SERVER, self.newest)
                context.load_cert_chain(self.cert, self.key)
                try:
                    with context.wrap_socket(line, server_side=True) as tls:
                        self.ends.append((tls.version(), len(tls.recv(8))))
                except ssl.SSLError as error:
                    self.ends.append((None, error.reason))
            line.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(15)
        self.socket.close()


def old(kind, newest):
    """Speaks versions up to that one, however old they are."""
    context = ssl.SSLContext(kind)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = newest
    return context


def days(count):
    return datetime.datetime.utcnow() + datetime.timedelta(days=count)


class Authority:
    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "office test ca")])
        self.pem = self._sign(self.name, self.key, [x509.BasicConstraints(True, None)])

    def _sign(self, subject, key, extensions, begins=-2, ends=30):
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(days(begins)).not_valid_after(days(ends)))
        for one in extensions:
            builder = builder.add_extension(one, critical=isinstance(one, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def leaf(self, names, usage=ExtendedKeyUsageOID.SERVER_AUTH, **times):
        """(certificate, key)"""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]), key,
                         [x509.BasicConstraints(False, None), x509.SubjectAlternativeName(names), x509.ExtendedKeyUsage([usage])], **times)
        return pem, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


HERE = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
ELSEWHERE = [x509.IPAddress(ipaddress.ip_address("127.0.0.2")), x509.DNSName("127.0.0.1.example"), x509.DNSName("localhost")]
# the certificate that is shown, with which modes the gate works with it, what it says of it else
SHOWN = {
    "right": (lambda ours, other: ours.leaf(HERE), MODES, ""),
    "wrong name": (lambda ours, other: ours.leaf(ELSEWHERE), ("verify-ca", "require"), "IP address mismatch"),
    "wrong authority": (lambda ours, other: other.leaf(HERE), ("require",), "certificate"),
    "expired": (lambda ours, other: ours.leaf(HERE, begins=-9, ends=-1), ("require",), "certificate has expired"),
    "not yet good": (lambda ours, other: ours.leaf(HERE, begins=1), ("require",), "certificate is not yet valid"),
    "of a client": (lambda ours, other: ours.leaf(HERE, usage=ExtendedKeyUsageOID.CLIENT_AUTH), ("require",), "certificate purpose"),
}


@pytest.fixture(scope="module")
def db():
    old = OldServer()
    documents = HEAD + "".join(RESOURCE % ("orders-db" if mode == "verify-full" else mode, "%(port)d", mode) for mode in MODES)
    documents = documents.replace("ca: CA", "%(ca)s") + (RESOURCE % ("old", old.port, "require")).replace("ca: CA, ", "")
    one = None
    try:
        one = DatabaseOffice(documents=documents, workers=1)
        one.ours, one.other, one.old = Authority(), Authority(), old
        with open(os.path.join(one.office.documents, "server-ca.pem"), "wb") as file:
            file.write(one.ours.pem)
        show(one, "right")
        old.cert, old.key = (os.path.join(one.office.dir, name) for name in ("old.pem", "old.key"))
        for path, data in zip((old.cert, old.key), one.ours.leaf(HERE)):
            with open(path, "wb") as file:
                file.write(data)
        for name in (*MODES[1:], "old"):
            one.put_credential("op_dba", ACCOUNT_PASSWORD, name)
        yield one
    finally:
        if one is not None:
            one.close()
        old.close()


def show(db, which):
    """The server shows this certificate to whoever comes from now on."""
    made = SHOWN[which][0](db.ours, db.other)
    for name, data in zip(("server.pem", "server.key"), made):
        path = os.path.join(db.server.dir, name)
        with open(path, "wb") as file:
            file.write(data)
    db.server.sql("SELECT pg_reload_conf()")
    want = ssl.PEM_cert_to_DER_cert(made[0].decode())
    wait_for("the server's new certificate", 10, lambda: shown_now(db) == want)


def shown_now(db):
    with socket.create_connection(("127.0.0.1", db.server.port), 10) as line:
        line.sendall(SSL_REQUEST)
        assert line.recv(1) == b"S"
        with old(ssl.PROTOCOL_TLS_CLIENT, ssl.TLSVersion.TLSv1_2).wrap_socket(line) as tls:
            return tls.getpeercert(True)


def attempt(db, resource):
    """None when it works; else the error that the client was told."""
    with contextlib.closing(Raw(db.port, timeout=30)) as raw:
        kind, body = raw.log_in("lin", resource, db.password("lin", resource))[-1]
        if kind == "E":
            return fields(body)
        assert ("D", b"\0\1\0\0\0\0017") in raw.ask("SELECT 7")
        return None


@pytest.mark.parametrize("which", SHOWN)
def test_who_the_server_is(db, which):
    _, good, word = SHOWN[which]
    show(db, which)
    for mode in MODES:
        resource = "orders-db" if mode == "verify-full" else mode
        if mode in good:
            wait_for(f"{mode} with {which}", 20, lambda r=resource: attempt(db, r) is None, step=0.3)
        else:
            error = attempt(db, resource)
            assert error and error["C"] == "08001" and error["S"] == "FATAL" and "Reference" in error["D"], (mode, error)
            assert "TLS with the database server failed: " in error["M"] and word in error["M"], error


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_old_versions_are_not_spoken_to_clients(db, newest):
    for how in ("asked", "direct"):
        for version, good in ((newest, False), (ssl.TLSVersion.TLSv1_2, True)):
            context = old(ssl.PROTOCOL_TLS_CLIENT, version)
            context.set_alpn_protocols(["postgresql"])
            with socket.create_connection(("127.0.0.1", db.port), 10) as line:
                if how == "asked":
                    line.sendall(SSL_REQUEST)
                    assert line.recv(1) == b"S"
                if good:
                    with context.wrap_socket(line) as tls:
                        assert tls.version() == "TLSv1.2"
                else:
                    with pytest.raises(ssl.SSLError) as refused:
                        context.wrap_socket(line)
                    assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION", "the gate's own word"


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_old_versions_are_not_spoken_to_servers(db, newest):
    db.old.newest = newest
    db.old.ends.clear()
    errors = []  # the gate's own look at the database comes now and then
    wait_for("hands that are not shaken", 30, lambda: (errors.append(attempt(db, "old")), db.old.ends)[1], step=0.5)
    assert {error["C"] for error in errors} == {"08001"} and "Reference" in errors[-1]["D"], errors
    assert {version for version, _ in db.old.ends} == {None}, db.old.ends
    db.old.newest = ssl.TLSVersion.TLSv1_2
    db.old.ends.clear()
    # it is no server; but now it hears the first packet
    wait_for("TLS 1.2", 30, lambda: (attempt(db, "old"), ("TLSv1.2", 8) in db.old.ends)[1], step=0.5)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_tls_at_once_works(db, version):
    show(db, "right")
    wait_for("the server", 20, lambda: attempt(db, "orders-db") is None, step=0.3)
    one = Raw(db.port, tls=None, timeout=20)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version.replace(".", "_"))
    context.set_alpn_protocols(["postgresql"])
    with contextlib.closing(one):
        one.socket = context.wrap_socket(one.socket, server_hostname="localhost")
        assert (one.socket.version(), one.socket.selected_alpn_protocol()) == (version, "postgresql")
        assert one.log_in("lin", "orders-db", db.password("lin"))[-1] == ("Z", b"I")
        assert ("D", b"\0\1\0\0\0\0017") in one.ask("SELECT 7")

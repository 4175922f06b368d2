# SPDX-License-Identifier: Apache-2.0
"""What stands behind the database gate is hostile: somebody between it and the server, a server that does not prove
itself, one that sends what it likes, and a name server that does not answer.

OWNS an office, a server, relays. PROCESS tests. TRUST none. SPEC gates/db/back.h, infra/gate/resolve.h.
"""
import os
import shutil
import socket
import struct
import tempfile
import threading
import time

import psycopg2
import pytest

import officelib
from dblib import ACCOUNT_PASSWORD, DatabaseOffice
from officelib import wait_for
from pglib import make_certificates
from pgraw import Raw, fields, message, query
from relay import Relay

RESOURCE = """---
kind: Resource
name: {name}
operator: company
class: internal
postgres:
  address: {address}
  tls: {tls}
  databases: [orders]
  accounts: [{{ roles: [dba], as: {account} }}]
"""
HEAD = """
kind: Role
name: dba
---
kind: Role
name: viewer
---
kind: Rule
name: operators work in all of them
who: {{ roles: [dba] }}
to: {{ resources: [{names}] }}
may: [connect, read, write, execute, export, import, alter, destroy, administer]
"""


class NameServer:
    """Takes questions and never answers."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.99", 53))


@pytest.fixture(scope="module")
def folder():
    one = tempfile.mkdtemp(prefix="sp-behind-", dir="/tmp")
    os.chmod(one, 0o755)
    yield one
    shutil.rmtree(one, ignore_errors=True)


@pytest.fixture(scope="module")
def db(folder):
    """Resources over relays that come later: their ports are known before."""
    program = officelib.PROGRAM
    names = {}
    if os.geteuid() == 0:
        names["server"] = NameServer()
        with open(os.path.join(folder, "resolv.conf"), "w", encoding="ascii") as file:
            file.write("nameserver 127.0.0.99\noptions timeout:5 attempts:2\n")
        program = os.path.join(folder, "program")
        with open(program, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexec unshare -m /bin/sh -c 'mount --bind \"$0\" /etc/resolv.conf && shift 0 && "
                       f"exec {officelib.PROGRAM} \"$@\"' {folder}/resolv.conf \"$@\"\n")
        os.chmod(program, 0o755)
    make_certificates(folder)
    relays = {name: Relay(0) for name in ("plain",)}
    relays.update({name: Relay(0, f"{folder}/server.pem", f"{folder}/server.key") for name in ("other", "strips")})
    resources = [("orders-db", "127.0.0.1:%(port)d", "require", "op_dba"),
                 ("trusting", "127.0.0.1:%(port)d", "require", "trusted"),
                 ("md5-over-tls", "127.0.0.1:%(port)d", "require", "old_md5"),
                 ("md5-here", "127.0.0.1:%(port)d", "loopback", "old_md5"),
                 ("clear", "127.0.0.1:%(port)d", "require", "old_clear"),
                 ("by-name", "localhost:%(port)d", "require", "op_dba"),
                 ("no-such-name", "db.nowhere.example:5432", "require", "op_dba"),
                 ("no-such-name-either", "db2.nowhere.example:5432", "require", "op_dba")]
    resources += [(name, f"127.0.0.1:{relay.port}", "loopback" if name == "plain" else "require", "op_dba")
                  for name, relay in relays.items()]
    documents = HEAD.format(names=", ".join(r[0] for r in resources))
    documents += "".join(RESOURCE.format(name=n, address=a, tls=t, account=c) for n, a, t, c in resources)
    was = officelib.Office.__init__.__defaults__
    officelib.Office.__init__.__defaults__ = (*was[:-1], program)
    try:
        one = DatabaseOffice(documents=documents, tls="require", workers=1)
    finally:
        officelib.Office.__init__.__defaults__ = was
    try:
        one.relays = relays
        for relay in relays.values():
            relay.to = one.server.port
        one.server.sql("SET password_encryption = 'md5'", "CREATE ROLE old_md5 LOGIN PASSWORD 'of md5'")
        one.server.sql("CREATE ROLE trusted LOGIN PASSWORD 'x'", "CREATE ROLE old_clear LOGIN PASSWORD 'of clear'")
        for name, _, _, account in resources:
            one.put_credential(account, {"old_md5": "of md5", "op_dba": ACCOUNT_PASSWORD}.get(account, "x"), name)
        yield one
    finally:
        one.close()
        for relay in relays.values():
            relay.close()


def connect(db, resource):
    return db.connect("lin", password=db.password("lin", resource), database=resource)


def works(db, resource):
    try:
        connect(db, resource).close()
        return True
    except psycopg2.OperationalError:
        return False


def refused(db, resource):
    with pytest.raises(psycopg2.OperationalError) as error:
        connect(db, resource)
    return str(error.value)


# ---- who the server is

def test_the_log_in_is_bound_to_the_tls_connection(db):
    """Somebody who ends TLS between gate and server is found out by the server, and by nobody's certificate."""
    connect(db, "orders-db").close()
    other = db.relays["other"]
    other.seen.clear()
    assert "channel binding" in refused(db, "other")
    assert other.seen[0].startswith(b"SCRAM-SHA-256-PLUS\0") and b"p=tls-server-end-point,,n=,r=" in other.seen[0]


@pytest.mark.parametrize("plain_behind", [False, True])
def test_the_better_way_is_not_taken_off_the_list(db, plain_behind):
    """By whoever ends TLS: with the server's own list, too, when he speaks to the server without TLS. Nothing of the
    account's log-in is told to him."""
    strips = db.relays["strips"]
    strips.plain_behind = plain_behind

    def answer(kind, body):
        if kind == "R" and body.startswith(struct.pack(">I", 10)) and not plain_behind:
            return message("R", struct.pack(">I", 10) + b"SCRAM-SHA-256\0\0")
        return None

    strips.answer = answer
    strips.seen.clear()
    assert "does not bind its log-in to the TLS connection" in refused(db, "strips")
    assert strips.seen == []


def test_with_the_servers_own_certificate_the_binding_holds(db):
    """The same relay with the server's key: what it shows is what the server binds to, so PLUS itself works."""
    relay = Relay(db.server.port, f"{db.server.dir}/server.pem", f"{db.server.dir}/server.key")
    kept, db.relays["other"].tls = db.relays["other"].tls, relay.tls
    try:
        wait_for("a log-in over the relay", 20, lambda: works(db, "other"))
        assert db.relays["other"].seen[-2].startswith(b"SCRAM-SHA-256-PLUS\0")
    finally:
        db.relays["other"].tls = kept
        relay.close()


def test_a_server_that_proves_nothing_is_left(db):
    assert "asks for no password" in refused(db, "trusting")
    assert "MD5, which does not prove" in refused(db, "md5-over-tls")
    assert "in clear" in refused(db, "clear")
    connect(db, "md5-here").close()


def test_an_ok_in_the_middle_of_the_proof_is_none(db):
    plain = db.relays["plain"]
    for number in (10, 11, 12):
        def answer(kind, body, number=number):
            return message("R", bytes(4)) if kind == "R" and body.startswith(struct.pack(">I", number)) else None

        plain.answer = answer
        try:
            word = "asks for no password" if number == 10 else "too early"
            wait_for(word, 20, lambda word=word: word in refused(db, "plain"))
        finally:
            plain.answer = lambda kind, body: None


# ---- what it sends

ROW_R = message("D", struct.pack(">H", 12) + b"\0\0\0\1r" + b"\0\0\0\x059" + b"9999" * 1 +
                (b"\0\0\0\1x" * 10))
READY = message("Z", b"I")


def plain_pids(db):
    return db.workers()


@pytest.mark.parametrize("evil", [
    ROW_R, READY, ROW_R + READY, message("C", b"SELECT 1\0") + READY, message("D", b"\0"), message("Z", b""),
    message("T", b"\xff\xff"), b"D\xff\xff\xff\xff", b"Z\0\0\0\0", b"\0" * 64, message("W", b"\0\0\0"),
    message("S", b"client_encoding\0SJIS\0")],
    ids=("row", "ready", "row and ready", "complete", "short row", "short ready", "description", "huge", "tiny", "zeros",
         "copy both", "status"))
def test_a_server_that_answers_the_catalogue_as_it_likes(db, evil):
    """Unasked, and instead of the print: the worker lives, and serves others."""
    plain, workers = db.relays["plain"], db.workers()
    done = []

    def asked(kind, body, line):
        if kind == "Q" and b"pg_catalog.hashtext" in body and not done:
            done.append(body)
            line.sendall(evil)  # in front of the true answer, and behind the one before

    plain.asked = asked
    try:
        wait_for("a question of the catalogue", 20, lambda: (works(db, "plain"), done)[1], step=0.3)
        time.sleep(0.3)
        assert db.workers() == workers
    finally:
        plain.asked = lambda kind, body, line: None
    connect(db, "orders-db").close()
    wait_for("an honest catalogue", 20, lambda: works(db, "plain"))


@pytest.mark.parametrize("evil", [
    message("W", b"\0\0\0"), message("v", bytes(8)), message("R", bytes(4)), message("K", bytes(8)),
    message("D", b"\0\1\0\0\0\1x"), message("C", b"DELETE 5\0"), READY, message("t", b"\0\0"), message("1"),
    message("G", b"\0\0\0"), message("d", b"x"), b"D\x7f\xff\xff\xff", b"E\0\0\0\0", b"E\0\0\0\x05X", b"?" * 100,
    message("S", b"client_encoding\0LATIN1\0"), message("S", b"x")],
    ids=lambda e: repr(e[:12]))
def test_a_server_that_speaks_out_of_turn(db, evil):
    """To an idle client, whose connection ends with a reason; everybody else's goes on."""
    plain, workers = db.relays["plain"], db.workers()
    other = connect(db, "orders-db")
    raw = Raw(db.port)
    # the one before may have met the gate's own look at the catalogue
    wait_for("an honest catalogue", 60, lambda: works(db, "plain"), step=0.5)
    assert raw.log_in("lin", "plain", db.password("lin", "plain"))[-1] == ("Z", b"I")
    plain.answer = lambda kind, body: evil + message(kind, body) if kind == "T" else None
    try:
        raw.send(query("SELECT 'first'"))
        found = []
        try:
            while True:
                found.append(raw.receive())
        except Exception:  # noqa: BLE001 the end, however it comes
            pass
        errors = [fields(body) for kind, body in found if kind == "E"]
        if evil[:1] not in (b"D", b"C", b"d", b"G") or len(evil) > 30:
            assert errors and errors[-1]["C"] in ("08P01", "08006"), (found, evil)
    finally:
        plain.answer = lambda kind, body: None
        raw.socket.close()
    assert db.workers() == workers
    with other.cursor() as cursor:
        cursor.execute("SELECT 1")
    other.close()


def test_a_server_that_falls_silent_in_an_answer_is_given_up(db):
    """The gate's own look at the catalogue hangs in the middle of a row: it is left for a new connection soon."""
    plain, hung, fresh, began = db.relays["plain"], [], [], []

    def answer(kind, body):
        if kind == "D" and body[6:7] == b"f" and not hung:  # the print of the catalogue
            hung.append(time.monotonic())
            fresh.clear()
            return message(kind, body)[:-1]
        if kind == "R":
            fresh.append(kind)  # another connection
        return b"" if hung and not fresh and kind in "CZ" else None

    def asked(kind, body, line):
        if kind == "Q" and b"pg_catalog.hashtext" in body and hung:
            began.append(time.monotonic())

    wait_for("an honest catalogue", 30, lambda: works(db, "plain"), step=0.5)
    held = connect(db, "plain")
    plain.answer, plain.asked = answer, asked
    try:
        wait_for("a question of the catalogue", 20, lambda: hung)
        wait_for("a new connection", 25, lambda: began)
        assert began[0] - hung[0] < 20
    finally:
        plain.answer, plain.asked = (lambda kind, body: None), (lambda kind, body, line: None)
        held.close()
    wait_for("an honest catalogue", 20, lambda: works(db, "plain"))


# ---- names

def test_a_name_is_looked_up(db):
    connect(db, "by-name").close()
    connect(db, "by-name").close()


def test_a_dead_name_server_keeps_nobody_waiting(db):
    """While the names of two servers are asked for in vain, statements and log-ins elsewhere go on."""
    if os.geteuid() != 0:
        pytest.skip("a name server of its own needs root")
    ann = connect(db, "orders-db")
    lost, times = {}, []

    def wait_in_vain(resource):
        began = time.monotonic()
        lost[resource] = (refused(db, resource), time.monotonic() - began)

    threads = [threading.Thread(target=wait_in_vain, args=(name,))
               for name in ("no-such-name", "no-such-name-either", "no-such-name")]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    end = time.monotonic() + 2
    with ann.cursor() as cursor:
        while time.monotonic() < end and not lost:
            began = time.monotonic()
            cursor.execute("SELECT 1")
            times.append(time.monotonic() - began)
            time.sleep(0.01)
    assert len(times) > 20, "the names were found out about too soon: nothing was measured"
    began = time.monotonic()
    connect(db, "orders-db").close()
    connect(db, "by-name").close()
    log_ins = time.monotonic() - began
    for thread in threads:
        thread.join(40)
    times.sort()
    print(f"{len(times)} statements beside a dead name server: median {times[len(times) // 2] * 1000:.1f} ms, longest "
          f"{times[-1] * 1000:.0f} ms; two log-ins {log_ins:.2f} s")
    assert times[-1] < 1 and log_ins < 3
    assert all("looked up" in why for why, _ in lost.values()), lost
    ann.close()

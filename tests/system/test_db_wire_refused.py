# SPDX-License-Identifier: Apache-2.0
"""What the database gate refuses, before log-in and after, and what ends a connection: a whole office, a real PostgreSQL
behind it, hostile bytes in front."""

import contextlib
import errno
import json
import os
import pathlib
import socket
import struct
import subprocess
import time

import psycopg2
import pytest
from insidelib import AT_FDCWD, Inside
from memorylib import assert_caged
from officelib import PATIENT_S, wait_for
from pgraw import (FLUSH, GSSENC_REQUEST, SSL_REQUEST, SYNC, Closed, Raw, bind, codes, error_of,
                   execute, fields, parse, query, startup)
from wirelib import db, lin, raw  # noqa: F401 fixtures


# ---- before log-in

def test_plain_is_refused(db):
    one = Raw(db.port, tls=None)
    found = one.log_in("lin", "orders-db", "x")
    assert fields(found[-1][1])["C"] == "28000" and "TLS" in fields(found[-1][1])["M"]
    assert one.ended()


def test_direct_tls_needs_its_protocol(db):
    one = Raw(db.port, tls="direct")
    assert one.log_in("lin", "orders-db", db.password("lin"))[-1][0] == "Z"
    one.close()
    for alpn in (("http/1.1",), ()):
        with pytest.raises((OSError, Closed)):
            other = Raw(db.port, tls="direct", alpn=alpn)
            other.log_in("lin", "orders-db", "x")


def test_kerberos_encryption_is_declined(db):
    one = Raw(db.port, tls=None)
    one.send(GSSENC_REQUEST)
    assert one.socket.recv(1) == b"N"
    one.start_tls("asked")
    assert one.log_in("lin", "orders-db", db.password("lin"))[-1][0] == "Z"


def test_nothing_may_stand_behind_the_request_for_tls(db):
    one = Raw(db.port, tls=None)
    one.send(SSL_REQUEST + startup(user="lin"))
    assert one.socket.recv(100) in (b"", b"S")
    assert one.ended()


def test_a_later_protocol_is_negotiated(db):
    one = Raw(db.port)
    found = one.log_in("lin", "orders-db", db.password("lin"), minor=3, _pq__thing="on")
    assert found[0][0] == "v"
    assert struct.unpack(">II", found[0][1][:8]) == (3 << 16 | 2, 1) and found[0][1][8:] == b"_pq_.thing\0"
    assert found[-1][0] == "Z" and len(dict(found)["K"]) == 4 + 32
    one = Raw(db.port)
    found = one.log_in("lin", "orders-db", db.password("lin"), _pq__thing="on")
    assert struct.unpack(">II", found[0][1][:8]) == (3 << 16, 1) and len(dict(found)["K"]) == 4 + 4


@pytest.mark.parametrize("name, value, code", [
    ("replication", "database", "0A000"), ("client_encoding", "LATIN1", "0A000"), ("role", "postgres", "0A000"),
    ("search_path", "evil", "0A000"), ("options", "-c session_preload_libraries=x", "0A000"),
    ("options", "-c role=x", "0A000"), ("options", "nonsense", "0A000"), ("user", "x" * 64, "08P01")])
def test_start_up_parameters_are_an_allow_list(db, name, value, code):
    one = Raw(db.port)
    one.send(startup(**{"user": "lin", "database": "orders-db", name: value}))
    kind, body = one.receive()
    assert (kind, fields(body)["C"]) == ("E", code)
    assert one.ended()


def test_what_is_allowed_reaches_the_server(db):
    one = Raw(db.port)
    found = one.log_in("lin", "orders-db/orders", db.password("lin"), options="-c statement_timeout=1234 --lock_timeout=5",
                       DateStyle="German", application_name="mine")
    assert found[-1][0] == "Z"
    assert b"1234ms" in one.ask("SHOW statement_timeout")[1][1]
    assert b"German" in one.ask("SHOW datestyle")[1][1]
    assert b"public" in one.ask("SHOW search_path")[1][1]
    assert b"lin" in one.ask("SHOW application_name")[1][1]


def test_a_long_name_of_an_application_is_cut_at_a_letter(db):
    """As the server cuts it; drivers send window titles."""
    one = Raw(db.port)
    assert one.log_in("lin", "orders-db/orders", db.password("lin"), application_name="\u5e94\u7528\u7a0b\u5e8f x" * 9)[-1][0] == "Z"


@pytest.mark.parametrize("database", ["no-such", "orders-db/postgres", "orders-db/template1"])
def test_only_the_databases_of_the_policy(db, database):
    one = Raw(db.port)
    found = one.log_in("lin", database, db.password("lin"))
    assert fields(found[-1][1])["C"] in ("3D000", "28P01")


HOSTILE_FIRST = [  # and what is said of it
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "08P01"), (b"\0\0\0\0", "08P01"), (b"\0\0\0\4", "08P01"), (b"\0\0\0\7\0\3\0", "08P01"),
    (b"\xff" * 64, "08P01"), (struct.pack(">II", 9, 80877103) + b"x", "08P01"), (struct.pack(">II", 9, 80877104) + b"x", "08P01"),
    (struct.pack(">II", 12, 3 << 16) + b"user", "08P01"), (struct.pack(">II", 14, 3 << 16) + b"user\0\0", "08P01"),
    (struct.pack(">II", 8, 80877102), "08P01"), (struct.pack(">II", 10001, 3 << 16), "08P01"),
    (struct.pack(">II", 8, 2 << 16), "0A000"), (struct.pack(">II", 8, 4 << 16), "0A000"), (struct.pack(">II", 8, 0), "0A000")]
HOSTILE_TLS = [b"\x16\x03\x01\xff\xff" + b"\0" * 200, b"\x16\x03\x01\0\x05hello"]


def last_word(line):
    """The only message there is, an error, behind which the connection ends."""
    kind, body = line.receive()
    assert kind == "E" and line.ended() and fields(body)["S"] == "FATAL", (kind, body)
    return fields(body)


@pytest.mark.parametrize("bytes_, code", HOSTILE_FIRST + [(bytes_, None) for bytes_ in HOSTILE_TLS])
def test_hostile_first_bytes(db, bytes_, code):
    """In clear and within TLS; what begins like TLS and is none hears nothing of PostgreSQL."""
    plain, inner = Raw(db.port, tls=None), Raw(db.port)
    plain.send(bytes_)
    if code is None:
        assert plain.ended() and plain.buffer[:1] != b"E"
    else:
        assert last_word(plain)["C"] == code
    inner.send(bytes_)
    error = last_word(inner)
    assert error["C"] == (code or "08P01") and "Reference" in error["D"], error


def test_nothing_may_stand_behind_the_start_up_packet(db):
    one = Raw(db.port)
    one.send(startup(user="lin", database="orders-db") + query("SELECT 1"))
    assert last_word(one)["C"] == "08P01"


def test_a_flood_of_silent_clients_keeps_nobody_out(db):
    silent = []
    try:
        for i in range(1500):
            one = socket.create_connection(("127.0.0.1", db.port), timeout=5)
            if i % 3 == 1:
                one.sendall(SSL_REQUEST)
            elif i % 3 == 2:
                one.sendall(b"\0\0")
            silent.append(one)
        began = time.monotonic()
        db.connect("lin").close()
        assert time.monotonic() - began < 3
    finally:
        for one in silent:
            one.close()


@pytest.mark.slow
def test_half_a_handshake_ends_in_time(db):
    one = socket.create_connection(("127.0.0.1", db.port), timeout=30)
    one.sendall(SSL_REQUEST)
    assert one.recv(1) == b"S"
    one.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    began = time.monotonic()
    assert one.recv(1) == b""
    assert 5 < time.monotonic() - began < 20


@pytest.mark.slow
def test_who_falls_silent_in_his_log_in_is_told_that_it_took_too_long(db):
    """Behind TLS without a start-up packet, with half of one, and when he is asked for his password."""
    began = time.monotonic()
    silent = [Raw(db.port, timeout=PATIENT_S) for _ in range(3)]
    silent[1].send(startup(user="lin", database="orders-db")[:-3])
    silent[2].send(startup(user="lin", database="orders-db"))
    assert silent[2].receive()[0] == "R"
    for one in silent:
        error = last_word(one)
        assert error["C"] == "57014" and "took too long" in error["M"] and "Reference" in error["D"], error
        assert time.monotonic() - began > 14
    db.connect("lin").close()


# ---- refusals are a server's errors

def test_refused_statements_behave_as_errors_of_the_server(db):
    one = Raw(db.port)
    assert one.log_in("mia", "orders-db", db.password("mia"))[-1] == ("Z", b"I")
    text = "SELECT * FROM things"
    found = one.ask(text)
    assert codes(found) == "EZ" and error_of(found)["C"] == "42501"
    assert "Reference " in error_of(found)["D"]
    one.send(query(text), query(text), parse(text), bind(), execute(), SYNC, query(text))
    for _ in range(4):
        found = one.until("Z")
        assert codes(found) == "EZ" and error_of(found)["C"] == "42501"
    assert codes(one.ask("BEGIN")) == "CZ"
    assert one.ask(text)[-1] == ("Z", b"E")
    assert error_of(one.ask("SELECT 1"))["C"] == "25P02"
    assert one.ask("ROLLBACK")[-1] == ("Z", b"I")
    one.close()


@pytest.mark.parametrize("text,state", [("SELEC", "42601"), ("SET ROLE op_dba", "42501")])
def test_what_is_refused_takes_along_what_was_not_synced(db, raw, text, state):
    """The server has begun a transaction with the first Execute, says so nowhere, and fails with the Query behind it."""
    row = 7000 + len(text)
    raw.send(parse(f"INSERT INTO things VALUES ({row}, '')"), bind(), execute(), FLUSH)
    assert codes(raw.until("C")) == "12C"
    found = raw.ask(text)
    assert codes(found) == "EZ" and error_of(found)["C"] == state and found[-1] == ("Z", b"I")
    raw.send(SYNC)
    assert codes(raw.until("Z")) == "Z"
    assert db.server.sql(f"SELECT count(*) FROM things WHERE id = {row}", database="orders")[0][0] == 0
    assert codes(raw.ask("SELECT 1")) == "TDCZ"


def test_a_refusal_does_not_come_in_the_middle_of_a_message(db, raw):
    raw.ask("LISTEN news")
    db.server.sql("SELECT count(pg_notify('news', n || repeat('x', 7900))) FROM generate_series(1, 4000) n", database="orders")
    time.sleep(1)
    raw.send(query("SELEC"))
    found = raw.until("E") + raw.until("Z")
    assert codes(found).replace("A", "") == "EZ" and len(found) > 1000
    assert all(len(body) > 7900 for kind, body in found if kind == "A")


# ---- what dies

def test_the_server_ends_a_connection(db, raw):
    pid = raw.ask("SELECT pg_backend_pid()")[1][1][6:].decode()
    db.server.sql(f"SELECT pg_terminate_backend({pid})")
    error = error_of(raw.until("E"))
    assert (error["S"], error["C"]) == ("FATAL", "57P01")
    assert error["M"] == "terminating connection due to administrator command"
    assert raw.ended()


@pytest.mark.parametrize("state", ["idle", "running", "rows", "copy in", "copy out", "pipeline"])
def test_the_server_dies_anywhere(db, raw, state):
    if state == "running":
        raw.send(query("SELECT pg_sleep(30)"))
    elif state == "rows":
        raw.send(query("SELECT repeat('z', 10000) FROM generate_series(1, 100000)"))
    elif state == "copy in":
        raw.send(query("COPY things FROM STDIN"))
    elif state == "copy out":
        raw.send(query("COPY (SELECT repeat('z', 1000) FROM generate_series(1, 1000000)) TO STDOUT"))
    elif state == "pipeline":
        raw.send(parse("SELECT pg_sleep(30)"), bind(), execute(), SYNC)
    time.sleep(0.2)
    for (pid,) in db.server.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'op_dba'"):
        db.server.sql(f"SELECT pg_terminate_backend({pid})")
    assert raw.ended()
    db.connect("lin").close()


def test_the_server_is_away(db):
    db.server.stop()
    try:
        with pytest.raises(psycopg2.OperationalError) as away:
            db.connect("lin")
        assert "cannot be reached" in str(away.value)
    finally:
        db.server.start()
    db.connect("lin").close()


def test_a_worker_dies_alone(db):
    many = [db.connect("lin") for _ in range(8)]
    victim = db.workers()[0]
    os.kill(victim, 9)
    wait_for("another worker", 10, lambda: len(db.workers()) == 2 and victim not in db.workers())
    alive = 0
    for connection in many:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            alive += 1
        except psycopg2.OperationalError:
            pass
        connection.close()
    assert 0 < alive < 8
    wait_for("log-ins", 10, lambda: db.connect("lin").close() is None)


def test_without_the_ledger_nothing_runs(db, lin):
    before = db.office.pid("ledger")
    os.kill(before, 19)
    try:
        def refused():
            with lin.cursor() as cursor:
                try:
                    cursor.execute("SELECT 1")
                except psycopg2.Error as error:
                    return error.pgcode == "53400"
            return False
        wait_for("a refusal", 8, refused, step=0.2)
    finally:
        os.kill(before, 18)

    def runs():
        with lin.cursor() as cursor:
            try:
                cursor.execute("SELECT 1")
                return True
            except psycopg2.Error:
                return False
    wait_for("statements", 10, runs, step=0.2)


def test_the_end_of_the_session_ends_the_connection(db):
    noa = db.person("noa", ["dba"])
    one = Raw(db.port)
    assert one.log_in("noa", "orders-db", db.password("noa"))[-1][0] == "Z"
    one.send(query("SELECT pg_sleep(30)"))
    time.sleep(0.1)
    began = time.monotonic()
    noa.sign_out()
    kind, body = one.until("E")[-1]
    took = time.monotonic() - began
    assert fields(body)["S"] == "FATAL" and fields(body)["C"] == "57P01"
    assert one.ended()
    assert took < 1.0
    wait_for("the statement's end", 5, lambda: not db.server.sql(
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'noa' AND state = 'active'"))


def connections_of(db, name):
    found = db.office.people["sam"].get("/admin/databases/connections")["items"]
    return [one for one in found if name in json.dumps(one)]


def test_a_connection_is_ended_and_a_statement_cancelled_by_others(db):
    db.person("ole", ["dba"])
    one = Raw(db.port)
    assert one.log_in("ole", "orders-db", db.password("ole"))[-1][0] == "Z"
    found = wait_for("the connection in the list", 5, lambda: connections_of(db, "ole"))
    assert len(found) == 1
    one.send(query("SELECT pg_sleep(30)"))
    time.sleep(0.2)
    path = f"/admin/databases/connections/{found[0]['id']}"
    db.office.people["sam"].post(path + "/cancel")
    assert error_of(one.until("Z"))["C"] == "57014"
    db.office.people["sam"].post(path + "/end")
    error = error_of(one.until("E"))
    assert (error["S"], error["C"]) == ("FATAL", "57P01")
    assert one.ended()
    wait_for("the list without it", 5, lambda: not connections_of(db, "ole"))


def test_core_dies_and_connections_live_on(db):
    pia = db.person("pia", ["dba"])
    one = Raw(db.port)
    assert one.log_in("pia", "orders-db", db.password("pia"))[-1][0] == "Z"
    password = db.password("lin")
    before = db.office.kill("core", 19)
    try:
        assert codes(one.ask("SELECT 1")) == "TDCZ"  # decided from memory
    finally:
        os.kill(before, 18)
    os.kill(before, 9)
    with pytest.raises(psycopg2.OperationalError):
        db.connect("lin", password=password)
    db.office.wait_role("core", other_than=before)
    assert codes(one.ask("SELECT 1")) == "TDCZ"
    wait_for("log-ins", 10, lambda: db.connect("lin").close() is None)
    wait_for("the list of the new core", 10, lambda: connections_of(db, "pia"))
    pia.sign_out()
    assert fields(one.until("E")[-1][1])["C"] == "57P01"
    assert one.ended()


def test_a_superuser_is_not_worked_as(db):
    db.server.sql("ALTER ROLE op_dba SUPERUSER")
    try:
        with pytest.raises(psycopg2.OperationalError) as refused:
            db.connect("lin")
        assert "(SUPERUSER)" in str(refused.value)
    finally:
        db.server.sql("ALTER ROLE op_dba NOSUPERUSER")

    def serves():
        with contextlib.suppress(psycopg2.OperationalError):
            return db.connect("lin").close() is None

    wait_for("the account without it", 20, serves)


@pytest.mark.parametrize("give,take,word", [
    ("GRANT pg_execute_server_program TO op_dba", "REVOKE pg_execute_server_program FROM op_dba", "pg_execute_server_program"),
    ("GRANT pg_read_server_files TO op_dba", "REVOKE pg_read_server_files FROM op_dba", "pg_read_server_files"),
    ("CREATE ROLE between; GRANT pg_write_server_files TO between; GRANT between TO op_dba", "DROP ROLE between",
     "pg_write_server_files"),
    ("ALTER ROLE op_dba BYPASSRLS REPLICATION", "ALTER ROLE op_dba NOBYPASSRLS NOREPLICATION", "REPLICATION, BYPASSRLS"),
    ("ALTER ROLE op_dba CREATEROLE", "ALTER ROLE op_dba NOCREATEROLE", "CREATEROLE"),
    ("ALTER ROLE op_dba SUPERUSER", "ALTER ROLE op_dba NOSUPERUSER", "SUPERUSER"),
    *((f"CREATE ROLE above {what}; GRANT above TO op_dba", "DROP ROLE above", "above")
      for what in ("SUPERUSER", "CREATEROLE", "REPLICATION", "BYPASSRLS")),
    ("CREATE ROLE above SUPERUSER; CREATE ROLE between; GRANT above TO between; GRANT between TO op_dba",
     "DROP ROLE between, above", "above"),
])
def test_an_account_that_can_do_more_than_is_seen_is_not_worked_as(db, give, take, word):
    def refusal():
        try:
            db.connect("lin").close()
        except psycopg2.OperationalError as error:
            return str(error)
        return None

    assert refusal() is None
    was_open = Raw(db.port, timeout=20)
    assert was_open.log_in("lin", "orders-db", db.password("lin"))[-1] == ("Z", b"I")
    db.server.sql(*give.split("; "))
    try:
        said = wait_for("the refusal", 20, refusal)
        assert f"({word})" in said and "works with none such" in said, said
        wait_for("the entry", 5, lambda: [
            e for e in db.office.people["audrey"].items("/admin/ledger/events?gate=db&verdict=deny&person=lin&limit=50")
            if word in json.dumps(e)])
        cut = fields(was_open.until("E")[-1][1])
        assert cut["C"] == "57P01" and f"({word})" in cut["M"], cut
    finally:
        was_open.close()
        db.server.sql(take)
    wait_for("the account without it", 20, lambda: refusal() is None)


def test_processes_are_caged(db):
    for pid in db.workers():
        assert_caged(pid, (db.office.uids or {}).get("db"))


@pytest.mark.slow  # the sanitizer's own calls are let through
@pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="from within: as root, on x86-64")
def test_a_worker_that_was_taken_over_stays_in_its_cage(db):
    """Asked from within, by the worker's own calls to the kernel: of files that all may read it has the system's and the office's own."""
    asked = {"read": ("openat", AT_FDCWD, db.server.ca_path.encode(), os.O_RDONLY), "look": ("openat", AT_FDCWD, b"/proc/self/environ", os.O_RDONLY),
             "write": ("openat", AT_FDCWD, b"/tmp/sp-out", os.O_WRONLY | os.O_CREAT, 0o666), "make": ("mkdir", b"/tmp/sp-made", 0o755),
             "a raw line": ("socket", socket.AF_PACKET, socket.SOCK_RAW, 0), "run": ("execve", b"/bin/true", 0, 0)}

    def answers(pid):
        with Inside(pid) as one:
            assert one.call("getpid") == pid and (pid == free.pid or one.call("openat", AT_FDCWD, b"/etc/hosts", os.O_RDONLY) > 0)
            return {what: one.call(*words) for what, words in asked.items()}

    with subprocess.Popen(["sleep", "60"]) as free:  # root, in no cage
        try:
            wait_for("its sleep", 10, lambda: pathlib.Path(f"/proc/{free.pid}/stat").read_text("ascii").split()[2] == "S")
            assert all(answer >= 0 for answer in answers(free.pid).values()), "the questions are none"
        finally:
            free.kill()
    os.unlink("/tmp/sp-out")
    os.rmdir("/tmp/sp-made")
    for pid in db.workers():
        told = answers(pid)
        assert told.pop("run") in ("killed", "SIGSYS") and set(told.values()) <= {-errno.EACCES, -errno.EPERM}, str(told)
    assert not os.path.exists("/tmp/sp-out") and not os.path.exists("/tmp/sp-made")

    def serves():
        with contextlib.suppress(psycopg2.OperationalError):
            return db.connect("lin").close() is None

    wait_for("the next workers", 20, serves, step=0.2)

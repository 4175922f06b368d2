# SPDX-License-Identifier: Apache-2.0
"""The database server dies, or falls silent, at each step of its log-in and of its answers: the client is told so with an
SQLSTATE, its connection ends in time, it is written down, and everybody else's goes on.

OWNS an office, a server, relays. PROCESS tests. TRUST none. SPEC PostgreSQL 15 manual, 55.2.
"""
import contextlib
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dblib import ACCOUNT_PASSWORD, DatabaseOffice
from officelib import wait_for
from pgraw import FLUSH, MALFORMED, SSL_REQUEST, SYNC, Closed, Raw, bind, describe, execute, fields, message, parse, query
from relay import Relay, end

LOGIN_MAX_S = 8 + 7  # the gate's own patience, and that of a busy machine
RESOURCE = """---
kind: Resource
name: {name}
operator: company
class: internal
postgres: {{ address: "127.0.0.1:{port}", tls: {tls}, databases: [orders], accounts: [{{ roles: [dba], as: op_dba }}] }}
"""
DOCUMENTS = """
kind: Role
name: dba
---
kind: Role
name: viewer
---
kind: Resource
name: orders-db
operator: company
class: internal
postgres: { address: "127.0.0.1:%(port)d", tls: %(tls)s, databases: [orders], accounts: [{ roles: [dba], as: op_dba }] }
---
kind: Rule
name: operators work in all of them
who: { roles: [dba] }
to: { classes: [internal] }
may: [connect, read, write, execute, export, import, alter, destroy, administer]
"""


class Dying(Relay):
    """A real server that ends at a step: its connection closes before the message, in the middle of it or with it unsent for
    ever. The gate's own connections for the catalogue and the like are left alone."""

    def __init__(self, step=None, how=None):
        super().__init__(0)
        self.step, self.how, self.spared, self.over = step, how, set(), threading.Event()
        self.started = self._started

    def _started(self, packet, line):
        if b"sallyport " in packet:
            self.spared.add(line)

    def passes(self, kind, body, line):
        named = f"R{struct.unpack('>I', body[:4])[0]}" if kind == "R" else kind
        if line in self.spared or named != self.step:
            line.sendall(message(kind, body))
        elif self.how == "silent":
            self.over.wait(60)
        else:
            line.sendall(message(kind, body)[:3 if len(body) < 3 else -2] if self.how == "half" else b"")
            raise ConnectionError("dies here")

    def close(self):
        self.over.set()
        super().close()


class Hears(Relay):
    """Keeps every byte that the gate sends on the last connection of a person, of whole messages and of parts."""

    def __init__(self):
        super().__init__(0)
        self.heard, self.line, self.over = {}, None, threading.Event()
        self.started = self._started

    def _started(self, packet, line):
        if b"sallyport " not in packet:
            self.line = line

    def _read(self, line, size):
        got = b""
        while len(got) < size:
            more = line.recv(size - len(got))
            if not more:
                raise ConnectionError("the end")
            self.heard.setdefault(line, bytearray()).extend(more)
            got += more
        return got

    def _front(self, client, server):
        super()._front(client, server)
        if client is self.line:
            self.over.set()


class Stub:
    """Takes a connection, and what it does with it."""

    def __init__(self, act):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.held = []
        self.thread = threading.Thread(target=self._serve, args=(act,), daemon=True)
        self.thread.start()

    def _serve(self, act):
        while True:
            try:
                line, _ = self.socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError, AssertionError):
                act(line)
            self.held.append(line) if act is not leaves else line.close()

    def close(self):
        end(self.socket)
        self.thread.join(10)
        for line in [self.socket, *self.held]:
            line.close()


def leaves(line):
    line.recv(1)


def answers_tls(*pieces):
    def act(line):
        assert line.recv(8) == SSL_REQUEST
        for piece in pieces:
            line.sendall(piece)
        line.shutdown(socket.SHUT_RDWR)
    return act


LOGIN_STEPS = ["R10", "R11", "R12", "R0", "S", "K", "Z"]
WAYS = ["closes", "half", "silent"]
STUBS = {
    "is-not-there": None,
    "closes-at-once": leaves,
    "says-nothing": lambda line: None,
    "says-nothing-to-tls": lambda line: None,
    "closes-for-tls": answers_tls(),
    "has-no-tls": answers_tls(b"N"),
    "fails-for-tls": answers_tls(message("E", b"SFATAL\0C53300\0Mtoo many clients\0\0")),
    "stops-in-tls": answers_tls(b"S", b"\x16\x03\x03\x00\x7a\x02"),
    "no-tls-at-all": answers_tls(b"S", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "speaks-http": answers_tls(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}


def free_port_that_refuses():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def db():
    relays = {f"login-{step.lower()}-{how}": Dying(step, how) for step in LOGIN_STEPS for how in WAYS}
    relays["answers"] = Dying()
    relays["newer"], relays["hears"], relays["floods"] = Relay(0), Hears(), Relay(0)
    stubs = {name: Stub(act) for name, act in STUBS.items() if act is not None}
    documents = DOCUMENTS.replace("%(tls)s", "loopback")
    documents += "".join(RESOURCE.format(name=name, port=one.port, tls="loopback") for name, one in relays.items())
    for name in STUBS:
        port = stubs[name].port if name in stubs else free_port_that_refuses()
        documents += RESOURCE.format(name=name, port=port, tls="require" if "tls" in name or "http" in name else "loopback")
    office = None
    try:
        office = DatabaseOffice(documents=documents, workers=1)
        for relay in relays.values():
            relay.to = office.server.port
        office.relays = relays
        for name in [*relays, *STUBS]:
            office.put_credential("op_dba", ACCOUNT_PASSWORD, name)
        yield office
    finally:
        if office is not None:
            office.close()
        for one in [*relays.values(), *stubs.values()]:
            one.close()


def events(db, **words):
    query_ = "&".join(f"{name}={value}" for name, value in words.items())
    return db.office.people["audrey"].items(f"/admin/ledger/events?limit=200&{query_}")


def reference_of(error):
    return error["D"].split("Reference ")[1].rstrip(".")


ONE_PASSWORD = threading.Lock()


def log_in(db, name):
    """How the log-in ended, and how long it took. A person has only some passwords at a time: the oldest may be gone before it
    is used."""
    ended = log_in_once(db, name)
    while ended[0][0] == "E" and fields(ended[0][1])["C"] == "28P01":
        ended = log_in_once(db, name)
    return ended


def log_in_once(db, name):
    with contextlib.closing(Raw(db.port, timeout=30)) as raw:
        with ONE_PASSWORD:
            password = db.password("lin", name)
        began = time.monotonic()
        found = raw.log_in("lin", name, password)
        ended = raw.ended()
        return found[-1], ended, time.monotonic() - began


def test_at_each_step_of_the_log_in(db):
    names = [name for name in [*db.relays, *STUBS] if name not in ("answers", "newer", "hears", "floods")]
    with contextlib.closing(db.connect("lin")) as other, ThreadPoolExecutor(len(names)) as pool:
        ends = {name: pool.submit(log_in, db, name) for name in names}
        with other.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_class")
        ends = {name: one.result() for name, one in ends.items()}
    wrong, silent = {}, []
    for name, ((kind, body), ended, took) in ends.items():
        error = fields(body) if kind == "E" else {}
        if (kind != "E" or error.get("S") != "FATAL" or error["C"] not in ("08001", "08006", "08P01", "53300") or not ended
                or "Reference" not in error.get("D", "") or took > LOGIN_MAX_S):
            wrong[name] = (kind, error or body, ended, took)
        if name.endswith("silent") or name.startswith("says-nothing"):
            silent.append(took)
    print(f"{len(ends)} log-ins: the silent ones end after {min(silent):.1f} to {max(silent):.1f} s")
    assert not wrong, wrong
    assert min(silent) > 3, "nobody waited for those who are silent"
    references = {reference_of(fields(body)) for (_, body), _, _ in ends.values()}
    wait_for("the refusals on the ledger", 10, lambda: references <= {e.get("reference") for e in events(db, verdict="deny")})
    db.connect("lin").close()


# A message of the server's answer, and what brings it.
ANSWERS = {
    "1": parse("SELECT 1") + SYNC, "2": parse("SELECT 1") + bind() + SYNC, "3": parse("SELECT 1") + message("C", b"S\0") + SYNC,
    "t": parse("SELECT $1::int") + describe("", "S") + SYNC, "T": query("SELECT id FROM things"),
    "n": parse("SET work_mem = '4MB'") + bind() + describe() + SYNC, "D": query("SELECT id FROM things"),
    "C": query("INSERT INTO things VALUES (7)"), "s": parse("SELECT id FROM things") + bind() + execute("", 1) + SYNC,
    "I": query(""), "E": query("SELECT 1/0"), "N": query("DO $$BEGIN RAISE NOTICE 'n'; END$$"),
    "S": query("SET application_name = 'x'"), "Z": query("SELECT 1"), "A": query("LISTEN c; NOTIFY c"),
    "G": query("COPY things FROM STDIN"), "H": query("COPY things TO STDOUT"), "d": query("COPY things TO STDOUT"),
    "c": query("COPY things TO STDOUT"),
}


def answer(db, relay, step, how):
    """All that came, and how long it took until the end."""
    relay.step = None
    with contextlib.closing(Raw(db.port, timeout=20)) as raw:
        assert raw.log_in("lin", "answers", db.password("lin", "answers"))[-1] == ("Z", b"I")
        relay.step, relay.how = step, how
        began = time.monotonic()
        raw.send(ANSWERS[step])
        found = []
        with contextlib.suppress(Closed):
            while True:
                found.append(raw.receive())
        relay.step = None
        return found, bytes(raw.buffer), time.monotonic() - began


def test_at_each_step_of_an_answer(db):
    """Only who has a part of a message already is not told: nothing fits into its middle. That is written down as well."""
    db.server.sql("SET ROLE op_dba", "CREATE TABLE things (id int)", "INSERT INTO things VALUES (1), (2)", database="orders")
    wrong, references, cut = {}, set(), 0
    with contextlib.closing(db.connect("lin")) as other, other.cursor() as cursor:
        for step in ANSWERS:
            for how in ("closes", "half"):
                found, part, took = answer(db, db.relays["answers"], step, how)
                error = fields(found[-1][1]) if found and found[-1][0] == "E" else {}
                if part and how == "half" and part[:1] == step.encode() and took < 5:
                    cut += 1
                elif (error.get("S"), error.get("C")) != ("FATAL", "08006") or part or took > 5:
                    wrong[step, how] = (found[-3:], part, took)
                else:
                    references.add(reference_of(error))
                cursor.execute("SELECT 1")
    assert not wrong, wrong
    assert len(references) + cut == 2 * len(ANSWERS) and cut < len(ANSWERS)

    def written():
        ends = events(db, verdict="deny", resource="answers")
        return references <= {e.get("reference") for e in ends} and len(ends) >= len(references) + cut
    wait_for("the ends on the ledger", 10, written)


def test_what_was_under_way_is_on_the_ledger(db):
    """A change whose answer never came: nobody knows whether it was made, and that it was asked for stands there."""
    relay = db.relays["answers"]
    ANSWERS["C"] = query("INSERT INTO things VALUES (424242)")
    answer(db, relay, "C", "closes")
    found = wait_for("the statement", 10, lambda: [
        e for e in events(db, resource="answers", action="write") if "424242" in e.get("object", "")])
    assert [e["verdict"] for e in found] == ["allow"], found


def test_a_server_newer_than_the_parser(db):
    """What both read runs; what only the server would read is refused by the gate's own words, and is on the ledger."""
    relay = db.relays["newer"]
    relay.answer = lambda kind, body: message(kind, b"server_version\x0018.1\0") if body.startswith(b"server_version\0") else None
    newer = "WITH gone AS (MERGE INTO things USING (SELECT 1) s ON false WHEN NOT MATCHED THEN DO NOTHING RETURNING 1) TABLE gone"
    with contextlib.closing(Raw(db.port)) as raw:
        found = raw.log_in("lin", "newer", db.password("lin", "newer"))
        assert found[-1] == ("Z", b"I") and ("S", b"server_version\x0018.1\0") in found
        told = [fields(body) for kind, body in found if kind == "N"]
        assert [(one["S"], one["M"]) for one in told] == [("NOTICE", "this server is newer than the SQL that the gate reads")]
        assert "reads PostgreSQL 15" in told[0]["D"]
    shown = db.run(["psql", "-XAtc", "SELECT 7"], database="newer", password=db.password("lin", "newer"))
    assert shown.stdout == "7\n" and "NOTICE:  this server is newer than the SQL that the gate reads" in shown.stderr
    with contextlib.closing(Raw(db.port)) as raw:
        assert "N" not in [kind for kind, _ in raw.log_in("lin", "orders-db", db.password("lin"))]
    with contextlib.closing(Raw(db.port)) as raw:
        raw.log_in("lin", "newer", db.password("lin", "newer"))
        assert ("D", b"\0\1\0\0\0\0017") in raw.ask("SELECT 7")
        for send in ((query(newer),), (parse(newer), bind(), execute(), SYNC)):
            raw.send(*send)
            error = fields(next(body for kind, body in raw.until() if kind == "E"))
            assert error["C"] == "42601" and "reads PostgreSQL 15" in error["D"] and "Reference" in error["D"], error
            refused = wait_for("the refusal", 10, lambda e=error: [one for one in events(db, verdict="deny", resource="newer")
                                                                  if one["reference"] == reference_of(e)])
            assert [one["reason"] for one in refused] == ["unparsed"] and "MERGE" in refused[0]["object"], refused
        assert ("D", b"\0\1\0\0\0\0018") in raw.ask("SELECT 8")
    assert "newer runs PostgreSQL 18: syntax newer than 15 is refused" in db.office.log()


# ---- what never comes so far

HIDDEN = query("CREATE TABLE reached ()")
LONG = HIDDEN * (2 * 1024 * 1024 // len(HIDDEN))  # wherever a reader begins in it soon comes a whole message
OVERSIZED = [message(kind, LONG[:size]) for kind, size in
             [("Q", len(LONG)), ("P", len(LONG)), *((kind, 70000) for kind in "FEDCSHcp")]]
HUGE = [kind + struct.pack(">I", size) + LONG[:1000] for kind in (b"d", b"B", b"Q", b"f") for size in (0x40000004, 0x7fffffff, 0xffffffff)]
CUT_SHORT = [query("SELECT 1")[:-1], parse("SELECT 1")[:7], query("SELECT 1")[:4], message("B", bytes(60000))[:-1], b"d\0\0"]
BEHIND, TERMINATE = query("SELECT 'behind it'"), message("X")
REFUSED = "this statement was refused by the gate"  # stands there instead, so that what follows is skipped as a server does


def heard_of(db, data, behind=SYNC + BEHIND):
    """The bytes that reach the server of these, sent by somebody who is logged in and at rest; whether what stands behind them
    is answered, and the last error."""
    relay = db.relays["hears"]
    relay.over.clear()
    with contextlib.closing(Raw(db.port)) as raw:
        assert raw.log_in("lin", "hears", db.password("lin", "hears"))[-1] == ("Z", b"I")
        assert raw.ask("SELECT 1")[-1] == ("Z", b"I")
        line = relay.line
        before = len(relay.heard[line])
        answered, error = False, {}
        with contextlib.suppress(Closed, OSError):
            raw.send(data, behind)
            while behind and not answered:
                kind, body = raw.receive()
                error = fields(body) if kind == "E" else error
                answered = kind == "D" and b"behind it" in body
            raw.until("Z") if answered else time.sleep(0.1)
    assert relay.over.wait(10), "the connection to the server lives on"
    return bytes(relay.heard[line][before:]), answered, error


def test_the_relay_hears_each_byte(db):
    for data in (query("SELECT 7"), parse("SELECT 7")):
        assert heard_of(db, data) == (data + SYNC + BEHIND + TERMINATE, True, {})
    for data in (message("d", b"x" * 10), message("c"), message("f", b"x" * 70000), FLUSH):  # nothing that is read or flushed is under way
        assert heard_of(db, data) == (SYNC + BEHIND + TERMINATE, True, {}), data[:1]


def test_of_what_is_malformed_or_too_long_not_a_byte_reaches_the_server(db):
    """Neither of it nor, where the connection ends, of what stands behind it."""
    wrong = {}
    lives = [instead + SYNC + BEHIND + TERMINATE for instead in (b"", query(REFUSED), parse(REFUSED, "sallyport refused"))]
    for data in MALFORMED + OVERSIZED + HUGE:
        got, answered, error = heard_of(db, data)
        if got not in (lives if answered else (b"", TERMINATE)) or error.get("S", "FATAL") != ("ERROR" if answered else "FATAL"):
            wrong[data[:20]] = (len(data), got[:200], answered, error)
    for data in CUT_SHORT:
        got, _, _ = heard_of(db, data, b"")
        if got not in (b"", TERMINATE):
            wrong[data[:20]] = got[:200]
    assert not wrong, wrong
    assert db.server.sql("SELECT to_regclass('reached')::text", database="orders") == [(None,)]


def test_a_server_that_talks_without_an_end_is_left(db):
    """On a connection of the gate's own, where nobody else is there to stop it. Other databases of that worker go on meanwhile."""
    relay, lines = db.relays["floods"], []
    relay.started = lambda packet, line: lines.append(line) if b"sallyport catalogue" in packet else None

    def flood():
        with contextlib.suppress(OSError):
            while True:
                lines[0].sendall(message("N") * 100000)

    with contextlib.closing(Raw(db.port)) as raw, contextlib.closing(Raw(db.port)) as other:
        assert other.log_in("lin", "orders-db", db.password("lin"))[-1] == ("Z", b"I")
        assert raw.log_in("lin", "floods", db.password("lin", "floods"))[-1] == ("Z", b"I")
        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        until, slowest = time.monotonic() + 3, 0
        while time.monotonic() < until:
            began = time.monotonic()
            other.ask("SELECT 1")
            slowest = max(slowest, time.monotonic() - began)
        thread.join(10)
        assert not thread.is_alive() and slowest < 1, slowest
    relay.started = lambda packet, line: None

# SPDX-License-Identifier: Apache-2.0
"""What is large, deep or no text at all: each answered at once by a proper error or a result, and the connection goes on.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate".
"""
import contextlib
import struct
import threading
import time

import pytest

from dbgatelib import DBA_DOES_ALL, office_of, orders_documents
from officelib import descendants
from pgraw import SYNC, Raw, bind, describe, error_of, execute, message, parse, query

LIMIT = 1 << 20  # bytes of a Query's body: the text and its NUL


gate = office_of(orders_documents(["dba"], DBA_DOES_ALL), [("dora", "dba")])


@pytest.fixture
def raw(gate):
    with contextlib.closing(gate.raw("dora", timeout=60)) as one:
        yield one
        assert any(kind == "D" for kind, _ in one.ask("SELECT 1")), "the connection goes on"


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xb8", b"\x80"],
                         ids=["no lead byte", "overlong", "surrogate", "beyond the last", "cut", "continuation"])
def test_text_that_is_not_utf8(raw, bad):
    text = b"SELECT '" + bad + b"'"
    raw.send(message("Q", text + b"\0"))
    error = error_of(raw.until("Z"))
    assert error["C"] == "22021" and "UTF-8" in error["M"], error
    raw.send(message("P", b"\0" + text + b"\0\0\0"), bind(), execute(), SYNC)
    assert error_of(raw.until("Z"))["C"] == "22021"
    raw.send(parse("SELECT $1::text"), message("B", b"\0\0\0\0\0\1\0\0\0" + bytes([len(bad)]) + bad + b"\0\0"), execute(), SYNC)
    assert error_of(raw.until("Z"))["C"] == "22021", "the server's own"


@pytest.mark.parametrize("more", [0, 1])
def test_a_statement_up_to_the_limit(raw, more):
    begin, end = "SELECT length('", "')"
    length = LIMIT - 1 - len(begin + end) + more
    text = begin + "x" * length + end
    raw.send(query(text))
    found = raw.until("Z")
    if more:
        error = error_of(found)
        assert error["C"] == "54000" and str(LIMIT) in error["M"] and str(LIMIT + 1) in error["M"], error
    else:
        assert next(body for kind, body in found if kind == "D")[6:] == str(length).encode()
    shorter = text if more else begin + "x" * (length - 3) + end  # a Parse has a name and types besides
    raw.send(parse(shorter), bind(), describe(), execute(), SYNC)
    assert ("E" in [kind for kind, _ in raw.until("Z")]) == bool(more)


def deep(before, inside, after, times):
    return "SELECT " + before * times + inside + after * times


MANY = 100000
LARGE = {
    "in list": ("SELECT count(*) FROM orders WHERE id IN (" + ", ".join(map(str, range(MANY))) + ")", b"200"),
    "or": ("SELECT count(*) FROM orders WHERE " + " OR ".join(f"note='{i}'" for i in range(MANY // 5)), b"0"),
    "and": ("SELECT 1 WHERE " + " AND ".join(["true"] * MANY), None),
    "sum": ("SELECT " + "+".join(["1"] * MANY), None),
    "targets": ("SELECT " + ", ".join(["1"] * MANY), None),
    "values": ("SELECT count(*) FROM (VALUES " + ", ".join(["(1)"] * MANY) + ") v", b"100000"),
    "statements": (";".join(["SELECT 1"] * 20000), None),
    "unions": (" UNION ALL ".join(["SELECT 1"] * 20000), None),
    "brackets": (deep("(", "1", ")", 100000), None),
    "subqueries": (deep("(SELECT ", "1", ")", 50000), None),
    "arrays": (deep("ARRAY[", "1", "]", 50000), None),
    "calls": (deep("abs(", "1", ")", 50000), None),
    "cases": (deep("CASE WHEN true THEN ", "1", " END", 20000), None),
    "nots": (deep("NOT ", "true", "", 100000), None),
    "signs": (deep("- ", "1", "", 100000), None),
    "casts": (deep("", "1", "::int", 100000), None),
    "queries": ("WITH " + ", ".join(f"q{i} AS (SELECT {i})" for i in range(10000)) + " SELECT 1", None),
    "froms": ("SELECT * FROM " + "(SELECT * FROM " * 20000 + "orders" + ") x" * 20000, None),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_and_deep_statements(raw, name):
    """A result, or an error that says that it is too much; in a moment, also for others of the same worker."""
    text, want = LARGE[name]
    assert len(text) < LIMIT
    began = time.monotonic()
    raw.send(query(text))
    found = raw.until("Z")
    took = time.monotonic() - began
    kinds = {kind for kind, _ in found}
    if want is not None:
        assert next(body for kind, body in found if kind == "D")[6:] == want, found[:3]
    else:
        is_too_much = kinds >= {"E"} and (error_of(found)["C"] in ("54001", "54000", "54011")
                                          or "memory exhausted" in error_of(found)["M"])  # the server's own word
        assert "D" in kinds or is_too_much, error_of(found)
    print(f"{name}: {took:.2f} s, {error_of(found)['C'] + ' ' + error_of(found)['M'] if 'E' in kinds else 'a result'}")
    assert took < 20


class Beside(threading.Thread):
    """Somebody of the same worker who goes on; and what memory that worker takes meanwhile."""

    def __init__(self, gate):
        super().__init__(daemon=True)
        (self.worker,) = [pid for pid in descendants(gate.office.pid("db"))]
        self.raw = Raw(gate.port, tls=None, timeout=30)
        assert self.raw.log_in("dora", "orders-db", gate.password("dora"))[-1] == ("Z", b"I")
        self.times, self.most, self.over = [], 0, False
        self.start()

    def resident(self):
        with open(f"/proc/{int(self.worker)}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) * 1024

    def run(self):
        while not self.over:
            began = time.monotonic()
            assert ("D", b"\0\1\0\0\0\0017") in self.raw.ask("SELECT 7")
            self.times.append(time.monotonic() - began)
            self.most = max(self.most, self.resident())
            time.sleep(0.02)

    def end(self):
        self.over = True
        self.join(30)
        self.raw.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Q", "P"])
def test_a_statement_of_a_gigabyte_that_really_comes(gate, raw, kind):
    """It is refused, and read to its end without being kept: the worker grows by nothing, others are answered meanwhile."""
    size, chunk = 1000 * 1000 * 1000, b"x" * (1 << 20)
    beside = Beside(gate)
    before, began = beside.resident(), time.monotonic()
    try:
        head = b"SELECT '" if kind == "Q" else b"name\0SELECT '"
        raw.send(kind.encode() + struct.pack(">I", size + 4) + head)
        left = size - len(head)
        while left > 0:
            raw.socket.sendall(chunk[:left])
            left -= min(left, len(chunk))
        took = time.monotonic() - began
        raw.send(*(() if kind == "Q" else (bind("", "name"), execute(), SYNC)))
        found = raw.until("Z")
        error = error_of(found)
        assert [one for one, _ in found] == ["E", "Z"] and found[-1][1] == b"I", found
        assert error["C"] == "54000" and "Reference" in error["D"] and error["S"] == "ERROR", error
    finally:
        beside.end()
    print(f"{kind}: {took:.1f} s; beside it {len(beside.times)} statements, the slowest {max(beside.times) * 1000:.0f} ms; "
          f"memory {before >> 20} to {beside.most >> 20} MiB")
    assert beside.most - before < 8 << 20 and len(beside.times) > 5 and max(beside.times) < 2

# SPDX-License-Identifier: Apache-2.0
"""With a policy that permits all, a large body of SQL is answered through the gate as the server answers it, byte for byte:
some thousand statements made at random from a grammar, sent to two servers that were made alike down to the numbers
of their tables, one spoken to directly, one through the gate.

OWNS an office, two servers. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate".
"""
import contextlib
import os
import random
import re
import time

import pytest

from dbgatelib import DBA_DOES_ALL, DatabaseOffice, furnish, orders_documents
from officelib import SANITIZED
from pglib import Postgres
from pgraw import SYNC, Raw, bind, describe, execute, fields, parse, query
from sqlgen import SCHEMA, TABLES, Generator, fill

pytestmark = pytest.mark.shipped

SEED = int(os.environ.get("SP_GENERATED_SEED", "17"))
COUNT = int(os.environ.get("SP_GENERATED_COUNT", "300" if SANITIZED else "2000"))
REFUSED_MAX = 0.08  # of what is made; what is never let through, whatever policy says
QUIET = ("ALTER SYSTEM SET autovacuum = off", "ALTER SYSTEM SET statement_timeout = '20s'", "SELECT pg_reload_conf()")
# differs between any two servers, or from one moment to the next
OWN = re.compile(r"(?i)\b(pg_class|pg_stat_\w+|pg_settings|columns|random|now|clock_timestamp|SHOW ALL|ANALYZE)\b")
SNAPSHOT = re.compile(rb"[0-9A-F]{8}-[0-9A-F]{8}-[0-9]+")


@pytest.fixture(scope="module")
def both():
    """The gate, and a server like the one behind it."""
    tables, rows = SCHEMA.split("INSERT INTO orders", 1)
    people = fill(lambda row: (f"'1380013{row:04}'", "'11010519491231002X'"))[1:]
    schema = f"{tables}{';'.join(people)};INSERT INTO orders{rows}"
    gate = DatabaseOffice(orders_documents(["dba"], DBA_DOES_ALL, postgres="  search_path: [public]\n"), schema=schema)
    twin = None
    try:
        gate.person("dora", "dba")
        twin = Postgres()
        furnish(twin, ["op_all"], schema)
        for one in (gate.pg, twin):
            one.sql(*QUIET)
        yield gate, twin
    finally:
        gate.close()
        if twin is not None:
            twin.close()


def texts():
    made, pick, found = Generator(SEED), random.Random(SEED), []
    while len(found) < COUNT:
        text = made.statement().replace("{t}", pick.choice(sorted(TABLES)))
        if not OWN.search(text):
            found.append(text)
    return found


def plainly(kind, body):
    """What does not parse is answered by the gate's own parser, in the server's words: on one line that may be cut, and without the line
    of the server's source."""
    told = fields(body) if kind == "E" else {}
    if told.get("C") == "42601" and told.get("R") in (None, "scanner_yyerror"):
        return kind, (told["S"], told["C"], told["P"], re.sub(r"[\x00-\x1f]", " ", told["M"])[:200])
    return kind, SNAPSHOT.sub(b"snapshot", body)


def answer(raw, text, extended):
    """All that comes for it, in a transaction that is rolled back."""
    raw.send(query("BEGIN"), *((parse(text), bind(), describe(), execute(), SYNC) if extended else (query(text),)),
             query("ROLLBACK"))
    return [message for _ in range(3) for message in raw.until("Z")]


def is_refusal(found):
    """By the gate: an error with a reference."""
    return any(kind == "E" and "Reference" in fields(body).get("D", "") for kind, body in found)


def test_the_same_bytes_for_whatever_is_sent(both):
    gate, twin = both
    began, differing, refused, kinds = time.monotonic(), [], {}, {}
    with contextlib.closing(Raw(gate.port, tls=None, timeout=60)) as through, \
            contextlib.closing(Raw(twin.port, tls=None, timeout=60)) as plain:
        assert through.log_in("dora", "orders-db", gate.password("dora"))[-1] == ("Z", b"I")
        # with the parameters that the gate gives it
        assert plain.log_in("op_all", "orders", "op_all", search_path="public", client_encoding="UTF8")[-1] == ("Z", b"I")
        for number, text in enumerate(texts()):
            extended = number % 2 == 1 and ";" not in text
            got = answer(through, text, extended)
            if is_refusal(got):  # nothing of it was sent on, so both servers stay alike
                refused[text] = next(fields(body)["M"] for kind, body in got if kind == "E")
                answer(plain, "SELECT 1", False)
                continue
            want = answer(plain, text, extended)
            for kind, _ in want:
                kinds[kind] = kinds.get(kind, 0) + 1
            if [plainly(*one) for one in got] != [plainly(*one) for one in want]:
                differing.append((text, want, got))
            for one in (through, plain):
                one.ask("DEALLOCATE ALL")
    took = time.monotonic() - began
    print(f"{COUNT} statements in {took:.1f} s, {len(refused)} refused; messages: {kinds}")
    for text, why in list(refused.items())[:200]:
        print("refused:", why, "|", text[:100].replace("\n", " "))
    assert not differing, f"{len(differing)}:\n" + "\n".join(
        f"{text}\n  direct: {want}\n  gate:   {got}" for text, want, got in differing[:5])
    assert len(refused) < COUNT * REFUSED_MAX, refused
    assert kinds["E"] > COUNT / 20 and kinds["D"] > COUNT, "a body of some worth"

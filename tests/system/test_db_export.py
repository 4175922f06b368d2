# SPDX-License-Identifier: Apache-2.0
"""A large answer is an export: beyond `postgres.export.over` rows come only to who may export what they are of, in every way in
which an answer comes, and then they stand in the ledger and in the day as that.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/POLICY.md "postgres", docs/DATABASE.md.
"""
import contextlib
import os
import re
import signal
import time

import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from officelib import descendants, wait_for
from pgraw import FLUSH, SYNC, Raw, bind, execute, fields, parse, query
from test_db_record import Still

RULE = """\
kind: Rule
name: {role} reads
who: {{ roles: [{role}] }}
to: {{ resources: [orders-db] }}
may: [connect, read, write]
---
"""
EXPORTS = """\
kind: Rule
name: {role} exports
who: {{ roles: [{role}] }}
to: {{ {to} }}
may: [export]
{more}---
"""
ROLES = {
    "reader": """\
kind: Budget
name: attempts to export
who: { roles: [reader, asker] }
actions: [export]
per: 10m
statements: 100
then: deny
---
kind: Budget
name: many rows
who: { roles: [reader] }
actions: [write]
per: 10m
rows: 100000
then: deny
---
""",
    "half": EXPORTS.format(role="half", to="resources: [orders-db], classes: [internal]", more=""),
    "asker": EXPORTS.format(role="asker", to="resources: [orders-db]", more="ask: { approved_by: 1, by: { roles: [reader] } }\n"),
    "masker": EXPORTS.format(role="masker", to="resources: [orders-db]", more="with: { mask: [personal-info] }\n"),
    "exporter": EXPORTS.format(role="exporter", to="resources: [orders-db]", more=""),
    "carrier": EXPORTS.format(role="carrier", to="resources: [orders-db]", more="with: { limit: { rows: 250, per: day } }\n"),
    "recorded": EXPORTS.format(role="recorded", to="resources: [orders-db]", more="with: { record: true }\n"),
    "spender": EXPORTS.format(role="spender", to="resources: [orders-db]", more="") + """\
kind: Budget
name: two exports
who: { roles: [spender] }
actions: [export]
per: 10m
statements: 2
then: deny
---
"""}
DOCUMENTS = orders_documents(list(ROLES), """\
kind: Class
name: internal
---
kind: Class
name: weighty
above: internal
---
""" + "".join(RULE.format(role=role) + more for role, more in ROLES.items()), postgres="""\
  export: { over: { rows: 100, bytes: 64 KiB } }
  parts:
    - { table: audit.entries, class: weighty }
    - { table: public.customers, class: internal, columns: [{ name: phone, tags: [personal-info] }] }
""")
MORE = "INSERT INTO audit.entries SELECT n, 'entry ' || n FROM generate_series(11, 150) n;"
ALL = "SELECT id FROM orders"


gate = office_of(DOCUMENTS, [(f"{role}-1", role) for role in ROLES], schema=SCHEMA + MORE)


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def log_in(gate, name):
    raw = Raw(gate.port, tls=None)
    assert raw.log_in(name, "orders-db", gate.password(name))[-1] == ("Z", b"I")
    yield raw
    raw.close()


def rows_of(found):
    return sum(kind == "D" for kind, _ in found)


def errors_of(found):
    return [fields(body) for kind, body in found if kind == "E"]


def events(gate, person, **words):
    return [e for e in gate.audrey.items("/admin/ledger/events?limit=200") if e.get("person") == person
            and all(e.get(key) == value for key, value in words.items())]


@pytest.mark.parametrize("name", ["reader-1", "asker-1", "masker-1"])
def test_the_rows_beyond_never_arrive(gate, name):
    """To who may not, not by himself, or not as they are: by Query, in portions of a portal, in one pipeline and several, by
    FETCH; the connection goes on."""
    ways = {"query": [[query(ALL)]], "execute": [[parse(ALL), bind(), execute(), SYNC]],
            "pipelined portions": [[parse(ALL), bind(), *[execute("", 40)] * 5, SYNC]],
            "portions": [[query("BEGIN")], [parse(ALL), bind("p"), execute("p", 60), SYNC],
                         *[[execute("p", 25), SYNC]] * 3, [query("ROLLBACK")]],
            "fetch": [[query(f"BEGIN; DECLARE c CURSOR FOR {ALL}")], *[[query("FETCH 30 FROM c")]] * 5, [query("ROLLBACK")]],
            "fetches": [[query("BEGIN;" + f"DECLARE c CURSOR FOR {ALL};" + "FETCH 30 FROM c;" * 5)], [query("ROLLBACK")]],
            "bytes": [[query("SELECT repeat(note, 1000) FROM orders WHERE id < 20")]]}
    with log_in(gate, name) as raw:
        for way, batches in ways.items():
            found = []
            for batch in batches:
                raw.send(*batch)
                found += raw.until("Z")
            first = errors_of(found)[0]
            assert first["C"] == "42501" and "are an export" in first["M"] and "public.orders" in first["M"], (way, first)
            assert "Reference" in first["D"], (way, first)
            assert rows_of(found) == 100 or (way == "bytes" and 0 < rows_of(found) < 12), (way, rows_of(found))
            assert found[-1] == ("Z", b"I"), way
        assert rows_of(raw.ask(ALL + " WHERE id <= 100")) == 100, "up to there it is reading"
        assert rows_of(raw.ask("SELECT n FROM generate_series(1, 500) n")) == 500, "of nothing of anybody"
    refused = wait_for("the refusal", 10, lambda: events(gate, name, verdict="deny", action="export"))
    assert any("orders" in one["object"] for one in refused)
    came = lambda: sum(e.get("count", 0) for e in events(gate, name, verdict="allow", action="read") if e["object"] == ALL)  # noqa: E731
    assert wait_for("what came", 10, lambda: came() == 400 and 400), "of four ways"


def test_nobody_listens_who_may_not_export(gate):
    with log_in(gate, "reader-1") as raw:
        assert errors_of(raw.ask("LISTEN c"))[0]["C"] == "42501"
    with log_in(gate, "exporter-1") as raw:
        assert [kind for kind, _ in raw.ask("LISTEN c; NOTIFY c")].count("A") == 1


def test_it_is_about_what_was_read(gate):
    with log_in(gate, "half-1") as raw:
        assert rows_of(raw.ask(ALL)) == 200
        found = raw.ask("SELECT id FROM audit.entries")
        assert rows_of(found) == 100 and "audit.entries" in errors_of(found)[0]["M"]
        assert rows_of(raw.ask("SELECT o.id FROM orders o LEFT JOIN audit.entries e USING (id)")) == 100


def test_who_may_export_has_it_all_and_it_is_written_down(gate):
    with log_in(gate, "exporter-1") as raw:
        assert rows_of(raw.ask(ALL)) == 200
        assert rows_of(raw.ask(ALL + " WHERE id <= 100")) == 100
        raw.send(query("BEGIN"), parse(ALL), bind("p"), *[execute("p", 40)] * 5, SYNC)
        assert rows_of(raw.until("Z") + raw.until("Z")) == 200
        raw.ask("COMMIT")
    found = wait_for("the exports", 10, lambda: (lambda e: len(e) >= 4 and e)(events(gate, "exporter-1", action="export")))
    assert {e["verdict"] for e in found} == {"allow"} and {e["kind"] for e in found} == {"decision", "close"}
    begun = [e["reference"] for e in found if e["kind"] == "decision"]
    assert len(begun) == len(set(begun)) == 2, "a portal in parts is one"
    closed = sorted((e["reference"], e["count"]) for e in found if e["kind"] == "close")
    assert closed in ([(one, 40)] * 3 + [(other, 200)] for one, other in (begun, begun[::-1])) or \
        closed in ([(other, 200)] + [(one, 40)] * 3 for one, other in (begun, begun[::-1]))
    assert not [e for e in found if "<= 100" in e["object"]]


def test_limits_and_budgets_of_exports_hold_for_it(gate):
    """A limit a day on exports counts all that the answer brings, and only large ones."""
    with log_in(gate, "carrier-1") as raw:
        for _ in range(4):
            assert rows_of(raw.ask(ALL + " WHERE id <= 90")) == 90
        assert rows_of(raw.ask(ALL)) == 200
        found = raw.ask(ALL)
        assert errors_of(found)[0]["C"] == "53400" and rows_of(found) == 100
    today = gate.sam.get("/admin/databases/budgets")["today"]
    assert [one["rows"] for one in today if one["person"]["name"] == "carrier-1"] == [300], "what has left has left"
    with log_in(gate, "spender-1") as raw:
        assert [rows_of(raw.ask(ALL)) for _ in range(2)] == [200, 200]
        found = raw.ask(ALL)
        assert errors_of(found)[0]["C"] == "53400" and rows_of(found) == 100
        assert rows_of(raw.ask(ALL + " WHERE id <= 90")) == 90
    assert [e for e in events(gate, "spender-1", verdict="deny") if e["action"] == "export"], "by what it was refused"


def test_a_cursor_in_parts_is_one_export(gate):
    gate.person("spender-2", "spender")
    gate.person("carrier-2", "carrier")
    with log_in(gate, "spender-2") as raw:
        for fetch in (query("FETCH 20 FROM c"), parse("FETCH 20 FROM c") + bind() + execute() + SYNC):
            raw.ask(f"BEGIN; DECLARE c CURSOR FOR {ALL}")
            found = []
            for _ in range(11):
                raw.send(fetch)
                found += raw.until("Z")
            assert (rows_of(found), errors_of(found)) == (200, [])
            raw.ask("ROLLBACK")
        raw.ask(f"BEGIN; DECLARE c CURSOR FOR {ALL}; DECLARE d CURSOR FOR {ALL}")
        assert rows_of(raw.ask("FETCH 90 FROM c")) == 90
        assert errors_of(raw.ask("FETCH 20 FROM c"))[0]["C"] == "53400", "that would be the third"
    gate.person("spender-3", "spender")
    with log_in(gate, "spender-3") as raw:
        raw.ask("BEGIN" + "".join(f"; DECLARE {name} SCROLL CURSOR FOR {ALL}" for name in "cdef"))
        assert rows_of(raw.ask("FETCH 110 FROM c")) == 110
        found = [raw.ask(f"FETCH 0 FROM {name}; FETCH 1 FROM c; FETCH 80 FROM {name}") for name in "def"]
        assert [errors_of(one)[0]["C"] for one in found if errors_of(one)] == ["53400", "25P02"], "another's rows are another export"
    with log_in(gate, "carrier-2") as raw:
        raw.ask(f"BEGIN; DECLARE c CURSOR FOR {ALL}")
        for _ in range(4):
            assert rows_of(raw.ask("FETCH 50 FROM c")) == 50
        raw.ask("ROLLBACK")
    today = lambda: [one["rows"] for one in gate.sam.get("/admin/databases/budgets")["today"] if one["person"]["name"] == "carrier-2"]  # noqa: E731
    assert wait_for("all of its rows", 10, lambda: today() == [200] and today()) == [200]


def large_from(gate, rows):
    files = gate.sam.get("/admin/policy/documents")["files"]
    for file in files:
        file["text"] = re.sub(r"over: { rows: \d+", f"over: {{ rows: {rows}", file["text"])
    gate.sam.post("/admin/policy/apply", {"files": files, "comment": "what is large"})


def exports_of(gate, name):
    budgets = gate.sam.get("/admin/databases/budgets")["budgets"]
    return next((s["statements"] for b in budgets if b["name"] == "two exports" for s in b["spent"] if s["person"]["name"] == name), 0)


def test_a_word_that_comes_too_late_is_for_no_other_answer(gate):
    """While core is asked the policy moves, and the answer is not large any more: the next one asks for itself."""
    gate.person("spender-4", "spender")
    core, [worker] = gate.office.pid("core"), descendants(gate.office.pid("db"))
    with log_in(gate, "spender-4") as raw:
        with stopped(core):
            raw.send(query(ALL))
            found = [raw.receive() for _ in range(101)]
            time.sleep(0.5)
            os.kill(worker, signal.SIGSTOP)
        try:
            large_from(gate, 1000)
            time.sleep(0.5)
        finally:
            os.kill(worker, signal.SIGCONT)
        found += raw.until("Z")
        assert (rows_of(found), exports_of(gate, "spender-4")) == (200, 1), "it was spent before"
        large_from(gate, 100)
        time.sleep(1)
        assert [rows_of(raw.ask(ALL)) for _ in range(2)] == [200, 100]
        assert exports_of(gate, "spender-4") == 2


def test_cursors_that_are_joined_count_once_in_the_day(gate):
    gate.person("carrier-3", "carrier")
    with log_in(gate, "carrier-3") as raw:
        raw.ask(f"BEGIN; DECLARE c CURSOR FOR {ALL}; DECLARE d CURSOR FOR {ALL}")
        assert rows_of(raw.ask("FETCH 60 FROM c")) == 60, "not an export yet"
        assert rows_of(raw.ask("FETCH 50 FROM c")) == 50
        assert rows_of(raw.ask("FETCH 5 FROM d; FETCH 5 FROM c")) == 10
        raw.ask("ROLLBACK")
    today = lambda: [one["rows"] for one in gate.sam.get("/admin/databases/budgets")["today"] if one["person"]["name"] == "carrier-3"]  # noqa: E731
    time.sleep(1)
    assert wait_for("its rows", 10, today) == [120]


def test_a_refused_one_is_an_attempt(gate):
    def attempts(name):
        budgets = gate.sam.get("/admin/databases/budgets")["budgets"]
        return next((s["statements"] for b in budgets if b["name"] == "attempts to export" for s in b["spent"] if s["person"]["name"] == name), 0)
    for name, role, wanted in (("asker-2", "asker", 0), ("reader-9", "reader", 3)):
        gate.person(name, role)
        with log_in(gate, name) as raw:
            for _ in range(3):
                assert errors_of(raw.ask(ALL))[0]["C"] == "42501"
        assert wait_for("the attempts", 5, lambda n=name, w=wanted: attempts(n) == w), attempts(name)
    time.sleep(0.5)
    assert attempts("asker-2") == 0, "it is for others to say whether it may be"


def test_what_must_be_written_down_is_before_it_goes_on(gate):
    with log_in(gate, "recorded-1") as raw:
        assert rows_of(raw.ask(ALL)) == 200
        assert rows_of(raw.ask(ALL + " WHERE id <= 90")) == 90
        with Still(gate.office):
            found = raw.ask(ALL)
            assert rows_of(found) == 100 and errors_of(found)[0]["C"] == "53400", errors_of(found)
            assert "written down" in errors_of(found)[0]["M"]


def test_a_change_whose_answer_ends_is_not_left_in_doubt(gate):
    change = "UPDATE orders SET note = 'ran' WHERE note LIKE 'order%' RETURNING id"
    with log_in(gate, "reader-1") as raw:
        found = []
        raw.send(query(change))
        while not errors_of(found):
            found.append(raw.receive())
        assert rows_of(found) <= 100 and errors_of(found)[0]["S"] == "FATAL", errors_of(found)
    with log_in(gate, "reader-1") as raw:
        gate.sql("UPDATE orders SET note = 'order ' || id")
        raw.ask("BEGIN")
        assert raw.ask(change)[-1] == ("Z", b"E")
        raw.ask("COMMIT")
        assert gate.sql("SELECT count(*) FROM orders WHERE note = 'ran'") == [(0,)]


BIG = parse("SELECT id, repeat('x', 290) FROM orders") + bind() + execute()
CHANGE = parse("UPDATE orders SET note = 'ran' WHERE id <= 30") + bind() + execute()


def refused(raw):
    """Without Sync or Flush: the server is done, and its end of the answer lies in its buffer."""
    raw.send(BIG)
    found = raw.until("E")
    assert errors_of(found)[-1]["C"] == "42501" and rows_of(found) == 100
    time.sleep(0.3)  # the cancel has met nothing that runs


def ran(gate):
    return gate.sql("SELECT count(*) FROM orders WHERE note = 'ran'")[0][0]


def spent(gate, name):
    budgets = gate.sam.get("/admin/databases/budgets")["budgets"]
    return next((s["rows"] for b in budgets if b["name"] == "many rows" for s in b["spent"] if s["person"]["name"] == name), 0)


@pytest.mark.parametrize("pause", [b"", FLUSH])
def test_what_comes_behind_a_refused_answer_is_skipped_up_to_sync(gate, pause):
    gate.person(name := f"reader-{2 + len(pause)}", "reader")
    with log_in(gate, name) as raw:
        refused(raw)
        raw.send(pause, CHANGE, query("UPDATE orders SET note = 'ran' WHERE id = 31"), SYNC)
        found = raw.until("Z")
        assert [kind for kind, _ in found] == ["Z"] and found[-1] == ("Z", b"I"), found
        assert ran(gate) == 0 and spent(gate, name) == 0
        raw.send(CHANGE, SYNC)
        assert errors_of(raw.until("Z")) == [] and ran(gate) == 30, "behind its Sync all is as ever"
        wait_for("what ran", 5, lambda: spent(gate, name) == 30)
    gate.sql("UPDATE orders SET note = 'order ' || id")


@pytest.mark.parametrize("way", ["extended", "simple", "synced"])
def test_no_commit_gets_past_a_refused_answer(gate, way):
    """What was done before it in the same transaction is undone, however soon the COMMIT comes."""
    gate.sql("UPDATE orders SET note = 'order ' || id")
    for _ in range(10):
        with log_in(gate, "reader-1") as raw:
            raw.ask("BEGIN")
            raw.send(CHANGE, SYNC)
            assert raw.until("Z")[-1] == ("Z", b"T")
            if way == "simple":
                raw.send(query("SELECT id, repeat('x', 290) FROM orders"))
                raw.until("E")
            else:
                raw.send(BIG, SYNC if way == "synced" else b"")
                raw.until("E")
            raw.send(*([parse("COMMIT"), bind(), execute(), SYNC] if way == "extended" else [query("COMMIT")]))
            assert raw.until("Z")[-1] == ("Z", b"E")
            if way == "extended":
                raw.send(query("COMMIT"))
            assert raw.until("Z")[-1] == ("Z", b"I")
            assert ran(gate) == 0


def test_a_temporary_table_is_an_export_of_what_was_put_into_it(gate):
    own = "CREATE TEMP TABLE own AS SELECT n FROM generate_series(1, 500) n"
    fill = "CREATE TEMP TABLE t AS SELECT id FROM orders"
    with log_in(gate, "reader-1") as raw:
        assert errors_of(raw.ask(own)) == [] and rows_of(raw.ask("SELECT * FROM own")) == 500
        assert errors_of(raw.ask(fill)) == []
        found = raw.ask("SELECT * FROM t")
        assert rows_of(found) == 100 and errors_of(found)[0]["C"] == "42501" and "public.orders" in errors_of(found)[0]["M"]
        assert rows_of(raw.ask("SELECT * FROM t LIMIT 100")) == 100
    with log_in(gate, "exporter-1") as raw:
        assert errors_of(raw.ask(fill)) == [] and rows_of(raw.ask("SELECT * FROM t")) == 200
    wait_for("the export", 10, lambda: [e for e in events(gate, "exporter-1", action="export") if e["object"] == "SELECT * FROM t"])


def test_words_that_are_large_are_an_export(gate):
    """What an error quotes is had as any answer is."""
    text = "SELECT current_setting(string_agg(repeat(note, {}), '')) FROM orders"
    for name, words in (("reader-1", "withheld"), ("exporter-1", "order 7order 7")):
        with log_in(gate, name) as raw:
            assert "order 7order 7" in errors_of(raw.ask(text.format(9)))[0]["M"]
            error = errors_of(raw.ask(text.format(90)))[0]
            assert error["C"] == "42704" and words in error["M"], error["M"][:200]
            raw.send(parse(text.format(91)), bind(), execute(), SYNC)
            assert words in errors_of(raw.until("Z"))[0]["M"]
            assert raw.ask("SELECT 1")[-1] == ("Z", b"I")
    refused = wait_for("the refusal", 10, lambda: [e for e in events(gate, "reader-1", verdict="deny", action="export") if "90" in e["object"]])
    assert refused
    for repeats, action in ((9, "read"), (90, "export")):
        ran = wait_for("what came", 10, lambda: [e for e in events(gate, "exporter-1", action=action) if f"note, {repeats})" in e["object"]  # noqa: B023
                                                and e.get("bytes_out", 0) > repeats * 1400])  # noqa: B023
        assert ran

# SPDX-License-Identifier: Apache-2.0
"""How much people may carry off, and what they see in place of what is masked by hash or null: rows and bytes of one answer
and of a day, in every way in which an answer comes.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/POLICY.md "Duties"; lib/mask/mask.h.
"""
import contextlib
import io
import re
import time

import psycopg2
import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from officelib import PATIENT_S, wait_for
from pgraw import SYNC, Raw, bind, describe, execute, fields, message, parse, query
from test_db_ask import cancel

# Everywhere on Earth it is another day in Kiritimati than in Pago Pago.
EARLIER, LATER = "Pacific/Pago_Pago", "Pacific/Kiritimati"
RULE = """\
kind: Rule
name: {name}
who: {{ roles: [{role}] }}
to: {{ resources: [orders-db] }}
may: [connect, read, export, import, write]
with: {{ {duty} }}
---
"""
DUTIES = {
    "few": "limit: { rows: 20 }", "small": "limit: { bytes: 4 KiB }", "daily": "limit: { rows: 50, per: day }",
    "carrier": "limit: { bytes: 64 KiB, per: day }", "masked": "mask: [personal-info]",
    "counted": "limit: { rows: 20 }", "veiled": "mask: [personal-info], limit: { rows: 5, per: day }",
}
DOCUMENTS = orders_documents(
    list(DUTIES), "".join(RULE.format(name=f"{role} work", role=role, duty=duty) for role, duty in DUTIES.items()) + """\
kind: Budget
name: what is read
who: { roles: [counted] }
actions: [read]
per: 10m
rows: 200
then: deny
---
kind: Budget
name: what is tried
who: { roles: [veiled] }
actions: [read]
per: 10m
statements: 9
then: deny
---
""",
    postgres="""\
  parts:
    - table: public.customers
      class: internal
      columns:
        - { name: phone, mask: hash, tags: [personal-info] }
        - { name: id_number, mask: "null", tags: [personal-info] }
        - { name: email, mask: full, tags: [personal-info] }
    - table: public.typed
      class: internal
      columns:
        - { name: a, mask: hash, tags: [personal-info] }
        - { name: b, mask: "null", tags: [personal-info] }
        - { name: c, mask: hash, tags: [personal-info] }
        - { name: d, mask: "null", tags: [personal-info] }
        - { name: e, mask: hash, tags: [personal-info] }
""")
TYPED = """
CREATE TABLE typed (id int PRIMARY KEY, a varchar(40), b char(8), c bigint, d date, e bytea);
INSERT INTO typed VALUES (1, 'one', 'secret', 4242424242, '2001-02-03', '\\x0102'), (2, 'one', 'x', 1, NULL, NULL), (3, NULL, NULL, NULL, NULL, '');
"""


gate = office_of(DOCUMENTS, [(f"{role}-1", role) for role in DUTIES], schema=SCHEMA + TYPED)


def run(connection, text):
    with connection.cursor() as cursor:
        if not text.startswith("COPY"):
            cursor.execute(text)
            return cursor.fetchall()
        out = io.BytesIO()
        cursor.copy_expert(text, out)
        return out.getvalue().splitlines()


def refused(connection, text):
    try:
        run(connection, text)
        return None
    except psycopg2.Error as error:
        return error.pgcode


def session(gate, name):
    connection = gate.connect(name)
    connection.autocommit = True
    return contextlib.closing(connection)


def log_in(gate, name, **parameters):
    raw = Raw(gate.port, tls=None)
    assert raw.log_in(name, "orders-db", gate.password(name), **parameters)[-1] == ("Z", b"I")
    return contextlib.closing(raw)


# ---- of one answer

@pytest.mark.parametrize("name, within, beyond, words", [
    ("few-1", "20", "21", "20 rows"), ("small-1", "40", "120", "4096 bytes")])
def test_no_more_than_so_much_in_one_answer(gate, name, within, beyond, words):
    """Selected, copied, as the answer of a change, by a cursor and in portions; the connection goes on each time."""
    text = "SELECT id, note, repeat('x', 50) FROM orders ORDER BY id LIMIT "
    with session(gate, name) as one:
        for form in (text + "{}", f"COPY ({text}" + "{}) TO STDOUT", f"COPY ({text}" + "{}) TO STDOUT (FORMAT csv)",
                     "UPDATE orders SET note = note WHERE id <= {} RETURNING id, note, repeat('x', 50)"):
            assert len(run(one, form.format(within))) == int(within), form
            with pytest.raises(psycopg2.Error) as what:
                run(one, form.format(beyond))
            assert what.value.pgcode == "53400" and words in str(what.value) and "Reference" in str(what.value), what.value
    with log_in(gate, name) as raw:
        for binary in (False, True):
            raw.send(parse(text + beyond), bind(binary=binary), describe(), execute(), SYNC)
            found = raw.until("Z")
            error = fields(next(body for kind, body in found if kind == "E"))
            assert error["C"] == "53400" and words in error["M"] and found[-1] == ("Z", b"I")
            assert sum(kind == "D" for kind, _ in found) <= int(within) + 20


@pytest.mark.parametrize("name", ["few-72", "daily-72"])
@pytest.mark.parametrize("text", ["SELECT array_agg(repeat(note, 100)) FROM orders", "SELECT json_agg(o) FROM (SELECT repeat(note, 100) FROM orders) o",
                                  "SELECT ARRAY(SELECT repeat(note, 100) FROM orders) FROM orders LIMIT 1"])
def test_one_row_is_not_made_of_all(gate, name, text):
    """A limit of rows without one of bytes is 1 KiB a row, 64 KiB at least."""
    gate.person(name, name.partition("-")[0])
    with session(gate, name) as one:
        assert len(run(one, text.replace("100", "1"))) == 1
        assert refused(one, text) == "53400"


def rows_of(found):
    return sum(kind == "D" for kind, _ in found)


def codes_of(found):
    return [fields(body)["C"] for kind, body in found if kind == "E"]


def test_a_portal_is_one_answer_in_however_many_parts(gate):
    """By Execute with a number of rows, in one pipeline and in several; by FETCH of a cursor, simple and extended."""
    text = "SELECT id FROM orders ORDER BY id"
    with log_in(gate, "few-1") as raw:
        raw.send(parse(text), bind(), execute("", 15), execute("", 5), execute("", 1), SYNC)
        found = raw.until("Z")
        assert (rows_of(found), codes_of(found), found[-1]) == (20, ["53400"], ("Z", b"I"))
        raw.send(query("BEGIN"), parse(text), bind("p"), execute("p", 20), SYNC)
        assert rows_of(raw.until("Z") + raw.until("Z")) == 20
        raw.send(execute("p", 1), SYNC)
        found = raw.until("Z")
        assert (rows_of(found), codes_of(found), found[-1]) == (0, ["53400"], ("Z", b"E"))
        raw.ask("ROLLBACK")
        for fetch in (query("FETCH 8 FROM c"), parse("FETCH 8 FROM c") + bind() + execute() + SYNC):
            assert "E" not in [kind for kind, _ in raw.ask(f"BEGIN; DECLARE c CURSOR FOR {text}")]
            got = []
            for _ in range(4):
                raw.send(fetch)
                got += raw.until("Z")
            assert rows_of(got) == 20 and codes_of(got)[0] == "53400", got
            raw.ask("ROLLBACK")
        # moved back and forth, and declared and fetched in one message
        raw.ask("BEGIN")
        assert rows_of(raw.ask(f"DECLARE s SCROLL CURSOR FOR {text}; FETCH 15 FROM s")) == 15
        raw.ask("MOVE BACKWARD ALL FROM s")
        found = raw.ask("FETCH 15 FROM s")
        assert rows_of(found) == 5 and codes_of(found) == ["53400"]
        raw.ask("ROLLBACK")
        # another portal begins anew
        assert "E" not in [kind for kind, _ in raw.ask(f"BEGIN; DECLARE s CURSOR FOR {text}; FETCH 20 FROM s; COMMIT")]


def test_what_runs_by_a_name_is_of_what_the_name_meant(gate):
    """The server fills a portal of FETCH or EXECUTE when it first runs; whatever its name means later, no more of it comes."""
    text = "SELECT id FROM orders ORDER BY id"
    makes = {"c": (f"DECLARE c SCROLL CURSOR FOR {text}", "FETCH ALL FROM c", ("CLOSE c", "CLOSE c; DECLARE c CURSOR FOR SELECT 1")),
             "q": (f"PREPARE q AS {text}", "EXECUTE q", ("DEALLOCATE q", "DEALLOCATE q; PREPARE q AS SELECT 1"))}
    rests = ([execute("p"), SYNC], [execute("p", 5), SYNC], [query("FETCH ALL FROM p")], [query("FETCH 1 FROM p")], [query("MOVE 1 FROM p")],
             [parse("FETCH ALL FROM p", "f"), bind("o", "f"), execute("o"), SYNC])
    with log_in(gate, "few-1") as raw:
        for make, run, changes in makes.values():
            for change in changes + (None,):
                for rest in rests:
                    raw.ask("DEALLOCATE ALL")
                    assert codes_of(raw.ask("BEGIN") + raw.ask(make)) == []
                    raw.send(parse(run), bind("p"), describe("p"), execute("p", 1), SYNC)
                    assert (rows_of(found := raw.until("Z")), codes_of(found)) == (1, [])
                    if change is not None:
                        assert codes_of(raw.ask(change)) == []
                    raw.send(*rest)
                    found = raw.until("Z")
                    assert (rows_of(found), codes_of(found)) == (0, ["0A000"]), (run, change, rest, found)
                    raw.ask("ROLLBACK")
        # what it fetches has to be known
        raw.ask("BEGIN")
        raw.send(parse("FETCH ALL FROM nothing"), bind(), execute(), SYNC)
        assert codes_of(raw.until("Z")) == ["34000"]
        raw.ask("ROLLBACK")


def test_after_a_refused_answer_the_next_is_as_ever(gate):
    """The rest of it is cancelled at the server; nothing else is."""
    with session(gate, "few-1") as one:
        for _ in range(100):
            assert refused(one, "SELECT id FROM orders") == "53400"
            assert run(one, "SELECT 1 FROM pg_sleep(0.005)") == [(1,)]


def test_what_stands_behind_a_refused_answer_does_not_run(gate):
    """In the same pipeline: the client takes it for skipped. The next one runs."""
    slow = "SELECT id, repeat('x', 1000), pg_sleep(0.02) FROM orders"
    with log_in(gate, "few-1") as raw:
        began = time.monotonic()
        raw.send(parse(slow), bind(), execute(), parse("UPDATE orders SET note = 'ran' WHERE id = 1"), bind(), execute(), SYNC)
        found = raw.until("Z")
        assert [fields(body)["C"] for kind, body in found if kind == "E"] == ["53400"] and found[-1] == ("Z", b"I")
        assert time.monotonic() - began < 3, "it was not cancelled at the server: 200 rows take 4 s"
        assert gate.sql("SELECT count(*) FROM orders WHERE note = 'ran'") == [(0,)]
        assert "E" not in [kind for kind, _ in raw.ask("SELECT 1")]


CHANGE = "UPDATE orders SET note = 'ran' WHERE id <= 30"


def ran(gate):
    return gate.sql("SELECT count(*) FROM orders WHERE note = 'ran'")[0][0]


def test_what_stands_behind_a_quick_answer_does_not_run_either(gate):
    """The server is done long before the gate has read one row too many; refused is refused all the same."""
    answer = parse("SELECT id FROM orders WHERE id <= 30") + bind() + execute()
    change = parse(CHANGE) + bind() + execute()
    with log_in(gate, "few-1") as raw:
        for _ in range(20):
            raw.send(answer, change, SYNC)
            found = raw.until("Z")
            assert (codes_of(found), rows_of(found), found[-1], ran(gate)) == (["53400"], 20, ("Z", b"I"), 0)
            raw.send(change, answer, SYNC)
            assert codes_of(raw.until("Z")) == ["53400"] and ran(gate) == 0, "what stood before it in the pipeline"
        raw.ask("BEGIN")
        raw.send(answer, change, SYNC)
        assert raw.until("Z")[-1] == ("Z", b"E")
        assert codes_of(raw.ask("COMMIT")) == [] and ran(gate) == 0
        assert "E" not in [kind for kind, _ in raw.ask("SELECT 1")]


@pytest.mark.parametrize("text", [CHANGE + " RETURNING id", f"SELECT id FROM orders WHERE id <= 30; {CHANGE}", f"{CHANGE}; SELECT id FROM orders WHERE id <= 30"])
def test_a_change_whose_answer_is_refused_is_undone(gate, text):
    with log_in(gate, "few-1") as raw:
        for _ in range(10):
            found = raw.ask(text)
            assert (codes_of(found), rows_of(found), found[-1], ran(gate)) == (["53400"], 20, ("Z", b"I"), 0)
        assert "E" not in [kind for kind, _ in raw.ask("BEGIN")]
        assert raw.ask(text)[-1] == ("Z", b"E")
        raw.ask("COMMIT")
        assert ran(gate) == 0
        found = raw.ask(f"BEGIN; {text}; COMMIT")
        assert codes_of(found) == ["0A000"] and ran(gate) == 0, "nobody could take it back"
        few = text.replace("30", "9")
        assert [kind for kind, _ in raw.ask(few)].count("D") == 9 and ran(gate) == 9, "within the limit it is as ever"
    gate.sql("UPDATE orders SET note = 'order ' || id WHERE note = 'ran'")


def test_a_copy_beside_a_limited_answer_reads_its_data(gate):
    with log_in(gate, "few-1") as raw:
        for number, data in ((9, [message("d", b"9001\tcopied\n"), message("c")]), (30, [message("d", b"9002\tcopied\n"), message("c")]),
                             (9, [message("d", b"9003\tcopied\n"), message("f", b"no more\0")]),
                             (9, [message("d", b"9004\tcopied\n"), query("SELECT 1")])):
            raw.send(query(f"COPY orders (id, note) FROM STDIN; SELECT id FROM orders WHERE id <= {number}"))
            assert [kind for kind, _ in raw.until("G")] == ["G"]
            raw.send(*data)
            found = raw.until("Z")
            assert found[-1] == ("Z", b"I") and (codes_of(found) == []) == (number == 9 and data[-1] == message("c")), found
            if data[-1] == query("SELECT 1"):
                raw.until("Z")
        assert gate.sql("SELECT id FROM orders WHERE note = 'copied'") == [(9001,)]
        assert raw.ask("SELECT 1")[-1] == ("Z", b"I")
    gate.sql("DELETE FROM orders WHERE note = 'copied'")


# ---- of a day

def day_of(gate, zone):
    """The office moves to where it is another day."""
    files = gate.sam.get("/admin/policy/documents")["files"]
    for file in files:
        file["text"] = re.sub("time_zone: .*", f"time_zone: {zone}", file["text"])
    gate.sam.post("/admin/policy/apply", {"files": files, "comment": "the office moves"})


@pytest.mark.parametrize("over", [False, True])
def test_what_runs_while_the_policy_changes_is_of_the_rule_that_let_it(gate, over):
    """Rules have other places in the new one; neither the end nor a refused answer is told of them."""
    mark = f"while_it_changes_{over}".lower()
    files = gate.sam.get("/admin/policy/documents")["files"]
    other = RULE.format(name="a rule before all", role="masked", duty="limit: { rows: 7 }")
    more = [{**file, "text": file["text"].replace("kind: Rule\nname: few work", other + "kind: Rule\nname: few work")} for file in files]
    with log_in(gate, "few-1") as raw:
        raw.ask(f"SELECT id AS {mark} FROM orders LIMIT 1")
        with contextlib.closing(gate.direct("op_all")) as other:
            other.cursor().execute("LOCK TABLE orders")
            raw.send(query(f"SELECT id AS {mark} FROM orders ORDER BY id LIMIT {30 if over else 5}"))
            wait_for("the statement", PATIENT_S, lambda: gate.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == [(1,)])
            gate.sam.post("/admin/policy/apply", {"files": more, "comment": "one more"})
        assert codes_of(raw.until("Z")) == (["53400"] if over else [])
    gate.sam.post("/admin/policy/apply", {"files": files, "comment": "as before"})
    events = lambda: [e for e in gate.audrey.items("/admin/ledger/events?gate=db&person=few-1&limit=50") if mark in e.get("object", "")]  # noqa: E731
    found = wait_for("the entries", PATIENT_S, lambda: len(events()) == (3 if over else 2) and events())
    assert {(e["rule"], e["policy_version"]) for e in found} == {("few work", found[-1]["policy_version"])}, found


COPIED = ("COPY (SELECT repeat('z', 999) FROM generate_series(1, 30) n, LATERAL (SELECT id FROM orders LIMIT 1) o) TO STDOUT")


def test_a_day_has_an_end_and_the_next_begins_anew(gate):
    """Rows selected and bytes copied, over all connections of a person."""
    day_of(gate, EARLIER)
    shares = [("daily-1", "SELECT id FROM orders ORDER BY id LIMIT 25", 2), ("carrier-1", COPIED, 2)]
    for name, text, times in shares:
        with session(gate, name) as one, session(gate, name) as other:
            for turn in range(times):
                assert refused((one, other)[turn % 2], text) is None, turn
            for connection in (one, other):
                assert wait_for("the end of the day's share", 5, lambda c=connection: refused(c, text)) == "53400"
            with session(gate, name) as third:
                assert refused(third, text) == "53400", "not by connecting anew"
                assert run(third, "SELECT 1") == [(1,)]
    day_of(gate, LATER)
    for name, text, times in shares:
        with session(gate, name) as one:
            for turn in range(times):
                assert refused(one, text) is None, turn
            assert wait_for("its end", 5, lambda: refused(one, text)) == "53400"


def used_today(gate, name):
    today = gate.sam.get("/admin/databases/budgets")["today"]
    return next((one["rows"] for one in today if one["person"]["name"] == name), 0)


@pytest.mark.parametrize("name, way", [("daily-2", "connections"), ("daily-3", "executes"), ("daily-4", "queries")])
def test_the_day_is_a_wall(gate, name, way):
    """Whatever runs at the same time, in other connections or behind it in the same one, all together bring what the day has."""
    gate.person(name, "daily")
    text = "SELECT id, pg_sleep(0.002) FROM orders"
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(log_in(gate, name)) for _ in range(6 if way == "connections" else 1)]
        found = []
        for raw in lines:
            raw.send(*([query(text)] * 6 if way != "executes" else [parse(text), *[bind() + execute()] * 6, SYNC]))
        for raw in lines:
            for _ in range(1 if way == "executes" else 6):
                found += raw.until("Z")
        assert rows_of(found) == 50 and set(codes_of(found)) == {"53400"}
        assert wait_for("what was granted", 5, lambda: used_today(gate, name)) == 50
        assert lines[0].ask("SELECT 1")[-1] == ("Z", b"I")


def test_what_was_granted_comes_back(gate):
    """When the statement is over, and when its connection was ended in the middle of it."""
    gate.person("daily-5", "daily")
    with log_in(gate, "daily-5", application_name="slow") as raw, log_in(gate, "daily-5") as other:
        assert rows_of(raw.ask("SELECT id FROM orders LIMIT 3")) == 3
        assert wait_for("what was not used", 5, lambda: used_today(gate, "daily-5") == 3)
        [slow] = [one["id"] for one in gate.sam.get("/admin/databases/connections")["items"] if one["application"] == "slow"]
        raw.send(query("SELECT n, repeat('x', 9000), pg_sleep(CASE WHEN n > 3 THEN 600 ELSE 0 END), "
                       "(SELECT min(id) FROM orders) FROM generate_series(1, 9) n"))
        found = [raw.receive() for _ in range(3)]
        began = time.monotonic()
        other.send(query("SELECT id FROM orders LIMIT 40"))
        time.sleep(0.5)
        gate.sam.post(f"/admin/databases/connections/{slow}/end", {})
        while found[-1][0] != "E":
            found.append(raw.receive())
        answer = other.until("Z")
        if codes_of(answer) == ["53400"]:  # the end took longer than it waits
            assert time.monotonic() - began > 3.5
            answer = other.ask("SELECT id FROM orders LIMIT 40")
        assert rows_of(answer) == 40, "it waited for them"
        # what the gate had read of the server's answer counts, whether its client was still there or not
        assert wait_for("what was carried off", 10, lambda: used_today(gate, "daily-5") - 3 - 40 in range(rows_of(found), 4)), found


def test_who_waits_for_the_day_can_cancel(gate):
    gate.person("daily-10", "daily")
    with log_in(gate, "daily-10") as slow, contextlib.closing(Raw(gate.port, tls=None)) as raw:
        found = raw.log_in("daily-10", "orders-db", gate.password("daily-10"))
        slow.send(query("SELECT n, repeat('x', 9000), pg_sleep(CASE WHEN n > 3 THEN 6 ELSE 0 END), "
                        "(SELECT min(id) FROM orders) FROM generate_series(1, 4) n"))
        assert slow.receive()[0] == "T"
        raw.send(query("SELECT id FROM orders LIMIT 40"))
        time.sleep(0.5)
        began = time.monotonic()
        cancel(gate, found)
        assert codes_of(raw.until("Z")) == ["57014"] and time.monotonic() - began < 2
        slow.until("Z")
        assert wait_for("what was granted", 5, lambda: rows_of(raw.ask("SELECT id FROM orders LIMIT 40"))) == 40
        assert wait_for("what was carried off", 5, lambda: used_today(gate, "daily-10") == 44)


# ---- what is no answer

def test_nothing_comes_by_notifications(gate):
    """What they carry nobody counts: where there is a limit nobody listens, by Query or in the extended protocol."""
    gate.person("daily-6", "daily")
    with log_in(gate, "daily-6") as raw:
        assert codes_of(raw.ask("LISTEN c")) == ["0A000"]
        raw.send(parse("LISTEN c"), bind(), execute(), SYNC)
        assert codes_of(raw.until("Z")) == ["0A000"]
        found = raw.ask("SELECT count(pg_notify('c', id::text || note)) FROM orders")
        assert [kind for kind, _ in found].count("D") == 1
        assert "A" not in [kind for kind, _ in found + raw.ask("SELECT 1")]


def test_words_that_quote_values_are_counted(gate):
    """An error may hold a whole table; without room for it the words do not come."""
    text = "SELECT (SELECT string_agg(repeat(note, 9), ',') FROM orders WHERE id <= {})::int"
    with log_in(gate, "small-1") as raw:
        for count, words in ((20, "order 7order 7"), (180, "withheld")):
            error = fields(next(body for kind, body in raw.ask(text.format(count)) if kind == "E"))
            assert error["C"] == "22P02" and words in error["M"], error
            assert raw.ask("SELECT 1")[-1] == ("Z", b"I")
    gate.person("daily-7", "daily")
    with log_in(gate, "daily-7") as raw:
        for _ in range(3):
            assert codes_of(raw.ask(text.format(20))) == ["22P02"]
        assert wait_for("what they counted", 5, lambda: used_today(gate, "daily-7")) == 3


def test_what_was_held_back_is_not_spent(gate):
    """Rows of a refused answer that the server had sent already, and that nobody got."""
    with log_in(gate, "counted-1") as raw:
        for _ in range(4):
            found = raw.ask("SELECT o.id FROM orders o, generate_series(1, 100)")
            assert (rows_of(found), codes_of(found)) == (20, ["53400"])
        time.sleep(1)
        assert rows_of(raw.ask("SELECT id FROM orders LIMIT 20")) == 20


def test_who_has_hung_up_has_left(gate):
    """In the middle of what would never end, or not for long: the server is told, and the day has back what was granted."""
    gate.person("daily-8", "daily")
    with log_in(gate, "daily-8") as raw, contextlib.closing(Raw(gate.port, tls=None)) as gone:
        assert gone.log_in("daily-8", "orders-db", gate.password("daily-8"))[-1] == ("Z", b"I")
        assert rows_of(raw.ask("SELECT id FROM orders LIMIT 1")) == 1
        gone.send(query("SELECT id, pg_sleep(50) FROM orders"))
        running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(50)%' AND pid <> pg_backend_pid()"
        wait_for("it runs", 5, lambda: gate.sql(running) == [(1,)])
        gone.close()
        assert wait_for("its end", 8, lambda: gate.sql(running) == [(0,)])
        assert wait_for("what was granted", 5, lambda: rows_of(raw.ask("SELECT id FROM orders LIMIT 49")) == 49)


def test_what_does_not_run_for_want_of_a_name_holds_nothing(gate):
    gate.person("daily-9", "daily")
    with log_in(gate, "daily-9") as raw:
        for start in range(0, 4096, 512):
            raw.send(*[parse("SELECT 1", name=f"n{i}") for i in range(start, start + 512)], SYNC)
            assert codes_of(raw.until("Z")) == []
        raw.ask("BEGIN")
        found = raw.ask("DECLARE x CURSOR FOR SELECT id FROM orders; FETCH 1 FROM x")
        assert codes_of(found) == ["53400"] and b"too many prepared statements and cursors are open" in found[0][1]
        raw.ask("ROLLBACK")
        assert wait_for("what was granted", 6, lambda: rows_of(raw.ask("SELECT id FROM orders LIMIT 50"))) == 50


UNREAD = {"SELECT nothing FROM orders": "42703", "SELECT id FROM orders WHERE nothing.id = 1": "42P01", "SELECT id FROM nothing": "42P01",
          "SELECT id FROM orders WHERE": "42601", "SELECT id FROM orders WHERE id = 'a'::nothing": "42704", "SELECT id, count(*) FROM orders": "42803"}


def test_errors_about_the_text_of_a_statement_are_not_counted(gate):
    """More of them than the day has rows, sent simply and prepared, and what a failed transaction says."""
    gate.person("daily-20", "daily")
    with log_in(gate, "daily-20") as raw:
        for _ in range(5):
            for text, code in UNREAD.items():
                assert codes_of(raw.ask(text)) == [code], text
                raw.send(parse(text), bind(), execute(), SYNC)
                assert codes_of(raw.until("Z")) == [code], text
            raw.ask("BEGIN")
            assert codes_of(raw.ask("SELECT nothing FROM orders")) == ["42703"]
            assert codes_of(raw.ask("SELECT id FROM orders")) == ["25P02"]
            raw.ask("ROLLBACK")
        assert rows_of(raw.ask("SELECT id FROM orders LIMIT 50")) == 50
        assert wait_for("all of the day", 5, lambda: used_today(gate, "daily-20")) == 50


def test_a_refused_attempt_counts_although_the_day_is_over(gate):
    """In the budget of what is tried, and it is no question for more of the day."""
    with log_in(gate, "veiled-1") as raw:
        assert rows_of(raw.ask("SELECT id FROM orders LIMIT 5")) == 5
        assert wait_for("the end of the day's share", 5, lambda: used_today(gate, "veiled-1") == 5)
        for _ in range(3):
            assert codes_of(raw.ask("SELECT phone FROM customers ORDER BY phone")) == ["42501"]

    def tried():
        budgets = gate.sam.get("/admin/databases/budgets")["budgets"]
        return sum(one["statements"] for b in budgets if b["name"] == "what is tried" for one in b["spent"])
    wait_for("what was tried", 5, lambda: tried() == 4)


RAISERS = ("SELECT current_setting(string_agg(repeat(note, 9), ',')) FROM orders WHERE id <= {}",
           "SELECT has_schema_privilege(string_agg(repeat(note, 9), ','), 'usage') FROM orders WHERE id <= {}",
           "SELECT to_tsquery(string_agg(repeat(note, 9), ',')) FROM orders WHERE id <= {}")
CASTS = ("SELECT replace(note, ' ', '_')::regclass FROM orders WHERE id = {}", "SELECT (replace(note, ' ', '_') || '.a.b')::regclass FROM orders WHERE id = {}",
         "SELECT replace(note, ' ', '_')::regproc FROM orders WHERE id = {}", "SELECT replace(note, ' ', '_')::regtype FROM orders WHERE id = {}",
         "SELECT has_database_privilege(note, 'connect') FROM orders WHERE id = {}",
         "SELECT has_column_privilege('orders', note, 'select') FROM orders WHERE id = {}")


def test_words_that_quote_values_under_any_code_are_counted(gate):
    """What is raised when a statement runs may quote a value, whatever its SQLSTATE says; what was wrong with the text does not."""
    with log_in(gate, "small-1") as raw:
        for text in RAISERS:
            for count, words in ((20, "order 7order 7"), (180, "withheld")):
                error = fields(next(body for kind, body in raw.ask(text.format(count)) if kind == "E"))
                assert error["C"] in ("42704", "3F000", "42601") and words in error["M"], error
        for text in ("SELECT nothing FROM orders", "SELECT id FROM orders WHERE nothing.id = 1", "SELECT id FROM orders WHERE id = 'a'::nothing"):
            assert "nothing" in fields(next(body for kind, body in raw.ask(text) if kind == "E"))["M"]
    gate.person("daily-19", "daily")
    with log_in(gate, "daily-19") as raw:
        for text in CASTS:
            error = fields(next(body for kind, body in raw.ask(text.format(7)) if kind == "E"))
            assert "7" in error["M"], error
        assert wait_for("what they counted", 5, lambda: used_today(gate, "daily-19")) == len(CASTS)


def test_no_setting_is_made_of_rows(gate):
    """What a setting becomes is told to the client beside all answers."""
    with log_in(gate, "few-1") as raw:
        for value in ("note", "(SELECT note)", "count(*)::text", "'x' || note", "lower('X')"):
            text = f"SELECT 1 FROM orders WHERE id = 7 GROUP BY note HAVING set_config('application_name', {value}, false) IS NULL"
            found = raw.ask(text)
            assert codes_of(found) == ["42501"] and "S" not in [kind for kind, _ in found], value
        assert codes_of(raw.ask("SELECT 1 WHERE set_config('application_name', (SELECT note FROM orders WHERE id = 7), false) IS NULL")) == ["42501"]
        found = raw.ask("SELECT set_config('application_name', 'mine', false), set_config('application_name', lower('OURS'), false)")
        assert codes_of(found) == [] and "S" in [kind for kind, _ in found]


# ---- by way of a temporary table

FILLS = ("CREATE TEMP TABLE t AS SELECT id FROM orders", "SELECT id INTO TEMP t FROM orders", "CREATE TABLE pg_temp.t AS SELECT id FROM orders",
         "CREATE TEMP TABLE t (id int); INSERT INTO t SELECT id FROM orders", "CREATE TEMP TABLE t AS SELECT n AS id, 0 AS i FROM generate_series(1, 200) n; "
         "UPDATE t SET i = o.id FROM orders o WHERE o.id = t.id", "CREATE TEMP TABLE s AS SELECT id FROM orders; CREATE TEMP TABLE t AS SELECT * FROM s",
         "CREATE TEMP TABLE t (id int); PREPARE q AS INSERT INTO t SELECT id FROM orders; EXECUTE q")
READS = ("SELECT * FROM t", "TABLE pg_temp.t", "WITH a AS (SELECT * FROM t) SELECT * FROM a", "DELETE FROM t RETURNING *",
         "BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH ALL FROM c", "PREPARE r AS SELECT * FROM t; EXECUTE r")


@pytest.mark.parametrize("fill", FILLS)
def test_a_temporary_table_is_what_was_put_into_it(gate, fill):
    """The rows that go into it are not had yet; who reads it has them."""
    with log_in(gate, "few-1") as raw:
        for one in fill.split("; "):
            assert codes_of(raw.ask(one)) == [], one
        for text in READS:
            found = raw.ask(text)
            assert (rows_of(found), codes_of(found)) == (20, ["53400"]), text
            raw.ask("ROLLBACK")
        raw.send(parse("SELECT * FROM t"), bind(), execute(), SYNC)
        assert rows_of(raw.until("Z")) == 20
        assert rows_of(raw.ask("SELECT * FROM t LIMIT 20")) == 20


def test_a_temporary_table_is_what_was_put_into_it_under_any_name(gate):
    """Under that of another relation, also for what was prepared before; and renamed to one."""
    fill = "CREATE TEMP TABLE {} AS SELECT id::oid AS oid FROM orders"
    with log_in(gate, "few-1") as raw:
        raw.ask("PREPARE q AS SELECT oid FROM pg_class")
        raw.send(parse("SELECT oid FROM pg_class", "s"), SYNC)
        raw.until("Z")
        assert rows_of(raw.ask("EXECUTE q")) > 100
        assert codes_of(raw.ask(fill.format("pg_class"))) == []
        for messages in ([query("SELECT oid FROM pg_class")], [query("EXECUTE q")], [bind("", "s"), execute(), SYNC]):
            raw.send(*messages)
            found = raw.until("Z")
            assert (rows_of(found), codes_of(found)) == (20, ["53400"]), messages
    with log_in(gate, "few-1") as raw:
        assert codes_of(raw.ask(fill.format("t")) + raw.ask("ALTER TABLE t RENAME TO pg_type")) == []
        found = raw.ask("SELECT oid FROM pg_type")
        assert (rows_of(found), codes_of(found)) == (20, ["53400"])


def test_a_temporary_table_of_ones_own_is_free(gate):
    with log_in(gate, "few-1") as raw:
        own = "CREATE TEMP TABLE own AS SELECT n FROM generate_series(1, 100) n"
        assert codes_of(raw.ask(own)) == [] and rows_of(raw.ask("SELECT * FROM own")) == 100
        assert codes_of(raw.ask("CREATE TEMP TABLE t AS SELECT * FROM orders")) == [] and rows_of(raw.ask("SELECT * FROM own")) == 20
        for back in (["BEGIN", "DISCARD TEMP", "ROLLBACK"], ["BEGIN; DISCARD TEMP; ROLLBACK"]):
            for text in back:
                assert codes_of(raw.ask(text)) == []
            assert rows_of(raw.ask("SELECT * FROM pg_temp.t")) == 20, "it is there again"
        assert codes_of(raw.ask("DISCARD ALL") + raw.ask(own)) == [] and rows_of(raw.ask("SELECT * FROM own")) == 100


def test_what_is_read_of_a_temporary_table_is_of_the_day(gate):
    gate.person("daily-11", "daily")
    with log_in(gate, "daily-11") as raw:
        assert codes_of(raw.ask("CREATE TEMP TABLE t AS SELECT * FROM orders")) == []
        assert rows_of(raw.ask("SELECT * FROM t LIMIT 30")) == 30
        assert wait_for("what they counted", 5, lambda: used_today(gate, "daily-11")) == 30
        found = raw.ask("SELECT * FROM t")
        assert (rows_of(found), codes_of(found)) == (20, ["53400"])


# ---- how long it takes

def test_a_cursor_is_fetched_from_as_often_as_one_likes(gate):
    """The hundred-thousandth FETCH costs what the first did."""
    fetch = parse("FETCH 0 FROM c") + bind() + execute()
    with log_in(gate, "few-1") as raw:
        raw.ask("BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders")
        took = []
        for _ in range(60):
            began = time.monotonic()
            raw.send(fetch * 1000, SYNC)
            raw.until("Z")
            took.append(time.monotonic() - began)
        assert sum(took[-5:]) < 2.5 * sum(took[:5]), (took[:5], took[-5:])
        assert rows_of(raw.ask("FETCH 20 FROM c")) == 20
        assert codes_of(raw.ask("FETCH 1 FROM c")) == ["53400"]


# ---- masks

HASH = re.compile(r"[0-9a-f]{16}")


def test_hash_and_null(gate):
    with session(gate, "masked-1") as one, session(gate, "masked-1") as other:
        rows = run(one, "SELECT id, phone, id_number, email, name FROM customers ORDER BY id")
        assert len(rows) == 20 and all(HASH.fullmatch(r[1]) and r[2] is None and r[3] == "***" for r in rows)
        assert len({r[1] for r in rows}) == 20 and rows[6][4] == "name 7"
        assert run(other, "SELECT phone FROM customers WHERE id = 7") == [(rows[6][1],)], "the same of the same, for everybody"
        plain = gate.sql("SELECT md5(phone), encode(sha256(phone::bytea), 'hex') FROM customers WHERE id = 7")[0]
        assert not any(rows[6][1] in text for text in plain), "nobody can compute it"
        typed = run(one, "SELECT id, a, b, c, d, e FROM typed ORDER BY id")
        assert HASH.fullmatch(typed[0][1]) and typed[0][1] == typed[1][1]
        assert [r[2:] for r in typed] == [(None,) * 4] * 3 and typed[2][1] is None


@pytest.mark.parametrize("binary", [False, True])
def test_hash_and_null_in_both_formats(gate, binary):
    with log_in(gate, "masked-1") as raw:
        raw.send(parse("SELECT id, a, b, c, d, e FROM typed WHERE id = 1"), bind(binary=binary), describe(), execute(), SYNC)
        found = raw.until("Z")
        assert [kind for kind, _ in found] == ["1", "2", "T", "D", "C", "Z"]
        row = next(body for kind, body in found if kind == "D")
        first = b"\0\0\0\4\0\0\0\1" if binary else b"\0\0\0\0011"
        assert row[:2] == b"\0\6" and row[2:2 + len(first)] == first
        rest = row[2 + len(first):]
        assert rest[:4] == b"\0\0\0\x10" and HASH.fullmatch(rest[4:20].decode()) and rest[20:] == b"\xff" * 16
        assert b"secret" not in row


def test_hash_and_null_in_copies(gate):
    """In the three formats: the server itself reads them back as what SELECT shows."""
    with session(gate, "masked-1") as one:
        wanted = run(one, "SELECT id, a, b, c, d FROM typed ORDER BY id")
        for options in ("", "(FORMAT csv)", "(FORMAT binary)", "(FORMAT csv, HEADER, FORCE_QUOTE *)"):
            out = io.BytesIO()
            one.cursor().copy_expert(f"COPY typed TO STDOUT {options}", out)
            assert b"secret" not in out.getvalue() and b"4242424242" not in out.getvalue() and b"2001" not in out.getvalue()
            with contextlib.closing(gate.direct("op_all")) as plain, plain.cursor() as cursor:
                cursor.execute("CREATE TEMP TABLE back (LIKE typed)")
                cursor.copy_expert(f"COPY back FROM STDIN {options.replace(', FORCE_QUOTE *', '')}", io.BytesIO(out.getvalue()))
                cursor.execute("SELECT id, a, b, c, d FROM back ORDER BY id")
                assert cursor.fetchall() == wanted, options

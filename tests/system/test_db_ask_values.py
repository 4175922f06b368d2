# SPDX-License-Identifier: Apache-2.0
"""Statements with bound values that wait for others: text and values are shown, agreed to and used once together, and
what stands behind them in a pipeline keeps its order.

OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/bound.c; PostgreSQL 15 manual, 55.2.3.
"""

import struct
import threading

import pytest

from dbgatelib import office_of
from officelib import wait_for
from pgraw import SYNC, Raw, bind, execute, fields, message, parse, query
from test_db_ask import DOCUMENTS, answer, asked
from test_db_masking import Libpq

INT4 = 23


gate = office_of(DOCUMENTS, (("dora", "dba"), ("lena", "lead")), sql=["ANALYZE"])


@pytest.fixture
def raw(gate):
    one = Raw(gate.port, tls=None)
    one.log_in("dora", "orders-db", gate.password("dora"))
    yield one
    one.close()
    wait_for("nothing waits", 10, lambda: not gate.people["lena"].get("/approvals?state=waiting")["items"])


def typed(text, *types, name=""):
    return message("P", name.encode() + b"\0" + text.encode() + b"\0" + struct.pack(">H", len(types))
                   + b"".join(struct.pack(">I", one) for one in types))


def bound(*values, binary=False, portal="", name=""):
    body = portal.encode() + b"\0" + name.encode() + b"\0" + struct.pack(">HHH", 1, int(binary), len(values))
    for one in values:
        body += struct.pack(">i", -1) if one is None else struct.pack(">I", len(one)) + one
    return message("B", body + b"\0\0")


def count(gate, table):
    return int(gate.sql(f"SELECT count(*) FROM {table}")[0][0])


class Answer(threading.Thread):
    """What comes back up to the next ReadyForQuery, while others are asked."""

    def __init__(self, raw):
        super().__init__(daemon=True)
        self.raw, self.found = raw, None
        self.start()

    def run(self):
        self.found = self.raw.until("Z")

    def kinds(self):
        self.join(20)
        return "".join(kind for kind, _ in self.found if kind != "N")

    def error(self):
        self.join(20)
        return fields(next(body for kind, body in self.found if kind == "E"))


def test_text_and_values_are_shown_and_agreed_to(gate):
    dora = Libpq(gate.settings("dora"))
    results = []
    text = "DELETE FROM orders WHERE note <> $1 OR true RETURNING id"
    run = threading.Thread(target=lambda: results.append(dora.one(text, b"it's \\ here", 0)), daemon=True)
    run.start()
    item = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")
    assert item["statement"] == text + "\n\nVALUES\n  $1 = E'it''s \\\\ here'"
    assert item["estimated_rows"] == 200 and item["plan"]["why_not"] is None
    answer(gate, item, "refuse", reason="why all of them?")
    run.join(20)
    assert "why all of them?" in results[0] and count(gate, "orders") == 200
    dora.close()


def test_a_comment_does_not_look_like_values(gate, raw):
    text = "DELETE FROM audit.entries WHERE id > $1 OR true /*\n\nVALUES\n  $1 = '199'\n*/"
    raw.send(parse(text), bound(b"0"), execute(), SYNC)
    item = asked(gate)
    shown = gate.people["lena"].get(f"/approvals/{item['id']}")["statement"]
    assert shown.endswith("/*<U+000A>\n<U+000A>\nVALUES<U+000A>\n  $1 = '199'<U+000A>\n*/\n\nVALUES\n  $1 = '0'")
    answer(gate, item, "refuse", reason="all of them?")
    assert Answer(raw).error()["C"] == "42501"


@pytest.mark.parametrize("make", [
    typed("DELETE FROM audit.entries WHERE id::text >= $1 OR true", 18, name="p"), typed("DELETE FROM audit.entries WHERE id::text = ANY ($1) OR true", 1002, name="p"),
    query('PREPARE p ("char") AS DELETE FROM audit.entries WHERE id::text >= $1 OR true') + SYNC],
    ids=["char", "array of char", "PREPARE"])
def test_nobody_is_asked_about_a_value_that_its_type_makes_another(gate, raw, make):
    """Of '199' a "char" is '1'."""
    raw.send(make, SYNC)
    for _ in range(3 if b"PREPARE" in make else 1):
        raw.until("Z")
    raw.send(bound(b"{199}" if b"ANY" in make else b"199", name="p"), execute(), SYNC)
    wait = Answer(raw)
    assert wait.error()["C"] == "42501" and "types" in wait.error()["M"]
    assert not gate.people["lena"].get("/approvals?state=waiting")["items"]


def test_it_runs_once_for_these_values(gate, raw):
    text = "DELETE FROM audit.entries WHERE id > $1 OR $2::text IS NULL OR true"
    raw.send(typed(text, INT4, name="wipe"), SYNC)
    raw.until("Z")
    raw.send(bound(struct.pack(">i", -7), None, binary=True, name="wipe"), execute(), SYNC)
    first = Answer(raw)
    item = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")
    assert item["statement"].endswith("VALUES\n  $1 = '-7',\n  $2 = NULL")
    answer(gate, item, "approve")
    assert first.kinds() == "2CZ" and count(gate, "audit.entries") == 0
    raw.send(bound(struct.pack(">i", -8), None, binary=True, name="wipe"), execute(), SYNC)
    again = Answer(raw)
    other = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")  # other values are another question
    assert other["sha256"] != item["sha256"] and "'-8'" in other["statement"]
    answer(gate, other, "refuse")
    assert again.error()["C"] == "42501"


def test_the_pipeline_behind_it_waits_in_order(gate, raw):
    gate.sql("INSERT INTO audit.entries SELECT n, 'entry ' || n FROM generate_series(1, 10) n")
    pipeline = (parse("SELECT count(*) FROM audit.entries"), bind(), execute(),
                typed("DELETE FROM audit.entries WHERE id > $1 OR true", INT4), bound(b"3"), execute(),
                parse("SELECT count(*) FROM audit.entries"), bind(), execute(), SYNC,
                parse("SELECT 7"), bind(), execute(), SYNC)
    raw.send(*pipeline)
    first = Answer(raw)
    answer(gate, asked(gate), "approve")
    assert first.kinds() == "12DC12C12DCZ"
    rows = [body[6:] for kind, body in first.found if kind == "D"]
    assert rows == [b"10", b"0"]
    assert [kind for kind, _ in raw.until("Z")] == list("12DCZ")
    # refused: an error at its place, what follows it is skipped to the Sync, what follows that runs
    gate.sql("INSERT INTO audit.entries SELECT n, 'entry ' || n FROM generate_series(1, 10) n")
    raw.send(*pipeline)
    first = Answer(raw)
    answer(gate, asked(gate), "refuse")
    assert first.kinds() == "12DC12EZ" and first.error()["C"] == "42501"
    assert [kind for kind, _ in raw.until("Z")] == list("12DCZ")
    assert count(gate, "audit.entries") == 10


def test_secrets_among_values_are_left_out(gate, raw):
    raw.send(typed("DELETE FROM orders WHERE note = $1 OR true", 25), bound(b"password=geheim2"), execute(), SYNC)
    wait = Answer(raw)
    item = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")
    assert "geheim2" not in str(item) and "$1 = '***'" in item["statement"]
    answer(gate, item, "refuse")
    assert "Z" in wait.kinds()


def test_values_that_cannot_be_shown_are_refused(gate, raw):
    raw.send(typed("DELETE FROM orders WHERE note = $1 OR true", 25), bound(b"x" * 70000), execute(), SYNC)
    error = Answer(raw).error()
    assert error["C"] == "42501" and "values were not kept" in error["M"]
    raw.send(typed("DELETE FROM orders WHERE note = $1 OR true", 25), bound(b"\xff\xfe"), execute(), SYNC)
    error = Answer(raw).error()
    assert error["C"] in ("42501", "22021") and count(gate, "orders") == 200


def test_other_statements_wait_with_values_as_before(gate, raw):
    raw.send(typed("UPDATE orders SET total = total WHERE id = $1", INT4), bound(b"3"), execute(), SYNC)
    assert Answer(raw).kinds() == "12CZ"


def test_planning_runs_no_code_before_others_agree(gate, raw):
    """Bind plans, and so does DECLARE; the server computes what is declared IMMUTABLE when it plans."""
    gate.sql("CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (1)", "GRANT ALL ON kept TO PUBLIC",
             "CREATE FUNCTION empties() RETURNS void VOLATILE LANGUAGE sql AS 'DELETE FROM kept'",
             "CREATE OR REPLACE FUNCTION tidy() RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
             "$$ BEGIN PERFORM empties(); RETURN 1; END $$")
    try:
        raw.send(parse("SELECT tidy()"), SYNC)
        assert raw.until("Z")[0][0] == "1"
        raw.send(bind(), SYNC)
        assert fields(next(body for kind, body in raw.until("Z") if kind == "E"))["C"] == "42501"
        assert count(gate, "kept") == 1
        raw.send(message("Q", b"BEGIN; DECLARE c CURSOR FOR SELECT tidy()\0"))
        waiting = Answer(raw)
        item = asked(gate)
        assert count(gate, "kept") == 1
        answer(gate, item, "refuse")
        assert waiting.error()["C"] == "42501"
        assert count(gate, "kept") == 1
    finally:
        gate.sql("DROP FUNCTION empties CASCADE", "DROP TABLE kept")

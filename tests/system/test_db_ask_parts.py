# SPDX-License-Identifier: Apache-2.0
"""Cursors that have values, and changes that are fetched in parts, where others have to agree: they see all that runs, and are
asked about nothing that the gate would refuse behind their word.

OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/made.c, gates/db/texts.c.
"""
import contextlib

from dbgatelib import office_of, orders_documents
from pgraw import SYNC, bind, error_of, execute, parse
from test_db_ask import answer, asked, waiting
from test_db_ask_values import Answer

DOCUMENTS = orders_documents(["looker", "lead"], """\
kind: Rule
name: all connect
who: { roles: [looker, lead] }
to: { resources: [orders-db] }
may: [connect]
---
kind: Rule
name: a lead agrees
who: { roles: [looker] }
to: { resources: [orders-db] }
may: [read, destroy]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
---
kind: Budget
name: so many rows
who: { roles: [looker] }
actions: [destroy]
per: 10m
rows: 1000
then: deny
""")
gate = office_of(DOCUMENTS, (("dora", "looker"), ("lena", "lead")), sql=["ANALYZE"])


def agreed(gate, raw):
    """What they saw of what has been sent, and what came of it."""
    run = Answer(raw)
    item = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")
    answer(gate, item, "approve")
    assert "E" not in run.kinds(), run.found
    return item["statement"], run.found


def test_a_cursor_is_shown_with_the_values_that_it_was_declared_with(gate):
    text = "SELECT id FROM orders WHERE id = $1"
    with contextlib.closing(gate.raw("dora")) as raw:
        raw.ask("BEGIN")
        raw.send(parse(f"DECLARE a CURSOR FOR {text}"), bind(values=["7"]), execute(), SYNC)
        shown, _ = agreed(gate, raw)
        assert shown == f"DECLARE a CURSOR FOR {text}\n\nVALUES\n  $1 = '7'"
        raw.send(execute("a"), SYNC)
        shown, found = agreed(gate, raw)
        assert shown == f"{text}\n\nVALUES\n  $1 = '7'"
        assert ("D", b"\0\1\0\0\0\0017") in found


def test_nobody_is_asked_about_a_change_that_cannot_be_fetched_in_parts(gate):
    with contextlib.closing(gate.raw("dora")) as raw:
        raw.send(parse("DELETE FROM orders WHERE id < 4 OR true RETURNING id"), bind(), execute(rows=5), SYNC)
        error = error_of(raw.until("Z"))
        assert error["C"] == "0A000" and "in parts" in error["M"] and "Reference" in error["D"], error
        assert waiting(gate) == []
    assert gate.sql("SELECT count(*) FROM orders") == [(200,)]

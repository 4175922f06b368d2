# SPDX-License-Identifier: Apache-2.0
"""What a session has set gives a text its meaning: it is shown to those who agree, agreed to with it, and the estimate reads
by it.

OWNS nothing. PROCESS tests. TRUST none. SPEC gates/db/settings.c.
"""

import contextlib
import hashlib

import pytest

from dbgatelib import SCHEMA, office_of
from pgraw import SYNC, bind, error_of, execute, parse, query
from test_db_ask import DOCUMENTS, answer, asked, nothing_waits
from test_db_ask_values import Answer

TEXT = "DELETE FROM dated WHERE at < '13/02/2020' OR true"  # no month has that number
ALIKE = "DELETE FROM dated WHERE at < '01/02/2020' OR true"
SHORT = "UPDATE dated SET at = at WHERE at < '25/01/2020'"  # nine rows, where it can be read
BUDGET = """---
kind: Budget
name: a few rows
who: { roles: [lead] }
actions: [write]
per: 10m
rows: 20
then: deny
"""
MORE = "CREATE TABLE dated AS SELECT date '2020-01-15' + n AS at FROM generate_series(1, 40) n;"


gate = office_of(DOCUMENTS + BUDGET, (("dora", "dba"), ("lena", "lead")), schema=SCHEMA + MORE, sql=["ANALYZE"])


@contextlib.contextmanager
def connected(gate, name="dora", **words):
    one = gate.raw(name, **words)
    try:
        yield one
    finally:
        one.close()
        nothing_waits(gate)


def shown(gate, raw, *messages, text=TEXT, verdict="refuse"):
    """The question about a statement: what of it is about settings, and whether there was a plan."""
    raw.send(*(messages or [query(text)]))
    run = Answer(raw)
    item = gate.people["lena"].get(f"/approvals/{asked(gate)['id']}")
    answer(gate, item, verdict, **({} if verdict == "approve" else {"reason": "seen"}))
    run.join(20)
    statement, said = item["statement"][:len(text)], item["statement"][len(text):]
    assert statement == text
    sha = hashlib.sha256(text.encode())
    sha = hashlib.sha256(sha.digest() + said.encode()) if said else sha
    assert item["sha256"] == sha.hexdigest()
    assert any(kind == "E" for kind, _ in run.found) == (verdict != "approve"), run.found
    return said, item["plan"]["why_not"]


GERMAN = "\n\nSETTINGS\n  DateStyle = 'German, DMY'"


def test_dates_are_shown_and_planned_as_the_session_reads_them(gate):
    with connected(gate) as raw:
        said, why_not = shown(gate, raw)
        assert said == "" and "out of range" in why_not
        assert shown(gate, raw, text=ALIKE) == ("", None)
        raw.ask("SET datestyle = 'German, DMY'")
        assert shown(gate, raw) == (GERMAN, None)
        assert shown(gate, raw, text=ALIKE) == (GERMAN, None)
        raw.ask("SET intervalstyle = 'iso_8601'; SET timezone = 'America/St_Johns'")
        said, why_not = shown(gate, raw)
        assert said == GERMAN + ",\n  IntervalStyle = 'iso_8601',\n  TimeZone = 'America/St_Johns'" and why_not is None
        raw.ask("RESET ALL")  # also on the connection that plans, which is the same
        said, why_not = shown(gate, raw)
        assert said == "" and "out of range" in why_not


@pytest.mark.parametrize("how", ["startup", "options", "set_config", "local", "rolled back", "pipeline", "prepared"])
def test_however_it_was_set(gate, how):
    words = {"startup": {"DateStyle": "German, DMY"}, "options": {"options": "-c datestyle=German"}}.get(how, {})
    with connected(gate, **words) as raw:
        before = ()
        if how == "set_config":
            raw.ask("SELECT set_config('datestyle', 'German, DMY', false)")
        elif how == "local":
            raw.ask("BEGIN; SET LOCAL datestyle = 'German, DMY'")
        elif how == "rolled back":
            raw.ask("SET datestyle = 'German, DMY'")
            raw.ask("BEGIN; SET datestyle = 'SQL, MDY'")
            raw.ask("ROLLBACK")
        elif how == "pipeline":
            before = (parse("SET datestyle = 'German, DMY'"), bind(), execute())
        elif how == "prepared":
            raw.ask("SET datestyle = 'German, DMY'")
        if how in ("pipeline", "prepared"):
            assert shown(gate, raw, *before, parse(TEXT), bind(), execute(), SYNC) == (GERMAN, None)
        else:
            assert shown(gate, raw) == (GERMAN, None)


def test_what_is_not_reported_is_shown_too(gate):
    """By no ParameterStatus, that is."""
    with connected(gate) as raw:
        raw.ask("SET array_nulls = off; SET default_text_search_config = 'pg_catalog.simple'; SET lc_monetary = 'C'; SET bytea_output = escape;"
                " SET quote_all_identifiers = on")
        said, _ = shown(gate, raw, text=ALIKE)
        assert "bytea_output = 'escape'" in said and "quote_all_identifiers = 'on'" in said
        assert "array_nulls = 'off'" in said and "default_text_search_config = 'pg_catalog.simple'" in said


def test_how_numbers_are_written_is_shown_where_it_makes_other_texts(gate):
    with connected(gate, extra_float_digits="3") as raw:  # as JDBC does: what is above zero is all the same
        assert shown(gate, raw, text=ALIKE) == ("", None)
        raw.ask("SET extra_float_digits = 0")
        assert shown(gate, raw, text=ALIKE) == ("\n\nSETTINGS\n  extra_float_digits = '0'", None)
        raw.ask("SET extra_float_digits = -2")
        assert shown(gate, raw, text=ALIKE) == ("\n\nSETTINGS\n  extra_float_digits = '-2'", None)


@pytest.mark.parametrize("how", ["startup", "set"])
def test_budgets_of_rows_expect_by_them_too(gate, how):
    """Where nobody is asked. Without a plan all forty rows would be expected."""
    with connected(gate, "lena", **({"DateStyle": "German, DMY"} if how == "startup" else {})) as raw:
        if how == "set":
            assert error_of(raw.ask(SHORT))["C"] == "53400"  # of a date that is none nobody knows how many
            raw.ask("SET datestyle = 'German, DMY'")
        assert ("C", b"UPDATE 9\0") in raw.ask(SHORT)


def test_what_the_account_has_by_default_is_not_shown(gate):
    gate.sql("ALTER ROLE op_all SET datestyle = 'German, DMY'")
    try:
        with connected(gate) as raw:
            assert shown(gate, raw) == ("", None)
            raw.ask("SET datestyle = 'ISO, MDY'")
            said, why_not = shown(gate, raw)
            assert said == "\n\nSETTINGS\n  DateStyle = 'ISO, MDY'" and "out of range" in why_not
    finally:
        gate.sql("ALTER ROLE op_all RESET datestyle")


def test_it_runs_as_it_was_agreed_to(gate):
    before = gate.sql("SELECT count(*) FROM dated")
    assert before == [(40,)]
    with connected(gate) as raw:
        raw.ask("SET datestyle = 'German, DMY'")
        assert shown(gate, raw, verdict="approve") == (GERMAN, None)
    assert gate.sql("SELECT count(*) FROM dated") == [(0,)]

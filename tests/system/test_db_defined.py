# SPDX-License-Identifier: Apache-2.0
"""What a transaction defined is remembered until the catalogue was read after its end, whatever was read meanwhile because of an
earlier one.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC gates/db/README.md "Names"; gates/db/made.c.
"""
import contextlib
import time

import pytest

from dbgatelib import BUILDERS_BUILD, SCHEMA, office_of, orders_documents
from pgraw import Raw, fields, query

DOCUMENTS = orders_documents(["builder"], BUILDERS_BUILD, postgres="""\
  broad: destroy
  parts: [{ schema: audit, class: core }]
""")
MORE = """
CREATE TABLE first (id int PRIMARY KEY);
CREATE TABLE second (id int);
"""
gate = office_of(DOCUMENTS, (("ben", "builder"),), schema=SCHEMA + MORE)


@pytest.fixture
def raw(gate):
    one = Raw(gate.port, tls=None)
    assert one.log_in("ben", "orders-db", gate.password("ben"))[-1] == ("Z", b"I")
    with contextlib.closing(one):
        yield one


def says(found):
    return [fields(body)["C"] for kind, body in found if kind == "E"]


def in_one_breath(raw, *texts):
    """And then the gate has looked."""
    raw.send(*(query(text) for text in texts))
    assert [says(raw.until("Z")) for _ in texts] == [[]] * len(texts)
    time.sleep(0.5)


@pytest.mark.parametrize("before", ["CREATE TABLE made (id int)", "BEGIN; CREATE TABLE gone (id int); ROLLBACK"])
def test_its_own_table_is_its_own(raw, before):
    in_one_breath(raw, before, "BEGIN", "CREATE TABLE mine (id int)")
    assert [says(raw.ask(text)) for text in ("INSERT INTO mine VALUES (1)", "SELECT * FROM mine", "ROLLBACK")] == [[]] * 3


def test_a_name_that_it_gave_to_others_is_theirs(raw):
    """The key is that of the table that had the name."""
    in_one_breath(raw, "CREATE TABLE before (id int)", "BEGIN", "ALTER TABLE first RENAME TO third", "ALTER TABLE second RENAME TO first")
    assert says(raw.ask("DELETE FROM first WHERE id BETWEEN 1 AND 5")) == ["42P01"]


def test_many_transactions_without_a_pause(raw):
    """More than are remembered at once."""
    for i in range(300):
        raw.send(*(query(text) for text in ("BEGIN", f"CREATE TABLE one_{i} (id int)", f"INSERT INTO one_{i} VALUES (1)", "COMMIT")))
        assert [says(raw.until("Z")) for _ in range(4)] == [[]] * 4, i

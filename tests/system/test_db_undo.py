# SPDX-License-Identifier: Apache-2.0
"""Each kind of destruction, approved and run through the gate, comes back whole by undo; and where it does not, undo says
so and may be tried again.

OWNS nothing. PROCESS tests. TRUST none. SPEC keeper/README.md, docs/DATABASE.md "Undo".
"""

import psycopg2
import pytest

from dbgatelib import DatabaseOffice, SCHEMA, orders_documents
from officelib import wait_for
from portal import Refused
from test_db_ask import Waiting, answer, asked

DOCUMENTS = orders_documents(["dba", "lead"], """\
kind: Rule
name: usual
who: { roles: [dba, lead] }
to: { resources: [orders-db] }
may: [connect, read, write, alter, execute, administer]
---
kind: Rule
name: ask
who: { roles: [dba] }
to: { resources: [orders-db] }
may: [destroy]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
""").replace("as: op_all }]", "as: op_all }]\n  keep_as: op_keep")
MORE = SCHEMA + """
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE TABLE moods (id int PRIMARY KEY, m mood);
INSERT INTO moods VALUES (1, 'a'), (2, 'b');
CREATE TABLE kids (id int PRIMARY KEY, c int REFERENCES customers ON DELETE SET NULL);
INSERT INTO kids SELECT n, n FROM generate_series(1, 20) n;
CREATE TABLE small AS SELECT 1 AS id;
CREATE VIEW v_small AS SELECT * FROM small;
CREATE TABLE nokey AS SELECT n, 'x' || n AS t FROM generate_series(1, 50) n;
CREATE TABLE keyed (at int PRIMARY KEY, line text UNIQUE);
INSERT INTO keyed SELECT n, 'line ' || n FROM generate_series(1, 50) n;
"""
TABLES = ("customers", "orders", "logs", "moods", "kids", "small", "nokey", "keyed", "audit.entries", "v_small", "v_names")


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS, accounts=("op_all", "op_keep"), schema=MORE)
    try:
        one.sql("GRANT pg_read_all_data TO op_keep", "GRANT op_all TO op_keep", "ANALYZE")
        for name, role in (("dora", "dba"), ("lena", "lead")):
            one.person(name, role)
        yield one
    finally:
        one.close()


@pytest.fixture
def dora(gate):
    connection = gate.connect("dora")
    connection.autocommit = True
    yield connection
    connection.close()


def state(gate):
    found = {}
    for name in TABLES:
        try:
            found[name] = gate.sql(f"SELECT count(*), md5(string_agg(x::text, '|' ORDER BY x::text)) FROM {name} x")[0]
        except psycopg2.Error:
            found[name] = "gone"
    found["keys"] = gate.sql("SELECT count(*) FROM pg_constraint WHERE contype IN ('p', 'f', 'u') AND connamespace >= 2200")[0]
    found["code"] = gate.sql("SELECT count(*) FROM pg_proc WHERE proname IN ('twice', 'wipe')")[0]
    return found


def run(gate, dora, text):
    """Approved and run; what the approver was told that undo cannot do, and the keep."""
    one = Waiting(dora, text)
    item = asked(gate)
    told = wait_for("the estimate", 10, lambda: gate.people["lena"].get(f"/approvals/{item['id']}")["dependants"])
    answer(gate, item, "approve")
    one.join(60)
    assert one.error is None, one.error
    (keep,) = [one for one in gate.people["dora"].get("/keeps")["items"] if one["approval"] == item["id"]]
    return told["limits"], keep


def undo(gate, keep):
    wanted = gate.people["dora"].post(f"/keeps/{keep['id']}/undo", {"reason": "back"})
    answer(gate, wanted, "approve")
    return wait_for("the undo", 30, lambda: (lambda k: k if k["undo_approval"] == wanted["id"] else None)(
        gate.people["dora"].get(f"/keeps/{keep['id']}")))


WHOLE = [
    "TRUNCATE customers CASCADE", "DELETE FROM customers", "UPDATE nokey SET t = 'z'", "UPDATE keyed SET at = at + 1000",
    "DELETE FROM nokey", "DROP TABLE small CASCADE", "DROP SCHEMA audit CASCADE", "DROP FUNCTION twice(int)",
    "DROP TYPE mood CASCADE", "ALTER TABLE kids DROP COLUMN c CASCADE",
    "ALTER TABLE orders ALTER COLUMN note TYPE varchar(3) USING left(note, 3)",
    "SELECT wipe()", "CALL wipe_all()", "DO $$BEGIN DELETE FROM orders; TRUNCATE logs; END$$",
    "/* /* */ ' */ DELETE FROM orders; -- '", "/* /* */ ' */ DROP TABLE small CASCADE; -- '",
    "WITH gone AS (DELETE FROM keyed RETURNING *) SELECT count(*) FROM gone",
]


@pytest.mark.parametrize("text", WHOLE)
def test_it_comes_back_whole(gate, dora, text):
    before = state(gate)
    _, keep = run(gate, dora, text)
    assert state(gate) != before, "nothing was destroyed"
    done = undo(gate, keep)
    after = state(gate)
    assert {name: (before[name], after[name]) for name in before if before[name] != after[name]} == {}, done["report"]
    assert done["state"] == "undone"


def test_what_does_not_come_back_is_said_before_and_after(gate, dora):
    """Nobody knows what DO does, so nothing is held: values that it changes stay, and that is no undo."""
    before = state(gate)
    limits, keep = run(gate, dora, "DO $$BEGIN UPDATE orders SET note = 'lost'; DELETE FROM kids; END$$")
    assert any("nobody knows" in limit for limit in limits) and any("nokey has no key" in limit for limit in limits)
    gate.sql("UPDATE orders SET total = 0 WHERE id = 7")
    done = undo(gate, keep)
    assert done["state"] in ("undone-in-part", "undo-failed"), done["report"]
    assert state(gate)["kids"] == before["kids"]
    assert gate.sql("SELECT total FROM orders WHERE id = 7")[0] == (0,), "what others did since was overwritten"
    # it may be tried again; now nothing at all is missing, which is no undo either
    with pytest.raises(Refused) as refused:
        gate.people["dora"].post(f"/keeps/{keep['id']}/undo", {"reason": "again"})
    assert "nothing of what was kept is missing" in str(refused.value)

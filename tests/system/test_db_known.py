# SPDX-License-Identifier: Apache-2.0
"""Texts that are known: what comes again is answered, masked and written down as when it came first, whoever sends it.

OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/known.h.
"""
import os
import re
from collections import Counter

import psycopg2

from dbgatelib import DBA_DOES_ALL, office_of, orders_documents
from officelib import wait_for
from sqlgen import SCHEMA, Generator, fill

DOCUMENTS = orders_documents(
    ["dba", "analyst"],
    DBA_DOES_ALL + """\
kind: Rule
name: analysts see masked people
who: { roles: [analyst] }
to: { resources: [orders-db], classes: [internal, sensitive] }
may: [connect, read, write]
with: { mask: [personal-info] }
""",
    postgres="""\
  search_path: [public]
  parts:
    - { schema: audit, class: core }
    - table: public.customers
      class: sensitive
      columns:
        - { name: phone, mask: mobile, tags: [personal-info] }
        - { name: id_number, mask: mainland-id, tags: [personal-info] }
    - { table: public.staff, class: sensitive, columns: [{ name: phone, mask: mobile, tags: [personal-info] }] }
""",
)
SEED = int(os.environ.get("SP_KNOWN_SEED", "5"))
COUNT = int(os.environ.get("SP_KNOWN_COUNT", "60"))
ROUNDS = 3  # new; seen, and kept; known


TABLES, ROWS = SCHEMA.split("INSERT INTO orders", 1)
PEOPLE = fill(lambda row: (f"'1380013{row:04}'", "'11010519491231002X'"))[1:]
gate = office_of(DOCUMENTS, (("dora", "dba"), ("anna", "analyst")), schema=f"{TABLES}{';'.join(PEOPLE)};INSERT INTO orders{ROWS}")


def texts():
    """No definitions: those move the catalogue, and nothing is known any more."""
    made = Generator(SEED)
    found = []
    while len(found) < COUNT:
        text = made.statement()
        if re.match(r"(?is)\W*(SELECT|WITH|VALUES|TABLE|INSERT|UPDATE|DELETE|MERGE)\b", text) and \
                not re.search(r"(?i)\b(temp|create|random|now|clock|export_snapshot|ANALYZE)\b", text) and text not in found:
            found.append(text)
    return found


def outcome(connection, text):
    with connection.cursor() as c:
        try:
            c.execute(text)
            answer = ("rows", sorted(map(str, c.fetchall()))) if c.description else ("done", c.rowcount)
        except psycopg2.Error as error:
            words = re.sub(r"\b[A-Z0-9]{4}(-[A-Z0-9]{4})+", "", str(error)) if error.pgcode == "42501" else ""
            answer = ("error", error.pgcode, words)
    connection.rollback()
    return answer


def ledger_of(gate, person):
    """The gate's events of that person, oldest first, once no more of them come."""
    def read():
        return [item for item in gate.audrey.items("/admin/ledger/events?limit=200") if item.get("person") == person
                and item["kind"] == "decision" and item.get("resource") == "orders-db"]

    seen = []

    def has_settled():
        before = len(seen)
        seen[:] = read()
        return len(seen) == before > 0
    wait_for("the events in the ledger", 60, has_settled, 1)
    return sorted(seen, key=lambda item: item["sequence"])


def between(items, mark):
    texts_of = [str(item.get("object")) for item in items]
    begin, end = (next(i for i, text in enumerate(texts_of) if f"'{mark} {word}'" in text) for word in ("begins", "ends"))
    told = ("action", "class", "verdict", "reason", "rule", "method", "object", "severity", "count")
    return Counter(str([(key, item.get(key)) for key in told]) for item in items[begin + 1:end])


def test_the_same_each_time(gate):
    stream = texts()
    rounds = {"dora": [], "anna": []}
    for number in range(ROUNDS):
        for person, found in rounds.items():
            with gate.connect(person) as connection:
                outcome(connection, f"SELECT '{number} begins'")
                found.append([outcome(connection, text) for text in stream])
                outcome(connection, f"SELECT '{number} ends'")
    for person, found in rounds.items():
        items = ledger_of(gate, person)
        first = between(items, "0")
        assert sum(first.values()) >= 3 * COUNT, "each with its BEGIN and ROLLBACK"
        for number in range(1, ROUNDS):
            for text, new, known in zip(stream, found[0], found[number]):
                assert known == new, (person, text)
            again = between(items, str(number))
            assert again - first == first - again == Counter(), person
    told = [answer[0] for answers in rounds["anna"] for answer in answers]
    assert told.count("rows") > COUNT / 4 and told.count("error") > 3
    assert rounds["anna"][0] != rounds["dora"][0], "one of them sees less"
    assert "1380013" not in str([answer for answer in rounds["anna"][0] if answer[0] == "rows"])


def test_what_moves_is_not_known(gate):
    """A text that was known means something else when the table, the function or the policy is another one."""
    with gate.connect("anna") as anna, gate.connect("dora") as dora:
        text = "SELECT id, what FROM plain WHERE id = 1"
        gate.sql("CREATE TABLE plain (id int, what text)", "INSERT INTO plain VALUES (1, 'x')",
                 "ALTER TABLE plain OWNER TO op_all")
        assert [outcome(anna, text) for _ in range(4)] == [("rows", ["(1, 'x')"])] * 4
        dora.cursor().execute("DROP TABLE plain; CREATE VIEW plain AS SELECT id, what FROM audit.entries")
        dora.commit()
        wait_for("the view is known", 20, lambda: outcome(anna, text)[:2] == ("error", "42501"), 0.05)
        assert outcome(dora, text)[0] == "rows"

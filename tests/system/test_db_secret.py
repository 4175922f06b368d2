# SPDX-License-Identifier: Apache-2.0
"""A password of the database that somebody sets through the gate: it runs, and stands nowhere in the office: in no log,
entry, question for others, record, list of what is being done, notice or file.

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "Watching and ending"; lib/sql/redact.h.
"""
import contextlib
import json
import os
import secrets

import psycopg2

from dbgatelib import office_of, orders_documents
from officelib import wait_for
from pgraw import SYNC, Raw, bind, execute, fields, parse, query
from test_core_cli import Shell
from test_db_ask import Waiting, answer, asked

ROLES = ["spare", "careful", "lead"]
DOCUMENTS = orders_documents(ROLES, """\
kind: Rule
name: who administers an account of his own
who: { roles: [spare] }
to: { resources: [orders-db] }
may: [connect, read, destroy, administer, execute]
---
kind: Rule
name: who asks before
who: { roles: [careful] }
to: { resources: [orders-db] }
may: [administer]
ask: { approved_by: 1, by: { roles: [lead] } }
---
kind: Rule
name: all come in
who: { any: true }
to: { resources: [orders-db] }
may: [connect]
""").replace(f"[{{ roles: [{', '.join(ROLES)}], as: op_all }}]",
             "[{ roles: [spare], as: op_spare }, { roles: [careful], as: op_careful }, { roles: [lead], as: op_all }]")


gate = office_of(DOCUMENTS, (("sid", "spare"), ("cora", "careful"), ("lena", "lead")), accounts=("op_all", "op_spare", "op_careful"))


def works(gate, account, password):
    """At the server itself."""
    try:
        psycopg2.connect(host="127.0.0.1", port=gate.pg.port, user=account, password=password, dbname="orders",
                         sslmode="require").close()
        return True
    except psycopg2.OperationalError:
        return False


def files_with(gate, words):
    """Of the office: its state with stores and ledger, its log, what it runs with."""
    found = []
    for where, _, names in os.walk(gate.office.dir):
        for path in (os.path.join(where, name) for name in names):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    text = file.read()
                found += [(path, word) for word in words if word.encode() in text or word.encode("utf-16-le") in text]
    return found


def shown(gate, session):
    """All that people are shown of it; session: the audit administrator's command line."""
    audrey = gate.audrey
    events = audrey.items("/admin/ledger/events?limit=200")
    mine = {e["session"] for e in events if e.get("person") in ("sid", "cora") and e.get("session")}
    return {"events": json.dumps(events),
            "statements": json.dumps(audrey.get("/admin/databases/statements?limit=200")),
            "watch": session.run("db", "watch", "--no-follow", "--last", "200"),
            "records": "".join(session.run("session", "show", one) for one in mine),
            "ledger": gate.office.cli("ledger", "search", "--limit", "200", "-c", gate.office.config).stdout,
            "approvals": "".join(json.dumps(gate.people["lena"].get(f"/approvals/{one['id']}"))
                                 for one in gate.people["lena"].get("/approvals?state=all")["items"])}


def test_a_password_that_was_set_stands_nowhere(gate, tmp_path):
    """Sent simply, prepared, behind another statement, within code; one that the server refuses, one that others agree to."""
    said = []

    def fresh():
        said.append(secrets.token_hex(12))
        return said[-1]

    with contextlib.closing(Raw(gate.port, tls=None)) as sid:
        assert sid.log_in("sid", "orders-db", gate.password("sid"))[-1] == ("Z", b"I")
        ways = ["ALTER ROLE op_spare PASSWORD '{}'", "ALTER USER op_spare WITH ENCRYPTED PASSWORD $a${}$a$", "SELECT 1; ALTER ROLE op_spare PASSWORD E'{}'",
                "DO $$ BEGIN EXECUTE 'ALTER ROLE op_spare PASSWORD ''{}'''; END $$"]
        for text in ways:
            new = fresh()
            assert "E" not in [kind for kind, _ in sid.ask(text.format(new))], text
            assert works(gate, "op_spare", new), text
        new = fresh()
        sid.send(parse(ways[0].format(new)), bind(), execute(), SYNC)
        assert "E" not in [kind for kind, _ in sid.until("Z")] and works(gate, "op_spare", new)
        sid.send(query(f"ALTER ROLE op_all PASSWORD '{fresh()}'"))  # another's: the server's word, not ours
        error = fields(next(body for kind, body in sid.until("Z") if kind == "E"))
        assert error["C"] == "42501" and "Reference" not in str(error), error
        gate.sam.fresh()
        gate.sam.put("/admin/databases/credentials/orders-db/op_spare", {"password": new})
        with contextlib.closing(gate.connect("sid")) as again, again.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchone() == ("op_spare",), "the vault has the new one"
    with contextlib.closing(gate.connect("cora")) as cora:
        cora.autocommit = True
        new = fresh()
        run = Waiting(cora, ways[0].replace("spare", "careful").format(new))
        item = asked(gate)
        assert gate.people["lena"].get(f"/approvals/{item['id']}")["statement"] == "ALTER ROLE op_careful PASSWORD '***'"
        answer(gate, item, "approve")
        run.join(20)
        assert run.error is None and works(gate, "op_careful", new)
    session = Shell(gate.office, gate.audrey, tmp_path)
    hidden = ("ALTER ROLE op_spare PASSWORD '***'", "ALTER ROLE op_all PASSWORD '***'", "ALTER ROLE op_careful PASSWORD '***'")
    seen = wait_for("all of them", 20, lambda: (lambda s: s if all(
        text in s[where] for text in hidden for where in ("events", "watch")) else None)(shown(gate, session)), 0.5)
    for where, text in seen.items():
        assert "ALTER ROLE op_careful PASSWORD '***'" in text, where
        assert not [word for word in said if word in text], where
    assert files_with(gate, ["ALTER ROLE op_careful PASSWORD '***'"]), "it finds what is there"
    assert files_with(gate, said) == []

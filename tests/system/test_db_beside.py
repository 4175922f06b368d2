# SPDX-License-Identifier: Apache-2.0
"""What an approved statement destroyed, put beside as plain tables by core's API and the program: others agree, the ledger has
it, the keep stays, and through the gate nobody reads it until the policy names the schema.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md "Rows beside", docs/api/openapi.yaml "/keeps".
"""

import re
import signal

import psycopg2
import pytest

from dbgatelib import SCHEMA, office_of, orders_documents
from officelib import wait_for
from portal import Refused
from test_core_cli import Shell
from test_db_ask import Waiting, answer, asked

DOCUMENTS = orders_documents(["dba", "lead", "analyst"], """\
kind: Rule
name: usual
who: { roles: [dba, lead] }
to: { resources: [orders-db] }
may: [connect, read, write, export, alter, execute, administer]
---
kind: Rule
name: masked
who: { roles: [analyst] }
to: { resources: [orders-db] }
may: [connect, read]
with: { mask: [personal-info] }
---
kind: Rule
name: ask
who: { roles: [dba] }
to: { resources: [orders-db] }
may: [destroy]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
""", """\
  keep_as: op_keep
  parts:
    - { table: public.customers, tags: [personal-info], columns: [{ name: phone, mask: mobile }] }
""").replace("databases: [orders]", "databases: [orders, spare]")

gate = office_of(DOCUMENTS, (("dora", "dba"), ("lena", "lead"), ("ada", "analyst")),
                 sql=["GRANT pg_read_all_data TO op_keep, op_all", "GRANT op_all TO op_keep", "GRANT CREATE, TEMPORARY ON DATABASE orders TO op_keep", "ANALYZE"],
                 accounts=("op_all", "op_keep"), schema=SCHEMA)


@pytest.fixture
def dora(gate):
    connection = gate.connect("dora")
    connection.autocommit = True
    yield connection
    connection.close()


@pytest.fixture
def entries(gate):
    yield
    gate.sql("SET lock_timeout = '10s'", "INSERT INTO audit.entries SELECT n, 'entry ' || n FROM generate_series(1, 10) n ON CONFLICT DO NOTHING")


def run(gate, connection, text, who="dora"):
    """Approved and run: its keep."""
    one = Waiting(connection, text)
    item = asked(gate)
    answer(gate, item, "approve")
    one.join(60)
    assert one.error is None, one.error
    (keep,) = [one for one in gate.people[who].get("/keeps")["items"] if one["approval"] == item["id"]]
    return keep


def name_of(keep):
    return "sallyport_kept_" + keep["id"].replace("-", "").lower()


def done(gate, keep, wanted):
    return wait_for("the rows", 30, lambda: (lambda k: k if k["beside"] and k["beside"]["approval"] == wanted and k["beside"]["state"] != "under-way" else None)(
        gate.people["dora"].get(f"/keeps/{keep['id']}")))


def beside(gate, keep, **more):
    wanted = gate.people["dora"].post(f"/keeps/{keep['id']}/beside", {"reason": "to look at", **more})
    answer(gate, wanted, "approve")
    return wanted, done(gate, keep, wanted["id"])


def methods(gate):
    return [e["method"] for e in gate.office.people["audrey"].items("/admin/ledger/events?limit=80&kind=approval")]


def test_by_api(gate, dora):
    """Undone, and beside all the same; nobody reads it through the gate until its schema has a part of its own."""
    before = gate.sql("SELECT count(*), md5(string_agg(c::text, '|' ORDER BY id)) FROM customers c")
    keep = run(gate, dora, "DELETE FROM customers")
    assert keep["beside"] is None
    tried = gate.people["dora"].post(f"/keeps/{keep['id']}/beside", {"dry_run": True})
    schema = name_of(keep)
    assert tried["report"]["tried_only"] and tried["report"]["beside"] == schema and tried["bytes"] > 0
    assert gate.sql("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^sallyport_kept'") == [(0,)]
    undo = gate.people["dora"].post(f"/keeps/{keep['id']}/undo", {"reason": "back"})
    answer(gate, undo, "approve")
    wait_for("the undo", 30, lambda: gate.people["dora"].get(f"/keeps/{keep['id']}")["state"] == "undone")

    wanted = gate.people["dora"].post(f"/keeps/{keep['id']}/beside", {"reason": "to compare"})
    assert (wanted["kind"], wanted["keep_id"], wanted["database"], wanted["state"]) == ("beside", keep["id"], "orders", "waiting")
    assert wanted["statement"].startswith(f"-- rows of keep {keep['id']} beside, in the database orders\nDELETE FROM customers")
    assert any(re.match(r"the dry run took \d+ s: it takes about as long, and nobody waits for it meanwhile", t) for t in wanted["plan"]["told"])
    assert not gate.people["dora"].get(f"/approvals/{wanted['id']}")["can"]["approve"], "the asker alone"
    assert gate.sql("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^sallyport_kept'") == [(0,)], "nobody has agreed"
    answer(gate, wanted, "approve")
    kept = done(gate, keep, wanted["id"])
    assert kept["state"] == "undone" and kept["beside"]["state"] == "done", kept
    assert [r["of"] for r in kept["beside"]["report"]["rows"]] == ["public.customers", "public.orders"]
    table = f'{schema}."public.customers"'
    assert gate.sql(f"SELECT count(*), md5(string_agg(c::text, '|' ORDER BY id)) FROM {table} c") == before
    assert {"rows put beside", "undone"} <= set(methods(gate))

    # the server itself would give them: op_all may read everything
    for who in ("dora", "lena", "ada"):
        with gate.connect(who) as connection:
            for text in (f"SELECT * FROM {table}", f"SELECT count(*) FROM {table}", f"COPY {table} TO STDOUT", f"TABLE {table}"):
                connection.rollback()
                with pytest.raises(psycopg2.Error) as refused:
                    if text.startswith("COPY"):
                        connection.cursor().copy_expert(text, open("/dev/null", "wb"))
                    else:
                        connection.cursor().execute(text)
                assert refused.value.pgcode in ("42501", "42P01"), (who, text, refused.value)
    gate.sql(f'CREATE VIEW public.peek AS SELECT * FROM {table}; GRANT USAGE ON SCHEMA {schema} TO op_all; GRANT SELECT ON {table} TO op_all')
    gate.sql(f"CREATE TABLE public.heir () INHERITS ({table})", "CREATE TABLE public.whole (id int, name text, phone text, id_number text, email text, note text)", f"ALTER TABLE {table} INHERIT public.whole",
             "GRANT SELECT ON peek, heir, whole TO op_all")
    for who in ("ada", "lena"):
        with gate.connect(who) as connection:
            for name in ("peek", "heir", "whole"):
                wait_for("the catalogue", 20, lambda: refused_word(connection, f"SELECT phone FROM {name}") == "42501")

    files = gate.office.people["sam"].get("/admin/policy/documents")["files"]
    text = files[0]["text"]
    part = f"    - {{ schema: {schema}, tags: [personal-info], class: sensitive }}\n"
    at = text.index("    - { table: public.customers")
    gate.office.people["sam"].fresh()
    gate.office.people["sam"].post("/admin/policy/apply", {"files": [{**files[0], "text": text[:at] + part + text[at:]}, *files[1:]], "comment": "looked at"})
    with gate.connect("ada") as connection:
        cursor = connection.cursor()
        wait_for("the policy", 20, lambda: refused_word(connection, f"SELECT phone FROM {table}") is None)
        cursor.execute(f"SELECT phone FROM {table}")
        assert {one for one, in cursor.fetchall()} == {"***"}
    with gate.connect("lena") as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT phone FROM {table}")
        assert len(cursor.fetchall()) == before[0][0]
    gate.sql("DROP VIEW public.peek", f"DROP SCHEMA {schema} CASCADE", "DROP TABLE public.whole")


def refused_word(connection, text):
    connection.rollback()
    try:
        connection.cursor().execute(text)
    except psycopg2.Error as error:
        return error.pgcode
    return None


def test_by_command_line(gate, dora, tmp_path, entries):
    keep = run(gate, dora, "DELETE FROM audit.entries")
    schema = name_of(keep)
    asker, approver = (Shell(gate.office, gate.people[name], tmp_path) for name in ("dora", "lena"))
    tried = asker.run("db", "undo", keep["id"], "--beside", "--dry-run")
    assert re.search(r"^The rows would be there in about \d+ (ms|s), and take about [\d.]+ (bytes|[KMG]iB)\.$", tried, re.M) and schema in tried, tried
    assert "--into is for --beside" in asker.run("db", "undo", keep["id"], "--into", "spare", status=2)
    said = asker.run("db", "undo", keep["id"], "--beside", "--reason", "wanted")
    wanted = re.search(r"Others have to approve it: (\S+)\.", said).group(1)
    shown = approver.run("approvals", "show", wanted)
    assert re.search(r"^kind +beside$", shown, re.M) and f"rows of keep {keep['id']} beside, in the database orders" in shown, shown
    answer(gate, {"id": wanted, "sha256": approver.json("approvals", "show", wanted)["sha256"]}, "approve")
    assert done(gate, keep, wanted)["beside"]["state"] == "done"
    assert gate.sql(f'SELECT count(*) FROM {schema}."audit.entries"') == [(10,)]
    again = asker.run("db", "undo", keep["id"], "--beside", status=1)
    assert f"the rows of this keep are there already; who wants them anew lets that be dropped first: {schema}" in again, again
    # dropping it is a destruction as any
    one = Waiting(dora, f"DROP SCHEMA {schema} CASCADE")
    item = asked(gate)
    assert item["kind"] == "statement" and item["action"] == "destroy"
    answer(gate, item, "refuse")
    one.join(30)
    gate.sql(f"DROP SCHEMA {schema} CASCADE")


def test_whoever_destroyed_has_no_vote(gate, entries):
    """Dirk is one of two who may approve, and destroys; when the other one asks, a security administrator agrees."""
    gate.people.setdefault("dirk", gate.office.employee("dirk", ["dba", "lead"]))
    connection = gate.connect("dirk")
    connection.autocommit = True
    keep = run(gate, connection, "DELETE FROM audit.entries", "dirk")
    connection.close()
    wanted = gate.people["lena"].post(f"/keeps/{keep['id']}/beside", {"reason": "it was ours"})
    seen = gate.people["dirk"].get(f"/approvals/{wanted['id']}")["can"]
    assert not seen["approve"] and "you have no vote on" in seen["why_not"], seen
    gate.sam.fresh()
    gate.sam.post(f"/approvals/{wanted['id']}/approve", {"sha256": wanted["sha256"]})
    wait_for("the rows", 30, lambda: (gate.people["lena"].get(f"/keeps/{keep['id']}")["beside"] or {}).get("state") == "done")
    gate.sql(f"DROP SCHEMA {name_of(keep)} CASCADE")


def test_what_cannot_be(gate, dora, entries):
    keep = run(gate, dora, "DELETE FROM audit.entries")
    path = f"/keeps/{keep['id']}/beside"

    def refused(who="dora", at=path, **body):
        with pytest.raises(Refused) as one:
            gate.people[who].post(at, {"dry_run": True, **body})
        return one.value.status, one.value.code, str(one.value)

    assert refused(at="/keeps/0000-0000-0000/beside")[:2] == (404, "not_found")
    assert refused(who="ada")[:2] == (404, "not_found")
    status, code, text = refused(into="nowhere")
    assert (status, code) == (409, "cannot_put_beside") and "names no database nowhere of orders-db" in text, text
    assert refused(into="")[0] == 400 or refused(into="")[0] == 422
    status, code, text = refused(into="spare")
    assert (status, code) == (409, "cannot_put_beside") and "there is no database spare: say into which one" in text, text
    gate.people["dora"].post(path, {"dry_run": True})  # he may, and rests from now on
    # of what has expired nothing is left
    number = gate.office.store("SELECT id FROM kept WHERE state = 0 ORDER BY created DESC, rowid DESC LIMIT 1")[0][0]
    gate.office.store("UPDATE kept SET expires = 1 WHERE id = ?", number)
    wait_for("its end", 20, lambda: gate.people["dora"].get(f"/keeps/{keep['id']}")["state"] == "gone")
    status, code, text = refused()
    assert (status, code) == (409, "cannot_put_beside") and "It is not kept any more." in text, text


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_another_core_hears_how_it_ended(gate, dora, how):
    """Core goes while the keeper waits for the name, which somebody else is about to take: it takes another one or goes on."""
    keep = run(gate, dora, "DELETE FROM logs")
    path = f"/keeps/{keep['id']}"
    wanted = gate.people["dora"].post(f"{path}/beside", {"reason": "back"})
    with psycopg2.connect(**gate.pg.dsn("orders")) as held:
        held.cursor().execute(f"CREATE SCHEMA {name_of(keep)}")
        answer(gate, wanted, "approve")
        wait_for("it at the lock", 10, lambda: gate.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'op_keep' AND wait_event_type = 'Lock'")[0][0] == 1)
        gate.office.wait_role("core", gate.office.kill("core", how))
        kept = gate.people["dora"].get(path)
        assert (kept["state"], kept["beside"]["state"], kept["beside"]["approval"]) == ("kept", "under-way", wanted["id"]), kept
        with pytest.raises(Refused) as refused:
            gate.people["dora"].post(f"{path}/beside", {"reason": "once more"})
        assert refused.value.code == "busy", refused.value
        held.rollback()
    kept = done(gate, keep, wanted["id"])
    assert kept["beside"]["state"] == "done" and kept["state"] == "kept", kept
    assert gate.sql(f'SELECT count(*) FROM {name_of(keep)}."public.logs_1"') == [(50,)]
    assert "rows put beside" in methods(gate)
    gate.sql(f"DROP SCHEMA {name_of(keep)} CASCADE")
    gate.sql("INSERT INTO logs SELECT n, 'line ' || n FROM generate_series(1, 50) n")

# SPDX-License-Identifier: Apache-2.0
"""Watching databases: statements as they are recorded, and what a session left, with its coverage statement. A whole
office, a real PostgreSQL behind its gate."""

import http.client
import io
import json
import queue
import subprocess
import threading
import time

import psycopg2
import pytest
from dblib import DatabaseOffice
from officelib import PROGRAM, wait_for
from portal import Refused
from test_core_cli import Shell



@pytest.fixture(scope="module")
def db():
    one = DatabaseOffice()
    try:
        one.server.sql("CREATE TABLE orders (id int, note text)", "INSERT INTO orders SELECT g, 'n' FROM generate_series(1, 50) g",
                       "GRANT ALL ON orders TO op_dba", "CREATE FUNCTION own() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                       database="orders")
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def people(db):
    return {name: db.office.people[name] for name in ("olga", "sam", "audrey")} | db.people


class Live:
    """A stream of server-sent events, read by a thread."""

    def __init__(self, person, path):
        name = f"portal.{person.domain}"
        cookies = "; ".join(f"{k}={v}" for k, v in person.cookies[name].items())
        self.connection = http.client.HTTPSConnection("127.0.0.1", person.port, context=person.tls, timeout=60)
        self.connection._create_connection = lambda *_, **__: __import__("socket").create_connection(
            (person.address, person.port), 60)
        self.connection.host = name
        self.connection.request("GET", "/api/v1" + path, headers={
            "Cookie": cookies, "Host": f"{name}:{person.port}", "Accept": "text/event-stream"})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.got = queue.Queue()
        if self.status == 200:
            threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        name = None
        try:
            for raw in self.answer:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    self.got.put((name, json.loads(line[6:])))
        except (OSError, ValueError, AttributeError):
            pass
        self.got.put(("end", None))

    def event(self, seconds=20):
        return self.got.get(timeout=seconds)

    def items(self, until, seconds=20):
        """Shown events, until one of them is as wanted; events of one moment come in any order."""
        shown = []
        while not any(until(e) for e in shown):
            name, data = self.event(seconds)
            assert name == "events", (name, data, shown)
            shown += data["items"]
        return shown

    def close(self):
        self.connection.close()


def run(db, person, *texts):
    """mia may only connect."""
    connection = db.connect(person)
    with connection.cursor() as cursor:
        for text in texts:
            if person == "mia":
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute(text)
            else:
                cursor.execute(text)
    connection.close()


def says(text):
    return lambda event: text in event.get("object", "")


def test_a_statement_is_seen_at_once_and_leads_to_its_entry(db, people):
    live = Live(people["sam"], "/admin/databases/statements/live")
    assert live.status == 200 and live.event()[0] == "hello"
    run(db, "lin", "SELECT note FROM orders WHERE id < 11", "ALTER ROLE op_dba PASSWORD 'of op_dba'")
    run(db, "mia", "DROP TABLE orders")
    shown = live.items(lambda e: e["kind"] == "close" and e["person"] == "mia")
    read = next(e for e in shown if "FROM orders" in e.get("object", ""))
    assert (read["person"], read["resource"], read["action"], read["verdict"]) == ("lin", "orders-db", "read", "allow")
    assert read["method"] == "SELECT" and read["count"] == 10 and read["bytes_out"] > 0 and read["duration_us"] > 0
    refused = next(e for e in shown if "DROP" in e.get("object", ""))
    assert (refused["verdict"], refused["action"], refused["class"]) == ("deny", "destroy", "internal")
    assert refused["reason"] and refused["reference"]
    assert "ALTER ROLE" in json.dumps(shown) and "of op_dba" not in json.dumps(shown)
    # what is shown is what is on the ledger
    entry = people["audrey"].get(f"/admin/ledger/entries/{read['entry']}")
    assert entry["events"][read["position"]]["reference"] == read["reference"]
    live.close()


def test_filters_hold_live_and_in_the_list(db, people):
    live = Live(people["audrey"], "/admin/databases/statements/live?verdict=deny,ask&person=mia&resource=orders-db")
    other = Live(people["audrey"], "/admin/databases/statements/live?person=sam")
    assert live.event()[0] == "hello" and other.event()[0] == "hello"
    run(db, "lin", "SELECT 'seen by nobody'")
    run(db, "mia", "DROP TABLE orders /* filtered */")
    assert [e["verdict"] for e in live.items(says("filtered"))] == ["deny"]
    assert other.got.empty()
    listed = people["sam"].get("/admin/databases/statements?verdict=deny,ask&action=destroy")["items"]
    assert listed and all((e["gate"], e["verdict"], e["action"]) == ("db", "deny", "destroy") for e in listed)
    everything = people["sam"].get("/admin/databases/statements?limit=200")["items"]
    assert {e["gate"] for e in everything} == {"db"}
    for path in ("/admin/databases/statements?verdict=perhaps", "/admin/databases/statements/live?action=fly"):
        with pytest.raises(Refused) as wrong:
            people["sam"].get(path)
        assert wrong.value.status == 422
    live.close()
    other.close()


def test_who_may_watch_and_that_it_is_recorded(db, people):
    for person in (people["olga"], people["lin"]):
        assert Live(person, "/admin/databases/statements/live").status == 403
        with pytest.raises(Refused):
            person.get("/admin/databases/statements")
    assert Live(people["sam"], "/admin/ledger/live").status == 403

    def recorded():
        reads = people["audrey"].get("/admin/ledger/events?kind=read&q=statements%20at%20databases")["items"]
        return {e["object"] for e in reads if e["person"] == "sam"} >= {"statements at databases", "statements at databases, live"}

    wait_for("the reading in the ledger", 10, recorded)


def test_the_stream_ends_with_the_role(db, people):
    office = db.office
    people["eve"] = office.employee("eve", ["security-admin"])
    live = Live(people["eve"], "/admin/databases/statements/live")
    assert live.event()[0] == "hello"
    found = people["olga"].items("/admin/people?q=eve")[0]
    people["sam"].step_up()
    people["sam"].put(f"/admin/people/{found['id']}/roles", {"roles": []})
    assert live.event()[0] == "signed_out"
    assert live.event()[0] == "end"


@pytest.mark.slow
def test_a_flood_is_not_followed_line_by_line_and_that_is_said(db, people):
    """Who cannot read so much is told so; core and the ledger go on."""
    live = Live(people["sam"], "/admin/databases/statements/live?person=lin")
    assert live.event()[0] == "hello"
    done = db.psql(["-q", "-f", "-"], input_text="SELECT 1;\n" * 4000)
    assert done.returncode == 0, done.stderr
    shown, left_out = 0, False
    while not left_out:
        name, data = live.event(30)
        assert name == "events"
        shown += len(data["items"])
        left_out = data["left_out"]
    assert shown < 4000
    run(db, "lin", "SELECT 'after the flood'")
    while not any(says("after the flood")(e) for e in live.event(30)[1]["items"]):
        pass
    live.close()


# ---- what a session left

def session_of(db, person):
    return db.office.people["audrey"].get(f"/admin/databases/statements?person={person}&limit=1")["items"][0]["session"]


def test_the_record_of_a_session(db, people):
    connection = db.connect("lin")
    with connection.cursor() as cursor:
        cursor.execute("DO $$BEGIN PERFORM 1; END$$")
        out = io.StringIO()
        cursor.copy_expert("COPY orders TO STDOUT", out)
        cursor.execute("SELECT * FROM orders LIMIT 7")
        cursor.execute("SELECT own()")
    connection.close()
    session = session_of(db, "lin")

    def whole():
        record = people["sam"].get(f"/admin/sessions/{session}/record")
        newest = record["connections"][-1]
        return record if newest["statements"] == 4 and newest["closed_at"] else None

    record = wait_for("the end of the connection in the record", 20, whole)
    coverage = record["coverage"]
    opaque = {o["what"]: o for o in coverage["opaque"]}
    assert record["session"]["person"] == "lin" and record["session"]["live"]
    assert coverage["complete"] and coverage["gates"] == ["db"]
    assert coverage["recorded"]["statements"] >= 7 and coverage["recorded"]["connections"] == len(record["connections"])
    assert coverage["refused"]["denied"] == 0
    assert opaque["code"]["count"] == 1 and opaque["function"]["count"] == 1
    assert opaque["copy"]["bytes"] >= len(out.getvalue())
    assert opaque["results"]["rows"] >= 17
    assert coverage["missing"]["lost"] == 0
    last = record["connections"][-1]
    assert last["resource"] == "orders-db" and last["opened_at"] <= last["closed_at"] and last["statements"] == 4
    events = people["sam"].items(f"/admin/sessions/{session}/events?limit=200")
    assert len(events) == coverage["events"] and {e["session"] for e in events} == {session}
    refused = people["sam"].get(f"/admin/sessions/{session_of(db, 'mia')}/record")["coverage"]
    assert refused["refused"] == {"denied": 2, "asked": 0, "reasons": {"no-rule": 2}} and refused["recorded"]["statements"] == 0
    # the person himself sees the same, and it is no reading of somebody else's
    assert people["lin"].get(f"/me/sessions/{session}/record")["coverage"]["events"] >= coverage["events"]
    assert people["lin"].get(f"/me/sessions/{session}/events")["items"]


def test_whose_record_it_is(db, people):
    session = session_of(db, "lin")
    for path in (f"/me/sessions/{session}/record", "/me/sessions/00000000deadbeef/record", "/me/sessions/nonsense/record"):
        with pytest.raises(Refused) as refused:
            people["mia"].get(path)
        assert refused.value.status == 404
    with pytest.raises(Refused) as refused:
        people["olga"].get(f"/admin/sessions/{session}/record")
    assert refused.value.status == 403

    def recorded():
        reads = people["audrey"].get("/admin/ledger/events?kind=read&q=record%20of%20a%20session")["items"]
        return [e["person"] for e in reads]

    names = wait_for("the reading in the ledger", 10, recorded)
    assert "sam" in names and "lin" not in names


# ---- the command line

def test_watching_on_the_command_line(db, people, tmp_path):
    shell = Shell(db.office, people["sam"], tmp_path)
    watch = subprocess.Popen([PROGRAM, "db", "watch", "--last", "0", "--refused"], stdout=subprocess.PIPE, text=True, env=shell.env)
    try:
        time.sleep(1)
        run(db, "mia", "TRUNCATE orders /* \x1b[31m */")
        line = watch.stdout.readline()
        assert " deny " in line and " mia " in line and "destroy" in line and "TRUNCATE orders" in line and line.endswith("no-rule\n")
        assert "\x1b" not in line
    finally:
        watch.terminate()
        watch.wait(10)
    shown = [json.loads(line) for line in shell.run("db", "watch", "--no-follow", "--last", "3", "--person", "lin", "--json").splitlines()]
    assert len(shown) == 3 and {event["person"] for event in shown} == {"lin"}
    said = shell.run("session", "show", session_of(db, "lin"))
    assert "SELECT note FROM orders" in said and "blocks of code (DO)" in said and "0 lost events and 0 gaps" in said
    own = Shell(db.office, people["lin"], tmp_path)
    assert own.json("session", "show", session_of(db, "lin"))["coverage"]["complete"]
    assert "forbidden" in own.run("db", "watch", status=3)
    assert "forbidden" in own.run("session", "show", session_of(db, "mia"), status=3)


# ---- who works as whom, budgets

def test_accounts_and_budgets(db, people):
    for person in (people["olga"], people["sam"], people["audrey"]):
        accounts = {(a["person"]["name"], a["resource"], a["account"]) for a in person.items("/admin/databases/accounts")}
        assert accounts == {("lin", "orders-db", "op_dba"), ("mia", "orders-db", "op_dba")}
    first = people["sam"].get("/admin/databases/accounts?limit=1")
    assert len(first["items"]) == 1 and first["next"]
    assert people["sam"].get("/admin/databases/budgets") == {"budgets": [], "today": []}
    with pytest.raises(Refused):
        people["lin"].get("/admin/databases/accounts")

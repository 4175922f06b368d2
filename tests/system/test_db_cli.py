# SPDX-License-Identifier: Apache-2.0
"""sallyport psql and sallyport db, against a whole office with a real PostgreSQL behind it.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/man/sallyport-db.1.
"""

import contextlib
import json
import os
import re
import subprocess
import threading
import time

import psycopg2
import pytest

from dblib import DatabaseOffice
from officelib import PROGRAM, wait_for
from test_core_cli import Shell


@pytest.fixture(scope="module")
def db():
    one = DatabaseOffice()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def lin(db, tmp_path):
    return Shell(db.office, db.people["lin"], tmp_path)


def left_behind():
    return {name for name in os.listdir("/tmp") if name.startswith("sallyport-")}


def test_psql_needs_nothing_but_a_session(lin):
    before = left_behind()
    assert lin.run("psql", "orders-db", "-X", "-Atc", "SELECT 6 * 7") == "42\n"
    assert lin.run("psql", "orders-db/orders", "-X", "-Atc", "SELECT 1") == "1\n"
    told = lin.run("psql", "orders-db", "-X", "-c", "SELECT 1/0", status=1)
    assert "division by zero" in told
    assert left_behind() == before
    assert "no such database" in lin.run("psql", "nowhere", status=1).lower()
    assert "usage" in subprocess.run([PROGRAM, "psql"], capture_output=True, text=True, check=False).stderr


def test_no_secret_is_where_others_could_see_it(lin):
    """psql's own \\! shows what its environment and its arguments are, and the password file's mode."""
    said = lin.run("psql", "orders-db", "-X", "-c",
                   r"\! tr '\0' '\n' < /proc/$PPID/environ; tr '\0' ' ' < /proc/$PPID/cmdline; "
                   r"echo; stat -c %a $PGPASSFILE $(dirname $PGPASSFILE); cat $PGPASSFILE")
    password = re.search(r"^\*:\*:\*:\*:([A-Za-z0-9_-]{32})$", said, re.M).group(1)
    assert said.count(password) == 1
    assert "PGSSLMODE=verify-full" in said and "PGPASSWORD" not in said
    assert "\n600\n700\n" in said


def test_a_wrong_authority_is_noticed(db, lin, tmp_path):
    other = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-subj", "/CN=another", "-keyout", str(tmp_path / "k"), "-days", "1"],
                           capture_output=True, text=True, check=True).stdout
    # the gate's certificate is checked by psql itself: give it another authority behind our back
    script = tmp_path / "bin"
    script.mkdir()
    (script / "psql").write_text(f'#!/bin/sh\ncat > "$PGSSLROOTCERT" <<X\n{other}X\nexec /usr/bin/psql "$@"\n')
    (script / "psql").chmod(0o755)
    lin.env["PATH"] = f"{script}:{lin.env['PATH']}"
    assert "certificate verify failed" in lin.run("psql", "orders-db", "-X", "-c", "SELECT 1", status=2)


def test_tokens_and_lists(db, lin):
    listed = lin.run("db", "list")
    assert "orders-db" in listed and "op_dba" in listed and str(db.port) in listed
    token = lin.json("db", "token", "orders-db")
    assert token["user"] == "lin" and token["database"] == "orders-db"
    connection = db.connect("lin", password=token["password"])
    try:
        shown = wait_for("the connection", 5, lambda: lin.json("db", "connections", "--mine"))
        assert [(c["database"], c["account"]) for c in shown] == [("orders", "op_dba")]
        assert "lin" in lin.run("db", "connections", "--mine")
    finally:
        connection.close()
    assert "password until" in lin.run("db", "token", "orders-db", "--database", "orders")


def test_ending_a_connection_cuts_it(db, lin):
    running = subprocess.Popen([PROGRAM, "psql", "orders-db", "-X", "-c", "SELECT pg_sleep(30)"], env=lin.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    one = wait_for("the connection", 10, lambda: lin.json("db", "connections", "--mine"))[0]
    time.sleep(0.5)
    began = time.monotonic()
    assert "has ended" in lin.run("db", "kill", one["id"], "--mine", "--why", "it is late")
    _, said = running.communicate(timeout=10)
    assert time.monotonic() - began < 5 and running.returncode != 0
    assert "it is late" in said
    wait_for("its end", 5, lambda: not lin.json("db", "connections", "--mine"))


def test_credentials_by_command_line(db, tmp_path):
    sam = db.office.people["sam"]
    shell = Shell(db.office, sam, tmp_path)
    sam.step_up()

    def credential(*words, status=0, text=None):
        done = subprocess.run([PROGRAM, "db", "credential", *words], env=shell.env, capture_output=True, text=True,
                              input=text, timeout=60, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "SCRAM-SHA-256$4096:" in credential("set", "orders-db/op_new", "--generate")
    assert "SCRAM-SHA-256$4096:" in credential("set", "orders-db/op_read", text="tulip garden\n")
    listed = credential("list")
    assert "op_new" in listed and "op_dba" in listed
    credential("remove", "orders-db/op_new")
    assert "op_new" not in credential("list")
    credential("set", "orders-db/op_x", text="", status=2)
    credential("set", "orders-db", "--generate", status=2)
    credential("forget", status=2)


def test_watching_statements(db, lin, tmp_path):
    """What was is listed, what comes is told as it comes; with who, what, how it ended, rows and reference."""
    audrey = Shell(db.office, db.office.people["audrey"], tmp_path)
    with contextlib.closing(db.connect("lin")) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT n AS seen FROM generate_series(1, 7) n")
        first = wait_for("the statement on the ledger", 10, lambda: [
            line for line in audrey.run("db", "watch", "--no-follow", "--person", "lin").splitlines() if "AS seen" in line])[0]
        assert re.search(r"^\d\d:\d\d:\d\d allow +lin +- +orders-db ", first) and re.search(r" 7 +\d+ +\d+ [0-9A-Z]{4}-[0-9A-Z]{4}-", first), first
        watching = subprocess.Popen([PROGRAM, "db", "watch", "--json", "--last", "0", "--person", "lin"], env=audrey.env,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            lines = []
            reader = threading.Thread(target=lambda: lines.extend(iter(watching.stdout.readline, "")), daemon=True)
            reader.start()

            def told(word):
                with connection.cursor() as cursor, contextlib.suppress(psycopg2.Error):
                    cursor.execute(f"SELECT '{word}'")
                return [event for event in map(json.loads, list(lines)) if word in event.get("object", "")]

            live = wait_for("a statement as it comes", 15, lambda: told("live"), step=0.2)[0]
            assert (live["person"], live["resource"], live["verdict"], live["count"]) == ("lin", "orders-db", "allow", 1), live
            with contextlib.closing(db.connect("mia")) as other, other.cursor() as cursor:
                with pytest.raises(psycopg2.Error):
                    cursor.execute("SELECT count(*) FROM pg_authid")
            assert wait_for("the next", 15, lambda: told("another"), step=0.2)
            assert all(json.loads(line)["person"] == "lin" for line in lines)
        finally:
            watching.terminate()
            watching.wait(10)
            reader.join(10)
    refused = wait_for("the refusal", 10, lambda: [
        line for line in audrey.run("db", "watch", "--no-follow", "--refused").splitlines() if "pg_authid" in line])
    assert " deny " in refused[0] and " mia " in refused[0] and " -- " in refused[0], refused
    assert "up to 200" in audrey.run("db", "watch", "--last", "many", status=2)
    lin.run("db", "watch", "--no-follow", status=3)  # not his to see


def test_the_record_of_a_session(db, lin, tmp_path):
    audrey = Shell(db.office, db.office.people["audrey"], tmp_path)
    with contextlib.closing(db.connect("lin")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n AS counted FROM generate_series(1, 5) n")
        cursor.execute("DO $$BEGIN PERFORM 1; END$$")
    event = wait_for("its end", 10, lambda: [
        one for one in db.office.people["audrey"].items("/admin/ledger/events?gate=db&person=lin&limit=50") if "counted" in one.get("object", "")])[0]
    for who in (audrey, lin):  # his own
        shown = wait_for("the block", 10, lambda w=who: (lambda text: text if "blocks of code" in text else None)(
            w.run("session", "show", event["session"])))
        assert "lin" in shown and "counted" in shown and event["reference"] in shown, shown
        assert "Missing:\n  0 lost events and 0 gaps" in shown, shown
        assert re.search(r"\d+ statements with rows: counted", shown), shown
    record = lin.json("session", "show", event["session"])
    assert record["coverage"]["recorded"]["statements"] > 1 and any("counted" in one.get("object", "") for one in record["events"])
    mia = Shell(db.office, db.people["mia"], tmp_path)
    mia.run("session", "show", event["session"], status=3)  # not hers to see

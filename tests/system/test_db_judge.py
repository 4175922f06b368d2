# SPDX-License-Identifier: Apache-2.0
"""Statements judged by the database gate: what is refused never reaches the server, in whatever disguise.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate".
"""
import contextlib
import os
import re
import struct
import time

import psycopg2
import pytest

from dbgatelib import BUILDERS_BUILD, DBA_DOES_ALL, DatabaseOffice, orders_documents
from officelib import ROOT, wait_for
from pgraw import SYNC, Raw, bind, execute, fields, message, parse, query

DOCUMENTS = orders_documents(
    ["dba", "clerk", "analyst", "builder", "mover"],
    DBA_DOES_ALL + """\
kind: Rule
name: clerks work with orders
who: { roles: [clerk] }
to: { resources: [orders-db], classes: [internal] }
may: [connect, read, write]
---
""" + BUILDERS_BUILD + """\
kind: Rule
name: movers change and lose nothing
who: { roles: [mover] }
to: { resources: [orders-db] }
may: [connect, read, alter]
""",
    postgres="""\
  search_path: [public]
  broad: destroy
  functions: [{ name: public.twice, action: read }]
  parts:
    - { schema: audit, class: core }
    - { table: public.salaries, class: core }
""",
)


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS)
    try:
        one.person("dora", "dba")
        one.person("carl", "clerk")
        one.person("bea", "builder")
        one.person("mo", "mover")
        one.sql("CREATE INDEX i_what ON audit.entries (what)", "CREATE SEQUENCE audit.entry_no", "CREATE SEQUENCE order_no",
                "GRANT ALL ON SEQUENCE audit.entry_no, order_no TO op_all")
        yield one
    finally:
        one.close()


def counts(gate):
    return [gate.sql(f"SELECT count(*) FROM {table}")[0][0] for table in ("customers", "orders", "audit.entries")]


def refused(cursor, text, state="42501"):
    with pytest.raises(psycopg2.Error) as what:
        cursor.execute(text)
    assert what.value.pgcode == state, (text, what.value)
    return what.value


def test_work_as_usual(gate):
    with gate.connect("carl") as carl, carl.cursor() as c:
        c.execute("SELECT count(*) FROM orders WHERE total > %s", (500,))
        assert c.fetchone() == (150,)
        c.execute("UPDATE orders SET note = 'x' WHERE id = 3 RETURNING id")
        assert c.fetchall() == [(3,)]
        c.execute("DELETE FROM orders WHERE id = 199")
        assert c.rowcount == 1
        c.execute("SELECT twice(4), lower('X')")
        assert c.fetchone() == (8, "x")
        c.execute("SELECT setval('order_no', 7), nextval('public.order_no'::regclass)")
        assert c.fetchone() == (7, 8)
        carl.rollback()
        c.execute("CREATE TEMP TABLE scratch AS SELECT * FROM orders")
        c.execute("DELETE FROM scratch")
        c.execute("DROP TABLE scratch")
        carl.rollback()


DISGUISES = [
    "DELETE FROM orders", "DELETE FROM orders WHERE true", "DELETE FROM orders WHERE id = id",
    "DELETE FROM orders WHERE id > 0", "DELETE FROM orders WHERE note LIKE '%%'",
    "DELETE FROM orders WHERE id IN (SELECT id FROM orders)", "DELETE FROM orders WHERE id > 7",
    "UPDATE orders SET note = '' WHERE note LIKE 'o%%'", "DELETE FROM orders WHERE coalesce(id = NULL, true)",
    "INSERT INTO orders SELECT * FROM orders WHERE id > 7 ON CONFLICT (id) DO UPDATE SET note = ''",
    "INSERT INTO orders (id, note) VALUES (unnest((SELECT array_agg(id) FROM orders)), 'gone') ON CONFLICT (id) DO UPDATE SET note = 'gone'",
    "INSERT INTO orders (id, note) VALUES (generate_series(1, 100), 'gone') ON CONFLICT (id) DO UPDATE SET note = 'gone'",
    "WITH x AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM x",
    "EXPLAIN ANALYZE DELETE FROM orders", "UPDATE orders SET note = ''", "TRUNCATE orders", "DROP TABLE orders",
    "DROP TABLE orders CASCADE", "DROP SCHEMA public CASCADE", "ALTER TABLE orders DROP COLUMN note",
    "DELETE FROM customers WHERE id IS NOT NULL", "DELETE FROM v_customers",
    "MERGE INTO orders o USING orders s ON o.id = s.id WHEN MATCHED THEN DELETE",
    "DO $$ BEGIN DELETE FROM orders; END $$", "CALL wipe_all()", "SELECT wipe()", "SELECT 1; DELETE FROM orders",
    "PREPARE gone AS DELETE FROM orders", "COPY (DELETE FROM orders RETURNING *) TO STDOUT",
    "SELECT * FROM audit.entries", "COPY orders TO STDOUT", "COPY orders TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')", "SELECT pg_terminate_backend(1)", "SET ROLE postgres",
    "SET search_path = audit", "SET search_path = public, audit", "ALTER SCHEMA audit RENAME TO mine",
    "ALTER SCHEMA audit OWNER TO op_all", "COMMENT ON COLUMN audit.entries.what IS 'x'", "DROP INDEX audit.i_what",
    "ALTER INDEX audit.i_what RENAME TO i_mine", "ALTER INDEX audit.entries RENAME TO mine",
    "SELECT set_config('search_path', 'pg_catalog'::varchar(1), false)",
    "SELECT set_config('search_path', 'audit', false)", "CREATE TABLE t (a int)",
    "GRANT ALL ON orders TO PUBLIC", "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT pg_stats FROM pg_stats", "VACUUM orders", "LOCK TABLE audit.entries",
    "DECLARE c CURSOR FOR SELECT * FROM audit.entries", "SELECT lo_unlink(1)", "SET standard_conforming_strings = off",
    "SELECT set_config('standard_conforming_strings', 'off', false)", "SET client_encoding = 'SJIS'", "SET NAMES 'GBK'",
    "SET SESSION AUTHORIZATION postgres", "SELECT lo_import('/etc/passwd')", "SELECT pg_ls_dir('.')",
    "COPY orders FROM PROGRAM 'cat'", "COPY orders TO '/tmp/x'", "SELECT lo_get(1)", "SELECT query FROM pg_stat_activity",
    "EXPLAIN (ANALYZE) UPDATE orders SET note = ''", "COPY orders FROM '/tmp/x'",
    "SELECT dblink_exec('dbname=orders', 'DELETE FROM orders')", "SELECT lo_export(1, '/tmp/x')", "SELECT 1; SELECT 2; DROP TABLE orders",
    "SELECT setval('audit.entry_no', 1)", "SELECT nextval('Audit.\"entry_no\"'::regclass)", "SELECT setval(16384::regclass, 1)",
    "SELECT gin_clean_pending_list('audit.i_what')", "SELECT setval(pg_get_serial_sequence('audit.entries', 'id'), 1)",
]


@pytest.mark.parametrize("text", DISGUISES)
def test_what_a_clerk_may_not(gate, text):
    before = counts(gate)
    with gate.connect("carl") as carl, carl.cursor() as c:
        assert "Reference" in refused(c, text).diag.message_detail
        carl.rollback()
        c.execute("SELECT 1")  # the connection goes on
        assert c.fetchone() == (1,)
    assert counts(gate) == before


# Understood, and let through for nobody: commands and files of the server, text that would run unread, and what changes what SQL
# means or who asks.
FOR_NOBODY = [
    "COPY orders TO PROGRAM 'cat'", "COPY orders FROM PROGRAM 'cat'", "COPY (SELECT 1) TO PROGRAM 'cat'", "COPY orders TO '/tmp/x'",
    "COPY orders FROM '/tmp/x'", "COPY (SELECT 1) TO '/tmp/x'", "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')", "SELECT pg_ls_dir('.')", "SELECT * FROM pg_ls_waldir()", "SELECT pg_stat_file('.')",
    "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/x')", "SELECT pg_catalog.lo_import('/etc/passwd', 7)",
    "SELECT * FROM pg_hba_file_rules()", "SELECT query_to_xml('SELECT 1', true, true, '')", "SELECT table_to_xml('orders', true, true, '')",
    "SELECT schema_to_xml('audit', true, true, '')", "SELECT database_to_xml(true, true, '')", "SELECT * FROM ts_stat('SELECT 1')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT 1')", "SELECT * FROM pg_logical_slot_get_changes('s', NULL, NULL)",
    "PREPARE p AS SELECT pg_read_file('x')", "DECLARE c CURSOR FOR SELECT pg_read_file('x')", "EXPLAIN SELECT pg_read_file('x')",
    "WITH x AS (SELECT pg_read_file('x')) SELECT * FROM x", "SELECT 1; SELECT pg_read_file('x')", "CREATE VIEW vv AS SELECT pg_read_file('x')",
    "ALTER TABLE orders ADD COLUMN extra text DEFAULT pg_read_file('x')", "CREATE INDEX ON orders ((query_to_xml(note, true, true, '')::text))",
    "SET ROLE postgres", "SET LOCAL ROLE postgres", "SET SESSION AUTHORIZATION postgres", "SET search_path = audit",
    "SET search_path = public, audit", "SELECT set_config('search_path', 'audit', false)", "SELECT set_config('role', 'postgres', false)",
    "SELECT set_config('search_path', 'pg_catalog'::varchar(1), false)", "SELECT set_config('search' || '_path', 'audit', false)",
    "SELECT set_config(name, 'audit', false) FROM pg_settings", "SELECT set_config('application_name', note, false) FROM orders",
    "SELECT set_config('application_name', (SELECT max(note) FROM orders), false)", "SET standard_conforming_strings = off",
    "SELECT set_config('standard_conforming_strings', 'off', false)", "RESET standard_conforming_strings", "SET backslash_quote = on",
    "SET client_encoding = 'SJIS'", "SET NAMES 'GBK'", "SET session_replication_role = replica", "SET transform_null_equals = on",
    "SET session_preload_libraries = 'x'", "SET dynamic_library_path = '/tmp'", "UPDATE pg_settings SET setting = 'audit' WHERE name = 'search_path'",
    "CREATE VIEW vv AS SELECT * FROM pg_settings", "CREATE TEMP VIEW vv AS SELECT * FROM orders", "CREATE VIEW pg_temp.vv AS SELECT * FROM orders",
    "CREATE RULE \"_RETURN\" AS ON SELECT TO orders DO INSTEAD SELECT * FROM audit.entries",
    "CREATE RULE r AS ON DELETE TO pg_temp.tt DO INSTEAD DELETE FROM orders", "SELECT * FROM pg_toast.pg_toast_2619",
    "CREATE TEMP TABLE tt (x int); CREATE VIEW vv AS SELECT * FROM orders WHERE NOT EXISTS (SELECT FROM tt)",
    "CREATE TEMP TABLE tt (x int); CREATE RULE r AS ON DELETE TO tt DO INSTEAD DELETE FROM orders",
]
# Grave, unknown or secret: what policy says counts, and what comes of it is the server's own word.
FOR_SOMEBODY = ["SELECT lo_get(4711)", "SELECT lo_unlink(4711)", "SELECT pg_terminate_backend(2147483647)",
                "SELECT dblink_exec('dbname=orders', 'DELETE FROM orders')", "SELECT rolpassword FROM pg_authid", "CREATE ROLE someone"]


def test_what_nobody_may(gate):
    """Not even who may do everything that policy has a word for; by Query and by Parse."""
    before = counts(gate)
    with contextlib.closing(Raw(gate.port, tls=None)) as dora:
        assert dora.log_in("dora", "orders-db", gate.password("dora"))[-1] == ("Z", b"I")
        for text in FOR_NOBODY:
            for send in ((query(text),), (parse(text), bind(), execute(), SYNC)):
                dora.send(*send)
                found = dora.until("Z")
                assert [kind for kind, _ in found] == ["E", "Z"] and found[-1] == ("Z", b"I"), (text, found)
                error = fields(found[0][1])
                assert error["C"] == "42501" and error["M"].endswith(" is not let through") and "Reference" in error["D"], (text, error)
        assert [kind for kind, _ in dora.ask("SELECT 1")] == ["T", "D", "C", "Z"]
        for text in FOR_SOMEBODY:
            errors = [fields(body) for kind, body in dora.ask(text) if kind == "E"]
            assert all("F" in error and "Reference" not in error.get("D", "") for error in errors), (text, errors)
    assert counts(gate) == before
    wait_for("all of them on the ledger", 10, lambda: len(gate.audrey.items(
        "/admin/ledger/events?limit=200&gate=db&verdict=deny&person=dora")) >= 2 * len(FOR_NOBODY))


@pytest.mark.parametrize("lift", ["SET TRANSACTION READ WRITE", "SET transaction_read_only = off",
                                  "SET LOCAL transaction_read_only = 0"])
def test_read_only_is_a_convenience(gate, lift):
    """A session that is read only stops its owner until he lifts it; what he may not, he may not either way."""
    before = counts(gate)
    with gate.connect("carl") as carl, carl.cursor() as c:
        c.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        carl.commit()
        refused(c, "UPDATE orders SET note = 'x' WHERE id = 3", "25006")  # the server's own word
        carl.rollback()
        refused(c, "DELETE FROM orders")
        carl.rollback()
        c.execute(lift)
        refused(c, "DELETE FROM orders")
        carl.rollback()
        c.execute(lift)
        c.execute("UPDATE orders SET note = 'x' WHERE id = 3")
        assert c.rowcount == 1
        carl.rollback()
    assert counts(gate) == before


def test_functions_without_sql_and_settings_in_a_pipeline(gate):
    before = counts(gate)
    with contextlib.closing(Raw(gate.port, tls=None)) as one:
        assert one.log_in("carl", "orders-db", gate.password("carl"))[-1] == ("Z", b"I")
        one.send(message("F", struct.pack("!IHHH", 2621, 0, 0, 0)))  # pg_reload_conf()
        found = one.until("Z")
        assert [kind for kind, _ in found if kind in "EV"] == ["E"], found
        # text that means something else once the setting of the message before has come to pass
        one.send(parse("SELECT set_config('standard_conforming_strings', 'off', false)"), bind(), execute(),
                 parse("SELECT '\\\\'; DELETE FROM orders; --'"), bind(), execute(), SYNC)
        found = one.until("Z")
        assert "D" not in [kind for kind, _ in found] and "E" in [kind for kind, _ in found]
        one.send(message("Q", b"SELECT '\x95\x5c'\0"))
        assert b"22021" in dict(one.until("Z"))["E"]
    assert counts(gate) == before


def test_a_reference_is_in_the_ledger_though_nothing_was_judged(gate):
    """A name that there is not has none: these are the server's own words."""
    with contextlib.closing(Raw(gate.port, tls=None)) as one:
        assert one.log_in("carl", "orders-db", gate.password("carl"))[-1] == ("Z", b"I")
        for sent, state in ((message("F", struct.pack("!IHHH", 2621, 0, 0, 0)), "0A000"),
                            (message("Q", b"SELECT '" + bytes(b"x" * (1 << 20)) + b"'\0"), "54000"),
                            (parse("SELECT 1") + message("P", b"p\0SELECT '" + bytes(b"x" * (1 << 20)) + b"'\0\0\0") + SYNC, "54000")):
            one.send(sent)
            error = next(fields(body) for kind, body in one.until("Z") if kind == "E")
            assert error["C"] == state, error
            reference = re.search("Reference ([0-9A-Z-]+)", error.get("D", "")).group(1)
            found = wait_for("its entry", 10, lambda: gate.audrey.get(f"/admin/ledger/events?reference={reference}")["items"])
            assert [(e["kind"], e["verdict"], e["person"], e["object"]) for e in found] == \
                [("decision", "deny", "carl", error["M"])], found
        for sent, state in ((bind(name="none") + SYNC, "26000"), (execute("none") + SYNC, "34000")):
            one.send(sent)
            error = next(fields(body) for kind, body in one.until("Z") if kind == "E")
            assert error["C"] == state and "Reference" not in error.get("D", ""), error


def test_unparsed_and_unread(gate):
    with gate.connect("carl") as carl, carl.cursor() as c:
        refused(c, "SELEC 1", "42601")
        carl.rollback()
        refused(c, "SELECT 1_000", "42601")
        carl.rollback()
        refused(c, "EXECUTE nothing", "26000")
        carl.rollback()
        refused(c, "FETCH ALL FROM nothing", "34000")


def test_a_refusal_ends_the_transaction_as_an_error_does(gate):
    with gate.connect("carl") as carl, carl.cursor() as c:
        c.execute("UPDATE orders SET note = 'changed' WHERE id = 5")
        refused(c, "TRUNCATE orders")
        refused(c, "SELECT 1", "25P02")
        carl.commit()
        c.execute("SELECT note FROM orders WHERE id = 5")
        assert c.fetchone()[0] != "changed"


def test_names_stand_for_what_they_run(gate):
    with gate.connect("dora") as dora, dora.cursor() as c:
        c.execute("PREPARE p AS DELETE FROM orders WHERE id = 100000")
        c.execute("EXECUTE p")
        c.execute("DEALLOCATE p")
        refused(c, "EXECUTE p", "26000")
        dora.rollback()
        c.execute("DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id")
        c.execute("FETCH 2 FROM c")
        assert c.fetchall() == [(1,), (2,)]


def test_definitions_are_seen_at_once(gate):
    with contextlib.closing(gate.connect("dora")) as dora, contextlib.closing(gate.connect("carl")) as carl:
        dora.autocommit = carl.autocommit = True
        dora.cursor().execute("CREATE TABLE audit.more (id int); INSERT INTO audit.more VALUES (1)")
        assert "not allowed" in str(refused(carl.cursor(), "SELECT * FROM audit.more"))
        dora.cursor().execute("DROP TABLE audit.more")


def test_what_policy_names_keeps_its_name(gate):
    before = counts(gate)
    with gate.connect("mo") as mo, mo.cursor() as c:
        for text in ["ALTER INDEX audit.i_what RENAME TO i_what2", "COMMENT ON COLUMN audit.entries.what IS 'x'",
                     "ALTER TABLE logs DETACH PARTITION logs_1", "COMMENT ON INDEX audit.i_what IS 'x'"]:
            c.execute(text)
            mo.rollback()
        for text in ["ALTER TABLE audit.entries RENAME TO entries2", "ALTER TABLE orders RENAME TO orders2",
                     "ALTER TABLE orders RENAME COLUMN note TO words", "ALTER TABLE audit.entries SET SCHEMA public", "ALTER TABLE orders SET SCHEMA audit",
                     "ALTER INDEX orders RENAME TO salaries", "ALTER TABLE orders RENAME TO salaries",
                     "ALTER VIEW v_names RENAME TO salaries", "ALTER TABLE logs ATTACH PARTITION audit.entries DEFAULT",
                     "ALTER TABLE audit.entries INHERIT orders", "ALTER SCHEMA audit RENAME TO mine"]:
            said = refused(c, text)
            assert "destroy" in str(said), said
            mo.rollback()
    assert counts(gate) == before


def test_functions_of_a_moment_ago(gate):
    """Others make them, over whichever way; they look like columns where they are called."""
    before = counts(gate)
    with gate.connect("carl") as carl, carl.cursor() as c:
        for turn in range(8):
            name = f"grab{turn}"
            gate.sql(f"CREATE FUNCTION {name}(orders) RETURNS int LANGUAGE sql AS 'DELETE FROM orders RETURNING 1'",
                     f"CREATE FUNCTION {name}(anyelement) RETURNS int LANGUAGE sql AS 'DELETE FROM orders RETURNING 1'")
            text = ["SELECT o.{} FROM orders o WHERE id = 1", "SELECT (o).{} FROM orders o WHERE o.id = 1",
                    "SELECT x.{} FROM (SELECT * FROM orders LIMIT 1) x", "SELECT g.{} FROM generate_series(1, 1) g(i)",
                    "PREPARE p AS SELECT o.{} FROM orders o", "SELECT ('x'::text).{}", "SELECT c.{} FROM pg_class c LIMIT 1",
                    "UPDATE orders SET note = orders.{}::text WHERE id = 1"][turn].format(name)
            with pytest.raises(psycopg2.Error) as what:
                c.execute(text)
            assert what.value.pgcode in ("42501", "42703"), (text, what.value)
            carl.rollback()
        assert refused(c, "SELECT o.nowhere FROM orders o", "42703")
        carl.rollback()
        c.execute("SELECT o.note, x.n, c.relname FROM orders o, (SELECT count(*) AS n FROM customers) x, pg_class c LIMIT 1")
    assert counts(gate) == before
    gate.sql(*(f"DROP FUNCTION grab{turn}(orders), grab{turn}(anyelement)" for turn in range(8)))


def fine(connection, text):
    try:
        connection.cursor().execute(text)
        return True
    except psycopg2.Error as error:
        assert error.pgcode.startswith("42"), error
        return False


def test_an_event_trigger_tells(gate):
    with open(os.path.join(ROOT, "packaging", "postgres", "sallyport-catalogue.sql"), encoding="utf-8") as file:
        gate.sql(*(one for one in re.split(r";\n", re.sub("(?m)^--.*$", "", file.read())) if one.strip()))
    carl = gate.connect("carl")
    carl.autocommit = True
    try:
        gate.sql("CREATE VIEW told AS SELECT id FROM orders", "GRANT ALL ON told TO op_all")
        slow = 0
        for _ in range(4):
            gate.sql("CREATE OR REPLACE VIEW told AS SELECT id FROM orders")
            wait_for("the old view is known", 10, lambda: fine(carl, "TABLE told"), 0.02)
            gate.sql("CREATE OR REPLACE VIEW told AS SELECT id FROM audit.entries")
            began = time.monotonic()
            wait_for("the new view is known", 10, lambda: not fine(carl, "TABLE told"), 0.02)
            slow = max(slow, time.monotonic() - began)
        assert slow < 2, slow
    finally:
        carl.close()
        gate.sql("DROP EVENT TRIGGER sallyport_catalogue", "DROP VIEW told")


def test_a_view_of_a_moment_ago_shows_nothing(gate):
    carl = gate.connect("carl")
    carl.autocommit = True
    with contextlib.closing(carl):
        for turn in range(10):
            gate.sql(f"CREATE VIEW fresh{turn} AS SELECT * FROM audit.entries", f"GRANT ALL ON fresh{turn} TO op_all")
            assert not fine(carl, f"SELECT * FROM fresh{turn}"), turn
        assert refused(carl.cursor(), "SELECT * FROM nowhere", "42P01")
    gate.sql(*(f"DROP VIEW fresh{turn}" for turn in range(10)))


def test_a_view_does_what_its_query_calls(gate):
    """Whoever made it, past the gate too: reading it is calling the function."""
    before = counts(gate)
    gate.sql("CREATE VIEW v_wipes AS SELECT wipe() AS n", "CREATE VIEW v_over AS SELECT n FROM v_wipes",
             "CREATE VIEW v_ends AS SELECT pg_terminate_backend(1) AS b", "CREATE VIEW v_fine AS SELECT upper(note) AS n FROM orders",
             "GRANT ALL ON v_wipes, v_over, v_ends, v_fine TO op_all")
    try:
        with gate.connect("carl") as carl, carl.cursor() as c:
            wait_for("the catalogue", 15, lambda: (c.execute("SELECT count(*) FROM v_fine"), c.fetchone())[1], 0.2)
            for text in ("SELECT * FROM v_wipes", "SELECT 1 FROM v_over", "COPY (SELECT * FROM v_wipes) TO STDOUT",
                         "SELECT * FROM v_ends"):
                refused(c, text)
                carl.rollback()
        assert counts(gate) == before
    finally:
        gate.sql("DROP VIEW v_over, v_wipes, v_ends, v_fine")


def test_a_range_type_of_the_offices_own_is_no_cast_that_users_made(gate):
    """The server makes a cast to its multirange with it: temporary tables, and columns of it, stay what they are."""
    gate.sql("CREATE TYPE span AS RANGE (subtype = int4)", "CREATE TABLE spans (id int, s span)",
             "INSERT INTO spans VALUES (1, '[2,5)')", "GRANT ALL ON spans TO op_all")
    try:
        with gate.connect("carl") as carl, carl.cursor() as c:
            wait_for("the catalogue", 15, lambda: fine(carl, "SELECT id FROM public.spans"), 0.2)
            c.execute("SELECT s FROM spans WHERE s @> 3")
            assert c.fetchall() == [("[2,5)",)]
            c.execute("CREATE TEMP TABLE of_spans AS SELECT id FROM spans")
            c.execute("SELECT id FROM of_spans")
            assert c.fetchall() == [(1,)]
    finally:
        gate.sql("DROP TABLE spans", "DROP TYPE span")


def test_a_cast_that_users_made_is_a_call(gate):
    """Where a value of their type may be, the cast's function may run: nobody writes its name."""
    before = counts(gate)
    gate.sql("CREATE TYPE parcel AS (a int, b text)",
             "CREATE FUNCTION of_parcel(parcel) RETURNS text LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; RETURN 'x'; END $$",
             "CREATE CAST (parcel AS text) WITH FUNCTION of_parcel(parcel) AS IMPLICIT",
             "CREATE TABLE parcels (id int, p parcel)", "INSERT INTO parcels VALUES (1, ROW(1, 'x'))", "GRANT ALL ON parcels TO op_all")
    oid = gate.sql("SELECT 'parcel'::regtype::oid")[0][0]
    try:
        with gate.connect("carl") as carl, carl.cursor() as c:
            wait_for("the catalogue", 15, lambda: not fine(carl, "SELECT id FROM parcels"), 0.2)
            for text in ("SELECT lower(p) FROM parcels", "SELECT p::text FROM parcels", "SELECT ROW(1, 'x')::parcel || ''",
                         "INSERT INTO orders (id, note) SELECT 990, p FROM parcels", "CREATE TEMP TABLE t AS SELECT p FROM parcels"):
                refused(c, text)
                carl.rollback()
            refused(c, "PREPARE x (parcel) AS SELECT lower($1)")
            carl.rollback()
            c.execute("SELECT lower('X'), 5::text, count(*)::text FROM orders")
        with contextlib.closing(Raw(gate.port, tls=None)) as one:
            one.log_in("carl", "orders-db", gate.password("carl"))
            for declared, ends in ((oid, "E"), (25, "C")):
                body = b"\0SELECT lower($1)\0" + struct.pack(">HI", 1, declared)
                one.send(message("P", body), bind(values=["(1,x)"]), execute(), SYNC)
                found = [kind for kind, _ in one.until("Z") if kind in "EC"]
                assert found == [ends], (declared, found)
        assert counts(gate) == before
    finally:
        gate.sql("DROP TABLE parcels", "DROP TYPE parcel CASCADE")


def test_settings_of_drivers(gate):
    with gate.connect("carl") as carl, carl.cursor() as c:
        for text in ["SET search_path = public", "SET search_path TO 'public'", "SET SESSION search_path TO pg_catalog, public",
                     "SELECT set_config('search_path', 'public', false)", "SET client_encoding TO 'UTF8'", "SET NAMES 'utf8'",
                     "SET DateStyle TO 'ISO'", "SET extra_float_digits TO 3", "SET application_name = 'x'",
                     "SET standard_conforming_strings = on", "SET TimeZone TO 'UTC'", "SET TIME ZONE 'Asia/Shanghai'",
                     "SET statement_timeout = 10000", "SET intervalstyle TO postgres", "SET client_min_messages TO warning",
                     "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET row_security = off",
                     "SET lock_timeout = 0", "SET idle_in_transaction_session_timeout = 0", "SET bytea_output = 'hex'"]:
            c.execute(text)
        c.execute("SELECT count(*) > 0 FROM orders")
        assert c.fetchone() == (True,)
        c.execute(r"""SELECT U&'\0441\+000431', note FROM U&"\006Frders" WHERE id = 9""")
        assert c.fetchone()[0] == "\u0441\u0431"


def test_everything_is_written_down(gate):
    with gate.connect("dora") as dora, dora.cursor() as c:
        c.execute("SELECT id, 'marked' FROM orders WHERE id < 4")
    with gate.connect("carl") as carl:
        refused(carl.cursor(), "ALTER ROLE op_all PASSWORD 'geheim-7'")
        for text in ("ALTER ROLE op_all PASSWORD geheim-7", 'ALTER ROLE op_all PASSWORD "geheim-7"', "SELEKT 'geheim-7'",
                     "SET app.key = 'geheim-7'", "SELECT set_config('app.key', 'geheim-7', false)",
                     "SELECT set_config('app.' || 'key', 'geheim-7', false)", "ALTER ROLE op_all SET app.key = 'geheim-7'",
                     "ALTER DATABASE orders SET app.key = 'geheim-7'", "ALTER SYSTEM SET app.key = 'geheim-7'",
                     "CREATE USER MAPPING FOR op_all SERVER s OPTIONS (user 'x', password 'geheim-7')",
                     "CREATE SUBSCRIPTION s CONNECTION 'host=a password=geheim-7' PUBLICATION p",
                     "SELECT * FROM dblink('host=a password=geheim-7', 'SELECT 1') AS t (a int)"):
            with pytest.raises(psycopg2.Error):
                carl.cursor().execute(text)
            carl.rollback()

    def events():
        return str(gate.audrey.items("/admin/ledger/events?limit=200"))

    wait_for("both statements in the ledger", 20,
             lambda: "'marked'" in events() and "ALTER ROLE op_all PASSWORD '***'" in events() and "dblink('***'" in events(),
             0.3)
    assert "geheim-7" not in events()
    assert "geheim-7" not in gate.office.log()


def test_another_name_is_no_way_around(gate):
    before = counts(gate)
    with gate.connect("bea") as bea, bea.cursor() as c:
        c.execute("CREATE TABLE made (id int)")
        c.execute("INSERT INTO made VALUES (1)")
        refused(c, "CREATE VIEW other AS SELECT * FROM audit.entries")
        bea.rollback()
        c.execute("CREATE VIEW other AS SELECT * FROM orders")
        refused(c, "DELETE FROM other", "42P01")
        bea.rollback()
        refused(c, "CREATE VIEW other AS SELECT * FROM orders; DELETE FROM other", "42P01")
        bea.rollback()
        refused(c, "CREATE TEMP VIEW other AS SELECT * FROM audit.entries")
        bea.rollback()
        refused(c, "CREATE FUNCTION lower(int) RETURNS text LANGUAGE sql AS 'DELETE FROM audit.entries RETURNING who'")
        bea.rollback()
        for of in ("customers", "anyelement", "record, int DEFAULT 1", "public.orders, OUT a bigint"):  # "c.ff" may call it
            refused(c, f"CREATE FUNCTION ff({of}) RETURNS bigint LANGUAGE sql AS "
                       "'WITH d AS (DELETE FROM audit.entries RETURNING *) SELECT count(*) FROM d'")
            bea.rollback()
    assert counts(gate) == before


OTHER_ROWS = [
    ["DROP TABLE plain", "CREATE VIEW plain AS SELECT * FROM audit.entries"],
    ["DROP TABLE plain; CREATE VIEW plain AS SELECT * FROM audit.entries"],
    ["DROP TABLE plain", "ALTER VIEW entries_seen RENAME TO plain"],
    ["DROP TABLE plain", "CREATE TEMP TABLE plain (id int, what text)", "DROP TABLE plain",
     "CREATE VIEW plain AS SELECT * FROM audit.entries"],
]

SAME_PART = "DROP TABLE plain; CREATE VIEW plain AS SELECT id, note AS what FROM orders"


@pytest.fixture
def plain(gate):
    gate.sql("CREATE TABLE plain (id int, what text)", "INSERT INTO plain VALUES (1, 'x')", "ALTER TABLE plain OWNER TO op_all",
             "CREATE VIEW entries_seen AS SELECT * FROM audit.entries", "ALTER VIEW entries_seen OWNER TO op_all")
    yield
    gate.sql("DROP VIEW entries_seen", "DO $$ BEGIN DROP TABLE plain; EXCEPTION WHEN OTHERS THEN DROP VIEW plain; END $$")


def test_a_name_that_gets_other_rows(gate, plain):
    """Somebody who may not touch audit.entries gives a name that he may use to its rows."""
    before = counts(gate)
    with gate.connect("bea") as bea, bea.cursor() as c:
        wait_for("the table is known", 10, lambda: fine(bea, "UPDATE plain SET what = 'y' WHERE id = 1"), 0.1)
        for steps in OTHER_ROWS:
            for step in steps[:-1]:
                c.execute(step)
            refused(c, steps[-1])
            bea.rollback()
            refused(c, "; ".join([*steps, "DELETE FROM plain WHERE id = 1"]))
            bea.rollback()
        c.execute(SAME_PART)  # of which policy says the same; what the name stands for then is looked at
        refused(c, "DELETE FROM plain WHERE id = 1", "42P01")
        bea.rollback()
        c.execute("PREPARE gone AS DELETE FROM plain WHERE id = 1")
        c.execute(SAME_PART)
        refused(c, "EXECUTE gone", "42P01")
        bea.rollback()
        refused(c, SAME_PART + "; EXECUTE gone", "0A000")
        bea.rollback()
        c.execute("DELETE FROM plain WHERE id = 1")
        assert c.rowcount == 1
        bea.rollback()
    assert counts(gate) == before


def test_other_rows_for_everybody_at_once(gate, plain):
    """What was committed holds for the next statement of each session, also for what it prepared before."""
    before = counts(gate)
    with contextlib.closing(gate.connect("dora")) as dora, contextlib.closing(gate.connect("bea")) as other, \
            contextlib.closing(Raw(gate.port, tls=None)) as raw:
        dora.autocommit = other.autocommit = True
        assert raw.log_in("bea", "orders-db", gate.password("bea"))[-1][0] == "Z"
        wait_for("the table is known", 10, lambda: fine(other, "DELETE FROM plain WHERE id = 7"), 0.1)
        raw.send(parse("DELETE FROM plain WHERE id = 1", "gone"), SYNC)
        assert raw.until()[0][0] == "1"
        dora.cursor().execute(OTHER_ROWS[1][0])
        refused(other.cursor(), "DELETE FROM plain WHERE id = 1")
        raw.send(bind(name="gone"), execute(), SYNC)
        assert "E" in [kind for kind, _ in raw.until()]
    assert counts(gate) == before


ALL_OF_ENTRIES = "SELECT * FROM audit.entries"
STANDING_IN = [  # how a temporary table would come to stand for the rows of a table that is not hers; the last is refused
    ["CREATE TEMP TABLE tt (LIKE plain)", f'CREATE RULE "_RETURN" AS ON SELECT TO tt DO INSTEAD {ALL_OF_ENTRIES}'],
    ["CREATE TEMP TABLE tt (LIKE plain)", "CREATE RULE r AS ON DELETE TO tt DO INSTEAD DELETE FROM plain WHERE id = 1"],
    ["CREATE TEMP TABLE tt (x int)", "CREATE VIEW vv AS SELECT * FROM plain WHERE NOT EXISTS (SELECT FROM tt)"],
    ["CREATE TEMP TABLE plain (x int)", "CREATE VIEW vv AS SELECT p.* FROM plain p"],
    ["CREATE TEMP TABLE tt (x int)", "ALTER TABLE tt RENAME TO ss", "CREATE VIEW vv AS SELECT * FROM plain WHERE NOT EXISTS (SELECT FROM ss)"],
    ["SELECT 1 AS x INTO TEMP tt; CREATE VIEW vv AS SELECT * FROM plain WHERE NOT EXISTS (SELECT FROM tt)"],
    ["CREATE TABLE ours (LIKE plain)", f'CREATE RULE "_RETURN" AS ON SELECT TO ours DO INSTEAD {ALL_OF_ENTRIES}'],
    ["CREATE VIEW vv AS SELECT * FROM pg_settings"],
]


@pytest.mark.parametrize("steps", STANDING_IN)
def test_a_temporary_table_stands_for_no_other(gate, plain, steps):
    with contextlib.closing(gate.connect("bea")) as other:
        other.autocommit = True
        wait_for("the table is known", 10, lambda: fine(other, "UPDATE plain SET what = 'y' WHERE id = 1"), 0.1)
    with gate.connect("bea") as bea, bea.cursor() as c:
        for step in steps[:-1]:
            c.execute(step)
        refused(c, steps[-1])


def test_a_name_that_was_temporary(gate):
    """It is somebody else's view by now: the first statement after that one's commit looks again."""
    before = counts(gate)
    with contextlib.closing(gate.connect("bea")) as bea, contextlib.closing(gate.connect("dora")) as dora:
        bea.autocommit = dora.autocommit = True
        bea.cursor().execute("CREATE TEMP TABLE was_mine (x int)")
        bea.cursor().execute("DROP TABLE was_mine")
        try:
            dora.cursor().execute("CREATE VIEW was_mine AS SELECT * FROM audit.entries")
            refused(bea.cursor(), "DELETE FROM was_mine")
        finally:
            gate.sql("DROP VIEW IF EXISTS was_mine")
    assert counts(gate) == before


POOLERS = {  # what each sends before it gives a connection to the next one
    "pgbouncer, HikariCP, Npgsql, psycopg2's reset()": ["DISCARD ALL"],
    "asyncpg": ["SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;"],
    "Npgsql with prepared statements": ["CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; "
                                        "SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP"],
    "pgx, odyssey": ["ROLLBACK", "RESET ALL", "RESET SESSION AUTHORIZATION", "RESET ROLE", "SET ROLE NONE", "DEALLOCATE ALL"],
}


@pytest.mark.parametrize("pooler", POOLERS)
def test_poolers_reset(gate, pooler):
    """A connection that is given on is as it was at first: no names, no settings of who had it, and ours still hold."""
    with contextlib.closing(gate.connect("carl")) as carl, carl.cursor() as c:
        carl.autocommit = True
        c.execute("SHOW search_path")
        path = c.fetchone()
        for text in ["SET work_mem = '5MB'", "PREPARE p AS SELECT count(*) FROM orders", "SET search_path = pg_catalog",
                     "CREATE TEMP TABLE scratch (id int)"]:
            c.execute(text)
        for text in POOLERS[pooler]:
            c.execute(text)
        c.execute("SELECT current_setting('search_path'), current_setting('client_encoding'), current_setting('work_mem'), "
                  "current_user, session_user")
        assert c.fetchone() == (*path, "UTF8", "4MB", "op_all", "op_all")
        if "DISCARD ALL" in POOLERS[pooler] or "DEALLOCATE ALL" in POOLERS[pooler]:
            refused(c, "EXECUTE p", "26000")
            c.execute("PREPARE p AS SELECT 1")
            c.execute("EXECUTE p")
            assert c.fetchone() == (1,)
        c.execute("SELECT count(*) > 0 FROM orders")
        assert c.fetchone() == (True,)
        refused(c, "DELETE FROM orders")


def test_a_reset_forgets_what_was_prepared_on_the_wire(gate):
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        assert raw.log_in("carl", "orders-db", gate.password("carl"))[-1][0] == "Z"
        raw.send(parse("SELECT 1", "one"), SYNC)
        assert raw.until()[0][0] == "1"
        raw.send(message("Q", b"DISCARD ALL\0"))
        assert [kind for kind, _ in raw.until() if kind in "CE"] == ["C"]
        raw.send(bind(name="one"), execute(), SYNC)
        assert b"26000" in dict(raw.until())["E"]
        raw.send(parse("SELECT 2", "one"), bind(name="one"), execute(), SYNC)
        assert [kind for kind, _ in raw.until()] == ["1", "2", "D", "C", "Z"]


def test_locks_of_who_waits(gate, plain):
    """Reading the catalogue may have to wait for locks of a session that waits for it: neither waits for ever."""
    with contextlib.closing(gate.connect("dora")) as dora, contextlib.closing(gate.connect("dora")) as other:
        other.autocommit = True
        c = dora.cursor()
        c.execute("ALTER TABLE customers ADD COLUMN extra int")  # v_customers reads it
        c.execute("CREATE TABLE fresh_one (id int)")
        began = time.monotonic()
        c.execute("INSERT INTO fresh_one VALUES (1)")  # a name that the gate does not know
        assert time.monotonic() - began < 3, "what is not committed is not looked for"
        other.cursor().execute("CREATE VIEW of_others AS SELECT 1 AS one")
        began = time.monotonic()
        c.execute("INSERT INTO fresh_one VALUES (2)")
        assert time.monotonic() - began < 4, "views of what is locked are read without what they say"
        dora.rollback()
        wait_for("the gate has looked", 10, lambda: fine(other, "SELECT one FROM of_others"), 0.2)
        other.cursor().execute("DROP VIEW of_others")

# SPDX-License-Identifier: Apache-2.0
"""Masked columns through the database gate: what is seen, in which protocol, and every way that would tell more.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate".
"""
import contextlib
import csv
import ctypes
import io
import subprocess
import time

import psycopg2
import pytest

from dbgatelib import DBA_DOES_ALL, office_of, orders_documents
from officelib import wait_for
from pgraw import SYNC, Raw, bind, closes, describe, execute, fields, parse, query

DOCUMENTS = orders_documents(
    ["dba", "analyst", "clerk"],
    DBA_DOES_ALL + """\
kind: Rule
name: analysts see masked people
who: { roles: [analyst] }
to: { resources: [orders-db] }
may: [connect, read, write, export, alter]
with: { mask: [personal-info] }
---
kind: Rule
name: clerks read masked people
who: { roles: [clerk] }
to: { resources: [orders-db] }
may: [connect, read]
with: { mask: [personal-info] }
---
kind: Rule
name: clerks change people, by a rule that says nothing of masks
who: { roles: [clerk] }
to: { resources: [orders-db] }
may: [write, alter]
""",
    postgres="""\
  parts:
    - table: public.customers
      class: internal
      columns:
        - { name: phone, mask: mobile, tags: [personal-info] }
        - { name: id_number, mask: mainland-id, tags: [personal-info] }
        - { name: email, mask: email, tags: [personal-info] }
    - table: public.extra
      class: internal
      columns: [{ name: phone, mask: mobile, tags: [personal-info] }]
    - table: public.cards
      class: internal
      columns:
        - { name: card, mask: bank-card, tags: [personal-info] }
        - { name: holder, mask: name, tags: [personal-info] }
        - { name: amount, mask: bank-card, tags: [personal-info] }
""",
)


gate = office_of(DOCUMENTS, (("dora", "dba"), ("anna", "analyst"), ("carl", "clerk")))


def rows(gate, name, text):
    with gate.connect(name) as connection, connection.cursor() as c:
        c.execute(text)
        return c.fetchall()


def test_masked_and_clear(gate):
    text = "SELECT id, name, phone, id_number, email FROM customers WHERE id = 7"
    assert rows(gate, "dora", text) == [(7, "name 7", "13800130007", "11010519491231002X", "person7@example.com")]
    assert rows(gate, "anna", text) == [(7, "name 7", "138****0007", "110*************2X", "p***@example.com")]
    assert rows(gate, "anna", "SELECT count(*), max(id) FROM customers") == [(20, 20)]
    assert rows(gate, "anna", "SELECT o.id, c.phone AS p FROM orders o JOIN customers c ON c.id = o.customer_id "
                              "WHERE o.id = 6") == [(6, "138****0007")]
    assert rows(gate, "anna", "SELECT * FROM v_customers WHERE id = 7") == [(7, "name 7", "138****0007")]
    assert rows(gate, "anna", "SELECT name FROM v_names WHERE id = 7") == [("name 7",)]
    assert rows(gate, "anna", "SELECT (SELECT phone FROM customers WHERE id = 7)") == [("***",)]
    assert rows(gate, "anna", "SELECT c FROM customers c WHERE id = 7") == [(None,)]
    assert rows(gate, "anna", "WITH c AS (SELECT * FROM customers) SELECT phone FROM c WHERE id = 7") == [
        ("138****0007",)]
    assert rows(gate, "anna", "SELECT phone FROM customers WHERE id = 7 UNION ALL SELECT note FROM orders WHERE id = 1"
                ) == [("***",), ("***",)]
    assert rows(gate, "anna", "UPDATE customers SET note = 'n' WHERE id = 7 RETURNING phone") == [("138****0007",)]


@pytest.mark.parametrize("text", [
    "SET enable_seqscan = off", "SET LOCAL enable_bitmapscan = off", "SET random_page_cost = 0", "SET plan_cache_mode = auto",
    "SELECT set_config('enable_seqscan', 'off', false)",
    "SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'enable_seqscan'",
    "SELECT phone FROM customers WHERE id = 1; COPY orders TO STDOUT"])
def test_whose_order_or_rows_nobody_masks(gate, text):
    """An index that begins with a masked column gives rows in its order, and the planner is who takes it."""
    with gate.connect("anna") as anna, anna.cursor() as c:
        with pytest.raises(psycopg2.Error) as what:
            c.execute(text)
        assert what.value.pgcode == "42501" and "masked columns" in str(what.value)
        anna.rollback()
        c.execute("SET work_mem = '5MB'; RESET enable_seqscan; SET jit = off; SELECT set_config('jit', 'off', false)")
    if "COPY" not in text:
        with gate.connect("dora") as dora, dora.cursor() as c:
            c.execute(text)


@pytest.mark.parametrize("text", [
    "UPDATE customers SET note = phone WHERE id = 7", "UPDATE customers SET note = 'x' WHERE phone LIKE '138%'",
    "UPDATE orders SET note = customers.phone FROM customers", "DELETE FROM customers WHERE phone = '13800130007'",
    "ALTER TABLE customers ADD p2 text GENERATED ALWAYS AS (phone) STORED"])
def test_a_change_sees_no_more_than_who_makes_it(gate, text):
    assert rows(gate, "carl", "UPDATE customers SET phone = '13800130007' WHERE id = 7 RETURNING id") == [(7,)]
    with gate.connect("carl") as carl, carl.cursor() as c:
        with pytest.raises(psycopg2.Error) as what:
            c.execute(text)
        assert what.value.pgcode == "42501" and "mask" in str(what.value)


TELLING = [
    "SELECT id FROM customers WHERE phone = '13800130007'", "SELECT id FROM customers ORDER BY phone",
    "SELECT phone FROM customers ORDER BY 1", "SELECT substr(phone, 1) FROM customers",
    "SELECT phone::int FROM customers", "SELECT row_to_json(c) FROM customers c", "SELECT c.to_json FROM customers c",
    "SELECT DISTINCT phone FROM customers", "SELECT count(*) FROM customers GROUP BY phone",
    "SELECT id FROM orders WHERE note IN (SELECT phone FROM customers)", "COPY customers TO STDOUT (NULL '')",
    "COPY customers TO STDOUT (ENCODING 'LATIN1')", "COPY (SELECT c FROM customers c) TO STDOUT",
    "COPY (SELECT phone || '' FROM customers) TO STDOUT", "COPY (TABLE customers UNION TABLE customers) TO STDOUT",
    "COPY (SELECT x.phone FROM (SELECT phone FROM customers) x) TO STDOUT",
    "COPY (WITH c AS (TABLE customers) SELECT phone FROM c) TO STDOUT", "COPY customers TO STDOUT; SELECT 1",
    "COPY (UPDATE customers SET note = 'x' WHERE id = 1 RETURNING *) TO STDOUT", "CREATE TABLE t AS SELECT * FROM customers",
    "CREATE TEMP TABLE t AS SELECT phone FROM customers", "INSERT INTO orders (id, note) SELECT id, phone FROM customers",
    "UPDATE customers SET note = phone WHERE id = 1", "SELECT most_common_vals FROM pg_stats",
    "SELECT stavalues1 FROM pg_statistic", "SELECT query FROM pg_stat_activity", "SELECT data FROM pg_largeobject",
    "LISTEN everything", "SELECT * INTO t FROM customers", "CREATE VIEW v AS SELECT phone FROM customers",
    "SELECT phone FROM customers INTERSECT SELECT note FROM orders", "SELECT phone LIKE '138%' FROM customers",
    "SELECT 1 FROM customers a JOIN orders b ON a.phone = b.note", "SELECT max(phone) FROM customers",
    "SELECT q FROM (SELECT phone AS q FROM customers) x WHERE q = '1'", "SELECT tel FROM v_customers WHERE tel = '1'",
    "SELECT z FROM (SELECT phone FROM customers) x(z) WHERE z = '1'",
    "SELECT phone FROM customers UNION SELECT phone FROM customers",
    "SELECT query FROM pg_stat_get_activity(NULL)", "SELECT lo_get(1)", "SELECT loread(lo_open(1, 262144), 100)",
    "SELECT pg_stat_get_backend_activity(b) FROM pg_stat_get_backend_idset() b",
    "CREATE TABLE probe (x text REFERENCES customers)", "CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW "
    "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "SELECT 1 FROM customers a JOIN customers b USING (phone)", "EXPLAIN ANALYZE SELECT 1 FROM customers WHERE phone = '1'",
]


def test_who_defines_sees_no_more_than_who_reads(gate):
    """Also where the rule by which he may says nothing of masks, and where no table is named."""
    gate.sql("CREATE DOMAIN phone_t AS text", "CREATE TABLE calls (id int, phone phone_t)", "ALTER DOMAIN phone_t OWNER TO op_all",
             "ALTER TABLE calls OWNER TO op_all")
    with gate.connect("carl") as carl, carl.cursor() as c:
        for text in ("ALTER DOMAIN phone_t ADD CONSTRAINT c CHECK (VALUE <> '13800130007')", "ALTER DOMAIN phone_t SET NOT NULL",
                     "CREATE FUNCTION lower(text, int) RETURNS int LANGUAGE sql AS 'SELECT 1'"):
            with pytest.raises(psycopg2.Error) as what:
                c.execute(text)
            assert what.value.pgcode == "42501", text
            carl.rollback()
        c.execute("ALTER DOMAIN phone_t DROP NOT NULL")
        c.execute("CREATE TYPE colour AS ENUM ('red')")
        carl.rollback()
    gate.sql("DROP TABLE calls", "DROP DOMAIN phone_t")


@pytest.mark.parametrize("text", TELLING)
def test_what_would_tell_is_refused(gate, text):
    with gate.connect("anna") as anna, anna.cursor() as c:
        with pytest.raises(psycopg2.Error) as what:
            c.execute(text) if not text.startswith("COPY") else c.copy_expert(text, open("/dev/null", "w"))
        # what reads like a column is told to be neither a column nor a function that may be called
        assert what.value.pgcode == ("42703" if "c.to_json" in text else "42501"), what.value
        assert "138001300" not in str(what.value)


CODE = [
    "CREATE OR REPLACE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.note := OLD.phone; RETURN NEW; END$$",
    "CREATE OR REPLACE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN DELETE FROM orders; RETURN NEW; END$$",
    "CREATE FUNCTION helper(i int) RETURNS int LANGUAGE sql AS 'DELETE FROM orders RETURNING 1'",
    "ALTER FUNCTION helper(bigint) RENAME TO other", "ALTER FUNCTION helper(bigint) SET SCHEMA audit",
    "ALTER FUNCTION helper(bigint) SECURITY DEFINER",
]


@pytest.fixture
def noted(gate):
    """A trigger whose function is there, and which calls another by name."""
    with gate.direct("op_all") as plain:
        plain.cursor().execute(
            "CREATE FUNCTION helper(i bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';"
            "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM helper(OLD.id); RETURN NEW; END$$;"
            "CREATE TRIGGER noted BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION noted()")
    yield
    gate.sql("DROP TRIGGER noted ON customers", "DROP FUNCTION noted", "DROP FUNCTION helper(bigint)")


def test_code_that_others_run_is_not_replaced(gate, noted):
    """Who may change tables and write, but neither destroy nor see, does neither by what runs already."""
    anna = gate.connect("anna")
    anna.autocommit = True
    with anna.cursor() as c:

        def known():
            try:
                c.execute("ALTER FUNCTION helper(bigint) SECURITY DEFINER")
            except psycopg2.errors.InsufficientPrivilege:
                return True
            return False

        wait_for("the catalogue", 15, known)
        for text in CODE:
            with pytest.raises(psycopg2.Error) as what:
                c.execute(text)
            assert what.value.pgcode == "42501", text
        c.execute("UPDATE customers SET name = name WHERE id = 7")
        c.execute("SELECT note FROM customers WHERE id = 7")
        assert "13800130007" not in str(c.fetchall())
        c.execute("CREATE FUNCTION of_my_own(i int, j int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        c.execute("ALTER FUNCTION of_my_own(int, int) STABLE")
    anna.close()
    assert gate.sql("SELECT count(*) FROM orders")[0] == (200,)
    gate.sql("DROP FUNCTION of_my_own(int, int)")


# ---- COPY ----

csv.field_size_limit(1 << 24)


def copied(gate, name, text):
    with gate.connect(name) as connection, connection.cursor() as c:
        out = io.BytesIO()
        c.copy_expert(text, out)
        return out.getvalue()


COPIES = ["COPY customers TO STDOUT", "COPY customers (phone, id, email) TO STDOUT (FORMAT csv, HEADER)",
          "COPY customers TO STDOUT (FORMAT csv, FORCE_QUOTE *, DELIMITER ';', QUOTE '\'\'', NULL 'none')",
          "COPY customers TO STDOUT CSV ESCAPE '!' QUOTE '%'", "COPY customers TO STDOUT WITH DELIMITER '|' NULL E'\\\\N'",
          "COPY (SELECT c.id, c.*, o.note FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY o.id) TO STDOUT",
          "COPY (SELECT id, tel FROM v_customers ORDER BY id) TO STDOUT (FORMAT csv)",
          "COPY customers TO STDOUT (FORMAT binary)", "COPY (SELECT phone, id_number FROM customers) TO STDOUT BINARY"]


def test_a_temporary_table_shifts_no_column_of_a_copy(gate):
    """It hides a table of the same name, and has columns that the gate does not know: masks go by place in a COPY."""
    with contextlib.closing(gate.connect("anna")) as anna:
        anna.autocommit = True
        c = anna.cursor()
        c.execute("CREATE TEMP TABLE orders AS SELECT 1 AS a, 2 AS b")
        with pytest.raises(psycopg2.Error, match="name its schema"):
            c.copy_expert("COPY (SELECT o.*, c.* FROM orders o, customers c) TO STDOUT", io.BytesIO())
        c.execute("DROP TABLE pg_temp.orders")

        def copied_then():
            out = io.BytesIO()
            with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):  # until the gate has read what was defined
                c.copy_expert("COPY (SELECT o.id, c.phone FROM public.orders o, public.customers c) TO STDOUT", out)
            return out.getvalue()

        got = wait_for("the copy", 10, copied_then)
        assert b"138****0001" in got and b"13800130001" not in got


@pytest.fixture
def hard_rows(gate):
    """Values that are hard to write: of several lines, with every quote, long, like a NULL, none."""
    gate.sql("INSERT INTO customers VALUES (901, E'a\tb\\\\c\n\"d\"', E'13800\n130901', E'\\\\N', 'a,b''%!\"@example.com', "
             "E'\\\\.\n\\\\.'), (902, 'n', NULL, '', NULL, NULL), (903, 'n', 'none', repeat('110105', 300000), '\"', '|;!%'), "
             "(904, '', '13800130904', '11010519491231002X', 'x@y', repeat('clear', 400000))")
    yield
    gate.sql("DELETE FROM customers WHERE id > 900")


@pytest.mark.parametrize("text", COPIES)
def test_copy_masks_what_a_select_masks(gate, hard_rows, text):
    """What the server makes of the copy, and of what SELECT shows the same person, are the same rows."""
    masked, clear = copied(gate, "anna", text), copied(gate, "dora", text)
    assert b"138001300" in clear and masked != clear
    for secret in (b"138001300", b"11010519491231002X", b"110105110105", b"person7@", b"130901", b"x@y"):
        assert secret not in masked
    assert masked.count(b"clear") == clear.count(b"clear")
    if "CSV" in text.upper() and "HEADER" not in text:
        words = text.upper()
        kwargs = {"delimiter": ";" if "';'" in words else ",", "doublequote": "ESCAPE" not in words,
                  "quotechar": "'" if "QUOTE \'\'" in text else "%" if "'%'" in words else '"'}
        if "ESCAPE" in words:
            kwargs["escapechar"] = "!"
        rows_masked = list(csv.reader(io.StringIO(masked.decode(), newline=""), **kwargs))
        rows_clear = list(csv.reader(io.StringIO(clear.decode(), newline=""), **kwargs))
        assert [(r[0], r[-1] if "v_" not in text else "") for r in rows_masked] == [
            (r[0], r[-1] if "v_" not in text else "") for r in rows_clear]


def test_copied_rows_are_the_rows_that_select_shows(gate, hard_rows):
    """Put into a table of the server, by the server's own reading of each format."""
    wanted = rows(gate, "anna", "SELECT * FROM customers WHERE id <> 903 ORDER BY id")
    gate.sql("CREATE TABLE put (LIKE customers)", "GRANT ALL ON put TO op_all")
    try:
        for options in ["", "(FORMAT csv)", "(FORMAT binary)", "(FORMAT csv, HEADER, FORCE_QUOTE *, DELIMITER '|')",
                        "(FORMAT csv, QUOTE '%', ESCAPE '!')", "(DELIMITER ',')"]:
            data = copied(gate, "anna", f"COPY customers TO STDOUT {options}")
            with gate.direct("op_all") as plain, plain.cursor() as c:
                c.execute("TRUNCATE put")
                c.copy_expert(f"COPY put FROM STDIN {options.replace('FORCE_QUOTE *, ', '')}", io.BytesIO(data))
                c.execute("SELECT * FROM put WHERE id <> 903 ORDER BY id")
                assert c.fetchall() == wanted, options
                c.execute("SELECT phone, id_number, email, note FROM put WHERE id = 903")
                assert c.fetchone() == ("***", "***", "***", "|;!%")
    finally:
        gate.sql("DROP TABLE put")


def test_cards_and_names(gate):
    """As docs/DATABASE.md says; what does not look like a card is "***", and what is no text is NULL."""
    gate.sql("CREATE TABLE cards (id int, card text, holder text, amount bigint)", "GRANT ALL ON cards TO op_all",
             "INSERT INTO cards VALUES (1, '6222 0212 3456 7890 123', '王小明', 622202123456), (2, '12345678901', '', NULL)")

    def seen():
        try:
            return rows(gate, "anna", "SELECT card, holder, amount FROM cards")
        except psycopg2.errors.InsufficientPrivilege:
            return None  # until the gate knows it

    try:
        found = wait_for("the catalogue", 30, seen)
        assert found == [("************0123", "王**", None), ("***", "***", None)], found
    finally:
        gate.sql("DROP TABLE cards")


def test_psql_copies_masked(gate):
    done = gate.psql("anna", "\\copy customers (id, phone) to stdout with (format csv)\n"
                             "\\copy (select phone from customers where id = 7) to stdout\n")
    assert done.returncode == 0, done.stderr
    assert "7,138****0007" in done.stdout.splitlines() and done.stdout.splitlines()[-1] == "138****0007"


def test_generated_columns_are_left_out(gate):
    """The server copies all columns but these: it must not shift the masks."""
    gate.sql("CREATE TABLE extra (id int, twice int GENERATED ALWAYS AS (id * 2) STORED, phone text)",
             "INSERT INTO extra VALUES (1, DEFAULT, '13800130001')", "GRANT ALL ON extra TO op_all")
    try:
        masked, found = b"138****0001\t1\n", b""
        end = time.monotonic() + 30
        anna = gate.connect("anna")
        anna.autocommit = True
        while found != masked:  # refused until the gate knows it, and never in clear
            assert time.monotonic() < end
            out = io.BytesIO()
            try:
                anna.cursor().copy_expert("COPY extra (phone, id) TO STDOUT", out)
            except psycopg2.Error as error:
                assert error.pgcode == "42501", error
            found = out.getvalue()
            assert found in (b"", masked)
        anna.close()
        assert copied(gate, "anna", "COPY extra (phone, id) TO STDOUT") == b"138****0001\t1\n"
        with pytest.raises(psycopg2.Error) as what:
            copied(gate, "anna", "COPY extra TO STDOUT")
        assert what.value.pgcode == "0A000" and "13800130001" not in str(what.value)
    finally:
        gate.sql("DROP TABLE extra")


def test_what_is_computed_of_a_masked_column_is_masked(gate):
    gate.sql("CREATE TABLE extra (id int, phone text, up text GENERATED ALWAYS AS (upper(phone)) STORED, twice int GENERATED ALWAYS AS (id * 2) STORED)",
             "INSERT INTO extra VALUES (1, '13800130001')", "GRANT ALL ON extra TO op_all")
    try:
        masked = [("138****0001", "***", 2)]

        def seen():
            try:
                return rows(gate, "anna", "SELECT phone, up, twice FROM extra") == masked
            except psycopg2.Error:
                return False

        wait_for("the catalogue", 30, seen)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            rows(gate, "anna", "SELECT 1 FROM extra WHERE up LIKE '138%'")
        assert rows(gate, "anna", "SELECT 1 FROM extra WHERE twice = 2") == [(1,)]
    finally:
        gate.sql("DROP TABLE extra")


def test_a_dump_by_who_sees_masked(gate):
    """pg_dump through the gate: all rows, and of masked columns the masks."""
    env = {"PGPASSWORD": gate.password("anna"), "PATH": "/usr/bin:/bin", "PGSSLMODE": "disable"}
    done = subprocess.run(["pg_dump", "-h", "127.0.0.1", "-p", str(gate.port), "-U", "anna", "-d", "orders-db", "-t",
                           "customers", "-t", "orders"], env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "7\tname 7\t138****0007\t110*************2X\tp***@example.com\t" in done.stdout
    assert "13800130007" not in done.stdout and done.stdout.count("order 1") > 100


def test_cursors_and_prepared_by_name(gate):
    with gate.connect("anna") as anna, anna.cursor() as c:
        c.execute("PREPARE p AS SELECT phone FROM customers WHERE id = $1")
        c.execute("EXECUTE p(7)")
        assert c.fetchall() == [("138****0007",)]
        c.execute("DECLARE k CURSOR FOR SELECT phone FROM customers ORDER BY id")
        c.execute("FETCH 2 FROM k")
        assert c.fetchall() == [("138****0001",), ("138****0002",)]
        c.execute("DECLARE b BINARY CURSOR FOR SELECT phone FROM customers WHERE id = 7")
        c.execute("FETCH ALL FROM b")
        assert c.fetchall() in ([("138****0007",)], [(b"138****0007",)])


def test_what_runs_by_a_name_shows_what_nobody_masked(gate):
    """As the statement itself does, by whichever protocol."""
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        assert raw.log_in("anna", "orders-db", gate.password("anna"))[-1][0] == "Z"
        for text in ("BEGIN", "DECLARE c SCROLL CURSOR FOR SELECT upper(note), 'seen'::text FROM orders WHERE id < 3 ORDER BY id",
                     "DECLARE m SCROLL CURSOR FOR SELECT phone, 'seen'::text FROM customers WHERE id < 3",
                     "PREPARE p AS SELECT lower(note), 'seen'::text FROM orders WHERE id < 3"):
            assert not [body for kind, body in raw.ask(text) if kind == "E"], text
        for text, rows in (("FETCH ALL FROM c", 2), ("EXECUTE p", 2), ("FETCH ALL FROM m", 2)):
            raw.send(parse(text) + bind() + describe() + execute() + SYNC)
            found = [body for kind, body in raw.until("Z") if kind == "D"]
            assert len(found) == rows and all(b"seen" in body for body in found), (text, found)
            assert not any(b"1380013" in body for body in found)
        raw.ask("ROLLBACK")


@pytest.mark.parametrize("first, then, run, drop", [
    ("DECLARE c CURSOR FOR {}", "CLOSE c; DECLARE c CURSOR FOR {}", "FETCH ALL FROM c", "CLOSE c"),
    ("PREPARE c AS {}", "DEALLOCATE c; PREPARE c AS {}", "EXECUTE c", "DEALLOCATE c")])
def test_what_runs_by_a_name_is_masked_as_what_it_meant(gate, first, then, run, drop):
    """The server describes it as of its Bind or Parse, and runs what the name means later; and it keeps the rows that it found."""
    clear, masked = "SELECT id, name FROM customers ORDER BY id", "SELECT id, phone FROM customers ORDER BY id"
    ways = [
        # run in part, then forgotten
        (masked, [parse(run) + bind("p") + describe("p") + execute("p", 1) + SYNC, query(drop), execute("p") + SYNC]),
        (masked, [parse(run) + bind("p") + describe("p") + execute("p", 1) + SYNC, query(then.format("SELECT 1, 'x'::text")),
                  describe("p") + execute("p") + SYNC]),
        (masked, [parse(run) + bind("p") + describe("p") + execute("p", 1) + SYNC, query(then.format("SELECT 1, 'x'::text")),
                  query("FETCH ALL FROM p")]),
        # bound to one, run of another
        (clear, [parse(run) + bind("p") + SYNC, query(then.format(masked)), describe("p") + execute("p") + SYNC]),
        (clear, [parse(run, "f") + SYNC, query(then.format(masked)), bind("p", "f") + describe("f", "S") + execute("p") + SYNC])]
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        assert raw.log_in("anna", "orders-db", gate.password("anna"))[-1][0] == "Z"
        for text, messages in ways:
            raw.ask("DEALLOCATE ALL")
            assert "E" not in [kind for kind, _ in raw.ask("BEGIN") + raw.ask(first.format(text))]
            for one in messages:
                raw.send(one)
                found = raw.until()
                assert not any(b"1380013" in body for _, body in found), (text, one, found)
            assert "E" in [kind for kind, _ in found], (text, one, found)
            raw.ask("ROLLBACK")


def test_errors_do_not_quote_masked_values(gate):
    gate.sql("CREATE UNIQUE INDEX IF NOT EXISTS one_phone ON customers (phone)")
    with gate.connect("anna") as anna, anna.cursor() as c:
        with pytest.raises(psycopg2.Error) as what:
            c.execute("INSERT INTO customers (id, name, phone) VALUES (900, 'x', '13800130007') RETURNING phone")
        assert what.value.pgcode == "23505"
        assert "13800130007" not in str(what.value) and "13800130007" not in str(what.value.diag.message_detail)


class Libpq:
    """The extended protocol with binary results, as C clients use it."""

    def __init__(self, settings):
        self.lib = ctypes.CDLL("libpq.so.5")
        self.lib.PQconnectdb.restype = self.lib.PQexecParams.restype = ctypes.c_void_p
        self.lib.PQgetvalue.restype = self.lib.PQresultErrorMessage.restype = ctypes.c_char_p
        words = " ".join(f"{k}='{v}'" for k, v in settings.items())
        self.conn = ctypes.c_void_p(self.lib.PQconnectdb(words.encode()))
        assert self.lib.PQstatus(self.conn) == 0

    def one(self, text, value, binary):
        values = (ctypes.c_char_p * 1)(value)
        result = ctypes.c_void_p(self.lib.PQexecParams(self.conn, text.encode(), 1, None, values, None, None, binary))
        if self.lib.PQresultStatus(result) != 2:
            return self.lib.PQresultErrorMessage(result).decode()
        got = [self.lib.PQgetvalue(result, 0, i) if not self.lib.PQgetisnull(result, 0, i) else None
               for i in range(self.lib.PQnfields(result))]
        self.lib.PQclear(result)
        return got

    def close(self):
        self.lib.PQfinish(self.conn)


@pytest.mark.parametrize("binary", [0, 1])
def test_extended_protocol(gate, binary):
    anna = Libpq(gate.settings("anna"))
    got = anna.one("SELECT phone, email, name FROM customers WHERE id = $1", b"7", binary)
    assert got == [b"138****0007", b"p***@example.com", b"name 7"]
    assert "masked" in anna.one("SELECT id FROM customers WHERE phone = $1", b"1", binary)
    anna.close()


def test_a_function_of_ones_own(gate):
    with gate.connect("anna") as anna, anna.cursor() as c:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):  # "c.peek" would call it
            c.execute("CREATE FUNCTION peek(customers) RETURNS text LANGUAGE sql AS 'SELECT $1.phone'")
        anna.rollback()
        c.execute("CREATE FUNCTION peek(int, customers) RETURNS text LANGUAGE sql AS 'SELECT $2.phone'")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            c.execute("SELECT peek(1, c) FROM customers c")
        anna.rollback()


# ---- descriptions that are of something else ----

CLEAR, SECRET = "SELECT id, name, name FROM customers WHERE id = 7", "SELECT id, phone, name FROM customers WHERE id = 7"


@pytest.fixture
def raw(gate):
    with contextlib.closing(gate.raw("anna")) as one:
        yield one


def told(found):
    return any(b"13800130007" in body for _, body in found)


def test_the_description_of_another_statement_of_that_name(raw):
    raw.send(parse(CLEAR), describe("", "S"), parse(SECRET), bind(), execute(), SYNC)
    found = raw.until("Z")
    assert not told(found) and "D" not in [kind for kind, _ in found]
    raw.send(parse(CLEAR), describe("", "S"), parse(SECRET), describe("", "S"), bind(), execute(), SYNC)
    found = raw.until("Z")
    assert [body for kind, body in found if kind == "D"] and not told(found)


@pytest.mark.parametrize("make, run, drop", [
    ("DECLARE c CURSOR WITH HOLD FOR {}", "FETCH ALL FROM c", "CLOSE c"), ("PREPARE c AS {}", "EXECUTE c", "DEALLOCATE c")])
def test_a_description_from_before(raw, make, run, drop):
    raw.ask(make.format(CLEAR))
    raw.send(parse(run, "f"), describe("f", "S"), SYNC)
    raw.until("Z")
    raw.ask(drop)
    raw.ask(make.format(SECRET))
    raw.send(bind("", "f"), execute(), SYNC)
    assert not told(raw.until("Z"))
    raw.send(bind("", "f"), describe("", "P"), execute(), SYNC)
    assert not told(raw.until("Z"))


def test_what_a_view_shows_now(gate, raw):
    """It shows another column than when it was described, and is masked before the gate has heard of it at all."""
    gate.sql("CREATE OR REPLACE VIEW v_moves AS SELECT id, name AS word FROM customers", "GRANT ALL ON v_moves TO op_all")
    found = []
    end = time.monotonic() + 30
    while b"name 7" not in b"".join(body for kind, body in found if kind == "D"):
        raw.send(parse("SELECT word, id FROM v_moves WHERE id = 7"), describe("", "S"), bind(), execute(), SYNC)
        found = raw.until("Z")
        assert time.monotonic() < end
        time.sleep(0.2)
    raw.send(parse("SELECT word, id FROM v_moves WHERE id = 7", "s"), describe("s", "S"), SYNC)
    raw.until("Z")
    gate.sql("CREATE OR REPLACE VIEW v_moves AS SELECT id, phone AS word FROM customers",
             "CREATE OR REPLACE VIEW v_new AS SELECT id, phone AS word FROM customers", "GRANT ALL ON v_new TO op_all")
    assert not told(raw.ask("SELECT word FROM v_new WHERE id = 7"))
    time.sleep(8)
    raw.send(bind("", "s"), execute(), SYNC)
    assert not told(raw.until("Z"))


HIDING = [
    "SELECT s.id, s.n AS word FROM (SELECT id, upper(phone) || '#' AS n FROM customers) s",
    "SELECT customers.id, x.x AS word FROM customers, LATERAL unnest(ARRAY[phone]) x(x)",
    "WITH q AS (SELECT id, lower(phone) AS e FROM customers) SELECT q.id, q.e AS word FROM q",
    "SELECT s.id, s.m AS word FROM (SELECT id, max(phone) AS m FROM customers GROUP BY id) s",
]


def test_views_that_give_masked_values_other_names(gate):
    """Masked in full, in all columns, and not to be compared; also where the view keeps its rows."""
    kinds = [("VIEW", f"v_hides_{i}", text) for i, text in enumerate(HIDING)]
    kinds.append(("MATERIALIZED VIEW", "m_hides", HIDING[0]))
    for kind, name, text in kinds:
        gate.sql(f"CREATE {kind} {name} AS {text}", f"GRANT SELECT ON {name} TO op_all")
    try:
        for _, name, _ in kinds:

            def refused():
                try:
                    rows(gate, "anna", f"SELECT id FROM {name} WHERE word = 'x'")
                except psycopg2.errors.InsufficientPrivilege:
                    return True
                return False

            wait_for("the catalogue", 30, lambda: rows(gate, "anna", f"SELECT word FROM {name} LIMIT 1") == [("***",)])
            assert rows(gate, "anna", f"SELECT word FROM {name} LIMIT 1") == [("***",)]
            assert refused(), name
            assert "13800130007" in rows(gate, "dora", f"SELECT word FROM {name} WHERE id = 7")[0][0]
    finally:
        for kind, name, _ in kinds:
            gate.sql(f"DROP {kind} {name}")


def test_what_the_server_tells_of_values_it_tells_through_no_view(gate):
    """Of the server's own tables, too, which stand in nobody's pg_depend."""
    views = {"v_common": "SELECT attname, most_common_vals::text FROM pg_stats", "v_commoner": "SELECT * FROM v_common",
             "v_raw": "SELECT stavalues1::text FROM pg_statistic", "v_asked": "SELECT query FROM pg_stat_get_activity(NULL)"}
    gate.sql("ANALYZE customers", *(f"CREATE VIEW {name} AS {text}" for name, text in views.items()),
             "GRANT SELECT ON " + ", ".join(views) + " TO op_all", "CREATE VIEW v_names_of AS SELECT relname FROM pg_class",
             "GRANT SELECT ON v_names_of TO op_all")
    try:
        wait_for("the catalogue", 30, lambda: rows(gate, "anna", "SELECT count(*) FROM v_names_of WHERE relname = 'customers'") == [(1,)])
        for name in views:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="may tell masked values"):
                rows(gate, "anna", f"SELECT * FROM {name}")
    finally:
        gate.sql("DROP VIEW v_names_of, " + ", ".join(reversed(views)))


@pytest.mark.parametrize("text", [
    "SELECT c AS c FROM (SELECT * FROM customers WHERE id = 7) c",
    "SELECT phone FROM (SELECT id, phone AS p FROM customers WHERE id = 7) phone",
    "SELECT z AS z FROM (orders CROSS JOIN customers AS name) AS z LIMIT 1",
    "SELECT ROW(id, name) FROM customers WHERE id = 7",  # no masked column in it, but who can tell
    "SELECT ARRAY[ROW(id, name)] FROM customers WHERE id = 7",
])
def test_a_whole_row_is_masked_whatever_it_is_called(gate, text):
    assert rows(gate, "anna", text) == [(None,)]
    assert rows(gate, "dora", text)[0][0]


@pytest.mark.parametrize("text", [
    "SELECT '' AS x INTO TEMP t UNION ALL SELECT phone FROM customers",
    "SELECT NULL::customers AS x INTO TEMP t UNION ALL SELECT c FROM customers c",
    "EXPLAIN ANALYZE SELECT '' AS x INTO TEMP t UNION ALL SELECT phone FROM customers",
])
def test_masked_columns_go_into_no_table_by_a_set_operation(gate, text):
    with gate.connect("anna") as connection, connection.cursor() as c:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            c.execute(text)


def test_a_whole_row_by_the_name_of_another(gate):
    """"t.f" calls f with a row of t: which t, the gate and the server have to see alike."""
    gate.sql("CREATE TABLE shapes (id int, concat text)", "INSERT INTO shapes VALUES (7, 'round')", "GRANT ALL ON shapes TO op_all")
    try:
        def known():
            try:
                return rows(gate, "anna", "SELECT s.concat, c.phone FROM shapes s JOIN customers c ON c.id = s.id")
            except psycopg2.errors.InsufficientPrivilege:
                return None

        assert wait_for("the catalogue", 30, known) == [("round", "138****0007")]
        assert rows(gate, "anna", "SELECT public.shapes.concat FROM public.shapes, customers WHERE customers.id = 7") == [("round",)]
        for text in ["SELECT (SELECT public.customers.concat FROM shapes AS customers) FROM public.customers",
                     "SELECT (SELECT q.c FROM shapes AS p, (SELECT p.concat AS c) q) FROM customers p",
                     "SELECT (SELECT p.concat FROM (shapes AS p JOIN orders s ON true) AS j LIMIT 1) FROM customers p",
                     "SELECT q.concat FROM (SELECT p.* FROM customers p, shapes) q",
                     "WITH q AS (SELECT * FROM customers), customers AS (SELECT 1 AS concat) SELECT q.concat FROM q, shapes"]:
            assert "13800130007" in str(gate.sql(text)), text
            with gate.connect("anna") as anna, anna.cursor() as c, pytest.raises(psycopg2.Error) as what:
                c.execute(text)
                raise AssertionError(str(c.fetchall()[:9]))
            assert what.value.pgcode in ("42501", "42703") and "13800" not in str(what.value), (text, what.value)
    finally:
        gate.sql("DROP TABLE shapes")


def test_tables_that_change_places(gate, raw):
    """A statement that was described before its table was swapped reads the new one, with the old one's description."""
    gate.sql("CREATE TABLE extra (id int, phone text)", "CREATE TABLE extra_next (id int, phone text)",
             "INSERT INTO extra SELECT id, phone FROM customers", "INSERT INTO extra_next SELECT id, phone FROM customers",
             "GRANT ALL ON extra, extra_next TO op_all")
    try:
        end = time.monotonic() + 30
        values = []
        while values != [b"138****0007"]:
            raw.send(parse("SELECT phone FROM extra WHERE id = 7"), describe("", "S"), bind(), execute(), SYNC)
            values = [body[6:] for kind, body in raw.until("Z") if kind == "D"]
            assert time.monotonic() < end, values
            time.sleep(0.2)
        raw.send(parse("SELECT phone FROM extra WHERE id = 7", "x"), describe("x", "S"), SYNC)
        raw.until("Z")
        gate.sql("ALTER TABLE extra RENAME TO extra_old", "ALTER TABLE extra_next RENAME TO extra")
        while values != [b"***"]:
            raw.send(bind("", "x"), execute(), SYNC)
            values = [body[6:] for kind, body in raw.until("Z") if kind == "D"]
            assert values in ([b"138****0007"], [b"***"])
            assert time.monotonic() < end + 30
            time.sleep(0.2)
    finally:
        gate.sql("DROP TABLE IF EXISTS extra, extra_old, extra_next")


def test_words_of_errors_and_notices(gate):
    gate.sql("CREATE OR REPLACE VIEW v_checked AS SELECT * FROM customers WHERE note <> 'x' WITH CHECK OPTION",
             "GRANT ALL ON v_checked TO op_all", "CREATE OR REPLACE FUNCTION says() RETURNS trigger LANGUAGE plpgsql AS "
             "$$BEGIN RAISE NOTICE 'was %', OLD.phone; RETURN NEW; END$$",
             "CREATE OR REPLACE TRIGGER says BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION says()")
    try:
        with gate.connect("anna") as anna, anna.cursor() as c:
            c.execute("UPDATE customers SET note = 'z' WHERE id = 7")
            assert anna.notices and "13800130007" not in str(anna.notices)
            with pytest.raises(psycopg2.Error) as what:
                c.execute("UPDATE v_checked SET note = 'x' WHERE id = 7")
            assert what.value.pgcode == "44000"
            assert "13800130007" not in str(what.value) and "13800130007" not in str(what.value.diag.message_detail)
    finally:
        gate.sql("DROP TRIGGER says ON customers")


def test_a_description_that_has_no_room_says_so(gate):
    """Statements of masked answers are kept with what they answer: with 1,500 columns that is more than the text."""
    with contextlib.closing(Raw(gate.port, tls=None, timeout=30)) as raw:
        assert raw.log_in("anna", "orders-db", gate.password("anna"))[-1] == ("Z", b"I")
        text = f"SELECT {', '.join(['phone'] * 1500)} FROM customers"
        for number in range(2000):
            raw.send(parse(f"{text} -- {number}", f"s{number}"), describe(f"s{number}", "S"), SYNC)
            found = raw.until("Z")
            if "E" in [kind for kind, _ in found]:
                break
        if found[0][0] == "E":  # not even the text: with one less there is room for two of them, and for no description
            raw.send(closes("S", f"s{number - 1}"), SYNC)
            raw.until("Z")
            raw.send(parse(f"{text} -- a", "a"), parse(f"{text} -- b", "b"), describe("b", "S"), SYNC)
            found = raw.until("Z")
        error = fields(next(body for kind, body in found if kind == "E"))
        assert [kind for kind, _ in found if kind == "1"] and error["C"] == "53400" and "no room left to keep the description" in error["M"], (number, error)
        assert raw.ask("DEALLOCATE ALL")[-1] == ("Z", b"I") and "D" in [kind for kind, _ in raw.ask("SELECT phone FROM customers")]

# SPDX-License-Identifier: Apache-2.0
"""Which columns a real server keeps unique, as the gate reads them: a range of such a column names rows."""

import contextlib

import psycopg2
import pytest
from pglib import Postgres
from test_sql_oracle import USE_BROAD, Judge

SCHEMA = """
CREATE TABLE plain (id int PRIMARY KEY, year int NOT NULL, code text UNIQUE, n numeric UNIQUE, small smallint UNIQUE, big bigint UNIQUE);
CREATE TABLE gaps (gone int, id int, other int); ALTER TABLE gaps DROP gone; CREATE UNIQUE INDEX ON gaps (id DESC NULLS LAST) INCLUDE (other);
CREATE TABLE pairs (a int, b int, c int, d int, e int, f int, UNIQUE (a, b), UNIQUE (c) DEFERRABLE, UNIQUE (d) DEFERRABLE INITIALLY DEFERRED);
CREATE UNIQUE INDEX ON pairs (e) WHERE e > 5;
CREATE UNIQUE INDEX ON pairs (abs(f));
CREATE TABLE indexed (id int); CREATE INDEX ON indexed (id);
CREATE TABLE excluded (id int, EXCLUDE USING btree (id WITH =));
CREATE TABLE broken (id int); INSERT INTO broken VALUES (1), (1);
CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE halves (id int) PARTITION BY RANGE (id);
CREATE TABLE halves_1 PARTITION OF halves FOR VALUES FROM (0) TO (100);
CREATE TABLE halves_2 PARTITION OF halves FOR VALUES FROM (100) TO (200);
CREATE UNIQUE INDEX halves_key ON ONLY halves (id); CREATE UNIQUE INDEX halves_1_key ON halves_1 (id);
ALTER INDEX halves_key ATTACH PARTITION halves_1_key;
CREATE DOMAIN wanted AS int; CREATE TABLE of_domain (id wanted PRIMARY KEY);
CREATE VIEW seen AS SELECT * FROM plain;
CREATE MATERIALIZED VIEW kept AS SELECT id FROM plain; CREATE UNIQUE INDEX ON kept (id);
"""
KEYS = ["plain.id", "plain.small", "plain.big", "gaps.id", "child.id", "parts.id", "parts_1.id", "halves_1.id"]
NONE = ["plain.year", "gaps.other", "pairs.a", "pairs.b", "pairs.c", "pairs.d", "pairs.e", "pairs.f", "indexed.id", "excluded.id", "broken.id",
        "parent.id", "halves.id", "halves_2.id", "of_domain.id", "seen.id", "plain.n"]


@pytest.fixture(scope="module")
def connection():
    postgres = Postgres()
    try:
        postgres.sql("CREATE ROLE worker LOGIN PASSWORD 'w'", "CREATE DATABASE k OWNER worker")
        postgres.sql("ALTER SCHEMA public OWNER TO worker", database="k")
        with contextlib.closing(postgres.connect(database="k", user="worker", password="w")) as one:
            one.autocommit = True
            cursor = one.cursor()
            for statement in SCHEMA.split(";"):
                if statement.strip():
                    cursor.execute(statement)
            with pytest.raises(psycopg2.errors.UniqueViolation):
                cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY broken_key ON broken (id)")  # is there, and holds nothing
            yield one
    finally:
        postgres.close()


def is_broad(judge, column):
    table, name = column.split(".")
    judged = judge.ask(f"DELETE FROM {table} WHERE {name} BETWEEN 5 AND 9")
    assert judged["fault"] == 0, judged
    uses = [use for use in judged["uses"] if use[4] == table and use[0] == "write"]
    assert uses, (column, judged)
    return any(use[2] & USE_BROAD for use in uses)


def test_what_is_a_key_to_the_gate_is_one_to_the_server(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_index WHERE indexrelid IN ('halves_key'::regclass, 'broken_key'::regclass) "
                       "AND indisunique AND NOT indisvalid")
        assert cursor.fetchone() == (2,)
    judge = Judge(connection, ())
    connection.cursor().execute("COMMIT")
    assert [one for one in KEYS + NONE if not is_broad(judge, one)] == KEYS
    judge.close()


def test_a_key_is_no_key_any_more(connection):
    cursor = connection.cursor()
    cursor.execute("CREATE UNIQUE INDEX halves_2_key ON halves_2 (id)")
    cursor.execute("ALTER INDEX halves_key ATTACH PARTITION halves_2_key")  # now it holds for all of them
    cursor.execute("ALTER TABLE plain DROP CONSTRAINT plain_pkey CASCADE")
    cursor.execute("CREATE TABLE heir () INHERITS (gaps)")
    cursor.execute("ALTER TABLE child NO INHERIT parent")
    judge = Judge(connection, ())
    cursor.execute("COMMIT")
    assert [is_broad(judge, one) for one in ("halves.id", "plain.id", "gaps.id", "heir.id", "parent.id")] == [False, True, True, True,
                                                                                                             False]
    judge.close()

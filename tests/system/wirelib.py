# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the files about the database gate's wire: an office with a table, lin's connection by a driver, and a raw one.

OWNS what they start. PROCESS tests. TRUST none. SPEC docs/ARCHITECTURE.md "Database gate".
"""
import pytest

from dblib import DatabaseOffice
from pgraw import Raw

TABLE = ("CREATE TABLE IF NOT EXISTS things (id int PRIMARY KEY, note text)",
         "INSERT INTO things SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g ON CONFLICT DO NOTHING")


@pytest.fixture(scope="module")
def db():
    one = DatabaseOffice()
    try:
        one.server.sql(*TABLE, "GRANT ALL ON things TO op_dba", database="orders")
        yield one
    finally:
        one.close()


@pytest.fixture
def lin(db):
    connection = db.connect("lin")
    yield connection
    connection.close()


@pytest.fixture
def raw(db):
    one = Raw(db.port)
    assert one.log_in("lin", "orders-db", db.password("lin"))[-1] == ("Z", b"I")
    yield one
    one.close()

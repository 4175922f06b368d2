# SPDX-License-Identifier: Apache-2.0
"""Object-relational mappers and masked columns: what applications do in earnest goes on, masked; what would tell is refused.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/DATABASE.md.
"""
import json
import os
import subprocess

import psycopg2
import pytest
from sqlalchemy import Column, ForeignKey, Integer, Text, create_engine, exc, func, select, union, union_all
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session, declarative_base, joinedload, relationship, selectinload

from dbgatelib import DatabaseOffice
from officelib import ROOT
from test_db_masking import DOCUMENTS

Base = declarative_base()
P7, P8 = "138****0007", "138****0008"


class Customer(Base):
    __tablename__ = "customers"
    id = Column(Integer, primary_key=True)
    name = Column(Text)
    phone = Column(Text)
    note = Column(Text)
    orders = relationship("Order", back_populates="customer", passive_deletes=True)


class Order(Base):
    __tablename__ = "orders"
    id = Column(Integer, primary_key=True)
    customer_id = Column(ForeignKey("customers.id"))
    total = Column(Integer)
    note = Column(Text)
    customer = relationship(Customer, back_populates="orders")


@pytest.fixture(scope="module")
def gate():
    one = DatabaseOffice(DOCUMENTS.replace("[connect, read, write, export, alter]",
                                           "[connect, read, write, export, alter, destroy]"))
    try:
        one.person("anna", "analyst")
        yield one
    finally:
        one.close()


@pytest.fixture
def session(gate):
    s = gate.settings("anna")
    engine = create_engine(URL.create("postgresql+psycopg2", s["user"], s["password"], s["host"], s["port"], s["dbname"],
                                      {"sslmode": "disable"}))
    with Session(engine) as one:
        yield one
    engine.dispose()


def few():
    return select(Customer).where(Customer.id.in_([7, 8])).order_by(Customer.id)


def test_sqlalchemy_reads(session):
    assert [one.phone for one in session.scalars(few())] == [P7, P8]
    session.expunge_all()
    joined = few().options(joinedload(Customer.orders)).limit(2)  # FROM (SELECT ... LIMIT 2) AS anon_1 LEFT OUTER JOIN
    assert [(one.phone, len(one.orders)) for one in session.scalars(joined).unique()] == [(P7, 10), (P8, 10)]
    session.expunge_all()
    assert [len(one.orders) for one in session.scalars(few().options(selectinload(Customer.orders)))] == [10, 10]
    inner = few().subquery()
    assert session.execute(select(inner.c.phone, inner.c.name).where(inner.c.id == 7)).all() == [(P7, "name 7")]
    within = few().cte("within")
    assert session.execute(select(func.count(), func.max(within.c.name)).select_from(within)).all() == [(2, "name 8")]
    both = union_all(select(Customer.id, Customer.phone).where(Customer.id == 7),
                     select(Order.id, Order.note).where(Order.id == 9)).subquery()
    assert session.execute(select(both).where(both.c.id > 7)).all() == [(None, "***")]  # without an origin
    assert session.execute(union_all(select(Customer.id), select(Order.id)).limit(1)).all()
    grouped = select(Customer.name, func.count(Order.id)).join(Order).group_by(Customer.name).order_by(Customer.name).limit(1)
    assert session.execute(grouped).all() == [("name 1", 10)]


def test_sqlalchemy_writes(session):
    session.add(Customer(id=901, name="new", phone="13900139001"))
    session.commit()
    assert session.get(Customer, 901).phone == "139****9001"
    put = insert(Customer).values(id=901, name="newer", phone="13900139002")
    session.execute(put.on_conflict_do_update(index_elements=["id"], set_={"phone": put.excluded.phone,
                                                                           "name": put.excluded.name}))
    session.commit()
    session.expire_all()
    found = session.get(Customer, 901)
    assert (found.phone, found.name) == ("139****9002", "newer")
    found.name = "newest"
    session.commit()
    assert session.get(Customer, 901, with_for_update=True).phone == "139****9002"
    session.delete(found)
    session.commit()


def test_sqlalchemy_is_refused(session):
    put = insert(Customer).values(id=7, name="x", phone="y")
    both = union(select(Customer.id, Customer.phone), select(Order.id, Order.note))
    for statement in (select(Customer.id).where(Customer.phone == "13800130007"), few().order_by(None).order_by(Customer.phone),
                      select(Customer.phone).distinct(), both, select(func.substr(Customer.phone, 1)),
                      put.on_conflict_do_update(index_elements=["id"], set_={"note": Customer.phone})):
        with pytest.raises(exc.ProgrammingError) as what:
            session.execute(statement)
        assert what.value.orig.pgcode == "42501", what.value
        session.rollback()


def test_what_was_upserted_is_what_was_sent(gate, session):
    put = insert(Customer).values(id=7, name="name 7", phone="13800130007")
    session.execute(put.on_conflict_do_update(index_elements=["id"], set_={"phone": put.excluded.phone}))
    session.commit()
    assert gate.sql("SELECT phone FROM customers WHERE id = 7") == [("13800130007",)]


def test_a_row_is_not_called_beside_a_column_of_that_name(gate):
    gate.sql("CREATE TABLE called (row_to_json int)", "INSERT INTO called VALUES (1)", "GRANT ALL ON called TO op_all")
    texts = ["SELECT q.row_to_json FROM (WITH z AS (SELECT 1) SELECT * FROM customers) q, called",
             "SELECT c.row_to_json FROM customers c, called",
             "SELECT ((SELECT c FROM customers c WHERE id = 7)).row_to_json FROM called"]
    with gate.connect("anna") as anna, anna.cursor() as c:
        for text in texts:
            with pytest.raises(psycopg2.Error) as what:
                c.execute(text)
            assert what.value.pgcode in ("42501", "42703"), (text, what.value)  # or: neither a column nor a function for her
            anna.rollback()
        c.execute("SELECT x.row_to_json, c.phone FROM called x, customers c WHERE c.id = 7")
        assert c.fetchall() == [(1, P7)]


def test_django(gate, tmp_path):
    path = tmp_path / "connection.json"
    path.write_text(json.dumps(gate.settings("anna")))
    os.chmod(path, 0o600)
    done = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "tests", "clients", "masked_django.py"), str(path)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert "13800130007" not in done.stdout + done.stderr
    pair = str([P7, P8])
    assert {said[what] for what in ("objects", "iterated", "exists")} == {pair}, said
    assert said["joined"] == "['138****0002', '138****0003']" and said["sliced"] == "['138****0001', '138****0010']"
    assert said["prefetched"] == said["annotated"] == str([(P7, 10), (P8, 10)])
    assert said["subquery"] == str([(P7, 186), (P8, 187)]) and said["values"] == str([(7, P7), (8, P8)])
    assert said["all of both"] == str([(None, "***")] * 3)
    assert said["counted"].startswith("(20, True,") and said["locked"] == "['139****9952']"
    assert (said["changed"], said["made"], said["deleted"]) == ("1", "True", "2")
    assert {said[what] for what in ("by phone", "ordered", "distinct", "set")} == {"42501"}, said

# SPDX-License-Identifier: Apache-2.0
"""What an application does through SQLAlchemy and psycopg2; prints what it saw.
    orm_sqlalchemy.py CONNECTION.json"""

import json
import sys

from sqlalchemy import (Column, DateTime, ForeignKey, Integer, MetaData, Numeric, String, create_engine, exc, func,
                        inspect, select, text)
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session, declarative_base, relationship

with open(sys.argv[1], encoding="utf-8") as file:
    to = json.load(file)
query = {"sslmode": "require" if to["tls"] else "disable"}
engine = create_engine(URL.create("postgresql+psycopg2", to["user"], to["password"], to["host"], to["port"],
                                  to["database"], query=query), pool_size=2)
Base = declarative_base()


class Shelf(Base):
    __tablename__ = "alchemy_shelf"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), nullable=False, unique=True)
    books = relationship("Book", order_by="Book.id", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "alchemy_book"
    id = Column(Integer, primary_key=True)
    shelf = Column(ForeignKey("alchemy_shelf.id"), nullable=False)
    title = Column(String)
    price = Column(Numeric(10, 2))
    at = Column(DateTime(timezone=True), server_default=text("'2026-01-01 00:00+00'"))


def say(what, *values):
    print(f"{what}:", *values)


Base.metadata.create_all(engine)
with Session(engine) as db:
    db.add_all([Shelf(name=f"架 {i}", books=[Book(title=f"t{i}.{k}", price=i + k) for k in range(3)]) for i in range(4)])
    db.commit()
    for shelf in db.scalars(select(Shelf).order_by(Shelf.id)):
        say("shelf", shelf.name, [(b.title, str(b.price)) for b in shelf.books])
    say("sum", db.scalar(select(func.sum(Book.price)).where(Book.title.like("t1.%"))))
    db.delete(db.scalars(select(Shelf).where(Shelf.name == "架 2")).one())
    db.commit()
    say("left", db.scalar(select(func.count()).select_from(Book)))
    db.add(Shelf(name="架 0"))
    try:
        db.commit()
    except exc.IntegrityError as error:
        say("unique", error.orig.pgcode, error.orig.diag.constraint_name)
        db.rollback()
    with db.begin_nested():
        db.execute(text("UPDATE alchemy_book SET price = price + 1 WHERE shelf = :s"), {"s": 1})
    db.rollback()
    say("after", [str(p) for p in db.scalars(select(Book.price).where(Book.shelf == 1).order_by(Book.id))])
say("columns", [(c["name"], str(c["type"])) for c in inspect(engine).get_columns("alchemy_book")])
reflected = MetaData()
reflected.reflect(engine, only=["orders", "order_items"])
say("reflected", sorted(reflected.tables), sorted(str(k.target_fullname) for k in reflected.tables["order_items"].foreign_keys))
with engine.connect().execution_options(stream_results=True) as db:
    say("stream", sum(row[0] for row in db.execute(text("SELECT n FROM generate_series(1, 5000) n"))))
Base.metadata.drop_all(engine)
engine.dispose()

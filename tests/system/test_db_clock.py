# SPDX-License-Identifier: Apache-2.0
"""The wall clock is set while people spend what they have of a while, or of a day: it gives nobody a new one, and takes none
from anybody for the time by which it was set.

OWNS an office, a server, a copy of the program. PROCESS tests. TRUST none. SPEC docs/OPERATIONS.md "The clock".
"""
import contextlib
import datetime
import os
import time

import psycopg2
import pytest

from dbgatelib import OFFICE, DatabaseOffice, orders_documents
from officelib import PATIENT_S, wait_for
from pgraw import Raw, fields
from test_clock import SEEN, clocked

HOUR = 3600
FAR = 2 * HOUR  # much longer than the while; what is set ahead in all leaves sessions their twelve hours
WHILE_S = 25  # is not over before what is looked at has been
DOCUMENTS = orders_documents(["hasty", "reader"], f"""\
kind: Rule
name: the hasty work
who: {{ roles: [hasty] }}
to: {{ resources: [orders-db] }}
may: [connect, read, write]
---
kind: Rule
name: readers read so much a day
who: {{ roles: [reader] }}
to: {{ resources: [orders-db] }}
may: [connect, read]
with: {{ limit: {{ rows: 50, per: day }} }}
---
kind: Budget
name: three in a while
who: {{ roles: [hasty] }}
actions: [write]
per: {WHILE_S}s
statements: 3
then: deny
""")
# The office is where it is between ten and eleven in the evening.
EAST = (22 - datetime.datetime.now(datetime.timezone.utc).hour + 12) % 24 - 12
EVENING = OFFICE.replace("Asia/Shanghai", f"Etc/GMT{-EAST:+d}")


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    clock, program = clocked(tmp_path_factory.mktemp("clock"))
    one = None
    try:
        one = DatabaseOffice(DOCUMENTS, office=EVENING, program=program)
        one.clock = clock
        one.person("rita", "reader")
        for name in ("hal", "hanna", "hugo", "helga", "horst"):
            one.person(name, "hasty")
        yield one
    finally:
        if one is not None:
            one.close()
        os.unlink(program)


def set_clock(gate, ahead_s):
    before = gate.office.log().count(SEEN[0])
    gate.clock.set(ahead_s)
    wait_for("core to see it", PATIENT_S, lambda: gate.office.log().count(SEEN[0]) > before)


def set_while_core_is_away(gate, ahead_s):
    pid = gate.office.kill("core")
    gate.clock.set(ahead_s)
    gate.office.wait_role("core", other_than=pid)


def state_of(connection, text):
    """Its SQLSTATE when it is refused."""
    try:
        with connection.cursor() as c:
            c.execute(text)
            return None
    except psycopg2.Error as error:
        return error.pgcode


def open_as(gate, name):
    one = gate.connect(name)
    one.autocommit = True
    return one


ONE = "UPDATE orders SET total = total WHERE id = 1"


def spend_all(connection):
    """When the while began."""
    began = time.monotonic()
    turns = [state_of(connection, ONE) for _ in range(4)]
    assert turns == [None, None, None, "53400"], turns
    return began


def is_spent(connection, began):
    """Still, if the while is not over."""
    state = state_of(connection, ONE)
    assert time.monotonic() < began + WHILE_S, "the machine is too slow for this"
    return state == "53400"


def is_over(connection, began):
    """That what was spent is, and not by the clock: what is refused does not count."""
    time.sleep(max(began + WHILE_S - time.monotonic(), 0))
    wait_for("the end of the while", PATIENT_S, lambda: state_of(connection, ONE) is None, step=0.5)


@pytest.mark.parametrize("name,jumps", [("hal", (FAR, 0)), ("hanna", (-FAR,)), ("hugo", (FAR, -FAR))], ids=["ahead", "back", "to and fro"])
def test_a_while_is_neither_new_nor_longer(gate, name, jumps):
    with contextlib.closing(open_as(gate, name)) as one:
        began = spend_all(one)
        for ahead in jumps:
            set_clock(gate, ahead)
            assert is_spent(one, began), ahead
        is_over(one, began)
    if jumps[-1] != 0:
        set_clock(gate, 0)


def test_a_clock_put_right_while_core_is_away_locks_nobody_out(gate):
    set_clock(gate, FAR)
    with contextlib.closing(open_as(gate, "helga")) as helga:
        began = spend_all(helga)
    set_while_core_is_away(gate, 0)
    with contextlib.closing(open_as(gate, "helga")) as helga:
        assert is_spent(helga, began), "it is not new either"
        is_over(helga, time.monotonic())  # it counts as spent when core came back


def test_a_jump_back_that_the_store_had_not_taken_is_made_up_for_once(gate):
    set_clock(gate, FAR)
    with contextlib.closing(open_as(gate, "horst")) as horst:
        began = spend_all(horst)
    failed = gate.office.log().count("could not be moved with it yet")
    gate.office.store("CREATE TRIGGER refused BEFORE UPDATE ON budget_spent BEGIN SELECT RAISE(ABORT, 'refused'); END")
    set_clock(gate, 0)
    wait_for("it to be said", PATIENT_S, lambda: gate.office.log().count("could not be moved with it yet") > failed)
    pid = gate.office.kill("core")
    gate.office.store("DROP TRIGGER refused")
    gate.office.wait_role("core", other_than=pid)
    with contextlib.closing(open_as(gate, "horst")) as horst:
        assert is_spent(horst, began), "it is not new"
        is_over(horst, began)


def used_today(gate):
    today = gate.office.people["sam"].get("/admin/databases/budgets")["today"]
    return next((one["rows"] for one in today if one["person"]["name"] == "rita"), 0)


def sign_in_again(gate):
    gate.people["rita"] = gate.office.people["rita"] = gate.office.person("rita")
    gate.office.people["sam"] = gate.office.person("sam")


MORE = "SELECT id FROM orders LIMIT 5"


def test_no_day_begins_because_the_clock_was_set(gate):
    """Over midnight and back, and where core did not see it."""
    sign_in_again(gate)
    with contextlib.closing(open_as(gate, "rita")) as rita:
        assert state_of(rita, "SELECT id FROM orders LIMIT 50") is None
        assert wait_for("the end of the day's share", 5, lambda: state_of(rita, MORE)) == "53400"
        assert used_today(gate) == 50
        for ahead in (3 * HOUR, 0, -23 * HOUR):
            set_clock(gate, ahead)
            assert state_of(rita, MORE) == "53400", ahead
    pid = gate.office.kill("core")
    gate.office.wait_role("core", other_than=pid)
    with contextlib.closing(open_as(gate, "rita")) as rita:
        assert state_of(rita, MORE) == "53400", "what was set is kept"
    set_while_core_is_away(gate, -46 * HOUR)
    with contextlib.closing(open_as(gate, "rita")) as rita:
        assert state_of(rita, MORE) == "53400", "nor when nobody saw it"
    assert gate.office.store("SELECT COUNT(*) FROM budget_day") == [(1,)]
    set_clock(gate, 0)
    sign_in_again(gate)
    with contextlib.closing(open_as(gate, "rita")) as rita:
        assert state_of(rita, MORE) == "53400"
    assert used_today(gate) == 50


def log_in(gate, name, password):
    """Its SQLSTATE when it is refused."""
    with contextlib.closing(Raw(gate.port, tls=None)) as raw:
        kind, body = raw.log_in(name, "orders-db", password)[-1]
        return None if kind == "Z" else fields(body)["C"]


TOKEN_S = 600


def test_a_password_of_minutes_never_lasts_longer(gate):
    """It ends by the clock; set back, its end goes back with it, and the session goes on."""
    sign_in_again(gate)
    password = gate.password("rita")
    set_clock(gate, TOKEN_S - 90)
    assert log_in(gate, "rita", password) is None
    set_clock(gate, TOKEN_S + 1)
    assert log_in(gate, "rita", password) == "28P01"
    password = gate.password("rita")
    back = TOKEN_S + 1 - FAR
    set_clock(gate, back)
    assert log_in(gate, "rita", password) is None, "it is as good as it was"
    set_clock(gate, back + TOKEN_S - 90)
    assert log_in(gate, "rita", password) is None
    set_clock(gate, back + TOKEN_S + 1)
    assert log_in(gate, "rita", password) == "28P01", "it lasts for as long as the clock went back"
    assert log_in(gate, "rita", gate.password("rita")) is None, "the session is not over"
    set_clock(gate, 0)

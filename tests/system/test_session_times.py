# SPDX-License-Identifier: Apache-2.0
"""A sign-in lasts as the Office says: it ends when nobody used it for so long, and after so long at the latest.

OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "Office".
"""
import time

import pytest

from officelib import Office, wait_for
from portal import Refused

LOOKS_S = 5  # core looks so often
OFFICE = "kind: Office\nname: times\nsession: {{ idle: {idle}, max: {max} }}\n---\nkind: Class\nname: internal\n"


@pytest.fixture(scope="module")
def office():
    one = Office(documents={"office.yaml": OFFICE.format(idle="60s", max="1h")})
    try:
        one.start()
        one.set_up_administrators()
        yield one
    finally:
        one.close()


def is_in(person):
    try:
        person.get("/me")
        return True
    except Refused as error:
        assert (error.status, error.code) == (401, "signed_out")
        return False


def test_who_does_nothing_is_out_and_who_works_stays(office):
    idle, works = office.people["sam"], office.people["olga"]
    assert is_in(idle)
    last = time.monotonic()
    while time.monotonic() < last + 60 + LOOKS_S + 1:
        assert is_in(works)
        time.sleep(3)
    assert not is_in(idle)
    assert is_in(works)


def test_a_shorter_life_counts_for_those_that_are_there(office):
    works, sam = office.people["olga"], office.person("sam")  # olga is in for longer than a minute
    assert is_in(works)
    sam.post("/admin/policy/apply", {"files": [{"path": "office.yaml", "text": OFFICE.format(idle="1h", max="60s")}],
                                     "comment": "shorter"})
    wait_for("the end", 10 + LOOKS_S, lambda: not is_in(works))

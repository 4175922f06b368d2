# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: a real office, started by a real `sallyport run`.

    def test_something(office):            one office for the whole module
    def test_something(make_office):       make_office(documents=..., start=False, ...) for one's own

As root each role gets a uid of its own; otherwise all share ours. SALLYPORT_BUILD names the build
directory (default build/). At the end everything is stopped, and a process or socket left behind is an
error, as is a sanitizer's report in the log.
"""

import os
import resource
import socket
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

from officelib import Office  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes long; on the plain build only")
    config.addinivalue_line("markers", "shipped: on the plain build too, as what is shipped")
    config.addinivalue_line("markers", "figures: measures, alone; on the plain build only")


# With several workers the longest begin first, so that none is left alone with one at the end; tools/test-times tells.
LONG = ("demo", "db_drill", "watch_flood", "keeper_hostile", "db_undo", "keeper", "db_wire", "db_limits", "db_keep", "disk_full",
        "keeper_obstacles", "db_core_away", "ssh_limits", "backup_drill", "db_behind", "agent_enrol", "detections", "reports", "ledger_tamper",
        "evidence", "notices", "ledger_erase", "kill", "demo_attack", "session_times")


def pytest_collection_modifyitems(items):
    order = {f"test_{name}.py": at for at, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONG)))


_used = [0.0]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item, call):
    """What a test used of the processors, with the fixtures that began or ended with it, goes to tools/test-times."""
    if call.when == "teardown":
        all_of_it = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        item.user_properties.append(("cpu", round(all_of_it - _used[0], 2)))
        _used[0] = all_of_it


_real_getaddrinfo = socket.getaddrinfo


def _getaddrinfo(host, *args, **kwargs):
    """Names under .localhost are this machine (RFC 6761), whatever the resolver thinks."""
    name = host.decode() if isinstance(host, bytes) else host
    if isinstance(name, str) and name.rstrip(".").endswith(".localhost"):
        host = "127.0.0.1"
    return _real_getaddrinfo(host, *args, **kwargs)


socket.getaddrinfo = _getaddrinfo


@pytest.fixture(scope="module")
def office():
    """A running office with the demo's documents, shared by a module's tests."""
    one = Office()
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture
def make_office():
    """Makes offices that end with the test."""
    made = []

    def make(start=True, **kwargs):
        one = Office(**kwargs)
        made.append(one)
        if start:
            one.start()
        return one

    try:
        yield make
    finally:
        for one in made:
            one.close()

# SPDX-License-Identifier: Apache-2.0
"""Figures and the status page of a real office: what Prometheus's own tool says of them, and what is left when core is gone.

OWNS nothing. PROCESS tests. TRUST none. SPEC core/meters/README.md, core/status/README.md.
"""
import json
import os
import re
import subprocess
import time

import pytest
import requests
import urllib3
from noticelib import Local
from officelib import PATIENT_S, ROOT, Office, wait_for
from portal import Refused


urllib3.disable_warnings()


@pytest.fixture(scope="module")
def office():
    one = Office()
    try:
        one.start()
        one.set_up_administrators()
        yield one
    finally:
        one.close()


def public(office, path, **headers):
    """Without a session, as staff would."""
    return requests.get(f"https://portal.{office.domain}:{office.port}{path}", headers=headers, timeout=10, verify=False)


def metrics(office):
    return office.cli("metrics", "show", "-c", office.config).stdout


def value(text, row):
    return float(re.search(rf"^{re.escape(row)} (\S+)$", text, re.MULTILINE).group(1))


def all_figures(office):
    """The text, once each part has told core of itself."""
    text = metrics(office)
    parts = ("ledger", "vault", "watch", "courier")
    there = all(value(text, f'sallyport_up{{part="{part}"}}') for part in parts) and "sallyport_events_total" in text
    return there and text


def test_promtool_has_nothing_to_say(office):
    text = wait_for("the figures of all parts", PATIENT_S, lambda: all_figures(office))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done.stdout + done.stderr
    assert value(text, "sallyport_sessions") == 3 and value(text, "sallyport_ledger_recording") == 1


def test_counters_count(office):
    before = metrics(office)
    office.people["sam"].again().sign_in()
    row = 'sallyport_events_total{kind="sign-in"}'
    wait_for("a sign-in on the ledger", 5, lambda: value(metrics(office), row) > value(before, row))
    text = metrics(office)
    assert value(text, "sallyport_ledger_delay_seconds_count") > value(before, "sallyport_ledger_delay_seconds_count")
    assert 0 < value(text, "sallyport_ledger_delay_seconds_sum")


def test_a_scraper_needs_the_token(office):
    assert public(office, "/metrics").status_code == 401
    first = office.cli("metrics", "token", "-c", office.config).stdout.strip()
    assert public(office, "/metrics", Authorization=f"Bearer {first}").status_code == 200
    second = office.cli("metrics", "token", "-c", office.config).stdout.strip()
    assert public(office, "/metrics", Authorization=f"Bearer {first}").status_code == 401
    answer = public(office, "/metrics", Authorization=f"Bearer {second}")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "sallyport_build_info" in answer.text and second not in office.log()
    office.cli("metrics", "remove-token", "-c", office.config)
    assert public(office, "/metrics", Authorization=f"Bearer {second}").status_code == 401


def test_every_query_of_the_dashboard_names_a_figure(office):
    with open(os.path.join(ROOT, "packaging", "grafana", "sallyport.json"), encoding="utf-8") as file:
        board = json.load(file)
    there = set(re.findall(r"^(sallyport_[a-z_]+)[ {]", metrics(office), re.MULTILINE))
    heads = set(re.findall(r"^# TYPE (sallyport_[a-z_]+) ", metrics(office), re.MULTILINE))
    asked = set()
    for panel in board["panels"]:
        for target in panel["targets"]:
            asked |= set(re.findall(r"sallyport_[a-z_]+", target["expr"]))
    assert len(asked) > 10 and asked - there - heads == set()


def test_rates_are_columns_that_grow(office):
    root = Local(office.run_dir)
    first = wait_for("seconds", 10, lambda: len((r := root.get("/rates"))["at"]) >= 2 and r)
    assert first["step"] == 1 and {"web", "db", "ssh", "events", "ledger_delay", "sessions"} <= set(first["series"])
    assert all(len(s["values"]) == len(first["at"]) for s in first["series"].values())
    assert first["series"]["sessions"]["values"][-1] >= 3
    office.people["sam"].again().sign_in()
    later = wait_for("an event in the rates", 8,
                     lambda: any((r := root.get(f"/rates?after={first['at'][-1]}"))["series"]["events"]["values"]) and r)
    assert later["at"][0] > first["at"][-1]
    assert root.get("/rates?step=minute")["step"] == 60
    assert root.call("GET", "/rates?step=week")[0] == 422


def test_the_status_page_says_what_was_published_and_nothing_else(office):
    assert "Nothing is known to be wrong" in public(office, "/status").text
    sam = office.people["sam"]
    sam.post("/status", {"group": "Wiki <b>& chat</b>", "group_zh": "维基", "state": "down", "en": "A disk is full.", "zh": "磁盘已满。",
                         "for_s": 7200})
    page = wait_for("the page", 5, lambda: "A disk is full." in (p := public(office, "/status")).text and p)
    assert "Wiki &lt;b&gt;&amp; chat" in page.text and "expected to be over" in page.text and page.headers["Cache-Control"] == "no-store"
    assert "orders" not in page.text and "notes" not in page.text  # names of resources
    chinese = public(office, "/status", **{"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"})
    assert "磁盘已满" in chinese.text and "维基" in chinese.text and 'lang="zh"' in chinese.text
    assert 'lang="en"' in public(office, "/status", **{"Accept-Language": "en-GB,zh;q=0.5"}).text
    assert 'lang="en"' in public(office, "/status?lang=en", **{"Accept-Language": "zh"}).text
    item, = public(office, "/status.json").json()["items"]
    assert item["state"] == "down" and item["until"] - item["since"] == 7200
    with pytest.raises(Refused):
        office.people["audrey"].post("/status", {"group": "x", "state": "down"})
    with pytest.raises(Refused):
        sam.post("/status", {"group": "x", "state": "broken"})


def test_the_page_is_there_without_core_and_says_so(office):
    pid = office.kill("core")
    gone = wait_for("the gate's own word", 10, lambda: "cannot reach the core" in (p := public(office, "/status")).text and p)
    assert "A disk is full." in gone.text  # what was published stays
    office.wait_role("core", other_than=pid)
    wait_for("core is back", 10, lambda: "cannot reach the core" not in public(office, "/status").text)
    assert "A disk is full." in public(office, "/status").text
    office.cli("status-page", "clear", "Wiki <b>& chat</b>", "-c", office.config)
    wait_for("nothing wrong", 5, lambda: "Nothing is known to be wrong" in public(office, "/status").text)


def test_a_frozen_core_is_told_too(office):
    """Stopped, not dead: its socket is open, and nobody answers."""
    pid = office.pid("core")
    os.kill(pid, 19)
    try:
        began = time.monotonic()
        answer = public(office, "/status")
        assert answer.status_code == 200 and time.monotonic() - began < 2
    finally:
        os.kill(pid, 18)

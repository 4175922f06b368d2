# SPDX-License-Identifier: Apache-2.0
"""Figures of the database bench are kept part by part.

OWNS nothing. PROCESS tests. TRUST none. SPEC bench/db/README.md.
"""

import json
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DB = os.path.join(ROOT, "bench", "db")


@pytest.fixture(scope="module")
def run():
    """bench/db/run.py, whose parts measure nothing here."""
    sys.path.insert(0, DB)
    try:
        import run as module
        yield module
    finally:
        sys.path.remove(DB)
        sys.modules.pop("run", None)


@pytest.fixture
def bench(run, monkeypatch, tmp_path):
    """main() with these words; what it has kept."""
    path = tmp_path / "db.json"
    monkeypatch.setattr(run, "RESULTS", str(path))
    value = {"of": 0}

    def part(name):
        def measure(report, _options):
            value["of"] += 1
            if value.get("fails") == name:
                raise RuntimeError(name)
            report.numbers[name + ".simple"] = {"ratio": value["of"]}
            report.line(name, value["of"], ">=0", name not in value.get("short", ()))
        return measure
    monkeypatch.setattr(run, "PARTS", {name: part(name) for name in run.PARTS})

    def call(*words, status=0):
        monkeypatch.setattr(sys, "argv", ["run.py", *words])
        with pytest.raises(SystemExit) as end:
            run.main()
        assert end.value.code == status
        return json.loads(path.read_text()) if path.exists() else None
    call.value = value
    return call


def test_a_part_by_itself_leaves_the_others(bench):
    first = bench()
    assert list(first) == ["plain", "tls", "revoked"]
    for part in first.values():
        assert part["cores"] == os.cpu_count() and part["machine"] and part["when"].endswith("Z") and "commit" in part
    again = bench("--only", "tls")
    assert again["tls"]["tls.simple"] == {"ratio": 4}
    assert (again["plain"], again["revoked"]) == (first["plain"], first["revoked"])
    assert bench("--only", "revoked", "--only", "plain")["plain"]["plain.simple"] == {"ratio": 5}


def test_what_is_broken_off_keeps_what_it_has_measured(bench):
    bench.value["fails"] = "tls"
    with pytest.raises(RuntimeError):
        bench()
    del bench.value["fails"]
    assert list(bench("--only", "revoked")) == ["plain", "revoked"]


def test_what_is_short_is_kept_and_told(bench):
    bench.value["short"] = ["tls"]
    assert bench("--only", "tls", status=1)["tls"]["tls.simple"] == {"ratio": 1}


@pytest.mark.parametrize("words", [("--seconds", "1"), ("--rounds", "1"), ("--idle", "10")])
def test_a_quick_look_is_not_kept(bench, words):
    assert bench("--only", "plain", *words) is None


def test_the_results_that_are_there_are_of_parts(run):
    with open(os.path.join(ROOT, "bench", "results", "db.json"), encoding="utf-8") as file:
        kept = json.load(file)
    assert set(kept) <= set(run.PARTS)
    for part in kept.values():
        assert part["when"] and part["cores"], part


def test_the_commit_is_that_of_the_tree(run):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    told = run.results.commit()
    assert (told is None) == (head == "") and head.startswith((told or "").rstrip("+"))

# SPDX-License-Identifier: Apache-2.0
"""Policy commands against a real office: what its ledger says was decided, asked again of other documents."""

import json
import subprocess

import pytest
from officelib import PROGRAM, Office, wait_for
from webgatelib import Upstream

DOCUMENTS = """
kind: Role
name: staff
---
kind: Resource
name: notes
operator: company
class: internal
web:
  host: notes
  upstream: http://127.0.0.1:%(port)d
  parts:
    - { path: /kept, class: sensitive }
---
kind: Rule
name: staff read
who: { roles: [staff] }
to: { classes: [internal, sensitive] }
may: [connect, read]
"""


@pytest.fixture(scope="module")
def upstream():
    server = Upstream()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def documents(upstream):
    return DOCUMENTS % {"port": upstream.server_port}


@pytest.fixture(scope="module")
def office(documents):
    one = Office(documents={"office.yaml": documents})
    try:
        one.start()
        yield one
    finally:
        one.close()


def policy(*words, text=None):
    return subprocess.run([PROGRAM, "policy", *words], capture_output=True, text=True, timeout=60, input=text,
                          check=False)


def folder(tmp_path, text):
    path = tmp_path / "candidate"
    path.mkdir()
    (path / "office.yaml").write_text(text)
    return str(path)


def test_past_decisions_are_asked_of_a_candidate(office, documents, tmp_path):
    leo = office.employee("leo", ["staff"])
    assert leo.follow("notes", "/page").status == 200
    assert leo.follow("notes", "/kept/page").status == 200

    def decisions():
        found = office.cli("ledger", "search", "-c", office.config, "--kind", "decision", "--limit", "100").stdout
        return found if '"/kept/page"' in found else None
    lines = wait_for("the decisions in the ledger", 20, decisions)

    same = folder(tmp_path, documents)
    done = policy("replay", same, text=lines)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and " 0 would change" in done.stderr
    assert not done.stderr.startswith("0 decisions")

    (tmp_path / "candidate" / "office.yaml").write_text(documents.replace("[internal, sensitive]", "[internal]"))
    done = policy("replay", same, "--json", text=lines)
    assert done.returncode == 0, done.stderr
    changed = [json.loads(line) for line in done.stdout.splitlines()]
    assert changed and all(c["before"] == "allow" and c["after"]["verdict"] == "deny" for c in changed)
    assert {c["after"]["class"] for c in changed} == {"sensitive"}
    assert "leo" in changed[0]["after"]["sentence"]["en"]


def line(verdict, reason, action, rule="", level="internal", resource="notes"):
    """A decision as the ledger has it, of somebody with no role."""
    return json.dumps({
        "time": 1790000000000, "metadata": {"uid": "one"}, "web_resources": [{"name": resource}], "actor": {"user": {"name": "mia"}},
        "policy": {"name": rule},
        "unmapped": {"kind": "decision", "verdict": verdict, "reason": reason, "action": action, "strength": "passkey",
                     "owner": "company", "posture": "healthy", "roles": [], "class": level}}) + "\n"


def test_what_cannot_be_asked_as_it_was_is_counted_apart(documents, tmp_path):
    path = folder(tmp_path, documents + """---
kind: Rule
name: a colleague agrees
who: { any: true }
to: { any: true }
may: [destroy]
ask: { approved_by: 1 }
""")
    done = policy("replay", path, text=line("deny", "cut", "read"))
    assert done.stderr.startswith("0 decisions asked again, 0 would change, 0 cannot"), done.stderr
    done = policy("replay", path, text=line("allow", "rule", "destroy", "a colleague agrees"))
    assert "0 would change, 1 cannot be asked" in done.stderr and done.stdout == ""
    # another rule let it through: that is a change
    done = policy("replay", path, text=line("allow", "rule", "destroy", "gone"))
    assert "1 would change, 0 cannot be asked" in done.stderr and "allow -> ask" in done.stdout
    # of a part with another class, which is not on record
    done = policy("replay", path, text=line("allow", "rule", "read", "staff read", level="sensitive"))
    assert "0 would change, 1 cannot be asked" in done.stderr


def test_a_line_that_is_not_json_is_told(documents, tmp_path):
    done = policy("replay", folder(tmp_path, documents), text="{}\nnot json\n")
    assert done.returncode == 4 and "1 lines could not be read" in done.stderr


def test_what_is_wrong_goes_to_stderr_with_its_place(documents, tmp_path):
    path = folder(tmp_path, documents.replace("may:", "mya:"))
    done = policy("test", path)
    assert done.returncode == 4 and done.stdout == ""
    assert f"{path}/office.yaml:" in done.stderr and "did you mean 'may'?" in done.stderr
    told = json.loads(policy("test", path, "--json").stdout)
    assert told["ok"] is False and told["diagnostics"][0]["level"] == "error"


def test_matrix_and_explain_say_the_same(documents, tmp_path):
    path = folder(tmp_path, documents)
    cells = json.loads(policy("matrix", path, "--role", "staff", "--json").stdout)["cells"]
    assert len(cells) == 4 * 10 * 3
    for cell in cells:
        told = json.loads(policy("explain", path, cell["action"], "--role", "staff", "--class", cell["class"],
                                 "--owner", cell["owner"], "--json").stdout) if cell["owner"] == "company" else cell
        assert (told["verdict"], told["reason"]) == (cell["verdict"], cell["reason"])

# SPDX-License-Identifier: Apache-2.0
"""The command line as a user has it: a session file, tables, --json, exit statuses, root's own
commands on the host."""

import json
import os
import pty
import re
import stat
import subprocess

import pytest

from officelib import PROGRAM
from portal import Refused

DENIED, INVALID, USAGE, AWAY = 3, 4, 2, 5


@pytest.fixture(scope="module")
def admins(office):
    return office.set_up_administrators()  # their sign-in is fresh for ten minutes


class Shell:
    """A home of one's own; signed in with the session of a browser."""

    def __init__(self, office, person, tmp):
        tmp = tmp / person.name
        self.env = {"HOME": str(tmp), "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}
        folder = tmp / ".config" / "sallyport"
        folder.mkdir(parents=True)
        token = person.cookies[f"portal.{office.domain}"]["__Host-sallyport"]
        self.file = folder / "session.json"
        self.file.write_text(json.dumps({"url": office.portal_url, "token": token, "ca": office_ca(person)}))
        self.file.chmod(0o600)

    def run(self, *words, status=0):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, env=self.env, timeout=60,
                              check=False)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout if status == 0 else done.stderr

    def json(self, *words):
        return json.loads(self.run(*words, "--json"))


def office_ca(person):
    """The authority that the portal shows, as a browser would be told to trust it."""
    out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{person.port}", "-servername",
                          f"portal.{person.domain}", "-showcerts"], input=b"", capture_output=True, check=False)
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", out.stdout.decode(), re.S)[-1]


@pytest.fixture
def security(office, admins, tmp_path):
    return Shell(office, admins[1], tmp_path)


@pytest.fixture
def system(office, admins, tmp_path):
    return Shell(office, admins[0], tmp_path)


def test_help_and_usage():
    def run(*words):
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False)

    assert run("--help").stdout.startswith("usage: sallyport COMMAND")
    assert run().returncode == USAGE
    assert run("nonsense").returncode == USAGE
    assert re.fullmatch(r"sallyport \d+\.\d+\.\d+\n", run("version").stdout)
    listed = re.findall(r"^  ([a-z-]+) ", run("--help").stdout, re.M)
    assert len(listed) >= 20
    for word in listed:
        told = run("help", word)
        assert told.returncode == 0 and told.stdout.startswith("usage: "), word
    below = [(group, word) for group in ("person", "device", "session", "resource", "ssh-keys")
             for word in re.findall(r"^  ([a-z-]+) ", run(group, "--help").stdout, re.M)]
    assert len(below) >= 16
    for words in below:
        told = run(*words, "--help").stdout
        assert told.startswith(f"usage: sallyport {' '.join(words)}") and "--json" in told, words
    assert "takes a number, not 'x'" in run("fetch", "d", "--version", "x").stderr
    assert run("fetch", "d", "--version=x").returncode == USAGE
    assert run("apply", "--nonsense").returncode == USAGE
    assert run("apply").returncode == USAGE
    assert run("device", "approve", "x").returncode == USAGE
    script = run("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_status_and_lists(security):
    said = security.run("status")
    assert "Lantern Trading" in said and "sam  (totp)" in said
    assert [line.split()[:2] for line in said.splitlines() if line.startswith("core")] == [["core", "up"]]
    people = security.run("person", "list")
    assert people.splitlines()[0].split()[:2] == ["NAME", "DISPLAY"]
    assert re.search(r"^olga +Olga +active +system-admin", people, re.M)
    assert {p["name"] for p in security.json("person", "list")} >= {"olga", "sam", "audrey"}
    assert [p["name"] for p in security.json("person", "list", "--search", "olg")] == ["olga"]
    assert security.json("device", "list", "--state", "pending") == []
    security.run("device", "list", "--state", "no such state", status=INVALID)
    assert security.run("resource", "list").splitlines()[0].split() == \
        ["NAME", "CLASS", "OPERATOR", "URL", "UPSTREAM"]
    assert "\033" not in people


def test_apply_as_an_operator_does(security, tmp_path):
    folder = tmp_path / "office"
    assert "is in" in security.run("fetch", str(folder))
    assert "nothing to change" in security.run("apply", "-f", str(folder))
    (folder / "more.yaml").write_text(
        "kind: Rule\nname: from the shell\nwho: { roles: [staff] }\nto: { classes: [public] }\nmay: [forward]\n")
    dry = security.run("apply", "-f", str(folder), "--dry-run")
    assert "+ Rule from the shell" in dry and "nevers proven" in dry and "in force" not in dry
    done = security.run("apply", "-f", str(folder), "--comment", "by shell")
    version = re.search(r"version (\d+) is in force", done).group(1)
    assert re.search(rf"^{version} +in force .* sam +by shell$", security.run("history"), re.M)
    (folder / "more.yaml").write_text("kind: Rule\nname: broken\nmay: [fly]\n")
    told = security.run("apply", "-f", str(folder), status=INVALID)
    assert re.search(r"^more\.yaml:3:\d+: error: .*fly", told, re.M) and "nothing was changed" in told
    back = security.run("rollback", str(int(version) - 1))
    assert f"with the documents of version {int(version) - 1}" in back
    security.run("rollback", "999", status=1)


def test_people_by_two_administrators(system, security):
    said = system.run("person", "add", "nina", "--display", "Nina Ng")
    assert re.search(r"https://portal\.office\.localhost:\d+/setup#\S{20,}", said)
    assert "roles" in system.run("person", "grant", "nina", "staff", status=DENIED)
    assert re.search(r"^nina +staff$", security.run("person", "grant", "nina", "staff"), re.M)
    assert "forbidden" in security.run("person", "add", "mallory", status=DENIED)
    assert security.run("person", "revoke", "nina", "staff").splitlines()[1].strip() == "nina"
    assert "disabled" in system.run("person", "disable", "nina", "--why", "left")
    system.run("person", "disable", "nobody-of-this-name", status=1)


def test_login_by_a_code_in_the_browser(office, admins, tmp_path):
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ca = tmp_path / "ca.pem"
    ca.write_text(office_ca(admins[1]))
    shell = subprocess.Popen([PROGRAM, "login", "--url", office.portal_url, "--ca", str(ca)], env=env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    code = None
    for line in shell.stdout:
        found = re.search(r"^ +code (\S+)$", line)
        if found:
            code = found.group(1)
            break
    asked = admins[1].get(f"/cli/login/{code}")
    assert asked["client"].startswith("sallyport ") and asked["peer"] == "127.0.0.1"
    admins[1].post(f"/cli/login/{code}", {"allow": True})
    rest = shell.communicate(timeout=20)[0]
    assert shell.returncode == 0 and "Signed in as sam." in rest, rest
    with pytest.raises(Refused):
        admins[1].get(f"/cli/login/{code}")
    said = subprocess.run([PROGRAM, "status"], env=env, capture_output=True, text=True, check=True).stdout
    assert "sam  (totp)" in said
    assert any(s["kind"] == "cli" for s in admins[1].items("/me/sessions"))
    file = tmp_path / ".config" / "sallyport" / "session.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    subprocess.run([PROGRAM, "logout"], env=env, check=True)
    assert not file.exists()


def test_sessions_end(office, admins, security):
    other = office.person("audrey")
    mine = other.get("/me")["session"]["id"]
    assert mine in security.run("session", "list")
    assert "has ended" in security.run("session", "end", mine)
    assert other.request("GET", "portal", "/api/v1/me").status == 401
    last = admins[0].get("/me")["session"]["id"]
    assert len(security.json("session", "end", last, "--why", "a test")) == 1
    assert last not in {s["id"] for s in security.json("session", "list")}


def test_what_cannot_be_undone_is_confirmed_at_a_terminal(security):
    def typed(answer, *more):
        ours, theirs = pty.openpty()
        os.write(ours, answer)
        done = subprocess.run([PROGRAM, "device", "revoke", "no-such-device", *more], stdin=theirs,
                              capture_output=True, text=True, env=security.env, timeout=60, check=False)
        os.close(ours)
        os.close(theirs)
        return done.stdout + done.stderr

    assert "Go on?" in typed(b"n\n") and "nothing was changed" in typed(b"\n")
    assert "there is no device" in typed(b"y\n")
    asked_nothing = typed(b"", "--yes")
    assert "Go on?" not in asked_nothing and "there is no device" in asked_nothing
    assert "there is no device" in security.run("device", "revoke", "no-such-device", status=1)


def test_bytes_that_are_no_text_are_not_sent(security):
    assert "not UTF-8" in security.run("session", "end", "x", "--why", b"\xff", status=USAGE)


def test_session_file_is_guarded(security):
    security.file.chmod(0o644)
    assert "can be read by others" in security.run("status", status=DENIED)
    security.file.unlink()
    assert "not signed in" in security.run("status", status=DENIED)


def test_an_office_that_is_not_there(security):
    held = json.loads(security.file.read_text())
    held["url"] = "https://portal.office.localhost:1"
    security.file.write_text(json.dumps(held))
    security.run("status", status=AWAY)


def test_untrusted_authority_is_refused(security):
    held = json.loads(security.file.read_text())
    del held["ca"]
    security.file.write_text(json.dumps(held))
    assert "--ca-sha256" in security.run("status", status=AWAY)
    told = security.run("login", "--url", held["url"], "--ca-sha256", "0" * 64, status=DENIED)
    assert "Nothing was sent" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="the local socket is root's")
def test_root_on_the_host(office, admins):
    said = office.cli("status", "--local", "-c", office.config).stdout
    assert re.search(r"^ledger +up", said, re.M)
    link = office.cli("recover-admin", "olga", "-c", office.config).stdout
    assert re.search(r"/setup#\S+", link)
    found = admins[2].items("/admin/ledger/events?kind=identity&limit=100")
    assert any(event.get("object") == "olga" and event.get("person") == "root" for event in found), found[:3]
    assert stat.S_IMODE(os.stat(os.path.join(office.run_dir, "local.sock")).st_mode) == 0o600


def test_a_role_whose_only_holder_has_left_is_vacant(make_office, tmp_path):
    one = make_office()
    olga, _, _ = one.set_up_administrators()
    shell = Shell(one, olga, tmp_path)
    for name in ("nick", "nora"):
        shell.run("person", "add", name)
    assert "vacant" in shell.run("person", "grant", "nick", "security-admin", status=DENIED)
    shell.run("person", "disable", "sam")
    shell.run("person", "grant", "nick", "security-admin")
    assert "vacant" in shell.run("person", "grant", "nora", "security-admin", status=DENIED)  # only the first
    assert "vacant" in shell.run("person", "grant", "nora", "audit-admin", status=DENIED)

# SPDX-License-Identifier: Apache-2.0
"""The demo office as `make run` starts it: its accounts, its applications, and the things to try."""

import base64
import json
import os
import pty
import re
import secrets
import select
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import time

import pytest
from officelib import BUILD, ROOT, descendants, free_port, kill_left, wait_for
from portal import Person, Refused, Totp

pytestmark = pytest.mark.slow
DOMAIN = "office.localhost"
REFERENCE = r"\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\b"


class Demo:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sp-demo-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.port, *self.ports = (free_port() for _ in range(10))
        self.out = os.path.join(self.dir, "out")
        self.seen = set()
        self.people = {}
        self.process = None

    def start(self):
        env = {**os.environ, "DEMO_DIR": os.path.join(self.dir, "run"), "DEMO_PORT": str(self.port),
               "DEMO_PORTS": " ".join(map(str, self.ports)), "BUILD": BUILD, "DEMO_BUILT": "1"}
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen([os.path.join(ROOT, "demo", "run")],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)

        def told():
            assert self.process.poll() is None, self.said()
            return "Ctrl-C stops all of it" in self.said()

        wait_for("the guide", 90, told)
        self.seen.update(descendants(self.process.pid))

    def said(self):
        with open(self.out, encoding="utf-8", errors="replace") as file:
            return file.read()

    def path(self, *names):
        return os.path.join(self.dir, "run", *names)

    def person(self, name, cert=None):
        """Somebody of accounts.json, signed in; once a name, since a code is good once."""
        if name not in self.people:
            with open(self.path("accounts.json"), encoding="utf-8") as file:
                known = {one["name"]: one for one in json.load(file)["people"]}[name]
            one = Person(DOMAIN, self.port, ca=self.path("ca.pem"), cert=cert)
            one.name, one.password = name, known["password"]
            one.totp = Totp(known["totp"], known["totp_last"])
            for more in (True, True, False):
                try:
                    one.sign_in()
                    break
                except Refused:  # this code was used: the next one
                    if not more:
                        raise
            self.people[name] = one
        return self.people[name]

    def stop(self):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.seen.update(descendants(self.process.pid))
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60)
        left = kill_left(self.seen)
        assert not left, f"{left}\n{self.said()}"
        return status


@pytest.fixture(scope="module")
def demo():
    one = Demo()
    try:
        one.start()
        yield one
    finally:
        one.stop()


def reference_in(answer):
    return re.search(REFERENCE, answer.body.decode(errors="replace")).group(0)


def test_says_how_to_sign_in_and_keeps_secrets_to_itself(demo):
    said = demo.said()
    with open(demo.path("accounts.json"), encoding="utf-8") as file:
        accounts = json.load(file)
    assert f"https://portal.{DOMAIN}:{demo.port}" in said
    assert [one["name"] for one in accounts["people"]] == ["olga", "sam", "audrey", "mia", "leo", "dan", "wei"]
    for one in accounts["people"]:
        assert one["password"] in said and one["totp"] in said
    assert re.search(r"newcomer.*/setup#\S+", said)
    assert stat.S_IMODE(os.stat(demo.path("accounts.json")).st_mode) == 0o600
    log = open(demo.path("log", "sallyport.log"), encoding="utf-8").read()
    assert not any(one["password"] in log or one["totp"] in log for one in accounts["people"])


def test_a_notebook_reads_but_does_not_leave_on_an_unknown_device(demo):
    leo = demo.person("leo")
    page = leo.follow("lab", "/tree")
    assert page.status == 200 and b"Jupyter" in page.body
    refused = leo.follow("lab", "/files/customers.csv?download=1")
    assert refused.status == 403 and b"Harbour Inn" not in refused.body
    assert leo.follow("hr", "/handbook/").status == 200
    assert leo.follow("hr", "/salaries/2026-01.csv").status == 403
    # the security team finds what was refused by its reference
    reference = reference_in(refused)
    audrey = demo.person("audrey")

    def found():
        items = audrey.get(f"/admin/ledger/events?reference={reference}")["items"]
        return items[0] if items else None

    event = wait_for("the refusal in the ledger", 10, found)
    assert "leo" in json.dumps(event)


@pytest.fixture(scope="module")
def company_leo(demo):
    """leo in a browser of a company device: enrolled by the agent, approved by sam."""
    home = os.path.join(demo.dir, "home")
    os.mkdir(home, 0o700)
    demo.people.clear()  # enrol signs in as both itself
    done = subprocess.run([os.path.join(ROOT, "demo", "enrol"), "leo", "--approve"], capture_output=True,
                          text=True, timeout=150, check=False,
                          env={**os.environ, "DEMO_DIR": demo.path(), "DEMO_HOME": home, "BUILD": BUILD})
    assert done.returncode == 0, done.stdout + done.stderr
    store = os.path.join(home, ".local", "state", "sallyport")
    key = os.path.join(home, "key.pem")
    subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", os.path.join(store, "device.key"), "-out", key],
                   check=True, capture_output=True)
    demo.cert = (os.path.join(store, "device.pem"), key)
    return demo.person("leo", cert=demo.cert)


def test_the_same_download_works_on_the_company_device(demo, company_leo):
    company_leo.follow("lab", "/tree")
    # Jupyter itself wants to know that its own page asks
    got = company_leo.follow("lab", "/files/customers.csv?download=1",
                             headers={"Referer": f"https://lab.{DOMAIN}:{demo.port}/tree"})
    assert got.status == 200 and b"Harbour Inn" in got.body
    assert company_leo.follow("hr", "/salaries/2026-01.csv").status == 403


def websocket(person, host, path):
    """Opens a WebSocket by hand (RFC 6455): the raw TLS socket after the 101, or the status."""
    name = f"{host}.{DOMAIN}"
    raw = socket.create_connection(("127.0.0.1", person.port), 10)
    link = person.tls.wrap_socket(raw, server_hostname=name)
    cookies = "; ".join(f"{k}={v}" for k, v in person.cookies[name].items())
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    link.sendall((f"GET {path} HTTP/1.1\r\nHost: {name}:{person.port}\r\nUpgrade: websocket\r\n"
                  f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                  f"Origin: https://{name}:{person.port}\r\nCookie: {cookies}\r\n\r\n").encode())
    head = link.recv(4096).decode(errors="replace")
    return link, int(head.split()[1])


def test_ending_a_session_ends_its_websocket(demo, company_leo):
    leo, sam = company_leo, demo.person("sam")
    leo.follow("lab", "/tree")
    jar = leo.cookies[f"lab.{DOMAIN}"]
    made = leo.request("POST", "lab", "/api/kernels", body=b"{}",
                       headers={"Content-Type": "application/json", "X-XSRFToken": jar.get("_xsrf", ""),
                                "Origin": f"https://lab.{DOMAIN}:{demo.port}", "Sec-Fetch-Site": "same-origin"})
    assert made.status == 201, made.body
    link, status = websocket(leo, "lab", f"/api/kernels/{made.json()['id']}/channels")
    assert status == 101
    sam.step_up()
    session = leo.get("/me")["session"]["id"]
    assert session in [one["id"] for one in sam.items("/admin/sessions")], leo.get("/me")
    begin = time.monotonic()
    sam.post(f"/admin/sessions/{session}/end", {"why": "demonstration"})
    link.settimeout(5)
    try:
        while link.recv(65536):
            pass
    except (ConnectionResetError, ssl.SSLError):
        pass
    assert time.monotonic() - begin < 1
    with pytest.raises(Refused) as refused:
        leo.get("/me")
    assert refused.value.status == 401
    del demo.people["leo"]


def run_at_a_terminal(argv, env, answers):
    """Runs a program at a terminal of its own; answers: (what it asks, what is typed)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, env)
    said = ""
    try:
        while True:
            said += os.read(terminal, 4096).decode(errors="replace")
            if answers and re.search(answers[0][0], said):
                time.sleep(0.5)  # it throws away what was typed before it asked
                os.write(terminal, answers.pop(0)[1].encode() + b"\n")
    except OSError:  # it has ended
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def test_the_orders_database_is_masked_on_the_operators_laptop(demo):
    home = os.path.join(demo.dir, "home-dan")
    os.mkdir(home, 0o700)
    env = {**os.environ, "DEMO_DIR": demo.path(), "DEMO_HOME": home, "BUILD": BUILD}
    sam = demo.person("sam")

    def run(*argv, status=0):
        done = subprocess.run([os.path.join(ROOT, "demo", argv[0]), *argv[1:]], capture_output=True, text=True,
                              timeout=150, check=False, env=env, stdin=subprocess.DEVNULL)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    with subprocess.Popen([os.path.join(ROOT, "demo", "enrol"), "dan"], env=env, stdout=subprocess.DEVNULL) as enrol:
        [device] = wait_for("dan's device", 60, lambda: sam.items("/admin/devices?state=pending"))
        try:
            sam.post(f"/admin/devices/{device['id']}/approve", {"owner": "company"})
        except Refused:  # it is the second factor that is missing
            sam.step_up()
            sam.post(f"/admin/devices/{device['id']}/approve", {"owner": "company"})
        assert enrol.wait(60) == 0
    with open(demo.path("accounts.json"), encoding="utf-8") as file:
        [dan] = [one for one in json.load(file)["people"] if one["name"] == "dan"]
    query = "SELECT name, mobile, id_number FROM customers ORDER BY id LIMIT 3"
    code = Totp(dan["totp"], int(time.time()) // 30 + 1).code()  # enrol has used one
    psql = [os.path.join(ROOT, "demo", "psql"), "dan", "-P", "pager=off", "-XAtc", query]
    status, said = run_at_a_terminal(psql, env,
                                     [("Password:", dan["password"]), ("code:", code)])
    assert status == 0 and len(re.findall(r"\|\d{3}\*{4}\d{4}\|", said)) == 3, said
    # signed in by now
    assert "|" in run("psql", "dan", "-XAtc", query)
    refused = run("psql", "dan", "-XAtc", "SELECT name FROM customers WHERE mobile LIKE '138%'", status=1)
    assert re.search(REFERENCE, refused), refused
    assert re.search(REFERENCE, run("psql", "dan", "-XAtc", "DROP DATABASE orders", status=1))


def environment(demo, home):
    path = os.path.join(demo.dir, home)
    os.makedirs(path, mode=0o700, exist_ok=True)
    return {**os.environ, "DEMO_DIR": demo.path(), "DEMO_HOME": path, "BUILD": BUILD}


def sign_in_at_a_terminal(demo, name, env, *words):
    """demo/cli NAME WORDS of somebody who is not signed in there yet."""
    with open(demo.path("accounts.json"), encoding="utf-8") as file:
        [one] = [one for one in json.load(file)["people"] if one["name"] == name]
    status, said = None, ""
    for _ in range(3):
        code = Totp(one["totp"], int(time.time()) // 30 + 1).code()
        status, said = run_at_a_terminal([os.path.join(ROOT, "demo", "cli"), name, *words], env,
                                         [("Password:", one["password"]), ("code:", code)])
        if "Signed in" in said:
            break
        time.sleep(20)  # that code was used already
    return status, said


def as_somebody(env, *argv, status=0, **more):
    done = subprocess.run([os.path.join(ROOT, "demo", argv[0]), *argv[1:]], capture_output=True, text=True, timeout=90,
                          check=False, env=env, stdin=subprocess.DEVNULL, **more)
    assert status is None or done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_machines_open_on_the_company_laptop(demo, company_leo):
    env = environment(demo, "home")
    status, said = sign_in_at_a_terminal(demo, "leo", env, "ssh", "workstation", "id -un; uname")
    assert status == 0 and "dev\r\nLinux" in said, said
    assert "workstation" in as_somebody(env, "cli", "leo", "ssh-config", "--list")
    assert "no machine" in as_somebody(env, "ssh", "leo", "orders-host", "true", status=1)
    got = os.path.join(env["DEMO_HOME"], "got.csv")
    as_somebody(env, "cli", "leo", "scp", "workstation.sallyport:turnover.csv", got)
    with open(got, encoding="utf-8") as file:
        assert file.readline() == "region,orders,turnover\n"
    as_somebody(env, "cli", "leo", "scp", got, "workstation.sallyport:back.csv")
    assert "33127.00" in as_somebody(env, "ssh", "leo", "workstation", "tail -n 1 back.csv")

    def recorded():
        for one in json.loads(as_somebody(env, "cli", "leo", "session", "recordings", "--json")):
            if "33127.00" in as_somebody(env, "cli", "leo", "session", "replay", one["id"], "--text"):
                return one
        return None

    assert wait_for("the recording of it", 20, recorded, step=0.5)["resource"] == "workstation"


def test_a_private_laptop_gets_a_shell_and_no_file(demo, company_leo):
    env = environment(demo, "home-private")
    sam = demo.person("sam")
    time.sleep(31)  # enrol signs in as leo, whose codes up to the next one are used
    with subprocess.Popen([os.path.join(ROOT, "demo", "enrol"), "leo"], env=env, stdout=subprocess.DEVNULL) as enrol:
        [device] = wait_for("leo's own device", 90, lambda: sam.items("/admin/devices?state=pending"))
        try:
            sam.post(f"/admin/devices/{device['id']}/approve", {"owner": "personal"})
        except Refused:  # it is the second factor that is missing
            sam.step_up()
            sam.post(f"/admin/devices/{device['id']}/approve", {"owner": "personal"})
        assert enrol.wait(60) == 0
    status, said = sign_in_at_a_terminal(demo, "leo", env, "ssh", "workstation", "echo typed at home")
    assert status == 0 and "typed at home" in said, said
    for source, to in (("workstation.sallyport:turnover.csv", env["DEMO_HOME"]), ("/etc/hostname", "workstation.sallyport:")):
        refused = as_somebody(env, "cli", "leo", "scp", source, to, status=None)
        assert re.search(REFERENCE, refused) or "ermission denied" in refused, refused
    assert not os.path.exists(os.path.join(env["DEMO_HOME"], "turnover.csv"))


def approve(person, resource):
    def waiting():
        return [one for one in person.items("/approvals?state=waiting") if one["resource"] == resource]

    [asked] = wait_for("what is asked for", 20, waiting)
    asked = person.get(f"/approvals/{asked['id']}")
    person.post(f"/approvals/{asked['id']}/approve", {"sha256": asked["sha256"]})
    return asked


def test_the_orders_host_runs_what_is_listed_and_asks_for_the_rest(demo):
    env = environment(demo, "home-dan")
    wei = demo.person("wei")
    assert "Mounted on" in as_somebody(env, "ssh", "dan", "orders-host", "df -h")
    assert "checkpoint complete" in as_somebody(env, "ssh", "dan", "orders-host", "tail -n 1 orders.log")
    with subprocess.Popen([os.path.join(ROOT, "demo", "ssh"), "dan", "orders-host", "uname -s; echo agreed"], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as asker:
        asked = approve(wei, "orders-host")
        assert asked["statement"] == "ops@orders-host$ uname -s; echo agreed" and asked["kind"] == "command"
        said = asker.communicate(timeout=30)[0]
        assert asker.returncode == 0 and "Linux\nagreed" in said, said


def test_a_shell_there_goes_on_only_while_somebody_watches(demo):
    env = environment(demo, "home-dan")
    wei = demo.person("wei")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(os.path.join(ROOT, "demo", "ssh"), ["ssh", "dan", "orders-host"], env)
    said = ""

    def hear():
        nonlocal said
        try:
            while select.select([terminal], [], [], 0)[0]:
                said += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # it has ended
            pass
        return said

    try:
        assert approve(wei, "orders-host")["statement"] == "ops@orders-host: shell"
        [open_one] = wait_for("the connection", 20, lambda: [one for one in wei.items("/ssh/connections")
                                                             if one["resource"] == "orders-host" and one["watch_needed"]])
        time.sleep(1)
        assert "ops@orders-host" not in hear(), said  # nobody looks yet
        beat = f"/ssh/connections/{open_one['id']}/watch"
        assert wei.post(beat, {})["watchers"] == ["wei"]
        wait_for("the prompt", 15, lambda: "ops@orders-host" in hear())
        os.write(terminal, b"echo seen-$((6*7)); exit\n")
        wait_for("its answer", 15, lambda: "seen-42" in hear())
    finally:
        try:
            while os.read(terminal, 4096):
                pass
        except OSError:
            pass
        os.close(terminal)
        os.waitpid(pid, 0)


def test_the_proof_stops_a_bad_rule(demo):
    sam = demo.person("sam")
    files = []
    for name in sorted(os.listdir(demo.path("office"))):
        with open(demo.path("office", name), encoding="utf-8") as file:
            files.append({"path": name, "text": file.read()})
    good = sam.post("/admin/policy/validate", {"files": files})
    assert good["ok"], good
    policy = next(one for one in files if one["path"] == "policy.yaml")
    head, rule, tail = policy["text"].partition("HR keeps the personnel files")
    assert rule and "owner: company" in tail
    policy["text"] = head + rule + tail.replace("owner: company", "owner: [company, personal]", 1)
    bad = sam.post("/admin/policy/validate", {"files": files})
    told = json.dumps(bad)
    assert not bad["ok"]
    assert "HR keeps the personnel files" in told and "personal" in told


def test_the_ledger_verifies(demo):
    done = subprocess.run([demo.path("program", "bin", "sallyport"), "ledger", "verify", "-c",
                           demo.path("sallyport.yaml")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_doctor_finds_nothing_bad(demo):
    done = subprocess.run([demo.path("program", "bin", "sallyport"), "doctor", "-c",
                           demo.path("sallyport.yaml"), "--json"],
                          capture_output=True, text=True, timeout=60, check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["ok"], [one for one in found["findings"] if one["level"] == "bad"]


def test_stops_without_a_trace_and_starts_again_where_it_was(demo):
    with open(demo.path("accounts.json"), encoding="utf-8") as file:
        before = file.read()
    assert demo.stop() == 0
    assert "closed; nothing is left running." in demo.said()
    assert not [name for name in os.listdir(demo.path("sock")) if name.endswith(".sock")]
    demo.people.clear()
    begin = time.monotonic()
    demo.start()
    assert time.monotonic() - begin < 30
    with open(demo.path("accounts.json"), encoding="utf-8") as file:
        assert file.read() == before
    assert "first start" not in demo.said()

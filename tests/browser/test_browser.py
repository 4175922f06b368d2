# SPDX-License-Identifier: Apache-2.0
"""The portal in a real Chromium, against a real office (portal.test.mjs)."""

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests", "system"), os.path.join(ROOT, "demo")]

from officelib import PROGRAM, Office, free_port, wait_for  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
NODE_S = 280


@pytest.fixture(scope="module")
def tools():
    """Chromium, Node and what package-lock.json names."""
    for tool in (CHROMIUM, shutil.which("node")):
        assert tool and os.path.exists(tool), "chromium and nodejs are needed: make deps"
    if not os.path.exists(os.path.join(ROOT, "console", "dist", "index.html")):
        subprocess.run([os.path.join(ROOT, "tools", "build-console")], check=True)
    stamp = os.path.join(HERE, "node_modules", ".installed")
    lock = os.path.join(HERE, "package-lock.json")
    if not os.path.exists(stamp) or os.path.getmtime(stamp) < os.path.getmtime(lock):
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=HERE, check=True)
        with open(stamp, "w", encoding="ascii"):
            pass


@pytest.fixture(scope="module")
def office():
    one = Office()
    try:
        one.start()
        yield one
    finally:
        one.close()


def run_node(file, office, **more):
    environment = dict(os.environ, PORTAL=office.portal_url, DOMAIN=office.domain, CHROMIUM=CHROMIUM, **more)
    try:
        done = subprocess.run(["node", "--test", "--test-reporter=spec", file], cwd=HERE, env=environment,
                              capture_output=True, text=True, timeout=NODE_S, check=False)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"{file} came no further in {NODE_S} s than\n" + (late.stdout or b"").decode()[-4000:]) from None
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:] + office.log()[-2000:]


@pytest.mark.timeout(300)
def test_portal(tools, office):
    run_node("portal.test.mjs", office, SETUP_LINK=office.first_link())


LAB_IN_DOCUMENTS = "127.0.0.1:18401"  # demo/office/resources.yaml


def demo_documents(lab_port):
    folder = os.path.join(ROOT, "demo", "office")
    texts = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            texts[name] = file.read().replace(LAB_IN_DOCUMENTS, f"127.0.0.1:{lab_port}")
    assert any(f":{lab_port}" in text for text in texts.values())
    return texts


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def lab_office(tmp_path_factory):
    """An office with a Jupyter notebook behind it."""
    port = free_port()
    one = Office(documents=demo_documents(port))
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(os.path.join(ROOT, "demo", "content", "lab"), home / "work")
    with open(home / "log", "wb") as log:
        lab = subprocess.Popen(
            ["/usr/bin/jupyter-notebook", "--allow-root", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
             "--port-retries=0", "--log-level=WARN", "--NotebookApp.token=", "--NotebookApp.password=",
             f"--NotebookApp.allow_origin=https://lab.{one.domain}:{one.port}",
             "--NotebookApp.allow_remote_access=True", f"--notebook-dir={home}/work"],
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log)
    try:
        one.start()
        wait_for("the notebook", 60, lambda: answers(port), step=0.2)
        yield one
    finally:
        lab.terminate()
        lab.wait(20)
        one.close()


def company_device(office, person, folder):
    """Enrols a device with the agent and has it approved; returns certificate and key, PEM."""
    made = person.post("/me/devices/enrol-code")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "SALLYPORT_AGENT_DIR": str(folder / "agent")}
    agent = subprocess.Popen([PROGRAM, *shlex.split(made["command"])[1:], "--name", "leo-laptop"], env=environment,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    agent.stdin.write(made["code"] + "\n")
    agent.stdin.flush()
    sam = office.people["sam"]

    def pending():
        return [d for d in sam.get("/admin/devices")["items"] if d["state"] == "pending"]

    device = wait_for("the enrolment", 20, pending)[0]
    sam.fresh()
    sam.post(f"/admin/devices/{device['id']}/approve", {"owner": "company"})
    said, _ = agent.communicate(timeout=60)
    assert agent.returncode == 0, said
    key = folder / "key.pem"
    subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", folder / "agent" / "device.key", "-out", key],
                   check=True)
    return folder / "agent" / "device.pem", key


@pytest.mark.timeout(300)
def test_applications(tools, lab_office, tmp_path):
    leo = lab_office.employee("leo", ["staff", "engineer"])
    certificate, key = company_device(lab_office, leo, tmp_path)
    run_node("apps.test.mjs", lab_office, CERTIFICATE=str(certificate), KEY=str(key), PASSWORD=leo.password,
             TOTP_SECRET=leo.totp.secret, TOTP_LAST=str(leo.totp.last),
             CUSTOMERS=os.path.join(ROOT, "demo", "content", "lab", "customers.csv"))


def token(office, name):
    """The portal's cookie of somebody who has signed in."""
    return office.people[name].cookies[f"portal.{office.domain}"]["__Host-sallyport"]


@pytest.mark.timeout(300)
def test_databases(tools):
    from test_core_database import DOCUMENTS
    one = Office(documents=DOCUMENTS, extra=f'postgres: ["127.0.0.1:{free_port()}"]\n')
    try:
        one.start()
        one.employee("ann", ["analyst"])
        run_node("databases.test.mjs", one, TOKEN=token(one, "ann"))
    finally:
        one.close()


@pytest.mark.timeout(300)
def test_approvals(tools):
    from test_approvals import DOCUMENTS
    one = Office(documents=DOCUMENTS)
    try:
        one.start()
        for name, role in (("ann", "staff"), ("lee", "lead"), ("max", "lead")):
            one.employee(name, [role])
        run_node("approvals.test.mjs", one, TOKENS=json.dumps({name: token(one, name) for name in ("ann", "lee", "max", "sam")}))
    finally:
        one.close()


DATABASE_DOCUMENTS = """---
kind: Budget
name: destroying
who: { roles: [dba] }
actions: [destroy]
per: 10m
statements: 3
then: deny
---
kind: Role
name: asker
---
kind: Role
name: lead
---
kind: Rule
name: askers work in the orders
who: { roles: [asker] }
to: { resources: [orders-db] }
may: [connect, read, write]
---
kind: Rule
name: a lead agrees before anything goes
who: { roles: [asker] }
to: { resources: [orders-db] }
may: [destroy]
ask: { approved_by: 1, by: { roles: [lead] }, expires: 10m }
"""
TABLES = """
CREATE TABLE orders (id int, note text);
INSERT INTO orders SELECT g, 'n' FROM generate_series(1, 50) g;
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO customers SELECT g, 'name ' || g FROM generate_series(1, 2000) g;
CREATE TABLE bills (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE);
INSERT INTO bills SELECT g, g FROM generate_series(1, 30) g;
CREATE VIEW names AS SELECT name FROM customers;
ALTER TABLE orders OWNER TO op_dba;
ALTER TABLE customers OWNER TO op_dba;
ALTER TABLE bills OWNER TO op_dba;
ALTER VIEW names OWNER TO op_dba;
ANALYZE
"""


@pytest.fixture(scope="module")
def orders(tools):
    """An office with a database gate before a real PostgreSQL, where undo keeps what is about to go."""
    from dblib import DOCUMENTS, DatabaseOffice
    account = "accounts: [{ roles: [dba, viewer], as: op_dba }]"
    assert account in DOCUMENTS
    db = DatabaseOffice(documents=DOCUMENTS.replace(account, "accounts: [{ roles: [dba, viewer, asker], as: op_dba }]\n  keep_as: op_keep")
                        + DATABASE_DOCUMENTS, tls="loopback")  # the keeper's account cannot read the test's CA
    try:
        db.server.sql(*(line for line in TABLES.strip().split(";\n")), database="orders")
        db.server.sql("CREATE ROLE op_keep LOGIN PASSWORD 'of op_keep'", "GRANT pg_read_all_data, op_dba TO op_keep",
                      "GRANT CREATE ON DATABASE orders TO op_keep")
        db.put_credential("op_keep", "of op_keep")
        for name, role in (("dora", "asker"), ("lena", "lead")):
            db.person(name, [role])
        yield db
    finally:
        db.close()


def in_orders(db, *clients, tokens):
    return json.dumps({**{name: db.environment(name) for name in clients}, "tokens": {name: token(db.office, name) for name in tokens}})


@pytest.mark.timeout(300)
def test_watch(orders):
    run_node("watch.test.mjs", orders.office, DATABASE=in_orders(orders, "lin", "mia", tokens=("sam", "audrey", "lin", "mia")))


@pytest.mark.timeout(300)
def test_statement(orders):
    run_node("statement.test.mjs", orders.office, DATABASE=in_orders(orders, "dora", tokens=("dora", "lena")))


@pytest.fixture(scope="module")
def house(tools):
    """An office with administrators, lin, and a mail server that refuses one mailbox."""
    from test_notices import House
    one = House()
    try:
        one.office.employee("lin", [])
        one.refused = lambda address: "550 5.1.1 no such user" if address.startswith("staff001") else None
        yield one
    finally:
        one.smtp.close()
        one.hooks.close()
        one.office.close()


@pytest.mark.timeout(300)
def test_notices(house):
    values = {"what": "a mail with <b>markup</b>", "signs": "its sender", "contact": "the security team"}
    house.local.finished(house.local.send("phishing-warning", values=values))
    link = next(word for mail in house.smtp.mails for word in mail.part("plain").split() if "acknowledge#" in word)
    run_node("notices.test.mjs", house.office, NOTICES=json.dumps(
        {"tokens": {name: token(house.office, name) for name in ("sam", "lin")}, "link": link, "title": "Beware of a forged message"}))
    again = house.local.send("phishing-warning", values=values)
    house.local.finished(again)
    way = next(one for one in house.local.people(again) if one["person"] == "lin")
    assert way["channel"] == "slow" and house.hooks.of("slow"), "lin is told on the way that lin chose on the page"


ROOM_DOCUMENTS = """---
kind: Role
name: typist
---
kind: Rule
name: typists are recorded
who: { roles: [typist] }
to: { resources: [host] }
may: [connect, read, write, execute]
with: { record: true }
---
kind: Detection
name: wrong-passwords
title: { en: Wrong passwords, zh: 密码错误 }
severity: high
over: { kinds: sign-in, verdicts: deny, known: true }
by: person
count: { at_least: 2, within: 1h }
quiet: 1h
plan: look-first
---
kind: Plan
name: look-first
title: { en: Look first, zh: 先看再办 }
mode: confirm
steps:
  - { name: close, do: deny, with: { kind: role, name: guest } }
  - { name: lock, do: lock_person, confirm_by: [security-admin] }
  - { name: call, do: task, with: { text: call the person } }
---
kind: Sink
name: siem
via: http
address: http://127.0.0.1:9/ocsf
token: true
kinds: [identity]
---
kind: Officer
name: speaker
duty: incident_reporting
person: rita
contact: "+86 10 5555 0102"
---
kind: Officer
name: privacy
duty: data_protection
person: nobody-yet
"""


def keep_asking(connection, stop):
    """Statements as long as they are answered, one that is refused and hostile first."""
    from pgraw import Closed
    texts = ["DROP TABLE plain /* <img src=x onerror=alert(1)> \\x1b[2J */", "SELECT 'seen on the wall'"]
    try:
        for number in range(1000):
            connection.ask(texts[min(number, 1)])
            if stop.wait(0.5):
                return
    except (OSError, Closed):
        pass  # cut, as the test wants it


@pytest.fixture(scope="module")
def whole(tools):
    """Something behind each gate, and people at work."""
    from wholelib import WholeOffice
    one = WholeOffice(more=ROOM_DOCUMENTS)
    try:
        yield one
    finally:
        one.close()


@pytest.mark.timeout(300)
def test_room(whole):
    from portal import Refused
    stop = threading.Event()
    for name in ("eve", "kim"):
        whole.ssh.person(name, ["typist"])
    for name in ("eve", "bob"):  # not kim: a key takes a code, and so does each try below
        whole.ssh.key(name)
    rita = whole.person("rita")
    for _ in range(2):
        one = whole.person("kim").again()
        one.password = "wrong horse battery"
        with pytest.raises(Refused):
            one.sign_in()
    asking = threading.Thread(target=keep_asking, args=(whole.sql("bob"), stop), daemon=True)
    asking.start()
    whole.fresh()
    whole.sam.post("/admin/api-tokens", {"name": "monitor"})
    try:
        with whole.ssh.terminal("eve", "host") as terminal:
            terminal.type("cd /; PS1='ready> '\r")
            terminal.wait("\nready> ")
            terminal.type("rm -rf /nothing-of-this-name/there\r")
            terminal.wait("ready> ")
            wait_for("the alarms", 15, lambda: whole.sam.get("/ssh/alarms")["items"] and whole.sam.get("/alarms")["items"])
            run_node("room.test.mjs", whole.office, ROOM=json.dumps({
                "tokens": {name: token(whole.office, name) for name in ("sam", "rita", "olga")}, "person": "eve",
                "rita": {"password": rita.password, "totp": {"secret": rita.totp.secret, "last": rita.totp.last}},
                "sqlPerson": "bob", "hostile": "<b>bold</b> \x1b[31m ${x} 事件"}))
            terminal.wait("not with us any more")  # why it was ended
    finally:
        stop.set()


MARKUP = "<img src=x onerror=alert(1)>"
CLEARS = "\x1b[2J"
ESCAPES = "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b]8;;https://evil.example/\x07click\x1b]8;;\x07" + CLEARS


@pytest.mark.timeout(300)
def test_recordings(whole, tmp_path):
    """A machine prints what attacks its readers; whoever replays or watches it meets only text."""
    whole.ssh.person("dan", ["typist"])
    whole.ssh.key("dan")
    (tmp_path / "evil").write_text(f"ready {MARKUP}\n{ESCAPES.removesuffix(CLEARS)}\n\x1b[c\x1b[6n\x1b[21t\x1bP+q544e\x1b\\\x1b[31mred\x1b[0m\n")
    (tmp_path / "lines").write_text('for i in $(seq 0 39); do echo "line $i needle"; sleep 0.08; done\n')
    with whole.ssh.terminal("dan", "host") as terminal:
        terminal.type(f"cd {tmp_path}; PS1='ready> '\r")
        terminal.wait("\nready> ")
        terminal.type("cat evil\r")
        terminal.wait("red\n")
        terminal.type(f"rm -rf '/nothing-of-this-name/{MARKUP}'\r")
        terminal.type("sh lines\r")
        terminal.wait("line 39 needle")
        terminal.type("exit\r")
        terminal.process.wait(20)
    assert whole.ssh.ssh("dan", "host", f"echo '{MARKUP}'").stdout == MARKUP + "\n"
    with whole.ssh.terminal("dan", "host") as terminal:
        terminal.type("PS1='still> '; echo here\r")
        terminal.wait("\nstill> ")
        run_node("recordings.test.mjs", whole.office, RECORDINGS=json.dumps({"token": token(whole.office, "sam"), "markup": MARKUP}))
        terminal.wait("seen enough")  # why it was ended


def kept_or_refused(ask, *words):
    """The API keeps a text as it is or refuses it; it never fails over it."""
    from portal import Refused
    try:
        return ask(*words)
    except Refused as refusal:
        assert 400 <= refusal.status < 500, refusal
        return None


@pytest.mark.timeout(300)
def test_hostile(whole):
    from pgraw import Closed
    sam, olga = whole.sam, whole.olga
    olga.post("/admin/people", {"name": "mallory", "display_name": MARKUP})
    kept_or_refused(olga.post, "/admin/people", {"name": "mallory2", "display_name": "x" + ESCAPES})
    kept_or_refused(whole.person("ann").post, "/ssh/keys", {"name": MARKUP, "key": "ssh-ed25519 " + MARKUP})
    with contextlib.closing(whole.sql("ann")) as connection:
        for text in (f"SELECT '{MARKUP}'", f"SELECT 1 /* {ESCAPES} */", f"DROP TABLE plain /* {MARKUP} */"):
            try:
                connection.ask(text)
            except Closed:
                break
    whole.web_status("ann")
    whole.person("ann").request("GET", "notes", "/%3Cimg%20src=x%20onerror=alert(1)%3E/%1b%5D0;owned%07", headers={"Accept": "application/json"})
    made = sam.post("/incidents", {"title": MARKUP, "severity": "medium"})
    sam.post(f"/incidents/{made['id']}/comment", {"text": f"{MARKUP}{ESCAPES} after the escapes"})
    sam.post(f"/incidents/{made['id']}/task", {"text": MARKUP})
    sam.post(f"/incidents/{made['id']}/close", {"review": f"[x](javascript:alert(1)) {MARKUP}"})
    sam.post("/admin/notices", {"notice": "message", "audience": "administrators", "values": {"title": MARKUP, "text": MARKUP + ESCAPES}})
    whole.fresh()
    cut = sam.post("/cuts", {"kind": "role", "name": "guest", "reason": MARKUP})
    sam.post(f"/cuts/{cut['id']}/undo", {"reason": MARKUP})
    run_node("hostile.test.mjs", whole.office, HOSTILE=json.dumps({
        "tokens": {name: token(whole.office, name) for name in ("sam", "audrey", "olga")}, "markup": MARKUP,
        "escapes": ESCAPES, "incident": made["id"]}))

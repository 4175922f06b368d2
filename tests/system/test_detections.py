# SPDX-License-Identifier: Apache-2.0
"""Each detection that comes with the program, set off by what people really do at a real office: its portal, its
three gates, a real PostgreSQL and sshd behind them. Where a while is too long for a test, the office's own document
of that name has a shorter one; all else is as shipped.

OWNS the office and what is behind it. PROCESS tests. TRUST none. SPEC packaging/detections/detections.yaml,
docs/DETECTIONS.md. `ledger-gap` needs a full disk: test_disk_full.py.
"""
import contextlib
import datetime
import http.client
import itertools
import os
import shutil
import subprocess
import tempfile
import time
import types
import zoneinfo

import psycopg2
import pytest

import mmdblib
from devicelib import Device
from officelib import PATIENT_S, descendants, wait_for
from portal import Refused
from webgatelib import Upstream
from wholelib import WholeOffice

# These also stand for what the built-in one has beside its while.
OWN = """\
kind: Detection
name: slow-brute-force
severity: high
over: {{ kinds: sign-in, verdicts: deny }}
by: person
count: {{ at_least: 5, within: 24h }}
quiet: 24h
---
kind: Detection
name: code-guessing
severity: high
over: {{ kinds: sign-in, verdicts: deny, contains: '"why":"code"' }}
by: person
count: {{ at_least: 4, within: 15m }}
quiet: 6h
plan: stolen-credentials
---
kind: Detection
name: new-device-of-privileged
severity: medium
over: {{ kinds: [decision, sign-in, admin, policy, identity], roles: [system-admin, security-admin, audit-admin] }}
by: person
novel: {{ of: device, learn: 1s }}
quiet: 1h
---
kind: Detection
name: privileged-at-night
severity: medium
over:
  kinds: [admin, policy, identity, device]
  roles: [system-admin, security-admin, audit-admin]
  hours: "{day}"
  outside: true
by: person
count: {{ at_least: 3, within: 1h }}
quiet: 12h
---
kind: Detection
name: mass-export
severity: high
over: {{ kinds: [decision, close], verdicts: allow, actions: [export, read], known: true }}
by: person
sum: {{ bytes: 5 MiB, within: 1h }}
quiet: 12h
plan: data-leak
---
kind: Detection
name: carried-by-commands
severity: medium
over: {{ kinds: close, gates: ssh, contains: '"export":"not allowed"', known: true }}
by: person
sum: {{ bytes: 200 KiB, within: 1h }}
quiet: 12h
---
kind: Plan
name: cuts-sprayers
mode: automatic
trigger: {{ detections: [password-spraying] }}
steps:
  - {{ name: session, do: cut, with: {{ kind: session }} }}
---
kind: Canary
name: bait
rows: [{{ resource: orders-db, table: public.plain, key: CN-4711 }}]
files: [{{ resource: host, path: "{folder}/keys*" }}]
urls: [{{ resource: notes, path: "/hr/salaries*" }}]
---
kind: Resource
name: archive
operator: company
class: internal
web: {{ host: archive, upstream: "http://127.0.0.1:{web}" }}
---
kind: Role
name: taker
---
kind: Role
name: emergency
request:
  who: {{ roles: [staff] }}
  sealed: true
  longest: 10m
  ask: {{ approved_by: 2, by: {{ roles: [taker, security-admin] }} }}
---
kind: Rule
name: emergency access reads the notes
who: {{ roles: [emergency] }}
to: {{ resources: [notes] }}
may: [connect, read]
---
kind: Role
name: cleaner
---
kind: Rule
name: takers take
who: {{ roles: [taker] }}
to: {{ any: true }}
may: [connect, read, write, execute, export, destroy]
---
kind: Rule
name: cleaners clean
who: {{ roles: [cleaner] }}
to: {{ resources: [orders-db] }}
may: [connect, read, destroy]
---
kind: Budget
name: nobody destroys fast
who: {{ roles: [cleaner] }}
actions: [destroy]
per: 10m
statements: 3
then: lock
"""
PLACES = {"127.10.0.0/16": (39.9, 116.4, "CN"), "127.20.0.0/16": (40.7, -74.0, "US")}


def another_time_of_day():
    """Two hours that do not hold now."""
    now = datetime.datetime.now(zoneinfo.ZoneInfo("Asia/Shanghai"))
    begin, end = now + datetime.timedelta(hours=4), now + datetime.timedelta(hours=6)
    return f"{begin:%H:%M}-{end:%H:%M} Asia/Shanghai"


@pytest.fixture(scope="module")
def whole():
    folder = tempfile.mkdtemp(prefix="sp-bait-", dir="/tmp")
    places = os.path.join(folder, "places.mmdb")
    mmdblib.write(places, PLACES)
    os.chmod(folder, 0o755)
    os.chmod(places, 0o644)
    upstream = Upstream()
    own = OWN.format(folder=folder, web=upstream.server_port, day=another_time_of_day())
    rooms = "".join(f"---\nkind: Resource\nname: room{n}\noperator: company\nclass: internal\n"
                    f"web: {{ host: room{n}, upstream: \"http://127.0.0.1:{upstream.server_port}\" }}\n" for n in range(8))
    one = WholeOffice(more="---\n" + own + rooms, extra=f"places: {places}\n", upstream=upstream, files=False)
    try:
        one.pg.sql("CREATE TABLE wide AS SELECT repeat('x', 1000) AS line FROM generate_series(1, 1300)",
                   "ALTER TABLE wide OWNER TO op", "ALTER TABLE plain OWNER TO op", "CREATE TABLE t AS SELECT 1 AS id",
                   "ALTER TABLE t OWNER TO op", "CREATE SCHEMA bay AUTHORIZATION op",
                   "CREATE TABLE bay.one AS SELECT 1 AS id", "ALTER TABLE bay.one OWNER TO op", database="orders")
        one.folder = folder
        yield one
    finally:
        one.close()
        shutil.rmtree(folder)


def alarms(whole, detection, words=""):
    return [a for a in whole.sam.items("/alarms") if a["detection"] == detection and words in a["keys"]]


def told(whole, detection, words, plan=None):
    """Its one alarm about this key, with evidence and an incident."""
    found = wait_for(f"an alarm of {detection} about {words}", PATIENT_S,
                     lambda: [a for a in alarms(whole, detection, words) if a["incident"]], step=0.1)
    assert len(found) == 1 and found[0]["evidence"], found
    assert (found[0]["plan"] or None) == plan, found[0]
    return found[0]


def steps_of(whole, alarm):
    """What the plan did about it, by name of step."""
    runs = wait_for("its plan", PATIENT_S, lambda: whole.sam.get(f"/incidents/{alarm['incident']}")["runs"])
    return {step["name"]: step for step in whole.sam.get(f"/plan-runs/{runs[0]['id']}")["steps"]}


def try_password(whole, source, name, password, code=None):
    one = whole.olga.again()
    one.source, one.name, one.password = source, name, password
    one.totp = types.SimpleNamespace(code=lambda: code or "000000")
    with pytest.raises(Refused) as refused:
        one.sign_in()
    return refused.value.status


def visit(whole, name, host="notes", path="/", source=None, cert=None):
    """With this person's session, whoever does it."""
    person = whole.person(name)
    if f"{host}.office.localhost" not in person.cookies:
        person.follow(host, "/")
    one = person.again(cert=cert)
    one.cookies, one.source = person.cookies, source
    try:
        return one.request("GET", host, path, headers={"Accept": "application/json"}).status
    except http.client.RemoteDisconnected:
        return None  # a plan was faster: the session was cut under the answer


def database(whole, name):
    return psycopg2.connect(host="127.0.0.1", port=whole.port, user=name, dbname="orders-db",
                            password=whole.password(name), sslmode="require")


def copied_out(whole, name, table="wide"):
    with database(whole, name) as one, open(os.devnull, "w", encoding="ascii") as nowhere:
        one.cursor().copy_expert(f"COPY {table} TO STDOUT", nowhere)


def looked_up(whole, name, key):
    with database(whole, name) as one:
        one.cursor().execute(f"SELECT * FROM plain WHERE id::text = '{key}'")


def fetched(whole, name, path):
    """A file of the machine, by sftp."""
    words = whole.ssh.argv(name, "host", f"127.0.0.1:{path}", os.path.join(whole.folder, f"got-{name}"), program="scp")
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)


def printed(whole, name, size):
    """What a command prints."""
    done = subprocess.run(whole.ssh.argv(name, "host", "-n", "127.0.0.1", f"head -c {size} /dev/zero"), capture_output=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def file_on_host(whole, name, size):
    path = os.path.join(whole.folder, name)
    with open(path, "wb") as file:
        file.write(b"x" * size)
    os.chmod(path, 0o644)
    return path


# ---- signing in


def test_password_spraying(whole):
    whole.person("ann")
    for name in ("ann", "sam", "olga", "bob", "eve", "mallory", "trent"):
        assert try_password(whole, "127.40.0.9", name, "Lantern-Spring-2026") == 401
    assert not alarms(whole, "password-spraying")
    try_password(whole, "127.40.0.9", "victor", "Lantern-Spring-2026")
    alarm = told(whole, "password-spraying", "peer=127.40.0.9")
    assert alarm["person"] in (None, ""), "who tries many names does not choose whom a plan cuts off"
    incident = whole.sam.get(f"/incidents/{alarm['incident']}")
    assert not incident["runs"] and incident["about"] is None, "nor does he use up what the plan may do by itself"
    assert [n for n in incident["timeline"] if "about nobody whom it could cut" in (n["text"] or "")]
    wait_for("the page", 10, lambda: [n for n in whole.sam.get("/me/notices")["items"] if n["name"] == "alarm"])


def test_slow_brute_force(whole):
    whole.person("bea")
    for n in range(5):
        assert not alarms(whole, "slow-brute-force", "bea")
        assert try_password(whole, f"127.4{n}.0.1", "bea", f"wrong {n}") == 401
    assert told(whole, "slow-brute-force", "bea")["count"] == "5"


def test_codes_are_guessed(whole):
    person = whole.person("cho")
    for code in ("000001", "000002", "000003", "000004"):
        assert try_password(whole, "127.50.0.1", "cho", person.password, code) == 401
    told(whole, "code-guessing", "person=cho", "stolen-credentials")
    assert not alarms(whole, "slow-brute-force", "cho")


# ---- sessions and devices


def test_a_session_on_two_devices(whole):
    person = whole.person("dee")
    whole.fresh()
    first, second = (Device(person, whole.folder, f"dee-{n}").approved(whole.sam) for n in (1, 2))
    visit(whole, "dee", cert=(first.cert, first.key))
    assert not alarms(whole, "session-elsewhere")
    visit(whole, "dee", cert=(second.cert, second.key))
    alarm = told(whole, "session-elsewhere", "session=", "stolen-credentials")
    assert alarm["person"] == "dee" and steps_of(whole, alarm)["session"]["state"] == "done"
    wait_for("the end of the session", 5, lambda: visit(whole, "dee") != 200)


def test_a_session_on_three_networks(whole):
    for network in (1, 2):
        assert visit(whole, "eli", source=f"127.60.{network}.1") == 200
    assert not [a for a in alarms(whole, "session-on-many-networks") if a["person"] == "eli"]
    visit(whole, "eli", source="127.60.3.1")
    own = wait_for("an alarm about eli", PATIENT_S, lambda: [a for a in alarms(whole, "session-on-many-networks") if a["person"] == "eli"])
    told(whole, "session-on-many-networks", own[0]["keys"], "stolen-credentials")


def test_a_session_to_and_fro_between_two_networks(whole):
    """As often as a telephone changes, and then as two people do."""
    for n in range(7):
        assert visit(whole, "uma", source="127.61.0.1" if n % 2 == 0 else None) == 200
    assert not [a for a in alarms(whole, "session-to-and-fro") if a["person"] == "uma"]
    turns = itertools.cycle([None, "127.61.0.1"])  # two workers' entries may change places: then it takes another turn
    own = wait_for("an alarm about uma", PATIENT_S, lambda: (visit(whole, "uma", source=next(turns)), [
        a for a in alarms(whole, "session-to-and-fro") if a["person"] == "uma"])[1])
    told(whole, "session-to-and-fro", own[0]["keys"], "stolen-credentials")
    assert not [a for a in alarms(whole, "session-on-many-networks") if a["person"] == "uma"]


def test_impossible_travel(whole):
    assert visit(whole, "fay", source="127.10.0.7") == 200  # Beijing
    assert visit(whole, "fay", source="127.10.0.8") == 200
    assert not alarms(whole, "impossible-travel")
    visit(whole, "fay", source="127.20.0.7")  # New York, at once; the plan may be faster than the answer
    alarm = told(whole, "impossible-travel", "person=fay", "stolen-credentials")
    assert alarm["severity"] == "high"


def test_an_administrator_on_a_device_never_seen(whole):
    whole.fresh()
    old, new = (Device(whole.olga, whole.folder, f"olga-{n}").approved(whole.sam) for n in (1, 2))

    def work_on(device, name):
        at_it = device.mutual()
        at_it.cookies = whole.olga.cookies
        at_it.post("/admin/people", {"name": name, "display_name": name})

    work_on(old, "new-1")
    time.sleep(1.1)  # it learns for a second
    work_on(old, "new-2")
    assert not alarms(whole, "new-device-of-privileged")
    work_on(new, "new-3")
    told(whole, "new-device-of-privileged", "person=olga")


def test_administration_at_night(whole):
    for name in ("night-1", "night-2", "night-3"):
        whole.olga.post("/admin/people", {"name": name, "display_name": name})
    told(whole, "privileged-at-night", "person=olga")


def test_an_administrator_grants_himself(whole):
    whole.fresh()
    me = whole.sam.get("/me")["person"]["id"]
    with pytest.raises(Refused) as refused:
        whole.sam.put(f"/admin/people/{me}/roles", {"roles": ["security-admin", "taker"]})
    assert refused.value.code == "own_roles"
    alarm = told(whole, "roles-for-himself", "person=sam", "insider-leaving")
    assert alarm["severity"] == "critical"


# ---- what leaves, what is destroyed


def test_mass_export_over_all_gates_together(whole):
    whole.person("gus", ["taker"])
    path = file_on_host(whole, "gus", 1300000)
    for _ in range(2):
        assert visit(whole, "gus", path="/download") == 200
    copied_out(whole, "gus")
    assert not alarms(whole, "mass-export")
    done = fetched(whole, "gus", path)
    assert done.returncode == 0, done.stderr
    alarm = told(whole, "mass-export", "person=gus", "data-leak")
    assert steps_of(whole, alarm)["session"]["state"] == "done", steps_of(whole, alarm)["session"]
    assert not alarms(whole, "export-over-many-gates")


def test_exports_over_many_gates(whole):
    whole.person("hal", ["taker"])
    path = file_on_host(whole, "hal", 1100000)
    assert fetched(whole, "hal", path).returncode == 0
    copied_out(whole, "hal")
    assert visit(whole, "hal", "archive", "/download") == 200
    assert not alarms(whole, "export-over-many-gates")
    assert visit(whole, "hal", path="/download") == 200
    told(whole, "export-over-many-gates", "person=hal", "data-leak")


def test_commands_carry_off_what_may_not_leave_as_a_file(whole):
    whole.person("mel")
    whole.person("nia", ["taker"])
    for name in ("nia", "mel"):
        for _ in range(3):
            assert len(printed(whole, name, 65536)) == 65536
    assert not alarms(whole, "carried-by-commands")
    printed(whole, "nia", 65536)
    printed(whole, "mel", 65536)
    told(whole, "carried-by-commands", "person=mel")
    assert not alarms(whole, "carried-by-commands", "person=nia")


def test_much_is_destroyed(whole):
    whole.person("ivy", ["taker"])
    one = database(whole, "ivy")
    one.autocommit = True
    for _ in range(19):
        one.cursor().execute("DELETE FROM t")
    assert not alarms(whole, "destruction")
    with contextlib.suppress(psycopg2.Error):  # it is told before it runs: she may be out by then
        one.cursor().execute("TRUNCATE t")
    one.close()
    alarm = told(whole, "destruction", "person=ivy", "database-destruction")
    assert alarm["severity"] == "critical" and steps_of(whole, alarm)["session"]["state"] == "done"


def database_events(whole, name):
    return [e for e in whole.audrey.items("/admin/ledger/events?limit=200&person=" + name) if e.get("gate") == "db"]


def test_a_whole_schema_was_to_be_destroyed(whole):
    """Whatever else stands in the text, and whatever of that was refused; a table is no whole, nor what CASCADE may meet."""
    for name in ("zed", "zoe", "zac"):
        whole.person(name, ["taker"])
    for name, text in (("zed", "DROP TABLE bay.one CASCADE"),
                       ("zoe", "DROP SCHEMA bay CASCADE; CHECKPOINT; SELECT 'nothing'"),
                       ("zac", "DROP SCHEMA bay CASCADE")):
        one = database(whole, name)
        one.autocommit = True
        if name == "zoe":  # takers may destroy, and not administer
            with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="administer"):
                one.cursor().execute(text)
        else:
            one.cursor().execute(text)
        one.close()
    for name, verdict, severity in (("zoe", "deny", "high"), ("zac", "allow", "medium")):
        alarm = told(whole, "whole-destroyed", f"person={name}")
        assert alarm["severity"] == "critical" and alarm["person"] == name
        wait_for("the page", 10, lambda: [n for n in whole.sam.get("/me/notices")["items"] if n["must_acknowledge"]
                                          and f"person={name}" in n["texts"]["en"]["text"]])
        first = [e for e in database_events(whole, name) if e["kind"] == "decision" and e.get("detail", {}).get("destroys")]
        assert [(e["verdict"], e["severity"], e["detail"]["destroys"]) for e in first] == [(verdict, severity, "whole")]
        assert alarm["evidence"][0]["reference"] == first[0]["reference"]
        assert first[0]["detail"]["connection"], "it counts for its connection in the record of its session"
    refused = [e for e in database_events(whole, "zoe") if e.get("verdict") == "deny"]
    assert [(e["action"], e["method"]) for e in refused] == [("administer", "SELECT")], "what was refused names the event"
    assert not alarms(whole, "whole-destroyed", "person=zed")


def test_over_a_budget(whole):
    whole.person("joy", ["cleaner"])
    one = database(whole, "joy")
    one.autocommit = True
    for _ in range(3):
        one.cursor().execute("DELETE FROM t")
    assert not alarms(whole, "budget-exceeded")
    with pytest.raises(psycopg2.Error):
        one.cursor().execute("DELETE FROM t")
    one.close()
    told(whole, "budget-exceeded", "person=joy", "database-destruction")


# ---- bait, ways round


def test_bait_is_touched(whole):
    """An address, a row, a file; what lies beside them is no bait."""
    path = file_on_host(whole, "keys.txt", 10)
    beside = file_on_host(whole, "notes.txt", 10)
    names = ("kim", "kai", "kit")
    for name in names:
        whole.person(name, ["taker"])
        assert visit(whole, name, path="/hr/people") == 200
        looked_up(whole, name, "CN-4710")
        assert fetched(whole, name, beside).returncode == 0
    assert not alarms(whole, "bait")
    visit(whole, "kim", path="/hr/salaries-2026.csv")
    looked_up(whole, "kai", "CN-4711")
    fetched(whole, "kit", path)
    for name, resource in zip(names, ("notes", "orders-db", "host")):
        alarm = told(whole, "bait", f"person={name}")
        assert alarm["severity"] == "critical" and alarm["resource"] == resource


def test_refused_and_then_by_another_gate(whole):
    whole.person("lou")
    with pytest.raises(psycopg2.Error):
        copied_out(whole, "lou")
    with pytest.raises(psycopg2.Error):
        copied_out(whole, "lou", "plain")  # the same gate again is no way round
    assert not alarms(whole, "refused-then-elsewhere")
    assert fetched(whole, "lou", file_on_host(whole, "lou", 10)).returncode != 0
    told(whole, "refused-then-elsewhere", "person=lou")


def test_refused_at_many_resources(whole):
    whole.person("vic", [])
    for n in range(7):
        assert visit(whole, "vic", f"room{n}") == 403
    assert visit(whole, "vic", "room0") == 403  # another time at the same
    assert not alarms(whole, "probing")
    assert visit(whole, "vic", "room7") == 403
    assert told(whole, "probing", "person=vic")["severity"] == "medium"


# ---- what is grave by itself


def test_a_destructive_command_is_typed(whole):
    whole.person("pia", ["taker"])
    kept = tempfile.mkdtemp(prefix="sp-kept-", dir=os.path.expanduser("~"))  # not below /tmp: one whose loss would be felt
    try:
        with whole.ssh.terminal("pia", "host") as terminal:
            terminal.type(f"PS1='ready> '; ls {kept}\r")
            terminal.wait("\nready> ")
            time.sleep(1)
            assert not alarms(whole, "terminal-alarm")
            terminal.type(f"rm -rf {kept}/nothing\r")
            alarm = told(whole, "terminal-alarm", "person=pia")
        assert alarm["severity"] == "high" and alarm["resource"] == "host"
    finally:
        shutil.rmtree(kept)


def test_emergency_access_is_opened(whole):
    ola, ned = whole.person("ola"), whole.person("ned", ["taker"])
    whole.fresh()
    asked = ola.post("/grants", {"role": "emergency", "reason": "the office burns", "duration_s": 300})
    for who in (ned, whole.sam):
        assert not alarms(whole, "emergency-access")
        if who is ned:
            ned.step_up()
        who.post(f"/approvals/{asked['id']}/approve", {"sha256": asked["sha256"]})
    alarm = wait_for("the alarm", 10, lambda: [a for a in alarms(whole, "emergency-access") if a["incident"]])[0]
    assert alarm["severity"] == "high" and alarm["evidence"] and len(alarms(whole, "emergency-access")) == 1


def test_a_key_that_is_there_twice(whole):
    whole.fresh()
    device = Device(whole.person("rex"), whole.folder, "rex").approved(whole.sam)
    stolen = os.path.join(whole.folder, "rex-stolen.pem")
    shutil.copy(device.cert, stolen)
    device.keep(device.renew(stolen), os.path.join(whole.folder, "rex-thief.pem"))
    assert not alarms(whole, "device-cloned")
    with pytest.raises(Refused):
        device.renew()
    alarm = told(whole, "device-cloned", "device=", "malware-on-a-device")
    assert alarm["severity"] == "critical"


def test_a_session_without_its_device(whole):
    whole.fresh()
    person = whole.person("sol")
    device = Device(person, whole.folder, "sol").approved(whole.sam)
    own = person.again(cert=(device.cert, device.key))
    own.sign_in()
    own.follow("notes", "/")
    thief = person.again()
    thief.cookies = own.cookies

    def shown():
        return thief.request("GET", "notes", "/", headers={"Accept": "application/json"}).status

    assert [shown(), shown()] == [401, 401] and not alarms(whole, "session-without-its-device")
    assert shown() == 401
    alarm = told(whole, "session-without-its-device", "session=")
    assert alarm["person"] == "sol" and alarm["severity"] == "high"
    assert own.request("GET", "notes", "/", headers={"Accept": "application/json"}).status == 200, "its owner works on"


# ---- gaps


def test_a_recorder_is_gone(whole):
    """Last: until then nothing that all the others did was taken for a gap."""
    assert not alarms(whole, "recorder-gap") and not alarms(whole, "ledger-gap")
    victim = descendants(whole.office.pid("ssh"))[0]
    os.kill(victim, 9)
    told(whole, "recorder-gap", "", "ledger-failure")
    assert not alarms(whole, "ledger-gap")

# SPDX-License-Identifier: Apache-2.0
"""The demo office: starts applications and Sallyport on loopback, makes accounts at the first start,
says how to sign in and what to try, and stops all of it on Ctrl-C. Run by demo/run (`make run`)."""

import json
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time

from apps import PORTS, Apps, free_port, port_is_free
from portal import Person, Refused

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOMAIN = "office.localhost"
OFFICE = "Lantern Trading"
ROLES = {"core": 60101, "vault": 60102, "ledger": 60103, "web": 60104}
START_S = 60
AWAY = "/var/lib/sallyport-demo"  # for a tree that other users cannot enter

ADMINISTRATORS = [("olga", "Olga Petrova", "system-admin", "accounts, backups, health"),
                  ("sam", "Sam Weber", "security-admin", "documents, roles, devices, sessions"),
                  ("audrey", "Audrey Chen", "audit-admin", "the ledger")]
EMPLOYEES = [("mia", "Mia Lindqvist", ["staff", "hr"]),
             ("leo", "Leo Okafor", ["staff", "engineer"])]
NEWCOMER = ("nina", "Nina Rossi", ["staff"])


class Stop(Exception):
    pass


def say(text=""):
    print(text, flush=True)


def fail(text):
    say(f"make run: {text}")
    raise SystemExit(1)


def others_may_enter(path):
    while True:
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


def place():
    """run/ (or DEMO_DIR), or where it points to: a directory that the roles' users can reach."""
    run = os.environ.get("DEMO_DIR", os.path.join(ROOT, "run"))
    if not os.path.lexists(run):
        if os.geteuid() == 0 and not others_may_enter(ROOT):
            os.makedirs(AWAY, exist_ok=True)
            os.symlink(AWAY, run)
        else:
            os.mkdir(run)
    base = os.path.realpath(run)
    os.makedirs(base, exist_ok=True)
    os.chmod(base, 0o755)
    return base


class Demo:
    def __init__(self):
        self.base = place()
        self.settings_path = os.path.join(self.base, "settings.json")
        self.accounts_path = os.path.join(self.base, "accounts.json")
        self.ca = os.path.join(self.base, "ca.pem")
        self.log = os.path.join(self.base, "log", "sallyport.log")
        self.config = os.path.join(self.base, "sallyport.yaml")
        self.program = os.path.join(self.base, "program", "bin", "sallyport")
        self.process = None
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        self.settings = self.choose()
        self.apps = Apps(os.path.join(self.base, "apps"), self.settings["apps"], DOMAIN,
                         self.settings["port"])

    # ---- choices, kept

    def choose(self):
        kept = self.read(self.settings_path)
        if kept is None:
            kept = {"port": int(os.environ.get("DEMO_PORT", "8443")),
                    "apps": {name: port if port_is_free(port) else free_port()
                             for name, port in PORTS.items()}}
            self.write(self.settings_path, kept, 0o644)
        wanted = int(os.environ.get("DEMO_PORT", kept["port"]))
        if wanted != kept["port"]:
            kept["port"] = wanted
            self.write(self.settings_path, kept, 0o644)
        for name, port in [("the portal", kept["port"]), *kept["apps"].items()]:
            if not port_is_free(port):
                hint = "DEMO_PORT=9443 make run uses another" if name == "the portal" else "stop it first"
                fail(f"port {port} ({name}) is in use by another program (ss -ltnp shows which): {hint}")
        return kept

    @staticmethod
    def read(path):
        try:
            with open(path, encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    @staticmethod
    def write(path, value, mode):
        fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".new", path)

    def prepare(self):
        subprocess.run([os.path.join(ROOT, "packaging", "install-files"), "--tree",
                        os.path.join(self.base, "program")], check=True)
        office = os.path.join(self.base, "office")
        if not os.path.isdir(office):
            shutil.copytree(os.path.join(ROOT, "demo", "office"), office)
            for name in os.listdir(office):
                self.point(os.path.join(office, name))
        lines = [f"office: {OFFICE}", f"domain: {DOMAIN}",
                 f'listen: ["127.0.0.1:{self.settings["port"]}"]', "tls: own",
                 f"state: {self.base}/state", f"run: {self.base}/sock", f"documents: {office}"]
        if os.geteuid() == 0:
            lines.append("users: { " + ", ".join(f"{r}: {u}" for r, u in ROLES.items()) + " }")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        os.chmod(self.config, 0o644)
        self.apps.prepare()

    def point(self, path):
        """A document's upstream ports, where others are used."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for name, port in PORTS.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.settings['apps'][name]}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)

    # ---- running

    def status(self):
        try:
            return self.read(os.path.join(self.base, "sock", "status.json")) or {}
        except ValueError:
            return {}

    def start(self):
        self.apps.start(os.path.dirname(self.log))
        with open(self.log, "ab") as log:
            self.log_from = log.tell()
            self.process = subprocess.Popen([self.program, "run", "-c", self.config], cwd="/",
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        end = time.monotonic() + START_S
        while True:
            now = self.status()
            if now.get("state") == "ready" and now.get("porter") == self.process.pid:
                break
            if self.process.poll() is not None or time.monotonic() > end:
                fail("the office does not start; the end of its log:\n" + self.new_log()[-3000:])
            time.sleep(0.05)
        missing = self.apps.wait()
        if missing:
            say(f"these applications do not answer: {', '.join(missing)} (see {self.base}/log)")

    def new_log(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            log.seek(self.log_from)
            return log.read()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(50)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)  # the second time it is in a hurry
                self.process.wait(10)
        self.apps.stop()

    def watch(self):
        """Until Ctrl-C, or something ends by itself."""
        told = set()
        while True:
            time.sleep(0.5)
            if self.process.poll() is not None:
                fail(f"the office ended; the end of {self.log}:\n" + self.new_log()[-3000:])
            for name in self.apps.ended():
                if name not in told:
                    told.add(name)
                    say(f"the application {name} ended: see {self.base}/log/{name}.log")

    # ---- the first start

    def save_ca(self):
        """The office's own CA stands last in the chain that is served."""
        shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.settings['port']}",
                                "-servername", f"portal.{DOMAIN}", "-showcerts"],
                               input=b"", capture_output=True, timeout=20, check=False).stdout.decode()
        found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", shown, re.S)
        if not found:
            fail("the portal shows no certificate; the end of its log:\n" + self.new_log()[-3000:])
        with open(self.ca, "w", encoding="ascii") as file:
            file.write(found[-1] + "\n")
        os.chmod(self.ca, 0o644)

    def person(self):
        return Person(DOMAIN, self.settings["port"], ca=self.ca)

    def first_link(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            found = re.findall(r"https://\S+/setup#[A-Za-z0-9_-]+", self.new_log())
            if found:
                return found[-1]
            time.sleep(0.1)
        fail("core printed no set-up link; the end of its log:\n" + self.new_log()[-3000:])
        return None

    @staticmethod
    def password():
        words = ["amber", "anchor", "birch", "candle", "copper", "ember", "harbor", "island", "juniper",
                 "kettle", "lantern", "maple", "meadow", "orchard", "pebble", "quartz", "river", "saddle",
                 "timber", "velvet", "walnut", "willow", "window", "winter"]
        return "-".join(secrets.choice(words) for _ in range(4)) + f"-{secrets.randbelow(90) + 10}"

    def keep(self, accounts, person, display_name, roles):
        accounts["people"].append({"name": person.name, "display_name": display_name, "roles": roles,
                                   "password": person.password, "totp": person.totp.secret,
                                   "totp_last": person.totp.last})
        self.write(self.accounts_path, accounts, 0o600)

    def invite(self, admin, name, display_name, roles, granter):
        made = admin.post("/admin/people", {"name": name, "display_name": display_name})
        granter.put(f"/admin/people/{made['id']}/roles", {"roles": roles})
        return admin.post(f"/admin/people/{made['id']}/invite")["link"]

    def provision(self):
        """Three administrators and two employees, through the portal as anybody would; passwords and
        secrets are made now and kept in accounts.json, readable by the demo's user only."""
        accounts = {"people": [], "newcomer": ""}
        name, display_name, role, _ = ADMINISTRATORS[0]
        olga = self.person()
        olga.set_up(self.first_link(), self.password(), name=name, display_name=display_name, roles=[role])
        self.keep(accounts, olga, display_name, [role])
        olga.step_up()
        sam = None
        for name, display_name, role, _ in ADMINISTRATORS[1:]:
            admin = self.person()
            admin.set_up(self.invite(olga, name, display_name, [role], olga), self.password())
            self.keep(accounts, admin, display_name, [role])
            sam = sam or admin
        sam.step_up()
        for name, display_name, roles in EMPLOYEES:
            employee = self.person()
            employee.set_up(self.invite(olga, name, display_name, roles, sam), self.password())
            self.keep(accounts, employee, display_name, roles)
        name, display_name, roles = NEWCOMER
        accounts["newcomer"] = self.invite(olga, name, display_name, roles, sam)
        for one, person in zip(accounts["people"], (olga, sam)):
            one["totp_last"] = person.totp.last  # they stepped up since
        self.write(self.accounts_path, accounts, 0o600)
        return accounts

    def accounts(self):
        kept = self.read(self.accounts_path)
        if kept is not None and len(kept["people"]) == len(ADMINISTRATORS) + len(EMPLOYEES):
            return kept
        if kept is not None:
            fail(f"the first start was cut off half-way: remove {self.base}/state and "
                 f"{self.accounts_path}, then run it again")
        say("first start: making accounts ...")
        return self.provision()

    # ---- telling people

    def guide(self, accounts):
        port = self.settings["port"]
        at = "" if port == 443 else f":{port}"
        portal = f"https://portal.{DOMAIN}{at}"
        run = os.path.relpath(self.base) if "DEMO_DIR" in os.environ else "run"
        duties = {name: duty for name, _, _, duty in ADMINISTRATORS}
        say(f"\n{OFFICE} is open:  {portal}\n")
        say("Open it with    demo/browser            a Chromium that trusts this office's CA")
        say(f"or trust the CA certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n lantern -i {run}/ca.pem\n")
        say(f"  {'name':<8}{'password':<36}{'TOTP secret':<36}who")
        for one in accounts["people"]:
            who = one["roles"][0] if one["name"] in duties else "employee: " + ", ".join(one["roles"])
            duty = f" ({duties[one['name']]})" if one["name"] in duties else ""
            say(f"  {one['name']:<8}{one['password']:<36}{one['totp']:<36}{who}{duty}")
        say("\n  a code now:     demo/code NAME          (any authenticator app takes the secret)")
        if accounts.get("newcomer"):
            say(f"  a newcomer's own set-up, with a passkey: {accounts['newcomer']}")
        say(f"""
Five things to try
  1. As leo, open https://lab.{DOMAIN}{at} and look at turnover.ipynb. Now download customers.csv
     (File, Download): refused, because nobody knows this browser's device. The page shows a reference.
  2. Make it a company device:  demo/enrol leo  and approve it as sam under Devices, as the company's. In
     demo/browser leo  the same download works, and the notebook runs: WebSocket through the gate.
     https://hr.{DOMAIN}{at}/salaries/ stays closed to leo.
  3. As sam, look at Sessions and end leo's while his notebook is open: it stops at once.
  4. As audrey, search the Ledger for the reference of step 1 and see its proof. On this machine:
     {run}/program/bin/sallyport ledger verify -c {run}/sallyport.yaml
  5. In {run}/office/policy.yaml let "HR keeps the personnel files" hold on: {{ owner: [company, personal] }}
     and, as sam, put it in force (Policy, or sallyport apply): the proof of the nevers stops you, and
     names the rule and a counter-example.

Health: {run}/program/bin/sallyport doctor -c {run}/sallyport.yaml     Logs: {run}/log
Ctrl-C stops all of it; make run starts it again where it was.""")


def main():
    demo = Demo()

    def on_signal(number, _frame):
        raise Stop(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        demo.prepare()
        demo.start()
        demo.save_ca()
        demo.guide(demo.accounts())
        demo.watch()
    except Stop:
        say("\nstopping ...")
    except Refused as refused:
        say(f"make run: {refused}\nThe end of the log:\n{demo.new_log()[-2000:]}")
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        demo.stop()
    say("closed; nothing is left running.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

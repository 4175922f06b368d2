# SPDX-License-Identifier: Apache-2.0
"""An office for tests: directories, a bootstrap file, `sallyport run`, people who sign in."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import socket
import stat
import subprocess
import tempfile
import time

from portal import Browser, Person

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("SALLYPORT_BUILD", os.path.join(ROOT, "build")))
PROGRAM = os.path.join(BUILD, "cli", "sallyport")
SANITIZED = "asan" in os.path.basename(BUILD)
ROLES = ("vault", "ledger", "core", "web", "courier", "watch")
START_S = 90
PATIENT_S = 60  # for what comes at once on a machine that is idle: a program that starts, an entry, a message
MEMORY = "/dev/shm"  # a file system in memory, where there is one
MEMORY_NEEDED = 2 << 30
REPORTS = ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer")


_ports = []


def take(what):
    """A name in the abstract namespace that says to all processes of the tests that this is taken; OSError when it is."""
    taken = socket.socket(socket.AF_UNIX)
    try:
        taken.bind(f"\0sallyport-tests-{what}")
    except OSError:
        taken.close()
        raise
    return taken


def free_uids():
    """The first of sixteen user numbers, and what holds them until it is closed."""
    while True:
        base = 61008 + 16 * secrets.randbelow(500)
        try:
            return base, take(f"uids-{base}")
        except OSError:
            continue


def free_port():
    """A port that nobody has now, and that no other process of the tests is given while this one lives. Kept out of the
    range of outgoing connections."""
    for _ in range(200):
        port = 20000 + secrets.randbelow(10000)
        try:
            taken = take(f"port-{port}")
        except OSError:
            continue
        try:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            taken.close()
            continue
        _ports.append(taken)
        return port
    raise RuntimeError("no free port")


def _stat(pid):
    """(state, parent, start time) from /proc; None when there is no such process."""
    try:
        with open(f"/proc/{int(pid)}/stat", encoding="ascii", errors="replace") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return words[0], int(words[1]), int(words[19])
    except (OSError, IndexError):
        return None


class Process(int):
    """A process number that knows when its process started: numbers are given again."""

    def __new__(cls, pid):
        one = super().__new__(cls, pid)
        stat = _stat(pid)
        one.started = stat[2] if stat else None
        return one

    def __hash__(self):
        return hash((int(self), self.started))

    def __eq__(self, other):
        return int(self) == other and getattr(other, "started", self.started) == self.started


def alive(pid):
    """Runs, and is not just waiting to be reaped."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in ("Z", "X") and getattr(pid, "started", stat[2]) == stat[2]


def descendants(pid):
    """All processes below a process, from /proc."""
    children = {}
    for entry in os.listdir("/proc"):
        stat = _stat(entry) if entry.isdigit() else None
        if stat:
            children.setdefault(stat[1], []).append(int(entry))
    found, todo = [], [int(pid)]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(Process(child))
            todo.append(child)
    return found


def kill_left(pids):
    """Ends those of them that have not ended in two seconds; a sentence about each."""
    end, left = time.monotonic() + 2, []
    while time.monotonic() < end and any(alive(pid) for pid in pids):
        time.sleep(0.05)
    for pid in filter(alive, pids):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                name = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            name = "?"
        left.append(f"process {pid} is left: {name}")
        os.kill(pid, signal.SIGKILL)
    return left


def wait_for(what, seconds, condition, step=None):
    """The condition's first true value, or a failure that says what did not come.

    step: seconds between two looks; else 0.02 at first and 0.1 later, and three times as long as a look takes, so that
    who waits takes no more than a quarter of a processor from what he waits for."""
    end = time.monotonic() + seconds
    pause = step or 0.02
    while True:
        began = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        if step:
            time.sleep(step)
        else:
            time.sleep(min(max(pause, 3 * (now - began)), 1))
            pause = min(pause * 1.5, 0.1)


def wait_started(what, process, answers, log=lambda: ""):
    """Until a program of somebody else's answers; at once a failure when it has ended."""
    wait_for(what, PATIENT_S, lambda: answers() or process.poll() is not None)
    assert process.poll() is None, f"{what} does not start: {process.returncode}\n{log()}"


# What one person tries at a gate in a test is more than the watch lets anybody try: it would end his session.
WATCH_OFF = """\
kind: Detection
name: destruction
severity: critical
over: { kinds: decision }
by: person
count: { at_least: 20, within: 10m }
off: true
---
"""


def scratch(prefix, on_disk=False):
    """A new folder, in memory where there is room: to make the thousand files of a database takes a disk's file system
    half a second of processor, and ten times less there."""
    place = "/tmp"
    if not on_disk and os.access(MEMORY, os.W_OK | os.X_OK):
        there = os.statvfs(MEMORY)
        if there.f_bavail * there.f_frsize >= MEMORY_NEEDED:
            place = MEMORY
    return tempfile.mkdtemp(prefix=prefix, dir=place)


class Office:
    domain = "office.localhost"

    def __init__(self, documents=None, extra="", uids=True, port=None, program=PROGRAM):
        """documents: a directory, or {file name: YAML text}; None = the demo's. extra: lines of the
        bootstrap file."""
        self.program = program
        self.dir = scratch("sp-office-", on_disk=not SANITIZED)  # as shipped: with a disk's waits
        os.chmod(self.dir, 0o755)
        self.state = os.path.join(self.dir, "state")
        self.run_dir = os.path.join(self.dir, "run")
        self.config = os.path.join(self.dir, "sallyport.yaml")
        self.log_path = os.path.join(self.dir, "log")
        self.port = port or free_port()
        self.portal_url = f"https://portal.{self.domain}:{self.port}"
        self.process = None
        self.seen = set()  # every process that ever belonged to us
        self.forgiven = ()  # reports of sanitizers that are about somebody else's library
        self.people = {}
        self.uids = None
        if uids and os.geteuid() == 0:
            base, self.uids_taken = free_uids()
            self.uids = {role: base + i for i, role in enumerate((*ROLES, "db", "keeper", "ssh", "runner"))}
        self.documents = self._documents(documents)
        self.write_config(extra)

    def _documents(self, documents):
        target = os.path.join(self.dir, "office")
        if documents is None:
            documents = os.path.join(ROOT, "demo", "office")
        if isinstance(documents, dict):
            os.mkdir(target)
            for name, text in documents.items():
                with open(os.path.join(target, name), "w", encoding="utf-8") as file:
                    file.write(text)
        elif os.path.isdir(documents):
            shutil.copytree(documents, target)
        else:
            os.mkdir(target)
        os.chmod(target, 0o755)
        for name in os.listdir(target):
            os.chmod(os.path.join(target, name), 0o644)
        return target

    def write_config(self, extra=""):
        lines = [
            "office: Lantern Trading",
            f"domain: {self.domain}",
            f'listen: ["127.0.0.1:{self.port}"]',
            f"state: {self.state}",
            f"run: {self.run_dir}",
            f"documents: {self.documents}",
            "tls: own",
        ]
        if self.uids:
            lines.append("users: { " + ", ".join(f"{r}: {u}" for r, u in self.uids.items()) + " }")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n" + extra)
        os.chmod(self.config, 0o644)

    # ---- life

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program, "run", "-c", self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd="/")
        self.seen.add(Process(self.process.pid))
        if wait:
            self.wait_ready()
        return self

    def status(self):
        """What the porter says of itself and the roles; {} while it says nothing."""
        try:
            with open(os.path.join(self.run_dir, "status.json"), encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def wait_ready(self, seconds=START_S):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the office ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            status = self.status()
            return status.get("state") == "ready" and status.get("porter") == self.process.pid

        try:
            wait_for("the office", seconds, ready)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.log()[-4000:]}") from None
        self.remember()

    def remember(self):
        if self.process is not None and self.process.poll() is None:
            self.seen.update(descendants(self.process.pid))

    def stop(self, number=signal.SIGTERM, seconds=60):
        """Asks it to stop and waits; returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.remember()
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the office does not stop:\n{self.log()[-4000:]}") from None

    def close(self):
        """Stops, and makes sure that nothing is left: no process, no socket, no sanitizer's report."""
        trouble = []
        try:
            self.stop()
        except AssertionError as late:
            trouble.append(str(late))
        trouble += kill_left(self.seen)
        for where, _, names in os.walk(self.run_dir):
            for name in names:
                path = os.path.join(where, name)
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    trouble.append(f"socket {path} is left")
        log = self.log()
        trouble += [line for line in log.splitlines() if any(report in line and report not in self.forgiven for report in REPORTS)]
        if trouble:
            raise AssertionError("\n".join(trouble) + "\n" + log[-6000:])
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.uids:
            self.uids_taken.close()

    # ---- looking

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def role(self, name):
        """The role's entry in status.json."""
        for entry in self.status().get("roles", []):
            if entry["role"] == name:
                return entry
        return {}

    def pid(self, name):
        return self.role(name).get("pid", 0)

    def kill(self, name, number=signal.SIGKILL):
        """Signals a role's process and returns its id."""
        self.remember()
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def wait_role(self, name, other_than=0, seconds=START_S):
        """Until the role is ready again, as another process; returns its id."""

        def back():
            entry = self.role(name)
            return entry.get("state") == "ready" and entry["pid"] != other_than and entry["pid"]

        pid = wait_for(f"role {name}", seconds, back)
        self.remember()
        return pid

    def cli(self, *words, check=True, input_text=None):
        """Runs a command of the program as root; returns the finished process."""
        done = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=120,
                              input=input_text, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"sallyport {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def store(self, sql, *values):
        """In core's store, behind its back."""
        with sqlite3.connect(os.path.join(self.state, "core", "core.db"), timeout=20) as db:
            return db.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def locked_store(self):
        """Core's store takes nothing meanwhile: core waits for five seconds, and is told so."""
        with contextlib.closing(sqlite3.connect(os.path.join(self.state, "core", "core.db"), timeout=20, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                db.execute("ROLLBACK")

    def doctor(self):
        """Findings of `sallyport doctor --json` and its exit status."""
        done = self.cli("doctor", "-c", self.config, "--json", check=False)
        return json.loads(done.stdout), done.returncode

    # ---- people

    def browser(self, cert=None, ca=None):
        """Somebody without an account."""
        return Browser(self.domain, self.port, cert=cert, ca=ca)

    def first_link(self):
        return wait_for("the first set-up link", 10,
                        lambda: re.findall(r"https://\S+/setup#[A-Za-z0-9_-]+", self.log()))[-1]

    def person(self, name, cert=None):
        """A new browser of somebody set up before, signed in."""
        one = self.people[name].again(cert=cert)
        one.sign_in()
        return one

    def _new_person(self):
        return Person(self.domain, self.port)

    def set_up_administrators(self):
        """olga (system-admin), sam (security-admin), audrey (audit-admin), each signed in."""
        if "olga" in self.people:
            return self.people["olga"], self.people["sam"], self.people["audrey"]
        olga = self._new_person()
        olga.set_up(self.first_link(), "correct horse battery olga", name="olga", display_name="Olga",
                    roles=["system-admin"])
        self.people["olga"] = olga
        olga.fresh()
        for name, role in (("sam", "security-admin"), ("audrey", "audit-admin")):
            self.people[name] = self.invite(olga, name, [role], granter=olga)
        return olga, self.people["sam"], self.people["audrey"]

    def invite(self, admin, name, roles, granter):
        """Creates an account, grants roles, sets it up; returns the person, signed in."""
        made = admin.post("/admin/people", {"name": name, "display_name": name.capitalize()})
        link = admin.post(f"/admin/people/{made['id']}/invite")["link"]
        if roles:
            granter.put(f"/admin/people/{made['id']}/roles", {"roles": roles})
        person = self._new_person()
        person.set_up(link, f"correct horse battery {name}")
        person.id = made["id"]
        return person

    def employee(self, name, roles):
        """An employee with these roles, signed in."""
        if name not in self.people:
            olga, sam, _ = self.set_up_administrators()
            sam.fresh()
            self.people[name] = self.invite(olga, name, roles, granter=sam)
        return self.people[name]

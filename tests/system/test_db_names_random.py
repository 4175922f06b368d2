# SPDX-License-Identifier: Apache-2.0
"""What the gate thinks of names is what the server has under them, in sequences of messages made at random (namesgen.py):
whatever fails, is skipped or comes in one breath, nothing runs and nothing is seen that its person may not have;
every message is answered, and what is in order is answered as the server answers it.

A sequence that shows otherwise is printed, made short, as lines for a test. SP_NAMES_SEED: the first seed; SP_NAMES_COUNT
or SP_NAMES_SECONDS: how many of them, or how long (and a quarter of that for what is in order).

OWNS an office, a server. PROCESS tests. TRUST none. SPEC docs/DATABASE.md; gates/db/names.c, gates/db/ends.c, gates/db/made.c.
"""
import collections
import contextlib
import os
import re
import socket
import struct
import time

import psycopg2

from dbgatelib import SCHEMA, office_of, orders_documents
from namesgen import Maker, Proper, as_python, shortened
from officelib import SANITIZED, wait_for
from pgraw import FLUSH, SYNC, Closed, Raw, bind, describe, execute, fields, message, parse, query

SEED = int(os.environ.get("SP_NAMES_SEED", "1"))
COUNT = int(os.environ.get("SP_NAMES_COUNT", "150" if SANITIZED else "400"))
SECONDS = float(os.environ.get("SP_NAMES_SECONDS", "0"))
ANSWER_S = 10
LIMIT = 20
DOCUMENTS = orders_documents(["few", "veiled", "bound", "lead", "only"], f"""\
kind: Rule
name: a few rows
who: {{ roles: [few] }}
to: {{ resources: [orders-db] }}
may: [connect, read, export, write, execute]
with: {{ limit: {{ rows: {LIMIT} }} }}
---
kind: Rule
name: masked
who: {{ roles: [veiled] }}
to: {{ resources: [orders-db] }}
may: [connect, read, export, write, execute]
with: {{ mask: [personal-info] }}
---
kind: Rule
name: connects
who: {{ roles: [only] }}
to: {{ resources: [orders-db] }}
may: [connect, execute]
---
kind: Rule
name: usual
who: {{ roles: [bound] }}
to: {{ resources: [orders-db], classes: [internal] }}
may: [connect, read, export, execute]
---
kind: Rule
name: others agree, of whom there are none
who: {{ roles: [bound] }}
to: {{ resources: [orders-db] }}
may: [read, write]
ask: {{ approved_by: 1, by: {{ roles: [lead] }}, expires: 10m }}
""", postgres="""\
  search_path: [public]
  functions: [{ name: public.opens, action: read }, { name: public.sweeps, action: execute }, { name: public.sweeps_at_once, action: execute }]
  parts:
    - { schema: audit, class: core }
    - table: public.customers
      class: internal
      columns: [{ name: phone, mask: mobile, tags: [personal-info] }]
""")
MORE = """
CREATE SEQUENCE audit.harm;
CREATE TABLE unique_late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION opens(name text, query text) RETURNS text LANGUAGE plpgsql AS
$$ DECLARE c refcursor := name; BEGIN OPEN c FOR EXECUTE query; RETURN ''; END $$;
CREATE TYPE kind AS (t text);
CREATE FUNCTION sweeps(name text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('DROP TABLE IF EXISTS pg_temp.%I', name); RETURN 1; END $$;
CREATE PROCEDURE sweeps_at_once(name text) LANGUAGE plpgsql AS
$$ BEGIN EXECUTE format('DROP TABLE IF EXISTS pg_temp.%I', name); COMMIT; PERFORM 1/0; END $$;
"""
HARMS = {
    "fay": ["SELECT '{tag}' AS t, id FROM orders"],
    "mia": ["SELECT '{tag}' AS t, phone FROM customers", "SELECT phone FROM customers"],
    "bob": ["SELECT '{tag}' AS t, nextval('audit.harm')", "SELECT '{tag}' AS t, what FROM audit.entries",
            "INSERT INTO audit.entries SELECT nextval('audit.harm') + 1000, '{tag}' RETURNING what", "SELECT nextval('audit.harm')"],
}
BYTES = {"Q": query, "P": lambda name, text: parse(text, name), "B": bind, "D": lambda kind, name: describe(name, kind), "E": execute,
         "C": lambda kind, name: message("C", kind.encode() + name.encode() + b"\0"), "S": lambda: SYNC, "H": lambda: FLUSH}
ENDED_BY = {"P": "1", "B": "2", "C": "3", "D": "Tn", "E": "CIs"}


class Wrong(Exception):
    """What the gate did is wrong."""


class Talk:
    """One connection, which knows what is still to be answered."""

    def __init__(self, port, user, database, password):
        self.raw = Raw(port, tls=None, timeout=ANSWER_S)
        first = self.raw.log_in(user, database, password)
        if first[-1] != ("Z", b"I"):
            raise Wrong(f"log-in: {first}")
        self.port, self.key = port, next((body for kind, body in first if kind == "K"), None)
        self.due, self.skips, self.ended = collections.deque(), False, None
        self.got = []  # (the step's number, type, body)

    def send(self, steps):
        """steps: [(number, step)]"""
        data = b""
        for number, step in steps:
            data += BYTES[step[0]](*step[1:])
            self.skips = self.skips and step[0] != "S"
            if step[0] != "H" and not self.skips:
                self.due.append((number, step[0]))
        try:
            self.raw.send(data)
        except OSError:
            pass  # its last words are read

    def cancel(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_S) as line:
            line.sendall(struct.pack(">II", 8 + len(self.key), 80877102) + self.key)
            line.recv(1)

    def take(self, kind, body):
        if kind in "NAS":
            return
        if kind == "E" and fields(body)["V"] == "FATAL":
            self.ended = fields(body)
            return
        if not self.due:
            raise Wrong(f"{kind} for nothing: {body[:200]}")
        number, head = self.due[0]
        self.got.append((number, kind, body))
        if head in "QS":
            if kind == "Z":
                self.due.popleft()
            elif head == "S" and kind != "E":  # that of a COMMIT
                raise Wrong(f"{kind} for a Sync: {body[:200]}")
            return
        if kind == "E":
            while self.due and self.due[0][1] != "S":
                self.due.popleft()
            self.skips = not self.due
        elif kind in ENDED_BY[head]:
            self.due.popleft()
        elif (head, kind) not in (("D", "t"), ("E", "D")):
            raise Wrong(f"{kind} for {head}: {body[:200]}")

    def wait(self, seconds=ANSWER_S):
        """False: not all of it came."""
        self.raw.socket.settimeout(seconds)
        try:
            while self.due and self.ended is None:
                self.take(*self.raw.receive())
        except TimeoutError:
            return False
        except (Closed, OSError) as error:
            raise Wrong(f"closed without a word: {error}") from error
        return True


def talked(talk, steps, other=None):
    """All of it, with a Sync at the end when that is due. other: does what another session does."""
    breath = []
    for number, step in enumerate(steps):
        if step[0] not in "KWX":
            breath.append((number, step))
            continue
        talk.send(breath)
        breath = []
        if step[0] == "X":
            other(step[1])
            continue
        if step[0] == "K":
            talk.cancel()
            continue
        certain = bool(talk.due) and talk.due[-1][1] in "QS"
        if not talk.wait(ANSWER_S if certain else 0.03) and certain and talk.due[-1][1] in "QS":
            raise Wrong(f"no answer to {steps[talk.due[0][0]]}")
        if talk.ended is not None:
            return
    talk.send(breath + [(len(steps), ("S",))])
    if not talk.wait():
        raise Wrong(f"no answer to {[*steps, ('S',)][talk.due[0][0]]}")


# ---- what may not be ----

TAGS = re.compile(rb"(harm|opened)\d+")
DECLARED = re.compile(r"DECLARE [^;]*?'(harm\d+)'")


def seen_wrong(who, steps, got):
    """Rows that the person may not have."""
    of_message, of_tag = collections.Counter(), collections.Counter()
    for number, kind, body in got:
        if kind != "D":
            continue
        of_message[number] += 1
        tag = TAGS.search(body)
        if tag is not None:
            of_tag[tag[0].decode()] += 1
        if b"opened" in body:
            return "rows of a cursor that a function opened"
        if who == "mia" and b"1380013" in body:
            return "a phone in clear"
        if who == "tia" and b"theirs" in body:
            return "rows of another one's table"
        if who == "bob" and (b"harm" in body or b"entry " in body):
            return "rows that others have to agree to"
    if who != "fay":
        return None
    if any(count > LIMIT for count in of_message.values()):
        return "an answer over the limit"
    declared = {tag for step in steps for tag in DECLARED.findall(" ".join(step[1:]) if step[0] in "QP" else "")}
    again = sum(step[0] == "B" for step in steps)
    if any(count > LIMIT * (1 + again) for tag, count in of_tag.items() if tag in declared):
        return "a cursor over the limit"
    return None


class Judge:
    """Runs sequences, and says what was wrong with one; keeps what it learns of them."""

    def __init__(self, gate):
        self.gate = gate
        self.passwords = {who: gate.password(who) for who in (*HARMS, "tia")}
        self.theirs = False
        self.look()
        self.codes, self.references, self.ends = collections.Counter(), set(), []
        self.before = self.state()

    def look(self):
        self.plain = wait_for("the server", 30, self.at_server)
        self.plain.autocommit = True

    def at_server(self):
        with contextlib.suppress(psycopg2.OperationalError):
            return psycopg2.connect(**self.gate.pg.dsn("orders"))
        return None

    def has_crashed(self):
        """The server, which is up again then."""
        try:
            self.state()
            return False
        except psycopg2.OperationalError:
            self.look()
            return True

    def state(self):
        with self.plain.cursor() as c:
            c.execute("SELECT last_value, is_called, (SELECT count(*) FROM audit.entries), (SELECT count(*) FROM orders) FROM audit.harm")
            return c.fetchone()

    def changed(self):
        now, before = self.state(), self.before
        self.before = now
        return now != before

    def other(self, text):
        with self.plain.cursor() as c:
            c.execute(text)
        self.theirs = True

    def lost_theirs(self):
        """The table that another session made, which goes then, is not what it was."""
        theirs, self.theirs = self.theirs, False
        with self.plain.cursor() as c:
            c.execute("SELECT to_regclass('public.soon') IS NOT NULL")
            there = c.fetchone()[0]
            if there:
                c.execute("SELECT count(*), min(t), max(t) FROM public.soon")
                there = c.fetchone() == (3, "theirs", "theirs")
            c.execute("DROP TABLE IF EXISTS public.soon, public.taken")
        return theirs and not there

    def talk(self, who):
        return Talk(self.gate.port, who, "orders-db", self.passwords[who])

    def untold(self):
        """References of refusals of which the ledger says nothing."""
        return self.references - {event.get("reference") for event in self.gate.audrey.items("/admin/ledger/events?limit=200")}

    def learn(self, talk):
        errors = [fields(body) for _, kind, body in talk.got if kind == "E"] + ([talk.ended] if talk.ended else [])
        for error in errors:
            found = re.search(r"Reference ([0-9A-Z-]+)", error.get("D", ""))
            self.codes[error["C"] + (" by the gate" if found else "")] += 1
            if found:
                self.references.add(found[1])
        if talk.ended:
            self.ends.append(talk.ended["M"])

    def wrong(self, who, steps):
        """None, or what was wrong."""
        talk = self.talk(who)
        with contextlib.closing(talk.raw):
            try:
                talked(talk, steps, self.other)
                found = None
            except Wrong as error:
                found = re.sub(r"[:(].*", "", str(error))
            self.learn(talk)
            found = seen_wrong(who, steps, talk.got) or found
        if talk.ended is not None and talk.ended["C"] in ("08006", "57P02"):
            time.sleep(0.1)
            return "the database server went down" if self.has_crashed() else "the gate lost the database server"
        if who == "tia" and self.lost_theirs():
            found = "it changed another one's table"
        if who == "bob" and self.changed():
            found = "it ran what others have to agree to"
        return found


def told(who, seed, what, steps):
    return f"# {what}: {who}, seed {seed}\n{as_python(steps)}\n"


def seeds(share):
    """Each seed once."""
    end, seed = time.monotonic() + SECONDS * share, SEED
    while time.monotonic() < end if SECONDS else seed < SEED + COUNT * share:
        yield seed
        seed += 1


gate = office_of(DOCUMENTS, (("fay", "few"), ("mia", "veiled"), ("bob", "bound"), ("tia", "only")), schema=SCHEMA + MORE)


def test_nothing_runs_that_is_thought_to_be_something_else(gate):
    judge, people, found, count = Judge(gate), sorted((*HARMS, "tia")), [], 0
    for seed in seeds(1):
        who = people[seed % len(people)]
        steps = Maker(seed, []).temporaries() if who == "tia" else Maker(seed, HARMS[who]).hostile()
        what = judge.wrong(who, steps)
        count += 1
        if what is not None:
            short = shortened(steps, lambda fewer: judge.wrong(who, fewer) == what)
            found.append(told(who, seed, what, short))
            print(found[-1], flush=True)
        if len(found) >= 5 and not SECONDS:
            break
    print(f"{count} sequences; errors: {dict(judge.codes)}; connections ended: {collections.Counter(judge.ends)}")
    assert not found, "\n".join(found)
    assert len(judge.references) > count / 10, "refusals, of which the ledger tells each"
    wait_for("the refusals in the ledger", 30, lambda: not judge.untold(), step=1)
    assert "was ended by" not in gate.office.log(), "a worker"


def test_what_is_in_order_is_answered_as_the_server_does(gate):
    judge, people, found, count, errors = Judge(gate), sorted(HARMS), [], 0, 0

    def fails(answers):
        return any(kind == "E" for _, kind, _ in answers[0])

    def answers(steps, who=None):
        talk = judge.talk(who) if who else Talk(gate.pg.port, "op_all", "orders", "op_all")
        with contextlib.closing(talk.raw):
            with contextlib.suppress(Wrong):
                talked(talk, steps)
        return talk.got, talk.ended

    def differs(steps, who):
        direct, got = answers(steps), answers(steps, who)
        nonlocal errors
        errors += fails(direct)
        undescribed = "needs a Describe" in str(got)  # a sequence that was made shorter
        return not fails(direct) and not undescribed and got != direct

    for seed in seeds(0.25):
        who, steps = people[seed % len(people)], Proper(seed, plain=people[seed % len(people)] == "mia").sequence()
        count += 1
        if differs(steps, who):
            short = shortened(steps, lambda fewer: differs(fewer, who))
            found.append(told(who, seed, "answered otherwise than directly", short) + f"direct: {answers(short)}\ngate:   {answers(short, who)}\n")
            print(found[-1], flush=True)
        if len(found) >= 5 and not SECONDS:
            break
    print(f"{count} sequences, {errors} of them fail directly")
    assert not found, "\n".join(found)
    assert errors < count * 0.02 + 1

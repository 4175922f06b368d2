# SPDX-License-Identifier: Apache-2.0
"""Sequences of messages about a few names, made at random: prepared statements and cursors that are made, used and
forgotten again, in messages that fail, are skipped or sent in one breath. The same ones for the same seed.

A step is a tuple: ("Q", text) ("P", name, text) ("B", portal, name) ("D", kind, name) ("E", portal, rows)
("C", kind, name) ("S",) Sync, ("H",) Flush, ("W",) wait for all answers that are to come, ("K",) a cancel request,
("X", text) another session's, at the server itself.

Some texts are harm: what its person may prepare and declare, and not have (test_db_names_random.py). Each text carries a tag of its
own, so that rows tell which they are of.
"""
import random

LONG = "n" * 63  # what a server keeps of the two that are longer
WIDE = "m" * 62  # SQL keeps that of the one that is longer, the protocol half a character more
ALIKE = [["a", "A"], ["b"], [""], [LONG, LONG + "x", LONG + "yyyyyyy"], [WIDE, WIDE + "\u00e9\u00e9"]]  # no name is of the protocol only
NAMES = [name for names in ALIKE for name in names]
LATE = ["INSERT INTO unique_late VALUES (1), (1)", "DECLARE late CURSOR WITH HOLD FOR SELECT 1 / (g - 5) FROM generate_series(1, 9) g"]
FAILS = ["SELECT 1/0", "SELECT * FROM there_is_none", "DEALLOCATE there_is_none", "CLOSE there_is_none", "ROLLBACK TO there_is_none",
         "SET LOCAL statement_timeout = 15; SELECT pg_sleep(0.05)", "RELEASE there_is_none", "PREPARE TRANSACTION 'x'", "DROP TABLE orders",
         "SELECT FROM WHERE", *LATE]
ENDS = ["COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "COMMIT; BEGIN", "ABORT", "END"]


def statements(text):
    return [piece.strip() for piece in text.split(";") if piece.strip()]


class Maker:
    def __init__(self, seed, harms):
        """harms: texts of a person, each with {tag}."""
        self.r = random.Random(seed)
        self.harms = harms
        self.tags = 0
        self.pure = self.chance(0.6)  # of one way, without more
        self.main = "a" if self.pure or self.chance(0.5) else self.r.choice(NAMES)
        self.kind = self.pick("P", "C")
        self.within = self.aborted = False  # as far as that is known

    def pick(self, *options):
        return self.r.choice(options)

    def chance(self, p):
        return self.r.random() < p

    # ---- words ----

    def name(self):
        return self.like(self.main) if self.chance(0.75) else self.r.choice(NAMES)

    def like(self, x):
        """What may be the same name to the server."""
        alike = next(names for names in ALIKE if x in names)
        return self.r.choice(alike) if self.chance(0.5 if len(x) > 1 else 0.05) else x

    def sql(self, x):
        """The name in a text, oddly written at times: A without quotes is a."""
        x = x or self.pick("a", "p")
        odd = self.chance(0.1)
        return self.pick(f'"{x}"', f'U&"\\{ord(x[0]):04x}{x[1:]}"', x.upper()) if odd else x

    def text(self, harm):
        self.tags += 1
        if harm:
            return self.r.choice(self.harms).replace("{tag}", f"harm{self.tags}")
        return self.pick(f"SELECT 'fine{self.tags}' AS t", f"SELECT id AS fine{self.tags} FROM orders WHERE id < 4",
                         f"VALUES ('fine{self.tags}')")

    # ---- steps: each a list of messages ----

    def run(self, text, name=""):
        """By the extended protocol."""
        portal = self.pick("", "", "p")
        return [("P", name, text), ("B", portal, name), ("E", portal, 0)]

    def kind_of_it(self):
        """Mostly of one kind in a sequence: prepared statements are P, cursors and portals C."""
        return self.kind if self.chance(0.85) else self.pick("P", "C")

    def make(self, x, harm):
        text = self.text(harm)
        if x == "" and self.chance(0.9):
            return self.pick([("P", "", text)], [("P", "", text), ("B", "", "")], self.run(text)[:2], [("P", "b", text), ("B", "", "b")])
        if self.kind_of_it() == "P":
            return self.pick([("Q", f"PREPARE {self.sql(x)} AS {text}")], [("Q", f"PREPARE {self.sql(x)} AS {text}")], [("P", x, text)],
                             self.run(f"PREPARE {self.sql(x)} AS {text}"))
        hold = self.pick("", "", " WITH HOLD") if self.within else self.pick("", " WITH HOLD", " WITH HOLD", " WITH HOLD")
        declare = f"DECLARE {self.sql(x)} {self.pick('', '', 'SCROLL ', 'BINARY ')}CURSOR{hold} FOR {text}"
        return self.pick([("Q", declare)], [("Q", declare)], [("Q", declare)], [("P", x, text), ("B", x, x)], [("P", "", text), ("B", x, "")],
                         self.run(declare), self.run(declare, self.name()), self.opens(x))

    def opens(self, x):
        self.tags += 1
        quoted = self.pick(f"SELECT ''opened{self.tags}''", self.r.choice(self.harms).replace("{tag}", f"opened{self.tags}").replace("'", "''"))
        text = f"SELECT opens('{x or 'p'}', '{quoted}')"
        return [("Q", text)]

    def use(self, x):
        name = self.sql(x)
        fetch = f"{self.pick('FETCH ALL FROM', 'FETCH ALL FROM', 'FETCH ALL FROM', 'FETCH 15 FROM', 'MOVE 1 IN', 'FETCH ABSOLUTE 1 FROM')} {name}"
        explain = self.pick("EXPLAIN ANALYZE EXECUTE", "EXPLAIN ANALYZE EXECUTE", "EXPLAIN EXECUTE", "EXPLAIN (ANALYZE, COSTS off) EXECUTE")
        if x == "" and self.chance(0.9):
            return self.pick([("E", "", 0)], [("B", "", ""), ("E", "", 0)], [("D", "S", ""), ("B", "p", ""), ("E", "p", self.pick(0, 15)), ("E", "p", 15)],
                             [("D", "P", ""), ("E", "", 0)])
        if self.kind_of_it() == "P":
            table = f"t{self.r.randint(1, 999)}"
            return self.pick(
                [("Q", f"EXECUTE {name}")], [("Q", f"EXECUTE {name}")], [("Q", f"EXECUTE {name}")], [("Q", f"{explain} {name}")],
                [("Q", f"CREATE TEMP TABLE {table} AS EXECUTE {name}"), ("Q", f"SELECT * FROM {table}")], self.run(f"EXECUTE {name}"),
                self.run(f"{explain} {name}"), self.by_protocol(x, "P"), [("B", "", x), ("E", "", self.pick(0, 0, 15))], [("B", "p", x), ("E", "p", 15), ("E", "p", 15)],
                [("D", "S", x), ("B", "", x), ("E", "", 0)], self.nested(x, fetch))
        return self.pick([("Q", fetch)], [("Q", fetch)], [("Q", fetch)], self.run(fetch), [("E", x, self.pick(0, 0, 15))],
                         [("D", "P", x), ("E", x, 0)], self.nested(x, fetch))

    def nested(self, x, fetch):
        """The text that is run by a name runs by a name."""
        other = self.pick("k", "b")
        inner = self.pick(f"EXECUTE {self.sql(x)}", f"EXPLAIN ANALYZE EXECUTE {self.sql(x)}") if self.kind == "P" else fetch
        return [("P", other, inner), *self.pick([], [("W",)])] + self.pick(
            [("Q", f"EXECUTE {other}")], [("Q", f"EXECUTE {other}")], [("B", "", other), ("E", "", 0)],
            [("B", "q", other), ("Q", "FETCH ALL FROM q")], [("B", "q", other), ("E", "q", 0)])

    def drop(self, x):
        if x == "" and self.chance(0.8):
            return [self.pick(("C", "S", ""), ("C", "P", ""), ("Q", ""), ("Q", "SELECT 1"), ("P", "", "SELECT 1/"), ("B", "", "there_is_none"), ("Q", "ROLLBACK"))]
        name = self.sql(x)
        if self.kind_of_it() == "P":
            return [self.pick(*[("Q", f"DEALLOCATE {name}")] * 4, ("Q", "DEALLOCATE ALL"), ("Q", "DISCARD ALL"), ("Q", "DISCARD PLANS"),
                              ("C", "S", x), ("C", "S", x), ("C", "S", x + "z"), ("P", x, "SELECT 1/"))]
        return [self.pick(*[("Q", f"CLOSE {name}")] * 4, ("Q", "CLOSE ALL"), ("Q", "DISCARD ALL"), ("C", "P", x), ("C", "P", x), ("C", "P", x + "z"),
                          ("B", x, "there_is_none"))]

    def describe(self, x):
        return [("D", "S" if self.kind == "P" else "P", x), ("S",), ("W",)]

    def drop_text(self, x):
        return f"{'DEALLOCATE' if self.kind_of_it() == 'P' else 'CLOSE'} {self.pick(self.sql(x), self.sql(x), self.sql(x), 'ALL')}"

    def fail(self):
        self.aborted = self.within
        return [("Q", self.r.choice(FAILS))] if self.chance(0.8) else self.run(self.pick("SELECT 1/0", "SELECT there_is_none"))

    def transaction(self):
        if not self.within:
            self.within = self.chance(0.9)
            return [("Q", "BEGIN" if self.within else self.r.choice(ENDS))]
        if self.aborted:
            text = self.pick("ROLLBACK", "ROLLBACK", "ROLLBACK TO s", "ROLLBACK TO s", *ENDS)
        else:
            text = self.pick("SAVEPOINT s", "SAVEPOINT s", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", *ENDS)
        self.within = text not in ("COMMIT", "ROLLBACK", "ABORT", "END")
        self.aborted = False
        return [("Q", text)]

    def any(self):
        x = self.name()
        if self.aborted and self.chance(0.6):
            return self.transaction()
        return self.r.choices([lambda: self.make(x, True), lambda: self.make(x, False), lambda: self.use(x), lambda: self.drop(x), self.fail,
                               self.transaction, lambda: self.opens(x), lambda: [("S",)], lambda: [("H",)], self.shadow, self.cancelled,
                               lambda: self.describe(x)], [3, 3, 4, 3, 2, 3, 0.5, 1, 0.5, 0.5, 0.3, 0.3])[0]()

    def shadow(self):
        """Tables that are called like those that are harm to read, and are the session's own, for a while."""
        name, columns = self.pick(("orders", "id int"), ("customers", "phone text"))
        text = self.pick(f"CREATE TEMP TABLE {name} ({columns})", f"CREATE TEMP TABLE {name} ({columns}) ON COMMIT DROP",
                         f"DROP TABLE {name}", f"DROP TABLE pg_temp.{name}", "DISCARD TEMP", "DISCARD ALL", f"ALTER TABLE pg_temp.{name} RENAME TO other",
                         f"ALTER TABLE other RENAME TO {name}", f"CREATE TEMP VIEW {name} AS SELECT 1 AS id, 'x' AS phone")
        return [("Q", text)]

    def cancelled(self):
        return [("Q", self.pick("SELECT pg_sleep(0.03)", f"SELECT pg_sleep(0.03); {self.drop_text(self.main)}", "SELECT 1")), ("K",)]

    def perhaps(self, p, steps):
        return steps if self.chance(p) else []

    # ---- sequences ----

    def forgets(self, x):
        """In one Query that fails somewhere, in a transaction that does, skipped in a pipeline, or truly."""
        drop = self.drop_text(x)
        fail = self.r.choice(FAILS)
        return self.pick(
            lambda: [("Q", f"{fail}; {drop}")], lambda: [("Q", f"{fail}; {drop}")], lambda: [("Q", f"{drop}; {fail}")],
            lambda: [("Q", "BEGIN"), ("Q", drop), *self.fail(), ("Q", "ROLLBACK")],
            lambda: [("Q", f"BEGIN; {drop}; ROLLBACK")], lambda: [("Q", "SAVEPOINT s"), *self.drop(x), ("Q", "ROLLBACK TO s")],
            lambda: [("Q", f"SAVEPOINT s; {drop}"), *self.fail(), ("Q", "ROLLBACK TO s")],
            lambda: self.drop(x), lambda: self.drop(x), lambda: self.fail() + self.transaction(),
            lambda: [*self.run(self.pick("SELECT 1/0", "DROP TABLE orders", self.text(True))), *self.drop(x), ("S",)],
            lambda: [*self.run(drop), *self.run(self.pick("SELECT 1/0", "DROP TABLE orders")), ("S",)],
            lambda: [("Q", f"{self.r.choice(LATE)}; {drop}"), *self.transaction()])()

    def made_again(self, x):
        """[harm under x] [forgotten] [harmless under x, with its use]"""
        if self.pure:
            steps = self.perhaps(0.8 if self.kind == "C" else 0.3, self.transaction()) + self.make(x, True) + [("W",)]
            steps += self.perhaps(0.3, self.describe(x)) + self.forgets(x) + self.perhaps(0.6, [("W",)])
            return steps + self.make(x, False) + self.use(x)
        steps = self.transaction() if self.chance(0.7 if self.kind == "C" else 0.3) else []
        steps += self.make(x, True) + self.perhaps(0.5, [("W",)]) + self.perhaps(0.3, [*self.transaction(), ("W",)])
        steps += self.forgets(self.like(x)) + self.perhaps(0.5, [("W",)])
        for _ in range(self.pick(1, 1, 2)):
            steps += self.make(self.like(x), False) if self.chance(0.8) else self.any()
        steps += self.perhaps(0.2, self.forgets(self.like(x)))
        return steps + self.use(self.like(x)) + self.perhaps(0.5, self.use(self.like(x)))

    def opened(self, x):
        """[a cursor of that name] [which ends, perhaps] [a function opens one, and it is read], with few waits"""
        self.kind = "C"
        if self.chance(0.25):  # all in one text
            name = self.sql(x)
            ends = self.pick("ROLLBACK TO s", "ROLLBACK TO s", f"CLOSE {name}", "CLOSE ALL", "COMMIT; BEGIN", "ROLLBACK AND CHAIN")
            return [("Q", "BEGIN"), ("Q", "SAVEPOINT s"), *self.make(x, False), ("S",), ("W",),
                    ("Q", f"{ends}; {self.opens(x)[-1][-1]}; FETCH ALL FROM {name}")]
        steps = self.transaction() + self.make(x, self.chance(0.3)) + self.perhaps(0.6, [("W",)])
        steps += self.pick(self.drop, self.drop, self.forgets, lambda _: self.transaction(), lambda _: self.fail())(self.like(x))
        return steps + self.perhaps(0.3, self.transaction()) + self.opens(self.like(x)) + self.use(self.like(x))

    def other_kind(self, x):
        """A text makes one kind under the name, and uses the other."""
        steps = self.perhaps(0.4, self.transaction()) + self.make(x, True) + self.perhaps(0.6, [("W",)])
        steps += self.perhaps(0.5, self.forgets(x)) + self.perhaps(0.5, [("W",)])
        name, text = self.sql(x), self.text(False)
        makes = self.pick(f"PREPARE {name} AS {text}", f"DECLARE {name} CURSOR FOR {text}", f"DECLARE {name} CURSOR WITH HOLD FOR {text}")
        uses = self.pick(f"EXECUTE {name}", f"FETCH ALL FROM {name}", f"EXPLAIN ANALYZE EXECUTE {name}", f"MOVE 1 IN {name}; FETCH ALL FROM {name}")
        return [*steps, ("Q", f"{makes}; {uses}")]

    def saved(self, x):
        """Across savepoints."""
        steps = [("Q", "BEGIN")] + self.perhaps(0.6, self.make(x, True)) + [("Q", "SAVEPOINT s")]
        self.within = True
        for _ in range(self.pick(1, 2, 3)):
            steps += self.pick(self.drop, self.drop, lambda y: self.make(y, True), lambda y: self.make(y, False), lambda _: self.fail())(self.like(x))
        steps += [("Q", self.pick("ROLLBACK TO s", "ROLLBACK TO s", "RELEASE s", "ROLLBACK TO s; RELEASE s"))] + self.perhaps(0.5, [("W",)])
        steps += self.pick(self.opens, lambda y: self.make(y, False), lambda y: [])(self.like(x)) + self.perhaps(0.3, [("Q", "COMMIT")])
        return steps + self.use(self.like(x)) + self.perhaps(0.5, self.use(self.like(x)))

    def shadowed(self, x):
        """What a text reads is the session's own for a while."""
        steps = [("Q", "BEGIN")] if self.chance(0.5) else []
        self.within = bool(steps)
        parts = [self.shadow(), self.shadow(), self.make(x, True), self.transaction(), self.shadow(), self.use(x)]
        self.r.shuffle(parts)
        for part in parts:
            steps += part + self.perhaps(0.4, [("W",)])
        return steps + self.use(x) + self.perhaps(0.5, [("Q", self.text(True))])

    def maker(self, x, harm, kind=None):
        """One statement that makes the name by SQL."""
        if (kind or self.kind_of_it()) == "P":
            return f"PREPARE {self.sql(x)} AS {self.text(harm)}"
        return f"DECLARE {self.sql(x)} CURSOR{self.pick('', ' WITH HOLD')} FOR {self.text(harm)}"

    def by_protocol(self, x, kind):
        """What SQL made under the name runs by the protocol."""
        if kind == "P":
            portal = self.pick("", "", "q")
            return [("B", portal, x), *self.perhaps(0.3, [("S",), ("W",)]), ("E", portal, self.pick(0, 0, 1))]
        return self.perhaps(0.2, [("D", "P", x)]) + [("E", x, self.pick(0, 0, 1))]

    def beside(self, x):
        """[a text that makes a name and other things] [one of them made anew, as harm] [the first runs by the protocol] [the other is used]"""
        x = x or "a"
        other, kind = self.pick(*(name for name in ("a", "b", "k") if name != x)), self.pick("P", "C")
        self.kind = self.pick("P", "C")  # of the other one
        more = self.pick(lambda: self.maker(other, False, self.kind), lambda: self.maker(other, False, self.kind), lambda: self.maker(other, False, self.kind),
                         lambda: self.drop_text(other), lambda: self.pick("SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "COMMIT; BEGIN", "ROLLBACK AND CHAIN"))
        together = [self.maker(x, False, kind), more()]
        self.r.shuffle(together)
        within = "C" in (kind, self.kind) or self.chance(0.4)
        self.within = within
        steps = [("Q", "BEGIN")] + self.perhaps(0.6, [("Q", "SAVEPOINT s")]) if within else []
        steps += [("Q", "; ".join(together))] + self.perhaps(0.7, [("W",)])
        anew = self.drop(other) + [("Q", self.maker(other, True, self.kind))]
        parts = [anew, self.by_protocol(x, kind)] if self.chance(0.8) else [self.by_protocol(x, kind), anew]
        early = kind == "P" and within and self.chance(0.4)
        if early:  # bound before, run behind it
            parts = [[("B", "z", x), ("S",), ("W",)], anew, [("E", "z", self.pick(0, 1))]]
        for part in parts:
            steps += part + self.perhaps(0.7, [("S",), ("W",)])
        return steps + self.use(other) + self.perhaps(0.4, [("S",), ("W",)] + self.use(other))

    # ---- temporary names: of one who may use nobody's table ----

    def makes_temp(self):
        table, end = "(t text)", self.pick("", "", "", " ON COMMIT DROP")
        return self.pick(f"CREATE TEMP TABLE soon {table}{end}", f"CREATE TEMP TABLE soon {table}{end}", f"CREATE TEMP TABLE IF NOT EXISTS soon {table}{end}",
                         f"CREATE TEMP TABLE IF NOT EXISTS soon {table}", "CREATE TEMP TABLE soon AS SELECT 'own'::text AS t", "SELECT 'own'::text AS t INTO TEMP soon",
                         "CREATE TEMP TABLE soon (t text, t text)", "CREATE TEMP TABLE soon (t text); SELECT 1/0", "CREATE TEMP TABLE own (x int); CREATE INDEX soon ON own (x)",
                         "CREATE TEMP TABLE own (x int CONSTRAINT soon PRIMARY KEY)", "CREATE TEMP SEQUENCE soon", "CREATE TEMP SEQUENCE IF NOT EXISTS soon",
                         "CREATE TEMP TABLE own (x int); CREATE TEMP SEQUENCE soon OWNED BY own.x", "CREATE TEMP TABLE soon OF kind", "CREATE TEMP TABLE own (t text)",
                         "CREATE TEMP TABLE own (t text) PARTITION BY LIST (t); CREATE TEMP TABLE soon PARTITION OF pg_temp.own DEFAULT",
                         "ALTER TABLE own RENAME TO soon", "ALTER TABLE pg_temp.own RENAME TO soon")

    def ends_temp(self):
        return self.pick("DROP TABLE soon", "DROP TABLE pg_temp.soon", "DROP TABLE IF EXISTS soon", "DROP TABLE IF EXISTS soon CASCADE", "DROP TABLE own", "DROP TABLE own, soon",
                         "DROP TABLE soon; SELECT 1/0", "DROP SEQUENCE soon", "DISCARD TEMP", "DISCARD ALL", "SELECT sweeps('soon')", "SELECT sweeps('own')", "SELECT sweeps('soon'), 1/0",
                         "CALL sweeps_at_once('soon')", "ALTER TABLE soon RENAME TO own", "ALTER TABLE soon RENAME TO other", "SELECT sweeps('nothing')", "SELECT sweeps('nothing')")

    def uses_temp(self):
        return self.pick("SELECT t FROM soon", "SELECT t FROM soon", "SELECT t FROM soon", "TABLE soon", "DELETE FROM soon", "TRUNCATE soon", "UPDATE soon SET t = 'x'", "INSERT INTO soon VALUES ('mine')",
                         "DROP TABLE soon", "DROP TABLE IF EXISTS soon", "ALTER TABLE soon RENAME TO taken", "CREATE TEMP TABLE copy AS SELECT t FROM soon", "SELECT t FROM soon, pg_sleep(0.03)",
                         "SELECT pg_sleep(0.03); SELECT t FROM soon", "SELECT sweeps('nothing'); TRUNCATE soon", "EXPLAIN ANALYZE DELETE FROM soon", "LOCK TABLE soon")

    def named_temp(self):
        return self.pick(lambda: [("Q", "PREPARE p AS SELECT t FROM soon")], lambda: [("Q", "EXECUTE p")], lambda: [("P", "p", "SELECT t FROM soon")],
                         lambda: [("B", "q", "p"), ("E", "q", self.pick(0, 1))], lambda: [("Q", "DECLARE c CURSOR FOR SELECT t FROM soon")],
                         lambda: [("Q", "FETCH 1 FROM c")], lambda: [("E", "q", 1)], lambda: [("P", "", "SELECT t FROM soon"), ("S",), ("B", "", ""), ("E", "", 0)])()

    def temporaries(self):
        """[what makes and ends it] [another one makes a table of that name] [it is used], in some order."""
        steps, theirs = [], False
        for _ in range(self.r.randint(4, 11)):
            if not theirs and self.chance(0.25):
                theirs = True
                steps += self.perhaps(0.5, [("S",), ("W",)]) + [("X", "CREATE TABLE soon AS SELECT 'theirs'::text AS t FROM generate_series(1, 3); GRANT ALL ON soon TO op_all")]
            steps += self.r.choices([lambda: [("Q", self.makes_temp())], lambda: [("Q", self.ends_temp())], lambda: [("Q", self.uses_temp())], self.named_temp,
                                     self.transaction, self.fail], [4, 3, 4 + 3 * theirs, 2, 3, 1])[0]()
        return self.carried(steps + self.perhaps(0.5, [("S",), ("W",)]) + [("Q", self.uses_temp())])

    def soup(self):
        return [step for _ in range(self.r.randint(4, 9)) for step in self.any()]

    def hostile(self):
        ways = [lambda _: self.soup(), self.made_again, self.opened, self.other_kind, self.saved, self.shadowed, self.beside]
        steps = self.r.choices(ways, [0 if self.pure else 6, 12, 4, 2, 4, 2, 5])[0](self.main)
        if not self.pure and self.chance(0.5):
            at = self.r.randint(0, len(steps))
            steps[at:at] = self.any()
        return self.carried(steps)

    def carried(self, steps):
        """The same by other messages: several statements in one, by the extended protocol, in one breath."""
        waits = 0 if self.pure else self.pick(0, 0.3, 0.6)
        together = 0 if self.pure else self.pick(0, 0.2, 0.5)
        extended = 0 if self.pure else 0.15
        found = []
        for step in steps:
            last = found[-1] if found else ("W",)
            both = step[0] == last[0] == "Q"
            if both and len(statements(last[1])) < 4 and self.chance(together):
                found[-1] = ("Q", f"{last[1]}; {step[1]}")
            elif step[0] == "Q" and len(statements(step[1])) == 1 and self.chance(extended):
                found += self.run(step[1])
            else:
                if step[0] in "QW" and last[0] in "PBDEC" and self.chance(0.8):
                    found.append(("S",))
                found.append(step)
            if step[0] != "W" and self.chance(waits):
                found += [("S",), ("W",)] if found[-1][0] in "PBDEC" and self.chance(0.8) else [("W",)]
        return found


class Proper(Maker):
    """Sequences that fail nowhere: of one who knows what he has made. What the gate lets nobody do is not in it."""

    def __init__(self, seed, plain=False):
        """plain: reads columns as they are, whose origin is known wherever masks are."""
        super().__init__(seed, [])
        self.plain = plain
        self.portals = 0
        self.prepared, self.cursors, self.within = {}, {}, False  # by the names the server has; value: is it by SQL, is it held

    def text(self, harm):
        if not self.plain:
            return super().text(harm)
        self.tags += 1
        return f"SELECT id AS fine{self.tags}, note FROM orders WHERE id < {self.pick(3, 4)}"

    def run(self, text, name=""):
        portal = self.portal()
        return [("P", name, text), ("B", portal, name), ("D", "P", portal), ("E", portal, 0)]

    def portal(self):
        """One that is not there yet: it stays for as long as its transaction."""
        self.portals += 1
        return self.pick("", f"p{self.portals}")

    def of(self, found):
        return self.r.choice(sorted(found))

    def step(self):
        new = [name for name in ("a", "b", LONG) if name not in self.prepared]
        free = [name for name in ("a", "b", LONG) if name not in self.cursors]
        can = [self.begin_or_end]
        if new:
            can += [lambda: self.prepare(self.of(new))] * 3
        if self.prepared:
            can += [lambda: self.execute(self.of(self.prepared))] * 4 + [lambda: self.deallocate(self.of(self.prepared))] * 2
        if free:
            can += [lambda: self.declare(self.of(free))] * 2
        if self.cursors:
            can += [lambda: self.fetch(self.of(self.cursors))] * 4 + [lambda: self.close(self.of(self.cursors))]
        return self.r.choice(can)()

    def begin_or_end(self):
        if not self.within:
            self.within = True
            return [("Q", "BEGIN")]
        commits = self.chance(0.6)
        self.within = False
        self.cursors = {name: (held, True) for name, (held, old) in self.cursors.items() if old or (held and commits)}
        return [("Q", "COMMIT" if commits else "ROLLBACK")]

    def prepare(self, x):
        by_sql = self.chance(0.5)
        self.prepared[x] = by_sql
        text = self.text(False)
        return [("Q", f"PREPARE {x} AS {text}")] if by_sql else [("P", x, text), ("S",)]

    def execute(self, x):
        portal = self.portal()
        return self.pick([("Q", f"EXECUTE {x}")], [("B", "", x), ("D", "P", ""), ("E", "", 0), ("S",)],
                         [("D", "S", x), ("B", portal, x), ("E", portal, 0), ("S",)],
                         [*self.run(f"EXECUTE {x}"), ("S",)])

    def deallocate(self, x):
        if self.chance(0.2):
            self.prepared = {}
            return [("Q", "DEALLOCATE ALL")]
        del self.prepared[x]
        return [self.pick(("Q", f"DEALLOCATE {x}"), ("C", "S", x)), ("S",)]

    def declare(self, x):
        held = self.chance(0.4) or not self.within
        self.cursors[x] = (held, not self.within)
        text = f"DECLARE {x} CURSOR{' WITH HOLD' if held else ''} FOR {self.text(False)}"
        return [("Q", text)] if self.chance(0.7) else [*self.run(text), ("S",)]

    def fetch(self, x):
        text = f"{self.pick('FETCH ALL FROM', 'FETCH FROM', 'MOVE 1 IN')} {x}"
        return self.pick([("Q", text)], [("Q", text)], [*self.run(text), ("S",)], [("D", "P", x), ("E", x, self.pick(0, 1)), ("S",)])

    def close(self, x):
        if self.chance(0.2):
            self.cursors = {}
            return [("Q", "CLOSE ALL")]
        del self.cursors[x]
        return [self.pick(("Q", f"CLOSE {x}"), ("C", "P", x)), ("S",)]

    def sequence(self):
        waits = self.pick(0.1, 0.5, 0.9)
        found = []
        for _ in range(self.r.randint(6, 14)):
            found += self.step()
            if self.chance(waits):
                found.append(("W",))
        return found


# ---- making them shorter ----

def shrunk(steps, still_fails):
    """Messages, then single statements of a Query, left out while it still fails."""
    size = max(1, len(steps) // 2)
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size:]
            if fewer and still_fails(fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    for at, step in enumerate(steps):
        pieces = statements(step[1]) if step[0] == "Q" else []
        for piece in list(pieces):
            fewer = [other for other in pieces if other is not piece]
            tried = steps[:at] + [("Q", "; ".join(fewer))] + steps[at + 1:]
            if fewer and still_fails(tried):
                pieces, steps = fewer, tried
    return steps


def shortened(steps, still_fails):
    while True:
        fewer = shrunk(steps, still_fails)
        if fewer == steps:
            return steps
        steps = fewer


def quoted(text):
    """As it is written in a test; the long name by its own name."""
    found = repr(text)
    if isinstance(text, int):
        return found
    return found if LONG not in text else f"f{found.replace(LONG, '{LONG}')}"


def written(step):
    kind, words = step[0], [quoted(word) for word in step[1:]]
    names = {"Q": "query", "B": "bind", "E": "execute", "P": "parse", "D": "describe"}
    if kind in "PD":
        words.reverse()
    if kind == "C":
        return f'message("C", b"{step[1]}" + {words[1]}.encode() + b"\\0")'
    return {"S": "SYNC", "H": "FLUSH", "K": "CANCEL"}.get(kind) or f"{names[kind]}({', '.join(words)})"


def as_python(steps):
    """Lines that send them by a Raw."""
    lines, pieces, ready = [], [], 0
    for step in [*steps, ("W",)]:
        if step[0] != "W":
            pieces.append(written(step))
            ready += step[0] in "QS"
        elif pieces:
            lines.append(f"raw.send({', '.join(pieces)})")
            lines += [f"[raw.until('Z') for _ in range({ready})]"] if ready else ["time.sleep(0.05)"]
            pieces, ready = [], 0
    return "\n".join(lines)

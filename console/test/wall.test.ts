// SPDX-License-Identifier: Apache-2.0
// What is shown live on the wall: places are kept, what is graver gets one, no more than the bound.
import assert from "node:assert/strict";
import test from "node:test";
import { choose, graver, itemsOf, passes, type Db, type Event, type Item, type Ssh } from "../src/lib/wall";

const item = (key: string, urgency = 0, since = "2026-01-01T00:00:00Z"): Item =>
  ({ key, kind: "sql", person: "ann", resource: "db", classes: "", since, urgency, statements: [] });

test("places are kept while new ones come, up to the bound", () => {
  const first = choose([item("a"), item("b", 0, "2026-01-01T00:01:00Z")], [], new Set(), 2);
  assert.deepEqual(first, ["b", "a"]); // the newest first
  assert.deepEqual(choose([item("c", 1), item("a"), item("b")], first, new Set(), 2), ["b", "a"]);
  assert.deepEqual(choose([item("c"), item("a")], first, new Set(), 2), ["a", "c"]);
});

test("what is graver takes the place of the stillest; a pinned one stays", () => {
  assert.deepEqual(choose([item("a", 1), item("b"), item("c", 3)], ["a", "b"], new Set(), 2), ["a", "c"]);
  assert.deepEqual(choose([item("a", 1), item("b"), item("c", 3)], ["a", "b"], new Set(["b"]), 2), ["c", "b"]);
  assert.deepEqual(choose([item("a", 3), item("b", 3), item("c", 3)], ["a", "b"], new Set(), 2), ["a", "b"]);
  assert.deepEqual(choose([item("a"), item("b")], ["a"], new Set(["b"]), 1), ["b"]);
});

test("statements hang with their connection, refused ones make it urgent, the gravest class counts", () => {
  const now = Date.parse("2026-01-01T00:01:00Z");
  const db = { id: "AAAA", person: { id: "1", name: "lin" }, resource: "orders", opened_at: "2026-01-01T00:00:00Z" } as Db;
  const ssh = { id: "BBBB", person: { id: "2", name: "mia" }, resource: "host", opened_at: "", frozen: true, alarm: null, channels: [], watchers: [], watch_needed: false } as unknown as Ssh;
  const events = [
    { entry: "2", position: 0, at: "2026-01-01T00:00:30Z", kind: "decision", verdict: "deny", method: "QUERY", class: "core", detail: { connection: "AAAA" } },
    { entry: "1", position: 0, at: "2026-01-01T00:00:10Z", kind: "decision", verdict: "allow", method: "CONNECT", class: "internal", reference: "AAAA" },
    { entry: "3", position: 0, at: "2026-01-01T00:00:10Z", kind: "decision", verdict: "allow", method: "QUERY", detail: { connection: "other" } },
  ] as unknown as Event[];
  const [terminal, sql] = itemsOf([ssh], [db], events, new Map([["host", "core"]]), now);
  assert.deepEqual([terminal!.urgency, terminal!.classes], [3, "core"]);
  assert.deepEqual([sql!.urgency, sql!.classes, sql!.statements.length], [2, "core", 2]);
  assert.equal(itemsOf([], [db], events, new Map(), now + 3_600_000)[0]!.urgency, 1);
  const any = { person: "", resource: "", class: "", kind: "all" } as const;
  assert.ok(passes(sql!, any) && passes(sql!, { ...any, person: "li", kind: "sql", class: "core" }));
  assert.ok(!passes(sql!, { ...any, person: "mia" }) && !passes(sql!, { ...any, kind: "terminal" }));
});

test("the graver class", () => {
  assert.deepEqual([graver("", "core"), graver("core", "public"), graver("internal", "sensitive"), graver("own", "")], ["core", "core", "sensitive", "own"]);
});

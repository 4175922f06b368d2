// SPDX-License-Identifier: Apache-2.0
// Cutting a document out of a file: the right one, at its line, and nothing that only looks like it.
import assert from "node:assert/strict";
import test from "node:test";
import { findDocument, newPlan } from "../src/lib/documents";

const FILE = `# plans
kind: Plan
name: a
steps: []
---
# about b
kind: Plan
name: "b" # quoted
why: |
  name: c
---
kind: Role
name: c
`;

test("a document is found by kind and name, with its line", () => {
  assert.deepEqual(findDocument(FILE, "Plan", "a"), { text: "kind: Plan\nname: a\nsteps: []", line: 2 });
  assert.equal(findDocument(FILE, "Plan", "b")?.line, 7);
  assert.match(findDocument(FILE, "Plan", "b")?.text ?? "", /^kind: Plan\nname: "b"/);
  assert.equal(findDocument(FILE, "Role", "c")?.line, 12);
});

test("what only looks like it is not it", () => {
  for (const [kind, name] of [["Plan", "c"], ["Plan", "."], ["Role", "a"], ["Plan", "a|b"]] as const) assert.equal(findDocument(FILE, kind, name), undefined, `${kind} ${name}`);
  assert.equal(findDocument(newPlan("x"), "Plan", "x")?.line, 1);
});

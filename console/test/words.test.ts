// SPDX-License-Identifier: Apache-2.0
// Whatever words core and the watch send as codes or sentences of their own has a wording in both languages.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { en } from "../src/i18n/en";
import { saidZh } from "../src/i18n/said.zh";
import { wantedZh } from "../src/i18n/wanted.zh";
import { zh } from "../src/i18n/zh";

const wordsIn = (file: string, pattern: RegExp): string[] => {
  const found = [...readFileSync(`../${file}`, "utf8").matchAll(pattern)].map((match) => match.slice(1).find(Boolean) ?? "");
  assert.ok(found.length > 0, `nothing found in ${file}`);
  return [...new Set(found)];
};
const bothHave = (words: string[], of: (all: typeof en) => object): void => {
  for (const word of words) for (const all of [en, zh]) assert.ok(Object.hasOwn(of(all), word), word);
};

test("what of a session stays opaque", () => {
  const listed = wordsIn("core/admin/coverage.c", /words\[SP_OPAQUE_COUNT\] = \{([^}]*)\}/g)[0] ?? "";
  bothHave([...listed.matchAll(/"(\w+)"/g)].map((match) => match[1] ?? ""), (all) => all.session.opaqueWhat);
});

test("what the gate says of a connection at a machine when it ends", () => {
  const listed = wordsIn("gates/ssh/record.c", /"(\{\\"channels[\s\S]*?\})"/g)[0] ?? "";
  const names = [...listed.matchAll(/\\"(\w+)\\":/g)].map((match) => match[1] ?? "");
  assert.ok(names.length > 5);
  bothHave([...names, "lost"], (all) => all.machines.coverageParts);
});

test("what wants somebody, on the overview", () => {
  bothHave(wordsIn("core/admin/overview.c", /add_(?:attention|gaps)\(list, (?:core, "\w+", )?"(\w+)"/g), (all) => all.overview.attention);
});

test("what an incident's timeline is made of", () => {
  const files = ["incidents/collect", "incidents/incidents", "incidents/tasks", "incidents/tell", "incidents/tokens", "plans/engine", "cut/cut", "reports/api", "reports/clock"];
  for (const file of files) bothHave(wordsIn(`core/${file}.c`, /kind = "(\w+)"/g), (all) => all.room.incidents.kinds);
  const asked = wordsIn("core/incidents/api.c", /change_of\(req, "(\w+)"\)|kind = "(\w+)"/g);
  bothHave(asked.filter((word) => word !== "merge" && word !== "close"), (all) => all.room.incidents.kinds); // they are written as what came of them
});

test("why the watch is degraded", () => {
  for (const text of wordsIn("watch/role.c", /return "([^"]+)"/g)) assert.match(saidZh(text) ?? "", /[\u4e00-\u9fff]/, text);
});

test("what an invalid answer wants instead", () => {
  const wanted = wordsIn("core/http/fields.c", /ret_expected = "([^"]+)"|\] = "([^"]+)",/g);
  for (const file of readdirSync("../core", { recursive: true }).map(String).filter((name) => name.endsWith(".c"))) {
    for (const [call] of readFileSync(`../core/${file}`, "utf8").matchAll(/sp_answer_invalid\([\s\S]*?\);\n/g)) {
      const texts = [...call.replace(/"\s*\n\s*"/g, "").matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] ?? "");
      wanted.push(...texts.filter((text) => !/^[a-z_]+$|%/.test(text))); // names of fields, formats
    }
  }
  assert.ok(wanted.length > 80);
  assert.deepEqual([...new Set(wanted)].filter((text) => !/[\u4e00-\u9fff]/.test(wantedZh[text] ?? "")), []);
});

test("what a refusal of core is called", () => {
  const files = readdirSync("../core", { recursive: true }).map(String).filter((name) => name.endsWith(".c"));
  const codes = files.flatMap((file) => [...readFileSync(`../core/${file}`, "utf8").matchAll(/sp_answer_problem\([^,;]+,\s*\d+,\s*"(\w+)"/g)].map((match) => match[1] ?? ""));
  assert.ok(codes.length > 100);
  for (const all of [en, zh]) assert.deepEqual([...new Set(codes)].filter((code) => !Object.hasOwn(all.errors.codes, code)), []);
});

// SPDX-License-Identifier: Apache-2.0
// Recordings: reading asciicast in any pieces, the text of it, and a terminal that only draws.
import assert from "node:assert/strict";
import test from "node:test";
import { CastError, CastReader, momentsOf, search, sizeOf, transcriptOf, type CastEvent } from "../src/lib/cast";
import { Emulator, endOf, Replay } from "../src/lib/terminal";

const HEADER = '{"version":2,"width":40,"height":6}\n';
const o = (at: number, data: string): CastEvent => ({ at, code: "o", data });
const textOf = (emulator: Emulator) => emulator.screen().map((row) => row.map((run) => run.text).join("").trimEnd()).join("\n").trimEnd();

test("a recording cut anywhere reads the same", () => {
  const text = `${HEADER}[0.5,"o","h\\u00e9 \\u001b[1m中文"]\n[1,"r","50x10"]\n[1.5,"m","file /etc/x"]\n[2,"o","end"]\n`;
  const whole = new CastReader();
  whole.feed(text, true);
  assert.equal(whole.events.length, 4);
  for (let cut = 0; cut <= text.length; cut++) {
    const reader = new CastReader();
    reader.feed(text.slice(0, cut));
    reader.feed(text.slice(cut), true);
    assert.deepEqual(reader.events, whole.events);
    assert.deepEqual(reader.header, { width: 40, height: 6 });
  }
  assert.deepEqual(momentsOf(whole.events), [{ at: 1.5, label: "file /etc/x" }]);
});

test("what is no recording is said to be none, with its line", () => {
  for (const bad of ["nonsense\n", '{"version":1}\n', `${HEADER}["x","o","y"]\n`, `${HEADER}[1,"o"]\n`, "null\n"]) {
    assert.throws(() => new CastReader().feed(bad, true), CastError, bad);
  }
  assert.throws(() => new CastReader().feed(`${HEADER}[1,"o","a"]\n[2,"o"\n`, true), /line 3/);
});

test("sizes are held to what a screen can be, time never runs backwards, unknown codes are passed over", () => {
  const reader = new CastReader();
  reader.feed('{"version":2,"width":1e9,"height":-3}\n[5,"o","a"]\n[1,"o","b"]\n[6,"x","later"]\n', true);
  assert.deepEqual(reader.header, { width: 400, height: 5 });
  assert.deepEqual(reader.events.map((e) => e.at), [5, 5]);
  assert.equal(sizeOf("80 x 24"), undefined);
  assert.deepEqual(sizeOf("99999x1"), { width: 400, height: 5 });
});

test("the text has no escape sequence, wherever output was cut", () => {
  const evil = "a\x1b]0;title\x07b\x1b]52;c;ZXZpbA==\x1b\\c\x1b[31;1md\x1bP1;2qsixel\x1b\\e\x1b(Bf\x9b5mg\r\nh\x1b_apc\x1b\\i\x07";
  assert.equal(transcriptOf([o(0, evil)]).text, "abcdefg\nhi");
  for (let cut = 0; cut <= evil.length; cut++) {
    assert.equal(transcriptOf([o(0, evil.slice(0, cut)), o(1, evil.slice(cut))]).text, "abcdefg\nhi");
  }
});

test("a search finds words across pieces and says when they were there", () => {
  const found = search(transcriptOf([o(1, "first line\n$ DROP ta"), o(2, "ble x"), o(3, "\ndrop table y\n")]), "drop table");
  assert.deepEqual(found.map((hit) => hit.at), [2, 3]);
  assert.equal(found[0]?.line, "$ DROP table x");
  assert.deepEqual(search(transcriptOf([o(0, "aaa")]), ""), []);
});

test("a terminal draws, and nothing that is printed acts", async () => {
  const emulator = await Emulator.make({ width: 40, height: 6 });
  const events = [
    o(0, "\x1b[31mred\x1b[0m \x1b[38;2;1;2;3mreal\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07\r\n"),
    o(1, "\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x07\x1b[c\x1b[6n\x1b[21t中"),
    { at: 2, code: "i", data: "typed" } as const,
  ];
  await emulator.play(events);
  assert.equal(textOf(emulator), "red real link\n中");
  const [row] = emulator.screen();
  assert.equal(row?.[0]?.look, "fg-1");
  assert.equal(row?.find((run) => run.text === "real")?.ink, "#010203");
  assert.ok(emulator.screen("LINK")[0]?.some((run) => run.text === "link" && run.look.includes("hit")));
  emulator.dispose();
});

test("seeking back and forth ends where playing straight ends", async () => {
  const events: CastEvent[] = Array.from({ length: 40 }, (_, i) => o(i, `line ${i}\r\n`));
  events.splice(20, 0, { at: 19.5, code: "r", data: "60x10" });
  const straight = await Emulator.make({ width: 40, height: 6 });
  await straight.play(events.slice(0, endOf(events, 30)));
  const emulator = await Emulator.make({ width: 40, height: 6 });
  const replay = new Replay(emulator, { width: 40, height: 6 }, events);
  for (const at of [39, 3, 25, 25, 0, 30]) await replay.to(at);
  assert.equal(textOf(emulator), textOf(straight));
  assert.equal(emulator.columns, 60);
  await replay.to(-1);
  assert.equal(textOf(emulator), "");
  assert.equal(emulator.columns, 40);
  straight.dispose();
  emulator.dispose();
});

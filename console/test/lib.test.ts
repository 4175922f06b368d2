// SPDX-License-Identifier: Apache-2.0
// The parts of src/lib that need no page: proofs against trees built here, diffs, paths.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign, webcrypto } from "node:crypto";
import test from "node:test";
import { diffLines } from "../src/lib/diff";
import { verifyProof } from "../src/lib/merkle";
import { fromBase64, toBase64url } from "../src/api/base64";

if (!("crypto" in globalThis)) Object.defineProperty(globalThis, "crypto", { value: webcrypto });
const sha = (...parts: Buffer[]) => createHash("sha256").update(Buffer.concat(parts)).digest();
const leafHash = (leaf: Buffer) => sha(Buffer.from([0]), leaf);
const split = (n: number) => {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
};
function rootOf(hashes: Buffer[]): Buffer {
  if (hashes.length === 1) return hashes[0]!;
  const k = split(hashes.length);
  return sha(Buffer.from([1]), rootOf(hashes.slice(0, k)), rootOf(hashes.slice(k)));
}
function pathOf(index: number, hashes: Buffer[]): Buffer[] {
  if (hashes.length === 1) return [];
  const k = split(hashes.length);
  return index < k
    ? [...pathOf(index, hashes.slice(0, k)), rootOf(hashes.slice(k))]
    : [...pathOf(index - k, hashes.slice(k)), rootOf(hashes.slice(0, k))];
}

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const NAME = "ledger.example";
const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
const keyId = sha(Buffer.from(`${NAME}\n`), Buffer.from([1]), raw).subarray(0, 4);
const VKEY = `${NAME}+${keyId.toString("hex")}+${Buffer.concat([Buffer.from([1]), raw]).toString("base64")}`;

function proofOf(index: number, size: number) {
  const leaves = Array.from({ length: size }, (_, i) => Buffer.from(`entry ${i}`));
  const hashes = leaves.map(leafHash);
  const root = rootOf(hashes);
  const text = `${NAME}\n${size}\n${root.toString("base64")}\n`;
  const signature = sign(null, Buffer.from(text), privateKey);
  return {
    entry: String(index),
    tree_size: String(size),
    leaf: leaves[index]!.toString("base64"),
    leaf_hash: hashes[index]!.toString("base64"),
    path: pathOf(index, hashes).map((hash) => hash.toString("base64")),
    root_hash: root.toString("base64"),
    checkpoint: `${text}\n\u2014 ${NAME} ${Buffer.concat([keyId, signature]).toString("base64")}\n`,
    key: VKEY,
  };
}
const holds = async (proof: ReturnType<typeof proofOf>) => {
  const v = await verifyProof(proof);
  return v.leafOk && v.rootOk && v.checkpointOk && v.signature === "good";
};

test("every entry of every tree up to 20 entries is proven", async () => {
  for (let size = 1; size <= 20; size++) {
    for (let index = 0; index < size; index++) {
      assert.equal(await holds(proofOf(index, size)), true, `${index} of ${size}`);
    }
  }
});

test("whatever is changed in a proof, it no longer holds", async () => {
  const good = proofOf(5, 13);
  const other = Buffer.from("another entry").toString("base64");
  const hash = sha(Buffer.from("x")).toString("base64");
  const bad: [string, typeof good][] = [
    ["leaf", { ...good, leaf: other }],
    ["leaf hash", { ...good, leaf_hash: hash }],
    ["index", { ...good, entry: "6" }],
    ["size", { ...good, tree_size: "14" }],
    ["path", { ...good, path: [hash, ...good.path.slice(1)] }],
    ["short path", { ...good, path: good.path.slice(1) }],
    ["long path", { ...good, path: [...good.path, hash] }],
    ["root", { ...good, root_hash: hash }],
    ["checkpoint of another tree", { ...good, checkpoint: proofOf(5, 12).checkpoint }],
    ["signed text", { ...good, checkpoint: good.checkpoint.replace("\n13\n", "\n14\n") }],
    ["no signature", { ...good, checkpoint: `${good.checkpoint.split("\n\n")[0]}\n\n` }],
    ["key", { ...good, key: `${NAME}+00000000+${VKEY.split("+").slice(2).join("+")}` }],
  ];
  for (const [what, proof] of bad) assert.equal(await holds(proof), false, what);
});

test("a diff keeps what is same, shows what is gone and new, and folds the rest", () => {
  const before = Array.from({ length: 30 }, (_, i) => `line ${i}`);
  const after = [...before];
  after[15] = "changed";
  after.push("added");
  const lines = diffLines(before.join("\n"), after.join("\n"));
  assert.deepEqual(lines.filter((l) => l.kind === "gone").map((l) => l.text), ["line 15"]);
  assert.deepEqual(lines.filter((l) => l.kind === "new").map((l) => l.text), ["changed", "added"]);
  assert.equal(lines.filter((l) => l.kind === "fold").length, 2);
  assert.equal(lines.find((l) => l.text === "changed")?.after, 16);
  assert.deepEqual(diffLines("a\n", "a\n").map((l) => l.kind), ["fold"]);
});

test("base64url goes there and back for every byte", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const text = toBase64url(bytes);
  assert.match(text, /^[\w-]+$/);
  assert.deepEqual([...fromBase64(text)], [...bytes]);
});

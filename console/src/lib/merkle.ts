// SPDX-License-Identifier: Apache-2.0
// The reader checks the ledger's word himself: the inclusion path (RFC 9162) with WebCrypto's
// SHA-256, and the checkpoint's Ed25519 signature (C2SP signed-note) where the browser has it.
import { fromBase64 } from "../api/base64";
import type { Schema } from "../api/client";

type Bytes = Uint8Array<ArrayBuffer>;

async function sha256(...parts: Uint8Array[]): Promise<Bytes> {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all));
}
export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
const same = (a: Uint8Array, b: Uint8Array) => hex(a) === hex(b);

export interface Step {
  side: "left" | "right";
  sibling: string;
  result: string;
}
export interface Verdict {
  leafOk: boolean;
  rootOk: boolean;
  checkpointOk: boolean;
  signature: "good" | "bad" | "unsupported";
  leaf: string;
  steps: Step[];
  root: string;
  origin: string;
}

/* RFC 9162 section 2.1.3.2. */
async function climb(leafHash: Bytes, index: bigint, size: bigint, path: Bytes[]) {
  const steps: Step[] = [];
  let node = index;
  let last = size - 1n;
  let hash = leafHash;
  for (const sibling of path) {
    if (last === 0n) return null;
    const left = (node & 1n) === 1n || node === last;
    hash = left
      ? await sha256(Uint8Array.of(1), sibling, hash)
      : await sha256(Uint8Array.of(1), hash, sibling);
    steps.push({ side: left ? "left" : "right", sibling: hex(sibling), result: hex(hash) });
    if (left) {
      while ((node & 1n) === 0n && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    }
    node >>= 1n;
    last >>= 1n;
  }
  return last === 0n ? { hash, steps } : null;
}

/* "origin\nsize\nroot\n\n— name base64(keyid||signature)\n" */
function parseNote(note: string) {
  const cut = note.indexOf("\n\n");
  if (cut < 0) return null;
  const text = note.slice(0, cut + 1);
  const [origin = "", size = "", root = ""] = text.split("\n");
  const signatures = note
    .slice(cut + 2)
    .split("\n")
    .filter((line) => line.startsWith("\u2014 "))
    .map((line) => line.slice(2).split(" "));
  return { text, origin, size, root, signatures };
}

async function signatureOf(note: string, vkey: string): Promise<Verdict["signature"]> {
  const parsed = parseNote(note);
  const [name, id, ...rest] = vkey.trim().split("+");
  const keyBytes = fromBase64(rest.join("+"));
  if (!parsed || keyBytes[0] !== 1) return "bad";
  const line = parsed.signatures.find((part) => {
    const raw = fromBase64(part[1] ?? "");
    return part[0] === name && hex(raw.slice(0, 4)) === id;
  });
  if (!line) return "bad";
  const signature = fromBase64(line[1] ?? "").slice(4);
  try {
    const key = await crypto.subtle.importKey("raw", keyBytes.slice(1), "Ed25519", false, ["verify"]);
    const message = new TextEncoder().encode(parsed.text);
    return (await crypto.subtle.verify("Ed25519", key, signature, message)) ? "good" : "bad";
  } catch {
    return "unsupported";
  }
}

export async function verifyProof(proof: Schema["LedgerProof"]): Promise<Verdict> {
  const leafHash = await sha256(Uint8Array.of(0), fromBase64(proof.leaf));
  const climbed = await climb(
    leafHash,
    BigInt(proof.entry),
    BigInt(proof.tree_size),
    proof.path.map(fromBase64),
  );
  const root = fromBase64(proof.root_hash);
  const note = parseNote(proof.checkpoint);
  return {
    leafOk: same(leafHash, fromBase64(proof.leaf_hash)),
    rootOk: climbed !== null && same(climbed.hash, root),
    checkpointOk:
      note !== null && note.size === proof.tree_size && same(fromBase64(note.root), root),
    signature: await signatureOf(proof.checkpoint, proof.key),
    leaf: hex(leafHash),
    steps: climbed?.steps ?? [],
    root: hex(root),
    origin: note?.origin ?? "",
  };
}

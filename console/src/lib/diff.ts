// SPDX-License-Identifier: Apache-2.0
// A line diff for documents: longest common subsequence, with unchanged stretches folded.
export interface Line {
  kind: "same" | "gone" | "new" | "fold";
  text: string;
  before?: number;
  after?: number;
}
const CONTEXT = 3;
const CELLS_MAX = 4_000_000; /* beyond that: whole files as gone and new */

function lines(text: string): string[] {
  const all = text.split("\n");
  if (all[all.length - 1] === "") all.pop();
  return all;
}

function compare(a: string[], b: string[]): Line[] {
  const out: Line[] = [];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let endA = a.length;
  let endB = b.length;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA--;
    endB--;
  }
  for (let i = 0; i < start; i++) out.push({ kind: "same", text: a[i]!, before: i + 1, after: i + 1 });
  const rows = endA - start;
  const cols = endB - start;
  const width = cols + 1;
  const fits = (rows + 1) * width <= CELLS_MAX;
  const table = fits ? new Uint32Array((rows + 1) * width) : new Uint32Array(0);
  for (let i = rows - 1; fits && i >= 0; i--) {
    for (let j = cols - 1; j >= 0; j--) {
      table[i * width + j] =
        a[start + i] === b[start + j]
          ? table[(i + 1) * width + j + 1]! + 1
          : Math.max(table[(i + 1) * width + j]!, table[i * width + j + 1]!);
    }
  }
  let i = 0;
  let j = 0;
  while (i < rows || j < cols) {
    const both = i < rows && j < cols;
    if (both && fits && a[start + i] === b[start + j]) {
      out.push({ kind: "same", text: a[start + i]!, before: start + ++i, after: start + ++j });
    } else if (i < rows && (!both || !fits || table[(i + 1) * width + j]! >= table[i * width + j + 1]!)) {
      out.push({ kind: "gone", text: a[start + i]!, before: start + ++i });
    } else {
      out.push({ kind: "new", text: b[start + j]!, after: start + ++j });
    }
  }
  for (let k = endA; k < a.length; k++) {
    out.push({ kind: "same", text: a[k]!, before: k + 1, after: endB + (k - endA) + 1 });
  }
  return out;
}

export function diffLines(before: string, after: string): Line[] {
  const all = compare(lines(before), lines(after));
  const keep = new Uint8Array(all.length);
  all.forEach((line, at) => {
    if (line.kind === "same") return;
    for (let k = Math.max(0, at - CONTEXT); k <= Math.min(all.length - 1, at + CONTEXT); k++) keep[k] = 1;
  });
  const out: Line[] = [];
  all.forEach((line, at) => {
    if (keep[at]) out.push(line);
    else if (out[out.length - 1]?.kind !== "fold") out.push({ kind: "fold", text: "" });
  });
  return out;
}

// SPDX-License-Identifier: Apache-2.0
// Finding a document in a file of several by its kind and name. The server parses; this only cuts.
export interface Found { text: string; line: number }

export function findDocument(text: string, kind: string, name: string): Found | undefined {
  let line = 1;
  for (const piece of text.split(/^---[ \t]*(?:#.*)?$/m)) {
    const has = (key: string, value: string) =>
      new RegExp(`^${key}:[ \\t]*["']?${value.replace(/[^\w-]/g, "\\$&")}["']?[ \\t]*(?:#.*)?$`, "m").test(piece);
    if (has("kind", kind) && has("name", name)) {
      const from = piece.search(/^kind:/m);
      return { text: piece.slice(from).trim(), line: line + piece.slice(0, from).split("\n").length - 1 };
    }
    line += piece.split("\n").length - 1;
  }
  return undefined;
}

export const newPlan = (name: string): string => `kind: Plan
name: ${name}
title: { en: ${name}, zh: ${name} }
why: >-
  When it runs, and why.
mode: manual
steps:
  - { name: incident, do: open_incident }
  - { name: tell, do: notify, with: { notice: incident-opened } }
  - { name: lead, do: assign, with: { role: commander } }`;

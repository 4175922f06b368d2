// SPDX-License-Identifier: Apache-2.0
// What hangs on the wall: statements by connection, and which few of many are shown live. No markup.
import type { Schema } from "../api/client";

export type Event = Schema["LedgerEvent"];
export type Ssh = Schema["SshConnection"];
export type Db = Schema["DatabaseConnection"];

export type Kind = "terminal" | "sql";
export interface Item {
  key: string;
  kind: Kind;
  person: string;
  resource: string;
  classes: string;
  since: string;
  /* 3 alarm or frozen, 2 refused lately or nobody watches, 1 busy, 0 still */
  urgency: number;
  ssh?: Ssh;
  db?: Db;
  statements: Event[]; // newest first
}

const CLASSES = ["public", "internal", "sensitive", "core"];
const REFUSED_S = 120;

/* The graver of two classes; a word of the office's own is graver than nothing. */
export function graver(a: string, b: string): string {
  if (!a || !b) return a || b;
  return CLASSES.indexOf(b) > CLASSES.indexOf(a) ? b : a;
}

/* The connection of a statement, as people say it. */
export function connectionOf(event: Event): string | undefined {
  const of = event.method === "CONNECT" ? event.reference : event.detail?.connection;
  return typeof of === "string" ? of : undefined;
}

const isRefused = (event: Event): boolean => event.kind === "decision" && (event.verdict === "deny" || event.verdict === "ask");

function urgencyOfSsh(c: Ssh): number {
  if (c.alarm || c.frozen) return 3;
  if (c.watch_needed && c.watchers.length === 0) return 2;
  return c.channels.some((channel) => channel.kind === "shell") ? 1 : 0;
}
function urgencyOfDb(statements: readonly Event[], now: number): number {
  if (statements.some((e) => isRefused(e) && now - Date.parse(e.at) < REFUSED_S * 1000)) return 2;
  return statements.length > 0 ? 1 : 0;
}

export function itemsOf(ssh: readonly Ssh[], db: readonly Db[], events: readonly Event[], classOf: ReadonlyMap<string, string>, now: number): Item[] {
  const by = new Map<string, Event[]>();
  for (const event of events) {
    const id = connectionOf(event);
    if (!id) continue;
    const list = by.get(id);
    if (list) list.push(event);
    else by.set(id, [event]);
  }
  return [
    ...ssh.map((c): Item => ({
      key: `ssh:${c.id}`, kind: "terminal", person: c.person.name, resource: c.resource, classes: classOf.get(c.resource) ?? "",
      since: c.opened_at, urgency: urgencyOfSsh(c), ssh: c, statements: [],
    })),
    ...db.map((c): Item => {
      const statements = by.get(c.id) ?? [];
      return {
        key: `sql:${c.id}`, kind: "sql", person: c.person.name, resource: c.resource,
        classes: statements.reduce((most, e) => graver(most, e.class ?? ""), classOf.get(c.resource) ?? ""),
        since: c.opened_at, urgency: urgencyOfDb(statements, now), db: c, statements,
      };
    }),
  ];
}

export interface Filter {
  person: string;
  resource: string;
  class: string;
  kind: "all" | Kind;
}
export const passes = (item: Item, filter: Filter): boolean =>
  (!filter.person || item.person.includes(filter.person)) && (!filter.resource || item.resource.includes(filter.resource)) &&
  (!filter.class || item.classes === filter.class) && (filter.kind === "all" || item.kind === filter.kind);

/* Which are shown live, in their places: who hangs there stays, unless something graver needs the place. */
export function choose(items: readonly Item[], before: readonly string[], pinned: ReadonlySet<string>, most: number): string[] {
  const by = new Map(items.map((item) => [item.key, item]));
  const weight = (key: string) => (pinned.has(key) ? 10 : (by.get(key)?.urgency ?? -1));
  const places = before.filter((key) => by.has(key)).slice(0, most);
  const rest = items.filter((item) => !places.includes(item.key)).map((item) => item.key)
    .sort((a, b) => weight(b) - weight(a) || (by.get(b)?.since ?? "").localeCompare(by.get(a)?.since ?? ""));
  for (const key of rest) {
    if (places.length < most) {
      places.push(key);
      continue;
    }
    const least = places.reduce((low, at) => (weight(at) < weight(low) ? at : low), places[0] ?? key);
    if (weight(key) <= Math.max(weight(least), 1)) break; // only what wants a look displaces
    places[places.indexOf(least)] = key;
  }
  return places;
}

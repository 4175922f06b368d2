// SPDX-License-Identifier: Apache-2.0
// Paths, not hashes: core answers any path of the portal with the console's page. What follows
// '#' in a link is a secret or a code, read once and taken out of the address.
import { signal } from "@preact/signals";

export interface Place {
  path: string;
  query: URLSearchParams;
}
const read = (): Place => ({
  path: location.pathname.replace(/\/+$/, "") || "/",
  query: new URLSearchParams(location.search),
});
export const place = signal<Place>(read());

export function go(path: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  const before = place.value.path;
  place.value = read();
  if (before !== place.value.path) scrollTo(0, 0);
}

/* Changes the query of the page one is on, without a new step in the history. */
export function setQuery(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(place.value.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(place.value.path + (text ? `?${text}` : ""), { replace: true });
}

export function takeFragment(): string {
  const text = decodeURIComponent(location.hash.slice(1));
  if (text) history.replaceState(null, "", location.pathname + location.search);
  return text;
}

/* "/admin/people/{id}" against "/admin/people/7" -> { id: "7" }; null when it does not match. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const want = pattern.split("/");
  const have = path.split("/");
  if (want.length !== have.length) return null;
  const params: Record<string, string> = {};
  for (let i = 0; i < want.length; i++) {
    const name = /^\{(\w+)\}$/.exec(want[i] ?? "")?.[1];
    if (name) params[name] = decodeURIComponent(have[i] ?? "");
    else if (want[i] !== have[i]) return null;
  }
  return params;
}

export function startRouter(): void {
  addEventListener("popstate", () => {
    place.value = read();
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement)) return;
    if (link.target || link.download || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/") || link.pathname === "/enter") return;
    if (link.getAttribute("href")?.startsWith("#")) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

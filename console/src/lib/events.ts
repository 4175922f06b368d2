// SPDX-License-Identifier: Apache-2.0
// Server-sent events: one stream for the page. Parts that show live things subscribe to topics.
// The browser reconnects by itself; after a gap everything on screen is fetched again.
import { effect, signal } from "@preact/signals";
import { BASE } from "../api/client";
import { loadMe, me } from "./state";

const TOPICS = [
  "me", "sessions", "devices", "people", "policy", "health", "overview", "databases", "approvals", "ssh", "alarms", "incidents", "plans", "cuts", "notices",
] as const;
export type Topic = (typeof TOPICS)[number] | "again";
type Listener = (data: unknown) => void;

const listeners = new Map<Topic, Set<Listener>>();
export const live = signal<"off" | "connecting" | "on">("off");

export function subscribe(topic: Topic, listener: Listener): () => void {
  const set = listeners.get(topic) ?? new Set();
  listeners.set(topic, set);
  set.add(listener);
  return () => set.delete(listener);
}
function tell(topic: Topic, data: unknown): void {
  listeners.get(topic)?.forEach((listener) => listener(data));
}

let source: EventSource | null = null;

function open(): void {
  if (source) return;
  let lost = false;
  live.value = "connecting";
  const stream = new EventSource(`${BASE}/events`);
  source = stream;
  stream.addEventListener("hello", () => {
    live.value = "on";
    if (lost) tell("again", null);
    lost = false;
  });
  stream.addEventListener("signed_out", () => {
    close();
    me.value = null;
  });
  stream.onerror = () => {
    live.value = "connecting";
    lost = true;
    if (stream.readyState !== EventSource.CLOSED) return;
    /* Refused for good: perhaps signed out. Ask, then try again in a while. */
    close();
    void loadMe();
    setTimeout(() => me.value && open(), 5000);
  };
  for (const topic of TOPICS) {
    stream.addEventListener(topic, (event) => {
      let data: unknown = null;
      try {
        data = JSON.parse((event as MessageEvent<string>).data);
      } catch {
        /* a topic without data still says: fetch again */
      }
      tell(topic, data);
    });
  }
}
function close(): void {
  source?.close();
  source = null;
  live.value = "off";
}

export function startEvents(): void {
  effect(() => {
    if (me.value) open();
    else close();
  });
}

// SPDX-License-Identifier: Apache-2.0
// Following the ledger: events as they become durable, newest first, as many as a person
// looks at. While paused they wait.
import { useEffect, useRef, useState } from "preact/hooks";
import { urlOf, type Schema } from "../api/client";

export type Event = Schema["LedgerEvent"];
export const keyOf = (event: Event): string => `${event.entry}.${event.position}`;

/* Newest first. Events of one moment stand in entries by whose and of what kind they are. */
export const byTime = (a: Event, b: Event): number =>
  a.at === b.at ? (b.sequence ?? 0) - (a.sequence ?? 0) : a.at < b.at ? 1 : -1;

const KEPT = 300;
const AGAIN_MS = 5000;

export interface Follow {
  state: "connecting" | "on" | "off";
  items: Event[];
  waiting: number;
  leftOut: boolean;
  paused: boolean;
  pause: (paused: boolean) => void;
}

/* path: below the API. missed() is called when the stream was broken: events may have passed it. */
export function useFollow(path: string, query: Record<string, unknown>, missed: () => void): Follow {
  const url = urlOf(path, {}, query);
  const [state, setState] = useState<Follow["state"]>("connecting");
  const [shown, setShown] = useState<{ url: string; items: Event[]; leftOut: boolean }>({ url, items: [], leftOut: false });
  const [waiting, setWaiting] = useState<Event[]>([]);
  const [paused, setPaused] = useState(false);
  const isPaused = useRef(false);
  const onMissed = useRef(missed);
  onMissed.current = missed;
  const add = (old: Event[], more: Event[]) => [...more, ...old].sort(byTime).slice(0, KEPT);
  useEffect(() => {
    let stream: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let broken = false;
    setShown({ url, items: [], leftOut: false });
    setWaiting([]);
    const open = () => {
      setState("connecting");
      stream = new EventSource(url);
      stream.addEventListener("hello", () => {
        setState("on");
        if (broken) onMissed.current();
        broken = false;
      });
      stream.addEventListener("again", () => onMissed.current());
      stream.addEventListener("events", (message) => {
        const data = JSON.parse((message as MessageEvent<string>).data) as { items: Event[]; left_out: boolean };
        if (isPaused.current) setWaiting((old) => add(old, data.items));
        else setShown((old) => ({ url, items: add(old.items, data.items), leftOut: old.leftOut || data.left_out }));
      });
      stream.addEventListener("signed_out", () => {
        stream?.close();
        setState("off");
      });
      stream.onerror = () => {
        broken = true;
        setState("connecting");
        if (stream?.readyState !== EventSource.CLOSED) return;
        setState("off");
        timer = setTimeout(open, AGAIN_MS);
      };
    };
    open();
    return () => {
      stream?.close();
      clearTimeout(timer);
    };
  }, [url]);
  const pause = (next: boolean) => {
    isPaused.current = next;
    setPaused(next);
    if (next) return;
    setShown((old) => ({ ...old, items: add(old.items, waiting) }));
    setWaiting([]);
  };
  const fresh = shown.url === url;
  return { state, items: fresh ? shown.items : [], leftOut: fresh && shown.leftOut, waiting: waiting.length, paused, pause };
}

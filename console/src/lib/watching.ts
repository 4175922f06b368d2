// SPDX-License-Identifier: Apache-2.0
// Looking at a terminal as it goes: saying that one looks, and following what is recorded.
import { useEffect, useRef, useState } from "preact/hooks";
import { api, ApiError, type Schema } from "../api/client";
import { CastReader } from "./cast";
import { fetchChunks, type Source } from "./recording";
import { Emulator, Replay } from "./terminal";

type Connection = Schema["SshConnection"];
const BEAT_MS = 3000;
const POLL_MS = 700;

/* Says every 3 s that somebody looks, and that he has gone when the page goes. */
export function useWatching(id: string) {
  const [connection, setConnection] = useState<Connection>();
  const [error, setError] = useState<unknown>(null);
  const [over, setOver] = useState(false);
  const beat = useRef<() => void>(() => undefined);
  useEffect(() => {
    let gone = false;
    const say = async () => {
      if (document.hidden) return; // nobody looks at a page behind another
      try {
        const now = await api("post", "/ssh/connections/{id}/watch", { path: { id }, body: {} });
        if (gone) return;
        setConnection(now);
        setError(null);
      } catch (cause) {
        if (gone) return;
        if (cause instanceof ApiError && cause.status === 404) setOver(true);
        else setError(cause);
      }
    };
    beat.current = () => void say();
    const timer = setInterval(() => void say(), BEAT_MS);
    const leave = () => void api("delete", "/ssh/connections/{id}/watch", { path: { id } }).catch(() => undefined);
    const onSight = () => (document.hidden ? leave() : void say());
    document.addEventListener("visibilitychange", onSight);
    void say();
    return () => {
      gone = true;
      clearInterval(timer);
      document.removeEventListener("visibilitychange", onSight);
      leave();
    };
  }, [id]);
  return { connection, error, over, again: () => beat.current() };
}

/* The terminal of a channel, as far as it is recorded: at most a second behind. */
export function useTerminal(source: Source | undefined, onEnd: () => void) {
  const [emulator, setEmulator] = useState<Emulator>();
  const [error, setError] = useState<unknown>(null);
  const painter = useRef<{ paint: () => void }>();
  const key = source && `${source.id}/${source.channel}`;
  useEffect(() => {
    if (!source) return;
    const abort = new AbortController();
    const reader = new CastReader();
    let made: Emulator | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let replay: Replay | undefined;
    let next = 0;
    const step = async () => {
      let wait = POLL_MS;
      try {
        const got = await fetchChunks(source, next, reader, abort.signal);
        if (!made && (got.more || got.end)) {
          made = await Emulator.make(reader.header);
          replay = new Replay(made, reader.header, reader.events);
          setEmulator(made);
        }
        await replay?.to(Number.POSITIVE_INFINITY);
        painter.current?.paint();
        setError(null);
        if (got.end) return onEnd();
        if (got.next !== next && got.more) wait = 0;
        next = got.next;
      } catch (cause) {
        if (abort.signal.aborted) return;
        setError(cause);
        wait = 3 * POLL_MS;
      }
      if (!abort.signal.aborted) timer = setTimeout(() => void step(), wait);
    };
    void step();
    return () => {
      abort.abort();
      clearTimeout(timer);
      made?.dispose();
      setEmulator(undefined);
      painter.current = undefined;
    };
  }, [key]);
  return { emulator, error, painter };
}

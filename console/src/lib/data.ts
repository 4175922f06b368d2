// SPDX-License-Identifier: Apache-2.0
// Fetching for pages: a value, an error or neither yet; fetched again when its topics move.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { subscribe, type Topic } from "./events";

export interface Data<T> {
  data: T | undefined;
  error: unknown;
  busy: boolean;
  reload: () => void;
  set: (value: T) => void;
}

function useTopics(topics: readonly Topic[], reload: () => void): void {
  const names = topics.join();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    /* Many changes at once become one fetch. */
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(reload, 150);
    };
    const all = [...topics, "again" as const].map((topic) => subscribe(topic, soon));
    return () => {
      clearTimeout(timer);
      all.forEach((stop) => stop());
    };
  }, [names, reload]);
}

export function useData<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  topics: readonly Topic[] = [],
): Data<T> {
  const [state, setState] = useState<{ key: string; data?: T; error?: unknown; busy: boolean }>({
    key,
    busy: true,
  });
  const [turn, setTurn] = useState(0);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const loader = useRef(load);
  loader.current = load;
  useEffect(() => {
    const abort = new AbortController();
    setState((old) => (old.key === key ? { ...old, busy: true } : { key, busy: true }));
    loader.current(abort.signal).then(
      (data) => !abort.signal.aborted && setState({ key, data, busy: false }),
      (error: unknown) =>
        !abort.signal.aborted && setState((old) => ({ ...old, key, error, busy: false })),
    );
    return () => abort.abort();
  }, [key, turn]);
  useTopics(topics, reload);
  const fresh = state.key === key;
  return {
    data: fresh ? state.data : undefined,
    error: fresh ? state.error : undefined,
    busy: !fresh || state.busy,
    reload,
    set: (data) => setState({ key, data, busy: false }),
  };
}

export interface Page<T> {
  items: T[];
  next: string | null;
}
export interface List<T> extends Data<T[]> {
  more: boolean;
  loadMore: () => void;
}

/* A list that pages by cursor. A reload starts over with the first page. */
export function useList<T>(
  key: string,
  load: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>,
  topics: readonly Topic[] = [],
): List<T> {
  const first = useData(key, (signal) => load(undefined, signal), topics);
  const [rest, setRest] = useState<{ of: unknown; items: T[]; next: string | null }>();
  const [loading, setLoading] = useState(false);
  const mine = rest && rest.of === first.data ? rest : undefined;
  const next = mine ? mine.next : (first.data?.next ?? null);
  const loadMore = () => {
    if (!next || loading) return;
    setLoading(true);
    const of = first.data;
    load(next, new AbortController().signal)
      .then((page) =>
        setRest({ of, items: [...(mine?.items ?? []), ...page.items], next: page.next }),
      )
      .finally(() => setLoading(false));
  };
  return {
    data: first.data && [...first.data.items, ...(mine?.items ?? [])],
    error: first.error,
    busy: first.busy || loading,
    reload: first.reload,
    set: (items) => first.set({ items, next }),
    more: next !== null,
    loadMore,
  };
}

/* Runs an action of a button: one at a time, and hands the error back. */
export function useAction(): {
  busy: boolean;
  error: unknown;
  run: (work: () => Promise<void>) => Promise<boolean>;
  clear: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async (work: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    try {
      await work();
      return true;
    } catch (cause) {
      setError(cause);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, run, clear: () => setError(null) };
}

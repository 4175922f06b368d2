// SPDX-License-Identifier: Apache-2.0
// Recordings from the office, chunk by chunk, as far as they are there.
import { response } from "../api/client";
import type { CastReader } from "./cast";

export interface Source {
  id: string;
  channel?: number;
}
export interface Fetched {
  next: number;
  end: boolean;
  more: boolean; // something came
}

const numberOf = (answer: Response, name: string): number => Number(answer.headers.get(name) ?? 0) || 0;

/* The chunks from `from` on that fit one answer, into the reader. */
export async function fetchChunks(source: Source, from: number, reader: CastReader, signal: AbortSignal): Promise<Fetched> {
  const answer = await response("get", "/ssh/recordings/{id}", {
    path: { id: source.id }, query: { channel: source.channel, from: from || undefined }, signal,
  });
  const text = await answer.text();
  const end = numberOf(answer, "X-Sallyport-End") > 0;
  reader.feed(text, end);
  return { next: Math.max(numberOf(answer, "X-Sallyport-Next"), from), end, more: text !== "" };
}

/* All that is there now. */
export async function fetchAll(source: Source, reader: CastReader, signal: AbortSignal): Promise<Fetched> {
  let at: Fetched = { next: 0, end: false, more: true };
  for (let last = -1; !at.end && at.more && at.next !== last; ) {
    last = at.next;
    at = await fetchChunks(source, at.next, reader, signal);
  }
  return at;
}

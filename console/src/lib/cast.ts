// SPDX-License-Identifier: Apache-2.0
// Recordings in asciicast v2: read line by line as they come, and searched as text. All of it is
// hostile: it is what a machine printed. Nothing here acts on an escape sequence.
export interface CastEvent {
  at: number; // seconds since the start
  code: "o" | "i" | "r" | "m";
  data: string;
}
export interface CastHeader {
  width: number;
  height: number;
}

const CODES = "oirm";
const COLUMNS = [20, 400] as const;
const ROWS = [5, 200] as const;
const between = (value: number, [least, most]: readonly [number, number]): number =>
  Number.isFinite(value) ? Math.min(Math.max(Math.trunc(value), least), most) : least;

/* "132x43", held to what a screen can be. */
export function sizeOf(text: string): CastHeader | undefined {
  const found = /^(\d{1,5})x(\d{1,5})$/.exec(text);
  return found ? { width: between(Number(found[1]), COLUMNS), height: between(Number(found[2]), ROWS) } : undefined;
}

export class CastError extends Error {}

/* Takes pieces of any length; what is not a whole line yet waits. */
export class CastReader {
  header: CastHeader = { width: 80, height: 24 };
  command = ""; // what ran, where it was no shell; hostile text
  readonly events: CastEvent[] = [];
  private rest = "";
  private line = 0;

  get duration(): number {
    return this.events.at(-1)?.at ?? 0;
  }
  /* end: nothing follows, so the last line needs no line feed. */
  feed(text: string, end = false): void {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    if (end && this.rest) {
      lines.push(this.rest);
      this.rest = "";
    }
    for (const line of lines) {
      this.line++;
      if (line.trim() !== "") this.take(line);
    }
  }
  private take(line: string): void {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw new CastError(`line ${this.line} is not JSON`);
    }
    if (Array.isArray(value)) return this.event(value);
    const header = value as { version?: unknown; width?: unknown; height?: unknown; command?: unknown } | null;
    if (header === null || typeof header !== "object" || header.version !== 2) {
      throw new CastError(`line ${this.line}: a header of version 2 or an event is expected`);
    }
    this.command = typeof header.command === "string" ? header.command : "";
    this.header = { width: between(Number(header.width), COLUMNS), height: between(Number(header.height), ROWS) };
  }
  private event([at, code, data]: unknown[]): void {
    if (typeof at !== "number" || typeof code !== "string" || typeof data !== "string" || !Number.isFinite(at)) {
      throw new CastError(`line ${this.line}: [time, "code", "data"] is expected`);
    }
    /* a byte that was no UTF-8 is carried as U+10FF00 + byte (lib/record/cast.h) */
    const shown = data.replace(/[\u{10ff00}-\u{10ffff}]/gu, "\ufffd");
    if (code.length !== 1 || !CODES.includes(code)) return; // a code of a later version
    this.events.push({ at: Math.max(at, this.duration), code: code as CastEvent["code"], data: shown });
  }
}

/* ---- as text ---- */

export interface Transcript {
  text: string;
  /* The text from starts[i] on was printed at times[i]. */
  starts: number[];
  times: number[];
}

const enum In { Text, Escape, Csi, String, StringEscape, Charset }

/* All control characters but line feed and tab. */
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/* What was printed, without escape sequences (ECMA-48) and control characters but line feed and tab. */
class Stripper {
  private state = In.Text;
  strip(data: string): string {
    let out = "";
    for (let i = 0; i < data.length; ) {
      if (this.state === In.Text) {
        CONTROL.lastIndex = i;
        const end = CONTROL.exec(data)?.index ?? data.length;
        out += data.slice(i, end);
        i = end;
        if (i >= data.length) break;
      }
      const n = data.charCodeAt(i++);
      if (n === 0x18 || n === 0x1a) this.state = In.Text;
      else if (this.state === In.Text) this.begin(n);
      else this.inside(n);
    }
    return out;
  }
  private begin(n: number): void {
    if (n === 0x1b) this.state = In.Escape;
    else if (n === 0x9b) this.state = In.Csi;
    else if (n === 0x90 || n === 0x98 || n === 0x9d || n === 0x9e || n === 0x9f) this.state = In.String;
  }
  private inside(n: number): void {
    if (this.state === In.Escape || this.state === In.StringEscape) this.state = this.afterEscape(n);
    else if (this.state === In.Csi && n >= 0x40 && n <= 0x7e) this.state = In.Text;
    else if (this.state === In.Csi && n === 0x1b) this.state = In.Escape;
    else if (this.state === In.String && n === 0x1b) this.state = In.StringEscape;
    else if (this.state === In.String && (n === 0x07 || n === 0x9c)) this.state = In.Text;
    else if (this.state === In.Charset) this.state = In.Text;
  }
  private afterEscape(n: number): In {
    if (n === 0x5b) return In.Csi;
    if (n === 0x5d || n === 0x50 || n === 0x58 || n === 0x5e || n === 0x5f) return In.String;
    if (n >= 0x20 && n <= 0x2f) return In.Charset;
    return n === 0x1b ? In.Escape : In.Text;
  }
}

const TEXT_MOST = 64 << 20;

export function transcriptOf(events: readonly CastEvent[]): Transcript {
  const stripper = new Stripper();
  const parts: string[] = [];
  const made: Transcript = { text: "", starts: [], times: [] };
  let length = 0;
  for (const event of events) {
    if (event.code !== "o" || length > TEXT_MOST) continue;
    const text = stripper.strip(event.data);
    if (text === "") continue;
    made.starts.push(length);
    made.times.push(event.at);
    parts.push(text);
    length += text.length;
  }
  made.text = parts.join("");
  return made;
}

export interface Hit {
  at: number;
  line: string; // the line that it is in
}

const HITS_MOST = 500;

export function search(transcript: Transcript, words: string): Hit[] {
  const hits: Hit[] = [];
  const wanted = words.toLowerCase();
  const text = transcript.text.toLowerCase();
  let piece = 0;
  for (let at = wanted ? text.indexOf(wanted) : -1; at >= 0 && hits.length < HITS_MOST; at = text.indexOf(wanted, at + wanted.length)) {
    while (piece + 1 < transcript.starts.length && (transcript.starts[piece + 1] ?? 0) < at + wanted.length) piece++;
    const from = Math.max(transcript.text.lastIndexOf("\n", at - 1) + 1, at - 80);
    const to = transcript.text.indexOf("\n", at);
    hits.push({ at: transcript.times[piece] ?? 0, line: transcript.text.slice(from, to < 0 ? undefined : to).slice(0, 200) });
  }
  return hits;
}

/* ---- moments to jump to ---- */

export interface Moment {
  at: number;
  label: string;
}
export const momentsOf = (events: readonly CastEvent[]): Moment[] =>
  events.filter((event) => event.code === "m").map(({ at, data }) => ({ at, label: data.slice(0, 300) }));

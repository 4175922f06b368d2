// SPDX-License-Identifier: Apache-2.0
// A terminal without a page: xterm.js's parser and buffer, and nothing of it that could act. It has
// no clipboard, no links, no title, no windows, and what it would answer to a query goes nowhere.
// What is on its screen is read cell by cell and drawn as text (src/ui/screen.tsx).
import type { IBufferCell, Terminal } from "@xterm/headless";
import { sizeOf, type CastEvent, type CastHeader } from "./cast";

export interface Run {
  text: string;
  look: string; // names of CSS classes
  ink?: string; // "#rrggbb", where no class has the colour
  ground?: string;
  wide?: boolean;
}
export type Row = Run[];

const SCROLLBACK = 2000;

/* 16..231 is a cube of 6 x 6 x 6, 232..255 a ramp of greys (xterm-256color). */
function colourOf(n: number): string {
  const hex = (v: number) => v.toString(16).padStart(2, "0");
  if (n >= 232) return `#${hex(8 + (n - 232) * 10).repeat(3)}`;
  const step = (v: number) => hex(v === 0 ? 0 : 55 + v * 40);
  const at = n - 16;
  return `#${step(Math.trunc(at / 36))}${step(Math.trunc(at / 6) % 6)}${step(at % 6)}`;
}
const rgb = (n: number): string => `#${(n & 0xffffff).toString(16).padStart(6, "0")}`;

function lookOf(cell: IBufferCell): Omit<Run, "text"> {
  const look: string[] = [];
  let ink: string | undefined;
  let ground: string | undefined;
  const inverse = cell.isInverse() !== 0;
  const [front, back] = inverse ? (["bg", "fg"] as const) : (["fg", "bg"] as const);
  const put = (kind: "fg" | "bg", n: number, real: boolean) => {
    if (!real && n < 16) look.push(`${kind}-${n}`);
    else if (kind === "fg") ink = real ? rgb(n) : colourOf(n);
    else ground = real ? rgb(n) : colourOf(n);
  };
  if (!cell.isFgDefault()) put(front, cell.getFgColor() + (cell.isBold() && cell.isFgPalette() && cell.getFgColor() < 8 ? 8 : 0), cell.isFgRGB());
  else if (inverse) look.push("bg-ink");
  if (!cell.isBgDefault()) put(back, cell.getBgColor(), cell.isBgRGB());
  else if (inverse) look.push("fg-ground");
  if (cell.isBold()) look.push("bold");
  if (cell.isDim()) look.push("dim");
  if (cell.isItalic()) look.push("italic");
  if (cell.isUnderline()) look.push("under");
  if (cell.isStrikethrough()) look.push("struck");
  if (cell.isInvisible()) look.push("unseen");
  return { look: look.join(" "), ink, ground, wide: cell.getWidth() === 2 };
}

const same = (a: Omit<Run, "text">, b: Omit<Run, "text">) => a.look === b.look && a.ink === b.ink && a.ground === b.ground;

export class Emulator {
  private constructor(private readonly terminal: Terminal) {}

  static async make(size: CastHeader): Promise<Emulator> {
    const { Terminal } = await import("@xterm/headless");
    return new Emulator(new Terminal({ cols: size.width, rows: size.height, scrollback: SCROLLBACK, allowProposedApi: true, logLevel: "off" }));
  }
  get columns(): number {
    return this.terminal.cols;
  }
  get rows(): number {
    return this.terminal.rows;
  }
  reset(size: CastHeader): void {
    this.terminal.reset();
    this.terminal.resize(size.width, size.height);
  }
  write(text: string): Promise<void> {
    return new Promise((done) => this.terminal.write(text, done));
  }
  /* Output and changes of size in order; what is between two changes is written at once. */
  async play(events: readonly CastEvent[]): Promise<void> {
    let text = "";
    for (const event of events) {
      const size = event.code === "r" ? sizeOf(event.data) : undefined;
      if (event.code === "o") text += event.data;
      if (!size) continue;
      await this.write(text);
      text = "";
      this.terminal.resize(size.width, size.height);
    }
    if (text) await this.write(text);
  }
  cursor(): { x: number; y: number } {
    const { cursorX, cursorY } = this.terminal.buffer.active;
    return { x: cursorX, y: cursorY };
  }
  /* The screen; marked: words to point out. */
  screen(marked = ""): Row[] {
    const buffer = this.terminal.buffer.active;
    const cell = buffer.getNullCell();
    const rows: Row[] = [];
    for (let y = 0; y < this.terminal.rows; y++) {
      const line = buffer.getLine(buffer.baseY + y);
      const row: Row = [];
      const hits = marked ? columnsOf(line?.translateToString(false) ?? "", marked) : undefined;
      for (let x = 0; line && x < this.terminal.cols; x++) {
        const at = line.getCell(x, cell);
        if (!at || at.getWidth() === 0) continue;
        const look = lookOf(at);
        if (hits?.has(x)) look.look += " hit";
        const last = row.at(-1);
        const chars = at.getChars() || " ";
        if (last && !last.wide && !look.wide && same(last, look)) last.text += chars;
        else row.push({ ...look, text: chars });
      }
      rows.push(row);
    }
    return rows;
  }
  dispose(): void {
    this.terminal.dispose();
  }
}

function columnsOf(text: string, words: string): Set<number> {
  const found = new Set<number>();
  const all = text.toLowerCase();
  const wanted = words.toLowerCase();
  for (let at = all.indexOf(wanted); at >= 0; at = all.indexOf(wanted, at + wanted.length)) {
    for (let i = 0; i < wanted.length; i++) found.add(at + i);
  }
  return found;
}

/* A recording at a moment: going back starts over, for a terminal does not run backwards. One move
 * at a time; of those that wait only the last counts. */
export class Replay {
  private next = 0;
  private moving: Promise<void> = Promise.resolve();
  private wanted = 0;

  constructor(
    readonly emulator: Emulator,
    private readonly size: CastHeader,
    private readonly events: readonly CastEvent[],
  ) {}

  to(seconds: number): Promise<void> {
    this.wanted = seconds;
    this.moving = this.moving.then(() => this.move());
    return this.moving;
  }
  private async move(): Promise<void> {
    const upTo = endOf(this.events, this.wanted);
    if (upTo < this.next) {
      this.emulator.reset(this.size);
      this.next = 0;
    }
    const events = this.events.slice(this.next, upTo);
    this.next = upTo;
    if (events.length > 0) await this.emulator.play(events);
  }
}

/* How many events are at or before the moment; events are in order. */
export function endOf(events: readonly CastEvent[], seconds: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle]?.at ?? 0) <= seconds) low = middle + 1;
    else high = middle;
  }
  return low;
}

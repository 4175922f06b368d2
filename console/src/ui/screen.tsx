// SPDX-License-Identifier: Apache-2.0
// A terminal's screen as text on the page. Rows are rebuilt only where they changed; colours that no
// class has are set on the element, never as markup.
import { useEffect, useRef } from "preact/hooks";
import type { Emulator, Row, Run } from "../lib/terminal";

const TEXT_LEAST_PX = 9;
const TEXT_MOST_PX = 15;
const CELL_WIDTH = 0.602; // of the letters' height, in the fonts of --mono

function spanOf(run: Run): HTMLElement {
  const span = document.createElement("span");
  span.textContent = run.text;
  if (run.look || run.wide) span.className = [run.look, run.wide && "wide"].filter(Boolean).join(" ");
  if (run.ink) span.style.color = run.ink;
  if (run.ground) span.style.backgroundColor = run.ground;
  return span;
}

export class Painter {
  private drawn: string[] = [];
  private waiting = false;
  constructor(
    private readonly box: HTMLElement,
    private readonly cursor: HTMLElement,
    private readonly emulator: Emulator,
    private readonly least = TEXT_LEAST_PX,
  ) {}

  marked = "";
  /* At the next frame, once. */
  paint(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }
  private draw(): void {
    const rows = this.emulator.screen(this.marked);
    while (this.box.childElementCount > rows.length) this.box.lastElementChild?.remove();
    this.drawn.length = Math.min(this.drawn.length, rows.length);
    rows.forEach((row, y) => this.row(row, y));
    const at = this.emulator.cursor();
    this.cursor.style.left = `${at.x}ch`;
    this.cursor.style.top = `calc(${at.y} * var(--line-height))`;
    this.fit();
  }
  private row(row: Row, y: number): void {
    const key = JSON.stringify(row);
    if (this.drawn[y] === key) return;
    this.drawn[y] = key;
    const line = document.createElement("div");
    line.append(...row.map(spanOf));
    const old = this.box.children[y];
    if (old) old.replaceWith(line);
    else this.box.append(line);
  }
  /* Letters as large as the width allows. */
  fit(): void {
    const frame = this.box.closest<HTMLElement>(".screen");
    if (!frame) return;
    const size = frame.clientWidth / ((this.emulator.columns + 2) * CELL_WIDTH);
    frame.style.fontSize = `${Math.min(Math.max(size, this.least), TEXT_MOST_PX).toFixed(2)}px`;
    this.box.style.minWidth = `${this.emulator.columns}ch`;
  }
}

/* onReady gets the painter of an emulator that is there. least: letters are never smaller, in px. */
export function Screen({ emulator, label, least, onReady }: { emulator: Emulator; label: string; least?: number; onReady: (painter: Painter) => void }) {
  const frame = useRef<HTMLDivElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const cursor = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (!box.current || !cursor.current || !frame.current) return;
    const painter = new Painter(box.current, cursor.current, emulator, least);
    onReady(painter);
    painter.paint();
    const look = new ResizeObserver(() => painter.fit());
    look.observe(frame.current);
    return () => look.disconnect();
  }, [emulator]);
  return (
    <div class="screen" ref={frame} role="region" aria-label={label} tabIndex={0}>
      <div class="screen-inner">
        <div class="screen-rows" ref={box} />
        <span class="screen-cursor" ref={cursor} aria-hidden="true" />
      </div>
    </div>
  );
}

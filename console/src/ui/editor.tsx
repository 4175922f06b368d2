// SPDX-License-Identifier: Apache-2.0
// Editing documents: text with colours and numbers, and what is wrong with it, line by line.
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Schema } from "../api/client";
import { t } from "../i18n";
import { Icon } from "./icon";
import { yamlLines } from "./yaml";

type Diagnostic = Schema["Diagnostic"];

/* A plain textarea over its own coloured copy: the browser's editing, with colours and numbers. */
export function Editor({ text, onText, bad, readOnly, at }: {
  text: string; onText: (text: string) => void; bad: ReadonlySet<number>; readOnly: boolean; at: { line: number; column: number; turn: number } | null;
}) {
  const area = useRef<HTMLTextAreaElement>(null);
  const paint = useMemo(() => yamlLines(text, bad), [text, bad]);
  const count = text.split("\n").length;
  useEffect(() => {
    const box = area.current;
    if (!box || !at) return;
    const lines = box.value.split("\n");
    const start = lines.slice(0, at.line - 1).reduce((sum, l) => sum + l.length + 1, 0) + Math.max(0, at.column - 1);
    box.focus();
    box.setSelectionRange(start, start);
    box.closest(".editor")?.querySelector(`[data-line="${at.line}"]`)?.scrollIntoView({ block: "center" });
  }, [at]);
  const keys = (event: KeyboardEvent) => {
    const box = area.current;
    /* Tab indents; Escape first gives Tab back to moving between fields. */
    if (!box || event.key !== "Tab" || event.shiftKey || box.dataset.tabs === "off" || readOnly) {
      if (event.key === "Escape" && box) box.dataset.tabs = "off";
      return;
    }
    event.preventDefault();
    box.setRangeText("  ", box.selectionStart, box.selectionEnd, "end");
    onText(box.value);
  };
  return (
    <div class="editor">
      <div class="editor-lines" aria-hidden="true">{Array.from({ length: count }, (_, i) => <span key={i} data-line={i + 1} class={bad.has(i + 1) ? "bad" : ""}>{i + 1}</span>)}</div>
      <div class="editor-text">
        <pre aria-hidden="true">{paint}</pre>
        <textarea ref={area} value={text} readOnly={readOnly} spellcheck={false} autocapitalize="off" wrap="off" aria-label={t().policy.editorLabel}
          onInput={(e) => onText(e.currentTarget.value)} onKeyDown={keys} onFocus={(e) => { delete e.currentTarget.dataset.tabs; }} />
      </div>
    </div>
  );
}

export function Problems({ items, onJump }: { items: Diagnostic[]; onJump: (d: Diagnostic) => void }) {
  return (
    <ul class="problems">
      {items.map((d, at) => (
        <li key={at} class={d.severity}>
          <Icon name="alert" size={15} />
          <div>
            {d.path && <button type="button" class="link" onClick={() => onJump(d)}>{d.path}:{d.line ?? 1}:{d.column ?? 1}</button>} {d.message}
            {d.expected && <small class="block muted">{t().policy.expectedWas} {d.expected}</small>}
          </div>
        </li>
      ))}
    </ul>
  );
}

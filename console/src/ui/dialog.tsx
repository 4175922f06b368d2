// SPDX-License-Identifier: Apache-2.0
// Dialogs on the browser's own <dialog>: focus stays inside, Escape closes, focus comes back.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { useAction } from "../lib/data";
import { Button, cx, IconButton } from "./basic";
import { ErrorNote } from "./errors";

export function Dialog({ title, onClose, children, wide, side }: {
  title: ComponentChildren; onClose: () => void; children: ComponentChildren; wide?: boolean; side?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement as HTMLElement | null;
    dialog?.showModal();
    return () => {
      dialog?.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog ref={ref} class={cx("dialog", wide && "dialog-wide", side && "dialog-side")} aria-labelledby={id}
      onCancel={(event) => { event.preventDefault(); onClose(); }}
      onMouseDown={(event) => event.target === ref.current && onClose()}>
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <IconButton icon="close" label={t().common.close} onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

/* Asks before something that takes away; may ask why. */
export function Confirm({ title, text, action, why, onClose, onYes }: {
  title: string; text: ComponentChildren; action: string; why?: boolean;
  onClose: () => void; onYes: (why: string) => Promise<void>;
}) {
  const { busy, error, run } = useAction();
  const [reason, setReason] = useState("");
  const id = useId();
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="stack" onSubmit={(event) => {
        event.preventDefault();
        void run(() => onYes(reason.trim())).then((ok) => ok && onClose());
      }}>
        <div>{text}</div>
        {why && (
          <div class="field">
            <label for={id}>{t().common.why}</label>
            <textarea id={id} class="input" rows={3} maxLength={500} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />
            <p class="hint">{t().common.whyHint}</p>
          </div>
        )}
        <ErrorNote error={error} />
        <div class="row row-end">
          <Button onClick={onClose}>{t().common.cancel}</Button>
          <Button type="submit" tone="danger" busy={busy}>{action}</Button>
        </div>
      </form>
    </Dialog>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Errors that say what happened and what to do.
import { ApiError } from "../api/client";
import { t } from "../i18n";
import { wantedZh } from "../i18n/wanted.zh";
import { lang } from "../lib/state";
import { Button } from "./basic";
import { Icon } from "./icon";

export interface Words {
  title: string;
  what: string;
  reference?: string;
  fields: { field: string; message: string }[];
}

export function wordsOf(error: unknown): Words {
  const words = t().errors;
  if (error instanceof ApiError) {
    const { problem } = error;
    const known = (words.codes as Record<string, { title: string; what: string } | undefined>)[problem.code];
    const wait = problem.retry_after_s ? ` ${words.retryIn(problem.retry_after_s)}` : "";
    /* The server's own sentence knows the particulars; it is English, so Chinese prefers ours. */
    const detail = lang.value === "en" || !known ? (problem.detail ?? known?.what) : known.what;
    return {
      title: known?.title ?? problem.title,
      what: (detail ?? words.unknown) + wait,
      reference: problem.reference,
      fields: problem.errors ?? [],
    };
  }
  if (error instanceof DOMException) {
    if (error.name === "NotAllowedError") return { ...words.passkeyCancelled, fields: [] };
    if (error.name === "InvalidStateError") return { ...words.passkeyKnown, fields: [] };
    if (error.name === "SecurityError") return { ...words.passkeySecurity, fields: [] };
  }
  return { title: words.unknownTitle, what: error instanceof Error ? error.message : words.unknown, fields: [] };
}

const wanted = (message: string): string => (lang.value === "zh" ? wantedZh[message] ?? message : message);

export function ErrorNote({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  if (!error) return null;
  const words = wordsOf(error);
  const fields = words.fields.filter((f) => !words.what.includes(f.message));
  return (
    <div class="note note-bad" role="alert">
      <Icon name="alert" />
      <div class="note-text">
        <strong>{words.title}</strong>
        <p>{words.what}</p>
        {fields.length > 0 && (
          <ul>{fields.map((f) => <li key={f.field}><code>{f.field.replace(/^\//, "")}</code> {wanted(f.message)}</li>)}</ul>
        )}
        {words.reference && <p class="muted">{t().common.reference}: <code>{words.reference}</code></p>}
      </div>
      {onRetry && <Button small icon="refresh" onClick={onRetry}>{t().common.retry}</Button>}
    </div>
  );
}

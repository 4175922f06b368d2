// SPDX-License-Identifier: Apache-2.0
// What was done at a database: one line, with what it came to; more of it in a dialog.
import type { ComponentChildren } from "preact";
import type { Schema } from "../api/client";
import { t } from "../i18n";
import { isAdmin } from "../lib/state";
import { connectionOf } from "../lib/wall";
import { Badge, cx } from "./basic";
import { EventFacts } from "./event";
import { formatBytes, formatNumber } from "./time";
import { ClassBadge, Severity, VerdictBadge, wordIn } from "./words";

type Event = Schema["LedgerEvent"];

const detailOf = (event: Event, name: string): string | undefined => {
  const value = event.detail?.[name];
  return typeof value === "string" ? value : undefined;
};
export const toneOf = (event: Event): string | undefined =>
  event.kind !== "decision" && event.kind !== "sign-in" ? undefined
    : event.verdict === "deny" ? "row-refused" : event.verdict === "ask" ? "row-pending" : undefined;

export function StatementText({ event }: { event: Event }) {
  const words = t().watch;
  const connects = event.method === "CONNECT";
  const title = connects ? (event.kind === "close" ? words.closed : event.verdict === "allow" ? words.connected : words.connection)
    : event.kind === "decision" || event.kind === "close" ? event.object || event.method : undefined;
  if (title === undefined) {
    return <span class="event-title">{t().words.event[event.kind]}<small class="muted block clip">{event.method} {event.object}</small></span>;
  }
  return (
    <span class="event-title">
      {connects ? <span class={cx(event.kind === "close" && "muted")}>{title}</span> : <code class={cx("statement", event.kind === "close" && "muted")}>{title}</code>}
      {connects && event.object && <small class="muted block clip" title={event.object}>{event.object}</small>}
    </span>
  );
}
export function Outcome({ event }: { event: Event }) {
  const failed = detailOf(event, "sqlstate");
  if (event.kind === "close") return failed ? <Badge tone="warn" title={t().watch.failedText}>{t().watch.failed(failed)}</Badge> : <Badge>{t().words.event.close}</Badge>;
  if (event.kind !== "decision" && event.kind !== "sign-in") return <Severity severity={event.severity} />;
  if (!event.verdict) return null;
  return (
    <span class="outcome">
      {failed ? <Badge tone="warn" title={t().watch.failedText}>{t().watch.failed(failed)}</Badge> : <VerdictBadge verdict={event.verdict} />}
      {event.verdict !== "allow" && event.reason && <small class="muted">{wordIn(t().words.reason, event.reason)}</small>}
    </span>
  );
}
export function ActionClass({ event }: { event: Event }) {
  if (!event.action || event.kind !== "decision") return null;
  return <span class="outcome"><span>{wordIn(t().words.action, event.action)}</span> <ClassBadge name={event.class} /></span>;
}
/* Rows, bytes and time of what ran. */
export function Cost({ event }: { event: Event }) {
  const bytes = (event.bytes_in ?? 0) + (event.bytes_out ?? 0);
  const ms = (event.duration_us ?? 0) / 1000;
  const parts = [
    event.count ? t().watch.rows(event.count) : "",
    bytes ? formatBytes(bytes) : "",
    ms ? `${formatNumber(ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms))} ms` : "",
  ].filter(Boolean);
  return parts.length > 0 ? <span class="cost">{parts.map((part) => <span key={part}>{part}</span>)}</span> : null;
}

/* The ways from a statement to its proof and to what else was done in its session. */
export function EventLinks({ event, own }: { event: Event; own?: boolean }) {
  const words = t().watch;
  return (
    <p class="row">
      {event.gate === "ssh" && event.reference && <a href={`/recordings/${event.reference}`}>{t().machines.toRecording}</a>}
      {isAdmin("audit") && <a href={`/admin/ledger/${event.entry}?position=${event.position}`}>{words.toEntry(event.entry)}</a>}
      {event.session && (own || isAdmin("audit") || isAdmin("security")) &&
        <a href={own ? `/sessions/${event.session}` : `/admin/sessions/${event.session}`}>{words.toSession}</a>}
    </p>
  );
}
export function StatementDetail({ event, own, children }: { event: Event; own?: boolean; children?: ComponentChildren }) {
  const connection = connectionOf(event);
  return (
    <div class="stack">
      {event.object && event.method !== "CONNECT" && <pre class="code wrap">{event.object}</pre>}
      <EventLinks event={event} own={own} />
      <EventFacts event={event} />
      {connection && <p class="muted">{t().watch.connection} <code>{connection}</code></p>}
      {event.detail && Object.keys(event.detail).length > 0 && <pre class="code">{JSON.stringify(event.detail, null, 2)}</pre>}
      {children}
    </div>
  );
}

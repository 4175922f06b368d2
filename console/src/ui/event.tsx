// SPDX-License-Identifier: Apache-2.0
// A ledger event in words.
import type { Schema } from "../api/client";
import { t } from "../i18n";
import { Facts } from "./basic";
import { formatBytes, formatNumber, Time } from "./time";
import { ClassBadge, Owner, Severity, VerdictBadge, wordIn } from "./words";

type Event = Schema["LedgerEvent"];

/* What it was done to, after the method where the text does not begin with it ("DELETE", "DELETE FROM orders"). */
export const deedOf = ({ method, object }: { method?: string | null; object?: string | null }): string =>
  (object ?? "").toUpperCase().startsWith(method ?? "") ? object ?? "" : `${method} ${object}`;

export function EventTitle({ event }: { event: Event }) {
  const words = t().words;
  if (event.redacted) return <span class="muted">{t().ledger.redacted}</span>;
  const main = event.kind === "decision" && event.gate !== "db" && event.count
    ? t().ledger.counted(formatNumber(event.count))
    : event.kind === "decision" || event.kind === "close"
    ? `${wordIn(words.action, event.action)} ${event.resource ?? ""}`
    : words.event[event.kind];
  return (
    <span class="event-title">
      <span>{main}</span>
      {event.object && <small class="muted block clip" title={event.object}>{deedOf(event)}</small>}
    </span>
  );
}
export function EventOutcome({ event }: { event: Event }) {
  if (event.redacted) return null;
  return event.verdict && (event.kind === "decision" || event.kind === "close" || event.kind === "sign-in")
    ? <VerdictBadge verdict={event.verdict} />
    : <Severity severity={event.severity} />;
}
export function EventFacts({ event }: { event: Event }) {
  const words = t();
  const l = words.ledger;
  return (
    <Facts items={[
      [l.at, <Time at={event.at} />],
      [l.kind, words.words.event[event.kind]],
      [l.outcome, <EventOutcome event={event} />],
      [l.reason, event.reason && wordIn(words.words.reason, event.reason)],
      [l.rule, event.rule && <code>{event.rule}</code>],
      [l.person, event.person],
      [l.device, event.device && <>{event.device} · <Owner owner={event.owner} /></>],
      [l.resource, event.resource && <>{event.resource} <ClassBadge name={event.class} /></>],
      [l.action, event.action && wordIn(words.words.action, event.action)],
      [l.object, event.object && <code class="wrap">{deedOf(event)}</code>],
      [l.status, event.status || undefined],
      [l.bytes, event.bytes_out || event.bytes_in ? `↓ ${formatBytes(event.bytes_out ?? 0)} · ↑ ${formatBytes(event.bytes_in ?? 0)}` : undefined],
      [l.duration, event.duration_us ? `${formatNumber(Math.round(event.duration_us / 100) / 10)} ms` : undefined],
      [l.count, event.gate !== "db" && event.count ? formatNumber(event.count) : undefined],
      [l.peer, event.peer && <code>{event.peer}</code>],
      [t().watch.rowsHead, event.gate === "db" && event.count ? formatNumber(event.count) : undefined],
      [l.session, event.session && <code>{event.session}</code>],
      [l.reference, event.reference && <code>{event.reference}</code>],
      [l.policyVersion, event.policy_version],
    ]} />
  );
}

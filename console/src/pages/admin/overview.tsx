// SPDX-License-Identifier: Apache-2.0
// The office at a glance: what needs somebody, then counters, then the last day.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { subscribe } from "../../lib/events";
import { Card, PageHead, Skeleton } from "../../ui/basic";
import { HourBars } from "../../ui/chart";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { formatNumber, Time } from "../../ui/time";

type Overview = Schema["Overview"];

function Counter({ label, value, href, sub, tone }: { label: string; value: number | null; href?: string; sub?: ComponentChildren; tone?: "warn" | "bad" }) {
  const inside = (
    <>
      <span class="counter-label">{label}</span>
      <span class={`counter-value ${tone ? `counter-${tone}` : ""}`}>{value === null ? "—" : formatNumber(value)}</span>
      {sub && <span class="counter-sub">{sub}</span>}
    </>
  );
  return href ? <a class="counter" href={href}>{inside}</a> : <div class="counter">{inside}</div>;
}

function LedgerCounter({ ledger }: { ledger: Overview["ledger"] }) {
  const words = t().overview;
  return (
    <Counter label={words.ledger} value={ledger.size} tone={ledger.up ? undefined : "bad"} href="/admin/health"
      sub={ledger.up ? <>{words.checkpoint} <Time at={ledger.checkpoint_at} ago /></> : words.ledgerDown} />
  );
}

const PLACES: Record<string, string> = {
  devices_pending: "/admin/devices?state=pending",
  devices_quarantined: "/admin/devices?state=quarantined",
  people_locked: "/admin/people?state=locked",
  no_audit_admin: "/admin/people",
  no_system_admin: "/admin/people",
  no_security_admin: "/admin/people",
  ledger_down: "/admin/health",
  ledger_not_recording: "/admin/health",
  ledger_tampered: "/admin/ledger",
  vault_down: "/admin/health",
  web_down: "/admin/health",
  role_down: "/admin/health",
  events_lost: "/admin/health",
};

function Attention({ items }: { items: NonNullable<Overview["attention"]> }) {
  const words = t().overview;
  if (items.length === 0) {
    return <div class="note note-good"><Icon name="check" /><div class="note-text"><p>{words.allWell}</p></div></div>;
  }
  return (
    <ul class="attention">
      {items.map((item) => {
        const text = (words.attention as Record<string, ((n: number) => string) | undefined>)[item.code]?.(item.count ?? 0) ?? item.code;
        const urgent = item.severity === "high" || item.severity === "critical";
        return (
          <li key={item.code} class={urgent ? "urgent" : ""}>
            <Icon name={urgent ? "alert" : "info"} />
            <span>{text}</span>
            {PLACES[item.code] && <a href={PLACES[item.code]}>{words.look} <Icon name="right" size={14} /></a>}
          </li>
        );
      })}
    </ul>
  );
}

export function Overview() {
  const data = useData("overview", (signal) => api("get", "/admin/overview", { signal }));
  useEffect(() => subscribe("overview", (fresh) => {
    if (fresh && typeof fresh === "object" && "people" in fresh) data.set(fresh as Overview);
  }), []);
  const words = t().overview;
  const o = data.data;
  return (
    <>
      <PageHead title={words.title} lead={o && <>{words.asOf} <Time at={o.at} /></>} />
      {data.error && !o ? <ErrorNote error={data.error} onRetry={data.reload} /> : !o ? <Skeleton rows={5} /> : (
        <div class="stack">
          <Attention items={o.attention ?? []} />
          <div class="counters">
            <Counter label={words.people} value={o.people.active} href="/admin/people" sub={[
              o.people.invited && words.invited(o.people.invited), o.people.locked && words.locked(o.people.locked), o.people.disabled && words.disabled(o.people.disabled),
            ].filter(Boolean).join(" · ")} />
            <Counter label={words.devices} value={o.devices.active} href="/admin/devices" sub={[
              o.devices.pending && words.pending(o.devices.pending), o.devices.quarantined && words.quarantined(o.devices.quarantined),
            ].filter(Boolean).join(" · ")} />
            <Counter label={words.sessions} value={o.sessions.live} href="/admin/sessions" sub={o.sessions.capacity ? words.of(formatNumber(o.sessions.capacity)) : undefined} />
            {o.decisions.denied !== null
              ? <Counter label={words.deniedDay} value={o.decisions.denied} sub={o.decisions.allowed !== null && words.allowedDay(formatNumber(o.decisions.allowed))} />
              : <LedgerCounter ledger={o.ledger} />}
          </div>
          {o.decisions.per_hour && <Card title={words.decisions} actions={o.decisions.complete === false && <span class="muted">{words.counting}</span>}><HourBars hours={o.decisions.per_hour} /></Card>}
          <div class="counters">
            <Counter label={words.policy} value={Number(o.policy.version)} href="/admin/policy" sub={<>{words.inForce} <Time at={o.policy.applied_at} ago /></>} />
            <Counter label={words.nevers} value={o.policy.nevers_proven ?? null} href="/admin/policy/nevers" sub={words.proven} />
            <Counter label={words.examples} value={o.policy.examples_passed ?? null} href="/admin/policy/examples" sub={words.passed} />
            {o.decisions.denied !== null && <LedgerCounter ledger={o.ledger} />}
          </div>
        </div>
      )}
    </>
  );
}

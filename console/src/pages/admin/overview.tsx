// SPDX-License-Identifier: Apache-2.0
// The office at a glance: what needs somebody, then counters, then the last day.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { subscribe } from "../../lib/events";
import { isAdmin } from "../../lib/state";
import { Card, PageHead, Skeleton } from "../../ui/basic";
import { HourBars } from "../../ui/chart";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { useNewAlarms, useOpenIncidents, useRuns } from "../../ui/room-now";
import { formatNumber, Time } from "../../ui/time";

type Overview = Schema["Overview"];
type Items = NonNullable<Overview["attention"]>;

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
  alarms_new: "/admin/alarms",
  incidents_open: "/incidents",
  runs_waiting: "/admin/plans",
  drills_due: "/admin/plans",
  officers_vacant: "/reports",
  rota_gap: "/admin/policy/documents",
};

function Attention({ items }: { items: Items }) {
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

/* What the watch room wants somebody for, as far as the reader may see it. */
function useRoomItems(): Items {
  const looks = isAdmin("security") || isAdmin("audit");
  const alarms = looks ? useNewAlarms().data?.items.filter((a) => a.mode === "live").length : 0;
  const incidents = looks ? useOpenIncidents().data?.items.filter((i) => i.state === "open").length : 0;
  const runs = looks ? useRuns().data?.items.filter((r) => r.state === "waiting").length : 0;
  return ([["alarms_new", "high", alarms], ["incidents_open", "medium", incidents], ["runs_waiting", "medium", runs]] as const)
    .filter(([, , count]) => count).map(([code, severity, count]) => ({ code, severity, count }));
}

export function Overview() {
  const room = useRoomItems();
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
          <Attention items={[...(o.attention ?? []), ...room]} />
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

// SPDX-License-Identifier: Apache-2.0
// The head of the wall: how much is decided, and what stands open.
import { useEffect, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { subscribe } from "../../lib/events";
import { cx } from "../../ui/basic";
import { formatNumber } from "../../ui/time";
import { useCuts, useNewAlarms, useOpenIncidents, useRuns } from "../../ui/room-now";
import { Rates, type Series } from "./rates";

type Overview = Schema["Overview"];

function useOverview() {
  const data = useData("overview", (signal) => api("get", "/admin/overview", { signal }));
  useEffect(() => subscribe("overview", (fresh) => {
    if (fresh && typeof fresh === "object" && "people" in fresh) data.set(fresh as Overview);
  }), []);
  return data.data;
}

/* Decisions of the last ten minutes, second by second, of all gates; what is drawn already is not asked for again. */
const BEAT_MS = 2000;
const KEPT = 600;
const GATES = ["web", "db", "ssh"];

function useRates(): Series | undefined {
  const [series, setSeries] = useState<Series>();
  useEffect(() => {
    const abort = new AbortController();
    let last: Series = { at: [], allowed: [], denied: [] };
    const look = async () => {
      if (document.hidden) return;
      const now = await api("get", "/rates", { query: { step: "second", after: last.at.at(-1) }, signal: abort.signal });
      const sum = (names: string[], at: number) => names.reduce((all, name) => all + (now.series[name]?.values[at] ?? 0), 0);
      const refused = now.at.map((_, at) => sum(GATES.map((gate) => `${gate}_refused`), at));
      const all = now.at.map((_, at) => sum(GATES, at));
      last = {
        at: [...last.at, ...now.at].slice(-KEPT),
        allowed: [...last.allowed, ...all.map((n, at) => Math.max(0, n - (refused[at] ?? 0)))].slice(-KEPT),
        denied: [...last.denied, ...refused].slice(-KEPT),
      };
      setSeries(last);
    };
    const beat = () => void look().catch(() => undefined); // the next beat asks again
    beat();
    const timer = setInterval(beat, BEAT_MS);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, []);
  return series;
}

function Counter({ label, value, href, tone, sub }: { label: string; value: number | undefined; href: string; tone?: "bad" | "warn"; sub?: string }) {
  return (
    <a class={cx("room-counter", value && tone && `room-${tone}`)} href={href}>
      <span class="room-value">{value === undefined ? "—" : formatNumber(value)}</span>
      <span class="room-label">{label}{sub && <small class="block">{sub}</small>}</span>
    </a>
  );
}

export function RoomHead({ terminals, connections }: { terminals: number | undefined; connections: number | undefined }) {
  const overview = useOverview();
  const alarms = useNewAlarms().data?.items.length;
  const incidents = useOpenIncidents().data?.items.filter((i) => i.state === "open").length;
  const runs = useRuns().data?.items;
  const cuts = useCuts().data?.items.length;
  const waiting = runs?.filter((r) => r.state === "waiting").length ?? 0;
  const words = t().room.counters;
  return (
    <section class="room-head">
      <Rates series={useRates()} />
      <div class="room-counters">
        <Counter label={words.alarms} value={alarms} href="/admin/alarms" tone="bad" />
        <Counter label={words.incidents} value={incidents} href="/incidents" tone="warn" />
        <Counter label={words.runs} value={runs?.length} href="/admin/plans" tone="warn" sub={waiting > 0 ? words.waiting(waiting) : undefined} />
        <Counter label={words.cuts} value={cuts} href="/admin/cuts" tone="warn" />
        <Counter label={words.terminals} value={terminals} href="/admin/machines" />
        <Counter label={words.connections} value={connections} href="/admin/databases/connections" />
        <Counter label={words.sessions} value={overview?.sessions.live} href="/admin/sessions" />
      </div>
    </section>
  );
}

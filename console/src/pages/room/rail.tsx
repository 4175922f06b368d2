// SPDX-License-Identifier: Apache-2.0
// Beside the wall: what wants somebody, the newest first.
import { t } from "../../i18n";
import { Badge } from "../../ui/basic";
import { Alarms } from "../../ui/alarms";
import { useTitles } from "../../ui/detections";
import { Icon } from "../../ui/icon";
import { aboutKeys } from "../../ui/said";
import { Time } from "../../ui/time";
import { Severity } from "../../ui/words";
import { useNewAlarms, useOpenIncidents, useRuns } from "../../ui/room-now";
import { usePlanTitles } from "./plans";

const SHOWN = 6;
const about = (what: string | null | undefined) => (what ? `${what} · ` : "");

export function Rail() {
  const titles = useTitles();
  const plans = usePlanTitles();
  const alarms = useNewAlarms().data?.items ?? [];
  const incidents = (useOpenIncidents().data?.items ?? []).filter((i) => i.state === "open");
  const runs = useRuns().data?.items ?? [];
  const words = t().room;
  const calm = alarms.length + incidents.length + runs.length === 0;
  return (
    <aside class="rail" aria-label={words.rail.attention}>
      <Alarms few />
      {calm && <div class="note note-good"><Icon name="check" /><div class="note-text"><p>{words.rail.calm}</p></div></div>}
      {alarms.length > 0 && (
        <section aria-live="polite">
          <h2><Icon name="alert" size={16} /> {words.counters.alarms} <a href="/admin/alarms">{words.rail.all}</a></h2>
          <ul>
            {alarms.slice(0, SHOWN).map((a) => (
              <li key={a.id}>
                <a href={a.incident ? `/incidents/${a.incident}` : "/admin/alarms"}>{titles(a.detection, a.title)}</a>
                <span class="row"><Severity severity={a.severity} /> <small class="muted clip">{about(aboutKeys(a.keys))}<Time at={a.last} ago /></small></span>
              </li>
            ))}
          </ul>
        </section>
      )}
      {runs.length > 0 && (
        <section>
          <h2><Icon name="play" size={16} /> {words.plans.atWork} <a href="/admin/plans">{words.rail.all}</a></h2>
          <ul>
            {runs.slice(0, SHOWN).map((r) => (
              <li key={r.id}>
                <a href={`/admin/runs/${r.id}`}>{plans(r.plan)}</a>
                <span class="row"><Badge tone={r.state === "waiting" ? "warn" : "accent"}>{words.plans.runStates[r.state]}</Badge>{r.drill && <Badge tone="warn">{words.plans.drill}</Badge>} <small class="muted clip">{about(r.about.person ?? r.about.resource)}<Time at={r.started_at} ago /></small></span>
              </li>
            ))}
          </ul>
        </section>
      )}
      {incidents.length > 0 && (
        <section>
          <h2><Icon name="info" size={16} /> {words.counters.incidents} <a href="/incidents">{words.rail.all}</a></h2>
          <ul>
            {incidents.slice(0, SHOWN).map((i) => (
              <li key={i.id}>
                <a href={`/incidents/${i.id}`}>{titles(i.title, i.title)}</a>
                <span class="row"><Severity severity={i.severity} />{i.drill && <Badge tone="warn">{words.incidents.drill}</Badge>} <small class="muted clip">{i.roles.commander ?? words.incidents.nobody} · <Time at={i.opened_at} ago /></small></span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </aside>
  );
}

// SPDX-License-Identifier: Apache-2.0
// The roles of the program: up or down, since when, and why.
import { api } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { Badge, Card, Facts, PageHead, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { said } from "../../ui/said";
import { formatBytes, formatNumber, Time } from "../../ui/time";
import { wordIn } from "../../ui/words";

const TONES = { up: "good", starting: "warn", down: "bad" } as const;

export function Health() {
  const data = useData("health", (signal) => api("get", "/admin/health", { signal }), ["health"]);
  const words = t().health;
  const h = data.data;
  return (
    <>
      <PageHead title={words.title} lead={h && <>{words.version} {h.version} · {words.asOf} <Time at={h.at} /></>} />
      {data.error && !h ? <ErrorNote error={data.error} onRetry={data.reload} /> : !h ? <Skeleton rows={5} /> : (
        <div class="stack">
          <div class="cards">
            {h.roles.map((role) => (
              <Card key={role.name} title={<>{wordIn(words.roles, role.name)} <code class="muted">{role.name}</code></>} actions={<Badge tone={TONES[role.state]}>{words.states[role.state]}</Badge>}>
                <p class="muted">{wordIn(words.duties, role.name) === role.name ? "" : wordIn(words.duties, role.name)}</p>
                {role.message && <p class={role.state === "down" ? "bad-text" : ""}>{said(role.message)}</p>}
                <Facts items={[
                  [words.since, role.since && <Time at={role.since} ago />],
                  [words.restarts, role.restarts === undefined ? undefined : role.restarts === 0 ? words.never : formatNumber(role.restarts)],
                  [words.lastEnd, role.last_end],
                  [words.memory, role.memory_bytes ? formatBytes(role.memory_bytes) : undefined],
                  [words.pid, role.pid],
                ]} />
              </Card>
            ))}
          </div>
          {h.checks && h.checks.length > 0 && (
            <Card title={words.checks}>
              <ul class="checks">
                {h.checks.map((c) => <li key={c.name} class={c.ok ? "ok" : "bad"}><Icon name={c.ok ? "check" : "alert"} size={15} /><span>{wordIn(words.checkNames, c.name)}</span>{c.message && <span class="muted">{c.message}</span>}</li>)}
              </ul>
            </Card>
          )}
        </div>
      )}
    </>
  );
}

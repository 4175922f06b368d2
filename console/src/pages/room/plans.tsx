// SPDX-License-Identifier: Apache-2.0
// Plans: when each was drilled last, what its steps are; dry run, drill, run, edit.
import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData, useList } from "../../lib/data";
import { go } from "../../lib/router";
import { isAdmin } from "../../lib/state";
import { Badge, Button, Card, Empty, Field, PageHead, Skeleton } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { ListTable, Table } from "../../ui/table";
import { Time } from "../../ui/time";
import { said } from "../../ui/said";
import { text2, wordIn } from "../../ui/words";
import { aboutText, RunState } from "./runs";

type Plan = Schema["Plan"];
type Run = Schema["PlanRun"];
type Would = Schema["PlanDryRun"];
const FIELDS = ["person", "session", "device", "resource", "class"] as const;

const usePlans = () => useList("plans", (_, signal) => api("get", "/plans", { signal }), ["plans", "policy"]);
const titleOf = (plan: Plan): string => text2({ en: plan.title.en ?? "", zh: plan.title.zh ?? "" }, plan.name);

export function usePlanTitles(): (name: string) => string {
  const list = usePlans().data;
  return (name) => {
    const plan = list?.find((p) => p.name === name);
    return plan ? titleOf(plan) : name;
  };
}

function Drilled({ plan }: { plan: Plan }) {
  const words = t().room.plans;
  return <span class="row"><span>{plan.last_drilled_at ? <Time at={plan.last_drilled_at} ago /> : words.never}</span>{plan.drill_due && <Badge tone="warn">{words.due}</Badge>}</span>;
}
const Mode = ({ plan }: { plan: Plan }) => <Badge tone={plan.mode === "automatic" ? "accent" : "neutral"}>{t().room.plans.modes[plan.mode]}</Badge>;

function Runs({ list, empty }: { list: Run[]; empty: ComponentChildren }) {
  const words = t().room.plans;
  const titles = usePlanTitles();
  if (list.length === 0) return <>{empty}</>;
  return (
    <Table label={words.runs} rows={list} keyOf={(r) => r.id} onRow={(r) => go(`/admin/runs/${r.id}`)} rowClass={(r) => (r.state === "waiting" ? "row-pending" : undefined)} columns={[
      { key: "plan", label: words.plan, kind: "main", render: (r) => <span class="event-title">{titles(r.plan)} {r.drill && <Badge tone="warn">{words.drill}</Badge>}</span> },
      { key: "state", label: t().room.incidents.state, render: (r) => <RunState run={r} /> },
      { key: "about", label: words.target, render: (r) => aboutText(r) || "—" },
      { key: "incident", label: words.incident, render: (r) => r.incident ? <a href={`/incidents/${r.incident}`}>{t().room.incidents.number(r.incident)}</a> : "—" },
      { key: "by", label: words.by, render: (r) => r.by ?? "—" },
      { key: "at", label: words.startedAt, render: (r) => <Time at={r.started_at} ago /> },
    ]} />
  );
}

function NewPlan({ taken, onClose }: { taken: string[]; onClose: () => void }) {
  const words = t().room.plans;
  const [name, setName] = useState("");
  const bad = name !== "" && (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name) || taken.includes(name));
  return (
    <Dialog title={words.newPlan} onClose={onClose}>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); if (name && !bad) go(`/admin/plans/${name}/edit`); }}>
        <Field label={words.newName} value={name} required autoFocus maxLength={63} error={bad ? words.newNameBad : null} onInput={(e: { currentTarget: HTMLInputElement }) => setName(e.currentTarget.value)} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" disabled={!name || bad}>{words.make}</Button></div>
      </form>
    </Dialog>
  );
}

export function Plans() {
  const words = t().room.plans;
  const list = usePlans();
  const runs = useData("runs-now", (signal) => api("get", "/plan-runs", { signal }), ["plans"]);
  const [making, setMaking] = useState(false);
  return (
    <>
      <PageHead title={words.title} lead={words.lead} actions={isAdmin("security") && <Button icon="plus" onClick={() => setMaking(true)}>{words.newPlan}</Button>} />
      <div class="stack">
        {runs.data && runs.data.items.length > 0 && <Card title={words.atWork} flush><Runs list={runs.data.items} empty={null} /></Card>}
        <ListTable list={list} label={words.title} keyOf={(p) => p.name} onRow={(p) => go(`/admin/plans/${p.name}`)} empty={<Empty icon="play" title={words.none} />} columns={[
          { key: "plan", label: words.plan, kind: "main", render: (p) => <span class="event-title">{titleOf(p)}<small class="muted block"><code class="plain">{p.name}</code></small></span> },
          { key: "mode", label: words.mode, render: (p) => <Mode plan={p} /> },
          { key: "steps", label: words.steps, kind: "number", render: (p) => p.steps.length },
          { key: "drilled", label: words.drilled, render: (p) => <Drilled plan={p} /> },
          { key: "ran", label: words.ran, render: (p) => p.last_run_at ? <Time at={p.last_run_at} ago /> : <span class="muted">{words.never}</span> },
        ]} />
      </div>
      {making && <NewPlan taken={list.data?.map((p) => p.name) ?? []} onClose={() => setMaking(false)} />}
    </>
  );
}

/* ---- one plan ---- */

type Way = "dry" | "drill" | "run";

function Start({ plan, way, onClose }: { plan: Plan; way: Way; onClose: () => void }) {
  const words = t().room.plans;
  const id = useId();
  const [about, setAbout] = useState<Record<string, string>>({});
  const [reason, setReason] = useState("");
  const [would, setWould] = useState<Would>();
  const act = useAction();
  const title = { dry: words.dryTitle, drill: words.drillTitle, run: words.runTitle }[way](titleOf(plan));
  const start = () => act.run(async () => {
    const facts = Object.fromEntries(FIELDS.filter((f) => about[f]?.trim()).map((f) => [f, (about[f] ?? "").trim()]));
    const made = await api("post", "/plans/{name}/run", { path: { name: plan.name }, body: { ...facts, reason: reason.trim() || undefined, drill: way === "drill", dry_run: way === "dry" } }) as unknown as Would & { id: string };
    if (way === "dry") setWould(made);
    else go(`/admin/runs/${made.id}`);
  });
  return (
    <Dialog title={title} onClose={onClose} wide={way === "dry"}>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void start(); }}>
        <p>{{ dry: words.dryText, drill: words.drillText, run: words.runText }[way]}</p>
        <fieldset class="stack-small"><legend class="field-label">{words.about}</legend>
          <div class="filter-grid">
            {FIELDS.map((f) => <Field key={f} label={words.fields[f]} value={about[f] ?? ""} maxLength={63} autocomplete="off" onInput={(e: { currentTarget: HTMLInputElement }) => setAbout({ ...about, [f]: e.currentTarget.value })} />)}
          </div>
        </fieldset>
        {way !== "dry" && (
          <div class="field">
            <label for={id}>{words.reason}</label>
            <textarea id={id} class="input" rows={2} maxLength={500} required={way === "run"} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />
          </div>
        )}
        <ErrorNote error={act.error} />
        {would && (
          <ol class="plan-steps">
            {would.steps.map((s) => (
              <li key={s.name}><span class="step-mark"><Icon name={s.confirm ? "hand" : "right"} size={14} /></span>
                <div><p><b>{wordIn(words.doWords, s.do)}</b> <code class="plain">{s.name}</code></p><p class="muted lines">{said(s.would)}</p></div>
                <span class="step-end">{s.confirm && <Badge tone="warn" icon="hand">{words.confirms}</Badge>}</span></li>
            ))}
          </ol>
        )}
        <div class="row row-end"><Button onClick={onClose}>{t().common.close}</Button>
          <Button type="submit" tone={way === "run" ? "kill" : "primary"} busy={act.busy}>{{ dry: words.dryRun, drill: words.drill, run: words.run }[way]}</Button></div>
      </form>
    </Dialog>
  );
}

export function PlanPage({ params }: { params: Record<string, string> }) {
  const words = t().room.plans;
  const name = params.name ?? "";
  const list = usePlans();
  const runs = useData(`runs:${name}`, (signal) => api("get", "/plan-runs", { query: { all: "1" }, signal }), ["plans"]);
  const [way, setWay] = useState<Way>();
  const plan = list.data?.find((p) => p.name === name);
  if (list.error && !list.data) return <><PageHead title={words.plan} /><ErrorNote error={list.error} onRetry={list.reload} /></>;
  if (!list.data) return <><PageHead title={words.plan} /><Skeleton rows={6} /></>;
  if (!plan) return <><PageHead title={words.plan} /><Empty icon="play" title={t().errors.codes.not_found.title}><a href="/admin/plans">{words.all}</a></Empty></>;
  const security = isAdmin("security");
  return (
    <>
      <PageHead title={titleOf(plan)} lead={<span class="row"><Mode plan={plan} /> <span>{words.drilled}:</span> <Drilled plan={plan} /></span>} actions={security && (
        <>
          <Button icon="search" onClick={() => setWay("dry")}>{words.dryRun}</Button>
          <Button icon="refresh" onClick={() => setWay("drill")}>{words.drill}</Button>
          <Button icon="edit" onClick={() => go(`/admin/plans/${plan.name}/edit`)}>{words.edit}</Button>
          <Button tone="kill" icon="play" onClick={() => setWay("run")}>{words.run}</Button>
        </>
      )} />
      <div class="stack">
        <Card title={words.steps}>
          <ol class="plan-steps">
            {plan.steps.map((s, at) => (
              <li key={s.name}><span class="step-mark">{at + 1}</span><div><p><b>{wordIn(words.doWords, s.do)}</b> <code class="plain">{s.name}</code></p></div>
                <span class="step-end">{s.confirm && <Badge tone="warn" icon="hand">{words.confirms}</Badge>}</span></li>
            ))}
          </ol>
        </Card>
        <Card title={words.runs} flush>
          {runs.error && !runs.data ? <ErrorNote error={runs.error} onRetry={runs.reload} /> : !runs.data ? <Skeleton rows={3} />
            : <Runs list={runs.data.items.filter((r) => r.plan === name)} empty={<p class="muted pad">{words.noRuns}</p>} />}
        </Card>
      </div>
      {way && <Start plan={plan} way={way} onClose={() => setWay(undefined)} />}
    </>
  );
}

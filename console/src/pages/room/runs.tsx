// SPDX-License-Identifier: Apache-2.0
// A run of a plan: how far it is, what waits for a person, and its report.
import { useId, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData } from "../../lib/data";
import { isAdmin, toast } from "../../lib/state";
import { Badge, Button, Card, cx, Facts, PageHead, Skeleton } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon, type IconName } from "../../ui/icon";
import { useCuts } from "../../ui/room-now";
import { formatNumber, Time } from "../../ui/time";
import { said, saidBy } from "../../ui/said";
import { wordIn } from "../../ui/words";
import { usePlanTitles } from "./plans";

type Run = Schema["PlanRun"];
type Report = Schema["PlanReport"];
type Step = Report["steps"][number];

const TONES = { waiting: "warn", running: "accent", done: "good", failed: "bad", stopped: "neutral" } as const;
export function RunState({ run }: { run: Run }) {
  return <Badge tone={TONES[run.state]}>{t().room.plans.runStates[run.state]}</Badge>;
}
const STEP_ICONS: Record<Step["state"], IconName> = { pending: "more", waiting: "hand", running: "refresh", done: "check", failed: "alert", skipped: "minus" };
const isOver = (run: Run) => run.state === "done" || run.state === "failed" || run.state === "stopped";

/* "3.2 ms", "1.4 s", "12 min" */
export function formatTook(us: number): string {
  if (us < 1_000_000) return `${formatNumber(Math.round(us / 100) / 10)} ms`;
  const seconds = us / 1_000_000;
  return seconds < 120 ? `${formatNumber(Math.round(seconds * 10) / 10)} s` : `${formatNumber(Math.round(seconds / 60))} min`;
}
export const aboutText = (run: Run): string =>
  Object.values(run.about).filter((value): value is string => typeof value === "string" && value !== "").join(" · ");

function Stop({ run, onClose, onDone }: { run: Report; onClose: () => void; onDone: () => void }) {
  const words = t().room.plans;
  const id = useId();
  const [reason, setReason] = useState("");
  const [undo, setUndo] = useState(isOver(run));
  const act = useAction();
  const stop = () => act.run(async () => {
    await api("post", "/plan-runs/{id}/stop", { path: { id: run.id }, body: { reason: reason.trim(), undo } });
    toast(isOver(run) ? t().room.cuts.undone : words.stopped);
    onDone();
    onClose();
  });
  return (
    <Dialog title={isOver(run) ? words.undo : words.stopTitle} onClose={onClose}>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void stop(); }}>
        {!isOver(run) && <p>{words.stopText}</p>}
        <div class="field">
          <label for={id}>{words.reason}</label>
          <textarea id={id} class="input" rows={2} required maxLength={500} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />
        </div>
        {!isOver(run) && <label class="check"><input type="checkbox" checked={undo} onChange={(e) => setUndo(e.currentTarget.checked)} /> {words.undo}</label>}
        <ErrorNote error={act.error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="danger" busy={act.busy}>{isOver(run) ? words.undo : words.stop}</Button></div>
      </form>
    </Dialog>
  );
}

function Steps({ report, busy, onConfirm }: { report: Report; busy: boolean; onConfirm?: (step: number) => void }) {
  const words = t().room.plans;
  return (
    <ol class="plan-steps">
      {report.steps.map((s) => (
        <li key={s.number} class={`step-${s.state}`}>
          <span class="step-mark"><Icon name={STEP_ICONS[s.state]} size={14} label={words.stepStates[s.state]} /></span>
          <div>
            <p><b>{wordIn(words.doWords, s.do)}</b> <code class="plain">{s.name}</code></p>
            {s.note && <p class="muted lines">{said(s.note)}</p>}
            {(s.by || s.cut) && <p class="muted lines">{s.by && `${words.by} ${s.by}`} {s.cut && <a href="/admin/cuts">{t().room.incidents.kinds.cut} {s.cut}</a>}</p>}
          </div>
          <span class="step-end">
            {s.state === "waiting" && s.confirm && onConfirm
              ? <Button small tone="primary" busy={busy} onClick={() => onConfirm(s.number)}>{words.confirm}</Button>
              : s.state === "done" || s.state === "failed" ? <small class="muted">{words.after} {formatTook(s.after_us)} · {words.took} {formatTook(s.took_us)}</small>
              : <small class="muted">{words.stepStates[s.state]}</small>}
          </span>
        </li>
      ))}
    </ol>
  );
}

/* The run with what one may do to it; compact inside an incident. */
export function RunProgress({ id, compact, onChange }: { id: string; compact?: boolean; onChange?: () => void }) {
  const words = t().room.plans;
  const data = useData(`run:${id}`, (signal) => api("get", "/plan-runs/{id}", { path: { id }, signal }), ["plans"]);
  const plans = usePlanTitles();
  const cuts = useCuts();
  const [stopping, setStopping] = useState(false);
  const act = useAction();
  const run = data.data;
  if (data.error && !run) return <ErrorNote error={data.error} onRetry={data.reload} />;
  if (!run) return <Skeleton rows={3} />;
  const changed = () => { data.reload(); onChange?.(); };
  const confirm = (step?: number) => void act.run(async () => {
    await api("post", "/plan-runs/{id}/confirm", { path: { id }, body: step === undefined ? {} : { step } });
    toast(words.confirmed);
    changed();
  });
  const security = isAdmin("security");
  const over = run.steps.filter((s) => s.state === "done" || s.state === "failed" || s.state === "skipped").length;
  return (
    <div class={cx("run", compact && "run-compact")}>
      <p class="row">
        {compact && <a href={`/admin/runs/${run.id}`}><b>{plans(run.plan)}</b></a>}
        <RunState run={run} />{run.drill && <Badge tone="warn">{words.drill}</Badge>}
        <small class="muted">{words.progress(over, run.steps.length)} · {aboutText(run)}</small>
      </p>
      {run.why && <p class="muted lines">{said(run.why)}</p>}
      <progress max={run.steps.length} value={over} aria-label={words.progress(over, run.steps.length)} />
      <Steps report={run} busy={act.busy} onConfirm={isOver(run) ? undefined : confirm} />
      <ErrorNote error={act.error} />
      <p class="row">
        {run.state === "waiting" && !run.steps.some((s) => s.state === "waiting" && s.confirm) && <Button small tone="primary" busy={act.busy} onClick={() => confirm()}>{words.confirmRun}</Button>}
        {security && !isOver(run) && <Button small tone="danger" onClick={() => setStopping(true)}>{words.stop}</Button>}
        {security && isOver(run) && run.steps.some((s) => s.cut && cuts.data?.items.some((c) => c.id === s.cut)) && <Button small onClick={() => setStopping(true)}>{words.undo}</Button>}
      </p>
      {stopping && <Stop run={run} onClose={() => setStopping(false)} onDone={changed} />}
    </div>
  );
}

export function RunPage({ params }: { params: Record<string, string> }) {
  const words = t().room.plans;
  const id = params.id ?? "";
  const data = useData(`run:${id}`, (signal) => api("get", "/plan-runs/{id}", { path: { id }, signal }), ["plans"]);
  const plans = usePlanTitles();
  const run = data.data;
  if (data.error && !run) return <><PageHead title={words.report} /><ErrorNote error={data.error} onRetry={data.reload} /></>;
  if (!run) return <><PageHead title={words.report} /><Skeleton rows={6} /></>;
  return (
    <>
      <PageHead title={(run.drill ? words.drillOf : words.reportOf)(plans(run.plan))} lead={<>{aboutText(run) && `${aboutText(run)} · `}<Time at={run.started_at} ago /></>} />
      <div class="stack">
        {run.drill && <div class="note note-warn"><Icon name="info" /><div class="note-text"><strong>{words.drill}</strong><p>{words.drillText}</p></div></div>}
        <div class="room-figures">
          {run.first_cut_us !== null && <p><b>{formatTook(run.first_cut_us)}</b> {run.drill ? words.firstWouldCut : words.firstCut}</p>}
        </div>
        <Card>
          <Facts wide items={[
            [words.plan, <a href={`/admin/plans/${run.plan}`}>{run.plan}</a>],
            [words.target, aboutText(run)],
            [words.incident, run.incident && <a href={`/incidents/${run.incident}`}>{t().room.incidents.number(run.incident)}</a>],
            [words.by, run.by && saidBy(run.by)],
            [words.startedAt, <Time at={run.started_at} />],
            [words.endedAt, run.ended_at && <Time at={run.ended_at} />],
          ]} />
        </Card>
        <Card title={words.steps}><RunProgress id={id} onChange={data.reload} /></Card>
      </div>
    </>
  );
}

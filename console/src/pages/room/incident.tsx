// SPDX-License-Identifier: Apache-2.0
// One incident: what happened in order, who works on it, what is to be done, what plans do, whom it is about.
import { useId, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData } from "../../lib/data";
import { isAdmin, me, toast } from "../../lib/state";
import { Badge, Button, Card, Field, PageHead, Select, Skeleton } from "../../ui/basic";
import { CutDialog, type About } from "../../ui/cut";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Time, useLeft } from "../../ui/time";
import { said, saidBy } from "../../ui/said";
import { Severity, text2 } from "../../ui/words";
import { cutName } from "./cuts";
import { IncidentState, SeveritySelect, useIncidentTitle } from "./incidents";
import { ReportsOf } from "./reports";
import { RunProgress } from "./runs";
import { Timeline } from "./timeline";

type Whole = Schema["WholeIncident"];
type Set = (next: Whole) => void;
const ROLES = ["commander", "scribe", "liaison"] as const;
type RoleWord = (typeof ROLES)[number];

const looks = () => isAdmin("security") || isAdmin("audit");
const works = (i: Whole) => isAdmin("security") || ROLES.some((r) => i.roles[r] && i.roles[r] === me.value?.person.name);

/* A dialog that asks for one text and does one thing with it. */
function Ask({ title, text, label, action, value = "", multi, mode, onClose, onYes }: {
  title: string; text?: string; label: string; action: string; value?: string; multi?: boolean; mode?: "numeric"; onClose: () => void; onYes: (text: string) => Promise<void>;
}) {
  const id = useId();
  const [given, setGiven] = useState(value);
  const { busy, error, run } = useAction();
  return (
    <Dialog title={title} onClose={onClose}>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void run(() => onYes(given.trim())).then((ok) => ok && onClose()); }}>
        {text && <p>{text}</p>}
        {multi ? (
          <div class="field"><label for={id}>{label}</label><textarea id={id} class="input" rows={7} required maxLength={4000} value={given} onInput={(e) => setGiven(e.currentTarget.value)} /></div>
        ) : <Field label={label} value={given} required autoFocus maxLength={200} inputMode={mode} onInput={(e: { currentTarget: HTMLInputElement }) => setGiven(e.currentTarget.value)} />}
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{action}</Button></div>
      </form>
    </Dialog>
  );
}

function Comment({ incident, set }: { incident: Whole; set: Set }) {
  const words = t().room.incidents;
  const id = useId();
  const [text, setText] = useState("");
  const { busy, error, run } = useAction();
  const say = () => run(async () => {
    set(await api("post", "/incidents/{id}/comment", { path: { id: incident.id }, body: { text: text.trim() } }));
    setText("");
  });
  return (
    <form class="stack-small" onSubmit={(event) => { event.preventDefault(); if (text.trim()) void say(); }}>
      <div class="field">
        <label for={id}>{words.comment}</label>
        <textarea id={id} class="input" rows={2} maxLength={4000} value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <p class="hint">{words.commentHint}</p>
      </div>
      <ErrorNote error={error} />
      <div class="row row-end"><Button type="submit" busy={busy} disabled={!text.trim()}>{words.say}</Button></div>
    </form>
  );
}

function Roles({ incident, set, may }: { incident: Whole; set: Set; may: boolean }) {
  const words = t().room.incidents;
  const [changing, setChanging] = useState<RoleWord>();
  return (
    <Card title={words.people}>
      <dl class="role-rows">
        {ROLES.map((r) => (
          <div key={r}><dt>{words.roles[r]}</dt><dd>{incident.roles[r] ? <b>{incident.roles[r]}</b> : <Badge tone="warn">{words.nobody}</Badge>}</dd>
            {may && <dd><Button small tone="quiet" aria-label={`${words.change}: ${words.roles[r]}`} onClick={() => setChanging(r)}>{words.change}</Button></dd>}</div>
        ))}
      </dl>
      {changing && <Ask title={words.roleTitle(words.roles[changing])} label={words.person} action={t().common.save} value={incident.roles[changing] ?? ""} onClose={() => setChanging(undefined)}
        onYes={async (person) => set(await api("post", "/incidents/{id}/role", { path: { id: incident.id }, body: { role: changing, person } }))} />}
    </Card>
  );
}

const WITHIN_S = ["0", "3600", "14400", "86400", "259200", "604800"] as const;

function Due({ at, done }: { at: string; done: boolean }) {
  const words = t().room.incidents;
  const left = useLeft(done ? null : at) ?? 0;
  return left < 0 ? <Badge tone="bad" icon="alert">{words.overdue} <Time at={at} ago /></Badge> : <>{words.due} <Time at={at} />{!done && <> (<Time at={at} ago />)</>}</>;
}

function Tasks({ incident, set, may }: { incident: Whole; set: Set; may: boolean }) {
  const words = t().room.incidents;
  const [text, setText] = useState("");
  const [whose, setWhose] = useState("");
  const [within, setWithin] = useState<string>(WITHIN_S[0]);
  const people = useId();
  const { busy, error, run } = useAction();
  const add = () => run(async () => {
    set(await api("post", "/incidents/{id}/task", { path: { id: incident.id }, body: { text: text.trim(), whose: whose.trim() || undefined, within_s: Number(within) || undefined } }));
    setText("");
  });
  const done = (number: number) => void run(async () => set(await api("post", "/incidents/{id}/tasks/{number}/done", { path: { id: incident.id, number }, body: {} })));
  return (
    <Card title={words.tasks}>
      {incident.tasks.length === 0 ? <p class="muted">{words.noTasks}</p> : (
        <ul class="task-list">
          {incident.tasks.map((task) => (
            <li key={task.number} class={task.done_at ? "done-task" : ""}>
              <input type="checkbox" checked={task.done_at !== null} disabled={!may || task.done_at !== null || busy} aria-label={words.markDone(said(task.text))} onChange={() => done(task.number)} />
              <span>{said(task.text)}<small class="muted block">{task.whose ?? words.nobody}{task.due_at && <> · <Due at={task.due_at} done={task.done_at !== null} /></>}{task.done_at && <> · {words.done(task.done_by ?? "")} <Time at={task.done_at} ago /></>}</small></span>
            </li>
          ))}
        </ul>
      )}
      <ErrorNote error={error} />
      {may && (
        <form class="task-form" onSubmit={(event) => { event.preventDefault(); if (text.trim()) void add(); }}>
          <Field label={words.task} value={text} maxLength={200} onInput={(e: { currentTarget: HTMLInputElement }) => setText(e.currentTarget.value)} />
          <Field label={words.whose} value={whose} maxLength={63} autocomplete="off" list={people} hint={words.whoseHint} onInput={(e: { currentTarget: HTMLInputElement }) => setWhose(e.currentTarget.value)} />
          <datalist id={people}>{[...new Set(ROLES.map((r) => incident.roles[r]))].map((name) => name && <option key={name} value={name} />)}</datalist>
          <Select label={words.within} value={within} onChange={setWithin} options={WITHIN_S.map((value) => ({ value, label: words.withins[value] }))} />
          <Button type="submit" small icon="plus" busy={busy} disabled={!text.trim()}>{words.addTask}</Button>
        </form>
      )}
    </Card>
  );
}

const SESSIONS_SHOWN = 20;
const PEOPLE_ASKED = 3;

/* Sessions that the timeline names, with what was recorded of them on terminals; and where more would be. */
function Sessions({ incident }: { incident: Whole }) {
  const words = t().room.incidents;
  const all = [...new Set(incident.timeline.map((n) => n.session).filter((s): s is string => Boolean(s)))];
  const people = [...new Set([...incident.runs.map((r) => r.about.person), incident.about].filter((p): p is string => Boolean(p)))];
  const [whole, setWhole] = useState(false);
  const [cutting, setCutting] = useState<About>();
  const ids = whole ? all : all.slice(0, SESSIONS_SHOWN);
  const recordings = useData(`incident-recordings:${people.join()}`, async (signal) => {
    const tried = await Promise.allSettled(people.slice(0, PEOPLE_ASKED).map((person) => api("get", "/ssh/recordings", { query: { person, limit: 50 }, signal })));
    const pages = tried.map((one) => (one.status === "fulfilled" ? one.value : undefined));
    const failed = tried.find((one) => one.status === "rejected");
    return { items: pages.flatMap((page) => page?.items ?? []), more: people.filter((_, at) => !pages[at] || pages[at]?.next), error: failed?.reason as unknown };
  });
  return (
    <Card title={words.sessions}>
      {ids.length === 0 ? <p class="muted">{words.noSessions}</p> : (
        <ul class="entry-list">
          {ids.map((id) => (
            <li key={id} class="session-line">
              <span><a href={`/admin/sessions/${id}`}>{words.record}</a> <code class="plain">{id}</code></span>
              {recordings.data?.items.filter((r) => r.session === id).map((r) => <a key={r.id} href={r.live ? `/watch/${r.id}` : `/recordings/${r.id}`}><Icon name="play" size={13} /> {words.recordings} {r.resource}</a>)}
              {isAdmin("security") && <Button small tone="danger" onClick={() => setCutting({ session: id, person: recordings.data?.items.find((r) => r.session === id)?.person })}>{words.cutSession}</Button>}
            </li>
          ))}
        </ul>
      )}
      {ids.length < all.length && <Button small tone="quiet" onClick={() => setWhole(true)}>{words.allSessions(all.length)}</Button>}
      {incident.timeline_before && <p class="muted">{words.olderSessions}</p>}
      <ErrorNote error={recordings.data?.error ?? recordings.error} onRetry={recordings.reload} />
      {recordings.data && recordings.data.more.length > 0 && (
        <p class="muted">{words.moreRecordings} {recordings.data.more.map((person) => <a key={person} href={`/admin/machines/recordings?person=${encodeURIComponent(person)}`}>{words.recordingsOf(person)} </a>)}</p>
      )}
      {cutting && <CutDialog about={cutting} onClose={() => setCutting(undefined)} />}
    </Card>
  );
}

function Told({ id }: { id: string }) {
  const words = t().room.incidents;
  const list = useData("incident-notices", (signal) => api("get", "/admin/notices", { signal }), ["notices", "health"]);
  const mine = list.data?.items.filter((n) => n.incident === id) ?? [];
  return (
    <Card title={words.notices}>
      {mine.length === 0 ? <p class="muted">{words.noNotices}</p> : (
        <ul class="entry-list">
          {mine.map((n) => (
            <li key={n.id}>
              <a href={`/admin/notices?open=${n.id}`}>{text2(n.titles, n.title)}</a>
              <span class={n.counts.not_reached > 0 ? "bad-text" : undefined}>{t().notices.countText(n.counts.people, n.counts.handed_over, n.counts.not_reached, n.counts.waiting)}</span>
              <small class="muted">{n.audience} · {t().notices.readDone} {n.counts.acknowledged} · <Time at={n.sent_at} ago /></small>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function CutsOf({ id }: { id: string }) {
  const words = t().room;
  const list = useData("incident-cuts", (signal) => api("get", "/cuts", { query: { all: "1" }, signal }), ["cuts"]);
  const mine = list.data?.items.filter((c) => c.incident === id) ?? [];
  if (mine.length === 0) return null;
  return (
    <Card title={words.incidents.cuts}>
      <ul class="entry-list">
        {mine.map((c) => <li key={c.id}><a href="/admin/cuts">{cutName(c)}</a> <Badge tone={c.ended_at ? "neutral" : "bad"}>{c.ended_at ? words.cuts.ended : words.cuts.effects[c.effect]}</Badge> <small class="muted"><Time at={c.since_at} ago /></small></li>)}
      </ul>
    </Card>
  );
}

function Attach({ incident, set, onClose }: { incident: Whole; set: Set; onClose: () => void }) {
  const words = t().room.incidents;
  return <Ask title={words.attach} label={words.entryNumber} action={words.say} mode="numeric" onClose={onClose}
    onYes={async (entry) => set(await api("post", "/incidents/{id}/evidence", { path: { id: incident.id }, body: { entry: Number(entry) } }))} />;
}

export function IncidentPage({ params }: { params: Record<string, string> }) {
  const words = t().room.incidents;
  const id = params.id ?? "";
  const data = useData(`incident:${id}`, (signal) => api("get", "/incidents/{id}", { path: { id }, signal }), ["incidents", "plans"]);
  const titleOf = useIncidentTitle();
  const [asking, setAsking] = useState<"merge" | "close" | "attach">();
  const act = useAction();
  const i = data.data;
  if (data.error && !i) return <><PageHead title={words.number(id)} /><ErrorNote error={data.error} onRetry={data.reload} /></>;
  if (!i) return <><PageHead title={words.number(id)} /><Skeleton rows={8} /></>;
  const may = works(i) && i.state === "open";
  const set = data.set;
  return (
    <>
      <PageHead title={titleOf(i)} lead={
        <span class="row">{words.number(i.id)} <Severity severity={i.severity} /> <IncidentState incident={i} />{i.drill && <Badge tone="warn">{words.drill}</Badge>}
          <span class="muted">{words.openedBy(saidBy(i.opened_by ?? ""))} <Time at={i.opened_at} ago /></span></span>
      } actions={may && (
        <>
          <Button icon="ledger" onClick={() => setAsking("attach")}>{words.attach}</Button>
          <Button icon="link" onClick={() => setAsking("merge")}>{words.merge}</Button>
          <Button tone="primary" icon="check" onClick={() => setAsking("close")}>{words.close}</Button>
        </>
      )} />
      <ErrorNote error={act.error} />
      {i.merged_into && <div class="note note-warn"><Icon name="link" /><div class="note-text"><p>{words.mergedInto} <a href={`/incidents/${i.merged_into}`}>{words.number(i.merged_into)}</a></p></div></div>}
      {i.review && <Card title={words.review}><p class="lines">{i.review}</p><p class="muted"><Time at={i.closed_at} /></p></Card>}
      <div class="incident">
        <div class="stack">
          {i.runs.map((run) => looks() ? <Card key={run.id}><RunProgress id={run.id} compact onChange={data.reload} /></Card> : null)}
          <Card title={words.timeline}>
            <Timeline incident={i} />
            {may && <Comment incident={i} set={set} />}
          </Card>
        </div>
        <div class="stack">
          {looks() && !i.drill && <ReportsOf incident={i.id} may={may} />}
          <Roles incident={i} set={set} may={may} />
          <Tasks incident={i} set={set} may={may} />
          {looks() && <Sessions incident={i} />}
          {looks() && <CutsOf id={i.id} />}
          {looks() && <Told id={i.id} />}
          {may && <Card><SeveritySelect value={i.severity} onChange={(severity) => void act.run(async () => set(await api("post", "/incidents/{id}/severity", { path: { id }, body: { severity } })))} /></Card>}
        </div>
      </div>
      {asking === "attach" && <Attach incident={i} set={set} onClose={() => setAsking(undefined)} />}
      {asking === "merge" && <Ask title={words.mergeTitle} text={words.mergeText} label={words.into} action={words.mergeGo} mode="numeric" onClose={() => setAsking(undefined)}
        onYes={async (into) => { await api("post", "/incidents/{id}/merge", { path: { id }, body: { into: Number(into) } }); data.reload(); }} />}
      {asking === "close" && <Ask title={words.closeTitle} text={words.closeText} label={words.review} action={words.close} multi onClose={() => setAsking(undefined)}
        onYes={async (review) => { set(await api("post", "/incidents/{id}/close", { path: { id }, body: { review } })); toast(words.closed); }} />}
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// What waits for other people's agreement: the exact bytes, what they would do, and the answer.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData, useList } from "../../lib/data";
import { go, place, setQuery } from "../../lib/router";
import { toast } from "../../lib/state";
import { Badge, Button, Card, Digest, Empty, Facts, PageHead, Segmented, Skeleton } from "../../ui/basic";
import { Confirm, Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { ListTable } from "../../ui/table";
import { Time } from "../../ui/time";
import { said } from "../../ui/said";
import { ClassBadge, wordIn } from "../../ui/words";

type Approval = Schema["Approval"];
type Keep = Schema["Keep"];
type Ask = "approve" | "refuse" | "withdraw";
interface Relation { name: string; kind: string; why: string; rows: number; bytes: number }
interface Dependants { relations?: Relation[]; foreign_keys?: number; limits?: string[] }

const TONES = { waiting: "warn", approved: "good", refused: "bad", expired: "neutral", withdrawn: "neutral", used: "accent" } as const;

export const bytesText = (n: number): string => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (n >= 1024 && at < units.length - 1) {
    n /= 1024;
    at++;
  }
  return `${at === 0 ? n : n.toFixed(1)} ${units[at]}`;
};
export const spanText = (ms: number): string =>
  ms < 1000 ? `${ms} ms` : ms < 120_000 ? `${(ms / 1000).toFixed(1)} s` : ms < 7_200_000 ? t().common.minutes(Math.round(ms / 60_000)) : t().common.hours(Math.round(ms / 360_000) / 10);

const yesOf = (a: Approval) => a.votes.filter((v) => v.verdict === "approve").length;
/* Under which number the asker knows it; an undo has its statement's reference, too. */
const numberOf = (a: Approval) => (a.kind === "undo" || a.kind === "beside" ? a.id : a.reference ?? a.id);
/* Of a statement its own text: values and settings are shown with the whole. */
const headOf = (text: string | null | undefined) => (text ?? "").replace(/^-- (?:undo of keep \S+|rows of keep \S+ beside, in the database .*)\n/, "").split(/\n\n(?:VALUES|SETTINGS)\n/)[0]!.slice(0, 120);
const targetOf = (a: Approval) => a.role ?? [a.resource, a.database].filter(Boolean).join("/");

/* What would run: a statement, a command, or a shell, which somebody has to watch. */
const isShell = (a: Approval) => a.kind === "command" && (a.statement ?? a.summary) === "shell";

function Asked({ approval }: { approval: Approval }) {
  const words = t().machines;
  if (isShell(approval)) return <section><h3>{words.shellTitle}</h3><p>{words.shellText}</p></section>;
  const titles: Partial<Record<Approval["kind"], string>> = { command: words.commandTitle, undo: t().approvals.undone, beside: t().approvals.besideOf };
  return (
    <section>
      <h3>{titles[approval.kind] ?? t().approvals.statement}</h3>
      <pre class="code-block"><code>{approval.statement ?? approval.summary}</code></pre>
    </section>
  );
}

/* The connections for which it was asked, as far as the reader may watch them. */
function ToWatch({ approval }: { approval: Approval }) {
  const query = { person: approval.asker.name, resource: approval.resource ?? undefined };
  const list = useList(`to-watch:${approval.id}`, (_, signal) => api("get", "/ssh/connections", { query, signal }), ["ssh"]);
  const open = (list.data ?? []).filter((c) => c.can.watch && c.watch_needed);
  return <>{open.map((c) => <a key={c.id} class="button button-primary" href={`/watch/${c.id}`}><Icon name="eye" /> <span>{t().machines.watchShell}</span></a>)}</>;
}

function Votes({ approval }: { approval: Approval }) {
  const words = t().approvals;
  if (approval.votes.length === 0) return <span class="muted">—</span>;
  return (
    <ul class="plain-list">
      {approval.votes.map((v) => (
        <li key={v.person}>
          <Badge tone={v.verdict === "approve" ? "good" : "bad"} icon={v.verdict === "approve" ? "check" : "minus"}>{v.name} {words.verdicts[v.verdict]}</Badge>{" "}
          <span class="muted">{approval.rules.length > 1 && v.rules.length > 0 && `${words.forRules(v.rules)} · `}<Time at={v.at} ago /></span>{v.reason && <p class="hint">{v.reason}</p>}
        </li>
      ))}
    </ul>
  );
}

const KEPT_SHOWN = 8;

/* What undo will find. */
function Kept({ value }: { value: unknown }) {
  const words = t().approvals;
  const d = (value ?? {}) as Dependants;
  if (!d.relations || d.relations.length === 0) return null;
  const list = (
    <ul class="plain-list">
      {d.relations.map((r) => (
        <li key={r.name}>
          <code class="wrap">{r.name}</code>{" "}
          <span class="muted">{[r.why === "asked" ? "" : wordIn(words.whyWords, r.why), r.rows > 0 && words.relationRows(r.rows), r.bytes > 0 && bytesText(r.bytes)].filter(Boolean).join(" · ")}</span>
        </li>
      ))}
    </ul>
  );
  return (
    <section>
      <h3>{words.kept}</h3>
      {d.limits && d.limits.length > 0 && <ul class="plain-list">{d.limits.map((l) => <li key={l}><Badge tone="bad" icon="minus">{words.limit}</Badge> {l}</li>)}</ul>}
      {d.relations.length > KEPT_SHOWN ? <details><summary>{words.relations(d.relations.length)}</summary>{list}</details> : list}
      {!!d.foreign_keys && <p class="muted">{words.foreignKeys(d.foreign_keys)}</p>}
    </section>
  );
}

/* What an undo would do, as it was tried and taken back again. */
function UndoPlan({ report }: { report: Schema["UndoReport"] }) {
  const words = t().approvals;
  return (
    <section>
      <h3>{report.beside ? words.besideWould : words.undoWould}</h3>
      <ul class="plain-list">
        {report.restored?.map((name) => <li key={name}><Badge>{words.undoMade}</Badge> <code class="wrap">{name}</code></li>)}
        {report.rows?.map((one) => (
          <li key={one.relation}>
            <code class="wrap">{one.of ?? one.relation}</code>{" "}
            <span class="muted">{one.of ? words.besideRows(one.kept ?? 0) : words.undoRows(one.inserted ?? 0, one.reverted ?? 0, one.removed ?? 0, (one.differing ?? 0) - (one.reverted ?? 0))}</span>
          </li>
        ))}
        {report.told?.map((text) => <li key={text}><Badge tone="warn">{words.undoTold}</Badge> {said(text)}</li>)}
      </ul>
    </section>
  );
}

function Plan({ value }: { value: Approval["plan"] }) {
  const words = t().approvals;
  if (!value) return null;
  if (!("touches" in value)) return <UndoPlan report={value} />;
  return (
    <>
      {value.touches.length > 0 && (
        <section>
          <h3>{words.touches}</h3>
          <ul class="plain-list">
            {value.touches.map((one) => (
              <li key={`${one.kind} ${one.name}`}>
                <Badge>{wordIn(words.touchKinds, one.kind)}</Badge> <code>{one.name}</code> <span class="muted">{wordIn(words.touchWhy, one.why)}{one.rows > 0 && ` · ${words.relationRows(one.rows)}`}</span>
              </li>
            ))}
            {value.left_out > 0 && <li class="muted">{words.leftOut(value.left_out)}</li>}
          </ul>
        </section>
      )}
      <section>
        <h3>{words.plan}</h3>
        {value.why_not && <p class="hint"><Badge tone="warn">{words.noPlan}</Badge> {value.why_not}</p>}
        {value.unheld && <p class="hint"><Badge tone="warn">{words.unheld}</Badge> {value.unheld}</p>}
        {value.lines.length > 0 ? <pre class="code-block"><code>{value.lines.join("\n")}</code></pre> : !value.why_not && <p class="muted">{words.planless}</p>}
      </section>
    </>
  );
}

/* Where several rules ask, the people of each of them have to agree. */
function Agreed({ approval: a }: { approval: Approval }) {
  const words = t().approvals;
  if (a.rules.length < 2) return <strong>{words.ofN(yesOf(a), a.needed)}</strong>;
  return (
    <ul class="plain-list">
      {a.rules.map((one) => (
        <li key={one.rule ?? ""}><strong>{words.ofN(Math.min(one.agreed, one.needed), one.needed)}</strong> <span class="muted">{one.rule}</span></li>
      ))}
    </ul>
  );
}

const inShort = (a: Approval) => a.rules.map((one) => t().approvals.ofN(a.rules.length < 2 ? yesOf(a) : Math.min(one.agreed, one.needed), one.needed)).join(" + ");

function Details({ id, onClose }: { id: string; onClose: () => void }) {
  const data = useData(`approval:${id}`, (signal) => api("get", "/approvals/{id}", { path: { id }, signal }), ["approvals"]);
  const [ask, setAsk] = useState<Ask>();
  const words = t().approvals;
  const a = data.data;
  const destroys = a && a.kind === "statement";
  return (
    <Dialog title={a ? <>{words.kinds[a.kind]} · <span class="nowrap">{numberOf(a)}</span></> : words.title} onClose={onClose} side>
      {data.error ? <ErrorNote error={data.error} onRetry={data.reload} /> : !a ? <Skeleton rows={6} /> : (
        <div class="stack">
          <div class="row">
            <Badge tone={TONES[a.state]}>{words.states[a.state]}</Badge>
            <Agreed approval={a} />
          </div>
          <Asked approval={a} />
          {isShell(a) && a.state !== "refused" && <div class="row"><ToWatch approval={a} /></div>}
          <Facts items={[
            [words.by, a.asker.display_name ?? a.asker.name],
            [words.target, targetOf(a)],
            [words.action, a.role ? null : wordIn(t().words.action, a.action)],
            [words.dataClass, a.class && <ClassBadge name={a.class} />],
            [words.reason, a.reason],
            [words.ticket, a.ticket],
            [words.duration, a.duration_s ? spanText(a.duration_s * 1000) : null],
            [words.rows, destroys ? (a.plan && "touches" in a.plan && a.plan.why_not ? words.uncounted(a.estimated_rows.toLocaleString(), a.plan.why_not) : a.estimated_rows.toLocaleString()) : null],
            [words.undoKeeps, a.keep ? words.undoKept(bytesText(a.keep.bytes), spanText(a.keep.duration_ms), spanText(a.keep.undo_max_ms)) : destroys ? (a.state === "waiting" && !a.dependants ? words.undoNotYet : words.noUndo) : null],
            [words.rule, a.rules.length < 2 ? a.rule : null],
            [words.hash, <Digest text={a.sha256} head={16} />],
            [words.asked, <Time at={a.created_at} ago />],
            [words.expires, a.state === "waiting" ? <Time at={a.expires_at} ago /> : null],
            [words.answers, <Votes approval={a} />],
          ]} />
          <Plan value={a.plan} />
          <Kept value={a.dependants} />
          {a.state === "waiting" && !a.can.approve && a.can.why_not && <p class="hint">{a.can.why_not}</p>}
          {(a.can.approve || a.can.withdraw) && (
            <div class="row dialog-foot">
              {a.can.approve && <Button tone="primary" icon="check" onClick={() => setAsk("approve")}>{words.approve}</Button>}
              {a.can.approve && <Button tone="danger" icon="minus" onClick={() => setAsk("refuse")}>{words.refuse}</Button>}
              {a.can.withdraw && <Button onClick={() => setAsk("withdraw")}>{words.withdraw}</Button>}
            </div>
          )}
        </div>
      )}
      {ask && a && (
        <Confirm title={words[`${ask}Title`]} text={<p>{words[`${ask}Text`]}</p>} action={words[ask]} why={ask !== "withdraw"} onClose={() => setAsk(undefined)}
          onYes={async (why) => {
            const at = { path: { id: a.id }, body: { sha256: a.sha256, reason: why || undefined } };
            data.set(ask === "approve" ? await api("post", "/approvals/{id}/approve", at)
              : ask === "refuse" ? await api("post", "/approvals/{id}/refuse", at)
              : await api("post", "/approvals/{id}/withdraw", { path: { id: a.id }, body: {} }));
            toast(words.done[ask]);
          }} />
      )}
    </Dialog>
  );
}

const KEEP_TONES = { kept: "good", undone: "accent", "undo-failed": "bad", "undone-in-part": "bad", undoing: "accent", "undo-unknown": "bad", gone: "neutral" } as const;

/* Where its rows are, or why they are not. */
function Beside({ keep }: { keep: Keep }) {
  const words = t().approvals;
  const b = keep.beside;
  if (!b) return null;
  return (
    <small class="muted block">
      {words.besideStates[b.state]}{b.state === "done" && b.report?.beside && <> <code class="plain wrap">{b.report.beside}</code></>}
      {b.state !== "done" && b.report?.why && <> {said(b.report.why)}</>}
    </small>
  );
}

/* Into another database only where the one that they were in is gone. */
function AskBeside({ keep, onClose, onDone }: { keep: Keep; onClose: () => void; onDone: () => void }) {
  const [into, setInto] = useState("");
  const words = t().approvals;
  const text = (
    <div class="stack">
      <p>{words.besideText}</p>
      <div class="field">
        <label for="beside-into">{words.besideInto}</label>
        <input id="beside-into" class="input" maxLength={63} placeholder={keep.database ?? ""} value={into} onInput={(e) => setInto(e.currentTarget.value)} />
        <p class="hint">{words.besideIntoHint}</p>
      </div>
    </div>
  );
  return (
    <Confirm title={words.besideTitle} text={text} action={words.besideAsk} why onClose={onClose}
      onYes={async (why) => {
        await api("post", "/keeps/{id}/beside", { path: { id: keep.id }, body: { reason: why || undefined, into: into.trim() || undefined } });
        toast(words.besideAsked);
        onDone();
      }} />
  );
}

function Keeps() {
  const list = useList("keeps", (_, signal) => api("get", "/keeps", { signal }), ["approvals"]);
  const [undo, setUndo] = useState<Keep>();
  const [beside, setBeside] = useState<Keep>();
  const words = t().approvals;
  if (!list.data || list.data.length === 0) return null;
  return (
    <Card title={words.keeps} flush>
      <ListTable list={list} label={words.keeps} keyOf={(k) => k.id} empty={null}
        columns={[
          { key: "what", label: words.what, kind: "main", render: (k) => <span class="event-title"><code class="plain">{headOf(k.statement)}</code><small class="muted block">{[k.resource, k.database].filter(Boolean).join("/")} · {k.asker}</small></span> },
          { key: "state", label: words.state, render: (k) => <div><Badge tone={KEEP_TONES[k.state]}>{words.keepStates[k.state]}</Badge><Beside keep={k} /></div> },
          { key: "size", label: words.size, render: (k) => bytesText(k.bytes) },
          { key: "until", label: words.until, render: (k) => <Time at={k.expires_at} /> },
          { key: "undo", label: t().common.actions, kind: "actions", render: (k) => k.state === "undoing" || k.state === "gone" || k.beside?.state === "under-way" ? null : (
            <span class="row">
              {k.state !== "undone" && <Button small onClick={() => setUndo(k)}>{words.undo}</Button>}
              <Button small onClick={() => setBeside(k)}>{words.beside}</Button>
            </span>
          ) },
        ]} />
      {beside && <AskBeside keep={beside} onClose={() => setBeside(undefined)} onDone={() => list.reload()} />}
      {undo && (
        <Confirm title={words.undoTitle} text={<p>{words.undoText}</p>} action={words.undo} why onClose={() => setUndo(undefined)}
          onYes={async (why) => {
            await api("post", "/keeps/{id}/undo", { path: { id: undo.id }, body: { reason: why || undefined } });
            toast(words.undoAsked);
            list.reload();
          }} />
      )}
    </Card>
  );
}

export function Approvals({ params }: { params: Record<string, string> }) {
  const show = place.value.query.get("show") === "all" ? "all" : place.value.query.get("show") === "mine" ? "mine" : "waiting";
  const list = useList(`approvals:${show}`, (_, signal) => api("get", "/approvals", {
    query: show === "waiting" ? { state: "waiting" } : show === "mine" ? { mine: "1" } : {}, signal,
  }), ["approvals"]);
  const { error } = useAction();
  const words = t().approvals;
  const keep = location.search;
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="toolbar">
        <Segmented label={words.show} value={show} onChange={(value) => setQuery({ show: value === "waiting" ? null : value })} items={[
          { key: "waiting", label: words.waiting, icon: "hand" },
          { key: "mine", label: words.mine, icon: "user" },
          { key: "all", label: words.all, icon: "ledger" },
        ]} />
      </div>
      <div class="stack">
      <ErrorNote error={error} />
      <ListTable list={list} label={words.title} keyOf={(a) => a.id} onRow={(a) => go(`/approvals/${a.id}${keep}`)}
        rowClass={(a) => (a.can.approve ? "row-pending" : undefined)}
        empty={<Empty icon="hand" title={words.none}><p>{words.noneText}</p></Empty>}
        columns={[
          { key: "what", label: words.what, kind: "main", render: (a) => <span class="event-title"><code class="plain">{a.kind === "grant" || a.kind === "break-glass" ? a.role : isShell(a) ? t().machines.kinds.shell : headOf(a.summary)}</code><small class="muted block">{words.kinds[a.kind]} · {numberOf(a)}</small></span> },
          { key: "by", label: words.by, render: (a) => a.asker.display_name ?? a.asker.name },
          { key: "target", label: words.target, render: (a) => targetOf(a) },
          { key: "state", label: words.state, render: (a) => <Badge tone={TONES[a.state]}>{words.states[a.state]}</Badge> },
          { key: "approved", label: words.approved, render: (a) => inShort(a) },
          { key: "expires", label: words.expires, render: (a) => a.state === "waiting" ? <Time at={a.expires_at} ago /> : <Time at={a.ended_at ?? a.created_at} ago /> },
        ]} />
      <Keeps />
      </div>
      {params.id && <Details id={params.id} onClose={() => go(`/approvals${keep}`)} />}
    </>
  );
}

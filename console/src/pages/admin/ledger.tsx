// SPDX-License-Identifier: Apache-2.0
// The ledger: search, an entry with its proof checked here in the browser, verification, export.
import { useEffect, useState } from "preact/hooks";
import { api, BASE, urlOf, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData, useList } from "../../lib/data";
import { keyOf, useFollow } from "../../lib/live";
import { verifyProof, type Verdict } from "../../lib/merkle";
import { go, place, setQuery } from "../../lib/router";
import { isAdmin, toast } from "../../lib/state";
import { Badge, Button, Card, cx, Digest, Empty, Facts, Field, PageHead, Search, Select, Skeleton } from "../../ui/basic";
import { Confirm, Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { EventFacts, EventOutcome, EventTitle } from "../../ui/event";
import { Icon } from "../../ui/icon";
import { ListTable } from "../../ui/table";
import { formatBytes, formatNumber, Time } from "../../ui/time";

type Event = Schema["LedgerEvent"];
type Status = Schema["LedgerStatus"];

function Check({ ok, children }: { ok: boolean | null; children: string }) {
  return <li class={ok === null ? "" : ok ? "ok" : "bad"}><Icon name={ok === null ? "minus" : ok ? "check" : "alert"} size={15} /><span>{children}</span></li>;
}

function Proof({ entry }: { entry: string }) {
  const data = useData(`proof:${entry}`, (signal) => api("get", "/admin/ledger/entries/{entry}/proof", { path: { entry }, signal }));
  const [verdict, setVerdict] = useState<Verdict>();
  const [failed, setFailed] = useState<unknown>(null);
  useEffect(() => {
    if (data.data) verifyProof(data.data).then(setVerdict, setFailed);
  }, [data.data]);
  const words = t().ledger.proof;
  if (data.error || failed) return <ErrorNote error={data.error ?? failed} onRetry={data.reload} />;
  if (!data.data || !verdict) return <Skeleton rows={2} />;
  const good = verdict.leafOk && verdict.rootOk && verdict.checkpointOk && verdict.signature !== "bad";
  return (
    <div class="stack-small">
      <div class={cx("note", good ? "note-good" : "note-bad")}>
        <Icon name={good ? "check" : "alert"} />
        <div class="note-text"><strong>{good ? words.good : words.bad}</strong><p>{words.here(formatNumber(Number(data.data.tree_size)))}</p></div>
      </div>
      <ul class="checks">
        <Check ok={verdict.leafOk}>{words.leaf}</Check>
        <Check ok={verdict.rootOk}>{words.path(verdict.steps.length)}</Check>
        <Check ok={verdict.checkpointOk}>{words.checkpoint}</Check>
        <Check ok={verdict.signature === "unsupported" ? null : verdict.signature === "good"}>
          {verdict.signature === "unsupported" ? words.noEd25519 : words.signature(verdict.origin)}
        </Check>
      </ul>
      <details>
        <summary>{words.show}</summary>
        <ol class="proof-path">
          <li><span class="muted">{words.leafHash}</span> <Digest text={verdict.leaf} head={20} /></li>
          {verdict.steps.map((step, at) => (
            <li key={at}><span class="muted">{step.side === "left" ? words.leftOf : words.rightOf}</span> <Digest text={step.sibling} head={12} /> <span class="muted">→</span> <Digest text={step.result} head={12} /></li>
          ))}
          <li class="root"><span class="muted">{words.root}</span> <Digest text={verdict.root} head={20} /></li>
        </ol>
        <pre class="note-text-raw">{data.data.checkpoint}</pre>
      </details>
    </div>
  );
}

/* Another audit administrator has to agree; the office says what is too young or not to be erased. */
function Erase({ entry }: { entry: string }) {
  const [asking, setAsking] = useState(false);
  const words = t().ledger;
  return (
    <div class="row">
      <Button small tone="danger" onClick={() => setAsking(true)}>{words.erase}</Button>
      {asking && (
        <Confirm title={words.eraseTitle(entry)} text={<p>{words.eraseText}</p>} action={words.erase} why onClose={() => setAsking(false)}
          onYes={async (reason) => {
            await api("post", "/admin/ledger/erasures", { body: { entry, reason } });
            toast(words.eraseAsked);
          }} />
      )}
    </div>
  );
}

function Entry({ entry, onClose }: { entry: string; onClose: () => void }) {
  const data = useData(`entry:${entry}`, (signal) => api("get", "/admin/ledger/entries/{entry}", { path: { entry }, signal }));
  const words = t().ledger;
  const wanted = Number(place.value.query.get("position") ?? 0);
  const e = data.data;
  return (
    <Dialog title={words.entry(entry)} onClose={onClose} side>
      {data.error ? <ErrorNote error={data.error} onRetry={data.reload} /> : !e ? <Skeleton rows={8} /> : (
        <div class="stack">
          <Proof entry={entry} />
          {e.redacted ? <p>{words.redactedText}</p> : <Erase entry={entry} />}
          {e.events.length > 1 && <p class="muted">{words.batch(e.events.length)}</p>}
          {e.events.map((event, at) => (
            <details key={at} class="event" open={event.position === wanted || e.events.length === 1}>
              <summary><EventTitle event={event} /> <Time at={event.at} /></summary>
              <EventFacts event={event} />
              {event.detail && Object.keys(event.detail).length > 0 && <pre class="code">{JSON.stringify(event.detail, null, 2)}</pre>}
              {e.ocsf?.[at] && <details><summary>OCSF JSON</summary><pre class="code">{JSON.stringify(e.ocsf[at], null, 2)}</pre></details>}
            </details>
          ))}
        </div>
      )}
    </Dialog>
  );
}

type Range = { from?: string; to?: string };

/* The browser saves the pack while it comes; whether it may begin is asked first, so that a step-up is asked for here. */
async function exportPack(range: Range) {
  await api("get", "/admin/ledger/export", { query: { dry_run: "true", ...range } });
  const link = document.createElement("a");
  link.href = urlOf("/admin/ledger/export", {}, range);
  link.download = "sallyport-ledger.tar";
  link.click();
}

function StatusCard({ status, range, reload }: { status: Status; range: Range; reload: (s?: Status) => void }) {
  const words = t().ledger;
  const { busy, error, run } = useAction();
  const exporting = useAction();
  const note = useData(`checkpoint:${status.size}`, (signal) => api("get", "/admin/ledger/checkpoint", { signal }) as Promise<unknown>);
  const root = status.root_hash || (typeof note.data === "string" ? (note.data.split("\n")[2] ?? "") : "");
  const v = status.verification;
  useEffect(() => {
    if (v.state !== "running") return;
    const timer = setInterval(() => reload(), 1500);
    return () => clearInterval(timer);
  }, [v.state]);
  return (
    <Card title={<>{words.tree} <Badge tone={status.up ? "good" : "bad"}>{status.up ? words.up : words.down}</Badge></>} actions={
      <>
        <Button small icon="check" busy={busy || v.state === "running"} onClick={() => void run(async () => reload(await api("post", "/admin/ledger/verify")))}>{words.verifyAll}</Button>
        <a class="button button-plain button-small" href={`${BASE}/admin/ledger/checkpoint`} download="checkpoint.txt"><Icon name="file" size={16} /><span>{words.checkpointFile}</span></a>
        <Button small tone="plain" icon="download" busy={exporting.busy} title={words.exportHint} onClick={() => void exporting.run(() => exportPack(range))}>{words.export}</Button>
      </>}>
      <ErrorNote error={error ?? exporting.error} />
      {v.state !== "none" && (
        <div class={cx("note", v.state === "good" && "note-good", v.state === "bad" && "note-bad")}>
          <Icon name={v.state === "good" ? "check" : v.state === "bad" ? "alert" : "session"} />
          <div class="note-text"><strong>{words.verification[v.state]}</strong><p>{v.at && <Time at={v.at} />} {v.message}</p></div>
        </div>
      )}
      <Facts wide items={[
        [words.size, formatNumber(Number(status.size))],
        [words.root, root && <Digest text={root} head={16} />],
        [words.checkpointAt, <Time at={status.checkpoint_at} ago />],
        [words.oldest, <Time at={status.oldest_at} />],
        [words.floor, status.floor_days ? words.days(status.floor_days) : undefined],
        [words.retention, status.retention_days ? words.days(status.retention_days) : undefined],
        [words.free, status.disk_free_bytes ? formatBytes(status.disk_free_bytes) : undefined],
        [words.lost, status.lost !== undefined ? formatNumber(status.lost) : undefined],
      ]} />
    </Card>
  );
}

const KINDS = ["decision", "sign-in", "sign-out", "session-end", "identity", "device", "policy", "admin", "role", "loss", "gap", "redaction", "read", "approval", "recording", "alarm", "incident", "plan", "notice"] as const;

function Filters() {
  const query = place.value.query;
  const [more, setMore] = useState(["person", "resource", "reference", "from", "to"].some((k) => query.get(k)));
  const words = t().ledger;
  const text = (name: string, label: string, placeholder?: string) => (
    <Field label={label} value={query.get(name) ?? ""} placeholder={placeholder} maxLength={64} onChange={(e) => setQuery({ [name]: e.currentTarget.value.trim() })} />
  );
  const day = (name: "from" | "to", label: string) => (
    <Field label={label} type="datetime-local" value={query.get(name) ?? ""} onChange={(e) => setQuery({ [name]: e.currentTarget.value })} />
  );
  return (
    <div class="filters">
      <div class="toolbar">
        <Search value={query.get("q") ?? ""} label={words.search} onSearch={(q) => setQuery({ q })} />
        <Select hideLabel label={words.kind} value={query.get("kind") ?? ""} onChange={(kind) => setQuery({ kind })}
          options={[{ value: "", label: words.anyKind }, ...KINDS.map((k) => ({ value: k, label: t().words.event[k] }))]} />
        <Select hideLabel label={words.outcome} value={query.get("verdict") ?? ""} onChange={(verdict) => setQuery({ verdict })}
          options={[{ value: "", label: words.anyVerdict }, ...(["allow", "deny", "ask"] as const).map((k) => ({ value: k, label: t().words.verdict[k] }))]} />
        <Button tone="quiet" icon={more ? "minus" : "plus"} onClick={() => setMore(!more)} aria-expanded={more}>{words.moreFilters}</Button>
      </div>
      {more && <div class="filter-grid">{text("reference", t().common.reference, "7F3K-9Q2M-XA4T")}{text("person", words.personName)}{text("resource", words.resource)}{text("session", words.session)}{day("from", words.from)}{day("to", words.to)}</div>}
    </div>
  );
}

const instant = (text: string | null) => (text && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString().replace(/\.\d+/, "") : undefined);

export function Ledger({ params }: { params: Record<string, string> }) {
  const query = place.value.query;
  const get = (name: string) => query.get(name) || undefined;
  const words = t().ledger;
  if (!isAdmin("audit")) return <><PageHead title={words.title} /><Empty icon="lock" title={words.auditOnly}><p>{words.auditOnlyText}</p></Empty></>;
  const status = useData("ledger-status", (signal) => api("get", "/admin/ledger/status", { signal }), ["health"]);
  const filter = {
    q: get("q"), reference: get("reference"), person: get("person"), resource: get("resource"), session: get("session"),
    kind: KINDS.find((k) => k === get("kind")), verdict: (["allow", "deny", "ask"] as const).filter((v) => v === get("verdict")),
    from: instant(query.get("from")), to: instant(query.get("to")),
  };
  const list = useList(`ledger:${JSON.stringify(filter)}`, (cursor, signal) => api("get", "/admin/ledger/events", { query: { cursor, limit: 50, ...filter }, signal }));
  const live = useFollow("/admin/ledger/live", filter, list.reload);
  const known = new Set(list.data?.map(keyOf));
  /* Reading is recorded too: what this page itself does is no news. */
  const fresh = live.items.filter((e) => e.kind !== "read" && e.kind !== "heartbeat" && !known.has(keyOf(e))).length;
  const keep = new URLSearchParams(query);
  keep.delete("position");
  const back = keep.toString() ? `?${keep}` : "";
  const open = (e: Event) => {
    const next = new URLSearchParams(keep);
    if (e.position) next.set("position", String(e.position));
    go(`/admin/ledger/${e.entry}${next.toString() ? `?${next}` : ""}`);
  };
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      {status.error ? <ErrorNote error={status.error} onRetry={status.reload} /> : status.data ? <StatusCard status={status.data} range={{ from: filter.from, to: filter.to }} reload={(s) => (s ? status.set(s) : status.reload())} /> : <Skeleton rows={2} />}
      <Filters />
      {fresh > 0 && <p class="centre"><Button small icon="refresh" onClick={list.reload}>{words.newEvents(fresh)}</Button></p>}
      <ListTable list={list} label={words.title} keyOf={(e) => `${e.entry}.${e.position}`} onRow={open}
        empty={<Empty icon="ledger" title={words.none}><p>{words.noneText}</p></Empty>}
        columns={[
          { key: "what", label: words.what, kind: "main", render: (e) => <EventTitle event={e} /> },
          { key: "outcome", label: words.outcome, render: (e) => <EventOutcome event={e} /> },
          { key: "person", label: words.person, render: (e) => e.person || "—" },
          { key: "device", label: words.device, render: (e) => e.device || "—" },
          { key: "peer", label: words.peer, render: (e) => <code class="plain">{e.peer || "—"}</code> },
          { key: "at", label: words.at, render: (e) => <Time at={e.at} /> },
          { key: "entry", label: words.entryShort, kind: "number", render: (e) => <code class="plain">{e.entry}</code> },
        ]} />
      {params.entry && <Entry key={params.entry} entry={params.entry} onClose={() => go(`/admin/ledger${back}`)} />}
    </>
  );
}

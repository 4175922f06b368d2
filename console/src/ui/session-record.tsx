// SPDX-License-Identifier: Apache-2.0
// What a session left in the ledger, in order, and the coverage statement: what was recorded, what
// was seen but stayed opaque, what was refused, what is missing. The same for administrators and for
// whose session it is.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api, type Schema } from "../api/client";
import { t } from "../i18n";
import { useData, useList } from "../lib/data";
import { byTime, keyOf, type Event } from "../lib/live";
import { Badge, Button, Card, cx, Empty, Facts, PageHead, Skeleton } from "./basic";
import { Dialog } from "./dialog";
import { ErrorNote } from "./errors";
import { EventOutcome, EventTitle } from "./event";
import { Icon } from "./icon";
import { ActionClass, Cost, Outcome, StatementDetail, StatementText, toneOf } from "./statement";
import { Table } from "./table";
import { formatBytes, formatNumber, Time } from "./time";
import { Strength, wordIn } from "./words";

type Record = Schema["SessionRecord"];
type Coverage = Schema["Coverage"];

function Claim({ tone, children }: { tone: "ok" | "bad" | "plain" | "warn"; children: ComponentChildren }) {
  const icon = tone === "ok" ? "check" : tone === "plain" ? "minus" : tone === "warn" ? "eye" : "alert";
  return <li class={cx(tone === "ok" && "ok", tone === "bad" && "bad")}><Icon name={icon} size={15} /><span>{children}</span></li>;
}

function Section({ title, children }: { title: string; children: ComponentChildren }) {
  return <section class="coverage-part"><h3>{title}</h3><ul class="checks">{children}</ul></section>;
}

function CoverageCard({ coverage, live }: { coverage: Coverage; live: boolean }) {
  const words = t().session;
  const r = coverage.recorded;
  const n = formatNumber;
  const missing = coverage.missing.lost > 0 || coverage.missing.gaps > 0;
  return (
    <Card class="coverage" title={words.coverage}>
      <p class="muted">{words.coverageLead} {live && words.untilNow}</p>
      <Facts wide items={[
        [words.counted, n(coverage.events)],
        [words.gates, coverage.gates.length > 0 && coverage.gates.map((g) => wordIn(words.gateNames, g)).join(" · ")],
        [words.firstEvent, coverage.from && <Time at={coverage.from} />],
        [words.lastEvent, coverage.to && <Time at={coverage.to} />],
      ]} />
      {!coverage.complete && <div class="note note-warn"><Icon name="alert" /><p class="note-text">{words.incomplete(n(coverage.events))}</p></div>}
      <div class="coverage-parts">
        <Section title={words.recorded}>
          {coverage.events === 0 && <Claim tone="plain">{words.nothing}</Claim>}
          {r.requests > 0 && <Claim tone="ok">{words.requests(n(r.requests))}</Claim>}
          {r.connections > 0 && <Claim tone="ok">{words.connectionsCount(n(r.connections))}</Claim>}
          {r.statements > 0 && <Claim tone="ok">{words.statements(n(r.statements), n(r.failed))}</Claim>}
          {r.other > 0 && <Claim tone="ok">{words.other(n(r.other))}</Claim>}
          {r.rows > 0 && <Claim tone="ok">{words.rows(n(r.rows))}</Claim>}
          {r.bytes_in + r.bytes_out > 0 && <Claim tone="ok">{words.bytes(formatBytes(r.bytes_in), formatBytes(r.bytes_out))}</Claim>}
        </Section>
        <Section title={words.opaque}>
          {coverage.opaque.length === 0 && <Claim tone="plain">{words.nothing}</Claim>}
          {coverage.opaque.map((o) => <Claim key={o.what} tone="warn">{words.opaqueWhat[o.what](n(o.count), formatBytes(o.bytes), n(o.rows))}</Claim>)}
        </Section>
        <Section title={words.refused}>
          {coverage.refused.denied + coverage.refused.asked === 0 && <Claim tone="plain">{words.nothing}</Claim>}
          {coverage.refused.denied > 0 && <Claim tone="bad">{words.denied(n(coverage.refused.denied))}</Claim>}
          {Object.entries(coverage.refused.reasons).map(([reason, count]) => <Claim key={reason} tone="bad">{wordIn(t().words.reason, reason)}: {n(count)}</Claim>)}
          {coverage.refused.asked > 0 && <Claim tone="warn">{words.asked(n(coverage.refused.asked))}</Claim>}
        </Section>
        <Section title={words.missing}>
          {!missing && <Claim tone="ok">{words.nothingMissing}</Claim>}
          {missing && <Claim tone="bad">{words.missingText(n(coverage.missing.lost), n(coverage.missing.gaps))}</Claim>}
          {coverage.missing.items.map((e) => <Claim key={keyOf(e)} tone="bad"><Time at={e.at} /> {t().words.event[e.kind]}: {[e.gate && wordIn(words.gateNames, e.gate), e.resource, e.count && n(e.count)].filter(Boolean).join(" ")}</Claim>)}
          <Claim tone="plain">{words.notKnown}</Claim>
        </Section>
      </div>
    </Card>
  );
}

function Head({ record }: { record: Record }) {
  const words = t().session;
  const s = record.session;
  return (
    <Card title={<>{s.person ?? words.somebody} <Badge tone={s.live ? "good" : "neutral"}>{s.live ? words.live : words.ended}</Badge></>}>
      <Facts wide items={[
        [t().ledger.device, s.device ?? words.noDevice],
        [t().policy.strength, s.strength && <Strength strength={s.strength} />],
        [t().ledger.peer, s.peer && <code>{s.peer}</code>],
        [words.started, s.started_at && <Time at={s.started_at} />],
        [words.endedAt, s.ended_at && <><Time at={s.ended_at} /> {s.ended_how}</>],
        [t().ledger.session, <code>{s.id}</code>],
      ]} />
      {record.connections.length > 0 && (
        <details class="connections" open={record.connections.length < 6}>
          <summary>{words.connections(record.connections.length)}</summary>
          <ul class="checks">
            {record.connections.map((c) => (
              <li key={c.id}><Icon name="resource" size={15} /><span>{c.resource ?? "—"} <code class="plain">{c.id}</code> · <Time at={c.opened_at} /> – {c.closed_at ? <Time at={c.closed_at} /> : words.open} · {words.statementsShort(c.statements)}</span></li>
            ))}
          </ul>
          {record.coverage.recorded.connections > record.connections.length && <p class="muted">{words.moreConnections(record.connections.length)}</p>}
        </details>
      )}
    </Card>
  );
}

const isDatabase = (e: Event) => e.gate === "db";

function Events({ id, own }: { id: string; own: boolean }) {
  const list = useList(`session-events:${own}:${id}`, (cursor, signal) => api("get", own ? "/me/sessions/{id}/events" : "/admin/sessions/{id}/events", { path: { id }, query: { cursor, limit: 100 }, signal }));
  const [open, setOpen] = useState<Event>();
  const words = t().session;
  const rows = [...(list.data ?? [])].sort((a, b) => -byTime(a, b));
  return (
    <Card title={words.inOrder} flush class="session-events">
      <ErrorNote error={list.error} onRetry={list.reload} />
      {!list.data && !list.error && <Skeleton rows={6} />}
      {list.more && <div class="table-more"><Button busy={list.busy} onClick={list.loadMore}>{words.earlier}</Button></div>}
      {list.data && rows.length === 0 ? <Empty icon="eye" title={words.noEvents} /> : (
        <Table label={words.inOrder} rows={rows} keyOf={keyOf} onRow={setOpen} rowClass={toneOf} columns={[
          { key: "what", label: t().ledger.what, kind: "main", render: (e) => isDatabase(e) ? <StatementText event={e} /> : <EventTitle event={e} /> },
          { key: "outcome", label: t().ledger.outcome, render: (e) => isDatabase(e) ? <Outcome event={e} /> : <EventOutcome event={e} /> },
          { key: "action", label: t().policy.action, render: (e) => <ActionClass event={e} /> },
          { key: "resource", label: t().ledger.resource, render: (e) => <span class="plain-name">{e.resource || "—"}</span> },
          { key: "cost", label: t().watch.cost, kind: "number", render: (e) => <Cost event={e} /> },
          { key: "at", label: t().ledger.at, render: (e) => <Time at={e.at} /> },
        ]} />
      )}
      {open && <Dialog title={t().words.event[open.kind]} onClose={() => setOpen(undefined)} side><StatementDetail event={open} own={own} /></Dialog>}
    </Card>
  );
}

export function SessionRecordPage({ id, own }: { id: string; own: boolean }) {
  const data = useData(`session-record:${own}:${id}`, (signal) => api("get", own ? "/me/sessions/{id}/record" : "/admin/sessions/{id}/record", { path: { id }, signal }));
  const words = t().session;
  const reload = <Button icon="refresh" busy={data.busy} onClick={data.reload}>{words.reload}</Button>;
  return (
    <>
      <PageHead title={words.title} lead={own ? words.leadOwn : words.lead} actions={reload} />
      {data.error ? <ErrorNote error={data.error} onRetry={data.reload} /> : !data.data ? <Skeleton rows={6} /> : (
        <div class="stack">
          <Head record={data.data} />
          <Events key={String(data.data.coverage.events)} id={id} own={own} />
          <CoverageCard coverage={data.data.coverage} live={data.data.session.live} />
        </div>
      )}
    </>
  );
}

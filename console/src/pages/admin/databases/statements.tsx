// SPDX-License-Identifier: Apache-2.0
// What is being done at databases, as the ledger writes it down. Refused and waiting stand out; a
// line leads to its entry with the proof, to its session, and to ending its connection.
import { useEffect, useState } from "preact/hooks";
import { api } from "../../../api/client";
import { t } from "../../../i18n";
import { useList } from "../../../lib/data";
import { byTime, keyOf, useFollow, type Event } from "../../../lib/live";
import { place, setQuery } from "../../../lib/router";
import { isAdmin } from "../../../lib/state";
import { connectionOf } from "../../../lib/wall";
import { Button, cx, Empty, Field, Select, Skeleton } from "../../../ui/basic";
import { Dialog } from "../../../ui/dialog";
import { ErrorNote } from "../../../ui/errors";
import { ActionClass, Cost, Outcome, StatementDetail, StatementText, toneOf } from "../../../ui/statement";
import { Table } from "../../../ui/table";
import { Time } from "../../../ui/time";
import { EndConnection } from "./connections";

const ACTIONS = ["connect", "read", "write", "export", "import", "alter", "destroy", "administer", "execute"] as const;
const VERDICTS = { stopped: ["deny", "ask"], allow: ["allow"] } as const;

function Filters() {
  const query = place.value.query;
  const words = t().watch;
  const text = (name: string, label: string) => (
    <Field label={label} value={query.get(name) ?? ""} maxLength={64} autocomplete="off" onChange={(e) => setQuery({ [name]: e.currentTarget.value.trim() })} />
  );
  return (
    <div class="filter-grid">
      {text("person", t().ledger.personName)}
      {text("resource", words.resource)}
      <Select label={t().ledger.outcome} value={query.get("outcome") ?? ""} onChange={(outcome) => setQuery({ outcome })}
        options={[{ value: "", label: t().ledger.anyVerdict }, { value: "stopped", label: words.stopped }, { value: "allow", label: t().words.verdict.allow }]} />
      <Select label={t().policy.action} value={query.get("action") ?? ""} onChange={(action) => setQuery({ action })}
        options={[{ value: "", label: words.anyAction }, ...ACTIONS.map((value) => ({ value, label: t().words.action[value] }))]} />
    </div>
  );
}

/* P pauses and goes on, arrows move between lines: a person watches with one hand. */
function useKeys(toggle: () => void) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input,select,textarea,dialog")) return;
      if (event.key === "p" || event.key === "P") toggle();
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const line = target.closest(".watch .cell-button");
      if (!step || !line) return;
      const lines = [...document.querySelectorAll<HTMLElement>(".watch .cell-button")];
      event.preventDefault();
      lines[lines.indexOf(line as HTMLElement) + step]?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}

export function Statements() {
  const query = place.value.query;
  const outcome = query.get("outcome") as keyof typeof VERDICTS | null;
  const filter = {
    person: query.get("person") || undefined, resource: query.get("resource") || undefined,
    verdict: outcome && VERDICTS[outcome] ? [...VERDICTS[outcome]] : undefined,
    action: ACTIONS.find((a) => a === query.get("action")),
  };
  const words = t().watch;
  const key = `statements:${JSON.stringify(filter)}`;
  const list = useList(key, (cursor, signal) => api("get", "/admin/databases/statements", { query: { cursor, limit: 50, ...filter }, signal }));
  const live = useFollow("/admin/databases/statements/live", filter, list.reload);
  const [open, setOpen] = useState<Event>();
  const [ending, setEnding] = useState<string>();
  useKeys(() => live.pause(!live.paused));
  const known = new Set(list.data?.map(keyOf));
  const rows = [...live.items.filter((e) => !known.has(keyOf(e))), ...(list.data ?? [])].sort(byTime);
  const connection = open && open.kind !== "close" ? connectionOf(open) : undefined;
  return (
    <div class="stack watch">
      <Filters />
      <div class="row row-between">
        <p class="row" role="status">
          <span class={cx("live-dot", live.state === "on" && !live.paused && "on")} aria-hidden="true" />
          <span>{live.paused ? words.paused(live.waiting) : live.state === "on" ? words.following : live.state === "off" ? words.notFollowing : words.connecting}</span>
        </p>
        <Button small aria-pressed={live.paused} aria-keyshortcuts="p" onClick={() => live.pause(!live.paused)}>
          {live.paused ? words.goOn : words.pause} <kbd>P</kbd>
        </Button>
      </div>
      {live.leftOut && <div class="note note-warn"><p class="note-text">{words.leftOut} <a href={location.pathname + location.search} onClick={(e) => { e.preventDefault(); e.stopPropagation(); list.reload(); }}>{words.readAgain}</a></p></div>}
      <ErrorNote error={list.error} onRetry={list.reload} />
      {!list.data && !list.error ? <Skeleton rows={8} /> : rows.length === 0 ? <Empty icon="terminal" title={words.none}><p>{words.noneText}</p></Empty> : (
        <Table label={words.title} rows={rows} keyOf={keyOf} onRow={setOpen} rowClass={toneOf} columns={[
          { key: "what", label: words.statement, kind: "main", render: (e) => <StatementText event={e} /> },
          { key: "outcome", label: t().ledger.outcome, render: (e) => <Outcome event={e} /> },
          { key: "action", label: t().policy.action, render: (e) => <ActionClass event={e} /> },
          { key: "who", label: t().ledger.person, render: (e) => <span>{e.person || "—"}{e.device && <small class="muted block">{e.device}</small>}</span> },
          { key: "resource", label: words.resource, render: (e) => <span class="plain-name">{e.resource || "—"}</span> },
          { key: "cost", label: words.cost, kind: "number", render: (e) => <Cost event={e} /> },
          { key: "at", label: t().ledger.at, render: (e) => <span><Time at={e.at} />{e.reference && <small class="muted block"><code class="plain reference">{e.reference}</code></small>}</span> },
        ]} />
      )}
      {list.more && <div class="table-more"><Button busy={list.busy} onClick={list.loadMore}>{t().common.more}</Button></div>}
      {open && (
        <Dialog title={open.kind === "decision" ? words.statementTitle : t().words.event[open.kind]} onClose={() => setOpen(undefined)} side>
          <StatementDetail event={open}>
            {connection && isAdmin("security") && <Button icon="close" onClick={() => { setOpen(undefined); setEnding(connection); }}>{words.endConnection}</Button>}
          </StatementDetail>
        </Dialog>
      )}
      {ending && <EndConnection id={ending} what={words.thisConnection} onClose={() => setEnding(undefined)} onDone={() => undefined} />}
    </div>
  );
}

// SPDX-License-Identifier: Apache-2.0
// What is recorded about me: the register of recorders, and my own entries of the ledger.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useData, useList } from "../../lib/data";
import { place, setQuery } from "../../lib/router";
import { Badge, Empty, Facts, PageHead, Skeleton, Tabs } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { EventFacts, EventOutcome, EventTitle } from "../../ui/event";
import { Icon } from "../../ui/icon";
import { ListTable } from "../../ui/table";
import { Time } from "../../ui/time";
import { text2, wordIn } from "../../ui/words";

function Register() {
  const register = useData("recorded", (signal) => api("get", "/me/recorded", { signal }));
  const words = t().recorded;
  if (register.error) return <ErrorNote error={register.error} onRetry={register.reload} />;
  if (!register.data) return <Skeleton rows={4} />;
  return (
    <div class="cards">
      {register.data.items.map((r) => (
        <section key={r.name} class="card">
          <header class="card-head">
            <h2>{wordIn(words.names, r.name)}</h2>
            <Badge tone={r.on ? "accent" : "neutral"} icon={r.on ? "eye" : undefined}>{r.on ? words.on : words.off}</Badge>
          </header>
          <p>{text2(r.what)}</p>
          <Facts items={[
            [words.purpose, text2(r.purpose)],
            [words.basis, text2(r.basis)],
            [words.term, words.days(r.retention_days)],
            [words.readers, r.readers.map((reader) => wordIn(t().words.role, reader)).join(", ")],
          ]} />
        </section>
      ))}
    </div>
  );
}

function MyEvents() {
  const list = useList("my-events", (cursor, signal) => api("get", "/me/events", { query: { cursor, limit: 50 }, signal }));
  const [open, setOpen] = useState<Schema["LedgerEvent"]>();
  const words = t().ledger;
  return (
    <>
      <ListTable list={list} label={t().recorded.mine} keyOf={(e) => `${e.entry}.${e.position}`} onRow={setOpen}
        empty={<Empty icon="eye" title={t().recorded.noEvents} />}
        columns={[
          { key: "what", label: words.what, kind: "main", render: (e) => <EventTitle event={e} /> },
          { key: "outcome", label: words.outcome, render: (e) => <EventOutcome event={e} /> },
          { key: "device", label: words.device, render: (e) => e.device || "—" },
          { key: "peer", label: words.peer, render: (e) => <code class="plain">{e.peer || "—"}</code> },
          { key: "at", label: words.at, render: (e) => <Time at={e.at} /> },
        ]} />
      {open && <Dialog title={t().recorded.entry(open.entry)} onClose={() => setOpen(undefined)} side>
          <div class="stack">
            {open.session && <p><a href={`/sessions/${open.session}`}>{t().watch.toSession}</a></p>}
            <EventFacts event={open} />
          </div>
        </Dialog>}
    </>
  );
}

export function Recorded() {
  const words = t().recorded;
  const tab = place.value.query.get("tab") === "mine" ? "mine" : "register";
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="note"><Icon name="info" /><div class="note-text"><p>{words.promise}</p></div></div>
      <Tabs label={words.title} value={tab} onChange={(key) => setQuery({ tab: key === "mine" ? "mine" : null })}
        items={[{ key: "register", label: words.register }, { key: "mine", label: words.mine }]} />
      {tab === "register" ? <Register /> : <MyEvents />}
    </>
  );
}

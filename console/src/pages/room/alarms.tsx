// SPDX-License-Identifier: Apache-2.0
// What detections spoke of, newest first: what it is about, its evidence, its incident; and that somebody has looked.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { place, setQuery } from "../../lib/router";
import { isAdmin, toast } from "../../lib/state";
import { Badge, Button, Empty, Facts, PageHead, Segmented } from "../../ui/basic";
import { useDetections, useTitles } from "../../ui/detections";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { ListTable } from "../../ui/table";
import { formatNumber, Time } from "../../ui/time";
import { aboutKeys, said } from "../../ui/said";
import { Severity } from "../../ui/words";

type Alarm = Schema["Alarm"];
const SECONDS_SHOWN = 10_000;

function WatchState() {
  const watch = useDetections().data?.watch;
  const words = t().room.alarms;
  if (!watch) return null;
  if (!watch.up) return <div class="note note-bad"><Icon name="alert" /><div class="note-text"><strong>{words.watchDown}</strong></div></div>;
  const lag = Number(watch.lag_ms ?? 0);
  return (
    <p class="row muted" role="status">
      {watch.degraded ? <Badge tone="bad" icon="alert">{words.degraded}</Badge> : <span class="live-dot on" aria-hidden="true" />}
      {watch.forgets && <Badge tone="warn" icon="alert">{words.forgets}</Badge>}
      <span>{words.watching(watch.detections ?? 0, formatNumber(Number(watch.events ?? 0)))}{lag > SECONDS_SHOWN && ` · ${words.lag(`${formatNumber(Math.round(lag / 1000))} s`)}`}{watch.trouble && ` · ${said(watch.trouble)}`}</span>
    </p>
  );
}

function Details({ alarm, title, onClose, onSeen }: { alarm: Alarm; title: string; onClose: () => void; onSeen: () => void }) {
  const words = t().room.alarms;
  const audit = isAdmin("audit");
  const { busy, error, run } = useAction();
  const seen = () => run(async () => {
    await api("post", "/alarms/{id}/seen", { path: { id: alarm.id }, body: {} });
    toast(words.marked);
    onSeen();
    onClose();
  });
  return (
    <Dialog title={title} onClose={onClose} side>
      <div class="stack">
        <Facts items={[
          [words.severity, <Severity severity={alarm.severity} />],
          [words.detection, <code class="plain">{alarm.detection}</code>],
          [words.about, <span class="wrap">{aboutKeys(alarm.keys)}</span>],
          [words.count, formatNumber(Number(alarm.count))],
          [words.first, alarm.first && <Time at={alarm.first} />],
          [words.last, <Time at={alarm.last} />],
          [words.session, alarm.session && <a href={`/admin/sessions/${alarm.session}`}>{alarm.session}</a>],
          [words.plan, alarm.plan && <a href={`/admin/plans/${alarm.plan}`}>{alarm.plan}</a>],
          [words.incident, alarm.incident && <a href={`/incidents/${alarm.incident}`}>{words.toIncident(alarm.incident)}</a>],
          [t().common.reference, <code class="plain">{alarm.reference}</code>],
        ]} />
        <div class="stack-small">
          <h3>{words.evidence}</h3>
          <ul class="entry-list">
            {alarm.evidence.map((e) => (
              <li key={`${e.entry}.${e.reference}`}>
                {audit ? <a href={`/admin/ledger/${e.entry}`}>{words.entry(e.entry)}</a> : <span>{words.entry(e.entry)}</span>}
                <Time at={new Date(e.at * 1000).toISOString()} /> <code class="plain">{e.reference}</code>
              </li>
            ))}
          </ul>
        </div>
        <ErrorNote error={error} />
        <p class="row">
          {alarm.seen_at ? <span class="muted">{words.seenBy(alarm.seen_by)} · <Time at={alarm.seen_at} ago /></span>
            : isAdmin("security") && <Button tone="primary" icon="eye" busy={busy} onClick={() => void seen()}>{words.seen}</Button>}
        </p>
      </div>
    </Dialog>
  );
}

export function AlarmList() {
  const words = t().room.alarms;
  const all = place.value.query.has("all");
  const list = useList(`alarms:${all}`, (cursor, signal) => api("get", "/alarms", { query: { cursor, new: all ? undefined : "1" }, signal }), ["alarms", "incidents"]);
  const titles = useTitles();
  const [open, setOpen] = useState<Alarm>();
  const { error, run } = useAction();
  const seen = (a: Alarm) => void run(async () => {
    await api("post", "/alarms/{id}/seen", { path: { id: a.id }, body: {} });
    list.reload();
  });
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="stack">
        <div class="row row-between">
          <Segmented label={words.title} value={all ? "all" : "new"} onChange={(key) => setQuery({ all: key === "all" ? "1" : null })}
            items={[{ key: "new", label: words.new }, { key: "all", label: words.all }]} />
          <WatchState />
        </div>
        <ErrorNote error={error} />
        <ListTable list={list} label={words.title} keyOf={(a) => a.id} onRow={setOpen} rowClass={(a) => (!a.seen_at && a.severity === "critical" ? "row-refused" : undefined)}
          empty={<Empty icon="check" title={all ? words.noneAll : words.none}><p>{words.noneText}</p></Empty>}
          columns={[
            { key: "what", label: words.what, kind: "main", render: (a) => <span class="event-title">{titles(a.detection, a.title)} {a.mode !== "live" && <Badge tone="warn">{words.modes[a.mode]}</Badge>}<small class="muted block"><code class="plain">{a.detection}</code></small></span> },
            { key: "severity", label: words.severity, render: (a) => <Severity severity={a.severity} /> },
            { key: "about", label: words.about, render: (a) => <span class="keys">{aboutKeys(a.keys)}</span> },
            { key: "count", label: words.count, kind: "number", render: (a) => formatNumber(Number(a.count)) },
            { key: "incident", label: words.incident, render: (a) => a.incident ? <a class="keep" href={`/incidents/${a.incident}`}>{words.toIncident(a.incident)}</a> : <span class="muted">{words.noIncident}</span> },
            { key: "at", label: words.at, render: (a) => <Time at={a.last} ago /> },
            { key: "seen", label: t().common.actions, kind: "actions", render: (a) => a.seen_at ? <span class="muted">{words.seenBy(a.seen_by)}</span> : isAdmin("security") ? <Button small class="keep" onClick={() => seen(a)}>{words.seen}</Button> : null },
          ]} />
      </div>
      {open && <Details alarm={open} title={titles(open.detection, open.title)} onClose={() => setOpen(undefined)} onSeen={list.reload} />}
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Incidents, newest first; opening one.
import { useId, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { go, place, setQuery } from "../../lib/router";
import { isAdmin } from "../../lib/state";
import { Badge, Button, Empty, Field, PageHead, Segmented, Select } from "../../ui/basic";
import { useTitles } from "../../ui/detections";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { ListTable } from "../../ui/table";
import { said } from "../../ui/said";
import { Time } from "../../ui/time";
import { Severity } from "../../ui/words";

type Incident = Schema["Incident"];
export const SEVERITIES = ["info", "low", "medium", "high", "critical"] as const;
type SeverityWord = (typeof SEVERITIES)[number];

const TONES = { open: "warn", closed: "neutral", merged: "neutral" } as const;
export function IncidentState({ incident }: { incident: Incident }) {
  return <Badge tone={TONES[incident.state]}>{t().room.incidents.states[incident.state]}</Badge>;
}
/* Detections' titles are known to auditors and security administrators; everybody else reads them in English. */
export function useIncidentTitle(): (incident: { title: string }) => string {
  const known = isAdmin("security") || isAdmin("audit") ? useTitles() : undefined;
  return (incident) => said(known?.(incident.title, incident.title) ?? incident.title);
}

export function SeveritySelect({ value, onChange }: { value: SeverityWord; onChange: (value: SeverityWord) => void }) {
  return <Select label={t().room.incidents.severity} value={value} onChange={(v) => onChange(v as SeverityWord)} options={SEVERITIES.map((v) => ({ value: v, label: t().words.severity[v] }))} />;
}

function OpenOne({ onClose }: { onClose: () => void }) {
  const words = t().room.incidents;
  const id = useId();
  const [title, setTitle] = useState("");
  const [severity, setSeverity] = useState<SeverityWord>("medium");
  const [drill, setDrill] = useState(false);
  const { busy, error, run } = useAction();
  const open = () => run(async () => {
    const made = await api("post", "/incidents", { body: { title: title.trim(), severity, drill } });
    onClose();
    go(`/incidents/${made.id}`);
  });
  return (
    <Dialog title={words.openTitle} onClose={onClose}>
      <form class="stack" id={id} onSubmit={(event) => { event.preventDefault(); void open(); }}>
        <Field label={words.subject} value={title} required minLength={3} maxLength={200} autoFocus onInput={(e: { currentTarget: HTMLInputElement }) => setTitle(e.currentTarget.value)} />
        <SeveritySelect value={severity} onChange={setSeverity} />
        <label class="check"><input type="checkbox" checked={drill} onChange={(e) => setDrill(e.currentTarget.checked)} /> {words.asDrill}</label>
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{words.open}</Button></div>
      </form>
    </Dialog>
  );
}

export function Incidents() {
  const words = t().room.incidents;
  const all = place.value.query.has("all");
  const list = useList(`incidents:${all}`, (cursor, signal) => api("get", "/incidents", { query: { cursor, all: all ? "1" : undefined }, signal }), ["incidents", "me"]);
  const titleOf = useIncidentTitle();
  const [opening, setOpening] = useState(false);
  return (
    <>
      <PageHead title={words.title} lead={words.lead} actions={isAdmin("security") && <Button tone="primary" icon="plus" onClick={() => setOpening(true)}>{words.open}</Button>} />
      <div class="stack">
        <div class="row"><Segmented label={words.state} value={all ? "all" : "open"} onChange={(key) => setQuery({ all: key === "all" ? "1" : null })}
          items={[{ key: "open", label: words.openOnes }, { key: "all", label: words.all }]} /></div>
        <ListTable list={list} label={words.title} keyOf={(i) => i.id} onRow={(i) => go(`/incidents/${i.id}`)} rowClass={(i) => (i.state === "open" && i.severity === "critical" ? "row-refused" : undefined)}
          empty={<Empty icon="check" title={words.none}><p>{words.noneText}</p></Empty>}
          columns={[
            { key: "title", label: words.incident, kind: "main", render: (i) => <span class="event-title">{titleOf(i)} {i.drill && <Badge tone="warn">{words.drill}</Badge>}<small class="muted block">{words.number(i.id)}</small></span> },
            { key: "severity", label: words.severity, render: (i) => <Severity severity={i.severity} /> },
            { key: "state", label: words.state, render: (i) => i.merged_into ? <a href={`/incidents/${i.merged_into}`}>{words.mergedInto} {i.merged_into}</a> : <IncidentState incident={i} /> },
            { key: "leader", label: words.leader, render: (i) => i.roles.commander ?? <span class="muted">{words.nobody}</span> },
            { key: "alarms", label: words.alarms, kind: "number", render: (i) => i.alarms },
            { key: "since", label: words.since, render: (i) => <Time at={i.opened_at} ago /> },
          ]} />
      </div>
      {opening && <OpenOne onClose={() => setOpening(false)} />}
    </>
  );
}

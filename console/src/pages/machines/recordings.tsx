// SPDX-License-Identifier: Apache-2.0
// Recordings of SSH connections: found by person, machine and day; played on a page of their own.
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useList } from "../../lib/data";
import { go, place, setQuery } from "../../lib/router";
import { Badge, Empty, Field } from "../../ui/basic";
import { ListTable } from "../../ui/table";
import { formatBytes, Time } from "../../ui/time";
import { Channels } from "./connections";

type Recording = Schema["SshRecording"];

export const lengthOf = (r: Recording): string => {
  if (!r.ended_at) return "";
  const seconds = Math.max(0, Math.round((Date.parse(r.ended_at) - Date.parse(r.started_at)) / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  return seconds < 3600 ? `${Math.floor(seconds / 60)}:${two(seconds % 60)}` : `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
};

/* A day of the reader's own zone as the two ends that the API takes. */
export function dayOf(text: string | null): { from?: string; to?: string } {
  if (!text || !/^\d{4}-\d\d-\d\d$/.test(text)) return {};
  const start = new Date(`${text}T00:00:00`);
  if (Number.isNaN(start.getTime())) return {};
  const end = new Date(start);
  end.setDate(end.getDate() + 1);
  const utc = (date: Date) => date.toISOString().replace(/\.\d+Z$/, "Z");
  return { from: utc(start), to: utc(end) };
}

function Filters({ mine }: { mine?: boolean }) {
  const query = place.value.query;
  const words = t().machines;
  const text = (name: string, label: string, type = "text") => (
    <Field label={label} type={type} value={query.get(name) ?? ""} maxLength={64} autocomplete="off" onChange={(e) => setQuery({ [name]: e.currentTarget.value.trim() })} />
  );
  return (
    <div class="filter-grid">
      {!mine && text("person", t().ledger.personName)}
      {text("resource", words.machine)}
      {text("day", words.day, "date")}
    </div>
  );
}

export function Recordings({ mine }: { mine?: boolean }) {
  const query = place.value.query;
  const filter = {
    mine: mine ? "1" : undefined, person: (!mine && query.get("person")) || undefined,
    resource: query.get("resource") || undefined, ...dayOf(query.get("day")),
  };
  const list = useList(`recordings:${JSON.stringify(filter)}`,
    (cursor, signal) => api("get", "/ssh/recordings", { query: { cursor, limit: 50, ...filter }, signal }), ["ssh"]);
  const words = t().machines;
  return (
    <div class="stack">
      <Filters mine={mine} />
      <ListTable list={list} label={words.recordings} keyOf={(r) => r.id} onRow={(r) => go(`/recordings/${r.id}`)}
        empty={<Empty icon="play" title={words.noRecordings}><p>{words.noRecordingsText}</p></Empty>}
        columns={[
          { key: "machine", label: words.machine, kind: "main", render: (r) => <span class="event-title">{r.resource} <small class="muted block"><code class="plain">{r.account}</code></small></span> },
          ...(mine ? [] : [{ key: "who", label: words.person, render: (r: Recording) => <span>{r.person}<small class="muted block">{r.device || words.noDevice}</small></span> }]),
          { key: "runs", label: words.ran, render: (r) => <Channels items={r.channels} /> },
          { key: "length", label: words.length, render: (r) => r.live ? <Badge tone="accent" icon="eye">{words.live}</Badge> : <span>{lengthOf(r)}<small class="muted block">{formatBytes(r.channels.reduce((all, c) => all + c.bytes, 0))}</small></span> },
          { key: "at", label: words.started, render: (r) => <span><Time at={r.started_at} /><small class="muted block"><code class="plain reference">{r.id}</code></small></span> },
        ]} />
    </div>
  );
}

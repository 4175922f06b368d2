// SPDX-License-Identifier: Apache-2.0
// An incident's timeline: who did what, oldest first; entries of the ledger one after another are one line.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction } from "../../lib/data";
import { isAdmin } from "../../lib/state";
import { Button } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon, type IconName } from "../../ui/icon";
import { useTitles } from "../../ui/detections";
import { aboutKeys, said, saidBy } from "../../ui/said";
import { Time } from "../../ui/time";
import { wordIn } from "../../ui/words";

export type Note = Schema["IncidentNote"];
const ICONS: Record<string, IconName> = {
  opened: "plus", alarm: "alert", evidence: "ledger", plan: "play", role: "user", comment: "edit", task: "hand", done: "check", severity: "overview", merged: "link", closed: "lock", told: "mail", cut: "close", report: "ledger",
};
const SHOWN = 60;

interface Line { note: Note; more: Note[] }

/* Evidence that one thing brought along is shown together. */
function linesOf(notes: readonly Note[]): Line[] {
  const lines: Line[] = [];
  for (const note of notes) {
    const last = lines.at(-1);
    if (note.kind === "evidence" && !note.text && last?.note.kind === "evidence" && last.note.by === note.by) last.more.push(note);
    else lines.push({ note, more: [] });
  }
  return lines;
}

function Entry({ note }: { note: Note }) {
  const words = t().room.incidents;
  if (!note.entry) return null;
  return isAdmin("audit") ? <a href={`/admin/ledger/${note.entry}`}>{words.entry(note.entry)}</a> : <span>{words.entry(note.entry)}</span>;
}

function Evidence({ line }: { line: Line }) {
  const all = [line.note, ...line.more];
  const entries = (
    <ul class="entry-list">
      {all.map((n) => <li key={n.number}><Entry note={n} /> {n.reference && <code class="plain">{n.reference}</code>} {n.session && <a href={`/admin/sessions/${n.session}`}>{t().watch.toSession}</a>}</li>)}
    </ul>
  );
  if (all.length === 1) return entries;
  return <details><summary>{t().room.incidents.evidence(all.length)}</summary>{entries}</details>;
}

/* "Title: keys (3)" of an alarm; the title of what opened it; what a person wrote stays as it is. */
function useNoteText(tasks: Schema["WholeIncident"]["tasks"]): (note: Note) => string {
  const titles = isAdmin("security") || isAdmin("audit") ? useTitles() : (_: string, title: string) => title;
  return (note) => {
    const text = note.text ?? "";
    if (note.kind === "comment" || note.kind === "closed") return text;
    if (note.kind === "severity") return wordIn(t().words.severity, text);
    if (note.kind === "done") return said(tasks.find((task) => String(task.number) === text)?.text ?? text);
    if (note.kind === "opened") return said(titles(text, text));
    const alarm = note.kind === "alarm" ? /^(.*): (\S*=.*|) \((\d+)\)$/.exec(text) : null;
    if (!alarm) return said(text);
    return `${titles(note.by ?? "", alarm[1] ?? "")}${alarm[2] ? `: ${aboutKeys(alarm[2])}` : ""} (${alarm[3]})`;
  };
}

export function Timeline({ incident }: { incident: Schema["WholeIncident"] }) {
  const words = t().room.incidents;
  const textOf = useNoteText(incident.tasks);
  const [whole, setWhole] = useState(false);
  const [older, setOlder] = useState<readonly Note[]>([]);
  const [before, setBefore] = useState(incident.timeline_before);
  const act = useAction();
  const known = new Set(older.map((n) => n.number));
  const lines = linesOf([...older, ...incident.timeline.filter((n) => !known.has(n.number))]);
  const more = () => act.run(async () => {
    const page = await api("get", "/incidents/{id}/timeline", { path: { id: incident.id }, query: { cursor: before ?? undefined, limit: 200 } });
    setOlder([...page.items.reverse(), ...older]);
    setBefore(page.next);
  });
  const hidden = whole ? 0 : Math.max(0, lines.length - SHOWN);
  return (
    <>
      {hidden > 0 && <Button small tone="quiet" onClick={() => setWhole(true)}>{words.older(hidden)}</Button>}
      {hidden === 0 && before && <Button small tone="quiet" busy={act.busy} onClick={() => void more()}>{words.olderStill}</Button>}
      <ErrorNote error={act.error} />
      <ol class="timeline">
        {lines.slice(hidden).map((line) => {
          const { note } = line;
          const person = note.by && !["alarm", "evidence", "plan"].includes(note.kind);
          return (
            <li key={note.number} class={`note-${note.kind}`}>
              <span class="timeline-icon"><Icon name={ICONS[note.kind] ?? "info"} size={14} /></span>
              <div>
                <p class="timeline-head"><b>{words.kinds[note.kind] ?? note.kind}</b>{note.by && (person ? <span>{saidBy(note.by)}</span> : <code class="plain">{note.by}</code>)}<Time at={note.at} /></p>
                {note.text && <p class="lines">{textOf(note)}</p>}
                {note.kind === "evidence" ? <Evidence line={line} /> : note.entry && <p><Entry note={note} /></p>}
              </div>
            </li>
          );
        })}
      </ol>
    </>
  );
}

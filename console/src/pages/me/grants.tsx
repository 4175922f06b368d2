// SPDX-License-Identifier: Apache-2.0
// Roles that are asked for and end by themselves; standing grants that come round.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { toast } from "../../lib/state";
import { Badge, Button, Card, Empty, Field, PageHead, Select } from "../../ui/basic";
import { Confirm } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { ListTable } from "../../ui/table";
import { Time } from "../../ui/time";
import { text2 } from "../../ui/words";
import { spanText } from "./approvals";

type Grant = Schema["Grant"];

const DURATIONS = [15, 30, 60, 120, 240, 480, 1440];

function AskForm({ roles, onDone }: { roles: Schema["GrantRole"][]; onDone: () => void }) {
  const [name, setName] = useState(roles[0]!.role);
  const [reason, setReason] = useState("");
  const [ticket, setTicket] = useState("");
  const [minutes, setMinutes] = useState(30);
  const { busy, error, run } = useAction();
  const words = t().grants;
  const role = roles.find((r) => r.role === name) ?? roles[0]!;
  const fitting = DURATIONS.filter((m) => m * 60 <= role.longest_s);
  const chosen = fitting.includes(minutes) ? minutes : (fitting[fitting.length - 1] ?? Math.floor(role.longest_s / 60));
  return (
    <form class="stack" onSubmit={(e) => {
      e.preventDefault();
      void run(async () => {
        await api("post", "/grants", { body: { role: role.role, reason, ticket: ticket || undefined, duration_s: chosen * 60 } });
        toast(words.sent);
        setReason("");
        setTicket("");
        onDone();
      });
    }}>
      <Select label={words.role} value={role.role} onChange={setName} options={roles.map((r) => ({ value: r.role, label: text2({ en: r.title.en ?? r.role, zh: r.title.zh ?? "" }, r.role) }))} />
      {role.sealed && <div class="note note-bad"><div class="note-text"><strong>{words.sealed}</strong><p>{words.sealedText}</p></div></div>}
      <Select label={words.duration} value={String(chosen)} onChange={(v) => setMinutes(Number(v))} options={(fitting.length > 0 ? fitting : [chosen]).map((m) => ({ value: String(m), label: words.minutes(m) }))} />
      <p class="hint">{words.longest(spanText(role.longest_s * 1000))}</p>
      <Field label={words.reason} value={reason} required minLength={3} maxLength={500} onInput={(e) => setReason(e.currentTarget.value)} />
      <Field label={words.ticket} value={ticket} required={role.ticket} maxLength={100} onInput={(e) => setTicket(e.currentTarget.value)} />
      <ErrorNote error={error} />
      <div class="row"><Button type="submit" tone="primary" busy={busy} disabled={role.held}>{words.send}</Button></div>
    </form>
  );
}

function Note({ grant, onDone }: { grant: Grant; onDone: () => void }) {
  const [note, setNote] = useState("");
  const { busy, error, run } = useAction();
  const words = t().grants;
  return (
    <form class="stack-small" onSubmit={(e) => {
      e.preventDefault();
      void run(async () => {
        await api("post", "/grants/{id}/note", { path: { id: grant.id }, body: { note } });
        toast(words.noted);
        onDone();
      });
    }}>
      <Field label={`${words.note} · ${grant.role}`} hint={words.noteHint} value={note} required minLength={10} maxLength={2000} onInput={(e) => setNote(e.currentTarget.value)} />
      <ErrorNote error={error} />
      <div class="row"><Button type="submit" tone="primary" small busy={busy}>{words.writeNote}</Button></div>
    </form>
  );
}

function Reviews() {
  const list = useList("reviews", (_, signal) => api("get", "/reviews", { signal }), ["approvals", "people"]);
  const { error, run } = useAction();
  const words = t().grants;
  if (!list.data || list.data.length === 0) return null;
  const answer = (r: Schema["Review"], keep: boolean) =>
    run(async () => {
      await api("post", "/reviews", { body: { name: r.name, role: r.role, keep } });
      toast(keep ? words.kept : words.dropped);
      list.reload();
    });
  return (
    <Card title={words.reviews} flush>
      <p class="hint pad">{words.reviewsLead}</p>
      <ErrorNote error={error} />
      <ListTable list={list} label={words.reviews} keyOf={(r) => `${r.person}:${r.role}`} empty={null}
        columns={[
          { key: "who", label: words.who, kind: "main", render: (r) => <span class="event-title"><span>{r.name}</span><small class="muted block">{r.recertification}</small></span> },
          { key: "role", label: words.role, render: (r) => <>{r.role} {r.soon && <Badge tone="warn">{words.soon}</Badge>}</> },
          { key: "due", label: words.due, render: (r) => <Time at={r.due_at} ago /> },
          { key: "do", label: t().common.actions, kind: "actions", render: (r) => r.can_review ? <span class="row"><Button small onClick={() => void answer(r, true)}>{words.keep}</Button><Button small tone="danger" onClick={() => void answer(r, false)}>{words.drop}</Button></span> : null },
        ]} />
    </Card>
  );
}

export function MyGrants() {
  const roles = useList("grant-roles", (_, signal) => api("get", "/grants/roles", { signal }), ["approvals", "policy"]);
  const grants = useList("grants", (_, signal) => api("get", "/grants", { signal }), ["approvals"]);
  const [end, setEnd] = useState<Grant>();
  const words = t().grants;
  const due = (grants.data ?? []).filter((g) => g.note_due);
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      {due.map((g) => <Card key={g.id} title={words.noteDue}><Note grant={g} onDone={grants.reload} /></Card>)}
      <Card title={words.ask}>
        <ErrorNote error={roles.error} onRetry={roles.reload} />
        {roles.data && (roles.data.length > 0 ? <AskForm roles={roles.data} onDone={grants.reload} /> : <p class="muted">{words.none}</p>)}
      </Card>
      <Card title={words.mine} flush>
        <ListTable list={grants} label={words.mine} keyOf={(g) => g.id} empty={<Empty icon="user" title={words.nothing} />}
          columns={[
            { key: "role", label: words.role, kind: "main", render: (g) => <span class="event-title"><span>{g.role} {g.sealed && <Badge tone="bad">{words.sealed}</Badge>}</span><small class="muted block">{g.reason}</small></span> },
            { key: "since", label: words.since, render: (g) => <Time at={g.started_at} /> },
            { key: "until", label: words.until, render: (g) => g.ended_at ? <span class="muted">{words.ended} <Time at={g.ended_at} ago /></span> : <Time at={g.until_at} ago /> },
            { key: "by", label: words.by, render: (g) => g.ended_by ?? "—" },
            { key: "end", label: t().common.actions, kind: "actions", render: (g) => g.can_end ? <Button small onClick={() => setEnd(g)}>{words.end}</Button> : null },
          ]} />
      </Card>
      <Reviews />
      {end && (
        <Confirm title={words.endTitle} text={<p>{words.endText}</p>} action={words.end} why onClose={() => setEnd(undefined)}
          onYes={async (why) => {
            await api("post", "/grants/{id}/end", { path: { id: end.id }, body: { reason: why || undefined } });
            grants.reload();
          }} />
      )}
    </>
  );
}

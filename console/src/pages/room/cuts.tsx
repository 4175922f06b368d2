// SPDX-License-Identifier: Apache-2.0
// The kill switch: cutting, what is cut now, giving back.
import { useId, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { isAdmin, toast } from "../../lib/state";
import { Badge, Button, Card, Empty, PageHead } from "../../ui/basic";
import { ALL_TARGETS, CutForm } from "../../ui/cut";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { ListTable } from "../../ui/table";
import { said, saidBy } from "../../ui/said";
import { Time } from "../../ui/time";

type Cut = Schema["Cut"];

export function cutName(cut: Cut): string {
  const words = t().room.cut;
  return cut.kind === "everything" ? words.everything : `${t().room.alarms.keys[cut.kind] ?? words.names[cut.kind]} ${cut.name ?? ""}`;
}

function Undo({ cut, onClose, onDone }: { cut: Cut; onClose: () => void; onDone: () => void }) {
  const words = t().room.cuts;
  const id = useId();
  const [reason, setReason] = useState("");
  const { busy, error, run } = useAction();
  const undo = () => run(async () => {
    await api("post", "/cuts/{id}/undo", { path: { id: cut.id }, body: { reason: reason.trim() } });
    toast(words.undone);
    onDone();
    onClose();
  });
  return (
    <Dialog title={words.undoTitle(cutName(cut))} onClose={onClose}>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void undo(); }}>
        <p>{words.undoText}</p>
        <div class="field">
          <label for={id}>{t().room.cut.reason}</label>
          <textarea id={id} class="input" rows={2} required maxLength={500} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />
        </div>
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{words.undo}</Button></div>
      </form>
    </Dialog>
  );
}

export function CutTable({ cuts, old, onDone, empty }: { cuts: ReturnType<typeof useCutList>; old?: boolean; onDone: () => void; empty: preact.ComponentChildren }) {
  const words = t().room.cuts;
  const [undoing, setUndoing] = useState<Cut>();
  return (
    <>
      <ListTable list={cuts} label={old ? words.history : words.inForce} keyOf={(c) => c.id} empty={empty} columns={[
        { key: "what", label: words.what, kind: "main", render: (c) => <span class="event-title">{cutName(c)} <Badge tone={c.ended_at ? "neutral" : c.effect === "deny" ? "bad" : "warn"}>{words.effects[c.effect]}</Badge>{c.incident && <small class="block"><a href={`/incidents/${c.incident}`}>{words.incident(c.incident)}</a></small>}</span> },
        { key: "why", label: words.reason, render: (c) => <span class="keys">{c.reason ? said(c.reason) : "—"}</span> },
        { key: "by", label: words.by, render: (c) => c.by ? saidBy(c.by) : "—" },
        { key: "since", label: words.since, render: (c) => <Time at={c.since_at} ago /> },
        old ? { key: "ended", label: words.ended, render: (c) => <span>{c.ended_at ? <Time at={c.ended_at} ago /> : "—"}<small class="muted block">{[c.ended_by && saidBy(c.ended_by), c.ended_why && said(c.ended_why)].filter(Boolean).join(": ")}</small></span> }
          : { key: "until", label: words.until, render: (c) => c.until_at ? <Time at={c.until_at} /> : <span class="muted">{words.untilUndone}</span> },
        ...(old ? [] : [{ key: "undo", label: t().common.actions, kind: "actions" as const, render: (c: Cut) => isAdmin("security") && c.can_undo ? <Button small onClick={() => setUndoing(c)}>{words.undo}</Button> : null }]),
      ]} />
      {undoing && <Undo cut={undoing} onClose={() => setUndoing(undefined)} onDone={onDone} />}
    </>
  );
}

export const useCutList = (all: boolean) =>
  useList(`cuts:${all}`, async (_, signal) => {
    const page = await api("get", "/cuts", { query: all ? { all: "1" } : {}, signal });
    return { items: all ? page.items.filter((c) => c.ended_at) : page.items, next: null };
  }, ["cuts"]);

export function Cuts() {
  const words = t().room.cuts;
  const now = useCutList(false);
  const old = useCutList(true);
  const [turn, setTurn] = useState(0);
  const security = isAdmin("security");
  const done = () => { now.reload(); old.reload(); setTurn(turn + 1); };
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="cuts-page">
        {security && <Card title={words.new} class="cut-card"><CutForm key={turn} about={{}} targets={ALL_TARGETS} onDone={done} /></Card>}
        <div class="stack">
          <Card title={words.inForce} flush><CutTable cuts={now} onDone={done} empty={<Empty icon="check" title={words.none}><p>{words.noneText}</p></Empty>} /></Card>
          {old.data && old.data.length > 0 && <Card title={words.history} flush><CutTable cuts={old} old onDone={done} empty={null} /></Card>}
          {!security && <p class="hint">{words.forSecurity}</p>}
        </div>
      </div>
    </>
  );
}

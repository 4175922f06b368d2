// SPDX-License-Identifier: Apache-2.0
// Notices for administrators: what was sent and whom it did not reach, sending one, how each channel does.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData, useList } from "../../lib/data";
import { go, place } from "../../lib/router";
import { isAdmin, lang, toast } from "../../lib/state";
import { isGrave, Plain } from "../../ui/banner";
import { Badge, Button, Empty, Facts, Field, PageHead, Segmented, Select, Skeleton, Tabs } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { ListTable, Table } from "../../ui/table";
import { Time } from "../../ui/time";
import { text2, wordIn } from "../../ui/words";

type Notice = Schema["Notice"];
type Delivery = Schema["Delivery"];
interface Template { name: string; title: Record<string, string>; audience: string; severity: string; variables: { name: string; kind: string; sample: string }[] }

/* An audience of the documents, or who an event was about. */
const toWhom = (audience: string): string =>
  audience.startsWith("ask ") ? t().notices.approvers
    : audience.startsWith("person ") ? audience.slice("person ".length)
    : wordIn(t().notices.audiences, audience);

function People({ id }: { id: string }) {
  const [state, setState] = useState<"not_reached" | "waiting" | "handed_over">("not_reached");
  const words = t().notices;
  const list = useList(`notice-people:${id}:${state}`,
    (cursor, signal) => api("get", "/admin/notices/{id}/people", { path: { id }, query: { state, cursor }, signal }), ["health"]);
  return (
    <>
      <Segmented label={words.people} value={state} onChange={setState}
        items={(["not_reached", "waiting", "handed_over"] as const).map((key) => ({ key, label: words.states[key] }))} />
      <ListTable<Delivery> list={list} label={words.people} keyOf={(d) => d.person ?? `post:${d.post}`}
        empty={<p class="muted">{words.nobody}</p>}
        columns={[
          { key: "who", label: words.who, kind: "main", render: (d) => d.person ?? words.post(d.post ?? "") },
          { key: "channel", label: words.channel, render: (d) => d.channel || "—" },
          { key: "why", label: words.why, render: (d) => d.why || "—" },
          { key: "read", label: words.readDone, render: (d) => d.acknowledged_at ? <Time at={d.acknowledged_at} /> : "—" },
        ]} />
    </>
  );
}

function Details({ notice, onClose }: { notice: Notice; onClose: () => void }) {
  const words = t().notices;
  const c = notice.counts;
  return (
    <Dialog title={text2(notice.titles, notice.title)} onClose={onClose} side wide>
      <div class="stack">
        <Facts items={[
          [words.state, words.stages[notice.state]],
          [words.audience, toWhom(notice.audience)],
          [words.sender, notice.sender],
          [words.sent, <Time at={notice.sent_at} />],
          [words.counts, words.countText(c.people, c.handed_over, c.not_reached, c.waiting)],
          [words.readDone, notice.acknowledge_by ? words.readOf(c.acknowledged, c.people) : String(c.acknowledged)],
          [words.readBy, notice.acknowledge_by && <><Time at={notice.acknowledge_by} /> {notice.escalated && <Badge tone="bad">{words.escalated}</Badge>}</>],
        ]} />
        <People id={notice.id} />
      </div>
    </Dialog>
  );
}

function Sent() {
  const list = useList("admin-notices", (_, signal) => api("get", "/admin/notices", { signal }), ["notices", "health"]);
  const [open, setOpen] = useState<string | undefined>(place.value.query.get("open") ?? undefined);
  const words = t().notices;
  const shown = list.data?.find((n) => n.id === open);
  return (
    <>
      <ListTable list={list} label={words.title} keyOf={(n) => n.id} onRow={(n) => setOpen(n.id)}
        empty={<Empty icon="mail" title={words.noneSent} />}
        columns={[
          { key: "title", label: words.notice, kind: "main", render: (n) => <>{text2(n.titles, n.title)} {isGrave(n) && <Badge tone="bad">{t().words.severity[n.severity as "high"]}</Badge>}{n.drill && <Badge tone="warn">{words.drill}</Badge>}</> },
          { key: "to", label: words.audience, render: (n) => toWhom(n.audience) },
          { key: "state", label: words.state, render: (n) => <span class="event-title"><Badge tone={n.state === "finished" ? "neutral" : "accent"}>{words.stages[n.state]}</Badge>{n.incident && <small class="block"><a href={`/incidents/${n.incident}`}>{t().room.incidents.number(n.incident)}</a></small>}</span> },
          { key: "handed", label: words.states.handed_over, kind: "number", render: (n) => `${n.counts.handed_over} / ${n.counts.people}` },
          { key: "not", label: words.states.not_reached, kind: "number", render: (n) => n.counts.not_reached > 0 ? <Badge tone="bad">{n.counts.not_reached}</Badge> : "0" },
          { key: "read", label: words.readDone, kind: "number", render: (n) => n.counts.acknowledged },
          { key: "at", label: words.sent, render: (n) => <Time at={n.sent_at} ago /> },
        ]} />
      {shown && <Details notice={shown} onClose={() => setOpen(undefined)} />}
    </>
  );
}

function Send({ onClose }: { onClose: () => void }) {
  const known = useData("notice-templates", (signal) => api("get", "/admin/notices/templates", { signal }), ["policy"]);
  const [name, setName] = useState("message");
  const [audience, setAudience] = useState("");
  const [values, setValues] = useState<Record<string, string>>({});
  const [drill, setDrill] = useState(false);
  const [shown, setShown] = useState<Record<string, { title: string; text: string }>>();
  const { busy, error, run } = useAction();
  const words = t().notices;
  if (known.error) return <Dialog title={words.send} onClose={onClose}><ErrorNote error={known.error} onRetry={known.reload} /></Dialog>;
  if (!known.data) return <Dialog title={words.send} onClose={onClose}><Skeleton rows={4} /></Dialog>;
  const templates = known.data.notices as unknown as Template[];
  const one = templates.find((n) => n.name === name) ?? templates[0];
  if (!one) return null;
  const body = { notice: one.name, audience: audience || one.audience, drill,
    values: Object.fromEntries(one.variables.filter((v) => values[v.name]).map((v) => [v.name, values[v.name] as string])) };
  const look = () => run(async () => setShown(await api("post", "/admin/notices/preview", { body })));
  const send = () => run(async () => {
    await api("post", "/admin/notices", { body });
    toast(words.sentNow);
    onClose();
  });
  return (
    <Dialog title={words.send} onClose={onClose} side>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void send(); }}>
        <Select label={words.notice} value={one.name} onChange={(to) => { setName(to); setShown(undefined); }}
          options={templates.filter((n) => n.name !== "channel-test").map((n) => ({ value: n.name, label: `${n.name}: ${n.title[lang.value] ?? ""}` }))} />
        <Select label={words.audience} value={audience || one.audience} onChange={setAudience}
          options={known.data.audiences.map((a) => ({ value: a, label: a }))} />
        {one.variables.map((v) => (
          <Field key={v.name} label={v.name} placeholder={v.sample} maxLength={1000} required={!drill} value={values[v.name] ?? ""}
            onInput={(e: { currentTarget: HTMLInputElement }) => setValues({ ...values, [v.name]: e.currentTarget.value })} />
        ))}
        <label class="check"><input type="checkbox" checked={drill} onChange={(e) => setDrill(e.currentTarget.checked)} /> {words.asDrill}</label>
        <ErrorNote error={error} />
        {shown && (["en", "zh"] as const).map((l) => shown[l] && (
          <div key={l} class="note"><div class="note-text"><strong>{shown[l].title}</strong><Plain text={shown[l].text} /></div></div>
        ))}
        <div class="row">
          <Button onClick={() => void look()} busy={busy}>{words.preview}</Button>
          <Button type="submit" tone="primary" busy={busy}>{words.sendNow}</Button>
        </div>
      </form>
    </Dialog>
  );
}

function Channels() {
  const data = useData("channels", (signal) => api("get", "/admin/channels", { signal }), ["health", "policy"]);
  const words = t().notices;
  if (data.error && !data.data) return <ErrorNote error={data.error} onRetry={data.reload} />;
  if (!data.data) return <Skeleton rows={4} />;
  return (
    <>
      {!data.data.courier && <div class="note note-bad"><div class="note-text"><strong>{words.noCourier}</strong></div></div>}
      {data.data.items.length === 0 ? <Empty icon="mail" title={words.noChannels} /> : (
        <Table label={words.channels} rows={data.data.items} keyOf={(c) => c.name}
          columns={[
            { key: "name", label: words.channel, kind: "main", render: (c) => <>{c.name} <Badge>{c.via}</Badge></> },
            { key: "state", label: words.state, render: (c) => c.paused_until ? <Badge tone="warn">{words.silent} <Time at={c.paused_until} /></Badge> : c.failing ? <Badge tone="bad">{words.failing}</Badge> : <Badge tone="good">{words.well}</Badge> },
            { key: "waiting", label: words.states.waiting, kind: "number", render: (c) => c.waiting },
            { key: "handed", label: words.states.handed_over, kind: "number", render: (c) => c.handed_over },
            { key: "why", label: words.why, render: (c) => c.why || "—" },
          ]} />
      )}
    </>
  );
}

export function Notices({ params }: { params: Record<string, string> }) {
  const words = t().notices;
  const tab = params["tab"] === "channels" ? "channels" : "sent";
  const [sending, setSending] = useState(false);
  const security = isAdmin("security");
  return (
    <>
      <PageHead title={words.title} lead={words.lead} actions={security && <Button tone="primary" icon="mail" onClick={() => setSending(true)}>{words.send}</Button>} />
      {security && <Tabs label={words.title} value={tab} onChange={(key) => go(key === "sent" ? "/admin/notices" : "/admin/notices/channels")}
        items={[{ key: "sent", label: words.sentTab }, { key: "channels", label: words.channels }]} />}
      {tab === "channels" && security ? <Channels /> : <Sent />}
      {sending && <Send onClose={() => setSending(false)} />}
    </>
  );
}

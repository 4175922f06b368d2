// SPDX-License-Identifier: Apache-2.0
// What the reader was told, newest first, and on which ways he is told things.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData } from "../../lib/data";
import { toast } from "../../lib/state";
import { isGrave, Plain, textOf, useLetters } from "../../ui/banner";
import { Badge, Button, Card, Empty, Facts, Field, IconButton, PageHead, Select, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Time } from "../../ui/time";

function Letter({ letter, onRead, busy }: { letter: Schema["Letter"]; onRead: () => void; busy: boolean }) {
  const words = t().notices;
  const open = letter.must_acknowledge && !letter.acknowledged_at;
  return (
    <Card title={textOf(letter).title} actions={
      <>
        {letter.drill && <Badge tone="warn">{words.drill}</Badge>}
        {letter.acknowledged_at ? <Badge tone="good" icon="check">{words.readDone}</Badge> : open && <Badge tone={isGrave(letter) ? "bad" : "warn"}>{words.toRead}</Badge>}
      </>
    }>
      <div class="stack-small">
        <Plain text={textOf(letter).text} />
        <p class="row">
          {!letter.acknowledged_at && <Button small tone={open ? "primary" : "plain"} busy={busy} onClick={onRead}>{words.read}</Button>}
          <span class="muted">{letter.sender} · <Time at={letter.sent_at} ago /></span>
        </p>
      </div>
    </Card>
  );
}

type Reach = Schema["Reach"];
type Way = Reach["channels"][number];

/* One's own order of channels, and how one is called there; the mailbox is that of the account. */
function Ways({ reach, set }: { reach: Reach; set: (next: Reach) => void }) {
  const words = t().notices;
  const [ways, setWays] = useState<Way[]>(reach.channels);
  const [adding, setAdding] = useState("");
  const { busy, error, run } = useAction();
  const isMail = (channel: string) => reach.known.find((k) => k.name === channel)?.via === "email";
  const left = reach.known.map((k) => k.name).filter((name) => !ways.some((w) => w.channel === name));
  const next = left.includes(adding) ? adding : left[0];
  const ready = ways.every((w) => isMail(w.channel) || w.id.trim() !== "");
  const save = () => run(async () => {
    set(await api("put", "/me/reach", { body: { channels: ways.map((w) => (isMail(w.channel) ? { channel: w.channel } : { channel: w.channel, id: w.id.trim() })) } }));
    toast(words.waysSaved);
  });
  const earlier = (at: number) => setWays(ways.map((w, i) => (i === at - 1 ? ways[at] : i === at ? ways[at - 1] : w) ?? w));
  return (
    <form class="stack-small" aria-label={words.waysOrder} onSubmit={(event) => { event.preventDefault(); if (ready) void save(); }}>
      <h3>{words.waysOrder}</h3>
      {ways.length === 0 ? <p class="muted">{words.noWays}</p> : (
        <ol class="ways">
          {ways.map((w, at) => (
            <li key={w.channel}>
              {isMail(w.channel) ? <p><b>{w.channel}</b><span class="muted block">{reach.mail || words.noMail}</span></p>
                : <Field label={words.wayId(w.channel)} value={w.id} required maxLength={64} autocomplete="off" pattern="[A-Za-z0-9_.+\-]+" hint={words.wayIdHint}
                    onInput={(e: { currentTarget: HTMLInputElement }) => setWays(ways.map((one, i) => (i === at ? { ...one, id: e.currentTarget.value } : one)))} />}
              <span class="row">
                {at > 0 && <IconButton icon="up" label={words.earlier(w.channel)} onClick={() => earlier(at)} />}
                <IconButton icon="close" label={words.dropWay(w.channel)} onClick={() => setWays(ways.filter((_, i) => i !== at))} />
              </span>
            </li>
          ))}
        </ol>
      )}
      {next && (
        <div class="row ways-add">
          <Select label={words.addWay} hideLabel value={next} onChange={setAdding} options={left.map((value) => ({ value, label: value }))} />
          <Button small icon="plus" onClick={() => setWays([...ways, { channel: next, id: "" }])}>{words.addWay}</Button>
        </div>
      )}
      <ErrorNote error={error} />
      <div class="row row-end"><Button type="submit" tone="primary" busy={busy} disabled={!ready}>{t().common.save}</Button></div>
    </form>
  );
}

function Reach() {
  const reach = useData("my-reach", (signal) => api("get", "/me/reach", { signal }), ["policy"]);
  const words = t().notices;
  if (reach.error) return <ErrorNote error={reach.error} onRetry={reach.reload} />;
  if (!reach.data) return <Skeleton rows={2} />;
  return (
    <Card title={words.ways}>
      <p class="hint">{words.waysText}</p>
      <Facts items={[[words.mailbox, reach.data.mail || words.noMail]]} />
      {(reach.data.known.length > 0 || reach.data.channels.length > 0) && <Ways reach={reach.data} set={reach.set} />}
    </Card>
  );
}

export function MyNotices() {
  const list = useLetters();
  const { error, busy, run } = useAction();
  const words = t().notices;
  const read = (id: string) => run(() => api("post", "/me/notices/{id}/acknowledge", { path: { id } }).then(list.reload));
  return (
    <>
      <PageHead title={words.mine} lead={words.mineLead} />
      <div class="stack">
      <ErrorNote error={error} />
      {list.error && !list.data ? <ErrorNote error={list.error} onRetry={list.reload} /> : !list.data ? <Skeleton rows={5} />
        : list.data.items.length === 0 ? <Empty icon="mail" title={words.none}>{words.noneText}</Empty>
        : <div class="stack">{list.data.items.map((l) => <Letter key={l.id} letter={l} busy={busy} onRead={() => void read(l.id)} />)}</div>}
      <Reach />
      </div>
    </>
  );
}

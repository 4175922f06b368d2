// SPDX-License-Identifier: Apache-2.0
// What the reader was told, newest first, and on which ways he is told things.
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData } from "../../lib/data";
import { isGrave, Plain, textOf, useLetters } from "../../ui/banner";
import { Badge, Button, Card, Empty, Facts, PageHead, Skeleton } from "../../ui/basic";
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

function Reach() {
  const reach = useData("my-reach", (signal) => api("get", "/me/reach", { signal }), ["me", "policy"]);
  const words = t().notices;
  if (reach.error) return <ErrorNote error={reach.error} onRetry={reach.reload} />;
  if (!reach.data) return <Skeleton rows={2} />;
  return (
    <Card title={words.ways}>
      <p class="hint">{words.waysText}</p>
      <Facts items={[
        [words.mailbox, reach.data.mail || words.noMail],
        ...reach.data.channels.map((c): [string, string] => [c.channel, c.id || "✓"]),
      ]} />
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

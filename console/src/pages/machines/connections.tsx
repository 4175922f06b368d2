// SPDX-License-Identifier: Apache-2.0
// SSH connections that are open: who, where, what runs; watching, freezing and ending them.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { toast } from "../../lib/state";
import { Badge, Button, Empty } from "../../ui/basic";
import { Confirm } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { ListTable } from "../../ui/table";
import { Time } from "../../ui/time";

type Connection = Schema["SshConnection"];
type Channel = Schema["SshChannel"];

export function Channels({ items }: { items: Channel[] }) {
  const words = t().machines;
  if (items.length === 0) return <span class="muted">—</span>;
  return (
    <span class="channels">
      {items.slice(0, 4).map((c) => (
        <span key={c.number}><Badge>{words.kinds[c.kind]}</Badge> {c.object && c.object !== c.kind && <code class="plain" title={c.object}>{c.object.length > 60 ? `${c.object.slice(0, 60)}…` : c.object}</code>}</span>
      ))}
      {items.length > 4 && <small class="muted">{words.moreChannels(items.length - 4)}</small>}
    </span>
  );
}

export function Watched({ connection }: { connection: Connection }) {
  const words = t().machines;
  return (
    <span class="row">
      {connection.frozen && <Badge tone="warn" icon="snow">{connection.frozen_by ? words.frozenBy(connection.frozen_by) : words.frozenByAlarm}</Badge>}
      {connection.alarm && <Badge tone="bad" icon="alert">{words.alarmTexts[connection.alarm.text] ?? connection.alarm.text}</Badge>}
      {connection.watchers.length > 0 ? <Badge tone="accent" icon="eye">{connection.watchers.join(", ")}</Badge>
        : connection.watch_needed ? <Badge tone="warn" icon="eye">{words.needsWatcher}</Badge> : null}
    </span>
  );
}

export function EndSsh({ connection, onClose, onDone }: { connection: Connection; onClose: () => void; onDone?: () => void }) {
  const words = t().machines;
  return (
    <Confirm title={words.endTitle(connection.person.name, connection.resource)} text={<p>{words.endText}</p>} action={words.end} why onClose={onClose}
      onYes={async (why) => {
        await api("post", "/ssh/connections/{id}/end", { path: { id: connection.id }, body: why ? { why } : {} });
        toast(words.ended);
        onDone?.();
      }} />
  );
}

export async function freeze(connection: Connection): Promise<void> {
  await api("post", "/ssh/connections/{id}/freeze", { path: { id: connection.id }, body: { frozen: !connection.frozen } });
}

export function Connections({ mine }: { mine?: boolean }) {
  const list = useList(`ssh-connections:${mine}`, (_, signal) => api("get", "/ssh/connections", { query: mine ? { mine: "1" } : {}, signal }), ["ssh", "me"]);
  const [ending, setEnding] = useState<Connection>();
  const { error, run } = useAction();
  const words = t().machines;
  return (
    <>
      <ErrorNote error={error} />
      <ListTable list={list} label={words.connections} keyOf={(c) => c.id} rowClass={(c) => (c.frozen || (c.watch_needed && c.watchers.length === 0) ? "row-pending" : undefined)}
        empty={<Empty icon="terminal" title={words.noConnections}><p>{words.noConnectionsText}</p></Empty>}
        columns={[
          { key: "who", label: words.person, kind: "main", render: (c) => <span class="event-title">{c.person.name}<small class="muted block">{c.device?.name ?? words.noDevice} · <code class="plain">{c.address}</code></small></span> },
          { key: "machine", label: words.machine, render: (c) => <span>{c.resource}<small class="muted block"><code class="plain">{c.account}</code></small></span> },
          { key: "runs", label: words.runs, render: (c) => <Channels items={c.channels} /> },
          { key: "watch", label: words.watching, render: (c) => <Watched connection={c} /> },
          { key: "since", label: words.since, render: (c) => <span><Time at={c.opened_at} ago /><small class="muted block"><code class="plain reference">{c.id}</code></small></span> },
          { key: "actions", label: t().common.actions, kind: "actions", render: (c) => (
            <span class="row row-end">
              {c.can.watch && <a class="button button-plain button-small" href={`/watch/${c.id}`}>{words.watch}</a>}
              {c.can.freeze && <Button small tone="quiet" onClick={() => void run(() => freeze(c).then(list.reload))}>{c.frozen ? words.thaw : words.freeze}</Button>}
              {c.can.end && <Button small onClick={() => setEnding(c)}>{words.end}</Button>}
            </span>
          ) },
        ]} />
      {ending && <EndSsh connection={ending} onClose={() => setEnding(undefined)} onDone={list.reload} />}
    </>
  );
}

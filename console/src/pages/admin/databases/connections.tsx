// SPDX-License-Identifier: Apache-2.0
// Who is connected to which database, as which account; ending a connection, cancelling what it runs.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../../api/client";
import { t } from "../../../i18n";
import { useAction, useList } from "../../../lib/data";
import { isAdmin, toast } from "../../../lib/state";
import { Button, Empty } from "../../../ui/basic";
import { Confirm } from "../../../ui/dialog";
import { ErrorNote } from "../../../ui/errors";
import { ListTable } from "../../../ui/table";
import { Time } from "../../../ui/time";

type Connection = Schema["DatabaseConnection"];

export function EndConnection({ id, what, onClose, onDone }: { id: string; what: string; onClose: () => void; onDone: () => void }) {
  const words = t().watch;
  return (
    <Confirm title={words.endTitle(what)} text={<p>{words.endText}</p>} action={words.endConnection} why onClose={onClose}
      onYes={async (why) => {
        await api("post", "/admin/databases/connections/{id}/end", { path: { id }, body: why ? { why } : {} });
        toast(words.ended);
        onDone();
      }} />
  );
}

export function Connections() {
  const list = useList("db-connections", (_, signal) => api("get", "/admin/databases/connections", { signal }), ["databases"]);
  const [ending, setEnding] = useState<Connection>();
  const { error, run } = useAction();
  const words = t().watch;
  const security = isAdmin("security");
  const cancel = (c: Connection) => void run(async () => {
    await api("post", "/admin/databases/connections/{id}/cancel", { path: { id: c.id }, body: {} });
    toast(words.cancelled);
  });
  return (
    <>
      <ErrorNote error={error} />
      <ListTable list={list} label={words.connections} keyOf={(c) => c.id} empty={<Empty icon="session" title={words.noConnections}><p>{words.noConnectionsText}</p></Empty>}
        columns={[
          { key: "person", label: words.person, kind: "main", render: (c) => <span class="event-title">{c.person.name}{c.device && <small class="muted block">{c.device.name}</small>}</span> },
          { key: "resource", label: words.resource, render: (c) => <span>{c.resource}<small class="muted block">{c.database}</small></span> },
          { key: "account", label: words.account, render: (c) => <code class="plain">{c.account}</code> },
          { key: "application", label: words.application, render: (c) => c.application || "—" },
          { key: "address", label: t().ledger.peer, render: (c) => <code class="plain">{c.address}</code> },
          { key: "since", label: words.since, render: (c) => <Time at={c.opened_at} ago /> },
          { key: "session", label: t().ledger.session, render: (c) => security ? <a href={`/admin/sessions/${c.session}`}>{words.toSession}</a> : <code class="plain">{c.session}</code> },
          { key: "actions", label: t().common.actions, kind: "actions", render: (c) => security ? (
            <span class="row row-end">
              <Button small tone="quiet" onClick={() => cancel(c)}>{words.cancelStatement}</Button>
              <Button small onClick={() => setEnding(c)}>{words.endConnection}</Button>
            </span>) : null },
        ]} />
      {ending && <EndConnection id={ending.id} what={words.connectionOf(ending.person.name, ending.resource)} onClose={() => setEnding(undefined)} onDone={list.reload} />}
    </>
  );
}

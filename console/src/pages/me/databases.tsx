// SPDX-License-Identifier: Apache-2.0
// My databases: where they are, a password for ten minutes, and what I have open there.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { lang, toast } from "../../lib/state";
import { Badge, Button, Card, CopyBox, Empty, Facts, PageHead, Select, Skeleton } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Time } from "../../ui/time";

type Database = Schema["Database"];
type Token = Schema["DatabaseToken"];
type Connection = Schema["DatabaseConnection"];

const titleOf = (database: Database) =>
  (lang.value === "zh" && database.title.zh) || database.title.en || database.name;

function TokenDialog({ database, onClose }: { database: Database; onClose: () => void }) {
  const [name, setName] = useState(database.databases[0] ?? "");
  const [token, setToken] = useState<Token>();
  const { busy, error, run } = useAction();
  const words = t().databases;
  const make = () => run(async () => setToken(await api("post", "/me/databases/{resource}/tokens", {
    path: { resource: database.name }, body: name === database.databases[0] ? {} : { database: name },
  })));
  return (
    <Dialog title={words.tokenTitle(titleOf(database))} onClose={onClose}>
      <div class="stack">
        {token ? (
          <>
            <CopyBox text={token.password} label={words.password} />
            <p class="hint">{words.until} <Time at={token.expires_at} /></p>
            <CopyBox text={`host=${token.host} port=${token.port} user=${token.user} dbname=${token.database} sslmode=verify-full`} label={words.connection} />
            <p class="muted">{words.once}</p>
          </>
        ) : (
          <>
            <p>{words.tokenText}</p>
            {database.databases.length > 1 && (
              <Select label={words.database} value={name} onChange={setName} options={database.databases.map((value) => ({ value, label: value }))} />
            )}
            <div class="row row-end"><Button tone="primary" icon="key" busy={busy} onClick={() => void make()}>{words.make}</Button></div>
          </>
        )}
        <ErrorNote error={error} />
      </div>
    </Dialog>
  );
}

function DatabaseCard({ database, open, onToken, onEnd }: {
  database: Database; open: Connection[]; onToken: () => void; onEnd: (connection: Connection) => void;
}) {
  const words = t().databases;
  return (
    <Card title={<><Icon name="resource" /> {titleOf(database)} {open.length > 0 && <Badge tone="accent">{words.open(open.length)}</Badge>}</>}
      actions={<Button small icon="key" disabled={database.port === 0} onClick={onToken}>{words.token}</Button>}>
      <Facts items={[
        [words.name, <code>{database.name}</code>],
        [words.all, database.databases.join(", ")],
        [words.account, <code>{database.account}</code>],
        [words.address, database.port === 0 ? words.noGate : <code>{database.host}<wbr />:{database.port}</code>],
      ]} />
      <CopyBox text={`sallyport psql ${database.name}`} label={words.command} />
      {open.length > 0 && (
        <ul class="checks">
          {open.map((connection) => (
            <li key={connection.id}>
              <Icon name="session" size={15} />
              <span>{connection.application || words.someClient} · {connection.database} · <Time at={connection.opened_at} ago /></span>
              <Button small tone="quiet" icon="close" onClick={() => onEnd(connection)}>{words.end}</Button>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

export function MyDatabases() {
  const list = useList("my-databases", (_, signal) => api("get", "/me/databases", { signal }), ["me", "policy"]);
  const open = useList("my-connections", (_, signal) => api("get", "/me/databases/connections", { signal }), ["me"]);
  const [chosen, setChosen] = useState<Database>();
  const { error, run } = useAction();
  const words = t().databases;
  const end = (connection: Connection) => void run(async () => {
    await api("post", "/me/databases/connections/{id}/end", { path: { id: connection.id }, body: {} });
    toast(words.ended);
    open.reload();
  });
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <ErrorNote error={error ?? open.error} />
      {list.error ? <ErrorNote error={list.error} onRetry={list.reload} />
        : !list.data ? <Skeleton rows={3} />
        : list.data.length === 0 ? <Empty icon="resource" title={words.none}><p>{words.noneText}</p></Empty>
        : <div class="cards">{list.data.map((database) => (
            <DatabaseCard key={database.name} database={database} open={(open.data ?? []).filter((c) => c.resource === database.name)}
              onToken={() => setChosen(database)} onEnd={end} />
          ))}</div>}
      {chosen && <TokenDialog database={chosen} onClose={() => setChosen(undefined)} />}
    </>
  );
}

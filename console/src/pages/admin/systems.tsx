// SPDX-License-Identifier: Apache-2.0
// Other systems: tokens with which they open incidents, and sinks that get every event.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData, useList } from "../../lib/data";
import { isAdmin, toast } from "../../lib/state";
import { Badge, Button, Card, CopyBox, Empty, Field, PageHead, Skeleton } from "../../ui/basic";
import { Confirm, Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { ListTable, Table } from "../../ui/table";
import { formatNumber, Time } from "../../ui/time";

type Token = Schema["ApiToken"];

/* The token is in this dialog and nowhere else: closing it forgets it. */
function MakeToken({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [name, setName] = useState("");
  const [made, setMade] = useState<{ name: string; token: string }>();
  const { busy, error, run } = useAction();
  const words = t().systems;
  const make = () => run(async () => {
    const { name: of, token } = await api("post", "/admin/api-tokens", { body: { name: name.trim() } });
    setMade({ name: of, token });
    onDone();
  });
  return (
    <Dialog title={words.make} onClose={onClose}>
      {made ? (
        <div class="stack">
          <div class="note note-good"><Icon name="key" /><div class="note-text"><strong>{words.tokenOf(made.name)}</strong><p>{words.once}</p></div></div>
          <CopyBox text={made.token} label={words.tokenOf(made.name)} />
          <p class="hint">{words.use} <code class="wrap">POST {location.origin}/api/v1/hooks/incidents</code></p>
          <div class="row row-end"><Button tone="primary" onClick={onClose}>{t().common.done}</Button></div>
        </div>
      ) : (
        <form class="stack" onSubmit={(e) => { e.preventDefault(); void make(); }}>
          <Field label={words.name} value={name} required autoFocus maxLength={59} pattern="[a-z0-9][a-z0-9._\-]*" autocomplete="off" hint={words.nameHint} onInput={(e) => setName(e.currentTarget.value)} />
          <ErrorNote error={error} />
          <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{words.make}</Button></div>
        </form>
      )}
    </Dialog>
  );
}

function Tokens() {
  const list = useList("api-tokens", (_, signal) => api("get", "/admin/api-tokens", { signal }));
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Token>();
  const words = t().systems;
  const may = isAdmin("security");
  return (
    <Card title={<><Icon name="key" /> {words.tokens}</>} actions={may && <Button small icon="plus" onClick={() => setMaking(true)}>{words.make}</Button>}>
      <p class="muted">{words.tokensLead}</p>
      <ListTable list={list} label={words.tokens} keyOf={(token) => token.id} empty={<Empty icon="key" title={words.noTokens}><p>{words.noTokensText}</p></Empty>}
        columns={[
          { key: "name", label: words.name, kind: "main", render: (token) => <span class="event-title">{token.name}<small class="muted block">{words.scopes[token.scope]}</small></span> },
          { key: "made", label: words.made, render: (token) => <span><Time at={token.created_at} /><small class="muted block">{token.created_by}</small></span> },
          { key: "used", label: words.used, render: (token) => token.used_at ? <Time at={token.used_at} ago /> : <span class="muted">{words.never}</span> },
          { key: "actions", label: t().common.actions, kind: "actions", render: (token) => may ? <Button small tone="quiet" icon="close" onClick={() => setRevoking(token)}>{words.revoke}</Button> : null },
        ]} />
      {making && <MakeToken onClose={() => setMaking(false)} onDone={list.reload} />}
      {revoking && (
        <Confirm title={words.revokeTitle(revoking.name)} text={<p>{words.revokeText}</p>} action={words.revoke} onClose={() => setRevoking(undefined)}
          onYes={async () => {
            await api("delete", "/admin/api-tokens/{id}", { path: { id: revoking.id } });
            toast(words.revoked);
            list.reload();
          }} />
      )}
    </Card>
  );
}

/* What a sink is proved by goes in, and never comes out again. */
function SinkSecret({ sink, part, onClose, onDone }: { sink: string; part: "token" | "secret"; onClose: () => void; onDone: () => void }) {
  const words = t().systems;
  const [value, setValue] = useState("");
  const { busy, error, run } = useAction();
  const label = words.keepSecret(words.secret[part], sink);
  const keep = () => run(async () => {
    await api("put", "/admin/sinks/{name}/secrets/{part}", { path: { name: sink, part }, body: { value } });
    toast(words.secretKept);
    onDone();
    onClose();
  });
  return (
    <Dialog title={label} onClose={onClose}>
      <form class="stack" onSubmit={(e) => { e.preventDefault(); void keep(); }}>
        <p>{words.secretText}</p>
        <Field label={label} type="password" value={value} required autoFocus autocomplete="off" maxLength={1024} onInput={(e) => setValue(e.currentTarget.value)} />
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{t().common.save}</Button></div>
      </form>
    </Dialog>
  );
}

function Sinks() {
  const [setting, setSetting] = useState<{ sink: string; part: "token" | "secret" }>();
  const may = isAdmin("security");
  const data = useData("sinks", (signal) => api("get", "/admin/sinks", { signal }), ["health", "policy"]);
  const words = t().systems;
  return (
    <Card title={<><Icon name="out" /> {words.sinks}</>}>
      <p class="muted">{words.sinksLead}</p>
      {data.error && !data.data ? <ErrorNote error={data.error} onRetry={data.reload} /> : !data.data ? <Skeleton rows={2} />
        : data.data.items.length === 0 ? <Empty icon="out" title={words.noSinks}><p>{words.noSinksText}</p></Empty> : (
          <Table label={words.sinks} rows={data.data.items} keyOf={(sink) => sink.name} columns={[
            { key: "name", label: words.name, kind: "main", render: (sink) => <span class="event-title">{sink.name} <Badge>{sink.via}</Badge><small class="muted block">{sink.address}</small></span> },
            { key: "state", label: words.state, render: (sink) => <span>{!sink.up ? <Badge tone="warn">{words.unknown}</Badge> : sink.failing ? <Badge tone="bad">{words.failing}</Badge> : <Badge tone="good">{words.well}</Badge>}{sink.why && <small class="muted block">{sink.why}</small>}</span> },
            { key: "behind", label: words.behind, kind: "number", render: (sink) => sink.behind === null ? "—" : formatNumber(Number(sink.behind)) },
            { key: "events", label: words.events, kind: "number", render: (sink) => formatNumber(Number(sink.events)) },
            { key: "last", label: words.last, render: (sink) => <Time at={sink.last_at} ago /> },
            { key: "actions", label: t().common.actions, kind: "actions", render: (sink) => may ? (
              <span class="row row-end">
                {(["token", "secret"] as const).filter((part) => (part === "token" ? sink.needs_token : sink.needs_secret)).map((part) => (
                  <Button key={part} small tone="quiet" icon="key" onClick={() => setSetting({ sink: sink.name, part })}>{words.setSecret(words.secret[part])}</Button>
                ))}
              </span>
            ) : null },
          ]} />
        )}
      {setting && <SinkSecret {...setting} onClose={() => setSetting(undefined)} onDone={data.reload} />}
    </Card>
  );
}

function Metrics() {
  const words = t().systems;
  const [made, setMade] = useState<string>();
  const [asking, setAsking] = useState<"make" | "drop">();
  return (
    <Card title={<><Icon name="overview" /> {words.metrics}</>} actions={<span class="row"><Button small tone="quiet" onClick={() => setAsking("drop")}>{words.dropMetrics}</Button><Button small icon="plus" onClick={() => setAsking("make")}>{words.newMetrics}</Button></span>}>
      <p class="muted">{words.metricsText}</p>
      {asking && (
        <Confirm title={asking === "make" ? words.metricsSure : `${words.dropMetrics}?`} text={<p>{words.metricsText}</p>} action={asking === "make" ? words.newMetrics : words.dropMetrics} onClose={() => setAsking(undefined)}
          onYes={async () => {
            if (asking === "make") setMade((await api("post", "/admin/metrics/token")).token);
            else {
              await api("delete", "/admin/metrics/token");
              toast(words.metricsGone);
            }
          }} />
      )}
      {made && (
        <Dialog title={words.metricsOf} onClose={() => setMade(undefined)}>
          <div class="stack">
            <p>{words.once}</p>
            <CopyBox text={made} label={words.metricsOf} />
            <div class="row row-end"><Button tone="primary" onClick={() => setMade(undefined)}>{t().common.done}</Button></div>
          </div>
        </Dialog>
      )}
    </Card>
  );
}

export function Systems() {
  const words = t().systems;
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="stack">
        {(isAdmin("security") || isAdmin("audit")) && <Tokens />}
        <Sinks />
        {isAdmin("system") && <Metrics />}
      </div>
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Resources and data classes of the policy in force.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { Badge, Card, Empty, Facts, PageHead, Skeleton } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Table } from "../../ui/table";
import { formatBytes } from "../../ui/time";
import { ClassBadge, text2 } from "../../ui/words";

type Resource = Schema["Resource"];

const upstreamOf = (r: Resource) => r.web?.upstream ?? r.address;

function Details({ resource: r, onClose }: { resource: Resource; onClose: () => void }) {
  const words = t().resources;
  return (
    <Dialog title={text2(r.title, r.name)} onClose={onClose} side>
      <div class="stack">
        <Facts items={[
          [words.name, <code>{r.name}</code>],
          [words.class, <ClassBadge name={r.class} />],
          [words.tags, r.tags?.length ? <span class="chips">{r.tags.map((tag) => <Badge key={tag}>{tag}</Badge>)}</span> : undefined],
          [words.operator, r.operator],
          [words.address, r.web && <a href={r.web.url} target="_blank" rel="noopener">{r.web.url}</a>],
          [words.upstream, upstreamOf(r) && <code>{upstreamOf(r)}</code>],
          [words.websocket, r.web && (r.web.websocket ? t().common.yes : t().common.no)],
          [words.token, r.web && (r.web.identity_jwt ? t().common.yes : t().common.no)],
          [words.upload, r.web?.upload_max_bytes ? formatBytes(r.web.upload_max_bytes) : undefined],
        ]} />
        <h3>{words.parts}</h3>
        {r.parts.length === 0 ? <p class="muted">{words.noParts}</p> : (
          <Table label={words.parts} rows={r.parts} keyOf={(p) => p.name + p.path} columns={[
            { key: "name", label: words.part, kind: "main", render: (p) => <span class="event-title"><span>{p.name}</span>{p.path && <small class="muted block"><code>{p.path}</code></small>}</span> },
            { key: "class", label: words.class, render: (p) => <ClassBadge name={p.class} /> },
            { key: "tags", label: words.tags, render: (p) => <span class="chips">{p.tags?.map((tag) => <Badge key={tag}>{tag}</Badge>)}</span> },
          ]} />
        )}
      </div>
    </Dialog>
  );
}

export function Resources() {
  const resources = useData("resources", (signal) => api("get", "/admin/resources", { signal }), ["policy"]);
  const classes = useData("classes", (signal) => api("get", "/admin/classes", { signal }), ["policy"]);
  const [open, setOpen] = useState<Resource>();
  const words = t().resources;
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <Card title={words.classes}>
        {classes.error ? <ErrorNote error={classes.error} onRetry={classes.reload} /> : !classes.data ? <Skeleton rows={1} /> : (
          <ol class="class-ladder">
            {classes.data.items.map((c) => <li key={c.name}><ClassBadge name={c.name} /><span class="muted">{words.carry(c.resources ?? 0)}</span></li>)}
          </ol>
        )}
      </Card>
      {resources.error ? <ErrorNote error={resources.error} onRetry={resources.reload} />
        : !resources.data ? <Skeleton rows={6} />
        : resources.data.items.length === 0 ? <Empty icon="resource" title={words.none}><p>{words.noneText}</p></Empty> : (
          <Table label={words.title} rows={resources.data.items} keyOf={(r) => r.name} onRow={setOpen} columns={[
            { key: "name", label: words.resource, kind: "main", render: (r) => <span class="event-title"><span>{text2(r.title, r.name)}</span><small class="muted block">{r.web?.host ?? r.name}</small></span> },
            { key: "class", label: words.class, render: (r) => <ClassBadge name={r.class} /> },
            { key: "tags", label: words.tags, render: (r) => <span class="chips">{r.tags?.length ? r.tags.map((tag) => <Badge key={tag}>{tag}</Badge>) : "—"}</span> },
            { key: "parts", label: words.parts, kind: "number", render: (r) => r.parts.length },
            { key: "operator", label: words.operator, render: (r) => r.operator ?? "—" },
            { key: "upstream", label: words.upstream, render: (r) => <code class="plain">{upstreamOf(r) ?? "—"}</code> },
          ]} />
        )}
      {open && <Details resource={open} onClose={() => setOpen(undefined)} />}
    </>
  );
}

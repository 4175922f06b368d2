// SPDX-License-Identifier: Apache-2.0
// Where I am signed in, and how to end what I don't know.
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { toast } from "../../lib/state";
import { Badge, Button, Empty, PageHead } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { ListTable, type Column } from "../../ui/table";
import { Time } from "../../ui/time";
import { Strength } from "../../ui/words";

type Session = Schema["Session"];

export function sessionColumns(): Column<Session>[] {
  const words = t().sessions;
  return [
    { key: "device", label: words.device, render: (s) => s.device ? s.device.name : <span class="muted">{words.noDevice}</span> },
    { key: "strength", label: words.strength, render: (s) => <Strength strength={s.strength} /> },
    { key: "peer", label: words.peer, render: (s) => <code class="plain">{s.peer ?? "—"}</code> },
    { key: "started", label: words.started, render: (s) => <Time at={s.started_at} /> },
    { key: "seen", label: words.seen, render: (s) => <Time at={s.seen_at ?? s.authenticated_at} ago /> },
  ];
}
/* "Chrome · Linux" of what a browser says of itself; else its own words. */
const BROWSERS = [["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["HeadlessChrome/", "Chrome"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]] as const;
const SYSTEMS = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS X", "macOS"], ["Linux", "Linux"]] as const;
export function agentName(agent: string): string {
  const browser = BROWSERS.find(([mark]) => agent.includes(mark))?.[1];
  const system = SYSTEMS.find(([mark]) => agent.includes(mark))?.[1];
  if (browser && system && agent.startsWith("Mozilla/")) return `${browser} · ${system}`;
  return agent.startsWith("sallyport/") ? t().sessions.kinds.cli : agent;
}
export function SessionName({ session }: { session: Session }) {
  return (
    <span class="with-icon">
      <Icon name={session.kind !== "browser" ? "terminal" : "globe"} />
      <span class="wrap" title={session.agent || undefined}>{session.agent ? agentName(session.agent) : t().sessions.kinds[session.kind]}{session.hosts && session.hosts.length > 0 && <small class="muted block">{session.hosts.join(", ")}</small>}</span>
      {session.current && <Badge tone="accent">{t().sessions.thisOne}</Badge>}
    </span>
  );
}

export function MySessions() {
  const list = useList("my-sessions", (_, signal) => api("get", "/me/sessions", { signal }), ["me"]);
  const { error, run } = useAction();
  const words = t().sessions;
  const end = (s: Session) =>
    run(async () => {
      await api("delete", "/me/sessions/{id}", { path: { id: s.id } });
      toast(words.ended);
      list.reload();
    });
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <ErrorNote error={error} />
      <ListTable list={list} label={words.title} keyOf={(s) => s.id} empty={<Empty icon="session" title={words.none} />}
        columns={[
          { key: "what", label: words.what, kind: "main", render: (s) => <SessionName session={s} /> },
          ...sessionColumns(),
          { key: "end", label: t().common.actions, kind: "actions", render: (s) => (
            <span class="row row-end">
              <a href={`/sessions/${s.id}`}>{words.record}</a>
              {!s.current && <Button small onClick={() => void end(s)}>{words.end}</Button>}
            </span>) },
        ]} />
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// One tile of the wall: a terminal as it goes, or the statements of a connection. What people and
// machines wrote is text on the page and nothing else.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api } from "../../api/client";
import { t } from "../../i18n";
import { useAction } from "../../lib/data";
import { go } from "../../lib/router";
import { isAdmin, toast } from "../../lib/state";
import { type Item, type Ssh } from "../../lib/wall";
import { useTerminal, useWatching } from "../../lib/watching";
import { Badge, Button, cx } from "../../ui/basic";
import { CutDialog, type About } from "../../ui/cut";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Screen } from "../../ui/screen";
import { Cost } from "../../ui/statement";
import { Time } from "../../ui/time";
import { ClassBadge, wordIn } from "../../ui/words";
import { freeze, Watched } from "../machines/connections";

const LEAST_PX = 6;
const STATEMENTS = 40;
const TEXT_MOST = 600;

export const aboutOf = (item: Item): About => ({
  connection: item.ssh ? { gate: "ssh", id: item.ssh.id } : item.db ? { gate: "sql", id: item.db.id } : undefined,
  session: item.ssh?.session ?? item.db?.session, person: item.person, device: item.ssh?.device?.name ?? item.db?.device?.name, resource: item.resource,
});
export const placeOf = (item: Item): string =>
  item.ssh ? `/watch/${item.ssh.id}` : `/admin/sessions/${item.db?.session ?? ""}`;

function Frame({ item, badges, children, actions, error, still, onKey }: {
  item: Item; badges?: ComponentChildren; children: ComponentChildren; actions: ComponentChildren; error?: unknown; still?: boolean; onKey: (key: string) => void;
}) {
  const words = t().room.tile;
  const c = item.ssh ?? item.db;
  const kind = item.kind === "terminal" ? words.terminal : words.sql;
  return (
    <article class={cx("wall-tile", `urgent-${item.urgency}`, still && "wall-still")} tabIndex={0} data-key={item.key} aria-label={words.label(kind, item.person, item.resource)}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key === "Enter") go(placeOf(item));
        else onKey(event.key.toLowerCase());
      }}>
      <header class="wall-head">
        <Icon name={item.kind === "terminal" ? "terminal" : "resource"} size={16} />
        <h3><span>{item.person}</span> <small>{item.resource}</small></h3>
        <ClassBadge name={item.classes} />
      </header>
      {badges && <div class="wall-badges">{badges}</div>}
      <div class="wall-body">{children}</div>
      <ErrorNote error={error} />
      <footer class="wall-foot">
        <span class="muted clip"><code class="plain">{c?.account}</code> · {c?.device?.name ?? t().machines.noDevice} · <code class="plain">{c?.address}</code> · <Time at={item.since} ago /></span>
        <span class="row">{actions}</span>
      </footer>
    </article>
  );
}

function Cut({ item, open, setOpen }: { item: Item; open: boolean; setOpen: (open: boolean) => void }) {
  return (
    <>
      <Button small tone="danger" aria-keyshortcuts="x" onClick={() => setOpen(true)}>{t().room.tile.cut}</Button>
      {open && <CutDialog about={aboutOf(item)} onClose={() => setOpen(false)} />}
    </>
  );
}

export function TerminalTile({ item, held }: { item: Item; held: boolean }) {
  const words = t().room.tile;
  const first = item.ssh as Ssh;
  const { connection, error, over, again } = useWatching(first.id);
  const now = connection ?? first;
  const open = now.channels.filter((c) => c.kind !== "forward");
  const shell = open.find((c) => c.kind === "shell") ?? open[0];
  const [ended, setEnded] = useState(false);
  const [cutting, setCutting] = useState(false);
  const terminal = useTerminal(shell && !held ? { id: first.id, channel: shell.number } : undefined, () => setEnded(true));
  const act = useAction();
  const toggle = () => now.can.freeze && void act.run(() => freeze(now).then(again));
  const gone = over || ended;
  return (
    <Frame item={item} still={held} error={act.error ?? (over ? null : error)}
      onKey={(key) => { if (key === "f") toggle(); if (key === "x" && now.can.end) setCutting(true); }}
      badges={<>{gone ? <Badge>{words.ended}</Badge> : <Watched connection={now} />}{shell && shell.kind !== "shell" && <Badge title={shell.object}>{t().machines.kinds[shell.kind]}</Badge>}</>}
      actions={
        <>
          {now.can.freeze && !gone && <Button small tone="quiet" icon={now.frozen ? "play" : "snow"} busy={act.busy} aria-keyshortcuts="f" onClick={toggle}>{now.frozen ? words.thaw : words.freeze}</Button>}
          <a class="button button-quiet button-small" href={gone ? `/recordings/${first.id}` : `/watch/${first.id}`}>{gone ? words.record : words.open}</a>
          {now.can.end && !gone && <Cut item={item} open={cutting} setOpen={setCutting} />}
        </>
      }>
      {terminal.emulator
        ? <Screen emulator={terminal.emulator} least={LEAST_PX} label={words.label(words.terminal, item.person, item.resource)} onReady={(painter) => { terminal.painter.current = painter; }} />
        : <div class="screen wall-blank"><p>{shell ? shell.object || t().room.connecting : words.noTerminal}</p></div>}
    </Frame>
  );
}

export function StatementTile({ item }: { item: Item }) {
  const words = t().room.tile;
  const [cutting, setCutting] = useState(false);
  const act = useAction();
  const db = item.db;
  const security = isAdmin("security");
  const cancel = () => void act.run(async () => {
    await api("post", "/admin/databases/connections/{id}/cancel", { path: { id: db?.id ?? "" }, body: {} });
    toast(t().watch.cancelled);
  });
  const shown = item.statements.filter((e) => e.kind === "decision").slice(0, STATEMENTS);
  return (
    <Frame item={item} error={act.error} onKey={(key) => { if (key === "x" && security) setCutting(true); }}
      actions={
        <>
          {security && <Button small tone="quiet" busy={act.busy} onClick={cancel}>{words.cancel}</Button>}
          <a class="button button-quiet button-small" href={placeOf(item)}>{words.record}</a>
          {security && <Cut item={item} open={cutting} setOpen={setCutting} />}
        </>
      }>
      <div class="wall-statements" role="region" tabIndex={0} aria-label={words.label(words.sql, item.person, item.resource)}>
        {shown.length === 0 ? <p class="muted">{words.quiet}</p> : (
          <ol>
            {shown.map((e) => (
              <li key={`${e.entry}.${e.position}`} class={cx(`said-${e.verdict ?? "allow"}`)}>
                <Icon name={e.verdict === "deny" ? "minus" : e.verdict === "ask" ? "hand" : "check"} size={13} label={e.verdict && t().words.verdict[e.verdict]} />
                <code>{e.method === "CONNECT" ? t().watch.connected : (e.object ?? e.method ?? "").slice(0, TEXT_MOST)}</code>
                <span class="muted">{e.verdict !== "allow" && e.reason ? wordIn(t().words.reason, e.reason) : <Cost event={e} />}</span>
              </li>
            ))}
          </ol>
        )}
      </div>
    </Frame>
  );
}

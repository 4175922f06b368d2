// SPDX-License-Identifier: Apache-2.0
// The live wall: terminals and statements of everybody side by side, as they are recorded. A bounded
// number is live; the others are lines below until somebody wants to see them.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../../api/client";
import { t } from "../../i18n";
import { useData, useList } from "../../lib/data";
import { byTime, keyOf, useFollow } from "../../lib/live";
import { place, setQuery } from "../../lib/router";
import { isAdmin } from "../../lib/state";
import { choose, itemsOf, passes, type Filter, type Item } from "../../lib/wall";
import { Badge, Button, cx, Empty, Field, PageHead, Segmented, Select, Skeleton } from "../../ui/basic";
import { CutDialog } from "../../ui/cut";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Table } from "../../ui/table";
import { Time } from "../../ui/time";
import { ClassBadge } from "../../ui/words";
import { RoomHead } from "./head";
import { Rail } from "./rail";
import { StatementTile, TerminalTile } from "./tiles";

const LIVE = { page: 6, wall: 12, narrow: 3 } as const;
const EVENTS_FIRST = 100;
const NARROW = "(max-width: 759px)";

function useFilter(): Filter {
  const query = place.value.query;
  const kind = query.get("kind");
  return { person: query.get("person") ?? "", resource: query.get("resource") ?? "", class: query.get("class") ?? "", kind: kind === "terminal" || kind === "sql" ? kind : "all" };
}

function useItems() {
  const ssh = useList("wall-ssh", (_, signal) => api("get", "/ssh/connections", { signal }), ["ssh"]);
  const db = useList("wall-db", (_, signal) => api("get", "/admin/databases/connections", { signal }), ["databases"]);
  const resources = useData("wall-resources", (signal) => api("get", "/admin/resources", { signal }), ["policy"]);
  const first = useData("wall-statements", (signal) => api("get", "/admin/databases/statements", { query: { limit: EVENTS_FIRST }, signal }));
  const live = useFollow("/admin/databases/statements/live", {}, first.reload);
  const known = new Set(live.items.map(keyOf));
  const events = [...live.items, ...(first.data?.items ?? []).filter((e) => !known.has(keyOf(e)))].sort(byTime);
  const classOf = useMemo(() => new Map(resources.data?.items.map((r) => [r.name, r.class])), [resources.data]);
  return { items: itemsOf(ssh.data ?? [], db.data ?? [], events, classOf, Date.now()), ready: Boolean(ssh.data && db.data), error: ssh.error ?? db.error, reload: () => { ssh.reload(); db.reload(); }, live };
}

function Filters({ filter, classes }: { filter: Filter; classes: string[] }) {
  const words = t().room.filter;
  const text = (name: "person" | "resource") => (
    <Field label={words[name]} value={filter[name]} maxLength={64} autocomplete="off" type="search" name={name} onInput={(e: { currentTarget: HTMLInputElement }) => setQuery({ [name]: e.currentTarget.value.trim() })} />
  );
  return (
    <div class="filter-grid wall-filters" role="search" aria-label={words.label}>
      {text("person")}
      {text("resource")}
      <Select label={words.class} value={filter.class} onChange={(value) => setQuery({ class: value })}
        options={[{ value: "", label: words.anyClass }, ...classes.map((value) => ({ value, label: (t().words.classes as Record<string, string>)[value] ?? value }))]} />
      <div class="field"><span class="field-label">{words.kind}</span>
        <Segmented label={words.kind} value={filter.kind} onChange={(kind) => setQuery({ kind: kind === "all" ? null : kind })}
          items={(["all", "terminal", "sql"] as const).map((key) => ({ key, label: words[key] }))} />
      </div>
    </div>
  );
}

/* Arrows go from tile to tile as they stand; the rest of the keys work wherever nothing is typed. */
function useKeys(hold: () => void) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input,select,textarea,dialog")) return;
      if (event.key === "p" || event.key === "P") hold();
      else if (event.key === "/") document.querySelector<HTMLInputElement>('.wall-filters input[name="person"]')?.focus();
      else if (event.key === "Escape" && place.value.query.has("wall")) setQuery({ wall: null });
      else if (!event.key.startsWith("Arrow") || (target.closest(".screen,.wall-statements") && !target.matches(".wall-tile"))) return;
      else {
        const tiles = [...document.querySelectorAll<HTMLElement>(".wall-tile")];
        const at = tiles.indexOf(target.closest<HTMLElement>(".wall-tile") as HTMLElement);
        const top = tiles[0]?.offsetTop;
        const across = Math.max(1, tiles.filter((tile) => tile.offsetTop === top).length);
        const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key] ?? 0;
        if (at < 0 && !target.matches("body,h1")) return;
        (at < 0 ? tiles[0] : tiles[at + step])?.focus();
      }
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const change = () => setNarrow(query.matches);
    query.addEventListener("change", change);
    return () => query.removeEventListener("change", change);
  }, []);
  return narrow;
}

function Rest({ items, onShow }: { items: Item[]; onShow: (key: string) => void }) {
  const words = t().room;
  return (
    <section class="stack-small">
      <h2>{words.rest.title(items.length)}</h2>
      <Table label={words.rest.title(items.length)} rows={items.slice(0, 200)} keyOf={(i) => i.key} rowClass={(i) => (i.urgency >= 2 ? "row-pending" : undefined)} columns={[
        { key: "who", label: words.filter.person, kind: "main", render: (i) => i.person },
        { key: "kind", label: words.filter.kind, render: (i) => <Badge>{words.tile[i.kind]}</Badge> },
        { key: "where", label: words.filter.resource, render: (i) => <span class="plain-name">{i.resource}</span> },
        { key: "class", label: words.filter.class, render: (i) => <ClassBadge name={i.classes} /> },
        { key: "state", label: words.rest.state, render: (i) => words.rest.states[i.urgency] ?? "" },
        { key: "since", label: t().watch.since, render: (i) => <Time at={i.since} ago /> },
        { key: "show", label: t().common.actions, kind: "actions", render: (i) => <Button small onClick={() => onShow(i.key)}>{words.rest.show}</Button> },
      ]} />
    </section>
  );
}

function Keys() {
  const words = t().room.keyList;
  const keys: [string, string][] = [["← ↑ ↓ →", words.arrows], ["Enter", words.enter], ["F", words.f], ["X", words.x], ["P", words.p], ["/", words.slash], ["Esc", words.esc]];
  return (
    <details class="wall-keys">
      <summary>{t().room.keys}</summary>
      <ul>{keys.map(([key, what]) => <li key={key}><kbd>{key}</kbd> {what}</li>)}</ul>
    </details>
  );
}

export function Wall() {
  const words = t().room;
  const wall = place.value.query.has("wall");
  const narrow = useNarrow();
  const filter = useFilter();
  const all = useItems();
  const [held, setHeld] = useState<Item[]>();
  const [pinned, setPinned] = useState<ReadonlySet<string>>(new Set());
  const [killing, setKilling] = useState(false);
  const places = useRef<string[]>([]);
  const most = narrow ? LIVE.narrow : wall ? LIVE.wall : LIVE.page;
  const items = held ?? all.items;
  const fits = items.filter((item) => passes(item, filter));
  places.current = choose(fits, places.current, pinned, most);
  const by = new Map(fits.map((item) => [item.key, item]));
  const shown = places.current.flatMap((key) => by.get(key) ?? []);
  const rest = fits.filter((item) => !places.current.includes(item.key));
  const hold = () => setHeld(held ? undefined : all.items);
  useKeys(hold);
  const full = () => {
    setQuery({ wall: wall ? null : "1" });
    if (wall) void document.exitFullscreen?.().catch(() => undefined);
    else void document.documentElement.requestFullscreen?.().catch(() => undefined);
  };
  const security = isAdmin("security");
  const state = held ? words.held : all.live.state === "on" ? words.live : all.live.state === "off" ? words.streamEnded : words.connecting;
  return (
    <div class={cx("room", wall && "room-wall")}>
      <PageHead title={words.tabs.wall} lead={wall ? undefined : words.lead} actions={
        <>
          {security && <Button tone="kill" icon="close" onClick={() => setKilling(true)}>{words.kill}</Button>}
          <Button icon="external" aria-pressed={wall} onClick={full}>{wall ? words.leaveWall : words.wallMode}</Button>
        </>
      } />
      <RoomHead terminals={all.ready ? all.items.filter((i) => i.ssh).length : undefined} connections={all.ready ? all.items.filter((i) => i.db).length : undefined} />
      <div class="room-columns">
        <div class="stack room-main">
          <Filters filter={filter} classes={[...new Set(items.map((i) => i.classes).filter(Boolean))].sort()} />
          <div class="row row-between">
            <p class="row" role="status">
              <span class={cx("live-dot", all.live.state === "on" && !held && "on")} aria-hidden="true" />
              <span>{state}</span>
              {fits.length > 0 && <span class="muted">{words.tile.shown(shown.length, fits.length)}</span>}
            </p>
            <Button small icon={held ? "play" : "pause"} aria-pressed={held !== undefined} aria-keyshortcuts="p" onClick={hold}>{held ? words.goOn : words.hold} <kbd>P</kbd></Button>
          </div>
          <ErrorNote error={all.error} onRetry={all.reload} />
          {!all.ready && !all.error ? <Skeleton rows={4} kind="tiles" />
            : fits.length === 0 ? <Empty icon="eye" title={items.length === 0 ? words.none : words.noMatch}>{items.length === 0 && <p>{words.noneText}</p>}</Empty> : (
              <div class="wall">
                {shown.map((item) => (item.ssh ? <TerminalTile key={item.key} item={item} held={held !== undefined} /> : <StatementTile key={item.key} item={item} />))}
              </div>
            )}
          {rest.length > 0 && !wall && <Rest items={rest} onShow={(key) => setPinned(new Set([...pinned, key]))} />}
          {!narrow && !wall && <Keys />}
          {wall && rest.length > 0 && <p class="muted"><Icon name="more" size={16} /> {words.rest.title(rest.length)}</p>}
        </div>
        <Rail />
      </div>
      {killing && <CutDialog about={{}} onClose={() => setKilling(false)} />}
    </div>
  );
}

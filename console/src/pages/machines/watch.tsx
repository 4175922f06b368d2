// SPDX-License-Identifier: Apache-2.0
// Looking at a terminal as it goes. As long as this page is open and in sight, its reader counts as
// watching: a shell that needs it runs only then. From here it can be frozen and cut off.
import { useEffect, useRef, useState } from "preact/hooks";
import { api, ApiError, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { CastReader } from "../../lib/cast";
import { useAction } from "../../lib/data";
import { fetchChunks, type Source } from "../../lib/recording";
import { Emulator, Replay } from "../../lib/terminal";
import { Badge, Button, cx, Facts, PageHead, Select, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Screen, type Painter } from "../../ui/screen";
import { Time } from "../../ui/time";
import { EndSsh, freeze, Watched } from "./connections";

type Connection = Schema["SshConnection"];
const BEAT_MS = 3000;
const POLL_MS = 700;

/* Says every 3 s that somebody looks, and that he has gone when the page goes. */
function useWatching(id: string) {
  const [connection, setConnection] = useState<Connection>();
  const [error, setError] = useState<unknown>(null);
  const [over, setOver] = useState(false);
  const beat = useRef<() => void>(() => undefined);
  useEffect(() => {
    let gone = false;
    const say = async () => {
      if (document.hidden) return; // nobody looks at a page behind another
      try {
        const now = await api("post", "/ssh/connections/{id}/watch", { path: { id }, body: {} });
        if (gone) return;
        setConnection(now);
        setError(null);
      } catch (cause) {
        if (gone) return;
        if (cause instanceof ApiError && cause.status === 404) setOver(true);
        else setError(cause);
      }
    };
    beat.current = () => void say();
    const timer = setInterval(() => void say(), BEAT_MS);
    const leave = () => void api("delete", "/ssh/connections/{id}/watch", { path: { id } }).catch(() => undefined);
    const onSight = () => (document.hidden ? leave() : void say());
    document.addEventListener("visibilitychange", onSight);
    void say();
    return () => {
      gone = true;
      clearInterval(timer);
      document.removeEventListener("visibilitychange", onSight);
      leave();
    };
  }, [id]);
  return { connection, error, over, again: () => beat.current() };
}

/* The terminal of a channel, as far as it is recorded: at most a second behind. */
function useTerminal(source: Source | undefined, onEnd: () => void) {
  const [emulator, setEmulator] = useState<Emulator>();
  const [error, setError] = useState<unknown>(null);
  const painter = useRef<Painter>();
  const key = source && `${source.id}/${source.channel}`;
  useEffect(() => {
    if (!source) return;
    const abort = new AbortController();
    const reader = new CastReader();
    let made: Emulator | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let replay: Replay | undefined;
    let next = 0;
    const step = async () => {
      let wait = POLL_MS;
      try {
        const got = await fetchChunks(source, next, reader, abort.signal);
        if (!made && (got.more || got.end)) {
          made = await Emulator.make(reader.header);
          replay = new Replay(made, reader.header, reader.events);
          setEmulator(made);
        }
        await replay?.to(Number.POSITIVE_INFINITY);
        painter.current?.paint();
        setError(null);
        if (got.end) return onEnd();
        if (got.next !== next && got.more) wait = 0;
        next = got.next;
      } catch (cause) {
        if (abort.signal.aborted) return;
        setError(cause);
        wait = 3 * POLL_MS;
      }
      if (!abort.signal.aborted) timer = setTimeout(() => void step(), wait);
    };
    void step();
    return () => {
      abort.abort();
      clearTimeout(timer);
      made?.dispose();
      setEmulator(undefined);
      painter.current = undefined;
    };
  }, [key]);
  return { emulator, error, painter };
}

export function WatchPage({ params }: { params: Record<string, string> }) {
  const id = params.id ?? "";
  const { connection, error, over, again } = useWatching(id);
  const [channel, setChannel] = useState<number>();
  const [ended, setEnded] = useState(false);
  const [ending, setEnding] = useState(false);
  const act = useAction();
  const open = connection?.channels.filter((c) => c.kind !== "forward") ?? [];
  const first = open.find((c) => c.kind === "shell") ?? open[0];
  const shown = channel ?? first?.number;
  const terminal = useTerminal(shown === undefined ? undefined : { id, channel: shown }, () => setEnded(true));
  const words = t().machines;
  const closed = over || ended;
  return (
    <>
      <PageHead title={connection ? words.watchTitle(connection.person.name, connection.resource) : words.watch}
        lead={connection && <><Time at={connection.opened_at} ago /> <code class="plain reference">{id}</code></>}
        actions={connection && !over && (
          <>
            {connection.can.freeze && <Button icon={connection.frozen ? "play" : "snow"} busy={act.busy} onClick={() => void act.run(() => freeze(connection).then(again))}>{connection.frozen ? words.thaw : words.freeze}</Button>}
            {connection.can.end && <Button tone="danger" icon="close" onClick={() => setEnding(true)}>{words.end}</Button>}
          </>
        )} />
      <div class="live-view">
      <p class="row" role="status">
        <span class={cx("live-dot", !closed && !error && "on")} aria-hidden="true" />
        <span>{closed ? words.watchOver : error ? words.notWatching : words.youWatch}</span>
        {connection && !over && <Watched connection={connection} />}
      </p>
      <ErrorNote error={act.error ?? error ?? terminal.error} />
      {closed && <div class="note"><Icon name="info" /><div class="note-text"><p><a href={`/recordings/${id}`}>{words.toRecording}</a></p></div></div>}
      {open.length > 1 && (
        <Select label={words.channel} value={String(shown)} onChange={(value) => setChannel(Number(value))}
          options={open.map((c) => ({ value: String(c.number), label: `${words.kinds[c.kind]} ${c.object}`.slice(0, 90) }))} />
      )}
      {terminal.emulator ? <Screen emulator={terminal.emulator} label={words.player.screen} onReady={(painter) => { terminal.painter.current = painter; }} />
        : !connection && !error && !over ? <Skeleton rows={6} />
        : shown === undefined && !closed ? <p class="muted">{words.nothingOpen}</p> : <div class="screen screen-blank" aria-hidden="true" />}
      {connection && (
        <Facts items={[
          [words.person, connection.person.name],
          [words.device, connection.device?.name ?? words.noDevice],
          [t().watch.account, <code class="plain">{connection.account}</code>],
          [words.client, connection.client],
          [words.channel, first && <><Badge>{words.kinds[first.kind]}</Badge> <code class="plain">{first.object}</code></>],
        ]} />
      )}
      </div>
      {ending && connection && <EndSsh connection={connection} onClose={() => setEnding(false)} onDone={again} />}
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Looking at a terminal as it goes. As long as this page is open and in sight, its reader counts as
// watching: a shell that needs it runs only then. From here it can be frozen and cut off.
import { useState } from "preact/hooks";
import { t } from "../../i18n";
import { useAction } from "../../lib/data";
import { useTerminal, useWatching } from "../../lib/watching";
import { Badge, Button, cx, Facts, PageHead, Select, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Screen } from "../../ui/screen";
import { Time } from "../../ui/time";
import { EndSsh, freeze, Watched } from "./connections";

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

// SPDX-License-Identifier: Apache-2.0
// One recording: played, with who, where and how much of it was recorded.
import { useEffect, useState } from "preact/hooks";
import { api, urlOf, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { CastReader } from "../../lib/cast";
import { useData } from "../../lib/data";
import { place, setQuery } from "../../lib/router";
import { isAdmin, me } from "../../lib/state";
import { fetchAll } from "../../lib/recording";
import { Badge, Card, Facts, PageHead, Select, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { said } from "../../ui/said";
import { Player } from "../../ui/player";
import { formatBytes, Time } from "../../ui/time";
import { lengthOf } from "./recordings";

type Recording = Schema["SshRecording"];

/* Numbers of the statement that the gate makes at the end, whatever it counts. */
function Coverage({ value }: { value: Record<string, unknown> | undefined }) {
  const words = t().machines;
  if (!value) return null;
  const line = (part: unknown): string =>
    part && typeof part === "object"
      ? Object.entries(part as Record<string, unknown>).map(([name, n]) => `${name}: ${typeof n === "object" ? JSON.stringify(n) : String(n)}`).join(", ")
      : said(String(part));
  return (
    <Card title={<><Icon name="eye" /> {words.coverage}</>}>
      <Facts wide items={Object.entries(value).map(([name, part]) => [(words.coverageParts as Record<string, string>)[name] ?? name, line(part) || "—"])} />
    </Card>
  );
}

function Cast({ recording, channel, onCommand }: { recording: Recording; channel: number; onCommand: (command: string) => void }) {
  const [loaded, setLoaded] = useState<{ reader: CastReader } | { error: unknown }>();
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    const reader = new CastReader();
    setLoaded(undefined);
    fetchAll({ id: recording.id, channel }, reader, abort.signal).then(
      () => {
        setLoaded({ reader });
        onCommand(reader.command);
      },
      (error: unknown) => !abort.signal.aborted && setLoaded({ error }),
    );
    return () => abort.abort();
  }, [recording.id, channel, turn]);
  if (!loaded) return <Skeleton rows={6} />;
  if ("error" in loaded) return <ErrorNote error={loaded.error} onRetry={() => setTurn(turn + 1)} />;
  return <Player reader={loaded.reader} />;
}

export function RecordingPage({ params }: { params: Record<string, string> }) {
  const id = params.id ?? "";
  const data = useData(`recording:${id}`, (signal) => api("get", "/ssh/recordings/{id}/info", { path: { id }, signal }));
  const [command, setCommand] = useState("");
  const words = t().machines;
  const r = data.data;
  if (data.error) return <><PageHead title={words.recording} /><ErrorNote error={data.error} onRetry={data.reload} /></>;
  if (!r) return <><PageHead title={words.recording} /><Skeleton rows={6} /></>;
  const channel = r.channels.find((c) => String(c.number) === place.value.query.get("channel")) ?? r.channels[0];
  const own = me.value?.person.name === r.person;
  return (
    <>
      <PageHead title={`${r.resource} · ${r.person}`} lead={<><Time at={r.started_at} /> {lengthOf(r)} <code class="plain reference">{r.id}</code></>}
        actions={channel && <a class="button button-plain" download={`${r.id}-${channel.number}.cast`} href={urlOf("/ssh/recordings/{id}", { id }, { channel: channel.number })}>
          <Icon name="download" /> <span>{words.download}</span></a>} />
      {r.live && <div class="note"><Icon name="eye" /><div class="note-text"><p>{words.stillLive} <a href={`/watch/${r.id}`}>{words.watchIt}</a></p></div></div>}
      {r.complete_to && <div class="note note-warn"><Icon name="alert" /><div class="note-text"><p>{words.noStatement} <Time at={r.complete_to} /></p></div></div>}
      {r.channels.length > 1 && channel && (
        <Select label={words.channel} value={String(channel.number)} onChange={(value) => setQuery({ channel: value })}
          options={r.channels.map((c) => ({ value: String(c.number), label: `${words.kinds[c.kind]} ${c.object}`.slice(0, 90) }))} />
      )}
      {channel ? <Cast recording={r} channel={channel.number} onCommand={setCommand} /> : <p class="muted">{words.nothingRecorded}</p>}
      <div class="cards">
        <Card title={words.about}>
          <Facts items={[
            [words.person, r.person],
            [words.device, r.device || words.noDevice],
            [t().watch.account, <code class="plain">{r.account}</code>],
            [words.channel, channel && <><Badge>{words.kinds[channel.kind]}</Badge> <code class="wrap">{channel.object || command}</code></>],
            [words.size, channel && formatBytes(channel.bytes)],
            [t().ledger.session, (own || isAdmin("audit") || isAdmin("security")) && <a href={own ? `/sessions/${r.session}` : `/admin/sessions/${r.session}`}>{t().watch.toSession}</a>],
          ]} />
        </Card>
        <Coverage value={r.coverage} />
      </div>
    </>
  );
}

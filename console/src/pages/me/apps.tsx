// SPDX-License-Identifier: Apache-2.0
// The home page: applications as tiles, each saying what this device may do there.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { me } from "../../lib/state";
import { Empty, PageHead, Search, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { ClassBadge, Posture, Strength, text2, wordIn } from "../../ui/words";

type App = Schema["App"];
const SHOWN = ["read", "write", "export", "import", "destroy", "administer"];

function Tile({ app }: { app: App }) {
  const words = t();
  const title = text2(app.title, app.resource);
  const connect = app.may.find((m) => m.action === "connect");
  const open = !connect || connect.verdict === "allow";
  const actions = app.may.filter((m) => SHOWN.includes(m.action));
  const inside = (
    <>
      <div class="tile-head">
        <span class={`tile-mark tile-mark-${[...app.resource].reduce((n, c) => n + c.charCodeAt(0), 0) % 6}`} aria-hidden="true">{title.slice(0, 1)}</span>
        <div class="tile-name"><h2>{title}</h2><span class="muted">{new URL(app.url).hostname}</span></div>
        <Icon name={open ? "external" : "lock"} size={16} />
      </div>
      {open ? (
        <ul class="may" aria-label={words.apps.mayHere}>
          {actions.map((m) => (
            <li key={m.action} class={`may-${m.verdict}`} title={`${words.words.verdict[m.verdict]}: ${wordIn(words.words.reason, m.reason)}`}>
              <Icon name={m.verdict === "allow" ? "check" : m.verdict === "ask" ? "hand" : "close"} size={13} label={words.words.verdict[m.verdict]} />
              {words.words.action[m.action]}
            </li>
          ))}
        </ul>
      ) : (
        <p class="tile-closed">{wordIn(words.words.reason, connect.reason)}</p>
      )}
      <div class="tile-foot"><ClassBadge name={app.class} /></div>
    </>
  );
  return open
    ? <a class="tile" href={app.url} target="_blank" rel="noopener">{inside}</a>
    : <a class="tile tile-locked" href="/devices" aria-label={`${title}: ${wordIn(words.words.reason, connect.reason)}`}>{inside}</a>;
}

function DeviceBanner() {
  const device = me.value?.device;
  const words = t().apps;
  if (!device) {
    return (
      <div class="note note-warn"><Icon name="alert" />
        <div class="note-text"><strong>{words.unknownDevice}</strong><p>{words.unknownDeviceText} <a href="/devices">{words.enrolLink}</a></p></div>
      </div>
    );
  }
  if (device.state === "active") return null;
  return (
    <div class="note note-warn"><Icon name="alert" />
      <div class="note-text"><strong>{device.name}: {t().words.device[device.state]}</strong><p>{wordIn(t().devices.stateText, device.state)}</p></div>
    </div>
  );
}

export function Apps() {
  const apps = useData("apps", (signal) => api("get", "/me/apps", { signal }), ["me", "policy"]);
  const [q, setQ] = useState("");
  const words = t().apps;
  const all = apps.data?.items ?? [];
  const shown = all.filter((a) => `${a.resource} ${a.title.en} ${a.title.zh}`.toLowerCase().includes(q.toLowerCase()));
  const who = me.value;
  return (
    <>
      <PageHead title={words.title} lead={who && (
        <span class="row facts-row">
          {who.device ? <><span>{words.onDevice} <b>{who.device.name}</b></span><span>{t().words.owner[who.device.owner]}</span><Posture posture={who.device.posture} /></> : <span>{words.onUnknown}</span>}
          <Strength strength={who.session.strength} />
        </span>)}
        actions={all.length > 6 && <Search value={q} onSearch={setQ} label={words.search} />} />
      <DeviceBanner />
      {apps.error ? <ErrorNote error={apps.error} onRetry={apps.reload} />
        : !apps.data ? <Skeleton kind="tiles" rows={6} />
        : shown.length === 0 ? <Empty icon="apps" title={q ? words.noMatch : words.none}>{!q && words.noneText}</Empty>
        : <div class="tiles">{shown.map((app) => <Tile key={app.resource} app={app} />)}</div>}
    </>
  );
}

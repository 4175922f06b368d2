// SPDX-License-Identifier: Apache-2.0
// What wants a look at once, above every page of a security administrator: emergency access that is open or not
// explained yet, and what stood out on a shell until somebody has looked.
import { api } from "../api/client";
import { t } from "../i18n";
import { useAction, useData } from "../lib/data";
import { place } from "../lib/router";
import { isAdmin } from "../lib/state";
import { Button } from "./basic";
import { useTitles } from "./detections";
import { ErrorNote } from "./errors";
import { Icon } from "./icon";
import { aboutKeys } from "./said";
import { Time } from "./time";

function Grants() {
  const list = useData("alarms", (signal) => api("get", "/admin/alarms", { signal }), ["approvals"]);
  const words = t().grants;
  return (
    <>
      {list.data?.items.map((g) => (
        <div key={g.id} class="note note-bad">
          <Icon name="alert" />
          <div class="note-text">
            <strong>{g.ended_at ? words.alarmNote(g.name) : words.alarmOpen(g.name, g.role)}</strong>
            <p>{g.reason} · <Time at={g.ended_at ?? g.started_at} ago /></p>
          </div>
        </div>
      ))}
    </>
  );
}

function Shells() {
  const list = useData("ssh-alarms", (signal) => api("get", "/ssh/alarms", { signal }), ["ssh"]);
  const { error, run } = useAction();
  const words = t().machines;
  const seen = (id: string) => run(() => api("post", "/ssh/alarms/{id}/seen", { path: { id }, body: {} }).then(list.reload));
  return (
    <>
      <ErrorNote error={error} />
      {list.data?.items.map((a) => (
        <div key={a.id} class="note note-bad">
          <Icon name={a.frozen ? "snow" : "alert"} />
          <div class="note-text">
            <strong>{(a.frozen ? words.alarmFrozen : words.alarmShell)(a.person, a.resource)}</strong>
            <p>{words.alarmTexts[a.text] ?? a.text}{a.count > 1 && ` · ${words.alarmCount(a.count)}`} · <Time at={a.at} ago /></p>
            <p class="row">
              <a class="button button-small" href={a.live ? `/watch/${a.id}` : `/recordings/${a.id}`}>{a.live ? words.watch : words.recording}</a>
              {isAdmin("security") && <Button small tone="quiet" onClick={() => void seen(a.id)}>{words.alarmSeen}</Button>}
            </p>
          </div>
        </div>
      ))}
    </>
  );
}

/* New alarms of detections, in one line: the list is a page of its own. */
const GRAVE = ["critical", "high"] as const;
function Detected() {
  const list = useData("alarms-new", (signal) => api("get", "/alarms", { query: { new: "1", limit: 50 }, signal }), ["alarms"]);
  const titles = useTitles();
  const words = t().room.alarms;
  const grave = (list.data?.items ?? []).filter((a) => a.mode === "live" && (a.severity === "critical" || a.severity === "high"));
  const first = GRAVE.map((severity) => grave.find((a) => a.severity === severity)).find(Boolean);
  if (!first || place.value.path === "/admin/alarms") return null;
  return (
    <div class="note note-bad">
      <Icon name="alert" />
      <div class="note-text">
        <strong>{words.banner(grave.length, titles(first.detection, first.title))}</strong>
        <p>{first.keys && `${aboutKeys(first.keys)} · `}<Time at={first.last} ago /></p>
      </div>
      <a class="button button-plain button-small" href={grave.length === 1 && first.incident ? `/incidents/${first.incident}` : "/admin/alarms"}>{words.look}</a>
    </div>
  );
}

/* few: beside the wall, where alarms of detections have a list. */
export function Alarms({ few }: { few?: boolean }) {
  return <div class="stack-small alarms" role="alert"><Grants /><Shells />{!few && <Detected />}</div>;
}

// SPDX-License-Identifier: Apache-2.0
// Emergency access that is open, or not explained yet: above every page of a security administrator.
import { api } from "../api/client";
import { t } from "../i18n";
import { useData } from "../lib/data";
import { Icon } from "./icon";
import { Time } from "./time";

export function Alarms() {
  const list = useData("alarms", (signal) => api("get", "/admin/alarms", { signal }), ["approvals"]);
  const words = t().grants;
  if (!list.data || list.data.items.length === 0) return null;
  return (
    <div class="stack-small alarms" role="alert">
      {list.data.items.map((g) => (
        <div key={g.id} class="note note-bad">
          <Icon name="alert" />
          <div class="note-text">
            <strong>{g.ended_at ? words.alarmNote(g.name) : words.alarmOpen(g.name, g.role)}</strong>
            <p>{g.reason} · <Time at={g.ended_at ?? g.started_at} ago /></p>
          </div>
        </div>
      ))}
    </div>
  );
}

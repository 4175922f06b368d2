// SPDX-License-Identifier: Apache-2.0
// What the reader has to know before anything else: notices with a banner, until he says that he has read them.
import { api, type Schema } from "../api/client";
import { t } from "../i18n";
import { useAction, useData } from "../lib/data";
import { lang } from "../lib/state";
import { Badge, Button } from "./basic";
import { ErrorNote } from "./errors";
import { Icon } from "./icon";
import { Time } from "./time";

type Letter = Schema["Letter"];

export const textOf = (l: Letter) => l.texts[lang.value] ?? l.texts["en"] ?? { title: l.name, text: "" };
export const isGrave = (l: { severity: string }) => l.severity === "high" || l.severity === "critical";

/* The text of a notice: plain, with its own line ends. */
export function Plain({ text }: { text: string }) {
  return <>{text.split(/\n{2,}/).map((part, at) => <p key={at} class="lines">{part}</p>)}</>;
}

export function useLetters() {
  return useData("my-notices", (signal) => api("get", "/me/notices", { signal }), ["me"]);
}

export function Banner() {
  const list = useLetters();
  const { error, busy, run } = useAction();
  const words = t().notices;
  const open = (list.data?.items ?? []).filter((l) => l.banner && !l.acknowledged_at);
  const read = (id: string) => run(() => api("post", "/me/notices/{id}/acknowledge", { path: { id } }).then(list.reload));
  if (open.length === 0) return null;
  return (
    <div class="stack-small alarms" role="status">
      <ErrorNote error={error} />
      {open.map((l) => (
        <div key={l.id} class={isGrave(l) ? "note note-bad" : "note"}>
          <Icon name={isGrave(l) ? "alert" : "info"} />
          <div class="note-text">
            <strong>{textOf(l).title}</strong>{l.drill && <> <Badge tone="warn">{words.drill}</Badge></>}
            <Plain text={textOf(l).text} />
            <p class="row">
              <Button small busy={busy} onClick={() => void read(l.id)}>{words.read}</Button>
              <span class="muted">{l.sender} · <Time at={l.sent_at} ago /></span>
            </p>
          </div>
        </div>
      ))}
    </div>
  );
}

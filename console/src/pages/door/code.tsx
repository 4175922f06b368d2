// SPDX-License-Identifier: Apache-2.0
// What confirming by a code has in common, whoever shows the code: a terminal or an SSH connection.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { t } from "../../i18n";
import { useAction, type Data } from "../../lib/data";
import { Button, Facts, Field, PageHead, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Time } from "../../ui/time";

interface Words {
  title: string; lead: string; code: string; warning: string; allow: string; refuse: string;
  allowed: string; allowedText: string; refused: string; refusedText: string;
}

export function CodeQuestion({ code, asked, facts, words, answer, onBack }: {
  code: string; asked: Pick<Data<{ asked_at: string }>, "data" | "error">; facts: ComponentChildren; words: Words;
  answer: (allow: boolean) => Promise<unknown>; onBack: () => void;
}) {
  const [done, setDone] = useState<boolean>();
  const { busy, error, run } = useAction();
  const say = (allow: boolean) => void run(async () => {
    await answer(allow);
    setDone(allow);
  });
  if (done !== undefined) {
    return (
      <div class="note" role="status"><Icon name={done ? "check" : "minus"} />
        <div class="note-text"><strong>{done ? words.allowed : words.refused}</strong><p>{done ? words.allowedText : words.refusedText}</p></div>
      </div>
    );
  }
  if (asked.error) return <div class="stack"><ErrorNote error={asked.error} /><Button onClick={onBack}>{t().common.back}</Button></div>;
  if (!asked.data) return <Skeleton rows={3} />;
  return (
    <div class="stack">
      <p class="big-code"><code>{code}</code></p>
      {facts}
      <Facts items={[[t().cli.asked, <Time at={asked.data.asked_at} ago />]]} />
      <div class="note note-warn"><Icon name="alert" /><div class="note-text"><p>{words.warning}</p></div></div>
      <ErrorNote error={error} />
      <div class="row">
        <Button tone="primary" busy={busy} onClick={() => say(true)}>{words.allow}</Button>
        <Button busy={busy} onClick={() => say(false)}>{words.refuse}</Button>
      </div>
    </div>
  );
}

export function CodePage({ words, code, onCode, children }: { words: Words; code: string; onCode: (code: string) => void; children: ComponentChildren }) {
  const [typed, setTyped] = useState("");
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="card narrow">
        {code ? children : (
          <form class="stack" onSubmit={(e) => { e.preventDefault(); onCode(typed.trim().toUpperCase()); }}>
            <Field label={words.code} value={typed} required maxLength={16} autoFocus class="field-code" onInput={(e) => setTyped(e.currentTarget.value)} />
            <Button type="submit" tone="primary">{t().common.continue}</Button>
          </form>
        )}
      </div>
    </>
  );
}

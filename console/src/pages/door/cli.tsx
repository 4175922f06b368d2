// SPDX-License-Identifier: Apache-2.0
// Confirms the sign-in of a command line by the code it shows.
import { useEffect, useState } from "preact/hooks";
import { api } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData } from "../../lib/data";
import { takeFragment } from "../../lib/router";
import { Button, Facts, Field, PageHead, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Time } from "../../ui/time";

function Answer({ code, onBack }: { code: string; onBack: () => void }) {
  const words = t().cli;
  const asked = useData(`cli:${code}`, () => api("get", "/cli/login/{user_code}", { path: { user_code: code } }));
  const [done, setDone] = useState<boolean>();
  const { busy, error, run } = useAction();
  const answer = (allow: boolean) =>
    run(async () => {
      await api("post", "/cli/login/{user_code}", { path: { user_code: code }, body: { allow } });
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
      <Facts items={[
        [words.client, asked.data.client],
        [words.peer, <code>{asked.data.peer}</code>],
        [words.asked, <Time at={asked.data.asked_at} ago />],
      ]} />
      <div class="note note-warn"><Icon name="alert" /><div class="note-text"><p>{words.warning}</p></div></div>
      <ErrorNote error={error} />
      <div class="row">
        <Button tone="primary" busy={busy} onClick={() => void answer(true)}>{words.allow}</Button>
        <Button busy={busy} onClick={() => void answer(false)}>{words.refuse}</Button>
      </div>
    </div>
  );
}

export function CliLogin() {
  const [code, setCode] = useState("");
  const [typed, setTyped] = useState("");
  useEffect(() => setCode(takeFragment()), []);
  const words = t().cli;
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="card narrow">
        {code ? <Answer code={code} onBack={() => setCode("")} /> : (
          <form class="stack" onSubmit={(e) => { e.preventDefault(); setCode(typed.trim().toUpperCase()); }}>
            <Field label={words.code} value={typed} required maxLength={16} autoFocus class="field-code" onInput={(e) => setTyped(e.currentTarget.value)} />
            <Button type="submit" tone="primary">{t().common.continue}</Button>
          </form>
        )}
      </div>
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// The link of a mail: says that it was read. A button, because programs that look at mails open links too.
import { useEffect, useState } from "preact/hooks";
import { api } from "../../api/client";
import { t } from "../../i18n";
import { useAction } from "../../lib/data";
import { takeFragment } from "../../lib/router";
import { Button } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Door } from "../../ui/shell";

export function Acknowledge() {
  const [token, setToken] = useState("");
  const [done, setDone] = useState(false);
  const { error, busy, run } = useAction();
  const words = t().notices;
  useEffect(() => setToken(takeFragment() ?? ""), []);
  const read = () => run(async () => {
    await api("post", "/notices/acknowledge", { body: { token } });
    setDone(true);
  });
  return (
    <Door title={words.door}>
      <div class="stack">
        <ErrorNote error={error} />
        <p>{done ? words.doorDone : token ? words.doorText : words.doorNoLink}</p>
        {!done && token && <Button tone="primary" wide busy={busy} onClick={() => void read()}>{words.read}</Button>}
        <p><a href="/notices">{words.toPortal}</a></p>
      </div>
    </Door>
  );
}

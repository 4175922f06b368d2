// SPDX-License-Identifier: Apache-2.0
// Public keys with which somebody signs in at the SSH gate, each with what removes it, for whoever may.
import { useState } from "preact/hooks";
import type { Schema } from "../api/client";
import { t } from "../i18n";
import { Badge, Button } from "./basic";
import { Confirm } from "./dialog";
import { Time } from "./time";

type Key = Schema["SshKey"];

export function SshKeyLines({ keys, onRemove }: { keys: Key[]; onRemove?: (id: string) => Promise<void> }) {
  const [removing, setRemoving] = useState<Key>();
  const words = t().machines.keys;
  return (
    <>
      <ul class="lines">
        {keys.map((key) => (
          <li key={key.id}>
            <div><strong>{key.name}</strong> {key.presence && <Badge tone="accent" icon="passkey">{words.presence}</Badge>}
              <small class="muted block"><code class="plain">{key.algorithm}</code> <code class="plain digest-text">{key.fingerprint}</code></small>
              <small class="muted block">{words.addedAt} <Time at={key.created_at} /> · {words.usedAt} <Time at={key.last_used_at} ago /></small></div>
            {onRemove && <Button small tone="quiet" icon="close" aria-label={`${words.remove}: ${key.name}`} onClick={() => setRemoving(key)}>{words.remove}</Button>}
          </li>
        ))}
      </ul>
      {removing && onRemove && (
        <Confirm title={words.removeTitle(removing.name)} text={<p>{words.removeText}</p>} action={words.remove} onClose={() => setRemoving(undefined)} onYes={() => onRemove(removing.id)} />
      )}
    </>
  );
}

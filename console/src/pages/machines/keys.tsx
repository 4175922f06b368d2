// SPDX-License-Identifier: Apache-2.0
// Public keys with which I sign in at the SSH gate.
import { useId, useState } from "preact/hooks";
import { api } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { toast } from "../../lib/state";
import { Button, Card, Empty, Field, Skeleton } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { SshKeyLines } from "../../ui/ssh-keys";

/* "ssh-ed25519 AAAA... comment" -> "comment": a name to begin with. */
export const commentOf = (line: string): string => line.trim().split(/\s+/).slice(2).join(" ").slice(0, 63);

function AddKey({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [key, setKey] = useState("");
  const [name, setName] = useState("");
  const { busy, error, run } = useAction();
  const id = useId();
  const words = t().machines.keys;
  const pasted = (text: string) => {
    setKey(text);
    if (!name) setName(commentOf(text));
  };
  return (
    <Dialog title={words.addTitle} onClose={onClose}>
      <form class="stack" onSubmit={(e) => {
        e.preventDefault();
        void run(async () => {
          await api("post", "/me/ssh-keys", { body: { name: name.trim(), key: key.trim() } });
          toast(words.added);
          onDone();
        });
      }}>
        <div class="field">
          <label for={id}>{words.key}</label>
          <textarea id={id} class="input mono" rows={4} required maxLength={16384} spellcheck={false} value={key} placeholder="ssh-ed25519 AAAA... me@laptop"
            onInput={(e) => pasted(e.currentTarget.value)} />
          <p class="hint">{words.keyHint}</p>
        </div>
        <Field label={words.name} value={name} required maxLength={63} onInput={(e) => setName(e.currentTarget.value)} />
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{words.add}</Button></div>
      </form>
    </Dialog>
  );
}

export function Keys() {
  const list = useList("my-ssh-keys", (_, signal) => api("get", "/me/ssh-keys", { signal }), ["me"]);
  const [adding, setAdding] = useState(false);
  const words = t().machines.keys;
  const remove = async (id: string) => {
    await api("delete", "/me/ssh-keys/{id}", { path: { id } });
    list.reload();
  };
  return (
    <>
      <Card title={<><Icon name="key" /> {words.title}</>} actions={<Button small icon="plus" onClick={() => setAdding(true)}>{words.add}</Button>}>
        <p class="muted">{words.lead}</p>
        {list.error ? <ErrorNote error={list.error} onRetry={list.reload} /> : !list.data ? <Skeleton rows={2} />
          : list.data.length === 0 ? <Empty icon="key" title={words.none}><p>{words.noneText}</p></Empty>
            : <SshKeyLines keys={list.data} onRemove={remove} />}
      </Card>
      {adding && <AddKey onClose={() => setAdding(false)} onDone={() => { setAdding(false); list.reload(); }} />}
    </>
  );
}

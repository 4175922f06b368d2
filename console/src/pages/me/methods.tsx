// SPDX-License-Identifier: Apache-2.0
// How I sign in: passkeys, password, authenticator app, recovery codes.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { createPasskey, passkeysSupported } from "../../api/webauthn";
import { t } from "../../i18n";
import { useAction, useData } from "../../lib/data";
import { me, toast } from "../../lib/state";
import { Badge, Button, Card, Empty, Field, PageHead, Skeleton } from "../../ui/basic";
import { NewPassword, RecoveryCodes, TotpSetup } from "../../ui/credentials";
import { Confirm, Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Time } from "../../ui/time";

type Passkey = Schema["Passkey"];

function Rename({ passkey, onClose, onDone }: { passkey: Passkey; onClose: () => void; onDone: () => void }) {
  const [name, setName] = useState(passkey.name);
  const { busy, error, run } = useAction();
  return (
    <Dialog title={t().passkeys.rename} onClose={onClose}>
      <form class="stack" onSubmit={(e) => {
        e.preventDefault();
        void run(async () => {
          await api("patch", "/me/credentials/passkeys/{id}", { path: { id: passkey.id }, body: { name: name.trim() } });
          onDone();
        });
      }}>
        <Field label={t().passkeys.name} value={name} required maxLength={63} autoFocus onInput={(e) => setName(e.currentTarget.value)} />
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{t().common.save}</Button></div>
      </form>
    </Dialog>
  );
}

type Open =
  | { kind: "password" }
  | { kind: "totp"; secret: Schema["TotpSecret"] }
  | { kind: "codes"; codes: string[] }
  | { kind: "rename" | "remove"; passkey: Passkey };

function Passkeys({ items, onOpen, onAdded }: { items: Passkey[]; onOpen: (open: Open) => void; onAdded: () => void }) {
  const { busy, error, run } = useAction();
  const words = t().passkeys;
  const add = () =>
    run(async () => {
      const options = await api("post", "/me/credentials/passkeys/options");
      const credential = await createPasskey(options.public_key);
      await api("post", "/me/credentials/passkeys", { body: { flow: options.flow, credential, name: words.defaultName } });
      toast(words.added);
      onAdded();
    });
  return (
    <Card title={<><Icon name="passkey" /> {words.title}</>} actions={passkeysSupported() && <Button small icon="plus" busy={busy} onClick={() => void add()}>{words.add}</Button>}>
      <p class="muted">{words.text}</p>
      <ErrorNote error={error} />
      {items.length === 0 ? <Empty icon="passkey" title={words.none} /> : (
        <ul class="lines">
          {items.map((p) => (
            <li key={p.id}>
              <div><strong>{p.name}</strong> {p.synced && <Badge>{words.synced}</Badge>}
                <small class="muted block">{words.addedAt} <Time at={p.created_at} /> · {words.usedAt} <Time at={p.last_used_at} ago /></small></div>
              <div class="row">
                <Button small tone="quiet" icon="edit" onClick={() => onOpen({ kind: "rename", passkey: p })}>{words.rename}</Button>
                <Button small tone="quiet" icon="close" onClick={() => onOpen({ kind: "remove", passkey: p })}>{words.remove}</Button>
              </div>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

export function Methods() {
  const data = useData("credentials", (signal) => api("get", "/me/credentials", { signal }), ["me"]);
  const [open, setOpen] = useState<Open>();
  const act = useAction();
  const words = t().methods;
  const c = data.data;
  const close = () => setOpen(undefined);
  const done = (text?: string) => {
    close();
    if (text) toast(text);
    data.reload();
  };
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <ErrorNote error={act.error} />
      {data.error ? <ErrorNote error={data.error} onRetry={data.reload} /> : !c ? <Skeleton rows={4} /> : (
        <div class="stack">
          <Passkeys items={c.passkeys} onOpen={setOpen} onAdded={data.reload} />
          <div class="cards">
            <Card title={<><Icon name="lock" /> {words.password}</>} actions={<Badge tone={c.password.set ? "good" : "neutral"}>{c.password.set ? words.set : words.notSet}</Badge>}>
              <p class="muted">{words.passwordText}</p>
              {c.password.changed_at && <p>{words.changed} <Time at={c.password.changed_at} /></p>}
              <div class="row"><Button small onClick={() => setOpen({ kind: "password" })}>{c.password.set ? words.change : words.setUp}</Button></div>
            </Card>
            <Card title={<><Icon name="phone" /> {words.totp}</>} actions={<Badge tone={c.totp.set ? "good" : "neutral"}>{c.totp.set ? words.set : words.notSet}</Badge>}>
              <p class="muted">{words.totpText}</p>
              {c.totp.changed_at && <p>{words.changed} <Time at={c.totp.changed_at} /></p>}
              <div class="row"><Button small onClick={() => void act.run(async () => setOpen({ kind: "totp", secret: await api("post", "/me/credentials/totp/start") }))}>{c.totp.set ? words.change : words.setUp}</Button></div>
            </Card>
            <Card title={<><Icon name="key" /> {words.codes}</>} actions={<Badge tone={c.recovery_codes.left > 2 ? "good" : "warn"}>{words.left(c.recovery_codes.left)}</Badge>}>
              <p class="muted">{words.codesText}</p>
              {c.recovery_codes.changed_at && <p>{words.changed} <Time at={c.recovery_codes.changed_at} /></p>}
              <div class="row"><Button small onClick={() => void act.run(async () => setOpen({ kind: "codes", codes: (await api("post", "/me/credentials/recovery-codes")).codes }))}>{words.newCodes}</Button></div>
            </Card>
          </div>
        </div>
      )}
      {open?.kind === "password" && (
        <Dialog title={words.password} onClose={close}>
          <NewPassword action={t().common.save} name={me.value?.person.name ?? ""} onSave={async (password) => {
            await api("put", "/me/credentials/password", { body: { password } });
            done(words.passwordChanged);
          }} />
        </Dialog>
      )}
      {open?.kind === "totp" && (
        <Dialog title={words.totp} onClose={close}>
          <TotpSetup secret={open.secret} action={t().common.confirm} onCode={async (code) => {
            await api("post", "/me/credentials/totp/confirm", { body: { flow: open.secret.flow, code } });
            done(words.totpChanged);
          }} />
        </Dialog>
      )}
      {open?.kind === "codes" && <Dialog title={words.codes} onClose={() => done()}><RecoveryCodes codes={open.codes} action={t().common.done} onDone={() => done()} /></Dialog>}
      {open?.kind === "rename" && <Rename passkey={open.passkey} onClose={close} onDone={() => done()} />}
      {open?.kind === "remove" && (
        <Confirm title={t().passkeys.removeTitle(open.passkey.name)} text={<p>{t().passkeys.removeText}</p>} action={t().passkeys.remove} onClose={close}
          onYes={async () => {
            await api("delete", "/me/credentials/passkeys/{id}", { path: { id: open.passkey.id } });
            data.reload();
          }} />
      )}
    </>
  );
}

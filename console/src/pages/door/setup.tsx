// SPDX-License-Identifier: Apache-2.0
// The first set-up of an account from a one-time link: name (first administrator only), passkey,
// password with authenticator app, recovery codes. A passkey, or a password with an app, is enough.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { createPasskey, passkeysSupported } from "../../api/webauthn";
import { t } from "../../i18n";
import { useAction } from "../../lib/data";
import { go, takeFragment } from "../../lib/router";
import { loadMe } from "../../lib/state";
import { Badge, Button, cx, Field, Skeleton } from "../../ui/basic";
import { NewPassword, RecoveryCodes, TotpSetup } from "../../ui/credentials";
import { ErrorNote } from "../../ui/errors";
import { Icon, type IconName } from "../../ui/icon";
import { Door } from "../../ui/shell";

type State = Schema["SetupState"];
type Open = "password" | "totp" | null;

/* The token lives in memory only: kept over a language switch, gone with the page. */
let token = "";

function Person({ flow, onDone }: { flow: string; onDone: (state: State) => void }) {
  const [name, setName] = useState("");
  const [display, setDisplay] = useState("");
  const { busy, error, run } = useAction();
  const words = t().setup;
  return (
    <form class="stack" onSubmit={(event) => {
      event.preventDefault();
      void run(async () => onDone(await api("post", "/setup/person", {
        body: { flow, name: name.trim(), display_name: display.trim() },
      })));
    }}>
      <Field label={words.displayName} value={display} required maxLength={63} autocomplete="name" autoFocus onInput={(e) => setDisplay(e.currentTarget.value)} />
      <Field label={words.name} value={name} required maxLength={63} autocomplete="username" pattern="[a-z0-9][a-z0-9._-]*"
        hint={words.nameHint} onInput={(e) => setName(e.currentTarget.value.toLowerCase())} />
      <ErrorNote error={error} />
      <Button type="submit" tone="primary" busy={busy}>{t().common.continue}</Button>
    </form>
  );
}

function Item({ icon, title, text, done, action, children }: {
  icon: IconName; title: string; text: string; done: boolean; action?: ComponentChildren; children?: ComponentChildren;
}) {
  return (
    <li class={cx("setup-item", done && "done")}>
      <span class="setup-icon"><Icon name={done ? "check" : icon} size={20} /></span>
      <div class="setup-text">
        <h2>{title} {done && <Badge tone="good">{t().setup.ready}</Badge>}</h2>
        <p class="muted">{text}</p>
        {children}
      </div>
      {action && <div class="setup-action">{action}</div>}
    </li>
  );
}

function Methods({ state, onState, onCodes }: { state: State; onState: (s: State) => void; onCodes: (codes: string[]) => void }) {
  const [open, setOpen] = useState<Open>(null);
  const [secret, setSecret] = useState<Schema["TotpSecret"]>();
  const passkey = useAction();
  const other = useAction();
  const words = t().setup;
  const { flow, has } = state;
  const addPasskey = () =>
    passkey.run(async () => {
      const options = await api("post", "/setup/passkey/options", { body: { flow } });
      const credential = await createPasskey(options.public_key);
      onState(await api("post", "/setup/passkey/verify", { body: { flow: options.flow, credential, name: t().passkeys.defaultName } }));
    });
  const openTotp = () =>
    other.run(async () => {
      setSecret(await api("post", "/setup/totp/start", { body: { flow } }));
      setOpen("totp");
    });
  const finish = () =>
    other.run(async () => {
      const end = await api("post", "/setup/finish", { body: { flow } });
      onCodes(end.recovery_codes);
    });
  const enough = has.passkeys > 0 || (has.password && has.totp);
  return (
    <div class="stack">
      <ol class="setup-list">
        <Item icon="passkey" title={words.passkeyTitle} text={words.passkeyText} done={has.passkeys > 0}
          action={passkeysSupported() && (
            <Button tone={has.passkeys ? "plain" : "primary"} icon="plus" busy={passkey.busy} onClick={() => void addPasskey()}>
              {has.passkeys ? words.addAnother : words.addPasskey}
            </Button>)}>
          <ErrorNote error={passkey.error} />
        </Item>
        <Item icon="lock" title={words.passwordTitle} text={words.passwordText} done={has.password}
          action={!has.password && open !== "password" && <Button onClick={() => setOpen("password")}>{words.setPassword}</Button>}>
          {open === "password" && (
            <NewPassword action={t().common.save} name={state.person?.name ?? ""} onSave={async (password) => {
              onState(await api("post", "/setup/password", { body: { flow, password } }));
              setOpen(null);
            }} />
          )}
        </Item>
        <Item icon="phone" title={words.totpTitle} text={words.totpText} done={has.totp}
          action={!has.totp && open !== "totp" && <Button disabled={!has.password} onClick={() => void openTotp()}>{words.setTotp}</Button>}>
          {open === "totp" && secret && (
            <TotpSetup secret={secret} action={t().common.confirm} onCode={async (code) => {
              onState(await api("post", "/setup/totp/confirm", { body: { flow: secret.flow, code } }));
              setOpen(null);
            }} />
          )}
        </Item>
      </ol>
      <ErrorNote error={other.error} />
      <Button tone="primary" wide disabled={!enough} busy={other.busy} onClick={() => void finish()}>{words.finish}</Button>
      {!enough && <p class="hint centre">{words.need}</p>}
    </div>
  );
}

export function Setup() {
  const [state, setState] = useState<State>();
  const [codes, setCodes] = useState<string[]>();
  const { error, run } = useAction();
  const words = t().setup;
  const start = () => run(async () => setState(await api("post", "/setup/start", { body: { token } })));
  useEffect(() => {
    token = takeFragment() || token;
    void start();
  }, []);

  if (codes) {
    return (
      <Door title={words.codesTitle} wide>
        <RecoveryCodes codes={codes} action={words.enter} onDone={() => void loadMe().then(() => go("/", { replace: true }))} />
      </Door>
    );
  }
  if (error) {
    return (
      <Door title={words.badLink} lead={words.badLinkText}>
        <div class="stack">
          <ErrorNote error={error} />
          <a class="button button-plain button-wide" href="/sign-in"><span>{words.toSignIn}</span></a>
        </div>
      </Door>
    );
  }
  if (!state) return <Door title={words.title}><Skeleton rows={3} /></Door>;
  if (!state.person) {
    return <Door title={words.firstTitle} lead={words.firstLead}><Person flow={state.flow} onDone={setState} /></Door>;
  }
  const lead = state.kind === "reset" ? words.resetLead : words.lead;
  return (
    <Door title={words.hello(state.person.display_name)} lead={lead} wide>
      <Methods state={state} onState={setState} onCodes={setCodes} />
    </Door>
  );
}

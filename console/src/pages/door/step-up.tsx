// SPDX-License-Identifier: Apache-2.0
// "Prove yourself again": asked for by the API client when an answer says step_up_required, and as
// a page for applications that ask for a fresher sign-in.
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { api, onStepUp } from "../../api/client";
import { passkeysSupported, usePasskey } from "../../api/webauthn";
import { t } from "../../i18n";
import { useAction } from "../../lib/data";
import { go, place } from "../../lib/router";
import { loadMe, me, office } from "../../lib/state";
import { Button, Field, PageHead } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";

interface Ask { strength: string; answer: (done: boolean) => void }
const asked = signal<Ask | null>(null);
onStepUp((strength) => new Promise((resolve) => {
  asked.value?.answer(false);
  asked.value = { strength, answer: resolve };
}));

function Prove({ strength, onDone }: { strength: string; onDone: () => void }) {
  const has = me.value?.person.has;
  const passkeys = passkeysSupported() && (!has || has.passkeys > 0);
  const passwords = strength !== "passkey" && (!has || (has.password && has.totp));
  const [byPassword, setByPassword] = useState(!passkeys);
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const { busy, error, run, clear } = useAction();
  const words = t().stepUp;
  const withPasskey = () =>
    run(async () => {
      const options = await api("post", "/step-up/passkey/options");
      const credential = await usePasskey(options.public_key);
      await api("post", "/step-up/passkey/verify", { body: { flow: options.flow, credential } });
      onDone();
    });
  const withPassword = () =>
    run(async () => {
      await api("post", "/step-up/password", { body: { password, code } });
      onDone();
    });
  if (!passkeys && !passwords) return <p>{words.none}</p>;
  if (!byPassword) {
    return (
      <div class="stack">
        <Button tone="primary" icon="passkey" wide busy={busy} onClick={() => void withPasskey()}>{words.passkey}</Button>
        <ErrorNote error={error} />
        {passwords && <Button tone="quiet" wide onClick={() => { clear(); setByPassword(true); }}>{words.usePassword}</Button>}
      </div>
    );
  }
  return (
    <form class="stack" onSubmit={(event) => { event.preventDefault(); void withPassword(); }}>
      <Field label={t().signIn.password} type="password" value={password} autocomplete="current-password" required autoFocus onInput={(e) => setPassword(e.currentTarget.value)} />
      <Field label={t().signIn.code} value={code} inputMode="numeric" autocomplete="one-time-code" required maxLength={9} class="field-code" onInput={(e) => setCode(e.currentTarget.value)} />
      <ErrorNote error={error} />
      <Button type="submit" tone="primary" wide busy={busy}>{t().common.confirm}</Button>
      {passkeys && <Button tone="quiet" wide onClick={() => { clear(); setByPassword(false); }}>{words.usePasskey}</Button>}
    </form>
  );
}

export function StepUpDialog() {
  const ask = asked.value;
  if (!ask) return null;
  const end = (done: boolean) => {
    asked.value = null;
    ask.answer(done);
  };
  return (
    <Dialog title={t().stepUp.title} onClose={() => end(false)}>
      <p class="lead">{t().stepUp.lead}</p>
      <Prove strength={ask.strength} onDone={() => end(true)} />
    </Dialog>
  );
}

export function StepUpPage() {
  const to = place.value.query.get("to") ?? "";
  const onwards = async () => {
    await loadMe();
    const domain = office.value?.domain ?? "";
    try {
      const url = new URL(to);
      if (url.protocol === "https:" && domain && url.hostname.endsWith(`.${domain}`)) {
        location.assign(`/enter?to=${encodeURIComponent(url.href)}`);
        return;
      }
    } catch {
      /* no address given: stay in the portal */
    }
    go("/");
  };
  return (
    <>
      <PageHead title={t().stepUp.title} lead={t().stepUp.appLead} />
      <div class="card narrow"><Prove strength={place.value.query.get("strength") ?? "totp"} onDone={() => void onwards()} /></div>
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Sign-in: passkey first; else name and password, then the code of the authenticator app, or a
// recovery code. The server says the same for every name, and so does this page.
import { useEffect, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { passkeysSupported, usePasskey } from "../../api/webauthn";
import { t } from "../../i18n";
import { useAction } from "../../lib/data";
import { go, place } from "../../lib/router";
import { loadMe, office, officeName } from "../../lib/state";
import { Button, Field } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { Door } from "../../ui/shell";

type Stage = "choose" | "password" | "code" | "recovery";

/* Where to go afterwards: a page of this portal, or an application of this office through /enter. */
export function onwards(): void {
  const to = place.value.query.get("to");
  if (to) {
    try {
      const url = new URL(to, location.origin);
      const domain = office.value?.domain;
      if (url.origin === location.origin) return go(url.pathname + url.search + url.hash, { replace: true });
      if (domain && url.protocol === "https:" && url.hostname.endsWith(`.${domain}`)) {
        location.assign(`/enter?to=${encodeURIComponent(url.href)}`);
        return;
      }
    } catch {
      /* not an address: go home */
    }
  }
  go("/", { replace: true });
}

export function SignIn() {
  const [stage, setStage] = useState<Stage>("choose");
  const [flow, setFlow] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const { busy, error, run, clear } = useAction();
  const words = t().signIn;

  useEffect(() => {
    clear();
  }, [stage]);

  const finish = async (step: Schema["SignInStep"]) => {
    setFlow(step.flow);
    if (step.next.length === 0) {
      await loadMe();
    } else if (step.next.includes("totp")) {
      setStage("code");
    }
  };
  const withPasskey = () =>
    run(async () => {
      const options = await api("post", "/sign-in/passkey/options");
      const credential = await usePasskey(options.public_key);
      await finish(await api("post", "/sign-in/passkey/verify", { body: { flow: options.flow, credential } }));
    });
  const withPassword = () =>
    run(async () => {
      const start = await api("post", "/sign-in/start", { body: { name: name.trim().toLowerCase() } });
      const step = await api("post", "/sign-in/password", { body: { flow: start.flow, password } });
      setPassword("");
      await finish(step);
    });
  const withCode = () =>
    run(async () => {
      try {
        const path = stage === "code" ? "/sign-in/totp" : "/sign-in/recovery";
        await finish(await api("post", path, { body: { flow, code } }));
      } catch (cause) {
        setCode("");
        throw cause;
      }
    });
  const submit = (work: () => unknown) => (event: Event) => {
    event.preventDefault();
    void work();
  };

  if (stage === "code" || stage === "recovery") {
    const recovery = stage === "recovery";
    return (
      <Door title={recovery ? words.recoveryTitle : words.codeTitle} lead={recovery ? words.recoveryLead : words.codeLead}>
        <form class="stack" onSubmit={submit(withCode)}>
          <Field key={stage} label={recovery ? words.recoveryCode : words.code} value={code} autoFocus required
            inputMode={recovery ? "text" : "numeric"} autocomplete="one-time-code" maxLength={32} class="field-code"
            onInput={(e) => setCode(e.currentTarget.value)} />
          <ErrorNote error={error} />
          <Button type="submit" tone="primary" wide busy={busy}>{words.submit}</Button>
          <div class="row row-between">
            <Button tone="quiet" icon="left" onClick={() => { setStage("password"); setCode(""); }}>{t().common.back}</Button>
            <Button tone="quiet" onClick={() => { setStage(recovery ? "code" : "recovery"); setCode(""); }}>
              {recovery ? words.useCode : words.useRecovery}
            </Button>
          </div>
        </form>
      </Door>
    );
  }
  const passkeys = passkeysSupported();
  if (stage === "choose" && passkeys) {
    return (
      <Door title={words.title} lead={words.lead(officeName() ?? "Sallyport")}>
        <div class="stack">
          <Button tone="primary" icon="passkey" wide busy={busy} onClick={() => void withPasskey()}>{words.passkey}</Button>
          <p class="hint">{words.passkeyHint}</p>
          <ErrorNote error={error} />
          <p class="or"><span>{words.or}</span></p>
          <Button icon="lock" wide onClick={() => setStage("password")}>{words.usePassword}</Button>
        </div>
      </Door>
    );
  }
  return (
    <Door title={words.title} lead={words.lead(officeName() ?? "Sallyport")}>
      <form class="stack" onSubmit={submit(withPassword)}>
        <Field label={words.name} value={name} name="username" autocomplete="username" required autoFocus maxLength={63}
          onInput={(e) => setName(e.currentTarget.value)} />
        <Field label={words.password} value={password} type="password" name="password" autocomplete="current-password" required maxLength={1024}
          onInput={(e) => setPassword(e.currentTarget.value)} />
        <ErrorNote error={error} />
        <Button type="submit" tone="primary" wide busy={busy}>{words.next}</Button>
        {passkeys && <Button tone="quiet" icon="passkey" wide onClick={() => setStage("choose")}>{words.backToPasskey}</Button>}
        <details class="help">
          <summary>{words.troubleTitle}</summary>
          <p><Icon name="info" size={15} /> {words.trouble}</p>
        </details>
      </form>
    </Door>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Parts that set-up and "how I sign in" share: a new password, an authenticator app, recovery codes.
import { useState } from "preact/hooks";
import type { Schema } from "../api/client";
import { t } from "../i18n";
import { useAction } from "../lib/data";
import { Button, copyText, CopyBox, Field } from "./basic";
import { ErrorNote } from "./errors";
import { Icon } from "./icon";

const MIN = 12;

export function NewPassword({ action, name, onSave }: { action: string; name: string; onSave: (password: string) => Promise<void> }) {
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [show, setShow] = useState(false);
  const { busy, error, run } = useAction();
  const words = t().password;
  const differs = again.length >= password.length && again !== password && again !== "";
  return (
    <form class="stack" onSubmit={(event) => {
      event.preventDefault();
      if (password === again) void run(() => onSave(password));
    }}>
      <input type="text" class="sr" name="username" autocomplete="username" value={name} readOnly tabIndex={-1} aria-hidden="true" />
      <Field label={words.label} type={show ? "text" : "password"} value={password} autocomplete="new-password" required autoFocus
        minLength={MIN} maxLength={1024} hint={words.hint(MIN)} onInput={(e) => setPassword(e.currentTarget.value)} />
      <meter class="strength" min={0} low={MIN} high={18} optimum={20} max={20} value={Math.min(20, password.length)} aria-label={words.length} />
      <Field label={words.again} type={show ? "text" : "password"} value={again} autocomplete="new-password" required
        error={differs ? words.differs : null} onInput={(e) => setAgain(e.currentTarget.value)} />
      <label class="check"><input type="checkbox" checked={show} onChange={(e) => setShow(e.currentTarget.checked)} /> {words.show}</label>
      <ErrorNote error={error} />
      <Button type="submit" tone="primary" busy={busy} disabled={password.length < MIN || password !== again}>{action}</Button>
    </form>
  );
}

export function TotpSetup({ secret, action, onCode }: { secret: Schema["TotpSecret"]; action: string; onCode: (code: string) => Promise<void> }) {
  const [code, setCode] = useState("");
  const { busy, error, run } = useAction();
  const words = t().totp;
  return (
    <form class="stack" onSubmit={(event) => {
      event.preventDefault();
      void run(async () => {
        try {
          await onCode(code);
        } catch (cause) {
          setCode("");
          throw cause;
        }
      });
    }}>
      <div class="totp">
        <img class="qr" width="184" height="184" alt={words.qrAlt} src={`data:image/svg+xml,${encodeURIComponent(secret.qr_svg)}`} />
        <div class="stack-small">
          <p>{words.scan}</p>
          <details>
            <summary>{words.byHand}</summary>
            <CopyBox text={secret.secret.replace(/(.{4})(?=.)/g, "$1 ")} label={words.secret} />
          </details>
        </div>
      </div>
      <Field label={words.code} value={code} inputMode="numeric" autocomplete="one-time-code" required maxLength={9} class="field-code"
        hint={words.codeHint} onInput={(e) => setCode(e.currentTarget.value)} />
      <ErrorNote error={error} />
      <Button type="submit" tone="primary" busy={busy}>{action}</Button>
    </form>
  );
}

export function RecoveryCodes({ codes, onDone, action }: { codes: string[]; onDone: () => void; action: string }) {
  const [kept, setKept] = useState(false);
  const words = t().recovery;
  const save = () => {
    const file = new Blob([`${words.fileHead}\n\n${codes.join("\n")}\n`], { type: "text/plain" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = "sallyport-recovery-codes.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  return (
    <div class="stack">
      <div class="note"><Icon name="info" /><div class="note-text"><p>{words.text}</p></div></div>
      <ol class="codes">{codes.map((code) => <li key={code}><code>{code}</code></li>)}</ol>
      <div class="row">
        <Button icon="copy" onClick={() => void copyText(codes.join("\n"))}>{t().common.copy}</Button>
        <Button icon="download" onClick={save}>{words.save}</Button>
      </div>
      <label class="check"><input type="checkbox" checked={kept} onChange={(e) => setKept(e.currentTarget.checked)} /> {words.kept}</label>
      <Button tone="primary" disabled={!kept} onClick={onDone}>{action}</Button>
    </div>
  );
}

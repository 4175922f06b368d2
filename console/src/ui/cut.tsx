// SPDX-License-Identifier: Apache-2.0
// The kill switch as a dialog: what is cut, how much that would meet now, why, for how long.
import { useEffect, useId, useState } from "preact/hooks";
import { api, ApiError, type Schema } from "../api/client";
import { t } from "../i18n";
import { useAction, useData } from "../lib/data";
import { toast } from "../lib/state";
import { Button, cx, Field, Select } from "./basic";
import { Dialog } from "./dialog";
import { ErrorNote } from "./errors";

export type CutKind = Schema["CutKind"];
export type CutScope = Schema["CutScope"];

/* What is at hand where the dialog was opened; a connection is ended at its own gate. */
export interface About {
  connection?: { gate: "ssh" | "sql"; id: string };
  session?: string;
  person?: string;
  device?: string;
  resource?: string;
  class?: string;
  incident?: string;
}
type Target = "connection" | CutKind;
const KINDS: CutKind[] = ["session", "person", "device", "role", "resource", "class", "everything"];
const DURATIONS = ["0", "900", "3600", "14400", "86400"] as const;
const lasts = (kind: Target) => ["role", "resource", "class", "everything"].includes(kind);

const nameIn = (about: About, kind: Target): string =>
  kind === "connection" ? (about.connection?.id ?? "") : kind === "everything" || kind === "role" ? "" : (about[kind] ?? "");

export function Scope({ scope }: { scope: CutScope }) {
  const words = t().room.cut;
  return (
    <span class="scope">
      <b>{words.sessions(scope.sessions)}</b> <b>{words.people(scope.people)}</b> <b>{words.databases(scope.database_connections)}</b> <b>{words.machines(scope.ssh_connections)}</b>
      {scope.counted === "connections" && <span class="muted"> {words.counted}</span>}
    </span>
  );
}

function Preview({ kind, name }: { kind: CutKind; name: string }) {
  const words = t().room.cut;
  const [asked, setAsked] = useState(name);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(name), 250);
    return () => clearTimeout(timer);
  }, [name]);
  const ready = kind === "everything" || asked !== "";
  const data = useData(`cut:${kind}:${asked}`, (signal) => !ready ? Promise.resolve(undefined)
    : api("post", "/cuts", { body: { kind, name: kind === "everything" ? undefined : asked, dry_run: true }, signal }) as unknown as Promise<{ scope: CutScope }>, ["sessions"]);
  const unknown = data.error instanceof ApiError && [404, 422, 400].includes(data.error.status);
  return (
    <div class={cx("cut-scope", unknown && "cut-unknown")} role="status">
      <span class="muted">{words.scope}</span>
      {unknown ? <b>{words.nobody}</b> : data.error ? <ErrorNote error={data.error} /> : data.data ? <Scope scope={data.data.scope} /> : <span class="muted">{ready ? words.asking : "—"}</span>}
    </div>
  );
}

/* Names one may choose from, where the API lists them. */
function useNames(kind: Target): string[] {
  const data = useData(`cut-names:${kind}`, async (signal) => {
    if (kind === "resource") return (await api("get", "/admin/resources", { signal })).items.map((r) => r.name);
    if (kind === "class") return (await api("get", "/admin/classes", { signal })).items.map((c) => c.name);
    if (kind === "role") return (await api("get", "/admin/roles", { signal })).items.map((r) => r.name);
    if (kind === "person") return (await api("get", "/admin/people", { query: { limit: 200 }, signal })).items.map((p) => p.name);
    if (kind === "device") return (await api("get", "/admin/devices", { query: { limit: 200 }, signal })).items.map((d) => d.name);
    return [];
  });
  return data.data ?? [];
}

export function CutForm({ about, targets, onDone, onCancel }: { about: About; targets: Target[]; onDone: () => void; onCancel?: () => void }) {
  const words = t().room.cut;
  const id = useId();
  const [kind, setKind] = useState<Target>(targets[0] ?? "person");
  const [typed, setTyped] = useState<Record<string, string>>({});
  const [reason, setReason] = useState("");
  const [seconds, setSeconds] = useState<string>("0");
  const [stepUp, setStepUp] = useState(false);
  const [word, setWord] = useState("");
  const { busy, error, run, clear } = useAction();
  const name = (typed[kind] ?? nameIn(about, kind)).trim();
  const names = useNames(kind);
  const fixed = kind === "connection" || kind === "everything";
  const effect = stepUp && lasts(kind) ? "step-up" : "deny";
  const ready = reason.trim() !== "" && (fixed || name !== "") && (kind !== "everything" || word.trim() === words.word || effect === "step-up");
  const cut = () => run(async () => {
    const why = reason.trim();
    if (kind === "connection") {
      const path = { id: about.connection?.id ?? "" };
      if (about.connection?.gate === "ssh") await api("post", "/ssh/connections/{id}/end", { path, body: { why } });
      else await api("post", "/admin/databases/connections/{id}/end", { path, body: { why } });
    } else {
      await api("post", "/cuts", { body: { kind, name: kind === "everything" ? undefined : name, reason: why, effect, for_s: lasts(kind) ? Number(seconds) : undefined } });
    }
    toast(words.done(kind === "everything" ? words.everything : `${words[kind]} ${name}`));
    onDone();
  });
  return (
    <form class="stack" onSubmit={(event) => { event.preventDefault(); if (ready) void cut(); }}>
      <fieldset class="cut-kinds">
        <legend>{words.what}</legend>
        {targets.map((key) => (
          <label key={key} class={cx(kind === key && "on", key === "everything" && "grave")}>
            <input type="radio" name={`${id}-kind`} checked={kind === key} onChange={() => { setKind(key); clear(); }} />
            <span>{words[key]}{nameIn(about, key) && key !== "connection" && <small class="block muted clip">{nameIn(about, key)}</small>}</span>
          </label>
        ))}
      </fieldset>
      <p class="hint">{words.hints[kind]}</p>
      {!fixed && (
        <>
          <Field label={words.names[kind as CutKind]} value={typed[kind] ?? nameIn(about, kind)} required maxLength={63} autocomplete="off" list={`${id}-names`}
            onInput={(e: { currentTarget: HTMLInputElement }) => setTyped({ ...typed, [kind]: e.currentTarget.value })} />
          <datalist id={`${id}-names`}>{names.slice(0, 200).map((n) => <option key={n} value={n} />)}</datalist>
        </>
      )}
      {kind !== "connection" && <Preview kind={kind} name={name} />}
      {lasts(kind) && (
        <div class="row cut-lasts">
          <Select label={words.duration} value={seconds} onChange={setSeconds} options={DURATIONS.map((value) => ({ value, label: words.durations[value] }))} />
          <label class="check"><input type="checkbox" checked={stepUp} onChange={(e) => setStepUp(e.currentTarget.checked)} /> {words.onlyStepUp}</label>
        </div>
      )}
      <div class="field">
        <label for={`${id}-why`}>{words.reason}</label>
        <textarea id={`${id}-why`} class="input" rows={2} maxLength={500} required value={reason} aria-describedby={`${id}-hint`} onInput={(e) => setReason(e.currentTarget.value)} />
        <p class="hint" id={`${id}-hint`}>{words.reasonHint}</p>
      </div>
      {kind === "everything" && effect === "deny" && <Field label={words.confirm} value={word} autocomplete="off" maxLength={8} onInput={(e: { currentTarget: HTMLInputElement }) => setWord(e.currentTarget.value)} />}
      <ErrorNote error={error} />
      <div class="row row-end">
        {onCancel && <Button onClick={onCancel}>{t().common.cancel}</Button>}
        <Button type="submit" tone="kill" icon="close" busy={busy} disabled={!ready}>{effect === "step-up" ? words.goStepUp : words.go}</Button>
      </div>
    </form>
  );
}

export function CutDialog({ about, onClose, onDone }: { about: About; onClose: () => void; onDone?: () => void }) {
  const at: Target[] = (["connection", "session", "person", "device", "resource", "class"] as const).filter((kind) => about[kind]);
  return (
    <Dialog title={t().room.cut.title} onClose={onClose}>
      <CutForm about={about} targets={at.length > 0 ? at : KINDS} onCancel={onClose} onDone={() => { onDone?.(); onClose(); }} />
    </Dialog>
  );
}
export const ALL_TARGETS: Target[] = ["person", "session", "device", "role", "resource", "class", "everything"];

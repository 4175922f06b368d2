// SPDX-License-Identifier: Apache-2.0
// The documents: edit, check (compile, prove, run the examples, show the difference), apply.
import { useMemo, useState } from "preact/hooks";
import { api, ApiError, type Schema } from "../../../api/client";
import { t } from "../../../i18n";
import { useAction, useData } from "../../../lib/data";
import { isAdmin, toast } from "../../../lib/state";
import { Badge, Button, Card, cx, Field, Skeleton } from "../../../ui/basic";
import { Dialog } from "../../../ui/dialog";
import { Editor, Problems } from "../../../ui/editor";
import { ErrorNote } from "../../../ui/errors";
import { Icon } from "../../../ui/icon";
import { PolicyDiff } from "./diff";

type File = Schema["PolicyFile"];
type Check = Schema["PolicyCheck"];
type Diagnostic = Schema["Diagnostic"];

function Result({ check, onJump }: { check: Check; onJump: (d: Diagnostic) => void }) {
  const [diff, setDiff] = useState(false);
  const words = t().policy;
  const proven = check.nevers.filter((n) => n.state === "proven").length;
  const passed = check.examples.filter((e) => e.ok).length;
  return (
    <div class="stack-small" role="status">
      <div class={cx("note", check.ok ? "note-good" : "note-bad")}>
        <Icon name={check.ok ? "check" : "alert"} />
        <div class="note-text">
          <strong>{check.ok ? words.checkGood : words.checkBad}</strong>
          <p>{words.checkSum(proven, check.nevers.length, passed, check.examples.length)}</p>
        </div>
        {check.diff && <Button small onClick={() => setDiff(true)}>{words.showDiff}</Button>}
      </div>
      <Problems items={check.diagnostics} onJump={onJump} />
      {check.nevers.filter((n) => n.state === "broken").map((n) => <p key={n.name} class="field-error"><Icon name="alert" size={14} /> <b>{n.name}</b>: {n.counter_example}</p>)}
      {check.examples.filter((e) => !e.ok).map((e) => <p key={e.name} class="field-error"><Icon name="alert" size={14} /> <b>{e.name}</b>: {words.expectedGot(t().words.verdict[e.expect], t().words.verdict[e.got])}</p>)}
      {diff && check.diff && <Dialog title={words.showDiff} onClose={() => setDiff(false)} wide><PolicyDiff diff={check.diff} /></Dialog>}
    </div>
  );
}

function NewFile({ taken, onClose, onMake }: { taken: string[]; onClose: () => void; onMake: (path: string) => void }) {
  const [path, setPath] = useState("");
  const words = t().policy;
  const bad = path !== "" && (!/^[\w][\w./-]*\.ya?ml$/.test(path) || taken.includes(path));
  return (
    <Dialog title={words.newFile} onClose={onClose}>
      <form class="stack" onSubmit={(e) => { e.preventDefault(); if (!bad && path) onMake(path); }}>
        <Field label={words.fileName} value={path} required placeholder="rules/finance.yaml" autoFocus error={bad ? words.fileNameBad : null} onInput={(e) => setPath(e.currentTarget.value.trim())} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" disabled={bad}>{words.make}</Button></div>
      </form>
    </Dialog>
  );
}

export interface Place { line: number; column: number; turn: number }

/* start: what it begins with, where that is not what is in force. */
export function Workbench({ version, original, start, onApplied }: {
  version: string; original: File[]; start?: { files: File[]; path: string; line: number }; onApplied: () => void;
}) {
  const [files, setFiles] = useState(start?.files ?? original);
  const [path, setPath] = useState(start?.path ?? original[0]?.path ?? "");
  const [check, setCheck] = useState<Check>();
  const [comment, setComment] = useState("");
  const [making, setMaking] = useState(false);
  const [at, setAt] = useState<Place | null>(start ? { line: start.line, column: 1, turn: 0 } : null);
  const { busy, error, run } = useAction();
  const words = t().policy;
  const may = isAdmin("security");
  const was = new Map(original.map((f) => [f.path, f.text]));
  const isChanged = (f: File) => was.get(f.path) !== f.text;
  const changed = files.some(isChanged) || files.length !== original.length;
  const file = files.find((f) => f.path === path);
  const bad = useMemo(() => new Set(check?.diagnostics.filter((d) => d.path === path && d.severity === "error").map((d) => d.line ?? 0)), [check, path]);
  const edit = (text: string) => {
    setFiles(files.map((f) => (f.path === path ? { ...f, text } : f)));
    setCheck(undefined);
  };
  const jump = (d: Diagnostic) => {
    if (d.path) setPath(d.path);
    setAt({ line: d.line ?? 1, column: d.column ?? 1, turn: Date.now() });
  };
  const validate = () => run(async () => setCheck(await api("post", "/admin/policy/validate", { body: { files } })));
  const apply = () =>
    run(async () => {
      try {
        const now = await api("post", "/admin/policy/apply", { body: { files, base_version: version, comment: comment.trim() } });
        toast(words.applied(now.version));
        onApplied();
      } catch (cause) {
        if (cause instanceof ApiError && cause.problem.check) setCheck(cause.problem.check);
        throw cause;
      }
    });
  return (
    <div class="stack">
      <div class="workbench">
        <nav class="file-list" aria-label={words.files}>
          <ul>
            {files.map((f) => (
              <li key={f.path}>
                <button type="button" class="file-link" aria-current={f.path === path ? "true" : undefined} onClick={() => { setPath(f.path); setAt(null); }}>
                  <Icon name="file" size={15} /><span>{f.path}</span>
                  {isChanged(f) && <i class="dot" title={words.changed} />}
                  {check?.diagnostics.some((d) => d.path === f.path && d.severity === "error") && <Icon name="alert" size={14} />}
                </button>
              </li>
            ))}
          </ul>
          {may && (
            <div class="row">
              <Button small tone="quiet" icon="plus" onClick={() => setMaking(true)}>{words.newFile}</Button>
              {file && <Button small tone="quiet" icon="minus" onClick={() => { const rest = files.filter((f) => f.path !== path); setFiles(rest); setPath(rest[0]?.path ?? ""); setCheck(undefined); }}>{words.removeFile}</Button>}
            </div>
          )}
        </nav>
        {file && <Editor key={path} text={file.text} onText={edit} bad={bad} readOnly={!may} at={at} />}
      </div>
      {check && <Result check={check} onJump={jump} />}
      <ErrorNote error={error} />
      <Card class="apply-bar">
        <div class="row">
          {changed ? <Badge tone="warn">{words.unsaved}</Badge> : <Badge>{words.asInForce}</Badge>}
          <Button icon="check" busy={busy} onClick={() => void validate()}>{words.check}</Button>
          {changed && <Button tone="quiet" onClick={() => { setFiles(original); setCheck(undefined); }}>{words.discard}</Button>}
        </div>
        {may && (
          <form class="row grow" onSubmit={(e) => { e.preventDefault(); void apply(); }}>
            <Field label={words.comment} value={comment} required maxLength={500} class="grow" onInput={(e) => setComment(e.currentTarget.value)} />
            <Button type="submit" tone="primary" busy={busy} disabled={!changed || check?.ok === false}>{words.apply}</Button>
          </form>
        )}
      </Card>
      {!may && <p class="hint">{words.readOnly}</p>}
      {making && <NewFile taken={files.map((f) => f.path)} onClose={() => setMaking(false)} onMake={(p) => { setFiles([...files, { path: p, text: "" }]); setPath(p); setMaking(false); }} />}
    </div>
  );
}

export function Documents({ onApplied }: { onApplied: () => void }) {
  const data = useData("documents", (signal) => api("get", "/admin/policy/documents", { signal }));
  if (data.error) return <ErrorNote error={data.error} onRetry={data.reload} />;
  if (!data.data) return <Skeleton rows={8} />;
  return <Workbench key={data.data.version} version={data.data.version} original={data.data.files} onApplied={() => { data.reload(); onApplied(); }} />;
}

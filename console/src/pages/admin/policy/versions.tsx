// SPDX-License-Identifier: Apache-2.0
// Every version that was ever in force: who, when, why; what differs; the way back.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../../api/client";
import { t } from "../../../i18n";
import { useAction, useData, useList } from "../../../lib/data";
import { isAdmin, toast } from "../../../lib/state";
import { Badge, Button, Digest, Empty, Field, Skeleton } from "../../../ui/basic";
import { Dialog } from "../../../ui/dialog";
import { ErrorNote } from "../../../ui/errors";
import { ListTable } from "../../../ui/table";
import { Time } from "../../../ui/time";
import { PolicyDiff } from "./diff";

type Version = Schema["PolicyVersion"];

function Compare({ from, to, onClose }: { from: string; to: string; onClose: () => void }) {
  const diff = useData(`diff:${from}:${to}`, (signal) => api("get", "/admin/policy/diff", { query: { from, to }, signal }));
  return (
    <Dialog title={t().policy.compareTitle(from, to)} onClose={onClose} wide>
      {diff.error ? <ErrorNote error={diff.error} onRetry={diff.reload} /> : diff.data ? <PolicyDiff diff={diff.data} /> : <Skeleton rows={6} />}
    </Dialog>
  );
}
function Rollback({ version, onClose, onDone }: { version: Version; onClose: () => void; onDone: () => void }) {
  const [comment, setComment] = useState("");
  const { busy, error, run } = useAction();
  const words = t().policy;
  return (
    <Dialog title={words.rollbackTitle(version.version)} onClose={onClose}>
      <form class="stack" onSubmit={(e) => {
        e.preventDefault();
        void run(async () => {
          const now = await api("post", "/admin/policy/versions/{version}/rollback", { path: { version: version.version }, body: { comment: comment.trim() } });
          toast(words.applied(now.version));
          onDone();
        });
      }}>
        <p>{words.rollbackText}</p>
        <Field label={words.comment} value={comment} required maxLength={500} autoFocus onInput={(e) => setComment(e.currentTarget.value)} />
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{words.rollback}</Button></div>
      </form>
    </Dialog>
  );
}

export function Versions() {
  const list = useList("versions", (cursor, signal) => api("get", "/admin/policy/versions", { query: { cursor }, signal }), ["policy"]);
  const [compare, setCompare] = useState<{ from: string; to: string }>();
  const [back, setBack] = useState<Version>();
  const words = t().policy;
  const all = list.data ?? [];
  const before = (v: Version) => all[all.findIndex((x) => x.version === v.version) + 1]?.version;
  return (
    <>
      <ListTable list={list} label={words.tabs.versions} keyOf={(v) => v.version} empty={<Empty icon="policy" title={words.noVersions} />} columns={[
        { key: "version", label: words.versionShort, kind: "main", render: (v) => <span class="row"><strong>{words.version(v.version)}</strong>{v.current && <Badge tone="accent">{words.inForce}</Badge>}{v.rollback_of && <Badge>{words.rollbackOf(v.rollback_of)}</Badge>}</span> },
        { key: "comment", label: words.comment, render: (v) => v.comment || "—" },
        { key: "by", label: words.byWhom, render: (v) => v.by },
        { key: "at", label: words.at, render: (v) => <Time at={v.applied_at} /> },
        { key: "digest", label: words.digest, render: (v) => <Digest text={v.digest} /> },
        { key: "do", label: t().common.actions, kind: "actions", render: (v) => {
          const earlier = before(v);
          return (
            <span class="row row-end">
              {earlier && <Button small onClick={() => setCompare({ from: earlier, to: v.version })}>{words.compare}</Button>}
              {isAdmin("security") && !v.current && <Button small onClick={() => setBack(v)}>{words.rollback}</Button>}
            </span>
          );
        } },
      ]} />
      {compare && <Compare {...compare} onClose={() => setCompare(undefined)} />}
      {back && <Rollback version={back} onClose={() => setBack(undefined)} onDone={() => { setBack(undefined); list.reload(); }} />}
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// The difference between two sets of documents: what changes in effect first, then the texts.
import type { Schema } from "../../../api/client";
import { t } from "../../../i18n";
import { diffLines } from "../../../lib/diff";
import { Badge, cx } from "../../../ui/basic";
import { Table } from "../../../ui/table";
import { ClassBadge, VerdictBadge, wordIn } from "../../../ui/words";

export function TextDiff({ before, after }: { before: string; after: string }) {
  return (
    <div class="diff" tabIndex={0}>
      {diffLines(before, after).map((l, at) =>
        l.kind === "fold" ? <div key={at} class="diff-fold">⋯</div> : (
          <div key={at} class={cx("diff-line", `diff-${l.kind}`)}>
            <span class="diff-no" aria-hidden="true">{l.before ?? ""}</span><span class="diff-no" aria-hidden="true">{l.after ?? ""}</span>
            <span class="diff-sign">{l.kind === "gone" ? "−" : l.kind === "new" ? "+" : " "}</span><code>{l.text || " "}</code>
          </div>
        ))}
    </div>
  );
}

export function PolicyDiff({ diff }: { diff: Schema["PolicyDiff"] }) {
  const words = t().policy;
  const w = t().words;
  return (
    <div class="stack">
      <h3>{words.effects(diff.effects.length)}{diff.effects_more && "+"}</h3>
      {diff.effects.length === 0 ? <p class="muted">{words.noEffects}</p> : (<>
        <p class="hint">{words.effectsHint}</p>
        <Table label={words.effects(diff.effects.length)} rows={diff.effects.slice(0, 100)} keyOf={(e) => [e.role, e.person, e.owner, e.posture, e.strength, e.class, e.resource, e.part, e.action].join("/")} columns={[
          { key: "role", label: words.role, kind: "main", render: (e) => e.person ?? wordIn(w.role, e.role) },
          { key: "device", label: words.device, render: (e) => <>{w.owner[e.owner]}{e.posture && <> · {w.posture[e.posture]}</>}</> },
          { key: "class", label: words.class, render: (e) => <><ClassBadge name={e.class} />{e.resource && <> {e.resource}{e.part && <code> {e.part}</code>}</>}</> },
          { key: "action", label: words.action, render: (e) => w.action[e.action] },
          { key: "change", label: words.change, render: (e) => <span class="row"><VerdictBadge verdict={e.before} /> → <VerdictBadge verdict={e.after} />{e.duties_before !== e.duties_after && <span>{words.effectDuties(e.duties_before ?? "", e.duties_after ?? "")}</span>}</span> },
        ]} />
      </>)}
      <h3>{words.texts(diff.files.length)}</h3>
      {diff.files.map((f) => (
        <section key={f.path} class="stack-small">
          <p class="row"><code>{f.path}</code> <Badge tone={f.change === "removed" ? "bad" : f.change === "added" ? "good" : "neutral"}>{words.fileChange[f.change]}</Badge></p>
          <TextDiff before={f.before ?? ""} after={f.after ?? ""} />
        </section>
      ))}
    </div>
  );
}

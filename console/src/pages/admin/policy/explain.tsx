// SPDX-License-Identifier: Apache-2.0
// "May she do this?": asks the policy in force and gets a sentence that names the rule.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../../api/client";
import { t } from "../../../i18n";
import { useAction, useData } from "../../../lib/data";
import { Badge, Button, Card, Facts, Field, Select, Skeleton } from "../../../ui/basic";
import { ErrorNote } from "../../../ui/errors";
import { ClassBadge, roleTitle, text2, VerdictBadge, wordIn } from "../../../ui/words";

const ACTIONS = ["connect", "read", "write", "export", "import", "alter", "destroy", "administer", "execute", "forward"] as const;
const OWNERS = ["company", "personal", "unknown"] as const;
const POSTURES = ["healthy", "unhealthy", "unknown"] as const;
const STRENGTHS = ["passkey", "totp", "password", "none"] as const;

function Answer({ answer: a }: { answer: Schema["Explanation"] }) {
  const words = t().policy;
  return (
    <Card class="answer">
      <p class="answer-sentence"><VerdictBadge verdict={a.verdict} /> <span>{text2(a.sentence)}</span></p>
      <Facts items={[
        [t().ledger.reason, wordIn(t().words.reason, a.reason)],
        [words.rule, a.rule && <><code>{a.rule}</code> <span class="muted">{a.rule_place}</span></>],
        [words.part, a.part],
        [words.class, <ClassBadge name={a.class} />],
        [words.action, wordIn(t().words.action, a.action)],
        [words.duties, a.must?.length ? <span class="chips">{a.must.map((m) => <Badge key={m} tone="accent">{t().words.must[m]}</Badge>)}</span> : undefined],
        [words.approvalsNeeded, a.approvals || undefined],
      ]} />
    </Card>
  );
}

export function Explain() {
  const resources = useData("resources", (signal) => api("get", "/admin/resources", { signal }), ["policy"]);
  const roles = useData("roles", (signal) => api("get", "/admin/roles", { signal }));
  const [form, setForm] = useState({ by: "role", person: "", role: "", owner: "company", posture: "healthy", strength: "passkey", resource: "", path: "", action: "read" });
  const [answer, setAnswer] = useState<Schema["Explanation"]>();
  const { busy, error, run } = useAction();
  const words = t().policy;
  if (resources.error || roles.error) return <ErrorNote error={resources.error ?? roles.error} onRetry={() => { resources.reload(); roles.reload(); }} />;
  if (!resources.data || !roles.data) return <Skeleton rows={4} />;
  const role = form.role || (roles.data.items.find((r) => !r.admin)?.name ?? "");
  const resource = form.resource || (resources.data.items[0]?.name ?? "");
  const set = (key: keyof typeof form) => (value: string) => setForm({ ...form, [key]: value });
  const ask = () =>
    run(async () => {
      setAnswer(await api("post", "/admin/policy/explain", {
        body: {
          ...(form.by === "person" ? { person: form.person.trim() } : { roles: [role] }),
          owner: form.owner as Schema["Owner"], posture: form.posture as Schema["Posture"], strength: form.strength as Schema["Strength"],
          resource, action: form.action as Schema["Action"], ...(form.path.trim() ? { path: form.path.trim() } : {}),
        },
      }));
    });
  const w = t().words;
  return (
    <div class="split">
      <Card title={words.ask}>
        <form class="stack" onSubmit={(e) => { e.preventDefault(); void ask(); }}>
          <div class="filter-grid">
            <Select label={words.who} value={form.by} onChange={set("by")} options={[{ value: "role", label: words.aRole }, { value: "person", label: words.aPerson }]} />
            {form.by === "person"
              ? <Field label={words.personName} value={form.person} required maxLength={63} onInput={(e) => set("person")(e.currentTarget.value)} />
              : <Select label={words.role} value={role} onChange={set("role")} options={roles.data.items.map((r) => ({ value: r.name, label: roleTitle(r) }))} />}
            <Select label={words.device} value={form.owner} onChange={set("owner")} options={OWNERS.map((o) => ({ value: o, label: w.owner[o] }))} />
            <Select label={words.posture} value={form.posture} onChange={set("posture")} options={POSTURES.map((o) => ({ value: o, label: w.posture[o] }))} />
            <Select label={words.strength} value={form.strength} onChange={set("strength")} options={STRENGTHS.map((o) => ({ value: o, label: w.strength[o] }))} />
            <Select label={words.action} value={form.action} onChange={set("action")} options={ACTIONS.map((o) => ({ value: o, label: w.action[o] }))} />
            <Select label={words.resource} value={resource} onChange={set("resource")} options={resources.data.items.map((r) => ({ value: r.name, label: text2(r.title, r.name) }))} />
            <Field label={words.path} value={form.path} placeholder="/exports/2026.csv" maxLength={500} onInput={(e) => set("path")(e.currentTarget.value)} />
          </div>
          <ErrorNote error={error} />
          <Button type="submit" tone="primary" busy={busy}>{words.askButton}</Button>
        </form>
      </Card>
      {answer ? <Answer answer={answer} /> : <p class="hint">{words.askHint}</p>}
    </div>
  );
}

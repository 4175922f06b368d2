// SPDX-License-Identifier: Apache-2.0
// Rules, nevers with the state of their proof, examples with their results.
import type { ComponentChildren } from "preact";
import { api } from "../../../api/client";
import { t } from "../../../i18n";
import { useData } from "../../../lib/data";
import { Badge, Empty, Skeleton } from "../../../ui/basic";
import { ErrorNote } from "../../../ui/errors";
import { Icon } from "../../../ui/icon";
import { formatNumber } from "../../../ui/time";
import { VerdictBadge, wordIn } from "../../../ui/words";
import { Yaml } from "../../../ui/yaml";

function Item({ head, place, yaml, children }: { head: ComponentChildren; place?: string; yaml?: string; children?: ComponentChildren }) {
  return (
    <details class="policy-item">
      <summary>{head}<Icon name="down" size={15} /></summary>
      <div class="stack-small">
        {children}
        {yaml && <Yaml text={yaml} />}
        {place && <p class="hint">{place}</p>}
      </div>
    </details>
  );
}
const facet = (label: string, items: string[] | undefined) =>
  items && items.length > 0 && <span class="facet"><small>{label}</small>{items.join(", ")}</span>;

export function Rules() {
  const rules = useData("rules", (signal) => api("get", "/admin/policy/rules", { signal }), ["policy"]);
  const words = t().policy;
  if (rules.error) return <ErrorNote error={rules.error} onRetry={rules.reload} />;
  if (!rules.data) return <Skeleton rows={6} />;
  if (rules.data.items.length === 0) return <Empty icon="policy" title={words.noRules}><p>{words.noRulesText}</p></Empty>;
  return (
    <div class="policy-list">
      {rules.data.items.map((r) => (
        <Item key={r.name} place={r.place} yaml={r.yaml} head={
          <span class="policy-head">
            <span class="row"><VerdictBadge verdict={r.effect} /><strong>{r.name}</strong>{r.warning && <Badge tone="warn" icon="alert" title={r.warning}>{words.warning}</Badge>}</span>
            <span class="facets">{facet(words.who, r.who)}{facet(words.on, r.on)}{facet(words.to, r.to)}{facet(r.effect === "deny" ? words.mayNot : words.may, r.may?.map((a) => wordIn(t().words.action, a)))}{facet(words.when, r.when)}{facet(words.with, r.with)}</span>
          </span>}>
          {r.warning && <p class="field-error"><Icon name="alert" size={14} /> {r.warning}</p>}
        </Item>
      ))}
    </div>
  );
}

export function Nevers() {
  const nevers = useData("nevers", (signal) => api("get", "/admin/policy/nevers", { signal }), ["policy"]);
  const words = t().policy;
  if (nevers.error) return <ErrorNote error={nevers.error} onRetry={nevers.reload} />;
  if (!nevers.data) return <Skeleton rows={4} />;
  if (nevers.data.items.length === 0) return <Empty icon="policy" title={words.noNevers}><p>{words.noNeversText}</p></Empty>;
  return (
    <div class="stack">
      <p class="lead">{words.neversLead}</p>
      <div class="policy-list">
        {nevers.data.items.map((n) => (
          <Item key={n.name} place={n.place} yaml={n.yaml} head={
            <span class="policy-head">
              <span class="row"><Badge tone={n.state === "proven" ? "good" : "bad"} icon={n.state === "proven" ? "check" : "alert"}>{n.state === "proven" ? words.proven : words.broken}</Badge><strong>{n.name}</strong></span>
              <span class="facets">{facet(words.action, n.actions?.map((a) => wordIn(t().words.action, a)))}{facet(words.class, n.classes?.map((c) => wordIn(t().words.classes, c)))}{n.cases !== undefined && <span class="facet"><small>{words.cases}</small>{formatNumber(n.cases)}</span>}</span>
            </span>}>
            {n.counter_example && <div class="note note-bad"><Icon name="alert" /><div class="note-text"><p>{n.counter_example}</p></div></div>}
          </Item>
        ))}
      </div>
    </div>
  );
}

export function Examples() {
  const examples = useData("examples", (signal) => api("get", "/admin/policy/examples", { signal }), ["policy"]);
  const words = t().policy;
  if (examples.error) return <ErrorNote error={examples.error} onRetry={examples.reload} />;
  if (!examples.data) return <Skeleton rows={4} />;
  if (examples.data.items.length === 0) return <Empty icon="policy" title={words.noExamples}><p>{words.noExamplesText}</p></Empty>;
  return (
    <div class="policy-list">
      {examples.data.items.map((e) => (
        <Item key={e.name} place={e.place} yaml={e.yaml} head={
          <span class="policy-head">
            <span class="row"><Badge tone={e.ok ? "good" : "bad"} icon={e.ok ? "check" : "alert"}>{e.ok ? words.passes : words.fails}</Badge><strong>{e.name}</strong></span>
            <span class="facets"><span class="facet"><small>{words.expected}</small><VerdictBadge verdict={e.expect} /></span><span class="facet"><small>{words.got}</small><VerdictBadge verdict={e.got} /></span>{facet(t().ledger.reason, [wordIn(t().words.reason, e.reason)].filter(Boolean))}{facet(words.rule, e.rule ? [e.rule] : undefined)}</span>
          </span>} />
      ))}
    </div>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Policy: what it allows (matrix, explain), what it says (rules, nevers, examples), and its texts.
import { api } from "../../../api/client";
import { t } from "../../../i18n";
import { useData } from "../../../lib/data";
import { go } from "../../../lib/router";
import { Badge, Digest, PageHead, Tabs } from "../../../ui/basic";
import { Time } from "../../../ui/time";
import { Documents } from "./documents";
import { Explain } from "./explain";
import { Examples, Nevers, Rules } from "./lists";
import { Matrix } from "./matrix";
import { Versions } from "./versions";

const TABS = ["matrix", "explain", "rules", "nevers", "examples", "documents", "versions"] as const;
type Tab = (typeof TABS)[number];

export function Policy({ params }: { params: Record<string, string> }) {
  const policy = useData("policy", (signal) => api("get", "/admin/policy", { signal }), ["policy"]);
  const words = t().policy;
  const tab: Tab = TABS.find((name) => name === params.tab) ?? "matrix";
  const counts = policy.data?.counts ?? {};
  const numbers: Partial<Record<Tab, number>> = { rules: counts.Rule, nevers: counts.Never, examples: counts.Example };
  const p = policy.data;
  return (
    <>
      <PageHead title={words.title} lead={p && (
        <span class="row facts-row"><Badge tone="accent">{words.version(p.version)}</Badge><span>{words.by(p.by)} <Time at={p.applied_at} /></span><Digest text={p.digest} /></span>)} />
      <Tabs label={words.title} value={tab} onChange={(key) => go(key === "matrix" ? "/admin/policy" : `/admin/policy/${key}`, { replace: true })}
        items={TABS.map((key) => ({ key, label: words.tabs[key], count: numbers[key] }))} />
      {tab === "matrix" && <Matrix />}
      {tab === "explain" && <Explain />}
      {tab === "rules" && <Rules />}
      {tab === "nevers" && <Nevers />}
      {tab === "examples" && <Examples />}
      {tab === "documents" && <Documents onApplied={policy.reload} />}
      {tab === "versions" && <Versions />}
    </>
  );
}

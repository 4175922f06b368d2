// SPDX-License-Identifier: Apache-2.0
// Editing a plan: the office's documents, opened at it. One that comes with the program begins as a copy.
import { api } from "../../api/client";
import { t } from "../../i18n";
import { useData } from "../../lib/data";
import { go } from "../../lib/router";
import { findDocument, newPlan } from "../../lib/documents";
import { isAdmin } from "../../lib/state";
import { Empty, PageHead, Skeleton } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Workbench } from "../admin/policy/documents";

export function PlanEditor({ params }: { params: Record<string, string> }) {
  const words = t().room.plans;
  const name = params.name ?? "";
  const data = useData(`plan-text:${name}`, async (signal) => ({
    mine: await api("get", "/admin/policy/documents", { signal }),
    builtIn: await api("get", "/plans/built-in", { signal }),
  }));
  const head = <PageHead title={words.editTitle(name)} lead={<>{words.editLead} <a href="/admin/plans">{words.all}</a></>} />;
  if (!isAdmin("security")) return <>{head}<Empty icon="lock" title={words.editLater} /></>;
  if (data.error) return <>{head}<ErrorNote error={data.error} onRetry={data.reload} /></>;
  if (!data.data) return <>{head}<Skeleton rows={8} /></>;
  const { files, version } = data.data.mine;
  const own = files.map((file) => ({ path: file.path, found: findDocument(file.text, "Plan", name) })).find((f) => f.found);
  const path = own?.path ?? `plan-${name}.yaml`;
  const copy = findDocument(data.data.builtIn.text, "Plan", name)?.text ?? newPlan(name);
  const start = { files: own ? files : [...files, { path, text: `${copy}\n` }], path, line: own?.found?.line ?? 1 };
  return (
    <>
      {head}
      {!own && <p class="hint">{words.builtIn}</p>}
      <Workbench version={version} original={files} start={start} onApplied={() => go(`/admin/plans/${name}`)} />
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// The whole policy for one role on one screen: class x device against action. Arrows move over
// the cells; the line below says who decided the cell and why.
import { useRef, useState } from "preact/hooks";
import { api, type Schema } from "../../../api/client";
import { t } from "../../../i18n";
import { useData } from "../../../lib/data";
import { place, setQuery } from "../../../lib/router";
import { Badge, cx, Select, Skeleton } from "../../../ui/basic";
import { ErrorNote } from "../../../ui/errors";
import { Icon } from "../../../ui/icon";
import { ClassBadge, roleTitle, VerdictBadge, wordIn } from "../../../ui/words";

type Cell = Schema["PolicyMatrix"]["cells"][number];
const OWNERS = ["company", "personal", "unknown"] as const;
const STRENGTHS = ["passkey", "totp", "password"] as const;
const ICONS = { allow: "check", ask: "hand", deny: "minus" } as const;

function Grid({ matrix }: { matrix: Schema["PolicyMatrix"] }) {
  const [at, setAt] = useState<[number, number]>([0, 0]);
  const grid = useRef<HTMLTableElement>(null);
  const words = t().words;
  const rows = [...matrix.classes].reverse().flatMap((cls) => OWNERS.map((owner) => ({ cls, owner })));
  const find = new Map(matrix.cells.map((c) => [`${c.class}/${c.owner}/${c.action}`, c]));
  const cellOf = (row: number, col: number): Cell | undefined => {
    const r = rows[row];
    return r && find.get(`${r.cls}/${r.owner}/${matrix.actions[col]}`);
  };
  const move = (event: KeyboardEvent) => {
    const step: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const by = step[event.key];
    if (!by) return;
    event.preventDefault();
    /* from the cell that has the focus: `at` may have followed a mouse that rests there */
    const from = (event.target as HTMLElement).dataset.cell?.split("/").map(Number) ?? at;
    const row = Math.min(rows.length - 1, Math.max(0, (from[0] ?? 0) + by[0]));
    const col = Math.min(matrix.actions.length - 1, Math.max(0, (from[1] ?? 0) + by[1]));
    setAt([row, col]);
    grid.current?.querySelector<HTMLElement>(`[data-cell="${row}/${col}"]`)?.focus();
  };
  const here = cellOf(...at);
  return (
    <div class="matrix-box">
      <div class="table-wrap">
        <table class="matrix" ref={grid} onKeyDown={move}>
          <caption class="sr">{t().policy.matrixCaption(matrix.role)}</caption>
          <thead>
            <tr><th scope="col">{t().policy.class}</th><th scope="col">{t().policy.device}</th>
              {matrix.actions.map((a) => <th key={a} scope="col" class="matrix-action"><span>{words.action[a]}</span></th>)}</tr>
          </thead>
          {[...matrix.classes].reverse().map((cls, group) => (
            <tbody key={cls}>
              {OWNERS.map((owner, sub) => {
                const row = group * OWNERS.length + sub;
                return (
                  <tr key={owner}>
                    {sub === 0 && <th scope="rowgroup" rowSpan={OWNERS.length} class="matrix-class"><ClassBadge name={cls} /></th>}
                    <th scope="row" class="matrix-owner">{words.owner[owner]}</th>
                    {matrix.actions.map((action, col) => {
                      const cell = cellOf(row, col);
                      const verdict = cell?.verdict ?? "deny";
                      const on = at[0] === row && at[1] === col;
                      return (
                        <td key={action}>
                          <button type="button" data-cell={`${row}/${col}`} tabIndex={on ? 0 : -1} class={cx("matrix-cell", `matrix-${verdict}`, on && "on")}
                            aria-label={`${wordIn(words.classes, cls)}, ${words.owner[owner]}, ${words.action[action]}: ${words.verdict[verdict]}`}
                            onFocus={() => setAt([row, col])} onMouseEnter={() => setAt([row, col])} onClick={() => setAt([row, col])}>
                            <Icon name={ICONS[verdict]} size={15} />
                            {verdict === "allow" && (cell?.must?.length ?? 0) > 0 && <i class="matrix-must" aria-hidden="true" />}
                          </button>
                        </td>
                      );
                    })}
                  </tr>
                );
              })}
            </tbody>
          ))}
        </table>
      </div>
      {here && (
        <div class="matrix-why" aria-live="polite">
          <VerdictBadge verdict={here.verdict} />
          <span><b>{words.action[here.action]}</b> · <ClassBadge name={here.class} /> · {words.owner[here.owner]}</span>
          <span>{wordIn(words.reason, here.reason)}{here.rule && <>: <code>{here.rule}</code></>}</span>
          {here.must?.map((m) => <Badge key={m} tone="accent">{words.must[m]}</Badge>)}
          {here.verdict === "ask" && here.approvals ? <Badge tone="warn">{t().policy.approvals(here.approvals)}</Badge> : null}
        </div>
      )}
    </div>
  );
}

export function Matrix() {
  const roles = useData("roles", (signal) => api("get", "/admin/roles", { signal }), ["policy"]);
  const query = place.value.query;
  const role = query.get("role") ?? roles.data?.items.find((r) => !r.admin)?.name ?? roles.data?.items[0]?.name ?? "";
  const strength = STRENGTHS.find((s) => s === query.get("strength")) ?? "passkey";
  const matrix = useData(`matrix:${role}:${strength}`, async (signal) => (role ? api("get", "/admin/policy/matrix", { query: { role, strength }, signal }) : undefined), ["policy"]);
  const words = t().policy;
  return (
    <div class="stack">
      <div class="toolbar">
        <Select label={words.role} value={role} onChange={(value) => setQuery({ role: value })}
          options={(roles.data?.items ?? []).map((r) => ({ value: r.name, label: roleTitle(r) }))} />
        <Select label={words.strength} value={strength} onChange={(value) => setQuery({ strength: value })}
          options={STRENGTHS.map((s) => ({ value: s, label: t().words.strength[s] }))} />
        <p class="legend" aria-hidden="true">
          {(["allow", "ask", "deny"] as const).map((v) => <span key={v}><i class={`matrix-cell matrix-${v}`}><Icon name={ICONS[v]} size={13} /></i>{t().words.verdict[v]}</span>)}
          <span><i class="matrix-must" />{words.withDuty}</span>
        </p>
      </div>
      <p class="hint">{words.matrixHint}</p>
      {matrix.error || roles.error ? <ErrorNote error={matrix.error ?? roles.error} onRetry={matrix.reload} /> : matrix.data ? <Grid key={role} matrix={matrix.data} /> : <Skeleton rows={8} />}
    </div>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Who works in which database as which account, and what of budgets is used.
import { api, type Schema } from "../../../api/client";
import { t } from "../../../i18n";
import { useData, useList } from "../../../lib/data";
import { Badge, Card, Empty, Skeleton } from "../../../ui/basic";
import { ErrorNote } from "../../../ui/errors";
import { ListTable, Table } from "../../../ui/table";
import { formatBytes, formatNumber, Time } from "../../../ui/time";

/** "Company · Healthy, Personal"; an owner alone stands for any state. */
function devicesText(devices: Schema["AccountDevices"][]): string {
  const words = t().words;
  const whole = devices.filter((one) => one.postures.length === Object.keys(words.posture).length);
  if (whole.length === Object.keys(words.owner).length) return t().watch.anyDevice;
  return devices.map((one) => words.owner[one.owner] + (whole.includes(one) ? "" : ` · ${one.postures.map((p) => words.posture[p]).join(" / ")}`)).join(", ");
}

export function Accounts() {
  const list = useList("db-accounts", (cursor, signal) => api("get", "/admin/databases/accounts", { query: { cursor, limit: 100 }, signal }), ["policy", "people"]);
  const words = t().watch;
  return (
    <ListTable list={list} label={words.accounts} keyOf={(a) => `${a.person.id}.${a.resource}.${a.account}`} empty={<Empty icon="people" title={words.noAccounts}><p>{words.noAccountsText}</p></Empty>}
      columns={[
        { key: "person", label: words.person, kind: "main", render: (a) => <span class="event-title">{a.person.display_name}<small class="muted block">{a.person.name}</small></span> },
        { key: "resource", label: words.resource, render: (a) => a.resource },
        { key: "account", label: words.account, render: (a) => <code class="plain">{a.account}</code> },
        { key: "devices", label: words.devices, render: (a) => devicesText(a.devices) },
      ]} />
  );
}

type Spent = Schema["DatabaseSpent"];

function Used({ used, most }: { used: number; most: number }) {
  if (most === 0) return <span class="muted">{formatNumber(used)}</span>;
  return (
    <span class="used">
      <meter min={0} max={most} low={most * 0.7} high={most * 0.9} optimum={0} value={Math.min(used, most)} aria-label={t().watch.usedOf(formatNumber(used), formatNumber(most))} />
      <span>{t().watch.usedOf(formatNumber(used), formatNumber(most))}</span>
    </span>
  );
}
const period = (seconds: number) => {
  const words = t().watch;
  return seconds % 86400 === 0 ? words.perDays(seconds / 86400) : seconds % 3600 === 0 ? words.perHours(seconds / 3600) : words.perMinutes(Math.ceil(seconds / 60));
};

export function Budgets() {
  const data = useData("db-budgets", (signal) => api("get", "/admin/databases/budgets", { signal }), ["policy", "people", "databases"]);
  const words = t().watch;
  const who = { key: "person", label: words.person, kind: "main" as const, render: (s: Spent) => s.person.name || s.person.id };
  if (data.error) return <ErrorNote error={data.error} onRetry={data.reload} />;
  if (!data.data) return <Skeleton rows={4} />;
  return (
    <div class="stack">
      {data.data.budgets.length === 0 && <Empty icon="policy" title={words.noBudgets}><p>{words.noBudgetsText}</p></Empty>}
      {data.data.budgets.map((budget) => (
        <Card key={budget.name} title={<>{budget.name} <Badge tone={budget.then === "lock" ? "bad" : "warn"}>{budget.then === "lock" ? words.thenLock : words.thenDeny}</Badge></>}>
          <p class="muted">{[budget.statements ? words.statementsMost(budget.statements) : "", budget.rows ? words.rowsMost(budget.rows) : ""].filter(Boolean).join(", ")} {period(budget.per_s)}</p>
          {budget.spent.length === 0 ? <p>{words.nobodyUsed}</p> : (
            <Table label={budget.name} rows={budget.spent} keyOf={(s) => s.person.id} columns={[
              who,
              { key: "statements", label: words.statements, render: (s) => <Used used={s.statements} most={budget.statements} /> },
              { key: "rows", label: words.rowsHead, render: (s) => <Used used={s.rows} most={budget.rows} /> },
              { key: "last", label: words.lastUsed, render: (s) => <Time at={s.last_at} ago /> },
            ]} />
          )}
        </Card>
      ))}
      {data.data.today.length > 0 && (
        <Card title={words.today}>
          <Table label={words.today} rows={data.data.today} keyOf={(s) => s.person.id} columns={[
            who,
            { key: "rows", label: words.rowsHead, kind: "number", render: (s) => formatNumber(s.rows) },
            { key: "bytes", label: t().ledger.bytes, kind: "number", render: (s) => formatBytes(s.bytes) },
          ]} />
        </Card>
      )}
    </div>
  );
}

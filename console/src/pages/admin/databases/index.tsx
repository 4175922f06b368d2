// SPDX-License-Identifier: Apache-2.0
// Databases for administrators: what is being done, who is connected, as whom, and budgets.
import { t } from "../../../i18n";
import { go } from "../../../lib/router";
import { isAdmin } from "../../../lib/state";
import { PageHead, Tabs } from "../../../ui/basic";
import { Connections } from "./connections";
import { Accounts, Budgets } from "./standing";
import { Statements } from "./statements";

const TABS = {
  statements: { Tab: Statements, may: () => isAdmin("security") || isAdmin("audit") },
  connections: { Tab: Connections, may: () => isAdmin("security") || isAdmin("system") },
  accounts: { Tab: Accounts, may: () => true },
  budgets: { Tab: Budgets, may: () => true },
} as const;
type Key = keyof typeof TABS;

export function Databases({ params }: { params: Record<string, string> }) {
  const words = t().watch;
  const mine = (Object.keys(TABS) as Key[]).filter((key) => TABS[key].may());
  const tab = mine.find((key) => key === params.tab) ?? mine[0] ?? "accounts";
  const { Tab } = TABS[tab];
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <Tabs label={words.title} value={tab} onChange={(key) => go(`/admin/databases/${key}`)} items={mine.map((key) => ({ key, label: words.tabs[key] }))} />
      <Tab />
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Machines behind the SSH gate: mine, with my connections, recordings and keys; and everybody's.
import { t } from "../../i18n";
import { go } from "../../lib/router";
import { isAdmin } from "../../lib/state";
import { PageHead, Tabs } from "../../ui/basic";
import { Connections } from "./connections";
import { Here } from "./here";
import { Keys } from "./keys";
import { Recordings } from "./recordings";
export { RecordingPage } from "./recording";
export { WatchPage } from "./watch";

const MINE = { machines: Here, connections: () => <Connections mine />, recordings: () => <Recordings mine />, keys: Keys } as const;
type Mine = keyof typeof MINE;

export function MyMachines({ params }: { params: Record<string, string> }) {
  const words = t().machines;
  const keys = Object.keys(MINE) as Mine[];
  const tab = keys.find((key) => key === params.tab) ?? "machines";
  const Tab = MINE[tab];
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <Tabs label={words.title} value={tab} onChange={(key) => go(key === "machines" ? "/machines" : `/machines/${key}`)} items={keys.map((key) => ({ key, label: words.tabs[key] }))} />
      <Tab />
    </>
  );
}

const ALL = {
  connections: { Tab: () => <Connections />, may: () => true },
  recordings: { Tab: () => <Recordings />, may: () => isAdmin("security") || isAdmin("audit") },
} as const;
type All = keyof typeof ALL;

export function Machines({ params }: { params: Record<string, string> }) {
  const words = t().machines;
  const keys = (Object.keys(ALL) as All[]).filter((key) => ALL[key].may());
  const tab = keys.find((key) => key === params.tab) ?? "connections";
  const { Tab } = ALL[tab];
  return (
    <>
      <PageHead title={words.adminTitle} lead={words.adminLead} />
      <Tabs label={words.adminTitle} value={tab} onChange={(key) => go(`/admin/machines/${key}`)} items={keys.map((key) => ({ key, label: words.tabs[key] }))} />
      <Tab />
    </>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Which page a path shows, and who may see it. The API decides what may be done; hiding a page
// from somebody only spares him its refusals.
import { Component, type ComponentChildren, type ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t } from "./i18n";
import { go, match, place } from "./lib/router";
import { isAdmin, lang, loadMe, me, meError, officeName } from "./lib/state";
import { Acknowledge } from "./pages/door/acknowledge";
import { CliLogin } from "./pages/door/cli";
import { SshSignIn } from "./pages/door/ssh";
import { Setup } from "./pages/door/setup";
import { onwards, SignIn } from "./pages/door/sign-in";
import { StepUpDialog, StepUpPage } from "./pages/door/step-up";
import { Apps } from "./pages/me/apps";
import { Approvals } from "./pages/me/approvals";
import { MyDatabases } from "./pages/me/databases";
import { MyGrants } from "./pages/me/grants";
import { MyDevices } from "./pages/me/devices";
import { Methods } from "./pages/me/methods";
import { MyNotices } from "./pages/me/notices";
import { Recorded } from "./pages/me/recorded";
import { Refusals } from "./pages/me/refusals";
import { Tell } from "./pages/me/tell";
import { MySession } from "./pages/me/session";
import { MySessions } from "./pages/me/sessions";
import { Empty, PageHead, Skeleton } from "./ui/basic";
import { ErrorNote } from "./ui/errors";
import { Door, Shell } from "./ui/shell";

type Params = Record<string, string>;
type Page = ComponentType<{ params: Params }>;

/* Pages that come with a file of their own, when they are wanted. */
const later = <M,>(load: () => Promise<M>, pick: (pages: M) => Page): Page =>
  function Loaded({ params }) {
    const [page, setPage] = useState<{ Page: Page } | { error: unknown }>();
    useEffect(() => {
      load().then((m) => setPage({ Page: pick(m) }), (error: unknown) => setPage({ error }));
    }, []);
    if (!page) return <Skeleton rows={5} />;
    if ("error" in page) return <ErrorNote error={page.error} onRetry={() => location.reload()} />;
    return <page.Page params={params} />;
  };
const admin = (pick: (pages: typeof import("./pages/admin")) => Page): Page => later(() => import("./pages/admin"), pick);
const room = (pick: (pages: typeof import("./pages/room")) => Page): Page => later(() => import("./pages/room"), pick);
const machines = (pick: (pages: typeof import("./pages/machines")) => Page): Page => later(() => import("./pages/machines"), pick);

const pages: [string, () => string, Page][] = [
  ["/", () => t().nav.apps, Apps],
  ["/databases", () => t().nav.databases, MyDatabases],
  ["/machines", () => t().nav.machines, machines((m) => m.MyMachines)],
  ["/machines/{tab}", () => t().nav.machines, machines((m) => m.MyMachines)],
  ["/recordings/{id}", () => t().machines.recording, machines((m) => m.RecordingPage)],
  ["/watch/{id}", () => t().machines.watch, machines((m) => m.WatchPage)],
  ["/approvals", () => t().nav.approvals, Approvals],
  ["/approvals/{id}", () => t().nav.approvals, Approvals],
  ["/notices", () => t().nav.notices, MyNotices],
  ["/roles", () => t().nav.roles, MyGrants],
  ["/devices", () => t().nav.devices, MyDevices],
  ["/sessions", () => t().nav.sessions, MySessions],
  ["/sessions/{id}", () => t().session.title, MySession],
  ["/sign-in-methods", () => t().nav.methods, Methods],
  ["/recorded", () => t().nav.recorded, Recorded],
  ["/tell", () => t().nav.tell, Tell],
  ["/refusals", () => t().nav.refusals, Refusals],
  ["/refusals/{reference}", () => t().nav.refusals, Refusals],
  ["/cli", () => t().cli.title, CliLogin],
  ["/ssh", () => t().sshSignIn.title, SshSignIn],
  ["/ssh/{code}", () => t().sshSignIn.title, SshSignIn],
  ["/step-up", () => t().stepUp.title, StepUpPage],
  ["/incidents", () => t().room.tabs.incidents, room((m) => m.Incidents)],
  ["/incidents/{id}", () => t().room.tabs.incidents, room((m) => m.IncidentPage)],
  ["/reports", () => t().room.tabs.reports, room((m) => m.Reports)],
  ["/reports/{id}", () => t().room.tabs.reports, room((m) => m.ReportPage)],
  ["/admin/wall", () => t().room.tabs.wall, room((m) => m.Wall)],
  ["/admin/alarms", () => t().room.tabs.alarms, room((m) => m.AlarmList)],
  ["/admin/plans", () => t().room.tabs.plans, room((m) => m.Plans)],
  ["/admin/plans/{name}", () => t().room.tabs.plans, room((m) => m.PlanPage)],
  ["/admin/plans/{name}/edit", () => t().room.plans.edit, room((m) => m.PlanEditor)],
  ["/admin/runs/{id}", () => t().room.plans.report, room((m) => m.RunPage)],
  ["/admin/cuts", () => t().room.tabs.cuts, room((m) => m.Cuts)],
  ["/admin", () => t().nav.overview, admin((m) => m.Overview)],
  ["/admin/people", () => t().nav.people, admin((m) => m.People)],
  ["/admin/people/{id}", () => t().nav.people, admin((m) => m.People)],
  ["/admin/devices", () => t().nav.adminDevices, admin((m) => m.Devices)],
  ["/admin/devices/{id}", () => t().nav.adminDevices, admin((m) => m.Devices)],
  ["/admin/resources", () => t().nav.resources, admin((m) => m.Resources)],
  ["/admin/policy", () => t().nav.policy, admin((m) => m.Policy)],
  ["/admin/policy/{tab}", () => t().nav.policy, admin((m) => m.Policy)],
  ["/admin/databases", () => t().nav.adminDatabases, admin((m) => m.Databases)],
  ["/admin/databases/{tab}", () => t().nav.adminDatabases, admin((m) => m.Databases)],
  ["/admin/machines", () => t().nav.adminMachines, machines((m) => m.Machines)],
  ["/admin/machines/{tab}", () => t().nav.adminMachines, machines((m) => m.Machines)],
  ["/admin/sessions", () => t().nav.adminSessions, admin((m) => m.Sessions)],
  ["/admin/sessions/{id}", () => t().session.title, admin((m) => m.SessionRecord)],
  ["/admin/notices", () => t().nav.adminNotices, admin((m) => m.Notices)],
  ["/admin/notices/{tab}", () => t().nav.adminNotices, admin((m) => m.Notices)],
  ["/admin/systems", () => t().nav.systems, admin((m) => m.Systems)],
  ["/admin/ledger", () => t().nav.ledger, admin((m) => m.Ledger)],
  ["/admin/ledger/{entry}", () => t().nav.ledger, admin((m) => m.Ledger)],
  ["/admin/health", () => t().nav.health, admin((m) => m.Health)],
];

/* A page that breaks leaves the frame standing, and says so. */
class Guard extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state: { error: unknown } = { error: null };
  static override getDerivedStateFromError(error: unknown) {
    return { error };
  }
  override componentDidCatch(error: unknown) {
    console.error(error);
  }
  override render() {
    return this.state.error
      ? <ErrorNote error={this.state.error} onRetry={() => location.reload()} />
      : this.props.children;
  }
}

function useTitle(title: string): void {
  const name = officeName() ?? "Sallyport";
  useEffect(() => {
    document.title = `${title} · ${name}`;
  }, [title, name]);
}

function Found() {
  const { path } = place.value;
  let title = t().notFound.title;
  let body = <><PageHead title={title} /><Empty icon="refusal" title={t().notFound.text}><a href="/">{t().notFound.home}</a></Empty></>;
  for (const [pattern, name, Page] of pages) {
    const params = match(pattern, path);
    if (!params) continue;
    title = name();
    if (path.startsWith("/admin") && !isAdmin()) {
      body = <><PageHead title={title} /><Empty icon="lock" title={t().notFound.admin}><a href="/">{t().notFound.home}</a></Empty></>;
    } else {
      body = <Page key={pattern.split("/").slice(0, 3).join("/")} params={params} />;
    }
    break;
  }
  useTitle(title);
  /* After a move the reader (and a screen reader) stands at the new title. */
  const first = useState({ path })[0];
  useEffect(() => {
    if (first.path === path) return;
    first.path = path;
    if (!document.querySelector("dialog[open]")) document.getElementById("page-title")?.focus({ preventScroll: true });
  }, [path]);
  return <Shell><Guard key={path.split("/").slice(0, 3).join("/")}>{body}</Guard></Shell>;
}

function SignInDoor() {
  useTitle(t().signIn.title);
  return <SignIn />;
}
function SetupDoor() {
  useTitle(t().setup.title);
  return <Setup />;
}

function AcknowledgeDoor() {
  useTitle(t().notices.door);
  return <Acknowledge />;
}

export function App() {
  const { path } = place.value;
  const who = me.value;
  void lang.value;
  useEffect(() => {
    if (who && path === "/sign-in") onwards();
    if (who === null && path !== "/sign-in" && path !== "/setup" && path !== "/acknowledge") {
      const to = path === "/" ? "" : `?to=${encodeURIComponent(path + location.search + location.hash)}`;
      go(`/sign-in${to}`, { replace: true });
    }
  }, [who, path]);

  if (path === "/setup") return <SetupDoor />;
  if (path === "/acknowledge") return <AcknowledgeDoor />;
  if (meError.value && who === undefined) {
    return <Door title={t().door.unreachable}><ErrorNote error={meError.value} onRetry={() => void loadMe()} /></Door>;
  }
  if (who === undefined) return <div class="door"><Skeleton rows={3} /></div>;
  if (who === null) return <SignInDoor />;
  return <><Found /><StepUpDialog /></>;
}

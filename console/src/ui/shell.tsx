// SPDX-License-Identifier: Apache-2.0
// The frame: side navigation when wide, a bar at the thumb when narrow, head with the reader's
// own switches. Doors (sign-in, set-up) have a frame of their own.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../api/client";
import { t } from "../i18n";
import { live } from "../lib/events";
import { go, place } from "../lib/router";
import { dropToast, isAdmin, lang, me, office, officeName, setLang, setTheme, theme, toasts, type Theme } from "../lib/state";
import { Button, cx, IconButton, Segmented } from "./basic";
import { Dialog } from "./dialog";
import { Icon, Mark, type IconName } from "./icon";
import { Alarms } from "./alarms";
import { Banner } from "./banner";
import { Strength } from "./words";

interface NavItem { path: string; icon: IconName; label: string }

function myItems(): NavItem[] {
  const nav = t().nav;
  return [
    { path: "/", icon: "apps", label: nav.apps },
    { path: "/databases", icon: "resource", label: nav.databases },
    { path: "/machines", icon: "machine", label: nav.machines },
    { path: "/approvals", icon: "hand", label: nav.approvals },
    { path: "/notices", icon: "mail", label: nav.notices },
    { path: "/roles", icon: "user", label: nav.roles },
    { path: "/devices", icon: "laptop", label: nav.devices },
    { path: "/sessions", icon: "session", label: nav.sessions },
    { path: "/refusals", icon: "refusal", label: nav.refusals },
    { path: "/tell", icon: "alert", label: nav.tell },
    { path: "/recorded", icon: "eye", label: nav.recorded },
    { path: "/sign-in-methods", icon: "key", label: nav.methods },
  ];
}
function adminItems(): NavItem[] {
  if (!isAdmin()) return [];
  const nav = t().nav;
  const items: (NavItem | false)[] = [
    { path: "/admin", icon: "overview", label: nav.overview },
    { path: "/admin/people", icon: "people", label: nav.people },
    { path: "/admin/devices", icon: "device", label: nav.adminDevices },
    { path: "/admin/resources", icon: "resource", label: nav.resources },
    { path: "/admin/policy", icon: "policy", label: nav.policy },
    { path: "/admin/databases", icon: "terminal", label: nav.adminDatabases },
    { path: "/admin/machines", icon: "machine", label: nav.adminMachines },
    (isAdmin("security") || isAdmin("system")) && { path: "/admin/sessions", icon: "session", label: nav.adminSessions },
    (isAdmin("security") || isAdmin("audit")) && { path: "/admin/notices", icon: "mail", label: nav.adminNotices },
    { path: "/admin/systems", icon: "link", label: nav.systems },
    isAdmin("audit") && { path: "/admin/ledger", icon: "ledger", label: nav.ledger },
    { path: "/admin/health", icon: "health", label: nav.health },
  ];
  return items.filter((item): item is NavItem => item !== false);
}
function roomItems(): NavItem[] {
  if (!isAdmin("security") && !isAdmin("audit")) return [];
  const tabs = t().room.tabs;
  return [
    { path: "/admin/wall", icon: "eye", label: tabs.wall },
    { path: "/admin/alarms", icon: "alert", label: tabs.alarms },
    { path: "/incidents", icon: "info", label: tabs.incidents },
    { path: "/admin/plans", icon: "play", label: tabs.plans },
    { path: "/reports", icon: "ledger", label: tabs.reports },
    { path: "/admin/cuts", icon: "close", label: tabs.cuts },
  ];
}
const isHere = (path: string) => {
  const here = place.value.path;
  if (path === "/admin/plans" && here.startsWith("/admin/runs/")) return true;
  return path === "/" || path === "/admin" ? here === path : here === path || here.startsWith(`${path}/`);
};

function NavLinks({ items }: { items: NavItem[] }) {
  const list = useRef<HTMLUListElement>(null);
  const here = items.find((item) => isHere(item.path))?.path;
  useEffect(() => list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" }), [here]);
  return (
    <ul ref={list}>
      {items.map((item) => (
        <li key={item.path}>
          <a href={item.path} class="nav-link" aria-current={isHere(item.path) ? "page" : undefined}>
            <Icon name={item.icon} /> <span>{item.label}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

export function LangSwitch() {
  const other = lang.value === "zh" ? "en" : "zh";
  return (
    <button type="button" class="lang-switch" lang={other === "zh" ? "zh-CN" : "en"} onClick={() => setLang(other)}>
      <Icon name="globe" size={16} /> {other === "zh" ? "中文" : "English"}
    </button>
  );
}
export function ThemeSwitch() {
  const next: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
  const icons = { auto: "auto", light: "sun", dark: "moon" } as const;
  const words = t().head.themes;
  return (
    <IconButton icon={icons[theme.value]} label={`${t().head.theme}: ${words[theme.value]}`} onClick={() => setTheme(next[theme.value])} />
  );
}

async function signOut(everywhere: boolean) {
  await api("post", "/sign-out", { body: { everywhere } }).catch(() => undefined);
  me.value = null;
  go("/sign-in");
}

function AccountMenu() {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const person = me.value?.person;
  useEffect(() => {
    if (!open) return;
    const away = (event: Event) => {
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !box.current?.contains(event.target as Node)) setOpen(false);
    };
    addEventListener("mousedown", away);
    addEventListener("keydown", away);
    return () => {
      removeEventListener("mousedown", away);
      removeEventListener("keydown", away);
    };
  }, [open]);
  if (!person || !me.value) return null;
  return (
    <div class="account" ref={box}>
      <button type="button" class="account-button" aria-expanded={open} aria-haspopup="true" onClick={() => setOpen(!open)}>
        <span class="avatar" aria-hidden="true">{person.display_name.slice(0, 1).toUpperCase()}</span>
        <span class="account-name">{person.display_name}</span>
        <Icon name="down" size={14} />
      </button>
      {open && (
        <div class="account-menu">
          <p><strong>{person.display_name}</strong><br /><span class="muted">{person.name}</span></p>
          <p class="row"><Strength strength={me.value.session.strength} /></p>
          <p class="muted">{me.value.device ? me.value.device.name : t().head.unknownDevice}</p>
          <hr />
          <Button tone="quiet" icon="out" wide onClick={() => void signOut(false)}>{t().head.signOut}</Button>
          <Button tone="quiet" icon="out" wide onClick={() => void signOut(true)}>{t().head.signOutAll}</Button>
        </div>
      )}
    </div>
  );
}

function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((item) => (
        <div key={item.id} class={`toast toast-${item.tone}`}>
          <Icon name={item.tone === "good" ? "check" : "alert"} size={16} />
          <span>{item.text}</span>
          <IconButton icon="close" label={t().common.close} onClick={() => dropToast(item.id)} />
        </div>
      ))}
    </div>
  );
}

function MoreSheet({ onClose }: { onClose: () => void }) {
  const admin = adminItems();
  const room = roomItems();
  return (
    <Dialog title={t().nav.all} onClose={onClose} side>
      <nav class="sheet-nav" aria-label={t().nav.all} onClick={(e) => (e.target as Element).closest("a") && onClose()}>
        <h3>{t().nav.mine}</h3>
        <NavLinks items={myItems()} />
        {room.length > 0 && <><h3>{t().nav.room}</h3><NavLinks items={room} /></>}
        {admin.length > 0 && <><h3>{t().nav.office}</h3><NavLinks items={admin} /></>}
      </nav>
      <div class="stack sheet-switches">
        <Segmented label={t().head.theme} value={theme.value} onChange={setTheme} items={[
          { key: "auto", label: t().head.themes.auto, icon: "auto" },
          { key: "light", label: t().head.themes.light, icon: "sun" },
          { key: "dark", label: t().head.themes.dark, icon: "moon" },
        ]} />
        <Button icon="out" wide onClick={() => void signOut(false)}>{t().head.signOut}</Button>
      </div>
    </Dialog>
  );
}

export function Shell({ children }: { children: ComponentChildren }) {
  const [more, setMore] = useState(false);
  const mine = myItems();
  const admin = adminItems();
  const room = roomItems();
  const path = place.value.path;
  const groups = [room, admin, mine];
  const pinned = (groups.find((group) => group.some((item) => item.path !== "/" && isHere(item.path))) ?? (path.startsWith("/admin") && admin.length > 0 ? admin : mine)).slice(0, 3);
  const onWall = path === "/admin/wall"; // it shows alarms beside itself
  const alone = onWall && place.value.query.has("wall");
  return (
    <div class={cx("shell", alone && "shell-alone")}>
      <a class="skip" href="#page-title" onClick={(e) => { e.preventDefault(); document.getElementById("page-title")?.focus(); }}>{t().head.skip}</a>
      <aside class="side">
        <a href="/" class="brand"><Mark /><span><b>Sallyport</b><small>{officeName()}</small></span></a>
        <nav aria-label={t().nav.all}>
          <h2>{t().nav.mine}</h2>
          <NavLinks items={mine} />
          {room.length > 0 && <><h2>{t().nav.room}</h2><NavLinks items={room} /></>}
          {admin.length > 0 && <><h2>{t().nav.office}</h2><NavLinks items={admin} /></>}
        </nav>
        <p class="side-foot"><span class={cx("live-dot", live.value === "on" && "on")} aria-hidden="true" />{live.value === "on" ? t().head.live : t().head.notLive}</p>
      </aside>
      <header class="top">
        <a href="/" class="brand brand-small"><Mark size={26} /><b>{officeName() ?? "Sallyport"}</b></a>
        <div class="top-tools">
          <LangSwitch />
          <span class="wide-only"><ThemeSwitch /></span>
          <AccountMenu />
        </div>
      </header>
      <main class={cx("main", onWall && "main-wide")} key={path}>{(isAdmin("security") || isAdmin("audit")) && !onWall && <Alarms />}{!alone && <Banner />}{children}</main>
      <nav class="thumb" aria-label={t().nav.all}>
        {pinned.map((item) => (
          <a key={item.path} href={item.path} aria-current={isHere(item.path) ? "page" : undefined}>
            <Icon name={item.icon} size={20} /><span>{item.label}</span>
          </a>
        ))}
        <button type="button" onClick={() => setMore(true)} aria-haspopup="dialog"><Icon name="menu" size={20} /><span>{t().nav.more}</span></button>
      </nav>
      {more && <MoreSheet onClose={() => setMore(false)} />}
      <Toasts />
    </div>
  );
}

/* Sign-in, set-up: one calm card, no navigation. */
export function Door({ title, lead, children, wide }: { title: string; lead?: ComponentChildren; children: ComponentChildren; wide?: boolean }) {
  return (
    <div class="door">
      <header class="door-head">
        <span class="brand"><Mark /><span><b>Sallyport</b><small>{officeName()}</small></span></span>
        <div class="top-tools"><LangSwitch /><ThemeSwitch /></div>
      </header>
      <main class={cx("door-card", wide && "door-wide")}>
        <h1 tabIndex={-1} id="page-title">{title}</h1>
        {lead && <p class="lead">{lead}</p>}
        {children}
      </main>
      <footer class="door-foot">
        <p>{t().door.foot}</p>
        {office.value?.security_contact && <p>{t().door.contact} {office.value.security_contact}</p>}
      </footer>
      <Toasts />
    </div>
  );
}

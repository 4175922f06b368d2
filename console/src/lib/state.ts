// SPDX-License-Identifier: Apache-2.0
// What the whole console shares: who is signed in, language, colours, notices.
import { effect, signal } from "@preact/signals";
import { api, ApiError, onSignedOut, type Schema } from "../api/client";

export type Lang = "en" | "zh";
export type Theme = "auto" | "light" | "dark";

function stored(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
function store(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch {
    /* private mode: the choice lasts for this page */
  }
}

export const lang = signal<Lang>(document.documentElement.lang.startsWith("zh") ? "zh" : "en");
export function setLang(next: Lang): void {
  lang.value = next;
  store("lang", next);
  if (me.value) api("patch", "/me", { body: { locale: next } }).catch(() => undefined);
}
effect(() => {
  document.documentElement.lang = lang.value === "zh" ? "zh-CN" : "en";
});

const chosen = stored("theme");
export const theme = signal<Theme>(chosen === "light" || chosen === "dark" ? chosen : "auto");
export function setTheme(next: Theme): void {
  theme.value = next;
  store("theme", next === "auto" ? null : next);
}
effect(() => {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});

/* undefined = not asked yet, null = signed out. */
export const me = signal<Schema["Me"] | null | undefined>(undefined);
export const meError = signal<unknown>(null);
export async function loadMe(): Promise<void> {
  try {
    me.value = await api("get", "/me");
    meError.value = null;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) me.value = null;
    else meError.value = error;
  }
}
onSignedOut(() => {
  me.value = null;
});

export const office = signal<Schema["Office"] | null>(null);
/* Its title in the reader's language; undefined until it is known. */
export const officeName = (): string | undefined =>
  (lang.value === "zh" ? office.value?.title.zh : "") || office.value?.title.en;
export async function loadOffice(): Promise<void> {
  try {
    office.value = await api("get", "/office");
  } catch {
    office.value = null;
  }
}

export interface Toast {
  id: number;
  tone: "good" | "bad";
  text: string;
}
export const toasts = signal<Toast[]>([]);
let lastToast = 0;
export function toast(text: string, tone: Toast["tone"] = "good"): void {
  const id = ++lastToast;
  toasts.value = [...toasts.value.slice(-3), { id, tone, text }];
  setTimeout(() => dropToast(id), tone === "bad" ? 9000 : 4500);
}
export function dropToast(id: number): void {
  toasts.value = toasts.value.filter((item) => item.id !== id);
}

export type AdminKind = "system" | "security" | "audit";
export const isAdmin = (kind?: AdminKind): boolean => {
  const admin = me.value?.admin;
  if (!admin) return false;
  return kind ? admin[kind] : admin.system || admin.security || admin.audit;
};

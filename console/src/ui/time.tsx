// SPDX-License-Identifier: Apache-2.0
// Times in the reader's own zone; the exact UTC instant is on hover and in the markup.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { lang } from "../lib/state";

const now = signal(Date.now());
setInterval(() => {
  now.value = Date.now();
}, 15_000);

/* Seconds until then by the second, negative after; undefined: no such time. */
export function useLeft(until: string | null | undefined): number | undefined {
  const [at, setAt] = useState(Date.now());
  useEffect(() => {
    if (!until) return;
    const timer = setInterval(() => setAt(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [until]);
  return until ? Math.floor((Date.parse(until) - at) / 1000) : undefined;
}

const locale = () => (lang.value === "zh" ? "zh-CN" : "en-GB");

export function formatTime(text: string): string {
  const date = new Date(text);
  const sameDay = date.toDateString() === new Date(now.value).toDateString();
  return new Intl.DateTimeFormat(locale(), {
    ...(sameDay ? {} : { year: "numeric", month: "short", day: "numeric" }),
    hour: "2-digit", minute: "2-digit", second: sameDay ? "2-digit" : undefined,
  }).format(date);
}
/* "14:00": the hour that begins then. */
export function formatHour(text: string): string {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit" }).format(new Date(text));
}
export function formatAgo(text: string): string {
  const seconds = Math.round((new Date(text).getTime() - now.value) / 1000);
  const size = Math.abs(seconds);
  const style = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  if (size < 60) return style.format(Math.trunc(seconds / 10) * 10 || 0, "second");
  if (size < 3600) return style.format(Math.trunc(seconds / 60), "minute");
  if (size < 86_400) return style.format(Math.trunc(seconds / 3600), "hour");
  return style.format(Math.trunc(seconds / 86_400), "day");
}
export function Time({ at, ago }: { at: string | null | undefined; ago?: boolean }) {
  if (!at) return <span class="muted">—</span>;
  const utc = at.replace("T", " ").replace(/(\.\d+)?Z$/, (m) => `${m.slice(0, -1)} UTC`);
  return <time dateTime={at} title={utc}>{ago ? formatAgo(at) : formatTime(at)}</time>;
}
export function formatNumber(n: number): string {
  return new Intl.NumberFormat(locale()).format(n);
}
export function formatBytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let size = n;
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024;
    at++;
  }
  const text = new Intl.NumberFormat(locale(), { maximumFractionDigits: size < 10 && at > 0 ? 1 : 0 }).format(size);
  return `${text} ${units[at]}`;
}

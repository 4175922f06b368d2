// SPDX-License-Identifier: Apache-2.0
// What the program says in records, in the reader's language: sentences of core, who did it, what an alarm is about.
import { t } from "../i18n";
import { saidZh } from "../i18n/said.zh";
import { lang } from "../lib/state";
import { wordIn } from "./words";

export const said = (text: string): string => (lang.value === "zh" ? saidZh(text) ?? text : text);

/* "person=mia peer=127.0.0.1", as detections write it: "Person mia · Address 127.0.0.1" */
export function aboutKeys(keys: string): string {
  const parts = keys.split(" ").map((part) => /^([a-z_]+)=(.*)$/.exec(part));
  if (keys === "" || parts.some((part) => part === null)) return keys;
  return parts.map((part) => `${wordIn(t().room.alarms.keys, part?.[1])} ${part?.[2]}`).join(" · ");
}

/* A person's name, or who of the program it was. */
export function saidBy(by: string): string {
  const plan = /^plan (\S+)$/.exec(by);
  if (plan) return `${t().room.plans.plan} ${plan[1]}`;
  const system = /^api:(\S+)$/.exec(by);
  if (system) return t().room.system(system[1] ?? "");
  return Object.hasOwn(t().room.programs, by) ? wordIn(t().room.programs, by) : by;
}

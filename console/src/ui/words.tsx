// SPDX-License-Identifier: Apache-2.0
// The shared vocabulary on screen: states, owners, strengths, verdicts, actions, data classes.
import type { Schema } from "../api/client";
import { t } from "../i18n";
import { lang } from "../lib/state";
import { Badge } from "./basic";
import type { IconName } from "./icon";

/* A word of the policy in the reader's language; the word itself when it is the office's own. */
export const wordIn = (table: object, word: string | undefined): string =>
  word === undefined ? "" : ((table as Record<string, string | undefined>)[word] ?? word);

export const text2 = (text: { en: string | null; zh: string | null } | undefined, fallback = ""): string =>
  (text && (lang.value === "zh" ? text.zh || text.en : text.en || text.zh)) || fallback;

/* The office's own title of a role; ours where it gave none. */
export const roleTitle = (role: Schema["Role"]): string =>
  role.title && role.title.en !== role.name ? text2(role.title, role.name) : wordIn(t().words.role, role.name);

const VERDICTS = {
  allow: { tone: "good", icon: "check" },
  ask: { tone: "warn", icon: "hand" },
  deny: { tone: "bad", icon: "minus" },
} as const satisfies Record<string, { tone: "good" | "warn" | "bad"; icon: IconName }>;
export function VerdictBadge({ verdict }: { verdict: Schema["Verdict"] }) {
  const look = VERDICTS[verdict];
  return <Badge tone={look.tone} icon={look.icon}>{t().words.verdict[verdict]}</Badge>;
}
const DEVICE_TONES = { pending: "warn", active: "good", quarantined: "bad", revoked: "neutral" } as const;
export function DeviceState({ state }: { state: Schema["DeviceState"] }) {
  return <Badge tone={DEVICE_TONES[state]}>{t().words.device[state]}</Badge>;
}
const PERSON_TONES = { invited: "warn", active: "good", disabled: "neutral", locked: "bad" } as const;
export function PersonState({ state }: { state: Schema["PersonState"] }) {
  return <Badge tone={PERSON_TONES[state]}>{t().words.person[state]}</Badge>;
}
const POSTURE_TONES = { healthy: "good", unhealthy: "bad", unknown: "neutral" } as const;
export function Posture({ posture }: { posture: Schema["Posture"] }) {
  return <Badge tone={POSTURE_TONES[posture]}>{t().words.posture[posture]}</Badge>;
}
/* "Debian GNU/Linux 12", "macOS 15 arm64": what it is called names its system already, or not. */
export const systemOf = (platform: Schema["Platform"] | undefined, arch?: string): string => {
  const named = platform?.version?.toLowerCase().includes(platform.os.toLowerCase());
  return [named ? undefined : platform?.os, platform?.version, arch].filter(Boolean).join(" ");
};
export function Owner({ owner }: { owner: Schema["Owner"] | undefined }) {
  return <>{wordIn(t().words.owner, owner ?? "unknown")}</>;
}
export function Strength({ strength }: { strength: Schema["Strength"] }) {
  const icon = strength === "passkey" ? "passkey" : strength === "totp" ? "phone" : "lock";
  return <Badge tone={strength === "passkey" ? "accent" : "neutral"} icon={icon}>{t().words.strength[strength]}</Badge>;
}
export function ClassBadge({ name }: { name: string | undefined }) {
  if (!name) return null;
  const known = ["public", "internal", "sensitive", "core"].indexOf(name);
  return (
    <span class={`class-badge class-${known < 0 ? "other" : name}`} title={t().words.classTitle}>
      <span class="class-dots" aria-hidden="true">{Array.from({ length: 4 }, (_, i) => <i key={i} class={i <= known ? "on" : ""} />)}</span>
      {wordIn(t().words.classes, name)}
    </span>
  );
}
const SEVERITY_TONES = { info: "neutral", low: "neutral", medium: "warn", high: "bad", critical: "bad" } as const;
export function Severity({ severity }: { severity: keyof typeof SEVERITY_TONES }) {
  return <Badge tone={SEVERITY_TONES[severity]}>{t().words.severity[severity]}</Badge>;
}

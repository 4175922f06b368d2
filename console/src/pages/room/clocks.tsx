// SPDX-License-Identifier: Apache-2.0
// The clocks of duties to report: how long is left of each, the nearest first.
import type { ComponentChildren } from "preact";
import type { Schema } from "../../api/client";
import { t } from "../../i18n";
import { Badge, cx } from "../../ui/basic";
import { Time, useLeft } from "../../ui/time";
import { text2 } from "../../ui/words";

export type Clock = Schema["ReportClock"];

export function leftText(seconds: number): string {
  const words = t().report;
  const size = Math.abs(seconds);
  if (size >= 2 * 86_400) return words.days(Math.floor(size / 86_400));
  if (size >= 3600) return words.hours(Math.floor(size / 3600), Math.floor((size % 3600) / 60));
  return words.minutes(Math.floor(size / 60), size % 60);
}

export function Left({ clock }: { clock: Clock }) {
  const words = t().report;
  const left = useLeft(clock.filed_at ? null : clock.due_at);
  if (clock.filed_at) return <Badge tone="good" icon="check">{words.filed}</Badge>;
  if (left === undefined) return <span class="muted">{words.waits}</span>;
  return <b class={cx("clock-left", left <= 0 ? "bad-text" : clock.stage === "quarter" || clock.stage === "half" ? "warn-text" : undefined)} role="timer">{(left > 0 ? words.left : words.over)(leftText(left))}</b>;
}

const rank = (c: Clock): number => (c.filed_at ? 2e15 : c.due_at ? new Date(c.due_at).getTime() : 1e15);

export function Clocks({ clocks, actions }: { clocks: readonly Clock[]; actions?: (clock: Clock) => ComponentChildren }) {
  const words = t().report;
  if (clocks.length === 0) return <p class="muted">{words.noClock}</p>;
  return (
    <ul class="clock-list">
      {[...clocks].sort((a, b) => rank(a) - rank(b)).map((c) => (
        <li key={c.duty} class={`clock-${c.filed_at ? "filed" : c.stage}`}>
          <div>
            <p>{text2(c.title, c.duty)}</p>
            <small class="muted">{c.filed_at ? <><Time at={c.filed_at} /> {c.filed_by} {c.receipt}</> : c.due_at && <>{words.due} <Time at={c.due_at} />{" · "}</>}{!c.filed_at && (c.applies === "open" ? words.mightApply : words.applies)}</small>
          </div>
          <div class="clock-end"><Left clock={c} />{actions?.(c)}</div>
        </li>
      ))}
    </ul>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Bars a minute: allowed below, refused on top. Attributes only: the CSP allows no inline style.
import { t } from "../i18n";

export function MinuteBars({ points }: { points: { allowed: number; denied: number }[] }) {
  const width = 720;
  const height = 120;
  const most = Math.max(1, ...points.map((p) => p.allowed + p.denied));
  const step = width / Math.max(1, points.length);
  const bar = Math.max(1, step - 3);
  const total = points.reduce((sum, p) => sum + p.allowed + p.denied, 0);
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={t().overview.chartLabel(total)}>
        {points.map((p, at) => {
          const good = (p.allowed / most) * (height - 4);
          const bad = p.denied ? Math.max(2, (p.denied / most) * (height - 4)) : 0;
          return (
            <g key={at}>
              <rect class="bar-base" x={at * step} y={height - 1} width={bar} height={1} />
              <rect class="bar-good" x={at * step} y={height - good} width={bar} height={good} />
              <rect class="bar-bad" x={at * step} y={height - good - bad} width={bar} height={bad} />
            </g>
          );
        })}
      </svg>
      <figcaption><span class="key key-good">{t().overview.allowed}</span><span class="key key-bad">{t().overview.denied}</span><span class="muted">{t().overview.lastHour}</span></figcaption>
    </figure>
  );
}

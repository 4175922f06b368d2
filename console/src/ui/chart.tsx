// SPDX-License-Identifier: Apache-2.0
// Bars an hour: allowed below, refused on top. Attributes only: the CSP allows no inline style.
import { t } from "../i18n";
import { formatHour, formatNumber } from "./time";

interface Hour { at: string; allowed: number; denied: number }

const WIDTH = 720;
const HEIGHT = 120;
const LABEL_EVERY = 6;

/* The next of 1, 2, 5, 10, 20 ...: a scale that people can read. */
function scaleOf(most: number): number {
  for (let unit = 1; ; unit *= 10) {
    const step = [1, 2, 5].find((n) => n * unit >= most);
    if (step) return step * unit;
  }
}

export function HourBars({ hours }: { hours: Hour[] }) {
  const words = t().overview;
  const top = scaleOf(Math.max(1, ...hours.map((h) => h.allowed + h.denied)));
  const step = WIDTH / Math.max(1, hours.length);
  const bar = Math.max(1, step - 6);
  const tall = (n: number) => (n > 0 ? Math.max(2, (n / top) * (HEIGHT - 2)) : 0);
  const total = hours.reduce((sum, h) => sum + h.allowed + h.denied, 0);
  return (
    <figure class="chart">
      <div class="chart-plot">
        <span class="chart-top">{formatNumber(top)}</span>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={words.chartLabel(formatNumber(total))}>
          <rect class="bar-base" x={0} y={0} width={WIDTH} height={1} />
          <rect class="bar-base" x={0} y={HEIGHT / 2} width={WIDTH} height={1} />
          {hours.map((h, at) => {
            const good = tall(h.allowed);
            const bad = tall(h.denied);
            const x = at * step + 3;
            return (
              <g key={h.at} class="bar-hour">
                <title>{words.hour(formatHour(h.at), formatNumber(h.allowed), formatNumber(h.denied))}</title>
                <rect class="bar-space" x={at * step} y={0} width={step} height={HEIGHT} />
                <rect class="bar-good" x={x} y={HEIGHT - good} width={bar} height={good} />
                <rect class="bar-bad" x={x} y={HEIGHT - good - bad} width={bar} height={bad} />
              </g>
            );
          })}
          <rect class="bar-base" x={0} y={HEIGHT - 1} width={WIDTH} height={1} />
        </svg>
      </div>
      <div class="chart-hours" aria-hidden="true">
        {hours.map((h, at) => (at % LABEL_EVERY === 0 ? <span key={h.at}>{formatHour(h.at)}</span> : null))}
      </div>
      <figcaption><span class="key key-good">{words.allowed}</span><span class="key key-bad">{words.denied}</span><span class="muted">{words.perHour}</span></figcaption>
    </figure>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Decisions over time, drawn by uPlot: what was let through, what was refused.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { t } from "../../i18n";
import { lang, theme } from "../../lib/state";
import { formatNumber } from "../../ui/time";

export interface Series {
  at: number[]; // unix seconds
  allowed: number[];
  denied: number[];
}
const HEIGHT = 128;
const ink = (box: Element, name: string) => getComputedStyle(box).getPropertyValue(name).trim();
const sum = (all: number[]) => all.reduce((a, b) => a + b, 0);

function options(box: HTMLElement): uPlot.Options {
  const words = t().room.rates;
  const locale = lang.value === "zh" ? "zh-CN" : "en-GB";
  const hour = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
  const exact = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const axis = { stroke: ink(box, "--ink-3"), font: `11px ${ink(box, "--font")}`, grid: { stroke: ink(box, "--line"), width: 1 }, ticks: { show: false } };
  const line = (label: string, colour: string): uPlot.Series => ({ label, stroke: ink(box, colour), fill: `${ink(box, colour)}22`, width: 1.75, points: { show: false } });
  return {
    width: box.clientWidth, height: HEIGHT, padding: [8, 8, 0, 0], legend: { show: false }, cursor: { show: false },
    scales: { y: { range: (_, __, most) => [0, Math.max(4, most * 1.15)] } },
    axes: [
      { ...axis, size: 24, space: 76, values: (_, all, __, ___, step) => all.map((at) => (step % 60 === 0 ? hour : exact).format(new Date(at * 1000))) },
      { ...axis, size: 44, space: 32, values: (_, all) => all.map((n) => (Number.isInteger(n) ? formatNumber(n) : "")) },
    ],
    series: [{}, line(words.allowed, "--accent"), line(words.denied, "--bad")],
  };
}

export function Rates({ series }: { series: Series | undefined }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const words = t().room.rates;
  const look = `${lang.value} ${theme.value}`;
  const some = series !== undefined && series.at.length > 1;
  useEffect(() => {
    const at = box.current;
    if (!at || !some) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(at), [[], [], []], at);
    };
    make();
    const size = new ResizeObserver(() => plot.current?.setSize({ width: at.clientWidth, height: HEIGHT }));
    size.observe(at);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const again = () => { make(); draw(); };
    dark.addEventListener("change", again);
    return () => {
      size.disconnect();
      dark.removeEventListener("change", again);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [look, some]);
  const draw = () => series && plot.current?.setData([series.at, series.allowed, series.denied]);
  useEffect(() => { draw(); }, [series, look]);
  return (
    <figure class="rates">
      <figcaption>
        <span class="key">{words.allowed}</span><span class="key key-bad">{words.denied}</span>
        <span class="muted">{words.perSecond}</span>
      </figcaption>
      {some && series
        ? <div ref={box} class="rates-plot" role="img" aria-label={words.label(formatNumber(sum(series.allowed)), formatNumber(sum(series.denied)))} />
        : <p class="muted rates-none">{words.none}</p>}
    </figure>
  );
}

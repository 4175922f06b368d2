// SPDX-License-Identifier: Apache-2.0
// Plays a recording: play and pause, speed, seeking, jumping to what happened, searching in what was
// printed. Space plays and pauses, arrows move by five seconds.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { momentsOf, search, transcriptOf, type CastReader, type Moment } from "../lib/cast";
import { Emulator, endOf, Replay } from "../lib/terminal";
import { Button, cx, Search, Segmented, Tabs } from "./basic";
import { ErrorNote } from "./errors";
import { Icon } from "./icon";
import { Screen, type Painter } from "./screen";

const SPEEDS = ["1", "2", "4", "16"] as const;
type Speed = (typeof SPEEDS)[number];
const STEP_S = 5;
const PAUSE_S = 2; // longer pauses are cut to that

export const clock = (seconds: number): string => {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return `${hours > 0 ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
};

function Moments({ items, at, onPick, empty }: { items: { at: number; label: string }[]; at: number; onPick: (at: number) => void; empty: string }) {
  if (items.length === 0) return <p class="muted player-empty">{empty}</p>;
  return (
    <ol class="moments">
      {items.map((item, i) => (
        <li key={i}>
          <button type="button" class={cx("moment", item.at <= at && "past")} onClick={() => onPick(item.at)}>
            <time>{clock(item.at)}</time> <span>{item.label}</span>
          </button>
        </li>
      ))}
    </ol>
  );
}

/* Position and the clock that moves it; the terminal follows. */
function usePlaying(reader: CastReader, replay: Replay | undefined, painter: { current: Painter | undefined }) {
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState<Speed>("1");
  const [skip, setSkip] = useState(true);
  const [error, setError] = useState<unknown>(null);
  const now = useRef(0);
  const show = (seconds: number) => {
    now.current = Math.min(Math.max(seconds, 0), reader.duration);
    setAt(now.current);
    replay?.to(now.current).then(() => painter.current?.paint(), setError);
  };
  useEffect(() => {
    if (!playing || !replay) return;
    let last = performance.now();
    const timer = setInterval(() => {
      const passed = ((performance.now() - last) / 1000) * Number(speed);
      last = performance.now();
      let next = now.current + passed;
      const coming = reader.events[endOf(reader.events, now.current)]?.at;
      if (skip && coming !== undefined && coming - now.current > PAUSE_S) next = Math.max(next, coming - PAUSE_S);
      show(next);
      if (next >= reader.duration) setPlaying(false);
    }, 40);
    return () => clearInterval(timer);
  }, [playing, speed, skip, replay]);
  const toggle = () => {
    if (!playing && now.current >= reader.duration) show(0);
    setPlaying(!playing);
  };
  return { at, playing, speed, setSpeed, skip, setSkip, show, toggle, error };
}

function useKeys(toggle: () => void, move: (by: number) => void) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input,select,textarea,button,a,dialog,[role=tab]")) return;
      const step = { ArrowRight: STEP_S, ArrowLeft: -STEP_S }[event.key];
      if (event.key === " ") toggle();
      else if (step !== undefined) move(step);
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}

function Marks({ items, duration }: { items: Moment[]; duration: number }) {
  return (
    <div class="player-marks" aria-hidden="true">
      {duration > 0 && items.slice(0, 200).map((item, i) => <i key={i} style={{ left: `${(item.at / duration) * 100}%` }} />)}
    </div>
  );
}

export function Player({ reader }: { reader: CastReader }) {
  const [replay, setReplay] = useState<Replay>();
  const painter = useRef<Painter>();
  const [words, setWords] = useState("");
  const [tab, setTab] = useState<"screen" | "text">("screen");
  const text = t().machines.player;
  useEffect(() => {
    let emulator: Emulator | undefined;
    let gone = false;
    void Emulator.make(reader.header).then((made) => {
      emulator = made;
      if (gone) made.dispose();
      else setReplay(new Replay(made, reader.header, reader.events));
    });
    return () => {
      gone = true;
      emulator?.dispose();
    };
  }, [reader]);
  const p = usePlaying(reader, replay, painter);
  useKeys(p.toggle, (by) => p.show(p.at + by));
  const transcript = useMemo(() => transcriptOf(reader.events), [reader]);
  const moments = useMemo(() => momentsOf(reader.events), [reader]);
  const hits = useMemo(() => search(transcript, words), [transcript, words]);
  const find = (next: string) => {
    setWords(next);
    if (painter.current) {
      painter.current.marked = next;
      painter.current.paint();
    }
  };
  const duration = reader.duration;
  return (
    <div class="player">
      <div class="player-main">
        <Tabs label={text.view} value={tab} onChange={setTab} items={[{ key: "screen", label: text.screen }, { key: "text", label: text.text }]} />
        <div hidden={tab !== "screen"}>
          {replay && <Screen emulator={replay.emulator} label={text.screen} onReady={(made) => {
            painter.current = made;
            p.show(0);
          }} />}
        </div>
        {tab === "text" && <pre class="screen transcript" tabIndex={0} role="region" aria-label={text.text}>{transcript.text || text.nothing}</pre>}
        <div class="player-bar">
          <Button tone="primary" icon={p.playing ? "pause" : "play"} onClick={p.toggle}>{p.playing ? text.pause : text.play}</Button>
          <div class="player-line">
            <input type="range" min={0} max={Math.max(duration, 0.001)} step={0.01} value={p.at} aria-label={text.position} aria-valuetext={clock(p.at)}
              onInput={(e) => p.show(Number(e.currentTarget.value))} />
            <Marks items={moments} duration={duration} />
          </div>
          <span class="player-clock"><output>{clock(p.at)}</output> / {clock(duration)}</span>
        </div>
        <div class="row player-options">
          <Segmented label={text.speed} value={p.speed} onChange={p.setSpeed} items={SPEEDS.map((key) => ({ key, label: `${key}×` }))} />
          <label class="check"><input type="checkbox" checked={p.skip} onChange={(e) => p.setSkip(e.currentTarget.checked)} /> {text.skip}</label>
        </div>
        <ErrorNote error={p.error} />
      </div>
      <aside class="player-side">
        <Search label={text.search} value={words} onSearch={find} />
        {words && (
          <section>
            <h3>{text.hits(hits.length)}</h3>
            <Moments items={hits.map((hit) => ({ at: hit.at, label: hit.line }))} at={p.at} onPick={p.show} empty={text.noHits} />
          </section>
        )}
        <section>
          <h3>{text.moments}</h3>
          <Moments items={moments} at={p.at} onPick={p.show} empty={text.noMoments} />
        </section>
        <p class="hint"><Icon name="info" size={14} /> {text.keys}</p>
      </aside>
    </div>
  );
}

// SPDX-License-Identifier: Apache-2.0
// Reports to authorities: all of them, one with its clocks, facts, items and draft; and who is responsible.
import { useId, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData, useList } from "../../lib/data";
import { go } from "../../lib/router";
import { isAdmin, lang, toast } from "../../lib/state";
import { Badge, Button, Card, Digest, Empty, Facts, Field, PageHead, Segmented, Select, Skeleton } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { ListTable } from "../../ui/table";
import { formatNumber, Time } from "../../ui/time";
import { text2 } from "../../ui/words";
import { Clocks, Left, type Clock } from "./clocks";
import { useIncidentTitle } from "./incidents";

type Report = Schema["Report"];
type Item = Report["items"][number];
type Fact = keyof ReturnType<typeof t>["report"]["factNames"];
type Phase = "first" | "further" | "closing";
type Set = (next: Report) => void;
const NUMBERS: readonly Fact[] = ["persons", "sensitive_persons", "affected_persons", "loss_yuan", "outage_minutes"];
const GRADES = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];

const levelText = (level: Report["level"]): string => (level ? text2(level.title, level.name) : t().report.nothingReached);
const running = (clocks: readonly Clock[]): Clock | undefined =>
  clocks.filter((c) => c.due_at && !c.filed_at).sort((a, b) => Date.parse(a.due_at ?? "") - Date.parse(b.due_at ?? ""))[0];
export const useReports = () => useData("reports", (signal) => api("get", "/reports", { signal }), ["incidents"]);

function Officers() {
  const words = t().report;
  const list = useList("officers", (_, signal) => api("get", "/officers", { signal }), ["policy", "people"]);
  return (
    <Card title={words.officers} flush>
      <ListTable list={list} label={words.officers} keyOf={(o) => o.name} empty={<Empty icon="user" title={words.noOfficers}><p>{words.noOfficersText}</p></Empty>} columns={[
        { key: "duty", label: words.duty, kind: "main", render: (o) => text2(o.title, o.name) },
        { key: "who", label: t().room.incidents.person, render: (o) => <span class="row">{o.person ?? "—"} {o.vacant && <Badge tone="bad" icon="alert">{words.vacant}</Badge>}</span> },
        { key: "deputies", label: words.deputies, render: (o) => o.deputies.map((d) => d.person).join(", ") || "—" },
        { key: "contact", label: words.contact, render: (o) => o.contact ?? "—" },
      ]} />
    </Card>
  );
}

export function Reports() {
  const words = t().report;
  const list = useList("report-list", (_, signal) => api("get", "/reports", { signal }), ["incidents"]);
  const titleOf = useIncidentTitle();
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="stack">
        <ListTable list={list} label={words.title} keyOf={(r) => r.id} onRow={(r) => go(`/reports/${r.id}`)} empty={<Empty icon="ledger" title={words.none}><p>{words.noneText}</p></Empty>} columns={[
          { key: "what", label: words.report, kind: "main", render: (r) => <span class="event-title">{titleOf({ title: r.title ?? "" })}<small class="muted block">{words.number(r.id)} · {t().room.incidents.number(r.incident)}</small></span> },
          { key: "level", label: words.level, render: (r) => r.level ? levelText(r.level) : <span class="muted">{r.might ? `${words.might}: ${levelText(r.might)}` : words.nothingReached}</span> },
          { key: "next", label: words.next, render: (r) => { const next = running(r.clocks); return next ? <span><Left clock={next} /><small class="muted block">{text2(next.title, next.duty)}</small></span> : <span class="muted">{words.noClock}</span>; } },
          { key: "at", label: words.discovered, render: (r) => <Time at={r.discovered_at} ago /> },
        ]} />
        <Officers />
      </div>
    </>
  );
}

function File({ report, clock, set, onClose }: { report: Report; clock: Clock; set: Set; onClose: () => void }) {
  const words = t().report;
  const [receipt, setReceipt] = useState("");
  const { busy, error, run } = useAction();
  const file = () => run(async () => {
    set(await api("post", "/reports/{id}/filed", { path: { id: report.id }, body: { duty: clock.duty, receipt: receipt.trim() } }));
    toast(words.fileDone);
    onClose();
  });
  return (
    <Dialog title={words.fileTitle} onClose={onClose}>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void file(); }}>
        <p><b>{text2(clock.title, clock.duty)}</b></p>
        <p>{words.fileText}</p>
        <Field label={words.receipt} value={receipt} required maxLength={200} autoFocus onInput={(e: { currentTarget: HTMLInputElement }) => setReceipt(e.currentTarget.value)} />
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{words.file}</Button></div>
      </form>
    </Dialog>
  );
}

function Sign({ report, set, onClose }: { report: Report; set: Set; onClose: () => void }) {
  const words = t().report;
  const [phase, setPhase] = useState<Phase>(report.papers.length > 0 ? "further" : "first");
  const [incomplete, setIncomplete] = useState(false);
  const { busy, error, run } = useAction();
  const sign = () => run(async () => {
    set(await api("post", "/reports/{id}/sign", { path: { id: report.id }, body: { phase, incomplete, draft_sha256: report.draft.sha256 } }));
    toast(words.signed);
    onClose();
  });
  return (
    <Dialog title={words.signTitle} onClose={onClose}>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void sign(); }}>
        <p>{words.signText}</p>
        <Segmented label={words.phase} value={phase} onChange={setPhase} items={(["first", "further", "closing"] as const).map((key) => ({ key, label: words.phases[key] }))} />
        {report.missing.length > 0 && <label class="check"><input type="checkbox" checked={incomplete} onChange={(e) => setIncomplete(e.currentTarget.checked)} /> {words.incomplete(report.missing.length)}</label>}
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{words.sign}</Button></div>
      </form>
    </Dialog>
  );
}

function KnownFacts({ report, set, may }: { report: Report; set: Set; may: boolean }) {
  const words = t().report;
  const [fact, setFact] = useState<Fact>("persons");
  const [value, setValue] = useState("");
  const { busy, error, run } = useAction();
  const isNumber = NUMBERS.includes(fact);
  const shown = (name: string, n: number): string => (NUMBERS.includes(name as Fact) ? formatNumber(n) : name === "judgement" ? (n === 0 ? words.nothingReached : words.grade(n)) : n === 0 ? words.no : words.yes);
  const tell = () => run(async () => {
    set(await api("post", "/reports/{id}/facts", { path: { id: report.id }, body: { fact, value: Number(value || "0") } }));
    setValue("");
    toast(words.told);
  });
  const options = fact === "judgement" ? GRADES.map((g) => ({ value: g, label: shown(fact, Number(g)) })) : [{ value: "1", label: words.yes }, { value: "0", label: words.no }];
  return (
    <Card title={words.facts}>
      <p class="hint">{words.factsHint}</p>
      <Facts items={(Object.keys(words.factNames) as Fact[]).map((name) => [words.factNames[name],
        name in report.facts ? <b>{shown(name, report.facts[name] ?? 0)}</b> : report.open_facts.includes(name) ? <Badge tone="warn">{words.open}</Badge> : null])} />
      {may && (
        <form class="stack-small" onSubmit={(event) => { event.preventDefault(); void tell(); }}>
          <Select label={words.fact} value={fact} onChange={(next) => { setFact(next as Fact); setValue(NUMBERS.includes(next as Fact) ? "" : "1"); }}
            options={(Object.keys(words.factNames) as Fact[]).map((key) => ({ value: key, label: words.factNames[key] }))} />
          {isNumber ? <Field label={words.value} value={value} required inputMode="numeric" pattern="[0-9]{1,15}" onInput={(e: { currentTarget: HTMLInputElement }) => setValue(e.currentTarget.value)} />
            : <Select label={words.value} value={value} onChange={setValue} options={options} />}
          <ErrorNote error={error} />
          <div class="row row-end"><Button type="submit" busy={busy}>{words.tell}</Button></div>
        </form>
      )}
    </Card>
  );
}

function WriteItem({ report, item, set, onClose }: { report: Report; item: Item; set: Set; onClose: () => void }) {
  const words = t().report;
  const id = useId();
  const [text, setText] = useState(text2(item.text));
  const { busy, error, run } = useAction();
  const write = () => run(async () => {
    set(await api("post", "/reports/{id}/items", { path: { id: report.id }, body: { item: item.name, text: text.trim() } }));
    toast(words.saved);
    onClose();
  });
  return (
    <Dialog title={text2(item.title, item.name)} onClose={onClose}>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); void write(); }}>
        <div class="field"><label for={id}>{words.itemText}</label><textarea id={id} class="input" rows={6} required maxLength={4000} value={text} onInput={(e) => setText(e.currentTarget.value)} /></div>
        <ErrorNote error={error} />
        <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{t().common.save}</Button></div>
      </form>
    </Dialog>
  );
}

function Items({ report, set, may }: { report: Report; set: Set; may: boolean }) {
  const words = t().report;
  const [writing, setWriting] = useState<Item>();
  return (
    <Card title={words.items}>
      <ul class="item-list">
        {report.items.map((i) => (
          <li key={i.name}>
            <div>
              <h3>{text2(i.title, i.name)} {i.missing && <Badge tone={i.later ? "neutral" : "warn"}>{words.missing}</Badge>}</h3>
              {i.missing ? i.later && <p class="hint">{words.later}</p> : <p class="lines">{text2(i.text)}</p>}
            </div>
            {may && i.of === "asked" && <Button small icon="edit" aria-label={`${words.write}: ${text2(i.title, i.name)}`} onClick={() => setWriting(i)}>{words.write}</Button>}
          </li>
        ))}
      </ul>
      {writing && <WriteItem report={report} item={writing} set={set} onClose={() => setWriting(undefined)} />}
    </Card>
  );
}

function Draft({ report }: { report: Report }) {
  const words = t().report;
  const [language, setLanguage] = useState<"en" | "zh">(lang.value === "zh" ? "zh" : "en");
  return (
    <Card title={words.draft} actions={<Segmented label={words.draft} value={language} onChange={setLanguage} items={[{ key: "en", label: words.english }, { key: "zh", label: words.chinese }]} />}>
      <pre class="code-block draft" lang={language === "zh" ? "zh-CN" : "en"} tabIndex={0}>{report.draft[language]}</pre>
    </Card>
  );
}

export function ReportPage({ params }: { params: Record<string, string> }) {
  const words = t().report;
  const id = params.id ?? "";
  const data = useData(`report:${id}`, (signal) => api("get", "/reports/{id}", { path: { id }, signal }), ["incidents"]);
  const titleOf = useIncidentTitle();
  const [filing, setFiling] = useState<Clock>();
  const [signing, setSigning] = useState(false);
  const r = data.data;
  if (data.error && !r) return <><PageHead title={words.number(id)} /><ErrorNote error={data.error} onRetry={data.reload} /></>;
  if (!r) return <><PageHead title={words.number(id)} /><Skeleton rows={8} /></>;
  const may = !isAdmin("audit"); // core decides; who audits looks on
  const set = data.set;
  return (
    <>
      <PageHead title={titleOf({ title: r.title ?? "" })} lead={<span class="row">{words.number(r.id)} <a href={`/incidents/${r.incident}`}>{t().room.incidents.number(r.incident)}</a></span>}
        actions={may && <Button tone="primary" icon="edit" onClick={() => setSigning(true)}>{words.sign}</Button>} />
      {r.person_decides && !r.person_decided && <div class="note note-warn"><Icon name="hand" /><div class="note-text"><strong>{words.decides}</strong><p>{words.decidesText}</p></div></div>}
      <div class="incident">
        <div class="stack">
          <Card title={words.clocks}><Clocks clocks={r.clocks} actions={(c) => may && !c.filed_at && c.due_at && <Button small onClick={() => setFiling(c)}>{words.file}</Button>} /></Card>
          <Items report={r} set={set} may={may} />
          <Draft report={r} />
        </div>
        <div class="stack">
          <Card title={words.level}>
            <Facts items={[
              [words.level, levelText(r.level)],
              [words.might, r.might && r.might.name !== r.level?.name && levelText(r.might)],
              [words.discovered, <Time at={r.discovered_at} />],
              [words.pack, <>{r.pack} <small class="muted">{words.dated(r.dated)}</small></>],
            ]} />
          </Card>
          <KnownFacts report={r} set={set} may={may} />
          <Card title={words.papers}>
            {r.papers.length === 0 ? <p class="muted">{words.noPapers}</p> : (
              <ul class="entry-list">{r.papers.map((p) => <li key={p.number}><b>{words.phases[p.phase]}</b> {words.signedBy(p.signed_by)} <Time at={p.signed_at} ago /> <Digest text={p.sha256} head={12} /></li>)}</ul>
            )}
          </Card>
        </div>
      </div>
      {filing && <File report={r} clock={filing} set={set} onClose={() => setFiling(undefined)} />}
      {signing && <Sign report={r} set={set} onClose={() => setSigning(false)} />}
    </>
  );
}

/* Beside an incident: its reports with their clocks. */
export function ReportsOf({ incident, may }: { incident: string; may: boolean }) {
  const words = t().report;
  const list = useReports();
  const { busy, error, run } = useAction();
  const mine = list.data?.items.filter((r) => r.incident === incident) ?? [];
  const open = () => run(async () => {
    const made = await api("post", "/reports", { body: { incident: Number(incident) } });
    toast(words.opened);
    go(`/reports/${made.id}`);
  });
  if (!list.data || (mine.length === 0 && !may)) return null;
  return (
    <Card title={words.clocks} actions={mine.map((r) => <a key={r.id} href={`/reports/${r.id}`}>{words.whole}{mine.length > 1 && ` (${r.pack})`}</a>)}>
      {mine.map((r) => <Clocks key={r.id} clocks={r.clocks} />)}
      {mine.length === 0 && <div class="row row-between"><span class="muted">{words.none}</span><Button small icon="plus" busy={busy} onClick={() => void open()}>{words.openOne}</Button></div>}
      <ErrorNote error={error} />
    </Card>
  );
}

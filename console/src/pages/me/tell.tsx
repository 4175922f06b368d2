// SPDX-License-Identifier: Apache-2.0
// Telling the security team: I was phished, a device is gone, something is odd; and what became of what I told.
import { useId, useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useList } from "../../lib/data";
import { office, toast } from "../../lib/state";
import { Badge, Button, Card, Empty, PageHead, Select } from "../../ui/basic";
import { ErrorNote } from "../../ui/errors";
import { Icon, type IconName } from "../../ui/icon";
import { ListTable } from "../../ui/table";
import { Time } from "../../ui/time";

type Kind = Schema["Told"]["kind"];
const KINDS: { key: Kind; icon: IconName; device?: boolean; text?: boolean }[] = [
  { key: "phishing", icon: "mail" },
  { key: "lost-device", icon: "laptop", device: true },
  { key: "malware", icon: "alert", device: true },
  { key: "leak", icon: "eye", text: true },
  { key: "other", icon: "info", text: true },
];

function Form({ onTold }: { onTold: () => void }) {
  const words = t().tell;
  const id = useId();
  const [kind, setKind] = useState<Kind>("phishing");
  const [text, setText] = useState("");
  const [device, setDevice] = useState("");
  const devices = useList("devices", (_, signal) => api("get", "/me/devices", { signal }), ["devices"]);
  const { busy, error, run } = useAction();
  const one = KINDS.find((k) => k.key === kind)!;
  const send = () => run(async () => {
    await api("post", "/me/reports", { body: { kind, text: text.trim(), ...(one.device && device ? { device } : {}) } });
    toast(words.done);
    setText("");
    onTold();
  });
  return (
    <Card title={words.what}>
      <form class="stack" onSubmit={(e) => { e.preventDefault(); void send(); }}>
        <fieldset class="choices">
          <legend class="sr">{words.what}</legend>
          {KINDS.map((k) => (
            <label key={k.key} class="choice">
              <input type="radio" name={`${id}-kind`} checked={kind === k.key} onChange={() => setKind(k.key)} />
              <Icon name={k.icon} /> <span><strong>{words.kinds[k.key].title}</strong><span class="hint">{words.kinds[k.key].text}</span></span>
            </label>
          ))}
        </fieldset>
        {one.device && (devices.data ?? []).length > 0 && (
          <Select label={words.device} value={device} onChange={setDevice}
            options={[{ value: "", label: words.noDevice }, ...(devices.data ?? []).map((d) => ({ value: d.id, label: d.name }))]} />
        )}
        <div class="field">
          <label for={`${id}-text`}>{one.text ? words.text : words.textMore}</label>
          <textarea id={`${id}-text`} class="input" rows={4} maxLength={600} required={one.text} value={text} onInput={(e) => setText(e.currentTarget.value)} />
          <p class="hint">{words.noSecrets}</p>
        </div>
        <ErrorNote error={error} />
        <div class="row"><Button tone="primary" type="submit" icon="alert" busy={busy}>{words.send}</Button>
          {office.value?.security_contact && <span class="muted">{words.urgent} {office.value.security_contact}</span>}</div>
      </form>
    </Card>
  );
}

export function Tell() {
  const words = t().tell;
  const list = useList("told", (_, signal) => api("get", "/me/reports", { signal }));
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="stack">
        <Form onTold={list.reload} />
        <Card title={words.mine} flush>
          <ListTable list={list} label={words.mine} keyOf={(r) => `${r.incident} ${r.told_at}`} empty={<Empty icon="check" title={words.none} />} columns={[
            { key: "kind", label: words.what, kind: "main", render: (r) => words.kinds[r.kind].title },
            { key: "state", label: words.state, render: (r) => <Badge tone={r.state === "open" ? "accent" : "neutral"}>{words.states[r.state]}</Badge> },
            { key: "incident", label: words.incident, render: (r) => r.incident },
            { key: "at", label: words.at, render: (r) => <Time at={r.told_at} ago /> },
          ]} />
        </Card>
      </div>
    </>
  );
}

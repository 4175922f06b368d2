// SPDX-License-Identifier: Apache-2.0
// What was refused to me, why, and what I can do about it; found by the number of the refusal page.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useData, useList } from "../../lib/data";
import { go } from "../../lib/router";
import { office } from "../../lib/state";
import { Button, Empty, Facts, Field, PageHead, Skeleton } from "../../ui/basic";
import { Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { deedOf } from "../../ui/event";
import { Icon, type IconName } from "../../ui/icon";
import { ListTable } from "../../ui/table";
import { Time } from "../../ui/time";
import { ClassBadge, Owner, Strength, text2, wordIn } from "../../ui/words";

type Refusal = Schema["Refusal"];
type Mend = Refusal["mends"][number];

const MENDS: Record<Mend, { icon: IconName; href?: (r: Refusal) => string }> = {
  sign_in: { icon: "user", href: () => "/sign-in" },
  step_up: { icon: "passkey", href: (r) => `/step-up?to=${encodeURIComponent(r.url ?? "")}` },
  add_passkey: { icon: "passkey", href: () => "/sign-in-methods" },
  enrol_device: { icon: "laptop", href: () => "/devices" },
  use_company_device: { icon: "device" },
  fix_posture: { icon: "health", href: () => "/devices" },
  wait_for_approval: { icon: "session" },
  wait_for_hours: { icon: "session" },
  use_office_network: { icon: "globe" },
  ask_security: { icon: "people" },
  ask_owner: { icon: "people" },
  retry_later: { icon: "refresh" },
};

function Mends({ refusal }: { refusal: Refusal }) {
  const words = t().refusals;
  const known = refusal.mends.filter((mend) => mend in MENDS);
  if (known.length === 0) return <p>{words.noMend}</p>;
  return (
    <ol class="mends">
      {known.map((mend) => {
        const text = words.mends[mend];
        const href = MENDS[mend].href?.(refusal);
        return (
          <li key={mend}>
            <Icon name={MENDS[mend].icon} />
            <div><strong>{text.title}</strong><p>{text.text}{mend === "ask_security" && office.value?.security_contact && ` ${office.value.security_contact}`}</p></div>
            {href && <a class="button button-plain button-small" href={href}><span>{text.action}</span></a>}
          </li>
        );
      })}
    </ol>
  );
}

function One({ reference, onClose }: { reference: string; onClose: () => void }) {
  const one = useData(`refusal:${reference}`, (signal) => api("get", "/me/refusals/{reference}", { path: { reference }, signal }));
  const words = t().refusals;
  const r = one.data;
  return (
    <Dialog title={`${words.one} ${reference}`} onClose={onClose} side>
      {one.error ? <ErrorNote error={one.error} onRetry={one.reload} /> : !r ? <Skeleton rows={5} /> : (
        <div class="stack">
          <p class="refusal-why">{words.sentence(t().words.action[r.action], text2(r.title, r.resource))} <strong>{wordIn(t().words.reason, r.reason)}{t().common.stop}</strong></p>
          <h3>{words.whatToDo}</h3>
          <Mends refusal={r} />
          <h3>{words.details}</h3>
          <Facts items={[
            [words.at, <Time at={r.at} />],
            [words.resource, <>{text2(r.title, r.resource)} <ClassBadge name={r.class} /></>],
            [words.object, r.object && <code class="wrap">{deedOf(r)}</code>],
            [words.device, <Owner owner={r.owner} />],
            [words.strength, r.strength && <Strength strength={r.strength} />],
            [words.rule, r.rule && <code>{r.rule}</code>],
            [t().common.reference, <code>{r.reference}</code>],
          ]} />
        </div>
      )}
    </Dialog>
  );
}

export function Refusals({ params }: { params: Record<string, string> }) {
  const list = useList("refusals", (cursor, signal) => api("get", "/me/refusals", { query: { cursor }, signal }), ["me"]);
  const [number, setNumber] = useState("");
  const words = t().refusals;
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <form class="toolbar" onSubmit={(e) => { e.preventDefault(); if (number.trim()) go(`/refusals/${encodeURIComponent(number.trim().toUpperCase())}`); }}>
        <Field label={words.byNumber} value={number} placeholder="7F3K-9Q2M-XA4T" maxLength={20} onInput={(e) => setNumber(e.currentTarget.value)} />
        <Button type="submit" icon="search">{words.find}</Button>
      </form>
      <ListTable list={list} label={words.title} keyOf={(r) => r.reference} onRow={(r) => go(`/refusals/${r.reference}`)}
        empty={<Empty icon="check" title={words.none}><p>{words.noneText}</p></Empty>}
        columns={[
          { key: "what", label: words.what, kind: "main", render: (r) => <span class="event-title"><span>{t().words.action[r.action]} · {text2(r.title, r.resource)}</span>{r.object && <small class="muted block clip">{deedOf(r)}</small>}</span> },
          { key: "why", label: words.why, render: (r) => wordIn(t().words.reason, r.reason) },
          { key: "class", label: words.class, render: (r) => <ClassBadge name={r.class} /> },
          { key: "at", label: words.at, render: (r) => <Time at={r.at} /> },
          { key: "ref", label: t().common.reference, render: (r) => <code class="plain">{r.reference}</code> },
        ]} />
      {params.reference && <One reference={params.reference} onClose={() => go("/refusals")} />}
    </>
  );
}

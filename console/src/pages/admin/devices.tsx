// SPDX-License-Identifier: Apache-2.0
// Devices: what waits for a decision first; owner, posture, quarantine, revocation.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData, useList } from "../../lib/data";
import { go, place, setQuery } from "../../lib/router";
import { isAdmin, me, toast } from "../../lib/state";
import { Badge, Button, Digest, Empty, Facts, PageHead, Search, Segmented, Select, Skeleton } from "../../ui/basic";
import { Confirm, Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { ListTable } from "../../ui/table";
import { Time } from "../../ui/time";
import { DeviceState, Owner, Posture, systemOf } from "../../ui/words";
import { Checks } from "../me/devices";

type Device = Schema["Device"];
type Ask = "quarantine" | "release" | "revoke";

/* As the agent shows it: "7F3A-91C2-..." */
const shortKey = (hex: string) => (hex.slice(0, 16).toUpperCase().match(/.{4}/g) ?? []).join("-");

function Decide({ device, onDone }: { device: Device; onDone: (d: Device) => void }) {
  const [owner, setOwner] = useState<"company" | "personal">(device.owner === "personal" ? "personal" : "company");
  const { busy, error, run } = useAction();
  const words = t().adminDevices;
  const pending = device.state === "pending";
  if (device.person.id === me.value?.person.id) return <p class="hint">{words.notOwn}</p>;
  return (
    <form class="stack-small" onSubmit={(e) => {
      e.preventDefault();
      void run(async () => {
        const at = { path: { id: device.id }, body: { owner } };
        onDone(pending ? await api("post", "/admin/devices/{id}/approve", at) : await api("put", "/admin/devices/{id}/owner", at));
        toast(pending ? words.approved(device.name) : words.ownerSaved);
      });
    }}>
      {pending && device.key_fingerprint && (
        <div class="note"><div class="note-text"><p>{words.compare}</p><p class="big-code"><code>{shortKey(device.key_fingerprint)}</code></p></div></div>
      )}
      <div class="row">
        <Segmented label={words.owner} value={owner} onChange={setOwner} items={[
          { key: "company", label: t().words.owner.company, icon: "device" },
          { key: "personal", label: t().words.owner.personal, icon: "user" },
        ]} />
        <Button type="submit" tone="primary" small busy={busy} disabled={!pending && owner === device.owner}>{pending ? words.approve : words.saveOwner}</Button>
      </div>
      <p class="hint">{words.ownerHint}</p>
      <ErrorNote error={error} />
    </form>
  );
}

function Details({ id, onClose, onChanged }: { id: string; onClose: () => void; onChanged: () => void }) {
  const data = useData(`device:${id}`, (signal) => api("get", "/admin/devices/{id}", { path: { id }, signal }), ["devices"]);
  const [ask, setAsk] = useState<Ask>();
  const words = t().adminDevices;
  const d = data.data;
  const took = (device: Device) => {
    data.set(device);
    onChanged();
  };
  const may = isAdmin("security");
  return (
    <Dialog title={d?.name ?? words.title} onClose={onClose} side>
      {data.error ? <ErrorNote error={data.error} onRetry={data.reload} /> : !d ? <Skeleton rows={6} /> : (
        <div class="stack">
          {d.cloned && <div class="note note-bad"><div class="note-text"><strong>{words.cloned}</strong><p>{words.clonedText}</p></div></div>}
          {may && (d.state === "pending" || d.state === "active") && <Decide key={d.state + d.owner} device={d} onDone={took} />}
          <Facts items={[
            [words.person, <a href={`/admin/people/${d.person.id}`}>{d.person.display_name}</a>],
            [words.state, <DeviceState state={d.state} />],
            [words.why, d.why],
            [words.owner, <Owner owner={d.owner} />],
            [words.posture, <><Posture posture={d.posture} /> <span class="muted"><Time at={d.posture_at} ago /></span></>],
            [words.system, systemOf(d.platform, d.platform?.arch)],
            [words.hostname, d.platform?.hostname],
            [words.key, d.key_storage && (d.key_storage === "tpm" ? words.tpm : words.file)],
            [words.keyPrint, d.key_fingerprint && <code>{shortKey(d.key_fingerprint)}</code>],
            [words.certificate, d.fingerprint && <Digest text={d.fingerprint} head={16} />],
            [words.expires, d.certificate_expires_at && <Time at={d.certificate_expires_at} ago />],
            [words.decidedBy, d.decided_by],
            [words.enrolled, <Time at={d.created_at} />],
            [words.seen, <Time at={d.seen_at} ago />],
          ]} />
          <Checks checks={d.checks} />
          {may && d.state !== "revoked" && (
            <div class="row">
              {d.state === "active" && <Button small onClick={() => setAsk("quarantine")}>{words.quarantine}</Button>}
              {d.state === "quarantined" && !d.cloned && <Button small onClick={() => setAsk("release")}>{words.release}</Button>}
              <Button small tone="danger" onClick={() => setAsk("revoke")}>{words.revoke}</Button>
            </div>
          )}
        </div>
      )}
      {ask && d && (
        <Confirm title={words[`${ask}Title`](d.name)} text={<p>{words[`${ask}Text`]}</p>} action={words[ask]} why onClose={() => setAsk(undefined)}
          onYes={async (why) => {
            const at = { path: { id }, body: { why } };
            took(ask === "quarantine" ? await api("post", "/admin/devices/{id}/quarantine", at)
              : ask === "release" ? await api("post", "/admin/devices/{id}/release", at)
              : await api("post", "/admin/devices/{id}/revoke", at));
          }} />
      )}
    </Dialog>
  );
}

const STATES = ["pending", "active", "quarantined", "revoked"] as const;

export function Devices({ params }: { params: Record<string, string> }) {
  const query = place.value.query;
  const q = query.get("q") ?? "";
  const person = query.get("person") ?? undefined;
  const state = STATES.find((s) => s === query.get("state"));
  const list = useList(`devices:${q}:${state}:${person}`, (cursor, signal) => api("get", "/admin/devices", { query: { cursor, q: q || undefined, state, person }, signal }), ["devices"]);
  const words = t().adminDevices;
  const keep = location.search;
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="toolbar">
        <Search value={q} label={words.search} onSearch={(text) => setQuery({ q: text })} />
        <Select hideLabel label={words.state} value={state ?? ""} onChange={(value) => setQuery({ state: value })}
          options={[{ value: "", label: words.anyState }, ...STATES.map((s) => ({ value: s, label: t().words.device[s] }))]} />
        {person && <Button small tone="quiet" icon="close" onClick={() => setQuery({ person: null })}>{words.onePerson}</Button>}
      </div>
      <ListTable list={list} label={words.title} keyOf={(d) => d.id} onRow={(d) => go(`/admin/devices/${d.id}${keep}`)}
        rowClass={(d) => (d.state === "pending" ? "row-pending" : undefined)}
        empty={<Empty icon="device" title={words.none}><p>{words.noneText}</p></Empty>}
        columns={[
          { key: "name", label: words.device, kind: "main", render: (d) => <span class="event-title"><span>{d.name}</span><small class="muted block">{systemOf(d.platform)}</small></span> },
          { key: "person", label: words.person, render: (d) => d.person.display_name },
          { key: "state", label: words.state, render: (d) => <><DeviceState state={d.state} />{d.cloned && <> <Badge tone="bad">{words.cloned}</Badge></>}</> },
          { key: "owner", label: words.owner, render: (d) => <Owner owner={d.owner} /> },
          { key: "posture", label: words.posture, render: (d) => <Posture posture={d.posture} /> },
          { key: "seen", label: words.seen, render: (d) => <Time at={d.seen_at} ago /> },
        ]} />
      {params.id && <Details id={params.id} onClose={() => go(`/admin/devices${keep}`)} onChanged={list.reload} />}
    </>
  );
}

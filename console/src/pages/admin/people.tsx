// SPDX-License-Identifier: Apache-2.0
// People: accounts (system administrator), role grants and keys for the SSH gate (security administrator).
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useAction, useData, useList } from "../../lib/data";
import { go, place, setQuery } from "../../lib/router";
import { isAdmin, me, toast } from "../../lib/state";
import { Badge, Button, CopyBox, Empty, Facts, Field, PageHead, Search, Select, Skeleton } from "../../ui/basic";
import { Confirm, Dialog } from "../../ui/dialog";
import { ErrorNote } from "../../ui/errors";
import { Icon } from "../../ui/icon";
import { SshKeyLines } from "../../ui/ssh-keys";
import { ListTable } from "../../ui/table";
import { Time } from "../../ui/time";
import { PersonState, roleTitle, wordIn } from "../../ui/words";

type Person = Schema["Person"];
type Link = { link: string; expires_at: string };

function LinkBox({ link, name }: { link: Link; name: string }) {
  const words = t().people;
  return (
    <div class="stack-small">
      <div class="note note-good"><Icon name="link" /><div class="note-text"><strong>{words.linkFor(name)}</strong><p>{words.linkText} <Time at={link.expires_at} />.</p></div></div>
      <CopyBox text={link.link} label={words.linkFor(name)} />
    </div>
  );
}

function NewPerson({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [form, setForm] = useState({ display_name: "", name: "", mail: "" });
  const [made, setMade] = useState<{ person: Person; link: Link }>();
  const { busy, error, run } = useAction();
  const words = t().people;
  const set = (key: keyof typeof form) => (e: { currentTarget: HTMLInputElement }) => setForm({ ...form, [key]: e.currentTarget.value });
  const create = () =>
    run(async () => {
      const body = { name: form.name.trim().toLowerCase(), display_name: form.display_name.trim(), ...(form.mail.trim() ? { mail: form.mail.trim() } : {}) };
      const person = await api("post", "/admin/people", { body });
      const link = await api("post", "/admin/people/{id}/invite", { path: { id: person.id } });
      setMade({ person, link });
      onDone();
    });
  return (
    <Dialog title={words.add} onClose={onClose}>
      {made ? (
        <div class="stack"><LinkBox link={made.link} name={made.person.display_name} /><div class="row row-end"><Button tone="primary" onClick={onClose}>{t().common.done}</Button></div></div>
      ) : (
        <form class="stack" onSubmit={(e) => { e.preventDefault(); void create(); }}>
          <Field label={words.displayName} value={form.display_name} required maxLength={63} autoFocus onInput={set("display_name")} />
          <Field label={words.name} value={form.name} required maxLength={63} pattern="[a-zA-Z0-9][a-zA-Z0-9._-]*" hint={t().setup.nameHint} onInput={set("name")} />
          <Field label={words.mail} type="email" value={form.mail} maxLength={254} onInput={set("mail")} />
          <p class="hint">{words.rolesLater}</p>
          <ErrorNote error={error} />
          <div class="row row-end"><Button onClick={onClose}>{t().common.cancel}</Button><Button type="submit" tone="primary" busy={busy}>{words.createAndInvite}</Button></div>
        </form>
      )}
    </Dialog>
  );
}

function Roles({ person, onDone }: { person: Person; onDone: (p: Person) => void }) {
  const roles = useData("roles", (signal) => api("get", "/admin/roles", { signal }));
  const [chosen, setChosen] = useState(person.roles);
  const { busy, error, run } = useAction();
  const words = t().people;
  const self = person.id === me.value?.person.id;
  if (roles.error) return <ErrorNote error={roles.error} onRetry={roles.reload} />;
  if (!roles.data) return <Skeleton rows={2} />;
  const admins = roles.data.items.filter((r) => r.admin).map((r) => r.name);
  /* The system administrator of a new office names the first holder of each administrator role. */
  const first = (role: Schema["Role"]) => isAdmin("system") && role.admin && role.people === 0;
  const mayRole = (role: Schema["Role"]) => !self && (isAdmin("security") || first(role));
  const may = roles.data.items.some(mayRole);
  const clash = chosen.filter((r) => admins.includes(r)).length > 1;
  const changed = [...chosen].sort().join() !== [...person.roles].sort().join();
  return (
    <form class="stack-small" onSubmit={(e) => {
      e.preventDefault();
      void run(async () => {
        onDone(await api("put", "/admin/people/{id}/roles", { path: { id: person.id }, body: { roles: chosen, before: person.roles } }));
        toast(words.rolesSaved);
      });
    }}>
      <ul class="role-list">
        {roles.data.items.map((role) => (
          <li key={role.name}>
            <label class="check">
              <input type="checkbox" checked={chosen.includes(role.name)} disabled={!mayRole(role)}
                onChange={(e) => setChosen(e.currentTarget.checked ? [...chosen, role.name] : chosen.filter((r) => r !== role.name))} />
              <span>{roleTitle(role)} <code class="muted">{role.name}</code></span>
              {role.admin && <Badge tone="accent">{words.administrator}</Badge>}
            </label>
          </li>
        ))}
      </ul>
      {clash && <p class="field-error"><Icon name="alert" size={14} /> {words.rolesApart}</p>}
      {!may && <p class="hint">{self ? words.notOwnRoles : words.onlySecurity}</p>}
      <ErrorNote error={error} />
      {may && <div class="row"><Button type="submit" tone="primary" small disabled={!changed || clash} busy={busy}>{words.saveRoles}</Button></div>}
    </form>
  );
}

function SshKeys({ id }: { id: string }) {
  const list = useList(`ssh-keys:${id}`, (_, signal) => api("get", "/admin/people/{id}/ssh-keys", { path: { id }, signal }));
  const words = t().people;
  const remove = async (key: string) => {
    await api("delete", "/admin/people/{id}/ssh-keys/{key}", { path: { id, key } });
    toast(words.sshKeyRemoved);
    list.reload();
  };
  return (
    <section class="stack-small">
      <h3>{words.sshKeys}</h3>
      {list.error ? <ErrorNote error={list.error} onRetry={list.reload} /> : !list.data ? <Skeleton rows={1} />
        : list.data.length === 0 ? <p class="muted">{words.noSshKeys}</p> : <SshKeyLines keys={list.data} onRemove={isAdmin("security") ? remove : undefined} />}
      {Boolean(list.data?.length) && !isAdmin("security") && <p class="hint">{words.sshKeysSecurity}</p>}
    </section>
  );
}

function Details({ id, onClose, onChanged }: { id: string; onClose: () => void; onChanged: () => void }) {
  const data = useData(`person:${id}`, (signal) => api("get", "/admin/people/{id}", { path: { id }, signal }), ["people"]);
  const [ask, setAsk] = useState<"disable" | "reset">();
  const [link, setLink] = useState<Link>();
  const { busy, error, run } = useAction();
  const words = t().people;
  const p = data.data;
  const took = (person: Person) => {
    data.set(person);
    onChanged();
  };
  const self = p?.id === me.value?.person.id;
  const system = isAdmin("system");
  return (
    <Dialog title={p?.display_name ?? words.title} onClose={onClose} side>
      {data.error ? <ErrorNote error={data.error} onRetry={data.reload} /> : !p ? <Skeleton rows={6} /> : (
        <div class="stack">
          <Facts items={[
            [words.name, <code>{p.name}</code>],
            [words.state, <PersonState state={p.state} />],
            [words.mail, p.mail],
            [words.lastSignIn, <Time at={p.last_sign_in_at} ago />],
            [words.created, <Time at={p.created_at} />],
            [words.credentials, p.has && words.has(p.has)],
            [words.devices, <a href={`/admin/devices?person=${p.id}`}>{t().overview.look}</a>],
            [words.sessions, p.sessions !== undefined && <a href={`/admin/sessions?person=${p.id}`}>{p.sessions}</a>],
          ]} />
          {link && <LinkBox link={link} name={p.display_name} />}
          <ErrorNote error={error} />
          {!self && (
            <div class="row">
              {system && (p.state === "invited") && <Button small icon="link" busy={busy} onClick={() => void run(async () => setLink(await api("post", "/admin/people/{id}/invite", { path: { id } })))}>{words.invite}</Button>}
              {system && p.state !== "invited" && <Button small icon="refresh" onClick={() => setAsk("reset")}>{words.reset}</Button>}
              {system && p.state === "disabled" && <Button small icon="check" busy={busy} onClick={() => void run(async () => took(await api("post", "/admin/people/{id}/enable", { path: { id } })))}>{words.enable}</Button>}
              {(system || isAdmin("security")) && p.state !== "disabled" && <Button small tone="danger" icon="close" onClick={() => setAsk("disable")}>{words.disable}</Button>}
            </div>
          )}
          <h3>{words.roles}</h3>
          <Roles key={p.roles.join()} person={p} onDone={took} />
          <SshKeys id={p.id} />
        </div>
      )}
      {ask === "disable" && p && (
        <Confirm title={words.disableTitle(p.display_name)} text={<p>{words.disableText}</p>} action={words.disable} why onClose={() => setAsk(undefined)}
          onYes={async (why) => took(await api("post", "/admin/people/{id}/disable", { path: { id }, body: { why } }))} />
      )}
      {ask === "reset" && p && (
        <Confirm title={words.resetTitle(p.display_name)} text={<p>{words.resetText}</p>} action={words.reset} why onClose={() => setAsk(undefined)}
          onYes={async (why) => {
            setLink(await api("post", "/admin/people/{id}/reset", { path: { id }, body: { why } }));
            data.reload();
            onChanged();
          }} />
      )}
    </Dialog>
  );
}

const STATES = ["active", "invited", "locked", "disabled"] as const;

export function People({ params }: { params: Record<string, string> }) {
  const q = place.value.query.get("q") ?? "";
  const state = (STATES as readonly string[]).includes(place.value.query.get("state") ?? "") ? (place.value.query.get("state") as (typeof STATES)[number]) : undefined;
  const list = useList(`people:${q}:${state}`, (cursor, signal) => api("get", "/admin/people", { query: { cursor, q: q || undefined, state }, signal }), ["people"]);
  const [adding, setAdding] = useState(false);
  const words = t().people;
  const keep = location.search;
  return (
    <>
      <PageHead title={words.title} lead={words.lead}
        actions={isAdmin("system") && <Button tone="primary" icon="plus" onClick={() => setAdding(true)}>{words.add}</Button>} />
      <div class="toolbar">
        <Search value={q} label={words.search} onSearch={(text) => setQuery({ q: text })} />
        <Select hideLabel label={words.state} value={state ?? ""} onChange={(value) => setQuery({ state: value })}
          options={[{ value: "", label: words.anyState }, ...STATES.map((s) => ({ value: s, label: t().words.person[s] }))]} />
      </div>
      <ListTable list={list} label={words.title} keyOf={(p) => p.id} onRow={(p) => go(`/admin/people/${p.id}${keep}`)}
        empty={<Empty icon="people" title={words.none}>{q && <p>{words.noneText}</p>}</Empty>}
        columns={[
          { key: "name", label: words.person, kind: "main", render: (p) => <span class="with-icon"><span class="avatar" aria-hidden="true">{p.display_name.slice(0, 1).toUpperCase()}</span><span><span>{p.display_name}</span><small class="muted block">{p.name}</small></span></span> },
          { key: "state", label: words.state, render: (p) => <PersonState state={p.state} /> },
          { key: "roles", label: words.roles, render: (p) => <span class="chips">{p.roles.length ? p.roles.map((r) => <Badge key={r} tone={r.endsWith("-admin") ? "accent" : "neutral"}>{wordIn(t().words.role, r)}</Badge>) : "—"}</span> },
          { key: "last", label: words.lastSignIn, render: (p) => <Time at={p.last_sign_in_at} ago /> },
        ]} />
      {adding && <NewPerson onClose={() => setAdding(false)} onDone={list.reload} />}
      {params.id && <Details id={params.id} onClose={() => go(`/admin/people${keep}`)} onChanged={list.reload} />}
    </>
  );
}

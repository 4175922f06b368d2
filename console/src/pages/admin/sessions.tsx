// SPDX-License-Identifier: Apache-2.0
// Everybody's living sessions; ending one cuts its requests and WebSockets at once.
import { useState } from "preact/hooks";
import { api, type Schema } from "../../api/client";
import { t } from "../../i18n";
import { useList } from "../../lib/data";
import { place, setQuery } from "../../lib/router";
import { isAdmin, toast } from "../../lib/state";
import { Button, Empty, PageHead, Search } from "../../ui/basic";
import { Confirm } from "../../ui/dialog";
import { ListTable } from "../../ui/table";
import { SessionName, sessionColumns } from "../me/sessions";

type Session = Schema["Session"];

export function Sessions() {
  const q = place.value.query.get("q") ?? "";
  const person = place.value.query.get("person") ?? undefined;
  const list = useList(`sessions:${q}:${person}`, (cursor, signal) => api("get", "/admin/sessions", { query: { cursor, q: q || undefined, person }, signal }), ["sessions"]);
  const [ending, setEnding] = useState<Session>();
  const words = t().adminSessions;
  return (
    <>
      <PageHead title={words.title} lead={words.lead} />
      <div class="toolbar">
        <Search value={q} label={words.search} onSearch={(text) => setQuery({ q: text })} />
        {person && <Button small tone="quiet" icon="close" onClick={() => setQuery({ person: null })}>{words.onePerson}</Button>}
      </div>
      <ListTable list={list} label={words.title} keyOf={(s) => s.id} empty={<Empty icon="session" title={words.none} />}
        columns={[
          { key: "person", label: words.person, kind: "main", render: (s) => <span class="event-title"><span>{s.person.display_name}</span><small class="muted block">{s.person.name}</small></span> },
          { key: "what", label: t().sessions.what, render: (s) => <SessionName session={s} /> },
          ...sessionColumns(),
          { key: "end", label: t().common.actions, kind: "actions", render: (s) => isAdmin("security") ? (
            <span class="row row-end">
              <a href={`/admin/sessions/${s.id}`}>{t().sessions.record}</a>
              {!s.current && <Button small onClick={() => setEnding(s)}>{t().sessions.end}</Button>}
            </span>) : null },
        ]} />
      {ending && (
        <Confirm title={words.endTitle(ending.person.display_name)} text={<p>{words.endText}</p>} action={t().sessions.end} why onClose={() => setEnding(undefined)}
          onYes={async (why) => {
            await api("post", "/admin/sessions/{id}/end", { path: { id: ending.id }, body: { why } });
            toast(t().sessions.ended);
            list.reload();
          }} />
      )}
    </>
  );
}

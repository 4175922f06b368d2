/* SPDX-License-Identifier: Apache-2.0
 * Sessions as the API shows them.
 * OWNS nothing. PROCESS core. TRUST the user agent is hostile: JSON escapes it.
 * SPEC docs/api/openapi.yaml "Session".
 */
#include "core/http/json.h"
#include "core/identity/people.h"
#include "core/sessions/inside.h"

#include <stdio.h>

void sp_session_id_text(uint64_t id, char ret_text[SP_SESSION_ID_TEXT_BYTES])
{
    snprintf(ret_text, SP_SESSION_ID_TEXT_BYTES, "%016llx", (unsigned long long)id);
}

sp_err sp_session_id_of(sp_span text, uint64_t *ret_id)
{
    auto_buf sp_buf bytes = sp_buf_make(sizeof(uint64_t));
    TRY(sp_buf_unhex(&bytes, text));
    sp_reader in = sp_reader_of(sp_buf_borrow(&bytes));
    uint64_t id = sp_read_u64(&in);
    TRY(sp_reader_finish(&in));
    *ret_id = id;
    return sp_ok();
}

static json_t *person_ref(sp_store *store, uint32_t id)
{
    sp_person person;
    if (sp_failed(sp_people_get(store, id, &person))) {
        return json_null();
    }
    return json_pack("{s:o, s:s, s:s}", "id", sp_json_id(id), "name", person.name, "display_name",
                     person.display);
}

static json_t *device_ref(const sp_core *core, uint32_t slot)
{
    sp_live_device device;
    if (slot == SP_NONE || sp_failed(sp_live_device_get(&core->live, slot, &device))) {
        return json_null();
    }
    return json_pack("{s:o, s:s, s:s}", "id", sp_json_id(device.id), "name", device.name, "owner",
                     sp_owner_word((sp_owner)device.owner));
}

static json_t *hosts_of(const sp_core *core, const sp_session_view *view)
{
    json_t *hosts = json_array();
    const sp_session_slot *slot = sp_session_slot_of(core->sessions, view->slot, view->id);
    for (const sp_session_token *at = slot == NULL ? NULL : slot->tokens; at != NULL;
         at = at->next) {
        if (!sp_span_eq(sp_span_cstr(at->host), sp_span_cstr(core->portal_host))) {
            json_array_append_new(hosts, json_string(at->host));
        }
    }
    return hosts;
}

json_t *sp_session_json(sp_core *core, const sp_session_view *view, uint64_t current)
{
    char id[SP_SESSION_ID_TEXT_BYTES];
    static const char *const kinds[SP_SESSION_KIND_COUNT] = {"browser", "cli", "ssh"};
    sp_session_id_text(view->id, id);
    return json_pack("{s:s, s:o, s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:b}", "id", id,
                     "person", person_ref(core->store, view->person), "kind", kinds[view->kind],
                     "strength", sp_strength_word((sp_strength)view->strength), "device",
                     device_ref(core, view->device_slot), "peer", view->peer, "agent",
                     view->user_agent, "started_at", sp_json_time(view->started_unix_s),
                     "authenticated_at", sp_json_time(view->auth_unix_s), "seen_at",
                     sp_json_time(view->seen_unix_s), "expires_at",
                     sp_json_time(view->expires_unix_s), "hosts", hosts_of(core, view), "current",
                     view->id == current);
}

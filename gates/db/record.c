/* SPDX-License-Identifier: Apache-2.0
 * Events of the database gate.
 * OWNS nothing: spans point into the session and its snapshot. PROCESS db gate workers.
 * TRUST none. SPEC lib/proto/event.h.
 */
#include "gates/db/db.h"
#include "infra/proc/clock.h"
#include "lib/proto/json.h"

#include <stdio.h>

enum { VALUE_MAX_BYTES = 64 }; /* escaped six times as long at most */

sp_event db_event_of(const db_session *session, sp_event_kind kind)
{
    sp_event event = {
        .when_unix_us = sp_now_unix_us(),
        .reference = session->connection,
        .session = session->live_id,
        .device = session->device_id,
        .person = session->who.person,
        .kind = (uint8_t)kind,
        .severity = SP_SEVERITY_INFO,
        .gate = SP_GATE_DB,
        .owner = session->who.owner,
        .posture = session->who.posture,
        .strength = session->who.strength,
        .person_name = sp_span_cstr(session->person_name),
        .device_name = sp_span_cstr(session->device_name),
        .resource = sp_span_cstr(session->resource_name),
        .method = SP_SPAN_LIT("CONNECT"),
    };
    if (session->login != NULL && session->person_name[0] == '\0') {
        event.resource = sp_span_cstr(session->login->resource);
    }
    sp_copy(event.peer, session->who.peer, sizeof(event.peer));
    sp_copy(event.roles, session->who.roles, sizeof(event.roles));
    if (session->snapshot != NULL) {
        event.policy_version = sp_policy_version(&session->snapshot->policy);
    }
    return event;
}

sp_span db_event_detail(const db_session *session, unsigned opaque, const char *key, sp_span value,
                        char room[DB_DETAIL_BYTES])
{
    static const char *const words[] = {"", ",\"opaque\":[\"code\"]", ",\"opaque\":[\"function\"]",
                                        ",\"opaque\":[\"code\",\"function\"]"};
    char connection[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(session->connection, connection);
    size_t used = (size_t)snprintf(room, DB_DETAIL_BYTES, "{\"connection\":\"%s\"%s", connection,
                                   words[opaque % SP_COUNT(words)]);
    if (key != NULL) {
        used += (size_t)snprintf(room + used, DB_DETAIL_BYTES - used, ",\"%.16s\":\"", key);
        used += sp_json_escape(sp_span_slice(value, 0, VALUE_MAX_BYTES), (uint8_t *)room + used);
        room[used++] = '"';
    }
    room[used++] = '}';
    return (sp_span){(const uint8_t *)room, used};
}

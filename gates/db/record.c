/* SPDX-License-Identifier: Apache-2.0
 * Events of the database gate.
 * OWNS nothing: spans point into the session and its snapshot. PROCESS db gate workers.
 * TRUST none. SPEC lib/proto/event.h.
 */
#include "gates/db/db.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "lib/proto/json.h"
#include "lib/web/strangers.h"

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

/* ---- whom nobody knows ---- */

static sp_strangers strangers;

static void write_counted(void *self, const sp_stranger *counted)
{
    (void)self;
    sp_event event = {
        .when_unix_us = sp_now_unix_us(),
        .reference = counted->reference,
        .kind = SP_EVENT_DECISION,
        .severity = SP_SEVERITY_MEDIUM,
        .gate = SP_GATE_DB,
        .action = SP_ACTION_CONNECT,
        .verdict = SP_VERDICT_DENY,
        .reason = counted->reason,
        .count = counted->counted,
        .method = SP_SPAN_LIT("CONNECT"),
        .detail = SP_SPAN_LIT("{\"counted\":\"refusals of clients who are not logged in, of one "
                              "address (or of many when it is empty), within a minute\"}"),
    };
    sp_copy(event.peer, counted->peer, sizeof(event.peer));
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
}

static const sp_strangers_calls strangers_calls = {write_counted, NULL};

bool db_stranger_refused(const db_session *session, sp_reason reason, uint64_t *reference)
{
    if (strangers.seed == 0) {
        strangers.seed = sp_random_u64() | 1;
    }
    return sp_strangers_take(&strangers, session->who.peer, (uint8_t)reason,
                             sp_loop_now_us(db_here.loop), reference, &strangers_calls);
}

void db_strangers_sweep(bool all)
{
    sp_strangers_sweep(&strangers, all ? UINT64_MAX : sp_loop_now_us(db_here.loop),
                       &strangers_calls);
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

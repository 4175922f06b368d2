/* SPDX-License-Identifier: Apache-2.0
 * Events of the database gate.
 * OWNS nothing: spans point into the session and its snapshot. PROCESS db gate workers.
 * TRUST none. SPEC lib/proto/event.h.
 */
#include "gates/db/db.h"
#include "infra/proc/clock.h"

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

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

enum { KEY_MAX_BYTES = 16, VALUE_MAX_BYTES = 64, ESCAPED_TIMES = 6 };
_Static_assert(ESCAPED_TIMES *VALUE_MAX_BYTES + KEY_MAX_BYTES + 100 <= DB_DETAIL_BYTES, "it fits");

sp_event db_event_of(const db_session *session, sp_event_kind kind)
{
    sp_event event = {
        .when_unix_us = sp_loop_unix_us(db_here.loop),
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

/* False: it is counted with the others of that address. */
static bool is_first_of_many(const uint8_t peer[16], sp_reason reason, uint64_t *reference)
{
    if (strangers.seed == 0) {
        strangers.seed = sp_random_u64() | 1;
    }
    return sp_strangers_take(&strangers, peer, (uint8_t)reason, sp_loop_now_us(db_here.loop),
                             reference, &strangers_calls);
}

bool db_stranger_refused(const db_session *session, sp_reason reason, uint64_t *reference)
{
    return is_first_of_many(session->who.peer, reason, reference);
}

void db_cancel_refused(const uint8_t peer[16])
{
    sp_event event = {
        .when_unix_us = sp_now_unix_us(),
        .reference = sp_recorder_reference(),
        .kind = SP_EVENT_DECISION,
        .severity = SP_SEVERITY_LOW,
        .gate = SP_GATE_DB,
        .action = SP_ACTION_EXECUTE,
        .verdict = SP_VERDICT_DENY,
        .reason = SP_REASON_NO_SESSION,
        .count = 1,
        .method = SP_SPAN_LIT("CANCEL"),
        .object = SP_SPAN_LIT("a cancel request with the key of no session"),
    };
    sp_copy(event.peer, peer, sizeof(event.peer));
    if (is_first_of_many(peer, SP_REASON_NO_SESSION, &event.reference)) {
        (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
    }
}

void db_strangers_sweep(bool all)
{
    sp_strangers_sweep(&strangers, all ? UINT64_MAX : sp_loop_now_us(db_here.loop),
                       &strangers_calls);
}

static uint8_t *put(uint8_t *at, sp_span bytes)
{
    sp_copy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

/* Every statement has one: without printf. */
sp_span db_event_detail(const db_session *session, unsigned marks, const char *key, sp_span value,
                        char room[DB_DETAIL_BYTES])
{
    static const char *const words[] = {"", ",\"opaque\":[\"code\"]", ",\"opaque\":[\"function\"]",
                                        ",\"opaque\":[\"code\",\"function\"]"};
    sp_span opaque_word = sp_span_cstr(words[marks & (DB_MARK_CODE | DB_MARK_FUNCTION)]);
    sp_span key_word = key == NULL ? SP_SPAN_EMPTY : sp_span_cstr(key);
    char connection[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(session->connection, connection);
    uint8_t *at = put((uint8_t *)room, SP_SPAN_LIT("{\"connection\":\""));
    at = put(at, sp_span_of(connection, SP_REFERENCE_TEXT_BYTES - 1));
    at = put(at, SP_SPAN_LIT("\""));
    at = put(at, opaque_word);
    if ((marks & DB_MARK_WHOLE) != 0) {
        at = put(at, SP_SPAN_LIT(",\"destroys\":\"whole\""));
    }
    if (key != NULL) {
        at = put(at, SP_SPAN_LIT(",\""));
        at = put(at, sp_span_slice(key_word, 0, KEY_MAX_BYTES));
        at = put(at, SP_SPAN_LIT("\":\""));
        at += sp_json_escape(sp_span_slice(value, 0, VALUE_MAX_BYTES), at);
        at = put(at, SP_SPAN_LIT("\""));
    }
    at = put(at, SP_SPAN_LIT("}"));
    return sp_span_of(room, (size_t)(at - (uint8_t *)room));
}

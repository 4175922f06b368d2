/* SPDX-License-Identifier: Apache-2.0
 * Alarms in the store, and what administrators read of the watch.
 * OWNS rows of the store. PROCESS core. TRUST texts are bounded UTF-8.
 * SPEC docs/api/openapi.yaml "/alarms", "/detections".
 */
#include "core/watch/inside.h"

#include "core/admin/shapes.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/http/router.h"
#include "core/http/sse.h"
#include "core/incidents/incidents.h"
#include "infra/proc/clock.h"

enum { KEEP_S = 400 * 24 * 3600, REASON_MAX_BYTES = 500, DETAIL_BYTES = 2048 };

static const char *const migrations[] = {
    "CREATE TABLE watch_alarm (number INTEGER PRIMARY KEY, id BYTEA NOT NULL UNIQUE,"
    " written BIGINT NOT NULL, at_unix_us BIGINT NOT NULL, detection TEXT NOT NULL,"
    " title TEXT NOT NULL, severity BIGINT NOT NULL, mode BIGINT NOT NULL, keys TEXT NOT NULL,"
    " person BIGINT NOT NULL, person_name TEXT NOT NULL, session BIGINT NOT NULL,"
    " device BIGINT NOT NULL, resource TEXT NOT NULL, count BIGINT NOT NULL, body BYTEA NOT NULL)",
    "ALTER TABLE watch_alarm ADD COLUMN seen BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE watch_alarm ADD COLUMN seen_by TEXT NOT NULL DEFAULT ''",
};

sp_err sp_watcher_rows_start(sp_store *store)
{
    return sp_store_migrate(store, "watch", migrations, SP_COUNT(migrations));
}

static sp_err find(sp_store *store, const sp_hash *id, bool *ret_there, bool *ret_written)
{
    auto_query sp_query q = sp_query_of(store, "SELECT written FROM watch_alarm WHERE id = $1");
    sp_bind_blob(&q, sp_hash_borrow(id));
    *ret_there = sp_query_row(&q);
    *ret_written = *ret_there && sp_col_u64(&q) != 0;
    return sp_query_finish(&q);
}

static sp_err expire(sp_store *store, uint64_t now_unix_us)
{
    uint64_t kept_us = (uint64_t)KEEP_S * 1000000;
    auto_query sp_query q = sp_query_of(store, "DELETE FROM watch_alarm WHERE at_unix_us < $1");
    sp_bind_u64(&q, now_unix_us > kept_us ? now_unix_us - kept_us : 0);
    return sp_query_finish(&q);
}

sp_err sp_watcher_alarm_keep(sp_store *store, const sp_alarm *alarm, bool *ret_again,
                             bool *ret_written)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(find(store, &alarm->id, ret_again, ret_written));
    if (*ret_again) {
        return sp_txn_commit(&txn);
    }
    TRY(expire(store, alarm->last_unix_us));
    sp_alarm_write(alarm, &body);
    TRY(sp_buf_error(&body));
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO watch_alarm (id, written, at_unix_us, detection, title, severity, mode,"
               " keys, person, person_name, session, device, resource, count, body)"
               " VALUES ($1, 0, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)");
    sp_bind_blob(&q, sp_hash_borrow(&alarm->id));
    sp_bind_u64(&q, alarm->last_unix_us);
    sp_bind_text(&q, alarm->detection);
    sp_bind_text(&q, alarm->title);
    sp_bind_u64(&q, alarm->severity);
    sp_bind_u64(&q, alarm->mode);
    sp_bind_text(&q, alarm->keys);
    sp_bind_u64(&q, alarm->person);
    sp_bind_text(&q, alarm->person_name);
    sp_bind_bits(&q, alarm->session);
    sp_bind_bits(&q, alarm->device);
    sp_bind_text(&q, alarm->resource);
    sp_bind_bits(&q, alarm->count);
    sp_bind_blob(&q, sp_buf_borrow(&body));
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

sp_err sp_watcher_alarm_written(sp_store *store, const sp_hash *id)
{
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE watch_alarm SET written = 1 WHERE id = $1");
    sp_bind_blob(&q, sp_hash_borrow(id));
    return sp_query_finish_changed(&q);
}

/* ---- what administrators read ---- */

static json_t *evidence_json(const sp_alarm *alarm)
{
    json_t *all = json_array();
    for (size_t i = 0; i < alarm->evidence_count; i++) {
        const sp_alarm_evidence *one = &alarm->evidence[i];
        char text[SP_REFERENCE_TEXT_BYTES] = "";
        if (one->reference != 0) {
            sp_reference_text(one->reference, text);
        }
        json_array_append_new(all, json_pack("{s:o,s:i,s:s}", "entry", sp_json_id(one->entry), "at",
                                             (int)one->at, "reference", text));
    }
    return all;
}

static json_t *alarm_json(sp_core *core, uint64_t number, const sp_alarm *alarm)
{
    char reference[SP_REFERENCE_TEXT_BYTES];
    char session[20] = "";
    uint64_t incident = sp_incident_of_alarm(core, &alarm->id);
    sp_reference_text(sp_alarm_reference(&alarm->id), reference);
    if (alarm->session != 0) {
        snprintf(session, sizeof(session), "%016llx", (unsigned long long)alarm->session);
    }
    json_t *json = json_pack(
        "{s:o,s:s,s:o,s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:s,s:o,s:o,s:o,s:o,s:o}", "id",
        sp_json_id(number), "reference", reference, "detection", sp_json_span(alarm->detection),
        "title", sp_json_span(alarm->title), "severity",
        sp_severity_word((sp_severity)alarm->severity), "mode",
        sp_alarm_mode_word((sp_alarm_mode)alarm->mode), "keys", sp_json_span(alarm->keys), "first",
        sp_json_time(alarm->first_unix_us / 1000000), "last",
        sp_json_time(alarm->last_unix_us / 1000000), "person", sp_json_span(alarm->person_name),
        "session", session, "resource", sp_json_span(alarm->resource), "count",
        sp_json_id(alarm->count), "plan", sp_json_span(alarm->plan), "evidence",
        evidence_json(alarm), "incident", incident == 0 ? json_null() : sp_json_id(incident));
    return json;
}

static void get_alarms(sp_request *req)
{
    uint64_t limit = 0;
    uint64_t before = INT64_MAX;
    sp_core *core = sp_request_core(req);
    sp_span cursor = sp_request_query(req, "cursor");
    bool new_only = sp_span_eq(sp_request_query(req, "new"), SP_SPAN_LIT("1"));
    if (!sp_request_limit(req, &limit)) {
        return;
    }
    if (cursor.len > 0 && sp_failed(sp_span_to_u64(cursor, INT64_MAX, &before))) {
        sp_answer_invalid(req, "cursor", "the cursor of the page before");
        return;
    }
    json_t *items = json_array();
    char next[24] = "";
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT number, body, seen, seen_by FROM watch_alarm WHERE number"
                                 " < $1 AND (seen = 0 OR $2 = 0) ORDER BY number DESC LIMIT $3");
    sp_bind_u64(&q, before);
    sp_bind_u64(&q, new_only ? 1 : 0);
    sp_bind_u64(&q, limit);
    while (sp_query_row(&q)) {
        uint64_t number = sp_col_u64(&q);
        sp_alarm alarm;
        if (!sp_failed(sp_alarm_read(sp_col_blob(&q), &alarm))) {
            json_t *one = alarm_json(core, number, &alarm);
            json_object_set_new(one, "seen_at", sp_json_time(sp_col_u64(&q)));
            json_object_set_new(one, "seen_by", sp_json_span(sp_col_text(&q)));
            json_array_append_new(items, one);
        }
        snprintf(next, sizeof(next), "%llu", (unsigned long long)number);
    }
    sp_err err = sp_query_finish(&q);
    if (sp_failed(err)) {
        json_decref(items);
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_page(req, items, json_array_size(items) == limit ? next : NULL);
}

/* ---- somebody has looked ---- */

static sp_err mark_seen(sp_store *store, uint64_t number, sp_span by)
{
    auto_query sp_query q = sp_query_alone(
        store, "UPDATE watch_alarm SET seen = $1, seen_by = $2 WHERE number = $3 AND seen = 0");
    sp_bind_u64(&q, sp_now_unix_us() / 1000000);
    sp_bind_text(&q, by);
    sp_bind_u64(&q, number);
    return sp_query_finish_changed(&q);
}

static void answer_no_alarm(sp_request *req)
{
    sp_answer_problem(req, 404, "not_found", "There is no such alarm, or it was seen already.");
}

static void apply_seen(sp_request *req, void *data)
{
    const uint64_t *number = data;
    sp_core *core = sp_request_core(req);
    sp_err err = mark_seen(core->store, *number, sp_request_by(req));
    if (err.code == SP_ENOTFOUND) {
        answer_no_alarm(req);
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_watcher_alarms_changed(core);
        sp_answer_empty(req, 204);
    }
}

/* Nobody answers for what is about himself. */
static bool is_about_asker(sp_request *req, uint64_t number)
{
    auto_query sp_query q = sp_query_of(sp_request_core(req)->store,
                                        "SELECT number FROM watch_alarm WHERE number = $1 AND"
                                        " person_name = $2");
    sp_bind_u64(&q, number > INT64_MAX ? 0 : number);
    sp_bind_text(&q, sp_request_by(req));
    return !sp_request_is_local(req) && sp_query_row(&q);
}

static void post_seen(sp_request *req)
{
    sp_span why = SP_SPAN_EMPTY;
    uint64_t *number = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("why", &why, 0, REASON_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*number), &number);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (!sp_request_param_u64(req, 0, number)) {
        answer_no_alarm(req);
        return;
    }
    if (is_about_asker(req, *number)) {
        sp_answer_problem(req, 409, "conflict",
                          "This alarm is about yourself. Ask somebody else of your role.");
        return;
    }
    auto_buf sp_buf detail = sp_buf_make(DETAIL_BYTES);
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    sp_buf_fmt(&detail, "{\"alarm\":\"%llu\",\"why\":", (unsigned long long)*number);
    sp_buf_json(&detail, why);
    sp_buf_byte(&detail, '}');
    event.method = SP_SPAN_LIT("alarm seen");
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, apply_seen, number);
}

/* ---- how the watch is ---- */

static json_t *status_json(const sp_core *core)
{
    sp_watch_status s;
    if (!sp_watcher_status_of(core, &s)) {
        return json_pack("{s:b,s:s}", "up", 0, "trouble", "the watch does not answer");
    }
    return json_pack("{s:b,s:b,s:b,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:i}", "up", 1, "degraded",
                     (int)s.degraded, "forgets", (int)s.forgets, "trouble", sp_json_span(s.trouble),
                     "next_entry", sp_json_id(s.next_entry), "events", sp_json_id(s.events),
                     "alarms", sp_json_id(s.alarms), "lag_ms", sp_json_id(s.lag_ms), "late",
                     sp_json_id(s.late), "evicted", sp_json_id(s.evicted), "memory_bytes",
                     sp_json_id(s.memory_bytes), "detections", (int)s.detections);
}

static void get_detections(sp_request *req)
{
    const sp_core *core = sp_request_core(req);
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_answer_json(req, 200,
                   json_pack("{s:o,s:o,s:o}", "watch", status_json(core), "detections",
                             sp_shape_list(set, SP_DOC_DETECTION), "canaries",
                             sp_shape_list(set, SP_DOC_CANARY)));
}

static const sp_route routes[] = {
    {"GET", "/api/v1/alarms", SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_LOCAL, get_alarms, 0},
    {"GET", "/api/v1/detections", SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_LOCAL, get_detections, 0},
    {"POST", "/api/v1/alarms/{id}/seen", SP_WHO_SECURITY | SP_WHO_LOCAL, post_seen, 0},
};

void sp_watcher_alarms_changed(sp_core *core)
{
    sp_sse_publish(core, SP_TOPIC_SESSIONS | SP_TOPIC_HEALTH, 0, "alarms", json_object());
}

sp_err sp_watcher_routes(sp_core *core)
{
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

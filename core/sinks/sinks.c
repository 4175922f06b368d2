/* SPDX-License-Identifier: Apache-2.0
 * Positions of sinks, what the courier says of them, and their secrets.
 * OWNS see sinks.h. PROCESS core. TRUST requests are hostile; a secret is in the request's body
 * only, and is wiped with it. SPEC docs/api/openapi.yaml "/admin/sinks".
 */
#include "core/sinks/sinks.h"

#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/http/router.h"
#include "core/meters/inside.h"
#include "core/notices/queue.h"
#include "core/vault_secrets.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/policy/duties.h"
#include "lib/proto/sink_msg.h"
#include "lib/proto/vault_msg.h"

enum { SILENT_US = 10000000 };

/* As the courier said last. */
typedef struct {
    char name[SP_SINK_NAME_MAX_BYTES + 1]; /* empty = free */
    char why[SP_SINK_WHY_MAX_BYTES + 1];
    sp_sink_told told; /* without its texts */
    uint64_t heard_us;
} known;

struct sp_sinks {
    sp_core *core;
    known all[SP_SINK_TASKS_MAX];
};

static const char *const migrations[] = {
    "CREATE TABLE sink_at (name TEXT PRIMARY KEY, next BIGINT NOT NULL)",
};

/* ---- positions ---- */

static bool position(sp_store *store, sp_span name, uint64_t *ret_next)
{
    auto_query sp_query q = sp_query_of(store, "SELECT next FROM sink_at WHERE name = $1");
    sp_bind_text(&q, name);
    bool there = sp_query_row(&q);
    *ret_next = there ? sp_col_u64(&q) : 0;
    return there;
}

static sp_err keep(sp_store *store, sp_span name, uint64_t next)
{
    auto_query sp_query q = sp_query_alone(
        store, "INSERT INTO sink_at (name, next) VALUES ($1, $2) ON CONFLICT (name) DO"
               " UPDATE SET next = excluded.next");
    sp_bind_text(&q, name);
    sp_bind_u64(&q, next);
    return sp_query_finish(&q);
}

/* ---- to the courier ---- */

static void on_ignored(void *self, sp_err err, sp_span body)
{
    (void)self; /* told again when its line comes up */
    (void)err;
    (void)body;
}

void sp_sinks_send(sp_core *core)
{
    static sp_sink_tasks tasks; /* large; one at a time */
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    if (core->sinks == NULL || core->notices == NULL || core->notices->queue == NULL ||
        core->state == NULL) {
        return;
    }
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    tasks.count = 0;
    for (size_t i = 0; i < sp_policy_set_sink_count(set) && i < SP_SINK_TASKS_MAX; i++) {
        sp_policy_sink doc;
        uint64_t next = 0;
        sp_policy_set_sink_at(set, i, &doc);
        bool there = position(core->store, doc.name, &next);
        tasks.tasks[tasks.count++] = (sp_sink_task){.via = doc.via,
                                                    .token = doc.token ? 1 : 0,
                                                    .is_signed = doc.is_signed ? 1 : 0,
                                                    .severity = doc.severity,
                                                    .from_start = doc.from_start ? 1 : 0,
                                                    .has_next = there ? 1 : 0,
                                                    .kinds = doc.kinds,
                                                    .batch = doc.batch,
                                                    .message = doc.message,
                                                    .timeout_s = doc.timeout_s,
                                                    .next = next,
                                                    .name = doc.name,
                                                    .address = doc.address,
                                                    .topic = doc.topic,
                                                    .ca = doc.ca,
                                                    .host = sp_span_cstr(core->portal_host)};
    }
    sp_sink_tasks_write(&tasks, &body);
    sp_line_call(core->notices->queue->line, SP_COURIER_SINKS, sp_buf_borrow(&body), on_ignored,
                 NULL);
}

/* ---- from the courier ---- */

static known *known_of(sp_sinks *sinks, sp_span name)
{
    known *free_one = NULL;
    for (size_t i = 0; i < SP_COUNT(sinks->all); i++) {
        known *k = &sinks->all[i];
        if (sp_span_eq(sp_span_cstr(k->name), name)) {
            return k;
        }
        uint64_t now = sp_now_steady_us();
        bool stale = k->name[0] == '\0' || now - k->heard_us > SILENT_US;
        free_one = free_one == NULL && stale ? k : free_one;
    }
    return free_one;
}

static void say_kept(sp_core *core, const sp_sink_told *told)
{
    auto_buf sp_buf body = sp_buf_make(512);
    const sp_sink_kept kept = {told->next, told->name};
    sp_sink_kept_write(&kept, &body);
    sp_line_call(core->notices->queue->line, SP_COURIER_SINK_KEPT, sp_buf_borrow(&body), on_ignored,
                 NULL);
}

void sp_sinks_on_push(sp_core *core, uint16_t kind, sp_span body)
{
    sp_sink_told told;
    sp_policy_sink doc;
    if (kind != SP_COURIER_SINK_TOLD || core->sinks == NULL ||
        sp_failed(sp_sink_told_read(body, &told)) ||
        sp_failed(sp_policy_set_sink(sp_documents_set(core->state->documents), told.name, &doc))) {
        return;
    }
    known *k = known_of(core->sinks, told.name);
    if (k != NULL) {
        SP_IGNORE(sp_fit(k->name, sizeof(k->name), told.name)); /* bounded when read */
        SP_IGNORE(sp_fit(k->why, sizeof(k->why), told.why));
        k->told = told;
        k->heard_us = sp_now_steady_us();
    }
    uint64_t next = 0;
    bool there = position(core->store, told.name, &next);
    sp_err err = there && next == told.next ? sp_ok() : keep(core->store, told.name, told.next);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the position of sink %.*s cannot be kept: %s", SP_SPAN_ARG(told.name),
               sp_code_word(err.code));
    } else if (told.keep == 1) {
        say_kept(core, &told);
    }
}

/* ---- what administrators see ---- */

static const known *heard(const sp_core *core, sp_span name)
{
    for (size_t i = 0; i < SP_COUNT(core->sinks->all); i++) {
        const known *k = &core->sinks->all[i];
        if (sp_span_eq(sp_span_cstr(k->name), name)) {
            return sp_now_steady_us() - k->heard_us < SILENT_US ? k : NULL;
        }
    }
    return NULL;
}

static uint64_t lag_of(const known *k)
{
    return k->told.size > k->told.next ? k->told.size - k->told.next : 0;
}

static json_t *sink_json(const sp_core *core, const sp_policy_sink *doc)
{
    const known *k = heard(core, doc->name);
    json_t *one =
        json_pack("{s:o,s:s,s:o,s:b,s:b,s:b}", "name", sp_json_span(doc->name), "via",
                  SP_SINK_WORDS[doc->via], "address", sp_json_span(doc->address), "needs_token",
                  (int)doc->token, "needs_secret", (int)doc->is_signed, "up", (int)(k != NULL));
    uint64_t next = 0;
    bool there = position(core->store, doc->name, &next);
    json_object_set_new(one, "next_entry", there ? sp_json_id(next) : json_null());
    json_object_set_new(one, "behind", k == NULL ? json_null() : sp_json_id(lag_of(k)));
    json_object_set_new(one, "events", sp_json_id(k == NULL ? 0 : k->told.events));
    json_object_set_new(one, "bytes", sp_json_id(k == NULL ? 0 : k->told.bytes));
    json_object_set_new(one, "last_at",
                        sp_json_time(k == NULL ? 0 : k->told.last_unix_us / 1000000));
    json_object_set_new(one, "failing", json_boolean(k == NULL || k->told.failing == 1));
    json_object_set_new(one, "why",
                        json_string(k == NULL ? "the courier does not speak of it" : k->why));
    return one;
}

static void get_sinks(sp_request *req)
{
    const sp_core *core = sp_request_core(req);
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    json_t *items = json_array();
    for (size_t i = 0; i < sp_policy_set_sink_count(set); i++) {
        sp_policy_sink doc;
        sp_policy_set_sink_at(set, i, &doc);
        json_array_append_new(items, sink_json(core, &doc));
    }
    sp_answer_items(req, items);
}

void sp_sinks_meters(sp_core *core, sp_buf *out)
{
    static const struct {
        const char *name;
        const char *type;
        const char *help;
    } rows[] = {
        {"sallyport_sink_lag_entries", "gauge", "Entries that a sink has not taken yet."},
        {"sallyport_sink_failing", "gauge", "1 while a sink takes nothing."},
        {"sallyport_sink_events_total", "counter", "Events a sink took since the courier began."},
        {"sallyport_sink_bytes_total", "counter", "Bytes a sink took since the courier began."},
    };
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    for (size_t row = 0; row < SP_COUNT(rows); row++) {
        sp_meter_head(out, rows[row].name, rows[row].type, rows[row].help);
        for (size_t i = 0; i < sp_policy_set_sink_count(set); i++) {
            sp_policy_sink doc;
            sp_policy_set_sink_at(set, i, &doc);
            const known *k = heard(core, doc.name);
            const double values[] = {
                k == NULL ? 0 : (double)lag_of(k), k == NULL || k->told.failing == 1,
                k == NULL ? 0 : (double)k->told.events, k == NULL ? 0 : (double)k->told.bytes};
            sp_meter_row(out, rows[row].name, "sink", doc.name, values[row]);
        }
    }
}

/* ---- secrets ---- */

static const sp_vault_secret_kind SECRETS = {.put = SP_VAULT_CHANNEL_PUT,
                                             .remove = SP_VAULT_CHANNEL_REMOVE,
                                             .parts_of = "sink",
                                             .field = "value",
                                             .min_bytes = 1,
                                             .kept = "sink secret kept",
                                             .removed = "sink secret removed"};

static void put_secret(sp_request *req)
{
    sp_policy_sink doc;
    const sp_policy_set *set = sp_documents_set(sp_request_core(req)->state->documents);
    if (sp_failed(sp_policy_set_sink(set, sp_request_param(req, 0), &doc))) {
        sp_answer_problem(req, 404, "not_found", "No document defines a Sink of this name.");
    } else {
        sp_vault_secret_put(req, &SECRETS);
    }
}

static void delete_secret(sp_request *req)
{
    sp_vault_secret_remove(req, &SECRETS);
}

sp_err sp_sinks_start(sp_core *core, sp_sinks **ret_sinks)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/sinks", SP_WHO_ANY_ADMIN | SP_WHO_LOCAL, get_sinks, 0},
        {"PUT", "/api/v1/admin/sinks/{name}/secrets/{part}",
         SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, put_secret, 0},
        {"DELETE", "/api/v1/admin/sinks/{name}/secrets/{part}",
         SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, delete_secret, 0},
    };
    TRY(sp_store_migrate(core->store, "sinks", migrations, SP_COUNT(migrations)));
    TRY(sp_alloc(1, sizeof(**ret_sinks), ret_sinks));
    (*ret_sinks)->core = core;
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

void sp_sinks_stop(sp_sinks *sinks)
{
    sp_free(sinks);
}

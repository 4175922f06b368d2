/* SPDX-License-Identifier: Apache-2.0
 * Channels for administrators: how each does, a test, its secrets.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; a secret is in the request's body only,
 * and is wiped with it. SPEC docs/api/openapi.yaml "admin/channels".
 */
#include "core/notices/queue.h"

#include "core/http/json.h"
#include "core/vault_secrets.h"
#include "infra/proc/clock.h"
#include "lib/notice/wire.h"
#include "lib/proto/vault_msg.h"

/* ---- listing ---- */

static uint64_t waiting_on(sp_store *store, sp_span name)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT COUNT(*) FROM delivery WHERE channel = $1 AND stage = 0");
    sp_bind_text(&q, name);
    return sp_query_row(&q) ? sp_col_u64(&q) : 0;
}

static const queue_channel *state_of(const notice_queue *queue, sp_span name)
{
    static const queue_channel none = {.name = ""};
    for (size_t i = 0; i < SP_COUNT(queue->channels); i++) {
        if (sp_span_eq(sp_span_cstr(queue->channels[i].name), name)) {
            return &queue->channels[i];
        }
    }
    return &none;
}

static json_t *channel_json(const notice_queue *queue, const sp_policy_channel *doc)
{
    const queue_channel *c = state_of(queue, doc->name);
    bool paused = c->paused_us > sp_now_steady_us();
    return json_pack("{s:o, s:s, s:o, s:b, s:b, s:I, s:I, s:I, s:I, s:o, s:b, s:o, s:s}", "name",
                     sp_json_span(doc->name), "via", sp_channel_kind_words[doc->via], "address",
                     sp_json_span(doc->address), "needs_token", doc->has_token, "needs_secret",
                     doc->has_secret, "per_minute", (json_int_t)doc->per_minute, "waiting",
                     (json_int_t)waiting_on(queue->core->store, doc->name), "under_way",
                     (json_int_t)c->under_way, "handed_over", (json_int_t)c->handed, "paused_until",
                     sp_json_time(paused ? c->paused_unix_s : 0), "failing", c->failing,
                     "failed_at", sp_json_time(c->failed_unix_s), "why", c->why);
}

json_t *notice_queue_json(notice_queue *queue)
{
    const sp_policy_set *set = sp_documents_set(queue->core->state->documents);
    json_t *items = json_array();
    for (size_t i = 0; i < sp_policy_set_channel_count(set); i++) {
        sp_policy_channel doc;
        sp_policy_set_channel_at(set, i, &doc);
        json_array_append_new(items, channel_json(queue, &doc));
    }
    return items;
}

static void get_channels(sp_request *req)
{
    notice_queue *queue = sp_request_core(req)->notices->queue;
    sp_answer_json(req, 200,
                   json_pack("{s:o, s:b}", "items", notice_queue_json(queue), "courier",
                             notice_courier_is_up(queue)));
}

/* The channel of the path; false: answered. */
static bool channel_of(sp_request *req, sp_policy_channel *ret_channel)
{
    const sp_policy_set *set = sp_documents_set(sp_request_core(req)->state->documents);
    if (sp_failed(sp_policy_set_channel(set, sp_request_param(req, 0), ret_channel))) {
        sp_answer_problem(req, 404, "not_found", "No document defines a Channel of this name.");
        return false;
    }
    return true;
}

/* ---- a test ---- */

typedef struct {
    sp_span channel;
    sp_span to;
    sp_span by;
} testing;

static sp_err keep_test(sp_core *core, const testing *t, notice_row *row, uint64_t *ret_id)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(notice_row_add(core->store, row));
    const delivery_row d = {.notice = row->id,
                            .person_name = t->channel,
                            .channel = t->channel,
                            .address = t->to,
                            .severity = row->severity,
                            .next_unix_s = row->created_unix_s};
    TRY(delivery_add(core->store, &d));
    TRY(sp_txn_commit(&txn));
    *ret_id = row->id;
    return sp_ok();
}

static void go_test(sp_request *req, void *data)
{
    enum { TEST_LIFE_S = 600 };
    const testing *t = data;
    sp_core *core = sp_request_core(req);
    uint64_t id = 0;
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("channel-test"), .by = t->by};
    notice_row row = {.name = ask.notice,
                      .audience = t->channel,
                      .sender = t->by,
                      .stage = NOTICE_SENDING,
                      .created_unix_s = sp_now_unix_us() / 1000000};
    row.expires_unix_s = row.created_unix_s + TEST_LIFE_S;
    sp_err err = notice_freeze(core, &ask, &row);
    if (!sp_failed(err)) {
        err = keep_test(core, t, &row, &id);
    }
    json_decref(row.texts);
    json_decref(row.values);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        notice_queue_wake(core->notices->queue);
        sp_answer_json(req, 202, json_pack("{s:o}", "id", sp_json_id(id)));
    }
}

static void post_test(sp_request *req)
{
    sp_policy_channel channel;
    testing *t = NULL;
    if (!channel_of(req, &channel)) {
        return;
    }
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*t), &t))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("to", &t->to, 0, 254)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (channel.via == SP_CHANNEL_EMAIL && !sp_mailbox_ok(t->to)) {
        sp_answer_invalid(req, "to", "a mailbox, as in ann@office.example");
        return;
    }
    t->by = sp_request_by(req);
    t->channel = sp_request_param(req, 0);
    sp_event event = sp_request_event(req, SP_EVENT_NOTICE);
    event.method = SP_SPAN_LIT("test");
    event.object = t->channel;
    sp_request_record(req, &event, go_test, t);
}

/* ---- secrets ---- */

static const sp_vault_secret_kind SECRETS = {.put = SP_VAULT_CHANNEL_PUT,
                                             .remove = SP_VAULT_CHANNEL_REMOVE,
                                             .parts_of = "channel",
                                             .field = "value",
                                             .min_bytes = 1,
                                             .kept = "channel secret kept",
                                             .removed = "channel secret removed"};

static void put_secret(sp_request *req)
{
    sp_policy_channel channel;
    if (channel_of(req, &channel)) {
        sp_vault_secret_put(req, &SECRETS);
    }
}

static void delete_secret(sp_request *req)
{
    sp_vault_secret_remove(req, &SECRETS);
}

sp_err notice_channel_routes(sp_core *core)
{
#define SECRET "/api/v1/admin/channels/{name}/secrets/{part}"
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/channels", SP_WHO_SYSTEM | SP_WHO_SECURITY | SP_WHO_LOCAL,
         get_channels, 0},
        {"POST", "/api/v1/admin/channels/{name}/test", SP_WHO_SECURITY | SP_WHO_LOCAL, post_test,
         0},
        {"PUT", SECRET, SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, put_secret, 0},
        {"DELETE", SECRET, SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, delete_secret, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

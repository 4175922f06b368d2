/* SPDX-License-Identifier: Apache-2.0
 * What the keeper keeps before an approved destruction, and undo: an ask of its own.
 * OWNS what waits for keeper and ledger. PROCESS core. TRUST the gate may be taken over: it keeps
 * only for an ask that others approved; undo needs the same people again.
 * SPEC docs/api/openapi.yaml "/keeps", docs/ARCHITECTURE.md "Undo".
 */
#include "core/approvals/inside.h"
#include "core/approvals/keeper_client.h"
#include "core/approvals/verbs.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/ledger_client.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/policy/database.h"
#include "lib/proto/db_msg.h"

enum {
    DETAIL_ROOM_BYTES = 8192,
    FORGET_AT_ONCE = 10,
    DAY_S = 86400,
    TOLD_MAX_BYTES = 6000,
    KEPT_OF_ASK_MAX = 2
};

typedef enum { KEPT, UNDONE, UNDO_FAILED, FORGOTTEN } keep_state;

typedef struct {
    uint64_t id;
    uint64_t ask;
    bool whole;
    uint8_t state; /* keep_state */
    uint64_t bytes;
    uint64_t ms;
    uint64_t created_unix_s;
    uint64_t expires_unix_s;
    uint64_t undone_unix_s;
    uint64_t undo_ms;
    uint64_t undo_ask;
    sp_span resource;
    sp_span database;
    sp_span objects;
    sp_span told; /* JSON of the last undo */
} kept;

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- rows ---- */

#define KEPT_COLUMNS                                                                               \
    "id, ask, resource, database, objects, whole, bytes, ms, created, expires, state, undone, "    \
    "undo_ms, undo_ask, told"

static sp_err read_kept(sp_query *q, sp_arena *arena, kept *ret_kept)
{
    kept k = {.id = sp_col_bits(q), .ask = sp_col_bits(q)};
    TRY(sp_arena_copy(arena, sp_col_text(q), &k.resource));
    TRY(sp_arena_copy(arena, sp_col_text(q), &k.database));
    TRY(sp_arena_copy(arena, sp_col_text(q), &k.objects));
    k.whole = sp_col_u64(q) == 1;
    k.bytes = sp_col_bits(q);
    k.ms = sp_col_bits(q);
    k.created_unix_s = sp_col_u64(q);
    k.expires_unix_s = sp_col_u64(q);
    k.state = (uint8_t)sp_col_u64(q);
    k.undone_unix_s = sp_col_u64(q);
    k.undo_ms = sp_col_bits(q);
    k.undo_ask = sp_col_bits(q);
    TRY(sp_arena_copy(arena, sp_col_text(q), &k.told));
    *ret_kept = k;
    return sp_ok();
}

static sp_err load_kept(sp_store *store, sp_arena *arena, uint64_t id, kept *ret_kept)
{
    auto_query sp_query q = sp_query_of(store, "SELECT " KEPT_COLUMNS " FROM kept WHERE id = $1");
    sp_bind_bits(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(read_kept(&q, arena, ret_kept));
    return sp_query_finish(&q);
}

static sp_err add_kept(sp_store *store, const kept *k)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q = sp_query_of(store, "INSERT INTO kept (" KEPT_COLUMNS
                                               ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
                                               " $10, 0, 0, 0, 0, '')");
    sp_bind_bits(&q, k->id);
    sp_bind_bits(&q, k->ask);
    sp_bind_text(&q, k->resource);
    sp_bind_text(&q, k->database);
    sp_bind_text(&q, k->objects);
    sp_bind_u64(&q, k->whole ? 1 : 0);
    sp_bind_bits(&q, k->bytes);
    sp_bind_bits(&q, k->ms);
    sp_bind_u64(&q, k->created_unix_s);
    sp_bind_u64(&q, k->expires_unix_s);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

static sp_err set_state(sp_store *store, const kept *k)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q = sp_query_of(
        store, "UPDATE kept SET state = $1, undone = $2, undo_ms = $3, undo_ask = $4, told = $5"
               " WHERE id = $6");
    sp_bind_u64(&q, k->state);
    sp_bind_u64(&q, k->undone_unix_s);
    sp_bind_bits(&q, k->undo_ms);
    sp_bind_bits(&q, k->undo_ask);
    sp_bind_text(&q, k->told);
    sp_bind_bits(&q, k->id);
    TRY(sp_query_finish_changed(&q));
    return sp_txn_commit(&txn);
}

/* ---- jobs ---- */

/* What the policy in force says about the place; the names live as long as the job is written. */
typedef struct {
    sp_keeper_job job;
    sp_buf credential;
    sp_buf verbs;
} placed;

static void placed_done(placed *p)
{
    sp_buf_done(&p->credential);
    sp_buf_done(&p->verbs);
}
#define auto_placed __attribute__((cleanup(placed_done)))

static sp_err place(const sp_core *core, sp_span resource, sp_span database, sp_span statement,
                    placed *p)
{
    *p = (placed){.credential = sp_buf_make(SP_KEEPER_NAME_MAX_BYTES),
                  .verbs = sp_buf_make(SP_KEEPER_VERB_MAX_BYTES)};
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    const sp_policy *policy = set == NULL ? NULL : sp_policy_set_view(set);
    uint32_t index = policy == NULL ? SP_NONE : sp_policy_resource_find(policy, resource);
    sp_database_resource where;
    bool cascades = false;
    if (index == SP_NONE || !sp_policy_database_resource(policy, index, &where)) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_span reached = sp_policy_database_reached(policy, index, database);
    if (where.keep_as.len == 0 || reached.len == 0) {
        return sp_fail(SP_EUNSUPPORTED); /* nothing is kept for this resource */
    }
    sp_buf_span(&p->credential, resource);
    sp_buf_byte(&p->credential, '/');
    sp_buf_span(&p->credential, where.keep_as);
    sp_statement_verbs(statement, &p->verbs, &cascades);
    TRY(sp_buf_error(&p->credential));
    TRY(sp_buf_error(&p->verbs));
    p->job = (sp_keeper_job){.port = where.port,
                             .tls = where.tls,
                             .cascades = cascades ? 1 : 0,
                             .host = where.host,
                             .ca = where.ca,
                             .account = where.keep_as,
                             .credential = sp_buf_borrow(&p->credential),
                             .database = reached,
                             .verb = sp_buf_borrow(&p->verbs)};
    return sp_ok();
}

static sp_keeper_client *keeper_of(const sp_core *core)
{
    return core->approvals == NULL ? NULL : core->approvals->keeper;
}

/* ---- what keeping would cost ---- */

typedef struct {
    sp_core *core;
    uint64_t ask;
} estimating;

static void on_estimated(void *self, const sp_keeper_done *done)
{
    estimating *e = self;
    auto_arena sp_arena arena = sp_arena_make(SP_ASK_ARENA_BYTES);
    sp_ask ask;
    if (done->code == SP_OK &&
        !sp_failed(sp_ask_row_estimate(e->core->store, e->ask, done->bytes, done->duration_ms,
                                       done->report)) &&
        !sp_failed(sp_ask_load(e->core->store, &arena, e->ask, &ask))) {
        sp_approvals_changed(e->core, &ask);
    } else if (done->code != SP_OK) {
        sp_log(SP_LOG_WARN, "what undo would keep cannot be said: %.*s", SP_SPAN_ARG(done->why));
    }
    sp_free(e);
}

void sp_keeps_estimate(sp_core *core, const sp_ask *ask)
{
    auto_placed placed p = {.credential = {0}};
    estimating *e = NULL;
    if (keeper_of(core) == NULL ||
        sp_failed(place(core, ask->resource, ask->database, ask->content, &p)) ||
        sp_failed(sp_alloc(1, sizeof(*e), &e))) {
        return;
    }
    *e = (estimating){core, ask->id};
    p.job.kind = SP_KEEPER_ESTIMATE;
    p.job.whole = ask->objects.len <= 2;
    p.job.objects = ask->objects;
    sp_keeper_client_job(core->approvals->keeper, &p.job, on_estimated, e);
}

/* ---- KEEP ---- */

typedef struct {
    sp_core *core;
    sp_peer *peer;
    sp_msg to;
    sp_arena arena;
    sp_ask ask;
    kept k;
    sp_span report;
} keeping;

static void keeping_free(keeping *w)
{
    if (w->k.ask != 0) {
        sp_approvals_end(w->core->approvals, w->k.ask);
    }
    sp_peer_unref(w->peer);
    sp_arena_done(&w->arena);
    sp_free(w);
}

static void reply_kept(keeping *w, sp_err err)
{
    auto_buf sp_buf body = sp_buf_make(64);
    const sp_db_kept reply = {w->k.id, w->k.bytes, w->k.ms};
    sp_db_kept_write(&reply, &body);
    sp_peer_reply(w->peer, &w->to, err.code, sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(&body),
                  NULL, 0);
    keeping_free(w);
}

static void on_forgotten(void *self, const sp_keeper_done *done)
{
    (void)self;
    if (done->code != SP_OK && done->code != SP_ENOTFOUND) {
        sp_log(SP_LOG_WARN, "a keep could not be removed: %s", sp_code_word(done->code));
    }
}

static void forget(sp_core *core, uint64_t id)
{
    sp_keeper_job job = {.kind = SP_KEEPER_FORGET, .keep = id};
    sp_keeper_client_job(keeper_of(core), &job, on_forgotten, NULL);
}

static void keep_event(const sp_ask *ask, const kept *k, const char *method, sp_span report,
                       sp_buf *room, sp_event *event)
{
    char id[SP_REFERENCE_TEXT_BYTES];
    char asked[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(k->id, id);
    sp_reference_text(ask->id, asked);
    sp_buf_reset(room);
    sp_buf_fmt(room,
               "{\"keep\":\"%s\",\"ask\":\"%s\",\"bytes\":%llu,\"duration_ms\":%llu,"
               "\"report\":",
               id, asked, (unsigned long long)k->bytes, (unsigned long long)k->ms);
    bool fits = report.len > 0 && report.len <= TOLD_MAX_BYTES;
    sp_buf_span(room, fits ? report : SP_SPAN_LIT("null"));
    sp_buf_byte(room, '}');
    event->when_unix_us = sp_now_unix_us();
    event->kind = SP_EVENT_APPROVAL;
    event->severity = SP_SEVERITY_HIGH;
    event->gate = SP_GATE_DB;
    event->action = ask->action;
    event->class_level = ask->class_level;
    event->class_name = ask->class_name;
    event->resource = ask->resource;
    event->rule = ask->rule;
    event->reference = ask->reference;
    event->person = ask->asker;
    event->person_name = ask->asker_name;
    event->verdict = SP_VERDICT_ALLOW;
    event->method = sp_span_cstr(method);
    event->object = ask->content;
    event->detail = sp_failed(sp_buf_error(room)) ? SP_SPAN_EMPTY : sp_buf_borrow(room);
}

static void on_kept_recorded(void *self, sp_err err)
{
    keeping *w = self;
    if (!sp_failed(err)) {
        err = add_kept(w->core->store, &w->k);
    }
    if (sp_failed(err)) {
        forget(w->core, w->k.id);
        reply_kept(w, sp_fail(SP_EIO));
        return;
    }
    reply_kept(w, sp_ok());
}

static void on_kept(void *self, const sp_keeper_done *done)
{
    keeping *w = self;
    if (done->code != SP_OK) {
        sp_log(SP_LOG_WARN, "what a statement would destroy could not be kept: %.*s",
               SP_SPAN_ARG(done->why));
        reply_kept(w, sp_fail(SP_EIO));
        return;
    }
    w->k.bytes = done->bytes;
    w->k.ms = done->duration_ms;
    w->k.created_unix_s = now_s();
    w->k.expires_unix_s = now_s() + (uint64_t)w->core->config->keep_days * DAY_S;
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = {.session = w->ask.session};
    keep_event(&w->ask, &w->k, "kept", done->report, &room, &event);
    sp_ledger_client_append(w->core->ledger, &event, on_kept_recorded, w);
}

/* One is what a statement needs; who asks for more fills the keeper's room. */
static uint64_t count_kept(sp_store *store, uint64_t ask)
{
    auto_query sp_query q = sp_query_of(store, "SELECT COUNT(*) FROM kept WHERE ask = $1");
    sp_bind_bits(&q, ask);
    return sp_query_row(&q) ? sp_col_u64(&q) : UINT64_MAX;
}

static sp_err begin_keep(sp_core *core, sp_peer *peer, const sp_msg *msg, const sp_db_keep *from,
                         keeping **ret_keeping)
{
    keeping *w = NULL;
    TRY(sp_alloc(1, sizeof(*w), &w));
    *w = (keeping){.core = core,
                   .peer = sp_peer_ref(peer),
                   .to = {.kind = msg->kind, .id = msg->id},
                   .arena = sp_arena_make(SP_ASK_ARENA_BYTES)};
    sp_err err = sp_ask_load(core->store, &w->arena, from->ask, &w->ask);
    bool fits = !sp_failed(err) && w->ask.state == SP_ASK_APPROVED &&
                w->ask.kind == SP_ASK_STATEMENT && w->ask.expires_unix_s > now_s() &&
                sp_span_eq(w->ask.resource, from->resource) &&
                sp_span_eq(w->ask.database, from->database);
    if (!fits || count_kept(core->store, from->ask) >= KEPT_OF_ASK_MAX ||
        !sp_approvals_begin(core->approvals, from->ask)) {
        keeping_free(w);
        return sp_fail(SP_EDENIED);
    }
    w->k = (kept){.id = sp_random_u64() >> 4,
                  .ask = from->ask,
                  .whole = from->whole_database != 0,
                  .resource = w->ask.resource};
    err = sp_arena_copy(&w->arena, from->database, &w->k.database);
    if (!sp_failed(err)) {
        err = sp_arena_copy(&w->arena, from->relations, &w->k.objects);
    }
    if (sp_failed(err)) {
        keeping_free(w);
        return err;
    }
    *ret_keeping = w;
    return sp_ok();
}

sp_err sp_keeps_on_message(sp_core *core, sp_peer *peer, const sp_msg *msg)
{
    sp_db_keep from;
    auto_placed placed p = {.credential = {0}};
    keeping *w = NULL;
    TRY(sp_db_keep_read(msg->body, &from));
    sp_err err = begin_keep(core, peer, msg, &from, &w);
    if (!sp_failed(err)) {
        err = place(core, w->ask.resource, w->k.database, w->ask.content, &p);
        if (sp_failed(err)) {
            keeping_free(w);
        }
    }
    if (sp_failed(err)) {
        sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
        return sp_ok();
    }
    p.job.kind = SP_KEEPER_KEEP;
    p.job.keep = w->k.id;
    p.job.whole = from.whole_database;
    p.job.objects = from.relations;
    p.job.snapshot = from.snapshot;
    sp_keeper_client_job(keeper_of(core), &p.job, on_kept, w);
    return sp_ok();
}

/* ---- undo, once it is approved ---- */

typedef struct {
    sp_core *core;
    sp_arena arena;
    sp_ask ask;
    sp_ask first; /* the ask of the statement */
    kept k;
    bool is_busy;
} undoing;

static void undoing_free(undoing *w)
{
    if (w->is_busy) {
        sp_approvals_end(w->core->approvals, w->k.id);
    }
    sp_arena_done(&w->arena);
    sp_free(w);
}

static void on_undone(void *self, const sp_keeper_done *done)
{
    undoing *w = self;
    auto_buf sp_buf told = sp_buf_make(SP_KEEPER_REPORT_MAX_BYTES + 2048);
    bool good = done->code == SP_OK;
    if (good) {
        sp_buf_span(&told, done->report);
    } else {
        sp_buf_text(&told, "{\"why\":");
        sp_buf_json(&told, done->why);
        sp_buf_byte(&told, '}');
    }
    w->k.state = good ? UNDONE : UNDO_FAILED;
    w->k.undone_unix_s = now_s();
    w->k.undo_ms = done->duration_ms;
    w->k.undo_ask = w->ask.id;
    w->k.ms = done->duration_ms;
    w->k.told = sp_failed(sp_buf_error(&told)) ? SP_SPAN_EMPTY : sp_buf_borrow(&told);
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = {.session = w->ask.session};
    keep_event(&w->ask, &w->k, good ? "undone" : "undo failed", w->k.told, &room, &event);
    sp_ledger_client_tell(w->core->ledger, &event);
    sp_err err = set_state(w->core->store, &w->k);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the outcome of an undo cannot be stored: %s",
               sp_store_error_text(w->core->store));
    }
    sp_approvals_changed(w->core, &w->ask);
    undoing_free(w);
}

static void on_undo_recorded(void *self, sp_err err)
{
    undoing *w = self;
    auto_placed placed p = {.credential = {0}};
    if (!sp_failed(err)) {
        err = sp_ask_carried_out(w->core, w->ask.id);
    }
    if (!sp_failed(err)) { /* another undo of it may have been first */
        err = load_kept(w->core->store, &w->arena, w->k.id, &w->k);
    }
    if (!sp_failed(err)) {
        bool over = w->k.state == UNDONE || w->k.state == FORGOTTEN;
        w->is_busy = !over && sp_approvals_begin(w->core->approvals, w->k.id);
        err = w->is_busy ? sp_ok() : sp_fail(SP_ECONFLICT);
    }
    if (!sp_failed(err)) {
        err = place(w->core, w->k.resource, w->k.database, w->first.content, &p);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "an approved undo is not carried out: %s", sp_code_word(err.code));
        undoing_free(w);
        return;
    }
    p.job.kind = SP_KEEPER_UNDO;
    p.job.keep = w->k.id;
    p.job.whole = w->k.whole ? 1 : 0;
    sp_keeper_client_job(keeper_of(w->core), &p.job, on_undone, w);
}

static sp_err begin_undo(sp_core *core, uint64_t ask, undoing **ret_undoing)
{
    undoing *w = NULL;
    TRY(sp_alloc(1, sizeof(*w), &w));
    w->core = core;
    w->arena = sp_arena_make(2 * SP_ASK_ARENA_BYTES);
    sp_err err = sp_ask_load(core->store, &w->arena, ask, &w->ask);
    if (!sp_failed(err)) {
        err = load_kept(core->store, &w->arena, w->ask.keep, &w->k);
    }
    if (!sp_failed(err)) {
        err = sp_ask_load(core->store, &w->arena, w->k.ask, &w->first);
    }
    if (sp_failed(err)) {
        undoing_free(w);
        return err;
    }
    *ret_undoing = w;
    return sp_ok();
}

void sp_keeps_undo(sp_core *core, const sp_ask *ask)
{
    undoing *w = NULL;
    sp_err err = begin_undo(core, ask->id, &w);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "an approved undo cannot begin: %s", sp_code_word(err.code));
        return;
    }
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = {.person = ask->asker, .person_name = ask->asker_name};
    event.verdict = SP_VERDICT_ALLOW;
    sp_ask_event(ask, "used", sp_votes_count(core->store, ask->id), SP_SPAN_EMPTY, &room, &event);
    sp_ledger_client_append(core->ledger, &event, on_undo_recorded, w);
}

/* ---- the API ---- */

static const char *state_word(uint8_t state)
{
    static const char *const words[] = {"kept", "undone", "undo-failed", "gone"};
    return state < SP_COUNT(words) ? words[state] : "gone";
}

/* Who asked for the statement, and whoever could have approved it. */
static bool may_see(const sp_request *req, const sp_ask *ask, bool to_undo)
{
    const sp_live_session *session = sp_request_session(req);
    bool admin = !to_undo && (sp_request_admin(req) & (SP_WHO_SECURITY | SP_WHO_AUDIT)) != 0;
    return admin || ask->asker == session->person ||
           sp_policy_people_has(&ask->approvers.by, session->person, session->roles);
}

static json_t *parsed(sp_span text)
{
    json_error_t error;
    json_t *value = text.len == 0 ? NULL : json_loadb((const char *)text.ptr, text.len, 0, &error);
    return value == NULL ? json_null() : value;
}

static json_t *kept_json(const kept *k, const sp_ask *ask)
{
    json_t *out = json_object();
    json_object_set_new(out, "id", sp_ref_json(k->id));
    json_object_set_new(out, "approval", sp_ref_json(k->ask));
    json_object_set_new(out, "state", json_string(state_word(k->state)));
    json_object_set_new(out, "resource", sp_text_json(k->resource));
    json_object_set_new(out, "database", sp_text_json(k->database));
    json_object_set_new(out, "whole", json_boolean(k->whole));
    json_object_set_new(out, "objects", parsed(k->objects));
    json_object_set_new(out, "asker", sp_text_json(ask->asker_name));
    json_object_set_new(out, "statement", sp_text_json(ask->content));
    json_object_set_new(out, "bytes", json_integer((json_int_t)k->bytes));
    json_object_set_new(out, "duration_ms", json_integer((json_int_t)k->ms));
    json_object_set_new(out, "created_at", sp_json_time(k->created_unix_s));
    json_object_set_new(out, "expires_at", sp_json_time(k->expires_unix_s));
    json_object_set_new(out, "undone_at", sp_json_time(k->undone_unix_s));
    json_object_set_new(out, "undo_ms", json_integer((json_int_t)k->undo_ms));
    json_object_set_new(out, "undo_approval", sp_ref_json(k->undo_ask));
    json_object_set_new(out, "report", parsed(k->told));
    return out;
}

typedef struct {
    uint64_t ids[SP_ASKS_LISTED_MAX];
    size_t count;
} id_list;

static sp_err list_kept(sp_store *store, id_list *list)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM kept ORDER BY created DESC, id LIMIT 500");
    while (list->count < SP_ASKS_LISTED_MAX && sp_query_row(&q)) {
        list->ids[list->count++] = sp_col_bits(&q);
    }
    return sp_query_finish(&q);
}

static sp_err load_both(sp_core *core, sp_arena *arena, uint64_t id, kept *k, sp_ask *ask)
{
    TRY(load_kept(core->store, arena, id, k));
    return sp_ask_load(core->store, arena, k->ask, ask);
}

static void get_keeps(sp_request *req)
{
    id_list list = {.count = 0};
    sp_core *core = sp_request_core(req);
    sp_err err = list_kept(core->store, &list);
    json_t *items = json_array();
    for (size_t i = 0; !sp_failed(err) && i < list.count; i++) {
        auto_arena sp_arena arena = sp_arena_make(2 * SP_ASK_ARENA_BYTES);
        kept k;
        sp_ask ask;
        if (!sp_failed(load_both(core, &arena, list.ids[i], &k, &ask)) &&
            may_see(req, &ask, false)) {
            json_array_append_new(items, kept_json(&k, &ask));
        }
    }
    if (sp_failed(err)) {
        json_decref(items);
        sp_answer_failed(req, err);
    } else {
        sp_answer_items(req, items);
    }
}

typedef struct {
    sp_request *req;
    kept k;
    sp_ask first;
    sp_ask ask;
    sp_span reason;
    bool try_only;
} wanting;

static bool need_kept(sp_request *req, bool to_undo, wanting *w)
{
    uint64_t id = 0;
    sp_err err = sp_ask_id_of(sp_request_param(req, 0), &id)
                     ? load_both(sp_request_core(req), sp_request_arena(req), id, &w->k, &w->first)
                     : sp_fail(SP_ENOTFOUND);
    if (!sp_failed(err) && !may_see(req, &w->first, to_undo)) {
        err = sp_fail(SP_ENOTFOUND);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return !sp_failed(err);
}

static void get_kept(sp_request *req)
{
    wanting w = {.req = req};
    if (need_kept(req, false, &w)) {
        sp_answer_json(req, 200, kept_json(&w.k, &w.first));
    }
}

static void on_asked(void *self, sp_err err, uint64_t id)
{
    const wanting *w = self;
    sp_ask ask;
    if (err.code == SP_EDENIED) {
        sp_answer_problem(w->req, 409, "nobody_approves",
                          "There are not enough other people who could approve this.");
        return;
    }
    if (!sp_failed(err)) {
        err = sp_ask_load(sp_request_core(w->req)->store, sp_request_arena(w->req), id, &ask);
    }
    if (sp_failed(err)) {
        sp_answer_failed(w->req, err);
    } else {
        sp_answer_json(w->req, 201, sp_ask_json(w->req, &ask, true));
    }
}

/* The bytes that are approved: which keep, of which statement. */
static sp_err ask_of(wanting *w, sp_span report)
{
    char id[SP_REFERENCE_TEXT_BYTES];
    auto_buf sp_buf text = sp_buf_make(SP_ASK_CONTENT_MAX_BYTES);
    const sp_live_session *session = sp_request_session(w->req);
    sp_arena *arena = sp_request_arena(w->req);
    sp_reference_text(w->k.id, id);
    sp_buf_fmt(&text, "-- undo of keep %s\n", id);
    sp_buf_span(&text, sp_span_slice(w->first.content, 0, SP_ASK_CONTENT_MAX_BYTES - 100));
    TRY(sp_buf_error(&text));
    w->ask = (sp_ask){.kind = SP_ASK_UNDO,
                      .action = w->first.action,
                      .class_level = w->first.class_level,
                      .asker = session->person,
                      .session = session->id,
                      .reference = w->first.reference,
                      .keep = w->k.id,
                      .approvers = w->first.approvers,
                      .asker_name = sp_span_cstr(session->person_name),
                      .resource = w->k.resource,
                      .database = w->k.database,
                      .class_name = w->first.class_name,
                      .rule = w->first.rule,
                      .objects = w->k.objects,
                      .reason = w->reason};
    TRY(sp_arena_copy(arena, sp_buf_borrow(&text), &w->ask.content));
    if (report.len <= SP_ASK_JSON_MAX_BYTES) {
        TRY(sp_arena_copy(arena, report, &w->ask.plan));
    }
    w->ask.sha256 = sp_sha256(w->ask.content);
    return sp_ok();
}

static void on_tried(void *self, const sp_keeper_done *done)
{
    wanting *w = self;
    sp_approvals_end(sp_request_core(w->req)->approvals, w->k.id);
    if (done->code == SP_ECONFLICT || done->code == SP_ECORRUPT || done->code == SP_ENOTFOUND) {
        sp_answer_problem(w->req, 409, "cannot_undo", "It cannot be undone: %.*s",
                          SP_SPAN_ARG(done->why));
        return;
    }
    if (done->code != SP_OK) {
        sp_answer_problem(w->req, 503, "unavailable", "The keeper could not look: %.*s",
                          SP_SPAN_ARG(done->why));
        return;
    }
    if (w->try_only) {
        json_t *report = parsed(done->report);
        sp_answer_json(w->req, 200,
                       json_pack("{s:o, s:I}", "report", report, "duration_ms",
                                 (json_int_t)done->duration_ms));
        return;
    }
    sp_err err = ask_of(w, done->report);
    if (sp_failed(err)) {
        sp_answer_failed(w->req, err);
        return;
    }
    sp_approvals_ask(sp_request_core(w->req), &w->ask, on_asked, w);
}

static void post_undo(sp_request *req)
{
    wanting *w = NULL;
    sp_core *core = sp_request_core(req);
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*w), &w))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    w->req = req;
    const sp_field fields[] = {SP_FIELD_BOOL_OPT("dry_run", &w->try_only),
                               SP_FIELD_TEXT_OPT("reason", &w->reason, 0, SP_ASK_REASON_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !need_kept(req, true, w)) {
        return;
    }
    if (w->k.state == FORGOTTEN || w->k.state == UNDONE) {
        sp_answer_problem(req, 409, "cannot_undo", "It is %s already.", state_word(w->k.state));
        return;
    }
    auto_placed placed p = {.credential = {0}};
    sp_err err = place(core, w->k.resource, w->k.database, w->first.content, &p);
    if (sp_failed(err)) {
        sp_answer_problem(req, 409, "cannot_undo",
                          "The policy names no place or role of the database for this any more.");
        return;
    }
    if (!sp_approvals_begin(core->approvals, w->k.id)) { /* each try locks the tables */
        sp_answer_problem(req, 409, "busy", "Somebody looks at this one just now. Try again.");
        return;
    }
    p.job.kind = SP_KEEPER_TRY_UNDO;
    p.job.keep = w->k.id;
    p.job.whole = w->k.whole ? 1 : 0;
    sp_keeper_client_job(keeper_of(core), &p.job, on_tried, w);
}

sp_err sp_keeps_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/keeps", SP_WHO_PERSON, get_keeps, 0},
        {"GET", "/api/v1/keeps/{id}", SP_WHO_PERSON, get_kept, 0},
        {"POST", "/api/v1/keeps/{id}/undo", SP_WHO_PERSON, post_undo, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

/* ---- time, start, stop ---- */

static void list_over(sp_store *store, uint64_t now_unix_s, id_list *list)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM kept WHERE expires <= $1 AND state <> 3 LIMIT 10");
    sp_bind_u64(&q, now_unix_s);
    while (list->count < FORGET_AT_ONCE && sp_query_row(&q)) {
        list->ids[list->count++] = sp_col_bits(&q);
    }
}

static void forget_old(sp_core *core, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(2 * SP_ASK_ARENA_BYTES);
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    kept k;
    sp_ask ask;
    sp_err err = load_both(core, &arena, id, &k, &ask);
    if (!sp_failed(err)) {
        sp_event event = {.session = 0};
        keep_event(&ask, &k, "keep expired", SP_SPAN_EMPTY, &room, &event);
        event.severity = SP_SEVERITY_LOW;
        sp_ledger_client_tell(core->ledger, &event);
        k.state = FORGOTTEN;
        err = set_state(core->store, &k);
    }
    if (!sp_failed(err)) {
        forget(core, id);
    }
}

void sp_keeps_tick(sp_core *core, uint64_t now_unix_s)
{
    id_list list = {.count = 0};
    if (keeper_of(core) == NULL) {
        return;
    }
    sp_keeper_client_tick(keeper_of(core), sp_now_steady_us());
    list_over(core->store, now_unix_s, &list);
    for (size_t i = 0; i < list.count; i++) {
        forget_old(core, list.ids[i]);
    }
}

sp_err sp_keeps_start(sp_approvals *approvals)
{
    if (!sp_config_has_role(approvals->core->config, SP_ROLE_KEEPER)) {
        return sp_ok();
    }
    return sp_keeper_client_new(approvals->core, &approvals->keeper);
}

void sp_keeps_stop(sp_approvals *approvals)
{
    sp_keeper_client_free(approvals->keeper);
    approvals->keeper = NULL;
}

/* SPDX-License-Identifier: Apache-2.0
 * What the keeper keeps before an approved destruction.
 * OWNS what waits for keeper and ledger. PROCESS core. TRUST the gate may be taken over: it keeps
 * only for an ask that others approved.
 * SPEC docs/api/openapi.yaml "/keeps", docs/ARCHITECTURE.md "Undo".
 */
#include "core/approvals/keeps.h"
#include "core/documents/documents.h"
#include "core/ledger_client.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/policy/database.h"
#include "lib/proto/db_msg.h"

enum { DAY_S = 86400, TOLD_MAX_BYTES = 6000 };

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- where, and what is written down ---- */

void sp_keep_place_done(sp_keep_place *p)
{
    sp_buf_done(&p->credential);
}

sp_err sp_keep_place_find(const sp_core *core, sp_span resource, sp_span database, sp_span verbs,
                          sp_keep_place *p)
{
    *p = (sp_keep_place){.credential = sp_buf_make(SP_KEEPER_NAME_MAX_BYTES)};
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    const sp_policy *policy = set == NULL ? NULL : sp_policy_set_view(set);
    uint32_t index = policy == NULL ? SP_NONE : sp_policy_resource_find(policy, resource);
    sp_database_resource where;
    bool cascades = sp_span_find(verbs, SP_SPAN_LIT("CASCADE")) < verbs.len;
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
    TRY(sp_buf_error(&p->credential));
    p->job = (sp_keeper_job){.port = where.port,
                             .tls = where.tls,
                             .cascades = cascades ? 1 : 0,
                             .host = where.host,
                             .ca = where.ca,
                             .account = where.keep_as,
                             .credential = sp_buf_borrow(&p->credential),
                             .database = reached,
                             .verb = verbs.len > 0 ? verbs : SP_SPAN_LIT("ANY")};
    return sp_ok();
}

sp_err sp_keep_place_beside(const sp_core *core, sp_span resource, sp_span database,
                            sp_keep_place *p)
{
    static const char maintenance[] = "postgres";
    bool named = !sp_span_eq(database, sp_span_cstr(maintenance));
    TRY(sp_keep_place_find(core, resource, named ? database : SP_SPAN_EMPTY, SP_SPAN_EMPTY, p));
    p->job.database = named ? p->job.database : sp_span_cstr(maintenance);
    return sp_ok();
}

sp_keeper_client *sp_keep_keeper(const sp_core *core)
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
    auto_keep_place sp_keep_place p = {.credential = {0}};
    estimating *e = NULL;
    if (sp_keep_keeper(core) == NULL ||
        sp_failed(sp_keep_place_find(core, ask->resource, ask->database, ask->verbs, &p)) ||
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
    sp_kept k;
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

static void reply_with(sp_peer *peer, const sp_msg *to, sp_code code, const sp_db_kept *kept)
{
    auto_buf sp_buf body = sp_buf_make(SP_DB_WHY_MAX_BYTES + 64);
    sp_db_kept_write(kept, &body);
    sp_peer_reply(peer, to, code, sp_buf_borrow(&body), NULL, 0);
}

/* why: it could not be kept; that is on the ledger, too. */
static void reply_not_kept(keeping *w, sp_span why)
{
    auto_buf sp_buf report = sp_buf_make(TOLD_MAX_BYTES);
    auto_buf sp_buf room = sp_buf_make(SP_KEPT_DETAIL_BYTES);
    sp_event event = {.session = w->ask.session};
    const sp_db_kept none = {.why = sp_span_cut(why, SP_DB_WHY_MAX_BYTES)};
    sp_log(SP_LOG_WARN, "what a statement would destroy could not be kept: %.*s", SP_SPAN_ARG(why));
    sp_kept_put_why(SP_SPAN_EMPTY, none.why, &report);
    sp_kept_event(&w->ask, &w->k, "not kept", sp_buf_borrow(&report), &room, &event);
    event.verdict = SP_VERDICT_DENY;
    event.reason = SP_REASON_UNAVAILABLE;
    sp_ledger_client_tell(w->core->ledger, &event);
    reply_with(w->peer, &w->to, SP_EIO, &none);
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
    sp_keeper_client_job(sp_keep_keeper(core), &job, on_forgotten, NULL);
}

void sp_kept_put_why(sp_span before, sp_span why, sp_buf *report)
{
    auto_buf sp_buf all = sp_buf_make(SP_KEEPER_WHY_MAX_BYTES + 200);
    sp_buf_span(&all, before);
    sp_buf_span(&all, why);
    sp_buf_text(report, "{\"why\":");
    sp_buf_json(report, sp_buf_borrow(&all));
    sp_buf_byte(report, '}');
}

void sp_kept_event(const sp_ask *ask, const sp_kept *k, const char *method, sp_span report,
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
        err = sp_kept_add(w->core->store, &w->k);
    }
    if (sp_failed(err)) {
        forget(w->core, w->k.id);
        reply_not_kept(w, SP_SPAN_LIT("it was kept, and that could not be written down"));
        return;
    }
    const sp_db_kept kept = {.keep = w->k.id, .bytes = w->k.bytes, .duration_ms = w->k.ms};
    reply_with(w->peer, &w->to, SP_OK, &kept);
    keeping_free(w);
}

static void on_kept(void *self, const sp_keeper_done *done)
{
    keeping *w = self;
    if (done->code != SP_OK) {
        reply_not_kept(w, done->why);
        return;
    }
    w->k.bytes = done->bytes;
    w->k.ms = done->duration_ms;
    w->k.created_unix_s = now_s();
    w->k.expires_unix_s = now_s() + (uint64_t)w->core->config->keep_days * DAY_S;
    auto_buf sp_buf room = sp_buf_make(SP_KEPT_DETAIL_BYTES);
    sp_event event = {.session = w->ask.session};
    sp_kept_event(&w->ask, &w->k, "kept", done->report, &room, &event);
    sp_ledger_client_append(w->core->ledger, &event, on_kept_recorded, w);
}

/* One is what a statement needs; who asks for more fills the keeper's room. */
enum { KEPT_OF_ASK_MAX = 2 };

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
    bool may = fits && sp_kept_count(core->store, from->ask) < KEPT_OF_ASK_MAX;
    if (!may || !sp_approvals_begin(core->approvals, from->ask)) {
        keeping_free(w);
        return sp_fail(may ? SP_EAGAIN : SP_EDENIED);
    }
    w->k = (sp_kept){.id = sp_random_u64() >> 4,
                     .ask = from->ask,
                     .whole = from->whole_database != 0,
                     .resource = w->ask.resource};
    err = sp_arena_copy(&w->arena, from->database, &w->k.database);
    if (!sp_failed(err) && !w->k.whole) {
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
    auto_keep_place sp_keep_place p = {.credential = {0}};
    keeping *w = NULL;
    sp_db_kept none = {.why = SP_SPAN_LIT("it is not approved any more, or has been kept already")};
    TRY(sp_db_keep_read(msg->body, &from));
    sp_err err = begin_keep(core, peer, msg, &from, &w);
    if (err.code == SP_EAGAIN) {
        none.why = SP_SPAN_LIT("the keeper has as much to do as it takes at a time: try again");
    }
    if (!sp_failed(err)) {
        err = sp_keep_place_find(core, w->ask.resource, w->k.database, from.verbs, &p);
        if (sp_failed(err)) {
            none.why = SP_SPAN_LIT("the policy names no place or role of the database for this any "
                                   "more");
            keeping_free(w);
        }
    }
    if (sp_failed(err)) {
        reply_with(peer, msg, err.code, &none);
        return sp_ok();
    }
    p.job.kind = SP_KEEPER_KEEP;
    p.job.keep = w->k.id;
    p.job.whole = from.whole_database;
    p.job.objects = from.relations;
    p.job.snapshot = from.snapshot;
    p.job.holder = from.holder;
    sp_keeper_client_job(sp_keep_keeper(core), &p.job, on_kept, w);
    return sp_ok();
}
/* ---- time, start, stop ---- */

static void forget_old(sp_core *core, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(2 * SP_ASK_ARENA_BYTES);
    auto_buf sp_buf room = sp_buf_make(SP_KEPT_DETAIL_BYTES);
    sp_kept k;
    sp_ask ask;
    sp_err err = sp_kept_load_with(core, &arena, id, &k, &ask);
    if (!sp_failed(err)) {
        k.state = SP_KEPT_FORGOTTEN;
        err = sp_kept_change(core->store, &k);
    }
    if (!sp_failed(err)) {
        sp_event event = {.session = 0};
        sp_kept_event(&ask, &k, "keep expired", SP_SPAN_EMPTY, &room, &event);
        event.severity = SP_SEVERITY_LOW;
        sp_ledger_client_tell(core->ledger, &event);
        forget(core, id);
    }
}

void sp_keeps_tick(sp_core *core, uint64_t now_unix_s)
{
    sp_kept_ids list = {.count = 0};
    if (sp_keep_keeper(core) == NULL) {
        return;
    }
    sp_keeper_client_tick(sp_keep_keeper(core), sp_now_steady_us());
    sp_kept_list_over(core->store, now_unix_s, &list);
    for (size_t i = 0; i < list.count; i++) {
        if (!sp_approvals_is_busy(core->approvals, list.ids[i])) { /* its undo reads it */
            forget_old(core, list.ids[i]);
        }
    }
}

sp_err sp_keeps_start(sp_approvals *approvals)
{
    if (!sp_config_has_role(approvals->core->config, SP_ROLE_KEEPER)) {
        return sp_ok();
    }
    TRY(sp_keeper_client_new(approvals->core, &approvals->keeper));
    sp_undo_hear(approvals->core, approvals);
    return sp_ok();
}

void sp_keeps_stop(sp_approvals *approvals)
{
    sp_keeper_client_free(approvals->keeper);
    approvals->keeper = NULL;
}

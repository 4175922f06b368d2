/* SPDX-License-Identifier: Apache-2.0
 * Undo of what was destroyed: an ask of its own, and the API of what is kept.
 * OWNS what waits for keeper and ledger. PROCESS core. TRUST requests of signed-in people; undo
 * needs the people who approved the statement, again.
 * SPEC docs/api/openapi.yaml "/keeps", docs/ARCHITECTURE.md "Undo".
 */
#include "core/approvals/keeps.h"
#include "core/http/json.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- undo, once it is approved ---- */

typedef struct {
    sp_core *core;
    sp_arena arena;
    sp_ask ask;
    sp_kept k;
    sp_kept before; /* this undo */
    bool is_busy;
    bool is_heard; /* it has begun, and another core asked for it */
} undoing;

static void undoing_free(undoing *w)
{
    if (w->is_busy) {
        sp_approvals_end(w->core->approvals, w->k.id);
    }
    sp_arena_done(&w->arena);
    sp_free(w);
}

/* The keeper says whether all of it came back. */
static bool is_complete(sp_span report)
{
    json_error_t error;
    json_t *value = json_loadb((const char *)report.ptr, report.len, 0, &error);
    bool complete = json_is_true(json_object_get(value, "complete"));
    json_decref(value);
    return complete;
}

/* On the ledger and in the row. */
static void note_outcome(undoing *w, sp_kept_state state, const char *method)
{
    auto_buf sp_buf room = sp_buf_make(SP_KEPT_DETAIL_BYTES);
    sp_event event = {.session = w->ask.session};
    w->k.state = (uint8_t)state;
    w->k.undone_unix_s = state == SP_KEPT_UNDOING ? 0 : now_s();
    w->k.undo_ask = w->ask.id;
    sp_kept_event(&w->ask, &w->k, method, w->k.told, &room, &event);
    sp_ledger_client_tell(w->core->ledger, &event);
    sp_err err = sp_kept_change(w->core->store, &w->k);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the outcome of an undo cannot be stored: %s",
               sp_store_error_text(w->core->store));
    }
    sp_approvals_changed(w->core, &w->ask);
    w->k.told = SP_SPAN_EMPTY;
}

static void note_end(undoing *w, const sp_keeper_done *done)
{
    if (done->code == SP_OK) {
        bool complete = is_complete(done->report);
        w->k.partly = SP_KEPT_PARTLY_YES;
        note_outcome(w, complete ? SP_KEPT_UNDONE : SP_KEPT_UNDONE_PARTLY,
                     complete ? "undone" : "undone in part");
    } else if (done->code == SP_ETIMEOUT) {
        note_outcome(w, SP_KEPT_UNDOING, "undo late");
    } else if (done->code == SP_ECLOSED) {
        note_outcome(w, SP_KEPT_UNDO_UNKNOWN, "undo: its end is not known");
    } else {
        w->k.partly = w->k.partly == SP_KEPT_PARTLY_YES ? SP_KEPT_PARTLY_YES : SP_KEPT_PARTLY_NO;
        note_outcome(w, SP_KEPT_UNDO_FAILED, "undo failed");
    }
}

/* The keeper did not take it: it waits, as if it had not begun. False: that could not be stored. */
static bool put_off(const undoing *w, sp_span why)
{
    auto_buf sp_buf report = sp_buf_make(1024);
    auto_buf sp_buf room = sp_buf_make(SP_KEPT_DETAIL_BYTES);
    sp_event event = {.session = w->ask.session};
    sp_err err = sp_kept_put_off_undo(w->core->store, &w->before, &w->ask);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "that an undo waits cannot be stored: %s",
               sp_store_error_text(w->core->store));
        return false;
    }
    if (sp_ask_put_off(w->core, w->ask.id)) {
        sp_kept_put_why(SP_SPAN_EMPTY, why, &report);
        sp_kept_event(&w->ask, &w->before, "undo put off", sp_buf_borrow(&report), &room, &event);
        sp_ledger_client_tell(w->core->ledger, &event);
    }
    sp_approvals_changed(w->core, &w->ask);
    return true;
}

/* SP_ETIMEOUT: it may still be under way, so the keep stays busy; what comes later corrects this.
 * NULL: core stops. */
static void on_undone(void *self, const sp_keeper_done *done)
{
    undoing *w = self;
    bool is_begun =
        done == NULL || w->is_heard || (done->code != SP_EAGAIN && done->code != SP_ELIMIT);
    if (done == NULL || (!is_begun && put_off(w, done->why))) {
        undoing_free(w);
        return;
    }
    auto_buf sp_buf told = sp_buf_make(SP_KEEPER_REPORT_MAX_BYTES + 2048);
    if (done->code == SP_OK) {
        sp_buf_span(&told, done->report);
    } else {
        sp_kept_put_why(
            done->code != SP_ECLOSED
                ? SP_SPAN_EMPTY
                : SP_SPAN_LIT("nobody knows whether it was put back, look at the tables: "),
            done->why, &told);
    }
    w->k.undo_ms = done->duration_ms;
    w->k.ms = done->duration_ms;
    w->k.told = sp_failed(sp_buf_error(&told)) ? SP_SPAN_EMPTY : sp_buf_borrow(&told);
    note_end(w, done);
    if (done->code != SP_ETIMEOUT) {
        undoing_free(w);
    }
}

static bool is_over(const sp_kept *k)
{
    return k->state == SP_KEPT_UNDONE || k->state == SP_KEPT_FORGOTTEN;
}

/* It was approved and is used up; of what is over, nothing else changes. */
static void not_carried_out(undoing *w, const char *why)
{
    auto_buf sp_buf told = sp_buf_make(1024);
    auto_buf sp_buf room = sp_buf_make(SP_KEPT_DETAIL_BYTES);
    if (sp_failed(sp_ask_carried_out(w->core, w->ask.id))) {
        sp_ask_put_off(w->core, w->ask.id); /* if it is still approved */
        return;
    }
    sp_kept_put_why(SP_SPAN_EMPTY, sp_span_cstr(why), &told);
    w->k.told = sp_failed(sp_buf_error(&told)) ? SP_SPAN_EMPTY : sp_buf_borrow(&told);
    if (!is_over(&w->k)) {
        note_outcome(w, SP_KEPT_UNDO_FAILED, "undo failed");
        return;
    }
    sp_event event = {.session = w->ask.session};
    sp_kept_event(&w->ask, &w->k, "undo failed", w->k.told, &room, &event);
    sp_ledger_client_tell(w->core->ledger, &event);
    sp_approvals_changed(w->core, &w->ask);
}

/* In the store before the keeper is asked: whatever dies, it is known that this has begun. */
static sp_err note_begin(undoing *w, sp_keeper_job *job)
{
    w->before = w->k;
    job->kind = SP_KEEPER_UNDO;
    job->partly = w->k.partly != SP_KEPT_PARTLY_NO ? 1 : 0;
    job->keep = w->k.id;
    job->ask = w->ask.id;
    job->whole = w->k.whole ? 1 : 0;
    w->k.partly = job->partly != 0 ? SP_KEPT_PARTLY_YES : SP_KEPT_PARTLY_UNKNOWN;
    w->k.state = SP_KEPT_UNDOING;
    w->k.undone_unix_s = 0;
    w->k.undo_ask = w->ask.id;
    w->k.told = SP_SPAN_EMPTY;
    return sp_kept_begin_undo(w->core->store, &w->k, now_s());
}

static void on_undo_recorded(void *self, sp_err err)
{
    undoing *w = self;
    bool has_begun = !sp_failed(err);
    auto_keep_place sp_keep_place p = {.credential = {0}};
    if (has_begun) { /* another undo of it may have been first */
        err = sp_kept_load(w->core->store, &w->arena, w->k.id, &w->k);
    }
    if (!sp_failed(err)) { /* whoever agreed may have been locked while the ledger wrote */
        err = sp_ask_is_met(w->core->store, &w->ask);
    }
    bool over = !sp_failed(err) && is_over(&w->k);
    bool placed =
        !sp_failed(err) &&
        !sp_failed(sp_keep_place_find(w->core, w->k.resource, w->k.database, SP_SPAN_EMPTY, &p));
    if (over || (!sp_failed(err) && !placed)) {
        not_carried_out(w, over ? "what was kept is undone or gone already"
                                : "the policy names no place or role of the database for this any "
                                  "more");
        undoing_free(w);
        return;
    }
    if (!sp_failed(err)) {
        err = note_begin(w, &p.job);
    }
    if (sp_failed(err)) {
        sp_ask_give_up(w->core, &w->ask, "undo not begun", has_begun, err);
        undoing_free(w);
        return;
    }
    sp_keeper_client_job(sp_keep_keeper(w->core), &p.job, on_undone, w);
}

static sp_err begin_undo(sp_core *core, uint64_t ask, undoing **ret_undoing)
{
    undoing *w = NULL;
    TRY(sp_alloc(1, sizeof(*w), &w));
    w->core = core;
    w->arena = sp_arena_make(2 * SP_ASK_ARENA_BYTES);
    sp_err err = sp_ask_load(core->store, &w->arena, ask, &w->ask);
    if (!sp_failed(err)) {
        err = sp_kept_load(core->store, &w->arena, w->ask.keep, &w->k);
    }
    if (sp_failed(err)) {
        undoing_free(w);
        return err;
    }
    *ret_undoing = w;
    return sp_ok();
}

static bool is_asker_active(const undoing *w)
{
    sp_person person;
    return !sp_failed(sp_people_get(w->core->store, w->ask.asker, &person)) &&
           person.state == SP_PERSON_ACTIVE;
}

void sp_keeps_undo(sp_core *core, const sp_ask *ask)
{
    undoing *w = NULL;
    sp_err err = begin_undo(core, ask->id, &w);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "an approved undo cannot begin: %s", sp_code_word(err.code));
        return;
    }
    /* whoever asked or agreed and was locked since had lost his account to somebody, or his office
     */
    w->is_busy = sp_keeper_client_is_up(sp_keep_keeper(core)) && is_asker_active(w) &&
                 !sp_failed(sp_ask_is_met(core->store, &w->ask)) &&
                 sp_approvals_begin(core->approvals, w->k.id);
    if (w->is_busy) {
        sp_ask_record_use(core, ask, on_undo_recorded, w);
    } else {
        undoing_free(w);
    }
}

static void hear_one(sp_core *core, sp_approvals *approvals, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(2 * SP_ASK_ARENA_BYTES);
    undoing *w = NULL;
    sp_kept k;
    sp_err err = sp_kept_load(core->store, &arena, id, &k);
    if (!sp_failed(err)) {
        err = begin_undo(core, k.undo_ask, &w);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "what became of an undo cannot be heard: %s", sp_code_word(err.code));
        return;
    }
    w->is_heard = true;
    w->is_busy = sp_approvals_resume(approvals, id);
    sp_keeper_job job = {.kind = SP_KEEPER_HEAR, .keep = id, .ask = k.undo_ask};
    sp_keeper_client_job(approvals->keeper, &job, on_undone, w);
}

void sp_undo_hear(sp_core *core, sp_approvals *approvals)
{
    sp_kept_ids list = {.count = 0};
    sp_kept_list_undoing(core->store, &list);
    for (size_t i = 0; i < list.count; i++) {
        hear_one(core, approvals, list.ids[i]);
    }
}

/* ---- the API ---- */

static const char *state_word(uint8_t state)
{
    static const char *const words[] = {"kept",           "undone",  "undo-failed", "gone",
                                        "undone-in-part", "undoing", "undo-unknown"};
    return state < SP_COUNT(words) ? words[state] : "gone";
}

/* Who asked for the statement, and whoever could have approved it. */
static bool may_see(const sp_request *req, const sp_ask *ask, bool to_undo)
{
    const sp_live_session *session = sp_request_session(req);
    bool admin = !to_undo && (sp_request_admin(req) & (SP_WHO_SECURITY | SP_WHO_AUDIT)) != 0;
    return admin || ask->asker == session->person ||
           sp_ask_sets_of(ask, session->person, session->roles) != 0;
}

static json_t *parsed(sp_span text)
{
    json_error_t error;
    json_t *value = text.len == 0 ? NULL : json_loadb((const char *)text.ptr, text.len, 0, &error);
    return value == NULL ? json_null() : value;
}

static json_t *kept_json(const sp_kept *k, const sp_ask *ask)
{
    json_t *out = json_object();
    json_object_set_new(out, "id", sp_ref_json(k->id));
    json_object_set_new(out, "approval", sp_ref_json(k->ask));
    json_object_set_new(out, "state", json_string(state_word(k->state)));
    json_object_set_new(out, "resource", sp_json_span_or_null(k->resource));
    json_object_set_new(out, "database", sp_json_span_or_null(k->database));
    json_object_set_new(out, "whole", json_boolean(k->whole));
    json_object_set_new(out, "objects", parsed(k->objects));
    json_object_set_new(out, "asker", sp_json_span_or_null(ask->asker_name));
    json_object_set_new(out, "statement", sp_json_span_or_null(ask->content));
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

static void get_keeps(sp_request *req)
{
    sp_kept_ids list = {.count = 0};
    sp_core *core = sp_request_core(req);
    sp_err err = sp_kept_list(core->store, &list);
    json_t *items = json_array();
    for (size_t i = 0; !sp_failed(err) && i < list.count; i++) {
        auto_arena sp_arena arena = sp_arena_make(2 * SP_ASK_ARENA_BYTES);
        sp_kept k;
        sp_ask ask;
        if (!sp_failed(sp_kept_load_with(core, &arena, list.ids[i], &k, &ask)) &&
            may_see(req, &ask, false)) {
            json_array_append_new(items, kept_json(&k, &ask));
        }
    }
    sp_answer_read(req, err, items);
}

typedef struct {
    sp_request *req;
    sp_kept k;
    sp_ask first;
    sp_ask ask;
    sp_span reason;
    uint32_t person;
    bool try_only;
} wanting;

static bool need_kept(sp_request *req, bool to_undo, wanting *w)
{
    uint64_t id = 0;
    sp_err err =
        sp_ask_id_of(sp_request_param(req, 0), &id)
            ? sp_kept_load_with(sp_request_core(req), sp_request_arena(req), id, &w->k, &w->first)
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
    sp_ask_answer(w->req, &w->ask, err, id);
}

/* What the dry run did, and how long it took: undo takes as long, and holds its tables. */
/* Approvers have room for a part of it: the last of its longest list go, and how many is said.
 * NULL = out of memory. */
static char *fitting(json_t *report)
{
    enum { SENTENCE_BYTES = 200 };
    static const char *const lists[] = {"rows", "restored", "told"};
    size_t dropped = 0;
    char *text = json_dumps(report, JSON_COMPACT);
    while (text != NULL && strlen(text) > SP_ASK_JSON_MAX_BYTES - SENTENCE_BYTES) {
        json_t *longest = json_object_get(report, lists[0]);
        for (size_t i = 1; i < SP_COUNT(lists); i++) {
            json_t *list = json_object_get(report, lists[i]);
            longest = json_array_size(list) > json_array_size(longest) ? list : longest;
        }
        size_t count = json_array_size(longest);
        size_t part = count / 8 + 1;
        for (size_t i = 0; i < part && i < count; i++) {
            json_array_remove(longest, count - i - 1);
        }
        dropped += part;
        sp_free(text);
        text = count == 0 ? NULL : json_dumps(report, JSON_COMPACT);
    }
    if (text == NULL || dropped == 0) {
        return text;
    }
    sp_free(text);
    json_array_append_new(
        json_object_get(report, "told"),
        json_sprintf("%zu more tables, objects or sentences have no room here", dropped));
    return json_dumps(report, JSON_COMPACT);
}

static sp_err plan_of(sp_arena *arena, const sp_keeper_done *tried, sp_span *ret_plan)
{
    json_t *report = parsed(tried->report);
    json_array_append_new(json_object_get(report, "told"),
                          json_sprintf("the dry run took %llu s: undo takes about as long, and "
                                       "until it ends nobody else writes into what it puts back",
                                       (unsigned long long)(tried->duration_ms + 999) / 1000));
    char *text = json_is_object(report) ? fitting(report) : NULL;
    json_decref(report);
    if (text == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    sp_err err = sp_arena_copy(arena, sp_span_cstr(text), ret_plan);
    sp_free(text);
    return err;
}

/* Whole letters of it. */
static sp_span begin_of(sp_span text, size_t most)
{
    enum { LETTER_MAX_BYTES = 4 };
    sp_span begin = sp_span_slice(text, 0, most);
    for (int i = 1; i < LETTER_MAX_BYTES && !sp_span_is_utf8(begin); i++) {
        begin = sp_span_slice(begin, 0, begin.len - 1);
    }
    return begin;
}

/* The bytes that are approved: which keep, of which statement. */
static sp_err ask_of(wanting *w, const sp_keeper_done *tried)
{
    char id[SP_REFERENCE_TEXT_BYTES];
    auto_buf sp_buf text = sp_buf_make(SP_ASK_CONTENT_MAX_BYTES);
    const sp_live_session *session = sp_request_session(w->req);
    sp_arena *arena = sp_request_arena(w->req);
    sp_reference_text(w->k.id, id);
    sp_buf_fmt(&text, "-- undo of keep %s\n", id);
    sp_buf_span(&text, begin_of(w->first.content, SP_ASK_CONTENT_MAX_BYTES - 100));
    TRY(sp_buf_error(&text));
    w->ask = (sp_ask){.kind = SP_ASK_UNDO,
                      .action = w->first.action,
                      .class_level = w->first.class_level,
                      .asker = session->person,
                      .session = session->id,
                      .reference = w->first.reference,
                      .keep = w->k.id,
                      .approvers_count = w->first.approvers_count,
                      .asker_name = sp_span_cstr(session->person_name),
                      .resource = w->k.resource,
                      .database = w->k.database,
                      .class_name = w->first.class_name,
                      .rule = w->first.rule,
                      .rules = w->first.rules,
                      .objects = w->k.objects,
                      .reason = w->reason};
    sp_copy(w->ask.approvers, w->first.approvers, sizeof(w->ask.approvers));
    TRY(sp_arena_copy(arena, sp_buf_borrow(&text), &w->ask.content));
    TRY(plan_of(arena, tried, &w->ask.plan));
    w->ask.sha256 = sp_sha256(w->ask.content);
    return sp_ok();
}

static void on_tried(void *self, const sp_keeper_done *done)
{
    wanting *w = self;
    sp_approvals *approvals = sp_request_core(w->req)->approvals;
    sp_rest_end(&approvals->tries, w->person, sp_now_steady_us());
    sp_approvals_end(approvals, w->k.id);
    if (!sp_request_stands(w->req)) {
        return;
    }
    if (!may_see(w->req, &w->first, true)) { /* his roles are others by now */
        sp_answer_failed(w->req, sp_fail(SP_ENOTFOUND));
        return;
    }
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
    sp_err err = ask_of(w, done);
    if (sp_failed(err)) {
        sp_answer_failed(w->req, err);
        return;
    }
    sp_approvals_ask(sp_request_core(w->req), &w->ask, on_asked, w);
}

/* Each try locks the tables. */
static bool begin_try(wanting *w)
{
    sp_approvals *approvals = sp_request_core(w->req)->approvals;
    uint64_t wait_s = 0;
    w->person = sp_request_session(w->req)->person;
    if (!sp_rest_begin(&approvals->tries, w->person, !w->try_only, sp_now_steady_us(), &wait_s)) {
        sp_answer_too_many(w->req, wait_s);
        return false;
    }
    if (!sp_approvals_begin(approvals, w->k.id)) {
        sp_rest_drop(&approvals->tries, w->person);
        sp_answer_problem(w->req, 409, "busy",
                          "Somebody looks at this one just now, or the keeper has enough to do. "
                          "Try again.");
        return false;
    }
    return true;
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
    if (w->first.state != SP_ASK_USED) {
        sp_answer_problem(req, 409, "cannot_undo",
                          "The statement that it was kept for has not run: what is missing or "
                          "changed since is not its work.");
        return;
    }
    if (is_over(&w->k)) {
        sp_answer_problem(req, 409, "cannot_undo", "It is %s already.", state_word(w->k.state));
        return;
    }
    auto_keep_place sp_keep_place p = {.credential = {0}};
    sp_err err = sp_keep_place_find(core, w->k.resource, w->k.database, SP_SPAN_EMPTY, &p);
    if (sp_failed(err)) {
        sp_answer_problem(req, 409, "cannot_undo",
                          "The policy names no place or role of the database for this any more.");
        return;
    }
    if (!begin_try(w)) {
        return;
    }
    p.job.kind = SP_KEEPER_TRY_UNDO;
    p.job.partly = w->k.partly != SP_KEPT_PARTLY_NO ? 1 : 0;
    p.job.keep = w->k.id;
    p.job.whole = w->k.whole ? 1 : 0;
    sp_keeper_client_job(sp_keep_keeper(core), &p.job, on_tried, w);
}

sp_err sp_undo_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/keeps", SP_WHO_PERSON, get_keeps, 0},
        {"GET", "/api/v1/keeps/{id}", SP_WHO_PERSON, get_kept, 0},
        {"POST", "/api/v1/keeps/{id}/undo", SP_WHO_PERSON, post_undo, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

/* SPDX-License-Identifier: Apache-2.0
 * The API of what is kept: what there is, and who asks for its undo or for its rows beside.
 * OWNS nothing. PROCESS core. TRUST requests of signed-in people; both need the people who approved
 * the statement, again. SPEC docs/api/openapi.yaml "/keeps".
 */
#include "core/approvals/keeps.h"
#include "core/http/json.h"
#include "infra/proc/clock.h"

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

static json_t *beside_json(const sp_kept_beside *b)
{
    static const char *const words[] = {NULL, "done", "failed", "under-way", "unknown"};
    if (b->state == SP_BESIDE_NONE || b->state >= SP_COUNT(words)) {
        return json_null();
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "state", words[b->state], "approval",
                     sp_ref_json(b->ask), "at", sp_json_time(b->at_unix_s), "report",
                     parsed(b->told));
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
    json_object_set_new(out, "beside", beside_json(&k->beside));
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
    sp_span into; /* of rows beside: the database */
    uint32_t person;
    bool try_only;
    bool beside;
} wanting;

/* What cannot be done, and its code. */
static const char *code_of(const wanting *w)
{
    return w->beside ? "cannot_put_beside" : "cannot_undo";
}

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

/* What the dry run did, and how long it took: undo takes as long, and holds its tables. */
static sp_err plan_of(sp_arena *arena, const wanting *w, const sp_keeper_done *tried,
                      sp_span *ret_plan)
{
    unsigned long long s = (tried->duration_ms + 999) / 1000;
    json_t *report = parsed(tried->report);
    json_array_append_new(
        json_object_get(report, "told"),
        w->beside
            ? json_sprintf("the dry run took %llu s: it takes about as long, and nobody waits "
                           "for it meanwhile",
                           s)
            : json_sprintf("the dry run took %llu s: undo takes about as long, and until it "
                           "ends nobody else writes into what it puts back",
                           s));
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
    enum { HEAD_MAX_BYTES = 300 };
    char id[SP_REFERENCE_TEXT_BYTES];
    auto_buf sp_buf text = sp_buf_make(SP_ASK_CONTENT_MAX_BYTES);
    const sp_live_session *session = sp_request_session(w->req);
    sp_arena *arena = sp_request_arena(w->req);
    sp_reference_text(w->k.id, id);
    if (w->beside) {
        sp_buf_fmt(&text, "-- rows of keep %s beside, in the database %.*s\n", id,
                   SP_SPAN_ARG(w->into));
    } else {
        sp_buf_fmt(&text, "-- undo of keep %s\n", id);
    }
    sp_buf_span(&text, begin_of(w->first.content, SP_ASK_CONTENT_MAX_BYTES - HEAD_MAX_BYTES));
    TRY(sp_buf_error(&text));
    w->ask = (sp_ask){.kind = w->beside ? SP_ASK_BESIDE : SP_ASK_UNDO,
                      .action = w->first.action,
                      .class_level = w->first.class_level,
                      .asker = session->person,
                      .session = session->id,
                      .reference = w->first.reference,
                      .keep = w->k.id,
                      .approvers_count = w->first.approvers_count,
                      .asker_name = sp_span_cstr(session->person_name),
                      .resource = w->k.resource,
                      .database = w->into,
                      .class_name = w->first.class_name,
                      .rule = w->first.rule,
                      .rules = w->first.rules,
                      .objects = w->k.objects,
                      .reason = w->reason};
    sp_copy(w->ask.approvers, w->first.approvers, sizeof(w->ask.approvers));
    TRY(sp_arena_copy(arena, sp_buf_borrow(&text), &w->ask.content));
    TRY(plan_of(arena, w, tried, &w->ask.plan));
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
        sp_answer_problem(w->req, 409, code_of(w), "%s: %.*s",
                          w->beside ? "Its rows cannot be put beside" : "It cannot be undone",
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
                       json_pack("{s:o, s:I, s:I}", "report", report, "duration_ms",
                                 (json_int_t)done->duration_ms, "bytes", (json_int_t)done->bytes));
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

static wanting *new_wanting(sp_request *req, bool beside)
{
    wanting *w = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*w), &w))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return NULL;
    }
    w->req = req;
    w->beside = beside;
    return w;
}

static void look(wanting *w, sp_keeper_job *job)
{
    job->kind = w->beside ? SP_KEEPER_TRY_BESIDE : SP_KEEPER_TRY_UNDO;
    job->partly = w->k.partly != SP_KEPT_PARTLY_NO ? 1 : 0;
    job->keep = w->k.id;
    job->whole = w->k.whole ? 1 : 0;
    sp_keeper_client_job(sp_keep_keeper(sp_request_core(w->req)), job, on_tried, w);
}

static void post_undo(sp_request *req)
{
    wanting *w = new_wanting(req, false);
    sp_core *core = sp_request_core(req);
    if (w == NULL) {
        return;
    }
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
    if (sp_kept_is_over(&w->k)) {
        sp_answer_problem(req, 409, "cannot_undo", "It is %s already.", state_word(w->k.state));
        return;
    }
    w->into = w->k.database;
    auto_keep_place sp_keep_place p = {.credential = {0}};
    sp_err err = sp_keep_place_find(core, w->k.resource, w->k.database, SP_SPAN_EMPTY, &p);
    if (sp_failed(err)) {
        sp_answer_problem(req, 409, "cannot_undo",
                          "The policy names no place or role of the database for this any more.");
        return;
    }
    if (begin_try(w)) {
        look(w, &p.job);
    }
}

/* Whatever became of its undo. */
static void post_beside(sp_request *req)
{
    wanting *w = new_wanting(req, true);
    if (w == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_BOOL_OPT("dry_run", &w->try_only),
                               SP_FIELD_TEXT_OPT("reason", &w->reason, 0, SP_ASK_REASON_MAX_BYTES),
                               SP_FIELD_TEXT_OPT("into", &w->into, 1, SP_NAME_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !need_kept(req, true, w)) {
        return;
    }
    if (w->k.state == SP_KEPT_FORGOTTEN) {
        sp_answer_problem(req, 409, code_of(w), "It is not kept any more.");
        return;
    }
    w->into = w->into.len > 0 ? w->into : w->k.database;
    auto_keep_place sp_keep_place p = {.credential = {0}};
    sp_err err = sp_keep_place_beside(sp_request_core(req), w->k.resource, w->into, &p);
    if (sp_failed(err)) {
        sp_answer_problem(req, 409, code_of(w),
                          "The policy names no database %.*s of %.*s, or no role that keeps there: "
                          "name another of its databases, or postgres.",
                          SP_SPAN_ARG(w->into), SP_SPAN_ARG(w->k.resource));
        return;
    }
    if (begin_try(w)) {
        look(w, &p.job);
    }
}

sp_err sp_keeps_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/keeps", SP_WHO_PERSON, get_keeps, 0},
        {"GET", "/api/v1/keeps/{id}", SP_WHO_PERSON, get_kept, 0},
        {"POST", "/api/v1/keeps/{id}/undo", SP_WHO_PERSON, post_undo, 0},
        {"POST", "/api/v1/keeps/{id}/beside", SP_WHO_PERSON, post_beside, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

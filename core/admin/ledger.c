/* SPDX-License-Identifier: Apache-2.0
 * Reading the ledger: the audit administrator all of it, a person his own part, the security and
 * system administrators a refusal whose number they were told.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; the ledger keeps its own rules again.
 * SPEC docs/api/openapi.yaml "/admin/ledger", "/me/events", "/me/refusals".
 */
#include "core/admin/events.h"
#include "core/http/json.h"
#include "core/ledger_client.h"

/* ---- search ---- */

static void get_events(sp_request *req)
{
    sp_ledger_search search = {.reader = sp_events_reader(req, "search in the console")};
    if (sp_events_page(req, &search) && sp_events_filter(req, &search)) {
        sp_events_answer(req, &search, NULL);
    }
}

/* ---- a person's own ---- */

static void get_my_events(sp_request *req)
{
    sp_ledger_search search = {.reader = sp_events_reader(req, "own events")};
    search.person = sp_request_person(req);
    if (sp_events_page(req, &search)) {
        sp_events_answer(req, &search, NULL);
    }
}

static sp_ledger_search refusals_of(const sp_request *req, const char *purpose)
{
    sp_ledger_search search = {.reader = sp_events_reader(req, purpose)};
    search.kinds = 1U << SP_EVENT_DECISION;
    search.verdicts = (1U << SP_VERDICT_DENY) | (1U << SP_VERDICT_ASK);
    search.before_entry = UINT64_MAX;
    return search;
}

static void get_my_refusals(sp_request *req)
{
    sp_ledger_search search = refusals_of(req, "own refusals");
    search.person = sp_request_person(req);
    if (sp_events_page(req, &search)) {
        sp_events_answer(req, &search, sp_refusal_shape);
    }
}

static void answer_refusal(sp_request *req, sp_ledger_search *search)
{
    if (sp_failed(sp_reference_of(sp_request_param(req, 0), &search->reference)) ||
        search->reference == 0) {
        sp_answer_problem(req, 404, "not_found", "There is no such entry that you may see.");
        return;
    }
    search->limit = 1;
    sp_events_answer_one(req, search, sp_refusal_shape);
}

static void get_my_refusal(sp_request *req)
{
    sp_ledger_search search = refusals_of(req, "own refusal");
    search.person = sp_request_person(req);
    answer_refusal(req, &search);
}

/* Helpdesk: whoever was told the number may be helped. */
static void get_refusal(sp_request *req)
{
    sp_ledger_search search = refusals_of(req, "refusal by its number");
    answer_refusal(req, &search);
}

/* ---- entries and proofs ---- */

typedef struct {
    sp_request *req;
    sp_ledger_entry entry;
    sp_span record; /* in the arena */
    sp_span json;
    uint64_t number;
} reading;

static json_t *base64_of(sp_span bytes)
{
    auto_buf sp_buf text = sp_buf_make(bytes.len * 2 + 16);
    sp_buf_base64(&text, bytes);
    sp_span span = sp_buf_borrow(&text);
    return json_stringn((const char *)span.ptr, span.len);
}

/* {COMMON,"events":[...]} -> one complete event each. */
static json_t *ocsf_events(const json_t *batch)
{
    json_t *list = json_array();
    const json_t *events = json_object_get(batch, "events");
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *whole = json_deep_copy(batch);
        json_object_del(whole, "events");
        json_object_update_recursive(whole, json_array_get(events, i));
        json_array_append_new(list, whole);
    }
    return list;
}

static json_t *shaped_events(uint64_t entry, const json_t *ocsf)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(ocsf); i++) {
        char *text = json_dumps(json_array_get(ocsf, i), JSON_COMPACT);
        sp_ledger_item item = {.entry = entry, .at = (uint16_t)i, .json = sp_span_cstr(text)};
        json_t *event = text == NULL ? NULL : sp_event_shape(&item);
        sp_free(text);
        if (event != NULL) {
            json_array_append_new(list, event);
        }
    }
    return list;
}

static void on_entry(void *self, sp_err err, sp_span body)
{
    const reading *r = self;
    sp_ledger_entry entry = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_entry_read(body, &entry);
    }
    if (sp_failed(err)) {
        sp_events_answer_failed(r->req, err);
        return;
    }
    json_t *batch = json_loadb((const char *)entry.json.ptr, entry.json.len, 0, NULL);
    json_t *ocsf = ocsf_events(batch);
    json_decref(batch);
    json_t *events = shaped_events(entry.entry, ocsf);
    const json_t *at = json_object_get(json_array_get(events, 0), "at");
    json_t *answer = json_object();
    json_object_set_new(answer, "entry", sp_json_id(entry.entry));
    json_object_set_new(answer, "leaf_hash", base64_of(sp_hash_borrow(&entry.leaf)));
    json_object_set_new(answer, "redacted", json_boolean(entry.state == SP_ENTRY_REDACTED));
    json_object_set_new(answer, "at",
                        at == NULL ? json_null() : json_copy((json_t *)(uintptr_t)at));
    json_object_set_new(answer, "events", events);
    json_object_set_new(answer, "ocsf", ocsf);
    sp_answer_json(r->req, 200, answer);
}

/* The third line of a checkpoint (C2SP tlog-checkpoint). */
static sp_span root_of(sp_span note)
{
    sp_span rest = note;
    sp_span line = SP_SPAN_EMPTY;
    bool found = true;
    for (int i = 0; i < 3; i++) {
        found = sp_span_split(&rest, '\n', &line);
    }
    return found ? line : SP_SPAN_EMPTY;
}

/* A proof is shown with the bytes that it is about: the entry first, then the path. */
static void on_proof(void *self, sp_err err, sp_span body)
{
    const reading *r = self;
    sp_ledger_proof *proof = NULL;
    if (!sp_failed(err)) {
        err = sp_arena_alloc(sp_request_arena(r->req), 1, sizeof(*proof), &proof);
    }
    if (!sp_failed(err)) {
        err = sp_ledger_proof_read(body, proof);
    }
    if (sp_failed(err)) {
        sp_events_answer_failed(r->req, err);
        return;
    }
    json_t *path = json_array();
    for (uint16_t i = 0; i < proof->count && i < SP_LEDGER_PROOF_MAX; i++) {
        json_array_append_new(path, base64_of(sp_hash_borrow(&proof->path[i])));
    }
    json_t *answer = json_object();
    json_object_set_new(answer, "entry", sp_json_id(proof->entry));
    json_object_set_new(answer, "tree_size", sp_json_id(proof->tree_size));
    json_object_set_new(answer, "leaf", base64_of(r->record));
    json_object_set_new(answer, "leaf_hash", base64_of(sp_hash_borrow(&proof->leaf)));
    json_object_set_new(answer, "path", path);
    json_object_set_new(answer, "checkpoint", sp_json_span(proof->note));
    json_object_set_new(answer, "root_hash", sp_json_span(root_of(proof->note)));
    json_object_set_new(answer, "key", sp_json_span(r->json));
    sp_answer_json(r->req, 200, answer);
}

static void ask_entry(reading *r, uint16_t kind, sp_on_reply on_reply)
{
    sp_ledger_entry_ask ask = {.reader = sp_events_reader(r->req, "entry in the console"),
                               .entry = r->number};
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_entry_ask_write(&ask, &body);
    sp_ledger_client_call(sp_request_core(r->req)->ledger, kind, sp_buf_borrow(&body), on_reply, r);
}

static void on_fresh_checkpoint(void *self, sp_err err, sp_span body)
{
    reading *r = self;
    (void)body;
    if (sp_failed(err)) {
        sp_events_answer_failed(r->req, err);
        return;
    }
    ask_entry(r, SP_LEDGER_PROOF, on_proof);
}

static void on_proof_key(void *self, sp_err err, sp_span body)
{
    reading *r = self;
    sp_ledger_stats stats = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_stats_read(body, &stats);
    }
    if (!sp_failed(err)) {
        err = sp_arena_copy(sp_request_arena(r->req), stats.verifier_key, &r->json);
    }
    if (sp_failed(err)) {
        sp_events_answer_failed(r->req, err);
        return;
    }
    /* the entry may be younger than the last checkpoint: a new one covers it */
    sp_ledger_client_call(sp_request_core(r->req)->ledger, SP_LEDGER_CHECKPOINT, SP_SPAN_EMPTY,
                          on_fresh_checkpoint, r);
}

static void on_proof_entry(void *self, sp_err err, sp_span body)
{
    reading *r = self;
    sp_ledger_entry entry = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_entry_read(body, &entry);
    }
    if (!sp_failed(err)) {
        err = sp_arena_copy(sp_request_arena(r->req), entry.record, &r->record);
    }
    if (sp_failed(err)) {
        sp_events_answer_failed(r->req, err);
        return;
    }
    sp_ledger_client_call(sp_request_core(r->req)->ledger, SP_LEDGER_STATS, SP_SPAN_EMPTY,
                          on_proof_key, r);
}

static reading *new_reading(sp_request *req)
{
    reading *r = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*r), &r);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return NULL;
    }
    r->req = req;
    if (sp_failed(sp_span_to_u64(sp_request_param(req, 0), INT64_MAX, &r->number))) {
        sp_answer_problem(req, 404, "not_found", "There is no such entry.");
        return NULL;
    }
    return r;
}

static void get_entry(sp_request *req)
{
    reading *r = new_reading(req);
    if (r != NULL) {
        ask_entry(r, SP_LEDGER_ENTRY, on_entry);
    }
}

static void get_proof(sp_request *req)
{
    reading *r = new_reading(req);
    if (r != NULL) {
        ask_entry(r, SP_LEDGER_ENTRY, on_proof_entry);
    }
}

sp_err sp_admin_ledger_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/ledger/events", SP_WHO_AUDIT, get_events, 0},
        {"GET", "/api/v1/admin/ledger/entries/{entry}", SP_WHO_AUDIT, get_entry, 0},
        {"GET", "/api/v1/admin/ledger/entries/{entry}/proof", SP_WHO_AUDIT, get_proof, 0},
        {"GET", "/api/v1/admin/refusals/{reference}", SP_WHO_ANY_ADMIN, get_refusal, 0},
        {"GET", "/api/v1/me/events", SP_WHO_SESSION, get_my_events, 0},
        {"GET", "/api/v1/me/refusals", SP_WHO_SESSION, get_my_refusals, 0},
        {"GET", "/api/v1/me/refusals/{reference}", SP_WHO_SESSION, get_my_refusal, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

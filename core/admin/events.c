/* SPDX-License-Identifier: Apache-2.0
 * From the ledger's OCSF events to the shapes of the API, and paging through them.
 * OWNS nothing. PROCESS core. TRUST the ledger's JSON is bounded. SPEC core/admin/events.h.
 */
#include "core/admin/events.h"

#include "core/admin/shapes.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/ledger_client.h"

/* ---- OCSF -> LedgerEvent ---- */

static json_t *at2(const json_t *object, const char *one, const char *two)
{
    return json_object_get(json_object_get(object, one), two);
}

/* First of the list. */
static json_t *name_of_first(const json_t *object, const char *list)
{
    return json_object_get(json_array_get(json_object_get(object, list), 0), "name");
}

static void keep(json_t *to, const char *key, json_t *value)
{
    bool empty = value == NULL || json_is_null(value) ||
                 (json_is_string(value) && json_string_length(value) == 0);
    if (!empty) {
        json_object_set(to, key, value);
    }
}

static void keep_words(json_t *to, const json_t *ocsf)
{
    static const char *const words[] = {"gate",  "owner",       "posture", "strength",
                                        "class", "verdict",     "reason",  "action",
                                        "kind",  "duration_us", "detail",  "count"};
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        keep(to, words[i], at2(ocsf, "unmapped", words[i]));
    }
}

static void set_times(json_t *to, const json_t *ocsf)
{
    static const char *const severities[] = {"info", "low", "medium", "high", "critical"};
    json_int_t when_ms = json_integer_value(json_object_get(ocsf, "time"));
    json_int_t severity = json_integer_value(json_object_get(ocsf, "severity_id"));
    bool known = severity >= 1 && severity <= (json_int_t)SP_COUNT(severities);
    json_object_set_new(to, "severity", json_string(known ? severities[severity - 1] : "info"));
    auto_buf sp_buf time = sp_buf_make(64);
    sp_buf_time(&time, when_ms < 0 ? 0 : (uint64_t)when_ms * 1000);
    json_object_set_new(to, "at", sp_json_span(sp_buf_borrow(&time)));
}

static void set_object(json_t *to, const json_t *ocsf)
{
    const json_t *http = json_object_get(ocsf, "http_request");
    keep(to, "message", json_object_get(ocsf, "message"));
    keep(to, "object", json_object_get(ocsf, "message"));
    keep(to, "object", at2(ocsf, "app", "name"));
    keep(to, "object", at2(ocsf, "entity", "name"));
    keep(to, "object", at2(http, "url", "path"));
    keep(to, "method", json_object_get(ocsf, "activity_name"));
    keep(to, "method", json_object_get(http, "http_method"));
    keep(to, "resource", name_of_first(ocsf, "resources"));
    keep(to, "resource", name_of_first(ocsf, "web_resources"));
    if (json_object_get(to, "object") == NULL) {
        keep(to, "object", at2(ocsf, "user", "name"));
    }
    const json_t *status = json_object_get(ocsf, "status_code");
    uint64_t number = 0;
    if (!sp_failed(sp_span_to_u64(sp_span_cstr(json_string_value(status)), 65535, &number))) {
        json_object_set_new(to, "status", json_integer((json_int_t)number));
    }
}

json_t *sp_event_shape(const sp_ledger_item *item)
{
    json_t *ocsf = json_loadb((const char *)item->json.ptr, item->json.len, 0, NULL);
    if (ocsf == NULL) {
        return NULL;
    }
    json_t *event = json_object();
    json_object_set_new(event, "entry", sp_json_id(item->entry));
    json_object_set_new(event, "position", json_integer(item->at));
    json_object_set_new(event, "kind", json_string("admin"));
    set_times(event, ocsf);
    set_object(event, ocsf);
    keep_words(event, ocsf);
    keep(event, "sequence", at2(ocsf, "metadata", "sequence"));
    keep(event, "reference", at2(ocsf, "metadata", "uid"));
    keep(event, "person", at2(json_object_get(ocsf, "actor"), "user", "name"));
    keep(event, "session", at2(json_object_get(ocsf, "actor"), "session", "uid"));
    keep(event, "device", at2(ocsf, "device", "name"));
    keep(event, "rule", at2(ocsf, "policy", "name"));
    keep(event, "policy_version", at2(ocsf, "policy", "version"));
    keep(event, "bytes_in", at2(ocsf, "proxy_traffic", "bytes_in"));
    keep(event, "bytes_out", at2(ocsf, "proxy_traffic", "bytes_out"));
    keep(event, "peer", at2(ocsf, "src_endpoint", "ip"));
    json_decref(ocsf);
    return event;
}

/* ---- LedgerEvent -> Refusal ---- */

typedef struct {
    sp_reason reason;
    const char *mends[2];
} mend;

static const mend mends[] = {
    {SP_REASON_NO_SESSION, {"sign_in"}},
    {SP_REASON_SESSION_ENDED, {"sign_in"}},
    {SP_REASON_SESSION_DEVICE, {"sign_in"}},
    {SP_REASON_STRENGTH, {"step_up", "add_passkey"}},
    {SP_REASON_DEVICE_UNKNOWN, {"enrol_device", "use_company_device"}},
    {SP_REASON_DEVICE_OWNER, {"use_company_device"}},
    {SP_REASON_DEVICE_POSTURE, {"fix_posture"}},
    {SP_REASON_DEVICE_PENDING, {"ask_security"}},
    {SP_REASON_DEVICE_QUARANTINE, {"ask_security"}},
    {SP_REASON_DEVICE_REVOKED, {"enrol_device", "ask_security"}},
    {SP_REASON_HOURS, {"wait_for_hours"}},
    {SP_REASON_NETWORK, {"use_office_network"}},
    {SP_REASON_APPROVAL, {"wait_for_approval"}},
    {SP_REASON_UNRECORDED, {"retry_later"}},
    {SP_REASON_UNAVAILABLE, {"retry_later"}},
    {SP_REASON_LIMIT, {"retry_later"}},
    {SP_REASON_CUT, {"ask_security"}},
    {SP_REASON_DUTY, {"ask_security"}},
};

static json_t *mends_of(const char *reason)
{
    json_t *list = json_array();
    for (size_t i = 0; i < SP_COUNT(mends); i++) {
        bool same = sp_span_eq(sp_span_cstr(reason), sp_span_cstr(sp_reason_word(mends[i].reason)));
        for (size_t m = 0; same && m < SP_COUNT(mends[i].mends); m++) {
            if (mends[i].mends[m] != NULL) {
                json_array_append_new(list, json_string(mends[i].mends[m]));
            }
        }
    }
    if (json_array_size(list) == 0) {
        json_array_append_new(list, json_string("ask_owner"));
        json_array_append_new(list, json_string("ask_security"));
    }
    return list;
}

json_t *sp_refusal_shape(const sp_core *core, const json_t *event)
{
    static const char *const same[] = {"reference", "at",     "resource", "action",
                                       "method",    "object", "reason",   "rule",
                                       "owner",     "class",  "strength", "verdict"};
    json_t *refusal = json_object();
    for (size_t i = 0; i < SP_COUNT(same); i++) {
        keep(refusal, same[i], json_object_get(event, same[i]));
    }
    const char *reason = json_string_value(json_object_get(event, "reason"));
    json_object_set_new(refusal, "mends", mends_of(reason));
    const sp_policy *policy = sp_policy_set_view(sp_documents_set(core->state->documents));
    sp_span name = sp_span_cstr(json_string_value(json_object_get(event, "resource")));
    uint32_t resource = sp_policy_resource_find(policy, name);
    sp_web_resource web;
    if (resource != SP_NONE && sp_policy_web_resource(policy, resource, &web)) {
        auto_buf sp_buf url = sp_buf_make(1024);
        sp_state_url(core, web.host, &url);
        sp_buf_byte(&url, '/');
        json_object_set_new(refusal, "url", sp_json_span(sp_buf_borrow(&url)));
        json_t *title = json_object();
        json_object_set_new(title, "en", sp_json_span(web.title_en.len > 0 ? web.title_en : name));
        json_object_set_new(title, "zh", sp_json_span(web.title_zh));
        json_object_set_new(refusal, "title", title);
    }
    return refusal;
}

/* ---- asking ---- */

void sp_events_answer_failed(sp_request *req, sp_err err)
{
    if (err.code == SP_EAGAIN || err.code == SP_ECLOSED || err.code == SP_ETIMEOUT) {
        sp_answer_problem(req, 503, "unavailable",
                          "The ledger does not answer now. Try again in a moment.");
    } else {
        sp_answer_failed(req, err);
    }
}

typedef struct {
    sp_request *req;
    sp_event_fn shape;
    bool one;
} asking;

static json_t *shape_items(const asking *ask, const sp_ledger_found *found)
{
    json_t *items = json_array();
    sp_span rest = found->items;
    sp_ledger_item item;
    while (sp_ledger_found_next(&rest, &item)) {
        json_t *event = sp_event_shape(&item);
        if (event != NULL && ask->shape != NULL) {
            json_t *shaped = ask->shape(sp_request_core(ask->req), event);
            json_decref(event);
            event = shaped;
        }
        if (event != NULL) {
            json_array_append_new(items, event);
        }
    }
    return items;
}

static void on_found(void *self, sp_err err, sp_span body)
{
    const asking *ask = self;
    sp_ledger_found found = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    if (sp_failed(err)) {
        sp_events_answer_failed(ask->req, err);
        return;
    }
    json_t *items = shape_items(ask, &found);
    if (ask->one && json_array_size(items) == 0) {
        sp_answer_problem(ask->req, 404, "not_found", "There is no such entry that you may see.");
    } else if (ask->one) {
        sp_answer_json(ask->req, 200, json_incref(json_array_get(items, 0)));
    } else {
        json_t *next = !found.more ? json_null()
                                   : json_sprintf("%llu.%u", (unsigned long long)found.before_entry,
                                                  (unsigned)found.before_at);
        json_t *answer = json_object();
        json_object_set(answer, "items", items);
        json_object_set_new(answer, "next", next);
        sp_answer_json(ask->req, 200, answer);
    }
    json_decref(items);
}

static void ask_ledger(sp_request *req, const sp_ledger_search *search, sp_event_fn shape, bool one)
{
    asking *ask = NULL;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_search_write(search, &body);
    sp_err err = sp_buf_error(&body);
    if (!sp_failed(err)) {
        err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*ask), &ask);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    *ask = (asking){req, shape, one};
    sp_ledger_client_call(sp_request_core(req)->ledger, SP_LEDGER_SEARCH, sp_buf_borrow(&body),
                          on_found, ask);
}

void sp_events_answer(sp_request *req, const sp_ledger_search *search, sp_event_fn shape)
{
    ask_ledger(req, search, shape, false);
}

void sp_events_answer_one(sp_request *req, const sp_ledger_search *search, sp_event_fn shape)
{
    ask_ledger(req, search, shape, true);
}

static bool read_cursor(sp_span text, sp_ledger_search *search)
{
    sp_span rest = text;
    sp_span entry = SP_SPAN_EMPTY;
    uint64_t at = 0;
    if (!sp_span_split(&rest, '.', &entry) ||
        sp_failed(sp_span_to_u64(entry, UINT64_MAX, &search->before_entry)) ||
        sp_failed(sp_span_to_u64(rest, UINT16_MAX, &at))) {
        return false;
    }
    search->before_at = (uint16_t)at;
    return true;
}

static bool read_time(sp_request *req, const char *name, uint64_t *ret_unix_us)
{
    sp_span text = sp_request_query(req, name);
    uint64_t unix_s = 0;
    if (text.len == 0) {
        return true;
    }
    if (!sp_admin_time(text, &unix_s)) {
        sp_answer_invalid(req, name, "a time like 2026-03-01T08:00:00Z");
        return false;
    }
    *ret_unix_us = unix_s * 1000000;
    return true;
}

bool sp_events_page(sp_request *req, sp_ledger_search *search)
{
    uint64_t limit = 0;
    sp_span cursor = sp_request_query(req, "cursor");
    search->before_entry = UINT64_MAX;
    if (!sp_request_limit(req, &limit)) {
        return false;
    }
    if (cursor.len > 0 && !read_cursor(cursor, search)) {
        sp_answer_invalid(req, "cursor", "the value of next");
        return false;
    }
    search->limit = (uint16_t)limit;
    return read_time(req, "from", &search->from_unix_us) &&
           read_time(req, "to", &search->to_unix_us);
}

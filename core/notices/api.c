/* SPDX-License-Identifier: Apache-2.0
 * Notices for administrators: sent, previewed, listed, with everybody's state.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml
 * "admin/notices".
 */
#include "core/notices/inside.h"

#include "core/http/json.h"
#include "infra/proc/clock.h"

enum { LIST_MAX = 100, WHY_ROOM_BYTES = 512 };

static const char *const stage_words[NOTICE_STATE_COUNT] = {"preparing", "sending", "finished"};
static const char *const delivery_words[DELIVERY_STATE_COUNT] = {"waiting", "handed_over",
                                                                 "not_reached"};

/* ---- one ---- */

static json_t *values_json(const notice_row *n)
{
    json_t *values = json_object();
    for (size_t i = 0; i < json_array_size(n->values); i++) {
        const json_t *one = json_array_get(n->values, i);
        json_object_set(values, json_string_value(json_array_get(one, 0)), json_array_get(one, 2));
    }
    return values;
}

static json_t *title_json(sp_core *core, const notice_row *n, bool zh)
{
    auto_notice_text notice_text text = {0};
    sp_err err = notice_render(core, n, SP_SPAN_LIT("…"), SP_SPAN_LIT("https://…"),
                               SP_CHANNEL_EMAIL, !zh, zh, &text);
    return sp_json_span(sp_failed(err) ? n->name : sp_buf_borrow(&text.title));
}

static json_t *notice_json(sp_core *core, const notice_row *n)
{
    sp_notice_state s = {0};
    SP_IGNORE(notice_counts(core->store, n->id, &s)); /* shown as none */
    return json_pack("{s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:b, "
                     "s:o, s:o, s:{s:I, s:I, s:I, "
                     "s:I, s:I}}",
                     "id", sp_json_id(n->id), "notice", sp_json_span(n->name), "audience",
                     sp_json_span(n->audience), "title", title_json(core, n, false), "titles", "en",
                     title_json(core, n, false), "zh", title_json(core, n, true), "state",
                     stage_words[n->stage % NOTICE_STATE_COUNT], "severity",
                     sp_severity_word((sp_severity)n->severity), "drill", n->drill, "sender",
                     sp_json_span(n->sender), "sent_at", sp_json_time(n->created_unix_s),
                     "expires_at", sp_json_time(n->expires_unix_s), "acknowledge_by",
                     sp_json_time(n->within_s == 0 ? 0 : n->created_unix_s + n->within_s),
                     "escalated", n->escalated && n->then.len > 0, "values", values_json(n),
                     "incident", n->incident == 0 ? json_null() : sp_json_id(n->incident), "counts",
                     "people", (json_int_t)s.people, "waiting", (json_int_t)s.waiting,
                     "handed_over", (json_int_t)s.handed, "not_reached", (json_int_t)s.unreached,
                     "acknowledged", (json_int_t)s.acknowledged);
}

static void answer_notice(sp_request *req, unsigned status, uint64_t id)
{
    sp_core *core = sp_request_core(req);
    auto_notice notice_row n = {0};
    sp_err err = notice_row_load(core->store, id, &n);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, status, notice_json(core, &n));
    }
}

static void get_one(sp_request *req)
{
    uint64_t id = 0;
    if (!sp_request_param_u64(req, 0, &id)) {
        sp_answer_failed(req, sp_fail(SP_ENOTFOUND));
    } else {
        answer_notice(req, 200, id);
    }
}

/* ---- lists ---- */

static void get_list(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    uint64_t ids[LIST_MAX];
    size_t count = 0;
    json_t *items = json_array();
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT id FROM notice ORDER BY id DESC LIMIT $1");
    sp_bind_u64(&q, LIST_MAX);
    while (count < LIST_MAX && sp_query_row(&q)) {
        ids[count++] = sp_col_u64(&q);
    }
    sp_err err = sp_query_finish(&q);
    for (size_t i = 0; i < count && !sp_failed(err); i++) {
        auto_notice notice_row n = {0};
        err = notice_row_load(core->store, ids[i], &n);
        if (!sp_failed(err)) {
            json_array_append_new(items, notice_json(core, &n));
        }
    }
    sp_answer_read(req, err, items);
}

static json_t *delivery_json(sp_query *q)
{
    json_t *one = json_object();
    uint64_t person = sp_col_u64(q);
    json_object_set_new(one, person == 0 ? "post" : "person", sp_json_span(sp_col_text(q)));
    json_object_set_new(one, "channel", sp_json_span(sp_col_text(q)));
    json_object_set_new(one, "address", sp_json_span(sp_col_text(q)));
    json_object_set_new(one, "why", sp_json_span(sp_col_text(q)));
    uint64_t stage = sp_col_u64(q);
    json_object_set_new(one, "state", json_string(delivery_words[stage % DELIVERY_STATE_COUNT]));
    json_object_set_new(one, "attempts", json_integer((json_int_t)sp_col_u64(q)));
    uint64_t next_unix_s = sp_col_u64(q);
    json_object_set_new(one, "next_at", sp_json_time(stage == 0 ? next_unix_s : 0));
    json_object_set_new(one, "ended_at", sp_json_time(sp_col_u64(q)));
    json_object_set_new(one, "acknowledged_at", sp_json_time(sp_col_u64(q)));
    return one;
}

/* Of the query's state: a number, or any. */
static bool stage_of(sp_request *req, uint64_t *ret_from, uint64_t *ret_to)
{
    sp_span word = sp_request_query(req, "state");
    *ret_from = 0;
    *ret_to = DELIVERY_STATE_COUNT;
    if (word.len == 0) {
        return true;
    }
    for (uint64_t i = 0; i < DELIVERY_STATE_COUNT; i++) {
        if (sp_span_eq(word, sp_span_cstr(delivery_words[i]))) {
            *ret_from = i;
            *ret_to = i;
            return true;
        }
    }
    sp_answer_invalid(req, "state", "waiting, handed_over or not_reached");
    return false;
}

/* In order of ids, which are those of names: a page's cursor is the last id. Not reached are those
 * who have not acknowledged either. */
static void get_people(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    uint64_t id = 0;
    uint64_t limit = 0;
    uint64_t from = 0;
    uint64_t to = 0;
    uint64_t after = 0;
    uint64_t last = 0;
    sp_span cursor = sp_request_query(req, "cursor");
    if (!sp_request_limit(req, &limit) || !stage_of(req, &from, &to)) {
        return;
    }
    if (!sp_request_param_u64(req, 0, &id) ||
        (cursor.len > 0 && sp_failed(sp_span_to_u64(cursor, INT64_MAX, &after)))) {
        sp_answer_failed(req, sp_fail(SP_ENOTFOUND));
        return;
    }
    json_t *items = json_array();
    auto_query sp_query q = sp_query_of(
        core->store, "SELECT id, person, person_name, channel, address, why, stage, attempts, next,"
                     " ended, acked FROM delivery WHERE notice = $1 AND stage >= $2 AND stage <= $3"
                     " AND id > $4 AND (stage < 2 OR acked = 0 OR $2 < $3) ORDER BY id LIMIT $5");
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, from);
    sp_bind_u64(&q, to);
    sp_bind_u64(&q, after);
    sp_bind_u64(&q, limit);
    while (sp_query_row(&q)) {
        last = sp_col_u64(&q);
        json_array_append_new(items, delivery_json(&q));
    }
    sp_err err = sp_query_finish(&q);
    auto_buf sp_buf next = sp_buf_make(32);
    auto_free char *text = NULL;
    if (json_array_size(items) >= limit) {
        sp_buf_u64_text(&next, last);
        err = sp_failed(err) ? err : sp_buf_take_cstr(&next, &text);
    }
    if (sp_failed(err)) {
        json_decref(items);
        sp_answer_failed(req, err);
    } else {
        sp_answer_page(req, items, text);
    }
}

/* ---- what there is ---- */

static json_t *variables_json(const sp_policy_notice *doc)
{
    json_t *all = json_array();
    for (size_t i = 0; i < doc->variables_count; i++) {
        const sp_notice_value *v = &doc->variables[i];
        json_array_append_new(all, json_pack("{s:o, s:s, s:o}", "name", sp_json_span(v->name),
                                             "kind", sp_value_kind_words[v->kind], "sample",
                                             sp_json_span(v->text)));
    }
    return all;
}

static void get_templates(sp_request *req)
{
    const sp_policy_set *set = sp_documents_set(sp_request_core(req)->state->documents);
    json_t *notices = json_array();
    json_t *audiences = json_array();
    for (size_t i = 0; i < sp_policy_set_notice_count(set); i++) {
        sp_policy_notice doc;
        sp_policy_set_notice_at(set, i, &doc);
        json_array_append_new(notices, json_pack("{s:o, s:{s:o, s:o}, s:o, s:s, s:o, s:b}", "name",
                                                 sp_json_span(doc.name), "title", "en",
                                                 sp_json_span(doc.title[SP_LANGUAGE_EN]), "zh",
                                                 sp_json_span(doc.title[SP_LANGUAGE_ZH]),
                                                 "audience", sp_json_span(doc.audience), "severity",
                                                 sp_severity_word((sp_severity)doc.severity),
                                                 "variables", variables_json(&doc),
                                                 "must_acknowledge", doc.within_s > 0));
    }
    for (size_t i = 0; i < sp_policy_set_audience_count(set); i++) {
        json_array_append_new(
            audiences, sp_json_span(sp_policy_audience_name(sp_policy_set_audience_at(set, i))));
    }
    sp_answer_json(req, 200, json_pack("{s:o, s:o}", "notices", notices, "audiences", audiences));
}

/* ---- sending ---- */

typedef struct {
    sp_notice_ask ask;
    sp_notice_pair pairs[SP_NOTICE_VALUES_MAX];
} sending;

static bool read_values(sp_request *req, const json_t *values, sending *s)
{
    const char *name = NULL;
    json_t *value = NULL;
    if (values != NULL &&
        (!json_is_object(values) || json_object_size(values) > SP_NOTICE_VALUES_MAX)) {
        sp_answer_invalid(req, "values", "an object of at most 32 texts");
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)values, name, value)
    {
        if (!json_is_string(value)) {
            sp_answer_invalid(req, "values", "texts");
            return false;
        }
        s->pairs[s->ask.values_count++] = (sp_notice_pair){
            sp_span_cstr(name), sp_span_of(json_string_value(value), json_string_length(value))};
    }
    s->ask.values = s->pairs;
    return true;
}

/* NULL: answered. */
static sending *read_sending(sp_request *req)
{
    sending *s = NULL;
    const json_t *values = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*s), &s))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return NULL;
    }
    const sp_field fields[] = {
        SP_FIELD_TEXT("notice", &s->ask.notice, 1, SP_NAME_MAX_BYTES),
        SP_FIELD_TEXT_OPT("audience", &s->ask.audience, 0, SP_NAME_MAX_BYTES),
        SP_FIELD_BOOL_OPT("drill", &s->ask.drill), SP_FIELD_JSON_OPT("values", &values)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !read_values(req, values, s)) {
        return NULL;
    }
    s->ask.by = sp_request_by(req);
    return s;
}

static void answer_send(sp_request *req, sp_err err, const sp_buf *why)
{
    sp_span said = sp_buf_borrow(why);
    if (said.len == 0) {
        sp_answer_failed(req, err);
    } else if (err.code == SP_ELIMIT) {
        sp_answer_problem(req, 409, "conflict", "%.*s", SP_SPAN_ARG(said));
    } else {
        sp_answer_problem(req, err.code == SP_ENOTFOUND ? 404 : 422,
                          err.code == SP_ENOTFOUND ? "not_found" : "invalid", "%.*s",
                          SP_SPAN_ARG(said));
    }
}

static void go_send(sp_request *req, void *data)
{
    const sending *s = data;
    uint64_t id = 0;
    auto_buf sp_buf why = sp_buf_make(WHY_ROOM_BYTES);
    sp_err err = sp_notices_send(sp_request_core(req), &s->ask, &why, &id);
    if (sp_failed(err)) {
        answer_send(req, err, &why);
    } else {
        answer_notice(req, 201, id);
    }
}

static void post_notice(sp_request *req)
{
    sending *s = read_sending(req);
    if (s == NULL) {
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_NOTICE);
    event.method = SP_SPAN_LIT("send");
    event.rule = s->ask.notice;
    event.object = s->ask.audience;
    sp_request_record(req, &event, go_send, s);
}

/* ---- preview ---- */

static sp_err preview(sp_core *core, const sending *s, sp_channel_kind kind, json_t *all)
{
    static const char *const words[SP_LANGUAGE_COUNT] = {"en", "zh"};
    notice_row row = {
        .sender = s->ask.by, .created_unix_s = sp_now_unix_us() / 1000000, .drill = s->ask.drill};
    auto_buf sp_buf link = sp_buf_make(1024);
    sp_buf_fmt(&link, "%s/notices", core->portal_origin);
    TRY(notice_freeze(core, &s->ask, &row));
    for (sp_language l = SP_LANGUAGE_EN; l < SP_LANGUAGE_COUNT; l++) {
        auto_notice_text notice_text text = {0};
        sp_err err = notice_render(core, &row, SP_SPAN_LIT("Ann"), sp_buf_borrow(&link), kind,
                                   l == SP_LANGUAGE_EN, l == SP_LANGUAGE_ZH, &text);
        if (!sp_failed(err)) {
            json_object_set_new(all, words[l],
                                json_pack("{s:o, s:o, s:o}", "title",
                                          sp_json_span(sp_buf_borrow(&text.title)), "text",
                                          sp_json_span(sp_buf_borrow(&text.text)), "html",
                                          sp_json_span(sp_buf_borrow(&text.html))));
        }
    }
    json_decref(row.texts);
    json_decref(row.values);
    return sp_ok();
}

static sp_channel_kind kind_of(sp_span word)
{
    for (unsigned i = 0; i < SP_CHANNEL_COUNT; i++) {
        if (sp_span_eq(word, sp_span_cstr(sp_channel_kind_words[i]))) {
            return (sp_channel_kind)i;
        }
    }
    return SP_CHANNEL_EMAIL;
}

static void post_preview(sp_request *req)
{
    sending *s = read_sending(req);
    if (s == NULL) {
        return;
    }
    json_t *all = json_object();
    sp_err err = preview(sp_request_core(req), s, kind_of(sp_request_query(req, "via")), all);
    if (sp_failed(err)) {
        json_decref(all);
        sp_answer_problem(req, 404, "not_found", "There is no Notice of this name.");
    } else {
        sp_answer_json(req, 200, all);
    }
}

sp_err notice_api_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/notices", SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_LOCAL, get_list,
         0},
        {"POST", "/api/v1/admin/notices", SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH,
         post_notice, 0},
        {"GET", "/api/v1/admin/notices/templates", SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_LOCAL,
         get_templates, 0},
        {"POST", "/api/v1/admin/notices/preview", SP_WHO_SECURITY | SP_WHO_LOCAL, post_preview, 0},
        {"GET", "/api/v1/admin/notices/{id}", SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_LOCAL,
         get_one, 0},
        {"GET", "/api/v1/admin/notices/{id}/people", SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_LOCAL,
         get_people, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

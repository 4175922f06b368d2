/* SPDX-License-Identifier: Apache-2.0
 * Reading and acknowledging: the inbox of the portal, the signed link, what happens when nobody
 * does; and the end of a notice.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; the signature of a link is the only thing
 * that a stranger can show. SPEC docs/api/openapi.yaml "notices", docs/NOTICES.md "Acknowledging".
 */
#include "core/notices/inside.h"

#include "core/approvals/approvals.h"
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/incidents/incidents.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum {
    INBOX_MAX = 50,
    LOOKED_AT = 64,
    NAMES_AN_EVENT = 150,
    DETAIL_BYTES = 11 * 1024,
    EXPIRED_AT_ONCE = 256,
    IN_HAND_S = 600
};

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- the inbox ---- */

typedef struct {
    uint64_t delivery;
    uint64_t notice;
    uint64_t acked_unix_s;
    uint8_t stage;
} letter;

static sp_err load_letters(sp_store *store, uint32_t person, letter *letters, size_t *ret_count)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id, notice, acked, stage FROM delivery WHERE person = $1"
                           " ORDER BY id DESC LIMIT $2");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, INBOX_MAX);
    *ret_count = 0;
    while (*ret_count < INBOX_MAX && sp_query_row(&q)) {
        letter *l = &letters[(*ret_count)++];
        l->delivery = sp_col_u64(&q);
        l->notice = sp_col_u64(&q);
        l->acked_unix_s = sp_col_u64(&q);
        l->stage = (uint8_t)sp_col_u64(&q);
    }
    return sp_query_finish(&q);
}

static json_t *buf_json(const sp_buf *text)
{
    return sp_json_span(sp_buf_borrow(text));
}

/* {"en": {title, text}, "zh": {..}} as plain text. */
static json_t *texts_json(sp_core *core, const notice_row *notice, sp_span reader)
{
    static const char *const words[SP_LANGUAGE_COUNT] = {"en", "zh"};
    auto_buf sp_buf link = sp_buf_make(1024);
    json_t *all = json_object();
    sp_buf_fmt(&link, "%s/notices", core->portal_origin);
    for (sp_language l = SP_LANGUAGE_EN; l < SP_LANGUAGE_COUNT; l++) {
        auto_notice_text notice_text text = {0};
        if (!sp_failed(notice_render(core, notice, reader, sp_buf_borrow(&link), SP_CHANNEL_EMAIL,
                                     l == SP_LANGUAGE_EN, l == SP_LANGUAGE_ZH, &text))) {
            json_object_set_new(all, words[l],
                                json_pack("{s:o, s:o}", "title", buf_json(&text.title), "text",
                                          buf_json(&text.text)));
        }
    }
    return all;
}

static json_t *letter_json(sp_core *core, const letter *l, const notice_person *person)
{
    auto_notice notice_row n = {0};
    if (sp_failed(notice_row_load(core->store, l->notice, &n))) {
        return NULL;
    }
    sp_span reader = sp_span_cstr(person->display[0] != '\0' ? person->display : person->name);
    return json_pack("{s:o, s:o, s:o, s:o, s:s, s:b, s:b, s:b, s:o, s:o, s:o}", "id",
                     sp_json_id(l->delivery), "notice", sp_json_id(n.id), "name",
                     sp_json_span(n.name), "texts", texts_json(core, &n, reader), "severity",
                     sp_severity_word((sp_severity)n.severity), "drill", n.drill, "banner",
                     n.banner && now_s() < n.expires_unix_s, "must_acknowledge", n.within_s > 0,
                     "sender", sp_json_span(n.sender), "sent_at", sp_json_time(n.created_unix_s),
                     "acknowledged_at", sp_json_time(l->acked_unix_s));
}

static void get_inbox(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    letter letters[INBOX_MAX];
    size_t count = 0;
    notice_person person;
    json_t *items = json_array();
    sp_err err = notice_person_load(core->store, sp_request_person(req), &person);
    if (!sp_failed(err)) {
        err = load_letters(core->store, person.id, letters, &count);
    }
    for (size_t i = 0; i < count && !sp_failed(err); i++) {
        json_t *one = letter_json(core, &letters[i], &person);
        if (one != NULL) {
            json_array_append_new(items, one);
        }
    }
    sp_answer_read(req, err, items);
}

/* ---- acknowledging ---- */

static sp_err keep_ack(sp_store *store, uint64_t id)
{
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE delivery SET acked = $1 WHERE id = $2 AND acked = 0");
    sp_bind_u64(&q, now_s());
    sp_bind_u64(&q, id);
    return sp_query_finish(&q);
}

static void go_ack(sp_request *req, void *data)
{
    sp_core *core = sp_request_core(req);
    const delivery_row *d = data;
    sp_err err = keep_ack(core->store, d->id);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    notice_queue_wake(core->notices->queue);
    sp_sse_publish(core, SP_TOPIC_ME, d->person, "me", json_pack("{s:s}", "what", "notices"));
    sp_answer_json(req, 200, json_pack("{s:o}", "acknowledged_at", sp_json_time(now_s())));
}

/* way: "portal" or "link". */
static void acknowledge(sp_request *req, delivery_row *d, const char *way)
{
    auto_buf sp_buf detail = sp_buf_make(256);
    if (d->acked_unix_s != 0) {
        sp_answer_json(req, 200,
                       json_pack("{s:o}", "acknowledged_at", sp_json_time(d->acked_unix_s)));
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_NOTICE);
    sp_buf_fmt(&detail, "{\"notice\":\"%llu\",\"by\":\"%s\"}", (unsigned long long)d->notice, way);
    event.method = SP_SPAN_LIT("acknowledged");
    event.person = d->person;
    event.person_name = d->person_name;
    event.count = d->notice;
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, go_ack, d);
}

static delivery_row *load_for(sp_request *req, uint64_t id)
{
    delivery_row *d = NULL;
    sp_arena *arena = sp_request_arena(req);
    if (sp_failed(sp_arena_alloc(arena, 1, sizeof(*d), &d)) ||
        sp_failed(delivery_load(sp_request_core(req)->store, arena, id, d))) {
        return NULL;
    }
    return d;
}

static void post_mine(sp_request *req)
{
    uint64_t id = 0;
    delivery_row *d = sp_request_param_u64(req, 0, &id) ? load_for(req, id) : NULL;
    if (d == NULL || d->person != sp_request_person(req)) {
        sp_answer_problem(req, 404, "not_found", "There is no such notice to you.");
    } else {
        acknowledge(req, d, "portal");
    }
}

/* "<delivery>.<signature>": whoever has the mail may say that it was read, and nothing else. */
static void post_link(sp_request *req)
{
    sp_span token = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("token", &token, 3, 64)};
    uint64_t id = 0;
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    size_t dot = sp_span_index(token, '.');
    sp_span signature = sp_span_slice(token, dot + 1, token.len);
    delivery_row *d = sp_failed(sp_span_to_u64(sp_span_slice(token, 0, dot), INT64_MAX, &id))
                          ? NULL
                          : load_for(req, id);
    if (d == NULL || !notice_token_ok(sp_request_core(req), d, signature)) {
        sp_answer_problem(req, 404, "not_found",
                          "This link is not one of ours, or the notice is no longer kept.");
    } else {
        acknowledge(req, d, "link");
    }
}

/* ---- when nobody does ---- */

static sp_err load_overdue(sp_store *store, uint64_t *ret_ids, size_t *ret_count)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM notice WHERE escalated = 0 AND within_s > 0 AND stage >"
                           " 0 AND created + within_s <= $1 ORDER BY id LIMIT $2");
    sp_bind_u64(&q, now_s());
    sp_bind_u64(&q, LOOKED_AT);
    *ret_count = 0;
    while (*ret_count < LOOKED_AT && sp_query_row(&q)) {
        ret_ids[(*ret_count)++] = sp_col_u64(&q);
    }
    return sp_query_finish(&q);
}

static const char *const not_read[SP_LANGUAGE_COUNT] = {"Nobody has acknowledged: ",
                                                        "尚无人确认："};

static json_t *marked(const json_t *texts)
{
    json_t *copy = json_deep_copy(texts);
    json_t *titles = json_object_get(copy, "title");
    for (sp_language l = SP_LANGUAGE_EN; l < SP_LANGUAGE_COUNT; l++) {
        const char *title = json_string_value(json_array_get(titles, l));
        json_array_set_new(titles, l,
                           json_sprintf("%s%s", not_read[l], title == NULL ? "" : title));
    }
    return copy;
}

static sp_err keep_escalated(sp_core *core, notice_row *notice, bool send)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    auto_query sp_query q =
        sp_query_of(core->store, "UPDATE notice SET escalated = 1 WHERE id = $1");
    sp_bind_u64(&q, notice->id);
    TRY(sp_query_finish_changed(&q));
    if (send) {
        json_t *texts = notice->texts;
        notice->texts = marked(texts);
        sp_err err = notice->texts == NULL ? sp_fail(SP_ENOMEM)
                                           : notice_send_again(core, notice, notice->then);
        json_decref(notice->texts);
        notice->texts = texts;
        TRY(err);
    }
    return sp_txn_commit(&txn);
}

/* Not by whom it is about: he would silence it. */
static sp_err acked_by_another(sp_core *core, const notice_row *notice, bool *ret_acked)
{
    char room[SP_NAME_MAX_BYTES + 1];
    sp_span about = sp_incident_about(core, notice->incident, room);
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT id FROM delivery WHERE notice = $1 AND acked > 0 AND"
                                 " person_name <> $2 LIMIT 1");
    sp_bind_u64(&q, notice->id);
    sp_bind_text(&q, about);
    *ret_acked = sp_query_row(&q);
    return sp_query_finish(&q);
}

static sp_err escalate_one(sp_core *core, uint64_t id)
{
    auto_notice notice_row notice = {0};
    sp_notice_state state;
    TRY(notice_row_load(core->store, id, &notice));
    TRY(notice_counts(core->store, id, &state));
    bool by_another = false;
    TRY(acked_by_another(core, &notice, &by_another));
    bool enough = notice.by_all ? state.people > 0 && state.acknowledged >= state.people
                                : by_another; /* of nobody, all is not enough */
    bool send = !enough && notice.then.len > 0;
    TRY(keep_escalated(core, &notice, send));
    if (!enough) {
        auto_buf sp_buf detail = sp_buf_make(512);
        sp_buf_fmt(&detail, "{\"people\":%llu,\"acknowledged\":%llu,\"then\":",
                   (unsigned long long)state.people, (unsigned long long)state.acknowledged);
        sp_buf_json(&detail, notice.then);
        sp_buf_byte(&detail, '}');
        sp_event event = notice_event("not acknowledged", &notice, sp_buf_borrow(&detail));
        sp_ledger_client_tell(core->ledger, &event);
    }
    core->notices->expanding = core->notices->expanding || send;
    return sp_ok();
}

void notice_escalate(sp_core *core)
{
    uint64_t ids[LOOKED_AT];
    size_t count = 0;
    sp_err err = load_overdue(core->store, ids, &count);
    for (size_t i = 0; i < count && !sp_failed(err); i++) {
        err = escalate_one(core, ids[i]);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "notices that nobody acknowledged were not escalated: %s",
               sp_code_word(err.code));
    }
}

/* ---- the end ---- */

/* Numbers of deliveries that wait, after that one, of notices whose time was over then. What the
 * courier has is not among them: it says what becomes of it. */
static sp_err load_expired(sp_core *core, uint64_t over_unix_s, bool also_moving, uint64_t *after,
                           uint64_t ids[EXPIRED_AT_ONCE], size_t *ret_count)
{
    size_t seen = 0;
    auto_query sp_query q = sp_query_of(
        core->store, "SELECT id, digest FROM delivery WHERE stage = 0 AND id > $1 AND notice IN"
                     " (SELECT id FROM notice WHERE stage = 1 AND expires <= $2) ORDER BY id"
                     " LIMIT $3");
    sp_bind_u64(&q, *after);
    sp_bind_u64(&q, over_unix_s);
    sp_bind_u64(&q, EXPIRED_AT_ONCE);
    *ret_count = 0;
    while (seen < EXPIRED_AT_ONCE && sp_query_row(&q)) {
        uint64_t id = sp_col_u64(&q);
        uint64_t leader = sp_col_u64(&q);
        if (also_moving || !notice_is_moving(core->notices->queue, leader == 0 ? id : leader)) {
            ids[(*ret_count)++] = id;
        }
        *after = id;
        seen++;
    }
    *after = seen < EXPIRED_AT_ONCE ? INT64_MAX : *after;
    return sp_query_finish(&q);
}

static sp_err expire_deliveries(sp_core *core, uint64_t over_unix_s, bool also_moving)
{
    uint64_t ids[EXPIRED_AT_ONCE];
    size_t count = 0;
    for (uint64_t after = 0; after < INT64_MAX;) {
        TRY(load_expired(core, over_unix_s, also_moving, &after, ids, &count));
        for (size_t i = 0; i < count; i++) {
            auto_query sp_query q = sp_query_of(
                core->store, "UPDATE delivery SET stage = 2, ended = $1, digest = 0, why = CASE"
                             " WHEN why = '' THEN 'it expired before its turn came' ELSE why END"
                             " WHERE id = $2");
            sp_bind_u64(&q, now_s());
            sp_bind_u64(&q, ids[i]);
            TRY(sp_query_finish(&q));
        }
    }
    return sp_ok();
}

static sp_err expire(sp_core *core)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    if (notice_courier_is_up(core->notices->queue)) { /* else nobody knows what it has */
        TRY(expire_deliveries(core, now_s(), false));
    }
    TRY(expire_deliveries(core, now_s() - IN_HAND_S, true));
    auto_query sp_query old = sp_query_of(core->store, "DELETE FROM notice WHERE stage = 2 AND"
                                                       " created < $1");
    uint64_t careful_s = sp_approvals_careful_now_s(core); /* it cannot be taken back */
    sp_bind_u64(&old, careful_s - (uint64_t)NOTICE_KEPT_DAYS * 86400);
    TRY(sp_query_finish(&old));
    return sp_txn_commit(&txn);
}

static bool is_waiting(sp_store *store, uint64_t id)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM delivery WHERE notice = $1 AND stage = 0 LIMIT 1");
    sp_bind_u64(&q, id);
    return sp_query_row(&q);
}

static void tell_names(sp_core *core, const notice_row *notice, sp_buf *detail)
{
    sp_buf_text(detail, "]}");
    if (!sp_failed(sp_buf_error(detail))) {
        sp_event event = notice_event("not reached", notice, sp_buf_borrow(detail));
        sp_ledger_client_tell(core->ledger, &event);
    }
    sp_buf_reset(detail);
}

/* Everybody who was not reached, by name, in as many entries as it takes. */
static void tell_unreached(sp_core *core, const notice_row *notice)
{
    auto_buf sp_buf detail = sp_buf_make(DETAIL_BYTES);
    size_t names = 0;
    auto_query sp_query q =
        sp_query_of(core->store, "SELECT person_name FROM delivery WHERE notice = $1 AND stage = 2"
                                 " AND acked = 0 ORDER BY person_name");
    sp_bind_u64(&q, notice->id);
    while (sp_query_row(&q)) {
        sp_buf_text(&detail, names == 0 ? "{\"names\":[" : ",");
        sp_buf_json(&detail, sp_col_text(&q));
        if (++names == NAMES_AN_EVENT) {
            tell_names(core, notice, &detail);
            names = 0;
        }
    }
    if (names > 0) {
        tell_names(core, notice, &detail);
    }
}

static sp_err finish_one(sp_core *core, uint64_t id)
{
    auto_notice notice_row notice = {0};
    sp_notice_state state;
    auto_buf sp_buf detail = sp_buf_make(512);
    if (is_waiting(core->store, id)) {
        return sp_ok();
    }
    TRY(notice_row_load(core->store, id, &notice));
    TRY(notice_counts(core->store, id, &state));
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(notice_row_stage(core->store, id, NOTICE_FINISHED, notice.cursor));
    TRY(sp_txn_commit(&txn));
    sp_buf_fmt(&detail, "{\"people\":%llu,\"handed_over\":%llu,\"not_reached\":%llu}",
               (unsigned long long)state.people, (unsigned long long)state.handed,
               (unsigned long long)state.unreached);
    sp_event event = notice_event("finished", &notice, sp_buf_borrow(&detail));
    sp_ledger_client_tell(core->ledger, &event);
    tell_unreached(core, &notice);
    notice_queue_wake(core->notices->queue);
    return sp_ok();
}

void notice_finish(sp_core *core)
{
    uint64_t ids[LOOKED_AT];
    size_t count = 0;
    sp_err err = expire(core);
    if (!sp_failed(err)) {
        err = notice_ids(core->store, NOTICE_SENDING, ids, LOOKED_AT, &count);
    }
    for (size_t i = 0; i < count && !sp_failed(err); i++) {
        err = finish_one(core, ids[i]);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the end of notices was not kept: %s", sp_code_word(err.code));
    }
}

sp_err notice_ack_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/me/notices", SP_WHO_PERSON, get_inbox, 0},
        {"POST", "/api/v1/me/notices/{id}/acknowledge", SP_WHO_PERSON, post_mine, 0},
        {"POST", "/api/v1/notices/acknowledge", SP_WHO_PUBLIC, post_link, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

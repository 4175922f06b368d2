/* SPDX-License-Identifier: Apache-2.0
 * Recertification: standing grants of the roles that a document names come round. Somebody says
 * that a grant is still needed, or it ends by itself; both are told before.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; who looks is the policy's word.
 * SPEC docs/POLICY.md "Recertification", docs/api/openapi.yaml "/reviews".
 */
#include "core/approvals/inside.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum { DETAIL_ROOM_BYTES = 2048, PAGE_MAX = 256 };

/* One standing grant under review. */
typedef struct {
    uint32_t person;
    uint32_t role;
    uint64_t since_unix_s;
    uint64_t due_unix_s;
    uint64_t told_unix_s;
    uint64_t reviewed_unix_s;
} review;

static sp_err load_review(sp_store *store, uint32_t person, uint32_t role, review *ret_review)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT since, due, told, reviewed FROM review WHERE person = $1 AND role = $2");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, role);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    review r = {.person = person, .role = role};
    r.since_unix_s = sp_col_u64(&q);
    r.due_unix_s = sp_col_u64(&q);
    r.told_unix_s = sp_col_u64(&q);
    r.reviewed_unix_s = sp_col_u64(&q);
    *ret_review = r;
    return sp_query_finish(&q);
}

static sp_err put_review(sp_store *store, const review *r, sp_span by)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO review (person, role, since, due, told, reviewed, reviewed_by) VALUES"
               " ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (person, role) DO UPDATE SET"
               " due = excluded.due, told = excluded.told, reviewed = excluded.reviewed,"
               " reviewed_by = excluded.reviewed_by");
    sp_bind_u64(&q, r->person);
    sp_bind_u64(&q, r->role);
    sp_bind_u64(&q, r->since_unix_s);
    sp_bind_u64(&q, r->due_unix_s);
    sp_bind_u64(&q, r->told_unix_s);
    sp_bind_u64(&q, r->reviewed_unix_s);
    sp_bind_text(&q, by);
    return sp_query_finish(&q);
}

static sp_err drop_review(sp_store *store, uint32_t person, uint32_t role)
{
    auto_query sp_query q =
        sp_query_of(store, "DELETE FROM review WHERE person = $1 AND role = $2");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, role);
    return sp_query_finish(&q);
}

/* ---- the standing grants that documents cover ---- */

typedef struct {
    uint32_t person;
    uint32_t role;
    char person_name[SP_NAME_MAX_BYTES + 1];
    char role_name[SP_NAME_MAX_BYTES + 1];
} standing;

typedef struct {
    sp_core *core;
    const sp_policy_set *set;
    void (*visit)(void *self, const standing *grant, const sp_policy_recertification *by);
    void *self;
} walk;

static void visit_role(const walk *w, const sp_person *person, const sp_policy_role *role)
{
    sp_policy_recertification by;
    if (sp_failed(sp_policy_set_recertification(w->set, role->name, &by)) ||
        sp_grant_is_open(w->core->store, person->id, role->number)) {
        return;
    }
    standing grant = {.person = person->id, .role = role->number};
    if (!sp_failed(
            sp_fit(grant.person_name, sizeof(grant.person_name), sp_span_cstr(person->name))) &&
        !sp_failed(sp_fit(grant.role_name, sizeof(grant.role_name), role->name))) {
        w->visit(w->self, &grant, &by);
    }
}

/* Some people, by name: what is done about them changes the tables they are read from. */
typedef struct {
    uint32_t ids[PAGE_MAX];
    size_t count;
    char last[SP_NAME_MAX_BYTES + 1];
} person_page;

static bool take_person(void *self, const sp_person *person)
{
    person_page *page = self;
    sp_copy(page->last, person->name, sizeof(page->last));
    if (person->state != SP_PERSON_REMOVED) {
        page->ids[page->count++] = person->id;
    }
    return page->count < PAGE_MAX;
}

static void visit_person(const walk *w, uint32_t id)
{
    sp_person person;
    uint64_t held[SP_ROLE_WORDS] = {0};
    if (sp_failed(sp_people_get(w->core->store, id, &person)) ||
        sp_failed(sp_roles_of(w->core->store, id, held))) {
        return;
    }
    for (size_t i = 0; i < sp_policy_set_role_count(w->set); i++) {
        sp_policy_role role;
        if (!sp_failed(sp_policy_set_role(w->set, i, &role)) && sp_roles_hold(held, role.number)) {
            visit_role(w, &person, &role);
        }
    }
}

static sp_err each_standing(const walk *w)
{
    person_page page = {.count = w->set == NULL ? 0 : PAGE_MAX};
    while (page.count == PAGE_MAX) {
        page.count = 0;
        TRY(sp_people_after(w->core->store, sp_span_cstr(page.last), take_person, &page));
        for (size_t i = 0; i < page.count; i++) {
            visit_person(w, page.ids[i]);
        }
    }
    return sp_ok();
}

/* ---- events ---- */

static void review_event(const standing *grant, const sp_policy_recertification *by,
                         const char *method, uint64_t due_unix_s, sp_buf *room, sp_event *event)
{
    sp_buf_reset(room);
    sp_buf_text(room, "{\"holder\":");
    sp_buf_json(room, sp_span_cstr(grant->person_name));
    sp_buf_text(room, ",\"recertification\":");
    sp_buf_json(room, by->name);
    sp_buf_text(room, ",\"due\":\"");
    sp_buf_time(room, due_unix_s * 1000000);
    sp_buf_text(room, "\"}");
    event->when_unix_us = sp_now_unix_us();
    event->kind = SP_EVENT_IDENTITY;
    event->severity = SP_SEVERITY_MEDIUM;
    event->verdict = SP_VERDICT_ALLOW;
    event->action = SP_ACTION_ADMINISTER;
    event->method = sp_span_cstr(method);
    event->object = sp_span_cstr(grant->role_name);
    event->detail = sp_buf_borrow(room);
}

/* ---- time ---- */

static sp_err end_standing(sp_core *core, const standing *grant)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    sp_err err = sp_roles_revoke(core->store, grant->person, grant->role);
    if (sp_failed(err) && err.code != SP_ENOTFOUND) {
        return err;
    }
    TRY(drop_review(core->store, grant->person, grant->role));
    return sp_txn_commit(&txn);
}

static sp_err keep_review(sp_core *core, const review *r, sp_span by)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(put_review(core->store, r, by));
    return sp_txn_commit(&txn);
}

static void say(sp_core *core, const standing *grant, const sp_policy_recertification *by,
                const char *method, uint64_t due_unix_s)
{
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = {.person = grant->person, .person_name = sp_span_cstr(grant->person_name)};
    review_event(grant, by, method, due_unix_s, &room, &event);
    sp_ledger_client_tell(core->ledger, &event);
    sp_sse_publish(core, SP_TOPIC_APPROVALS, 0, "approvals",
                   json_pack("{s:s, s:b}", "kind", "review", "alarm", 0));
}

static sp_err look_at(sp_core *core, const standing *grant, const sp_policy_recertification *by,
                      uint64_t now_unix_s)
{
    review r;
    sp_err err = load_review(core->store, grant->person, grant->role, &r);
    if (err.code == SP_ENOTFOUND) {
        r = (review){.person = grant->person,
                     .role = grant->role,
                     .since_unix_s = now_unix_s,
                     .due_unix_s = now_unix_s + by->every_s};
        return keep_review(core, &r, SP_SPAN_EMPTY);
    }
    TRY(err);
    if (now_unix_s >= r.due_unix_s) {
        TRY(end_standing(core, grant));
        say(core, grant, by, "ungrant", r.due_unix_s);
        sp_sessions_refresh_person(core, grant->person);
        sp_sse_publish(core, SP_TOPIC_PEOPLE, 0, "people",
                       json_pack("{s:o}", "id", json_sprintf("%u", grant->person)));
        return sp_ok();
    }
    if (r.told_unix_s == 0 && now_unix_s + by->warn_s >= r.due_unix_s) {
        r.told_unix_s = now_unix_s;
        TRY(keep_review(core, &r, SP_SPAN_EMPTY));
        say(core, grant, by, "review due", r.due_unix_s);
    }
    return sp_ok();
}

typedef struct {
    sp_core *core;
    uint64_t now_unix_s;
} ticking;

static void tick_one(void *self, const standing *grant, const sp_policy_recertification *by)
{
    const ticking *t = self;
    sp_err err = look_at(t->core, grant, by, t->now_unix_s);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the grant of %s to %s cannot be reviewed: %s", grant->role_name,
               grant->person_name, sp_store_error_text(t->core->store));
    }
}

void sp_reviews_tick(sp_core *core, uint64_t now_unix_s)
{
    ticking t = {core, now_unix_s};
    const walk w = {.core = core,
                    .set = sp_documents_set(core->state->documents),
                    .visit = tick_one,
                    .self = &t};
    sp_err err = each_standing(&w);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "standing grants cannot be reviewed: %s",
               sp_store_error_text(core->store));
    }
}

/* ---- the API ---- */

typedef struct {
    sp_request *req;
    json_t *items;
} listing;

static bool may_review(const sp_request *req, const standing *grant,
                       const sp_policy_recertification *by)
{
    const sp_live_session *session = sp_request_session(req);
    return grant->person != session->person &&
           sp_policy_people_has(&by->by, session->person, session->roles);
}

static void list_one(void *self, const standing *grant, const sp_policy_recertification *by)
{
    listing *list = self;
    review r;
    bool own = grant->person == sp_request_person(list->req);
    bool mine = may_review(list->req, grant, by);
    sp_store *store = sp_request_core(list->req)->store;
    if ((!own && !mine) || sp_failed(load_review(store, grant->person, grant->role, &r))) {
        return;
    }
    json_t *one = json_object();
    json_object_set_new(one, "person", json_sprintf("%u", grant->person));
    json_object_set_new(one, "name", json_string(grant->person_name));
    json_object_set_new(one, "role", json_string(grant->role_name));
    json_object_set_new(one, "recertification", sp_json_span_or_null(by->name));
    json_object_set_new(one, "since_at", sp_json_time(r.since_unix_s));
    json_object_set_new(one, "reviewed_at", sp_json_time(r.reviewed_unix_s));
    json_object_set_new(one, "due_at", sp_json_time(r.due_unix_s));
    json_object_set_new(one, "soon", json_boolean(r.told_unix_s != 0));
    json_object_set_new(one, "can_review", json_boolean(mine));
    json_array_append_new(list->items, one);
}

static void get_reviews(sp_request *req)
{
    listing list = {req, json_array()};
    sp_core *core = sp_request_core(req);
    sp_reviews_tick(core,
                    sp_approvals_careful_now_s(core)); /* so that a new document shows at once */
    const walk w = {.core = core,
                    .set = sp_documents_set(core->state->documents),
                    .visit = list_one,
                    .self = &list};
    sp_err err = each_standing(&w);
    if (sp_failed(err)) {
        json_decref(list.items);
        sp_answer_failed(req, err);
    } else {
        sp_answer_items(req, list.items);
    }
}

typedef struct {
    standing grant;
    sp_policy_recertification by;
    sp_span name;
    sp_span role;
    bool keep;
    bool found;
} deciding;

static void find_one(void *self, const standing *grant, const sp_policy_recertification *by)
{
    deciding *d = self;
    if (sp_span_eq(d->name, sp_span_cstr(grant->person_name)) &&
        sp_span_eq(d->role, sp_span_cstr(grant->role_name))) {
        d->grant = *grant;
        d->by = *by;
        d->found = true;
    }
}

static sp_err take_review(sp_request *req, const deciding *d)
{
    sp_core *core = sp_request_core(req);
    if (!d->keep) {
        TRY(end_standing(core, &d->grant));
        sp_sessions_refresh_person(core, d->grant.person);
        return sp_ok();
    }
    review r;
    TRY(load_review(core->store, d->grant.person, d->grant.role, &r));
    r.reviewed_unix_s = sp_now_unix_us() / 1000000;
    r.due_unix_s = sp_approvals_careful_now_s(core) + d->by.every_s; /* it ends by that clock */
    r.told_unix_s = 0;
    return keep_review(core, &r, sp_span_cstr(sp_request_session(req)->person_name));
}

/* The grant, if it is there and for who asks to look at; else it has been answered. */
static bool need_standing(sp_request *req, deciding *d)
{
    sp_core *core = sp_request_core(req);
    const walk w = {.core = core,
                    .set = sp_documents_set(core->state->documents),
                    .visit = find_one,
                    .self = d};
    d->found = false;
    sp_err err = each_standing(&w);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return false;
    }
    if (!d->found || !may_review(req, &d->grant, &d->by)) {
        sp_answer_problem(req, 404, "not_found",
                          "There is no such standing grant that you are to look at.");
        return false;
    }
    return true;
}

static void go_review(sp_request *req, void *data)
{
    deciding *d = data;
    if (!need_standing(req, d)) { /* roles and documents may be others by now */
        return;
    }
    sp_err err = take_review(req, d);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_empty(req, 204);
    }
}

static void post_review(sp_request *req)
{
    deciding *d = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*d), &d))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("name", &d->name, 1, SP_NAME_MAX_BYTES),
                               SP_FIELD_TEXT("role", &d->role, 1, SP_NAME_MAX_BYTES),
                               SP_FIELD_BOOL("keep", &d->keep)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !need_standing(req, d)) {
        return;
    }
    auto_buf sp_buf room = sp_buf_make(DETAIL_ROOM_BYTES);
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    uint64_t due = sp_now_unix_us() / 1000000 + (d->keep ? d->by.every_s : 0);
    review_event(&d->grant, &d->by, d->keep ? "grant reviewed" : "ungrant", due, &room, &event);
    sp_request_record(req, &event, go_review, d);
}

sp_err sp_reviews_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/reviews", SP_WHO_PERSON, get_reviews, 0},
        {"POST", "/api/v1/reviews", SP_WHO_PERSON | SP_WHO_FRESH, post_review, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

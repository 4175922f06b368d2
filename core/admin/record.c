/* SPDX-License-Identifier: Apache-2.0
 * What a session left in the ledger, living or ended: its events, its connections to databases and
 * its coverage statement. For security and audit administrators, which is written down; and for
 * the person whose session it is.
 *
 * Story: the session's events are read page by page and counted; then the losses and gaps that
 * gates told of while it lived; then the answer is written.
 *
 * OWNS the reading under way. PROCESS core. TRUST requests are hostile; the ledger's replies are
 * bounded. SPEC docs/api/openapi.yaml "SessionRecord".
 */
#include "core/admin/coverage.h"
#include "core/admin/events.h"
#include "core/http/json.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"

enum {
    EVENTS_MAX = 20000,
    LATE_S = 15, /* a ledger notices a silent source after 10 s */
    US_A_SECOND = 1000000
};

typedef struct {
    sp_request *req;
    sp_ledger_search search;
    uint64_t session;
    uint32_t person; /* 0 = anybody's */
    sp_coverage coverage;
    bool is_about_missing; /* the pages of losses and gaps now */
    bool complete;
} reading;

/* ---- the answer ---- */

static void copy(json_t *to, const char *key, const json_t *from, const char *from_key)
{
    json_t *value = json_object_get(from, from_key);
    json_object_set_new(to, key, value == NULL ? json_null() : json_incref(value));
}

/* The session as its events tell of it; a living one as it is now. */
static json_t *session_json(const reading *r)
{
    static const char *const same[] = {"person", "device", "owner", "strength", "peer"};
    sp_session_view view;
    char id[SP_SESSION_ID_TEXT_BYTES];
    bool is_live = sp_sessions_find(sp_request_core(r->req), r->session, &view);
    json_t *session = json_object();
    const json_t *first = r->coverage.first;
    sp_session_id_text(r->session, id);
    json_object_set_new(session, "id", json_string(id));
    json_object_set_new(session, "live", json_boolean(is_live));
    for (size_t i = 0; i < SP_COUNT(same); i++) {
        copy(session, same[i], first, same[i]);
    }
    copy(session, "started_at", first, "at");
    copy(session, "ended_at", r->coverage.end, "at");
    copy(session, "ended_how", r->coverage.end, "method");
    if (is_live) {
        json_object_set_new(session, "person", json_string(view.person_name));
        json_object_set_new(session, "peer", json_string(view.peer));
        json_object_set_new(session, "strength",
                            json_string(sp_strength_word((sp_strength)view.strength)));
        json_object_set_new(session, "started_at", sp_json_time(view.started_unix_s));
    }
    return session;
}

static void answer(reading *r)
{
    sp_session_view view;
    bool is_live = sp_sessions_find(sp_request_core(r->req), r->session, &view) &&
                   (r->person == 0 || view.person == r->person);
    if (r->coverage.events == 0 && !is_live) {
        sp_answer_problem(r->req, 404, "not_found",
                          "The ledger has nothing of such a session that you may see.");
    } else {
        sp_answer_json(r->req, 200,
                       json_pack("{s:o, s:o, s:o}", "session", session_json(r), "connections",
                                 sp_coverage_connections(&r->coverage), "coverage",
                                 sp_coverage_json(&r->coverage, r->complete)));
    }
    sp_coverage_done(&r->coverage);
}

/* ---- reading ---- */

static void ask(reading *r);

static uint64_t time_of(const json_t *event)
{
    uint64_t unix_s = 0;
    const char *at = json_string_value(json_object_get(event, "at"));
    return at != NULL && sp_admin_time(sp_span_cstr(at), &unix_s) ? unix_s : 0;
}

/* From the pages of the session to those of what is missing in its time, at its gates. */
static void ask_missing(reading *r)
{
    sp_session_view view;
    bool is_live = sp_sessions_find(sp_request_core(r->req), r->session, &view);
    uint64_t until = time_of(r->coverage.last);
    const sp_ledger_search search = {.reader = r->search.reader,
                                     .kinds = 1U << SP_EVENT_LOSS | 1U << SP_EVENT_GAP,
                                     .from_unix_us = time_of(r->coverage.first) * US_A_SECOND,
                                     .to_unix_us = is_live ? 0 : (until + LATE_S) * US_A_SECOND,
                                     .goes_on = true, /* the same reading: written down once */
                                     .before_entry = UINT64_MAX,
                                     .limit = SP_LEDGER_PAGE_MAX};
    r->search = search;
    r->is_about_missing = true;
    ask(r);
}

static void take(reading *r, const sp_ledger_found *found)
{
    sp_span rest = found->items;
    sp_ledger_item item;
    while (sp_ledger_found_next(&rest, &item)) {
        json_t *event = sp_event_shape(&item);
        if (event != NULL && r->is_about_missing) {
            sp_coverage_missing(&r->coverage, event);
        } else if (event != NULL) {
            sp_coverage_event(&r->coverage, event);
        }
        json_decref(event);
    }
}

static void on_page(void *self, sp_err err, sp_span body)
{
    reading *r = self;
    sp_ledger_found found = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_found_read(body, &found);
    }
    if (sp_failed(err)) {
        sp_coverage_done(&r->coverage);
        sp_events_answer_failed(r->req, err);
        return;
    }
    take(r, &found);
    bool is_full = r->coverage.events >= EVENTS_MAX;
    if (found.more && !(is_full && !r->is_about_missing)) {
        r->search.before_entry = found.before_entry;
        r->search.before_at = found.before_at;
        ask(r);
    } else if (!r->is_about_missing && r->coverage.gates != 0) {
        r->complete = !found.more;
        ask_missing(r);
    } else {
        r->complete = r->is_about_missing ? r->complete : !found.more;
        answer(r);
    }
}

static void ask(reading *r)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ledger_search_write(&r->search, &body);
    sp_ledger_client_call(sp_request_core(r->req)->ledger, SP_LEDGER_SEARCH, sp_buf_borrow(&body),
                          on_page, r);
}

static bool session_of(sp_request *req, sp_ledger_search *search)
{
    if (sp_admin_session_id(sp_request_param(req, 0), &search->session) && search->session != 0) {
        return true;
    }
    sp_answer_problem(req, 404, "not_found", "A session's id has 16 hexadecimal digits.");
    return false;
}

static void read_record(sp_request *req, uint32_t person)
{
    reading *r = NULL;
    sp_ledger_search search = {.reader = sp_events_reader(req, "record of a session"),
                               .person = person,
                               .before_entry = UINT64_MAX,
                               .limit = SP_LEDGER_PAGE_MAX};
    if (!session_of(req, &search)) {
        return;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*r), &r);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    *r = (reading){.req = req, .search = search, .session = search.session, .person = person};
    r->coverage = sp_coverage_make();
    ask(r);
}

static void read_events(sp_request *req, uint32_t person)
{
    sp_ledger_search search = {.reader = sp_events_reader(req, "events of a session"),
                               .person = person};
    if (sp_events_page(req, &search) && session_of(req, &search)) {
        sp_events_answer(req, &search, NULL);
    }
}

static void get_record(sp_request *req)
{
    read_record(req, 0);
}

static void get_events(sp_request *req)
{
    read_events(req, 0);
}

static void get_my_record(sp_request *req)
{
    read_record(req, sp_request_person(req));
}

static void get_my_events(sp_request *req)
{
    read_events(req, sp_request_person(req));
}

sp_err sp_admin_record_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/sessions/{id}/record", SP_WHO_SECURITY | SP_WHO_AUDIT, get_record,
         0},
        {"GET", "/api/v1/admin/sessions/{id}/events", SP_WHO_SECURITY | SP_WHO_AUDIT, get_events,
         0},
        {"GET", "/api/v1/me/sessions/{id}/record", SP_WHO_SESSION, get_my_record, 0},
        {"GET", "/api/v1/me/sessions/{id}/events", SP_WHO_SESSION, get_my_events, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

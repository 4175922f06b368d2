/* SPDX-License-Identifier: Apache-2.0
 * What staff tell: "I clicked a link", "my laptop is gone". It opens an incident with its teller as
 * the source, pages who is on duty, and proposes the plans that are for it; nothing is cut before a
 * person confirms one.
 * OWNS nothing. PROCESS core. TRUST requests are hostile: anybody of the office sends them, so they
 * are few a day for each, and their words stay text.
 * SPEC docs/INCIDENTS.md "Told by staff", docs/api/openapi.yaml "/me/reports".
 */
#include "core/devices/devices.h"
#include "core/http/json.h"
#include "core/identity/people.h"
#include "core/incidents/inside.h"
#include "core/plans/plans.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"

enum { TEXT_MAX_BYTES = 2000, A_DAY = 10, DAY_S = 86400, MERGES_MAX = 8, SHOWN = 20 };

typedef struct {
    sp_told what;
    sp_span text;
    uint64_t device; /* 0 = none is named */
    sp_span device_name;
} telling;

static const struct {
    const char *title;
    sp_severity severity;
    bool about_himself; /* else about nobody: he may have seen what others do */
} kinds[SP_TOLD_COUNT] = {
    [SP_TOLD_PHISHING] = {"may have been phished", SP_SEVERITY_MEDIUM, true},
    [SP_TOLD_LOST_DEVICE] = {"a device is gone", SP_SEVERITY_MEDIUM, true},
    [SP_TOLD_MALWARE] = {"a device behaves oddly", SP_SEVERITY_MEDIUM, true},
    [SP_TOLD_LEAK] = {"data may have got out", SP_SEVERITY_HIGH, false},
    [SP_TOLD_OTHER] = {"something odd", SP_SEVERITY_MEDIUM, false},
};

/* ---- rows ---- */

static sp_err keep(sp_store *store, uint32_t person, sp_told what, uint64_t incident, uint64_t now)
{
    auto_query sp_query q = sp_query_alone(
        store, "INSERT INTO incident_told (person, told, what, incident) VALUES ($1, $2, $3, $4)");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, now);
    sp_bind_u64(&q, (uint64_t)what);
    sp_bind_u64(&q, incident);
    return sp_query_finish(&q);
}

/* Seconds until he may tell something again; 0 = now. */
static uint64_t wait_s(sp_store *store, uint32_t person, uint64_t now)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT told FROM incident_told WHERE person = $1 AND told <= $2 ORDER "
                           "BY told DESC LIMIT 1 OFFSET $3");
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, now); /* the clock was set back: what was later says nothing */
    sp_bind_u64(&q, A_DAY - 1);
    uint64_t tenth = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    return tenth == 0 || tenth + DAY_S <= now ? 0 : tenth + DAY_S - now;
}

/* ---- telling ---- */

static sp_err open_one(sp_request *req, const telling *t, uint64_t *ret_id, bool *ret_news)
{
    auto_buf sp_buf title = sp_buf_make(SP_INCIDENT_TITLE_MAX_BYTES);
    auto_buf sp_buf topic = sp_buf_make(SP_INCIDENT_TITLE_MAX_BYTES);
    sp_span by = sp_request_by(req);
    sp_buf_span(&title, by);
    sp_buf_fmt(&title, ": %s", kinds[t->what].title);
    sp_buf_fmt(&topic, "told %s ", sp_told_word(t->what));
    sp_buf_span(&topic, by);
    TRY(sp_buf_error(&title));
    TRY(sp_buf_error(&topic));
    const sp_incident_open open = {.title = sp_buf_borrow(&title),
                                   .topic = sp_buf_borrow(&topic),
                                   .by_name = by,
                                   .about = kinds[t->what].about_himself ? by : SP_SPAN_EMPTY,
                                   .severity = (uint8_t)kinds[t->what].severity};
    return sp_incident_open_one(sp_request_core(req), &open, ret_id, ret_news);
}

static void note(sp_request *req, const telling *t, uint64_t incident)
{
    auto_buf sp_buf text = sp_buf_make(TEXT_MAX_BYTES + 2 * SP_NAME_MAX_BYTES + 32);
    const sp_live_session *session = sp_request_session(req);
    sp_buf_span(&text, t->text);
    if (t->device != 0) {
        sp_buf_fmt(&text, "%sdevice %llu: ", t->text.len > 0 ? "\n" : "",
                   (unsigned long long)t->device);
        sp_buf_span(&text, t->device_name);
    }
    const sp_incident_note told = {.kind = "told",
                                   .by_name = sp_request_by(req),
                                   .text = sp_buf_borrow(&text),
                                   .session = session == NULL ? 0 : session->id};
    sp_incident_add(sp_request_core(req), incident, &told);
}

static void go_tell(sp_request *req, void *data)
{
    const telling *t = data;
    sp_core *core = sp_request_core(req);
    uint64_t id = 0;
    bool news = false;
    sp_incident incident;
    auto_buf sp_buf device = sp_buf_make(32);
    uint64_t wait = wait_s(core->store, sp_request_person(req), sp_now_unix_us() / 1000000);
    if (wait > 0) { /* others of his were under way */
        sp_answer_too_many(req, wait);
        return;
    }
    sp_err err = open_one(req, t, &id, &news);
    if (!sp_failed(err)) {
        err = keep(core->store, sp_request_person(req), t->what, id, sp_now_unix_us() / 1000000);
    }
    if (!sp_failed(err)) {
        err = sp_incident_row_get(core->store, sp_request_arena(req), id, &incident);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    note(req, t, id);
    if (t->device != 0) {
        sp_buf_u64_text(&device, t->device);
    }
    const sp_plan_told told = {.what = t->what,
                               .incident = id,
                               .severity = incident.severity,
                               .by_name = sp_request_by(req),
                               .person = sp_request_person(req),
                               .about = incident.about,
                               .device = sp_buf_borrow(&device)};
    sp_plans_on_told(core, &told);
    if (news) {
        sp_incident_page_opened(core, &incident);
    }
    sp_answer_json(
        req, 201,
        json_pack("{s:o,s:s}", "incident", sp_json_id(id), "kind", sp_told_word(t->what)));
}

static bool find_device(sp_request *req, sp_span name, telling *t)
{
    uint64_t id = 0;
    sp_device device;
    if (name.len == 0) {
        return true;
    }
    if (sp_failed(sp_span_to_u64(name, INT64_MAX, &id)) ||
        sp_failed(sp_device_get(sp_request_core(req)->store, id, sp_request_arena(req), &device)) ||
        device.person != sp_request_person(req)) {
        sp_answer_invalid(req, "device", "the id of a device of yours");
        return false;
    }
    t->device = id;
    t->device_name = device.name;
    return true;
}

static void post_told(sp_request *req)
{
    telling *t = NULL;
    sp_span what = SP_SPAN_EMPTY;
    sp_span device = SP_SPAN_EMPTY;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*t), &t);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("kind", &what, 1, SP_NAME_MAX_BYTES),
                               SP_FIELD_TEXT_OPT("text", &t->text, 0, TEXT_MAX_BYTES),
                               SP_FIELD_TEXT_OPT("device", &device, 1, 20)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!sp_told_of(what, &t->what)) {
        sp_answer_invalid(req, "kind", "phishing, lost-device, malware, leak or other");
        return;
    }
    if (t->text.len == 0 && (t->what == SP_TOLD_LEAK || t->what == SP_TOLD_OTHER)) {
        sp_answer_invalid(req, "text", "what you saw, in a sentence");
        return;
    }
    if (!find_device(req, device, t)) {
        return;
    }
    uint64_t wait =
        wait_s(sp_request_core(req)->store, sp_request_person(req), sp_now_unix_us() / 1000000);
    if (wait > 0) {
        sp_answer_too_many(req, wait);
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_INCIDENT);
    event.method = SP_SPAN_LIT("told");
    event.severity = (uint8_t)kinds[t->what].severity;
    event.object = sp_span_cstr(sp_told_word(t->what));
    event.detail = SP_SPAN_LIT("{\"did\":\"told\"}");
    sp_request_record(req, &event, go_tell, t);
}

/* ---- what became of it ---- */

/* Of the incident, or of the one that it was merged into. */
static const char *state_of(sp_request *req, uint64_t id)
{
    sp_incident incident = {.state = SP_INCIDENT_MERGED, .merged_into = id};
    for (unsigned i = 0; i < MERGES_MAX && incident.state == SP_INCIDENT_MERGED; i++) {
        if (sp_failed(sp_incident_row_get(sp_request_core(req)->store, sp_request_arena(req),
                                          incident.merged_into, &incident))) {
            break;
        }
    }
    return incident.state == SP_INCIDENT_CLOSED ? "closed" : "open";
}

static void get_told(sp_request *req)
{
    uint64_t ids[SHOWN];
    size_t count = 0;
    json_t *items = json_array();
    {
        auto_query sp_query q = sp_query_of(
            sp_request_core(req)->store,
            "SELECT told, what, incident FROM incident_told WHERE person = $1 ORDER BY told DESC");
        sp_bind_u64(&q, sp_request_person(req));
        while (count < SHOWN && sp_query_row(&q)) {
            uint64_t told = sp_col_u64(&q);
            sp_told what = (sp_told)sp_col_u64(&q);
            ids[count++] = sp_col_u64(&q);
            json_array_append_new(items, json_pack("{s:o,s:s,s:o}", "told_at", sp_json_time(told),
                                                   "kind", sp_told_word(what), "incident",
                                                   sp_json_id(ids[count - 1])));
        }
    }
    for (size_t i = 0; i < count; i++) {
        json_object_set_new(json_array_get(items, i), "state", json_string(state_of(req, ids[i])));
    }
    sp_answer_items(req, items);
}

sp_err sp_tell_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/me/reports", SP_WHO_SESSION, get_told, 0},
        {"POST", "/api/v1/me/reports", SP_WHO_SESSION, post_told, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

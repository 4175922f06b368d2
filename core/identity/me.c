/* SPDX-License-Identifier: Apache-2.0
 * What a person sees and does about himself, but credentials; the office; the event stream.
 * OWNS nothing. PROCESS core. TRUST hostile. SPEC docs/api/openapi.yaml "me".
 */
#include "core/documents/documents.h"
#include "core/http/sse.h"
#include "core/identity/inside.h"
#include "infra/proc/clock.h"

static json_t *office_json(const sp_core *core)
{
    sp_policy_office doc = sp_policy_set_office(sp_documents_set(core->state->documents));
    sp_span en = doc.title_en.len > 0 ? doc.title_en : sp_span_cstr(core->config->office);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:{s:s%, s:s%}}", "name", core->config->office, "domain",
                  core->config->domain, "portal_url", core->portal_origin, "version", SP_VERSION,
                  "title", "en", en.ptr, en.len, "zh",
                  doc.title_zh.len > 0 ? doc.title_zh.ptr : (const uint8_t *)"", doc.title_zh.len);
    if (json != NULL && doc.contact.len > 0) {
        json_object_set_new(json, "security_contact",
                            json_stringn((const char *)doc.contact.ptr, doc.contact.len));
    }
    return json;
}

static void get_office(sp_request *req)
{
    sp_answer_json(req, 200, office_json(sp_request_core(req)));
}

static json_t *device_json(const sp_request *req)
{
    static const char *const states[] = {"free", "pending", "active", "quarantined", "revoked"};
    _Static_assert(SP_COUNT(states) == SP_DEVICE_COUNT, "a word for each state");
    sp_live_device device;
    uint32_t slot = SP_NONE;
    sp_person person = {0};
    if (!sp_request_device(req, &device, &slot) || device.state >= SP_DEVICE_COUNT) {
        return json_null();
    }
    SP_IGNORE(sp_people_get(sp_request_core(req)->store, device.person, &person)); /* shown empty */
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:{s:o, s:s, s:s}, s:n, s:b}", "id",
                     sp_json_id(device.id), "name", device.name, "state", states[device.state],
                     "owner", sp_owner_word((sp_owner)device.owner), "posture",
                     sp_posture_word((sp_posture)device.posture), "person", "id",
                     sp_json_id(person.id), "name", person.name, "display_name", person.display,
                     "created_at", "current", 1);
}

static void answer_me(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    const sp_live_session *session = sp_request_session(req);
    sp_person person;
    sp_session_view view;
    sp_err err = sp_people_get(core->store, session->person, &person);
    if (!sp_failed(err) && !sp_sessions_find(core, session->id, &view)) {
        err = sp_fail(SP_ECONFLICT);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_sessions_seen(core, view.slot, view.id, sp_now_unix_us() / 1000000);
    unsigned admin = sp_request_admin(req);
    sp_answer_json(req, 200,
                   json_pack("{s:o, s:{s:b, s:b, s:b}, s:o, s:o, s:o}", "person",
                             sp_person_json(core, &person), "admin", "system",
                             (admin & SP_WHO_SYSTEM) != 0, "security",
                             (admin & SP_WHO_SECURITY) != 0, "audit", (admin & SP_WHO_AUDIT) != 0,
                             "session", sp_session_json(core, &view, view.id), "device",
                             device_json(req), "office", office_json(core)));
}

/* ---- changing what is said about oneself ---- */

typedef struct {
    sp_span display;
    sp_span mail;
    sp_span locale;
} profile;

static sp_err store_profile(sp_store *store, uint32_t person, const profile *change)
{
    auto_query sp_query q = sp_query_alone(
        store, "UPDATE person SET display = CASE WHEN $1 = '' THEN display ELSE $1 END,"
               " mail = CASE WHEN $2 = '' THEN mail ELSE $2 END,"
               " locale = CASE WHEN $3 = '' THEN locale ELSE $3 END WHERE id = $4");
    sp_bind_text(&q, change->display);
    sp_bind_text(&q, change->mail);
    sp_bind_text(&q, change->locale);
    sp_bind_u64(&q, person);
    return sp_query_finish_changed(&q);
}

static void apply_profile(sp_request *req, void *data)
{
    sp_err err = store_profile(sp_request_core(req)->store, sp_request_person(req), data);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        answer_me(req);
    }
}

static bool locale_is_known(sp_span locale)
{
    return locale.len == 0 || sp_span_eq(locale, SP_SPAN_LIT("en")) ||
           sp_span_eq(locale, SP_SPAN_LIT("zh"));
}

static void patch_me(sp_request *req)
{
    profile *change = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*change), &change))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    const sp_field fields[] = {
        SP_FIELD_TEXT_OPT("display_name", &change->display, 1, SP_DISPLAY_MAX_BYTES),
        SP_FIELD_TEXT_OPT("mail", &change->mail, 0, 254),
        SP_FIELD_TEXT_OPT("locale", &change->locale, 2, 2)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!locale_is_known(change->locale)) {
        sp_answer_invalid(req, "locale", "en or zh");
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    event.method = SP_SPAN_LIT("own profile changed");
    sp_request_record(req, &event, apply_profile, change);
}

/* ---- sessions ---- */

typedef struct {
    sp_core *core;
    json_t *items;
    uint64_t current;
} listing;

static void add_session(void *self, const sp_session_view *view)
{
    listing *list = self;
    json_array_append_new(list->items, sp_session_json(list->core, view, list->current));
}

static void get_sessions(sp_request *req)
{
    const sp_live_session *session = sp_request_session(req);
    listing list = {sp_request_core(req), json_array(), session->id};
    sp_sessions_each(list.core, session->person, add_session, &list);
    sp_answer_items(req, list.items);
}

static void delete_session(sp_request *req)
{
    uint64_t id = 0;
    sp_session_view view;
    sp_core *core = sp_request_core(req);
    uint32_t person = sp_request_person(req);
    if (sp_failed(sp_session_id_of(sp_request_param(req, 0), &id)) ||
        !sp_sessions_find(core, id, &view) || view.person != person) {
        sp_answer_failed(req, sp_fail(SP_ENOTFOUND));
        return;
    }
    bool own = id == sp_request_session(req)->id;
    sp_err err = sp_sessions_end(core, id, own ? SP_END_SIGN_OUT : SP_END_OWNER, person);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_empty(req, 204);
    }
}

/* ---- events ---- */

static void get_events(sp_request *req)
{
    unsigned admin = sp_request_admin(req);
    unsigned topics = SP_TOPIC_ME | SP_TOPIC_APPROVALS;
    if ((admin & SP_WHO_ANY_ADMIN) != 0) {
        topics |= SP_TOPIC_SESSIONS | SP_TOPIC_DEVICES | SP_TOPIC_PEOPLE | SP_TOPIC_POLICY |
                  SP_TOPIC_HEALTH | SP_TOPIC_DATABASES | SP_TOPIC_SSH;
    }
    sp_answer_events(req, topics);
}

static const sp_route routes[] = {
    {"GET", "/api/v1/office", SP_WHO_PUBLIC, get_office, 0},
    {"GET", "/api/v1/me", SP_WHO_SESSION, answer_me, 0},
    {"PATCH", "/api/v1/me", SP_WHO_SESSION, patch_me, 4096},
    {"GET", "/api/v1/me/sessions", SP_WHO_SESSION, get_sessions, 0},
    {"DELETE", "/api/v1/me/sessions/{id}", SP_WHO_SESSION, delete_session, 4096},
    {"GET", "/api/v1/events", SP_WHO_SESSION, get_events, 0},
};

sp_err sp_me_routes(sp_core *core)
{
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

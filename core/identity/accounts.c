/* SPDX-License-Identifier: Apache-2.0
 * Accounts as administrators see and change them: make, invite, reset, disable, enable.
 * Role grants are core/admin's. OWNS nothing. PROCESS core. TRUST hostile.
 * SPEC docs/api/openapi.yaml "people".
 */
#include "core/cut/cut.h"
#include "core/identity/inside.h"

#include "core/http/sse.h"

#include <stdlib.h>

enum { INVITE_LIFE_S = 72 * 3600 };

/* ---- the schema Person ---- */

typedef struct {
    json_t *names;
    uint64_t held[SP_ROLE_WORDS];
} role_names;

static void add_role(void *self, sp_span name, uint32_t number)
{
    role_names *roles = self;
    if (sp_roles_hold(roles->held, number)) {
        json_array_append_new(roles->names, json_stringn((const char *)name.ptr, name.len));
    }
}

static json_t *roles_json(sp_store *store, uint32_t person)
{
    role_names roles = {.names = json_array()};
    if (!sp_failed(sp_roles_of(store, person, roles.held))) {
        SP_IGNORE(sp_roles_each(store, add_role, &roles)); /* a shorter list */
    }
    return roles.names;
}

static void count_session(void *self, const sp_session_view *view)
{
    (void)view;
    (*(int *)self)++;
}

static void add_rest(sp_store *store, uint32_t person, json_t *json)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT mail, locale, last_sign_in FROM person WHERE id = $1");
    sp_bind_u64(&q, person);
    if (!sp_query_row(&q)) {
        return;
    }
    sp_span mail = sp_col_text(&q);
    json_object_set_new(json, "mail", json_stringn((const char *)mail.ptr, mail.len));
    sp_span locale = sp_col_text(&q);
    if (locale.len > 0) {
        json_object_set_new(json, "locale", json_stringn((const char *)locale.ptr, locale.len));
    }
    json_object_set_new(json, "last_sign_in_at", sp_json_time(sp_col_u64(&q)));
}

json_t *sp_person_json(sp_core *core, const sp_person *person)
{
    sp_credentials has = {0};
    sp_link link = {0};
    int sessions = 0;
    SP_IGNORE(sp_credentials_get(core->store, person->id, &has)); /* shown as none */
    SP_IGNORE(sp_link_of(core->store, person->id, &link));        /* shown as none */
    sp_sessions_each(core, person->id, count_session, &sessions);
    json_t *json = json_pack(
        "{s:o, s:s, s:s, s:s, s:o, s:o, s:{s:b, s:b, s:i, s:i}, s:i, s:o}", "id",
        sp_json_id(person->id), "name", person->name, "display_name", person->display, "state",
        sp_person_state_word((sp_person_state)person->state), "roles",
        roles_json(core->store, person->id), "created_at", sp_json_time(person->created_unix_s),
        "has", "password", has.password, "totp", has.totp, "passkeys", (int)has.passkeys,
        "recovery_codes", (int)has.recovery_codes, "sessions", sessions, "invite_expires_at",
        sp_json_time(link.expires_unix_s));
    if (json != NULL) {
        add_rest(core->store, person->id, json);
    }
    return json;
}

/* ---- lists ---- */

typedef struct {
    sp_request *req;
    json_t *items;
    sp_span q;
    sp_span state;
    bool by_role;
    uint32_t role;
    uint64_t limit;
    bool more;
    char last[SP_NAME_MAX_BYTES + 1];
} listing;

static bool holds(sp_store *store, uint32_t person, uint32_t role)
{
    uint64_t held[SP_ROLE_WORDS];
    return !sp_failed(sp_roles_of(store, person, held)) && sp_roles_hold(held, role);
}

static bool is_wanted(const listing *list, const sp_person *person)
{
    sp_span name = sp_span_cstr(person->name);
    sp_span display = sp_span_cstr(person->display);
    sp_span state = sp_span_cstr(sp_person_state_word((sp_person_state)person->state));
    bool found = list->q.len == 0 || sp_span_find(name, list->q) < name.len ||
                 sp_span_find(display, list->q) < display.len;
    return found && person->state != SP_PERSON_REMOVED &&
           (list->state.len == 0 || sp_span_eq(list->state, state)) &&
           (!list->by_role || holds(sp_request_core(list->req)->store, person->id, list->role));
}

static bool list_person(void *self, const sp_person *person)
{
    listing *list = self;
    if (!is_wanted(list, person)) {
        return true;
    }
    if (json_array_size(list->items) >= list->limit) {
        list->more = true;
        return false;
    }
    sp_copy(list->last, person->name, sizeof(list->last));
    json_array_append_new(list->items, sp_person_json(sp_request_core(list->req), person));
    return true;
}

/* The cursor is the last name shown. */
static void get_people(sp_request *req)
{
    sp_store *store = sp_request_core(req)->store;
    sp_span role = sp_request_query(req, "role");
    listing list = {.req = req,
                    .q = sp_request_query(req, "q"),
                    .state = sp_request_query(req, "state"),
                    .by_role = role.len > 0};
    if (!sp_request_limit(req, &list.limit)) {
        return;
    }
    list.items = json_array();
    sp_err err = list.by_role ? sp_roles_find(store, role, &list.role) : sp_ok();
    bool nobody = err.code == SP_ENOTFOUND; /* no such role */
    if (!sp_failed(err)) {
        err = sp_people_after(store, sp_request_query(req, "cursor"), list_person, &list);
    }
    if (sp_failed(err) && !nobody) {
        json_decref(list.items);
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_page(req, list.items, list.more ? list.last : NULL);
}

/* The person of the path; answered when false. */
static bool person_of(sp_request *req, sp_person *ret_person)
{
    uint64_t id = 0;
    sp_err err = sp_request_param_u64(req, 0, &id) && id <= UINT32_MAX
                     ? sp_people_get(sp_request_core(req)->store, (uint32_t)id, ret_person)
                     : sp_fail(SP_ENOTFOUND);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return !sp_failed(err);
}

static void answer_person(sp_request *req, unsigned status, uint32_t id)
{
    sp_core *core = sp_request_core(req);
    sp_person person;
    sp_err err = sp_people_get(core->store, id, &person);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, status, sp_person_json(core, &person));
    }
}

static void get_person(sp_request *req)
{
    sp_person person;
    if (person_of(req, &person)) {
        answer_person(req, 200, person.id);
    }
}

/* ---- changes ---- */

typedef struct {
    sp_person person;
    sp_span name;
    sp_span display;
    sp_span mail;
    sp_span why;
    sp_person_state state;
    sp_link_kind link;
    bool keeps_role; /* of an administrator; root's reset of a lost one */
} change;

static change *change_new(sp_request *req)
{
    change *fresh = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*fresh), &fresh))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
    }
    return fresh;
}

static void record(sp_request *req, const char *what, sp_span name, sp_span why, sp_request_go go,
                   change *data)
{
    auto_buf sp_buf detail = sp_buf_make(4096);
    if (why.len > 0) {
        sp_buf_text(&detail, "{\"why\":");
        sp_buf_json(&detail, why);
        sp_buf_text(&detail, "}");
    }
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    event.method = sp_span_cstr(what);
    event.object = name;
    event.severity = SP_SEVERITY_MEDIUM;
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, go, data);
}

static sp_err store_details(sp_store *store, uint32_t id, const change *details)
{
    auto_query sp_query q =
        sp_query_of(store, "UPDATE person SET display = CASE WHEN $1 = '' THEN display ELSE $1 END,"
                           " mail = CASE WHEN $2 = '' THEN mail ELSE $2 END WHERE id = $3");
    sp_bind_text(&q, details->display);
    sp_bind_text(&q, details->mail);
    sp_bind_u64(&q, id);
    return sp_query_finish_changed(&q);
}

static sp_err store_new(sp_store *store, change *fresh)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_people_add(store, fresh->name, fresh->display, SP_PERSON_INVITED, &fresh->person.id));
    TRY(store_details(store, fresh->person.id, fresh));
    return sp_txn_commit(&txn);
}

static void apply_new(sp_request *req, void *data)
{
    change *fresh = data;
    sp_err err = store_new(sp_request_core(req)->store, fresh);
    if (err.code == SP_EEXISTS) {
        sp_answer_problem(req, 409, "exists", "This name is taken. Choose another.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_people_changed(sp_request_core(req));
        answer_person(req, 201, fresh->person.id);
    }
}

static void post_people(sp_request *req)
{
    change *fresh = change_new(req);
    if (fresh == NULL) {
        return;
    }
    const sp_field fields[] = {
        SP_FIELD_TEXT("name", &fresh->name, 1, SP_NAME_MAX_BYTES),
        SP_FIELD_TEXT("display_name", &fresh->display, 1, SP_DISPLAY_MAX_BYTES),
        SP_FIELD_TEXT_OPT("mail", &fresh->mail, 0, 254)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!sp_name_is_valid(fresh->name)) {
        sp_answer_invalid(req, "name", "lower case letters, digits, '.', '-', '_'");
        return;
    }
    record(req, "account made", fresh->name, SP_SPAN_EMPTY, apply_new, fresh);
}

static void apply_details(sp_request *req, void *data)
{
    change *details = data;
    sp_store *store = sp_request_core(req)->store;
    auto_txn sp_txn txn = sp_txn_begin(store);
    sp_err err = txn.err;
    if (!sp_failed(err)) {
        err = store_details(store, details->person.id, details);
    }
    if (!sp_failed(err)) {
        err = sp_txn_commit(&txn);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        answer_person(req, 200, details->person.id);
    }
}

static void patch_person(sp_request *req)
{
    change *details = change_new(req);
    if (details == NULL) {
        return;
    }
    const sp_field fields[] = {
        SP_FIELD_TEXT_OPT("display_name", &details->display, 1, SP_DISPLAY_MAX_BYTES),
        SP_FIELD_TEXT_OPT("mail", &details->mail, 0, 254)};
    if (sp_request_fields(req, fields, SP_COUNT(fields)) && person_of(req, &details->person)) {
        record(req, "account changed", sp_span_cstr(details->person.name), SP_SPAN_EMPTY,
               apply_details, details);
    }
}

/* ---- links ---- */

static void answer_link(sp_request *req, sp_err err, const sp_buf *url, uint64_t expires)
{
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_json(req, 200,
                   json_pack("{s:s%, s:o}", "link", (const char *)url->ptr, url->len, "expires_at",
                             sp_json_time(expires)));
}

/* Whoever gets the link signs in as that person: not into the work of another administrator. */
static sp_err drop_admin_roles(sp_store *store, uint32_t person)
{
    for (uint32_t role = SP_ROLE_NR_SYSTEM; role <= SP_ROLE_NR_AUDIT; role++) {
        if (holds(store, person, role)) {
            TRY(sp_roles_revoke(store, person, role));
        }
    }
    return sp_ok();
}

static sp_err store_link(sp_core *core, const change *ask, sp_buf *url, uint64_t *ret_expires)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    if (ask->link == SP_LINK_RESET) {
        TRY(sp_credentials_remove_all(core->store, ask->person.id));
        TRY(ask->keeps_role ? sp_ok() : drop_admin_roles(core->store, ask->person.id));
    }
    TRY(sp_link_make(core, ask->person.id, ask->link, INVITE_LIFE_S, url, ret_expires));
    return sp_txn_commit(&txn);
}

static void apply_link(sp_request *req, void *data)
{
    const change *ask = data;
    sp_core *core = sp_request_core(req);
    auto_buf sp_buf url = sp_buf_make(1024);
    uint64_t expires = 0;
    sp_err err = store_link(core, ask, &url, &expires);
    if (!sp_failed(err) && ask->link == SP_LINK_RESET) {
        sp_sessions_end_person(core, ask->person.id, 0, SP_END_PERSON, sp_request_person(req));
        sp_people_changed(core);
    }
    answer_link(req, err, &url, expires);
}

static void post_invite(sp_request *req)
{
    change *ask = change_new(req);
    if (ask == NULL || !sp_request_fields(req, NULL, 0) || !person_of(req, &ask->person)) {
        return;
    }
    if (ask->person.state != SP_PERSON_INVITED) {
        sp_answer_problem(req, 409, "conflict",
                          "The account is in use already. Reset it if its person is locked out.");
        return;
    }
    ask->link = SP_LINK_INVITE;
    record(req, "invitation made", sp_span_cstr(ask->person.name), SP_SPAN_EMPTY, apply_link, ask);
}

/* A change of somebody else's account, with its reason; NULL when it was refused and answered. */
static change *change_of_other(sp_request *req, const char *not_himself)
{
    change *ask = change_new(req);
    if (ask == NULL) {
        return NULL;
    }
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("why", &ask->why, 0, 500)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !person_of(req, &ask->person)) {
        return NULL;
    }
    if (ask->person.id == sp_request_person(req)) {
        sp_answer_problem(req, 409, "conflict", "%s", not_himself);
        return NULL;
    }
    return ask;
}

static void post_reset(sp_request *req)
{
    change *ask = change_of_other(req, "Nobody resets his own account.");
    if (ask != NULL) {
        ask->link = SP_LINK_RESET;
        record(req, "account reset", sp_span_cstr(ask->person.name), ask->why, apply_link, ask);
    }
}

/* ---- locking ---- */

static sp_err store_state(sp_store *store, uint32_t id, sp_person_state state)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q = sp_query_of(store, "UPDATE person SET state = $1 WHERE id = $2");
    sp_bind_u64(&q, state);
    sp_bind_u64(&q, id);
    TRY(sp_query_finish_changed(&q));
    if (state == SP_PERSON_LOCKED) {
        TRY(sp_links_remove(store, id)); /* nobody lets himself in again by a link of before */
    }
    return sp_txn_commit(&txn);
}

/* What ends does so even when the store cannot write. */
static sp_err set_state(sp_core *core, uint32_t person, sp_person_state state, uint32_t by_person)
{
    if (state == SP_PERSON_LOCKED) {
        sp_flows_close_person(core->identity->flows, person);
        sp_sessions_end_person(core, person, 0, SP_END_PERSON, by_person);
    }
    TRY(store_state(core->store, person, state));
    sp_people_changed(core);
    return sp_ok();
}

sp_err sp_identity_lock(sp_core *core, uint32_t person)
{
    return set_state(core, person, SP_PERSON_LOCKED, 0);
}

static bool has_credentials(sp_store *store, uint32_t person)
{
    sp_credentials has;
    return !sp_failed(sp_credentials_get(store, person, &has)) &&
           (has.passkeys > 0 || (has.password && has.totp));
}

/* The state of one who is let in again. */
static sp_person_state state_again(sp_store *store, uint32_t person)
{
    return has_credentials(store, person) ? SP_PERSON_ACTIVE : SP_PERSON_INVITED;
}

sp_err sp_identity_unlock(sp_core *core, uint32_t id)
{
    sp_person person;
    TRY(sp_people_get(core->store, id, &person));
    return person.state != SP_PERSON_LOCKED ? sp_fail(SP_ECONFLICT)
                                            : set_state(core, id, state_again(core->store, id), 0);
}

static void apply_state(sp_request *req, void *data)
{
    const change *ask = data;
    if (ask->state == SP_PERSON_LOCKED) {
        sp_cut_locked_too(sp_request_core(req), ask->person.id);
    }
    sp_err err =
        set_state(sp_request_core(req), ask->person.id, ask->state, sp_request_person(req));
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        answer_person(req, 200, ask->person.id);
    }
}

static void post_disable(sp_request *req)
{
    change *ask = change_of_other(req, "Nobody disables himself.");
    if (ask != NULL) {
        ask->state = SP_PERSON_LOCKED;
        record(req, "account disabled", sp_span_cstr(ask->person.name), ask->why, apply_state, ask);
    }
}

static void post_enable(sp_request *req)
{
    change *ask = change_new(req);
    if (ask == NULL || !sp_request_fields(req, NULL, 0) || !person_of(req, &ask->person)) {
        return;
    }
    if (ask->person.state != SP_PERSON_LOCKED) {
        sp_answer_problem(req, 409, "conflict", "The account is not disabled.");
        return;
    }
    ask->state = state_again(sp_request_core(req)->store, ask->person.id);
    record(req, "account enabled", sp_span_cstr(ask->person.name), SP_SPAN_EMPTY, apply_state, ask);
}

/* ---- root on the host ---- */

static void apply_first_link(sp_request *req, void *data)
{
    (void)data;
    sp_core *core = sp_request_core(req);
    auto_buf sp_buf url = sp_buf_make(1024);
    uint64_t expires = 0;
    sp_err err =
        sp_identity_is_empty(core) ? sp_first_link(core, &url, &expires) : sp_fail(SP_ECONFLICT);
    answer_link(req, err, &url, expires);
}

/* A lost administrator: root gets a link for an account, or for the first one. */
static void post_setup_link(sp_request *req)
{
    change *ask = change_new(req);
    if (ask == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("name", &ask->name, 1, SP_NAME_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (ask->name.len == 0 && !sp_identity_is_empty(sp_request_core(req))) {
        sp_answer_problem(req, 409, "conflict",
                          "There are accounts already. For an administrator who cannot sign in: "
                          "sallyport recover-admin NAME.");
        return;
    }
    if (ask->name.len == 0) {
        record(req, "set-up link made", SP_SPAN_EMPTY, SP_SPAN_EMPTY, apply_first_link, ask);
        return;
    }
    sp_err err = sp_people_find(sp_request_core(req)->store, ask->name, &ask->person);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    ask->link = SP_LINK_RESET;
    ask->keeps_role = true;
    record(req, "account reset by root", ask->name, SP_SPAN_EMPTY, apply_link, ask);
}

#define READERS (SP_WHO_ANY_ADMIN | SP_WHO_LOCAL)
#define SYSTEM (SP_WHO_SYSTEM | SP_WHO_LOCAL)

static const sp_route routes[] = {
    {"GET", "/api/v1/admin/people", READERS, get_people, 0},
    {"POST", "/api/v1/admin/people", SYSTEM, post_people, 0},
    {"GET", "/api/v1/admin/people/{id}", READERS, get_person, 0},
    {"PATCH", "/api/v1/admin/people/{id}", SYSTEM, patch_person, 0},
    {"POST", "/api/v1/admin/people/{id}/invite", SYSTEM, post_invite, 0},
    {"POST", "/api/v1/admin/people/{id}/reset", SYSTEM | SP_WHO_FRESH, post_reset, 0},
    {"POST", "/api/v1/admin/people/{id}/disable", SYSTEM | SP_WHO_SECURITY, post_disable, 0},
    {"POST", "/api/v1/admin/people/{id}/enable", SYSTEM | SP_WHO_FRESH, post_enable, 0},
    {"POST", "/api/v1/setup-link", SP_WHO_LOCAL, post_setup_link, 0},
};

sp_err sp_accounts_routes(sp_core *core)
{
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

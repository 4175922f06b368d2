/* SPDX-License-Identifier: Apache-2.0
 * Roles and who holds them.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml
 * "/admin/people/{id}/roles".
 */
#include "core/admin/shapes.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/identity/people.h"
#include "core/sessions/sessions.h"
#include "lib/policy/approvers.h"

/* ---- the list ---- */

typedef struct {
    sp_core *core;
    const sp_policy_set *set;
    json_t *items;
    size_t counts[SP_ROLES_MAX];
    bool able; /* count only those who can sign in */
} role_walk;

static void count_person(void *self, const sp_person *person)
{
    role_walk *walk = self;
    uint64_t held[SP_ROLE_WORDS] = {0};
    if (person->state == SP_PERSON_REMOVED || (walk->able && person->state == SP_PERSON_LOCKED) ||
        sp_failed(sp_roles_of(walk->core->store, person->id, held))) {
        return;
    }
    for (uint32_t role = 0; role < SP_ROLES_MAX; role++) {
        walk->counts[role] += sp_roles_hold(held, role) ? 1 : 0;
    }
}

static bool is_admin_role(uint32_t number)
{
    return number >= SP_ROLE_NR_SYSTEM && number <= SP_ROLE_NR_AUDIT;
}

static void add_role(void *self, sp_span name, uint32_t number)
{
    role_walk *walk = self;
    sp_policy_role role = {0};
    bool defined = !sp_failed(sp_policy_set_role_find(walk->set, name, &role));
    size_t held_by = number < SP_ROLES_MAX ? walk->counts[number] : 0;
    if (!defined && held_by == 0 && !is_admin_role(number)) {
        return; /* a name of an earlier policy that nobody holds */
    }
    json_t *one = json_object();
    json_t *title = json_object();
    json_object_set_new(title, "en", sp_json_span(role.title_en.len > 0 ? role.title_en : name));
    json_object_set_new(title, "zh", sp_json_span(role.title_zh));
    json_object_set_new(one, "name", sp_json_span(name));
    json_object_set_new(one, "title", title);
    json_object_set_new(one, "admin", json_boolean(is_admin_role(number)));
    json_object_set_new(one, "defined", json_boolean(defined));
    json_object_set_new(one, "people", json_integer((json_int_t)held_by));
    json_array_append_new(walk->items, one);
}

static void get_roles(sp_request *req)
{
    role_walk *walk = NULL;
    sp_core *core = sp_request_core(req);
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*walk), &walk);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    walk->core = core;
    walk->set = sp_documents_set(core->state->documents);
    walk->items = json_array();
    err = sp_people_each(core->store, count_person, walk);
    if (!sp_failed(err)) {
        err = sp_roles_each(core->store, add_role, walk);
    }
    if (sp_failed(err)) {
        json_decref(walk->items);
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_items(req, walk->items);
}

/* ---- grants ---- */

typedef struct {
    sp_person person;
    uint64_t before[SP_ROLE_WORDS];
    uint64_t wanted[SP_ROLE_WORDS];
} grant;

static void answer_meanwhile(sp_request *req)
{
    sp_answer_problem(req, 409, "conflict",
                      "Somebody changed the roles of this person meanwhile. Look at what they are "
                      "now, then try again.");
}

static sp_err set_roles(sp_core *core, const grant *g)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    for (uint32_t role = 0; role < SP_ROLES_MAX; role++) {
        if (sp_roles_hold(g->before, role) && !sp_roles_hold(g->wanted, role)) {
            TRY(sp_roles_revoke(core->store, g->person.id, role));
        }
    }
    for (uint32_t role = 0; role < SP_ROLES_MAX; role++) {
        if (!sp_roles_hold(g->before, role) && sp_roles_hold(g->wanted, role)) {
            TRY(sp_roles_grant(core->store, g->person.id, role));
        }
    }
    return sp_txn_commit(&txn);
}

static bool may_become(sp_request *req, const grant *g);

/* While the ledger wrote, somebody may have granted something else, or changed the documents. */
static bool is_still_so(sp_request *req, const grant *g)
{
    sp_core *core = sp_request_core(req);
    uint64_t held[SP_ROLE_WORDS] = {0};
    sp_err err = sp_roles_of(core->store, g->person.id, held);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return false;
    }
    if (!sp_span_eq(sp_span_of(held, sizeof(held)), sp_span_of(g->before, sizeof(g->before)))) {
        answer_meanwhile(req);
        return false;
    }
    return may_become(req, g);
}

static void go_grant(sp_request *req, void *data)
{
    const grant *g = data;
    sp_core *core = sp_request_core(req);
    if (!is_still_so(req, g)) {
        return;
    }
    sp_err err = set_roles(core, g);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_sessions_refresh_person(core, g->person.id);
    sp_sse_publish(core, SP_TOPIC_PEOPLE, 0, "people",
                   json_pack("{s:o}", "id", json_sprintf("%u", g->person.id)));
    sp_answer_json(req, 200, sp_person_json(core, &g->person));
}

/* Names to numbers; a role must have a document in force, or be an administrator's. */
static bool read_wanted(sp_request *req, const json_t *names, grant *g)
{
    sp_core *core = sp_request_core(req);
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    for (size_t i = 0; i < json_array_size(names); i++) {
        sp_span name = sp_span_cstr(json_string_value(json_array_get(names, i)));
        uint32_t number = 0;
        sp_policy_role role;
        bool known = !sp_failed(sp_roles_find(core->store, name, &number)) &&
                     number < SP_ROLES_MAX &&
                     (is_admin_role(number) || sp_roles_hold(g->before, number) ||
                      !sp_failed(sp_policy_set_role_find(set, name, &role)));
        if (!known) {
            sp_answer_problem(
                req, 422, "invalid",
                "There is no role '%.*s' in the policy in force. Add a Role document.",
                SP_SPAN_ARG(name));
            return false;
        }
        g->wanted[number / 64] |= UINT64_C(1) << (number % 64);
    }
    return true;
}

/* Two roles of administrators, or two that the documents keep apart. */
static bool are_together(sp_request *req, const grant *g)
{
    const sp_policy_set *set = sp_documents_set(sp_request_core(req)->state->documents);
    sp_span one = SP_SPAN_EMPTY;
    sp_span other = SP_SPAN_EMPTY;
    unsigned admins = 0;
    for (uint32_t role = SP_ROLE_NR_SYSTEM; role <= SP_ROLE_NR_AUDIT; role++) {
        admins += sp_roles_hold(g->wanted, role) ? 1 : 0;
    }
    if (admins > 1) {
        sp_answer_problem(req, 409, "roles_apart",
                          "System, security and audit administrator are three people: nobody holds "
                          "two of these roles.");
        return false;
    }
    if (!sp_policy_set_roles_allowed(set, g->wanted, &one, &other)) {
        sp_answer_problem(req, 409, "roles_apart",
                          "The documents keep the roles '%.*s' and '%.*s' apart.", SP_SPAN_ARG(one),
                          SP_SPAN_ARG(other));
        return false;
    }
    return true;
}

/* Roles for emergencies are opened by those whom their document names, for a while, with an alarm
 * and a note that is due: not by a grant. */
static bool is_unsealed(sp_request *req, const grant *g)
{
    const sp_policy_set *set = sp_documents_set(sp_request_core(req)->state->documents);
    for (size_t i = 0; i < sp_policy_set_role_count(set); i++) {
        sp_policy_role role;
        sp_policy_request how;
        if (!sp_failed(sp_policy_set_role(set, i, &role)) &&
            sp_roles_hold(g->wanted, role.number) && !sp_roles_hold(g->before, role.number) &&
            !sp_failed(sp_policy_set_request(set, role.name, &how)) && how.sealed) {
            sp_answer_problem(req, 409, "sealed",
                              "The role '%.*s' is sealed: only emergency access opens it.",
                              SP_SPAN_ARG(role.name));
            return false;
        }
    }
    return true;
}

static void record_grant(sp_request *req, const json_t *names, grant *g)
{
    char *text = json_dumps(names, JSON_COMPACT);
    sp_span kept = SP_SPAN_EMPTY;
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_buf_fmt(&detail, "{\"person\":%u,\"roles\":%s}", g->person.id, text == NULL ? "[]" : text);
    sp_free(text);
    sp_err err = sp_buf_error(&detail);
    if (!sp_failed(err)) {
        err = sp_arena_copy(sp_request_arena(req), sp_buf_borrow(&detail), &kept);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    event.severity = SP_SEVERITY_MEDIUM;
    event.method = SP_SPAN_LIT("roles");
    event.object = sp_span_cstr(g->person.name);
    event.detail = kept;
    sp_request_record(req, &event, go_grant, g);
}

/* Nobody who can sign in holds it: an office that begins, or has lost its last one. A disabled
 * holder does not keep it: he has left, and nobody else could give it on. */
static bool is_vacant(sp_core *core, sp_arena *arena, uint32_t role)
{
    role_walk *walk = NULL;
    if (sp_failed(sp_arena_alloc(arena, 1, sizeof(*walk), &walk))) {
        return false;
    }
    walk->core = core;
    walk->able = true;
    return !sp_failed(sp_people_each(core->store, count_person, walk)) && walk->counts[role] == 0;
}

/* The system administrator names the first security and the first audit administrator, because the
 * first account is his: exactly that one role, nothing else. All other grants are for the security
 * administrator. */
static bool may_grant(sp_request *req, const grant *g)
{
    if ((sp_request_admin(req) & SP_WHO_SECURITY) != 0) {
        return true;
    }
    uint32_t only = SP_NONE;
    unsigned changes = 0;
    for (uint32_t role = 0; role < SP_ROLES_MAX; role++) {
        if (sp_roles_hold(g->before, role) != sp_roles_hold(g->wanted, role)) {
            changes++;
            only = sp_roles_hold(g->wanted, role) ? role : SP_NONE;
        }
    }
    if (changes == 1 && (only == SP_ROLE_NR_SECURITY || only == SP_ROLE_NR_AUDIT) &&
        is_vacant(sp_request_core(req), sp_request_arena(req), only)) {
        return true;
    }
    sp_answer_problem(req, 403, "forbidden",
                      "The security administrator grants roles. The system administrator only "
                      "names the first holder of a vacant administrator role.");
    return false;
}

static bool may_become(sp_request *req, const grant *g)
{
    return are_together(req, g) && is_unsealed(req, g) && may_grant(req, g);
}

static void answer_own(sp_request *req, void *data)
{
    (void)data;
    sp_answer_problem(req, 409, "own_roles",
                      "Nobody grants roles to himself. Ask another security administrator.");
}

/* That he tried is on the ledger: the watch tells it. */
static void refuse_own(sp_request *req, const grant *g)
{
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    event.severity = SP_SEVERITY_HIGH;
    event.method = SP_SPAN_LIT("roles");
    event.object = sp_span_cstr(g->person.name);
    event.detail = SP_SPAN_LIT("{\"refused\":\"own_roles\"}");
    sp_request_record(req, &event, answer_own, NULL);
}

/* The roles that the asker saw are those that are held; without them, whatever is held. */
static bool was_seen(sp_request *req, const json_t *seen, const grant *g)
{
    uint64_t roles[SP_ROLE_WORDS] = {0};
    for (size_t i = 0; i < json_array_size(seen); i++) {
        uint32_t number = 0;
        sp_span name = sp_span_cstr(json_string_value(json_array_get(seen, i)));
        if (!sp_failed(sp_roles_find(sp_request_core(req)->store, name, &number)) &&
            number < SP_ROLES_MAX) {
            roles[number / 64] |= UINT64_C(1) << (number % 64);
        }
    }
    if (seen != NULL && (!json_is_array(seen) || json_array_size(seen) > SP_ROLES_MAX)) {
        sp_answer_invalid(req, "before", "an array of at most 256 names");
        return false;
    }
    bool same = seen == NULL ||
                sp_span_eq(sp_span_of(roles, sizeof(roles)), sp_span_of(g->before, sizeof(roles)));
    if (!same) {
        answer_meanwhile(req);
    }
    return same;
}

static void put_roles(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    const json_t *names = NULL;
    const json_t *seen = NULL;
    uint64_t id = 0;
    grant *g = NULL;
    const sp_field fields[] = {SP_FIELD_JSON("roles", &names), SP_FIELD_JSON_OPT("before", &seen)};
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*g), &g);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!json_is_array(names) || json_array_size(names) > SP_ROLES_MAX) {
        sp_answer_invalid(req, "roles", "an array of at most 256 names");
        return;
    }
    if (!sp_request_param_u64(req, 0, &id) || id > UINT32_MAX ||
        sp_failed(sp_people_get(core->store, (uint32_t)id, &g->person)) ||
        g->person.state == SP_PERSON_REMOVED) {
        sp_answer_problem(req, 404, "not_found", "There is no such person.");
        return;
    }
    if (g->person.id == sp_request_person(req)) {
        refuse_own(req, g);
        return;
    }
    err = sp_roles_of(core->store, g->person.id, g->before);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (was_seen(req, seen, g) && read_wanted(req, names, g) && may_become(req, g)) {
        record_grant(req, names, g);
    }
}

sp_err sp_admin_roles_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/roles", SP_WHO_ANY_ADMIN, get_roles, 0},
        {"PUT", "/api/v1/admin/people/{id}/roles", SP_WHO_SYSTEM | SP_WHO_SECURITY | SP_WHO_FRESH,
         put_roles, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

/* SPDX-License-Identifier: Apache-2.0
 * Reading the policy: versions, documents, lists, matrix, and asking it.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml
 * "/admin/policy".
 */
#include "core/admin/shapes.h"
#include "core/devices/rows.h"
#include "core/documents/documents.h"
#include "core/documents/history.h"
#include "core/documents/job.h"
#include "core/http/json.h"
#include "core/identity/people.h"
#include "infra/proc/clock.h"

enum { ARENA_BYTES = 2 * SP_POLICY_SET_MAX_BYTES, ROLES_ASKED_MAX = 64 };

static const sp_policy_set *set_of(sp_request *req)
{
    return sp_documents_set(sp_request_core(req)->state->documents);
}

static uint64_t version_of(sp_request *req)
{
    return sp_documents_version(sp_request_core(req)->state->documents);
}

static json_t *number_text(uint64_t number)
{
    return json_sprintf("%llu", (unsigned long long)number);
}

/* ---- versions ---- */

static json_t *version_json(const sp_doc_version *version, uint64_t in_force)
{
    json_t *object = json_object();
    auto_buf sp_buf digest = sp_buf_make(128);
    sp_buf_hex(&digest, version->digest);
    json_object_set_new(object, "version", number_text(version->version));
    json_object_set_new(object, "digest", sp_json_span(sp_buf_borrow(&digest)));
    json_object_set_new(object, "applied_at", sp_json_time(version->applied_unix_s));
    json_object_set_new(object, "by", sp_json_span(version->by_name));
    json_object_set_new(object, "comment", sp_json_span(version->comment));
    if (version->rollback_of != 0) {
        json_object_set_new(object, "rollback_of", number_text(version->rollback_of));
    }
    json_object_set_new(object, "current", json_boolean(version->version == in_force));
    json_t *counts = json_loadb((const char *)version->counts.ptr, version->counts.len, 0, NULL);
    json_object_set_new(object, "counts", counts == NULL ? json_object() : counts);
    return object;
}

json_t *sp_admin_version_json(sp_core *core, uint64_t number)
{
    auto_arena sp_arena arena = sp_arena_make(64 * 1024);
    sp_doc_version version;
    if (sp_failed(sp_history_get(core->store, number, &arena, &version))) {
        return json_pack("{s:s,s:s,s:n,s:s}", "version", "0", "digest", "", "applied_at", "by", "");
    }
    return version_json(&version, sp_documents_version(core->state->documents));
}

static void get_policy(sp_request *req)
{
    sp_answer_json(req, 200, sp_admin_version_json(sp_request_core(req), version_of(req)));
}

typedef struct {
    json_t *items;
    uint64_t in_force;
    uint64_t last;
} version_walk;

static void add_version(void *self, const sp_doc_version *version)
{
    version_walk *walk = self;
    json_array_append_new(walk->items, version_json(version, walk->in_force));
    walk->last = version->version;
}

static void get_versions(sp_request *req)
{
    uint64_t limit = 0;
    uint64_t before = 0;
    sp_span cursor = sp_request_query(req, "cursor");
    if (!sp_request_limit(req, &limit)) {
        return;
    }
    if (cursor.len > 0 && sp_failed(sp_span_to_u64(cursor, INT64_MAX, &before))) {
        sp_answer_invalid(req, "cursor", "the value of next");
        return;
    }
    version_walk walk = {json_array(), version_of(req), 0};
    sp_err err = sp_history_each(sp_request_core(req)->store, before, limit, add_version, &walk);
    if (sp_failed(err)) {
        json_decref(walk.items);
        sp_answer_failed(req, err);
        return;
    }
    bool more = json_array_size(walk.items) == limit && walk.last > 1;
    json_t *body = json_object();
    json_object_set_new(body, "items", walk.items);
    json_object_set_new(body, "next", more ? number_text(walk.last) : json_null());
    sp_answer_json(req, 200, body);
}

/* ---- documents ---- */

static sp_err read_sources(sp_request *req, uint64_t version, sp_arena *arena, sp_sources *ret)
{
    sp_policy_file *files = NULL;
    *ret = (sp_sources){0};
    if (version == 0) {
        return sp_ok();
    }
    TRY(sp_history_files(sp_request_core(req)->store, version, arena, &files, &ret->count));
    ret->files = files;
    return sp_ok();
}

static bool read_version(sp_request *req, const char *name, uint64_t *ret_version)
{
    sp_span text = sp_request_query(req, name);
    *ret_version = version_of(req);
    if (text.len > 0 && sp_failed(sp_span_to_u64(text, INT64_MAX, ret_version))) {
        sp_answer_invalid(req, name, "a version's number");
        return false;
    }
    return true;
}

static void get_documents(sp_request *req)
{
    uint64_t version = 0;
    if (!read_version(req, "version", &version)) {
        return;
    }
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_sources sources;
    sp_err err = read_sources(req, version, &arena, &sources);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    json_t *files = json_array();
    for (size_t i = 0; i < sources.count; i++) {
        json_t *file = json_object();
        json_object_set_new(file, "path", json_string(sources.files[i].name));
        json_object_set_new(file, "text", sp_json_span(sources.files[i].text));
        json_array_append_new(files, file);
    }
    json_t *body = json_object();
    json_object_set_new(body, "version", number_text(version));
    json_object_set_new(body, "files", files);
    sp_answer_json(req, 200, body);
}

/* ---- lists ---- */

static void answer_shaped(sp_request *req,
                          json_t *(*shape)(const sp_policy_set *set, const sp_sources *sources))
{
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_sources sources;
    sp_err err = read_sources(req, version_of(req), &arena, &sources);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_items(req, shape(set_of(req), &sources));
}

static void get_rules(sp_request *req)
{
    answer_shaped(req, sp_shape_rules);
}

static void get_nevers(sp_request *req)
{
    answer_shaped(req, sp_shape_nevers);
}

static void get_examples(sp_request *req)
{
    answer_shaped(req, sp_shape_examples);
}

static void get_resources(sp_request *req)
{
    sp_answer_items(req, sp_shape_resources(sp_request_core(req), set_of(req)));
}

static void get_classes(sp_request *req)
{
    sp_answer_items(req, sp_shape_classes(set_of(req)));
}

/* ---- matrix ---- */

static void answer_wrong(sp_request *req, const sp_diags *diags)
{
    sp_answer_problem(req, 422, "invalid", "%s",
                      diags->count > 0 ? diags->items[0].text : "The question has unknown names.");
}

static void get_matrix(sp_request *req)
{
    sp_policy_matrix_query query = {
        .role = sp_request_query(req, "role"),
        .strength = sp_request_query(req, "strength"),
        .posture = sp_request_query(req, "posture"),
        .resource = sp_request_query(req, "resource"),
    };
    auto_diags sp_diags diags = {0};
    auto_buf sp_buf out = sp_buf_make(16 << 20);
    if (sp_failed(sp_policy_matrix_json(set_of(req), &query, &diags, &out))) {
        answer_wrong(req, &diags);
        return;
    }
    sp_answer_bytes(req, 200, "application/json", sp_buf_borrow(&out));
}

/* ---- explain ---- */

typedef struct {
    sp_policy_ask ask;
    sp_span roles[ROLES_ASKED_MAX];
    sp_span method;
    sp_span path;
    sp_span action;
    sp_span device;
    sp_span at;
    const json_t *role_list;
    uint64_t auth_age_s;
    uint64_t approvals;
    char tried[2048 + 64];
} question;

static bool add_role(question *q, sp_span name)
{
    if (q->ask.roles_count == ROLES_ASKED_MAX) {
        return false;
    }
    q->roles[q->ask.roles_count++] = name;
    return true;
}

typedef struct {
    question *q;
    uint64_t held[SP_ROLE_WORDS];
    sp_arena *arena;
    sp_err err;
} held_walk;

static void add_held(void *self, sp_span name, uint32_t number)
{
    held_walk *walk = self;
    sp_span copy = SP_SPAN_EMPTY;
    if (sp_roles_hold(walk->held, number) && !sp_failed(walk->err)) {
        walk->err = sp_arena_copy(walk->arena, name, &copy);
        if (!sp_failed(walk->err) && !add_role(walk->q, copy)) {
            walk->err = sp_fail(SP_ELIMIT);
        }
    }
}

/* A person is asked for with the roles he holds. */
static sp_err take_person(sp_request *req, question *q)
{
    sp_store *store = sp_request_core(req)->store;
    sp_person person;
    held_walk walk = {.q = q, .arena = sp_request_arena(req)};
    TRY(sp_people_find(store, q->ask.person, &person));
    TRY(sp_roles_of(store, person.id, walk.held));
    TRY(sp_roles_each(store, add_held, &walk));
    return walk.err;
}

/* A device is asked for with its owner and posture as they are. */
static sp_err take_device(sp_request *req, question *q)
{
    uint64_t id = 0;
    sp_device device;
    TRY(sp_span_to_u64(q->device, INT64_MAX, &id));
    TRY(sp_device_get(sp_request_core(req)->store, id, sp_request_arena(req), &device));
    q->ask.owner = sp_span_cstr(sp_owner_word((sp_owner)device.owner));
    q->ask.posture = sp_span_cstr(sp_posture_word((sp_posture)device.posture));
    return sp_ok();
}

static bool take_roles(sp_request *req, question *q)
{
    for (size_t i = 0; i < json_array_size(q->role_list); i++) {
        const json_t *name = json_array_get(q->role_list, i);
        if (!json_is_string(name) || !add_role(q, sp_span_cstr(json_string_value(name)))) {
            sp_answer_invalid(req, "roles", "an array of at most 64 names");
            return false;
        }
    }
    if (q->ask.person.len > 0 && sp_failed(take_person(req, q))) {
        sp_answer_invalid(req, "person", "the login name of a person");
        return false;
    }
    if (q->device.len > 0 && sp_failed(take_device(req, q))) {
        sp_answer_invalid(req, "device", "the id of a device");
        return false;
    }
    return true;
}

/* "METHOD /path" when there is a method, else the action. */
static bool take_tried(sp_request *req, question *q)
{
    auto_buf sp_buf tried = sp_buf_make(sizeof(q->tried) - 1);
    if (q->method.len > 0) {
        sp_buf_span(&tried, q->method);
        sp_buf_byte(&tried, ' ');
        sp_buf_span(&tried, q->path.len > 0 ? q->path : SP_SPAN_LIT("/"));
    } else {
        sp_buf_span(&tried, q->action);
        q->ask.part = q->path;
    }
    if (sp_failed(sp_fit(q->tried, sizeof(q->tried), sp_buf_borrow(&tried)))) {
        sp_answer_invalid(req, "path", "at most 2048 bytes");
        return false;
    }
    q->ask.tried = sp_span_cstr(q->tried);
    return true;
}

static bool read_question(sp_request *req, question *q)
{
    sp_policy_ask *ask = &q->ask;
    const sp_field fields[] = {
        SP_FIELD_TEXT_OPT("person", &ask->person, 0, SP_NAME_MAX_BYTES),
        SP_FIELD_JSON_OPT("roles", &q->role_list),
        SP_FIELD_TEXT_OPT("device", &q->device, 0, 20),
        SP_FIELD_TEXT_OPT("owner", &ask->owner, 0, 16),
        SP_FIELD_TEXT_OPT("posture", &ask->posture, 0, 16),
        SP_FIELD_TEXT_OPT("strength", &ask->strength, 0, 16),
        SP_FIELD_U64_OPT("auth_age_s", &q->auth_age_s, UINT32_MAX),
        SP_FIELD_TEXT("resource", &ask->resource, 1, SP_NAME_MAX_BYTES),
        SP_FIELD_TEXT_OPT("path", &q->path, 0, 2048),
        SP_FIELD_TEXT_OPT("method", &q->method, 0, 32),
        SP_FIELD_TEXT("action", &q->action, 1, 16),
        SP_FIELD_U64_OPT("approvals", &q->approvals, 255),
        SP_FIELD_TEXT_OPT("peer", &ask->network, 0, 64),
        SP_FIELD_TEXT_OPT("at", &q->at, 0, 40),
    };
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return false;
    }
    ask->roles = q->roles;
    ask->auth_age_s = (uint32_t)q->auth_age_s;
    ask->approvals = (uint32_t)q->approvals;
    ask->now_unix_s = sp_now_unix_us() / 1000000;
    if (q->at.len > 0 && !sp_admin_time(q->at, &ask->now_unix_s)) {
        sp_answer_invalid(req, "at", "a time like 2026-03-01T08:00:00Z");
        return false;
    }
    return take_roles(req, q) && take_tried(req, q);
}

static void post_explain(sp_request *req)
{
    question *q = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*q), &q);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (!read_question(req, q)) {
        return;
    }
    const sp_policy_set *set = set_of(req);
    auto_diags sp_diags diags = {0};
    sp_policy_told told;
    if (sp_failed(sp_policy_ask_words(set, &q->ask, &diags, &told))) {
        answer_wrong(req, &diags);
        return;
    }
    auto_buf sp_buf out = sp_buf_make(1 << 20);
    sp_policy_explain_json(set, &q->ask, &told, &out);
    sp_answer_bytes(req, 200, "application/json", sp_buf_borrow(&out));
}

sp_err sp_admin_policy_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/policy", SP_WHO_ANY_ADMIN, get_policy, 0},
        {"GET", "/api/v1/admin/policy/documents", SP_WHO_ANY_ADMIN, get_documents, 0},
        {"GET", "/api/v1/admin/policy/versions", SP_WHO_ANY_ADMIN, get_versions, 0},
        {"GET", "/api/v1/admin/policy/matrix", SP_WHO_ANY_ADMIN, get_matrix, 0},
        {"POST", "/api/v1/admin/policy/explain", SP_WHO_ANY_ADMIN, post_explain, 0},
        {"GET", "/api/v1/admin/policy/rules", SP_WHO_ANY_ADMIN, get_rules, 0},
        {"GET", "/api/v1/admin/policy/nevers", SP_WHO_ANY_ADMIN, get_nevers, 0},
        {"GET", "/api/v1/admin/policy/examples", SP_WHO_ANY_ADMIN, get_examples, 0},
        {"GET", "/api/v1/admin/resources", SP_WHO_ANY_ADMIN, get_resources, 0},
        {"GET", "/api/v1/admin/classes", SP_WHO_ANY_ADMIN, get_classes, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

/* SPDX-License-Identifier: Apache-2.0
 * Passwords of accounts, of databases and of machines behind the SSH gate, for administrators:
 * given or made, listed, removed. They go to the vault and never come back by the API.
 * OWNS what waits for the vault. PROCESS core. TRUST requests are hostile; a password is in the
 * request's body only, and is wiped with it. SPEC docs/api/openapi.yaml
 * "admin/databases/credentials", "admin/ssh/credentials".
 */
#include "core/database/inside.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/vault_client.h"
#include "lib/policy/ssh.h"
#include "lib/proto/vault_msg.h"

/* What databases and machines differ in. */
typedef struct {
    sp_gate gate;
    uint16_t put;
    uint16_t list;
    uint16_t remove;
    const char *kept;
    const char *removed;
} side;

static const side DATABASES = {SP_GATE_DB,
                               SP_VAULT_DB_CREDENTIAL_PUT,
                               SP_VAULT_DB_CREDENTIAL_LIST,
                               SP_VAULT_DB_CREDENTIAL_REMOVE,
                               "database credential kept",
                               "database credential removed"};
static const side MACHINES = {SP_GATE_SSH,
                              SP_VAULT_SSH_CREDENTIAL_PUT,
                              SP_VAULT_SSH_CREDENTIAL_LIST,
                              SP_VAULT_SSH_CREDENTIAL_REMOVE,
                              "SSH credential kept",
                              "SSH credential removed"};

typedef struct {
    sp_request *req;
    const side *of;
    sp_span name; /* "<resource>/<account>" */
    sp_span password;
} change;

static json_t *text_json(sp_span text)
{
    return json_stringn(text.len == 0 ? "" : (const char *)text.ptr, text.len);
}

static void answer_vault(sp_request *req, sp_err err)
{
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found", "The vault has no such credential.");
    } else if (err.code == SP_EINVALID) {
        sp_answer_invalid(req, "password", "1 to 200 printable ASCII characters");
    } else if (err.code == SP_ELIMIT) {
        sp_answer_problem(req, 409, "conflict",
                          "The vault holds as many credentials as it can. Remove one first.");
    } else {
        sp_answer_failed(req, err);
    }
}

/* ---- listing ---- */

static json_t *items_of(const sp_vault_keys *keys)
{
    json_t *items = json_array();
    for (size_t i = 0; i < keys->count; i++) {
        size_t slash = sp_span_index(keys->items[i].name, '/');
        sp_span name = keys->items[i].name;
        json_array_append_new(items,
                              json_pack("{s:o, s:o, s:o}", "resource",
                                        text_json(sp_span_slice(name, 0, slash)), "account",
                                        text_json(sp_span_slice(name, slash + 1, name.len)),
                                        "changed_at", sp_json_time(keys->items[i].created_unix_s)));
    }
    return items;
}

static void on_list(void *self, sp_err err, sp_span body)
{
    sp_request *req = self;
    auto_free sp_vault_keys *keys = NULL;
    if (!sp_failed(err)) {
        err = sp_alloc(1, sizeof(*keys), &keys);
    }
    if (!sp_failed(err)) {
        err = sp_vault_keys_decode(body, keys);
    }
    if (sp_failed(err)) {
        answer_vault(req, err);
    } else {
        sp_answer_items(req, items_of(keys));
    }
}

static void get_list(sp_request *req)
{
    sp_vault_client_call(sp_request_core(req)->vault, DATABASES.list, SP_SPAN_EMPTY, on_list, req);
}

static void get_ssh_list(sp_request *req)
{
    sp_vault_client_call(sp_request_core(req)->vault, MACHINES.list, SP_SPAN_EMPTY, on_list, req);
}

/* ---- changing ---- */

static void on_put(void *self, sp_err err, sp_span body)
{
    change *c = self;
    if (sp_failed(err)) {
        answer_vault(c->req, err);
        return;
    }
    if (body.len == 0) { /* a machine's: there is nothing to be told */
        sp_answer_empty(c->req, 204);
        return;
    }
    sp_answer_header(c->req, "Cache-Control", SP_SPAN_LIT("no-store"));
    sp_answer_json(c->req, 200,
                   json_pack("{s:o, s:o}", "name", text_json(c->name), "scram", text_json(body)));
}

static void put_now(sp_request *req, void *data)
{
    change *c = data;
    auto_buf sp_buf body = sp_buf_make(512);
    sp_buf_room(&body, 512); /* grown once: no copy of a password is left behind */
    sp_vault_db_credential ask = {c->name, c->password};
    sp_vault_db_credential_encode(&ask, &body);
    sp_vault_client_call(sp_request_core(req)->vault, c->of->put, sp_buf_borrow(&body), on_put, c);
    sp_buf_wipe(&body);
}

static void on_removed(void *self, sp_err err, sp_span body)
{
    change *c = self;
    (void)body;
    if (sp_failed(err)) {
        answer_vault(c->req, err);
    } else {
        sp_answer_empty(c->req, 204);
    }
}

static void remove_now(sp_request *req, void *data)
{
    change *c = data;
    sp_vault_client_call(sp_request_core(req)->vault, c->of->remove, c->name, on_removed, c);
}

/* "<resource>/<account>" of the path; NULL when it was refused and answered. */
static change *change_of(sp_request *req, const side *of)
{
    change *c = NULL;
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_CREDENTIAL_MAX_BYTES);
    sp_buf_span(&name, sp_request_param(req, 0));
    sp_buf_byte(&name, '/');
    sp_buf_span(&name, sp_request_param(req, 1));
    sp_err err = sp_buf_error(&name);
    if (!sp_failed(err)) {
        err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*c), &c);
    }
    if (!sp_failed(err)) {
        err = sp_arena_copy(sp_request_arena(req), sp_buf_borrow(&name), &c->name);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return NULL;
    }
    c->req = req;
    c->of = of;
    return c;
}

static void record(sp_request *req, const char *method, const change *c, sp_request_go go)
{
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    event.method = sp_span_cstr(method);
    event.gate = (uint8_t)c->of->gate;
    event.object = c->name;
    sp_request_record(req, &event, go, (void *)(uintptr_t)c);
}

/* A slip of the pen would keep a password that nothing ever uses. */
static bool resource_is_known(sp_request *req, const side *of)
{
    const sp_core *core = sp_request_core(req);
    const sp_policy *policy = sp_policy_set_view(sp_documents_set(core->state->documents));
    sp_database_resource database;
    sp_ssh_resource ssh;
    uint32_t at = sp_policy_resource_find(policy, sp_request_param(req, 0));
    bool is_known = of == &MACHINES ? sp_policy_ssh_resource(policy, at, &ssh)
                                    : sp_policy_database_resource(policy, at, &database);
    if (!is_known) {
        sp_answer_problem(req, 404, "not_found",
                          "No document names a resource of this name with '%s'.",
                          of == &MACHINES ? "ssh" : "postgres");
    }
    return is_known;
}

static void put_one(sp_request *req, const side *of)
{
    sp_span password = SP_SPAN_EMPTY;
    const sp_field fields[] = {
        SP_FIELD_TEXT_OPT("password", &password, 0, SP_VAULT_PASSWORD_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !resource_is_known(req, of)) {
        return;
    }
    change *c = change_of(req, of);
    if (c != NULL) {
        c->password = password;
        record(req, of->kept, c, put_now);
    }
}

static void delete_one(sp_request *req, const side *of)
{
    const change *c = change_of(req, of);
    if (c != NULL) {
        record(req, of->removed, c, remove_now);
    }
}

static void put_credential(sp_request *req)
{
    put_one(req, &DATABASES);
}

static void delete_credential(sp_request *req)
{
    delete_one(req, &DATABASES);
}

static void put_ssh_credential(sp_request *req)
{
    put_one(req, &MACHINES);
}

static void delete_ssh_credential(sp_request *req)
{
    delete_one(req, &MACHINES);
}

sp_err sp_db_credentials_routes(sp_core *core)
{
#define ONE "/api/v1/admin/databases/credentials/{resource}/{account}"
#define SSH_ONE "/api/v1/admin/ssh/credentials/{resource}/{account}"
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/databases/credentials",
         SP_WHO_SYSTEM | SP_WHO_SECURITY | SP_WHO_LOCAL, get_list, 0},
        {"PUT", ONE, SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, put_credential, 0},
        {"DELETE", ONE, SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, delete_credential, 0},
        {"GET", "/api/v1/admin/ssh/credentials", SP_WHO_SYSTEM | SP_WHO_SECURITY | SP_WHO_LOCAL,
         get_ssh_list, 0},
        {"PUT", SSH_ONE, SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, put_ssh_credential, 0},
        {"DELETE", SSH_ONE, SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, delete_ssh_credential,
         0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

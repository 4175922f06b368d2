/* SPDX-License-Identifier: Apache-2.0
 * Passwords and keys of accounts, of databases and of machines behind the SSH gate, for
 * administrators: given or made, listed, removed. They go to the vault and never come back by the
 * API. OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml
 * "admin/databases/credentials", "admin/ssh/credentials".
 */
#include "core/database/inside.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/vault_client.h"
#include "core/vault_secrets.h"
#include "lib/policy/ssh.h"
#include "lib/proto/vault_msg.h"
#include "lib/ssh/key.h"

static const sp_vault_secret_kind DATABASES = {.gate = SP_GATE_DB,
                                               .put = SP_VAULT_DB_CREDENTIAL_PUT,
                                               .put_key = SP_VAULT_DB_KEY_PUT,
                                               .remove = SP_VAULT_DB_CREDENTIAL_REMOVE,
                                               .field = "password",
                                               .kept = "database credential kept",
                                               .key_made = "database key made",
                                               .removed = "database credential removed"};
static const sp_vault_secret_kind MACHINES = {.gate = SP_GATE_SSH,
                                              .put = SP_VAULT_SSH_CREDENTIAL_PUT,
                                              .remove = SP_VAULT_SSH_CREDENTIAL_REMOVE,
                                              .field = "password",
                                              .kept = "SSH credential kept",
                                              .removed = "SSH credential removed"};

static json_t *key_json(sp_span name, sp_span blob)
{
    auto_buf sp_buf line = sp_buf_make(SP_SSH_KEY_LINE_MAX_BYTES);
    auto_buf sp_buf fingerprint = sp_buf_make(SP_SSH_KEY_LINE_MAX_BYTES);
    sp_ssh_key_text(blob, &line);
    sp_ssh_key_fingerprint(blob, &fingerprint);
    return json_pack("{s:o, s:o, s:o}", "name", sp_json_span(name), "public",
                     sp_json_span(sp_buf_borrow(&line)), "fingerprint",
                     sp_json_span(sp_buf_borrow(&fingerprint)));
}

static const sp_vault_secret_kind MACHINE_KEYS = {
    .gate = SP_GATE_SSH,
    .put = SP_VAULT_SSH_KEY_PUT,
    .remove = SP_VAULT_SSH_CREDENTIAL_REMOVE,
    .field = "key",
    .max_bytes = SP_VAULT_SSH_PRIVATE_MAX_BYTES,
    .expected = "a private key without passphrase: Ed25519, or RSA of 2048 to 4096 bits",
    .told = key_json,
    .kept = "SSH key kept",
    .removed = "SSH credential removed"};

/* ---- listing ---- */

static json_t *items_of(const sp_vault_keys *keys)
{
    json_t *items = json_array();
    for (size_t i = 0; i < keys->count; i++) {
        size_t slash = sp_span_index(keys->items[i].name, '/');
        sp_span name = keys->items[i].name;
        sp_span kind = keys->items[i].kind;
        kind = sp_span_eq(kind, SP_SPAN_LIT("p256")) ? SP_SPAN_LIT("certificate") : kind;
        json_array_append_new(items,
                              json_pack("{s:o, s:o, s:o, s:o}", "resource",
                                        sp_json_span(sp_span_slice(name, 0, slash)), "account",
                                        sp_json_span(sp_span_slice(name, slash + 1, name.len)),
                                        "kind", sp_json_span(kind), "changed_at",
                                        sp_json_time(keys->items[i].created_unix_s)));
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
        sp_answer_failed(req, err);
    } else {
        sp_answer_items(req, items_of(keys));
    }
}

static void get_list(sp_request *req)
{
    sp_vault_client_call(sp_request_core(req)->vault, SP_VAULT_DB_CREDENTIAL_LIST, SP_SPAN_EMPTY,
                         on_list, req);
}

static void get_ssh_list(sp_request *req)
{
    sp_vault_client_call(sp_request_core(req)->vault, SP_VAULT_SSH_CREDENTIAL_LIST, SP_SPAN_EMPTY,
                         on_list, req);
}

/* ---- changing ---- */

/* A slip of the pen would keep a password that nothing ever uses. */
static bool is_known(sp_request *req, bool is_resource, const char *word)
{
    if (!is_resource) {
        sp_answer_problem(req, 404, "not_found",
                          "No document names a resource of this name with '%s'.", word);
    }
    return is_resource;
}

static uint32_t resource_of(sp_request *req, const sp_policy **ret_policy)
{
    const sp_core *core = sp_request_core(req);
    *ret_policy = sp_policy_set_view(sp_documents_set(core->state->documents));
    return sp_policy_resource_find(*ret_policy, sp_request_param(req, 0));
}

static void put_credential(sp_request *req)
{
    const sp_policy *policy = NULL;
    sp_database_resource database;
    uint32_t at = resource_of(req, &policy);
    if (is_known(req, sp_policy_database_resource(policy, at, &database), "postgres")) {
        sp_vault_secret_put(req, &DATABASES);
    }
}

static void delete_credential(sp_request *req)
{
    sp_vault_secret_remove(req, &DATABASES);
}

static void put_for_machine(sp_request *req, const sp_vault_secret_kind *kind)
{
    const sp_policy *policy = NULL;
    sp_ssh_resource ssh;
    uint32_t at = resource_of(req, &policy);
    if (is_known(req, sp_policy_ssh_resource(policy, at, &ssh), "ssh")) {
        sp_vault_secret_put(req, kind);
    }
}

static void put_ssh_credential(sp_request *req)
{
    put_for_machine(req, &MACHINES);
}

static void put_ssh_key(sp_request *req)
{
    put_for_machine(req, &MACHINE_KEYS);
}

static void delete_ssh_credential(sp_request *req)
{
    sp_vault_secret_remove(req, &MACHINES);
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
        {"PUT", "/api/v1/admin/ssh/keys/{resource}/{account}",
         SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, put_ssh_key, 0},
        {"DELETE", SSH_ONE, SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH, delete_ssh_credential,
         0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

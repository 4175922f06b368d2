/* SPDX-License-Identifier: Apache-2.0
 * Secrets given to the vault and taken from it.
 * OWNS see vault_secrets.h. PROCESS core. TRUST requests are hostile. SPEC vault_secrets.h.
 */
#include "core/vault_secrets.h"

#include "core/http/json.h"
#include "core/vault_client.h"
#include "infra/crypto/x509.h"
#include "lib/proto/vault_msg.h"

enum { BODY_MAX_BYTES = SP_VAULT_SSH_PRIVATE_MAX_BYTES + 512 };

typedef struct {
    sp_request *req;
    const sp_vault_secret_kind *kind;
    sp_span name;
    sp_span value;
    bool by_certificate; /* a key instead */
} change;

static void answer_failed(const change *c, sp_err err)
{
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(c->req, 404, "not_found", "The vault has no such secret.");
    } else if (err.code == SP_EINVALID || err.code == SP_EUNSUPPORTED) {
        const char *expected = c->kind->expected;
        sp_answer_invalid(c->req, c->kind->field,
                          expected == NULL ? "1 to 200 printable ASCII characters" : expected);
    } else if (err.code == SP_ELIMIT) {
        sp_answer_problem(c->req, 409, "conflict",
                          "The vault holds as many secrets as it can. Remove one first.");
    } else {
        sp_answer_failed(c->req, err);
    }
}

static void on_changed(void *self, sp_err err, sp_span made)
{
    const change *c = self;
    if (sp_failed(err)) {
        answer_failed(c, err);
    } else if (made.len == 0) {
        sp_answer_empty(c->req, 204);
    } else {
        auto_buf sp_buf pem = sp_buf_make(2 * SP_CERT_MAX_BYTES);
        if (c->by_certificate) {
            sp_cert_pem(made, &pem);
            made = sp_buf_borrow(&pem);
        }
        sp_answer_header(c->req, "Cache-Control", SP_SPAN_LIT("no-store"));
        sp_answer_json(c->req, 200,
                       c->kind->told != NULL
                           ? c->kind->told(c->name, made)
                           : json_pack("{s:o, s:o}", "name", sp_json_span(c->name),
                                       c->by_certificate ? "authority" : "scram",
                                       sp_json_span(made)));
    }
}

static void go_put(sp_request *req, void *data)
{
    const change *c = data;
    auto_buf sp_buf body = sp_buf_make(BODY_MAX_BYTES);
    sp_buf_room(&body, BODY_MAX_BYTES);                 /* grown once: no copy is left behind */
    const sp_vault_ssh_named ask = {c->name, c->value}; /* a db_credential looks the same */
    sp_vault_ssh_named_encode(&ask, &body);
    sp_vault_client_call(sp_request_core(req)->vault, c->kind->put, sp_buf_borrow(&body),
                         on_changed, data);
    sp_buf_wipe(&body);
}

static void go_make_key(sp_request *req, void *data)
{
    const change *c = data;
    sp_vault_client_call(sp_request_core(req)->vault, c->kind->put_key, c->name, on_changed, data);
}

static void go_remove(sp_request *req, void *data)
{
    const change *c = data;
    sp_vault_client_call(sp_request_core(req)->vault, c->kind->remove, c->name, on_changed, data);
}

static bool part_is_known(const sp_vault_secret_kind *kind, sp_span part)
{
    return kind->parts_of == NULL || sp_span_eq(part, SP_SPAN_LIT("token")) ||
           sp_span_eq(part, SP_SPAN_LIT("secret"));
}

/* NULL: answered. */
static change *change_of(sp_request *req, const sp_vault_secret_kind *kind)
{
    change *c = NULL;
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_CREDENTIAL_MAX_BYTES);
    if (!part_is_known(kind, sp_request_param(req, 1))) {
        sp_answer_problem(req, 404, "not_found", "A %s has a 'token' and a 'secret'.",
                          kind->parts_of);
        return NULL;
    }
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
    c->kind = kind;
    return c;
}

static void record(change *c, const char *method, sp_request_go go)
{
    sp_event event = sp_request_event(c->req, SP_EVENT_ADMIN);
    event.method = sp_span_cstr(method);
    event.gate = (uint8_t)c->kind->gate;
    event.object = c->name;
    sp_request_record(c->req, &event, go, c);
}

void sp_vault_secret_put(sp_request *req, const sp_vault_secret_kind *kind)
{
    sp_span value = SP_SPAN_EMPTY;
    bool by_certificate = false;
    size_t max_bytes = kind->max_bytes > 0 ? kind->max_bytes : SP_VAULT_PASSWORD_MAX_BYTES;
    sp_field fields[] = {SP_FIELD_TEXT(kind->field, &value, kind->min_bytes, max_bytes),
                         SP_FIELD_BOOL_OPT("certificate", &by_certificate)};
    fields[0].optional = kind->min_bytes == 0;
    if (!sp_request_fields(req, fields, kind->put_key != 0 ? 2 : 1)) {
        return;
    }
    if (by_certificate && value.len > 0) {
        sp_answer_invalid(req, kind->field, "left out with 'certificate'");
        return;
    }
    change *c = change_of(req, kind);
    if (c != NULL) {
        c->value = value;
        c->by_certificate = by_certificate;
        record(c, by_certificate ? kind->key_made : kind->kept,
               by_certificate ? go_make_key : go_put);
    }
}

void sp_vault_secret_remove(sp_request *req, const sp_vault_secret_kind *kind)
{
    change *c = change_of(req, kind);
    if (c != NULL) {
        record(c, kind->removed, go_remove);
    }
}

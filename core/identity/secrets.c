/* SPDX-License-Identifier: Apache-2.0
 * TOTP secrets under the vault's key, and checking codes with them.
 * OWNS nothing. PROCESS core. TRUST codes are hostile; plain secrets live for one call.
 * SPEC lib/proto/vault_msg.h WRAP, UNWRAP.
 */
#include "core/identity/inside.h"
#include "core/vault_client.h"
#include "infra/proc/clock.h"
#include "lib/proto/vault_msg.h"

#include <stdio.h>

enum { CODE_MAX_BYTES = 32 };

typedef struct {
    sp_request *req;
    sp_on_secret then;
    void *data;
} asking;

static void on_reply(void *self, sp_err err, sp_span body)
{
    asking *ask = self;
    ask->then(ask->req, err, body, ask->data);
}

static void ask_vault(sp_request *req, uint16_t kind, uint32_t person, sp_span bytes,
                      sp_on_secret then, void *data)
{
    asking *ask = NULL;
    char bound[32];
    auto_buf sp_buf body = sp_buf_make(4096);
    snprintf(bound, sizeof(bound), "totp %u", person);
    sp_vault_wrap_encode(&(sp_vault_wrap){sp_span_cstr(bound), bytes}, &body);
    sp_err err = sp_buf_error(&body);
    if (!sp_failed(err)) {
        err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*ask), &ask);
    }
    if (sp_failed(err)) {
        then(req, err, SP_SPAN_EMPTY, data);
        return;
    }
    *ask = (asking){req, then, data};
    sp_vault_client_call(sp_request_core(req)->vault, kind, sp_buf_borrow(&body), on_reply, ask);
    sp_buf_wipe(&body);
}

void sp_secret_seal(sp_request *req, uint32_t person, sp_span secret, sp_on_secret then, void *data)
{
    ask_vault(req, SP_VAULT_WRAP, person, secret, then, data);
}

/* ---- codes ---- */

typedef struct {
    sp_core *core;
    sp_on_code_checked then;
    void *self;
    uint32_t person;
    uint64_t last_step;
    char code[CODE_MAX_BYTES + 1];
} checking;

static void on_code_secret(void *self, sp_err err, sp_span secret)
{
    checking *check = self;
    uint8_t nobody[SP_TOTP_SECRET_BYTES] = {0};
    bool vault_is_away = err.code == SP_EAGAIN || err.code == SP_ECLOSED || err.code == SP_ETIMEOUT;
    bool real = !sp_failed(err) && check->person != 0;
    uint64_t step = 0;
    bool right =
        sp_totp_check(real ? secret : sp_span_of(nobody, sizeof(nobody)), sp_span_cstr(check->code),
                      sp_now_unix_us() / 1000000, check->last_step, &step) &&
        real;
    if (right) { /* fails when another request was quicker with the same code */
        right = !sp_failed(sp_totp_use(check->core->store, check->person, step));
    }
    /* the vault being away is alike for every name */
    check->then(check->self, vault_is_away ? sp_fail(SP_EAGAIN) : sp_ok(), right);
    sp_wipe(check->code, sizeof(check->code));
    sp_free(check);
}

void sp_identity_check_code(sp_core *core, uint32_t person, sp_span code, sp_on_code_checked then,
                            void *self)
{
    enum { SEALED_LIKE_BYTES = 64 };
    checking *check = NULL;
    char bound[32];
    auto_buf sp_buf body = sp_buf_make(4096);
    sp_totp_row row = {.sealed_len = SEALED_LIKE_BYTES};
    if (sp_failed(sp_totp_get(core->store, person, &row))) {
        person = 0; /* nobody's, or a person without codes: the same way with a decoy */
    }
    snprintf(bound, sizeof(bound), "totp %u", person);
    sp_vault_wrap_encode(
        &(sp_vault_wrap){sp_span_cstr(bound), sp_span_of(row.sealed, row.sealed_len)}, &body);
    sp_err err = sp_buf_error(&body);
    if (!sp_failed(err)) {
        err = sp_alloc(1, sizeof(*check), &check);
    }
    if (sp_failed(err)) {
        then(self, err, false);
        return;
    }
    *check = (checking){core, then, self, person, row.last_step, {0}};
    if (sp_failed(sp_fit(check->code, sizeof(check->code), code))) {
        check->code[0] = '\0'; /* nobody's code is so long */
    }
    sp_vault_client_call(core->vault, SP_VAULT_UNWRAP, sp_buf_borrow(&body), on_code_secret, check);
    sp_buf_wipe(&body);
}

typedef struct {
    sp_request *req;
    sp_on_code then;
    void *data;
    sp_span account;
} code_of_request;

static void on_code_checked(void *self, sp_err err, bool is_right)
{
    const code_of_request *asked = self;
    if (sp_failed(err)) {
        sp_identity_untried(sp_request_core(asked->req), asked->account);
        sp_answer_failed(asked->req, err);
    } else {
        asked->then(asked->req, is_right, asked->data);
    }
}

void sp_code_check(sp_request *req, uint32_t person, sp_span account, sp_span code, sp_on_code then,
                   void *data)
{
    code_of_request *asked = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*asked), &asked);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    *asked = (code_of_request){req, then, data, account};
    sp_identity_check_code(sp_request_core(req), person, code, on_code_checked, asked);
}

/* ---- password and code together, for a log-in that is no request of the portal ---- */

typedef struct {
    sp_core *core;
    sp_on_proved then;
    void *self;
    uint32_t person; /* 0 = nobody */
    bool password_right;
    char code[CODE_MAX_BYTES + 1];
    char account[SP_NAME_MAX_BYTES + 1];
} proving;

static void end_proof(proving *proof, sp_err err, const char *why)
{
    uint32_t person = proof->person;
    sp_on_proved then = proof->then;
    void *self = proof->self;
    if (sp_failed(err)) {
        sp_identity_untried(proof->core, sp_span_cstr(proof->account));
    }
    sp_wipe(proof, sizeof(*proof));
    sp_free(proof);
    then(self, err, person, why);
}

static void on_proof_code(void *self, sp_err err, bool is_right)
{
    proving *proof = self;
    const char *why = proof->person == 0       ? "no such account"
                      : !proof->password_right ? "password"
                      : !is_right              ? "code"
                                               : NULL;
    end_proof(proof, err, why);
}

static void on_proof_password(void *self, sp_err err, bool is_right)
{
    proving *proof = self;
    if (sp_failed(err)) {
        end_proof(proof, err, NULL);
        return;
    }
    proof->password_right = is_right && proof->person != 0;
    /* a code is not used up on a wrong password */
    sp_identity_check_code(proof->core, proof->password_right ? proof->person : 0,
                           sp_span_cstr(proof->code), on_proof_code, proof);
}

void sp_identity_prove(sp_core *core, sp_span name, sp_span password, sp_span code,
                       sp_on_proved then, void *self)
{
    proving *proof = NULL;
    sp_person person = {0};
    char hash[SP_PASSWORD_HASH_BYTES] = {0};
    sp_err err = sp_alloc(1, sizeof(*proof), &proof);
    if (sp_failed(err)) {
        then(self, err, 0, NULL);
        return;
    }
    *proof = (proving){.core = core, .then = then, .self = self};
    err = sp_fit(proof->account, sizeof(proof->account), name);
    if (sp_failed(err)) {
        sp_free(proof);
        then(self, err, 0, NULL);
        return;
    }
    sp_identity_try(core, name);
    if (!sp_failed(sp_people_find(core->store, name, &person)) &&
        person.state == SP_PERSON_ACTIVE) {
        proof->person = person.id;
    }
    if (sp_failed(sp_fit(proof->code, sizeof(proof->code), code))) {
        proof->code[0] = '\0';
    }
    bool known = !sp_failed(sp_password_get(core->store, proof->person, hash));
    err = password.len > SP_PASSWORD_MAX_BYTES
              ? sp_fail(SP_ELIMIT)
              : sp_password_check(core->identity->passwords, password, known ? hash : NULL,
                                  on_proof_password, proof);
    sp_wipe(hash, sizeof(hash));
    if (sp_failed(err)) {
        end_proof(proof, err, NULL);
    }
}

static json_t *qr_of(const sp_buf *uri)
{
    auto_buf sp_buf svg = sp_buf_make(256 * 1024);
    if (sp_failed(sp_qr_svg((const char *)uri->ptr, &svg))) {
        return json_null();
    }
    return json_stringn((const char *)svg.ptr, svg.len);
}

void sp_answer_totp(sp_request *req, const sp_flow *flow, const char *name)
{
    sp_span secret = sp_span_of(flow->secret, sizeof(flow->secret));
    sp_span office = sp_span_cstr(sp_request_core(req)->config->office);
    auto_buf sp_buf text = sp_buf_make(64);
    auto_buf sp_buf uri = sp_buf_make(1024);
    sp_totp_secret_text(secret, &text);
    sp_totp_uri(secret, office, sp_span_cstr(name), &uri);
    sp_buf_byte(&uri, 0);
    sp_err err = sp_buf_error(&uri);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_json(req, 200,
                   json_pack("{s:s, s:s%, s:s, s:o}", "flow", flow->id, "secret",
                             (const char *)text.ptr, text.len, "uri", (const char *)uri.ptr,
                             "qr_svg", qr_of(&uri)));
    sp_buf_wipe(&text);
    sp_buf_wipe(&uri);
}

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

void sp_secret_open(sp_request *req, uint32_t person, sp_span sealed, sp_on_secret then, void *data)
{
    ask_vault(req, SP_VAULT_UNWRAP, person, sealed, then, data);
}

/* ---- codes ---- */

typedef struct {
    sp_on_code then;
    void *data;
    uint32_t person;
    uint64_t last_step;
    sp_span code;
} checking;

static void on_secret(sp_request *req, sp_err err, sp_span secret, void *data)
{
    checking *check = data;
    uint8_t nobody[SP_TOTP_SECRET_BYTES] = {0};
    bool vault_is_away = err.code == SP_EAGAIN || err.code == SP_ECLOSED || err.code == SP_ETIMEOUT;
    if (vault_is_away) { /* alike for every name */
        sp_answer_failed(req, sp_fail(SP_EAGAIN));
        return;
    }
    bool real = !sp_failed(err) && check->person != 0;
    uint64_t step = 0;
    bool right = sp_totp_check(real ? secret : sp_span_of(nobody, sizeof(nobody)), check->code,
                               sp_now_unix_us() / 1000000, check->last_step, &step) &&
                 real;
    if (right) { /* fails when another request was quicker with the same code */
        right = !sp_failed(sp_totp_use(sp_request_core(req)->store, check->person, step));
    }
    check->then(req, right, check->data);
}

void sp_code_check(sp_request *req, uint32_t person, sp_span code, sp_on_code then, void *data)
{
    enum { SEALED_LIKE_BYTES = 64 };
    checking *check = NULL;
    sp_totp_row row = {.sealed_len = SEALED_LIKE_BYTES};
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*check), &check);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (sp_failed(sp_totp_get(sp_request_core(req)->store, person, &row))) {
        person = 0; /* nobody's, or a person without codes: the same way with a decoy */
    }
    *check = (checking){then, data, person, row.last_step, code};
    sp_secret_open(req, person, sp_span_of(row.sealed, row.sealed_len), on_secret, check);
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

/* SPDX-License-Identifier: Apache-2.0
 * Issuing a device's certificate.
 * OWNS what waits. PROCESS core. TRUST the vault's reply is bounded and read.
 * SPEC core/devices/issue.h.
 */
#include "core/devices/issue.h"

#include "core/http/json.h"
#include "core/vault_client.h"
#include "infra/crypto/random.h"
#include "infra/crypto/x509.h"
#include "infra/proc/clock.h"
#include "lib/proto/vault_msg.h"

typedef struct {
    sp_request *req;
    sp_device device;
    sp_hash replaces;
    bool has_replaced;
    sp_device_cert cert;
    char ticket[SP_ISSUE_TICKET_TEXT_BYTES];
} issuing;

void sp_issue_ticket(char ret_text[SP_ISSUE_TICKET_TEXT_BYTES], sp_hash *ret_hash)
{
    uint8_t bytes[32];
    auto_buf sp_buf text = sp_buf_make(SP_ISSUE_TICKET_TEXT_BYTES);
    sp_random(bytes, sizeof(bytes));
    sp_buf_base64url(&text, sp_span_of(bytes, sizeof(bytes)));
    sp_wipe(bytes, sizeof(bytes));
    sp_copy(ret_text, text.ptr, SP_ISSUE_TICKET_TEXT_BYTES - 1);
    ret_text[SP_ISSUE_TICKET_TEXT_BYTES - 1] = '\0';
    *ret_hash = sp_sha256(sp_buf_borrow(&text));
    sp_buf_wipe(&text);
}

/* The agent's next ticket; the one before is spent. */
static sp_err renew_ticket(issuing *i, sp_store *store, const sp_hash *spent_for)
{
    sp_hash hash;
    sp_issue_ticket(i->ticket, &hash);
    return sp_ticket_renew(store, &i->device, spent_for, &hash, sp_now_unix_us() / 1000000);
}

/* ---- the answer ---- */

static void on_ca(void *self, sp_err err, sp_span body)
{
    issuing *i = self;
    if (sp_failed(err)) {
        sp_answer_failed(i->req, err);
        return;
    }
    auto_buf sp_buf pem = sp_buf_make(16 * 1024);
    sp_cert_pem(i->cert.der, &pem);
    json_t *answer = json_object();
    json_object_set_new(answer, "certificate", json_stringn((const char *)pem.ptr, pem.len));
    sp_buf_reset(&pem);
    sp_cert_pem(body, &pem);
    json_object_set_new(answer, "chain", json_stringn((const char *)pem.ptr, pem.len));
    json_object_set_new(answer, "ticket", json_string(i->ticket));
    sp_wipe(i->ticket, sizeof(i->ticket));
    json_object_set_new(answer, "not_before", sp_json_time(i->cert.not_before_unix_s));
    json_object_set_new(answer, "expires_at", sp_json_time(i->cert.not_after_unix_s));
    json_object_set_new(answer, "device",
                        sp_device_json(sp_request_core(i->req), &i->device, &i->cert.fingerprint));
    sp_answer_json(i->req, 200, answer);
}

static void ask_ca(issuing *i)
{
    auto_buf sp_buf body = sp_buf_make(16);
    sp_vault_ca_encode(SP_VAULT_CA_DEVICE, &body);
    sp_vault_client_call(sp_request_core(i->req)->vault, SP_VAULT_CA, sp_buf_borrow(&body), on_ca,
                         i);
}

static sp_err answer_again(issuing *i, sp_store *store)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(renew_ticket(i, store, &i->cert.fingerprint));
    return sp_txn_commit(&txn);
}

void sp_issue_answer(sp_request *req, const sp_device *device, const sp_device_cert *cert)
{
    issuing *i = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*i), &i);
    if (!sp_failed(err)) {
        *i = (issuing){.req = req, .device = *device, .cert = *cert};
        err = answer_again(i, sp_request_core(req)->store);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    ask_ca(i);
}

/* ---- issuing ---- */

static sp_err read_issued(issuing *i, sp_span body)
{
    sp_vault_issued issued;
    TRY(sp_vault_issued_decode(body, &issued));
    i->cert = (sp_device_cert){
        .fingerprint = sp_cert_fingerprint(issued.certificate),
        .device = i->device.id,
        .not_before_unix_s = issued.not_before_unix_s,
        .not_after_unix_s = issued.not_after_unix_s,
        .csr_hash = sp_sha256(i->device.csr),
    };
    return sp_arena_copy(sp_request_arena(i->req), issued.certificate, &i->cert.der);
}

/* The state may have changed while the vault worked: only an active device gets what was made, and
 * a certificate is replaced once. */
static sp_err keep_issued(issuing *i, sp_store *store)
{
    sp_device fresh;
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(sp_device_get(store, i->device.id, sp_request_arena(i->req), &fresh));
    if (fresh.state != SP_DEVICE_ACTIVE) {
        return sp_fail(SP_ECONFLICT);
    }
    fresh.csr = i->device.csr;
    fresh.seen_unix_s = sp_now_unix_us() / 1000000;
    sp_device_cert other;
    if (i->has_replaced) {
        TRY(sp_cert_replace(store, &i->replaces, fresh.seen_unix_s));
    } else if (!sp_failed(sp_cert_current(store, fresh.id, sp_request_arena(i->req), &other))) {
        return sp_fail(SP_ECONFLICT); /* asked twice at once: the next try gets the other one */
    }
    TRY(sp_cert_add(store, &i->cert));
    TRY(sp_device_update(store, &fresh));
    TRY(renew_ticket(i, store, &i->cert.fingerprint));
    TRY(sp_txn_commit(&txn));
    i->device = fresh;
    return sp_ok();
}

static void on_issued(void *self, sp_err err, sp_span body)
{
    issuing *i = self;
    sp_core *core = sp_request_core(i->req);
    if (!sp_failed(err)) {
        err = read_issued(i, body);
    }
    if (!sp_failed(err)) {
        err = keep_issued(i, core->store);
    }
    if (sp_failed(err)) {
        sp_answer_failed(i->req, err.code == SP_ENOTFOUND ? sp_fail(SP_ECONFLICT) : err);
        return;
    }
    sp_devices_show_cert(core, &i->device, &i->cert);
    if (i->has_replaced) {
        sp_devices_retire(core, &i->replaces);
    }
    sp_devices_publish(core, &i->device);
    ask_ca(i);
}

static void go_issue(sp_request *req, void *data)
{
    issuing *i = data;
    sp_vault_device_issue ask = {
        .device = i->device.id,
        .device_name = i->device.name,
        .life_s = SP_DEVICE_CERT_LIFE_S,
        .csr = i->device.csr,
    };
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_vault_device_issue_encode(&ask, &body);
    sp_vault_client_call(sp_request_core(req)->vault, SP_VAULT_DEVICE_ISSUE, sp_buf_borrow(&body),
                         on_issued, i);
}

void sp_issue(sp_request *req, const sp_device *device, const sp_hash *replaces)
{
    issuing *i = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*i), &i);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    *i = (issuing){.req = req, .device = *device, .has_replaced = replaces != NULL};
    if (replaces != NULL) {
        i->replaces = *replaces;
    }
    sp_event event = sp_request_event(req, SP_EVENT_DEVICE);
    event.person = device->person;
    event.device = device->id;
    event.device_name = device->name;
    event.owner = device->owner;
    event.posture = device->posture;
    event.method = replaces == NULL ? SP_SPAN_LIT("issue") : SP_SPAN_LIT("renew");
    event.object = device->name;
    sp_request_record(req, &event, go_issue, i);
}

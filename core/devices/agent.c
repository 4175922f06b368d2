/* SPDX-License-Identifier: Apache-2.0
 * The API that the agent on a device uses: enrol, fetch and renew the certificate, report posture.
 * OWNS what waits for the vault. PROCESS core. TRUST requests are hostile; a certificate counts for
 * what the store knows of it. SPEC docs/api/openapi.yaml "device".
 */
#include "core/devices/devices.h"
#include "core/devices/enrol.h"
#include "core/devices/issue.h"
#include "core/http/json.h"
#include "core/identity/people.h"
#include "core/ledger_client.h"
#include "infra/crypto/pkey.h"
#include "infra/crypto/x509.h"
#include "infra/proc/clock.h"

enum { NAME_MAX_BYTES = 63, CSR_PEM_MAX_BYTES = 8192 };

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- enrol ---- */

typedef struct {
    sp_device device;
    sp_hash code;
    char ticket[SP_ISSUE_TICKET_TEXT_BYTES]; /* as the agent gets it */
} enrolment;

static sp_err keep_json(sp_arena *arena, const json_t *value, size_t max_bytes, sp_span *ret_text)
{
    char *text = json_dumps(value, JSON_COMPACT);
    sp_span span = sp_span_cstr(text);
    sp_err err = text == NULL || span.len > max_bytes ? sp_fail(SP_ELIMIT)
                                                      : sp_arena_copy(arena, span, ret_text);
    sp_free(text);
    return err;
}

/* The key of a request in PEM: its DER and the hash of the public key, in the arena. */
static sp_err read_csr(sp_arena *arena, sp_span pem, sp_span *ret_der, sp_span *ret_key_hash)
{
    auto_buf sp_buf der = sp_buf_make(SP_DEVICE_CSR_MAX_BYTES);
    TRY(sp_enrol_csr_der(pem, &der));
    sp_pkey *key = NULL;
    TRY(sp_csr_accept(sp_buf_borrow(&der), &key));
    auto_buf sp_buf spki = sp_buf_make(1024);
    sp_err err = sp_pkey_public_der(key, &spki);
    sp_pkey_free(key);
    TRY(err);
    sp_hash hash = sp_sha256(sp_buf_borrow(&spki));
    TRY(sp_arena_copy(arena, sp_hash_borrow(&hash), ret_key_hash));
    return sp_arena_copy(arena, sp_buf_borrow(&der), ret_der);
}

static sp_err new_ticket(sp_arena *arena, enrolment *e)
{
    sp_hash hash;
    sp_issue_ticket(e->ticket, &hash);
    return sp_arena_copy(arena, sp_hash_borrow(&hash), &e->device.ticket);
}

/* A code outlives the account for which it was made. */
static bool owner_is_in(const sp_core *core, uint32_t id)
{
    sp_person person;
    return !sp_failed(sp_people_get(core->store, id, &person)) && person.state == SP_PERSON_ACTIVE;
}

static sp_err keep_enrolment(sp_core *core, enrolment *e)
{
    if (!owner_is_in(core, e->device.person)) { /* while the ledger wrote */
        return sp_fail(SP_EDENIED);
    }
    TRY(sp_devices_slot(core->state->devices, &e->device.slot));
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(sp_code_use(core->store, &e->code));
    TRY(sp_device_add(core->store, &e->device));
    return sp_txn_commit(&txn);
}

static void go_enrol(sp_request *req, void *data)
{
    enrolment *e = data;
    sp_core *core = sp_request_core(req);
    sp_err err = keep_enrolment(core, e);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_devices_show(core, &e->device);
    sp_devices_publish(core, &e->device);
    json_t *body = json_object();
    json_object_set_new(body, "device", sp_device_json(core, &e->device, NULL));
    json_object_set_new(body, "ticket", json_string(e->ticket));
    sp_wipe(e->ticket, sizeof(e->ticket));
    sp_answer_json(req, 202, body);
}

typedef struct {
    uint32_t person;
    size_t count;
} owned;

static void count_owned(void *self, const sp_device *device)
{
    owned *o = self;
    o->count += device->person == o->person && device->state != SP_DEVICE_REVOKED ? 1 : 0;
}

/* Whether the code and the key may make a device; answers when not. */
static bool may_enrol(sp_request *req, enrolment *e)
{
    sp_core *core = sp_request_core(req);
    sp_device other;
    owned o = {0};
    if (sp_failed(sp_code_find(core->store, &e->code, now_s(), &e->device.person)) ||
        !owner_is_in(core, e->device.person)) {
        sp_answer_problem(req, 404, "code_invalid",
                          "This code is not good (any more). Make a new one in the portal under My "
                          "devices; it lives 15 minutes and serves one device.");
        return false;
    }
    if (!sp_failed(
            sp_device_by_key(core->store, e->device.key_hash, sp_request_arena(req), &other))) {
        sp_answer_problem(
            req, 409, "exists",
            "This key is enrolled already. Remove the agent's state to make a new key.");
        return false;
    }
    o.person = e->device.person;
    if (sp_failed(sp_device_each(core->store, count_owned, &o)) ||
        o.count >= SP_DEVICES_OF_PERSON_MAX) {
        sp_answer_problem(req, 409, "too_many_devices",
                          "This person has %d devices already. Revoke one that is not used.",
                          SP_DEVICES_OF_PERSON_MAX);
        return false;
    }
    return true;
}

static void post_enrol(sp_request *req)
{
    sp_span code = SP_SPAN_EMPTY;
    sp_span csr = SP_SPAN_EMPTY;
    sp_span storage = SP_SPAN_LIT("file");
    const json_t *platform = NULL;
    enrolment *e = NULL;
    sp_arena *arena = sp_request_arena(req);
    sp_err err = sp_arena_alloc(arena, 1, sizeof(*e), &e);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_device *device = &e->device;
    const sp_field fields[] = {
        SP_FIELD_TEXT("code", &code, 1, 32),
        SP_FIELD_TEXT("csr", &csr, 1, CSR_PEM_MAX_BYTES),
        SP_FIELD_TEXT("name", &device->name, 1, NAME_MAX_BYTES),
        SP_FIELD_JSON("platform", &platform),
        SP_FIELD_TEXT_OPT("key_storage", &storage, 1, 8),
    };
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!sp_enrol_name_ok(device->name)) {
        sp_answer_invalid(req, "name", "printable text");
        return;
    }
    if (!sp_enrol_platform_ok(platform)) {
        sp_answer_invalid(req, "platform", "an object {os, version?, arch?, hostname?, agent?}");
        return;
    }
    if (sp_failed(sp_enrol_code_hash(code, &e->code))) {
        sp_answer_invalid(req, "code", "16 letters and digits, as the portal shows them");
        return;
    }
    if (sp_failed(read_csr(arena, csr, &device->csr, &device->key_hash))) {
        sp_answer_invalid(req, "csr",
                          "a PEM certificate request of a P-256 key, signed by that key");
        return;
    }
    device->key_storage = sp_span_eq(storage, SP_SPAN_LIT("tpm")) ? storage : SP_SPAN_LIT("file");
    device->state = SP_DEVICE_PENDING;
    device->owner = SP_OWNER_UNKNOWN;
    device->created_unix_s = now_s();
    device->changed_unix_s = device->created_unix_s;
    device->checks = SP_SPAN_LIT("[]");
    err = keep_json(arena, platform, SP_DEVICE_PLATFORM_MAX_BYTES, &device->platform);
    if (!sp_failed(err)) {
        err = new_ticket(arena, e);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (!may_enrol(req, e)) {
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_DEVICE);
    event.person = device->person;
    event.device_name = device->name;
    event.method = SP_SPAN_LIT("enrol");
    event.object = device->name;
    sp_request_record(req, &event, go_enrol, e);
}

/* ---- the certificate ---- */

/* Whether the device is in good standing; answers when not. */
static bool is_good(sp_request *req, const sp_device *device)
{
    if (device->state == SP_DEVICE_ACTIVE) {
        return true;
    }
    if (device->state == SP_DEVICE_QUARANTINED) {
        sp_answer_problem(req, 403, device->cloned ? "device_cloned" : "device_quarantined",
                          "This device is in quarantine: %.*s. Ask the security team.",
                          SP_SPAN_ARG(device->why));
    } else {
        sp_answer_problem(req, 403, "device_revoked", "This device is revoked. Enrol it again.");
    }
    return false;
}

static void answer_clone(sp_request *req, sp_device *device, const char *why)
{
    sp_device_fall fall = {
        .word = SP_SPAN_LIT("clone"),
        .state = SP_DEVICE_QUARANTINED,
        .cloned = true,
        .why = sp_span_cstr(why),
    };
    sp_err err = sp_devices_fall(sp_request_core(req), device, &fall);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_problem(
        req, 403, "device_cloned",
        "Somebody else has asked with this device's key before: two copies of the key exist. The "
        "device is in quarantine; ask the security team.");
}

/* The device of a ticket, good or spent; of a spent one also what it was spent for. */
static bool find_by_ticket(sp_request *req, const sp_hash *hash, sp_device *ret_device,
                           bool *ret_spent, sp_hash *ret_spent_for)
{
    sp_store *store = sp_request_core(req)->store;
    uint64_t id = 0;
    if (!sp_failed(
            sp_device_by_ticket(store, sp_hash_borrow(hash), sp_request_arena(req), ret_device))) {
        return true;
    }
    *ret_spent = true;
    return !sp_failed(sp_ticket_spent(store, hash, &id, ret_spent_for)) &&
           !sp_failed(sp_device_get(store, id, sp_request_arena(req), ret_device));
}

/* The first one, and a new one for a device that slept until its certificate had ended. A ticket
 * serves once and its answer brings the next: who comes with one that is spent has a copy, unless
 * that answer was lost. A certificate that has come back on a connection has arrived, and nobody
 * gets it again: the key that it is for may have been copied together with the ticket. */
static void post_certificate(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    sp_span ticket = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("ticket", &ticket, 1, 64)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    sp_hash hash = sp_sha256(ticket);
    sp_hash spent_for = {{0}};
    sp_device device;
    bool is_spent = false;
    if (!find_by_ticket(req, &hash, &device, &is_spent, &spent_for)) {
        sp_answer_problem(req, 404, "ticket_invalid",
                          "This ticket is not known (any more). Enrol this device again.");
        return;
    }
    if (device.state == SP_DEVICE_PENDING) {
        json_t *body = sp_device_json(core, &device, NULL);
        json_object_set_new(body, "retry_s", json_integer(5));
        sp_answer_json(req, 202, body);
        return;
    }
    if (device.state == SP_DEVICE_REVOKED) {
        sp_answer_problem(req, 403, "device_revoked",
                          "An administrator has refused or revoked this device: %.*s",
                          SP_SPAN_ARG(device.why));
        return;
    }
    if (!is_good(req, &device)) {
        return;
    }
    sp_device_cert cert = {0};
    bool has = !sp_failed(sp_cert_current(core->store, device.id, sp_request_arena(req), &cert));
    if (is_spent && (!has || cert.seen || !sp_hash_eq(&spent_for, &cert.fingerprint))) {
        answer_clone(req, &device, "a ticket of it was used twice: two copies of its key exist");
    } else if (has && cert.not_after_unix_s > now_s() && cert.seen) {
        sp_answer_problem(req, 409, "certificate_good",
                          "This device has a certificate that is good and in use: renew it over "
                          "mTLS. If it seems to have ended, look at this computer's clock.");
    } else if (has && cert.not_after_unix_s > now_s()) {
        sp_issue_answer(req, &device, &cert);
    } else {
        sp_issue(req, &device, has ? &cert.fingerprint : NULL);
    }
}

static sp_err note_seen(sp_store *store, sp_device_cert *cert)
{
    if (cert->seen) {
        return sp_ok();
    }
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_cert_seen(store, &cert->fingerprint));
    TRY(sp_txn_commit(&txn));
    cert->seen = true;
    return sp_ok();
}

/* The device of this connection's certificate, from the store; answers when there is none. */
static bool own_device(sp_request *req, sp_device *ret_device, sp_device_cert *ret_cert)
{
    sp_core *core = sp_request_core(req);
    sp_hash fingerprint;
    if (!sp_request_certificate(req, &fingerprint)) {
        sp_answer_problem(req, 401, "certificate_required",
                          "This call needs the device's certificate (mutual TLS).");
        return false;
    }
    if (sp_failed(sp_cert_get(core->store, &fingerprint, sp_request_arena(req), ret_cert)) ||
        sp_failed(
            sp_device_get(core->store, ret_cert->device, sp_request_arena(req), ret_device))) {
        sp_answer_problem(req, 403, "device_unknown",
                          "This certificate is none of this office's devices. Enrol again.");
        return false;
    }
    sp_err err = note_seen(core->store, ret_cert);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return !sp_failed(err);
}

static void post_renew(sp_request *req)
{
    sp_span pem = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("csr", &pem, 1, CSR_PEM_MAX_BYTES)};
    sp_core *core = sp_request_core(req);
    sp_arena *arena = sp_request_arena(req);
    sp_device device;
    sp_device_cert cert;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !own_device(req, &device, &cert) ||
        !is_good(req, &device)) {
        return;
    }
    sp_span key_hash = SP_SPAN_EMPTY;
    if (sp_failed(read_csr(arena, pem, &device.csr, &key_hash))) {
        sp_answer_invalid(req, "csr",
                          "a PEM certificate request of a P-256 key, signed by that key");
        return;
    }
    if (!sp_span_eq(key_hash, device.key_hash)) {
        sp_answer_problem(req, 409, "key_changed",
                          "The request is for another key. A device is its key: enrol again.");
        return;
    }
    sp_device_cert current;
    bool has = !sp_failed(sp_cert_current(core->store, device.id, arena, &current));
    sp_hash csr_hash = sp_sha256(device.csr);
    if (has && cert.replaced_unix_s != 0 && !current.seen &&
        sp_hash_eq(&csr_hash, &current.csr_hash)) {
        sp_issue_answer(req, &device, &current); /* the same request again: its answer was lost */
        return;
    }
    if (cert.replaced_unix_s != 0) {
        answer_clone(req, &device,
                     "its certificate was renewed twice: two copies of its key exist");
        return;
    }
    sp_issue(req, &device, &cert.fingerprint);
}

/* ---- posture ---- */

static sp_err keep_posture(sp_core *core, sp_device *device, sp_posture posture)
{
    bool changed = device->posture != posture;
    device->posture = (uint8_t)posture;
    device->posture_unix_s = now_s();
    device->seen_unix_s = device->posture_unix_s;
    sp_devices_show(core, device);
    if (changed) {
        sp_state_again(core); /* a better one may mean another account, too */
    }
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(sp_device_update(core->store, device));
    TRY(sp_txn_commit(&txn));
    if (changed) {
        sp_devices_publish(core, device);
    }
    return sp_ok();
}

static void tell_posture(sp_request *req, const sp_device *device)
{
    sp_event event = sp_request_event(req, SP_EVENT_DEVICE);
    event.person = device->person;
    event.device = device->id;
    event.device_name = device->name;
    event.owner = device->owner;
    event.posture = device->posture;
    event.severity =
        device->posture == SP_POSTURE_UNHEALTHY ? SP_SEVERITY_MEDIUM : SP_SEVERITY_INFO;
    event.method = SP_SPAN_LIT("posture");
    event.object = sp_span_cstr(sp_posture_word((sp_posture)device->posture));
    if (device->checks.len < SP_EVENT_DETAIL_MAX_BYTES / 2) {
        auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
        sp_buf_text(&detail, "{\"checks\":");
        sp_buf_span(&detail, device->checks);
        sp_buf_text(&detail, "}");
        event.detail = sp_buf_borrow(&detail);
        sp_ledger_client_tell(sp_request_core(req)->ledger, &event);
        return;
    }
    sp_ledger_client_tell(sp_request_core(req)->ledger, &event);
}

static void post_posture(sp_request *req)
{
    const json_t *checks = NULL;
    const json_t *platform = NULL;
    const char *expected = NULL;
    sp_posture posture = SP_POSTURE_UNKNOWN;
    sp_device device;
    sp_device_cert cert;
    const sp_field fields[] = {SP_FIELD_JSON("checks", &checks),
                               SP_FIELD_JSON_OPT("platform", &platform)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !own_device(req, &device, &cert) ||
        !is_good(req, &device)) {
        return;
    }
    if (sp_failed(sp_enrol_posture(checks, &posture, &expected))) {
        sp_answer_invalid(req, "checks", expected);
        return;
    }
    if (platform != NULL && !sp_enrol_platform_ok(platform)) {
        sp_answer_invalid(req, "platform", "an object {os, version?, arch?, hostname?, agent?}");
        return;
    }
    uint8_t before = device.posture;
    sp_arena *arena = sp_request_arena(req);
    sp_err err = keep_json(arena, checks, SP_DEVICE_CHECKS_MAX_BYTES, &device.checks);
    if (!sp_failed(err) && platform != NULL) {
        err = keep_json(arena, platform, SP_DEVICE_PLATFORM_MAX_BYTES, &device.platform);
    }
    if (!sp_failed(err)) {
        err = keep_posture(sp_request_core(req), &device, posture);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (before != device.posture) {
        tell_posture(req, &device);
    }
    sp_answer_json(req, 200, sp_device_json(sp_request_core(req), &device, &cert.fingerprint));
}

static void get_self(sp_request *req)
{
    sp_device device;
    sp_device_cert cert;
    if (own_device(req, &device, &cert)) {
        sp_answer_json(req, 200, sp_device_json(sp_request_core(req), &device, &cert.fingerprint));
    }
}

sp_err sp_devices_agent_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"POST", "/api/v1/device/enrol", SP_WHO_PUBLIC, post_enrol, 0},
        {"POST", "/api/v1/device/certificate", SP_WHO_PUBLIC, post_certificate, 0},
        {"POST", "/api/v1/device/renew", SP_WHO_PUBLIC, post_renew, 0},
        {"POST", "/api/v1/device/posture", SP_WHO_PUBLIC, post_posture, 0},
        {"GET", "/api/v1/device/self", SP_WHO_PUBLIC, get_self, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

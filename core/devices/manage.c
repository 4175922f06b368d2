/* SPDX-License-Identifier: Apache-2.0
 * What people do with their devices, and what security administrators decide about them.
 * OWNS nothing. PROCESS core. TRUST requests are hostile; who may is the router's table.
 * SPEC docs/api/openapi.yaml "/me/devices", "/admin/devices".
 */
#include "core/devices/devices.h"
#include "core/devices/enrol.h"
#include "core/http/json.h"
#include "core/vault_client.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "lib/proto/vault_msg.h"

enum { RELEASE_ARENA_BYTES = 128 * 1024 };

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

static void answer_device(sp_request *req, const sp_device *device)
{
    sp_hash current;
    bool has = sp_request_certificate(req, &current);
    sp_answer_json(req, 200, sp_device_json(sp_request_core(req), device, has ? &current : NULL));
}

/* The device named in the path; answers when there is none. */
static bool find(sp_request *req, sp_device *ret_device)
{
    uint64_t id = 0;
    if (!sp_request_param_u64(req, 0, &id) ||
        sp_failed(
            sp_device_get(sp_request_core(req)->store, id, sp_request_arena(req), ret_device))) {
        sp_answer_problem(req, 404, "not_found", "There is no such device.");
        return false;
    }
    return true;
}

/* ---- lists ---- */

static bool state_of(sp_span word, uint8_t *ret_state)
{
    static const char *const words[] = {"pending", "active", "quarantined", "revoked"};
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        if (sp_span_eq(word, sp_span_cstr(words[i]))) {
            *ret_state = (uint8_t)(SP_DEVICE_PENDING + i);
            return true;
        }
    }
    return word.len == 0;
}

static void get_devices(sp_request *req)
{
    sp_device_filter filter = {.name = sp_request_query(req, "q")};
    sp_span person = sp_request_query(req, "person");
    uint64_t number = 0;
    if (!state_of(sp_request_query(req, "state"), &filter.state)) {
        sp_answer_invalid(req, "state", "pending, active, quarantined or revoked");
        return;
    }
    if (person.len > 0 && sp_failed(sp_span_to_u64(person, UINT32_MAX, &number))) {
        sp_answer_invalid(req, "person", "a person's id");
        return;
    }
    filter.person = (uint32_t)number;
    sp_devices_answer(req, &filter);
}

static void get_device(sp_request *req)
{
    sp_device device;
    if (find(req, &device)) {
        answer_device(req, &device);
    }
}

static void get_my_devices(sp_request *req)
{
    sp_devices_answer_own(req, sp_request_person(req));
}

/* ---- codes ---- */

typedef struct {
    sp_hash hash;
    char text[SP_ENROL_CODE_BYTES];
    uint64_t expires_unix_s;
    sp_request *req;
} new_code;

static void answer_code(new_code *c, sp_span ca_der)
{
    const sp_core *core = sp_request_core(c->req);
    auto_buf sp_buf command = sp_buf_make(512);
    auto_buf sp_buf hex = sp_buf_make(64);
    sp_buf_fmt(&command, "sallyport agent enroll %s", core->portal_origin);
    json_t *body = json_object();
    if (ca_der.len > 0) {
        sp_hash hash = sp_sha256(ca_der);
        sp_buf_hex(&hex, sp_hash_borrow(&hash));
        sp_buf_text(&command, " --ca-sha256 ");
        sp_buf_span(&command, sp_buf_borrow(&hex));
        json_object_set_new(body, "ca_sha256", json_stringn((const char *)hex.ptr, hex.len));
    }
    json_object_set_new(body, "code", json_string(c->text));
    json_object_set_new(body, "command", json_stringn((const char *)command.ptr, command.len));
    json_object_set_new(body, "expires_at", sp_json_time(c->expires_unix_s));
    sp_wipe(c->text, sizeof(c->text));
    sp_answer_json(c->req, 200, body);
}

static void on_ca(void *self, sp_err err, sp_span body)
{
    answer_code(self, sp_failed(err) ? SP_SPAN_EMPTY : body);
}

static void go_code(sp_request *req, void *data)
{
    new_code *c = data;
    sp_core *core = sp_request_core(req);
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    sp_err err = sp_code_add(core->store, &c->hash, sp_request_person(req), c->expires_unix_s);
    if (!sp_failed(err)) {
        err = sp_txn_commit(&txn);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (core->config->tls_certificate != NULL) {
        answer_code(c, SP_SPAN_EMPTY); /* a public authority's: nothing to pin */
        return;
    }
    auto_buf sp_buf ask = sp_buf_make(16);
    sp_vault_ca_encode(SP_VAULT_CA_OFFICE, &ask);
    sp_vault_client_call(core->vault, SP_VAULT_CA, sp_buf_borrow(&ask), on_ca, c);
}

static void post_code(sp_request *req)
{
    new_code *c = NULL;
    if (!sp_request_fields(req, NULL, 0)) {
        return;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*c), &c);
    if (!sp_failed(err)) {
        uint8_t bits[10];
        sp_random(bits, sizeof(bits));
        sp_enrol_code_text(bits, c->text);
        sp_wipe(bits, sizeof(bits));
        c->req = req;
        c->expires_unix_s = now_s() + SP_ENROL_CODE_LIFE_S;
        err = sp_enrol_code_hash(sp_span_cstr(c->text), &c->hash);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_DEVICE);
    event.method = SP_SPAN_LIT("code");
    sp_request_record(req, &event, go_code, c);
}

/* ---- decisions that give: in the ledger first ---- */

typedef struct {
    sp_span word;
    uint64_t id;
    uint8_t from; /* the state it must be in */
    uint8_t owner;
    sp_span why;
} giving;

static sp_err give(sp_core *core, sp_arena *arena, const giving *g, sp_span by_name,
                   sp_device *ret_device)
{
    sp_device device;
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(sp_device_get(core->store, g->id, arena, &device));
    if (device.state != g->from || device.cloned) {
        return sp_fail(SP_ECONFLICT);
    }
    bool moved = g->owner != device.owner;
    device.state = SP_DEVICE_ACTIVE;
    device.owner = g->owner;
    device.why = g->why;
    device.changed_unix_s = now_s();
    device.decided_by = by_name;
    TRY(sp_device_update(core->store, &device));
    TRY(sp_txn_commit(&txn));
    sp_devices_show(core, &device);
    if (moved) {
        sp_state_again(core);
    }
    sp_devices_publish(core, &device);
    *ret_device = device;
    return sp_ok();
}

static void go_give(sp_request *req, void *data)
{
    sp_device device;
    sp_err err = give(sp_request_core(req), sp_request_arena(req), data,
                      sp_span_cstr(sp_request_session(req)->person_name), &device);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    answer_device(req, &device);
}

sp_err sp_devices_release(sp_core *core, uint64_t id, sp_span by_name, sp_span why)
{
    auto_arena sp_arena arena = sp_arena_make(RELEASE_ARENA_BYTES);
    sp_device device;
    TRY(sp_device_get(core->store, id, &arena, &device));
    const giving g = {.word = SP_SPAN_LIT("release"),
                      .id = id,
                      .from = SP_DEVICE_QUARANTINED,
                      .owner = device.owner,
                      .why = why};
    return device.cloned ? sp_fail(SP_ECONFLICT) : give(core, &arena, &g, by_name, &device);
}

static void record_giving(sp_request *req, const sp_device *device, const giving *g)
{
    giving *kept = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*kept), &kept);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    *kept = *g;
    kept->id = device->id;
    sp_event event = sp_request_event(req, SP_EVENT_DEVICE);
    event.device = device->id;
    event.device_name = device->name;
    event.owner = g->owner;
    event.posture = device->posture;
    event.severity = SP_SEVERITY_LOW;
    event.method = g->word;
    event.object = device->name;
    sp_request_record(req, &event, go_give, kept);
}

static bool is_in(sp_request *req, const sp_device *device, uint8_t state, const char *what)
{
    if (device->state == state) {
        return true;
    }
    sp_answer_problem(req, 409, "conflict", "This device is not %s (any more). Look again.", what);
    return false;
}

/* {"owner": "company"|"personal"} */
static bool read_owner(sp_request *req, uint8_t *ret_owner)
{
    sp_span word = SP_SPAN_EMPTY;
    sp_owner owner = SP_OWNER_UNKNOWN;
    const sp_field fields[] = {SP_FIELD_TEXT("owner", &word, 1, 16)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return false;
    }
    if (!sp_owner_of(word, &owner) || owner == SP_OWNER_UNKNOWN) {
        sp_answer_invalid(req, "owner", "company or personal");
        return false;
    }
    *ret_owner = (uint8_t)owner;
    return true;
}

static bool is_others(sp_request *req, const sp_device *device)
{
    if (device->person != sp_request_person(req)) {
        return true;
    }
    sp_answer_problem(req, 409, "own_device",
                      "Nobody decides about a device of his own. Ask another administrator.");
    return false;
}

static void post_approve(sp_request *req)
{
    giving g = {.word = SP_SPAN_LIT("approve"), .from = SP_DEVICE_PENDING};
    sp_device device;
    if (read_owner(req, &g.owner) && find(req, &device) &&
        is_in(req, &device, SP_DEVICE_PENDING, "pending") && is_others(req, &device)) {
        record_giving(req, &device, &g);
    }
}

static void put_owner(sp_request *req)
{
    giving g = {.word = SP_SPAN_LIT("owner"), .from = SP_DEVICE_ACTIVE};
    sp_device device;
    if (read_owner(req, &g.owner) && find(req, &device) &&
        is_in(req, &device, SP_DEVICE_ACTIVE, "active") && is_others(req, &device)) {
        record_giving(req, &device, &g);
    }
}

static bool read_why(sp_request *req, sp_span *ret_why)
{
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("why", ret_why, 0, SP_DEVICE_WHY_MAX_BYTES)};
    return sp_request_fields(req, fields, SP_COUNT(fields));
}

static void post_release(sp_request *req)
{
    giving g = {.word = SP_SPAN_LIT("release"), .from = SP_DEVICE_QUARANTINED};
    sp_device device;
    if (!read_why(req, &g.why) || !find(req, &device) ||
        !is_in(req, &device, SP_DEVICE_QUARANTINED, "in quarantine") || !is_others(req, &device)) {
        return;
    }
    if (device.cloned) {
        sp_answer_problem(req, 409, "cloned",
                          "Two copies of this device's key exist. Revoke it and enrol it again.");
        return;
    }
    g.owner = device.owner;
    record_giving(req, &device, &g);
}

/* ---- decisions that take away: at once ---- */

static void fall(sp_request *req, sp_device *device, sp_span word, uint8_t state, sp_span why)
{
    const sp_device_fall f = {
        .word = word,
        .state = state,
        .by = sp_request_person(req),
        .by_name = sp_span_cstr(sp_request_session(req)->person_name),
        .why = why,
    };
    sp_err err = sp_devices_fall(sp_request_core(req), device, &f);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    answer_device(req, device);
}

static void post_quarantine(sp_request *req)
{
    sp_device device;
    sp_span why = SP_SPAN_EMPTY;
    if (read_why(req, &why) && find(req, &device) &&
        is_in(req, &device, SP_DEVICE_ACTIVE, "active")) {
        fall(req, &device, SP_SPAN_LIT("quarantine"), SP_DEVICE_QUARANTINED, why);
    }
}

static void revoke_it(sp_request *req, sp_device *device, sp_span why)
{
    if (device->state == SP_DEVICE_REVOKED) {
        sp_answer_problem(req, 409, "conflict", "This device is revoked already.");
        return;
    }
    fall(req, device, SP_SPAN_LIT("revoke"), SP_DEVICE_REVOKED, why);
}

static void post_revoke(sp_request *req)
{
    sp_device device;
    sp_span why = SP_SPAN_EMPTY;
    if (read_why(req, &why) && find(req, &device)) {
        revoke_it(req, &device, why);
    }
}

static void post_my_revoke(sp_request *req)
{
    sp_device device;
    sp_span why = SP_SPAN_EMPTY;
    if (!read_why(req, &why) || !find(req, &device)) {
        return;
    }
    if (device.person != sp_request_person(req)) {
        sp_answer_problem(req, 404, "not_found", "There is no such device.");
        return;
    }
    revoke_it(req, &device, why);
}

sp_err sp_devices_manage_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/me/devices", SP_WHO_SESSION, get_my_devices, 0},
        {"POST", "/api/v1/me/devices/enrol-code", SP_WHO_PERSON, post_code, 0},
        {"POST", "/api/v1/me/devices/{id}/revoke", SP_WHO_SESSION, post_my_revoke, 0},
        {"GET", "/api/v1/admin/devices", SP_WHO_ANY_ADMIN, get_devices, 0},
        {"GET", "/api/v1/admin/devices/{id}", SP_WHO_ANY_ADMIN, get_device, 0},
        {"POST", "/api/v1/admin/devices/{id}/approve", SP_WHO_SECURITY | SP_WHO_FRESH, post_approve,
         0},
        {"PUT", "/api/v1/admin/devices/{id}/owner", SP_WHO_SECURITY | SP_WHO_FRESH, put_owner, 0},
        {"POST", "/api/v1/admin/devices/{id}/quarantine", SP_WHO_SECURITY, post_quarantine, 0},
        {"POST", "/api/v1/admin/devices/{id}/release", SP_WHO_SECURITY | SP_WHO_FRESH, post_release,
         0},
        {"POST", "/api/v1/admin/devices/{id}/revoke", SP_WHO_SECURITY, post_revoke, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

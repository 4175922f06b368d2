/* SPDX-License-Identifier: Apache-2.0
 * A person's own credentials. Every change wants a fresh proof (step-up) and ends nothing but, with
 * the password, the other sessions.
 * OWNS nothing. PROCESS core. TRUST hostile. SPEC docs/api/openapi.yaml "me/credentials".
 */
#include "core/http/sse.h"
#include "core/identity/inside.h"
#include "infra/proc/clock.h"

static void told(sp_request *req)
{
    sp_sse_publish(sp_request_core(req), SP_TOPIC_ME, sp_request_person(req), "me",
                   json_pack("{s:s}", "what", "credential"));
}

static void record(sp_request *req, const char *what, sp_request_go go, void *data)
{
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    event.method = sp_span_cstr(what);
    event.severity = SP_SEVERITY_LOW;
    sp_request_record(req, &event, go, data);
}

static void answer_done(sp_request *req, sp_err err)
{
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        told(req);
        sp_answer_empty(req, 204);
    }
}

/* ---- list ---- */

static json_t *passkey_json(const sp_passkey *passkey)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:b}", "id", sp_json_id(passkey->number), "name",
                     passkey->name, "created_at", sp_json_time(passkey->created_unix_s),
                     "last_used_at", sp_json_time(passkey->used_unix_s), "synced",
                     passkey->backed_up);
}

static void add_passkey(void *self, const sp_passkey *passkey)
{
    json_array_append_new(self, passkey_json(passkey));
}

static json_t *set_json(bool set, uint64_t changed)
{
    return set ? json_pack("{s:b, s:o}", "set", 1, "changed_at", sp_json_time(changed))
               : json_pack("{s:b}", "set", 0);
}

static void get_credentials(sp_request *req)
{
    sp_store *store = sp_request_core(req)->store;
    sp_credentials has;
    json_t *passkeys = json_array();
    sp_err err = sp_credentials_get(store, sp_request_person(req), &has);
    if (!sp_failed(err)) {
        err = sp_passkeys_each(store, sp_request_person(req), add_passkey, passkeys);
    }
    if (sp_failed(err)) {
        json_decref(passkeys);
        sp_answer_failed(req, err);
        return;
    }
    json_t *recovery = json_pack("{s:i}", "left", (int)has.recovery_codes);
    if (has.recovery_changed_unix_s != 0) {
        json_object_set_new(recovery, "changed_at", sp_json_time(has.recovery_changed_unix_s));
    }
    sp_answer_json(req, 200,
                   json_pack("{s:o, s:o, s:o, s:o}", "password",
                             set_json(has.password, has.password_changed_unix_s), "totp",
                             set_json(has.totp, has.totp_changed_unix_s), "passkeys", passkeys,
                             "recovery_codes", recovery));
}

/* ---- password ---- */

typedef struct {
    sp_request *req;
    char hash[SP_PASSWORD_HASH_BYTES];
} new_password;

static sp_err store_password(sp_store *store, uint32_t person, const char *hash)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_password_put(store, person, hash));
    return sp_txn_commit(&txn);
}

static void apply_password(sp_request *req, void *data)
{
    new_password *fresh = data;
    sp_core *core = sp_request_core(req);
    uint32_t person = sp_request_person(req);
    sp_err err = store_password(core->store, person, fresh->hash);
    sp_wipe(fresh->hash, sizeof(fresh->hash));
    if (!sp_failed(err)) {
        sp_sessions_end_person(core, person, sp_request_session(req)->id, SP_END_OWNER, person);
    }
    answer_done(req, err);
}

static void on_hashed(void *self, sp_err err, const char *hash)
{
    new_password *fresh = self;
    if (!sp_failed(err)) {
        err = sp_fit(fresh->hash, sizeof(fresh->hash), sp_span_cstr(hash));
    }
    if (sp_failed(err)) {
        sp_answer_failed(fresh->req, err);
    } else {
        record(fresh->req, "own password changed", apply_password, fresh);
    }
}

static void put_password(sp_request *req)
{
    sp_span password = SP_SPAN_EMPTY;
    new_password *fresh = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT("password", &password, 0, SP_PASSWORD_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (password.len < SP_PASSWORD_MIN_BYTES) {
        sp_answer_invalid(req, "password", "at least 12 characters");
        return;
    }
    if (sp_password_is_weak(password, sp_span_cstr(sp_request_session(req)->person_name))) {
        sp_answer_problem(req, 422, "password_weak",
                          "This password is one of the first that are tried. Take a few unrelated "
                          "words.");
        return;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*fresh), &fresh);
    if (!sp_failed(err)) {
        fresh->req = req;
        err = sp_password_hash(sp_identity_of(req)->passwords, password, on_hashed, fresh);
    }
    if (err.code == SP_EAGAIN) {
        sp_answer_too_many(req, 2);
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
}

/* ---- one-time codes ---- */

static sp_flow *own_flow(sp_request *req, sp_flow_kind kind, sp_span id)
{
    sp_flow *flow = sp_need_flow(req, kind, id);
    if (flow != NULL && flow->session != sp_request_session(req)->id) {
        sp_answer_problem(req, 409, "flow_ended", "This took too long, or is over. Start again.");
        return NULL;
    }
    return flow;
}

static sp_flow *new_own_flow(sp_request *req, sp_flow_kind kind)
{
    sp_flow *flow = NULL;
    if (!sp_request_fields(req, NULL, 0)) {
        return NULL;
    }
    sp_err err = sp_flow_begin(req, kind, &flow);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return NULL;
    }
    flow->person = sp_request_person(req);
    flow->session = sp_request_session(req)->id;
    return flow;
}

static void post_totp_start(sp_request *req)
{
    sp_flow *flow = new_own_flow(req, SP_FLOW_NEW_TOTP);
    if (flow != NULL) {
        sp_flow_new_secret(flow);
        sp_answer_totp(req, flow, sp_request_session(req)->person_name);
    }
}

static sp_err store_totp(sp_store *store, uint32_t person, const sp_totp_row *row)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_totp_put(store, person, row));
    return sp_txn_commit(&txn);
}

static void apply_totp(sp_request *req, void *data)
{
    answer_done(req, store_totp(sp_request_core(req)->store, sp_request_person(req), data));
}

static void on_sealed(sp_request *req, sp_err err, sp_span sealed, void *data)
{
    sp_totp_row *row = data;
    if (!sp_failed(err) && sealed.len > sizeof(row->sealed)) {
        err = sp_fail(SP_ELIMIT);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_copy(row->sealed, sealed.ptr, sealed.len);
    row->sealed_len = sealed.len;
    record(req, "own one-time codes changed", apply_totp, row);
}

static void post_totp_confirm(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    sp_span code = SP_SPAN_EMPTY;
    uint64_t step = 0;
    sp_totp_row *row = NULL;
    sp_flow *flow = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64),
                               SP_FIELD_TEXT("code", &code, 0, 32)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        (flow = own_flow(req, SP_FLOW_NEW_TOTP, id)) == NULL) {
        return;
    }
    if (!sp_totp_check(sp_span_of(flow->secret, sizeof(flow->secret)), code,
                       sp_now_unix_us() / 1000000, 0, &step)) {
        sp_answer_problem(req, 422, "code_wrong",
                          "This is not the code of now. Check the clock of your phone.");
        return;
    }
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*row), &row))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    row->last_step = step;
    sp_secret_seal(req, flow->person, sp_span_of(flow->secret, sizeof(flow->secret)), on_sealed,
                   row);
    sp_flow_close(flow);
}

/* ---- passkeys ---- */

static void post_passkey_options(sp_request *req)
{
    sp_person person;
    sp_flow *flow = new_own_flow(req, SP_FLOW_NEW_PASSKEY);
    if (flow == NULL) {
        return;
    }
    sp_err err = sp_people_get(sp_request_core(req)->store, flow->person, &person);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_creation(req, flow, person.id, person.name, person.display);
    }
}

static sp_err store_passkey(sp_store *store, sp_passkey *passkey)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_passkey_add(store, passkey));
    return sp_txn_commit(&txn);
}

static void apply_passkey(sp_request *req, void *data)
{
    sp_passkey *passkey = data;
    sp_err err = store_passkey(sp_request_core(req)->store, passkey);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    told(req);
    sp_answer_json(req, 201, passkey_json(passkey));
}

static void post_passkey(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    sp_span name = SP_SPAN_EMPTY;
    const json_t *credential = NULL;
    sp_passkey *passkey = NULL;
    sp_flow *flow = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64),
                               SP_FIELD_JSON("credential", &credential),
                               SP_FIELD_TEXT("name", &name, 1, SP_PASSKEY_NAME_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        (flow = own_flow(req, SP_FLOW_NEW_PASSKEY, id)) == NULL) {
        return;
    }
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*passkey), &passkey))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
    } else if (sp_read_new_passkey(req, flow, credential, name, passkey)) {
        passkey->person = flow->person;
        sp_flow_close(flow);
        record(req, "own passkey added", apply_passkey, passkey);
    }
}

typedef struct {
    uint64_t number;
    sp_span name;
} renaming;

static sp_err rename_passkey(sp_store *store, uint32_t person, const renaming *change)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_passkey_rename(store, person, change->number, change->name));
    return sp_txn_commit(&txn);
}

typedef struct {
    uint64_t number;
    json_t *found;
} looking;

static void look_at(void *self, const sp_passkey *passkey)
{
    looking *look = self;
    if (passkey->number == look->number) {
        look->found = passkey_json(passkey);
    }
}

static void apply_rename(sp_request *req, void *data)
{
    const renaming *change = data;
    sp_store *store = sp_request_core(req)->store;
    looking look = {change->number, NULL};
    sp_err err = rename_passkey(store, sp_request_person(req), change);
    if (!sp_failed(err)) {
        err = sp_passkeys_each(store, sp_request_person(req), look_at, &look);
    }
    if (sp_failed(err)) {
        json_decref(look.found);
        sp_answer_failed(req, err);
        return;
    }
    told(req);
    sp_answer_json(req, 200, look.found);
}

static void patch_passkey(sp_request *req)
{
    renaming *change = NULL;
    sp_span name = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("name", &name, 1, SP_PASSKEY_NAME_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*change), &change))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
    } else if (!sp_request_param_u64(req, 0, &change->number)) {
        sp_answer_failed(req, sp_fail(SP_ENOTFOUND));
    } else {
        change->name = name;
        record(req, "own passkey renamed", apply_rename, change);
    }
}

static sp_err remove_passkey(sp_store *store, uint32_t person, uint64_t number)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    sp_credentials has;
    TRY(txn.err);
    TRY(sp_passkey_remove(store, person, number));
    TRY(sp_credentials_get(store, person, &has));
    if (has.passkeys == 0 && !(has.password && has.totp)) {
        return sp_fail(SP_EDENIED);
    }
    return sp_txn_commit(&txn);
}

static void apply_remove(sp_request *req, void *data)
{
    const uint64_t *number = data;
    sp_err err = remove_passkey(sp_request_core(req)->store, sp_request_person(req), *number);
    if (err.code == SP_EDENIED) {
        sp_answer_problem(req, 409, "last_credential",
                          "Nothing would be left to sign in with. Add another way first.");
    } else {
        answer_done(req, err);
    }
}

static void delete_passkey(sp_request *req)
{
    uint64_t *number = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*number), &number))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
    } else if (!sp_request_param_u64(req, 0, number)) {
        sp_answer_failed(req, sp_fail(SP_ENOTFOUND));
    } else {
        record(req, "own passkey removed", apply_remove, number);
    }
}

/* ---- recovery codes ---- */

static sp_err renew_codes(sp_store *store, uint32_t person,
                          char codes[SP_RECOVERY_CODES][SP_RECOVERY_TEXT_BYTES])
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_recovery_renew(store, person, codes));
    return sp_txn_commit(&txn);
}

static void apply_codes(sp_request *req, void *data)
{
    (void)data;
    char codes[SP_RECOVERY_CODES][SP_RECOVERY_TEXT_BYTES];
    sp_err err = renew_codes(sp_request_core(req)->store, sp_request_person(req), codes);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < SP_RECOVERY_CODES; i++) {
        json_array_append_new(list, json_string(codes[i]));
    }
    sp_wipe(codes, sizeof(codes));
    told(req);
    sp_answer_json(req, 200, json_pack("{s:o}", "codes", list));
}

static void post_codes(sp_request *req)
{
    if (sp_request_fields(req, NULL, 0)) {
        record(req, "own recovery codes renewed", apply_codes, NULL);
    }
}

static const sp_route routes[] = {
    {"GET", "/api/v1/me/credentials", SP_WHO_SESSION, get_credentials, 0},
    {"PUT", "/api/v1/me/credentials/password", SP_WHO_SESSION | SP_WHO_FRESH, put_password, 16384},
    {"POST", "/api/v1/me/credentials/totp/start", SP_WHO_SESSION | SP_WHO_FRESH, post_totp_start,
     4096},
    {"POST", "/api/v1/me/credentials/totp/confirm", SP_WHO_SESSION, post_totp_confirm, 4096},
    {"POST", "/api/v1/me/credentials/passkeys/options", SP_WHO_SESSION | SP_WHO_FRESH,
     post_passkey_options, 4096},
    {"POST", "/api/v1/me/credentials/passkeys", SP_WHO_SESSION, post_passkey, 0},
    {"PATCH", "/api/v1/me/credentials/passkeys/{id}", SP_WHO_SESSION, patch_passkey, 4096},
    {"DELETE", "/api/v1/me/credentials/passkeys/{id}", SP_WHO_SESSION | SP_WHO_FRESH,
     delete_passkey, 4096},
    {"POST", "/api/v1/me/credentials/recovery-codes", SP_WHO_SESSION | SP_WHO_FRESH, post_codes,
     4096},
};

sp_err sp_my_credentials_routes(sp_core *core)
{
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

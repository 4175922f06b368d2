/* SPDX-License-Identifier: Apache-2.0
 * Setting an account up from a one-time link: the first administrator, an invitation, a reset.
 * OWNS nothing: what is gathered lives in the flow. PROCESS core. TRUST hostile.
 * SPEC docs/api/openapi.yaml "setup".
 *
 * Nothing is written before the end; then the link is used up and everything stands, or nothing.
 */
#include "core/identity/inside.h"

#include "infra/crypto/random.h"
#include "infra/proc/clock.h"

static json_t *person_of(const sp_setup *setup)
{
    return setup->name[0] == '\0'
               ? json_null()
               : json_pack("{s:s, s:s}", "name", setup->name, "display_name", setup->display);
}

static void answer_state(sp_request *req, const sp_flow *flow)
{
    static const char *const kinds[] = {"first_admin", "invite", "reset"};
    _Static_assert(SP_COUNT(kinds) == SP_LINK_KIND_COUNT, "a word for each kind");
    const sp_setup *setup = flow->setup;
    sp_answer_json(req, 200,
                   json_pack("{s:s, s:s, s:o, s:{s:b, s:b, s:i}, s:o}", "flow", flow->id, "kind",
                             kinds[setup->link.kind], "person", person_of(setup), "has", "password",
                             setup->password_hash[0] != '\0', "totp", setup->has_totp, "passkeys",
                             (int)setup->passkey_count, "expires_at",
                             sp_json_time(flow->until_unix_s)));
}

/* ---- links ---- */

sp_err sp_link_make(sp_core *core, uint32_t person, sp_link_kind kind, uint64_t life_s,
                    sp_buf *ret_url, uint64_t *ret_expires)
{
    uint8_t token[SP_TOKEN_BYTES];
    auto_buf sp_buf text = sp_buf_make(64);
    sp_random(token, sizeof(token));
    sp_buf_base64url(&text, sp_span_of(token, sizeof(token)));
    TRY(sp_buf_error(&text));
    sp_link link = {.hash = sp_sha256(sp_buf_borrow(&text)),
                    .person = person,
                    .kind = (uint8_t)kind,
                    .expires_unix_s = sp_now_unix_us() / 1000000 + life_s};
    TRY(sp_link_put(core->store, &link));
    sp_buf_text(ret_url, core->portal_origin);
    sp_buf_text(ret_url, "/setup#");
    sp_buf_span(ret_url, sp_buf_borrow(&text));
    *ret_expires = link.expires_unix_s;
    return sp_buf_error(ret_url);
}

static sp_err begin(const sp_request *req, const sp_link *link, sp_flow **ret_flow)
{
    sp_core *core = sp_request_core(req);
    sp_person person = {0};
    if (link->person != 0) {
        TRY(sp_people_get(core->store, link->person, &person));
        if (person.state == SP_PERSON_LOCKED || person.state == SP_PERSON_REMOVED) {
            return sp_fail(SP_ENOTFOUND);
        }
    }
    sp_flows_close_setup(core->identity->flows, &link->hash);
    sp_flow *flow = NULL;
    TRY(sp_flow_begin(req, SP_FLOW_SETUP, &flow));
    flow->person = link->person;
    flow->setup->link = *link;
    flow->setup->role = SP_ROLE_NR_SYSTEM;
    sp_copy(flow->setup->name, person.name, sizeof(flow->setup->name));
    TRY(sp_fit(flow->setup->display, sizeof(flow->setup->display), sp_span_cstr(person.display)));
    *ret_flow = flow;
    return sp_ok();
}

static void post_start(sp_request *req)
{
    sp_span token = SP_SPAN_EMPTY;
    sp_hash hash;
    sp_link link;
    sp_flow *flow = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT("token", &token, 0, 128)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !sp_guard_open(req, SP_SPAN_EMPTY)) {
        return;
    }
    sp_core *core = sp_request_core(req);
    sp_err err = sp_token_hash(token, &hash);
    if (!sp_failed(err)) {
        err = sp_link_find(core->store, &hash, &link);
    }
    if (!sp_failed(err)) {
        err = begin(req, &link, &flow);
    }
    if (err.code == SP_ENOTFOUND || err.code == SP_EINVALID) {
        sp_guard_failed(req, SP_SPAN_EMPTY);
        sp_answer_problem(req, 404, "link_invalid",
                          "This link was used, has expired, or never was one. Ask for a new one.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        answer_state(req, flow);
    }
}

/* ---- the first administrator's name ---- */

static bool read_role(const json_t *roles, uint32_t *ret_role)
{
    static const char *const names[] = {"system-admin", "security-admin", "audit-admin"};
    const char *word = json_string_value(json_array_get(roles, 0));
    if (json_array_size(roles) != 1 || word == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < SP_COUNT(names); i++) {
        if (sp_span_eq(sp_span_cstr(word), sp_span_cstr(names[i]))) {
            *ret_role = SP_ROLE_NR_SYSTEM + i;
            return true;
        }
    }
    return false;
}

static void post_person(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    sp_span name = SP_SPAN_EMPTY;
    sp_span display = SP_SPAN_EMPTY;
    sp_span mail = SP_SPAN_EMPTY;
    const json_t *roles = NULL;
    const sp_field fields[] = {
        SP_FIELD_TEXT("flow", &id, 1, 64), SP_FIELD_TEXT("name", &name, 1, SP_NAME_MAX_BYTES),
        SP_FIELD_TEXT("display_name", &display, 1, SP_DISPLAY_MAX_BYTES),
        SP_FIELD_TEXT_OPT("mail", &mail, 0, 254), SP_FIELD_JSON_OPT("roles", &roles)};
    sp_flow *flow = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        (flow = sp_need_flow(req, SP_FLOW_SETUP, id)) == NULL) {
        return;
    }
    sp_setup *setup = flow->setup;
    if (setup->link.kind != SP_LINK_FIRST_ADMIN) {
        sp_answer_problem(req, 409, "conflict", "This link is for an account that has its name.");
    } else if (!sp_name_is_valid(name)) {
        sp_answer_invalid(req, "name", "lower case letters, digits, '.', '-', '_'");
    } else if (roles != NULL && !read_role(roles, &setup->role)) {
        sp_answer_invalid(req, "roles", "one of system-admin, security-admin, audit-admin");
    } else if (sp_failed(sp_fit(setup->name, sizeof(setup->name), name)) ||
               sp_failed(sp_fit(setup->display, sizeof(setup->display), display)) ||
               sp_failed(sp_fit(setup->mail, sizeof(setup->mail), mail))) {
        sp_answer_failed(req, sp_fail(SP_EINVALID));
    } else {
        answer_state(req, flow);
    }
}

/* ---- password ---- */

typedef struct {
    sp_request *req;
    char flow[SP_FLOW_TEXT_BYTES + 1];
} at_flow;

static void on_hashed(void *self, sp_err err, const char *hash)
{
    const at_flow *at = self;
    sp_identity *identity = sp_identity_of(at->req);
    sp_flow *flow = sp_flow_find(identity->flows, SP_FLOW_SETUP, sp_span_cstr(at->flow));
    if (!sp_failed(err) && flow == NULL) {
        err = sp_fail(SP_ECONFLICT);
    }
    if (!sp_failed(err)) {
        flow->busy = false;
        err = sp_fit(flow->setup->password_hash, sizeof(flow->setup->password_hash),
                     sp_span_cstr(hash));
    }
    if (sp_failed(err)) {
        sp_answer_failed(at->req, err);
    } else {
        answer_state(at->req, flow);
    }
}

static sp_err hash_password(sp_request *req, sp_flow *flow, sp_span password)
{
    at_flow *at = NULL;
    TRY(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*at), &at));
    at->req = req;
    sp_copy(at->flow, flow->id, sizeof(at->flow));
    TRY(sp_password_hash(sp_identity_of(req)->passwords, password, on_hashed, at));
    flow->busy = true;
    return sp_ok();
}

static void post_password(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    sp_span password = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64),
                               SP_FIELD_TEXT("password", &password, 0, SP_PASSWORD_MAX_BYTES)};
    sp_flow *flow = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        (flow = sp_need_flow(req, SP_FLOW_SETUP, id)) == NULL) {
        return;
    }
    if (password.len < SP_PASSWORD_MIN_BYTES) {
        sp_answer_invalid(req, "password", "at least 12 characters");
        return;
    }
    if (sp_password_is_weak(password, sp_span_cstr(flow->setup->name))) {
        sp_answer_problem(req, 422, "password_weak",
                          "This password is one of the first that are tried. Take a few unrelated "
                          "words.");
        return;
    }
    sp_err err = hash_password(req, flow, password);
    if (err.code == SP_EAGAIN) {
        sp_answer_too_many(req, 2);
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
}

/* ---- codes and passkeys ---- */

static sp_flow *named_flow(sp_request *req, sp_span id)
{
    sp_flow *flow = sp_need_flow(req, SP_FLOW_SETUP, id);
    if (flow != NULL && flow->setup->name[0] == '\0') {
        sp_answer_problem(req, 409, "incomplete", "Choose a name first.");
        return NULL;
    }
    return flow;
}

static void post_totp_start(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64)};
    sp_flow *flow = NULL;
    if (sp_request_fields(req, fields, SP_COUNT(fields)) && (flow = named_flow(req, id)) != NULL) {
        sp_flow_new_secret(flow);
        flow->setup->has_totp = false;
        sp_answer_totp(req, flow, flow->setup->name);
    }
}

static void post_totp_confirm(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    sp_span code = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64),
                               SP_FIELD_TEXT("code", &code, 0, 32)};
    sp_flow *flow = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || (flow = named_flow(req, id)) == NULL) {
        return;
    }
    uint64_t step = 0;
    if (!flow->has_secret || !sp_totp_check(sp_span_of(flow->secret, sizeof(flow->secret)), code,
                                            sp_now_unix_us() / 1000000, 0, &step)) {
        sp_answer_problem(req, 422, "code_wrong",
                          "This is not the code of now. Check the clock of your phone.");
        return;
    }
    flow->setup->has_totp = true;
    flow->setup->totp_step = step;
    answer_state(req, flow);
}

static void post_passkey_options(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64)};
    sp_flow *flow = NULL;
    if (sp_request_fields(req, fields, SP_COUNT(fields)) && (flow = named_flow(req, id)) != NULL) {
        /* the first account is number 1 */
        uint32_t person = flow->person != 0 ? flow->person : 1;
        sp_answer_creation(req, flow, person, flow->setup->name, flow->setup->display);
    }
}

static void post_passkey_verify(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    sp_span name = SP_SPAN_EMPTY;
    const json_t *credential = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64),
                               SP_FIELD_JSON("credential", &credential),
                               SP_FIELD_TEXT("name", &name, 1, SP_PASSKEY_NAME_MAX_BYTES)};
    sp_flow *flow = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || (flow = named_flow(req, id)) == NULL) {
        return;
    }
    sp_setup *setup = flow->setup;
    if (setup->passkey_count >= SP_FLOW_PASSKEYS_MAX) {
        sp_answer_failed(req, sp_fail(SP_ELIMIT));
    } else if (sp_read_new_passkey(req, flow, credential, name,
                                   &setup->passkeys[setup->passkey_count])) {
        setup->passkey_count++;
        answer_state(req, flow);
    }
}

/* ---- the end ---- */

typedef struct {
    char flow[SP_FLOW_TEXT_BYTES + 1];
    sp_totp_row totp;
    char codes[SP_RECOVERY_CODES][SP_RECOVERY_TEXT_BYTES];
} ending;

static json_t *with_codes(sp_request *req, json_t *session, void *data)
{
    (void)req;
    ending *end = data;
    json_t *codes = json_array();
    for (size_t i = 0; i < SP_RECOVERY_CODES; i++) {
        json_array_append_new(codes, json_string(end->codes[i]));
    }
    sp_wipe(end->codes, sizeof(end->codes));
    return json_pack("{s:o, s:o}", "recovery_codes", codes, "session", session);
}

static sp_err activate(sp_store *store, uint32_t person)
{
    /* who was locked or removed meanwhile does not come back this way */
    auto_query sp_query q = sp_query_of(
        store, "UPDATE person SET state = $1 WHERE id = $2 AND (state = $1 OR state = $3)");
    sp_bind_u64(&q, SP_PERSON_ACTIVE);
    sp_bind_u64(&q, person);
    sp_bind_u64(&q, SP_PERSON_INVITED);
    return sp_query_finish_changed(&q);
}

static sp_err put_mail(sp_store *store, uint32_t person, const char *mail)
{
    auto_query sp_query q = sp_query_of(store, "UPDATE person SET mail = $1 WHERE id = $2");
    sp_bind_text(&q, sp_span_cstr(mail));
    sp_bind_u64(&q, person);
    return sp_query_finish_changed(&q);
}

static sp_err put_person(sp_store *store, const sp_setup *setup, uint32_t *ret_person)
{
    if (setup->link.person != 0) {
        *ret_person = setup->link.person;
        return activate(store, setup->link.person);
    }
    TRY(sp_people_add(store, sp_span_cstr(setup->name), sp_span_cstr(setup->display),
                      SP_PERSON_ACTIVE, ret_person));
    TRY(put_mail(store, *ret_person, setup->mail));
    return sp_roles_grant(store, *ret_person, setup->role);
}

static sp_err put_all(sp_store *store, sp_setup *setup, ending *end, uint32_t *ret_person)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_link_take(store, &setup->link.hash));
    TRY(put_person(store, setup, ret_person));
    TRY(sp_credentials_remove_all(store, *ret_person));
    if (setup->password_hash[0] != '\0') {
        TRY(sp_password_put(store, *ret_person, setup->password_hash));
    }
    if (setup->has_totp) {
        TRY(sp_totp_put(store, *ret_person, &end->totp));
    }
    for (size_t i = 0; i < setup->passkey_count; i++) {
        setup->passkeys[i].person = *ret_person;
        TRY(sp_passkey_add(store, &setup->passkeys[i]));
    }
    TRY(sp_recovery_renew(store, *ret_person, end->codes));
    return sp_txn_commit(&txn);
}

static sp_flow *flow_of(sp_request *req, const ending *end)
{
    return sp_flow_find(sp_identity_of(req)->flows, SP_FLOW_SETUP, sp_span_cstr(end->flow));
}

static void apply(sp_request *req, void *data)
{
    ending *end = data;
    sp_core *core = sp_request_core(req);
    sp_flow *flow = flow_of(req, end);
    uint32_t person = 0;
    if (flow == NULL) {
        sp_answer_failed(req, sp_fail(SP_ECONFLICT));
        return;
    }
    sp_err err = put_all(core->store, flow->setup, end, &person);
    bool passkey = flow->setup->passkey_count > 0;
    flow->busy = false;
    if (sp_failed(err)) {
        sp_answer_failed(req, err.code == SP_ENOTFOUND ? sp_fail(SP_ECONFLICT) : err);
        return;
    }
    sp_flow_close(flow);
    sp_sessions_end_person(core, person, 0, SP_END_PERSON, person);
    sp_people_changed(core);
    const sp_proof proof = {.since = sp_sessions_mark(core),
                            .person = person,
                            .strength = passkey ? SP_STRENGTH_PASSKEY : SP_STRENGTH_TOTP,
                            .method = "set-up"};
    sp_finish_sign_in(req, &proof, with_codes, end);
}

static void record_end(sp_request *req, sp_flow *flow, ending *end)
{
    static const char *const words[] = {"first administrator set up", "invitation used",
                                        "account set up again"};
    const sp_setup *setup = flow->setup;
    sp_event event = sp_request_event(req, SP_EVENT_IDENTITY);
    event.person = setup->link.person;
    event.person_name = sp_span_cstr(setup->name);
    event.object = sp_span_cstr(setup->name);
    event.method = sp_span_cstr(words[setup->link.kind]);
    event.severity = SP_SEVERITY_MEDIUM;
    sp_request_record(req, &event, apply, end);
}

static void on_sealed(sp_request *req, sp_err err, sp_span sealed, void *data)
{
    ending *end = data;
    sp_flow *flow = flow_of(req, end);
    if (!sp_failed(err) && (flow == NULL || sealed.len > sizeof(end->totp.sealed))) {
        err = sp_fail(SP_ECONFLICT);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_copy(end->totp.sealed, sealed.ptr, sealed.len);
    end->totp.sealed_len = sealed.len;
    end->totp.last_step = flow->setup->totp_step;
    record_end(req, flow, end);
}

static uint32_t next_person(sp_store *store)
{
    auto_query sp_query q = sp_query_of(store, "SELECT COALESCE(MAX(id), 0) + 1 FROM person");
    return sp_query_row(&q) ? (uint32_t)sp_col_u64(&q) : 0;
}

static void finish(sp_request *req, sp_flow *flow)
{
    ending *end = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*end), &end);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_copy(end->flow, flow->id, sizeof(end->flow));
    if (!flow->setup->has_totp) {
        record_end(req, flow, end);
        return;
    }
    uint32_t person = flow->person != 0 ? flow->person : next_person(sp_request_core(req)->store);
    sp_secret_seal(req, person, sp_span_of(flow->secret, sizeof(flow->secret)), on_sealed, end);
}

static void post_finish(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64)};
    sp_flow *flow = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || (flow = named_flow(req, id)) == NULL) {
        return;
    }
    const sp_setup *setup = flow->setup;
    if (setup->passkey_count == 0 && !(setup->password_hash[0] != '\0' && setup->has_totp)) {
        sp_answer_problem(req, 409, "incomplete",
                          "Add a passkey, or a password together with one-time codes.");
        return;
    }
    finish(req, flow);
}

static const sp_route routes[] = {
    {"POST", "/api/v1/setup/start", SP_WHO_PUBLIC, post_start, 4096},
    {"POST", "/api/v1/setup/person", SP_WHO_PUBLIC, post_person, 4096},
    {"POST", "/api/v1/setup/password", SP_WHO_PUBLIC, post_password, 16384},
    {"POST", "/api/v1/setup/totp/start", SP_WHO_PUBLIC, post_totp_start, 4096},
    {"POST", "/api/v1/setup/totp/confirm", SP_WHO_PUBLIC, post_totp_confirm, 4096},
    {"POST", "/api/v1/setup/passkey/options", SP_WHO_PUBLIC, post_passkey_options, 4096},
    {"POST", "/api/v1/setup/passkey/verify", SP_WHO_PUBLIC, post_passkey_verify, 0},
    {"POST", "/api/v1/setup/finish", SP_WHO_PUBLIC, post_finish, 4096},
};

sp_err sp_setup_routes(sp_core *core)
{
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

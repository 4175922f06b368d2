/* SPDX-License-Identifier: Apache-2.0
 * Signing in: name, password and code; a recovery code; a passkey. And out.
 * OWNS nothing. PROCESS core. TRUST hostile. SPEC docs/api/openapi.yaml "sign-in".
 *
 * What an answer says, and the work behind it, is the same whether the name exists or not; whether
 * the password was right is said only together with the code.
 */
#include "core/identity/inside.h"

sp_flow *sp_need_flow(sp_request *req, sp_flow_kind kind, sp_span id)
{
    sp_flow *flow = sp_flow_find(sp_identity_of(req)->flows, kind, id);
    if (flow == NULL || flow->busy) {
        sp_answer_problem(req, 409, "flow_ended", "This took too long, or is over. Start again.");
        return NULL;
    }
    return flow;
}

static void answer_step(sp_request *req, const sp_flow *flow, const char *first, const char *second)
{
    sp_answer_json(req, 200,
                   json_pack("{s:s, s:[s, s], s:o}", "flow", flow->id, "next", first, second,
                             "expires_at", sp_json_time(flow->until_unix_s)));
}

/* ---- start ---- */

static void post_start(sp_request *req)
{
    sp_span name = SP_SPAN_EMPTY;
    sp_flow *flow = NULL;
    sp_person person = {0};
    const sp_field fields[] = {SP_FIELD_TEXT("name", &name, 1, SP_NAME_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !sp_guard_open(req, SP_SPAN_EMPTY)) {
        return;
    }
    sp_err err = sp_flow_begin(req, SP_FLOW_SIGN_IN, &flow);
    if (!sp_failed(err)) {
        err = sp_fit(flow->name, sizeof(flow->name), name);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (!sp_failed(sp_people_find(sp_request_core(req)->store, name, &person)) &&
        person.state == SP_PERSON_ACTIVE) {
        flow->person = person.id;
    }
    answer_step(req, flow, "passkey", "password");
}

/* ---- password ---- */

typedef struct {
    sp_request *req;
    char flow[SP_FLOW_TEXT_BYTES + 1];
} at_flow;

static void on_password(void *self, sp_err err, bool is_right)
{
    at_flow *at = self;
    sp_request *req = at->req;
    sp_flow *flow =
        sp_flow_find(sp_identity_of(req)->flows, SP_FLOW_SIGN_IN, sp_span_cstr(at->flow));
    if (sp_failed(err) || flow == NULL) {
        sp_answer_failed(req, sp_failed(err) ? err : sp_fail(SP_ECONFLICT));
        return;
    }
    flow->busy = false;
    flow->password_given = true;
    flow->password_right = is_right;
    answer_step(req, flow, "totp", "recovery");
}

static sp_err start_check(sp_request *req, sp_flow *flow, sp_span password)
{
    at_flow *at = NULL;
    char hash[SP_PASSWORD_HASH_BYTES] = {0};
    TRY(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*at), &at));
    at->req = req;
    TRY(sp_fit(at->flow, sizeof(at->flow), sp_span_cstr(flow->id)));
    bool known = !sp_failed(sp_password_get(sp_request_core(req)->store, flow->person, hash));
    sp_err err = sp_password_check(sp_identity_of(req)->passwords, password, known ? hash : NULL,
                                   on_password, at);
    flow->busy = !sp_failed(err);
    sp_wipe(hash, sizeof(hash));
    return err;
}

static void post_password(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    sp_span password = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64),
                               SP_FIELD_TEXT("password", &password, 0, SP_PASSWORD_MAX_BYTES)};
    sp_flow *flow = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        (flow = sp_need_flow(req, SP_FLOW_SIGN_IN, id)) == NULL ||
        !sp_guard_open(req, sp_span_cstr(flow->name))) {
        return;
    }
    if (flow->password_given) {
        sp_answer_problem(req, 409, "flow_ended", "A password was given already. Start again.");
        return;
    }
    sp_err err = start_check(req, flow, password);
    if (err.code == SP_EAGAIN) {
        sp_answer_too_many(req, 2);
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
}

/* ---- code ---- */

/* The flow of the second step, with its limits; answered when NULL. */
static sp_flow *code_step(sp_request *req, sp_span *ret_code)
{
    sp_span id = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64),
                               SP_FIELD_TEXT("code", ret_code, 0, 32)};
    sp_flow *flow = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        (flow = sp_need_flow(req, SP_FLOW_SIGN_IN, id)) == NULL ||
        !sp_guard_open(req, sp_span_cstr(flow->name))) {
        return NULL;
    }
    if (!flow->password_given || flow->code_tries >= SP_FLOW_CODE_TRIES) {
        sp_answer_problem(req, 409, "flow_ended", "Start again with your name.");
        return NULL;
    }
    flow->code_tries++;
    sp_guard_try(req, sp_span_cstr(flow->name));
    return flow;
}

typedef struct {
    uint32_t person;
    bool password_right;
    sp_strength strength;
    char name[SP_NAME_MAX_BYTES + 1];
    char flow[SP_FLOW_TEXT_BYTES + 1];
} second_step;

static second_step *remember(sp_request *req, sp_flow *flow)
{
    second_step *step = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*step), &step);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return NULL;
    }
    step->person = flow->person;
    step->password_right = flow->password_right;
    sp_copy(step->name, flow->name, sizeof(step->name));
    sp_copy(step->flow, flow->id, sizeof(step->flow));
    flow->busy = true;
    return step;
}

static void end_second_step(sp_request *req, const second_step *step, bool code_right,
                            const char *method)
{
    sp_flow *flow =
        sp_flow_find(sp_identity_of(req)->flows, SP_FLOW_SIGN_IN, sp_span_cstr(step->flow));
    bool good = code_right && step->password_right && step->person != 0;
    if (flow != NULL) {
        flow->busy = false;
    }
    if (good && flow != NULL) {
        const sp_proof proof = {flow->since, step->person, SP_STRENGTH_TOTP, method};
        sp_flow_close(flow);
        sp_finish_sign_in(req, &proof, NULL, NULL);
        return;
    }
    sp_refuse_sign_in(req, step->person, sp_span_cstr(step->name), method,
                      step->person == 0       ? "no such account"
                      : !step->password_right ? "password"
                                              : "code");
}

static void on_code(sp_request *req, bool is_right, void *data)
{
    end_second_step(req, data, is_right, "password and code");
}

/* A code is not used up on a wrong password: nobody's code is taken away by guessing. */
static void post_totp(sp_request *req)
{
    sp_span code = SP_SPAN_EMPTY;
    sp_flow *flow = code_step(req, &code);
    second_step *step = flow == NULL ? NULL : remember(req, flow);
    if (step != NULL) {
        sp_code_check(req, step->password_right ? step->person : 0, sp_span_cstr(step->name), code,
                      on_code, step);
    }
}

static void post_recovery(sp_request *req)
{
    sp_span code = SP_SPAN_EMPTY;
    sp_hash hash;
    sp_flow *flow = code_step(req, &code);
    second_step *step = flow == NULL ? NULL : remember(req, flow);
    if (step == NULL) {
        return;
    }
    bool right = step->password_right && !sp_failed(sp_recovery_hash(code, &hash)) &&
                 !sp_failed(sp_recovery_use(sp_request_core(req)->store, step->person, &hash));
    end_second_step(req, step, right, "password and recovery code");
}

/* ---- passkeys ---- */

static void post_passkey_options(sp_request *req)
{
    sp_span name = SP_SPAN_EMPTY;
    sp_flow *flow = NULL;
    sp_person person = {0};
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("name", &name, 1, SP_NAME_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !sp_guard_open(req, SP_SPAN_EMPTY)) {
        return;
    }
    sp_err err = sp_flow_begin(req, SP_FLOW_PASSKEY, &flow);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (name.len > 0 && !sp_failed(sp_people_find(sp_request_core(req)->store, name, &person)) &&
        person.state == SP_PERSON_ACTIVE) {
        flow->person = person.id;
    }
    sp_answer_request(req, flow, flow->person, name);
}

static void refuse_passkey(sp_request *req, uint32_t person, sp_err err)
{
    sp_person found = {0};
    SP_IGNORE(sp_people_get(sp_request_core(req)->store, person, &found)); /* nobody: no name */
    bool cloned = err.code == SP_ECONFLICT;
    sp_refuse_sign_in(req, found.id, sp_span_cstr(found.name), "passkey",
                      cloned ? "the passkey's counter went back: a copy of it may exist"
                             : "not a passkey of ours, or not for this portal");
}

static void post_passkey_verify(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    const json_t *credential = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64),
                               SP_FIELD_JSON("credential", &credential)};
    sp_flow *flow = NULL;
    uint32_t person = 0;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !sp_guard_open(req, SP_SPAN_EMPTY) ||
        (flow = sp_need_flow(req, SP_FLOW_PASSKEY, id)) == NULL) {
        return;
    }
    sp_err err = sp_check_assertion(req, flow, credential, &person);
    const sp_proof proof = {flow->since, person, SP_STRENGTH_PASSKEY, "passkey"};
    sp_flow_close(flow);
    if (sp_failed(err)) {
        refuse_passkey(req, person, err);
    } else {
        sp_finish_sign_in(req, &proof, NULL, NULL);
    }
}

/* ---- out ---- */

static void post_sign_out(sp_request *req)
{
    bool everywhere = false;
    const sp_field fields[] = {SP_FIELD_BOOL_OPT("everywhere", &everywhere)};
    const sp_live_session *session = sp_request_session(req);
    sp_core *core = sp_request_core(req);
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (everywhere) {
        sp_sessions_end_person(core, session->person, session->id, SP_END_OWNER, session->person);
    }
    auto_buf sp_buf cookie = sp_buf_make(256);
    sp_cookie_write(SP_COOKIE_NAME, SP_SPAN_EMPTY, 0, &cookie);
    sp_answer_header(req, "Set-Cookie", sp_buf_borrow(&cookie));
    sp_err err = sp_sessions_end(core, session->id, SP_END_SIGN_OUT, session->person);
    if (sp_failed(err) && err.code != SP_ENOTFOUND) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_empty(req, 204);
    }
}

static const sp_route routes[] = {
    {"POST", "/api/v1/sign-in/start", SP_WHO_PUBLIC, post_start, 4096},
    {"POST", "/api/v1/sign-in/password", SP_WHO_PUBLIC, post_password, 16384},
    {"POST", "/api/v1/sign-in/totp", SP_WHO_PUBLIC, post_totp, 4096},
    {"POST", "/api/v1/sign-in/recovery", SP_WHO_PUBLIC, post_recovery, 4096},
    {"POST", "/api/v1/sign-in/passkey/options", SP_WHO_PUBLIC, post_passkey_options, 4096},
    {"POST", "/api/v1/sign-in/passkey/verify", SP_WHO_PUBLIC, post_passkey_verify, 0},
    {"POST", "/api/v1/sign-out", SP_WHO_SESSION, post_sign_out, 4096},
};

sp_err sp_signin_routes(sp_core *core)
{
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

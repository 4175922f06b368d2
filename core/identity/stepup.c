/* SPDX-License-Identifier: Apache-2.0
 * Step-up: somebody signed in proves himself again.
 * OWNS nothing. PROCESS core. TRUST hostile. SPEC docs/api/openapi.yaml "step-up".
 */
#include "core/identity/inside.h"

static void answer_session(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    uint64_t id = sp_request_session(req)->id;
    sp_session_view view;
    if (sp_sessions_find(core, id, &view)) {
        sp_answer_json(req, 200, sp_session_json(core, &view, id));
    } else {
        sp_answer_problem(req, 401, "signed_out", "The session has ended meanwhile.");
    }
}

typedef struct {
    sp_strength strength;
} proof;

static void answer_weaker(sp_request *req)
{
    sp_answer_problem(req, 409, "weaker_proof",
                      "This session began with a passkey: use a passkey again, or sign in anew.");
}

static void raise_session(sp_request *req, void *data)
{
    const proof *proven = data;
    uint64_t id = sp_request_session(req)->id;
    sp_err err = sp_sessions_step_up(sp_request_core(req), id, proven->strength);
    if (err.code == SP_EDENIED) {
        answer_weaker(req);
    } else if (sp_failed(err) && err.code != SP_ENOTFOUND) {
        sp_answer_failed(req, err);
    } else {
        answer_session(req);
    }
}

static void finish(sp_request *req, sp_strength strength, const char *method)
{
    proof *proven = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*proven), &proven);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    proven->strength = strength;
    sp_guard_worked(req, sp_span_cstr(sp_request_session(req)->person_name));
    sp_event event = sp_request_event(req, SP_EVENT_SIGN_IN);
    event.strength = (uint8_t)strength;
    event.status = 200;
    event.method = sp_span_cstr(method);
    sp_request_record(req, &event, raise_session, proven);
}

static void refuse(sp_request *req, const char *method, const char *why)
{
    const sp_live_session *session = sp_request_session(req);
    sp_refuse_sign_in(req, session->person, sp_span_cstr(session->person_name), method, why);
}

/* ---- passkey ---- */

static void post_options(sp_request *req)
{
    sp_flow *flow = NULL;
    if (!sp_request_fields(req, NULL, 0)) {
        return;
    }
    sp_err err = sp_flow_begin(req, SP_FLOW_STEP_UP, &flow);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    const sp_live_session *session = sp_request_session(req);
    flow->person = session->person;
    flow->session = session->id;
    sp_answer_request(req, flow, session->person, sp_span_cstr(session->person_name));
}

static void post_verify(sp_request *req)
{
    sp_span id = SP_SPAN_EMPTY;
    const json_t *credential = NULL;
    const sp_field fields[] = {SP_FIELD_TEXT("flow", &id, 1, 64),
                               SP_FIELD_JSON("credential", &credential)};
    sp_flow *flow = NULL;
    uint32_t person = 0;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !sp_guard_open(req, SP_SPAN_EMPTY) ||
        (flow = sp_need_flow(req, SP_FLOW_STEP_UP, id)) == NULL) {
        return;
    }
    bool own = flow->session == sp_request_session(req)->id;
    sp_err err = own ? sp_check_assertion(req, flow, credential, &person) : sp_fail(SP_EDENIED);
    sp_flow_close(flow);
    if (sp_failed(err)) {
        refuse(req, "step-up by passkey", "not the person's passkey");
    } else {
        finish(req, SP_STRENGTH_PASSKEY, "step-up by passkey");
    }
}

/* ---- password and code ---- */

typedef struct {
    sp_request *req;
    sp_span code;
    bool password_right;
} both;

static void on_code(sp_request *req, bool is_right, void *data)
{
    const both *given = data;
    if (is_right && given->password_right) {
        finish(req, SP_STRENGTH_TOTP, "step-up by password and code");
    } else {
        refuse(req, "step-up by password and code", given->password_right ? "code" : "password");
    }
}

static void untried(sp_request *req)
{
    sp_identity_untried(sp_request_core(req), sp_span_cstr(sp_request_session(req)->person_name));
}

static void on_password(void *self, sp_err err, bool is_right)
{
    both *given = self;
    if (sp_failed(err)) {
        untried(given->req);
        sp_answer_failed(given->req, err);
        return;
    }
    given->password_right = is_right;
    uint32_t person = is_right ? sp_request_person(given->req) : 0;
    sp_code_check(given->req, person, sp_span_cstr(sp_request_session(given->req)->person_name),
                  given->code, on_code, given);
}

static void post_password(sp_request *req)
{
    sp_span password = SP_SPAN_EMPTY;
    sp_span code = SP_SPAN_EMPTY;
    both *given = NULL;
    char hash[SP_PASSWORD_HASH_BYTES] = {0};
    const sp_field fields[] = {SP_FIELD_TEXT("password", &password, 0, SP_PASSWORD_MAX_BYTES),
                               SP_FIELD_TEXT("code", &code, 0, 32)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        !sp_guard_open(req, sp_span_cstr(sp_request_session(req)->person_name))) {
        return;
    }
    if (sp_request_session(req)->strength > SP_STRENGTH_TOTP) {
        answer_weaker(req);
        return;
    }
    sp_guard_try(req, sp_span_cstr(sp_request_session(req)->person_name));
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*given), &given);
    if (!sp_failed(err)) {
        *given = (both){req, code, false};
        bool has =
            !sp_failed(sp_password_get(sp_request_core(req)->store, sp_request_person(req), hash));
        err = sp_password_check(sp_identity_of(req)->passwords, password, has ? hash : NULL,
                                on_password, given);
    }
    sp_wipe(hash, sizeof(hash));
    if (sp_failed(err)) {
        untried(req);
    }
    if (err.code == SP_EAGAIN) {
        sp_answer_too_many(req, 2);
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
}

static const sp_route routes[] = {
    {"POST", "/api/v1/step-up/passkey/options", SP_WHO_SESSION, post_options, 4096},
    {"POST", "/api/v1/step-up/passkey/verify", SP_WHO_SESSION, post_verify, 0},
    {"POST", "/api/v1/step-up/password", SP_WHO_SESSION, post_password, 16384},
};

sp_err sp_stepup_routes(sp_core *core)
{
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

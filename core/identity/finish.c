/* SPDX-License-Identifier: Apache-2.0
 * The end of every sign-in: written down first, then the session, the cookie, the answer.
 * OWNS nothing. PROCESS core. TRUST the proof has been checked by the caller.
 * SPEC docs/ARCHITECTURE.md "Signing in and cookies".
 */
#include "core/identity/inside.h"

typedef struct {
    sp_person person;
    sp_proof proof;
    sp_sign_in_answer answer;
    void *data;
} finishing;

sp_span sp_peer_text(const sp_request *req, char *room, size_t room_bytes)
{
    return room_bytes < SP_SESSION_PEER_BYTES ? SP_SPAN_EMPTY
                                              : sp_sessions_peer_text(sp_request_peer(req), room);
}

/* Bound when the browser came with the certificate of the person's own active device. */
static uint32_t device_to_bind(const sp_request *req, uint32_t person)
{
    sp_live_device device;
    uint32_t slot = SP_NONE;
    bool own = sp_request_device(req, &device, &slot) && device.state == SP_DEVICE_ACTIVE &&
               device.person == person;
    return own ? slot : SP_NONE;
}

/* Whether the browser's certificate keeps that person out: a session beside it is none. */
static bool device_refuses(const sp_request *req, uint32_t person)
{
    sp_live_device device;
    uint32_t slot = SP_NONE;
    return sp_request_device(req, &device, &slot) &&
           (device.state != SP_DEVICE_ACTIVE || device.person != person);
}

static void answer_device(sp_request *req, void *data)
{
    (void)data;
    sp_answer_problem(req, 403, "device_refused",
                      "This browser shows the certificate of a device that was cut off, or is "
                      "another person's. Use another browser, or take that certificate out.");
}

static void refuse_device(sp_request *req, const finishing *end)
{
    sp_event event = sp_request_event(req, SP_EVENT_SIGN_IN);
    event.person = end->person.id;
    event.person_name = sp_span_cstr(end->person.name);
    event.verdict = SP_VERDICT_DENY;
    event.severity = SP_SEVERITY_MEDIUM;
    event.status = 403;
    event.method = sp_span_cstr(end->proof.method);
    event.detail = SP_SPAN_LIT("{\"why\":\"the certificate of a device that was cut off, or is "
                               "another person's\"}");
    sp_request_record(req, &event, answer_device, NULL);
}

static json_t *as_step(json_t *session)
{
    return json_pack("{s:s, s:[], s:O, s:o}", "flow", "", "next", "expires_at",
                     json_object_get(session, "expires_at"), "session", session);
}

static void set_cookie(sp_request *req, const char *token)
{
    auto_buf sp_buf cookie = sp_buf_make(256);
    sp_cookie_write(SP_COOKIE_NAME, sp_span_cstr(token), sp_sessions_life_s(sp_request_core(req)),
                    &cookie);
    sp_answer_header(req, "Set-Cookie", sp_buf_borrow(&cookie));
    sp_buf_wipe(&cookie);
}

void sp_answer_not_opened(sp_request *req, sp_err err)
{
    if (err.code == SP_EDENIED) {
        sp_answer_problem(req, 401, "sign_in_failed",
                          "This account was locked, reset or signed out everywhere while this "
                          "sign-in was under way. Start again.");
    } else {
        sp_answer_failed(req, err);
    }
}

static void open_session(sp_request *req, void *data)
{
    finishing *end = data;
    sp_core *core = sp_request_core(req);
    char peer[SP_SESSION_PEER_BYTES];
    char token[SP_TOKEN_TEXT_BYTES + 1];
    sp_session_view view;
    sp_session_new fresh = {.since = end->proof.since,
                            .person = end->person.id,
                            .person_name = end->person.name,
                            .strength = (uint8_t)end->proof.strength,
                            .kind = SP_SESSION_BROWSER,
                            .device_slot = device_to_bind(req, end->person.id),
                            .peer = sp_peer_text(req, peer, sizeof(peer)),
                            .user_agent = sp_request_header(req, "User-Agent")};
    fresh.has_certificate = sp_request_certificate(req, &fresh.certificate);
    sp_err err = sp_sessions_open(core, &fresh, token, &view);
    if (sp_failed(err)) {
        sp_answer_not_opened(req, err);
        return;
    }
    const sp_live_session *before = sp_request_session(req);
    if (before != NULL) { /* it may have ended meanwhile */
        SP_IGNORE(sp_sessions_end(core, before->id, SP_END_REPLACED, end->person.id));
    }
    set_cookie(req, token);
    sp_wipe(token, sizeof(token));
    json_t *session = sp_session_json(core, &view, view.id);
    sp_answer_json(req, 200,
                   end->answer != NULL ? end->answer(req, session, end->data) : as_step(session));
}

void sp_finish_sign_in(sp_request *req, const sp_proof *proof, sp_sign_in_answer answer, void *data)
{
    finishing *end = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*end), &end);
    if (!sp_failed(err)) {
        *end = (finishing){.proof = *proof, .answer = answer, .data = data};
        err = sp_people_get(sp_request_core(req)->store, proof->person, &end->person);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (end->person.state != SP_PERSON_ACTIVE) {
        sp_refuse_sign_in(req, proof->person, sp_span_cstr(end->person.name), proof->method,
                          "not active");
        return;
    }
    sp_guard_worked(req, sp_span_cstr(end->person.name));
    if (device_refuses(req, proof->person)) {
        refuse_device(req, end);
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_SIGN_IN);
    event.person = proof->person;
    event.person_name = sp_span_cstr(end->person.name);
    event.strength = (uint8_t)proof->strength;
    event.status = 200;
    event.method = sp_span_cstr(proof->method);
    sp_request_record(req, &event, open_session, end);
}

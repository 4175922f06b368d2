/* SPDX-License-Identifier: Apache-2.0
 * Who asks, and whether the request may reach its handler.
 * OWNS nothing. PROCESS core. TRUST all headers are hostile but X-Sallyport-*, which the web gate
 * sets and strips from what clients send. SPEC docs/ARCHITECTURE.md "Signing in and cookies".
 */
#include "core/http/cookie.h"
#include "core/http/inside.h"
#include "core/identity/people.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"

#include <arpa/inet.h>
#include <string.h>

enum { FRESH_S = 600, ADDRESS_TEXT_BYTES = 64 };

static void read_peer(sp_request *req)
{
    char text[ADDRESS_TEXT_BYTES];
    if (sp_failed(sp_fit(text, sizeof(text), sp_request_header(req, "X-Sallyport-Peer")))) {
        return;
    }
    uint8_t four[4];
    if (inet_pton(AF_INET, text, four) == 1) {
        req->peer[10] = 0xff;
        req->peer[11] = 0xff;
        sp_copy(req->peer + 12, four, sizeof(four));
    } else if (inet_pton(AF_INET6, text, req->peer) != 1) {
        sp_set(req->peer, 0, sizeof(req->peer));
    }
}

static void read_certificate(sp_request *req)
{
    auto_buf sp_buf print = sp_buf_make(SP_SHA256_BYTES);
    sp_span text = sp_request_header(req, "X-Sallyport-Certificate");
    if (text.len != 2 * (size_t)SP_SHA256_BYTES || sp_failed(sp_buf_unhex(&print, text))) {
        return;
    }
    sp_copy(req->certificate.bytes, print.ptr, SP_SHA256_BYTES);
    req->has_certificate = true;
}

/* A session bound to a device is one only on a connection with that device's certificate; and none
 * is one beside the certificate of a device that was cut off, or is another person's. */
static bool device_fits(const sp_request *req, const sp_live_session *session)
{
    sp_live_device device;
    uint32_t slot = SP_NONE;
    if (!sp_request_device(req, &device, &slot)) {
        return session->device == SP_NONE;
    }
    return device.state == SP_DEVICE_ACTIVE && device.person == session->person &&
           (session->device == SP_NONE || slot == session->device);
}

static void read_session(sp_request *req)
{
    sp_hash token;
    if (req->local || sp_failed(sp_cookie_token(sp_request_header(req, "Cookie"), &token))) {
        return;
    }
    sp_live_session session;
    uint32_t slot = SP_NONE;
    uint64_t audience = sp_live_audience(req->host);
    if (sp_failed(sp_live_find_token(&req->core->live, &token, audience, &session, &slot))) {
        return;
    }
    uint64_t now_s = sp_now_unix_us() / 1000000;
    if (session.state == SP_SESSION_LIVE && session.expires_unix_s > now_s &&
        device_fits(req, &session)) {
        req->session = session;
        req->session_slot = slot;
        req->has_session = true;
    }
}

static unsigned admin_bits(const uint64_t roles[SP_ROLE_WORDS])
{
    return (sp_roles_hold(roles, SP_ROLE_NR_SYSTEM) ? SP_WHO_SYSTEM : 0) |
           (sp_roles_hold(roles, SP_ROLE_NR_SECURITY) ? SP_WHO_SECURITY : 0) |
           (sp_roles_hold(roles, SP_ROLE_NR_AUDIT) ? SP_WHO_AUDIT : 0);
}

void sp_request_identify(sp_request *req)
{
    if (req->local) {
        req->host = sp_span_cstr(req->core->portal_host);
        req->admin = SP_WHO_ANY_ADMIN;
        return;
    }
    req->host = sp_request_header(req, "X-Sallyport-Host");
    read_peer(req);
    read_certificate(req);
    read_session(req);
    if (req->has_session) {
        req->admin = admin_bits(req->session.roles);
    }
}

/* Application hosts have only /.sallyport/, the portal has everything else. */
static bool host_fits(const sp_request *req)
{
    bool ours = sp_span_starts(req->path, SP_SPAN_LIT("/.sallyport/"));
    bool portal = sp_span_eq(req->host, sp_span_cstr(req->core->portal_host));
    return req->local || ours != portal;
}

static bool is_unsafe(const sp_request *req)
{
    static const char *const safe[] = {"GET", "HEAD", "OPTIONS"};
    for (size_t i = 0; i < SP_COUNT(safe); i++) {
        if (strcmp(req->method, safe[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* A page of another origin can neither set either header without a preflight that nobody answers,
 * nor forge Origin. Who shows a token shows no cookie: beside one only our own header counts. */
static bool is_ours(const sp_request *req)
{
    if (req->local || !is_unsafe(req)) {
        return true;
    }
    sp_span origin = sp_request_header(req, "Origin");
    sp_span site = sp_request_header(req, "Sec-Fetch-Site");
    bool same_origin =
        origin.len == 0 || sp_span_eq(origin, sp_span_cstr(req->core->portal_origin));
    bool same_site = site.len == 0 || sp_span_eq(site, SP_SPAN_LIT("same-origin"));
    bool marked = sp_span_eq(sp_request_header(req, "X-Sallyport-Request"), SP_SPAN_LIT("1"));
    bool has_token =
        sp_span_starts(sp_request_header(req, "Authorization"), SP_SPAN_LIT("Bearer ")) &&
        sp_request_header(req, "Cookie").len == 0;
    return same_origin && same_site && (marked || has_token);
}

static bool body_fits(sp_request *req)
{
    if (req->too_large) {
        sp_answer_problem(req, 413, "too_large", "The body is larger than %zu bytes.",
                          req->body.max_bytes);
        return false;
    }
    if (req->body.len == 0) {
        return true;
    }
    sp_span type = sp_request_header(req, "Content-Type");
    sp_span base = sp_span_trim(sp_span_slice(type, 0, sp_span_index(type, ';')));
    if (!sp_span_eq_nocase(base, SP_SPAN_LIT("application/json"))) {
        sp_answer_problem(req, 415, "not_json", "The body must be application/json.");
        return false;
    }
    req->json = sp_json_parse(sp_buf_borrow(&req->body));
    if (req->json == NULL) {
        sp_answer_problem(req, 400, "not_json", "The body is not well-formed JSON.");
        return false;
    }
    return true;
}

/* What an administrator tried beyond his role is written down. */
static void tell_refusal(sp_request *req)
{
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    event.verdict = SP_VERDICT_DENY;
    event.reason = SP_REASON_DEFAULT;
    event.severity = SP_SEVERITY_MEDIUM;
    event.status = 403;
    event.method = sp_span_cstr(req->method);
    event.object = req->path;
    sp_ledger_client_tell(req->core->ledger, &event);
}

static bool person_may(sp_request *req, unsigned who)
{
    if ((who & SP_WHO_SESSION) != 0) {
        return true;
    }
    if (req->session.strength < SP_STRENGTH_TOTP) {
        sp_answer_problem(req, 403, "second_factor_required",
                          "Sign in with a one-time code or a passkey to do this.");
        return false;
    }
    if ((who & SP_WHO_PERSON) != 0 || (who & req->admin & SP_WHO_ANY_ADMIN) != 0) {
        return true;
    }
    tell_refusal(req);
    sp_answer_problem(req, 403, "forbidden",
                      "Your roles do not include this. Ask an administrator who holds it.");
    return false;
}

static bool is_fresh(sp_request *req, unsigned who)
{
    uint64_t now_s = sp_now_unix_us() / 1000000;
    if ((who & SP_WHO_FRESH) == 0 || now_s < req->session.auth_unix_s + FRESH_S) {
        return true;
    }
    sp_answer_step_up(req);
    return false;
}

/* What is cut meets the portal too: a role that is cut, or everything. Security administrators with
 * a second factor stay, or nobody could give back; one's own session can be looked at and ended. */
static bool is_uncut(sp_request *req, unsigned who)
{
    const sp_live_session *session = &req->session;
    uint64_t now_s = sp_now_unix_us() / 1000000;
    uint64_t age_s = now_s > session->auth_unix_s ? now_s - session->auth_unix_s : 0;
    sp_subject subject = {.person = session->person,
                          .strength = session->strength,
                          .auth_age_s = age_s > UINT32_MAX ? UINT32_MAX : (uint32_t)age_s};
    sp_copy(subject.roles, session->roles, sizeof(subject.roles));
    const sp_question question = {.who = &subject,
                                  .resource = SP_NONE,
                                  .part = SP_NONE,
                                  .now_unix_s = now_s,
                                  .cuts = sp_live_cuts(&req->core->live)};
    bool stays = (req->admin & SP_WHO_SECURITY) != 0 && session->strength >= SP_STRENGTH_TOTP;
    sp_reason reason = sp_cuts_say(question.cuts, NULL, &question, 0);
    if ((who & SP_WHO_SESSION) != 0 || reason == SP_REASON_NONE ||
        (reason == SP_REASON_CUT && stays)) {
        return true;
    }
    if (reason == SP_REASON_CUT) {
        sp_answer_problem(req, 403, "cut",
                          "The security team has closed this for the moment. Wait for their "
                          "notice.");
    } else {
        sp_answer_step_up(req);
    }
    return false;
}

static bool asker_may(sp_request *req)
{
    unsigned who = req->route->who;
    if (req->local) {
        if ((who & (SP_WHO_LOCAL | SP_WHO_PUBLIC)) != 0) {
            return true;
        }
        sp_answer_problem(req, 403, "forbidden", "Not on the local socket: sign in instead.");
        return false;
    }
    if ((who & SP_WHO_PUBLIC) != 0) {
        return true;
    }
    if (!req->has_session) {
        sp_answer_problem(req, 401, "signed_out", "Sign in first.");
        return false;
    }
    return person_may(req, who) && is_uncut(req, who) && is_fresh(req, who);
}

bool sp_request_stands(sp_request *req)
{
    unsigned who = req->route->who;
    if (req->local || (who & SP_WHO_PUBLIC) != 0) {
        return true;
    }
    req->has_session = false;
    read_session(req);
    req->admin = req->has_session ? admin_bits(req->session.roles) : 0;
    if (!req->has_session) {
        sp_answer_problem(req, 401, "signed_out", "The session has ended meanwhile.");
        return false;
    }
    return person_may(req, who) && is_uncut(req, who);
}

bool sp_request_admit(sp_request *req)
{
    if (!host_fits(req)) {
        sp_answer_problem(req, 421, "wrong_host", "This host does not serve that path.");
        return false;
    }
    if (req->route == NULL) {
        return false;
    }
    if (!is_ours(req)) {
        sp_answer_problem(req, 403, "not_our_request",
                          "A change needs the header X-Sallyport-Request: 1 and the portal's own "
                          "Origin.");
        return false;
    }
    return asker_may(req) && body_fits(req);
}

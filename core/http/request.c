/* SPDX-License-Identifier: Apache-2.0
 * What a handler may ask of its request.
 * OWNS nothing. PROCESS core. TRUST see router.h. SPEC core/http/router.h.
 */
#include "core/http/inside.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"

sp_core *sp_request_core(const sp_request *req)
{
    return req->core;
}

sp_arena *sp_request_arena(sp_request *req)
{
    return &req->arena;
}

sp_span sp_request_host(const sp_request *req)
{
    return req->host;
}

sp_span sp_request_param(const sp_request *req, size_t n)
{
    return n < SP_ROUTE_PARAMS_MAX ? req->params[n] : SP_SPAN_EMPTY;
}

bool sp_request_param_u64(const sp_request *req, size_t n, uint64_t *ret_value)
{
    return !sp_failed(sp_span_to_u64(sp_request_param(req, n), INT64_MAX, ret_value));
}

static sp_span look_up(const sp_request *req, enum MHD_ValueKind kind, const char *name)
{
    sp_span value = sp_span_cstr(MHD_lookup_connection_value(req->connection, kind, name));
    return sp_span_is_utf8(value) ? value : SP_SPAN_EMPTY;
}

sp_span sp_request_query(const sp_request *req, const char *name)
{
    return look_up(req, MHD_GET_ARGUMENT_KIND, name);
}

sp_span sp_request_header(const sp_request *req, const char *name)
{
    return look_up(req, MHD_HEADER_KIND, name);
}

const uint8_t *sp_request_peer(const sp_request *req)
{
    return req->peer;
}

bool sp_request_certificate(const sp_request *req, sp_hash *ret_fingerprint)
{
    if (req->has_certificate) {
        *ret_fingerprint = req->certificate;
    }
    return req->has_certificate;
}

bool sp_request_device(const sp_request *req, sp_live_device *ret_device, uint32_t *ret_slot)
{
    return req->has_certificate &&
           !sp_failed(sp_live_find_cert(&req->core->live, &req->certificate, ret_device, ret_slot));
}

bool sp_request_is_local(const sp_request *req)
{
    return req->local;
}

const sp_live_session *sp_request_session(const sp_request *req)
{
    return req->has_session ? &req->session : NULL;
}

uint32_t sp_request_session_slot(const sp_request *req)
{
    return req->has_session ? req->session_slot : SP_NONE;
}

sp_subject sp_request_subject(const sp_request *req, uint64_t now_unix_s)
{
    const sp_live_session *session = &req->session;
    sp_live_device device;
    uint32_t slot = SP_NONE;
    sp_subject who = {.person = session->person, .strength = session->strength};
    sp_copy(who.roles, session->roles, sizeof(who.roles));
    sp_copy(who.peer, req->peer, sizeof(who.peer));
    uint64_t age_s = now_unix_s > session->auth_unix_s ? now_unix_s - session->auth_unix_s : 0;
    who.auth_age_s = age_s > UINT32_MAX ? UINT32_MAX : (uint32_t)age_s;
    if (sp_request_device(req, &device, &slot) && device.state == SP_DEVICE_ACTIVE) {
        who.owner = device.owner;
        who.posture = device.posture;
    }
    return who;
}

sp_err sp_request_at_end(sp_request *req, void (*done)(void *data), void *data)
{
    sp_request_end *end = NULL;
    TRY(sp_arena_alloc(&req->arena, 1, sizeof(*end), &end));
    *end = (sp_request_end){req->ends, done, data};
    req->ends = end;
    return sp_ok();
}

sp_span sp_request_by(const sp_request *req)
{
    if (req->has_session) {
        return sp_span_cstr(req->session.person_name);
    }
    return req->local ? SP_SPAN_LIT("root") : SP_SPAN_EMPTY;
}

uint32_t sp_request_person(const sp_request *req)
{
    return req->has_session ? req->session.person : 0;
}

unsigned sp_request_admin(const sp_request *req)
{
    return req->admin;
}

bool sp_request_fields(sp_request *req, const sp_field *fields, size_t count)
{
    const char *bad = NULL;
    const char *expected = NULL;
    if (!sp_failed(sp_fields_read(req->json, fields, count, &bad, &expected))) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (bad == fields[i].name) {
            sp_answer_invalid(req, bad, expected);
            return false;
        }
    }
    if (req->json == NULL) {
        sp_answer_problem(req, 400, "not_json", "A JSON object is expected as the body.");
    } else {
        sp_answer_problem(req, 400, "unknown_field", "The body has a field \"%.63s\": %s.", bad,
                          expected);
    }
    return false;
}

/* ---- the ledger ---- */

sp_event sp_request_event(const sp_request *req, sp_event_kind kind)
{
    sp_event event = {.when_unix_us = sp_now_unix_us(),
                      .kind = (uint8_t)kind,
                      .verdict = SP_VERDICT_ALLOW,
                      .reason = SP_REASON_NONE,
                      .action = SP_ACTION_ADMINISTER};
    sp_copy(event.peer, req->peer, sizeof(event.peer));
    if (req->has_session) {
        event.session = req->session.id;
        event.person = req->session.person;
        event.strength = req->session.strength;
        sp_copy(event.roles, req->session.roles, sizeof(event.roles));
    }
    event.person_name = sp_request_by(req);
    sp_live_device device;
    uint32_t slot = SP_NONE;
    if (sp_request_device(req, &device, &slot)) {
        event.device = device.id;
        event.owner = device.owner;
        event.posture = device.posture;
    }
    return event;
}

typedef struct {
    sp_request *req;
    sp_request_go go;
    void *data;
} waiting;

static void on_recorded(void *self, sp_err err)
{
    waiting *wait = self;
    if (!sp_failed(err)) {
        if (sp_request_stands(wait->req)) {
            wait->go(wait->req, wait->data);
        }
        return;
    }
    sp_answer_problem(wait->req, 503, "unrecordable",
                      "The ledger cannot write this down, so it was not done. Try again when the "
                      "ledger is back.");
}

void sp_request_record(sp_request *req, const sp_event *event, sp_request_go go, void *data)
{
    waiting *wait = NULL;
    if (sp_failed(sp_arena_alloc(&req->arena, 1, sizeof(*wait), &wait))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    *wait = (waiting){req, go, data};
    sp_ledger_client_append(req->core->ledger, event, on_recorded, wait);
}

enum { PAGE_DEFAULT = 50, PAGE_MAX = 200 };

bool sp_request_limit(sp_request *req, uint64_t *ret_limit)
{
    sp_span text = sp_request_query(req, "limit");
    *ret_limit = PAGE_DEFAULT;
    if (text.len == 0) {
        return true;
    }
    if (sp_failed(sp_span_to_u64(text, PAGE_MAX, ret_limit)) || *ret_limit == 0) {
        sp_answer_invalid(req, "limit", "a number from 1 to 200");
        return false;
    }
    return true;
}

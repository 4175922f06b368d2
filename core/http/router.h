/* SPDX-License-Identifier: Apache-2.0
 * How a request to core's API becomes a call: the table of routes, and what a handler may do.
 *
 * Story: a room gives its routes to sp_router_add() at start. The HTTP side finds the route, checks
 * who asks (session, roles, strength, Origin and the X-Sallyport-Request header on unsafe methods),
 * reads the body to its limit, parses JSON, and calls the handler on the loop. The handler answers
 * exactly once, now or later, by one of sp_answer_*. Until then the request lives; after it, it
 * must not be touched. If the client goes away earlier the answer is dropped; the request still
 * lives until answered, so a handler never has to care.
 *
 *     static void get_person(sp_request *req)
 *     {
 *         uint64_t id = 0;
 *         if (!sp_request_param_u64(req, 0, &id)) { ... }
 *         sp_answer_json(req, 200, json_pack("{s:s}", "name", ...));
 *     }
 *     static const sp_route routes[] = {
 *         {"GET", "/api/v1/people/{id}", SP_WHO_ADMIN(SP_WHO_SYSTEM), get_person, 0},
 *     };
 *
 * A change is written in the ledger BEFORE it takes effect:
 *
 *     sp_event event = sp_request_event(req, SP_EVENT_ADMIN);     who, session, device, peer, time
 *     event.method = SP_SPAN_LIT("quarantine"); event.object = ...;
 *     sp_request_record(req, &event, apply_change, data);         answers 503 itself when it cannot
 *
 * OWNS requests and their bodies. PROCESS core. TRUST everything in a request is hostile, except
 * peer, certificate and host, which nginx sets and only nginx (by peer credentials) may.
 * SPEC docs/api/openapi.yaml, RFC 9457 (problem details).
 */
#ifndef SP_CORE_HTTP_ROUTER_H
#define SP_CORE_HTTP_ROUTER_H

#include "core/core.h"
#include "core/http/fields.h"
#include "lib/base/arena.h"
#include "lib/proto/event.h"
#include "lib/proto/live.h"

#include <jansson.h>

typedef struct sp_request sp_request;

/* ---- who may ---- */
enum {
    SP_WHO_PUBLIC = 1U << 0,   /* anybody */
    SP_WHO_SESSION = 1U << 1,  /* signed in, with whatever strength */
    SP_WHO_PERSON = 1U << 2,   /* signed in, at least TOTP or passkey */
    SP_WHO_SYSTEM = 1U << 3,   /* system-admin */
    SP_WHO_SECURITY = 1U << 4, /* security-admin */
    SP_WHO_AUDIT = 1U << 5,    /* audit-admin */
    SP_WHO_LOCAL = 1U << 6,    /* root on local.sock; an account of any of the bits, or root */
    SP_WHO_FRESH = 1U << 7,    /* and a second factor proved within the last 10 minutes (step-up) */
    SP_WHO_ANY_ADMIN = SP_WHO_SYSTEM | SP_WHO_SECURITY | SP_WHO_AUDIT
};

typedef void (*sp_handler)(sp_request *req);

typedef struct {
    const char *method;
    const char *pattern; /* "/api/v1/people/{id}/roles": {..} is one segment */
    unsigned who;        /* SP_WHO_ bits, any of them is enough */
    sp_handler handler;
    size_t body_max_bytes; /* 0 = 64 KiB */
} sp_route;

enum { SP_ROUTES_MAX = 256, SP_ROUTE_PARAMS_MAX = 4, SP_BODY_DEFAULT_BYTES = 64 * 1024 };

/* routes must live as long as the router. SP_ELIMIT; SP_EEXISTS for a route given twice. */
SP_MUST sp_err sp_router_add(sp_router *router, const sp_route *routes, size_t count);

/* ---- the request ---- */
sp_core *sp_request_core(const sp_request *req);
sp_arena *sp_request_arena(sp_request *req); /* lives until the answer; 1 MiB at most */
/* What the request holds on the heap: done(data) when the request has ended, however it was
 * answered. A failure: data is the caller's still. */
SP_MUST sp_err sp_request_at_end(sp_request *req, void (*done)(void *data), void *data);
sp_span sp_request_host(const sp_request *req); /* lower case, without port */
/* Segment of the n-th {..}, percent-decoded and valid UTF-8. */
sp_span sp_request_param(const sp_request *req, size_t n);
bool sp_request_param_u64(const sp_request *req, size_t n, uint64_t *ret_value);
/* Of the query string, decoded; empty when absent. */
sp_span sp_request_query(const sp_request *req, const char *name);
/* "limit": how many items of a list are asked for (1..200, 50); false: answered. */
bool sp_request_limit(sp_request *req, uint64_t *ret_limit);
sp_span sp_request_header(const sp_request *req, const char *name);
/* Client address as in sp_event.peer; all zero on local.sock. */
const uint8_t *sp_request_peer(const sp_request *req);
/* SHA-256 of the client certificate that nginx verified; false = none. */
bool sp_request_certificate(const sp_request *req, sp_hash *ret_fingerprint);
/* The device of that certificate, whatever its state; false = none of ours. */
bool sp_request_device(const sp_request *req, sp_live_device *ret_device, uint32_t *ret_slot);

/* ---- who asks ---- */
bool sp_request_is_local(const sp_request *req); /* root by local.sock */
/* The session, NULL when there is none. */
const sp_live_session *sp_request_session(const sp_request *req);
uint32_t sp_request_session_slot(const sp_request *req);
/* What that session is in the eyes of the policy, on the device that it asks from. Only with a
 * session. */
sp_subject sp_request_subject(const sp_request *req, uint64_t now_unix_s);
/* The person's name, "root" on local.sock, empty without a session; lives as long as req. */
sp_span sp_request_by(const sp_request *req);
/* Person's number, 0 = nobody (or local root). */
uint32_t sp_request_person(const sp_request *req);
/* SP_WHO_SYSTEM | .. of the roles held; local root holds all three. */
unsigned sp_request_admin(const sp_request *req);

/* ---- strict JSON ----
 * Fields of a body: every key must be named, no other may be there. On a mismatch the answer
 * (400 with what was expected) has been given and false comes back:
 *     const char *name; uint64_t limit = 50;
 *     const sp_field fields[] = {SP_FIELD_TEXT("name", &name, 1, 63), SP_FIELD_U64_OPT("limit",
 * &limit, 500)}; if (!sp_request_fields(req, fields, SP_COUNT(fields))) return;
 */
bool sp_request_fields(sp_request *req, const sp_field *fields, size_t count);

/* ---- answers: exactly one of these ---- */
/* Takes the reference on body; NULL (out of memory) becomes a 500. */
void sp_answer_json(sp_request *req, unsigned status, json_t *body);
void sp_answer_bytes(sp_request *req, unsigned status, const char *media_type, sp_span bytes);
void sp_answer_empty(sp_request *req, unsigned status);
/* problem+json. code: a stable word ("name_taken"); detail: one sentence with what to do. */
void sp_answer_problem(sp_request *req, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* 422 with the field and what was expected of it. */
void sp_answer_invalid(sp_request *req, const char *field, const char *expected);
/* 429, with when to come again. */
void sp_answer_too_many(sp_request *req, uint64_t retry_after_s);
/* 403 "step_up_required". */
void sp_answer_step_up(sp_request *req);
/* For a failure without a better sentence: 404, 409, 400, 503 or 500 by its code. */
void sp_answer_failed(sp_request *req, sp_err err);
void sp_answer_redirect(sp_request *req, unsigned status, sp_span location);
/* Before the answer: one more header. Value: visible ASCII. */
void sp_answer_header(sp_request *req, const char *name, sp_span value);
/* For reading lists: {"items":[...], "next":null} with what json array holds. Takes the reference.
 */
void sp_answer_items(sp_request *req, json_t *items);
/* The items, or what went wrong while they were read. Takes the reference either way. */
void sp_answer_read(sp_request *req, sp_err err, json_t *items);
/* One page of a long list: next is the cursor behind it, NULL or empty = that was the last. */
void sp_answer_page(sp_request *req, json_t *items, const char *next);
/* Keeps the request open as a server-sent event stream on these topics (bits); see http/sse.h. */
void sp_answer_events(sp_request *req, unsigned topics);

/* Whether who asked still may, after a wait: the session, its roles and what is cut may be other
 * ones by now (sp_request_record() looks itself). Answers and returns false when it may not go on.
 */
bool sp_request_stands(sp_request *req);

/* ---- the ledger ---- */
/* An event with who, session, device, peer and time filled in, verdict allow. Spans point into the
 * request. */
sp_event sp_request_event(const sp_request *req, sp_event_kind kind);
/* Sends the event to the ledger and calls go once it is on disk. When the ledger cannot, the
 * request is answered 503 "unrecordable" and go is not called: nothing has happened. data lives in
 * sp_request_arena. */
typedef void (*sp_request_go)(sp_request *req, void *data);
void sp_request_record(sp_request *req, const sp_event *event, sp_request_go go, void *data);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Answers: JSON, problems, files, redirects, each with the security headers.
 * OWNS responses until libmicrohttpd has them. PROCESS core. TRUST texts may quote hostile input:
 * JSON escapes it. SPEC RFC 9457; docs/api/openapi.yaml "Problem".
 */
#include "core/http/inside.h"
#include "core/http/sse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { DETAIL_MAX_BYTES = 600 };

#define CSP                                                                                        \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "                  \
    "form-action 'self'; frame-ancestors 'none'"

static const sp_answer_header_item security_headers[] = {
    {"Content-Security-Policy", CSP},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), "
                           "camera=(), microphone=(), geolocation=()"},
};

void sp_answer_header(sp_request *req, const char *name, sp_span value)
{
    sp_span copy = SP_SPAN_EMPTY;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < 0x20 || value.ptr[i] > 0x7e) {
            return; /* a header cannot be split */
        }
    }
    if (req->header_count < SP_REQUEST_HEADERS_MAX &&
        !sp_failed(sp_arena_copy(&req->arena, value, &copy))) {
        req->headers[req->header_count++] = (sp_answer_header_item){name, (const char *)copy.ptr};
    }
}

static bool has_header(const struct MHD_Response *response, const char *name)
{
    return MHD_get_response_header((struct MHD_Response *)(uintptr_t)response, name) != NULL;
}

void sp_answer_response(sp_request *req, unsigned status, struct MHD_Response *response)
{
    if (req->answered) { /* a bug of ours: the first answer stands */
        MHD_destroy_response(response);
        return;
    }
    for (size_t i = 0; i < req->header_count; i++) {
        MHD_add_response_header(response, req->headers[i].name, req->headers[i].value);
    }
    for (size_t i = 0; i < SP_COUNT(security_headers); i++) {
        MHD_add_response_header(response, security_headers[i].name, security_headers[i].value);
    }
    if (!has_header(response, "Cache-Control")) {
        MHD_add_response_header(response, "Cache-Control", "no-store");
    }
    req->answered = true;
    req->status = status;
    req->response = response;
    sp_http_resume(req);
}

static void answer_copy(sp_request *req, unsigned status, const char *media_type, sp_span bytes)
{
    /* the buffer is only read; libmicrohttpd copies it */
    void *from = (void *)(uintptr_t)bytes.ptr;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bytes.len, from, MHD_RESPMEM_MUST_COPY);
    if (response != NULL && media_type != NULL) {
        MHD_add_response_header(response, "Content-Type", media_type);
    }
    if (response != NULL) {
        sp_answer_response(req, status, response);
    } else {
        sp_http_drop(req);
    }
}

void sp_answer_bytes(sp_request *req, unsigned status, const char *media_type, sp_span bytes)
{
    answer_copy(req, status, media_type, bytes);
}

void sp_answer_empty(sp_request *req, unsigned status)
{
    answer_copy(req, status, NULL, SP_SPAN_EMPTY);
}

static void answer_json_as(sp_request *req, unsigned status, const char *media_type, json_t *body)
{
    auto_wiped char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (text == NULL) {
        answer_copy(req, 500, "application/problem+json",
                    SP_SPAN_LIT("{\"type\":\"about:blank\",\"title\":\"Internal Server Error\","
                                "\"status\":500,\"code\":\"internal\"}"));
        return;
    }
    answer_copy(req, status, media_type, sp_span_cstr(text));
}

void sp_answer_json(sp_request *req, unsigned status, json_t *body)
{
    answer_json_as(req, status, "application/json", body);
}

void sp_answer_items(sp_request *req, json_t *items)
{
    sp_answer_json(req, 200,
                   items == NULL ? NULL : json_pack("{s:o, s:n}", "items", items, "next"));
}

void sp_answer_read(sp_request *req, sp_err err, json_t *items)
{
    if (sp_failed(err)) {
        json_decref(items);
        sp_answer_failed(req, err);
    } else {
        sp_answer_items(req, items);
    }
}

void sp_answer_page(sp_request *req, json_t *items, const char *next)
{
    const char *cursor = next != NULL && next[0] != '\0' ? next : NULL;
    sp_answer_json(req, 200,
                   items == NULL ? NULL : json_pack("{s:o, s:s?}", "items", items, "next", cursor));
}

static json_t *problem_of(unsigned status, const char *code, const char *detail)
{
    const char *title = MHD_get_reason_phrase_for(status);
    return json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title", title, "status",
                     (int)status, "code", code, "detail", detail);
}

void sp_answer_problem(sp_request *req, unsigned status, const char *code, const char *format, ...)
{
    char detail[DETAIL_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    answer_json_as(req, status, "application/problem+json", problem_of(status, code, detail));
}

void sp_answer_invalid(sp_request *req, const char *field, const char *expected)
{
    char detail[DETAIL_MAX_BYTES];
    snprintf(detail, sizeof(detail), "The field \"%.63s\" must be %s.", field, expected);
    json_t *problem = problem_of(422, "invalid", detail);
    json_t *errors = json_pack("[{s:s+, s:s}]", "field", "/", field, "message", expected);
    if (problem != NULL && errors != NULL) {
        json_object_set(problem, "errors", errors);
    }
    json_decref(errors);
    answer_json_as(req, 422, "application/problem+json", problem);
}

void sp_answer_step_up(sp_request *req)
{
    json_t *problem = problem_of(403, "step_up_required",
                                 "Prove that it is you again, then repeat what you did.");
    const char *strength = sp_strength_word((sp_strength)req->session.strength);
    json_t *step_up = json_pack("{s:s}", "strength", strength);
    if (problem != NULL && step_up != NULL) {
        json_object_set(problem, "step_up", step_up);
    }
    json_decref(step_up);
    answer_json_as(req, 403, "application/problem+json", problem);
}

void sp_answer_too_many(sp_request *req, uint64_t retry_after_s)
{
    char seconds[24];
    snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)retry_after_s);
    sp_answer_header(req, "Retry-After", sp_span_cstr(seconds));
    json_t *problem = problem_of(429, "too_many", "Too many tries. Wait, then try again.");
    json_t *wait = json_integer((json_int_t)retry_after_s);
    if (problem != NULL && wait != NULL) {
        json_object_set(problem, "retry_after_s", wait);
    }
    json_decref(wait);
    answer_json_as(req, 429, "application/problem+json", problem);
}

void sp_answer_failed(sp_request *req, sp_err err)
{
    switch (err.code) {
    case SP_ENOTFOUND:
        sp_answer_problem(req, 404, "not_found", "There is no such thing.");
        return;
    case SP_EEXISTS:
        sp_answer_problem(req, 409, "exists", "It is there already.");
        return;
    case SP_ECONFLICT:
        sp_answer_problem(req, 409, "conflict", "It has changed meanwhile. Look again.");
        return;
    case SP_EDENIED:
        sp_answer_problem(req, 403, "forbidden", "This is not allowed.");
        return;
    case SP_EINVALID:
    case SP_ESHORT:
        sp_answer_problem(req, 422, "invalid", "The request is not well-formed.");
        return;
    case SP_ELIMIT:
        sp_answer_problem(req, 409, "limit", "A maximum would be passed.");
        return;
    case SP_EAGAIN:
    case SP_ETIMEOUT:
    case SP_ECLOSED:
    case SP_EIO:
        sp_answer_problem(req, 503, "unavailable",
                          "A part of Sallyport does not answer. Try again.");
        return;
    case SP_OK:
    case SP_ENOMEM:
    case SP_EUNSUPPORTED:
    case SP_ECORRUPT:
    case SP_EINTERNAL:
    case SP_CODE_COUNT:
        sp_answer_problem(req, 500, "internal", "Something went wrong inside: %s.",
                          sp_code_word(err.code));
        return;
    }
}

void sp_answer_redirect(sp_request *req, unsigned status, sp_span location)
{
    sp_answer_header(req, "Location", location);
    sp_answer_empty(req, status);
}

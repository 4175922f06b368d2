/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/http share and nobody else sees: the request and its two listeners.
 * OWNS see each struct. PROCESS core. TRUST see router.h. SPEC core/http/README.md.
 */
#ifndef SP_CORE_HTTP_INSIDE_H
#define SP_CORE_HTTP_INSIDE_H

#include "core/http/http.h"
#include "core/http/router.h"

#include <microhttpd.h>

enum {
    SP_REQUEST_ARENA_BYTES = 1024 * 1024,
    SP_REQUEST_HEADERS_MAX = 8,
    SP_HTTP_CONNECTIONS_MAX = 2048
};

typedef struct {
    const char *name;
    const char *value;
} sp_answer_header_item;

typedef struct sp_request_end {
    struct sp_request_end *next;
    void (*done)(void *data);
    void *data;
} sp_request_end;

struct sp_request {
    sp_http *http;
    sp_core *core;
    sp_request *prev;
    sp_request *next;
    struct MHD_Connection *connection;
    const sp_route *route;
    const char *method;
    sp_arena arena;
    sp_request_end *ends; /* in the arena */
    sp_span path;
    sp_span host;
    sp_span params[SP_ROUTE_PARAMS_MAX];
    sp_buf body;
    json_t *json;
    uint8_t peer[16];
    sp_hash certificate;
    bool has_certificate;
    bool local;
    bool has_session;
    bool too_large;
    bool dispatched;
    bool inside_handler; /* MHD's callback is on the stack: an answer is queued by it */
    bool suspended;
    bool answered;
    sp_live_session session;
    uint32_t session_slot;
    unsigned admin;
    unsigned status;
    struct MHD_Response *response;
    sp_answer_header_item headers[SP_REQUEST_HEADERS_MAX];
    size_t header_count;
};

/* ---- router.c ---- */
typedef enum { SP_ROUTE_FOUND, SP_ROUTE_NO_PATH, SP_ROUTE_NO_METHOD } sp_route_result;
/* params are pieces of path. */
sp_route_result sp_router_find(const sp_router *router, sp_span method, sp_span path,
                               const sp_route **ret_route, sp_span params[SP_ROUTE_PARAMS_MAX]);

/* ---- gatekeeper.c: who asks, and may he ---- */
/* Fills peer, certificate, host, session and admin bits from headers that nginx set. */
void sp_request_identify(sp_request *req);
/* Answers and returns false when the request may not reach its handler. */
bool sp_request_admit(sp_request *req);

/* ---- answer.c ---- */
/* Takes the response; the request is answered. */
void sp_answer_response(sp_request *req, unsigned status, struct MHD_Response *response);

/* ---- http.c ---- */
void sp_http_resume(sp_request *req);
/* No answer can be made: the connection is closed. */
void sp_http_drop(sp_request *req);
/* Lets libmicrohttpd look at what has changed, soon. */
void sp_http_kick(sp_http *http);

/* ---- static.c: the console's files, held in memory ---- */
typedef struct sp_files sp_files;
SP_MUST sp_err sp_files_load(const char *dir, sp_files **ret_files);
void sp_files_free(sp_files *files);
/* Answers GET and HEAD; false when there is no such file. */
bool sp_files_answer(const sp_files *files, sp_request *req);

#endif

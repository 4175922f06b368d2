/* SPDX-License-Identifier: Apache-2.0
 * What the files of ngx_http_sallyport_module share: configuration, the state of a worker, and
 * what is known about a request.
 *
 * Story of a request: nginx has read its headers. access.c finds out what is asked (lib/web/path),
 * subject.c who asks (cookie, certificate, live table), the policy answers, and access.c lets it
 * through, refuses it, or suspends it until something has come (identity.c: a token; recorder.c:
 * the ledger has it on disk). response.c looks at the answer before its first byte leaves. When
 * the request ends recorder.c writes its event. While it is open it hangs in the worker's list,
 * and held.c asks again whenever core says so.
 *
 * OWNS the worker's mappings and links; requests are nginx's. PROCESS nginx workers, one thread.
 * TRUST everything in a request is hostile. SPEC docs/ARCHITECTURE.md.
 */
#ifndef SP_GATES_WEB_GATE_H
#define SP_GATES_WEB_GATE_H

#include "infra/ipc/shm.h"
#include "lib/policy/web.h"
#include "lib/proto/live.h"
#include "lib/web/path.h"

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

extern ngx_module_t ngx_http_sallyport_module;

/* ---- configuration ---- */

typedef struct {
    ngx_str_t core_path;
    ngx_str_t ledger_path;
    ngx_str_t office;
    ngx_str_t portal; /* "https://portal.office.example:8443" */
    size_t ring_bytes;
    ngx_int_t pulse_fd; /* the launcher's pipe */
    ngx_str_t csp;      /* of our own pages */
} gate_main_conf;

typedef enum {
    GATE_OFF,     /* not judged: answers of nginx itself */
    GATE_APP,     /* an application: judged */
    GATE_API,     /* core's own pages: cleaned, not judged */
    GATE_UNKNOWN, /* a host that is not ours: refused */
    GATE_CHECK,   /* asked by another proxy: 200, 401 or 403 and no page (asked.h) */
    GATE_ASK,     /* the same, answering what the browser is to see */
    GATE_ENTRY,   /* core's own pages of a host that another proxy serves */
    GATE_KIND_COUNT
} gate_kind;

typedef struct {
    ngx_uint_t kind; /* gate_kind */
    ngx_str_t label; /* host label of the application */
    ngx_str_t host;  /* whole host name, lower case, no port */
    uint64_t audience;
    /* the resource of this host, found once for each snapshot */
    uint64_t found_in;
    uint32_t resource;
    sp_web_resource web;
} gate_loc_conf;

/* ---- what core gave ---- */

/* One policy version, mapped as long as a request refers to it. */
typedef struct {
    sp_shm shm;
    sp_policy policy;
    uint64_t serial; /* of this mapping, never 0 */
    unsigned refs;
} gate_snapshot;

typedef struct {
    gate_snapshot *snapshot; /* NULL before the first HELLO */
    sp_shm live_shm;
    sp_live live;
    bool has_live;
    ngx_queue_t open; /* gate_ctx.open of every request let through and not yet over */
} gate_worker;

extern gate_worker gate_this_worker;

gate_snapshot *gate_snapshot_ref(gate_snapshot *snapshot);
void gate_snapshot_unref(gate_snapshot *snapshot);

/* ---- a request ---- */

/* Who asks, as far as it could be found out. */
typedef struct {
    sp_subject who;
    uint64_t session_id; /* 0 = none */
    uint64_t device_id;  /* 0 = none */
    uint32_t session_slot;
    uint8_t trouble; /* sp_reason; SP_REASON_NONE = may ask */
    char person_name[SP_LIVE_NAME_BYTES];
    char device_name[SP_LIVE_NAME_BYTES];
} gate_subject;

typedef enum { GATE_WAIT_NONE, GATE_WAIT_TOKEN, GATE_WAIT_LEDGER } gate_wait;

typedef struct {
    ngx_queue_t open;    /* in gate_worker.open, or linked to itself */
    ngx_queue_t waiting; /* in a list of identity.c or recorder.c, or linked to itself */
    ngx_http_request_t *request;
    gate_snapshot *snapshot;
    gate_loc_conf *conf;
    uint64_t reference;
    uint64_t started_steady_us;
    uint64_t started_unix_us;
    /* what is asked */
    sp_span method;
    sp_span target; /* path and query as sent; of a request of our own nginx has it */
    sp_web_path path;
    sp_web_place place;
    sp_span destination; /* of a WebDAV COPY or MOVE; empty = none */
    sp_hash token;       /* of the cookie */
    sp_hash fingerprint; /* of the certificate */
    bool has_token;
    bool has_certificate;
    bool is_import;
    bool is_upgrade;
    bool is_export; /* the response was found to be one, and allowed */
    /* who, and the answer */
    gate_subject subject;
    sp_decision decision;
    sp_action action; /* the one that was decided last: that was refused, if one was */
    uint8_t verdict;
    uint8_t reason;
    bool may_export;
    bool is_unbounded; /* its answer has no length, and no limit because he may export */
    bool judged;
    bool recorded; /* the DECISION event is written; the end is a CLOSE */
    uint64_t recorded_seq;
    bool weighed; /* a stranger's refusal: whether it is written alone has been decided */
    bool counted; /* it is not: it was counted with others */
    gate_wait wait;
    ngx_str_t identity; /* the token for the upstream */
    uint32_t token_call;
    uint64_t token_epoch; /* of the live table, when it was asked for */
    /* the answer's body */
    uint64_t body_bytes;
    uint64_t body_max_bytes; /* cut there; 0 = no */
    bool counts_body;
    ngx_str_t page; /* instead of the body */
    bool page_sent;
} gate_ctx;

/* The request's, made when there is none; NULL without memory. */
gate_ctx *gate_ctx_of(ngx_http_request_t *r);
static inline gate_ctx *gate_ctx_get(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r, ngx_http_sallyport_module);
}

static inline sp_span gate_span(ngx_str_t text)
{
    return (sp_span){text.data, text.len};
}

static inline gate_main_conf *gate_main_conf_of(ngx_http_request_t *r)
{
    return ngx_http_get_module_main_conf(r, ngx_http_sallyport_module);
}

static inline gate_loc_conf *gate_loc_conf_of(ngx_http_request_t *r)
{
    return ngx_http_get_module_loc_conf(r, ngx_http_sallyport_module);
}

#endif

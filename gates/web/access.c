/* SPDX-License-Identifier: Apache-2.0
 * The access phase.
 * OWNS nothing. PROCESS nginx workers. TRUST requests are hostile. SPEC gates/web/access.h.
 */
#include "gates/web/access.h"

#include "gates/web/asked.h"
#include "gates/web/decide.h"
#include "gates/web/held.h"
#include "gates/web/identity.h"
#include "gates/web/office.h"
#include "gates/web/recorder.h"
#include "gates/web/refuse.h"
#include "gates/web/request_headers.h"
#include "gates/web/subject.h"
#include "infra/gate/shared.h"
#include "infra/proc/clock.h"
#include "lib/web/headers.h"

enum {
    LONG_BODY_BYTES = 64 * 1024,
    STRANGERS_BODY_MAX_BYTES = 64 * 1024,
    PEOPLES_BODY_MAX_BYTES = 256 * 1024
};

/* ---- the context ---- */

static void forget(void *data)
{
    gate_ctx *ctx = data;
    ngx_queue_remove(&ctx->open);
    ngx_queue_remove(&ctx->waiting);
    gate_snapshot_unref(ctx->snapshot);
    ctx->snapshot = NULL;
}

gate_ctx *gate_ctx_of(ngx_http_request_t *r)
{
    gate_ctx *ctx = gate_ctx_get(r);
    if (ctx != NULL) {
        return ctx;
    }
    ctx = ngx_pcalloc(r->pool, sizeof(*ctx));
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, 0);
    if (ctx == NULL || cleanup == NULL) {
        return NULL;
    }
    ngx_queue_init(&ctx->open);
    ngx_queue_init(&ctx->waiting);
    ctx->request = r;
    ctx->conf = gate_loc_conf_of(r);
    ctx->method = gate_span(r->method_name);
    ctx->target = gate_span(r->unparsed_uri);
    ctx->decision.rule = SP_NONE;
    ctx->reference = sp_recorder_reference();
    ctx->started_steady_us = sp_now_steady_us();
    /* nginx's own time, taken when its loop woke up: milliseconds are what the ledger keeps */
    const ngx_time_t *now = ngx_timeofday();
    ctx->started_unix_us = (uint64_t)now->sec * 1000000 + (uint64_t)now->msec * 1000;
    cleanup->handler = forget;
    cleanup->data = ctx;
    ngx_http_set_ctx(r, ctx, ngx_http_sallyport_module);
    return ctx;
}

/* ---- what is asked ---- */

/* "wiki.office.example:8443" names the host it was routed to. */
static bool names_host(sp_span header, sp_span host)
{
    sp_span name = sp_span_slice(header, 0, host.len);
    bool ends = header.len == host.len || (header.len > host.len && header.ptr[host.len] == ':');
    return ends && sp_span_eq_nocase(name, host);
}

/* TLS name, Host header and the host of an absolute request line must be one and the same. */
static bool host_is_plain(const ngx_http_request_t *r, const gate_loc_conf *conf)
{
    sp_span host = gate_span(conf->host);
    const ngx_str_t *sni = r->http_connection->ssl_servername;
    if (sni != NULL && sni->len > 0 && !sp_span_eq_nocase(gate_span(*sni), host)) {
        return false;
    }
    if (!sp_span_eq_nocase(gate_span(r->headers_in.server), host)) {
        return false;
    }
    const ngx_table_elt_t *header = r->headers_in.host;
    return header == NULL || names_host(gate_span(header->value), host);
}

/* The path in its one spelling, which is also what the upstream gets. */
static ngx_int_t read_path(gate_ctx *ctx, sp_path_fault *ret_fault)
{
    ngx_http_request_t *r = ctx->request;
    sp_span target = ctx->target;
    sp_span raw = sp_span_slice(target, 0, sp_span_index(target, '?'));
    sp_span query = sp_span_slice(target, raw.len, target.len);
    uint8_t *room = ngx_pnalloc(r->pool, sp_web_path_room(raw.len) + query.len + 1);
    if (room == NULL) {
        return NGX_ERROR;
    }
    *ret_fault = sp_web_path_read(raw, room, &ctx->path);
    if (*ret_fault == SP_PATH_OK && sp_span_index(query, '#') < query.len) {
        *ret_fault = SP_PATH_HASH;
    }
    if (*ret_fault != SP_PATH_OK) {
        ctx->path = (sp_web_path){.plain = raw};
        return NGX_OK;
    }
    if (ctx->path.wire.ptr != raw.ptr && gate_is_asked(ctx)) {
        *ret_fault = SP_PATH_ESCAPE; /* another proxy sends it on as it came */
    } else if (ctx->path.wire.ptr != raw.ptr) {
        /* the wire form is the last in the room: the query goes behind it */
        u_char *wire = room + (ctx->path.wire.ptr - room);
        sp_copy(wire + ctx->path.wire.len, query.ptr, query.len);
        r->unparsed_uri.data = wire;
        r->unparsed_uri.len = ctx->path.wire.len + query.len;
    }
    return NGX_OK;
}

/* Size of the body that is sent here; 0 = none, UINT64_MAX = not said. */
static uint64_t sent_size(const ngx_http_request_t *r)
{
    if (r->headers_in.content_length_n >= 0) {
        return (uint64_t)r->headers_in.content_length_n;
    }
    bool streams = r->headers_in.chunked || (r->stream != NULL && !r->stream->in_closed);
    return streams ? UINT64_MAX : 0;
}

/* Size of the request's body, which another proxy may hold. */
static uint64_t body_size(const gate_ctx *ctx)
{
    return gate_is_asked(ctx) ? gate_asked_body_size(ctx) : sent_size(ctx->request);
}

/* Other proxies take Upgrade out of what they ask about, but leave the key of a WebSocket. */
static bool wants_upgrade(const gate_ctx *ctx)
{
    const ngx_table_elt_t *upgrade = ctx->request->headers_in.upgrade;
    if (gate_is_asked(ctx)) {
        return gate_headers_count(ctx->request, SP_SPAN_LIT("sec-websocket-key")) > 0;
    }
    return upgrade != NULL && sp_web_list_has(gate_span(upgrade->value), SP_SPAN_LIT("websocket"));
}

static void read_kind(gate_ctx *ctx)
{
    const ngx_http_request_t *r = ctx->request;
    ctx->is_upgrade = wants_upgrade(ctx);
    uint64_t size = body_size(ctx);
    if (size > 0) {
        const ngx_table_elt_t *type = r->headers_in.content_type;
        ctx->is_import = sp_policy_web_is_import(
            &ctx->snapshot->policy, ctx->conf->resource, ctx->place.part, ctx->method,
            type != NULL ? gate_span(type->value) : SP_SPAN_EMPTY, size);
    }
}

static sp_reason understand(gate_ctx *ctx)
{
    const ngx_http_request_t *r = ctx->request;
    sp_path_fault fault = SP_PATH_OK;
    if (read_path(ctx, &fault) != NGX_OK) {
        return SP_REASON_UNAVAILABLE;
    }
    if (gate_is_asked(ctx)) {
        return fault == SP_PATH_OK ? SP_REASON_NONE : SP_REASON_UNPARSED;
    }
    if (ctx->conf->kind != GATE_ENTRY && !host_is_plain(r, ctx->conf)) {
        return SP_REASON_UNPARSED;
    }
    /* nginx routed by its own reading: when that is another one, somebody is playing */
    if (fault != SP_PATH_OK || !sp_span_eq(ctx->path.plain, gate_span(r->uri))) {
        return SP_REASON_UNPARSED;
    }
    return SP_REASON_NONE;
}

/* A page of another application must not open a WebSocket with this one's cookie. Programs send no
 * Origin. */
static bool origin_is_own(const gate_ctx *ctx)
{
    sp_span origin = gate_headers_find(ctx->request, SP_SPAN_LIT("origin"));
    sp_span scheme = SP_SPAN_LIT("https://");
    return origin.len == 0 ||
           (sp_span_starts(origin, scheme) &&
            names_host(sp_span_slice(origin, scheme.len, origin.len), gate_span(ctx->conf->host)));
}

/* What decides must be said once: the upstream might go by the other one. */
static bool says_twice(const gate_ctx *ctx)
{
    ngx_http_request_t *r = ctx->request;
    return r->headers_in.content_type != NULL &&
           gate_headers_count(r, SP_SPAN_LIT("content-type")) > 1;
}

/* Where a WebDAV COPY or MOVE puts things: a path of this host, in its one spelling; it is judged
 * as a write to that place. */
static sp_reason read_destination(gate_ctx *ctx)
{
    ngx_http_request_t *r = ctx->request;
    if (!sp_span_eq(ctx->method, SP_SPAN_LIT("COPY")) &&
        !sp_span_eq(ctx->method, SP_SPAN_LIT("MOVE"))) {
        return SP_REASON_NONE;
    }
    if (gate_headers_count(r, SP_SPAN_LIT("destination")) != 1) {
        return SP_REASON_UNPARSED;
    }
    sp_span value = gate_headers_find(r, SP_SPAN_LIT("destination"));
    sp_span scheme = SP_SPAN_LIT("https://");
    if (sp_span_starts(value, scheme)) {
        sp_span rest = sp_span_slice(value, scheme.len, value.len);
        size_t slash = sp_span_index(rest, '/');
        if (!names_host(sp_span_slice(rest, 0, slash), gate_span(ctx->conf->host))) {
            return SP_REASON_UNPARSED;
        }
        value = sp_span_slice(rest, slash, rest.len);
    }
    uint8_t *room = ngx_pnalloc(r->pool, sp_web_path_room(value.len) + 1);
    sp_web_path path;
    if (room == NULL || sp_web_path_read(value, room, &path) != SP_PATH_OK ||
        !sp_span_eq(path.wire, value) || path.has_params) {
        return SP_REASON_UNPARSED;
    }
    ctx->destination = path.plain;
    return SP_REASON_NONE;
}

/* ---- the decision ---- */

static void judge(gate_ctx *ctx)
{
    gate_subject_collect(ctx);
    ctx->judged = true;
    sp_reason fault = gate_is_asked(ctx) ? gate_asked_read(ctx) : SP_REASON_NONE;
    if (fault == SP_REASON_NONE) {
        fault = understand(ctx);
    }
    if (fault == SP_REASON_NONE) {
        fault = says_twice(ctx) ? SP_REASON_UNPARSED : read_destination(ctx);
    }
    if (fault != SP_REASON_NONE) {
        gate_decide_refuse(ctx, fault);
        return;
    }
    if (!gate_decide_place(ctx)) {
        return;
    }
    read_kind(ctx);
    gate_decide(ctx);
    bool may_upgrade = ctx->conf->web.websocket && origin_is_own(ctx);
    if (ctx->verdict == SP_VERDICT_ALLOW && ctx->is_upgrade && !may_upgrade) {
        ctx->action = SP_ACTION_FORWARD;
        gate_decide_refuse(ctx, SP_REASON_DEFAULT);
    }
}

/* ---- what must come first ---- */

static ngx_int_t suspend(gate_ctx *ctx, gate_wait what)
{
    ctx->wait = what;
    ctx->request->read_event_handler = ngx_http_test_reading;
    ctx->request->write_event_handler = ngx_http_request_empty_handler;
    return NGX_AGAIN;
}

void gate_access_resume(gate_ctx *ctx)
{
    ngx_http_request_t *r = ctx->request;
    ngx_connection_t *connection = r->connection;
    ngx_queue_remove(&ctx->waiting);
    ngx_queue_init(&ctx->waiting);
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(connection);
}

/* NGX_OK, NGX_AGAIN (suspended), NGX_DECLINED (reason says why not). */
static ngx_int_t await_token(gate_ctx *ctx)
{
    if (!ctx->conf->web.identity_jwt || ctx->identity.len > 0) {
        return NGX_OK;
    }
    if (ctx->wait != GATE_WAIT_TOKEN) {
        ngx_int_t rc = gate_identity_get(ctx);
        if (rc != NGX_ERROR) {
            return rc == NGX_AGAIN ? suspend(ctx, GATE_WAIT_TOKEN) : NGX_OK;
        }
    }
    gate_decide_refuse(ctx, SP_REASON_UNAVAILABLE);
    return NGX_DECLINED;
}

static ngx_int_t await_record(gate_ctx *ctx)
{
    if ((ctx->decision.must & SP_MUST_RECORD) == 0) {
        return NGX_OK;
    }
    if (!ctx->recorded && gate_recorder_works()) {
        gate_recorder_begin(ctx);
    }
    if (ctx->recorded_seq != 0 && gate_recorder_is_durable(ctx)) {
        return NGX_OK;
    }
    if (ctx->recorded_seq != 0 && ctx->wait != GATE_WAIT_LEDGER) {
        gate_recorder_wait(ctx);
        return suspend(ctx, GATE_WAIT_LEDGER);
    }
    gate_decide_refuse(ctx, SP_REASON_UNRECORDED);
    return NGX_DECLINED;
}

static bool is_long(const gate_ctx *ctx)
{
    return !gate_is_asked(ctx) && (ctx->is_upgrade || body_size(ctx) > LONG_BODY_BYTES);
}

static ngx_int_t let_through(gate_ctx *ctx)
{
    if (gate_headers_clean(ctx->request, true, ctx->may_export) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (is_long(ctx)) {
        gate_recorder_begin(ctx);
    }
    gate_office_seen(&ctx->subject);
    return NGX_OK;
}

static ngx_int_t application(ngx_http_request_t *r)
{
    gate_ctx *ctx = gate_ctx_of(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!ctx->judged) {
        judge(ctx);
        if (ctx->verdict == SP_VERDICT_ALLOW) {
            gate_held_add(ctx);
        }
    }
    if (ctx->verdict != SP_VERDICT_ALLOW) {
        return gate_refuse(ctx);
    }
    ngx_int_t rc = await_token(ctx);
    if (rc == NGX_OK) {
        rc = await_record(ctx);
    }
    if (rc == NGX_AGAIN) {
        return rc;
    }
    return rc == NGX_OK ? let_through(ctx) : gate_refuse(ctx);
}

static bool is_administrator(const uint64_t roles[SP_ROLE_WORDS])
{
    return sp_roles_hold(roles, SP_ROLE_NR_SYSTEM) || sp_roles_hold(roles, SP_ROLE_NR_SECURITY) ||
           sp_roles_hold(roles, SP_ROLE_NR_AUDIT);
}

/* Bodies for core are taken in whole, into memory: large ones from people who are signed in, an
 * office's documents from administrators. */
static sp_reason may_send(gate_ctx *ctx)
{
    uint64_t size = sent_size(ctx->request);
    if (size <= STRANGERS_BODY_MAX_BYTES) {
        return SP_REASON_NONE;
    }
    gate_subject_find(ctx, (uint64_t)ngx_time());
    if (ctx->subject.trouble != SP_REASON_NONE) {
        return (sp_reason)ctx->subject.trouble;
    }
    return size <= PEOPLES_BODY_MAX_BYTES || is_administrator(ctx->subject.who.roles)
               ? SP_REASON_NONE
               : SP_REASON_DEFAULT;
}

/* Core's own pages: cleaned as strictly, decided by core. */
static ngx_int_t own_pages(ngx_http_request_t *r)
{
    gate_ctx *ctx = gate_ctx_of(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    gate_subject_collect(ctx);
    sp_reason fault = ctx->conf->kind == GATE_ENTRY ? gate_asked_read(ctx) : SP_REASON_NONE;
    if (fault == SP_REASON_NONE) {
        fault = understand(ctx);
    }
    if (fault == SP_REASON_NONE) {
        fault = may_send(ctx);
    }
    if (fault != SP_REASON_NONE) {
        ctx->judged = true;
        gate_decide_refuse(ctx, fault);
        return gate_refuse(ctx);
    }
    return gate_headers_clean(r, false, true);
}

static ngx_int_t unknown_host(ngx_http_request_t *r)
{
    gate_ctx *ctx = gate_ctx_of(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    gate_subject_collect(ctx);
    ctx->judged = true;
    ctx->path = (sp_web_path){.plain = gate_span(r->unparsed_uri)};
    gate_decide_refuse(ctx, SP_REASON_UNPARSED);
    gate_recorder_refused(ctx);
    return NGX_HTTP_MISDIRECTED_REQUEST;
}

ngx_int_t gate_access_handler(ngx_http_request_t *r)
{
    switch ((gate_kind)gate_loc_conf_of(r)->kind) {
    case GATE_APP:
    case GATE_CHECK:
    case GATE_ASK:
        return application(r);
    case GATE_API:
    case GATE_ENTRY:
        return own_pages(r);
    case GATE_UNKNOWN:
        return unknown_host(r);
    case GATE_OFF:
    case GATE_KIND_COUNT:
        break;
    }
    return NGX_DECLINED;
}

/* SPDX-License-Identifier: Apache-2.0
 * What of a response leaves.
 * OWNS nothing. PROCESS nginx workers. TRUST upstreams are hostile too.
 * SPEC gates/web/response.h.
 *
 * The header filter runs before the first byte leaves. When it returns a status, nginx gives up
 * the upstream and answers with that status instead; the filter is then called for that answer.
 */
#include "gates/web/response.h"

#include "gates/web/decide.h"
#include "gates/web/recorder.h"
#include "gates/web/refuse.h"
#include "lib/web/cookie.h"
#include "lib/web/headers.h"
#include "lib/web/refusal.h"

enum { LONG_BODY_BYTES = 64 * 1024 };

static ngx_http_output_header_filter_pt next_header_filter;
static ngx_http_output_body_filter_pt next_body_filter;

/* ---- reading the response's headers ---- */

typedef struct {
    bool has_hsts;
    bool encoded;  /* Content-Encoding hides the size */
    bool exports;  /* by one of its Content-Dispositions, its type or its size */
    uint64_t size; /* of the whole, also when this is a part; UINT64_MAX = not said */
} response_facts;

static bool is_named(const ngx_table_elt_t *header, sp_span name)
{
    return header->hash != 0 && header->key.len == name.len &&
           sp_span_eq_nocase(gate_span(header->key), name);
}

static bool asks_export(const gate_ctx *ctx, sp_span disposition, uint64_t size)
{
    return sp_policy_web_is_export(&ctx->snapshot->policy, ctx->conf->resource, ctx->place.part,
                                   gate_span(ctx->request->headers_out.content_type), disposition,
                                   size);
}

static uint64_t whole_size(const ngx_http_request_t *r, sp_span content_range)
{
    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT) {
        uint64_t total = sp_web_content_range_total(content_range);
        /* a part of a whole that is kept secret counts as large */
        return total == UINT64_MAX ? UINT64_MAX - 1 : total;
    }
    off_t length = r->headers_out.content_length_n;
    return length < 0 ? UINT64_MAX : (uint64_t)length;
}

static void read_header(const gate_ctx *ctx, ngx_table_elt_t *header, response_facts *facts,
                        sp_span *content_range)
{
    if (is_named(header, SP_SPAN_LIT("Set-Cookie"))) {
        if (ctx->conf->kind == GATE_APP && sp_web_cookie_is_set(gate_span(header->value))) {
            header->hash = 0; /* left out by nginx */
        }
    } else if (is_named(header, SP_SPAN_LIT("Strict-Transport-Security"))) {
        facts->has_hsts = true;
    } else if (is_named(header, SP_SPAN_LIT("Content-Encoding"))) {
        facts->encoded = !sp_span_eq_nocase(gate_span(header->value), SP_SPAN_LIT("identity"));
    } else if (is_named(header, SP_SPAN_LIT("Content-Range"))) {
        *content_range = gate_span(header->value);
    } else if (is_named(header, SP_SPAN_LIT("Content-Disposition")) && ctx->snapshot != NULL) {
        facts->exports |= asks_export(ctx, gate_span(header->value), 0);
    }
}

static response_facts read_headers(const gate_ctx *ctx)
{
    ngx_http_request_t *r = ctx->request;
    response_facts facts = {.size = 0};
    sp_span content_range = SP_SPAN_EMPTY;
    for (ngx_list_part_t *part = &r->headers_out.headers.part; part != NULL; part = part->next) {
        ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            read_header(ctx, &headers[i], &facts, &content_range);
        }
    }
    facts.size = whole_size(r, content_range);
    return facts;
}

/* ---- export ---- */

static bool is_parts(const ngx_http_request_t *r)
{
    sp_span type = sp_span_slice(gate_span(r->headers_out.content_type), 0, 20);
    return sp_span_eq_nocase(type, SP_SPAN_LIT("multipart/byteranges"));
}

static bool has_body(const ngx_http_request_t *r)
{
    ngx_uint_t status = r->headers_out.status;
    return status >= 200 && status != NGX_HTTP_NO_CONTENT && status != NGX_HTTP_NOT_MODIFIED &&
           r->method != NGX_HTTP_HEAD;
}

/* That an answer is an export shows when it comes: its entry is on its way before it leaves. */
static bool is_written(gate_ctx *ctx)
{
    if ((ctx->decision.must & SP_MUST_RECORD) == 0) {
        return true;
    }
    if (!gate_recorder_works()) {
        return false;
    }
    gate_recorder_begin(ctx);
    return ctx->recorded_seq != 0;
}

/* False: must not leave. */
static bool may_leave(gate_ctx *ctx, const response_facts *facts)
{
    ngx_http_request_t *r = ctx->request;
    bool exports = facts->exports || asks_export(ctx, SP_SPAN_EMPTY, facts->size);
    bool hides = !ctx->may_export && (facts->encoded || is_parts(r));
    if (exports || hides) {
        return gate_decide_export(ctx) && is_written(ctx);
    }
    ctx->is_unbounded = ctx->may_export && facts->size == UINT64_MAX;
    if (!ctx->may_export && facts->size == UINT64_MAX) {
        ctx->body_max_bytes = sp_policy_web_export_over_bytes(&ctx->snapshot->policy,
                                                              ctx->conf->resource, ctx->place.part);
    }
    return true;
}

static bool passes_limit(const gate_ctx *ctx, uint64_t size)
{
    bool limited = (ctx->decision.must & SP_MUST_LIMIT) != 0 && ctx->decision.limit_bytes > 0;
    return limited && size != UINT64_MAX && size > ctx->decision.limit_bytes;
}

static void prepare_count(gate_ctx *ctx, uint64_t size)
{
    if ((ctx->decision.must & SP_MUST_LIMIT) != 0 && ctx->decision.limit_bytes > 0) {
        uint64_t limit = ctx->decision.limit_bytes;
        ctx->body_max_bytes =
            ctx->body_max_bytes == 0 ? limit : ngx_min(limit, ctx->body_max_bytes);
    }
    ctx->counts_body = size == UINT64_MAX || ctx->body_max_bytes > 0;
    if (size != UINT64_MAX && size > LONG_BODY_BYTES) {
        gate_recorder_begin(ctx);
    }
}

/* NGX_OK, or the status of a refusal. */
static ngx_int_t judge(gate_ctx *ctx, const response_facts *facts)
{
    ngx_http_request_t *r = ctx->request;
    bool tunnels = r->headers_out.status == NGX_HTTP_SWITCHING_PROTOCOLS;
    if (tunnels && !ctx->is_upgrade) {
        /* an upstream that switches to what was not asked for */
        ngx_http_clean_header(r);
        return NGX_HTTP_BAD_GATEWAY;
    }
    if (!has_body(r)) {
        return NGX_OK;
    }
    sp_reason reason = SP_REASON_NONE;
    if (!may_leave(ctx, facts)) {
        reason = ctx->verdict == SP_VERDICT_ALLOW ? SP_REASON_UNRECORDED : ctx->reason;
    } else if (passes_limit(ctx, facts->size)) {
        reason = SP_REASON_LIMIT;
    }
    if (reason != SP_REASON_NONE) {
        gate_decide_refuse(ctx, reason);
        ngx_http_clean_header(r);
        return sp_web_refusal_status(reason) == NGX_HTTP_UNAUTHORIZED
                   ? NGX_HTTP_FORBIDDEN
                   : sp_web_refusal_status(reason);
    }
    prepare_count(ctx, facts->size);
    return NGX_OK;
}

static void stream_at_once(ngx_http_request_t *r)
{
    sp_span type = sp_span_slice(gate_span(r->headers_out.content_type), 0, 17);
    if (r->upstream != NULL && sp_span_eq_nocase(type, SP_SPAN_LIT("text/event-stream"))) {
        r->upstream->buffering = 0;
    }
}

static ngx_int_t add_hsts(ngx_http_request_t *r)
{
    static ngx_str_t hsts = ngx_string("max-age=31536000");
    return gate_refuse_header(r, "Strict-Transport-Security", hsts);
}

static ngx_int_t header_filter(ngx_http_request_t *r)
{
    if (r != r->main || gate_loc_conf_of(r)->kind == GATE_OFF) {
        return next_header_filter(r);
    }
    if (r->err_status >= NGX_HTTP_BAD_REQUEST) {
        if (gate_refuse_dress(r) != NGX_OK || add_hsts(r) != NGX_OK) {
            return NGX_ERROR;
        }
        return next_header_filter(r);
    }
    gate_ctx *ctx = gate_ctx_of(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }
    response_facts facts = read_headers(ctx);
    if (ctx->judged && ctx->verdict == SP_VERDICT_ALLOW) {
        ngx_int_t rc = judge(ctx, &facts);
        if (rc != NGX_OK) {
            return rc;
        }
    }
    stream_at_once(r);
    if (!facts.has_hsts && add_hsts(r) != NGX_OK) {
        return NGX_ERROR;
    }
    return next_header_filter(r);
}

/* ---- the body ---- */

static void swallow(ngx_chain_t *in)
{
    for (; in != NULL; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
    }
}

static ngx_int_t send_page(ngx_http_request_t *r, gate_ctx *ctx, ngx_chain_t *in)
{
    swallow(in);
    if (ctx->page_sent) {
        return next_body_filter(r, NULL);
    }
    ngx_buf_t *buf = ngx_calloc_buf(r->pool);
    if (buf == NULL) {
        return NGX_ERROR;
    }
    buf->pos = ctx->page.data;
    buf->last = ctx->page.data + ctx->page.len;
    buf->memory = 1;
    buf->last_buf = 1;
    buf->last_in_chain = 1;
    ctx->page_sent = true;
    ngx_chain_t out = {.buf = buf, .next = NULL};
    return next_body_filter(r, &out);
}

/* False: the limit is passed; what follows must not leave. */
static bool count(gate_ctx *ctx, const ngx_chain_t *in)
{
    for (; in != NULL; in = in->next) {
        ctx->body_bytes += (uint64_t)ngx_buf_size(in->buf);
    }
    if (ctx->body_bytes > LONG_BODY_BYTES) {
        gate_recorder_begin(ctx);
    }
    return ctx->body_max_bytes == 0 || ctx->body_bytes <= ctx->body_max_bytes;
}

static void cut(gate_ctx *ctx)
{
    bool limited = ctx->is_export || gate_decide_export(ctx);
    if (limited) {
        gate_decide_refuse(ctx, SP_REASON_LIMIT);
    }
    ctx->request->keepalive = 0;
    ctx->request->connection->error = 1;
    ngx_log_error(NGX_LOG_INFO, ctx->request->connection->log, 0,
                  "sallyport: a response was cut off: %s", sp_reason_word(ctx->reason));
}

static ngx_int_t body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    gate_ctx *ctx = gate_ctx_get(r);
    if (ctx == NULL) {
        return next_body_filter(r, in);
    }
    if (ctx->page.len > 0) {
        return send_page(r, ctx, in);
    }
    if (ctx->counts_body && !count(ctx, in)) {
        cut(ctx);
        return NGX_ERROR;
    }
    return next_body_filter(r, in);
}

void gate_response_init(void)
{
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
}

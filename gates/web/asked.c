/* SPDX-License-Identifier: Apache-2.0
 * Being asked by another proxy.
 * OWNS nothing. PROCESS nginx workers. TRUST see asked.h. SPEC gates/web/asked.h.
 */
#include "gates/web/asked.h"

#include "gates/web/refuse.h"
#include "gates/web/request_headers.h"
#include "lib/proto/event.h"
#include "lib/web/certificate.h"

#include <arpa/inet.h>

enum { HOST_MAX_BYTES = 253 };

bool gate_is_asked(const gate_ctx *ctx)
{
    return ctx->conf->kind == GATE_CHECK || ctx->conf->kind == GATE_ASK;
}

/* Exactly one header of that name. */
static bool read_one(const gate_ctx *ctx, sp_span name, sp_span *ret_value)
{
    *ret_value = gate_headers_find(ctx->request, name);
    return ret_value->len > 0 && gate_headers_count(ctx->request, name) == 1;
}

/* "wiki.office.example:8443" -> "wiki", when the rest is the office's domain. */
static bool read_label(const gate_ctx *ctx, sp_span host, sp_span *ret_label)
{
    sp_span portal = gate_span(gate_main_conf_of(ctx->request)->portal);
    sp_span name = sp_span_slice(portal, sizeof("https://") - 1, portal.len);
    name = sp_span_slice(name, 0, sp_span_index(name, ':'));
    sp_span domain = sp_span_slice(name, sp_span_index(name, '.'), name.len);
    size_t dot = sp_span_index(host, '.');
    *ret_label = sp_span_slice(host, 0, dot);
    return dot > 0 && domain.len > 1 && sp_span_eq(sp_span_slice(host, dot, host.len), domain);
}

/* The location's configuration with the asked host in it, for this request alone. */
static bool read_host(gate_ctx *ctx)
{
    ngx_http_request_t *r = ctx->request;
    sp_span text;
    sp_span label;
    gate_loc_conf *conf = ngx_pcalloc(r->pool, sizeof(*conf));
    u_char *lower = ngx_pnalloc(r->pool, HOST_MAX_BYTES);
    if (conf == NULL || lower == NULL || !read_one(ctx, SP_SPAN_LIT("x-forwarded-host"), &text)) {
        return false;
    }
    text = sp_span_slice(text, 0, sp_span_index(text, ':'));
    if (text.len > HOST_MAX_BYTES) {
        return false;
    }
    ngx_strlow(lower, (u_char *)(uintptr_t)text.ptr, text.len);
    sp_span host = {lower, text.len};
    if (!read_label(ctx, host, &label)) {
        return false;
    }
    conf->kind = ctx->conf->kind;
    conf->host = (ngx_str_t){host.len, lower};
    conf->label = (ngx_str_t){label.len, lower};
    conf->audience = sp_live_audience(host);
    conf->resource = SP_NONE;
    ctx->conf = conf;
    return true;
}

/* The last of the list: what the proxy that asks saw itself. */
static bool read_peer(gate_ctx *ctx)
{
    sp_span list;
    if (!read_one(ctx, SP_SPAN_LIT("x-forwarded-for"), &list)) {
        return false;
    }
    size_t at = list.len;
    while (at > 0 && list.ptr[at - 1] != ',') {
        at--;
    }
    char text[INET6_ADDRSTRLEN];
    uint8_t four[4];
    uint8_t *peer = ctx->subject.who.peer;
    if (sp_failed(sp_fit(text, sizeof(text), sp_span_trim(sp_span_slice(list, at, list.len))))) {
        return false;
    }
    sp_set(peer, 0, sizeof(ctx->subject.who.peer));
    if (inet_pton(AF_INET, text, four) == 1) {
        peer[10] = 0xFF;
        peer[11] = 0xFF;
        sp_copy(peer + 12, four, sizeof(four));
        return true;
    }
    return inet_pton(AF_INET6, text, peer) == 1;
}

/* The chain was the proxy's to verify; that the certificate is one of ours is looked up. One that
 * cannot be read is one that is not ours. */
static bool read_certificate(gate_ctx *ctx)
{
    sp_span name = SP_SPAN_LIT("x-forwarded-tls-client-cert");
    sp_span text = gate_headers_find(ctx->request, name);
    auto_buf sp_buf der = sp_buf_make(SP_WEB_CERTIFICATE_MAX_BYTES);
    ctx->has_certificate = false;
    if (text.len == 0) {
        return true;
    }
    if (gate_headers_count(ctx->request, name) != 1 ||
        sp_failed(sp_web_certificate_read(text, &der))) {
        return false;
    }
    ctx->fingerprint = sp_sha256(sp_buf_borrow(&der));
    ctx->has_certificate = true;
    return true;
}

sp_reason gate_asked_read(gate_ctx *ctx)
{
    if (!read_host(ctx) || !read_peer(ctx) || !read_certificate(ctx)) {
        return SP_REASON_UNPARSED;
    }
    if (!gate_is_asked(ctx)) {
        return SP_REASON_NONE;
    }
    bool there = read_one(ctx, SP_SPAN_LIT("x-forwarded-method"), &ctx->method) &&
                 read_one(ctx, SP_SPAN_LIT("x-forwarded-uri"), &ctx->target);
    return there ? SP_REASON_NONE : SP_REASON_UNPARSED;
}

uint64_t gate_asked_body_size(const gate_ctx *ctx)
{
    static const char *const bodiless[] = {"GET", "HEAD", "OPTIONS", "DELETE"};
    uint64_t size = 0;
    sp_span text = gate_headers_find(ctx->request, SP_SPAN_LIT("x-forwarded-content-length"));
    if (text.len > 0) {
        return sp_failed(sp_span_to_u64(text, UINT64_MAX - 1, &size)) ? UINT64_MAX : size;
    }
    for (size_t i = 0; i < SP_COUNT(bodiless); i++) {
        if (sp_span_eq(ctx->method, sp_span_cstr(bodiless[i]))) {
            return 0;
        }
    }
    return UINT64_MAX;
}

ngx_int_t gate_asked_dress(gate_ctx *ctx)
{
    static ngx_str_t no_store = ngx_string("no-store");
    static ngx_str_t yes = ngx_string("yes");
    static ngx_str_t no = ngx_string("no");
    ngx_http_request_t *r = ctx->request;
    u_char *text = ngx_pcalloc(r->pool, SP_REFERENCE_TEXT_BYTES);
    if (text == NULL) {
        return NGX_ERROR;
    }
    sp_reference_text(ctx->reference, (char *)text);
    ngx_str_t reference = {ngx_strlen(text), text};
    if (gate_refuse_header(r, "X-Sallyport-Reference", reference) != NGX_OK ||
        gate_refuse_header(r, "Cache-Control", no_store) != NGX_OK) {
        return NGX_ERROR;
    }
    bool let = ctx->verdict == SP_VERDICT_ALLOW;
    return let ? gate_refuse_header(r, "X-Sallyport-Export", ctx->may_export ? yes : no) : NGX_OK;
}

ngx_int_t gate_asked_answer(ngx_http_request_t *r)
{
    gate_ctx *ctx = gate_ctx_of(r);
    ngx_int_t rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }
    if (ctx == NULL || !ctx->judged || ctx->verdict != SP_VERDICT_ALLOW ||
        gate_asked_dress(ctx) != NGX_OK) {
        return NGX_HTTP_FORBIDDEN;
    }
    if (ctx->identity.len > 0 &&
        gate_refuse_header(r, "X-Sallyport-Identity", ctx->identity) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;
    return ngx_http_send_header(r);
}

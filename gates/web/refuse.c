/* SPDX-License-Identifier: Apache-2.0
 * Refusing.
 * OWNS nothing. PROCESS nginx workers. TRUST names are escaped. SPEC gates/web/refuse.h.
 */
#include "gates/web/refuse.h"

#include "gates/web/asked.h"
#include "gates/web/recorder.h"
#include "gates/web/request_headers.h"
#include "infra/proc/clock.h"
#include "lib/web/headers.h"
#include "lib/web/refusal.h"

enum { REDIRECT_MAX_BYTES = 16 * 1024 };

/* Whether the answer is read by a person. */
static bool wants_page(ngx_http_request_t *r)
{
    return sp_web_is_navigation(SP_SPAN_LIT("GET"), gate_headers_find(r, SP_SPAN_LIT("accept")),
                                gate_headers_find(r, SP_SPAN_LIT("x-requested-with")),
                                gate_headers_find(r, SP_SPAN_LIT("sec-fetch-mode")));
}

static bool signing_in_helps(const gate_ctx *ctx)
{
    return ctx->reason == SP_REASON_NO_SESSION || ctx->reason == SP_REASON_SESSION_ENDED ||
           ctx->reason == SP_REASON_STRENGTH;
}

/* Bytes of the buffer that live as long as the request. */
static ngx_int_t keep(ngx_http_request_t *r, const sp_buf *buf, ngx_str_t *ret_text)
{
    sp_span bytes = sp_buf_borrow(buf);
    if (sp_failed(sp_buf_error(buf)) || bytes.len == 0) {
        return NGX_ERROR;
    }
    ret_text->data = ngx_pnalloc(r->pool, bytes.len);
    if (ret_text->data == NULL) {
        return NGX_ERROR;
    }
    sp_copy(ret_text->data, bytes.ptr, bytes.len);
    ret_text->len = bytes.len;
    return NGX_OK;
}

/* "https://wiki.office.example:8443" of the application, by the port of the portal's URL. */
static void origin(const gate_ctx *ctx, sp_buf *out)
{
    sp_span portal = gate_span(gate_main_conf_of(ctx->request)->portal);
    sp_span authority = sp_span_slice(portal, sizeof("https://") - 1, portal.len);
    size_t colon = sp_span_index(authority, ':');
    sp_buf_text(out, "https://");
    sp_buf_span(out, gate_span(ctx->conf->host));
    sp_buf_span(out, sp_span_slice(authority, colon, authority.len));
}

ngx_int_t gate_refuse_header(ngx_http_request_t *r, const char *name, ngx_str_t value)
{
    ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);
    if (header == NULL) {
        return NGX_ERROR;
    }
    header->hash = 1;
    header->key.len = ngx_strlen(name);
    header->key.data = (u_char *)(uintptr_t)name;
    header->value = value;
    return NGX_OK;
}

/* Location: where to sign in. */
static ngx_int_t add_portal(gate_ctx *ctx)
{
    ngx_http_request_t *r = ctx->request;
    auto_buf sp_buf to = sp_buf_make(REDIRECT_MAX_BYTES);
    origin(ctx, &to);
    sp_buf_span(&to, gate_is_asked(ctx) ? ctx->target : gate_span(r->unparsed_uri));
    auto_buf sp_buf url = sp_buf_make(3 * REDIRECT_MAX_BYTES);
    sp_buf_span(&url, gate_span(gate_main_conf_of(r)->portal));
    sp_buf_text(&url, "/enter?to=");
    sp_buf_percent(&url, sp_buf_borrow(&to));
    if (ctx->reason == SP_REASON_STRENGTH) {
        sp_buf_text(&url, "&need=stronger");
    }
    ngx_table_elt_t *location = ngx_list_push(&r->headers_out.headers);
    if (location == NULL) {
        return NGX_ERROR;
    }
    location->hash = 1;
    ngx_str_set(&location->key, "Location");
    if (keep(r, &url, &location->value) != NGX_OK) {
        location->hash = 0;
        return NGX_ERROR;
    }
    r->headers_out.location = location;
    return NGX_OK;
}

static ngx_int_t to_portal(gate_ctx *ctx)
{
    static ngx_str_t no_store = ngx_string("no-store");
    bool added = add_portal(ctx) == NGX_OK &&
                 gate_refuse_header(ctx->request, "Cache-Control", no_store) == NGX_OK;
    return added ? NGX_HTTP_MOVED_TEMPORARILY : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

/* auth_request knows two refusals: sign in first, and no. */
static ngx_int_t refuse_check(gate_ctx *ctx)
{
    bool sign_in = signing_in_helps(ctx);
    if (gate_asked_dress(ctx) != NGX_OK || (sign_in && add_portal(ctx) != NGX_OK)) {
        return NGX_HTTP_FORBIDDEN;
    }
    return sign_in ? NGX_HTTP_UNAUTHORIZED : NGX_HTTP_FORBIDDEN;
}

ngx_int_t gate_refuse(gate_ctx *ctx)
{
    ngx_http_request_t *r = ctx->request;
    gate_recorder_refused(ctx);
    if (ctx->conf->kind == GATE_CHECK) {
        return refuse_check(ctx);
    }
    bool reads =
        sp_span_eq(ctx->method, SP_SPAN_LIT("GET")) || sp_span_eq(ctx->method, SP_SPAN_LIT("HEAD"));
    if (signing_in_helps(ctx) && reads && wants_page(r)) {
        return to_portal(ctx);
    }
    return sp_web_refusal_status(ctx->reason);
}

static sp_web_refusal refusal_of(ngx_http_request_t *r, const gate_ctx *ctx)
{
    const gate_main_conf *conf = gate_main_conf_of(r);
    sp_web_refusal refusal = {
        .office = gate_span(conf->office),
        .portal_url = gate_span(conf->portal),
        .person = sp_span_cstr(ctx->subject.person_name),
        .device = sp_span_cstr(ctx->subject.device_name),
        .reference = ctx->reference,
        .when_unix_us = sp_now_unix_us(),
        .status = (uint16_t)r->err_status,
        .action = ctx->action,
        .reason = ctx->judged && ctx->verdict != SP_VERDICT_ALLOW ? ctx->reason : SP_REASON_NONE,
        .chinese = sp_web_wants_chinese(gate_headers_find(r, SP_SPAN_LIT("accept-language"))),
    };
    if (r->err_status == NGX_HTTP_MISDIRECTED_REQUEST) {
        refusal.reason = SP_REASON_NONE; /* the status tells more */
    }
    if (ctx->conf->found_in != 0 && ctx->conf->resource != SP_NONE && ctx->snapshot != NULL) {
        refusal.resource = refusal.chinese ? ctx->conf->web.title_zh : ctx->conf->web.title_en;
    }
    return refusal;
}

static ngx_int_t make_page(ngx_http_request_t *r, gate_ctx *ctx, bool html)
{
    sp_web_refusal refusal = refusal_of(r, ctx);
    auto_buf sp_buf page = sp_buf_make(SP_WEB_REFUSAL_MAX_BYTES);
    if (html) {
        sp_web_refusal_html(&refusal, &page);
    } else {
        sp_web_refusal_json(&refusal, &page);
    }
    return keep(r, &page, &ctx->page);
}

static ngx_int_t page_headers(ngx_http_request_t *r, bool html)
{
    static ngx_str_t no_store = ngx_string("no-store");
    static ngx_str_t no_sniff = ngx_string("nosniff");
    static ngx_str_t no_referrer = ngx_string("no-referrer");
    static ngx_str_t challenge = ngx_string("Sallyport");
    const gate_main_conf *conf = gate_main_conf_of(r);
    if (gate_refuse_header(r, "Cache-Control", no_store) != NGX_OK ||
        gate_refuse_header(r, "X-Content-Type-Options", no_sniff) != NGX_OK ||
        gate_refuse_header(r, "Referrer-Policy", no_referrer) != NGX_OK) {
        return NGX_ERROR;
    }
    if (r->err_status == NGX_HTTP_UNAUTHORIZED &&
        gate_refuse_header(r, "WWW-Authenticate", challenge) != NGX_OK) {
        return NGX_ERROR;
    }
    return html ? gate_refuse_header(r, "Content-Security-Policy", conf->csp) : NGX_OK;
}

ngx_int_t gate_refuse_dress(ngx_http_request_t *r)
{
    gate_ctx *ctx = gate_ctx_of(r);
    bool html = wants_page(r);
    if (ctx != NULL && !ctx->judged) {
        gate_recorder_refused(ctx);
    }
    if (ctx == NULL || make_page(r, ctx, html) != NGX_OK || page_headers(r, html) != NGX_OK) {
        return NGX_ERROR;
    }
    if (html) {
        ngx_str_set(&r->headers_out.content_type, "text/html; charset=utf-8");
    } else {
        ngx_str_set(&r->headers_out.content_type, "application/problem+json");
    }
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_http_clear_content_length(r);
    r->headers_out.content_length_n = (off_t)ctx->page.len;
    return NGX_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * What of a request's headers the upstream does not get to see.
 * OWNS nothing. PROCESS nginx workers. TRUST headers are hostile.
 * SPEC gates/web/request_headers.h.
 *
 * nginx's list of headers has pointers into it, so nothing is taken out of it: a header that must
 * not go on gets a name that the proxy module leaves out.
 */
#include "gates/web/request_headers.h"

#include "gates/web/dropped.h"
#include "lib/web/cookie.h"
#include "lib/web/headers.h"

static void drop(ngx_table_elt_t *header)
{
    static u_char name[] = SP_WEB_DROPPED_HEADER;
    static u_char lower[] = "x-sallyport-dropped";
    static ngx_uint_t hash;
    if (hash == 0) {
        hash = ngx_hash_key(lower, sizeof(lower) - 1);
    }
    header->key.data = name;
    header->key.len = sizeof(name) - 1;
    header->lowcase_key = lower;
    header->hash = hash;
}

static bool is_named(const ngx_table_elt_t *header, sp_span lower)
{
    return header->key.len == lower.len &&
           ngx_strncmp(header->lowcase_key, lower.ptr, lower.len) == 0;
}

static ngx_int_t strip_cookie(ngx_http_request_t *r, ngx_table_elt_t *header)
{
    sp_span value = gate_span(header->value);
    u_char *room = ngx_pnalloc(r->pool, 2 * header->value.len);
    if (room == NULL) {
        return NGX_ERROR;
    }
    header->value.data = room;
    header->value.len = sp_web_cookie_strip(value, room).len;
    if (header->value.len == 0) {
        drop(header);
    }
    return NGX_OK;
}

static bool hides_size(const ngx_table_elt_t *header)
{
    if (is_named(header, SP_SPAN_LIT("accept-encoding"))) {
        return true;
    }
    return is_named(header, SP_SPAN_LIT("range")) &&
           sp_web_range_is_multiple(gate_span(header->value));
}

static ngx_int_t clean_one(ngx_http_request_t *r, ngx_table_elt_t *header, bool for_application,
                           bool may_export)
{
    if (!for_application && is_named(header, SP_SPAN_LIT("x-sallyport-request"))) {
        return NGX_OK; /* says only that a script of the portal's own origin sent it */
    }
    if (sp_web_header_is_ours(gate_span(header->key))) {
        drop(header);
        return NGX_OK;
    }
    if (for_application && is_named(header, SP_SPAN_LIT("cookie"))) {
        return strip_cookie(r, header);
    }
    if (for_application && !may_export && hides_size(header)) {
        drop(header);
    }
    return NGX_OK;
}

ngx_int_t gate_headers_clean(ngx_http_request_t *r, bool for_application, bool may_export)
{
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (clean_one(r, &headers[i], for_application, may_export) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }
    return NGX_OK;
}

sp_span gate_headers_find(ngx_http_request_t *r, sp_span name)
{
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        const ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (is_named(&headers[i], name)) {
                return gate_span(headers[i].value);
            }
        }
    }
    return SP_SPAN_EMPTY;
}

unsigned gate_headers_count(ngx_http_request_t *r, sp_span name)
{
    unsigned count = 0;
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        const ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            count += is_named(&headers[i], name) ? 1 : 0;
        }
    }
    return count;
}

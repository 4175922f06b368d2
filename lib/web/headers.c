/* SPDX-License-Identifier: Apache-2.0
 * Readings of headers.
 * OWNS nothing. PROCESS web gate. TRUST headers are hostile. SPEC lib/web/headers.h.
 */
#include "lib/web/headers.h"

#include "lib/base/mem.h"

/* Whole names, and families that end in '-'. Sorted by meaning, not by letter. */
#define NAME(lit)                                                                                  \
    {                                                                                              \
        (const uint8_t *)(lit), sizeof(lit) - 1                                                    \
    }
static const sp_span ours[] = {
    /* who */
    NAME("x-sallyport-"),
    NAME("remote-"),
    NAME("x-remote-"),
    NAME("x-auth-request-"),
    NAME("x-authenticated-"),
    NAME("x-webauth-"),
    NAME("x-auth-user"),
    NAME("x-auth-username"),
    NAME("x-auth-email"),
    NAME("x-auth-name"),
    NAME("x-auth-groups"),
    NAME("x-auth-roles"),
    NAME("x-authentik-"),
    NAME("x-user"),
    NAME("x-user-"),
    NAME("x-username"),
    NAME("x-userinfo"),
    NAME("x-email"),
    NAME("x-groups"),
    NAME("x-roles"),
    NAME("x-vouch-"),
    NAME("oidc-"),
    NAME("x-oidc-"),
    NAME("x-amzn-oidc-"),
    NAME("x-goog-iap-"),
    NAME("tailscale-user-"),
    NAME("x-token-subject"),
    NAME("x-goog-authenticated-user-"),
    NAME("x-ms-client-principal"),
    NAME("x-ms-client-principal-"),
    NAME("cf-access-"),
    NAME("x-pomerium-"),
    NAME("x-ssl-"),
    NAME("ssl-client-"),
    NAME("x-client-cert"),
    NAME("x-client-verify"),
    NAME("x-client-dn"),
    /* from where */
    NAME("x-forwarded"),
    NAME("x-forwarded-"),
    NAME("forwarded"),
    NAME("x-real-ip"),
    NAME("x-client-ip"),
    NAME("client-ip"),
    NAME("true-client-ip"),
    NAME("x-cluster-client-ip"),
    NAME("cf-connecting-ip"),
    NAME("fastly-client-ip"),
    NAME("x-originating-ip"),
    NAME("x-remote-ip"),
    NAME("x-envoy-"),
    NAME("via"),
    /* what is asked */
    NAME("x-original-"),
    NAME("x-rewrite-url"),
    NAME("x-http-method"),
    NAME("x-http-method-override"),
    NAME("x-method-override"),
    NAME("x-host"),
    NAME("x-accel-"),
    NAME("x-sendfile"),
    NAME("x-sendfile-type"),
    NAME("proxy"),
    NAME("proxy-authorization"),
    NAME("proxy-connection"),
};
#undef NAME

static uint8_t fold(uint8_t c)
{
    if (c == '_') {
        return '-';
    }
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool name_matches(sp_span name, sp_span pattern)
{
    bool family = pattern.ptr[pattern.len - 1] == '-';
    if (family ? name.len < pattern.len : name.len != pattern.len) {
        return false;
    }
    for (size_t i = 0; i < pattern.len; i++) {
        if (fold(name.ptr[i]) != pattern.ptr[i]) {
            return false;
        }
    }
    return true;
}

bool sp_web_header_is_ours(sp_span name)
{
    /* the first letters of the list: nearly all headers end here */
    static const bool first[256] = {
        ['x'] = true, ['r'] = true, ['f'] = true, ['c'] = true, ['t'] = true,
        ['s'] = true, ['p'] = true, ['v'] = true, ['o'] = true};
    if (name.len < 3 || !first[fold(name.ptr[0])]) {
        return false;
    }
    for (size_t i = 0; i < SP_COUNT(ours); i++) {
        if (ours[i].ptr[0] == fold(name.ptr[0]) && name_matches(name, ours[i])) {
            return true;
        }
    }
    return false;
}

/* The item without its parameters. */
static sp_span item_name(sp_span item)
{
    return sp_span_trim(sp_span_slice(item, 0, sp_span_index(item, ';')));
}

bool sp_web_list_has(sp_span list, sp_span item)
{
    sp_span rest = list;
    sp_span piece;
    while (sp_span_split(&rest, ',', &piece)) {
        if (sp_span_eq_nocase(item_name(piece), item)) {
            return true;
        }
    }
    return false;
}

bool sp_web_is_navigation(sp_span method, sp_span accept, sp_span requested_with,
                          sp_span fetch_mode)
{
    bool reads = sp_span_eq(method, SP_SPAN_LIT("GET")) || sp_span_eq(method, SP_SPAN_LIT("HEAD"));
    if (!reads || requested_with.len > 0) {
        return false;
    }
    if (fetch_mode.len > 0) {
        return sp_span_eq(fetch_mode, SP_SPAN_LIT("navigate"));
    }
    return sp_web_list_has(accept, SP_SPAN_LIT("text/html"));
}

bool sp_web_wants_chinese(sp_span accept_language)
{
    sp_span rest = accept_language;
    sp_span piece;
    while (sp_span_split(&rest, ',', &piece)) {
        sp_span name = item_name(piece);
        sp_span main = sp_span_slice(name, 0, sp_span_index(name, '-'));
        if (sp_span_eq_nocase(main, SP_SPAN_LIT("zh"))) {
            return true;
        }
        if (sp_span_eq_nocase(main, SP_SPAN_LIT("en"))) {
            return false;
        }
    }
    return false;
}

uint64_t sp_web_content_range_total(sp_span content_range)
{
    size_t slash = sp_span_index(content_range, '/');
    uint64_t total = 0;
    sp_span digits = sp_span_trim(sp_span_slice(content_range, slash + 1, content_range.len));
    if (slash == content_range.len || sp_failed(sp_span_to_u64(digits, UINT64_MAX - 1, &total))) {
        return UINT64_MAX;
    }
    return total;
}

bool sp_web_range_is_multiple(sp_span range)
{
    sp_span value = sp_span_trim(range);
    return !sp_span_starts(value, SP_SPAN_LIT("bytes=")) || sp_span_index(value, ',') != value.len;
}

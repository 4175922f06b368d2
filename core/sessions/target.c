/* SPDX-License-Identifier: Apache-2.0
 * Reading `to`.
 * OWNS nothing. PROCESS core. TRUST the text is hostile. SPEC core/sessions/target.h.
 */
#include "core/sessions/target.h"

enum { HTTPS_PORT = 443, PORT_MAX = 65535 };

static bool is_visible(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '#') {
            return false;
        }
    }
    return true;
}

bool sp_target_is_path(sp_span text)
{
    return text.len > 0 && text.len <= SP_TARGET_MAX_BYTES && text.ptr[0] == '/' &&
           !(text.len > 1 && text.ptr[1] == '/') && is_visible(text);
}

static bool host_is_ours(sp_span host, sp_span domain, sp_span portal_host)
{
    size_t dot = sp_span_index(host, '.');
    return sp_span_is_label(sp_span_slice(host, 0, dot)) &&
           sp_span_eq(sp_span_slice(host, dot + 1, host.len), domain) &&
           !sp_span_eq(host, portal_host);
}

static bool port_is_ours(sp_span authority, size_t colon, unsigned port)
{
    if (colon == authority.len) {
        return port == HTTPS_PORT;
    }
    uint64_t given = 0;
    sp_span text = sp_span_slice(authority, colon + 1, authority.len);
    return !sp_failed(sp_span_to_u64(text, PORT_MAX, &given)) && given == port;
}

sp_err sp_target_read(sp_span text, sp_span domain, sp_span portal_host, unsigned port,
                      sp_target *ret_target)
{
    sp_span scheme = SP_SPAN_LIT("https://");
    if (text.len > SP_TARGET_MAX_BYTES || !sp_span_starts(text, scheme) || !is_visible(text)) {
        return sp_fail(SP_EINVALID);
    }
    sp_span rest = sp_span_slice(text, scheme.len, text.len);
    size_t slash = sp_span_index(rest, '/');
    sp_span authority = sp_span_slice(rest, 0, slash);
    sp_span path = sp_span_slice(rest, slash, rest.len);
    size_t colon = sp_span_index(authority, ':');
    sp_target target = {sp_span_slice(authority, 0, colon), path};
    if (path.len == 0) {
        target.path = SP_SPAN_LIT("/");
    }
    if (!host_is_ours(target.host, domain, portal_host) || !port_is_ours(authority, colon, port) ||
        !sp_target_is_path(target.path)) {
        return sp_fail(SP_EINVALID);
    }
    *ret_target = target;
    return sp_ok();
}

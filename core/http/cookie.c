/* SPDX-License-Identifier: Apache-2.0
 * The cookie.
 * OWNS nothing. PROCESS core. TRUST the header is hostile. SPEC core/http/cookie.h.
 */
#include "core/http/cookie.h"

static bool is_base64url(uint8_t c)
{
    return sp_is_alnum(c) || c == '-' || c == '_';
}

sp_err sp_token_hash(sp_span text, sp_hash *ret_hash)
{
    if (text.len != SP_TOKEN_TEXT_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!is_base64url(text.ptr[i])) {
            return sp_fail(SP_EINVALID);
        }
    }
    *ret_hash = sp_sha256(text);
    return sp_ok();
}

sp_err sp_cookie_read(sp_span header, const char *name, sp_hash *ret_hash)
{
    sp_span found = SP_SPAN_EMPTY;
    bool seen = false;
    sp_span pair;
    while (sp_span_split(&header, ';', &pair)) {
        pair = sp_span_trim(pair);
        size_t eq = sp_span_index(pair, '=');
        if (!sp_span_eq(sp_span_slice(pair, 0, eq), sp_span_cstr(name))) {
            continue;
        }
        sp_span value = sp_span_slice(pair, eq + 1, pair.len);
        if (seen && !sp_span_eq(found, value)) {
            return sp_fail(SP_EINVALID);
        }
        found = value;
        seen = true;
    }
    return seen ? sp_token_hash(found, ret_hash) : sp_fail(SP_ENOTFOUND);
}

sp_err sp_cookie_token(sp_span header, sp_hash *ret_hash)
{
    return sp_cookie_read(header, SP_COOKIE_NAME, ret_hash);
}

void sp_cookie_write(const char *name, sp_span token_text, uint64_t max_age_s, sp_buf *out)
{
    sp_buf_text(out, name);
    sp_buf_byte(out, '=');
    sp_buf_span(out, token_text);
    sp_buf_text(out, "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=");
    sp_buf_u64_text(out, token_text.len == 0 ? 0 : max_age_s);
}

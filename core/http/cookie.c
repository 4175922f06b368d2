/* SPDX-License-Identifier: Apache-2.0
 * The cookie.
 * OWNS nothing. PROCESS core. TRUST the header is hostile. SPEC core/http/cookie.h.
 */
#include "core/http/cookie.h"

sp_err sp_token_hash(sp_span text, sp_hash *ret_hash)
{
    if (text.len != SP_TOKEN_TEXT_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    auto_buf sp_buf token = sp_buf_make(SP_TOKEN_BYTES + 1);
    TRY(sp_buf_unbase64url(&token, text));
    if (token.len != SP_TOKEN_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    *ret_hash = sp_sha256(sp_buf_borrow(&token));
    sp_buf_wipe(&token);
    return sp_ok();
}

sp_err sp_cookie_token(sp_span header, sp_hash *ret_hash)
{
    sp_span found = SP_SPAN_EMPTY;
    sp_span pair;
    while (sp_span_split(&header, ';', &pair)) {
        pair = sp_span_trim(pair);
        size_t eq = sp_span_index(pair, '=');
        if (!sp_span_eq(sp_span_slice(pair, 0, eq), SP_SPAN_LIT(SP_COOKIE_NAME))) {
            continue;
        }
        sp_span value = sp_span_slice(pair, eq + 1, pair.len);
        if (found.ptr != NULL && !sp_span_eq(found, value)) {
            return sp_fail(SP_EINVALID);
        }
        found = value;
    }
    return found.ptr == NULL ? sp_fail(SP_ENOTFOUND) : sp_token_hash(found, ret_hash);
}

void sp_cookie_write(sp_span token_text, uint64_t max_age_s, sp_buf *out)
{
    sp_buf_text(out, SP_COOKIE_NAME "=");
    sp_buf_span(out, token_text);
    sp_buf_text(out, "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=");
    sp_buf_u64_text(out, token_text.len == 0 ? 0 : max_age_s);
}

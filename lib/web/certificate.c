/* SPDX-License-Identifier: Apache-2.0
 * Reading a certificate out of a header.
 * OWNS nothing. PROCESS web gate. TRUST the text is hostile. SPEC lib/web/certificate.h.
 */
#include "lib/web/certificate.h"

static sp_err unescape(sp_span text, sp_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            sp_buf_byte(out, text.ptr[i]);
            continue;
        }
        if (text.len - i < 3) {
            return sp_fail(SP_EINVALID);
        }
        TRY(sp_buf_unhex(out, sp_span_slice(text, i + 1, i + 3)));
        i += 2;
    }
    return sp_buf_error(out);
}

/* Between the marks, or all of it. */
static sp_err find_body(sp_span text, sp_span *ret_body)
{
    sp_span begin = SP_SPAN_LIT("-----BEGIN CERTIFICATE-----");
    sp_span end = SP_SPAN_LIT("-----END CERTIFICATE-----");
    if (!sp_span_starts(text, begin)) {
        *ret_body = sp_span_slice(text, 0, sp_span_index(text, ','));
        return sp_ok();
    }
    sp_span rest = sp_span_slice(text, begin.len, text.len);
    size_t at = sp_span_find(rest, end);
    if (at >= rest.len) {
        return sp_fail(SP_EINVALID);
    }
    *ret_body = sp_span_slice(rest, 0, at);
    return sp_ok();
}

sp_err sp_web_certificate_read(sp_span header, sp_buf *der)
{
    auto_buf sp_buf text = sp_buf_make(SP_WEB_CERTIFICATE_MAX_BYTES);
    auto_buf sp_buf letters = sp_buf_make(SP_WEB_CERTIFICATE_MAX_BYTES);
    sp_span body;
    TRY(unescape(sp_span_trim(header), &text));
    TRY(find_body(sp_buf_borrow(&text), &body));
    for (size_t i = 0; i < body.len; i++) {
        uint8_t c = body.ptr[i];
        if (c != '\n' && c != '\r' && c != ' ' && c != '\t') {
            sp_buf_byte(&letters, c);
        }
    }
    TRY(sp_buf_error(&letters));
    size_t before = der->len;
    TRY(sp_buf_unbase64(der, sp_buf_borrow(&letters)));
    return der->len > before ? sp_buf_error(der) : sp_fail(SP_EINVALID);
}

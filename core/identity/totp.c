/* SPDX-License-Identifier: Apache-2.0
 * One-time codes.
 * OWNS nothing. PROCESS core. TRUST codes are hostile. SPEC core/identity/totp.h.
 */
#include "core/identity/totp.h"

#include "lib/base/mem.h"

#include <liboath/oath.h>
#include <qrencode.h>

enum { QUIET = 4 };

static bool read_digits(sp_span code, char digits[SP_TOTP_DIGITS + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < code.len; i++) {
        uint8_t c = code.ptr[i];
        if (c == ' ' || c == '-') {
            continue;
        }
        if (c < '0' || c > '9' || count == SP_TOTP_DIGITS) {
            return false;
        }
        digits[count++] = (char)c;
    }
    digits[count] = '\0';
    return count == SP_TOTP_DIGITS;
}

bool sp_totp_check(sp_span secret, sp_span code, uint64_t now_unix_s, uint64_t after_step,
                   uint64_t *ret_step)
{
    char digits[SP_TOTP_DIGITS + 1];
    if (!read_digits(code, digits)) {
        return false;
    }
    uint64_t now_step = now_unix_s / SP_TOTP_STEP_S;
    bool found = false;
    for (uint64_t step = now_step - SP_TOTP_WINDOW; step <= now_step + SP_TOTP_WINDOW; step++) {
        char want[SP_TOTP_DIGITS + 1];
        if (oath_hotp_generate((const char *)secret.ptr, secret.len, step, SP_TOTP_DIGITS, false,
                               OATH_HOTP_DYNAMIC_TRUNCATION, want) != OATH_OK) {
            return false;
        }
        bool same = sp_span_eq_secret(sp_span_cstr(want), sp_span_cstr(digits));
        if (same && step > after_step && !found) { /* all steps are looked at: same time */
            *ret_step = step;
            found = true;
        }
        sp_wipe(want, sizeof(want));
    }
    return found;
}

void sp_totp_secret_text(sp_span secret, sp_buf *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < secret.len; i++) {
        bits = (bits << 8) | secret.ptr[i];
        for (count += 8; count >= 5; count -= 5) {
            sp_buf_byte(out, (uint8_t)alphabet[(bits >> (count - 5)) & 31]);
        }
    }
    if (count > 0) {
        sp_buf_byte(out, (uint8_t)alphabet[(bits << (5 - count)) & 31]);
    }
}

void sp_totp_uri(sp_span secret, sp_span office, sp_span name, sp_buf *out)
{
    sp_buf_text(out, "otpauth://totp/");
    sp_buf_percent(out, office);
    sp_buf_byte(out, ':');
    sp_buf_percent(out, name);
    sp_buf_text(out, "?secret=");
    sp_totp_secret_text(secret, out);
    sp_buf_text(out, "&issuer=");
    sp_buf_percent(out, office);
    sp_buf_text(out, "&algorithm=SHA1&digits=6&period=30");
}

sp_err sp_qr_svg(const char *text, sp_buf *out)
{
    QRcode *code = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
    if (code == NULL) {
        return sp_fail(SP_EINVALID);
    }
    int side = code->width + 2 * QUIET;
    sp_buf_fmt(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
               "shape-rendering=\"crispEdges\"><rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>"
               "<path fill=\"#000\" d=\"",
               side, side, side, side);
    for (int y = 0; y < code->width; y++) {
        for (int x = 0; x < code->width; x++) {
            if ((code->data[y * code->width + x] & 1) != 0) {
                sp_buf_fmt(out, "M%d %dh1v1h-1z", x + QUIET, y + QUIET);
            }
        }
    }
    sp_buf_text(out, "\"/></svg>");
    QRcode_free(code);
    return sp_buf_error(out);
}

/* SPDX-License-Identifier: Apache-2.0
 * One-time codes of an authenticator app: secret, QR code, check.
 * OWNS nothing. PROCESS core. TRUST codes are hostile. SPEC RFC 6238, RFC 4226; liboath; the
 * otpauth: key URI format.
 */
#ifndef SP_CORE_IDENTITY_TOTP_H
#define SP_CORE_IDENTITY_TOTP_H

#include "lib/base/buf.h"

enum { SP_TOTP_SECRET_BYTES = 20, SP_TOTP_STEP_S = 30, SP_TOTP_DIGITS = 6, SP_TOTP_WINDOW = 1 };

/* Whether the code is right now (or one step earlier or later) and belongs to a later step than
 * after_step, the last one used: a code works once. Blanks and dashes are forgiven. */
bool sp_totp_check(sp_span secret, sp_span code, uint64_t now_unix_s, uint64_t after_step,
                   uint64_t *ret_step);
/* Base32 without padding. */
void sp_totp_secret_text(sp_span secret, sp_buf *out);
/* otpauth://totp/<office>:<name>?secret=...&issuer=<office>&algorithm=SHA1&digits=6&period=30 */
void sp_totp_uri(sp_span secret, sp_span office, sp_span name, sp_buf *out);
/* An SVG of the QR code of a text: one path on white, with its quiet zone. SP_EINVALID. */
SP_MUST sp_err sp_qr_svg(const char *text, sp_buf *out);

#endif

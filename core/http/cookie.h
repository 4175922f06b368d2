/* SPDX-License-Identifier: Apache-2.0
 * The one cookie that is ours, in and out.
 * OWNS nothing. PROCESS core. TRUST the header is hostile. SPEC RFC 6265bis.
 */
#ifndef SP_CORE_HTTP_COOKIE_H
#define SP_CORE_HTTP_COOKIE_H

#include "lib/base/buf.h"
#include "lib/base/sha256.h"

#define SP_COOKIE_NAME "__Host-sallyport"
enum { SP_TOKEN_BYTES = 32, SP_TOKEN_TEXT_BYTES = 43 /* base64url */ };

/* The SHA-256 of the token (of its 43 characters, as sent) in a Cookie header. SP_ENOTFOUND: no
 * cookie of ours; SP_EINVALID: not 32 bytes in base64url, or there are two that differ. */
SP_MUST sp_err sp_cookie_token(sp_span header, sp_hash *ret_hash);
/* The hash of a token as text, for tickets too. SP_EINVALID. */
SP_MUST sp_err sp_token_hash(sp_span text, sp_hash *ret_hash);
/* Value of Set-Cookie. token_text empty = delete. */
void sp_cookie_write(sp_span token_text, uint64_t max_age_s, sp_buf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The cookies that are ours, in and out: the session's, and the one that ties a way into an
 * application to the browser that began it.
 * OWNS nothing. PROCESS core. TRUST the header is hostile. SPEC RFC 6265bis.
 */
#ifndef SP_CORE_HTTP_COOKIE_H
#define SP_CORE_HTTP_COOKIE_H

#include "lib/base/buf.h"
#include "lib/base/sha256.h"

#define SP_COOKIE_NAME "__Host-sallyport"
#define SP_COOKIE_WAY_NAME "__Host-sallyport-way"
enum { SP_TOKEN_BYTES = 32, SP_TOKEN_TEXT_BYTES = 43 /* base64url */ };

/* The SHA-256 of the token (of its 43 characters, as sent) in the cookie of that name.
 * SP_ENOTFOUND: no such cookie; SP_EINVALID: not 32 bytes in base64url, or there are two that
 * differ. */
SP_MUST sp_err sp_cookie_read(sp_span header, const char *name, sp_hash *ret_hash);
/* The session's. */
SP_MUST sp_err sp_cookie_token(sp_span header, sp_hash *ret_hash);
/* The hash of a token as text, for tickets too. SP_EINVALID. */
SP_MUST sp_err sp_token_hash(sp_span text, sp_hash *ret_hash);
/* Value of Set-Cookie. token_text empty = delete. */
void sp_cookie_write(const char *name, sp_span token_text, uint64_t max_age_s, sp_buf *out);

#endif

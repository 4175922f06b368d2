/* SPDX-License-Identifier: Apache-2.0
 * Signed tokens (JWT, compact form, ES256) and public keys as JWK.
 * OWNS nothing. PROCESS vault signs; core and tests verify. TRUST tokens are hostile.
 * SPEC RFC 7515, 7517, 7518, 7519, 7638.
 */
#ifndef SP_CRYPTO_JWT_H
#define SP_CRYPTO_JWT_H

#include "infra/crypto/pkey.h"

enum { SP_JWT_MAX_BYTES = 24 * 1024, SP_JWK_KID_BYTES = 44 };

/* The RFC 7638 thumbprint, base64url, NUL-terminated: the key's `kid`. */
SP_MUST sp_err sp_jwk_kid(const sp_pkey *key, char ret_kid[SP_JWK_KID_BYTES]);
/* Appends {"kty":"EC",...,"use":"sig","alg":"ES256","kid":...}. */
SP_MUST sp_err sp_jwk_public(const sp_pkey *key, sp_buf *out);
/* Appends header.claims.signature; claims is a JSON object as it shall stand. */
SP_MUST sp_err sp_jwt_sign(sp_pkey *key, sp_span claims, sp_buf *out);
/* Appends the claims of a token signed by this key with ES256. Times are the caller's to check.
 * SP_EINVALID, SP_ECORRUPT. */
SP_MUST sp_err sp_jwt_open(sp_pkey *key, sp_span token, sp_buf *ret_claims);

#endif

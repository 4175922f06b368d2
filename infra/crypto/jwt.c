/* SPDX-License-Identifier: Apache-2.0
 * Signed tokens: the one header that we write and accept, and the JWK of its key.
 * OWNS nothing. PROCESS vault, core. TRUST tokens are hostile: only our own header is accepted, so
 * there is no algorithm to confuse. SPEC RFC 7515, 7638.
 */
#include "infra/crypto/jwt.h"

#include "lib/base/sha256.h"

enum { HEADER_MAX_BYTES = 160 };

typedef struct {
    sp_buf x;
    sp_buf y;
} coordinates;

static sp_err coordinates_of(const sp_pkey *key, coordinates *ret_c)
{
    uint8_t xy[SP_P256_RAW_BYTES];
    TRY(sp_pkey_p256_point(key, xy));
    ret_c->x = sp_buf_make(HEADER_MAX_BYTES);
    ret_c->y = sp_buf_make(HEADER_MAX_BYTES);
    sp_buf_base64url(&ret_c->x, sp_span_of(xy, SP_P256_COORD_BYTES));
    sp_buf_base64url(&ret_c->y, sp_span_of(xy + SP_P256_COORD_BYTES, SP_P256_COORD_BYTES));
    return sp_ok();
}

static void coordinates_done(coordinates *c)
{
    sp_buf_done(&c->x);
    sp_buf_done(&c->y);
}

/* The required members in lexicographic order: what RFC 7638 hashes. */
static void required_members(const coordinates *c, sp_buf *out)
{
    sp_buf_text(out, "\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
    sp_buf_span(out, sp_buf_borrow(&c->x));
    sp_buf_text(out, "\",\"y\":\"");
    sp_buf_span(out, sp_buf_borrow(&c->y));
    sp_buf_text(out, "\"");
}

sp_err sp_jwk_kid(const sp_pkey *key, char ret_kid[SP_JWK_KID_BYTES])
{
    coordinates c = {0};
    TRY(coordinates_of(key, &c));
    auto_buf sp_buf canonical = sp_buf_make(1024);
    sp_buf_text(&canonical, "{");
    required_members(&c, &canonical);
    sp_buf_text(&canonical, "}");
    coordinates_done(&c);
    TRY(sp_buf_error(&canonical));
    sp_hash hash = sp_sha256(sp_buf_borrow(&canonical));
    auto_buf sp_buf kid = sp_buf_make(SP_JWK_KID_BYTES);
    sp_buf_base64url(&kid, sp_hash_borrow(&hash));
    return sp_fit(ret_kid, SP_JWK_KID_BYTES, sp_buf_borrow(&kid));
}

sp_err sp_jwk_public(const sp_pkey *key, sp_buf *out)
{
    char kid[SP_JWK_KID_BYTES];
    coordinates c = {0};
    TRY(sp_jwk_kid(key, kid));
    TRY(coordinates_of(key, &c));
    sp_buf_text(out, "{");
    required_members(&c, out);
    sp_buf_fmt(out, ",\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
    coordinates_done(&c);
    return sp_buf_error(out);
}

static sp_err header_of(const sp_pkey *key, sp_buf *out)
{
    char kid[SP_JWK_KID_BYTES];
    TRY(sp_jwk_kid(key, kid));
    auto_buf sp_buf header = sp_buf_make(HEADER_MAX_BYTES);
    sp_buf_fmt(&header, "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", kid);
    sp_buf_base64url(out, sp_buf_borrow(&header));
    return sp_buf_error(&header);
}

sp_err sp_jwt_sign(sp_pkey *key, sp_span claims, sp_buf *out)
{
    auto_buf sp_buf token = sp_buf_make(SP_JWT_MAX_BYTES);
    uint8_t rs[SP_P256_RAW_BYTES];
    TRY(header_of(key, &token));
    sp_buf_byte(&token, '.');
    sp_buf_base64url(&token, claims);
    TRY(sp_buf_error(&token));
    TRY(sp_pkey_p256_sign_raw(key, sp_buf_borrow(&token), rs));
    sp_buf_byte(&token, '.');
    sp_buf_base64url(&token, sp_span_of(rs, sizeof(rs)));
    TRY(sp_buf_error(&token));
    sp_buf_span(out, sp_buf_borrow(&token));
    return sp_buf_error(out);
}

sp_err sp_jwt_open(sp_pkey *key, sp_span token, sp_buf *ret_claims)
{
    sp_span rest = token;
    sp_span header = SP_SPAN_EMPTY;
    sp_span claims = SP_SPAN_EMPTY;
    auto_buf sp_buf expected = sp_buf_make(HEADER_MAX_BYTES * 2);
    auto_buf sp_buf rs = sp_buf_make(SP_P256_RAW_BYTES);
    if (token.len > SP_JWT_MAX_BYTES || !sp_span_split(&rest, '.', &header) ||
        !sp_span_split(&rest, '.', &claims)) {
        return sp_fail(SP_EINVALID);
    }
    TRY(header_of(key, &expected));
    if (!sp_span_eq(header, sp_buf_borrow(&expected))) {
        return sp_fail(SP_ECORRUPT);
    }
    TRY(sp_buf_unbase64url(&rs, rest));
    sp_span signed_part = sp_span_slice(token, 0, header.len + 1 + claims.len);
    TRY(sp_pkey_p256_verify_raw(key, signed_part, sp_buf_borrow(&rs)));
    return sp_buf_unbase64url(ret_claims, claims);
}

/* SPDX-License-Identifier: Apache-2.0
 * Identity tokens.
 * OWNS nothing. PROCESS vault. TRUST claims come from core: held to the office's bounds.
 * SPEC vault/token.h.
 */
#include "vault/token.h"

#include "infra/crypto/jwt.h"

#include <jansson.h>

enum { SKEW_S = 60 };

static const sp_span PREFIX = {(const uint8_t *)"token.", 6};

static bool is_token_key(const sp_vkey *key)
{
    return sp_span_starts(sp_span_cstr(key->name), PREFIX);
}

/* The nth (from 0) key that has not been retired, in order of making: 0 = current, 1 = next. */
static sp_vkey *active(sp_keyring *ring, size_t nth)
{
    for (size_t i = 0; i < sp_keyring_count(ring); i++) {
        sp_vkey *key = sp_keyring_at(ring, i);
        if (is_token_key(key) && key->ends_unix_s == 0 && nth-- == 0) {
            return key;
        }
    }
    return NULL;
}

/* Numbered by the highest name so far. */
static sp_err make_next(sp_keyring *ring, uint64_t now_unix_s)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < sp_keyring_count(ring); i++) {
        const sp_vkey *key = sp_keyring_at(ring, i);
        uint64_t number = 0;
        if (is_token_key(key)) {
            sp_span digits = sp_span_cstr(key->name + PREFIX.len);
            TRY(sp_span_to_u64(digits, UINT32_MAX, &number));
            highest = number > highest ? number : highest;
        }
    }
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_NAME_MAX_BYTES);
    sp_buf_span(&name, PREFIX);
    sp_buf_u64_text(&name, highest + 1);
    sp_vkey *key = NULL;
    return sp_keyring_make(ring, sp_buf_borrow(&name), SP_VKEY_P256, "signs identity tokens",
                           now_unix_s, &key);
}

sp_err sp_token_prepare(sp_keyring *ring, uint64_t now_unix_s, bool *made)
{
    while (active(ring, 1) == NULL) {
        TRY(make_next(ring, now_unix_s));
        *made = true;
    }
    return sp_ok();
}

/* ---- what a token may say ---- */

static sp_span text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return sp_span_of(json_string_value(value), json_string_length(value));
}

/* "https://wiki.office.example:8443" or just the host: its host, empty for anything else. */
static sp_span host_of(sp_span audience)
{
    sp_span scheme = SP_SPAN_LIT("https://");
    if (sp_span_starts(audience, scheme)) {
        audience = sp_span_slice(audience, scheme.len, audience.len);
    }
    size_t colon = sp_span_index(audience, ':');
    sp_span port = sp_span_slice(audience, colon + 1, audience.len);
    uint64_t number = 0;
    if (colon < audience.len && sp_failed(sp_span_to_u64(port, UINT16_MAX, &number))) {
        return SP_SPAN_EMPTY;
    }
    sp_span host = sp_span_slice(audience, 0, colon);
    return sp_span_index(host, '/') == host.len ? host : SP_SPAN_EMPTY;
}

static bool is_below(sp_span host, sp_span domain)
{
    return host.len > domain.len + 1 && sp_span_ends(host, domain) &&
           host.ptr[host.len - domain.len - 1] == '.';
}

static bool times_are_bounded(const json_t *claims, uint64_t now_unix_s)
{
    const json_t *iat = json_object_get(claims, "iat");
    const json_t *exp = json_object_get(claims, "exp");
    if (!json_is_integer(iat) || !json_is_integer(exp)) {
        return false;
    }
    json_int_t from = json_integer_value(iat);
    json_int_t to = json_integer_value(exp);
    json_int_t now = (json_int_t)now_unix_s;
    return from > 0 && from <= now + SKEW_S && to > now - SKEW_S && to > from &&
           to - from <= SP_VAULT_TOKEN_LIFE_MAX_S;
}

static bool within_bounds(const json_t *claims, const sp_token_bounds *bounds, uint64_t now_unix_s)
{
    return sp_span_eq(text_of(claims, "iss"), bounds->issuer) &&
           is_below(host_of(text_of(claims, "aud")), bounds->domain) &&
           text_of(claims, "sub").len > 0 && text_of(claims, "jti").len > 0 &&
           times_are_bounded(claims, now_unix_s);
}

sp_err sp_token_sign(sp_keyring *ring, const sp_token_bounds *bounds, sp_span claims,
                     uint64_t now_unix_s, sp_buf *out)
{
    sp_vkey *key = active(ring, 0);
    if (key == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    if (claims.len == 0 || claims.len > SP_VAULT_CLAIMS_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    json_t *object = json_loadb((const char *)claims.ptr, claims.len, JSON_REJECT_DUPLICATES, NULL);
    bool is_object = json_is_object(object);
    bool good = is_object && within_bounds(object, bounds, now_unix_s);
    json_decref(object);
    if (!good) {
        return sp_fail(is_object ? SP_EDENIED : SP_EINVALID);
    }
    return sp_jwt_sign(key->pair, claims, out);
}

/* ---- keys ---- */

sp_err sp_token_jwks(sp_keyring *ring, sp_buf *out)
{
    bool first = true;
    sp_buf_text(out, "{\"keys\":[");
    for (size_t i = 0; i < sp_keyring_count(ring); i++) {
        const sp_vkey *key = sp_keyring_at(ring, i);
        if (is_token_key(key)) {
            sp_buf_text(out, first ? "" : ",");
            TRY(sp_jwk_public(key->pair, out));
            first = false;
        }
    }
    sp_buf_text(out, "]}");
    return sp_buf_error(out);
}

bool sp_token_due(sp_keyring *ring, uint64_t now_unix_s)
{
    /* The next key is as old as the current one's reign. */
    const sp_vkey *next = active(ring, 1);
    return next != NULL && now_unix_s > next->created_unix_s + SP_TOKEN_ROTATE_S;
}

static size_t retired(sp_keyring *ring)
{
    size_t count = 0;
    for (size_t i = 0; i < sp_keyring_count(ring); i++) {
        const sp_vkey *key = sp_keyring_at(ring, i);
        count += is_token_key(key) && key->ends_unix_s != 0 ? 1 : 0;
    }
    return count;
}

sp_err sp_token_rotate(sp_keyring *ring, uint64_t now_unix_s)
{
    sp_vkey *current = active(ring, 0);
    if (current == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    if (retired(ring) >= SP_TOKEN_RETIRED_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(make_next(ring, now_unix_s));
    current->ends_unix_s = now_unix_s + SP_TOKEN_KEEP_S;
    return sp_ok();
}

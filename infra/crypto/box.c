/* SPDX-License-Identifier: Apache-2.0
 * Sealed boxes by libsodium.
 * OWNS nothing. PROCESS vault, the backup command. TRUST sealed bytes may be hostile.
 * SPEC infra/crypto/box.h.
 */
#include "infra/crypto/box.h"

#include <sodium.h>

_Static_assert(SP_BOX_PUBLIC_BYTES == crypto_box_PUBLICKEYBYTES, "public key size");
_Static_assert(SP_KEY_BYTES == crypto_box_SEEDBYTES, "seed size");

sp_box_public sp_box_public_of(const sp_key *seed)
{
    sp_box_public public_half;
    uint8_t secret[crypto_box_SECRETKEYBYTES];
    crypto_box_seed_keypair(public_half.bytes, secret, seed->bytes);
    sp_wipe(secret, sizeof(secret));
    return public_half;
}

sp_err sp_box_seal(const sp_box_public *to, sp_span plain, sp_buf *out)
{
    if (plain.len > SIZE_MAX - crypto_box_SEALBYTES) {
        return sp_fail(SP_ELIMIT);
    }
    size_t len = plain.len + crypto_box_SEALBYTES;
    uint8_t *at = sp_buf_room(out, len);
    if (at == NULL) {
        return sp_buf_error(out);
    }
    if (crypto_box_seal(at, plain.ptr, plain.len, to->bytes) != 0) {
        return sp_fail(SP_EINVALID); /* a point of small order */
    }
    sp_buf_grown(out, len);
    return sp_ok();
}

sp_err sp_box_open(const sp_key *seed, sp_span sealed, sp_buf *out)
{
    uint8_t public_half[crypto_box_PUBLICKEYBYTES];
    uint8_t secret[crypto_box_SECRETKEYBYTES];
    if (sealed.len < crypto_box_SEALBYTES) {
        return sp_fail(SP_ECORRUPT);
    }
    size_t len = sealed.len - crypto_box_SEALBYTES;
    uint8_t *at = sp_buf_room(out, len);
    if (at == NULL) {
        return sp_buf_error(out);
    }
    crypto_box_seed_keypair(public_half, secret, seed->bytes);
    int rc = crypto_box_seal_open(at, sealed.ptr, sealed.len, public_half, secret);
    sp_wipe(secret, sizeof(secret));
    if (rc != 0) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_buf_grown(out, len);
    return sp_ok();
}

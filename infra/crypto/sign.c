/* SPDX-License-Identifier: Apache-2.0
 * Ed25519 by libsodium.
 * OWNS nothing. PROCESS vault signs; all verify. TRUST messages may be hostile.
 * SPEC infra/crypto/sign.h.
 */
#include "infra/crypto/sign.h"

#include <sodium.h>

_Static_assert(SP_SIGN_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "secret size");

void sp_sign_key_new(sp_sign_key *ret_secret, sp_verify_key *ret_public)
{
    crypto_sign_keypair(ret_public->bytes, ret_secret->bytes);
}

void sp_sign_key_wipe(sp_sign_key *key)
{
    sp_wipe(key, sizeof(*key));
}

sp_verify_key sp_sign_key_public(const sp_sign_key *key)
{
    sp_verify_key pub;
    crypto_sign_ed25519_sk_to_pk(pub.bytes, key->bytes);
    return pub;
}

bool sp_sign_key_is_whole(const sp_sign_key *key)
{
    sp_sign_key whole;
    sp_verify_key pub;
    crypto_sign_seed_keypair(pub.bytes, whole.bytes, key->bytes);
    bool same = sodium_memcmp(whole.bytes, key->bytes, sizeof(whole.bytes)) == 0;
    sp_sign_key_wipe(&whole);
    return same;
}

sp_signature sp_sign(const sp_sign_key *key, sp_span message)
{
    sp_signature signature;
    crypto_sign_detached(signature.bytes, NULL, message.ptr, message.len, key->bytes);
    return signature;
}

bool sp_verify(const sp_verify_key *key, sp_span message, const sp_signature *signature)
{
    return crypto_sign_verify_detached(signature->bytes, message.ptr, message.len, key->bytes) == 0;
}

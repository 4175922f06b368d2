/* SPDX-License-Identifier: Apache-2.0
 * Sealing and key derivation by libsodium.
 * OWNS nothing. PROCESS vault, ledger, core. TRUST sealed bytes may be hostile.
 * SPEC infra/crypto/aead.h.
 */
#include "infra/crypto/aead.h"

#include "infra/crypto/random.h"

#include <sodium.h>

_Static_assert(SP_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key size");
_Static_assert(SP_SEAL_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce size");
_Static_assert(SP_SEAL_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag size");

void sp_key_wipe(sp_key *key)
{
    sp_wipe(key, sizeof(*key));
}

sp_key sp_key_new(void)
{
    sp_key key = {0};
    sp_random(key.bytes, sizeof(key.bytes));
    return key;
}

/* HMAC-SHA256(key, parts). */
static void mac(const uint8_t *key, size_t key_len, sp_span a, sp_span b, uint8_t *ret_mac)
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_len);
    if (a.len > 0) {
        crypto_auth_hmacsha256_update(&state, a.ptr, a.len);
    }
    if (b.len > 0) {
        crypto_auth_hmacsha256_update(&state, b.ptr, b.len);
    }
    crypto_auth_hmacsha256_final(&state, ret_mac);
    sp_wipe(&state, sizeof(state));
}

sp_key sp_key_derive(const sp_key *from, sp_span salt, const char *label)
{
    static const uint8_t zeros[SP_KEY_BYTES] = {0};
    static const uint8_t first = 1;
    uint8_t prk[SP_KEY_BYTES];
    sp_key key;
    if (salt.len == 0) {
        salt = (sp_span){zeros, sizeof(zeros)};
    }
    mac(salt.ptr, salt.len, (sp_span){from->bytes, sizeof(from->bytes)}, SP_SPAN_EMPTY, prk);
    mac(prk, sizeof(prk), sp_span_cstr(label), (sp_span){&first, 1}, key.bytes);
    sp_wipe(prk, sizeof(prk));
    return key;
}

sp_err sp_seal(const sp_key *key, sp_span plain, sp_span bound, sp_buf *out)
{
    if (plain.len > SIZE_MAX - SP_SEAL_EXTRA_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    uint8_t *room = sp_buf_room(out, plain.len + SP_SEAL_EXTRA_BYTES);
    TRY(sp_buf_error(out));
    sp_random(room, SP_SEAL_NONCE_BYTES);
    unsigned long long sealed_len = 0;
    crypto_aead_xchacha20poly1305_ietf_encrypt(room + SP_SEAL_NONCE_BYTES, &sealed_len, plain.ptr,
                                               plain.len, bound.ptr, bound.len, NULL, room,
                                               key->bytes);
    sp_buf_grown(out, SP_SEAL_NONCE_BYTES + (size_t)sealed_len);
    return sp_ok();
}

sp_err sp_unseal(const sp_key *key, sp_span sealed, sp_span bound, sp_buf *out)
{
    if (sealed.len < SP_SEAL_EXTRA_BYTES) {
        return sp_fail(SP_ECORRUPT);
    }
    uint8_t *room = sp_buf_room(out, sealed.len - SP_SEAL_EXTRA_BYTES);
    TRY(sp_buf_error(out));
    unsigned long long plain_len = 0;
    int bad = crypto_aead_xchacha20poly1305_ietf_decrypt(
        room, &plain_len, NULL, sealed.ptr + SP_SEAL_NONCE_BYTES, sealed.len - SP_SEAL_NONCE_BYTES,
        bound.ptr, bound.len, sealed.ptr, key->bytes);
    if (bad != 0) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_buf_grown(out, (size_t)plain_len);
    return sp_ok();
}

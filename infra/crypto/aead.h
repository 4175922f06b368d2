/* SPDX-License-Identifier: Apache-2.0
 * Sealing with a key (XChaCha20-Poly1305) and deriving keys (HKDF-SHA256).
 * OWNS nothing. PROCESS vault, ledger, core. TRUST sealed bytes may be hostile.
 * SPEC libsodium crypto_aead_xchacha20poly1305_ietf; RFC 5869.
 */
#ifndef SP_CRYPTO_AEAD_H
#define SP_CRYPTO_AEAD_H

#include "lib/base/buf.h"

enum { SP_KEY_BYTES = 32, SP_SEAL_NONCE_BYTES = 24, SP_SEAL_TAG_BYTES = 16 };
enum { SP_SEAL_EXTRA_BYTES = SP_SEAL_NONCE_BYTES + SP_SEAL_TAG_BYTES };

typedef struct {
    uint8_t bytes[SP_KEY_BYTES];
} sp_key;
void sp_key_wipe(sp_key *key);
#define auto_key __attribute__((cleanup(sp_key_wipe)))

sp_key sp_key_new(void);
/* A key for one purpose; label names it ("ledger kek v1"). */
sp_key sp_key_derive(const sp_key *from, sp_span salt, const char *label);
/* Appends nonce || ciphertext || tag. */
SP_MUST sp_err sp_seal(const sp_key *key, sp_span plain, sp_span bound, sp_buf *out);
/* Appends the plain text. SP_ECORRUPT when key, bound data or bytes are not those sealed. */
SP_MUST sp_err sp_unseal(const sp_key *key, sp_span sealed, sp_span bound, sp_buf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Ed25519 signatures.
 * OWNS nothing. PROCESS vault signs; all verify. TRUST messages and signatures may be hostile.
 * SPEC RFC 8032.
 */
#ifndef SP_CRYPTO_SIGN_H
#define SP_CRYPTO_SIGN_H

#include "lib/base/mem.h"

enum { SP_SIGN_PUBLIC_BYTES = 32, SP_SIGN_SECRET_BYTES = 64, SP_SIGNATURE_BYTES = 64 };

typedef struct {
    uint8_t bytes[SP_SIGN_PUBLIC_BYTES];
} sp_verify_key;
typedef struct {
    uint8_t bytes[SP_SIGN_SECRET_BYTES];
} sp_sign_key;
typedef struct {
    uint8_t bytes[SP_SIGNATURE_BYTES];
} sp_signature;

void sp_sign_key_new(sp_sign_key *ret_secret, sp_verify_key *ret_public);
void sp_sign_key_wipe(sp_sign_key *key);
sp_verify_key sp_sign_key_public(const sp_sign_key *key);
/* Its public half is that of its seed. */
bool sp_sign_key_is_whole(const sp_sign_key *key);
sp_signature sp_sign(const sp_sign_key *key, sp_span message);
bool sp_verify(const sp_verify_key *key, sp_span message, const sp_signature *signature);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Sealing to a public key (X25519, XSalsa20-Poly1305): who seals cannot open what he sealed.
 * OWNS nothing. PROCESS vault seals, the backup command opens. TRUST sealed bytes may be hostile.
 * SPEC libsodium crypto_box_seal.
 */
#ifndef SP_CRYPTO_BOX_H
#define SP_CRYPTO_BOX_H

#include "infra/crypto/aead.h"

enum { SP_BOX_PUBLIC_BYTES = 32 };

typedef struct {
    uint8_t bytes[SP_BOX_PUBLIC_BYTES];
} sp_box_public;

/* The key pair that follows from a seed; the secret half is made anew where it is needed. */
sp_box_public sp_box_public_of(const sp_key *seed);
/* Appends. SP_EINVALID: no usable public key. */
SP_MUST sp_err sp_box_seal(const sp_box_public *to, sp_span plain, sp_buf *out);
/* Appends the plain text; the caller wipes it. SP_ECORRUPT: another seed, or changed bytes. */
SP_MUST sp_err sp_box_open(const sp_key *seed, sp_span sealed, sp_buf *out);

#endif

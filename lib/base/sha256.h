/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 at memory speed: OpenSSL's own rounds (SHA-NI where there is one), without the
 * per-call fetch of the EVP layer, because a gate hashes a cookie on every request.
 * OWNS nothing. PROCESS all. TRUST none. SPEC FIPS 180-4.
 */
#ifndef SP_BASE_SHA256_H
#define SP_BASE_SHA256_H

#include "lib/base/span.h"

enum { SP_SHA256_BYTES = 32 };

typedef struct {
    uint8_t bytes[SP_SHA256_BYTES];
} sp_hash;

sp_hash sp_sha256(sp_span bytes);
/* The hash of the parts one after another. */
sp_hash sp_sha256_parts(const sp_span *parts, size_t count);
bool sp_hash_eq(const sp_hash *a, const sp_hash *b);
static inline sp_span sp_hash_borrow(const sp_hash *hash)
{
    return (sp_span){hash->bytes, SP_SHA256_BYTES};
}

#endif

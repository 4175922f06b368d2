/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 over OpenSSL's low-level interface.
 * OWNS nothing. PROCESS all. TRUST none. SPEC lib/base/sha256.h.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "lib/base/sha256.h"

#include <openssl/sha.h>

sp_hash sp_sha256_parts(const sp_span *parts, size_t count)
{
    SHA256_CTX ctx;
    sp_hash hash;
    SHA256_Init(&ctx);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            SHA256_Update(&ctx, parts[i].ptr, parts[i].len);
        }
    }
    SHA256_Final(hash.bytes, &ctx);
    return hash;
}

sp_hash sp_sha256(sp_span bytes)
{
    return sp_sha256_parts(&bytes, 1);
}

bool sp_hash_eq(const sp_hash *a, const sp_hash *b)
{
    return sp_span_eq_secret(sp_hash_borrow(a), sp_hash_borrow(b));
}

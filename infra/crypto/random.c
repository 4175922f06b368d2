/* SPDX-License-Identifier: Apache-2.0
 * Randomness by libsodium (getrandom).
 * OWNS nothing. PROCESS all. TRUST none. SPEC infra/crypto/random.h.
 */
#include "infra/crypto/random.h"

#include <sodium.h>

sp_err sp_crypto_start(void)
{
    return sodium_init() < 0 ? sp_fail(SP_EINTERNAL) : sp_ok();
}

void sp_random(void *to, size_t len)
{
    randombytes_buf(to, len);
}

uint64_t sp_random_u64(void)
{
    uint64_t value = 0;
    randombytes_buf(&value, sizeof(value));
    return value;
}

uint32_t sp_random_below(uint32_t bound)
{
    return randombytes_uniform(bound);
}

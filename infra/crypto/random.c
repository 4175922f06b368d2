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

void sp_random_code(char ret_code[SP_RANDOM_CODE_BYTES])
{
    static const char letters[] = "23456789BCDFGHJKMNPQRSTVWXYZ"; /* no vowels, no look-alikes */
    for (size_t at = 0; at < SP_RANDOM_CODE_BYTES - 1; at++) {
        bool middle = at == SP_RANDOM_CODE_BYTES / 2 - 1;
        ret_code[at] = middle ? '-' : letters[sp_random_below(sizeof(letters) - 1)];
    }
    ret_code[SP_RANDOM_CODE_BYTES - 1] = '\0';
}

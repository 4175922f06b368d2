/* SPDX-License-Identifier: Apache-2.0
 * Randomness from the kernel, and Crockford base32 references for people.
 * OWNS nothing. PROCESS all but lib/. TRUST none. SPEC getrandom(2).
 */
#ifndef SP_CRYPTO_RANDOM_H
#define SP_CRYPTO_RANDOM_H

#include "lib/base/buf.h"

/* Must be called once before any other call of infra/crypto. */
SP_MUST sp_err sp_crypto_start(void);
/* Never fails: without randomness the process ends. */
void sp_random(void *to, size_t len);
uint64_t sp_random_u64(void);
/* Uniform in [0, bound), bound > 0. */
uint32_t sp_random_below(uint32_t bound);
/* "QWRR-7TY9": a code that people read and type, 38 bits. */
enum { SP_RANDOM_CODE_BYTES = 10 };
void sp_random_code(char ret_code[SP_RANDOM_CODE_BYTES]);

#endif

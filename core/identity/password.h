/* SPDX-License-Identifier: Apache-2.0
 * Passwords: argon2id in the thread pool, at most two at a time.
 *
 * Story: hashing costs 64 MiB and some 100 ms, on purpose; an attacker must not be able to make
 * core spend more than two of them at once, nor let people wait for ever: when 32 wait, the next is
 * told "not now" (SP_EAGAIN, answered 429).
 *
 * OWNS queued jobs and their copies of passwords, wiped. PROCESS core. TRUST passwords are hostile
 * bytes, <= 1024. SPEC RFC 9106; libsodium crypto_pwhash.
 */
#ifndef SP_CORE_IDENTITY_PASSWORD_H
#define SP_CORE_IDENTITY_PASSWORD_H

#include "lib/base/buf.h"

#include <uv.h>

enum {
    SP_PASSWORD_MIN_BYTES = 12,
    SP_PASSWORD_MAX_BYTES = 1024,
    SP_PASSWORD_HASH_BYTES = 128,
    SP_PASSWORD_JOBS_AT_ONCE = 2,
    SP_PASSWORD_JOBS_MAX = 32
};

typedef struct sp_passwords sp_passwords;
SP_MUST sp_err sp_passwords_new(uv_loop_t *loop, sp_passwords **ret_passwords);
/* Jobs under way end first: run the loop. */
void sp_passwords_free(sp_passwords *passwords);

/* Always later, never from inside the call; hash is a NUL-terminated text valid during the call. */
typedef void (*sp_on_hashed)(void *self, sp_err err, const char *hash);
SP_MUST sp_err sp_password_hash(sp_passwords *passwords, sp_span password, sp_on_hashed on_hashed,
                                void *self);
/* hash NULL = nobody's: the same work is done and the answer is no. */
typedef void (*sp_on_checked)(void *self, sp_err err, bool is_right);
SP_MUST sp_err sp_password_check(sp_passwords *passwords, sp_span password, const char *hash,
                                 sp_on_checked on_checked, void *self);

/* Long enough and not one that everybody tries: the list of the common, the account's own name, one
 * character or a short piece repeated, a run of the keyboard. */
bool sp_password_is_weak(sp_span password, sp_span name);

#endif

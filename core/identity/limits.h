/* SPDX-License-Identifier: Apache-2.0
 * How often somebody may fail: per account name (existing or not, so that the answer tells nothing)
 * and per address.
 *
 * Story: after `free_tries` failures each further one closes the door, for 15 s, then twice as long
 * each time up to 15 minutes. An hour of quiet, or a success (of an account), opens it. Passkeys
 * are not stopped by an account's door, so nobody can be locked out by others.
 *
 * What is counted is kept in the store every two seconds (limits_kept.c).
 *
 * OWNS its table: a fixed size, the least recently used of eight gives way. PROCESS core. TRUST
 * keys are hostile: hashed with a secret seed. SPEC NIST SP 800-63B 5.2.2.
 */
#ifndef SP_CORE_IDENTITY_LIMITS_H
#define SP_CORE_IDENTITY_LIMITS_H

#include "lib/base/mem.h"

typedef struct sp_limits sp_limits;

enum { SP_LIMIT_ACCOUNT_TRIES = 5, SP_LIMIT_ADDRESS_TRIES = 100 };

SP_MUST sp_err sp_limits_new(uint64_t seed, sp_limits **ret_limits);
void sp_limits_free(sp_limits *limits);
uint64_t sp_limits_account_key(const sp_limits *limits, sp_span name);
/* An IPv6 address counts as its /64. */
uint64_t sp_limits_address_key(const sp_limits *limits, const uint8_t peer[16]);
/* One counter as it is kept elsewhere, so that a restart opens no door. Times are of the clock that
 * the calls are given. */
typedef struct {
    uint32_t place; /* in the table: at most SP_LIMITS_PLACES rows are ever kept */
    uint64_t key;   /* 0 = the place is free now */
    uint32_t failures;
    uint64_t last_us;
    uint64_t closed_until_us;
} sp_limit_row;
enum { SP_LIMITS_PLACES = 4096 * 8 };
/* Those that changed since the last call, at most max of them; their number. */
size_t sp_limits_changed(sp_limits *limits, sp_limit_row *ret_rows, size_t max);
/* Puts one back; a row whose key does not belong to its place is left out. */
void sp_limits_restore(sp_limits *limits, const sp_limit_row *row);
/* Seconds until the door opens, 0 = open. */
uint64_t sp_limits_wait_s(const sp_limits *limits, uint64_t key, uint64_t now_us);
void sp_limits_failed(sp_limits *limits, uint64_t key, uint32_t free_tries, uint64_t now_us);
/* One failure less: it was counted when the try began, and did not come to an end. */
void sp_limits_take_back(sp_limits *limits, uint64_t key, uint32_t free_tries);
void sp_limits_worked(sp_limits *limits, uint64_t key);

#endif

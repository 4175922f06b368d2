/* SPDX-License-Identifier: Apache-2.0
 * Limits.
 * OWNS its table. PROCESS core. TRUST keys are hostile. SPEC core/identity/limits.h.
 */
#include "core/identity/limits.h"

enum { SETS = 4096, WAYS = 8, FIRST_S = 15, LONGEST_S = 900, QUIET_S = 3600 };
#define US UINT64_C(1000000)

typedef struct {
    uint64_t key; /* 0 = free */
    uint64_t last_us;
    uint64_t closed_until_us;
    uint32_t failures;
} counter;

struct sp_limits {
    uint64_t seed;
    counter table[SETS][WAYS];
};

sp_err sp_limits_new(uint64_t seed, sp_limits **ret_limits)
{
    sp_limits *limits = NULL;
    TRY(sp_alloc(1, sizeof(*limits), &limits));
    limits->seed = seed;
    *ret_limits = limits;
    return sp_ok();
}

void sp_limits_free(sp_limits *limits)
{
    sp_free(limits);
}

uint64_t sp_limits_account_key(const sp_limits *limits, sp_span name)
{
    return sp_span_hash(name, limits->seed) | 1;
}

uint64_t sp_limits_address_key(const sp_limits *limits, const uint8_t peer[16])
{
    static const uint8_t four[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool is_four = sp_span_eq(sp_span_of(peer, sizeof(four)), sp_span_of(four, sizeof(four)));
    return sp_span_hash(sp_span_of(peer, is_four ? 16 : 8), ~limits->seed) | 1;
}

static counter *find(const sp_limits *limits, uint64_t key)
{
    const counter *set = limits->table[(key >> 1) % SETS];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            return (counter *)(uintptr_t)&set[i];
        }
    }
    return NULL;
}

static counter *find_or_take(sp_limits *limits, uint64_t key)
{
    counter *found = find(limits, key);
    counter *set = limits->table[(key >> 1) % SETS];
    counter *oldest = &set[0];
    for (size_t i = 0; found == NULL && i < WAYS; i++) {
        oldest = set[i].last_us < oldest->last_us ? &set[i] : oldest;
    }
    if (found == NULL) {
        *oldest = (counter){.key = key};
        found = oldest;
    }
    return found;
}

uint64_t sp_limits_wait_s(const sp_limits *limits, uint64_t key, uint64_t now_us)
{
    const counter *at = find(limits, key);
    return at == NULL || at->closed_until_us <= now_us
               ? 0
               : (at->closed_until_us - now_us + US - 1) / US;
}

void sp_limits_failed(sp_limits *limits, uint64_t key, uint32_t free_tries, uint64_t now_us)
{
    counter *at = find_or_take(limits, key);
    if (now_us - at->last_us > QUIET_S * US) {
        at->failures = 0;
    }
    at->failures++;
    at->last_us = now_us;
    if (at->failures >= free_tries) {
        uint32_t doublings = at->failures - free_tries;
        uint64_t wait_s = doublings > 6 ? LONGEST_S : (uint64_t)FIRST_S << doublings;
        at->closed_until_us = now_us + (wait_s > LONGEST_S ? LONGEST_S : wait_s) * US;
    }
}

void sp_limits_worked(sp_limits *limits, uint64_t key)
{
    counter *at = find(limits, key);
    if (at != NULL) {
        *at = (counter){0};
    }
}

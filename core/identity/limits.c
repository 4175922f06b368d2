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
    bool changed; /* not yet kept */
} counter;

struct sp_limits {
    uint64_t seed;
    size_t changed;
    uint32_t swept; /* where the search for changed ones goes on */
    counter table[SETS][WAYS];
};
_Static_assert(SETS *WAYS == SP_LIMITS_PLACES, "a place for each counter");

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
        *oldest = (counter){.key = key, .changed = oldest->changed};
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

static void touch(sp_limits *limits, counter *at)
{
    limits->changed += at->changed ? 0 : 1;
    at->changed = true;
}

void sp_limits_failed(sp_limits *limits, uint64_t key, uint32_t free_tries, uint64_t now_us)
{
    counter *at = find_or_take(limits, key);
    if (now_us - at->last_us > QUIET_S * US) {
        at->failures = 0;
    }
    at->failures++;
    at->last_us = now_us;
    touch(limits, at);
    if (at->failures >= free_tries) {
        uint32_t doublings = at->failures - free_tries;
        uint64_t wait_s = doublings > 6 ? LONGEST_S : (uint64_t)FIRST_S << doublings;
        at->closed_until_us = now_us + (wait_s > LONGEST_S ? LONGEST_S : wait_s) * US;
    }
}

void sp_limits_take_back(sp_limits *limits, uint64_t key, uint32_t free_tries)
{
    counter *at = find(limits, key);
    if (at != NULL && at->failures > 0) {
        at->failures--;
        at->closed_until_us = at->failures < free_tries ? 0 : at->closed_until_us;
        touch(limits, at);
    }
}

void sp_limits_worked(sp_limits *limits, uint64_t key)
{
    counter *at = find(limits, key);
    if (at != NULL) {
        *at = (counter){.changed = at->changed};
        touch(limits, at);
    }
}

size_t sp_limits_changed(sp_limits *limits, sp_limit_row *ret_rows, size_t max)
{
    size_t count = 0;
    for (uint32_t i = 0; i < SP_LIMITS_PLACES && limits->changed > 0 && count < max; i++) {
        uint32_t place = limits->swept;
        limits->swept = (place + 1) % SP_LIMITS_PLACES;
        counter *at = &limits->table[place / WAYS][place % WAYS];
        if (at->changed) {
            at->changed = false;
            limits->changed--;
            ret_rows[count++] =
                (sp_limit_row){place, at->key, at->failures, at->last_us, at->closed_until_us};
        }
    }
    return count;
}

void sp_limits_restore(sp_limits *limits, const sp_limit_row *row)
{
    if (row->place < SP_LIMITS_PLACES && row->key != 0 &&
        (row->key >> 1) % SETS == row->place / WAYS) {
        limits->table[row->place / WAYS][row->place % WAYS] =
            (counter){.key = row->key,
                      .failures = row->failures,
                      .last_us = row->last_us,
                      .closed_until_us = row->closed_until_us};
    }
}

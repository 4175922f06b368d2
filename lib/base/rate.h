/* SPDX-License-Identifier: Apache-2.0
 * How often something may happen: so much at once as in a minute, and then evenly.
 * OWNS nothing. PROCESS core, gates. TRUST none. SPEC ITU-T I.371 annex A (GCRA).
 */
#ifndef SP_BASE_RATE_H
#define SP_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t until_us; /* when all that came would have come evenly; 0 = nothing yet */
} sp_rate;

/* One more, when a_minute (at least 1) may come in a minute. False: too soon, and not counted.
 * now_us: of a clock that nobody sets. */
bool sp_rate_take(sp_rate *rate, uint32_t a_minute, uint64_t now_us);
/* As if nothing had come: it may be forgotten. */
bool sp_rate_is_calm(const sp_rate *rate, uint64_t now_us);

#endif

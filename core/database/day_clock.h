/* SPDX-License-Identifier: Apache-2.0
 * Which day it is for what is counted a day, when the wall clock is set. A day goes on as long as
 * it would have; what is left of the calendar's day then is a day of its own if it is half of one
 * or more, else it belongs to the old one, once. So a clock that is set begins nobody's day early,
 * and nobody waits for the next one for more than a day and a half. OWNS nothing. PROCESS core.
 * TRUST the clock may be set wrongly. SPEC docs/OPERATIONS.md "The clock".
 */
#ifndef SP_CORE_DATABASE_DAY_CLOCK_H
#define SP_CORE_DATABASE_DAY_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { SP_DAY_S = 24 * 3600 };

/* Times are the office's own: seconds since 1970, as its clocks on the wall show them. All zero: it
 * was never set. */
typedef struct {
    uint64_t hold_s; /* before that it is day `held` */
    uint64_t held;
    int64_t ahead;  /* days of the calendar minus days as they are counted */
    bool is_longer; /* what is held has had its day, and more */
} sp_day_clock;

uint64_t sp_day_clock_day(const sp_day_clock *clock, uint64_t local_s);
/* The clock was set by so much, and shows local_s now. */
void sp_day_clock_set(sp_day_clock *clock, uint64_t local_s, int64_t by_s);
/* newest: the last day of which anything is counted. A clock that was set back while nobody looked
 * goes on with that one, and none is held for ever. */
void sp_day_clock_right(sp_day_clock *clock, uint64_t local_s, uint64_t newest);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Which day it is, whatever the wall clock was set to.
 * OWNS nothing. PROCESS core. TRUST see the header. SPEC core/database/day_clock.h.
 */
#include "core/database/day_clock.h"

/* Of the calendar, as it is counted when nothing is held. */
static uint64_t counted(const sp_day_clock *clock, uint64_t local_s)
{
    return local_s / SP_DAY_S - (uint64_t)clock->ahead;
}

uint64_t sp_day_clock_day(const sp_day_clock *clock, uint64_t local_s)
{
    return local_s < clock->hold_s ? clock->held : counted(clock, local_s);
}

void sp_day_clock_set(sp_day_clock *clock, uint64_t local_s, int64_t by_s)
{
    uint64_t was_s = by_s < 0 || (uint64_t)by_s <= local_s ? local_s - (uint64_t)by_s : 0;
    uint64_t day = sp_day_clock_day(clock, was_s);
    bool is_held = was_s < clock->hold_s;
    bool is_longer = is_held ? clock->is_longer : clock->hold_s != 0 && day == clock->held;
    uint64_t midnight_s = (was_s / SP_DAY_S + 1) * SP_DAY_S;
    uint64_t ends_s = local_s + (is_held ? clock->hold_s : midnight_s) - was_s;
    bool is_next = is_longer || ends_s % SP_DAY_S <= SP_DAY_S / 2; /* the rest, as its own day */
    *clock = (sp_day_clock){.hold_s = ends_s,
                            .held = day,
                            .ahead = (int64_t)(ends_s / SP_DAY_S - day - (is_next ? 1 : 0)),
                            .is_longer = is_longer};
}

void sp_day_clock_right(sp_day_clock *clock, uint64_t local_s, uint64_t newest)
{
    if (clock->hold_s > local_s + 2 * SP_DAY_S) {
        clock->hold_s = 0;
    }
    if (sp_day_clock_day(clock, local_s) < newest) {
        *clock = (sp_day_clock){.ahead = (int64_t)(local_s / SP_DAY_S - newest)};
    }
}

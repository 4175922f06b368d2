/* SPDX-License-Identifier: Apache-2.0
 * The wall clock was set while core runs: each room moves what waits, or ends, by it. The rule
 * (docs/OPERATIONS.md "The clock"): what waits, waits as long as it would have; what is cut stays
 * cut as long; access ends no later than it would have.
 * OWNS nothing. PROCESS core. TRUST the clock may be set wrongly. SPEC infra/proc/jumps.h.
 */
#ifndef SP_CORE_CLOCK_H
#define SP_CORE_CLOCK_H

#include "core/core.h"

/* The rooms are there. A jump that core saw, and that the store had not taken when it ended, is
 * made up for. SP_EINVALID: what was kept of it cannot be read. */
SP_MUST sp_err sp_clock_start(sp_core *core);
/* Before a room ends something because of the time. The ledger is told of a jump. Sessions in
 * memory end by it at once, and days go on (core/database/day_clock.h); what the store has is moved
 * in one transaction, which is tried again with every look until it is kept, by the next core too.
 */
void sp_clock_look(sp_core *core);

/* SQL: a time (0 = never) by so much later or earlier, and never before the first second that there
 * is: the store holds no time that cannot be read back. */
#define SP_CLOCK_MOVED(column, by)                                                                 \
    "CASE WHEN " column " = 0 THEN 0 WHEN " column " + " by " < 1 THEN 1 ELSE " column " + " by    \
    " END"
/* The same in memory. */
static inline uint64_t sp_clock_moved(uint64_t at_s, int64_t by_s)
{
    uint64_t far_s = by_s < 0 ? 0 - (uint64_t)by_s : (uint64_t)by_s;
    if (at_s == 0) {
        return 0;
    }
    if (by_s < 0) {
        return at_s > far_s ? at_s - far_s : 1;
    }
    return at_s > INT64_MAX - far_s ? INT64_MAX : at_s + far_s;
}

#endif

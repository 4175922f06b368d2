/* SPDX-License-Identifier: Apache-2.0
 * The wall clock was set while core runs: each room moves what waits, or ends, by it. The rule
 * (docs/OPERATIONS.md "The clock"): what waits, waits as long as it would have; what is cut stays
 * cut as long; access ends no later than it would have.
 * OWNS nothing. PROCESS core. TRUST the clock may be set wrongly. SPEC infra/proc/jumps.h.
 */
#ifndef SP_CORE_CLOCK_H
#define SP_CORE_CLOCK_H

#include "core/core.h"

/* Before a room ends something because of the time. The ledger is told of a jump. */
void sp_clock_look(sp_core *core);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The clocks. lib/ gets the time as an argument instead.
 * OWNS nothing. PROCESS all. TRUST none. SPEC clock_gettime(2).
 */
#ifndef SP_PROC_CLOCK_H
#define SP_PROC_CLOCK_H

#include <stdint.h>

/* Wall clock, microseconds since 1970-01-01 UTC. */
uint64_t sp_now_unix_us(void);
/* Steady clock, for intervals. */
uint64_t sp_now_steady_us(void);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Whether the wall clock was set: it is held against the one that nobody sets. For what waits or
 * remembers times of the wall clock and must not take a jump for time that has passed.
 * OWNS nothing. PROCESS any. TRUST the wall clock may be set wrongly; the steady one is the
 * kernel's. SPEC docs/OPERATIONS.md "The clock".
 */
#ifndef SP_PROC_JUMPS_H
#define SP_PROC_JUMPS_H

#include <stdint.h>

#define SP_JUMP_US (UINT64_C(60) * 1000000) /* what is less is no jump */

/* All zero: not looked at yet. */
typedef struct {
    uint64_t unix_us;
    uint64_t steady_us;
} sp_jumps;

/* How far it was set since the last look (back: negative); 0 = not. */
int64_t sp_jumps_look(sp_jumps *jumps, uint64_t now_unix_us, uint64_t now_steady_us);

#endif

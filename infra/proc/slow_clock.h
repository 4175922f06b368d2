/* SPDX-License-Identifier: Apache-2.0
 * A clock for what cannot be taken back (expiry, what ends because nobody confirmed it): it follows
 * the wall clock, but jumps ahead of more than a day, however many steps they come in, it believes
 * only after a day of running, over restarts too.
 * OWNS nothing; the path is borrowed. PROCESS any with a directory of its own. TRUST the wall clock
 * may be set wrongly; the steady one is the kernel's. SPEC docs/OPERATIONS.md "The clock".
 */
#ifndef SP_PROC_SLOW_CLOCK_H
#define SP_PROC_SLOW_CLOCK_H

#include "lib/base/err.h"

#include <stdint.h>

#define SP_SLOW_CLOCK_DAY_US (UINT64_C(86400) * 1000000)

typedef struct {
    const char *path;    /* "<unix us> <doubted us>": what a restart goes on from */
    uint64_t unix_us;    /* the time that is believed */
    uint64_t steady_us;  /* when that was */
    uint64_t doubted_us; /* how long the wall clock has been too far ahead; 0 = it is believed */
    uint64_t ahead_us;   /* what may still be believed at once: a day, and as much again a day */
    uint64_t kept_us;    /* unix_us in the file */
} sp_slow_clock;

/* Where there is no file the wall clock is believed. Anything but a file of ours: SP_EINVALID. */
SP_MUST sp_err sp_slow_clock_open(sp_slow_clock *clock, const char *path, uint64_t now_unix_us,
                                  uint64_t now_steady_us);
/* Looks at both clocks. True when a jump has just been seen, which is to be told. */
bool sp_slow_clock_tick(sp_slow_clock *clock, uint64_t now_unix_us, uint64_t now_steady_us);

#endif

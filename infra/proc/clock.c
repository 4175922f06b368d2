/* SPDX-License-Identifier: Apache-2.0
 * The clocks.
 * OWNS nothing. PROCESS all. TRUST none. SPEC infra/proc/clock.h.
 */
#include "infra/proc/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t which)
{
    struct timespec at = {0};
    clock_gettime(which, &at);
    return (uint64_t)at.tv_sec * 1000000 + (uint64_t)at.tv_nsec / 1000;
}

uint64_t sp_now_unix_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t sp_now_steady_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* SPDX-License-Identifier: Apache-2.0
 * Whether the wall clock was set.
 * OWNS nothing. PROCESS any. TRUST see the header. SPEC infra/proc/jumps.h.
 */
#include "infra/proc/jumps.h"

int64_t sp_jumps_look(sp_jumps *jumps, uint64_t now_unix_us, uint64_t now_steady_us)
{
    int64_t wall = (int64_t)(now_unix_us - jumps->unix_us);
    int64_t steady = (int64_t)(now_steady_us - jumps->steady_us);
    int64_t by_us = jumps->unix_us == 0 ? 0 : wall - steady;
    *jumps = (sp_jumps){now_unix_us, now_steady_us};
    return by_us > (int64_t)SP_JUMP_US || by_us < -(int64_t)SP_JUMP_US ? by_us : 0;
}

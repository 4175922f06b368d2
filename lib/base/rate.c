/* SPDX-License-Identifier: Apache-2.0
 * How often something may happen.
 * OWNS nothing. PROCESS core, gates. TRUST none. SPEC lib/base/rate.h.
 */
#include "lib/base/rate.h"

enum { MINUTE_US = 60000000 };

bool sp_rate_take(sp_rate *rate, uint32_t a_minute, uint64_t now_us)
{
    uint64_t each_us = MINUTE_US / a_minute;
    uint64_t from_us = rate->until_us > now_us ? rate->until_us : now_us;
    if (from_us + each_us - now_us > MINUTE_US) {
        return false;
    }
    rate->until_us = from_us + each_us;
    return true;
}

bool sp_rate_is_calm(const sp_rate *rate, uint64_t now_us)
{
    return rate->until_us <= now_us;
}

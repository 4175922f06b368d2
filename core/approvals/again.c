/* SPDX-License-Identifier: Apache-2.0
 * OWNS nothing. PROCESS core. TRUST see again.h. SPEC core/approvals/again.h.
 */
#include "core/approvals/again.h"

#include <stddef.h>

#define WAIT_US (UINT64_C(1000000) * SP_AGAIN_S)

bool sp_again_is_for_good(sp_code code)
{
    return code == SP_EDENIED || code == SP_ENOTFOUND || code == SP_ECONFLICT ||
           code == SP_EINVALID || code == SP_EUNSUPPORTED;
}

sp_again_state sp_again_look(const sp_again *again, uint64_t ask, uint64_t now_us)
{
    for (size_t i = 0; i < SP_AGAIN_PLACES; i++) {
        uint64_t at_us = again->of[i].at_us;
        if (again->of[i].ask == ask && now_us < at_us + WAIT_US) {
            return now_us < at_us ? SP_AGAIN_WAITS : SP_AGAIN_DUE;
        }
    }
    return SP_AGAIN_NEVER;
}

bool sp_again_later(sp_again *again, uint64_t ask, uint64_t now_us)
{
    bool is_new = sp_again_look(again, ask, now_us) == SP_AGAIN_NEVER;
    size_t at = 0; /* its own place, else the one whose time was or comes first */
    for (size_t i = 0; i < SP_AGAIN_PLACES && again->of[at].ask != ask; i++) {
        at = again->of[i].ask == ask || again->of[i].at_us < again->of[at].at_us ? i : at;
    }
    again->of[at].ask = ask;
    again->of[at].at_us = now_us + WAIT_US;
    return is_new;
}

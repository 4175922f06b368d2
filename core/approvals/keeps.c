/* SPDX-License-Identifier: Apache-2.0
 * What is kept before it is destroyed, and undo. (The keeper's line comes with the role.)
 * OWNS nothing. PROCESS core. TRUST see approvals.h. SPEC core/approvals/README.md.
 */
#include "core/approvals/inside.h"

sp_err sp_keeps_routes(sp_core *core)
{
    (void)core;
    return sp_ok();
}

sp_err sp_keeps_start(sp_approvals *approvals)
{
    (void)approvals;
    return sp_ok();
}

void sp_keeps_stop(sp_approvals *approvals)
{
    (void)approvals;
}

void sp_keeps_estimate(sp_core *core, const sp_ask *ask)
{
    (void)core;
    (void)ask;
}

sp_err sp_keeps_on_message(sp_core *core, sp_peer *peer, const sp_msg *msg)
{
    (void)core;
    sp_peer_reply(peer, msg, SP_EUNSUPPORTED, SP_SPAN_EMPTY, NULL, 0);
    return sp_ok();
}

void sp_keeps_undo(sp_core *core, const sp_ask *ask)
{
    (void)core;
    (void)ask;
}

void sp_keeps_tick(sp_core *core, uint64_t now_unix_s)
{
    (void)core;
    (void)now_unix_s;
}

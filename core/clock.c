/* SPDX-License-Identifier: Apache-2.0
 * The wall clock was set.
 * OWNS nothing. PROCESS core. TRUST see the header. SPEC core/clock.h.
 */
#include "core/clock.h"

#include "core/approvals/approvals.h"
#include "core/cut/cut.h"
#include "core/ledger_client.h"
#include "core/notices/notices.h"
#include "core/plans/plans.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

static void tell(sp_core *core, int64_t by_s)
{
    auto_buf sp_buf what = sp_buf_make(128);
    sp_buf_fmt(&what, "by %lld s", (long long)by_s);
    const sp_event event = {.kind = SP_EVENT_ROLE,
                            .when_unix_us = sp_now_unix_us(),
                            .verdict = SP_VERDICT_ALLOW,
                            .severity = SP_SEVERITY_HIGH,
                            .method = SP_SPAN_LIT("clock jumped"),
                            .object = sp_buf_borrow(&what)};
    sp_log(SP_LOG_WARN, "the clock was set by %lld s", (long long)by_s);
    sp_ledger_client_tell(core->ledger, &event);
}

void sp_clock_look(sp_core *core)
{
    static const struct {
        sp_err (*move)(sp_core *core, int64_t by_s);
        const char *what;
    } rooms[] = {
        {sp_cut_clock_set, "what is cut"},         {sp_sessions_clock_set, "sessions"},
        {sp_approvals_clock_set, "approvals"},     {sp_plans_clock_set, "runs of plans"},
        {sp_notices_clock_set, "waiting notices"},
    };
    int64_t by_s = sp_jumps_look(&core->jumps, sp_now_unix_us(), sp_now_steady_us()) / 1000000;
    if (by_s == 0) {
        return;
    }
    tell(core, by_s);
    for (size_t i = 0; i < SP_COUNT(rooms); i++) {
        sp_err err = rooms[i].move(core, by_s);
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "the clock was set, and %s could not be moved with it: %s",
                   rooms[i].what, sp_code_word(err.code));
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * The wall clock was set.
 * OWNS nothing. PROCESS core. TRUST see the header. SPEC core/clock.h.
 */
#include "core/clock.h"

#include "core/approvals/approvals.h"
#include "core/cut/cut.h"
#include "core/incidents/incidents.h"
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

/* All rooms or none: half of what hangs together is not left behind. */
static sp_err move_rows(sp_core *core)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_sessions_clock_rows(core, core->jump_s, core->jump_back_s));
    TRY(sp_approvals_clock_rows(core, core->jump_back_s));
    TRY(sp_cut_clock_rows(core, core->jump_s, core->jump_cut));
    TRY(sp_plans_clock_rows(core, core->jump_s));
    TRY(sp_incidents_clock_rows(core, core->jump_s));
    TRY(sp_notices_clock_rows(core, core->jump_s));
    return sp_txn_commit(&txn);
}

void sp_clock_look(sp_core *core)
{
    int64_t by_s = sp_jumps_look(&core->jumps, sp_now_unix_us(), sp_now_steady_us()) / 1000000;
    if (by_s != 0) {
        tell(core, by_s);
        sp_sessions_clock_set(core, by_s);
        bool is_first = core->jump_s == 0 && core->jump_back_s == 0;
        core->jump_cut = is_first ? sp_cut_newest(core) : core->jump_cut;
        core->jump_s += by_s;
        core->jump_back_s += by_s < 0 ? by_s : 0;
    }
    sp_err err = sp_ok();
    if (core->jump_s != 0 || core->jump_back_s != 0) {
        err = move_rows(core);
        core->cuts_stale = core->cuts_stale || !sp_failed(err);
        core->jump_s = sp_failed(err) ? core->jump_s : 0;
        core->jump_back_s = sp_failed(err) ? core->jump_back_s : 0;
    }
    if (!sp_failed(err) && core->cuts_stale) {
        err = sp_cut_clock_set(core);
        core->cuts_stale = sp_failed(err);
    }
    if (sp_failed(err) && by_s != 0) {
        sp_log(SP_LOG_ERROR,
               "the clock was set, and what waits and what is cut could not be moved with it yet: "
               "%s; it is tried again",
               sp_code_word(err.code));
    }
}

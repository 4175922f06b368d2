/* SPDX-License-Identifier: Apache-2.0
 * Whether each plan was drilled in its time: what nobody has tried may not work.
 * OWNS nothing. PROCESS core. TRUST none. SPEC docs/INCIDENTS.md "Plans".
 */
#include "core/documents/documents.h"
#include "core/ledger_client.h"
#include "core/notices/notices.h"
#include "core/plans/inside.h"
#include "core/reports/reports.h"
#include "infra/proc/clock.h"

enum { AGAIN_S = 7 * 86400, NAMES_BYTES = 600 };

/* "drill:data-leak". */
static void gap_name(sp_span plan, sp_buf *out)
{
    sp_buf_text(out, "drill:");
    sp_buf_span(out, plan);
}

bool sp_drill_due(sp_core *core, const sp_policy_plan *plan, uint64_t drilled_us,
                  uint64_t *ret_due_unix_s)
{
    auto_buf sp_buf name = sp_buf_make(SP_NAME_MAX_BYTES + 16);
    gap_name(plan->name, &name);
    uint64_t now = sp_now_unix_us() / 1000000;
    uint64_t known =
        drilled_us != 0 ? drilled_us / 1000000 : sp_gap_since(core, sp_buf_borrow(&name));
    *ret_due_unix_s = (known == 0 ? now : known) + plan->drill_s;
    return *ret_due_unix_s <= now;
}

static void tell_event(sp_core *core, sp_span plan, bool is_due)
{
    const sp_event event = {.kind = SP_EVENT_PLAN,
                            .when_unix_us = sp_now_unix_us(),
                            .verdict = SP_VERDICT_ALLOW,
                            .severity = is_due ? SP_SEVERITY_MEDIUM : SP_SEVERITY_INFO,
                            .method = is_due ? SP_SPAN_LIT("drill due") : SP_SPAN_LIT("drilled"),
                            .object = plan};
    sp_ledger_client_tell(core->ledger, &event);
}

/* A plan that was never drilled has its time from when it was first seen. */
static sp_gap_news look_at(sp_core *core, const sp_policy_plan *plan)
{
    auto_buf sp_buf name = sp_buf_make(SP_NAME_MAX_BYTES + 16);
    uint64_t drilled_us = 0;
    uint64_t due = 0;
    if (sp_failed(sp_runs_last(core->store, plan->name, true, &drilled_us))) {
        return SP_GAP_SAME;
    }
    gap_name(plan->name, &name);
    bool over = sp_drill_due(core, plan, drilled_us, &due);
    const sp_gap gap = {.name = sp_buf_borrow(&name),
                        .is_open = drilled_us == 0 || over,
                        .grace_s = drilled_us == 0 ? plan->drill_s : 0,
                        .again_s = AGAIN_S};
    sp_gap_news news = sp_gap_look(core, &gap);
    if (news != SP_GAP_SAME) {
        tell_event(core, plan->name, news == SP_GAP_TELL);
    }
    return news;
}

static void tell(sp_core *core, sp_span names)
{
    const sp_notice_pair values[] = {{SP_SPAN_LIT("plans"), names}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("drill-due"),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .by = SP_SPAN_LIT("plans")};
    sp_notices_tell(core, &ask);
}

static bool is_in_documents(sp_core *core, sp_span name)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_policy_plan plan;
    size_t at = 0;
    return !sp_failed(sp_policy_set_plan_find(set, name, &at)) &&
           !sp_failed(sp_policy_set_plan(set, at, &plan)) && plan.drill_s > 0;
}

/* One notice, however many are due. */
void sp_drills_look(sp_core *core)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    auto_buf sp_buf names = sp_buf_make(2 * NAMES_BYTES);
    for (size_t i = 0; i < sp_policy_set_plan_count(set); i++) {
        sp_policy_plan plan;
        if (sp_failed(sp_policy_set_plan(set, i, &plan)) || plan.drill_s == 0 ||
            look_at(core, &plan) != SP_GAP_TELL) {
            continue;
        }
        if (names.len + plan.name.len < NAMES_BYTES) {
            sp_buf_text(&names, names.len > 0 ? ", " : "");
            sp_buf_span(&names, plan.name);
        } else if (names.len < NAMES_BYTES) {
            sp_buf_text(&names, ", …");
        }
    }
    sp_gaps_close(core, "drill", is_in_documents);
    if (names.len > 0) {
        tell(core, sp_buf_borrow(&names));
    }
}

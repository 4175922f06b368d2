/* SPDX-License-Identifier: Apache-2.0
 * Plans at work: what documents of the kind Plan say is done, step by step.
 *
 * Story: an alarm, or a person, starts a run. The run takes the steps as the documents say at that
 * moment and keeps them, so that neither new documents nor a restart change what it does: each
 * step's state is in the store before it begins and after it is over. A step that began when core
 * died begins again if it cuts (the same cut twice is one), and has failed if it told people
 * something. What may run by itself does within a second; where the guard or the mode says so it is
 * proposed, and a person confirms it. A drill takes the same steps at the same time and cuts
 * nothing; what it would have cut is counted.
 *
 * OWNS a timer; rows of the store. PROCESS core. TRUST requests are hostile; names in alarms are
 * other people's. SPEC docs/INCIDENTS.md "Plans", lib/policy/plan.h.
 */
#ifndef SP_CORE_PLANS_PLANS_H
#define SP_CORE_PLANS_PLANS_H

#include "core/core.h"
#include "lib/policy/plan.h"
#include "lib/proto/watch_msg.h"

#include <jansson.h>

SP_MUST sp_err sp_plans_start(sp_core *core, sp_plans **ret_plans);
void sp_plans_stop(sp_plans *plans);
/* The wall clock was set (core/clock.h): steps and proposals wait as long as they would have. In
 * a transaction of the caller. */
SP_MUST sp_err sp_plans_clock_rows(sp_core *core, int64_t by_s);

/* Starts, or proposes, what the alarm sets off; not what was started for the incident since then (0
 * = nothing was), nor what would cut without anybody whom the alarm names. *ret_tells: one of the
 * runs tells people. A failure: the store could not keep a run. */
SP_MUST sp_err sp_plans_on_alarm(sp_core *core, uint64_t incident, const sp_alarm *alarm,
                                 uint64_t since_us, bool *ret_tells);
/* Somebody of the office tells something: plans that are for it are proposed, once for an incident;
 * what cannot be is logged. */
typedef struct {
    sp_told what;
    uint64_t incident;
    uint8_t severity;
    sp_span by_name;
    uint32_t person; /* who tells it */
    sp_span about;   /* himself, or empty */
    sp_span device;  /* its id, in decimal; may be empty */
} sp_plan_told;
void sp_plans_on_told(sp_core *core, const sp_plan_told *told);
/* What became of a webhook that a step called (core/notices). Kept when this returns. */
void sp_plans_posted(sp_core *core, uint64_t number, bool worked, sp_span note);
/* The courier knows of these posts; steps that wait for others have failed. */
void sp_plans_posts_known(sp_core *core, const uint64_t *numbers, size_t count);
/* Tells of plans that were not drilled in their time. */
void sp_drills_look(sp_core *core);
/* The runs of an incident, newest first, as the API shows them. */
json_t *sp_plans_runs_json(sp_core *core, uint64_t incident);

#endif

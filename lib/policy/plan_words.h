/* SPDX-License-Identifier: Apache-2.0
 * Words of plans, in the order of the values of plan.h; NULL stands behind the last.
 * OWNS nothing. PROCESS core, cli. TRUST none. SPEC lib/policy/plan.h.
 */
#ifndef SP_POLICY_PLAN_WORDS_H
#define SP_POLICY_PLAN_WORDS_H

extern const char *const PLAN_CUT_WORDS[];
extern const char *const PLAN_ROTA_WORDS[];
extern const char *const PLAN_STEP_WORDS[];
extern const char *const PLAN_FAILURE_WORDS[];
extern const char *const PLAN_MODE_WORDS[];
extern const char *const PLAN_TOLD_WORDS[];

#endif

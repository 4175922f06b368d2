/* SPDX-License-Identifier: Apache-2.0
 * Decisions that were made a moment ago.
 *
 * Story: a client asks the same thing again and again. Its question has the same answer as long as
 * all that the answer depends on is the same: policy, subject, object, action and second. All of
 * them are compared; what is cut is looked at each time, and nothing is recalled while anything is.
 *
 * OWNS nothing: the caller has the room. PROCESS gates. TRUST as lib/policy/decide.h.
 * SPEC lib/policy/decide.h.
 */
#ifndef SP_POLICY_RECALL_H
#define SP_POLICY_RECALL_H

#include "lib/policy/decide.h"

enum { SP_RECALL_PLACES = 64 };

typedef struct {
    uint64_t serial;
    sp_subject who;
    uint64_t now_unix_s;
    uint32_t resource;
    uint32_t part;
    sp_action action;
    sp_face face;
    sp_decision decision;
} sp_recalled;

typedef struct {
    sp_recalled places[SP_RECALL_PLACES];
} sp_recall; /* begins as zeroes */

/* As sp_policy_decide(). serial: names the policy, never 0, and no other one in this recall. */
sp_decision sp_policy_recall(sp_recall *recall, const sp_policy *policy, uint64_t serial,
                             const sp_question *question);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A question in words and what became of it. Private to lib/policy.
 * OWNS nothing. PROCESS core, cli. TRUST see ask.c. SPEC lib/policy/compile.h.
 */
#ifndef SP_POLICY_ASK_H
#define SP_POLICY_ASK_H

#include "lib/policy/set.h"

typedef struct {
    sp_subject who;
    policy_object object;
    uint32_t part;
    sp_action action;
    uint64_t now_unix_s;
    unsigned free;
    sp_face face;
    sp_decision decision;
    uint32_t near;
} policy_asked;

SP_MUST sp_err policy_ask(const sp_policy_set *set, const sp_policy_ask *ask, sp_diags *diags,
                          policy_asked *ret_asked);
/* ["record","mask"] */
void policy_must_json(uint32_t must, sp_buf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Who may agree to what others ask, who may ask for a role for a while, and which standing grants
 * somebody has to look at: what the documents say about it, for core.
 *
 * Story: a decision of SP_VERDICT_ASK names a rule; core looks up who may approve it, keeps that
 * with what is asked, and lets only those people vote. A role with `request:` can be asked for; a
 * Recertification makes its standing grants end unless somebody confirms them.
 *
 * OWNS nothing: views into the set. PROCESS core, cli. TRUST the set compiled, so names exist.
 * SPEC docs/POLICY.md "Rule", "Role", "Recertification".
 */
#ifndef SP_POLICY_APPROVERS_H
#define SP_POLICY_APPROVERS_H

#include "lib/policy/compile.h"

enum { SP_APPROVERS_PEOPLE_MAX = 64, SP_ASK_EXPIRES_DEFAULT_S = 1800 };

/* Some people: any holder of these roles, or these themselves. */
typedef struct {
    uint64_t roles[SP_ROLE_WORDS]; /* roles that include them are in */
    uint32_t people[SP_APPROVERS_PEOPLE_MAX];
    uint32_t people_count;
    bool everyone;
} sp_policy_people;
bool sp_policy_people_has(const sp_policy_people *people, uint32_t person,
                          const uint64_t roles[SP_ROLE_WORDS]);

typedef struct {
    sp_policy_people by; /* the asker is never one of them: core sees to that */
    uint32_t owners;     /* bits of sp_owner; 0 = any device */
    uint32_t postures;   /* bits of sp_posture; 0 = any */
    uint8_t strength;    /* sp_strength, at least */
    uint8_t needed;
    uint32_t expires_s;
} sp_policy_approvers;
bool sp_policy_approvers_device(const sp_policy_approvers *approvers, sp_owner owner,
                                sp_posture posture, sp_strength strength);

/* Who approves what a rule asks for. SP_ENOTFOUND: no rule of that name asks. SP_ELIMIT: more than
 * SP_APPROVERS_PEOPLE_MAX people are named. */
SP_MUST sp_err sp_policy_set_rule_approvers(const sp_policy_set *set, sp_span rule,
                                            sp_policy_approvers *ret_approvers);

/* How a role can be asked for. SP_ENOTFOUND: it cannot. */
typedef struct {
    sp_span role;
    uint32_t number;
    sp_policy_people who;
    sp_policy_approvers approvers;
    uint32_t longest_s;
    bool ticket;
    bool sealed;
} sp_policy_request;
SP_MUST sp_err sp_policy_set_request(const sp_policy_set *set, sp_span role,
                                     sp_policy_request *ret_request);

/* The Recertification that covers a role: of several, the one that comes round most often. */
typedef struct {
    sp_span name;
    sp_policy_people by;
    uint32_t every_s;
    uint32_t warn_s;
} sp_policy_recertification;
SP_MUST sp_err sp_policy_set_recertification(const sp_policy_set *set, sp_span role,
                                             sp_policy_recertification *ret_recertification);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A table with one place for each few questions.
 * OWNS nothing. PROCESS gates. TRUST as decide.c. SPEC lib/policy/recall.h.
 */
#include "lib/policy/recall.h"

#include "lib/policy/cuts.h"

enum { WHO_BYTES = offsetof(sp_subject, peer) + sizeof(((sp_subject *)0)->peer) };
_Static_assert(offsetof(sp_subject, peer) == SP_ROLE_WORDS * 8 + 12, "nothing lies between");
_Static_assert(sizeof(sp_subject) - WHO_BYTES < 8, "nothing but padding lies behind");

static sp_recalled *place_of(sp_recall *recall, const sp_question *question)
{
    uint32_t at = question->part * 7 + (uint32_t)question->action + question->resource * 31 +
                  question->who->person * 13 + question->who->auth_age_s;
    return &recall->places[at % SP_RECALL_PLACES];
}

static bool is_same(const sp_recalled *one, uint64_t serial, const sp_question *question)
{
    return one->serial == serial && one->now_unix_s == question->now_unix_s &&
           one->part == question->part && one->action == question->action &&
           one->resource == question->resource && one->face == question->face &&
           sp_span_eq(sp_span_of(&one->who, WHO_BYTES), sp_span_of(question->who, WHO_BYTES));
}

sp_decision sp_policy_recall(sp_recall *recall, const sp_policy *policy, uint64_t serial,
                             const sp_question *question)
{
    if (sp_cuts_any(question->cuts)) {
        return sp_policy_decide(policy, question);
    }
    sp_recalled *one = place_of(recall, question);
    if (!is_same(one, serial, question)) {
        sp_question plain = *question;
        plain.cuts = NULL; /* one that comes now is not to be recalled when it is gone */
        *one = (sp_recalled){.serial = serial,
                             .who = *question->who,
                             .now_unix_s = question->now_unix_s,
                             .resource = question->resource,
                             .part = question->part,
                             .action = question->action,
                             .face = question->face,
                             .decision = sp_policy_decide(policy, &plain)};
    }
    return one->decision;
}

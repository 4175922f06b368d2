/* SPDX-License-Identifier: Apache-2.0
 * Look-ups in a snapshot that several gates share: texts, accounts, paths, the gravest decision.
 * OWNS nothing. PROCESS gates, core. TRUST paths are hostile; the snapshot was checked by
 * sp_policy_open. SPEC lib/policy/snapshot.h.
 */
#include "lib/base/mem.h"
#include "lib/policy/snapshot.h"

const snap_resource *snap_resource_at(const sp_policy *policy, uint32_t resource)
{
    if (resource >= snap_count(policy, SNAP_RESOURCES)) {
        return NULL;
    }
    return (const snap_resource *)snap_at(policy, SNAP_RESOURCES) + resource;
}

sp_span snap_text_at(const sp_policy *policy, snap_run run, uint32_t at)
{
    if (at >= run.count) {
        return SP_SPAN_EMPTY;
    }
    return snap_span(policy, ((const snap_text *)snap_at(policy, SNAP_TYPES))[run.at + at]);
}

bool snap_is_about(const sp_policy *policy, const uint64_t roles[SP_ROLE_WORDS], snap_run people,
                   bool everyone, const sp_subject *who)
{
    if (who->person == 0) {
        return false;
    }
    for (size_t i = 0; i < SP_ROLE_WORDS; i++) {
        everyone = everyone || (roles[i] & who->roles[i]) != 0;
    }
    return everyone || snap_list_has(policy, people, who->person);
}

/* ---- accounts ---- */

sp_reason snap_device_missing(unsigned devices, unsigned owner, unsigned posture)
{
    if ((devices >> snap_device(owner, posture) & 1) != 0) {
        return SP_REASON_NONE;
    }
    unsigned same_owner = (1U << SP_POSTURE_COUNT) - 1;
    same_owner <<= owner * SP_POSTURE_COUNT;
    if ((devices & same_owner) != 0) {
        return SP_REASON_DEVICE_POSTURE;
    }
    return owner == SP_OWNER_UNKNOWN ? SP_REASON_DEVICE_UNKNOWN : SP_REASON_DEVICE_OWNER;
}

/* As snap_account_missing(), of one account. */
static sp_reason missing(const sp_policy *policy, const snap_account *account,
                         const sp_subject *who)
{
    if (!snap_is_about(policy, account->roles, account->people, account->everyone != 0, who)) {
        return SP_REASON_DEFAULT;
    }
    return snap_device_missing(account->devices,
                               who->owner < SP_OWNER_COUNT ? who->owner : SP_OWNER_UNKNOWN,
                               who->posture < SP_POSTURE_COUNT ? who->posture : SP_POSTURE_UNKNOWN);
}

sp_span snap_account_at(const sp_policy *policy, snap_run accounts, const sp_subject *who,
                        uint32_t at)
{
    const snap_account *all = (const snap_account *)snap_at(policy, SNAP_ACCOUNTS) + accounts.at;
    for (uint32_t i = 0; i < accounts.count; i++) {
        if (missing(policy, &all[i], who) == SP_REASON_NONE && at-- == 0) {
            return snap_span(policy, all[i].name);
        }
    }
    return SP_SPAN_EMPTY;
}

sp_reason snap_account_missing(const sp_policy *policy, snap_run accounts, const sp_subject *who,
                               sp_span name)
{
    const snap_account *all = (const snap_account *)snap_at(policy, SNAP_ACCOUNTS) + accounts.at;
    sp_reason nearest = SP_REASON_DEFAULT;
    for (uint32_t i = 0; i < accounts.count && nearest != SP_REASON_NONE; i++) {
        bool is_meant = name.len == 0 || sp_span_eq(snap_span(policy, all[i].name), name);
        sp_reason one = is_meant ? missing(policy, &all[i], who) : SP_REASON_DEFAULT;
        bool is_nearer = one == SP_REASON_NONE || one == SP_REASON_DEVICE_POSTURE ||
                         nearest == SP_REASON_DEFAULT; /* posture is the easiest to mend */
        nearest = is_nearer ? one : nearest;
    }
    return nearest;
}

/* ---- paths ---- */

/* Takes "/segment" off *rest; false at the end. */
static bool next_segment(sp_span *rest, sp_span *ret_segment)
{
    while (rest->len > 0 && rest->ptr[0] == '/') {
        *rest = sp_span_slice(*rest, 1, rest->len);
    }
    if (rest->len == 0) {
        return false;
    }
    size_t end = sp_span_index(*rest, '/');
    *ret_segment = sp_span_slice(*rest, 0, end);
    *rest = sp_span_slice(*rest, end, rest->len);
    return true;
}

static bool segment_matches(sp_span want, sp_span have, bool ignore_case)
{
    return (want.len == 1 && want.ptr[0] == '*') ||
           (ignore_case ? sp_span_eq_nocase(want, have) : sp_span_eq(want, have));
}

bool snap_path_matches(sp_span pattern, sp_span path, bool ignore_case)
{
    sp_span want = SP_SPAN_EMPTY;
    sp_span have = SP_SPAN_EMPTY;
    while (next_segment(&pattern, &want)) {
        if (!next_segment(&path, &have) || !segment_matches(want, have, ignore_case)) {
            return false;
        }
    }
    return true;
}

bool snap_path_reaches(sp_span pattern, sp_span path)
{
    sp_span want = SP_SPAN_EMPTY;
    sp_span have = SP_SPAN_EMPTY;
    while (next_segment(&path, &have)) {
        if (!next_segment(&pattern, &want) || !segment_matches(want, have, false)) {
            return false;
        }
    }
    return true;
}

/* ---- decisions ---- */

/* The smaller limit; 0 = none. */
static uint64_t least(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static uint8_t people_of(const sp_policy *policy, uint32_t rule)
{
    return ((const snap_rule *)snap_at(policy, SNAP_RULES))[rule].approvals;
}

/* The place of a rule whose people, in their number, are those of this one; SP_ASKS_MAX: none. */
static uint8_t place_of(const sp_policy *policy, const sp_decision *in, uint32_t rule)
{
    for (uint8_t i = 0; i < in->asks_count; i++) {
        if (sp_policy_rules_ask_alike(policy, in->asks[i], rule)) {
            return i;
        }
    }
    return SP_ASKS_MAX;
}

void sp_decision_ask_also(const sp_policy *policy, sp_decision *into, const sp_decision *other)
{
    if (into->verdict != SP_VERDICT_ASK || other->verdict != SP_VERDICT_ASK) {
        return;
    }
    into->asks_apart = into->asks_apart || other->asks_apart;
    for (uint8_t i = 0; i < other->asks_count; i++) {
        uint32_t rule = other->asks[i];
        uint8_t at = place_of(policy, into, rule);
        if (at < SP_ASKS_MAX) {
            bool more = people_of(policy, rule) > people_of(policy, into->asks[at]);
            into->asks[at] = more ? rule : into->asks[at];
        } else if (into->asks_count < SP_ASKS_MAX) {
            into->asks[into->asks_count++] = rule;
        } else {
            into->asks_apart = true;
        }
    }
}

sp_agreed sp_decision_agreed(const sp_policy *policy, const sp_decision *asked)
{
    const snap_rule *rules = snap_at(policy, SNAP_RULES);
    sp_agreed agreed = {.count = 0};
    for (uint8_t i = 0; asked->verdict == SP_VERDICT_ASK && i < asked->asks_count; i++) {
        agreed.approvers[i] = rules[asked->asks[i]].approvers;
        agreed.needed[i] = rules[asked->asks[i]].approvals;
        agreed.count = (uint8_t)(i + 1);
    }
    return agreed;
}

static bool has_agreed(const sp_agreed *agreed, const snap_rule *rule)
{
    for (uint8_t i = 0; i < agreed->count && rule->approvers != 0; i++) {
        if (agreed->approvers[i] == rule->approvers && agreed->needed[i] >= rule->approvals) {
            return true;
        }
    }
    return false;
}

bool sp_agreed_covers(const sp_agreed *agreed, const sp_policy *policy, const sp_decision *asked)
{
    const snap_rule *rules = snap_at(policy, SNAP_RULES);
    bool all = asked->verdict == SP_VERDICT_ASK && !asked->asks_apart && asked->asks_count > 0;
    for (uint8_t i = 0; i < asked->asks_count && all; i++) {
        all = has_agreed(agreed, &rules[asked->asks[i]]);
    }
    return all;
}

static bool is_graver(const sp_decision *a, const sp_decision *b)
{
    if (a->verdict != b->verdict) {
        return a->verdict < b->verdict; /* deny, ask, allow */
    }
    if (a->verdict == SP_VERDICT_ASK && a->approvals != b->approvals) {
        return a->approvals > b->approvals;
    }
    return a->class_level > b->class_level;
}

void sp_decision_join(const sp_policy *policy, sp_decision *into, const sp_decision *other)
{
    bool graver = is_graver(other, into);
    sp_decision both = graver ? *other : *into;
    const sp_decision *milder = graver ? into : other;
    sp_decision_ask_also(policy, &both, milder);
    if (both.verdict != SP_VERDICT_DENY) {
        both.must |= milder->must;
        both.mask_tags |= milder->mask_tags;
        both.limit_bytes = least(both.limit_bytes, milder->limit_bytes);
        both.limit_rows = least(both.limit_rows, milder->limit_rows);
        both.day_bytes = least(both.day_bytes, milder->day_bytes);
        both.day_rows = least(both.day_rows, milder->day_rows);
    }
    both.tags |= milder->tags;
    both.class_level =
        both.class_level > milder->class_level ? both.class_level : milder->class_level;
    *into = both;
}

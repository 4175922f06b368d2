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

sp_span snap_account_at(const sp_policy *policy, snap_run accounts, const sp_subject *who,
                        uint32_t at)
{
    const snap_account *all = (const snap_account *)snap_at(policy, SNAP_ACCOUNTS) + accounts.at;
    for (uint32_t i = 0; i < accounts.count; i++) {
        if (snap_is_about(policy, all[i].roles, all[i].people, all[i].everyone != 0, who) &&
            at-- == 0) {
            return snap_span(policy, all[i].name);
        }
    }
    return SP_SPAN_EMPTY;
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

void snap_take_gravest(sp_decision *worst, const sp_decision *d)
{
    bool graver = d->verdict < worst->verdict ||
                  (d->verdict == SP_VERDICT_ASK && worst->verdict == SP_VERDICT_ASK &&
                   d->approvals > worst->approvals);
    uint32_t must = worst->must | d->must;
    uint64_t mask_tags = worst->mask_tags | d->mask_tags;
    uint64_t tags = worst->tags | d->tags;
    uint8_t class_level = worst->class_level > d->class_level ? worst->class_level : d->class_level;
    uint64_t limits[] = {
        least(worst->limit_bytes, d->limit_bytes), least(worst->limit_rows, d->limit_rows),
        least(worst->day_bytes, d->day_bytes), least(worst->day_rows, d->day_rows)};
    if (graver) {
        *worst = *d;
    }
    if (worst->verdict != SP_VERDICT_DENY) {
        worst->must = must;
        worst->mask_tags = mask_tags;
        worst->limit_bytes = limits[0];
        worst->limit_rows = limits[1];
        worst->day_bytes = limits[2];
        worst->day_rows = limits[3];
    }
    worst->tags = tags;
    worst->class_level = class_level;
}

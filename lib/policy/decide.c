/* SPDX-License-Identifier: Apache-2.0
 * The decision: bit rows find the rules, records check what rows cannot hold, nevers have the last
 * word. No allocation, no lock, no clock.
 * OWNS nothing. PROCESS gates, core. TRUST the snapshot was checked by sp_policy_open; question
 * fields out of range are denied. SPEC docs/POLICY.md "How a question is decided".
 */
#include "lib/policy/snapshot.h"

#include "lib/base/mem.h"
#include "lib/policy/cuts.h"

/* What keeps a rule from granting, in the order of how hard it is to mend. */
enum {
    MISS_STRENGTH = 1,
    MISS_POSTURE = 2,
    MISS_DEVICE = 4, /* no device of ours at all */
    MISS_OWNER = 8,
    MISS_HOURS = 16,
    MISS_NETWORK = 32,
    MISS_NONE_YET = 1 << 16
};

enum { MISSES_MAX = 32 }; /* looked at for what would help */

typedef struct {
    const sp_policy *policy;
    const policy_case *asked;
    const snap_rule *rules;
    uint16_t device; /* one bit */
    unsigned owner;
    unsigned posture;
    unsigned strength;
    unsigned miss; /* of the nearest rule */
    uint32_t near;
    sp_decision out;
} asking;

bool snap_list_has(const sp_policy *policy, snap_run run, uint32_t value)
{
    const uint32_t *list = snap_list(policy, run);
    size_t low = 0;
    size_t high = run.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < run.count && list[low] == value;
}

static int32_t zone_offset(const sp_policy *policy, uint32_t zone, int64_t now_unix_s)
{
    snap_run run = ((const snap_run *)snap_at(policy, SNAP_ZONES))[zone];
    const snap_step *steps = (const snap_step *)snap_at(policy, SNAP_STEPS) + run.at;
    uint32_t at = 0;
    while (at + 1 < run.count && steps[at + 1].from_unix_s <= now_unix_s) {
        at++;
    }
    return steps[at].offset_s;
}

static bool in_schedule(const sp_policy *policy, uint32_t schedule, uint64_t now_unix_s)
{
    const snap_schedule *s = (const snap_schedule *)snap_at(policy, SNAP_SCHEDULES) + schedule;
    int64_t now = now_unix_s > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)now_unix_s;
    int64_t local = now + zone_offset(policy, s->zone, now);
    if (local < 0) {
        return false;
    }
    unsigned minute = (unsigned)(local / 60 % 1440);
    unsigned day = (unsigned)((local / 86400 + 3) % 7); /* 1970-01-01 was a Thursday */
    bool today = (s->days >> day & 1) != 0;
    bool yesterday = (s->days >> ((day + 6) % 7) & 1) != 0;
    if (s->from_minute < s->to_minute) {
        return today && minute >= s->from_minute && minute < s->to_minute;
    }
    return (today && minute >= s->from_minute) || (yesterday && minute < s->to_minute);
}

static bool in_range(const snap_range *range, const uint8_t peer[16])
{
    uint32_t whole = range->bits / 8;
    if (!sp_span_eq(sp_span_of(range->address, whole), sp_span_of(peer, whole))) {
        return false;
    }
    unsigned rest = range->bits % 8;
    return rest == 0 || (range->address[whole] ^ peer[whole]) >> (8 - rest) == 0;
}

static bool in_network(const sp_policy *policy, uint32_t network, const uint8_t peer[16])
{
    snap_run run = ((const snap_run *)snap_at(policy, SNAP_NETWORKS))[network];
    const snap_range *ranges = (const snap_range *)snap_at(policy, SNAP_RANGES) + run.at;
    for (uint32_t i = 0; i < run.count; i++) {
        if (in_range(&ranges[i], peer)) {
            return true;
        }
    }
    return false;
}

static bool roles_meet(const uint64_t a[SP_ROLE_WORDS], const uint64_t b[SP_ROLE_WORDS])
{
    uint64_t both = 0;
    for (size_t i = 0; i < SP_ROLE_WORDS; i++) {
        both |= a[i] & b[i];
    }
    return both != 0;
}

static unsigned miss_device(const asking *a, const snap_rule *rule)
{
    static const uint8_t MISSES[SP_REASON_COUNT] = {[SP_REASON_DEVICE_POSTURE] = MISS_POSTURE,
                                                    [SP_REASON_DEVICE_UNKNOWN] = MISS_DEVICE,
                                                    [SP_REASON_DEVICE_OWNER] = MISS_OWNER};
    return (rule->devices & a->device) != 0
               ? 0
               : MISSES[snap_device_missing(rule->devices, a->owner, a->posture)];
}

/* Time and place; denies take a free condition as not met. */
static unsigned miss_condition(const asking *a, const snap_rule *rule)
{
    unsigned miss = 0;
    const policy_case *asked = a->asked;
    if (rule->schedule != SP_NONE) {
        bool met = (asked->free & POLICY_FREE_TIME) != 0
                       ? rule->deny == 0
                       : in_schedule(a->policy, rule->schedule, asked->now_unix_s);
        miss |= met ? 0U : (unsigned)MISS_HOURS;
    }
    if (rule->network != SP_NONE) {
        bool met = (asked->free & POLICY_FREE_NETWORK) != 0
                       ? rule->deny == 0
                       : in_network(a->policy, rule->network, asked->who->peer);
        miss |= met ? 0U : (unsigned)MISS_NETWORK;
    }
    return miss;
}

static unsigned misses(const asking *a, const snap_rule *rule)
{
    unsigned miss = miss_device(a, rule) | miss_condition(a, rule);
    if (a->strength < rule->strength || a->asked->who->auth_age_s > rule->auth_age_s) {
        miss |= MISS_STRENGTH;
    }
    return miss;
}

static void oblige(sp_decision *out, const snap_rule *rule)
{
    out->must |= rule->must;
    out->mask_tags |= rule->mask_tags;
    if (rule->limit_bytes != 0 && (out->limit_bytes == 0 || rule->limit_bytes < out->limit_bytes)) {
        out->limit_bytes = rule->limit_bytes;
    }
    if (rule->limit_rows != 0 && (out->limit_rows == 0 || rule->limit_rows < out->limit_rows)) {
        out->limit_rows = rule->limit_rows;
    }
    if (rule->day_bytes != 0 && (out->day_bytes == 0 || rule->day_bytes < out->day_bytes)) {
        out->day_bytes = rule->day_bytes;
    }
    if (rule->day_rows != 0 && (out->day_rows == 0 || rule->day_rows < out->day_rows)) {
        out->day_rows = rule->day_rows;
    }
}

static void grant(asking *a, const snap_rule *rule, uint32_t index)
{
    sp_decision *out = &a->out;
    if (a->asked->who->approvals >= rule->approvals) {
        if (out->verdict != SP_VERDICT_ALLOW) {
            *out = (sp_decision){.verdict = SP_VERDICT_ALLOW, .reason = SP_REASON_RULE};
            out->rule = index;
        }
        out->rule = index < out->rule ? index : out->rule;
        oblige(out, rule);
        return;
    }
    if (out->verdict == SP_VERDICT_ALLOW) {
        return;
    }
    bool better = out->verdict == SP_VERDICT_DENY || rule->approvals < out->approvals ||
                  (rule->approvals == out->approvals && index < out->rule);
    if (better) {
        *out = (sp_decision){.verdict = SP_VERDICT_ASK,
                             .reason = SP_REASON_APPROVAL,
                             .approvals = rule->approvals,
                             .rule = index,
                             .asks = {index},
                             .asks_count = 1};
        oblige(out, rule);
    }
}

/* A rule whose action, class, resource and person fit. True when it ends the matter. */
static bool consider(asking *a, uint32_t index)
{
    const snap_rule *rule = &a->rules[index];
    if (rule->tags != 0 && (rule->tags & a->asked->object.tags) == 0) {
        return false;
    }
    unsigned miss = misses(a, rule);
    if (rule->deny != 0) {
        if (miss == 0) {
            a->out = (sp_decision){.reason = SP_REASON_DENY_RULE, .rule = index};
        }
        return miss == 0;
    }
    if (miss == 0) {
        grant(a, rule, index);
    } else if (miss < a->miss || (miss == a->miss && index < a->near)) {
        a->miss = miss;
        a->near = index;
    }
    return false;
}

static bool to_fits(const asking *a, const snap_rule *rule)
{
    return (rule->actions >> a->asked->action & 1) != 0 &&
           (rule->classes >> a->asked->object.class_level & 1) != 0;
}

static bool consider_named_resource(asking *a)
{
    if (a->asked->object.resource == SP_NONE) {
        return false;
    }
    const snap_resource *resource =
        (const snap_resource *)snap_at(a->policy, SNAP_RESOURCES) + a->asked->object.resource;
    const uint32_t *list = snap_list(a->policy, resource->rules);
    for (uint32_t i = 0; i < resource->rules.count; i++) {
        const snap_rule *rule = &a->rules[list[i]];
        bool who = rule->everyone != 0 || roles_meet(rule->roles, a->asked->who->roles);
        if (who && to_fits(a, rule) && consider(a, list[i])) {
            return true;
        }
    }
    return false;
}

static bool consider_named_person(asking *a)
{
    const snap_person *people = snap_at(a->policy, SNAP_PEOPLE);
    uint32_t low = 0;
    uint32_t high = snap_count(a->policy, SNAP_PEOPLE);
    uint32_t number = a->asked->who->person;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (people[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == snap_count(a->policy, SNAP_PEOPLE) || people[low].number != number) {
        return false;
    }
    const uint32_t *list = snap_list(a->policy, people[low].rules);
    for (uint32_t i = 0; i < people[low].rules.count; i++) {
        const snap_rule *rule = &a->rules[list[i]];
        bool where = rule->resources.count == 0 ||
                     snap_list_has(a->policy, rule->resources, a->asked->object.resource);
        if (where && to_fits(a, rule) && consider(a, list[i])) {
            return true;
        }
    }
    return false;
}

/* The rows of a person's roles. */
typedef struct {
    const uint64_t *rows[SNAP_ROLE_ROWS];
    size_t count;
    const uint64_t *place;  /* action x class */
    const uint64_t *device; /* device x strength */
    size_t words;
} row_set;

static void rows_of(const asking *a, row_set *rows)
{
    uint32_t classes = snap_head_of(a->policy)->class_count;
    const uint64_t *all = snap_at(a->policy, SNAP_ROWS);
    rows->words = snap_words(snap_count(a->policy, SNAP_RULES));
    rows->place = all + rows->words * snap_row_action(classes, a->asked->action,
                                                      a->asked->object.class_level);
    rows->device = all + rows->words * snap_row_device(classes, snap_device(a->owner, a->posture),
                                                       a->strength);
    rows->rows[0] = all + rows->words * snap_row_role(classes, SNAP_EVERYONE);
    rows->count = 1;
    for (size_t word = 0; word < SP_ROLE_WORDS; word++) {
        for (uint64_t bits = a->asked->who->roles[word]; bits != 0; bits &= bits - 1) {
            unsigned role = (unsigned)(word * 64) + (unsigned)__builtin_ctzll(bits);
            rows->rows[rows->count++] = all + rows->words * snap_row_role(classes, role);
        }
    }
}

static uint64_t candidates(const row_set *rows, size_t word)
{
    uint64_t who = 0;
    for (size_t i = 0; i < rows->count; i++) {
        who |= rows->rows[i][word];
    }
    return who & rows->place[word];
}

/* Rules that fit in device and strength as well. True when a deny ended it. */
static bool consider_fitting(asking *a, const row_set *rows)
{
    for (size_t word = 0; word < rows->words; word++) {
        if (rows->place[word] == 0) {
            continue;
        }
        uint64_t bits = candidates(rows, word) & rows->device[word];
        for (; bits != 0; bits &= bits - 1) {
            if (consider(a, (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(bits))) {
                return true;
            }
        }
    }
    return false;
}

/* Rules that fail by device or strength, for what would help: the first few, so that a refusal
 * costs no more in a large policy than in a small one. */
static void consider_misses(asking *a, const row_set *rows)
{
    unsigned looks = 0;
    for (size_t word = 0; word < rows->words && looks < MISSES_MAX; word++) {
        if (rows->place[word] == 0) {
            continue;
        }
        uint64_t bits = candidates(rows, word) & ~rows->device[word];
        for (; bits != 0 && looks < MISSES_MAX; bits &= bits - 1) {
            uint32_t rule = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(bits);
            if (a->rules[rule].deny == 0) {
                consider(a, rule);
            }
            looks++;
        }
    }
}

static bool unless_met(const asking *a, const snap_never *never, unsigned approvals)
{
    return never->has_unless != 0 && (never->unless_devices & a->device) != 0 &&
           a->strength >= never->unless_strength && approvals >= never->unless_approvals;
}

static bool never_holds(const asking *a, const snap_never *never, unsigned approvals)
{
    const policy_case *asked = a->asked;
    if ((never->devices & a->device) == 0 ||
        (never->tags != 0 && (never->tags & asked->object.tags) == 0)) {
        return false;
    }
    if (never->resources.count != 0 &&
        !snap_list_has(a->policy, never->resources, asked->object.resource)) {
        return false;
    }
    bool who = never->everyone != 0 || roles_meet(never->roles, asked->who->roles) ||
               snap_list_has(a->policy, never->people, asked->who->person);
    return who && !unless_met(a, never, approvals);
}

/* What rules grant now, or would grant once it is approved, no never may forbid. */
static void check_nevers(asking *a)
{
    unsigned approvals =
        a->out.verdict == SP_VERDICT_ASK ? a->out.approvals : a->asked->who->approvals;
    uint32_t count = snap_count(a->policy, SNAP_NEVERS);
    size_t words = snap_words(count);
    const snap_never *nevers = snap_at(a->policy, SNAP_NEVERS);
    const uint64_t *row = (const uint64_t *)snap_at(a->policy, SNAP_NEVER_ROWS) +
                          words * snap_row_action(snap_head_of(a->policy)->class_count,
                                                  a->asked->action, a->asked->object.class_level);
    for (size_t word = 0; word < words; word++) {
        for (uint64_t bits = row[word]; bits != 0; bits &= bits - 1) {
            uint32_t at = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(bits);
            if (never_holds(a, &nevers[at], approvals)) {
                a->out = (sp_decision){.reason = SP_REASON_NEVER,
                                       .rule = snap_count(a->policy, SNAP_RULES) + at};
                return;
            }
        }
    }
}

/* Rules grant it with a duty that the gate which asks cannot do: it does not grant. */
static void check_duties(asking *a)
{
    snap_duties duties = snap_duties_of(&a->out);
    if (a->out.verdict != SP_VERDICT_DENY &&
        snap_undone(a->policy, a->asked->object.resource, a->asked->object.tags, a->asked->face,
                    &duties) != NULL) {
        a->out = (sp_decision){.reason = SP_REASON_DUTY, .rule = a->out.rule};
    }
}

static uint8_t reason_of_miss(unsigned miss)
{
    if (miss == MISS_NONE_YET) {
        return SP_REASON_DEFAULT;
    }
    if ((miss & MISS_NETWORK) != 0) {
        return SP_REASON_NETWORK;
    }
    if ((miss & MISS_HOURS) != 0) {
        return SP_REASON_HOURS;
    }
    if ((miss & MISS_OWNER) != 0) {
        return SP_REASON_DEVICE_OWNER;
    }
    if ((miss & MISS_DEVICE) != 0) {
        return SP_REASON_DEVICE_UNKNOWN;
    }
    return (miss & MISS_POSTURE) != 0 ? SP_REASON_DEVICE_POSTURE : SP_REASON_STRENGTH;
}

static void decide_rules(asking *a)
{
    SP_UNSET row_set rows; /* two kilobytes, of which a person's roles are used */
    rows_of(a, &rows);
    if (consider_fitting(a, &rows) || consider_named_resource(a) || consider_named_person(a)) {
        return; /* an explicit deny */
    }
    if (a->out.verdict == SP_VERDICT_DENY) {
        consider_misses(a, &rows);
        a->out.reason = reason_of_miss(a->miss);
        return;
    }
    check_nevers(a);
    check_duties(a);
}

sp_decision policy_decide_case(const sp_policy *policy, const policy_case *asked,
                               uint32_t *ret_near)
{
    const sp_subject *who = asked->who;
    asking a = {.policy = policy,
                .asked = asked,
                .rules = snap_at(policy, SNAP_RULES),
                .owner = who->owner < SP_OWNER_COUNT ? who->owner : SP_OWNER_UNKNOWN,
                .posture = who->posture < SP_POSTURE_COUNT ? who->posture : SP_POSTURE_UNKNOWN,
                .strength = who->strength < SP_STRENGTH_COUNT ? who->strength : SP_STRENGTH_NONE,
                .miss = MISS_NONE_YET,
                .near = SP_NONE,
                .out = {.reason = SP_REASON_DEFAULT, .rule = SP_NONE}};
    a.device = (uint16_t)(1U << snap_device(a.owner, a.posture));
    if (who->person == 0) {
        a.out.reason = SP_REASON_NO_SESSION;
    } else {
        decide_rules(&a);
    }
    if (a.out.verdict != SP_VERDICT_DENY) {
        const snap_class *classes = snap_at(policy, SNAP_CLASSES);
        a.out.must |= classes[asked->object.class_level].must;
    }
    a.out.class_level = asked->object.class_level;
    a.out.tags = asked->object.tags;
    *ret_near = a.out.verdict == SP_VERDICT_DENY && a.out.rule == SP_NONE ? a.near : SP_NONE;
    return a.out;
}

bool policy_object_of(const sp_policy *policy, uint32_t resource, uint32_t part,
                      policy_object *ret_object)
{
    if (resource >= snap_count(policy, SNAP_RESOURCES)) {
        return false;
    }
    if (part == SP_NONE) {
        const snap_resource *r = (const snap_resource *)snap_at(policy, SNAP_RESOURCES) + resource;
        *ret_object = (policy_object){r->tags, resource, r->class_level};
        return true;
    }
    if (part >= snap_count(policy, SNAP_PARTS)) {
        return false;
    }
    const snap_part *p = (const snap_part *)snap_at(policy, SNAP_PARTS) + part;
    *ret_object = (policy_object){p->tags, resource, p->class_level};
    return p->resource == resource;
}

sp_decision policy_closed(const sp_policy *policy, uint32_t resource)
{
    policy_object object = {0};
    bool known = policy_object_of(policy, resource, SP_NONE, &object);
    return (sp_decision){.reason = known ? SP_REASON_DEFAULT : SP_REASON_UNPARSED,
                         .rule = SP_NONE,
                         .class_level = object.class_level,
                         .tags = object.tags};
}

sp_decision sp_policy_decide(const sp_policy *policy, const sp_question *question)
{
    policy_case asked = {.who = question->who,
                         .action = question->action,
                         .now_unix_s = question->now_unix_s,
                         .face = question->face};
    if (question->part == SP_PART_CLOSED) {
        return policy_closed(policy, question->resource);
    }
    if ((unsigned)question->action >= SP_ACTION_COUNT ||
        !policy_object_of(policy, question->resource, question->part, &asked.object)) {
        return (sp_decision){.reason = SP_REASON_UNPARSED, .rule = SP_NONE};
    }
    uint32_t near = SP_NONE;
    sp_reason cut = sp_cuts_say(question->cuts, policy, question, asked.object.class_level);
    if (cut != SP_REASON_NONE) {
        return (sp_decision){.reason = (uint8_t)cut,
                             .rule = SP_NONE,
                             .class_level = asked.object.class_level,
                             .tags = asked.object.tags};
    }
    return policy_decide_case(policy, &asked, &near);
}

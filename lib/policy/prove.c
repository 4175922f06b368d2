/* SPDX-License-Identifier: Apache-2.0
 * The proof of every never: over the whole space of role, device owner, posture, strength, class,
 * tags, action and approvals, no rule lets happen what a never forbids.
 *
 * Why it is complete: what is allowed is allowed by one rule alone, so it is enough to hold each
 * granting rule against each never. Where the two overlap outside the never's exception, only an
 * explicit deny can save the rule. More roles or more tags only bring more denies, so the least
 * persons and objects that fit both are the ones to look at: a role of the rule, together with a
 * role of the never unless the two exclude each other; a tag of each. Conditions of time and
 * network can be met (the attacker chooses the hour), so grants with them count and denies with
 * them do not. Data that names no resource stands for every resource there may come to be.
 *
 * OWNS nothing. PROCESS core, cli. TRUST the work is bounded by PROOF_STEPS_MAX: a policy that
 * needs more is refused, never passed. SPEC docs/POLICY.md "Proof".
 */
#include "lib/policy/set.h"

#define PROOF_STEPS_MAX UINT64_C(1000000000)

enum { SHOWN_A_NEVER = 3 };

/* Somebody: a person by name or just anybody, with at most two roles. */
typedef struct {
    uint32_t person; /* 0 = nobody in particular */
    unsigned roles[2];
    size_t roles_count;
} somebody;

typedef struct {
    uint64_t tags;
    uint32_t resource; /* SP_NONE = any */
    uint16_t classes;
} some_data;

typedef struct {
    compiling *c;
    const sp_policy *view;
    const snap_rule *rules;
    uint32_t first_grant; /* denies are before it */
    uint32_t *denies;     /* of the pair in hand */
    size_t denies_count;
    uint32_t *seen; /* those of them that see the person and data in hand */
    bool by_who;    /* some deny in hand looks at the person */
    bool by_tags;   /* ... at tags */
    const snap_never *never;
    uint32_t never_at;
    const snap_rule *rule;
    uint32_t rule_at;
    uint16_t devices; /* where the pair overlaps, outside the exception */
    unsigned strength;
    unsigned approvals;
    uint64_t steps;
    size_t found; /* for the never in hand */
} proof;

/* ---- telling ---- */

static void put_somebody(const proof *p, const somebody *who, sp_buf *out)
{
    const sp_policy_set *set = p->c->set;
    if (who->person != 0) {
        sp_buf_text(out, "a named person");
        for (size_t i = 0; i < set->people.size; i++) {
            if (set->people.slots[i].used && set->people.slots[i].value == who->person) {
                sp_buf_reset(out);
                sp_buf_span(out, set->people.slots[i].name);
            }
        }
    } else {
        sp_buf_text(out, who->roles_count == 0 ? "anybody who is signed in" : "somebody");
    }
    for (size_t i = 0; i < who->roles_count; i++) {
        const set_role *role = set_role_numbered(set, who->roles[i]);
        sp_buf_text(out, i == 0 ? " with role " : " and role ");
        sp_buf_span(out, role == NULL ? SP_SPAN_LIT("?") : role->name);
    }
}

static void put_data(const proof *p, const some_data *data, unsigned class, sp_buf *out)
{
    const sp_policy_set *set = p->c->set;
    sp_buf_span(out, set->classes[class].name);
    sp_buf_text(out, " data");
    for (uint64_t bits = data->tags; bits != 0; bits &= bits - 1) {
        sp_buf_text(out, bits == data->tags ? " tagged " : " and ");
        sp_buf_span(out, set->tags[__builtin_ctzll(bits)]);
    }
    if (data->resource != SP_NONE) {
        sp_buf_text(out, " of ");
        sp_buf_span(out, sp_policy_resource_name(p->view, data->resource));
    }
}

static void tell(proof *p, const somebody *who, const some_data *data, unsigned action,
                 unsigned class, uint16_t devices)
{
    unsigned device = (unsigned)__builtin_ctz(devices);
    const doc_rule *rule = p->c->set->rules[p->rule_at];
    const doc_never *nevers = p->c->set->docs.kinds[SP_DOC_NEVER].items;
    const doc_never *never = &nevers[p->never_at];
    auto_buf sp_buf someone = sp_buf_make(400);
    auto_buf sp_buf what = sp_buf_make(400);
    put_somebody(p, who, &someone);
    put_data(p, data, class, &what);
    sp_span someone_text = sp_buf_borrow(&someone);
    sp_span what_text = sp_buf_borrow(&what);
    p->found++;
    sp_diags_add(p->c->diags, SP_DIAG_ERROR, rule->head.place.file, rule->head.place.line,
                 rule->head.place.column,
                 "rule '%.*s' breaks never '%.*s' (%s:%u): it lets %.*s %s %.*s, from a device "
                 "with owner %s and posture %s, signed in with %s, approved by %u",
                 SP_SPAN_ARG(rule->head.name.text), SP_SPAN_ARG(never->head.name.text),
                 never->head.place.file, never->head.place.line, SP_SPAN_ARG(someone_text),
                 sp_action_word((sp_action)action), SP_SPAN_ARG(what_text),
                 sp_owner_word((sp_owner)(device / SP_POSTURE_COUNT)),
                 sp_posture_word((sp_posture)(device % SP_POSTURE_COUNT)),
                 sp_strength_word((sp_strength)p->strength), p->approvals);
}

/* ---- one person, some data ---- */

static bool deny_sees(const proof *p, uint32_t at, const somebody *who, const some_data *data)
{
    const snap_rule *deny = &p->rules[at];
    if ((deny->tags != 0 && (deny->tags & data->tags) == 0) ||
        (deny->resources.count != 0 && !snap_list_has(p->view, deny->resources, data->resource))) {
        return false;
    }
    bool sees = deny->everyone != 0;
    for (size_t i = 0; i < who->roles_count; i++) {
        sees = sees || role_bit(deny->roles, who->roles[i]);
    }
    snap_run people = p->c->set->rule_people[at];
    const uint32_t *list = (const uint32_t *)p->c->set->people_lists.items + people.at;
    for (uint32_t i = 0; i < people.count && !sees; i++) {
        sees = list[i] == who->person;
    }
    return sees;
}

/* Devices that no deny closes for this action and class. */
static uint16_t open_devices(proof *p, size_t count, unsigned action, unsigned class)
{
    uint16_t open = p->devices;
    for (size_t i = 0; i < count && open != 0; i++) {
        const snap_rule *deny = &p->rules[p->seen[i]];
        if ((deny->actions >> action & 1) != 0 && (deny->classes >> class & 1) != 0) {
            open &= (uint16_t)~deny->devices;
        }
    }
    p->steps += count + 1;
    return open;
}

/* Each of the functions below is true when it found a hole and told it. */

static bool look(proof *p, const somebody *who, const some_data *data)
{
    size_t count = 0;
    if (p->steps > PROOF_STEPS_MAX) {
        return false; /* check_never refuses the policy for it */
    }
    for (size_t i = 0; i < p->denies_count; i++) {
        if (deny_sees(p, p->denies[i], who, data)) {
            p->seen[count++] = p->denies[i];
        }
    }
    p->steps += p->denies_count;
    for (unsigned a = p->rule->actions & p->never->actions; a != 0; a &= a - 1) {
        for (unsigned k = data->classes; k != 0; k &= k - 1) {
            unsigned action = (unsigned)__builtin_ctz(a);
            unsigned class = (unsigned)__builtin_ctz(k);
            uint16_t open = open_devices(p, count, action, class);
            if (open != 0) {
                tell(p, who, data, action, class, open);
                return true;
            }
        }
    }
    return false;
}

/* ---- all data that fits rule and never ---- */

static bool look_at_object(proof *p, const somebody *who, uint32_t resource, uint8_t class_level,
                           uint64_t tags)
{
    some_data data = {tags, resource, (uint16_t)(1U << class_level)};
    return (p->rule->classes & p->never->classes & data.classes) != 0 &&
           (p->rule->tags == 0 || (p->rule->tags & tags) != 0) &&
           (p->never->tags == 0 || (p->never->tags & tags) != 0) && look(p, who, &data);
}

static bool look_at_resources(proof *p, const somebody *who)
{
    snap_run named = p->rule->resources.count != 0 ? p->rule->resources : p->never->resources;
    const snap_resource *resources = snap_at(p->view, SNAP_RESOURCES);
    const snap_part *parts = snap_at(p->view, SNAP_PARTS);
    for (uint32_t i = 0; i < named.count; i++) {
        uint32_t at = snap_list(p->view, named)[i];
        const snap_resource *r = &resources[at];
        if (p->never->resources.count != 0 && !snap_list_has(p->view, p->never->resources, at)) {
            continue;
        }
        bool hole = look_at_object(p, who, at, r->class_level, r->tags);
        for (uint32_t k = r->parts.at; k < r->parts.at + r->parts.count && !hole; k++) {
            hole = look_at_object(p, who, at, parts[k].class_level, parts[k].tags);
        }
        if (hole) {
            return true;
        }
    }
    return false;
}

/* The least sets of tags: one of the rule's with one of the never's. */
static bool look_at_tags(proof *p, const somebody *who)
{
    some_data data = {0, SP_NONE, p->rule->classes & p->never->classes};
    uint64_t rule_tags = p->rule->tags == 0 ? 1 : p->rule->tags;
    uint64_t never_tags = p->never->tags == 0 ? 1 : p->never->tags;
    for (uint64_t r = rule_tags; r != 0; r &= r - 1) {
        for (uint64_t n = never_tags; n != 0; n &= n - 1) {
            uint64_t of_rule = p->rule->tags == 0 ? 0 : r & -r;
            uint64_t of_never = p->never->tags == 0 ? 0 : n & -n;
            data.tags = of_rule | of_never;
            if (look(p, who, &data)) {
                return true;
            }
            if (!p->by_tags) {
                return false; /* no deny tells tags apart */
            }
        }
    }
    return false;
}

static bool look_as(proof *p, const somebody *who)
{
    if (p->rule->resources.count != 0 || p->never->resources.count != 0) {
        return look_at_resources(p, who);
    }
    return look_at_tags(p, who);
}

/* ---- all people that fit rule and never ---- */

typedef struct {
    const uint64_t *roles;
    const uint32_t *people;
    uint32_t people_count;
    bool everyone;
} party;

typedef enum { NOBODY, CLOSED, HOLE } finding; /* no such person; found no hole; a hole */

static bool in_party(const party *of, uint32_t person)
{
    for (uint32_t i = 0; i < of->people_count; i++) {
        if (of->people[i] == person) {
            return true;
        }
    }
    return false;
}

/* The next person matters only while a deny may tell them apart. */
static bool enough(const proof *p, finding found)
{
    return found == HOLE || (found == CLOSED && (!p->by_who || p->steps > PROOF_STEPS_MAX));
}

static finding look_found(proof *p, const somebody *who)
{
    return look_as(p, who) ? HOLE : CLOSED;
}

/* Whether somebody may hold this role of the other party as well. */
static bool may_join(const proof *p, const somebody *who, const party *other, unsigned number)
{
    const set_role *role = set_role_numbered(p->c->set, number);
    bool clashes = role != NULL && who->roles_count == 1 && role_bit(role->clashes, who->roles[0]);
    return role != NULL && !clashes && role_bit(other->roles, number);
}

/* Somebody who is in the one party already, with every way of being in the other as well. */
static finding join(proof *p, const somebody *who, const party *other)
{
    finding found = NOBODY;
    if (other->everyone || (who->person != 0 && in_party(other, who->person))) {
        return look_found(p, who);
    }
    for (unsigned number = 0; number < SP_ROLES_MAX && !enough(p, found); number++) {
        if (!may_join(p, who, other, number)) {
            continue;
        }
        somebody both = *who;
        if (both.roles_count == 0 || both.roles[0] != number) {
            both.roles[both.roles_count++] = number;
        }
        found = look_found(p, &both);
    }
    for (uint32_t i = 0; i < other->people_count && who->person == 0 && !enough(p, found); i++) {
        somebody both = *who;
        both.person = other->people[i];
        found = look_found(p, &both);
    }
    return found;
}

static void look_at_people(proof *p)
{
    snap_run people = p->c->set->rule_people[p->rule_at];
    party granted = {p->rule->roles, (const uint32_t *)p->c->set->people_lists.items + people.at,
                     people.count, p->rule->everyone != 0};
    party forbidden = {p->never->roles, snap_list(p->view, p->never->people),
                       p->never->people.count, p->never->everyone != 0};
    if (granted.everyone) {
        join(p, &(somebody){0}, &forbidden);
        return;
    }
    finding found = NOBODY;
    for (unsigned number = 0; number < SP_ROLES_MAX && !enough(p, found); number++) {
        if (role_bit(granted.roles, number)) {
            found = join(p, &(somebody){.roles = {number}, .roles_count = 1}, &forbidden);
        }
    }
    for (uint32_t i = 0; i < granted.people_count && !enough(p, found); i++) {
        found = join(p, &(somebody){.person = granted.people[i]}, &forbidden);
    }
}

/* ---- one rule, one never ---- */

static bool resources_meet(const proof *p)
{
    snap_run a = p->rule->resources;
    snap_run b = p->never->resources;
    if (a.count == 0 || b.count == 0) {
        return true;
    }
    for (uint32_t i = 0; i < a.count; i++) {
        if (snap_list_has(p->view, b, snap_list(p->view, a)[i])) {
            return true;
        }
    }
    return false;
}

/* Denies that hold whatever the hour and the place, and could close some of the overlap. */
static void gather_denies(proof *p)
{
    unsigned actions = p->rule->actions & p->never->actions;
    unsigned classes = p->rule->classes & p->never->classes;
    p->denies_count = 0;
    p->by_who = false;
    p->by_tags = false;
    for (uint32_t i = 0; i < p->first_grant; i++) {
        const snap_rule *deny = &p->rules[i];
        bool sure = deny->schedule == SP_NONE && deny->network == SP_NONE;
        if (sure && (deny->actions & actions) != 0 && (deny->classes & classes) != 0 &&
            (deny->devices & p->devices) != 0) {
            p->denies[p->denies_count++] = i;
            p->by_who = p->by_who || deny->everyone == 0;
            p->by_tags = p->by_tags || deny->tags != 0;
        }
    }
    p->steps += p->first_grant;
}

/* The person of the counter-example signs in and is approved as weakly as the rule allows: when
 * that meets the exception, only the device can still be outside it. */
static void check_pair(proof *p)
{
    const snap_never *never = p->never;
    p->devices = p->rule->devices & never->devices;
    p->strength = p->rule->strength;
    p->approvals = p->rule->approvals;
    p->steps++;
    bool weaker = p->strength < never->unless_strength || p->approvals < never->unless_approvals;
    if (never->has_unless != 0 && !weaker) {
        p->devices &= (uint16_t)~never->unless_devices;
    }
    if ((p->rule->actions & never->actions) != 0 && (p->rule->classes & never->classes) != 0 &&
        p->devices != 0 && resources_meet(p)) {
        gather_denies(p);
        look_at_people(p);
    }
}

static void check_never(proof *p)
{
    uint32_t count = snap_count(p->view, SNAP_RULES);
    p->found = 0;
    for (uint32_t i = p->first_grant; i < count && p->found < SHOWN_A_NEVER; i++) {
        p->rule_at = i;
        p->rule = &p->rules[i];
        check_pair(p);
        if (p->steps > PROOF_STEPS_MAX) {
            const doc_never *nevers = p->c->set->docs.kinds[SP_DOC_NEVER].items;
            set_error(p->c, &nevers[p->never_at].head.place,
                      "this never could not be proven within the limit of work; give it fewer "
                      "roles and tags, or write fewer rules that deny");
            return;
        }
    }
}

sp_err set_prove(compiling *c)
{
    proof p = {.c = c, .view = &c->set->view, .rules = snap_at(&c->set->view, SNAP_RULES)};
    uint32_t count = snap_count(p.view, SNAP_RULES);
    while (p.first_grant < count && p.rules[p.first_grant].deny != 0) {
        p.first_grant++;
    }
    auto_free uint32_t *denies = NULL;
    TRY(sp_alloc((size_t)p.first_grant + 1, 2 * sizeof(*denies), &denies));
    p.denies = denies;
    p.seen = denies + p.first_grant;
    const snap_never *nevers = snap_at(p.view, SNAP_NEVERS);
    for (uint32_t i = 0; i < snap_count(p.view, SNAP_NEVERS); i++) {
        p.never = &nevers[i];
        p.never_at = i;
        check_never(&p);
        if (p.steps > PROOF_STEPS_MAX) {
            break;
        }
    }
    c->set->figures.proof_steps = p.steps;
    return sp_ok();
}

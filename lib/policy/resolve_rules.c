/* SPDX-License-Identifier: Apache-2.0
 * Rules, nevers and retention, into records of the snapshot.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema; what a table cannot say is
 * checked here. SPEC docs/POLICY.md.
 */
#include "lib/policy/schema.h"
#include "lib/policy/set.h"

#include <stdlib.h>

uint16_t set_devices(uint32_t owners, uint32_t postures)
{
    uint16_t devices = 0;
    for (unsigned owner = 0; owner < SP_OWNER_COUNT; owner++) {
        for (unsigned posture = 0; posture < SP_POSTURE_COUNT; posture++) {
            bool fits = (owners == 0 || (owners >> owner & 1) != 0) &&
                        (postures == 0 || (postures >> posture & 1) != 0);
            unsigned bit = fits ? 1U << snap_device(owner, posture) : 0U;
            devices = (uint16_t)(devices | bit);
        }
    }
    return devices;
}

static sp_err number_of_person(compiling *c, const char *file, const doc_text *name,
                               uint32_t *ret_number)
{
    sp_policy_set *set = c->set;
    if (name_get(&set->people, name->text, ret_number)) {
        return sp_ok();
    }
    if (!set->people_open) {
        set_unknown(c, file, name, "person", &set->people);
        *ret_number = 0;
        return sp_ok();
    }
    return name_put(&set->people, name->text, set->people_next++, ret_number);
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a;
    uint32_t other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

/* Sorts the end of a vector of numbers from at on, drops doubles, and says what run that is. */
static void finish_run(vec *list, size_t at, snap_run *ret_run)
{
    uint32_t *items = (uint32_t *)list->items + at;
    size_t count = list->count - at;
    size_t kept = 0;
    if (count > 1) {
        qsort(items, count, sizeof(uint32_t), compare_numbers);
    }
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || items[i] != items[kept - 1]) {
            items[kept++] = items[i];
        }
    }
    list->count = at + kept;
    *ret_run = (snap_run){kept == 0 ? 0 : (uint32_t)at, (uint32_t)kept};
}

sp_err set_who(compiling *c, const doc_who *doc, vec *people, set_party *ret_who)
{
    sp_policy_set *set = c->set;
    const char *file = doc->place.file;
    bool some = doc->roles.count + doc->people.count > 0;
    if ((doc->any == DOC_TRUE) == some) {
        set_error(c, &doc->place, "who: name roles or people, or else say 'any: true'");
    }
    ret_who->everyone = doc->any == DOC_TRUE;
    for (size_t i = 0; i < doc->roles.count; i++) {
        uint32_t at = 0;
        if (!name_get(&set->role_names, doc->roles.items[i].text, &at)) {
            set_unknown(c, file, &doc->roles.items[i], "role", &set->role_names);
            continue;
        }
        for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
            ret_who->roles[w] |= set->roles[at].implied_by[w];
        }
    }
    size_t begins = people->count;
    for (size_t i = 0; i < doc->people.count; i++) {
        uint32_t *room = NULL;
        uint32_t number = 0;
        TRY(number_of_person(c, file, &doc->people.items[i], &number));
        TRY(vec_add(people, 1, &room));
        *room = number;
    }
    finish_run(people, begins, &ret_who->people);
    return sp_ok();
}

sp_err set_resource_list(compiling *c, const char *file, const doc_texts *names, snap_run *ret_run)
{
    sp_policy_set *set = c->set;
    vec *lists = &set->sections[SNAP_LISTS];
    size_t begins = lists->count;
    for (size_t i = 0; i < names->count; i++) {
        uint32_t at = 0;
        if (!name_get(&set->resource_names, names->items[i].text, &at)) {
            set_unknown(c, file, &names->items[i], "resource", &set->resource_names);
            continue;
        }
        uint32_t *room = NULL;
        TRY(vec_add(lists, 1, &room));
        *room = at;
    }
    finish_run(lists, begins, ret_run);
    return sp_ok();
}

/* ---- rules ---- */

static void check_rule_shape(const compiling *c, const doc_rule *doc)
{
    const doc_place *place = &doc->head.place;
    if ((doc->may != 0) == (doc->deny != 0)) {
        set_error(c, place, "a rule has either 'may' or 'deny': one grants, the other refuses");
    }
    const doc_to *to = &doc->to;
    bool some = to->resources.count + to->classes.count + to->tags.count > 0;
    if ((to->any == DOC_TRUE) == some) {
        set_error(c, &to->place, "to: name resources, classes or tags, or else say 'any: true'");
    }
    if (doc->deny == 0) {
        return;
    }
    if (doc->ask.place.line != 0) {
        set_error(c, &doc->ask.place, "a rule that denies cannot ask: leave 'ask' out");
    }
    if (doc->with.place.line != 0) {
        set_error(c, &doc->with.place, "a rule that denies has no duties: leave 'with' out");
    }
    if (doc->when.mfa != 0 || doc->when.auth_age.line != 0) {
        set_error(c, &doc->when.place,
                  "a rule that denies does not look at the sign-in: require 'mfa' and 'auth_age' "
                  "where rules grant, or write a Never with 'unless: { mfa: ... }'");
    }
}

static sp_err resolve_with(compiling *c, const doc_rule *doc, snap_rule *rule)
{
    const doc_with *with = &doc->with;
    TRY(set_tag_bits(c, doc->head.place.file, &with->mask, &rule->mask_tags));
    rule->must |= rule->mask_tags != 0 ? SP_MUST_MASK : 0;
    rule->must |= with->record == DOC_TRUE ? SP_MUST_RECORD : 0;
    rule->must |= with->watch == DOC_TRUE ? SP_MUST_WATCH : 0;
    if (with->limit.per == DOC_PER_DAY + 1) {
        rule->day_bytes = with->limit.bytes.value;
        rule->day_rows = with->limit.rows.value;
    } else {
        rule->limit_bytes = with->limit.bytes.value;
        rule->limit_rows = with->limit.rows.value;
    }
    rule->must |= with->limit.bytes.value + with->limit.rows.value != 0 ? SP_MUST_LIMIT : 0;
    return sp_ok();
}

/* What a role for emergencies grants is recorded before it happens, and watched. */
static bool names_sealed(const sp_policy_set *set, const doc_who *doc)
{
    for (size_t i = 0; i < doc->roles.count; i++) {
        uint32_t at = 0;
        if (name_get(&set->role_names, doc->roles.items[i].text, &at) &&
            set->roles[at].doc != NULL && set->roles[at].doc->request.sealed == DOC_TRUE) {
            return true;
        }
    }
    return false;
}

static sp_err resolve_rule(compiling *c, const doc_rule *doc, uint32_t index, snap_rule *rule)
{
    sp_policy_set *set = c->set;
    const char *file = doc->head.place.file;
    set_party w = {0};
    check_rule_shape(c, doc);
    *rule = (snap_rule){.deny = doc->deny != 0,
                        .actions = (uint16_t)(doc->deny != 0 ? doc->deny : doc->may),
                        .devices = set_devices(doc->on.owner, doc->on.posture),
                        .strength = doc->when.mfa == 0 ? 0 : (uint8_t)(doc->when.mfa - 1),
                        .approvals = (uint8_t)doc->ask.approved_by.value,
                        .auth_age_s = doc->when.auth_age.line == 0
                                          ? UINT32_MAX
                                          : (uint32_t)doc->when.auth_age.value};
    TRY(set_who(c, &doc->who, &set->people_lists, &w));
    sp_copy(rule->roles, w.roles, sizeof(w.roles));
    rule->everyone = w.everyone;
    set->rule_people[index] = w.people;
    TRY(set_class_bits(c, file, &doc->to.classes, &rule->classes));
    if (doc->to.classes.count == 0) {
        rule->classes = (uint16_t)((1U << set->class_count) - 1);
    }
    TRY(set_tag_bits(c, file, &doc->to.tags, &rule->tags));
    TRY(set_resource_list(c, file, &doc->to.resources, &rule->resources));
    TRY(resolve_with(c, doc, rule));
    if (doc->deny == 0 && names_sealed(set, &doc->who)) {
        rule->must |= SP_MUST_RECORD | SP_MUST_WATCH;
    }
    TRY(set_schedule(c, file, &doc->when, &rule->schedule));
    TRY(set_network(c, file, &doc->when, &rule->network));
    return set_text(set, doc->head.name.text, &rule->name);
}

/* Denies come first, so that a decision that meets one is over. */
static sp_err order_rules(sp_policy_set *set)
{
    const doc_maps *maps = &set->docs.kinds[SP_DOC_RULE];
    doc_rule *items = maps->items;
    size_t at = 0;
    TRY(sp_arena_alloc(&set->arena, maps->count, sizeof(doc_rule *), &set->rules));
    TRY(sp_arena_alloc(&set->arena, maps->count, sizeof(snap_run), &set->rule_people));
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < maps->count; i++) {
            if ((items[i].deny != 0) == (pass == 0)) {
                set->rules[at++] = &items[i];
            }
        }
    }
    return sp_ok();
}

static sp_err put_namings(sp_policy_set *set, uint32_t rule)
{
    snap_run people = set->rule_people[rule];
    for (uint32_t i = 0; i < people.count; i++) {
        set_naming *naming = NULL;
        TRY(vec_add(&set->namings, 1, &naming));
        naming->person = ((const uint32_t *)set->people_lists.items)[people.at + i];
        naming->rule = rule;
    }
    return sp_ok();
}

/* ---- nevers ---- */

static sp_err resolve_never(compiling *c, const doc_never *doc, snap_never *never)
{
    sp_policy_set *set = c->set;
    const char *file = doc->head.place.file;
    set_party w = {.everyone = 1};
    const doc_unless *unless = &doc->unless;
    *never = (snap_never){.actions = (uint16_t)doc->actions,
                          .devices = set_devices(doc->on.owner, doc->on.posture),
                          .has_unless = unless->place.line != 0,
                          .unless_devices = set_devices(unless->owner, unless->posture),
                          .unless_strength = unless->mfa == 0 ? 0 : (uint8_t)(unless->mfa - 1),
                          .unless_approvals = (uint8_t)unless->approved_by.value};
    if (doc->who.place.line != 0) {
        w.everyone = 0;
        TRY(set_who(c, &doc->who, &set->sections[SNAP_LISTS], &w));
    }
    sp_copy(never->roles, w.roles, sizeof(w.roles));
    never->everyone = w.everyone;
    never->people = w.people;
    TRY(set_class_bits(c, file, &doc->classes, &never->classes));
    if (doc->classes.count == 0) {
        never->classes = (uint16_t)((1U << set->class_count) - 1);
    }
    TRY(set_tag_bits(c, file, &doc->tags, &never->tags));
    TRY(set_resource_list(c, file, &doc->resources, &never->resources));
    return set_text(set, doc->head.name.text, &never->name);
}

/* ---- retention ---- */

static void check_retention(const compiling *c, const doc_retention *doc)
{
    uint16_t bits = 0;
    sp_err err = set_class_bits(c, doc->head.place.file, &doc->classes, &bits);
    (void)sp_failed(err); /* it only tells */
}

/* ---- approvals ---- */

/* Names are checked here; who they are is looked up when somebody asks (approvers.c). */
static sp_err check_who(compiling *c, const doc_who *doc)
{
    set_party w = {0};
    return doc->place.line == 0 ? sp_ok() : set_who(c, doc, &c->set->people_lists, &w);
}

/* Whoever holds the one would hold the sealed one always. */
static void check_includes(const compiling *c, const doc_role *role)
{
    for (size_t i = 0; i < role->includes.count; i++) {
        uint32_t at = 0;
        const doc_text *name = &role->includes.items[i];
        if (name_get(&c->set->role_names, name->text, &at) && c->set->roles[at].doc != NULL &&
            c->set->roles[at].doc->request.sealed == DOC_TRUE) {
            sp_diags_add(c->diags, SP_DIAG_ERROR, role->head.place.file, name->line, name->column,
                         "includes: '%.*s' is sealed: only emergency access opens it, so no role "
                         "includes it",
                         SP_SPAN_ARG(name->text));
        }
    }
}

static sp_err check_request(compiling *c, const doc_role *role)
{
    const doc_request *request = &role->request;
    check_includes(c, role);
    if (request->place.line == 0) {
        return sp_ok();
    }
    if (request->sealed == DOC_TRUE && request->ask.approved_by.value < 2) {
        set_error(c, &request->ask.place,
                  "a sealed role is opened by two people at least: approved_by: 2");
    }
    if (request->sealed == DOC_TRUE && role->includes.count > 0) {
        set_error(c, &request->place,
                  "a sealed role includes no other: its own rules say what it grants, so that all "
                  "of it is recorded and watched");
    }
    TRY(check_who(c, &request->who));
    return check_who(c, &request->ask.by);
}

static sp_err check_recertification(compiling *c, const doc_recertification *doc)
{
    for (size_t i = 0; i < doc->roles.count; i++) {
        uint32_t at = 0;
        if (!name_get(&c->set->role_names, doc->roles.items[i].text, &at)) {
            set_unknown(c, doc->head.place.file, &doc->roles.items[i], "role", &c->set->role_names);
        }
    }
    if (doc->warn.line != 0 && doc->warn.value >= doc->every.value) {
        sp_diags_add(c->diags, SP_DIAG_ERROR, doc->head.place.file, doc->warn.line,
                     doc->warn.column, "warn: it must be shorter than 'every'");
    }
    return check_who(c, &doc->by);
}

static sp_err check_approvals(compiling *c)
{
    DOC_EACH(&c->set->docs, SP_DOC_RULE, doc_rule, rule)
    {
        TRY(check_who(c, &rule->ask.by));
    }
    DOC_EACH(&c->set->docs, SP_DOC_ROLE, doc_role, role)
    {
        TRY(check_request(c, role));
    }
    DOC_EACH(&c->set->docs, SP_DOC_RECERTIFICATION, doc_recertification, doc)
    {
        TRY(check_recertification(c, doc));
    }
    return sp_ok();
}

/* When everybody who is named has a number. */
static void mark_approvers(sp_policy_set *set)
{
    snap_rule *rules = set->sections[SNAP_RULES].items;
    for (size_t i = 0; i < set->docs.kinds[SP_DOC_RULE].count; i++) {
        rules[i].approvers = set_approvers_mark(set, set->rules[i]);
    }
}

sp_err set_resolve_rules(compiling *c)
{
    sp_policy_set *set = c->set;
    TRY(order_rules(set));
    for (size_t i = 0; i < set->docs.kinds[SP_DOC_RULE].count; i++) {
        snap_rule rule;
        snap_rule *room = NULL;
        TRY(resolve_rule(c, set->rules[i], (uint32_t)i, &rule));
        TRY(vec_add(&set->sections[SNAP_RULES], 1, &room));
        *room = rule;
        TRY(put_namings(set, (uint32_t)i));
    }
    DOC_EACH(&set->docs, SP_DOC_NEVER, doc_never, doc)
    {
        snap_never never;
        snap_never *room = NULL;
        TRY(resolve_never(c, doc, &never));
        TRY(vec_add(&set->sections[SNAP_NEVERS], 1, &room));
        *room = never;
    }
    TRY(set_resolve_budgets(c));
    DOC_EACH(&set->docs, SP_DOC_RETENTION, doc_retention, retention)
    {
        check_retention(c, retention);
    }
    TRY(set_resolve_notices(c));
    TRY(check_approvals(c));
    mark_approvers(set);
    return sp_ok();
}

/* SPDX-License-Identifier: Apache-2.0
 * What is written but cannot matter: rules without effect (warnings), nevers at odds (errors).
 * OWNS nothing. PROCESS core, cli. TRUST the work is bounded: pairs of rules are compared only up
 * to PAIRS_MAX. SPEC docs/POLICY.md "Warnings".
 */
#include "lib/policy/database.h"
#include "lib/policy/set.h"

enum { PAIRS_MAX = 20000000 };

typedef struct {
    compiling *c;
    const sp_policy *view;
    const snap_rule *rules;
    uint32_t count;
} linting;

static void warn(const linting *l, const doc_head *head, const char *text, sp_span other)
{
    sp_diags_add(l->c->diags, SP_DIAG_WARNING, head->place.file, head->place.line,
                 head->place.column, "'%.*s' %s%s%.*s%s", SP_SPAN_ARG(head->name.text), text,
                 other.len > 0 ? " '" : "", SP_SPAN_ARG(other), other.len > 0 ? "'" : "");
}

static bool within(uint64_t inner, uint64_t outer)
{
    return (inner & ~outer) == 0;
}

/* Any-of sets where none means all: whether the inner one is part of the outer one. */
static bool tags_within(uint64_t inner, uint64_t outer)
{
    return outer == 0 || (inner != 0 && within(inner, outer));
}

static bool run_within(const sp_policy *view, snap_run inner, snap_run outer)
{
    if (outer.count == 0) {
        return true;
    }
    for (uint32_t i = 0; i < inner.count; i++) {
        if (!snap_list_has(view, outer, snap_list(view, inner)[i])) {
            return false;
        }
    }
    return inner.count != 0;
}

static bool roles_within(const uint64_t inner[SP_ROLE_WORDS], const uint64_t outer[SP_ROLE_WORDS])
{
    for (size_t i = 0; i < SP_ROLE_WORDS; i++) {
        if (!within(inner[i], outer[i])) {
            return false;
        }
    }
    return true;
}

typedef struct {
    const uint64_t *roles;
    snap_run people; /* none of them means none */
    bool everyone;
} party;

/* Whether the outer one holds whomever the inner one holds. */
static bool party_within(const sp_policy *view, const party *inner, const party *outer)
{
    bool people = inner->people.count == 0 ||
                  (outer->people.count != 0 && run_within(view, inner->people, outer->people));
    return outer->everyone ||
           (!inner->everyone && roles_within(inner->roles, outer->roles) && people);
}

/* ---- rules ---- */

/* Whether everything that rule a is about, rule b is about too. */
static bool rule_covers(const linting *l, const snap_rule *b, const snap_rule *a, uint32_t a_at)
{
    bool who = b->everyone != 0 || (a->everyone == 0 && roles_within(a->roles, b->roles) &&
                                    l->c->set->rule_people[a_at].count == 0);
    return within(a->actions, b->actions) && within(a->classes, b->classes) &&
           within(a->devices, b->devices) && who && tags_within(a->tags, b->tags) &&
           run_within(l->view, a->resources, b->resources) && b->schedule == SP_NONE &&
           b->network == SP_NONE;
}

static bool grants_all_of(const snap_rule *b, const snap_rule *a)
{
    bool duties = within(b->must, a->must) && within(b->mask_tags, a->mask_tags) &&
                  b->limit_bytes == a->limit_bytes && b->limit_rows == a->limit_rows &&
                  b->day_bytes == a->day_bytes && b->day_rows == a->day_rows;
    return b->deny == 0 && b->strength <= a->strength && b->auth_age_s >= a->auth_age_s &&
           b->approvals <= a->approvals && duties && within(a->must, b->must) &&
           within(a->mask_tags, b->mask_tags);
}

/* Rule b makes rule a needless; of two that say the same it is the earlier one. */
static bool shadows(const linting *l, uint32_t b, uint32_t a)
{
    const snap_rule *one = &l->rules[a];
    const snap_rule *other = &l->rules[b];
    bool adds_nothing =
        one->deny != 0 ? other->deny != 0 : other->deny != 0 || grants_all_of(other, one);
    if (!adds_nothing || !rule_covers(l, other, one, a)) {
        return false;
    }
    bool mirror = other->deny == one->deny && rule_covers(l, one, other, b) &&
                  (one->deny != 0 || grants_all_of(one, other));
    return !mirror || b < a;
}

static void lint_shadows(const linting *l)
{
    if ((uint64_t)l->count * l->count > PAIRS_MAX) {
        return;
    }
    for (uint32_t a = 0; a < l->count; a++) {
        uint32_t b = 0;
        while (b < l->count && (b == a || !shadows(l, b, a))) {
            b++;
        }
        if (b < l->count) {
            bool dead = l->rules[b].deny != 0 && l->rules[a].deny == 0;
            warn(l, &l->c->set->rules[a]->head,
                 dead ? "can never grant anything: all of it is denied by" : "adds nothing to",
                 l->c->set->rules[b]->head.name.text);
        }
    }
}

static bool object_fits(const snap_rule *rule, uint8_t class_level, uint64_t tags)
{
    return (rule->classes >> class_level & 1) != 0 && (rule->tags == 0 || (rule->tags & tags) != 0);
}

static bool resource_fits(const sp_policy *view, const snap_rule *rule, uint32_t at)
{
    const snap_resource *r = (const snap_resource *)snap_at(view, SNAP_RESOURCES) + at;
    const snap_part *parts = (const snap_part *)snap_at(view, SNAP_PARTS) + r->parts.at;
    bool fits = object_fits(rule, r->class_level, r->tags);
    for (uint32_t i = 0; i < r->parts.count && !fits; i++) {
        fits = object_fits(rule, parts[i].class_level, parts[i].tags);
    }
    return fits;
}

static void lint_rules(const linting *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        const snap_rule *rule = &l->rules[i];
        bool fits = rule->resources.count == 0;
        for (uint32_t k = 0; k < rule->resources.count && !fits; k++) {
            fits = resource_fits(l->view, rule, snap_list(l->view, rule->resources)[k]);
        }
        if (!fits) {
            warn(l, &l->c->set->rules[i]->head,
                 "can never match: none of the resources it names has data of such a class and "
                 "tags",
                 SP_SPAN_LIT(""));
        }
    }
}

/* ---- duties ---- */

static const char *undone_at(const sp_policy *view, const snap_rule *rule, uint32_t at)
{
    const snap_resource *r = (const snap_resource *)snap_at(view, SNAP_RESOURCES) + at;
    const snap_part *parts = (const snap_part *)snap_at(view, SNAP_PARTS) + r->parts.at;
    snap_duties duties = snap_duties_of_rule(rule);
    const char *undone = NULL;
    for (uint32_t i = 0; i <= r->parts.count && undone == NULL; i++) {
        uint64_t tags = i == 0 ? r->tags : parts[i - 1].tags;
        if (object_fits(rule, i == 0 ? r->class_level : parts[i - 1].class_level, tags)) {
            undone = snap_undone(view, at, tags, SP_FACE_ANY, &duties);
        }
    }
    return undone;
}

/* An error where the rule names the resource; where it only meets it, others may be meant. */
static void lint_duty(const linting *l, uint32_t rule, uint32_t resource)
{
    bool named = l->rules[rule].resources.count != 0;
    const doc_rule *doc = l->c->set->rules[rule];
    const char *undone = undone_at(l->view, &l->rules[rule], resource);
    bool web = snap_face_of(l->view, resource, SP_FACE_ANY) == SP_FACE_WEB;
    sp_span name = sp_policy_resource_name(l->view, resource);
    if (undone != NULL) {
        sp_diags_add(l->c->diags, named ? SP_DIAG_ERROR : SP_DIAG_WARNING, doc->head.place.file,
                     doc->with.place.line, doc->with.place.column,
                     "with.%s: the gate of %s '%.*s' cannot do this; what only this rule grants "
                     "is refused there",
                     undone, web ? "the application" : "the host", SP_SPAN_ARG(name));
    }
    if (named && web && l->rules[rule].approvals != 0) {
        sp_diags_add(l->c->diags, SP_DIAG_WARNING, doc->head.place.file, doc->ask.place.line,
                     doc->ask.place.column,
                     "ask: nobody can be asked at the application '%.*s': this rule grants nothing "
                     "there",
                     SP_SPAN_ARG(name));
    }
}

static bool account_covers(const linting *l, const snap_account *b, const snap_account *a)
{
    const party inner = {a->roles, a->people, a->everyone != 0};
    const party outer = {b->roles, b->people, b->everyone != 0};
    return within(a->devices, b->devices) && party_within(l->view, &inner, &outer);
}

/* What others agree to destroy where nothing is kept before it runs cannot be undone. */
static void lint_undo(const linting *l)
{
    const snap_resource *resources = snap_at(l->view, SNAP_RESOURCES);
    for (uint32_t at = 0; at < snap_count(l->view, SNAP_RESOURCES); at++) {
        sp_database_resource database;
        if (!sp_policy_database_resource(l->view, at, &database) || database.keep_as.len > 0) {
            continue;
        }
        for (uint32_t i = 0; i < l->count; i++) {
            const snap_rule *rule = &l->rules[i];
            const doc_rule *doc = l->c->set->rules[i];
            bool meets = rule->resources.count == 0 || snap_list_has(l->view, rule->resources, at);
            if (meets && rule->approvals != 0 && (rule->actions >> SP_ACTION_DESTROY & 1) != 0 &&
                resource_fits(l->view, rule, at)) {
                sp_diags_add(l->c->diags, SP_DIAG_WARNING, doc->head.place.file,
                             doc->ask.place.line, doc->ask.place.column,
                             "ask: what is agreed to at the database '%.*s' cannot be undone: it "
                             "has no postgres.keep_as",
                             SP_SPAN_ARG(snap_span(l->view, resources[at].name)));
                break; /* once is enough */
            }
        }
    }
}

/* Who may name none of several accounts has the first that fits him: one behind it is lost. */
static void lint_accounts(const linting *l)
{
    const sp_policy_set *set = l->c->set;
    DOC_EACH(&set->docs, SP_DOC_RESOURCE, doc_resource, doc)
    {
        uint32_t at = 0;
        bool known = name_get(&set->resource_names, doc->head.name.text, &at);
        const snap_resource *r = known ? snap_resource_at(l->view, at) : NULL;
        if (r == NULL || r->database == SP_NONE) {
            continue;
        }
        const snap_database *d =
            (const snap_database *)snap_at(l->view, SNAP_DATABASES) + r->database;
        const snap_account *all =
            (const snap_account *)snap_at(l->view, SNAP_ACCOUNTS) + d->accounts.at;
        const doc_account *docs = doc->postgres.accounts.items;
        for (uint32_t i = 1; i < d->accounts.count; i++) {
            uint32_t k = 0;
            while (k < i && !account_covers(l, &all[k], &all[i])) {
                k++;
            }
            if (k < i) {
                sp_diags_add(l->c->diags, SP_DIAG_WARNING, doc->head.place.file, docs[i].as.line,
                             docs[i].as.column,
                             "nobody ever works as '%.*s': '%.*s' stands before it and fits all "
                             "of them on all of their devices",
                             SP_SPAN_ARG(docs[i].as.text), SP_SPAN_ARG(docs[k].as.text));
            }
        }
    }
}

static void lint_duties(const linting *l)
{
    uint32_t resources = snap_count(l->view, SNAP_RESOURCES);
    for (uint32_t i = 0; i < l->count; i++) {
        snap_run named = l->rules[i].resources;
        if ((l->rules[i].must & (SP_MUST_MASK | SP_MUST_LIMIT)) == 0 &&
            l->rules[i].approvals == 0) {
            continue;
        }
        for (uint32_t k = 0; k < (named.count != 0 ? named.count : resources); k++) {
            lint_duty(l, i, named.count != 0 ? snap_list(l->view, named)[k] : k);
        }
    }
}

static void lint_tags(const linting *l, const char *file, const doc_texts *tags)
{
    const sp_policy_set *set = l->c->set;
    for (size_t i = 0; i < tags->count; i++) {
        uint32_t at = 0;
        if (name_get(&set->tag_names, tags->items[i].text, &at) &&
            (set->tags_in_use >> at & 1) == 0) {
            sp_diags_add(l->c->diags, SP_DIAG_WARNING, file, tags->items[i].line,
                         tags->items[i].column, "no resource has the tag '%.*s'",
                         SP_SPAN_ARG(tags->items[i].text));
        }
    }
}

/* ---- nevers ---- */

static bool never_covers(const linting *l, const snap_never *b, const snap_never *a)
{
    const party inner = {a->roles, a->people, a->everyone != 0};
    const party outer = {b->roles, b->people, b->everyone != 0};
    return within(a->actions, b->actions) && within(a->classes, b->classes) &&
           party_within(l->view, &inner, &outer) && tags_within(a->tags, b->tags) &&
           run_within(l->view, a->resources, b->resources);
}

static void lint_never_pair(const linting *l, const doc_never *docs, uint32_t a, uint32_t b)
{
    const snap_never *one = (const snap_never *)snap_at(l->view, SNAP_NEVERS) + a;
    const snap_never *other = (const snap_never *)snap_at(l->view, SNAP_NEVERS) + b;
    if (!never_covers(l, other, one)) {
        return;
    }
    unsigned exception = one->devices & one->unless_devices;
    if (one->has_unless != 0 && within(exception, other->devices) &&
        (other->has_unless == 0 || (exception & other->unless_devices) == 0)) {
        set_error(l->c, &docs[a].head.place,
                  "never '%.*s' is at odds with never '%.*s' (%s:%u), which forbids its exception "
                  "too: nothing could ever use it",
                  SP_SPAN_ARG(docs[a].head.name.text), SP_SPAN_ARG(docs[b].head.name.text),
                  docs[b].head.place.file, docs[b].head.place.line);
    } else if (one->has_unless == 0 && other->has_unless == 0 &&
               within(one->devices, other->devices) &&
               (a > b || !never_covers(l, one, other) || !within(other->devices, one->devices))) {
        warn(l, &docs[a].head, "adds nothing to never", docs[b].head.name.text);
    }
}

static void lint_nevers(const linting *l)
{
    const doc_never *docs = l->c->set->docs.kinds[SP_DOC_NEVER].items;
    const snap_never *nevers = snap_at(l->view, SNAP_NEVERS);
    uint32_t count = snap_count(l->view, SNAP_NEVERS);
    for (uint32_t a = 0; a < count; a++) {
        if (nevers[a].has_unless != 0 && (nevers[a].devices & nevers[a].unless_devices) == 0) {
            set_error(l->c, &docs[a].unless.place,
                      "the exception of never '%.*s' can never hold: it is about devices that "
                      "'on' leaves out",
                      SP_SPAN_ARG(docs[a].head.name.text));
        }
        if (nevers[a].has_unless != 0 && nevers[a].unless_devices == SNAP_DEVICES_ALL &&
            nevers[a].unless_strength == 0 && nevers[a].unless_approvals == 0) {
            set_error(l->c, &docs[a].unless.place,
                      "the exception of never '%.*s' always holds: it forbids nothing",
                      SP_SPAN_ARG(docs[a].head.name.text));
        }
        for (uint32_t b = 0; b < count; b++) {
            if (a != b) {
                lint_never_pair(l, docs, a, b);
            }
        }
        lint_tags(l, docs[a].head.place.file, &docs[a].tags);
    }
}

sp_err set_lint(compiling *c)
{
    linting l = {c, &c->set->view, snap_at(&c->set->view, SNAP_RULES),
                 snap_count(&c->set->view, SNAP_RULES)};
    lint_nevers(&l);
    lint_rules(&l);
    lint_duties(&l);
    lint_undo(&l);
    lint_accounts(&l);
    for (uint32_t i = 0; i < l.count; i++) {
        const doc_rule *doc = c->set->rules[i];
        lint_tags(&l, doc->head.place.file, &doc->to.tags);
        lint_tags(&l, doc->head.place.file, &doc->with.mask);
    }
    lint_shadows(&l);
    return sp_ok();
}

/* SPDX-License-Identifier: Apache-2.0
 * Look-ups of databases and budgets in a snapshot.
 * OWNS nothing. PROCESS database gate, core. TRUST names are hostile; the snapshot was checked by
 * sp_policy_open. SPEC lib/policy/database.h.
 */
#include "lib/policy/database.h"

#include "lib/base/mem.h"
#include "lib/policy/snapshot.h"

static const snap_database *database_of(const sp_policy *policy, uint32_t resource)
{
    const snap_resource *r = snap_resource_at(policy, resource);
    if (r == NULL || r->database == SP_NONE) {
        return NULL;
    }
    return (const snap_database *)snap_at(policy, SNAP_DATABASES) + r->database;
}

bool sp_policy_database_resource(const sp_policy *policy, uint32_t resource,
                                 sp_database_resource *ret_database)
{
    const snap_resource *r = snap_resource_at(policy, resource);
    const snap_database *d = database_of(policy, resource);
    if (d == NULL) {
        return false;
    }
    *ret_database = (sp_database_resource){
        .host = snap_span(policy, d->host),
        .port = d->port,
        .tls = d->tls,
        .ca = snap_span(policy, d->ca),
        .keep_as = snap_span(policy, d->keep_as),
        .broad_destroys = (d->flags & SNAP_DATABASE_BROAD_DESTROYS) != 0,
        .by_certificate = (d->flags & SNAP_DATABASE_CERTIFICATE) != 0,
        .title_en = snap_span(policy, r->title_en),
        .title_zh = snap_span(policy, r->title_zh),
        .databases = d->databases.count,
        .search_path = d->search_path.count,
    };
    return true;
}

bool sp_policy_database_broad_destroys(const sp_policy *policy, uint32_t resource)
{
    const snap_database *d = database_of(policy, resource);
    return d != NULL && (d->flags & SNAP_DATABASE_BROAD_DESTROYS) != 0;
}

bool sp_policy_database_export_over(const sp_policy *policy, uint32_t resource, uint64_t *ret_rows,
                                    uint64_t *ret_bytes)
{
    const snap_database *d = database_of(policy, resource);
    if (d != NULL) {
        *ret_rows = d->export_rows;
        *ret_bytes = d->export_bytes;
    }
    return d != NULL;
}

sp_span sp_policy_database_name(const sp_policy *policy, uint32_t resource, uint32_t at)
{
    const snap_database *d = database_of(policy, resource);
    return d == NULL ? SP_SPAN_EMPTY : snap_text_at(policy, d->databases, at);
}

sp_span sp_policy_database_schema(const sp_policy *policy, uint32_t resource, uint32_t at)
{
    const snap_database *d = database_of(policy, resource);
    return d == NULL ? SP_SPAN_EMPTY : snap_text_at(policy, d->search_path, at);
}

sp_span sp_policy_database_reached(const sp_policy *policy, uint32_t resource, sp_span name)
{
    const snap_database *d = database_of(policy, resource);
    for (uint32_t i = 0; d != NULL && i < d->databases.count; i++) {
        sp_span known = snap_text_at(policy, d->databases, i);
        if (name.len == 0 || sp_span_eq(known, name)) {
            return known;
        }
    }
    return SP_SPAN_EMPTY;
}

sp_span sp_policy_database_account(const sp_policy *policy, uint32_t resource,
                                   const sp_subject *who)
{
    const snap_database *d = database_of(policy, resource);
    return d == NULL ? SP_SPAN_EMPTY : snap_account_at(policy, d->accounts, who, 0);
}

sp_reason sp_policy_database_account_missing(const sp_policy *policy, uint32_t resource,
                                             const sp_subject *who)
{
    const snap_database *d = database_of(policy, resource);
    return d == NULL ? SP_REASON_DEFAULT
                     : snap_account_missing(policy, d->accounts, who, SP_SPAN_EMPTY);
}

/* ---- parts ---- */

static bool fits(const sp_policy *policy, snap_text pattern, sp_span name)
{
    return pattern.len == 0 || sp_span_eq(snap_span(policy, pattern), name);
}

static const snap_relation *relation_of(const sp_policy *policy, const snap_database *d,
                                        sp_span database, sp_span schema, sp_span relation)
{
    const snap_relation *all = snap_at(policy, SNAP_RELATIONS);
    for (uint32_t i = d->relations.at; i < d->relations.at + d->relations.count; i++) {
        if (fits(policy, all[i].relation, relation) && fits(policy, all[i].schema, schema) &&
            fits(policy, all[i].database, database)) {
            return &all[i];
        }
    }
    return NULL;
}

/* Plain tables of kept rows (keeper/beside.c): the tags of what they were do not follow them. */
static bool is_of_kept(sp_span schema)
{
    return sp_span_starts(schema, SP_SPAN_LIT(SP_DATABASE_KEPT));
}

static sp_database_part whole_part(const sp_policy *policy, uint32_t part, uint8_t mask)
{
    const snap_part *p = (const snap_part *)snap_at(policy, SNAP_PARTS) + part;
    return (sp_database_part){part, p->class_level, mask, p->tags};
}

sp_database_part sp_policy_database_part(const sp_policy *policy, uint32_t resource,
                                         sp_span database, sp_span schema, sp_span relation,
                                         sp_span column)
{
    const snap_resource *r = snap_resource_at(policy, resource);
    const snap_database *d = database_of(policy, resource);
    if (r == NULL) {
        return (sp_database_part){.part = SP_NONE, .mask = SP_MASK_FULL};
    }
    const snap_relation *found =
        d == NULL ? NULL : relation_of(policy, d, database, schema, relation);
    if (is_of_kept(schema) && (found == NULL || found->schema.len == 0)) {
        return (sp_database_part){SP_PART_CLOSED, r->class_level, SP_MASK_FULL, r->tags};
    }
    if (found == NULL) {
        return (sp_database_part){SP_NONE, r->class_level, SP_MASK_FULL, r->tags};
    }
    if (column.len == 0) {
        return whole_part(policy, found->part, found->mask);
    }
    const snap_column *columns = snap_at(policy, SNAP_COLUMNS);
    for (uint32_t i = found->columns.at; i < found->columns.at + found->columns.count; i++) {
        if (sp_span_eq(snap_span(policy, columns[i].name), column)) {
            return whole_part(policy, columns[i].part, columns[i].mask);
        }
    }
    return (sp_database_part){found->part, found->class_level, found->mask, found->unlisted_tags};
}

sp_decision sp_policy_database_whole(const sp_policy *policy, const sp_question *question,
                                     sp_span database, sp_span schema)
{
    sp_question asked = *question;
    asked.part = SP_NONE;
    sp_decision worst = sp_policy_decide(policy, &asked);
    const snap_database *d = database_of(policy, question->resource);
    const snap_relation *all = snap_at(policy, SNAP_RELATIONS);
    for (uint32_t i = 0; d != NULL && i < d->relations.count; i++) {
        const snap_relation *r = &all[d->relations.at + i];
        bool inside = (database.len == 0 || fits(policy, r->database, database)) &&
                      (schema.len == 0 || fits(policy, r->schema, schema));
        if (inside) {
            asked.part = r->part;
            sp_decision one = sp_policy_decide(policy, &asked);
            sp_decision_join(policy, &worst, &one);
        }
    }
    return worst;
}

uint64_t sp_policy_database_masks(const sp_policy *policy, const sp_question *question,
                                  sp_span database)
{
    sp_question asked = *question;
    uint64_t tags = 0;
    asked.action = SP_ACTION_READ;
    const snap_database *d = database_of(policy, question->resource);
    const snap_relation *all = snap_at(policy, SNAP_RELATIONS);
    for (uint32_t i = 0; d != NULL && i < d->relations.count; i++) {
        const snap_relation *r = &all[d->relations.at + i];
        asked.part = r->part;
        if (database.len == 0 || fits(policy, r->database, database)) {
            sp_decision one = sp_policy_decide(policy, &asked);
            bool is_masked = one.verdict != SP_VERDICT_DENY && (one.must & SP_MUST_MASK) != 0;
            tags |= is_masked ? one.mask_tags : 0;
        }
    }
    return tags;
}

bool sp_policy_database_function(const sp_policy *policy, uint32_t resource, sp_span schema,
                                 sp_span name, sp_action *ret_action)
{
    const snap_database *d = database_of(policy, resource);
    const snap_function *all = snap_at(policy, SNAP_FUNCTIONS);
    for (uint32_t i = 0; d != NULL && i < d->functions.count; i++) {
        const snap_function *f = &all[d->functions.at + i];
        if (sp_span_eq(snap_span(policy, f->name), name) &&
            sp_span_eq(snap_span(policy, f->schema), schema)) {
            *ret_action = (sp_action)f->action;
            return true;
        }
    }
    return false;
}

/* ---- budgets ---- */

uint32_t sp_policy_budget_count(const sp_policy *policy)
{
    return snap_count(policy, SNAP_BUDGETS);
}

bool sp_policy_budget_at(const sp_policy *policy, uint32_t at, sp_policy_budget *ret_budget)
{
    if (at >= snap_count(policy, SNAP_BUDGETS)) {
        return false;
    }
    const snap_budget *b = (const snap_budget *)snap_at(policy, SNAP_BUDGETS) + at;
    *ret_budget = (sp_policy_budget){.name = snap_span(policy, b->name),
                                     .period_s = b->period_s,
                                     .statements = b->statements,
                                     .rows = b->rows,
                                     .then = b->then};
    return true;
}

bool sp_policy_budget_of(const sp_policy *policy, uint32_t at, const sp_subject *who,
                         uint32_t actions, uint32_t resource, sp_policy_budget *ret_budget)
{
    if (at >= snap_count(policy, SNAP_BUDGETS)) {
        return false;
    }
    const snap_budget *b = (const snap_budget *)snap_at(policy, SNAP_BUDGETS) + at;
    if ((b->actions & actions) == 0 ||
        (b->resources.count != 0 && !snap_list_has(policy, b->resources, resource)) ||
        (who != NULL && !snap_is_about(policy, b->roles, b->people, b->everyone != 0, who))) {
        return false;
    }
    return sp_policy_budget_at(policy, at, ret_budget);
}

bool sp_policy_budget_any(const sp_policy *policy, const sp_subject *who, uint32_t actions,
                          uint32_t resource)
{
    sp_policy_budget budget;
    for (uint32_t i = 0; i < snap_count(policy, SNAP_BUDGETS); i++) {
        if (sp_policy_budget_of(policy, i, who, actions, resource, &budget)) {
            return true;
        }
    }
    return false;
}

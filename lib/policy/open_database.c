/* SPDX-License-Identifier: Apache-2.0
 * Opening a snapshot: what is in it of databases and budgets.
 * OWNS nothing. PROCESS gates, core. TRUST the bytes may be anything. SPEC lib/policy/snapshot.h.
 */
#include "lib/policy/database.h"
#include "lib/policy/snapshot.h"

static bool functions_ok(const sp_policy *policy, snap_run run)
{
    if (!snap_run_ok(policy, run, SNAP_FUNCTIONS)) {
        return false;
    }
    const snap_function *all = (const snap_function *)snap_at(policy, SNAP_FUNCTIONS) + run.at;
    for (uint32_t i = 0; i < run.count; i++) {
        if (!snap_text_ok(policy, all[i].schema) || !snap_text_ok(policy, all[i].name) ||
            all[i].action >= SP_ACTION_COUNT) {
            return false;
        }
    }
    return true;
}

/* A part of this resource that is no path. */
static bool part_ok(const snap_resource *resource, uint32_t part)
{
    return part - resource->parts.at < resource->parts.count &&
           part - resource->parts.at >= resource->web_parts;
}

static bool relation_ok(const sp_policy *policy, const snap_resource *resource,
                        const snap_relation *r)
{
    if (!snap_text_ok(policy, r->database) || !snap_text_ok(policy, r->schema) ||
        !snap_text_ok(policy, r->relation) || !part_ok(resource, r->part) ||
        r->class_level >= snap_head_of(policy)->class_count || r->mask >= SP_MASK_COUNT ||
        !snap_run_ok(policy, r->columns, SNAP_COLUMNS)) {
        return false;
    }
    const snap_column *columns = (const snap_column *)snap_at(policy, SNAP_COLUMNS) + r->columns.at;
    for (uint32_t i = 0; i < r->columns.count; i++) {
        if (!snap_text_ok(policy, columns[i].name) || columns[i].mask >= SP_MASK_COUNT ||
            !part_ok(resource, columns[i].part)) {
            return false;
        }
    }
    return true;
}

bool snap_database_ok(const sp_policy *policy, const snap_resource *resource, uint32_t index)
{
    if (resource->database == SP_NONE) {
        return true;
    }
    if (resource->database >= snap_count(policy, SNAP_DATABASES) ||
        !snap_run_ok(policy, resource->parts, SNAP_PARTS)) {
        return false;
    }
    const snap_database *d =
        (const snap_database *)snap_at(policy, SNAP_DATABASES) + resource->database;
    if (d->resource != index || !snap_text_ok(policy, d->host) || !snap_text_ok(policy, d->ca) ||
        !snap_text_ok(policy, d->keep_as) || d->port == 0 || d->tls >= SP_DATABASE_TLS_COUNT ||
        ((d->flags & SNAP_DATABASE_CERTIFICATE) != 0 && d->tls > SP_DATABASE_TLS_VERIFY_CA) ||
        d->databases.count == 0 || d->search_path.count == 0 ||
        !snap_texts_ok(policy, d->databases) || !snap_texts_ok(policy, d->search_path) ||
        !snap_accounts_ok(policy, d->accounts) || !functions_ok(policy, d->functions) ||
        !snap_run_ok(policy, d->relations, SNAP_RELATIONS)) {
        return false;
    }
    const snap_relation *all = (const snap_relation *)snap_at(policy, SNAP_RELATIONS);
    for (uint32_t i = 0; i < d->relations.count; i++) {
        if (!relation_ok(policy, resource, &all[d->relations.at + i])) {
            return false;
        }
    }
    return true;
}

bool snap_budgets_ok(const sp_policy *policy)
{
    const snap_budget *budgets = snap_at(policy, SNAP_BUDGETS);
    for (uint32_t i = 0; i < snap_count(policy, SNAP_BUDGETS); i++) {
        const snap_budget *b = &budgets[i];
        if (!snap_text_ok(policy, b->name) || b->then >= SP_BUDGET_THEN_COUNT ||
            !snap_list_ok(policy, b->people, SP_NONE, true) ||
            !snap_list_ok(policy, b->resources, snap_count(policy, SNAP_RESOURCES), true)) {
            return false;
        }
    }
    return true;
}

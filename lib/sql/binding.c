/* SPDX-License-Identifier: Apache-2.0
 * What policy says of the relations and columns of a catalogue, and how that spreads: to
 * partitions and parents, to views, to generated columns, to indexes.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/catalogue.h. SPEC lib/sql/catalogue.h.
 */
#include "lib/sql/catalogue_store.h"

void sp_sql_catalogue_bind_clear(sp_sql_catalogue *catalogue)
{
    const sp_sql_bound nothing = {.part = SP_NONE};
    for (uint32_t i = 0; i < catalogue->relation_count; i++) {
        catalogue->relations[i].bound = nothing;
        catalogue->relations[i].flags &= ~(uint32_t)(SP_SQL_REL_TAGGED | SP_SQL_REL_NEAR);
    }
    for (uint32_t i = 0; i < catalogue->column_count; i++) {
        catalogue->columns[i].bound = nothing;
    }
}

void sp_sql_catalogue_bind_relation(sp_sql_catalogue *catalogue, uint32_t relation,
                                    const sp_sql_bound *bound)
{
    catalogue->relations[relation].bound = *bound;
    if (bound->tags != 0) {
        catalogue->relations[relation].flags |= SP_SQL_REL_TAGGED;
    }
}

/* The relation that a column belongs to: the last one that begins at or before it. */
static sp_sql_relation *owner_of(sp_sql_catalogue *catalogue, uint32_t column)
{
    uint32_t low = 0;
    uint32_t high = catalogue->relation_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (catalogue->relations[middle].first_column <= column) {
            low = middle;
        } else {
            high = middle;
        }
    }
    while (low > 0 && catalogue->relations[low].column_count == 0) {
        low--;
    }
    return &catalogue->relations[low];
}

void sp_sql_catalogue_bind_column(sp_sql_catalogue *catalogue, uint32_t column,
                                  const sp_sql_bound *bound)
{
    catalogue->columns[column].bound = *bound;
    if (bound->tags != 0) {
        owner_of(catalogue, column)->flags |= SP_SQL_REL_TAGGED;
    }
}

static bool add_tags(sp_sql_relation *relation, sp_sql_bound *bound, const sp_sql_bound *from)
{
    if ((bound->tags | from->tags) == bound->tags) {
        return false;
    }
    bound->mask = bound->tags == 0 ? from->mask : bound->mask;
    bound->tags |= from->tags;
    relation->flags |= SP_SQL_REL_TAGGED;
    return true;
}

/* The same rows under two names: of two masks neither is sure to show less. */
static bool add_same(sp_sql_relation *relation, sp_sql_bound *bound, const sp_sql_bound *from)
{
    bool is_other = bound->tags != 0 && bound->mask != from->mask;
    bool changed = add_tags(relation, bound, from);
    bound->mask = changed && is_other ? SP_MASK_FULL : bound->mask;
    return changed;
}

/* A child is at least what its parent is. */
static bool inherit(sp_sql_catalogue *catalogue, const sp_sql_relation *parent, uint32_t child)
{
    sp_sql_relation *to = &catalogue->relations[child];
    bool changed = false;
    bool is_closed = to->bound.part == SP_PART_CLOSED;
    if (!is_closed && (to->bound.class_level < parent->bound.class_level ||
                       (to->bound.part == SP_NONE && parent->bound.part != SP_NONE))) {
        to->bound.class_level = parent->bound.class_level;
        to->bound.part = parent->bound.part;
        changed = true;
    }
    if (!is_closed && parent->bound.part == SP_PART_CLOSED && to->bound.part != SP_PART_CLOSED) {
        to->bound.part = SP_PART_CLOSED;
        changed = true;
    }
    changed |= add_tags(to, &to->bound, &parent->bound);
    for (uint32_t i = 0; i < parent->column_count; i++) {
        const sp_sql_column *from = &catalogue->columns[parent->first_column + i];
        uint32_t at = from->bound.tags == 0
                          ? SP_NONE
                          : sp_sql_catalogue_find_column(catalogue, child, from->name);
        if (at != SP_NONE) {
            changed |= add_same(to, &catalogue->columns[at].bound, &from->bound);
        }
    }
    return changed;
}

/* What is read through the parent are rows of the child too. */
static bool show(sp_sql_catalogue *catalogue, uint32_t parent, const sp_sql_relation *child)
{
    sp_sql_relation *to = &catalogue->relations[parent];
    bool changed = false;
    for (uint32_t i = 0; (child->flags & SP_SQL_REL_TAGGED) != 0 && i < child->column_count; i++) {
        const sp_sql_column *from = &catalogue->columns[child->first_column + i];
        uint32_t at = from->bound.tags == 0
                          ? SP_NONE
                          : sp_sql_catalogue_find_column(catalogue, parent, from->name);
        if (at != SP_NONE) {
            changed |= add_same(to, &catalogue->columns[at].bound, &from->bound);
        }
    }
    return changed;
}

static uint64_t all_tags(const sp_sql_catalogue *catalogue, const sp_sql_relation *relation)
{
    uint64_t tags = relation->bound.tags;
    for (uint32_t i = 0; i < relation->column_count; i++) {
        tags |= catalogue->columns[relation->first_column + i].bound.tags;
    }
    return tags;
}

static bool spread_to_view(sp_sql_catalogue *catalogue, sp_sql_relation *view, uint32_t base)
{
    const sp_sql_bound from = {.tags = all_tags(catalogue, &catalogue->relations[base]),
                               .mask = SP_MASK_FULL};
    bool changed = false;
    for (uint32_t i = 0; from.tags != 0 && i < view->column_count; i++) {
        changed |= add_tags(view, &catalogue->columns[view->first_column + i].bound, &from);
    }
    return changed;
}

/* ---- spreading ---- */

/* Its neighbours have to look at it again. */
static void wait(sp_sql_catalogue *catalogue, uint32_t relation)
{
    catalogue_waiting *waiting = &catalogue->waiting;
    if (!catalogue->relations[relation].is_waiting) {
        catalogue->relations[relation].is_waiting = true;
        waiting->ring[(waiting->first + waiting->count++) % catalogue->relation_count] = relation;
    }
}

static uint32_t next_waiting(sp_sql_catalogue *catalogue)
{
    catalogue_waiting *waiting = &catalogue->waiting;
    uint32_t relation = waiting->ring[waiting->first];
    waiting->first = (waiting->first + 1) % catalogue->relation_count;
    waiting->count--;
    catalogue->relations[relation].is_waiting = false;
    return relation;
}

static void spread_to_generated(sp_sql_catalogue *catalogue)
{
    for (uint32_t i = 0; i < catalogue->generated_count; i++) {
        const catalogue_generated *one = &catalogue->generated[i];
        const sp_sql_bound from = {.tags = catalogue->columns[one->source].bound.tags,
                                   .mask = SP_MASK_FULL};
        if (add_tags(&catalogue->relations[one->relation], &catalogue->columns[one->column].bound,
                     &from)) {
            wait(catalogue, one->relation);
        }
    }
}

static void spread_down(sp_sql_catalogue *catalogue, uint32_t relation)
{
    const sp_sql_relation *from = &catalogue->relations[relation];
    for (uint32_t i = from->first_edge; i < from->first_edge + from->edge_count; i++) {
        const sp_sql_edge *edge = &catalogue->edges[i];
        if (edge->kind == SP_SQL_EDGE_CHILD && inherit(catalogue, from, edge->to)) {
            wait(catalogue, edge->to);
        } else if (edge->kind == SP_SQL_EDGE_INDEX) {
            catalogue->relations[edge->to].bound = from->bound;
            catalogue->relations[edge->to].flags |= from->flags & SP_SQL_REL_TAGGED;
        }
    }
}

static void spread_up(sp_sql_catalogue *catalogue, uint32_t relation)
{
    const uint32_t reaches = SP_SQL_REL_TAGGED | SP_SQL_REL_NEAR;
    const sp_sql_relation *to = &catalogue->relations[relation];
    for (uint32_t at = catalogue->edges_to[relation]; at != 0; at = catalogue->edges_next[at - 1]) {
        const sp_sql_edge *edge = &catalogue->edges[at - 1];
        sp_sql_relation *from = &catalogue->relations[edge->from];
        if (edge->kind == SP_SQL_EDGE_INDEX) {
            continue; /* nothing is done to a table through its index */
        }
        bool changed =
            (edge->kind == SP_SQL_EDGE_CHILD && show(catalogue, edge->from, to)) ||
            (edge->kind == SP_SQL_EDGE_READS && spread_to_view(catalogue, from, relation));
        if ((to->flags & reaches) != 0 && (from->flags & SP_SQL_REL_NEAR) == 0) {
            from->flags |= SP_SQL_REL_NEAR;
            changed = true;
        }
        if (changed) {
            wait(catalogue, edge->from);
        }
    }
}

/* Tags only come, so this ends. */
void sp_sql_catalogue_bind_finish(sp_sql_catalogue *catalogue)
{
    for (uint32_t i = 0; i < catalogue->relation_count; i++) {
        wait(catalogue, i);
    }
    do {
        spread_to_generated(catalogue);
        while (catalogue->waiting.count > 0) {
            uint32_t relation = next_waiting(catalogue);
            spread_down(catalogue, relation);
            spread_up(catalogue, relation);
        }
        spread_to_generated(catalogue);
    } while (catalogue->waiting.count > 0);
}

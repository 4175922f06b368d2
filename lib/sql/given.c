/* SPDX-License-Identifier: Apache-2.0
 * Names that are given to rows: by a view, a renaming, by going away from in front of another one.
 * The server looks names up when a statement's turn comes, and again behind a lock; the gate judged
 * it when it came. So what counts is not who uses the name but who gives it, new or not: where
 * policy says different things of it and of the rows that it is given to, that is as grave as to
 * destroy both; where the name meant others before (MOVES) always, since what was judged rests on
 * their columns, types and keys, too.
 *
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 manual, 5.9.3.
 */
#include "lib/base/mem.h"
#include "lib/sql/walk.h"

static bool is_in_path(const sp_sql_catalogue *catalogue, sp_span schema)
{
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0; (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0; i++) {
        if (sp_span_eq(at, schema)) {
            return true;
        }
    }
    return false;
}

static bool is_made_in(const walker *w, sp_span schema, sp_span name)
{
    const walk_room *room = w->room;
    walk_works(w, room->made_count / 8 + context_cost(w->context));
    for (uint32_t i = 0; i < room->made_count; i++) {
        if (sp_span_eq(room->mades[i].schema, schema) && sp_span_eq(room->mades[i].name, name)) {
            return true;
        }
    }
    return schema.len > 0 && w->context->is_own != NULL &&
           w->context->is_own(w->context->session, schema, name);
}

bool walk_is_own(const walker *w, const RangeVar *name)
{
    const given_name it = given_of(w, text_of(name->schemaname), text_of(name->relname));
    return is_made_in(w, it.schema, it.name) && !walk_is_other(w, it.name);
}

given_name given_of(const walker *w, sp_span schema, sp_span name)
{
    bool is_found = schema.len == 0 && w->context->catalogue != NULL;
    return (given_name){is_found ? sp_sql_catalogue_home(w->context->catalogue) : schema, name};
}

given_name given_made(const walker *w, const RangeVar *name)
{
    return given_of(w, name->schemaname != NULL ? text_of(name->schemaname) : w->made_in,
                    text_of(name->relname));
}

/* By its schema, and by none where the search path comes by it. */
static void record_meanings(walker *w, uint32_t index, const given_name *to, uint16_t more)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    record_becoming(w, index, to->schema, to->name, more);
    bool is_found = is_in_path(catalogue, to->schema);
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0; is_found && (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0; i++) {
        uint32_t was = sp_sql_catalogue_find(catalogue, at, to->name);
        bool may_mean = was != SP_NONE || walk_is_other(w, to->name);
        bool is_itself = was != SP_NONE && was == index;
        if (may_mean && !is_itself && !sp_span_eq(at, to->schema)) {
            record_becoming(w, index, at, to->name, more);
        }
    }
}

void record_given(walker *w, uint32_t index, const given_name *to, uint16_t more)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_relation *from = sp_sql_catalogue_at(catalogue, index);
    if ((from->flags & SP_SQL_REL_SYSTEM) != 0) {
        if ((from->flags & SP_SQL_REL_TELLING) != 0) {
            record_meanings(w, SP_NONE, to, SP_SQL_USE_OPAQUE);
        }
        return;
    }
    uint32_t before = w->room->use_count;
    record_meanings(w, index, to, more);
    if (w->room->use_count == before) {
        return; /* seen before, and what is seen through it too */
    }
    const sp_sql_edge *edges = sp_sql_catalogue_edges(catalogue, index);
    for (uint32_t i = 0; i < from->edge_count && !walk_failed(w); i++) {
        const sp_sql_relation *seen = sp_sql_catalogue_at(catalogue, edges[i].to);
        bool shows = edges[i].kind == SP_SQL_EDGE_READS ? from->kind == 'v'
                                                        : edges[i].kind == SP_SQL_EDGE_CHILD &&
                                                              seen->bound.part != from->bound.part;
        if (shows) {
            record_given(w, edges[i].to, to, 0);
        }
    }
}

void record_given_unknown(walker *w, const RangeVar *from, const given_name *to)
{
    if (w->context->catalogue != NULL) {
        record_meanings(w, SP_NONE, to, walk_is_own(w, from) ? 0 : SP_SQL_USE_OPAQUE);
    }
}

void record_changed_names(walker *w, const RangeVar *name)
{
    found_relation found = walk_resolve(w, name, true);
    if (found.kind == FOUND_KNOWN) {
        const sp_sql_relation *known = sp_sql_catalogue_at(w->context->catalogue, found.relation);
        record_becoming(w, found.relation, known->schema, known->name, SP_SQL_USE_MOVES);
    } else if (found.kind == FOUND_UNKNOWN) {
        const given_name to = given_of(w, text_of(name->schemaname), text_of(name->relname));
        record_given_unknown(w, name, &to);
    }
}

/* Those of that name behind `top` in the search path become what it was. */
static void uncover_behind(walker *w, uint32_t top)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_relation *was = sp_sql_catalogue_at(catalogue, top);
    const given_name to = {was->schema, was->name};
    bool is_behind = false;
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0; (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0; i++) {
        uint32_t index = is_behind ? sp_sql_catalogue_find(catalogue, at, was->name) : SP_NONE;
        if (index != SP_NONE) {
            record_given(w, index, &to, SP_SQL_USE_MOVES);
        }
        is_behind |= sp_span_eq(at, was->schema);
    }
}

void record_cover(walker *w, const given_name *made)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    bool is_behind = false;
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0; catalogue != NULL && (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0;
         i++) {
        uint32_t index = is_behind ? sp_sql_catalogue_find(catalogue, at, made->name) : SP_NONE;
        if (index != SP_NONE) {
            record_becoming(w, index, made->schema, made->name, SP_SQL_USE_MOVES);
        }
        is_behind |= sp_span_eq(at, made->schema);
    }
}

/* One that another one hides is found by no name but with its schema. */
static void uncover(walker *w, uint32_t index, bool with_children)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_relation *gone = sp_sql_catalogue_at(catalogue, index);
    const sp_sql_edge *edges = sp_sql_catalogue_edges(catalogue, index);
    uint32_t before = w->room->use_count;
    walk_works(w, 1);
    if (sp_sql_catalogue_find(catalogue, SP_SPAN_EMPTY, gone->name) == index) {
        uncover_behind(w, index);
    }
    if (w->room->use_count != before) {
        record_other(w, gone->name);
    }
    for (uint32_t i = 0; with_children && i < gone->edge_count && !walk_is_spent(w); i++) {
        if (edges[i].kind == SP_SQL_EDGE_CHILD) {
            uncover(w, edges[i].to, true);
        }
    }
}

void record_uncover(walker *w, const RangeVar *name, bool with_children)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    uint32_t index = catalogue == NULL ? SP_NONE
                                       : sp_sql_catalogue_find(catalogue, text_of(name->schemaname),
                                                               text_of(name->relname));
    if (index != SP_NONE) {
        uncover(w, index, with_children);
    }
}

void record_behind(walker *w, uint32_t index, sp_action action)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_relation *front = sp_sql_catalogue_at(catalogue, index);
    bool is_behind = false;
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0; (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0; i++) {
        uint32_t behind = is_behind ? sp_sql_catalogue_find(catalogue, at, front->name) : SP_NONE;
        if (behind != SP_NONE) {
            record_known(w, behind, action, SP_SQL_USE_IMPLIED);
        }
        is_behind |= sp_span_eq(at, front->schema);
    }
}

void record_given_all(walker *w, sp_span from, sp_span to)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    if (catalogue == NULL) {
        return;
    }
    for (uint32_t i = 0; i < sp_sql_catalogue_count(catalogue) && !walk_failed(w); i++) {
        const sp_sql_relation *relation = sp_sql_catalogue_at(catalogue, i);
        if (sp_span_eq(relation->schema, from) && is_in_path(catalogue, to) &&
            sp_sql_catalogue_find(catalogue, SP_SPAN_EMPTY, relation->name) != SP_NONE) {
            const given_name name = given_of(w, to, relation->name);
            record_given(w, i, &name, SP_SQL_USE_MOVES);
        }
        if (sp_span_eq(relation->schema, from) && is_in_path(catalogue, from)) {
            uncover_behind(w, i);
        }
    }
}

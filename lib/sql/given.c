/* SPDX-License-Identifier: Apache-2.0
 * Names that are given to rows: by a view, a renaming, by going away from in front of another one.
 * The server looks names up when a statement's turn comes, and again behind a lock; the gate judged
 * it when it came. So what counts is not who uses the name but who gives it: where policy says
 * different things of what it meant and of the rows that it is given to, that is as grave as to
 * destroy both.
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

/* Made by this message, or the session. */
static bool is_own(const walker *w, sp_span name)
{
    const walk_room *room = w->room;
    for (uint32_t i = 0; i < room->made_count && i < WALK_TEMPS_MAX; i++) {
        if (sp_span_eq(room->mades[i], name)) {
            return true;
        }
    }
    return w->context->is_own != NULL && w->context->is_own(w->context->session, name);
}

given_name given_of(const walker *w, sp_span schema, sp_span name)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    given_name to = {schema, name, false};
    if (catalogue == NULL) {
        return to;
    }
    to.schema = schema.len > 0 ? schema : sp_sql_catalogue_home(catalogue);
    bool is_known = sp_sql_catalogue_find(catalogue, to.schema, name) != SP_NONE ||
                    (is_in_path(catalogue, to.schema) &&
                     sp_sql_catalogue_find(catalogue, SP_SPAN_EMPTY, name) != SP_NONE);
    to.is_fresh = !is_known && !is_own(w, name) && w->room->made_count <= WALK_TEMPS_MAX &&
                  !walk_is_other(w, name) && !walk_is_temporary(w, name);
    return to;
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
        bool may_mean = to->is_fresh || was != SP_NONE || walk_is_other(w, to->name);
        bool is_itself = was != SP_NONE && was == index;
        if (may_mean && !is_itself && !sp_span_eq(at, to->schema)) {
            record_becoming(w, index, at, to->name, to->is_fresh ? SP_SQL_USE_FRESH : 0);
        }
    }
}

void record_given(walker *w, uint32_t index, const given_name *to, uint16_t more)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_relation *from = sp_sql_catalogue_at(catalogue, index);
    if ((from->flags & SP_SQL_REL_SYSTEM) != 0) {
        if ((from->flags & SP_SQL_REL_TELLING) != 0) {
            record_meanings(w, SP_NONE, to, more | SP_SQL_USE_OPAQUE);
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
            record_given(w, edges[i].to, to, to->is_fresh ? SP_SQL_USE_FRESH : 0);
        }
    }
}

void record_given_unknown(walker *w, sp_span from, const given_name *to)
{
    if (w->context->catalogue == NULL) {
        return;
    }
    bool has_own_rows = is_own(w, from) && !walk_is_other(w, from);
    record_meanings(w, SP_NONE, to,
                    (has_own_rows ? 0 : SP_SQL_USE_OPAQUE) | (to->is_fresh ? SP_SQL_USE_FRESH : 0));
}

/* Those of that name behind `top` in the search path become what it was. */
static void uncover_behind(walker *w, uint32_t top)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_relation *was = sp_sql_catalogue_at(catalogue, top);
    const given_name to = {was->schema, was->name, false};
    bool is_behind = false;
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0; (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0; i++) {
        uint32_t index = is_behind ? sp_sql_catalogue_find(catalogue, at, was->name) : SP_NONE;
        if (index != SP_NONE) {
            record_given(w, index, &to, 0);
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
            record_becoming(w, index, made->schema, made->name, 0);
        }
        is_behind |= sp_span_eq(at, made->schema);
    }
}

void record_uncover(walker *w, const RangeVar *name)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    sp_span relation = text_of(name->relname);
    sp_span schema = text_of(name->schemaname);
    uint32_t top =
        catalogue == NULL ? SP_NONE : sp_sql_catalogue_find(catalogue, SP_SPAN_EMPTY, relation);
    if (top == SP_NONE || (schema.len > 0 && !is_in_path(catalogue, schema))) {
        return;
    }
    uint32_t before = w->room->use_count;
    uncover_behind(w, top);
    if (w->room->use_count != before) {
        record_other(w, relation);
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
            record_given(w, i, &name, 0);
        }
        if (sp_span_eq(relation->schema, from) && is_in_path(catalogue, from)) {
            uncover_behind(w, i);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * How many rows INSERT ... ON CONFLICT DO UPDATE may overwrite: those of its VALUES are as many as
 * are written out, unless a function in a single row makes many of it; those of a query are as many
 * as there may be. OWNS nothing. PROCESS database gate. TRUST the tree was made from hostile text;
 * depth and work are bounded. SPEC lib/sql/walk.h, insert_reaches().
 */
#include "lib/sql/folding.h"
#include "lib/sql/functions.h"

typedef struct {
    folding *f;
    bool is_many;  /* something may make several rows of the one */
    bool is_whole; /* a subquery reads all of the target */
} row_search;

/* The server's own, of which none of that name makes rows. */
static bool is_single_call(const folding *f, const FuncCall *call)
{
    sp_span name = names_last(call->funcname);
    sp_span schema = names_before(call->funcname);
    if (schema.len > 0) {
        return sp_span_eq(schema, SP_SPAN_LIT("pg_catalog")) && function_is_single(name);
    }
    const sp_sql_catalogue *catalogue = f->w->context->catalogue;
    const sp_sql_function *other =
        catalogue == NULL ? NULL : sp_sql_catalogue_find_function(catalogue, SP_SPAN_EMPTY, name);
    return function_is_single(name) && (other == NULL || other->harmless);
}

/* "(x).f" may be a call of f. */
static bool has_field(const A_Indirection *value)
{
    for (int i = 0; i < list_length(value->indirection); i++) {
        if (nodeTag(list_nth(value->indirection, i)) != T_A_Indices) {
            return true;
        }
    }
    return false;
}

static bool is_whole_target(folding *f, const Node *query)
{
    if (query == NULL || nodeTag(query) != T_SelectStmt) {
        return false;
    }
    row_source source = fold_source(f, AS(SelectStmt, query));
    return source.is_whole && fold_is_target(f, &source);
}

/* is_inside a subquery: what makes rows there makes none here. */
static void search_row(row_search *search, const Node *node, bool is_inside, unsigned depth)
{
    if (node == NULL) {
        return;
    }
    if (depth > SP_SQL_DEPTH_MAX || search->f->work++ > FOLD_WORK_MAX) {
        search->is_many = true;
        return;
    }
    switch ((int)nodeTag(node)) {
    case T_List:
        for (int i = 0; i < list_length(AS(List, node)); i++) {
            search_row(search, (const Node *)list_nth(AS(List, node), i), is_inside, depth + 1);
        }
        return;
    case T_SubLink:
        search->is_whole |= is_whole_target(search->f, AS(SubLink, node)->subselect);
        search_row(search, AS(SubLink, node)->testexpr, is_inside, depth + 1);
        search_row(search, AS(SubLink, node)->subselect, true, depth + 1);
        return;
    case T_FuncCall:
        search->is_many |= !is_inside && !is_single_call(search->f, AS(FuncCall, node));
        break;
    case T_A_Indirection:
        search->is_many |= !is_inside && has_field(AS(A_Indirection, node));
        break;
    default:
        break;
    }
    const node_shape *shape = shape_of(nodeTag(node));
    for (unsigned i = 0; i < shape->count; i++) {
        search_row(search, shape_child(node, shape, i), is_inside, depth + 1);
    }
}

/* The server takes no function that makes rows where several rows are written out. */
static condition_reach values_reach(folding *f, const List *rows)
{
    if (list_length(rows) != 1) {
        return REACHES_NAMED;
    }
    row_search search = {.f = f};
    search_row(&search, (const Node *)linitial(rows), false, 0);
    return !search.is_many ? REACHES_NAMED : search.is_whole ? REACHES_ALL : REACHES_BROAD;
}

condition_reach insert_reaches(const walker *w, const RangeVar *target, const Node *query)
{
    if (query == NULL || nodeTag(query) != T_SelectStmt) {
        return REACHES_NAMED; /* DEFAULT VALUES */
    }
    from_frame frame = {.target = target};
    folding f = fold_begin(w, &frame);
    condition_reach reach = AS(SelectStmt, query)->valuesLists != NIL
                                ? values_reach(&f, AS(SelectStmt, query)->valuesLists)
                            : is_whole_target(&f, query) ? REACHES_ALL
                                                         : REACHES_BROAD;
    return fold_end(&f) ? reach : REACHES_ALL;
}

/* SPDX-License-Identifier: Apache-2.0
 * Where rows come from, what a name means, and whether two expressions are the same, as far as a
 * condition needs to know.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/folding.h. SPEC lib/sql/folding.h.
 */
#include "lib/sql/folding.h"

#include "lib/base/mem.h"

/* ---- where rows come from ---- */

static row_source source_of_range(folding *f, const RangeVar *range)
{
    f->work++;
    const CommonTableExpr *query = walk_find_query(f->w, range);
    if (query != NULL) {
        if (f->depth >= FOLD_DEPTH_MAX || f->work > FOLD_WORK_MAX || query->ctequery == NULL ||
            nodeTag(query->ctequery) != T_SelectStmt) {
            return (row_source){.is_whole = false};
        }
        f->depth += 8; /* names of WITH queries may go in circles */
        row_source source = fold_source(f, AS(SelectStmt, query->ctequery));
        f->depth -= 8;
        return source;
    }
    return (row_source){.name = text_of(range->relname),
                        .schema = text_of(range->schemaname),
                        .is_whole = true,
                        .is_renamed = range->alias != NULL && range->alias->colnames != NIL};
}

static row_source source_of_item(folding *f, const Node *item)
{
    if (item == NULL) {
        return (row_source){.is_whole = false};
    }
    if (nodeTag(item) == T_RangeVar) {
        return source_of_range(f, AS(RangeVar, item));
    }
    if (nodeTag(item) == T_RangeSubselect) {
        const Node *query = AS(RangeSubselect, item)->subquery;
        if (query != NULL && nodeTag(query) == T_SelectStmt && f->depth < FOLD_DEPTH_MAX) {
            f->depth += 8;
            row_source source = fold_source(f, AS(SelectStmt, query));
            f->depth -= 8;
            return source;
        }
    }
    return (row_source){.is_whole = false};
}

/* One relation, all of it: a SELECT without a condition, or with one that is none. */
row_source fold_source(folding *f, const SelectStmt *select)
{
    if (select->op != SETOP_NONE || list_length(select->fromClause) != 1) {
        return (row_source){.is_whole = false};
    }
    row_source source = source_of_item(f, (const Node *)linitial(select->fromClause));
    if (source.name.len > 0 && select->whereClause != NULL) {
        from_frame frame = {.items = select->fromClause, .up = f->frame};
        const from_frame *outer = f->frame;
        f->frame = &frame;
        folded which = fold(f, select->whereClause);
        source.is_whole &= which == FOLD_TRUE || which == FOLD_MOST;
        f->frame = outer;
    }
    source.is_whole &= select->havingClause == NULL;
    return source;
}

static bool is_same_relation(sp_span schema_a, sp_span name_a, sp_span schema_b, sp_span name_b)
{
    return sp_span_eq(name_a, name_b) &&
           (schema_a.len == 0 || schema_b.len == 0 || sp_span_eq(schema_a, schema_b));
}

static const from_frame *outermost(const folding *f)
{
    const from_frame *frame = f->frame;
    while (frame->up != NULL) {
        frame = frame->up;
    }
    return frame;
}

bool fold_is_target(const folding *f, const row_source *source)
{
    const RangeVar *target = outermost(f)->target;
    return source->name.len > 0 &&
           is_same_relation(source->schema, source->name, text_of(target->schemaname),
                            text_of(target->relname));
}

/* ---- names ---- */

sp_span fold_alias_of(const Node *item)
{
    const Alias *alias = NULL;
    switch ((int)nodeTag(item)) {
    case T_RangeVar:
        alias = AS(RangeVar, item)->alias;
        return alias != NULL ? text_of(alias->aliasname) : text_of(AS(RangeVar, item)->relname);
    case T_RangeSubselect:
        alias = AS(RangeSubselect, item)->alias;
        break;
    default:
        break;
    }
    return alias != NULL ? text_of(alias->aliasname) : SP_SPAN_EMPTY;
}

/* The FROM item that an alias names, also below joins. */
static const Node *find_item(const Node *item, sp_span alias, unsigned depth)
{
    if (item == NULL || depth > FOLD_DEPTH_MAX) {
        return NULL;
    }
    if (nodeTag(item) == T_JoinExpr) {
        const Node *found = find_item(AS(JoinExpr, item)->larg, alias, depth + 1);
        return found != NULL ? found : find_item(AS(JoinExpr, item)->rarg, alias, depth + 1);
    }
    return sp_span_eq(fold_alias_of(item), alias) ? item : NULL;
}

static bool is_target_alias(const from_frame *frame, sp_span alias)
{
    return frame->target != NULL && sp_span_eq(fold_alias_of((const Node *)frame->target), alias);
}

bool fold_is_target_alias(const folding *f, sp_span alias)
{
    return is_target_alias(outermost(f), alias);
}

/* The relation that a qualified name belongs to. */
static row_source source_of_alias(folding *f, sp_span alias)
{
    for (const from_frame *frame = f->frame; frame != NULL; frame = frame->up) {
        if (is_target_alias(frame, alias)) {
            return (row_source){.name = text_of(frame->target->relname),
                                .schema = text_of(frame->target->schemaname),
                                .is_whole = true};
        }
        for (int i = 0; i < list_length(frame->items) && f->work <= FOLD_WORK_MAX; i++) {
            f->work++;
            const Node *item = find_item((const Node *)list_nth(frame->items, i), alias, 0);
            if (item != NULL) {
                return source_of_item(f, item);
            }
        }
    }
    return (row_source){.is_whole = false};
}

const RangeVar *fold_target_name(const folding *f)
{
    return outermost(f)->target;
}

const sp_sql_relation *fold_target(const folding *f)
{
    found_relation found = walk_resolve(f->w, outermost(f)->target, true);
    return found.kind == FOUND_KNOWN ? sp_sql_catalogue_at(f->w->context->catalogue, found.relation)
                                     : NULL;
}

bool fold_is_alike(sp_span name)
{
    static const char *const hidden[] = {"xmin", "xmax", "cmin", "cmax", "tableoid"};
    for (size_t i = 0; i < SP_COUNT(hidden); i++) {
        if (sp_span_eq(name, text_of(hidden[i]))) {
            return true;
        }
    }
    return false;
}

bool fold_has_column(const folding *f, sp_span name)
{
    if (sp_span_eq(name, SP_SPAN_LIT("ctid"))) {
        return true;
    }
    const sp_sql_relation *target = fold_target(f);
    if (target == NULL) {
        return true; /* not known: may be */
    }
    found_relation found = walk_resolve(f->w, outermost(f)->target, true);
    return sp_sql_catalogue_find_column(f->w->context->catalogue, found.relation, name) != SP_NONE;
}

/* Whether a column reference can mean the target. */
static bool means_target(folding *f, const ColumnRef *column)
{
    int count = list_length(column->fields);
    const Node *last = (const Node *)list_nth(column->fields, count - 1);
    if (fold_is_alike(string_of(last))) {
        return false;
    }
    if (count == 1) {
        sp_span name = string_of(last);
        return nodeTag(last) == T_A_Star || fold_has_column(f, name) ||
               fold_is_target_alias(f, name);
    }
    sp_span qualifier = string_of((const Node *)list_nth(column->fields, count - 2));
    if (fold_is_target_alias(f, qualifier)) {
        return true;
    }
    /* "column.field" of a row type */
    return count == 2 && source_of_alias(f, qualifier).name.len == 0 &&
           fold_has_column(f, qualifier);
}

typedef struct {
    folding *f;
    bool found;
    bool found_any; /* a name at all */
} name_search;

static void search_names(name_search *search, const Node *node, unsigned depth)
{
    if (node == NULL || search->found || depth > SP_SQL_DEPTH_MAX ||
        search->f->work > FOLD_WORK_MAX) {
        return;
    }
    NodeTag tag = nodeTag(node);
    search->f->work += tag != T_List; /* what stands in it is counted */
    if (tag == T_A_Expr) {            /* no name stands in an operator's own */
        search_names(search, AS(A_Expr, node)->lexpr, depth + 1);
        search_names(search, AS(A_Expr, node)->rexpr, depth + 1);
        return;
    }
    if (tag == T_List) {
        const List *list = (const List *)(const void *)node;
        for (int i = 0; i < list_length(list); i++) {
            search_names(search, (const Node *)list_nth(list, i), depth + 1);
        }
        return;
    }
    if (tag == T_ColumnRef) {
        search->found_any = true;
        search->found = means_target(search->f, AS(ColumnRef, node));
        return;
    }
    if (tag == T_CurrentOfExpr) {
        search->found = true;
        return;
    }
    const node_shape *shape = shape_of(tag);
    for (unsigned i = 0; i < shape->count; i++) {
        search_names(search, shape_child(node, shape, i), depth + 1);
    }
}

bool fold_looks_at_target(folding *f, const Node *node)
{
    name_search search = {.f = f};
    search_names(&search, node, 0);
    return search.found;
}

bool fold_has_names(folding *f, const Node *node)
{
    name_search search = {.f = f};
    search_names(&search, node, 0);
    return search.found_any;
}

/* ---- sameness ---- */

/* Two references to the same column of the same relation, however they are qualified. */
static bool is_same_column(folding *f, const ColumnRef *a, const ColumnRef *b)
{
    int count_a = list_length(a->fields);
    int count_b = list_length(b->fields);
    if (!sp_span_eq(names_last(a->fields), names_last(b->fields))) {
        return false;
    }
    if (count_a == 1 || count_b == 1) {
        return true;
    }
    sp_span alias_a = names_before(a->fields);
    sp_span alias_b = names_before(b->fields);
    if (sp_span_eq(alias_a, alias_b)) {
        return true;
    }
    row_source source_a = source_of_alias(f, alias_a);
    row_source source_b = source_of_alias(f, alias_b);
    return source_a.name.len > 0 && source_a.is_whole && source_b.is_whole &&
           !source_a.is_renamed && !source_b.is_renamed &&
           is_same_relation(source_a.schema, source_a.name, source_b.schema, source_b.name);
}

static bool is_same_constant(const A_Const *a, const A_Const *b)
{
    if (a->isnull || b->isnull) {
        return a->isnull == b->isnull;
    }
    if (nodeTag(&a->val.node) != nodeTag(&b->val.node)) {
        return false;
    }
    switch ((int)nodeTag(&a->val.node)) {
    case T_Integer:
        return a->val.ival.ival == b->val.ival.ival;
    case T_Boolean:
        return a->val.boolval.boolval == b->val.boolval.boolval;
    case T_Float:
        return sp_span_eq(text_of(a->val.fval.fval), text_of(b->val.fval.fval));
    case T_String:
        return sp_span_eq(text_of(a->val.sval.sval), text_of(b->val.sval.sval));
    default:
        return false;
    }
}

/* The same expression twice: compared by shape, for kinds whose meaning is all in their children.
 */
static bool is_same(folding *f, const Node *a, const Node *b, unsigned depth)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    if (nodeTag(a) != nodeTag(b) || depth > FOLD_DEPTH_MAX || f->work++ > FOLD_WORK_MAX) {
        return false;
    }
    NodeTag tag = nodeTag(a);
    if (tag == T_List) {
        const List *list_a = (const List *)(const void *)a;
        const List *list_b = (const List *)(const void *)b;
        bool same = list_length(list_a) == list_length(list_b);
        for (int i = 0; same && i < list_length(list_a); i++) {
            same = is_same(f, (const Node *)list_nth(list_a, i), (const Node *)list_nth(list_b, i),
                           depth + 1);
        }
        return same;
    }
    switch ((int)tag) {
    case T_ColumnRef:
        return is_same_column(f, AS(ColumnRef, a), AS(ColumnRef, b));
    case T_A_Const:
        return is_same_constant(AS(A_Const, a), AS(A_Const, b));
    case T_ParamRef:
        return AS(ParamRef, a)->number == AS(ParamRef, b)->number;
    case T_String:
        return sp_span_eq(string_of(a), string_of(b));
    case T_SQLValueFunction:
        return AS(SQLValueFunction, a)->op == AS(SQLValueFunction, b)->op;
    case T_A_Expr:
        if (AS(A_Expr, a)->kind != AS(A_Expr, b)->kind) {
            return false;
        }
        break;
    case T_FuncCall:
    case T_TypeCast:
    case T_TypeName:
    case T_CoalesceExpr:
    case T_RowExpr:
    case T_A_ArrayExpr:
    case T_A_Indirection:
        break;
    default:
        return false;
    }
    const node_shape *shape = shape_of(tag);
    for (unsigned i = 0; i < shape->count; i++) {
        if (!is_same(f, shape_child(a, shape, i), shape_child(b, shape, i), depth + 1)) {
            return false;
        }
    }
    return true;
}

bool fold_is_twice(folding *f, const Node *a, const Node *b)
{
    return is_same(f, a, b, 0);
}

/* SPDX-License-Identifier: Apache-2.0
 * Whether "t.f" is a column of t: where it is not, the server calls a function f with the row,
 * which somebody may have made a moment ago. Names are looked up as SQL does: the innermost FROM
 * item of that name counts. Where the server may mean another one (inside FROM, which sees some of
 * its items; by a schema, which sees no aliases), all of that name have to agree.
 * OWNS nothing. PROCESS database gate. TRUST the tree was made from hostile text; depth and work
 * are bounded. SPEC lib/sql/walk.h, walk_column_of(); PostgreSQL 15 parse_func.c.
 */
#include "lib/base/mem.h"
#include "lib/sql/walk.h"

enum {
    LOOK_DEPTH_MAX = 24,
    LOOK_ITEMS_MAX = 4096,
    LOOK_COST = 16 /* as names that are compared */
};

typedef struct {
    walker at;               /* with the WITH queries that are seen from the item */
    const cte_scope *within; /* the WITH whose query is looked into, NULL = none */
    int place;               /* of that query */
    unsigned depth;
    unsigned items;
} looking;

typedef struct {
    sp_span qualifier;
    sp_span name;
    bool inside; /* also what the alias of a join hides */
    bool found;
    column_sure sure;
} wanted;

static column_sure item_has(looking *l, const Node *item, sp_span name);
static column_sure query_has(looking *l, const Node *query, sp_span name);
static void look_for(looking *l, const Node *item, wanted *it, unsigned deep);

static sp_span alias_name(const Alias *alias)
{
    return alias != NULL ? text_of(alias->aliasname) : SP_SPAN_EMPTY;
}

/* Most names differ in their first bytes. */
static void looked_at(looking *l, int names)
{
    walk_works(&l->at, (uint32_t)names / 4);
}

static bool is_listed(looking *l, const List *names, sp_span name)
{
    int i = 0;
    while (i < list_length(names) &&
           !sp_span_eq(string_of((const Node *)list_nth(names, i)), name)) {
        i++;
    }
    looked_at(l, i);
    return i < list_length(names);
}

static bool is_hidden(sp_span name)
{
    static const char *const names[] = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"};
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        if (sp_span_eq(name, text_of(names[i]))) {
            return true;
        }
    }
    return false;
}

static column_sure graver(column_sure a, column_sure b)
{
    return a < b ? a : b; /* in that order */
}

/* ---- what an item has ---- */

static bool is_of_scope(const cte_scope *scope, const CommonTableExpr *query, int *ret_place)
{
    for (int i = 0; i < scope->visible; i++) {
        if (list_nth(scope->ctes, i) == query) {
            *ret_place = i;
            return true;
        }
    }
    return false;
}

static column_sure with_query_has(looking *l, const CommonTableExpr *query, sp_span name)
{
    int place = 0;
    const cte_scope *scope = l->at.scope;
    while (scope != NULL && !is_of_scope(scope, query, &place)) {
        scope = scope->up;
    }
    if (scope == NULL || (scope == l->within && place >= l->place)) {
        return COLUMN_MAYBE; /* a query sees itself and later ones only WITH RECURSIVE */
    }
    if (query->aliascolnames != NIL) {
        return is_listed(l, query->aliascolnames, name) ? COLUMN_IS : COLUMN_MAYBE;
    }
    const looking outside = *l;
    l->at.scope = l->within = scope;
    l->place = place;
    column_sure sure = query_has(l, query->ctequery, name);
    l->at.scope = outside.at.scope;
    l->within = outside.within;
    l->place = outside.place;
    return sure;
}

static column_sure relation_has(looking *l, const RangeVar *range, sp_span name)
{
    const CommonTableExpr *query = walk_find_query(&l->at, range);
    if (query != NULL) {
        return with_query_has(l, query, name);
    }
    found_relation found = walk_resolve(&l->at, range, false);
    if (found.kind != FOUND_KNOWN) {
        return found.kind == FOUND_TEMPORARY ? COLUMN_OWN : COLUMN_MAYBE;
    }
    const sp_sql_catalogue *catalogue = l->at.context->catalogue;
    bool is_column = sp_sql_catalogue_find_column(catalogue, found.relation, name) != SP_NONE;
    return is_column || is_hidden(name) ? COLUMN_IS : COLUMN_NOT;
}

static column_sure function_has(looking *l, const RangeFunction *call, sp_span name)
{
    bool is = sp_span_eq(alias_name(call->alias), name);
    int i = 0;
    for (; !is && i < list_length(call->coldeflist); i++) {
        is = sp_span_eq(text_of(AS(ColumnDef, list_nth(call->coldeflist, i))->colname), name);
    }
    looked_at(l, i);
    return is ? COLUMN_IS : COLUMN_MAYBE;
}

static column_sure item_has(looking *l, const Node *item, sp_span name)
{
    const Alias *alias = NULL;
    column_sure sure = COLUMN_MAYBE;
    if (item == NULL || l->depth >= LOOK_DEPTH_MAX || l->items++ > LOOK_ITEMS_MAX ||
        walk_is_spent(&l->at)) {
        return COLUMN_MAYBE;
    }
    walk_works(&l->at, LOOK_COST);
    l->depth++;
    switch ((int)nodeTag(item)) {
    case T_RangeVar:
        alias = AS(RangeVar, item)->alias;
        sure = relation_has(l, AS(RangeVar, item), name);
        break;
    case T_RangeSubselect:
        alias = AS(RangeSubselect, item)->alias;
        sure = query_has(l, AS(RangeSubselect, item)->subquery, name);
        break;
    case T_RangeFunction:
        alias = AS(RangeFunction, item)->alias;
        sure = function_has(l, AS(RangeFunction, item), name);
        break;
    case T_RangeTableSample:
        sure = item_has(l, AS(RangeTableSample, item)->relation, name);
        break;
    case T_JoinExpr:
        alias = AS(JoinExpr, item)->alias;
        sure = graver(item_has(l, AS(JoinExpr, item)->larg, name),
                      item_has(l, AS(JoinExpr, item)->rarg, name));
        break;
    default:
        break;
    }
    l->depth--;
    if (alias != NULL && alias->colnames != NIL) {
        return is_listed(l, alias->colnames, name) ? COLUMN_IS : COLUMN_MAYBE; /* renamed */
    }
    return sure;
}

/* ---- what a query gives ---- */

/* The columns of VALUES are column1, column2, ... */
static column_sure values_give(const SelectStmt *select, sp_span name)
{
    const List *first = (const List *)linitial(select->valuesLists);
    uint64_t place = 0;
    sp_span word = SP_SPAN_LIT("column");
    bool is = sp_span_starts(name, word) &&
              !sp_failed(sp_span_to_u64(sp_span_slice(name, word.len, name.len),
                                        (uint64_t)list_length(first), &place)) &&
              place > 0;
    return is ? COLUMN_IS : COLUMN_NOT;
}

/* What has no name of its own is called "?column?". */
static bool is_nameless(const Node *value)
{
    switch ((int)nodeTag(value)) {
    case T_A_Expr:
        return AS(A_Expr, value)->kind != AEXPR_NULLIF;
    case T_A_Const:
    case T_ParamRef:
    case T_BoolExpr:
    case T_NullTest:
    case T_BooleanTest:
        return true;
    default:
        return false;
    }
}

/* "*" and "t.*". */
static column_sure star_gives(looking *l, const List *fields, const List *from, sp_span name)
{
    column_sure sure = COLUMN_NOT;
    bool is_all = list_length(fields) == 1;
    wanted it = {.name = name, .inside = list_length(fields) > 2};
    it.qualifier = is_all ? SP_SPAN_EMPTY : names_before(fields);
    for (int i = 0; i < list_length(from) && sure != COLUMN_IS; i++) {
        const Node *item = (const Node *)list_nth(from, i);
        if (is_all) {
            sure = graver(sure, item_has(l, item, name));
        } else {
            look_for(l, item, &it, 0);
        }
    }
    return is_all ? sure : it.found ? it.sure : COLUMN_MAYBE;
}

/* from_is_open false: its names may mean WITH queries that are not seen from here. */
static column_sure target_gives(looking *l, const ResTarget *target, const List *from,
                                bool from_is_open, sp_span name)
{
    if (target->name != NULL) {
        return sp_span_eq(text_of(target->name), name) ? COLUMN_IS : COLUMN_NOT;
    }
    if (target->val != NULL && nodeTag(target->val) == T_FuncCall) {
        bool is = sp_span_eq(names_last(AS(FuncCall, target->val)->funcname), name);
        return is ? COLUMN_IS : COLUMN_NOT;
    }
    if (target->val != NULL && is_nameless(target->val)) {
        return sp_span_eq(name, SP_SPAN_LIT("?column?")) ? COLUMN_IS : COLUMN_NOT;
    }
    if (target->val == NULL || nodeTag(target->val) != T_ColumnRef) {
        return COLUMN_MAYBE; /* named after a type, "case", "coalesce", ... */
    }
    const Node *last = (const Node *)llast(AS(ColumnRef, target->val)->fields);
    if (nodeTag(last) != T_A_Star) {
        return sp_span_eq(string_of(last), name) ? COLUMN_IS : COLUMN_NOT;
    }
    if (!from_is_open) {
        return COLUMN_MAYBE;
    }
    return star_gives(l, AS(ColumnRef, target->val)->fields, from, name);
}

static column_sure query_has(looking *l, const Node *query, sp_span name)
{
    if (query == NULL || nodeTag(query) != T_SelectStmt || l->depth >= LOOK_DEPTH_MAX) {
        return COLUMN_MAYBE;
    }
    const SelectStmt *select = AS(SelectStmt, query);
    bool has_queries = select->withClause != NULL;
    while (select->op != SETOP_NONE) {
        select = select->larg;
        has_queries |= select->withClause != NULL;
    }
    if (select->valuesLists != NIL) {
        return values_give(select, name);
    }
    column_sure sure = COLUMN_NOT;
    int i = 0;
    l->depth++;
    for (; i < list_length(select->targetList) && sure != COLUMN_IS && !walk_is_spent(&l->at);
         i++) {
        sure = graver(sure, target_gives(l, AS(ResTarget, list_nth(select->targetList, i)),
                                         select->fromClause, !has_queries, name));
    }
    l->depth--;
    looked_at(l, i);
    return sure;
}

/* ---- which item a name means ---- */

/* A function in FROM, with its column definitions, is called as the function. */
static sp_span name_of_call(const Node *function)
{
    const Node *call = function != NULL && nodeTag(function) == T_List
                           ? (const Node *)linitial((const List *)(const void *)function)
                           : NULL;
    return call != NULL && nodeTag(call) == T_FuncCall ? names_last(AS(FuncCall, call)->funcname)
                                                       : SP_SPAN_EMPTY;
}

static sp_span name_of_item(const Node *item)
{
    switch ((int)nodeTag(item)) {
    case T_RangeVar:
        return AS(RangeVar, item)->alias != NULL ? alias_name(AS(RangeVar, item)->alias)
                                                 : text_of(AS(RangeVar, item)->relname);
    case T_RangeSubselect:
        return alias_name(AS(RangeSubselect, item)->alias);
    case T_RangeFunction:
        return AS(RangeFunction, item)->alias != NULL
                   ? alias_name(AS(RangeFunction, item)->alias)
                   : name_of_call((const Node *)linitial(AS(RangeFunction, item)->functions));
    case T_RangeTableFunc:
        return alias_name(AS(RangeTableFunc, item)->alias);
    case T_JoinExpr:
        return alias_name(AS(JoinExpr, item)->alias);
    default:
        return SP_SPAN_EMPTY;
    }
}

static void answer(wanted *it, column_sure sure)
{
    it->sure = !it->found || it->sure == sure ? sure : COLUMN_MAYBE;
    it->found = true;
}

static void look_for(looking *l, const Node *item, wanted *it, unsigned deep)
{
    if (item == NULL) {
        return;
    }
    walk_works(&l->at, 1);
    if (deep >= SP_SQL_DEPTH_MAX || l->items++ > LOOK_ITEMS_MAX || walk_is_spent(&l->at)) {
        answer(it, COLUMN_MAYBE);
        return;
    }
    if (nodeTag(item) == T_RangeTableSample) {
        look_for(l, AS(RangeTableSample, item)->relation, it, deep + 1);
        return;
    }
    if (sp_span_eq(name_of_item(item), it->qualifier)) {
        answer(it, item_has(l, item, it->name));
    }
    if (nodeTag(item) != T_JoinExpr) {
        return;
    }
    const JoinExpr *join = AS(JoinExpr, item);
    if (sp_span_eq(alias_name(join->join_using_alias), it->qualifier)) {
        answer(it, is_listed(l, join->usingClause, it->name) ? COLUMN_IS : COLUMN_MAYBE);
    }
    if (join->alias == NULL || it->inside) {
        look_for(l, join->larg, it, deep + 1);
        look_for(l, join->rarg, it, deep + 1);
    }
}

static column_sure look(const walker *w, bool has_schema, sp_span qualifier, sp_span name)
{
    looking l = {.at = *w};
    wanted it = {.qualifier = qualifier, .name = name};
    for (const row_scope *scope = w->rows; scope != NULL; scope = scope->up) {
        const RangeVar *target = scope->target;
        bool is_excluded =
            scope->items == NIL && sp_span_eq(qualifier, SP_SPAN_LIT("excluded")); /* of INSERT */
        if (target != NULL &&
            (is_excluded || sp_span_eq(name_of_item((const Node *)target), qualifier))) {
            l.at.scope = NULL; /* never a WITH query */
            answer(&it, item_has(&l, (const Node *)target, name));
        }
        l.at.scope = scope->queries;
        it.inside = has_schema || scope->is_forming;
        for (int i = 0; i < list_length(scope->items); i++) {
            look_for(&l, (const Node *)list_nth(scope->items, i), &it, 0);
        }
        if (it.found && !it.inside) {
            break;
        }
    }
    return it.found ? it.sure : COLUMN_MAYBE;
}

/* The innermost FROM has its own list of items, so it says where in the text it is asked. */
static asked_column key_of(const walker *w, bool has_schema, sp_span qualifier, sp_span name)
{
    enum { BY_SCHEMA = 1, FORMING = 2, AS_WAS = 4 };
    return (asked_column){.items = w->rows != NULL ? w->rows->items : NIL,
                          .qualifier = qualifier,
                          .name = name,
                          .how = (uint8_t)((has_schema ? BY_SCHEMA : 0) |
                                           (w->rows != NULL && w->rows->is_forming ? FORMING : 0) |
                                           (w->is_as_was ? AS_WAS : 0))};
}

column_sure walk_column_of(const walker *w, bool has_schema, sp_span qualifier, sp_span name)
{
    walk_room *room = w->room;
    asked_column key = key_of(w, has_schema, qualifier, name);
    for (uint32_t i = 0; i < room->asked_count && i < WALK_ASKED_MAX; i++) {
        const asked_column *one = &room->asked[i];
        if (key.items != NIL && one->items == key.items && one->how == key.how &&
            sp_span_eq(one->name, name) && sp_span_eq(one->qualifier, qualifier)) {
            return (column_sure)one->sure;
        }
    }
    key.sure = (uint8_t)look(w, has_schema, qualifier, name);
    room->asked[room->asked_count++ % WALK_ASKED_MAX] = key;
    return (column_sure)key.sure;
}

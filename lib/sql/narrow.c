/* SPDX-License-Identifier: Apache-2.0
 * Whether a condition names the rows that it means by values that are written out: "id = 7",
 * "state IN ('a', $1)", "done", also by way of an inner join: "c.name = 'x' AND o.customer = c.id".
 * So does a short range of a key. Everything else may be true of as many rows as there are.
 * OWNS nothing. PROCESS database gate.
 * TRUST the tree was made from hostile text; recursion is bounded. SPEC lib/sql/walk.h,
 * condition_reaches().
 */
#include "lib/base/mem.h"
#include "lib/sql/folding.h"
#include "lib/sql/functions.h"

enum { NAMED_DEPTH_MAX = 64, ITEMS_MAX = 32, LINKS_MAX = 64 };

/* What rows come from: the target, and the items of FROM or USING. A set of them is a bit each. */
typedef struct {
    folding *f;
    const Node *items[ITEMS_MAX];
    const Node *quals[ITEMS_MAX];   /* of inner joins */
    const Node *queries[ITEMS_MAX]; /* of WITH, that the items are; NULL = none */
    unsigned count;
    unsigned quals_count;
    uint32_t tables; /* those of which columns may name rows */
    bool has_target; /* the first */
    bool is_many;    /* of several values any will do: both that a boolean may have, too */
    bool is_unknown; /* more than there is room for, or rows of something else */
} scope;

/* "a.x = b.y": where one is named, so is the other. */
typedef struct {
    struct {
        uint32_t a;
        uint32_t b;
    } pairs[LINKS_MAX];
    unsigned count;
} links;

static uint32_t named_by(scope *s, const Node *node, links *joined, unsigned depth);
static bool is_named_query(folding *f, const Node *query, unsigned depth);

/* ---- columns ---- */

/* "orders AS k(x, id)": k.id is a column of orders by some other name. */
static bool is_renamed(const Node *item)
{
    return item != NULL && nodeTag(item) == T_RangeVar && AS(RangeVar, item)->alias != NULL &&
           AS(RangeVar, item)->alias->colnames != NIL;
}

static uint32_t item_of_column(const scope *s, const ColumnRef *column)
{
    sp_span name = names_last(column->fields);
    if (nodeTag(llast(column->fields)) != T_String || fold_is_alike(name)) {
        return 0;
    }
    if (list_length(column->fields) == 1) {
        if (s->has_target && (s->count == 1 || fold_has_column(s->f, name))) {
            return 1;
        }
        unsigned first = s->has_target ? 1 : 0;
        return s->count == first + 1 && !is_renamed(s->items[first]) ? 1U << first : 0;
    }
    sp_span alias = names_before(column->fields);
    for (unsigned i = 0; i < s->count; i++) {
        if (sp_span_eq(fold_alias_of(s->items[i]), alias)) {
            return is_renamed(s->items[i]) ? 0 : 1U << i;
        }
    }
    return 0;
}

/* NULL: not known. */
static const sp_sql_column *known_column(const scope *s, uint32_t item, const ColumnRef *column)
{
    const sp_sql_catalogue *catalogue = s->f->w->context->catalogue;
    const Node *from = s->items[__builtin_ctz(item)];
    if (from == NULL || nodeTag(from) != T_RangeVar) {
        return NULL;
    }
    found_relation found = walk_resolve(s->f->w, AS(RangeVar, from), item == 1 && s->has_target);
    uint32_t at =
        found.kind == FOUND_KNOWN
            ? sp_sql_catalogue_find_column(catalogue, found.relation, names_last(column->fields))
            : SP_NONE;
    return at == SP_NONE ? NULL : sp_sql_catalogue_column_at(catalogue, at);
}

/* 0: not known. */
static uint32_t type_of(const scope *s, uint32_t item, const ColumnRef *column)
{
    const sp_sql_column *known = known_column(s, item, column);
    return known == NULL ? 0 : known->type_oid;
}

/* Through casts, as far as they keep values apart. *ret_type: of what they make of it. */
static uint32_t item_under(const scope *s, const Node *node, unsigned depth, uint32_t *ret_type)
{
    if (node == NULL || depth > NAMED_DEPTH_MAX) {
        return 0;
    }
    if (nodeTag(node) == T_CollateClause) {
        return item_under(s, AS(CollateClause, node)->arg, depth + 1, ret_type);
    }
    if (nodeTag(node) == T_TypeCast) {
        uint32_t item = item_under(s, AS(TypeCast, node)->arg, depth + 1, ret_type);
        *ret_type = item == 0 ? 0 : retype_apart(s->f->w, AS(TypeCast, node)->typeName, *ret_type);
        return *ret_type == 0 ? 0 : item;
    }
    if (nodeTag(node) != T_ColumnRef) {
        return 0;
    }
    uint32_t item = item_of_column(s, AS(ColumnRef, node));
    *ret_type = item == 0 ? 0 : type_of(s, item, AS(ColumnRef, node));
    return item;
}

/* Whose column it is, as it is: an expression of one may be the same for all rows. Of a boolean one
 * value says something, several say nothing. */
static uint32_t item_of_one(const scope *s, const Node *node)
{
    enum { OID_BOOL = 16 };
    uint32_t type = 0;
    uint32_t item = item_under(s, node, 0, &type);
    return s->is_many && type == OID_BOOL ? 0 : item;
}

static uint32_t item_of(const scope *s, const Node *node)
{
    if (node == NULL || nodeTag(node) != T_RowExpr) {
        return item_of_one(s, node);
    }
    uint32_t found = 0;
    const List *items = AS(RowExpr, node)->args;
    for (int i = 0; i < list_length(items); i++) {
        found |= item_of_one(s, (const Node *)list_nth(items, i));
    }
    return found;
}

/* The same where any of several values will do. */
static uint32_t item_of_many(scope *s, const Node *node)
{
    bool was_many = s->is_many;
    s->is_many = true;
    uint32_t found = item_of(s, node);
    s->is_many = was_many;
    return found;
}

/* ---- values ---- */

static bool are_values(scope *s, const List *items, bool is_plain, unsigned depth);

/* The same for all rows: of the server's own, those that cannot change from row to row. */
static bool is_steady_call(scope *s, const FuncCall *call, unsigned depth)
{
    sp_span name = names_last(call->funcname);
    return function_find(name) == FUNCTION_READ && function_is_steady(name) &&
           are_values(s, call->args, false, depth + 1);
}

/* A value that no row decides: constants, parameters, what is computed of these, and the one value
 * of a subquery. Plain ones are written out: an array that is computed may hold any number. */
static bool is_value(scope *s, const Node *node, bool is_plain, unsigned depth)
{
    node = fold_bare(node);
    if (node == NULL || depth > NAMED_DEPTH_MAX || s->f->work++ > FOLD_WORK_MAX) {
        return false;
    }
    switch ((int)nodeTag(node)) {
    case T_A_Const:
    case T_ParamRef:
    case T_SQLValueFunction:
        return true;
    case T_List:
        return are_values(s, AS(List, node), is_plain, depth + 1);
    case T_A_ArrayExpr:
        return are_values(s, AS(A_ArrayExpr, node)->elements, is_plain, depth + 1);
    case T_RowExpr:
        return are_values(s, AS(RowExpr, node)->args, is_plain, depth + 1);
    case T_CoalesceExpr:
        return are_values(s, AS(CoalesceExpr, node)->args, is_plain, depth + 1);
    case T_A_Expr:
        return !is_plain && AS(A_Expr, node)->kind == AEXPR_OP &&
               (AS(A_Expr, node)->lexpr == NULL ||
                is_value(s, AS(A_Expr, node)->lexpr, false, depth + 1)) &&
               is_value(s, AS(A_Expr, node)->rexpr, false, depth + 1);
    case T_FuncCall:
        return !is_plain && is_steady_call(s, AS(FuncCall, node), depth);
    case T_SubLink:
        return !is_plain && AS(SubLink, node)->subLinkType == EXPR_SUBLINK && s->count == 1 &&
               s->f->frame->up == NULL && !fold_looks_at_target(s->f, node);
    default:
        return false;
    }
}

static bool are_values(scope *s, const List *items, bool is_plain, unsigned depth)
{
    for (int i = 0; i < list_length(items); i++) {
        if (!is_value(s, (const Node *)list_nth(items, i), is_plain, depth)) {
            return false;
        }
    }
    return true;
}

static bool is_number(const Node *node, long *ret_value)
{
    if (node == NULL || nodeTag(node) != T_A_Const || AS(A_Const, node)->isnull ||
        nodeTag(&AS(A_Const, node)->val.node) != T_Integer) {
        return false;
    }
    *ret_value = AS(A_Const, node)->val.ival.ival;
    return true;
}

/* A key may be gone that the session itself has touched, or that others drop while what stands in
 * front of it in its text runs. */
static bool may_be_gone(const walker *w)
{
    for (uint32_t i = 0; i + 1 < w->room->statement_count; i++) {
        if ((w->room->statements[i].flags & SP_SQL_IS_BEGIN) == 0) {
            return true;
        }
    }
    return (w->statement->flags & SP_SQL_IS_DDL) != 0 || w->context->is_early || w->is_as_was;
}

/* Whose column it is, of which each row of the target has a whole number of its own: of anything
 * else a range says only how many others' rows may hang on it. */
static uint32_t item_of_key(const scope *s, const Node *node)
{
    enum { OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23 };
    const walker *w = s->f->w;
    uint32_t item =
        node != NULL && nodeTag(node) == T_ColumnRef ? item_of_column(s, AS(ColumnRef, node)) : 0;
    bool is_target = s->has_target && item == 1;
    const sp_sql_column *known = !is_target ? NULL : known_column(s, item, AS(ColumnRef, node));
    if (known == NULL || !known->is_key || may_be_gone(w) ||
        may_be_temporary(w, AS(RangeVar, s->items[__builtin_ctz(item)])) ||
        (known->type_oid != OID_INT2 && known->type_oid != OID_INT4 &&
         known->type_oid != OID_INT8)) {
        return 0;
    }
    w->statement->by_key = true;
    return item;
}

/* "id BETWEEN 3 AND 90": so many at most, of what has a number each. All ranges of a message
 * together are short. */
static uint32_t named_by_range(const scope *s, const A_Expr *expr)
{
    const List *bounds = AS(List, expr->rexpr);
    long low = 0;
    long high = 0;
    if (list_length(bounds) != 2 || !is_number((const Node *)linitial(bounds), &low) ||
        !is_number((const Node *)lsecond(bounds), &high)) {
        return 0;
    }
    walk_room *room = s->f->w->room;
    long width = high < low ? 0 : high - low + 1; /* the bounds are of 32 bits */
    if (width > SP_SQL_RANGES_MAX - (long)room->ranges) {
        return 0;
    }
    uint32_t item = item_of_key(s, expr->lexpr);
    room->ranges += item == 0 ? 0 : (uint32_t)width;
    return item;
}

/* ---- conditions: each says which items it names ---- */

/* Not a row of them, of which some may be compared with something else. */
static bool is_plain(const Node *node)
{
    node = fold_bare(node);
    return node != NULL && nodeTag(node) == T_ColumnRef;
}

static uint32_t named_by_equal(scope *s, const A_Expr *expr, links *joined)
{
    uint32_t left = item_of(s, expr->lexpr);
    uint32_t right = item_of(s, expr->rexpr);
    if (left != 0 && right != 0 && left != right) {
        bool are_many = item_of_many(s, expr->lexpr) != 0 && item_of_many(s, expr->rexpr) != 0;
        if (are_many && is_plain(expr->lexpr) && is_plain(expr->rexpr) &&
            joined->count < LINKS_MAX) {
            joined->pairs[joined->count].a = left;
            joined->pairs[joined->count++].b = right;
        }
        return 0;
    }
    if (left != 0 && expr->rexpr != NULL && nodeTag(expr->rexpr) == T_A_Const) {
        return left; /* nearly always */
    }
    if (left != 0 && is_value(s, expr->rexpr, false, 0)) {
        return left;
    }
    return right != 0 && is_value(s, expr->lexpr, false, 0) ? right : 0;
}

static uint32_t named_by_expression(scope *s, const A_Expr *expr, links *joined)
{
    bool is_equal = sp_span_eq(names_last(expr->name), SP_SPAN_LIT("="));
    switch (expr->kind) {
    case AEXPR_OP:
    case AEXPR_NOT_DISTINCT:
        return is_equal ? named_by_equal(s, expr, joined) : 0;
    case AEXPR_IN:
    case AEXPR_OP_ANY:
        return is_equal && is_value(s, expr->rexpr, true, 0) ? item_of_many(s, expr->lexpr) : 0;
    case AEXPR_BETWEEN:
        return named_by_range(s, expr);
    case AEXPR_OP_ALL:
    case AEXPR_DISTINCT:
    case AEXPR_NULLIF:
    case AEXPR_LIKE:
    case AEXPR_ILIKE:
    case AEXPR_SIMILAR:
    case AEXPR_NOT_BETWEEN:
    case AEXPR_BETWEEN_SYM:
    case AEXPR_NOT_BETWEEN_SYM:
        break;
    }
    return 0;
}

/* "id IN (SELECT ... WHERE name = 'x')": as many as have that name. */
static uint32_t named_by_query(scope *s, const SubLink *link, unsigned depth)
{
    bool is_among =
        link->subLinkType == ANY_SUBLINK &&
        (link->operName == NIL || sp_span_eq(names_last(link->operName), SP_SPAN_LIT("=")));
    return is_among && !fold_looks_at_target(s->f, link->subselect) &&
                   is_named_query(s->f, link->subselect, depth + 1)
               ? item_of_many(s, link->testexpr)
               : 0;
}

static uint32_t spread(const links *joined, uint32_t named)
{
    for (unsigned round = 0; round < joined->count; round++) {
        uint32_t before = named;
        for (unsigned i = 0; i < joined->count; i++) {
            if (((joined->pairs[i].a | joined->pairs[i].b) & named) != 0) {
                named |= joined->pairs[i].a | joined->pairs[i].b;
            }
        }
        if (named == before) {
            break;
        }
    }
    return named;
}

static uint32_t named_by_logic(scope *s, const BoolExpr *logic, links *joined, unsigned depth)
{
    if (logic->boolop == NOT_EXPR) {
        return item_of(s, (const Node *)linitial(logic->args)); /* NOT done */
    }
    uint32_t named = logic->boolop == OR_EXPR ? UINT32_MAX : 0;
    for (int i = 0; i < list_length(logic->args); i++) {
        const Node *arm = (const Node *)list_nth(logic->args, i);
        if (logic->boolop == OR_EXPR) {
            links own = {.count = 0};
            bool was_many = s->is_many;
            s->is_many = true;
            uint32_t by_arm = named_by(s, arm, &own, depth + 1);
            s->is_many = was_many;
            named &= spread(&own, by_arm & s->tables);
        } else {
            named |= named_by(s, arm, joined, depth + 1);
        }
    }
    return named;
}

static uint32_t named_by(scope *s, const Node *node, links *joined, unsigned depth)
{
    if (node == NULL || depth > NAMED_DEPTH_MAX || s->f->work++ > FOLD_WORK_MAX) {
        return 0;
    }
    switch ((int)nodeTag(node)) {
    case T_A_Expr:
        return named_by_expression(s, AS(A_Expr, node), joined);
    case T_BoolExpr:
        return named_by_logic(s, AS(BoolExpr, node), joined, depth);
    case T_NullTest:
        return AS(NullTest, node)->nulltesttype == IS_NULL
                   ? item_of(s, (const Node *)AS(NullTest, node)->arg)
                   : 0;
    case T_ColumnRef:
        return item_of(s, node); /* WHERE done */
    case T_SubLink:
        return named_by_query(s, AS(SubLink, node), depth);
    default:
        return 0;
    }
}

/* ---- where rows come from ---- */

static void add_item(scope *s, const Node *item, unsigned depth)
{
    if (item == NULL || depth > NAMED_DEPTH_MAX || s->count == ITEMS_MAX) {
        s->is_unknown = true;
        return;
    }
    if (nodeTag(item) != T_JoinExpr) {
        s->items[s->count++] = item;
        return;
    }
    const JoinExpr *join = AS(JoinExpr, item);
    bool is_plain = join->jointype == JOIN_INNER && join->alias == NULL && join->usingClause == NIL;
    s->is_unknown |= !is_plain || join->isNatural || s->quals_count == ITEMS_MAX;
    if (!s->is_unknown) {
        s->quals[s->quals_count++] = join->quals;
        add_item(s, join->larg, depth + 1);
        add_item(s, join->rarg, depth + 1);
    }
}

static void add_items(scope *s, const List *items)
{
    for (int i = 0; i < list_length(items); i++) {
        add_item(s, (const Node *)list_nth(items, i), 0);
    }
}

/* Columns of a table may name its rows; those of a query say nothing of it. */
static void find_tables(scope *s)
{
    s->tables = s->has_target ? 1 : 0;
    for (unsigned i = s->has_target ? 1 : 0; i < s->count; i++) {
        if (nodeTag(s->items[i]) != T_RangeVar) {
            continue;
        }
        const CommonTableExpr *query = walk_find_query(s->f->w, AS(RangeVar, s->items[i]));
        s->queries[i] = query != NULL ? query->ctequery : NULL;
        s->tables |= query == NULL ? 1U << i : 0;
    }
}

static uint32_t queries_that_name(const scope *s, unsigned depth)
{
    uint32_t named = 0;
    for (unsigned i = 0; i < s->count; i++) {
        const Node *query = s->queries[i];
        if (nodeTag(s->items[i]) == T_RangeSubselect && !AS(RangeSubselect, s->items[i])->lateral) {
            query = AS(RangeSubselect, s->items[i])->subquery;
        }
        if (query != NULL && is_named_query(s->f, query, depth + 1)) {
            named |= 1U << i;
        }
    }
    return named;
}

/* The items whose rows are named, all conditions together. */
static uint32_t named_items(scope *s, const Node *condition, unsigned depth)
{
    if (s->is_unknown || s->count == 0) {
        return 0;
    }
    find_tables(s);
    links joined = {.count = 0};
    uint32_t named = named_by(s, condition, &joined, depth);
    for (unsigned i = 0; i < s->quals_count; i++) {
        named |= named_by(s, s->quals[i], &joined, depth);
    }
    return spread(&joined, (named & s->tables) | queries_that_name(s, depth));
}

/* Columns and values: no function that makes many rows of one. */
static bool has_plain_targets(scope *s, const List *targets)
{
    for (int i = 0; i < list_length(targets); i++) {
        const Node *value = fold_bare(AS(ResTarget, list_nth(targets, i))->val);
        if (value == NULL || (nodeTag(value) != T_ColumnRef && !is_value(s, value, true, 0))) {
            return false;
        }
    }
    return true;
}

/* A SELECT whose rows are written out, or all named by values. */
static bool is_named_query(folding *f, const Node *query, unsigned depth)
{
    if (query == NULL || nodeTag(query) != T_SelectStmt || depth > NAMED_DEPTH_MAX ||
        f->work++ > FOLD_WORK_MAX || AS(SelectStmt, query)->op != SETOP_NONE ||
        AS(SelectStmt, query)->withClause != NULL) {
        return false;
    }
    const SelectStmt *select = AS(SelectStmt, query);
    from_frame frame = {.items = select->fromClause, .up = f->frame};
    const from_frame *outer = f->frame;
    scope s = {.f = f};
    f->frame = &frame;
    bool is_named = false;
    if (select->valuesLists != NIL) {
        is_named = are_values(&s, select->valuesLists, true, 0);
    } else {
        add_items(&s, select->fromClause);
        uint32_t all = (uint32_t)((1ULL << s.count) - 1);
        is_named = has_plain_targets(&s, select->targetList) && !s.is_unknown &&
                   named_items(&s, select->whereClause, depth) == all;
    }
    f->frame = outer;
    return is_named;
}

bool fold_names_rows(folding *f, const Node *condition)
{
    scope s = {.f = f, .has_target = true, .count = 1};
    s.items[0] = (const Node *)f->frame->target;
    add_items(&s, f->frame->items);
    return (named_items(&s, condition, 0) & 1) != 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * What NULL does to a condition: whether an expression may be NULL, and the tests that ask for it,
 * also in other words: "x IS DISTINCT FROM NULL", "(x = 1) IS NOT UNKNOWN". An expression that has
 * a value in every row spares none.
 * OWNS nothing. PROCESS database gate. TRUST the tree was made from hostile text; recursion is
 * bounded. SPEC lib/sql/folding.h; SQL three-valued logic.
 */
#include "lib/base/mem.h"
#include "lib/sql/folding.h"

/* HARDLY: a row, a table that is not known, under casts, computed of what is not NULL. */
typedef enum { NULL_SOMETIMES, NULL_HARDLY, NULL_NEVER } nullness;

static nullness nullness_of(folding *f, const Node *node);

bool fold_is_null(const Node *node)
{
    node = fold_bare(node);
    return node != NULL && nodeTag(node) == T_A_Const && AS(A_Const, node)->isnull;
}

/* A column of the target itself, by a name that can mean nothing else. */
static bool is_own_column(const folding *f, const Node *node)
{
    if (nodeTag(node) != T_ColumnRef || f->frame->up != NULL || f->frame->target == NULL) {
        return false;
    }
    const List *fields = AS(ColumnRef, node)->fields;
    return (list_length(fields) == 1 && f->frame->items == NIL) ||
           (list_length(fields) == 2 && fold_is_target_alias(f, names_before(fields)));
}

static nullness of_column(const folding *f, const Node *node, const ColumnRef *column)
{
    sp_span name = names_last(column->fields);
    if (name.len == 0 || fold_target(f) == NULL || fold_is_target_alias(f, name)) {
        return NULL_HARDLY;
    }
    const sp_sql_catalogue *catalogue = f->w->context->catalogue;
    found_relation found = walk_resolve(f->w, fold_target_name(f), true);
    uint32_t at = sp_sql_catalogue_find_column(catalogue, found.relation, name);
    if (at == SP_NONE) {
        return NULL_HARDLY;
    }
    bool not_null = sp_sql_catalogue_column_at(catalogue, at)->not_null;
    return !not_null ? NULL_SOMETIMES : is_own_column(f, node) ? NULL_NEVER : NULL_HARDLY;
}

/* Whether all have values. */
static nullness of_all(folding *f, const List *items)
{
    for (int i = 0; i < list_length(items); i++) {
        if (nullness_of(f, (const Node *)list_nth(items, i)) == NULL_SOMETIMES) {
            return NULL_SOMETIMES;
        }
    }
    return NULL_HARDLY;
}

/* Whether one has. */
static nullness of_any(folding *f, const List *items)
{
    for (int i = 0; i < list_length(items); i++) {
        if (nullness_of(f, (const Node *)list_nth(items, i)) != NULL_SOMETIMES) {
            return NULL_HARDLY;
        }
    }
    return NULL_SOMETIMES;
}

/* Of which the server's own give NULL for a NULL, and for nothing else. */
static bool is_strict(sp_span op)
{
    static const char *const ops[] = {"=",   "<>",  "<",    ">", "<=", ">=", "~~",
                                      "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*",
                                      "+",   "-",   "*",    "/", "%",  "^",  "||"};
    return sp_span_which(op, ops, SP_COUNT(ops)) < SP_COUNT(ops);
}

static nullness of_expression(folding *f, const A_Expr *expr)
{
    const Node *right = expr->rexpr;
    switch (expr->kind) {
    case AEXPR_DISTINCT:
    case AEXPR_NOT_DISTINCT:
        return NULL_HARDLY;
    case AEXPR_OP:
        if (!is_strict(names_last(expr->name))) {
            return NULL_SOMETIMES;
        }
        break;
    case AEXPR_LIKE:
    case AEXPR_ILIKE:
    case AEXPR_IN:
    case AEXPR_BETWEEN:
    case AEXPR_BETWEEN_SYM:
    case AEXPR_NOT_BETWEEN:
    case AEXPR_NOT_BETWEEN_SYM:
        break;
    case AEXPR_OP_ANY:
    case AEXPR_OP_ALL:
    case AEXPR_NULLIF:
    case AEXPR_SIMILAR:
        return NULL_SOMETIMES;
    }
    bool has_left = expr->lexpr == NULL || nullness_of(f, expr->lexpr) != NULL_SOMETIMES;
    return has_left ? nullness_of(f, right) : NULL_SOMETIMES;
}

static nullness of_case(folding *f, const CaseExpr *expr)
{
    nullness all =
        expr->defresult == NULL ? NULL_SOMETIMES : nullness_of(f, (const Node *)expr->defresult);
    for (int i = 0; i < list_length(expr->args) && all != NULL_SOMETIMES; i++) {
        all = nullness_of(f, (const Node *)AS(CaseWhen, list_nth(expr->args, i))->result);
    }
    return all == NULL_SOMETIMES ? NULL_SOMETIMES : NULL_HARDLY;
}

static nullness nullness_under(folding *f, const Node *node, const Node *bare)
{
    switch ((int)nodeTag(bare)) {
    case T_ColumnRef:
        return of_column(f, node, AS(ColumnRef, bare));
    case T_A_Const:
        return AS(A_Const, bare)->isnull ? NULL_SOMETIMES : NULL_HARDLY;
    case T_A_Expr:
        return of_expression(f, AS(A_Expr, bare));
    case T_BoolExpr:
        return of_all(f, AS(BoolExpr, bare)->args);
    case T_List:
        return of_all(f, AS(List, bare));
    case T_RowExpr:
        return of_all(f, AS(RowExpr, bare)->args);
    case T_CoalesceExpr:
        return of_any(f, AS(CoalesceExpr, bare)->args);
    case T_MinMaxExpr:
        return of_any(f, AS(MinMaxExpr, bare)->args);
    case T_CaseExpr:
        return of_case(f, AS(CaseExpr, bare));
    case T_SubLink: {
        SubLinkType kind = AS(SubLink, bare)->subLinkType;
        return kind == EXISTS_SUBLINK || kind == ARRAY_SUBLINK ? NULL_HARDLY : NULL_SOMETIMES;
    }
    case T_NullTest:
    case T_BooleanTest:
    case T_A_ArrayExpr:
    case T_ParamRef:
    case T_SQLValueFunction:
        return NULL_HARDLY;
    default:
        return NULL_SOMETIMES;
    }
}

static nullness nullness_of(folding *f, const Node *node)
{
    const Node *bare = fold_bare(node);
    if (bare == NULL || f->depth >= FOLD_DEPTH_MAX || f->work++ > FOLD_WORK_MAX) {
        return NULL_SOMETIMES;
    }
    f->depth++;
    nullness found = nullness_under(f, node, bare);
    f->depth--;
    return found;
}

bool fold_is_itself(folding *f, const Node *a, const Node *b)
{
    return nullness_of(f, a) == NULL_NEVER && nullness_of(f, b) == NULL_NEVER &&
           fold_is_twice(f, a, b);
}

folded fold_null(folding *f, const Node *arg, bool asks_null)
{
    if (fold_is_null(arg) || fold(f, arg) == FOLD_NULL) {
        return asks_null ? FOLD_TRUE : FOLD_FALSE;
    }
    bool is_constant = arg != NULL && nodeTag(arg) == T_A_Const;
    if (is_constant || nullness_of(f, arg) == NULL_NEVER) {
        return asks_null ? FOLD_FALSE : FOLD_TRUE;
    }
    return asks_null || nullness_of(f, arg) == NULL_SOMETIMES ? FOLD_SOME : FOLD_MOST;
}

folded fold_distinct(folding *f, const A_Expr *expr, bool asks_same)
{
    const Node *other = fold_is_null(expr->rexpr)   ? expr->lexpr
                        : fold_is_null(expr->lexpr) ? expr->rexpr
                                                    : NULL;
    if (other == NULL) {
        return FOLD_SOME;
    }
    bool is_row = nodeTag(other) == T_RowExpr; /* it is a value, whatever it is made of */
    return !is_row ? fold_null(f, other, asks_same) : asks_same ? FOLD_SOME : FOLD_MOST;
}

/* SPDX-License-Identifier: Apache-2.0
 * Whether a condition names the rows that it means by values that are written out: "id = 7",
 * "state IN ('a', $1)", "done". Everything else may be true of as many rows as there are. OWNS
 * nothing. PROCESS database gate. TRUST the tree was made from hostile text; recursion is bounded.
 * SPEC lib/sql/walk.h, condition_reaches().
 */
#include "lib/base/mem.h"
#include "lib/sql/folding.h"

enum { NAMED_DEPTH_MAX = 64 };

static bool names_rows(folding *f, const Node *node, unsigned depth);

/* A column as it is: an expression of one may be the same for all rows. */
static bool is_column(const Node *node)
{
    while (node != NULL && (nodeTag(node) == T_TypeCast || nodeTag(node) == T_CollateClause)) {
        node = nodeTag(node) == T_TypeCast ? AS(TypeCast, node)->arg : AS(CollateClause, node)->arg;
    }
    if (node != NULL && nodeTag(node) == T_RowExpr) {
        const List *items = AS(RowExpr, node)->args;
        for (int i = 0; i < list_length(items); i++) {
            if (is_column((const Node *)list_nth(items, i))) {
                return true;
            }
        }
    }
    return node != NULL && nodeTag(node) == T_ColumnRef &&
           nodeTag(llast(AS(ColumnRef, node)->fields)) == T_String;
}

/* A value that no row decides: constants, parameters, what is computed of these, and the one value
 * of a subquery. */
static bool is_value(folding *f, const Node *node)
{
    bool is_query = node != NULL && nodeTag(node) == T_SubLink &&
                    AS(SubLink, node)->subLinkType == EXPR_SUBLINK;
    return node != NULL && (is_query ? !fold_looks_at_target(f, node) : !fold_has_names(f, node));
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

/* "id BETWEEN 3 AND 90": so many at most, of what has a number each. */
static bool is_short_range(const A_Expr *expr)
{
    enum { SHORT_RANGE = 1000 };
    const List *bounds = AS(List, expr->rexpr);
    long low = 0;
    long high = 0;
    return list_length(bounds) == 2 && is_number((const Node *)linitial(bounds), &low) &&
           is_number((const Node *)lsecond(bounds), &high) && high - low < SHORT_RANGE;
}

static bool expression_names(folding *f, const A_Expr *expr)
{
    bool is_equal = sp_span_eq(names_last(expr->name), SP_SPAN_LIT("="));
    switch (expr->kind) {
    case AEXPR_OP:
    case AEXPR_NOT_DISTINCT:
        return is_equal && ((is_column(expr->lexpr) && is_value(f, expr->rexpr)) ||
                            (is_column(expr->rexpr) && is_value(f, expr->lexpr)));
    case AEXPR_IN:
    case AEXPR_OP_ANY:
        return is_equal && is_column(expr->lexpr) && is_value(f, expr->rexpr);
    case AEXPR_BETWEEN:
        return is_column(expr->lexpr) && is_short_range(expr);
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
    return false;
}

/* "id IN (SELECT ... WHERE name = 'x')": as many as have that name. */
static bool sublink_names(folding *f, const SubLink *link, unsigned depth)
{
    if (link->subselect == NULL || nodeTag(link->subselect) != T_SelectStmt ||
        link->subLinkType != ANY_SUBLINK || !is_column(link->testexpr) ||
        fold_looks_at_target(f, link->subselect) ||
        (link->operName != NIL && !sp_span_eq(names_last(link->operName), SP_SPAN_LIT("=")))) {
        return false;
    }
    const SelectStmt *select = AS(SelectStmt, link->subselect);
    return select->op == SETOP_NONE && select->whereClause != NULL &&
           names_rows(f, select->whereClause, depth + 1);
}

static bool logic_names(folding *f, const BoolExpr *logic, unsigned depth)
{
    if (logic->boolop == NOT_EXPR) {
        return is_column((const Node *)linitial(logic->args)); /* NOT done */
    }
    bool wants_all = logic->boolop == OR_EXPR;
    for (int i = 0; i < list_length(logic->args); i++) {
        if (names_rows(f, (const Node *)list_nth(logic->args, i), depth + 1) != wants_all) {
            return !wants_all;
        }
    }
    return wants_all;
}

static bool names_rows(folding *f, const Node *node, unsigned depth)
{
    if (node == NULL || depth > NAMED_DEPTH_MAX || f->work++ > FOLD_WORK_MAX) {
        return false;
    }
    switch ((int)nodeTag(node)) {
    case T_A_Expr:
        return expression_names(f, AS(A_Expr, node));
    case T_BoolExpr:
        return logic_names(f, AS(BoolExpr, node), depth);
    case T_NullTest:
        return AS(NullTest, node)->nulltesttype == IS_NULL &&
               is_column((const Node *)AS(NullTest, node)->arg);
    case T_ColumnRef:
        return is_column(node); /* WHERE done */
    case T_SubLink:
        return sublink_names(f, AS(SubLink, node), depth);
    default:
        return false;
    }
}

bool fold_names_rows(folding *f, const Node *condition)
{
    return names_rows(f, condition, 0);
}

/* SPDX-License-Identifier: Apache-2.0
 * What is written out in a condition: numbers, truths, and both values that a boolean may have.
 * OWNS nothing. PROCESS database gate. TRUST the tree was made from hostile text; recursion is
 * bounded. SPEC lib/sql/folding.h; PostgreSQL 15 manual, 4.1.2 "Constants", 8.6 "Boolean Type".
 */
#include "lib/sql/folding.h"

#include "lib/base/mem.h"

enum { OID_BOOL = 16, BOTH = 3 };

const Node *fold_bare(const Node *node)
{
    while (node != NULL && (nodeTag(node) == T_TypeCast || nodeTag(node) == T_CollateClause)) {
        node = nodeTag(node) == T_TypeCast ? AS(TypeCast, node)->arg : AS(CollateClause, node)->arg;
    }
    return node;
}

bool fold_number(const Node *node, double *ret_value, bool *ret_exact)
{
    const Node *bare = fold_bare(node);
    bool is_bare = bare == node;
    node = bare;
    *ret_exact = false;
    if (node == NULL) {
        return false;
    }
    if (nodeTag(node) == T_A_Expr) {
        const A_Expr *expr = AS(A_Expr, node);
        double inner = 0;
        if (expr->lexpr == NULL && sp_span_eq(names_last(expr->name), SP_SPAN_LIT("-")) &&
            expr->rexpr != NULL && nodeTag(expr->rexpr) == T_A_Const &&
            fold_number(expr->rexpr, &inner, ret_exact)) {
            *ret_exact = *ret_exact && is_bare;
            *ret_value = -inner;
            return true;
        }
        return false;
    }
    if (nodeTag(node) != T_A_Const || AS(A_Const, node)->isnull) {
        return false;
    }
    const A_Const *constant = AS(A_Const, node);
    if (nodeTag(&constant->val.node) == T_Integer) {
        *ret_value = constant->val.ival.ival;
        *ret_exact = is_bare;
        return true;
    }
    sp_span text = SP_SPAN_EMPTY;
    if (nodeTag(&constant->val.node) == T_Float) {
        text = text_of(constant->val.fval.fval);
    } else if (nodeTag(&constant->val.node) == T_String) {
        text = text_of(constant->val.sval.sval);
    }
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    text = sp_span_slice(text, is_negative ? 1 : 0, text.len);
    text = sp_span_slice(text, 0, sp_span_index(text, '.'));
    double value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (text.ptr[i] - '0');
    }
    *ret_value = is_negative ? -value : value;
    return text.len > 0;
}

static bool is_true_text(sp_span text)
{
    static const char *const words[] = {"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"};
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        if (sp_span_eq_nocase(sp_span_trim(text), text_of(words[i]))) {
            return true;
        }
    }
    return false;
}

folded fold_literal(const A_Const *constant)
{
    if (constant->isnull) {
        return FOLD_NULL;
    }
    if (nodeTag(&constant->val.node) == T_Boolean) {
        return constant->val.boolval.boolval ? FOLD_TRUE : FOLD_FALSE;
    }
    if (nodeTag(&constant->val.node) == T_String) {
        return is_true_text(text_of(constant->val.sval.sval)) ? FOLD_TRUE : FOLD_FALSE;
    }
    if (nodeTag(&constant->val.node) == T_Integer) {
        return constant->val.ival.ival != 0 ? FOLD_TRUE : FOLD_FALSE;
    }
    return FOLD_SOME;
}

static folded from_bool(bool value)
{
    return value ? FOLD_TRUE : FOLD_FALSE;
}

folded fold_compared(sp_span op, double a, double b)
{
    if (sp_span_eq(op, SP_SPAN_LIT("="))) {
        return from_bool(a >= b && a <= b);
    }
    if (sp_span_eq(op, SP_SPAN_LIT("<>"))) {
        return from_bool(a < b || a > b);
    }
    if (sp_span_eq(op, SP_SPAN_LIT("<"))) {
        return from_bool(a < b);
    }
    if (sp_span_eq(op, SP_SPAN_LIT("<="))) {
        return from_bool(a <= b);
    }
    if (sp_span_eq(op, SP_SPAN_LIT(">"))) {
        return from_bool(a > b);
    }
    if (sp_span_eq(op, SP_SPAN_LIT(">="))) {
        return from_bool(a >= b);
    }
    return FOLD_SOME;
}

bool fold_spares_nothing(sp_span op, double bound)
{
    if (sp_span_eq(op, SP_SPAN_LIT(">"))) {
        return bound <= 0;
    }
    if (sp_span_eq(op, SP_SPAN_LIT(">="))) {
        return bound <= 1;
    }
    if (sp_span_eq(op, SP_SPAN_LIT("<")) || sp_span_eq(op, SP_SPAN_LIT("<="))) {
        return bound >= 1e9;
    }
    if (sp_span_eq(op, SP_SPAN_LIT("<>"))) {
        return bound <= 0;
    }
    return false;
}

/* ---- both that there are ---- */

/* What one value is, as bits: 1 true, 2 false. A text is one only beside a boolean. */
static unsigned truth_of(const Node *value, bool of_boolean)
{
    const Node *bare = fold_bare(value);
    if (bare == NULL || nodeTag(bare) != T_A_Const || AS(A_Const, bare)->isnull) {
        return 0;
    }
    const A_Const *constant = AS(A_Const, bare);
    bool is_truth = nodeTag(&constant->val.node) == T_Boolean;
    if (!is_truth && (!of_boolean || nodeTag(&constant->val.node) != T_String)) {
        return 0;
    }
    return fold_literal(constant) == FOLD_TRUE ? 1 : 2;
}

static unsigned truths_in(const List *items, bool of_boolean)
{
    unsigned found = 0;
    for (int i = 0; i < list_length(items); i++) {
        found |= truth_of((const Node *)list_nth(items, i), of_boolean);
    }
    return found;
}

/* '{t,f}' */
static unsigned truths_of_array(const Node *value, bool of_boolean)
{
    const Node *bare = fold_bare(value);
    if (bare != NULL && nodeTag(bare) == T_A_ArrayExpr) {
        return truths_in(AS(A_ArrayExpr, bare)->elements, of_boolean);
    }
    bool is_cast =
        nodeTag(value) == T_TypeCast &&
        sp_span_eq(names_last(AS(TypeCast, value)->typeName->names), SP_SPAN_LIT("bool"));
    sp_span text = of_boolean || is_cast ? literal_of(bare) : SP_SPAN_EMPTY;
    unsigned found = 0;
    if (text.len < 2 || text.ptr[0] != '{') {
        return 0;
    }
    sp_span rest = sp_span_slice(text, 1, text.len - 1);
    sp_span item;
    while (sp_span_split(&rest, ',', &item)) {
        item = sp_span_trim(item);
        bool is_quoted = item.len >= 2 && item.ptr[0] == '"';
        found |= is_true_text(is_quoted ? sp_span_slice(item, 1, item.len - 1) : item) ? 1 : 2;
    }
    return found;
}

/* Also as its text or its number: of these there are no more than two either. */
static bool is_boolean(folding *f, const Node *node)
{
    const sp_sql_relation *target = fold_target(f);
    node = fold_bare(node);
    if (target == NULL || node == NULL || nodeTag(node) != T_ColumnRef) {
        return false;
    }
    const sp_sql_catalogue *catalogue = f->w->context->catalogue;
    found_relation found = walk_resolve(f->w, fold_target_name(f), true);
    uint32_t at = sp_sql_catalogue_find_column(catalogue, found.relation,
                                               names_last(AS(ColumnRef, node)->fields));
    return at != SP_NONE && sp_sql_catalogue_column_at(catalogue, at)->type_oid == OID_BOOL;
}

/* What a condition is about, and of which of its values it is true. */
typedef struct {
    const Node *subject;
    unsigned truths;
} truths;

static truths truths_of_expression(folding *f, const A_Expr *expr)
{
    if (!sp_span_eq(names_last(expr->name), SP_SPAN_LIT("="))) {
        return (truths){NULL, 0};
    }
    bool of_boolean = is_boolean(f, expr->lexpr);
    if (expr->kind == AEXPR_IN) {
        return (truths){expr->lexpr, truths_in(AS(List, expr->rexpr), of_boolean)};
    }
    if (expr->kind == AEXPR_OP_ANY) {
        return (truths){expr->lexpr, truths_of_array(expr->rexpr, of_boolean)};
    }
    if (expr->kind != AEXPR_OP && expr->kind != AEXPR_NOT_DISTINCT) {
        return (truths){NULL, 0};
    }
    bool is_of_boolean = is_boolean(f, expr->rexpr);
    unsigned right = truth_of(expr->rexpr, of_boolean);
    unsigned left = right != 0 ? 0 : truth_of(expr->lexpr, is_of_boolean);
    const Node *subject = left != 0 ? expr->rexpr : expr->lexpr;
    bool is_bare = left != 0 ? is_of_boolean : of_boolean;
    return (truths){is_bare ? fold_bare(subject) : subject, left != 0 ? left : right};
}

static truths truths_of(folding *f, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_A_Expr:
        return truths_of_expression(f, AS(A_Expr, node));
    case T_ColumnRef:
        return (truths){node, 1};
    case T_BoolExpr:
        return AS(BoolExpr, node)->boolop == NOT_EXPR
                   ? (truths){(const Node *)linitial(AS(BoolExpr, node)->args), 2}
                   : (truths){NULL, 0};
    case T_BooleanTest: {
        BoolTestType type = AS(BooleanTest, node)->booltesttype;
        bool is_true = type == IS_TRUE || type == IS_NOT_FALSE;
        bool is_false = type == IS_FALSE || type == IS_NOT_TRUE;
        return (truths){(const Node *)AS(BooleanTest, node)->arg, is_true ? 1 : is_false ? 2 : 0};
    }
    default:
        return (truths){NULL, 0};
    }
}

bool fold_is_both(folding *f, const A_Expr *expr)
{
    return truths_of_expression(f, expr).truths == BOTH;
}

bool fold_has_both(folding *f, const List *args)
{
    int count = list_length(args) < 16 ? list_length(args) : 16;
    for (int i = 0; i < count; i++) {
        truths one = truths_of(f, (const Node *)list_nth(args, i));
        for (int j = i; one.truths != 0 && j < count; j++) {
            truths other = truths_of(f, (const Node *)list_nth(args, j));
            if (other.truths != 0 && (one.truths | other.truths) == BOTH &&
                fold_is_twice(f, one.subject, other.subject)) {
                return true;
            }
        }
    }
    return false;
}

/* SPDX-License-Identifier: Apache-2.0
 * Whether a condition spares any row: folding of what is always true, in the disguises in which
 * people write it. The answer errs towards "all": a condition that never looks at the target spares
 * nothing, and one that is true of every row that the table may hold is no condition. OWNS nothing.
 * PROCESS database gate. TRUST the tree was made from hostile text; recursion is bounded. SPEC
 * docs/ARCHITECTURE.md "Database gate"; SQL three-valued logic.
 */
#include "lib/sql/folding.h"

#include "lib/base/mem.h"

/* ---- operators ---- */

static sp_span mirrored(sp_span op)
{
    if (op.len == 0) {
        return op;
    }
    if (op.ptr[0] == '<' && !sp_span_eq(op, SP_SPAN_LIT("<>"))) {
        return op.len == 2 ? SP_SPAN_LIT(">=") : SP_SPAN_LIT(">");
    }
    if (op.ptr[0] == '>') {
        return op.len == 2 ? SP_SPAN_LIT("<=") : SP_SPAN_LIT("<");
    }
    return op;
}

static bool is_equality(sp_span op)
{
    return sp_span_eq(op, SP_SPAN_LIT("=")) || sp_span_eq(op, SP_SPAN_LIT("<=")) ||
           sp_span_eq(op, SP_SPAN_LIT(">=")) || sp_span_eq(op, SP_SPAN_LIT("~~")) ||
           sp_span_eq(op, SP_SPAN_LIT("~~*")) || sp_span_eq(op, SP_SPAN_LIT("~="));
}

static bool is_empty_pattern(sp_span op, sp_span pattern)
{
    if (pattern.ptr == NULL) {
        return false;
    }
    bool is_regex =
        op.len > 0 && op.len <= 2 && op.ptr[0] == '~' && (op.len == 1 || op.ptr[1] == '*');
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t c = pattern.ptr[i];
        bool is_any = is_regex
                          ? c == '.' || c == '*' || c == '^' || c == '$' || c == '(' || c == ')'
                          : c == '%';
        if (!is_any) {
            return false;
        }
    }
    return is_regex || pattern.len > 0;
}

static bool is_among(folding *f, const Node *node, const List *items);

/* "id = coalesce($1, id)": of all rows when there is no $1. */
static bool is_optional(folding *f, const Node *column, const Node *value)
{
    value = fold_bare(value);
    return column != NULL && nodeTag(column) == T_ColumnRef && value != NULL &&
           nodeTag(value) == T_CoalesceExpr && is_among(f, column, AS(CoalesceExpr, value)->args);
}

static bool is_no_constant(const Node *node)
{
    node = fold_bare(node);
    return node != NULL && nodeTag(node) != T_A_Const;
}

/* Operators of which the server's own are NULL beside a NULL. */
static bool is_comparison(sp_span op)
{
    return is_equality(op) || sp_span_eq(op, SP_SPAN_LIT("<>")) ||
           sp_span_eq(op, SP_SPAN_LIT("<")) || sp_span_eq(op, SP_SPAN_LIT(">"));
}

/* Both sides are written alike; only a column is sure to be the same value both times. */
static folded fold_twice(folding *f, sp_span op, const Node *a, const Node *b)
{
    if (sp_span_eq(op, SP_SPAN_LIT("<>"))) {
        return fold_is_itself(f, a, b) ? FOLD_FALSE : FOLD_SOME;
    }
    if (sp_span_eq(op, SP_SPAN_LIT("=")) && fold_is_itself(f, a, b)) {
        return FOLD_TRUE;
    }
    return is_equality(op) ? FOLD_MOST : FOLD_SOME;
}

static folded fold_operator(folding *f, const A_Expr *expr)
{
    sp_span op = names_last(expr->name);
    if (is_comparison(op) && (fold_is_null(expr->lexpr) || fold_is_null(expr->rexpr))) {
        return FOLD_NULL;
    }
    double left = 0;
    double right = 0;
    bool left_exact = false;
    bool right_exact = false;
    bool left_number = fold_number(expr->lexpr, &left, &left_exact);
    bool right_number = fold_number(expr->rexpr, &right, &right_exact);
    if (left_number && right_number) {
        return left_exact && right_exact ? fold_compared(op, left, right) : FOLD_MOST;
    }
    if (fold_is_twice(f, expr->lexpr, expr->rexpr)) {
        return fold_twice(f, op, expr->lexpr, expr->rexpr);
    }
    if (is_equality(op) &&
        (is_optional(f, expr->lexpr, expr->rexpr) || is_optional(f, expr->rexpr, expr->lexpr))) {
        return FOLD_MOST;
    }
    if ((right_number && is_no_constant(expr->lexpr) && fold_spares_nothing(op, right)) ||
        (left_number && is_no_constant(expr->rexpr) && fold_spares_nothing(mirrored(op), left))) {
        return FOLD_MOST;
    }
    sp_span text = literal_of(expr->rexpr);
    if (text.ptr != NULL && text.len == 0 &&
        (sp_span_eq(op, SP_SPAN_LIT(">=")) || sp_span_eq(op, SP_SPAN_LIT(">")))) {
        return FOLD_MOST; /* every text is at or behind the empty one */
    }
    return op.len > 0 && op.ptr[0] == '~' && is_empty_pattern(op, text) ? FOLD_MOST : FOLD_SOME;
}

static folded fold_like(folding *f, const A_Expr *expr)
{
    sp_span op = names_last(expr->name);
    bool is_not = op.len > 0 && op.ptr[0] == '!';
    if (fold_is_twice(f, expr->lexpr, expr->rexpr) ||
        is_empty_pattern(SP_SPAN_LIT("~~"), literal_of(expr->rexpr))) {
        return is_not ? FOLD_SOME : FOLD_MOST;
    }
    return FOLD_SOME;
}

static folded fold_similar(const A_Expr *expr)
{
    /* the pattern is an argument of similar_to_escape() */
    const Node *pattern = expr->rexpr;
    if (pattern != NULL && nodeTag(pattern) == T_FuncCall && AS(FuncCall, pattern)->args != NIL) {
        pattern = (const Node *)linitial(AS(FuncCall, pattern)->args);
    }
    return is_empty_pattern(SP_SPAN_LIT("~~"), literal_of(pattern)) ? FOLD_MOST : FOLD_SOME;
}

static folded fold_between(folding *f, const A_Expr *expr)
{
    const List *bounds = AS(List, expr->rexpr);
    double low = 0;
    double high = 0;
    if (list_length(bounds) != 2) {
        return FOLD_SOME;
    }
    bool by_self = fold_is_twice(f, expr->lexpr, (const Node *)linitial(bounds)) &&
                   fold_is_twice(f, expr->lexpr, (const Node *)lsecond(bounds));
    bool is_exact = false;
    bool by_number = fold_number((const Node *)linitial(bounds), &low, &is_exact) &&
                     fold_number((const Node *)lsecond(bounds), &high, &is_exact) && low <= 1 &&
                     high >= 1e9;
    return by_self || by_number ? FOLD_MOST : FOLD_SOME;
}

static bool is_among(folding *f, const Node *node, const List *items)
{
    for (int i = 0; i < list_length(items); i++) {
        if (fold_is_twice(f, node, (const Node *)list_nth(items, i))) {
            return true;
        }
    }
    return false;
}

static folded fold_any(folding *f, const A_Expr *expr)
{
    const Node *array = fold_bare(expr->rexpr);
    if (fold_is_both(f, expr)) {
        return FOLD_MOST;
    }
    return array != NULL && nodeTag(array) == T_A_ArrayExpr &&
                   is_equality(names_last(expr->name)) &&
                   is_among(f, expr->lexpr, AS(A_ArrayExpr, array)->elements)
               ? FOLD_MOST
               : FOLD_SOME;
}

static folded fold_expression(folding *f, const A_Expr *expr)
{
    switch (expr->kind) {
    case AEXPR_OP:
        return fold_operator(f, expr);
    case AEXPR_LIKE:
    case AEXPR_ILIKE:
        return fold_like(f, expr);
    case AEXPR_SIMILAR:
        return fold_similar(expr);
    case AEXPR_NOT_DISTINCT:
        return fold_is_twice(f, expr->lexpr, expr->rexpr)
                   ? fold_twice(f, SP_SPAN_LIT("="), expr->lexpr, expr->rexpr)
                   : fold_distinct(f, expr, true);
    case AEXPR_DISTINCT:
        return fold_distinct(f, expr, false);
    case AEXPR_BETWEEN:
    case AEXPR_BETWEEN_SYM:
        return fold_between(f, expr);
    case AEXPR_IN:
        return fold_is_both(f, expr) || (sp_span_eq(names_last(expr->name), SP_SPAN_LIT("=")) &&
                                         is_among(f, expr->lexpr, AS(List, expr->rexpr)))
                   ? FOLD_MOST
                   : FOLD_SOME;
    case AEXPR_OP_ANY:
        return fold_any(f, expr);
    case AEXPR_OP_ALL:
    case AEXPR_NULLIF:
    case AEXPR_NOT_BETWEEN:
    case AEXPR_NOT_BETWEEN_SYM:
        break;
    }
    return FOLD_SOME;
}

/* ---- logic ---- */

static bool are_opposite_truths(BoolTestType a, BoolTestType b)
{
    static const BoolTestType pairs[][2] = {{IS_TRUE, IS_NOT_TRUE},
                                            {IS_FALSE, IS_NOT_FALSE},
                                            {IS_UNKNOWN, IS_NOT_UNKNOWN},
                                            {IS_TRUE, IS_FALSE},
                                            {IS_NOT_TRUE, IS_NOT_FALSE}};
    for (size_t i = 0; i < SP_COUNT(pairs); i++) {
        if ((a == pairs[i][0] && b == pairs[i][1]) || (b == pairs[i][0] && a == pairs[i][1])) {
            return true;
        }
    }
    return false;
}

static bool are_opposite_operators(const A_Expr *a, const A_Expr *b)
{
    static const char *const pairs[][2] = {
        {"=", "<>"},   {"<", ">="},     {">", "<="}, {"<", ">"},    {"<=", ">="},
        {"~~", "!~~"}, {"~~*", "!~~*"}, {"~", "!~"}, {"~*", "!~*"}, {"BETWEEN", "NOT BETWEEN"}};
    bool are_distinct = a->kind == AEXPR_DISTINCT || a->kind == AEXPR_NOT_DISTINCT;
    if (are_distinct) {
        return b->kind == (a->kind == AEXPR_DISTINCT ? AEXPR_NOT_DISTINCT : AEXPR_DISTINCT);
    }
    sp_span left = names_last(a->name);
    sp_span right = names_last(b->name);
    for (size_t i = 0; i < SP_COUNT(pairs); i++) {
        sp_span one = text_of(pairs[i][0]);
        sp_span other = text_of(pairs[i][1]);
        if ((sp_span_eq(left, one) && sp_span_eq(right, other)) ||
            (sp_span_eq(left, other) && sp_span_eq(right, one))) {
            return true;
        }
    }
    return false;
}

static bool is_not_of(folding *f, const Node *a, const Node *b)
{
    return nodeTag(a) == T_BoolExpr && AS(BoolExpr, a)->boolop == NOT_EXPR &&
           fold_is_twice(f, b, (const Node *)linitial(AS(BoolExpr, a)->args));
}

/* "a = 1 OR a <> 1", "x IS NULL OR x IS NOT NULL", "p OR NOT p", "p IS TRUE OR p IS NOT TRUE" */
static bool is_opposite(folding *f, const Node *a, const Node *b)
{
    if (is_not_of(f, a, b) || is_not_of(f, b, a)) {
        return true;
    }
    if (nodeTag(a) != nodeTag(b)) {
        return false;
    }
    switch ((int)nodeTag(a)) {
    case T_NullTest:
        return AS(NullTest, a)->nulltesttype != AS(NullTest, b)->nulltesttype &&
               fold_is_twice(f, (const Node *)AS(NullTest, a)->arg,
                             (const Node *)AS(NullTest, b)->arg);
    case T_BooleanTest:
        return are_opposite_truths(AS(BooleanTest, a)->booltesttype,
                                   AS(BooleanTest, b)->booltesttype) &&
               fold_is_twice(f, (const Node *)AS(BooleanTest, a)->arg,
                             (const Node *)AS(BooleanTest, b)->arg);
    case T_A_Expr:
        return are_opposite_operators(AS(A_Expr, a), AS(A_Expr, b)) &&
               fold_is_twice(f, AS(A_Expr, a)->lexpr, AS(A_Expr, b)->lexpr) &&
               fold_is_twice(f, AS(A_Expr, a)->rexpr, AS(A_Expr, b)->rexpr);
    default:
        return false;
    }
}

static bool has_opposites(folding *f, const List *args)
{
    int count = list_length(args) < 16 ? list_length(args) : 16;
    for (int i = 0; i < count; i++) {
        for (int j = i + 1; j < count; j++) {
            if (is_opposite(f, (const Node *)list_nth(args, i), (const Node *)list_nth(args, j))) {
                return true;
            }
        }
    }
    return false;
}

static folded fold_or(folding *f, const List *args)
{
    bool all_false = true;
    bool any_null = false;
    bool any_most = false;
    for (int i = 0; i < list_length(args); i++) {
        const Node *node = (const Node *)list_nth(args, i);
        folded arm = fold(f, node);
        if (arm == FOLD_TRUE) {
            return FOLD_TRUE;
        }
        /* an arm that does not look at the target may hold for all of its rows: "OR $1" */
        any_most |= arm == FOLD_MOST || (arm == FOLD_SOME && !fold_looks_at_target(f, node));
        all_false &= arm == FOLD_FALSE || arm == FOLD_NULL;
        any_null |= arm == FOLD_NULL;
    }
    if (any_most || has_opposites(f, args) || fold_has_both(f, args)) {
        return FOLD_MOST;
    }
    return all_false ? (any_null ? FOLD_NULL : FOLD_FALSE) : FOLD_SOME;
}

static folded fold_not(folded value)
{
    switch (value) {
    case FOLD_TRUE:
        return FOLD_FALSE;
    case FOLD_FALSE:
        return FOLD_TRUE;
    case FOLD_SOME:
    case FOLD_MOST:
        return FOLD_SOME;
    case FOLD_NULL:
        break;
    }
    return FOLD_NULL;
}

static folded fold_and(folding *f, const List *args)
{
    bool any_some = false;
    bool any_most = false;
    bool any_null = false;
    for (int i = 0; i < list_length(args); i++) {
        const Node *arm = (const Node *)list_nth(args, i);
        folded value = fold(f, arm);
        if (value == FOLD_FALSE) {
            return FOLD_FALSE;
        }
        /* an arm that does not look at the target holds for all of its rows or for none */
        any_some |= value == FOLD_SOME && fold_looks_at_target(f, arm);
        any_most |= value == FOLD_MOST || value == FOLD_SOME;
        any_null |= value == FOLD_NULL;
    }
    if (any_some || (any_most && any_null)) {
        return FOLD_SOME;
    }
    return any_most ? FOLD_MOST : any_null ? FOLD_NULL : FOLD_TRUE;
}

/* A test for NULL is turned round itself: what is taken for true of all rows says nothing then. */
static folded fold_negated(folding *f, const Node *node)
{
    if (nodeTag(node) == T_NullTest) {
        const NullTest *test = AS(NullTest, node);
        return fold_null(f, (const Node *)test->arg, test->nulltesttype == IS_NOT_NULL);
    }
    if (nodeTag(node) == T_A_Expr && AS(A_Expr, node)->kind == AEXPR_NOT_DISTINCT &&
        (fold_is_null(AS(A_Expr, node)->lexpr) || fold_is_null(AS(A_Expr, node)->rexpr))) {
        return fold_distinct(f, AS(A_Expr, node), false);
    }
    return fold_not(fold(f, node));
}

static folded fold_logic(folding *f, const BoolExpr *logic)
{
    switch (logic->boolop) {
    case OR_EXPR:
        return fold_or(f, logic->args);
    case NOT_EXPR:
        return fold_negated(f, (const Node *)linitial(logic->args));
    case AND_EXPR:
        break;
    }
    return fold_and(f, logic->args);
}

static folded fold_truth_test(folding *f, const BooleanTest *test)
{
    folded inner = fold(f, (const Node *)test->arg);
    bool is_known = inner == FOLD_TRUE || inner == FOLD_FALSE;
    switch (test->booltesttype) {
    case IS_TRUE:
        return inner == FOLD_NULL ? FOLD_FALSE : inner;
    case IS_NOT_FALSE:
        return inner == FOLD_NULL ? FOLD_TRUE : inner;
    case IS_FALSE:
        return inner == FOLD_NULL ? FOLD_FALSE : fold_not(inner);
    case IS_NOT_TRUE:
        return inner == FOLD_NULL ? FOLD_TRUE : fold_not(inner);
    case IS_UNKNOWN:
        return is_known ? FOLD_FALSE : fold_null(f, (const Node *)test->arg, true);
    case IS_NOT_UNKNOWN:
        return is_known             ? FOLD_TRUE
               : inner == FOLD_MOST ? FOLD_MOST
                                    : fold_null(f, (const Node *)test->arg, false);
    }
    return FOLD_SOME;
}

/* "id IN (SELECT id FROM the same table)", "EXISTS (SELECT ... of the same row)" */
static folded fold_sublink(folding *f, const SubLink *link)
{
    if (link->subselect == NULL || nodeTag(link->subselect) != T_SelectStmt) {
        return FOLD_SOME;
    }
    const SelectStmt *select = AS(SelectStmt, link->subselect);
    bool is_membership = link->subLinkType == ANY_SUBLINK &&
                         (link->operName == NIL || is_equality(names_last(link->operName)));
    if (is_membership || link->subLinkType == EXISTS_SUBLINK) {
        if (select->op == SETOP_NONE && select->fromClause == NIL && select->whereClause == NULL &&
            link->subLinkType == EXISTS_SUBLINK) {
            return FOLD_MOST; /* but for LIMIT 0 */
        }
        row_source source = fold_source(f, select);
        return source.is_whole && fold_is_target(f, &source) ? FOLD_MOST : FOLD_SOME;
    }
    return FOLD_SOME;
}

/* Of the first that is not NULL. */
static folded fold_coalesce(folding *f, const CoalesceExpr *expr)
{
    for (int i = 0; i < list_length(expr->args); i++) {
        const Node *arg = (const Node *)list_nth(expr->args, i);
        folded value = fold(f, arg);
        if (value == FOLD_FALSE && fold_has_names(f, arg)) {
            return FOLD_SOME; /* where it is NULL, the next one counts */
        }
        if (value != FOLD_NULL) {
            return value;
        }
    }
    return FOLD_NULL;
}

static folded fold_case(folding *f, const CaseExpr *expr)
{
    folded result = expr->defresult == NULL ? FOLD_NULL : fold(f, (const Node *)expr->defresult);
    for (int i = list_length(expr->args); i-- > 0;) {
        const CaseWhen *when = AS(CaseWhen, list_nth(expr->args, i));
        folded arm = fold(f, (const Node *)when->result);
        folded asked = expr->arg == NULL ? fold(f, (const Node *)when->expr) : FOLD_SOME;
        if (asked == FOLD_TRUE) {
            result = arm;
        } else if (asked == FOLD_MOST && (arm == FOLD_TRUE || arm == FOLD_MOST)) {
            result = FOLD_MOST;
        } else if (asked != FOLD_FALSE && asked != FOLD_NULL && arm != result) {
            result = FOLD_SOME;
        }
    }
    return result;
}

/* What is cast to boolean is what it was; what becomes of it as another type is not reckoned. */
static folded fold_cast(folding *f, const TypeCast *cast)
{
    if (fold_is_null((const Node *)cast)) {
        return FOLD_NULL;
    }
    const TypeName *type = cast->typeName;
    bool is_bool = sp_span_eq(names_last(type->names), SP_SPAN_LIT("bool")) &&
                   type->arrayBounds == NIL && list_length(type->names) <= 2 &&
                   (list_length(type->names) == 1 ||
                    sp_span_eq(names_before(type->names), SP_SPAN_LIT("pg_catalog")));
    return is_bool ? fold(f, cast->arg) : FOLD_SOME;
}

folded fold(folding *f, const Node *node)
{
    if (node == NULL || f->depth >= FOLD_DEPTH_MAX || f->work++ > FOLD_WORK_MAX) {
        return FOLD_SOME;
    }
    f->depth++;
    folded result = FOLD_SOME;
    switch ((int)nodeTag(node)) {
    case T_A_Const:
        result = fold_literal(AS(A_Const, node));
        break;
    case T_TypeCast:
        result = fold_cast(f, AS(TypeCast, node));
        break;
    case T_BoolExpr:
        result = fold_logic(f, AS(BoolExpr, node));
        break;
    case T_A_Expr:
        result = fold_expression(f, AS(A_Expr, node));
        break;
    case T_NullTest:
        result = fold_null(f, (const Node *)AS(NullTest, node)->arg,
                           AS(NullTest, node)->nulltesttype == IS_NULL);
        break;
    case T_BooleanTest:
        result = fold_truth_test(f, AS(BooleanTest, node));
        break;
    case T_SubLink:
        result = fold_sublink(f, AS(SubLink, node));
        break;
    case T_CaseExpr:
        result = fold_case(f, AS(CaseExpr, node));
        break;
    case T_CoalesceExpr:
        result = fold_coalesce(f, AS(CoalesceExpr, node));
        break;
    default:
        break;
    }
    f->depth--;
    return result;
}

folding fold_begin(const walker *w, const from_frame *frame)
{
    unsigned left = SP_SQL_FOLDS_MAX - w->room->folds;
    unsigned begun = left < FOLD_WORK_MAX ? FOLD_WORK_MAX - left : 0;
    return (folding){.w = w, .frame = frame, .work = begun, .begun = begun};
}

bool fold_end(const folding *f)
{
    uint32_t folds = f->w->room->folds + (f->work - f->begun);
    f->w->room->folds = folds < SP_SQL_FOLDS_MAX ? folds : SP_SQL_FOLDS_MAX;
    return f->work <= FOLD_WORK_MAX;
}

static condition_reach reach_of(folding *f, const Node *condition)
{
    folded value = fold(f, condition);
    if (f->work > FOLD_WORK_MAX || value == FOLD_TRUE || value == FOLD_MOST) {
        return REACHES_ALL;
    }
    if (value != FOLD_SOME) {
        return REACHES_NAMED; /* no row */
    }
    /* what never looks at the target cannot spare some of its rows */
    if (!fold_looks_at_target(f, condition) || !fold_has_names(f, condition)) {
        return REACHES_ALL;
    }
    return fold_names_rows(f, condition) ? REACHES_NAMED : REACHES_BROAD;
}

condition_reach condition_reaches(const walker *w, const RangeVar *target, const List *others,
                                  const Node *condition)
{
    if (condition == NULL) {
        return REACHES_ALL;
    }
    if (nodeTag(condition) == T_CurrentOfExpr) {
        return REACHES_NAMED;
    }
    from_frame frame = {.target = target, .items = others};
    folding f = fold_begin(w, &frame);
    condition_reach reach = reach_of(&f, condition);
    return fold_end(&f) ? reach : REACHES_ALL;
}

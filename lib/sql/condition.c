/* SPDX-License-Identifier: Apache-2.0
 * Whether a condition spares any row: folding of what is always true, in the disguises in which
 * people write it. The answer errs towards "all": a condition that never looks at the target spares
 * nothing, and one that is true of every row that the table may hold is no condition. OWNS nothing.
 * PROCESS database gate. TRUST the tree was made from hostile text; recursion is bounded. SPEC
 * docs/ARCHITECTURE.md "Database gate"; SQL three-valued logic.
 */
#include "lib/sql/folding.h"

#include "lib/base/mem.h"

/* ---- constants ---- */

static const Node *without_casts(const Node *node)
{
    while (node != NULL && (nodeTag(node) == T_TypeCast || nodeTag(node) == T_CollateClause)) {
        node = nodeTag(node) == T_TypeCast ? AS(TypeCast, node)->arg : AS(CollateClause, node)->arg;
    }
    return node;
}

/* A number that is written out, with its sign. */
static bool is_number(const Node *node, double *ret_value)
{
    node = without_casts(node);
    if (node == NULL) {
        return false;
    }
    if (nodeTag(node) == T_A_Expr) {
        const A_Expr *expr = AS(A_Expr, node);
        double inner = 0;
        if (expr->lexpr == NULL && sp_span_eq(names_last(expr->name), SP_SPAN_LIT("-")) &&
            expr->rexpr != NULL && nodeTag(expr->rexpr) == T_A_Const &&
            is_number(expr->rexpr, &inner)) {
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

static folded fold_constant(const A_Const *constant)
{
    if (constant->isnull) {
        return FOLD_NULL;
    }
    if (nodeTag(&constant->val.node) == T_Boolean) {
        return constant->val.boolval.boolval ? FOLD_TRUE : FOLD_FALSE;
    }
    if (nodeTag(&constant->val.node) == T_String) {
        sp_span text = sp_span_trim(text_of(constant->val.sval.sval));
        static const char *const truths[] = {"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"};
        for (size_t i = 0; i < SP_COUNT(truths); i++) {
            if (sp_span_eq_nocase(text, text_of(truths[i]))) {
                return FOLD_TRUE;
            }
        }
        return FOLD_FALSE;
    }
    if (nodeTag(&constant->val.node) == T_Integer) {
        return constant->val.ival.ival != 0 ? FOLD_TRUE : FOLD_FALSE;
    }
    return FOLD_SOME;
}

static bool is_not_null(folding *f, const Node *node)
{
    node = without_casts(node);
    if (node == NULL || nodeTag(node) != T_ColumnRef) {
        return false;
    }
    const ColumnRef *column = AS(ColumnRef, node);
    const sp_sql_relation *target = fold_target(f);
    sp_span name = names_last(column->fields);
    if (name.len == 0 || target == NULL || fold_is_target_alias(f, name)) {
        return true; /* a row, or a table that is not known */
    }
    found_relation found = walk_resolve(f->w, fold_target_name(f), true);
    uint32_t at = sp_sql_catalogue_find_column(f->w->context->catalogue, found.relation, name);
    return at == SP_NONE || sp_sql_catalogue_column_at(f->w->context->catalogue, at)->not_null;
}

/* ---- operators ---- */

static folded from_bool(bool value)
{
    return value ? FOLD_TRUE : FOLD_FALSE;
}

static folded compare_numbers(sp_span op, double a, double b)
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

/* "id > 0", "id >= 1", "n >= -1", "id < 2147483647": true of every key that a table holds in
 * practice. */
static bool spares_nothing(sp_span op, double bound)
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
    value = without_casts(value);
    return column != NULL && nodeTag(column) == T_ColumnRef && value != NULL &&
           nodeTag(value) == T_CoalesceExpr && is_among(f, column, AS(CoalesceExpr, value)->args);
}

static bool is_null(const Node *node)
{
    node = without_casts(node);
    return node != NULL && nodeTag(node) == T_A_Const && AS(A_Const, node)->isnull;
}

static bool is_no_constant(const Node *node)
{
    node = without_casts(node);
    return node != NULL && nodeTag(node) != T_A_Const;
}

/* Operators of which the server's own are NULL beside a NULL. */
static bool is_comparison(sp_span op)
{
    return is_equality(op) || sp_span_eq(op, SP_SPAN_LIT("<>")) ||
           sp_span_eq(op, SP_SPAN_LIT("<")) || sp_span_eq(op, SP_SPAN_LIT(">"));
}

static folded fold_operator(folding *f, const A_Expr *expr)
{
    sp_span op = names_last(expr->name);
    if (is_comparison(op) && (is_null(expr->lexpr) || is_null(expr->rexpr))) {
        return FOLD_NULL;
    }
    double left = 0;
    double right = 0;
    bool left_number = is_number(expr->lexpr, &left);
    bool right_number = is_number(expr->rexpr, &right);
    if (left_number && right_number) {
        return compare_numbers(op, left, right);
    }
    if (fold_is_twice(f, expr->lexpr, expr->rexpr)) {
        if (is_equality(op)) {
            return FOLD_TRUE;
        }
        return sp_span_eq(op, SP_SPAN_LIT("<>")) ? FOLD_FALSE : FOLD_SOME;
    }
    if (is_equality(op) &&
        (is_optional(f, expr->lexpr, expr->rexpr) || is_optional(f, expr->rexpr, expr->lexpr))) {
        return FOLD_TRUE;
    }
    if ((right_number && is_no_constant(expr->lexpr) && spares_nothing(op, right)) ||
        (left_number && is_no_constant(expr->rexpr) && spares_nothing(mirrored(op), left))) {
        return FOLD_TRUE;
    }
    sp_span text = literal_of(expr->rexpr);
    if (text.ptr != NULL && text.len == 0 &&
        (sp_span_eq(op, SP_SPAN_LIT(">=")) || sp_span_eq(op, SP_SPAN_LIT(">")))) {
        return FOLD_TRUE; /* every text is at or behind the empty one */
    }
    return op.len > 0 && op.ptr[0] == '~' && is_empty_pattern(op, text) ? FOLD_TRUE : FOLD_SOME;
}

static folded fold_like(folding *f, const A_Expr *expr)
{
    sp_span op = names_last(expr->name);
    bool is_not = op.len > 0 && op.ptr[0] == '!';
    if (fold_is_twice(f, expr->lexpr, expr->rexpr) ||
        is_empty_pattern(SP_SPAN_LIT("~~"), literal_of(expr->rexpr))) {
        return is_not ? FOLD_FALSE : FOLD_TRUE;
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
    return is_empty_pattern(SP_SPAN_LIT("~~"), literal_of(pattern)) ? FOLD_TRUE : FOLD_SOME;
}

/* "id IS DISTINCT FROM NULL" */
static folded fold_distinct(folding *f, const A_Expr *expr)
{
    return is_null(expr->rexpr) && is_not_null(f, expr->lexpr) ? FOLD_TRUE : FOLD_SOME;
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
    bool by_number = is_number((const Node *)linitial(bounds), &low) &&
                     is_number((const Node *)lsecond(bounds), &high) && low <= 1 && high >= 1e9;
    return by_self || by_number ? FOLD_TRUE : FOLD_SOME;
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
    const Node *array = without_casts(expr->rexpr);
    return array != NULL && nodeTag(array) == T_A_ArrayExpr &&
                   is_equality(names_last(expr->name)) &&
                   is_among(f, expr->lexpr, AS(A_ArrayExpr, array)->elements)
               ? FOLD_TRUE
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
        return fold_is_twice(f, expr->lexpr, expr->rexpr) ? FOLD_TRUE : FOLD_SOME;
    case AEXPR_DISTINCT:
        return fold_distinct(f, expr);
    case AEXPR_BETWEEN:
    case AEXPR_BETWEEN_SYM:
        return fold_between(f, expr);
    case AEXPR_IN:
        if (!is_among(f, expr->lexpr, AS(List, expr->rexpr))) {
            return FOLD_SOME;
        }
        return from_bool(!sp_span_eq(names_last(expr->name), SP_SPAN_LIT("<>")));
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

/* "a = 1 OR a <> 1", "x IS NULL OR x IS NOT NULL", "p OR NOT p" */
static bool is_opposite(folding *f, const Node *a, const Node *b)
{
    if (nodeTag(a) == T_NullTest && nodeTag(b) == T_NullTest) {
        return AS(NullTest, a)->nulltesttype != AS(NullTest, b)->nulltesttype &&
               fold_is_twice(f, (const Node *)AS(NullTest, a)->arg,
                             (const Node *)AS(NullTest, b)->arg);
    }
    for (int turn = 0; turn < 2; turn++) {
        if (nodeTag(b) == T_BoolExpr && AS(BoolExpr, b)->boolop == NOT_EXPR &&
            fold_is_twice(f, a, (const Node *)linitial(AS(BoolExpr, b)->args))) {
            return true;
        }
        const Node *swap = a;
        a = b;
        b = swap;
    }
    if (nodeTag(a) != T_A_Expr || nodeTag(b) != T_A_Expr) {
        return false;
    }
    static const char *const pairs[][2] = {{"=", "<>"}, {"<", ">="}, {">", "<="},  {"~~", "!~~"},
                                           {"<=", ">"}, {">=", "<"}, {"<>", "="},  {"!~~", "~~"},
                                           {"<", ">"},  {">", "<"},  {"<=", ">="}, {">=", "<="}};
    const A_Expr *left = AS(A_Expr, a);
    const A_Expr *right = AS(A_Expr, b);
    for (size_t i = 0; i < SP_COUNT(pairs); i++) {
        if (sp_span_eq(names_last(left->name), text_of(pairs[i][0])) &&
            sp_span_eq(names_last(right->name), text_of(pairs[i][1]))) {
            return fold_is_twice(f, left->lexpr, right->lexpr) &&
                   fold_is_twice(f, left->rexpr, right->rexpr);
        }
    }
    return false;
}

static folded fold_or(folding *f, const List *args)
{
    bool all_false = true;
    bool any_null = false;
    for (int i = 0; i < list_length(args); i++) {
        const Node *node = (const Node *)list_nth(args, i);
        folded arm = fold(f, node);
        /* an arm that does not look at the target may hold for all of its rows: "OR $1" */
        if (arm == FOLD_TRUE || (arm == FOLD_SOME && !fold_looks_at_target(f, node))) {
            return FOLD_TRUE;
        }
        all_false &= arm == FOLD_FALSE || arm == FOLD_NULL;
        any_null |= arm == FOLD_NULL;
    }
    int count = list_length(args) < 16 ? list_length(args) : 16;
    for (int i = 0; i < count; i++) {
        for (int j = i + 1; j < count; j++) {
            if (is_opposite(f, (const Node *)list_nth(args, i), (const Node *)list_nth(args, j))) {
                return FOLD_TRUE;
            }
        }
    }
    return all_false ? (any_null ? FOLD_NULL : FOLD_FALSE) : FOLD_SOME;
}

static folded fold_logic(folding *f, const BoolExpr *logic)
{
    if (logic->boolop == OR_EXPR) {
        return fold_or(f, logic->args);
    }
    if (logic->boolop == NOT_EXPR) {
        folded inner = fold(f, (const Node *)linitial(logic->args));
        if (inner == FOLD_SOME || inner == FOLD_NULL) {
            return inner;
        }
        return inner == FOLD_TRUE ? FOLD_FALSE : FOLD_TRUE;
    }
    bool all_true = true;
    bool any_null = false;
    for (int i = 0; i < list_length(logic->args); i++) {
        const Node *arm = (const Node *)list_nth(logic->args, i);
        folded value = fold(f, arm);
        if (value == FOLD_FALSE) {
            return FOLD_FALSE;
        }
        /* an arm that does not look at the target holds for all of its rows or for none */
        all_true &= value != FOLD_SOME || !fold_looks_at_target(f, arm);
        any_null |= value == FOLD_NULL;
    }
    return all_true ? (any_null ? FOLD_NULL : FOLD_TRUE) : FOLD_SOME;
}

static folded fold_null_test(folding *f, const NullTest *test)
{
    const Node *arg = without_casts((const Node *)test->arg);
    bool never_null = false;
    if (arg != NULL && nodeTag(arg) == T_A_Const) {
        never_null = !AS(A_Const, arg)->isnull;
        if (!never_null) {
            return from_bool(test->nulltesttype == IS_NULL);
        }
    } else {
        never_null = is_not_null(f, arg);
        if (!never_null && fold(f, arg) == FOLD_NULL) {
            return from_bool(test->nulltesttype == IS_NULL);
        }
    }
    if (!never_null) {
        return FOLD_SOME;
    }
    return from_bool(test->nulltesttype == IS_NOT_NULL);
}

static folded fold_truth_test(folding *f, const BooleanTest *test)
{
    folded inner = fold(f, (const Node *)test->arg);
    if (inner == FOLD_SOME) {
        return FOLD_SOME;
    }
    if (inner == FOLD_NULL) {
        return from_bool(test->booltesttype == IS_NOT_TRUE || test->booltesttype == IS_NOT_FALSE ||
                         test->booltesttype == IS_UNKNOWN);
    }
    switch (test->booltesttype) {
    case IS_TRUE:
    case IS_NOT_FALSE:
        return inner;
    case IS_FALSE:
    case IS_NOT_TRUE:
        return inner == FOLD_TRUE ? FOLD_FALSE : FOLD_TRUE;
    case IS_UNKNOWN:
        return FOLD_SOME; /* where what it is about is NULL */
    case IS_NOT_UNKNOWN:
        return FOLD_TRUE;
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
            return FOLD_TRUE;
        }
        row_source source = fold_source(f, select);
        return source.is_whole && fold_is_target(f, &source) ? FOLD_TRUE : FOLD_SOME;
    }
    return FOLD_SOME;
}

static folded null_is_false(folded value)
{
    return value == FOLD_NULL ? FOLD_FALSE : value;
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
    folded result = FOLD_SOME;
    for (int i = 0; i < list_length(expr->args); i++) {
        const CaseWhen *when = AS(CaseWhen, list_nth(expr->args, i));
        folded arm = null_is_false(fold(f, (const Node *)when->result));
        if (expr->arg == NULL && fold(f, (const Node *)when->expr) == FOLD_TRUE) {
            return i == 0 || arm == result ? arm : FOLD_SOME;
        }
        if (arm == FOLD_SOME || (i > 0 && arm != result)) {
            return FOLD_SOME;
        }
        result = arm;
    }
    folded rest = expr->defresult == NULL ? FOLD_FALSE
                                          : null_is_false(fold(f, (const Node *)expr->defresult));
    return rest == result ? result : FOLD_SOME;
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
        result = fold_constant(AS(A_Const, node));
        break;
    case T_TypeCast:
        result = fold(f, AS(TypeCast, node)->arg);
        break;
    case T_BoolExpr:
        result = fold_logic(f, AS(BoolExpr, node));
        break;
    case T_A_Expr:
        result = fold_expression(f, AS(A_Expr, node));
        break;
    case T_NullTest:
        result = fold_null_test(f, AS(NullTest, node));
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
    folding f = {.w = w, .frame = &frame};
    folded value = fold(&f, condition);
    if (f.work > FOLD_WORK_MAX || value == FOLD_TRUE) {
        return REACHES_ALL;
    }
    if (value != FOLD_SOME) {
        return REACHES_NAMED; /* no row */
    }
    /* what never looks at the target cannot spare some of its rows */
    if (!fold_looks_at_target(&f, condition) || !fold_has_names(&f, condition)) {
        return REACHES_ALL;
    }
    return fold_names_rows(&f, condition) ? REACHES_NAMED : REACHES_BROAD;
}

condition_reach insert_reaches(const walker *w, const RangeVar *target, const Node *query)
{
    if (query == NULL || nodeTag(query) != T_SelectStmt ||
        AS(SelectStmt, query)->valuesLists != NIL) {
        return REACHES_NAMED; /* as many as are written out */
    }
    from_frame frame = {.target = target};
    folding f = {.w = w, .frame = &frame};
    row_source source = fold_source(&f, AS(SelectStmt, query));
    bool is_all = f.work > FOLD_WORK_MAX || (source.is_whole && fold_is_target(&f, &source));
    return is_all ? REACHES_ALL : REACHES_BROAD;
}

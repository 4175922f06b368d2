/* SPDX-License-Identifier: Apache-2.0
 * Whether a condition spares any row: folding of what is always true, in the disguises in which
 * people write it. The answer errs towards "all": a condition that never looks at the target spares
 * nothing, and one that is true of every row that the table may hold is no condition. OWNS nothing.
 * PROCESS database gate. TRUST the tree was made from hostile text; recursion is bounded. SPEC
 * docs/ARCHITECTURE.md "Database gate"; SQL three-valued logic.
 */
#include "lib/base/mem.h"
#include "lib/sql/walk.h"

enum { FOLD_DEPTH_MAX = 200, FOLD_WORK_MAX = 200000 };

typedef enum {
    FOLD_SOME,  /* depends on the row, or is not understood */
    FOLD_TRUE,  /* of every row */
    FOLD_FALSE, /* of no row, NULL included */
} folded;

/* The FROM items that names may belong to, innermost first. */
typedef struct from_frame {
    const RangeVar *target; /* NULL in a subquery */
    const List *items;
    const struct from_frame *up;
} from_frame;

typedef struct {
    const walker *w;
    const from_frame *frame;
    unsigned depth;
    unsigned work; /* nodes looked at; beyond FOLD_WORK_MAX the condition counts for nothing */
} folding;

static folded fold(folding *f, const Node *node);

/* ---- where rows come from ---- */

typedef struct {
    sp_span name; /* of the relation; empty = not one relation */
    sp_span schema;
    bool is_whole; /* every row of it */
} row_source;

static row_source source_of_select(folding *f, const SelectStmt *select);

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
        row_source source = source_of_select(f, AS(SelectStmt, query->ctequery));
        f->depth -= 8;
        return source;
    }
    return (row_source){text_of(range->relname), text_of(range->schemaname), true};
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
            row_source source = source_of_select(f, AS(SelectStmt, query));
            f->depth -= 8;
            return source;
        }
    }
    return (row_source){.is_whole = false};
}

/* One relation, all of it: a SELECT without a condition, or with one that is none. */
static row_source source_of_select(folding *f, const SelectStmt *select)
{
    if (select->op != SETOP_NONE || list_length(select->fromClause) != 1) {
        return (row_source){.is_whole = false};
    }
    row_source source = source_of_item(f, (const Node *)linitial(select->fromClause));
    if (source.name.len > 0 && select->whereClause != NULL) {
        from_frame frame = {.items = select->fromClause, .up = f->frame};
        const from_frame *outer = f->frame;
        f->frame = &frame;
        source.is_whole &= fold(f, select->whereClause) == FOLD_TRUE;
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

static bool is_target_source(const folding *f, const row_source *source)
{
    const RangeVar *target = outermost(f)->target;
    return source->name.len > 0 &&
           is_same_relation(source->schema, source->name, text_of(target->schemaname),
                            text_of(target->relname));
}

/* ---- names ---- */

static sp_span alias_of(const Node *item)
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
    return sp_span_eq(alias_of(item), alias) ? item : NULL;
}

static bool is_target_alias(const from_frame *frame, sp_span alias)
{
    return frame->target != NULL && sp_span_eq(alias_of((const Node *)frame->target), alias);
}

/* The relation that a qualified name belongs to. */
static row_source source_of_alias(folding *f, sp_span alias)
{
    for (const from_frame *frame = f->frame; frame != NULL; frame = frame->up) {
        if (is_target_alias(frame, alias)) {
            return (row_source){text_of(frame->target->relname), text_of(frame->target->schemaname),
                                true};
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

static const sp_sql_relation *target_relation(const folding *f)
{
    found_relation found = walk_resolve(f->w, outermost(f)->target, true);
    return found.kind == FOUND_KNOWN ? sp_sql_catalogue_at(f->w->context->catalogue, found.relation)
                                     : NULL;
}

static bool is_target_column(const folding *f, sp_span name)
{
    static const char *const hidden[] = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"};
    for (size_t i = 0; i < SP_COUNT(hidden); i++) {
        if (sp_span_eq(name, text_of(hidden[i]))) {
            return true;
        }
    }
    const sp_sql_relation *target = target_relation(f);
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
    if (count == 1) {
        sp_span name = string_of(last);
        return nodeTag(last) == T_A_Star || is_target_column(f, name) ||
               is_target_alias(outermost(f), name);
    }
    sp_span qualifier = string_of((const Node *)list_nth(column->fields, count - 2));
    if (is_target_alias(outermost(f), qualifier)) {
        return true;
    }
    /* "column.field" of a row type */
    return count == 2 && source_of_alias(f, qualifier).name.len == 0 &&
           is_target_column(f, qualifier);
}

typedef struct {
    folding *f;
    bool found;
    bool found_any; /* a name at all */
} name_search;

static void search_names(name_search *search, const Node *node, unsigned depth)
{
    if (node == NULL || search->found || depth > SP_SQL_DEPTH_MAX ||
        search->f->work++ > FOLD_WORK_MAX) {
        return;
    }
    NodeTag tag = nodeTag(node);
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

static bool looks_at_target(folding *f, const Node *node)
{
    name_search search = {.f = f};
    search_names(&search, node, 0);
    return search.found;
}

static bool has_names(folding *f, const Node *node)
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

static bool is_twice(folding *f, const Node *a, const Node *b)
{
    return is_same(f, a, b, 0);
}

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
        return FOLD_FALSE;
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
    const sp_sql_relation *target = target_relation(f);
    sp_span name = names_last(column->fields);
    if (name.len == 0 || target == NULL || is_target_alias(outermost(f), name)) {
        return true; /* a row, or a table that is not known */
    }
    found_relation found = walk_resolve(f->w, outermost(f)->target, true);
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

/* "id > 0", "n >= -1", "id < 2147483647": true of every key that a table holds in practice. */
static bool spares_nothing(sp_span op, double bound)
{
    if (sp_span_eq(op, SP_SPAN_LIT(">")) || sp_span_eq(op, SP_SPAN_LIT(">="))) {
        return bound <= 0;
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

static folded fold_operator(folding *f, const A_Expr *expr)
{
    sp_span op = names_last(expr->name);
    double left = 0;
    double right = 0;
    bool left_number = is_number(expr->lexpr, &left);
    bool right_number = is_number(expr->rexpr, &right);
    if (left_number && right_number) {
        return compare_numbers(op, left, right);
    }
    if (is_twice(f, expr->lexpr, expr->rexpr)) {
        if (is_equality(op)) {
            return FOLD_TRUE;
        }
        return sp_span_eq(op, SP_SPAN_LIT("<>")) ? FOLD_FALSE : FOLD_SOME;
    }
    const Node *left_column = without_casts(expr->lexpr);
    const Node *right_column = without_casts(expr->rexpr);
    if (right_number && left_column != NULL && nodeTag(left_column) != T_A_Const &&
        spares_nothing(op, right)) {
        return FOLD_TRUE;
    }
    if (left_number && right_column != NULL && nodeTag(right_column) != T_A_Const &&
        spares_nothing(mirrored(op), left)) {
        return FOLD_TRUE;
    }
    sp_span text = literal_of(expr->rexpr);
    if (text.ptr != NULL && text.len == 0 &&
        (sp_span_eq(op, SP_SPAN_LIT(">=")) || sp_span_eq(op, SP_SPAN_LIT(">")))) {
        return FOLD_TRUE; /* every text is at or behind the empty one */
    }
    return op.len > 0 && op.ptr[0] == '~' && is_empty_pattern(op, text) ? FOLD_TRUE : FOLD_SOME;
}

static folded fold_expression(folding *f, const A_Expr *expr)
{
    switch (expr->kind) {
    case AEXPR_OP:
        return fold_operator(f, expr);
    case AEXPR_LIKE:
    case AEXPR_ILIKE: {
        sp_span op = names_last(expr->name);
        bool is_not = op.len > 0 && op.ptr[0] == '!';
        if (is_twice(f, expr->lexpr, expr->rexpr) ||
            is_empty_pattern(SP_SPAN_LIT("~~"), literal_of(expr->rexpr))) {
            return is_not ? FOLD_FALSE : FOLD_TRUE;
        }
        return FOLD_SOME;
    }
    case AEXPR_SIMILAR: {
        /* the pattern is an argument of similar_to_escape() */
        const Node *pattern = expr->rexpr;
        if (pattern != NULL && nodeTag(pattern) == T_FuncCall &&
            AS(FuncCall, pattern)->args != NIL) {
            pattern = (const Node *)linitial(AS(FuncCall, pattern)->args);
        }
        return is_empty_pattern(SP_SPAN_LIT("~~"), literal_of(pattern)) ? FOLD_TRUE : FOLD_SOME;
    }
    case AEXPR_NOT_DISTINCT:
        return is_twice(f, expr->lexpr, expr->rexpr) ? FOLD_TRUE : FOLD_SOME;
    case AEXPR_DISTINCT: {
        /* "id IS DISTINCT FROM NULL" */
        const Node *right = without_casts(expr->rexpr);
        bool from_null = right != NULL && nodeTag(right) == T_A_Const && AS(A_Const, right)->isnull;
        return from_null && is_not_null(f, expr->lexpr) ? FOLD_TRUE : FOLD_SOME;
    }
    case AEXPR_BETWEEN:
    case AEXPR_BETWEEN_SYM: {
        const List *bounds = AS(List, expr->rexpr);
        double low = 0;
        double high = 0;
        if (list_length(bounds) != 2) {
            return FOLD_SOME;
        }
        bool by_self = is_twice(f, expr->lexpr, (const Node *)linitial(bounds)) &&
                       is_twice(f, expr->lexpr, (const Node *)lsecond(bounds));
        bool by_number = is_number((const Node *)linitial(bounds), &low) &&
                         is_number((const Node *)lsecond(bounds), &high) && low <= 1 && high >= 1e9;
        return by_self || by_number ? FOLD_TRUE : FOLD_SOME;
    }
    case AEXPR_IN: {
        const List *items = AS(List, expr->rexpr);
        bool is_not = sp_span_eq(names_last(expr->name), SP_SPAN_LIT("<>"));
        for (int i = 0; i < list_length(items); i++) {
            if (is_twice(f, expr->lexpr, (const Node *)list_nth(items, i))) {
                return is_not ? FOLD_FALSE : FOLD_TRUE;
            }
        }
        return FOLD_SOME;
    }
    case AEXPR_OP_ANY:
    case AEXPR_OP_ALL: {
        const Node *array = without_casts(expr->rexpr);
        if (array == NULL || nodeTag(array) != T_A_ArrayExpr) {
            return FOLD_SOME;
        }
        const List *items = AS(A_ArrayExpr, array)->elements;
        for (int i = 0; i < list_length(items); i++) {
            if (is_equality(names_last(expr->name)) &&
                is_twice(f, expr->lexpr, (const Node *)list_nth(items, i))) {
                return expr->kind == AEXPR_OP_ANY ? FOLD_TRUE : FOLD_SOME;
            }
        }
        return FOLD_SOME;
    }
    case AEXPR_NULLIF:
    case AEXPR_NOT_BETWEEN:
    case AEXPR_NOT_BETWEEN_SYM:
        return FOLD_SOME;
    }
    return FOLD_SOME;
}

/* ---- logic ---- */

/* "a = 1 OR a <> 1", "x IS NULL OR x IS NOT NULL", "p OR NOT p" */
static bool is_opposite(folding *f, const Node *a, const Node *b)
{
    if (nodeTag(a) == T_NullTest && nodeTag(b) == T_NullTest) {
        return AS(NullTest, a)->nulltesttype != AS(NullTest, b)->nulltesttype &&
               is_twice(f, (const Node *)AS(NullTest, a)->arg, (const Node *)AS(NullTest, b)->arg);
    }
    for (int turn = 0; turn < 2; turn++) {
        if (nodeTag(b) == T_BoolExpr && AS(BoolExpr, b)->boolop == NOT_EXPR &&
            is_twice(f, a, (const Node *)linitial(AS(BoolExpr, b)->args))) {
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
            return is_twice(f, left->lexpr, right->lexpr) && is_twice(f, left->rexpr, right->rexpr);
        }
    }
    return false;
}

static folded fold_or(folding *f, const List *args)
{
    bool all_false = true;
    for (int i = 0; i < list_length(args); i++) {
        folded arm = fold(f, (const Node *)list_nth(args, i));
        if (arm == FOLD_TRUE) {
            return FOLD_TRUE;
        }
        all_false &= arm == FOLD_FALSE;
    }
    int count = list_length(args) < 16 ? list_length(args) : 16;
    for (int i = 0; i < count; i++) {
        for (int j = i + 1; j < count; j++) {
            if (is_opposite(f, (const Node *)list_nth(args, i), (const Node *)list_nth(args, j))) {
                return FOLD_TRUE;
            }
        }
    }
    return all_false ? FOLD_FALSE : FOLD_SOME;
}

static folded fold_logic(folding *f, const BoolExpr *logic)
{
    if (logic->boolop == OR_EXPR) {
        return fold_or(f, logic->args);
    }
    if (logic->boolop == NOT_EXPR) {
        folded inner = fold(f, (const Node *)linitial(logic->args));
        if (inner == FOLD_SOME) {
            return FOLD_SOME;
        }
        return inner == FOLD_TRUE ? FOLD_FALSE : FOLD_TRUE;
    }
    bool all_true = true;
    for (int i = 0; i < list_length(logic->args); i++) {
        const Node *arm = (const Node *)list_nth(logic->args, i);
        folded value = fold(f, arm);
        if (value == FOLD_FALSE) {
            return FOLD_FALSE;
        }
        /* an arm that does not look at the target holds for all of its rows or for none */
        all_true &= value == FOLD_TRUE || !looks_at_target(f, arm);
    }
    return all_true ? FOLD_TRUE : FOLD_SOME;
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
    switch (test->booltesttype) {
    case IS_TRUE:
    case IS_NOT_FALSE:
        return inner;
    case IS_FALSE:
    case IS_NOT_TRUE:
        return inner == FOLD_TRUE ? FOLD_FALSE : FOLD_TRUE;
    case IS_UNKNOWN:
    case IS_NOT_UNKNOWN:
        return from_bool(test->booltesttype == IS_NOT_UNKNOWN);
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
        row_source source = source_of_select(f, select);
        return source.is_whole && is_target_source(f, &source) ? FOLD_TRUE : FOLD_SOME;
    }
    return FOLD_SOME;
}

static folded fold_case(folding *f, const CaseExpr *expr)
{
    folded result = FOLD_SOME;
    for (int i = 0; i < list_length(expr->args); i++) {
        const CaseWhen *when = AS(CaseWhen, list_nth(expr->args, i));
        folded arm = fold(f, (const Node *)when->result);
        if (expr->arg == NULL && fold(f, (const Node *)when->expr) == FOLD_TRUE) {
            return i == 0 || arm == result ? arm : FOLD_SOME;
        }
        if (arm == FOLD_SOME || (i > 0 && arm != result)) {
            return FOLD_SOME;
        }
        result = arm;
    }
    folded rest = expr->defresult == NULL ? FOLD_FALSE : fold(f, (const Node *)expr->defresult);
    return rest == result ? result : FOLD_SOME;
}

static folded fold(folding *f, const Node *node)
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
        result = fold(f, (const Node *)linitial(AS(CoalesceExpr, node)->args));
        break;
    default:
        break;
    }
    f->depth--;
    return result;
}

bool condition_is_all(const walker *w, const RangeVar *target, const List *others,
                      const Node *condition)
{
    if (condition == NULL) {
        return true;
    }
    if (nodeTag(condition) == T_CurrentOfExpr) {
        return false;
    }
    from_frame frame = {.target = target, .items = others};
    folding f = {.w = w, .frame = &frame};
    folded value = fold(&f, condition);
    if (f.work > FOLD_WORK_MAX) {
        return true;
    }
    if (value != FOLD_SOME) {
        return value == FOLD_TRUE;
    }
    /* what never looks at the target cannot spare some of its rows */
    return !looks_at_target(&f, condition) || !has_names(&f, condition);
}

/* SPDX-License-Identifier: Apache-2.0
 * The walk: queries and expressions. What has no handler of its own is walked by its shape; what
 * has no shape ends the walk. OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC
 * PostgreSQL 15 gram.y.
 */
#include "lib/sql/walk.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"

/* ---- the engine ---- */

void walk_list(walker *w, const List *list)
{
    for (int i = 0; i < list_length(list) && !walk_failed(w); i++) {
        walk(w, (const Node *)list_nth(list, i));
    }
}

void walk_other_children(walker *w, const Node *node, size_t but, size_t and_but)
{
    const node_shape *shape = shape_of(nodeTag(node));
    for (unsigned i = 0; i < shape->count && !walk_failed(w); i++) {
        if (shape->children[i] != but && shape->children[i] != and_but) {
            walk(w, shape_child(node, shape, i));
        }
    }
}

void walk_children(walker *w, const Node *node)
{
    walk_other_children(w, node, SIZE_MAX, SIZE_MAX);
}

/* ---- WITH ---- */

void walk_enter_with(walker *w, const WithClause *with, cte_scope *scope)
{
    if (with == NULL) {
        return;
    }
    *scope = (cte_scope){.ctes = with->ctes, .up = w->scope};
    scope->visible = with->recursive ? list_length(with->ctes) : 0;
    w->scope = scope;
    for (int i = 0; i < list_length(with->ctes) && !walk_failed(w); i++) {
        walk(w, (const Node *)list_nth(with->ctes, i));
        scope->visible = scope->visible > i ? scope->visible : i + 1;
    }
}

/* ---- queries ---- */

static void walk_select(walker *w, const Node *node)
{
    const SelectStmt *select = AS(SelectStmt, node);
    const cte_scope *outer = w->scope;
    const SelectStmt *outside = w->select;
    cte_scope scope;
    bool was_locking = w->is_locking;
    if (outside == NULL && into_of(select) != NULL && !w->is_plan_only) {
        forbid_standing_on_temporary(w, node);
    }
    walk_enter_with(w, select->withClause, &scope);
    row_scope rows = {.items = select->fromClause, .queries = w->scope, .up = w->rows};
    w->rows = &rows;
    w->select = select;
    w->is_locking |= select->lockingClause != NIL;
    rows.is_forming = true;
    walk_list(w, select->fromClause);
    rows.is_forming = false;
    w->is_locking = was_locking;
    if (select->intoClause != NULL && !w->is_plan_only) {
        const RangeVar *made = select->intoClause->rel;
        if (is_temporary_name(made)) {
            record_made_temporary(w, made);
        } else {
            record_made_relation(w, made, true);
            w->statement->flags |= SP_SQL_IS_DDL;
        }
    }
    /* lockingClause names FROM items, not relations */
    const node_shape *shape = shape_of(T_SelectStmt);
    for (unsigned i = 0; i < shape->count && !walk_failed(w); i++) {
        size_t at = shape->children[i];
        if (at != offsetof(SelectStmt, withClause) && at != offsetof(SelectStmt, fromClause) &&
            at != offsetof(SelectStmt, intoClause) && at != offsetof(SelectStmt, lockingClause)) {
            walk(w, shape_child(node, shape, i));
        }
    }
    w->select = outside;
    w->rows = rows.up;
    w->scope = outer;
}

/* It sees the items beside it only when it is LATERAL. */
static void walk_subquery(walker *w, const Node *node)
{
    const row_scope *rows = w->rows;
    if (!AS(RangeSubselect, node)->lateral && rows != NULL && rows->is_forming) {
        w->rows = rows->up;
    }
    walk_children(w, node);
    w->rows = rows;
}

static void walk_range(walker *w, const Node *node)
{
    const RangeVar *name = AS(RangeVar, node);
    record_relation(w, name, w->read_as, 0);
    if (w->is_locking) {
        record_relation(w, name, SP_ACTION_WRITE, 0);
    }
}

/* ---- expressions ---- */

/* "t.f" and "(e).f" call f when there is no such column; an f that is not known may be new. */
static void maybe_call(walker *w, sp_span name, column_sure sure)
{
    bool is_users =
        walk_is_made(w, name) ||
        (w->context->catalogue != NULL &&
         sp_sql_catalogue_find_function(w->context->catalogue, SP_SPAN_EMPTY, name) != NULL);
    if (sure != COLUMN_IS && (is_users || function_find(name) != FUNCTION_UNKNOWN)) {
        w->statement->flags |= SP_SQL_IS_ROW_CALL;
    }
    if (is_users || function_find(name) > FUNCTION_READ) {
        record_call(w, SP_SPAN_EMPTY, name);
        return;
    }
    if (sure == COLUMN_NOT) {
        record_object(w, SP_ACTION_EXECUTE, SP_SQL_FUNCTION, SP_SQL_USE_OPAQUE | SP_SQL_USE_UNSURE,
                      SP_SPAN_EMPTY, name);
        record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE, SP_SQL_USE_OPAQUE | SP_SQL_USE_UNSURE,
                      SP_SPAN_EMPTY, name);
    }
    if (sure != COLUMN_IS && w->context->catalogue != NULL) {
        w->statement->flags |= sure == COLUMN_OWN ? SP_SQL_IS_MAYBE_CALL : SP_SQL_IS_UNSURE;
    }
}

static void walk_column(walker *w, const Node *node)
{
    const ColumnRef *column = AS(ColumnRef, node);
    if (w->is_setting) {
        walk_fault(w, SP_SQL_FORBIDDEN, "set_config() of a column");
        return;
    }
    sp_span name = names_last(column->fields);
    if (list_length(column->fields) > 1 && name.len > 0) {
        maybe_call(
            w, name,
            walk_column_of(w, list_length(column->fields) > 2, names_before(column->fields), name));
    }
}

static void walk_indirection(walker *w, const Node *node)
{
    const A_Indirection *path = AS(A_Indirection, node);
    /* "(t).f" is "t.f" */
    bool is_row = path->arg != NULL && nodeTag(path->arg) == T_ColumnRef &&
                  list_length(AS(ColumnRef, path->arg)->fields) == 1;
    sp_span row = is_row ? names_last(AS(ColumnRef, path->arg)->fields) : SP_SPAN_EMPTY;
    for (int i = 0; i < list_length(path->indirection); i++) {
        const Node *step = (const Node *)list_nth(path->indirection, i);
        if (nodeTag(step) == T_String) {
            sp_span name = string_of(step);
            maybe_call(w, name,
                       i == 0 && row.len > 0 ? walk_column_of(w, false, row, name) : COLUMN_MAYBE);
        }
    }
    walk_children(w, node);
}

/* One source stands under every column of "(a, b) = (...)". */
static void walk_assignment(walker *w, const Node *node)
{
    const MultiAssignRef *part = AS(MultiAssignRef, node);
    if (part->colno == 1) {
        walk(w, part->source);
    }
}

/* pg_dump sets what an older server does not know by
 *     SELECT set_config(name, '...', false) FROM pg_settings WHERE name = '...'
 * The setting then is the literal, whatever else the query may be: no other row is there. */
/* Just "name": with a qualifier it may be another query's. */
static bool is_name_column(const Node *node)
{
    return node != NULL && nodeTag(node) == T_ColumnRef &&
           list_length(AS(ColumnRef, node)->fields) == 1 &&
           sp_span_eq(names_last(AS(ColumnRef, node)->fields), SP_SPAN_LIT("name"));
}

static sp_span setting_of_row(const SelectStmt *select, const Node *name)
{
    if (select == NULL || list_length(select->fromClause) != 1 || select->withClause != NULL ||
        nodeTag(linitial(select->fromClause)) != T_RangeVar || select->whereClause == NULL ||
        nodeTag(select->whereClause) != T_A_Expr || !is_name_column(name)) {
        return SP_SPAN_EMPTY;
    }
    const RangeVar *from = AS(RangeVar, linitial(select->fromClause));
    const A_Expr *where = AS(A_Expr, select->whereClause);
    bool is_settings = sp_span_eq(text_of(from->relname), SP_SPAN_LIT("pg_settings")) &&
                       (from->schemaname == NULL ||
                        sp_span_eq(text_of(from->schemaname), SP_SPAN_LIT("pg_catalog")));
    bool is_equal = where->kind == AEXPR_OP && list_length(where->name) == 1 &&
                    sp_span_eq(names_last(where->name), SP_SPAN_LIT("=")) &&
                    is_name_column(where->lexpr);
    bool is_written = where->rexpr != NULL && nodeTag(where->rexpr) == T_A_Const;
    return is_settings && is_equal && is_written && from->alias == NULL ? literal_of(where->rexpr)
                                                                        : SP_SPAN_EMPTY;
}

static void walk_set_config(walker *w, const FuncCall *call)
{
    const Node *name = list_length(call->args) > 0 ? (const Node *)linitial(call->args) : NULL;
    const Node *second = list_length(call->args) > 1 ? (const Node *)lsecond(call->args) : NULL;
    /* a cast may cut them to others */
    sp_span word = name != NULL && nodeTag(name) == T_A_Const ? literal_of(name) : SP_SPAN_EMPTY;
    sp_span value =
        second != NULL && nodeTag(second) == T_A_Const ? literal_of(second) : SP_SPAN_EMPTY;
    word = word.len == 0 ? setting_of_row(w->select, name) : word;
    if (word.len == 0) {
        walk_fault(w, SP_SQL_FORBIDDEN, "set_config() with a setting that is not written out");
        return;
    }
    bool is_kept =
        sp_span_eq_nocase(word, SP_SPAN_LIT("search_path")) && walk_is_pinned_path(w, value);
    switch (is_kept ? SETTING_FREE : setting_find(word, value, false)) {
    case SETTING_FREE:
        if (setting_is_planners(word)) {
            record_object(w, SP_ACTION_CONNECT, SP_SQL_SETTING, 0, SP_SPAN_EMPTY, word);
        }
        break;
    case SETTING_ADMINISTER:
        w->statement->flags |= SP_SQL_IS_SECRET;
        record_object(w, SP_ACTION_ADMINISTER, SP_SQL_SETTING, 0, SP_SPAN_EMPTY, word);
        break;
    case SETTING_NEVER:
        walk_fault(w, SP_SQL_FORBIDDEN, "set_config() of %.*s", (int)word.len,
                   (const char *)word.ptr);
        break;
    }
    w->statement->flags |= SP_SQL_IS_SET;
}

static bool is_written_out(const Node *value)
{
    while (value != NULL && nodeTag(value) == T_TypeCast) {
        value = AS(TypeCast, value)->arg;
    }
    return value == NULL || nodeTag(value) == T_A_Const || nodeTag(value) == T_ParamRef ||
           nodeTag(value) == T_SQLValueFunction;
}

static bool is_among_rows(const walker *w)
{
    for (const row_scope *at = w->rows; at != NULL; at = at->up) {
        if (at->items != NIL || at->target != NULL) {
            return true;
        }
    }
    return false;
}

/* What a setting becomes is told to the client, and nobody counts it: it is not made of rows. */
static void walk_setting(walker *w, const FuncCall *call)
{
    walk_set_config(w, call);
    for (int i = 1; i < list_length(call->args) && is_among_rows(w); i++) {
        if (!is_written_out((const Node *)list_nth(call->args, i))) {
            walk_fault(w, SP_SQL_FORBIDDEN,
                       "set_config() of what is neither a literal nor a parameter, among rows");
        }
    }
    bool before = w->is_setting;
    for (int i = 0; i < list_length(call->args); i++) {
        w->is_setting |= i > 0;
        walk(w, (const Node *)list_nth(call->args, i));
    }
    walk_other_children(w, (const Node *)call, offsetof(FuncCall, args), SIZE_MAX);
    w->is_setting = before;
}

static void walk_call(walker *w, const Node *node)
{
    const FuncCall *call = AS(FuncCall, node);
    sp_span name = names_last(call->funcname);
    sp_span schema = names_before(call->funcname);
    bool is_own = schema.len == 0 || sp_span_eq(schema, SP_SPAN_LIT("pg_catalog"));
    if (is_own && function_find(name) == FUNCTION_SETTING) {
        if (schema.len == 0) {
            record_likeness(w, name);
        }
        walk_setting(w, call);
        return;
    }
    if (!is_own || (!record_sequence(w, call) && !record_large_object(w, call))) {
        record_call(w, schema, name);
    }
    walk_children(w, node);
}

static void walk_type(walker *w, const Node *node)
{
    record_type(w, names_last(AS(TypeName, node)->names));
    walk_children(w, node);
}

static void walk_expression(walker *w, const Node *node)
{
    const A_Expr *expr = AS(A_Expr, node);
    if (expr->kind == AEXPR_BETWEEN || expr->kind == AEXPR_BETWEEN_SYM) {
        record_between(w, false);
    } else if (expr->kind == AEXPR_NOT_BETWEEN || expr->kind == AEXPR_NOT_BETWEEN_SYM) {
        record_between(w, true);
    } else {
        record_operator(w, expr->name);
    }
    walk(w, expr->lexpr);
    walk(w, expr->rexpr);
}

static void walk_sublink(walker *w, const Node *node)
{
    const SubLink *link = AS(SubLink, node);
    if (w->is_setting) {
        walk_fault(w, SP_SQL_FORBIDDEN, "set_config() of what a query finds");
        return;
    }
    if (link->subLinkType == ANY_SUBLINK && link->operName == NIL) {
        record_equality(w);
    }
    record_operator(w, link->operName);
    walk(w, link->testexpr);
    walk(w, link->subselect);
}

static void walk_case(walker *w, const Node *node)
{
    if (AS(CaseExpr, node)->arg != NULL) {
        record_equality(w);
    }
    walk_children(w, node);
}

static void walk_join(walker *w, const Node *node)
{
    if (AS(JoinExpr, node)->isNatural || AS(JoinExpr, node)->usingClause != NIL) {
        record_equality(w);
    }
    walk_children(w, node);
}

static void walk_sort(walker *w, const Node *node)
{
    const SortBy *sort = AS(SortBy, node);
    record_operator(w, sort->useOp);
    walk(w, sort->node);
}

/* EXCLUDE (a WITH op): it runs for each row that comes. */
static void walk_constraint(walker *w, const Node *node)
{
    const List *exclusions = AS(Constraint, node)->exclusions;
    for (int i = 0; i < list_length(exclusions); i++) {
        record_operator(w, AS(List, lsecond(AS(List, list_nth(exclusions, i)))));
    }
    walk_children(w, node);
}

typedef void node_handler(walker *w, const Node *node);

static node_handler *handler_of(NodeTag tag)
{
    switch ((int)tag) {
    case T_SelectStmt:
        return walk_select;
    case T_InsertStmt:
        return walk_insert;
    case T_UpdateStmt:
        return walk_update;
    case T_DeleteStmt:
        return walk_delete;
    case T_MergeStmt:
        return walk_merge;
    case T_RangeVar:
        return walk_range;
    case T_RangeSubselect:
        return walk_subquery;
    case T_ColumnRef:
        return walk_column;
    case T_A_Indirection:
        return walk_indirection;
    case T_MultiAssignRef:
        return walk_assignment;
    case T_FuncCall:
        return walk_call;
    case T_A_Expr:
        return walk_expression;
    case T_SubLink:
        return walk_sublink;
    case T_SortBy:
        return walk_sort;
    case T_CaseExpr:
        return walk_case;
    case T_JoinExpr:
        return walk_join;
    case T_TypeName:
        return walk_type;
    case T_Constraint:
        return walk_constraint;
    default:
        return NULL;
    }
}

/* A name that is looked up when the work is spent may mean anything: nothing judged so holds. */
static bool fail_if_spent(walker *w)
{
    if (walk_is_spent(w)) {
        walk_fault(w, SP_SQL_TOO_COMPLEX, "too many names that each may be one of too many");
    }
    return walk_is_spent(w);
}

void walk(walker *w, const Node *node)
{
    if (node == NULL || walk_failed(w)) {
        return;
    }
    NodeTag tag = nodeTag(node);
    w->nodes++;
    if (w->depth >= SP_SQL_DEPTH_MAX || w->nodes > SP_SQL_NODES_MAX) {
        walk_fault(w, SP_SQL_TOO_COMPLEX,
                   "an expression deeper than %d levels or of more than %d parts", SP_SQL_DEPTH_MAX,
                   SP_SQL_NODES_MAX);
        return;
    }
    if (fail_if_spent(w)) {
        return;
    }
    w->depth++;
    if (tag == T_List) {
        walk_list(w, (const List *)(const void *)node);
    } else if (shape_of(tag)->name == NULL) {
        walk_fault(w, SP_SQL_UNKNOWN, "a construct that is not known here (node %d)", (int)tag);
    } else {
        node_handler *handler = handler_of(tag);
        note_verb(w, node);
        if (handler != NULL) {
            handler(w, node);
        } else if (tag < T_RawStmt || tag > T_AlterStatsStmt ||
                   (!walk_utility(w, node) && !walk_definition(w, node))) {
            walk_children(w, node);
        }
    }
    w->depth--;
}

static bool returns_rows(const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_SelectStmt:
        return into_of(AS(SelectStmt, node)) == NULL;
    case T_InsertStmt:
        return AS(InsertStmt, node)->returningList != NIL;
    case T_UpdateStmt:
        return AS(UpdateStmt, node)->returningList != NIL;
    case T_DeleteStmt:
        return AS(DeleteStmt, node)->returningList != NIL;
    default:
        return false;
    }
}

/* Whether it may have expressions, whose values are cast. */
static bool has_values(const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_TransactionStmt:
    case T_VariableSetStmt:
    case T_VariableShowStmt:
    case T_DiscardStmt:
    case T_DeallocateStmt:
    case T_ClosePortalStmt:
    case T_FetchStmt:
    case T_ListenStmt:
    case T_UnlistenStmt:
    case T_NotifyStmt:
        return false;
    default:
        return true;
    }
}

/* A name that was given to other rows may be any relation's (the first walk), and still what it was
 * (the second): both are asked about. */
static void walk_top(walker *w, const Node *node)
{
    walk_room *room = w->room;
    const walker before = *w;
    room->has_met_other = false;
    walk(w, node);
    if (room->has_met_other && w->context->catalogue != NULL) {
        *w = before;
        w->is_as_was = true;
        walk(w, node);
        w->is_as_was = false;
    }
}

void walk_statement(walker *w, const RawStmt *raw)
{
    walk_room *room = w->room;
    if (room->statement_count == SP_SQL_STATEMENTS_MAX) {
        walk_fault(w, SP_SQL_TOO_COMPLEX, "more than %d statements in one message",
                   SP_SQL_STATEMENTS_MAX);
        return;
    }
    sp_sql_statement *statement = &room->statements[room->statement_count++];
    *statement = (sp_sql_statement){
        .tag = statement_tag(raw->stmt),
        .offset = raw->stmt_location > 0 ? (uint32_t)raw->stmt_location : 0,
        .len = raw->stmt_len > 0 ? (uint32_t)raw->stmt_len : 0,
    };
    w->statement = statement;
    room->asked_count = 0;
    w->scope = NULL;
    w->rows = NULL;
    w->is_plan_only = false;
    w->is_aliased = false;
    w->is_locking = false;
    w->read_as = SP_ACTION_READ;
    if (raw->stmt != NULL && returns_rows(raw->stmt)) {
        statement->flags |= SP_SQL_RETURNS_ROWS;
    }
    if (raw->stmt != NULL && has_values(raw->stmt)) {
        record_casts(w, SP_SQL_CAST_ALWAYS, SP_SPAN_EMPTY);
    }
    walk_top(w, raw->stmt);
    temporary_follow(w, raw->stmt);
    (void)fail_if_spent(w);
    room->judgement.flags |= statement->flags;
}

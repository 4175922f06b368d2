/* SPDX-License-Identifier: Apache-2.0
 * Statements that neither ask for rows nor define anything: sessions, transactions, prepared
 * statements, cursors, COPY, EXPLAIN, code, locks, upkeep.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#include "lib/sql/walk.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"

/* ---- options ---- */

static const DefElem *find_option(const List *options, const char *name)
{
    const DefElem *found = NULL;
    for (int i = 0; i < list_length(options); i++) {
        const DefElem *option = AS(DefElem, list_nth(options, i));
        if (option->defname != NULL && sp_span_eq(text_of(option->defname), text_of(name))) {
            found = option; /* the last one holds */
        }
    }
    return found;
}

/* The server's reading of a boolean option; what it would not read counts as true. */
static bool is_option_on(const DefElem *option)
{
    if (option == NULL) {
        return false;
    }
    if (option->arg == NULL) {
        return true;
    }
    if (nodeTag(option->arg) == T_Integer) {
        return AS(Integer, option->arg)->ival != 0;
    }
    if (nodeTag(option->arg) == T_Boolean) {
        return AS(Boolean, option->arg)->boolval;
    }
    sp_span word = string_of(option->arg);
    return !sp_span_eq_nocase(word, SP_SPAN_LIT("false")) &&
           !sp_span_eq_nocase(word, SP_SPAN_LIT("off"));
}

/* ---- settings ---- */

static sp_span only_value(const List *args)
{
    return list_length(args) == 1 ? literal_of((const Node *)linitial(args)) : SP_SPAN_EMPTY;
}

/* The search path may be set to what it is; the server's own schema may stand in front, where it is
 * anyway. at counts what was found of it; false: something else stands here. */
static bool is_next_of_path(const walker *w, sp_span schema, uint32_t *at)
{
    bool is_first = *at == 0;
    if (w->context->catalogue == NULL || schema.len == 0) {
        return false;
    }
    if (sp_span_eq(schema, sp_sql_catalogue_path_at(w->context->catalogue, *at))) {
        *at += 1;
        return true;
    }
    return is_first && sp_span_eq(schema, SP_SPAN_LIT("pg_catalog"));
}

static bool is_whole_path(const walker *w, uint32_t at)
{
    return at > 0 && sp_sql_catalogue_path_at(w->context->catalogue, at).len == 0;
}

static bool is_pinned_list(const walker *w, const List *args)
{
    uint32_t at = 0;
    for (int i = 0; i < list_length(args); i++) {
        if (!is_next_of_path(w, literal_of((const Node *)list_nth(args, i)), &at)) {
            return false;
        }
    }
    return is_whole_path(w, at);
}

bool walk_is_pinned_path(const walker *w, sp_span text)
{
    uint32_t at = 0;
    sp_span name;
    while (sp_span_split(&text, ',', &name)) {
        name = sp_span_trim(name);
        for (size_t i = 0; i < name.len; i++) {
            uint8_t c = name.ptr[i];
            if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9' && i > 0) || c == '_')) {
                return false; /* quoted, or folded by the server's rules */
            }
        }
        if (!is_next_of_path(w, name, &at)) {
            return false;
        }
    }
    return is_whole_path(w, at);
}

static void set_setting(walker *w, const VariableSetStmt *set)
{
    sp_span name = text_of(set->name);
    bool is_reset = set->kind == VAR_RESET || set->kind == VAR_SET_DEFAULT;
    if (set->kind == VAR_SET_VALUE && sp_span_eq_nocase(name, SP_SPAN_LIT("search_path")) &&
        is_pinned_list(w, set->args)) {
        return;
    }
    switch (setting_find(name, only_value(set->args), is_reset)) {
    case SETTING_FREE:
        if (!is_reset && setting_is_planners(name)) {
            record_object(w, SP_ACTION_CONNECT, SP_SQL_SETTING, 0, SP_SPAN_EMPTY, name);
        }
        break;
    case SETTING_ADMINISTER:
        w->statement->flags |= SP_SQL_IS_SECRET; /* an application's may hold anything */
        record_object(w, SP_ACTION_ADMINISTER, SP_SQL_SETTING, 0, SP_SPAN_EMPTY, name);
        break;
    case SETTING_NEVER:
        walk_fault(w, SP_SQL_FORBIDDEN, "%s of %.*s", is_reset ? "RESET" : "SET", (int)name.len,
                   (const char *)name.ptr);
        break;
    }
}

static void walk_set(walker *w, const VariableSetStmt *set)
{
    w->statement->flags |= SP_SQL_IS_SET;
    switch (set->kind) {
    case VAR_SET_MULTI:
        /* SET TRANSACTION, SET SESSION CHARACTERISTICS: isolation and read only */
        if (set->name != NULL &&
            sp_span_eq(text_of(set->name), SP_SPAN_LIT("TRANSACTION SNAPSHOT"))) {
            return;
        }
        break;
    case VAR_RESET_ALL:
        break; /* back to what the connection began with, which is what we began it with */
    case VAR_SET_CURRENT:
    case VAR_SET_VALUE:
    case VAR_SET_DEFAULT:
    case VAR_RESET:
        set_setting(w, set);
        break;
    }
    walk_list(w, set->args);
}

static void walk_discard(walker *w, const DiscardStmt *discard)
{
    switch (discard->target) {
    case DISCARD_ALL:
        /* back to what the connection began with, which is what we began it with; a session is
         * never anybody but its account, so that does not change */
        w->statement->flags |= SP_SQL_IS_DEALLOCATE | SP_SQL_IS_CLOSE;
        break;
    case DISCARD_TEMP: /* a cursor that is held may still have the rows of a temporary table */
    case DISCARD_PLANS:
    case DISCARD_SEQUENCES:
        break;
    }
}

/* ---- transactions ---- */

static void name_statement(walker *w, uint32_t flag, const char *name)
{
    w->statement->flags |= flag;
    record_statement_name(w, text_of(name));
}

static void walk_transaction(walker *w, const TransactionStmt *stmt)
{
    switch (stmt->kind) {
    case TRANS_STMT_BEGIN:
    case TRANS_STMT_START:
        w->statement->flags |= SP_SQL_IS_BEGIN;
        break;
    case TRANS_STMT_COMMIT:
    case TRANS_STMT_ROLLBACK:
        w->statement->flags |= SP_SQL_IS_END;
        break;
    case TRANS_STMT_PREPARE:
    case TRANS_STMT_COMMIT_PREPARED:
    case TRANS_STMT_ROLLBACK_PREPARED:
        w->statement->flags |= SP_SQL_IS_END;
        record_database(w, SP_ACTION_ADMINISTER); /* outlives the session */
        break;
    case TRANS_STMT_SAVEPOINT:
        name_statement(w, SP_SQL_IS_SAVEPOINT, stmt->savepoint_name);
        break;
    case TRANS_STMT_RELEASE:
        name_statement(w, SP_SQL_IS_SAVEPOINT | SP_SQL_IS_ROLLBACK_TO, stmt->savepoint_name);
        break;
    case TRANS_STMT_ROLLBACK_TO:
        name_statement(w, SP_SQL_IS_ROLLBACK_TO, stmt->savepoint_name);
        break;
    }
    walk_list(w, stmt->options);
}

/* ---- prepared statements and cursors ---- */

static bool is_literal(const Node *node)
{
    if (node != NULL && nodeTag(node) == T_TypeCast) {
        node = AS(TypeCast, node)->arg;
    }
    return node != NULL && (nodeTag(node) == T_A_Const || nodeTag(node) == T_ParamRef);
}

static void walk_execute(walker *w, const ExecuteStmt *execute)
{
    name_statement(w, SP_SQL_IS_EXECUTE | SP_SQL_RETURNS_ROWS, execute->name);
    for (int i = 0; i < list_length(execute->params); i++) {
        w->statement->computes |= !is_literal(list_nth(execute->params, i));
    }
    walk_list(w, execute->params);
}

/* The query of a statement that makes a name makes nothing else; it stands behind that word. */
static void walk_query(walker *w, const Node *query, sp_span word)
{
    if (query != NULL && nodeTag(query) == T_SelectStmt && into_of(AS(SelectStmt, query)) != NULL) {
        walk_fault(w, SP_SQL_UNKNOWN, "PREPARE or DECLARE of SELECT ... INTO");
        return;
    }
    walk(w, query);
    if (!walk_failed(w)) { /* nor is it deeper than what compares trees may go */
        walk_note_query(w, query, word);
    }
}

/* By its name alone nobody would see that its query casts such a value. */
static void check_parameters(walker *w, const List *types)
{
    for (int i = 0; i < list_length(types); i++) {
        if (has_casts(w, names_last(AS(TypeName, list_nth(types, i))->names))) {
            walk_fault(w, SP_SQL_FORBIDDEN, "a parameter of a type for which users made casts");
        }
    }
}

static void walk_prepare(walker *w, const PrepareStmt *prepare)
{
    check_parameters(w, prepare->argtypes);
    name_statement(w, SP_SQL_IS_PREPARE, prepare->name);
    w->statement->is_typed = prepare->argtypes != NIL;
    walk_query(w, prepare->query, SP_SPAN_LIT("as"));
}

static void walk_declare(walker *w, const DeclareCursorStmt *declare)
{
    name_statement(w, SP_SQL_IS_DECLARE, declare->portalname);
    if ((declare->options & CURSOR_OPT_BINARY) != 0) {
        w->statement->flags |= SP_SQL_IS_BINARY;
    }
    if ((declare->options & CURSOR_OPT_HOLD) != 0) {
        w->statement->flags |= SP_SQL_IS_HOLD;
    }
    walk_query(w, declare->query, SP_SPAN_LIT("for"));
}

/* ---- COPY ---- */

static void walk_copy(walker *w, const CopyStmt *copy)
{
    if (copy->is_program) {
        walk_fault(w, SP_SQL_FORBIDDEN, "COPY with PROGRAM, which runs a command on the server");
        return;
    }
    if (copy->filename != NULL) {
        walk_fault(w, SP_SQL_FORBIDDEN, "COPY with a file of the server");
        return;
    }
    const DefElem *format = find_option(copy->options, "format");
    if (format != NULL && sp_span_eq(string_of(format->arg), SP_SPAN_LIT("binary"))) {
        w->statement->flags |= SP_SQL_IS_BINARY;
    }
    w->statement->flags |= copy->is_from ? SP_SQL_IS_COPY_IN : SP_SQL_IS_COPY_OUT;
    if (!copy->is_from && copy->relation != NULL && copy->attlist == NIL) {
        w->statement->flags |= SP_SQL_IS_UNSURE; /* masks go by the places of columns */
    }
    sp_action before = w->read_as;
    if (!copy->is_from) {
        w->read_as = SP_ACTION_EXPORT;
    }
    if (copy->relation != NULL) {
        record_relation(w, copy->relation, copy->is_from ? SP_ACTION_IMPORT : SP_ACTION_EXPORT, 0);
    }
    walk(w, copy->query);
    walk(w, copy->whereClause);
    walk_list(w, copy->options);
    w->read_as = before;
}

/* ---- EXPLAIN ---- */

/* DECLARE opens nothing there, and a table is made only where it runs: the query is all there is.
 */
static const Node *explained(const Node *query, bool runs)
{
    if (query != NULL && nodeTag(query) == T_DeclareCursorStmt) {
        return AS(DeclareCursorStmt, query)->query;
    }
    if (query != NULL && nodeTag(query) == T_CreateTableAsStmt && !runs) {
        return AS(CreateTableAsStmt, query)->query;
    }
    return query;
}

static void walk_explain(walker *w, const ExplainStmt *explain)
{
    bool runs = is_option_on(find_option(explain->options, "analyze"));
    w->statement->flags |= SP_SQL_IS_EXPLAIN | SP_SQL_RETURNS_ROWS;
    bool before = w->is_plan_only;
    w->is_plan_only = !runs;
    walk(w, explained(explain->query, runs));
    w->is_plan_only = before;
}

/* ---- code ---- */

static void walk_do(walker *w, const DoStmt *block)
{
    sp_span language = SP_SPAN_LIT("plpgsql");
    const DefElem *option = find_option(block->args, "language");
    if (option != NULL) {
        language = string_of(option->arg);
    }
    record_opaque(w, SP_SQL_CODE, SP_SPAN_EMPTY, language);
}

/* ---- locks and upkeep ---- */

enum { LOCK_ROW_SHARE = 2 }; /* lockdefs.h: AccessShareLock 1, RowShareLock 2 */

static void walk_lock(walker *w, const LockStmt *lock)
{
    sp_action action = lock->mode <= LOCK_ROW_SHARE ? SP_ACTION_READ : SP_ACTION_WRITE;
    for (int i = 0; i < list_length(lock->relations); i++) {
        record_relation(w, AS(RangeVar, list_nth(lock->relations, i)), action, 0);
    }
}

static void walk_truncate(walker *w, const TruncateStmt *truncate)
{
    for (int i = 0; i < list_length(truncate->relations); i++) {
        const RangeVar *name = AS(RangeVar, list_nth(truncate->relations, i));
        record_relation(w, name, SP_ACTION_DESTROY, SP_SQL_USE_ALL);
        found_relation found = walk_resolve(w, name, true);
        if (truncate->behavior == DROP_CASCADE && found.kind != FOUND_TEMPORARY) {
            record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE,
                          SP_SQL_USE_ALL | SP_SQL_USE_IMPLIED, SP_SPAN_EMPTY, SP_SPAN_EMPTY);
        }
    }
}

static void walk_upkeep(walker *w, const RangeVar *relation)
{
    if (relation != NULL) {
        record_relation(w, relation, SP_ACTION_ADMINISTER, 0);
    } else {
        record_database(w, SP_ACTION_ADMINISTER);
    }
}

static void walk_vacuum(walker *w, const VacuumStmt *vacuum)
{
    if (vacuum->rels == NIL) {
        walk_upkeep(w, NULL);
    }
    for (int i = 0; i < list_length(vacuum->rels); i++) {
        walk_upkeep(w, AS(VacuumRelation, list_nth(vacuum->rels, i))->relation);
    }
}

/* ---- the table ---- */

static bool walk_session(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_VariableSetStmt:
        walk_set(w, AS(VariableSetStmt, node));
        return true;
    case T_VariableShowStmt:
        w->statement->flags |= SP_SQL_RETURNS_ROWS;
        return true;
    case T_DiscardStmt:
        walk_discard(w, AS(DiscardStmt, node));
        return true;
    case T_TransactionStmt:
        walk_transaction(w, AS(TransactionStmt, node));
        return true;
    case T_PrepareStmt:
        walk_prepare(w, AS(PrepareStmt, node));
        return true;
    case T_ExecuteStmt:
        walk_execute(w, AS(ExecuteStmt, node));
        return true;
    case T_DeallocateStmt:
        name_statement(w, SP_SQL_IS_DEALLOCATE, AS(DeallocateStmt, node)->name);
        return true;
    case T_DeclareCursorStmt:
        walk_declare(w, AS(DeclareCursorStmt, node));
        return true;
    case T_FetchStmt:
        name_statement(w, SP_SQL_IS_FETCH | SP_SQL_RETURNS_ROWS, AS(FetchStmt, node)->portalname);
        return true;
    case T_ClosePortalStmt:
        name_statement(w, SP_SQL_IS_CLOSE, AS(ClosePortalStmt, node)->portalname);
        return true;
    case T_ListenStmt:
        /* what others tell each other may hold anything, and nobody counts how much */
        record_database(w, SP_ACTION_EXPORT);
        w->statement->flags |= SP_SQL_IS_LISTEN;
        return true;
    case T_UnlistenStmt:
        return true;
    case T_NotifyStmt:
        record_database(w, SP_ACTION_WRITE);
        return true;
    case T_ConstraintsSetStmt:
        return true; /* RangeVars of constraints, not of relations */
    default:
        return false;
    }
}

bool walk_utility(walker *w, const Node *node)
{
    if (walk_session(w, node)) {
        return true;
    }
    switch ((int)nodeTag(node)) {
    case T_CopyStmt:
        walk_copy(w, AS(CopyStmt, node));
        return true;
    case T_ExplainStmt:
        walk_explain(w, AS(ExplainStmt, node));
        return true;
    case T_DoStmt:
        walk_do(w, AS(DoStmt, node));
        return true;
    case T_CallStmt:
        w->statement->flags |= SP_SQL_RETURNS_ROWS;
        walk(w, (const Node *)AS(CallStmt, node)->funccall);
        return true;
    case T_LockStmt:
        walk_lock(w, AS(LockStmt, node));
        return true;
    case T_TruncateStmt:
        walk_truncate(w, AS(TruncateStmt, node));
        return true;
    case T_VacuumStmt:
        walk_vacuum(w, AS(VacuumStmt, node));
        return true;
    case T_ClusterStmt:
        walk_upkeep(w, AS(ClusterStmt, node)->relation);
        return true;
    case T_ReindexStmt:
        walk_upkeep(w, AS(ReindexStmt, node)->relation); /* of a table or an index; else NULL */
        return true;
    case T_AlterSystemStmt:
        w->statement->flags |= SP_SQL_IS_SECRET; /* primary_conninfo */
        record_database(w, SP_ACTION_ADMINISTER);
        return true;
    case T_CheckPointStmt:
    case T_LoadStmt:
        record_database(w, SP_ACTION_ADMINISTER);
        return true;
    case T_RefreshMatViewStmt:
        /* WITH NO DATA empties it */
        record_relation(w, AS(RefreshMatViewStmt, node)->relation,
                        AS(RefreshMatViewStmt, node)->skipData ? SP_ACTION_DESTROY
                                                               : SP_ACTION_WRITE,
                        AS(RefreshMatViewStmt, node)->skipData ? SP_SQL_USE_ALL : 0);
        return true;
    default:
        return false;
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Whether a bare name is a temporary relation's when a statement runs. Somebody else may give a
 * name to rows at any time; only as long as the server has a temporary relation of that name in
 * this session does it mean nothing else by it. So each statement says what it makes and what it
 * may end, and a text is followed from its first statement to its last.
 *
 * What is not known to leave temporary relations alone may end them all: code of users, which may
 * drop any; DROP of more than one thing; a rolled back transaction.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC lib/sql/statement.h;
 * PostgreSQL 15 manual, CREATE TABLE, DROP TABLE; gates/db/temps.c follows what the server answers.
 */
#include "lib/base/mem.h"
#include "lib/sql/walk.h"

/* ---- what is asked ---- */

static bool is_ascii(sp_span text)
{
    size_t i = 0;
    while (i < text.len && text.ptr[i] < 0x80) {
        i++;
    }
    return i == text.len;
}

/* Bare names are looked up among temporary relations first, but where the search path says else. */
static bool is_first_in_path(const sp_sql_catalogue *catalogue)
{
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0; catalogue != NULL && (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0;
         i++) {
        if (sp_span_starts(at, SP_SPAN_LIT("pg_temp"))) {
            return false;
        }
    }
    return true;
}

static bool has(const sp_span *names, uint32_t count, sp_span name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sp_span_eq(names[i], name)) {
            return true;
        }
    }
    return false;
}

bool walk_has_temporary(const walker *w, sp_span name)
{
    const sp_sql_context *context = w->context;
    const walk_temporary *text = &w->room->temporary;
    bool has_it = has(text->made, text->made_count, name);
    if (!has_it && !text->is_over && !has(text->ended, text->ended_count, name)) {
        has_it = context->is_temporary != NULL && context->is_temporary(context->session, name);
    }
    return has_it && is_first_in_path(context->catalogue);
}

/* ---- what a statement ends ---- */

static void ends(walker *w, sp_span name)
{
    sp_sql_statement *statement = w->statement;
    bool is_first = (statement->temps & SP_SQL_TEMP_ENDS) == 0;
    if (is_first || !sp_span_eq(statement->ended, name)) {
        statement->ended = is_first && name.len > 0 ? record_name(w, name) : SP_SPAN_EMPTY;
    }
    statement->temps |= SP_SQL_TEMP_ENDS;
}

void temporary_code(walker *w)
{
    ends(w, SP_SPAN_EMPTY);
}

void temporary_unknown(walker *w, const RangeVar *name)
{
    if (!walk_is_own(w, name)) {
        temporary_code(w);
    }
}

/* Neither what stands on a relation nor what it stands on changes. */
static bool keeps_relations(const AlterTableStmt *alter)
{
    static const AlterTableType kinds[] = {
        AT_AddColumn,     AT_ColumnDefault,   AT_DropNotNull, AT_SetNotNull,     AT_SetStatistics,
        AT_SetOptions,    AT_ResetOptions,    AT_SetStorage,  AT_AddIndex,       AT_AddConstraint,
        AT_SetRelOptions, AT_ResetRelOptions, AT_AddIdentity, AT_AlterColumnType};
    for (int i = 0; i < list_length(alter->cmds); i++) {
        AlterTableType kind = AS(AlterTableCmd, list_nth(alter->cmds, i))->subtype;
        size_t at = 0;
        while (at < SP_COUNT(kinds) && kinds[at] != kind) {
            at++;
        }
        if (at == SP_COUNT(kinds)) {
            return false;
        }
    }
    return true;
}

static bool names_relations(ObjectType type)
{
    return type == OBJECT_TABLE || type == OBJECT_VIEW || type == OBJECT_MATVIEW ||
           type == OBJECT_SEQUENCE || type == OBJECT_FOREIGN_TABLE || type == OBJECT_INDEX;
}

static void end_dropped(walker *w, const DropStmt *drop)
{
    bool is_one = names_relations(drop->removeType) && drop->behavior == DROP_RESTRICT &&
                  list_length(drop->objects) == 1;
    ends(w, is_one ? names_last((const List *)linitial(drop->objects)) : SP_SPAN_EMPTY);
}

static void end_renamed(walker *w, const RenameStmt *rename)
{
    if (rename->renameType == OBJECT_COLUMN || rename->renameType == OBJECT_TABCONSTRAINT) {
        return;
    }
    bool is_one = names_relations(rename->renameType) && rename->relation != NULL;
    ends(w, is_one ? text_of(rename->relation->relname) : SP_SPAN_EMPTY);
}

static bool leaves_temporary(const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_SelectStmt:
    case T_InsertStmt:
    case T_UpdateStmt:
    case T_DeleteStmt:
    case T_MergeStmt:
    case T_CopyStmt:
    case T_ExplainStmt:
    case T_TruncateStmt:
    case T_LockStmt:
    case T_CreateStmt:
    case T_CreateTableAsStmt:
    case T_CreateSeqStmt:
    case T_IndexStmt:
    case T_ViewStmt:
    case T_CreateFunctionStmt:
    case T_CreateTrigStmt:
    case T_CommentStmt:
    case T_GrantStmt:
    case T_VacuumStmt:
    case T_ReindexStmt:
    case T_ClusterStmt:
    case T_RefreshMatViewStmt:
    case T_VariableSetStmt:
    case T_VariableShowStmt:
    case T_PrepareStmt:
    case T_ExecuteStmt:
    case T_DeallocateStmt:
    case T_DeclareCursorStmt:
    case T_FetchStmt:
    case T_ClosePortalStmt:
    case T_ListenStmt:
    case T_UnlistenStmt:
    case T_NotifyStmt:
    case T_CheckPointStmt:
        return true;
    case T_AlterTableStmt:
        return keeps_relations(AS(AlterTableStmt, node));
    case T_ConstraintsSetStmt: /* else triggers run that waited */
        return AS(ConstraintsSetStmt, node)->deferred;
    case T_DiscardStmt:
        return AS(DiscardStmt, node)->target == DISCARD_PLANS ||
               AS(DiscardStmt, node)->target == DISCARD_SEQUENCES;
    default:
        return false;
    }
}

static void end_by(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_DropStmt:
        end_dropped(w, AS(DropStmt, node));
        break;
    case T_RenameStmt:
        end_renamed(w, AS(RenameStmt, node));
        break;
    case T_TransactionStmt: /* what it undoes is told by its answer */
        break;
    default:
        if (!leaves_temporary(node)) {
            ends(w, SP_SPAN_EMPTY);
        }
        break;
    }
}

/* ---- what it makes ---- */

static uint8_t made(OnCommitAction on_commit, bool falls)
{
    bool passes = falls || on_commit == ONCOMMIT_DROP;
    return (uint8_t)(SP_SQL_TEMP_SURE | (passes ? SP_SQL_TEMP_PASSES : 0));
}

static uint8_t made_by_into(const IntoClause *into)
{
    return made(into->onCommit, into->accessMethod != NULL);
}

static uint8_t made_by_create(const CreateStmt *create)
{
    bool falls = create->inhRelations != NIL || create->ofTypename != NULL ||
                 create->partspec != NULL || create->accessMethod != NULL;
    bool is_part = create->partbound != NULL; /* DROP of its parent drops it */
    return create->if_not_exists || is_part ? 0 : made(create->oncommit, falls);
}

static uint8_t made_by_sequence(const CreateSeqStmt *create)
{
    if (create->if_not_exists) {
        return 0;
    }
    for (int i = 0; i < list_length(create->options); i++) {
        if (sp_span_eq(text_of(AS(DefElem, list_nth(create->options, i))->defname),
                       SP_SPAN_LIT("owned_by"))) {
            return 0; /* DROP of its owner, or of a column, drops it */
        }
    }
    return SP_SQL_TEMP_SURE;
}

/* What of SP_SQL_TEMP_ is so of a temporary relation that it makes; 0: nobody knows. IF NOT EXISTS
 * may find an index or a serial's sequence, which ends with a table of another name. */
static uint8_t made_by(const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_CreateStmt:
        return made_by_create(AS(CreateStmt, node));
    case T_CreateSeqStmt:
        return made_by_sequence(AS(CreateSeqStmt, node));
    case T_CreateTableAsStmt: {
        const CreateTableAsStmt *create = AS(CreateTableAsStmt, node);
        bool is_sure = create->objtype == OBJECT_TABLE && !create->if_not_exists;
        return is_sure ? made_by_into(create->into) : 0;
    }
    case T_SelectStmt: {
        const IntoClause *into = into_of(AS(SelectStmt, node));
        return into == NULL ? 0 : made_by_into(into);
    }
    case T_ExplainStmt: {
        const Node *query = AS(ExplainStmt, node)->query;
        return query == NULL ? 0 : made_by(query);
    }
    default:
        return 0;
    }
}

/* ---- a text ---- */

static void leave_all(walk_temporary *text)
{
    text->made_count = text->ended_count = 0;
    text->is_over = true;
}

static void leave(walk_temporary *text, sp_span name)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < text->made_count; i++) {
        if (!sp_span_eq(text->made[i], name)) {
            text->lasts[kept] = text->lasts[i];
            text->made[kept++] = text->made[i];
        }
    }
    text->made_count = kept;
    if (text->ended_count < WALK_TEMPS_MAX) {
        text->ended[text->ended_count++] = name;
    } else {
        leave_all(text);
    }
}

static void leave_uncommitted(walk_temporary *text)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < text->made_count; i++) {
        if (text->lasts[i]) {
            text->lasts[kept] = true;
            text->made[kept++] = text->made[i];
        }
    }
    text->made_count = kept;
    text->is_over = true; /* of the session's some may have been ON COMMIT DROP */
}

static void follow_transaction(walk_temporary *text, const TransactionStmt *stmt)
{
    switch (stmt->kind) {
    case TRANS_STMT_BEGIN:
    case TRANS_STMT_START:
    case TRANS_STMT_SAVEPOINT:
    case TRANS_STMT_RELEASE:
        break;
    case TRANS_STMT_COMMIT:
        leave_uncommitted(text);
        break;
    case TRANS_STMT_ROLLBACK:
    case TRANS_STMT_ROLLBACK_TO:
    case TRANS_STMT_PREPARE:
    case TRANS_STMT_COMMIT_PREPARED:
    case TRANS_STMT_ROLLBACK_PREPARED:
        leave_all(text);
        break;
    }
}

static void follow_made(walk_temporary *text, const sp_sql_statement *statement)
{
    if (text->made_count < WALK_TEMPS_MAX) {
        text->lasts[text->made_count] = (statement->temps & SP_SQL_TEMP_PASSES) == 0;
        text->made[text->made_count++] = statement->name;
    }
}

void temporary_follow(walker *w, const Node *node)
{
    sp_sql_statement *statement = w->statement;
    walk_temporary *text = &w->room->temporary;
    if (node == NULL || walk_failed(w)) {
        return;
    }
    end_by(w, node);
    if ((statement->flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH)) != 0) {
        leave_all(text); /* it may run code */
    }
    if (nodeTag(node) == T_TransactionStmt) {
        follow_transaction(text, AS(TransactionStmt, node));
    }
    if ((statement->temps & SP_SQL_TEMP_ENDS) != 0 && statement->ended.len == 0) {
        leave_all(text);
    } else if ((statement->temps & SP_SQL_TEMP_ENDS) != 0) {
        leave(text, statement->ended);
    }
    if ((statement->flags & SP_SQL_IS_CREATE_TEMP) != 0 &&
        (w->context->is_utf8 || is_ascii(statement->name))) {
        statement->temps |= made_by(node);
    }
    if ((statement->temps & SP_SQL_TEMP_SURE) != 0) {
        follow_made(text, statement);
    }
}

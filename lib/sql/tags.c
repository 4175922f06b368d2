/* SPDX-License-Identifier: Apache-2.0
 * The word of a statement for events and people, as the server's command tags have it.
 * OWNS nothing. PROCESS database gate. TRUST none. SPEC PostgreSQL 15 cmdtaglist.h.
 */
#include "lib/base/mem.h"
#include "lib/sql/walk.h"

static const char *drop_tag(ObjectType type)
{
    switch ((int)type) {
    case OBJECT_TABLE:
        return "DROP TABLE";
    case OBJECT_VIEW:
        return "DROP VIEW";
    case OBJECT_MATVIEW:
        return "DROP MATERIALIZED VIEW";
    case OBJECT_SEQUENCE:
        return "DROP SEQUENCE";
    case OBJECT_INDEX:
        return "DROP INDEX";
    case OBJECT_SCHEMA:
        return "DROP SCHEMA";
    case OBJECT_FUNCTION:
        return "DROP FUNCTION";
    case OBJECT_PROCEDURE:
        return "DROP PROCEDURE";
    case OBJECT_TYPE:
        return "DROP TYPE";
    case OBJECT_DOMAIN:
        return "DROP DOMAIN";
    case OBJECT_EXTENSION:
        return "DROP EXTENSION";
    case OBJECT_TRIGGER:
        return "DROP TRIGGER";
    case OBJECT_RULE:
        return "DROP RULE";
    case OBJECT_POLICY:
        return "DROP POLICY";
    default:
        return "DROP";
    }
}

static const char *transaction_tag(TransactionStmtKind kind)
{
    switch (kind) {
    case TRANS_STMT_BEGIN:
        return "BEGIN";
    case TRANS_STMT_START:
        return "START TRANSACTION";
    case TRANS_STMT_COMMIT:
        return "COMMIT";
    case TRANS_STMT_ROLLBACK:
    case TRANS_STMT_ROLLBACK_TO:
        return "ROLLBACK";
    case TRANS_STMT_SAVEPOINT:
        return "SAVEPOINT";
    case TRANS_STMT_RELEASE:
        return "RELEASE";
    case TRANS_STMT_PREPARE:
        return "PREPARE TRANSACTION";
    case TRANS_STMT_COMMIT_PREPARED:
        return "COMMIT PREPARED";
    case TRANS_STMT_ROLLBACK_PREPARED:
        return "ROLLBACK PREPARED";
    }
    return "TRANSACTION";
}

static const char *alter_tag(ObjectType type)
{
    switch ((int)type) {
    case OBJECT_VIEW:
        return "ALTER VIEW";
    case OBJECT_MATVIEW:
        return "ALTER MATERIALIZED VIEW";
    case OBJECT_INDEX:
        return "ALTER INDEX";
    case OBJECT_SEQUENCE:
        return "ALTER SEQUENCE";
    case OBJECT_TYPE:
        return "ALTER TYPE";
    case OBJECT_FOREIGN_TABLE:
        return "ALTER FOREIGN TABLE";
    default:
        return "ALTER TABLE";
    }
}

typedef struct {
    NodeTag node;
    const char *tag;
} node_tag;

static const node_tag plain_tags[] = {
    {T_SelectStmt, "SELECT"},
    {T_InsertStmt, "INSERT"},
    {T_UpdateStmt, "UPDATE"},
    {T_DeleteStmt, "DELETE"},
    {T_MergeStmt, "MERGE"},
    {T_CopyStmt, "COPY"},
    {T_ExplainStmt, "EXPLAIN"},
    {T_TruncateStmt, "TRUNCATE TABLE"},
    {T_VariableSetStmt, "SET"},
    {T_VariableShowStmt, "SHOW"},
    {T_DiscardStmt, "DISCARD"},
    {T_PrepareStmt, "PREPARE"},
    {T_ExecuteStmt, "EXECUTE"},
    {T_DeallocateStmt, "DEALLOCATE"},
    {T_DeclareCursorStmt, "DECLARE CURSOR"},
    {T_FetchStmt, "FETCH"},
    {T_ClosePortalStmt, "CLOSE CURSOR"},
    {T_ListenStmt, "LISTEN"},
    {T_UnlistenStmt, "UNLISTEN"},
    {T_NotifyStmt, "NOTIFY"},
    {T_DoStmt, "DO"},
    {T_CallStmt, "CALL"},
    {T_LockStmt, "LOCK TABLE"},
    {T_CheckPointStmt, "CHECKPOINT"},
    {T_LoadStmt, "LOAD"},
    {T_AlterSystemStmt, "ALTER SYSTEM"},
    {T_ClusterStmt, "CLUSTER"},
    {T_ReindexStmt, "REINDEX"},
    {T_RefreshMatViewStmt, "REFRESH MATERIALIZED VIEW"},
    {T_ConstraintsSetStmt, "SET CONSTRAINTS"},
    {T_CreateStmt, "CREATE TABLE"},
    {T_CreateTableAsStmt, "CREATE TABLE AS"},
    {T_ViewStmt, "CREATE VIEW"},
    {T_IndexStmt, "CREATE INDEX"},
    {T_CreateSeqStmt, "CREATE SEQUENCE"},
    {T_AlterSeqStmt, "ALTER SEQUENCE"},
    {T_CreateFunctionStmt, "CREATE FUNCTION"},
    {T_AlterFunctionStmt, "ALTER FUNCTION"},
    {T_CreateTrigStmt, "CREATE TRIGGER"},
    {T_RuleStmt, "CREATE RULE"},
    {T_CreateSchemaStmt, "CREATE SCHEMA"},
    {T_CreateExtensionStmt, "CREATE EXTENSION"},
    {T_CreateRoleStmt, "CREATE ROLE"},
    {T_AlterRoleStmt, "ALTER ROLE"},
    {T_AlterRoleSetStmt, "ALTER ROLE"},
    {T_DropRoleStmt, "DROP ROLE"},
    {T_GrantStmt, "GRANT"},
    {T_GrantRoleStmt, "GRANT ROLE"},
    {T_CreatedbStmt, "CREATE DATABASE"},
    {T_DropdbStmt, "DROP DATABASE"},
    {T_AlterDatabaseStmt, "ALTER DATABASE"},
    {T_AlterDatabaseSetStmt, "ALTER DATABASE"},
    {T_DropOwnedStmt, "DROP OWNED"},
    {T_ReassignOwnedStmt, "REASSIGN OWNED"},
    {T_CreatePolicyStmt, "CREATE POLICY"},
    {T_AlterPolicyStmt, "ALTER POLICY"},
    {T_CommentStmt, "COMMENT"},
    {T_SecLabelStmt, "SECURITY LABEL"},
    {T_CreateEnumStmt, "CREATE TYPE"},
    {T_CompositeTypeStmt, "CREATE TYPE"},
    {T_CreateRangeStmt, "CREATE TYPE"},
    {T_CreateDomainStmt, "CREATE DOMAIN"},
    {T_AlterDomainStmt, "ALTER DOMAIN"},
    {T_AlterEnumStmt, "ALTER TYPE"},
    {T_CreateForeignServerStmt, "CREATE SERVER"},
    {T_AlterForeignServerStmt, "ALTER SERVER"},
    {T_CreateUserMappingStmt, "CREATE USER MAPPING"},
    {T_AlterUserMappingStmt, "ALTER USER MAPPING"},
    {T_CreateSubscriptionStmt, "CREATE SUBSCRIPTION"},
    {T_AlterSubscriptionStmt, "ALTER SUBSCRIPTION"},
    {T_CreatePublicationStmt, "CREATE PUBLICATION"},
    {T_CreateForeignTableStmt, "CREATE FOREIGN TABLE"},
    {T_ImportForeignSchemaStmt, "IMPORT FOREIGN SCHEMA"},
    {T_CreateStatsStmt, "CREATE STATISTICS"},
    {T_CreateEventTrigStmt, "CREATE EVENT TRIGGER"},
};

const char *statement_tag(const Node *node)
{
    if (node == NULL) {
        return "EMPTY";
    }
    NodeTag tag = nodeTag(node);
    for (size_t i = 0; i < SP_COUNT(plain_tags); i++) {
        if (plain_tags[i].node == tag) {
            return plain_tags[i].tag;
        }
    }
    switch ((int)tag) {
    case T_DropStmt:
        return drop_tag(AS(DropStmt, node)->removeType);
    case T_TransactionStmt:
        return transaction_tag(AS(TransactionStmt, node)->kind);
    case T_AlterTableStmt:
        return alter_tag(AS(AlterTableStmt, node)->objtype);
    case T_RenameStmt:
    case T_AlterObjectSchemaStmt:
    case T_AlterOwnerStmt:
        return "ALTER";
    case T_VacuumStmt:
        return AS(VacuumStmt, node)->is_vacuumcmd ? "VACUUM" : "ANALYZE";
    default:
        return "OTHER";
    }
}

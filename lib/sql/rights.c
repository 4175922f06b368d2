/* SPDX-License-Identifier: Apache-2.0
 * Rights, and what is given or taken of many things at once.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#include "lib/sql/define.h"

static void walk_grant(walker *w, const GrantStmt *grant)
{
    bool named = grant->targtype == ACL_TARGET_OBJECT &&
                 (grant->objtype == OBJECT_TABLE || grant->objtype == OBJECT_SEQUENCE);
    if (!named) {
        record_database(w, SP_ACTION_ADMINISTER);
    }
    for (int i = 0; named && i < list_length(grant->objects); i++) {
        record_relation(w, AS(RangeVar, list_nth(grant->objects, i)), SP_ACTION_ADMINISTER, 0);
    }
}

bool walk_rights(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_GrantStmt:
        walk_grant(w, AS(GrantStmt, node));
        return true;
    case T_DropOwnedStmt:
        record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE, SP_SQL_USE_ALL, SP_SPAN_EMPTY,
                      SP_SPAN_EMPTY);
        break;
    case T_CreateForeignTableStmt:
        if (is_temporary_name(AS(CreateForeignTableStmt, node)->base.relation)) {
            walk_fault(w, SP_SQL_FORBIDDEN, "a foreign table in pg_temp");
        }
        w->statement->flags |= SP_SQL_IS_SECRET;
        record_database(w, kind_asks(OBJECT_FOREIGN_TABLE, KIND_CREATE));
        return true;
    case T_ImportForeignSchemaStmt:
        w->statement->flags |= SP_SQL_IS_SECRET;
        record_database(w, kind_asks(OBJECT_FOREIGN_TABLE, KIND_CREATE));
        return true;
    case T_GrantRoleStmt:
    case T_ReassignOwnedStmt:
    case T_AlterTableMoveAllStmt:
        break;
    default:
        return false;
    }
    record_database(w, SP_ACTION_ADMINISTER);
    return true;
}

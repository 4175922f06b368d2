/* SPDX-License-Identifier: Apache-2.0
 * What a statement does with rows and objects, for undo: it says what has to be kept and how it is
 * put back.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC lib/sql/statement.h.
 */
#include "lib/sql/walk.h"

static unsigned cascade_of(const AlterTableStmt *alter)
{
    bool cascades = false;
    for (int i = 0; i < list_length(alter->cmds); i++) {
        cascades |= AS(AlterTableCmd, list_nth(alter->cmds, i))->behavior == DROP_CASCADE;
    }
    return cascades ? SP_SQL_VERB_CASCADE : 0U;
}

static unsigned verb_of(const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_DeleteStmt:
        return SP_SQL_VERB_DELETE;
    case T_InsertStmt:
        return SP_SQL_VERB_INSERT;
    case T_MergeStmt:
        return SP_SQL_VERB_MERGE;
    case T_UpdateStmt:
        return SP_SQL_VERB_UPDATE;
    case T_TruncateStmt:
        return SP_SQL_VERB_TRUNCATE |
               (AS(TruncateStmt, node)->behavior == DROP_CASCADE ? SP_SQL_VERB_CASCADE : 0U);
    case T_DropStmt:
        return SP_SQL_VERB_DROP |
               (AS(DropStmt, node)->behavior == DROP_CASCADE ? SP_SQL_VERB_CASCADE : 0U);
    case T_DropOwnedStmt:
        return SP_SQL_VERB_DROP | SP_SQL_VERB_OWNED | SP_SQL_VERB_CASCADE;
    case T_DropdbStmt:
        return SP_SQL_VERB_DROP | SP_SQL_VERB_CASCADE;
    case T_AlterTableStmt:
        return SP_SQL_VERB_ALTER | cascade_of(AS(AlterTableStmt, node));
    case T_AlterDomainStmt:
    case T_AlterEnumStmt:
    case T_AlterTypeStmt:
    case T_AlterObjectSchemaStmt:
    case T_RenameStmt:
        return SP_SQL_VERB_ALTER;
    default:
        return 0;
    }
}

void note_verb(walker *w, const Node *node)
{
    if (w->statement != NULL) {
        w->statement->verbs |= (uint16_t)verb_of(node);
    }
}

void sp_sql_verbs_write(unsigned verbs, sp_buf *out)
{
    static const char *const words[] = {"ALTER",    "DELETE", "DROP",    "INSERT", "MERGE",
                                        "TRUNCATE", "UPDATE", "CASCADE", "ANY",    "OWNED"};
    size_t begin = out->len;
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        if ((verbs & (1U << i)) != 0) {
            sp_buf_text(out, out->len > begin ? " " : "");
            sp_buf_text(out, words[i]);
        }
    }
}

unsigned sp_sql_verbs(const sp_sql_judgement *judgement)
{
    unsigned verbs = 0;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        verbs |= judgement->statements[i].verbs;
    }
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        verbs |= (judgement->uses[i].flags & SP_SQL_USE_OPAQUE) != 0 ? SP_SQL_VERB_ANY : 0U;
    }
    return (verbs & ~(unsigned)SP_SQL_VERB_CASCADE) == 0 ? SP_SQL_VERB_ANY : verbs;
}

/* SPDX-License-Identifier: Apache-2.0
 * Statements that change, rename, move and drop objects.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#include "lib/sql/define.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"

/* ---- what is changed ---- */

static bool loses(char action)
{
    return action == FKCONSTR_ACTION_SETNULL || action == FKCONSTR_ACTION_SETDEFAULT;
}

key_reach reach_of(const Node *node)
{
    if (node != NULL && nodeTag(node) == T_ColumnDef) {
        return reach_of_all(AS(ColumnDef, node)->constraints);
    }
    const Constraint *key =
        node != NULL && nodeTag(node) == T_Constraint ? AS(Constraint, node) : NULL;
    if (key == NULL || key->contype != CONSTR_FOREIGN) {
        return KEY_HOLDS;
    }
    bool gone = key->fk_del_action == FKCONSTR_ACTION_CASCADE || loses(key->fk_del_action) ||
                loses(key->fk_upd_action);
    return gone                                            ? KEY_LOSES
           : key->fk_upd_action == FKCONSTR_ACTION_CASCADE ? KEY_CHANGES
                                                           : KEY_HOLDS;
}

key_reach reach_of_all(const List *definitions)
{
    key_reach most = KEY_HOLDS;
    for (int i = 0; i < list_length(definitions); i++) {
        key_reach one = reach_of((const Node *)list_nth(definitions, i));
        most = one > most ? one : most;
    }
    return most;
}

static const sp_sql_relation *known_of(const walker *w, const RangeVar *name)
{
    found_relation found = walk_resolve(w, name, true);
    return found.kind == FOUND_KNOWN ? sp_sql_catalogue_at(w->context->catalogue, found.relation)
                                     : NULL;
}

void record_binding(walker *w, const RangeVar *parent)
{
    const sp_sql_relation *known = known_of(w, parent);
    if (known != NULL && known->kind == 'p') {
        record_other(w, text_of(parent->relname));
    }
}

/* A key that is added: what follows it. */
static void record_key(walker *w, const AlterTableStmt *alter, const AlterTableCmd *command)
{
    key_reach reach = reach_of(command->def);
    if (reach == KEY_CHANGES) {
        record_relation(w, alter->relation, SP_ACTION_WRITE, SP_SQL_USE_BROAD);
    }
    if (reach != KEY_HOLDS) {
        record_binding(w, alter->relation);
    }
}

/* What policy says of a name would no longer be said of what it stands for. */
sp_action action_of_renaming(const walker *w, const RangeVar *relation)
{
    const sp_sql_relation *known = relation == NULL ? NULL : known_of(w, relation);
    return known != NULL && (known->flags & SP_SQL_REL_TAGGED) != 0 ? SP_ACTION_ADMINISTER
                                                                    : SP_ACTION_ALTER;
}

/* What guards a partition guards nothing that is done by its parent's name; what guards the parent
 * guards a partition no longer that is none any more. */
static void record_guarded(walker *w, const RangeVar *partition, uint32_t by)
{
    const sp_sql_relation *known = known_of(w, partition);
    if (known != NULL && (known->flags & by) != 0) {
        record_relation(w, partition, SP_ACTION_ADMINISTER, 0);
    }
    w->statement->flags |= SP_SQL_IS_UNSURE; /* it may have got one */
}

/* Policies, rules and triggers for each statement are those of the relation that is named. */
static sp_action action_of_inheriting(const AlterTableCmd *command, sp_action renaming)
{
    return command->subtype == AT_AddInherit ? SP_ACTION_ADMINISTER : renaming;
}

/* It, or a partition or child of it, is another server's. */
static bool has_foreign(const walker *w, const sp_sql_relation *relation, unsigned depth)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_edge *edges =
        sp_sql_catalogue_edges(catalogue, (uint32_t)(relation - sp_sql_catalogue_at(catalogue, 0)));
    bool found = relation->kind == 'f' || depth == SP_SQL_DEPTH_MAX;
    for (uint32_t i = 0; i < relation->edge_count && !found && !walk_is_spent(w); i++) {
        found = edges[i].kind == SP_SQL_EDGE_CHILD &&
                has_foreign(w, sp_sql_catalogue_at(catalogue, edges[i].to), depth + 1);
    }
    return found;
}

/* A column of a foreign table is one of the other server's, which nobody tagged here. */
static bool shows_more(const walker *w, const AlterTableStmt *alter, const AlterTableCmd *command)
{
    const sp_sql_relation *known = known_of(w, alter->relation);
    bool is_foreign =
        alter->objtype == OBJECT_FOREIGN_TABLE || AS(ColumnDef, command->def)->fdwoptions != NIL;
    return is_foreign || (known != NULL && has_foreign(w, known, 0));
}

/* What a view hides from whom, as whose it reads, and which rows go in through it. */
static bool opens_view(const AlterTableCmd *command)
{
    static const char *const words[] = {"security_barrier", "security_invoker", "check_option"};
    const List *options =
        command->def != NULL && is_list(command->def) ? AS(List, command->def) : NIL;
    for (int i = 0; i < list_length(options); i++) {
        const DefElem *option = AS(DefElem, list_nth(options, i));
        for (size_t j = 0; j < SP_COUNT(words); j++) {
            if (sp_span_eq_nocase(text_of(option->defname), text_of(words[j]))) {
                return true;
            }
        }
    }
    return false;
}

/* Where they are, how they are stored, what is filled in for them, what may stand there. */
static bool keeps_rows(AlterTableType command)
{
    switch ((int)command) {
    case AT_ColumnDefault:
    case AT_DropNotNull:
    case AT_SetNotNull:
    case AT_SetStatistics:
    case AT_SetOptions:
    case AT_ResetOptions:
    case AT_SetStorage:
    case AT_SetCompression:
    case AT_AddIdentity:
    case AT_SetIdentity:
    case AT_DropIdentity:
    case AT_AlterConstraint:
    case AT_ValidateConstraint:
    case AT_ClusterOn:
    case AT_DropCluster:
    case AT_SetLogged:
    case AT_DropOids:
    case AT_SetAccessMethod:
    case AT_SetTableSpace:
    case AT_DropOf:
    case AT_ReplicaIdentity:
    case AT_AttachPartition: /* names are given: record_family() */
    case AT_DetachPartition:
    case AT_DetachPartitionFinalize:
    case AT_AddInherit:
    case AT_DropInherit:
        return true;
    default:
        return false;
    }
}

/* Who sees which rows, and what checks, changes and writes down what is done to them. */
static bool is_guarding(AlterTableType command)
{
    switch ((int)command) {
    case AT_ChangeOwner:
    case AT_EnableRowSecurity:
    case AT_DisableRowSecurity:
    case AT_ForceRowSecurity:
    case AT_NoForceRowSecurity:
    case AT_GenericOptions: /* of a foreign table: what it shows under its name, as whom */
    case AT_AlterColumnGenericOptions:
    case AT_AddOf: /* it falls with the type */
    case AT_EnableTrig:
    case AT_EnableTrigAll:
    case AT_EnableTrigUser:
    case AT_EnableAlwaysTrig:
    case AT_EnableReplicaTrig: /* not for who connects here */
    case AT_DisableTrig:
    case AT_DisableTrigAll:
    case AT_DisableTrigUser:
    case AT_EnableRule:
    case AT_EnableAlwaysRule:
    case AT_EnableReplicaRule:
    case AT_DisableRule:
        return true;
    default:
        return false;
    }
}

static sp_action action_of_command(walker *w, const AlterTableStmt *alter,
                                   const AlterTableCmd *command)
{
    const sp_action keyed =
        reach_of(command->def) == KEY_LOSES ? SP_ACTION_DESTROY : SP_ACTION_ALTER;
    if (keeps_rows(command->subtype)) {
        return SP_ACTION_ALTER;
    }
    if (is_guarding(command->subtype)) {
        return SP_ACTION_ADMINISTER;
    }
    switch ((int)command->subtype) {
    case AT_AddColumn:
        return shows_more(w, alter, command) ? SP_ACTION_ADMINISTER : keyed;
    case AT_AddConstraint:
        return keyed;
    case AT_DropColumn:
        return kind_asks(OBJECT_COLUMN, KIND_DROP);
    case AT_SetUnLogged: /* the next crash empties it */
        return SP_ACTION_DESTROY;
    case AT_DropConstraint: /* with it keys of others, views that group by it */
        return command->behavior == DROP_CASCADE ? SP_ACTION_DESTROY
                                                 : kind_asks(OBJECT_TABCONSTRAINT, KIND_DROP);
    case AT_AlterColumnType:
        w->statement->flags |= SP_SQL_IS_UNSURE; /* what it is now may be new */
        return retype_keeps(w, alter, command) ? SP_ACTION_ALTER : SP_ACTION_DESTROY;
    case AT_DropExpression: /* that it is computed is what policy knows it by */
        return action_of_renaming(w, alter->relation);
    case AT_SetRelOptions:
    case AT_ResetRelOptions:
        return opens_view(command) ? SP_ACTION_ADMINISTER : SP_ACTION_ALTER;
    default:
        walk_fault(w, SP_SQL_UNKNOWN, "a change of a table that is not known here (type %d)",
                   (int)command->subtype);
        return SP_ACTION_DESTROY;
    }
}

/* A child's rows are seen under the name of its new parent, or (NULL) under its own alone. */
static void record_family(walker *w, const RangeVar *child, const RangeVar *parent, uint16_t more)
{
    const RangeVar *as = parent != NULL ? parent : child;
    found_relation is = walk_resolve(w, child, true);
    found_relation seen = walk_resolve(w, as, true);
    w->statement->flags |= SP_SQL_IS_FAMILY;
    if (w->context->catalogue == NULL && (more & SP_SQL_USE_MOVES) != 0) {
        record_relation(w, child, SP_ACTION_DESTROY, 0);
        record_relation(w, as, SP_ACTION_DESTROY, 0);
    }
    if (is.kind == FOUND_TEMPORARY || seen.kind == FOUND_TEMPORARY ||
        w->context->catalogue == NULL) {
        return;
    }
    given_name to = given_of(w, text_of(as->schemaname), text_of(as->relname));
    if (seen.kind == FOUND_KNOWN) {
        const sp_sql_relation *known = sp_sql_catalogue_at(w->context->catalogue, seen.relation);
        to = (given_name){known->schema, known->name};
    }
    bool may_be_any = is.kind == FOUND_UNKNOWN && walk_is_other(w, text_of(child->relname));
    record_becoming(w, is.relation, to.schema, to.name,
                    (uint16_t)(more | (may_be_any ? SP_SQL_USE_OPAQUE : 0)));
}

/* Tables have columns of its row type, which lose what it loses. */
static bool is_held(const walker *w, const RangeVar *relation)
{
    const sp_sql_relation *known = known_of(w, relation);
    return known != NULL && (known->flags & SP_SQL_REL_HELD) != 0;
}

void walk_alter_table(walker *w, const AlterTableStmt *alter)
{
    for (int i = 0; i < list_length(alter->cmds); i++) {
        const AlterTableCmd *command = AS(AlterTableCmd, list_nth(alter->cmds, i));
        record_relation(w, alter->relation, action_of_command(w, alter, command), 0);
        if (command->subtype == AT_GenericOptions ||
            command->subtype == AT_AlterColumnGenericOptions) {
            w->statement->flags |= SP_SQL_IS_SECRET;
        }
        if (alter->objtype == OBJECT_TYPE) {
            /* DROP ATTRIBUTE: all columns of that type lose it, CASCADE or not */
            lose_columns(w, command->subtype == AT_DropColumn ? DROP_CASCADE : command->behavior);
        } else if (command->subtype == AT_DropColumn && is_held(w, alter->relation)) {
            lose_columns(w, DROP_CASCADE);
        } else if (command->behavior == DROP_CASCADE &&
                   walk_resolve(w, alter->relation, true).kind != FOUND_TEMPORARY) {
            fall_with(w);
        }
        if (command->def != NULL && nodeTag(command->def) == T_PartitionCmd) {
            const PartitionCmd *partition = AS(PartitionCmd, command->def);
            record_relation(w, partition->name, action_of_renaming(w, partition->name), 0);
            bool joins = command->subtype == AT_AttachPartition;
            bool moves = joins && alter->objtype != OBJECT_INDEX;
            if (moves) {
                record_guarded(w, partition->name, SP_SQL_REL_GUARDED | SP_SQL_REL_RULES);
            } else if (!joins) { /* row triggers go with the parent that they are of */
                record_guarded(w, partition->name, SP_SQL_REL_TRIGGERS);
            }
            record_family(w, partition->name, joins ? alter->relation : NULL,
                          moves ? SP_SQL_USE_MOVES : 0);
            walk(w, (const Node *)partition->bound);
        } else if (command->def != NULL && nodeTag(command->def) == T_RangeVar) {
            /* INHERIT, NO INHERIT: its rows are seen under the parent's name, or no longer */
            record_relation(w, alter->relation,
                            action_of_inheriting(command, action_of_renaming(w, alter->relation)),
                            0);
            record_relation(w, AS(RangeVar, command->def), SP_ACTION_ALTER, 0);
            bool joins = command->subtype == AT_AddInherit;
            if (joins && may_be_any_temporary(w, alter->relation)) {
                forbid_temporary_child(w, AS(RangeVar, command->def));
            }
            record_family(w, alter->relation, joins ? AS(RangeVar, command->def) : NULL,
                          joins ? SP_SQL_USE_MOVES : 0);
        } else {
            walk(w, command->def);
        }
        record_key(w, alter, command);
    }
}

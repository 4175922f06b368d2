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

/* Rows of others go or change with its own. */
static bool has_followers(const walker *w, const sp_sql_relation *relation)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_edge *edges =
        sp_sql_catalogue_edges(catalogue, (uint32_t)(relation - sp_sql_catalogue_at(catalogue, 0)));
    for (uint32_t i = 0; i < relation->edge_count; i++) {
        if (edges[i].kind == SP_SQL_EDGE_CASCADES || edges[i].kind == SP_SQL_EDGE_UPDATES) {
            return true;
        }
    }
    return false;
}

/* A partition gets the keys and row triggers of its parent; what others put into the parent gets
 * those of the partition. */
static void record_attaching(walker *w, const RangeVar *parent, const RangeVar *partition)
{
    enum {
        FOLLOWING = SP_SQL_REL_FOLLOWS | SP_SQL_REL_TRIGGERS,
        GUARDED = SP_SQL_REL_GUARDED | SP_SQL_REL_RULES,
    };
    const sp_sql_relation *above = known_of(w, parent);
    const sp_sql_relation *below = known_of(w, partition);
    bool is_plain = below != NULL && !has_followers(w, below) &&
                    (below->flags & (FOLLOWING | GUARDED | SP_SQL_REL_UNLOGGED)) == 0;
    if (above == NULL || (above->flags & FOLLOWING) != 0) {
        record_relation(w, partition, SP_ACTION_DESTROY, 0);
    }
    if (!is_plain) {
        record_relation(w, parent, SP_ACTION_DESTROY, 0);
    }
    if (below != NULL && (below->flags & GUARDED) != 0) {
        record_relation(w, partition, SP_ACTION_ADMINISTER, 0);
    }
    w->statement->flags |= SP_SQL_IS_UNSURE; /* they may have got one */
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

static sp_action action_of_command(const walker *w, const AlterTableStmt *alter,
                                   const AlterTableCmd *command)
{
    switch ((int)command->subtype) {
    case AT_AddColumn:
        if (shows_more(w, alter, command)) {
            return SP_ACTION_ADMINISTER;
        }
        break;
    case AT_DropColumn:
    case AT_SetUnLogged: /* the next crash empties it */
        return SP_ACTION_DESTROY;
    case AT_DropConstraint: /* with it keys of others, views that group by it */
        return command->behavior == DROP_CASCADE ? SP_ACTION_DESTROY : SP_ACTION_ALTER;
    case AT_AlterColumnType:
        return retype_keeps(w, alter, command) ? SP_ACTION_ALTER : SP_ACTION_DESTROY;
    case AT_ChangeOwner:
    case AT_EnableRowSecurity:
    case AT_DisableRowSecurity:
    case AT_ForceRowSecurity:
    case AT_NoForceRowSecurity:
    case AT_GenericOptions: /* of a foreign table: what it shows under its name, as whom */
    case AT_AlterColumnGenericOptions:
    case AT_AddOf:       /* it falls with the type */
    case AT_DisableTrig: /* what checks and writes down changes does so no longer */
    case AT_DisableTrigAll:
    case AT_DisableTrigUser:
    case AT_EnableAlwaysTrig:
    case AT_EnableReplicaTrig:
    case AT_DisableRule:
        return SP_ACTION_ADMINISTER;
    default:
        break;
    }
    return reach_of(command->def) == KEY_LOSES ? SP_ACTION_DESTROY : SP_ACTION_ALTER;
}

static sp_action action_of_renaming(const walker *w, const RangeVar *relation);
static void lose_columns(walker *w, DropBehavior behavior);
static void fall_with(walker *w);

/* A child's rows are seen under the name of its new parent, or (NULL) under its own alone. */
static void record_family(walker *w, const RangeVar *child, const RangeVar *parent, uint16_t more)
{
    const RangeVar *as = parent != NULL ? parent : child;
    found_relation is = walk_resolve(w, child, true);
    found_relation seen = walk_resolve(w, as, true);
    w->statement->flags |= SP_SQL_IS_FAMILY;
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
            if (command->subtype == AT_AttachPartition && alter->objtype != OBJECT_INDEX) {
                record_attaching(w, alter->relation, partition->name);
            }
            bool joins = command->subtype == AT_AttachPartition;
            bool moves = joins && alter->objtype != OBJECT_INDEX;
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
            record_family(w, alter->relation, joins ? AS(RangeVar, command->def) : NULL,
                          joins ? SP_SQL_USE_MOVES : 0);
        } else {
            walk(w, command->def);
        }
        record_key(w, alter, command);
    }
}

static bool is_of_server(ObjectType type)
{
    switch ((int)type) {
    case OBJECT_ACCESS_METHOD:
    case OBJECT_DATABASE:
    case OBJECT_EVENT_TRIGGER:
    case OBJECT_EXTENSION:
    case OBJECT_FDW:
    case OBJECT_FOREIGN_SERVER:
    case OBJECT_LANGUAGE:
    case OBJECT_PUBLICATION:
    case OBJECT_ROLE:
    case OBJECT_SUBSCRIPTION:
    case OBJECT_TABLESPACE:
    case OBJECT_USER_MAPPING:
    case OBJECT_DEFACL:
    case OBJECT_PARAMETER_ACL:
        return true;
    default:
        return false;
    }
}

RangeVar relation_of_names(const List *names, int but)
{
    RangeVar name = {.type = T_RangeVar, .relpersistence = RELPERSISTENCE_PERMANENT};
    int count = list_length(names) - but;
    if (count > 0 && nodeTag(list_nth(names, count - 1)) == T_String) {
        name.relname = ((String *)list_nth(names, count - 1))->sval;
    }
    if (count > 1 && nodeTag(list_nth(names, count - 2)) == T_String) {
        name.schemaname = ((String *)list_nth(names, count - 2))->sval;
    }
    return name;
}

static bool is_relation_type(ObjectType type)
{
    return type == OBJECT_TABLE || type == OBJECT_VIEW || type == OBJECT_MATVIEW ||
           type == OBJECT_SEQUENCE || type == OBJECT_FOREIGN_TABLE || type == OBJECT_INDEX;
}

/* Named by its relation's names and one of its own. */
static bool is_part_of_relation(ObjectType type)
{
    return type == OBJECT_COLUMN || type == OBJECT_TABCONSTRAINT || type == OBJECT_TRIGGER ||
           type == OBJECT_RULE || type == OBJECT_POLICY;
}

void change_object(walker *w, ObjectType type, const RangeVar *relation, const Node *object,
                   sp_action action)
{
    RangeVar named = relation_of_names(names_of(object), is_part_of_relation(type) ? 1 : 0);
    bool names_relation =
        (is_relation_type(type) || is_part_of_relation(type)) && named.relname != NULL;
    if (relation != NULL || names_relation) {
        record_relation(w, relation != NULL ? relation : &named, action, 0);
    } else if (is_of_server(type)) {
        record_database(w, SP_ACTION_ADMINISTER);
    } else if (type == OBJECT_SCHEMA) {
        record_object(w, action, SP_SQL_SCHEMA, 0, string_of(object), SP_SPAN_EMPTY);
    } else {
        const List *names = names_of(object);
        record_named(w, action, names_before(names),
                     names != NIL ? names_last(names) : string_of(object));
    }
}

static bool is_code(ObjectType type)
{
    return type == OBJECT_FUNCTION || type == OBJECT_PROCEDURE || type == OBJECT_ROUTINE ||
           type == OBJECT_AGGREGATE;
}

/* What policy says of a name would no longer be said of what it stands for. */
static sp_action action_of_renaming(const walker *w, const RangeVar *relation)
{
    const sp_sql_relation *known = relation == NULL ? NULL : known_of(w, relation);
    return known != NULL && (known->flags & SP_SQL_REL_TAGGED) != 0 ? SP_ACTION_ADMINISTER
                                                                    : SP_ACTION_ALTER;
}

/* A relation gets another name or schema: policy may say something else of it then. The new name is
 * a use of its own; who may not destroy what policy names may not take it from there either. */
static void record_new_name(walker *w, const RangeVar *relation, sp_span schema, sp_span name)
{
    found_relation found = walk_resolve(w, relation, true);
    if (found.kind == FOUND_TEMPORARY) {
        return;
    }
    sp_span old_schema = text_of(relation->schemaname);
    if (found.kind == FOUND_KNOWN) {
        old_schema = sp_sql_catalogue_at(w->context->catalogue, found.relation)->schema;
    }
    const given_name to = given_of(w, schema.len > 0 ? schema : old_schema,
                                   name.len > 0 ? name : text_of(relation->relname));
    record_cover(w, &to);
    if (found.kind == FOUND_KNOWN) {
        char kind = sp_sql_catalogue_at(w->context->catalogue, found.relation)->kind;
        bool is_index = kind == 'i' || kind == 'I';
        record_given(w, found.relation, &to, is_index ? 0 : SP_SQL_USE_MOVES);
    } else {
        record_given_unknown(w, relation, &to);
    }
}

/* All that stands in a schema gets another name at once. */
static void rename_schema(walker *w, sp_span from, sp_span to)
{
    const sp_span both[] = {from, to};
    for (size_t i = 0; i < SP_COUNT(both); i++) {
        record_object(w, SP_ACTION_DESTROY, SP_SQL_SCHEMA, SP_SQL_USE_ALL, both[i], SP_SPAN_EMPTY);
        record_object(w, SP_ACTION_ADMINISTER, SP_SQL_SCHEMA, SP_SQL_USE_ALL, both[i],
                      SP_SPAN_EMPTY);
    }
    record_given_all(w, from, to);
}

void walk_rename(walker *w, const RenameStmt *rename)
{
    w->statement->flags |= SP_SQL_IS_ALIAS;
    /* ALTER INDEX renames tables too */
    bool names_rows = is_relation_type(rename->renameType);
    bool names_column =
        rename->renameType == OBJECT_COLUMN || rename->renameType == OBJECT_ATTRIBUTE;
    if (rename->renameType == OBJECT_SCHEMA) {
        rename_schema(w, text_of(rename->subname), text_of(rename->newname));
        record_other(w, SP_SPAN_EMPTY);
        return;
    }
    change_object(w, rename->renameType, rename->relation, rename->object,
                  names_rows || names_column ? action_of_renaming(w, rename->relation)
                                             : SP_ACTION_ALTER);
    if (rename->renameType == OBJECT_ATTRIBUTE && rename->behavior == DROP_CASCADE) {
        record_database(w, SP_ACTION_ADMINISTER); /* columns of all tables of that type */
    }
    if (names_column && rename->relation != NULL) {
        record_changed_names(w, rename->relation);
    }
    if (names_rows && rename->relation != NULL) {
        bool may_be = rename->relation->schemaname == NULL || is_temporary_name(rename->relation);
        w->statement->flags |= may_be ? SP_SQL_RENAMES_TEMP : 0;
        w->room->is_temp_renamed |= may_be_temporary(w, rename->relation);
        if (may_be && is_server_type(text_of(rename->newname))) {
            walk_fault(w, SP_SQL_FORBIDDEN,
                       "what may be a temporary table, called like a type of the server");
        }
        if (walk_resolve(w, rename->relation, true).kind == FOUND_TEMPORARY) {
            const RangeVar now = {.relname = rename->newname}; /* another one of the session's */
            record_made_temporary(w, &now);
        } else {
            record_new_name(w, rename->relation, SP_SPAN_EMPTY, text_of(rename->newname));
            record_other(w, text_of(rename->newname));
            record_uncover(w, rename->relation, false);
        }
    }
    if (rename->renameType == OBJECT_TYPE || rename->renameType == OBJECT_DOMAIN) {
        name_trusted(w, names_before(names_of(rename->object)), text_of(rename->newname));
    }
    if (is_code(rename->renameType)) {
        lose_code(w, names_of(rename->object));
        name_code(w, names_before(names_of(rename->object)), text_of(rename->newname));
    }
}

void walk_move(walker *w, const AlterObjectSchemaStmt *move)
{
    w->statement->flags |= SP_SQL_IS_ALIAS;
    forbid_temporary_place(w, text_of(move->newschema));
    change_object(w, move->objectType, move->relation, move->object,
                  action_of_renaming(w, move->relation));
    if (move->objectType == OBJECT_EXTENSION) {
        record_database(w, SP_ACTION_DESTROY); /* tables and views of it, whichever those are */
        record_other(w, SP_SPAN_EMPTY);
    }
    if (move->relation != NULL) {
        record_new_name(w, move->relation, text_of(move->newschema), SP_SPAN_EMPTY);
        record_other(w, text_of(move->relation->relname));
        record_uncover(w, move->relation, false);
    }
    if (move->objectType == OBJECT_TYPE || move->objectType == OBJECT_DOMAIN) {
        name_trusted(w, text_of(move->newschema), names_last(names_of(move->object)));
    }
    if (is_code(move->objectType)) {
        lose_code(w, names_of(move->object));
        name_code(w, text_of(move->newschema), names_last(names_of(move->object)));
    }
}

/* ---- what is dropped ---- */

/* Dropping these loses no rows and nobody's work: they are made again from what is there. */
static bool is_light(ObjectType type)
{
    switch ((int)type) {
    case OBJECT_INDEX:
    case OBJECT_STATISTIC_EXT:
    case OBJECT_CAST:
    case OBJECT_OPERATOR:
    case OBJECT_OPCLASS:
    case OBJECT_OPFAMILY:
    case OBJECT_CONVERSION:
        return true;
    default:
        return false;
    }
}

/* Nobody but the session has anything there, whether it is known here or not. */
static bool is_sessions_own(const DropStmt *drop, const RangeVar *name)
{
    bool has_rows = drop->removeType == OBJECT_TABLE || drop->removeType == OBJECT_SEQUENCE;
    return has_rows && sp_span_eq(text_of(name->schemaname), SP_SPAN_LIT("pg_temp"));
}

static void note_absent(walker *w, const DropStmt *drop, const RangeVar *name)
{
    sp_span bare = text_of(name->relname);
    bool is_one = drop->removeType == OBJECT_TABLE && drop->missing_ok &&
                  list_length(drop->objects) == 1 && name->schemaname == NULL;
    if (is_one && w->statement->absent.len == 0 && !walk_is_own(w, name) &&
        !walk_is_other(w, bare) && walk_resolve(w, name, true).kind == FOUND_UNKNOWN) {
        w->statement->absent = record_name(w, bare);
    }
}

static void drop_relation(walker *w, const DropStmt *drop, const List *names)
{
    RangeVar name = relation_of_names(names, 0);
    bool cascades = drop->behavior == DROP_CASCADE;
    sp_action action =
        is_light(drop->removeType) && !cascades ? SP_ACTION_ALTER : SP_ACTION_DESTROY;
    if (name.relname == NULL) {
        walk_fault(w, SP_SQL_UNKNOWN, "DROP of something that has no name");
        return;
    }
    if (is_sessions_own(drop, &name)) {
        record_temporary(w, &name, FOUND_TEMPORARY, false);
        return;
    }
    note_absent(w, drop, &name);
    /* a view has no rows: what it reads stays */
    bool has_rows = drop->removeType != OBJECT_VIEW && drop->removeType != OBJECT_INDEX;
    record_relation(w, &name, action, action == SP_ACTION_DESTROY && has_rows ? SP_SQL_USE_ALL : 0);
    if (cascades && walk_resolve(w, &name, true).kind != FOUND_TEMPORARY) {
        record_object(w, SP_ACTION_DESTROY, SP_SQL_SCHEMA, SP_SQL_USE_ALL | SP_SQL_USE_IMPLIED,
                      text_of(name.schemaname), SP_SPAN_EMPTY);
        fall_with(w);
    }
    record_uncover(w, &name, true);
}

/* What stands on it goes too, wherever that is: views, columns of its types, policies of other
 * tables that look at it, keys; and other names come to light. */
static void fall_with(walker *w)
{
    record_other(w, SP_SPAN_EMPTY);
    record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE,
                  SP_SQL_USE_ALL | SP_SQL_USE_IMPLIED | SP_SQL_USE_FALLS, SP_SPAN_EMPTY,
                  SP_SPAN_EMPTY);
}

/* Columns of any table may be of what goes, or computed by it; views go with it, and other names
 * come to light. */
static void lose_columns(walker *w, DropBehavior behavior)
{
    if (behavior == DROP_CASCADE) {
        record_other(w, SP_SPAN_EMPTY);
        record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE, SP_SQL_USE_ALL | SP_SQL_USE_IMPLIED,
                      SP_SPAN_EMPTY, SP_SPAN_EMPTY);
    }
}

void walk_drop(walker *w, const DropStmt *drop)
{
    for (int i = 0; i < list_length(drop->objects); i++) {
        const Node *object = (const Node *)list_nth(drop->objects, i);
        const List *names = names_of(object);
        sp_action action = is_light(drop->removeType) && drop->behavior != DROP_CASCADE
                               ? SP_ACTION_ALTER
                               : SP_ACTION_DESTROY;
        if (is_relation_type(drop->removeType)) {
            drop_relation(w, drop, names);
        } else if (drop->removeType == OBJECT_SCHEMA) {
            record_object(w, SP_ACTION_DESTROY, SP_SQL_SCHEMA, SP_SQL_USE_ALL, string_of(object),
                          SP_SPAN_EMPTY);
            record_other(w, SP_SPAN_EMPTY);
            if (drop->behavior == DROP_CASCADE) {
                fall_with(w);
            }
        } else if (drop->removeType == OBJECT_POLICY) {
            record_database(w, SP_ACTION_ADMINISTER);
        } else if (drop->removeType == OBJECT_TRIGGER || drop->removeType == OBJECT_RULE) {
            RangeVar name = relation_of_names(names, 1); /* as to disable it */
            bool cascades = drop->behavior == DROP_CASCADE;
            record_relation(w, &name, cascades ? SP_ACTION_DESTROY : SP_ACTION_ADMINISTER, 0);
        } else if (is_of_server(drop->removeType)) {
            record_database(w, SP_ACTION_ADMINISTER);
            if (drop->removeType == OBJECT_EXTENSION || drop->behavior == DROP_CASCADE) {
                record_database(w, SP_ACTION_DESTROY);
            }
        } else {
            record_named(w, action, names_before(names), names_last(names));
            lose_columns(w, drop->behavior);
        }
    }
}

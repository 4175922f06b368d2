/* SPDX-License-Identifier: Apache-2.0
 * Statements that define, change and drop objects, and that give rights.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#include "lib/sql/walk.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"

/* ---- what is made ---- */

static bool is_temporary_name(const RangeVar *name)
{
    return name->relpersistence == RELPERSISTENCE_TEMP ||
           sp_span_eq(text_of(name->schemaname), SP_SPAN_LIT("pg_temp"));
}

/* True when it is temporary, which is nobody else's business. */
static bool make_relation(walker *w, const RangeVar *name)
{
    if (!is_temporary_name(name)) {
        record_object(w, SP_ACTION_ALTER, SP_SQL_SCHEMA, 0, text_of(name->schemaname),
                      text_of(name->relname));
        return false;
    }
    if ((w->statement->flags & SP_SQL_IS_EXECUTE) != 0) {
        walk_fault(w, SP_SQL_UNKNOWN, "CREATE TEMPORARY TABLE ... AS EXECUTE");
        return true;
    }
    walk_room *room = w->room;
    w->statement->flags |= SP_SQL_IS_CREATE_TEMP;
    w->statement->name = record_name(w, text_of(name->relname));
    if (room->temp_count < WALK_TEMPS_MAX) {
        room->temps[room->temp_count++] = w->statement->name;
    }
    return true;
}

/* The name of an object that is not a relation, wherever the grammar put it. */
static const List *names_of(const Node *object)
{
    if (object == NULL) {
        return NIL;
    }
    switch ((int)nodeTag(object)) {
    case T_List:
        return (const List *)(const void *)object;
    case T_ObjectWithArgs:
        return AS(ObjectWithArgs, object)->objname;
    case T_TypeName:
        return AS(TypeName, object)->names;
    default:
        return NIL;
    }
}

static void make_named(walker *w, const List *names)
{
    record_object(w, SP_ACTION_ALTER, SP_SQL_SCHEMA, 0, names_before(names), names_last(names));
}

static void walk_create(walker *w, const CreateStmt *create)
{
    make_relation(w, create->relation);
    for (int i = 0; i < list_length(create->inhRelations); i++) {
        record_relation(w, AS(RangeVar, list_nth(create->inhRelations, i)), SP_ACTION_ALTER, 0);
    }
    walk_other_children(w, (const Node *)create, offsetof(CreateStmt, relation),
                        offsetof(CreateStmt, inhRelations));
}

static void walk_create_as(walker *w, const CreateTableAsStmt *create)
{
    walk(w, create->query);
    make_relation(w, create->into->rel);
}

/* A temporary view is a name of this session for other people's tables: what is done to it would be
 * done to them, unseen. */
static void walk_view(walker *w, const ViewStmt *view)
{
    if (is_temporary_name(view->view)) {
        walk_fault(w, SP_SQL_FORBIDDEN, "CREATE TEMPORARY VIEW");
        return;
    }
    w->statement->flags |= SP_SQL_IS_ALIAS;
    if (!make_relation(w, view->view) && view->replace &&
        walk_resolve(w, view->view, true).kind == FOUND_KNOWN) {
        record_relation(w, view->view, SP_ACTION_ALTER, 0);
    }
    walk(w, view->query);
    record_other(w, text_of(view->view->relname));
}

static bool is_there(const walker *w, sp_span name)
{
    return w->context->catalogue != NULL &&
           sp_sql_catalogue_has_function(w->context->catalogue, name);
}

/* Code that would run under a name that is trusted: one of the server's own functions, one that
 * policy lists, or any that is there. Triggers, defaults, checks, views and bodies of others may
 * call it, and the arguments may fit the new one better: what it does is done by who never named
 * it. */
static void name_code(walker *w, sp_span schema, sp_span name)
{
    sp_action action = SP_ACTION_READ;
    if (schema.len == 0 && w->context->catalogue != NULL) {
        schema = sp_sql_catalogue_home(w->context->catalogue);
    }
    record_made(w, name);
    if (function_find(name) != FUNCTION_UNKNOWN || is_there(w, name) ||
        (w->context->function_action != NULL &&
         w->context->function_action(w->context->policy, schema, name, &action))) {
        record_opaque(w, SP_SQL_FUNCTION, schema, name);
    }
}

/* Whoever calls it by its old name finds another one, or none. */
static void lose_code(walker *w, const List *names)
{
    sp_span name = names_last(names);
    if (is_there(w, name)) {
        record_opaque(w, SP_SQL_FUNCTION, names_before(names), name);
    }
}

static void make_code(walker *w, const List *names)
{
    make_named(w, names);
    name_code(w, names_before(names), names_last(names));
}

/* "CREATE OPERATOR ... (FUNCTION = f)" and the like: from now on f runs under another name. */
static void bind_code(walker *w, const List *definition)
{
    static const char *const words[] = {
        "function", "procedure",   "restrict",     "join",       "sfunc",        "finalfunc",
        "msfunc",   "combinefunc", "minvfunc",     "mfinalfunc", "serialfunc",   "sfunc1",
        "input",    "output",      "receive",      "send",       "typmod_in",    "typmod_out",
        "analyze",  "subscript",   "subtype_diff", "canonical",  "deserialfunc",
    };
    for (int i = 0; i < list_length(definition); i++) {
        const DefElem *option = AS(DefElem, list_nth(definition, i));
        const Node *value = option->arg;
        bool names_code = false;
        for (size_t j = 0; j < SP_COUNT(words); j++) {
            names_code |= sp_span_eq(text_of(option->defname), text_of(words[j]));
        }
        if (names_code && value != NULL) {
            const List *name = names_of(value);
            record_function(w, names_before(name),
                            name != NIL ? names_last(name) : string_of(value));
        }
    }
}

static void bind_class(walker *w, const List *items)
{
    for (int i = 0; i < list_length(items); i++) {
        const CreateOpClassItem *item = AS(CreateOpClassItem, list_nth(items, i));
        if (item->itemtype == OPCLASS_ITEM_FUNCTION && item->name != NULL) {
            record_function(w, names_before(item->name->objname), names_last(item->name->objname));
        }
    }
}

static void walk_function(walker *w, const CreateFunctionStmt *create)
{
    make_code(w, create->funcname);
    for (int i = 0; i < list_length(create->options); i++) {
        const DefElem *option = AS(DefElem, list_nth(create->options, i));
        sp_span language = string_of(option->arg);
        if (sp_span_eq(text_of(option->defname), SP_SPAN_LIT("language")) &&
            !sp_span_eq_nocase(language, SP_SPAN_LIT("sql")) &&
            !sp_span_eq_nocase(language, SP_SPAN_LIT("plpgsql"))) {
            record_database(w, SP_ACTION_ADMINISTER); /* C and the like: outside of all rights */
        }
    }
    walk_list(w, create->parameters);
    walk(w, create->sql_body);
}

/* A rule's actions are judged as if they ran now. */
static void walk_rule(walker *w, const RuleStmt *rule)
{
    record_relation(w, rule->relation, SP_ACTION_ALTER, 0);
    walk(w, rule->whereClause);
    walk_list(w, rule->actions);
}

/* ---- what is changed ---- */

/* From now on rows here go with rows of another table, however few are named there. */
static bool is_cascade(const Node *node)
{
    const Constraint *key =
        node != NULL && nodeTag(node) == T_Constraint ? AS(Constraint, node) : NULL;
    return key != NULL && key->contype == CONSTR_FOREIGN &&
           key->fk_del_action == FKCONSTR_ACTION_CASCADE;
}

static bool adds_cascade(const AlterTableCmd *command)
{
    const Node *def = command->def;
    const List *all =
        def != NULL && nodeTag(def) == T_ColumnDef ? AS(ColumnDef, def)->constraints : NIL;
    for (int i = 0; i < list_length(all); i++) {
        if (is_cascade((const Node *)list_nth(all, i))) {
            return true;
        }
    }
    return is_cascade(def);
}

static sp_action action_of_command(const walker *w, const AlterTableStmt *alter,
                                   const AlterTableCmd *command)
{
    switch ((int)command->subtype) {
    case AT_DropColumn:
    case AT_SetUnLogged: /* the next crash empties it */
        return SP_ACTION_DESTROY;
    case AT_AlterColumnType:
        return retype_keeps(w, alter, command) ? SP_ACTION_ALTER : SP_ACTION_DESTROY;
    case AT_ChangeOwner:
    case AT_EnableRowSecurity:
    case AT_DisableRowSecurity:
    case AT_ForceRowSecurity:
    case AT_NoForceRowSecurity:
        return SP_ACTION_ADMINISTER;
    default:
        return adds_cascade(command) ? SP_ACTION_DESTROY : SP_ACTION_ALTER;
    }
}

static sp_action action_of_renaming(const walker *w, const RangeVar *relation);
static void lose_columns(walker *w, DropBehavior behavior);

/* A child's rows are seen under the name of its new parent, or (NULL) under its own alone. */
static void record_family(walker *w, const RangeVar *child, const RangeVar *parent)
{
    found_relation is = walk_resolve(w, child, true);
    const RangeVar *as = parent != NULL ? parent : child;
    found_relation seen = walk_resolve(w, as, true);
    if (is.kind != FOUND_KNOWN || seen.kind == FOUND_TEMPORARY) {
        return;
    }
    if (seen.kind == FOUND_KNOWN) {
        const sp_sql_relation *known = sp_sql_catalogue_at(w->context->catalogue, seen.relation);
        record_becoming(w, is.relation, known->schema, known->name);
    } else {
        record_becoming(w, is.relation, text_of(as->schemaname), text_of(as->relname));
    }
}

static void walk_alter_table(walker *w, const AlterTableStmt *alter)
{
    for (int i = 0; i < list_length(alter->cmds); i++) {
        const AlterTableCmd *command = AS(AlterTableCmd, list_nth(alter->cmds, i));
        record_relation(w, alter->relation, action_of_command(w, alter, command), 0);
        if (alter->objtype == OBJECT_TYPE) {
            lose_columns(w, command->behavior); /* DROP ATTRIBUTE: of all columns of that type */
        }
        if (command->def != NULL && nodeTag(command->def) == T_PartitionCmd) {
            const PartitionCmd *partition = AS(PartitionCmd, command->def);
            record_relation(w, partition->name, action_of_renaming(w, partition->name), 0);
            record_family(w, partition->name,
                          command->subtype == AT_AttachPartition ? alter->relation : NULL);
            walk(w, (const Node *)partition->bound);
        } else if (command->def != NULL && nodeTag(command->def) == T_RangeVar) {
            /* INHERIT, NO INHERIT: its rows are seen under the parent's name, or no longer */
            record_relation(w, alter->relation, action_of_renaming(w, alter->relation), 0);
            record_relation(w, AS(RangeVar, command->def), SP_ACTION_ALTER, 0);
            record_family(w, alter->relation,
                          command->subtype == AT_AddInherit ? AS(RangeVar, command->def) : NULL);
        } else {
            walk(w, command->def);
        }
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

/* but: so many names at the end are of something that belongs to the relation. */
static RangeVar relation_of_names(const List *names, int but)
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

static void change_object(walker *w, ObjectType type, const RangeVar *relation, const Node *object,
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
        record_object(w, action, SP_SQL_SCHEMA, 0, names_before(names),
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
    found_relation found = relation == NULL ? (found_relation){FOUND_UNKNOWN, SP_NONE}
                                            : walk_resolve(w, relation, true);
    const sp_sql_relation *known = found.kind == FOUND_KNOWN
                                       ? sp_sql_catalogue_at(w->context->catalogue, found.relation)
                                       : NULL;
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
    record_becoming(w, found.relation, schema.len > 0 ? schema : old_schema,
                    name.len > 0 ? name : text_of(relation->relname));
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
}

/* A name that goes away may have hidden another one of the search path. */
static void uncover(walker *w, const RangeVar *name)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    unsigned found = 0;
    for (uint32_t i = 0; catalogue != NULL && i < SP_SQL_PATH_MAX; i++) {
        sp_span schema = sp_sql_catalogue_path_at(catalogue, i);
        if (schema.len > 0 &&
            sp_sql_catalogue_find(catalogue, schema, text_of(name->relname)) != SP_NONE) {
            found++;
        }
    }
    if (found > 1) {
        record_other(w, text_of(name->relname));
    }
}

static void walk_rename(walker *w, const RenameStmt *rename)
{
    w->statement->flags |= SP_SQL_IS_ALIAS;
    /* ALTER INDEX renames tables too */
    bool names_rows = is_relation_type(rename->renameType);
    bool names_column = rename->renameType == OBJECT_COLUMN;
    if (rename->renameType == OBJECT_SCHEMA) {
        rename_schema(w, text_of(rename->subname), text_of(rename->newname));
        record_other(w, SP_SPAN_EMPTY);
        return;
    }
    change_object(w, rename->renameType, rename->relation, rename->object,
                  names_rows || names_column ? action_of_renaming(w, rename->relation)
                                             : SP_ACTION_ALTER);
    if (names_rows && rename->relation != NULL) {
        record_new_name(w, rename->relation, SP_SPAN_EMPTY, text_of(rename->newname));
        record_other(w, text_of(rename->newname));
        uncover(w, rename->relation);
    }
    if (is_code(rename->renameType)) {
        lose_code(w, names_of(rename->object));
        name_code(w, names_before(names_of(rename->object)), text_of(rename->newname));
    }
}

static void walk_move(walker *w, const AlterObjectSchemaStmt *move)
{
    w->statement->flags |= SP_SQL_IS_ALIAS;
    change_object(w, move->objectType, move->relation, move->object,
                  action_of_renaming(w, move->relation));
    if (move->relation != NULL) {
        record_new_name(w, move->relation, text_of(move->newschema), SP_SPAN_EMPTY);
        record_other(w, text_of(move->relation->relname));
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
    case OBJECT_TRIGGER:
    case OBJECT_RULE:
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
    /* a view has no rows: what it reads stays */
    bool has_rows = drop->removeType != OBJECT_VIEW && drop->removeType != OBJECT_INDEX;
    record_relation(w, &name, action, action == SP_ACTION_DESTROY && has_rows ? SP_SQL_USE_ALL : 0);
    if (cascades && walk_resolve(w, &name, true).kind != FOUND_TEMPORARY) {
        record_object(w, SP_ACTION_DESTROY, SP_SQL_SCHEMA, SP_SQL_USE_ALL | SP_SQL_USE_IMPLIED,
                      text_of(name.schemaname), SP_SPAN_EMPTY);
    }
    uncover(w, &name);
}

/* Columns of any table may be of what goes, or computed by it. */
static void lose_columns(walker *w, DropBehavior behavior)
{
    if (behavior == DROP_CASCADE) {
        record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE, SP_SQL_USE_ALL | SP_SQL_USE_IMPLIED,
                      SP_SPAN_EMPTY, SP_SPAN_EMPTY);
    }
}

static void walk_drop(walker *w, const DropStmt *drop)
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
        } else if (drop->removeType == OBJECT_POLICY) {
            record_database(w, SP_ACTION_ADMINISTER);
        } else if (drop->removeType == OBJECT_TRIGGER || drop->removeType == OBJECT_RULE) {
            RangeVar name = relation_of_names(names, 1);
            record_relation(w, &name, action, 0);
        } else if (is_of_server(drop->removeType)) {
            record_database(w, SP_ACTION_ADMINISTER);
            if (drop->removeType == OBJECT_EXTENSION || drop->behavior == DROP_CASCADE) {
                record_database(w, SP_ACTION_DESTROY);
            }
        } else {
            record_object(w, action, SP_SQL_SCHEMA, 0, names_before(names), names_last(names));
            lose_columns(w, drop->behavior);
        }
    }
}

/* ---- rights ---- */

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

static void bind_function(walker *w, const List *name)
{
    if (name != NIL) {
        record_function(w, names_before(name), names_last(name));
    }
}

/* What runs f from now on, without its name. */
static void bind_named(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_CreateCastStmt:
        bind_function(w, AS(CreateCastStmt, node)->func == NULL
                             ? NIL
                             : AS(CreateCastStmt, node)->func->objname);
        break;
    case T_CreateConversionStmt:
        bind_function(w, AS(CreateConversionStmt, node)->func_name);
        break;
    case T_CreateEventTrigStmt:
        bind_function(w, AS(CreateEventTrigStmt, node)->funcname);
        break;
    default:
        break;
    }
}

static bool walk_server(walker *w, const Node *node)
{
    bind_named(w, node);
    switch ((int)nodeTag(node)) {
    case T_CreateRoleStmt:
    case T_AlterRoleStmt:
    case T_CreateForeignServerStmt:
    case T_AlterForeignServerStmt:
    case T_CreateUserMappingStmt:
    case T_AlterUserMappingStmt:
    case T_CreateSubscriptionStmt:
    case T_AlterSubscriptionStmt:
    case T_CreateForeignTableStmt:
    case T_CreateFdwStmt:
    case T_AlterFdwStmt:
    case T_ImportForeignSchemaStmt:
    case T_AlterRoleSetStmt:
    case T_AlterDatabaseSetStmt:
        w->statement->flags |= SP_SQL_IS_SECRET;
        break;
    case T_GrantRoleStmt:
    case T_AlterDefaultPrivilegesStmt:
    case T_DropRoleStmt:
    case T_ReassignOwnedStmt:
    case T_CreatedbStmt:
    case T_AlterDatabaseStmt:
    case T_AlterDatabaseRefreshCollStmt:
    case T_CreateTableSpaceStmt:
    case T_DropTableSpaceStmt:
    case T_AlterTableSpaceOptionsStmt:
    case T_AlterTableMoveAllStmt:
    case T_SecLabelStmt:
    case T_CreateExtensionStmt:
    case T_AlterExtensionStmt:
    case T_AlterExtensionContentsStmt:
    case T_CreateEventTrigStmt:
    case T_AlterEventTrigStmt:
    case T_CreatePLangStmt:
    case T_CreateAmStmt:
    case T_CreateTransformStmt:
    case T_CreatePublicationStmt:
    case T_AlterPublicationStmt:
    case T_DropSubscriptionStmt:
    case T_DropUserMappingStmt:
    case T_CreateCastStmt:
    case T_CreateConversionStmt:
        break;
    case T_DropOwnedStmt:
    case T_DropdbStmt:
        record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE, SP_SQL_USE_ALL, SP_SPAN_EMPTY,
                      SP_SPAN_EMPTY);
        break;
    default:
        return false;
    }
    record_database(w, SP_ACTION_ADMINISTER);
    return true;
}

/* ---- the tables ---- */

/* "SET search_path" gives the names in a trusted body another meaning, SECURITY DEFINER another's
 * rights. */
static void change_function(walker *w, const AlterFunctionStmt *alter)
{
    bool sets = false;
    for (int i = 0; i < list_length(alter->actions); i++) {
        const DefElem *option = AS(DefElem, list_nth(alter->actions, i));
        sets |= sp_span_eq(text_of(option->defname), SP_SPAN_LIT("set")) ||
                sp_span_eq(text_of(option->defname), SP_SPAN_LIT("security"));
    }
    if (sets) {
        make_code(w, alter->func->objname);
    } else {
        make_named(w, alter->func->objname);
    }
}

static bool walk_named(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_CreateDomainStmt:
        make_named(w, AS(CreateDomainStmt, node)->domainname);
        walk_list(w, AS(CreateDomainStmt, node)->constraints);
        return true;
    case T_AlterDomainStmt:
        make_named(w, AS(AlterDomainStmt, node)->typeName);
        walk(w, AS(AlterDomainStmt, node)->def);
        return true;
    case T_CompositeTypeStmt: {
        const RangeVar *name = AS(CompositeTypeStmt, node)->typevar;
        record_object(w, SP_ACTION_ALTER, SP_SQL_SCHEMA, 0, text_of(name->schemaname),
                      text_of(name->relname));
        walk_list(w, AS(CompositeTypeStmt, node)->coldeflist);
        return true;
    }
    case T_CreateEnumStmt:
        make_named(w, AS(CreateEnumStmt, node)->typeName);
        return true;
    case T_AlterEnumStmt:
        make_named(w, AS(AlterEnumStmt, node)->typeName);
        return true;
    case T_CreateRangeStmt:
        make_named(w, AS(CreateRangeStmt, node)->typeName);
        bind_code(w, AS(CreateRangeStmt, node)->params);
        return true;
    case T_AlterTypeStmt:
        make_named(w, AS(AlterTypeStmt, node)->typeName);
        bind_code(w, AS(AlterTypeStmt, node)->options);
        return true;
    case T_DefineStmt:
        make_code(w, AS(DefineStmt, node)->defnames);
        bind_code(w, AS(DefineStmt, node)->definition);
        return true;
    case T_CreateOpClassStmt:
        make_named(w, AS(CreateOpClassStmt, node)->opclassname);
        bind_class(w, AS(CreateOpClassStmt, node)->items);
        return true;
    case T_CreateOpFamilyStmt:
        make_named(w, AS(CreateOpFamilyStmt, node)->opfamilyname);
        return true;
    case T_AlterOpFamilyStmt:
        make_named(w, AS(AlterOpFamilyStmt, node)->opfamilyname);
        bind_class(w, AS(AlterOpFamilyStmt, node)->items);
        return true;
    case T_AlterOperatorStmt:
        make_named(w, AS(AlterOperatorStmt, node)->opername->objname);
        bind_code(w, AS(AlterOperatorStmt, node)->options);
        return true;
    case T_AlterTSDictionaryStmt:
        make_named(w, AS(AlterTSDictionaryStmt, node)->dictname);
        return true;
    case T_AlterTSConfigurationStmt:
        make_named(w, AS(AlterTSConfigurationStmt, node)->cfgname);
        return true;
    case T_AlterCollationStmt:
        make_named(w, AS(AlterCollationStmt, node)->collname);
        return true;
    case T_AlterStatsStmt:
        make_named(w, AS(AlterStatsStmt, node)->defnames);
        return true;
    case T_CreateStatsStmt:
        make_named(w, AS(CreateStatsStmt, node)->defnames);
        walk_list(w, AS(CreateStatsStmt, node)->relations);
        walk_list(w, AS(CreateStatsStmt, node)->exprs);
        return true;
    case T_AlterFunctionStmt:
        change_function(w, AS(AlterFunctionStmt, node));
        return true;
    case T_CreateSchemaStmt:
        record_object(w, SP_ACTION_ALTER, SP_SQL_SCHEMA, 0,
                      text_of(AS(CreateSchemaStmt, node)->schemaname), SP_SPAN_EMPTY);
        walk_list(w, AS(CreateSchemaStmt, node)->schemaElts);
        return true;
    default:
        return false;
    }
}

static bool walk_of_relation(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_IndexStmt:
        record_relation(w, AS(IndexStmt, node)->relation, SP_ACTION_ALTER, 0);
        walk_other_children(w, node, offsetof(IndexStmt, relation), SIZE_MAX);
        return true;
    case T_CreateSeqStmt:
        make_relation(w, AS(CreateSeqStmt, node)->sequence);
        return true;
    case T_AlterSeqStmt:
        record_relation(w, AS(AlterSeqStmt, node)->sequence, SP_ACTION_ALTER, 0);
        return true;
    case T_CreateTrigStmt:
        record_relation(w, AS(CreateTrigStmt, node)->relation, SP_ACTION_ALTER, 0);
        record_function(w, names_before(AS(CreateTrigStmt, node)->funcname),
                        names_last(AS(CreateTrigStmt, node)->funcname));
        walk(w, AS(CreateTrigStmt, node)->whenClause);
        return true;
    case T_RuleStmt:
        walk_rule(w, AS(RuleStmt, node));
        return true;
    case T_AlterTableStmt:
        walk_alter_table(w, AS(AlterTableStmt, node));
        return true;
    case T_CreatePolicyStmt:
        record_relation(w, AS(CreatePolicyStmt, node)->table, SP_ACTION_ADMINISTER, 0);
        walk(w, AS(CreatePolicyStmt, node)->qual);
        walk(w, AS(CreatePolicyStmt, node)->with_check);
        return true;
    case T_AlterPolicyStmt:
        record_relation(w, AS(AlterPolicyStmt, node)->table, SP_ACTION_ADMINISTER, 0);
        walk(w, AS(AlterPolicyStmt, node)->qual);
        walk(w, AS(AlterPolicyStmt, node)->with_check);
        return true;
    case T_RenameStmt:
        walk_rename(w, AS(RenameStmt, node));
        return true;
    case T_AlterObjectSchemaStmt:
        walk_move(w, AS(AlterObjectSchemaStmt, node));
        return true;
    case T_AlterObjectDependsStmt:
        change_object(w, AS(AlterObjectDependsStmt, node)->objectType,
                      AS(AlterObjectDependsStmt, node)->relation,
                      AS(AlterObjectDependsStmt, node)->object, SP_ACTION_ALTER);
        return true;
    case T_AlterOwnerStmt:
        change_object(w, AS(AlterOwnerStmt, node)->objectType, AS(AlterOwnerStmt, node)->relation,
                      AS(AlterOwnerStmt, node)->object, SP_ACTION_ADMINISTER);
        return true;
    case T_CommentStmt:
        change_object(w, AS(CommentStmt, node)->objtype, NULL, AS(CommentStmt, node)->object,
                      SP_ACTION_ALTER);
        return true;
    default:
        return false;
    }
}

bool walk_definition(walker *w, const Node *node)
{
    bool known = true;
    switch ((int)nodeTag(node)) {
    case T_CreateStmt:
        walk_create(w, AS(CreateStmt, node));
        break;
    case T_CreateTableAsStmt:
        walk_create_as(w, AS(CreateTableAsStmt, node));
        break;
    case T_ViewStmt:
        walk_view(w, AS(ViewStmt, node));
        break;
    case T_CreateFunctionStmt:
        walk_function(w, AS(CreateFunctionStmt, node));
        break;
    case T_DropStmt:
        walk_drop(w, AS(DropStmt, node));
        break;
    case T_GrantStmt:
        walk_grant(w, AS(GrantStmt, node));
        break;
    default:
        known = walk_of_relation(w, node) || walk_named(w, node) || walk_server(w, node);
        break;
    }
    if (known) {
        w->statement->flags |= SP_SQL_IS_DDL;
    }
    return known;
}

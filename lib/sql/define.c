/* SPDX-License-Identifier: Apache-2.0
 * Statements that define objects and give rights; alter.c has those that change and drop them.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#include "lib/sql/define.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"

/* ---- what is made ---- */

/* With rows of its own. A temporary one is nobody else's business. */
static void make_relation(walker *w, const RangeVar *name, bool is_own)
{
    if (is_temporary_name(name)) {
        record_made_temporary(w, name);
    } else {
        record_made_relation(w, name, is_own);
    }
}

/* The name of an object that is not a relation, wherever the grammar put it. */
const List *names_of(const Node *object)
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
    forbid_temporary_place(w, names_before(names));
    record_object(w, SP_ACTION_ALTER, SP_SQL_SCHEMA, 0, names_before(names), names_last(names));
}

void record_named(walker *w, sp_action action, sp_span schema, sp_span name)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    sp_span at = SP_SPAN_EMPTY;
    record_object(w, action, SP_SQL_SCHEMA, 0, schema, name);
    for (uint32_t i = 0; schema.len == 0 && catalogue != NULL &&
                         (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0;
         i++) {
        record_object(w, action, SP_SQL_SCHEMA, 0, at, name);
    }
}

static void change_named(walker *w, const List *names)
{
    forbid_temporary_place(w, names_before(names));
    record_named(w, SP_ACTION_ALTER, names_before(names), names_last(names));
}

/* What others put into the parent stands in the new partition. */
static void record_partition(walker *w, const CreateStmt *create, const RangeVar *parent)
{
    key_reach columns = reach_of_all(create->tableElts);
    key_reach table = reach_of_all(create->constraints);
    key_reach reach = columns > table ? columns : table;
    bool is_unlogged = create->relation->relpersistence == RELPERSISTENCE_UNLOGGED;
    if (reach == KEY_LOSES || is_unlogged) { /* the next crash empties it */
        record_relation(w, parent, SP_ACTION_DESTROY, 0);
    } else if (reach == KEY_CHANGES) {
        record_relation(w, parent, SP_ACTION_WRITE, SP_SQL_USE_BROAD);
    }
}

static void walk_create(walker *w, const CreateStmt *create)
{
    const given_name made = given_made(w, create->relation);
    bool is_own = !create->if_not_exists;
    for (int i = 0; i < list_length(create->inhRelations); i++) {
        is_own = is_own && walk_is_own(w, AS(RangeVar, list_nth(create->inhRelations, i)));
    }
    make_relation(w, create->relation, is_own);
    if (create->ofTypename != NULL && !is_temporary_name(create->relation)) {
        record_object(w, SP_ACTION_ADMINISTER, SP_SQL_SCHEMA, 0, made.schema,
                      made.name); /* it falls with the type */
    }
    for (int i = 0; i < list_length(create->inhRelations); i++) {
        const RangeVar *parent = AS(RangeVar, list_nth(create->inhRelations, i));
        found_relation found = walk_resolve(w, parent, true);
        record_relation(w, parent, SP_ACTION_ALTER, 0);
        if (found.kind == FOUND_KNOWN && !is_temporary_name(create->relation)) {
            /* what is put into it stands in the parent */
            record_becoming(w, found.relation, made.schema, made.name, 0);
        }
        if (create->partbound != NULL) {
            record_partition(w, create, parent);
        }
    }
    walk_other_children(w, (const Node *)create, offsetof(CreateStmt, relation),
                        offsetof(CreateStmt, inhRelations));
}

static void walk_create_as(walker *w, const CreateTableAsStmt *create)
{
    walk(w, create->query);
    if ((w->statement->flags & SP_SQL_IS_EXECUTE) != 0) { /* what it puts there nobody can follow */
        walk_fault(w, SP_SQL_UNKNOWN, "CREATE TABLE ... AS EXECUTE");
        return;
    }
    make_relation(w, create->into->rel, !create->if_not_exists);
}

/* A temporary view is a name of this session for other people's tables: what is done to it would be
 * done to them, unseen. */
static void walk_view(walker *w, const ViewStmt *view)
{
    if (is_temporary_name(view->view)) {
        walk_fault(w, SP_SQL_FORBIDDEN, "CREATE TEMPORARY VIEW");
        return;
    }
    uint32_t before = w->statement->flags;
    w->statement->flags &= ~(uint32_t)SP_SQL_READS_TEMP;
    w->statement->flags |= SP_SQL_IS_ALIAS;
    const given_name name = given_made(w, view->view);
    record_made_relation(w, view->view, false);
    const found_relation was = walk_resolve(w, view->view, true);
    if (view->replace && was.kind == FOUND_KNOWN) {
        record_relation(w, view->view, SP_ACTION_ALTER, 0);
        w->replaces = true;
    }
    w->is_aliased = true;
    w->gives = &name;
    walk(w, view->query);
    w->gives = NULL;
    w->replaces = false;
    w->is_aliased = false;
    if ((w->statement->flags & SP_SQL_READS_TEMP) != 0) {
        walk_fault(w, SP_SQL_FORBIDDEN,
                   "a view of a temporary table, which the server makes a temporary view");
    }
    w->statement->flags |= before;
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
void name_trusted(walker *w, sp_span schema, sp_span name)
{
    sp_action action = SP_ACTION_READ;
    if (schema.len == 0 && w->context->catalogue != NULL) {
        schema = sp_sql_catalogue_home(w->context->catalogue);
    }
    if (function_find(name) != FUNCTION_UNKNOWN || is_there(w, name) ||
        (w->context->function_action != NULL &&
         w->context->function_action(w->context->policy, schema, name, &action))) {
        record_opaque(w, SP_SQL_FUNCTION, schema, name);
    }
}

void name_code(walker *w, sp_span schema, sp_span name)
{
    record_made(w, name);
    name_trusted(w, schema, name);
}

/* Whoever calls it by its old name finds another one, or none. */
void lose_code(walker *w, const List *names)
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

/* "f('x')" is a cast where f is a type. */
static void make_type(walker *w, const List *names)
{
    make_named(w, names);
    name_trusted(w, names_before(names), names_last(names));
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

/* "SET app.key = '...'" of a function: an application's setting may hold anything. */
static void note_setting(walker *w, const DefElem *option)
{
    if (!sp_span_eq(text_of(option->defname), SP_SPAN_LIT("set")) || option->arg == NULL ||
        nodeTag(option->arg) != T_VariableSetStmt) {
        return;
    }
    sp_span name = text_of(AS(VariableSetStmt, option->arg)->name);
    if (sp_span_index(name, '.') < name.len) {
        w->statement->flags |= SP_SQL_IS_SECRET;
    }
}

/* With one argument: "x.f" calls it where x has no column f, whatever x is. */
static bool is_called_as_column(const CreateFunctionStmt *create)
{
    int most = 0;
    int needed = 0;
    for (int i = 0; i < list_length(create->parameters); i++) {
        const FunctionParameter *one = AS(FunctionParameter, list_nth(create->parameters, i));
        if (one->mode != FUNC_PARAM_OUT && one->mode != FUNC_PARAM_TABLE) {
            most++;
            needed += one->defexpr != NULL || one->mode == FUNC_PARAM_VARIADIC ? 0 : 1;
        }
    }
    return !create->is_procedure && most > 0 && needed <= 1;
}

static void walk_function(walker *w, const CreateFunctionStmt *create)
{
    sp_span schema = names_before(create->funcname);
    sp_span name = names_last(create->funcname);
    make_named(w, create->funcname);
    if (is_called_as_column(create)) {
        record_made(w, name);
        record_opaque(w, SP_SQL_FUNCTION, schema, name);
    } else {
        name_code(w, schema, name);
    }
    for (int i = 0; i < list_length(create->options); i++) {
        const DefElem *option = AS(DefElem, list_nth(create->options, i));
        note_setting(w, option);
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

/* A rule's actions are judged as if they ran now, and what they take from OLD and NEW is read. With
 * INSTEAD nothing that others do to the table is done any more. What is done to temporary tables is
 * not judged again, and a rule ON SELECT makes a view of what was a table. */
static void walk_rule(walker *w, const RuleStmt *rule)
{
    const uint32_t temporary = SP_SQL_FILLS_TEMP | SP_SQL_READS_TEMP;
    if (rule->event == CMD_SELECT) {
        walk_fault(w, SP_SQL_FORBIDDEN, "CREATE RULE ... ON SELECT, which makes a view of a table");
    }
    record_relation(w, rule->relation, SP_ACTION_ADMINISTER, 0);
    record_relation(w, rule->relation, SP_ACTION_READ, 0);
    if (rule->instead) {
        record_relation(w, rule->relation, SP_ACTION_DESTROY, 0);
    }
    w->is_aliased = true;
    walk(w, rule->whereClause);
    walk_list(w, rule->actions);
    w->is_aliased = false;
    if ((w->statement->flags & temporary) != 0) {
        walk_fault(w, SP_SQL_FORBIDDEN,
                   "CREATE RULE on a temporary table, or with one in what it does");
    }
    record_other(w, text_of(rule->relation->relname));
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

/* CREATE EXTENSION ... SCHEMA */
static void forbid_options_in_temporary(walker *w, const List *options)
{
    for (int i = 0; i < list_length(options); i++) {
        forbid_temporary_place(w, string_of(AS(DefElem, list_nth(options, i))->arg));
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
        forbid_temporary_place(w, names_before(AS(CreateConversionStmt, node)->conversion_name));
        bind_function(w, AS(CreateConversionStmt, node)->func_name);
        break;
    case T_CreateEventTrigStmt:
        bind_function(w, AS(CreateEventTrigStmt, node)->funcname);
        break;
    case T_CreateForeignTableStmt:
        if (is_temporary_name(AS(CreateForeignTableStmt, node)->base.relation)) {
            walk_fault(w, SP_SQL_FORBIDDEN, "a foreign table in pg_temp");
        }
        break;
    case T_CreateExtensionStmt:
        forbid_options_in_temporary(w, AS(CreateExtensionStmt, node)->options);
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
        note_setting(w, option);
        sets |= sp_span_eq(text_of(option->defname), SP_SPAN_LIT("set")) ||
                sp_span_eq(text_of(option->defname), SP_SPAN_LIT("security"));
    }
    if (sets) {
        make_code(w, alter->func->objname);
    } else {
        change_named(w, alter->func->objname);
    }
}

static void walk_schema(walker *w, const CreateSchemaStmt *create)
{
    const RoleSpec *of = create->authrole;
    bool is_by_role = create->schemaname == NULL && of != NULL && of->roletype == ROLESPEC_CSTRING;
    w->made_in = text_of(is_by_role ? of->rolename : create->schemaname);
    if (w->made_in.len == 0) {
        walk_fault(w, SP_SQL_UNKNOWN, "CREATE SCHEMA without a name");
    }
    record_object(w, SP_ACTION_ALTER, SP_SQL_SCHEMA, 0, w->made_in, SP_SPAN_EMPTY);
    walk_list(w, create->schemaElts);
    w->made_in = SP_SPAN_EMPTY;
}

/* Types, operators and what they are made of: values and expressions of others, whoever wrote them,
 * may mean something else from now on. */
static bool walk_meaning(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_CreateRangeStmt: /* with functions of its name */
        make_code(w, AS(CreateRangeStmt, node)->typeName);
        bind_code(w, AS(CreateRangeStmt, node)->params);
        break;
    case T_AlterTypeStmt:
        change_named(w, AS(AlterTypeStmt, node)->typeName);
        bind_code(w, AS(AlterTypeStmt, node)->options);
        break;
    case T_DefineStmt:
        make_code(w, AS(DefineStmt, node)->defnames);
        bind_code(w, AS(DefineStmt, node)->definition);
        break;
    case T_CreateOpClassStmt:
        make_named(w, AS(CreateOpClassStmt, node)->opclassname);
        bind_class(w, AS(CreateOpClassStmt, node)->items);
        break;
    case T_CreateOpFamilyStmt:
        make_named(w, AS(CreateOpFamilyStmt, node)->opfamilyname);
        break;
    case T_AlterOpFamilyStmt:
        change_named(w, AS(AlterOpFamilyStmt, node)->opfamilyname);
        bind_class(w, AS(AlterOpFamilyStmt, node)->items);
        break;
    case T_AlterOperatorStmt:
        change_named(w, AS(AlterOperatorStmt, node)->opername->objname);
        bind_code(w, AS(AlterOperatorStmt, node)->options);
        break;
    case T_AlterTSDictionaryStmt:
        change_named(w, AS(AlterTSDictionaryStmt, node)->dictname);
        break;
    case T_AlterTSConfigurationStmt:
        change_named(w, AS(AlterTSConfigurationStmt, node)->cfgname);
        break;
    case T_AlterCollationStmt:
        change_named(w, AS(AlterCollationStmt, node)->collname);
        break;
    default:
        return false;
    }
    record_database(w, SP_ACTION_ADMINISTER);
    return true;
}

static bool walk_named(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_CreateDomainStmt:
        make_type(w, AS(CreateDomainStmt, node)->domainname);
        walk_list(w, AS(CreateDomainStmt, node)->constraints);
        return true;
    case T_AlterDomainStmt:
        change_named(w, AS(AlterDomainStmt, node)->typeName);
        walk(w, AS(AlterDomainStmt, node)->def);
        return true;
    case T_CompositeTypeStmt: {
        const RangeVar *name = AS(CompositeTypeStmt, node)->typevar;
        forbid_temporary_place(w, text_of(name->schemaname));
        record_object(w, SP_ACTION_ALTER, SP_SQL_SCHEMA, 0, text_of(name->schemaname),
                      text_of(name->relname));
        walk_list(w, AS(CompositeTypeStmt, node)->coldeflist);
        return true;
    }
    case T_CreateEnumStmt:
        make_type(w, AS(CreateEnumStmt, node)->typeName);
        return true;
    case T_AlterEnumStmt:
        change_named(w, AS(AlterEnumStmt, node)->typeName);
        if (AS(AlterEnumStmt, node)->oldVal != NULL) {
            record_database(w, SP_ACTION_ADMINISTER); /* in all rows of all tables */
        }
        return true;
    case T_AlterStatsStmt:
        change_named(w, AS(AlterStatsStmt, node)->defnames);
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
        walk_schema(w, AS(CreateSchemaStmt, node));
        return true;
    default:
        return false;
    }
}

/* The server's own for full-text search writes a column of every row that changes from now on. */
static bool is_writing_trigger(const CreateTrigStmt *trigger)
{
    return sp_span_starts(names_last(trigger->funcname), SP_SPAN_LIT("tsvector_update_trigger"));
}

static void walk_trigger(walker *w, const CreateTrigStmt *trigger)
{
    /* in place of another one, which is gone then */
    record_relation(w, trigger->relation, trigger->replace ? SP_ACTION_ADMINISTER : SP_ACTION_ALTER,
                    0);
    if (trigger->constrrel != NULL) { /* the server asks the same of it */
        record_relation(w, trigger->constrrel, SP_ACTION_ALTER, 0);
    }
    if (is_writing_trigger(trigger)) {
        record_relation(w, trigger->relation, SP_ACTION_WRITE, SP_SQL_USE_BROAD);
    }
    if (trigger->row) {
        record_binding(w, trigger->relation);
    }
    record_function(w, names_before(trigger->funcname), names_last(trigger->funcname));
    walk(w, trigger->whenClause);
}

static bool walk_of_relation(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_IndexStmt:
        record_relation(w, AS(IndexStmt, node)->relation, SP_ACTION_ALTER, 0);
        walk_other_children(w, node, offsetof(IndexStmt, relation), SIZE_MAX);
        return true;
    case T_CreateSeqStmt:
        make_relation(w, AS(CreateSeqStmt, node)->sequence,
                      !AS(CreateSeqStmt, node)->if_not_exists);
        return true;
    case T_AlterSeqStmt:
        record_relation(w, AS(AlterSeqStmt, node)->sequence, SP_ACTION_ALTER, 0);
        return true;
    case T_CreateTrigStmt:
        walk_trigger(w, AS(CreateTrigStmt, node));
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
    case T_AlterObjectDependsStmt: /* it falls with the extension */
        change_object(
            w, AS(AlterObjectDependsStmt, node)->objectType,
            AS(AlterObjectDependsStmt, node)->relation, AS(AlterObjectDependsStmt, node)->object,
            AS(AlterObjectDependsStmt, node)->remove ? SP_ACTION_ALTER : SP_ACTION_ADMINISTER);
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
    forbid_standing_on_temporary(w, node);
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
        known = walk_of_relation(w, node) || walk_named(w, node) || walk_meaning(w, node) ||
                walk_server(w, node);
        break;
    }
    if (known) {
        w->statement->flags |= SP_SQL_IS_DDL;
    }
    return known;
}

/* SPDX-License-Identifier: Apache-2.0
 * Statements that define what stands in a schema and is no relation: types, operators and what they
 * are made of, text search, statistics. By most of them values and expressions of others, whoever
 * wrote them, mean something else from now on: the table of kinds says by which.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#include "lib/sql/define.h"

#include "lib/base/mem.h"

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

static void bind_named(walker *w, const List *name)
{
    record_function(w, names_before(name), names_last(name));
}

static void bind_function(walker *w, const ObjectWithArgs *function)
{
    if (function != NULL) {
        bind_named(w, function->objname);
    }
}

/* CREATE EXTENSION ... SCHEMA */
static void forbid_options_in_temporary(walker *w, const List *options)
{
    for (int i = 0; i < list_length(options); i++) {
        forbid_temporary_place(w, string_of(AS(DefElem, list_nth(options, i))->arg));
    }
}

/* What it is called, where it stands in a schema. */
static const List *names_defined(const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_DefineStmt:
        return AS(DefineStmt, node)->defnames;
    case T_CreateRangeStmt:
        return AS(CreateRangeStmt, node)->typeName;
    case T_CreateEnumStmt:
        return AS(CreateEnumStmt, node)->typeName;
    case T_CreateDomainStmt:
        return AS(CreateDomainStmt, node)->domainname;
    case T_CreateOpClassStmt:
        return AS(CreateOpClassStmt, node)->opclassname;
    case T_CreateOpFamilyStmt:
        return AS(CreateOpFamilyStmt, node)->opfamilyname;
    case T_CreateConversionStmt:
        return AS(CreateConversionStmt, node)->conversion_name;
    case T_CreateStatsStmt:
        return AS(CreateStatsStmt, node)->defnames;
    case T_AlterTypeStmt:
        return AS(AlterTypeStmt, node)->typeName;
    case T_AlterEnumStmt:
        return AS(AlterEnumStmt, node)->typeName;
    case T_AlterDomainStmt:
        return AS(AlterDomainStmt, node)->typeName;
    case T_AlterOpFamilyStmt:
        return AS(AlterOpFamilyStmt, node)->opfamilyname;
    case T_AlterOperatorStmt:
        return AS(AlterOperatorStmt, node)->opername->objname;
    case T_AlterTSDictionaryStmt:
        return AS(AlterTSDictionaryStmt, node)->dictname;
    case T_AlterTSConfigurationStmt:
        return AS(AlterTSConfigurationStmt, node)->cfgname;
    case T_AlterCollationStmt:
        return AS(AlterCollationStmt, node)->collname;
    case T_AlterStatsStmt:
        return AS(AlterStatsStmt, node)->defnames;
    default:
        return NIL;
    }
}

static given_name name_defined(const Node *node)
{
    if (nodeTag(node) == T_CompositeTypeStmt) {
        const RangeVar *name = AS(CompositeTypeStmt, node)->typevar;
        return (given_name){text_of(name->schemaname), text_of(name->relname)};
    }
    const List *names = names_defined(node);
    return (given_name){names_before(names), names_last(names)};
}

/* The functions that it has run, whoever uses it. */
static void bind(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_CreateRangeStmt:
        bind_code(w, AS(CreateRangeStmt, node)->params);
        break;
    case T_DefineStmt:
        bind_code(w, AS(DefineStmt, node)->definition);
        break;
    case T_AlterTypeStmt:
        bind_code(w, AS(AlterTypeStmt, node)->options);
        break;
    case T_AlterOperatorStmt:
        bind_code(w, AS(AlterOperatorStmt, node)->options);
        break;
    case T_CreateOpClassStmt:
        bind_class(w, AS(CreateOpClassStmt, node)->items);
        break;
    case T_AlterOpFamilyStmt:
        bind_class(w, AS(AlterOpFamilyStmt, node)->items);
        break;
    case T_CreateCastStmt:
        bind_function(w, AS(CreateCastStmt, node)->func);
        break;
    case T_CreateTransformStmt:
        bind_function(w, AS(CreateTransformStmt, node)->fromsql);
        bind_function(w, AS(CreateTransformStmt, node)->tosql);
        break;
    case T_CreateConversionStmt:
        bind_named(w, AS(CreateConversionStmt, node)->func_name);
        break;
    case T_CreateEventTrigStmt:
        bind_named(w, AS(CreateEventTrigStmt, node)->funcname);
        break;
    default:
        break;
    }
}

/* A cast by its bare name meant the one behind it in the search path, which is as good as gone. */
void cover_type(walker *w, sp_span schema, sp_span name)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const given_name made = given_of(w, schema, name);
    bool is_behind = false;
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0; catalogue != NULL && (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0;
         i++) {
        if (is_behind && sp_sql_catalogue_has_type(catalogue, at, name)) {
            record_object(w, kind_asks(OBJECT_TYPE, KIND_DROP), SP_SQL_SCHEMA, 0, at, name);
        }
        is_behind |= sp_span_eq(at, made.schema);
    }
}

/* Names that may be called, and what stands in it. */
static void walk_inside(walker *w, const Node *node, const given_name *name)
{
    switch ((int)nodeTag(node)) {
    case T_CreateRangeStmt: /* with functions of its name */
    case T_DefineStmt:
        name_code(w, name->schema, name->name);
        break;
    case T_CreateEnumStmt:
        name_trusted(w, name->schema, name->name);
        break;
    case T_CreateDomainStmt:
        name_trusted(w, name->schema, name->name);
        walk_list(w, AS(CreateDomainStmt, node)->constraints);
        break;
    case T_CompositeTypeStmt:
        name_trusted(w, name->schema, name->name);
        walk_list(w, AS(CompositeTypeStmt, node)->coldeflist);
        break;
    case T_AlterDomainStmt:
        walk(w, AS(AlterDomainStmt, node)->def);
        break;
    case T_AlterEnumStmt:
        if (AS(AlterEnumStmt, node)->oldVal != NULL) {
            record_database(w, SP_ACTION_ADMINISTER); /* in all rows of all tables */
        }
        break;
    case T_CreateStatsStmt:
        walk_list(w, AS(CreateStatsStmt, node)->relations);
        walk_list(w, AS(CreateStatsStmt, node)->exprs);
        break;
    case T_CreateExtensionStmt:
        forbid_options_in_temporary(w, AS(CreateExtensionStmt, node)->options);
        break;
    case T_DropdbStmt:
        record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE, SP_SQL_USE_ALL, SP_SPAN_EMPTY,
                      SP_SPAN_EMPTY);
        break;
    default:
        break;
    }
}

bool walk_kind(walker *w, const Node *node)
{
    kind_statement is;
    if (!kind_of_statement(node, &is)) {
        return false;
    }
    const object_kind *kind = known_kind(w, is.type);
    const given_name name = name_defined(node);
    if (kind == NULL) {
        return true;
    }
    if (kind->place == KIND_IN_SCHEMA) {
        forbid_temporary_place(w, name.schema);
        if (is.way == KIND_CREATE) {
            record_object(w, kind_asks(is.type, is.way), SP_SQL_SCHEMA, 0, name.schema, name.name);
            if (kind->use == KIND_IS_TYPE) {
                cover_type(w, name.schema, name.name);
            }
        } else {
            record_named(w, kind_asks(is.type, is.way), name.schema, name.name);
        }
    }
    walk_inside(w, node, &name);
    bind(w, node);
    ask_database(w, kind);
    if ((is.more & KIND_MEANS) != 0) {
        record_database(w, SP_ACTION_ADMINISTER);
    }
    w->statement->flags |= (is.more & KIND_IS_SECRET) != 0 ? SP_SQL_IS_SECRET : 0;
    return true;
}

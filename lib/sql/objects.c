/* SPDX-License-Identifier: Apache-2.0
 * Statements that say of any kind of object what becomes of it: renamed, moved, given away,
 * commented on, dropped. What each asks for is in the table of kinds.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#include "lib/sql/define.h"

#include "lib/base/mem.h"

/* ---- what it is called ---- */

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

/* An operator class stands behind the method that it is of, a domain's constraint behind the
 * domain's type, which is what the name is asked of. */
static given_name name_of_object(const object_kind *kind, const Node *object)
{
    const List *names = names_of(object);
    int count = list_length(names);
    bool is_of_method = kind->type == OBJECT_OPCLASS || kind->type == OBJECT_OPFAMILY;
    if (count > 0 && nodeTag(linitial(names)) == T_TypeName) {
        names = AS(TypeName, linitial(names))->names;
    } else if (is_of_method && count == 2) {
        return (given_name){SP_SPAN_EMPTY, names_last(names)};
    }
    return names == NIL ? (given_name){SP_SPAN_EMPTY, string_of(object)}
                        : (given_name){names_before(names), names_last(names)};
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

/* ---- what is changed ---- */

/* Beside what is asked of the object itself. */
void ask_database(walker *w, const object_kind *kind)
{
    if (kind->means || kind->place == KIND_OF_DATABASE) {
        record_database(w, SP_ACTION_ADMINISTER);
    }
}

const object_kind *known_kind(walker *w, ObjectType type)
{
    const object_kind *kind = kind_of(type);
    if (kind == NULL) {
        walk_fault(w, SP_SQL_UNKNOWN, "a kind of object that is not known here (type %d)",
                   (int)type);
    }
    return kind;
}

/* relation is its own or the one it is part of, or NULL where object names it. */
static void ask_of_object(walker *w, const object_kind *kind, const RangeVar *relation,
                          const Node *object, sp_action action)
{
    int own = kind->place == KIND_OF_RELATION ? 1 : 0;
    const RangeVar named = relation_of_names(names_of(object), own);
    const given_name name = name_of_object(kind, object);
    switch ((kind_place)kind->place) {
    case KIND_OF_DATABASE:
        record_database(w, SP_ACTION_ADMINISTER);
        return;
    case KIND_IN_SCHEMA:
        record_named(w, action, name.schema, name.name);
        return;
    case KIND_SCHEMA:
        record_object(w, action, SP_SQL_SCHEMA, 0, string_of(object), SP_SPAN_EMPTY);
        return;
    case KIND_RELATION:
    case KIND_OF_RELATION:
        if (relation == NULL && named.relname == NULL) {
            walk_fault(w, SP_SQL_UNKNOWN, "something of a table that has no name");
            return;
        }
        record_relation(w, relation != NULL ? relation : &named, action, 0);
        return;
    }
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

/* It has another name, or schema: that is taken as by DROP, and given as by CREATE. */
static void give_name(walker *w, const object_kind *kind, const Node *object, sp_span schema,
                      sp_span name)
{
    const given_name was = name_of_object(kind, object);
    sp_span to_schema = schema.len > 0 ? schema : was.schema;
    sp_span to_name = name.len > 0 ? name : was.name;
    if (kind->type != OBJECT_DOMCONSTRAINT) { /* named by its domain */
        record_named(w, (sp_action)kind->asks[KIND_CREATE], to_schema, to_name);
    }
    switch ((kind_use)kind->use) {
    case KIND_IS_NAMED:
        break;
    case KIND_IS_TYPE:
        name_trusted(w, to_schema, to_name);
        cover_type(w, to_schema, to_name);
        break;
    case KIND_IS_CALLED:
        lose_code(w, names_of(object));
        name_code(w, to_schema, to_name);
        break;
    }
}

static void rename_relation(walker *w, const RenameStmt *rename)
{
    const RangeVar *relation = rename->relation;
    bool may_be = relation->schemaname == NULL || is_temporary_name(relation);
    w->statement->flags |= may_be ? SP_SQL_RENAMES_TEMP : 0;
    w->room->is_temp_renamed |= may_be_temporary(w, relation);
    if (may_be && is_server_type(text_of(rename->newname))) {
        walk_fault(w, SP_SQL_FORBIDDEN,
                   "what may be a temporary table, called like a type of the server");
    }
    if (walk_resolve(w, relation, true).kind == FOUND_TEMPORARY) {
        const RangeVar now = {.relname = rename->newname}; /* another one of the session's */
        record_made_temporary(w, &now);
    } else {
        record_new_name(w, relation, SP_SPAN_EMPTY, text_of(rename->newname));
        record_other(w, text_of(rename->newname));
        record_uncover(w, relation, false);
    }
}

/* Of a relation or a column what policy knows it by; of anything else as if it were dropped. */
static sp_action action_of_taking(const walker *w, const object_kind *kind,
                                  const RangeVar *relation)
{
    bool is_by_name = kind->place == KIND_RELATION || kind->type == OBJECT_COLUMN ||
                      kind->type == OBJECT_ATTRIBUTE;
    return is_by_name ? action_of_renaming(w, relation) : (sp_action)kind->asks[KIND_DROP];
}

/* Rows that are there are found by another name. */
static void note_alias(walker *w, const object_kind *kind)
{
    bool has_rows = kind->place == KIND_RELATION || kind->place == KIND_OF_RELATION ||
                    kind->place == KIND_SCHEMA || kind->holds;
    w->statement->flags |= has_rows ? SP_SQL_IS_ALIAS : 0;
}

static void walk_rename(walker *w, const RenameStmt *rename)
{
    const object_kind *kind = known_kind(w, rename->renameType);
    if (kind == NULL) {
        return;
    }
    note_alias(w, kind);
    if (kind->place == KIND_SCHEMA) {
        rename_schema(w, text_of(rename->subname), text_of(rename->newname));
        record_other(w, SP_SPAN_EMPTY);
        return;
    }
    bool names_column = kind->type == OBJECT_COLUMN || kind->type == OBJECT_ATTRIBUTE;
    ask_of_object(w, kind, rename->relation, rename->object,
                  action_of_taking(w, kind, rename->relation));
    ask_database(w, kind);
    if (kind->type == OBJECT_ATTRIBUTE && rename->behavior == DROP_CASCADE) {
        record_database(w, SP_ACTION_ADMINISTER); /* columns of all tables of that type */
    }
    if (names_column && rename->relation != NULL) {
        record_changed_names(w, rename->relation);
    }
    if (kind->place == KIND_RELATION && rename->relation != NULL) { /* ALTER INDEX: tables too */
        rename_relation(w, rename);
    }
    if (kind->place == KIND_IN_SCHEMA) {
        give_name(w, kind, rename->object, SP_SPAN_EMPTY, text_of(rename->newname));
    }
}

static void walk_move(walker *w, const AlterObjectSchemaStmt *move)
{
    const object_kind *kind = known_kind(w, move->objectType);
    forbid_temporary_place(w, text_of(move->newschema));
    if (kind == NULL) {
        return;
    }
    note_alias(w, kind);
    ask_of_object(w, kind, move->relation, move->object, action_of_taking(w, kind, move->relation));
    ask_database(w, kind);
    if (kind->holds) {
        record_database(w, SP_ACTION_DESTROY); /* tables and views of it, whichever those are */
        record_other(w, SP_SPAN_EMPTY);
    }
    if (move->relation != NULL) {
        record_new_name(w, move->relation, text_of(move->newschema), SP_SPAN_EMPTY);
        record_other(w, text_of(move->relation->relname));
        record_uncover(w, move->relation, false);
    }
    if (kind->place == KIND_IN_SCHEMA) {
        give_name(w, kind, move->object, text_of(move->newschema), SP_SPAN_EMPTY);
    }
}

static void change_object(walker *w, ObjectType type, const RangeVar *relation, const Node *object,
                          sp_action action)
{
    const object_kind *kind = known_kind(w, type);
    if (kind != NULL) {
        ask_of_object(w, kind, relation, object, action);
        ask_database(w, kind);
    }
}

/* What is said of it changes nothing. */
static void walk_comment(walker *w, const CommentStmt *comment)
{
    const object_kind *kind = known_kind(w, comment->objtype);
    if (kind != NULL) {
        ask_of_object(w, kind, NULL, comment->object, SP_ACTION_ALTER);
    }
}

/* ---- what is dropped ---- */

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

static void drop_relation(walker *w, const DropStmt *drop, const object_kind *kind,
                          const List *names)
{
    RangeVar name = relation_of_names(names, 0);
    bool cascades = drop->behavior == DROP_CASCADE;
    sp_action action = cascades ? SP_ACTION_DESTROY : (sp_action)kind->asks[KIND_DROP];
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

void fall_with(walker *w)
{
    record_other(w, SP_SPAN_EMPTY);
    record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE,
                  SP_SQL_USE_ALL | SP_SQL_USE_IMPLIED | SP_SQL_USE_FALLS, SP_SPAN_EMPTY,
                  SP_SPAN_EMPTY);
}

void lose_columns(walker *w, DropBehavior behavior)
{
    if (behavior == DROP_CASCADE) {
        record_other(w, SP_SPAN_EMPTY);
        record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE, SP_SQL_USE_ALL | SP_SQL_USE_IMPLIED,
                      SP_SPAN_EMPTY, SP_SPAN_EMPTY);
    }
}

static void drop_object(walker *w, const DropStmt *drop, const object_kind *kind,
                        const Node *object)
{
    bool cascades = drop->behavior == DROP_CASCADE;
    sp_action action = cascades ? SP_ACTION_DESTROY : (sp_action)kind->asks[KIND_DROP];
    switch ((kind_place)kind->place) {
    case KIND_RELATION:
        drop_relation(w, drop, kind, names_of(object));
        return;
    case KIND_SCHEMA:
        record_object(w, SP_ACTION_DESTROY, SP_SQL_SCHEMA, SP_SQL_USE_ALL, string_of(object),
                      SP_SPAN_EMPTY);
        record_other(w, SP_SPAN_EMPTY);
        if (cascades) {
            fall_with(w);
        }
        return;
    case KIND_OF_DATABASE:
        record_database(w, SP_ACTION_ADMINISTER);
        if (kind->holds || cascades) {
            record_database(w, SP_ACTION_DESTROY);
        }
        return;
    case KIND_OF_RELATION: /* as to disable it */
        ask_of_object(w, kind, NULL, object, action);
        return;
    case KIND_IN_SCHEMA:
        ask_of_object(w, kind, NULL, object, action);
        ask_database(w, kind);
        lose_columns(w, drop->behavior);
        return;
    }
}

static void walk_drop(walker *w, const DropStmt *drop)
{
    const object_kind *kind = known_kind(w, drop->removeType);
    for (int i = 0; kind != NULL && i < list_length(drop->objects); i++) {
        drop_object(w, drop, kind, (const Node *)list_nth(drop->objects, i));
    }
}

/* ---- the table ---- */

bool walk_object(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
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
        walk_comment(w, AS(CommentStmt, node));
        return true;
    case T_SecLabelStmt: /* who may see and do what, by a module of the server's */
        if (known_kind(w, AS(SecLabelStmt, node)->objtype) != NULL) {
            record_database(w, SP_ACTION_ADMINISTER);
        }
        return true;
    case T_DropStmt:
        walk_drop(w, AS(DropStmt, node));
        return true;
    default:
        return false;
    }
}

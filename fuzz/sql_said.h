/* SPDX-License-Identifier: Apache-2.0
 * Whether a judgement says of each relation that stands in the parser's own print of a text at
 * least what the node does that names it. The print is walked by its own names, not by lib/sql's
 * shapes. OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC libpg_query 15, JSON.
 */
#ifndef SP_FUZZ_SQL_SAID_H
#define SP_FUZZ_SQL_SAID_H

#include "lib/base/mem.h"
#include "lib/sql/statement.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a node does to the relation in one of its fields; to others it does no more than read. */
typedef struct {
    const char *node;
    const char *field;
    sp_action action;
} said_field;

static const said_field said_fields[] = {
    {"InsertStmt", "relation", SP_ACTION_WRITE},
    {"UpdateStmt", "relation", SP_ACTION_WRITE},
    {"DeleteStmt", "relation", SP_ACTION_WRITE},
    {"MergeStmt", "relation", SP_ACTION_WRITE},
    {"TruncateStmt", "relations", SP_ACTION_DESTROY},
    {"CopyStmt", "relation", SP_ACTION_EXPORT},
    {"RefreshMatViewStmt", "relation", SP_ACTION_WRITE},
    {"VacuumRelation", "relation", SP_ACTION_ADMINISTER},
    {"ClusterStmt", "relation", SP_ACTION_ADMINISTER},
    {"ReindexStmt", "relation", SP_ACTION_ADMINISTER},
    {"GrantStmt", "objects", SP_ACTION_ADMINISTER},
    {"CreatePolicyStmt", "table", SP_ACTION_ADMINISTER},
    {"AlterPolicyStmt", "table", SP_ACTION_ADMINISTER},
    {"AlterOwnerStmt", "relation", SP_ACTION_ADMINISTER},
    {"AlterTableStmt", "relation", SP_ACTION_ALTER},
    {"AlterTableCmd", "def", SP_ACTION_ALTER},
    {"PartitionCmd", "name", SP_ACTION_ALTER},
    {"RenameStmt", "relation", SP_ACTION_ALTER},
    {"AlterObjectSchemaStmt", "relation", SP_ACTION_ALTER},
    {"AlterObjectDependsStmt", "relation", SP_ACTION_ALTER},
    {"AlterSeqStmt", "sequence", SP_ACTION_ALTER},
    {"IndexStmt", "relation", SP_ACTION_ALTER},
    {"CreateTrigStmt", "relation", SP_ACTION_ALTER},
    {"CreateTrigStmt", "constrrel", SP_ACTION_ALTER},
    {"RuleStmt", "relation", SP_ACTION_ALTER},
    {"CreateStmt", "relation", SP_ACTION_ALTER},
    {"CreateStmt", "inhRelations", SP_ACTION_ALTER},
    {"CreateSeqStmt", "sequence", SP_ACTION_ALTER},
    {"CompositeTypeStmt", "typevar", SP_ACTION_ALTER},
    {"ViewStmt", "view", SP_ACTION_ALTER},
    {"into", "rel", SP_ACTION_ALTER},       /* CREATE TABLE AS */
    {"intoClause", "rel", SP_ACTION_ALTER}, /* SELECT INTO */
};

/* Here names are those of constraints, or of items that stand in FROM. */
static const said_field said_no_relations[] = {
    {"ConstraintsSetStmt", "constraints", SP_ACTION_READ},
    {"LockingClause", "lockedRels", SP_ACTION_READ},
};

/* A statement of these is asked for as one of the whole database. */
static const char *const said_of_all[] = {"CreateForeignTableStmt", "CreatePublicationStmt",
                                          "AlterPublicationStmt", "ImportForeignSchemaStmt"};

typedef struct {
    const sp_sql_judgement *judgement;
    json_t *queries; /* names of WITH queries, anywhere */
    json_t *temps;   /* names of temporary relations, anywhere */
    bool is_planned; /* under EXPLAIN */
    bool is_of_all;
    bool is_export;      /* under COPY ... TO: what is read goes out */
    const char *made_in; /* under CREATE SCHEMA: what is made stands there; "" */
} said;

/* Where a value stands. */
typedef struct {
    const char *node;
    const char *field;
    const json_t *of; /* the node */
} said_place;

static const char *said_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool said_is_range(const json_t *value)
{
    return json_is_string(json_object_get(value, "relname")) &&
           json_is_string(json_object_get(value, "relpersistence"));
}

/* "{"Node": {...}}"; a field whose type has no other kinds stands there without its node's name. */
static const char *said_node(const json_t *value)
{
    const char *key = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)value));
    return json_object_size(value) == 1 && key[0] >= 'A' && key[0] <= 'Z' ? key : NULL;
}

static bool said_is_temp_schema(const char *schema)
{
    return strncmp(schema, "pg_temp", 7) == 0;
}

static void said_collect(said *s, json_t *value)
{
    const char *key = NULL;
    json_t *part = NULL;
    size_t i = 0;
    json_array_foreach(value, i, part)
    {
        said_collect(s, part);
    }
    if (json_is_string(json_object_get(value, "ctename"))) {
        json_object_set_new(s->queries, said_text(value, "ctename"), json_true());
    }
    if (said_is_range(value) && (strcmp(said_text(value, "relpersistence"), "t") == 0 ||
                                 said_is_temp_schema(said_text(value, "schemaname")))) {
        json_object_set_new(s->temps, said_text(value, "relname"), json_true());
    }
    json_object_foreach(value, key, part)
    {
        said_collect(s, part);
    }
}

/* ---- what must be said ---- */

static bool said_is_use(const sp_sql_use *use, const char *schema, const char *name)
{
    bool is_there = schema[0] != '\0'
                        ? sp_span_eq(use->schema, sp_span_cstr(schema))
                        : use->schema.len == 0 || sp_span_eq(use->schema, SP_SPAN_LIT("public"));
    return is_there && (use->kind == SP_SQL_RELATION || use->kind == SP_SQL_SCHEMA) &&
           sp_span_eq(use->name, sp_span_cstr(name));
}

/* name NULL: of the whole database. */
static void said_need(const said *s, const said_place *place, sp_action action, const char *schema,
                      const char *name)
{
    for (uint32_t i = 0; i < s->judgement->use_count; i++) {
        const sp_sql_use *use = &s->judgement->uses[i];
        bool is_it = use->kind == SP_SQL_DATABASE ? name == NULL || s->is_of_all
                                                  : name != NULL && said_is_use(use, schema, name);
        if (is_it && (use->flags & SP_SQL_USE_BECOMES) == 0 &&
            sp_sql_gravity((sp_action)use->action) >= sp_sql_gravity(action)) {
            return;
        }
    }
    fprintf(stderr, "%s.%s: nothing says action %d of \"%s\".\"%s\"\n", place->node, place->field,
            (int)action, schema, name != NULL ? name : "(database)");
    abort();
}

static bool said_drops_column(const json_t *alter)
{
    const json_t *command = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(alter, "cmds"), i, command)
    {
        if (strcmp(said_text(json_object_get(command, "AlterTableCmd"), "subtype"),
                   "AT_DropColumn") == 0) {
            return true;
        }
    }
    return false;
}

/* More than the field alone tells. */
static sp_action said_more(const said_place *place, sp_action action)
{
    bool spares = json_object_get(place->of, "whereClause") != NULL;
    bool is_of_rows =
        (strcmp(place->node, "DeleteStmt") == 0 || strcmp(place->node, "UpdateStmt") == 0) &&
        strcmp(place->field, "relation") == 0;
    if ((is_of_rows && !spares) ||
        (strcmp(place->node, "AlterTableStmt") == 0 && said_drops_column(place->of)) ||
        (strcmp(place->node, "RefreshMatViewStmt") == 0 &&
         json_is_true(json_object_get(place->of, "skipData")))) {
        return SP_ACTION_DESTROY;
    }
    if (strcmp(place->node, "CopyStmt") == 0 &&
        json_is_true(json_object_get(place->of, "is_from"))) {
        return SP_ACTION_IMPORT;
    }
    if (strcmp(place->node, "LockStmt") == 0 &&
        json_integer_value(json_object_get(place->of, "mode")) > 2) { /* ROW SHARE */
        return SP_ACTION_WRITE;
    }
    if (strcmp(place->node, "SelectStmt") == 0 && strcmp(place->field, "fromClause") == 0 &&
        json_object_get(place->of, "lockingClause") != NULL) {
        return SP_ACTION_WRITE;
    }
    return action;
}

static const said_field *said_find(const said_field *fields, size_t count, const said_place *place)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].node, place->node) == 0 &&
            strcmp(fields[i].field, place->field) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

/* Nobody else's: but a name that a real table has means that table, even when a temporary one
 * hides it. */
static bool said_is_temporary(const said *s, const char *schema, const char *name)
{
    bool is_known = strcmp(name, "customers") == 0 || strcmp(name, "orders") == 0;
    return said_is_temp_schema(schema) ||
           (schema[0] == '\0' && !is_known && json_object_get(s->temps, name) != NULL);
}

/* Its name is one that is made. */
static bool said_makes(const said_place *place)
{
    return (strcmp(place->node, "CreateStmt") == 0 && strcmp(place->field, "relation") == 0) ||
           (strcmp(place->node, "ViewStmt") == 0 && strcmp(place->field, "view") == 0) ||
           (strcmp(place->node, "CreateSeqStmt") == 0 && strcmp(place->field, "sequence") == 0);
}

static void said_range(const said *s, const said_place *place, const json_t *range)
{
    const char *own = said_text(range, "schemaname");
    const char *schema = own[0] == '\0' && said_makes(place) ? s->made_in : own;
    const char *name = said_text(range, "relname");
    if (said_is_temporary(s, schema, name) ||
        strcmp(said_text(range, "relpersistence"), "t") == 0 ||
        said_find(said_no_relations, SP_COUNT(said_no_relations), place) != NULL ||
        (s->is_planned && strcmp(place->field, "rel") == 0)) { /* nothing is made */
        return;
    }
    const said_field *field = said_find(said_fields, SP_COUNT(said_fields), place);
    bool may_be_query = field == NULL && schema[0] == '\0' &&
                        json_object_get(range, "catalogname") == NULL &&
                        json_object_get(s->queries, name) != NULL;
    sp_action action = said_more(place, field != NULL  ? field->action
                                        : s->is_export ? SP_ACTION_EXPORT
                                                       : SP_ACTION_READ);
    if (!may_be_query) {
        said_need(s, place, s->is_planned ? SP_ACTION_READ : action, schema, name);
    }
}

/* "DROP TABLE a.b": relations are lists of names here. */
static void said_drop(const said *s, const json_t *drop)
{
    static const char *const types[] = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW",
                                        "OBJECT_SEQUENCE", "OBJECT_FOREIGN_TABLE"};
    const said_place place = {"DropStmt", "objects", drop};
    bool is_relation = false;
    for (size_t i = 0; i < SP_COUNT(types); i++) {
        is_relation |= strcmp(said_text(drop, "removeType"), types[i]) == 0;
    }
    const json_t *object = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(drop, "objects"), i, object)
    {
        const json_t *names = json_object_get(json_object_get(object, "List"), "items");
        size_t count = json_array_size(names);
        const char *parts[2] = {"", ""};
        for (size_t j = 0; j < 2 && j < count; j++) {
            const json_t *part = json_array_get(names, count - 1 - j);
            parts[j] = said_text(json_object_get(part, "String"), "sval");
        }
        if (is_relation && !said_is_temporary(s, parts[1], parts[0])) {
            said_need(s, &place, SP_ACTION_DESTROY, parts[1], parts[0]);
        }
    }
}

/* ---- the walk ---- */

/* Whether it only plans, or may. */
static bool said_only_plans(const json_t *explain)
{
    const json_t *option = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(explain, "options"), i, option)
    {
        const json_t *element = json_object_get(option, "DefElem");
        if (strcmp(said_text(element, "defname"), "analyze") == 0 &&
            json_object_get(element, "arg") == NULL) {
            return false;
        }
    }
    return true;
}

static void said_walk(said *s, const said_place *place, json_t *value);

static void said_fields_of(said *s, const char *node, json_t *value)
{
    const char *key = NULL;
    json_t *part = NULL;
    json_object_foreach(value, key, part)
    {
        const said_place place = {node, key, value};
        said_walk(s, &place, part);
    }
}

static void said_enter(said *s, const char *node, json_t *value)
{
    const said before = *s;
    const said_place place = {node, "", value};
    for (size_t i = 0; i < SP_COUNT(said_of_all); i++) {
        s->is_of_all |= strcmp(node, said_of_all[i]) == 0;
    }
    s->is_export |=
        strcmp(node, "CopyStmt") == 0 && !json_is_true(json_object_get(value, "is_from"));
    s->is_planned |= strcmp(node, "ExplainStmt") == 0 && said_only_plans(value);
    if (strcmp(node, "CreateSchemaStmt") == 0) {
        const json_t *role = json_object_get(value, "authrole");
        const char *name = said_text(value, "schemaname");
        s->made_in = name[0] != '\0' ? name : said_text(role, "rolename");
    }
    if (strcmp(node, "DropStmt") == 0) {
        said_drop(s, value);
    } else if (strcmp(node, "DropdbStmt") == 0 || strcmp(node, "DropOwnedStmt") == 0 ||
               strcmp(node, "DoStmt") == 0) {
        said_need(s, &place, SP_ACTION_DESTROY, "", NULL);
    }
    said_fields_of(s, node, value);
    *s = before;
}

static void said_walk(said *s, const said_place *place, json_t *value)
{
    json_t *part = NULL;
    size_t i = 0;
    json_array_foreach(value, i, part)
    {
        said_walk(s, place, part);
    }
    const char *node = said_node(value);
    json_t *inner = node != NULL ? json_object_get(value, node) : value;
    if (said_is_range(inner)) {
        said_range(s, place, inner);
    } else if (node != NULL) {
        said_enter(s, node, inner);
    } else if (json_is_object(value)) {
        said_fields_of(s, place->field, value);
    }
}

/* Aborts unless all of it is said. A print too deep for its reader passes. */
static void said_check(const sp_sql_judgement *judgement, const char *print)
{
    said s = {
        .judgement = judgement, .queries = json_object(), .temps = json_object(), .made_in = ""};
    json_t *tree = json_loads(print, 0, NULL);
    const said_place place = {"", "", tree};
    said_collect(&s, tree);
    said_walk(&s, &place, tree);
    json_decref(tree);
    json_decref(s.queries);
    json_decref(s.temps);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The targets of a text by the parser's own print.
 * OWNS nothing. PROCESS fuzzing, tests. TRUST the text is hostile. SPEC fuzz/sql_targets.h.
 */
#include "fuzz/sql_targets.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const sp_sql_catalogue *catalogue;
    const sp_sql_judgement *judgement;
    json_t *own; /* names of WITH and of temporary relations, as keys */
    bool known;
} looking;

typedef enum {
    ONE,    /* the member is a relation */
    EACH,   /* a list of them */
    INTO,   /* {"rel": relation} */
    STRINGS /* a list of lists of names */
} shape;

/* A node, the member that is its target, and how grave that is at least. */
typedef struct {
    const char *node, *member;
    shape shape;
    sp_action action;
    unsigned verb; /* SP_SQL_VERB_, or 0 */
} target;

static const target TARGETS[] = {
    {"InsertStmt", "relation", ONE, SP_ACTION_WRITE, SP_SQL_VERB_INSERT},
    {"UpdateStmt", "relation", ONE, SP_ACTION_WRITE, SP_SQL_VERB_UPDATE},
    {"DeleteStmt", "relation", ONE, SP_ACTION_WRITE, SP_SQL_VERB_DELETE},
    {"MergeStmt", "relation", ONE, SP_ACTION_WRITE, SP_SQL_VERB_MERGE},
    {"TruncateStmt", "relations", EACH, SP_ACTION_DESTROY, SP_SQL_VERB_TRUNCATE},
    {"DropStmt", "objects", STRINGS, SP_ACTION_ALTER, SP_SQL_VERB_DROP},
    {"AlterTableStmt", "relation", ONE, SP_ACTION_ALTER, SP_SQL_VERB_ALTER},
    {"AlterObjectSchemaStmt", "relation", ONE, SP_ACTION_ALTER, 0},
    {"RenameStmt", "relation", ONE, SP_ACTION_ALTER, 0},
    {"CreateTrigStmt", "relation", ONE, SP_ACTION_ALTER, 0},
    {"IndexStmt", "relation", ONE, SP_ACTION_ALTER, 0},
    {"RuleStmt", "relation", ONE, SP_ACTION_ALTER, 0},
    {"CopyStmt", "relation", ONE, SP_ACTION_IMPORT, 0},
    {"RefreshMatViewStmt", "relation", ONE, SP_ACTION_WRITE, 0},
    {"CreateTableAsStmt", "into", INTO, SP_ACTION_WRITE, 0},
    {"SelectStmt", "intoClause", INTO, SP_ACTION_WRITE, 0},
    {"CreateStmt", "relation", ONE, SP_ACTION_WRITE, 0},
    {"CreateSeqStmt", "sequence", ONE, SP_ACTION_WRITE, 0},
    {"ViewStmt", "view", ONE, SP_ACTION_WRITE, 0},
};

static const char *text_of(const json_t *node, const char *member)
{
    const char *text = json_string_value(json_object_get(node, member));
    return text == NULL ? "" : text;
}

static bool is_word(const json_t *node, const char *member, const char *word)
{
    return strcmp(text_of(node, member), word) == 0;
}

/* ---- what is the text's own ---- */

static void collect(looking *l, json_t *value)
{
    size_t at = 0;
    const char *key = NULL;
    json_t *one = NULL;
    bool temporary =
        is_word(value, "relpersistence", "t") || is_word(value, "schemaname", "pg_temp");
    if (temporary) {
        json_object_set_new(l->own, text_of(value, "relname"), json_true());
    }
    json_object_foreach(value, key, one)
    {
        if (strcmp(key, "CommonTableExpr") == 0) {
            json_object_set_new(l->own, text_of(one, "ctename"), json_true());
        }
        collect(l, one);
    }
    json_array_foreach(value, at, one)
    {
        collect(l, one);
    }
}

/* ---- what the judgement knows ---- */

static bool is_named(sp_span name, const char *want)
{
    return sp_span_eq(name, sp_span_cstr(want));
}

static bool is_about(const looking *l, const sp_sql_use *use, const char *schema, const char *name)
{
    if ((use->flags & SP_SQL_USE_SYSTEM) != 0 ||
        (use->kind == SP_SQL_DATABASE && use->action == SP_ACTION_DESTROY)) {
        return true;
    }
    if (use->kind == SP_SQL_RELATION && use->relation != SP_NONE &&
        is_named(sp_sql_catalogue_at(l->catalogue, use->relation)->name, name)) {
        return true;
    }
    return (use->kind == SP_SQL_RELATION || use->kind == SP_SQL_SCHEMA) &&
           is_named(use->name, name) &&
           (schema[0] == '\0' || use->schema.len == 0 || is_named(use->schema, schema));
}

static void need(looking *l, const target *t, sp_action action, const char *schema,
                 const char *name)
{
    const sp_sql_judgement *j = l->judgement;
    unsigned verbs = sp_sql_verbs(j);
    bool found = json_object_get(l->own, name) != NULL || strcmp(schema, "pg_temp") == 0;
    bool verb = found || t->verb == 0 || (verbs & (t->verb | SP_SQL_VERB_ANY)) != 0;
    for (uint32_t i = 0; i < j->use_count && !found; i++) {
        found = sp_sql_gravity((sp_action)j->uses[i].action) >= sp_sql_gravity(action) &&
                is_about(l, &j->uses[i], schema, name);
    }
    if (!found || !verb) {
        fprintf(stderr, "%s of %s%s%s: %s\n", t->node, schema, schema[0] != '\0' ? "." : "", name,
                found ? "its verb is not known" : "no such use");
        l->known = false;
    }
}

/* ---- the nodes ---- */

static void need_relation(looking *l, const target *t, sp_action action, const json_t *relation)
{
    const json_t *inner = json_object_get(relation, "RangeVar");
    relation = inner == NULL ? relation : inner;
    if (json_is_object(relation)) {
        need(l, t, action, text_of(relation, "schemaname"), text_of(relation, "relname"));
    }
}

static void need_strings(looking *l, const target *t, sp_action action, const json_t *object)
{
    const json_t *items = json_object_get(json_object_get(object, "List"), "items");
    const char *names[2] = {"", ""};
    size_t count = json_array_size(items);
    for (size_t i = 0; i < 2 && i < count; i++) {
        const json_t *one = json_array_get(items, count - 1 - i);
        names[i] = text_of(json_object_get(one, "String"), "sval");
    }
    need(l, t, action, names[1], names[0]);
}

/* Whether it is about a relation whose name the gate looks for. */
static bool is_of_relation(const json_t *node, const char *member)
{
    static const char *const kinds[] = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW",
                                        "OBJECT_FOREIGN_TABLE"};
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        if (is_word(node, member, kinds[i])) {
            return true;
        }
    }
    return false;
}

static bool is_meant(const target *t, const json_t *node)
{
    if (strcmp(t->node, "DropStmt") == 0) {
        return is_of_relation(node, "removeType");
    }
    if (strcmp(t->node, "AlterTableStmt") == 0) {
        return is_of_relation(node, "objtype");
    }
    if (strcmp(t->node, "RenameStmt") == 0) {
        return is_of_relation(node, "renameType") || is_of_relation(node, "relationType");
    }
    if (strcmp(t->node, "AlterObjectSchemaStmt") == 0) {
        return is_of_relation(node, "objectType");
    }
    return strcmp(t->node, "CopyStmt") != 0 || json_is_true(json_object_get(node, "is_from"));
}

/* Without a condition all rows go; a table that is dropped does. */
static sp_action gravest_of(const target *t, const json_t *node)
{
    bool rows = t->verb == SP_SQL_VERB_DELETE || t->verb == SP_SQL_VERB_UPDATE;
    bool all = rows && json_object_get(node, "whereClause") == NULL;
    bool table = t->verb == SP_SQL_VERB_DROP && is_word(node, "removeType", "OBJECT_TABLE");
    return all || table ? SP_ACTION_DESTROY : t->action;
}

static void look_at(looking *l, const target *t, const json_t *node)
{
    const json_t *member = json_object_get(node, t->member);
    sp_action action = gravest_of(t, node);
    size_t at = 0;
    const json_t *one = NULL;
    if (!is_meant(t, node)) {
        return;
    }
    switch (t->shape) {
    case ONE:
        need_relation(l, t, action, member);
        break;
    case INTO:
        need_relation(l, t, action, json_object_get(member, "rel"));
        break;
    case EACH:
    case STRINGS:
        json_array_foreach(member, at, one)
        {
            if (t->shape == EACH) {
                need_relation(l, t, action, one);
            } else {
                need_strings(l, t, action, one);
            }
        }
        break;
    }
}

/* Its statements run later, elsewhere, or not at all. */
static bool runs(const char *key, const json_t *node)
{
    static const char *const others[] = {"CreateFunctionStmt", "RuleStmt", "CreateSchemaStmt"};
    for (size_t i = 0; i < SP_COUNT(others); i++) {
        if (strcmp(key, others[i]) == 0) {
            return false;
        }
    }
    const json_t *options = json_object_get(node, "options");
    bool analyzes = false;
    size_t at = 0;
    const json_t *one = NULL;
    json_array_foreach(options, at, one)
    {
        const json_t *option = json_object_get(one, "DefElem");
        analyzes = is_word(option, "defname", "analyze") ? json_object_get(option, "arg") == NULL
                                                         : analyzes;
    }
    return strcmp(key, "ExplainStmt") != 0 || analyzes;
}

static void look(looking *l, const json_t *value)
{
    size_t at = 0;
    const char *key = NULL;
    const json_t *one = NULL;
    json_object_foreach((json_t *)(uintptr_t)value, key, one)
    {
        for (size_t i = 0; i < SP_COUNT(TARGETS); i++) {
            if (strcmp(key, TARGETS[i].node) == 0) {
                look_at(l, &TARGETS[i], one);
            }
        }
        if (runs(key, one)) {
            look(l, one);
        }
    }
    json_array_foreach(value, at, one)
    {
        look(l, one);
    }
}

bool sql_targets_known(const char *print, const sp_sql_catalogue *catalogue,
                       const sp_sql_judgement *judgement)
{
    json_error_t error;
    json_t *tree = json_loads(print, 0, &error);
    if (tree == NULL) { /* deeper than it reads */
        return true;
    }
    looking l = {catalogue, judgement, json_object(), true};
    collect(&l, tree);
    look(&l, tree);
    json_decref(l.own);
    json_decref(tree);
    return l.known;
}

/* SPDX-License-Identifier: Apache-2.0
 * What lasts must not stand on what goes with its session. At DISCARD TEMP, and when a session
 * ends, the server drops all that is in its temporary schema, and with it, unasked, whatever
 * depends on that: columns of a type there, tables OF one, views that name it. So nothing is made
 * there but relations, and no definition of anything that lasts names what may be the type of one.
 *
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15
 * namespace.c RemoveTempRelations(), dependency.c find_expr_references_walker().
 */
#include "lib/sql/define.h"

#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 63 }; /* the server cuts longer ones */

/* pg_type of PostgreSQL 15 but for arrays and rows, in the order of bytes. */
static const char *const server_types[] = {
    "_record",
    "aclitem",
    "any",
    "anyarray",
    "anycompatible",
    "anycompatiblearray",
    "anycompatiblemultirange",
    "anycompatiblenonarray",
    "anycompatiblerange",
    "anyelement",
    "anyenum",
    "anymultirange",
    "anynonarray",
    "anyrange",
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "cstring",
    "date",
    "datemultirange",
    "daterange",
    "event_trigger",
    "fdw_handler",
    "float4",
    "float8",
    "gtsvector",
    "index_am_handler",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "internal",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "language_handler",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_ddl_command",
    "pg_dependencies",
    "pg_lsn",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    "pg_snapshot",
    "point",
    "polygon",
    "record",
    "refcursor",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "table_am_handler",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "trigger",
    "tsm_handler",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xid",
    "xid8",
    "xml",
};

static int compare_type(const void *key, const void *item)
{
    return sp_span_compare(*(const sp_span *)key, sp_span_cstr(*(const char *const *)item));
}

bool is_server_type(sp_span name)
{
    return name.len > 0 && bsearch(&name, server_types, SP_COUNT(server_types),
                                   sizeof(server_types[0]), compare_type) != NULL;
}

static bool is_temporary_schema(sp_span schema)
{
    return sp_span_starts(schema, SP_SPAN_LIT("pg_temp"));
}

void forbid_temporary_place(walker *w, sp_span schema)
{
    if (is_temporary_schema(schema)) {
        walk_fault(w, SP_SQL_FORBIDDEN,
                   "something other than a table, a sequence or an index in pg_temp, which takes "
                   "with it what stands on it");
    }
}

/* Of a relation, or of an array of its rows, whose name has one underscore before it, or more. */
static bool is_type_of_temporary(const walker *w, sp_span name)
{
    bool is_cut = name.len >= NAME_MAX_BYTES && name.ptr[0] == '_';
    while (!is_cut && !walk_is_temporary(w, name)) {
        if (name.len < 2 || name.ptr[0] != '_') {
            return false;
        }
        name = sp_span_slice(name, 1, name.len);
    }
    return true;
}

bool walk_may_be_temporary_type(const walker *w, const TypeName *type)
{
    const List *names = type->names;
    if (type->pct_type && list_length(names) > 1) { /* relation.column */
        const RangeVar relation = relation_of_names(names, 1);
        return may_be_temporary(w, &relation);
    }
    sp_span schema = names_before(names);
    sp_span name = names_last(names);
    if (schema.len > 0 || is_server_type(name)) {
        return is_temporary_schema(schema);
    }
    return is_type_of_temporary(w, name) || w->room->is_temp_renamed || w->context->is_temp_renamed;
}

/* "scratch", "Scratch"[], pg_temp.scratch: as a type or relation is read from a text. */
static bool is_text_of_temporary(const walker *w, sp_span text)
{
    uint8_t name[NAME_MAX_BYTES];
    size_t len = 0;
    text = sp_span_trim(text);
    bool is_quoted = text.len > 0 && text.ptr[0] == '"';
    for (size_t i = is_quoted; i < text.len && len < sizeof(name); i++) {
        uint8_t c = text.ptr[i];
        bool is_double = is_quoted && c == '"' && i + 1 < text.len && text.ptr[i + 1] == '"';
        bool ends = is_quoted ? c == '"' && !is_double : strchr(" .[%(\t\n\r\f\v", c) != NULL;
        if (ends) {
            break;
        }
        i += is_double;
        name[len++] = !is_quoted && c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
    }
    sp_span read = {name, len};
    return len > 0 && (is_temporary_schema(read) || is_type_of_temporary(w, read));
}

/* What a type of objects (regclass and the like) is read from by its number. */
static bool is_number_of_object(const TypeCast *cast)
{
    sp_span text = sp_span_trim(literal_of(cast->arg));
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        digits++;
    }
    sp_span type = names_last(cast->typeName->names);
    return digits > 0 && digits == text.len && sp_span_starts(type, SP_SPAN_LIT("reg"));
}

typedef struct {
    walker *w;
    bool is_view; /* a constant that names a relation is one that it stands on */
    uint32_t depth;
    uint32_t nodes;
} lasting;

static bool names_temporary(const lasting *l, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_TypeName:
        return walk_may_be_temporary_type(l->w, AS(TypeName, node));
    case T_TypeCast:
        return l->is_view && is_number_of_object(AS(TypeCast, node));
    case T_A_Const:
        return l->is_view && is_text_of_temporary(l->w, literal_of(node));
    default:
        return false;
    }
}

static void look(lasting *l, const Node *node)
{
    if (node == NULL || walk_failed(l->w)) {
        return;
    }
    if (l->depth >= SP_SQL_DEPTH_MAX || ++l->nodes > SP_SQL_NODES_MAX) {
        walk_fault(l->w, SP_SQL_TOO_COMPLEX, "a definition that is too deep or too long");
        return;
    }
    l->depth++;
    if (is_list(node)) {
        const List *list = (const List *)(const void *)node;
        for (int i = 0; i < list_length(list); i++) {
            look(l, (const Node *)list_nth(list, i));
        }
    } else if (names_temporary(l, node)) {
        bool is_type = nodeTag(node) == T_TypeName;
        walk_fault(l->w, SP_SQL_FORBIDDEN, "%s with which something that lasts would go",
                   is_type ? "a type that may be a temporary table's (name its schema),"
                           : "a constant in a view that may name something temporary,");
    } else {
        const node_shape *shape = shape_of(nodeTag(node));
        for (unsigned i = 0; i < shape->count; i++) {
            look(l, shape_child(node, shape, i));
        }
    }
    l->depth--;
}

void forbid_temporary_types(walker *w, const Node *node)
{
    bool is_view =
        nodeTag(node) == T_ViewStmt || (nodeTag(node) == T_CreateTableAsStmt &&
                                        AS(CreateTableAsStmt, node)->objtype == OBJECT_MATVIEW);
    lasting l = {.w = w, .is_view = is_view};
    look(&l, node);
}

static bool is_of_temporary(const walker *w, const RangeVar *relation)
{
    return relation != NULL && walk_resolve(w, relation, true).kind == FOUND_TEMPORARY;
}

/* Whether what it defines stands on what it names, and stays when the session ends. */
bool walk_is_lasting(const walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_CreateStmt:
        return !is_temporary_name(AS(CreateStmt, node)->relation);
    case T_CreateTableAsStmt:
        return !is_temporary_name(AS(CreateTableAsStmt, node)->into->rel);
    case T_AlterTableStmt:
        return !is_of_temporary(w, AS(AlterTableStmt, node)->relation);
    case T_IndexStmt:
        return !is_of_temporary(w, AS(IndexStmt, node)->relation);
    case T_DropStmt:
    case T_CommentStmt:
    case T_GrantStmt:
    case T_RenameStmt:
    case T_AlterOwnerStmt:
    case T_AlterObjectSchemaStmt:
        return false;
    default:
        return true;
    }
}

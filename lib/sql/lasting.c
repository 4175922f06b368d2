/* SPDX-License-Identifier: Apache-2.0
 * What lasts must not stand on what goes with its session. At DISCARD TEMP, and when a session
 * ends, the server drops all that is in its temporary schema, and with it, unasked, whatever
 * depends on that: columns of a type there, tables OF one, views that name it, domains whose
 * default does. So nothing is made there but relations, and no definition of anything that lasts
 * names what may be the type of one, or has a constant from which the server may read the name of
 * one.
 *
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15
 * namespace.c RemoveTempRelations(), dependency.c find_expr_references_walker().
 */
#include "lib/sql/define.h"

#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The server cuts longer names, at the end of a character: its encoding may not be that of the
 * text, so anywhere from the lesser on. */
enum { NAME_MAX_BYTES = 63, NAME_CUT_BYTES = 60, ARGUMENTS_MAX = 100 };

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
    bool is_cut = name.len >= NAME_CUT_BYTES && name.ptr[0] == '_';
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

/* ---- constants from which the server reads names ---- */

/* How a text is read: as the names of a relation (anything between dots, with blanks of PostgreSQL
 * 15 or 16), or as those of a type, by the grammar. */
typedef enum { AS_NAMES, AS_NAMES_16, AS_TYPE } reading;
typedef struct {
    sp_span rest;
    reading how;
    size_t len; /* of the part that was read last; more than NAME_MAX_BYTES: it is cut */
    uint8_t part[NAME_MAX_BYTES + 1];
} naming;

static bool is_blank(const naming *n, uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r' && (c != '\v' || n->how != AS_NAMES));
}

static bool is_in_part(const naming *n, uint8_t c)
{
    return n->how == AS_TYPE ? sp_is_alnum(c) || c == '_' || c == '$' || c >= 0x80
                             : c != '.' && !is_blank(n, c);
}

static void drop(naming *n, size_t count)
{
    n->rest = sp_span_slice(n->rest, count, n->rest.len);
}

/* The length of a comment at the beginning; 0: there is none. */
static size_t comment_of(sp_span text)
{
    size_t i = 0;
    if (sp_span_starts(text, SP_SPAN_LIT("--"))) {
        while (i < text.len && text.ptr[i] != '\n' && text.ptr[i] != '\r') {
            i++;
        }
        return i;
    }
    uint32_t depth = 0;
    do {
        sp_span rest = sp_span_slice(text, i, text.len);
        bool begins = sp_span_starts(rest, SP_SPAN_LIT("/*"));
        bool ends = depth > 0 && sp_span_starts(rest, SP_SPAN_LIT("*/"));
        depth += begins;
        depth -= ends;
        i += begins || ends ? 2 : depth > 0;
    } while (depth > 0 && i < text.len);
    return i;
}

static void skip_blanks(naming *n)
{
    size_t count;
    do {
        count = n->rest.len > 0 && is_blank(n, n->rest.ptr[0]);
        if (count == 0 && n->how == AS_TYPE) {
            count = comment_of(n->rest);
        }
        drop(n, count);
    } while (count > 0);
}

/* False: no name stands there. */
static bool read_part(naming *n)
{
    sp_span text = n->rest;
    bool is_quoted = text.len > 0 && text.ptr[0] == '"';
    size_t i = is_quoted;
    for (n->len = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool is_double = is_quoted && c == '"' && i + 1 < text.len && text.ptr[i + 1] == '"';
        if (is_quoted ? c == '"' && !is_double : !is_in_part(n, c)) {
            break;
        }
        i += is_double;
        if (n->len < sizeof(n->part)) {
            n->part[n->len++] = !is_quoted && c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
        }
    }
    if (n->len == 0 || (is_quoted && i == text.len)) {
        return false;
    }
    drop(n, i + is_quoted);
    return true;
}

/* As it was written, or cut. */
static bool is_part_temporary(const walker *w, const naming *n)
{
    bool is_found = n->len < NAME_CUT_BYTES && is_type_of_temporary(w, sp_span_of(n->part, n->len));
    for (size_t cut = NAME_CUT_BYTES; cut <= n->len && cut <= NAME_MAX_BYTES; cut++) {
        is_found |= is_type_of_temporary(w, sp_span_of(n->part, cut));
    }
    return is_found;
}

/* What follows a name makes it no other thing: its bounds as an array, the end of an argument. */
static bool ends_name(const naming *n)
{
    return n->rest.len == 0 || (n->how == AS_TYPE && memchr("[(%aA,)", n->rest.ptr[0], 7) != NULL);
}

/* One whose letters are written by number (U&"...") may be any. */
static bool reads_temporary(const walker *w, sp_span text, reading how)
{
    naming n = {.rest = text, .how = how};
    bool goes_on;
    do {
        skip_blanks(&n);
        bool is_escaped = sp_span_starts(n.rest, SP_SPAN_LIT("U&\"")) ||
                          sp_span_starts(n.rest, SP_SPAN_LIT("u&\""));
        if (how == AS_TYPE && is_escaped) {
            return true;
        }
        if (!read_part(&n)) {
            return false;
        }
        if (is_temporary_schema(sp_span_of(n.part, n.len))) {
            return true;
        }
        skip_blanks(&n);
        goes_on = n.rest.len > 0 && n.rest.ptr[0] == '.';
        drop(&n, goes_on);
    } while (goes_on);
    return ends_name(&n) && is_part_temporary(w, &n);
}

/* scratch, "Scratch"[], office.pg_temp.scratch, f(scratch): any reading will do. */
static bool is_text_of_temporary(const walker *w, sp_span text)
{
    bool is_found = reads_temporary(w, text, AS_NAMES) || reads_temporary(w, text, AS_NAMES_16) ||
                    reads_temporary(w, text, AS_TYPE);
    bool is_quoted = false;
    uint32_t arguments = 0;
    for (size_t i = 0; i < text.len && !is_found && arguments < ARGUMENTS_MAX; i++) {
        is_quoted ^= text.ptr[i] == '"';
        bool opens = arguments == 0 && text.ptr[i] == '(';
        bool begins = opens || (arguments > 0 && text.ptr[i] == ',');
        if (is_quoted || !begins) {
            continue;
        }
        sp_span head = sp_span_slice(text, 0, i);
        is_found = (opens && (reads_temporary(w, head, AS_NAMES) ||
                              reads_temporary(w, head, AS_NAMES_16))) ||
                   reads_temporary(w, sp_span_slice(text, i + 1, text.len), AS_TYPE);
        arguments++;
    }
    return is_found;
}

/* ---- what a definition stands on ---- */

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
    bool is_stored; /* a constant that names something is what the definition stands on */
    bool is_domain;
    bool is_function; /* it stands on the relations of its body, too */
    uint32_t depth;
    uint32_t nodes;
} lasting;

static bool names_temporary(const lasting *l, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_TypeName:
        return walk_may_be_temporary_type(l->w, AS(TypeName, node));
    case T_RangeVar:
        return l->is_function && may_be_temporary(l->w, AS(RangeVar, node));
    case T_TypeCast:
        return l->is_stored && is_number_of_object(AS(TypeCast, node));
    case T_A_Const:
        return l->is_stored && is_text_of_temporary(l->w, literal_of(node));
    default:
        return false;
    }
}

/* Of a table, what falls alone (a default, a check), and what is computed and not stored. A
 * domain's default takes the domain along, a generated column's expression the column. */
static bool holds_nothing(const lasting *l, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_Constraint: {
        ConstrType kind = AS(Constraint, node)->contype;
        return !l->is_domain && (kind == CONSTR_DEFAULT || kind == CONSTR_CHECK);
    }
    case T_AlterTableCmd: {
        AlterTableType kind = AS(AlterTableCmd, node)->subtype;
        return kind == AT_ColumnDefault || kind == AT_AlterColumnType;
    }
    case T_PartitionBoundSpec:
    case T_VariableSetStmt:
        return true;
    default:
        return false;
    }
}

static void look(lasting *l, const Node *node)
{
    if (node == NULL || walk_failed(l->w)) {
        return;
    }
    if (l->depth >= SP_SQL_DEPTH_MAX || ++l->nodes > SP_SQL_NODES_MAX || walk_is_spent(l->w)) {
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
        NodeTag tag = nodeTag(node);
        walk_fault(l->w, SP_SQL_FORBIDDEN, "%s with which something that lasts would go",
                   tag == T_TypeName   ? "a type that may be a temporary table's (name its schema),"
                   : tag == T_RangeVar ? "a relation that may be temporary (name its schema),"
                                       : "a constant that may name something temporary,");
    } else {
        const node_shape *shape = shape_of(nodeTag(node));
        bool was_stored = l->is_stored;
        l->is_stored = was_stored && !holds_nothing(l, node);
        for (unsigned i = 0; i < shape->count; i++) {
            look(l, shape_child(node, shape, i));
        }
        l->is_stored = was_stored;
    }
    l->depth--;
}

void forbid_temporary_types(walker *w, const Node *node)
{
    NodeTag tag = nodeTag(node);
    bool is_table_of_rows =
        tag == T_SelectStmt ||
        (tag == T_CreateTableAsStmt && AS(CreateTableAsStmt, node)->objtype != OBJECT_MATVIEW);
    lasting l = {.w = w,
                 .is_stored = !is_table_of_rows,
                 .is_function = tag == T_CreateFunctionStmt,
                 .is_domain = tag == T_CreateDomainStmt || tag == T_AlterDomainStmt};
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

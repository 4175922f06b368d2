/* SPDX-License-Identifier: Apache-2.0
 * What lasts must not stand on what goes with its session. At DISCARD TEMP, and when a session
 * ends, the server drops all that is in its temporary schema, and with it, unasked, whatever
 * depends on that: columns of a type there, tables OF one, views that name it, domains whose
 * default does. So nothing is made there but relations, and no definition of anything that lasts
 * names what may be the type of one, or has a constant of which the server decides what it is, and
 * which may be the name of one: in a session that has or had anything temporary any constant may.
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
enum { NAME_CUT_BYTES = 60, OIDS_OF_SERVER = 16383, ROWS_MAX = 32 };

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

void forbid_temporary_child(walker *w, const RangeVar *parent)
{
    if (walk_resolve(w, parent, true).kind != FOUND_TEMPORARY) {
        walk_fault(w, SP_SQL_FORBIDDEN,
                   "a temporary table that inherits from one that lasts, by whose name its rows "
                   "would be read (of a temporary one, write pg_temp.%s),",
                   parent->relname);
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

/* The name alone means the server's type, unless something stands in front of that. */
static bool is_server_first(const walker *w)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 1; catalogue != NULL && (at = sp_sql_catalogue_path_at(catalogue, i)).len > 0;
         i++) {
        if (sp_span_eq(at, SP_SPAN_LIT("pg_catalog"))) {
            return false;
        }
    }
    return true;
}

/* One of values: regclass and the like read names, any and unknown leave open what reads it. */
static bool is_type_of_values(const walker *w, const TypeName *type)
{
    sp_span schema = names_before(type->names);
    sp_span name = names_last(type->names);
    bool is_own =
        schema.len > 0 ? sp_span_eq(schema, SP_SPAN_LIT("pg_catalog")) : is_server_first(w);
    bool reads_names =
        sp_span_starts(name, SP_SPAN_LIT("reg")) && !sp_span_eq(name, SP_SPAN_LIT("regconfig"));
    return is_own && list_length(type->names) <= 2 && !type->pct_type && is_server_type(name) &&
           !reads_names && !sp_span_starts(name, SP_SPAN_LIT("any")) &&
           !sp_span_eq(name, SP_SPAN_LIT("unknown"));
}

/* Something of any session: by number, which is none of the server's own, by the schema. Names
 * that are escaped may be any. */
static bool may_be_of_any(sp_span text)
{
    uint64_t number = 0;
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        digits++;
    }
    if (digits == text.len) {
        return sp_failed(sp_span_to_u64(text, OIDS_OF_SERVER, &number));
    }
    for (size_t i = 0; i < text.len; i++) {
        if (sp_span_eq(sp_span_slice(text, i, i + 2), SP_SPAN_LIT("&\"")) ||
            sp_span_eq_nocase(sp_span_slice(text, i, i + 7), SP_SPAN_LIT("pg_temp"))) {
            return true;
        }
    }
    return false;
}

/* Whether the session has, or had, anything temporary. */
static bool has_temporary(const walker *w)
{
    const sp_sql_context *context = w->context;
    return context->is_temporary != NULL || context->was_temporary != NULL ||
           context->is_temp_renamed || w->room->temp_count > 0 || w->room->is_temp_renamed;
}

/* ---- what a definition stands on ---- */

typedef struct {
    walker *w;
    bool is_stored; /* a constant that names something is what the definition stands on */
    bool is_any;    /* it may name something temporary whatever it says */
    bool is_typed;  /* what stands there is a value, if it is a constant */
    bool is_domain;
    bool is_function;       /* it stands on the relations of its body, too */
    bool is_target;         /* what stands there is all of an item of a SELECT's list */
    sp_span rows[ROWS_MAX]; /* the names in a query by which rows of what may be temporary go */
    uint32_t row_count;
    uint32_t depth;
    uint32_t nodes;
} lasting;

typedef void step(lasting *l, const Node *node);

static void each_child(lasting *l, const Node *node, step *each)
{
    if (l->depth >= SP_SQL_DEPTH_MAX || ++l->nodes > SP_SQL_NODES_MAX || walk_is_spent(l->w)) {
        walk_fault(l->w, SP_SQL_TOO_COMPLEX, "a definition that is too deep or too long");
        return;
    }
    l->depth++;
    const List *list = is_list(node) ? AS(List, node) : NIL;
    for (int i = 0; i < list_length(list); i++) {
        each(l, (const Node *)list_nth(list, i));
    }
    const node_shape *shape = shape_of(nodeTag(node));
    for (unsigned i = 0; list == NIL && i < shape->count; i++) {
        each(l, shape_child(node, shape, i));
    }
    l->depth--;
}

/* ---- rows as one value, of which a query may make a column ---- */

bool may_be_any_temporary(const walker *w, const RangeVar *name)
{
    bool is_renamed = w->room->is_temp_renamed || w->context->is_temp_renamed;
    return may_be_temporary(w, name) || (is_renamed && name->schemaname == NULL);
}

static void find_rows(lasting *l, const Node *node)
{
    if (node == NULL || walk_failed(l->w)) {
        return;
    }
    if (nodeTag(node) == T_RangeVar && may_be_any_temporary(l->w, AS(RangeVar, node))) {
        const RangeVar *from = AS(RangeVar, node);
        if (l->row_count == ROWS_MAX) {
            walk_fault(l->w, SP_SQL_TOO_COMPLEX, "a table made of more than %d temporary ones",
                       ROWS_MAX);
            return;
        }
        l->rows[l->row_count++] =
            text_of(from->alias != NULL ? from->alias->aliasname : from->relname);
    }
    each_child(l, node, find_rows);
}

/* "s" and "s.*" of FROM scratch s, but where that stands for all of its columns. */
static bool takes_row(const lasting *l, const ColumnRef *column)
{
    int count = list_length(column->fields);
    bool is_star = nodeTag(llast(column->fields)) == T_A_Star;
    if (is_star ? count < 2 || l->is_target : count > 1) {
        return false;
    }
    sp_span name = string_of((const Node *)list_nth(column->fields, is_star ? count - 2 : 0));
    walk_works(l->w, l->row_count / 8);
    for (uint32_t i = 0; i < l->row_count; i++) {
        if (sp_span_eq(l->rows[i], name)) {
            return true;
        }
    }
    return false;
}

/* ---- what names something ---- */

/* A blank is no name. */
static bool may_name_temporary(const lasting *l, const Node *constant)
{
    bool is_stored = l->is_stored && !l->is_typed;
    sp_span text = is_stored ? sp_span_trim(literal_of(constant)) : SP_SPAN_EMPTY;
    return text.len > 0 && (l->is_any || may_be_of_any(text));
}

/* Constants below it are of values: 'x'::text; extract(year FROM x), x AT TIME ZONE 'UTC' and the
 * like are calls of the server's own. */
static bool types_constants(const lasting *l, const Node *node)
{
    if (nodeTag(node) == T_FuncCall) {
        return AS(FuncCall, node)->funcformat == COERCE_SQL_SYNTAX;
    }
    return nodeTag(node) == T_TypeCast && is_type_of_values(l->w, AS(TypeCast, node)->typeName);
}

static bool names_temporary(const lasting *l, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_TypeName:
        return walk_may_be_temporary_type(l->w, AS(TypeName, node));
    case T_RangeVar:
        return l->is_function && may_be_temporary(l->w, AS(RangeVar, node));
    case T_TableLikeClause: /* what its columns and indexes are computed by is copied */
        return l->is_stored && AS(TableLikeClause, node)->options != 0 &&
               may_be_any_temporary(l->w, AS(TableLikeClause, node)->relation);
    case T_ColumnRef:
        return takes_row(l, AS(ColumnRef, node));
    case T_A_Const:
        return may_name_temporary(l, node);
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

static const char *what_of(NodeTag tag)
{
    switch ((int)tag) {
    case T_TypeName:
        return "a type that may be a temporary table's (name its schema)";
    case T_ColumnRef:
        return "a row of a temporary table as one value (name its columns)";
    case T_TableLikeClause:
        return "LIKE ... INCLUDING of a temporary table";
    default:
        return "a relation that may be temporary (name its schema)";
    }
}

static void forbid(const lasting *l, NodeTag tag)
{
    if (tag != T_A_Const) {
        walk_fault(l->w, SP_SQL_FORBIDDEN, "%s, with which something that lasts would go",
                   what_of(tag));
        return;
    }
    walk_fault(l->w, SP_SQL_FORBIDDEN,
               "a constant without a type that may name something temporary, with which what is "
               "defined would go (write 'x'::text, or %s),",
               l->is_any ? "define it in a session without temporary tables"
                         : "the name of what it is");
}

static void look(lasting *l, const Node *node)
{
    if (node == NULL || walk_failed(l->w)) {
        return;
    }
    if (is_list(node)) {
        each_child(l, node, look);
        return;
    }
    if (names_temporary(l, node)) {
        forbid(l, nodeTag(node));
        return;
    }
    const lasting outside = *l;
    l->is_stored = l->is_stored && !holds_nothing(l, node);
    l->is_typed = types_constants(l, node);
    l->is_target = nodeTag(node) == T_ResTarget;
    each_child(l, node, look);
    l->is_stored = outside.is_stored;
    l->is_typed = outside.is_typed;
    l->is_target = outside.is_target;
}

static bool is_of_temporary(const walker *w, const RangeVar *relation)
{
    return relation != NULL && walk_resolve(w, relation, true).kind == FOUND_TEMPORARY;
}

/* Whether what it defines stands on what it names, and stays when the session ends. */
static bool is_lasting(const walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_SelectStmt:
        return !is_temporary_name(into_of(AS(SelectStmt, node))->rel);
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

/* Columns of a temporary table have no such type either: a table that is made of its rows would
 * have it. */
static bool types_columns(NodeTag tag)
{
    return tag == T_CreateStmt || tag == T_CreateTableAsStmt || tag == T_SelectStmt ||
           tag == T_AlterTableStmt;
}

void forbid_standing_on_temporary(walker *w, const Node *node)
{
    NodeTag tag = nodeTag(node);
    bool lasts = is_lasting(w, node);
    bool is_of_query = tag == T_SelectStmt || tag == T_CreateTableAsStmt;
    bool is_view =
        tag == T_CreateTableAsStmt && AS(CreateTableAsStmt, node)->objtype == OBJECT_MATVIEW;
    lasting l = {.w = w,
                 .is_stored = lasts && (!is_of_query || is_view),
                 .is_any = has_temporary(w),
                 .is_function = tag == T_CreateFunctionStmt,
                 .is_domain = tag == T_CreateDomainStmt || tag == T_AlterDomainStmt};
    if (is_of_query && !is_view) {
        find_rows(&l, node);
    }
    if (lasts || types_columns(tag)) {
        look(&l, node);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Whether ALTER COLUMN ... TYPE keeps what stands in the column: a cast to "char" leaves one letter
 * of each value, one to integer or date what is before the point or the hour.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 pg_cast.dat.
 */
#include "lib/sql/walk.h"

#include "lib/base/mem.h"

/* pg_type.dat */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_JSON = 114,
    OID_XML = 142,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_INET = 869,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802
};
#define TEXTS OID_TEXT, OID_VARCHAR, OID_BPCHAR
#define INTS OID_INT2, OID_INT4, OID_INT8
/* What is written in one way only, whatever the session has set; extra_float_digits cuts floats. */
#define WRITTEN                                                                                    \
    TEXTS, INTS, OID_NUMERIC, OID_BOOL, OID_JSON, OID_JSONB, OID_XML, OID_INET, OID_UUID,          \
        OID_DATE, OID_TIMESTAMP, OID_TIMESTAMPTZ
enum { SOURCES_MAX = 16 };

/* What comes from these types is the same value, or an error: what it was can be told from it. From
 * the ones beside them too, but one number is written in many texts, and an instant is another one
 * in each time zone, which is anybody's to set. */
static const struct {
    const char *name;
    uint32_t oid;
    uint32_t from[SOURCES_MAX];
    uint32_t beside[SOURCES_MAX];
} kept[] = {
    {"int2", OID_INT2, {INTS}, {TEXTS}},
    {"int4", OID_INT4, {INTS}, {TEXTS}},
    {"int8", OID_INT8, {INTS}, {TEXTS}},
    {"numeric", OID_NUMERIC, {INTS, OID_NUMERIC}, {TEXTS}},
    {"float4", OID_FLOAT4, {OID_FLOAT4, OID_INT2}, {0}},
    {"float8", OID_FLOAT8, {OID_FLOAT4, OID_FLOAT8, OID_INT2, OID_INT4}, {0}},
    {"date", OID_DATE, {OID_DATE}, {0}},
    {"timestamp", OID_TIMESTAMP, {OID_TIMESTAMP, OID_DATE}, {OID_TIMESTAMPTZ}},
    {"timestamptz", OID_TIMESTAMPTZ, {OID_TIMESTAMPTZ}, {OID_TIMESTAMP, OID_DATE}},
    {"bool", OID_BOOL, {OID_BOOL}, {0}},
    {"json", OID_JSON, {OID_JSON, OID_JSONB, TEXTS}, {0}},
    {"jsonb", OID_JSONB, {OID_JSONB}, {OID_JSON, TEXTS}},
    {"uuid", OID_UUID, {OID_UUID}, {TEXTS}},
    {"xml", OID_XML, {OID_XML, TEXTS}, {0}},
    {"inet", OID_INET, {OID_INET}, {TEXTS}},
    {"text", OID_TEXT, {WRITTEN}, {0}},
    {"varchar", OID_TEXT, {WRITTEN}, {0}},
    /* blanks at the end of another text are nothing there */
    {"bpchar", OID_TEXT, {OID_BPCHAR, INTS, OID_NUMERIC, OID_BOOL, OID_UUID, OID_DATE}, {0}},
};

static bool is_text(sp_span name)
{
    return sp_span_eq(name, SP_SPAN_LIT("text")) || sp_span_eq(name, SP_SPAN_LIT("varchar")) ||
           sp_span_eq(name, SP_SPAN_LIT("bpchar"));
}

/* 0: not known. */
static uint32_t type_of_column(const walker *w, const RangeVar *relation, const char *column)
{
    found_relation found = walk_resolve(w, relation, true);
    uint32_t at =
        found.kind == FOUND_KNOWN
            ? sp_sql_catalogue_find_column(w->context->catalogue, found.relation, text_of(column))
            : SP_NONE;
    return at == SP_NONE ? 0 : sp_sql_catalogue_column_at(w->context->catalogue, at)->type_oid;
}

/* One of the server's own, and no array; empty: it is not. */
static sp_span plain_type(const TypeName *type)
{
    sp_span schema = names_before(type->names);
    bool is_own = (schema.len == 0 || sp_span_eq(schema, SP_SPAN_LIT("pg_catalog"))) &&
                  is_server_type(names_last(type->names));
    bool is_plain = type->arrayBounds == NIL && !type->setof && !type->pct_type;
    return is_own && is_plain ? names_last(type->names) : SP_SPAN_EMPTY;
}

static bool has_source(const uint32_t *from, uint32_t type)
{
    for (size_t i = 0; type != 0 && i < SOURCES_MAX; i++) {
        if (from[i] == type) {
            return true;
        }
    }
    return false;
}

/* The type, when what comes from the other is the same value or an error; else 0. */
static uint32_t kept_from(sp_span name, uint32_t from, bool or_beside)
{
    for (size_t i = 0; i < SP_COUNT(kept); i++) {
        if (sp_span_eq(name, text_of(kept[i].name)) &&
            (has_source(kept[i].from, from) || (or_beside && has_source(kept[i].beside, from)))) {
            return kept[i].oid;
        }
    }
    return 0;
}

/* By a function of users it may become anything. */
static bool is_cast_by_users(const walker *w, uint32_t from)
{
    return w->context->catalogue != NULL && sp_sql_catalogue_is_cast(w->context->catalogue, from);
}

/* is_cast: by USING. */
static bool type_keeps(const walker *w, const RangeVar *relation, const char *column,
                       const TypeName *type, bool is_cast)
{
    sp_span name = plain_type(type);
    uint32_t from = type_of_column(w, relation, column);
    bool is_cut = type->typmods != NIL && (is_cast || !is_text(name)); /* an assignment fails */
    return !is_cut && kept_from(name, from, false) != 0 &&
           !(is_text(name) && is_cast_by_users(w, from));
}

uint32_t retype_apart(const walker *w, const TypeName *type, uint32_t from)
{
    sp_span name = plain_type(type);
    if (type->typmods != NIL || (sp_span_eq(name, SP_SPAN_LIT("bool")) && from != OID_BOOL)) {
        return 0; /* there are many ways to write yes */
    }
    bool is_float = from == OID_FLOAT4 || from == OID_FLOAT8;
    if (is_text(name) && (is_float || is_cast_by_users(w, from))) {
        return 0;
    }
    if (is_text(name)) {
        return from == OID_BOOL ? OID_BOOL : OID_TEXT; /* of two values there are still two */
    }
    return kept_from(name, from, true);
}

/* USING that is more than a cast of the column itself writes every row anew, like an UPDATE of all;
 * so does a type that holds less. */
bool retype_keeps(const walker *w, const AlterTableStmt *alter, const AlterTableCmd *command)
{
    const ColumnDef *column = command->def != NULL ? AS(ColumnDef, command->def) : NULL;
    const Node *value = column != NULL ? column->raw_default : NULL;
    const TypeName *cast = NULL;
    if (column == NULL || column->typeName == NULL || alter->objtype == OBJECT_TYPE) {
        return column != NULL; /* an attribute: the server lets no rows of such a type change */
    }
    if (value != NULL && nodeTag(value) == T_TypeCast) {
        cast = AS(TypeCast, value)->typeName;
        value = AS(TypeCast, value)->arg;
    }
    bool is_itself = value == NULL ||
                     (nodeTag(value) == T_ColumnRef && command->name != NULL &&
                      list_length(AS(ColumnRef, value)->fields) == 1 &&
                      sp_span_eq(names_last(AS(ColumnRef, value)->fields), text_of(command->name)));
    return is_itself &&
           (cast == NULL || type_keeps(w, alter->relation, command->name, cast, true)) &&
           type_keeps(w, alter->relation, command->name, column->typeName, value != NULL);
}

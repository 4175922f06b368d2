/* SPDX-License-Identifier: Apache-2.0
 * What a statement calls: functions, operators (those too that nobody writes) and casts. Code of
 * users is asked for as policy says of it, or as the gravest.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC lib/sql/statement.h.
 */
#include "lib/sql/functions.h"
#include "lib/sql/walk.h"

static void record_user_function(walker *w, sp_span schema, sp_span name)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_function *known =
        catalogue == NULL ? NULL : sp_sql_catalogue_find_function(catalogue, schema, name);
    sp_span home = known != NULL ? known->schema : schema;
    if (home.len == 0 && catalogue != NULL) {
        home = sp_sql_catalogue_home(catalogue);
    }
    sp_action action = SP_ACTION_EXECUTE;
    if (w->context->function_action != NULL &&
        w->context->function_action(w->context->policy, home, name, &action)) {
        if (action == SP_ACTION_READ && known != NULL && known->harmless) {
            return;
        }
        temporary_code(w);
        record_object(w, action, SP_SQL_FUNCTION, 0, home, name);
        return;
    }
    if (known == NULL || !known->harmless) {
        record_opaque(w, SP_SQL_FUNCTION, home, name);
    }
}

/* The path goes through the server's own first, but types decide. */
void record_likeness(walker *w, sp_span name)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    if (catalogue != NULL &&
        sp_sql_catalogue_find_function(catalogue, SP_SPAN_EMPTY, name) != NULL) {
        record_user_function(w, SP_SPAN_EMPTY, name);
    }
}

void record_function(walker *w, sp_span schema, sp_span name)
{
    static const sp_span own = {(const uint8_t *)"pg_catalog", 10};
    if (schema.len > 0 && !sp_span_eq(schema, own)) {
        record_user_function(w, schema, name);
        return;
    }
    if (schema.len == 0) {
        record_likeness(w, name);
    }
    switch (function_find(name)) {
    case FUNCTION_UNKNOWN:
        record_user_function(w, schema, name);
        return;
    case FUNCTION_READ:
        return;
    case FUNCTION_TELLING:
        record_object(w, SP_ACTION_READ, SP_SQL_FUNCTION, SP_SQL_USE_SYSTEM, own, name);
        return;
    case FUNCTION_EXPORT:
        record_object(w, SP_ACTION_EXPORT, SP_SQL_FUNCTION, 0, own, name);
        return;
    case FUNCTION_WRITE: /* of whatever it is given */
        record_object(w, SP_ACTION_WRITE, SP_SQL_FUNCTION, SP_SQL_USE_SYSTEM, own, name);
        return;
    case FUNCTION_DESTROY:
        record_object(w, SP_ACTION_DESTROY, SP_SQL_FUNCTION, 0, own, name);
        return;
    case FUNCTION_ADMINISTER:
        record_object(w, SP_ACTION_ADMINISTER, SP_SQL_FUNCTION, 0, own, name);
        return;
    case FUNCTION_SETTING:
    case FUNCTION_NEVER:
        walk_fault(w, SP_SQL_FORBIDDEN,
                   "%.*s() runs text that it is given, or reads what no statement should",
                   (int)name.len, (const char *)name.ptr);
        return;
    }
}

/* ---- sequences ---- */

enum { NAME_BYTES = 64, NAME_PARTS_MAX = 3 };

/* One part of a name, as the server reads it; *text is what follows. False: it is none. */
static bool read_part(sp_span *text, char part[NAME_BYTES])
{
    size_t at = 0;
    size_t len = 0;
    bool is_quoted = text->len > 0 && text->ptr[0] == '"';
    for (at = is_quoted; at < text->len; at++) {
        uint8_t c = text->ptr[at];
        bool is_double = is_quoted && c == '"' && at + 1 < text->len && text->ptr[at + 1] == '"';
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
        bool is_other = len > 0 && ((c >= '0' && c <= '9') || c == '$');
        if (is_quoted ? c == '"' && !is_double : !is_letter && !is_other) {
            break;
        }
        at += is_double;
        if (len + 1 == NAME_BYTES) {
            return false;
        }
        part[len++] = !is_quoted && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : (char)c;
    }
    if (is_quoted && at == text->len) {
        return false;
    }
    part[len] = '\0';
    *text = sp_span_trim(sp_span_slice(*text, at + is_quoted, text->len));
    return len > 0;
}

/* Of a relation, as regclass reads it; false: of none that is certain, as a number's. */
static bool read_name(sp_span text, char schema[NAME_BYTES], char name[NAME_BYTES])
{
    schema[0] = '\0';
    text = sp_span_trim(text);
    for (int part = 0; part < NAME_PARTS_MAX; part++) {
        if (!read_part(&text, name)) {
            return false;
        }
        if (text.len == 0) {
            return true;
        }
        if (text.ptr[0] != '.') {
            return false;
        }
        text = sp_span_trim(sp_span_slice(text, 1, text.len));
        sp_copy(schema, name, NAME_BYTES);
    }
    return false;
}

/* 'numbers', 'numbers'::regclass, pg_get_serial_sequence('orders', 'id'): what tells the relation.
 */
static sp_span told_by(const Node *node)
{
    if (node != NULL && nodeTag(node) == T_FuncCall &&
        sp_span_eq(names_last(AS(FuncCall, node)->funcname),
                   SP_SPAN_LIT("pg_get_serial_sequence")) &&
        AS(FuncCall, node)->args != NIL) {
        node = (const Node *)linitial(AS(FuncCall, node)->args);
    } else if (node != NULL && nodeTag(node) == T_TypeCast &&
               sp_span_eq(names_last(AS(TypeCast, node)->typeName->names),
                          SP_SPAN_LIT("regclass"))) {
        node = AS(TypeCast, node)->arg;
    }
    return node != NULL && nodeTag(node) == T_A_Const ? literal_of(node) : SP_SPAN_EMPTY;
}

bool record_sequence(walker *w, const FuncCall *call)
{
    sp_span function = names_last(call->funcname);
    bool is_of_sequence =
        sp_span_eq(function, SP_SPAN_LIT("nextval")) || sp_span_eq(function, SP_SPAN_LIT("setval"));
    char schema[NAME_BYTES];
    char name[NAME_BYTES];
    if (!is_of_sequence || call->args == NIL ||
        !read_name(told_by((const Node *)linitial(call->args)), schema, name)) {
        return false;
    }
    const RangeVar sequence = {.relname = name,
                               .schemaname = schema[0] != '\0' ? schema : NULL,
                               .relpersistence = RELPERSISTENCE_PERMANENT};
    const given_name *gives = w->gives;
    w->gives = NULL; /* a view shows no rows of it */
    const found_relation found = walk_resolve(w, &sequence, true);
    if (found.kind == FOUND_KNOWN && !w->is_plan_only &&
        sp_sql_catalogue_at(w->context->catalogue, found.relation)->kind == 'S') {
        record_known(w, found.relation, SP_ACTION_WRITE, 0);
        if (schema[0] == '\0') { /* it goes with its table, and what it hides is found */
            record_behind(w, found.relation, SP_ACTION_WRITE);
        }
    } else {
        record_relation(w, &sequence, SP_ACTION_WRITE, 0);
    }
    w->gives = gives;
    if (names_before(call->funcname).len == 0) {
        record_likeness(w, function);
        record_casts(w, SP_SQL_CAST_CALLED, function);
    }
    return true;
}

/* A literal, a parameter, or lo_open() of one. */
static bool is_one_object(const Node *node)
{
    if (node != NULL && nodeTag(node) == T_TypeCast) {
        node = AS(TypeCast, node)->arg;
    }
    if (node != NULL && nodeTag(node) == T_FuncCall) {
        const FuncCall *call = AS(FuncCall, node);
        return sp_span_eq(names_last(call->funcname), SP_SPAN_LIT("lo_open")) &&
               call->args != NIL && nodeTag(linitial(call->args)) != T_FuncCall &&
               is_one_object((const Node *)linitial(call->args));
    }
    return node != NULL && (nodeTag(node) == T_A_Const || nodeTag(node) == T_ParamRef);
}

bool record_large_object(walker *w, const FuncCall *call)
{
    sp_span function = names_last(call->funcname);
    bool overwrites =
        sp_span_eq(function, SP_SPAN_LIT("lo_put")) || sp_span_eq(function, SP_SPAN_LIT("lowrite"));
    if (!overwrites || call->args == NIL || is_one_object((const Node *)linitial(call->args))) {
        return false;
    }
    record_object(w, SP_ACTION_WRITE, SP_SQL_FUNCTION, SP_SQL_USE_SYSTEM | SP_SQL_USE_BROAD,
                  SP_SPAN_LIT("pg_catalog"), function);
    if (names_before(call->funcname).len == 0) {
        record_likeness(w, function);
    }
    record_casts(w, SP_SQL_CAST_CALLED, function);
    return true;
}

void record_casts(walker *w, sp_sql_cast_kind kind, sp_span word)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_cast *cast =
        catalogue == NULL ? NULL : sp_sql_catalogue_cast_find(catalogue, kind, word);
    for (; cast != NULL && !walk_failed(w); cast = sp_sql_catalogue_cast_next(catalogue, cast)) {
        record_function(w, cast->schema, cast->name);
    }
}

void record_call(walker *w, sp_span schema, sp_span name)
{
    record_function(w, schema, name);
    record_casts(w, SP_SQL_CAST_CALLED, name);
}

bool has_casts(const walker *w, sp_span type)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    return catalogue != NULL &&
           sp_sql_catalogue_cast_find(catalogue, SP_SQL_CAST_TYPE, type) != NULL;
}

void record_type(walker *w, sp_span name)
{
    bool is_row = walk_is_temporary(w, name); /* of whatever types */
    record_casts(w, is_row ? SP_SQL_CAST_ANY : SP_SQL_CAST_TYPE, is_row ? SP_SPAN_EMPTY : name);
}

static void record_symbol(walker *w, sp_span schema, sp_span symbol)
{
    bool is_own = schema.len == 0 || sp_span_eq(schema, SP_SPAN_LIT("pg_catalog"));
    record_casts(w, SP_SQL_CAST_CALLED, symbol);
    if (!is_own) {
        record_user_function(w, schema, symbol);
    } else if (schema.len == 0) {
        record_likeness(w, symbol);
    }
}

void record_operator(walker *w, const List *name)
{
    if (name != NIL) {
        record_symbol(w, names_before(name), names_last(name));
    }
}

void record_equality(walker *w)
{
    record_symbol(w, SP_SPAN_EMPTY, SP_SPAN_LIT("="));
}

void record_between(walker *w, bool is_not)
{
    record_symbol(w, SP_SPAN_EMPTY, is_not ? SP_SPAN_LIT("<") : SP_SPAN_LIT(">="));
    record_symbol(w, SP_SPAN_EMPTY, is_not ? SP_SPAN_LIT(">") : SP_SPAN_LIT("<="));
}

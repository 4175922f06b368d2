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
    case FUNCTION_WRITE:
        record_object(w, SP_ACTION_WRITE, SP_SQL_FUNCTION, 0, own, name);
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

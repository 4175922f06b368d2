/* SPDX-License-Identifier: Apache-2.0
 * Functions, and what else runs code by a name: who gives a name to code, or takes it away, has it
 * run by whoever calls that name.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#include "lib/sql/define.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"

static bool is_there(const walker *w, sp_span name)
{
    return w->context->catalogue != NULL &&
           sp_sql_catalogue_has_function(w->context->catalogue, name);
}

/* Code that would run under a name that is trusted: one of the server's own functions, one that
 * policy lists, or any that is there. Triggers, defaults, checks, views and bodies of others may
 * call it, and the arguments may fit the new one better: what it does is done by who never named
 * it. */
void name_trusted(walker *w, sp_span schema, sp_span name)
{
    sp_action action = SP_ACTION_READ;
    if (schema.len == 0 && w->context->catalogue != NULL) {
        schema = sp_sql_catalogue_home(w->context->catalogue);
    }
    if (function_find(name) != FUNCTION_UNKNOWN || is_there(w, name) ||
        (w->context->function_action != NULL &&
         w->context->function_action(w->context->policy, schema, name, &action))) {
        record_opaque(w, SP_SQL_FUNCTION, schema, name);
    }
}

void name_code(walker *w, sp_span schema, sp_span name)
{
    record_made(w, name);
    name_trusted(w, schema, name);
}

/* Whoever calls it by its old name finds another one, or none. */
void lose_code(walker *w, const List *names)
{
    sp_span name = names_last(names);
    if (is_there(w, name)) {
        record_opaque(w, SP_SQL_FUNCTION, names_before(names), name);
    }
}

/* "SET app.key = '...'" of a function: an application's setting may hold anything. */
static void note_setting(walker *w, const DefElem *option)
{
    if (!sp_span_eq(text_of(option->defname), SP_SPAN_LIT("set")) || option->arg == NULL ||
        nodeTag(option->arg) != T_VariableSetStmt) {
        return;
    }
    sp_span name = text_of(AS(VariableSetStmt, option->arg)->name);
    if (sp_span_index(name, '.') < name.len) {
        w->statement->flags |= SP_SQL_IS_SECRET;
    }
}

/* With one argument: "x.f" calls it where x has no column f, whatever x is. */
static bool is_called_as_column(const CreateFunctionStmt *create)
{
    int most = 0;
    int needed = 0;
    for (int i = 0; i < list_length(create->parameters); i++) {
        const FunctionParameter *one = AS(FunctionParameter, list_nth(create->parameters, i));
        if (one->mode != FUNC_PARAM_OUT && one->mode != FUNC_PARAM_TABLE) {
            most++;
            needed += one->defexpr != NULL || one->mode == FUNC_PARAM_VARIADIC ? 0 : 1;
        }
    }
    return !create->is_procedure && most > 0 && needed <= 1;
}

void walk_function(walker *w, const CreateFunctionStmt *create)
{
    sp_span schema = names_before(create->funcname);
    sp_span name = names_last(create->funcname);
    forbid_temporary_place(w, schema);
    record_object(w, kind_asks(OBJECT_FUNCTION, KIND_CREATE), SP_SQL_SCHEMA, 0, schema, name);
    if (is_called_as_column(create)) {
        record_made(w, name);
        record_opaque(w, SP_SQL_FUNCTION, schema, name);
    } else {
        name_code(w, schema, name);
    }
    for (int i = 0; i < list_length(create->options); i++) {
        const DefElem *option = AS(DefElem, list_nth(create->options, i));
        note_setting(w, option);
        sp_span language = string_of(option->arg);
        if (sp_span_eq(text_of(option->defname), SP_SPAN_LIT("language")) &&
            !sp_span_eq_nocase(language, SP_SPAN_LIT("sql")) &&
            !sp_span_eq_nocase(language, SP_SPAN_LIT("plpgsql"))) {
            record_database(w, SP_ACTION_ADMINISTER); /* C and the like: outside of all rights */
        }
    }
    walk_list(w, create->parameters);
    walk(w, create->sql_body);
}

/* "SET search_path" gives the names in a trusted body another meaning, SECURITY DEFINER another's
 * rights; STRICT gives its callers no result where it gave one. */
static bool is_of_meaning(sp_span option)
{
    static const char *const words[] = {"set", "security", "strict"};
    return sp_span_which(option, words, SP_COUNT(words)) < SP_COUNT(words);
}

void change_function(walker *w, const AlterFunctionStmt *alter)
{
    sp_span schema = names_before(alter->func->objname);
    sp_span name = names_last(alter->func->objname);
    forbid_temporary_place(w, schema);
    record_named(w, kind_asks(OBJECT_FUNCTION, KIND_CHANGE), schema, name);
    bool means = false;
    for (int i = 0; i < list_length(alter->actions); i++) {
        const DefElem *option = AS(DefElem, list_nth(alter->actions, i));
        note_setting(w, option);
        means |= is_of_meaning(text_of(option->defname));
    }
    if (means) {
        name_code(w, schema, name);
    }
}

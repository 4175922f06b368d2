/* SPDX-License-Identifier: Apache-2.0
 * Writing down uses: names become relations of the catalogue, and what a relation implies (the
 * tables of a view, partitions, columns with a part of their own) is written down with it. OWNS
 * nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC lib/sql/statement.h.
 */
#include "lib/base/mem.h"
#include "lib/sql/functions.h"
#include "lib/sql/walk.h"

#include <stdarg.h>
#include <stdio.h>
#undef vsnprintf

void walk_fault(walker *w, sp_sql_fault fault, const char *format, ...)
{
    sp_sql_judgement *judgement = &w->room->judgement;
    if (judgement->fault != SP_SQL_FINE) {
        return;
    }
    judgement->fault = fault;
    va_list args;
    va_start(args, format);
    vsnprintf(judgement->reason, sizeof(judgement->reason), format, args);
    va_end(args);
    for (char *c = judgement->reason; *c != '\0'; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7F ? ' ' : *c;
    }
    /* a cut in the middle of a character */
    sp_span whole = sp_span_cstr(judgement->reason);
    judgement->reason[sp_span_cut(whole, whole.len).len] = '\0';
}

sp_span record_name(walker *w, sp_span name)
{
    walk_room *room = w->room;
    if (name.len > SP_SQL_NAMES_MAX_BYTES - room->names_len) {
        walk_fault(w, SP_SQL_TOO_COMPLEX, "too many names in one message");
        return SP_SPAN_EMPTY;
    }
    uint8_t *at = room->names + room->names_len;
    sp_copy(at, name.ptr, name.len);
    room->names_len += (uint32_t)name.len;
    return (sp_span){at, name.len};
}

void record_statement_name(walker *w, sp_span name)
{
    const uint32_t of_sessions = SP_SQL_IS_PREPARE | SP_SQL_IS_EXECUTE | SP_SQL_IS_DECLARE |
                                 SP_SQL_IS_FETCH | SP_SQL_IS_CLOSE | SP_SQL_IS_DEALLOCATE |
                                 SP_SQL_IS_SAVEPOINT | SP_SQL_IS_ROLLBACK_TO;
    const uint32_t of_others = SP_SQL_IS_CREATE_TEMP | SP_SQL_IS_CREATE_CODE | SP_SQL_IS_OTHER;
    if ((w->statement->flags & of_sessions) != 0 && (w->statement->flags & of_others) != 0) {
        walk_fault(w, SP_SQL_UNKNOWN, "a statement with two names");
        return;
    }
    w->statement->name = record_name(w, name);
}

bool record_is_same(const sp_sql_use *a, const sp_sql_use *b)
{
    return a->action == b->action && a->kind == b->kind && a->flags == b->flags &&
           a->relation == b->relation && sp_span_eq(a->name, b->name) &&
           sp_span_eq(a->schema, b->schema);
}

/* use points to names of the tree (or the catalogue's, with is_lasting). */
static void add_use(walker *w, sp_sql_use use, bool is_lasting)
{
    walk_room *room = w->room;
    walk_works(w, room->use_count / 8); /* most differ in their first bytes */
    for (uint32_t i = 0; i < room->use_count; i++) {
        if (record_is_same(&room->uses[i], &use)) {
            return;
        }
    }
    if (room->use_count == SP_SQL_USES_MAX) {
        walk_fault(w, SP_SQL_TOO_COMPLEX, "more than %d objects in one message", SP_SQL_USES_MAX);
        return;
    }
    if (!is_lasting) {
        use.schema = record_name(w, use.schema);
        use.name = record_name(w, use.name);
    }
    room->uses[room->use_count++] = use;
}

void record_object(walker *w, sp_action action, sp_sql_kind kind, uint16_t flags, sp_span schema,
                   sp_span name)
{
    if (schema.len == 0 && kind == SP_SQL_SCHEMA && w->context->catalogue != NULL) {
        schema = sp_sql_catalogue_home(w->context->catalogue);
    }
    add_use(w,
            (sp_sql_use){.action = (uint8_t)action,
                         .kind = (uint8_t)kind,
                         .flags = flags,
                         .relation = SP_NONE,
                         .schema = schema,
                         .name = name},
            false);
}

void record_becoming(walker *w, uint32_t index, sp_span schema, sp_span name, uint16_t more)
{
    add_use(w,
            (sp_sql_use){.action = SP_ACTION_ALTER,
                         .kind = SP_SQL_RELATION,
                         .flags = SP_SQL_USE_BECOMES | more,
                         .relation = index,
                         .schema = schema,
                         .name = name},
            false);
}

void record_database(walker *w, sp_action action)
{
    record_object(w, action, SP_SQL_DATABASE, 0, SP_SPAN_EMPTY, SP_SPAN_EMPTY);
}

void record_opaque(walker *w, sp_sql_kind kind, sp_span schema, sp_span name)
{
    temporary_code(w);
    record_object(w, SP_ACTION_EXECUTE, kind, SP_SQL_USE_OPAQUE, schema, name);
    record_object(w, SP_ACTION_DESTROY, SP_SQL_DATABASE, SP_SQL_USE_OPAQUE, SP_SPAN_EMPTY,
                  SP_SPAN_EMPTY);
}

/* ---- relations ---- */

static bool is_word(sp_span a, const char *b)
{
    return sp_span_eq(a, sp_span_cstr(b));
}

const CommonTableExpr *walk_find_query(const walker *w, const RangeVar *name)
{
    if (name->schemaname != NULL || name->catalogname != NULL) {
        return NULL;
    }
    sp_span wanted = text_of(name->relname);
    for (const cte_scope *scope = w->scope; scope != NULL && !walk_is_spent(w); scope = scope->up) {
        walk_works(w, (uint32_t)scope->visible);
        for (int i = 0; i < scope->visible; i++) {
            const CommonTableExpr *query = AS(CommonTableExpr, list_nth(scope->ctes, i));
            if (sp_span_eq(wanted, text_of(query->ctename))) {
                return query;
            }
        }
    }
    return NULL;
}

bool walk_is_temporary(const walker *w, sp_span name)
{
    walk_works(w, w->room->temp_count / 8 + context_cost(w->context));
    for (uint32_t i = 0; i < w->room->temp_count; i++) {
        if (sp_span_eq(w->room->temps[i], name)) {
            return true;
        }
    }
    const sp_sql_context *context = w->context;
    return (context->is_temporary != NULL && context->is_temporary(context->session, name)) ||
           (context->was_temporary != NULL && context->was_temporary(context->session, name));
}

bool walk_is_other(const walker *w, sp_span name)
{
    const walk_room *room = w->room;
    walk_works(w, room->other_count / 8 + context_cost(w->context));
    for (uint32_t i = 0; i < room->other_count && i < WALK_TEMPS_MAX; i++) {
        if (sp_span_eq(room->others[i], name)) {
            return true;
        }
    }
    return room->other_count > WALK_TEMPS_MAX ||
           (w->context->is_other != NULL && w->context->is_other(w->context->session, name));
}

static bool meets_other(const walker *w, sp_span name)
{
    bool is_other = walk_is_other(w, name);
    w->room->has_met_other |= is_other;
    return is_other && !w->is_as_was;
}

uint32_t context_find(const sp_sql_context *context, sp_span schema, sp_span name)
{
    bool is_other = context->is_other != NULL && context->is_other(context->session, name);
    return context->catalogue == NULL || is_other
               ? SP_NONE
               : sp_sql_catalogue_find(context->catalogue, schema, name);
}

found_relation walk_resolve(const walker *w, const RangeVar *name, bool is_target)
{
    if (!is_target && walk_find_query(w, name) != NULL) {
        return (found_relation){FOUND_QUERY, SP_NONE};
    }
    sp_span schema = text_of(name->schemaname);
    sp_span relation = text_of(name->relname);
    if (meets_other(w, relation)) {
        return (found_relation){FOUND_UNKNOWN, SP_NONE};
    }
    if (is_word(schema, "pg_temp") && (walk_is_temporary(w, relation) || w->room->is_temp_renamed ||
                                       w->context->is_temp_renamed)) {
        return (found_relation){FOUND_TEMPORARY, SP_NONE};
    }
    uint32_t index = w->context->catalogue == NULL
                         ? SP_NONE
                         : sp_sql_catalogue_find(w->context->catalogue, schema, relation);
    if (index != SP_NONE) {
        /* also when a temporary relation hides it: that one may be gone by now */
        return (found_relation){FOUND_KNOWN, index};
    }
    if (schema.len == 0 && walk_has_temporary(w, relation)) {
        return (found_relation){FOUND_TEMPORARY, SP_NONE};
    }
    return (found_relation){FOUND_UNKNOWN, SP_NONE};
}

/* What is done to rows runs the query of a view. */
static bool is_of_rows(sp_action action, uint16_t flags)
{
    return action == SP_ACTION_READ || action == SP_ACTION_EXPORT || action == SP_ACTION_WRITE ||
           action == SP_ACTION_IMPORT ||
           ((flags & SP_SQL_USE_ALL) != 0 && action == SP_ACTION_DESTROY);
}

/* Whoever uses a view calls what its query calls; a materialized one has its rows, until they are
 * made again. Values of a relation may be cast by what users made for their types, also where an
 * index or another type of a column is made of them. */
static void record_calls(walker *w, const sp_sql_relation *relation, sp_action action,
                         uint16_t flags)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    bool runs = relation->kind == 'm' ? action == SP_ACTION_WRITE : is_of_rows(action, flags);
    for (uint32_t at = relation->first_call; at != 0 && !walk_failed(w);) {
        const sp_sql_call *call = sp_sql_catalogue_call_at(catalogue, at);
        if (call->is_cast ? action != SP_ACTION_ADMINISTER : runs) {
            record_function(w, call->schema, call->name);
        }
        at = call->next;
    }
}

/* The tables of a view, the partitions of a table: the same is done to them. */
static void record_implied(walker *w, const sp_sql_relation *from, uint32_t index, sp_action action,
                           uint16_t flags)
{
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const sp_sql_edge *edges = sp_sql_catalogue_edges(catalogue, index);
    bool rows = is_of_rows(action, flags);
    for (uint32_t i = 0; i < from->edge_count && !walk_failed(w); i++) {
        const sp_sql_relation *to = sp_sql_catalogue_at(catalogue, edges[i].to);
        bool follows = false;
        if (edges[i].kind == SP_SQL_EDGE_READS) {
            /* a materialized view has rows of its own to lose */
            follows = rows && (from->kind != 'm' || action != SP_ACTION_DESTROY);
        } else if (edges[i].kind == SP_SQL_EDGE_CHILD) {
            follows = action == SP_ACTION_DESTROY || to->bound.part != from->bound.part;
        }
        if (follows) {
            record_known(w, edges[i].to, action, flags | SP_SQL_USE_IMPLIED);
        }
    }
}

static void record_system(walker *w, const sp_sql_relation *relation, uint32_t index,
                          sp_action action)
{
    bool reads = action == SP_ACTION_READ || action == SP_ACTION_EXPORT;
    if (reads && w->is_aliased && sp_span_eq(relation->name, SP_SPAN_LIT("pg_settings"))) {
        walk_fault(w, SP_SQL_FORBIDDEN, "a view of pg_settings, through which a SET could come");
        return;
    }
    if (reads && (relation->flags & SP_SQL_REL_TELLING) == 0) {
        return; /* names and types: whoever may connect may know them */
    }
    if (sp_span_eq(relation->name, SP_SPAN_LIT("pg_settings")) && !reads) {
        walk_fault(w, SP_SQL_FORBIDDEN, "a change of pg_settings, which is a SET in disguise");
        return;
    }
    add_use(w,
            (sp_sql_use){.action = (uint8_t)(reads ? action : SP_ACTION_ADMINISTER),
                         .kind = SP_SQL_RELATION,
                         .flags = SP_SQL_USE_SYSTEM,
                         .relation = index,
                         .schema = relation->schema,
                         .name = relation->name},
            true);
}

void record_known(walker *w, uint32_t index, sp_action action, uint16_t flags)
{
    const sp_sql_relation *relation = sp_sql_catalogue_at(w->context->catalogue, index);
    if ((relation->flags & SP_SQL_REL_SYSTEM) != 0) {
        record_system(w, relation, index, action);
        return;
    }
    bool runs_triggers = (relation->flags & SP_SQL_REL_TRIGGERS) != 0 && action != SP_ACTION_READ;
    uint32_t before = w->room->use_count;
    add_use(w,
            (sp_sql_use){.action = (uint8_t)action,
                         .kind = SP_SQL_RELATION,
                         .flags = flags,
                         .relation = index,
                         .schema = relation->schema,
                         .name = relation->name},
            true);
    bool is_seen = w->room->use_count == before; /* and what it implies too */
    if (runs_triggers || (is_seen && w->room->temporary.is_over)) {
        temporary_code(w); /* what was seen may have run code */
    }
    if (is_seen) {
        return;
    }
    bool changes = action == SP_ACTION_WRITE || action == SP_ACTION_DESTROY;
    if ((changes && (relation->flags & SP_SQL_REL_RULES) != 0) ||
        (is_of_rows(action, flags) && (relation->flags & SP_SQL_REL_OPAQUE) != 0)) {
        record_opaque(w, SP_SQL_RELATION, relation->schema, relation->name);
    }
    record_calls(w, relation, action, flags);
    if (relation->edge_count > 0) {
        record_implied(w, relation, index, action, flags);
    }
}

bool is_temporary_name(const RangeVar *name)
{
    return name->relpersistence == RELPERSISTENCE_TEMP ||
           sp_span_starts(text_of(name->schemaname), SP_SPAN_LIT("pg_temp"));
}

void record_made_temporary(walker *w, const RangeVar *name)
{
    walk_room *room = w->room;
    if (w->is_as_was) {
        return;
    }
    w->statement->flags |= SP_SQL_IS_CREATE_TEMP;
    if (is_server_type(text_of(name->relname))) {
        walk_fault(w, SP_SQL_FORBIDDEN, "a temporary table called like a type of the server");
        return;
    }
    record_statement_name(w, text_of(name->relname));
    if (room->temp_count == WALK_TEMPS_MAX) {
        walk_fault(w, SP_SQL_TOO_COMPLEX, "more than %d temporary tables in one message",
                   WALK_TEMPS_MAX);
        return;
    }
    room->temps[room->temp_count++] = w->statement->name;
}

void record_made_relation(walker *w, const RangeVar *name, bool is_own)
{
    walk_room *room = w->room;
    const sp_sql_catalogue *catalogue = w->context->catalogue;
    const given_name made = given_made(w, name);
    bool is_new = is_own && (catalogue == NULL ||
                             sp_sql_catalogue_find(catalogue, made.schema, made.name) == SP_NONE);
    record_object(w, SP_ACTION_ALTER, SP_SQL_SCHEMA, is_new ? SP_SQL_USE_MAKES : 0, made.schema,
                  made.name);
    record_cover(w, &made);
    if (is_new && !w->is_as_was && room->made_count < WALK_TEMPS_MAX) {
        room->mades[room->made_count++] =
            (given_name){record_name(w, made.schema), record_name(w, made.name)};
    }
}

bool may_be_temporary(const walker *w, const RangeVar *name)
{
    return is_temporary_name(name) ||
           (name->schemaname == NULL && walk_is_temporary(w, text_of(name->relname)));
}

void record_temporary(walker *w, const RangeVar *name, found_kind kind, bool reads)
{
    bool may_be_any = w->is_aliased && name->schemaname == NULL &&
                      (w->room->is_temp_renamed || w->context->is_temp_renamed);
    if (kind != FOUND_QUERY && (may_be_any || may_be_temporary(w, name))) {
        w->statement->flags |= reads ? SP_SQL_READS_TEMP : SP_SQL_FILLS_TEMP;
    }
}

static bool is_kind(const walker *w, uint32_t index, char kind)
{
    return sp_sql_catalogue_at(w->context->catalogue, index)->kind == kind;
}

/* An index, a sequence that is written to: the server would refuse it, unless the name is another
 * one's by then. They go with their tables, and nobody asks what comes to light. */
static bool has_no_such_rows(const walker *w, uint32_t index, sp_action action, uint16_t flags)
{
    bool is_index = is_kind(w, index, 'i') || is_kind(w, index, 'I');
    bool changes = action != SP_ACTION_READ && action != SP_ACTION_EXPORT;
    return is_of_rows(action, flags) && (is_index || (changes && is_kind(w, index, 'S')));
}

void record_relation(walker *w, const RangeVar *name, sp_action action, uint16_t flags)
{
    bool reads = action == SP_ACTION_READ || action == SP_ACTION_EXPORT;
    found_relation found = walk_resolve(w, name, !reads);
    if (found.kind == FOUND_KNOWN && has_no_such_rows(w, found.relation, action, flags)) {
        found = (found_relation){FOUND_UNKNOWN, SP_NONE};
    }
    record_temporary(w, name, found.kind, reads);
    if (w->is_plan_only && !reads) {
        action = SP_ACTION_READ;
        flags = 0;
    }
    switch (found.kind) {
    case FOUND_QUERY:
        return;
    case FOUND_TEMPORARY:
        if (action == SP_ACTION_EXPORT && w->room->statement_count > 1) {
            record_database(w,
                            action); /* what stands before may have filled it; else that is known */
        }
        record_casts(w, SP_SQL_CAST_ANY, SP_SPAN_EMPTY);
        return;
    case FOUND_KNOWN:
        record_known(w, found.relation, action, flags);
        if (name->schemaname == NULL && is_kind(w, found.relation, 'S')) {
            record_behind(w, found.relation, action);
        }
        if (w->gives != NULL) {
            record_given(w, found.relation, w->gives, w->replaces ? SP_SQL_USE_MOVES : 0);
        }
        return;
    case FOUND_UNKNOWN:
        if (w->gives != NULL) {
            record_given_unknown(w, name, w->gives);
        }
        if (sp_span_eq(text_of(name->schemaname), SP_SPAN_LIT("pg_toast"))) {
            walk_fault(w, SP_SQL_FORBIDDEN, "pg_toast, where values of other tables stand");
            return;
        }
        record_object(w, action, SP_SQL_RELATION, flags, text_of(name->schemaname),
                      text_of(name->relname));
        if (action != SP_ACTION_ADMINISTER) {
            record_casts(w, SP_SQL_CAST_ANY, SP_SPAN_EMPTY);
        }
        if (w->context->catalogue != NULL) {
            temporary_unknown(w, name);
            w->statement->flags |= SP_SQL_IS_UNSURE;
        }
        return;
    }
}

/* ---- names that are made ---- */

void record_made(walker *w, sp_span name)
{
    walk_room *room = w->room;
    if (w->is_as_was) {
        return;
    }
    w->statement->flags |= SP_SQL_IS_CREATE_CODE;
    record_statement_name(w, name);
    if (room->code_count == WALK_TEMPS_MAX) {
        walk_fault(w, SP_SQL_TOO_COMPLEX, "more than %d functions in one message", WALK_TEMPS_MAX);
        return;
    }
    room->codes[room->code_count++] = w->statement->name;
}

void record_other(walker *w, sp_span name)
{
    walk_room *room = w->room;
    if (w->is_as_was) {
        return;
    }
    sp_span kept = record_name(w, name);
    bool is_second = (w->statement->flags & SP_SQL_IS_OTHER) != 0;
    w->statement->flags |= SP_SQL_IS_OTHER;
    record_statement_name(w, is_second ? SP_SPAN_EMPTY : kept);
    if (name.len == 0 || room->other_count >= WALK_TEMPS_MAX) {
        room->other_count = WALK_TEMPS_MAX + 1;
        return;
    }
    room->others[room->other_count++] = kept;
}

bool walk_is_made(const walker *w, sp_span name)
{
    walk_works(w, w->room->code_count / 8 + context_cost(w->context));
    for (uint32_t i = 0; i < w->room->code_count; i++) {
        if (sp_span_eq(w->room->codes[i], name)) {
            return true;
        }
    }
    return w->context->is_made != NULL && w->context->is_made(w->context->session, name);
}

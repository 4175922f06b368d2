/* SPDX-License-Identifier: Apache-2.0
 * What a session makes itself and only it may see: temporary relations, functions, prepared
 * statements, cursors (temps.c: which of the first there are). And what a text is, judged with that
 * in mind. OWNS the session's lists. PROCESS db gate workers. TRUST names are hostile; counts have
 * a maximum. SPEC gates/db/judging.h.
 */
#include "gates/db/judging.h"
#include "lib/policy/database.h"

static bool was_temporary(const void *of, sp_span name)
{
    return db_temps_may_have(of, name);
}

static bool is_temporary(const void *of, sp_span name)
{
    return db_temps_has(of, name);
}

static bool is_made(const void *of, sp_span name)
{
    const db_judge *judge = of;
    for (uint32_t i = 0; judge->codes != NULL && i < judge->code_count; i++) {
        if (db_name_is(judge->codes[i], name)) {
            return true;
        }
    }
    return judge->code_count == DB_TEMPS_MAX;
}

static bool is_other(const void *of, sp_span name)
{
    const db_judge *judge = of;
    for (uint32_t i = 0; judge->others != NULL && i < judge->other_count; i++) {
        if (db_name_is(judge->others[i], name)) {
            return true;
        }
    }
    return judge->other_count == DB_TEMPS_MAX;
}

static bool is_own(const void *of, sp_span schema, sp_span name)
{
    const db_judge *judge = of;
    for (uint32_t i = 0; judge->mades != NULL && i < judge->made_count; i++) {
        const db_made_name *made = &judge->mades[i];
        if (db_name_is(made->name, name) && (schema.len == 0 || db_name_is(made->schema, schema))) {
            return true;
        }
    }
    return false;
}

/* The session or the text gave it to other rows: whatever it made, the name may mean those. */
static bool may_be_other(const db_judge *judge, const sp_sql_judgement *judgement, sp_span name)
{
    bool is_any = is_other(judge, name);
    for (uint32_t i = 0; i < judgement->statement_count && !is_any; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        is_any = (statement->flags & SP_SQL_IS_OTHER) != 0 &&
                 (statement->name.len == 0 || sp_span_eq(statement->name, name));
    }
    return is_any;
}

static bool is_made_in(const db_judge *judge, const sp_sql_judgement *judgement, sp_span schema,
                       sp_span name)
{
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        if ((use->flags & SP_SQL_USE_MAKES) != 0 && sp_span_eq(use->name, name) &&
            sp_span_eq(use->schema, schema)) {
            return true;
        }
    }
    return is_own(judge, schema, name);
}

sp_span db_made_own(const db_judge *judge, const sp_sql_judgement *judgement, sp_span schema,
                    sp_span name)
{
    if (may_be_other(judge, judgement, name)) {
        return SP_SPAN_EMPTY;
    }
    sp_span at = schema;
    for (uint32_t i = 0; schema.len == 0; i++) {
        at = sp_sql_catalogue_path_at(judge->catalogue->now, i);
        if (at.len == 0 || is_made_in(judge, judgement, at, name)) {
            return at;
        }
    }
    return is_made_in(judge, judgement, at, name) ? at : SP_SPAN_EMPTY;
}

static bool function_action(const void *of, sp_span schema, sp_span name, sp_action *ret_action)
{
    const db_session *session = of;
    return sp_policy_database_function(&session->snapshot->policy, session->resource, schema, name,
                                       ret_action);
}

bool db_made_hides(const db_judge *judge)
{
    return judge->temps_renamed || judge->temp_count == DB_TEMPS_MAX;
}

bool db_made_is_early(const db_judge *judge)
{
    return judge->is_defining || judge->defined_us != 0;
}

bool db_made_is_filling(const db_judge *judge)
{
    bool has_many = judge->other_count > DB_TEMPS_MAX / 2 || judge->made_count > DB_TEMPS_MAX / 2;
    return has_many && judge->defined_us != 0 && !judge->is_defining;
}

uint64_t db_made_state(const db_judge *judge)
{
    uint32_t temps = judge->temp_count + (judge->temps_renamed ? DB_TEMPS_MAX + 1 : 0);
    return db_temps_state(judge) ^ (temps << 1 | (db_made_is_early(judge) ? 1U : 0U));
}

sp_sql_context db_context_of(const db_session *session)
{
    const db_judge *judge = db_session_judge(session);
    return (sp_sql_context){.catalogue = judge->catalogue->now,
                            .is_temporary = judge->temp_count > 0 ? is_temporary : NULL,
                            .was_temporary = judge->temp_count > 0 ? was_temporary : NULL,
                            .is_temp_renamed = db_made_hides(judge),
                            .is_made = judge->code_count > 0 ? is_made : NULL,
                            .is_other = judge->other_count > 0 ? is_other : NULL,
                            .is_own = judge->made_count > 0 ? is_own : NULL,
                            .is_early = db_made_is_early(judge),
                            .session = judge,
                            .function_action = function_action,
                            .policy = session,
                            .is_utf8 = judge->server_is_utf8};
}

const sp_sql_judgement *db_judge_text(db_session *session, sp_span text, bool by_itself,
                                      sp_sql_known **ret_known)
{
    db_judge *judge = db_session_judge(session);
    db_catalogue *catalogue = judge->catalogue;
    bool is_seen = judge->defined_us != 0 && catalogue->seen_us >= judge->defined_us;
    if (is_seen && !judge->is_defining) { /* that was of an earlier transaction */
        judge->defined_us = 0;            /* its own names are among the others' now */
        judge->other_count = judge->made_count = 0;
    }
    db_catalogue_bind(catalogue, session->snapshot);
    const sp_sql_context context = db_context_of(session);
    return sp_sql_cache_judge(db_known, db_sql, &context, catalogue->version, text, by_itself,
                              ret_known);
}

bool db_judge_and_keep(db_session *session, sp_span text, sp_sql_known **ret_known)
{
    const sp_sql_judgement *judgement = db_judge_text(session, text, true, ret_known);
    return *ret_known != NULL ||
           (judgement->fault == SP_SQL_FINE &&
            !sp_failed(sp_sql_known_new(text, judgement,
                                        db_session_judge(session)->catalogue->version, ret_known)));
}

bool db_keeps_values(const db_session *session, const db_ruling *ruling)
{
    return ruling->decision.verdict == SP_VERDICT_ASK || db_spend_counts_rows(session, ruling);
}

/* ---- names of PREPARE and DECLARE ---- */

/* What runs by the name of that statement: its query, whatever else its text does. */
static sp_err query_of(db_session *session, sp_span text, const sp_sql_statement *statement,
                       db_text **ret_query)
{
    const db_judge *judge = db_session_judge(session);
    auto_known sp_sql_known *known = NULL;
    if (!db_judge_and_keep(session, sp_sql_query_of(text, statement), &known)) {
        return sp_fail(SP_EINVALID);
    }
    db_ruling ruling = db_ruling_none();
    db_ruling_add(&ruling, session, judge->catalogue, known->judgement);
    db_text *made = NULL;
    TRY(db_text_new(known, &made));
    made->made = db_made_state(judge);
    made->keeps_values = db_keeps_values(session, &ruling);
    sp_err err =
        statement->is_typed ? db_text_words(made, sp_sql_words_before(text, statement)) : sp_ok();
    if (sp_failed(err)) {
        db_text_unref(made);
        return err;
    }
    *ret_query = made;
    return sp_ok();
}

/* What was bound to its DECLARE is the cursor's: types before the text is counted with its name,
 * values behind. */
static sp_err take_types(db_text *query, const db_named *portal)
{
    bool takes = portal != NULL && portal->values != NULL && query->keeps_values;
    return takes ? db_text_types(query, &portal->text->types) : sp_ok();
}

static sp_err take_values(db_names *names, db_named *cursor, const db_named *portal)
{
    cursor->has_values = portal->has_values;
    bool takes = portal->values != NULL && cursor->text->keeps_values;
    return takes ? db_named_bind(names, cursor, portal->values) : sp_ok();
}

static sp_err add_names(db_session *session, sp_sql_known *known, const db_named *portal)
{
    db_names *names = &db_session_judge(session)->names;
    const sp_sql_judgement *judgement = known->judgement;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        bool is_prepare = (statement->flags & SP_SQL_IS_PREPARE) != 0;
        if ((statement->flags & SP_SQL_IS_CREATE_TEMP) != 0) {
            db_temps_make(db_session_judge(session), statement);
            continue;
        }
        if (!is_prepare && (statement->flags & SP_SQL_IS_DECLARE) == 0) {
            continue;
        }
        db_text *query = NULL;
        TRY(query_of(session, known->text, statement, &query));
        db_named *named = NULL;
        sp_err err = is_prepare ? sp_ok() : take_types(query, portal);
        if (!sp_failed(err)) {
            err = db_names_add(names, is_prepare ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                               statement->name, query, &named);
        }
        if (!sp_failed(err) && !is_prepare) {
            named->met =
                db_met_hash(db_session_judge(session)->catalogue, query->known->judgement, false);
            err = portal == NULL ? sp_ok() : take_values(names, named, portal);
        }
        db_text_unref(query);
        TRY(err);
        named->is_sql = true;
        named->holds = (statement->flags & SP_SQL_IS_HOLD) != 0;
    }
    return sp_ok();
}

sp_err db_made_names(db_session *session, sp_sql_known *known, const db_named *portal,
                     db_note *note)
{
    db_names *names = &db_session_judge(session)->names;
    note->number = names->numbers + 1;
    if (db_ends_any(db_session_judge(session), known->judgement)) {
        TRY(db_names_carry(names, known));
        note->names = known;
    }
    sp_err err = add_names(session, known, portal);
    note->made_last = names->numbers;
    if (sp_failed(err)) {
        db_names_settle(names, note->number, note->made_last, false);
    }
    return err;
}

/* ---- things ---- */

static void keep_codes(db_judge *judge, const sp_sql_judgement *judgement)
{
    if (judge->codes == NULL && sp_failed(sp_alloc(DB_TEMPS_MAX, DB_NAME_BYTES, &judge->codes))) {
        judge->code_count = DB_TEMPS_MAX;
        return;
    }
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & SP_SQL_IS_CREATE_CODE) == 0 || judge->code_count == DB_TEMPS_MAX ||
            is_made(judge, statement->name)) {
            continue;
        }
        char *kept = judge->codes[judge->code_count++];
        SP_IGNORE(sp_fit(kept, DB_NAME_BYTES, statement->name)); /* longer than names can be */
    }
}

/* False: there is no room for it. */
static bool keep_other(db_judge *judge, sp_span name)
{
    if (is_other(judge, name)) {
        return true;
    }
    if (name.len == 0 || name.len >= DB_NAME_BYTES || judge->other_count + 1 >= DB_TEMPS_MAX ||
        (judge->others == NULL &&
         sp_failed(sp_alloc(DB_TEMPS_MAX, DB_NAME_BYTES, &judge->others)))) {
        return false;
    }
    SP_IGNORE(sp_fit(judge->others[judge->other_count++], DB_NAME_BYTES, name)); /* it fits */
    return true;
}

static void keep_others(db_judge *judge, const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & SP_SQL_IS_OTHER) != 0 && !keep_other(judge, statement->name)) {
            judge->other_count = DB_TEMPS_MAX;
            return;
        }
    }
}

static void keep_mades(db_judge *judge, const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        if ((use->flags & SP_SQL_USE_MAKES) == 0 || is_own(judge, use->schema, use->name) ||
            judge->made_count == DB_TEMPS_MAX ||
            (judge->mades == NULL &&
             sp_failed(sp_alloc(DB_TEMPS_MAX, sizeof(*judge->mades), &judge->mades)))) {
            continue; /* one that is not kept is not known as its own */
        }
        db_made_name *made = &judge->mades[judge->made_count];
        bool fits = !sp_failed(sp_fit(made->schema, sizeof(made->schema), use->schema)) &&
                    !sp_failed(sp_fit(made->name, sizeof(made->name), use->name));
        judge->made_count += fits ? 1 : 0;
    }
}

void db_made_end(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    if (!judge->is_defining || judge->defining > 0 || session->transaction != 'I') {
        return;
    }
    judge->is_defining = false;
    judge->defined_us = sp_loop_now_us(db_here.loop);
    if (judge->is_moving) {
        db_catalogue_moved(judge->catalogue);
    } else {
        db_catalogue_look(judge->catalogue); /* what it made may be temporary, and nobody's */
    }
    judge->is_moving = false;
}

/* Rolled back they are there again, and so are those that are made behind it. */
void db_made_discarded(db_session *session, const db_flight *flight)
{
    db_judge *judge = db_session_judge(session);
    if (flight->type == 'Q' && session->transaction == 'I' && session->flights.count == 0) {
        judge->temp_count = 0;
        judge->temps_renamed = false;
        judge->drawn = (db_drawn){.any = false};
    }
}

void db_made_things(db_judge *judge, const sp_sql_judgement *judgement)
{
    judge->has_alias |= (judgement->flags & SP_SQL_IS_ALIAS) != 0;
    judge->has_family |= (judgement->flags & SP_SQL_IS_FAMILY) != 0;
    if ((judgement->flags & SP_SQL_IS_DDL) != 0) {
        judge->is_defining = true;
        judge->defining++;
        keep_mades(judge, judgement);
    }
    judge->is_moving |= (judgement->flags & (SP_SQL_IS_OTHER | SP_SQL_IS_CREATE_CODE)) != 0;
    if ((judgement->flags & SP_SQL_IS_OTHER) != 0) {
        keep_others(judge, judgement);
    }
    if ((judgement->flags & SP_SQL_IS_CREATE_CODE) != 0) {
        keep_codes(judge, judgement);
    }
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & SP_SQL_IS_CREATE_TEMP) == 0 ||
            statement->name.len >= DB_NAME_BYTES || db_temps_may_have(judge, statement->name) ||
            judge->temp_count == DB_TEMPS_MAX) {
            continue;
        }
        if (judge->temps == NULL &&
            sp_failed(sp_alloc(DB_TEMPS_MAX, DB_NAME_BYTES, &judge->temps))) {
            judge->temps_renamed = true; /* any name may be one */
            return;
        }
        sp_copy(judge->temps[judge->temp_count], statement->name.ptr, statement->name.len);
        judge->temps[judge->temp_count][statement->name.len] = '\0';
        judge->temp_count++;
    }
    judge->temps_renamed |= judge->temp_count > 0 && (judgement->flags & SP_SQL_RENAMES_TEMP) != 0;
}

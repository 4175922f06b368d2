/* SPDX-License-Identifier: Apache-2.0
 * Which temporary relations the server has in a session. A bare name means the temporary relation
 * for certain only where the server has said that it made it, its transaction goes on or was
 * committed, and nothing that may have ended it was sent since; or where it is made in front, in
 * the same text or pipeline, of which nothing runs if that fails (lib/sql/temporary.c). Anywhere
 * else somebody may have given the name to rows by the time the statement runs, and it is judged as
 * a relation that nobody knows; pg_temp.x is always the session's own.
 *
 * They are names like prepared statements and cursors, and followed with them: names.c, ends.c.
 * OWNS nothing. PROCESS db gate workers. TRUST names are hostile; counts have a maximum.
 * SPEC gates/db/judging.h; PostgreSQL 15 manual, CREATE TABLE, 55.2.3.
 */
#include "gates/db/judging.h"

enum {
    NOT_PLAIN = SP_SQL_TEMP_FALLS | SP_SQL_TEMP_AT_COMMIT,
    OF_SAVEPOINTS = SP_SQL_IS_SAVEPOINT | SP_SQL_IS_ROLLBACK_TO
};

/* The server has the newest of that name when the message that comes now runs. */
static bool is_sure(const db_judge *judge, const db_named *newest)
{
    const db_names *names = &judge->names;
    if (newest->number > names->since[DB_NAMED_TEMP]) {
        return true; /* else what comes now is skipped */
    }
    bool is_committed = newest->number <= judge->idle_names;
    return newest->is_settled && (judge->session->flights.count == 0 || !names->are_temps_parted ||
                                  (is_committed && !names->are_temps_ending));
}

bool db_temps_has(const db_judge *judge, sp_span name)
{
    const db_named *newest = db_names_find(&judge->names, DB_NAMED_TEMP, name, NULL);
    return newest != NULL && is_sure(judge, newest);
}

bool db_temps_may_have(const db_judge *judge, sp_span name)
{
    for (uint32_t i = 0; i < judge->temp_count; i++) {
        if (db_name_is(judge->temps[i], name)) {
            return true;
        }
    }
    return false;
}

bool db_temps_wait(db_session *session, const sp_sql_judgement *judgement)
{
    const uint32_t of_temps = SP_SQL_READS_TEMP | SP_SQL_FILLS_TEMP;
    return (judgement->flags & SP_SQL_IS_UNSURE) != 0 && (judgement->flags & of_temps) != 0 &&
           db_session_judge(session)->names.first[DB_NAMED_TEMP] != NULL &&
           db_session_drain(session);
}

uint64_t db_temps_state(const db_judge *judge)
{
    uint64_t state = 0;
    for (const db_named *at = judge->names.first[DB_NAMED_TEMP]; at != NULL; at = at->next) {
        if (is_sure(judge, at)) {
            state = (state ^ at->number) * UINT64_C(0x9E3779B97F4A7C15);
        }
    }
    return state;
}

void db_temps_make(db_judge *judge, const sp_sql_statement *statement)
{
    db_named *named = NULL;
    if ((statement->temps & SP_SQL_TEMP_SURE) == 0 || statement->name.len >= DB_NAME_BYTES ||
        sp_failed(db_names_add(&judge->names, DB_NAMED_TEMP, statement->name, NULL, &named))) {
        judge->names.numbers++; /* nobody relies on it */
        return;
    }
    named->holds = (statement->temps & NOT_PLAIN) == 0;
}

void db_temps_note(const sp_sql_judgement *judgement, db_note *note)
{
    const uint32_t by_name = SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH;
    note->runs_unseen = note->ruling.runs_code && (judgement->flags & by_name) != 0;
    note->ends_temps = note->runs_unseen;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        note->ends_temps |= (judgement->statements[i].temps & SP_SQL_TEMP_ENDS) != 0;
    }
}

bool db_temps_are_back(const db_note *note, const db_end *end)
{
    return end->how == DB_END_FAILED && !note->is_refused && !note->ends_within &&
           (note->flags & (SP_SQL_IS_END | OF_SAVEPOINTS)) == 0;
}

void db_temps_follow(db_session *session, const db_note *note, const db_end *end)
{
    db_judge *judge = db_session_judge(session);
    if (note != NULL && note->runs_unseen && end->how != DB_END_SKIPPED &&
        !db_temps_are_back(note, end)) {
        uint64_t next = note->made_last >= note->number ? note->made_last + 1 : note->number;
        db_names_forget(&judge->names, DB_NAMED_TEMP, SP_SPAN_EMPTY, true, next);
    }
    bool is_idle = session->flights.count == 0;
    judge->names.are_temps_ending = judge->names.are_temps_ending && !is_idle;
    judge->names.are_temps_parted = judge->names.are_temps_parted && !is_idle;
}

/* SPDX-License-Identifier: Apache-2.0
 * Which temporary relations the server has in a session (temps.c).
 * OWNS nothing. PROCESS db gate workers. TRUST names are hostile. SPEC gates/db/judging.h.
 */
#ifndef SP_GATES_DB_TEMPS_H
#define SP_GATES_DB_TEMPS_H

#include "gates/db/judge.h"
#include "lib/sql/statement.h"

/* stored: one of the session's lists, which a long text asks a hundred thousand times. */
static inline bool db_name_is(const char stored[DB_NAME_BYTES], sp_span name)
{
    return name.len < DB_NAME_BYTES && stored[name.len] == '\0' &&
           sp_span_eq(name, (sp_span){(const uint8_t *)stored, name.len});
}

/* For the message that is judged now: a bare name means the temporary relation. */
bool db_temps_has(const db_judge *judge, sp_span name);
/* It may be the name of one. */
bool db_temps_may_have(const db_judge *judge, sp_span name);
/* Whether what is under way may decide that: the message waits for it. judgement: of a text that
 * was found unsure. */
bool db_temps_wait(db_session *session, const sp_sql_judgement *judgement);
/* Another number whenever db_temps_has() says something else. */
uint64_t db_temps_state(const db_judge *judge);
/* It makes one, in a message that is sent: the next number is its own. */
void db_temps_make(db_judge *judge, const sp_sql_statement *statement);
/* A message runs that makes or ends some. */
void db_temps_note(const sp_sql_judgement *judgement, db_note *note);
/* What the message did to them was undone: it failed, and nothing of it stands before a COMMIT or a
 * savepoint of its own. */
bool db_temps_are_back(const db_note *note, const db_end *end);
/* The answer of a message is complete, and what it says of names was followed. */
void db_temps_follow(db_session *session, const db_note *note, const db_end *end);

#endif

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

/* What was put into them, which is read again with any of those (drawn.c). */
enum { DB_DRAWN_MAX = 32 };
typedef struct {
    bool any;
    bool wide; /* of anything else, or of more than are kept */
    uint8_t count;
    uint32_t oids[DB_DRAWN_MAX];
    uint64_t limit_rows; /* under which it was put there; 0 = none */
    uint64_t limit_bytes;
    uint64_t day_rows;
    uint64_t day_bytes;
} db_drawn;
/* Its limits hold for what reads it again. */
void db_drawn_limit(const db_drawn *drawn, sp_decision *decision);

/* For the message that is judged now: a bare name means the temporary relation. */
bool db_temps_has(const db_judge *judge, sp_span name);
/* It may be the name of one. */
bool db_temps_may_have(const db_judge *judge, sp_span name);
/* How far the server has been asked for the message that waits. */
typedef enum {
    DB_ASKED_NOT,
    DB_ASKED_ASKS,
    DB_ASKED_CANCELLED, /* by the client, while it is asked */
    DB_ASKED_TOLD,
    DB_ASKED_FAILED /* as the session's hold says */
} db_asked;
/* A judgement is of what the server has: DB_PASS, or nobody can say more now. DB_WAIT: it is judged
 * again when what is under way was answered, or the server has said which relations of the session
 * there are. DB_REFUSE: it could not be asked. */
db_verdict db_temps_sure(db_session *session, const sp_sql_judgement *judgement,
                         db_refusal *refusal);
/* A row of what was asked; false: it was not asked for. The end of it. */
bool db_temps_tell(db_session *session, sp_span body);
void db_temps_told(db_session *session, bool good);
/* Another number whenever db_temps_has() says something else. */
uint64_t db_temps_state(const db_judge *judge);
/* It makes one, in a message that is sent: the next number is its own. */
void db_temps_make(db_judge *judge, const sp_sql_statement *statement);
/* A message runs that makes or ends some. */
void db_temps_note(const sp_sql_judgement *judgement, db_note *note);
/* The answer of a message is complete, and what it says of names was followed. */
void db_temps_follow(db_session *session, const db_note *note, const db_end *end);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the end of a message means for names: which prepared statements and cursors the server has
 * from then on.
 *
 * One that is believed in although the server has something else, or nothing, under it is judged
 * as what does not run. So what is not certain is forgotten: what a text made or may have ended
 * that failed somewhere, what was declared since a savepoint, cursors WITH HOLD whose transaction
 * may not have been committed. A name that is forgotten is refused (26000, 34000), and what the
 * server still has under it is not run by one that is made after it: names.c.
 *
 * OWNS the session's list of savepoints. PROCESS db gate workers. TRUST names are hostile; the list
 * has a maximum. SPEC gates/db/judging.h; PostgreSQL 15 manual, DECLARE, PREPARE, SAVEPOINT.
 */
#include "gates/db/judging.h"

#include "lib/base/mem.h"

enum {
    SAVEPOINTS_MAX = 1024,
    SAVEPOINTS_FIRST = 8,
    OF_SAVEPOINTS = SP_SQL_IS_SAVEPOINT | SP_SQL_IS_ROLLBACK_TO,
    ENDS = SP_SQL_IS_DEALLOCATE | SP_SQL_IS_CLOSE,
    MAKES = SP_SQL_IS_PREPARE | SP_SQL_IS_DECLARE,
    NUMBERED = MAKES | SP_SQL_IS_CREATE_TEMP
};

bool db_ends_names(uint32_t flags)
{
    return (flags & (MAKES | ENDS | SP_SQL_IS_END | OF_SAVEPOINTS)) != 0;
}

bool db_ends_any(const db_judge *judge, const sp_sql_judgement *judgement)
{
    bool any = db_ends_names(judgement->flags) || (judgement->flags & SP_SQL_IS_CREATE_TEMP) != 0;
    bool has_temps = judge->names.first[DB_NAMED_TEMP] != NULL;
    for (uint32_t i = 0; has_temps && !any && i < judgement->statement_count; i++) {
        any = (judgement->statements[i].temps & SP_SQL_TEMP_ENDS) != 0;
    }
    return any;
}

bool db_ends_one(const sp_sql_statement *statement, db_named_kind kind, sp_span name)
{
    bool of_portals = kind == DB_NAMED_PORTAL;
    uint32_t ends = of_portals ? SP_SQL_IS_CLOSE : SP_SQL_IS_DEALLOCATE;
    bool all = statement->name.len == 0;
    return ((statement->flags & ends) != 0 && (all || sp_span_eq(statement->name, name))) ||
           (of_portals && ((statement->flags & SP_SQL_IS_END) != 0 ||
                           (statement->flags & OF_SAVEPOINTS) == SP_SQL_IS_ROLLBACK_TO));
}

/* A statement by itself that commits on its way, if it is not in a block that the client began:
 * CALL, DO, VACUUM, what says CONCURRENTLY. These do not, all others may. */
static bool stays_within(const char *tag)
{
    static const char *const tags[] = {"SELECT",
                                       "INSERT",
                                       "UPDATE",
                                       "DELETE",
                                       "MERGE",
                                       "EXECUTE",
                                       "FETCH",
                                       "MOVE",
                                       "DECLARE CURSOR",
                                       "CLOSE CURSOR",
                                       "PREPARE",
                                       "DEALLOCATE",
                                       "BEGIN",
                                       "EXPLAIN",
                                       "COPY",
                                       "LOCK TABLE",
                                       "SAVEPOINT",
                                       "RELEASE",
                                       "SET",
                                       "SHOW",
                                       "RESET",
                                       "COMMIT",
                                       "ROLLBACK",
                                       "START TRANSACTION",
                                       "CREATE TABLE",
                                       "CREATE TABLE AS",
                                       "CREATE SEQUENCE",
                                       "DROP TABLE",
                                       "TRUNCATE TABLE"};
    return sp_span_which(sp_span_cstr(tag), tags, SP_COUNT(tags)) < SP_COUNT(tags);
}

bool db_ends_within(const db_session *session, const sp_sql_judgement *judgement)
{
    bool is_block = session->transaction == 'T' && !session->has_ended;
    return judgement->statement_count == 1 && !is_block &&
           !stays_within(judgement->statements[0].tag);
}

/* ---- sent ---- */

void db_ends_sent(db_judge *judge, uint8_t type, const db_note *note)
{
    db_names *names = &judge->names;
    bool is_last = type == 'Q' || type == 'S' || type == 'F';
    uint32_t flags = note != NULL && note->names != NULL ? note->names->judgement->flags : 0;
    uint8_t closes = note == NULL ? 0 : note->close_kind;
    bool ends_prepared = closes == 'S' || (flags & SP_SQL_IS_DEALLOCATE) != 0;
    bool ends_portals = closes == 'P' || (note != NULL && note->ends_within) ||
                        (flags & (SP_SQL_IS_CLOSE | SP_SQL_IS_END | SP_SQL_IS_ROLLBACK_TO)) != 0;
    bool ends_temps = note != NULL && (note->ends_temps || note->ends_within ||
                                       (flags & (SP_SQL_IS_END | SP_SQL_IS_ROLLBACK_TO)) != 0);
    names->are_ending |= ends_prepared;
    names->are_temps_ending |= note != NULL && note->ends_temps;
    if (is_last || ends_prepared) {
        db_names_part(names, DB_NAMED_PREPARED);
    }
    if (is_last || ends_portals) {
        db_names_part(names, DB_NAMED_PORTAL);
    }
    if (is_last || ends_temps) {
        names->are_temps_parted = true;
        db_names_part(names, DB_NAMED_TEMP);
    }
}

/* ---- savepoints ---- */

/* The newest of that name, or count. */
static uint32_t find_savepoint(const db_savepoints *list, sp_span name)
{
    uint32_t at = list->count;
    while (at > 0 &&
           !sp_span_eq(name, (sp_span){list->items[at - 1].name, list->items[at - 1].len})) {
        at--;
    }
    return at > 0 ? at - 1 : list->count;
}

static void push_savepoint(db_savepoints *list, sp_span name, uint64_t number)
{
    if (list->count == list->cap) {
        uint32_t cap = list->cap == 0 ? SAVEPOINTS_FIRST : list->cap * 2;
        if (cap > SAVEPOINTS_MAX || sp_failed(sp_resize(&list->items, cap, sizeof(*list->items)))) {
            list->count = 0;
            return;
        }
        list->cap = cap;
    }
    db_savepoint *made = &list->items[list->count++];
    size_t len = name.len < sizeof(made->name) ? name.len : sizeof(made->name);
    *made = (db_savepoint){.number = number, .len = (uint8_t)len};
    sp_copy(made->name, name.ptr, len);
}

/* next: the number that is made next. */
static void follow_savepoint(db_judge *judge, const sp_sql_statement *statement, uint64_t next)
{
    db_savepoints *list = &judge->savepoints;
    uint32_t at = find_savepoint(list, statement->name);
    bool known = at < list->count;
    switch (statement->flags & OF_SAVEPOINTS) {
    case SP_SQL_IS_SAVEPOINT:
        push_savepoint(list, statement->name, next - 1);
        break;
    case SP_SQL_IS_ROLLBACK_TO:
        db_names_undo(&judge->names, known ? list->items[at].number : judge->idle_names, next);
        list->count = known ? at + 1 : list->count;
        break;
    default: /* RELEASE: it and what came behind it */
        list->count = known ? at : 0;
        break;
    }
}

/* ---- transactions ---- */

/* Portals and temporary relations that were made before that number end, but those that are held
 * and were committed. */
static void end_transaction(db_judge *judge, uint64_t before, bool commits)
{
    db_names_end_transaction(&judge->names, commits ? before : judge->idle_names + 1, before);
    judge->idle_names = before - 1 > judge->idle_names ? before - 1 : judge->idle_names;
    judge->savepoints.count = 0;
}

/* ---- texts ---- */

static void forget_one(db_names *names, db_named_kind kind, sp_span name, uint64_t before)
{
    db_names_forget(names, kind, name, name.len == 0, before);
}

static void forget_ended(db_judge *judge, const sp_sql_statement *statement, uint64_t before)
{
    if ((statement->flags & SP_SQL_IS_DEALLOCATE) != 0) {
        forget_one(&judge->names, DB_NAMED_PREPARED, statement->name, before);
    }
    if ((statement->flags & SP_SQL_IS_CLOSE) != 0) {
        forget_one(&judge->names, DB_NAMED_PORTAL, statement->name, before);
    }
}

static void forget_temps(db_judge *judge, const sp_sql_statement *statement, uint64_t before)
{
    if ((statement->temps & SP_SQL_TEMP_ENDS) != 0) {
        forget_one(&judge->names, DB_NAMED_TEMP, statement->ended, before);
    }
}

static void forget_older(db_judge *judge, const sp_sql_statement *statement, uint64_t before)
{
    db_named_kind kind = (statement->flags & SP_SQL_IS_DECLARE) != 0   ? DB_NAMED_PORTAL
                         : (statement->flags & SP_SQL_IS_PREPARE) != 0 ? DB_NAMED_PREPARED
                                                                       : DB_NAMED_TEMP;
    db_names_forget(&judge->names, kind, statement->name, false, before);
}

/* Behind a statement that ran no transaction is one that has failed. */
static bool is_commit(const sp_sql_statement *statement)
{
    return sp_span_eq(sp_span_cstr(statement->tag), SP_SPAN_LIT("COMMIT"));
}

/* All of it ran, one after the other. */
static void follow(db_judge *judge, const db_note *note, bool commits)
{
    const sp_sql_judgement *judgement = note->names->judgement;
    uint64_t next = note->number; /* what is made next */
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        forget_ended(judge, statement, next);
        forget_temps(judge, statement, next);
        if ((statement->flags & NUMBERED) != 0) {
            forget_older(judge, statement, next++);
        }
        if ((statement->flags & SP_SQL_IS_END) != 0) {
            end_transaction(judge, next, i == 0 ? commits : is_commit(statement));
        }
        if ((statement->flags & OF_SAVEPOINTS) != 0) {
            follow_savepoint(judge, statement, next);
        }
    }
    db_names_settle(&judge->names, note->number, note->made_last, true);
}

/* Some of it may have run. */
static void doubt(db_judge *judge, const db_note *note)
{
    const sp_sql_judgement *judgement = note->names->judgement;
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        forget_ended(judge, &judgement->statements[i], note->number);
        forget_temps(judge, &judgement->statements[i], note->number);
        if ((judgement->statements[i].flags & MAKES) != 0) {
            forget_older(judge, &judgement->statements[i], note->number);
        }
    }
    if ((judgement->flags & SP_SQL_IS_END) != 0) {
        end_transaction(judge, note->number, false);
    }
    if ((judgement->flags & OF_SAVEPOINTS) != 0) {
        judge->savepoints.count = 0;
    }
}

/* In a transaction that has failed, and which does not end with it; or there was one of that name.
 * Code that commits on its way may say any of these. */
static bool did_nothing(const db_note *note, const db_end *end)
{
    static const char *const states[] = {"25P02", "42P03", "42P05"};
    return note->names->judgement->statement_count == 1 && !note->is_behind && !note->ends_within &&
           sp_span_which(sp_span_cstr(end->sqlstate), states, SP_COUNT(states)) < SP_COUNT(states);
}

static void end_text(db_judge *judge, const db_note *note, const db_end *end, bool may_commit)
{
    bool done = end->how == DB_END_DONE && !note->is_refused; /* else it was rolled back, or cut */
    if (end->how == DB_END_SUSPENDED) {
        forget_temps(judge, &note->names->judgement->statements[0], note->number);
        return;
    }
    if (done) {
        follow(judge, note,
               note->names->judgement->statement_count == 1 && may_commit &&
                   sp_span_starts(end->tag, SP_SPAN_LIT("COMMIT")));
        return;
    }
    db_names_settle(&judge->names, note->number, note->made_last, false);
    if (end->how != DB_END_SKIPPED && !did_nothing(note, end)) {
        doubt(judge, note);
    }
}

/* Parse, Bind, Close. */
static void end_message(db_judge *judge, const db_note *note, const db_end *end)
{
    bool done = end->how == DB_END_DONE;
    if (note->made_last != 0 && note->made_last >= note->number) {
        db_names_settle(&judge->names, note->number, note->made_last, done);
    }
    if (note->close_kind != 0 && end->how != DB_END_SKIPPED) {
        db_names_forget(&judge->names,
                        note->close_kind == 'S' ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                        (sp_span){note->name, note->name_len}, false, note->number);
    }
}

/* A flight has room for the lower half. */
static uint64_t number_of(const db_judge *judge, uint32_t word)
{
    uint64_t most = judge->names.numbers + 1;
    uint64_t number = (most & ~(uint64_t)UINT32_MAX) | word;
    return number > most ? number - UINT32_MAX - 1 : number;
}

/* A Query drops both, and runs in a portal without a name, of which the server leaves what must not
 * be run when it fails within a transaction. */
static void forget_unnamed(db_judge *judge, uint64_t before)
{
    db_names_forget(&judge->names, DB_NAMED_PREPARED, SP_SPAN_EMPTY, false, before);
    db_names_forget(&judge->names, DB_NAMED_PORTAL, SP_SPAN_EMPTY, false, before);
}

void db_ends_follow(db_session *session, const db_flight *flight, const db_note *note,
                    const db_end *end)
{
    db_judge *judge = db_session_judge(session);
    bool is_last = flight->type == 'Q' || flight->type == 'S' || flight->type == 'F';
    bool ran = end->how == DB_END_DONE || end->how == DB_END_SUSPENDED;
    bool is_ours = (flight->flags & DB_FLIGHT_OURS) != 0; /* a BEGIN commits nothing */
    if (note != NULL && note->ends_within && end->how != DB_END_SKIPPED) {
        end_transaction(judge, number_of(judge, flight->word), false);
    }
    if (note != NULL && note->names != NULL) {
        /* a COMMIT in a pipeline without BEGIN: what it commits is not believed in */
        end_text(judge, note, end, is_last || session->transaction == 'T');
    } else if (note != NULL) {
        end_message(judge, note, end);
    }
    if (flight->type == 'Q' && end->how != DB_END_SKIPPED) {
        forget_unnamed(judge, number_of(judge, flight->word));
    }
    judge->has_failed |= !ran || (note != NULL && note->is_refused);
    if (is_last && session->transaction == 'I') {
        bool made = note != NULL && note->made_last >= note->number;
        bool ends = note != NULL && (note->flags & SP_SQL_IS_END) != 0; /* it said how, itself */
        end_transaction(judge, made ? note->made_last + 1 : number_of(judge, flight->word),
                        !judge->has_failed && !ends && !is_ours);
    }
    judge->has_failed = judge->has_failed && (!is_last || end->how == DB_END_SKIPPED);
    judge->names.are_ending = judge->names.are_ending && session->flights.count > 0;
    db_temps_follow(session, note, end);
}

void db_ends_done(db_judge *judge)
{
    sp_free(judge->savepoints.items);
    judge->savepoints = (db_savepoints){.items = NULL};
}

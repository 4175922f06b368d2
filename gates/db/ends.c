/* SPDX-License-Identifier: Apache-2.0
 * What the end of a message means for names: which prepared statements and cursors the server has
 * from then on.
 *
 * A name that is forgotten is refused (26000, 34000), and so no harm; one that is believed in
 * although the server has something else, or nothing, under it is judged as what does not run. So
 * what is not certain is forgotten: all that a text speaks of which failed somewhere, what was
 * declared since a savepoint, cursors WITH HOLD whose transaction may not have been committed.
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
    MAKES = SP_SQL_IS_PREPARE | SP_SQL_IS_DECLARE
};

bool db_ends_names(uint32_t flags)
{
    return (flags & (MAKES | ENDS | SP_SQL_IS_END | OF_SAVEPOINTS)) != 0;
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

static void lose_savepoints(db_savepoints *list)
{
    list->count = 0;
    list->lost = true;
}

static void push_savepoint(db_savepoints *list, sp_span name, uint64_t number)
{
    if (list->count == list->cap) {
        uint32_t cap = list->cap == 0 ? SAVEPOINTS_FIRST : list->cap * 2;
        if (cap > SAVEPOINTS_MAX || sp_failed(sp_resize(&list->items, cap, sizeof(*list->items)))) {
            lose_savepoints(list);
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
        db_names_forget_portals(&judge->names, known ? list->items[at].number : judge->idle_names,
                                next);
        list->count = known ? at + 1 : list->count;
        break;
    default: /* RELEASE: it and what came behind it */
        if (known) {
            list->count = at;
        } else {
            lose_savepoints(list);
        }
        break;
    }
}

/* ---- transactions ---- */

/* Portals that were made before that number end, but those that are held and were committed. */
static void end_transaction(db_judge *judge, uint64_t before, bool commits)
{
    db_names_end_transaction(&judge->names, commits ? before : judge->idle_names + 1, before);
    judge->idle_names = before - 1 > judge->idle_names ? before - 1 : judge->idle_names;
    judge->savepoints.count = 0;
    judge->savepoints.lost = false;
}

/* ---- texts ---- */

static db_named_kind kind_of(const sp_sql_statement *statement)
{
    const uint32_t of_portals = SP_SQL_IS_DECLARE | SP_SQL_IS_CLOSE;
    return (statement->flags & of_portals) != 0 ? DB_NAMED_PORTAL : DB_NAMED_PREPARED;
}

static void forget_spoken(db_judge *judge, const sp_sql_statement *statement, uint64_t before)
{
    bool all = (statement->flags & ENDS) != 0 && statement->name.len == 0;
    db_names_forget(&judge->names, kind_of(statement), statement->name, all, before);
    if ((statement->flags & ENDS) == ENDS) { /* DISCARD ALL */
        db_names_forget(&judge->names, DB_NAMED_PREPARED, SP_SPAN_EMPTY, true, before);
    }
}

/* All of it ran, one after the other. */
static void follow(db_judge *judge, const sp_sql_judgement *judgement, uint64_t next, bool commits)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & (MAKES | ENDS)) != 0) {
            forget_spoken(judge, statement, next); /* what it made is numbered next */
            next += (statement->flags & MAKES) != 0 ? 1 : 0;
        }
        if ((statement->flags & SP_SQL_IS_END) != 0) {
            end_transaction(judge, next, commits);
        }
        if ((statement->flags & OF_SAVEPOINTS) != 0) {
            follow_savepoint(judge, statement, next);
        }
    }
}

/* Some of it may have run. */
static void doubt(db_judge *judge, const sp_sql_judgement *judgement, uint64_t before)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & (MAKES | ENDS)) != 0) {
            forget_spoken(judge, statement, before);
        }
    }
    if ((judgement->flags & SP_SQL_IS_END) != 0) {
        end_transaction(judge, before, false);
    }
    if ((judgement->flags & OF_SAVEPOINTS) != 0) {
        lose_savepoints(&judge->savepoints);
    }
}

/* A single statement that failed with its own error: with that of an abort behind it, or of a
 * server in need, PREPARE may have made what no abort takes away. */
static bool is_plain_failure(const db_note *note, const db_end *end)
{
    bool in_need = end->sqlstate[0] == '5' || end->sqlstate[0] == 'X';
    return note->names->judgement->statement_count == 1 && !note->is_behind && !in_need;
}

static void end_text(db_judge *judge, const db_note *note, const db_end *end, bool may_commit)
{
    const sp_sql_judgement *judgement = note->names->judgement;
    bool made = note->made_last >= note->number;
    uint64_t before = made ? note->made_last + 1 : note->number;
    switch (end->how) {
    case DB_END_DONE:
        follow(judge, judgement, note->number,
               judgement->statement_count == 1 && may_commit &&
                   sp_span_starts(end->tag, SP_SPAN_LIT("COMMIT")));
        break;
    case DB_END_FAILED:
        if (!is_plain_failure(note, end)) {
            doubt(judge, judgement, before);
            break;
        }
        db_names_settle(&judge->names, note->number, note->made_last, false);
        break;
    case DB_END_SKIPPED:
        db_names_settle(&judge->names, note->number, note->made_last, false);
        break;
    case DB_END_SUSPENDED:
    case DB_END_LOST:
        break;
    }
}

/* Parse, Bind, Close. */
static void end_message(db_judge *judge, const db_note *note, const db_end *end)
{
    bool done = end->how == DB_END_DONE;
    bool in_need = end->sqlstate[0] == '5' || end->sqlstate[0] == 'X';
    bool none = end->how == DB_END_SKIPPED || (end->how == DB_END_FAILED && !in_need);
    if (note->made_last != 0 && note->made_last >= note->number && (done || none)) {
        db_names_settle(&judge->names, note->number, note->made_last, done);
    }
    if (note->close_kind != 0 && done) {
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

void db_ends_follow(db_session *session, const db_flight *flight, const db_note *note,
                    const db_end *end)
{
    db_judge *judge = db_session_judge(session);
    bool is_last = flight->type == 'Q' || flight->type == 'S';
    if (note != NULL && note->names != NULL) {
        /* without BEGIN a COMMIT in a pipeline ends nothing yet */
        end_text(judge, note, end, is_last || session->transaction == 'T');
    } else if (note != NULL) {
        end_message(judge, note, end);
    }
    judge->has_failed |= end->how != DB_END_DONE && end->how != DB_END_SUSPENDED;
    if (is_last && session->transaction == 'I') {
        bool made = note != NULL && note->made_last >= note->number;
        bool ends = note != NULL && (note->flags & SP_SQL_IS_END) != 0; /* it said how, itself */
        end_transaction(judge, made ? note->made_last + 1 : number_of(judge, flight->word),
                        !judge->has_failed && !ends);
    }
    judge->has_failed = judge->has_failed && !is_last;
}

void db_ends_done(db_judge *judge)
{
    sp_free(judge->savepoints.items);
    judge->savepoints = (db_savepoints){.items = NULL};
}

/* SPDX-License-Identifier: Apache-2.0
 * Which temporary relations the server has in a session. A bare name means the temporary relation
 * for certain only where the server has said that it made it, its transaction goes on or was
 * committed, and nothing that may have ended it was sent since; or where it is made in front, in
 * the same text or pipeline, of which nothing runs if that fails (lib/sql/temporary.c). Anywhere
 * else somebody may have given the name to rows by the time the statement runs, and it is judged as
 * a relation that nobody knows; pg_temp.x is always the session's own.
 *
 * Where a name that was one is not certain, the server is asked on the session's own connection,
 * with nothing under way: what it has, and what nothing drops but what is sent here, is as certain
 * from then on as what it made.
 *
 * They are names like prepared statements and cursors, and followed with them: names.c, ends.c.
 * OWNS nothing. PROCESS db gate workers. TRUST names are hostile; counts have a maximum.
 * SPEC gates/db/judging.h; PostgreSQL 15 manual, CREATE TABLE, 55.2.3.
 */
#include "gates/db/judging.h"

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
    named->holds = (statement->temps & SP_SQL_TEMP_PASSES) == 0;
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

void db_temps_follow(db_session *session, const db_note *note, const db_end *end)
{
    db_judge *judge = db_session_judge(session);
    if (note != NULL && note->runs_unseen && end->how != DB_END_SKIPPED) {
        uint64_t next = note->made_last >= note->number ? note->made_last + 1 : note->number;
        db_names_forget(&judge->names, DB_NAMED_TEMP, SP_SPAN_EMPTY, true, next);
    }
    bool is_idle = session->flights.count == 0;
    judge->names.are_temps_ending = judge->names.are_temps_ending && !is_idle;
    judge->names.are_temps_parted = judge->names.are_temps_parted && !is_idle;
}

/* ---- asking ---- */

/* Names as JSON, in hexadecimal, stand between the two. What falls with another thing, whatever may
 * drop that, is none of them: a partition, a serial's sequence, a table OF a type. */
static const char ask_begin[] =
    "SELECT c.relname FROM pg_catalog.json_array_elements_text(pg_catalog.convert_from("
    "pg_catalog.decode('";
static const char ask_end[] =
    "', 'hex'), 'UTF8')::pg_catalog.json) AS j(name) JOIN pg_catalog.pg_class c ON c.relname ="
    " j.name::pg_catalog.name AND c.relnamespace = pg_catalog.pg_my_temp_schema() WHERE c.relkind"
    " IN ('r', 'p', 'S') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid ="
    " 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0 AND"
    " d.refclassid <> 'pg_catalog.pg_namespace'::pg_catalog.regclass)";

/* It stands for one or, for all we know, for anybody's. */
static bool is_lost(const db_judge *judge, sp_span name)
{
    return db_temps_may_have(judge, name) && !db_temps_has(judge, name);
}

static bool uses_lost(const db_judge *judge, const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; judge->temp_count > 0 && i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        if (use->kind == SP_SQL_RELATION && use->relation == SP_NONE && use->schema.len == 0 &&
            is_lost(judge, use->name)) {
            return true;
        }
    }
    return false;
}

/* In a database that is not UTF8 other letters may be folded than here (means.c). */
static bool is_same_there(const db_judge *judge, sp_span name)
{
    size_t i = 0;
    while (i < name.len && name.ptr[i] < 0x80) {
        i++;
    }
    return judge->server_is_utf8 || i == name.len;
}

/* All that are lost: what lost one may have lost others. */
static sp_err ask(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    auto_buf sp_buf names = sp_buf_make((size_t)DB_TEMPS_MAX * DB_NAME_BYTES * 6);
    auto_buf sp_buf text = sp_buf_make(names.max_bytes * 2 + sizeof(ask_begin) + sizeof(ask_end));
    bool any = false;
    for (uint32_t i = 0; i < judge->temp_count; i++) {
        sp_span name = sp_span_cstr(judge->temps[i]);
        if (is_same_there(judge, name) && is_lost(judge, name)) {
            sp_buf_text(&names, any ? "," : "[");
            sp_buf_json(&names, name);
            any = true;
        }
    }
    sp_buf_text(&names, any ? "]" : "[]");
    sp_buf_text(&text, ask_begin);
    sp_buf_hex(&text, sp_buf_borrow(&names));
    sp_buf_text(&text, ask_end);
    TRY(sp_buf_error(&names));
    TRY(sp_buf_error(&text));
    judge->asked = DB_ASKED_ASKS;
    return db_hold_ask(session, sp_buf_borrow(&text));
}

db_verdict db_temps_sure(db_session *session, const sp_sql_judgement *judgement,
                         db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    switch (judge->asked) {
    case DB_ASKED_ASKS:
    case DB_ASKED_CANCELLED:
        return DB_WAIT;
    case DB_ASKED_TOLD:
        return DB_PASS;
    case DB_ASKED_FAILED:
        db_refuse(refusal, session->hold_state, SP_REASON_UNAVAILABLE, "%s", db_hold_why(session));
        return DB_REFUSE;
    case DB_ASKED_NOT:
        break;
    }
    if (!uses_lost(judge, judgement)) {
        return DB_PASS;
    }
    if (db_session_drain(session)) {
        return DB_WAIT; /* for what made it, perhaps */
    }
    if (session->transaction == 'E' || session->hold != DB_HOLD_NONE) {
        return DB_PASS; /* nothing can be asked */
    }
    if (sp_failed(ask(session))) {
        db_refuse(refusal, "53200", SP_REASON_UNAVAILABLE, "the gate has no memory left");
        return DB_CUT;
    }
    return DB_WAIT;
}

/* No transaction is open: what there is is there to stay. */
static bool is_idle(const db_session *session)
{
    return session->transaction == 'I' && !session->is_unsynced;
}

bool db_temps_tell(db_session *session, sp_span body)
{
    db_judge *judge = db_session_judge(session);
    sp_pg_data_row row;
    sp_span name = SP_SPAN_EMPTY;
    bool is_null = true;
    db_named *made = NULL;
    if (judge->asked != DB_ASKED_ASKS && judge->asked != DB_ASKED_CANCELLED) {
        return false;
    }
    if (!sp_failed(sp_pg_data_row_read(body, &row)) &&
        sp_pg_value_next(&row.values, &name, &is_null) && is_lost(judge, name) &&
        !sp_failed(db_names_add(&judge->names, DB_NAMED_TEMP, name, NULL, &made))) {
        made->holds = is_idle(session); /* else it may be ON COMMIT DROP */
        db_names_settle(&judge->names, made->number, made->number, true);
    }
    return true;
}

void db_temps_told(db_session *session, bool good)
{
    db_judge *judge = db_session_judge(session);
    if (judge->asked != DB_ASKED_ASKS && judge->asked != DB_ASKED_CANCELLED) {
        return;
    }
    if (judge->asked == DB_ASKED_CANCELLED && good) {
        db_hold_say(session, SP_SPAN_LIT("57014"),
                    SP_SPAN_LIT("canceling statement due to user request"));
    }
    if (good && is_idle(session)) {
        judge->idle_names = judge->names.numbers;
    }
    bool is_told = good && judge->asked == DB_ASKED_ASKS;
    judge->asked = is_told ? DB_ASKED_TOLD : DB_ASKED_FAILED;
    db_session_resume(session);
}
